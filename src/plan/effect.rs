//! The effect of a stage on each instance, as a plan shows it.

use super::PlanInput;
use crate::{
    model::{Definition, Deployment, Difference, Instance, InstanceState},
    plugins::{InstanceRef, JoinedNetwork},
    seam::{Drift, Effect},
    stage::{Stage, Task, TaskId},
};
use serde::Serialize;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt,
};

/// The effect of a stage on an instance, in ascending order of weight.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PlannedEffect {
    /// No effect.
    #[default]
    None,
    /// Operations run; the object remains.
    Run,
    /// The object is stopped.
    Stop,
    /// The object is started, or dockctl waits for it.
    Start,
    /// The object is updated in place.
    Update,
    /// The change is refused.
    Refused,
    /// An existing object is adopted.
    Adopt,
    /// The instance is created.
    Create,
    /// The instance is removed.
    Remove,
    /// The instance is recreated.
    Recreate,
}

impl PlannedEffect {
    /// Returns the sign shown before the instance in a plan.
    #[must_use]
    pub fn sign(self) -> char {
        match self {
            Self::None => ' ',
            Self::Run | Self::Stop | Self::Start | Self::Update => '~',
            Self::Refused => '!',
            Self::Create | Self::Adopt => '+',
            Self::Remove => '-',
            Self::Recreate => '±',
        }
    }
}

impl fmt::Display for PlannedEffect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::None => "nothing",
            Self::Run => "run",
            Self::Stop => "stop",
            Self::Start => "start",
            Self::Update => "update in place",
            Self::Refused => "refused",
            Self::Adopt => "adopt",
            Self::Create => "create",
            Self::Remove => "remove",
            Self::Recreate => "recreate",
        })
    }
}

/// The planned effect on one instance, and its reason.
#[derive(Clone, Debug, PartialEq)]
pub struct InstanceEffect {
    /// ID of the instance.
    pub instance: String,
    /// Its node.
    pub node: String,
    /// The effect.
    pub effect: PlannedEffect,
    /// The reason.
    pub reason: String,
    /// Differences between the object and the present definition.
    pub fields: Vec<Difference>,
    /// Why the predecessor cannot be restored if the successor fails.
    pub no_rollback: Option<String>,
    /// Instances that have relationships to it.
    pub dependents: Vec<String>,
    /// Instances that must be done first.
    pub after: Vec<String>,
    /// Its tasks in the stage.
    pub tasks: Vec<TaskId>,
}

/// Summarizes the effect of a stage on existing instances; none if it only adds instances.
pub(crate) fn summary(known: &PlanInput<'_>, stage: &Stage) -> Option<String> {
    let touched: Vec<InstanceEffect> = instance_effects(known, stage)
        .into_iter()
        .filter(|it| {
            !matches!(
                it.effect,
                PlannedEffect::None | PlannedEffect::Create | PlannedEffect::Adopt
            )
        })
        .collect();
    let text = tally_text(&touched);
    (!text.is_empty()).then_some(text)
}

/// Returns the effect of a stage on every instance: affected instances in the order of the stage,
/// then unaffected ones.
#[must_use]
pub fn instance_effects(known: &PlanInput<'_>, stage: &Stage) -> Vec<InstanceEffect> {
    let mut tasks: indexmap::IndexMap<&str, Vec<TaskId>> = indexmap::IndexMap::new();
    for id in stage.ids() {
        tasks.entry(&stage.task(id).instance).or_default().push(id);
    }
    let used_by = dependents(known);
    let touched = tasks
        .iter()
        .map(|(instance, tasks)| instance_effect(known, stage, instance, tasks.clone(), &used_by));
    let idle = known
        .deployment
        .instances
        .iter()
        .filter(|it| !tasks.contains_key(it.id.as_str()));
    let mut all: Vec<InstanceEffect> = touched
        .chain(idle.map(|it| instance_effect(known, stage, &it.id, Vec::new(), &used_by)))
        .collect();
    add_lost_networks(known, stage, &mut all);
    add_lost_addresses(known, &mut all);
    all
}

/// Notes which predecessors cannot be restored as they were because a network that they use is
/// removed first: a new one needs its name or its subnet.
fn add_lost_networks(known: &PlanInput<'_>, stage: &Stage, effects: &mut [InstanceEffect]) {
    let removals = stage.tasks().iter();
    let removals = removals.filter(|task| task.step.effect() == Effect::Removes);
    for removal in removals.filter(|task| !task.outdates.is_empty()) {
        let object = known.observed.of_instance(&removal.instance);
        let name = object.map_or(&removal.instance, |it| &it.name);
        let is_user = |it: &&mut InstanceEffect| {
            it.effect == PlannedEffect::Recreate && removal.outdates.contains(&it.instance)
        };
        for user in effects.iter_mut().filter(is_user) {
            let why = || format!("`{name}`, which the old container uses, is removed first");
            user.no_rollback.get_or_insert_with(why);
        }
    }
}

