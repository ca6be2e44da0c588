//! What is known of a deployment: a fold over its events, and nothing else.

mod around;
mod execution;

pub use around::Around;
pub use execution::{Execution, FailedTask};

use crate::{
    event::{Entry, Event, Outcome, Why},
    known::{DoneStep, InstanceRecord, Taken},
    model::{
        Definition, Deployment, GroupInstance, Instance, InstanceState, InstanceTie, LooseEnd,
        RelationshipKind, function::lookup,
    },
    seam::{Failure, Outputs, Party, Subject},
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

/// An event that cannot follow from what is known.
#[derive(Debug, Error)]
#[error("{event} cannot happen {state}")]
pub struct IllegalEvent {
    event: String,
    state: String,
}

/// Where a task stands.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskState {
    /// Not tried yet, or given up half way by a cancelled run.
    #[default]
    Pending,
    /// The engine was asked and has not answered.
    Started,
    /// Failed, and will be tried again.
    Retrying,
    /// Done.
    Succeeded,
    /// Failed for good.
    Failed,
    /// Failed for good, and what needs it goes on all the same.
    Ignored,
}

impl TaskState {
    /// Where a task stands that failed for good.
    fn of_failed(is_ignored: bool) -> Self {
        if is_ignored {
            Self::Ignored
        } else {
            Self::Failed
        }
    }
}

/// A task of the stage.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
struct Progress {
    state: TaskState,
    /// When it was tried last, in milliseconds since 1970 UTC.
    since: u64,
    /// Nobody knows whether the engine did what failed.
    lost: bool,
}

impl Progress {
    /// Whether the task was asked for, and nobody knows whether it is done.
    fn is_unsettled(&self) -> bool {
        match self.state {
            TaskState::Started => true,
            TaskState::Retrying | TaskState::Failed => self.lost,
            _ => false,
        }
    }
}

/// What a task can be that is tried now.
const WAITING: [TaskState; 2] = [TaskState::Pending, TaskState::Retrying];
/// States from which a task can fail for good.
const UNFINISHED: [TaskState; 3] = [TaskState::Started, TaskState::Pending, TaskState::Retrying];
/// What a task can be whose outcome is to be settled.
const UNSETTLED: [TaskState; 3] = [TaskState::Started, TaskState::Retrying, TaskState::Failed];

/// Everything known of a deployment.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Record {
    /// What is wanted.
    pub deployment: Option<Deployment>,
    /// Instances by id, those of earlier definitions included.
    pub instances: IndexMap<String, InstanceRecord>,
    /// Instances that exist and that the present definition does not have any more.
    pub dropped: Vec<(Instance, Definition)>,
    /// Relationships that came or went between instances that exist, and that nobody was told of
    /// yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub loose_ends: Vec<LooseEnd>,
    /// Ids of objects that another state directory made and the user took over. They stay when the
    /// deployment is taken down: so does a volume that is kept.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub taken_over: BTreeSet<String>,
    /// Executions, oldest first; those before the oldest may have been forgotten.
    pub executions: Vec<Execution>,
    /// How many executions there ever were.
    pub ran: usize,
    stage: Stage,
    tasks: Vec<Progress>,
    /// How many tasks from the first are over: they stay so, and need not be looked at.
    #[serde(skip)]
    over: usize,
}

impl Record {
    /// Whether all that is known of it are labels that the user said are theirs, wherever its
    /// blueprint was when it was made.
    #[must_use]
    pub fn is_taken_over(&self) -> bool {
        !self.taken_over.is_empty()
            && self
                .deployment
                .as_ref()
                .is_some_and(|deployment| deployment.recovered)
    }

