//! The order of removals that are not part of an exchange.
//!
//! What another object needs of a network that is removed and created again is free when the network
//! is gone. A network or a volume that the blueprint no longer declares is removed after the objects
//! that use it were replaced or removed.

use super::{
    PlanInput,
    exchange::{self, Member, Role},
    order::Order,
    task_graph::TaskGraph,
};
use crate::{
    model::{Definition, Deployment, Instance},
    plugins::ResourceKind,
    seam::{Effect, Object},
    stage::{Stage, TaskId},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// Lets each object that needs something of a removed one wait for the removal, unless the removal
/// waits for the object.
pub(super) fn arrange(known: &PlanInput<'_>, members: &[Member<'_>], stage: &mut Stage) {
    let recreated: Vec<Member<'_>> = members
        .iter()
        .filter(|it| it.role == Role::Recreated)
        .copied()
        .collect();
    if recreated.is_empty() {
        return;
    }
    let held = exchange::held(known, &recreated, ResourceKind::is_freed);
    let mut graph = TaskGraph::of(stage);
    for member in members.iter().filter(|it| it.role != Role::Removed) {
        let wanted = exchange::wanted(known, member, ResourceKind::is_freed);
        for (held, resource) in exchange::taken(Some(&wanted), &held) {
            let holder = recreated[held.member].instance;
            if holder.id == member.instance.id {
                continue;
            }
            let removal = task_of(stage, &holder.id, Effect::Removes);
            let take = taking_task(stage, &member.instance.id, resource.kind);
            if let (Some(removal), Some(take)) = (removal, take) {
                graph.add_need(take, removal);
            }
        }
    }
    stage.rearrange(graph.tasks);
}

/// Returns the first task of an instance that needs a resource of a kind.
fn taking_task(stage: &Stage, instance: &str, kind: ResourceKind) -> Option<TaskId> {
    let created = task_of(stage, instance, Effect::Creates);
    let started = || task_of(stage, instance, Effect::Starts);
    if kind.is_taken_at_creation() {
        created
    } else {
        started().or(created)
    }
}

fn task_of(stage: &Stage, instance: &str, effect: Effect) -> Option<TaskId> {
    tasks_of(stage, instance).find(|id| stage.task(*id).step.effect() == effect)
}

/// Lets the removal of networks and volumes that the definition no longer has wait for the instances
/// that use them. If another object needs the name or the subnet of such a network, the network is
/// removed first, and its users are outdated.
pub(super) fn postpone(known: &PlanInput<'_>, members: &[Member<'_>], stage: &mut Stage) {
    let all = users_of_removed(known);
    if all.is_empty() {
        return;
    }
    let is_kept = |id: &str| known.deployment.instance(id).is_some();
    let mut graph = TaskGraph::of(stage);
    for (removed, users) in all {
        let Some(first) = tasks_of(stage, removed).next() else {
            continue;
        };
        if is_taken(known, members, removed) {
            let removal = task_of(stage, removed, Effect::Removes).unwrap_or(first);
            graph.tasks[removal.0].outdates = users.into_iter().collect();
            continue;
        }
        let mut postponed = graph.clone();
        // What waits for the removal and is removed too.
        let later = postponed.after(first).into_iter();
        let later = later.filter(|id| !is_kept(&postponed.tasks[id.0].instance));
        let removals: BTreeSet<TaskId> = tasks_of(stage, removed).chain(later).collect();
        postponed.forget(&removals, |task| is_kept(&task.instance));
        let ends = users
            .iter()
            .filter_map(|id| tasks_of(stage, id).next_back());
        let ends: Vec<TaskId> = ends.collect();
        if ends.iter().all(|end| postponed.add_need(first, *end)) {
            graph = postponed;
        }
    }
    stage.rearrange(graph.tasks);
}

/// Returns why an instance cannot be created: a removed object has its name, and holds data.
pub(super) fn name_of_data(
    known: &PlanInput<'_>,
    (instance, node): (&Instance, &Definition),
) -> Option<String> {
    let holds_data = |node: &Definition| known.plugins.holds_data(node) && !node.is_adopted();
    if !holds_data(node) || !known.record.state(&instance.id).is_gone() {
        return None;
    }
    let role = Role::New;
    let new = Member {
        instance,
        node,
        role,
    };
    let is_holder = |(other, former): &&(Instance, Definition)| {
        let is_there = known.observed.of_instance(&other.id).is_some();
        is_there && holds_data(former) && is_taken(known, &[new], &other.id)
    };
    let (holder, _) = known.record.dropped.iter().find(is_holder)?;
    let name = &known.observed.of_instance(&holder.id)?.name;
    Some(format!(
        "the name `{name}` belongs to the data of the removed node `{}`: keep that node, or choose another name",
        holder.node
    ))
}

/// Returns true if a member needs what a removed object has.
fn is_taken(known: &PlanInput<'_>, members: &[Member<'_>], removed: &str) -> bool {
    let mut dropped = known.record.dropped.iter();
    let Some((instance, node)) = dropped.find(|(it, _)| it.id == removed) else {
        return false;
    };
    let role = Role::Removed;
    let holder = Member {
        instance,
        node,
        role,
    };
    let held = exchange::held(known, &[holder], ResourceKind::is_freed);
    let mut takers = members.iter().filter(|it| it.role != Role::Removed);
    takers.any(|taker| {
        let wanted = exchange::wanted(known, taker, ResourceKind::is_freed);
        exchange::taken(Some(&wanted), &held).next().is_some()
    })
}

/// Returns, for each network and volume that the definition no longer has, the IDs of the instances
/// whose present objects use it.
fn users_of_removed<'k>(known: &PlanInput<'k>) -> BTreeMap<&'k str, BTreeSet<String>> {
    let is_static = |(it, _): &&(Instance, Definition)| {
        let object = known.observed.of_instance(&it.id);
        object.is_some_and(Object::is_static)
    };
    let dropped = known.record.dropped.iter().filter(is_static);
    let mut users: BTreeMap<&str, BTreeSet<String>> =
        dropped.map(|(it, _)| (&*it.id, BTreeSet::new())).collect();
    if users.is_empty() {
        return users;
    }
    let before = before_removal(known);
    let order = Order::new(&before, known.plugins);
    for instance in &known.deployment.instances {
        let Some(earlier) = before.instance(&instance.id) else {
            continue;
        };
        let related = earlier.relationships.iter().map(|it| it.target.clone());
        for id in related.chain(order.bound_to(earlier)) {
            if let Some(users) = users.get_mut(id.as_str()) {
                users.insert(instance.id.clone());
            }
        }
    }
    users.retain(|_, users| !users.is_empty());
    users
}

/// Returns the deployment as its objects were created, with the instances that are removed.
fn before_removal(known: &PlanInput<'_>) -> Deployment {
    let mut before = known.record.as_created(known.deployment).into_owned();
    for (instance, node) in &known.record.dropped {
        let nodes = before.nodes.entry(instance.node.clone());
        nodes.or_insert_with(|| Arc::new(node.clone()));
        before.instances.push(instance.clone());
    }
    before
}

/// Returns the tasks of an instance, in the order of the stage.
fn tasks_of<'s>(
    stage: &'s Stage,
    instance: &'s str,
) -> impl DoubleEndedIterator<Item = TaskId> + 's {
    stage
        .ids()
        .filter(move |id| stage.task(*id).instance == instance)
}
