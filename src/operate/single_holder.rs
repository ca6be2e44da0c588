//! Nodes that need a resource which only one object can have, such as a fixed host port, cannot have
//! several instances.

use crate::{
    diagnostic::{Code, Diagnostics},
    model::{Blueprint, Deployment},
    plugins::{InstanceRef, Plugins, ResourceKind},
};
use std::collections::HashMap;

/// Advice for such a node.
pub(crate) const ADVICE: &str = "publish a port range, such as 8080-8089, let the engine choose ports and addresses, or declare several nodes";

/// Adds an error for each node with several instances that all need the same resource.
pub(crate) fn check(deployment: &Deployment, blueprint: &Blueprint, d: &mut Diagnostics) {
    let mut counts: HashMap<&str, usize> = HashMap::new();
    for instance in &deployment.instances {
        *counts.entry(&instance.node).or_default() += 1;
    }
    for (name, node) in &blueprint.nodes {
        let count = counts.get(name.as_str()).copied().unwrap_or_default();
        let Some(resource) = (count > 1).then(|| single(deployment, name)).flatten() else {
            continue;
        };
        let message =
            format!("node `{name}` has {count} instances, but only one object can have {resource}");
        let error = node.name.span.error(Code::SingleHolder, message);
        d.push(error.hint(ADVICE));
    }
}

/// Returns the name of a resource that all instances of a node would need, but only one can have.
/// Names do not count: those of instances differ. An engine that is known late may differ too.
pub(crate) fn single(deployment: &Deployment, node: &str) -> Option<String> {
    let mut instances = deployment.instances.iter();
    let part = InstanceRef::of(deployment, instances.find(|it| it.node == node)?)?;
    let plugins = Plugins::default();
    if plugins.target(part).is_late() {
        return None;
    }
    let mut needed = plugins.exclusive_resources(part).into_iter();
    let is_single = |kind| matches!(kind, ResourceKind::Port | ResourceKind::Address);
    needed.find(|it| is_single(it.kind)).map(|it| it.shown)
}
