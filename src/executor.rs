//! Carries a stage out, always forward.
//!
//! One loop owns the whole state. Calls to back-ends run concurrently on the same task, so there is no
//! lock and nothing to share. Nothing happens but by [`Executor::emit`]: check, keep, tell.

use crate::{
    backend::{Backend, Call, Failure, Outputs, Progress, Step},
    event::{Entry, Event, Outcome},
    journal::{Journal, JournalError},
    plan::{Stage, TaskId, Workflow},
    report::Reporter,
    secrets::Secrets,
    state::{Around, Record},
};
use futures_util::{FutureExt as _, StreamExt as _, future::LocalBoxFuture, stream::FuturesUnordered};
use std::{collections::HashMap, time::Duration};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio_util::sync::CancellationToken;

/// Longest pause between two tries of a growing interval.
const LONGEST_PAUSE: f64 = 60.0;

/// How failed operations are repeated where the blueprint says nothing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RetryPolicy {
    /// How often; negative for ever.
    pub retries: f64,
    /// Seconds before the first repetition; each later pause is twice as long, up to a minute.
    pub interval: f64,
}

/// What the user asks of a run while it goes on.
#[derive(Clone, Debug, Default)]
pub struct Signals {
    /// Nothing new starts, running steps finish.
    pub stop: CancellationToken,
    /// Calls are dropped; the journal says what is unsettled.
    pub abort: CancellationToken,
}

/// Everything a run talks to.
pub struct Executor<'a, B> {
    /// What is known.
    pub record: Record,
    /// Who does the work.
    pub backend: &'a B,
    /// Who remembers.
    pub journal: &'a mut dyn Journal,
    /// Who tells.
    pub reporter: &'a mut dyn Reporter,
    /// What late values may need, and what must not be told.
    pub secrets: &'a Secrets,
    /// How many calls run at once.
    pub parallel: usize,
    /// How failures are repeated.
    pub retry: RetryPolicy,
}

/// A call that ended, or a pause that did.
enum Done {
    Answer(TaskId, Result<Outputs, Failure>),
    Pause(TaskId),
}

/// What goes on at one moment.
struct Running<'a> {
    calls: FuturesUnordered<LocalBoxFuture<'a, Done>>,
    /// Calls that count against the limit; pauses do not.
    busy: usize,
    attempts: HashMap<TaskId, u32>,
    progress: UnboundedSender<(TaskId, Progress)>,
    stop: CancellationToken,
}

impl<'a, B: Backend> Executor<'a, B> {
    /// Begins an execution.
    ///
    /// # Errors
    ///
    /// If the journal cannot be written.
    pub fn begin(&mut self, execution: &str, workflow: Workflow) -> Result<(), JournalError> {
        self.emit(Event::ExecutionStarted { execution: execution.to_owned(), workflow })
    }

    /// Carries out one stage until nothing is left that can be done.
    ///
    /// # Errors
    ///
    /// If the journal cannot be written; calls under way have ended by then.
    pub async fn run(&mut self, stage: Stage, signals: &Signals) -> Result<(), JournalError> {
        self.emit(Event::StageAdopted { stage })?;
        let (progress, mut shown) = unbounded_channel();
        let mut running =
            Running { calls: FuturesUnordered::new(), busy: 0, attempts: HashMap::new(), progress, stop: signals.stop.clone() };
        loop {
            if let Err(error) = self.fill(&mut running) {
                return Err(drain(running, error, signals).await);
            }
            tokio::select! {
                biased;
                () = signals.abort.cancelled() => return Ok(()),
                () = signals.stop.cancelled(), if !self.record.is_cancelled() => {
                    if let Err(error) = self.emit(Event::CancelRequested) {
                        return Err(drain(running, error, signals).await);
                    }
                }
                Some((task, progress)) = shown.recv() => self.reporter.progress(&self.record, task, &progress.scrubbed(self.secrets)),
                done = running.calls.next() => {
                    let Some(done) = done else { return Ok(()) };
                    if let Err(error) = self.take(done, &mut running) {
                        return Err(drain(running, error, signals).await);
                    }
                }
            }
        }
    }

    /// Ends the execution; how it ended follows from its tasks.
    ///
    /// # Errors
    ///
    /// If the journal cannot be written.
    pub fn finish(&mut self) -> Result<Outcome, JournalError> {
        let failed = self.record.running().is_some_and(|execution| !execution.failed.is_empty());
        let outcome = match (self.record.is_done(), self.record.is_cancelled()) {
            (true, _) => Outcome::Terminated,
            (false, true) if !failed => Outcome::Cancelled,
            (false, _) => Outcome::Failed,
        };
        self.emit(Event::ExecutionFinished { outcome })?;
        Ok(outcome)
    }

