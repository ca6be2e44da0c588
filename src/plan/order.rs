//! Who comes before whom.

use crate::{
    backend,
    model::{Deployment, Instance},
};
use std::collections::HashMap;

/// Instances in an order in which each comes after those it depends on.
pub(super) fn in_order(deployment: &Deployment) -> Vec<&Instance> {
    let positions: HashMap<&str, usize> =
        deployment.instances.iter().enumerate().map(|(at, instance)| (instance.id.as_str(), at)).collect();
    let mut seen = vec![false; deployment.instances.len()];
    let mut order = Vec::new();
    for start in 0..deployment.instances.len() {
        if std::mem::replace(&mut seen[start], true) {
            continue;
        }
        // Depth first without recursion: (instance, its prerequisites that are still to be visited).
        let mut path = vec![(start, prerequisites(deployment, start, &positions))];
        while let Some((at, rest)) = path.last_mut() {
            match rest.pop() {
                Some(next) if std::mem::replace(&mut seen[next], true) => {}
                Some(next) => path.push((next, prerequisites(deployment, next, &positions))),
                None => {
                    order.push(&deployment.instances[*at]);
                    path.pop();
                }
            }
        }
    }
    order
}

fn prerequisites(deployment: &Deployment, at: usize, positions: &HashMap<&str, usize>) -> Vec<usize> {
    let ids = needed_by(deployment, &deployment.instances[at]);
    ids.iter().rev().filter_map(|id| positions.get(id.as_str()).copied()).collect()
}

/// Ids of the instances that must be started before `instance`: those it has relationships to, and
/// those whose containers its own names.
pub(super) fn needed_by(deployment: &Deployment, instance: &Instance) -> Vec<String> {
    let ties = instance.ties.iter().map(|tie| tie.target.clone());
    ties.chain(backend::uses(deployment, instance)).filter(|id| *id != instance.id).collect()
}
