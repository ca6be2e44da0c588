//! `install`: creates missing instances, starts stopped ones, and leaves matching ones unchanged.

use super::{
    Known, Proposal, bring,
    chain::{Chain, Phase, done_of},
    neighbours::{Beside, join, tell},
    order::Order,
    reinstall, restore, uninstall,
    update::{self, Outages, Replacing, Rolling},
};
use crate::{
    model::{
        Definition, Deployment, Instance,
        InstanceState::{
            self, Configured, Configuring, Created, Creating, Deleted, Initializing, Started,
            Starting, Uninitialized,
        },
        Retry,
    },
    record::Record,
    seam::{Change, Observed, Purpose, Standing, Step},
    stage::{CLEAN, Selection, TaskId, operations},
};
use std::collections::{BTreeSet, HashMap, HashSet};

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
    pub renew: HashSet<String>,
    /// Why they are recreated.
    pub cause: &'a str,
    /// How the instances of one node are replaced.
    pub rolling: Rolling,
}

impl Default for Scope<'_> {
    fn default() -> Self {
        const ALL: &Selection = &Selection::All;
        Self {
            selection: ALL,
            renew: HashSet::new(),
            cause: "",
            rolling: Rolling {
                max_unavailable: 1,
                start_first: false,
            },
        }
    }
}

/// Plans the changes from the observed to the desired state. The stage is empty if the deployment
/// is up to date.
#[must_use]
pub fn next(deployment: &Deployment, record: &Record, observed: &Observed) -> Proposal {
    of(&Known::new(deployment, record, observed), &Scope::default())
}

/// Like [`next`], for a part of the deployment. Also runs `establish` for relationships of other
/// instances to the installed ones.
#[must_use]
pub fn of(known: &Known<'_>, scope: &Scope<'_>) -> Proposal {
    let mut planner = Planner {
        known: *known,
        scope,
        order: Order::new(known.deployment, known.plugins),
        proposal: Proposal::default(),
        last: HashMap::new(),
        renewed: HashSet::new(),
        images: HashMap::new(),
        outages: Outages::default(),
    };
    let all = scope.selection.is_all();
    let dropped = if all {
        uninstall::of_dropped(known, Purpose::Ordinary, &mut planner.proposal)
    } else {
        Vec::new()
    };
    for instance in planner.order.instances() {
        match known.deployment.node(instance) {
            Some(node) if scope.selection.has(known.deployment, instance) => {
                planner.instance(instance, node, &dropped)
            }
            _ => {}
        }
    }
    planner.tell_neighbours();
    planner.proposal
}

struct Planner<'a, 's> {
    known: Known<'a>,
    scope: &'s Scope<'s>,
    order: Order<'a>,
    proposal: Proposal,
    /// The last task of each instance that has tasks.
    last: HashMap<&'a str, TaskId>,
    /// Instances with recreated objects. Instances that refer to the old objects are recreated too.
    renewed: HashSet<&'a str>,
    /// The task that pulls each image. Nodes with the same image share one pull.
    images: HashMap<String, TaskId>,
    outages: Outages,
}

