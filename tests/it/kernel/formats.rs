//! State directories in format 2 (`tests/data/format2`), which are replayed and resumed, and
//! entries of later versions, which are refused.
//!
//! Each state directory has a key, a journal and the blueprint. The deployment has a network, a
//! volume, `db` and `web`; in `adopted` it also has an adopted container.

use crate::{
    kernel::run::with_runtime,
    simulated::{SimulatedEngine, drivers},
    support::{Run, project_root},
};
use dockctl::{
    event::{Entry, Event, Outcome},
    executor::{self, Executor, Policy, StopRequests},
    instance_record::PREDECESSOR,
    journal::{Holder, Journal as _, StateDir},
    plan::{self, PlanInput},
    plugins::{InstanceRef, ObserveContext, Plugins},
    record::Record,
    report::Quiet,
    secrets::Secrets,
    stage::{Parameters, Workflow},
};
use serde_json::Value as Json;
use std::{fs, path::Path, process::Command};
use tempfile::TempDir;

/// A writable copy of a state directory.
pub(crate) struct StateCopy {
    directory: TempDir,
    pub(crate) state: StateDir,
}

/// Copies a state directory from `tests/data/format2`.
pub(crate) fn state_copy(name: &str) -> StateCopy {
    let directory = tempfile::tempdir().unwrap();
    let from = project_root().join("tests/data/format2").join(name);
    fs::create_dir(directory.path().join("deployments")).unwrap();
    for file in ["key", "blueprint.yaml", "deployments/shop.db"] {
        fs::copy(from.join(file), directory.path().join(file)).unwrap();
    }
    let state = StateDir::new(directory.path().to_owned());
    StateCopy { directory, state }
}

impl StateCopy {
    fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Runs dockctl on the state directory.
    fn run(&self, arguments: &[&str]) -> Run {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dockctl"));
        command.args(arguments).arg("--state-dir").arg(self.path());
        Run::from_output(&command.output().unwrap())
    }

    /// Appends an execution of a hypothetical dockctl 9.0.0 to the journal.
    fn write_rows(&self, rows: &[&str]) {
        let started = r#"{"at":1,"event":"execution_started","execution":"later","dockctl":"9.0.0","workflow":"stop"}"#;
        drop(
            self.state
                .hold("shop", &Holder::this_process("test", "x"))
                .unwrap(),
        );
        let database = rusqlite::Connection::open(self.path().join("deployments/shop.db")).unwrap();
        for row in [started].iter().chain(rows) {
            let insert = "INSERT INTO event (at, entry) VALUES (1, ?1)";
            database.execute(insert, [row]).unwrap();
        }
    }

    fn rows(&self) -> Vec<(i64, String)> {
        let database = rusqlite::Connection::open(self.path().join("deployments/shop.db")).unwrap();
        let mut rows = database.prepare("SELECT seq, entry FROM event").unwrap();
        let found = rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
        found.unwrap().map(Result::unwrap).collect()
    }
}

/// Returns a simulated engine with all objects of the record. The containers are running.
fn engine_with(record: &Record) -> SimulatedEngine {
    let world = SimulatedEngine::default();
    let deployment = record.deployment.as_ref().unwrap();
    for instance in &deployment.instances {
        let part = InstanceRef::of(deployment, instance).unwrap();
        let plugins = Plugins::default();
        let (Some(kind), Some(name)) = (plugins.kind(part.node), plugins.name(part)) else {
            continue;
        };
        let owner = (!part.node.is_adopted()).then_some(instance.id.as_str());
        if let Some(id) = plugins.recorded_id(record, instance, part.node) {
            world.add_object(kind, id, &name, owner);
        }
        let known = &record.instances[&instance.id];
        if let Some(id) = known.properties.get(PREDECESSOR).and_then(Json::as_str) {
            world.add_object(kind, id, &format!("{name}.dockctl-former"), owner);
        }
    }
    world
}

/// Runs a workflow on a record, like a new process.
fn run(world: &SimulatedEngine, record: &mut Record, workflow: Workflow) -> Outcome {
    with_runtime(async {
        let (mut quiet, secrets, signals) = (Quiet, Secrets::default(), StopRequests::default());
        let mut journal: Vec<Entry> = Vec::new();
        let mut executor = Executor {
            record,
            drivers: &drivers(world),
            journal: &mut journal,
            reporter: &mut quiet,
            secrets: &secrets,
            policy: Policy::default(),
        };
        executor.settle().await.unwrap();
        let deployment = executor.record.deployment.clone().unwrap();
        let places = Plugins::default().places(ObserveContext {
            deployment: &deployment,
            record: executor.record,
            secrets: &secrets,
        });
        let observed = world.observed(&deployment, &places.unwrap());
        let known = PlanInput::new(&deployment, executor.record, &observed);
        let (parameters, id) = (Parameters::from(workflow), "next");
        let stage = plan::first(&parameters, &known).stage;
        let run = executor::Run {
            id,
            parameters: &parameters,
            previous: None,
            replan: None,
        };
        executor.execute(run, stage, &signals).await.unwrap();
        executor.finish().unwrap()
    })
}

