//! Exchanges: instances that hand something on to each other in one stage, such as a host port, a
//! name or a fixed address.
//!
//! Images and successors of all come first. Then all holders stop and give up their names, and the
//! takers start in the order of their relationships. The holders are removed when all takers work;
//! until then all of them can be restored.

use super::{PlanInput, task_graph::TaskGraph};
use crate::{
    model::{Definition, Instance, InstanceState},
    plugins::{ExclusiveResource, InstanceRef, ResourceKind},
    seam::{Effect, Object, Target},
    stage::{Exchange, HandedOn, Stage, TaskId},
};
use std::{
    borrow::Cow,
    collections::{BTreeSet, HashMap, HashSet},
    ops::Range,
};

/// What a stage does with an instance.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Role {
    /// Its object is replaced and kept until the new one works.
    Replaced,
    /// Its object is removed first, and then created again.
    Recreated,
    /// Its object is removed for good.
    Removed,
    /// It has no object yet.
    New,
}

/// An instance that a stage changes.
#[derive(Clone, Copy)]
pub(super) struct Member<'a> {
    pub instance: &'a Instance,
    /// The present definition; for a removed instance, the one that its object was created from.
    pub node: &'a Definition,
    pub role: Role,
}

impl Member<'_> {
    /// Returns true if it gets a new object that can take what others hand on.
    fn is_taker(&self) -> bool {
        matches!(self.role, Role::Replaced | Role::New)
    }
}

/// The resources of an object, and its system.
pub(super) struct Resources {
    target: Target,
    pub all: Vec<ExclusiveResource>,
}

/// A resource that a member has.
pub(super) struct Held {
    pub member: usize,
    target: Target,
    resource: ExclusiveResource,
}

