//! What can go wrong between here and an engine, and what it means for a step.

use super::{host::ConnectError, says::Says};
use crate::{
    printable::{SHOWN, on_one_line, shortened},
    seam::{Failure, FailureKind},
};
use thiserror::Error;

/// Why a call of an engine did not come to an answer that can be used.
#[derive(Debug, Error)]
pub(crate) enum EngineError {
    /// It answered, and refused.
    #[error("{message}")]
    Refused {
        /// The status of HTTP.
        status: u16,
        /// What it says.
        message: String,
    },
    /// It began an answer, and said in it that something failed.
    #[error("{0}")]
    Said(String),
    /// It did not answer in time.
    #[error("the engine did not answer in time")]
    Silent,
    /// It answered with something that cannot be read: perhaps a part of an answer.
    #[error("{0}")]
    Garbled(String),
    /// It answered with something that is no answer to what was asked.
    #[error("{0}")]
    Nonsense(String),
    /// The connection was lost, or could not be made.
    #[error("{0}")]
    Lost(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// What a call of an engine comes to.
pub(crate) type Result<T, E = EngineError> = std::result::Result<T, E>;

impl EngineError {
    pub(crate) fn lost(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Lost(error.into())
    }

    /// Its message for people.
    pub(super) fn told(&self) -> String {
        match self {
            Self::Refused { message, .. } | Self::Said(message) => message.trim().to_owned(),
            Self::Silent => "the engine did not answer in time (--engine-timeout)".to_owned(),
            Self::Garbled(why) | Self::Nonsense(why) => {
                format!("the answer of the engine cannot be used: {why}")
            }
            Self::Lost(_) => format!("the connection to the engine was lost: {}", innermost(self)),
        }
    }

    /// Whether the engine itself says that it failed.
    pub(crate) fn is_said(&self) -> bool {
        matches!(self, Self::Refused { .. } | Self::Said(_))
    }

    /// Whether nobody knows what came of the call.
    fn is_lost(&self) -> bool {
        match self {
            Self::Refused { status, .. } => *status >= 500,
            Self::Said(_) => false,
            Self::Silent | Self::Garbled(_) | Self::Nonsense(_) | Self::Lost(_) => true,
        }
    }

    /// Whether the engine names a conflict that a person must solve.
    fn is_lasting(&self) -> bool {
        self.is_said() && LASTING.iter().any(|says| says.is_said_by(self))
    }
}

/// What engines say of conflicts that do not pass by themselves.
const LASTING: [Says; 5] = [
    Says::PortTaken,
    Says::NoPortLeft,
    Says::NoProgram,
    Says::NoRegistry,
    Says::PlainRegistry,
];

/// Whether an error may pass by itself where nothing is changed by asking again.
pub(crate) fn is_passing_when_read(error: &EngineError) -> bool {
    match error {
        // That a container does not run is 500 to some engines.
        EngineError::Refused { status, message } => *status >= 500 && !Says::Running.is_in(message),
        EngineError::Garbled(_) => true,
        other => is_passing(other),
    }
}

/// Whether an error may pass by itself.
pub(crate) fn is_passing(error: &EngineError) -> bool {
    match error {
        EngineError::Refused { status, message } => {
            *status >= 502 || (*status == 409 && Says::InProgress.is_in(message))
        }
        EngineError::Lost(_) => true,
        EngineError::Said(_)
        | EngineError::Silent
        | EngineError::Garbled(_)
        | EngineError::Nonsense(_) => false,
    }
}

/// The cause at the bottom of an error: that is what its user can do something about.
pub(crate) fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

/// What the engine's status code is, if it answered.
pub(crate) fn status(error: &EngineError) -> Option<u16> {
    if let EngineError::Refused { status, .. } = error {
        Some(*status)
    } else {
        None
    }
}

/// Puts an error into words. Refusals (4xx) are final, so are 5xx that name a conflict a person
/// must solve.
pub(crate) fn failure(error: &EngineError, doing: &str) -> Failure {
    let message = error.told();
    let may_pass = error.is_lost() || matches!(error, EngineError::Said(_));
    let failure = Failure {
        message: format!("{doing}: {}", shortened(&on_one_line(&message), SHOWN)),
        kind: FailureKind::of(may_pass && !error.is_lasting(), error.is_lost()),
        ..Failure::default()
    };
    with_advice(failure, &message)
}

fn with_advice(failure: Failure, message: &str) -> Failure {
    if Says::PortTaken.is_in(message) {
        return failure.hint(
            "another program or container holds the port: publish another one, or stop the holder",
        );
    }
    failure
}

/// There is no engine: that was true a moment ago, or will be for good. Trying again is what a
/// person decides.
impl From<ConnectError> for Failure {
    fn from(error: ConnectError) -> Self {
        let failure = Self {
            kind: FailureKind::Unreachable,
            ..Self::fatal(error.to_string())
        };
        match error {
            ConnectError::Silent { .. } => failure.hint(
                "is the engine running, and may you use it? name another one with --host, --context or DOCKER_HOST",
            ),
            ConnectError::Context { .. } => {
                failure.hint("docker context ls shows those that exist")
            }
            ConnectError::Address { .. } => failure.hint(
                "addresses look like unix:///var/run/docker.sock or tcp://10.0.0.5:2375",
            ),
            ConnectError::Version { .. } => failure,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_message_is_cut_and_can_do_nothing_to_a_terminal() {
        let message = format!("\u{1b}]0;x\u{7}{}", "x".repeat(5_000_000));
        let told = failure(
            &EngineError::Refused {
                status: 409,
                message,
            },
            "creating it",
        )
        .message;
        assert!(
            told.len() < 3000
                && told.starts_with("creating it: \\u{1b}]0;x\\u{7}xx")
                && told.ends_with("more bytes)"),
            "{}",
            told.len()
        );
    }
}
