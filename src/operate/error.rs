//! The errors of requests.

use crate::{
    diagnostic::{self, Diagnostics, Sources},
    discovery::Claim,
    engine::ConnectError,
    journal::JournalError,
    model::Difference,
    plan::{AttributeRead, Unsupported},
    record::Record,
    seam::Failure,
};
use serde::Serialize;
use thiserror::Error;

/// The kind of an error; each has its own exit code.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// An execution failed.
    Failed,
    /// The request is invalid.
    Usage,
    /// The blueprint or its inputs are invalid or not supported.
    Invalid,
    /// An engine call failed.
    Engine,
    /// Another run holds the deployment.
    Busy,
    /// The deployment differs from the request.
    Different,
    /// The caller cancelled the request.
    Interrupted,
}

/// The error of a request, with hints.
#[derive(Debug, Error)]
#[error("{message}")]
pub struct Error {
    /// Kind of the error.
    pub kind: Kind,
    /// One-sentence message.
    pub message: String,
    /// Hints, most useful first.
    pub hints: Vec<String>,
    /// ID of the execution that did not succeed.
    pub execution: Option<String>,
    /// Arguments that the repeated command requires in addition.
    pub missing_args: String,
    /// The facts behind the message.
    pub detail: Detail,
}

/// The facts behind an error.
#[derive(Debug, Default)]
pub enum Detail {
    /// No further details.
    #[default]
    None,
    /// Diagnostics of a blueprint.
    Faults(Box<Faults>),
    /// Objects that belong to the deployment only according to their labels.
    Claims(Claimed),
    /// Attributes that containers would read before they exist.
    EarlyReads(Vec<AttributeRead>),
    /// Operations that no plugin can run.
    Unsupported(Vec<Unsupported>),
    /// Impossible changes, one paragraph each.
    Refused(Vec<String>),
    /// Requirements that an engine does not meet, one paragraph each.
    Unmet(Vec<String>),
    /// Differences between the request and the deployment.
    Different {
        /// Name of the deployment.
        deployment: String,
        /// The differences.
        differences: Vec<Difference>,
    },
    /// Changes since a plan was created.
    OutOfDate {
        /// Name of the deployment.
        deployment: String,
        /// The parts that changed.
        changed: Vec<&'static str>,
    },
    /// Missing values and files.
    Missing(Vec<MissingItem>),
    /// A failed or cancelled run.
    Ended(Box<FailedRun>),
}

/// Objects that belong to a deployment only according to their labels.
#[derive(Clone, Debug)]
pub struct Claimed {
    /// Name of the deployment.
    pub deployment: String,
    /// Names of the conflicting objects, if the error is a conflict.
    pub objects: Option<Vec<String>>,
    /// The claims in the labels.
    pub claims: Vec<Claim>,
}

/// Diagnostics of a blueprint, with its source text.
#[derive(Debug)]
pub struct Faults {
    /// The diagnostics.
    pub diagnostics: Diagnostics,
    /// The source text that they refer to.
    pub sources: Sources,
}

/// A missing value or file of a task.
#[derive(Debug, Serialize)]
pub struct MissingItem {
    /// ID of the instance.
    pub instance: String,
    /// Operation of the task.
    pub operation: String,
    /// The reason.
    pub why: String,
    /// Names of missing inputs.
    pub inputs: Vec<String>,
    /// Place in the blueprint.
    #[serde(skip)]
    pub place: String,
}

/// A failed or cancelled run.
#[derive(Debug)]
pub struct FailedRun {
    /// The deployment at the end of the run.
    pub record: Record,
    /// The deployment at the end of the rollback, if there was one.
    pub rollback: Option<Record>,
    /// IDs of skipped instances: they depend on failed or skipped instances.
    pub skipped: Vec<String>,
}

impl FailedRun {
    /// Returns the deployment at the end of the run and its rollback.
    #[must_use]
    pub fn last(&self) -> &Record {
        self.rollback.as_ref().unwrap_or(&self.record)
    }
}

impl Error {
    /// Creates an error without facts or hints.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            hints: Vec::new(),
            execution: None,
            missing_args: String::new(),
            detail: Detail::None,
        }
    }

    /// Creates an error for an invalid request.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Kind::Usage, message)
    }

    /// Creates an error for an invalid blueprint.
    #[must_use]
    pub fn invalid(diagnostics: Diagnostics, sources: Sources) -> Self {
        let summary = diagnostic::render::summary(&diagnostics);
        let message = format!("invalid blueprint: {summary}");
        let faults = Faults {
            diagnostics,
            sources,
        };
        Self::new(Kind::Invalid, message).with(Detail::Faults(Box::new(faults)))
    }

    /// Adds a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Sets the facts behind the message.
    #[must_use]
    pub fn with(mut self, detail: Detail) -> Self {
        self.detail = detail;
        self
    }

    /// Adds a hint with the command that repeats the request, if it requires more arguments.
    #[must_use]
    pub fn with_repeat_hint(self, command: &str) -> Self {
        let again = self.missing_args.clone();
        if again.is_empty() {
            self
        } else {
            self.hint(format!("pass the missing values: {command}{again}"))
        }
    }
}

impl From<JournalError> for Error {
    fn from(error: JournalError) -> Self {
        let kind = if matches!(error, JournalError::Locked { .. }) {
            Kind::Busy
        } else {
            Kind::Failed
        };
        let result = Self::new(kind, error.to_string());
        journal_hints(&error)
            .iter()
            .fold(result, |result, hint| result.hint(*hint))
    }
}

/// Returns the hints for an error of the journal.
fn journal_hints(error: &JournalError) -> &'static [&'static str] {
    match error {
        JournalError::Locked { .. } => {
            &["wait until it finishes; if it dies, its lock is released automatically"]
        }
        JournalError::Format { .. } | JournalError::Unknown { .. } => {
            &["use the dockctl version that wrote it, or a newer one"]
        }
        _ if error.is_damaged() => &[
            "to rename it and recover the deployment from labels, run dockctl install, uninstall, resume or recover",
        ],
        _ if error.is_disk_full() => {
            &["free disk space, or use another directory: --state-dir DIR"]
        }
        JournalError::Sqlite { .. }
        | JournalError::Row { .. }
        | JournalError::Contradiction { .. }
        | JournalError::Damaged { .. } => {
            &["the file was not changed; back it up before you continue"]
        }
        JournalError::Untrusted { .. } => &[
            "a state directory must belong to you and must not be writable by others: chmod o-w DIR",
            "or use your own directory: --state-dir DIR",
        ],
        JournalError::Io { .. } | JournalError::DiskFull { .. } => {
            &["use another directory: --state-dir DIR or DOCKCTL_STATE_DIR=DIR"]
        }
    }
}

impl From<ConnectError> for Error {
    fn from(error: ConnectError) -> Self {
        Self::from(Failure::from(error))
    }
}

/// An engine failure outside an execution.
impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        let hints = failure.hints.iter();
        hints.fold(Self::new(Kind::Engine, failure.message), Self::hint)
    }
}
