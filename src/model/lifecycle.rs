//! States of instances, and the ends of their relationships.

use serde::{Deserialize, Serialize};
use std::fmt;

/// State of a node instance, with the names from Cloudify.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names are self-explanatory")]
pub enum InstanceState {
    #[default]
    Uninitialized,
    Initializing,
    Creating,
    Created,
    Configuring,
    Configured,
    Starting,
    Started,
    Stopping,
    Stopped,
    Deleting,
    Deleted,
}

impl InstanceState {
    /// Returns true if the instance does not exist.
    #[must_use]
    pub fn is_gone(self) -> bool {
        matches!(self, Self::Uninitialized | Self::Deleted)
    }

    /// Returns true if the instance is stopping, stopped, deleting or deleted.
    #[must_use]
    pub fn is_down(self) -> bool {
        self >= Self::Stopping
    }
}

impl fmt::Display for InstanceState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = format!("{self:?}").to_lowercase();
        f.pad(&name)
    }
}

/// A relationship between two instances, seen from one of its ends.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct RelationshipSide {
    /// ID of the instance that has the relationship.
    pub source: String,
    /// ID of the instance that it points to.
    pub target: String,
    /// The end that the operation belongs to.
    pub end: RelationshipEnd,
}

/// An end of a relationship.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names are self-explanatory")]
pub enum RelationshipEnd {
    Source,
    Target,
}
