//! Restarts the objects that use namespaces of another object, after that one was started again.

use super::{PlanInput, Proposal, chain::Chain};
use crate::{
    model::{InstanceState, Retry},
    plugins::Plugins,
    record::Record,
    seam::{Drift, Effect, Object, ObjectState},
    stage::{Stage, Task},
};
use serde::Serialize;
use std::fmt;

/// Why they are restarted. The record recognizes the stage by it.
const CAUSE: &str = "an object whose namespaces it shares was started again";

/// Returns true if [`stage`] may plan anything.
pub(super) fn may_be_needed(record: &Record, plugins: Plugins) -> bool {
    let is_this = |task: &Task| task.cause == CAUSE;
    let was_planned = record.stage().tasks().iter().any(is_this);
    let deployment = record.deployment.as_ref();
    !was_planned && deployment.is_some_and(|it| plugins.has_followers(it))
}

/// Objects outside the deployment that share the network of an instance. They lose it when its
/// object is stopped, and nobody restarts them.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct ForeignSharers {
    /// ID of the instance.
    pub instance: String,
    /// Names of the objects.
    pub objects: Vec<String>,
}

impl fmt::Display for ForeignSharers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let instance = &self.instance;
        let names = self.objects.join("`, `");
        let restart = self.objects.join(" ");
        write!(
            f,
            "`{names}`, outside this deployment, shares the network of {instance} and loses it; restart it afterwards: docker restart {restart}"
        )
    }
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
        let (names, verb) = (
            followers.join(", "),
            if followers.len() == 1 {
                "shares"
            } else {
                "share"
            },
        );
        write!(
            f,
            "then started again: {names}, which {verb} namespaces of {instance}"
        )
    }
}

/// Returns the instances of the deployment that must start again after this stage.
pub(super) fn own(known: &PlanInput<'_>, stage: &Stage) -> Vec<Followers> {
    let effects = |instance: &str| {
        let tasks = stage.tasks().iter();
        let tasks = tasks.filter(move |task| task.instance == instance);
        let effects = tasks.map(|task| task.step.effect());
        effects
            .filter(|effect| *effect != Effect::Nothing)
            .collect::<Vec<_>>()
    };
    let is_follower = |object: &&Object, owner: &Object| {
        let id = object.owner.as_ref().map_or("", |it| it.instance.as_str());
        let node = known
            .deployment
            .instance(id)
            .and_then(|it| known.deployment.node(it));
        object.namespaces_of.contains(&owner.id)
            && node.is_some_and(|node| !node.is_adopted())
            && known.record.state(id) == InstanceState::Started
            && effects(id).is_empty()
    };
    let objects = known.observed.objects();
    let of_owner = |owner: &Object| {
        let instance = &owner.owner.as_ref()?.instance;
        let effects = effects(instance);
        let is_stopped = effects.contains(&Effect::Stops) || owner.state != ObjectState::Running;
        let is_kept = effects
            .iter()
            .all(|effect| matches!(effect, Effect::Starts | Effect::Stops));
        let is_started_again = is_stopped && is_kept && effects.contains(&Effect::Starts);
        let followers = objects.iter().filter(|object| is_follower(object, owner));
        let mut followers: Vec<String> = followers
            .filter_map(|object| Some(object.owner.as_ref()?.instance.clone()))
            .collect();
        followers.sort();
        (is_started_again && !followers.is_empty()).then(|| Followers {
            instance: instance.clone(),
            followers,
        })
    };
    objects.iter().filter_map(of_owner).collect()
}

/// Returns the objects outside the deployment that lose the network of an instance in this stage.
pub(super) fn foreign(known: &PlanInput<'_>, stage: &Stage) -> Vec<ForeignSharers> {
    let loses_network = |object: &Object, task: &Task| match task.step.effect() {
        Effect::Stops | Effect::Removes | Effect::Replaces => true,
        Effect::Starts => object.state != ObjectState::Running,
        _ => false,
    };
    let is_used = |object: &&Object| !object.is_static() && !object.foreign_users.is_empty();
    let used = known.observed.objects().iter().filter(is_used);
    let of_object = |object: &Object| {
        let instance = &object.owner.as_ref()?.instance;
        let mut tasks = stage
            .tasks()
            .iter()
            .filter(|task| task.instance == *instance);
        tasks
            .any(|task| loses_network(object, task))
            .then(|| ForeignSharers {
                instance: instance.clone(),
                objects: object.foreign_users.clone(),
            })
    };
    used.filter_map(of_object).collect()
}

/// Plans to restart started instances whose objects use namespaces that no longer exist.
pub(super) fn stage(known: &PlanInput<'_>) -> Stage {
    let mut proposal = Proposal::default();
    if !may_be_needed(known.record, known.plugins) {
        return proposal.stage;
    }
    for instance in &known.deployment.instances {
        let is_started = known.record.state(&instance.id) == InstanceState::Started;
        let Some(node) = known.deployment.node(instance).filter(|_| is_started) else {
            continue;
        };
        let object = known.observed.of_instance(&instance.id);
        let stale = object.into_iter().flat_map(|it| &it.drift);
        for Drift { repair, .. } in stale.filter(|it| it.is_stale_start) {
            let mut chain = Chain::new(*known, (instance, node), CAUSE, &mut proposal);
            chain.push("start", repair.clone(), Retry::default(), Some(&node.place));
            chain.end_in(InstanceState::Started, "start");
        }
    }
    proposal.stage
}
