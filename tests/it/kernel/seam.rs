//! Guarantees of the kernel to plugins, tested with a dedicated plugin: nodes without objects on an
//! engine, relationships, and steps that run in the container of another plugin.

use crate::{
    kernel::run::{deployment_of, replay, resolve, with_runtime},
    simulated::SimulatedEngine,
};
use dockctl::{
    diagnostic::{Code, Diagnostics},
    event::{Entry, Event, Outcome},
    executor::{Executor, Policy, Run, RunError, StopRequests},
    journal::{Journal, JournalError},
    model::{Definition, Deployment, OperationDefinition},
    plan::{self, PlanInput},
    plugins::{
        Driver, DriverFuture, DriverSettings, Drivers, InstanceRef, ObserveContext, PLUGINS,
        Plugin, Plugins, RelationshipRef, Shell, StepContext, StepShell,
    },
    record::Record,
    report::Quiet,
    seam::{
        Call, Command, Edit, Effect, Failure, FailureKind, Labeling, ObjectRef, Outputs, Presence,
        Purpose, Settled, Settling, Step, StepNote, Streams, Subject, Traits,
    },
    secrets::Secrets,
    stage::Workflow,
};
use serde_json::{Value as Json, json};
use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

/// Two nodes without objects on an engine, with a relationship, and a container.
const BLUEPRINT: &str = "
tosca_definitions_version: cloudify_dsl_1_3
imports: [cloudify/types/types.yaml, 'plugin:cloudify-docker-plugin?version=1.3.2']
plugins: { noting: { executor: central_deployment_agent, install: false } }
node_templates:
  box:
    type: cloudify.docker.Container
    properties: { name: box, image: { repository: i } }
  db:
    type: cloudify.nodes.Root
    interfaces:
      cloudify.interfaces.lifecycle: { create: noting.create }
  web:
    type: cloudify.nodes.Root
    interfaces:
      cloudify.interfaces.lifecycle: { create: noting.create, configure: noting.configure }
    relationships:
      - { type: cloudify.relationships.depends_on, target: box }
      - type: cloudify.relationships.connected_to
        target: db
        source_interfaces:
          cloudify.interfaces.relationship_lifecycle:
            preconfigure:
              implementation: noting.join
              inputs:
                mine: { get_attribute: [SOURCE, id] }
                its: { get_attribute: [TARGET, id] }
        target_interfaces:
          cloudify.interfaces.relationship_lifecycle: { preconfigure: noting.joined }
";

/// A plugin that plans one step for each of its operations.
struct NotingPlugin;

const NOTING: &str = "noting";

fn step(name: &str, planned: &OperationDefinition, inside: Option<String>) -> Vec<Step> {
    let settling = match planned.operation.as_str() {
        "create" => Settling::AskUser,
        _ => Settling::ByObserving,
    };
    vec![Step {
        plugin: NOTING.to_owned(),
        inside,
        traits: Traits {
            title: format!("note {}", planned.operation),
            effect: Effect::Nothing,
            settling,
            ..Traits::default()
        },
        payload: json!({ "does": planned.operation, "of": name, "inputs": planned.inputs }),
        ..Step::default()
    }]
}

impl Plugin for NotingPlugin {
    fn id(&self) -> &'static str {
        NOTING
    }

    fn supports(&self, plugin: &str, _: &str) -> bool {
        plugin == NOTING
    }

    fn create_driver(&self, _: &DriverSettings) -> Box<dyn Driver> {
        Box::new(NotingDriver::default())
    }

    fn lower(
        &self,
        part: InstanceRef<'_>,
        name: &str,
        planned: &OperationDefinition,
        _: &Purpose<'_>,
        _: &Labeling,
    ) -> Option<Vec<Step>> {
        // `configure` runs in the container.
        let instances = &part.deployment.instances;
        let container = instances.iter().find(|it| it.node == "box")?.id.clone();
        let inside = (planned.operation == "configure").then_some(container);
        (planned.plugin == NOTING).then(|| step(name, planned, inside))
    }

    fn lower_relationship(
        &self,
        ends: RelationshipRef<'_>,
        name: &str,
        planned: &OperationDefinition,
    ) -> Option<Vec<Step>> {
        assert_eq!(
            (
                ends.source.instance.node.as_str(),
                ends.target?.instance.node.as_str()
            ),
            ("web", "db")
        );
        (planned.plugin == NOTING).then(|| step(name, planned, None))
    }
}

