//! Work on one deployment: lock, guard, requests to stop, and the execution of stages.

use super::{
    caller::{Caller, Notice},
    error::{Error, Kind},
    run_error::{
        engine_lost, execution_error, guard_error, journal_error, missing_error, rollback_error,
        stopped_error, undecided_error,
    },
    settings::RunOptions,
    workspace::Workspace,
};
use crate::{
    discovery::Discovery,
    event::{Event, Outcome, StopReason},
    executor::{Executor, Policy, Replan, Run, RunError, StopRequests},
    journal::{self, Holder, JournalError, Requests, Store, write_holder},
    model::InstanceState,
    plan::{
        PlanInput, Proposal,
        install::{self, Scope},
        rollback, scale,
    },
    plugins::{Drivers, GuardHolder, Guards, ObjectPlaces, Plugins},
    record::Record,
    report::Reporter,
    seam::Observed,
    stage::{Parameters, Selection, Stage, Workflow},
};
use serde_json::json;
use std::{collections::BTreeSet, fs::File, time::Duration};
use tokio::task::JoinHandle;

/// Interval of checks for requests to stop from other commands.
const POLL_INTERVAL: Duration = Duration::from_millis(200);
/// Longest wait for releasing the guard after an abort.
const ABORT_GRACE: Duration = Duration::from_secs(2);
/// Maximum number of repair rounds after a lost connection.
const MAX_REPAIR_ROUNDS: usize = 3;

/// One run to execute.
pub struct Job<'j> {
    /// The workflow with its parameters.
    pub parameters: Parameters,
    /// ID of the execution to resume or roll back.
    pub previous: Option<String>,
    /// The first stage.
    pub stage: Stage,
    /// Events that belong to the run and are journaled first.
    pub first_events: Vec<Event>,
    /// Options of the run.
    pub options: RunOptions,
    /// Command line that resumes the run.
    pub resume_command: String,
    /// Plans the stage again after a restore. By default, the workflow plans it.
    pub replan: Option<Replan<'j>>,
}

/// A caller's work on one deployment.
///
/// Reading requires no lock. [`hold`](Self::hold) acquires the lock until the returned value is
/// dropped: a command holds it for its whole run, a daemon while stages run. Other processes may
/// change the deployment between two holds. Therefore each hold reads the record again.
pub struct Session<'a> {
    workspace: &'a Workspace<'a>,
    drivers: &'a Drivers<'a>,
    name: String,
    /// The record at the last [`refresh`](Self::refresh) or hold; empty before.
    pub record: Record,
}

impl<'a> Session<'a> {
    /// Creates a session without reading anything.
    #[must_use]
    pub fn new(workspace: &'a Workspace<'a>, drivers: &'a Drivers<'a>, name: &str) -> Self {
        Self {
            workspace,
            drivers,
            name: name.to_owned(),
            record: Record::default(),
        }
    }

    /// Reads the record again without a lock.
    ///
    /// # Errors
    ///
    /// If the journal cannot be read.
    pub fn refresh(&mut self) -> Result<&Record, Error> {
        self.record = self.workspace.state.read(&self.name)?.unwrap_or_default();
        Ok(&self.record)
    }

    /// Acquires the lock and reads the record again. Starts a task on the current runtime that
    /// watches for requests to stop.
    ///
    /// # Errors
    ///
    /// If another process holds the lock, the journal cannot be read, or an unknown plugin worked
    /// on the deployment.
    pub fn hold(&mut self, command: &str) -> Result<HeldSession<'_, 'a>, Error> {
        let execution = new_execution_id();
        let holder = Holder::this_process(command, &execution);
        let journal::HeldDeployment {
            store,
            record,
            lock,
        } = self.workspace.state.hold(&self.name, &holder)?;
        refuse_unknown_plugins(&record)?;
        self.workspace.use_secrets_of(&self.name)?;
        self.record = record;
        let stop_requests = self.workspace.caller.stop_requests()?.child();
        Ok(HeldSession {
            _listener: Listener(watch_stop_requests(
                store.requests()?,
                stop_requests.clone(),
            )),
            reporter: self.workspace.caller.reporter(),
            session: self,
            store,
            lock,
            guard: None,
            stop_requests,
            execution,
        })
    }

