//! `dockctl execute` and `execute-operation`.

use crate::{
    cli::{PAIR, drift, installed_pair, instance_id, session::never_ready},
    docker::install::SLEEPER,
    support::Test,
};
use serde_json::Value as Json;
use std::time::{Duration, Instant};

#[test]
fn workflows_and_operations_are_executed() {
    let test = installed_pair("execute");
    let started = test.inspect("db", "{{.State.StartedAt}}");
    test.run(&["execute", "restart", "-p", "node_ids=db"])
        .exits_with(0);
    assert_ne!(test.inspect("db", "{{.State.StartedAt}}"), started);
    let id = test.inspect("web", "{{.Id}}");
    test.run(&["execute", "reinstall", "-p", "node_ids:=[web]"])
        .exits_with(0);
    assert_ne!(test.inspect("web", "{{.Id}}"), id);
    test.run(&[
        "execute-operation",
        "cloudify.interfaces.lifecycle.stop",
        "--node",
        "web",
    ])
    .exits_with(0);
    assert_eq!(
        test.containers(),
        ["PREFIX-db running", "PREFIX-web exited"]
    );
    assert_eq!(
        drift(&test)[1],
        "[\"stopped\"]",
        "only `dockctl stop` records a requested stop"
    );
    test.run(&["heal"]).exits_with(0);
    test.run(&["execute", "check_status"]).exits_with(0);
    test.run(&["execute", "check_drift"]).exits_with(0);
    test.docker(&["kill", &test.name("web")]);
    test.docker(&["update", "--restart", "always", &test.name("db")]);
    test.run(&["execute", "check_status"])
        .exits_with(1)
        .stderr_contains(&["check_status failed: it is exited"]);
    test.run(&["execute", "check_drift"])
        .exits_with(1)
        .stderr_contains(&["check_drift failed: it drifted: RestartPolicy"]);
    test.run(&["heal"]).exits_with(0);
    test.run(&["execute", "restrat"])
        .exits_with(2)
        .stderr_contains(&["there is no workflow `restrat`", "did you mean `restart`?"]);
    test.run(&["execute", "restart", "-p", "nodes=db"])
        .exits_with(2)
        .stderr_contains(&["does not accept the parameter `nodes`; accepted: "]);
    test.run(&["execute-operation", "strat"])
        .exits_with(2)
        .stderr_contains(&["there is no operation `strat`"]);
    test.run(&["execute-operation", "lifecycle.stop", "--node", "wbe"])
        .exits_with(2)
        .stderr_contains(&["there is no node `wbe`", "did you mean `web`?"]);
    test.run(&["execute-operation", "lifecycle.stop", "--type", "nope"])
        .exits_with(2)
        .stderr_contains(&["there is no node type `nope`"]);
    test.run(&[
        "execute-operation",
        "lifecycle.stop",
        "--kwarg",
        "params:={timeout: 0}",
    ])
    .exits_with(3)
    .stderr_contains(&["allow_kwargs_override"]);
}

#[test]
fn declared_workflow_provides_its_parameters() {
    let test = Test::in_memory("declared");
    let workflows = "workflows:\n  bounce: {mapping: default_workflows.cloudify.plugins.workflows.restart, parameters: {node_ids: {default: [web]}}}\n  own: {mapping: default_workflows.my.module.run, parameters: {x: {}}}\n  asks: {mapping: default_workflows.cloudify.plugins.workflows.start, parameters: {size: {}}}\n";
    test.blueprint(&format!("{PAIR}{workflows}"));
    test.run(&["install"]).exits_with(0);
    let (db, web) = (
        test.inspect("db", "{{.State.StartedAt}}"),
        test.inspect("web", "{{.State.StartedAt}}"),
    );
    test.run(&["execute", "bounce"]).exits_with(0);
    assert_eq!(test.inspect("db", "{{.State.StartedAt}}"), db);
    assert_ne!(test.inspect("web", "{{.State.StartedAt}}"), web);
    test.run(&["execute", "own"])
        .exits_with(3)
        .stderr_contains(&[
            "`my.module.run` of the plugin `default_workflows`, which dockctl does not support",
        ]);
    test.run(&["execute", "asks"])
        .exits_with(2)
        .stderr_contains(&["requires the parameter `size`"]);
}

#[test]
fn every_workflow_can_be_executed() {
    let test = installed_pair("every");
    let outcome = |arguments: &[&str]| {
        let run = test
            .run(&[&["execute", "--output", "json"], arguments].concat())
            .exits_with(0);
        run.json()["execution"]["outcome"].clone()
    };
    assert_eq!(outcome(&["install"]), Json::Null, "nothing to do");
    assert_eq!(outcome(&["update"]), Json::Null, "nothing to do");
    assert_eq!(
        outcome(&["scale", "-p", "scalable_entity_name=web", "-p", "delta=1"]),
        "terminated"
    );
    assert_eq!(
        test.containers(),
        [
            "PREFIX-db running",
            "PREFIX-web running",
            "PREFIX-web-1 running"
        ]
    );
    assert_eq!(
        outcome(&["scale", "-p", "node_id=web", "-p", "delta=-1"]),
        "terminated"
    );
    assert_eq!(outcome(&["stop", "-p", "node_ids=web"]), "terminated");
    assert_eq!(
        test.containers(),
        ["PREFIX-db running", "PREFIX-web exited"]
    );
    assert_eq!(outcome(&["start", "-p", "node_ids=web"]), "terminated");
    assert_eq!(
        outcome(&["rollback"]),
        "terminated",
        "no instance is partially installed"
    );
    assert_eq!(
        test.containers(),
        ["PREFIX-db running", "PREFIX-web running"]
    );
    assert_eq!(
        outcome(&[
            "heal",
            "-p",
            &format!("node_instance_id={}", instance_id(&test, "web"))
        ]),
        Json::Null,
        "it is healthy"
    );
    test.run(&["execute", "heal", "-p", "node_instance_id=wbe"])
        .exits_with(2)
        .stderr_contains(&["there is no instance or node `wbe`"]);
    for unknown in ["node_ids=nope", "node_ids=[web, nope]"] {
        test.run(&["execute", "restart", "-p", unknown])
            .exits_with(2)
            .stderr_contains(&["there is no node `nope`"]);
    }
    let other = format!("node_instance_ids={}", instance_id(&test, "db"));
    let unmatched = test
        .run(&["execute", "restart", "-p", "node_ids=[web]", "-p", &other])
        .exits_with(0);
    assert!(
        unmatched
            .stdout
            .contains("nothing to do: the filters match no instance"),
        "{}",
        unmatched.stdout
    );
    assert_eq!(outcome(&["uninstall"]), "terminated");
    assert!(test.containers().is_empty());
    assert_eq!(outcome(&["uninstall"]), Json::Null, "it is not installed");
    assert_eq!(outcome(&["install"]), "terminated");
}

