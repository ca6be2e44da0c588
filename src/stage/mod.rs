//! Planned work: an ordered graph of tasks, and the workflow that it belongs to.

mod exchange;
pub mod operations;
pub mod parameters;
mod selection;
mod workflow;

pub use exchange::{Exchange, ExchangePart, HandedOn};
pub use operations::{is_install_operation, is_lifecycle_operation, is_uninstall_operation};
pub use parameters::{Parameters, names as parameter_names};
pub use selection::{Criteria, Selection};
pub use workflow::Workflow;

use crate::{
    model::{InstanceState, RelationshipSide, Retry, SourceLocation},
    seam::Step,
};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

/// Operation that gives a predecessor its place back. The journal contains this name.
pub const PUT_BACK: &str = "put_back";
/// Operation that removes a predecessor. The journal contains this name.
pub const CLEAN: &str = "clean";

/// Position of a task in its stage.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct TaskId(pub usize);

/// One step of one lifecycle operation on one node instance.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "the stored form")]
pub struct Task {
    /// ID of the node instance.
    pub instance: String,
    /// Its node.
    pub node: String,
    /// Lifecycle operation that this is a step of, for example `start`.
    pub operation: String,
    /// The step to run.
    pub step: Step,
    /// State of the instance while the step runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[serde(rename = "enters")]
    pub state_during: Option<InstanceState>,
    /// State of the instance once the step is done.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[serde(rename = "leaves")]
    pub state_after: Option<InstanceState>,
    /// Why the task is planned.
    pub cause: String,
    /// Tasks that must succeed first. They are always earlier in the stage.
    pub needs: Vec<TaskId>,
    /// Retry rule of the blueprint.
    pub retry: Retry,
    /// Place in the blueprint that declares the operation.
    pub place: SourceLocation,
    /// The relationship and its end, for a relationship operation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub side: Option<RelationshipSide>,
    /// A failure is recorded and not retried; dependent tasks run as if the task had succeeded.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ignores_failure: bool,
    /// The task is retried by its rule before its failure is ignored.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_retried: bool,
    /// When the task is done, the instance matches the present definition.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[serde(rename = "is_as_defined")]
    pub matches_definition: bool,
    /// Seconds to wait before the step, after the tasks that it needs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pause: Option<f64>,
    /// IDs of instances that refer to the object which the task creates, recreates or removes. They
    /// are outdated when the task is done.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outdates: Vec<String>,
    /// The task stops an instance for an exchange, or runs after that and before the exchange is
    /// complete.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub in_exchange: bool,
}

/// Tasks in topological order.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Stage {
    tasks: Vec<Task>,
    /// The stage retries what failed in the stage before. The earlier failures no longer count.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[serde(rename = "tries_again")]
    pub is_retry: bool,
    /// Set if the stage restores predecessors. Such a stage runs even in a cancelled execution.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restores: Option<Restoring>,
    /// Operations that no plugin can run and that the stage leaves out, by instance.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub left_out: BTreeMap<String, BTreeSet<String>>,
    /// Instances that hand something on to each other.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exchanges: Vec<Exchange>,
}

/// How a stage restores predecessors.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Restoring {
    /// The predecessor gets its place back.
    PutBack,
    /// A new object is created from the same definition.
    Recreate,
}

impl Stage {
    /// Appends a task. It can only depend on earlier tasks, so a stage cannot contain a cycle.
    ///
    /// # Panics
    ///
    /// If `task` needs a task that is not in the stage yet.
    pub fn push(&mut self, task: Task) -> TaskId {
        let id = TaskId(self.tasks.len());
        assert!(
            task.needs.iter().all(|need| *need < id),
            "a task can only depend on earlier tasks"
        );
        self.tasks.push(task);
        id
    }

    /// Returns the task with this ID.
    #[must_use]
    pub fn task(&self, id: TaskId) -> &Task {
        &self.tasks[id.0]
    }

    /// Returns the task with this ID, for changes by its planner.
    pub(crate) fn task_mut(&mut self, id: TaskId) -> &mut Task {
        &mut self.tasks[id.0]
    }

    /// Replaces the tasks by the same tasks with other needs, and sorts them.
    ///
    /// # Panics
    ///
    /// If the needs contain a cycle.
    pub(crate) fn rearrange(&mut self, tasks: Vec<Task>) {
        let order = sorted(&tasks);
        assert_eq!(order.len(), tasks.len(), "needs cannot contain a cycle");
        let mut places = vec![0; tasks.len()];
        for (place, at) in order.iter().enumerate() {
            places[*at] = place;
        }
        let mut tasks: Vec<(usize, Task)> = places.iter().copied().zip(tasks).collect();
        tasks.sort_by_key(|(place, _)| *place);
        let renumbered = |mut task: Task| {
            for need in &mut task.needs {
                need.0 = places[need.0];
            }
            task
        };
        self.tasks = tasks
            .into_iter()
            .map(|(_, task)| renumbered(task))
            .collect();
    }

    /// Keeps the tasks that satisfy `is_kept`. A task that needs a removed one needs what that one
    /// needed.
    pub(crate) fn retain(&mut self, is_kept: impl Fn(&Task) -> bool) {
        // For each earlier task: the tasks that stand for it, with their new positions.
        let mut successors: Vec<Vec<TaskId>> = Vec::with_capacity(self.tasks.len());
        let mut kept = Vec::new();
        for mut task in std::mem::take(&mut self.tasks) {
            let needs = task.needs.iter().flat_map(|need| &successors[need.0]);
            let needs: BTreeSet<TaskId> = needs.copied().collect();
            task.needs = needs.into_iter().collect();
            if is_kept(&task) {
                successors.push(vec![TaskId(kept.len())]);
                kept.push(task);
            } else {
                successors.push(task.needs);
            }
        }
        self.tasks = kept;
    }

    /// Returns the exchange that an instance takes part in.
    #[must_use]
    pub fn exchange_of(&self, instance: &str) -> Option<&Exchange> {
        self.exchanges.iter().find(|it| it.contains(instance))
    }

    /// Returns the task IDs in topological order.
    pub fn ids(&self) -> impl DoubleEndedIterator<Item = TaskId> + Clone + use<> {
        (0..self.tasks.len()).map(TaskId)
    }

    /// Returns the tasks in topological order.
    #[must_use]
    pub fn tasks(&self) -> &[Task] {
        &self.tasks
    }

    /// Returns true if the stage has no tasks.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }
}

/// Returns the positions of tasks in topological order. Tasks without an order between them keep
/// theirs. Tasks of a cycle are left out.
fn sorted(tasks: &[Task]) -> Vec<usize> {
    let mut open: Vec<usize> = tasks.iter().map(|task| task.needs.len()).collect();
    let mut dependents = vec![Vec::new(); tasks.len()];
    for (at, task) in tasks.iter().enumerate() {
        for need in &task.needs {
            dependents[need.0].push(at);
        }
    }
    let mut ready: BTreeSet<usize> = (0..tasks.len()).filter(|at| open[*at] == 0).collect();
    let mut order = Vec::with_capacity(tasks.len());
    while let Some(at) = ready.pop_first() {
        order.push(at);
        for next in &dependents[at] {
            open[*next] -= 1;
            if open[*next] == 0 {
                ready.insert(*next);
            }
        }
    }
    order
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