    /// Observes the present state of the deployment on its engines. An engine that does not respond
    /// is [`Observed::unseen`].
    ///
    /// # Errors
    ///
    /// If no engine responds.
    pub async fn observe(&self) -> Result<Observed, Error> {
        match &self.record.deployment {
            Some(deployment) => {
                let (workspace, record) = (self.workspace, &self.record);
                workspace.observe(self.drivers, deployment, record).await
            }
            None => Ok(Observed::default()),
        }
    }

    async fn observe_for(&self, workflow: Workflow) -> Result<Observed, Error> {
        match &self.record.deployment {
            Some(deployment) if workflow.follows_moved() => {
                let (drivers, record) = (self.drivers, &self.record);
                let workspace = self.workspace;
                workspace
                    .observe_with_moved(drivers, deployment, record)
                    .await
            }
            _ => self.observe().await,
        }
    }

    /// Registers the secrets of recorded definitions for redaction, and trusts the objects that the
    /// user took over. Another run may have recorded both.
    fn register_secrets_and_taken_over(&self) {
        self.drivers.trust_taken_over(&self.record);
        let deployment = self.record.deployment.iter();
        let definitions = deployment.map(|deployment| json!(deployment));
        let dropped = self.record.dropped.iter();
        let dropped = dropped.map(|(_, definition)| json!(definition));
        definitions
            .chain(dropped)
            .for_each(|definition| self.workspace.secrets.register_all(&definition));
        // A secret that never existed is in no output: a script of this deployment creates it.
        let nodes = self
            .record
            .deployment
            .iter()
            .flat_map(|it| it.nodes.values());
        if nodes
            .clone()
            .any(|node| Plugins::default().creates_secrets(node))
        {
            let used = nodes.flat_map(|node| node.secrets.keys());
            let used: BTreeSet<&str> = used.map(String::as_str).collect();
            self.workspace
                .secrets
                .ignore_missing(|name| !used.contains(name));
        }
    }
}

/// A deployment with its lock held by this process.
pub struct HeldSession<'s, 'a> {
    session: &'s mut Session<'a>,
    store: Store,
    lock: File,
    guard: Option<Guards>,
    stop_requests: StopRequests,
    reporter: Box<dyn Reporter>,
    /// ID of the next execution.
    execution: String,
    /// Watches for requests to stop from other commands.
    _listener: Listener,
}

/// Refuses to work on a deployment that an unknown plugin worked on.
pub(crate) fn refuse_unknown_plugins(record: &Record) -> Result<(), Error> {
    let Some((instance, plugin)) = record.unknown_plugin(|id| Plugins::default().has(id)) else {
        return Ok(());
    };
    let message = format!(
        "the plugin `{plugin}` worked on `{instance}`, but this dockctl does not have it; nothing was done"
    );
    let error = Error::new(Kind::Failed, message);
    Err(error.hint("use the dockctl version that ran it, or a newer one"))
}

/// A task that is aborted at the end of the hold.
struct Listener(JoinHandle<()>);

impl Drop for Listener {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl HeldSession<'_, '_> {
    /// Returns the record of the deployment.
    #[must_use]
    pub fn record(&self) -> &Record {
        &self.session.record
    }

    /// Acquires the guard on the engines, and settles the steps that an earlier run left open.
    /// Without `places`, the deployment has no objects on engines, and needs no guard.
    ///
    /// # Errors
    ///
    /// If another run holds the guard, an engine does not respond, the journal cannot be written,
    /// or a request to stop arrives.
    pub async fn guard_and_settle(
        &mut self,
        name: &str,
        places: Option<&ObjectPlaces>,
        command: &str,
    ) -> Result<(), Error> {
        let places = places.filter(|_| self.session.workspace.settings.guarded);
        if let Some(places) = places {
            let guard_holder = GuardHolder::this_process(
                Holder::this_process(command, &self.execution),
                &self.lock,
            );
            let acquired = unless_stopped(
                &self.stop_requests,
                self.session.drivers.guard(name, places, &guard_holder),
            )
            .await?;
            self.guard = Some(acquired.map_err(guard_error)?);
        }
        // Nothing is left of an uninstalled deployment that could show its secrets.
        if self.session.record.is_installed() {
            self.session.register_secrets_and_taken_over();
        } else {
            self.session.drivers.trust_taken_over(&self.session.record);
        }
        let stop_requests = self.stop_requests.clone();
        let (mut executor, _) = self.executor(Policy::default());
        let settled = unless_stopped(&stop_requests, executor.settle()).await?;
        settled.map_err(|error| match error {
            RunError::Journal(error) => Error::from(error),
            RunError::Engine(failure) => Error::from(failure).hint(
                "an earlier run left a step there whose outcome is unknown: nothing can be done before it is settled",
            ),
            RunError::Undecided(failure) => undecided_error(failure),
        })?;
        self.session.drivers.clean_up(name);
        Ok(())
    }

