//! Recorded runs of Cloudify's workflows, repeated by planner and executor with a driver that only
//! logs its calls.
//!
//! `tests/data/workflows/cases.jsonl` contains one case per line: nodes on top of `types.yaml`,
//! failures of operations, and the recorded events of each workflow in order. Simultaneous events
//! may be in any order.

use crate::kernel::run::{deployment_after, with_runtime};
use dockctl::{
    catalog,
    diagnostic::{Diagnostics, Sources},
    event::{Entry, Event, Outcome},
    executor::{Executor, Policy, StopRequests},
    journal::{Journal, JournalError},
    model::{self, Deployment, InstanceState, OperationDefinition, RelationshipEnd},
    plan::{self, PlanInput},
    plugins::{
        Driver, DriverFuture, DriverSettings, Drivers, InstanceRef, Plugin, Plugins,
        RelationshipRef, StepContext,
    },
    record::Record,
    report::Quiet,
    seam::{Call, Failure, Labeling, Observed, Outputs, Purpose, Step, Subject},
    secrets::Secrets,
    stage::{Parameters, Workflow},
};
use serde_json::{Value as Json, json};
use std::{
    cell::RefCell,
    collections::{HashMap, VecDeque},
    fs,
    path::Path,
    rc::Rc,
};

/// Events in order: instance or relationship, and its operation or state.
type EventLog = Rc<RefCell<Vec<String>>>;

/// A driver that only logs its calls and fails as scripted.
struct LoggingDriver {
    log: EventLog,
    /// Outcomes of the next calls of an operation, by `node.operation`.
    script: RefCell<HashMap<String, VecDeque<String>>>,
    calls: RefCell<HashMap<(String, String), usize>>,
}

impl Driver for LoggingDriver {
    fn perform<'a>(&'a self, call: &'a Call, _: StepContext<'a>) -> DriverFuture<'a, Outputs> {
        Box::pin(async move { self.trace(call) })
    }
}

/// A plugin that plans every operation of the recorded cases.
struct LoggingPlugin;

/// The plugin in `types.yaml`.
const PLUGIN: &str = "dockctl-simulated";

fn plan_step(name: &str, planned: &OperationDefinition) -> Option<Vec<Step>> {
    (planned.plugin == PLUGIN).then(|| {
        vec![Step {
            plugin: PLUGIN.to_owned(),
            payload: json!({ "name": name, "inputs": planned.inputs }),
            ..Step::default()
        }]
    })
}

impl Plugin for LoggingPlugin {
    fn id(&self) -> &'static str {
        PLUGIN
    }

    fn supports(&self, plugin: &str, _: &str) -> bool {
        plugin == PLUGIN
    }

    fn create_driver(&self, _: &DriverSettings) -> Box<dyn Driver> {
        unreachable!("the tests provide the driver")
    }

    fn lower(
        &self,
        _: InstanceRef<'_>,
        name: &str,
        planned: &OperationDefinition,
        _: &Purpose<'_>,
        _: &Labeling,
    ) -> Option<Vec<Step>> {
        plan_step(name, planned)
    }

    fn lower_relationship(
        &self,
        _: RelationshipRef<'_>,
        name: &str,
        planned: &OperationDefinition,
    ) -> Option<Vec<Step>> {
        plan_step(name, planned)
    }
}

const PLUGINS: Plugins = Plugins(&[&LoggingPlugin]);

