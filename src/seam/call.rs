//! A step that is about to be carried out, and what it shows meanwhile.

use super::{Failure, Outputs, Reached, Step};
use crate::{model::Side, printable::printable, secrets::Secrets};
use serde_json::{Map as JsonMap, Value as Json};
use tokio_util::sync::CancellationToken;

/// A step that is about to be carried out, with everything that it may need to know.
#[derive(Clone, Debug)]
pub struct Call {
    /// Name of the deployment.
    pub deployment: String,
    /// Its id; empty if it was defined by an older version.
    pub deployment_id: String,
    /// Id of the execution.
    pub execution: String,
    /// Id of the instance.
    pub instance: String,
    /// Its node.
    pub node: String,
    /// The step, bound.
    pub step: Step,
    /// Runtime properties of the instance.
    pub properties: JsonMap<String, Json>,
    /// The object that the step is carried out in, if it is carried out in one.
    pub inside: Option<Reached>,
    /// Of an operation of a relationship: which.
    pub side: Option<Side>,
    /// Cancelled when the user asks to stop: a step that only waits gives up, others go on.
    pub stop: CancellationToken,
}

/// Something to show while a step runs; never kept.
#[derive(Clone, Debug, PartialEq)]
pub enum Progress {
    /// Bytes moved so far, and in all if that is known.
    Bytes {
        /// So far.
        done: u64,
        /// In all; 0 if not known.
        total: u64,
    },
    /// What the step is doing now.
    Note(String),
}

impl Progress {
    /// Without the secrets that are known, and fit for a terminal.
    #[must_use]
    pub fn scrubbed(self, secrets: &Secrets) -> Self {
        match self {
            Self::Note(note) => Self::Note(printable(&secrets.scrub(&note))),
            bytes @ Self::Bytes { .. } => bytes,
        }
    }
}

/// What a step says while it runs.
#[derive(Clone, Debug, PartialEq)]
pub enum Note {
    /// Something to show.
    Progress(Progress),
    /// What it changed already: it stays changed if the step fails later.
    Outputs(Outputs),
}

/// What looking came to, for a step whose outcome was lost.
#[derive(Clone, Debug, PartialEq)]
pub enum Settled {
    /// It is done, and changed this.
    Done(Outputs),
    /// It failed.
    Failed(Failure),
    /// It is not done, or looks itself when it is carried out again.
    NotDone,
    /// Nobody knows.
    Unknown,
}

/// Takes what a step has to show.
pub type ProgressSink<'a> = &'a dyn Fn(Progress);
