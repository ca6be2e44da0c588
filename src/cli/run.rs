//! Carrying out a stage: reporters, signals, and what is said at the end.

use super::{
    Outcome,
    args::{Global, ProgressMode},
    color,
    error::{CliError, Kind},
    workspace::Workspace,
};
use crate::{
    backend::docker::Engines,
    event,
    executor::{Executor, RetryPolicy, Signals},
    journal::Held,
    plan::{Stage, Workflow},
    report::{self, JsonLines, Live, Plain, Quiet, Reporter},
    state::{Execution, Record},
};
use serde_json::{Value as Json, json};
use std::io::{IsTerminal as _, stderr};
use tokio::signal::unix::{SignalKind, signal};

/// What is to be carried out, and for whom.
pub(crate) struct Job<'a> {
    pub workspace: &'a Workspace<'a>,
    pub engines: &'a Engines,
    pub workflow: Workflow,
    pub stage: Stage,
    /// The command that takes the run up again.
    pub again: String,
}

/// Carries a stage out under the held deployment. The events `before` belong to the run and are put down first.
pub(crate) async fn carry_out(job: Job<'_>, held: Held, before: Vec<event::Event>) -> Result<Record, CliError> {
    let Held { mut store, record, .. } = held;
    let global = job.workspace.global;
    let mut reporter = reporter(global);
    let secrets = &job.workspace.secrets;
    let mut executor = Executor {
        record,
        backend: job.engines,
        journal: &mut store,
        reporter: reporter.as_mut(),
        secrets,
        parallel: global.parallel.into(),
        retry: RetryPolicy { retries: global.task_retries.into(), interval: global.task_retry_interval },
    };
    let signals = listen()?;
    settle_interrupted(&mut executor)?;
    for event in before {
        executor.emit(event)?;
    }
    executor.begin(&fresh_id(), job.workflow)?;
    executor.run(job.stage, &signals).await?;
    let outcome = if signals.abort.is_cancelled() {
        executor.emit(event::Event::ExecutionFinished { outcome: event::Outcome::Interrupted })?;
        event::Outcome::Interrupted
    } else {
        executor.finish()?
    };
    let record = executor.record;
    drop(reporter);
    match outcome {
        event::Outcome::Terminated => Ok(record),
        _ => Err(ended_badly(&record, outcome, &job.again)),
    }
}

/// An execution whose process died is over; the new plan starts from what the engine says.
fn settle_interrupted<B: crate::backend::Backend>(executor: &mut Executor<'_, B>) -> Result<(), CliError> {
    if executor.record.running().is_some() {
        executor.emit(event::Event::ExecutionFinished { outcome: event::Outcome::Interrupted })?;
    }
    Ok(())
}

fn fresh_id() -> String {
    std::iter::repeat_with(fastrand::alphanumeric).map(|c| c.to_ascii_lowercase()).take(8).collect()
}

fn reporter(global: &Global) -> Box<dyn Reporter> {
    match global.progress {
        // Logs and a live view would tear each other.
        ProgressMode::Auto if stderr().is_terminal() && global.verbose == 0 => Box::new(Live::new(color(global))),
        ProgressMode::Tty => Box::new(Live::new(color(global))),
        ProgressMode::Auto | ProgressMode::Plain => Box::new(Plain { out: stderr() }),
        ProgressMode::Json => Box::new(JsonLines { out: stderr() }),
        ProgressMode::Quiet => Box::new(Quiet),
    }
}

/// The first signal asks to stop, the second drops everything.
fn listen() -> Result<Signals, CliError> {
    let signals = Signals::default();
    let cannot = |error: std::io::Error| CliError::new(Kind::Failed, format!("cannot listen for signals: {error}"));
    let mut interrupt = signal(SignalKind::interrupt()).map_err(cannot)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(cannot)?;
    let asked = signals.clone();
    tokio::spawn(async move {
        for token in [asked.stop, asked.abort] {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            token.cancel();
        }
    });
    Ok(signals)
}

fn ended_badly(record: &Record, outcome: event::Outcome, again: &str) -> CliError {
    let execution = record.executions.last();
    let id = execution.map(|execution| execution.id.clone()).unwrap_or_default();
    let (kind, message) = match outcome {
        event::Outcome::Failed => (Kind::Failed, format!("execution {id} failed")),
        _ => (Kind::Interrupted, format!("execution {id} was stopped before it was done")),
    };
    let mut error = CliError::new(kind, format!("{message}{}", left(execution))).hint(format!("go on with: {again}"));
    error.preamble =
        execution.map(|execution| execution.failed.iter().map(report::failure).collect::<Vec<_>>().join("\n")).unwrap_or_default();
    if !error.preamble.is_empty() {
        error.preamble += "\n";
    }
    error.fields = execution_fields(record);
    error.execution = Some(id);
    error.result = format!("{}{}\n", super::status::known_table(record), report::outcome(record));
    error
}

fn left(execution: Option<&Execution>) -> String {
    let left = execution.map_or(0, |execution| execution.tasks - execution.done - execution.failed.len());
    if left == 0 { String::new() } else { format!("; not carried out: {}", report::count(left, "step")) }
}

/// What a finished run has to say, as fields of the JSON document.
pub(crate) fn execution_fields(record: &Record) -> Json {
    let execution = record.executions.last().map(execution_json);
    let name = record.deployment.as_ref().map(|deployment| deployment.name.clone());
    json!({ "deployment": name, "execution": execution, "instances": super::status::known_instances(record) })
}

/// An execution as JSON.
pub(crate) fn execution_json(execution: &Execution) -> Json {
    let failed: Vec<Json> = execution
        .failed
        .iter()
        .map(|failed| json!({ "instance": failed.instance, "operation": failed.operation, "failure": failed.failure }))
        .collect();
    json!({
        "id": execution.id,
        "workflow": execution.workflow,
        "started": event::timestamp(execution.started),
        "ended": execution.ended.map(event::timestamp),
        "outcome": execution.outcome,
        "steps": execution.tasks,
        "done": execution.done,
        "failed": failed,
    })
}

/// What a finished run has to say to people: a closing table.
pub(crate) fn closing(record: &Record) -> Outcome {
    let text = format!("{}{}\n", super::status::known_table(record), report::outcome(record));
    Outcome::new(execution_fields(record), text)
}
