//! Objects that a stage refers to and that do not exist, or do not run.

use super::PlanInput;
use crate::{
    model::{Definition, Instance, InstanceState},
    seam::{Effect, Object, ObjectState},
    stage::{Parameters, Selection, Stage},
};
use std::{
    collections::{HashMap, HashSet},
    fmt,
};

/// An object that an instance needs in a stage, and that the stage does not provide. A system may
/// refuse to continue halfway, or create an object in its place that belongs to nobody.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AbsentReference {
    /// ID of the instance.
    pub instance: String,
    /// ID of the instance whose object it needs.
    pub other: String,
    /// Why it is absent.
    pub reason: AbsenceReason,
}

/// Why an object is absent. It decides which command provides the object.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum AbsenceReason {
    /// It was not created, or was uninstalled.
    NotInstalled,
    /// An update has not created it yet.
    AwaitsUpdate,
    /// It was removed outside dockctl.
    Missing,
    /// It does not run.
    Stopped,
}

impl fmt::Display for AbsentReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            instance,
            other,
            reason,
        } = self;
        let why = match reason {
            AbsenceReason::NotInstalled => "is not installed",
            AbsenceReason::AwaitsUpdate => "an update has not created yet",
            AbsenceReason::Missing => "is missing",
            AbsenceReason::Stopped => "does not run",
        };
        write!(f, "{instance} needs {other}, which {why}")
    }
}

/// Leaves out of a repair the instances that cannot be repaired, because they need an object that it
/// does not provide. Returns those objects; for another workflow, all that its stage needs in vain.
pub(super) fn leave_out(
    known: &PlanInput<'_>,
    parameters: &Parameters,
    stage: &mut Stage,
) -> Vec<AbsentReference> {
    let mut absent = find(known, parameters, stage);
    if !matches!(parameters, Parameters::Heal(_)) {
        return absent;
    }
    // An instance that is left out may itself be needed.
    let mut new = absent.clone();
    while !new.is_empty() {
        let left_out: HashSet<&str> = new.iter().map(|it| it.instance.as_str()).collect();
        stage.retain(|task| !left_out.contains(task.instance.as_str()));
        new = find(known, parameters, stage);
        absent.extend(new.iter().cloned());
    }
    absent
}

/// Returns the objects that the instances of a stage need and that it does not provide. An install
/// of a whole deployment provides all.
fn find(known: &PlanInput<'_>, parameters: &Parameters, stage: &Stage) -> Vec<AbsentReference> {
    use Parameters::{Heal, Install, Reinstall, Restart, Scale, Start};
    let is_whole = *parameters.selection() == Selection::All;
    // What exists is started, or created again, as it was created.
    let as_created = known.record.as_created(known.deployment);
    let references = match parameters {
        Install(_) if is_whole => return Vec::new(),
        Heal(_) | Restart(_) | Start(_) => known.plugins.declared_references(&as_created),
        Install(_) | Reinstall(_) | Scale(_) => known.plugins.declared_references(known.deployment),
        _ => return Vec::new(),
    };
    let finder = Finder::new(known, references, stage);
    let instances = known.deployment.instances.iter();
    let of_instance = |it: &Instance| {
        let missing = finder.missing(it).into_iter();
        missing.chain(finder.stopped(it)).collect::<Vec<_>>()
    };
    let mut absent: Vec<AbsentReference> = instances.flat_map(of_instance).collect();
    absent.dedup();
    absent
}

/// Looks for the objects that the instances of a stage need.
struct Finder<'a> {
    known: &'a PlanInput<'a>,
    /// For each instance, the IDs of the instances to whose objects it refers.
    references: HashMap<String, Vec<String>>,
    /// The effects of the stage on each instance.
    effects: HashMap<&'a str, Vec<Effect>>,
}

impl<'a> Finder<'a> {
    fn new(
        known: &'a PlanInput<'a>,
        references: HashMap<String, Vec<String>>,
        stage: &'a Stage,
    ) -> Self {
        let mut effects: HashMap<&str, Vec<Effect>> = HashMap::new();
        for task in stage.tasks() {
            let of_instance = effects.entry(&task.instance).or_default();
            of_instance.push(task.step.effect());
        }
        Self {
            known,
            references,
            effects,
        }
    }

