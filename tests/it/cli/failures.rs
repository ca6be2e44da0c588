//! Steps that still run after a failure, and `--ignore-failure`.

use crate::{
    cli::{executions, failing_branches},
    docker::install::SLEEPER,
    support::Test,
};
use std::time::{Duration, Instant};

#[test]
fn failure_stops_only_dependents_unless_fail_fast() {
    let test = Test::in_memory("branches");
    test.blueprint(&failing_branches());
    let failed = test.run(&["install", "--output", "json"]).exits_with(1);
    assert!(
        test.containers()
            .contains(&"PREFIX-later running".to_owned()),
        "{:?}\n{}",
        test.containers(),
        failed.stderr
    );
    let json = failed.json();
    let causes: Vec<&str> = json["execution"]["failed"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["failure"]["message"].as_str().unwrap())
        .collect();
    assert_eq!(causes.len(), 2, "one cause per failed instance: {causes:?}");
    assert!(
        json["skipped"][0].as_str().unwrap().starts_with("after_"),
        "{json:#}"
    );
    failed.stderr_contains(&[
        "bad_",
        "slow_",
        "pull_policy: never",
        "waiting for a log line that matches `nothing`",
        "(after_",
    ]);
    test.run(&["uninstall"]).exits_with(0);
    let start = Instant::now();
    test.run(&["install", "--fail-fast", "--progress", "plain"])
        .exits_with(1)
        .stderr_contains(&["stopping after a failure (--fail-fast)"]);
    assert!(
        test.containers().is_empty(),
        "no container is created before the failure: {:?}",
        test.containers()
    );
    assert!(start.elapsed() < Duration::from_secs(30));
    assert_eq!(executions(&test)[2]["stopped"], "failure");
    test.run(&["uninstall"]).exits_with(0);
    assert!(test.containers().is_empty());
}

#[test]
fn uninstall_failures_can_be_ignored() {
    let test = Test::in_memory("ignore");
    test.blueprint(SLEEPER);
    test.run(&["install"]).exits_with(0);
    // A network cannot be removed while a foreign container is connected to it.
    let text = std::fs::read_to_string(test.path("blueprint.yaml")).unwrap();
    let with_network = text.replace(
        "node_templates:",
        "  - plugin:dockctl\nnode_templates:\n  net: {type: dockctl.nodes.Network, properties: {name: PREFIX-net}}",
    );
    test.run(&["uninstall"]).exits_with(0);
    test.write("blueprint.yaml", &with_network);
    test.run(&["install"]).exits_with(0);
    test.create_foreign("guest", &["sleep", "1000"]);
    test.docker(&["network", "connect", &test.name("net"), &test.name("guest")]);
    test.docker(&["start", &test.name("guest")]);
    test.run(&["uninstall", "--task-retries", "0"])
        .exits_with(1)
        .stderr_contains(&["outside this deployment, uses it"]);
    let ignored = test
        .run(&["uninstall", "--ignore-failure", "--output", "json"])
        .exits_with(0);
    assert_eq!(ignored.json()["execution"]["failed"][0]["ignored"], true);
    ignored.stderr_contains(&["failed (ignored)", "still have their labels"]);
    assert_eq!(
        test.run(&["status", "--output", "json"])
            .exits_with(0)
            .json()["recovered"],
        true,
        "the engine still has labels of the deployment"
    );
    test.docker(&["rm", "-f", &test.name("guest")]);
    test.run(&["uninstall"]).exits_with(0);
    assert_eq!(
        test.docker(&[
            "network",
            "ls",
            "-q",
            "--filter",
            &format!("name={}", test.prefix)
        ]),
        ""
    );
}
