//! `scale`: adds or removes instances, and runs the operations of relationships to them.

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

/// Plans the first stage. The deployment already contains the instances to add, and still contains
/// the instances to remove.
#[must_use]
pub fn of(known: &Known<'_>, parameters: &Scale) -> Proposal {
    if !parameters.removed.is_empty() {
        return take_down(
            known,
            &parameters.removed,
            "scaling down",
            parameters.ignore_failure,
        );
    }
    bring_up(known, parameters)
}

/// Plans the stage after a removal: installs remaining instances that an interrupted execution left
/// unfinished.
#[must_use]
pub fn next(known: &Known<'_>, parameters: &Scale) -> Stage {
    bring_up(known, parameters).stage
}

/// Plans to install the added instances, and remaining instances that an interrupted execution left
/// unfinished.
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

/// Returns true if an instance is neither started nor stopped on purpose.
#[must_use]
pub fn is_half_done(record: &Record, id: &str) -> bool {
    record
        .instances
        .get(id)
        .is_none_or(|known| known.state != InstanceState::Started && !known.rests)
}

/// Plans to remove the added instances, if `rollback_if_failed` is set.
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

/// Returns the deployment without the instances that the execution removed; none if it removed
/// none.
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
