//! Fixed addresses on networks: containers that have one start before containers that get any
//! address of the same network, because an engine could give them that address.

use super::{
    PlanInput,
    exchange::{Member, Role},
    task_graph::TaskGraph,
};
use crate::{
    plugins::InstanceRef,
    seam::{Effect, HeldAddress, Object, Target},
    stage::{PUT_BACK, Stage, TaskId},
};
use serde::Serialize;
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fmt,
};

/// A fixed address that another instance may get first, because it must start earlier.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct AddressRisk {
    /// ID of the instance with the address.
    pub instance: String,
    /// The address.
    pub address: String,
    /// Name of the network.
    pub network: String,
    /// IDs of the instances that start earlier.
    pub earlier: Vec<String>,
}

impl fmt::Display for AddressRisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            instance,
            address,
            network,
            earlier,
        } = self;
        let earlier = earlier.join(", ");
        write!(
            f,
            "{instance} depends on {earlier}, which may get its address {address} on network `{network}` first: give them fixed addresses too, or limit the others with `iprange` in `ipam` of the network"
        )
    }
}

/// A fixed address that another object has, which keeps it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct TakenAddress {
    /// ID of the instance that needs the address.
    pub instance: String,
    /// The address.
    pub address: String,
    /// Name of the network.
    pub network: String,
    /// Name of the object that has it.
    pub holder: String,
}

impl fmt::Display for TakenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            instance,
            address,
            network,
            holder,
        } = self;
        write!(
            f,
            "{instance} needs the address {address} on network `{network}`, which `{holder}` has: choose another address, or disconnect `{holder}` first"
        )
    }
}

/// Returns the fixed addresses of members that other objects have and do not give up.
pub(super) fn taken(known: &PlanInput<'_>, members: &[Member<'_>]) -> Vec<TakenAddress> {
    let new = members.iter().filter(|it| it.role != Role::Removed);
    let of_member = |member: &Member<'_>| {
        let part = known.part(member.instance, member.node);
        let joined = known.plugins.joined_networks(part).into_iter();
        let taken = joined.filter_map(|it| {
            let address = it.address?;
            let held = held_on(known, members, (part, &it.network))?;
            let held = held.iter().find(|held| held.address == address)?;
            (!gives_up(known, members, &held.object)).then(|| TakenAddress {
                instance: member.instance.id.clone(),
                address,
                network: it.network,
                holder: held.name.clone(),
            })
        });
        taken.collect::<Vec<_>>()
    };
    new.flat_map(of_member).collect()
}

/// Returns true if an object is that of a member: it is replaced or removed.
fn gives_up(known: &PlanInput<'_>, members: &[Member<'_>], object: &str) -> bool {
    let owner = known
        .observed
        .by_id(object)
        .and_then(|it| it.owner.as_ref());
    members.iter().any(|it| {
        let record = known.record.instances.get(&it.instance.id);
        let is_recorded = || record.is_some_and(|it| it.object_ids().iter().any(|id| id == object));
        owner.is_some_and(|owner| owner.instance == it.instance.id) || is_recorded()
    })
}

/// Returns the addresses on a network that an instance joins; none if the network is created again.
fn held_on<'k>(
    known: &PlanInput<'k>,
    members: &[Member<'_>],
    (part, network): (InstanceRef<'_>, &str),
) -> Option<&'k [HeldAddress]> {
    let target = known.plugins.target(part);
    let is_it = |object: &&Object| {
        let owner = object.owner.as_ref().map(|it| it.instance.as_str());
        let instance = owner.and_then(|it| known.deployment.instance(it));
        let owner = instance.and_then(|it| InstanceRef::of(known.deployment, it));
        let is_kept = |it: InstanceRef<'_>| {
            members
                .iter()
                .all(|other| other.instance.id != it.instance.id)
        };
        object.name == network
            && owner.is_some_and(|it| known.plugins.target(it) == target && is_kept(it))
    };
    let mut networks = known.observed.objects().iter();
    networks.find(is_it).map(|it| &*it.held_addresses)
}

/// The starts of instances on one network.
#[derive(Default)]
struct Starts {
    /// Instances with a fixed address, with their first start and the address.
    fixed: Vec<(String, TaskId, String)>,
    /// Instances that get any address.
    others: Vec<Other>,
}

