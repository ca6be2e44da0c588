//! `update`: what there is becomes what another definition says, with as little trouble as can be.
//!
//! What is gone from the blueprint is taken down first. What changed is changed as it stands where
//! that can be done, else another takes its place; what is new is installed. If something fails,
//! what was to be replaced goes on as it was.

use super::{
    Known, Proposal,
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
        Self {
            max_unavailable: 1,
            start_first: false,
        }
    }
}

/// Plans it; the record knows the new definition already.
#[must_use]
pub fn of(known: &Known<'_>, parameters: Update) -> Proposal {
    let max_unavailable = parameters.max_unavailable.unwrap_or(1).max(1);
    let rolling = Rolling {
        max_unavailable,
        start_first: parameters.start_first,
    };
    install::of(
        known,
        &Scope {
            rolling,
            ..Scope::default()
        },
    )
}

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
        ends.len()
            .checked_sub(rolling.max_unavailable)
            .map(|at| ends[at])
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
    chain.replacing = Some(replacing);
    install::way_up(chain, InstanceState::Uninitialized);
    chain.replacing = None;
    prove(chain);
}

/// Appends what shows that a new container works, and then gives up the one before it. A start that
/// is known to be done shows nothing: the container can have ended since.
pub(super) fn prove(chain: &mut Chain<'_>) {
    let node = chain.node;
    let proof = chain.replacement(node).and_then(|it| it.prove);
    if let Some(step) = proof {
        chain.push(
            "start",
            step,
            Retry {
                max_retries: Some(0.0),
                ..Retry::default()
            },
            Some(&node.place),
        );
    }
    chain.end_in(Started, "start");
    if let Some(proven) = chain.last {
        chain.proposal.stage.task_mut(proven).is_as_defined = true;
    }
    clean(chain);
}

/// Appends what removes the container that was replaced, unless it was adopted, and what was made
/// for a place that is not needed.
pub(super) fn clean(chain: &mut Chain<'_>) {
    let former = chain
        .known
        .record
        .instances
        .get(&chain.instance.id)
        .and_then(|known| known.former.as_deref());
    let replacement = chain.replacement(former.unwrap_or(chain.node));
    if let Some(Replacement { discard, .. }) = replacement {
        chain.push(CLEAN, discard, Retry::default(), Some(&chain.node.place));
    }
}
