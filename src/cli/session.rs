//! A deployment that is held for one command: lock, guard, signals, and carrying out stages.

use super::{
    args::{Global, RunArgs},
    error::{CliError, Kind},
    run::{ended_badly, reporter},
    workspace::Workspace,
};
use crate::{
    event::{Event, Outcome, Why},
    executor::{Executor, Policy, Replan, Run, Signals, Unsettled},
    journal::{Held, Holder, JournalError, Requests, Store, write_holder},
    model::InstanceState,
    plan::{
        Known,
        install::{self, Scope},
        rollback, scale,
    },
    plugins::{Drivers, GuardHolder, Guards, Places, Plugins, Unguarded},
    preflight::Lack,
    record::Record,
    report::Reporter,
    seam::Observed,
    stage::{Parameters, Selection, Stage, Task, Workflow},
    told::Told,
};
use serde_json::json;
use std::{collections::BTreeSet, fs::File, time::Duration};
use tokio::{task::JoinHandle, time::Instant};

/// How often it is looked whether another command asks to stop.
const LOOK: Duration = Duration::from_millis(200);
/// How long the engine has to take the guard back from a run that was told to drop everything.
const HURRY: Duration = Duration::from_secs(2);
/// How often a run looks at what it made after a connection was lost, and mends it.
const ROUNDS: usize = 3;

/// How a run is carried out, as the user asks for it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct How {
    pub run: RunArgs,
    /// What a failed install created is taken back.
    pub rollback: bool,
    pub ignore_failures: bool,
}

impl How {
    /// The flags that ask for it again.
    pub(crate) fn flags(&self) -> impl Iterator<Item = String> + use<> {
        let switches = [
            (self.rollback, "--rollback-on-failure"),
            (self.ignore_failures, "--ignore-failure"),
            (self.run.fail_fast, "--fail-fast"),
        ];
        switches
            .into_iter()
            .filter(|(given, _)| *given)
            .map(|(_, flag)| flag.to_owned())
    }

    fn policy(&self, global: &Global) -> Policy {
        Policy {
            parallel: global.parallel.into(),
            retries: global.task_retries.into(),
            interval: global.task_retry_interval,
            subgraph_retries: self.run.subgraph_retries.into(),
            fail_fast: self.run.fail_fast,
            ignore_failures: self.ignore_failures,
            roll_back: self.rollback,
            deadline: self
                .run
                .timeout
                .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
                .map(|time| Instant::now() + time),
        }
    }
}

/// What is to be carried out.
pub(crate) struct Job<'j> {
    /// The workflow, with what is said of it.
    pub parameters: Parameters,
    /// The execution that is gone on with, or taken back.
    pub of: Option<String>,
    pub stage: Stage,
    /// Events that belong to the run and are put down first.
    pub before: Vec<Event>,
    pub how: How,
    /// The command that takes the run up again.
    pub again: String,
    /// Plans the stage again, if something had to be restored first; none: as the workflow does.
    pub replan: Option<Replan<'j>>,
}

/// A deployment that this process holds.
pub(crate) struct Session<'a> {
    workspace: &'a Workspace<'a>,
    drivers: &'a Drivers<'a>,
    pub record: Record,
    store: Store,
    lock: File,
    guard: Option<Guards>,
    signals: Signals,
    reporter: Box<dyn Reporter>,
    /// Id of the execution that it will be.
    execution: String,
    /// What listens to other commands meanwhile.
    _requests: Listener,
}

/// Refuses to plan on top of what a plugin did that is not here.
pub(crate) fn expect_known(record: &Record) -> Result<(), CliError> {
    let Some((instance, plugin)) = record.unknown_plugin(|id| Plugins::default().has(id)) else {
        return Ok(());
    };
    let message = format!(
        "the plugin `{plugin}` worked on `{instance}`, and this dockctl does not have it; nothing was done"
    );
    let error = CliError::new(Kind::Failed, message);
    Err(error.hint("use the dockctl that did it, or a newer one"))
}

