//! `scale`: adds or removes instances, and runs the operations of relationships to them.

use super::{
    PlanInput, Proposal,
    images::ImageTasks,
    install::{self, Scope},
    uninstall::Removal,
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
pub fn of(known: &PlanInput<'_>, parameters: &Scale) -> Proposal {
    if !parameters.removed.is_empty() {
        return remove(
            known,
            &parameters.removed,
            "scaling down",
            parameters.ignore_failure,
        );
    }
    add(known, parameters)
}

/// Plans the stage after a removal: installs remaining instances that an interrupted execution left
/// unfinished.
#[must_use]
pub fn next(known: &PlanInput<'_>, parameters: &Scale) -> Stage {
    add(known, parameters).stage
}

/// Plans to install the added instances, and remaining instances that an interrupted execution left
/// unfinished.
fn add(known: &PlanInput<'_>, parameters: &Scale) -> Proposal {
    let is_selected = |it: &&Instance| {
        let is_in_scope = it.node == parameters.scalable_entity_name
            || it
                .groups
                .iter()
                .any(|group| group.name == parameters.scalable_entity_name);
        parameters.added.contains(&it.id)
            || (is_in_scope
                && !parameters.removed.contains(&it.id)
                && is_unfinished(known.record, &it.id))
    };
    let selection = Selection::of_instances(
        known
            .deployment
            .instances
            .iter()
            .filter(is_selected)
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
pub fn is_unfinished(record: &Record, id: &str) -> bool {
    record
        .instances
        .get(id)
        .is_none_or(|known| known.state != InstanceState::Started && !known.stays_stopped)
}

/// Plans to remove the added instances, if `rollback_if_failed` is set.
#[must_use]
pub fn remove_added(known: &PlanInput<'_>, parameters: &Scale) -> Stage {
    let added = if parameters.rollback_if_failed {
        &parameters.added[..]
    } else {
        &[]
    };
    remove(known, added, "scaling failed", true).stage
}

fn remove(known: &PlanInput<'_>, ids: &[String], cause: &str, ignores_failure: bool) -> Proposal {
    let mut proposal = Proposal::default();
    let chosen = |instance: &Instance| ids.contains(&instance.id);
    Removal {
        known: *known,
        chosen: &chosen,
        cause,
        ignores_failure,
        image_tasks: &ImageTasks::new(),
        purpose: Purpose::Ordinary,
        hands_on: &|_| false,
        refuses_used: !ignores_failure,
    }
    .plan(&[], &mut proposal);
    proposal
}

/// Returns the deployment without the instances that the execution removed; none if it removed
/// none.
#[must_use]
pub fn resulting_deployment(record: &Record) -> Option<Deployment> {
    let execution = record.running()?;
    let deployment = record.deployment.as_ref()?;
    let Parameters::Scale(parameters) = &*execution.parameters else {
        return None;
    };
    let removed = match record.outcome() {
        Outcome::Terminated => &parameters.removed,
        Outcome::Failed if parameters.rollback_if_failed => &parameters.added,
        _ => return None,
    };
    let removed = removed.iter().filter(|id| record.state(id).is_gone());
    let removed: Vec<String> = removed.cloned().collect();
    (!removed.is_empty()).then(|| deployment.without(&removed))
}
