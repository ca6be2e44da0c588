//! Nodes that the blueprint protects from deletion.

use crate::{model::Deployment, stage::Stage};

/// Returns the names of the protected nodes that lose an object in a stage. A node is protected if
/// `metadata.dockctl.protect` lists it, in the present definition or in the one before.
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

/// Returns a warning that names these nodes; none if the stage deletes none of their objects.
pub(crate) fn warning(
    deployment: &Deployment,
    before: Option<&Deployment>,
    stage: &Stage,
) -> Option<String> {
    let names = nodes(deployment, before, stage);
    let warning = || {
        format!(
            "this deletes containers or data of protected nodes: {}",
            names.join(", ")
        )
    };
    (!names.is_empty()).then(warning)
}
