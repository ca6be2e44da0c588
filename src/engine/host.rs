//! Selection of the engine, by the rules of the docker CLI.

use crate::{
    digest::hex,
    engine::{
        address::Address,
        daemon_client::DaemonClient,
        tls::{Tls, Verify},
        version::{OLDEST, Version},
    },
};
use serde_json::Value as Json;
use sha2::{Digest as _, Sha256};
use std::{
    env, fmt, fs, io,
    path::{Path, PathBuf},
};
use thiserror::Error;

/// Address of an engine, its origin, and the connection settings.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Host {
    /// Such as `unix:///var/run/docker.sock`, `tcp://10.0.0.5:2375` or `ssh://user@host`.
    pub address: String,
    /// Origin of the address, for messages.
    pub origin: String,
    pub(crate) tls: Option<Tls>,
    /// Longest wait for the head of an ordinary response, in seconds, if it is set.
    pub(crate) timeout: Option<u64>,
    /// Requested API version; used if both sides support it.
    pub(crate) version: Option<Version>,
}

impl Host {
    fn new(address: impl Into<String>, origin: impl Into<String>, tls: Option<Tls>) -> Self {
        Self {
            address: address.into(),
            origin: origin.into(),
            tls,
            timeout: None,
            version: None,
        }
    }

    /// Returns a key. Equal keys mean the same engine with the same settings.
    pub(crate) fn key(&self) -> String {
        format!("{self:?}")
    }

    /// Selects the engine like the docker CLI. The order is: given address, `DOCKER_HOST` (unless a
    /// context is given), given or current context, default socket.
    ///
    /// # Errors
    ///
    /// Returns an error if the selected context does not exist, or if `DOCKER_TLS_VERIFY` is set
    /// and the CA certificate is missing.
    pub fn find(host: Option<&str>, context: Option<&str>) -> Result<Self, ConnectError> {
        if let Some(address) = host.filter(|address| !address.is_empty()) {
            return Self::new(address, "--host or DOCKCTL_HOST", None).with_env();
        }
        let context = context.filter(|name| !name.is_empty());
        if context.is_none()
            && let Some(address) = env_var("DOCKER_HOST")
        {
            return Self::new(address, "DOCKER_HOST", None).with_env();
        }
        let named = context
            .map(|name| (name.to_owned(), "--context or DOCKCTL_CONTEXT"))
            .or_else(|| Some((env_var("DOCKER_CONTEXT")?, "DOCKER_CONTEXT")));
        let current = named.or_else(|| Some((current_context()?, "current docker context")));
        match current.filter(|(name, _)| name != "default") {
            Some((name, origin)) => Self::from_context(&name, origin),
            None => Self::new("unix:///var/run/docker.sock", "default", None).with_env(),
        }
    }

    /// Adds the TLS settings of the environment. Like the docker CLI, fails if the engine must be
    /// verified and the CA certificate is missing, regardless of the transport.
    fn with_env(self) -> Result<Self, ConnectError> {
        let tls = tls_from_env();
        let missing = tls
            .as_ref()
            .filter(|tls| tls.verify == Verify::Full)
            .and_then(|tls| tls.ca.as_ref())
            .filter(|ca| !ca.exists());
        match missing {
            Some(ca) => {
                let reason = format!(
                    "DOCKER_TLS_VERIFY is set, but {} does not exist",
                    ca.display()
                );
                Err(ConnectError::Address { host: self, reason })
            }
            None => Ok(Self { tls, ..self }),
        }
    }

    /// Sets the longest wait for an ordinary response, in seconds.
    #[must_use]
    pub fn with_timeout(self, seconds: u64) -> Self {
        Self {
            timeout: Some(seconds),
            ..self
        }
    }

    fn from_context(name: &str, origin: &str) -> Result<Self, ConnectError> {
        let contexts = config_dir().unwrap_or_default().join("contexts");
        let id = hex(&Sha256::digest(name.as_bytes()));
        let path = contexts.join("meta").join(&id).join("meta.json");
        let endpoint = read_json(&path)
            .and_then(|meta| meta.pointer("/Endpoints/docker").cloned())
            .unwrap_or_default();
        let Some(address) = endpoint["Host"].as_str() else {
            return Err(ConnectError::Context {
                name: name.to_owned(),
                origin: origin.to_owned(),
                path,
            });
        };
        let verify = if endpoint["SkipTLSVerify"] == true {
            Verify::Nothing
        } else {
            Verify::Full
        };
        let dir = contexts.join("tls").join(id).join("docker");
        let tls = (dir.is_dir() || verify == Verify::Nothing).then(|| Tls::from_dir(&dir, verify));
        Ok(Self::new(address, format!("{origin} `{name}`"), tls))
    }