impl LoggingDriver {
    fn trace(&self, call: &Call) -> Result<Outputs, Failure> {
        let operation = &call.step.payload;
        let name = operation["name"]
            .as_str()
            .unwrap()
            .rsplit('/')
            .next()
            .unwrap()
            .trim_start_matches("cloudify.interfaces.")
            .to_owned();
        let subject = match &call.subject {
            Subject::Instance(_) => recorded_id(call.instance()),
            Subject::Relationship {
                source,
                target,
                end,
            } => {
                let end = if *end == RelationshipEnd::Source {
                    "source"
                } else {
                    "target"
                };
                let [source, target] = [source, target].map(|it| recorded_id(&it.instance.id));
                format!("{source}>{target}/{end}")
            }
        };
        let scripted = format!("{}.{}", call.node(), name.rsplit('.').next().unwrap());
        let outcome = self
            .script
            .borrow_mut()
            .get_mut(&scripted)
            .and_then(VecDeque::pop_front)
            .unwrap_or_else(|| "ok".to_owned());
        let mut line = format!("{subject} {name}");
        let (mut calls, key) = (self.calls.borrow_mut(), (subject, name));
        let number = calls
            .entry(key.clone())
            .and_modify(|number| *number += 1)
            .or_insert(0);
        line += &if *number == 0 {
            String::new()
        } else {
            format!(" #{number}")
        };
        line += &if outcome == "ok" {
            String::new()
        } else {
            format!(" {}", outcome.trim_end_matches(':'))
        };
        line += &if operation["inputs"].as_object().unwrap().is_empty() {
            String::new()
        } else {
            format!(" {}", operation["inputs"])
        };
        self.log.borrow_mut().push(line);
        if matches!(outcome.as_str(), "ok" | "fatal") {
            calls.remove(&key);
        }
        match outcome.as_str() {
            "ok" => Ok(Outputs::default()),
            "fatal" => Err(Failure::fatal("fatal")),
            _ => Err(Failure::fatal(outcome).temporary()),
        }
    }
}

/// Returns the ID of an instance in the recorded cases: its node and `#1`.
fn recorded_id(instance: &str) -> String {
    format!("{}#1", instance.rsplit_once('_').unwrap().0)
}

/// A journal that logs changes of states.
struct StateJournal {
    log: EventLog,
    record: Record,
}

impl Journal for StateJournal {
    fn append(&mut self, entry: &Entry) -> Result<(), JournalError> {
        let before = self.record.instances.clone();
        self.record.apply(entry).unwrap();
        for (id, instance) in &self.record.instances {
            if before.get(id).map(|it| it.state) != Some(instance.state) {
                self.log
                    .borrow_mut()
                    .push(format!("{} = {}", recorded_id(id), instance.state));
            }
        }
        Ok(())
    }
}

fn deployment(nodes: &str, before: Option<&Deployment>) -> Deployment {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/workflows");
    let types = fs::read_to_string(directory.join("types.yaml")).unwrap();
    let (mut sources, mut faults) = (Sources::default(), Diagnostics::default());
    let file = sources.add_text("blueprint.yaml", format!("{types}node_templates:{nodes}"));
    let ast = catalog::load_source(
        file,
        &catalog::Options::default(),
        &mut sources,
        &mut faults,
    );
    deployment_after(
        before,
        model::resolve(ast, &sources, |_| true, &mut faults),
        &sources,
        faults,
    )
}

/// A deployment on which recorded workflows run.
struct TestDeployment {
    deployment: Deployment,
    driver: LoggingDriver,
    journal: StateJournal,
    record: Record,
    policy: Policy,
}

impl TestDeployment {
    fn new(case: &Json) -> Self {
        let deployment = deployment(case["nodes"].as_str().unwrap(), None);
        let mut record = Record::default();
        record
            .apply(&Entry::now(Event::Defined {
                deployment: Box::new(deployment.clone()),
            }))
            .unwrap();
        for (node, state) in case["initial_states"].as_object().unwrap() {
            let instance = deployment
                .instances
                .iter()
                .find(|it| it.node == *node)
                .unwrap();
            record.instances[&instance.id].state = serde_json::from_value(state.clone()).unwrap();
        }
        let log = EventLog::default();
        let outcomes = |list: &Json| {
            list.as_array()
                .unwrap()
                .iter()
                .map(|it| it.as_str().unwrap().to_owned())
                .collect()
        };
        let script = case["fail"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(key, list)| (key.clone(), outcomes(list)))
            .collect();
        let policy = Policy {
            retries: case["task_retries"].as_f64().unwrap(),
            retry_interval: 0.0,
            subgraph_retries: usize::try_from(case["subgraph_retries"].as_u64().unwrap()).unwrap(),
            ..Policy::default()
        };
        let driver = LoggingDriver {
            log: log.clone(),
            script: RefCell::new(script),
            calls: RefCell::default(),
        };
        Self {
            deployment,
            driver,
            journal: StateJournal {
                log,
                record: record.clone(),
            },
            record,
            policy,
        }
    }

