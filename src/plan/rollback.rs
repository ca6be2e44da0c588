//! `rollback`: what an install created before it failed is taken down again.

use super::{Proposal, TaskId, uninstall::all_of};
use crate::{backend::Observed, model::Deployment, state::Record};

/// Plans taking back what an execution created. What was there before it stays as it is now.
#[must_use]
pub fn next(deployment: &Deployment, record: &Record, observed: &Observed, execution: &str) -> Proposal {
    let mut proposal = Proposal::default();
    let taken = record.to_take_back(execution);
    let chosen = |instance: &crate::model::Instance| taken.instances.contains(&instance.id);
    all_of(deployment, &chosen, record, observed, "take back what the failed install made", &[], &mut proposal);
    for id in 0..proposal.stage.tasks().len() {
        proposal.stage.task_mut(TaskId(id)).step.take_back(&taken.executions);
    }
    proposal
}
