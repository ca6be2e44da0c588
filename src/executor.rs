//! Runs stages of an execution.
//!
//! One loop owns the whole state. Calls to drivers run concurrently in the same async task, without
//! locks or shared state. All state changes go through [`Executor::emit`], which checks, stores and
//! reports each event.

use crate::{
    event::{Entry, Event, LogEntry, Outcome, StopReason, now},
    instance_record::RollbackScope,
    journal::{Journal, JournalError},
    model::{
        Deployment, Retry,
        function::{contains_concealed, reveal},
    },
    plan::{self, PlanInput, restore},
    plugins::{Drivers, ObserveContext, Processed},
    preflight::{self, MissingRequirement},
    record::{Execution, FunctionContext, Record},
    report::Reporter,
    seam::{
        Call, Failure, FailureKind, LogLine, Outputs, Participant, Settled, Settling, Step,
        StepNote, Subject,
    },
    secrets::Secrets,
    stage::{Parameters, Stage, Task, TaskId, Workflow},
};
use futures_util::{
    FutureExt as _, StreamExt as _, future::LocalBoxFuture, stream::FuturesUnordered,
};
use std::{
    collections::{HashMap, VecDeque},
    rc::Rc,
    sync::{Arc, OnceLock},
    time::Duration,
};
use thiserror::Error;
use tokio::{
    sync::{
        mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
        oneshot,
    },
    time::{Instant, sleep_until, timeout_at},
};
use tokio_util::sync::CancellationToken;

/// Longest delay between retries with exponential backoff, in seconds.
const MAX_DELAY: f64 = 60.0;
/// Largest random extension of a backoff delay, as a fraction. It keeps steps that failed together
/// from retrying together.
const JITTER: f64 = 0.25;
/// Time for running steps to finish after the time limit of the run.
const GRACE: Duration = Duration::from_secs(10);

/// Options of a run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Policy {
    /// Maximum number of concurrent calls to drivers.
    pub parallel: usize,
    /// Number of retries of a failed operation if the blueprint sets none; negative: unlimited.
    pub retries: f64,
    /// Seconds before the first retry if the blueprint sets no interval. Each later delay is twice
    /// as long, up to a minute.
    pub retry_interval: f64,
    /// How often permanently failed instances are uninstalled and installed again.
    pub subgraph_retries: usize,
    /// Start no new tasks after a permanent failure.
    pub fail_fast: bool,
    /// Ignore failures: dependent tasks run as if the task had succeeded, without retries.
    pub ignore_failures: bool,
    /// Roll back the created instances if the run fails.
    pub roll_back: bool,
    /// Deadline of the run.
    pub deadline: Option<Instant>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            parallel: 10,
            retries: 5.0,
            retry_interval: 3.0,
            subgraph_retries: 0,
            fail_fast: false,
            ignore_failures: false,
            roll_back: false,
            deadline: None,
        }
    }
}

/// Requests to a run that is in progress.
#[derive(Clone, Debug, Default)]
pub struct StopRequests {
    /// Start no new tasks, abandon waits, let running steps finish.
    stop: CancellationToken,
    /// Drop running calls; the journal shows which steps are not settled.
    abort: CancellationToken,
    reason: Arc<OnceLock<StopReason>>,
}

impl StopRequests {
    /// Returns the requests of one run: a request to the parent reaches the child, and a request to
    /// the child does not reach the parent.
    #[must_use]
    pub fn child(&self) -> Self {
        Self {
            stop: self.stop.child_token(),
            abort: self.abort.child_token(),
            reason: Arc::default(),
        }
    }

    /// Requests that no new tasks start. The first reason counts.
    pub fn stop(&self, why: StopReason) {
        let _ = self.reason.set(why);
        self.stop.cancel();
    }

    /// Requests that everything is abandoned immediately.
    pub fn abort(&self, why: StopReason) {
        self.stop(why);
        self.abort.cancel();
    }

    /// Returns true if a stop was requested.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Returns true if an immediate stop was requested.
    #[must_use]
    pub fn is_aborted(&self) -> bool {
        self.abort.is_cancelled()
    }

    /// Waits until a stop is requested.
    pub async fn wait_for_stop(&self) {
        self.stop.cancelled().await;
    }

    fn why(&self) -> StopReason {
        self.reason.get().copied().unwrap_or_default()
    }
}

/// The reason why a run cannot continue or an earlier run cannot be settled.
#[derive(Debug, Error)]
pub enum RunError {
    /// The journal cannot be written.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A person must find out the outcome of a step.
    #[error("{}", .0.message)]
    Undecided(Failure),
    /// An outcome or a present state could not be read from the engine.
    #[error("{}", .0.message)]
    Engine(Failure),
}

