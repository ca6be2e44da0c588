//! Carries a stage out, always forward.
//!
//! One loop owns the whole state. Calls to back-ends run concurrently on the same task, so there is
//! no lock and nothing to share. Nothing happens but by [`Executor::emit`]: check, keep, tell.

use crate::{
    event::{Entry, Event, Outcome, Why},
    journal::{Journal, JournalError},
    known::Taken,
    model::{Deployment, Retry},
    plan::{self, Known, restore},
    plugins::{Drivers, Heard, Scene},
    preflight::{self, Lack},
    record::{Around, Record},
    report::Reporter,
    seam::{Call, Failure, FailureKind, Note, Outputs, Settled, Settling, Step},
    secrets::Secrets,
    stage::{Parameters, Stage, Task, TaskId},
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

/// Longest pause between two tries of a growing interval, in seconds.
const LONGEST_PAUSE: f64 = 60.0;
/// How much longer a growing pause may be than it says, so that those who failed together do not
/// come back together.
const JITTER: f64 = 0.25;
/// How long running steps have to end once the time of the run is over.
const GRACE: Duration = Duration::from_secs(10);

/// What the user wants of a run, beside the plan.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Policy {
    /// How many calls run at once.
    pub parallel: usize,
    /// How often a failed operation is repeated where the blueprint says nothing; negative for
    /// ever.
    pub retries: f64,
    /// Seconds before the first repetition where the blueprint says nothing; each later pause is
    /// twice as long, up to a minute.
    pub interval: f64,
    /// How often instances that failed for good are taken down and tried anew.
    pub subgraph_retries: usize,
    /// Nothing new starts once something failed for good.
    pub fail_fast: bool,
    /// What needs a failed operation goes on as if it were done; nothing is repeated.
    pub ignore_failures: bool,
    /// What the run creates is taken back by another if it fails.
    pub roll_back: bool,
    /// When the run has to be over.
    pub deadline: Option<Instant>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            parallel: 10,
            retries: 5.0,
            interval: 3.0,
            subgraph_retries: 0,
            fail_fast: false,
            ignore_failures: false,
            roll_back: false,
            deadline: None,
        }
    }
}

/// What is asked of a run while it goes on.
#[derive(Clone, Debug, Default)]
pub struct StopRequests {
    /// Nothing new starts, waits are given up, running steps finish.
    stop: CancellationToken,
    /// Calls are dropped; the journal says what is unsettled.
    abort: CancellationToken,
    why: Arc<OnceLock<Why>>,
}

impl StopRequests {
    /// Returns the requests of one run: a request to the parent reaches the child, and a request to
    /// the child does not reach the parent.
    #[must_use]
    pub fn child(&self) -> Self {
        Self {
            stop: self.stop.child_token(),
            abort: self.abort.child_token(),
            why: Arc::default(),
        }
    }

    /// Asks to start nothing new. The first reason counts.
    pub fn stop(&self, why: Why) {
        let _ = self.why.set(why);
        self.stop.cancel();
    }

    /// Asks to drop everything at once.
    pub fn abort(&self, why: Why) {
        self.stop(why);
        self.abort.cancel();
    }

    /// Whether it was asked to stop.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Whether everything is to be dropped at once.
    #[must_use]
    pub fn is_aborted(&self) -> bool {
        self.abort.is_cancelled()
    }

    /// Comes when it is asked to stop.
    pub async fn stopped(&self) {
        self.stop.cancelled().await;
    }

    fn why(&self) -> Why {
        self.why.get().copied().unwrap_or_default()
    }
}

/// Why a run cannot go on, or what an earlier one left open cannot be settled.
#[derive(Debug, Error)]
pub enum Unsettled {
    /// The journal cannot be written.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The engine does not say.
    #[error("{}", .0.message)]
    Engine(Failure),
}

/// What an execution is.
pub struct Run<'r> {
    /// Its id.
    pub id: &'r str,
    /// The workflow with its parameters.
    pub parameters: &'r Parameters,
    /// The execution that it goes on with, or takes back.
    pub of: Option<String>,
    /// Plans the first stage again, if something had to be restored before; none: as the workflow
    /// does.
    pub replan: Option<Replan<'r>>,
}

