//! `heal`: finds unhealthy instances and repairs them in the least disruptive way.
//!
//! In stages: objects on engines are observed, and started or recreated. Then the operation
//! `check_status` runs where it is declared. Then `heal` runs for unhealthy instances; those that
//! do not declare it are reinstalled. Then instances with a failed `heal` are reinstalled.

use super::{
    PlanInput, Proposal,
    chain::{Chain, Phase},
    install,
    operation::check_status,
    order::Order,
    reinstall,
    task_graph::TaskGraph,
};
use crate::{
    model::{Instance, InstanceState, Retry},
    seam::{InstanceStatus, Step},
    stage::{Selection, Stage, TaskId, parameters},
};
use std::collections::{HashMap, HashSet};

const CHECK: &str = "cloudify.interfaces.validation.check_status";
const HEAL: [Phase<'static>; 3] = [
    Phase {
        operation: "cloudify.interfaces.lifecycle.preheal",
        enters: None,
        leaves: None,
    },
    Phase {
        operation: "cloudify.interfaces.lifecycle.heal",
        enters: None,
        leaves: None,
    },
    Phase {
        operation: "cloudify.interfaces.lifecycle.postheal",
        enters: None,
        leaves: None,
    },
];

/// Plans the first stage.
#[must_use]
pub fn first(known: &PlanInput<'_>, parameters: &parameters::Heal) -> Proposal {
    let heal = Healing::new(known, parameters);
    if parameters.force_reinstall {
        return reinstall::of(
            known,
            &|it| heal.scope.contains(it.id.as_str()),
            parameters.ignore_failure,
            "reinstall was requested",
        );
    }
    let repairs = heal.repair_objects();
    if !repairs.stage.is_empty() {
        return repairs;
    }
    let mut proposal = heal.checks();
    if proposal.stage.is_empty() {
        proposal.stage = heal
            .heal_unhealthy(&heal.without_check())
            .unwrap_or_default();
    }
    proposal
}

/// Plans the stage after the one that has ended.
#[must_use]
pub fn next(known: &PlanInput<'_>, parameters: &parameters::Heal, stages: usize) -> Option<Stage> {
    let heal = Healing::new(known, parameters);
    let ran = |name: &str| {
        known
            .record
            .stage()
            .tasks()
            .iter()
            .any(|task| task.operation == name)
    };
    if ran("check_status") {
        return heal.heal_unhealthy(
            &heal
                .failed(&["check_status"])
                .union(&heal.without_check())
                .copied()
                .collect(),
        );
    }
    if ran("heal") {
        return heal.reinstall(&heal.failed(&["preheal", "heal", "postheal"]));
    }
    (stages == 1 && !parameters.force_reinstall).then(|| heal.checks().stage)
}

struct Healing<'a> {
    known: PlanInput<'a>,
    parameters: &'a parameters::Heal,
    /// IDs of the instances to heal.
    scope: HashSet<&'a str>,
}

impl<'a> Healing<'a> {
    fn new(known: &PlanInput<'a>, parameters: &'a parameters::Heal) -> Self {
        let all = &known.deployment.instances;
        let scope = match parameters
            .node_instance_id
            .as_deref()
            .and_then(|id| known.deployment.instance(id))
        {
            None if parameters.node_instance_id.is_some() => HashSet::new(),
            None => all
                .iter()
                .filter(|it| parameters.selection.contains(known.deployment, it))
                .map(|it| it.id.as_str())
                .collect(),
            Some(unhealthy) => subtree(
                all,
                &HashSet::from([unhealthy.host.as_deref().unwrap_or(&unhealthy.id)]),
            ),
        };
        Self {
            known: *known,
            parameters,
            scope,
        }
    }

    /// Returns true if an instance is checked. Instances that were stopped or uninstalled on purpose
    /// are skipped; outdated ones, and those that an update did not create, wait for the next update.
    fn is_checked(&self, instance: &Instance) -> bool {
        let rests = self
            .known
            .record
            .instances
            .get(&instance.id)
            .is_some_and(|known| known.stays_stopped)
            || self.known.record.is_uninstalled(&instance.id)
            || self.known.record.awaits_update(&instance.id);
        self.scope.contains(instance.id.as_str()) && !rests && !self.is_outdated(instance)
    }

    /// Returns true if an instance is outdated and must stay as it was before the update. An
    /// instance that referred to a replaced object and is missing is created from the present
    /// definition instead.
    fn is_outdated(&self, instance: &Instance) -> bool {
        let PlanInput {
            record, observed, ..
        } = self.known;
        let known = record.instances.get(&instance.id);
        let is_waiting = known.is_some_and(|known| {
            known.state == InstanceState::Started
                && known.is_outdated()
                && !known.is_being_replaced()
        });
        let has_former = known.is_some_and(|known| known.former.is_some());
        let object = observed.of_instance(&instance.id);
        // One that lost its namespaces cannot stay as it is.
        is_waiting && (has_former || object.is_some_and(|it| !it.is_cut_off()))
    }

