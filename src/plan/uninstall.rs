//! `uninstall`: everything is taken down, in the reverse order of `install`.

use super::{
    InstanceState::{Deleted, Deleting, Stopped, Stopping},
    Proposal, TaskId,
    chain::{Chain, Phase, done_of},
    order::Order,
};
use crate::{
    backend::{self, Observed},
    model::{Definition, Deployment, Instance},
    state::Record,
};
use std::collections::{BTreeSet, HashMap};

pub(super) const PHASES: [Phase; 7] = [
    Phase { operation: "cloudify.interfaces.validation.deletion", enters: Some(Stopping), leaves: None },
    Phase { operation: "cloudify.interfaces.validation.delete", enters: Some(Stopping), leaves: None },
    Phase { operation: "cloudify.interfaces.monitoring.stop", enters: Some(Stopping), leaves: None },
    Phase { operation: "cloudify.interfaces.lifecycle.prestop", enters: Some(Stopping), leaves: None },
    Phase { operation: "cloudify.interfaces.lifecycle.stop", enters: Some(Stopping), leaves: Some(Stopped) },
    Phase { operation: "cloudify.interfaces.lifecycle.delete", enters: Some(Deleting), leaves: Some(Deleted) },
    Phase { operation: "cloudify.interfaces.lifecycle.postdelete", enters: Some(Deleting), leaves: None },
];

/// Whether this workflow runs an operation of a node.
pub(super) fn runs(operation: &str) -> bool {
    PHASES.iter().any(|phase| phase.operation == operation)
}

/// Plans taking down everything that exists. An empty stage means: nothing is there.
#[must_use]
pub fn next(deployment: &Deployment, record: &Record, observed: &Observed) -> Proposal {
    let mut proposal = Proposal::default();
    let dropped = of_dropped(deployment, record, observed, &mut proposal);
    all_of(deployment, &|_| true, record, observed, "uninstall", &dropped, &mut proposal);
    proposal
}

/// Takes down instances that an earlier definition of the deployment had and this one has not. The
/// tasks that end it are given.
pub(super) fn of_dropped(deployment: &Deployment, record: &Record, observed: &Observed, proposal: &mut Proposal) -> Vec<TaskId> {
    let (instances, nodes) =
        record.dropped.iter().map(|(instance, node)| (instance.clone(), (instance.node.clone(), node.clone()))).unzip();
    let earlier = Deployment { nodes, instances, ..deployment.clone() };
    all_of(&earlier, &|_| true, record, observed, "the blueprint does not have it any more", &[], proposal)
}

/// Takes down instances of a deployment, each after those that need it.
pub(super) fn all_of(
    deployment: &Deployment,
    chosen: &dyn Fn(&Instance) -> bool,
    record: &Record,
    observed: &Observed,
    cause: &str,
    first: &[TaskId],
    proposal: &mut Proposal,
) -> Vec<TaskId> {
    // Who must be gone before an instance may go: those that need it.
    let mut waits_for: HashMap<String, BTreeSet<TaskId>> = HashMap::new();
    let mut ends = Vec::new();
    let order = Order::new(deployment);
    for instance in order.instances().into_iter().rev().filter(|instance| chosen(instance)) {
        let Some(node) = deployment.node(instance) else { continue };
        let mut after: BTreeSet<TaskId> = waits_for.remove(&instance.id).unwrap_or_default();
        after.extend(first);
        let waited_for: Vec<TaskId> = after.iter().copied().collect();
        let last = take_down(deployment, (instance, node), record, observed, cause, waited_for, proposal);
        ends.extend(last);
        let handed_on: BTreeSet<TaskId> = last.map_or(after, |last| BTreeSet::from([last]));
        for id in order.needed_by(instance) {
            waits_for.entry(id.to_owned()).or_default().extend(&handed_on);
        }
    }
    ends
}

fn take_down(
    deployment: &Deployment,
    (instance, node): (&Instance, &Definition),
    record: &Record,
    observed: &Observed,
    cause: &str,
    after: Vec<TaskId>,
    proposal: &mut Proposal,
) -> Option<TaskId> {
    if record.state(&instance.id).is_gone() && !backend::exists(instance, observed) {
        return None;
    }
    let done = if record.state(&instance.id).is_down() { done_of(instance, node, record, observed) } else { Vec::new() };
    let mut chain = Chain { deployment, instance, node, cause: cause.to_owned(), done, after, proposal, last: None };
    if !backend::is_out_of_reach(deployment, instance, node, record, observed) {
        chain.phases(&PHASES[..5]);
        chain.relationship_operations(&["unlink"]);
        chain.phases(&PHASES[5..]);
    }
    chain.end_in(Deleted, "uninstall");
    chain.last
}
