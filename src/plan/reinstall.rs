//! `reinstall`: taken down, then installed anew, in one stage.

use super::{
    InstanceState::{Started, Uninitialized},
    Known, Proposal, TaskId,
    chain::Chain,
    install,
    neighbours::{Beside, tell},
    order::Order,
    uninstall::Taking,
};
use crate::model::Instance;
use std::collections::{BTreeSet, HashMap};

/// Plans taking down all that are chosen and exist, then installing all that are chosen.
#[must_use]
pub fn of(known: &Known<'_>, chosen: &dyn Fn(&Instance) -> bool, ignores_failure: bool, cause: &str) -> Proposal {
    let mut proposal = Proposal::default();
    append(known, chosen, ignores_failure, cause, &mut proposal);
    proposal
}

/// Appends it to other work.
pub(super) fn append(known: &Known<'_>, chosen: &dyn Fn(&Instance) -> bool, ignores_failure: bool, cause: &str, proposal: &mut Proposal) {
    let gone = Taking { known: *known, chosen, cause, ignores_failure }.plan(&[], proposal);
    let order = Order::new(known.deployment);
    let mut last: HashMap<String, TaskId> = HashMap::new();
    for instance in order.instances().into_iter().filter(|instance| chosen(instance)) {
        let Some(node) = known.deployment.node(instance) else { continue };
        let needs = order.needed_by(instance).into_iter().filter_map(|id| last.get(id).copied());
        let after: BTreeSet<TaskId> = needs.chain(gone.iter().copied()).collect();
        let mut chain = Chain::new(*known, (instance, node), cause, proposal);
        chain.after = after.into_iter().collect();
        install::way_up(&mut chain, Uninitialized);
        chain.end_in(Started, "install");
        last.extend(chain.last.map(|id| (instance.id.clone(), id)));
    }
    let touched = |instance: &Instance| last.contains_key(&instance.id);
    let beside = Beside { chosen, touched: &touched, after: &last, cause: "what it has a relationship to is made" };
    tell(*known, "establish", &beside, proposal);
}
