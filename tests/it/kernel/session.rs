//! Sessions of several callers on one deployment.

use crate::{
    kernel::run::{deployment, with_runtime},
    simulated::{SimulatedEngine, drivers},
};
use dockctl::{
    catalog,
    event::{Entry, Event, StopReason},
    executor::StopRequests,
    model::{Deployment, InstanceState},
    operate::{
        Caller, Error, Session, Settings, Workspace,
        caller::{Notice, Question},
        error::{Detail, Kind},
        session::{HeldSession, Job},
        settings::{DefaultEngine, RunOptions},
    },
    plan::{self, PlanInput},
    plugins::ObjectPlaces,
    record::Record,
    report::{Quiet, Reporter},
    seam::Failure,
    secrets::SecretSources,
    stage::Workflow,
};
use std::{cell::RefCell, collections::BTreeMap, path::Path};

/// A caller without a user and a terminal, such as a daemon.
#[derive(Default)]
struct Daemon {
    stop_requests: StopRequests,
    notices: RefCell<Vec<String>>,
    /// Requests a stop as soon as a task has started.
    stops_at_first_task: bool,
}

/// Requests a stop as soon as a task has started.
struct StopAtFirstTask(StopRequests);

impl Reporter for StopAtFirstTask {
    fn report(&mut self, _record: &Record, entry: &Entry) {
        if matches!(entry.event, Event::TaskStarted { .. }) {
            self.0.stop(StopReason::Asked);
        }
    }
}

impl Caller for Daemon {
    fn reporter(&self) -> Box<dyn Reporter> {
        if self.stops_at_first_task {
            Box::new(StopAtFirstTask(self.stop_requests.clone()))
        } else {
            Box::new(Quiet)
        }
    }

    fn notify(&self, notice: &Notice<'_>) {
        self.notices.borrow_mut().push(format!("{notice:?}"));
    }

    fn is_interactive(&self) -> bool {
        false
    }

    fn ask(&self, question: &Question<'_>) -> Result<(), Error> {
        Err(Error::usage(question.text.clone()))
    }

    fn confirm(&self, _question: &Question<'_>) -> Result<(), Error> {
        Ok(())
    }

    fn command_line(&self, words: &[&str]) -> String {
        words.join(" ")
    }

    fn stop_requests(&self) -> Result<&StopRequests, Error> {
        Ok(&self.stop_requests)
    }
}

fn settings(state_dir: &Path) -> Settings {
    Settings {
        asks_registry: false,
        state_dir: state_dir.to_owned(),
        engine: DefaultEngine {
            host: Err(Failure::fatal("these tests have no engine")),
            config_error: None,
        },
        user: "operator".to_owned(),
        max_parallel: 10,
        task_retries: 0,
        task_retry_interval: 1.0,
        keep_history: 20,
        guarded: true,
        seed: Some(1),
        imports: catalog::Options::default(),
        secrets: SecretSources::default(),
        inputs: BTreeMap::new(),
        strict: false,
        environment: Vec::new(),
        program: state_dir.to_owned(),
    }
}

/// Runs a workflow during a hold.
async fn run(
    held: &mut HeldSession<'_, '_>,
    deployment: &Deployment,
    workflow: Workflow,
) -> Result<(), Error> {
    held.guard_and_settle("test", Some(&ObjectPlaces::new()), workflow.as_str())
        .await?;
    let observed = held.observe(workflow).await?;
    let mut record = held.record().clone();
    let defined = Event::Defined {
        deployment: Box::new(deployment.clone()),
    };
    let before: Vec<Event> = Some(defined)
        .filter(|_| !record.is_installed())
        .into_iter()
        .collect();
    for event in &before {
        record.apply(&Entry::now(event.clone())).unwrap();
    }
    let parameters = workflow.into();
    let known = PlanInput::new(deployment, &record, &observed);
    let job = Job {
        stage: plan::first(&parameters, &known).stage,
        parameters,
        previous: None,
        first_events: before,
        options: RunOptions::default(),
        resume_command: workflow.as_str().to_owned(),
        replan: None,
    };
    held.execute_job(job).await
}

