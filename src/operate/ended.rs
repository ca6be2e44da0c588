//! The errors of runs that did not start, did not continue or did not succeed.

use super::{
    error::{Detail, Ended, Error, Kind, Lacking},
    session::Job,
};
use crate::{
    event::{self, Why},
    executor::Unsettled,
    journal::JournalError,
    model::InstanceState,
    plugins::Unguarded,
    preflight::Lack,
    record::{Execution, Record, TaskState},
    report,
    stage::{Parameters, Stage, Task, Workflow},
};
use indexmap::IndexSet;
use std::collections::BTreeSet;

/// Maximum number of instances that a message names; it counts the others.
const NAMED: usize = 8;

/// Returns the error of an execution that did not succeed, with a hint on how to resume it.
pub(crate) fn ended_badly(record: &Record, outcome: event::Outcome, again: &str) -> Error {
    let execution = record.executions.last();
    let id = execution
        .map(|execution| execution.id.clone())
        .unwrap_or_default();
    let (kind, message) = match (outcome, execution.and_then(|execution| execution.stopped)) {
        (event::Outcome::Failed, Some(Why::GuardLost)) => (
            Kind::Busy,
            format!("execution {id} was aborted: another run took over the deployment"),
        ),
        (event::Outcome::Failed, Some(Why::Timeout)) => (
            Kind::Failed,
            format!("execution {id} failed: it exceeded --timeout"),
        ),
        (event::Outcome::Failed, _) => (Kind::Failed, format!("execution {id} failed")),
        _ => (
            Kind::Interrupted,
            format!("execution {id} was cancelled before it finished"),
        ),
    };
    let words = format!(
        "{message}{}{}{}{}",
        left(execution),
        skipped_words(record),
        taken_down_again(record),
        standing_still(record)
    );
    let hint = match kind {
        Kind::Interrupted => format!("to resume it, run: {again}"),
        _ => format!("fix the cause, then run: {again}"),
    };
    let mut error = Error::new(kind, words).hint(hint);
    error.execution = Some(id);
    error.with(Detail::Ended(Box::new(Ended {
        record: record.clone(),
        rollback: None,
        skipped: skipped(record).into_iter().collect(),
    })))
}

/// Returns a message part if a failed scaling removed the instances that it had added.
fn taken_down_again(record: &Record) -> &'static str {
    let last = record.executions.last();
    let added = match last.map(|execution| &*execution.parameters) {
        Some(Parameters::Scale(said)) => &said.added[..],
        _ => &[],
    };
    let is_gone = |id: &String| record.state(id).is_gone();
    if !added.is_empty() && added.iter().all(is_gone) {
        "; the added instances were removed again"
    } else {
        ""
    }
}

/// Returns a message part with the instances that the run stopped temporarily and left stopped.
fn standing_still(record: &Record) -> String {
    let last = record.executions.last();
    let Some(execution) =
        last.filter(|it| !matches!(it.workflow(), Workflow::Stop | Workflow::Uninstall))
    else {
        return String::new();
    };
    let is_down = |id: &&String| {
        matches!(
            record.state(id),
            InstanceState::Stopping | InstanceState::Stopped
        )
    };
    let touched: IndexSet<&String> = record
        .stage()
        .tasks()
        .iter()
        .map(|task| &task.instance)
        .collect();
    let goes = |id: &&String| match &*execution.parameters {
        Parameters::Scale(said) => said.removed.contains(*id),
        _ => false,
    };
    let names: Vec<&str> = touched
        .into_iter()
        .filter(|id| is_down(id) && !goes(id))
        .map(String::as_str)
        .collect();
    if names.is_empty() {
        String::new()
    } else {
        format!("; left stopped: {}", names.join(", "))
    }
}

fn left(execution: Option<&Execution>) -> String {
    let left = execution.map_or(0, |execution| {
        execution
            .tasks
            .saturating_sub(execution.done + execution.failed.len())
    });
    if left == 0 {
        String::new()
    } else {
        format!("; {} skipped", report::count(left, "step"))
    }
}

/// Returns the instances with no started steps: they depend on failed or skipped instances.
fn skipped(record: &Record) -> IndexSet<String> {
    let begun = |instance: &str| {
        let mut mine = record
            .stage()
            .ids()
            .filter(|id| record.stage().task(*id).instance == instance);
        mine.any(|id| matches!(record.task(id), TaskState::Failed | TaskState::Started))
    };
    let pending = record
        .stage()
        .ids()
        .filter(|id| record.task(*id) == TaskState::Pending);
    let instances: IndexSet<String> = pending
        .map(|id| record.stage().task(id).instance.clone())
        .collect();
    instances
        .into_iter()
        .filter(|instance| !begun(instance))
        .collect()
}

