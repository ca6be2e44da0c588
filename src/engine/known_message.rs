//! Conditions that engines report only in the text of a message, not as a code. Messages are
//! matched in this module only.

use super::EngineError;

/// Condition in the message of an engine.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum KnownMessage {
    /// Another program or container uses the port.
    PortTaken,
    /// All ports of a range are in use.
    PortsExhausted,
    /// The container does not contain the program.
    ProgramNotFound,
    /// The registry cannot be found, or does not respond.
    RegistryUnreachable,
    /// The registry does not use TLS.
    RegistryWithoutTls,
    /// The registry does not have the image, or not for this platform.
    ImageNotFound,
    /// The registry denies access.
    AccessDenied,
    /// The same operation is already in progress.
    InProgress,
    /// The message is about whether the container runs.
    Running,
    /// Another object has the name.
    NameTaken,
    /// Containers use the network or the volume.
    InUse,
    /// Another container has the fixed address on the network. [`Self::PortTaken`] is more specific.
    AddressTaken,
    /// The container is already connected to the network.
    AlreadyConnected,
    /// The engine requires TLS.
    TlsRequired,
    /// The data is not TLS, but TLS was expected.
    NotTls,
    /// The cause of a refusal is that something was busy or out of reach.
    Busy,
    /// Another object was not ready.
    NotReady,
    /// The object of the request does not exist.
    Missing,
    /// The container cannot start as it is declared: a user, a device, a driver or the like does not
    /// exist, or its runtime refuses a setting.
    Unsatisfiable,
}

/// Fragments of messages about a declaration that the engine cannot satisfy.
const UNSATISFIABLE: &[&str] = &[
    "invalid ",
    "allowed cpu-shares",
    "no matching entries in",
    "unable to find user",
    "unable to find group",
    "error gathering device information",
    "unknown capability",
    "unknown signal",
    "unknown runtime",
    "no log driver named",
    "error looking up logging plugin",
    "error looking up volume plugin",
    "is not in a separate kernel namespace",
    "to rootfs at",
    "does not belong to any of this network's subnets",
    "cannot assign requested address",
    "seccomp profile",
    "apparmor profile",
    "--security-opt",
    "--storage-opt",
    "could not select device driver",
    "uids and gids must be in range",
    "rlimit",
    "not a directory",
    "_data: no such",
    "stat /dev/",
    "numerical result out of range",
    "not a swarm manager",
    "operation not permitted",
    "read-only file system",
    "mount path must be absolute",
    "duplicate mount point",
    "non-shareable ipc",
    "failed to mount local volume",
    "no such container",
];

