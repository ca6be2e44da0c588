//! `update`: what there is becomes what another definition says, with as little trouble as can be.
//!
//! What is gone from the blueprint is taken down first. What changed is changed as it stands where that can be done, else another
//! takes its place; what is new is installed. If something fails, what was to be replaced goes on as it was.

use super::{
    InstanceState::{self, Started, Starting},
    Known, Parameters, Proposal, Stage, TaskId,
    chain::Chain,
    install::{self, Scope},
};
use crate::{
    backend,
    model::{Definition, Instance, Retry},
    state::Execution,
};
use std::collections::{HashMap, HashSet};

/// How instances of one node follow each other.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Rolling {
    /// How many of a node may be out of service at once; 1 at least.
    pub max_unavailable: usize,
    /// The new one is started before the old one is stopped.
    pub start_first: bool,
}

impl Default for Rolling {
    fn default() -> Self {
        Self { max_unavailable: 1, start_first: false }
    }
}

/// Plans it; the record knows the new definition already.
#[must_use]
pub fn of(known: &Known<'_>, parameters: &Parameters) -> Proposal {
    let max_unavailable = parameters.max_unavailable.unwrap_or(1).max(1);
    let rolling = Rolling { max_unavailable, start_first: parameters.start_first };
    install::of(known, &Scope { rolling, ..Scope::default() })
}

/// Puts back what an update failed to replace. One whose successor works, and only the old container could not be removed, stays.
#[must_use]
pub fn put_back(known: &Known<'_>, execution: &Execution) -> Stage {
    let works: HashSet<&str> =
        execution.failed.iter().filter(|failed| failed.operation == CLEAN).map(|failed| failed.instance.as_str()).collect();
    let mut proposal = Proposal::default();
    for instance in known.deployment.instances.iter().filter(|instance| !works.contains(instance.id.as_str())) {
        let Some(node) = known.deployment.node(instance) else { continue };
        let Some(step) = backend::put_back(instance, node, known.record) else { continue };
        let mut chain = Chain::new(*known, (instance, node), "what was to take its place failed", &mut proposal);
        let id = chain.push(PUT_BACK, step, Retry::default(), Some(&node.place));
        let task = proposal.stage.task_mut(id);
        task.enters = Some(Starting);
        task.leaves = Some(Started);
    }
    proposal.stage
}

/// The operation that puts back what was to be replaced.
pub(super) const PUT_BACK: &str = "put_back";
/// The operation that removes what was replaced.
pub(super) const CLEAN: &str = "clean";

/// Who of a node is out of service, and until when.
#[derive(Default)]
pub(super) struct Outages {
    /// The last tasks of the instances of each node that are replaced, in order.
    ends: HashMap<String, Vec<TaskId>>,
}

impl Outages {
    /// What has to be over before one more instance of a node goes out of service.
    pub(super) fn before(&self, node: &str, rolling: Rolling) -> Option<TaskId> {
        let ends = self.ends.get(node)?;
        ends.len().checked_sub(rolling.max_unavailable).map(|at| ends[at])
    }

    pub(super) fn add(&mut self, node: &str, end: TaskId) {
        self.ends.entry(node.to_owned()).or_default().push(end);
    }
}

/// A container takes the place of another.
pub(super) struct Replacing<'a> {
    /// What the old one was made from.
    pub former: &'a Definition,
    /// What has to be over before the old one goes out of service.
    pub before: Option<TaskId>,
    pub start_first: bool,
}

/// Appends what replaces the container of an instance.
pub(super) fn replace<'a>(chain: &mut Chain<'a>, replacing: Replacing<'a>) {
    let keeps = replacing.former.is_adopted() && !chain.node.is_adopted();
    let node = chain.node;
    chain.replacing = Some(replacing);
    install::way_up(chain, InstanceState::Uninitialized);
    chain.replacing = None;
    if let Some(step) = backend::enduring(node) {
        chain.push("start", step, Retry { max_retries: Some(0.0), ..Retry::default() }, Some(&node.place));
    }
    if !keeps {
        chain.push(CLEAN, backend::discarding(node), Retry::default(), Some(&node.place));
    }
}

/// Whether an instance is one of those that a change in progress left something of.
pub(super) fn is_left(known: Known<'_>, instance: &Instance, node: &Definition) -> bool {
    backend::discard(instance, node, known.record).is_some()
}
