//! `rollback`: removes what a failed install created.

use super::{
    PlanInput, Proposal,
    chain::Chain,
    images::ImageTasks,
    order::Order,
    uninstall::{self, Removal},
};
use crate::{
    model::{
        Deployment, Instance,
        InstanceState::{Configured, Configuring, Creating, Starting, Uninitialized},
    },
    record::Record,
    seam::{Observed, Purpose},
    stage::Selection,
};

/// Plans to roll back an execution: removes the instances that it created, and leaves earlier ones
/// unchanged.
#[must_use]
pub fn next(
    deployment: &Deployment,
    record: &Record,
    observed: &Observed,
    execution: &str,
) -> Proposal {
    let mut proposal = Proposal::default();
    let to_remove = record.rollback_scope(execution);
    let chosen = |instance: &Instance| to_remove.instances.contains(&instance.id);
    let known = PlanInput::new(deployment, record, observed);
    let cause = "it was created by the failed install";
    Removal {
        known,
        chosen: &chosen,
        cause,
        ignores_failure: false,
        image_tasks: &ImageTasks::new(),
        purpose: Purpose::RollBack {
            executions: &to_remove.executions,
        },
        hands_on: &|_| false,
        refuses_used: false,
    }
    .plan(&[], &mut proposal);
    proposal
}

/// Plans Cloudify's `rollback` workflow. Instances in state `starting` are stopped, instances in
/// state `creating` or `configuring` are deleted, all others stay unchanged.
#[must_use]
pub fn by_states(known: &PlanInput<'_>, selection: &Selection) -> Proposal {
    let mut proposal = Proposal::default();
    let order = Order::new(known.deployment, known.plugins);
    let chosen = |instance: &&&Instance| selection.contains(known.deployment, instance);
    for instance in order.instances().iter().rev().filter(chosen) {
        let Some(node) = known.deployment.node(instance) else {
            continue;
        };
        let state = known.record.state(&instance.id);
        let mut chain = Chain::new(
            *known,
            (*instance, node),
            "its install did not finish",
            &mut proposal,
        );
        chain.ignores_failure = true;
        match state {
            Starting => {
                uninstall::append_stop(&mut chain);
                chain.end_in(Configured, "rollback");
            }
            Creating | Configuring => {
                uninstall::append_delete(&mut chain);
                chain.end_in(Uninitialized, "rollback");
            }
            _ => {}
        }
    }
    proposal
}
