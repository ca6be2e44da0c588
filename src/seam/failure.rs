//! Why a step failed.

use crate::{model::Place, printable::printable};
use serde::{Deserialize, Serialize};

/// Why a step failed, in words that its user understands. On disk the kind is switches.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(from = "Written", into = "Written")]
pub struct Failure {
    /// What went wrong.
    pub message: String,
    /// What to do next.
    pub hints: Vec<String>,
    /// Decides whether the step is retried.
    pub kind: FailureKind,
    /// How the container that failed ended.
    pub exit: Option<Exit>,
    /// Place in the blueprint that asked for it.
    pub place: Option<Place>,
}

/// Decides whether a failed step is retried. `lost` means that no answer came, so the outcome of
/// the step is unknown.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum FailureKind {
    /// Trying again does not help.
    Final {
        /// As above.
        lost: bool,
    },
    /// Trying again may help.
    Passing {
        /// As above.
        lost: bool,
        /// How long to wait before, in milliseconds, where the system says so.
        retry_after: Option<u64>,
    },
    /// The step was given up because the run is being cancelled.
    Cancelled,
    /// There is no system to ask. Whether to try again is for a person to decide.
    Unreachable,
}

impl Default for FailureKind {
    fn default() -> Self {
        Self::Final { lost: false }
    }
}

impl FailureKind {
    /// By whether trying again may help.
    #[must_use]
    pub fn of(is_recoverable: bool, lost: bool) -> Self {
        if is_recoverable {
            Self::Passing {
                lost,
                retry_after: None,
            }
        } else {
            Self::Final { lost }
        }
    }
}

/// How a failure is written.
#[derive(Deserialize, Serialize)]
struct Written {
    message: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    hints: Vec<String>,
    #[serde(flatten)]
    switches: Switches,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    exit: Option<Exit>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    place: Option<Place>,
}

/// How the kind of a failure is written.
#[expect(clippy::struct_excessive_bools, reason = "the form of the journal")]
#[derive(Default, Deserialize, Serialize)]
struct Switches {
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

impl From<Failure> for Written {
    fn from(failure: Failure) -> Self {
        let switches = Switches {
            recoverable: failure.is_recoverable(),
            retry_after: failure.retry_after(),
            cancelled: failure.is_cancelled(),
            unreachable: failure.kind == FailureKind::Unreachable,
            lost: failure.is_lost(),
        };
        Self {
            message: failure.message,
            hints: failure.hints,
            switches,
            exit: failure.exit,
            place: failure.place,
        }
    }
}

impl From<Written> for Failure {
    fn from(written: Written) -> Self {
        Self {
            message: written.message,
            hints: written.hints,
            kind: written.switches.into(),
            exit: written.exit,
            place: written.place,
        }
    }
}

impl From<Switches> for FailureKind {
    fn from(it: Switches) -> Self {
        match it {
            Switches {
                cancelled: true, ..
            } => Self::Cancelled,
            Switches {
                unreachable: true, ..
            } => Self::Unreachable,
            Switches {
                recoverable: true,
                lost,
                retry_after,
                ..
            } => Self::Passing { lost, retry_after },
            Switches { lost, .. } => Self::Final { lost },
        }
    }
}

impl Failure {
    /// A failure that trying again does not mend.
    #[must_use]
    pub fn fatal(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            ..Self::default()
        }
    }

    /// The step was given up because the run is being cancelled.
    #[must_use]
    pub fn cancelled(message: impl Into<String>) -> Self {
        Self {
            kind: FailureKind::Cancelled,
            ..Self::fatal(message)
        }
    }

    /// The same failure, but trying again may help.
    #[must_use]
    pub fn may_pass(mut self) -> Self {
        self.kind = FailureKind::of(true, self.is_lost());
        self
    }

    /// The same failure, but trying again does not help.
    #[must_use]
    pub fn for_good(mut self) -> Self {
        self.kind = FailureKind::of(false, self.is_lost());
        self
    }

    /// Whether trying again may help.
    #[must_use]
    pub fn is_recoverable(&self) -> bool {
        matches!(self.kind, FailureKind::Passing { .. })
    }

    /// How long to wait before it is tried again, in milliseconds, where the system says so.
    #[must_use]
    pub fn retry_after(&self) -> Option<u64> {
        match self.kind {
            FailureKind::Passing { retry_after, .. } => retry_after,
            _ => None,
        }
    }

    /// Whether the step was given up because the run is being cancelled.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.kind == FailureKind::Cancelled
    }

    /// Returns true if no answer came, so the outcome is unknown.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        matches!(
            self.kind,
            FailureKind::Final { lost: true } | FailureKind::Passing { lost: true, .. }
        )
    }

    /// Without what containers wrote.
    #[must_use]
    pub(crate) fn without_hearsay(mut self) -> Self {
        if let Some(exit) = &mut self.exit {
            exit.log =
                vec!["(not shown: it may hold a secret that this run was not given)".to_owned()];
            exit.health = Vec::new();
        }
        self
    }

    /// With nothing in its words that a terminal would act on: engines and labels have a part in
    /// them.
    #[must_use]
    pub(crate) fn printable(mut self) -> Self {
        self.message = printable(&self.message);
        self.hints
            .iter_mut()
            .for_each(|hint| *hint = printable(hint));
        self
    }

    /// Adds advice.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }
}

/// How a container ended.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Exit {
    /// Its name.
    pub container: String,
    /// Exit code.
    pub code: i64,
    /// Whether the kernel killed it for want of memory.
    pub oom_killed: bool,
    /// What its health check said last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub health: Vec<String>,
    /// The last lines that it wrote.
    pub log: Vec<String>,
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
    fn every_kind_comes_back_from_its_switches() {
        let plain = json!({ "message": "no", "recoverable": false, "cancelled": false });
        assert_eq!(written(FailureKind::default()), plain);
        for (kind, switch, value) in [
            (FailureKind::Final { lost: true }, "lost", json!(true)),
            (FailureKind::of(true, false), "recoverable", json!(true)),
            (FailureKind::Cancelled, "cancelled", json!(true)),
            (FailureKind::Unreachable, "unreachable", json!(true)),
        ] {
            let mut expected = plain.clone();
            expected[switch] = value;
            assert_eq!(written(kind), expected);
        }
        let later = FailureKind::Passing {
            lost: true,
            retry_after: Some(7),
        };
        assert_eq!(
            written(later),
            json!({ "message": "no", "recoverable": true, "cancelled": false, "lost": true, "retry_after": 7 })
        );
    }
}
