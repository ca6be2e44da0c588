//! Containers that share namespaces of another container, on the simulated engine: they start again
//! after it.

use crate::{
    kernel::{
        restore::{Sweep, TestDeployment, blueprint, install},
        run::{deployment_of, with_runtime},
    },
    simulated::Change,
};
use dockctl::{
    event::Outcome,
    model::Deployment,
    plan::{self, PlanInput},
    plugins::{ObserveContext, Plugins},
    seam::ObjectState,
    secrets::Secrets,
    stage::{
        Parameters, Selection, Workflow,
        parameters::{Heal, OneOperation, Reinstall, Restart, Uninstall},
    },
};

/// Two containers that share the network and the IPC of `a`, and one that shares nothing.
fn sharers(command_of_a: &str) -> String {
    let depends = "{type: cloudify.relationships.depends_on, target: a}";
    let shares = |mode: &str| format!("command: sleep 1, host_config: {{{mode}: 'container:a'}}");
    blueprint(&[
        ("a", &format!("command: {command_of_a}"), "", ""),
        ("b", &shares("network_mode"), "", depends),
        ("c", &shares("ipc_mode"), "", depends),
        ("d", "command: sleep 1", "", depends),
    ])
}

/// Returns the changes since the last call, with the names of nodes.
pub(crate) fn changes(life: &TestDeployment) -> Vec<(String, Change)> {
    let all = life.world.changes.take();
    let node = |id: String| id.split('_').next().unwrap_or_default().to_owned();
    all.into_iter()
        .map(|(id, change)| (node(id), change))
        .collect()
}

fn started_again(changes: &[(String, Change)], node: &str) -> bool {
    let of = |wanted: Change| {
        changes
            .iter()
            .position(|it| *it == (node.to_owned(), wanted))
    };
    matches!((of(Change::Stopped), of(Change::Started)), (Some(stop), Some(start)) if stop < start)
}

pub(crate) fn kill(life: &TestDeployment, name: &str) {
    let mut containers = life.world.containers.borrow_mut();
    let container = containers.iter_mut().find(|it| it.name == name).unwrap();
    container.state = ObjectState::Exited;
}

