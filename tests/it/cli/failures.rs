//! Steps that still run after a failure, and `--ignore-failure`.

use crate::{
    cli::{branches, executions},
    docker::install::SLEEPER,
    support::Test,
};
use std::time::{Duration, Instant};

#[test]
fn what_does_not_need_a_failure_is_finished_unless_all_is_to_end_with_it() {
    let test = Test::fake("branches");
    test.blueprint(&branches());
    let failed = test.run(&["install", "--output", "json"]).exits(1);
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
    failed.says(&[
        "bad_",
        "slow_",
        "pull_policy: never",
        "waiting for `log nothing`",
        "(after_",
    ]);
    test.run(&["uninstall"]).exits(0);
    let begin = Instant::now();
    test.run(&["install", "--fail-fast", "--progress", "plain"])
        .exits(1)
        .says(&["stopping after a failure (--fail-fast)"]);
    assert!(
        test.containers().is_empty(),
        "no container is created before the failure: {:?}",
        test.containers()
    );
    assert!(begin.elapsed() < Duration::from_secs(30));
    assert_eq!(executions(&test)[2]["stopped"], "failure");
    test.run(&["uninstall"]).exits(0);
    assert!(test.containers().is_empty());
}

#[test]
fn failures_of_an_uninstall_can_be_ignored() {
    let test = Test::fake("ignore");
    test.blueprint(SLEEPER);
    test.run(&["install"]).exits(0);
    // A network cannot be removed while a foreign container is connected to it.
    let text = std::fs::read_to_string(test.path("blueprint.yaml")).unwrap();
    let own = text.replace(
        "node_templates:",
        "  - plugin:dockctl\nnode_templates:\n  net: {type: dockctl.nodes.Network, properties: {name: PREFIX-net}}",
    );
    test.run(&["uninstall"]).exits(0);
    test.write("blueprint.yaml", &own);
    test.run(&["install"]).exits(0);
    test.foreign("guest", &["sleep", "1000"]);
    test.docker(&["network", "connect", &test.name("net"), &test.name("guest")]);
    test.docker(&["start", &test.name("guest")]);
    test.run(&["uninstall", "--task-retries", "0"])
        .exits(1)
        .says(&["do not belong to this deployment"]);
    let ignored = test
        .run(&["uninstall", "--ignore-failure", "--output", "json"])
        .exits(0);
    assert_eq!(ignored.json()["execution"]["failed"][0]["ignored"], true);
    ignored.says(&["failed (ignored)", "still have their labels"]);
    assert_eq!(
        test.run(&["status", "--output", "json"]).exits(0).json()["recovered"],
        true,
        "the engine still has labels of the deployment"
    );
    test.docker(&["rm", "-f", &test.name("guest")]);
    test.run(&["uninstall"]).exits(0);
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