/// Plans a stage from what is there now.
pub type Replan<'r> = Box<dyn Fn(&Known<'_>) -> Stage + 'r>;

/// Everything a run talks to.
pub struct Executor<'a> {
    /// What is known.
    pub record: &'a mut Record,
    /// Who does the work.
    pub drivers: &'a Drivers<'a>,
    /// Who remembers.
    pub journal: &'a mut dyn Journal,
    /// Who tells.
    pub reporter: &'a mut dyn Reporter,
    /// What late values may need, and what must not be told.
    pub secrets: &'a Secrets,
    /// What the user wants.
    pub policy: Policy,
}

/// A call that ended, or a pause that did.
enum Done {
    Answer(TaskId, Result<Outputs, Failure>),
    Pause(TaskId),
}

/// What a step says while it runs.
struct Said {
    task: TaskId,
    note: Note,
    /// Is told once that was heard.
    heard: oneshot::Sender<()>,
}

/// What goes on at one moment.
struct Running<'a> {
    /// The deployment as it is while the stage is carried out.
    deployment: Rc<Deployment>,
    calls: FuturesUnordered<LocalBoxFuture<'a, Done>>,
    /// Calls that count against the limit; pauses do not.
    busy: usize,
    attempts: HashMap<TaskId, u32>,
    /// What is left of the time of an operation of an instance.
    left: HashMap<(String, String), Duration>,
    /// When each call began.
    begun: HashMap<TaskId, Instant>,
    /// Tasks to retry as soon as fewer than `parallel` calls run.
    due: VecDeque<TaskId>,
    /// What is tried again, and why.
    failures: HashMap<TaskId, Failure>,
    /// When the whole run has to be over.
    deadline: Option<Instant>,
    said: UnboundedSender<Said>,
    stop: CancellationToken,
}

