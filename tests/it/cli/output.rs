//! Standard output, standard error and exit codes.

use crate::{docker::install::SLEEPER, support::Test};
use serde_json::{Value as Json, json};
use std::process::{Command, Stdio};

const OUTPUTS: &str = "outputs:
  ip: {value: {get_attribute: [web, network_settings, IPAddress]}}
  missing: {value: {get_attribute: [web, no, such]}}
";

/// Runs a command that must succeed and returns its JSON document.
fn json_document(test: &Test, arguments: &[&str]) -> Json {
    let json = test
        .run(&[arguments, &["--output", "json"]].concat())
        .exits_with(0)
        .json();
    assert_eq!(
        (&json["format"], &json["kind"], &json["ok"]),
        (&json!(1), &json!(arguments[0]), &json!(true)),
        "{json}"
    );
    json
}

fn expect_installed(test: &Test, instance: &Json) {
    assert_eq!(
        (
            &instance["node"],
            &instance["index"],
            &instance["state"],
            &instance["adopted"]
        ),
        (&json!("web"), &json!(0), &json!("started"), &json!(false))
    );
    assert_eq!(instance["objects"][0]["kind"], "container");
    assert_eq!(instance["objects"][0]["name"], test.name("web"));
    assert_eq!(
        instance["objects"][0]["id"],
        instance["runtime_properties"]["container_id"]
    );
}

fn expect_first_and_last_event(events: &Json) {
    assert_eq!(
        events["events"].as_array().unwrap().first().unwrap()["event"]["event"],
        "execution_started"
    );
    assert_eq!(
        events["events"].as_array().unwrap().last().unwrap()["event"]["outcome"],
        "terminated"
    );
}

#[test]
fn every_command_writes_one_json_document() {
    let test = Test::in_memory("json");
    test.blueprint(&(SLEEPER.to_owned() + OUTPUTS));
    let document = |arguments: &[&str]| json_document(&test, arguments);
    assert_eq!(document(&["validate"])["valid"], true);
    let plan = document(&["plan"]);
    let steps: Vec<&str> = plan["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| step["operation"].as_str().unwrap())
        .collect();
    assert_eq!(steps, ["create", "create", "start", "start"]);
    assert_eq!(plan["changes"], true);
    let planned = plan["steps"][0]["instance"].clone();

    let installed = document(&["install"]);
    assert_eq!(
        (
            &installed["execution"]["outcome"],
            &installed["execution"]["done"]
        ),
        (&json!("terminated"), &json!(4))
    );
    assert_eq!(
        installed["instances"][0]["id"], planned,
        "plan and install choose the same instance ID"
    );
    expect_installed(&test, &document(&["status"])["instances"][0]);
    let outputs = document(&["outputs"]);
    assert_eq!(
        outputs["outputs"],
        json!({ "ip": test.inspect("web", "{{.NetworkSettings.IPAddress}}"), "missing": null })
    );
    assert_eq!(
        document(&["list"])["deployments"][0]["deployment"],
        test.prefix
    );
    let executions = document(&["executions"]);
    let id = executions["executions"][0]["id"].as_str().unwrap();
    expect_first_and_last_event(&document(&["executions", id]));
    assert_eq!(
        document(&["uninstall"])["execution"]["outcome"],
        "terminated"
    );
    assert_eq!(document(&["list"])["deployments"], json!([]));
}

#[test]
fn usage_error_exits_with_2_and_writes_a_document() {
    let test = Test::in_memory("usage");
    test.run(&["frobnicate"]).exits_with(2);
    let json = test
        .run(&["list", "--no-such-flag", "--output", "json"])
        .exits_with(2)
        .json();
    assert_eq!(
        (&json["ok"], &json["error"]["code"]),
        (&json!(false), &json!("usage"))
    );
    test.run(&["status"])
        .exits_with(2)
        .stderr_contains(&["there is no deployment"]);
    test.run(&["install", "-d", "Not a name"]).exits_with(3);
    test.blueprint(SLEEPER);
    test.run(&["install", "-d", "Not a name"])
        .exits_with(2)
        .stderr_contains(&["is not a valid deployment name"]);
    test.run(&["--version"]).exits_with(0);
}

#[test]
fn progress_is_written_to_stderr_and_results_to_stdout() {
    let test = Test::in_memory("streams");
    test.blueprint(SLEEPER);
    let plain = test.run(&["install"]).exits_with(0);
    let has_timestamp =
        |line: &str| line.len() > 21 && line.as_bytes()[4] == b'-' && line.as_bytes()[19] == b'Z';
    assert!(
        plain.stderr.lines().all(has_timestamp),
        "without a terminal, each line has a timestamp:\n{}",
        plain.stderr
    );
    assert!(plain.stdout.starts_with("INSTANCE"), "{}", plain.stdout);
    let uninstall = test.run(&["uninstall", "--progress", "json"]).exits_with(0);
    let events: Vec<Json> = uninstall
        .stderr
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert!(
        events
            .iter()
            .all(|event| event["version"] == 1 && event["event"].is_string())
    );
    assert!(
        events
            .iter()
            .any(|event| event["event"] == "task_succeeded" && event["operation"] == "delete")
    );
    assert!(
        test.run(&["install", "--progress", "quiet"])
            .exits_with(0)
            .stderr
            .is_empty()
    );
}

#[test]
fn terminal_shows_a_live_view() {
    let test = Test::in_memory("tty");
    let slow = "\"sh -c 'sleep 1; exec sleep $((1000 + 1))'\"";
    test.blueprint(
        &SLEEPER
            .replace("sleep 1000", slow)
            .replace("[sleep]", "['sleep 1001']"),
    );
    let inner = test.command(&["install"]);
    let line = format!("{} install", inner.get_program().to_string_lossy());
    let mut command = Command::new("script");
    command
        .args(["-qec", &line, "/dev/null"])
        .current_dir(test.directory.path())
        .stdin(Stdio::null())
        .env("TERM", "xterm");
    command
        .envs(
            inner
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        )
        .env_remove("NO_COLOR");
    let output = command
        .output()
        .expect("start script; Debian always includes it");
    let screen = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{screen}");
    for part in [
        "3/4 steps",
        "✓",
        "waiting for process sleep 1001",
        "\u{1b}[",
        "INSTANCE",
        "install completed",
    ] {
        assert!(screen.contains(part), "`{part}` is not in:\n{screen}");
    }
    assert!(
        !screen.contains("] done: "),
        "plain progress lines on a terminal:\n{screen}"
    );
}

#[test]
fn closed_pipe_is_not_an_error() {
    let test = Test::in_memory("pipe");
    let program = env!("CARGO_BIN_EXE_dockctl");
    let run = Command::new("sh")
        .args([
            "-c",
            &format!("{program} --help | true; {program} list --all | true"),
        ])
        .env("DOCKCTL_STATE_DIR", test.path("state"))
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&run.stderr), "");
}

