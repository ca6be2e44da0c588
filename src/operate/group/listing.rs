//! The instances of a group, as the engine reports them.

use super::super::{error::Error, workspace::Workspace};
use crate::{
    front::infrakit::{BOOTSTRAP, GROUP_TAG, HASH_TAGS, changes::Present},
    plugins::{Drivers, ObjectFilter},
    record::Record,
    seam::{LabeledObject, ObjectState, Target, labeling::is_public},
};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;

/// Characters of the ID of an instance.
const ID_LENGTH: usize = 12;
/// States of containers that are instances.
const LIVING: [ObjectState; 4] = [
    ObjectState::Created,
    ObjectState::Running,
    ObjectState::Paused,
    ObjectState::Restarting,
];

/// An instance of a group.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct GroupMember {
    /// ID of its container.
    pub id: String,
    /// Name of its container.
    pub name: String,
    /// Labels of its container, without those of dockctl.
    pub tags: BTreeMap<String, String>,
}

impl GroupMember {
    /// Returns its ID as people read it.
    pub(crate) fn short_id(&self) -> &str {
        self.id.get(..ID_LENGTH).unwrap_or(&self.id)
    }

    /// Returns its description in the shape of InfraKit.
    pub(crate) fn to_json(&self) -> Json {
        json!({ "ID": self.short_id(), "LogicalID": self.name, "Tags": self.tags })
    }

    /// Returns true if a word names it: its ID or the beginning of it, or its name.
    pub(crate) fn is_named(&self, word: &str) -> bool {
        let is_id = word.len() >= ID_LENGTH && self.id.starts_with(word);
        is_id || self.name == word
    }

    /// Returns true if it has the configuration with a hash.
    fn has_configuration(&self, hash: &str) -> bool {
        let mut tags = HASH_TAGS.iter().filter_map(|tag| self.tags.get(*tag));
        tags.any(|tag| tag == hash || tag == BOOTSTRAP)
    }
}

impl From<LabeledObject> for GroupMember {
    fn from(object: LabeledObject) -> Self {
        let labels = object.labels.into_iter();
        let tags = labels.filter(|(key, _)| is_public(key));
        Self {
            id: object.id,
            name: object.name,
            tags: tags.collect(),
        }
    }
}

/// Returns the containers with the tag of a group that are instances, the newest first.
///
/// # Errors
///
/// If the engine does not respond.
pub(super) async fn tagged(drivers: &Drivers<'_>, id: &str) -> Result<Vec<LabeledObject>, Error> {
    let filter = ObjectFilter {
        labels: vec![(GROUP_TAG.to_owned(), Some(id.to_owned()))],
        states: LIVING.to_vec(),
        ..ObjectFilter::default()
    };
    Ok(drivers.index()?.list(&Target::Default, &filter).await?)
}

/// Returns the instances of a group, the newest first.
///
/// # Errors
///
/// If the engine does not respond.
pub(crate) async fn members(
    workspace: &Workspace<'_>,
    record: &Record,
) -> Result<Vec<GroupMember>, Error> {
    let systems = workspace.connect()?;
    members_of(&systems.drivers(), record).await
}

pub(super) async fn members_of(
    drivers: &Drivers<'_>,
    record: &Record,
) -> Result<Vec<GroupMember>, Error> {
    let Some(deployment) = &record.deployment else {
        return Ok(Vec::new());
    };
    let instances = record.instances.values();
    let known: Vec<&str> = instances.filter_map(|it| it.object_id()).collect();
    let tagged = tagged(drivers, &deployment.name).await?.into_iter();
    let own = tagged.filter(|object| known.contains(&object.id.as_str()));
    Ok(own.map(GroupMember::from).collect())
}

/// Counts instances by configuration.
pub(super) fn count_by_configuration(members: &[GroupMember], hash: &str) -> Present {
    let current = members.iter().filter(|it| it.has_configuration(hash));
    let current = current.count();
    Present {
        current,
        outdated: members.len() - current,
    }
}
