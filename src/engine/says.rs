//! Conditions that engines report only in the text of a message, not as a code. Messages are
//! matched in this module only.

use super::EngineError;

/// Condition in the message of an engine.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Says {
    /// Another program or container uses the port.
    PortTaken,
    /// All ports of a range are in use.
    NoPortLeft,
    /// The container does not contain the program.
    NoProgram,
    /// The registry cannot be found, or does not respond.
    NoRegistry,
    /// The registry does not use TLS.
    PlainRegistry,
    /// The registry does not have the image, or not for this platform.
    NoImage,
    /// The registry denies access.
    Denied,
    /// The same operation is already in progress.
    InProgress,
    /// The message is about whether the container runs.
    Running,
    /// Another object has the name.
    NameTaken,
    /// Containers are connected to the network.
    InUse,
    /// The container is already connected to the network.
    Attached,
    /// The engine does not support links.
    NoLinks,
    /// The engine requires TLS.
    WantsTls,
    /// The data is not TLS, but TLS was expected.
    NotTls,
}

impl Says {
    /// Returns fragments of messages of Docker and Podman. One match is enough.
    fn words(self) -> &'static [&'static str] {
        match self {
            Self::PortTaken => &["port is already allocated", "address already in use"],
            Self::NoPortLeft => &["all ports are allocated"],
            Self::NoProgram => &["executable file not found"],
            Self::NoRegistry => &["no such host", "connection refused"],
            Self::PlainRegistry => &["server gave HTTP response"],
            Self::NoImage => &["not found", "manifest unknown", "no matching manifest"],
            Self::Denied => &[
                "access denied",
                "unauthorized",
                "authentication required",
                "no basic auth credentials",
                "denied:",
            ],
            Self::InProgress => &["in progress"],
            Self::Running => &["running"],
            Self::NameTaken => &["is already in use"],
            Self::InUse => &["active endpoints", "is being used"],
            Self::Attached => &["already exists in network"],
            Self::NoLinks => &["link is not supported"],
            Self::WantsTls => &["HTTPS server"],
            Self::NotTls => &["corrupt message"],
        }
    }

    /// Returns true if a message reports the condition.
    pub(crate) fn is_in(self, message: &str) -> bool {
        self.words().iter().any(|words| message.contains(words))
    }

    /// Returns true if an error reports the condition.
    pub(crate) fn is_said_by(self, error: &EngineError) -> bool {
        self.is_in(&error.told())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_told_apart() {
        for (message, says) in [
            (
                "driver failed programming external connectivity: Bind for 0.0.0.0:80 failed: port is already allocated",
                Says::PortTaken,
            ),
            (
                "network x has active endpoints (name:\"y\" id:\"z\")",
                Says::InUse,
            ),
            (
                "removal of container x is already in progress",
                Says::InProgress,
            ),
            (
                "Get \"https://r:5000/v2/\": http: server gave HTTP response to HTTPS client",
                Says::PlainRegistry,
            ),
            ("pull access denied for x", Says::Denied),
        ] {
            assert!(says.is_in(message), "{message}");
        }
        assert!(!Says::Denied.is_in("manifest unknown"));
    }
}