    /// Returns the engine's machine, or `None` if it is this machine.
    pub(crate) fn machine(&self) -> Option<String> {
        match Address::parse(&self.address) {
            Ok(Address::Tcp { host, .. } | Address::Ssh { host, .. }) => {
                Some(host.trim_matches(['[', ']']).to_owned())
            }
            _ => None,
        }
    }

    /// Returns the engine that a `daemon_client` selects. Without an address, this is the default
    /// engine with the other arguments applied.
    ///
    /// # Errors
    ///
    /// Returns an error if an argument is invalid.
    pub(crate) fn from_daemon_client(client: &Json, default: &Self) -> Result<Self, ConnectError> {
        let read = DaemonClient::read(client).map_err(|faults| {
            let address = client["base_url"].as_str().unwrap_or(&default.address);
            let reasons: Vec<String> = faults
                .iter()
                .map(|fault| {
                    format!(
                        "`{}`: {}",
                        fault.path.join("."),
                        fault.message.trim_start_matches("this ")
                    )
                })
                .collect();
            ConnectError::Address {
                host: Self::new(address, "daemon_client", None),
                reason: reasons.join("; "),
            }
        })?;
        let mut host = match read.base_url {
            Some(address) => Self::new(address, "daemon_client", None),
            None => default.clone(),
        };
        host.tls = read.tls.or(host.tls);
        host.timeout = read.timeout.or(default.timeout);
        host.version = read.version.as_deref().and_then(Version::parse);
        Ok(host)
    }
}

/// Returns the TLS settings of the environment, by the rules of the docker CLI: `DOCKER_TLS_VERIFY`
/// verifies the engine, `DOCKER_TLS` alone does not. Both use the files in `DOCKER_CERT_PATH`.
/// Verification requires the CA certificate.
fn tls_from_env() -> Option<Tls> {
    let verify = match (env_var("DOCKER_TLS_VERIFY"), env_var("DOCKER_TLS")) {
        (Some(_), _) => Verify::Full,
        (None, Some(_)) => Verify::Nothing,
        (None, None) => return None,
    };
    let dir = env_var("DOCKER_CERT_PATH")
        .map(PathBuf::from)
        .or_else(config_dir)
        .unwrap_or_default();
    Some(Tls::required(&dir, verify))
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (from {})", self.address, self.origin)
    }
}

fn env_var(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

/// Returns the configuration directory of the docker CLI.
pub(crate) fn config_dir() -> Option<PathBuf> {
    env_var("DOCKER_CONFIG")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(env_var("HOME")?).join(".docker")))
}

pub(crate) fn read_json(path: &Path) -> Option<Json> {
    serde_json::from_slice(&read_file(path).ok()?).ok()
}

/// Reads a regular file. Rejects anything else: reading a pipe would block.
fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    if fs::metadata(path)?.is_file() {
        fs::read(path)
    } else {
        Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "not a regular file",
        ))
    }
}

/// Returns the error in the docker CLI's configuration, or `None` if the file is absent or valid.
#[must_use]
pub fn config_error() -> Option<String> {
    let path = config_dir()?.join("config.json");
    let why = match read_file(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => error.to_string(),
        Ok(bytes) => match serde_json::from_slice::<Json>(&bytes) {
            Ok(Json::Object(_)) => return None,
            Ok(_) => "not a JSON object".to_owned(),
            // The parser's message could quote a password.
            Err(error) => format!(
                "not valid JSON (line {}, column {})",
                error.line(),
                error.column()
            ),
        },
    };
    Some(format!("ignoring {}: {why}", path.display()))
}

fn current_context() -> Option<String> {
    read_json(&config_dir()?.join("config.json"))?
        .get("currentContext")?
        .as_str()
        .map(str::to_owned)
}

/// Reason why no engine is available.
#[derive(Debug, Error)]
pub enum ConnectError {
    /// The context does not exist.
    #[error("docker context `{name}` (from {origin}) does not exist: {} not found", path.display())]
    Context {
        /// Name of the context.
        name: String,
        /// Origin of the name.
        origin: String,
        /// Expected path of its metadata.
        path: PathBuf,
    },
    /// The address cannot be used.
    #[error("cannot use engine address {host}: {reason}")]
    Address {
        /// The address.
        host: Host,
        /// Reason.
        reason: String,
    },
    /// No engine responds.
    #[error("cannot connect to the engine at {host}: {reason}")]
    Unreachable {
        /// The address.
        host: Host,
        /// Reason.
        reason: String,
    },
    /// The engine is too old.
    #[error(
        "the engine at {host} supports API versions {supported}, but dockctl requires {} or newer",
        OLDEST
    )]
    Version {
        /// The address.
        host: Host,
        /// API versions of the engine.
        supported: String,
    },
}
