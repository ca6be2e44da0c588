//! Workflows while the engine of an instance does not respond, on the simulated engine.

use crate::{
    kernel::{
        restore::{blueprint, install},
        run::deployment_of,
    },
    simulated::Change,
};
use dockctl::{event::Outcome, stage::Workflow};

const SLEEP: &str = "command: sleep 1";
const NEEDS_A: &str = "{type: cloudify.relationships.depends_on, target: a}";

#[test]
fn unseen_instance_and_those_that_it_needs_stay() {
    let text = blueprint(&[
        ("a", SLEEP, "", ""),
        ("b", SLEEP, "", NEEDS_A),
        ("c", SLEEP, "", ""),
    ]);
    let deployment = deployment_of(&text, None);
    let mut life = install(&deployment);
    life.world.silence("b_");
    let is_of_c = |id: &Option<dockctl::seam::Owner>| {
        id.as_ref()
            .is_some_and(|owner| owner.instance.starts_with("c_"))
    };
    life.world
        .containers
        .borrow_mut()
        .retain(|it| !is_of_c(&it.owner));
    let mut changed = |workflow: Workflow| {
        life.world.changes.borrow_mut().clear();
        assert_eq!(life.run(&deployment, workflow), Some(Outcome::Terminated));
        let changes = life.world.changes.borrow();
        let of_node = |(id, change): &(String, Change)| (id[..1].to_owned(), *change);
        changes.iter().map(of_node).collect::<Vec<_>>()
    };
    let of = |node: &str, all: &[Change]| -> Vec<(String, Change)> {
        all.iter()
            .map(|change| (node.to_owned(), *change))
            .collect()
    };
    assert_eq!(
        changed(Workflow::Heal),
        of("c", &[Change::Created, Change::Started])
    );
    let removed = of("c", &[Change::Stopped, Change::Removed]);
    assert_eq!(changed(Workflow::Uninstall), removed);
    assert!(life.record().is_installed());
    let plan = life.plan(&deployment, Workflow::Install);
    assert!(plan.tasks().iter().all(|task| task.node == "c"), "{plan}");

    life.world.silence("no instance");
    assert_eq!(
        life.run(&deployment, Workflow::Uninstall),
        Some(Outcome::Terminated)
    );
    assert!(life.world.containers.borrow().is_empty());
}