    fn has(&self, instance: &str, is_it: impl Fn(Effect) -> bool) -> bool {
        let effects = self.effects.get(instance).into_iter().flatten();
        effects.copied().any(is_it)
    }

    /// Returns the objects that an instance refers to and that are missing. An object that exists
    /// still needs its networks; links and volumes were resolved when it was created.
    fn missing(&self, instance: &Instance) -> Vec<AbsentReference> {
        let is_created = self.has(&instance.id, provides);
        let is_started = self.has(&instance.id, |it| it == Effect::Starts);
        let is_needed = |id: &&String| is_created || (is_started && self.is_network(id));
        let references = self.references.get(&instance.id).into_iter().flatten();
        let missing = references
            .filter(is_needed)
            .filter(|id| self.is_missing(id) && !self.has(id, provides));
        missing
            .map(|other| AbsentReference {
                instance: instance.id.clone(),
                other: other.clone(),
                reason: self.why_missing(other),
            })
            .collect()
    }

    fn is_network(&self, id: &str) -> bool {
        let instance = self.known.deployment.instance(id);
        let node = instance.and_then(|it| self.known.deployment.node(it));
        node.and_then(|it| self.known.plugins.kind(it)) == Some("network")
    }

    fn is_missing(&self, id: &str) -> bool {
        let PlanInput {
            observed, plugins, ..
        } = *self.known;
        self.defined(id).is_some_and(|(instance, node)| {
            let has_name = plugins.name(self.known.part(instance, node)).is_some();
            plugins.is_observed(node)
                && (!node.is_adopted() || has_name)
                && !observed.is_unseen(id)
                && plugins.object_of(node, instance, observed).is_none()
        })
    }

    /// Returns an instance with the definition of its object.
    fn defined(&self, id: &str) -> Option<(&Instance, &Definition)> {
        let PlanInput {
            deployment, record, ..
        } = *self.known;
        let instance = deployment.instance(id)?;
        let node = deployment.node(instance)?;
        Some((instance, record.object_definition(instance, node)))
    }

    fn why_missing(&self, id: &str) -> AbsenceReason {
        let record = self.known.record;
        let known = record.instances.get(id);
        match record.state(id) {
            // It was removed when it stopped.
            _ if known.is_some_and(|it| it.stays_stopped) => AbsenceReason::Stopped,
            InstanceState::Started | InstanceState::Stopped => AbsenceReason::Missing,
            InstanceState::Deleted if record.is_uninstalled(id) => AbsenceReason::NotInstalled,
            _ if record.has_outdated() => AbsenceReason::AwaitsUpdate,
            _ => AbsenceReason::NotInstalled,
        }
    }

    /// Returns the instances whose namespaces the object of an instance shares, and that do not run.
    /// A new object gets new namespaces.
    fn stopped(&self, instance: &Instance) -> Vec<AbsentReference> {
        let is_kept = !self.has(&instance.id, provides);
        if !is_kept || !self.has(&instance.id, |it| it == Effect::Starts) {
            return Vec::new();
        }
        let object = self.known.observed.of_instance(&instance.id);
        let namespaces = || object.into_iter().flat_map(|it| &it.namespaces);
        let is_joined = |other: &Object| namespaces().any(|it| it.joined == other.id);
        let references = self.references.get(&instance.id).into_iter().flatten();
        let down = references.filter(|other| {
            let object = self.object_of(other);
            object.is_some_and(|object| is_down(object) && is_joined(object))
        });
        down.filter(|other| !self.has(other, |it| it == Effect::Starts || provides(it)))
            .map(|other| AbsentReference {
                instance: instance.id.clone(),
                other: other.clone(),
                reason: AbsenceReason::Stopped,
            })
            .collect()
    }

    /// Returns the object of an instance, also one that it has only adopted.
    fn object_of(&self, id: &str) -> Option<&Object> {
        let (instance, node) = self.defined(id)?;
        let PlanInput {
            observed, plugins, ..
        } = *self.known;
        plugins.object_of(node, instance, observed)
    }
}

fn is_down(object: &Object) -> bool {
    let states = [ObjectState::Created, ObjectState::Exited, ObjectState::Dead];
    states.contains(&object.state)
}

fn provides(effect: Effect) -> bool {
    matches!(effect, Effect::Creates | Effect::Adopts | Effect::Replaces)
}
