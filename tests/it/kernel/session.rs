//! Sessions of several callers on one deployment.

use crate::{
    kernel::run::{deployment, with_runtime},
    simulated::{Simulated, drivers},
};
use dockctl::{
    catalog,
    event::{Entry, Event, Why},
    executor::StopRequests,
    model::{Deployment, InstanceState},
    operate::{
        Caller, Error, Session, Settings, Workspace,
        caller::{Notice, Question},
        error::{Detail, Kind},
        session::{Held, Job},
        settings::{DefaultEngine, RunOptions},
    },
    plan::{self, Known},
    plugins::Places,
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
    heard: RefCell<Vec<String>>,
    /// Requests a stop as soon as a task has started.
    is_hasty: bool,
}

/// Requests a stop as soon as a task has started.
struct Hasty(StopRequests);

impl Reporter for Hasty {
    fn report(&mut self, _record: &Record, entry: &Entry) {
        if matches!(entry.event, Event::TaskStarted { .. }) {
            self.0.stop(Why::Asked);
        }
    }
}

impl Caller for Daemon {
    fn reporter(&self) -> Box<dyn Reporter> {
        if self.is_hasty {
            Box::new(Hasty(self.stop_requests.clone()))
        } else {
            Box::new(Quiet)
        }
    }

    fn say(&self, notice: &Notice<'_>) {
        self.heard.borrow_mut().push(format!("{notice:?}"));
    }

    fn is_attended(&self) -> bool {
        false
    }

    fn ask(&self, question: &Question<'_>) -> Result<(), Error> {
        Err(Error::usage(question.words.clone()))
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
        state_dir: state_dir.to_owned(),
        engine: DefaultEngine {
            host: Err(Failure::fatal("these tests have no engine")),
            fault: None,
        },
        user: "operator".to_owned(),
        parallel: 10,
        task_retries: 0,
        task_retry_interval: 1.0,
        keep_history: 20,
        guarded: true,
        seed: Some(1),
        imports: catalog::Options::default(),
        secrets: SecretSources::default(),
        inputs: BTreeMap::new(),
        strict: false,
    }
}

/// Runs a workflow during a hold.
async fn run(
    held: &mut Held<'_, '_>,
    deployment: &Deployment,
    workflow: Workflow,
) -> Result<(), Error> {
    held.settle("test", &Places::new(), workflow.as_str())
        .await?;
    let observed = held.observe().await?;
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
    let known = Known::new(deployment, &record, &observed);
    let job = Job {
        stage: plan::first(&parameters, &known).stage,
        parameters,
        of: None,
        before,
        how: RunOptions::default(),
        again: workflow.as_str().to_owned(),
        replan: None,
    };
    held.carry_out(job).await
}

#[test]
fn a_session_holds_the_lock_only_while_it_is_asked_to_and_reads_the_record_again() {
    let (world, directory) = (Simulated::default(), tempfile::tempdir().unwrap());
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
    assert_eq!(*daemon.heard.borrow(), Vec::<String>::new());
}

#[test]
fn a_request_to_stop_that_comes_first_lets_no_run_begin() {
    let (world, directory) = (Simulated::default(), tempfile::tempdir().unwrap());
    let (drivers, daemon) = (drivers(&world), Daemon::default());
    let one = deployment(&[("db", &[])]);
    let workspace = Workspace::new(settings(directory.path()), &daemon);
    let mut session = Session::new(&workspace, &drivers, "test");
    with_runtime(async {
        let mut held = session.hold("install").unwrap();
        daemon.stop_requests.stop(Why::Asked);
        let stopped = run(&mut held, &one, Workflow::Install).await.unwrap_err();
        assert_eq!(stopped.kind, Kind::Interrupted, "{stopped}");
        held.release().await;
    });
    assert_eq!(*world.changes.borrow(), Vec::new(), "no step started");
    assert!(session.record.executions.is_empty());
}

#[test]
fn a_request_to_stop_reaches_the_run_that_goes_on() {
    let (world, directory) = (Simulated::default(), tempfile::tempdir().unwrap());
    let daemon = Daemon {
        is_hasty: true,
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
        (Some(Why::Asked), true)
    );
    let is_up = |id: &str| session.record.state(id) == InstanceState::Started;
    assert!(!pair.instances.iter().any(|it| is_up(&it.id)));
}
