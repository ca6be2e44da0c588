//! One operation on many instances: `execute_operation`, `start`, `stop`, `restart`, `pull`,
//! `check_status`, `check_drift`.

use super::{
    Known, Proposal,
    bring::{self, Brought},
    chain::{Chain, Phase, done_of},
    install,
    order::Order,
    restore,
};
use crate::{
    model::{
        Definition, Deployment, Instance,
        InstanceState::{self, Started, Starting, Stopped, Stopping},
        Planned, Retry,
    },
    seam::{Purpose, Step},
    stage::{
        Selection, TaskId,
        parameters::{Check, ExecuteOperation, OneOperation, Restart},
    },
};
use serde_json::{Map as JsonMap, Value as Json};
use std::collections::{BTreeSet, HashMap, HashSet};

const START: &str = "cloudify.interfaces.lifecycle.start";
const STATUS: &str = "cloudify.interfaces.validation.check_status";
const DRIFT: &str = "cloudify.interfaces.lifecycle.check_drift";
const STOP: &str = "cloudify.interfaces.lifecycle.stop";

/// Plans `start`, `stop` or `pull`.
#[must_use]
pub fn one(name: &str, given: &OneOperation, known: &Known<'_>) -> Proposal {
    let operation = format!("cloudify.interfaces.lifecycle.{name}");
    let mut proposal = Proposal::default();
    let one = One {
        kwargs: Some(&given.operation_kwargs),
        ordered: given.run_by_dependency_order.unwrap_or(true),
        is_recorded: given.is_recorded,
        ..One::new(known, &given.selection, &operation)
    };
    one.plan(&[], &mut proposal);
    proposal
}

/// Plans `restart`: stops all instances, then starts all.
#[must_use]
pub fn restart(given: &Restart, known: &Known<'_>) -> Proposal {
    let mut proposal = Proposal::default();
    let order = Order::new(known.deployment, known.plugins);
    let again = bound_to_lost(known, &given.selection);
    let is_made = |it: &Instance| is_lost(known, &given.selection, it) || again.contains(&it.id);
    let brought = bring::first(known, &order, &is_made, "it was requested", &mut proposal);
    let one = |operation| One {
        ordered: given.run_by_dependency_order.unwrap_or(true),
        is_recorded: given.is_recorded,
        ..One::new(known, &given.selection, operation)
    };
    let stop = One {
        kwargs: Some(&given.stop_parms),
        brought,
        ..one(STOP)
    };
    let stopped = stop.plan(&[], &mut proposal);
    let start = One {
        kwargs: Some(&given.start_parms),
        after_stop: Some(again),
        ..one(START)
    };
    start.plan(&stopped, &mut proposal);
    proposal
}

/// Plans `execute_operation`.
#[must_use]
pub fn any(given: &ExecuteOperation, known: &Known<'_>) -> Proposal {
    let mut proposal = Proposal::default();
    let one = One {
        kwargs: Some(&given.operation_kwargs),
        ordered: given.run_by_dependency_order.unwrap_or(false),
        ..One::new(known, &given.selection, &given.operation)
    };
    one.plan(&[], &mut proposal);
    proposal
}

/// Plans `check_status`.
#[must_use]
pub fn status(given: &Check, known: &Known<'_>) -> Proposal {
    let mut proposal = Proposal::default();
    let ordered = given.run_by_dependency_order.unwrap_or(false);
    check_status(known, &given.selection, ordered, &mut proposal);
    let look = Look {
        name: "check_status",
        operation: STATUS,
        wrong: is_ill,
    };
    look.plan(known, &given.selection, &mut proposal);
    proposal
}

/// Plans `check_drift`.
#[must_use]
pub fn drift(given: &Check, known: &Known<'_>) -> Proposal {
    let mut proposal = Proposal::default();
    let one = One {
        ordered: given.run_by_dependency_order.unwrap_or(true),
        retries: false,
        ..One::new(known, &given.selection, DRIFT)
    };
    one.plan(&[], &mut proposal);
    let look = Look {
        name: "check_drift",
        operation: DRIFT,
        wrong: has_drifted,
    };
    look.plan(known, &given.selection, &mut proposal);
    relationships("check_drift", known, &given.selection, &mut proposal);
    proposal
}

