//! Objects that exist on a system.

use super::{Failure, Namespace, Step};
use crate::model::{Difference, Positions};
use serde::Serialize;
use serde_json::{Map as JsonMap, Value as Json};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt,
};

/// The present state of objects, as observed on engines.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observed {
    /// Objects that belong to the deployment or have a name that it uses.
    objects: Vec<Object>,
    /// Indexes into `objects` by instance, name and ID. Only the methods below change the list.
    by_instance: Positions,
    by_name: Positions,
    by_id: Positions,
    /// Engine names of instances that are not on the default engine.
    pub engines: HashMap<String, String>,
    /// The engines that could not be observed.
    pub unseen: Vec<Unseen>,
    /// By instance: references of its declaration that name something else now than its object was
    /// created from, such as the tag of an image. Only updates observe them.
    pub moved: BTreeMap<String, Vec<Difference>>,
}

/// An engine that could not be observed. Nothing is known about the objects of its instances.
#[derive(Clone, Debug, PartialEq)]
pub struct Unseen {
    /// Name of the engine.
    pub engine: String,
    /// IDs of its instances, sorted.
    pub instances: Vec<String>,
    /// The reason.
    pub reason: Failure,
}

impl Observed {
    /// Creates an observation. `engines` contains only instances that are not on the default
    /// engine.
    #[must_use]
    pub fn new(objects: Vec<Object>, engines: HashMap<String, String>) -> Self {
        Self {
            objects,
            engines,
            ..Self::default()
        }
    }

    /// Adds the observation of another driver.
    pub fn add(&mut self, other: Self) {
        let objects = std::mem::take(&mut self.objects).into_iter();
        let mut engines = std::mem::take(&mut self.engines);
        engines.extend(other.engines);
        let unseen = [std::mem::take(&mut self.unseen), other.unseen].concat();
        let mut moved = std::mem::take(&mut self.moved);
        moved.extend(other.moved);
        *self = Self::new(objects.chain(other.objects).collect(), engines);
        self.unseen = unseen;
        self.moved = moved;
    }

    /// Returns true if the engine of an instance could not be observed.
    #[must_use]
    pub fn is_unseen(&self, instance: &str) -> bool {
        let mut all = self.unseen.iter().flat_map(|it| &it.instances);
        all.any(|id| id == instance)
    }

    /// Returns the observation if it is complete.
    ///
    /// # Errors
    ///
    /// The reason why an engine could not be observed.
    pub fn complete(self) -> Result<Self, Failure> {
        match self.unseen.first() {
            Some(unseen) => {
                let instances = unseen.instances.join(", ");
                let hint =
                    format!("all engines are needed for this, and {instances} cannot be seen");
                Err(unseen.reason.clone().hint(hint))
            }
            None => Ok(self),
        }
    }

    /// Returns all objects that belong to the deployment or have a name that it uses.
    #[must_use]
    pub fn objects(&self) -> &[Object] {
        &self.objects
    }

    /// Returns the object that was created for an instance.
    #[must_use]
    pub fn of_instance(&self, instance: &str) -> Option<&Object> {
        let owner = |object: &Object| Some(object.owner.as_ref()?.instance.clone());
        self.by_instance.first(&self.objects, instance, owner)
    }

    /// Returns the object with this ID, regardless of its engine and its creator.
    #[must_use]
    pub fn by_id(&self, id: &str) -> Option<&Object> {
        let of_id = |object: &Object| Some(object.id.clone());
        self.by_id.first(&self.objects, id, of_id)
    }

    /// Returns the object with this name or ID on the engine of an instance, regardless of its
    /// creator.
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
        // The common case: one object with this name, and one engine.
        let is_it =
            |object: &&Object| is_there(object) && (object.name == name || object.id == name);
        Some(found)
            .filter(is_there)
            .or_else(|| self.objects.iter().find(is_it))
    }
}

