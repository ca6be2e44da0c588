//! Which instances a workflow is about.

use crate::model::{Deployment, Instance};
use serde::{Deserialize, Deserializer, Serialize};

/// Which instances a workflow is about. On disk it is three lists; none of them means all.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(from = "Chosen", into = "Chosen")]
pub enum Selection {
    /// All of them.
    #[default]
    All,
    /// Some of them, or none at all.
    Only(Chosen),
}

/// What instances are chosen by. Each list that is empty lets all through; the others have to
/// agree. If all are empty, nothing is chosen.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct Chosen {
    /// Names of nodes.
    #[serde(
        deserialize_with = "one_or_many",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub node_ids: Vec<String>,
    /// Ids of instances.
    #[serde(
        deserialize_with = "one_or_many",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub node_instance_ids: Vec<String>,
    /// Names of types that a node is of, or is derived from.
    #[serde(
        deserialize_with = "one_or_many",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub type_names: Vec<String>,
}

/// Empty lists of a user mean all, as in the original.
impl From<Chosen> for Selection {
    fn from(chosen: Chosen) -> Self {
        if chosen == Chosen::default() {
            Self::All
        } else {
            Self::Only(chosen)
        }
    }
}

impl From<Selection> for Chosen {
    fn from(selection: Selection) -> Self {
        match selection {
            Selection::All => Self::default(),
            Selection::Only(chosen) => chosen,
        }
    }
}

impl Selection {
    /// Some instances, by their ids; none, if there are no ids.
    #[must_use]
    pub fn of_instances(ids: impl IntoIterator<Item = String>) -> Self {
        Self::Only(Chosen {
            node_instance_ids: ids.into_iter().collect(),
            ..Chosen::default()
        })
    }

    /// Whether all instances are meant.
    #[must_use]
    pub fn is_all(&self) -> bool {
        *self == Self::All
    }

    /// Whether no instance at all is meant.
    #[must_use]
    pub fn is_none(&self) -> bool {
        matches!(self, Self::Only(chosen) if *chosen == Chosen::default())
    }

    /// Ids of the instances that are named.
    #[must_use]
    pub fn instances(&self) -> &[String] {
        match self {
            Self::All => &[],
            Self::Only(chosen) => &chosen.node_instance_ids,
        }
    }

    /// Whether an instance is meant. Unknown names select nothing, as in the original.
    #[must_use]
    pub fn has(&self, deployment: &Deployment, instance: &Instance) -> bool {
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

/// A list, or the one thing that would be in it.
pub(super) fn one_or_many<'d, D: Deserializer<'d>>(
    deserializer: D,
) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "a text, or a list of texts")]
    enum OneOrMany {
        One(String),
        Many(Vec<String>),
    }
    Ok(match OneOrMany::deserialize(deserializer)? {
        OneOrMany::One(one) => vec![one],
        OneOrMany::Many(many) => many,
    })
}
