//! What the blueprint protects from being deleted.

use crate::{model::Deployment, stage::Stage};

/// Nodes under `metadata.dockctl.protect`, now or in the definition before, that a stage deletes
/// something of, by name.
pub(crate) fn nodes(
    deployment: &Deployment,
    before: Option<&Deployment>,
    stage: &Stage,
) -> Vec<String> {
    let is_protected = |node: &String| {
        deployment.protected.contains(node)
            || before.is_some_and(|before| before.protected.contains(node))
    };

    let deleted = stage
        .tasks()
        .iter()
        .filter(|task| task.step.traits.deletes)
        .map(|task| task.node.clone());
    let mut nodes: Vec<String> = deleted.filter(is_protected).collect();
    nodes.sort_unstable();
    nodes.dedup();
    nodes
}

/// The same in words; none if it deletes none of them.
pub(crate) fn words(
    deployment: &Deployment,
    before: Option<&Deployment>,
    stage: &Stage,
) -> Option<String> {
    let names = nodes(deployment, before, stage);
    let told = || {
        format!(
            "this deletes what the blueprint protects: {}",
            names.join(", ")
        )
    };
    (!names.is_empty()).then(told)
}
