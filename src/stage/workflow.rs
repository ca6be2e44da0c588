//! The workflows.

use serde::{Deserialize, Serialize};
use std::fmt;

/// The workflows that are built in; the names are the original's.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Workflow {
    /// Create and start everything.
    Install,
    /// Stop and delete everything.
    Uninstall,
    /// Take back what a failed install created; or, of its own, what is half made.
    Rollback,
    /// Stop and delete, then create and start.
    Reinstall,
    /// Run the operation `start`.
    Start,
    /// Run the operation `stop`.
    Stop,
    /// Run `stop` of all, then `start` of all.
    Restart,
    /// Run the operation `pull`.
    Pull,
    /// Run any operation.
    ExecuteOperation,
    /// Look whether all is well, and mend what is not.
    Heal,
    /// Add or remove instances.
    Scale,
    /// Change what there is to match another definition.
    Update,
    /// Run the operation `check_status`.
    CheckStatus,
    /// Run the operations `check_drift`.
    CheckDrift,
}

impl Workflow {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::Install,
        Self::Uninstall,
        Self::Rollback,
        Self::Reinstall,
        Self::Start,
        Self::Stop,
        Self::Restart,
        Self::Pull,
        Self::ExecuteOperation,
        Self::Heal,
        Self::Scale,
        Self::Update,
        Self::CheckStatus,
        Self::CheckDrift,
    ];

    /// The name, as blueprints and the command line have it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Install => "install",
            Self::Uninstall => "uninstall",
            Self::Rollback => "rollback",
            Self::Reinstall => "reinstall",
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Restart => "restart",
            Self::Pull => "pull",
            Self::ExecuteOperation => "execute_operation",
            Self::Heal => "heal",
            Self::Scale => "scale",
            Self::Update => "update",
            Self::CheckStatus => "check_status",
            Self::CheckDrift => "check_drift",
        }
    }

    /// The name at the beginning of a sentence.
    #[must_use]
    pub fn capitalized(self) -> String {
        let (first, rest) = self.as_str().split_at(1);
        first.to_uppercase() + rest
    }

    /// What a blueprint's `mapping` means, by the name of the original's function.
    #[must_use]
    pub fn of_mapping(operation: &str) -> Option<Self> {
        let name = operation.strip_prefix("cloudify.plugins.workflows.")?;
        Self::named(match name {
            "auto_heal_reinstall_node_subgraph" => "heal",
            "scale_entity" => "scale",
            other => other,
        })
    }

    /// The workflow of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|workflow| workflow.as_str() == name)
    }
}

impl fmt::Display for Workflow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