    /// Appends the start of outdated instances that are not running, from their former definitions.
    fn start_outdated(&self, proposal: &mut Proposal) {
        let PlanInput {
            deployment,
            record,
            observed,
            ..
        } = self.known;
        let mut started = HashSet::new();
        for instance in deployment
            .instances
            .iter()
            .filter(|it| self.is_started_in_scope(it) && self.is_outdated(it))
        {
            let former = record
                .instances
                .get(&instance.id)
                .and_then(|known| known.former.as_deref());
            let Some(node) = former.or_else(|| deployment.node(instance)) else {
                continue;
            };
            // A missing object is created from the former definition, not from the one that the
            // update failed to apply.
            let is_gone = self.known.plugins.is_observed(node)
                && self
                    .known
                    .plugins
                    .object_of(node, instance, observed)
                    .is_none();
            let cause = if is_gone {
                "it is missing"
            } else {
                "it is not running"
            };
            if is_gone
                || !self
                    .known
                    .plugins
                    .is_in_desired_state(instance, node, observed)
            {
                let mut chain = Chain::new(self.known, (instance, node), cause, proposal);
                if is_gone {
                    install::append_install(&mut chain, InstanceState::Uninitialized)
                } else {
                    install::append_start(&mut chain)
                }
                chain.end_in(InstanceState::Started, "start");
                started.insert(instance.id.as_str());
            }
        }
        if !started.is_empty() {
            self.order_started(&started, &mut proposal.stage);
        }
    }

    /// Orders the tasks of outdated instances among the others by the dependencies of their former
    /// definitions.
    fn order_started(&self, started: &HashSet<&str>, stage: &mut Stage) {
        let as_created = self.known.record.as_created(self.known.deployment);
        let order = Order::new(&as_created, self.known.plugins);
        let mut graph = TaskGraph::of(stage);
        let ends: HashMap<String, TaskId> = stage
            .ids()
            .map(|id| (stage.task(id).instance.clone(), id))
            .collect();
        for id in stage.ids() {
            let Some(instance) = as_created.instance(&stage.task(id).instance) else {
                continue;
            };
            let is_started = |id: &str| started.contains(id);
            let awaited = |other: &str| {
                let last = ends.get(other).copied();
                let last = last.filter(|_| is_started(&instance.id) || is_started(other))?;
                order.awaited_task(instance, (other, last), stage)
            };
            let dependencies = order.dependencies_of(instance).into_iter();
            for end in dependencies.filter_map(awaited) {
                // Definitions of different updates can depend on each other.
                graph.add_need(id, end);
            }
        }
        stage.rearrange(graph.tasks);
    }

    /// Returns true if an instance is in scope and started: only then can its status be checked.
    fn is_started_in_scope(&self, instance: &Instance) -> bool {
        self.scope.contains(instance.id.as_str())
            && self.known.record.state(&instance.id) == InstanceState::Started
    }

    /// Plans the repair of observed objects.
    fn repair_objects(&self) -> Proposal {
        let PlanInput {
            deployment, record, ..
        } = self.known;
        let chosen: Vec<String> = deployment
            .instances
            .iter()
            .filter(|it| self.is_checked(it))
            .map(|it| it.id.clone())
            .collect();
        if !self.parameters.check_status || !record.is_installed() {
            return Proposal::default();
        }
        let mut proposal = if chosen.is_empty() {
            Proposal::default()
        } else {
            self.repair_chosen(chosen)
        };
        self.start_outdated(&mut proposal);
        proposal
    }

    fn repair_chosen(&self, chosen: Vec<String>) -> Proposal {
        let PlanInput {
            deployment,
            record: _,
            observed,
            ..
        } = self.known;
        let is_unhealthy = |instance: &&Instance| {
            let node = deployment
                .node(instance)
                .filter(|node| self.known.plugins.is_observed(node) && !node.is_adopted());
            let is_up_to_date = node.is_some_and(|node| {
                self.known.plugins.status(self.known.at(instance, node)) == InstanceStatus::UpToDate
            });
            is_up_to_date
                && observed
                    .of_instance(&instance.id)
                    .is_some_and(|object| object.health.as_deref() == Some("unhealthy"))
        };
        let unhealthy = deployment
            .instances
            .iter()
            .filter(|it| self.is_started_in_scope(it))
            .filter(is_unhealthy)
            .map(|it| it.id.clone());
        let renew = if self.parameters.allow_reinstall {
            unhealthy.collect()
        } else {
            HashSet::new()
        };
        install::of(
            &self.known,
            &install::Scope {
                selection: &Selection::of_instances(chosen),
                recreate: renew,
                cause: "it is unhealthy",
                keeps_outdated: self.parameters.keep_outdated,
                ..install::Scope::default()
            },
        )
    }

    fn checks(&self) -> Proposal {
        let mut proposal = Proposal::default();
        if !self.parameters.check_status {
            return proposal;
        }
        let ids = self
            .known
            .deployment
            .instances
            .iter()
            .filter(|it| self.is_started_in_scope(it))
            .map(|it| it.id.clone())
            .collect::<Vec<_>>();
        if ids.is_empty() {
            return proposal;
        }
        let chosen = Selection::of_instances(ids);
        check_status(&self.known, &chosen, false, &mut proposal);
        for id in proposal.stage.ids() {
            proposal.stage.task_mut(id).ignores_failure = true;
        }
        proposal
    }