/// An execution to run.
pub struct Run<'r> {
    /// Its ID.
    pub id: &'r str,
    /// The workflow with its parameters.
    pub parameters: &'r Parameters,
    /// The execution that this one resumes or rolls back.
    pub previous: Option<String>,
    /// Plans the first stage again after a restore; none: plan as the workflow does.
    pub replan: Option<Replan<'r>>,
}

/// Plans a stage from the present state.
pub type Replan<'r> = Box<dyn Fn(&PlanInput<'_>) -> Stage + 'r>;

/// A run and its connections to the other parts.
pub struct Executor<'a> {
    /// The record of the deployment.
    pub record: &'a mut Record,
    /// The drivers that run steps.
    pub drivers: &'a Drivers<'a>,
    /// The journal that stores events.
    pub journal: &'a mut dyn Journal,
    /// The reporter that prints events.
    pub reporter: &'a mut dyn Reporter,
    /// Secrets, for late values and for redaction.
    pub secrets: &'a Secrets,
    /// Options of the run.
    pub policy: Policy,
}

/// A completed call or delay.
enum Completed {
    /// The result of a call. The call is none if it could not begin.
    Result(TaskId, Option<Rc<Call>>, Result<Outputs, Failure>),
    Delay(TaskId),
    /// The driver was notified that the outcome of a call is in the journal.
    Notified,
}

/// A message from a running step.
struct SentNote {
    task: TaskId,
    note: StepNote,
    /// Confirms that the message was processed.
    processed: oneshot::Sender<()>,
}

/// The state of a running stage.
struct RunningStage<'a> {
    /// Snapshot of the deployment at the start of the stage.
    deployment: Rc<Deployment>,
    calls: FuturesUnordered<LocalBoxFuture<'a, Completed>>,
    /// Number of running calls, limited by `parallel`; delays do not count.
    running_calls: usize,
    attempts: HashMap<TaskId, u32>,
    /// Remaining time of an operation with a `timeout`, by instance and operation.
    remaining: HashMap<(String, String), Duration>,
    /// Start time of each call.
    started_at: HashMap<TaskId, Instant>,
    /// Tasks to retry as soon as fewer than `parallel` calls run.
    due: VecDeque<TaskId>,
    /// The last failure of each task that is retried.
    failures: HashMap<TaskId, Failure>,
    /// Deadline of the run.
    deadline: Option<Instant>,
    notes: UnboundedSender<SentNote>,
    stop: CancellationToken,
}

