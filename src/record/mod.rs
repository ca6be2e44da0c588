//! The record: the state of a deployment, computed only from its events.

mod execution;
mod function_context;

pub use execution::{Execution, FailedTask};
pub use function_context::FunctionContext;

use crate::{
    event::{Entry, Event, Outcome, StopReason},
    instance_record::{CompletedStep, ForeignObject, InstanceRecord, RollbackScope},
    model::{
        Definition, Deployment, GroupInstance, Instance, InstanceRelationship, InstanceState,
        RelationshipChange, RelationshipEnd, RelationshipKind, function::lookup,
    },
    seam::{Failure, Outputs, Participant, Subject},
    stage::{Parameters, Stage, Task, TaskId, Workflow},
};
use indexmap::{IndexMap, IndexSet};
use serde::{Deserialize, Serialize};
use serde_json::{Map as JsonMap, Value as Json};
use std::{
    borrow::Cow,
    cell::OnceCell,
    collections::{BTreeSet, HashMap, HashSet},
    iter::successors,
    sync::Arc,
};
use thiserror::Error;

/// An event that contradicts the record.
#[derive(Debug, Error)]
#[error("event {event} is not valid {state}")]
pub struct IllegalEvent {
    event: String,
    state: String,
}

/// The state of a task.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskState {
    /// Not tried yet, or interrupted when the execution was cancelled.
    #[default]
    Pending,
    /// The call to the engine has no response yet.
    Started,
    /// Failed; a retry will follow.
    Retrying,
    /// Succeeded.
    Succeeded,
    /// Failed permanently.
    Failed,
    /// Failed permanently; dependent tasks run as if it had succeeded.
    Ignored,
}

impl TaskState {
    /// Returns the state of a task that failed permanently.
    fn failed(is_ignored: bool) -> Self {
        if is_ignored {
            Self::Ignored
        } else {
            Self::Failed
        }
    }
}

/// The progress of a task of the stage.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
struct TaskProgress {
    state: TaskState,
    /// Time of the last attempt, in milliseconds since 1970 UTC.
    since: u64,
    /// The last attempt failed, and its outcome is unknown.
    lost: bool,
}

impl TaskProgress {
    /// Returns true if the task was started and its outcome is unknown.
    fn is_unsettled(&self) -> bool {
        match self.state {
            TaskState::Started => true,
            TaskState::Retrying | TaskState::Failed => self.lost,
            _ => false,
        }
    }
}

/// States from which a task can start.
const STARTABLE: [TaskState; 2] = [TaskState::Pending, TaskState::Retrying];
/// States from which a task can fail permanently.
const UNFINISHED: [TaskState; 3] = [TaskState::Started, TaskState::Pending, TaskState::Retrying];
/// States from which a task can be settled.
const UNSETTLED: [TaskState; 3] = [TaskState::Started, TaskState::Retrying, TaskState::Failed];

/// The recorded state of a deployment.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Record {
    /// The desired state.
    pub deployment: Option<Deployment>,
    /// Instances by ID, including instances of earlier definitions.
    pub instances: IndexMap<String, InstanceRecord>,
    /// Existing instances that the present definition no longer contains.
    pub dropped: Vec<(Instance, Definition)>,
    /// Relationship changes between existing instances whose `establish` or `unlink` operation has
    /// not run yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[serde(rename = "loose_ends")]
    pub relationship_changes: Vec<RelationshipChange>,
    /// IDs of objects that another state directory created and the user took over. Uninstall keeps
    /// them, like kept volumes.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub taken_over: BTreeSet<String>,
    /// Instances by ID when the deployment was freed. Their objects stay.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub freed: IndexMap<String, InstanceRecord>,
    /// Executions, oldest first. Older ones may have been pruned.
    pub executions: Vec<Execution>,
    /// Number of executions, including pruned ones.
    #[serde(rename = "ran")]
    pub execution_count: usize,
    stage: Stage,
    tasks: Vec<TaskProgress>,
    /// Number of leading tasks that are complete. They stay complete and are skipped when looking
    /// for ready tasks.
    #[serde(skip)]
    complete_prefix: usize,
}

impl Record {
    /// Returns true if the record comes only from labels of objects that the user took over.
    #[must_use]
    pub fn is_taken_over(&self) -> bool {
        !self.taken_over.is_empty()
            && self
                .deployment
                .as_ref()
                .is_some_and(|deployment| deployment.recovered)
    }