/// Notes which predecessors cannot be restored because a network is replaced on which they have a
/// fixed address, and their successors have not.
fn add_lost_addresses(known: &PlanInput<'_>, effects: &mut [InstanceEffect]) {
    let recreated = |it: &&InstanceEffect| it.effect == PlannedEffect::Recreate;
    let network = |it: &InstanceEffect| {
        let part = InstanceRef::of(known.deployment, known.deployment.instance(&it.instance)?)?;
        let is_network = known.plugins.kind(part.node) == Some("network");
        known.plugins.name(part).filter(|_| is_network)
    };
    let all = effects.iter().filter(recreated);
    let networks: BTreeSet<String> = all.filter_map(network).collect();
    if networks.is_empty() {
        return;
    }
    let as_created = known.record.as_created(known.deployment);
    let joined = |deployment: &Deployment, id: &str| -> Vec<JoinedNetwork> {
        let instance = deployment.instance(id);
        let part = instance.and_then(|it| InstanceRef::of(deployment, it));
        part.map(|it| known.plugins.joined_networks(it))
            .unwrap_or_default()
    };
    for effect in effects.iter_mut().filter(|it| recreated(&&**it)) {
        let after = joined(known.deployment, &effect.instance);
        let before = joined(&as_created, &effect.instance).into_iter();
        let mut lost = before.filter(|it| networks.contains(&it.network) && !after.contains(it));
        let lost = lost.find_map(|it| Some((it.address?, it.network)));
        if let Some((address, network)) = lost.filter(|_| effect.no_rollback.is_none()) {
            let why = format!(
                "network `{network}` is replaced, where the old container has the address {address}"
            );
            effect.no_rollback = Some(why);
        }
    }
}

fn dependents<'k>(known: &PlanInput<'k>) -> HashMap<&'k str, Vec<String>> {
    let mut all: HashMap<&str, Vec<String>> = HashMap::new();
    for instance in &known.deployment.instances {
        for relationship in &instance.relationships {
            let users = all.entry(relationship.target.as_str()).or_default();
            if !users.contains(&instance.id) {
                users.push(instance.id.clone());
            }
        }
    }
    all
}

fn instance_effect(
    known: &PlanInput<'_>,
    stage: &Stage,
    id: &str,
    tasks: Vec<TaskId>,
    used_by: &HashMap<&str, Vec<String>>,
) -> InstanceEffect {
    let instance: Option<&Instance> = known.deployment.instance(id);
    let node = tasks
        .first()
        .map(|task| stage.task(*task).node.clone())
        .or_else(|| instance.map(|it| it.node.clone()));
    let definition = instance.and_then(|instance| known.deployment.node(instance));
    let former: Option<&Definition> = known
        .record
        .instances
        .get(id)
        .and_then(|known| known.former.as_deref());
    let mut fields = former
        .zip(definition)
        .map(|(former, now)| former.differences(now))
        .unwrap_or_default();
    let drift = known
        .observed
        .of_instance(id)
        .into_iter()
        .filter(|_| former.is_none())
        .flat_map(|object| &object.drift);
    let repaired = |drift: &Drift| Difference {
        field: drift.field.clone(),
        before: Some(drift.present.clone()),
        after: Some(drift.declared.clone()),
    };
    fields.extend(drift.map(repaired));
    let moved = known.observed.moved.get(id).into_iter().flatten();
    fields.extend(moved.cloned());
    let compared = known
        .observed
        .of_instance(id)
        .into_iter()
        .filter(|_| former.is_none())
        .flat_map(|object| &object.comparison.differing);
    fields.extend(compared.map(|field| Difference {
        field: field.clone(),
        before: None,
        after: None,
    }));
    InstanceEffect {
        instance: id.to_owned(),
        node: node.unwrap_or_default(),
        effect: effect(known, stage, &tasks),
        reason: reason(stage, &tasks),
        fields,
        no_rollback: instance
            .zip(definition)
            .and_then(|it| no_rollback(known, stage, it, &tasks)),
        dependents: used_by.get(id).cloned().unwrap_or_default(),
        after: after(stage, id, &tasks),
        tasks,
    }
}

/// Returns the reason for the effect, or for its refusal.
fn reason(stage: &Stage, tasks: &[TaskId]) -> String {
    let refused = tasks
        .iter()
        .find_map(|task| stage.task(*task).step.refusal().map(str::to_owned));
    refused
        .or_else(|| Some(stage.task(*tasks.first()?).cause.clone()))
        .unwrap_or_default()
}

