//! Relationships that are added or removed between remaining instances.

use super::{Definition, Deployment, Instance, InstanceRelationship, RelationshipDefinition};
use serde::{Deserialize, Serialize};

/// A relationship of an instance with its definition.
pub struct DefinedRelationship<'a> {
    /// The relationship between the instances.
    pub relationship: &'a InstanceRelationship,
    /// Its definition in the node.
    pub definition: &'a RelationshipDefinition,
}

/// Returns the relationships of an instance, in the order of the blueprint. If several definitions
/// match, the last one applies.
#[must_use]
pub fn defined_relationships<'a>(
    instance: &'a Instance,
    node: &'a Definition,
) -> Vec<DefinedRelationship<'a>> {
    let of = |between: &'a InstanceRelationship| {
        let is_its = |tie: &&RelationshipDefinition| {
            Some(tie.target.as_str()) == node_of(&between.target)
                && (between.type_name.is_empty() || tie.type_name == between.type_name)
        };
        Some(DefinedRelationship {
            relationship: between,
            definition: node.relationships.iter().rfind(is_its)?,
        })
    };
    instance.relationships.iter().filter_map(of).collect()
}

/// Returns the node of an instance, taken from its ID.
fn node_of(id: &str) -> Option<&str> {
    id.rsplit_once('_').map(|(node, _)| node)
}

/// A relationship that was added or removed, and whose operation `establish` or `unlink` has not
/// run yet.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct RelationshipChange {
    /// ID of the source instance.
    pub source: String,
    /// The relationship between the instances.
    #[serde(rename = "between")]
    pub relationship: InstanceRelationship,
    /// Its definition; the former one if it was removed.
    #[serde(rename = "tie")]
    pub definition: RelationshipDefinition,
    /// True if it was added, false if it was removed.
    pub is_new: bool,
}

impl RelationshipChange {
    /// Returns the operation that must run.
    #[must_use]
    pub fn operation(&self) -> &'static str {
        if self.is_new { "establish" } else { "unlink" }
    }

    /// Returns true if both refer to the same relationship.
    #[must_use]
    pub fn is_same_relationship(&self, other: &Self) -> bool {
        self.source == other.source && self.relationship == other.relationship
    }

    /// Returns true if one of its ends defines the operation.
    fn has_operation(&self) -> bool {
        let suffix = format!(
            "/cloudify.interfaces.relationship_lifecycle.{}",
            self.operation()
        );
        self.definition
            .operations
            .keys()
            .any(|name| name.ends_with(&suffix))
    }
}

impl Deployment {
    /// Returns the relationships that are added or removed between remaining instances when `newer`
    /// replaces this deployment, if they define an operation for it.
    #[must_use]
    pub fn relationship_changes(&self, newer: &Self) -> Vec<RelationshipChange> {
        let mut ends = Vec::new();
        for instance in &self.instances {
            let (Some(other), Some(node)) = (newer.instance(&instance.id), self.node(instance))
            else {
                continue;
            };
            let Some(new_node) = newer.node(other) else {
                continue;
            };
            ends.extend(changes_of(instance, node, other, false));
            ends.extend(changes_of(other, new_node, instance, true));
        }
        ends.retain(RelationshipChange::has_operation);
        ends
    }
}

/// Returns the relationships of `instance` that `other` does not have.
fn changes_of(
    instance: &Instance,
    node: &Definition,
    other: &Instance,
    is_new: bool,
) -> Vec<RelationshipChange> {
    if instance.relationships == other.relationships {
        return Vec::new();
    }
    let only_here = defined_relationships(instance, node)
        .into_iter()
        .filter(|link| !other.relationships.contains(link.relationship));
    let end = |link: DefinedRelationship<'_>| RelationshipChange {
        source: instance.id.clone(),
        relationship: link.relationship.clone(),
        definition: link.definition.clone(),
        is_new,
    };
    only_here.map(end).collect()
}
