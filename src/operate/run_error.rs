//! The errors of runs that did not start, did not continue or did not succeed.

use super::{
    error::{Detail, Error, FailedRun, Kind, MissingItem},
    session::Job,
};
use crate::{
    event::{self, StopReason},
    executor::RunError,
    journal::JournalError,
    model::InstanceState,
    plugins::GuardError,
    preflight::MissingRequirement,
    record::{Execution, Record, TaskState},
    report,
    seam::{Failure, Unseen},
    stage::{Parameters, Stage, Task, Workflow},
};
use indexmap::IndexSet;
use std::collections::BTreeSet;

/// Maximum number of instances that a message names; it counts the others.
const MAX_NAMED: usize = 8;

/// Returns the error of an execution that did not succeed, with a hint on how to resume it.
pub(crate) fn execution_error(
    record: &Record,
    outcome: event::Outcome,
    resume_command: &str,
) -> Error {
    let execution = record.executions.last();
    let id = execution
        .map(|execution| execution.id.clone())
        .unwrap_or_default();
    let (kind, message) = match (outcome, execution.and_then(|execution| execution.stopped)) {
        (event::Outcome::Failed, Some(StopReason::GuardLost)) => (
            Kind::Busy,
            format!("execution {id} was aborted: another run took over the deployment"),
        ),
        (event::Outcome::Failed, Some(StopReason::Timeout)) => (
            Kind::Failed,
            format!("execution {id} failed: it exceeded --timeout"),
        ),
        (event::Outcome::Failed, _) => (Kind::Failed, format!("execution {id} failed")),
        _ => (
            Kind::Interrupted,
            format!("execution {id} was cancelled before it finished"),
        ),
    };
    let text = format!(
        "{message}{}{}{}{}",
        skipped_steps(execution),
        skipped_names(record),
        removed_note(record),
        left_stopped(record)
    );
    let hint = match kind {
        Kind::Interrupted => format!("to resume it, run: {resume_command}"),
        _ => format!("fix the cause, then run: {resume_command}"),
    };
    let mut error = Error::new(kind, text).hint(hint);
    error.execution = Some(id);
    error.with(Detail::Ended(Box::new(FailedRun {
        record: record.clone(),
        rollback: None,
        skipped: skipped_instances(record).into_iter().collect(),
    })))
}

/// Adds the engines that a run left out to its error.
pub(crate) fn with_unseen(error: Error, unseen: &[Unseen]) -> Error {
    unseen.iter().fold(error, |error, it| {
        let Unseen {
            engine,
            instances,
            reason,
        } = it;
        let names = instances.join(", ");
        error.hint(format!(
            "the run left out {names}, because the engine `{engine}` did not respond: {}",
            reason.message
        ))
    })
}