#[test]
fn deployments_of_format_2_are_resumed_and_uninstalled() {
    for name in STATES {
        let mut record = state_copy(name).state.read("shop").unwrap().unwrap();
        let world = engine_with(&record);
        let workflow = match name {
            "killed-update" => Workflow::Update,
            _ => Workflow::Install,
        };
        let outcome = run(&world, &mut record, workflow);
        assert_eq!(outcome, Outcome::Terminated, "{name}");
        assert!(
            record.is_deployment_complete(),
            "{name}: {}",
            describe(&record)
        );
        let is_done = ["adopted", "installed", "pruned", "scaled"].contains(&name);
        let requests = world.requests.borrow().clone();
        assert_eq!(requests.is_empty(), is_done, "{name}: {requests:?}");
        let made =
            |step: &str| step.starts_with("create container") || step.starts_with("create network");
        let repeated = requests.iter().any(|(_, step)| made(step));
        assert_eq!(repeated, name == "uninstalled", "{name}: {requests:?}");
        let outcome = run(&world, &mut record, Workflow::Uninstall);
        assert_eq!(outcome, Outcome::Terminated, "{name}");
        let left = world.containers.borrow();
        let left: Vec<&str> = left.iter().map(|object| object.name.as_str()).collect();
        let stays: &[&str] = if name == "adopted" { &["legacy"] } else { &[] };
        assert_eq!(left, stays, "{name}");
        assert!(world.networks_and_volumes.borrow().is_empty(), "{name}");
    }
}

/// Describes a record, line by line.
fn describe(record: &Record) -> String {
    let mut text = String::new();
    for execution in &record.executions {
        let outcome = execution.outcome.map_or("running", Outcome::as_str);
        let (done, tasks) = (execution.done, execution.tasks);
        text += &format!("{} {outcome}, {done} of {tasks}\n", execution.workflow());
    }
    for (id, known) in &record.instances {
        let node = id.rsplit_once('_').unwrap().0;
        let names: Vec<&str> = known.properties.keys().map(String::as_str).collect();
        text += &format!("{node} {}: {}\n", known.state, names.join(" "));
        for done in &known.completed_steps {
            text += &format!("  {}: {}\n", done.operation, done.step);
        }
    }
    for (task, _) in record.unsettled() {
        let task = record.stage().task(task);
        text += &format!("not settled: {}: {}\n", task.operation, task.step);
    }
    text
}

const STATES: [&str; 8] = [
    "adopted",
    "failed",
    "installed",
    "killed-install",
    "killed-update",
    "pruned",
    "scaled",
    "uninstalled",
];

#[test]
fn journals_of_format_2_are_replayed() {
    let mut text = String::new();
    for name in STATES {
        let record = state_copy(name).state.read("shop").unwrap().unwrap();
        text += &format!("== {name}\n{}", describe(&record));
    }
    insta::assert_snapshot!(text);
}

#[test]
fn format_2_journal_continues_in_format_3_and_keeps_its_rows() {
    for name in STATES {
        let kept = state_copy(name);
        let (rows, record) = (kept.rows(), kept.state.read("shop").unwrap().unwrap());
        let mut held = kept
            .state
            .hold("shop", &Holder::this_process("test", "x"))
            .unwrap();
        assert_eq!(held.record, record, "{name}");
        let started = Event::ExecutionStarted {
            execution: "next".to_owned(),
            dockctl: "0.1.0".to_owned(),
            of: None,
            rolls_back: false,
            rollback_scope: dockctl::instance_record::RollbackScope::default(),
            parameters: Box::new(Workflow::Stop.into()),
        };
        held.store.append(&Entry::now(started)).unwrap();
        drop(held);
        assert_eq!(kept.rows()[..rows.len()], rows[..], "{name}");
        let record = kept.state.read("shop").unwrap().unwrap();
        assert_eq!(record.executions.last().unwrap().id, "next", "{name}");
        let mut held = kept
            .state
            .hold("shop", &Holder::this_process("test", "x"))
            .unwrap();
        held.store.prune(1).unwrap();
        let pruned = held.store.replay().unwrap();
        assert_eq!(pruned.instances, record.instances, "{name}: snapshot");
    }
}

/// Entries with a step of an unknown plugin, which the kernel can read.
const UNKNOWN_PLUGIN_ROWS: [&str; 3] = [
    r#"{"at":2,"event":"stage_adopted","stage":{"tasks":[{"instance":"ID","node":"web","operation":"start","step":{"plugin":"martian","traits":{"title":"start the probe","effect":"starts"},"payload":{"version":7,"probe":"x"}},"cause":"it is requested","needs":[],"retry":{},"place":{"file":"blueprint.yaml","line":1,"column":1}}]}}"#,
    r#"{"at":3,"event":"task_started","task":0,"attempt":1}"#,
    r#"{"at":4,"event":"task_succeeded","task":0,"outputs":{}}"#,
];

