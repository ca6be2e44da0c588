//! The order of objects that are removed and created again, such as networks: what another object
//! needs of them is free when they are gone.
//!
//! Objects that can be kept until others work form an exchange instead.

use super::{
    PlanInput,
    exchange::{self, Member, Role},
    task_graph::TaskGraph,
};
use crate::{
    plugins::ResourceKind,
    seam::Effect,
    stage::{Stage, TaskId},
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
            let removal = task_of(stage, &holder.id, Effect::Removes);
            let take = taking_task(stage, &member.instance.id, resource.kind);
            if let (Some(removal), Some(take)) = (removal, take)
                && holder.id != member.instance.id
            {
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
    stage.ids().find(|id| {
        let task = stage.task(*id);
        task.instance == instance && task.step.effect() == effect
    })
}
