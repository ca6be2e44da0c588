//! Restores the old objects of replacements that did not finish.
//!
//! Between the stop of an old object and the proof that the new one works, a run can fail, be
//! stopped or die. Then the old object gets its place back and is started. If it cannot be started,
//! because it is gone or names something that is gone, another one is created from the same
//! definition. The same happens to an object that shares something of a replaced object and was not
//! replaced itself.
//!
//! Restoring is not new work: a run that was told to start nothing new still restores. If it
//! cannot, the next run restores before anything else.

use super::{
    Known, Proposal, bonds,
    chain::Chain,
    install,
    order::Order,
    update::{self, Replacing},
};
use crate::{
    event::Outcome,
    known::{InstanceRecord, PREDECESSOR},
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

/// Returns true if an instance is between two objects, and nothing has shown yet that the new one
/// works.
#[must_use]
pub(super) fn is_unproven(known: &InstanceRecord) -> bool {
    known.is_being_replaced() && !(known.state == Started && known.is_replaced())
}

/// Returns true if the new object of an instance is known to work, and only the old one still has
/// to go.
#[must_use]
pub(super) fn is_proven(known: &InstanceRecord) -> bool {
    known.is_being_replaced() && !is_unproven(known)
}

/// Returns true if a run has to restore before it does anything else. `install`, `update` and
/// `heal` of the whole deployment finish a replacement instead, but only after a run whose process
/// died: a run that failed or was stopped wants the old object.
#[must_use]
pub fn comes_first(record: &Record, plugins: Plugins, parameters: &Parameters) -> bool {
    let finishes = matches!(
        parameters,
        Parameters::Install(_) | Parameters::Update(_) | Parameters::Heal(_)
    );
    let is_whole = parameters.selection().is_all() && parameters.named_ill().is_none();
    let died = record.executions.last().is_some_and(|last| {
        matches!(last.outcome, None | Some(Outcome::Interrupted))
            && !last.has_failed()
            && last.stopped.is_none()
    });
    is_needed(record, plugins) && !(finishes && is_whole && died)
}

/// Returns true if the record shows anything to restore.
#[must_use]
pub(super) fn is_needed(record: &Record, plugins: Plugins) -> bool {
    !whose(record, plugins).is_empty()
}

/// Returns the ids of the instances to restore, as far as the record shows.
#[must_use]
pub fn whose(record: &Record, plugins: Plugins) -> Vec<String> {
    let is_between =
        |(_, known): &(&String, &InstanceRecord)| is_unproven(known) || known.is_put_back();
    let between = record
        .instances
        .iter()
        .filter(is_between)
        .map(|(id, _)| id.clone());
    between.chain(cut_off(record, plugins)).collect()
}

/// Returns the ids of started instances whose objects share a network, a namespace or a link with
/// an object that was replaced since. They cannot be started again as they are.
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
    let as_made = record.as_made(deployment);
    let order = Order::new(&as_made, plugins);
    let is_cut_off = |instance: &&Instance| {
        record.instances.get(&instance.id).is_some_and(is_stale)
            && order.used_by(instance).next().is_some()
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
pub fn first(known: &Known<'_>) -> Stage {
    let stage = put_back(known);
    let mut stage = if stage.is_empty() {
        recreate(known)
    } else {
        stage
    };
    bonds::note(known, &mut stage);
    stage
}

/// Plans to give every old object its place back and to start it. An object that is gone is created
/// again.
fn put_back(known: &Known<'_>) -> Stage {
    let cause = "its replacement does not work";
    planned(
        known,
        Restoring::PutBack,
        &|_, it| is_unproven(it),
        &mut |chain, is_gone| {
            let former = chain.node;
            let Some(replacement) = chain.replacement(former) else {
                return cause;
            };
            // The engine may still be stopping it for a run that died: what is started now would
            // end in a moment.
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
            chain.proposal.stage.task_mut(id).enters = Some(Starting);
            if is_gone {
                made_again(chain);
            } else {
                // An object that does not start is created again; an adopted one cannot be.
                chain.ignores_failure = !former.is_adopted();
                chain.push(
                    PUT_BACK,
                    replacement.put_back,
                    Retry::default(),
                    Some(&former.place),
                );
            }
            cause
        },
    )
}

/// Plans another object, from the same definition, for each that has its place back and could not
/// be started, for each that is gone, and for each that is cut off from an object that it shares
/// something with.
#[must_use]
pub fn recreate(known: &Known<'_>) -> Stage {
    let (cut_off, cause) = (
        cut_off(known.record, known.plugins),
        "it cannot be started as it is",
    );
    planned(
        known,
        Restoring::Recreate,
        &|id, it| it.is_put_back() || it.is_lost() || cut_off.contains(id),
        &mut |chain, _| {
            let known = chain.known.record.instances.get(&chain.instance.id);
            if known.is_some_and(InstanceRecord::is_lost) {
                made_again(chain);
            } else {
                again(chain);
            }
            cause
        },
    )
}

/// Appends the tasks that create the object of an instance that has none. The record lists the
/// instance as not restored until the object works.
fn made_again(chain: &mut Chain<'_>) {
    install::way_up(chain, Uninitialized);
    chain.end_in(Started, "start");
    update::clean(chain);
}

/// Appends the replacement of an instance's object by another one from the same definition.
pub(super) fn again(chain: &mut Chain<'_>) {
    if chain
        .known
        .record
        .instances
        .get(&chain.instance.id)
        .is_some_and(is_proven)
    {
        update::clean(chain);
    }
    update::replace(
        chain,
        Replacing {
            former: chain.node,
            before: None,
            start_first: false,
        },
    );
}

/// Returns true if the object is gone that another one is to take the place of, or took it.
fn is_predecessor_gone(
    known: &Known<'_>,
    it: &InstanceRecord,
    instance: &Instance,
    former: &Definition,
) -> bool {
    let before = it.properties.get(PREDECESSOR).and_then(Json::as_str);
    let before = before.or_else(|| known.plugins.known_id(known.record, instance, former));
    before.is_none_or(|id| {
        !known
            .observed
            .objects()
            .iter()
            .any(|object| object.id == id)
    })
}

/// Appends the tasks of each instance that is chosen, those whose objects others name first.
fn planned(
    known: &Known<'_>,
    restores: Restoring,
    chosen: &dyn Fn(&str, &InstanceRecord) -> bool,
    append: &mut dyn FnMut(&mut Chain<'_>, bool) -> &'static str,
) -> Stage {
    let mut all: Vec<(Instance, &Definition)> = candidates(known, chosen);
    // An adopted object cannot be created again.
    all.retain(|(_, former)| restores == Restoring::PutBack || !former.is_adopted());
    let as_made = known.record.as_made(known.deployment);
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
            .used_by(instance)
            .filter_map(|id| last.get(id).copied())
            .collect();
        let cause = append(&mut chain, is_gone);
        chain.end_in(Started, PUT_BACK);
        if let Some(last) = chain
            .last
            .filter(|_| is_gone || restores == Restoring::Recreate)
        {
            chain.proposal.stage.task_mut(last).is_as_defined = true;
        }
        last.extend(chain.last.map(|task| (instance.id.as_str(), task)));
        for id in first..proposal.stage.tasks().len() {
            cause.clone_into(&mut proposal.stage.task_mut(TaskId(id)).cause);
        }
    }
    proposal.stage.restores = Some(restores);
    proposal.stage
}

/// Instances as they were when their objects were made, each with the definition that it was made
/// from; those of earlier definitions of the deployment last.
fn candidates<'k>(
    known: &Known<'k>,
    chosen: &dyn Fn(&str, &InstanceRecord) -> bool,
) -> Vec<(Instance, &'k Definition)> {
    let Known {
        deployment, record, ..
    } = *known;
    let is_chosen = |instance: &Instance| {
        record
            .instances
            .get(&instance.id)
            .is_some_and(|known| chosen(&instance.id, known))
    };
    let as_made = record.as_made(deployment);
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
            .map(|known| known.former_ties.clone());
        (
            Instance {
                ties: ties.unwrap_or_else(|| instance.ties.clone()),
                ..instance.clone()
            },
            record.made_from(instance, node),
        )
    };
    present
        .chain(dropped)
        .filter(|(instance, _)| is_chosen(instance))
        .map(as_made)
        .collect()
}
