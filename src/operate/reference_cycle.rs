//! Objects that refer to each other in a cycle: none of them can be created first.

use crate::{
    diagnostic::{Code, Diagnostics},
    model::{Blueprint, Definition, Deployment},
    plugins::Plugins,
};
use std::collections::{HashMap, HashSet};

/// Adds an error for a cycle of references between the objects of different nodes.
pub(crate) fn check(deployment: &Deployment, blueprint: &Blueprint, d: &mut Diagnostics) {
    let references = Plugins::default().declared_references(deployment);
    let nodes: HashMap<&str, &str> = deployment
        .instances
        .iter()
        .map(|it| (it.id.as_str(), it.node.as_str()))
        .collect();
    let ids = deployment.instances.iter().map(|it| it.id.as_str());
    let Some(cycle) = find_cycle(ids, &references) else {
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
    let Some(first) = first.filter(|_| !names.iter().any(is_adopted)) else {
        return;
    };
    let path = [&names[..], &names[..1]].concat().join(" → ");
    let message = format!("nodes refer to each other in a cycle: {path}");
    let error = first.name.span.error(Code::ReferenceCycle, message);
    d.push(error.hint("remove one of the references, such as a link or a shared namespace"));
}

/// Returns the IDs of instances that refer to each other in a cycle. Each instance is visited once.
fn find_cycle<'r>(
    ids: impl Iterator<Item = &'r str>,
    references: &'r HashMap<String, Vec<String>>,
) -> Option<Vec<&'r str>> {
    let mut visited: HashSet<&str> = HashSet::new();
    for start in ids {
        // Each frame: an instance and the position of its next reference.
        let mut path: Vec<(&str, usize)> = Vec::new();
        path.extend(visited.insert(start).then_some((start, 0)));
        let mut on_path: HashSet<&str> = HashSet::from([start]);
        while let Some((at, next)) = path.last_mut() {
            let Some(other) = references.get(*at).and_then(|others| others.get(*next)) else {
                on_path.remove(*at);
                path.pop();
                continue;
            };
            *next += 1;
            if on_path.contains(other.as_str()) {
                let ids = path.iter().map(|(id, _)| *id);
                return Some(ids.skip_while(|id| id != other).collect());
            }
            if visited.insert(other) {
                on_path.insert(other);
                path.push((other, 0));
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cycles_are_found() {
        let find = |references: &[(&str, &[&str])]| {
            let owned = |(id, others): &(&str, &[&str])| {
                let others = others.iter().map(|it| (*it).to_owned());
                ((*id).to_owned(), others.collect())
            };
            let all: HashMap<String, Vec<String>> = references.iter().map(owned).collect();
            let ids = references.iter().map(|(id, _)| *id);
            let found = find_cycle(ids, &all);
            found.map(|ids| ids.join(" "))
        };
        let diamond: [(&str, &[&str]); 4] =
            [("a", &["b", "c"]), ("b", &["d"]), ("c", &["d"]), ("d", &[])];
        assert_eq!(find(&diamond), None);
        assert_eq!(
            find(&[("a", &["b"]), ("b", &["c"]), ("c", &["b"])]).as_deref(),
            Some("b c")
        );
        assert_eq!(find(&[("a", &["a"])]).as_deref(), Some("a"));
    }
}
