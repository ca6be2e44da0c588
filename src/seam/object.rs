//! What exists on a system.

use super::Step;
use crate::model::Positions;
use serde::Serialize;
use serde_json::{Map as JsonMap, Value as Json};
use std::{
    collections::{BTreeSet, HashMap},
    fmt,
};

/// What engines say now.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observed {
    /// Every object that belongs to the deployment or has a name that it wants.
    objects: Vec<Object>,
    /// Where they are in the list, by instance, name and id. Nobody else changes the list.
    by_instance: Positions,
    by_name: Positions,
    by_id: Positions,
    /// Names of the engines that the instances are on, the default one's left out.
    pub engines: HashMap<String, String>,
}

impl Observed {
    /// Of objects on engines that the instances are on; the default one is left out of `engines`.
    #[must_use]
    pub fn new(objects: Vec<Object>, engines: HashMap<String, String>) -> Self {
        Self {
            objects,
            engines,
            ..Self::default()
        }
    }

    /// Adds what another driver says.
    pub fn add(&mut self, other: Self) {
        let objects = std::mem::take(&mut self.objects).into_iter();
        let mut engines = std::mem::take(&mut self.engines);
        engines.extend(other.engines);
        *self = Self::new(objects.chain(other.objects).collect(), engines);
    }

    /// Every object that belongs to the deployment or has a name that it wants.
    #[must_use]
    pub fn objects(&self) -> &[Object] {
        &self.objects
    }

    /// The object that was created for an instance.
    #[must_use]
    pub fn of(&self, instance: &str) -> Option<&Object> {
        let owner = |object: &Object| Some(object.owner.as_ref()?.instance.clone());
        self.by_instance.first(&self.objects, instance, owner)
    }

    /// The object of this name, or with this id, on the engine of an instance, whoever made it.
    #[must_use]
    pub fn named(&self, instance: &str, name: &str) -> Option<&Object> {
        let engine = self
            .engines
            .get(instance)
            .map_or(Object::DEFAULT_ENGINE, String::as_str);
        let is_there = |object: &&Object| object.engine == engine;
        let of_name = |object: &Object| Some(object.name.clone());
        let of_id = |object: &Object| Some(object.id.clone());
        let named = self.by_name.first(&self.objects, name, of_name);
        let known = self.by_id.first(&self.objects, name, of_id);
        let found = named.or(known)?;
        // Most often there is one of a name, and one engine.
        let is_it =
            |object: &&Object| is_there(object) && (object.name == name || object.id == name);
        Some(found)
            .filter(is_there)
            .or_else(|| self.objects.iter().find(is_it))
    }
}

/// Something that exists on an engine.
#[derive(Clone, Debug, PartialEq)]
pub struct Object {
    /// What it is.
    pub kind: &'static str,
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Reference of its image.
    pub image: String,
    /// What it does.
    pub state: ObjectState,
    /// What its health check says, where it has one.
    pub health: Option<String>,
    /// When it was started, as the engine spells it.
    pub started_at: Option<String>,
    /// How it ended, if it did.
    pub exit_code: Option<i64>,
    /// Published ports, as `8080→80/tcp`.
    pub ports: Vec<String>,
    /// Runtime properties as they are now.
    pub properties: JsonMap<String, Json>,
    /// For whom it was created; none if not by this deployment.
    pub owner: Option<Owner>,
    /// Its labels say that it was made for a deployment of this name, and nothing proves it.
    pub is_claimed: bool,
    /// Name of the engine that it is on.
    pub engine: String,
    /// Where it is not any more what was declared when it was made.
    pub drift: Vec<Drift>,
    /// What came of comparing it with what is declared, if no digest says whether it is that.
    pub comparison: Comparison,
}

/// What a comparison came to.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Comparison {
    /// What is not as declared, as the system calls it.
    pub differs: BTreeSet<String>,
    /// What cannot be seen.
    pub unseen: BTreeSet<String>,
}

/// Something that was declared and that an object has no more: somebody changed it.
#[derive(Clone, Debug, PartialEq)]
pub struct Drift {
    /// What, as the engine calls it.
    pub field: String,
    /// What was declared.
    pub declared: Json,
    /// What is there.
    pub found: Json,
    /// What puts it right.
    pub repair: Step,
}

impl fmt::Display for Drift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} → {}", self.field, self.declared, self.found)
    }
}

impl Object {
    /// Name of the engine that the command line and the environment name. Others are called by
    /// their address.
    pub const DEFAULT_ENGINE: &str = "default";
}

/// For whom an object was created.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Owner {
    /// Id of the instance.
    pub instance: String,
    /// It was made from what the deployment declares now.
    pub as_declared: bool,
}

/// What an object does.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ObjectState {
    /// Made and never started.
    Created,
    /// Running.
    Running,
    /// Ended, and about to be started again by the engine.
    Restarting,
    /// Running and frozen.
    Paused,
    /// Not running any more.
    Exited,
    /// Being removed, or beyond use.
    Dead,
    /// There, and nothing that runs: a network, a volume.
    Available,
}

impl ObjectState {
    /// The name as shown.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Running => "running",
            Self::Restarting => "restarting",
            Self::Paused => "paused",
            Self::Exited => "exited",
            Self::Dead => "dead",
            Self::Available => "available",
        }
    }
}
