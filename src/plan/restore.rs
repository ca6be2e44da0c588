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
    followers,
    images::ImageTasks,
    install,
    order::Order,
    outdated,
    uninstall::{self, Removal},
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
    plugins::{Plugins, Replacement},
    record::Record,
    seam::{Object, Purpose, Step},
    stage::{PUT_BACK, Parameters, Restoring, Stage, TaskId},
};
use serde_json::Value as Json;
use std::collections::{HashMap, HashSet};

/// Why the members of an exchange are restored.
const UNDONE: &str = "the exchange did not succeed";

/// Returns true if an instance is being replaced and its successor is not proven yet, or if its
/// object was stopped for an exchange that is not complete.
#[must_use]
pub(super) fn is_unproven(record: &Record, known: &InstanceRecord) -> bool {
    let has_proven_successor = known.state == Started && known.has_successor();
    (known.is_being_replaced() && !has_proven_successor) || is_held(record, known)
}

/// Returns true if the object of an instance was stopped for an exchange that is not complete.
fn is_held(record: &Record, known: &InstanceRecord) -> bool {
    let is_holder = known.exchange.as_ref().is_some_and(|it| it.is_holder);
    is_holder && record.is_in_open_exchange(known) && !known.state.is_gone()
}

/// Returns true if a new instance got something in an exchange that is not complete. It must give
/// it back.
pub(super) fn is_premature(record: &Record, known: &InstanceRecord) -> bool {
    let is_holder = known.exchange.as_ref().is_some_and(|it| it.is_holder);
    !is_holder && record.is_in_open_exchange(known) && !known.state.is_gone()
}

/// Returns true if the record shows an exchange that is not complete.
#[must_use]
pub(super) fn has_open_exchange(record: &Record) -> bool {
    let mut instances = record.instances.values();
    instances.any(|known| record.is_in_open_exchange(known))
}

/// Returns true if the successor of an instance is proven and only the predecessor must be removed.
#[must_use]
pub(super) fn is_proven(record: &Record, known: &InstanceRecord) -> bool {
    known.is_being_replaced() && !is_unproven(record, known)
}

/// Returns true if an execution must restore before it does anything else. `install`, `update` and
/// `heal` of the whole deployment finish the replacement instead, but only if the process of the
/// last execution died. After a failed or cancelled execution, the predecessor is restored, and
/// after an exchange that is not complete, all of its predecessors are.
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
    let can_finish = finishes_replacement && is_whole_deployment && died;
    is_needed(record, plugins) && (!can_finish || has_open_exchange(record))
}

/// Returns true if the record shows anything to restore.
#[must_use]
pub(super) fn is_needed(record: &Record, plugins: Plugins) -> bool {
    let mut instances = record.instances.values();
    instances.any(|known| is_premature(record, known))
        || !instances_to_restore(record, plugins).is_empty()
}

/// Returns the IDs of the instances to restore, according to the record.
#[must_use]
pub fn instances_to_restore(record: &Record, plugins: Plugins) -> Vec<String> {
    let is_between =
        |(_, known): &(&String, &InstanceRecord)| is_unproven(record, known) || known.is_restored();
    let between = record
        .instances
        .iter()
        .filter(is_between)
        .map(|(id, _)| id.clone());
    between.chain(cut_off(record, plugins)).collect()
}

/// Returns the IDs of started instances whose objects share a network, a namespace or a link with
/// an object that was replaced since. They cannot be restarted.
pub(super) fn cut_off(record: &Record, plugins: Plugins) -> HashSet<String> {
    let is_stale = |known: &InstanceRecord| {
        known.is_stale() && known.state == Started && !is_unproven(record, known)
    };
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
        &|_, it| is_unproven(known.record, it),
        &mut |chain, is_gone| {
            let former = chain.node;
            let Some(replacement) = chain.replacement(former) else {
                return cause;
            };
            if !is_in_exchange(chain) {
                step_back(chain, &replacement, is_gone);
            }
            if is_gone {
                append_create(chain);
            } else {
                // An object that fails to start is created again, except an adopted one.
                chain.ignores_failure = !former.is_adopted();
                put_back(chain, replacement.restart);
            }
            cause
        },
    )
}

fn put_back(chain: &mut Chain<'_>, step: Step) -> TaskId {
    let place = &chain.node.place;
    chain.push(PUT_BACK, step, Retry::default(), Some(place))
}

/// Returns true if the instance takes part in an exchange that is not complete.
fn is_in_exchange(chain: &Chain<'_>) -> bool {
    let record = chain.known.record;
    let known = record.instances.get(&chain.instance.id);
    known.is_some_and(|known| record.is_in_open_exchange(known))
}