/// Comes when the time is over; never, if there is no limit.
async fn over(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

impl<'a> Executor<'a> {
    /// Settles what a run that is over left open, by looking, and ends it if its process died.
    ///
    /// # Errors
    ///
    /// If an engine does not say, or the journal cannot be written.
    pub async fn settle(&mut self) -> Result<(), Unsettled> {
        self.settle_open().await?;
        if self.record.running().is_some() {
            self.emit(Event::ExecutionFinished {
                outcome: Outcome::Interrupted,
            })?;
        }
        Ok(())
    }

    /// Settles the tasks of the stage whose outcome was lost.
    async fn settle_open(&mut self) -> Result<(), Unsettled> {
        let open: Vec<(TaskId, u64)> = self.record.unsettled().collect();
        let deployment = self.deployment();
        for (task, since) in open {
            let planned = self.record.stage().task(task);
            let step = planned
                .step
                .bind_target(&self.around(planned))
                .map_err(|message| Unsettled::Engine(Failure::fatal(message)))?;
            let call = self.call(task, (step, 1), &deployment, CancellationToken::new());
            // If the object that the step ran in is gone, the outcome is unknown.
            let settled = match self.reaching(call) {
                Ok(call) => Box::pin(self.drivers.settle(&call, since)).await,
                Err(_) => Ok(Settled::Unknown),
            };
            let settled = settled.map_err(Unsettled::Engine)?;
            let is_asked = settled == Settled::Unknown && self.asks(task);
            let event = self.settled(task, settled);
            self.emit(event)?;
            if is_asked {
                return Err(Unsettled::Engine(self.unknown(task)));
            }
        }
        Ok(())
    }

    /// Returns true if a person must check a task whose outcome is unknown.
    fn asks(&self, task: TaskId) -> bool {
        self.record.stage().task(task).step.traits.settling == Settling::Ask
    }

    fn unknown(&self, task: TaskId) -> Failure {
        let step = &self.record.stage().task(task).step;
        Failure::fatal(format!("nobody knows whether this was done: {step}"))
            .hint("look at it, and put it right by hand: the next run takes it as not done")
    }

    /// What is known of a task after looking.
    fn settled(&self, task: TaskId, settled: Settled) -> Event {
        let failed = |failure| Event::TaskFailed {
            task,
            failure,
            retry_in: None,
            ignored: false,
        };
        match settled {
            Settled::Done(outputs) => Event::TaskSettled { task, outputs },
            Settled::Failed(failure) => failed(failure),
            Settled::Unknown if self.asks(task) => failed(self.unknown(task)),
            Settled::NotDone | Settled::Unknown => Event::TaskInterrupted { task },
        }
    }

    /// Carries a whole execution out, but for its end. What an earlier run left between two objects
    /// is restored first; then the work is planned again.
    ///
    /// # Errors
    ///
    /// As of [`carry_out`](Self::carry_out).
    pub async fn execute(
        &mut self,
        run: Run<'_>,
        stage: Stage,
        stop_requests: &StopRequests,
    ) -> Result<(), Unsettled> {
        let restores = restore::comes_first(self.record, self.drivers.plugins, run.parameters);
        self.begin(run.id, run.parameters, run.of)?;
        if !restores || !self.restore(stop_requests).await? {
            return self.carry_out(stage, stop_requests).await;
        }
        if stop_requests.is_aborted() {
            return Ok(());
        }
        let planned = self.planned(|known| {
            let first = || plan::first(run.parameters, known).stage;
            let mut stage = run
                .replan
                .as_ref()
                .map_or_else(first, |replan| replan(known));
            // What could not be restored is replaced all the same.
            stage.tries_again = true;
            Some(stage)
        });
        self.carry_out(planned.await?.unwrap_or_default(), stop_requests)
            .await
    }

    /// Begins an execution. `of` is the one that it goes on with, or takes back.
    ///
    /// # Errors
    ///
    /// If the journal cannot be written.
    pub fn begin(
        &mut self,
        execution: &str,
        parameters: &Parameters,
        of: Option<String>,
    ) -> Result<(), JournalError> {
        let takes_back = match (&of, parameters) {
            (Some(failed), Parameters::Rollback(_)) => self.record.to_take_back(failed),
            _ => Taken::default(),
        };
        let rolls_back = self.policy.roll_back;
        let (execution, parameters) = (execution.to_owned(), Box::new(parameters.clone()));
        self.emit(Event::ExecutionStarted {
            execution,
            dockctl: env!("CARGO_PKG_VERSION").to_owned(),
            parameters,
            of,
            rolls_back,
            takes_back,
        })
    }

    /// Carries out the first stage of the execution, and those that follow from what comes of it.
    ///
    /// # Errors
    ///
    /// If the journal cannot be written, or an engine does not say what is there between two
    /// stages.
    pub async fn carry_out(
        &mut self,
        first: Stage,
        stop_requests: &StopRequests,
    ) -> Result<(), Unsettled> {
        let first = self.prepared(first).await?;
        self.run(first, stop_requests).await?;
        self.go_on(stop_requests).await
    }

    /// What a stage needs and is not at hand, or asks an engine for in vain.
    ///
    /// # Errors
    ///
    /// If an engine does not answer.
    pub async fn lacks(&self, stage: &Stage) -> Result<Vec<Lack>, Failure> {
        let mut lacks = preflight::lacks(
            stage,
            self.record.deployment.as_ref(),
            (self.drivers.plugins, self.secrets),
        );
        let steps: Vec<&Step> = stage.tasks().iter().map(|task| &task.step).collect();
        let refusals = self.drivers.refusals(&steps).await?;
        for (task, reasons) in stage.ids().zip(refusals) {
            lacks.extend(reasons.into_iter().map(|why| Lack {
                task,
                why,
                inputs: Vec::new(),
            }));
        }
        Ok(lacks)
    }

    /// What restoring needs and is not at hand, if the next run has to restore first: the first
    /// stage of it, and what it lacks.
    ///
    /// # Errors
    ///
    /// If an engine does not answer.
    pub async fn lacks_to_restore(
        &self,
        parameters: &Parameters,
    ) -> Result<(Stage, Vec<Lack>), Unsettled> {
        if !restore::comes_first(self.record, self.drivers.plugins, parameters) {
            return Ok((Stage::default(), Vec::new()));
        }
        let stage = self
            .planned(|known| Some(restore::first(known)))
            .await?
            .unwrap_or_default();
        let lacks = self.lacks(&stage).await.map_err(Unsettled::Engine)?;
        Ok((stage, lacks))
    }

    /// The stage, or one that says what it needs in vain. What restores does what it can.
    async fn prepared(&self, stage: Stage) -> Result<Stage, Unsettled> {
        if stage.restores.is_some() {
            return Ok(stage);
        }
        let lacks = self.lacks(&stage).await.map_err(Unsettled::Engine)?;
        Ok(if lacks.is_empty() {
            stage
        } else {
            preflight::refusal(&stage, &lacks)
        })
    }

    /// Restores what an earlier run left between two objects. Whether there was anything to
    /// restore.
    ///
    /// # Errors
    ///
    /// As of [`carry_out`](Self::carry_out). What cannot be restored is no error: its tasks have
    /// failed.
    async fn restore(&mut self, stop_requests: &StopRequests) -> Result<bool, Unsettled> {
        let stage = self
            .planned(|known| Some(restore::first(known)))
            .await?
            .unwrap_or_default();
        let is_needed = !stage.is_empty();
        if is_needed {
            self.run(stage, stop_requests).await?;
            self.go_on(stop_requests).await?;
        }
        Ok(is_needed)
    }

    /// Carries out the stages that follow from what came of those before.
    async fn go_on(&mut self, stop_requests: &StopRequests) -> Result<(), Unsettled> {
        let retries = self.policy.subgraph_retries;
        while !stop_requests.is_aborted()
            && plan::may_go_on(self.record, self.drivers.plugins, retries)
        {
            self.settle_open().await?;
            let Some(stage) = self.planned(|known| plan::next(known, retries)).await? else {
                break;
            };
            let stage = self.prepared(stage).await?;
            self.run(stage, stop_requests).await?;
        }
        Ok(())
    }

    /// What is planned from what engines say now.
    async fn planned(
        &self,
        plan: impl Fn(&Known<'_>) -> Option<Stage>,
    ) -> Result<Option<Stage>, Unsettled> {
        let record = &*self.record;
        let Some(deployment) = &record.deployment else {
            return Ok(None);
        };
        let scene = Scene {
            deployment,
            record,
            secrets: self.secrets,
        };
        let observed = Box::pin(self.drivers.look(scene))
            .await
            .map_err(Unsettled::Engine)?;
        Ok(plan(&Known {
            plugins: self.drivers.plugins,
            ..Known::new(deployment, record, &observed)
        }))
    }

    /// Carries out one stage until nothing is left that can be done.
    ///
    /// # Errors
    ///
    /// If the journal cannot be written; calls under way have ended by then.
    pub async fn run(
        &mut self,
        stage: Stage,
        stop_requests: &StopRequests,
    ) -> Result<(), JournalError> {
        let restores = stage.restores.is_some();
        self.emit(Event::StageAdopted { stage })?;
        let (said, mut heard) = unbounded_channel();
        let mut running = Running {
            deployment: self.deployment(),
            calls: FuturesUnordered::new(),
            busy: 0,
            attempts: HashMap::new(),
            left: HashMap::new(),
            begun: HashMap::new(),
            due: VecDeque::new(),
            failures: HashMap::new(),
            deadline: self.policy.deadline.filter(|_| !restores),
            said,
            stop: if restores {
                CancellationToken::new()
            } else {
                stop_requests.stop.child_token()
            },
        };
        loop {
            let asked = stop_requests.is_stopped() && self.record.stopped().is_none();
            let heeded = if asked {
                self.stop(stop_requests.why(), &running)
            } else {
                Ok(())
            };
            if let Err(error) = heeded.and_then(|()| self.fill(&mut running)) {
                drop(heard);
                return Err(drain(running, error, stop_requests).await);
            }
            let next = tokio::select! {
                biased;
                () = stop_requests.abort.cancelled() => return self.stop(stop_requests.why(), &running),
                () = stop_requests.stop.cancelled(), if self.record.stopped().is_none() => Ok(()),
                () = over(running.deadline) => {
                    if self.record.stopped() == Some(Why::Timeout) {
                        return Ok(());
                    }
                    running.deadline = Some(Instant::now() + GRACE);
                    self.stop(Why::Timeout, &running)
                }
                Some(said) = heard.recv() => self.hear(said),
                done = running.calls.next() => match done {
                    // Notes that the step sent are journaled before its result.
                    Some(done) => self
                        .hear_all(&mut heard)
                        .and_then(|()| self.take(done, &mut running)),
                    None => return Ok(()),
                },
            };
            if let Err(error) = next {
                // Who waits to be heard goes on.
                drop(heard);
                return Err(drain(running, error, stop_requests).await);
            }
        }
    }

    /// Ends the execution; how it ended follows from its tasks.
    ///
    /// # Errors
    ///
    /// If the journal cannot be written.
    pub fn finish(&mut self) -> Result<Outcome, JournalError> {
        let outcome = self.record.outcome();
        self.emit(Event::ExecutionFinished { outcome })?;
        Ok(outcome)
    }

    /// Nothing new starts, waits are given up; what restores goes on.
    fn stop(&mut self, why: Why, running: &Running<'a>) -> Result<(), JournalError> {
        if self.record.stage().restores.is_none() {
            running.stop.cancel();
        }
        match self.record.stopped() {
            Some(before) if before != Why::Failure && why != Why::Timeout => Ok(()),
            _ => self.emit(Event::CancelRequested { why }),
        }
    }

    /// Starts what may start.
    fn fill(&mut self, running: &mut Running<'a>) -> Result<(), JournalError> {
        if !self.record.goes_on() {
            for task in std::mem::take(&mut running.due) {
                self.give_up(task, running)?;
            }
        }
        while running.busy < self.policy.parallel.max(1) {
            let again = running.due.pop_front();
            let Some(task) = again.or_else(|| self.record.ready().next()) else {
                break;
            };
            self.start(task, running)?;
        }
        Ok(())
    }

    /// Gives up a retry because the run was stopped.
    fn give_up(&mut self, task: TaskId, running: &mut Running<'a>) -> Result<(), JournalError> {
        match self.record.stopped() {
            // The next run settles tasks whose outcome is unknown.
            None | Some(Why::Asked) if self.record.is_lost(task) => Ok(()),
            None | Some(Why::Asked) => self.emit(Event::TaskInterrupted { task }),
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

    /// Binds a task, journals the intent, and asks the back-end.
    fn start(&mut self, task: TaskId, running: &mut Running<'a>) -> Result<(), JournalError> {
        let planned = self.record.stage().task(task).clone();
        let attempt = running
            .attempts
            .entry(task)
            .and_modify(|attempt| *attempt += 1)
            .or_insert(1);
        let bound = planned.step.bind(&self.around(&planned));
        let attempt = *attempt;
        let lost = self.record.is_lost(task).then(|| self.record.since(task));
        self.emit(Event::TaskStarted { task, attempt })?;
        match bound {
            Ok(step) if step.is_nothing() => self.emit(Event::TaskSucceeded {
                task,
                outputs: Outputs::default(),
            }),
            Ok(step) if step.refusal().is_none() => {
                running.busy += 1;
                let limit = limit(&planned, attempt, running);
                running.begun.insert(task, Instant::now());
                running
                    .calls
                    .push(self.ask(task, step, lost, limit, running));
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

    /// What functions in a task refer to.
    fn around<'s>(&'s self, task: &'s Task) -> Around<'s> {
        let ends = task.side.as_ref();
        Around {
            ends: ends.map(|side| [side.source.as_str(), side.target.as_str()]),
            ..Around::of(self.record, &task.instance, self.secrets)
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
        let last = self.record.executions.last();
        Call {
            deployment: deployment.clone(),
            execution: last.map(|it| it.id.clone()).unwrap_or_default(),
            related: self.record.related_to(&subject),
            subject,
            step,
            attempt,
            inside: None,
            stop: stopped,
        }
    }

    /// The deployment as it is now.
    fn deployment(&self) -> Rc<Deployment> {
        let known = self.record.deployment.clone();
        known.map(Rc::new).unwrap_or_default()
    }

    /// The call with the object that its step is carried out in.
    fn reaching(&self, mut call: Call) -> Result<Call, Failure> {
        let Some((instance, deployment)) = call
            .step
            .inside
            .as_ref()
            .zip(self.record.deployment.as_ref())
        else {
            return Ok(call);
        };
        let scene = Scene {
            deployment,
            record: self.record,
            secrets: self.secrets,
        };
        let reached = self.drivers.plugins.reached(scene, instance);
        call.inside = Some(reached.map_err(Failure::fatal)?);
        Ok(call)
    }

    /// Asks the back-end. If nobody knows whether the last try was carried out, it is looked at
    /// first.
    fn ask(
        &self,
        task: TaskId,
        step: Step,
        lost: Option<u64>,
        limit: Option<Limit>,
        running: &Running<'a>,
    ) -> LocalBoxFuture<'a, Done> {
        let attempt = running.attempts.get(&task).copied().unwrap_or(1);
        let stopped = running.stop.clone();
        let call = self.call(task, (step, attempt), &running.deployment, stopped);
        let call = self.reaching(call);
        let (drivers, said) = (self.drivers, running.said.clone());
        let unknown = self.asks(task).then(|| self.unknown(task));
        let asked = async move {
            let call = call?;
            if let Some(since) = lost {
                match drivers.settle(&call, since).await? {
                    Settled::Done(outputs) => return Ok(outputs),
                    Settled::Failed(failure) => return Err(failure),
                    Settled::Unknown => unknown.map_or(Ok(()), Err)?,
                    Settled::NotDone => {}
                }
            }
            // Nobody listens once the run is over; that is no fault of the step.
            let notes = |note| -> Heard {
                let (heard, waits) = oneshot::channel();
                drop(said.send(Said { task, note, heard }));
                Box::pin(async move { drop(waits.await) })
            };
            drivers.perform(&call, &notes).await
        };
        async move {
            let answer = match limit {
                Some(limit) => timeout_at(limit.at, asked)
                    .await
                    .unwrap_or_else(|_| Err(limit.failure())),
                None => asked.await,
            };
            Done::Answer(task, answer)
        }
        .boxed_local()
    }

    fn hear_all(&mut self, heard: &mut UnboundedReceiver<Said>) -> Result<(), JournalError> {
        while let Ok(said) = heard.try_recv() {
            self.hear(said)?;
        }
        Ok(())
    }

    /// What a step changed is in the journal before the step goes on.
    fn hear(&mut self, said: Said) -> Result<(), JournalError> {
        let Said { task, note, heard } = said;
        match note {
            Note::Progress(progress) => {
                let progress = progress.scrubbed(self.secrets);
                self.reporter.progress(self.record, task, &progress);
            }
            Note::Outputs(outputs) => self.emit(Event::TaskNoted { task, outputs })?,
        }
        let _ = heard.send(());
        Ok(())
    }

    fn take(&mut self, done: Done, running: &mut Running<'a>) -> Result<(), JournalError> {
        match done {
            Done::Answer(task, Ok(outputs)) => {
                running.busy -= 1;
                self.spend(task, running);
                self.emit(Event::TaskSucceeded { task, outputs })
            }
            Done::Answer(task, Err(failure)) => {
                running.busy -= 1;
                self.spend(task, running);
                self.fail(task, failure, running)
            }
            Done::Pause(task) => {
                running.due.push_back(task);
                Ok(())
            }
        }
    }

    /// Takes the time of a call from that of its operation.
    fn spend(&self, task: TaskId, running: &mut Running<'a>) {
        let planned = self.record.stage().task(task);
        let left = running
            .left
            .get_mut(&(planned.instance.clone(), planned.operation.clone()));
        if let (Some(left), Some(begun)) = (left, running.begun.remove(&task)) {
            *left = left.saturating_sub(begun.elapsed());
        }
    }

    fn fail(
        &mut self,
        task: TaskId,
        mut failure: Failure,
        running: &mut Running<'a>,
    ) -> Result<(), JournalError> {
        // What was waited for when the time of the run was over is why it failed.
        if failure.is_cancelled() && self.record.stopped() != Some(Why::Timeout) {
            return self.emit(Event::TaskInterrupted { task });
        }
        if failure.is_cancelled() {
            failure = failure.for_good();
        }
        failure.place = Some(self.record.stage().task(task).place.clone());
        let pause = if failure.is_recoverable() && self.record.goes_on() {
            self.pause(task, running)
                .map(|pause| failure.retry_after().map_or(pause, Duration::from_millis))
        } else {
            None
        };
        let retry_in = pause.map(|pause| u64::try_from(pause.as_millis()).unwrap_or(u64::MAX));
        let ignored = self.ignores(task);
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
                .push(paused(task, pause, running.stop.clone())),
            None if self.policy.fail_fast
                && !ignored
                && self.record.stopped().is_none()
                && self.record.stage().restores.is_none() =>
            {
                self.stop(Why::Failure, running)?;
            }
            None => {}
        }
        Ok(())
    }

    /// Whether a failure of the task is noted only.
    fn ignores(&self, task: TaskId) -> bool {
        self.policy.ignore_failures || self.record.stage().task(task).ignores_failure
    }

    /// How long to wait before the next try; none if there is to be none. An interval of the
    /// blueprint is constant, the general one grows, and is stretched a little.
    fn pause(&self, task: TaskId, running: &Running<'a>) -> Option<Duration> {
        let Retry {
            max_retries,
            interval,
            ..
        } = self.record.stage().task(task).retry;
        let attempt = running.attempts.get(&task).copied().unwrap_or(1);
        let budget = max_retries.unwrap_or(self.policy.retries);
        if self.ignores(task) || (budget >= 0.0 && f64::from(attempt) > budget) {
            return None;
        }
        let doubled =
            self.policy.interval * 2_f64.powi(i32::try_from(attempt.min(16)).unwrap_or(16) - 1);
        let growing = || doubled.min(LONGEST_PAUSE) * (1.0 + JITTER * fastrand::f64());
        Duration::try_from_secs_f64(interval.unwrap_or_else(growing)).ok()
    }

    /// The only way anything happens: check it, keep it, then tell it.
    ///
    /// # Errors
    ///
    /// If the journal cannot be written.
    ///
    /// # Panics
    ///
    /// If the executor breaks the rules of its own state, which is a bug.
    pub fn emit(&mut self, event: Event) -> Result<(), JournalError> {
        let entry = Entry::now(event.scrubbed(self.secrets, &self.drivers.plugins.untrusted()));
        self.record
            .apply(&entry)
            .expect("the executor follows its own state");
        self.journal.append(&entry)?;
        self.reporter.report(self.record, &entry);
        Ok(())
    }
}

/// The end of a pause; at once, if the run is stopped.
fn paused<'f>(task: TaskId, pause: Duration, stop: CancellationToken) -> LocalBoxFuture<'f, Done> {
    async move {
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = stop.cancelled() => {}
        }
        Done::Pause(task)
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
    fn failure(&self) -> Failure {
        let message = format!(
            "it was not done within {} s, the `timeout` of the operation",
            self.seconds
        );
        Failure {
            kind: FailureKind::of(self.recoverable, true),
            ..Failure::fatal(message)
        }
    }
}

/// All steps of one try of an operation share its time; waiting for other instances in between is
/// no part of it.
fn limit(planned: &crate::stage::Task, attempt: u32, running: &mut Running<'_>) -> Option<Limit> {
    let seconds = planned.retry.timeout?;
    let whole = Duration::try_from_secs_f64(seconds).ok()?;
    let left = running
        .left
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

/// Lets calls under way end before the run is given up: what they do is at least done.
async fn drain(
    mut running: Running<'_>,
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
