//! Restarts the objects that use namespaces of another object, after that one was started again.

use super::{PlanInput, Proposal, chain::Chain, order::Order};
use crate::{
    model::{InstanceState, Retry},
    plugins::Plugins,
    record::Record,
    seam::{
        DriftKind, Effect, ForeignSharers, Namespace, Object, ObjectState, SharedNamespace, Step,
    },
    stage::{Stage, Task, TaskId},
};
use serde::Serialize;
use std::{
    collections::{BTreeSet, HashMap},
    fmt,
};

/// Why they are restarted. The record recognizes the stage by it.
const CAUSE: &str = "an object whose namespaces it shares was started again";

/// Returns true if [`stage`] may plan anything.
pub(super) fn may_be_needed(record: &Record, plugins: Plugins) -> bool {
    let is_this = |task: &Task| task.cause == CAUSE;
    let was_planned = record.stage().tasks().iter().any(is_this);
    let deployment = record.deployment.as_ref();
    !was_planned && deployment.is_some_and(|it| plugins.has_followers(it))
}

/// Instances whose objects share namespaces of an instance that this stage starts again. They start
/// again in a later stage.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Followers {
    /// ID of the instance whose namespaces they share.
    pub instance: String,
    /// IDs of the followers.
    pub followers: Vec<String>,
}

impl fmt::Display for Followers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            instance,
            followers,
        } = self;
        let names = followers.join(", ");
        write!(
            f,
            "then started again: {names} (shared namespaces of {instance})"
        )
    }
}

/// Returns the instances of the deployment that must start again after this stage.
pub(super) fn own(known: &PlanInput<'_>, stage: &Stage) -> Vec<Followers> {
    let restarted = known.observed.objects().iter();
    let restarted = restarted.filter(|object| starts_again(stage, object));
    let of_owner = |owner: &Object| {
        let mut followers = Vec::new();
        add_followers(known, stage, owner, &mut followers);
        followers.sort();
        Some(Followers {
            instance: instance_of(owner)?.to_owned(),
            followers,
        })
    };
    let all = restarted.filter_map(of_owner);
    all.filter(|it| !it.followers.is_empty()).collect()
}

/// Adds the followers of an object, and their followers.
fn add_followers(
    known: &PlanInput<'_>,
    stage: &Stage,
    owner: &Object,
    followers: &mut Vec<String>,
) {
    let objects = known.observed.objects().iter();
    for object in objects.filter(|object| follows(known, stage, object, owner)) {
        let id = instance_of(object).unwrap_or_default();
        if !followers.iter().any(|known| known == id) {
            followers.push(id.to_owned());
            add_followers(known, stage, object, followers);
        }
    }
}

fn instance_of(object: &Object) -> Option<&str> {
    Some(object.owner.as_ref()?.instance.as_str())
}

/// Returns the effects of a stage on the object of an instance.
pub(super) fn effects<'s>(
    stage: &'s Stage,
    instance: &'s str,
) -> impl Iterator<Item = Effect> + 's {
    let tasks = stage.tasks().iter();
    let effects = tasks.filter(move |task| task.instance == instance);
    let effects = effects.map(|task| task.step.effect());
    effects.filter(|effect| *effect != Effect::Nothing)
}

/// Returns true if a stage neither removes nor replaces the object of an instance.
pub(super) fn keeps_object(stage: &Stage, instance: &str) -> bool {
    let ends = |effect| matches!(effect, Effect::Removes | Effect::Replaces | Effect::Creates);
    !effects(stage, instance).any(ends)
}

/// Returns true if a stage starts an object again, and does not recreate it.
fn starts_again(stage: &Stage, object: &Object) -> bool {
    let all: Vec<Effect> = instance_of(object)
        .into_iter()
        .flat_map(|instance| effects(stage, instance))
        .collect();
    let restarts = |task: &Task| is_restart(task) && Some(&*task.instance) == instance_of(object);
    let is_down =
        !is_up(object) || all.contains(&Effect::Stops) || stage.tasks().iter().any(restarts);
    let is_kept = |effect: &Effect| matches!(effect, Effect::Starts | Effect::Stops);
    is_down && all.contains(&Effect::Starts) && all.iter().all(is_kept)
}

/// Returns true if an object must start again after an owner of its namespaces, and the stage does
/// not touch it.
fn follows(known: &PlanInput<'_>, stage: &Stage, object: &Object, owner: &Object) -> bool {
    let instance = instance_of(object).and_then(|id| known.deployment.instance(id));
    let is_shared = object.namespaces.iter().any(|it| it.owner == owner.id)
        && !object
            .namespaces
            .iter()
            .any(|it| stays_down(known, stage, it, owner));
    let Some(instance) = instance.filter(|_| is_shared) else {
        return false;
    };
    let node = known.deployment.node(instance);
    node.is_some_and(|node| !node.is_adopted())
        && known.record.state(&instance.id) == InstanceState::Started
        && effects(stage, &instance.id).next().is_none()
}

/// Returns true if the object that a namespace is shared with does not run after this stage, and does
/// not follow the owner either. One that shares with it cannot start again.
fn stays_down(
    known: &PlanInput<'_>,
    stage: &Stage,
    shared: &SharedNamespace,
    owner: &Object,
) -> bool {
    let Some(joined) = known.observed.by_id(&shared.joined) else {
        return false;
    };
    let Some(instance) = instance_of(joined) else {
        return !is_up(joined);
    };
    let (mut starts, mut stops) = (false, false);
    for effect in effects(stage, instance) {
        starts |= matches!(effect, Effect::Starts | Effect::Creates | Effect::Replaces);
        stops |= effect == Effect::Stops;
    }
    let follows = joined.namespaces.iter().any(|it| it.owner == owner.id)
        && known.record.state(instance) == InstanceState::Started;
    !starts && (stops || !is_up(joined) && !follows)
}

