//! `update`: changes a deployment to match a new definition, with as little disruption as possible.
//!
//! Instances that are no longer in the blueprint are removed first. Changed objects are updated in
//! place where possible, and replaced otherwise. New instances are created. If something fails, the
//! objects to be replaced keep running.

use super::{
    PlanInput, Proposal,
    chain::Chain,
    install::{self, Scope},
};
use crate::{
    model::{
        Definition,
        InstanceState::{self, Started},
        Retry,
    },
    plugins::Replacement,
    stage::{CLEAN, TaskId, parameters::Update},
};
use std::collections::HashMap;

/// How the instances of one node are replaced.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RollingUpdate {
    /// How many instances of a node may be out of service at once; at least 1.
    pub max_unavailable: usize,
    /// The successor starts before the predecessor is stopped.
    pub start_first: bool,
    /// Seconds to wait before the next instance goes out of service.
    pub pause: Option<f64>,
}

impl Default for RollingUpdate {
    fn default() -> Self {
        Self {
            max_unavailable: 1,
            start_first: false,
            pause: None,
        }
    }
}

/// Plans the update. The record already contains the new definition.
#[must_use]
pub fn of(known: &PlanInput<'_>, parameters: Update) -> Proposal {
    let max_unavailable = parameters.max_unavailable.unwrap_or(1).max(1);
    let rolling = RollingUpdate {
        max_unavailable,
        start_first: parameters.start_first,
        pause: parameters.pause,
    };
    install::of(
        known,
        &Scope {
            rolling,
            keeps_outdated: parameters.keep_outdated,
            follows_moved: true,
            ..Scope::default()
        },
    )
}

/// The instances of each node that are out of service, and until which task.
#[derive(Default)]
pub(super) struct Outages {
    /// For each node, the last tasks of its replaced instances, in order.
    ends: HashMap<String, Vec<TaskId>>,
}

impl Outages {
    /// Returns the task that must end before another instance of a node goes out of service.
    pub(super) fn before(&self, node: &str, rolling: RollingUpdate) -> Option<TaskId> {
        let ends = self.ends.get(node)?;
        ends.len()
            .checked_sub(rolling.max_unavailable)
            .map(|at| ends[at])
    }

    pub(super) fn add(&mut self, node: &str, end: TaskId) {
        self.ends.entry(node.to_owned()).or_default().push(end);
    }
}

/// The replacement of a container.
pub(super) struct Replacing<'a> {
    /// The definition that the predecessor was created from.
    pub former: &'a Definition,
    /// The task that must end before the predecessor goes out of service.
    pub before: Option<TaskId>,
    pub start_first: bool,
    /// Seconds to wait after that task.
    pub pause: Option<f64>,
}

/// Appends the tasks that replace the container of an instance.
pub(super) fn replace<'a>(chain: &mut Chain<'a>, replacing: Replacing<'a>) {
    chain.replacing = Some(replacing);
    install::append_install(chain, InstanceState::Uninitialized);
    chain.replacing = None;
    prove(chain);
}

/// Appends the tasks that prove the successor and then remove the predecessor. A start that the
/// journal records as completed proves nothing: the container may have exited since.
pub(super) fn prove(chain: &mut Chain<'_>) {
    append_proof(chain);
    chain.end_in(Started, "start");
    chain.parts.proof = chain.last;
    // Until an exchange is complete, the predecessor can be restored.
    if let Some(proven) = chain.last.filter(|_| !chain.in_exchange) {
        chain.proposal.stage.task_mut(proven).matches_definition = true;
    }
    remove_predecessor(chain);
}

/// Appends the task that proves a new object, unless another task does.
pub(super) fn append_proof(chain: &mut Chain<'_>) {
    let node = chain.node;
    let proof = chain.replacement(node).and_then(|it| it.prove);
    if let Some(step) = proof {
        let once = Retry {
            max_retries: Some(0.0),
            ..Retry::default()
        };
        chain.push("start", step, once, Some(&node.place));
    }
}

/// Appends the task that removes the predecessor, unless it is adopted, and any successor that
/// never took its place.
pub(super) fn remove_predecessor(chain: &mut Chain<'_>) {
    let former = chain
        .known
        .record
        .instances
        .get(&chain.instance.id)
        .and_then(|known| known.former.as_deref());
    let replacement = chain.replacement(former.unwrap_or(chain.node));
    if let Some(Replacement { discard, .. }) = replacement {
        let id = chain.push(CLEAN, discard, Retry::default(), Some(&chain.node.place));
        chain.parts.clean = Some(id);
    }
}
