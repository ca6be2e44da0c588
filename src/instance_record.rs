//! The recorded state of one instance.

use crate::{
    model::{Definition, InstanceRelationship, InstanceState, RelationshipSide},
    seam::{Declares, Edit, Step},
    stage::{ExchangePart, Workflow},
};
use serde::{Deserialize, Serialize};
use serde_json::{Map as JsonMap, Value as Json};
use std::collections::{BTreeMap, BTreeSet};

/// Runtime property with the ID of the successor, while a replacement is in progress. Journals
/// contain this name.
pub const SUCCESSOR: &str = "successor_id";
/// Runtime property with the ID of the predecessor, while a replacement is in progress. If the
/// instance's own object has the same ID, the predecessor was restored but is not started yet.
/// Journals contain this name.
pub const PREDECESSOR: &str = "predecessor_id";
/// Runtime properties that contain the ID of an object.
const OBJECT_IDS: [&str; 5] = [
    "container_id",
    "network_id",
    "volume_name",
    SUCCESSOR,
    PREDECESSOR,
];

/// Runtime properties that do not identify the instance's current object.
const REPLACEMENT_IDS: [&str; 2] = [SUCCESSOR, PREDECESSOR];

/// A completed step of a lifecycle operation.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct CompletedStep {
    /// The lifecycle operation.
    pub operation: String,
    /// The step as planned.
    pub step: Step,
    /// The side of the relationship, for an operation of a relationship.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub side: Option<RelationshipSide>,
}

/// An object as it was when it was taken over. Its owner is recognized by all of it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct ForeignObject {
    /// ID of the object.
    pub id: String,
    /// Time of its creation, as its system formats it.
    pub created_at: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}

/// The recorded state of an instance.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct InstanceRecord {
    /// State of the instance.
    pub state: InstanceState,
    /// Runtime properties of the instance.
    #[serde(default, skip_serializing_if = "JsonMap::is_empty")]
    pub properties: JsonMap<String, Json>,
    /// Completed steps of the unfinished start or stop of the instance.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[serde(rename = "done")]
    pub completed_steps: Vec<CompletedStep>,
    /// IDs of the plugins that worked on the existing object, also if their steps failed.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub plugins: BTreeSet<String>,
    /// Declaration that the object was updated to in place after its creation. It overrides the
    /// declaration in the labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[serde(rename = "adjusted")]
    pub updated_declaration: Option<String>,
    /// Former definition: the one that the object was created from, if it is not the present one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub former: Option<Box<Definition>>,
    /// Relationships of the former definition.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[serde(rename = "former_ties")]
    pub former_relationships: Vec<InstanceRelationship>,
    /// The objects that this object refers to by an address, an ID or a link, and that were
    /// replaced since: by the ID of their instance, the ID of the object.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub replaced_referents: BTreeMap<String, String>,
    /// The object remains when the deployment is uninstalled.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[serde(rename = "outlives")]
    pub is_kept: bool,
    /// A user stopped the instance, and it must stay stopped.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[serde(rename = "rests")]
    pub stays_stopped: bool,
    /// A user uninstalled the instance, and it must stay deleted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[serde(rename = "uninstalled")]
    pub stays_deleted: bool,
    /// The object that the instance had when it was taken over. dockctl owns it, but did not create
    /// it: it has no labels of dockctl.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub foreign: Option<ForeignObject>,
    /// The exchange that the instance takes part in: since it was stopped for it, or got something
    /// in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exchange: Option<ExchangePart>,
    /// Operations that were left out, because no plugin could run them.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub left_out: BTreeSet<String>,
}

impl InstanceRecord {
    /// Returns true if an update has not reached this instance yet.
    #[must_use]
    pub fn is_outdated(&self) -> bool {
        self.former.is_some() || self.is_stale()
    }

