//! Why a step failed.

use crate::{model::Place, printable::printable};
use serde::{Deserialize, Serialize};

/// Why a step failed, in words that its user understands.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Failure {
    /// What went wrong.
    pub message: String,
    /// What to do next.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hints: Vec<String>,
    /// Trying again may help.
    #[serde(default)]
    pub recoverable: bool,
    /// How long to wait before it is tried again, in milliseconds, where the system says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u64>,
    /// The step was given up because the run is being cancelled.
    #[serde(default)]
    pub cancelled: bool,
    /// Nobody knows whether the engine did it: no answer came.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub lost: bool,
    /// How the container that failed ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit: Option<Exit>,
    /// Place in the blueprint that asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
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
