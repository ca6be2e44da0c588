//! Events: the facts that executor, journal and reporters share.

use crate::{
    instance_record::{InstanceRecord, RollbackScope},
    model::Deployment,
    seam::{Failure, LogLevel, Outputs},
    secrets::Secrets,
    stage::{Parameters, Stage, Task, TaskId},
};
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use std::time::{Duration, SystemTime};

/// A fact that the journal stores.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The desired state of the deployment changes to this definition.
    Defined {
        /// The deployment.
        deployment: Box<Deployment>,
    },
    /// The record was lost and rebuilt from labels on the engine.
    Recovered {
        /// The deployment, as far as labels describe it.
        deployment: Box<Deployment>,
        /// Its instances by ID.
        instances: IndexMap<String, InstanceRecord>,
        /// The user took over these objects: from now on their IDs identify them.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        by_consent: bool,
    },
    /// The deployment is given up; its objects stay.
    Freed,
    /// An execution starts.
    ExecutionStarted {
        /// Unique ID of the execution.
        execution: String,
        /// Version of dockctl; empty if written by a version that did not store it.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        dockctl: String,
        /// The workflow with its parameters.
        #[serde(flatten)]
        parameters: Box<Parameters>,
        /// The execution that this one resumes or rolls back.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        of: Option<String>,
        /// If it fails, its created instances are rolled back.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        rolls_back: bool,
        /// For a rollback: the instances and executions that it rolls back.
        #[serde(default, skip_serializing_if = "RollbackScope::is_empty")]
        #[serde(rename = "takes_back")]
        rollback_scope: RollbackScope,
    },
    /// A stage starts.
    #[serde(rename = "stage_adopted")]
    StageStarted {
        /// The stage.
        stage: Stage,
    },
    /// Tasks are added to the current stage.
    StageExtended {
        /// The new tasks. They depend only on earlier tasks.
        tasks: Vec<Task>,
    },
    /// A task starts; the call to the engine follows.
    TaskStarted {
        /// The task.
        task: TaskId,
        /// Number of the attempt, from 1.
        attempt: u32,
    },
    /// A task succeeded.
    TaskSucceeded {
        /// The task.
        task: TaskId,
        /// Changes to runtime properties.
        outputs: Outputs,
    },
    /// A task is still running and has already changed runtime properties.
    TaskNoted {
        /// The task.
        task: TaskId,
        /// Changes to runtime properties.
        outputs: Outputs,
    },
    /// A task failed.
    TaskFailed {
        /// The task.
        task: TaskId,
        /// The failure.
        failure: Failure,
        /// Milliseconds until the retry; none if the task is not retried.
        retry_in: Option<u64>,
        /// The failure is ignored: dependent tasks run as if the task had succeeded.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        ignored: bool,
    },
    /// The outcome of a task was lost, and the engine shows that the task succeeded.
    TaskSettled {
        /// The task.
        task: TaskId,
        /// Changes to runtime properties.
        outputs: Outputs,
    },
    /// A task stopped before it was done, because the execution was cancelled or its process died.
    /// It can be resumed.
    TaskInterrupted {
        /// The task.
        task: TaskId,
    },
    /// The execution starts no new tasks from now on.
    CancelRequested {
        /// The reason.
        #[serde(default)]
        why: StopReason,
    },
    /// The execution is over.
    ExecutionFinished {
        /// The outcome.
        outcome: Outcome,
    },
}

impl Event {
    /// Returns the event with all known secrets redacted. Only text from a system can contain
    /// secrets. `untrusted` names the properties that repeat such text.
    #[must_use]
    pub fn redacted(self, secrets: &Secrets, untrusted: &[&str]) -> Self {
        // A value that is unknown or cannot be searched for cannot be redacted: hide the property.
        let is_hidden = secrets.lacks_secrets() || secrets.has_unrecognizable_values();
        let redacted_outputs = |outputs: Outputs| {
            if is_hidden {
                outputs.redact(untrusted)
            } else {
                outputs
            }
        };
        let redacted_failure = |failure: Failure| {
            if secrets.lacks_secrets() {
                failure.without_output()
            } else {
                failure
            }
        };
        match self {
            Self::TaskSucceeded { task, outputs } => Self::TaskSucceeded {
                task,
                outputs: redacted(redacted_outputs(outputs), secrets),
            },
            Self::TaskNoted { task, outputs } => Self::TaskNoted {
                task,
                outputs: redacted(redacted_outputs(outputs), secrets),
            },
            Self::TaskSettled { task, outputs } => Self::TaskSettled {
                task,
                outputs: redacted(redacted_outputs(outputs), secrets),
            },
            Self::TaskFailed {
                task,
                failure,
                retry_in,
                ignored,
            } => Self::TaskFailed {
                task,
                failure: redacted(redacted_failure(failure).printable(), secrets),
                retry_in,
                ignored,
            },
            other => other,
        }
    }
}

fn redacted<T: Serialize + for<'de> Deserialize<'de>>(value: T, secrets: &Secrets) -> T {
    let json = serde_json::to_value(&value).map(|json| secrets.redact_json(json));
    json.and_then(serde_json::from_value).unwrap_or(value)
}

/// The reason why an execution starts no new tasks.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    /// The user cancelled it.
    #[default]
    Asked,
    /// A task failed, with `--fail-fast`.
    Failure,
    /// The execution exceeded its time limit, `--timeout`.
    Timeout,
    /// Another run took over the guard on the engine.
    GuardLost,
}

/// The outcome of an execution. All names except the last are Cloudify's.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Every task succeeded.
    Terminated,
    /// A task failed.
    Failed,
    /// The user cancelled it.
    Cancelled,
    /// The process died; a later run detected it.
    Interrupted,
}

impl Outcome {
    /// Returns the outcome as people read it. JSON and the journal contain Cloudify's `terminated`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Terminated => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Interrupted => "interrupted",
        }
    }
}

/// A line of the log of an execution.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct LogEntry {
    /// Milliseconds since 1970 UTC.
    pub at: u64,
    /// ID of the execution.
    pub execution: String,
    /// ID of the node instance.
    pub instance: String,
    /// Lifecycle operation, such as `start`.
    pub operation: String,
    /// Severity.
    pub level: LogLevel,
    /// The text, as the operation wrote it, with known secrets redacted.
    pub text: String,
}

/// An event with its time.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Entry {
    /// Milliseconds since 1970 UTC.
    pub at: u64,
    /// The event.
    #[serde(flatten)]
    pub event: Event,
}

impl Entry {
    /// Returns an entry with the current time.
    #[must_use]
    pub fn now(event: Event) -> Self {
        Self { at: now(), event }
    }
}

/// Returns the current time in milliseconds since 1970 UTC.
#[must_use]
pub fn now() -> u64 {
    let since = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Formats a time in milliseconds since 1970 as RFC 3339 in UTC, to the second.
#[must_use]
pub fn timestamp(at: u64) -> String {
    humantime::format_rfc3339_seconds(SystemTime::UNIX_EPOCH + Duration::from_millis(at))
        .to_string()
}