/// Appends `check_status` for the chosen instances, without retries.
pub(super) fn check_status(
    known: &Known<'_>,
    selection: &Selection,
    ordered: bool,
    proposal: &mut Proposal,
) {
    let one = One {
        ordered,
        retries: false,
        ..One::new(known, selection, STATUS)
    };
    one.plan(&[], proposal);
}

/// A check of instances that have an object but do not declare the operation. It fails with the
/// problem that it finds.
struct Look {
    name: &'static str,
    operation: &'static str,
    wrong: fn(&Known<'_>, &Instance, &Definition) -> Option<String>,
}

impl Look {
    fn plan(&self, known: &Known<'_>, selection: &Selection, proposal: &mut Proposal) {
        for (instance, node) in chosen(known, selection) {
            let node = known.record.made_from(instance, node);
            let is_meant = known.record.state(&instance.id) == Started
                && known.plugins.has_object(node)
                && !node.operations.contains_key(self.operation);
            if !is_meant {
                continue;
            }
            let wrong = (self.wrong)(known, instance, node);
            let step = wrong.map_or_else(Step::nothing, Step::refused);
            let mut chain = Chain::new(*known, (instance, node), "it was requested", proposal);
            chain.push(self.name, step, Retry::default(), Some(&node.place));
        }
    }
}

/// Returns the chosen instances with their present nodes.
fn chosen<'a>(
    known: &Known<'a>,
    selection: &Selection,
) -> impl Iterator<Item = (&'a Instance, &'a Definition)> {
    let deployment = known.deployment;
    let instances = deployment.instances.iter();
    let chosen = instances.filter(|it| selection.has(deployment, it));
    chosen.filter_map(|it| Some((it, deployment.node(it)?)))
}

/// Returns the reason why an instance is unhealthy, if it is.
fn is_ill(known: &Known<'_>, instance: &Instance, node: &Definition) -> Option<String> {
    let object = known.plugins.object_of(node, instance, known.observed);
    match object {
        None => Some("it is missing".to_owned()),
        Some(object) if object.health.as_deref() == Some("unhealthy") => {
            Some("it is unhealthy".to_owned())
        }
        Some(object) if !known.plugins.is_as_wanted(node, object) => {
            Some(format!("it is {}", object.state.as_str()))
        }
        Some(_) => None,
    }
}

/// Returns how an object differs from its declaration, if it does.
fn has_drifted(known: &Known<'_>, instance: &Instance, node: &Definition) -> Option<String> {
    let Some(object) = known.plugins.object_of(node, instance, known.observed) else {
        return Some("it is missing".to_owned());
    };
    if !known.plugins.is_as_wanted(node, object) {
        return Some(format!("it is {}", object.state.as_str()));
    }
    let changes: Vec<String> = object.drift.iter().map(ToString::to_string).collect();
    (!changes.is_empty()).then(|| format!("it drifted: {}", changes.join("; ")))
}

/// Appends a relationship operation for all chosen instances.
fn relationships(name: &str, known: &Known<'_>, selection: &Selection, proposal: &mut Proposal) {
    for (instance, node) in chosen(known, selection) {
        let mut chain = Chain::new(*known, (instance, node), name, proposal);
        chain.relationships(name, false);
    }
}

/// Checks that the given inputs do not override declared ones without permission.
///
/// # Errors
///
/// If the operation declares an input of the same name and `allow_kwargs_override` is not set.
pub fn check(given: &ExecuteOperation, deployment: &Deployment) -> Result<(), String> {
    if given.allow_kwargs_override == Some(true) {
        return Ok(());
    }
    let instances = deployment.instances.iter();
    let clash = |it: &Instance| {
        let planned = deployment.node(it)?.operations.get(&given.operation)?;
        let mut names = given.operation_kwargs.keys();
        Some((
            it.node.clone(),
            names.find(|name| planned.inputs.contains_key(*name))?,
        ))
    };
    let mut clashes = instances
        .filter(|it| given.selection.has(deployment, it))
        .filter_map(clash);
    clashes.next().map_or(Ok(()), |(node, name)| {
        Err(format!(
            "`{}` of `{node}` already has an input `{name}`; to override it, set allow_kwargs_override=true",
            given.operation
        ))
    })
}

