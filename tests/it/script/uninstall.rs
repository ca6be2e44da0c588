//! What `uninstall` does with scripts.

use crate::support::{Run, Test};

const TYPES: &str =
    "tosca_definitions_version: cloudify_dsl_1_3\nimports: [cloudify/types/types.yaml]\n";

/// Writes a blueprint and scripts that each print their name.
pub(super) fn write(test: &Test, templates: &str, scripts: &[&str]) {
    test.write("blueprint.yaml", &format!("{TYPES}{templates}"));
    for name in scripts {
        test.write(name, "#!/bin/sh\necho \"ran ${0##*/}\"\n");
    }
}

/// Returns the scripts that a run ran, in order.
pub(super) fn ran(run: &Run) -> Vec<String> {
    let lines = run.stderr.lines();
    let names = lines.filter_map(|line| line.split_once("<out> ran "));
    names.map(|(_, name)| name.to_owned()).collect()
}

/// Returns a node with these operations on a host that dockctl does not reach.
fn on_other_host(operations: &str) -> String {
    format!(
        "
node_templates:
  vm: {{type: cloudify.nodes.Compute, properties: {{ip: 10.0.0.9}}}}
  app:
    type: cloudify.nodes.SoftwareComponent
    interfaces:
      cloudify.interfaces.lifecycle: {operations}
    relationships: [{{type: cloudify.relationships.contained_in, target: vm}}]"
    )
}

#[test]
fn scripts_of_other_hosts_are_left_out_and_not_undone() {
    let test = Test::new("left-out");
    let elsewhere = on_other_host(
        "{create: c.sh, stop: s.sh, delete: {implementation: d.sh, executor: central_deployment_agent}}",
    );
    let here = "
  here:
    type: cloudify.nodes.Root
    interfaces: {cloudify.interfaces.lifecycle: {create: c.sh, delete: d.sh}}
";
    let templates = elsewhere + here;
    write(&test, &templates, &["c.sh", "s.sh", "d.sh"]);
    test.run(&["install", "blueprint.yaml"])
        .exits_with(3)
        .stderr_contains(&[
            "node `app`: operation `cloudify.interfaces.lifecycle.create` runs on another host",
        ]);
    let valid = test.run(&["validate"]).exits_with(0);
    valid.stderr_contains(&["runs on another host, which dockctl does not support"]);
    let installed = test.run(&["install", "blueprint.yaml", "--skip-unsupported"]);
    assert_eq!(ran(&installed), ["c.sh"]);
    let removed = test.run(&["uninstall", "-y"]).exits_with(0);
    assert_eq!(ran(&removed), ["d.sh"]);
}

#[test]
fn a_failed_script_counts_as_run() {
    let test = Test::new("failed-create");
    let templates = "
node_templates:
  n:
    type: cloudify.nodes.Root
    interfaces: {cloudify.interfaces.lifecycle: {create: c.sh, stop: s.sh, delete: d.sh}}
";
    write(&test, templates, &["s.sh", "d.sh"]);
    test.write("c.sh", "#!/bin/sh\nexit 3\n");
    test.run(&["install", "blueprint.yaml", "--task-retries", "0"])
        .exits_with(1);
    let removed = test.run(&["uninstall", "-y"]).exits_with(0);
    assert_eq!(ran(&removed), ["s.sh", "d.sh"]);
}

#[test]
fn uninstall_needs_no_blueprint_directory() {
    let test = Test::new("no-directory");
    let templates = "
node_templates:
  n:
    type: cloudify.nodes.Root
    interfaces: {cloudify.interfaces.lifecycle: {create: c.sh, delete: d.sh}}
";
    write(&test, templates, &["c.sh"]);
    test.write(
        "d.sh",
        "#!/bin/sh\ncat \"$(ctx download-resource notes/n.txt)\"\n",
    );
    std::fs::create_dir(test.path("notes")).unwrap();
    test.write("notes/n.txt", "ran from the state directory\n");
    test.run(&["install", "blueprint.yaml"]).exits_with(0);
    for file in ["blueprint.yaml", "c.sh", "d.sh", "notes/n.txt"] {
        std::fs::remove_file(test.path(file)).unwrap();
    }
    let removed = test.run(&["uninstall", "-y"]).exits_with(0);
    assert_eq!(ran(&removed), ["from the state directory"]);
    let content = test.path("state/resources/content");
    assert_eq!(std::fs::read_dir(content).unwrap().count(), 0);
}

#[test]
fn what_install_left_out_is_left_out_of_other_workflows() {
    let test = Test::new("left-out-again");
    let templates = on_other_host(
        "{create: {implementation: c.sh, executor: central_deployment_agent}, start: s.sh, stop: s.sh}",
    );
    write(&test, &templates, &["c.sh", "s.sh"]);
    let installed = test.run(&["install", "blueprint.yaml", "--skip-unsupported"]);
    assert_eq!(ran(&installed), ["c.sh"]);
    let restarted = test.run(&["execute", "restart"]).exits_with(0);
    assert!(ran(&restarted).is_empty(), "{}", restarted.stderr);
    let again = test.run(&["reinstall", "-y"]).exits_with(0);
    assert_eq!(ran(&again), ["c.sh"]);
}