/// A plugin that claims every node.
struct Greedy;

impl Plugin for Greedy {
    fn id(&self) -> &'static str {
        "greedy"
    }

    fn supports(&self, _: &str, _: &str) -> bool {
        false
    }

    fn create_driver(&self, _: &DriverSettings) -> Box<dyn Driver> {
        Box::new(NotingDriver::default())
    }

    fn lower(
        &self,
        _: InstanceRef<'_>,
        _: &str,
        _: &OperationDefinition,
        _: &Purpose<'_>,
        _: &Labeling,
    ) -> Option<Vec<Step>> {
        None
    }

    fn kind(&self, _: &Definition) -> Option<&'static str> {
        Some("thing")
    }
}

static PLUGINS_WITH_GREEDY: [&dyn Plugin; 2] = [PLUGINS[0], &Greedy];

#[test]
fn a_node_belongs_to_one_plugin() {
    let (blueprint, sources) = resolve(BLUEPRINT);
    let messages = |plugins: Plugins| {
        let mut faults = Diagnostics::default();
        plugins.check(&blueprint, &sources, &mut faults);
        let faults = faults.iter().filter(|fault| fault.code == Code::TwoSystems);
        faults
            .map(|fault| fault.message.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        messages(Plugins(&PLUGINS_WITH_NOTING)),
        Vec::<String>::new()
    );
    assert_eq!(
        messages(Plugins(&PLUGINS_WITH_GREEDY)),
        ["node `box` belongs to two plugins: `docker` and `greedy`"]
    );
}

/// A driver that logs its calls and acts as the test specifies.
#[derive(Default)]
struct NotingDriver {
    /// Performed operations with their inputs.
    performed: RefCell<Vec<(String, Json)>>,
    /// Operations that fail once, with their failures.
    failures: RefCell<Vec<(String, Failure)>>,
    settled: RefCell<Option<Settled>>,
    /// Attempts of `join`.
    attempts: RefCell<Vec<u32>>,
    /// Last journal entry at the time when a note had been received.
    noted_entries: RefCell<Vec<Entry>>,
    /// Return without waiting until notes are received.
    ignores_notes: Cell<bool>,
    journal: SharedJournal,
}

/// A journal that a driver can read.
#[derive(Clone, Default)]
struct SharedJournal(Rc<RefCell<Vec<Entry>>>);

impl Journal for SharedJournal {
    fn append(&mut self, entry: &Entry) -> Result<(), JournalError> {
        self.0.borrow_mut().push(entry.clone());
        Ok(())
    }
}

fn edit(path: &[&str], value: impl Into<Json>) -> Edit {
    Edit {
        path: path.iter().map(|it| (*it).to_owned()).collect(),
        value: Some(value.into()),
    }
}

struct CapturedOutput(String);

impl Streams for CapturedOutput {
    fn write_output(&mut self, bytes: &[u8], _: bool) -> bool {
        self.0 += &String::from_utf8_lossy(bytes);
        true
    }
}

impl Driver for NotingDriver {
    fn perform<'a>(&'a self, call: &'a Call, tools: StepContext<'a>) -> DriverFuture<'a, Outputs> {
        Box::pin(async move {
            let operation = call.step.payload["does"].as_str().unwrap().to_owned();
            let inputs = call.step.payload["inputs"].clone();
            self.performed
                .borrow_mut()
                .push((operation.clone(), inputs));
            let outputs = self.outputs(&operation, call, tools).await?;
            let mut fails = self.failures.borrow_mut();
            match fails.iter().position(|(failed, _)| *failed == operation) {
                Some(at) => Err(fails.remove(at).1),
                None => Ok(outputs),
            }
        })
    }

    fn settle<'a>(
        &'a self,
        _: &'a Call,
        _: u64,
        _: Option<StepShell<'a>>,
    ) -> DriverFuture<'a, Settled> {
        Box::pin(async move { Ok(self.settled.borrow().clone().unwrap_or(Settled::NotDone)) })
    }
}

