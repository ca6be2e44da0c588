//! `reinstall`: takes instances down and installs them again, in one stage.

use super::{
    PlanInput, Proposal,
    chain::Chain,
    images::{self, ImageTasks},
    install,
    neighbors::{Neighbors, append_operations},
    order::Order,
    uninstall::Removal,
};
use crate::{
    model::{
        Instance,
        InstanceState::{Started, Uninitialized},
    },
    seam::{Material, Purpose, Step},
    stage::TaskId,
};
use std::collections::{BTreeSet, HashMap};

/// Plans to take down all chosen instances that exist, then to install all chosen instances.
#[must_use]
pub fn of(
    known: &PlanInput<'_>,
    chosen: &dyn Fn(&Instance) -> bool,
    ignores_failure: bool,
    cause: &str,
) -> Proposal {
    let mut proposal = Proposal::default();
    append(known, chosen, ignores_failure, cause, &mut proposal);
    proposal
}

/// Appends these tasks to a proposal. Instances that depend on each other, directly or not, form a
/// group: if one of their images cannot be pulled or built, all of them stay unchanged. Other
/// groups do not wait for them.
pub(super) fn append(
    known: &PlanInput<'_>,
    chosen: &dyn Fn(&Instance) -> bool,
    ignores_failure: bool,
    cause: &str,
    proposal: &mut Proposal,
) {
    // Only `update` replaces an adopted container whose node no longer adopts it: after a
    // reinstall, the adopted container would still hold the name.
    let chosen = &|instance: &Instance| chosen(instance) && !is_still_adopted(known, instance);
    let order = Order::new(known.deployment, known.plugins);
    let together = groups(&order, chosen);
    let all_image_tasks = images::append_all(known, &order, chosen, cause, proposal);
    let image_tasks: ImageTasks = together
        .iter()
        .map(|(id, at)| (id.clone(), image_tasks(&all_image_tasks, &together, *at)))
        .collect();
    let first = proposal.stage.tasks().len();
    Removal {
        known: *known,
        chosen,
        cause,
        ignores_failure,
        image_tasks: &image_tasks,
        purpose: Purpose::Ordinary,
        hands_on: &|_| false,
        refuses_used: !ignores_failure,
    }
    .plan(&[], proposal);
    keep_images(first, proposal);
    let removals = last_tasks(&together, first, proposal);
    let mut last: HashMap<String, TaskId> = HashMap::new();
    for instance in order
        .instances()
        .into_iter()
        .filter(|instance| chosen(instance))
    {
        let Some(node) = known.deployment.node(instance) else {
            continue;
        };
        let need = |id| {
            let task = *last.get(id)?;
            order.awaited_task(instance, (id, task), &proposal.stage)
        };
        let needs = order.dependencies_of(instance).into_iter();
        let needs: Vec<TaskId> = needs.filter_map(need).collect();
        let after: BTreeSet<TaskId> = needs
            .into_iter()
            .chain(
                together
                    .get(&instance.id)
                    .and_then(|at| removals.get(at))
                    .into_iter()
                    .flatten()
                    .copied(),
            )
            .collect();
        let mut chain = Chain::new(*known, (instance, node), cause, proposal);
        chain.after = after.into_iter().collect();
        install::append_install(&mut chain, Uninitialized);
        chain.end_in(Started, "install");
        last.extend(chain.last.map(|id| (instance.id.clone(), id)));
    }
    let touched = |instance: &Instance| last.contains_key(&instance.id);
    let neighbors = Neighbors {
        chosen,
        changed: &touched,
        after: &last,
        cause: "the target of its relationship is created",
    };
    append_operations(*known, "establish", &neighbors, proposal);
}

fn is_still_adopted(known: &PlanInput<'_>, instance: &Instance) -> bool {
    let node = known.deployment.node(instance);
    node.is_some_and(|node| {
        !node.is_adopted() && known.record.object_definition(instance, node).is_adopted()
    })
}

/// Returns the group number of each chosen instance. Instances that depend on each other share it.
fn groups(order: &Order<'_>, chosen: &dyn Fn(&Instance) -> bool) -> HashMap<String, usize> {
    let mut numbers: HashMap<String, usize> = HashMap::new();
    for (at, instance) in order
        .instances()
        .into_iter()
        .filter(|instance| chosen(instance))
        .enumerate()
    {
        // Its dependencies come earlier in the order: merge their groups into this one.
        let merged: BTreeSet<usize> = order
            .dependencies_of(instance)
            .iter()
            .filter_map(|id| numbers.get(*id).copied())
            .collect();
        for number in numbers
            .values_mut()
            .filter(|number| merged.contains(number))
        {
            *number = at;
        }
        numbers.insert(instance.id.clone(), at);
    }
    numbers
}

/// Returns the tasks that provide the images of a group.
fn image_tasks(
    image_tasks: &ImageTasks,
    together: &HashMap<String, usize>,
    number: usize,
) -> BTreeSet<TaskId> {
    let members = together.iter().filter(|(_, at)| **at == number);
    members
        .filter_map(|(id, _)| image_tasks.get(id))
        .flatten()
        .copied()
        .collect()
}

/// Returns the last tasks that take instances down, by group.
fn last_tasks(
    together: &HashMap<String, usize>,
    first: usize,
    proposal: &Proposal,
) -> HashMap<usize, BTreeSet<TaskId>> {
    let mut last: HashMap<&str, TaskId> = HashMap::new();
    for id in (first..proposal.stage.tasks().len()).map(TaskId) {
        last.insert(&proposal.stage.task(id).instance, id);
    }
    let mut ends: HashMap<usize, BTreeSet<TaskId>> = HashMap::new();
    for (at, task) in last
        .into_iter()
        .filter_map(|(id, task)| Some((*together.get(id)?, task)))
    {
        ends.entry(at).or_default().insert(task);
    }
    ends
}

/// Replaces removals of images by empty tasks: an image that was just built has the same name as
/// the old one.
pub(super) fn keep_images(first: usize, proposal: &mut Proposal) {
    for id in (first..proposal.stage.tasks().len()).map(TaskId) {
        let task = proposal.stage.task_mut(id);
        if task.step.traits.material == Some(Material::Removes) {
            task.step = Step::no_action();
        }
    }
}
