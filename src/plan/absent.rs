//! Objects that a stage refers to and that do not exist, or do not run.

use super::{PlanInput, followers::effects, order::Order};
use crate::{
    model::Instance,
    seam::{Effect, Object, ObjectState},
    stage::{Parameters, Selection, Stage},
};
use std::fmt;

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

/// Returns the objects that the instances of a stage need in vain. A whole deployment is repaired as
/// far as possible, so this looks only at workflows with a selection, and at those that start what
/// exists.
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
    let instances = known.deployment.instances.iter();
    let of_instance = |it: &Instance| {
        let missing = missing(known, &order, stage, it);
        missing.chain(stopped(known, stage, it)).collect::<Vec<_>>()
    };
    instances.flat_map(of_instance).collect()
}

/// Returns the objects that an instance refers to and that are missing.
fn missing<'a>(
    known: &'a PlanInput<'_>,
    order: &'a Order<'_>,
    stage: &'a Stage,
    instance: &'a Instance,
) -> impl Iterator<Item = AbsentReference> + 'a {
    let comes_up = effects(stage, &instance.id).any(comes_up);
    let needed = order.references_of(instance).filter(move |_| comes_up);
    needed
        .filter(|other| is_missing(known, other) && !effects(stage, other).any(provides))
        .map(|other| AbsentReference {
            instance: instance.id.clone(),
            other: other.to_owned(),
            is_stopped: false,
        })
}

fn is_missing(known: &PlanInput<'_>, id: &str) -> bool {
    let instance = known.deployment.instance(id);
    let node = instance.and_then(|it| Some((it, known.deployment.node(it)?)));
    node.is_some_and(|(instance, node)| {
        let node = known.record.object_definition(instance, node);
        known.plugins.is_observed(node)
            && !node.is_adopted()
            && !known.observed.is_unseen(id)
            && known
                .plugins
                .object_of(node, instance, known.observed)
                .is_none()
    })
}

/// Returns the instances whose namespaces an instance shares and that do not run.
fn stopped<'a>(
    known: &'a PlanInput<'_>,
    stage: &'a Stage,
    instance: &'a Instance,
) -> impl Iterator<Item = AbsentReference> + 'a {
    let starts = effects(stage, &instance.id).any(|it| it == Effect::Starts);
    let object = known.observed.of_instance(&instance.id).filter(|_| starts);
    let owners = object.into_iter().flat_map(|it| &it.namespaces);
    let owners = owners.filter_map(|shared| known.observed.by_id(&shared.joined));
    let is_down = |owner: &Object| {
        let ends = |it| {
            matches!(
                it,
                ObjectState::Created | ObjectState::Exited | ObjectState::Dead
            )
        };
        ends(owner.state)
    };
    owners
        .filter(move |owner| is_down(owner))
        .filter_map(|owner| Some(owner.owner.as_ref()?.instance.clone()))
        .filter(|other| !effects(stage, other).any(|it| it == Effect::Starts || provides(it)))
        .map(|other| AbsentReference {
            instance: instance.id.clone(),
            other,
            is_stopped: true,
        })
}

fn provides(effect: Effect) -> bool {
    matches!(effect, Effect::Creates | Effect::Adopts | Effect::Replaces)
}

fn comes_up(effect: Effect) -> bool {
    provides(effect) || effect == Effect::Starts
}