#[test]
fn deployment_is_named_after_its_directory() {
    let test = Test::in_memory("named");
    let directory = test.path(&format!("{} App", test.prefix));
    std::fs::create_dir(&directory).unwrap();
    test.blueprint(SLEEPER);
    std::fs::rename(
        test.path("blueprint.yaml"),
        directory.join("blueprint.yaml"),
    )
    .unwrap();
    let run_in_directory = |arguments: &[&str]| {
        let output = test
            .command(arguments)
            .env_remove("DOCKCTL_DEPLOYMENT")
            .current_dir(&directory)
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    run_in_directory(&["install"]);
    let label = test.docker(&[
        "inspect",
        "--format",
        "{{index .Config.Labels \"dockctl.deployment\"}}",
        &test.name("web"),
    ]);
    assert_eq!(label, format!("{}-app", test.prefix));
    assert!(run_in_directory(&["status"]).contains("started"));
    run_in_directory(&["uninstall"]);
    assert!(test.containers().is_empty());
}

#[test]
fn blueprint_warning_is_reported_once() {
    let test = Test::in_memory("once");
    let reader = SLEEPER.replace(
        "command: sleep 1000",
        "command: sleep 1000, environment: {A: {get_attribute: [db, ip]}}",
    );
    let db = SLEEPER
        .replace("\nnode_templates:\n", "")
        .replace("web", "db");
    test.blueprint(&(reader + &db));
    for command in [&["install"][..], &["update"], &["uninstall"]] {
        let run = test.run(command).exits_with(0);
        let warnings = run.stderr.matches("warning[D0122]").count();
        assert!(warnings <= 1, "{command:?}: {}", run.stderr);
        assert_eq!(
            warnings == 1,
            command[0] != "uninstall",
            "{command:?}: {}",
            run.stderr
        );
    }
}

#[test]
fn blueprint_is_read_from_standard_input() {
    let test = Test::in_memory("stdin");
    test.blueprint(crate::cli::PAIR);
    let text = std::fs::read_to_string(test.path("blueprint.yaml")).unwrap();
    std::fs::remove_file(test.path("blueprint.yaml")).unwrap();
    let with_input = |arguments: &[&str]| {
        let mut command = test.command(arguments);
        command.stdin(std::process::Stdio::piped());
        command
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped());
        let mut child = command.spawn().unwrap();
        let _ = std::io::Write::write_all(child.stdin.as_mut().unwrap(), text.as_bytes());
        drop(child.stdin.take());
        crate::support::Run::from_output(&child.wait_with_output().unwrap())
    };
    let name = test.name("piped");
    let mut unnamed = std::process::Command::new(env!("CARGO_BIN_EXE_dockctl"));
    let unnamed = unnamed
        .args(["install", "-"])
        .env_remove("DOCKCTL_DEPLOYMENT");
    let unnamed = unnamed.stdin(std::process::Stdio::null()).output().unwrap();
    crate::support::Run::from_output(&unnamed)
        .exits_with(2)
        .stderr_contains(&["has no name", "-d NAME"]);
    with_input(&["validate", "-"]).exits_with(0);
    with_input(&["install", "-", "-d", &name]).exits_with(0);
    with_input(&["plan", "-", "-d", &name, "--exit-code"]).exits_with(0);
    with_input(&["update", "-", "-d", &name, "--yes"]).exits_with(0);
    test.run(&["uninstall", &name]).exits_with(0);
}