/// Calls `ask` with the present state.
pub(crate) fn with_known<T>(
    life: &TestDeployment,
    deployment: &Deployment,
    ask: impl FnOnce(&PlanInput<'_>) -> T,
) -> T {
    with_runtime(async {
        let (record, secrets) = (life.record(), Secrets::default());
        let context = ObserveContext {
            deployment,
            record: &record,
            secrets: &secrets,
        };
        let places = Plugins::default().places(context).unwrap();
        let observed = life.world.observed(deployment, &places);
        ask(&PlanInput::new(deployment, &record, &observed))
    })
}

/// Returns the announcements of a plan.
fn announced(life: &TestDeployment, deployment: &Deployment, workflow: Workflow) -> Vec<String> {
    let plan = |known: &PlanInput<'_>| plan::first(&workflow.into(), known).followers;
    let followers = with_known(life, deployment, plan);
    let nodes = |id: &String| id.split('_').next().unwrap_or_default().to_owned();
    let instances = followers.iter().flat_map(|it| &it.followers);
    instances.map(nodes).collect()
}

#[test]
fn sharers_start_again_after_their_owner_was_killed() {
    let deployment = deployment_of(&sharers("sleep 1"), None);
    for workflow in [Workflow::Heal, Workflow::Install] {
        let mut life = install(&deployment);
        changes(&life);
        assert!(announced(&life, &deployment, workflow).is_empty());
        kill(&life, "a");
        assert_eq!(announced(&life, &deployment, workflow), ["b", "c"]);
        assert_eq!(life.run(&deployment, workflow), Some(Outcome::Terminated));
        let changes = changes(&life);
        assert_eq!(changes[0], ("a".to_owned(), Change::Started));
        assert!(started_again(&changes, "b") && started_again(&changes, "c"));
        assert!(!started_again(&changes, "d"), "{changes:?}");
        assert_eq!(announced(&life, &deployment, workflow), [""; 0]);
    }
}

#[test]
fn sharers_start_again_after_a_restart_of_their_owner() {
    let deployment = deployment_of(&sharers("sleep 1"), None);
    let mut life = install(&deployment);
    changes(&life);
    let owner = deployment.instances.iter().find(|it| it.node == "a");
    let restart = Parameters::Restart(Restart {
        selection: Selection::of_instances([owner.unwrap().id.clone()]),
        ..Restart::default()
    });
    let outcome = life.run_with(&deployment, &restart);
    assert_eq!(outcome, Some(Outcome::Terminated));
    let changes = changes(&life);
    assert!(
        started_again(&changes, "b") && started_again(&changes, "c"),
        "{changes:?}"
    );
    assert!(!started_again(&changes, "d"));
}

/// Returns the parameters of a container that shares the network of another one.
fn shares_network(of: &str) -> String {
    format!("command: sleep 1, host_config: {{network_mode: 'container:{of}'}}")
}

/// Returns a restart of one node by the command of dockctl.
fn restart_of(deployment: &Deployment, node: &str) -> Parameters {
    Parameters::Restart(Restart {
        selection: select(deployment, node),
        is_recorded: true,
        ..Restart::default()
    })
}

fn select(deployment: &Deployment, node: &str) -> Selection {
    let instance = deployment.instances.iter().find(|it| it.node == node);
    Selection::of_instances([instance.unwrap().id.clone()])
}

/// `c` shares the network of `b`, which is that of `a`: it is lost when `a` starts again, and not
/// when `b` does.
#[test]
fn sharers_of_sharers_follow_the_owner_of_the_namespace() {
    let text = blueprint(&[
        ("c", &shares_network("b"), "", ""),
        ("b", &shares_network("a"), "", ""),
        ("a", "command: sleep 1", "", ""),
    ]);
    let deployment = deployment_of(&text, None);
    let mut life = install(&deployment);
    let restart = |node: &str| restart_of(&deployment, node);
    changes(&life);
    let outcome = life.run_with(&deployment, &restart("b"));
    assert_eq!(outcome, Some(Outcome::Terminated));
    assert!(!started_again(&changes(&life), "c"));
    // `c` cannot join `b` again, which a user stopped: it keeps running and is drift.
    let stop = Parameters::Stop(OneOperation {
        selection: select(&deployment, "b"),
        is_recorded: true,
        ..OneOperation::default()
    });
    let outcome = life.run_with(&deployment, &stop);
    assert_eq!(outcome, Some(Outcome::Terminated));
    let outcome = life.run_with(&deployment, &restart("a"));
    assert_eq!(outcome, Some(Outcome::Terminated));
    assert_eq!(
        life.container_states(),
        ["a running", "b exited", "c running"]
    );
    assert_eq!(life.world.stale_sharers(), ["c"]);
    assert_eq!(
        absent(&life, &deployment, &restart("c")),
        ["c needs b, which does not run"]
    );
    assert!(absent(&life, &deployment, &restart("a")).is_empty());
    let start = Parameters::Start(OneOperation {
        selection: select(&deployment, "b"),
        is_recorded: true,
        ..OneOperation::default()
    });
    let outcome = life.run_with(&deployment, &start);
    assert_eq!(outcome, Some(Outcome::Terminated));
    assert!(life.world.stale_sharers().is_empty());
    // The same if `b` has ended by itself.
    kill(&life, "b");
    let outcome = life.run_with(&deployment, &restart("a"));
    assert_eq!(outcome, Some(Outcome::Terminated));
    assert_eq!(life.world.stale_sharers(), ["c"]);
    assert_eq!(
        life.run(&deployment, Workflow::Heal),
        Some(Outcome::Terminated)
    );
    assert!(life.world.stale_sharers().is_empty());
}

/// Returns the objects that a workflow lacks, with the names of nodes.
fn absent(life: &TestDeployment, deployment: &Deployment, parameters: &Parameters) -> Vec<String> {
    let plan = |known: &PlanInput<'_>| plan::first(parameters, known).absent;
    let shown = with_known(life, deployment, plan).into_iter();
    let shown = shown.map(|it| it.to_string());
    shown.map(|it| without_ids(deployment, it)).collect()
}

/// What exists is started as it was created: it does not need what a failed update was to add.
#[test]
fn new_references_of_a_failed_update_are_not_needed_by_a_restart() {
    let x = |command: &str| format!("command: {command}");
    let before = [
        ("x", &*x("sleep 1"), "", ""),
        ("a", "command: sleep 1", "", ""),
    ];
    let before = deployment_of(&blueprint(&before), None);
    let mut life = install(&before);
    let shares = "command: sleep 1, host_config: {network_mode: 'container:b'}";
    let depends = "{type: cloudify.relationships.depends_on, target: x}";
    let after = [
        ("x", &*x("missing"), "", ""),
        ("a", shares, "", ""),
        ("b", "command: sleep 1", "", depends),
    ];
    let after = deployment_of(&blueprint(&after), Some(&before));
    assert_eq!(life.run(&after, Workflow::Update), Some(Outcome::Failed));
    assert_eq!(life.container_states(), ["a running", "x running"]);
    let restart = restart_of(&after, "a");
    assert_eq!(absent(&life, &after, &restart), [""; 0]);
    let reinstall = Parameters::Reinstall(Reinstall {
        selection: select(&after, "a"),
        ..Reinstall::default()
    });
    assert_eq!(
        absent(&life, &after, &reinstall),
        ["a needs b, which an update has not created yet"]
    );
}

/// A restart of one instance creates nothing that is missing, and does not need whatever was resolved
/// when its container was created.
#[test]
fn missing_objects_are_named_only_to_those_that_need_them() {
    let host = "host_config: {links: ['b:x']}";
    let text = blueprint(&[
        ("a", &format!("command: sleep 1, {host}"), "", ""),
        ("b", "command: sleep 1", "", ""),
    ]);
    let deployment = deployment_of(&text, None);
    let life = install(&deployment);
    let remove = |name: &str| {
        let mut containers = life.world.containers.borrow_mut();
        containers.retain(|it| it.name != name);
    };
    remove("b");
    let restart = restart_of(&deployment, "a");
    let heal = Parameters::Heal(Heal {
        selection: select(&deployment, "a"),
        ..Heal::default()
    });
    assert_eq!(absent(&life, &deployment, &restart), [""; 0]);
    assert_eq!(absent(&life, &deployment, &heal), [""; 0]);
    remove("a");
    for parameters in [&restart, &heal] {
        let absent = absent(&life, &deployment, parameters);
        assert_eq!(absent, ["a needs b, which is missing"]);
    }
    let whole = Parameters::Heal(Heal::default());
    assert_eq!(absent(&life, &deployment, &whole), [""; 0]);
}

/// A repair leaves alone an instance that needs one which a user stopped or uninstalled: it would
/// take down a container that cannot start again.
#[test]
fn repair_leaves_out_instances_that_need_an_absent_one() {
    let text = blueprint(&[
        ("c", &shares_network("b"), "", ""),
        ("b", &shares_network("a"), "", ""),
        ("a", "command: sleep 1", "", ""),
        ("d", "command: sleep 1", "", ""),
    ]);
    let deployment = deployment_of(&text, None);
    let mut life = install(&deployment);
    let uninstall = Parameters::Uninstall(Uninstall {
        selection: select(&deployment, "b"),
        ..Uninstall::default()
    });
    let outcome = life.run_with(&deployment, &uninstall);
    assert_eq!(outcome, Some(Outcome::Terminated));
    // `c` is missing and needs `b`; `d` is repaired.
    let gone = |name: &str| {
        life.world
            .containers
            .borrow_mut()
            .retain(|it| it.name != name)
    };
    gone("c");
    gone("d");
    let heal = Parameters::Heal(Heal::default());
    assert_eq!(
        absent(&life, &deployment, &heal),
        ["c needs b, which is not installed"]
    );
    assert_eq!(
        life.run(&deployment, Workflow::Heal),
        Some(Outcome::Terminated)
    );
    assert_eq!(life.container_states(), ["a running", "d running"]);
}

fn without_ids(deployment: &Deployment, text: String) -> String {
    let instances = deployment.instances.iter();
    instances.fold(text, |text, it| text.replace(&it.id, &it.node))
}

#[test]
fn sharers_of_sharers_start_again_too() {
    let text = blueprint(&[
        ("d", &shares_network("c"), "", ""),
        ("c", &shares_network("b"), "", ""),
        ("b", &shares_network("a"), "", ""),
        ("a", "command: sleep 1", "", ""),
    ]);
    let deployment = deployment_of(&text, None);
    let mut life = install(&deployment);
    changes(&life);
    kill(&life, "a");
    assert_eq!(
        announced(&life, &deployment, Workflow::Heal),
        ["b", "c", "d"]
    );
    assert_eq!(
        life.run(&deployment, Workflow::Heal),
        Some(Outcome::Terminated)
    );
    let changes = changes(&life);
    let starts = changes
        .iter()
        .filter(|(_, change)| *change == Change::Started);
    let starts: Vec<&str> = starts.map(|(node, _)| node.as_str()).collect();
    assert_eq!(starts, ["a", "b", "c", "d"]);
    assert!(life.world.stale_sharers().is_empty());
}

#[test]
fn sharers_survive_every_fault_of_an_update_of_their_owner() {
    for command in ["sleep 2", "exit", "missing"] {
        let sweep = Sweep {
            foreign: &[],
            before: sharers("sleep 1"),
            after: sharers(command),
            corrected: sharers("sleep 3"),
            always_working: &["a", "b", "c"],
            sample: 83,
        };
        assert!(sweep.run() >= 8);
    }
}

#[test]
fn sharers_start_again_after_a_failed_update_restored_their_owner() {
    let before = deployment_of(&sharers("sleep 1"), None);
    let mut life = install(&before);
    changes(&life);
    let after = deployment_of(&sharers("missing"), Some(&before));
    assert_eq!(life.run(&after, Workflow::Update), Some(Outcome::Failed));
    let states = life.container_states();
    assert_eq!(states, ["a running", "b running", "c running", "d running"]);
    let mut last_starts = changes(&life);
    last_starts.retain(|(_, change)| *change == Change::Started);
    let at = |node: &str| last_starts.iter().rposition(|(it, _)| it == node);
    assert!(at("a") < at("b") && at("a") < at("c"), "{last_starts:?}");
}

/// The owner is put back: its sharers still refer to it, and keep their own containers.
#[test]
fn sharers_of_a_restored_owner_are_not_recreated() {
    let before = deployment_of(&sharers("sleep 1"), None);
    for command in ["missing", "exit"] {
        let mut life = install(&before);
        changes(&life);
        let after = deployment_of(&sharers(command), Some(&before));
        assert_eq!(life.run(&after, Workflow::Update), Some(Outcome::Failed));
        let changes = changes(&life);
        for node in ["b", "c"] {
            assert!(started_again(&changes, node), "{command}: {changes:?}");
            let removed = (node.to_owned(), Change::Removed);
            assert!(!changes.contains(&removed), "{command}: {changes:?}");
        }
        assert!(life.world.stale_sharers().is_empty());
    }
}
