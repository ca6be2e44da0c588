//! Images come before anything is stopped for them: one that cannot be had costs nothing that works.

use super::{Known, Proposal, TaskId, chain::Chain, order::Order};
use crate::{
    backend::{self, Step},
    model::{Definition, Instance},
};
use std::collections::{BTreeSet, HashMap};

const CREATE: &str = "cloudify.interfaces.lifecycle.create";

/// For each instance the tasks that must have brought its image, and those of what it needs, before it is stopped.
pub(super) type Brought = HashMap<String, BTreeSet<TaskId>>;

/// Appends what brings or builds the images of the chosen instances, each before what needs it.
pub(super) fn first(
    known: &Known<'_>,
    order: &Order<'_>,
    chosen: &dyn Fn(&Instance) -> bool,
    cause: &str,
    proposal: &mut Proposal,
) -> Brought {
    let mut brought = Brought::new();
    for instance in order.instances().into_iter().filter(|instance| chosen(instance)) {
        let Some(node) = known.deployment.node(instance) else { continue };
        let mut all: BTreeSet<TaskId> = order.needed_by(instance).iter().filter_map(|id| brought.get(*id)).flatten().copied().collect();
        let mut chain = Chain::new(*known, (instance, node), cause, proposal);
        append(&mut chain, order);
        all.extend(chain.last);
        brought.insert(instance.id.clone(), all);
    }
    brought
}

/// Appends what brings or builds the image of an instance that is about to be taken down.
pub(super) fn append(chain: &mut Chain<'_>, order: &Order<'_>) {
    let Known { deployment, .. } = chain.known;
    let (instance, node) = (chain.instance, chain.node);
    // What is built in the same stage is not there yet.
    if order.needed_by(instance).iter().any(|id| backend::makes_image(deployment, id)) {
        return;
    }
    let ignores_failure = std::mem::replace(&mut chain.ignores_failure, false);
    for (step, retry) in steps(chain.known, instance, node) {
        chain.push("create", step, retry, Some(&node.place));
    }
    chain.ignores_failure = ignores_failure;
}

/// Steps that bring or build, unless they read what is only known later.
fn steps(known: Known<'_>, instance: &Instance, node: &Definition) -> Vec<(Step, crate::model::Retry)> {
    let Some(planned) = node.operations.get(CREATE) else { return Vec::new() };
    let steps = backend::lower(known.deployment, instance, node, CREATE, planned).unwrap_or_default();
    steps.into_iter().filter(|step| step.brings() && !step.reads_attributes()).map(|step| (step, planned.retry)).collect()
}
