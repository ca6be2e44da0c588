//! Plan, executor, journal and record on the simulated engine: every crash point, every single
//! fault.

use crate::simulated::{RequestOutcome, SimulatedEngine, drivers, no_tools};
use dockctl::{
    catalog,
    diagnostic::{Diagnostics, Sources},
    event::{Entry, Event, Outcome, StopReason},
    executor::{Executor, Policy, StopRequests},
    journal::{Journal, JournalError},
    model::{self, Deployment, DeploymentSource, InstanceState, inputs},
    plan::{self, PlanInput, Proposal, install, rollback, uninstall},
    plugins::{Driver as _, ObjectPlaces, Plugins},
    record::{Record, TaskState},
    report::Quiet,
    seam::{Call, ObjectState, Observed},
    secrets::Secrets,
    stage::{Stage, Task, TaskId, Workflow},
};
use indexmap::IndexMap;
use proptest::prelude::*;
use std::rc::Rc;
use std::{collections::HashSet, time::Duration};
use tokio_util::sync::CancellationToken;

/// Returns a deployment of containers, each with the nodes that it depends on.
pub(crate) fn deployment(nodes: &[(&str, &[&str])]) -> Deployment {
    deployment_of(&blueprint(nodes), None)
}

/// Returns the deployment of a blueprint. `before` is the former definition, if any.
pub(crate) fn deployment_of(text: &str, before: Option<&Deployment>) -> Deployment {
    let (blueprint, sources) = resolve(text);
    deployment_after(before, blueprint, &sources, Diagnostics::default())
}

/// Resolves a blueprint and asserts that it has no errors. Returns it with its sources.
pub(crate) fn resolve(text: &str) -> (model::Blueprint, Sources) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("blueprint.yaml");
    std::fs::write(&path, text).unwrap();
    let (mut sources, mut faults) = (Sources::default(), Diagnostics::default());
    let ast = catalog::load(
        &path,
        &catalog::Options::default(),
        &mut sources,
        &mut faults,
    )
    .unwrap();
    let blueprint = model::resolve(
        ast,
        &sources,
        |plugin| Plugins::default().provides(plugin),
        &mut faults,
    );
    faults.retain(dockctl::diagnostic::Diagnostic::is_error);
    assert!(faults.is_empty(), "{faults:?}");
    (blueprint, sources)
}

/// Returns the deployment of a resolved blueprint without inputs. `before` is the former
/// definition.
pub(crate) fn deployment_after(
    before: Option<&Deployment>,
    blueprint: model::Blueprint,
    sources: &Sources,
    mut faults: Diagnostics,
) -> Deployment {
    let mut given = inputs::input_values(
        &blueprint,
        &IndexMap::new(),
        inputs::MissingInputs::Reject,
        &mut faults,
    );
    let mut evaluated = model::evaluate(blueprint, &mut given, &mut faults);
    evaluated.strip_input_types();
    let path = "/srv/blueprint.yaml".as_ref();
    let origin = DeploymentSource {
        name: "test",
        path,
        given: serde_json::Map::new(),
        previous: before,
        planned: &[],
        removed_first: std::collections::BTreeSet::new(),
        sources,
    };
    let deployment = Deployment::new(
        &origin,
        &evaluated,
        &given,
        &mut fastrand::Rng::with_seed(1),
        &mut faults,
    );
    assert!(faults.is_empty(), "{faults:?}");
    deployment
}

fn blueprint(nodes: &[(&str, &[&str])]) -> String {
    let mut text = "tosca_definitions_version: cloudify_dsl_1_2
imports:
  - http://www.getcloudify.org/spec/cloudify/3.3.1/types.yaml
  - http://www.getcloudify.org/spec/docker-plugin/1.3.2/plugin.yaml
node_templates:
"
    .to_owned();
    for (name, needs) in nodes {
        text += &format!(
            "  {name}:\n    type: cloudify.docker.Container\n    properties: {{name: c-{name}, image: {{repository: i-{name}}}}}\n    relationships:\n"
        );
        text.extend(needs.iter().map(|need| {
            format!("      - {{type: cloudify.relationships.connected_to, target: {need}}}\n")
        }));
        if needs.is_empty() {
            text += "      []\n";
        }
    }
    text
}

/// Returns a diamond: `web` depends on `db` and `cache`, which depend on `net`.
pub(crate) fn diamond() -> Deployment {
    deployment(&[
        ("net", &[]),
        ("db", &["net"]),
        ("cache", &["net"]),
        ("web", &["db", "cache"]),
    ])
}