    /// Applies one event. Live runs, resumed runs and `status` all use this method.
    ///
    /// # Errors
    ///
    /// If the event contradicts the record.
    pub fn apply(&mut self, entry: &Entry) -> Result<(), IllegalEvent> {
        match &entry.event {
            Event::Defined { deployment } => self.define(deployment),
            Event::Recovered {
                deployment,
                instances,
                by_consent,
            } => self.recover(deployment, instances, *by_consent),
            Event::Freed => self.free(),
            Event::ExecutionStarted {
                execution,
                parameters,
                of,
                rolls_back,
                rollback_scope: takes_back,
                ..
            } => self.start(Execution {
                id: execution.clone(),
                parameters: parameters.clone(),
                of: of.clone(),
                started: entry.at,
                rolls_back: *rolls_back,
                rollback_scope: takes_back.clone(),
                before: self.existing_ids(),
                ended: None,
                outcome: None,
                failed: Vec::new(),
                stages: 0,
                tasks: 0,
                done: 0,
                created: Vec::new(),
                stopped: None,
            }),
            Event::StageStarted { stage } => self.start_stage(stage, &entry.event)?,
            Event::StageExtended { tasks } => self.extend(tasks, &entry.event)?,
            Event::TaskNoted { task, outputs } => {
                self.expect(*task, &[TaskState::Started], &entry.event)?;
                let instance = own_instance(self.stage.task(*task));
                apply_outputs(&mut self.instances, instance, outputs);
            }
            Event::TaskStarted { task, .. } => self.task_started(*task, entry)?,
            Event::TaskSucceeded { task, outputs } => {
                self.expect(*task, &[TaskState::Started], &entry.event)?;
                self.task_succeeded(*task, outputs);
            }
            Event::TaskSettled { task, outputs } => {
                self.expect(*task, &UNSETTLED, &entry.event)?;
                self.task_succeeded(*task, outputs);
            }
            Event::TaskFailed {
                task,
                failure,
                retry_in: Some(_),
                ..
            } => {
                self.expect(*task, &[TaskState::Started], &entry.event)?;
                self.fail(*task, TaskState::Retrying, failure);
            }
            Event::TaskFailed {
                task,
                failure,
                retry_in: None,
                ignored,
            } => {
                // A failure whose outcome was lost is settled by the failure itself.
                let is_settled = self
                    .tasks
                    .get(task.0)
                    .is_some_and(TaskProgress::is_unsettled);
                if !is_settled {
                    self.expect(*task, &UNFINISHED, &entry.event)?;
                }
                self.task_failed(*task, failure, *ignored);
            }
            Event::TaskInterrupted { task } => {
                self.expect(*task, &UNSETTLED, &entry.event)?;
                self.set_task_state(*task, TaskState::Pending);
            }
            Event::CancelRequested { why } => self
                .running_mut()
                .into_iter()
                .for_each(|execution| execution.stopped = Some(*why)),
            Event::ExecutionFinished { outcome } => self.finish(*outcome, entry)?,
        }
        Ok(())
    }

    fn define(&mut self, deployment: &Deployment) {
        let mut former: HashMap<String, (Definition, Vec<InstanceRelationship>)> = HashMap::new();
        if let Some(old) = self.deployment.take() {
            let changed = |(name, node): &(&String, &Arc<Definition>)| {
                deployment
                    .nodes
                    .get(*name)
                    .is_some_and(|new| !node.is_equivalent(new))
            };
            let nodes: HashMap<&String, &Arc<Definition>> =
                old.nodes.iter().filter(changed).collect();
            let of = |instance: &Instance| {
                Some((
                    instance.id.clone(),
                    (
                        Definition::clone(nodes.get(&instance.node)?),
                        instance.relationships.clone(),
                    ),
                ))
            };
            // Labels do not contain the definition that an object was created from.
            former = old
                .instances
                .iter()
                .filter(|_| !old.recovered)
                .filter_map(of)
                .collect();
            // Without a journal, labels report kept volumes at every run. A kept volume that the
            // new definition does not contain is not a change.
            let is_kept_volume = |instance: &Instance| {
                let known = self.instances.get(&instance.id);
                old.recovered && known.is_some_and(|known| known.is_kept)
            };
            let is_gone = |instance: &&Instance| deployment.instance(&instance.id).is_none();
            let (kept, gone): (Vec<&Instance>, Vec<&Instance>) = old
                .instances
                .iter()
                .filter(is_gone)
                .partition(|it| is_kept_volume(it));
            self.instances
                .retain(|id, _| !kept.iter().any(|instance| instance.id == *id));
            let as_created = |instance: &Instance| {
                Some((
                    instance.clone(),
                    self.object_definition(instance, old.node(instance)?)
                        .clone(),
                ))
            };
            let left: Vec<(Instance, Definition)> =
                gone.into_iter().filter_map(as_created).collect();
            self.dropped.extend(left);
            self.add_relationship_changes(old.relationship_changes(deployment));
        }
        let instances = &self.instances;
        self.dropped.retain(|(instance, _)| {
            instances
                .get(&instance.id)
                .is_some_and(|record| !record.state.is_gone())
        });
        self.instances
            .retain(|id, record| !record.state.is_gone() || deployment.instance(id).is_some());
        for instance in &deployment.instances {
            let known = self.instances.entry(instance.id.clone()).or_default();
            let (Some((old, ties)), Some(new)) =
                (former.remove(&instance.id), deployment.node(instance))
            else {
                continue;
            };
            let (first, ties) = match known.former.take() {
                Some(first) => (first, std::mem::take(&mut known.former_relationships)),
                None => (Box::new(old), ties),
            };
            let is_other = !known.state.is_gone() && !first.is_equivalent(new);
            (known.former, known.former_relationships) = if is_other {
                (Some(first), ties)
            } else {
                (None, Vec::new())
            };
        }
        self.deployment = Some(deployment.clone());
        self.drop_obsolete_changes();
    }

    /// Adds relationship changes. Adding and removing the same relationship cancel each other.
    fn add_relationship_changes(&mut self, ends: Vec<RelationshipChange>) {
        let changes = &mut self.relationship_changes;
        for end in ends {
            match changes
                .iter()
                .position(|known| known.is_same_relationship(&end))
            {
                Some(at) if changes[at].is_new != end.is_new => drop(changes.remove(at)),
                Some(_) => {}
                None => changes.push(end),
            }
        }
    }

    /// Drops relationship changes whose source is gone or no longer defined, and removals whose
    /// target is gone.
    fn drop_obsolete_changes(&mut self) {
        let (instances, deployment) = (&self.instances, self.deployment.as_ref());
        let is_gone = |id: &str| instances.get(id).is_none_or(|it| it.state.is_gone());
        let stays = |id: &str| deployment.is_some_and(|it| it.instance(id).is_some());
        let is_relevant = |end: &RelationshipChange| {
            let has_target = end.is_new || !is_gone(&end.relationship.target);
            !is_gone(&end.source) && stays(&end.source) && has_target
        };
        self.relationship_changes.retain(is_relevant);
    }