    /// Takes one event into account. Live runs, resumed runs and `status` all go through here.
    ///
    /// # Errors
    ///
    /// If the event contradicts what is known.
    pub fn apply(&mut self, entry: &Entry) -> Result<(), IllegalEvent> {
        match &entry.event {
            Event::Defined { deployment } => self.define(deployment),
            Event::Recovered {
                deployment,
                instances,
                by_consent,
            } => self.recover(deployment, instances, *by_consent),
            Event::ExecutionStarted {
                execution,
                parameters,
                of,
                rolls_back,
                takes_back,
                ..
            } => self.start(Execution {
                id: execution.clone(),
                parameters: parameters.clone(),
                of: of.clone(),
                started: entry.at,
                rolls_back: *rolls_back,
                takes_back: takes_back.clone(),
                before: self.existing(),
                ended: None,
                outcome: None,
                failed: Vec::new(),
                stages: 0,
                tasks: 0,
                done: 0,
                created: Vec::new(),
                stopped: None,
            }),
            Event::StageAdopted { stage } => self.adopt(stage, &entry.event)?,
            Event::StageExtended { tasks } => self.extend(tasks, &entry.event)?,
            Event::TaskNoted { task, outputs } => {
                self.expect(*task, &[TaskState::Started], &entry.event)?;
                let instance = &self.stage.task(*task).instance;
                change(&mut self.instances, instance, outputs);
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
                self.expect(*task, &UNFINISHED, &entry.event)?;
                self.task_failed(*task, failure, *ignored);
            }
            Event::TaskInterrupted { task } => {
                self.expect(*task, &UNSETTLED, &entry.event)?;
                self.turn(*task, TaskState::Pending);
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
        let mut former: HashMap<String, (Definition, Vec<InstanceTie>)> = HashMap::new();
        if let Some(old) = self.deployment.take() {
            let changed = |(name, node): &(&String, &Arc<Definition>)| {
                deployment
                    .nodes
                    .get(*name)
                    .is_some_and(|new| !node.is_like(new))
            };
            let nodes: HashMap<&String, &Arc<Definition>> =
                old.nodes.iter().filter(changed).collect();
            let of = |instance: &Instance| {
                Some((
                    instance.id.clone(),
                    (
                        Definition::clone(nodes.get(&instance.node)?),
                        instance.ties.clone(),
                    ),
                ))
            };
            // What was read from labels says nothing of the definition.
            former = old
                .instances
                .iter()
                .filter(|_| !old.recovered)
                .filter_map(of)
                .collect();
            // A kept volume is no change for a runner without state: labels tell of it at every
            // run.
            let is_hearsay = |instance: &Instance| {
                let known = self.instances.get(&instance.id);
                old.recovered && known.is_some_and(|known| known.outlives)
            };
            let is_gone = |instance: &&Instance| deployment.instance(&instance.id).is_none();
            let (kept, gone): (Vec<&Instance>, Vec<&Instance>) = old
                .instances
                .iter()
                .filter(is_gone)
                .partition(|it| is_hearsay(it));
            self.instances
                .retain(|id, _| !kept.iter().any(|instance| instance.id == *id));
            let as_made = |instance: &Instance| {
                Some((
                    instance.clone(),
                    self.made_from(instance, old.node(instance)?).clone(),
                ))
            };
            let left: Vec<(Instance, Definition)> = gone.into_iter().filter_map(as_made).collect();
            self.dropped.extend(left);
            self.loosen(old.loose_ends(deployment));
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
                Some(first) => (first, std::mem::take(&mut known.former_ties)),
                None => (Box::new(old), ties),
            };
            let is_other = !known.state.is_gone() && !first.is_like(new);
            (known.former, known.former_ties) = if is_other {
                (Some(first), ties)
            } else {
                (None, Vec::new())
            };
        }
        self.deployment = Some(deployment.clone());
        self.forget_loose_ends();
    }

    /// What came and went between two definitions; what comes back was never away.
    fn loosen(&mut self, ends: Vec<LooseEnd>) {
        let loose = &mut self.loose_ends;
        for end in ends {
            match loose.iter().position(|known| known.is_of(&end)) {
                Some(at) if loose[at].is_new != end.is_new => drop(loose.remove(at)),
                Some(_) => {}
                None => loose.push(end),
            }
        }
    }

    /// Of relationships of what is gone, and to what went with them, nobody has to be told.
    fn forget_loose_ends(&mut self) {
        let (instances, deployment) = (&self.instances, self.deployment.as_ref());
        let is_gone = |id: &str| instances.get(id).is_none_or(|it| it.state.is_gone());
        let stays = |id: &str| deployment.is_some_and(|it| it.instance(id).is_some());
        let matters = |end: &LooseEnd| {
            let has_target = end.is_new || !is_gone(&end.between.target);
            !is_gone(&end.source) && stays(&end.source) && has_target
        };
        self.loose_ends.retain(matters);
    }

    /// What is installed stays as it is, with what labels tell beside it.
    fn recover(
        &mut self,
        deployment: &Deployment,
        instances: &IndexMap<String, InstanceRecord>,
        by_consent: bool,
    ) {
        if !self.is_installed() {
            let (ran, taken_over) = (self.ran, std::mem::take(&mut self.taken_over));
            *self = Self {
                taken_over,
                ran,
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

    fn start(&mut self, execution: Execution) {
        self.ran += 1;
        self.executions.push(execution);
        self.begin_stage(Stage::default());
    }

    /// Ids of the instances that exist.
    fn existing(&self) -> Vec<String> {
        let exists = |(_, instance): &(&String, &InstanceRecord)| !instance.state.is_gone();
        let existing = self.instances.iter().filter(exists);
        existing.map(|(id, _)| id.clone()).collect()
    }

    /// From here on this stage is carried out.
    fn begin_stage(&mut self, stage: Stage) {
        self.over = 0;
        self.tasks = vec![Progress::default(); stage.tasks().len()];
        self.stage = stage;
    }

    fn adopt(&mut self, stage: &Stage, event: &Event) -> Result<(), IllegalEvent> {
        let needs_later = |id: TaskId| stage.task(id).needs.iter().any(|need| need.0 >= id.0);
        if stage.ids().any(needs_later) {
            return Err(illegal(event, "with a task that needs a later one"));
        }
        let execution = self.execution_of(event)?;
        execution.tasks += stage.tasks().len();
        execution.stages += usize::from(stage.restores.is_none());
        for failed in &mut execution.failed {
            failed.tried_again |= stage.tries_again;
        }
        self.begin_stage(stage.clone());
        Ok(())
    }

    /// Tasks that nobody planned when the stage began.
    fn extend(&mut self, tasks: &[Task], event: &Event) -> Result<(), IllegalEvent> {
        self.execution_of(event)?.tasks += tasks.len();
        tasks.iter().try_for_each(|task| self.add(task, event))
    }

    fn add(&mut self, task: &Task, event: &Event) -> Result<(), IllegalEvent> {
        if task.needs.iter().any(|need| need.0 >= self.tasks.len()) {
            return Err(illegal(event, "with a task that needs a later one"));
        }
        self.stage.push(task.clone());
        self.tasks.push(Progress::default());
        Ok(())
    }

    fn task_started(&mut self, task: TaskId, entry: &Entry) -> Result<(), IllegalEvent> {
        self.expect(task, &WAITING, &entry.event)?;
        self.turn(task, TaskState::Started);
        self.tasks[task.0].since = entry.at;
        if let Some(enters) = self.stage.task(task).enters {
            self.enter(task, enters);
        }
        Ok(())
    }

    /// The instance is in the state that the task begins with.
    fn enter(&mut self, task: TaskId, state: InstanceState) {
        let id = self.stage.task(task).instance.clone();
        let instance = self.instances.entry(id.clone()).or_default();
        let is_new = instance.state.is_gone() && !state.is_down();
        instance.enter(state);
        if is_new {
            self.note_created(id);
        }
    }

    /// The execution that runs now began to create an instance.
    fn note_created(&mut self, id: String) {
        let running = self.running_mut();
        if let Some(execution) = running.filter(|it| !it.before.contains(&id)) {
            execution.created.push(id);
        }
    }

    fn task_succeeded(&mut self, task: TaskId, outputs: &Outputs) {
        self.turn(task, TaskState::Succeeded);
        note_step(&mut self.instances, self.stage.task(task), outputs);
        self.leave(task);
        self.outdate(task);
        if let Some(execution) = self.executions.last_mut() {
            execution.done += 1;
        }
    }

    /// What holds on to what the task made anew is out of date.
    fn outdate(&mut self, task: TaskId) {
        for id in &self.stage.task(task).outdates {
            let known = self.instances.get_mut(id);
            if let Some(known) = known.filter(|known| !known.state.is_gone()) {
                known.is_stale = true;
            }
        }
    }

    /// The instance is in the state that the task leads to.
    fn leave(&mut self, task: TaskId) {
        let is_halt = self.is_halt();
        let planned = self.stage.task(task);
        let instance = self.instances.entry(planned.instance.clone()).or_default();
        instance.arrive(planned.leaves, is_halt);
        note_definition(instance, planned, self.stage.restores.is_some());
        if instance.state == InstanceState::Deleted {
            self.dropped.retain(|(it, _)| it.id != planned.instance);
        }
    }

    /// Whether what stops now is to rest.
    fn is_halt(&self) -> bool {
        let last = self.executions.last();
        last.is_some_and(|execution| execution.workflow() == Workflow::Stop)
    }

    fn task_failed(&mut self, task: TaskId, failure: &Failure, ignored: bool) {
        self.fail(task, TaskState::of_failed(ignored), failure);
        let failed = FailedTask::of(self.stage.task(task), failure, ignored);
        self.note_failed(failed);
        if ignored {
            self.leave(task);
        }
    }

    fn note_failed(&mut self, failed: FailedTask) {
        // The operation begins anew when somebody tries again.
        if let Some(known) = self.instances.get_mut(&failed.instance) {
            known.done.retain(|done| done.operation != failed.operation);
        }
        if let Some(execution) = self.running_mut() {
            execution.failed.push(failed);
        }
    }

    fn fail(&mut self, task: TaskId, to: TaskState, failure: &Failure) {
        self.turn(task, to);
        self.tasks[task.0].lost = failure.is_lost();
    }

    fn turn(&mut self, task: TaskId, to: TaskState) {
        self.tasks[task.0].state = to;
        while self.over < self.tasks.len() && self.is_over(TaskId(self.over)) {
            self.over += 1;
        }
    }

    fn expect(&self, task: TaskId, from: &[TaskState], event: &Event) -> Result<(), IllegalEvent> {
        match self.tasks.get(task.0) {
            Some(progress) if from.contains(&progress.state) => Ok(()),
            Some(progress) => Err(illegal(
                event,
                &format!("to a task that is {:?}", progress.state),
            )),
            None => Err(illegal(event, "to a task that is not in the stage")),
        }
    }

    fn finish(&mut self, outcome: Outcome, entry: &Entry) -> Result<(), IllegalEvent> {
        let execution = self.execution_of(&entry.event)?;
        execution.outcome = Some(outcome);
        execution.ended = Some(entry.at);
        if outcome == Outcome::Terminated {
            self.is_as_wanted();
        }
        self.forget_loose_ends();
        Ok(())
    }

    /// What the last execution brought to its end is as the present definition says.
    fn is_as_wanted(&mut self) {
        let last = self.executions.last();
        match last.map(|last| &*last.parameters) {
            Some(Parameters::Install(said)) if said.selection.is_all() => self.is_up_to_date_now(),
            Some(Parameters::Update(_)) => self.is_up_to_date_now(),
            Some(Parameters::Scale(said)) => forget_new_ends(&mut self.loose_ends, &said.added),
            _ => {}
        }
    }

    fn is_up_to_date_now(&mut self) {
        self.loose_ends.clear();
        let instances = self.instances.values_mut();
        instances.for_each(InstanceRecord::is_up_to_date_now);
    }

    /// The execution that an event is part of.
    fn execution_of(&mut self, event: &Event) -> Result<&mut Execution, IllegalEvent> {
        let running = self.running_mut();
        running.ok_or_else(|| illegal(event, "outside an execution"))
    }

    fn running_mut(&mut self) -> Option<&mut Execution> {
        self.executions
            .last_mut()
            .filter(|execution| execution.outcome.is_none())
    }

    /// Forgets past executions; what they led to stays.
    pub fn forget_executions(&mut self) {
        self.executions.clear();
        self.begin_stage(Stage::default());
    }

    /// Ids of all objects that stand for an instance.
    #[must_use]
    pub fn object_ids(&self) -> HashSet<String> {
        let ids = self.instances.values().flat_map(InstanceRecord::object_ids);
        ids.collect()
    }

    /// The execution that runs now, or ran when its process died.
    #[must_use]
    pub fn running(&self) -> Option<&Execution> {
        self.executions
            .last()
            .filter(|execution| execution.outcome.is_none())
    }

    /// State of an instance.
    #[must_use]
    pub fn state(&self, instance: &str) -> InstanceState {
        self.instances
            .get(instance)
            .map_or(InstanceState::Uninitialized, |record| record.state)
    }

    /// Runtime properties of an instance.
    #[must_use]
    pub fn properties(&self, instance: &str) -> Option<&JsonMap<String, Json>> {
        self.instances
            .get(instance)
            .map(|record| &record.properties)
    }

    /// The definition that the object of an instance was made from: that of its node, unless an
    /// update did not reach it.
    #[must_use]
    pub fn made_from<'r>(&'r self, instance: &Instance, node: &'r Definition) -> &'r Definition {
        self.instances
            .get(&instance.id)
            .and_then(|known| known.former.as_deref())
            .unwrap_or(node)
    }

    /// A deployment as its objects were made: with the definitions and relationships of what an
    /// update did not reach. Where only some instances of a node were not reached, all count as
    /// they do.
    #[must_use]
    pub fn as_made<'d>(&self, deployment: &'d Deployment) -> Cow<'d, Deployment> {
        let mut made = Cow::Borrowed(deployment);
        for (at, instance) in deployment.instances.iter().enumerate() {
            if let Some((node, ties)) = self.former_of(instance) {
                put_former(made.to_mut(), at, node, ties);
            }
        }
        made
    }

    /// What an instance was made from, and its relationships then, if an update did not reach it.
    fn former_of(&self, instance: &Instance) -> Option<(&Definition, &[InstanceTie])> {
        let known = self.instances.get(&instance.id)?;
        Some((known.former.as_deref()?, known.former_ties.as_slice()))
    }

    /// The stage that is carried out.
    #[must_use]
    pub fn stage(&self) -> &Stage {
        &self.stage
    }

    /// An instance that a plugin worked on which is not among those that are known, and the id of
    /// the plugin.
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

    /// Where a task stands.
    #[must_use]
    pub fn task(&self, id: TaskId) -> TaskState {
        self.tasks[id.0].state
    }

    /// Tasks whose outcome is not known, each with the time of its last try: asked for by a run
    /// that is over, and nobody knows whether they are done.
    pub fn unsettled(&self) -> impl Iterator<Item = (TaskId, u64)> + '_ {
        let tasks = self.stage.ids().zip(&self.tasks);
        let unsettled = tasks.filter(|(_, progress)| progress.is_unsettled());
        unsettled.map(|(id, progress)| (id, progress.since))
    }

    /// Whether the last try of a task failed with nobody knowing whether the engine did it.
    #[must_use]
    pub fn is_lost(&self, id: TaskId) -> bool {
        self.tasks[id.0].lost
    }

    /// When a task was tried last, in milliseconds since 1970 UTC.
    #[must_use]
    pub fn since(&self, id: TaskId) -> u64 {
        self.tasks[id.0].since
    }

    /// Whether any part of the deployment exists, as far as is known.
    #[must_use]
    pub fn is_installed(&self) -> bool {
        self.instances
            .values()
            .any(|instance| !instance.state.is_gone())
    }

    /// Whether the last execution left every instance of the definition started, or resting because
    /// somebody wanted that.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        let is_up = |instance: &Instance| {
            let known = self.instances.get(&instance.id);
            known.is_some_and(|known| known.state == InstanceState::Started || known.rests)
        };
        let deployment = self.deployment.as_ref();
        self.dropped.is_empty() && deployment.is_some_and(|it| it.instances.iter().all(is_up))
    }

    /// Whether an instance, or a relationship, is not yet as the present definition says: an update
    /// came to no end.
    #[must_use]
    pub fn has_former(&self) -> bool {
        !self.loose_ends.is_empty() || self.instances.values().any(InstanceRecord::is_outdated)
    }

    /// What taking back a failed execution means: what it created, and what those created that it
    /// went on with: runs that died or were stopped, or were to be taken back themselves.
    #[must_use]
    pub fn to_take_back(&self, failed: &str) -> Taken {
        let takes_back = |it: &&Execution| {
            it.workflow() == Workflow::Rollback && it.of.as_deref() == Some(failed)
        };
        let begun = self.executions.iter().rev().find(takes_back);
        begun.map_or_else(|| self.made_by(failed), |begun| begun.takes_back.clone())
    }

    /// What an execution created, and what those created that are taken back with it.
    fn made_by(&self, id: &str) -> Taken {
        let mut taken = Taken::default();
        let mut next = self.execution(id);
        while let Some(execution) = next {
            taken.instances.extend(execution.created.iter().cloned());
            taken.executions.push(execution.id.clone());
            next = self.taken_back_with(execution, &taken.executions);
        }
        taken
    }

    /// The execution that another one went on with, if it is taken back too and is not `taken`
    /// already.
    fn taken_back_with(&self, execution: &Execution, taken: &[String]) -> Option<&Execution> {
        let before = self.execution(execution.of.as_deref()?)?;
        let is_taken_back = before.belongs_to_next() && !taken.contains(&before.id);
        is_taken_back.then_some(before)
    }

    fn execution(&self, id: &str) -> Option<&Execution> {
        self.executions.iter().find(|it| it.id == id)
    }

    /// Why nothing new is started; none if it is.
    #[must_use]
    pub fn stopped(&self) -> Option<Why> {
        self.executions
            .last()
            .and_then(|execution| execution.stopped)
    }

    /// Whether the tasks of the stage go on: nothing new starts once the run was stopped, but what
    /// restores.
    #[must_use]
    pub fn goes_on(&self) -> bool {
        self.stopped().is_none() || self.stage.restores.is_some()
    }

    /// Tasks that may start now, in the order of the stage.
    pub fn ready(&self) -> impl Iterator<Item = TaskId> + '_ {
        let brings = OnceCell::new();
        let waits = move |id: TaskId| {
            self.stage.task(id).step.halts() && *brings.get_or_init(|| self.brings())
        };
        let left = self.stage.ids().skip(self.over);
        left.filter(move |id| self.goes_on() && self.is_open(*id) && !waits(*id))
    }

    /// Whether a task was not tried yet, and everything that it needs is over.
    fn is_open(&self, id: TaskId) -> bool {
        let mut needs = self.stage.task(id).needs.iter();
        self.task(id) == TaskState::Pending && needs.all(|need| self.is_over(*need))
    }

    /// Whether images are still to come that need nothing to be stopped first. Until they are
    /// there, or known not to come, nothing is stopped; what restores does not wait.
    fn brings(&self) -> bool {
        if self.stage.restores.is_some() {
            return false;
        }
        let hindered = self.hindered();
        let may_come = |id: &TaskId| !hindered[id.0] && !self.is_over(*id);
        let mut coming = self.stage.ids().filter(may_come);
        coming.any(|id| self.stage.task(id).step.prepares())
    }

    /// Of each task of the stage, whether it or something that it needs stops something, or failed.
    fn hindered(&self) -> Vec<bool> {
        let mut hindered: Vec<bool> = Vec::with_capacity(self.stage.tasks().len());
        for id in self.stage.ids() {
            let Task { needs, step, .. } = self.stage.task(id);
            let is_cause = step.halts() || self.task(id) == TaskState::Failed;
            let is_hindered =
                is_cause || needs.iter().any(|need| hindered.get(need.0) == Some(&true));
            hindered.push(is_hindered);
        }
        hindered
    }

    /// Whether what needs a task may go on.
    fn is_over(&self, id: TaskId) -> bool {
        matches!(self.task(id), TaskState::Succeeded | TaskState::Ignored)
    }

    /// How the execution that runs now would end if it ended now.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        let failed = self.running().is_some_and(Execution::has_failed);
        // What was restored was not what the run was for.
        let is_whole = self.stopped().is_none() || self.stage.restores.is_none();
        match self.stopped() {
            _ if self.is_done() && is_whole && !failed => Outcome::Terminated,
            Some(Why::Asked) if !failed => Outcome::Cancelled,
            _ => Outcome::Failed,
        }
    }

    /// Returns the current state of the instances that a task works on.
    #[must_use]
    pub fn subject(&self, task: &Task) -> Subject {
        match &task.side {
            None => Subject::Instance(self.party(&task.instance, &task.node)),
            Some(side) => Subject::Relationship {
                source: self.party(&side.source, &task.node),
                target: self.party(&side.target, &task.node),
                end: side.end,
            },
        }
    }

    /// The instances that those of a subject have relationships to.
    #[must_use]
    pub fn related_to(&self, subject: &Subject) -> Vec<Party> {
        let ends = match subject {
            Subject::Instance(own) => vec![own],
            Subject::Relationship { source, target, .. } => vec![source, target],
        };
        let ties = ends.iter().flat_map(|end| &end.instance.ties);
        let ids: IndexSet<&str> = ties.map(|tie| tie.target.as_str()).collect();
        ids.into_iter().map(|id| self.party(id, "")).collect()
    }

    /// Returns the current state of an instance with the definition that its object was created
    /// from. An unknown instance has only its names.
    fn party(&self, id: &str, node: &str) -> Party {
        let dropped = self.dropped.iter().find(|(instance, _)| instance.id == id);
        let dropped = dropped.map(|(instance, node)| (instance, Arc::new(node.clone())));
        let known = self.deployment.as_ref().and_then(|deployment| {
            let instance = deployment.instance(id)?;
            Some((instance, self.node_of(instance, deployment)?))
        });
        let (instance, node) = known.or(dropped).map_or_else(
            || (Instance::named(id, node), Arc::default()),
            |(instance, node)| (instance.clone(), node),
        );
        Party {
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

    /// How many tasks of the stage are over, done or not.
    #[must_use]
    pub fn ended(&self) -> usize {
        let ended = |id: &TaskId| self.is_over(*id) || self.task(*id) == TaskState::Failed;
        self.stage.ids().filter(ended).count()
    }

    /// Whether every task of the stage is done.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.stage.ids().all(|id| self.is_over(id))
    }

    /// What `get_attribute` finds: a runtime property, the id or index of the instance, else a
    /// property of its node, else null.
    ///
    /// # Errors
    ///
    /// If the target stands for no instance, or for several with no relationship to decide between
    /// them.
    pub fn attribute(&self, me: Option<&str>, target: &str, path: &[Json]) -> Result<Json, String> {
        let instance = self.resolve(me, target)?;
        Ok(self.attribute_of(instance, path))
    }

    fn attribute_of(&self, instance: &Instance, path: &[Json]) -> Json {
        let properties = Json::Object(self.properties(&instance.id).cloned().unwrap_or_default());
        let found = lookup(&properties, path).filter(|found| !found.is_null());
        let found = found.cloned();
        found.unwrap_or_else(|| self.given_attribute(instance, path))
    }

    /// What is known of an instance from the beginning.
    fn given_attribute(&self, instance: &Instance, path: &[Json]) -> Json {
        match path {
            [Json::String(name)] if name == "node_instance_id" => instance.id.clone().into(),
            [Json::String(name)] if name == "node_instance_index" => instance.index.into(),
            _ => self.declared(instance, path),
        }
    }

    /// A property of the node of an instance, else null.
    fn declared(&self, instance: &Instance, path: &[Json]) -> Json {
        let node = self.definition(instance);
        let properties = node.map(|node| Json::Object(node.properties.clone()));
        let properties = properties.unwrap_or_default();
        lookup(&properties, path).cloned().unwrap_or_default()
    }

    /// Instances of the present definition, then those that it dropped.
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

    /// The only one of several instances that is in the same instance of a scaling group, the
    /// smallest group first.
    fn in_my_group<'i>(&self, me: &Instance, all: &[&'i Instance]) -> Option<&'i Instance> {
        self.groups_around(me).into_iter().find_map(|group| {
            let is_inside = |other: &&Instance| self.groups_around(other).contains(&group);
            let mut inside = all.iter().copied().filter(is_inside);
            inside.next().filter(|_| inside.next().is_none())
        })
    }

    /// Instances of scaling groups around an instance and around what contains it, innermost first.
    fn groups_around<'s>(&'s self, instance: &'s Instance) -> Vec<&'s GroupInstance> {
        let outward = successors(Some(instance), |inner| self.container_of(inner));
        outward.flat_map(|instance| &instance.groups).collect()
    }

    /// The instance that contains another one.
    fn container_of(&self, instance: &Instance) -> Option<&Instance> {
        let contains = |tie: &&InstanceTie| tie.kind == RelationshipKind::ContainedIn;
        let container = instance.ties.iter().find(contains)?;
        self.instance_of(&container.target)
    }

    fn instance_of(&self, id: &str) -> Option<&Instance> {
        self.all_instances().find(|instance| instance.id == id)
    }

    fn resolve(&self, me: Option<&str>, target: &str) -> Result<&Instance, String> {
        let mine = me.and_then(|me| self.instance_of(me));
        if target == "SELF" {
            return mine.ok_or_else(|| "SELF stands for nothing here".to_owned());
        }
        let is_meant = |instance: &&Instance| instance.node == target;
        let all: Vec<&Instance> = self.all_instances().filter(is_meant).collect();
        let found = only(&all).or_else(|| self.related(mine?, &all));
        found.ok_or_else(|| not_the_only(target, all.len()))
    }

    /// The only one of several instances that another one is tied to, else that is in a group with
    /// it.
    fn related<'i>(&self, me: &Instance, all: &[&'i Instance]) -> Option<&'i Instance> {
        let is_tied = |other: &&Instance| me.ties.iter().any(|tie| tie.target == other.id);
        let tied: Vec<&Instance> = all.iter().copied().filter(is_tied).collect();
        only(&tied).or_else(|| self.in_my_group(me, all))
    }
}

