//! What is known of a deployment: a fold over its events, and nothing else.

use crate::{
    backend::{Failure, Outputs},
    event::{Entry, Event, Outcome},
    model::{
        Definition, Deployment, GroupInstance, Instance, RelationshipKind,
        function::{Surroundings, lookup},
    },
    plan::{InstanceState, Stage, TaskId, Workflow},
    secrets::Secrets,
};
use indexmap::IndexMap;
use serde_json::{Map as JsonMap, Value as Json};
use thiserror::Error;

/// An event that cannot follow from what is known.
#[derive(Debug, Error)]
#[error("{event} cannot happen {state}")]
pub struct IllegalEvent {
    event: String,
    state: String,
}

/// Where a task stands.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
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
}

/// What is known of an instance.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct InstanceRecord {
    /// Its state.
    pub state: InstanceState,
    /// Its runtime properties.
    pub properties: JsonMap<String, Json>,
}

/// A task that failed for good.
#[derive(Clone, Debug, PartialEq)]
pub struct FailedTask {
    /// The instance.
    pub instance: String,
    /// The lifecycle operation.
    pub operation: String,
    /// Why.
    pub failure: Failure,
}

/// One run of a workflow.
#[derive(Clone, Debug, PartialEq)]
pub struct Execution {
    /// Its id.
    pub id: String,
    /// The workflow.
    pub workflow: Workflow,
    /// Milliseconds since 1970 UTC.
    pub started: u64,
    /// Milliseconds since 1970 UTC, once it is over.
    pub ended: Option<u64>,
    /// How it ended; none while it runs, or since its process died.
    pub outcome: Option<Outcome>,
    /// What failed for good, first cause first.
    pub failed: Vec<FailedTask>,
    /// Tasks in its stages.
    pub tasks: usize,
    /// Tasks that are done.
    pub done: usize,
}

/// Everything known of a deployment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Record {
    /// What is wanted.
    pub deployment: Option<Deployment>,
    /// Instances by id, those of earlier definitions included.
    pub instances: IndexMap<String, InstanceRecord>,
    /// Instances that exist and that the present definition does not have any more.
    pub dropped: Vec<(Instance, Definition)>,
    /// Executions, oldest first.
    pub executions: Vec<Execution>,
    stage: Stage,
    tasks: Vec<TaskState>,
    cancelled: bool,
}

impl Record {
    /// Takes one event into account. Live runs, resumed runs and `status` all go through here.
    ///
    /// # Errors
    ///
    /// If the event contradicts what is known.
    pub fn apply(&mut self, entry: &Entry) -> Result<(), IllegalEvent> {
        match &entry.event {
            Event::Defined { deployment } => self.define(deployment),
            Event::ExecutionStarted { execution, workflow } => self.start(execution, *workflow, entry.at),
            Event::StageAdopted { stage } => self.adopt(stage, &entry.event)?,
            Event::TaskStarted { task, .. } => self.task_started(*task, &entry.event)?,
            Event::TaskSucceeded { task, outputs } => self.task_succeeded(*task, outputs, &entry.event)?,
            Event::TaskFailed { task, failure, retry_in } => self.task_failed(*task, failure, retry_in.is_some(), &entry.event)?,
            Event::TaskInterrupted { task } => {
                self.turn(*task, &[TaskState::Started, TaskState::Retrying], TaskState::Pending, &entry.event)?
            }
            Event::CancelRequested => self.cancelled = true,
            Event::ExecutionFinished { outcome } => self.finish(*outcome, entry)?,
        }
        Ok(())
    }

    fn define(&mut self, deployment: &Deployment) {
        if let Some(old) = self.deployment.take() {
            let gone = |instance: &&Instance| deployment.instance(&instance.id).is_none();
            let left = old.instances.iter().filter(gone).filter_map(|instance| Some((instance.clone(), old.node(instance)?.clone())));
            self.dropped.extend(left);
        }
        let instances = &self.instances;
        self.dropped.retain(|(instance, _)| instances.get(&instance.id).is_some_and(|record| !record.state.is_gone()));
        self.instances.retain(|id, record| !record.state.is_gone() || deployment.instance(id).is_some());
        for instance in &deployment.instances {
            self.instances.entry(instance.id.clone()).or_default();
        }
        self.deployment = Some(deployment.clone());
    }

