//! `install`: creates missing instances, starts stopped ones, and leaves matching ones unchanged.

use super::{
    PlanInput, Proposal, addresses,
    chain::{Chain, Phase, completed_steps},
    exchange::{self, Member, MemberTasks, Role},
    images,
    neighbors::{Neighbors, append_operations, establish_new},
    order::Order,
    reinstall, removal_order, restore, uninstall,
    update::{self, Outages, Replacing, RollingUpdate},
};
use crate::{
    instance_record::InstanceRecord,
    model::{
        Definition, Deployment, Instance,
        InstanceState::{
            self, Configured, Configuring, Created, Creating, Deleted, Initializing, Started,
            Starting, Uninitialized,
        },
        Retry,
    },
    plugins::InstanceRef,
    record::Record,
    seam::{Change, Effect, InstanceStatus, Object, Observed, Purpose, Step},
    stage::{CLEAN, Exchange, Selection, Stage, TaskId, operations},
};
use std::{
    collections::{BTreeSet, HashMap, HashSet},
    ops::Range,
};

const fn phase(
    operation: &'static str,
    enters: Option<InstanceState>,
    leaves: Option<InstanceState>,
) -> Phase<'static> {
    Phase {
        operation,
        enters,
        leaves,
    }
}

const CREATE: [Phase<'static>; 4] = [
    phase(operations::CREATE[0], Some(Initializing), None),
    phase(operations::CREATE[1], Some(Initializing), None),
    phase(operations::CREATE[2], Some(Initializing), None),
    phase(operations::CREATE[3], Some(Creating), Some(Created)),
];
const CONFIGURE: [Phase<'static>; 1] = [phase(
    operations::CONFIGURE[0],
    Some(Configuring),
    Some(Configured),
)];
const START: [Phase<'static>; 4] = [
    phase(operations::START[0], Some(Starting), None),
    // Repeated without limit until the host is ready.
    phase(operations::START[1], None, None),
    phase(operations::START[2], None, None),
    phase(operations::START[3], None, None),
];

/// Operations of a changed instance. If it declares any of them, they run instead of recreating it.
const UPDATE: [Phase<'static>; 6] = [
    phase("cloudify.interfaces.lifecycle.preupdate", None, None),
    phase("cloudify.interfaces.lifecycle.update", None, None),
    phase("cloudify.interfaces.lifecycle.postupdate", None, None),
    phase("cloudify.interfaces.lifecycle.update_config", None, None),
    phase("cloudify.interfaces.lifecycle.update_apply", None, None),
    phase("cloudify.interfaces.lifecycle.update_postapply", None, None),
];

/// The part of a deployment to install.
#[derive(Clone, Debug)]
pub struct Scope<'a> {
    /// The instances.
    pub selection: &'a Selection,
    /// IDs of the instances to recreate, regardless of their state.
    pub recreate: HashSet<String>,
    /// Why they are recreated.
    pub cause: &'a str,
    /// How the instances of one node are replaced.
    pub rolling: RollingUpdate,
    /// Outdated instances that run stay as they are.
    pub keeps_outdated: bool,
    /// Objects are replaced if their declaration refers to something else now, such as another
    /// image of the same tag.
    pub follows_moved: bool,
}

impl Default for Scope<'_> {
    fn default() -> Self {
        const ALL: &Selection = &Selection::All;
        Self {
            selection: ALL,
            recreate: HashSet::new(),
            cause: "",
            rolling: RollingUpdate::default(),
            keeps_outdated: false,
            follows_moved: false,
        }
    }
}

/// Plans the changes from the observed to the desired state. The stage is empty if the deployment
/// is up to date.
#[must_use]
pub fn next(deployment: &Deployment, record: &Record, observed: &Observed) -> Proposal {
    of(
        &PlanInput::new(deployment, record, observed),
        &Scope::default(),
    )
}