/// Appends the tasks that give the predecessor its place back.
fn step_back(chain: &mut Chain<'_>, replacement: &Replacement, is_gone: bool) {
    // The engine may still be stopping the predecessor for an execution that died. If it were
    // started now, it would stop a moment later.
    if chain.known.record.state(&chain.instance.id) == Stopping && !is_gone {
        put_back(chain, replacement.stop.clone());
    }
    let id = put_back(chain, replacement.step_back.clone());
    chain.proposal.stage.task_mut(id).state_during = Some(Starting);
}

/// Appends the tasks that undo exchanges: first all new objects are removed, then all
/// predecessors get their places back. Returns the last tasks.
fn undo_exchanges(
    known: &PlanInput<'_>,
    all: &[(Instance, &Definition)],
    proposal: &mut Proposal,
) -> Vec<TaskId> {
    let record = known.record;
    let premature = |instance: &Instance| {
        let known = record.instances.get(&instance.id);
        known.is_some_and(|known| is_premature(record, known))
    };
    // A later definition may no longer contain the new instances.
    let earlier = uninstall::earlier_deployment(known);
    let mut given_up = Vec::new();
    for deployment in [known.deployment, &earlier] {
        let removal = Removal {
            known: PlanInput {
                deployment,
                ..*known
            },
            chosen: &premature,
            cause: UNDONE,
            // A failure must not keep the predecessors down.
            ignores_failure: true,
            image_tasks: &ImageTasks::new(),
            purpose: Purpose::Ordinary,
            hands_on: &|_| false,
            refuses_used: false,
        };
        if has_open_exchange(record) {
            given_up.extend(removal.plan(&[], proposal).ends);
        }
    }
    let first = proposal.stage.tasks().len();
    for_members(known, all, proposal, &mut |chain, replacement, _| {
        put_back(chain, replacement.withdraw.clone());
    });
    given_up.extend((first..proposal.stage.tasks().len()).map(TaskId));
    let first = proposal.stage.tasks().len();
    for_members(known, all, proposal, &mut |chain, replacement, is_gone| {
        chain.after.clone_from(&given_up);
        step_back(chain, replacement, is_gone);
    });
    (first..proposal.stage.tasks().len()).map(TaskId).collect()
}

/// Appends tasks for each member of an exchange that is not complete.
fn for_members(
    known: &PlanInput<'_>,
    all: &[(Instance, &Definition)],
    proposal: &mut Proposal,
    append: &mut dyn FnMut(&mut Chain<'_>, &Replacement, bool),
) {
    for (instance, former) in all {
        let is_gone = is_gone(known, instance, former);
        let mut chain = Chain::new(*known, (instance, former), UNDONE, proposal);
        let replacement = chain.replacement(former);
        if let Some(replacement) = replacement.filter(|_| is_in_exchange(&chain)) {
            append(&mut chain, &replacement, is_gone);
        }
    }
}

/// Plans the stage after predecessors got their places back.
#[must_use]
pub fn after_places(known: &PlanInput<'_>) -> Stage {
    let stage = recreate(known);
    if stage.is_empty() {
        restart_followers(known)
    } else {
        stage
    }
}

/// Plans to restart the objects that use namespaces of restored ones.
#[must_use]
pub fn restart_followers(known: &PlanInput<'_>) -> Stage {
    let mut stage = followers::stage(known);
    stage.restores = Some(Restoring::Recreate);
    stage
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
    // The record does not show a namespace that only an attribute names.
    let lost_namespace = |id: &str, it: &InstanceRecord| {
        let object = known.observed.of_instance(id);
        let is_steady = it.state == Started && !is_unproven(known.record, it);
        it.is_stale() && is_steady && object.is_some_and(Object::is_cut_off)
    };
    plan_each(
        known,
        Restoring::Recreate,
        &|id, it| {
            it.is_restored() || it.lacks_object() || cut_off.contains(id) || lost_namespace(id, it)
        },
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
        .is_some_and(|it| is_proven(chain.known.record, it))
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

/// Returns true if an instance has no object that could be put back.
fn is_gone(known: &PlanInput<'_>, instance: &Instance, former: &Definition) -> bool {
    let record = known.record.instances.get(&instance.id);
    !former.is_adopted()
        && record.is_some_and(|it| is_predecessor_gone(known, it, instance, former))
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
    let stepped_back = match restores {
        Restoring::PutBack => undo_exchanges(known, &all, &mut proposal),
        Restoring::Recreate => Vec::new(),
    };
    for (instance, former) in &all {
        let is_gone = is_gone(known, instance, former);
        let first = proposal.stage.tasks().len();
        let mut chain = Chain::new(*known, (instance, former), "", &mut proposal);
        chain.after = order
            .references_of(instance)
            .filter_map(|id| last.get(id).copied())
            .collect();
        if is_in_exchange(&chain) {
            chain.after.extend(&stepped_back);
        }
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
