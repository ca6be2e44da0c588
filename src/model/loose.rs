//! Relationships that are added or removed between remaining instances.

use super::{Definition, Deployment, Instance, InstanceTie, Tie};
use serde::{Deserialize, Serialize};

/// A relationship of an instance with its definition.
pub struct Link<'a> {
    /// The relationship between the instances.
    pub between: &'a InstanceTie,
    /// Its definition in the node.
    pub tie: &'a Tie,
}

/// Returns the relationships of an instance, in the order of the blueprint. If several definitions
/// match, the last one applies.
#[must_use]
pub fn links<'a>(instance: &'a Instance, node: &'a Definition) -> Vec<Link<'a>> {
    let of = |between: &'a InstanceTie| {
        let is_its = |tie: &&Tie| {
            Some(tie.target.as_str()) == node_of(&between.target)
                && (between.type_name.is_empty() || tie.type_name == between.type_name)
        };
        Some(Link {
            between,
            tie: node.ties.iter().rfind(is_its)?,
        })
    };
    instance.ties.iter().filter_map(of).collect()
}

/// Returns the node of an instance, taken from its ID.
fn node_of(id: &str) -> Option<&str> {
    id.rsplit_once('_').map(|(node, _)| node)
}

/// A relationship that was added or removed, and whose operation `establish` or `unlink` has not
/// run yet.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct LooseEnd {
    /// ID of the source instance.
    pub source: String,
    /// The relationship between the instances.
    pub between: InstanceTie,
    /// Its definition; the former one if it was removed.
    pub tie: Tie,
    /// True if it was added, false if it was removed.
    pub is_new: bool,
}

impl LooseEnd {
    /// Returns the operation that must run.
    #[must_use]
    pub fn operation(&self) -> &'static str {
        if self.is_new { "establish" } else { "unlink" }
    }

    /// Returns true if both refer to the same relationship.
    #[must_use]
    pub fn is_of(&self, other: &Self) -> bool {
        self.source == other.source && self.between == other.between
    }

    /// Returns true if one of its ends defines the operation.
    fn matters(&self) -> bool {
        let suffix = format!(
            "/cloudify.interfaces.relationship_lifecycle.{}",
            self.operation()
        );
        self.tie
            .operations
            .keys()
            .any(|name| name.ends_with(&suffix))
    }
}

impl Deployment {
    /// Returns the relationships that are added or removed between remaining instances when `newer`
    /// replaces this deployment, if they define an operation for it.
    #[must_use]
    pub fn loose_ends(&self, newer: &Self) -> Vec<LooseEnd> {
        let mut ends = Vec::new();
        for instance in &self.instances {
            let (Some(other), Some(node)) = (newer.instance(&instance.id), self.node(instance))
            else {
                continue;
            };
            let Some(new_node) = newer.node(other) else {
                continue;
            };
            ends.extend(of(instance, node, other, false));
            ends.extend(of(other, new_node, instance, true));
        }
        ends.retain(LooseEnd::matters);
        ends
    }
}

/// Returns the relationships of `instance` that `other` does not have.
fn of(instance: &Instance, node: &Definition, other: &Instance, is_new: bool) -> Vec<LooseEnd> {
    if instance.ties == other.ties {
        return Vec::new();
    }
    let only_here = links(instance, node)
        .into_iter()
        .filter(|link| !other.ties.contains(link.between));
    let end = |link: Link<'_>| LooseEnd {
        source: instance.id.clone(),
        between: link.between.clone(),
        tie: link.tie.clone(),
        is_new,
    };
    only_here.map(end).collect()
}
