//! The tasks of one instance, one after another.

use super::{InstanceState, Proposal, Task, TaskId, Unsupported};
use crate::{
    backend::{self, Observed, Step},
    model::{Definition, Deployment, Instance, Place, Planned, Retry},
    state::{DoneStep, Record},
};

/// A lifecycle operation and the states it leads through.
pub(super) struct Phase {
    /// `interface.operation`.
    pub operation: &'static str,
    pub enters: Option<InstanceState>,
    pub leaves: Option<InstanceState>,
}

/// Appends the tasks of one instance, each after the one before.
pub(super) struct Chain<'a> {
    pub deployment: &'a Deployment,
    pub instance: &'a Instance,
    pub node: &'a Definition,
    pub cause: String,
    /// Steps that the journal says are done, and that still stand.
    pub done: Vec<&'a DoneStep>,
    /// What the next task has to wait for.
    pub after: Vec<TaskId>,
    pub proposal: &'a mut Proposal,
    /// The last task that was appended.
    pub last: Option<TaskId>,
}

/// Steps of an instance that the journal says are done, and that still stand.
pub(super) fn done_of<'r>(instance: &Instance, node: &Definition, record: &'r Record, observed: &Observed) -> Vec<&'r DoneStep> {
    let done = record.instances.get(&instance.id).map(|known| &known.done[..]).unwrap_or_default();
    done.iter().filter(|done| backend::still_done(&done.step, instance, node, observed)).collect()
}

impl Chain<'_> {
    /// Appends the steps of every phase whose operation the node defines.
    pub(super) fn phases(&mut self, phases: &[Phase]) {
        for phase in phases {
            let Some(operation) = self.node.operations.get(phase.operation) else { continue };
            match backend::lower(self.deployment, self.instance, self.node, phase.operation, operation) {
                Some(steps) => self.operation(phase, operation, steps),
                None => self.unsupported(phase.operation, operation),
            }
        }
    }

    fn operation(&mut self, phase: &Phase, operation: &Planned, steps: Vec<Step>) {
        let name = phase.operation.rsplit('.').next().unwrap_or(phase.operation);
        let is_done = |step: &Step| self.done.iter().any(|done| done.operation == name && done.step == *step);
        let steps: Vec<Step> = steps.into_iter().filter(|step| !is_done(step)).collect();
        let last = steps.len().saturating_sub(1);
        for (at, step) in steps.into_iter().enumerate() {
            let id = self.push(name, step, operation.retry, Some(&operation.place));
            let task = self.proposal.stage.task_mut(id);
            task.enters = phase.enters.filter(|_| at == 0);
            task.leaves = phase.leaves.filter(|_| at == last);
        }
    }

    /// Notes the relationship operations of these names, which no back-end runs yet.
    pub(super) fn relationship_operations(&mut self, names: &[&str]) {
        for (name, operation) in self.node.ties.iter().flat_map(|tie| &tie.operations) {
            if names.iter().any(|wanted| name.ends_with(&format!(".{wanted}"))) {
                self.unsupported(name, operation);
            }
        }
    }

    fn unsupported(&mut self, name: &str, operation: &Planned) {
        let unsupported = Unsupported {
            node: self.instance.node.clone(),
            operation: name.to_owned(),
            plugin: operation.plugin.clone(),
            place: operation.place.clone(),
        };
        if !self.proposal.unsupported.contains(&unsupported) {
            self.proposal.unsupported.push(unsupported);
        }
    }

    /// Sees to it that the instance ends in `state`, with a task of its own if nothing else was appended.
    pub(super) fn end_in(&mut self, state: InstanceState, operation: &str) {
        let last = self.last.unwrap_or_else(|| self.push(operation, Step::Nothing, Retry::default(), None));
        self.proposal.stage.task_mut(last).leaves = Some(state);
    }

    fn push(&mut self, operation: &str, step: Step, retry: Retry, asked_at: Option<&Place>) -> TaskId {
        let place = self.place(&step, asked_at);
        let id = self.proposal.stage.push(Task {
            instance: self.instance.id.clone(),
            node: self.instance.node.clone(),
            operation: operation.to_owned(),
            step,
            enters: None,
            leaves: None,
            cause: self.cause.clone(),
            needs: std::mem::take(&mut self.after),
            retry,
            place,
        });
        self.after = vec![id];
        self.last = Some(id);
        id
    }

    /// Where a person mends a failure of the step: the property that it is about, else the operation,
    /// else the node. What stands in a bundled catalog is nothing that the person wrote.
    fn place(&self, step: &Step, asked_at: Option<&Place>) -> Place {
        let property = step.property().and_then(|name| self.node.property_places.get(name));
        let written = |place: &&Place| place.file == self.node.place.file;
        property.into_iter().chain(asked_at).find(written).unwrap_or(&self.node.place).clone()
    }
}
