//! Finds the instances that refer to a replaced object: by an address, an ID or a link.

use super::{PlanInput, order::Order};
use crate::{record::Record, stage::Stage};
use std::collections::{BTreeSet, HashMap};

/// Marks every task that creates an object with the instances that refer to its predecessor. When
/// the task is done, they are outdated until they are replaced too. The mark is journaled, because
/// the execution may end before that.
pub(super) fn mark_outdated(known: &PlanInput<'_>, stage: &mut Stage) {
    if !known.record.is_installed() || !stage.tasks().iter().any(|task| task.step.creates_object())
    {
        return;
    }
    let holders = referrers(known, &recreated(known.record, stage));
    for id in stage.ids() {
        let task = stage.task_mut(id);
        if task.step.creates_object() {
            task.outdates = holders
                .get(task.instance.as_str())
                .into_iter()
                .flatten()
                .filter(|id| **id != task.instance)
                .cloned()
                .collect();
        }
    }
}

/// Returns the instances that exist before the stage and get a new object in it.
fn recreated(record: &Record, stage: &Stage) -> BTreeSet<String> {
    let recreated = stage
        .tasks()
        .iter()
        .filter(|task| task.step.creates_object())
        .map(|task| &task.instance);
    recreated
        .filter(|id| !record.state(id).is_gone())
        .cloned()
        .collect()
}

/// Returns, for each of these instances, the IDs of the instances whose present objects refer to
/// its object.
fn referrers(known: &PlanInput<'_>, recreated: &BTreeSet<String>) -> HashMap<String, Vec<String>> {
    let as_made = known.record.as_created(known.deployment);
    let order = Order::new(&as_made, known.plugins);
    let mut holders: HashMap<String, Vec<String>> = HashMap::new();
    for instance in &as_made.instances {
        for id in order
            .bound_to(instance)
            .into_iter()
            .filter(|id| recreated.contains(id))
        {
            holders.entry(id).or_default().push(instance.id.clone());
        }
    }
    holders
}