/// An instance that gets any address.
struct Other {
    instance: String,
    start: TaskId,
    /// The task that stops it before that.
    stop: Option<TaskId>,
}

/// Lets instances without a fixed address start after those that have one, where their order allows
/// it. Returns the addresses for which it does not.
pub(super) fn order_starts(known: &PlanInput<'_>, stage: &mut Stage) -> Vec<AddressRisk> {
    let mut risks = Vec::new();
    let networks = starts_by_network(known, stage);
    let mut graph = TaskGraph::of(stage);
    let mut is_changed = false;
    for ((_, network), starts) in &networks {
        for (instance, start, address) in &starts.fixed {
            let mut earlier = Vec::new();
            let needed = graph.before([*start]);
            for other in starts.others.iter().filter(|it| it.instance != *instance) {
                // It keeps running until it can start again.
                let stop = other.stop.filter(|stop| !needed.contains(stop));
                let later = stop.unwrap_or(other.start);
                if needed.contains(&later) {
                    earlier.push(other.instance.clone());
                } else if !graph.tasks[later.0].needs.contains(start) {
                    graph.tasks[later.0].needs.push(*start);
                    is_changed = true;
                }
            }
            if !earlier.is_empty() {
                risks.push(AddressRisk {
                    instance: instance.clone(),
                    address: address.clone(),
                    network: network.clone(),
                    earlier,
                });
            }
        }
    }
    if is_changed {
        stage.rearrange(graph.tasks);
    }
    risks
}

/// Returns the starts on each network that has a fixed address, by engine and name.
fn starts_by_network(known: &PlanInput<'_>, stage: &Stage) -> BTreeMap<(usize, String), Starts> {
    let mut targets: Vec<Target> = Vec::new();
    let mut networks: BTreeMap<(usize, String), Starts> = BTreeMap::new();
    let as_created = (stage.restores.is_some()).then(|| known.record.as_created(known.deployment));
    let deployment = as_created.as_deref().unwrap_or(known.deployment);
    let stops = first_stops(stage);
    for (id, start) in starts(stage) {
        let instance = deployment.instance(id);
        let Some(part) = instance.and_then(|it| InstanceRef::of(deployment, it)) else {
            continue;
        };
        let target = known.plugins.target(part);
        let engine = targets
            .iter()
            .position(|it| *it == target)
            .unwrap_or(targets.len());
        if engine == targets.len() {
            targets.push(target);
        }
        let joined = known.plugins.joined_networks(part).into_iter();
        for joined in joined.filter(|it| !it.is_reserved) {
            let starts = networks.entry((engine, joined.network)).or_default();
            match joined.address {
                Some(address) => starts.fixed.push((id.to_owned(), start, address)),
                None => starts.others.push(Other {
                    instance: id.to_owned(),
                    start,
                    stop: stops.get(id).copied().filter(|stop| *stop < start),
                }),
            }
        }
    }
    networks.retain(|_, starts| !starts.fixed.is_empty());
    networks
}

/// Returns the task of each instance that starts its object, in the order of the stage: the first
/// start, or the last task that gives its place back to a predecessor.
fn starts(stage: &Stage) -> Vec<(&str, TaskId)> {
    let mut seen = HashSet::new();
    let all = || stage.ids().map(|id| (id, stage.task(id)));
    let first = all().filter(|(_, task)| task.step.effect() == Effect::Starts);
    let last = all().rev().filter(|(_, task)| task.operation == PUT_BACK);
    let starts = first.chain(last);
    let starts = starts.filter(|(_, task)| seen.insert(task.instance.as_str()));
    let mut starts: Vec<(&str, TaskId)> = starts
        .map(|(id, task)| (task.instance.as_str(), id))
        .collect();
    starts.sort_by_key(|(_, id)| *id);
    starts
}

/// Returns the first task of each instance that stops its object.
fn first_stops(stage: &Stage) -> HashMap<&str, TaskId> {
    let all = stage.ids().rev().map(|id| (id, stage.task(id)));
    let stops = all.filter(|(_, task)| task.step.effect() == Effect::Stops);
    stops.map(|(id, task)| (&*task.instance, id)).collect()
}
