//! What the kernel asks about a system: pure, without any connection.

use super::Driver;
use crate::{
    author::Author,
    diagnostic::Diagnostics,
    engine::Connections,
    known::InstanceRecord,
    model::{Blueprint, Definition, Deployment, End, Instance, InstanceState, Planned},
    record::Record,
    seam::{Change, Need, Object, ObjectState, Observed, Purpose, Standing, Step, Target},
};
use serde_json::Value as Json;
use std::{path::Path, rc::Rc};

/// An instance, its node, and the deployment that it is a part of.
#[derive(Clone, Copy)]
pub struct Part<'a> {
    /// The deployment.
    pub deployment: &'a Deployment,
    /// The instance.
    pub instance: &'a Instance,
    /// Its node; of an instance that an update did not reach perhaps the former one.
    pub node: &'a Definition,
}

impl<'a> Part<'a> {
    /// An instance with its present node.
    #[must_use]
    pub fn of(deployment: &'a Deployment, instance: &'a Instance) -> Option<Self> {
        Some(Self {
            deployment,
            instance,
            node: deployment.node(instance)?,
        })
    }
}

/// Everything that planning looks at for one instance.
#[derive(Clone, Copy)]
pub struct At<'a> {
    /// What is declared.
    pub part: Part<'a>,
    /// What is known.
    pub record: &'a Record,
    /// What is there.
    pub observed: &'a Observed,
}

impl<'a> At<'a> {
    /// What is known of the instance.
    #[must_use]
    pub fn known(&self) -> Option<&'a InstanceRecord> {
        self.record.instances.get(&self.part.instance.id)
    }
}

/// The two ends of a relationship, and the one whose operation is run.
#[derive(Clone, Copy)]
pub struct Ends<'a> {
    /// The instance that has the relationship.
    pub source: Part<'a>,
    /// The instance that it points to; none if that is gone for good.
    pub target: Option<Part<'a>>,
    /// Whose operation it is.
    pub end: End,
}

/// A name that objects are called by in what is declared of others.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Name {
    /// What is named: names of different spaces are never the same.
    pub space: &'static str,
    /// The system that it is on; empty if that does not matter.
    pub on: String,
    /// The name.
    pub name: String,
}

/// Something that only one object can have at a time, such as a port of a host.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Exclusive {
    /// What kind of thing it is.
    pub kind: &'static str,
    /// Equal keys mean the same thing.
    pub key: String,
    /// In words.
    pub shown: String,
    /// Others that share it too do no harm.
    pub is_shared: bool,
}

/// The port of a host.
pub const PORT: &str = "port";

/// The first thing of one object that keeps another one from having what it needs.
#[must_use]
pub fn clash<'e>(one: &'e [Exclusive], other: &[Exclusive]) -> Option<&'e Exclusive> {
    let clashes = |mine: &&Exclusive| {
        let same = other
            .iter()
            .filter(|it| it.kind == mine.kind && it.key == mine.key);
        same.into_iter().any(|it| !(it.is_shared && mine.is_shared))
    };
    one.iter().find(clashes)
}

/// The steps that put another object in the place of one, on a system that cannot do that by
/// itself. The old object is there until the new one is known to work.
#[derive(Clone, Debug)]
pub struct Replacement {
    /// Stops the old object, where its own definition has no operation for that.
    pub stop: Step,
    /// Puts what was made in the place of the old object.
    pub swap: Step,
    /// Shows that the new object works; none if something else shows it.
    pub prove: Option<Step>,
    /// Removes the old object, or leaves it alone if it was adopted.
    pub discard: Step,
    /// Gives the old object its place back, and removes the new one.
    pub step_back: Step,
    /// Starts the old object there.
    pub put_back: Step,
}

/// What drivers are made with.
pub struct Settings {
    /// Who makes objects.
    pub author: Author,
    /// What several plugins share.
    pub connections: Rc<Connections>,
}

/// One family of operations. Pure and static; [`super::Driver`] is the same family with its
/// connections. What is not said here is right for something that only the record knows.
pub trait Plugin: Sync {
    /// Its name in steps and journals.
    fn id(&self) -> &'static str;

    /// Whether it can run an operation, as `validate` asks.
    fn supports(&self, plugin: &str, operation: &str) -> bool;

    /// The steps of an operation, made for a purpose; none if it is not one of the plugin's.
    fn lower(
        &self,
        part: Part<'_>,
        name: &str,
        planned: &Planned,
        purpose: &Purpose<'_>,
    ) -> Option<Vec<Step>>;

    /// Makes its driver, for one run. Nothing is connected to yet.
    fn connect(&self, settings: &Settings) -> Box<dyn Driver>;

