//! Errors of engine calls, and the step failures that they cause.

use super::{host::ConnectError, says::Says};
use crate::{
    printable::{SHOWN, on_one_line, shortened},
    seam::{Failure, FailureKind},
};
use thiserror::Error;

/// Reason why an engine call returned no usable response.
#[derive(Debug, Error)]
pub(crate) enum EngineError {
    /// The engine refused the request.
    #[error("{message}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// Message of the engine.
        message: String,
    },
    /// The engine reported an error inside a response that had started.
    #[error("{0}")]
    Said(String),
    /// The engine did not respond in time.
    #[error("the engine did not respond in time")]
    Silent,
    /// The response cannot be parsed; it may be incomplete.
    #[error("{0}")]
    Garbled(String),
    /// The response does not match the request.
    #[error("{0}")]
    Nonsense(String),
    /// The connection was lost or could not be opened.
    #[error("{0}")]
    Lost(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Result of an engine call.
pub(crate) type Result<T, E = EngineError> = std::result::Result<T, E>;

impl EngineError {
    pub(crate) fn lost(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Lost(error.into())
    }

    /// Returns the message for people.
    pub(super) fn told(&self) -> String {
        match self {
            Self::Refused { message, .. } | Self::Said(message) => message.trim().to_owned(),
            Self::Silent => "the engine did not respond in time (see --engine-timeout)".to_owned(),
            Self::Garbled(why) | Self::Nonsense(why) => {
                format!("invalid engine response: {why}")
            }
            Self::Lost(_) => format!("the connection to the engine was lost: {}", innermost(self)),
        }
    }

    /// Returns true if the engine itself reported the error.
    pub(crate) fn is_said(&self) -> bool {
        matches!(self, Self::Refused { .. } | Self::Said(_))
    }

    /// Returns true if the outcome of the call is unknown.
    fn is_lost(&self) -> bool {
        match self {
            Self::Refused { status, .. } => *status >= 500,
            Self::Said(_) => false,
            Self::Silent | Self::Garbled(_) | Self::Nonsense(_) | Self::Lost(_) => true,
        }
    }

    /// Returns true if the engine reports a conflict that a person must resolve.
    fn is_lasting(&self) -> bool {
        self.is_said() && LASTING.iter().any(|says| says.is_said_by(self))
    }
}

/// Engine messages about conflicts that do not resolve by themselves.
const LASTING: [Says; 5] = [
    Says::PortTaken,
    Says::NoPortLeft,
    Says::NoProgram,
    Says::NoRegistry,
    Says::PlainRegistry,
];

/// Returns true if an error of a read-only call may be temporary.
pub(crate) fn is_passing_when_read(error: &EngineError) -> bool {
    match error {
        // Some engines return 500 for a container that does not run.
        EngineError::Refused { status, message } => *status >= 500 && !Says::Running.is_in(message),
        EngineError::Garbled(_) => true,
        other => is_passing(other),
    }
}

/// Returns true if an error may be temporary.
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

/// Returns the root cause of an error, which is the part that a user can act on.
pub(crate) fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

/// Returns the HTTP status if the engine refused the request.
pub(crate) fn status(error: &EngineError) -> Option<u16> {
    if let EngineError::Refused { status, .. } = error {
        Some(*status)
    } else {
        None
    }
}

/// Converts an error to a step failure. Refusals (4xx) are final, and so are 5xx errors about a
/// conflict that a person must resolve.
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
        return failure
            .hint("publish a different port, or stop the program or container that uses this one");
    }
    failure
}

/// The engine is unreachable, temporarily or permanently. A person decides whether to retry.
impl From<ConnectError> for Failure {
    fn from(error: ConnectError) -> Self {
        let failure = Self {
            kind: FailureKind::Unreachable,
            ..Self::fatal(error.to_string())
        };
        match error {
            ConnectError::Silent { .. } => failure.hint(
                "check that the engine is running and that you may use it, or select another one with --host, --context or DOCKER_HOST",
            ),
            ConnectError::Context { .. } => {
                failure.hint("list the contexts: docker context ls")
            }
            ConnectError::Address { .. } => failure.hint(
                "use an address such as unix:///var/run/docker.sock or tcp://10.0.0.5:2375",
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
            "creating the container",
        )
        .message;
        assert!(
            told.len() < 3000
                && told.starts_with("creating the container: \\u{1b}]0;x\\u{7}xx")
                && told.ends_with("more bytes)"),
            "{}",
            told.len()
        );
    }
}
