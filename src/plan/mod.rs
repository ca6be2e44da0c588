//! What will be done, and in which order. Pure data: no engine, no clock.
//!
//! One file per workflow; each is a function from what is wanted ([`Deployment`]), what is known
//! ([`Record`]) and what is there ([`Observed`]) to a [`Stage`].

mod bonds;
mod bring;
mod chain;
pub mod effect;
pub mod heal;
pub mod install;
mod neighbours;
pub mod operation;
mod order;
mod readers;
pub mod reinstall;
pub mod restore;
pub mod rollback;
pub mod scale;
pub mod uninstall;
pub mod update;

pub use order::unordered;
pub use readers::Reading;

use crate::{
    event::Why,
    model::{Definition, Deployment, Instance, Place},
    plugins::{At, Part, Plugins},
    record::{Execution, Record},
    seam::{Observed, Purpose},
    stage::{Parameters, Restoring, Selection, Stage, Workflow},
};
use serde::Serialize;

/// What is planned first.
#[must_use]
pub fn first(workflow: Workflow, parameters: &Parameters, known: &Known<'_>) -> Proposal {
    let mut proposal = of(workflow, parameters, known);
    bonds::note(known, &mut proposal.stage);
    proposal
}

fn of(workflow: Workflow, parameters: &Parameters, known: &Known<'_>) -> Proposal {
    let selection = &parameters.selection;
    match workflow {
        Workflow::Install => install::of(
            known,
            &install::Scope {
                selection,
                ..install::Scope::default()
            },
        ),
        Workflow::Uninstall => taken_down(known, parameters),
        Workflow::Reinstall => reinstall::of(
            known,
            &|instance| selection.has(known.deployment, instance),
            parameters.ignore_failure,
            "reinstall",
        ),
        Workflow::Rollback => rollback::of_states(known, selection),
        Workflow::Heal => heal::first(known, parameters),
        Workflow::Scale => scale::of(known, parameters),
        Workflow::Update => update::of(known, parameters),
        Workflow::Start
        | Workflow::Stop
        | Workflow::Restart
        | Workflow::Pull
        | Workflow::ExecuteOperation
        | Workflow::CheckStatus
        | Workflow::CheckDrift => operation::of(workflow, parameters, known),
    }
}

fn taken_down(known: &Known<'_>, parameters: &Parameters) -> Proposal {
    let purpose = if parameters.volumes {
        Purpose::GiveUp
    } else {
        Purpose::Ordinary
    };
    let Parameters {
        selection,
        ignore_failure,
        ..
    } = parameters;
    uninstall::of(known, selection, *ignore_failure, purpose)
}

/// What is planned once the stages before came to their end; none if nothing is left to do.
/// `subgraph_retries` is how often instances that failed are taken down and tried anew.
#[must_use]
pub fn next(known: &Known<'_>, subgraph_retries: usize) -> Option<Stage> {
    let execution = known.record.running()?;
    let stage = match (known.record.stage().restores, execution.stopped) {
        (_, Some(Why::GuardLost)) | (Some(Restoring::Recreate), _) => None,
        (Some(Restoring::PutBack), _) => Some(restore::recreate(known)),
        (None, Some(_)) => Some(restore::first(known)),
        (None, None) if execution.has_failed() => {
            Some(after_failure(execution, known, subgraph_retries))
        }
        (None, None) => after_success(execution, known),
    };
    let mut stage = stage.filter(|stage| !stage.is_empty())?;
    bonds::note(known, &mut stage);
    Some(stage)
}

fn after_failure(execution: &Execution, known: &Known<'_>, subgraph_retries: usize) -> Stage {
    let retried = matches!(execution.workflow, Workflow::Install | Workflow::Uninstall)
        && execution.stages <= subgraph_retries;
    match execution.workflow {
        _ if retried => try_again(execution, known),
        Workflow::Scale if execution.stages == 1 => scale::take_back(known, &execution.parameters),
        _ => restore::first(known),
    }
}

