//! Planning: the tasks that a workflow runs, and their order. Pure functions: no engine, no clock.
//!
//! One file per workflow. Each computes a [`Stage`] from the desired state ([`Deployment`]), the
//! recorded state ([`Record`]) and the observed state ([`Observed`]).

mod bonds;
mod bring;
mod chain;
pub mod effect;
pub mod heal;
pub mod install;
mod neighbours;
pub mod operation;
mod order;
pub(crate) mod protected;
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
    stage::{Parameters, Restoring, Selection, Stage, Workflow, parameters},
};
use serde::Serialize;

/// Plans the first stage of an execution.
#[must_use]
pub fn first(parameters: &Parameters, known: &Known<'_>) -> Proposal {
    let mut proposal = of(parameters, known);
    bonds::note(known, &mut proposal.stage);
    proposal
}

fn of(parameters: &Parameters, known: &Known<'_>) -> Proposal {
    match parameters {
        Parameters::Install(said) => installed(known, said),
        Parameters::Uninstall(said) => taken_down(known, said),
        Parameters::Reinstall(said) => made_again(known, said),
        Parameters::Rollback(said) => rollback::of_states(known, &said.selection),
        Parameters::Heal(said) => heal::first(known, said),
        Parameters::Scale(said) => scale::of(known, said),
        Parameters::Update(said) => update::of(known, *said),
        Parameters::Start(said) => operation::one("start", said, known),
        Parameters::Stop(said) => operation::one("stop", said, known),
        Parameters::Pull(said) => operation::one("pull", said, known),
        Parameters::Restart(said) => operation::restart(said, known),
        Parameters::ExecuteOperation(said) => operation::any(said, known),
        Parameters::CheckStatus(said) => operation::status(said, known),
        Parameters::CheckDrift(said) => operation::drift(said, known),
    }
}

fn installed(known: &Known<'_>, parameters: &parameters::Install) -> Proposal {
    let scope = install::Scope {
        selection: &parameters.selection,
        ..install::Scope::default()
    };
    install::of(known, &scope)
}

fn taken_down(known: &Known<'_>, parameters: &parameters::Uninstall) -> Proposal {
    let purpose = if parameters.volumes {
        Purpose::GiveUp
    } else {
        Purpose::Ordinary
    };
    let (selection, ignores_failure) = (&parameters.selection, parameters.ignore_failure);
    uninstall::of(known, selection, ignores_failure, purpose)
}

fn made_again(known: &Known<'_>, parameters: &parameters::Reinstall) -> Proposal {
    let is_meant = |instance: &Instance| parameters.selection.has(known.deployment, instance);
    reinstall::of(known, &is_meant, parameters.ignore_failure, "reinstall")
}

/// Plans the next stage after the earlier ones have finished; none if nothing is left to do.
/// `subgraph_retries` is how often failed instances are taken down and installed again.
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
    match &*execution.parameters {
        _ if is_repeated(execution, subgraph_retries) => try_again(execution, known),
        Parameters::Scale(said) if execution.stages == 1 => scale::take_back(known, said),
        _ => restore::first(known),
    }
}

fn after_success(execution: &Execution, known: &Known<'_>) -> Option<Stage> {
    let stage = match &*execution.parameters {
        _ if !goes_on(execution) => None,
        Parameters::Heal(said) => heal::next(known, said, execution.stages),
        Parameters::Scale(said) => Some(scale::next(known, said)),
        Parameters::Rollback(_) => {
            Some(uninstall::of(known, &Selection::All, true, Purpose::Ordinary).stage)
        }
        _ => None,
    };
    // Recreate started instances that still share something with a replaced object.
    let is_over = stage.as_ref().is_none_or(Stage::is_empty);
    if is_over && leaves_working(execution.workflow()) {
        Some(restore::first(known))
    } else {
        stage
    }
}

