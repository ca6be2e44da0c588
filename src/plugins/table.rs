//! All plugins together, and what they come to for the kernel.

use super::{
    At, Driver, Drivers, Ends, Exclusive, Name, PLUGINS, Part, Plugin, Replacement, Scene,
    Settings, by_record, clash,
};
use crate::{
    diagnostic::{Code, Diagnostic, Diagnostics, Sources},
    model::{Blueprint, Definition, Deployment, Instance, Node, Planned},
    record::{Around, Record},
    seam::{Change, Need, Object, Observed, Purpose, Reached, Standing, Step, Target},
};
use indexmap::IndexMap;
use serde_json::Value as Json;
use std::{collections::HashMap, path::Path};

/// Where the object of an instance is, and which it is, as far as is known.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Whereabouts {
    /// Id of the plugin that it belongs to.
    pub plugin: String,
    /// Its system.
    pub target: Target,
    /// Its id, as the record has it.
    pub object: Option<String>,
}

impl From<Reached> for Whereabouts {
    fn from(reached: Reached) -> Self {
        Self {
            plugin: reached.plugin,
            target: reached.target,
            object: Some(reached.object),
        }
    }
}

/// For each instance that has an object where that is.
pub type Places = IndexMap<String, Whereabouts>;

/// The plugins that a run can use.
#[derive(Clone, Copy)]
pub struct Plugins(pub &'static [&'static dyn Plugin]);

impl Default for Plugins {
    fn default() -> Self {
        Self(PLUGINS)
    }
}

/// The drivers of all plugins, made for one run.
pub struct Connected {
    plugins: Plugins,
    all: Vec<(&'static str, Box<dyn Driver>)>,
}

impl Connected {
    /// The drivers together.
    #[must_use]
    pub fn drivers(&self) -> Drivers<'_> {
        let all = self.all.iter().map(|(id, driver)| (*id, &**driver));
        Drivers::new(self.plugins, all.collect())
    }
}

impl Plugins {
    /// Makes the driver of each plugin. Nothing is connected to yet.
    #[must_use]
    pub fn connect(self, settings: &Settings) -> Connected {
        let made = self.0.iter().map(|it| (it.id(), it.connect(settings)));
        Connected {
            plugins: self,
            all: made.collect(),
        }
    }

    /// The page on the arguments of operations, of all plugins.
    #[must_use]
    pub fn arguments(self) -> String {
        let pages: Vec<String> = self.0.iter().filter_map(|it| it.arguments()).collect();
        pages.join("\n")
    }

