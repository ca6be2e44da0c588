//! Errors of commands, and their exit codes.

use super::{claims, run, unsupported_lines};
use crate::{
    diagnostic::{self, Diagnostics, Sources},
    engine::ConnectError,
    journal::JournalError,
    operate::{
        self,
        error::{Detail, FailedRun, Faults, MissingItem},
    },
    printable::printable,
    seam::Failure,
};
use serde_json::{Value as Json, json};

pub(crate) use crate::operate::error::Kind;

/// The word `error` in color.
const RED_ERROR: &str = "\u{1b}[1;31merror\u{1b}[0m";

/// Returns the exit code of an error; part of the contract in `docs/cli.md`.
pub(crate) fn exit_code(kind: Kind) -> u8 {
    match kind {
        Kind::Failed => 1,
        Kind::Usage => 2,
        Kind::Invalid => 3,
        Kind::Engine => 4,
        Kind::Busy => 5,
        Kind::Different => 6,
        Kind::Interrupted => 130,
    }
}

fn kind_code(kind: Kind) -> &'static str {
    match kind {
        Kind::Failed => "failed",
        Kind::Usage => "usage",
        Kind::Invalid => "invalid",
        Kind::Engine => "engine",
        Kind::Busy => "busy",
        Kind::Different => "different",
        Kind::Interrupted => "interrupted",
    }
}

/// The error of a command.
#[derive(Debug)]
pub(crate) struct CliError {
    /// The error of the application.
    pub error: operate::Error,
    /// Replaces the details of the error in the output.
    pub shown: Option<Shown>,
}

/// Details of an error, shown in addition to message and hints.
#[derive(Debug, Default)]
pub(crate) struct Shown {
    /// Fields of the JSON document other than `error`.
    pub fields: Json,
    /// Text above the message.
    pub preamble: String,
    /// Text for standard output.
    pub result: String,
}

impl CliError {
    pub(crate) fn new(kind: Kind, message: impl Into<String>) -> Self {
        operate::Error::new(kind, message).into()
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Kind::Usage, message)
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.error.hints.push(hint.into());
        self
    }

    pub(crate) fn exit_code(&self) -> u8 {
        exit_code(self.error.kind)
    }

    /// Returns the fields of the JSON document other than `error`.
    pub(crate) fn fields(&self) -> Json {
        match &self.shown {
            Some(shown) => shown.fields.clone(),
            None => fields(&self.error.detail),
        }
    }

    /// Returns the text for standard output.
    pub(crate) fn result(&self) -> String {
        match (&self.shown, &self.error.detail) {
            (Some(shown), _) => shown.result.clone(),
            (None, Detail::Ended(ended)) => run::closing_text(ended.last()),
            (None, _) => String::new(),
        }
    }

    /// Returns the `error` of the JSON document.
    pub(crate) fn to_json(&self) -> Json {
        let operate::Error {
            kind,
            message,
            hints,
            execution,
            ..
        } = &self.error;
        let mut error = json!({ "code": kind_code(*kind), "message": message, "hints": hints });
        if let Some(execution) = execution {
            error["execution"] = execution.as_str().into();
        }
        error
    }

    /// Returns the error as text.
    pub(crate) fn to_text(&self, color: bool) -> String {
        match &self.shown {
            Some(shown) => text(&self.error, &shown.preamble, color),
            None => to_text(&self.error, color),
        }
    }
}

/// Returns an error of the application as text.
pub(crate) fn to_text(error: &operate::Error, color: bool) -> String {
    text(error, &preamble(&error.detail, color), color)
}

fn text(error: &operate::Error, preamble: &str, color: bool) -> String {
    let head = if color { RED_ERROR } else { "error" };
    let hint = |hint: &String| format!("  = help: {}\n", printable(hint));
    let hints: String = error.hints.iter().map(hint).collect();
    format!("{preamble}{head}: {}\n{hints}", printable(&error.message))
}

/// Returns the details of an error as text.
fn preamble(detail: &Detail, color: bool) -> String {
    match detail {
        Detail::None | Detail::OutOfDate { .. } => String::new(),
        Detail::Faults(faults) => {
            diagnostic::render::render(&faults.diagnostics, &faults.sources, color)
        }
        Detail::Claims(claimed) => claims::claims_with_heading(claimed),
        Detail::EarlyReads(early) => early
            .iter()
            .map(|reading| format!("{reading}, which is started later\n"))
            .collect(),
        Detail::Unsupported(unsupported) => unsupported_lines(unsupported),
        Detail::Refused(lines) | Detail::Unmet(lines) => lines.concat(),
        Detail::Different { differences, .. } => differences
            .iter()
            .map(|difference| format!("  {difference}\n"))
            .collect(),
        Detail::Missing(all) => all.iter().map(missing_text).collect(),
        Detail::Ended(ended) => failures(ended),
    }
}

fn missing_text(it: &MissingItem) -> String {
    let MissingItem {
        instance,
        operation,
        why,
        place,
        ..
    } = it;
    format!("{instance}.{operation}: {why}\n  --> {place}\n")
}

fn failures(ended: &FailedRun) -> String {
    let records = std::iter::once(&ended.record).chain(&ended.rollback);
    records
        .map(|record| run::failures(record.executions.last(), false))
        .collect()
}

/// Returns the details of an error as JSON fields.
fn fields(detail: &Detail) -> Json {
    match detail {
        Detail::None => json!({}),
        Detail::Faults(faults) => faults_json(faults),
        Detail::Claims(claimed) => {
            let mut fields = json!({ "deployment": claimed.deployment });
            if let Some(objects) = &claimed.objects {
                fields["objects"] = json!(objects);
            }
            fields["claims"] = claims::claims_json(&claimed.claims);
            fields
        }
        Detail::EarlyReads(early) => json!({ "early": early }),
        Detail::Unsupported(unsupported) => json!({ "unsupported": unsupported }),
        Detail::Refused(lines) => json!({ "refused": lines }),
        Detail::Unmet(lines) => json!({ "too_old": lines }),
        Detail::Different {
            deployment,
            differences,
        } => {
            json!({ "deployment": deployment, "differences": differences })
        }
        Detail::OutOfDate {
            deployment,
            changed: moved,
        } => {
            json!({ "deployment": deployment, "moved": moved })
        }
        Detail::Missing(all) => json!({ "lacking": all }),
        Detail::Ended(ended) => run::ended_fields(ended),
    }
}

fn faults_json(faults: &Faults) -> Json {
    let all = diagnostics_json(&faults.diagnostics, &faults.sources);
    let mut fields = json!({ "valid": false, "diagnostics": all });
    diagnostic::json::omitted(&faults.diagnostics, &mut fields);
    fields
}

/// Returns all diagnostics as JSON.
pub(crate) fn diagnostics_json(diagnostics: &Diagnostics, sources: &Sources) -> Vec<Json> {
    let one = |one: &diagnostic::Diagnostic| diagnostic::json::diagnostic(one, sources);
    diagnostics.iter().map(one).collect()
}

impl From<operate::Error> for CliError {
    fn from(error: operate::Error) -> Self {
        Self { error, shown: None }
    }
}

impl From<JournalError> for CliError {
    fn from(error: JournalError) -> Self {
        operate::Error::from(error).into()
    }
}

impl From<ConnectError> for CliError {
    fn from(error: ConnectError) -> Self {
        operate::Error::from(error).into()
    }
}

impl From<Failure> for CliError {
    fn from(failure: Failure) -> Self {
        operate::Error::from(failure).into()
    }
}
