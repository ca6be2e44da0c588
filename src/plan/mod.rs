//! What will be done, and in which order. Pure data: no engine, no clock.
//!
//! One file per workflow; each is a function from what is wanted ([`Deployment`](crate::model::Deployment)), what is known
//! ([`Record`](crate::state::Record)) and what is there ([`Observed`](crate::backend::Observed)) to a [`Stage`].

mod chain;
pub mod install;
mod order;
pub mod rollback;
pub mod uninstall;

use crate::{
    backend::Step,
    model::{Place, Retry},
};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The workflows that are built in.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Workflow {
    /// Create and start everything.
    Install,
    /// Stop and delete everything.
    Uninstall,
    /// Take back what a failed install created.
    Rollback,
}

impl fmt::Display for Workflow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Install => "install",
            Self::Uninstall => "uninstall",
            Self::Rollback => "rollback",
        })
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
}

/// Tasks in topological order.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Stage {
    tasks: Vec<Task>,
}

impl Stage {
    /// Appends a task. It can only name earlier tasks, so a stage cannot hold a cycle.
    ///
    /// # Panics
    ///
    /// If `task` needs a task that is not in the stage yet.
    pub fn push(&mut self, task: Task) -> TaskId {
        let id = TaskId(self.tasks.len());
        assert!(task.needs.iter().all(|need| *need < id), "a task can only need earlier ones");
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
    pub fn ids(&self) -> impl DoubleEndedIterator<Item = TaskId> + use<> {
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
            let Task { instance, operation, step, cause, needs, .. } = self.task(id);
            let needs: Vec<String> = needs.iter().map(|need| format!("#{}", need.0)).collect();
            let after = if needs.is_empty() { String::new() } else { format!("  after {}", needs.join(" ")) };
            writeln!(f, "#{} {instance}.{operation}: {step}  because {cause}{after}", id.0)?;
        }
        Ok(())
    }
}

/// Whether `install` or `uninstall` run an operation, given as `interface.operation`, of a relationship as `side/interface.operation`.
#[must_use]
pub fn runs(operation: &str) -> bool {
    let of_relationship = ["preconfigure", "postconfigure", "establish", "unlink"];
    match operation.split_once("/cloudify.interfaces.relationship_lifecycle.") {
        Some((_, name)) => of_relationship.contains(&name),
        None => install::runs(operation) || uninstall::runs(operation),
    }
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
