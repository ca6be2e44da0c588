//! One operation on many instances: `execute_operation`, `start`, `stop`, `restart`, `pull`,
//! `check_status`, `check_drift`.

use super::{
    PlanInput, Proposal,
    chain::{Chain, Phase, completed_steps},
    images::{self, ImageTasks},
    install,
    order::Order,
    restore,
};
use crate::{
    model::{
        Definition, Deployment, Instance,
        InstanceState::{self, Started, Starting, Stopped, Stopping},
        OperationDefinition, Retry,
    },
    seam::{Labeling, Object, Purpose, Step},
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
pub fn single(name: &str, parameters: &OneOperation, known: &PlanInput<'_>) -> Proposal {
    let operation = format!("cloudify.interfaces.lifecycle.{name}");
    let mut proposal = Proposal::default();
    let planner = OperationPlanner {
        kwargs: Some(&parameters.operation_kwargs),
        ordered: parameters.run_by_dependency_order.unwrap_or(true),
        is_recorded: parameters.is_recorded,
        ..OperationPlanner::new(known, &parameters.selection, &operation)
    };
    planner.plan(&[], &mut proposal);
    proposal
}

/// Plans `restart`: stops all instances, then starts all.
#[must_use]
pub fn restart(parameters: &Restart, known: &PlanInput<'_>) -> Proposal {
    let mut proposal = Proposal::default();
    let order = Order::new(known.deployment, known.plugins);
    let again = bound_to_ephemeral(known, &parameters.selection);
    let is_recreated =
        |it: &Instance| is_ephemeral(known, &parameters.selection, it) || again.contains(&it.id);
    let image_tasks = images::append_all(
        known,
        &order,
        &is_recreated,
        "it was requested",
        &mut proposal,
    );
    let planner = |operation| OperationPlanner {
        ordered: parameters.run_by_dependency_order.unwrap_or(true),
        is_recorded: parameters.is_recorded,
        ..OperationPlanner::new(known, &parameters.selection, operation)
    };
    let stop = OperationPlanner {
        kwargs: Some(&parameters.stop_parms),
        image_tasks,
        ..planner(STOP)
    };
    let stopped = stop.plan(&[], &mut proposal);
    let start = OperationPlanner {
        kwargs: Some(&parameters.start_parms),
        after_stop: Some(again),
        ..planner(START)
    };
    start.plan(&stopped, &mut proposal);
    proposal
}

/// Plans `execute_operation`.
#[must_use]
pub fn execute_operation(parameters: &ExecuteOperation, known: &PlanInput<'_>) -> Proposal {
    let mut proposal = Proposal::default();
    let planner = OperationPlanner {
        kwargs: Some(&parameters.operation_kwargs),
        ordered: parameters.run_by_dependency_order.unwrap_or(false),
        ..OperationPlanner::new(known, &parameters.selection, &parameters.operation)
    };
    planner.plan(&[], &mut proposal);
    proposal
}

/// Plans `check_status`.
#[must_use]
pub fn check_status_workflow(parameters: &Check, known: &PlanInput<'_>) -> Proposal {
    let mut proposal = Proposal::default();
    let ordered = parameters.run_by_dependency_order.unwrap_or(false);
    check_status(known, &parameters.selection, ordered, &mut proposal);
    let look = BuiltInCheck {
        name: "check_status",
        operation: STATUS,
        problem: unhealthy_reason,
    };
    look.plan(known, &parameters.selection, &mut proposal);
    proposal
}

/// Plans `check_drift`.
#[must_use]
pub fn check_drift(parameters: &Check, known: &PlanInput<'_>) -> Proposal {
    let mut proposal = Proposal::default();
    let planner = OperationPlanner {
        ordered: parameters.run_by_dependency_order.unwrap_or(true),
        retries: false,
        ..OperationPlanner::new(known, &parameters.selection, DRIFT)
    };
    planner.plan(&[], &mut proposal);
    let look = BuiltInCheck {
        name: "check_drift",
        operation: DRIFT,
        problem: drift_reason,
    };
    look.plan(known, &parameters.selection, &mut proposal);
    relationships("check_drift", known, &parameters.selection, &mut proposal);
    proposal
}

/// Appends `check_status` for the chosen instances, without retries.
pub(super) fn check_status(
    known: &PlanInput<'_>,
    selection: &Selection,
    ordered: bool,
    proposal: &mut Proposal,
) {
    let planner = OperationPlanner {
        ordered,
        retries: false,
        ..OperationPlanner::new(known, selection, STATUS)
    };
    planner.plan(&[], proposal);
}

/// A check of instances that have an object but do not declare the operation. It fails with the
/// problem that it finds.
struct BuiltInCheck {
    name: &'static str,
    operation: &'static str,
    problem: fn(&PlanInput<'_>, &Instance, &Definition) -> Option<String>,
}

impl BuiltInCheck {
    fn plan(&self, known: &PlanInput<'_>, selection: &Selection, proposal: &mut Proposal) {
        for (instance, node) in chosen(known, selection) {
            let node = known.record.object_definition(instance, node);
            let is_selected = known.record.state(&instance.id) == Started
                && known.plugins.is_observed(node)
                && !node.operations.contains_key(self.operation);
            if !is_selected {
                continue;
            }
            let wrong = (self.problem)(known, instance, node);
            let step = wrong.map_or_else(Step::no_action, Step::refused);
            let mut chain = Chain::new(*known, (instance, node), "it was requested", proposal);
            chain.push(self.name, step, Retry::default(), Some(&node.place));
        }
    }
}

/// Returns the chosen instances with their present nodes.
fn chosen<'a>(
    known: &PlanInput<'a>,
    selection: &Selection,
) -> impl Iterator<Item = (&'a Instance, &'a Definition)> {
    let deployment = known.deployment;
    let instances = deployment.instances.iter();
    let chosen = instances.filter(|it| selection.contains(deployment, it));
    chosen.filter_map(|it| Some((it, deployment.node(it)?)))
}

/// Returns the reason why an instance is unhealthy, if it is.
fn unhealthy_reason(
    known: &PlanInput<'_>,
    instance: &Instance,
    node: &Definition,
) -> Option<String> {
    let object = known.plugins.object_of(node, instance, known.observed);
    match object {
        None => Some("it is missing".to_owned()),
        Some(object) if object.health.as_deref() == Some("unhealthy") => {
            Some("it is unhealthy".to_owned())
        }
        Some(object) if !known.plugins.object_is_in_desired_state(node, object) => {
            Some(format!("it is {}", object.state.as_str()))
        }
        Some(_) => None,
    }
}

/// Returns how an object differs from its declaration, if it does.
fn drift_reason(known: &PlanInput<'_>, instance: &Instance, node: &Definition) -> Option<String> {
    let Some(object) = known.plugins.object_of(node, instance, known.observed) else {
        return Some("it is missing".to_owned());
    };
    if !known.plugins.object_is_in_desired_state(node, object) {
        return Some(format!("it is {}", object.state.as_str()));
    }
    let changes: Vec<String> = object.drift.iter().map(ToString::to_string).collect();
    (!changes.is_empty()).then(|| format!("it drifted: {}", changes.join("; ")))
}

/// Appends a relationship operation for all chosen instances.
fn relationships(
    name: &str,
    known: &PlanInput<'_>,
    selection: &Selection,
    proposal: &mut Proposal,
) {
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
pub fn check_inputs(parameters: &ExecuteOperation, deployment: &Deployment) -> Result<(), String> {
    if parameters.allow_kwargs_override == Some(true) {
        return Ok(());
    }
    let instances = deployment.instances.iter();
    let clash = |it: &Instance| {
        let planned = deployment.node(it)?.operations.get(&parameters.operation)?;
        let mut names = parameters.operation_kwargs.keys();
        Some((
            it.node.clone(),
            names.find(|name| planned.inputs.contains_key(*name))?,
        ))
    };
    let mut clashes = instances
        .filter(|it| parameters.selection.contains(deployment, it))
        .filter_map(clash);
    clashes.next().map_or(Ok(()), |(node, name)| {
        Err(format!(
            "`{}` of `{node}` already has an input `{name}`; to override it, set allow_kwargs_override=true",
            parameters.operation
        ))
    })
}

/// One operation on the chosen instances.
struct OperationPlanner<'a> {
    known: PlanInput<'a>,
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
    image_tasks: ImageTasks,
}

/// Returns the IDs of instances that refer to an object that disappears when it is stopped, and do
/// not disappear themselves.
fn bound_to_ephemeral(known: &PlanInput<'_>, selection: &Selection) -> HashSet<String> {
    let as_made = known.record.as_created(known.deployment);
    let order = Order::new(&as_made, known.plugins);
    let (mut lost, mut bound): (HashSet<&str>, HashSet<String>) = (HashSet::new(), HashSet::new());
    for instance in order.instances() {
        let holds = order
            .bound_to(instance)
            .iter()
            .any(|id| lost.contains(id.as_str()) || bound.contains(id));
        if is_ephemeral(known, selection, instance) {
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
fn is_ephemeral(known: &PlanInput<'_>, selection: &Selection, instance: &Instance) -> bool {
    let node = known
        .deployment
        .node(instance)
        .filter(|_| selection.contains(known.deployment, instance));
    node.is_some_and(|node| {
        known
            .plugins
            .is_ephemeral(known.part(instance, known.record.object_definition(instance, node)))
    })
}

impl<'a> OperationPlanner<'a> {
    fn new(known: &PlanInput<'a>, selection: &'a Selection, operation: &'a str) -> Self {
        Self {
            known: *known,
            selection,
            operation,
            kwargs: None,
            ordered: true,
            retries: true,
            is_recorded: false,
            after_stop: None,
            image_tasks: ImageTasks::new(),
        }
    }

    /// Appends the operation after some tasks. Returns the tasks that later ones must wait for.
    fn plan(&self, first: &[TaskId], proposal: &mut Proposal) -> Vec<TaskId> {
        // The existing objects determine the dependencies.
        let as_made = self.known.record.as_created(self.known.deployment);
        let order = Order::new(&as_made, self.known.plugins);
        let is_reversed = self.operation == STOP && self.is_recorded;
        let mut instances = order.instances();
        if is_reversed {
            instances.reverse();
        }
        // The tasks that dependents of each instance wait for: its own task, or, if it has none,
        // the tasks that it would have waited for.
        let mut wait_for: HashMap<&str, BTreeSet<TaskId>> = HashMap::new();
        let mut ends = BTreeSet::new();
        for instance in instances {
            let mut after = wait_for.remove(instance.id.as_str()).unwrap_or_default();
            if self.ordered && !is_reversed {
                let of_other = |id: &&str| self.awaited(&order, instance, id, &wait_for, proposal);
                after = order
                    .dependencies_of(instance)
                    .iter()
                    .flat_map(of_other)
                    .collect();
            }
            after.extend(self.image_tasks.get(&instance.id).into_iter().flatten());
            let task = self.append_instance(
                instance,
                after.iter().chain(first).copied().collect(),
                proposal,
            );
            ends.extend(task);
            let passed_on = task.map_or(after, |task| BTreeSet::from([task]));
            if is_reversed && self.ordered {
                for id in order.dependencies_of(instance) {
                    let id = as_made.instance(id).map(|instance| instance.id.as_str());
                    wait_for
                        .entry(id.unwrap_or_default())
                        .or_default()
                        .extend(&passed_on);
                }
            } else if !is_reversed {
                wait_for.insert(&instance.id, passed_on);
            }
        }
        ends.into_iter().chain(first.iter().copied()).collect()
    }

    /// Returns the tasks of another instance that an instance waits for. Cloudify's workflows wait for
    /// all of it here, also if only one operation is awaited: with the commands of dockctl, an
    /// operation that is not repeated has long ended.
    fn awaited(
        &self,
        order: &Order<'_>,
        instance: &Instance,
        other: &str,
        wait_for: &HashMap<&str, BTreeSet<TaskId>>,
        proposal: &Proposal,
    ) -> BTreeSet<TaskId> {
        let all = wait_for.get(other).cloned().unwrap_or_default();
        let stage = &proposal.stage;
        let mut tasks = stage.tasks().iter();
        let has_tasks = self.is_recorded && tasks.any(|task| task.instance == other);
        match all.last().filter(|_| has_tasks) {
            Some(last) if order.awaited_operation(instance, other).is_some() => {
                let task = order.awaited_task(instance, (other, *last), stage);
                task.into_iter().collect()
            }
            _ => all,
        }
    }

    fn append_instance(
        &self,
        instance: &Instance,
        after: Vec<TaskId>,
        proposal: &mut Proposal,
    ) -> Option<TaskId> {
        let PlanInput {
            deployment,
            record,
            observed,
            ..
        } = self.known;
        let awaits_update = self.operation == START && record.awaits_update(&instance.id);
        let applies = self.applies_to(instance) && !awaits_update;
        let node = deployment.node(instance).filter(|_| applies)?;
        let node = record.object_definition(instance, node);
        let mut chain = Chain::new(self.known, (instance, node), "it was requested", proposal);
        chain.after = after;
        // Without a `start` operation, `create` starts the object. An object that is missing, or
        // will be by then, is created too.
        let object = self.known.plugins.object_of(node, instance, observed);
        let exists = !self.known.plugins.is_observed(node) || object.is_some();
        let is_lost = self.after_stop.is_some()
            && self
                .known
                .plugins
                .is_ephemeral(self.known.part(instance, node));
        // Networks and volumes that exist do not run.
        let is_static = object.is_some_and(Object::is_static);
        let starts = self.operation == START
            && self.known.plugins.is_observed(node)
            && (self.is_recorded || is_lost)
            && (is_lost || !is_static);
        let planned = self
            .with_kwargs(node)
            .filter(|_| !(starts && (is_lost || !exists)));
        let Some(planned) = planned else {
            if starts {
                chain.completed = if is_lost {
                    Vec::new()
                } else {
                    completed_steps(&self.known, instance, node)
                };
                install::append_install(&mut chain, InstanceState::Uninitialized);
                chain.end_in(Started, "start");
            }
            return chain.last;
        };
        let again = |ids: &HashSet<String>| ids.contains(&instance.id);
        // An object that shares a namespace of one that is gone cannot start again.
        let is_recreated = self.after_stop.as_ref().is_some_and(again)
            || (starts && object.is_some_and(Object::is_cut_off));
        if is_recreated {
            restore::append_recreate(&mut chain);
            return chain.last;
        }
        self.append_steps(&mut chain, &planned);
        chain.last
    }

    /// Appends the steps of the operation itself.
    fn append_steps(&self, chain: &mut Chain<'_>, planned: &OperationDefinition) {
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
        let operation = (self.operation, planned);
        let Some(steps) = plugins.lower(part, operation, &purpose, &Labeling::Deployment) else {
            return chain.unsupported(self.operation, planned);
        };
        // Skip needless steps: an existing object was created with everything that `start` adds.
        let object = plugins.object_of(chain.node, chain.instance, chain.known.observed);
        let steps = steps
            .into_iter()
            .filter(|step| !plugins.is_redundant(step, object))
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
    fn applies_to(&self, instance: &Instance) -> bool {
        let PlanInput {
            deployment, record, ..
        } = self.known;
        let selection = self.selection;
        let state = record.state(&instance.id);
        let is_stopped = state == Stopped
            && self.operation == STOP
            && record
                .instances
                .get(&instance.id)
                .is_some_and(|known| known.stays_stopped);
        let is_skipped = selection.is_all()
            && deployment
                .node(instance)
                .is_some_and(|node| record.object_definition(instance, node).is_adopted());
        selection.contains(deployment, instance)
            && (!self.is_recorded || !(state.is_gone() || is_stopped || is_skipped))
    }

    /// Returns the operation with the given inputs.
    fn with_kwargs(&self, node: &Definition) -> Option<OperationDefinition> {
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