pub(crate) fn replay(journal: &[Entry]) -> Record {
    let mut record = Record::default();
    for entry in journal {
        record.apply(entry).unwrap();
    }
    record
}

/// Runs one process: replays the journal, observes, plans, and executes. Returns its record, or
/// `None` if it hung and was dropped.
async fn run_process(
    engine: &SimulatedEngine,
    journal: &mut Vec<Entry>,
    deployment: &Deployment,
    workflow: Workflow,
) -> Option<Record> {
    let mut record = replay(journal);
    let mut quiet = Quiet;
    let policy = Policy {
        parallel: 3,
        retries: 2.0,
        retry_interval: 1.0,
        ..Policy::default()
    };
    let mut executor = Executor {
        record: &mut record,
        drivers: &drivers(engine),
        journal,
        reporter: &mut quiet,
        secrets: &Secrets::default(),
        policy,
    };
    executor.settle().await.unwrap();
    if executor.record.deployment.is_none() {
        executor
            .emit(Event::Defined {
                deployment: Box::new(deployment.clone()),
            })
            .unwrap();
    }
    let observed = engine.observed(deployment, &ObjectPlaces::new());
    let proposal = match workflow {
        Workflow::Rollback => rollback::next(deployment, executor.record, &observed, "x"),
        workflow => plan::first(
            &workflow.into(),
            &PlanInput::new(deployment, executor.record, &observed),
        ),
    };
    executor
        .start_execution("x", &workflow.into(), None)
        .unwrap();
    let signals = StopRequests::default();
    let ran = tokio::time::timeout(
        Duration::from_mins(10),
        executor.run_stage(proposal.stage, &signals),
    )
    .await;
    ran.ok()?.unwrap();
    executor.finish().unwrap();
    Some(record)
}

pub(crate) fn assert_all_running(engine: &SimulatedEngine, deployment: &Deployment) {
    let containers = engine.containers.borrow();
    let owners: HashSet<&str> = containers
        .iter()
        .map(|object| object.owner.as_ref().unwrap().instance.as_str())
        .collect();
    assert_eq!(
        (containers.len(), owners.len()),
        (deployment.instances.len(), deployment.instances.len()),
        "each container exists once"
    );
    assert!(
        containers
            .iter()
            .all(|object| object.state == ObjectState::Running)
    );
}

pub(crate) fn with_runtime<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap()
        .block_on(work)
}

#[test]
fn plans_render_as_text() {
    let deployment = diamond();
    let Proposal { stage, .. } =
        install::next(&deployment, &Record::default(), &Observed::default());
    insta::assert_snapshot!("install_of_a_diamond", stage.to_string());
    let mut record = Record::default();
    record
        .apply(&Entry::now(Event::Defined {
            deployment: Box::new(deployment.clone()),
        }))
        .unwrap();
    for instance in &deployment.instances {
        record.instances.get_mut(&instance.id).unwrap().state = InstanceState::Started;
    }
    let Proposal { stage, .. } = uninstall::next(&deployment, &record, &Observed::default());
    insta::assert_snapshot!("uninstall_of_a_diamond", stage.to_string());
}

#[test]
fn independent_work_starts_together_and_dependent_work_waits() {
    let engine = SimulatedEngine::default();
    let deployment = diamond();
    with_runtime(run_process(
        &engine,
        &mut Vec::new(),
        &deployment,
        Workflow::Install,
    ))
    .unwrap();
    let requests = engine.requests.borrow();
    let position = |node: &str, step: &str| {
        requests
            .iter()
            .position(|(instance, text)| instance.starts_with(node) && text.starts_with(step))
            .unwrap()
    };
    assert!(
        requests[..3]
            .iter()
            .all(|(_, step)| step.starts_with("pull image")),
        "steps up to the limit start together: {requests:?}"
    );
    assert!(
        position("net", "start") < position("db", "create")
            && position("net", "start") < position("cache", "create")
    );
    assert!(
        position("cache", "create") < position("db", "start")
            || position("db", "create") < position("cache", "start"),
        "both run concurrently"
    );
    assert!(
        position("db", "start") < position("web", "create")
            && position("cache", "start") < position("web", "create")
    );
}

