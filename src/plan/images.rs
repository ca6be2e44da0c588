//! Plans pulls and builds of images before the stops that need them. A failed pull or build then
//! leaves everything running.

use super::{PlanInput, Proposal, chain::Chain, order::Order};
use crate::{
    model::{Definition, Instance},
    seam::{Labeling, Purpose, Step},
    stage::TaskId,
};
use std::collections::{BTreeSet, HashMap};

const CREATE: &str = "cloudify.interfaces.lifecycle.create";

/// For each instance ID, the tasks that provide its image and the images of its dependencies. They
/// run before the instance is stopped.
pub(super) type ImageTasks = HashMap<String, BTreeSet<TaskId>>;

/// Appends the pulls and builds for the chosen instances.
pub(super) fn append_all(
    known: &PlanInput<'_>,
    order: &Order<'_>,
    chosen: &dyn Fn(&Instance) -> bool,
    cause: &str,
    proposal: &mut Proposal,
) -> ImageTasks {
    let mut image_tasks = ImageTasks::new();
    for instance in order
        .instances()
        .into_iter()
        .filter(|instance| chosen(instance))
    {
        let Some(node) = known.deployment.node(instance) else {
            continue;
        };
        let mut all: BTreeSet<TaskId> = order
            .dependencies_of(instance)
            .iter()
            .filter_map(|id| image_tasks.get(*id))
            .flatten()
            .copied()
            .collect();
        let mut chain = Chain::new(*known, (instance, node), cause, proposal);
        append(&mut chain, order);
        all.extend(chain.last);
        image_tasks.insert(instance.id.clone(), all);
    }
    image_tasks
}

/// Appends the pull or build for an instance that is about to be taken down.
pub(super) fn append(chain: &mut Chain<'_>, order: &Order<'_>) {
    let PlanInput { deployment, .. } = chain.known;
    let (instance, node) = (chain.instance, chain.node);
    // An image that the same stage builds does not exist yet.
    if order
        .dependencies_of(instance)
        .iter()
        .any(|id| chain.known.plugins.is_material_instance(deployment, id))
    {
        return;
    }
    let ignores_failure = std::mem::replace(&mut chain.ignores_failure, false);
    for (step, retry) in steps(chain.known, instance, node) {
        chain.push("create", step, retry, Some(&node.place));
    }
    chain.ignores_failure = ignores_failure;
}

/// Returns the pulls and builds of an instance, except those that read attributes: the values are
/// only known later.
fn steps(
    known: PlanInput<'_>,
    instance: &Instance,
    node: &Definition,
) -> Vec<(Step, crate::model::Retry)> {
    let Some(planned) = node.operations.get(CREATE) else {
        return Vec::new();
    };
    let steps = known
        .plugins
        .lower(
            known.part(instance, node),
            (CREATE, planned),
            &Purpose::Ordinary,
            &Labeling::Deployment,
        )
        .unwrap_or_default();
    steps
        .into_iter()
        .filter(|step| step.provides_material() && !step.reads_attributes())
        .map(|step| (step, planned.retry))
        .collect()
}
