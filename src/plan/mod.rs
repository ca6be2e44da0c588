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

/// What is planned first.
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
    // What shares something of an object that was made again works with that from now on.
    let is_over = stage.as_ref().is_none_or(Stage::is_empty);
    if is_over && leaves_working(execution.workflow()) {
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
    let is_needed = || restore::is_needed(record, plugins);
    if execution.has_failed() {
        is_repeated(execution, subgraph_retries) || takes_back(execution) || is_needed()
    } else {
        goes_on(execution) || (leaves_working(execution.workflow()) && is_needed())
    }
}

/// Whether what failed is tried once more.
fn is_repeated(execution: &Execution, subgraph_retries: usize) -> bool {
    let workflow = execution.workflow();
    matches!(workflow, Workflow::Install | Workflow::Uninstall)
        && execution.stages <= subgraph_retries
}

/// Whether what scaling added in vain may be taken down.
fn takes_back(execution: &Execution) -> bool {
    execution.workflow() == Workflow::Scale && execution.stages == 1
}

/// Whether a workflow may have more to do after a stage that is done.
fn goes_on(execution: &Execution) -> bool {
    let is_first = execution.stages == 1;
    match &*execution.parameters {
        Parameters::Heal(_) => true,
        Parameters::Scale(said) => is_first && !said.removed.is_empty(),
        Parameters::Rollback(said) => is_first && said.full_rollback,
        _ => false,
    }
}

/// Instances that failed are taken down and installed anew; what is taken down is tried once more.
fn try_again(execution: &Execution, known: &Known<'_>) -> Stage {
    let mut stage = match &*execution.parameters {
        Parameters::Install(said) => {
            let failed = execution.failed.iter().filter(|failed| !failed.ignored);
            let scope = install::Scope {
                selection: &said.selection,
                renew: failed.map(|failed| failed.instance.clone()).collect(),
                cause: "try again",
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