    fn executor(&mut self, policy: Policy) -> (Executor<'_>, (Option<&mut Guards>, &StopRequests)) {
        let executor = Executor {
            record: &mut self.session.record,
            drivers: self.session.drivers,
            journal: &mut self.store,
            reporter: self.reporter.as_mut(),
            secrets: &self.session.workspace.secrets,
            policy,
        };
        (executor, (self.guard.as_mut(), &self.stop_requests))
    }

    /// Records events outside an execution.
    pub(crate) fn record_events(&mut self, events: Vec<Event>) -> Result<(), Error> {
        let (mut executor, _) = self.executor(Policy::default());
        Ok(events
            .into_iter()
            .try_for_each(|event| executor.emit(event))?)
    }

    /// Observes the present state of the deployment on its engines for a workflow.
    ///
    /// # Errors
    ///
    /// If an engine does not respond that the workflow needs, or a request to stop arrives.
    pub async fn observe(&self, workflow: Workflow) -> Result<Observed, Error> {
        let observe = self.session.observe_for(workflow);
        let observed = unless_stopped(&self.stop_requests, observe).await??;
        Ok(workflow.accept(observed)?)
    }

    /// Adds the objects outside the deployment that lose a namespace in the stage of a proposal.
    ///
    /// # Errors
    ///
    /// If a request to stop arrives.
    pub(crate) async fn add_foreign_sharers(
        &self,
        known: &PlanInput<'_>,
        proposal: &mut Proposal,
    ) -> Result<(), Error> {
        let Session {
            workspace, drivers, ..
        } = &self.session;
        let added = workspace.add_foreign_sharers(drivers, known, proposal);
        unless_stopped(&self.stop_requests, added).await
    }

    /// Returns the objects on the default engine that are labeled with a deployment name.
    pub(crate) async fn discover(&self, name: &str) -> Result<Discovery, Error> {
        self.session.drivers.trust_taken_over(&self.session.record);
        let discovery = async { Ok(self.session.drivers.claims(name).await?) };
        unless_stopped(&self.stop_requests, discovery).await?
    }

    /// Executes a job, and rolls it back on failure if the job requires it.
    ///
    /// # Errors
    ///
    /// If the run cannot start or does not succeed.
    pub async fn execute_job(&mut self, job: Job<'_>) -> Result<(), Error> {
        if !job.options.ignore_failures {
            self.check_requirements(&job).await?;
        }
        self.record_events(job.first_events)?;
        self.session.register_secrets_and_taken_over();
        let (id, workflow) = (self.execution.clone(), job.parameters.workflow());
        let policy = job.options.policy(&self.session.workspace.settings);
        let run = Run {
            id: &id,
            parameters: &job.parameters,
            previous: job.previous,
            replan: job.replan,
        };
        self.execute(run, job.stage, policy)
            .await
            .map_err(|error| stopped_error(error, &self.execution, &job.resume_command))?;
        let rolls_back = job.options.rollback
            && workflow == Workflow::Install
            && self.session.record.outcome() == Outcome::Failed
            && !self.stop_requests.is_stopped();
        if !rolls_back {
            self.release_guard().await;
        }
        let was_lost =
            self.session.record.is_stage_complete() && self.session.drivers.lost_connection();
        if was_lost
            && !self
                .restart_stage(workflow)
                .await
                .is_some_and(|stage| stage.is_empty())
        {
            return Err(engine_lost(&self.execution, &job.resume_command));
        }
        let outcome = self
            .finish()
            .map_err(|error| journal_error(error, &job.resume_command))?;
        match outcome {
            Outcome::Terminated => Ok(()),
            _ if rolls_back => {
                self.roll_back(
                    &id,
                    execution_error(&self.session.record, outcome, &job.resume_command),
                )
                .await
            }
            _ => Err(execution_error(
                &self.session.record,
                outcome,
                &job.resume_command,
            )),
        }
    }

