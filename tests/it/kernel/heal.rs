//! `heal` on the simulated engine.

use crate::{
    kernel::{
        followers::{changes, kill},
        restore::{blueprint, install},
        run::deployment_of,
    },
    simulated::Change,
};
use dockctl::{
    event::Outcome,
    stage::{
        Parameters, Selection, Workflow,
        parameters::{Reinstall, Uninstall},
    },
};

/// An outdated owner that does not run is started before its sharers.
#[test]
fn heal_starts_an_outdated_owner_before_its_sharers() {
    let text = |command: &str| {
        let sharer = "command: sleep 1, host_config: {pid_mode: 'container:b'}";
        blueprint(&[
            ("a", sharer, "", ""),
            ("b", &format!("command: {command}"), "", ""),
        ])
    };
    let before = deployment_of(&text("sleep 1"), None);
    let mut life = install(&before);
    let after = deployment_of(&text("missing"), Some(&before));
    assert_eq!(life.run(&after, Workflow::Update), Some(Outcome::Failed));
    kill(&life, "a");
    kill(&life, "b");
    changes(&life);
    assert_eq!(life.run(&after, Workflow::Heal), Some(Outcome::Terminated));
    let changes = changes(&life);
    let starts = changes
        .iter()
        .filter(|(_, change)| *change == Change::Started);
    let starts: Vec<&str> = starts.map(|(node, _)| node.as_str()).collect();
    assert_eq!(starts, ["b", "a"]);
}

/// Instances that a user uninstalled are no drift, and stay away until the next install.
#[test]
fn heal_leaves_out_what_was_uninstalled() {
    let text = blueprint(&[
        ("a", "command: sleep 1", "", ""),
        ("b", "command: sleep 1", "", ""),
    ]);
    let deployment = deployment_of(&text, None);
    let mut life = install(&deployment);
    let selection_of = |node: &str| {
        let found = deployment.instances.iter().find(|it| it.node == node);
        Selection::of_instances([found.unwrap().id.clone()])
    };
    let uninstall = Parameters::Uninstall(Uninstall {
        selection: selection_of("b"),
        ..Uninstall::default()
    });
    let outcome = life.run_with(&deployment, &uninstall);
    assert_eq!(outcome, Some(Outcome::Terminated));
    kill(&life, "a");
    assert_eq!(
        life.run(&deployment, Workflow::Heal),
        Some(Outcome::Terminated)
    );
    assert_eq!(life.container_states(), ["a running"]);
    // A later execution that creates others does not ask for it either.
    let reinstall_a = Parameters::Reinstall(Reinstall {
        selection: selection_of("a"),
        ..Reinstall::default()
    });
    let outcome = life.run_with(&deployment, &reinstall_a);
    assert_eq!(outcome, Some(Outcome::Terminated));
    assert_eq!(
        life.run(&deployment, Workflow::Heal),
        Some(Outcome::Terminated)
    );
    assert_eq!(life.container_states(), ["a running"]);
    assert_eq!(
        life.run(&deployment, Workflow::Install),
        Some(Outcome::Terminated)
    );
    assert_eq!(life.container_states(), ["a running", "b running"]);
}

/// A new instance that a failed update did not create may need what an instance still has that the
/// update did not remove.
#[test]
fn heal_leaves_new_instances_to_the_update() {
    let port = "host_config: {port_bindings: {80: 1}}";
    let one = |name: &str, command: &str| {
        let params = format!("command: {command}, {port}");
        blueprint(&[(name, &params, "", "")])
    };
    let before = deployment_of(&one("a", "sleep 1"), None);
    let after = deployment_of(&one("b", "missing"), Some(&before));
    for next in [Workflow::Heal, Workflow::Restart] {
        let mut life = install(&before);
        assert_eq!(life.run(&after, Workflow::Update), Some(Outcome::Failed));
        assert_eq!(life.container_states(), ["a running"]);
        assert_eq!(life.run(&after, next), Some(Outcome::Terminated));
        assert_eq!(life.container_states(), ["a running"]);
    }
}