/// Returns a message part if a failed scaling removed the instances that it had added.
fn removed_note(record: &Record) -> &'static str {
    let last = record.executions.last();
    let added = match last.map(|execution| &*execution.parameters) {
        Some(Parameters::Scale(scale)) => &scale.added[..],
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
fn left_stopped(record: &Record) -> String {
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
    let is_removed = |id: &&String| match &*execution.parameters {
        Parameters::Scale(scale) => scale.removed.contains(*id),
        _ => false,
    };
    let names: Vec<&str> = touched
        .into_iter()
        .filter(|id| is_down(id) && !is_removed(id))
        .map(String::as_str)
        .collect();
    if names.is_empty() {
        String::new()
    } else {
        format!("; left stopped: {}", names.join(", "))
    }
}

fn skipped_steps(execution: Option<&Execution>) -> String {
    let remaining_seconds = execution.map_or(0, |execution| {
        execution
            .tasks
            .saturating_sub(execution.done + execution.failed.len())
    });
    if remaining_seconds == 0 {
        String::new()
    } else {
        format!("; {} skipped", report::count(remaining_seconds, "step"))
    }
}

/// Returns the instances that have pending steps and no failed or running step.
fn skipped_instances(record: &Record) -> IndexSet<String> {
    let has_failed_or_running_step = |instance: &str| {
        let mut mine = record
            .stage()
            .ids()
            .filter(|id| record.stage().task(*id).instance == instance);
        mine.any(|id| {
            matches!(
                record.task_state(id),
                TaskState::Failed | TaskState::Started
            )
        })
    };
    let pending = record
        .stage()
        .ids()
        .filter(|id| record.task_state(*id) == TaskState::Pending);
    let instances: IndexSet<String> = pending
        .map(|id| record.stage().task(id).instance.clone())
        .collect();
    instances
        .into_iter()
        .filter(|instance| !has_failed_or_running_step(instance))
        .collect()
}

fn skipped_names(record: &Record) -> String {
    let all = skipped_instances(record);
    let named: Vec<&str> = all.iter().take(MAX_NAMED).map(String::as_str).collect();
    let more = if all.len() > MAX_NAMED {
        format!(" and {} more", all.len() - MAX_NAMED)
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
pub(crate) fn rollback_error(
    mut error: Error,
    record: &Record,
    outcome: event::Outcome,
    resume_command: &str,
) -> Error {
    error.message += match outcome {
        event::Outcome::Terminated => "; its changes were rolled back",
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
        error.hints = vec![format!("to finish the rollback, run: {resume_command}")];
    }
    if let Detail::Ended(ended) = &mut error.detail {
        ended.rollback = Some(record.clone());
    }
    error
}

pub(crate) fn guard_error(error: GuardError) -> Error {
    match error {
        GuardError::Refused(failure) => Error::from(failure)
            .hint("if no other machine works on the deployment, disable the guard: --no-guard"),
        GuardError::Busy(holder, remaining_seconds) => {
            let error = Error::new(
                Kind::Busy,
                format!("the deployment is in use on the engine by {holder}"),
            );
            error
                .hint(format!(
                    "wait until it finishes; if it died, its guard expires in {remaining_seconds} s"
                ))
                .hint("check the guard, and remove it if its run died: dockctl unlock")
        }
    }
}

/// Returns the error for missing values and files, with the command to run afterwards.
pub(crate) fn missing_error(missing: &[MissingRequirement], stage: &Stage, job: &Job<'_>) -> Error {
    let message = format!(
        "cannot start {}: values or files are missing; nothing was done",
        job.parameters.workflow()
    );
    let inputs: BTreeSet<&String> = missing.iter().flat_map(|one| &one.inputs).collect();
    let inputs = inputs.into_iter().map(|name| format!(" -i {name}=VALUE"));
    let inputs: String = inputs
        .filter(|input| !format!("{} ", job.resume_command).contains(&format!("{input} ")))
        .collect();
    let items = missing
        .iter()
        .map(|one| missing_detail(one, stage.task(one.task)));
    Error::new(Kind::Invalid, message)
        .with(Detail::Missing(items.collect()))
        .hint(format!(
            "provide them, then run: {}{inputs}",
            job.resume_command
        ))
}

fn missing_detail(missing: &MissingRequirement, task: &Task) -> MissingItem {
    MissingItem {
        instance: task.instance.clone(),
        operation: task.operation.clone(),
        why: missing.reason.clone(),
        inputs: missing.inputs.clone(),
        place: task.place.to_string(),
    }
}

/// Returns the error for an engine that was lost after the last step. The execution stays open: the
/// next run resumes it.
pub(crate) fn engine_lost(execution: &str, resume_command: &str) -> Error {
    let mut error = Error::new(
        Kind::Failed,
        format!(
            "lost the connection to the engine at the end of execution {execution}; its containers may have stopped"
        ),
    );
    error.execution = Some(execution.to_owned());
    error.hint(format!("fix the cause, then run: {resume_command}"))
}

/// Returns the error for a run that cannot continue. The execution stays open.
pub(crate) fn stopped_error(error: RunError, execution: &str, resume_command: &str) -> Error {
    match error {
        RunError::Journal(error) => journal_error(error, resume_command),
        RunError::Engine(failure) => {
            let mut error = Error::from(failure);
            error.execution = Some(execution.to_owned());
            error.hint(format!("fix the cause, then run: {resume_command}"))
        }
        RunError::Undecided(failure) => {
            let mut error = undecided_error(failure);
            error.execution = Some(execution.to_owned());
            error.hint(format!("then run: {resume_command}"))
        }
    }
}

/// Returns the error for a step whose outcome a person must find out.
pub(crate) fn undecided_error(failure: Failure) -> Error {
    let hints = failure.hints.into_iter();
    hints.fold(Error::new(Kind::Failed, failure.message), Error::hint)
}

/// Returns the error for a journal that cannot be written. Running steps have finished; the next
/// run settles their outcome.
pub(crate) fn journal_error(error: JournalError, resume_command: &str) -> Error {
    let full = error.is_disk_full();
    let mut error = Error::from(error);
    error.hints.clear();
    let error = if full {
        error.hint("free disk space for the state directory")
    } else {
        error
    };
    error.hint(format!(
        "running steps were allowed to finish; to check their outcome and continue, run: {resume_command}"
    ))
}
