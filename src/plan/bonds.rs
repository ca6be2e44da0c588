//! Who holds on to what is made again: an address, an id, a link.

use super::{Known, Stage, order::Order};
use crate::{backend::Declares, state::Record};
use std::collections::{BTreeSet, HashMap};

/// Notes at every task that makes an object which instances hold on to the object before it. Once the task is done theirs are out of
/// date, until they are made again themselves; the run may not get that far.
pub(super) fn note(known: &Known<'_>, stage: &mut Stage) {
    if !known.record.is_installed() || !stage.tasks().iter().any(|task| task.step.declares() == Some(Declares::Anew)) {
        return;
    }
    let holders = holders(known, &made_before(known.record, stage));
    for id in stage.ids() {
        let task = stage.task_mut(id);
        if task.step.declares() == Some(Declares::Anew) {
            task.outdates = holders.get(task.instance.as_str()).into_iter().flatten().filter(|id| **id != task.instance).cloned().collect();
        }
    }
}

/// Instances that exist, or existed when the stage begins.
fn made_before(record: &Record, stage: &Stage) -> BTreeSet<String> {
    let made = stage.tasks().iter().filter(|task| task.step.declares() == Some(Declares::Anew)).map(|task| &task.instance);
    made.filter(|id| !record.state(id).is_gone()).cloned().collect()
}

/// For each of these instances the ids of those whose objects, as they are, hold on to its own.
fn holders(known: &Known<'_>, made: &BTreeSet<String>) -> HashMap<String, Vec<String>> {
    let as_made = known.record.as_made(known.deployment);
    let order = Order::new(&as_made);
    let mut holders: HashMap<String, Vec<String>> = HashMap::new();
    for instance in &as_made.instances {
        for id in order.bound_to(instance).into_iter().filter(|id| made.contains(id)) {
            holders.entry(id).or_default().push(instance.id.clone());
        }
    }
    holders
}
