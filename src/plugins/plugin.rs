//! The interface of a plugin to the kernel: pure functions, without connections.

use super::{Driver, ExclusiveResource, JoinedNetwork, Printed};
use crate::{
    author::Author,
    diagnostic::{Diagnostics, Fault, Sources},
    engine::Connections,
    instance_record::InstanceRecord,
    model::{
        Blueprint, Definition, Deployment, Instance, InstanceState, OperationDefinition,
        RelationshipEnd,
    },
    record::Record,
    seam::{
        Change, InstanceStatus, Labeling, Need, Object, ObjectState, Observed, Purpose, Step,
        Target,
    },
};
use serde_json::Value as Json;
use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    rc::Rc,
};

/// An instance with its node and its deployment.
#[derive(Clone, Copy)]
pub struct InstanceRef<'a> {
    /// The deployment.
    pub deployment: &'a Deployment,
    /// The instance.
    pub instance: &'a Instance,
    /// Its node; can be the former definition if an update did not reach the instance.
    pub node: &'a Definition,
}

impl<'a> InstanceRef<'a> {
    /// Returns an instance with the present definition of its node.
    #[must_use]
    pub fn of(deployment: &'a Deployment, instance: &'a Instance) -> Option<Self> {
        Some(Self {
            deployment,
            instance,
            node: deployment.node(instance)?,
        })
    }
}

/// The planner's view of one instance.
#[derive(Clone, Copy)]
pub struct InstanceView<'a> {
    /// The declared state.
    pub part: InstanceRef<'a>,
    /// The recorded state.
    pub record: &'a Record,
    /// The observed state.
    pub observed: &'a Observed,
}

impl<'a> InstanceView<'a> {
    /// Returns the record of the instance.
    #[must_use]
    pub fn instance_record(&self) -> Option<&'a InstanceRecord> {
        self.record.instances.get(&self.part.instance.id)
    }
}

/// The two ends of a relationship, and the end that the operation belongs to.
#[derive(Clone, Copy)]
pub struct RelationshipRef<'a> {
    /// The source instance.
    pub source: InstanceRef<'a>,
    /// The target instance; none if it no longer exists.
    pub target: Option<InstanceRef<'a>>,
    /// The end that the operation belongs to.
    pub end: RelationshipEnd,
}

/// A name that declarations use to refer to an object.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Name {
    /// Namespace: names in different namespaces never match.
    pub namespace: &'static str,
    /// The system of the name; empty if irrelevant.
    pub system: String,
    /// The name.
    pub name: String,
}

/// The steps that replace an object on a system without an operation for that. The old object is
/// kept until the new one is known to work.
#[derive(Clone, Debug)]
pub struct Replacement {
    /// Stops the old object, if its definition has no operation for that.
    pub stop: Step,
    /// Makes the stopped old object give up its name, for an object of another instance.
    pub step_aside: Step,
    /// Gives the new object the name of the old one.
    pub swap: Step,
    /// Proves that the new object works; none if another step does.
    pub prove: Option<Step>,
    /// Removes the old object, or leaves it alone if it was adopted.
    pub discard: Step,
    /// Removes the new object, so that the objects of other instances can be restored.
    pub withdraw: Step,
    /// Gives the old object its name back, and removes the new one.
    pub step_back: Step,
    /// Starts the restored object.
    pub restart: Step,
}

/// A call of dockctl under the name of a helper program.
pub struct HelperCall<'a> {
    /// The name.
    pub name: &'a str,
    /// Arguments after the name.
    pub arguments: &'a [OsString],
    /// Reads variables of the environment.
    pub variable: &'a dyn Fn(&str) -> Option<OsString>,
    /// Working directory.
    pub working_dir: Option<PathBuf>,
}

/// Settings for creating drivers.
pub struct DriverSettings {
    /// The author of objects.
    pub author: Author,
    /// Connections that several plugins share.
    pub connections: Rc<Connections>,
    /// The state directory.
    pub state_dir: PathBuf,
    /// Environment of processes that drivers start, without the settings of dockctl itself.
    pub environment: Vec<(OsString, OsString)>,
    /// Path of the running dockctl, for helper programs.
    pub program: PathBuf,
    /// Registries are asked for newer images.
    pub asks_registry: bool,
}