/// One operation on the chosen instances.
struct One<'a> {
    known: Known<'a>,
    selection: &'a Selection,
    operation: &'a str,
    /// Inputs that override those of the blueprint.
    kwargs: Option<&'a JsonMap<String, Json>>,
    /// Run in dependency order; a recorded stop runs in reverse order.
    ordered: bool,
    retries: bool,
    /// See [`OneOperation::is_recorded`].
    is_recorded: bool,
    /// Set after a stop of the same instances: IDs of instances that cannot be started again,
    /// because the objects that they depend on are recreated.
    after_stop: Option<HashSet<String>>,
    /// Tasks that provide images before an instance is stopped.
    brought: Brought,
}

/// Returns the IDs of instances that refer to an object that disappears when it is stopped, and do
/// not disappear themselves.
fn bound_to_lost(known: &Known<'_>, selection: &Selection) -> HashSet<String> {
    let as_made = known.record.as_made(known.deployment);
    let order = Order::new(&as_made, known.plugins);
    let (mut lost, mut bound): (HashSet<&str>, HashSet<String>) = (HashSet::new(), HashSet::new());
    for instance in order.instances() {
        let holds = order
            .bound_to(instance)
            .iter()
            .any(|id| lost.contains(id.as_str()) || bound.contains(id));
        if is_lost(known, selection, instance) {
            lost.insert(&instance.id);
        } else if holds
            && as_made
                .node(instance)
                .is_some_and(|node| known.plugins.is_replaceable(known.part(instance, node)))
        {
            bound.insert(instance.id.clone());
        }
    }
    bound
}

/// Returns true if the object of a chosen instance disappears when it is stopped, so that it must
/// be created again.
fn is_lost(known: &Known<'_>, selection: &Selection, instance: &Instance) -> bool {
    let node = known
        .deployment
        .node(instance)
        .filter(|_| selection.has(known.deployment, instance));
    node.is_some_and(|node| {
        known
            .plugins
            .is_ephemeral(known.part(instance, known.record.made_from(instance, node)))
    })
}

impl<'a> One<'a> {
    fn new(known: &Known<'a>, selection: &'a Selection, operation: &'a str) -> Self {
        Self {
            known: *known,
            selection,
            operation,
            kwargs: None,
            ordered: true,
            retries: true,
            is_recorded: false,
            after_stop: None,
            brought: Brought::new(),
        }
    }

    /// Appends the operation after some tasks. Returns the tasks that later ones must wait for.
    fn plan(&self, first: &[TaskId], proposal: &mut Proposal) -> Vec<TaskId> {
        // The existing objects determine the dependencies.
        let as_made = self.known.record.as_made(self.known.deployment);
        let order = Order::new(&as_made, self.known.plugins);
        let backwards = self.operation == STOP && self.is_recorded;
        let mut instances = order.instances();
        if backwards {
            instances.reverse();
        }
        // The tasks that dependents of each instance wait for: its own task, or, if it has none,
        // the tasks that it would have waited for.
        let mut waited: HashMap<&str, BTreeSet<TaskId>> = HashMap::new();
        let mut ends = BTreeSet::new();
        for instance in instances {
            let mut after = waited.remove(instance.id.as_str()).unwrap_or_default();
            if self.ordered && !backwards {
                after = order
                    .needed_by(instance)
                    .iter()
                    .filter_map(|id| waited.get(id))
                    .flatten()
                    .copied()
                    .collect();
            }
            after.extend(self.brought.get(&instance.id).into_iter().flatten());
            let task = self.instance(
                instance,
                after.iter().chain(first).copied().collect(),
                proposal,
            );
            ends.extend(task);
            let handed_on = task.map_or(after, |task| BTreeSet::from([task]));
            if backwards && self.ordered {
                for id in order.needed_by(instance) {
                    let id = as_made.instance(id).map(|instance| instance.id.as_str());
                    waited
                        .entry(id.unwrap_or_default())
                        .or_default()
                        .extend(&handed_on);
                }
            } else if !backwards {
                waited.insert(&instance.id, handed_on);
            }
        }
        ends.into_iter().chain(first.iter().copied()).collect()
    }

