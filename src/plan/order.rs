//! Who comes before whom.

use crate::{
    backend,
    model::{Deployment, Instance},
};
use std::collections::HashMap;

/// The order of a deployment's instances, from their relationships and from what their objects name.
pub(super) struct Order<'a> {
    deployment: &'a Deployment,
    /// For each instance the ids of those whose objects its own name.
    uses: HashMap<String, Vec<String>>,
}

impl<'a> Order<'a> {
    pub(super) fn new(deployment: &'a Deployment) -> Self {
        Self { deployment, uses: backend::uses(deployment) }
    }

    /// Ids of the instances that must be started before `instance`.
    pub(super) fn needed_by<'s>(&'s self, instance: &'s Instance) -> Vec<&'s str> {
        let ties = instance.ties.iter().map(|tie| tie.target.as_str());
        ties.chain(self.used_by(instance)).filter(|id| *id != instance.id).collect()
    }

    /// Ids of the instances whose objects that of `instance` names.
    pub(super) fn used_by<'s>(&'s self, instance: &Instance) -> impl Iterator<Item = &'s str> + use<'s> {
        self.uses.get(&instance.id).into_iter().flatten().map(String::as_str)
    }

    /// Ids of the instances whose objects that of `instance` cannot outlive: those it names, and
    /// those whose attributes went into it.
    pub(super) fn bound_to(&self, instance: &Instance) -> Vec<String> {
        let reads = backend::reads(self.deployment, instance);
        self.used_by(instance).map(str::to_owned).chain(reads).collect()
    }

    /// Instances in an order in which each comes after those it needs.
    pub(super) fn instances(&self) -> Vec<&'a Instance> {
        let all = &self.deployment.instances;
        let positions: HashMap<&str, usize> = all.iter().enumerate().map(|(at, instance)| (instance.id.as_str(), at)).collect();
        let needs =
            |at: usize| -> Vec<usize> { self.needed_by(&all[at]).iter().rev().filter_map(|id| positions.get(id).copied()).collect() };
        let mut seen = vec![false; all.len()];
        let mut order = Vec::new();
        for start in 0..all.len() {
            if std::mem::replace(&mut seen[start], true) {
                continue;
            }
            // Depth first without recursion: (instance, what it needs that is still to be visited).
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
