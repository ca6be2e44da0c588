//! Builds the tasks of one instance, in sequence.

use super::{
    PlanInput, Proposal, Unsupported, exchange::MemberTasks, uninstall, update::Replacing,
};
use crate::{
    instance_record::CompletedStep,
    model::{
        DefinedRelationship, Definition, Instance,
        InstanceState::{self, Starting, Stopped},
        OperationDefinition, RelationshipEnd, RelationshipSide, Retry, SourceLocation,
        defined_relationships,
    },
    plugins::{InstanceRef, RelationshipRef, Replacement},
    seam::{Effect, Labeling, Purpose, Step},
    stage::{Task, TaskId, is_install_operation, is_uninstall_operation},
};

/// A lifecycle operation and the instance states that it sets.
pub(super) struct Phase<'o> {
    /// `interface.operation`.
    pub operation: &'o str,
    pub enters: Option<InstanceState>,
    pub leaves: Option<InstanceState>,
}

/// Appends the tasks of one instance. Each task depends on the one before.
pub(super) struct Chain<'a> {
    pub known: PlanInput<'a>,
    pub instance: &'a Instance,
    pub node: &'a Definition,
    pub cause: String,
    /// Steps that the journal records as completed and that are still in effect.
    pub completed: Vec<&'a CompletedStep>,
    /// Tasks that the next one depends on.
    pub after: Vec<TaskId>,
    pub proposal: &'a mut Proposal,
    /// The last appended task.
    pub last: Option<TaskId>,
    /// Failures are recorded and ignored; later tasks still run.
    pub ignores_failure: bool,
    /// The tasks are retried by their rule before their failure is ignored.
    pub is_retried: bool,
    /// Set while the chain plans a replacement: the created object is the successor of another.
    pub replacing: Option<Replacing<'a>>,
    /// The purpose of the operations.
    pub purpose: Purpose<'a>,
    /// The instance takes part in an exchange.
    pub in_exchange: bool,
    /// The tasks by their part in the exchange.
    pub parts: MemberTasks,
}

/// Returns the steps of an instance that the journal records as completed and that are still in
/// effect.
pub(super) fn completed_steps<'r>(
    known: &PlanInput<'r>,
    instance: &Instance,
    node: &Definition,
) -> Vec<&'r CompletedStep> {
    let done = known
        .record
        .instances
        .get(&instance.id)
        .map(|known| &known.completed_steps[..])
        .unwrap_or_default();
    done.iter()
        .filter(|done| {
            let plugins = known.plugins;
            plugins.effect_exists(&done.step, instance, node, known.observed)
        })
        .collect()
}

impl<'a> Chain<'a> {
    /// Creates a chain without tasks.
    pub(super) fn new(
        known: PlanInput<'a>,
        (instance, node): (&'a Instance, &'a Definition),
        cause: &str,
        proposal: &'a mut Proposal,
    ) -> Self {
        let cause = cause.to_owned();
        Self {
            known,
            instance,
            node,
            cause,
            completed: Vec::new(),
            after: Vec::new(),
            proposal,
            last: None,
            ignores_failure: false,
            is_retried: false,
            replacing: None,
            purpose: Purpose::Ordinary,
            in_exchange: false,
            parts: MemberTasks::default(),
        }
    }

    /// Returns the steps that replace the object created from `former`, if a plugin provides them.
    pub(super) fn replacement(&self, former: &Definition) -> Option<Replacement> {
        let (plugins, part) = (
            self.known.plugins,
            self.known.part(self.instance, self.node),
        );
        let of_former = || {
            let part = InstanceRef {
                node: former,
                ..part
            };
            plugins.replacement(part, former)
        };
        plugins.replacement(part, former).or_else(of_former)
    }