/// Scripts and host paths in binds, too, are relative to the current directory.
#[test]
fn files_of_a_blueprint_on_standard_input_are_found() {
    let test = Test::new("stdinfiles");
    test.write("made.sh", "#!/bin/sh\necho made > made-by-script\n");
    test.blueprint(
        "node_templates:
  web:
    type: cloudify.docker.Container
    properties: {name: PREFIX-web, image: {src: TARBALL, repository: dockctl-demo}}
    interfaces:
      cloudify.interfaces.lifecycle:
        create: {inputs: {params: {command: sleep 1000, host_config: {binds: ['./data:/data']}}}}
        stop: {inputs: {params: {timeout: 0}}}
  script:
    type: cloudify.nodes.Root
    interfaces: {cloudify.interfaces.lifecycle: {create: made.sh}}
",
    );
    let text = std::fs::File::open(test.path("blueprint.yaml")).unwrap();
    let mut command = test.command(&["install", "-"]);
    let output = command.stdin(text).output().unwrap();
    crate::support::Run::from_output(&output).exits_with(0);
    let bind = test.inspect("web", "{{index .HostConfig.Binds 0}}");
    let data = test.path("data").canonicalize().unwrap();
    assert_eq!(bind, format!("{}:/data", data.display()));
    test.run(&["uninstall"]).exits_with(0);
}

#[test]
fn path_that_is_not_utf8_is_refused_and_can_be_written_to() {
    use std::os::unix::ffi::OsStrExt as _;
    let test = Test::in_memory("bytes");
    test.blueprint(crate::cli::PAIR);
    let directory = test.path("blueprint.yaml");
    let path = directory.with_file_name(std::ffi::OsStr::from_bytes(b"caf\xe9.yaml"));
    std::fs::copy(&directory, &path).unwrap();
    let run = |arguments: &[&str], last: &std::path::Path| {
        let mut command = test.command(arguments);
        let output = command.arg(last).output().unwrap();
        crate::support::Run::from_output(&output)
    };
    for command in ["validate", "install", "plan"] {
        run(&[command], &path)
            .exits_with(3)
            .stderr_contains(&["is not UTF-8"]);
    }
    let out = path.with_extension("json");
    run(&["plan", "--out"], &out).exits_with(0);
    assert!(out.exists());
    let svg = path.with_extension("svg");
    run(&["graph", "--output", "json", "--out"], &svg).exits_with(0);
    assert!(svg.exists());
}

#[test]
fn error_report_is_json_with_json_progress() {
    let test = Test::in_memory("jsonerror");
    test.blueprint("node_templates:\n  web:\n    type: cloudify.docker.Container\n    properties: {name: PREFIX-web, image: {repository: no/such, pull_policy: never}}\n");
    let run = test.run(&["install", "--progress", "json"]).exits_with(1);
    let lines: Vec<Json> = run
        .stderr
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect();
    let last = lines.last().unwrap();
    assert_eq!(
        (&last["event"], &last["exit"]),
        (&"error".into(), &1.into())
    );
    assert_eq!(last["error"]["code"], "failed");
    assert!(
        last["execution"]["failed"][0]["failure"]["message"].is_string(),
        "{last}"
    );
}

