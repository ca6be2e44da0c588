//! A resource that only one object can have, such as a fixed host port: a node that needs it cannot
//! have several instances, and two nodes that need it cannot run at the same time.

use crate::{
    diagnostic::{Code, Diagnostics},
    model::{Blueprint, Deployment},
    plugins::{ExclusiveResource, InstanceRef, Plugins, ResourceKind},
    seam::Target,
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
    warn_of_rivals(deployment, blueprint, d);
}

/// Warns of nodes that need the same resource. That is no error: one of them may end before the other
/// starts.
fn warn_of_rivals(deployment: &Deployment, blueprint: &Blueprint, d: &mut Diagnostics) {
    let mut seen: HashMap<(ResourceKind, String), Vec<(&str, Target, ExclusiveResource)>> =
        HashMap::new();
    for (name, node) in &blueprint.nodes {
        for (target, resource) in needed(deployment, name) {
            let key = (resource.kind, resource.key.clone());
            let others = seen.entry(key).or_default();
            let is_rival = |(other, there, it): &&(&str, Target, ExclusiveResource)| {
                *other != name.as_str() && *there == target && it.conflicts_with(&resource)
            };
            if let Some((other, ..)) = others.iter().find(is_rival) {
                let shown = &resource.shown;
                let message = format!("nodes `{other}` and `{name}` need {shown} at the same time");
                let warning = node.name.span.warning(Code::SingleHolder, message);
                let other = blueprint.nodes.get(*other).map(|it| it.name.span);
                let warning = match other {
                    Some(span) => warning.related(span, "the other node"),
                    None => warning,
                };
                d.push(warning.hint("give one of them another port or address, unless one ends before the other starts"));
            }
            others.push((name, target, resource));
        }
    }
}

/// Returns the ports and addresses that the first instance of a node needs, with its system. An
/// engine that is known late may be any.
fn needed(deployment: &Deployment, node: &str) -> Vec<(Target, ExclusiveResource)> {
    let plugins = Plugins::default();
    let first = deployment.instances.iter().find(|it| it.node == node);
    let Some(part) = first.and_then(|it| InstanceRef::of(deployment, it)) else {
        return Vec::new();
    };
    let target = plugins.target(part);
    if target.is_late() {
        return Vec::new();
    }
    let all = plugins.exclusive_resources(part).into_iter();
    let counted = all.filter(|it| matches!(it.kind, ResourceKind::Port | ResourceKind::Address));
    counted.map(|it| (target.clone(), it)).collect()
}

/// Returns the name of a resource that all instances of a node would need, but only one can have.
/// Names do not count: those of instances differ. An engine that is known late may differ too.
pub(crate) fn single(deployment: &Deployment, node: &str) -> Option<String> {
    let first = needed(deployment, node).into_iter().next();
    first.map(|(_, resource)| resource.shown)
}
