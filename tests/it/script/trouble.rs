//! Scripts that never end, time limits, background processes, and other trouble.

use super::uninstall::write;
use crate::support::{Run, Test};
use serde_json::json;
use std::{fs, process::Command};

/// Returns a blueprint with one operation.
fn templates(create: &str) -> String {
    format!(
        "
node_templates:
  n:
    type: cloudify.nodes.Root
    interfaces: {{cloudify.interfaces.lifecycle: {{create: {create}}}}}
"
    )
}

/// Returns the number of processes whose command line contains a text.
fn processes(text: &str) -> usize {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let lines = entries.filter_map(|entry| fs::read(entry.path().join("cmdline")).ok());
    lines
        .filter(|line| {
            String::from_utf8_lossy(line)
                .replace('\0', " ")
                .contains(text)
        })
        .count()
}

fn lines(test: &Test, name: &str) -> usize {
    let text = fs::read_to_string(test.path(name)).unwrap_or_default();
    text.lines().count()
}

/// Asserts that no directory of a run is left.
fn expect_clean(test: &Test) {
    let left = fs::read_dir(test.path("state/runs")).map_or(0, Iterator::count);
    assert_eq!(left, 0, "directories of runs are left");
}

#[test]
fn a_time_limit_ends_all_processes_and_every_attempt_runs() {
    let test = Test::new("limit");
    let operation = "{implementation: c.sh, timeout: 1, timeout_recoverable: true, max_retries: 2, retry_interval: 0}";
    write(&test, &templates(operation), &[]);
    test.write(
        "c.sh",
        "#!/bin/sh\ntrap '' TERM\necho x >>ran\n(sleep 3141) &\nsleep 3141\nsleep 3141\n",
    );
    let failed = test.run(&["install", "blueprint.yaml"]).exits_with(1);
    failed.stderr_contains(&["timed out after 1 s"]);
    assert_eq!(lines(&test, "ran"), 3);
    assert_eq!(processes("sleep 3141"), 0);
    expect_clean(&test);
    // The outcome is known: the next command does not settle it.
    let again = test.run(&["install", "blueprint.yaml"]).exits_with(1);
    assert!(!again.stderr.contains("interrupted"), "{}", again.stderr);
    test.run(&["uninstall", "-y"]).exits_with(0);
}

#[test]
fn a_script_that_ended_within_its_limit_keeps_its_outcome() {
    let test = Test::new("ended");
    write(&test, &templates("{implementation: c.sh, timeout: 2}"), &[]);
    test.write("c.sh", "#!/bin/sh\n(sleep 7) &\nexit 3\n");
    let failed = test
        .run(&["install", "blueprint.yaml", "--task-retries", "0"])
        .exits_with(1);
    let failed = failed.stderr_contains(&["exit_code: 3"]);
    assert!(!failed.stderr.contains("timed out"), "{}", failed.stderr);
    expect_clean(&test);
    test.run(&["uninstall", "-y"]).exits_with(0);
}

#[test]
fn operations_of_the_target_change_the_target() {
    let test = Test::new("target");
    let templates = "
node_templates:
  b: {type: cloudify.nodes.Root}
  a:
    type: cloudify.nodes.Root
    relationships:
      - type: cloudify.relationships.depends_on
        target: b
        target_interfaces: {cloudify.interfaces.relationship_lifecycle: {establish: r.sh, preconfigure: r.py}}
";
    write(&test, templates, &[]);
    test.write("r.sh", "#!/bin/sh\nctx target instance runtime-properties x target\nctx source instance runtime-properties x source\n");
    test.write("r.py", "from cloudify import ctx\nctx.target.instance.runtime_properties['y'] = ctx.operation.relationship\n");
    test.run(&["install", "blueprint.yaml"]).exits_with(0);
    let status = test.run(&["status", "--output", "json"]).json();
    let of = |node: &str| {
        let instances = status["instances"].as_array().unwrap();
        let found = instances.iter().find(|it| it["node"] == node).unwrap();
        found["runtime_properties"].clone()
    };
    assert_eq!(
        (of("a"), of("b")),
        (
            json!({ "x": "source" }),
            json!({ "x": "target", "y": "target" })
        )
    );
}

#[test]
fn calls_after_the_end_of_a_script_are_refused() {
    let test = Test::new("late");
    write(&test, &templates("c.sh"), &[]);
    let script = format!(
        "#!/bin/sh\n(sleep 0.5; ctx instance id; echo rc=$?) >{} 2>&1 &\n(sleep 1.5) &\n",
        test.path("late").display()
    );
    test.write("c.sh", &script);
    test.run(&["install", "blueprint.yaml"]).exits_with(0);
    let late = fs::read_to_string(test.path("late")).unwrap();
    assert!(
        late.starts_with("ctx: ConnectionError: ") && late.ends_with("rc=1\n"),
        "{late}"
    );
}

#[test]
fn an_unknown_outcome_can_stop_the_next_run() {
    let test = Test::new("unknown");
    let operation = "{implementation: c.sh, inputs: {process: {on_unknown: fail}}}";
    write(&test, &templates(operation), &[]);
    test.write(
        "c.sh",
        "#!/bin/sh\necho x >>ran\necho begun\n[ -e go ] || sleep 60\n",
    );
    test.kill_at("<out> begun", &["install", "blueprint.yaml"]);
    let stopped = test.run(&["install", "blueprint.yaml"]).exits_with(1);
    stopped.stderr_contains(&[
        "the outcome of this step is unknown: run c.sh",
        "check whether it took effect",
    ]);
    assert_eq!(lines(&test, "ran"), 1);
    test.write("go", "");
    test.run(&["install", "blueprint.yaml"]).exits_with(0);
    assert_eq!(lines(&test, "ran"), 2);
    expect_clean(&test);
}

