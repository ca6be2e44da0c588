//! What is known of an instance.

use crate::{
    model::{Definition, InstanceState, InstanceTie, Side},
    seam::{Declares, Edit, Step},
};
use serde::{Deserialize, Serialize};
use serde_json::{Map as JsonMap, Value as Json};
use std::collections::BTreeSet;

/// Runtime properties that a replacement in progress needs: the object that was made for a place,
/// and the one that was there before. If that is the one that stands for the instance too, it was
/// put back and is not started yet. Journals hold the words.
pub const SUCCESSOR: &str = "successor_id";
/// See [`SUCCESSOR`].
pub const PREDECESSOR: &str = "predecessor_id";
/// Runtime properties that hold the id of an object.
const OBJECT_IDS: [&str; 5] = [
    "container_id",
    "network_id",
    "volume_name",
    SUCCESSOR,
    PREDECESSOR,
];

/// Those of objects that do not have the instance's place.
const BESIDE: [&str; 2] = [SUCCESSOR, PREDECESSOR];

/// A step of a lifecycle operation that is done.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct DoneStep {
    /// The lifecycle operation.
    pub operation: String,
    /// The step, as it was planned.
    pub step: Step,
    /// Of an operation of a relationship: which.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub side: Option<Side>,
}

/// What is known of an instance.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct InstanceRecord {
    /// Its state.
    pub state: InstanceState,
    /// Its runtime properties.
    #[serde(default, skip_serializing_if = "JsonMap::is_empty")]
    pub properties: JsonMap<String, Json>,
    /// Steps that are done of the way up, or down, that came to no end yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub done: Vec<DoneStep>,
    /// Ids of the plugins that worked on what exists of it.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub plugins: BTreeSet<String>,
    /// The declaration that its object was changed to since it was made; what labels say of that
    /// does not count any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adjusted: Option<String>,
    /// The definition that it was made from, if that is not the present one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub former: Option<Box<Definition>>,
    /// Its relationships then.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub former_ties: Vec<InstanceTie>,
    /// It holds on to an object that was made anew since: an address, an id, a link.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_stale: bool,
    /// Its object stays when the deployment is taken down.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub outlives: bool,
    /// Somebody stopped it, and wants it so.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub rests: bool,
}

impl InstanceRecord {
    /// Whether it is not yet what is wanted: an update did not reach it.
    #[must_use]
    pub fn is_outdated(&self) -> bool {
        self.former.is_some() || self.is_stale
    }

    /// Ids of the objects that stand for it.
    #[must_use]
    pub fn object_ids(&self) -> Vec<String> {
        let of = |name: &str| self.properties.get(name)?.as_str().map(str::to_owned);
        OBJECT_IDS.into_iter().filter_map(of).collect()
    }

    /// Whether another object is about to take the place of this one's, or took it a moment ago.
    #[must_use]
    pub fn is_being_replaced(&self) -> bool {
        let mut beside = BESIDE.iter();
        beside.any(|name| self.properties.contains_key(*name))
    }

    /// Whether another object has the place of the old one, which is there still.
    #[must_use]
    pub fn is_replaced(&self) -> bool {
        let before = self.properties.get(PREDECESSOR);
        let place = OBJECT_IDS.iter().filter(|name| !BESIDE.contains(name));
        let mut there = place.filter_map(|name| self.properties.get(*name));
        before.is_some() && there.any(|id| Some(id) != before)
    }

    /// Whether the old object is gone and nothing has its place.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.properties.contains_key(PREDECESSOR) && !self.is_replaced() && !self.is_put_back()
    }

    /// Whether an old object has its place back, and was not started there yet.
    #[must_use]
    pub fn is_put_back(&self) -> bool {
        let before = self.properties.get(PREDECESSOR);
        let stands = |(name, id): (&String, &Json)| name != PREDECESSOR && Some(id) == before;
        before.is_some() && self.properties.iter().any(stands)
    }

    /// Changes some of its properties.
    pub(crate) fn edit(&mut self, edits: &[Edit]) {
        for edit in edits {
            edit.apply(&mut self.properties);
        }
    }

    /// It is on the way to another state.
    pub(crate) fn enter(&mut self, state: InstanceState) {
        if state.is_down() != self.state.is_down() {
            self.done.clear();
        }
        self.state = state;
    }

    /// It came to a state, or stays in its own if none is given. A halt is a stop that is meant to
    /// last.
    pub(crate) fn arrive(&mut self, state: Option<InstanceState>, is_halt: bool) {
        self.state = state.unwrap_or(self.state);
        self.rests = self.state == InstanceState::Stopped && (is_halt || self.rests);
        if self.state == InstanceState::Started || self.state.is_gone() {
            self.done.clear();
        }
        if self.state.is_gone() {
            self.plugins.clear();
        }
    }

    /// What a step that is done says of its declaration, and of who worked on it.
    pub(crate) fn note_step(&mut self, step: &Step) {
        match &step.traits.declares {
            Some(Declares::Anew) => self.adjusted = None,
            Some(Declares::Adjusted(declaration)) => self.adjusted = Some(declaration.clone()),
            None => {}
        }
        if !step.plugin.is_empty() {
            self.plugins.insert(step.plugin.clone());
        }
    }

    pub(crate) fn is_up_to_date_now(&mut self) {
        self.former = None;
        self.former_ties.clear();
        self.is_stale = false;
    }
}

/// What is to be taken back: instances, and the executions that made them.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Taken {
    /// Ids of the instances.
    pub instances: Vec<String>,
    /// Ids of the executions.
    pub executions: Vec<String>,
}

impl Taken {
    /// Whether there is nothing to take back.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.instances.is_empty() && self.executions.is_empty()
    }
}