    /// Merges instances recovered from labels into the record. Installed instances stay.
    fn recover(
        &mut self,
        deployment: &Deployment,
        instances: &IndexMap<String, InstanceRecord>,
        by_consent: bool,
    ) {
        if !self.is_installed() {
            let (ran, taken_over) = (self.execution_count, std::mem::take(&mut self.taken_over));
            *self = Self {
                taken_over,
                execution_count: ran,
                ..Self::default()
            };
        }
        self.deployment = Some(deployment.clone());
        self.instances.extend(instances.clone());
        let is_dropped = |id: &str| self.dropped.iter().any(|(instance, _)| instance.id == id);
        self.instances
            .retain(|id, _| deployment.instance(id).is_some() || is_dropped(id));
        if by_consent {
            self.taken_over
                .extend(instances.values().flat_map(InstanceRecord::object_ids));
        }
    }

    /// Forgets all objects, except as freed ones.
    fn free(&mut self) {
        let instances = std::mem::take(&mut self.instances);
        self.dropped.clear();
        self.relationship_changes.clear();
        self.freed = instances;
    }

    /// Returns true if the deployment was freed and not installed again.
    #[must_use]
    pub fn is_freed(&self) -> bool {
        !self.freed.is_empty() && !self.is_installed()
    }

    /// Returns the objects that were taken over and that dockctl did not create.
    pub fn foreign_objects(&self) -> impl Iterator<Item = &ForeignObject> {
        let instances = self.instances.values();
        instances.filter_map(|instance| instance.foreign.as_ref())
    }

    fn start(&mut self, execution: Execution) {
        self.execution_count += 1;
        self.executions.push(execution);
        self.begin_stage(Stage::default());
    }

    /// Returns the IDs of the instances that exist.
    fn existing_ids(&self) -> Vec<String> {
        let exists = |(_, instance): &(&String, &InstanceRecord)| !instance.state.is_gone();
        let existing = self.instances.iter().filter(exists);
        existing.map(|(id, _)| id.clone()).collect()
    }

    /// Starts a stage.
    fn begin_stage(&mut self, stage: Stage) {
        self.complete_prefix = 0;
        self.tasks = vec![TaskProgress::default(); stage.tasks().len()];
        self.stage = stage;
    }

    fn start_stage(&mut self, stage: &Stage, event: &Event) -> Result<(), IllegalEvent> {
        let needs_later = |id: TaskId| stage.task(id).needs.iter().any(|need| need.0 >= id.0);
        if stage.ids().any(needs_later) {
            return Err(illegal(event, "with a task that depends on a later one"));
        }
        let execution = self.execution_of(event)?;
        execution.tasks += stage.tasks().len();
        execution.stages += usize::from(stage.restores.is_none());
        let heals = execution.workflow() == Workflow::Heal && stage.restores.is_none();
        for failed in &mut execution.failed {
            let works_on_it = || {
                stage
                    .tasks()
                    .iter()
                    .any(|it| it.instance == failed.instance)
            };
            failed.tried_again |= stage.is_retry || (heals && failed.ignored && works_on_it());
        }
        if stage.restores.is_none() {
            let instances = self.instances.values_mut();
            instances.for_each(|instance| instance.exchange = None);
        }
        self.mark_uninstalled();
        let created = stage.tasks().iter();
        for task in created.filter(|it| it.state_after == Some(InstanceState::Started)) {
            if let Some(known) = self.instances.get_mut(&task.instance) {
                known.stays_deleted = false;
            }
        }
        for (instance, operations) in &stage.left_out {
            let instance = self.instances.entry(instance.clone()).or_default();
            instance.left_out.extend(operations.iter().cloned());
        }
        self.begin_stage(stage.clone());
        Ok(())
    }

    /// Notes that instances which are already deleted are to stay so.
    fn mark_uninstalled(&mut self) {
        let execution = self.executions.last();
        let Some(Parameters::Uninstall(uninstall)) = execution.map(|it| &*it.parameters) else {
            return;
        };
        let selection = uninstall.selection.clone();
        let deployment = self.deployment.as_ref();
        for instance in deployment.iter().flat_map(|it| &it.instances) {
            let is_selected = deployment.is_some_and(|it| selection.contains(it, instance));
            let known = self.instances.get_mut(&instance.id);
            if let Some(known) = known.filter(|_| is_selected) {
                known.stays_deleted |= known.state == InstanceState::Deleted;
            }
        }
    }

    /// Adds tasks that were planned after the stage began.
    fn extend(&mut self, tasks: &[Task], event: &Event) -> Result<(), IllegalEvent> {
        self.execution_of(event)?.tasks += tasks.len();
        tasks.iter().try_for_each(|task| self.add(task, event))
    }

    fn add(&mut self, task: &Task, event: &Event) -> Result<(), IllegalEvent> {
        if task.needs.iter().any(|need| need.0 >= self.tasks.len()) {
            return Err(illegal(event, "with a task that depends on a later one"));
        }
        self.stage.push(task.clone());
        self.tasks.push(TaskProgress::default());
        Ok(())
    }

    fn task_started(&mut self, task: TaskId, entry: &Entry) -> Result<(), IllegalEvent> {
        self.expect(task, &STARTABLE, &entry.event)?;
        self.set_task_state(task, TaskState::Started);
        self.tasks[task.0].since = entry.at;
        if let Some(enters) = self.stage.task(task).state_during {
            self.enter(task, enters);
        }
        let Task { instance, step, .. } = self.stage.task(task);
        if let Some(instance) = self.instances.get_mut(instance) {
            instance.record_plugin(step);
        }
        self.join_exchange(task);
        Ok(())
    }

    /// Notes that an instance is stopped for an exchange, or gets something in it.
    fn join_exchange(&mut self, task: TaskId) {
        let Task {
            instance,
            in_exchange,
            ..
        } = self.stage.task(task);
        let exchange = self.stage.exchange_of(instance).filter(|_| *in_exchange);
        if let Some(exchange) = exchange {
            let known = self.instances.entry(instance.clone()).or_default();
            known.exchange = Some(exchange.part_of(instance));
        }
    }

