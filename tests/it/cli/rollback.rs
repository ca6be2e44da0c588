//! `dockctl install --rollback-on-failure`.

use crate::{
    cli::{
        executions, failing_branches,
        session::{is_waiting, never_ready, send_signal},
    },
    docker::install::SLEEPER,
    support::{Test, eventually},
};

#[test]
fn failed_install_removes_only_its_own_objects() {
    let test = Test::in_memory("rollback");
    let with_network_and_volume = "  - plugin:dockctl\nnode_templates:\n  net: {type: dockctl.nodes.Network, properties: {name: PREFIX-net}}\n  data: {type: dockctl.nodes.Volume, properties: {name: PREFIX-data}}\n";
    test.blueprint(&failing_branches().replace("node_templates:\n", with_network_and_volume));
    let failed = test
        .run(&["install", "--rollback-on-failure", "--output", "json"])
        .exits_with(1);
    let json = failed.json();
    assert_eq!(
        (&json["rollback"]["workflow"], &json["rollback"]["outcome"]),
        (&"rollback".into(), &"terminated".into())
    );
    failed.stderr_contains(&[
        "rollback started",
        "rolls back",
        "its changes were rolled back",
    ]);
    assert!(test.containers().is_empty());
    for kind in ["network", "volume"] {
        assert_eq!(
            test.docker(&[
                kind,
                "ls",
                "-q",
                "--filter",
                &format!("name={}", test.prefix)
            ]),
            "",
            "leftover {kind}"
        );
    }
    let all = executions(&test);
    assert_eq!(
        (&all[1]["workflow"], &all[1]["of"]),
        (&"rollback".into(), &all[0]["id"])
    );
    // A rollback does not remove objects of earlier runs.
    test.run(&["install"]).exits_with(1);
    let before = test.containers();
    assert!(before.contains(&"PREFIX-base running".to_owned()));
    let with_web = failing_branches().replace("node_templates:\n", with_network_and_volume)
        + &SLEEPER.replace("\nnode_templates:\n", "");
    test.blueprint(&with_web);
    test.run(&["install", "--rollback-on-failure", "--fail-fast"])
        .exits_with(1);
    assert_eq!(
        test.containers()
            .iter()
            .filter(|it| it.contains("web"))
            .count(),
        0
    );
    assert!(
        test.containers()
            .contains(&"PREFIX-base running".to_owned()),
        "{:?}",
        test.containers()
    );
    assert_ne!(
        test.docker(&[
            "volume",
            "ls",
            "-q",
            "--filter",
            &format!("name={}", test.prefix)
        ]),
        ""
    );
    test.run(&["uninstall", "--volumes", "--yes"]).exits_with(0);
}

#[test]
fn rollback_includes_objects_of_the_killed_run_and_spares_older_ones() {
    let test = Test::in_memory("chain");
    let nodes = SLEEPER.to_owned()
        + &never_ready()
            .replace("\nnode_templates:\n", "")
            .replace("web", "late")
            .replace("    interfaces:", "    relationships: [{type: cloudify.relationships.connected_to, target: web}]\n    interfaces:");
    test.blueprint(&nodes);
    let mut child = test.start(&["install", "--rollback-on-failure"]);
    eventually("both containers", || {
        (test.containers() == ["PREFIX-late running", "PREFIX-web running"]).then_some(())
    });
    send_signal(child.id(), "KILL");
    child.wait().unwrap();
    let failed = test
        .run(&["install", "--rollback-on-failure", "--timeout", "1"])
        .exits_with(1)
        .stderr_contains(&["its changes were rolled back"]);
    assert!(
        test.containers().is_empty(),
        "{:?}\n{}",
        test.containers(),
        failed.stderr
    );
    // Objects that a failed run kept are not rolled back, even if the next run recreates them.
    test.run(&["install", "--timeout", "2"]).exits_with(1);
    test.blueprint(&nodes.replacen("command: sleep 1000", "command: sleep 2000", 1));
    test.run(&["install", "--rollback-on-failure", "--timeout", "3"])
        .exits_with(1);
    assert_eq!(
        test.inspect("web", "{{.State.Status}} {{.Config.Cmd}}"),
        "running [sleep 2000]"
    );
    test.run(&["uninstall"]).exits_with(0);
}

#[test]
fn failed_rollback_can_be_resumed_after_the_install_left_the_history() {
    let test = Test::in_memory("forgotten");
    let net = "  - plugin:dockctl\nnode_templates:\n  net: {type: dockctl.nodes.Network, properties: {name: PREFIX-net}}";
    test.blueprint(&never_ready().replace("node_templates:", net));
    let child = test.start(&[
        "install",
        "--rollback-on-failure",
        "--keep-history",
        "1",
        "--task-retries",
        "0",
        "--timeout",
        "3",
    ]);
    eventually("the container", || is_waiting(&test));
    test.create_foreign("guest", &["sleep", "1000"]);
    test.docker(&["network", "connect", &test.name("net"), &test.name("guest")]);
    test.docker(&["start", &test.name("guest")]);
    Test::wait(child)
        .exits_with(1)
        .stderr_contains(&["its rollback failed too", "dockctl resume"]);
    test.docker(&["rm", "-f", &test.name("guest")]);
    test.run(&["resume", "--keep-history", "1"]).exits_with(0);
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
