//! The workflows.

use crate::seam::{Failure, Observed};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The built-in workflows. The names are Cloudify's.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Workflow {
    /// Create and start everything.
    Install,
    /// Stop and delete everything.
    Uninstall,
    /// Remove what a failed install created; run by itself, remove unfinished instances.
    Rollback,
    /// Stop and delete, then create and start.
    Reinstall,
    /// Run the operation `start`.
    Start,
    /// Run the operation `stop`.
    Stop,
    /// Run `stop` for all instances, then `start` for all.
    Restart,
    /// Run the operation `pull`.
    Pull,
    /// Run any operation.
    ExecuteOperation,
    /// Check all instances and repair unhealthy ones.
    Heal,
    /// Add or remove instances.
    Scale,
    /// Change the deployment to match another definition.
    Update,
    /// Run the operation `check_status`.
    CheckStatus,
    /// Run the operation `check_drift`.
    CheckDrift,
}

impl Workflow {
    /// All workflows.
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

    /// Returns the name in blueprints and on the command line.
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

    /// Returns an observation that the workflow can be planned from: some workflows leave out the
    /// instances on engines that do not respond, others bring all instances to one state.
    ///
    /// # Errors
    ///
    /// The reason why an engine could not be observed, if the workflow needs all instances.
    pub fn accept(self, observed: Observed) -> Result<Observed, Failure> {
        if self.may_leave_out_unseen() {
            Ok(observed)
        } else {
            observed.complete()
        }
    }

    /// Returns true if the workflow replaces objects whose declarations refer to something else now,
    /// such as another image of the same tag.
    #[must_use]
    pub fn follows_moved(self) -> bool {
        self == Self::Update
    }

    fn may_leave_out_unseen(self) -> bool {
        match self {
            Self::Uninstall
            | Self::Start
            | Self::Stop
            | Self::Restart
            | Self::Pull
            | Self::ExecuteOperation
            | Self::Heal
            | Self::CheckStatus
            | Self::CheckDrift => true,
            Self::Install | Self::Rollback | Self::Reinstall | Self::Scale | Self::Update => false,
        }
    }

    /// Returns the name with a capital letter, to start a sentence.
    #[must_use]
    pub fn capitalized(self) -> String {
        let (first, rest) = self.as_str().split_at(1);
        first.to_uppercase() + rest
    }

    /// Returns the workflow for a blueprint's `mapping` to one of Cloudify's functions.
    #[must_use]
    pub fn from_mapping(operation: &str) -> Option<Self> {
        let name = operation.strip_prefix("cloudify.plugins.workflows.")?;
        Self::from_name(match name {
            "auto_heal_reinstall_node_subgraph" => "heal",
            "scale_entity" => "scale",
            other => other,
        })
    }

    /// Returns the workflow with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
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
