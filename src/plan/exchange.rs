//! Exchanges: instances that hand something on to each other in one stage, such as a host port, a
//! name or a fixed address.
//!
//! Images and successors of all come first. Then all holders stop and give up their names, and the
//! takers start in the order of their relationships. The holders are removed when all takers work;
//! until then all of them can be restored.

use super::PlanInput;
use crate::{
    model::{Definition, Instance, InstanceState},
    plugins::{ExclusiveResource, InstanceRef, ResourceKind},
    seam::{Effect, Target},
    stage::{Exchange, HandedOn, Stage, Task, TaskId},
};
use std::{
    borrow::Cow,
    collections::{BTreeSet, HashMap},
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
struct Resources {
    target: Target,
    all: Vec<ExclusiveResource>,
}

/// A resource that a member has and gives up.
struct Held {
    member: usize,
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
    let wanted: Vec<Option<Resources>> = members.iter().map(|it| wanted(known, it)).collect();
    let mut held: HashMap<(ResourceKind, String), Vec<Held>> = HashMap::new();
    for (at, member) in members.iter().enumerate() {
        for it in given_up(known, (at, member), wanted[at].as_ref()) {
            let key = (it.resource.kind, it.resource.key.clone());
            held.entry(key).or_default().push(it);
        }
    }
    let mut groups = Groups::new(members.len());
    let mut handed_on: Vec<(usize, usize, &ExclusiveResource)> = Vec::new();
    for (to, resources) in wanted.iter().enumerate() {
        for (from, resource) in taken(resources.as_ref(), &held).filter(|(from, _)| *from != to) {
            groups.join(from, to);
            handed_on.push((from, to, resource));
        }
    }
    join_bound(&mut groups, members, &handed_on, bound_to);
    exchanges(members, &groups, &handed_on)
}

/// Joins the members whose new objects need those of an exchange: if one is restored, so must be
/// the others.
fn join_bound(
    groups: &mut Groups,
    members: &[Member<'_>],
    handed_on: &[(usize, usize, &ExclusiveResource)],
    bound_to: &dyn Fn(&Instance) -> Vec<String>,
) {
    if handed_on.is_empty() {
        return;
    }
    let ids = members.iter().enumerate();
    let places: HashMap<&str, usize> = ids.map(|(at, it)| (&*it.instance.id, at)).collect();
    let pairs = handed_on.iter();
    let mut joined: BTreeSet<usize> = pairs.flat_map(|(from, to, _)| [*from, *to]).collect();
    for (at, member) in members.iter().enumerate() {
        if !member.is_taker() {
            continue;
        }
        for other in bound_to(member.instance) {
            if let Some(other) = places.get(&*other).filter(|other| joined.contains(*other)) {
                groups.join(*other, at);
                joined.insert(at);
            }
        }
    }
}

/// Returns the resources that the new object of a member needs; none if it gets no new object, or
/// none that waits for others.
fn wanted(known: &PlanInput<'_>, member: &Member<'_>) -> Option<Resources> {
    let part = known.part(member.instance, member.node);
    member.is_taker().then(|| resources(known, part))
}

fn resources(known: &PlanInput<'_>, part: InstanceRef<'_>) -> Resources {
    let mut all = known.plugins.exclusive_resources(part);
    all.retain(|it| it.kind.is_handed_on());
    Resources {
        target: known.plugins.target(part),
        all,
    }
}

/// Returns the resources that the present object of a member has and its new one does not need.
fn given_up(
    known: &PlanInput<'_>,
    (at, member): (usize, &Member<'_>),
    wanted: Option<&Resources>,
) -> Vec<Held> {
    if member.role == Role::New {
        return Vec::new();
    }
    let instance = as_created(known, member.instance);
    let node = (known.record).object_definition(member.instance, member.node);
    let Resources { target, all } = resources(known, known.part(&instance, node));
    let is_kept = |resource: &ExclusiveResource| {
        let mut wanted = wanted.iter().flat_map(|it| &it.all);
        wanted.any(|it| it.conflicts_with(resource))
    };
    let given_up = all.into_iter().filter(|it| !is_kept(it));
    let held = given_up.map(|resource| Held {
        member: at,
        target: target.clone(),
        resource,
    });
    held.collect()
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

/// Returns the holders of the resources that a member needs, and the names of the resources.
fn taken<'h>(
    wanted: Option<&'h Resources>,
    held: &'h HashMap<(ResourceKind, String), Vec<Held>>,
) -> impl Iterator<Item = (usize, &'h ExclusiveResource)> {
    wanted.into_iter().flat_map(move |wanted| {
        wanted.all.iter().flat_map(move |mine| {
            let same = held.get(&(mine.kind, mine.key.clone()));
            let clashes =
                |it: &&Held| it.target == wanted.target && it.resource.conflicts_with(mine);
            let clashing = same.into_iter().flatten().filter(clashes);
            clashing.map(|it| (it.member, &it.resource))
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
    /// Returns the part of the tasks that install a new instance: it takes its name when it is
    /// created, and all else when it starts.
    pub(super) fn of_new(stage: &Stage, all: Range<usize>, takes_name: bool) -> Self {
        let takes = if takes_name {
            Effect::Creates
        } else {
            Effect::Starts
        };
        let with = |effect| {
            all.clone()
                .find(|at| stage.tasks()[*at].step.effect() == effect)
        };
        let take = with(takes).or_else(|| with(Effect::Creates));
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

/// The tasks of a stage while their needs change.
struct Graph(Vec<Task>);

impl Graph {
    /// Returns true if `task` is `other` or comes after it.
    fn follows(&self, task: TaskId, other: TaskId) -> bool {
        let (mut seen, mut open) = (BTreeSet::new(), vec![task]);
        while let Some(at) = open.pop() {
            if at == other {
                return true;
            }
            if seen.insert(at) {
                open.extend(&self.0[at.0].needs);
            }
        }
        false
    }

    /// Makes `task` wait for `need`, unless `need` already waits for `task`.
    fn add_need(&mut self, task: TaskId, need: TaskId) {
        let needs = &self.0[task.0].needs;
        if !needs.contains(&need) && !self.follows(need, task) {
            self.0[task.0].needs.push(need);
        }
    }

    /// Moves the needs of `from` that `chosen` selects to `to`.
    fn move_needs(&mut self, from: TaskId, to: TaskId, chosen: impl Fn(&Self, TaskId) -> bool) {
        let needs = self.0[from.0].needs.clone();
        let (moved, kept): (Vec<_>, Vec<_>) = needs.into_iter().partition(|it| chosen(self, *it));
        self.0[from.0].needs = kept;
        for need in moved {
            self.add_need(to, need);
        }
    }
}

/// Arranges the tasks of the exchanges of a stage. `is_bound` returns true if the object of an
/// instance needs the object of another one to be created; `is_free_of` returns true if a task need
/// not wait for the removal of an instance that the second task belongs to.
pub(super) fn arrange(
    stage: &mut Stage,
    exchanges: Vec<Exchange>,
    members: &HashMap<String, MemberTasks>,
    is_bound: &dyn Fn(&str, &str) -> bool,
    is_free_of: &dyn Fn(&Task, &Task) -> bool,
) {
    if exchanges.is_empty() {
        return;
    }
    let mut graph = Graph(stage.tasks().to_vec());
    for exchange in &exchanges {
        let part = |ids: &[String]| -> Vec<&MemberTasks> {
            ids.iter().filter_map(|id| members.get(id)).collect()
        };
        let from = exchange.handed_on.iter().map(|it| it.from.clone());
        let holders: BTreeSet<String> = from.chain(exchange.holders.iter().cloned()).collect();
        let holders: Vec<String> = holders.into_iter().collect();
        let arrangement = Arrangement {
            holders: part(&holders),
            takers: part(&exchange.takers),
            is_bound,
        };
        arrangement.prepare_first(&mut graph);
        arrangement.take_after_releases(&mut graph);
        arrangement.stop_all(&mut graph);
        arrangement.skip_removals(&mut graph, is_free_of);
        arrangement.remove_last(&mut graph);
        arrangement.mark(&mut graph);
    }
    stage.exchanges = exchanges;
    stage.rearrange(graph.0);
}

struct Arrangement<'a> {
    holders: Vec<&'a MemberTasks>,
    takers: Vec<&'a MemberTasks>,
    is_bound: &'a dyn Fn(&str, &str) -> bool,
}

impl Arrangement<'_> {
    /// Lets images and successors wait only for objects that they cannot be created without. The rest is
    /// waited for when the instance takes what others hand on.
    fn prepare_first(&self, graph: &mut Graph) {
        for member in &self.takers {
            let Some(take) = member.take else { continue };
            let comes_after_others = |graph: &Graph, need: TaskId| {
                let others = self.holders.iter().filter(|it| it.all != member.all);
                let mut released = others.filter_map(|it| it.released);
                !member.all.contains(&need.0) && released.any(|it| graph.follows(need, it))
            };
            let end = member.stop.unwrap_or(take).0;
            for early in member.all.start..end {
                graph.move_needs(TaskId(early), take, |graph, need| {
                    let [mine, other] = [early, need.0].map(|at| &*graph.0[at].instance);
                    comes_after_others(graph, need) && !(self.is_bound)(mine, other)
                });
            }
            let is_late = |graph: &Graph, task| {
                let others = self.takers.iter().filter(|it| it.all != member.all);
                let mut takes = others.filter_map(|it| it.take);
                takes.any(|it| graph.follows(task, it))
            };
            // A successor that needs another taker cannot come first. The stop cannot wait for it.
            if let Some(stop) = member.stop.filter(|stop| is_late(graph, *stop)) {
                graph.move_needs(stop, take, is_late);
            }
        }
    }

    /// Lets nothing stop before images and successors of all are there.
    fn stop_all(&self, graph: &mut Graph) {
        for stop in self.holders.iter().filter_map(|it| it.stop) {
            for prepared in self.takers.iter().filter_map(|it| it.prepared()) {
                graph.add_need(stop, prepared);
            }
        }
    }

    fn take_after_releases(&self, graph: &mut Graph) {
        for take in self.takers.iter().filter_map(|it| it.take) {
            for released in self.holders.iter().filter_map(|it| it.released) {
                graph.add_need(take, released);
            }
        }
    }

    /// Lets no instance wait for removals that come last, except for those whose name it gets.
    fn skip_removals(&self, graph: &mut Graph, is_free_of: &dyn Fn(&Task, &Task) -> bool) {
        for clean in self.holders.iter().filter_map(|it| it.clean) {
            for at in 0..graph.0.len() {
                let needs = graph.0[at].needs.clone();
                let is_skipped = |need: &TaskId| {
                    is_free_of(&graph.0[at], &graph.0[need.0]) && graph.follows(*need, clean)
                };
                let kept = needs.into_iter().filter(|need| !is_skipped(need)).collect();
                graph.0[at].needs = kept;
            }
        }
    }

    fn remove_last(&self, graph: &mut Graph) {
        for clean in self.holders.iter().filter_map(|it| it.clean) {
            for proof in self.takers.iter().filter_map(|it| it.proof) {
                graph.add_need(clean, proof);
            }
        }
    }

    /// Marks the tasks that stop instances for the exchange, and those that take.
    fn mark(&self, graph: &mut Graph) {
        let stops = self.holders.iter().map(|it| (it.stop, it.released));
        let takes = self.takers.iter().map(|it| (it.take, it.proof));
        for (first, last) in stops.chain(takes) {
            let (Some(first), Some(last)) = (first, last) else {
                continue;
            };
            let tasks = graph.0.get_mut(first.0..=last.0);
            tasks
                .into_iter()
                .flatten()
                .for_each(|it| it.in_exchange = true);
        }
    }
}