#[test]
fn any_single_fault_leads_to_the_same_final_state() {
    let deployment = diamond();
    let undisturbed = SimulatedEngine::default();
    with_runtime(run_process(
        &undisturbed,
        &mut Vec::new(),
        &deployment,
        Workflow::Install,
    ))
    .unwrap();
    let requests = undisturbed.requests.borrow().len();
    for n in 0..requests {
        for fate in [
            RequestOutcome::Refused,
            RequestOutcome::RefusedOnce,
            RequestOutcome::IgnoredForever,
            RequestOutcome::DoneWithoutResponse,
        ] {
            with_runtime(async {
                let engine = SimulatedEngine::default().with_outcome(n, fate);
                let mut journal = Vec::new();
                let first =
                    run_process(&engine, &mut journal, &deployment, Workflow::Install).await;
                if fate == RequestOutcome::Refused {
                    assert_no_dependent_of_a_failure_ran(&first.unwrap());
                }
                engine.clear_faults();
                let record = run_process(&engine, &mut journal, &deployment, Workflow::Install)
                    .await
                    .unwrap();
                assert!(
                    record.is_deployment_complete() && record.is_stage_complete(),
                    "{fate:?} at {n}"
                );
                assert_eq!(replay(&journal), record, "the journal matches the record");
                assert_all_running(&engine, &deployment);
                let record = run_process(&engine, &mut journal, &deployment, Workflow::Uninstall)
                    .await
                    .unwrap();
                assert!(
                    engine.containers.borrow().is_empty() && !record.is_installed(),
                    "{fate:?} at {n}"
                );
            });
        }
    }
    assert!(requests >= 12, "{requests}");
}

fn assert_no_dependent_of_a_failure_ran(record: &Record) {
    let stage = record.stage();
    assert_eq!(
        stage
            .ids()
            .filter(|id| record.task_state(*id) == TaskState::Failed)
            .count(),
        1
    );
    let mut lost: HashSet<TaskId> = HashSet::new();
    for id in stage.ids() {
        let after_failure = stage
            .task(id)
            .needs
            .iter()
            .any(|need| lost.contains(need) || record.task_state(*need) == TaskState::Failed);
        let expected = if after_failure {
            TaskState::Pending
        } else {
            record.task_state(id)
        };
        assert_eq!(record.task_state(id), expected, "#{}", id.0);
        if after_failure {
            lost.insert(id);
        } else {
            assert!(
                matches!(
                    record.task_state(id),
                    TaskState::Succeeded | TaskState::Failed
                ),
                "branches without a failure complete"
            );
        }
    }
}

#[test]
fn truncated_journal_is_resumed_without_repeating_completed_steps() {
    let deployment = diamond();
    for workflow in [Workflow::Install, Workflow::Uninstall] {
        let (engine, mut full) = (SimulatedEngine::default(), Vec::new());
        with_runtime(run_process(
            &engine,
            &mut full,
            &deployment,
            Workflow::Install,
        ))
        .unwrap();
        let start = if workflow == Workflow::Install {
            0
        } else {
            full.len()
        };
        if workflow == Workflow::Uninstall {
            with_runtime(run_process(
                &engine,
                &mut full,
                &deployment,
                Workflow::Uninstall,
            ))
            .unwrap();
        }
        for cut in start..=full.len() {
            for happened in [false, true] {
                with_runtime(resume(&full[..cut], happened, &deployment, workflow));
            }
        }
    }
}

/// Defines a deployment and begins its install. Returns the planned stage.
pub(crate) fn begin_install(executor: &mut Executor<'_>, deployment: &Deployment) -> Stage {
    let defined = Box::new(deployment.clone());
    let defined = executor.emit(Event::Defined {
        deployment: defined,
    });
    defined.unwrap();
    let stage = install::next(deployment, executor.record, &Observed::default()).stage;
    let started = executor.start_execution("x", &Workflow::Install.into(), None);
    started.unwrap();
    stage
}

/// Carries out the completed steps of a journal on a simulated engine; with `happened`, also the
/// running ones.
pub(crate) async fn replay_on_engine(
    engine: &SimulatedEngine,
    journal: &[Entry],
    happened: bool,
) -> Record {
    let mut record = Record::default();
    for entry in journal {
        let done = if let Event::TaskSucceeded { task, .. } = &entry.event {
            Some(record.stage().task(*task).clone())
        } else {
            None
        };
        record.apply(entry).unwrap();
        if let Some(task) = done {
            engine
                .perform(&call(&record, &task), no_tools(&Secrets::default()))
                .await
                .unwrap();
        }
    }
    let under_way: Vec<TaskId> = record
        .stage()
        .ids()
        .filter(|id| record.task_state(*id) == TaskState::Started)
        .collect();
    for id in under_way
        .into_iter()
        .filter(|_| happened && record.running().is_some())
    {
        let task = record.stage().task(id).clone();
        engine
            .perform(&call(&record, &task), no_tools(&Secrets::default()))
            .await
            .unwrap();
    }
    record
}

