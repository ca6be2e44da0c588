//! Failures of steps.

use crate::{model::SourceLocation, printable::printable};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The failure of a step, described for the user. The journal stores the kind as separate flags.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(from = "StoredFailure", into = "StoredFailure")]
pub struct Failure {
    /// Description of the failure.
    pub message: String,
    /// Instructions for the user.
    pub hints: Vec<String>,
    /// Kind of the failure; decides whether the step is retried.
    pub kind: FailureKind,
    /// The exit of the container, if a container failed.
    pub exit: Option<Exit>,
    /// Last lines of output, if a script failed.
    pub output: Vec<String>,
    /// Place in the blueprint that declares the operation.
    pub place: Option<SourceLocation>,
}

/// Replaces output that may contain a secret which this run cannot recognize.
pub(super) const HIDDEN_OUTPUT: &str =
    "(redacted: may contain a secret that this run does not know)";

/// Decides whether a failed step is retried. `lost` means that no response arrived, so the outcome
/// of the step is unknown.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum FailureKind {
    /// A retry cannot help.
    Permanent {
        /// As above.
        lost: bool,
    },
    /// A retry may help.
    Temporary {
        /// As above.
        lost: bool,
        /// Delay before the retry, in milliseconds, if the system specifies one.
        retry_after: Option<u64>,
    },
    /// The step was abandoned because the execution is being cancelled.
    Cancelled,
    /// The system cannot be reached. The user decides whether to try again.
    Unreachable,
}

impl Default for FailureKind {
    fn default() -> Self {
        Self::Permanent { lost: false }
    }
}

impl FailureKind {
    /// Returns the kind for a recoverable or final failure.
    #[must_use]
    pub fn of(is_recoverable: bool, lost: bool) -> Self {
        if is_recoverable {
            Self::Temporary {
                lost,
                retry_after: None,
            }
        } else {
            Self::Permanent { lost }
        }
    }
}

/// The stored form of a failure.
#[derive(Deserialize, Serialize)]
struct StoredFailure {
    message: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    hints: Vec<String>,
    #[serde(flatten)]
    kind: StoredKind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    exit: Option<Exit>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    output: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    place: Option<SourceLocation>,
}

/// The stored form of a failure's kind.
#[expect(clippy::struct_excessive_bools, reason = "the stored form")]
#[derive(Default, Deserialize, Serialize)]
struct StoredKind {
    #[serde(default)]
    recoverable: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    retry_after: Option<u64>,
    #[serde(default)]
    cancelled: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    unreachable: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    lost: bool,
}

impl From<Failure> for StoredFailure {
    fn from(failure: Failure) -> Self {
        let switches = StoredKind {
            recoverable: failure.is_recoverable(),
            retry_after: failure.retry_after(),
            cancelled: failure.is_cancelled(),
            unreachable: failure.kind == FailureKind::Unreachable,
            lost: failure.is_lost(),
        };
        Self {
            message: failure.message,
            hints: failure.hints,
            kind: switches,
            exit: failure.exit,
            output: failure.output,
            place: failure.place,
        }
    }
}

impl From<StoredFailure> for Failure {
    fn from(written: StoredFailure) -> Self {
        Self {
            message: written.message,
            hints: written.hints,
            kind: written.kind.into(),
            exit: written.exit,
            output: written.output,
            place: written.place,
        }
    }
}

impl From<StoredKind> for FailureKind {
    fn from(it: StoredKind) -> Self {
        match it {
            StoredKind {
                cancelled: true, ..
            } => Self::Cancelled,
            StoredKind {
                unreachable: true, ..
            } => Self::Unreachable,
            StoredKind {
                recoverable: true,
                lost,
                retry_after,
                ..
            } => Self::Temporary { lost, retry_after },
            StoredKind { lost, .. } => Self::Permanent { lost },
        }
    }
}

