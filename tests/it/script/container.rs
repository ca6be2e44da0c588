//! Scripts that run inside of containers.

use crate::support::Test;
use serde_json::json;

/// Blueprint with one container `web`, and a node `fill` with a script in it.
fn blueprint(test: &Test, process: &str) {
    test.blueprint(&format!(
        "
node_types:
  filled: {{derived_from: cloudify.nodes.Root, properties: {{color: {{default: blue}}}}}}
node_templates:
  web:
    type: cloudify.docker.Container
    properties:
      name: PREFIX-web
      image: {{src: TARBALL, repository: dockctl-demo}}
    interfaces:
      cloudify.interfaces.lifecycle:
        create: {{inputs: {{params: {{command: sleep 1000}}}}}}
        start: {{inputs: {{processes_to_wait_for: [sleep]}}}}
        stop: {{inputs: {{params: {{timeout: 0}}}}}}
  fill:
    type: filled
    interfaces:
      cloudify.interfaces.lifecycle:
        start:
          implementation: fill.sh
          inputs:
            WHO: it's \"me\" $HOME
            process: {process}
    relationships: [{{type: cloudify.relationships.depends_on, target: web}}]
"
    ));
}

#[test]
fn a_script_in_a_container_talks_to_its_deployment() {
    let test = Test::new("inside");
    blueprint(
        &test,
        "{container: web, env: {GREETING: hello}, args: [one, '\"two words\"']}",
    );
    test.write(
        "fill.sh",
        "#!/bin/sh
echo \"$GREETING $WHO $#:$2\"
echo err >&2
ctx logger info \"color $(ctx node properties color)\"
ctx instance runtime-properties where \"$(cat /etc/mark 2>/dev/null || hostname)\"
ctx instance runtime-properties quoted \"line 1
line \\\"2\\\" ü \\\\ %\"
ctx -j instance runtime-properties quoted
echo
for i in 1 2 3 4 5 6 7 8; do ctx instance runtime-properties k$i v$i & done; wait
ctx instance runtime-properties nope; echo rc=$?
ctx instance runtime-properties x -v; echo rc=$?
path=$(ctx download-resource note.txt); cat \"$path\"
ctx returns done
",
    );
    test.write("note.txt", "from the blueprint\n");
    let run = test.run(&["install", "--progress", "json"]).exits_with(0);
    let run = run.stderr_contains(&[
        "\"<out> hello it's \\\"me\\\" $HOME 2:two words\"",
        "\"<err> err\"",
        "\"color blue\"",
        "\"<out> \\\"line 1\\\\nline \\\\\\\"2\\\\\\\" \\\\u00fc \\\\\\\\ %\\\"\"",
        "\"<err> ctx: RuntimeError: illegal path: nope\"",
        "\"<out> rc=1\"",
        "\"<out> rc=2\"",
        "\"<out> from the blueprint\"",
        "\"result\":\"done\"",
    ]);
    drop(run);
    let status = test.run(&["status", "--output", "json"]).json();
    let fill = &status["instances"].as_array().unwrap().iter();
    let fill = fill.clone().find(|it| it["node"] == "fill").unwrap();
    let properties = &fill["runtime_properties"];
    let container = test.inspect("web", "{{.Config.Hostname}}");
    assert_eq!(properties["where"], json!(container.trim()));
    assert_eq!(properties["quoted"], json!("line 1\nline \"2\" ü \\ %"));
    for i in 1..=8 {
        assert_eq!(properties[format!("k{i}")], json!(format!("v{i}")));
    }
    let left = test.docker(&[
        "exec",
        &test.name("web"),
        "sh",
        "-c",
        "ls -d /tmp/dockctl-* 2>/dev/null | wc -l",
    ]);
    assert_eq!(left.trim(), "0", "the directory is removed");
    test.run(&["uninstall", "-y"]).exits_with(0);
}

#[test]
fn a_failing_script_in_a_container_fails_its_operation() {
    let test = Test::new("inside-fails");
    blueprint(&test, "{container: web}");
    test.write(
        "fill.sh",
        "#!/bin/sh\nnohup sleep 300 >/dev/null 2>&1 &\necho last words\nexit 7\n",
    );
    let failed = test.run(&["install", "--task-retries", "0"]).exits_with(1);
    failed.stderr_contains(&["exit_code: 7", "    | last words\n"]);
    test.write("fill.sh", "#!/bin/sh\nctx abort-operation 'not here'\n");
    let failed = test.run(&["install", "--task-retries", "3"]).exits_with(1);
    failed.stderr_contains(&["fill_", "failed: not here\n"]);
    test.run(&["uninstall", "-y"]).exits_with(0);
}

#[test]
fn a_container_that_is_no_node_is_refused_before_the_run() {
    let test = Test::new("inside-unknown");
    blueprint(&test, "{container: nope}");
    test.write("fill.sh", "#!/bin/sh\nexit 0\n");
    let refused = test.run(&["install"]).exits_with(3);
    refused.stderr_contains(&["`process.container` names `nope`"]);
}

#[test]
fn a_script_runs_again_in_a_recreated_container() {
    let test = Test::in_memory("inside-again");
    blueprint(&test, "{container: web}");
    // No relationship: the setting alone determines the order.
    let path = test.path("blueprint.yaml");
    let text = std::fs::read_to_string(&path).unwrap();
    let text = text.replace(
        "relationships: [{type: cloudify.relationships.depends_on, target: web}]",
        "",
    );
    let (head, nodes) = text.split_once("node_templates:\n").unwrap();
    let (web, fill) = nodes.split_once("  fill:").unwrap();
    std::fs::write(&path, format!("{head}node_templates:\n  fill:{fill}{web}")).unwrap();
    test.write(
        "fill.sh",
        &format!("#!/bin/sh\necho x >>{}\n", test.path("ran").display()),
    );
    test.run(&["install"]).exits_with(0);
    test.docker(&["rm", "-f", &test.name("web")]);
    test.run(&["heal", "-y"]).exits_with(0);
    let ran = std::fs::read_to_string(test.path("ran")).unwrap();
    assert_eq!(ran, "x\nx\n");
    test.run(&["uninstall", "-y"]).exits_with(0);
}

#[test]
fn settings_that_make_no_sense_are_refused_before_the_run() {
    let test = Test::in_memory("settings");
    test.write("fill.sh", "#!/bin/sh\nexit 0\n");
    for (process, why) in [
        (
            "{container: [web]}",
            "`process.container` is not the name of a node",
        ),
        (
            "{on_unknown: maybe}",
            "`process.on_unknown` is `rerun` or `fail`",
        ),
    ] {
        blueprint(&test, process);
        test.run(&["install"]).exits_with(3).stderr_contains(&[why]);
    }
}
