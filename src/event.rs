//! The one vocabulary shared by executor, journal and reporters: facts worth keeping.

use crate::{
    known::{InstanceRecord, Taken},
    model::Deployment,
    seam::{Failure, Outputs},
    secrets::Secrets,
    stage::{Parameters, Stage, Task, TaskId},
};
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use std::time::{Duration, SystemTime};

/// Something that happened and is worth remembering.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// From here on this is what is wanted.
    Defined {
        /// The deployment.
        deployment: Box<Deployment>,
    },
    /// The journal was lost, and this is what the engine's labels say.
    Recovered {
        /// The deployment, as far as labels tell.
        deployment: Box<Deployment>,
        /// Its instances by id.
        instances: IndexMap<String, InstanceRecord>,
        /// The user said that these objects are theirs: they are known by their ids from here on.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        by_consent: bool,
    },
    /// A workflow begins.
    ExecutionStarted {
        /// Id of the execution, unique.
        execution: String,
        /// Version of dockctl; empty if it was one that did not say so.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        dockctl: String,
        /// The workflow, with what was said of it.
        #[serde(flatten)]
        parameters: Box<Parameters>,
        /// The execution that it goes on with, or takes back.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        of: Option<String>,
        /// What it creates is to be taken back if it fails.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        rolls_back: bool,
        /// Of a rollback: what it takes back.
        #[serde(default, skip_serializing_if = "Taken::is_empty")]
        takes_back: Taken,
    },
    /// From here on this stage is carried out.
    StageAdopted {
        /// The work.
        stage: Stage,
    },
    /// These tasks are added to the stage that is carried out.
    StageExtended {
        /// They need earlier tasks only.
        tasks: Vec<Task>,
    },
    /// The engine is about to be asked.
    TaskStarted {
        /// The task.
        task: TaskId,
        /// Counts the tries from 1.
        attempt: u32,
    },
    /// The task is done.
    TaskSucceeded {
        /// The task.
        task: TaskId,
        /// What it changed in the instance's runtime properties.
        outputs: Outputs,
    },
    /// The task goes on, and changed this already.
    TaskNoted {
        /// The task.
        task: TaskId,
        /// What it changed in runtime properties.
        outputs: Outputs,
    },
    /// The task failed.
    TaskFailed {
        /// The task.
        task: TaskId,
        /// Why.
        failure: Failure,
        /// Milliseconds until it is tried again; none if it is not.
        retry_in: Option<u64>,
        /// The run goes on as if it were done.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        ignored: bool,
    },
    /// The task's outcome was lost, and looking at the engine shows that it is done.
    TaskSettled {
        /// The task.
        task: TaskId,
        /// What it changed in the instance's runtime properties.
        outputs: Outputs,
    },
    /// The task is not done, and was given up half way: the run is being cancelled, or its process
    /// died. It can be taken up again.
    TaskInterrupted {
        /// The task.
        task: TaskId,
    },
    /// Nothing new starts from here on.
    CancelRequested {
        /// Why.
        #[serde(default)]
        why: Why,
    },
    /// The workflow is over.
    ExecutionFinished {
        /// How it ended.
        outcome: Outcome,
    },
}

impl Event {
    /// The event without the secrets that are known. Only what a system said can hold any;
    /// properties that are `untrusted` repeat what it was told.
    #[must_use]
    pub fn scrubbed(self, secrets: &Secrets, untrusted: &[&str]) -> Self {
        // What may hold a secret that is not known cannot be blotted out: it is left out whole.
        let is_hidden = secrets.is_incomplete() || secrets.is_elusive();
        let outputs_of = |outputs: Outputs| {
            if is_hidden {
                outputs.without(untrusted)
            } else {
                outputs
            }
        };
        let failure_of = |failure: Failure| {
            if secrets.is_incomplete() {
                failure.without_hearsay()
            } else {
                failure
            }
        };
        match self {
            Self::TaskSucceeded { task, outputs } => Self::TaskSucceeded {
                task,
                outputs: scrubbed(outputs_of(outputs), secrets),
            },
            Self::TaskNoted { task, outputs } => Self::TaskNoted {
                task,
                outputs: scrubbed(outputs_of(outputs), secrets),
            },
            Self::TaskSettled { task, outputs } => Self::TaskSettled {
                task,
                outputs: scrubbed(outputs_of(outputs), secrets),
            },
            Self::TaskFailed {
                task,
                failure,
                retry_in,
                ignored,
            } => Self::TaskFailed {
                task,
                failure: scrubbed(failure_of(failure).printable(), secrets),
                retry_in,
                ignored,
            },
            other => other,
        }
    }
}

fn scrubbed<T: Serialize + for<'de> Deserialize<'de>>(value: T, secrets: &Secrets) -> T {
    let json = serde_json::to_value(&value).map(|json| secrets.scrub_json(json));
    json.and_then(serde_json::from_value).unwrap_or(value)
}

/// Why a run starts nothing new.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// The user asked for it.
    #[default]
    Asked,
    /// Something failed, and that was to end the run: `--fail-fast`.
    Failure,
    /// It took longer than it was given: `--timeout`.
    Timeout,
    /// Another run took the deployment over on the engine.
    GuardLost,
}

/// How an execution ended; the names are the original's, but for the last.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Everything was done.
    Terminated,
    /// Something failed.
    Failed,
    /// The user stopped it.
    Cancelled,
    /// The process died; noticed by the next one.
    Interrupted,
}

impl Outcome {
    /// The name as shown.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Terminated => "terminated",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Interrupted => "interrupted",
        }
    }
}

/// An event and when it happened.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Entry {
    /// Milliseconds since 1970 UTC.
    pub at: u64,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

impl Entry {
    /// An event that happens now.
    #[must_use]
    pub fn now(event: Event) -> Self {
        Self { at: now(), event }
    }
}

/// What this machine's clock shows, in milliseconds since 1970 UTC.
#[must_use]
pub fn now() -> u64 {
    let since = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Spells a time stamp as RFC 3339 in UTC, to the second.
#[must_use]
pub fn timestamp(at: u64) -> String {
    humantime::format_rfc3339_seconds(SystemTime::UNIX_EPOCH + Duration::from_millis(at))
        .to_string()
}
