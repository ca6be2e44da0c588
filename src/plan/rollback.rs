//! `rollback`: removes what a failed install created.

use super::{
    Known, Proposal,
    bring::Brought,
    chain::Chain,
    order::Order,
    uninstall::{self, Taking},
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
    let taken = record.to_take_back(execution);
    let chosen = |instance: &Instance| taken.instances.contains(&instance.id);
    let known = Known::new(deployment, record, observed);
    let cause = "it was created by the failed install";
    Taking {
        known,
        chosen: &chosen,
        cause,
        ignores_failure: false,
        brought: &Brought::new(),
        purpose: Purpose::TakeBack {
            made_by: &taken.executions,
        },
    }
    .plan(&[], &mut proposal);
    proposal
}

/// Plans Cloudify's `rollback` workflow. Instances in state `starting` are stopped, instances in
/// state `creating` or `configuring` are deleted, all others stay unchanged.
#[must_use]
pub fn of_states(known: &Known<'_>, selection: &Selection) -> Proposal {
    let mut proposal = Proposal::default();
    let order = Order::new(known.deployment, known.plugins);
    let chosen = |instance: &&&Instance| selection.has(known.deployment, instance);
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
                uninstall::stop(&mut chain);
                chain.end_in(Configured, "rollback");
            }
            Creating | Configuring => {
                uninstall::delete(&mut chain);
                chain.end_in(Uninitialized, "rollback");
            }
            _ => {}
        }
    }
    proposal
}
