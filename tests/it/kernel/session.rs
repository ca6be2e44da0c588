//! Sessions of several callers on one deployment.

use crate::{
    kernel::run::{deployment, with_runtime},
    simulated::{Simulated, drivers},
};
use dockctl::{
    catalog,
    event::Event,
    executor::StopRequests,
    model::{Deployment, InstanceState},
    operate::{
        Caller, Error, Session, Settings, Workspace,
        caller::{Notice, Question},
        error::Kind,
        session::{Held, Job},
        settings::{Engine, RunOptions},
    },
    plan::{self, Known},
    plugins::Places,
    report::{Quiet, Reporter},
    seam::Failure,
    secrets::SecretSources,
    stage::Workflow,
};
use std::{cell::RefCell, collections::BTreeMap, path::Path};

/// A caller without a person or a terminal, as a daemon is one.
#[derive(Default)]
struct Daemon {
    signals: StopRequests,
    heard: RefCell<Vec<String>>,
}

impl Caller for Daemon {
    fn reporter(&self) -> Box<dyn Reporter> {
        Box::new(Quiet)
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
        Ok(&self.signals)
    }
}

fn settings(state_dir: &Path) -> Settings {
    Settings {
        state_dir: state_dir.to_owned(),
        engine: Engine {
            host: Err(Failure::fatal("nothing here asks an engine")),
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

/// Runs a workflow of a deployment that is held.
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
        record
            .apply(&dockctl::event::Entry::now(event.clone()))
            .unwrap();
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
        // A reader does not wait for the lock, and sees what is published.
        assert_eq!(
            other.refresh().unwrap().state(&web.id),
            InstanceState::Started
        );
        held.release().await;
        assert_eq!(loop_.record.state(&web.id), InstanceState::Started);

        // The daemon keeps its session; another caller works on the deployment meanwhile.
        let mut held = other.hold("uninstall").unwrap();
        run(&mut held, &pair, Workflow::Uninstall).await.unwrap();
        held.release().await;
        assert_eq!(
            loop_.record.state(&web.id),
            InstanceState::Started,
            "as it was read last"
        );

        let held = loop_.hold("heal").unwrap();
        assert_eq!(held.record().state(&web.id), InstanceState::Deleted);
        assert_eq!(held.record().executions.len(), 2);
        // A hold that is dropped releases the lock too.
        drop(held);
        assert!(other.hold("heal").is_ok());
    });
    assert_eq!(*daemon.heard.borrow(), Vec::<String>::new());
}

#[test]
fn a_request_to_stop_reaches_the_run_that_holds_the_deployment() {
    let (world, directory) = (Simulated::default(), tempfile::tempdir().unwrap());
    let (drivers, daemon) = (drivers(&world), Daemon::default());
    let one = deployment(&[("db", &[])]);
    let workspace = Workspace::new(settings(directory.path()), &daemon);
    let mut session = Session::new(&workspace, &drivers, "test");
    with_runtime(async {
        let mut held = session.hold("install").unwrap();
        daemon.signals.stop(dockctl::event::Why::Asked);
        let stopped = run(&mut held, &one, Workflow::Install).await.unwrap_err();
        assert_eq!(stopped.kind, Kind::Interrupted, "{stopped}");
        held.release().await;
    });
    assert_eq!(*world.changes.borrow(), Vec::new(), "nothing was begun");
    assert!(session.record.executions.is_empty());
}