fn after_success(execution: &Execution, known: &Known<'_>) -> Option<Stage> {
    let stage = match execution.workflow {
        Workflow::Heal => heal::next(known, &execution.parameters, execution.stages),
        Workflow::Scale if execution.stages == 1 && !execution.parameters.removed.is_empty() => {
            Some(scale::next(known, &execution.parameters))
        }
        Workflow::Rollback if execution.parameters.full_rollback && execution.stages == 1 => {
            Some(uninstall::of(known, &Selection::All, true, Purpose::Ordinary).stage)
        }
        _ => None,
    };
    // What shares something of an object that was made again works with that from now on.
    let is_over = stage.as_ref().is_none_or(Stage::is_empty);
    if is_over && leaves_working(execution.workflow) {
        Some(restore::first(known))
    } else {
        stage
    }
}

/// Whether a workflow leaves instances working.
fn leaves_working(workflow: Workflow) -> bool {
    use Workflow::{Heal, Install, Reinstall, Restart, Scale, Start, Update};
    matches!(
        workflow,
        Install | Update | Scale | Heal | Start | Restart | Reinstall
    )
}

/// Whether [`next`] may find anything; if not, nobody need look at the engines.
#[must_use]
pub fn may_go_on(record: &Record, plugins: Plugins, subgraph_retries: usize) -> bool {
    let Some(execution) = record.running() else {
        return false;
    };
    match (record.stage().restores, execution.stopped) {
        (_, Some(Why::GuardLost)) | (Some(Restoring::Recreate), _) => return false,
        (Some(Restoring::PutBack), _) | (None, Some(_)) => {
            return restore::is_needed(record, plugins);
        }
        (None, None) => {}
    }
    match execution.workflow {
        Workflow::Install | Workflow::Uninstall
            if execution.has_failed() && execution.stages <= subgraph_retries =>
        {
            true
        }
        Workflow::Scale if execution.has_failed() && execution.stages == 1 => true,
        _ if execution.has_failed() => restore::is_needed(record, plugins),
        Workflow::Heal => true,
        Workflow::Scale if execution.stages == 1 && !execution.parameters.removed.is_empty() => {
            true
        }
        Workflow::Rollback => execution.parameters.full_rollback && execution.stages == 1,
        workflow => leaves_working(workflow) && restore::is_needed(record, plugins),
    }
}

/// Instances that failed are taken down and installed anew; what is taken down is tried once more.
fn try_again(execution: &Execution, known: &Known<'_>) -> Stage {
    let selection = &execution.parameters.selection;
    let mut stage = match execution.workflow {
        Workflow::Install => {
            let renew = execution
                .failed
                .iter()
                .filter(|failed| !failed.ignored)
                .map(|failed| failed.instance.clone())
                .collect();
            install::of(
                known,
                &install::Scope {
                    selection,
                    renew,
                    cause: "try again",
                    ..install::Scope::default()
                },
            )
            .stage
        }
        Workflow::Uninstall => taken_down(known, &execution.parameters).stage,
        _ => Stage::default(),
    };
    stage.tries_again = true;
    stage
}

/// What a workflow is planned from.
#[derive(Clone, Copy)]
pub struct Known<'a> {
    /// What is wanted.
    pub deployment: &'a Deployment,
    /// What is known.
    pub record: &'a Record,
    /// What is there.
    pub observed: &'a Observed,
    /// What plans for the systems that it is on.
    pub plugins: Plugins,
}

impl<'a> Known<'a> {
    /// What every plugin is asked.
    #[must_use]
    pub fn new(deployment: &'a Deployment, record: &'a Record, observed: &'a Observed) -> Self {
        Self {
            deployment,
            record,
            observed,
            plugins: Plugins::default(),
        }
    }

    /// An instance with its node, as plugins are asked about it.
    #[must_use]
    pub fn part(&self, instance: &'a Instance, node: &'a Definition) -> Part<'a> {
        Part {
            deployment: self.deployment,
            instance,
            node,
        }
    }

    /// The same, with what is known and there.
    #[must_use]
    pub fn at(&self, instance: &'a Instance, node: &'a Definition) -> At<'a> {
        At {
            part: self.part(instance, node),
            record: self.record,
            observed: self.observed,
        }
    }
}

/// An operation that nothing here can run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Unsupported {
    /// The node.
    pub node: String,
    /// `interface.operation`.
    pub operation: String,
    /// The plugin that would run it.
    pub plugin: String,
    /// Where it is defined.
    pub place: Place,
}

/// What a workflow came to: a stage, and what it had to leave out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Proposal {
    /// The work.
    pub stage: Stage,
    /// Operations that nothing here can run, each once.
    pub unsupported: Vec<Unsupported>,
}