impl NotingDriver {
    async fn outputs(
        &self,
        operation: &str,
        call: &Call,
        tools: StepContext<'_>,
    ) -> Result<Outputs, Failure> {
        let mut outputs = Outputs::default();
        match (operation, &call.subject) {
            ("create", _) => drop(outputs.set.insert("id".to_owned(), call.node().into())),
            ("configure", _) => {
                // Noted outputs stay set even if the rest of the step fails.
                let noted = Outputs {
                    edits: vec![edit(&["seen", "first"], 1)],
                    ..Outputs::default()
                };
                let heard = (tools.notes)(StepNote::Outputs(noted));
                if self.ignores_notes.get() {
                    return Ok(outputs);
                }
                heard.await;
                let last = self.journal.0.borrow().last().cloned();
                self.noted_entries.borrow_mut().extend(last);
                let inside = tools.inside.expect("the step runs in the container");
                let (command, mut said) = (Command::default(), CapturedOutput(String::new()));
                let code = inside.shell.run(inside.place, &command, &mut said).await?;
                outputs.set.insert("said".to_owned(), json!([code, said.0]));
            }
            ("join", Subject::Relationship { source, target, .. }) => {
                let its = target.properties["id"].clone();
                self.attempts.borrow_mut().push(call.attempt);
                let mut ties = source.node.relationships.iter();
                assert!(
                    ties.any(|relationship| relationship.target == "db"),
                    "the call has the node"
                );
                let mut related = call.related.iter().map(|it| &it.instance.id);
                assert!(
                    related.any(|id| *id == target.instance.id),
                    "the call has the related instances"
                );
                let [source, target] = [source, target].map(|it| it.instance.id.clone());
                outputs.edits = vec![
                    edit(&["joined", "to"], target.clone()),
                    edit(&["joined", "its"], its),
                ];
                let others = vec![edit(&["joined", "by"], source)];
                outputs.others.insert(target, others);
            }
            _ => {}
        }
        Ok(outputs)
    }
}

/// A simulated engine whose containers run commands.
#[derive(Default)]
struct Containers(SimulatedEngine);

impl Driver for Containers {
    fn perform<'a>(&'a self, call: &'a Call, tools: StepContext<'a>) -> DriverFuture<'a, Outputs> {
        self.0.perform(call, tools)
    }

    fn observe<'a>(
        &'a self,
        scene: ObserveContext<'a>,
        places: &'a dockctl::plugins::ObjectPlaces,
    ) -> DriverFuture<'a, dockctl::seam::Observed> {
        self.0.observe(scene, places)
    }

    fn as_shell(&self) -> Option<&dyn Shell> {
        Some(self)
    }
}

impl Shell for Containers {
    fn presence<'a>(&'a self, _: &'a ObjectRef) -> DriverFuture<'a, Option<Presence>> {
        Box::pin(async { Ok(None) })
    }

    fn engine_name(&self, _: &ObjectRef) -> String {
        "default".to_owned()
    }

    fn run<'a>(
        &'a self,
        place: &'a ObjectRef,
        _: &'a Command,
        streams: &'a mut dyn Streams,
    ) -> DriverFuture<'a, Option<i64>> {
        Box::pin(async move {
            streams.write_output(place.object.as_bytes(), false);
            Ok(Some(7))
        })
    }
}

static PLUGINS_WITH_NOTING: [&dyn Plugin; 2] = [PLUGINS[0], &NotingPlugin];

/// One deployment across several runs.
struct TestDeployment {
    deployment: Deployment,
    notebook: NotingDriver,
    containers: Containers,
    journal: SharedJournal,
}

impl TestDeployment {
    fn new() -> Self {
        let deployment = deployment_of(BLUEPRINT, None);
        let defined = Event::Defined {
            deployment: Box::new(deployment.clone()),
        };
        let journal = SharedJournal::default();
        journal.0.borrow_mut().push(Entry::now(defined));
        Self {
            deployment,
            notebook: NotingDriver {
                journal: journal.clone(),
                ..NotingDriver::default()
            },
            containers: Containers::default(),
            journal,
        }
    }

    fn entries(&self) -> Vec<Entry> {
        self.journal.0.borrow().clone()
    }

    fn id(&self, node: &str) -> String {
        let mut instances = self.deployment.instances.iter();
        instances.find(|it| it.node == node).unwrap().id.clone()
    }

    fn record(&self) -> Record {
        replay(&self.journal.0.borrow())
    }

    fn property(&self, node: &str, name: &str) -> Json {
        let record = self.record();
        let known = &record.instances[&self.id(node)];
        known.properties.get(name).cloned().unwrap_or_default()
    }

    fn performed_count(&self, name: &str) -> usize {
        let asked = self.notebook.performed.borrow();
        asked
            .iter()
            .filter(|(operation, _)| operation == name)
            .count()
    }