#[test]
fn step_of_an_unknown_plugin_is_shown_and_blocks_planning() {
    let kept = state_copy("installed");
    let record = kept.state.read("shop").unwrap().unwrap();
    let web = record
        .instances
        .keys()
        .find(|id| id.starts_with("web"))
        .unwrap();
    let finished = r#"{"at":5,"event":"execution_finished","outcome":"terminated"}"#;
    let rows = UNKNOWN_PLUGIN_ROWS.map(|row| row.replace("ID", web));
    let rows: Vec<&str> = rows.iter().map(String::as_str).chain([finished]).collect();
    kept.write_rows(&rows);
    let rows = kept.rows();
    kept.run(&["list"]).exits_with(0);
    kept.run(&["executions", "-d", "shop"]).exits_with(0);
    let run = kept
        .run(&["executions", "later", "-d", "shop"])
        .exits_with(0);
    assert!(run.stdout.contains("start the probe"), "{}", run.stdout);
    let blueprint = kept.path().join("blueprint.yaml");
    let blueprint = blueprint.to_str().unwrap();
    for command in [
        &["plan", blueprint, "-d", "shop"][..],
        &["install", blueprint, "-d", "shop"],
        &["uninstall", "shop", "--yes"],
        &["heal", "-d", "shop"],
    ] {
        kept.run(command)
            .exits_with(1)
            .stderr_contains(&["the plugin `martian` worked on `web_"]);
    }
    assert_eq!(kept.rows(), rows);
}

#[test]
fn unreadable_snapshot_reports_the_version_that_wrote_it() {
    let kept = state_copy("scaled");
    let mut held = kept
        .state
        .hold("shop", &Holder::this_process("test", "x"))
        .unwrap();
    let started = Event::ExecutionStarted {
        execution: "next".to_owned(),
        dockctl: "0.1.0".to_owned(),
        parameters: Box::new(Workflow::Stop.into()),
        of: None,
        rolls_back: false,
        rollback_scope: dockctl::instance_record::RollbackScope::default(),
    };
    let finished = Event::ExecutionFinished {
        outcome: Outcome::Terminated,
    };
    for event in [started, finished] {
        held.store.append(&Entry::now(event)).unwrap();
    }
    // The snapshot now contains everything that was written in format 2.
    held.store.prune(1).unwrap();
    drop(held);
    assert!(kept.state.read("shop").unwrap().is_some());
    let database = rusqlite::Connection::open(kept.path().join("deployments/shop.db")).unwrap();
    let text: String = database
        .query_row("SELECT record FROM snapshot", [], |row| row.get(0))
        .unwrap();
    let mut snapshot: Json = serde_json::from_str(&text).unwrap();
    snapshot["dockctl"] = "9.9.9".into();
    snapshot["mood"] = "good".into();
    let update = "UPDATE snapshot SET record = ?1";
    database.execute(update, [snapshot.to_string()]).unwrap();
    kept.run(&["status", "shop"])
        .exits_with(1)
        .stderr_contains(&["the field `mood`", "written by dockctl 9.9.9"]);
}

#[test]
fn version_of_an_execution_covers_its_start_and_the_entries_before_it() {
    let started = r#"{"at":2,"event":"execution_started","execution":"x","dockctl":"9.9.9","workflow":"stop","mood":"good"}"#;
    let ended = r#"{"at":2,"event":"execution_finished","outcome":"terminated"}"#;
    let recovered =
        r#"{"at":2,"event":"recovered","deployment":null,"instances":{},"mood":"good"}"#;
    let plain = r#"{"at":2,"event":"execution_started","execution":"x","dockctl":"9.9.9","workflow":"stop"}"#;
    for rows in [&[ended, started][..], &[ended, recovered, plain]] {
        let kept = state_copy("installed");
        kept.write_rows(rows);
        let run = kept.run(&["status", "shop"]).exits_with(1);
        run.stderr_contains(&["written by dockctl 9.9.9"]);
    }
}

#[test]
fn entry_of_another_version_is_reported_and_left_unchanged() {
    for (row, what) in [
        (
            r#"{"at":2,"event":"teleported","to":"mars"}"#,
            "the event `teleported`",
        ),
        (
            r#"{"at":2,"event":"cancel_requested","why":"asked","mood":"good"}"#,
            "the field `mood`",
        ),
    ] {
        let kept = state_copy("installed");
        kept.write_rows(&[row]);
        let rows = kept.rows();
        for command in [
            &["status", "shop"][..],
            &["uninstall", "shop", "--yes"],
            &["recover", "shop"],
            &["resume", "shop"],
            &["executions", "-d", "shop"],
        ] {
            let run = kept.run(command).exits_with(1);
            let run = run.stderr_contains(&[what, "written by dockctl 9.0.0"]);
            assert!(!run.stderr.contains("damaged"), "{}", run.stderr);
        }
        assert_eq!(kept.rows(), rows, "{what}");
        assert!(kept.path().join("deployments/shop.db").exists());
        let run = kept.run(&["list"]).exits_with(0);
        assert!(run.stdout.contains("unreadable"), "{}", run.stdout);
    }
}
