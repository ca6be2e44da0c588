//! All plugins as one, for the kernel.

use super::{
    Driver, DriverSettings, Drivers, ExclusiveResource, HelperCall, InstanceRef, InstanceView,
    JoinedNetwork, Name, ObserveContext, PLUGINS, Plugin, Printed, RelationshipRef, Replacement,
    ResourceKind, conflict, recorded_status,
};
use crate::{
    diagnostic::{Code, Diagnostic, Diagnostics, Fault, Sources},
    model::{
        Blueprint, Definition, Deployment, Instance, InstanceState, Node, OperationDefinition,
    },
    record::{FunctionContext, Record},
    seam::{
        Change, InstanceStatus, Labeling, Need, Object, ObjectRef, Observed, Purpose, Step, Target,
        TypedInput,
    },
};
use indexmap::IndexMap;
use serde_json::Value as Json;
use std::{
    collections::{BTreeSet, HashMap},
    path::Path,
};

/// The location and ID of an instance's object, as far as known.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ObjectPlace {
    /// ID of its plugin.
    pub plugin: String,
    /// Its system.
    pub target: Target,
    /// Its ID, from the record.
    pub object: Option<String>,
}

impl From<ObjectRef> for ObjectPlace {
    fn from(reached: ObjectRef) -> Self {
        Self {
            plugin: reached.plugin,
            target: reached.target,
            object: Some(reached.object),
        }
    }
}

/// The places of objects, by instance.
pub type ObjectPlaces = IndexMap<String, ObjectPlace>;

/// The plugins available to a run.
#[derive(Clone, Copy)]
pub struct Plugins(pub &'static [&'static dyn Plugin]);

impl Default for Plugins {
    fn default() -> Self {
        Self(PLUGINS)
    }
}

/// The drivers of all plugins, created for one run.
pub struct ConnectedPlugins {
    plugins: Plugins,
    all: Vec<(&'static str, Box<dyn Driver>)>,
}

impl ConnectedPlugins {
    /// Combines the drivers.
    #[must_use]
    pub fn drivers(&self) -> Drivers<'_> {
        let all = self.all.iter().map(|(id, driver)| (*id, &**driver));
        Drivers::new(self.plugins, all.collect())
    }
}

impl Plugins {
    /// Creates the driver of each plugin, without connecting yet.
    #[must_use]
    pub fn create_drivers(self, settings: &DriverSettings) -> ConnectedPlugins {
        let made = self
            .0
            .iter()
            .map(|it| (it.id(), it.create_driver(settings)));
        ConnectedPlugins {
            plugins: self,
            all: made.collect(),
        }
    }

    /// Returns the reference pages on arguments of operations, of all plugins.
    #[must_use]
    pub fn arguments(self) -> String {
        let pages: Vec<String> = self.0.iter().filter_map(|it| it.arguments()).collect();
        pages.join("\n")
    }