/// A plugin: pure and static. [`super::Driver`] is the same plugin with its connections. The
/// default methods suit nodes that exist only in the record.
pub trait Plugin: Sync {
    /// ID of the plugin in steps and journals.
    fn id(&self) -> &'static str;

    /// Returns true if the plugin can run an operation; used by `validate`.
    fn supports(&self, plugin: &str, operation: &str) -> bool;

    /// Returns the steps of an operation for a purpose; none if another plugin runs it. `labeling`
    /// says whom the labels of new objects name.
    fn lower(
        &self,
        part: InstanceRef<'_>,
        name: &str,
        planned: &OperationDefinition,
        purpose: &Purpose<'_>,
        labeling: &Labeling,
    ) -> Option<Vec<Step>>;

    /// Creates the driver for one run, without connecting yet.
    fn create_driver(&self, settings: &DriverSettings) -> Box<dyn Driver>;

    /// Returns true if it implements the blueprint plugin with this name.
    fn provides(&self, plugin: &str) -> bool {
        plugin == self.id()
    }

    /// Reports errors of a blueprint that only this plugin can detect.
    fn check(&self, _blueprint: &Blueprint, _d: &mut Diagnostics) {}

    /// Returns true if the object of a node holds data that is lost with it.
    fn holds_data(&self, _node: &Definition) -> bool {
        false
    }

    /// Adds advice to errors of the model.
    fn advise(&self, _blueprint: &Blueprint, _d: &mut Diagnostics) {}

    /// Returns the faults of the values that an object is created from, as far as they are known.
    /// Paths begin with the name of a property.
    fn faults(&self, _part: InstanceRef<'_>) -> Vec<Fault> {
        Vec::new()
    }

    /// Reports errors of the files that a blueprint refers to.
    fn check_files(&self, _blueprint: &Blueprint, _directory: &Path, _d: &mut Diagnostics) {}

    /// Returns true if an operation of a node would run on another host, which this plugin cannot
    /// reach.
    fn runs_elsewhere(&self, _planned: &OperationDefinition, _host: Option<&Definition>) -> bool {
        false
    }

    /// Reports what users should know about the scripts of a blueprint.
    fn lint_scripts(&self, _blueprint: &Blueprint, _sources: &Sources, _d: &mut Diagnostics) {}

    /// Returns the reference page on the arguments of its operations, in Markdown, if it has one.
    fn arguments(&self) -> Option<String> {
        None
    }

    /// Adds its types to the JSON Schema of blueprints.
    fn extend_schema(&self, _schema: &mut Json) {}

    /// Returns the steps of an operation of a relationship; none if another plugin runs it.
    fn lower_relationship(
        &self,
        _ends: RelationshipRef<'_>,
        _name: &str,
        _planned: &OperationDefinition,
    ) -> Option<Vec<Step>> {
        None
    }