    /// Checks the requirements of a possible restore and of the first stage, before any change.
    async fn check_requirements(&mut self, job: &Job<'_>) -> Result<(), Error> {
        let (executor, _) = self.executor(Policy::default());
        // Before an uninstall, dockctl restores only as far as possible.
        if job.parameters.workflow() != Workflow::Uninstall {
            let restoring = executor.missing_to_restore(&job.parameters).await;
            let (restore_stage, missing) =
                restoring.map_err(|error| stopped_error(error, "", &job.resume_command))?;
            if !missing.is_empty() {
                return Err(missing_error(&missing, &restore_stage, job));
            }
        }
        let missing = executor.missing_requirements(&job.stage).await?;
        if missing.is_empty() {
            Ok(())
        } else {
            Err(missing_error(&missing, &job.stage, job))
        }
    }

    /// Records the end of the execution. Call this after releasing the guard: a completed execution
    /// must leave nothing on an engine for the next run to clean up.
    fn finish(&mut self) -> Result<Outcome, JournalError> {
        let settled = scale::resulting_deployment(&self.session.record);
        let (mut executor, _) = self.executor(Policy::default());
        if let Some(deployment) = settled {
            executor.emit(Event::Defined {
                deployment: Box::new(deployment),
            })?;
        }
        executor.finish()
    }

    /// Returns the stage that starts instances again that the workflow started but that no longer
    /// run. Returns `None` if the engine does not respond.
    async fn restart_stage(&self, workflow: Workflow) -> Option<Stage> {
        let Some(selection) = self.must_run(workflow) else {
            return Some(Stage::default());
        };
        let (deployment, observed) = (
            self.session.record.deployment.as_ref()?,
            self.observe(workflow).await.ok()?,
        );
        let mut unseen = observed.unseen.iter().flat_map(|it| &it.instances);
        let is_selected = |id: &String| {
            let instance = deployment.instance(id);
            instance.is_some_and(|it| selection.contains(deployment, it))
        };
        if unseen.any(is_selected) {
            return None;
        }
        let known = PlanInput::new(deployment, &self.session.record, &observed);
        Some(
            install::of(
                &known,
                &Scope {
                    selection: &selection,
                    ..Scope::default()
                },
            )
            .stage,
        )
    }

    /// Returns the instances that must run after a workflow, if any.
    fn must_run(&self, workflow: Workflow) -> Option<Selection> {
        match workflow {
            Workflow::Install | Workflow::Update => Some(Selection::All),
            Workflow::Scale
            | Workflow::Heal
            | Workflow::Start
            | Workflow::Restart
            | Workflow::Reinstall => {
                let touched = self
                    .session
                    .record
                    .stage()
                    .tasks()
                    .iter()
                    .map(|task| task.instance.clone());
                let started =
                    touched.filter(|id| self.session.record.state(id) == InstanceState::Started);
                Some(Selection::of_instances(started)).filter(|selection| !selection.is_none())
            }
            Workflow::Uninstall
            | Workflow::Rollback
            | Workflow::Stop
            | Workflow::Pull
            | Workflow::ExecuteOperation
            | Workflow::CheckStatus
            | Workflow::CheckDrift => None,
        }
    }

    async fn release_guard(&mut self) {
        let Some(guard) = self.guard.take() else {
            return;
        };
        // After an abort, do not wait for an engine that does not respond.
        tokio::select! {
            () = guard.release() => {}
            () = aborted(&self.stop_requests) => {}
        }
    }

    async fn roll_back(&mut self, failed: &str, mut error: Error) -> Result<(), Error> {
        let Some(deployment) = self.session.record.deployment.clone() else {
            return Err(error);
        };
        let id = new_execution_id();
        // Other commands show the rollback as the holder of the lock.
        let _ = write_holder(&mut self.lock, &Holder::this_process("rollback", &id));
        let observed = match self.observe(Workflow::Rollback).await {
            Ok(observed) => observed,
            Err(cause) => {
                error.message += &format!("; the rollback did not start: {}", cause.message);
                return Err(error);
            }
        };
        let proposal = rollback::next(&deployment, &self.session.record, &observed, failed);
        let policy = RunOptions::default().policy(&self.session.workspace.settings);
        let parameters = Workflow::Rollback.into();
        let of = Some(failed.to_owned());
        let run = Run {
            id: &id,
            parameters: &parameters,
            previous: of,
            replan: None,
        };
        let words = ["resume", "-d", &deployment.name];
        let resume_command = self.session.workspace.caller.command_line(&words);
        let done = self
            .execute(run, proposal.stage, policy)
            .await
            .map_err(|error| stopped_error(error, &id, &resume_command));
        self.release_guard().await;
        done?;
        let outcome = self
            .finish()
            .map_err(|error| journal_error(error, &resume_command))?;
        Err(rollback_error(
            error,
            &self.session.record,
            outcome,
            &resume_command,
        ))
    }

