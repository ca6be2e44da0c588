//! What engines say without a code for it: told apart by words of their messages, here and nowhere
//! else.

use super::EngineError;

/// Something that an engine can say.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Says {
    /// Another program or container has the port.
    PortTaken,
    /// Every port of a range is taken.
    NoPortLeft,
    /// The container has no such program.
    NoProgram,
    /// The registry cannot be found, or does not answer.
    NoRegistry,
    /// The registry does not speak TLS.
    PlainRegistry,
    /// The registry has no such image, or none for this platform.
    NoImage,
    /// The registry refuses who asks.
    Denied,
    /// The same is being done already.
    InProgress,
    /// The container does, or does not, run.
    Running,
    /// The name belongs to another object.
    NameTaken,
    /// Containers are on the network.
    InUse,
    /// The container is on the network already.
    Attached,
    /// It has no links.
    NoLinks,
    /// The engine speaks TLS.
    WantsTls,
    /// Something else than TLS was read where TLS was expected.
    NotTls,
}

impl Says {
    /// Words of Docker and Podman; one of them tells.
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

    /// Whether a message says it.
    pub(crate) fn is_in(self, message: &str) -> bool {
        self.words().iter().any(|words| message.contains(words))
    }

    /// Whether an error says it.
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