    /// Installs a deployment without failures.
    fn installed(nodes: &str) -> Self {
        let case = json!({ "nodes": nodes, "fail": {}, "initial_states": {}, "task_retries": 0, "subgraph_retries": 0 });
        let mut life = Self::new(&case);
        assert_eq!(
            with_runtime(life.run("install", &json!({}))),
            Outcome::Terminated
        );
        life
    }

    /// Changes the definition of the deployment.
    fn define(&mut self, nodes: &str) {
        self.deployment = deployment(nodes, Some(&self.deployment));
        let defined = Entry::now(Event::Defined {
            deployment: Box::new(self.deployment.clone()),
        });
        self.record.apply(&defined).unwrap();
        self.journal.record.apply(&defined).unwrap();
    }

    /// Runs an update. Returns its calls in order; simultaneous calls are in the order of their
    /// names.
    fn update(&mut self, nodes: &str) -> Vec<String> {
        self.define(nodes);
        self.driver.log.borrow_mut().clear();
        assert_eq!(
            with_runtime(self.run("update", &json!({}))),
            Outcome::Terminated
        );
        let log = self.driver.log.borrow().clone();
        log.into_iter()
            .filter(|line| !line.contains(" = "))
            .collect()
    }

    async fn run(&mut self, workflow: &str, given: &Json) -> Outcome {
        let workflow = Workflow::from_name(workflow).unwrap();
        let mut given = given.as_object().unwrap().clone();
        // Replaces the recorded ID, `node#1`.
        if let Some(id) = given.get_mut("node_instance_id") {
            *id = self
                .deployment
                .instances
                .iter()
                .find(|it| recorded_id(&it.id) == *id)
                .unwrap()
                .id
                .clone()
                .into();
        }
        let parameters = Parameters::read(workflow, given).unwrap();
        let (mut quiet, secrets) = (Quiet, Secrets::default());
        let observed = Observed::default();
        let mut executor = Executor {
            record: &mut self.record,
            drivers: &Drivers::new(PLUGINS, vec![(PLUGIN, &self.driver)]),
            journal: &mut self.journal,
            reporter: &mut quiet,
            secrets: &secrets,
            policy: self.policy,
        };
        let known = PlanInput {
            plugins: PLUGINS,
            ..PlanInput::new(&self.deployment, executor.record, &observed)
        };
        let proposal = plan::first(&parameters, &known);
        assert!(
            proposal.unsupported.is_empty(),
            "{:?}",
            proposal.unsupported
        );
        executor.start_execution("x", &parameters, None).unwrap();
        executor
            .run_stages(proposal.stage, &StopRequests::default())
            .await
            .unwrap();
        executor.finish().unwrap()
    }
}

