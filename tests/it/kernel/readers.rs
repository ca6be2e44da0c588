//! Nodes that read attributes of other nodes, on the simulated engine: they are created after those
//! nodes and removed before them.

use crate::{
    kernel::followers::with_known,
    kernel::restore::{TestDeployment, blueprint, install},
    kernel::run::deployment_of,
};
use dockctl::{
    event::Outcome,
    model::Deployment,
    plan::{self, PlanInput, unordered_readings},
    plugins::Plugins,
    seam::Effect,
    stage::{
        Parameters, Selection, Stage, TaskId, Workflow,
        parameters::{Heal, Reinstall, Restart},
    },
};
use std::collections::HashSet;

const READS_A: &str = "command: sleep 1, environment: {A: {get_attribute: [a, container_id]}}";

fn depends_on(target: &str) -> String {
    format!("{{type: cloudify.relationships.depends_on, target: {target}}}")
}

/// Returns the position of a step of a node among all requests.
fn position(life: &TestDeployment, node: &str, step: &str) -> usize {
    let requests = life.world.requests.borrow();
    let found = requests
        .iter()
        .position(|(id, text)| id.starts_with(&format!("{node}_")) && text.starts_with(step));
    found.unwrap_or_else(|| panic!("{step} of {node} is not in {requests:?}"))
}

#[test]
fn reader_of_an_attribute_is_created_after_its_source_and_removed_before_it() {
    let deployment = deployment_of(
        &blueprint(&[("b", READS_A, "", ""), ("a", "command: sleep 1", "", "")]),
        None,
    );
    let mut life = TestDeployment::new();
    assert_eq!(
        life.run(&deployment, Workflow::Install),
        Some(Outcome::Terminated)
    );
    assert!(position(&life, "a", "start") < position(&life, "b", "create"));
    life.world.requests.borrow_mut().clear();
    assert_eq!(
        life.run(&deployment, Workflow::Uninstall),
        Some(Outcome::Terminated)
    );
    assert!(position(&life, "b", "remove container") < position(&life, "a", "stop"));
    assert_eq!(unordered_readings(&deployment, Plugins::default()), []);
}

#[test]
fn reads_of_itself_and_late_reads_add_no_dependency() {
    let own = "command: sleep 1, environment: {A: {get_attribute: [a, node_instance_id]}}";
    let text = blueprint(&[
        ("a", own, "", ""),
        ("b", "command: sleep 1", "", &depends_on("a")),
    ]);
    let stop = "cloudify.interfaces.lifecycle: {stop: {inputs: {params: {timeout: {get_attribute: [b, time]}}}}, create";
    let deployment = deployment_of(
        &text.replacen("cloudify.interfaces.lifecycle: {create", stop, 1),
        None,
    );
    assert_eq!(
        unordered_readings(&deployment, Plugins::default()),
        [],
        "`a` is stopped after `b` anyway"
    );
    let mut life = TestDeployment::new();
    assert_eq!(
        life.run(&deployment, Workflow::Install),
        Some(Outcome::Terminated)
    );
    assert!(position(&life, "a", "start") < position(&life, "b", "create"));
}

#[test]
fn reader_of_a_recreated_node_is_outdated_until_it_is_recreated() {
    let deployment = deployment_of(
        &blueprint(&[("b", READS_A, "", ""), ("a", "command: sleep 1", "", "")]),
        None,
    );
    let id = |node: &str| {
        deployment
            .instances
            .iter()
            .find(|it| it.node == node)
            .unwrap()
            .id
            .clone()
    };
    let selection = Selection::of_instances([id("a")]);
    let reinstall_a = Parameters::Reinstall(Reinstall {
        selection: selection.clone(),
        ignore_failure: false,
    });
    let heal_a = Parameters::Heal(Heal {
        selection,
        force_reinstall: true,
        ..Heal::default()
    });
    for parameters in [&reinstall_a, &heal_a] {
        let workflow = parameters.workflow();
        let mut life = TestDeployment::new();
        life.run(&deployment, Workflow::Install);
        assert!(!life.record().has_outdated());
        assert_eq!(
            life.run_with(&deployment, parameters),
            Some(Outcome::Terminated)
        );
        assert!(
            life.record().instances[&id("b")].is_outdated(),
            "{workflow}"
        );
        let before = life.id("b");
        assert_eq!(
            life.run(&deployment, Workflow::Update),
            Some(Outcome::Terminated)
        );
        assert!(
            !life.record().has_outdated() && life.id("b") != before,
            "{workflow}"
        );
    }
    // Reinstalling both leaves no instance outdated.
    let mut life = TestDeployment::new();
    life.run(&deployment, Workflow::Install);
    assert_eq!(
        life.run(&deployment, Workflow::Reinstall),
        Some(Outcome::Terminated)
    );
    assert!(!life.record().has_outdated());
}