/// Resumes a workflow after a crash: completed steps took effect, and running steps did if
/// `happened` is set.
async fn resume(journal: &[Entry], happened: bool, deployment: &Deployment, workflow: Workflow) {
    let engine = SimulatedEngine::default();
    let record = replay_on_engine(&engine, journal, happened).await;
    let created: Vec<String> = engine
        .containers
        .borrow()
        .iter()
        .map(|object| object.owner.as_ref().unwrap().instance.clone())
        .collect();
    engine.requests.borrow_mut().clear();
    let mut journal = journal.to_vec();
    let resumed = run_process(&engine, &mut journal, deployment, workflow)
        .await
        .unwrap();
    assert_eq!(replay(&journal), resumed);
    let requests = engine.requests.borrow();
    match workflow {
        Workflow::Install => {
            assert_all_running(&engine, deployment);
            let known = |instance: &String| {
                record
                    .properties(instance)
                    .is_some_and(|properties| properties.contains_key("container_id"))
            };
            for instance in created.iter().filter(|instance| known(instance)) {
                assert!(
                    !requests
                        .iter()
                        .any(|(of, step)| of == instance && step.starts_with("create")),
                    "completed steps are not repeated"
                );
            }
        }
        Workflow::Uninstall => {
            assert!(engine.containers.borrow().is_empty());
            let removed = record
                .instances
                .iter()
                .filter(|(_, instance)| instance.state == InstanceState::Deleted);
            for (id, _) in removed {
                assert!(
                    !requests.iter().any(|(of, _)| of == id),
                    "completed steps are not repeated"
                );
            }
        }
        other => unreachable!("no test of {other}"),
    }
}

pub(crate) fn call(record: &Record, task: &Task) -> Call {
    let subject = record.subject(task);
    Call {
        workflow: String::new(),
        max_retries: 0.0,
        deployment: Rc::new(record.deployment.clone().unwrap()),
        execution: "x".into(),
        related: record.related_to(&subject),
        subject,
        step: task.step.clone(),
        attempt: 1,
        inside: None,
        stop: CancellationToken::new(),
    }
}

#[test]
fn failed_operation_is_retried_up_to_the_limit_with_growing_pauses() {
    let deployment = deployment(&[("one", &[])]);
    let engine = (0..9).fold(SimulatedEngine::default(), |engine, n| {
        engine.with_outcome(n, RequestOutcome::RefusedOnce)
    });
    let mut journal = Vec::new();
    let record = with_runtime(run_process(
        &engine,
        &mut journal,
        &deployment,
        Workflow::Install,
    ))
    .unwrap();
    assert_eq!(record.executions[0].outcome, Some(Outcome::Failed));
    let pauses: Vec<Option<u64>> = journal
        .iter()
        .filter_map(|entry| {
            if let Event::TaskFailed { retry_in, .. } = entry.event {
                Some(retry_in)
            } else {
                None
            }
        })
        .collect();
    let within = |pause: Option<u64>, least: u64| {
        pause.is_some_and(|pause| (least..=least + least / 4).contains(&pause))
    };
    assert!(
        within(pauses[0], 1000) && within(pauses[1], 2000) && pauses[2..] == [None],
        "{pauses:?}"
    );
}

#[test]
fn stop_lets_running_steps_finish_and_starts_no_new_ones() {
    let (deployment, engine, mut journal, mut quiet) =
        (diamond(), SimulatedEngine::default(), Vec::new(), Quiet);
    with_runtime(async {
        let policy = Policy {
            parallel: 2,
            retries: 0.0,
            retry_interval: 1.0,
            ..Policy::default()
        };
        let mut executor = Executor {
            record: &mut Record::default(),
            drivers: &drivers(&engine),
            journal: &mut journal,
            reporter: &mut quiet,
            secrets: &Secrets::default(),
            policy,
        };
        let stage = begin_install(&mut executor, &deployment);
        let signals = StopRequests::default();
        let stop = signals.clone();
        let (ran, ()) = tokio::join!(executor.run_stage(stage, &signals), async {
            stop.stop(StopReason::Asked)
        });
        ran.unwrap();
        assert_eq!(executor.finish().unwrap(), Outcome::Cancelled);
        let done = executor.record.executions[0].done;
        assert_eq!(
            done,
            engine.requests.borrow().len(),
            "every started step finished"
        );
        assert!(done <= 2, "{done}");
    });
}

