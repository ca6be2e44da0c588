//! Everything that can go wrong with a command, and the exit code of each.

use crate::{
    diagnostic::{self, Diagnostic, Diagnostics, Sources},
    engine::ConnectError,
    journal::JournalError,
    printable::printable,
    seam::Failure,
};
use serde_json::{Value as Json, json};

/// The first word of an error on a terminal with colours.
const RED_ERROR: &str = "\u{1b}[1;31merror\u{1b}[0m";

/// What kind of fault ended a command, with the exit code that says so.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub(crate) enum Kind {
    /// An execution failed.
    Failed = 1,
    /// The command line is wrong.
    Usage = 2,
    /// The blueprint or its inputs are invalid, or ask for what dockctl cannot run.
    Invalid = 3,
    /// There is no engine to talk to.
    Engine = 4,
    /// Another run holds the deployment.
    Busy = 5,
    /// There are differences.
    Different = 6,
    /// The user stopped it.
    Interrupted = 130,
}

impl Kind {
    /// The exit code; part of the contract in `docs/cli.md`.
    pub(crate) fn exit_code(self) -> u8 {
        self as u8
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Usage => "usage",
            Self::Invalid => "invalid",
            Self::Engine => "engine",
            Self::Busy => "busy",
            Self::Different => "different",
            Self::Interrupted => "interrupted",
        }
    }
}

/// Why a command ended without having done what it was asked.
#[derive(Debug)]
pub(crate) struct CliError {
    pub kind: Kind,
    pub message: String,
    pub hints: Vec<String>,
    pub execution: Option<String>,
    /// Fields of the JSON document besides the error.
    pub fields: Json,
    /// What is shown above the message.
    pub preamble: String,
    /// What standard output gets although the command failed.
    pub result: String,
    /// What has to be added to the command if it is given again.
    pub again: String,
}

impl CliError {
    pub(crate) fn new(kind: Kind, message: impl Into<String>) -> Self {
        let message = message.into();
        Self {
            kind,
            message,
            hints: Vec::new(),
            execution: None,
            fields: json!({}),
            preamble: String::new(),
            result: String::new(),
            again: String::new(),
        }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Adds the whole command that repeats this one, if it has to be given more.
    pub(crate) fn repeated(self, command: &str) -> Self {
        let again = self.again.clone();
        if again.is_empty() {
            self
        } else {
            self.hint(format!("give it again: {command}{again}"))
        }
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Kind::Usage, message)
    }

    /// A blueprint with errors.
    pub(crate) fn invalid(diagnostics: &Diagnostics, sources: &Sources, color: bool) -> Self {
        let summary = diagnostic::render::summary(diagnostics);
        let message = format!("the blueprint cannot be used: {summary}");
        let mut error = Self::new(Kind::Invalid, message);
        let all = in_json(diagnostics, sources);
        error.fields = json!({ "valid": false, "diagnostics": all });
        diagnostic::json::omitted(diagnostics, &mut error.fields);
        error.preamble = diagnostic::render::render(diagnostics, sources, color);
        error
    }

    /// The `error` of the JSON document.
    pub(crate) fn to_json(&self) -> Json {
        let mut error =
            json!({ "code": self.kind.as_str(), "message": self.message, "hints": self.hints });
        if let Some(execution) = &self.execution {
            error["execution"] = execution.as_str().into();
        }
        error
    }

    /// The error for people.
    pub(crate) fn to_text(&self, color: bool) -> String {
        let error = if color { RED_ERROR } else { "error" };
        let hint = |hint: &String| format!("  = help: {}\n", printable(hint));
        let hints: String = self.hints.iter().map(hint).collect();
        let message = printable(&self.message);
        format!("{}{error}: {message}\n{hints}", self.preamble)
    }
}

/// All diagnostics for programs.
pub(crate) fn in_json(diagnostics: &Diagnostics, sources: &Sources) -> Vec<Json> {
    let one = |one: &Diagnostic| diagnostic::json::diagnostic(one, sources);
    diagnostics.iter().map(one).collect()
}

impl From<JournalError> for CliError {
    fn from(error: JournalError) -> Self {
        let kind = if matches!(error, JournalError::Busy { .. }) {
            Kind::Busy
        } else {
            Kind::Failed
        };
        let message = error.to_string();
        match error {
            JournalError::Busy { .. } => {
                Self::new(kind, message).hint("wait until it is done; a holder that died frees the deployment by itself")
            }
            JournalError::Format { .. } | JournalError::Unknown { .. } => Self::new(kind, message).hint("use the dockctl that wrote it, or a newer one"),
            _ if error.is_damage() => Self::new(kind, message)
                .hint("install, uninstall, resume and recover keep it under another name, and take what the engine's labels tell"),
            _ if error.is_full() => Self::new(kind, message).hint("free some room there, or name another folder: --state-dir"),
            JournalError::Sqlite { .. } | JournalError::Row { .. } | JournalError::Illegal { .. } | JournalError::Damaged { .. } => {
                Self::new(kind, message).hint("the file was not changed; keep a copy before anything else")
            }
            JournalError::Distrusted { .. } => Self::new(kind, message)
                .hint("only the owner of a state folder, or root, writes to it, and nobody else may be able to: chmod o-w")
                .hint("or name a folder of your own: --state-dir"),
            JournalError::Io { .. } | JournalError::NoRoom { .. } => {
                Self::new(kind, message).hint("--state-dir or DOCKCTL_STATE_DIR names another folder")
            }
        }
    }
}

impl From<ConnectError> for CliError {
    fn from(error: ConnectError) -> Self {
        Self::from(Failure::from(error))
    }
}

/// A failure outside any execution: the engine was asked what there is, and did not say.
impl From<Failure> for CliError {
    fn from(failure: Failure) -> Self {
        failure
            .hints
            .iter()
            .fold(Self::new(Kind::Engine, failure.message), Self::hint)
    }
}