    /// Returns true if the object refers to one that was replaced since.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        !self.replaced_referents.is_empty()
    }

    /// Notes that an object of another instance was replaced, to which this one refers. Of several
    /// replacements, the first counts: this object refers to the oldest one.
    pub(crate) fn mark_stale(&mut self, instance: &str, object: &str) {
        let replaced = self.replaced_referents.entry(instance.to_owned());
        replaced.or_insert_with(|| object.to_owned());
    }

    /// Notes that an object of another instance is in its place again.
    pub(crate) fn unmark_stale(&mut self, instance: &str, object: &str) {
        let is_it = |known: &String| known == object;
        if self.replaced_referents.get(instance).is_some_and(is_it) {
            self.replaced_referents.remove(instance);
        }
    }

    /// Returns the IDs of the objects of this instance, including those of a replacement.
    #[must_use]
    pub fn object_ids(&self) -> Vec<String> {
        let id_in = |name: &str| self.properties.get(name)?.as_str().map(str::to_owned);
        OBJECT_IDS.into_iter().filter_map(id_in).collect()
    }

    /// Returns the ID of the present object of this instance, if it has one.
    #[must_use]
    pub fn object_id(&self) -> Option<&str> {
        let own = OBJECT_IDS
            .iter()
            .filter(|name| !REPLACEMENT_IDS.contains(name));
        let mut ids = own.filter_map(|name| self.properties.get(*name)?.as_str());
        ids.next()
    }

    /// Returns the ID of the object that is being replaced, or that was replaced last.
    #[must_use]
    pub fn replaced_object_id(&self) -> Option<&str> {
        let predecessor = self.properties.get(PREDECESSOR).and_then(Json::as_str);
        predecessor.or_else(|| self.object_id())
    }

    /// Returns true while a replacement is in progress.
    #[must_use]
    pub fn is_being_replaced(&self) -> bool {
        let mut ids = REPLACEMENT_IDS.iter();
        ids.any(|name| self.properties.contains_key(*name))
    }

    /// Returns true if the successor has taken over and the predecessor still exists.
    #[must_use]
    pub fn has_successor(&self) -> bool {
        let predecessor = self.properties.get(PREDECESSOR);
        let current_ids = OBJECT_IDS
            .iter()
            .filter(|name| !REPLACEMENT_IDS.contains(name));
        let mut ids = current_ids.filter_map(|name| self.properties.get(*name));
        predecessor.is_some() && ids.any(|id| Some(id) != predecessor)
    }

    /// Returns true if a replacement is recorded, but the instance has no current object.
    #[must_use]
    pub fn lacks_object(&self) -> bool {
        self.properties.contains_key(PREDECESSOR) && !self.has_successor() && !self.is_restored()
    }

    /// Returns true if the predecessor was restored but not started yet.
    #[must_use]
    pub fn is_restored(&self) -> bool {
        let predecessor = self.properties.get(PREDECESSOR);
        let is_current =
            |(name, id): (&String, &Json)| name != PREDECESSOR && Some(id) == predecessor;
        predecessor.is_some() && self.properties.iter().any(is_current)
    }

    /// Returns true if the instance got its part in its exchange, and works.
    #[must_use]
    pub fn has_exchanged(&self) -> bool {
        let is_replaced = !self.is_being_replaced() || self.has_successor();
        self.exchange.is_some() && self.state == InstanceState::Started && is_replaced
    }

    /// Edits the runtime properties.
    pub(crate) fn edit(&mut self, edits: &[Edit]) {
        for edit in edits {
            edit.apply(&mut self.properties);
        }
    }

    /// Enters a transitional state.
    pub(crate) fn begin_transition(&mut self, state: InstanceState) {
        if state.is_down() != self.state.is_down() {
            self.completed_steps.clear();
        }
        self.state = state;
    }

    /// Completes a transition to a state; `None` keeps the present state. An instance stays as the
    /// workflows `stop` and `uninstall` left it.
    pub(crate) fn complete_transition(
        &mut self,
        state: Option<InstanceState>,
        by: Option<Workflow>,
    ) {
        self.state = state.unwrap_or(self.state);
        let stays = |state, workflow, known| self.state == state && (by == Some(workflow) || known);
        self.stays_stopped = stays(InstanceState::Stopped, Workflow::Stop, self.stays_stopped);
        self.stays_deleted = stays(
            InstanceState::Deleted,
            Workflow::Uninstall,
            self.stays_deleted,
        );
        if self.state == InstanceState::Started || self.state.is_gone() {
            self.completed_steps.clear();
        }
        if self.state.is_gone() {
            self.exchange = None;
            self.plugins.clear();
            self.left_out.clear();
            self.foreign = None;
        }
    }

    /// Records the declaration and the plugin of a completed step.
    pub(crate) fn record_step(&mut self, step: &Step) {
        match &step.traits.declares {
            Some(Declares::New) => self.updated_declaration = None,
            Some(Declares::Adjusted(declaration)) => {
                self.updated_declaration = Some(declaration.clone())
            }
            None => {}
        }
        self.record_plugin(step);
    }

    /// Records that the plugin of a step works on the object.
    pub(crate) fn record_plugin(&mut self, step: &Step) {
        if !step.plugin.is_empty() {
            self.plugins.insert(step.plugin.clone());
        }
    }

    /// Forgets the former definition: the object matches the present one.
    pub(crate) fn mark_up_to_date(&mut self) {
        self.former = None;
        self.former_relationships.clear();
        self.replaced_referents.clear();
    }
}

/// The scope of a rollback: instances, and the executions that created them.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct RollbackScope {
    /// IDs of the instances.
    pub instances: Vec<String>,
    /// IDs of the executions.
    pub executions: Vec<String>,
}

impl RollbackScope {
    /// Returns true if there is nothing to roll back.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.instances.is_empty() && self.executions.is_empty()
    }
}
