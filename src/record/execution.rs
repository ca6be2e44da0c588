//! One run of a workflow, as it is remembered.

use crate::{
    event::{Outcome, Why},
    known::Taken,
    seam::Failure,
    stage::{PUT_BACK, Parameters, Task, Workflow},
};
use serde::{Deserialize, Serialize};

/// A task that failed for good.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct FailedTask {
    /// The instance.
    pub instance: String,
    /// The lifecycle operation.
    pub operation: String,
    /// Why.
    pub failure: Failure,
    /// The run went on as if it had been done.
    #[serde(default)]
    pub ignored: bool,
    /// A later stage of the same run tried again.
    #[serde(default)]
    pub tried_again: bool,
}

impl FailedTask {
    /// A task that failed, and that no later stage tried again so far.
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

    /// Returns true if it still matters: no later stage tried again, and it is not an old container
    /// that was created again because it did not start.
    #[must_use]
    pub fn is_open(&self) -> bool {
        let is_created_again = self.ignored && self.operation == PUT_BACK;
        !self.tried_again && !is_created_again
    }

    /// Whether it makes the execution a failed one.
    #[must_use]
    pub fn counts(&self) -> bool {
        !self.ignored && !self.tried_again
    }
}

/// One run of a workflow.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Execution {
    /// Its id.
    pub id: String,
    /// The workflow, with what was said of it.
    #[serde(flatten)]
    pub parameters: Box<Parameters>,
    /// The execution that it goes on with, or takes back.
    pub of: Option<String>,
    /// Milliseconds since 1970 UTC.
    pub started: u64,
    /// Milliseconds since 1970 UTC, once it is over.
    pub ended: Option<u64>,
    /// How it ended; none while it runs, or since its process died.
    pub outcome: Option<Outcome>,
    /// What failed for good, first cause first.
    pub failed: Vec<FailedTask>,
    /// Stages that it had so far.
    #[serde(default)]
    pub stages: usize,
    /// Tasks in its stages.
    pub tasks: usize,
    /// Tasks that are done.
    pub done: usize,
    /// What it creates is to be taken back if it fails.
    pub rolls_back: bool,
    /// Instances that existed before it.
    pub(super) before: Vec<String>,
    /// Instances that did not exist before it and that it began to create.
    pub created: Vec<String>,
    /// Of a rollback: what it takes back.
    pub(super) takes_back: Taken,
    /// Why it was ended early.
    pub stopped: Option<Why>,
}

impl Execution {
    /// The workflow.
    #[must_use]
    pub fn workflow(&self) -> Workflow {
        self.parameters.workflow()
    }

    /// Whether anything failed for good.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.failed.iter().any(FailedTask::counts)
    }

    /// Whether it is taken back with the one that goes on with it: it died or was stopped, or was to
    /// be taken back itself.
    pub(super) fn belongs_to_next(&self) -> bool {
        let was_stopped = matches!(
            self.outcome,
            None | Some(Outcome::Interrupted | Outcome::Cancelled)
        );
        was_stopped || self.rolls_back
    }
}