/// A task that ends with the session.
struct Listener(JoinHandle<()>);

impl Drop for Listener {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl<'a> Session<'a> {
    /// Holds a deployment here. Signals and requests to stop are heeded from now on.
    pub(crate) fn begin(
        workspace: &'a Workspace<'a>,
        drivers: &'a Drivers<'a>,
        name: &str,
        command: &str,
    ) -> Result<Self, CliError> {
        let execution = fresh_id();
        let Held {
            store,
            record,
            lock,
        } = workspace
            .state
            .hold(name, &Holder::this(command, &execution))?;
        expect_known(&record)?;
        let signals = workspace.signals()?.child();
        let requests = Listener(heed(store.requests()?, signals.clone()));
        let reporter = reporter(workspace.global);
        Ok(Self {
            workspace,
            drivers,
            record,
            store,
            lock,
            guard: None,
            signals,
            reporter,
            execution,
            _requests: requests,
        })
    }

    /// Holds it on its engines too, and settles what an earlier run left open.
    pub(crate) async fn settle(
        &mut self,
        name: &str,
        places: &Places,
        command: &str,
    ) -> Result<(), CliError> {
        if !self.workspace.global.no_guard {
            let me = GuardHolder::this(Holder::this(command, &self.execution), &self.lock);
            let taken =
                unless_stopped(&self.signals, self.drivers.guard(name, places, &me)).await?;
            self.guard = Some(taken.map_err(unguarded)?);
        }
        self.learn();
        let signals = self.signals.clone();
        let (mut executor, _) = self.executor(Policy::default());
        unless_stopped(&signals, executor.settle())
            .await?
            .map_err(|error| match error {
                Unsettled::Journal(error) => error.into(),
                Unsettled::Engine(failure) => failure.into(),
            })
    }

    /// What another run put down can hold secrets that this one has not asked for, and ids of what
    /// the user took over.
    fn learn(&self) {
        self.drivers.trust(&self.record);
        let definitions = self
            .record
            .deployment
            .iter()
            .map(|deployment| json!(deployment));
        let dropped = self
            .record
            .dropped
            .iter()
            .map(|(_, definition)| json!(definition));
        definitions
            .chain(dropped)
            .for_each(|definition| self.workspace.secrets.learn(&definition));
    }

    fn executor(&mut self, policy: Policy) -> (Executor<'_>, (Option<&mut Guards>, &Signals)) {
        let executor = Executor {
            record: &mut self.record,
            drivers: self.drivers,
            journal: &mut self.store,
            reporter: self.reporter.as_mut(),
            secrets: &self.workspace.secrets,
            policy,
        };
        (executor, (self.guard.as_mut(), &self.signals))
    }

    /// Puts events down that belong to no execution.
    pub(crate) fn note(&mut self, events: Vec<Event>) -> Result<(), CliError> {
        let (mut executor, _) = self.executor(Policy::default());
        Ok(events
            .into_iter()
            .try_for_each(|event| executor.emit(event))?)
    }

    /// What the engines say of the deployment now.
    pub(crate) async fn observe(&self) -> Result<Observed, CliError> {
        match &self.record.deployment {
            Some(deployment) => {
                unless_stopped(
                    &self.signals,
                    self.workspace
                        .observe(self.drivers, deployment, &self.record),
                )
                .await?
            }
            None => Ok(Observed::default()),
        }
    }

    /// What labels on the default engine tell of the deployments of a name.
    pub(crate) async fn told(&self, name: &str) -> Result<Told, CliError> {
        self.drivers.trust(&self.record);
        let asked = async { Ok(self.drivers.told(name).await?) };
        unless_stopped(&self.signals, asked).await?
    }