#[test]
fn workflows_match_the_recorded_runs_of_cloudify() {
    let cases = fs::read_to_string(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/workflows/cases.jsonl"),
    )
    .unwrap();
    let mut wrong = Vec::new();
    let cases: Vec<Json> = cases
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    for case in &cases {
        let mut life = TestDeployment::new(case);
        for step in case["steps"].as_array().unwrap() {
            let before = life.record.clone();
            life.driver.log.borrow_mut().clear();
            let outcome =
                with_runtime(life.run(step["workflow"].as_str().unwrap(), &step["parameters"]));
            let log = life.driver.log.borrow().clone();
            wrong.extend(
                first_difference(&life, &before, step, outcome, &log)
                    .map(|why| format!("{}, {}: {why}", case["name"], step["workflow"])),
            );
        }
    }
    assert_eq!(cases.len(), 40);
    assert!(
        wrong.is_empty(),
        "{} workflows differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

/// Returns the first difference from the recorded run.
fn first_difference(
    life: &TestDeployment,
    before: &Record,
    step: &Json,
    outcome: Outcome,
    log: &[String],
) -> Option<String> {
    let expected = if step["result"] == "ok" {
        Outcome::Terminated
    } else {
        Outcome::Failed
    };
    if outcome != expected {
        return Some(format!("the outcome is {}", outcome.as_str()));
    }
    for instance in &life.deployment.instances {
        let state = &step["states"][recorded_id(&instance.id)];
        let expected: InstanceState = serde_json::from_value(state.clone()).unwrap_or_default();
        if life.record.state(&instance.id) != expected {
            return Some(format!(
                "{} is {}, not {expected}",
                instance.id,
                life.record.state(&instance.id)
            ));
        }
    }
    let trace: Vec<String> = step["trace"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| line.as_str().unwrap().to_owned())
        .collect();
    let names: Vec<String> = life
        .deployment
        .instances
        .iter()
        .map(|it| recorded_id(&it.id))
        .collect();
    let pairs = life.deployment.instances.iter().flat_map(|it| {
        it.relationships
            .iter()
            .map(|relationship| vec![recorded_id(&it.id), recorded_id(&relationship.target)])
    });
    for subject in names.iter().map(|name| vec![name.clone()]).chain(pairs) {
        let (mine, theirs) = (
            events_of(log, &subject, before),
            events_of(&trace, &subject, before),
        );
        if mine != theirs {
            return Some(format!(
                "events of {subject:?}:\n  {}\nrecorded:\n  {}",
                mine.join(" | "),
                theirs.join(" | ")
            ));
        }
    }
    None
}

/// Returns the events of some instances, in an order that does not depend on timing. Skips states
/// that an instance left before any other event, and states that did not change.
fn events_of(log: &[String], subject: &[String], before: &Record) -> Vec<String> {
    let subjects = |line: &str| -> Vec<String> {
        let first = line.split(' ').next().unwrap();
        first
            .split('/')
            .next()
            .unwrap()
            .split('>')
            .map(str::to_owned)
            .collect()
    };
    let lines: Vec<&String> = log
        .iter()
        .filter(|line| subjects(line).iter().all(|it| subject.contains(it)))
        .collect();
    let is_passed_through = |at: usize| {
        let (name, state) = lines[at].split_once(" = ")?;
        let next = lines[at + 1..]
            .iter()
            .find(|line| subjects(line)[0] == name)?;
        (state == "initializing" && next.contains(" = ")).then_some(())
    };
    let mut kept: Vec<String> = (0..lines.len())
        .filter(|at| is_passed_through(*at).is_none())
        .map(|at| lines[at].clone())
        .collect();
    let mut states: HashMap<String, String> = before
        .instances
        .iter()
        .map(|(id, it)| (recorded_id(id), it.state.to_string()))
        .collect();
    kept.retain(|line| match line.split_once(" = ") {
        Some((name, state)) => {
            states.insert(name.to_owned(), state.to_owned()).as_deref() != Some(state)
        }
        None => true,
    });
    let operation = |line: &String| line.split(' ').nth(1).unwrap().to_owned();
    let mut runs: Vec<Vec<String>> = Vec::new();
    for line in kept {
        match runs.last_mut() {
            Some(run) if operation(&run[0]) == operation(&line) && operation(&line) != "=" => {
                run.push(line)
            }
            _ => runs.push(vec![line]),
        }
    }
    for run in &mut runs {
        run.sort();
    }
    runs.concat()
}

const TWO_NODES: &str = "
  t: {type: basic}
  u: {type: basic}
";

#[test]
fn update_unlinks_removed_and_establishes_added_relationships() {
    let mut life = TestDeployment::installed(&format!(
        "{TWO_NODES}  a: {{type: basic, relationships: [{{type: con, target: t}}]}}\n"
    ));
    let log = life.update(&format!(
        "{TWO_NODES}  a: {{type: basic, relationships: [{{type: con, target: u}}]}}\n"
    ));
    assert_eq!(
        log,
        [
            "a#1>t#1/source relationship_lifecycle.unlink",
            "a#1>t#1/target relationship_lifecycle.unlink",
            "a#1>u#1/source relationship_lifecycle.establish",
            "a#1>u#1/target relationship_lifecycle.establish"
        ]
    );
    assert!(!life.record.has_outdated());
    // The same update again calls nothing.
    assert!(
        life.update(&format!(
            "{TWO_NODES}  a: {{type: basic, relationships: [{{type: con, target: u}}]}}\n"
        ))
        .is_empty()
    );
}

#[test]
fn update_unlinks_before_removal_and_establishes_after_start() {
    let mut life = TestDeployment::installed(
        "\n  t: {type: basic}\n  a: {type: basic, relationships: [{type: con, target: t}]}\n",
    );
    let log = life.update(
        "\n  u: {type: basic}\n  a: {type: basic, relationships: [{type: con, target: u}]}\n",
    );
    let place = |what: &str| {
        log.iter()
            .position(|line| line.contains(what))
            .unwrap_or_else(|| panic!("`{what}` is not in {log:?}"))
    };
    assert!(place("t#1/target relationship_lifecycle.unlink") < place("t#1 lifecycle.stop"));
    assert!(
        place("u#1 lifecycle.start") < place("a#1>u#1/source relationship_lifecycle.establish")
    );
    assert!(!log.iter().any(|line| line.starts_with("a#1 ")), "{log:?}");
}

#[test]
fn next_update_repeats_the_failed_establish() {
    let nodes = |target: &str| {
        format!(
            "{TWO_NODES}  a: {{type: basic, relationships: [{{type: con, target: {target}}}]}}\n"
        )
    };
    let mut life = TestDeployment::installed(&nodes("t"));
    life.define(&nodes("u"));
    life.driver.script.borrow_mut().insert(
        "a.establish".to_owned(),
        VecDeque::from(["fatal".to_owned()]),
    );
    assert_eq!(
        with_runtime(life.run("update", &json!({}))),
        Outcome::Failed
    );
    assert!(life.record.has_outdated());
    let log = life.update(&nodes("u"));
    assert!(
        log.iter()
            .any(|line| line == "a#1>u#1/source relationship_lifecycle.establish"),
        "{log:?}"
    );
    assert!(!life.record.has_outdated());
}

#[test]
fn node_with_update_operations_is_not_recreated() {
    let node = |value: &str| format!("\n  a: {{type: updated, properties: {{p: {value}}}}}\n");
    let mut life = TestDeployment::installed(&node("x"));
    assert_eq!(
        life.update(&node("y")),
        [
            "a#1 lifecycle.preupdate",
            "a#1 lifecycle.update",
            "a#1 lifecycle.update_apply"
        ]
    );
    let node = |value: &str| {
        format!(
            "\n  a: {{type: basic, interfaces: {{cloudify.interfaces.lifecycle: {{create: {{inputs: {{p: {value}}}}}}}}}}}\n"
        )
    };
    let mut life = TestDeployment::installed(&node("x"));
    let log = life.update(&node("y"));
    assert_eq!(log.first().map(String::as_str), Some("a#1 lifecycle.stop"));
    assert!(
        log.iter()
            .any(|line| line.starts_with("a#1 lifecycle.create"))
    );
}