#[test]
fn deployment_with_a_cyclic_read_still_runs_and_uninstalls() {
    // Only an older dockctl installed this cycle: `b` reads an attribute of `a`, which depends on
    // `b`.
    let deployment = deployment_of(
        &blueprint(&[
            ("b", READS_A, "", ""),
            ("a", "command: sleep 1", "", &depends_on("b")),
        ]),
        None,
    );
    let dropped = unordered_readings(&deployment, Plugins::default());
    assert_eq!(dropped.len(), 1);
    assert_eq!(
        dropped[0].to_string(),
        "`create` of `b` reads attributes of `a`"
    );
    assert!(dropped[0].creates_or_starts);
    let mut life = TestDeployment::new();
    assert_eq!(
        life.run(&deployment, Workflow::Install),
        Some(Outcome::Terminated)
    );
    assert!(
        position(&life, "b", "start") < position(&life, "a", "create"),
        "the relationship determines the order"
    );
    for workflow in [
        Workflow::Heal,
        Workflow::Restart,
        Workflow::Reinstall,
        Workflow::Update,
        Workflow::Uninstall,
    ] {
        assert_eq!(
            life.run(&deployment, workflow),
            Some(Outcome::Terminated),
            "{workflow}"
        );
    }
    assert_eq!(life.container_states(), [""; 0]);
}

/// `b` needs `a` to be created, and not more: `a` waits for a process that `b` serves.
#[test]
fn awaited_operation_orders_install_and_uninstall() {
    let relationship = |operation: &str| {
        let of = "cloudify.relationships.depends_on_lifecycle_operation";
        format!("{{type: {of}, target: a, properties: {{operation: {operation}}}}}")
    };
    let text = |operation: &str| {
        let blueprint = blueprint(&[("a", "", "", ""), ("b", "", "", &relationship(operation))]);
        blueprint.replacen(
            "create: {inputs: {params: {}}}",
            "create: {inputs: {params: {}}}, start: {inputs: {processes_to_wait_for: [x]}}",
            1,
        )
    };
    let stage = |operation: &str, workflow: Workflow| {
        let deployment = deployment_of(&text(operation), None);
        let mut life = TestDeployment::new();
        if workflow == Workflow::Uninstall {
            life.run(&deployment, Workflow::Install);
        }
        life.plan(&deployment, workflow)
    };
    let task = |stage: &Stage, node: &str, operation: &str| {
        let is_it = |it: &&TaskId| {
            let task = stage.task(**it);
            task.node == node && task.operation == operation
        };
        let ids: Vec<TaskId> = stage.ids().collect();
        *ids.iter().rfind(is_it).unwrap()
    };
    let waits = |stage: &Stage, task: TaskId, other: TaskId| {
        let (mut seen, mut open) = (HashSet::new(), vec![task]);
        while let Some(at) = open.pop() {
            if seen.insert(at) {
                open.extend(&stage.task(at).needs);
            }
        }
        seen.contains(&other)
    };
    let installed = stage("create", Workflow::Install);
    let [created, started] = ["create", "start"].map(|it| task(&installed, "a", it));
    let of_b = task(&installed, "b", "create");
    assert!(waits(&installed, of_b, created), "{installed}");
    assert!(!waits(&installed, of_b, started), "{installed}");
    let installed = stage("start", Workflow::Install);
    let of_b = task(&installed, "b", "create");
    assert!(
        waits(&installed, of_b, task(&installed, "a", "start")),
        "{installed}"
    );
    // The other way around.
    let uninstall = stage("create", Workflow::Uninstall);
    let [stopped, deleted] = ["stop", "delete"].map(|it| task(&uninstall, "a", it));
    let of_b = task(&uninstall, "b", "delete");
    assert!(waits(&uninstall, deleted, of_b), "{uninstall}");
    assert!(!waits(&uninstall, stopped, of_b), "{uninstall}");
    let uninstall = stage("start", Workflow::Uninstall);
    let stopped = task(&uninstall, "a", "stop");
    assert!(
        waits(&uninstall, stopped, task(&uninstall, "b", "delete")),
        "{uninstall}"
    );
    // A restart does not repeat `create`.
    for (operation, is_awaited) in [("create", false), ("start", true)] {
        let deployment = deployment_of(&text(operation), None);
        let life = install(&deployment);
        let restart = Parameters::Restart(Restart {
            is_recorded: true,
            ..Restart::default()
        });
        let plan = |known: &PlanInput<'_>| plan::first(&restart, known).stage;
        let restart = with_known(&life, &deployment, plan);
        let [of_a, of_b] = ["a", "b"].map(|it| task(&restart, it, "start"));
        assert_eq!(waits(&restart, of_b, of_a), is_awaited, "{restart}");
    }
}

#[test]
fn limit_beside_a_late_value_is_changed_in_place() {
    let late = "{get_attribute: [a, container_id]}";
    for params in [
        format!("environment: {{A: {late}}}, host_config: {{mem_limit: LIMIT}}"),
        format!("host_config: {{mem_limit: LIMIT, binds: [{{concat: ['/tmp:/', {late}]}}]}}"),
        format!("host_config: {{Memory: LIMIT, network_mode: {{concat: ['container:', {late}]}}}}"),
    ] {
        let define = |limit: &str, before: Option<&Deployment>| {
            let of_b = format!("command: sleep 1, {}", params.replace("LIMIT", limit));
            let nodes = [("a", "command: sleep 1", "", ""), ("b", &*of_b, "", "")];
            deployment_of(&blueprint(&nodes), before)
        };
        let before = define("64000000", None);
        let life = install(&before);
        let after = define("80000000", Some(&before));
        let effects = |deployment: &Deployment| -> Vec<Effect> {
            let stage = life.plan(deployment, Workflow::Update);
            stage.tasks().iter().map(|it| it.step.effect()).collect()
        };
        assert_eq!(effects(&after), [Effect::Adjusts], "{params}");
    }
}
