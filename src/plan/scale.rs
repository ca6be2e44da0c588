//! `scale`: instances are added or removed; those that have relationships to them are told.

use super::{
    Known, Parameters, Proposal, Selection, Stage,
    install::{self, Scope},
    uninstall::Taking,
};
use crate::{
    event::Outcome,
    model::{Deployment, Instance},
    state::Record,
};

/// Plans it; the deployment has the instances that are added already, and still those that go.
#[must_use]
pub fn of(known: &Known<'_>, parameters: &Parameters) -> Proposal {
    if !parameters.removed.is_empty() {
        return take_down(known, &parameters.removed, "there are to be fewer", parameters.ignore_failure);
    }
    // A run that died may have added them already, and not have made them.
    let added =
        if parameters.added.is_empty() { scaled(known.deployment, &parameters.scalable_entity_name) } else { parameters.added.clone() };
    let selection = Selection::of_instances(added);
    if selection.is_all() { Proposal::default() } else { install::of(known, &Scope { selection: &selection, ..Scope::default() }) }
}

/// Ids of the instances of a node or a group.
fn scaled(deployment: &Deployment, entity: &str) -> Vec<String> {
    let is_its = |it: &&Instance| it.node == entity || it.groups.iter().any(|group| group.name == entity);
    deployment.instances.iter().filter(is_its).map(|it| it.id.clone()).collect()
}

/// Takes back what was added, if that is wanted.
#[must_use]
pub fn take_back(known: &Known<'_>, parameters: &Parameters) -> Stage {
    let added = if parameters.rollback_if_failed { &parameters.added[..] } else { &[] };
    take_down(known, added, "scaling failed", true).stage
}

fn take_down(known: &Known<'_>, ids: &[String], cause: &str, ignores_failure: bool) -> Proposal {
    let mut proposal = Proposal::default();
    let chosen = |instance: &Instance| ids.contains(&instance.id);
    Taking { known: *known, chosen: &chosen, cause, ignores_failure }.plan(&[], &mut proposal);
    proposal
}

/// What the deployment is once the run is over: without those that are gone. None if it is what it was.
#[must_use]
pub fn settled(record: &Record) -> Option<Deployment> {
    let execution = record.running()?;
    let deployment = record.deployment.as_ref()?;
    let Parameters { added, removed, rollback_if_failed, .. } = &*execution.parameters;
    let gone = match record.outcome() {
        Outcome::Terminated => removed,
        Outcome::Failed if *rollback_if_failed => added,
        _ => return None,
    };
    let gone: Vec<String> = gone.iter().filter(|id| record.state(id).is_gone()).cloned().collect();
    (!gone.is_empty()).then(|| deployment.without(&gone))
}