/// An object on an engine.
#[derive(Clone, Debug, PartialEq)]
pub struct Object {
    /// Its kind, such as `container`.
    pub kind: &'static str,
    /// Its ID.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its image reference.
    pub image: String,
    /// ID of its image; empty for objects without one.
    pub image_id: String,
    /// Its state.
    pub state: ObjectState,
    /// Status of its health check, if it has one.
    pub health: Option<String>,
    /// Start time, as formatted by the engine.
    pub started_at: Option<String>,
    /// Exit code, if it exited.
    pub exit_code: Option<i64>,
    /// Published ports, such as `8080→80/tcp`.
    pub ports: Vec<String>,
    /// Present runtime properties.
    pub properties: JsonMap<String, Json>,
    /// The instance that it was created for; none if this deployment did not create it.
    pub owner: Option<Owner>,
    /// Its labels claim that it was created for a deployment of this name, without proof.
    pub is_claimed: bool,
    /// Name of its engine.
    pub engine: String,
    /// Differences between the object and its declaration.
    pub drift: Vec<Drift>,
    /// Result of comparing the object with its declaration, if no digest shows whether they match.
    pub comparison: Comparison,
    /// Names of running objects outside the deployment that use it. They prevent the removal of a
    /// network.
    pub foreign_users: Vec<String>,
    /// Names of stopped objects outside the deployment that use it. They cannot start after it is
    /// removed.
    pub stopped_users: Vec<String>,
    /// Addresses of running objects, for a network.
    pub held_addresses: Vec<HeldAddress>,
    /// The namespaces of other objects that it shares.
    pub namespaces: Vec<SharedNamespace>,
}

/// An address that a running object has on a network.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HeldAddress {
    /// The address, as engines write it.
    pub address: String,
    /// ID of the object.
    pub object: String,
    /// Its name.
    pub name: String,
}

/// The network, IPC or processes of another object. An object that shares them loses them when the
/// other one starts again.
#[derive(Clone, Debug, PartialEq)]
pub struct SharedNamespace {
    /// The shared namespace.
    pub namespace: Namespace,
    /// ID of the object that the declaration names. It must run when this one starts.
    pub joined: String,
    /// ID of the object that created the namespace. It differs from `joined` if that one shares it,
    /// too.
    pub owner: String,
    /// The step that starts the object again, after the other one.
    pub again: Step,
}

/// The result of a comparison.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Comparison {
    /// Fields that differ from the declaration, as named by the system.
    pub differing: BTreeSet<String>,
    /// Fields that cannot be observed.
    pub unobservable: BTreeSet<String>,
}

/// A declared field that was changed outside dockctl.
#[derive(Clone, Debug, PartialEq)]
pub struct Drift {
    /// The field, as named by the engine.
    pub field: String,
    /// The declared value.
    pub declared: Json,
    /// The present value.
    pub present: Json,
    /// The step that restores the declared value.
    pub repair: Step,
    /// What differs.
    pub kind: DriftKind,
}

/// What a drift is about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum DriftKind {
    /// A setting.
    Setting,
    /// The object started before another one whose namespaces it uses.
    StaleStart,
    /// The object uses a namespace of an object that is gone: only a new object can replace it.
    CutOff,
}

impl fmt::Display for Drift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} → {}", self.field, self.declared, self.present)
    }
}

impl Object {
    /// Name of the engine that the command line and the environment select. Other engines are named
    /// by their address.
    pub const DEFAULT_ENGINE: &str = "default";

    /// Returns true if the object uses a namespace of an object that is gone.
    #[must_use]
    pub fn is_cut_off(&self) -> bool {
        self.drift.iter().any(|it| it.kind == DriftKind::CutOff)
    }

    /// Returns true if it does not run, such as a network.
    #[must_use]
    pub fn is_static(&self) -> bool {
        self.state == ObjectState::Available
    }
}

/// The instance that an object was created for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Owner {
    /// Id of the instance.
    pub instance: String,
    /// It was created from the present declaration.
    pub as_declared: bool,
}

/// The state of an object.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ObjectState {
    /// Created and never started.
    Created,
    /// Running.
    Running,
    /// Exited; the engine is about to restart it.
    Restarting,
    /// Paused.
    Paused,
    /// Exited.
    Exited,
    /// Being removed, or unusable.
    Dead,
    /// Exists; for objects that do not run, such as networks and volumes.
    Available,
}

/// An object with its labels, as a system lists it.
#[derive(Clone, Debug, PartialEq)]
pub struct LabeledObject {
    /// Its ID.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its state.
    pub state: ObjectState,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}

impl ObjectState {
    /// Returns the name used in output.
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