/// What a step changed, in its own instance and in others.
fn change(instances: &mut IndexMap<String, InstanceRecord>, own: &str, outputs: &Outputs) {
    let known = instances.entry(own.to_owned()).or_default();
    outputs.apply(&mut known.properties);
    for (id, edits) in &outputs.others {
        if let Some(known) = instances.get_mut(id) {
            known.edit(edits);
        }
    }
}

/// What is known once a step is done.
fn note_step(instances: &mut IndexMap<String, InstanceRecord>, task: &Task, outputs: &Outputs) {
    change(instances, &task.instance, outputs);
    let known = instances.entry(task.instance.clone()).or_default();
    known.note_step(&task.step);
    known.done.push(DoneStep {
        operation: task.operation.clone(),
        step: task.step.clone(),
        side: task.side.clone(),
    });
}

/// What an instance is made from once a task of it is done.
fn note_definition(instance: &mut InstanceRecord, task: &Task, is_restored: bool) {
    if task.is_as_defined && is_restored {
        // It is as it was, and holds on to nothing that is gone.
        instance.is_stale = false;
    } else if task.is_as_defined || instance.state.is_gone() {
        instance.is_up_to_date_now();
    }
}

/// Nobody has to be told of new relationships to instances that were just added.
fn forget_new_ends(ends: &mut Vec<LooseEnd>, added: &[String]) {
    ends.retain(|end| !end.is_new || !added.contains(&end.between.target));
}

/// Makes one instance what it was before an update.
fn put_former(made: &mut Deployment, at: usize, node: &Definition, ties: &[InstanceTie]) {
    let instance = &mut made.instances[at];
    let node = Arc::new(node.clone());
    made.nodes.insert(instance.node.clone(), node);
    instance.ties = ties.to_vec();
}

/// The only one of some instances, if there is just one.
fn only<'i>(instances: &[&'i Instance]) -> Option<&'i Instance> {
    match instances {
        [only] => Some(*only),
        _ => None,
    }
}

/// Why a node with so many instances stands for none of them.
fn not_the_only(node: &str, instances: usize) -> String {
    match instances {
        0 => format!("node `{node}` has no instance"),
        n => format!("node `{node}` has {n} instances, and no relationship tells which is meant"),
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
