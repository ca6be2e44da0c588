//! `uninstall`: takes everything down, in the reverse order of `install`.

use super::{
    PlanInput, Proposal,
    chain::{Chain, Phase, completed_steps},
    exchange::MemberTasks,
    images::ImageTasks,
    neighbors::{Neighbors, append_operations, unlink_removed},
    order::Order,
    removal_order, unseen,
};
use crate::{
    model::{
        Definition, Deployment, Instance,
        InstanceState::{self, Configured, Deleted, Deleting, Stopped, Stopping, Uninitialized},
        Retry,
    },
    record::Record,
    seam::{Observed, Purpose, Step},
    stage::{Selection, Stage, TaskId, operations},
};
use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

const STOP: [Phase<'static>; 5] = [
    stopping(operations::STOP[0], None),
    stopping(operations::STOP[1], None),
    stopping(operations::STOP[2], None),
    stopping(operations::STOP[3], None),
    stopping(operations::STOP[4], Some(Stopped)),
];
const DELETE: [Phase<'static>; 2] = [
    deleting(operations::DELETE[0]),
    deleting(operations::DELETE[1]),
];

const fn stopping(operation: &'static str, leaves: Option<InstanceState>) -> Phase<'static> {
    Phase {
        operation,
        enters: Some(Stopping),
        leaves,
    }
}

const fn deleting(operation: &'static str) -> Phase<'static> {
    Phase {
        operation,
        enters: Some(Deleting),
        leaves: None,
    }
}

/// Plans to take down everything that exists. The stage is empty if nothing exists.
#[must_use]
pub fn next(deployment: &Deployment, record: &Record, observed: &Observed) -> Proposal {
    of(
        &PlanInput::new(deployment, record, observed),
        &Selection::All,
        false,
        Purpose::Ordinary,
    )
}

/// Like [`next`], for a part of the deployment. First runs `unlink` for relationships of other
/// instances to the removed ones.
#[must_use]
pub fn of(
    known: &PlanInput<'_>,
    selection: &Selection,
    ignores_failure: bool,
    purpose: Purpose<'_>,
) -> Proposal {
    let mut proposal = Proposal::default();
    let first = if selection.is_all() {
        remove_dropped(known, purpose, (&|_| false, false), &mut proposal).ends
    } else {
        Vec::new()
    };
    let needed = unseen::needed(known);
    let chosen = |instance: &Instance| {
        selection.contains(known.deployment, instance) && !needed.contains(&instance.id)
    };
    Removal {
        known: *known,
        chosen: &chosen,
        cause: "uninstall",
        ignores_failure,
        image_tasks: &ImageTasks::new(),
        purpose,
        hands_on: &|_| false,
        refuses_used: false,
    }
    .plan(&first, &mut proposal);
    if selection.is_all() {
        removal_order::postpone(known, &[], &mut proposal.stage);
    }
    proposal
}

/// Appends the removal of instances that are no longer in the definition, after `unlink` of removed
/// relationships. `hands_on` returns true for instances that take part in an exchange; `updates`
/// means that the other instances stay.
pub(super) fn remove_dropped(
    known: &PlanInput<'_>,
    purpose: Purpose<'_>,
    (hands_on, updates): (&dyn Fn(&Instance) -> bool, bool),
    proposal: &mut Proposal,
) -> Removed {
    let earlier = earlier_deployment(known);
    let unlinked = unlink_removed(*known, proposal);
    let known = PlanInput {
        deployment: &earlier,
        ..*known
    };
    let image_tasks = ImageTasks::new();
    let cause = "the blueprint no longer declares it";
    let taking = Removal {
        known,
        chosen: &|_| true,
        cause,
        ignores_failure: false,
        image_tasks: &image_tasks,
        purpose,
        hands_on,
        refuses_used: updates,
    };
    let mut removed = taking.plan(&unlinked, proposal);
    removed.ends.splice(0..0, unlinked);
    removed
}

/// Returns a deployment of the instances that are no longer in the definition.
pub(super) fn earlier_deployment(known: &PlanInput<'_>) -> Deployment {
    let dropped = known.record.dropped.iter();
    let of = |(instance, node): &(Instance, Definition)| {
        let named = (instance.node.clone(), Arc::new(node.clone()));
        (instance.clone(), named)
    };
    let (instances, nodes) = dropped.map(of).unzip();
    Deployment {
        nodes,
        instances,
        ..known.deployment.clone()
    }
}

/// The tasks that take instances down.
#[derive(Default)]
pub(super) struct Removed {
    /// The last tasks.
    pub ends: Vec<TaskId>,
    /// The tasks of instances that take part in an exchange.
    pub members: HashMap<String, MemberTasks>,
}

/// The instances to take down, and how.
pub(super) struct Removal<'a> {
    pub known: PlanInput<'a>,
    pub chosen: &'a dyn Fn(&Instance) -> bool,
    pub cause: &'a str,
    /// Failures are recorded, ignored and not retried.
    pub ignores_failure: bool,
    /// Tasks that provide images before an instance is stopped.
    pub image_tasks: &'a ImageTasks,
    /// The purpose of the operations.
    pub purpose: Purpose<'a>,
    /// Returns true for instances that take part in an exchange. They give up their names first.
    pub hands_on: &'a dyn Fn(&Instance) -> bool,
    /// The removal of an object that others use is refused before anything begins. Otherwise it
    /// fails, and the rest is removed.
    pub refuses_used: bool,
}

impl Removal<'_> {
    /// Appends the tasks that take them down, each instance after its dependents.
    pub(super) fn plan(&self, first: &[TaskId], proposal: &mut Proposal) -> Removed {
        let unlinked = self.unlink_neighbors(proposal);
        // Tasks that must end before an instance is removed: those of its dependents.
        let mut waits_for: HashMap<String, BTreeSet<TaskId>> = HashMap::new();
        // Tasks that must end before only its deletion.
        let mut delays: HashMap<String, BTreeSet<TaskId>> = HashMap::new();
        let mut removed = Removed::default();
        let as_made = self.known.record.as_created(self.known.deployment);
        let order = Order::new(&as_made, self.known.plugins);
        for instance in order
            .instances()
            .into_iter()
            .rev()
            .filter(|instance| (self.chosen)(instance))
        {
            let Some(node) = self.known.deployment.node(instance) else {
                continue;
            };
            let mut after: BTreeSet<TaskId> = waits_for.remove(&instance.id).unwrap_or_default();
            after.extend(
                first
                    .iter()
                    .chain(unlinked.get(&instance.id).into_iter().flatten()),
            );
            after.extend(self.image_tasks.get(&instance.id).into_iter().flatten());
            let dependencies: Vec<TaskId> = after.iter().copied().collect();
            let before = proposal.stage.tasks().len();
            let last = self.append_instance(instance, node, (dependencies, &mut removed), proposal);
            removed.ends.extend(last);
            let late = delays.remove(&instance.id).unwrap_or_default();
            delay_deletion(&mut proposal.stage, (before, last), &late);
            after.extend(late);
            let handed_on: BTreeSet<TaskId> = last.map_or(after, |last| BTreeSet::from([last]));
            for id in order.dependencies_of(instance) {
                let awaited = order.awaited_operation(instance, id);
                let waits = if awaited.is_some_and(is_before_start) {
                    &mut delays
                } else {
                    &mut waits_for
                };
                waits.entry(id.to_owned()).or_default().extend(&handed_on);
            }
        }
        removed
    }

    fn unlink_neighbors(&self, proposal: &mut Proposal) -> HashMap<String, Vec<TaskId>> {
        let touched = |instance: &Instance| (self.chosen)(instance) && self.exists(instance);
        let neighbors = Neighbors {
            chosen: self.chosen,
            changed: &touched,
            after: &HashMap::new(),
            cause: "the target of its relationship is removed",
        };
        append_operations(self.known, "unlink", &neighbors, proposal)
    }

    fn exists(&self, instance: &Instance) -> bool {
        !self.known.record.state(&instance.id).is_gone()
            || self.known.observed.of_instance(&instance.id).is_some()
    }

    /// Appends the removal of one instance. An outdated instance is removed by the definition that
    /// it was created from, so an adopted object stays.
    fn append_instance(
        &self,
        instance: &Instance,
        node: &Definition,
        (after, removed): (Vec<TaskId>, &mut Removed),
        proposal: &mut Proposal,
    ) -> Option<TaskId> {
        let PlanInput {
            deployment: _,
            record,
            observed: _,
            ..
        } = self.known;
        if !self.exists(instance) {
            return None;
        }
        let node = record.object_definition(instance, node);
        let state = record.state(&instance.id);
        let first = proposal.stage.tasks().len();
        let mut chain = Chain::new(self.known, (instance, node), self.cause, proposal);
        chain.ignores_failure = self.ignores_failure;
        chain.purpose = self.purpose;
        chain.after = after;
        chain.completed = if state.is_down() {
            completed_steps(&self.known, instance, node)
        } else {
            Vec::new()
        };
        let object = self.known.observed.of_instance(&instance.id);
        let obstacle = object.and_then(|it| self.known.plugins.removal_obstacle(node, it));
        if let Some(why) = obstacle.filter(|_| self.refuses_used && !node.is_adopted()) {
            let refusal = Step::refused(why);
            chain.push("delete", refusal, Retry::default(), Some(&node.place));
        }
        let replacement = chain.replacement(node);
        if let Some(replacement) = replacement.filter(|_| (self.hands_on)(instance)) {
            chain.release(node, replacement);
            chain.parts.clean = Some(TaskId(chain.proposal.stage.tasks().len()));
            append_delete(&mut chain);
        } else if !self
            .known
            .plugins
            .has_no_location(self.known.at(instance, node))
        {
            // Without an object, the state shows which operations are left. An object is observed.
            append_uninstall(
                &mut chain,
                if self.known.plugins.is_observed(node) {
                    InstanceState::Started
                } else {
                    state
                },
            );
        }
        chain.end_in(Deleted, "uninstall");
        let (last, parts) = (chain.last, chain.parts);
        if (self.hands_on)(instance) {
            let all = first..proposal.stage.tasks().len();
            let member = MemberTasks { all, ..parts };
            removed.members.insert(instance.id.clone(), member);
        }
        last
    }
}