    /// Returns the plugin that a node belongs to.
    fn owner_of(self, node: &Definition) -> Option<&'static dyn Plugin> {
        self.0
            .iter()
            .copied()
            .find(|plugin| plugin.kind(node).is_some())
    }

    fn by_id(self, id: &str) -> Option<&'static dyn Plugin> {
        self.0.iter().copied().find(|plugin| plugin.id() == id)
    }

    /// Returns true if the plugin with this ID is available.
    #[must_use]
    pub fn has(self, id: &str) -> bool {
        self.by_id(id).is_some()
    }

    /// Returns true if a plugin can run an operation.
    #[must_use]
    pub fn supports(self, plugin: &str, operation: &str) -> bool {
        self.0.iter().any(|it| it.supports(plugin, operation))
    }

    /// Returns true if a plugin implements the blueprint plugin with this name.
    #[must_use]
    pub fn provides(self, plugin: &str) -> bool {
        self.0.iter().any(|it| it.provides(plugin))
    }

    /// Reports errors of a blueprint that only plugins can detect.
    pub fn check(self, blueprint: &Blueprint, sources: &Sources, d: &mut Diagnostics) {
        self.0.iter().for_each(|plugin| plugin.check(blueprint, d));
        if self.0.len() > 1 {
            let nodes = blueprint.nodes.values();
            d.extend(nodes.filter_map(|node| self.ambiguous_owner(node, sources)));
        }
    }

    /// Calls [`Plugin::advise`] of every plugin.
    pub fn advise(self, blueprint: &Blueprint, d: &mut Diagnostics) {
        self.0.iter().for_each(|plugin| plugin.advise(blueprint, d));
    }

    /// Returns the error for a node that two plugins claim.
    fn ambiguous_owner(self, node: &Node, sources: &Sources) -> Option<Diagnostic> {
        let (name, definition) = (&node.name, Definition::of(node, sources));
        let owners = self
            .0
            .iter()
            .filter(|plugin| plugin.kind(&definition).is_some());
        let owners: Vec<&str> = owners.map(|plugin| plugin.id()).collect();
        let [one, two, ..] = owners[..] else {
            return None;
        };
        let message = format!(
            "node `{}` belongs to two plugins: `{one}` and `{two}`",
            name.node
        );
        Some(name.span.error(Code::TwoSystems, message))
    }

    /// Reports errors of the files that a blueprint refers to.
    pub fn check_files(self, blueprint: &Blueprint, directory: &Path, d: &mut Diagnostics) {
        self.0
            .iter()
            .for_each(|plugin| plugin.check_files(blueprint, directory, d));
    }

    /// Returns true if an operation of a node would run on another host, which its plugin cannot
    /// reach.
    #[must_use]
    pub fn runs_elsewhere(self, planned: &OperationDefinition, host: Option<&Definition>) -> bool {
        self.0
            .iter()
            .any(|plugin| plugin.runs_elsewhere(planned, host))
    }

    /// Reports what users should know about the scripts of a blueprint.
    pub fn lint_scripts(self, blueprint: &Blueprint, sources: &Sources, d: &mut Diagnostics) {
        let plugins = self.0.iter();
        plugins.for_each(|plugin| plugin.lint_scripts(blueprint, sources, d));
    }

    /// Returns the JSON Schema of blueprints, with the types of all plugins.
    #[must_use]
    pub fn json_schema(self) -> Json {
        let mut schema = crate::syntax::json_schema();
        self.0
            .iter()
            .for_each(|plugin| plugin.extend_schema(&mut schema));
        schema
    }

    /// Returns the steps of an operation for a purpose; none if no plugin can run it.
    #[must_use]
    pub fn lower(
        self,
        instance: InstanceRef<'_>,
        (name, planned): (&str, &OperationDefinition),
        purpose: &Purpose<'_>,
        labeling: &Labeling,
    ) -> Option<Vec<Step>> {
        self.0
            .iter()
            .find_map(|plugin| plugin.lower(instance, name, planned, purpose, labeling))
            .map(|steps| with_typed_inputs(steps, planned))
    }

    /// Returns the faults of the values that an object is created from, as far as they are known.
    #[must_use]
    pub fn faults(self, part: InstanceRef<'_>) -> Vec<Fault> {
        let owner = self.owner_of(part.node);
        owner.map_or_else(Vec::new, |plugin| plugin.faults(part))
    }

    /// Returns the steps of an operation of a relationship; none if no plugin can run it.
    #[must_use]
    pub fn lower_relationship(
        self,
        ends: RelationshipRef<'_>,
        (name, planned): (&str, &OperationDefinition),
    ) -> Option<Vec<Step>> {
        self.0
            .iter()
            .find_map(|plugin| plugin.lower_relationship(ends, name, planned))
            .map(|steps| with_typed_inputs(steps, planned))
    }

    /// Returns the kind of a node's object; none if the node has no object.
    #[must_use]
    pub fn kind(self, node: &Definition) -> Option<&'static str> {
        self.owner_of(node)?.kind(node)
    }

    /// Returns true if the object of a node is observed, and not only recorded.
    #[must_use]
    pub fn is_observed(self, node: &Definition) -> bool {
        self.owner_of(node)
            .is_some_and(|plugin| plugin.is_observed(node))
    }

    /// Returns true if the object of a node can run commands and has a log.
    #[must_use]
    pub fn has_shell(self, node: &Definition) -> bool {
        self.owner_of(node)
            .is_some_and(|plugin| plugin.has_shell(node))
    }

    /// Returns true if a deployment can have objects: of its nodes, or of those that it dropped.
    #[must_use]
    pub fn has_objects(self, deployment: &Deployment, record: &Record) -> bool {
        let present = deployment.nodes.values().map(|node| &**node);
        let dropped = record.dropped.iter().map(|(_, node)| node);
        present.chain(dropped).any(|node| self.kind(node).is_some())
    }

    /// Returns true if an instance represents material that other objects are created from.
    #[must_use]
    pub fn is_material_instance(self, deployment: &Deployment, instance: &str) -> bool {
        let instance = deployment.instance(instance);
        let node = instance.and_then(|instance| deployment.node(instance));
        node.is_some_and(|node| self.kind(node).is_some() && !self.is_observed(node))
    }

    /// Returns the name of an instance's object, if it is known by now.
    #[must_use]
    pub fn name(self, instance: InstanceRef<'_>) -> Option<String> {
        self.owner_of(instance.node)?.name(instance)
    }

    /// Returns the recorded ID of the object. Without a recorded ID, create looks for an object
    /// that an interrupted run left. With a different ID, an adopted object was replaced.
    #[must_use]
    pub fn recorded_id<'r>(
        self,
        record: &'r Record,
        instance: &Instance,
        node: &Definition,
    ) -> Option<&'r str> {
        let property = self.owner_of(node)?.id_property(node)?;
        record.properties(&instance.id)?.get(property)?.as_str()
    }

    /// Returns, for each instance, the IDs of the instances whose objects it needs: its declaration
    /// refers to them, such as by links, or its operations run inside them.
    #[must_use]
    pub fn references(self, deployment: &Deployment) -> HashMap<String, Vec<String>> {
        let mut references = self.declared_references(deployment);
        self.add_places_of_operations(deployment, &mut references);
        references
    }

    /// Returns, for each instance, the IDs of the instances whose objects its declaration refers
    /// to, such as by links.
    #[must_use]
    pub fn declared_references(self, deployment: &Deployment) -> HashMap<String, Vec<String>> {
        let parts = || {
            deployment.instances.iter().filter_map(|instance| {
                let node = deployment.node(instance)?;
                let part = InstanceRef {
                    deployment,
                    instance,
                    node,
                };
                Some((part, self.owner_of(node)?))
            })
        };
        let by_name: HashMap<Name, &str> = parts()
            .flat_map(|(part, plugin)| {
                let names = plugin.own_names(part).into_iter();
                names.map(move |name| (name, part.instance.id.as_str()))
            })
            .collect();
        let used = |(part, plugin): (InstanceRef<'_>, &dyn Plugin)| {
            let ids = plugin.referenced_names(part).into_iter();
            let ids = ids.filter_map(|name| by_name.get(&name).copied());
            let others = ids.filter(|id| *id != part.instance.id);
            (
                part.instance.id.clone(),
                others.map(str::to_owned).collect(),
            )
        };
        parts().map(used).collect()
    }

    /// Adds the instances in whose objects operations of other instances run. They come first,
    /// unless relationships say the opposite.
    fn add_places_of_operations(
        self,
        deployment: &Deployment,
        references: &mut HashMap<String, Vec<String>>,
    ) {
        let parts = deployment.instances.iter();
        for part in parts.filter_map(|instance| InstanceRef::of(deployment, instance)) {
            let places = self.0.iter().flat_map(|plugin| plugin.runs_inside(part));
            for id in places.filter(|id| !depends_on(deployment, id, &part.instance.id)) {
                let known = references.entry(part.instance.id.clone()).or_default();
                if !known.contains(&id) {
                    known.push(id);
                }
            }
        }
    }

    /// Returns true if the objects of two instances can exist at the same time: they share no
    /// name and no exclusive resource. Networks may share addresses, and only containers are known
    /// to share nothing else.
    #[must_use]
    pub fn can_coexist(self, one: InstanceRef<'_>, other: InstanceRef<'_>) -> bool {
        let kind = |part: InstanceRef<'_>| self.owner_of(part.node)?.kind(part.node);
        let names = self.own_names(one);
        let resources = [one, other].map(|part| self.exclusive_resources(part));
        let is_same_kind = kind(one) == kind(other) && self.replacement(one, one.node).is_none();
        !is_same_kind
            && !self.own_names(other).iter().any(|it| names.contains(it))
            && conflict(&resources[0], &resources[1]).is_none()
    }

    /// Returns the names that other declarations can use for the object of an instance.
    #[must_use]
    pub fn own_names(self, part: InstanceRef<'_>) -> Vec<Name> {
        self.owner_of(part.node)
            .map_or_else(Vec::new, |plugin| plugin.own_names(part))
    }

    /// Returns the system of the object of an instance.
    #[must_use]
    pub fn target(self, part: InstanceRef<'_>) -> Target {
        self.owner_of(part.node)
            .map_or_else(Target::default, |plugin| plugin.target(part))
    }

    /// Returns the name of a resource that the old and the new object of an instance cannot have at
    /// the same time, if there is one. Names do not count: an old object can be renamed while it
    /// runs.
    #[must_use]
    pub fn exclusive_conflict(
        self,
        instance: InstanceRef<'_>,
        former: &Definition,
    ) -> Option<String> {
        let old = self.exclusive_resources(InstanceRef {
            node: former,
            ..instance
        });
        let mut new = self.exclusive_resources(instance);
        new.retain(|it| it.kind != ResourceKind::Name);
        conflict(&new, &old).map(|it| it.shown.clone())
    }

    /// Returns the exclusive resources of an object.
    #[must_use]
    pub fn exclusive_resources(self, instance: InstanceRef<'_>) -> Vec<ExclusiveResource> {
        self.owner_of(instance.node)
            .map_or_else(Vec::new, |plugin| plugin.exclusive_resources(instance))
    }

    /// Returns true if the object of a node holds data that is lost with it.
    #[must_use]
    pub fn holds_data(self, node: &Definition) -> bool {
        let owner = self.owner_of(node);
        owner.is_some_and(|plugin| plugin.holds_data(node))
    }

    /// Returns the networks that an object joins when it starts.
    #[must_use]
    pub fn joined_networks(self, instance: InstanceRef<'_>) -> Vec<JoinedNetwork> {
        self.owner_of(instance.node)
            .map_or_else(Vec::new, |plugin| plugin.joined_networks(instance))
    }

    /// Returns true if an instance of a deployment uses namespaces of another object.
    #[must_use]
    pub fn has_followers(self, deployment: &Deployment) -> bool {
        let follows = |instance: &Instance| {
            let part = InstanceRef::of(deployment, instance);
            part.is_some_and(|part| {
                let plugin = self.owner_of(part.node);
                plugin.is_some_and(|plugin| plugin.follows_starts(part))
            })
        };
        deployment.instances.iter().any(follows)
    }

    /// Returns the state of an instance to show, from the record alone. Cloudify's state of an
    /// instance whose object nothing starts is `started`, too; users look for what runs.
    #[must_use]
    pub fn shown_state(self, record: &Record, id: &str) -> InstanceState {
        let state = record.state(id);
        let node = || {
            let deployment = record.deployment.as_ref()?;
            let instance = deployment.instance(id)?;
            Some(record.object_definition(instance, deployment.node(instance)?))
        };
        let is_never_started = |node: &Definition| {
            let plugin = self.owner_of(node);
            plugin.is_some_and(|plugin| plugin.is_never_started(node))
        };
        match state {
            InstanceState::Started if node().is_some_and(is_never_started) => {
                InstanceState::Created
            }
            state => state,
        }
    }

    /// Returns true if the object of an instance is deleted as soon as it stops.
    #[must_use]
    pub fn is_ephemeral(self, instance: InstanceRef<'_>) -> bool {
        self.owner_of(instance.node)
            .is_some_and(|plugin| plugin.is_ephemeral(instance))
    }

    /// Returns the reason why the object of a node cannot be removed now; none if it can.
    #[must_use]
    pub fn removal_obstacle(self, node: &Definition, object: &Object) -> Option<String> {
        self.owner_of(node)
            .filter(|plugin| !plugin.survives_uninstall(node))
            .and_then(|plugin| plugin.removal_obstacle(object))
    }

    /// Returns true if uninstall keeps the object of a node.
    #[must_use]
    pub fn survives_uninstall(self, node: &Definition) -> bool {
        self.owner_of(node)
            .is_some_and(|plugin| plugin.survives_uninstall(node))
    }

    /// Returns the state of an instance relative to its installed state.
    #[must_use]
    pub fn status(self, at: InstanceView<'_>) -> InstanceStatus {
        match self.owner_of(at.part.node) {
            // Objects that are not observed have only the record.
            Some(plugin) if plugin.is_observed(at.part.node) => plugin.status(at),
            _ => recorded_status(at),
        }
    }

    /// Returns true if an object is in its desired state: it runs, exists, or exited as expected.
    #[must_use]
    pub fn object_is_in_desired_state(self, node: &Definition, object: &Object) -> bool {
        self.owner_of(node)
            .is_some_and(|plugin| plugin.is_in_desired_state(node, object))
    }

    /// Returns true if an instance has an object in its desired state.
    #[must_use]
    pub fn is_in_desired_state(
        self,
        instance: &Instance,
        node: &Definition,
        observed: &Observed,
    ) -> bool {
        self.object_of(node, instance, observed)
            .is_some_and(|object| self.object_is_in_desired_state(node, object))
    }

    /// Returns the way to change an instance to its present definition.
    #[must_use]
    pub fn change(self, at: InstanceView<'_>) -> Change {
        let former = at
            .instance_record()
            .and_then(|known| known.former.as_deref());
        let plugin = self.owner_of(at.part.node);
        let does_nothing = at.part.node.operations.is_empty()
            && former.is_none_or(|former| former.operations.is_empty());
        match plugin {
            Some(plugin) => plugin.change(at),
            None if does_nothing => Change::Nothing,
            None => Change::Recreate,
        }
    }

    /// Returns the steps that replace an object created from `former`.
    #[must_use]
    pub fn replacement(
        self,
        instance: InstanceRef<'_>,
        former: &Definition,
    ) -> Option<Replacement> {
        self.owner_of(instance.node)?.replacement(instance, former)
    }

    /// Returns true if the object of an instance can be replaced.
    #[must_use]
    pub fn is_replaceable(self, instance: InstanceRef<'_>) -> bool {
        !instance.node.is_adopted() && self.replacement(instance, instance.node).is_some()
    }

    /// Returns true if the effect of a completed step still exists, so that it can be skipped.
    #[must_use]
    pub fn effect_exists(
        self,
        step: &Step,
        instance: &Instance,
        node: &Definition,
        observed: &Observed,
    ) -> bool {
        match self.by_id(&step.plugin) {
            Some(plugin) => plugin.effect_exists(step, node, observed.of_instance(&instance.id)),
            None => step.has_no_action(),
        }
    }

    /// Returns true if a step has nothing to do for an existing object.
    #[must_use]
    pub fn is_redundant(self, step: &Step, object: Option<&Object>) -> bool {
        let plugin = self.by_id(&step.plugin).zip(object);
        plugin.is_some_and(|(plugin, object)| plugin.is_redundant(step, object))
    }

    /// Returns the files of the blueprint that operations of a deployment run; none if no operation
    /// reads such files.
    #[must_use]
    pub fn resources(self, deployment: &Deployment) -> Option<BTreeSet<String>> {
        let nodes = deployment.nodes.values();
        let operations = nodes.flat_map(|node| {
            let relationships = node.relationships.iter();
            let own = node.operations.values();
            own.chain(relationships.flat_map(|it| it.operations.values()))
        });
        let read = |it| self.0.iter().find_map(|plugin| plugin.resources(it));
        let files: Vec<Vec<String>> = operations.filter_map(read).collect();
        (!files.is_empty()).then(|| files.into_iter().flatten().collect())
    }

    /// Returns true if an operation of a node may create secrets, so that a missing secret is no
    /// error yet.
    #[must_use]
    pub fn creates_secrets(self, node: &Definition) -> bool {
        let relationships = node.relationships.iter();
        let own = node.operations.values();
        let mut all = own.chain(relationships.flat_map(|it| it.operations.values()));
        all.any(|it| self.0.iter().any(|plugin| plugin.creates_secrets(it)))
    }

    /// Returns true if an operation undoes only own work of its plugin, and `never_worked` says
    /// that there is none.
    #[must_use]
    pub fn undoes_only_own_work(
        self,
        operation: &OperationDefinition,
        never_worked: impl Fn(&dyn Plugin) -> bool,
    ) -> bool {
        let mut plugins = self.0.iter();
        let plugin = plugins.find(|it| it.supports(&operation.plugin, &operation.operation));
        plugin.is_some_and(|it| it.undoes_only_own_work() && never_worked(*it))
    }

    /// Returns the files that a step reads.
    #[must_use]
    pub fn files(self, step: &Step) -> Vec<Need> {
        self.by_id(&step.plugin)
            .map_or_else(Vec::new, |plugin| plugin.files(step))
    }

    /// Returns true if an operation creates or starts an object.
    #[must_use]
    pub fn creates_or_starts(self, planned: &OperationDefinition) -> bool {
        self.0
            .iter()
            .any(|plugin| plugin.creates_or_starts(planned))
    }

    /// Returns true if an operation creates an object from the properties of its node.
    #[must_use]
    pub fn reads_properties(self, planned: &OperationDefinition) -> bool {
        self.0.iter().any(|plugin| plugin.reads_properties(planned))
    }

    /// Runs a helper program; none if no plugin has it.
    #[must_use]
    pub fn run_helper(self, call: &HelperCall<'_>) -> Option<Printed> {
        self.0.iter().find_map(|plugin| plugin.run_helper(call))
    }

    /// Returns the runtime properties that may repeat output of a container or a script.
    #[must_use]
    pub fn untrusted(self) -> Vec<&'static str> {
        self.0
            .iter()
            .flat_map(|plugin| plugin.untrusted().iter().copied())
            .collect()
    }

    /// Returns true if an instance cannot have an object: its target is a late value, no ID is
    /// recorded, and no object was observed.
    #[must_use]
    pub fn has_no_location(self, at: InstanceView<'_>) -> bool {
        let (part, id) = (at.part, &at.part.instance.id);
        let is_late = self
            .owner_of(part.node)
            .is_some_and(|plugin| plugin.target(part).is_late());
        is_late
            && self
                .recorded_id(at.record, part.instance, part.node)
                .is_none()
            && at.observed.of_instance(id).is_none()
    }

    /// Returns the object of an instance: created for it, or adopted by it.
    #[must_use]
    pub fn object_of<'o>(
        self,
        node: &Definition,
        instance: &Instance,
        observed: &'o Observed,
    ) -> Option<&'o Object> {
        let adopted = || {
            let name = self.owner_of(node)?.adopts(node)?;
            observed.named(&instance.id, &name)
        };
        observed.of_instance(&instance.id).or_else(adopted)
    }

    /// Returns the object of an instance as the place to run a step in.
    ///
    /// # Errors
    ///
    /// If the object or its target is unknown.
    pub fn object_ref(
        self,
        context: ObserveContext<'_>,
        instance: &str,
    ) -> Result<ObjectRef, String> {
        let ObserveContext {
            deployment,
            record,
            secrets,
        } = context;
        let found = deployment.instance(instance);
        let part = found.and_then(|found| InstanceRef::of(deployment, found));
        let unknown = || format!("the object of `{instance}` is unknown");
        let part = part.ok_or_else(unknown)?;
        let plugin = self.owner_of(part.node).ok_or_else(unknown)?;
        let object = self.recorded_id(record, part.instance, part.node);
        let context = FunctionContext::of(record, instance, secrets);
        Ok(ObjectRef {
            plugin: plugin.id().to_owned(),
            target: plugin.target(part).bind(&context)?,
            object: object.ok_or_else(unknown)?.to_owned(),
        })
    }

    /// Returns the places of all objects. An instance whose target is not known yet is left out,
    /// because it has no object.
    ///
    /// # Errors
    ///
    /// If an instance has an object and its target cannot be evaluated. One that the blueprint no
    /// longer has is left out then: its removal fails, and nothing else.
    pub fn places(self, context: ObserveContext<'_>) -> Result<ObjectPlaces, String> {
        let ObserveContext {
            deployment,
            record,
            secrets,
        } = context;
        let mut places = ObjectPlaces::new();
        let declared = deployment.instances.iter();
        let declared = declared.filter_map(|it| Some((it, deployment.node(it)?, true)));
        // An update has not removed these yet.
        let dropped = record.dropped.iter();
        let dropped = dropped.map(|(instance, node)| (instance, node, false));
        for (instance, node, is_declared) in declared.chain(dropped) {
            let Some(plugin) = self.owner_of(node) else {
                continue;
            };
            let part = InstanceRef {
                deployment,
                instance,
                node,
            };
            let object = self.recorded_id(record, instance, node).map(str::to_owned);
            let context = FunctionContext::of(record, &instance.id, secrets);
            match plugin.target(part).bind(&context) {
                Ok(target) => {
                    let plugin = plugin.id().to_owned();
                    let place = ObjectPlace {
                        plugin,
                        target,
                        object,
                    };
                    places.insert(instance.id.clone(), place);
                }
                Err(message) if object.is_some() && is_declared => {
                    return Err(format!("`{}`: {message}", instance.id));
                }
                Err(_) => {}
            }
        }
        Ok(places)
    }
}

/// Returns true if relationships lead from one instance to another.
fn depends_on(deployment: &Deployment, from: &str, to: &str) -> bool {
    let (mut seen, mut open) = (BTreeSet::new(), vec![from]);
    while let Some(id) = open.pop() {
        let instance = deployment.instance(id).filter(|_| seen.insert(id));
        let targets = instance.into_iter().flat_map(|it| &it.relationships);
        open.extend(targets.map(|relationship| relationship.target.as_str()));
    }
    seen.contains(to)
}

/// Adds the typed inputs of an operation to its steps. Only a step with late values can find a
/// value of another type when it runs.
fn with_typed_inputs(mut steps: Vec<Step>, planned: &OperationDefinition) -> Vec<Step> {
    for step in steps.iter_mut().filter(|step| step.has_late_values()) {
        step.typed_inputs = TypedInput::all_of(planned);
    }
    steps
}

/// Returns the places of the instances that belong to a plugin.
pub(super) fn places_of(id: &str, places: &ObjectPlaces) -> ObjectPlaces {
    let mine = places.iter().filter(|(_, place)| place.plugin == id);
    mine.map(|(instance, place)| (instance.clone(), place.clone()))
        .collect()
}
