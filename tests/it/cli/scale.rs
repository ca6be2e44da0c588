//! `dockctl scale`.

use crate::{
    cli::{PAIR, installed_pair, instance_id},
    support::Test,
};

#[test]
fn scaling_persists() {
    let test = installed_pair("scaled");
    test.run(&["scale", "web", "--to", "3"]).exits_with(0);
    assert_eq!(
        test.containers(),
        [
            "PREFIX-db running",
            "PREFIX-web running",
            "PREFIX-web-1 running",
            "PREFIX-web-2 running"
        ]
    );
    assert!(
        test.run(&["install"])
            .exits_with(0)
            .stdout
            .contains("up to date"),
        "scaling is not a change of the blueprint"
    );
    let first = instance_id(&test, "web");
    test.run(&["scale", "web", "--delta", "-1"]).exits_with(0);
    assert_eq!(
        test.containers(),
        [
            "PREFIX-db running",
            "PREFIX-web running",
            "PREFIX-web-1 running"
        ],
        "the instance with the highest index is removed first"
    );
    test.run(&["scale", "web", "--to", "1", "--remove", &first])
        .exits_with(0);
    assert_eq!(
        test.containers(),
        ["PREFIX-db running", "PREFIX-web-1 running"]
    );
    test.run(&["scale", "web", "--to", "1"]).exits_with(0);
    test.run(&[
        "execute",
        "scale",
        "-p",
        "scalable_entity_name=web",
        "-p",
        "delta=1",
    ])
    .exits_with(0);
    assert_eq!(test.containers().len(), 3);
    test.run(&["scale", "nope", "--to", "1"])
        .exits_with(2)
        .stderr_contains(&["no node or scaling group `nope`"]);
    test.run(&["scale", "web", "--delta", "-9"])
        .exits_with(2)
        .stderr_contains(&["from 2 to -7 instances (-9)"]);
    test.run(&["scale", "web", "--to", "9", "--keep", &first])
        .exits_with(2)
        .stderr_contains(&["there is no instance or node"]);
    test.run(&["uninstall"]).exits_with(0);
    assert!(test.containers().is_empty());
}

#[test]
fn failed_scale_out_is_rolled_back() {
    let test = Test::in_memory("backs");
    test.blueprint(
        &PAIR
            .replace(
                "command: sh -c 'echo web says hello; sleep 1000'",
                "command: sh -c 'test $HOSTNAME = PREFIX-web || exit 3; sleep 1000'",
            )
            .replace(
                "stop_timeout: 0}}}\n    relationships",
                "stop_timeout: 0}}}\n        start: {inputs: {processes_to_wait_for: [sleep], retry_interval: 0.05}}\n    relationships",
            ),
    );
    test.run(&["install"]).exits_with(0);
    test.run(&["scale", "web", "--to", "2"])
        .exits_with(1)
        .stderr_contains(&["exited with code 3"]);
    assert_eq!(
        test.containers(),
        ["PREFIX-db running", "PREFIX-web running"]
    );
    assert!(
        test.run(&["install"])
            .exits_with(0)
            .stdout
            .contains("up to date"),
        "the deployment is unchanged"
    );
    let port = PAIR.replace(
        "command: sh -c 'echo web",
        "ports: [80], host_config: {port_bindings: {80: 18980}}, command: sh -c 'echo web",
    );
    let test = Test::in_memory("port");
    test.blueprint(&port);
    test.run(&["install"]).exits_with(0);
    test.run(&["scale", "web", "--to", "2"])
        .exits_with(3)
        .stderr_contains(&["only one object can have host port 18980", "a port range"]);
    let rival = PAIR.replace("name: PREFIX-db", "name: PREFIX-web-1");
    let test = Test::in_memory("rival");
    test.blueprint(&rival);
    test.run(&["install"]).exits_with(0);
    test.run(&["scale", "web", "--to", "2"])
        .exits_with(3)
        .stderr_contains(&[
            "cannot scale `web`: its instance 1 is called",
            "like node `db`",
        ]);
    assert_eq!(test.containers().len(), 2);
}

#[test]
fn interrupted_scaling_is_resumed_and_not_repeated() {
    let test = installed_pair("halfway");
    test.kill_at("] create container", &["scale", "web", "--delta", "2"]);
    test.run(&["scale", "web", "--delta", "2"]).exits_with(0);
    assert_eq!(
        test.containers(),
        [
            "PREFIX-db running",
            "PREFIX-web running",
            "PREFIX-web-1 running",
            "PREFIX-web-2 running"
        ]
    );
    // After a killed scale-in, a new count restores only the instances that it needs.
    test.kill_at(
        "done: remove container",
        &["scale", "web", "--to", "1", "--parallel", "1"],
    );
    test.run(&["scale", "web", "--to", "2"]).exits_with(0);
    assert_eq!(
        test.containers()
            .iter()
            .filter(|it| it.contains("-web") && it.ends_with("running"))
            .count(),
        2,
        "{:?}",
        test.containers()
    );
    assert_eq!(test.containers().len(), 3);
    test.run(&["status", "--exit-code"]).exits_with(0);
    test.run(&["plan", "--exit-code"]).exits_with(0);
}
