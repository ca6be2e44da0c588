//! Objects that refer to each other in a circle: none of them can be created first.

use crate::{
    diagnostic::{Code, Diagnostics},
    model::{Blueprint, Definition, Deployment},
    plugins::Plugins,
};
use std::collections::HashMap;

/// Adds an error for a circle of references between the objects of different nodes.
pub(crate) fn check(deployment: &Deployment, blueprint: &Blueprint, d: &mut Diagnostics) {
    let references = Plugins::default().declared_references(deployment);
    let nodes: HashMap<&str, &str> = deployment
        .instances
        .iter()
        .map(|it| (it.id.as_str(), it.node.as_str()))
        .collect();
    let starts = deployment.instances.iter();
    let mut cycles = starts.filter_map(|it| cycle_through(&it.id, &references));
    let Some(cycle) = cycles.next() else {
        return;
    };
    let names: Vec<&str> = cycle
        .iter()
        .filter_map(|id| nodes.get(id).copied())
        .collect();
    let is_adopted = |name: &&str| {
        let node = deployment.nodes.get(*name);
        node.is_some_and(|node| Definition::is_adopted(node))
    };
    let first = names.first().and_then(|name| blueprint.nodes.get(*name));
    let Some(first) = first.filter(|_| !names.iter().any(|name| is_adopted(&name))) else {
        return;
    };
    let path = [&names[..], &names[..1]].concat().join("` → `");
    let message = format!("nodes refer to each other in a circle: `{path}`");
    let error = first.name.span.error(Code::ReferenceCycle, message);
    d.push(error.hint("remove one of the references, such as a link or a shared namespace"));
}

/// Returns the IDs of a shortest circle of references that begins with an instance.
fn cycle_through<'r>(
    start: &'r str,
    references: &'r HashMap<String, Vec<String>>,
) -> Option<Vec<&'r str>> {
    let mut seen: Vec<&str> = Vec::new();
    let mut paths = vec![vec![start]];
    while !paths.is_empty() {
        let mut longer = Vec::new();
        for path in paths {
            let last = path.last().and_then(|last| references.get(*last));
            for next in last.into_iter().flatten() {
                if next == start {
                    return Some(path);
                }
                if !seen.contains(&next.as_str()) {
                    seen.push(next);
                    longer.push([&path[..], &[next]].concat());
                }
            }
        }
        paths = longer;
    }
    None
}
