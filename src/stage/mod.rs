//! Work that is planned: tasks in an order, and the workflow that they are for.

pub mod operations;
pub mod parameters;
mod selection;
mod workflow;

pub use operations::{brings_up, runs, takes_down};
pub use parameters::{Parameters, names as parameter_names};
pub use selection::{Chosen, Selection};
pub use workflow::Workflow;

use crate::{
    model::{InstanceState, Place, Retry, Side},
    seam::Step,
};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The operation that gives an old object its place back. The journal holds the word.
pub const PUT_BACK: &str = "put_back";
/// The operation that removes what was replaced. The journal holds the word.
pub const CLEAN: &str = "clean";

/// Position of a task in its stage.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct TaskId(pub usize);

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
