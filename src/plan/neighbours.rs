//! Instances that stay as they are while others come and go beside them: only their relationships to those are told.

use super::{
    Known, Proposal, TaskId,
    chain::{Chain, Link, links},
};
use crate::model::Instance;
use std::collections::{HashMap, HashSet};

/// What happens beside instances that stay.
pub(super) struct Beside<'a> {
    /// Instances that do not stay.
    pub chosen: &'a dyn Fn(&Instance) -> bool,
    /// Those of them that anything happens to.
    pub touched: &'a dyn Fn(&Instance) -> bool,
    /// What the stay of others beside them is told after, by their ids.
    pub after: &'a HashMap<String, TaskId>,
    /// Why.
    pub cause: &'a str,
}

/// Appends `establish` or `unlink` of every relationship from an instance that stays to one that is touched; the tasks come back by
/// the id of that one.
pub(super) fn tell(known: Known<'_>, operation: &str, beside: &Beside<'_>, proposal: &mut Proposal) -> HashMap<String, Vec<TaskId>> {
    let mut told: HashMap<String, Vec<TaskId>> = HashMap::new();
    let touched: HashSet<&str> = known.deployment.instances.iter().filter(|it| (beside.touched)(it)).map(|it| it.id.as_str()).collect();
    for instance in known.deployment.instances.iter().filter(|instance| !(beside.chosen)(instance)) {
        let Some(node) = known.deployment.node(instance) else { continue };
        let is_touched = |link: &Link<'_>| touched.contains(link.between.target.as_str());
        for link in links(instance, node).into_iter().filter(is_touched) {
            let target = link.between.target.clone();
            let mut chain = Chain::new(known, (instance, node), beside.cause, proposal);
            chain.ignores_failure = operation == "unlink";
            chain.after = beside.after.get(&target).copied().into_iter().collect();
            chain.relationship(operation, &[link]);
            let ends: Vec<TaskId> = if chain.last.is_some() { chain.after } else { Vec::new() };
            told.entry(target).or_default().extend(ends);
        }
    }
    told
}
