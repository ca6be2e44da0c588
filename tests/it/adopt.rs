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
    failed.says(&["there is no container", "to adopt", "blueprint.yaml:9:24"]);
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

#[test]
fn a_container_can_be_named_by_its_id() {
    let test = Test::new("id");
    let id = test.foreign("db", &["sleep", "1000"]);
    test.blueprint(&ADOPTED.replace("name: PREFIX-db", &format!("name: {id}")));
    test.run(&["install"]).exits(0);
    test.run(&["status", "--exit-code"]).exits(0);
    test.run(&["plan", "--exit-code"]).exits(0);
    test.run(&["uninstall"]).exits(0);
    assert_eq!(test.containers(), ["PREFIX-db exited"]);
}

#[test]
fn a_container_that_was_replaced_is_adopted_anew() {
    let test = Test::new("replaced");
    test.foreign("db", &["sleep", "1000"]);
    docker(&["start", &test.name("db")]);
    test.blueprint(ADOPTED);
    test.run(&["install"]).exits(0);
    docker(&["rm", "-f", &test.name("db")]);
    let id = test.foreign("db", &["sleep", "2000"]);
    let status = test.run(&["status", "--exit-code", "--output", "json"]).exits(6).json();
    assert_eq!(status["instances"][0]["drift"], json!(["stopped", "replaced"]));
    let installed = test.run(&["install", "--output", "json"]).exits(0).json();
    assert_eq!(installed["instances"][0]["runtime_properties"]["container_id"], id);
    test.run(&["uninstall"]).exits(0);
    assert_eq!(test.containers(), ["PREFIX-db exited"]);
}

#[test]
fn a_running_container_that_somebody_paused_goes_on_again() {
    let test = Test::new("goes-on");
    test.foreign("db", &["sleep", "1000"]);
    docker(&["start", &test.name("db")]);
    test.blueprint(ADOPTED);
    test.run(&["install"]).exits(0);
    docker(&["pause", &test.name("db")]);
    test.run(&["uninstall"]).exits(0);
    assert_eq!(test.containers(), ["PREFIX-db running"]);
}

#[test]
fn a_container_that_is_adopted_has_one_instance() {
    let test = Test::new("one");
    test.blueprint(&(ADOPTED.to_owned() + "    instances: {deploy: 2}\n"));
    test.run(&["validate"]).exits(3).says(&["a node that adopts a container has exactly one instance"]);
}
