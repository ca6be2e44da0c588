//! What a script wants its operation to end with.

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

/// The verdict of a script: set once by `returns`, `abort-operation` or `retry-operation`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Verdict {
    /// The script has not set it. Returning null does not count.
    #[default]
    Open,
    /// The operation returns a value.
    Returned(Json),
    /// The operation stops.
    Stopped(Stop),
    /// The script set it twice.
    Contradiction,
}

/// How an operation stops.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Stop {
    /// It fails and is not retried.
    Abort {
        /// Reason.
        message: String,
    },
    /// It is retried.
    Retry {
        /// Reason.
        message: String,
        /// Delay in seconds.
        after: Option<f64>,
    },
}

impl Verdict {
    /// Error of a second verdict.
    pub(crate) const CONTRADICTION: &str = "ctx may only abort or return once";

    /// Returns true if the script can still set it.
    pub(super) fn is_open(&self) -> bool {
        matches!(self, Self::Open | Self::Returned(Json::Null))
    }
}

impl Stop {
    /// Returns the reason.
    pub(crate) fn message(&self) -> &str {
        match self {
            Self::Abort { message } | Self::Retry { message, .. } => message,
        }
    }
}