    fn start(&mut self, id: &str, workflow: Workflow, at: u64) {
        let execution =
            Execution { id: id.to_owned(), workflow, started: at, ended: None, outcome: None, failed: Vec::new(), tasks: 0, done: 0 };
        self.executions.push(execution);
        self.stage = Stage::default();
        self.tasks.clear();
        self.cancelled = false;
    }

    fn adopt(&mut self, stage: &Stage, event: &Event) -> Result<(), IllegalEvent> {
        let execution = self.running_mut().ok_or_else(|| illegal(event, "outside an execution"))?;
        execution.tasks += stage.tasks().len();
        self.tasks = vec![TaskState::Pending; stage.tasks().len()];
        self.stage = stage.clone();
        Ok(())
    }

    fn task_started(&mut self, task: TaskId, event: &Event) -> Result<(), IllegalEvent> {
        self.turn(task, &[TaskState::Pending, TaskState::Retrying], TaskState::Started, event)?;
        let planned = self.stage.task(task);
        if let Some(state) = planned.enters {
            self.instances.entry(planned.instance.clone()).or_default().state = state;
        }
        Ok(())
    }

    fn task_succeeded(&mut self, task: TaskId, outputs: &Outputs, event: &Event) -> Result<(), IllegalEvent> {
        self.turn(task, &[TaskState::Started], TaskState::Succeeded, event)?;
        let planned = self.stage.task(task);
        let instance = self.instances.entry(planned.instance.clone()).or_default();
        instance.state = planned.leaves.unwrap_or(instance.state);
        for name in &outputs.unset {
            instance.properties.shift_remove(name);
        }
        instance.properties.extend(outputs.set.clone());
        if instance.state == InstanceState::Deleted {
            let id = planned.instance.clone();
            self.dropped.retain(|(instance, _)| instance.id != id);
        }
        if let Some(execution) = self.running_mut() {
            execution.done += 1;
        }
        Ok(())
    }

    fn task_failed(&mut self, task: TaskId, failure: &Failure, retries: bool, event: &Event) -> Result<(), IllegalEvent> {
        let to = if retries { TaskState::Retrying } else { TaskState::Failed };
        self.turn(task, &[TaskState::Started, TaskState::Pending, TaskState::Retrying], to, event)?;
        let planned = self.stage.task(task);
        let failed = FailedTask { instance: planned.instance.clone(), operation: planned.operation.clone(), failure: failure.clone() };
        match self.running_mut() {
            Some(execution) if !retries => execution.failed.push(failed),
            _ => {}
        }
        Ok(())
    }

    fn turn(&mut self, task: TaskId, from: &[TaskState], to: TaskState, event: &Event) -> Result<(), IllegalEvent> {
        match self.tasks.get_mut(task.0) {
            Some(state) if from.contains(state) => *state = to,
            Some(state) => return Err(illegal(event, &format!("to a task that is {state:?}"))),
            None => return Err(illegal(event, "to a task that is not in the stage")),
        }
        Ok(())
    }

    fn finish(&mut self, outcome: Outcome, entry: &Entry) -> Result<(), IllegalEvent> {
        let execution = self.running_mut().ok_or_else(|| illegal(&entry.event, "outside an execution"))?;
        execution.outcome = Some(outcome);
        execution.ended = Some(entry.at);
        Ok(())
    }

    fn running_mut(&mut self) -> Option<&mut Execution> {
        self.executions.last_mut().filter(|execution| execution.outcome.is_none())
    }

    /// The execution that runs now, or ran when its process died.
    #[must_use]
    pub fn running(&self) -> Option<&Execution> {
        self.executions.last().filter(|execution| execution.outcome.is_none())
    }

    /// State of an instance.
    #[must_use]
    pub fn state(&self, instance: &str) -> InstanceState {
        self.instances.get(instance).map_or(InstanceState::Uninitialized, |record| record.state)
    }

    /// Runtime properties of an instance.
    #[must_use]
    pub fn properties(&self, instance: &str) -> Option<&JsonMap<String, Json>> {
        self.instances.get(instance).map(|record| &record.properties)
    }

