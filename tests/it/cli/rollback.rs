//! `dockctl install --rollback-on-failure`.

use crate::{
    cli::{
        branches, executions,
        session::{endless, signal, waits},
    },
    docker::install::SLEEPER,
    support::{Test, eventually},
};

#[test]
fn a_failed_install_takes_back_what_it_created_and_nothing_else() {
    let test = Test::fake("rollback");
    let own = "  - plugin:dockctl\nnode_templates:\n  net: {type: dockctl.nodes.Network, properties: {name: PREFIX-net}}\n  data: {type: dockctl.nodes.Volume, properties: {name: PREFIX-data}}\n";
    test.blueprint(&branches().replace("node_templates:\n", own));
    let failed = test
        .run(&["install", "--rollback-on-failure", "--output", "json"])
        .exits(1);
    let json = failed.json();
    assert_eq!(
        (&json["rollback"]["workflow"], &json["rollback"]["outcome"]),
        (&"rollback".into(), &"terminated".into())
    );
    failed.says(&["rollback started", "rolls back", "it was rolled back"]);
    assert!(test.containers().is_empty());
    for what in ["network", "volume"] {
        assert_eq!(
            test.docker(&[
                what,
                "ls",
                "-q",
                "--filter",
                &format!("name={}", test.prefix)
            ]),
            "",
            "leftover {what}"
        );
    }
    let all = executions(&test);
    assert_eq!(
        (&all[1]["workflow"], &all[1]["of"]),
        (&"rollback".into(), &all[0]["id"])
    );
    // A rollback does not remove objects of earlier runs.
    test.run(&["install"]).exits(1);
    let before = test.containers();
    assert!(before.contains(&"PREFIX-base running".to_owned()));
    let more =
        branches().replace("node_templates:\n", own) + &SLEEPER.replace("\nnode_templates:\n", "");
    test.blueprint(&more);
    test.run(&["install", "--rollback-on-failure", "--fail-fast"])
        .exits(1);
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
    test.run(&["uninstall", "--volumes", "--yes"]).exits(0);
}

#[test]
fn a_rollback_takes_back_what_the_same_install_made_before_it_was_killed_and_spares_what_was_there()
{
    let test = Test::fake("chain");
    let nodes = SLEEPER.to_owned()
        + &endless()
            .replace("\nnode_templates:\n", "")
            .replace("web", "late")
            .replace("    interfaces:", "    relationships: [{type: cloudify.relationships.connected_to, target: web}]\n    interfaces:");
    test.blueprint(&nodes);
    let mut child = test.start(&["install", "--rollback-on-failure"]);
    eventually("both containers", || {
        (test.containers() == ["PREFIX-late running", "PREFIX-web running"]).then_some(())
    });
    signal(child.id(), "KILL");
    child.wait().unwrap();
    let failed = test
        .run(&["install", "--rollback-on-failure", "--timeout", "1"])
        .exits(1)
        .says(&["it was rolled back"]);
    assert!(
        test.containers().is_empty(),
        "{:?}\n{}",
        test.containers(),
        failed.stderr
    );
    // Objects that a failed run kept are not rolled back, even if the next run recreates them.
    test.run(&["install", "--timeout", "2"]).exits(1);
    test.blueprint(&nodes.replacen("command: sleep 1000", "command: sleep 2000", 1));
    test.run(&["install", "--rollback-on-failure", "--timeout", "3"])
        .exits(1);
    assert_eq!(
        test.inspect("web", "{{.State.Status}} {{.Config.Cmd}}"),
        "running [sleep 2000]"
    );
    test.run(&["uninstall"]).exits(0);
}

#[test]
fn a_failed_rollback_is_resumed_even_when_the_install_is_forgotten() {
    let test = Test::fake("forgotten");
    let net = "  - plugin:dockctl\nnode_templates:\n  net: {type: dockctl.nodes.Network, properties: {name: PREFIX-net}}";
    test.blueprint(&endless().replace("node_templates:", net));
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
    eventually("the container", || waits(&test));
    test.foreign("guest", &["sleep", "1000"]);
    test.docker(&["network", "connect", &test.name("net"), &test.name("guest")]);
    test.docker(&["start", &test.name("guest")]);
    Test::end(child)
        .exits(1)
        .says(&["its rollback failed too", "dockctl resume"]);
    test.docker(&["rm", "-f", &test.name("guest")]);
    test.run(&["resume", "--keep-history", "1"]).exits(0);
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