    /// Marks all instances of an exchange as up to date when the last of its takers works.
    fn complete_exchange(&mut self, task: TaskId) {
        let known = self.instances.get(&self.stage.task(task).instance);
        let is_complete =
            |it: &&InstanceRecord| it.has_exchanged() && !self.is_in_open_exchange(it);
        let part = known.filter(is_complete).and_then(|it| it.exchange.clone());
        for taker in part.into_iter().flat_map(|it| it.takers) {
            let known = self.instances.get_mut(&taker);
            known.into_iter().for_each(InstanceRecord::mark_up_to_date);
        }
    }

    /// Returns true if an instance takes part in an exchange and some of its takers do not work yet.
    #[must_use]
    pub fn is_in_open_exchange(&self, known: &InstanceRecord) -> bool {
        let works = |id: &String| {
            let taker = self.instances.get(id);
            taker.is_some_and(InstanceRecord::has_exchanged)
        };
        let part = known.exchange.as_ref();
        part.is_some_and(|part| !part.takers.iter().all(works))
    }

    /// Sets the instance's state at the start of a task.
    fn enter(&mut self, task: TaskId, state: InstanceState) {
        let id = self.stage.task(task).instance.clone();
        let instance = self.instances.entry(id.clone()).or_default();
        let is_new = instance.state.is_gone() && !state.is_down();
        instance.begin_transition(state);
        if is_new {
            self.record_created(id);
        }
    }

    /// Notes that the current execution began to create an instance.
    fn record_created(&mut self, id: String) {
        let running = self.running_mut();
        if let Some(execution) = running.filter(|it| !it.before.contains(&id)) {
            execution.created.push(id);
        }
    }

    fn task_succeeded(&mut self, task: TaskId, outputs: &Outputs) {
        self.set_task_state(task, TaskState::Succeeded);
        self.mark_stale(task);
        record_step(&mut self.instances, self.stage.task(task), outputs);
        self.leave(task);
        self.unmark_stale(task);
        self.complete_exchange(task);
        if let Some(execution) = self.executions.last_mut() {
            execution.done += 1;
        }
    }

    /// Marks the instances as outdated that depend on a recreated object. The record still has the
    /// object that they refer to.
    fn mark_stale(&mut self, task: TaskId) {
        let task = self.stage.task(task);
        let replaced = self.instances.get(&task.instance);
        let replaced = replaced.and_then(InstanceRecord::replaced_object_id);
        // An object that was removed has no ID, and cannot come back.
        let replaced = replaced.unwrap_or_default().to_owned();
        for id in &task.outdates {
            let known = self.instances.get_mut(id);
            if let Some(known) = known.filter(|known| !known.state.is_gone()) {
                known.mark_stale(&task.instance, &replaced);
            }
        }
    }

    /// Notes that an instance has its predecessor again: objects that refer to it are not outdated
    /// by its replacement. A task that failed, also one whose failure is ignored, restores nothing.
    fn unmark_stale(&mut self, task: TaskId) {
        let planned = self.stage.task(task);
        let is_put_back = self.stage.restores.is_some()
            && planned.state_after == Some(InstanceState::Started)
            && !planned.matches_definition;
        let instance = &planned.instance.clone();
        let restored = self.instances.get(instance).filter(|_| is_put_back);
        let Some(restored) = restored.and_then(InstanceRecord::object_id) else {
            return;
        };
        let restored = restored.to_owned();
        for known in self.instances.values_mut() {
            known.unmark_stale(instance, &restored);
        }
    }

    /// Sets the instance's state after a task.
    fn leave(&mut self, task: TaskId) {
        let workflow = self.executions.last().map(Execution::workflow);
        let planned = self.stage.task(task);
        let instance = self.instances.entry(planned.instance.clone()).or_default();
        instance.complete_transition(planned.state_after, workflow);
        let is_restored = self.stage.restores.is_some();
        record_definition(instance, planned, is_restored);
        if is_restored && planned.state_after == Some(InstanceState::Started) {
            instance.exchange = None;
        }
        if instance.state == InstanceState::Deleted {
            self.dropped.retain(|(it, _)| it.id != planned.instance);
        }
    }

    fn task_failed(&mut self, task: TaskId, failure: &Failure, ignored: bool) {
        self.fail(task, TaskState::failed(ignored), failure);
        let failed = FailedTask::of(self.stage.task(task), failure, ignored);
        self.record_failed(failed);
        if ignored && !self.must_be_removed(task) {
            self.leave(task);
        }
    }

    /// Returns true if a task removes a new object to undo an exchange. If that fails, the object
    /// still has the resources, and the next execution removes it.
    fn must_be_removed(&self, task: TaskId) -> bool {
        let ends_gone = self.stage.task(task).state_after;
        self.stage.restores.is_some() && ends_gone.is_some_and(InstanceState::is_gone)
    }

    fn record_failed(&mut self, failed: FailedTask) {
        // A later attempt repeats the operation from its first step.
        if let Some(known) = self.instances.get_mut(&failed.instance) {
            known
                .completed_steps
                .retain(|done| done.operation != failed.operation);
        }
        if let Some(execution) = self.running_mut() {
            execution.failed.push(failed);
        }
    }

    fn fail(&mut self, task: TaskId, to: TaskState, failure: &Failure) {
        self.set_task_state(task, to);
        self.tasks[task.0].lost = failure.is_lost();
    }

    fn set_task_state(&mut self, task: TaskId, to: TaskState) {
        self.tasks[task.0].state = to;
        while self.complete_prefix < self.tasks.len()
            && self.is_task_complete(TaskId(self.complete_prefix))
        {
            self.complete_prefix += 1;
        }
    }

