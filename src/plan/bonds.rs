//! Which instances hold on to an object that is replaced: by an address, an id or a link.

use super::{Known, order::Order};
use crate::{record::Record, stage::Stage};
use std::collections::{BTreeSet, HashMap};

/// Notes at every task that creates an object which instances hold on to its predecessor. Once the
/// task is done they are out of date, until they are replaced themselves. The note is in the
/// journal, because the run may not get that far.
pub(super) fn note(known: &Known<'_>, stage: &mut Stage) {
    if !known.record.is_installed() || !stage.tasks().iter().any(|task| task.step.declares_anew()) {
        return;
    }
    let holders = holders(known, &made_before(known.record, stage));
    for id in stage.ids() {
        let task = stage.task_mut(id);
        if task.step.declares_anew() {
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

/// Returns the instances that exist when the stage begins and get a new object in it.
fn made_before(record: &Record, stage: &Stage) -> BTreeSet<String> {
    let made = stage
        .tasks()
        .iter()
        .filter(|task| task.step.declares_anew())
        .map(|task| &task.instance);
    made.filter(|id| !record.state(id).is_gone())
        .cloned()
        .collect()
}

/// Returns for each of these instances the ids of those whose present objects hold on to its own.
fn holders(known: &Known<'_>, made: &BTreeSet<String>) -> HashMap<String, Vec<String>> {
    let as_made = known.record.as_made(known.deployment);
    let order = Order::new(&as_made, known.plugins);
    let mut holders: HashMap<String, Vec<String>> = HashMap::new();
    for instance in &as_made.instances {
        for id in order
            .bound_to(instance)
            .into_iter()
            .filter(|id| made.contains(id))
        {
            holders.entry(id).or_default().push(instance.id.clone());
        }
    }
    holders
}
