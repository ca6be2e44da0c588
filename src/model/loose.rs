//! Relationships that come or go between instances that stay.

use super::{Definition, Deployment, Instance, InstanceTie, Tie};
use serde::{Deserialize, Serialize};

/// A relationship of an instance with what its node says of it.
pub struct Link<'a> {
    /// The relationship of the instance.
    pub between: &'a InstanceTie,
    /// That of its node.
    pub tie: &'a Tie,
}

/// Relationships of an instance, in the order of the blueprint. Of several to one node the last one
/// holds.
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

/// The node of an instance, from its id.
fn node_of(id: &str) -> Option<&str> {
    id.rsplit_once('_').map(|(node, _)| node)
}

/// A relationship whose ends have not been told yet that it is there, or that it is there no more.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct LooseEnd {
    /// Id of the instance that has it, or had it.
    pub source: String,
    /// Where it leads.
    pub between: InstanceTie,
    /// What its node says, or said, of it.
    pub tie: Tie,
    /// It came; else it went.
    pub is_new: bool,
}

impl LooseEnd {
    /// The operation that tells its ends.
    #[must_use]
    pub fn operation(&self) -> &'static str {
        if self.is_new { "establish" } else { "unlink" }
    }

    /// Whether it is about the same relationship.
    #[must_use]
    pub fn is_of(&self, other: &Self) -> bool {
        self.source == other.source && self.between == other.between
    }

    /// Whether one of its ends wants to be told.
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
    /// Relationships that come and go, of instances that stay, where `newer` takes the place of
    /// this definition. Only those that have an operation for it.
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

/// Relationships of an instance that it has not as another definition has it.
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
