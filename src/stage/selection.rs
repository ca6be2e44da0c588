//! The instances that a workflow applies to.

use crate::model::{Deployment, Instance};
use serde::{Deserialize, Deserializer, Serialize};

/// The instances that a workflow applies to. Serialized as three lists; all lists empty means all
/// instances.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(from = "Criteria", into = "Criteria")]
pub enum Selection {
    /// All instances.
    #[default]
    All,
    /// Some instances, or none.
    Only(Criteria),
}

/// Criteria for instances. An instance must match every list that is not empty. If all lists are
/// empty, no instance is chosen.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct Criteria {
    /// Names of nodes.
    #[serde(
        deserialize_with = "one_or_many",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub node_ids: Vec<String>,
    /// IDs of instances.
    #[serde(
        deserialize_with = "one_or_many",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub node_instance_ids: Vec<String>,
    /// Names of types. A node matches its own type and all parent types.
    #[serde(
        deserialize_with = "one_or_many",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub type_names: Vec<String>,
}

/// Empty lists from a user mean all instances, as in Cloudify.
impl From<Criteria> for Selection {
    fn from(chosen: Criteria) -> Self {
        if chosen == Criteria::default() {
            Self::All
        } else {
            Self::Only(chosen)
        }
    }
}

impl From<Selection> for Criteria {
    fn from(selection: Selection) -> Self {
        match selection {
            Selection::All => Self::default(),
            Selection::Only(chosen) => chosen,
        }
    }
}

impl Selection {
    /// Selects instances by ID; none if there are no IDs.
    #[must_use]
    pub fn of_instances(ids: impl IntoIterator<Item = String>) -> Self {
        Self::Only(Criteria {
            node_instance_ids: ids.into_iter().collect(),
            ..Criteria::default()
        })
    }

    /// Returns true if all instances are selected.
    #[must_use]
    pub fn is_all(&self) -> bool {
        *self == Self::All
    }

    /// Returns true if no instance is selected.
    #[must_use]
    pub fn is_none(&self) -> bool {
        matches!(self, Self::Only(chosen) if *chosen == Criteria::default())
    }

    /// Returns the IDs of the instances that are selected by ID.
    #[must_use]
    pub fn instance_ids(&self) -> &[String] {
        match self {
            Self::All => &[],
            Self::Only(chosen) => &chosen.node_instance_ids,
        }
    }

    /// Returns true if an instance is selected. Unknown names select nothing, as in Cloudify.
    #[must_use]
    pub fn contains(&self, deployment: &Deployment, instance: &Instance) -> bool {
        let Self::Only(chosen) = self else {
            return true;
        };
        let named =
            |names: &[String], name: &str| names.is_empty() || names.iter().any(|it| it == name);
        let typed = || {
            deployment.node(instance).is_some_and(|node| {
                chosen
                    .type_names
                    .iter()
                    .any(|name| node.hierarchy.contains(name))
            })
        };
        !self.is_none()
            && named(&chosen.node_ids, &instance.node)
            && named(&chosen.node_instance_ids, &instance.id)
            && (chosen.type_names.is_empty() || typed())
    }
}

/// Deserializes a list, or a single element as a list of one.
pub(super) fn one_or_many<'d, D: Deserializer<'d>>(
    deserializer: D,
) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "a string or a list of strings")]
    enum OneOrMany {
        One(String),
        Many(Vec<String>),
    }
    Ok(match OneOrMany::deserialize(deserializer)? {
        OneOrMany::One(one) => vec![one],
        OneOrMany::Many(many) => many,
    })
}
