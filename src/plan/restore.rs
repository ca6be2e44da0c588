//! Restores predecessors after replacements that did not finish.
//!
//! Between the stop of a predecessor and the proof that its successor works, an execution can fail,
//! be cancelled or die. The predecessor then gets its place back and is started. If it cannot be
//! started, because it is gone or refers to something that is gone, another object is created from
//! the same definition. The same happens to an object that shares something with a replaced object
//! and was not replaced itself.
//!
//! Restoring is not new work: a cancelled execution still restores. If it cannot, the next
//! execution restores before anything else.

use super::{
    PlanInput, Proposal,
    chain::Chain,
    install,
    order::Order,
    outdated,
    update::{self, Replacing},
};
use crate::{
    event::Outcome,
    instance_record::{InstanceRecord, PREDECESSOR},
    model::{
        Definition, Instance,
        InstanceState::{Started, Starting, Stopping, Uninitialized},
        Retry,
    },
    plugins::Plugins,
    record::Record,
    stage::{PUT_BACK, Parameters, Restoring, Stage, TaskId},
};
use serde_json::Value as Json;
use std::collections::{HashMap, HashSet};

/// Returns true if an instance is being replaced and its successor is not proven yet.
#[must_use]
pub(super) fn is_unproven(known: &InstanceRecord) -> bool {
    known.is_being_replaced() && !(known.state == Started && known.has_successor())
}

/// Returns true if the successor of an instance is proven and only the predecessor must be removed.
#[must_use]
pub(super) fn is_proven(known: &InstanceRecord) -> bool {
    known.is_being_replaced() && !is_unproven(known)
}

/// Returns true if an execution must restore before it does anything else. `install`, `update` and
/// `heal` of the whole deployment finish the replacement instead, but only if the process of the
/// last execution died. After a failed or cancelled execution, the predecessor is restored.
#[must_use]
pub fn must_come_first(record: &Record, plugins: Plugins, parameters: &Parameters) -> bool {
    let finishes_replacement = matches!(
        parameters,
        Parameters::Install(_) | Parameters::Update(_) | Parameters::Heal(_)
    );
    let is_whole_deployment =
        parameters.selection().is_all() && parameters.unhealthy_instance().is_none();
    let died = record.executions.last().is_some_and(|last| {
        matches!(last.outcome, None | Some(Outcome::Interrupted))
            && !last.has_failed()
            && last.stopped.is_none()
    });
    is_needed(record, plugins) && !(finishes_replacement && is_whole_deployment && died)
}

/// Returns true if the record shows anything to restore.
#[must_use]
pub(super) fn is_needed(record: &Record, plugins: Plugins) -> bool {
    !instances_to_restore(record, plugins).is_empty()
}

/// Returns the IDs of the instances to restore, according to the record.
#[must_use]
pub fn instances_to_restore(record: &Record, plugins: Plugins) -> Vec<String> {
    let is_between =
        |(_, known): &(&String, &InstanceRecord)| is_unproven(known) || known.is_restored();
    let between = record
        .instances
        .iter()
        .filter(is_between)
        .map(|(id, _)| id.clone());
    between.chain(cut_off(record, plugins)).collect()
}

/// Returns the IDs of started instances whose objects share a network, a namespace or a link with
/// an object that was replaced since. They cannot be restarted.
fn cut_off(record: &Record, plugins: Plugins) -> HashSet<String> {
    let is_stale =
        |known: &InstanceRecord| known.is_stale && known.state == Started && !is_unproven(known);
    let Some(deployment) = record
        .deployment
        .as_ref()
        .filter(|_| record.instances.values().any(is_stale))
    else {
        return HashSet::new();
    };
    let as_made = record.as_created(deployment);
    let order = Order::new(&as_made, plugins);
    let is_cut_off = |instance: &&Instance| {
        record.instances.get(&instance.id).is_some_and(is_stale)
            && order.references_of(instance).next().is_some()
    };
    as_made
        .instances
        .iter()
        .filter(is_cut_off)
        .map(|instance| instance.id.clone())
        .collect()
}

/// Plans the first stage of restoring; empty if there is nothing to restore.
#[must_use]
pub fn first(known: &PlanInput<'_>) -> Stage {
    let stage = restore_places(known);
    let mut stage = if stage.is_empty() {
        recreate(known)
    } else {
        stage
    };
    outdated::mark_outdated(known, &mut stage);
    stage
}

/// Plans to give every predecessor its place back and to start it. A predecessor that is gone is
/// created again.
fn restore_places(known: &PlanInput<'_>) -> Stage {
    let cause = "its replacement did not succeed";
    plan_each(
        known,
        Restoring::PutBack,
        &|_, it| is_unproven(it),
        &mut |chain, is_gone| {
            let former = chain.node;
            let Some(replacement) = chain.replacement(former) else {
                return cause;
            };
            // The engine may still be stopping the predecessor for an execution that died. If it
            // were started now, it would stop a moment later.
            if chain.known.record.state(&chain.instance.id) == Stopping && !is_gone {
                chain.push(
                    PUT_BACK,
                    replacement.stop,
                    Retry::default(),
                    Some(&former.place),
                );
            }
            let id = chain.push(
                PUT_BACK,
                replacement.step_back,
                Retry::default(),
                Some(&former.place),
            );
            chain.proposal.stage.task_mut(id).state_during = Some(Starting);
            if is_gone {
                append_create(chain);
            } else {
                // An object that fails to start is created again, except an adopted one.
                chain.ignores_failure = !former.is_adopted();
                chain.push(
                    PUT_BACK,
                    replacement.restart,
                    Retry::default(),
                    Some(&former.place),
                );
            }
            cause
        },
    )
}