/// Waits for the deadline, or indefinitely without one.
async fn deadline_passed(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

impl<'a> Executor<'a> {
    /// Settles open tasks of an earlier run by observing engines, and finishes its execution if its
    /// process died.
    ///
    /// # Errors
    ///
    /// If an engine cannot be queried, or the journal cannot be written.
    pub async fn settle(&mut self) -> Result<(), RunError> {
        self.settle_open().await?;
        if self.record.running().is_some() {
            self.emit(Event::ExecutionFinished {
                outcome: Outcome::Interrupted,
            })?;
        }
        Ok(())
    }

    /// Settles the tasks of the stage whose outcome was lost.
    async fn settle_open(&mut self) -> Result<(), RunError> {
        let open: Vec<(TaskId, u64)> = self.record.unsettled().collect();
        let deployment = self.deployment();
        for (task, since) in open {
            let planned = self.record.stage().task(task);
            let step = planned
                .step
                .bind_target(&self.function_context(planned))
                .map_err(|message| RunError::Engine(Failure::fatal(message)))?;
            let call = self.call(task, (step, 1), &deployment, CancellationToken::new());
            // If the object that the step ran in is gone, the outcome is unknown.
            let call = self.with_inside(call).ok();
            let settled = match &call {
                Some(call) => Box::pin(self.drivers.settle(call, since)).await,
                None => Ok(Settled::Unknown),
            };
            let settled = settled.map_err(RunError::Engine)?;
            let needs_user = settled == Settled::Unknown && self.needs_user(task);
            let event = self.settled_event(task, settled);
            self.emit(event)?;
            if let Some(call) = &call {
                self.drivers.outcome_recorded(call).await;
            }
            if needs_user {
                return Err(RunError::Undecided(self.outcome_unknown(task)));
            }
        }
        Ok(())
    }

    /// Returns true if a person must check a task whose outcome is unknown.
    fn needs_user(&self, task: TaskId) -> bool {
        self.record.stage().task(task).step.traits.settling == Settling::AskUser
    }

    fn outcome_unknown(&self, task: TaskId) -> Failure {
        let step = &self.record.stage().task(task).step;
        Failure::fatal(format!("the outcome of this step is unknown: {step}")).hint(
            "check whether it took effect, and undo it by hand if it did; the next run repeats it",
        )
    }

    /// Returns the event for the result of settling a task.
    fn settled_event(&self, task: TaskId, settled: Settled) -> Event {
        let failed = |failure| Event::TaskFailed {
            task,
            failure,
            retry_in: None,
            ignored: false,
        };
        match settled {
            Settled::Done(outputs) => Event::TaskSettled { task, outputs },
            Settled::Failed(failure) => failed(failure),
            Settled::Unknown if self.needs_user(task) => failed(self.outcome_unknown(task)),
            Settled::NotDone | Settled::Unknown => Event::TaskInterrupted { task },
        }
    }

    /// Runs all stages of an execution; [`finish`](Self::finish) ends it. If an earlier run left a
    /// replacement unfinished, its objects are restored first, and the first stage is planned
    /// again.
    ///
    /// # Errors
    ///
    /// Same as [`Self::run_stages`].
    pub async fn execute(
        &mut self,
        run: Run<'_>,
        stage: Stage,
        stop_requests: &StopRequests,
    ) -> Result<(), RunError> {
        let restores = restore::must_come_first(self.record, self.drivers.plugins, run.parameters);
        self.start_execution(run.id, run.parameters, run.previous)?;
        let workflow = run.parameters.workflow();
        if !restores || !self.restore(workflow, stop_requests).await? {
            return self.run_stages(stage, stop_requests).await;
        }
        if stop_requests.is_aborted() {
            return Ok(());
        }
        let planned = self.plan_stage(workflow, |known| {
            let first = || plan::first(run.parameters, known).stage;
            let mut stage = run
                .replan
                .as_ref()
                .map_or_else(first, |replan| replan(known));
            // Objects that could not be restored are still replaced.
            stage.is_retry = true;
            Some(stage)
        });
        self.run_stages(planned.await?.unwrap_or_default(), stop_requests)
            .await
    }

    /// Starts an execution. `of` is the execution that it resumes or rolls back.
    ///
    /// # Errors
    ///
    /// If the journal cannot be written.
    pub fn start_execution(
        &mut self,
        execution: &str,
        parameters: &Parameters,
        of: Option<String>,
    ) -> Result<(), JournalError> {
        let takes_back = match (&of, parameters) {
            (Some(failed), Parameters::Rollback(_)) => self.record.rollback_scope(failed),
            _ => RollbackScope::default(),
        };
        let rolls_back = self.policy.roll_back;
        let (execution, parameters) = (execution.to_owned(), Box::new(parameters.clone()));
        self.emit(Event::ExecutionStarted {
            execution,
            dockctl: env!("CARGO_PKG_VERSION").to_owned(),
            parameters,
            of,
            rolls_back,
            rollback_scope: takes_back,
        })
    }

    /// Runs the first stage of the execution and the stages that follow from its results.
    ///
    /// # Errors
    ///
    /// If the journal cannot be written, or an engine does not respond when observed between two
    /// stages.
    pub async fn run_stages(
        &mut self,
        first: Stage,
        stop_requests: &StopRequests,
    ) -> Result<(), RunError> {
        let first = self.checked(first).await?;
        self.run_stage(first, stop_requests).await?;
        self.run_following_stages(stop_requests).await
    }

    /// Returns the unmet requirements of a stage, including features that an engine does not
    /// support.
    ///
    /// # Errors
    ///
    /// If an engine does not respond.
    pub async fn missing_requirements(
        &self,
        stage: &Stage,
    ) -> Result<Vec<MissingRequirement>, Failure> {
        let mut missing = preflight::missing_requirements(
            stage,
            self.record.deployment.as_ref(),
            (self.drivers.plugins, self.secrets),
        );
        let steps: Vec<&Step> = stage.tasks().iter().map(|task| &task.step).collect();
        let refusals = self.drivers.unsupported_features(&steps).await?;
        for (task, reasons) in stage.ids().zip(refusals) {
            missing.extend(reasons.into_iter().map(|why| MissingRequirement {
                task,
                reason: why,
                inputs: Vec::new(),
            }));
        }
        Ok(missing)
    }

    /// If the next run must restore first, returns the stage that restores and its unmet
    /// requirements.
    ///
    /// # Errors
    ///
    /// If an engine does not respond.
    pub async fn missing_to_restore(
        &self,
        parameters: &Parameters,
    ) -> Result<(Stage, Vec<MissingRequirement>), RunError> {
        if !restore::must_come_first(self.record, self.drivers.plugins, parameters) {
            return Ok((Stage::default(), Vec::new()));
        }
        let stage = self
            .plan_stage(parameters.workflow(), |it| Some(plan::restoration(it)))
            .await?
            .unwrap_or_default();
        let missing = self
            .missing_requirements(&stage)
            .await
            .map_err(RunError::Engine)?;
        Ok((stage, missing))
    }

    /// Returns the stage, or a stage of refusals if requirements are missing. A stage that restores
    /// always runs as far as it can.
    async fn checked(&self, stage: Stage) -> Result<Stage, RunError> {
        if stage.restores.is_some() {
            return Ok(stage);
        }
        let missing = self
            .missing_requirements(&stage)
            .await
            .map_err(RunError::Engine)?;
        Ok(if missing.is_empty() {
            stage
        } else {
            preflight::refused_stage(&stage, &missing)
        })
    }

    /// Restores the objects of replacements that an earlier run left unfinished. Returns true if
    /// there were any.
    ///
    /// # Errors
    ///
    /// Same as [`Self::run_stages`]. An object that cannot be restored is not an error
    /// here: its tasks have failed.
    async fn restore(
        &mut self,
        workflow: Workflow,
        stop_requests: &StopRequests,
    ) -> Result<bool, RunError> {
        let stage = self
            .plan_stage(workflow, |known| Some(plan::restoration(known)))
            .await?
            .unwrap_or_default();
        let is_needed = !stage.is_empty();
        if is_needed {
            self.run_stage(stage, stop_requests).await?;
            self.run_following_stages(stop_requests).await?;
        }
        Ok(is_needed)
    }

    /// Runs the stages that follow from the results of earlier ones.
    async fn run_following_stages(&mut self, stop_requests: &StopRequests) -> Result<(), RunError> {
        let retries = self.policy.subgraph_retries;
        while !stop_requests.is_aborted()
            && plan::may_continue(self.record, self.drivers.plugins, retries)
        {
            self.settle_open().await?;
            let Some(workflow) = self.record.running().map(Execution::workflow) else {
                break;
            };
            let next = |known: &PlanInput<'_>| plan::next(known, retries);
            let Some(stage) = self.plan_stage(workflow, next).await? else {
                break;
            };
            let stage = self.checked(stage).await?;
            self.run_stage(stage, stop_requests).await?;
        }
        Ok(())
    }

    /// Observes the engines and plans a stage of a workflow from their present state.
    async fn plan_stage(
        &self,
        workflow: Workflow,
        plan: impl Fn(&PlanInput<'_>) -> Option<Stage>,
    ) -> Result<Option<Stage>, RunError> {
        let record = &*self.record;
        let Some(deployment) = &record.deployment else {
            return Ok(None);
        };
        let context = ObserveContext {
            deployment,
            record,
            secrets: self.secrets,
        };
        let observed = Box::pin(self.drivers.observe(context))
            .await
            .and_then(|observed| workflow.accept(observed));
        let mut observed = observed.map_err(RunError::Engine)?;
        if workflow.follows_moved() {
            let moved = self.drivers.add_moved(context, &mut observed).await;
            moved.map_err(RunError::Engine)?;
        }
        Ok(plan(&PlanInput {
            plugins: self.drivers.plugins,
            ..PlanInput::new(deployment, record, &observed)
        }))
    }

    /// Runs one stage until no task can start.
    ///
    /// # Errors
    ///
    /// If the journal cannot be written. Running calls have ended by then.
    pub async fn run_stage(
        &mut self,
        stage: Stage,
        stop_requests: &StopRequests,
    ) -> Result<(), JournalError> {
        let restores = stage.restores.is_some();
        self.emit(Event::StageStarted { stage })?;
        let (sender, mut notes) = unbounded_channel();
        let mut running = RunningStage {
            deployment: self.deployment(),
            calls: FuturesUnordered::new(),
            running_calls: 0,
            attempts: HashMap::new(),
            remaining: HashMap::new(),
            started_at: HashMap::new(),
            due: VecDeque::new(),
            failures: HashMap::new(),
            deadline: self.policy.deadline.filter(|_| !restores),
            notes: sender,
            stop: if restores {
                CancellationToken::new()
            } else {
                stop_requests.stop.child_token()
            },
        };
        loop {
            let is_requested = stop_requests.is_stopped() && self.record.stop_reason().is_none();
            let stopped = if is_requested {
                self.stop(stop_requests.why(), &running)
            } else {
                Ok(())
            };
            if let Err(error) = stopped.and_then(|()| self.start_ready(&mut running)) {
                drop(notes);
                return Err(drain(running, error, stop_requests).await);
            }
            let next = tokio::select! {
                biased;
                () = stop_requests.abort.cancelled() => return self.stop(stop_requests.why(), &running),
                () = stop_requests.stop.cancelled(), if self.record.stop_reason().is_none() => Ok(()),
                () = deadline_passed(running.deadline) => {
                    if self.record.stop_reason() == Some(StopReason::Timeout) {
                        return Ok(());
                    }
                    running.deadline = Some(Instant::now() + GRACE);
                    self.stop(StopReason::Timeout, &running)
                }
                Some(note) = notes.recv() => self.process_note(note),
                done = running.calls.next() => match done {
                    // Notes that the step sent are journaled before its result.
                    Some(done) => self
                        .process_notes(&mut notes)
                        .and_then(|()| self.complete(done, &mut running)),
                    None => return Ok(()),
                },
            };
            if let Err(error) = next {
                // Dropping the channel lets steps continue that wait for a confirmation.
                drop(notes);
                return Err(drain(running, error, stop_requests).await);
            }
        }
    }

    /// Finishes the execution with the outcome of its tasks.
    ///
    /// # Errors
    ///
    /// If the journal cannot be written.
    pub fn finish(&mut self) -> Result<Outcome, JournalError> {
        let outcome = self.record.outcome();
        self.emit(Event::ExecutionFinished { outcome })?;
        Ok(outcome)
    }

    /// Stops the run: no new tasks start and waits are abandoned. A stage that restores continues.
    fn stop(&mut self, why: StopReason, running: &RunningStage<'a>) -> Result<(), JournalError> {
        if self.record.stage().restores.is_none() {
            running.stop.cancel();
        }
        match self.record.stop_reason() {
            Some(before) if before != StopReason::Failure && why != StopReason::Timeout => Ok(()),
            _ => self.emit(Event::CancelRequested { why }),
        }
    }

    /// Starts tasks that are ready, up to the limit.
    fn start_ready(&mut self, running: &mut RunningStage<'a>) -> Result<(), JournalError> {
        if !self.record.may_start_tasks() {
            for task in std::mem::take(&mut running.due) {
                self.cancel_retry(task, running)?;
            }
        }
        while running.running_calls < self.policy.parallel.max(1) {
            let again = running.due.pop_front();
            let Some(task) = again.or_else(|| self.record.ready().next()) else {
                break;
            };
            self.start(task, running)?;
        }
        Ok(())
    }

    /// Cancels a retry because the run was stopped.
    fn cancel_retry(
        &mut self,
        task: TaskId,
        running: &mut RunningStage<'a>,
    ) -> Result<(), JournalError> {
        match self.record.stop_reason() {
            // The next run settles tasks whose outcome is unknown.
            None | Some(StopReason::Asked) if self.record.is_outcome_lost(task) => Ok(()),
            None | Some(StopReason::Asked) => self.emit(Event::TaskInterrupted { task }),
            Some(_) => {
                let failure = running.failures.remove(&task).unwrap_or_default();
                self.emit(Event::TaskFailed {
                    task,
                    failure,
                    retry_in: None,
                    ignored: false,
                })
            }
        }
    }

    /// Binds a step, journals its start, and calls the driver.
    fn start(&mut self, task: TaskId, running: &mut RunningStage<'a>) -> Result<(), JournalError> {
        let planned = self.record.stage().task(task).clone();
        let attempt = running
            .attempts
            .entry(task)
            .and_modify(|attempt| *attempt += 1)
            .or_insert(1);
        let bound = planned.step.bind(&self.function_context(&planned));
        let attempt = *attempt;
        let lost = self
            .record
            .is_outcome_lost(task)
            .then(|| self.record.last_attempt_at(task));
        self.emit(Event::TaskStarted { task, attempt })?;
        match bound {
            Ok(step) if step.has_no_action() => self.emit(Event::TaskSucceeded {
                task,
                outputs: Outputs::default(),
            }),
            Ok(step) if step.refusal().is_none() => {
                running.running_calls += 1;
                let limit = limit(&planned, attempt, running);
                running.started_at.insert(task, Instant::now());
                running
                    .calls
                    .push(self.call_driver(task, step, lost, limit, running));
                Ok(())
            }
            refused => {
                let why = refused.map_or_else(
                    |message| message,
                    |step| step.refusal().unwrap_or_default().to_owned(),
                );
                let failure = Failure {
                    place: Some(planned.place),
                    ..Failure::fatal(why)
                };
                self.fail(task, failure, running)
            }
        }
    }

    /// Returns the environment for functions in a task.
    fn function_context<'s>(&'s self, task: &'s Task) -> FunctionContext<'s> {
        let ends = task.side.as_ref();
        FunctionContext {
            ends: ends.map(|side| [side.source.as_str(), side.target.as_str()]),
            ..FunctionContext::of(self.record, &task.instance, self.secrets)
        }
    }

    fn call(
        &self,
        task: TaskId,
        (step, attempt): (Step, u32),
        deployment: &Rc<Deployment>,
        stopped: CancellationToken,
    ) -> Call {
        let planned = self.record.stage().task(task);
        let subject = self.record.subject(planned);
        let subject = self.with_secrets(subject);
        let last = self.record.executions.last();
        Call {
            deployment: deployment.clone(),
            execution: last.map(|it| it.id.clone()).unwrap_or_default(),
            workflow: last.map_or_else(String::new, |it| it.workflow().to_string()),
            max_retries: planned.retry.max_retries.unwrap_or(self.policy.retries),
            related: self.related_to(&subject),
            subject,
            step,
            attempt,
            inside: None,
            stop: stopped,
        }
    }

    /// Returns a subject with the secrets in its runtime properties.
    fn with_secrets(&self, subject: Subject) -> Subject {
        match subject {
            Subject::Instance(own) => Subject::Instance(self.with_own_secrets(own)),
            Subject::Relationship {
                source,
                target,
                end,
            } => Subject::Relationship {
                source: self.with_own_secrets(source),
                target: self.with_own_secrets(target),
                end,
            },
        }
    }

    /// Returns the related instances with the secrets in their runtime properties.
    fn related_to(&self, subject: &Subject) -> Vec<Participant> {
        let related = self.record.related_to(subject).into_iter();
        related.map(|it| self.with_own_secrets(it)).collect()
    }

    /// A secret that is not available stays an expression: only a step that reads it fails.
    fn with_own_secrets(&self, mut participant: Participant) -> Participant {
        let context = FunctionContext::of(self.record, &participant.instance.id, self.secrets);
        for value in participant.properties.values_mut() {
            if contains_concealed(value)
                && let Ok(revealed) = reveal(value, &context)
            {
                *value = revealed;
            }
        }
        participant
    }

    /// Returns a copy of the present deployment.
    fn deployment(&self) -> Rc<Deployment> {
        let known = self.record.deployment.clone();
        known.map(Rc::new).unwrap_or_default()
    }

    /// Returns the call with the object that its step runs in.
    fn with_inside(&self, mut call: Call) -> Result<Call, Failure> {
        let Some((instance, deployment)) = call
            .step
            .inside
            .as_ref()
            .zip(self.record.deployment.as_ref())
        else {
            return Ok(call);
        };
        let context = ObserveContext {
            deployment,
            record: self.record,
            secrets: self.secrets,
        };
        let reached = self.drivers.plugins.object_ref(context, instance);
        call.inside = Some(reached.map_err(Failure::fatal)?);
        Ok(call)
    }

    /// Calls the driver. If the outcome of the last attempt is unknown, settles the step first.
    fn call_driver(
        &self,
        task: TaskId,
        step: Step,
        lost: Option<u64>,
        limit: Option<Limit>,
        running: &RunningStage<'a>,
    ) -> LocalBoxFuture<'a, Completed> {
        let attempt = running.attempts.get(&task).copied().unwrap_or(1);
        let stopped = running.stop.clone();
        let call = self.call(task, (step, attempt), &running.deployment, stopped);
        let call = self.with_inside(call).map(Rc::new);
        let begun = call.as_ref().ok().cloned();
        let (drivers, notes, secrets) = (self.drivers, running.notes.clone(), self.secrets);
        let unknown = self.needs_user(task).then(|| self.outcome_unknown(task));
        let pause = self.record.stage().task(task).pause;
        let pause = pause.and_then(|pause| Duration::try_from_secs_f64(pause).ok());
        let response = async move {
            let call = call?;
            if let Some(pause) = pause {
                tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    () = call.stop.cancelled() => {
                        return Err(Failure::cancelled("cancelled during the pause of the update"));
                    }
                }
            }
            if let Some(since) = lost {
                match drivers.settle(&call, since).await? {
                    Settled::Done(outputs) => return Ok(outputs),
                    Settled::Failed(failure) => return Err(failure),
                    Settled::Unknown => unknown.map_or(Ok(()), Err)?,
                    Settled::NotDone => {}
                }
            }
            // No receiver is left once the run is over. That is not an error of the step.
            let send = |note| -> Processed {
                let (processed, waits) = oneshot::channel();
                drop(notes.send(SentNote {
                    task,
                    note,
                    processed,
                }));
                Box::pin(async move { drop(waits.await) })
            };
            drivers.perform(&call, &send, secrets).await
        };
        async move {
            let result = match limit {
                Some(limit) => {
                    let limited = timeout_at(limit.at, response).await;
                    match (limited, &begun) {
                        (Ok(result), _) => result,
                        (Err(_), Some(call)) => limit.result(drivers.abandon(call).await),
                        (Err(_), None) => Err(limit.failure(true)),
                    }
                }
                None => response.await,
            };
            Completed::Result(task, begun, result)
        }
        .boxed_local()
    }

    /// Notifies the driver that the outcome of a call is in the journal.
    fn notify(&self, call: Rc<Call>) -> LocalBoxFuture<'a, Completed> {
        let drivers = self.drivers;
        async move {
            drivers.outcome_recorded(&call).await;
            Completed::Notified
        }
        .boxed_local()
    }

    fn process_notes(
        &mut self,
        notes: &mut UnboundedReceiver<SentNote>,
    ) -> Result<(), JournalError> {
        while let Ok(note) = notes.try_recv() {
            self.process_note(note)?;
        }
        Ok(())
    }

    /// Processes a message of a step. Changes are in the journal before the step continues.
    fn process_note(&mut self, note: SentNote) -> Result<(), JournalError> {
        let SentNote {
            task,
            note,
            processed,
        } = note;
        match note {
            StepNote::Progress(progress) => {
                let progress = progress.redacted(self.secrets);
                self.reporter.progress(self.record, task, &progress);
            }
            StepNote::Outputs(outputs) => {
                let outputs = outputs.conceal(self.secrets);
                self.emit(Event::TaskNoted { task, outputs })?;
            }
            StepNote::Log(lines) => self.log(task, &lines)?,
        }
        let _ = processed.send(());
        Ok(())
    }

    /// Stores and shows lines of the log of a task.
    fn log(&mut self, task: TaskId, lines: &[LogLine]) -> Result<(), JournalError> {
        let planned = self.record.stage().task(task);
        let execution = self.record.executions.last();
        let lines: Vec<LogLine> = lines.iter().map(|it| it.redacted(self.secrets)).collect();
        let entry = |line: &LogLine| LogEntry {
            at: now(),
            execution: execution.map(|it| it.id.clone()).unwrap_or_default(),
            instance: planned.instance.clone(),
            operation: planned.operation.clone(),
            level: line.level,
            text: line.text.clone(),
        };
        let entries: Vec<LogEntry> = lines.iter().map(entry).collect();
        self.journal.append_log(&entries)?;
        for line in &lines {
            self.reporter.log(self.record, task, line);
        }
        Ok(())
    }

    fn complete(
        &mut self,
        done: Completed,
        running: &mut RunningStage<'a>,
    ) -> Result<(), JournalError> {
        match done {
            Completed::Result(task, call, result) => {
                running.running_calls -= 1;
                self.charge_time(task, running);
                // The next attempt settles a lost outcome, and needs what the driver kept.
                let is_lost = result.as_ref().is_err_and(Failure::is_lost);
                match result {
                    Ok(outputs) => self.emit(Event::TaskSucceeded { task, outputs })?,
                    Err(failure) => self.fail(task, failure, running)?,
                }
                let call = call.filter(|_| !is_lost);
                running.calls.extend(call.map(|call| self.notify(call)));
                Ok(())
            }
            Completed::Notified => Ok(()),
            Completed::Delay(task) => {
                running.due.push_back(task);
                Ok(())
            }
        }
    }

    /// Subtracts the duration of a call from the remaining time of its operation.
    fn charge_time(&self, task: TaskId, running: &mut RunningStage<'a>) {
        let planned = self.record.stage().task(task);
        let left = running
            .remaining
            .get_mut(&(planned.instance.clone(), planned.operation.clone()));
        if let (Some(left), Some(started)) = (left, running.started_at.remove(&task)) {
            *left = left.saturating_sub(started.elapsed());
        }
    }

    fn fail(
        &mut self,
        task: TaskId,
        mut failure: Failure,
        running: &mut RunningStage<'a>,
    ) -> Result<(), JournalError> {
        // When the time limit of the run is exceeded, the step that was waiting fails instead of
        // being interrupted.
        if failure.is_cancelled() && self.record.stop_reason() != Some(StopReason::Timeout) {
            return self.emit(Event::TaskInterrupted { task });
        }
        if failure.is_cancelled() {
            failure = failure.permanent();
        }
        failure.place = Some(self.record.stage().task(task).place.clone());
        let pause = if failure.is_recoverable() && self.record.may_start_tasks() {
            self.retry_delay(task, running)
                .map(|pause| failure.retry_after().map_or(pause, Duration::from_millis))
        } else {
            None
        };
        let retry_in = pause.map(|pause| u64::try_from(pause.as_millis()).unwrap_or(u64::MAX));
        let ignored = self.ignores(task) && pause.is_none();
        if pause.is_some() {
            running.failures.insert(task, failure.clone());
        }
        self.emit(Event::TaskFailed {
            task,
            failure,
            retry_in,
            ignored,
        })?;
        match pause {
            Some(pause) => running
                .calls
                .push(delayed(task, pause, running.stop.clone())),
            None if self.policy.fail_fast
                && !ignored
                && self.record.stop_reason().is_none()
                && self.record.stage().restores.is_none() =>
            {
                self.stop(StopReason::Failure, running)?;
            }
            None => {}
        }
        Ok(())
    }

    /// Returns true if a failure of the task is ignored.
    fn ignores(&self, task: TaskId) -> bool {
        self.policy.ignore_failures || self.record.stage().task(task).ignores_failure
    }

    /// Returns the delay before the next retry; none if there is no retry. An interval from the
    /// blueprint is constant. The default interval grows and is randomized.
    fn retry_delay(&self, task: TaskId, running: &RunningStage<'a>) -> Option<Duration> {
        let Retry {
            max_retries,
            interval,
            ..
        } = self.record.stage().task(task).retry;
        let attempt = running.attempts.get(&task).copied().unwrap_or(1);
        let budget = max_retries.unwrap_or(self.policy.retries);
        let is_retried = self.record.stage().task(task).is_retried;
        if (self.ignores(task) && !is_retried) || (budget >= 0.0 && f64::from(attempt) > budget) {
            return None;
        }
        let doubled = self.policy.retry_interval
            * 2_f64.powi(i32::try_from(attempt.min(16)).unwrap_or(16) - 1);
        let growing = || doubled.min(MAX_DELAY) * (1.0 + JITTER * fastrand::f64());
        Duration::try_from_secs_f64(interval.unwrap_or_else(growing)).ok()
    }

    /// Checks an event against the record, stores it, and reports it. All state changes go through
    /// this method.
    ///
    /// # Errors
    ///
    /// If the journal cannot be written.
    ///
    /// # Panics
    ///
    /// If the executor violates its own state rules, which is a bug.
    pub fn emit(&mut self, event: Event) -> Result<(), JournalError> {
        let entry = Entry::now(event.redacted(self.secrets, &self.drivers.plugins.untrusted()));
        self.record
            .apply(&entry)
            .expect("the executor emits only valid events");
        self.journal.append(&entry)?;
        self.reporter.report(self.record, &entry);
        Ok(())
    }
}

