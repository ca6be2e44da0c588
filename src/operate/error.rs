//! Why a request was not carried out.

use crate::{
    diagnostic::{self, Diagnostics, Sources},
    engine::ConnectError,
    journal::JournalError,
    model::Difference,
    plan::{Reading, Unsupported},
    record::Record,
    seam::Failure,
    told::Claim,
};
use serde::Serialize;
use thiserror::Error;

/// The kinds of errors that callers tell apart.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// An execution failed.
    Failed,
    /// The request is wrong.
    Usage,
    /// The blueprint or its inputs are invalid, or ask for what dockctl cannot run.
    Invalid,
    /// No engine answers.
    Engine,
    /// Another run holds the deployment.
    Busy,
    /// There are differences.
    Different,
    /// The caller stopped it.
    Interrupted,
}

/// Why a request was not carried out, with advice.
#[derive(Debug, Error)]
#[error("{message}")]
pub struct Error {
    /// Kind of the error.
    pub kind: Kind,
    /// One sentence.
    pub message: String,
    /// Advice, in the order of usefulness.
    pub hints: Vec<String>,
    /// Id of the execution that ended so.
    pub execution: Option<String>,
    /// Inputs that the repeated command needs besides those that were given.
    pub again: String,
    /// The facts behind the message.
    pub detail: Detail,
}

/// The facts behind an error.
#[derive(Debug, Default)]
pub enum Detail {
    /// The message says it all.
    #[default]
    None,
    /// Faults of a blueprint.
    Faults(Box<Faults>),
    /// Objects that only labels connect to the deployment.
    Claims(Claimed),
    /// Attributes that containers are created from before they exist.
    Early(Vec<Reading>),
    /// Operations that no plugin here can run.
    Unsupported(Vec<Unsupported>),
    /// Changes that cannot be made, a paragraph each.
    Refused(Vec<String>),
    /// Requirements that an engine does not meet, a paragraph each.
    TooOld(Vec<String>),
    /// Differences between the request and the deployment.
    Different {
        /// Name of the deployment.
        deployment: String,
        /// The differences.
        differences: Vec<Difference>,
    },
    /// Differences between now and the time when a plan was made.
    Moved {
        /// Name of the deployment.
        deployment: String,
        /// The things that changed.
        moved: Vec<&'static str>,
    },
    /// Values and files that are missing.
    Lacking(Vec<Lacking>),
    /// A run that did not succeed.
    Ended(Box<Ended>),
}

/// Objects that only labels connect to a deployment, as errors show them.
#[derive(Clone, Debug)]
pub struct Claimed {
    /// Name of the deployment.
    pub deployment: String,
    /// Names of the objects that are in the way, if that is the error.
    pub objects: Option<Vec<String>>,
    /// What the labels say.
    pub claims: Vec<Claim>,
}

/// Faults of a blueprint, with its text.
#[derive(Debug)]
pub struct Faults {
    /// The faults.
    pub diagnostics: Diagnostics,
    /// The text that they point into.
    pub sources: Sources,
}

/// A value or file that a task needs.
#[derive(Debug, Serialize)]
pub struct Lacking {
    /// Id of the instance.
    pub instance: String,
    /// Operation of the task.
    pub operation: String,
    /// The reason.
    pub why: String,
    /// Inputs that are missing.
    pub inputs: Vec<String>,
    /// Place in the blueprint.
    #[serde(skip)]
    pub place: String,
}

/// A run that did not succeed.
#[derive(Debug)]
pub struct Ended {
    /// The deployment at the end of the run.
    pub record: Record,
    /// The deployment at the end of the rollback, if the run was rolled back.
    pub rollback: Option<Record>,
    /// Ids of instances whose steps did not begin, because they need an instance that failed.
    pub skipped: Vec<String>,
}

impl Ended {
    /// The deployment at the end of everything.
    #[must_use]
    pub fn last(&self) -> &Record {
        self.rollback.as_ref().unwrap_or(&self.record)
    }
}

impl Error {
    /// An error of this kind without facts or advice.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            hints: Vec::new(),
            execution: None,
            again: String::new(),
            detail: Detail::None,
        }
    }

    /// An error in the request.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Kind::Usage, message)
    }

    /// A blueprint with errors.
    #[must_use]
    pub fn invalid(diagnostics: Diagnostics, sources: Sources) -> Self {
        let summary = diagnostic::render::summary(&diagnostics);
        let message = format!("the blueprint cannot be used: {summary}");
        let faults = Faults {
            diagnostics,
            sources,
        };
        Self::new(Kind::Invalid, message).with(Detail::Faults(Box::new(faults)))
    }

    /// Adds advice.
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

    /// Adds the whole command that repeats the request, if more has to be given.
    #[must_use]
    pub fn repeated(self, command: &str) -> Self {
        let again = self.again.clone();
        if again.is_empty() {
            self
        } else {
            self.hint(format!("give it again: {command}{again}"))
        }
    }
}

impl From<JournalError> for Error {
    fn from(error: JournalError) -> Self {
        let kind = if matches!(error, JournalError::Busy { .. }) {
            Kind::Busy
        } else {
            Kind::Failed
        };
        let told = Self::new(kind, error.to_string());
        advice(&error)
            .iter()
            .fold(told, |told, hint| told.hint(*hint))
    }
}

/// Returns the hints for an error of the journal.
fn advice(error: &JournalError) -> &'static [&'static str] {
    match error {
        JournalError::Busy { .. } => {
            &["wait until it is done; a holder that died frees the deployment by itself"]
        }
        JournalError::Format { .. } | JournalError::Unknown { .. } => {
            &["use the dockctl that wrote it, or a newer one"]
        }
        _ if error.is_damage() => &[
            "install, uninstall, resume and recover keep it under another name, and take what the engine's labels tell",
        ],
        _ if error.is_full() => &["free some room there, or name another folder: --state-dir"],
        JournalError::Sqlite { .. }
        | JournalError::Row { .. }
        | JournalError::Illegal { .. }
        | JournalError::Damaged { .. } => {
            &["the file was not changed; keep a copy before anything else"]
        }
        JournalError::Distrusted { .. } => &[
            "only the owner of a state folder, or root, writes to it, and nobody else may be able to: chmod o-w",
            "or name a folder of your own: --state-dir",
        ],
        JournalError::Io { .. } | JournalError::NoRoom { .. } => {
            &["--state-dir or DOCKCTL_STATE_DIR names another folder"]
        }
    }
}

impl From<ConnectError> for Error {
    fn from(error: ConnectError) -> Self {
        Self::from(Failure::from(error))
    }
}

/// A failure outside any execution: the engine was asked for its state, and did not answer.
impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        let hints = failure.hints.iter();
        hints.fold(Self::new(Kind::Engine, failure.message), Self::hint)
    }
}
