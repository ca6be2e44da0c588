//! Events in words.

use crate::{
    event::{Event, Outcome, Why},
    record::{FailedTask, Record},
    seam::{Failure, Settling},
    stage::{Task, TaskId, Workflow},
};

/// An event as one line; none for events that mean nothing to a reader.
pub(super) fn line(record: &Record, event: &Event) -> Option<String> {
    let of = |task: &TaskId| record.stage().task(*task);
    Some(match event {
        Event::Defined { .. } | Event::TaskNoted { .. } => return None,
        Event::Recovered { instances, .. } => format!(
            "{} recovered from the engine's labels",
            super::count(instances.len(), "instance")
        ),
        Event::ExecutionStarted {
            execution,
            parameters,
            of,
            ..
        } => started(execution, parameters.workflow(), of.as_deref()),
        Event::StageAdopted { stage } => {
            format!("{} planned", super::count(stage.tasks().len(), "step"))
        }
        Event::StageExtended { tasks } => {
            format!("{} more planned", super::count(tasks.len(), "step"))
        }
        Event::TaskStarted { task, attempt: 1 } => format!("{} {}", label(of(task)), of(task).step),
        Event::TaskStarted { task, attempt } => {
            format!("{} {} (try {attempt})", label(of(task)), of(task).step)
        }
        Event::TaskSucceeded { task, .. } => format!("{} done: {}", label(of(task)), of(task).step),
        Event::TaskFailed {
            task,
            failure,
            retry_in: Some(pause),
            ..
        } => {
            format!(
                "{} failed, trying again in {:.1} s: {}",
                label(of(task)),
                seconds(*pause),
                failure.message
            )
        }
        Event::TaskFailed {
            task,
            failure,
            ignored: true,
            ..
        } => format!("{} failed, ignored: {}", label(of(task)), failure.message),
        Event::TaskFailed { task, failure, .. } => {
            format!("{} failed: {}", label(of(task)), failure.message)
        }
        Event::TaskSettled { task, .. } => format!(
            "{} was done by an earlier run: {}",
            label(of(task)),
            of(task).step
        ),
        Event::TaskInterrupted { task }
            if of(task).step.traits.settling == Settling::AtLeastOnce =>
        {
            format!(
                "{} given up; nothing shows whether it was done, so it runs again: {}",
                label(of(task)),
                of(task).step
            )
        }
        Event::TaskInterrupted { task } => {
            format!("{} given up: {}", label(of(task)), of(task).step)
        }
        Event::CancelRequested { why } => stopping(*why).to_owned(),
        Event::ExecutionFinished { outcome } => outcome_line(record, *outcome),
    })
}

fn stopping(why: Why) -> &'static str {
    match why {
        Why::Asked => {
            "stopping: nothing new starts, what runs is finished (once more to stop at once)"
        }
        Why::Failure => {
            "stopping after a failure (--fail-fast): nothing new starts, running steps finish, waits are given up"
        }
        Why::Timeout => {
            "the time is over (--timeout): nothing new starts, what runs has 10 s to end"
        }
        Why::GuardLost => "stopping at once: another run has taken the deployment over",
    }
}

#[expect(clippy::cast_precision_loss, reason = "shown to a tenth of a second")]
pub(super) fn seconds(milliseconds: u64) -> f64 {
    milliseconds as f64 / 1000.0
}

fn started(execution: &str, workflow: Workflow, of: Option<&str>) -> String {
    let with = match (workflow, of) {
        (_, None) => String::new(),
        (Workflow::Rollback, Some(of)) => format!(", takes back {of}"),
        (_, Some(of)) => format!(", goes on with {of}"),
    };
    format!("{workflow} started (execution {execution}{with})")
}

fn label(task: &Task) -> String {
    format!("[{}.{}]", task.instance, task.operation)
}

fn outcome_line(record: &Record, outcome: Outcome) -> String {
    let execution = record.executions.last();
    let took = execution
        .and_then(|execution| Some(execution.ended?.saturating_sub(execution.started)))
        .unwrap_or_default();
    let workflow = execution
        .map(|execution| execution.workflow().to_string())
        .unwrap_or_default();
    format!(
        "{workflow} {} after {:.1} s",
        outcome.as_str(),
        seconds(took)
    )
}

/// How an execution ended, for its last line.
#[must_use]
pub fn outcome(record: &Record) -> String {
    let Some(execution) = record.executions.last() else {
        return String::new();
    };
    outcome_line(record, execution.outcome.unwrap_or(Outcome::Interrupted))
}

/// A failure in full: cause, place, exit code, last log lines, advice.
#[must_use]
pub fn failure(failed: &FailedTask) -> String {
    let FailedTask {
        instance,
        operation,
        failure,
        ..
    } = failed;
    let mut text = format!("{instance}.{operation} failed: {}\n", failure.message);
    let Failure {
        hints, exit, place, ..
    } = failure;
    if let Some(place) = place {
        text += &format!("  --> {place}\n");
    }
    if let Some(exit) = exit {
        let oom = if exit.oom_killed {
            ", killed for want of memory"
        } else {
            ""
        };
        text += &format!(
            "  container {} ended with exit code {}{oom}\n",
            exit.container, exit.code
        );
        if !exit.health.is_empty() {
            text += "  its health check said:\n";
            text.extend(exit.health.iter().map(|line| format!("    | {line}\n")));
        }
        text += if exit.log.is_empty() {
            "  it wrote nothing\n"
        } else {
            "  its last lines:\n"
        };
        text.extend(exit.log.iter().map(|line| format!("    | {line}\n")));
    }
    text.extend(hints.iter().map(|hint| format!("  = help: {hint}\n")));
    text
}