/// Returns the exchanges among the members of a stage, which are in dependency order. `bound_to`
/// returns the IDs of the instances whose objects an object needs to be created.
pub(super) fn find(
    known: &PlanInput<'_>,
    members: &[Member<'_>],
    bound_to: &dyn Fn(&Instance) -> Vec<String>,
) -> Vec<Exchange> {
    let counts = |kind: ResourceKind| kind.is_handed_on();
    let wanted = |it: &Member<'_>| it.is_taker().then(|| wanted(known, it, counts));
    let wanted: Vec<Option<Resources>> = members.iter().map(wanted).collect();
    let held = held(known, members, counts);
    let mut groups = Groups::new(members.len());
    let mut handed_on: Vec<(usize, usize, &ExclusiveResource)> = Vec::new();
    for (to, resources) in wanted.iter().enumerate() {
        for (it, mine) in taken(resources.as_ref(), &held).filter(|(it, _)| it.member != to) {
            // A holder whose new object needs it too does not hand it on.
            let mut of_holder = wanted[it.member].iter().flat_map(|it| &it.all);
            if !of_holder.any(|of_holder| of_holder.conflicts_with(mine)) {
                groups.join(it.member, to);
                handed_on.push((it.member, to, &it.resource));
            }
        }
    }
    join_related(&mut groups, members, &handed_on, bound_to);
    exchanges(members, &groups, &handed_on)
}

/// Joins the members that must be restored together with those of an exchange: replaced ones whose
/// new objects need theirs, and removed ones that depend on each other.
fn join_related(
    groups: &mut Groups,
    members: &[Member<'_>],
    handed_on: &[(usize, usize, &ExclusiveResource)],
    bound_to: &dyn Fn(&Instance) -> Vec<String>,
) {
    let ids = members.iter().enumerate();
    let places: HashMap<&str, usize> = ids.map(|(at, it)| (&*it.instance.id, at)).collect();
    let pairs = handed_on.iter();
    let mut joined: BTreeSet<usize> = pairs.flat_map(|(from, to, _)| [*from, *to]).collect();
    let mut count = 0;
    while count < joined.len() {
        count = joined.len();
        for (at, member) in members.iter().enumerate() {
            let related = match member.role {
                Role::Replaced => bound_to(member.instance),
                Role::Removed => targets(member.instance),
                Role::New | Role::Recreated => continue,
            };
            let others = related.iter().filter_map(|id| places.get(id.as_str()));
            for other in others.filter(|it| members[**it].role == member.role) {
                if joined.contains(other) {
                    groups.join(*other, at);
                    joined.insert(at);
                }
            }
        }
    }
}

fn targets(instance: &Instance) -> Vec<String> {
    let relationships = instance.relationships.iter();
    relationships.map(|it| it.target.clone()).collect()
}

/// Returns the resources of these kinds that the new object of a member needs.
pub(super) fn wanted(
    known: &PlanInput<'_>,
    member: &Member<'_>,
    counts: impl Fn(ResourceKind) -> bool,
) -> Resources {
    resources(known, known.part(member.instance, member.node), counts)
}

/// Returns the resources of these kinds that the present objects of members have.
pub(super) fn held(
    known: &PlanInput<'_>,
    members: &[Member<'_>],
    counts: impl Fn(ResourceKind) -> bool + Copy,
) -> HashMap<(ResourceKind, String), Vec<Held>> {
    let mut held: HashMap<(ResourceKind, String), Vec<Held>> = HashMap::new();
    let given = given_addresses(known, members);
    for (at, member) in members.iter().enumerate() {
        let mut resources = held_by(known, member, counts);
        let object = known.observed.of_instance(&member.instance.id);
        for address in object
            .and_then(|it| given.get(&*it.id))
            .into_iter()
            .flatten()
        {
            let address = ExclusiveResource::address((*address).to_owned());
            if !resources.all.contains(&address) {
                resources.all.push(address);
            }
        }
        for resource in resources.all {
            let target = resources.target.clone();
            let it = Held {
                member: at,
                target,
                resource,
            };
            let key = (it.resource.kind, it.resource.key.clone());
            held.entry(key).or_default().push(it);
        }
    }
    held
}

fn resources(
    known: &PlanInput<'_>,
    part: InstanceRef<'_>,
    counts: impl Fn(ResourceKind) -> bool,
) -> Resources {
    let mut all = known.plugins.exclusive_resources(part);
    all.retain(|it| counts(it.kind));
    Resources {
        target: known.plugins.target(part),
        all,
    }
}

/// Returns the resources of these kinds that the present object of a member was created with.
fn held_by(
    known: &PlanInput<'_>,
    member: &Member<'_>,
    counts: impl Fn(ResourceKind) -> bool,
) -> Resources {
    if member.role == Role::New {
        return Resources {
            target: known
                .plugins
                .target(known.part(member.instance, member.node)),
            all: Vec::new(),
        };
    }
    let instance = as_created(known, member.instance);
    let node = (known.record).object_definition(member.instance, member.node);
    resources(known, known.part(&instance, node), counts)
}

/// Returns the addresses that objects have, by ID, without those on networks that are members or
/// removed: they end with the network.
fn given_addresses<'k>(
    known: &PlanInput<'k>,
    members: &[Member<'_>],
) -> HashMap<&'k str, Vec<&'k str>> {
    let changed = members.iter().map(|it| &*it.instance.id);
    let removed = known.record.dropped.iter().map(|(it, _)| &*it.id);
    let ending: HashSet<&str> = changed.chain(removed).collect();
    let networks = known.observed.objects().iter();
    let networks = networks.filter(|it| !it.held_addresses.is_empty());
    let is_kept = |network: &&Object| {
        let owner = network.owner.as_ref();
        owner.is_none_or(|it| !ending.contains(&*it.instance))
    };
    let mut given: HashMap<&str, Vec<&str>> = HashMap::new();
    for held in networks.filter(is_kept).flat_map(|it| &it.held_addresses) {
        given.entry(&held.object).or_default().push(&held.address);
    }
    given
}

/// Returns an instance with the relationships that it had when its object was created.
fn as_created<'i>(known: &PlanInput<'_>, instance: &'i Instance) -> Cow<'i, Instance> {
    let record = known.record.instances.get(&instance.id);
    match record.filter(|record| record.former.is_some()) {
        Some(record) => Cow::Owned(Instance {
            relationships: record.former_relationships.clone(),
            ..instance.clone()
        }),
        None => Cow::Borrowed(instance),
    }
}

/// Returns what members have that conflicts with a resource that a member needs, and that resource.
pub(super) fn taken<'h>(
    wanted: Option<&'h Resources>,
    held: &'h HashMap<(ResourceKind, String), Vec<Held>>,
) -> impl Iterator<Item = (&'h Held, &'h ExclusiveResource)> {
    wanted.into_iter().flat_map(move |wanted| {
        wanted.all.iter().flat_map(move |mine| {
            let same = held.get(&(mine.kind, mine.key.clone()));
            let clashes =
                |it: &&Held| it.target == wanted.target && it.resource.conflicts_with(mine);
            let clashing = same.into_iter().flatten().filter(clashes);
            clashing.map(move |it| (it, mine))
        })
    })
}

/// Members that are joined directly or through others.
struct Groups(Vec<usize>);

impl Groups {
    fn new(len: usize) -> Self {
        Self((0..len).collect())
    }

    fn of(&self, mut member: usize) -> usize {
        while self.0[member] != member {
            member = self.0[member];
        }
        member
    }

    fn join(&mut self, one: usize, other: usize) {
        let (one, other) = (self.of(one), self.of(other));
        self.0[one.max(other)] = one.min(other);
    }
}

fn exchanges(
    members: &[Member<'_>],
    groups: &Groups,
    handed_on: &[(usize, usize, &ExclusiveResource)],
) -> Vec<Exchange> {
    let id = |at: usize| members[at].instance.id.clone();
    let roots: BTreeSet<usize> = handed_on
        .iter()
        .map(|(from, ..)| groups.of(*from))
        .collect();
    let exchange = |root: usize| {
        let all = || (0..members.len()).filter(move |at| groups.of(*at) == root);
        let with = |roles: [Role; 2]| {
            let chosen = all().filter(|at| roles.contains(&members[*at].role));
            chosen.map(id).collect::<Vec<_>>()
        };
        let of_root = handed_on
            .iter()
            .filter(|(from, ..)| groups.of(*from) == root);
        Exchange {
            holders: with([Role::Replaced, Role::Removed]),
            takers: with([Role::Replaced, Role::New]),
            handed_on: of_root
                .map(|(from, to, resource)| HandedOn {
                    resource: resource.shown.clone(),
                    from: id(*from),
                    to: id(*to),
                    is_name: resource.kind == ResourceKind::Name,
                })
                .collect(),
        }
    };
    roots.into_iter().map(exchange).collect()
}

/// The tasks of a member of an exchange, by their part in it.
#[derive(Clone, Debug, Default)]
pub(super) struct MemberTasks {
    /// All tasks of the instance.
    pub all: Range<usize>,
    /// The task that begins to stop the present object.
    pub stop: Option<TaskId>,
    /// The task after which the present object holds nothing.
    pub released: Option<TaskId>,
    /// The first task that needs what others hand on.
    pub take: Option<TaskId>,
    /// The task after which the new object is known to work.
    pub proof: Option<TaskId>,
    /// The first task that removes the former object.
    pub clean: Option<TaskId>,
}

impl MemberTasks {
    /// Returns the part of the tasks that install a new instance. It takes its name when it is
    /// created, and all else afterwards.
    pub(super) fn of_new(stage: &Stage, all: Range<usize>, takes_name: bool) -> Self {
        let with = |effect| {
            all.clone()
                .find(|at| stage.tasks()[*at].step.effect() == effect)
        };
        let take = match with(Effect::Creates) {
            Some(created) if takes_name => Some(created),
            Some(created) => all.contains(&(created + 1)).then_some(created + 1),
            None => with(Effect::Starts),
        };
        Self {
            take: take.map(TaskId),
            proof: all.clone().next_back().map(TaskId),
            all,
            ..Self::default()
        }
    }

    /// Returns the part of the tasks that remove an object and create it again.
    pub(super) fn of_recreated(stage: &Stage, all: Range<usize>) -> Self {
        let is_end = |at: &usize| stage.tasks()[*at].state_after == Some(InstanceState::Deleted);
        Self {
            released: all.clone().find(is_end).map(TaskId),
            all,
            ..Self::default()
        }
    }

    /// Returns the last task before the instance needs what others hand on, or stops.
    fn prepared(&self) -> Option<TaskId> {
        let end = self.stop.or(self.take)?;
        let before = end.0.checked_sub(1)?;
        self.all.contains(&before).then_some(TaskId(before))
    }
}

/// Arranges the tasks of the exchanges of a stage. `is_bound` returns true if the object of an
/// instance needs the object of another one to be created; `is_free_of` returns true if an instance
/// can exist before a removed one is gone. An exchange whose holders cannot stop first is none.
pub(super) fn arrange(
    stage: &mut Stage,
    exchanges: Vec<Exchange>,
    members: &HashMap<String, MemberTasks>,
    is_bound: &dyn Fn(&str, &str) -> bool,
    is_free_of: &dyn Fn(&str, &str) -> bool,
) {
    if exchanges.is_empty() {
        return;
    }
    let mut graph = TaskGraph::of(stage);
    for mut exchange in exchanges {
        let takes = |id: &String| members.get(id).is_some_and(|it| it.take.is_some());
        exchange.takers.retain(takes);
        let part = |ids: &[String]| -> Vec<&MemberTasks> {
            ids.iter().filter_map(|id| members.get(id)).collect()
        };
        let from = exchange.handed_on.iter().map(|it| it.from.clone());
        let holders: BTreeSet<String> = from.chain(exchange.holders.iter().cloned()).collect();
        let holders: Vec<String> = holders.into_iter().collect();
        let arrangement = Arrangement {
            exchange: &exchange,
            holders: part(&holders),
            takers: part(&exchange.takers),
            is_bound,
            is_free_of,
        };
        let mut arranged = graph.clone();
        if arrangement.arrange(&mut arranged) {
            graph = arranged;
            stage.exchanges.push(exchange);
        }
    }
    stage.rearrange(graph.tasks);
}

struct Arrangement<'a> {
    exchange: &'a Exchange,
    holders: Vec<&'a MemberTasks>,
    takers: Vec<&'a MemberTasks>,
    is_bound: &'a dyn Fn(&str, &str) -> bool,
    is_free_of: &'a dyn Fn(&str, &str) -> bool,
}

impl Arrangement<'_> {
    /// Returns false if some holder cannot stop before the takers.
    fn arrange(&self, graph: &mut TaskGraph) -> bool {
        self.prepare_first(graph);
        self.stop_removed_together(graph);
        self.skip_removals(graph);
        let is_possible = self.take_after_releases(graph);
        self.stop_all(graph);
        self.remove_last(graph);
        self.mark(graph);
        is_possible
    }

    /// Lets images and successors wait only for objects that they cannot be created without. The
    /// other needs move to the task that takes what others hand on.
    fn prepare_first(&self, graph: &mut TaskGraph) {
        for member in &self.takers {
            let Some(take) = member.take else { continue };
            let others = |all: &[&MemberTasks], part: fn(&MemberTasks) -> Option<TaskId>| {
                let others = all.iter().filter(|it| it.all != member.all);
                others.filter_map(|it| part(it)).collect::<Vec<_>>()
            };
            let takes = others(&self.takers, |it| it.take);
            let releases = others(&self.holders, |it| it.released);
            let comes_after = |graph: &TaskGraph, need: TaskId, tasks: &[TaskId]| {
                let before = graph.before([need]);
                tasks.iter().any(|it| before.contains(it))
            };
            let end = member.stop.unwrap_or(take).0;
            let later = [&takes[..], &releases[..]].concat();
            for early in member.all.start..end {
                graph.move_needs(TaskId(early), take, |graph, need| {
                    let [mine, other] = [early, need.0].map(|at| &*graph.tasks[at].instance);
                    !member.all.contains(&need.0)
                        && comes_after(graph, need, &later)
                        && !(self.is_bound)(mine, other)
                });
            }
            // A successor that needs another taker cannot come first. The stop cannot wait for it.
            if let Some(stop) = member.stop.filter(|stop| comes_after(graph, *stop, &takes)) {
                graph.move_needs(stop, take, |graph, need| comes_after(graph, need, &takes));
            }
        }
    }

    /// Lets removed instances stop after the stops of their dependents, and be deleted after their
    /// deletions.
    fn stop_removed_together(&self, graph: &mut TaskGraph) {
        for holder in &self.holders {
            let (Some(stop), Some(clean)) = (holder.stop, holder.clean) else {
                continue;
            };
            for other in self.holders.iter().filter(|it| it.all != holder.all) {
                let (Some(released), Some(deleted)) = (other.released, other.clean) else {
                    continue;
                };
                if graph.follows(stop, deleted) {
                    graph.move_needs(stop, clean, |graph, need| graph.follows(need, deleted));
                    graph.add_need(stop, released);
                }
            }
        }
    }

    /// Lets nothing stop before images and successors of all are there.
    fn stop_all(&self, graph: &mut TaskGraph) {
        for stop in self.holders.iter().filter_map(|it| it.stop) {
            for prepared in self.takers.iter().filter_map(|it| it.prepared()) {
                graph.add_need(stop, prepared);
            }
        }
    }

    /// Returns false if some taker would take before some holder has released.
    fn take_after_releases(&self, graph: &mut TaskGraph) -> bool {
        let mut is_possible = true;
        for take in self.takers.iter().filter_map(|it| it.take) {
            for released in self.holders.iter().filter_map(|it| it.released) {
                is_possible &= graph.add_need(take, released);
            }
        }
        is_possible
    }

    /// Lets the takers, and all that they wait for, not wait for removals that come last, unless
    /// both objects cannot exist at the same time.
    fn skip_removals(&self, graph: &mut TaskGraph) {
        let is_taker = |id: &str| self.exchange.takers.iter().any(|it| it == id);
        let is_removed = |id: &str| self.exchange.contains(id) && !is_taker(id);
        let proofs: Vec<TaskId> = self.takers.iter().filter_map(|it| it.proof).collect();
        for clean in self.holders.iter().filter_map(|it| it.clean) {
            let removals = graph.after(clean);
            for at in graph.before(proofs.iter().copied()) {
                let needs = std::mem::take(&mut graph.tasks[at.0].needs);
                let mine = &*graph.tasks[at.0].instance;
                let is_skipped = |need: &TaskId| {
                    let other = &*graph.tasks[need.0].instance;
                    let hands_on = is_taker(mine) && is_removed(other);
                    removals.contains(need) && (hands_on || (self.is_free_of)(mine, other))
                };
                let kept = needs.into_iter().filter(|it| !is_skipped(it)).collect();
                graph.tasks[at.0].needs = kept;
            }
        }
    }

    fn remove_last(&self, graph: &mut TaskGraph) {
        for clean in self.holders.iter().filter_map(|it| it.clean) {
            for proof in self.takers.iter().filter_map(|it| it.proof) {
                graph.add_need(clean, proof);
            }
        }
    }

    /// Marks the tasks that stop instances for the exchange, and those that take.
    fn mark(&self, graph: &mut TaskGraph) {
        let stops = self.holders.iter().map(|it| (it.stop, it.released));
        // A new object that takes something must go if the exchange does not succeed, even if it has
        // not taken anything yet.
        let first = |it: &MemberTasks| match it.stop {
            Some(_) => it.take,
            None => Some(TaskId(it.all.start)),
        };
        let takes = self.takers.iter().map(|it| (first(it), it.proof));
        for (first, last) in stops.chain(takes) {
            let (Some(first), Some(last)) = (first, last) else {
                continue;
            };
            let tasks = graph.tasks.get_mut(first.0..=last.0);
            tasks
                .into_iter()
                .flatten()
                .for_each(|it| it.in_exchange = true);
        }
    }
}
