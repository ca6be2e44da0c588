//! Node instances: how many there are of each node, and how they are connected.

use super::{Blueprint, Node, RelationshipKind};
use crate::{
    diagnostic::{Code, Diagnostic},
    syntax::Data,
};
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};

/// Most instances of one deployment.
const LIMIT: usize = 100_000;

/// One instance of a node.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Instance {
    /// `<node>_<6 random characters of [a-z0-9]>`; kept for as long as the instance exists.
    pub id: String,
    /// The node.
    pub node: String,
    /// Counts the instances of a node from 0; kept as the id is.
    pub index: usize,
    /// The outermost host that contains it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Relationships to other instances, in the order of the template.
    pub ties: Vec<InstanceTie>,
}

/// A relationship to another instance.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct InstanceTie {
    /// Id of the target.
    pub target: String,
    /// Type of the relationship.
    pub kind: RelationshipKind,
}

/// Expands nodes into instances, containers before what they contain. Instances that `previous`
/// knows keep their ids.
pub(super) fn expand(blueprint: &Blueprint, previous: &[Instance], random: &mut fastrand::Rng, d: &mut Vec<Diagnostic>) -> Vec<Instance> {
    let known = previous.iter().map(|instance| ((instance.node.as_str(), instance.index), instance.id.as_str())).collect();
    let used = previous.iter().map(|instance| instance.id.clone()).collect();
    let mut expansion = Expansion { blueprint, known, used, random, instances: Vec::new(), of: IndexMap::new() };
    for name in containers_first(blueprint) {
        if !expansion.node(name, &blueprint.nodes[name], d) {
            break;
        }
    }
    expansion.tie();
    expansion.instances
}

fn container(node: &Node) -> Option<&str> {
    node.relationships
        .iter()
        .find(|relationship| relationship.kind == RelationshipKind::ContainedIn)
        .map(|relationship| relationship.target.node.as_str())
}

/// Nodes in document order, but each after the one that contains it.
fn containers_first(blueprint: &Blueprint) -> Vec<&str> {
    let mut order: indexmap::IndexSet<&str> = indexmap::IndexSet::new();
    for name in blueprint.nodes.keys() {
        let mut chain = vec![name.as_str()];
        while let Some(outer) = blueprint
            .nodes
            .get(chain[chain.len() - 1])
            .and_then(container)
            .filter(|outer| !chain.contains(outer) && blueprint.nodes.contains_key(*outer))
        {
            chain.push(outer);
        }
        order.extend(chain.into_iter().rev());
    }
    order.into_iter().collect()
}

struct Expansion<'a> {
    blueprint: &'a Blueprint,
    known: HashMap<(&'a str, usize), &'a str>,
    used: HashSet<String>,
    random: &'a mut fastrand::Rng,
    instances: Vec<Instance>,
    /// Positions of each node's instances, with the position of the instance that contains it.
    of: IndexMap<&'a str, Vec<(usize, Option<usize>)>>,
}

impl<'a> Expansion<'a> {
    fn node(&mut self, name: &'a str, node: &'a Node, d: &mut Vec<Diagnostic>) -> bool {
        let each = match node.deploy.data {
            Data::Int(n) => usize::try_from(n).unwrap_or(0),
            _ => 1, // A fault that has been reported, or an input that is not known yet.
        };
        let parents: Vec<Option<usize>> = match container(node) {
            Some(outer) => self.of.get(outer).into_iter().flatten().map(|(at, _)| Some(*at)).collect(),
            None => vec![None],
        };
        if parents.len().saturating_mul(each).saturating_add(self.instances.len()) > LIMIT {
            d.push(node.deploy.span.error(Code::Limit, format!("the deployment would have more than {LIMIT} instances")));
            return false;
        }
        let mut mine = Vec::new();
        for parent in parents.into_iter().flat_map(|parent| std::iter::repeat_n(parent, each)) {
            mine.push((self.instances.len(), parent));
            let instance = self.instance(name, node, mine.len() - 1, parent);
            self.instances.push(instance);
        }
        self.of.insert(name, mine);
        true
    }

    fn instance(&mut self, name: &'a str, node: &Node, index: usize, parent: Option<usize>) -> Instance {
        let known = self.known.get(&(name, index)).map(|id| (*id).to_owned());
        let id = known.unwrap_or_else(|| self.fresh_id(name));
        let outer = parent.and_then(|parent| self.instances[parent].host.clone());
        // The original looks for this text anywhere in the names of the types.
        let is_host = node.hierarchy.iter().any(|ancestor| ancestor.contains("cloudify.nodes.Compute"));
        let host = outer.or_else(|| is_host.then(|| id.clone()));
        Instance { id, node: name.to_owned(), index, host, ties: Vec::new() }
    }

    fn fresh_id(&mut self, node: &str) -> String {
        loop {
            let suffix: String = std::iter::repeat_with(|| self.random.choice(b"abcdefghijklmnopqrstuvwxyz0123456789").copied())
                .take(6)
                .flatten()
                .map(char::from)
                .collect();
            let id = format!("{node}_{suffix}");
            if self.used.insert(id.clone()) {
                return id;
            }
        }
    }

    fn tie(&mut self) {
        for (name, members) in &self.of {
            for (at, parent) in members {
                let mut ties: Vec<InstanceTie> = Vec::new();
                for relationship in &self.blueprint.nodes[*name].relationships {
                    let targets: Vec<usize> =
                        self.of.get(relationship.target.node.as_str()).into_iter().flatten().map(|(at, _)| *at).collect();
                    let chosen = match relationship.kind {
                        RelationshipKind::ContainedIn => parent.iter().copied().collect(),
                        _ if relationship.all_to_one => {
                            targets.into_iter().min_by_key(|target| &self.instances[*target].id).into_iter().collect()
                        }
                        _ => targets,
                    };
                    for target in chosen {
                        let target = self.instances[target].id.clone();
                        // Of two relationships between the same pair the last one holds, at its position.
                        ties.retain(|tie| tie.target != target);
                        ties.push(InstanceTie { target, kind: relationship.kind });
                    }
                }
                self.instances[*at].ties = ties;
            }
        }
    }
}