#[test]
fn no_line_of_progress_is_a_command_to_a_pipeline() {
    let test = Test::new("pipeline");
    test.blueprint("node_templates:\n  web:\n    type: cloudify.docker.Container\n    properties: {name: PREFIX-web, image: {src: TARBALL, repository: dockctl-demo}}\n    interfaces:\n      cloudify.interfaces.lifecycle:\n        create: {inputs: {params: {command: [sh, -c, 'printf \"::set-env name=a::b\\n\\033[2J##[group]x\\n\"; exit 3']}}}\n        start: {inputs: {wait_for: [{works_for: 5s}]}}\n");
    for progress in ["plain", "quiet"] {
        let run = test.run(&["install", "--progress", progress]).exits_with(1);
        assert!(run.stderr.contains("set-env"), "{}", run.stderr);
        let is_command = |line: &str| line.trim_start().starts_with("::") || line.contains("##[");
        assert!(!run.stderr.lines().any(is_command), "{}", run.stderr);
        assert!(!run.stderr.contains('\u{1b}'), "{}", run.stderr);
        test.run(&["uninstall"]).exits_with(0);
    }
}

/// Names and outputs are data of others. In a pipeline, no line of a result is a command; variables
/// for programs are not changed.
#[test]
fn results_are_escaped_in_a_pipeline() {
    let test = Test::in_memory("results");
    test.blueprint(
        r#"node_templates:
  "b\e[8m\n::error::x": {type: cloudify.nodes.Compute, properties: {ip: "\e[31m1\n::error::2 ##[x"}}
outputs: {o: {value: {get_property: ["b\e[8m\n::error::x", ip]}}}
"#,
    );
    let run = |arguments: &[&str]| {
        let mut command = test.command(arguments);
        let output = command.env("GITHUB_ACTIONS", "true").output().unwrap();
        assert!(output.status.success(), "{arguments:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let plan = run(&["plan"]);
    test.run(&["install"]).exits_with(0);
    let texts = [plan, run(&["status"]), run(&["list"]), run(&["outputs"])];
    for text in texts {
        let is_command = |line: &str| line.trim_start().starts_with("::") || line.contains("##[");
        assert!(!text.lines().any(is_command), "{text}");
        assert!(!text.contains('\u{1b}'), "{text}");
    }
    assert_eq!(
        run(&["outputs", "--format", "env"]),
        "o=\u{1b}[31m1\\n::error::2 ##[x\n"
    );
}

#[test]
fn list_shows_damaged_and_emptied_journals() {
    let test = Test::in_memory("emptied");
    test.blueprint(crate::cli::PAIR);
    test.run(&["install"]).exits_with(0);
    let journals = std::fs::read_dir(test.path("state/deployments"))
        .unwrap()
        .flatten();
    let mut journals = journals.map(|it| it.path());
    let journal = journals
        .find(|it| it.extension().is_some_and(|it| it == "db"))
        .unwrap();
    let kept = std::fs::read(&journal).unwrap();
    for content in [&b""[..], b"this is no database, and never was one"] {
        std::fs::write(&journal, content).unwrap();
        let list = test.run(&["list", "--output", "json"]).exits_with(0).json();
        assert_eq!(list["deployments"][0]["state"], "unreadable", "{list}");
        assert!(list["deployments"][0]["why"].is_string());
    }
    std::fs::remove_file(&journal).unwrap();
    std::os::unix::fs::symlink("/no/such/file", &journal).unwrap();
    let list = test.run(&["list", "--output", "json"]).exits_with(0).json();
    assert_eq!(list["deployments"][0]["state"], "unreadable", "{list}");
    std::fs::remove_file(&journal).unwrap();
    std::fs::write(&journal, kept).unwrap();
    test.run(&["uninstall"]).exits_with(0);
}

/// Errors before the command begins, warnings and the log are JSON too.
#[test]
fn every_line_is_json_with_json_progress() {
    let test = Test::in_memory("jsonlines");
    test.blueprint(crate::cli::PAIR);
    let lines = |arguments: &[&str]| -> (i32, Vec<Json>) {
        let mut command = test.command(arguments);
        command.current_dir(test.path("."));
        let run = command.env("DOCKCTL_INPUTZ", "x").output().unwrap();
        let text = String::from_utf8(run.stderr).unwrap();
        let parse = |line| {
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}\n{text}"))
        };
        (
            run.status.code().unwrap(),
            text.lines().map(parse).collect(),
        )
    };
    let json = ["--progress", "json"];
    let (code, all) = lines(&[&["install", "-v", "-v"][..], &json].concat());
    assert_eq!(code, 0);
    let texts: Vec<&str> = all.iter().filter_map(|it| it["text"].as_str()).collect();
    assert!(
        texts.iter().any(|it| it.contains("DOCKCTL_INPUTZ")),
        "{texts:?}"
    );
    assert!(texts.iter().any(|it| it.contains("DEBUG")), "{texts:?}");
    test.write("dockctl.toml", "no-such-key = 1\n");
    let (code, all) = lines(&[&["install"][..], &json].concat());
    let last = all.last().unwrap();
    assert_eq!(
        (&last["event"], &last["kind"]),
        (&"error".into(), &"install".into())
    );
    assert_eq!(last["exit"], code);
}