    /// Returns the kind of a node's object; none if the node has no object. A node belongs to the
    /// first plugin that returns a kind.
    fn kind(&self, _node: &Definition) -> Option<&'static str> {
        None
    }

    /// Returns true if the object of a node is observed between stages. Other objects are looked up
    /// only when they are used.
    fn is_observed(&self, node: &Definition) -> bool {
        self.kind(node).is_some()
    }

    /// Returns the system of an object.
    fn target(&self, _part: InstanceRef<'_>) -> Target {
        Target::Default
    }

    /// Returns the name of an object, if it is known by now.
    fn name(&self, _part: InstanceRef<'_>) -> Option<String> {
        None
    }

    /// Returns the exact name or the ID of the object that a node adopts.
    fn adopts(&self, _node: &Definition) -> Option<String> {
        None
    }

    /// Returns the runtime property that contains the ID of an object.
    fn id_property(&self, _node: &Definition) -> Option<&'static str> {
        None
    }

    /// Returns true if an object can run commands and has a log.
    fn has_shell(&self, _node: &Definition) -> bool {
        false
    }

    /// Returns the names that other declarations can use for the object.
    fn own_names(&self, _part: InstanceRef<'_>) -> Vec<Name> {
        Vec::new()
    }

    /// Returns the names of other objects that the declaration uses.
    fn referenced_names(&self, _part: InstanceRef<'_>) -> Vec<Name> {
        Vec::new()
    }

    /// Returns true if an object uses namespaces of another one, which change whenever the other one
    /// starts. Its own start is then too old, which is drift.
    fn follows_starts(&self, _part: InstanceRef<'_>) -> bool {
        false
    }

    /// Returns the exclusive resources of an object, as far as they are known by now.
    fn exclusive_resources(&self, _part: InstanceRef<'_>) -> Vec<ExclusiveResource> {
        Vec::new()
    }

    /// Returns the networks that an object joins when it starts, as far as they are known by now.
    fn joined_networks(&self, _part: InstanceRef<'_>) -> Vec<JoinedNetwork> {
        Vec::new()
    }

    /// Returns true if no operation of a node starts its object: it stays as it was created.
    fn is_never_started(&self, _node: &Definition) -> bool {
        false
    }

    /// Returns true if an object is deleted as soon as it stops.
    fn is_ephemeral(&self, _part: InstanceRef<'_>) -> bool {
        false
    }

    /// Returns the reason why an object cannot be removed now; none if it can.
    fn removal_obstacle(&self, _object: &Object) -> Option<String> {
        None
    }

    /// Returns true if uninstall keeps an object.
    fn survives_uninstall(&self, _node: &Definition) -> bool {
        false
    }

    /// Returns the state of an instance relative to its installed state.
    fn status(&self, view: InstanceView<'_>) -> InstanceStatus {
        recorded_status(view)
    }

    /// Returns true if an object is in its desired state: it runs, exists, or exited as expected.
    fn is_in_desired_state(&self, _node: &Definition, object: &Object) -> bool {
        matches!(object.state, ObjectState::Running | ObjectState::Available)
    }

    /// Returns the way to change an instance to its present definition.
    fn change(&self, _at: InstanceView<'_>) -> Change {
        Change::Recreate
    }

    /// Returns the steps that replace an object created from `former`; none if the system has its
    /// own operation for that, or cannot replace it.
    fn replacement(&self, _part: InstanceRef<'_>, _former: &Definition) -> Option<Replacement> {
        None
    }

    /// Returns true if the effect of a completed step still exists.
    fn effect_exists(&self, _step: &Step, _node: &Definition, _object: Option<&Object>) -> bool {
        true
    }

    /// Returns true if a step has nothing to do for an existing object.
    fn is_redundant(&self, _step: &Step, _object: &Object) -> bool {
        false
    }

    /// Returns the IDs of other instances in whose objects its operations of an instance run.
    fn runs_inside(&self, _part: InstanceRef<'_>) -> Vec<String> {
        Vec::new()
    }

    /// Returns the files of the blueprint that an operation runs, if it may read such files at all.
    fn resources(&self, _planned: &OperationDefinition) -> Option<Vec<String>> {
        None
    }

    /// Returns true if an operation may create secrets that later operations read.
    fn creates_secrets(&self, _planned: &OperationDefinition) -> bool {
        false
    }

    /// Returns true if its stop and delete operations undo only what its other operations did, so
    /// that they are pointless if none of these ran. False for operations on objects, which exist
    /// or not.
    fn undoes_only_own_work(&self) -> bool {
        false
    }

    /// Returns the files that a step reads, as far as they are known by now.
    fn files(&self, _step: &Step) -> Vec<Need> {
        Vec::new()
    }

    /// Returns true if an operation creates or starts an object.
    fn creates_or_starts(&self, _planned: &OperationDefinition) -> bool {
        false
    }

    /// Returns true if an operation creates an object from the properties of its node.
    fn reads_properties(&self, _planned: &OperationDefinition) -> bool {
        false
    }

    /// Runs a helper program of this plugin; none if it has no such program. Processes that drivers
    /// start call dockctl under the name of the program.
    fn run_helper(&self, _call: &HelperCall<'_>) -> Option<Printed> {
        None
    }

    /// Returns the runtime properties that may repeat output of a container or a script. They are
    /// redacted as a whole if they cannot be searched for secrets.
    fn untrusted(&self) -> &'static [&'static str] {
        &[]
    }
}

/// Returns the state of an instance that exists only in the record.
#[must_use]
pub fn recorded_status(view: InstanceView<'_>) -> InstanceStatus {
    match view.record.state(&view.part.instance.id) {
        InstanceState::Started => InstanceStatus::UpToDate,
        _ => InstanceStatus::Missing,
    }
}