    fn run(&mut self, workflow: Workflow) -> Result<Outcome, RunError> {
        with_runtime(async {
            let plugins = Plugins(&PLUGINS_WITH_NOTING);
            let drivers = Drivers::new(
                plugins,
                vec![("docker", &self.containers), (NOTING, &self.notebook)],
            );
            let mut record = replay(&self.journal.0.borrow());
            let (mut quiet, secrets, signals) =
                (Quiet, Secrets::default(), StopRequests::default());
            let policy = Policy {
                retries: 1.0,
                ..Policy::default()
            };
            let mut executor = Executor {
                record: &mut record,
                drivers: &drivers,
                journal: &mut self.journal,
                reporter: &mut quiet,
                secrets: &secrets,
                policy,
            };
            executor.settle().await?;
            let scene = ObserveContext {
                deployment: &self.deployment,
                record: executor.record,
                secrets: &secrets,
            };
            let observed = drivers.observe(scene).await.map_err(RunError::Engine)?;
            let parameters = workflow.into();
            let known = PlanInput {
                plugins,
                ..PlanInput::new(&self.deployment, executor.record, &observed)
            };
            let stage = plan::first(&parameters, &known).stage;
            let id = format!("x{}", executor.record.execution_count);
            let run = Run {
                id: &id,
                parameters: &parameters,
                previous: None,
                replan: None,
            };
            executor.execute(run, stage, &signals).await?;
            Ok(executor.finish()?)
        })
    }
}

#[test]
fn relationship_operation_reads_and_changes_source_and_target() {
    let mut life = TestDeployment::new();
    assert_eq!(life.run(Workflow::Install).unwrap(), Outcome::Terminated);
    let asked = life.notebook.performed.borrow().clone();
    let inputs = asked.iter().find(|(operation, _)| operation == "join");
    assert_eq!(inputs.unwrap().1, json!({ "mine": "web", "its": "db" }));
    assert_eq!(
        life.property("web", "joined"),
        json!({ "to": life.id("db"), "its": "db" })
    );
    assert_eq!(
        life.property("db", "joined"),
        json!({ "by": life.id("web") })
    );
}

#[test]
fn step_in_a_container_of_another_plugin_gets_its_shell() {
    let mut life = TestDeployment::new();
    assert_eq!(life.run(Workflow::Install).unwrap(), Outcome::Terminated);
    let container = life.property("box", "container_id");
    assert_eq!(life.property("web", "said"), json!([7, container]));
}

#[test]
fn noted_outputs_are_journaled_at_once_and_kept_on_failure() {
    let mut life = TestDeployment::new();
    let failure = Failure::fatal("no");
    life.notebook
        .failures
        .borrow_mut()
        .push(("configure".to_owned(), failure));
    assert_eq!(life.run(Workflow::Install).unwrap(), Outcome::Failed);
    let heard: Vec<bool> = life
        .notebook
        .noted_entries
        .borrow()
        .iter()
        .map(|entry| matches!(entry.event, Event::TaskNoted { .. }))
        .collect();
    assert_eq!(heard, [true], "journaled before the step continues");
    assert_eq!(life.property("web", "seen"), json!({ "first": 1 }));
    let at = |is: fn(&Event) -> bool| life.entries().iter().position(|entry| is(&entry.event));
    let noted = at(|event| matches!(event, Event::TaskNoted { .. }));
    let failed = at(|event| matches!(event, Event::TaskFailed { .. }));
    assert!(noted.is_some() && noted < failed, "{noted:?} {failed:?}");
    // Completed operations of the relationship are not repeated.
    assert_eq!(life.run(Workflow::Install).unwrap(), Outcome::Terminated);
    let times = ["create", "join", "joined", "configure"].map(|it| life.performed_count(it));
    assert_eq!(times, [2, 1, 1, 2]);
}

#[test]
fn pending_notes_are_journaled_before_the_step_ends() {
    let mut life = TestDeployment::new();
    life.notebook.ignores_notes.set(true);
    assert_eq!(life.run(Workflow::Install).unwrap(), Outcome::Terminated);
    assert_eq!(life.property("web", "seen"), json!({ "first": 1 }));
}