fn skipped_words(record: &Record) -> String {
    let all = skipped(record);
    let named: Vec<&str> = all.iter().take(NAMED).map(String::as_str).collect();
    let more = if all.len() > NAMED {
        format!(" and {} more", all.len() - NAMED)
    } else {
        String::new()
    };
    if all.is_empty() {
        String::new()
    } else {
        format!(" ({}{more})", named.join(", "))
    }
}

/// Adds the outcome of the rollback to the error of a failed install.
pub(crate) fn rolled_back(
    mut error: Error,
    record: &Record,
    outcome: event::Outcome,
    again: &str,
) -> Error {
    error.message += match outcome {
        event::Outcome::Terminated => "; it was rolled back",
        event::Outcome::Cancelled => "; its rollback was cancelled before it finished",
        _ => "; its rollback failed too",
    };
    if outcome == event::Outcome::Cancelled {
        error.kind = Kind::Interrupted;
    }
    if outcome == event::Outcome::Terminated {
        let hints = error.hints.iter();
        let hints = hints.map(|hint| hint.replacen("run: ", "run with the same inputs: ", 1));
        error.hints = hints.collect();
    } else {
        error.hints = vec![format!("to finish the rollback, run: {again}")];
    }
    if let Detail::Ended(ended) = &mut error.detail {
        ended.rollback = Some(record.clone());
    }
    error
}

pub(crate) fn unguarded(unguarded: Unguarded) -> Error {
    match unguarded {
        Unguarded::Refused(failure) => Error::from(failure)
            .hint("if no other machine works on the deployment, disable the guard: --no-guard"),
        Unguarded::Busy(holder, left) => {
            let error = Error::new(
                Kind::Busy,
                format!("the deployment is in use on the engine by {holder}"),
            );
            error
                .hint(format!(
                    "wait until it finishes; if it died, its guard expires in {left} s"
                ))
                .hint("check the guard, and remove it if its run died: dockctl unlock")
        }
    }
}

/// Returns the error for missing values and files, with the command to run afterwards.
pub(crate) fn lacking(lacks: &[Lack], stage: &Stage, job: &Job<'_>) -> Error {
    let message = format!(
        "cannot start {}: values or files are missing; nothing was done",
        job.parameters.workflow()
    );
    let inputs: BTreeSet<&String> = lacks.iter().flat_map(|lack| &lack.inputs).collect();
    let missing = inputs.into_iter().map(|name| format!(" -i {name}=VALUE"));
    let inputs: String = missing
        .filter(|input| !format!("{} ", job.again).contains(&format!("{input} ")))
        .collect();
    let facts = lacks.iter().map(|lack| fact(lack, stage.task(lack.task)));
    Error::new(Kind::Invalid, message)
        .with(Detail::Lacking(facts.collect()))
        .hint(format!("provide them, then run: {}{inputs}", job.again))
}

fn fact(lack: &Lack, task: &Task) -> Lacking {
    Lacking {
        instance: task.instance.clone(),
        operation: task.operation.clone(),
        why: lack.why.clone(),
        inputs: lack.inputs.clone(),
        place: task.place.to_string(),
    }
}

/// Returns the error for an engine that was lost after the last step. The execution stays open: the
/// next run resumes it.
pub(crate) fn went_away(execution: &str, again: &str) -> Error {
    let mut error = Error::new(
        Kind::Failed,
        format!(
            "lost the connection to the engine at the end of execution {execution}; its containers may have stopped"
        ),
    );
    error.execution = Some(execution.to_owned());
    error.hint(format!("fix the cause, then run: {again}"))
}

/// Returns the error for a run that cannot continue. The execution stays open.
pub(crate) fn stuck(error: Unsettled, execution: &str, again: &str) -> Error {
    match error {
        Unsettled::Journal(error) => cannot_go_on(error, again),
        Unsettled::Engine(failure) => {
            let mut error = Error::from(failure);
            error.execution = Some(execution.to_owned());
            error.hint(format!("fix the cause, then run: {again}"))
        }
    }
}

/// Returns the error for a journal that cannot be written. Running steps have finished; the next
/// run settles their outcome.
pub(crate) fn cannot_go_on(error: JournalError, again: &str) -> Error {
    let full = error.is_full();
    let mut told = Error::from(error);
    told.hints.clear();
    let told = if full {
        told.hint("free disk space for the state directory")
    } else {
        told
    };
    told.hint(format!(
        "running steps were allowed to finish; to check their outcome and continue, run: {again}"
    ))
}