    /// Carries a job out, and takes it back if that is wanted.
    pub(crate) async fn carry_out(&mut self, job: Job<'_>) -> Result<(), CliError> {
        if !job.how.ignore_failures {
            self.expect_all(&job).await?;
        }
        self.note(job.before)?;
        self.learn();
        let (id, workflow) = (self.execution.clone(), job.parameters.workflow());
        let policy = job.how.policy(self.workspace.global);
        let run = Run {
            id: &id,
            parameters: &job.parameters,
            of: job.of,
            replan: job.replan,
        };
        self.execute(run, job.stage, policy)
            .await
            .map_err(|error| stuck(error, &self.execution, &job.again))?;
        let takes_back = job.how.rollback
            && workflow == Workflow::Install
            && self.record.outcome() == Outcome::Failed
            && !self.signals.is_stopped();
        if !takes_back {
            self.release().await;
        }
        let was_cut = self.record.is_done() && self.drivers.was_cut();
        if was_cut
            && !self
                .lost(workflow)
                .await
                .is_some_and(|stage| stage.is_empty())
        {
            return Err(went_away(&self.execution, &job.again));
        }
        let outcome = self
            .finish()
            .map_err(|error| cannot_go_on(error, &job.again))?;
        match outcome {
            Outcome::Terminated => Ok(()),
            _ if takes_back => {
                self.take_back(&id, ended_badly(&self.record, outcome, &job.again))
                    .await
            }
            _ => Err(ended_badly(&self.record, outcome, &job.again)),
        }
    }

    /// Everything that the first stage needs is at hand, or nothing is begun.
    async fn expect_all(&mut self, job: &Job<'_>) -> Result<(), CliError> {
        let (executor, _) = self.executor(Policy::default());
        // What is taken down anyway is restored only as far as it goes.
        if job.parameters.workflow() != Workflow::Uninstall {
            let restoring = executor.lacks_to_restore(&job.parameters).await;
            let (first, lacks) = restoring.map_err(|error| stuck(error, "", &job.again))?;
            if !lacks.is_empty() {
                return Err(lacking(&lacks, &first, job));
            }
        }
        let lacks = executor.lacks(&job.stage).await?;
        if lacks.is_empty() {
            Ok(())
        } else {
            Err(lacking(&lacks, &job.stage, job))
        }
    }

    /// The end of an execution is put down when nothing is left on an engine that the next run
    /// would have to clear away.
    fn finish(&mut self) -> Result<Outcome, JournalError> {
        let settled = scale::settled(&self.record);
        let (mut executor, _) = self.executor(Policy::default());
        if let Some(deployment) = settled {
            executor.emit(Event::Defined {
                deployment: Box::new(deployment),
            })?;
        }
        executor.finish()
    }

