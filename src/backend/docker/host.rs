//! Which engine to talk to, found as the docker command finds it.

use super::{
    digest::hex,
    version::{NEWEST, OLDEST},
};
use serde_json::Value as Json;
use sha2::{Digest as _, Sha256};
use std::{
    env, fmt, fs,
    path::{Path, PathBuf},
};
use thiserror::Error;

/// Address of an engine, and who named it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Host {
    /// Such as `unix:///var/run/docker.sock` or `tcp://10.0.0.5:2375`.
    pub address: String,
    /// Where the address comes from, for messages.
    pub origin: String,
}

impl Host {
    /// Finds the engine as the docker command does: given address, `DOCKER_HOST`, given or current context, the usual socket.
    ///
    /// # Errors
    ///
    /// If a context is named that does not exist.
    pub fn find(host: Option<&str>, context: Option<&str>) -> Result<Self, ConnectError> {
        if let Some(address) = host.filter(|address| !address.is_empty()) {
            return Ok(Self { address: address.to_owned(), origin: "--host or DOCKCTL_HOST".into() });
        }
        let context = context.filter(|name| !name.is_empty());
        if context.is_none()
            && let Some(address) = variable("DOCKER_HOST")
        {
            return Ok(Self { address, origin: "DOCKER_HOST".into() });
        }
        let named = context
            .map(|name| (name.to_owned(), "--context or DOCKCTL_CONTEXT"))
            .or_else(|| Some((variable("DOCKER_CONTEXT")?, "DOCKER_CONTEXT")));
        let current = named.or_else(|| Some((current_context()?, "current docker context")));
        match current.filter(|(name, _)| name != "default") {
            Some((name, origin)) => Self::of_context(&name, origin),
            None => Ok(Self { address: "unix:///var/run/docker.sock".into(), origin: "default".into() }),
        }
    }

    fn of_context(name: &str, origin: &str) -> Result<Self, ConnectError> {
        let folder = hex(&Sha256::digest(name.as_bytes()));
        let path = config_folder().unwrap_or_default().join("contexts/meta").join(folder).join("meta.json");
        let address = read_json(&path).and_then(|meta| meta.pointer("/Endpoints/docker/Host").and_then(Json::as_str).map(str::to_owned));
        match address {
            Some(address) => Ok(Self { address, origin: format!("{origin} `{name}`") }),
            None => Err(ConnectError::Context { name: name.to_owned(), origin: origin.to_owned(), path }),
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (from {})", self.address, self.origin)
    }
}

fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

fn config_folder() -> Option<PathBuf> {
    variable("DOCKER_CONFIG").map(PathBuf::from).or_else(|| Some(PathBuf::from(variable("HOME")?).join(".docker")))
}

fn read_json(path: &Path) -> Option<Json> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

fn current_context() -> Option<String> {
    read_json(&config_folder()?.join("config.json"))?.get("currentContext")?.as_str().map(str::to_owned)
}

/// Why there is no engine to talk to.
#[derive(Debug, Error)]
pub enum ConnectError {
    /// The context is not there.
    #[error("the docker context `{name}` (from {origin}) does not exist: there is no {}", path.display())]
    Context {
        /// Its name.
        name: String,
        /// Who named it.
        origin: String,
        /// Where it would be.
        path: PathBuf,
    },
    /// The address cannot be used.
    #[error("the engine's address {host} cannot be used: {reason}")]
    Address {
        /// The address.
        host: Host,
        /// Why not.
        reason: String,
    },
    /// Nothing answers.
    #[error("no engine answers at {host}: {reason}")]
    Silent {
        /// The address.
        host: Host,
        /// What happened.
        reason: String,
    },
    /// It answers in a language that is too old or too new.
    #[error("the engine at {host} speaks API versions {spoken}, and dockctl speaks {} to {}", OLDEST, NEWEST)]
    Version {
        /// The address.
        host: Host,
        /// What it speaks.
        spoken: String,
    },
}
