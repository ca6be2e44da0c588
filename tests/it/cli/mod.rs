//! The commands: output, exit codes, and effects on deployments.

pub(crate) mod args;
pub(crate) mod cancel;
pub(crate) mod completions;
pub(crate) mod config;
pub(crate) mod confirm;
mod documentation;
pub(crate) mod environment;
pub(crate) mod exec;
pub(crate) mod execute;
pub(crate) mod executions;
pub(crate) mod explain;
pub(crate) mod failures;
pub(crate) mod graph;
pub(crate) mod guard;
pub(crate) mod heal;
pub(crate) mod inspect;
pub(crate) mod logs;
pub(crate) mod output;
pub(crate) mod outputs;
pub(crate) mod resume;
pub(crate) mod rollback;
pub(crate) mod scale;
pub(crate) mod session;
pub(crate) mod status;
pub(crate) mod stop;
mod tables;
pub(crate) mod validate;
pub(crate) mod watch;

use crate::{
    cli::session::{is_waiting, never_ready},
    support::{Test, eventually},
};
use std::process::Child;

/// Two containers: `web` depends on `db`.
pub(crate) const PAIR: &str = "node_templates:
  db:
    type: cloudify.docker.Container
    properties: {name: PREFIX-db, image: {src: TARBALL, repository: dockctl-demo}}
    interfaces:
      cloudify.interfaces.lifecycle:
        create: {inputs: {params: {command: sh -c 'echo db says hello; echo db complains >&2; sleep 1000', stop_timeout: 0, host_config: {restart_policy: {Name: 'no'}}}}}
  web:
    type: cloudify.docker.Container
    properties: {name: PREFIX-web, image: {src: TARBALL, repository: dockctl-demo}}
    interfaces:
      cloudify.interfaces.lifecycle:
        create: {inputs: {params: {command: sh -c 'echo web says hello; sleep 1000', stop_timeout: 0}}}
    relationships: [{type: cloudify.relationships.connected_to, target: db}]
outputs:
  web-url: {value: \"it's here\"}
";

pub(crate) fn installed_pair(name: &str) -> Test {
    let test = Test::in_memory(name);
    test.blueprint(PAIR);
    test.run(&["install"]).exits_with(0);
    test
}

pub(crate) fn instance_id(test: &Test, node: &str) -> String {
    let status = test
        .run(&["status", "--output", "json"])
        .exits_with(0)
        .json();
    let found = status["instances"]
        .as_array()
        .unwrap()
        .iter()
        .find(|it| it["node"] == node)
        .unwrap()["id"]
        .clone();
    found.as_str().unwrap().to_owned()
}

pub(crate) fn drift(test: &Test) -> Vec<String> {
    let status = test
        .run(&["status", "--output", "json"])
        .exits_with(0)
        .json();
    status["instances"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["drift"].to_string())
        .collect()
}

/// Starts an install that waits for a process that never starts. Returns when its container runs.
pub(crate) fn start_waiting_install(test: &Test) -> Child {
    test.blueprint(&never_ready());
    let child = test.start(&["install"]);
    eventually("the container", || is_waiting(test));
    child
}

pub(crate) fn executions(test: &Test) -> Vec<serde_json::Value> {
    test.run(&["executions", "--output", "json"])
        .exits_with(0)
        .json()["executions"]
        .as_array()
        .unwrap()
        .clone()
}

/// Returns a blueprint in which `bad` fails at once and `slow` fails after a wait. `after` depends
/// on `bad`, and `bad` on `base`. `later` has no dependency.
pub(crate) fn failing_branches() -> String {
    let node = |name: &str, image: &str, start: &str, dependency: &str| {
        format!(
            "  {name}:
    type: cloudify.docker.Container
    properties: {{name: PREFIX-{name}, image: {image}}}
    interfaces:
      cloudify.interfaces.lifecycle:
        create: {{inputs: {{params: {{command: sleep 1000, stop_timeout: 0}}}}}}
        start: {{inputs: {{retry_interval: 1{start}}}}}
{dependency}"
        )
    };
    let dependency = |target: &str| {
        format!(
            "    relationships: [{{type: cloudify.relationships.connected_to, target: {target}}}]\n"
        )
    };
    let (good, bad) = (
        "{src: TARBALL, repository: dockctl-demo}",
        "{repository: PREFIX-absent, pull_policy: never}",
    );
    let slow = ", wait_for: {log: nothing, timeout: 3, interval: 0.1}";
    [
        "node_templates:\n".to_owned(),
        node("base", good, "", ""),
        node("bad", bad, "", &dependency("base")),
    ]
    .concat()
        + &node("after", good, "", &dependency("bad"))
        + &node("slow", good, slow, "")
        + &node("later", good, "", "")
}