    async fn execute(
        &mut self,
        run: Run<'_>,
        stage: Stage,
        policy: Policy,
    ) -> Result<(), RunError> {
        let caller = self.session.workspace.caller;
        let workflow = run.parameters.workflow();
        let (mut executor, (guard, stop_requests)) = self.executor(policy);
        run_guarded(
            executor.execute(run, stage, stop_requests),
            guard,
            (stop_requests, caller),
        )
        .await?;
        Ok(self.restart_stopped(workflow, policy).await?)
    }

    /// Starts containers again that stopped while a connection was lost. The engine may have
    /// stopped, together with containers that the run had just started.
    async fn restart_stopped(
        &mut self,
        workflow: Workflow,
        policy: Policy,
    ) -> Result<(), JournalError> {
        for _ in 0..MAX_REPAIR_ROUNDS {
            if !self.session.record.is_stage_complete() || !self.session.drivers.lost_connection() {
                return Ok(());
            }
            let Some(stage) = self
                .restart_stage(workflow)
                .await
                .filter(|stage| !stage.is_empty())
            else {
                return Ok(());
            };
            let caller = self.session.workspace.caller;
            let (mut executor, (guard, stop_requests)) = self.executor(policy);
            run_guarded(
                executor.run_stage(stage, stop_requests),
                guard,
                (stop_requests, caller),
            )
            .await?;
        }
        Ok(())
    }

    /// Releases the deployment and deletes old executions.
    pub async fn release(mut self) {
        self.release_guard().await;
        let workspace = self.session.workspace;
        if let Err(error) = self.store.prune(workspace.settings.keep_history.into()) {
            workspace.warn(format!("cannot delete old executions: {error}"));
        }
        let name = &self.session.name;
        let dropped = if self.session.record.is_installed() {
            Ok(())
        } else {
            workspace.state.drop_resources(name)
        };
        if let Err(error) = dropped {
            workspace.warn(format!("cannot delete the files of `{name}`: {error}"));
        }
    }
}

/// Completes shortly after an abort is requested.
async fn aborted(stop_requests: &StopRequests) {
    while !stop_requests.is_aborted() {
        tokio::time::sleep(POLL_INTERVAL).await;
    }
    tokio::time::sleep(ABORT_GRACE).await;
}

/// Cancels work that has not changed anything yet, as soon as a request to stop arrives.
async fn unless_stopped<T>(
    stop_requests: &StopRequests,
    work: impl Future<Output = T>,
) -> Result<T, Error> {
    tokio::select! {
        biased;
        () = stop_requests.wait_for_stop() => Err(Error::new(Kind::Interrupted, "cancelled before any step was started")),
        done = work => Ok(done),
    }
}

/// Aborts a run if it loses the guard to another run.
async fn run_guarded<E>(
    run: impl Future<Output = Result<(), E>>,
    guard: Option<&mut Guards>,
    (stop_requests, caller): (&StopRequests, &dyn Caller),
) -> Result<(), E> {
    let mut run = std::pin::pin!(run);
    let Some(guard) = guard else { return run.await };
    tokio::select! {
        ran = &mut run => ran,
        holder = guard.lost() => {
            caller.notify(&Notice::Warning(format!("the deployment was taken over on the engine by {holder}; stopping this run")));
            stop_requests.abort(StopReason::GuardLost);
            run.await
        }
    }
}

/// Returns a new execution ID: eight characters of [a-z0-9].
fn new_execution_id() -> String {
    std::iter::repeat_with(fastrand::alphanumeric)
        .map(|c| c.to_ascii_lowercase())
        .take(8)
        .collect()
}

/// Watches for requests to stop from other commands.
fn watch_stop_requests(requests: Requests, stop_requests: StopRequests) -> JoinHandle<()> {
    tokio::spawn(async move {
        loop {
            match requests.stop() {
                Some(true) => return stop_requests.abort(StopReason::Asked),
                Some(false) => stop_requests.stop(StopReason::Asked),
                None => {}
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    })
}