    fn expect(&self, task: TaskId, from: &[TaskState], event: &Event) -> Result<(), IllegalEvent> {
        match self.tasks.get(task.0) {
            Some(progress) if from.contains(&progress.state) => Ok(()),
            Some(progress) => Err(illegal(
                event,
                &format!("for a task in state {:?}", progress.state),
            )),
            None => Err(illegal(event, "for a task outside the stage")),
        }
    }

    fn finish(&mut self, outcome: Outcome, entry: &Entry) -> Result<(), IllegalEvent> {
        let execution = self.execution_of(&entry.event)?;
        execution.outcome = Some(outcome);
        execution.ended = Some(entry.at);
        if outcome == Outcome::Terminated {
            self.mark_up_to_date();
        }
        self.drop_obsolete_changes();
        Ok(())
    }

    /// Marks instances as up to date after an execution that applied the present definition.
    fn mark_up_to_date(&mut self) {
        let last = self.executions.last();
        match last.map(|last| &*last.parameters) {
            Some(Parameters::Install(parameters)) if parameters.selection.is_all() => {
                self.mark_all_up_to_date()
            }
            Some(Parameters::Update(_)) => self.mark_all_up_to_date(),
            Some(Parameters::Scale(parameters)) => {
                drop_new_changes(&mut self.relationship_changes, &parameters.added)
            }
            _ => {}
        }
    }

    fn mark_all_up_to_date(&mut self) {
        self.relationship_changes.clear();
        let instances = self.instances.values_mut();
        instances.for_each(InstanceRecord::mark_up_to_date);
    }

    /// Returns the execution that an event belongs to.
    fn execution_of(&mut self, event: &Event) -> Result<&mut Execution, IllegalEvent> {
        let running = self.running_mut();
        running.ok_or_else(|| illegal(event, "outside an execution"))
    }

    fn running_mut(&mut self) -> Option<&mut Execution> {
        self.executions
            .last_mut()
            .filter(|execution| execution.outcome.is_none())
    }

    /// Drops past executions; their effects on the record stay.
    pub fn drop_executions(&mut self) {
        self.executions.clear();
        self.begin_stage(Stage::default());
    }

    /// Returns the IDs of all objects of all instances.
    #[must_use]
    pub fn object_ids(&self) -> HashSet<String> {
        let ids = self.instances.values().flat_map(InstanceRecord::object_ids);
        ids.collect()
    }

    /// Returns the running execution, or the one that was running when its process died.
    #[must_use]
    pub fn running(&self) -> Option<&Execution> {
        self.executions
            .last()
            .filter(|execution| execution.outcome.is_none())
    }

    /// Returns the state of an instance.
    #[must_use]
    pub fn state(&self, instance: &str) -> InstanceState {
        self.instances
            .get(instance)
            .map_or(InstanceState::Uninitialized, |record| record.state)
    }

    /// Returns the runtime properties of an instance.
    #[must_use]
    pub fn properties(&self, instance: &str) -> Option<&JsonMap<String, Json>> {
        self.instances
            .get(instance)
            .map(|record| &record.properties)
    }