    /// Whether it carries out what a blueprint's plugin of this name does.
    fn provides(&self, plugin: &str) -> bool {
        plugin == self.id()
    }

    /// Finds the faults of a blueprint that only it knows of.
    fn check(&self, _blueprint: &Blueprint, _d: &mut Diagnostics) {}

    /// Finds what is wrong with the files that a blueprint names.
    fn check_files(&self, _blueprint: &Blueprint, _folder: &Path, _d: &mut Diagnostics) {}

    /// The page on the arguments of its operations, in Markdown, if it has one.
    fn arguments(&self) -> Option<String> {
        None
    }

    /// Adds what it knows to the JSON Schema of blueprints.
    fn extend_schema(&self, _schema: &mut Json) {}

    /// The steps of an operation of a relationship; none if it is not one of the plugin's.
    fn lower_relationship(
        &self,
        _ends: Ends<'_>,
        _name: &str,
        _planned: &Planned,
    ) -> Option<Vec<Step>> {
        None
    }

    /// What a node stands for on the system; none if nothing but the record stands for it. A node
    /// belongs to the first plugin that says so.
    fn kind(&self, _node: &Definition) -> Option<&'static str> {
        None
    }

    /// Whether the object of a node is looked at between two steps; else only when it is used.
    fn is_observed(&self, node: &Definition) -> bool {
        self.kind(node).is_some()
    }

    /// Where the object is.
    fn target(&self, _part: Part<'_>) -> Target {
        Target::Default
    }

    /// The name of the object, where it is known by now.
    fn name(&self, _part: Part<'_>) -> Option<String> {
        None
    }

    /// The exact name or the id of the object that a node adopts.
    fn adopts(&self, _node: &Definition) -> Option<String> {
        None
    }

    /// The runtime property that holds the id of the object.
    fn id_property(&self, _node: &Definition) -> Option<&'static str> {
        None
    }

    /// Whether commands can be run in the object, and it writes a log.
    fn has_shell(&self, _node: &Definition) -> bool {
        false
    }

    /// What others call the object by.
    fn called(&self, _part: Part<'_>) -> Vec<Name> {
        Vec::new()
    }

    /// What the object calls others by.
    fn names(&self, _part: Part<'_>) -> Vec<Name> {
        Vec::new()
    }

    /// What the object needs for itself, as far as it is known by now.
    fn exclusive(&self, _part: Part<'_>) -> Vec<Exclusive> {
        Vec::new()
    }

    /// Whether the object is gone for good as soon as it is stopped.
    fn is_ephemeral(&self, _part: Part<'_>) -> bool {
        false
    }

    /// Whether the object stays when its deployment is taken down.
    fn outlives(&self, _node: &Definition) -> bool {
        false
    }

    /// How far an instance is from being installed.
    fn standing(&self, at: At<'_>) -> Standing {
        by_record(at)
    }

    /// Whether an object is as it should be: it runs, is there, or ended as it was to end.
    fn is_done(&self, _node: &Definition, object: &Object) -> bool {
        matches!(object.state, ObjectState::Running | ObjectState::Available)
    }

    /// What it takes to make an instance what its node says now.
    fn change(&self, _at: At<'_>) -> Change {
        Change::Remake
    }

    /// How another object takes the place of the one that was made from `former`; none if the
    /// system can do that by itself, or not at all.
    fn replacement(&self, _part: Part<'_>, _former: &Definition) -> Option<Replacement> {
        None
    }

    /// Whether what a step did, as the journal has it, still stands.
    fn still_done(&self, _step: &Step, _node: &Definition, _object: Option<&Object>) -> bool {
        true
    }

    /// Whether a step has nothing to do for an object that is there.
    fn is_needless(&self, _step: &Step, _object: &Object) -> bool {
        false
    }

    /// Files that a step needs, as far as they are known by now.
    fn files(&self, _step: &Step) -> Vec<Need> {
        Vec::new()
    }

    /// Whether an operation makes or starts an object.
    fn makes_or_starts(&self, _planned: &Planned) -> bool {
        false
    }

    /// Whether an operation makes an object from the properties of its node.
    fn reads_properties(&self, _planned: &Planned) -> bool {
        false
    }

    /// Runtime properties that may repeat what a container or a script wrote: what cannot be
    /// searched for secrets is left out whole.
    fn untrusted(&self) -> &'static [&'static str] {
        &[]
    }
}

/// What the record says of an instance that nothing else stands for.
#[must_use]
pub fn by_record(at: At<'_>) -> Standing {
    match at.record.state(&at.part.instance.id) {
        InstanceState::Started => Standing::UpToDate,
        _ => Standing::Absent,
    }
}