    /// The plugin that a node belongs to.
    fn of(self, node: &Definition) -> Option<&'static dyn Plugin> {
        self.0
            .iter()
            .copied()
            .find(|plugin| plugin.kind(node).is_some())
    }

    fn by_id(self, id: &str) -> Option<&'static dyn Plugin> {
        self.0.iter().copied().find(|plugin| plugin.id() == id)
    }

    /// Whether steps of this plugin can be carried out.
    #[must_use]
    pub fn has(self, id: &str) -> bool {
        self.by_id(id).is_some()
    }

    /// Whether anything can run an operation.
    #[must_use]
    pub fn supports(self, plugin: &str, operation: &str) -> bool {
        self.0.iter().any(|it| it.supports(plugin, operation))
    }

    /// Whether anything carries out what a blueprint's plugin of this name does.
    #[must_use]
    pub fn provides(self, plugin: &str) -> bool {
        self.0.iter().any(|it| it.provides(plugin))
    }

    /// Finds the faults of a blueprint that only plugins know of.
    pub fn check(self, blueprint: &Blueprint, sources: &Sources, d: &mut Diagnostics) {
        self.0.iter().for_each(|plugin| plugin.check(blueprint, d));
        if self.0.len() > 1 {
            let nodes = blueprint.nodes.values();
            d.extend(nodes.filter_map(|node| self.shared(node, sources)));
        }
    }

    /// The fault of a node that two plugins take for their own.
    fn shared(self, node: &Node, sources: &Sources) -> Option<Diagnostic> {
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
            "node `{}` stands for objects of `{one}` and of `{two}`",
            name.node
        );
        Some(name.span.error(Code::TwoSystems, message))
    }

    /// Finds what is wrong with the files that a blueprint names.
    pub fn check_files(self, blueprint: &Blueprint, folder: &Path, d: &mut Diagnostics) {
        self.0
            .iter()
            .for_each(|plugin| plugin.check_files(blueprint, folder, d));
    }

    /// The JSON Schema of blueprints, with what plugins know of the types that they carry out.
    #[must_use]
    pub fn json_schema(self) -> Json {
        let mut schema = crate::syntax::json_schema();
        self.0
            .iter()
            .for_each(|plugin| plugin.extend_schema(&mut schema));
        schema
    }

    /// The steps of an operation, made for a purpose; none if nothing can run it.
    #[must_use]
    pub fn lower(
        self,
        part: Part<'_>,
        (name, planned): (&str, &Planned),
        purpose: &Purpose<'_>,
    ) -> Option<Vec<Step>> {
        self.0
            .iter()
            .find_map(|plugin| plugin.lower(part, name, planned, purpose))
    }

    /// The steps of an operation of a relationship; none if nothing can run it.
    #[must_use]
    pub fn lower_relationship(
        self,
        ends: Ends<'_>,
        (name, planned): (&str, &Planned),
    ) -> Option<Vec<Step>> {
        self.0
            .iter()
            .find_map(|plugin| plugin.lower_relationship(ends, name, planned))
    }

    /// What a node stands for; none if nothing but the record stands for it.
    #[must_use]
    pub fn kind(self, node: &Definition) -> Option<&'static str> {
        self.of(node)?.kind(node)
    }

    /// Whether the object of a node is looked at, and not only the record.
    #[must_use]
    pub fn has_object(self, node: &Definition) -> bool {
        self.of(node).is_some_and(|plugin| plugin.is_observed(node))
    }

    /// Whether commands can be run in the object of a node, and it writes a log.
    #[must_use]
    pub fn has_shell(self, node: &Definition) -> bool {
        self.of(node).is_some_and(|plugin| plugin.has_shell(node))
    }

    /// Whether an instance stands for material that others are made from.
    #[must_use]
    pub fn is_material(self, deployment: &Deployment, instance: &str) -> bool {
        let instance = deployment.instance(instance);
        let node = instance.and_then(|instance| deployment.node(instance));
        node.is_some_and(|node| self.kind(node).is_some() && !self.has_object(node))
    }

    /// The name of the object of an instance, where it is known by now.
    #[must_use]
    pub fn name(self, part: Part<'_>) -> Option<String> {
        self.of(part.node)?.name(part)
    }

    /// Id of the object that the record knows. If it knows none, creating it finds the one that an
    /// interrupted run left behind; if it knows another, an adopted object was replaced.
    #[must_use]
    pub fn known_id<'r>(
        self,
        record: &'r Record,
        instance: &Instance,
        node: &Definition,
    ) -> Option<&'r str> {
        let property = self.of(node)?.id_property(node)?;
        record.properties(&instance.id)?.get(property)?.as_str()
    }

    /// For each instance the ids of those whose objects its own names, such as by links.
    #[must_use]
    pub fn uses(self, deployment: &Deployment) -> HashMap<String, Vec<String>> {
        let parts = || {
            deployment.instances.iter().filter_map(|instance| {
                let node = deployment.node(instance)?;
                let part = Part {
                    deployment,
                    instance,
                    node,
                };
                Some((part, self.of(node)?))
            })
        };
        let called: HashMap<Name, &str> = parts()
            .flat_map(|(part, plugin)| {
                let names = plugin.called(part).into_iter();
                names.map(move |name| (name, part.instance.id.as_str()))
            })
            .collect();
        let used = |(part, plugin): (Part<'_>, &dyn Plugin)| {
            let ids = plugin.names(part).into_iter();
            let ids = ids.filter_map(|name| called.get(&name).copied());
            let others = ids.filter(|id| *id != part.instance.id);
            (
                part.instance.id.clone(),
                others.map(str::to_owned).collect(),
            )
        };
        parts().map(used).collect()
    }

    /// What keeps an old object of an instance and the one that takes its place from being there at
    /// once, in words; none if they can.
    #[must_use]
    pub fn both_need(self, part: Part<'_>, former: &Definition) -> Option<String> {
        let old = self.exclusive(Part {
            node: former,
            ..part
        });
        clash(&old, &self.exclusive(part)).map(|it| it.shown.clone())
    }

    /// What an object needs for itself.
    #[must_use]
    pub fn exclusive(self, part: Part<'_>) -> Vec<Exclusive> {
        self.of(part.node)
            .map_or_else(Vec::new, |plugin| plugin.exclusive(part))
    }

    /// Whether the object of an instance is gone for good as soon as it is stopped.
    #[must_use]
    pub fn is_ephemeral(self, part: Part<'_>) -> bool {
        self.of(part.node)
            .is_some_and(|plugin| plugin.is_ephemeral(part))
    }

    /// Whether the object of a node stays when its deployment is taken down.
    #[must_use]
    pub fn outlives(self, node: &Definition) -> bool {
        self.of(node).is_some_and(|plugin| plugin.outlives(node))
    }

    /// How far an instance is from being installed.
    #[must_use]
    pub fn standing(self, at: At<'_>) -> Standing {
        match self.of(at.part.node) {
            // What is looked at only when it is used.
            Some(plugin) if plugin.is_observed(at.part.node) => plugin.standing(at),
            _ => by_record(at),
        }
    }

    /// Whether an object is as its node says: it runs, is there, or ended as it was to end.
    #[must_use]
    pub fn is_as_wanted(self, node: &Definition, object: &Object) -> bool {
        self.of(node)
            .is_some_and(|plugin| plugin.is_done(node, object))
    }

    /// Whether there is an object of an instance that is as its node says.
    #[must_use]
    pub fn is_done(self, instance: &Instance, node: &Definition, observed: &Observed) -> bool {
        self.object_of(node, instance, observed)
            .is_some_and(|object| self.is_as_wanted(node, object))
    }

    /// What it takes to make an instance what its node says now.
    #[must_use]
    pub fn change(self, at: At<'_>) -> Change {
        let former = at.known().and_then(|known| known.former.as_deref());
        let plugin = self.of(at.part.node);
        let does_nothing = at.part.node.operations.is_empty()
            && former.is_none_or(|former| former.operations.is_empty());
        match plugin {
            Some(plugin) => plugin.change(at),
            None if does_nothing => Change::Nothing,
            None => Change::Remake,
        }
    }

    /// How another object takes the place of the one that was made from `former`.
    #[must_use]
    pub fn replacement(self, part: Part<'_>, former: &Definition) -> Option<Replacement> {
        self.of(part.node)?.replacement(part, former)
    }

    /// Whether another object can take the place of a node's.
    #[must_use]
    pub fn is_replaceable(self, part: Part<'_>) -> bool {
        !part.node.is_adopted() && self.replacement(part, part.node).is_some()
    }

    /// Whether what a step did, as the journal has it, still stands: then it need not be done
    /// again.
    #[must_use]
    pub fn still_done(
        self,
        step: &Step,
        instance: &Instance,
        node: &Definition,
        observed: &Observed,
    ) -> bool {
        match self.by_id(&step.plugin) {
            Some(plugin) => plugin.still_done(step, node, observed.of(&instance.id)),
            None => step.is_nothing(),
        }
    }

    /// Whether a step has nothing to do for an object that is there.
    #[must_use]
    pub fn is_needless(self, step: &Step, object: Option<&Object>) -> bool {
        let plugin = self.by_id(&step.plugin).zip(object);
        plugin.is_some_and(|(plugin, object)| plugin.is_needless(step, object))
    }

    /// Files that a step needs.
    #[must_use]
    pub fn files(self, step: &Step) -> Vec<Need> {
        self.by_id(&step.plugin)
            .map_or_else(Vec::new, |plugin| plugin.files(step))
    }

    /// Whether an operation makes or starts an object.
    #[must_use]
    pub fn makes_or_starts(self, planned: &Planned) -> bool {
        self.0.iter().any(|plugin| plugin.makes_or_starts(planned))
    }

    /// Whether an operation makes an object from the properties of its node.
    #[must_use]
    pub fn reads_properties(self, planned: &Planned) -> bool {
        self.0.iter().any(|plugin| plugin.reads_properties(planned))
    }

    /// Runtime properties that may repeat what a container or a script wrote.
    #[must_use]
    pub fn untrusted(self) -> Vec<&'static str> {
        self.0
            .iter()
            .flat_map(|plugin| plugin.untrusted().iter().copied())
            .collect()
    }

    /// Whether nothing of an instance can exist: where it would be was never known, and no object of
    /// it is.
    #[must_use]
    pub fn is_out_of_reach(self, at: At<'_>) -> bool {
        let (part, id) = (at.part, &at.part.instance.id);
        let is_late = self
            .of(part.node)
            .is_some_and(|plugin| plugin.target(part).is_late());
        is_late
            && self.known_id(at.record, part.instance, part.node).is_none()
            && at.observed.of(id).is_none()
    }

    /// The object that stands for an instance: created for it, or adopted by it.
    #[must_use]
    pub fn object_of<'o>(
        self,
        node: &Definition,
        instance: &Instance,
        observed: &'o Observed,
    ) -> Option<&'o Object> {
        let adopted = || {
            let name = self.of(node)?.adopts(node)?;
            observed.named(&instance.id, &name)
        };
        observed.of(&instance.id).or_else(adopted)
    }

    /// The object of an instance, to carry a step out in it.
    ///
    /// # Errors
    ///
    /// If nothing is known of it, or of where it is.
    pub fn reached(self, scene: Scene<'_>, instance: &str) -> Result<Reached, String> {
        let Scene {
            deployment,
            record,
            secrets,
        } = scene;
        let found = deployment.instance(instance);
        let part = found.and_then(|found| Part::of(deployment, found));
        let unknown = || format!("nothing is known of an object of `{instance}`");
        let part = part.ok_or_else(unknown)?;
        let plugin = self.of(part.node).ok_or_else(unknown)?;
        let object = self.known_id(record, part.instance, part.node);
        let around = Around::of(record, instance, secrets);
        Ok(Reached {
            plugin: plugin.id().to_owned(),
            target: plugin.target(part).bind(&around)?,
            object: object.ok_or_else(unknown)?.to_owned(),
        })
    }

    /// Where the objects of each instance are. One that cannot be told yet is left out: nothing of
    /// the instance exists.
    ///
    /// # Errors
    ///
    /// If it cannot be told of an instance whose object exists.
    pub fn places(self, scene: Scene<'_>) -> Result<Places, String> {
        let Scene {
            deployment,
            record,
            secrets,
        } = scene;
        let mut places = Places::new();
        for instance in &deployment.instances {
            let Some(node) = deployment.node(instance) else {
                continue;
            };
            let Some(plugin) = self.of(node) else {
                continue;
            };
            let part = Part {
                deployment,
                instance,
                node,
            };
            let object = self.known_id(record, instance, node).map(str::to_owned);
            let around = Around::of(record, &instance.id, secrets);
            match plugin.target(part).bind(&around) {
                Ok(target) => {
                    let plugin = plugin.id().to_owned();
                    let place = Whereabouts {
                        plugin,
                        target,
                        object,
                    };
                    places.insert(instance.id.clone(), place);
                }
                Err(message) if object.is_some() => {
                    return Err(format!("`{}`: {message}", instance.id));
                }
                Err(_) => {}
            }
        }
        Ok(places)
    }
}

/// The places of the instances that belong to a plugin.
pub(super) fn places_of(id: &str, places: &Places) -> Places {
    let mine = places.iter().filter(|(_, place)| place.plugin == id);
    mine.map(|(instance, place)| (instance.clone(), place.clone()))
        .collect()
}
