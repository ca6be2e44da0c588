//! Restarts the objects that use namespaces of another object, after that one was started again.

use super::{PlanInput, Proposal, chain::Chain};
use crate::{
    model::{InstanceState, Retry},
    plugins::Plugins,
    record::Record,
    seam::Drift,
    stage::{Stage, Task},
};

/// Why they are restarted. The record recognizes the stage by it.
const CAUSE: &str = "an object whose namespaces it shares was started again";

/// Returns true if [`stage`] may plan anything.
pub(super) fn may_be_needed(record: &Record, plugins: Plugins) -> bool {
    let is_this = |task: &Task| task.cause == CAUSE;
    let was_planned = record.stage().tasks().iter().any(is_this);
    let deployment = record.deployment.as_ref();
    !was_planned && deployment.is_some_and(|it| plugins.has_followers(it))
}

/// Plans to restart started instances whose objects use namespaces that no longer exist.
pub(super) fn stage(known: &PlanInput<'_>) -> Stage {
    let mut proposal = Proposal::default();
    if !may_be_needed(known.record, known.plugins) {
        return proposal.stage;
    }
    for instance in &known.deployment.instances {
        let is_started = known.record.state(&instance.id) == InstanceState::Started;
        let Some(node) = known.deployment.node(instance).filter(|_| is_started) else {
            continue;
        };
        let object = known.observed.of_instance(&instance.id);
        let stale = object.into_iter().flat_map(|it| &it.drift);
        for Drift { repair, .. } in stale.filter(|it| it.is_stale_start) {
            let mut chain = Chain::new(*known, (instance, node), CAUSE, &mut proposal);
            chain.push("start", repair.clone(), Retry::default(), Some(&node.place));
            chain.end_in(InstanceState::Started, "start");
        }
    }
    proposal.stage
}
