//! Objects that a stage refers to and that do not exist, or do not run.

use super::{PlanInput, order::Order};
use crate::{
    model::Instance,
    seam::{Effect, Object, ObjectState},
    stage::{Parameters, Selection, Stage},
};
use std::{collections::HashMap, fmt};

/// An object that an instance needs in a stage, and that the stage does not provide. A system may
/// refuse to continue halfway, or create an object in its place that belongs to nobody.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AbsentReference {
    /// ID of the instance.
    pub instance: String,
    /// ID of the instance whose object it needs.
    pub other: String,
    /// The object exists, but does not run.
    pub is_stopped: bool,
}

impl fmt::Display for AbsentReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            instance, other, ..
        } = self;
        if self.is_stopped {
            write!(
                f,
                "{instance} shares a namespace of {other}, which does not run"
            )
        } else {
            write!(f, "{instance} uses {other}, which is missing")
        }
    }
}

/// Returns the objects that the instances of a stage need and that it does not provide. A whole
/// deployment is installed and repaired as far as possible: nothing is returned for that.
pub(super) fn find(
    known: &PlanInput<'_>,
    parameters: &Parameters,
    stage: &Stage,
) -> Vec<AbsentReference> {
    use Parameters::{Heal, Install, Reinstall, Restart, Rollback, Scale, Start};
    let is_whole = *parameters.selection() == Selection::All;
    match parameters {
        Install(_) | Heal(_) | Rollback(_) if is_whole => return Vec::new(),
        Install(_) | Heal(_) | Rollback(_) | Reinstall(_) | Restart(_) | Scale(_) | Start(_) => {}
        _ => return Vec::new(),
    }
    let order = Order::new(known.deployment, known.plugins);
    let finder = Finder::new(known, &order, stage);
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
    order: &'a Order<'a>,
    /// The effects of the stage on each instance.
    effects: HashMap<&'a str, Vec<Effect>>,
}

impl<'a> Finder<'a> {
    fn new(known: &'a PlanInput<'a>, order: &'a Order<'a>, stage: &'a Stage) -> Self {
        let mut effects: HashMap<&str, Vec<Effect>> = HashMap::new();
        for task in stage.tasks() {
            let of_instance = effects.entry(&task.instance).or_default();
            of_instance.push(task.step.effect());
        }
        Self {
            known,
            order,
            effects,
        }
    }

    fn has(&self, instance: &str, is_it: impl Fn(Effect) -> bool) -> bool {
        let effects = self.effects.get(instance).into_iter().flatten();
        effects.copied().any(is_it)
    }

    /// Returns the objects that an instance refers to and that are missing.
    fn missing(&self, instance: &Instance) -> Vec<AbsentReference> {
        let comes_up = |effect| provides(effect) || effect == Effect::Starts;
        if !self.has(&instance.id, comes_up) {
            return Vec::new();
        }
        let needed = self.order.references_of(instance);
        let missing = needed.filter(|id| self.is_missing(id) && !self.has(id, provides));
        missing
            .map(|other| AbsentReference {
                instance: instance.id.clone(),
                other: other.to_owned(),
                is_stopped: false,
            })
            .collect()
    }

    fn is_missing(&self, id: &str) -> bool {
        let PlanInput {
            deployment,
            record,
            observed,
            plugins,
            ..
        } = *self.known;
        let instance = deployment.instance(id);
        let node = instance.and_then(|it| Some((it, deployment.node(it)?)));
        node.is_some_and(|(instance, node)| {
            let node = record.object_definition(instance, node);
            plugins.is_observed(node)
                && !node.is_adopted()
                && !observed.is_unseen(id)
                && plugins.object_of(node, instance, observed).is_none()
        })
    }

    /// Returns the instances whose namespaces an instance shares and that do not run.
    fn stopped(&self, instance: &Instance) -> Vec<AbsentReference> {
        if !self.has(&instance.id, |it| it == Effect::Starts) {
            return Vec::new();
        }
        let observed = self.known.observed;
        let object = observed.of_instance(&instance.id).into_iter();
        let joined = object
            .flat_map(|it| &it.namespaces)
            .filter_map(|shared| observed.by_id(&shared.joined))
            .filter(|owner| is_down(owner));
        let others = joined.filter_map(|owner| Some(&owner.owner.as_ref()?.instance));
        others
            .filter(|other| !self.has(other, |it| it == Effect::Starts || provides(it)))
            .map(|other| AbsentReference {
                instance: instance.id.clone(),
                other: other.clone(),
                is_stopped: true,
            })
            .collect()
    }
}

fn is_down(object: &Object) -> bool {
    let states = [ObjectState::Created, ObjectState::Exited, ObjectState::Dead];
    states.contains(&object.state)
}

fn provides(effect: Effect) -> bool {
    matches!(effect, Effect::Creates | Effect::Adopts | Effect::Replaces)
}