impl KnownMessage {
    /// Returns fragments of messages of Docker and Podman, in lower case: engines differ in it. One
    /// match is enough.
    fn fragments(self) -> &'static [&'static str] {
        match self {
            Self::PortTaken => &["port is already allocated", "bind: address already in use"],
            Self::AddressTaken => &[
                "address already in use",
                "ip address is already allocated",
                "is already allocated to container",
            ],
            Self::PortsExhausted => &["all ports are allocated"],
            Self::ProgramNotFound => &["executable file not found"],
            Self::RegistryUnreachable => &["no such host", "connection refused"],
            Self::RegistryWithoutTls => &["server gave http response"],
            Self::ImageNotFound => &["not found", "manifest unknown", "no matching manifest"],
            Self::AccessDenied => &[
                "access denied",
                "unauthorized",
                "authentication required",
                "no basic auth credentials",
                "denied:",
            ],
            Self::InProgress => &["in progress"],
            Self::Running => &["running"],
            Self::NameTaken => &["is already in use"],
            Self::InUse => &["active endpoints", "is being used", "volume is in use"],
            Self::AlreadyConnected => &["already exists in network"],
            Self::TlsRequired => &["https server"],
            Self::NotTls => &["corrupt message"],
            Self::Busy => &[
                "timed out",
                "i/o timeout",
                "timeout exceeded",
                "deadline exceeded",
                "temporarily unavailable",
                "resource busy",
                "database is locked",
                "state improper",
                "connection reset",
                "unexpected eof",
                "broken pipe",
                "no route to host",
                "network is unreachable",
                "host is down",
                "stale file handle",
                "input/output error",
                "toomanyrequests",
                // A registry or a proxy answers with a page instead of JSON.
                "error parsing http",
                "invalid status code from registry 5",
                // A download was cut off.
                "gzip: invalid",
                "invalid tar header",
                // The engine has crashed.
                "invalid memory address",
            ],
            Self::NotReady => &["no static ips provided", "must be removed before it"],
            Self::Unsatisfiable => UNSATISFIABLE,
            Self::Missing => &[
                "no such container",
                "no such image",
                "image not known",
                "no such network",
                "network not found",
                "no such volume",
            ],
        }
    }

    /// Returns true if a message reports the condition.
    pub(crate) fn is_in(self, message: &str) -> bool {
        let message = message.to_lowercase();
        self.fragments().iter().any(|words| message.contains(words))
    }

    /// Returns true if an error reports the condition.
    pub(crate) fn matches_error(self, error: &EngineError) -> bool {
        self.is_in(&error.text())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_recognized() {
        for (message, says) in [
            (
                "driver failed programming external connectivity: Bind for 0.0.0.0:80 failed: port is already allocated",
                KnownMessage::PortTaken,
            ),
            (
                "failed to set up container networking: Address already in use",
                KnownMessage::AddressTaken,
            ),
            (
                "listen tcp4 0.0.0.0:80: bind: address already in use",
                KnownMessage::PortTaken,
            ),
            (
                "network x has active endpoints (name:\"y\" id:\"z\")",
                KnownMessage::InUse,
            ),
            ("remove x: volume is in use - [y]", KnownMessage::InUse),
            (
                "removal of container x is already in progress",
                KnownMessage::InProgress,
            ),
            (
                "Get \"https://r:5000/v2/\": http: server gave HTTP response to HTTPS client",
                KnownMessage::RegistryWithoutTls,
            ),
            ("pull access denied for x", KnownMessage::AccessDenied),
            (
                "unknown: failed to resolve reference \"r:5000/a:1\": unexpected status from HEAD request to http://r:5000/v2/a/manifests/1: 401 Unauthorized",
                KnownMessage::AccessDenied,
            ),
            (
                "client sent an HTTP request to an HTTPS server",
                KnownMessage::TlsRequired,
            ),
            (
                "unable to find user nosuch: no matching entries in passwd file",
                KnownMessage::Unsatisfiable,
            ),
            (
                "Unable to find group nosuch: no matching entries in group file",
                KnownMessage::Unsatisfiable,
            ),
            (
                "error gathering device information while adding custom device \"/dev/x\": no such file or directory",
                KnownMessage::Unsatisfiable,
            ),
            (
                "Decoding seccomp profile failed: invalid character '/' looking for beginning of value",
                KnownMessage::Unsatisfiable,
            ),
            (
                "invalid --security-opt 2: \"nosuch=1\"",
                KnownMessage::Unsatisfiable,
            ),
            (
                "error setting cgroup config for procHooks process: the minimum allowed cpu-shares is 2: unknown",
                KnownMessage::Unsatisfiable,
            ),
            (
                "Invalid isolation: \"hyperv\" - linux only supports 'default'",
                KnownMessage::Unsatisfiable,
            ),
            (
                "error parsing HTTP 502 response body: invalid character '<' looking for beginning of value",
                KnownMessage::Busy,
            ),
            (
                "failed to initialize logging driver: invalid size: 'abc'",
                KnownMessage::Unsatisfiable,
            ),
            (
                "Cannot mkdir: /bin/busybox is not a directory",
                KnownMessage::Unsatisfiable,
            ),
            (
                "Error starting userland proxy: listen tcp4 1.2.3.4:80: bind: cannot assign requested address",
                KnownMessage::Unsatisfiable,
            ),
            (
                "runc create failed: wrong rlimit value: RLIMIT_NOSUCH: unknown",
                KnownMessage::Unsatisfiable,
            ),
            (
                "failed to mount local volume: mount x:/var/lib/docker/volumes/v/_data: no such device",
                KnownMessage::Unsatisfiable,
            ),
        ] {
            assert!(says.is_in(message), "{message}");
        }
        assert!(!KnownMessage::AccessDenied.is_in("manifest unknown"));
    }
}