    /// The stage that is carried out.
    #[must_use]
    pub fn stage(&self) -> &Stage {
        &self.stage
    }

    /// Where a task stands.
    #[must_use]
    pub fn task(&self, id: TaskId) -> TaskState {
        self.tasks[id.0]
    }

    /// Whether any part of the deployment exists, as far as is known.
    #[must_use]
    pub fn is_installed(&self) -> bool {
        self.instances.values().any(|instance| !instance.state.is_gone())
    }

    /// Whether the last execution left every instance of the definition started.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        let started = |instance: &Instance| self.state(&instance.id) == InstanceState::Started;
        self.dropped.is_empty() && self.deployment.as_ref().is_some_and(|deployment| deployment.instances.iter().all(started))
    }

    /// Whether the user asked to stop.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.cancelled
    }

    /// Tasks that may start now, in the order of the stage.
    pub fn ready(&self) -> impl Iterator<Item = TaskId> + '_ {
        let open = move |id: &TaskId| !self.cancelled && self.task(*id) == TaskState::Pending;
        self.stage.ids().filter(open).filter(|id| self.stage.task(*id).needs.iter().all(|need| self.task(*need) == TaskState::Succeeded))
    }

    /// Whether every task of the stage is done.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.tasks.iter().all(|task| *task == TaskState::Succeeded)
    }

    /// What `get_attribute` finds: a runtime property, the id or index of the instance, else a
    /// property of its node, else null.
    ///
    /// # Errors
    ///
    /// If the target stands for no instance, or for several with no relationship to decide between them.
    pub fn attribute(&self, me: Option<&str>, target: &str, path: &[Json]) -> Result<Json, String> {
        let instance = self.resolve(me, target)?;
        Ok(self.attribute_of(instance, path))
    }

    fn attribute_of(&self, instance: &Instance, path: &[Json]) -> Json {
        let properties = Json::Object(self.properties(&instance.id).cloned().unwrap_or_default());
        if let Some(found) = lookup(&properties, path).filter(|found| !found.is_null()) {
            return found.clone();
        }
        match path {
            [Json::String(name)] if name == "node_instance_id" => return instance.id.clone().into(),
            [Json::String(name)] if name == "node_instance_index" => return instance.index.into(),
            _ => {}
        }
        let declared = self.definition(instance).map(|node| Json::Object(node.properties.clone())).unwrap_or_default();
        lookup(&declared, path).cloned().unwrap_or_default()
    }

    /// Instances of the present definition, then those that it dropped.
    fn all_instances(&self) -> impl Iterator<Item = &Instance> {
        let present = self.deployment.iter().flat_map(|deployment| &deployment.instances);
        present.chain(self.dropped.iter().map(|(instance, _)| instance))
    }

    fn definition(&self, instance: &Instance) -> Option<&Definition> {
        let dropped = || self.dropped.iter().find(|(other, _)| other.id == instance.id).map(|(_, definition)| definition);
        let present = self.deployment.as_ref().filter(|deployment| deployment.instance(&instance.id).is_some());
        present.and_then(|deployment| deployment.node(instance)).or_else(dropped)
    }

    /// The only one of several instances that is in the same instance of a scaling group, the smallest group first.
    fn in_my_group<'i>(&self, mine: Option<&Instance>, all: &[&'i Instance]) -> Option<&'i Instance> {
        self.groups_around(mine?).into_iter().find_map(|group| {
            let mut inside = all.iter().copied().filter(|other| self.groups_around(other).contains(&group));
            inside.next().filter(|_| inside.next().is_none())
        })
    }

    /// Instances of scaling groups around an instance and around what contains it, innermost first.
    fn groups_around<'s>(&'s self, instance: &'s Instance) -> Vec<&'s GroupInstance> {
        let mut around: Vec<&GroupInstance> = Vec::new();
        let mut current = Some(instance);
        while let Some(instance) = current {
            around.extend(&instance.groups);
            let container = instance.ties.iter().find(|tie| tie.kind == RelationshipKind::ContainedIn);
            current = container.and_then(|tie| self.all_instances().find(|other| other.id == tie.target));
        }
        around
    }

    fn resolve(&self, me: Option<&str>, target: &str) -> Result<&Instance, String> {
        let mine = me.and_then(|me| self.all_instances().find(|instance| instance.id == me));
        if target == "SELF" {
            return mine.ok_or_else(|| "SELF stands for nothing here".to_owned());
        }
        let all: Vec<&Instance> = self.all_instances().filter(|instance| instance.node == target).collect();
        if let [only] = all[..] {
            return Ok(only);
        }
        let is_tied = |other: &&Instance| mine.is_some_and(|me| me.ties.iter().any(|tie| tie.target == other.id));
        let tied: Vec<&Instance> = all.iter().copied().filter(is_tied).collect();
        match (&tied[..], all.len()) {
            ([only], _) => Ok(only),
            _ if self.in_my_group(mine, &all).is_some() => Ok(self.in_my_group(mine, &all).expect("just looked at")),
            (_, 0) => Err(format!("node `{target}` has no instance")),
            (_, n) => Err(format!("node `{target}` has {n} instances, and no relationship tells which is meant")),
        }
    }
}