    /// If the command names an unhealthy instance, returns the instances in scope that nothing can
    /// check. They count as unhealthy.
    fn without_check(&self) -> HashSet<&'a str> {
        let targeted = self.parameters.node_instance_id.is_some() && self.parameters.check_status;
        let unknown = |it: &&Instance| {
            self.known.deployment.node(it).is_some_and(|node| {
                !node.operations.contains_key(CHECK) && !self.known.plugins.is_observed(node)
            })
        };
        let all = self
            .known
            .deployment
            .instances
            .iter()
            .filter(|it| targeted && self.is_started_in_scope(it))
            .filter(unknown);
        all.map(|it| it.id.as_str()).collect()
    }

    /// Returns the instances with a failed operation of one of these names.
    fn failed(&self, operations: &[&str]) -> HashSet<&'a str> {
        let execution = self.known.record.executions.last();
        let failed = execution
            .into_iter()
            .flat_map(|it| &it.failed)
            .filter(|it| operations.contains(&it.operation.as_str()));
        failed
            .filter_map(|failed| self.known.deployment.instance(&failed.instance))
            .map(|it| it.id.as_str())
            .collect()
    }

    /// Plans `heal` for unhealthy instances, in dependency order. Instances that do not declare
    /// `heal` are reinstalled.
    fn heal_unhealthy(&self, unhealthy: &HashSet<&str>) -> Option<Stage> {
        let can_heal = |id: &&&str| {
            let node = self
                .known
                .deployment
                .instance(id)
                .and_then(|it| self.known.deployment.node(it));
            node.is_some_and(|node| node.operations.contains_key(HEAL[1].operation))
        };
        let healed: HashSet<&str> = unhealthy.iter().filter(can_heal).copied().collect();
        let others: HashSet<&str> = unhealthy.difference(&healed).copied().collect();
        if healed.is_empty() || (!others.is_empty() && !self.parameters.allow_reinstall) {
            return self.reinstall(&others);
        }
        let mut proposal = Proposal::default();
        let order = Order::new(self.known.deployment, self.known.plugins);
        let mut last = HashMap::new();
        for instance in order
            .instances()
            .into_iter()
            .filter(|it| healed.contains(it.id.as_str()))
        {
            let Some(node) = self.known.deployment.node(instance) else {
                continue;
            };
            let mut chain = Chain::new(
                self.known,
                (instance, node),
                "it is unhealthy",
                &mut proposal,
            );
            chain.ignores_failure = true;
            chain.is_retried = true;
            chain.after = order
                .dependencies_of(instance)
                .iter()
                .filter_map(|id| last.get(*id).copied())
                .collect();
            chain.phases(&HEAL);
            last.extend(chain.last.map(|task| (instance.id.clone(), task)));
        }
        self.append_reinstall(&others, &mut proposal);
        Some(proposal.stage)
    }

    fn append_reinstall(&self, unhealthy: &HashSet<&str>, proposal: &mut Proposal) {
        let scope = subtree(&self.known.deployment.instances, unhealthy);
        let chosen = |it: &Instance| scope.contains(it.id.as_str());
        if !scope.is_empty() {
            reinstall::append(
                &self.known,
                &chosen,
                self.parameters.ignore_failure,
                "it is unhealthy",
                proposal,
            );
        }
    }

    fn reinstall(&self, unhealthy: &HashSet<&str>) -> Option<Stage> {
        if unhealthy.is_empty() {
            return None;
        }
        if !self.parameters.allow_reinstall {
            return Some(self.reject_reinstall(unhealthy));
        }
        let mut proposal = Proposal::default();
        self.append_reinstall(unhealthy, &mut proposal);
        Some(proposal.stage)
    }

    fn reject_reinstall(&self, unhealthy: &HashSet<&str>) -> Stage {
        let mut proposal = Proposal::default();
        for instance in self
            .known
            .deployment
            .instances
            .iter()
            .filter(|it| unhealthy.contains(it.id.as_str()))
        {
            let Some(node) = self.known.deployment.node(instance) else {
                continue;
            };
            let mut chain = Chain::new(
                self.known,
                (instance, node),
                "it is unhealthy",
                &mut proposal,
            );
            let why = "only a reinstall can heal it, and allow_reinstall is false".to_owned();
            chain.push("heal", Step::refused(why), Retry::default(), None);
        }
        proposal.stage
    }
}

/// Returns the given instances and everything that is contained in them.
fn subtree<'a>(all: &'a [Instance], roots: &HashSet<&str>) -> HashSet<&'a str> {
    let mut contained: HashSet<&str> = HashSet::new();
    // Containing instances come before contained ones.
    for instance in all {
        let is_contained = instance.relationships.iter().any(|relationship| {
            relationship.kind == crate::model::RelationshipKind::ContainedIn
                && contained.contains(relationship.target.as_str())
        });
        if is_contained || roots.contains(instance.id.as_str()) {
            contained.insert(&instance.id);
        }
    }
    contained
}
