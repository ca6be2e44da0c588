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
mod parameters;
mod readers;
pub mod reinstall;
pub mod restore;
pub mod rollback;
pub mod scale;
pub mod uninstall;
pub mod update;

pub use order::unordered;
pub use parameters::{Parameters, Selection, names as parameter_names};
pub use readers::Reading;

use crate::{
    backend::{Observed, Step},
    event::Why,
    model::{Deployment, Place, Retry},
    state::{Execution, Record},
};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The workflows that are built in; the names are the original's.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Workflow {
    /// Create and start everything.
    Install,
    /// Stop and delete everything.
    Uninstall,
    /// Take back what a failed install created; or, of its own, what is half made.
    Rollback,
    /// Stop and delete, then create and start.
    Reinstall,
    /// Run the operation `start`.
    Start,
    /// Run the operation `stop`.
    Stop,
    /// Run `stop` of all, then `start` of all.
    Restart,
    /// Run the operation `pull`.
    Pull,
    /// Run any operation.
    ExecuteOperation,
    /// Look whether all is well, and mend what is not.
    Heal,
    /// Add or remove instances.
    Scale,
    /// Change what there is to match another definition.
    Update,
    /// Run the operation `check_status`.
    CheckStatus,
    /// Run the operations `check_drift`.
    CheckDrift,
}

impl Workflow {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::Install,
        Self::Uninstall,
        Self::Rollback,
        Self::Reinstall,
        Self::Start,
        Self::Stop,
        Self::Restart,
        Self::Pull,
        Self::ExecuteOperation,
        Self::Heal,
        Self::Scale,
        Self::Update,
        Self::CheckStatus,
        Self::CheckDrift,
    ];

    /// The name, as blueprints and the command line have it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Install => "install",
            Self::Uninstall => "uninstall",
            Self::Rollback => "rollback",
            Self::Reinstall => "reinstall",
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Restart => "restart",
            Self::Pull => "pull",
            Self::ExecuteOperation => "execute_operation",
            Self::Heal => "heal",
            Self::Scale => "scale",
            Self::Update => "update",
            Self::CheckStatus => "check_status",
            Self::CheckDrift => "check_drift",
        }
    }

    /// The name at the beginning of a sentence.
    #[must_use]
    pub fn capitalized(self) -> String {
        let (first, rest) = self.as_str().split_at(1);
        first.to_uppercase() + rest
    }

    /// What a blueprint's `mapping` means, by the name of the original's function.
    #[must_use]
    pub fn of_mapping(operation: &str) -> Option<Self> {
        let name = operation.strip_prefix("cloudify.plugins.workflows.")?;
        Self::named(match name {
            "auto_heal_reinstall_node_subgraph" => "heal",
            "scale_entity" => "scale",
            other => other,
        })
    }

    /// The workflow of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|workflow| workflow.as_str() == name)
    }
}

impl fmt::Display for Workflow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Position of a task in its stage.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct TaskId(pub usize);

/// States of a node instance; the names are the original's.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum InstanceState {
    #[default]
    Uninitialized,
    Initializing,
    Creating,
    Created,
    Configuring,
    Configured,
    Starting,
    Started,
    Stopping,
    Stopped,
    Deleting,
    Deleted,
}

impl InstanceState {
    /// Whether nothing of the instance exists.
    #[must_use]
    pub fn is_gone(self) -> bool {
        matches!(self, Self::Uninitialized | Self::Deleted)
    }

    /// Whether the instance is on its way down, or has been down.
    #[must_use]
    pub fn is_down(self) -> bool {
        self >= Self::Stopping
    }
}

impl fmt::Display for InstanceState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = format!("{self:?}").to_lowercase();
        f.pad(&name)
    }
}

/// One step of one lifecycle operation on one node instance.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Task {
    /// Id of the node instance.
    pub instance: String,
    /// Its node.
    pub node: String,
    /// Lifecycle operation that this is a step of, for example `start`.
    pub operation: String,
    /// What the back-end is asked.
    pub step: Step,
    /// State of the instance while the step runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enters: Option<InstanceState>,
    /// State of the instance once the step is done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub leaves: Option<InstanceState>,
    /// Why it is planned.
    pub cause: String,
    /// Tasks that have to succeed first. Always earlier in the stage.
    pub needs: Vec<TaskId>,
    /// Retry rule of the blueprint.
    pub retry: Retry,
    /// Place in the blueprint that asks for it.
    pub place: Place,
    /// Of an operation of a relationship: which.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub side: Option<Side>,
    /// If it fails that is noted, nothing is repeated, and what needs it goes on as if it were
    /// done.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ignores_failure: bool,
    /// Once it is done, the instance is as the present definition says.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_as_defined: bool,
    /// Ids of instances that hold on to what it makes anew: once it is done, theirs are out of
    /// date.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outdates: Vec<String>,
}