/// Like [`next`], for a part of the deployment. Also runs `establish` for relationships of other
/// instances to the installed ones.
#[must_use]
pub fn of(known: &PlanInput<'_>, scope: &Scope<'_>) -> Proposal {
    let mut planner = Planner {
        known: *known,
        scope,
        order: Order::new(known.deployment, known.plugins),
        proposal: Proposal::default(),
        last: HashMap::new(),
        recreated: HashSet::new(),
        images: HashMap::new(),
        outages: Outages::default(),
        members: HashMap::new(),
    };
    let decisions = planner.decide();
    let members = planner.members(&decisions);
    let exchanges = planner.exchanges(&members);
    let dropped = planner.remove_dropped(&exchanges);
    for decision in decisions {
        let exchange = exchanges
            .iter()
            .find(|it| it.contains(&decision.instance.id));
        planner.append_instance(decision, exchange, &dropped);
    }
    planner.establish_neighbors();
    planner.arrange(&exchanges);
    removal_order::arrange(known, &members, &mut planner.proposal.stage);
    removal_order::postpone(known, &members, &mut planner.proposal.stage);
    let mut proposal = planner.proposal;
    // Also for those who plan an install as a part of something else.
    proposal.address_risks = addresses::order_starts(known, &mut proposal.stage);
    proposal.taken_addresses = addresses::taken(known, &members);
    proposal
}

/// What to do with an instance.
struct Decision<'a> {
    instance: &'a Instance,
    node: &'a Definition,
    status: InstanceStatus,
    change: Change,
}

struct Planner<'a, 's> {
    known: PlanInput<'a>,
    scope: &'s Scope<'s>,
    order: Order<'a>,
    proposal: Proposal,
    /// The last task of each instance that has tasks.
    last: HashMap<&'a str, TaskId>,
    /// Instances with recreated objects. Instances that refer to the old objects are recreated too.
    recreated: HashSet<&'a str>,
    /// The task that pulls each image. Nodes with the same image share one pull.
    images: HashMap<String, TaskId>,
    outages: Outages,
    /// The tasks of instances that take part in an exchange.
    members: HashMap<String, MemberTasks>,
}