/// Waits for a delay; returns immediately if the run is stopped.
fn delayed<'f>(
    task: TaskId,
    pause: Duration,
    stop: CancellationToken,
) -> LocalBoxFuture<'f, Completed> {
    async move {
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = stop.cancelled() => {}
        }
        Completed::Delay(task)
    }
    .boxed_local()
}

/// The `timeout` of an operation.
struct Limit {
    at: Instant,
    seconds: f64,
    recoverable: bool,
}

impl Limit {
    /// Returns the result of a call that the driver abandoned.
    fn result(&self, abandoned: Result<Settled, Failure>) -> Result<Outputs, Failure> {
        match abandoned {
            Ok(Settled::Done(outputs)) => Ok(outputs),
            Ok(Settled::Failed(failure)) => Err(failure),
            Ok(Settled::NotDone) => Err(self.failure(false)),
            Ok(Settled::Unknown) | Err(_) => Err(self.failure(true)),
        }
    }

    fn failure(&self, is_lost: bool) -> Failure {
        let message = format!(
            "timed out after {} s, the `timeout` of the operation",
            self.seconds
        );
        Failure {
            kind: FailureKind::of(self.recoverable, is_lost),
            ..Failure::fatal(message)
        }
    }
}

/// Returns the limit for a call. All steps of one attempt of an operation share its time; waiting
/// for other instances between steps does not count.
fn limit(
    planned: &crate::stage::Task,
    attempt: u32,
    running: &mut RunningStage<'_>,
) -> Option<Limit> {
    let seconds = planned.retry.timeout?;
    let whole = Duration::try_from_secs_f64(seconds).ok()?;
    let left = running
        .remaining
        .entry((planned.instance.clone(), planned.operation.clone()))
        .or_insert(whole);
    if attempt > 1 {
        *left = whole;
    }
    Some(Limit {
        at: Instant::now() + *left,
        seconds,
        recoverable: planned.retry.timeout_recoverable,
    })
}

/// Waits for running calls before the run is abandoned, so that they complete.
async fn drain(
    mut running: RunningStage<'_>,
    error: JournalError,
    stop_requests: &StopRequests,
) -> JournalError {
    running.stop.cancel();
    let ended = async { while running.calls.next().await.is_some() {} };
    tokio::select! {
        () = ended => {}
        () = stop_requests.abort.cancelled() => {}
    }
    error
}
