//! Objects outside a deployment that share namespaces of its objects.

use serde::Serialize;
use std::fmt;

/// A namespace that an object can share with another one.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Namespace {
    /// The network. An object keeps running without the other one, and has no network.
    Network,
    /// The memory for communication. An object keeps running without the other one.
    Ipc,
    /// The processes. An object ends with the other one.
    Processes,
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Network => "network",
            Self::Ipc => "IPC",
            Self::Processes => "processes",
        })
    }
}

/// Objects outside the deployment that share a namespace of an instance. They lose it when its
/// object is stopped, and nobody restarts them.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct ForeignSharers {
    /// ID of the instance.
    pub instance: String,
    /// The namespace.
    pub namespace: Namespace,
    /// Names of the objects.
    pub objects: Vec<String>,
}

impl fmt::Display for ForeignSharers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            instance,
            namespace,
            objects,
        } = self;
        let names = objects.join("`, `");
        let (loses, again) = match namespace {
            Namespace::Network | Namespace::Ipc => ("loses it", "restart"),
            Namespace::Processes => ("ends with it", "start"),
        };
        let list = objects.join(" ");
        write!(
            f,
            "`{names}`, outside this deployment, shares the {namespace} of {instance} and {loses}; {again} it afterwards: docker {again} {list}"
        )
    }
}
