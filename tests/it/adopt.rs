//! Containers that exist already.

use crate::support::{Test, docker};
use serde_json::json;

const ADOPTED: &str = "
node_templates:
  db:
    type: cloudify.docker.Container
    properties: {name: PREFIX-db, use_external_resource: true}
    interfaces:
      cloudify.interfaces.lifecycle:
        stop: {inputs: {params: {timeout: 0}}}
";

#[test]
fn a_running_container_is_left_alone_from_end_to_end() {
    let test = Test::new("running");
    test.foreign("db", &["sleep", "1000"]);
    docker(&["start", &test.name("db")]);
    let before = test.inspect("db", "{{.Id}} {{.State.StartedAt}} {{.HostConfig}} {{.Config}}");
    test.blueprint(ADOPTED);
    test.run(&["install"]).exits(0);
    let status = test.run(&["status", "--output", "json"]).exits(0).json();
    assert_eq!((&status["instances"][0]["adopted"], &status["instances"][0]["objects"][0]["state"]), (&json!(true), &json!("running")));
    test.run(&["uninstall"]).exits(0);
    assert_eq!(test.inspect("db", "{{.Id}} {{.State.StartedAt}} {{.HostConfig}} {{.Config}}"), before);
    assert_eq!(test.containers(), ["PREFIX-db running"]);
}

#[test]
fn a_stopped_container_is_started_and_stopped_again() {
    let test = Test::new("stopped");
    test.foreign("db", &["sleep", "1000"]);
    // With or without the slash that the engine writes.
    test.blueprint(&ADOPTED.replace("name: PREFIX-db", "name: /PREFIX-db"));
    test.run(&["install"]).exits(0);
    assert_eq!(test.containers(), ["PREFIX-db running"]);
    // A second install, even after somebody stopped it, still knows how it was found.
    docker(&["stop", "-t", "0", &test.name("db")]);
    test.run(&["install"]).exits(0);
    assert_eq!(test.containers(), ["PREFIX-db running"]);
    test.run(&["uninstall"]).exits(0);
    assert_eq!(test.containers(), ["PREFIX-db exited"]);
}

#[test]
fn a_paused_container_is_paused_again() {
    let test = Test::new("paused");
    test.foreign("db", &["sleep", "1000"]);
    docker(&["start", &test.name("db")]);
    docker(&["pause", &test.name("db")]);
    test.blueprint(ADOPTED);
    test.run(&["install"]).exits(0);
    assert_eq!(test.containers(), ["PREFIX-db running"]);
    test.run(&["uninstall"]).exits(0);
    assert_eq!(test.containers(), ["PREFIX-db paused"]);
    docker(&["unpause", &test.name("db")]);
}

#[test]
fn only_the_exact_name_is_adopted() {
    let test = Test::new("exact");
    test.foreign("db-2", &["sleep", "1000"]);
    test.blueprint(ADOPTED);
    let failed = test.run(&["install"]).exits(1);
    failed.says(&["there is no container", "to adopt", "blueprint.yaml:7:3"]);
    assert_eq!(test.containers(), ["PREFIX-db-2 created"]);
    test.run(&["uninstall"]).exits(0);
    assert_eq!(test.containers(), ["PREFIX-db-2 created"]);
}

#[test]
fn what_was_removed_behind_our_back_is_no_fault_of_uninstall() {
    let test = Test::new("removed");
    test.foreign("db", &["sleep", "1000"]);
    test.blueprint(ADOPTED);
    test.run(&["install"]).exits(0);
    docker(&["rm", "-f", &test.name("db")]);
    test.run(&["uninstall"]).exits(0);
    assert!(test.containers().is_empty());
}

#[test]
fn parameters_of_an_adopted_container_are_warned_of() {
    let test = Test::new("warned");
    test.blueprint(&ADOPTED.replace("        stop:", "        create: {inputs: {params: {command: sleep 1}}}\n        stop:"));
    test.run(&["validate"]).exits(0).says(&["`command` has no effect: an adopted container is never changed"]);
    test.run(&["validate", "--strict"]).exits(3);
}