/// A relationship between two instances, seen from one of its ends.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Side {
    /// Id of the instance that has the relationship.
    pub source: String,
    /// Id of the instance that it points to.
    pub target: String,
    /// The end whose operation it is.
    pub end: End,
}

/// An end of a relationship.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum End {
    Source,
    Target,
}

/// Tasks in topological order.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Stage {
    tasks: Vec<Task>,
    /// It tries again what failed in the stage before: that counts no more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub tries_again: bool,
    /// It restores what was to be replaced: it is carried out even if the run is to start nothing
    /// new.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restores: Option<Restoring>,
}

/// How a stage restores what was to be replaced.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Restoring {
    /// The old object gets its place back.
    PutBack,
    /// Another one is made from the same definition.
    Recreate,
}

impl Stage {
    /// Appends a task. It can only name earlier tasks, so a stage cannot hold a cycle.
    ///
    /// # Panics
    ///
    /// If `task` needs a task that is not in the stage yet.
    pub fn push(&mut self, task: Task) -> TaskId {
        let id = TaskId(self.tasks.len());
        assert!(
            task.needs.iter().all(|need| *need < id),
            "a task can only need earlier ones"
        );
        self.tasks.push(task);
        id
    }

    /// The task with this id.
    #[must_use]
    pub fn task(&self, id: TaskId) -> &Task {
        &self.tasks[id.0]
    }

    /// The task with this id, to be completed by its planner.
    pub(crate) fn task_mut(&mut self, id: TaskId) -> &mut Task {
        &mut self.tasks[id.0]
    }

    /// Ids in topological order.
    pub fn ids(&self) -> impl DoubleEndedIterator<Item = TaskId> + Clone + use<> {
        (0..self.tasks.len()).map(TaskId)
    }

    /// The tasks in topological order.
    #[must_use]
    pub fn tasks(&self) -> &[Task] {
        &self.tasks
    }

    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for id in self.ids() {
            let Task {
                instance,
                operation,
                step,
                cause,
                needs,
                ..
            } = self.task(id);
            let needs: Vec<String> = needs.iter().map(|need| format!("#{}", need.0)).collect();
            let after = if needs.is_empty() {
                String::new()
            } else {
                format!("  after {}", needs.join(" "))
            };
            writeln!(
                f,
                "#{} {instance}.{operation}: {step}  because {cause}{after}",
                id.0
            )?;
        }
        Ok(())
    }
}

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
        Workflow::Uninstall => uninstall::of(known, selection, parameters.ignore_failure),
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
            Some(uninstall::of(known, &Selection::default(), true).stage)
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
pub fn may_go_on(record: &Record, subgraph_retries: usize) -> bool {
    let Some(execution) = record.running() else {
        return false;
    };
    match (record.stage().restores, execution.stopped) {
        (_, Some(Why::GuardLost)) | (Some(Restoring::Recreate), _) => return false,
        (Some(Restoring::PutBack), _) | (None, Some(_)) => return restore::is_needed(record),
        (None, None) => {}
    }
    match execution.workflow {
        Workflow::Install | Workflow::Uninstall
            if execution.has_failed() && execution.stages <= subgraph_retries =>
        {
            true
        }
        Workflow::Scale if execution.has_failed() && execution.stages == 1 => true,
        _ if execution.has_failed() => restore::is_needed(record),
        Workflow::Heal => true,
        Workflow::Scale if execution.stages == 1 && !execution.parameters.removed.is_empty() => {
            true
        }
        Workflow::Rollback => execution.parameters.full_rollback && execution.stages == 1,
        workflow => leaves_working(workflow) && restore::is_needed(record),
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
        Workflow::Uninstall => {
            uninstall::of(known, selection, execution.parameters.ignore_failure).stage
        }
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
}

/// Whether `install` or `uninstall` run an operation, given as `interface.operation`, of a
/// relationship as `side/interface.operation`.
#[must_use]
pub fn runs(operation: &str) -> bool {
    let of_relationship = ["preconfigure", "postconfigure", "establish", "unlink"];
    match operation.split_once("/cloudify.interfaces.relationship_lifecycle.") {
        Some((_, name)) => of_relationship.contains(&name),
        None => install::runs(operation) || uninstall::runs(operation),
    }
}

/// Whether an operation, of a node or of a relationship, runs on the way to a started instance.
#[must_use]
pub fn brings_up(operation: &str) -> bool {
    install::runs(operation)
        || (operation.contains('/') && runs(operation) && !operation.ends_with(".unlink"))
}

/// Whether an operation of a node is one of those that take it down.
#[must_use]
pub fn takes_down(operation: &str) -> bool {
    uninstall::runs(operation)
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
