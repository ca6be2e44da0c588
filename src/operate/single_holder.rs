//! A resource that only one object can have, such as a fixed host port: a node that needs it cannot
//! have several instances, and two nodes that need it cannot run at the same time. An instance must
//! not get the name of another node from its number.

use crate::{
    diagnostic::{Code, Diagnostics},
    model::{Blueprint, Deployment, Instance},
    plugins::{ExclusiveResource, InstanceRef, Plugins, ResourceKind},
    seam::Target,
};
use std::collections::HashMap;

/// Advice for such a node.
pub(crate) const ADVICE: &str = "publish a port range, such as 8080-8089, let the engine choose ports, addresses and subnets, or declare several nodes";

/// Adds an error for each node with several instances that all need the same resource.
pub(crate) fn check(deployment: &Deployment, blueprint: &Blueprint, d: &mut Diagnostics) {
    let mut instances: HashMap<&str, (&Instance, usize)> = HashMap::new();
    for instance in &deployment.instances {
        instances.entry(&instance.node).or_insert((instance, 0)).1 += 1;
    }
    let needed: HashMap<&str, Vec<(Target, ExclusiveResource)>> = instances
        .iter()
        .map(|(node, (first, _))| (*node, needed(deployment, first)))
        .collect();
    for (name, node) in &blueprint.nodes {
        let count = instances.get(name.as_str()).map_or(0, |(_, count)| *count);
        let resource = needed.get(name.as_str()).and_then(|all| all.first());
        let Some((_, resource)) = resource.filter(|_| count > 1) else {
            continue;
        };
        let resource = &resource.shown;
        let message =
            format!("node `{name}` has {count} instances, but only one object can have {resource}");
        let error = node.name.span.error(Code::SingleHolder, message);
        d.push(error.hint(ADVICE));
    }
    for (instance, other, shown) in same_names(deployment, &deployment.instances) {
        let message = format!(
            "instance {} of node `{}` is called `{shown}`, like node `{}`",
            instance.index, instance.node, other.node
        );
        let nodes = [instance, other].map(|it| blueprint.nodes.get(&it.node));
        let [Some(node), Some(other)] = nodes else {
            continue;
        };
        let error = node.name.span.error(Code::DuplicateName, message);
        d.push(error.related(other.name.span, "the other node"));
    }
    warn_of_rivals(blueprint, needed, d);
}

/// Returns pairs of instances of different nodes whose containers have the same name, because the
/// first one has the number of its instance in its name. The names of nodes are compared elsewhere.
pub(crate) fn same_names<'i>(
    deployment: &Deployment,
    instances: &'i [Instance],
) -> Vec<(&'i Instance, &'i Instance, String)> {
    let mut seen: HashMap<String, Vec<(Target, &Instance)>> = HashMap::new();
    let mut pairs = Vec::new();
    if instances.iter().all(|it| it.index == 0) {
        return pairs;
    }
    for instance in instances {
        let Some((target, name)) = name_of(deployment, instance) else {
            continue;
        };
        let holders = seen.entry(name.clone()).or_default();
        let is_rival =
            |(there, it): &&(Target, &Instance)| *there == target && it.node != instance.node;
        match holders.iter().find(is_rival) {
            Some((_, other)) if instance.index > 0 => pairs.push((instance, *other, name)),
            Some((_, other)) if other.index > 0 => pairs.push((*other, instance, name)),
            _ => {}
        }
        holders.push((target, instance));
    }
    pairs
}

/// Returns the name of the container of an instance, with its system, if both are known. Networks and
/// containers may have the same name.
fn name_of(deployment: &Deployment, instance: &Instance) -> Option<(Target, String)> {
    let plugins = Plugins::default();
    let part = InstanceRef::of(deployment, instance)?;
    let is_container = plugins.kind(part.node) == Some("container");
    let target = plugins.target(part);
    let name = plugins.name(part)?;
    (is_container && !part.node.is_adopted() && !target.is_late()).then_some((target, name))
}

/// Warns of nodes that need the same resource. That is no error: one of them may end before the other
/// starts.
fn warn_of_rivals(
    blueprint: &Blueprint,
    mut needed: HashMap<&str, Vec<(Target, ExclusiveResource)>>,
    d: &mut Diagnostics,
) {
    let mut seen: HashMap<(ResourceKind, String), Vec<(&str, Target, ExclusiveResource)>> =
        HashMap::new();
    for (name, node) in &blueprint.nodes {
        for (target, resource) in needed.remove(name.as_str()).unwrap_or_default() {
            // Subnets of two networks that overlap are errors.
            if resource.kind == ResourceKind::Subnet {
                continue;
            }
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

/// Returns the ports, addresses and subnets that an instance needs, with its system. An engine that is
/// known late may be any.
fn needed(deployment: &Deployment, instance: &Instance) -> Vec<(Target, ExclusiveResource)> {
    let plugins = Plugins::default();
    let Some(part) = InstanceRef::of(deployment, instance) else {
        return Vec::new();
    };
    let target = plugins.target(part);
    if target.is_late() {
        return Vec::new();
    }
    let all = plugins.exclusive_resources(part).into_iter();
    let counted = all.filter(|it| {
        let kind = it.kind;
        matches!(
            kind,
            ResourceKind::Port | ResourceKind::Address | ResourceKind::Subnet
        )
    });
    counted.map(|it| (target.clone(), it)).collect()
}

/// Returns the name of a resource that all instances of a node would need, but only one can have.
/// Names do not count: those of instances differ. An engine that is known late may differ too.
pub(crate) fn single(deployment: &Deployment, node: &str) -> Option<String> {
    let mut instances = deployment.instances.iter();
    let first = instances.find(|it| it.node == node)?;
    let mut needed = needed(deployment, first).into_iter();
    needed.next().map(|(_, resource)| resource.shown)
}
