//! The dependency order of instances.

use super::readers::{AttributeRead, readings};
use crate::{
    model::{Definition, Deployment, Instance, Precedence, defined_relationships},
    plugins::Plugins,
    stage::{Stage, Task, TaskId},
};
use std::collections::HashMap;

/// The order of a deployment's instances. It follows from relationships, from references between
/// objects, and from the attributes that operations read, unless the latter would close a cycle.
pub(super) struct Order<'a> {
    deployment: &'a Deployment,
    /// For each instance, the IDs of the instances that its object refers to.
    uses: HashMap<String, Vec<String>>,
    /// For each node, the nodes whose attributes it reads while it is installed.
    reads: HashMap<String, Vec<String>>,
    /// Readings that the order cannot satisfy, because the other node comes later.
    dropped: Vec<AttributeRead>,
    /// For each node, the IDs of its instances.
    instances: HashMap<&'a str, Vec<&'a str>>,
}

/// Returns the readings of nodes that cannot come first because they depend on the reader. The
/// attributes are still null when they are read.
#[must_use]
pub fn unordered_readings(deployment: &Deployment, plugins: Plugins) -> Vec<AttributeRead> {
    Order::new(deployment, plugins).dropped
}

impl<'a> Order<'a> {
    pub(super) fn new(deployment: &'a Deployment, plugins: Plugins) -> Self {
        let uses = plugins.references(deployment);
        let mut instances: HashMap<&str, Vec<&str>> = HashMap::new();
        for instance in &deployment.instances {
            instances
                .entry(&instance.node)
                .or_default()
                .push(&instance.id);
        }
        let (reads, dropped) = split_readings(deployment, plugins, &uses);
        Self {
            deployment,
            uses,
            reads,
            dropped,
            instances,
        }
    }

    /// Returns the IDs of the instances that must be started before `instance`.
    pub(super) fn dependencies_of<'s>(&'s self, instance: &'s Instance) -> Vec<&'s str> {
        let relationships = instance
            .relationships
            .iter()
            .map(|relationship| relationship.target.as_str());
        relationships
            .chain(self.references_of(instance))
            .chain(self.reads_of(instance))
            .filter(|id| *id != instance.id)
            .collect()
    }

    /// Returns the operation of the instance with the ID `other` that `instance` waits for; none if
    /// it waits for all of them.
    pub(super) fn awaited_operation<'s>(
        &'s self,
        instance: &'s Instance,
        other: &str,
    ) -> Option<&'s str> {
        let node = self.deployment.node(instance)?;
        let relationships = defined_relationships(instance, node).into_iter();
        let mut to_other = relationships.filter(|it| it.relationship.target == other);
        let awaited = to_other.next()?.definition.awaited_operation();
        let is_only = to_other.next().is_none();
        awaited.filter(|_| is_only && !self.bound_to(instance).iter().any(|id| id == other))
    }

    /// Returns the task of another instance that `instance` waits for in its installation: that of
    /// the operation that it awaits, otherwise the last one. None if it awaits an operation that does
    /// not run.
    pub(super) fn awaited_task(
        &self,
        instance: &Instance,
        (other, last): (&str, TaskId),
        stage: &Stage,
    ) -> Option<TaskId> {
        let Some(operation) = self.awaited_operation(instance, other) else {
            return Some(last);
        };
        let mut tasks = stage.ids().rev().map(|task| (task, stage.task(task)));
        let is_it = |task: &Task| task.instance == other && task.operation == operation;
        tasks.find(|(_, it)| is_it(it)).map(|(task, _)| task)
    }

    /// Returns the IDs of the instances whose attributes `instance` reads while it is installed.
    fn reads_of<'s>(&'s self, instance: &Instance) -> impl Iterator<Item = &'s str> + use<'s, 'a> {
        let nodes = self.reads.get(&instance.node).into_iter().flatten();
        nodes
            .filter_map(|node| self.instances.get(node.as_str()))
            .flatten()
            .copied()
    }

    /// Returns the IDs of the instances that the object of `instance` refers to.
    pub(super) fn references_of<'s>(
        &'s self,
        instance: &Instance,
    ) -> impl Iterator<Item = &'s str> + use<'s> {
        self.uses
            .get(&instance.id)
            .into_iter()
            .flatten()
            .map(String::as_str)
    }

    /// Returns the IDs of the instances that `instance` is bound to: its object refers to theirs,
    /// or was created with their attributes. When one of them is recreated, `instance` must be
    /// recreated too.
    pub(super) fn bound_to(&self, instance: &Instance) -> Vec<String> {
        let is_adopted = self
            .deployment
            .node(instance)
            .is_some_and(Definition::is_adopted);
        let read = self.reads_of(instance).filter(|_| !is_adopted);
        self.references_of(instance)
            .chain(read)
            .filter(|id| *id != instance.id)
            .map(str::to_owned)
            .collect()
    }

    /// Returns the instances in dependency order: each after its dependencies.
    pub(super) fn instances(&self) -> Vec<&'a Instance> {
        let all = &self.deployment.instances;
        let positions: HashMap<&str, usize> = all
            .iter()
            .enumerate()
            .map(|(at, instance)| (instance.id.as_str(), at))
            .collect();
        let needs = |at: usize| -> Vec<usize> {
            self.dependencies_of(&all[at])
                .iter()
                .rev()
                .filter_map(|id| positions.get(id).copied())
                .collect()
        };
        let mut seen = vec![false; all.len()];
        let mut order = Vec::new();
        for start in 0..all.len() {
            if std::mem::replace(&mut seen[start], true) {
                continue;
            }
            // Depth-first search without recursion: (instance, its unvisited dependencies).
            let mut path = vec![(start, needs(start))];
            while let Some((at, rest)) = path.last_mut() {
                match rest.pop() {
                    Some(next) if std::mem::replace(&mut seen[next], true) => {}
                    Some(next) => path.push((next, needs(next))),
                    None => {
                        order.push(&all[*at]);
                        path.pop();
                    }
                }
            }
        }
        order
    }
}

/// Returns, for each node, the nodes that it reads and that come before it; and the readings that
/// would close a cycle.
fn split_readings(
    deployment: &Deployment,
    plugins: Plugins,
    uses: &HashMap<String, Vec<String>>,
) -> (HashMap<String, Vec<String>>, Vec<AttributeRead>) {
    let all = readings(deployment, plugins);
    let (mut reads, mut dropped): (HashMap<String, Vec<String>>, Vec<AttributeRead>) =
        (HashMap::new(), Vec::new());
    if all.is_empty() {
        return (reads, dropped);
    }
    let mut precedence = Precedence::default();
    for (name, node) in &deployment.nodes {
        node.relationships
            .iter()
            .for_each(|relationship| precedence.require(name, &relationship.target));
    }
    let nodes: HashMap<&str, &str> = deployment
        .instances
        .iter()
        .map(|it| (it.id.as_str(), it.node.as_str()))
        .collect();
    for (id, used) in uses {
        let pairs = used
            .iter()
            .filter_map(|used| Some((*nodes.get(id.as_str())?, *nodes.get(used.as_str())?)));
        pairs.for_each(|(user, used)| precedence.require(user, used));
    }
    for reading in &all {
        if precedence.prefer(&reading.reader, &reading.target) {
            reads
                .entry(reading.reader.clone())
                .or_default()
                .push(reading.target.clone());
        } else {
            dropped.push(reading.clone());
        }
    }
    (reads, dropped)
}