    /// Returns the definition that the object of an instance was created from: the node's
    /// definition, or the former one if an update did not reach the instance.
    #[must_use]
    pub fn object_definition<'r>(
        &'r self,
        instance: &Instance,
        node: &'r Definition,
    ) -> &'r Definition {
        self.instances
            .get(&instance.id)
            .and_then(|known| known.former.as_deref())
            .unwrap_or(node)
    }

    /// Returns the deployment as its objects were created: with the former definitions and
    /// relationships of instances that an update did not reach. If an update missed only some
    /// instances of a node, the former definition counts for the whole node.
    #[must_use]
    pub fn as_created<'d>(&self, deployment: &'d Deployment) -> Cow<'d, Deployment> {
        let mut made = Cow::Borrowed(deployment);
        for (at, instance) in deployment.instances.iter().enumerate() {
            if let Some((node, relationships)) = self.former_definition(instance) {
                restore_former(made.to_mut(), at, node, relationships);
            }
        }
        made
    }

    /// Returns the former definition and relationships of an instance that an update did not reach.
    fn former_definition(
        &self,
        instance: &Instance,
    ) -> Option<(&Definition, &[InstanceRelationship])> {
        let known = self.instances.get(&instance.id)?;
        Some((
            known.former.as_deref()?,
            known.former_relationships.as_slice(),
        ))
    }

    /// Returns true if a user uninstalled the instance, and no later execution planned to create it.
    #[must_use]
    pub fn is_uninstalled(&self, id: &str) -> bool {
        let known = self.instances.get(id);
        known.is_some_and(|known| known.stays_deleted)
    }

    /// Returns the current stage.
    #[must_use]
    pub fn stage(&self) -> &Stage {
        &self.stage
    }

    /// Returns the ID of an instance that an unknown plugin worked on, and the plugin's ID.
    #[must_use]
    pub fn unknown_plugin(&self, is_known: impl Fn(&str) -> bool) -> Option<(&str, &str)> {
        let exists = self.instances.iter();
        let done = exists.flat_map(|(id, known)| known.plugins.iter().map(move |it| (id, it)));
        let planned = self.stage.tasks().iter();
        let open = planned.filter(|_| self.running().is_some());
        let open = open.map(|task| (&task.instance, &task.step.plugin));
        done.chain(open)
            .find(|(_, plugin)| !plugin.is_empty() && !is_known(plugin))
            .map(|(id, plugin)| (id.as_str(), plugin.as_str()))
    }

    /// Returns the state of a task.
    #[must_use]
    pub fn task_state(&self, id: TaskId) -> TaskState {
        self.tasks[id.0].state
    }

    /// Returns the tasks that an earlier run started and whose outcome is unknown, each with the
    /// time of its last attempt.
    pub fn unsettled(&self) -> impl Iterator<Item = (TaskId, u64)> + '_ {
        let tasks = self.stage.ids().zip(&self.tasks);
        let unsettled = tasks.filter(|(_, progress)| progress.is_unsettled());
        unsettled.map(|(id, progress)| (id, progress.since))
    }

    /// Returns true if the last attempt of a task failed and its outcome is unknown.
    #[must_use]
    pub fn is_outcome_lost(&self, id: TaskId) -> bool {
        self.tasks[id.0].lost
    }

    /// Returns the time of a task's last attempt, in milliseconds since 1970 UTC.
    #[must_use]
    pub fn last_attempt_at(&self, id: TaskId) -> u64 {
        self.tasks[id.0].since
    }

    /// Returns true if any instance of the deployment exists, according to the record.
    #[must_use]
    pub fn is_installed(&self) -> bool {
        self.instances
            .values()
            .any(|instance| !instance.state.is_gone())
    }

    /// Returns true if every instance of the present definition is started, or was stopped on
    /// request, and no instance of an earlier definition is left.
    #[must_use]
    pub fn is_deployment_complete(&self) -> bool {
        let is_up = |instance: &Instance| {
            let known = self.instances.get(&instance.id);
            known.is_some_and(|known| known.state == InstanceState::Started || known.stays_stopped)
        };
        let deployment = self.deployment.as_ref();
        self.dropped.is_empty() && deployment.is_some_and(|it| it.instances.iter().all(is_up))
    }

    /// Returns true if an instance or a relationship does not match the present definition yet,
    /// because an update did not finish.
    #[must_use]
    pub fn has_outdated(&self) -> bool {
        !self.relationship_changes.is_empty()
            || self.instances.values().any(InstanceRecord::is_outdated)
    }

    /// Returns true if an instance does not exist and an update that did not succeed would create it.
    /// Only an update does so: instances that it has not reached may still have its resources.
    #[must_use]
    pub fn awaits_update(&self, id: &str) -> bool {
        // What refers to a replaced object was not necessarily left by an update.
        let is_former = |known: &InstanceRecord| known.former.is_some();
        let is_unfinished = !self.relationship_changes.is_empty()
            || !self.dropped.is_empty()
            || self.instances.values().any(is_former);
        is_unfinished && self.state(id).is_gone()
    }

    /// Returns the instances and executions that a rollback of a failed execution covers. They
    /// include the executions that it resumed if those died, were stopped, or were themselves to be
    /// rolled back.
    #[must_use]
    pub fn rollback_scope(&self, failed: &str) -> RollbackScope {
        let takes_back = |it: &&Execution| {
            it.workflow() == Workflow::Rollback && it.of.as_deref() == Some(failed)
        };
        let rollback = self.executions.iter().rev().find(takes_back);
        rollback.map_or_else(
            || self.created_by(failed),
            |rollback| rollback.rollback_scope.clone(),
        )
    }

    /// Returns the created instances of an execution and of all executions that are rolled back
    /// with it.
    fn created_by(&self, id: &str) -> RollbackScope {
        let mut taken = RollbackScope::default();
        let mut next = self.execution(id);
        while let Some(execution) = next {
            taken.instances.extend(execution.created.iter().cloned());
            taken.executions.push(execution.id.clone());
            next = self.rolled_back_with(execution, &taken.executions);
        }
        taken
    }

    /// Returns the execution that this one resumed, if it is rolled back too and is not in `taken`
    /// yet.
    fn rolled_back_with(&self, execution: &Execution, taken: &[String]) -> Option<&Execution> {
        let before = self.execution(execution.of.as_deref()?)?;
        let is_taken_back = before.is_rolled_back_with_next() && !taken.contains(&before.id);
        is_taken_back.then_some(before)
    }

    fn execution(&self, id: &str) -> Option<&Execution> {
        self.executions.iter().find(|it| it.id == id)
    }

    /// Returns the reason why the execution was stopped, if it was.
    #[must_use]
    pub fn stop_reason(&self) -> Option<StopReason> {
        self.executions
            .last()
            .and_then(|execution| execution.stopped)
    }

    /// Returns true if tasks of the stage may still start: a stopped execution starts only tasks
    /// that restore.
    #[must_use]
    pub fn may_start_tasks(&self) -> bool {
        self.stop_reason().is_none() || self.stage.restores.is_some()
    }

    /// Returns the tasks that may start now, in the order of the stage.
    pub fn ready(&self) -> impl Iterator<Item = TaskId> + '_ {
        let awaits_images = OnceCell::new();
        let waits = move |id: TaskId| {
            self.stage.task(id).step.stops_object()
                && *awaits_images.get_or_init(|| self.awaits_images())
        };
        let left = self.stage.ids().skip(self.complete_prefix);
        left.filter(move |id| self.may_start_tasks() && self.is_open(*id) && !waits(*id))
    }

    /// Returns true if a task was not tried yet and all tasks that it depends on are complete.
    fn is_open(&self, id: TaskId) -> bool {
        let mut needs = self.stage.task(id).needs.iter();
        self.task_state(id) == TaskState::Pending && needs.all(|need| self.is_task_complete(*need))
    }

    /// Returns true if images are still to be pulled or built before anything is stopped. Until
    /// they are available or have failed, no task may stop anything. Stages that restore do not
    /// wait.
    fn awaits_images(&self) -> bool {
        if self.stage.restores.is_some() {
            return false;
        }
        let blocked = self.blocked_from_preparing();
        let may_prepare = |id: &TaskId| !blocked[id.0] && !self.is_task_complete(*id);
        let mut preparing = self.stage.ids().filter(may_prepare);
        preparing.any(|id| self.stage.task(id).step.provides_material())
    }

    /// Returns, for each task of the stage, whether it or a task that it depends on stops something
    /// or has failed.
    fn blocked_from_preparing(&self) -> Vec<bool> {
        let mut blocked: Vec<bool> = Vec::with_capacity(self.stage.tasks().len());
        for id in self.stage.ids() {
            let Task { needs, step, .. } = self.stage.task(id);
            let is_cause = step.stops_object() || self.task_state(id) == TaskState::Failed;
            let is_blocked =
                is_cause || needs.iter().any(|need| blocked.get(need.0) == Some(&true));
            blocked.push(is_blocked);
        }
        blocked
    }

    /// Returns true if dependent tasks may run.
    fn is_task_complete(&self, id: TaskId) -> bool {
        matches!(
            self.task_state(id),
            TaskState::Succeeded | TaskState::Ignored
        )
    }

    /// Returns the outcome of the running execution if it ended now.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        let failed = self.running().is_some_and(Execution::has_failed);
        // Restoring completes the stage, but not the work of the execution.
        let is_whole = self.stop_reason().is_none() || self.stage.restores.is_none();
        match self.stop_reason() {
            _ if self.is_stage_complete() && is_whole && !failed => Outcome::Terminated,
            Some(StopReason::Asked) if !failed => Outcome::Cancelled,
            _ => Outcome::Failed,
        }
    }

    /// Returns the current state of the instances that a task works on.
    #[must_use]
    pub fn subject(&self, task: &Task) -> Subject {
        match &task.side {
            None => Subject::Instance(self.participant(&task.instance, &task.node)),
            Some(side) => Subject::Relationship {
                source: self.participant(&side.source, &task.node),
                target: self.participant(&side.target, &task.node),
                end: side.end,
            },
        }
    }

    /// Returns the instances that are targets of the subject's relationships.
    #[must_use]
    pub fn related_to(&self, subject: &Subject) -> Vec<Participant> {
        let ends = match subject {
            Subject::Instance(own) => vec![own],
            Subject::Relationship { source, target, .. } => vec![source, target],
        };
        let ties = ends.iter().flat_map(|end| &end.instance.relationships);
        let ids: IndexSet<&str> = ties
            .map(|relationship| relationship.target.as_str())
            .collect();
        ids.into_iter().map(|id| self.participant(id, "")).collect()
    }

    /// Returns the current state of an instance with the definition that its object was created
    /// from. Of an unknown instance only the names are set.
    fn participant(&self, id: &str, node: &str) -> Participant {
        let dropped = self.dropped.iter().find(|(instance, _)| instance.id == id);
        let dropped = dropped.map(|(instance, node)| (instance, Arc::new(node.clone())));
        let known = self.deployment.as_ref().and_then(|deployment| {
            let instance = deployment.instance(id)?;
            Some((instance, self.node_of(instance, deployment)?))
        });
        let (instance, node) = known.or(dropped).map_or_else(
            || (Instance::placeholder(id, node), Arc::default()),
            |(instance, node)| (instance.clone(), node),
        );
        Participant {
            instance,
            node,
            properties: self.properties(id).cloned().unwrap_or_default(),
        }
    }

    fn node_of(&self, instance: &Instance, deployment: &Deployment) -> Option<Arc<Definition>> {
        let former = self.instances.get(&instance.id)?.former.as_deref();
        let former = former.map(|node| Arc::new(node.clone()));
        former.or_else(|| deployment.nodes.get(&instance.node).cloned())
    }

    /// Returns the number of tasks of the stage that are over, whether they succeeded or failed.
    #[must_use]
    pub fn ended_count(&self) -> usize {
        let ended =
            |id: &TaskId| self.is_task_complete(*id) || self.task_state(*id) == TaskState::Failed;
        self.stage.ids().filter(ended).count()
    }

    /// Returns true if every task of the stage is complete.
    #[must_use]
    pub fn is_stage_complete(&self) -> bool {
        self.stage.ids().all(|id| self.is_task_complete(id))
    }

    /// Returns the value of `get_attribute`: a runtime property, the ID or index of the instance, a
    /// property of its node, or null.
    ///
    /// # Errors
    ///
    /// If the target matches no instance, or several and no relationship selects one of them.
    pub fn attribute(&self, me: Option<&str>, target: &str, path: &[Json]) -> Result<Json, String> {
        let instance = self.resolve(me, target)?;
        Ok(self.attribute_of(instance, path))
    }

    fn attribute_of(&self, instance: &Instance, path: &[Json]) -> Json {
        let properties = Json::Object(self.properties(&instance.id).cloned().unwrap_or_default());
        let found = lookup(&properties, path).filter(|found| !found.is_null());
        let found = found.cloned();
        found.unwrap_or_else(|| self.builtin_attribute(instance, path))
    }

    /// Returns an attribute that an instance has from the start.
    fn builtin_attribute(&self, instance: &Instance, path: &[Json]) -> Json {
        match path {
            [Json::String(name)] if name == "node_instance_id" => instance.id.clone().into(),
            [Json::String(name)] if name == "node_instance_index" => instance.index.into(),
            _ => self.node_property(instance, path),
        }
    }

    /// Returns a property of the instance's node, or null.
    fn node_property(&self, instance: &Instance, path: &[Json]) -> Json {
        let node = self.definition(instance);
        let properties = node.map(|node| Json::Object(node.properties.clone()));
        let properties = properties.unwrap_or_default();
        lookup(&properties, path).cloned().unwrap_or_default()
    }

    /// Returns the instances of the present definition, then those that are no longer in it.
    fn all_instances(&self) -> impl Iterator<Item = &Instance> {
        let present = self
            .deployment
            .iter()
            .flat_map(|deployment| &deployment.instances);
        present.chain(self.dropped.iter().map(|(instance, _)| instance))
    }

    fn definition(&self, instance: &Instance) -> Option<&Definition> {
        let is_it = |(dropped, _): &&(Instance, Definition)| dropped.id == instance.id;
        let dropped = || self.dropped.iter().find(is_it).map(|(_, node)| node);
        let has_it = |deployment: &&Deployment| deployment.instance(&instance.id).is_some();
        let present = self.deployment.as_ref().filter(has_it);
        let present = present.and_then(|deployment| deployment.node(instance));
        present.or_else(dropped)
    }

    /// Returns the instance that shares a scaling group instance with `me`, if there is exactly
    /// one. Smaller groups take precedence.
    fn in_same_group<'i>(&self, me: &Instance, all: &[&'i Instance]) -> Option<&'i Instance> {
        self.groups_around(me).into_iter().find_map(|group| {
            let is_inside = |other: &&Instance| self.groups_around(other).contains(&group);
            let mut inside = all.iter().copied().filter(is_inside);
            inside.next().filter(|_| inside.next().is_none())
        })
    }

    /// Returns the scaling group instances around an instance and around its containers, innermost
    /// first.
    fn groups_around<'s>(&'s self, instance: &'s Instance) -> Vec<&'s GroupInstance> {
        let outward = successors(Some(instance), |inner| self.container_of(inner));
        outward.flat_map(|instance| &instance.groups).collect()
    }

    /// Returns the instance that contains this one.
    fn container_of(&self, instance: &Instance) -> Option<&Instance> {
        let contains = |relationship: &&InstanceRelationship| {
            relationship.kind == RelationshipKind::ContainedIn
        };
        let container = instance.relationships.iter().find(contains)?;
        self.find_instance(&container.target)
    }

    fn find_instance(&self, id: &str) -> Option<&Instance> {
        self.all_instances().find(|instance| instance.id == id)
    }

    fn resolve(&self, me: Option<&str>, target: &str) -> Result<&Instance, String> {
        let mine = me.and_then(|me| self.find_instance(me));
        if target == "SELF" {
            return mine.ok_or_else(|| "SELF is not defined here".to_owned());
        }
        let is_target = |instance: &&Instance| instance.node == target;
        let all: Vec<&Instance> = self.all_instances().filter(is_target).collect();
        let found = single(&all).or_else(|| self.related(mine?, &all));
        found.ok_or_else(|| ambiguous_target(target, all.len()))
    }

    /// Returns the one instance that `me` has a relationship to, or else the one that shares a
    /// group with it.
    fn related<'i>(&self, me: &Instance, all: &[&'i Instance]) -> Option<&'i Instance> {
        let is_tied = |other: &&Instance| {
            me.relationships
                .iter()
                .any(|relationship| relationship.target == other.id)
        };
        let tied: Vec<&Instance> = all.iter().copied().filter(is_tied).collect();
        single(&tied).or_else(|| self.in_same_group(me, all))
    }
}