impl<'a> Planner<'a, '_> {
    fn instance(&mut self, instance: &'a Instance, node: &'a Definition, dropped: &[TaskId]) {
        let Known {
            deployment,
            record,
            observed,
            ..
        } = self.known;
        let (standing, change) = self.standing(instance, node);
        let needs: BTreeSet<TaskId> = self
            .order
            .needed_by(instance)
            .iter()
            .filter_map(|id| self.last.get(id).copied())
            .collect();
        let first = self.proposal.stage.tasks().len();
        let goes_on = matches!(
            standing,
            Standing::Unfinished | Standing::Stopped | Standing::NotReady
        );
        let cause = if self.scope.renew.contains(&instance.id) {
            self.scope.cause.to_owned()
        } else {
            standing.to_string()
        };
        let mut chain = Chain::new(self.known, (instance, node), &cause, &mut self.proposal);
        // Without an object, only the record shows how far the install got.
        let state = record.state(&instance.id);
        let is_on_its_way = standing == Standing::Absent
            && !self.known.plugins.has_object(node)
            && !state.is_gone()
            && !state.is_down();
        chain.done = if goes_on || is_on_its_way {
            done_of(&self.known, instance, node)
        } else {
            Vec::new()
        };
        chain.after = needs.into_iter().chain(dropped.iter().copied()).collect();
        let known = record.instances.get(&instance.id);
        if known.is_some_and(restore::is_proven) {
            update::clean(&mut chain);
        }
        let is_left = known.is_some_and(restore::is_unproven);
        if standing == Standing::UpToDate && !is_left && chain.last.is_none() {
            return;
        }
        let rolling = self.scope.rolling;
        let around = (&self.order, &self.outages);
        bring_about(&mut chain, standing, change, around, rolling);
        if is_left
            && chain
                .last
                .is_none_or(|last| chain.proposal.stage.task(last).operation != CLEAN)
        {
            update::prove(&mut chain);
        }
        chain.end_in(Started, "install");
        if let Some(last) = chain.last {
            chain.proposal.stage.task_mut(last).is_as_defined = true;
            self.outages.add(&instance.node, last);
        }
        // Dependents do not wait for a running instance that only has its drift repaired.
        let is_ready =
            standing == Standing::Changed && self.known.plugins.is_done(instance, node, observed);
        self.last.extend(
            chain
                .last
                .filter(|_| !is_ready)
                .map(|last| (instance.id.as_str(), last)),
        );
        // An image that this stage builds cannot be pulled early.
        if !self
            .order
            .needed_by(instance)
            .iter()
            .any(|id| self.known.plugins.is_material(deployment, id))
        {
            self.bring_image_early(TaskId(first));
        }
    }

    /// Returns the standing of an instance, and the change that makes it match its present
    /// definition.
    fn standing(&mut self, instance: &'a Instance, node: &Definition) -> (Standing, Change) {
        let mut standing = self.known.plugins.standing(self.known.at(instance, node));
        let there = [
            Standing::UpToDate,
            Standing::Unfinished,
            Standing::Stopped,
            Standing::NotReady,
            Standing::Changed,
        ];
        let exists = there.contains(&standing);
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
                || (!former.is_made_like(node)
                    && !self
                        .known
                        .plugins
                        .is_replaceable(self.known.part(instance, node)))
        };
        let is_former = exists && former.is_some_and(is_other);
        let takes_over = former.is_some_and(Definition::is_adopted)
            && !node.is_adopted()
            && self.known.plugins.has_object(node)
            && standing == Standing::Absent;
        let is_given_up = node.is_adopted()
            && self.known.plugins.has_object(node)
            && former.is_some_and(|former| !former.is_adopted());
        if standing == Standing::Outdated || is_former || takes_over || is_given_up {
            change = self.known.plugins.change(self.known.at(instance, node));
            standing = if change == Change::Nothing {
                standing
            } else {
                Standing::Outdated
            };
        }
        let is_renewed = self
            .order
            .bound_to(instance)
            .iter()
            .any(|id| self.renewed.contains(id.as_str()));
        let is_stale = self
            .known
            .record
            .instances
            .get(&instance.id)
            .is_some_and(|known| known.is_stale);
        if (is_stale || is_renewed) && (exists || matches!(change, Change::Adjust(_))) {
            standing = Standing::Bound;
        }
        let state = self.known.record.state(&instance.id);
        if self.scope.renew.contains(&instance.id) && (exists || !state.is_gone()) {
            (standing, change) = (Standing::Outdated, Change::Replace);
        }
        let as_it_stands = standing == Standing::Outdated
            && matches!(change, Change::Adjust(_) | Change::Refused(_));
        if matches!(
            standing,
            Standing::Absent | Standing::Outdated | Standing::Bound
        ) && !as_it_stands
        {
            self.renewed.insert(&instance.id);
        }
        (standing, change)
    }

    fn tell_neighbours(&mut self) {
        if self.scope.selection.is_all() {
            return join(self.known, &self.last, &mut self.proposal);
        }
        let after = self
            .last
            .iter()
            .map(|(id, task)| ((*id).to_owned(), *task))
            .collect();
        let chosen =
            |instance: &Instance| self.scope.selection.has(self.known.deployment, instance);
        let touched = |instance: &Instance| self.last.contains_key(instance.id.as_str());
        let beside = Beside {
            chosen: &chosen,
            touched: &touched,
            after: &after,
            cause: "the target of its relationship is created",
        };
        tell(self.known, "establish", &beside, &mut self.proposal);
    }

    /// Moves the pull of an image forward: it does not wait for the dependencies of the instance.
    /// Nodes with the same image share one pull: the second task waits for the first and finds the
    /// image present.
    fn bring_image_early(&mut self, first: TaskId) {
        let next = TaskId(first.0 + 1);
        let task = self.proposal.stage.task_mut(first);
        let Some(key) = task
            .step
            .traits
            .shared
            .clone()
            .filter(|_| !task.step.is_late())
        else {
            return;
        };
        let waited_for = std::mem::take(&mut task.needs);
        // An existing instance keeps its state until its object is recreated.
        let is_there = !self.known.record.state(&task.instance).is_gone();
        let enters = std::mem::replace(&mut task.enters, Some(Initializing).filter(|_| !is_there));
        match self.images.get(&key) {
            Some(earlier) => task.needs.push(*earlier),
            None => drop(self.images.insert(key, first)),
        }
        let creation = self.proposal.stage.task_mut(next);
        creation.needs.extend(waited_for);
        creation.enters = creation.enters.or(enters);
    }
}

