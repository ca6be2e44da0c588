//! Leaves out of a stage the instances whose engine could not be observed.

use super::{PlanInput, order::Order};
use crate::stage::{Stage, Task};
use std::collections::BTreeSet;

/// Leaves out the tasks of unseen instances, and of instances with scripts that run inside them.
pub(super) fn leave_out(known: &PlanInput<'_>, stage: &mut Stage) {
    if known.observed.unseen.is_empty() {
        return;
    }
    let mut left_out: BTreeSet<String> = unseen(known).map(str::to_owned).collect();
    let runs_inside = |task: &&Task, left_out: &BTreeSet<String>| {
        let inside = task.step.inside.as_ref();
        inside.is_some_and(|id| left_out.contains(id))
    };
    let inside = stage.tasks().iter();
    let inside = inside.filter(|task| runs_inside(task, &left_out));
    let inside: Vec<String> = inside.map(|task| task.instance.clone()).collect();
    left_out.extend(inside);
    stage.retain(|task| !left_out.contains(&task.instance));
}

/// Returns the IDs of the instances that must not be taken down: an unseen instance may still use
/// them.
pub(super) fn needed(known: &PlanInput<'_>) -> BTreeSet<String> {
    let mut needed = BTreeSet::new();
    if known.observed.unseen.is_empty() {
        return needed;
    }
    let as_made = known.record.as_created(known.deployment);
    let order = Order::new(&as_made, known.plugins);
    let mut open: Vec<String> = unseen(known).map(str::to_owned).collect();
    while let Some(id) = open.pop() {
        let instance = as_made.instance(&id);
        let dependencies = instance
            .into_iter()
            .flat_map(|it| order.dependencies_of(it));
        let new = dependencies.filter(|id| !needed.contains(*id));
        open.extend(new.map(str::to_owned).collect::<Vec<_>>());
        needed.insert(id);
    }
    needed
}

/// Returns the IDs of the unseen instances.
fn unseen<'k>(known: &PlanInput<'k>) -> impl Iterator<Item = &'k str> {
    let instances = known.observed.unseen.iter().flat_map(|it| &it.instances);
    instances.map(String::as_str)
}