/// Applies the changes of a step to its own instance and to others.
fn apply_outputs(instances: &mut IndexMap<String, InstanceRecord>, own: &str, outputs: &Outputs) {
    let known = instances.entry(own.to_owned()).or_default();
    outputs.apply(&mut known.properties);
    for (id, edits) in &outputs.others {
        if let Some(known) = instances.get_mut(id) {
            known.edit(edits);
        }
    }
}

/// Returns the ID of the instance that a task works on: in a relationship, of the end that the
/// operation belongs to.
fn own_instance(task: &Task) -> &str {
    match &task.side {
        Some(side) if side.end == RelationshipEnd::Target => &side.target,
        _ => &task.instance,
    }
}

/// Records a completed step and its changes.
fn record_step(instances: &mut IndexMap<String, InstanceRecord>, task: &Task, outputs: &Outputs) {
    apply_outputs(instances, own_instance(task), outputs);
    let known = instances.entry(task.instance.clone()).or_default();
    known.record_step(&task.step);
    known.completed_steps.push(CompletedStep {
        operation: task.operation.clone(),
        step: task.step.clone(),
        side: task.side.clone(),
    });
}

/// Records the definition that an instance matches after one of its tasks succeeded.
fn record_definition(instance: &mut InstanceRecord, task: &Task, is_restored: bool) {
    if task.matches_definition && is_restored {
        // The object is restored, and all objects that it depends on exist.
        instance.replaced_referents.clear();
    } else if task.matches_definition || instance.state.is_gone() {
        instance.mark_up_to_date();
    }
}

