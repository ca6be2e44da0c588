//! Errors of engine calls, and the step failures that they cause.

use super::{host::ConnectError, known_message::KnownMessage};
use crate::{
    printable::{MAX_SHOWN, on_one_line, truncated},
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
        /// Cause of the refusal, which Podman names. It uses the status 500 for refusals too.
        cause: Option<String>,
    },
    /// The engine reported an error inside a response that had started.
    #[error("{0}")]
    Reported(String),
    /// The engine did not respond in time.
    #[error("the engine did not respond in time")]
    TimedOut,
    /// The response cannot be parsed; it may be incomplete.
    #[error("{0}")]
    Malformed(String),
    /// The response does not match the request.
    #[error("{0}")]
    Unexpected(String),
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
    pub(super) fn text(&self) -> String {
        match self {
            Self::Refused { message, .. } | Self::Reported(message) => message.trim().to_owned(),
            Self::TimedOut => {
                "the engine did not respond in time (see --engine-timeout)".to_owned()
            }
            Self::Malformed(why) | Self::Unexpected(why) => {
                format!("invalid engine response: {why}")
            }
            Self::Lost(_) => format!(
                "the connection to the engine was lost: {}",
                root_cause(self)
            ),
        }
    }

    /// Returns true if the engine itself reported the error.
    pub(crate) fn is_reported(&self) -> bool {
        matches!(self, Self::Refused { .. } | Self::Reported(_))
    }

    /// Returns true if the engine decided not to carry out the request, although the status says
    /// that it failed.
    fn is_decided(&self) -> bool {
        let Self::Refused {
            status: 500,
            message,
            cause: Some(cause),
        } = self
        else {
            return false;
        };
        !KnownMessage::Busy.is_in(cause) && !KnownMessage::NotReady.is_in(message)
    }

    /// Returns the error of a request about one object, with the status 404 if that object does not
    /// exist. Podman sometimes reports this with 500.
    pub(crate) fn about_object(mut self) -> Self {
        if let Self::Refused {
            status,
            cause: Some(cause),
            ..
        } = &mut self
            && *status == 500
            && KnownMessage::Missing.is_in(cause)
        {
            *status = 404;
        }
        self
    }

    /// Returns true if the outcome of the call is unknown.
    fn is_lost(&self) -> bool {
        match self {
            Self::Refused { status, .. } => *status >= 500 && !self.is_decided(),
            Self::Reported(_) => false,
            Self::TimedOut | Self::Malformed(_) | Self::Unexpected(_) | Self::Lost(_) => true,
        }
    }

    /// Returns true if the engine reports a conflict that a person must resolve.
    fn is_permanent(&self) -> bool {
        self.is_reported()
            && PERMANENT.iter().any(|says| says.matches_error(self))
            && !KnownMessage::Busy.matches_error(self)
    }
}

/// Engine messages about conflicts that do not resolve by themselves.
const PERMANENT: [KnownMessage; 7] = [
    KnownMessage::AddressTaken,
    KnownMessage::PortTaken,
    KnownMessage::PortsExhausted,
    KnownMessage::ProgramNotFound,
    KnownMessage::RegistryUnreachable,
    KnownMessage::RegistryWithoutTls,
    KnownMessage::Unsatisfiable,
];

/// Returns true if an error of a read-only call may be temporary.
pub(crate) fn is_temporary_on_read(error: &EngineError) -> bool {
    match error {
        // Some engines return 500 for a container that does not run.
        EngineError::Refused {
            status, message, ..
        } => *status >= 500 && !error.is_decided() && !KnownMessage::Running.is_in(message),
        EngineError::Malformed(_) => true,
        other => is_temporary(other),
    }
}

/// Returns true if an error may be temporary.
pub(crate) fn is_temporary(error: &EngineError) -> bool {
    match error {
        EngineError::Refused {
            status, message, ..
        } => *status >= 502 || (*status == 409 && KnownMessage::InProgress.is_in(message)),
        EngineError::Lost(_) => true,
        EngineError::Reported(_)
        | EngineError::TimedOut
        | EngineError::Malformed(_)
        | EngineError::Unexpected(_) => false,
    }
}

/// Returns the root cause of an error, which is the part that a user can act on.
pub(crate) fn root_cause(error: &(dyn std::error::Error + 'static)) -> String {
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
pub(crate) fn failure(error: &EngineError, action: &str) -> Failure {
    let message = error.text();
    let may_pass = error.is_lost() || matches!(error, EngineError::Reported(_));
    let failure = Failure {
        message: format!("{action}: {}", truncated(&on_one_line(&message), MAX_SHOWN)),
        kind: FailureKind::of(may_pass && !error.is_permanent(), error.is_lost()),
        ..Failure::default()
    };
    with_hint(failure, &message)
}

fn with_hint(failure: Failure, message: &str) -> Failure {
    if KnownMessage::PortTaken.is_in(message) {
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
            ConnectError::Unreachable { .. } => failure.hint(
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
    fn refusal_with_a_cause_is_final() {
        let kind = |status: u16, message: &str, cause: Option<&str>| {
            let error = EngineError::Refused {
                status,
                message: message.to_owned(),
                cause: cause.map(str::to_owned),
            };
            (
                failure(&error, "creating").kind,
                is_temporary_on_read(&error),
            )
        };
        let unknown = "container create: \"CAP_X\": unknown capability";
        let final_one = (FailureKind::of(false, false), false);
        assert_eq!(kind(500, unknown, Some("unknown capability")), final_one);
        assert_eq!(kind(409, "taken", None), final_one);
        let passing = (FailureKind::of(true, true), true);
        assert_eq!(kind(500, "i/o timeout", Some("i/o timeout")), passing);
        assert_eq!(kind(500, "something", None), passing, "of Docker");
        assert_eq!(
            kind(
                500,
                "removing timeout-web: i/o timeout of it",
                Some("unknown capability")
            ),
            final_one,
            "only the cause counts"
        );
        assert_eq!(kind(503, "later", Some("later")), passing);
    }

    #[test]
    fn missing_object_is_not_found() {
        let status_of = |given: u16, cause: Option<&str>| {
            let error = EngineError::Refused {
                status: given,
                message: "no container with ID 9d87 found in database".to_owned(),
                cause: cause.map(str::to_owned),
            };
            status(&error.about_object())
        };
        assert_eq!(status_of(500, Some("no such container")), Some(404));
        assert_eq!(status_of(500, Some("database is locked")), Some(500));
        assert_eq!(status_of(500, None), Some(500), "of Docker");
        assert_eq!(status_of(409, Some("no such container")), Some(409));
    }

    #[test]
    fn long_messages_are_cut_and_escaped() {
        let message = format!("\u{1b}]0;x\u{7}{}", "x".repeat(5_000_000));
        let shown = failure(
            &EngineError::Refused {
                status: 409,
                message,
                cause: None,
            },
            "creating the container",
        )
        .message;
        assert!(
            shown.len() < 3000
                && shown.starts_with("creating the container: \\u{1b}]0;x\\u{7}xx")
                && shown.ends_with("more bytes)"),
            "{}",
            shown.len()
        );
    }
}
