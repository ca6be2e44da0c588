//! A crash sweep: kills dockctl at each line of progress of an install and an uninstall with
//! containers and scripts, and runs the same command again.
//!
//! Tries a sample of the points. With `DOCKCTL_SWEEP=all`, tries all.

use crate::support::{Run, Test};
use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead as _, BufReader},
};

const TEMPLATES: &str = "
relationships:
  joined:
    derived_from: cloudify.relationships.connected_to
    source_interfaces:
      cloudify.interfaces.relationship_lifecycle: {establish: join.sh, unlink: part.sh}
node_templates:
  web:
    type: cloudify.docker.Container
    properties: {name: PREFIX-web, image: {src: TARBALL, repository: dockctl-demo}}
    interfaces:
      cloudify.interfaces.lifecycle:
        create: {inputs: {params: {command: sleep 1000}}}
        stop: {inputs: {params: {timeout: 0}}}
  here:
    type: cloudify.nodes.Root
    interfaces:
      cloudify.interfaces.lifecycle: {create: create.sh, start: start.py, stop: stop.sh}
    relationships: [{type: joined, target: web}]
  inside:
    type: cloudify.nodes.Root
    interfaces:
      cloudify.interfaces.lifecycle:
        start: {implementation: inside.sh, inputs: {process: {container: web}}}
    relationships: [{type: cloudify.relationships.depends_on, target: here}]
";

/// A script that records its runs, and runs that overlap. A dead process that its parent has not
/// noticed does not overlap.
fn script(test: &Test, name: &str, own: &str) {
    let directory = test.directory.path().display();
    let text = format!(
        "#!/bin/sh
case $(cut -d ' ' -f 3 /proc/$(cat {directory}/busy-{name} 2>/dev/null || echo none)/stat 2>/dev/null) in
'' | Z) ;;
*) echo {name} >>{directory}/overlaps ;;
esac
echo $$ >{directory}/busy-{name}
echo {name} >>{directory}/runs
echo begin
{own}
echo end
"
    );
    test.write(name, &text);
}

fn set_up(name: &str) -> Test {
    let test = Test::in_memory(name);
    test.blueprint(TEMPLATES);
    script(
        &test,
        "create.sh",
        "ctx instance runtime-properties a.b 1\nsleep 0.05\nctx returns made",
    );
    script(
        &test,
        "join.sh",
        "ctx target instance runtime-properties peer \"$(ctx source node name)\"",
    );
    script(
        &test,
        "part.sh",
        "ctx target instance runtime-properties peer @null",
    );
    script(&test, "stop.sh", "sleep 0.05");
    script(
        &test,
        "inside.sh",
        "ctx instance runtime-properties where inside",
    );
    let python = format!(
        "import time\nfrom cloudify import ctx\nopen('{}/runs', 'a').write('start.py\\n')\nctx.instance.runtime_properties['p'] = [1]\nprint('middle')\ntime.sleep(0.05)\n",
        test.directory.path().display()
    );
    test.write("start.py", &python);
    test
}

/// Runs a command and kills it when its `at`th line of progress appears. Returns its lines, and
/// whether it was killed.
fn run_killed(test: &Test, command: &[&str], at: usize) -> (usize, bool) {
    let mut child = test.start(&[command, &["--progress", "plain"]].concat());
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut seen = 0;
    for _ in lines.map_while(Result::ok) {
        seen += 1;
        if seen == at {
            child.kill().unwrap();
            break;
        }
    }
    let status = child.wait().unwrap();
    (seen, !status.success())
}

/// Returns how often each script ran, and removes the record.
fn runs(test: &Test) -> BTreeMap<String, usize> {
    let text = fs::read_to_string(test.path("runs")).unwrap_or_default();
    let _ = fs::remove_file(test.path("runs"));
    let mut counts = BTreeMap::new();
    for name in text.lines() {
        *counts.entry(name.to_owned()).or_insert(0) += 1;
    }
    counts
}

/// Asserts that each script ran once, or twice if its first run was cut off.
fn expect_runs(test: &Test, names: &[&str], point: &str) {
    let counts = runs(test);
    assert_eq!(counts.keys().collect::<Vec<_>>(), names, "{point}");
    let twice: Vec<_> = counts.iter().filter(|(_, count)| **count == 2).collect();
    assert!(
        counts.values().all(|count| *count <= 2),
        "{point}: {counts:?}"
    );
    assert!(twice.len() <= 1, "{point}: {counts:?}");
    assert!(
        !test.path("overlaps").exists(),
        "{point}: two runs overlapped"
    );
}

fn expect_installed(test: &Test, point: &str) {
    expect_runs(
        test,
        &["create.sh", "inside.sh", "join.sh", "start.py"],
        point,
    );
    let status = test
        .run(&["status", "--output", "json"])
        .exits_with(0)
        .json();
    let instances = status["instances"].as_array().unwrap();
    let of = |node: &str| {
        let found = instances.iter().find(|it| it["node"] == node).unwrap();
        assert_eq!(found["state"], "started", "{point}");
        found["runtime_properties"].clone()
    };
    assert_eq!(
        of("here"),
        serde_json::json!({ "a": { "b": "1" }, "p": [1] }),
        "{point}"
    );
    assert_eq!(
        of("inside"),
        serde_json::json!({ "where": "inside" }),
        "{point}"
    );
    assert_eq!(of("web")["peer"], "here", "{point}");
}

fn again(test: &Test, command: &[&str], point: &str) {
    let run: Run = test.run(command);
    assert_eq!(run.code, 0, "{point}: {}", run.stderr);
    let left = test.path("state/runs");
    let left = fs::read_dir(left).map_or(0, Iterator::count);
    assert_eq!(left, 0, "{point}: directories of runs are left");
}

#[test]
fn a_killed_run_with_scripts_is_resumed_at_any_line() {
    let test = set_up("script-crash");
    let all = std::env::var("DOCKCTL_SWEEP").is_ok_and(|value| value == "all");
    let step = if all { 1 } else { 4 };
    let (install, uninstall) = (&["install"][..], &["uninstall", "-y"][..]);
    let mut points = 0;
    // Another first point each time, so that all kinds of lines occur.
    for first in (1..).step_by(step) {
        let point = format!("killed at line {first} of the install");
        let (seen, is_killed) = run_killed(&test, install, first);
        again(&test, install, &point);
        expect_installed(&test, &point);
        let point = format!("killed at line {first} of the uninstall");
        let (_, is_cut) = run_killed(&test, uninstall, first);
        if is_cut {
            again(&test, uninstall, &point);
        }
        expect_runs(&test, &["part.sh", "stop.sh"], &point);
        points += usize::from(is_killed) + usize::from(is_cut);
        if seen < first {
            break;
        }
    }
    println!("killed at {points} points");
    assert!(points >= 8, "{points} points");
}