/// Returns true if a workflow leaves instances running.
fn leaves_working(workflow: Workflow) -> bool {
    use Workflow::{Heal, Install, Reinstall, Restart, Scale, Start, Update};
    matches!(
        workflow,
        Install | Update | Scale | Heal | Start | Restart | Reinstall
    )
}

/// Returns true if [`next`] may plan anything. Otherwise the engines need not be queried.
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
    let is_needed = || restore::is_needed(record, plugins);
    if execution.has_failed() {
        is_repeated(execution, subgraph_retries) || takes_back(execution) || is_needed()
    } else {
        goes_on(execution) || (leaves_working(execution.workflow()) && is_needed())
    }
}

/// Returns true if failed instances are tried again.
fn is_repeated(execution: &Execution, subgraph_retries: usize) -> bool {
    let workflow = execution.workflow();
    matches!(workflow, Workflow::Install | Workflow::Uninstall)
        && execution.stages <= subgraph_retries
}

/// Returns true if instances that a failed `scale` added may be removed.
fn takes_back(execution: &Execution) -> bool {
    execution.workflow() == Workflow::Scale && execution.stages == 1
}

/// Returns true if a workflow may have another stage after a successful one.
fn goes_on(execution: &Execution) -> bool {
    let is_first = execution.stages == 1;
    match &*execution.parameters {
        Parameters::Heal(_) => true,
        Parameters::Scale(said) => is_first && !said.removed.is_empty(),
        Parameters::Rollback(said) => is_first && said.full_rollback,
        _ => false,
    }
}

/// Plans another attempt. `install` takes failed instances down and installs them again;
/// `uninstall` repeats the removal.
fn try_again(execution: &Execution, known: &Known<'_>) -> Stage {
    let mut stage = match &*execution.parameters {
        Parameters::Install(said) => {
            let failed = execution.failed.iter().filter(|failed| !failed.ignored);
            let scope = install::Scope {
                selection: &said.selection,
                renew: failed.map(|failed| failed.instance.clone()).collect(),
                cause: "its last attempt failed",
                ..install::Scope::default()
            };
            install::of(known, &scope).stage
        }
        Parameters::Uninstall(said) => taken_down(known, said).stage,
        _ => Stage::default(),
    };
    stage.tries_again = true;
    stage
}

/// The input of planning.
#[derive(Clone, Copy)]
pub struct Known<'a> {
    /// The desired state.
    pub deployment: &'a Deployment,
    /// The recorded state.
    pub record: &'a Record,
    /// The observed state.
    pub observed: &'a Observed,
    /// The plugins of the systems involved.
    pub plugins: Plugins,
}

impl<'a> Known<'a> {
    /// Creates the input with all plugins.
    #[must_use]
    pub fn new(deployment: &'a Deployment, record: &'a Record, observed: &'a Observed) -> Self {
        Self {
            deployment,
            record,
            observed,
            plugins: Plugins::default(),
        }
    }

    /// Returns an instance with its node, as plugins expect it.
    #[must_use]
    pub fn part(&self, instance: &'a Instance, node: &'a Definition) -> Part<'a> {
        Part {
            deployment: self.deployment,
            instance,
            node,
        }
    }

    /// Returns the same with the recorded and the observed state.
    #[must_use]
    pub fn at(&self, instance: &'a Instance, node: &'a Definition) -> At<'a> {
        At {
            part: self.part(instance, node),
            record: self.record,
            observed: self.observed,
        }
    }
}

/// An operation that no plugin implements.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Unsupported {
    /// The node.
    pub node: String,
    /// `interface.operation`.
    pub operation: String,
    /// The plugin that it belongs to.
    pub plugin: String,
    /// The place of its definition.
    pub place: Place,
}

/// The result of planning: a stage, and the operations that it leaves out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Proposal {
    /// The planned tasks.
    pub stage: Stage,
    /// Operations that no plugin implements, without duplicates.
    pub unsupported: Vec<Unsupported>,
}
