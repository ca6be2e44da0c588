//! `scale`: instances are added or removed; those that have relationships to them are told.

use super::{
    Known, Proposal,
    bring::Brought,
    install::{self, Scope},
    uninstall::Taking,
};
use crate::{
    event::Outcome,
    model::{Deployment, Instance, InstanceState},
    record::Record,
    seam::Purpose,
    stage::{Parameters, Selection, Stage, parameters::Scale},
};

/// Plans it; the deployment has the instances that are added already, and still those that go.
#[must_use]
pub fn of(known: &Known<'_>, parameters: &Scale) -> Proposal {
    if !parameters.removed.is_empty() {
        return take_down(
            known,
            &parameters.removed,
            "there are to be fewer",
            parameters.ignore_failure,
        );
    }
    bring_up(known, parameters)
}

/// What is left to do once some are gone: a run that died may have left others half taken down.
#[must_use]
pub fn next(known: &Known<'_>, parameters: &Scale) -> Stage {
    bring_up(known, parameters).stage
}

/// Installs those that are added, and those that a run that died added or took down and that stay
/// all the same.
fn bring_up(known: &Known<'_>, parameters: &Scale) -> Proposal {
    let is_meant = |it: &&Instance| {
        let left = it.node == parameters.scalable_entity_name
            || it
                .groups
                .iter()
                .any(|group| group.name == parameters.scalable_entity_name);
        parameters.added.contains(&it.id)
            || (left && !parameters.removed.contains(&it.id) && is_half_done(known.record, &it.id))
    };
    let selection = Selection::of_instances(
        known
            .deployment
            .instances
            .iter()
            .filter(is_meant)
            .map(|it| it.id.clone()),
    );
    if selection.is_none() {
        Proposal::default()
    } else {
        install::of(
            known,
            &Scope {
                selection: &selection,
                ..Scope::default()
            },
        )
    }
}

/// Whether an instance is neither started nor at rest.
#[must_use]
pub fn is_half_done(record: &Record, id: &str) -> bool {
    record
        .instances
        .get(id)
        .is_none_or(|known| known.state != InstanceState::Started && !known.rests)
}

/// Takes back what was added, if that is wanted.
#[must_use]
pub fn take_back(known: &Known<'_>, parameters: &Scale) -> Stage {
    let added = if parameters.rollback_if_failed {
        &parameters.added[..]
    } else {
        &[]
    };
    take_down(known, added, "scaling failed", true).stage
}

fn take_down(known: &Known<'_>, ids: &[String], cause: &str, ignores_failure: bool) -> Proposal {
    let mut proposal = Proposal::default();
    let chosen = |instance: &Instance| ids.contains(&instance.id);
    Taking {
        known: *known,
        chosen: &chosen,
        cause,
        ignores_failure,
        brought: &Brought::new(),
        purpose: Purpose::Ordinary,
    }
    .plan(&[], &mut proposal);
    proposal
}

/// What the deployment is once the run is over: without those that are gone. None if it is what it
/// was.
#[must_use]
pub fn settled(record: &Record) -> Option<Deployment> {
    let execution = record.running()?;
    let deployment = record.deployment.as_ref()?;
    let Parameters::Scale(said) = &*execution.parameters else {
        return None;
    };
    let gone = match record.outcome() {
        Outcome::Terminated => &said.removed,
        Outcome::Failed if said.rollback_if_failed => &said.added,
        _ => return None,
    };
    let gone = gone.iter().filter(|id| record.state(id).is_gone());
    let gone: Vec<String> = gone.cloned().collect();
    (!gone.is_empty()).then(|| deployment.without(&gone))
}
