//! Lines that a running step logs.

use super::failure::HIDDEN_OUTPUT;
use crate::{printable::printable, secrets::Secrets};
use serde::{Deserialize, Serialize};
use std::fmt;

/// A line of the log of an operation. Its text is a claim of the script that wrote it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct LogLine {
    /// Severity.
    pub level: LogLevel,
    /// The text. Output of a process begins with `<out> ` or `<err> `, as in Cloudify.
    pub text: String,
    /// It is stored, and not shown to people during the run.
    #[serde(skip)]
    pub is_quiet: bool,
}

/// The severity of a log line. The names are those of Python's `logging`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names are self-explanatory")]
pub enum LogLevel {
    Debug,
    Info,
    Warning,
    Error,
    Critical,
}

impl LogLevel {
    /// Returns the level with this name; `warn` is a second name of `warning`.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        Some(match name {
            "debug" => Self::Debug,
            "info" => Self::Info,
            "warning" | "warn" => Self::Warning,
            "error" | "exception" => Self::Error,
            "critical" => Self::Critical,
            _ => return None,
        })
    }

    /// Returns the name used in output and in journals.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
            Self::Critical => "critical",
        }
    }
}

impl LogLine {
    /// Creates a line.
    #[must_use]
    pub fn new(level: LogLevel, text: impl Into<String>) -> Self {
        Self {
            level,
            text: text.into(),
            is_quiet: level == LogLevel::Debug,
        }
    }

    /// Creates a line about a process, which people see as a step anyway.
    #[must_use]
    pub fn quiet(text: impl Into<String>) -> Self {
        Self {
            is_quiet: true,
            ..Self::new(LogLevel::Info, text)
        }
    }

    /// Returns the line with known secrets redacted. If this run does not know all secrets, none
    /// of the text can be shown.
    #[must_use]
    pub fn redacted(&self, secrets: &Secrets) -> Self {
        let text = if secrets.lacks_secrets() {
            HIDDEN_OUTPUT.to_owned()
        } else {
            secrets.redact(&self.text)
        };
        Self {
            level: self.level,
            text,
            is_quiet: self.is_quiet,
        }
    }
}

/// Escapes control characters. The level is shown unless it is the usual one.
impl fmt::Display for LogLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.level != LogLevel::Info {
            write!(f, "{}: ", self.level.as_str())?;
        }
        f.write_str(&printable(&self.text))
    }
}