/// What functions at run time refer to: a record, an instance in it, the secrets.
#[derive(Clone, Copy)]
pub struct Around<'a> {
    /// What is known.
    pub record: &'a Record,
    /// Who SELF is; nobody in outputs.
    pub me: Option<&'a str>,
    /// Where secrets come from.
    pub secrets: &'a Secrets,
}

impl Surroundings for Around<'_> {
    fn withheld(&self, digest: &str) -> Result<String, String> {
        self.secrets.withheld(digest)
    }

    fn attribute(&self, target: &str, path: &[Json]) -> Result<Json, String> {
        self.record.attribute(self.me, target, path)
    }

    fn attributes(&self, node: &str, path: &[Json]) -> Result<Vec<(String, Json)>, String> {
        let deployment = self.record.deployment.as_ref().filter(|deployment| deployment.nodes.contains_key(node));
        let deployment = deployment.ok_or_else(|| format!("there is no node `{node}`"))?;
        let mine = deployment.instances.iter().filter(|instance| instance.node == node);
        Ok(mine.map(|instance| (instance.id.clone(), self.record.attribute_of(instance, path))).collect())
    }

    fn secret(&self, name: &str) -> Result<String, String> {
        self.secrets.get(name)
    }

    fn deployment(&self, call: &str, arguments: &Json) -> Result<Json, String> {
        let deployment = self.record.deployment.as_ref().ok_or("there is no deployment yet")?;
        let words: Vec<&str> = arguments
            .as_array()
            .map_or_else(|| vec![arguments.as_str().unwrap_or_default()], |list| list.iter().filter_map(Json::as_str).collect());
        match (call, &words[..]) {
            ("get_sys", ["deployment", "id" | "name"]) => Ok(deployment.name.clone().into()),
            ("get_sys", ["deployment", "blueprint"]) => Ok(deployment.blueprint.display().to_string().into()),
            ("get_sys", ["deployment", "owner"]) => Ok(std::env::var("USER").unwrap_or_default().into()),
            ("get_sys", ["tenant", "name"]) => Ok("default_tenant".into()),
            ("get_consumers", ["count"]) => Ok(0.into()),
            ("get_consumers", _) => Ok(Json::Array(Vec::new())),
            ("get_label", [name, ..]) => {
                let values = deployment.labels.get(*name).cloned().ok_or_else(|| format!("the deployment has no label `{name}`"))?;
                match arguments.get(1).map(|at| at.as_u64().or_else(|| at.as_str()?.parse().ok())) {
                    None => Ok(values),
                    Some(at) => at
                        .and_then(|at| values.get(usize::try_from(at).ok()?).cloned())
                        .ok_or_else(|| format!("the label `{name}` has no such value")),
                }
            }
            _ => Err(format!("`{call}` cannot be evaluated here")),
        }
    }
}

fn illegal(event: &Event, state: &str) -> IllegalEvent {
    let name = format!("{event:?}");
    let name = name.split([' ', '{']).next().unwrap_or_default();
    IllegalEvent { event: name.to_owned(), state: state.to_owned() }
}