impl<'a> Planner<'a, '_> {
    fn decide(&mut self) -> Vec<Decision<'a>> {
        let mut all = Vec::new();
        for instance in self.order.instances() {
            match self.known.deployment.node(instance) {
                Some(node)
                    if self
                        .scope
                        .selection
                        .contains(self.known.deployment, instance) =>
                {
                    let (mut status, mut change) = self.status(instance, node);
                    if let Some(why) = removal_order::name_of_data(&self.known, (instance, node)) {
                        (status, change) = (InstanceStatus::Outdated, Change::Refused(why));
                    }
                    all.push(Decision {
                        instance,
                        node,
                        status,
                        change,
                    });
                }
                _ => {}
            }
        }
        all.retain(|it| !self.stays_outdated(it));
        all
    }

    /// Returns true if an outdated instance runs and stays as it is.
    fn stays_outdated(&self, decision: &Decision<'_>) -> bool {
        let (plugins, observed) = (self.known.plugins, self.known.observed);
        self.scope.keeps_outdated
            && decision.status == InstanceStatus::Outdated
            && plugins.is_in_desired_state(decision.instance, decision.node, observed)
    }

    /// Returns the changed and the removed instances, with what the stage does with them.
    fn members(&self, decisions: &[Decision<'a>]) -> Vec<Member<'a>> {
        let changed = decisions.iter().filter_map(|decision| {
            Some(Member {
                instance: decision.instance,
                node: decision.node,
                role: self.role(decision)?,
            })
        });
        let dropped = self.known.record.dropped.iter();
        // An instance that is down was given up by an exchange that is complete.
        let is_removed = |(instance, node): &&(Instance, Definition)| {
            self.scope.selection.is_all()
                && self.known.record.state(&instance.id) == Started
                && self.known.observed.of_instance(&instance.id).is_some()
                && self
                    .known
                    .plugins
                    .is_replaceable(self.known.part(instance, node))
        };
        let removed = dropped.filter(is_removed).map(|(instance, node)| Member {
            instance,
            node,
            role: Role::Removed,
        });
        removed.chain(changed).collect()
    }

    /// Returns the exchanges among the members of the stage.
    fn exchanges(&self, members: &[Member<'a>]) -> Vec<Exchange> {
        let bound_to = |instance: &Instance| self.order.bound_to(instance);
        exchange::find(&self.known, members, &bound_to)
    }

    /// Returns what the stage does with the object of an instance; none if it keeps it.
    fn role(&self, decision: &Decision<'_>) -> Option<Role> {
        let part = self.known.part(decision.instance, decision.node);
        let is_replaceable = || {
            self.known.plugins.is_replaceable(part)
                && has_worked(self.known.record, decision.instance)
        };
        match (decision.status, &decision.change) {
            (InstanceStatus::Missing, _) => Some(Role::New),
            // An earlier run created it, and did not get further.
            (InstanceStatus::Unfinished | InstanceStatus::Stopped, _)
                if !has_worked(self.known.record, decision.instance) =>
            {
                Some(Role::New)
            }
            (InstanceStatus::DependencyRecreated, _)
            | (InstanceStatus::Outdated, Change::Replace)
                if is_replaceable() =>
            {
                Some(Role::Replaced)
            }
            (InstanceStatus::DependencyRecreated, _)
            | (InstanceStatus::Outdated, Change::Replace | Change::Recreate) => {
                Some(Role::Recreated)
            }
            _ => None,
        }
    }

    fn remove_dropped(&mut self, exchanges: &[Exchange]) -> Vec<TaskId> {
        if !self.scope.selection.is_all() {
            return Vec::new();
        }
        let hands_on = |it: &Instance| exchanges.iter().any(|one| one.contains(&it.id));
        let (known, purpose) = (&self.known, Purpose::Ordinary);
        let removed =
            uninstall::remove_dropped(known, purpose, (&hands_on, true), &mut self.proposal);
        self.members.extend(removed.members);
        removed.ends
    }

    /// Arranges the tasks of exchanges.
    fn arrange(&mut self, exchanges: &[Exchange]) {
        let known = self.known;
        let is_bound = |one: &str, other: &str| {
            let instance = known.deployment.instance(one);
            instance.is_some_and(|it| self.order.bound_to(it).iter().any(|id| id == other))
        };
        let earlier = uninstall::earlier_deployment(&known);
        let is_free_of = |id: &str, removed: &str| {
            let part = |deployment| {
                let instance = Deployment::instance(deployment, id);
                instance.and_then(|it| InstanceRef::of(deployment, it))
            };
            let gone = earlier
                .instance(removed)
                .and_then(|it| InstanceRef::of(&earlier, it));
            match (part(known.deployment), gone) {
                (Some(part), Some(gone)) => known.plugins.can_coexist(part, gone),
                _ => false,
            }
        };
        let stage = &mut self.proposal.stage;
        exchange::arrange(
            stage,
            exchanges.to_vec(),
            &self.members,
            &is_bound,
            &is_free_of,
        );
    }

    fn append_instance(
        &mut self,
        decision: Decision<'a>,
        exchange: Option<&Exchange>,
        dropped: &[TaskId],
    ) {
        let Decision {
            instance,
            node,
            status,
            change,
        } = decision;
        let PlanInput {
            deployment,
            record,
            observed,
            ..
        } = self.known;
        let needs = self.needs_of(instance);
        let first = self.proposal.stage.tasks().len();
        let has_unstarted_object = matches!(
            status,
            InstanceStatus::Unfinished | InstanceStatus::Stopped | InstanceStatus::NotReady
        );
        let cause = if self.scope.recreate.contains(&instance.id) {
            self.scope.cause.to_owned()
        } else if self.is_moved(instance) && status == InstanceStatus::Outdated {
            self.cause_of_moved(instance)
        } else {
            status.to_string()
        };
        let mut chain = Chain::new(self.known, (instance, node), &cause, &mut self.proposal);
        // Without an object, only the record shows how far the install got.
        let state = record.state(&instance.id);
        let is_partly_installed = status == InstanceStatus::Missing
            && !self.known.plugins.is_observed(node)
            && !state.is_gone()
            && !state.is_down();
        chain.completed = if has_unstarted_object || is_partly_installed {
            completed_steps(&self.known, instance, node)
        } else {
            Vec::new()
        };
        chain.after = needs.into_iter().chain(dropped.iter().copied()).collect();
        let known = record.instances.get(&instance.id);
        if known.is_some_and(|it| restore::is_proven(record, it)) {
            update::remove_predecessor(&mut chain);
        }
        let is_unproven = known.is_some_and(|it| restore::is_unproven(record, it));
        if status == InstanceStatus::UpToDate && !is_unproven && chain.last.is_none() {
            return;
        }
        let rolling = self.scope.rolling;
        let context = (&self.order, &self.outages);
        chain.in_exchange = exchange.is_some();
        append_tasks(&mut chain, status, change, context, rolling);
        if is_unproven
            && chain
                .last
                .is_none_or(|last| chain.proposal.stage.task(last).operation != CLEAN)
        {
            update::prove(&mut chain);
        }
        // A new object that takes something must work before its holder is removed.
        let takes = exchange.is_some_and(|it| it.takers.contains(&instance.id));
        if takes && chain.parts.stop.is_none() {
            update::append_proof(&mut chain);
        }
        chain.end_in(Started, "install");
        if let Some(last) = chain.last {
            chain.proposal.stage.task_mut(last).matches_definition = true;
            self.outages.add(&instance.node, last);
        }
        let end = chain
            .parts
            .proof
            .filter(|_| exchange.is_some())
            .or(chain.last);
        let parts = std::mem::take(&mut chain.parts);
        // Dependents do not wait for a running instance that only has its drift repaired, unless it
        // starts again.
        let own = &self.proposal.stage.tasks()[first..];
        let is_ready = status == InstanceStatus::Drifted
            && self
                .known
                .plugins
                .is_in_desired_state(instance, node, observed)
            && !own.iter().any(|it| it.step.effect() == Effect::Starts);
        self.last.extend(
            end.filter(|_| !is_ready)
                .map(|last| (instance.id.as_str(), last)),
        );
        if let Some(exchange) = exchange {
            let all = first..self.proposal.stage.tasks().len();
            let member = member_tasks(&self.proposal.stage, exchange, &instance.id, (all, parts));
            self.members.insert(instance.id.clone(), member);
        }
        // An image that this stage builds cannot be pulled early.
        if !self
            .order
            .dependencies_of(instance)
            .iter()
            .any(|id| self.known.plugins.is_material_instance(deployment, id))
        {
            self.pull_image_early(TaskId(first));
        }
    }

    /// Returns the tasks that must end before an instance is installed.
    fn needs_of(&self, instance: &Instance) -> BTreeSet<TaskId> {
        let need = |id: &&str| {
            let last = *self.last.get(id)?;
            let stage = &self.proposal.stage;
            self.order.awaited_task(instance, (id, last), stage)
        };
        let dependencies = self.order.dependencies_of(instance);
        dependencies.iter().filter_map(need).collect()
    }

    /// Returns the status of an instance, and the change that makes it match its present
    /// definition.
    fn status(&mut self, instance: &'a Instance, node: &Definition) -> (InstanceStatus, Change) {
        let mut status = self.known.plugins.status(self.known.at(instance, node));
        let existing = [
            InstanceStatus::UpToDate,
            InstanceStatus::Unfinished,
            InstanceStatus::Stopped,
            InstanceStatus::NotReady,
            InstanceStatus::Drifted,
        ];
        let exists = existing.contains(&status);
        let mut change = Change::Nothing;
        let former = self
            .known
            .record
            .instances
            .get(&instance.id)
            .and_then(|known| known.former.as_deref());
        // Labels show the definition that a container was created from; for other objects, only the
        // record does.
        let is_other = |former: &Definition| {
            former.secrets != node.secrets
                || (!former.creates_same_object(node)
                    && !self
                        .known
                        .plugins
                        .is_replaceable(self.known.part(instance, node)))
        };
        let is_outdated = exists && former.is_some_and(is_other);
        let replaces_adopted = former.is_some_and(Definition::is_adopted)
            && !node.is_adopted()
            && self.known.plugins.is_observed(node)
            && status == InstanceStatus::Missing;
        let becomes_adopted = node.is_adopted()
            && self.known.plugins.is_observed(node)
            && former.is_some_and(|former| !former.is_adopted());
        if status == InstanceStatus::Outdated || is_outdated || replaces_adopted || becomes_adopted
        {
            change = self.known.plugins.change(self.known.at(instance, node));
            status = if change == Change::Nothing {
                status
            } else {
                InstanceStatus::Outdated
            };
        }
        let is_renewed = self
            .order
            .bound_to(instance)
            .iter()
            .any(|id| self.recreated.contains(id.as_str()));
        let is_stale = self
            .known
            .record
            .instances
            .get(&instance.id)
            .is_some_and(InstanceRecord::is_stale);
        let object = self.known.observed.of_instance(&instance.id);
        let is_cut_off = object.is_some_and(Object::is_cut_off);
        if (is_stale || is_renewed || is_cut_off) && (exists || matches!(change, Change::Adjust(_)))
        {
            status = InstanceStatus::DependencyRecreated;
        }
        let state = self.known.record.state(&instance.id);
        if self.scope.recreate.contains(&instance.id) && (exists || !state.is_gone()) {
            (status, change) = (InstanceStatus::Outdated, Change::Replace);
        }
        if self.is_moved(instance) && exists && status != InstanceStatus::DependencyRecreated {
            (status, change) = (InstanceStatus::Outdated, Change::Replace);
        }
        let keeps_object = status == InstanceStatus::Outdated
            && matches!(change, Change::Adjust(_) | Change::Refused(_));
        if matches!(
            status,
            InstanceStatus::Missing
                | InstanceStatus::Outdated
                | InstanceStatus::DependencyRecreated
        ) && !keeps_object
        {
            self.recreated.insert(&instance.id);
        }
        (status, change)
    }

    /// Returns true if the declaration of an instance refers to something else now, and the
    /// workflow replaces its object for that.
    fn is_moved(&self, instance: &Instance) -> bool {
        let moved = &self.known.observed.moved;
        self.scope.follows_moved && moved.contains_key(&instance.id)
    }

    fn cause_of_moved(&self, instance: &Instance) -> String {
        let is_changed = self
            .known
            .record
            .instances
            .get(&instance.id)
            .is_some_and(|known| known.former.is_some());
        let moved = self.known.observed.moved.get(&instance.id);
        let fields = moved.into_iter().flatten().map(|it| it.field.as_str());
        let fields = fields.collect::<Vec<_>>().join(", ");
        if is_changed {
            format!("{}, and its {fields} changed", InstanceStatus::Outdated)
        } else {
            format!("its {fields} changed")
        }
    }

    fn establish_neighbors(&mut self) {
        if self.scope.selection.is_all() {
            return establish_new(self.known, &self.last, &mut self.proposal);
        }
        let after = self
            .last
            .iter()
            .map(|(id, task)| ((*id).to_owned(), *task))
            .collect();
        let chosen = |instance: &Instance| {
            self.scope
                .selection
                .contains(self.known.deployment, instance)
        };
        let touched = |instance: &Instance| self.last.contains_key(instance.id.as_str());
        let neighbors = Neighbors {
            chosen: &chosen,
            changed: &touched,
            after: &after,
            cause: "the target of its relationship is created",
        };
        append_operations(self.known, "establish", &neighbors, &mut self.proposal);
    }

    /// Moves the pull of an image forward: it does not wait for the dependencies of the instance.
    /// Nodes with the same image share one pull: the second task waits for the first and finds the
    /// image present.
    fn pull_image_early(&mut self, first: TaskId) {
        let next = TaskId(first.0 + 1);
        let task = self.proposal.stage.task_mut(first);
        let Some(key) = task
            .step
            .traits
            .shared
            .clone()
            .filter(|_| !task.step.has_late_values())
        else {
            return;
        };
        let dependencies = std::mem::take(&mut task.needs);
        // An existing instance keeps its state until its object is recreated.
        let exists = !self.known.record.state(&task.instance).is_gone();
        let enters = std::mem::replace(
            &mut task.state_during,
            Some(Initializing).filter(|_| !exists),
        );
        match self.images.get(&key) {
            Some(earlier) => task.needs.push(*earlier),
            None => drop(self.images.insert(key, first)),
        }
        let creation = self.proposal.stage.task_mut(next);
        creation.needs.extend(dependencies);
        creation.state_during = creation.state_during.or(enters);
    }
}

/// Returns the tasks of a member of an exchange by their part in it. `parts` has those of a
/// replacement.
fn member_tasks(
    stage: &Stage,
    exchange: &Exchange,
    instance: &str,
    (all, parts): (Range<usize>, MemberTasks),
) -> MemberTasks {
    let is_taker = exchange.takers.iter().any(|id| id == instance);
    match parts.stop {
        Some(_) => MemberTasks { all, ..parts },
        None if is_taker => MemberTasks::of_new(stage, all, exchange.hands_name_to(instance)),
        None => MemberTasks::of_recreated(stage, all),
    }
}

/// Appends the tasks that install an instance, depending on its status.
fn append_tasks(
    chain: &mut Chain<'_>,
    status: InstanceStatus,
    change: Change,
    context: (&Order<'_>, &Outages),
    rolling: RollingUpdate,
) {
    let has_object = chain.known.plugins.is_observed(chain.node);
    match status {
        InstanceStatus::UpToDate => {}
        InstanceStatus::Drifted => repair_drift(chain),
        InstanceStatus::Outdated => append_change(chain, context, change, rolling),
        InstanceStatus::DependencyRecreated => {
            append_change(chain, context, Change::Replace, rolling)
        }
        InstanceStatus::Stopped | InstanceStatus::NotReady
            if chain.node.operations.contains_key(START[0].operation) =>
        {
            append_start(chain)
        }
        // Without a `start` operation, `create` starts it.
        InstanceStatus::Unfinished | InstanceStatus::Stopped | InstanceStatus::NotReady => {
            append_install(chain, Uninitialized)
        }
        InstanceStatus::Missing if has_object => append_install(chain, Uninitialized),
        InstanceStatus::Missing => {
            append_install(chain, chain.known.record.state(&chain.instance.id))
        }
    }
}

/// Appends the change of an existing object, in the least disruptive way.
fn append_change(
    chain: &mut Chain<'_>,
    (order, outages): (&Order<'_>, &Outages),
    change: Change,
    rolling: RollingUpdate,
) {
    let PlanInput {
        record, observed, ..
    } = chain.known;
    let (instance, node) = (chain.instance, chain.node);
    match change {
        Change::Nothing => {}
        Change::Adjust(step) => {
            chain.push("update", *step, Retry::default(), Some(&node.place));
            if !chain
                .known
                .plugins
                .is_in_desired_state(instance, node, observed)
            {
                append_start(chain);
            }
        }
        // An object that never worked is not kept as a fallback.
        Change::Replace
            if chain
                .known
                .plugins
                .is_replaceable(chain.known.part(instance, node))
                && has_worked(record, instance) =>
        {
            let former = record.object_definition(instance, node);
            // The instances of an exchange are down together.
            let before = outages.before(&instance.node, rolling);
            let before = before.filter(|_| !chain.in_exchange);
            let start_first = starts_first(chain.known, (instance, former, node), rolling);
            update::replace(
                chain,
                Replacing {
                    former,
                    before,
                    start_first,
                    pause: rolling.pause.filter(|_| before.is_some()),
                },
            );
        }
        Change::Recreate
            if UPDATE
                .iter()
                .any(|phase| node.operations.contains_key(phase.operation)) =>
        {
            chain.phases(&UPDATE)
        }
        Change::Replace | Change::Recreate => recreate(chain, order),
        Change::Refused(why) => drop(chain.push(
            "update",
            Step::refused(why),
            Retry::default(),
            Some(&node.place),
        )),
    }
}

/// Returns true if the successor starts before the predecessor is stopped: on request, or if the
/// predecessor disappears when it is stopped; and only if both can exist at the same time.
fn starts_first(
    known: PlanInput<'_>,
    (instance, former, node): (&Instance, &Definition, &Definition),
    rolling: RollingUpdate,
) -> bool {
    let is_requested =
        rolling.start_first || known.plugins.is_ephemeral(known.part(instance, former));
    is_requested
        && known
            .plugins
            .exclusive_conflict(known.part(instance, node), former)
            .is_none()
}

/// Returns true if an instance was started before or is being replaced, so that there is an object
/// to restore.
fn has_worked(record: &Record, instance: &Instance) -> bool {
    let Some(known) = record.instances.get(&instance.id) else {
        return false;
    };
    matches!(known.state, Started | InstanceState::Stopped)
        || known.is_outdated()
        || known.is_being_replaced()
}

/// Appends the repair of drift, and the start of an instance that is not running.
fn repair_drift(chain: &mut Chain<'_>) {
    let (instance, node, observed) = (chain.instance, chain.node, chain.known.observed);
    let plugins = chain.known.plugins;
    // An object that does not run is started below.
    let is_running = plugins.is_in_desired_state(instance, node, observed);
    for drift in observed
        .of_instance(&instance.id)
        .into_iter()
        .flat_map(|object| &object.drift)
        .filter(|drift| drift.repair.effect() != Effect::Starts || is_running)
    {
        chain.push(
            "update",
            drift.repair.clone(),
            Retry::default(),
            Some(&node.place),
        );
    }
    if !is_running {
        append_start(chain);
    }
}

/// Appends the removal by the former definition, then the install by the present one.
fn recreate(chain: &mut Chain<'_>, order: &Order<'_>) {
    images::append(chain, order);
    let (node, first) = (chain.node, chain.proposal.stage.tasks().len());
    chain.node = chain.known.record.object_definition(chain.instance, node);
    uninstall::append_uninstall(chain, InstanceState::Started);
    chain.node = node;
    chain.end_in(Deleted, "uninstall");
    reinstall::keep_images(first, chain.proposal);
    append_install(chain, Uninitialized);
}

/// Appends the remaining operations that install an instance in `state`.
pub(super) fn append_install(chain: &mut Chain<'_>, state: InstanceState) {
    let is_made = matches!(state, Created | Configuring | Configured | Starting);
    let is_configured = matches!(state, Configured | Starting);
    match state {
        _ if is_made => {}
        Creating => chain.phases(&CREATE[3..]),
        _ => chain.phases(&CREATE),
    }
    if !is_configured {
        chain.relationships("preconfigure", false);
        chain.phases(&CONFIGURE);
    }
    chain.relationships("postconfigure", false);
    append_start(chain);
}

/// Appends the operations that start a created instance.
pub(super) fn append_start(chain: &mut Chain<'_>) {
    let first = chain.proposal.stage.tasks().len();
    chain.phases(&START);
    for id in first..chain.proposal.stage.tasks().len() {
        let task = chain.proposal.stage.task_mut(TaskId(id));
        if task.operation == "get_state" {
            task.retry.max_retries = Some(-1.0);
        }
    }
    chain.relationships("establish", false);
}