    /// What brings back what a workflow brought up and is not there any more; none if the engine
    /// does not say.
    async fn lost(&self, workflow: Workflow) -> Option<Stage> {
        let Some(selection) = self.brought_up(workflow) else {
            return Some(Stage::default());
        };
        let (deployment, observed) = (self.record.deployment.as_ref()?, self.observe().await.ok()?);
        let known = Known::new(deployment, &self.record, &observed);
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

    /// The instances that a workflow is to leave working; none if it is to leave none so.
    fn brought_up(&self, workflow: Workflow) -> Option<Selection> {
        match workflow {
            Workflow::Install | Workflow::Update => Some(Selection::All),
            Workflow::Scale
            | Workflow::Heal
            | Workflow::Start
            | Workflow::Restart
            | Workflow::Reinstall => {
                let touched = self
                    .record
                    .stage()
                    .tasks()
                    .iter()
                    .map(|task| task.instance.clone());
                let started = touched.filter(|id| self.record.state(id) == InstanceState::Started);
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

    async fn release(&mut self) {
        let Some(guard) = self.guard.take() else {
            return;
        };
        // Who was told to drop everything waits for no engine that does not answer.
        tokio::select! {
            () = guard.release() => {}
            () = hurried(&self.signals) => {}
        }
    }

    async fn take_back(&mut self, failed: &str, mut error: CliError) -> Result<(), CliError> {
        let Some(deployment) = self.record.deployment.clone() else {
            return Err(error);
        };
        let id = fresh_id();
        // Who asks is told what runs now.
        let _ = write_holder(&mut self.lock, &Holder::this("rollback", &id));
        let observed = match self.observe().await {
            Ok(observed) => observed,
            Err(cause) => {
                return Err(error.hint(format!("nothing was taken back: {}", cause.message)));
            }
        };
        let proposal = rollback::next(&deployment, &self.record, &observed, failed);
        let how = How {
            run: RunArgs {
                fail_fast: false,
                timeout: None,
                subgraph_retries: 0,
            },
            rollback: false,
            ignore_failures: false,
        };
        let policy = how.policy(self.workspace.global);
        let parameters = Workflow::Rollback.into();
        let of = Some(failed.to_owned());
        let run = Run {
            id: &id,
            parameters: &parameters,
            of,
            replan: None,
        };
        let again = self.workspace.again(&["resume", "-d", &deployment.name]);
        let done = self
            .execute(run, proposal.stage, policy)
            .await
            .map_err(|error| stuck(error, &id, &again));
        self.release().await;
        done?;
        let outcome = self.finish().map_err(|error| cannot_go_on(error, &again))?;
        super::run::tell_rollback(&mut error, &self.record, outcome, &again);
        Err(error)
    }

    async fn execute(
        &mut self,
        run: Run<'_>,
        stage: Stage,
        policy: Policy,
    ) -> Result<(), Unsettled> {
        let (mut executor, (guard, signals)) = self.executor(policy);
        let workflow = run.parameters.workflow();
        guarded(executor.execute(run, stage, signals), guard, signals).await?;
        Ok(self.mend(workflow, policy).await?)
    }

    /// An engine that went away may have taken containers with it that were started a moment ago:
    /// after a lost connection a run is not over before it has looked once more.
    async fn mend(&mut self, workflow: Workflow, policy: Policy) -> Result<(), JournalError> {
        for _ in 0..ROUNDS {
            if !self.record.is_done() || !self.drivers.was_cut() {
                return Ok(());
            }
            let Some(stage) = self.lost(workflow).await.filter(|stage| !stage.is_empty()) else {
                return Ok(());
            };
            let (mut executor, (guard, signals)) = self.executor(policy);
            guarded(executor.run(stage, signals), guard, signals).await?;
        }
        Ok(())
    }

    /// Gives the deployment free, and forgets what is too old.
    pub(crate) async fn end(mut self) -> Record {
        self.release().await;
        if let Err(error) = self.store.prune(self.workspace.global.keep_history.into()) {
            super::warn(&format!("old executions are still remembered: {error}"));
        }
        self.record
    }
}

/// Comes a moment after everything is to be dropped.
async fn hurried(signals: &Signals) {
    while !signals.is_aborted() {
        tokio::time::sleep(LOOK).await;
    }
    tokio::time::sleep(HURRY).await;
}

/// What has not begun anything yet is simply left when the user asks to stop.
async fn unless_stopped<T>(
    signals: &Signals,
    work: impl Future<Output = T>,
) -> Result<T, CliError> {
    tokio::select! {
        done = work => Ok(done),
        () = signals.stopped() => Err(CliError::new(Kind::Interrupted, "stopped before anything was begun")),
    }
}

/// Carries out for as long as the guard is ours.
async fn guarded<E>(
    run: impl Future<Output = Result<(), E>>,
    guard: Option<&mut Guards>,
    signals: &Signals,
) -> Result<(), E> {
    let mut run = std::pin::pin!(run);
    let Some(guard) = guard else { return run.await };
    tokio::select! {
        ran = &mut run => ran,
        holder = guard.lost() => {
            super::warn(&format!("the deployment was taken over on the engine by {holder}; this run stops"));
            signals.abort(Why::GuardLost);
            run.await
        }
    }
}

/// Ids of executions: eight characters of [a-z0-9].
fn fresh_id() -> String {
    std::iter::repeat_with(fastrand::alphanumeric)
        .map(|c| c.to_ascii_lowercase())
        .take(8)
        .collect()
}

/// Heeds what other commands ask.
fn heed(requests: Requests, signals: Signals) -> JoinHandle<()> {
    tokio::spawn(async move {
        loop {
            match requests.stop() {
                Some(true) => return signals.abort(Why::Asked),
                Some(false) => signals.stop(Why::Asked),
                None => {}
            }
            tokio::time::sleep(LOOK).await;
        }
    })
}

fn unguarded(unguarded: Unguarded) -> CliError {
    match unguarded {
        Unguarded::Refused(failure) => CliError::from(failure)
            .hint("--no-guard does without it, if nobody else works on the deployment"),
        Unguarded::Busy(holder, left) => {
            let error = CliError::new(
                Kind::Busy,
                format!("the deployment is in use on the engine by {holder}"),
            );
            error
                .hint(format!("wait until it is done; if it died, it holds the deployment for {left} more seconds"))
                .hint("dockctl unlock shows it, and removes what is dead")
        }
    }
}

/// Names what is missing, and the whole command to repeat.
fn lacking(lacks: &[Lack], stage: &Stage, job: &Job<'_>) -> CliError {
    let line = |lack: &Lack| {
        let Task {
            instance,
            operation,
            place,
            ..
        } = stage.task(lack.task);
        format!("{instance}.{operation}: {}\n  --> {place}\n", lack.why)
    };
    let told = |lack: &Lack| {
        let Task {
            instance,
            operation,
            ..
        } = stage.task(lack.task);
        json!({ "instance": instance, "operation": operation, "why": lack.why, "inputs": lack.inputs })
    };
    let mut error = CliError::new(
        Kind::Invalid,
        format!(
            "{} cannot begin: values or files are missing; nothing was done",
            job.parameters.workflow()
        ),
    );
    error.preamble = lacks.iter().map(line).collect();
    error.fields = json!({ "lacking": lacks.iter().map(told).collect::<Vec<_>>() });
    let inputs: BTreeSet<&String> = lacks.iter().flat_map(|lack| &lack.inputs).collect();
    let missing = inputs.into_iter().map(|name| format!(" -i {name}=VALUE"));
    let inputs: String = missing
        .filter(|input| !format!("{} ", job.again).contains(&format!("{input} ")))
        .collect();
    error.hint(format!("then run: {}{inputs}", job.again))
}

/// The engine was restarted when everything was done. The execution stays open: the next run goes
/// on with it.
fn went_away(execution: &str, again: &str) -> CliError {
    let mut error = CliError::new(
        Kind::Failed,
        format!(
            "the engine went away at the end of execution {execution}, and took with it what ran there"
        ),
    );
    error.execution = Some(execution.to_owned());
    error.hint(format!("go on with: {again}"))
}

/// The run cannot go on. The execution stays open.
fn stuck(error: Unsettled, execution: &str, again: &str) -> CliError {
    match error {
        Unsettled::Journal(error) => cannot_go_on(error, again),
        Unsettled::Engine(failure) => {
            let mut error = CliError::from(failure);
            error.execution = Some(execution.to_owned());
            error.hint(format!("go on with: {again}"))
        }
    }
}

/// The journal cannot be written: what was under way has ended, and what came of it is settled
/// later.
fn cannot_go_on(error: JournalError, again: &str) -> CliError {
    let full = error.is_full();
    let mut told = CliError::from(error);
    told.hints.clear();
    let told = if full {
        told.hint("free some room where the state is kept")
    } else {
        told
    };
    told.hint(format!("nothing new was started; what was under way was let end, and is looked at by the next run: {again}"))
}