impl Failure {
    /// Creates a failure that is not retried.
    #[must_use]
    pub fn fatal(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            ..Self::default()
        }
    }

    /// Creates a failure of a step that was abandoned because the execution is being cancelled.
    #[must_use]
    pub fn cancelled(message: impl Into<String>) -> Self {
        Self {
            kind: FailureKind::Cancelled,
            ..Self::fatal(message)
        }
    }

    /// Returns the failure as one that a retry may fix.
    #[must_use]
    pub fn temporary(mut self) -> Self {
        self.kind = FailureKind::of(true, self.is_lost());
        self
    }

    /// Returns the failure as one that is not retried.
    #[must_use]
    pub fn permanent(mut self) -> Self {
        self.kind = FailureKind::of(false, self.is_lost());
        self
    }

    /// Returns true if a retry may help.
    #[must_use]
    pub fn is_recoverable(&self) -> bool {
        matches!(self.kind, FailureKind::Temporary { .. })
    }

    /// Returns the delay before the retry, in milliseconds, if the system specifies one.
    #[must_use]
    pub fn retry_after(&self) -> Option<u64> {
        match self.kind {
            FailureKind::Temporary { retry_after, .. } => retry_after,
            _ => None,
        }
    }

    /// Returns true if the step was abandoned because the execution is being cancelled.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.kind == FailureKind::Cancelled
    }

    /// Returns true if no response arrived, so the outcome is unknown.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        matches!(
            self.kind,
            FailureKind::Permanent { lost: true } | FailureKind::Temporary { lost: true, .. }
        )
    }

    /// Removes output of containers and scripts.
    #[must_use]
    pub(crate) fn without_output(mut self) -> Self {
        let hidden = || vec![HIDDEN_OUTPUT.to_owned()];
        if let Some(exit) = &mut self.exit {
            exit.log = hidden();
            exit.health = Vec::new();
        }
        if !self.output.is_empty() {
            self.output = hidden();
        }
        self
    }

    /// Escapes control characters in message and hints, which can contain text from engines and
    /// labels.
    #[must_use]
    pub(crate) fn printable(mut self) -> Self {
        self.message = printable(&self.message);
        let texts = self.hints.iter_mut().chain(&mut self.output);
        texts.for_each(|text| *text = printable(text));
        self
    }

    /// Adds a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }
}

/// The exit of a container.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Exit {
    /// Name of the container.
    pub container: String,
    /// Exit code.
    pub code: i64,
    /// The kernel killed the container because it was out of memory.
    pub oom_killed: bool,
    /// Last output of its health check.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub health: Vec<String>,
    /// Last lines of its log.
    pub log: Vec<String>,
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            container, code, ..
        } = self;
        write!(f, "container {container} exited with code {code}")?;
        if self.oom_killed {
            write!(f, " (killed: out of memory)")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn written(kind: FailureKind) -> serde_json::Value {
        let failure = Failure {
            kind,
            ..Failure::fatal("no")
        };
        let written = json!(failure);
        assert_eq!(
            serde_json::from_value::<Failure>(written.clone()).unwrap(),
            failure
        );
        written
    }

    #[test]
    fn every_kind_round_trips_through_its_flags() {
        let plain = json!({ "message": "no", "recoverable": false, "cancelled": false });
        assert_eq!(written(FailureKind::default()), plain);
        for (kind, switch, value) in [
            (FailureKind::Permanent { lost: true }, "lost", json!(true)),
            (FailureKind::of(true, false), "recoverable", json!(true)),
            (FailureKind::Cancelled, "cancelled", json!(true)),
            (FailureKind::Unreachable, "unreachable", json!(true)),
        ] {
            let mut expected = plain.clone();
            expected[switch] = value;
            assert_eq!(written(kind), expected);
        }
        let later = FailureKind::Temporary {
            lost: true,
            retry_after: Some(7),
        };
        assert_eq!(
            written(later),
            json!({ "message": "no", "recoverable": true, "cancelled": false, "lost": true, "retry_after": 7 })
        );
    }
}