/// Plans a new object, from the same definition, for each predecessor that could not be started in
/// its place or is gone, and for each instance that is cut off from an object that it shares
/// something with.
#[must_use]
pub fn recreate(known: &PlanInput<'_>) -> Stage {
    let (cut_off, cause) = (
        cut_off(known.record, known.plugins),
        "it cannot be restarted",
    );
    plan_each(
        known,
        Restoring::Recreate,
        &|id, it| it.is_restored() || it.lacks_object() || cut_off.contains(id),
        &mut |chain, _| {
            let known = chain.known.record.instances.get(&chain.instance.id);
            if known.is_some_and(InstanceRecord::lacks_object) {
                append_create(chain);
            } else {
                append_recreate(chain);
            }
            cause
        },
    )
}

/// Appends the tasks that create the object of an instance that has none. The record lists the
/// instance as not restored until the object works.
fn append_create(chain: &mut Chain<'_>) {
    install::append_install(chain, Uninitialized);
    chain.end_in(Started, "start");
    update::remove_predecessor(chain);
}

/// Appends the replacement of an instance's object by a new one from the same definition.
pub(super) fn append_recreate(chain: &mut Chain<'_>) {
    if chain
        .known
        .record
        .instances
        .get(&chain.instance.id)
        .is_some_and(is_proven)
    {
        update::remove_predecessor(chain);
    }
    update::replace(
        chain,
        Replacing {
            former: chain.node,
            before: None,
            start_first: false,
            pause: None,
        },
    );
}

/// Returns true if the predecessor in a replacement is gone.
fn is_predecessor_gone(
    known: &PlanInput<'_>,
    it: &InstanceRecord,
    instance: &Instance,
    former: &Definition,
) -> bool {
    let before = it.properties.get(PREDECESSOR).and_then(Json::as_str);
    let before = before.or_else(|| known.plugins.recorded_id(known.record, instance, former));
    before.is_none_or(|id| {
        !known
            .observed
            .objects()
            .iter()
            .any(|object| object.id == id)
    })
}

/// Appends the tasks of each chosen instance. Instances that others refer to come first.
fn plan_each(
    known: &PlanInput<'_>,
    restores: Restoring,
    chosen: &dyn Fn(&str, &InstanceRecord) -> bool,
    append: &mut dyn FnMut(&mut Chain<'_>, bool) -> &'static str,
) -> Stage {
    let mut all: Vec<(Instance, &Definition)> = candidates(known, chosen);
    // An adopted object cannot be created again.
    all.retain(|(_, former)| restores == Restoring::PutBack || !former.is_adopted());
    let as_made = known.record.as_created(known.deployment);
    let (order, mut proposal, mut last) = (
        Order::new(&as_made, known.plugins),
        Proposal::default(),
        HashMap::<&str, TaskId>::new(),
    );
    for (instance, former) in &all {
        let is_gone = !former.is_adopted()
            && known
                .record
                .instances
                .get(&instance.id)
                .is_some_and(|it| is_predecessor_gone(known, it, instance, former));
        let first = proposal.stage.tasks().len();
        let mut chain = Chain::new(*known, (instance, former), "", &mut proposal);
        chain.after = order
            .references_of(instance)
            .filter_map(|id| last.get(id).copied())
            .collect();
        let cause = append(&mut chain, is_gone);
        chain.end_in(Started, PUT_BACK);
        if let Some(last) = chain
            .last
            .filter(|_| is_gone || restores == Restoring::Recreate)
        {
            chain.proposal.stage.task_mut(last).matches_definition = true;
        }
        last.extend(chain.last.map(|task| (instance.id.as_str(), task)));
        for id in first..proposal.stage.tasks().len() {
            cause.clone_into(&mut proposal.stage.task_mut(TaskId(id)).cause);
        }
    }
    proposal.stage.restores = Some(restores);
    proposal.stage
}

/// Returns the chosen instances as they were when their objects were created, with the definitions
/// that the objects were created from. Instances that the deployment no longer has come last.
fn candidates<'k>(
    known: &PlanInput<'k>,
    chosen: &dyn Fn(&str, &InstanceRecord) -> bool,
) -> Vec<(Instance, &'k Definition)> {
    let PlanInput {
        deployment, record, ..
    } = *known;
    let is_chosen = |instance: &Instance| {
        record
            .instances
            .get(&instance.id)
            .is_some_and(|known| chosen(&instance.id, known))
    };
    let as_made = record.as_created(deployment);
    let ids: Vec<String> = Order::new(&as_made, known.plugins)
        .instances()
        .into_iter()
        .map(|it| it.id.clone())
        .collect();
    let present = ids
        .iter()
        .filter_map(|id| deployment.instance(id))
        .collect::<Vec<_>>()
        .into_iter()
        .filter_map(|it| Some((it, deployment.node(it)?)));
    let dropped = record
        .dropped
        .iter()
        .map(|(instance, node)| (instance, node));
    let as_made = |(instance, node): (&'k Instance, &'k Definition)| {
        let known = record.instances.get(&instance.id);
        let ties = known
            .filter(|known| known.former.is_some())
            .map(|known| known.former_relationships.clone());
        (
            Instance {
                relationships: ties.unwrap_or_else(|| instance.relationships.clone()),
                ..instance.clone()
            },
            record.object_definition(instance, node),
        )
    };
    present
        .chain(dropped)
        .filter(|(instance, _)| is_chosen(instance))
        .map(as_made)
        .collect()
}