/// Returns true if a lifecycle operation comes before the start of an instance. An instance that
/// waits for it needs the object of the other one, but not its service.
fn is_before_start(operation: &str) -> bool {
    matches!(operation, "precreate" | "create" | "configure")
}

/// Lets the deletion of an instance, whose tasks begin at `first`, wait for `late`.
fn delay_deletion(
    stage: &mut Stage,
    (first, last): (usize, Option<TaskId>),
    late: &BTreeSet<TaskId>,
) {
    let deletes = |at: &usize| stage.tasks()[*at].operation == "delete";
    let deletion = (first..stage.tasks().len()).find(deletes).map(TaskId);
    if let Some(task) = deletion.or(last) {
        stage.task_mut(task).needs.extend(late);
    }
}

/// Appends the remaining operations that take down an instance in `state`.
pub(super) fn append_uninstall(chain: &mut Chain<'_>, state: InstanceState) {
    match state {
        Configured => chain.mark_stopped(),
        Stopped | Deleting | Deleted | Uninitialized => {}
        _ => chain.phases(&STOP),
    }
    chain.relationships("unlink", true);
    chain.phases(&DELETE);
}

/// Appends the operations that stop an instance without deleting it.
pub(super) fn append_stop(chain: &mut Chain<'_>) {
    chain.phases(&STOP);
}

/// Appends the operations that delete a stopped instance.
pub(super) fn append_delete(chain: &mut Chain<'_>) {
    chain.relationships("unlink", true);
    chain.phases(&DELETE);
}