/// Drops changes for new relationships to added instances: scaling has run their operations.
fn drop_new_changes(ends: &mut Vec<RelationshipChange>, added: &[String]) {
    ends.retain(|end| !end.is_new || !added.contains(&end.relationship.target));
}

/// Restores the former definition and relationships of one instance.
fn restore_former(
    made: &mut Deployment,
    at: usize,
    node: &Definition,
    ties: &[InstanceRelationship],
) {
    let instance = &mut made.instances[at];
    let node = Arc::new(node.clone());
    made.nodes.insert(instance.node.clone(), node);
    instance.relationships = ties.to_vec();
}

/// Returns the only element of a list with exactly one instance.
fn single<'i>(instances: &[&'i Instance]) -> Option<&'i Instance> {
    match instances {
        [only] => Some(*only),
        _ => None,
    }
}

/// Returns the error for a node that does not have exactly one matching instance.
fn ambiguous_target(node: &str, instances: usize) -> String {
    match instances {
        0 => format!("node `{node}` has no instance"),
        n => format!("node `{node}` has {n} instances, and no relationship selects one of them"),
    }
}

fn illegal(event: &Event, state: &str) -> IllegalEvent {
    let name = format!("{event:?}");
    let name = name.split([' ', '{']).next().unwrap_or_default();
    IllegalEvent {
        event: name.to_owned(),
        state: state.to_owned(),
    }
}