    fn instance(
        &self,
        instance: &Instance,
        after: Vec<TaskId>,
        proposal: &mut Proposal,
    ) -> Option<TaskId> {
        let Known {
            deployment,
            record,
            observed,
            ..
        } = self.known;
        let node = record.made_from(
            instance,
            deployment
                .node(instance)
                .filter(|_| self.is_meant(instance))?,
        );
        let mut chain = Chain::new(self.known, (instance, node), "it was requested", proposal);
        chain.after = after;
        // Without a `start` operation, `create` starts the object. An object that is missing, or
        // will be by then, is created too.
        let is_there = !self.known.plugins.has_object(node)
            || self
                .known
                .plugins
                .object_of(node, instance, observed)
                .is_some();
        let is_lost = self.after_stop.is_some()
            && self
                .known
                .plugins
                .is_ephemeral(self.known.part(instance, node));
        let starts = self.operation == START
            && self.known.plugins.has_object(node)
            && (self.is_recorded || is_lost);
        let planned = self
            .planned(node)
            .filter(|_| !(starts && (is_lost || !is_there)));
        let Some(planned) = planned else {
            if starts {
                chain.done = if is_lost {
                    Vec::new()
                } else {
                    done_of(&self.known, instance, node)
                };
                install::way_up(&mut chain, InstanceState::Uninitialized);
                chain.end_in(Started, "start");
            }
            return chain.last;
        };
        let again = |ids: &HashSet<String>| ids.contains(&instance.id);
        if self.after_stop.as_ref().is_some_and(again) {
            restore::again(&mut chain);
            return chain.last;
        }
        self.lowered(&mut chain, &planned);
        chain.last
    }

    /// Appends the steps of the operation itself.
    fn lowered(&self, chain: &mut Chain<'_>, planned: &Planned) {
        let (plugins, part) = (
            chain.known.plugins,
            chain.known.part(chain.instance, chain.node),
        );
        let (enters, leaves) = self.states();
        let purpose = if self.is_recorded {
            Purpose::Halt
        } else {
            Purpose::Ordinary
        };
        let Some(steps) = plugins.lower(part, (self.operation, planned), &purpose) else {
            return chain.unsupported(self.operation, planned);
        };
        // Skip needless steps: an existing object was created with everything that `start` adds.
        let object = plugins.object_of(chain.node, chain.instance, chain.known.observed);
        let steps = steps
            .into_iter()
            .filter(|step| !plugins.is_needless(step, object))
            .collect();
        let phase = Phase {
            operation: self.operation,
            enters,
            leaves,
        };
        chain.operation(&phase, planned, steps);
    }

    /// Returns true if the operation applies to an instance. A recorded operation skips instances
    /// that do not exist, adopted ones unless they are named, and, for a stop, those already
    /// stopped on purpose.
    fn is_meant(&self, instance: &Instance) -> bool {
        let Known {
            deployment, record, ..
        } = self.known;
        let selection = self.selection;
        let state = record.state(&instance.id);
        let rests = state == Stopped
            && self.operation == STOP
            && record
                .instances
                .get(&instance.id)
                .is_some_and(|known| known.rests);
        let spared = selection.is_all()
            && deployment
                .node(instance)
                .is_some_and(|node| record.made_from(instance, node).is_adopted());
        selection.has(deployment, instance)
            && (!self.is_recorded || !(state.is_gone() || rests || spared))
    }

    /// Returns the operation with the given inputs.
    fn planned(&self, node: &Definition) -> Option<Planned> {
        let mut planned = node.operations.get(self.operation)?.clone();
        planned
            .inputs
            .extend(self.kwargs.cloned().unwrap_or_default());
        if !self.retries {
            planned.retry.max_retries = Some(0.0);
        }
        Some(planned)
    }

    /// Returns the states that the operation sets. Only recorded operations set any: Cloudify's
    /// workflows do not change states.
    fn states(&self) -> (Option<InstanceState>, Option<InstanceState>) {
        match (self.is_recorded, self.operation) {
            (true, START) => (Some(Starting), Some(Started)),
            (true, STOP) => (Some(Stopping), Some(Stopped)),
            _ => (None, None),
        }
    }
}