/// Returns why the predecessor cannot be restored: it disappears when it is stopped, and must be
/// stopped before the successor starts.
fn no_rollback(
    known: &PlanInput<'_>,
    stage: &Stage,
    (instance, node): (&Instance, &Definition),
    tasks: &[TaskId],
) -> Option<String> {
    let has = |effect: Effect| {
        tasks
            .iter()
            .any(|task| stage.task(*task).step.effect() == effect)
    };
    let former = known.record.object_definition(instance, node);
    let is_lost = has(Effect::Replaces)
        && has(Effect::Stops)
        && known.plugins.is_ephemeral(known.part(instance, former));
    if !is_lost {
        return None;
    }
    let removed = "the engine removes the old container when it stops (`auto_remove`)";
    if stage.exchange_of(&instance.id).is_some() {
        return Some(format!("{removed}, and it stops for an exchange"));
    }
    let part = known.part(instance, node);
    let shared = known.plugins.exclusive_conflict(part, former)?;
    Some(format!("{removed}, and both containers need {shared}"))
}

fn effect(known: &PlanInput<'_>, stage: &Stage, tasks: &[TaskId]) -> PlannedEffect {
    let effects: Vec<Effect> = tasks
        .iter()
        .map(|task| stage.task(*task).step.effect())
        .collect();
    let has = |effect: Effect| effects.contains(&effect);
    match () {
        () if has(Effect::Refuses) => PlannedEffect::Refused,
        () if has(Effect::Replaces) || (has(Effect::Removes) && has(Effect::Creates)) => {
            PlannedEffect::Recreate
        }
        () if has(Effect::Removes) => PlannedEffect::Remove,
        () if has(Effect::Creates) => PlannedEffect::Create,
        () if has(Effect::Adopts) => PlannedEffect::Adopt,
        () if has(Effect::Adjusts) => PlannedEffect::Update,
        () if has(Effect::Starts) => PlannedEffect::Start,
        () if has(Effect::Stops) => PlannedEffect::Stop,
        () if tasks.is_empty() => PlannedEffect::None,
        () if tasks
            .iter()
            .all(|id| only_updates_record(known, stage.task(*id))) =>
        {
            PlannedEffect::None
        }
        () => effect_by_state(stage, tasks),
    }
}

/// Returns true if the task only updates the record of a started instance.
fn only_updates_record(known: &PlanInput<'_>, task: &Task) -> bool {
    task.step.has_no_action()
        && task.state_after == Some(InstanceState::Started)
        && known.record.state(&task.instance) == InstanceState::Started
}

/// Returns the effect according to instance states, for tasks that call no engine.
fn effect_by_state(stage: &Stage, tasks: &[TaskId]) -> PlannedEffect {
    let ends: Vec<_> = tasks
        .iter()
        .filter_map(|task| stage.task(*task).state_after)
        .collect();
    let is_taken_down = ends.iter().any(|state| state.is_gone());
    let is_created = ends.contains(&InstanceState::Started);
    match (is_taken_down, is_created) {
        (true, true) => PlannedEffect::Recreate,
        (true, false) => PlannedEffect::Remove,
        (false, true) => PlannedEffect::Create,
        (false, false) => PlannedEffect::Run,
    }
}

/// Returns at most eight instances that must be done first. Instances that only share an image do
/// not count.
fn after(stage: &Stage, id: &str, tasks: &[TaskId]) -> Vec<String> {
    let needs = tasks
        .iter()
        .map(|task| stage.task(*task))
        .filter(|task| !task.step.obtains_material())
        .flat_map(|task| &task.needs);
    let names = needs
        .map(|need| stage.task(*need).instance.clone())
        .filter(|instance| instance != id);
    let mut names: Vec<String> = names
        .collect::<indexmap::IndexSet<_>>()
        .into_iter()
        .collect();
    names.truncate(8);
    names
}

/// Counts the instances by effect.
#[must_use]
pub fn tally(effects: &[InstanceEffect]) -> BTreeMap<PlannedEffect, usize> {
    let mut all = BTreeMap::new();
    for effect in effects {
        *all.entry(effect.effect).or_default() += 1;
    }
    all
}

/// Returns the tally as text: `2 to create, 1 to recreate`. Empty if nothing happens.
#[must_use]
pub fn tally_text(effects: &[InstanceEffect]) -> String {
    let parts = tally(effects)
        .into_iter()
        .filter(|(effect, _)| *effect != PlannedEffect::None);
    let text = |(effect, number)| {
        if effect == PlannedEffect::Refused {
            format!("{number} refused")
        } else {
            format!("{number} to {effect}")
        }
    };
    parts.map(text).collect::<Vec<_>>().join(", ")
}