#[test]
fn session_holds_the_lock_only_during_a_hold_and_rereads_the_record() {
    let (world, directory) = (SimulatedEngine::default(), tempfile::tempdir().unwrap());
    let (drivers, daemon, command) = (drivers(&world), Daemon::default(), Daemon::default());
    let pair = deployment(&[("db", &[]), ("web", &["db"])]);
    let web = pair.instances.iter().find(|it| it.node == "web").unwrap();
    let of_daemon = Workspace::new(settings(directory.path()), &daemon);
    let of_command = Workspace::new(settings(directory.path()), &command);
    let mut loop_ = Session::new(&of_daemon, &drivers, "test");
    let mut other = Session::new(&of_command, &drivers, "test");
    with_runtime(async {
        let mut held = loop_.hold("install").unwrap();
        let busy = other.hold("uninstall").map(|_| ()).unwrap_err();
        assert_eq!(busy.kind, Kind::Busy, "{busy}");
        run(&mut held, &pair, Workflow::Install).await.unwrap();
        // A reader sees the published record without waiting for the lock.
        assert_eq!(
            other.refresh().unwrap().state(&web.id),
            InstanceState::Started
        );
        held.release().await;
        assert_eq!(loop_.record.state(&web.id), InstanceState::Started);

        // The daemon keeps its session while another caller works on the deployment.
        let mut held = other.hold("uninstall").unwrap();
        run(&mut held, &pair, Workflow::Uninstall).await.unwrap();
        held.release().await;
        assert_eq!(
            loop_.record.state(&web.id),
            InstanceState::Started,
            "the record is as last read"
        );

        let held = loop_.hold("heal").unwrap();
        assert_eq!(held.record().state(&web.id), InstanceState::Deleted);
        assert_eq!(held.record().executions.len(), 2);
        // Dropping a hold also releases the lock.
        drop(held);
        assert!(other.hold("heal").is_ok());
    });
    assert_eq!(*daemon.notices.borrow(), Vec::<String>::new());
}

#[test]
fn stop_request_before_a_run_prevents_it() {
    let (world, directory) = (SimulatedEngine::default(), tempfile::tempdir().unwrap());
    let (drivers, daemon) = (drivers(&world), Daemon::default());
    let one = deployment(&[("db", &[])]);
    let workspace = Workspace::new(settings(directory.path()), &daemon);
    let mut session = Session::new(&workspace, &drivers, "test");
    with_runtime(async {
        let mut held = session.hold("install").unwrap();
        daemon.stop_requests.stop(StopReason::Asked);
        let stopped = run(&mut held, &one, Workflow::Install).await.unwrap_err();
        assert_eq!(stopped.kind, Kind::Interrupted, "{stopped}");
        held.release().await;
    });
    assert_eq!(*world.changes.borrow(), Vec::new(), "no step started");
    assert!(session.record.executions.is_empty());
}

#[test]
fn stop_request_reaches_a_running_workflow() {
    let (world, directory) = (SimulatedEngine::default(), tempfile::tempdir().unwrap());
    let daemon = Daemon {
        stops_at_first_task: true,
        ..Daemon::default()
    };
    let drivers = drivers(&world);
    let pair = deployment(&[("db", &[]), ("web", &["db"])]);
    let workspace = Workspace::new(settings(directory.path()), &daemon);
    let mut session = Session::new(&workspace, &drivers, "test");
    with_runtime(async {
        let mut held = session.hold("install").unwrap();
        let stopped = run(&mut held, &pair, Workflow::Install).await.unwrap_err();
        assert_eq!(stopped.kind, Kind::Interrupted, "{stopped}");
        assert!(matches!(stopped.detail, Detail::Ended(_)), "{stopped:?}");
        held.release().await;
    });
    let last = session.record.executions.last().unwrap();
    assert_eq!(
        (last.stopped, last.ended.is_some()),
        (Some(StopReason::Asked), true)
    );
    let is_up = |id: &str| session.record.state(id) == InstanceState::Started;
    assert!(!pair.instances.iter().any(|it| is_up(&it.id)));
}