#[test]
fn odd_paths_and_variables_do_not_break_a_script() {
    let test = Test::new("odd");
    let operation = "{implementation: my script.sh, inputs: {PATH: /usr/bin:/bin, _dockctl_x: 1, code: c, run: r, command: d}}";
    write(&test, &templates(operation), &[]);
    test.write(
        "my script.sh",
        "#!/bin/sh\necho \"$code $run $command $(ctx node id)\"\n",
    );
    let mut command = test.command(&["install", "blueprint.yaml"]);
    let state = test.path("it's a state");
    let run = Run::from_output(&command.env("DOCKCTL_STATE_DIR", state).output().unwrap());
    run.exits_with(0).stderr_contains(&[
        "<out> c r d n\n",
        "warning: `PATH` of this operation replaces",
    ]);
}

#[test]
fn http_serves_only_its_own_path() {
    let test = Test::new("http");
    write(&test, &templates("c.sh"), &[]);
    test.write(
        "c.sh",
        "#!/bin/sh
ask() { curl -s -o answer -w '%{http_code} ' \"$@\"; cat answer; echo; }
ask -d '{\"args\": [\"node\", \"id\"]}' \"$CTX_SOCKET_URL\"
ask -d '{\"args\": [\"node\", \"id\"]}' \"${CTX_SOCKET_URL%/*}/\"
ask \"$CTX_SOCKET_URL\"
ask -d 'no json' \"$CTX_SOCKET_URL\"
",
    );
    let run = test.run(&["install", "blueprint.yaml"]).exits_with(0);
    run.stderr_contains(&[
        "<out> 200 {\"type\":\"result\",\"payload\":\"n\"}\n",
        "<out> 404 \n",
        "<out> 405 \n",
        "<out> 200 {\"type\":\"error\",\"payload\":{\"type\":\"ValueError\"",
    ]);
}

#[test]
fn variables_of_dockctl_do_not_reach_a_script() {
    let test = Test::new("variables");
    write(&test, &templates("c.sh"), &[]);
    test.write(
        "c.sh",
        "#!/bin/sh\nenv | grep -c '^DOCKCTL_'\nenv | grep '^DOCKCTL_'\necho \"$OTHER\"\n",
    );
    let mut command: Command = test.command(&["install", "blueprint.yaml"]);
    command
        .env("DOCKCTL_SECRET_X", "hidden")
        .env("DOCKCTL_INPUT_Y", "1")
        .env("OTHER", "seen");
    let run = Run::from_output(&command.output().unwrap()).exits_with(0);
    run.stderr_contains(&["<out> 0\n", "<out> seen\n"]);
}

#[test]
fn decorated_functions_get_only_what_they_name() {
    let test = Test::new("decorator");
    write(
        &test,
        &templates("{implementation: f.py, inputs: {a: 1, b: 2}}"),
        &[],
    );
    test.write("f.py", "from cloudify.decorators import operation\n\n@operation\ndef plain(a):\n    print('plain', a)\n\n@operation\ndef named(ctx, b, **rest):\n    print('named', ctx.node.id, b, rest)\n\nplain(a=7)\nplain(8)\nplain()\nnamed()\nnamed(c=3)\n");
    let installed = test.run(&["install", "blueprint.yaml"]).exits_with(0);
    installed.stderr_contains(&[
        "<out> plain 7\n",
        "<out> plain 8\n",
        "<out> plain 1\n",
        "<out> named n 2 {}\n",
        "<out> named n 2 {'c': 3}\n",
    ]);
}

#[test]
fn heal_is_retried_before_a_reinstall() {
    let test = Test::new("healretry");
    let templates = "
node_templates:
  n:
    type: cloudify.nodes.Root
    interfaces:
      cloudify.interfaces.validation: {check_status: check.sh}
      cloudify.interfaces.lifecycle:
        create: create.sh
        heal: {implementation: heal.sh, max_retries: 3, retry_interval: 0}
";
    write(&test, templates, &[]);
    test.write("create.sh", "#!/bin/sh\necho x >>created\n");
    test.write("check.sh", "#!/bin/sh\ntest -e healed\n");
    test.write(
        "heal.sh",
        "#!/bin/sh\necho x >>tries\ntest \"$(wc -l <tries)\" -ge 3 || exit 1\ntouch healed\n",
    );
    test.run(&["install", "blueprint.yaml"]).exits_with(0);
    let healed = test.run(&["heal", "--yes", "--task-retries", "0"]);
    let healed = healed.exits_with(0);
    // The check that failed is no result of the run: the instance is healed.
    assert!(!healed.stdout.contains("(failed)"), "{}", healed.stdout);
    assert!(!healed.stderr.contains("warning"), "{}", healed.stderr);
    assert_eq!((lines(&test, "tries"), lines(&test, "created")), (3, 1));
    // Only when the rule is exhausted, the instance is reinstalled.
    fs::remove_file(test.path("healed")).unwrap();
    test.write("heal.sh", "#!/bin/sh\necho x >>tries\nexit 1\n");
    test.run(&["install", "blueprint.yaml"]).exits_with(0);
    test.run(&["heal", "--yes"]);
    assert_eq!((lines(&test, "tries"), lines(&test, "created")), (7, 2));
    test.run(&["uninstall", "--yes"]).exits_with(0);
}