    /// Starts what may start.
    fn fill(&mut self, running: &mut Running<'a>) -> Result<(), JournalError> {
        while running.busy < self.parallel.max(1) {
            let Some(task) = self.record.ready().next() else { break };
            self.start(task, running)?;
        }
        Ok(())
    }

    /// Binds a task, journals the intent, and asks the back-end.
    fn start(&mut self, task: TaskId, running: &mut Running<'a>) -> Result<(), JournalError> {
        let planned = self.record.stage().task(task).clone();
        let attempt = running.attempts.entry(task).and_modify(|attempt| *attempt += 1).or_insert(1);
        let bound = planned.step.bind(&Around { record: &self.record, me: Some(&planned.instance), secrets: self.secrets });
        let attempt = *attempt;
        self.emit(Event::TaskStarted { task, attempt })?;
        match bound {
            Ok(Step::Nothing) => self.emit(Event::TaskSucceeded { task, outputs: Outputs::default() }),
            Ok(step) => {
                running.busy += 1;
                running.calls.push(self.call(task, step, running));
                Ok(())
            }
            Err(message) => {
                let failure = Failure { place: Some(planned.place), ..Failure::fatal(message) };
                self.emit(Event::TaskFailed { task, failure, retry_in: None })
            }
        }
    }

    fn call(&self, task: TaskId, step: Step, running: &Running<'a>) -> LocalBoxFuture<'a, Done> {
        let planned = self.record.stage().task(task);
        let call = Call {
            deployment: self.record.deployment.as_ref().map(|deployment| deployment.name.clone()).unwrap_or_default(),
            execution: self.record.running().map(|execution| execution.id.clone()).unwrap_or_default(),
            instance: planned.instance.clone(),
            node: planned.node.clone(),
            step,
            properties: self.record.properties(&planned.instance).cloned().unwrap_or_default(),
            stop: running.stop.clone(),
        };
        let (backend, progress) = (self.backend, running.progress.clone());
        async move {
            // Nobody listens once the run is over; that is no fault of the step.
            let sink = |shown| drop(progress.send((task, shown)));
            Done::Answer(task, backend.perform(&call, &sink).await)
        }
        .boxed_local()
    }

    fn take(&mut self, done: Done, running: &mut Running<'a>) -> Result<(), JournalError> {
        match done {
            Done::Answer(task, Ok(outputs)) => {
                running.busy -= 1;
                self.emit(Event::TaskSucceeded { task, outputs })
            }
            Done::Answer(task, Err(failure)) => {
                running.busy -= 1;
                self.fail(task, failure, running)
            }
            Done::Pause(task) if self.record.is_cancelled() => self.emit(Event::TaskInterrupted { task }),
            Done::Pause(task) => self.start(task, running),
        }
    }

    fn fail(&mut self, task: TaskId, mut failure: Failure, running: &Running<'a>) -> Result<(), JournalError> {
        if failure.cancelled {
            return self.emit(Event::TaskInterrupted { task });
        }
        failure.place = Some(self.record.stage().task(task).place.clone());
        let pause = if failure.recoverable && !self.record.is_cancelled() { self.pause(task, running) } else { None };
        let retry_in = pause.map(|pause| u64::try_from(pause.as_millis()).unwrap_or(u64::MAX));
        self.emit(Event::TaskFailed { task, failure, retry_in })?;
        if let Some(pause) = pause {
            let stop = running.stop.clone();
            let sleep = async move {
                tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    () = stop.cancelled() => {}
                }
                Done::Pause(task)
            };
            running.calls.push(sleep.boxed_local());
        }
        Ok(())
    }

    /// How long to wait before the next try; none if there is to be none. An interval of the
    /// blueprint is constant, the general one grows.
    fn pause(&self, task: TaskId, running: &Running<'a>) -> Option<Duration> {
        let rule = self.record.stage().task(task).retry;
        let attempt = running.attempts.get(&task).copied().unwrap_or(1);
        let budget = rule.max_retries.unwrap_or(self.retry.retries);
        if budget >= 0.0 && f64::from(attempt) > budget {
            return None;
        }
        let growing = || (self.retry.interval * 2_f64.powi(i32::try_from(attempt.min(16)).unwrap_or(16) - 1)).min(LONGEST_PAUSE);
        Duration::try_from_secs_f64(rule.interval.unwrap_or_else(growing)).ok()
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
        let entry = Entry::now(event.scrubbed(self.secrets));
        self.record.apply(&entry).expect("the executor follows its own state");
        self.journal.append(&entry)?;
        self.reporter.report(&self.record, &entry);
        Ok(())
    }
}

/// Lets calls under way end before the run is given up: what they do is at least done.
async fn drain(mut running: Running<'_>, error: JournalError, signals: &Signals) -> JournalError {
    running.stop.cancel();
    let ended = async { while running.calls.next().await.is_some() {} };
    tokio::select! {
        () = ended => {}
        () = signals.abort.cancelled() => {}
    }
    error
}