/// Appends the tasks that install an instance, depending on its standing.
fn bring_about(
    chain: &mut Chain<'_>,
    standing: Standing,
    change: Change,
    around: (&Order<'_>, &Outages),
    rolling: Rolling,
) {
    let has_object = chain.known.plugins.has_object(chain.node);
    match standing {
        Standing::UpToDate => {}
        Standing::Changed => put_right(chain),
        Standing::Outdated => apply(chain, around, change, rolling),
        Standing::Bound => apply(chain, around, Change::Replace, rolling),
        Standing::Stopped | Standing::NotReady
            if chain.node.operations.contains_key(START[0].operation) =>
        {
            start(chain)
        }
        // Without a `start` operation, `create` starts it.
        Standing::Unfinished | Standing::Stopped | Standing::NotReady => {
            way_up(chain, Uninitialized)
        }
        Standing::Absent if has_object => way_up(chain, Uninitialized),
        Standing::Absent => way_up(chain, chain.known.record.state(&chain.instance.id)),
    }
}

/// Appends the change of an existing object, in the least disruptive way.
fn apply(
    chain: &mut Chain<'_>,
    (order, outages): (&Order<'_>, &Outages),
    change: Change,
    rolling: Rolling,
) {
    let Known {
        record, observed, ..
    } = chain.known;
    let (instance, node) = (chain.instance, chain.node);
    match change {
        Change::Nothing => {}
        Change::Adjust(step) => {
            chain.push("update", *step, Retry::default(), Some(&node.place));
            if !chain.known.plugins.is_done(instance, node, observed) {
                start(chain);
            }
        }
        // An object that never worked is not kept as a fallback.
        Change::Replace
            if chain
                .known
                .plugins
                .is_replaceable(chain.known.part(instance, node))
                && worked(record, instance) =>
        {
            let former = record.made_from(instance, node);
            let before = outages.before(&instance.node, rolling);
            let start_first = starts_first(chain.known, (instance, former, node), rolling);
            update::replace(
                chain,
                Replacing {
                    former,
                    before,
                    start_first,
                },
            );
        }
        Change::Remake
            if UPDATE
                .iter()
                .any(|phase| node.operations.contains_key(phase.operation)) =>
        {
            chain.phases(&UPDATE)
        }
        Change::Replace | Change::Remake => remake(chain, order),
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
    known: Known<'_>,
    (instance, former, node): (&Instance, &Definition, &Definition),
    rolling: Rolling,
) -> bool {
    let is_wanted = rolling.start_first || known.plugins.is_ephemeral(known.part(instance, former));
    is_wanted
        && known
            .plugins
            .both_need(known.part(instance, node), former)
            .is_none()
}

/// Returns true if an instance was started before or is being replaced, so that there is an object
/// to restore.
fn worked(record: &Record, instance: &Instance) -> bool {
    let Some(known) = record.instances.get(&instance.id) else {
        return false;
    };
    matches!(known.state, Started | InstanceState::Stopped)
        || known.is_outdated()
        || known.is_being_replaced()
}

/// Appends the repair of drift, and the start of an instance that is not running.
fn put_right(chain: &mut Chain<'_>) {
    let (instance, node, observed) = (chain.instance, chain.node, chain.known.observed);
    for drift in observed
        .of(&instance.id)
        .into_iter()
        .flat_map(|object| &object.drift)
    {
        chain.push(
            "update",
            drift.repair.clone(),
            Retry::default(),
            Some(&node.place),
        );
    }
    if !chain.known.plugins.is_done(instance, node, observed) {
        start(chain);
    }
}

/// Appends the removal by the former definition, then the install by the present one.
fn remake(chain: &mut Chain<'_>, order: &Order<'_>) {
    bring::append(chain, order);
    let (node, first) = (chain.node, chain.proposal.stage.tasks().len());
    chain.node = chain.known.record.made_from(chain.instance, node);
    uninstall::way_down(chain, InstanceState::Started);
    chain.node = node;
    chain.end_in(Deleted, "uninstall");
    reinstall::keep_images(first, chain.proposal);
    way_up(chain, Uninitialized);
}

/// Appends the remaining operations that install an instance in `state`.
pub(super) fn way_up(chain: &mut Chain<'_>, state: InstanceState) {
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
    start(chain);
}

/// Appends the operations that start a created instance.
pub(super) fn start(chain: &mut Chain<'_>) {
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