#[test]
fn workflows_refuse_a_deployment_that_is_not_installed() {
    let test = installed_pair("gone");
    test.run(&["uninstall"]).exits_with(0);
    for command in [
        &["heal"][..],
        &["start"],
        &["restart"],
        &["reinstall"],
        &["scale", "web", "--to", "2"],
    ] {
        test.run(command)
            .exits_with(2)
            .stderr_contains(&["is not installed", "install it first: dockctl install"]);
    }
    assert!(test.containers().is_empty());
    test.run(&["uninstall", "nobody"]).exits_with(0);
}

#[test]
fn sensitive_inputs_must_be_passed_again() {
    let test = Test::in_memory("again-given");
    let inputs = "metadata: {dockctl: {sensitive: [key]}}\ninputs: {key: {}}\n";
    test.blueprint(&format!(
        "{inputs}{}",
        PAIR.replacen(
            "stop_timeout: 0",
            "environment: {KEY: {get_input: key}}, stop_timeout: 0",
            1
        )
    ));
    test.run(&["install", "-i", "key=very-much-so"])
        .exits_with(0);
    test.docker(&["rm", "-f", &test.name("db")]);
    let hint = format!(
        "then run: dockctl heal -d {} --state-dir {} -i key=VALUE",
        test.prefix,
        test.path("state").display()
    );
    test.run(&["heal"]).exits_with(3).stderr_contains(&[
        "the value of the sensitive input `key` is missing",
        "nothing was done",
        &hint,
    ]);
    test.run(&["heal", "-i", "key=very-much-so"]).exits_with(0);
    assert!(
        test.inspect("db", "{{json .Config.Env}}")
            .contains("KEY=very-much-so")
    );
    let shown = test
        .run(&["inspect", "--deploy", "-i", "key=very-much-so"])
        .exits_with(0)
        .stdout;
    assert!(!shown.contains("very-much-so"), "{shown}");
}

#[test]
fn operation_timeout_is_enforced() {
    let test = Test::in_memory("timeout");
    let with_timeout = |rules: &str| {
        never_ready().replace("start: {inputs:", &format!("start: {{{rules}, inputs:"))
    };
    test.blueprint(&with_timeout("timeout: 0.5"));
    let head = |text: String| text.replace("cloudify_dsl_1_2", "cloudify_dsl_1_5");
    let write = |rules: &str| {
        test.blueprint(&with_timeout(rules));
        let path = test.path("blueprint.yaml");
        std::fs::write(&path, head(std::fs::read_to_string(&path).unwrap())).unwrap();
    };
    write("timeout: 0.5");
    let start = Instant::now();
    let failed = test
        .run(&["install"])
        .exits_with(1)
        .stderr_contains(&["timed out after 0.5 s, the `timeout` of the operation"]);
    assert!(
        start.elapsed() < Duration::from_secs(20),
        "it is not retried: {}",
        failed.stderr
    );
    assert!(!failed.stderr.contains("(attempt 2)"), "{}", failed.stderr);
    write("timeout: 0.5, timeout_recoverable: true, max_retries: 2, retry_interval: 0.1");
    test.run(&["install", "--progress", "plain"])
        .exits_with(1)
        .stderr_contains(&["retrying in 0.1 s", "(attempt 3)"]);
    test.run(&["uninstall"]).exits_with(0);
}

#[test]
fn operation_timeout_excludes_waiting_for_other_steps() {
    let test = Test::in_memory("patient");
    let slow = SLEEPER
        .replace(
            "command: sleep 1000",
            "command: [sh, -c, 'sleep 4; true late; sleep 1000']",
        )
        .replace("[sleep]", "[sleep 1000]");
    let slow = slow
        .replace(
            "processes_to_wait_for: [sleep 1000]",
            "wait_for: {log: ready, interval: 0.1}",
        )
        .replace("true late;", "echo ready;");
    let next = SLEEPER
        .replace("\nnode_templates:\n", "")
        .replace("web", "next")
        .replace("create: {inputs", "create: {timeout: 3, inputs")
        .replace("    interfaces:", "    relationships: [{type: cloudify.relationships.connected_to, target: web}]\n    interfaces:");
    test.blueprint(&(slow + &next));
    let path = test.path("blueprint.yaml");
    std::fs::write(
        &path,
        std::fs::read_to_string(&path)
            .unwrap()
            .replace("cloudify_dsl_1_2", "cloudify_dsl_1_5"),
    )
    .unwrap();
    test.run(&["install"]).exits_with(0);
    test.run(&["uninstall"]).exits_with(0);
}
