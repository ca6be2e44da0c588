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
    /// The command that starts the objects again, as a user types it.
    pub restart_command: String,
    /// The object of the instance starts again. Otherwise it is removed, and they cannot start again.
    pub can_start_again: bool,
}

impl fmt::Display for ForeignSharers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            instance,
            namespace,
            objects,
            restart_command,
            can_start_again,
        } = self;
        let names = objects.join("`, `");
        let is_one = objects.len() == 1;
        let share = if is_one { "shares" } else { "share" };
        let lose = match (namespace, is_one) {
            (Namespace::Network | Namespace::Ipc, true) => "loses it",
            (Namespace::Network | Namespace::Ipc, false) => "lose it",
            (Namespace::Processes, true) => "ends with it",
            (Namespace::Processes, false) => "end with it",
        };
        write!(
            f,
            "`{names}`, outside this deployment, {share} the {namespace} of {instance} and {lose}; "
        )?;
        if *can_start_again {
            write!(f, "afterwards, run: {restart_command}")
        } else {
            f.write_str("only a new container can share that of the next object")
        }
    }
}
