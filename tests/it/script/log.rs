//! The log of scripts.

use super::uninstall::write;
use crate::support::Test;
use serde_json::Value as Json;

const TEMPLATES: &str = "
node_templates:
  n:
    type: cloudify.nodes.Root
    interfaces: {cloudify.interfaces.lifecycle: {create: c.sh}}
";

fn execution(test: &Test) -> String {
    let list = test.run(&["executions", "--output", "json"]).json();
    list["executions"][0]["id"].as_str().unwrap().to_owned()
}

#[test]
fn an_execution_shows_what_its_scripts_wrote() {
    let test = Test::new("log");
    write(&test, TEMPLATES, &[]);
    test.write("c.sh", "#!/bin/sh\necho out\necho err >&2\nctx logger debug fine\nctx logger warning careful\nprintf 'a\\033[31mb'\n");
    let installed = test.run(&["install", "blueprint.yaml"]).exits_with(0);
    assert!(
        !installed.stderr.contains("fine"),
        "debug lines are only stored"
    );
    let installed =
        installed.stderr_contains(&["<out> out\n", "<err> err\n", "] warning: careful\n"]);
    assert!(
        installed.stderr.contains("<out> a\\u{1b}[31mb"),
        "control characters are escaped"
    );
    let id = execution(&test);
    let log = test
        .run(&["executions", &id, "--log", "--output", "json"])
        .json();
    let lines = log["log"].as_array().unwrap();
    let text = |line: &Json| {
        format!(
            "{} {}",
            line["level"].as_str().unwrap(),
            line["text"].as_str().unwrap()
        )
    };
    let texts = lines.iter().map(text);
    let mut texts: Vec<String> = texts.filter(|text| !text.contains("PID")).collect();
    texts.sort();
    assert_eq!(
        texts,
        [
            "debug fine",
            "info <err> err",
            "info <out> a\u{1b}[31mb",
            "info <out> out",
            "warning careful"
        ]
    );
    assert_eq!(lines[0]["operation"], "create");
    assert!(lines[0]["instance"].as_str().unwrap().starts_with("n_"));
    let text = test.run(&["executions", &id, "--log"]).stdout;
    assert!(
        text.contains("] debug: fine\n") && text.contains("\\u{1b}"),
        "{text}"
    );
    test.run(&["executions", "nope", "--log"]).exits_with(2);
}

#[test]
fn a_long_log_keeps_its_head_and_its_tail() {
    let test = Test::new("long-log");
    write(&test, TEMPLATES, &[]);
    test.write("c.sh", "#!/bin/sh\necho first\nhead -c 100000000 /dev/zero | tr '\\0' 'x' | fold -w 1000\nhead -c 100000 /dev/urandom\necho; echo last\n");
    test.run(&["install", "blueprint.yaml"]).exits_with(0);
    let log = test
        .run(&["executions", &execution(&test), "--log", "--output", "json"])
        .json();
    let lines = log["log"].as_array().unwrap();
    let size: usize = lines
        .iter()
        .map(|line| line["text"].as_str().unwrap().len())
        .sum();
    assert!(size < 1_200_000, "{size}");
    assert_eq!(lines[1]["text"], "<out> first");
    assert_eq!(lines[lines.len() - 2]["text"], "<out> last");
    assert!(lines.iter().any(|line| {
        line["text"]
            .as_str()
            .unwrap()
            .contains("lines are left out")
    }));
}

#[test]
fn a_failure_shows_the_last_lines_of_output() {
    let test = Test::new("output");
    write(&test, TEMPLATES, &[]);
    test.write("c.sh", "#!/bin/sh\nfor n in $(seq 1 30); do echo \"line $n\"; done\nhead -c 500 /dev/zero | tr '\\0' y\nexit 4\n");
    let failed = test.run(&[
        "install",
        "blueprint.yaml",
        "--task-retries",
        "0",
        "--progress",
        "quiet",
    ]);
    let failed = failed.exits_with(1).stderr_contains(&[
        "exit_code: 4",
        "  last lines of output:\n",
        "    | line 12\n",
        "    | line 30\n",
    ]);
    assert!(!failed.stderr.contains("| line 11\n"));
    assert!(
        failed
            .stderr
            .contains(&format!("    | {}…\n", "y".repeat(400))),
        "{}",
        failed.stderr
    );
}

#[test]
fn text_masks_properties_with_sensitive_names() {
    let test = Test::new("masked");
    write(&test, TEMPLATES, &[]);
    test.write("c.sh", "#!/bin/sh\nctx instance runtime-properties join_token abc\nctx instance runtime-properties db.PassWord abc\nctx instance runtime-properties db.user me\nctx instance runtime-properties text 'a\nb'\n");
    test.run(&["install", "blueprint.yaml"]).exits_with(0);
    let text = test.run(&["status", "--properties"]).exits_with(0).stdout;
    assert!(text.contains(".join_token = ********\n"), "{text}");
    assert!(
        text.contains(".db = {\"PassWord\":\"********\",\"user\":\"me\"}\n"),
        "{text}"
    );
    assert!(text.contains(".text = a\\nb\n"), "{text}");
    let json = test.run(&["status", "--output", "json"]).json();
    assert_eq!(
        json["instances"][0]["runtime_properties"]["join_token"],
        "abc"
    );
    assert!(!test.run(&["status"]).stdout.contains("join_token"));
}