    /// Appends the steps of every phase whose operation the node defines.
    pub(super) fn phases(&mut self, phases: &[Phase<'_>]) {
        for phase in phases {
            let Some(operation) = self.node.operations.get(phase.operation) else {
                continue;
            };
            if is_uninstall_operation(phase.operation) && self.has_nothing_to_undo(operation) {
                continue;
            }
            let purpose = match self.replacing {
                Some(_) => Purpose::Successor,
                None => self.purpose,
            };
            match self.known.plugins.lower(
                self.known.part(self.instance, self.node),
                (phase.operation, operation),
                &purpose,
                &Labeling::Deployment,
            ) {
                Some(steps) => self.operation(phase, operation, steps),
                None => self.unsupported(phase.operation, operation),
            }
        }
    }

    /// Appends the given steps of one operation, except those that are still in effect.
    pub(super) fn operation(
        &mut self,
        phase: &Phase<'_>,
        operation: &OperationDefinition,
        steps: Vec<Step>,
    ) {
        let name = phase
            .operation
            .rsplit('.')
            .next()
            .unwrap_or(phase.operation);
        let is_pending = |step: &Step| !self.is_done(name, step, None);
        let steps: Vec<Step> = steps.into_iter().filter(is_pending).collect();
        let last = steps.len().saturating_sub(1);
        for (at, step) in steps.into_iter().enumerate() {
            if self.replacing.is_some() && step.traits.makes_successor {
                self.append_replacement(name, step, operation);
                continue;
            }
            let id = self.push(name, step, operation.retry, Some(&operation.place));
            // The predecessor still runs, so the state does not change yet.
            let is_replacing = self.replacing.is_some();
            let task = self.proposal.stage.task_mut(id);
            task.state_during = phase.enters.filter(|_| at == 0 && !is_replacing);
            task.state_after = phase.leaves.filter(|_| at == last && !is_replacing);
        }
    }

    /// Appends the creation of the successor, the stop of the predecessor, and the swap. The
    /// predecessor is stopped as late as possible: when the successor only needs its name.
    fn append_replacement(&mut self, name: &str, successor: Step, operation: &OperationDefinition) {
        self.push(name, successor, operation.retry, Some(&operation.place));
        let Some(Replacing {
            former,
            before,
            start_first,
            pause,
        }) = self.replacing.take()
        else {
            return;
        };
        self.after.extend(before);
        let Some(replacement) = self.replacement(former) else {
            return;
        };
        let first = self.proposal.stage.tasks().len();
        let swap = replacement.swap.clone();
        if self.in_exchange {
            self.release(former, replacement);
        } else if !start_first {
            self.stop_predecessor(former, replacement.stop);
        }
        let id = self.push(name, swap, operation.retry, Some(&operation.place));
        self.parts.take = Some(id);
        // From here on, the instance is unproven until the successor is known to work.
        self.proposal.stage.task_mut(id).state_during = Some(Starting);
        self.proposal.stage.task_mut(TaskId(first)).pause = pause;
    }

    /// Appends the stop of the object created from `former`, and makes it give up its name.
    pub(super) fn release(&mut self, former: &'a Definition, replacement: Replacement) {
        self.parts.stop = Some(TaskId(self.proposal.stage.tasks().len()));
        self.stop_predecessor(former, replacement.stop);
        let step = replacement.step_aside;
        let id = self.push("stop", step, Retry::default(), Some(&former.place));
        self.parts.released = Some(id);
    }

    /// Appends the stop of the predecessor. An adopted object is stopped too, not returned to its
    /// original state, because the successor needs its place.
    fn stop_predecessor(&mut self, former: &'a Definition, stop: Step) {
        let node = std::mem::replace(&mut self.node, former);
        let purpose = std::mem::replace(&mut self.purpose, Purpose::Halt);
        let first = self.proposal.stage.tasks().len();
        uninstall::append_stop(self);
        self.purpose = purpose;
        let is_stopped = self.proposal.stage.tasks()[first..]
            .iter()
            .any(|task| task.step.effect() == Effect::Stops);
        if !is_stopped {
            let id = self.push("stop", stop, Retry::default(), Some(&former.place));
            self.proposal.stage.task_mut(id).state_after = Some(Stopped);
        }
        self.node = node;
    }

    /// Appends an operation for all relationships: concurrently for relationships to the same node,
    /// in sequence for different nodes.
    pub(super) fn relationships(&mut self, name: &str, reversed: bool) {
        let mut groups: Vec<Vec<DefinedRelationship<'_>>> = Vec::new();
        for link in defined_relationships(self.instance, self.node) {
            match groups
                .last_mut()
                .filter(|group| group[0].definition.target == link.definition.target)
            {
                Some(group) => group.push(link),
                None => groups.push(vec![link]),
            }
        }
        if reversed {
            groups.reverse();
        }
        for group in groups {
            self.relationship(name, &group);
        }
    }

    /// Appends an operation for some relationships, concurrently for both ends of each.
    pub(super) fn relationship(&mut self, name: &str, links: &[DefinedRelationship<'_>]) {
        let (before, mut ends) = (self.after.clone(), Vec::new());
        for (link, end) in links.iter().flat_map(|link| {
            [
                (link, RelationshipEnd::Source),
                (link, RelationshipEnd::Target),
            ]
        }) {
            let prefix = if end == RelationshipEnd::Source {
                "source"
            } else {
                "target"
            };
            let full_name = format!("{prefix}/cloudify.interfaces.relationship_lifecycle.{name}");
            let Some(operation) = link.definition.operations.get(&full_name) else {
                continue;
            };
            let side = RelationshipSide {
                source: self.instance.id.clone(),
                target: link.relationship.target.clone(),
                end,
            };
            let Some(steps) = self.lower_relationship(&side, (&full_name, operation)) else {
                self.unsupported(&full_name, operation);
                continue;
            };
            self.after.clone_from(&before);
            for step in steps {
                if self.is_done(name, &step, Some(&side)) {
                    continue;
                }
                let id = self.push(name, step, operation.retry, Some(&operation.place));
                self.proposal.stage.task_mut(id).side = Some(side.clone());
            }
            ends.extend(self.after.iter().copied().filter(|id| !before.contains(id)));
        }
        self.after = if ends.is_empty() { before } else { ends };
    }

    fn lower_relationship(
        &self,
        side: &RelationshipSide,
        operation: (&str, &OperationDefinition),
    ) -> Option<Vec<Step>> {
        let PlanInput {
            deployment, record, ..
        } = self.known;
        let part = |instance, node| InstanceRef {
            deployment,
            instance,
            node,
        };
        let present = deployment.instance(&side.target);
        let present = present.and_then(|it| Some(part(it, deployment.node(it)?)));
        let dropped = || {
            let mut dropped = record.dropped.iter();
            let found = dropped.find(|(instance, _)| instance.id == side.target);
            found.map(|(instance, node)| part(instance, node))
        };
        let ends = RelationshipRef {
            source: part(self.instance, self.node),
            target: present.or_else(dropped),
            end: side.end,
        };
        self.known.plugins.lower_relationship(ends, operation)
    }

    /// Returns true if an operation would only undo what other operations of its plugin never did:
    /// they were left out, or the run did not reach them.
    fn has_nothing_to_undo(&self, operation: &OperationDefinition) -> bool {
        let record = self.known.record.instances.get(&self.instance.id);
        let is_left_out = record.is_some_and(|record| !record.left_out.is_empty());
        let plugins = self.known.plugins;
        plugins.undoes_only_own_work(operation, |plugin| {
            let has_worked = record.is_some_and(|record| record.plugins.contains(plugin.id()));
            let of_relationships = self.node.relationships.iter().flat_map(|it| &it.operations);
            let mut all = self.node.operations.iter().chain(of_relationships);
            let has_own = all.any(|(name, it)| {
                is_install_operation(name) && plugin.supports(&it.plugin, &it.operation)
            });
            !has_worked && (is_left_out || has_own)
        })
    }

    /// Returns true if the journal records the step as completed and it is still in effect.
    fn is_done(&self, operation: &str, step: &Step, side: Option<&RelationshipSide>) -> bool {
        self.completed.iter().any(|done| {
            done.operation == operation && done.side.as_ref() == side && done.step == *step
        })
    }

    pub(super) fn unsupported(&mut self, name: &str, operation: &OperationDefinition) {
        let unsupported = Unsupported {
            node: self.instance.node.clone(),
            operation: name.to_owned(),
            plugin: operation.plugin.clone(),
            is_elsewhere: (self.known.plugins).supports(&operation.plugin, &operation.operation),
            place: operation.place.clone(),
        };
        if !self.proposal.unsupported.contains(&unsupported) {
            self.proposal.unsupported.push(unsupported);
        }
        let left_out = &mut self.proposal.stage.left_out;
        let of_instance = left_out.entry(self.instance.id.clone()).or_default();
        of_instance.insert(name.to_owned());
    }

    /// Sets the final state of the instance on its last task. Appends an empty task first if there
    /// is none, or if the chain ends in several tasks.
    pub(super) fn end_in(&mut self, state: InstanceState, operation: &str) {
        let last = self
            .last
            .filter(|_| self.after.len() == 1)
            .unwrap_or_else(|| self.push_empty(operation));
        self.proposal.stage.task_mut(last).state_after = Some(state);
    }

    /// Marks the instance as stopped without a stop operation.
    pub(super) fn mark_stopped(&mut self) {
        let id = self.push_empty("stop");
        self.proposal.stage.task_mut(id).state_after = Some(Stopped);
    }

    fn push_empty(&mut self, operation: &str) -> TaskId {
        self.push(operation, Step::no_action(), Retry::default(), None)
    }

    pub(super) fn push(
        &mut self,
        operation: &str,
        step: Step,
        retry: Retry,
        declared_at: Option<&SourceLocation>,
    ) -> TaskId {
        let place = self.place(&step, declared_at);
        let id = self.proposal.stage.push(Task {
            instance: self.instance.id.clone(),
            node: self.instance.node.clone(),
            operation: operation.to_owned(),
            step,
            state_during: None,
            state_after: None,
            cause: self.cause.clone(),
            needs: std::mem::take(&mut self.after),
            retry,
            place,
            side: None,
            ignores_failure: self.ignores_failure,
            is_retried: self.is_retried,
            matches_definition: false,
            pause: None,
            outdates: Vec::new(),
            in_exchange: false,
        });
        self.after = vec![id];
        self.last = Some(id);
        id
    }

    /// Returns the place in the blueprint where a user can fix a failure of the step: the property,
    /// else the operation, else the node. Skips places in other files, such as bundled catalogs.
    fn place(&self, step: &Step, declared_at: Option<&SourceLocation>) -> SourceLocation {
        let property = step
            .traits
            .property
            .as_ref()
            .and_then(|name| self.node.property_places.get(name));
        let is_in_blueprint = |place: &&SourceLocation| place.file == self.node.place.file;
        property
            .into_iter()
            .chain(declared_at)
            .find(is_in_blueprint)
            .unwrap_or(&self.node.place)
            .clone()
    }
}