#[test]
fn retry_delay_of_the_system_is_used() {
    let mut life = TestDeployment::new();
    let failure = Failure {
        kind: FailureKind::Temporary {
            lost: false,
            retry_after: Some(12_345),
        },
        ..Failure::fatal("later")
    };
    life.notebook
        .failures
        .borrow_mut()
        .push(("join".to_owned(), failure));
    assert_eq!(life.run(Workflow::Install).unwrap(), Outcome::Terminated);
    let entries = life.entries();
    let pauses = entries.iter().filter_map(|entry| match &entry.event {
        Event::TaskFailed { retry_in, .. } => *retry_in,
        _ => None,
    });
    assert_eq!(pauses.collect::<Vec<_>>(), [12_345]);
    assert_eq!(*life.notebook.attempts.borrow(), [1, 2]);
}

/// Returns a deployment whose process died while an operation was running.
fn deployment_that_died_in(operation: &str) -> TestDeployment {
    let mut life = TestDeployment::new();
    life.run(Workflow::Install).unwrap();
    let record = life.record();
    let stage = record.stage();
    let task = stage
        .ids()
        .find(|id| stage.task(*id).step.payload["does"] == operation)
        .unwrap();
    let end = life.entries().iter().position(
        |entry| matches!(entry.event, Event::TaskSucceeded { task: done, .. } if done == task),
    );
    life.journal.0.borrow_mut().truncate(end.unwrap());
    life
}

#[test]
fn settled_outcomes_are_used() {
    let mut life = deployment_that_died_in("join");
    *life.notebook.settled.borrow_mut() = Some(Settled::Failed(Failure::fatal("it failed")));
    assert_eq!(life.run(Workflow::Install).unwrap(), Outcome::Terminated);
    let is_reported = life.entries().iter().any(|entry| {
        matches!(&entry.event, Event::TaskFailed { failure, .. } if failure.message == "it failed")
    });
    assert!(is_reported);
    let mut life = deployment_that_died_in("join");
    *life.notebook.settled.borrow_mut() = Some(Settled::Done(Outputs::default()));
    let before = life.performed_count("join");
    assert_eq!(life.run(Workflow::Install).unwrap(), Outcome::Terminated);
    assert_eq!(life.performed_count("join"), before);
}

/// A step can fail for good with an unknown outcome, for example at its time limit.
#[test]
fn failure_with_a_lost_outcome_is_settled_by_the_failure_itself() {
    let mut life = deployment_that_died_in("join");
    let Event::TaskStarted { task, .. } = life.entries().last().unwrap().event.clone() else {
        panic!("the last event is the start of the step")
    };
    let lost = Event::TaskFailed {
        task,
        failure: Failure {
            kind: FailureKind::of(false, true),
            ..Failure::fatal("timed out")
        },
        retry_in: None,
        ignored: false,
    };
    let outcome = Outcome::Failed;
    let events = [lost, Event::ExecutionFinished { outcome }];
    life.journal.0.borrow_mut().extend(events.map(Entry::now));
    *life.notebook.settled.borrow_mut() = Some(Settled::Failed(Failure::fatal("it failed")));
    assert_eq!(life.run(Workflow::Install).unwrap(), Outcome::Terminated);
}

#[test]
fn unknown_outcome_of_a_non_repeatable_step_needs_a_confirmation() {
    let mut life = deployment_that_died_in("create");
    *life.notebook.settled.borrow_mut() = Some(Settled::Unknown);
    let before = life.performed_count("create");
    let refused = life.run(Workflow::Install).unwrap_err().to_string();
    assert!(
        refused.contains("the outcome of this step is unknown: note create"),
        "{refused}"
    );
    assert_eq!(life.performed_count("create"), before);
    // Running the workflow again confirms a repetition. The other node had not started.
    assert_eq!(life.run(Workflow::Install).unwrap(), Outcome::Terminated);
    assert_eq!(life.performed_count("create"), before + 2);
}

#[test]
fn running_stage_can_be_extended() {
    let life = deployment_that_died_in("configure");
    let record = life.record();
    let ids: Vec<_> = record.stage().ids().collect();
    let mut more = record.stage().task(ids[0]).clone();
    more.needs = vec![*ids.last().unwrap()];
    let added = Entry::now(Event::StageExtended {
        tasks: vec![more.clone()],
    });
    life.journal.0.borrow_mut().push(added);
    let extended = life.record();
    assert_eq!(extended.stage().tasks().len(), ids.len() + 1);
    let (before, now) = (&record.executions[0], &extended.executions[0]);
    assert_eq!(now.tasks, before.tasks + 1);
    more.needs = vec![dockctl::stage::TaskId(99)];
    let wrong = Entry::now(Event::StageExtended { tasks: vec![more] });
    assert!(life.record().apply(&wrong).is_err());
}
