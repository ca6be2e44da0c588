//! One execution, as the record stores it.

use crate::{
    event::{Outcome, StopReason},
    instance_record::RollbackScope,
    seam::Failure,
    stage::{PUT_BACK, Parameters, Task, Workflow},
};
use serde::{Deserialize, Serialize};

/// A task that failed permanently.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct FailedTask {
    /// The instance.
    pub instance: String,
    /// The lifecycle operation.
    pub operation: String,
    /// The failure.
    pub failure: Failure,
    /// The failure was ignored: dependent tasks ran as if the task had succeeded.
    #[serde(default)]
    pub ignored: bool,
    /// A later stage of the same execution tried again, or healed what failed.
    #[serde(default)]
    pub tried_again: bool,
}

impl FailedTask {
    /// Creates the entry for a failed task that no later stage has tried again.
    #[must_use]
    pub fn of(task: &Task, failure: &Failure, ignored: bool) -> Self {
        Self {
            instance: task.instance.clone(),
            operation: task.operation.clone(),
            failure: failure.clone(),
            ignored,
            tried_again: false,
        }
    }

    /// Returns true if the failure still matters: no later stage tried again, and the task was not
    /// the restart of an old container that was recreated instead.
    #[must_use]
    pub fn is_unresolved(&self) -> bool {
        let is_recreated = self.ignored && self.operation == PUT_BACK;
        !self.tried_again && !is_recreated
    }

    /// Returns true if the failure makes the execution fail.
    #[must_use]
    pub fn fails_execution(&self) -> bool {
        !self.ignored && !self.tried_again
    }
}

/// One run of a workflow.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Execution {
    /// Its ID.
    pub id: String,
    /// The workflow with its parameters.
    #[serde(flatten)]
    pub parameters: Box<Parameters>,
    /// The execution that this one resumes or rolls back.
    pub of: Option<String>,
    /// Start time in milliseconds since 1970 UTC.
    pub started: u64,
    /// End time in milliseconds since 1970 UTC.
    pub ended: Option<u64>,
    /// The outcome; none while it runs or after its process died.
    pub outcome: Option<Outcome>,
    /// Permanently failed tasks, the first failure first.
    pub failed: Vec<FailedTask>,
    /// Number of stages so far.
    #[serde(default)]
    pub stages: usize,
    /// Number of tasks in all stages.
    pub tasks: usize,
    /// Number of tasks that succeeded.
    pub done: usize,
    /// If it fails, its created instances are rolled back.
    pub rolls_back: bool,
    /// Instances that existed before it started.
    pub(super) before: Vec<String>,
    /// Instances that it began to create and that did not exist before.
    pub created: Vec<String>,
    /// For a rollback: the instances and executions that it rolls back.
    #[serde(rename = "takes_back")]
    pub(super) rollback_scope: RollbackScope,
    /// The reason why it was stopped early.
    pub stopped: Option<StopReason>,
}

impl Execution {
    /// Returns the workflow.
    #[must_use]
    pub fn workflow(&self) -> Workflow {
        self.parameters.workflow()
    }

    /// Returns true if a task failed and its failure counts.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.failed.iter().any(FailedTask::fails_execution)
    }

    /// Returns true if rolling back the execution that resumed this one also rolls back this one:
    /// it died, was stopped, or was to be rolled back itself.
    pub(super) fn is_rolled_back_with_next(&self) -> bool {
        let was_stopped = matches!(
            self.outcome,
            None | Some(Outcome::Interrupted | Outcome::Cancelled)
        );
        was_stopped || self.rolls_back
    }
}