/// Returns true if an object has its namespaces. A paused one keeps them.
fn is_up(object: &Object) -> bool {
    matches!(object.state, ObjectState::Running | ObjectState::Paused)
}

/// Returns these instances, whose objects end, and those whose objects share a namespace of them.
pub(super) fn losing(known: &PlanInput<'_>, ending: &BTreeSet<String>) -> BTreeSet<String> {
    let ends = |owner: &str| {
        let owner = known.observed.by_id(owner).and_then(instance_of);
        owner.is_some_and(|owner| ending.contains(owner))
    };
    let objects = known.observed.objects().iter();
    let sharers = objects.filter(|it| it.namespaces.iter().any(|it| ends(&it.owner)));
    let sharers = sharers.filter_map(instance_of).map(str::to_owned);
    sharers.chain(ending.iter().cloned()).collect()
}

/// Returns true if the namespace that foreign objects share with an instance ends. Returns false if
/// the instance only shares it and its owner keeps running.
pub(super) fn ends_namespace(
    known: &PlanInput<'_>,
    ending: &BTreeSet<String>,
    sharers: &ForeignSharers,
) -> bool {
    let is_ending = |shared: &SharedNamespace| {
        let owner = known.observed.by_id(&shared.owner).and_then(instance_of);
        owner.is_some_and(|owner| ending.contains(owner))
    };
    let object = known.observed.of_instance(&sharers.instance);
    let mut shared = object.into_iter().flat_map(|it| &it.namespaces);
    if let Some(shared) = shared.clone().find(|it| it.namespace == sharers.namespace) {
        return is_ending(shared);
    }
    // It ends with the processes that it shares.
    ending.contains(&sharers.instance)
        || shared.any(|it| it.namespace == Namespace::Processes && is_ending(it))
}

/// Returns true if a task repairs drift by a restart.
fn is_restart(task: &Task) -> bool {
    task.operation == "update" && task.step.effect() == Effect::Starts
}

/// Returns the IDs of the instances whose objects end in this stage or because of it, and their
/// namespaces with them.
pub(super) fn ending(known: &PlanInput<'_>, stage: &Stage) -> BTreeSet<String> {
    let ends = |object: &Object, task: &Task| match task.step.effect() {
        Effect::Stops | Effect::Removes | Effect::Replaces => true,
        Effect::Starts => !is_up(object) || is_restart(task),
        _ => false,
    };
    let of_object = |object: &Object| {
        let instance = &object.owner.as_ref()?.instance;
        let mut tasks = stage.tasks().iter();
        let is_ending = tasks.any(|task| task.instance == *instance && ends(object, task));
        is_ending.then(|| instance.clone())
    };
    let objects = known.observed.objects().iter();
    let ending = objects.filter(|it| !it.is_static()).filter_map(of_object);
    let followers = own(known, stage).into_iter().flat_map(|it| it.followers);
    ending.chain(followers).collect()
}

/// Plans to start instances again whose objects use namespaces that no longer exist, and then those
/// that use namespaces of these.
pub(super) fn stage(known: &PlanInput<'_>) -> Stage {
    let mut proposal = Proposal::default();
    if !may_be_needed(known.record, known.plugins) {
        return proposal.stage;
    }
    // The last task of each instance that starts again, by the ID of its object.
    let mut restarted: HashMap<&str, TaskId> = HashMap::new();
    for instance in Order::new(known.deployment, known.plugins).instances() {
        let is_started = known.record.state(&instance.id) == InstanceState::Started;
        let node = known.deployment.node(instance).filter(|_| is_started);
        let object = known.observed.of_instance(&instance.id);
        let (Some(node), Some(object)) = (node, object) else {
            continue;
        };
        let (again, after) = start_again(object, &restarted);
        let can_join = |shared: &SharedNamespace| {
            let joined = known.observed.by_id(&shared.joined);
            joined.is_none_or(|it| is_up(it) || restarted.contains_key(it.id.as_str()))
        };
        let can_start = object.namespaces.iter().all(can_join);
        let Some(again) = again.filter(|_| can_start && !node.is_adopted()) else {
            continue;
        };
        let mut chain = Chain::new(*known, (instance, node), CAUSE, &mut proposal);
        chain.after = after;
        chain.push("start", again, Retry::default(), Some(&node.place));
        chain.end_in(InstanceState::Started, "start");
        restarted.extend(chain.last.map(|last| (object.id.as_str(), last)));
    }
    proposal.stage
}

/// Returns the step that starts an object again, if it must, and the tasks that it waits for.
fn start_again(object: &Object, restarted: &HashMap<&str, TaskId>) -> (Option<Step>, Vec<TaskId>) {
    let of_owner = |shared: &SharedNamespace| restarted.get(shared.owner.as_str()).copied();
    let of_joined = |shared: &SharedNamespace| restarted.get(shared.joined.as_str()).copied();
    let shared = object.namespaces.iter();
    let after = shared.flat_map(|it| of_owner(it).into_iter().chain(of_joined(it)));
    let after = after.collect();
    let mut stale = object
        .drift
        .iter()
        .filter(|it| it.kind == DriftKind::StaleStart);
    let stale = stale.next().map(|drift| drift.repair.clone());
    let mut lost = object.namespaces.iter();
    let lost = lost.find(|shared| of_owner(shared).is_some());
    (
        stale.or_else(|| lost.map(|shared| shared.again.clone())),
        after,
    )
}