/// A journal on a disk that is full after `room` entries.
struct FullDisk {
    entries: Vec<Entry>,
    capacity: usize,
}

impl Journal for FullDisk {
    fn append(&mut self, entry: &Entry) -> Result<(), JournalError> {
        if self.entries.len() == self.capacity {
            return Err(JournalError::Io {
                path: "/full".into(),
                source: std::io::ErrorKind::StorageFull.into(),
            });
        }
        self.entries.push(entry.clone());
        Ok(())
    }
}

#[test]
fn journal_failure_stops_the_run_after_running_calls_finish() {
    let deployment = diamond();
    let mut stopped = 0;
    for room in 3..20 {
        let (engine, mut journal, mut quiet) = (
            SimulatedEngine::default(),
            FullDisk {
                entries: Vec::new(),
                capacity: room,
            },
            Quiet,
        );
        with_runtime(async {
            let policy = Policy {
                parallel: 3,
                retries: 0.0,
                retry_interval: 1.0,
                ..Policy::default()
            };
            let mut executor = Executor {
                record: &mut Record::default(),
                drivers: &drivers(&engine),
                journal: &mut journal,
                reporter: &mut quiet,
                secrets: &Secrets::default(),
                policy,
            };
            let stage = begin_install(&mut executor, &deployment);
            assert!(
                executor
                    .run_stage(stage, &StopRequests::default())
                    .await
                    .is_err()
            );
        });
        stopped += 1;
        // Running requests have finished, so another run can settle the differences.
        let mut entries = journal.entries;
        let asked = engine.requests.borrow().len();
        with_runtime(async {
            let record = run_process(&engine, &mut entries, &deployment, Workflow::Install)
                .await
                .unwrap();
            assert!(
                record.is_deployment_complete(),
                "room for {room} entries, {asked} requests"
            );
        });
        assert_all_running(&engine, &deployment);
    }
    assert_eq!(stopped, 17);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_graph_installs_in_order_and_uninstalls_in_reverse(edges in proptest::collection::vec(proptest::collection::vec(any::<prop::sample::Index>(), 0..3), 1..9), fault in any::<prop::sample::Index>()) {
        let names: Vec<String> = (0..edges.len()).map(|n| format!("n{n}")).collect();
        let needs: Vec<Vec<&str>> = edges.iter().enumerate().map(|(n, needs)| if n == 0 { vec![] } else {
            needs.iter().map(|need| names[need.index(n)].as_str()).collect::<std::collections::BTreeSet<_>>().into_iter().collect()
        }).collect();
        let nodes: Vec<(&str, &[&str])> = names.iter().map(String::as_str).zip(needs.iter().map(Vec::as_slice)).collect();
        let deployment = deployment(&nodes);
        with_runtime(async {
            let engine = SimulatedEngine::default().with_outcome(fault.index(nodes.len() * 3), RequestOutcome::DoneWithoutResponse);
            let mut journal = Vec::new();
            run_process(&engine, &mut journal, &deployment, Workflow::Install).await;
            engine.clear_faults();
            run_process(&engine, &mut journal, &deployment, Workflow::Install).await.unwrap();
            assert_all_running(&engine, &deployment);
            let up = engine.requests.borrow().clone();
            engine.requests.borrow_mut().clear();
            run_process(&engine, &mut journal, &deployment, Workflow::Uninstall).await.unwrap();
            assert!(engine.containers.borrow().is_empty());
            let down = engine.requests.borrow();
            let at = |requests: &[(String, String)], node: &str, step: &str| requests.iter().position(|(instance, text)| instance.starts_with(&format!("{node}_")) && text.starts_with(step)).unwrap();
            for (node, needs) in &nodes {
                for need in *needs {
                    assert!(at(&up, need, "start") < at(&up, node, "create"), "{need} before {node}: {up:?}");
                    assert!(at(&down, node, "remove") < at(&down, need, "stop"), "{node} before {need}: {down:?}");
                }
            }
        });
    }
}
