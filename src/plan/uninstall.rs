//! `uninstall`: takes everything down, in the reverse order of `install`.

use super::{
    Known, Proposal,
    bring::Brought,
    chain::{Chain, Phase, done_of},
    neighbours::{Beside, sever, tell},
    order::Order,
};
use crate::{
    model::{
        Definition, Deployment, Instance,
        InstanceState::{self, Configured, Deleted, Deleting, Stopped, Stopping, Uninitialized},
    },
    record::Record,
    seam::{Observed, Purpose},
    stage::{Selection, TaskId, operations},
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
        &Known::new(deployment, record, observed),
        &Selection::All,
        false,
        Purpose::Ordinary,
    )
}

/// Like [`next`], for a part of the deployment. First runs `unlink` for relationships of other
/// instances to the removed ones.
#[must_use]
pub fn of(
    known: &Known<'_>,
    selection: &Selection,
    ignores_failure: bool,
    purpose: Purpose<'_>,
) -> Proposal {
    let mut proposal = Proposal::default();
    let first = if selection.is_all() {
        of_dropped(known, purpose, &mut proposal)
    } else {
        Vec::new()
    };
    let chosen = |instance: &Instance| selection.has(known.deployment, instance);
    Taking {
        known: *known,
        chosen: &chosen,
        cause: "uninstall",
        ignores_failure,
        brought: &Brought::new(),
        purpose,
    }
    .plan(&first, &mut proposal);
    proposal
}

/// Appends the removal of instances that are no longer in the definition, after `unlink` of removed
/// relationships. Returns the last tasks.
pub(super) fn of_dropped(
    known: &Known<'_>,
    purpose: Purpose<'_>,
    proposal: &mut Proposal,
) -> Vec<TaskId> {
    let dropped = known.record.dropped.iter();
    let of = |(instance, node): &(Instance, Definition)| {
        let named = (instance.node.clone(), Arc::new(node.clone()));
        (instance.clone(), named)
    };
    let (instances, nodes) = dropped.map(of).unzip();
    let earlier = Deployment {
        nodes,
        instances,
        ..known.deployment.clone()
    };
    let mut ends = sever(*known, proposal);
    let known = Known {
        deployment: &earlier,
        ..*known
    };
    let brought = Brought::new();
    let cause = "it is no longer in the blueprint";
    let taking = Taking {
        known,
        chosen: &|_| true,
        cause,
        ignores_failure: false,
        brought: &brought,
        purpose,
    };
    ends.extend(taking.plan(&ends, proposal));
    ends
}

/// The instances to take down, and how.
pub(super) struct Taking<'a> {
    pub known: Known<'a>,
    pub chosen: &'a dyn Fn(&Instance) -> bool,
    pub cause: &'a str,
    /// Failures are recorded, ignored and not retried.
    pub ignores_failure: bool,
    /// Tasks that provide images before an instance is stopped.
    pub brought: &'a Brought,
    /// The purpose of the operations.
    pub purpose: Purpose<'a>,
}

impl Taking<'_> {
    /// Appends the tasks that take them down, each instance after its dependents. Returns the last
    /// tasks.
    pub(super) fn plan(&self, first: &[TaskId], proposal: &mut Proposal) -> Vec<TaskId> {
        let told = self.tell_neighbours(proposal);
        // Tasks that must end before an instance is removed: those of its dependents.
        let mut waits_for: HashMap<String, BTreeSet<TaskId>> = HashMap::new();
        let mut ends = Vec::new();
        let as_made = self.known.record.as_made(self.known.deployment);
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
                    .chain(told.get(&instance.id).into_iter().flatten()),
            );
            after.extend(self.brought.get(&instance.id).into_iter().flatten());
            let waited_for: Vec<TaskId> = after.iter().copied().collect();
            let last = self.take_down(instance, node, waited_for, proposal);
            ends.extend(last);
            let handed_on: BTreeSet<TaskId> = last.map_or(after, |last| BTreeSet::from([last]));
            for id in order.needed_by(instance) {
                waits_for
                    .entry(id.to_owned())
                    .or_default()
                    .extend(&handed_on);
            }
        }
        ends
    }

    fn tell_neighbours(&self, proposal: &mut Proposal) -> HashMap<String, Vec<TaskId>> {
        let touched = |instance: &Instance| (self.chosen)(instance) && self.exists(instance);
        let beside = Beside {
            chosen: self.chosen,
            touched: &touched,
            after: &HashMap::new(),
            cause: "the target of its relationship is removed",
        };
        tell(self.known, "unlink", &beside, proposal)
    }

    fn exists(&self, instance: &Instance) -> bool {
        !self.known.record.state(&instance.id).is_gone()
            || self.known.observed.of(&instance.id).is_some()
    }

    /// Appends the removal of one instance. An outdated instance is removed by the definition that
    /// it was created from, so an adopted object stays.
    fn take_down(
        &self,
        instance: &Instance,
        node: &Definition,
        after: Vec<TaskId>,
        proposal: &mut Proposal,
    ) -> Option<TaskId> {
        let Known {
            deployment: _,
            record,
            observed: _,
            ..
        } = self.known;
        if !self.exists(instance) {
            return None;
        }
        let node = record.made_from(instance, node);
        let state = record.state(&instance.id);
        let mut chain = Chain::new(self.known, (instance, node), self.cause, proposal);
        chain.ignores_failure = self.ignores_failure;
        chain.purpose = self.purpose;
        chain.after = after;
        chain.done = if state.is_down() {
            done_of(&self.known, instance, node)
        } else {
            Vec::new()
        };
        if !self
            .known
            .plugins
            .is_out_of_reach(self.known.at(instance, node))
        {
            // Without an object, the state shows which operations are left. An object is observed.
            way_down(
                &mut chain,
                if self.known.plugins.has_object(node) {
                    InstanceState::Started
                } else {
                    state
                },
            );
        }
        chain.end_in(Deleted, "uninstall");
        chain.last
    }
}

/// Appends the remaining operations that take down an instance in `state`.
pub(super) fn way_down(chain: &mut Chain<'_>, state: InstanceState) {
    match state {
        Configured => chain.is_stopped(),
        Stopped | Deleting | Deleted | Uninitialized => {}
        _ => chain.phases(&STOP),
    }
    chain.relationships("unlink", true);
    chain.phases(&DELETE);
}

/// Appends the operations that stop an instance without deleting it.
pub(super) fn stop(chain: &mut Chain<'_>) {
    chain.phases(&STOP);
}

/// Appends the operations that delete a stopped instance.
pub(super) fn delete(chain: &mut Chain<'_>) {
    chain.relationships("unlink", true);
    chain.phases(&DELETE);
}
