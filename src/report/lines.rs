//! Events as text.

use crate::{
    event::{Event, Outcome, StopReason},
    printable::{on_one_line, printable},
    record::{FailedTask, Record},
    seam::{Failure, LogLine, Settling},
    stage::{Task, TaskId, Workflow},
};

/// Returns an event as one line; none for events that do not matter to people. Text from outside
/// is escaped.
pub(super) fn line(record: &Record, event: &Event) -> Option<String> {
    text(record, event).map(|text| on_one_line(&text))
}

fn text(record: &Record, event: &Event) -> Option<String> {
    let of = |task: &TaskId| record.stage().task(*task);
    Some(match event {
        Event::Defined { .. } | Event::TaskNoted { .. } => return None,
        Event::Freed => "freed; its objects stay".to_owned(),
        Event::Recovered { instances, .. } => format!(
            "{} recovered from engine labels",
            super::count(instances.len(), "instance")
        ),
        Event::ExecutionStarted {
            execution,
            parameters,
            of,
            ..
        } => started(execution, parameters.workflow(), of.as_deref()),
        Event::StageStarted { stage } => {
            format!("{} planned", super::count(stage.tasks().len(), "step"))
        }
        Event::StageExtended { tasks } => {
            format!("{} planned", super::count(tasks.len(), "more step"))
        }
        Event::TaskStarted { task, attempt: 1 } => format!("{} {}", label(of(task)), of(task).step),
        Event::TaskStarted { task, attempt } => {
            format!("{} {} (attempt {attempt})", label(of(task)), of(task).step)
        }
        Event::TaskSucceeded { task, .. } => format!("{} done: {}", label(of(task)), of(task).step),
        Event::TaskFailed {
            task,
            failure,
            retry_in: Some(pause),
            ..
        } => {
            format!(
                "{} failed, retrying in {:.1} s: {}",
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
        } => format!("{} failed (ignored): {}", label(of(task)), failure.message),
        Event::TaskFailed { task, failure, .. } => {
            format!("{} failed: {}", label(of(task)), failure.message)
        }
        Event::TaskSettled { task, .. } => format!(
            "{} already done by an earlier execution: {}",
            label(of(task)),
            of(task).step
        ),
        Event::TaskInterrupted { task }
            if of(task).step.traits.settling == Settling::AtLeastOnce =>
        {
            format!(
                "{} interrupted; it may have taken effect, but will run again: {}",
                label(of(task)),
                of(task).step
            )
        }
        Event::TaskInterrupted { task } => {
            format!("{} interrupted: {}", label(of(task)), of(task).step)
        }
        Event::CancelRequested { why } => stop_line(*why).to_owned(),
        Event::ExecutionFinished { outcome } => outcome_line(record, *outcome),
    })
}

/// Returns a line of the log of a task; none for a line that is only stored.
pub(super) fn log_line(record: &Record, task: TaskId, line: &LogLine) -> Option<String> {
    let task = record.stage().task(task);
    let text = format!("{} {line}", label(task)).replace('\n', " / ");
    (!line.is_quiet).then(|| printable(&text))
}

fn stop_line(why: StopReason) -> &'static str {
    match why {
        StopReason::Asked => {
            "cancelling: no new steps start, running steps finish (press Ctrl-C again to stop at once)"
        }
        StopReason::Failure => {
            "stopping after a failure (--fail-fast): no new steps start, running steps finish, waits are cancelled"
        }
        StopReason::Timeout => {
            "timed out (--timeout): no new steps start, running steps have 10 s to finish"
        }
        StopReason::GuardLost => "stopping at once: another run took over the deployment",
    }
}

#[expect(clippy::cast_precision_loss, reason = "shown to a tenth of a second")]
pub(super) fn seconds(milliseconds: u64) -> f64 {
    milliseconds as f64 / 1000.0
}

fn started(execution: &str, workflow: Workflow, of: Option<&str>) -> String {
    let with = match (workflow, of) {
        (_, None) => String::new(),
        (Workflow::Rollback, Some(of)) => format!(", rolls back {of}"),
        (_, Some(of)) => format!(", resumes {of}"),
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
    format!("{workflow} {} {:.1} s", ending(outcome), seconds(took))
}

/// Returns the words between the workflow and its duration.
fn ending(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Terminated => "completed in",
        Outcome::Failed => "failed after",
        Outcome::Cancelled => "cancelled after",
        Outcome::Interrupted => "interrupted after",
    }
}

/// Returns the closing line of an execution.
#[must_use]
pub fn closing_line(record: &Record) -> String {
    let Some(execution) = record.executions.last() else {
        return String::new();
    };
    outcome_line(record, execution.outcome.unwrap_or(Outcome::Interrupted))
}

/// Returns a failure in full: cause, place, exit code, last log lines, hints.
#[must_use]
pub fn failure_text(failed: &FailedTask) -> String {
    let FailedTask {
        instance,
        operation,
        failure,
        ..
    } = failed;
    let message = failure.message.replace('\n', "\n  | ");
    let instance = on_one_line(instance);
    let mut text = format!("{instance}.{operation} failed: {message}\n");
    let Failure {
        hints,
        exit,
        output,
        place,
        ..
    } = failure;
    if let Some(place) = place {
        text += &format!("  --> {place}\n");
    }
    if let Some(exit) = exit {
        let exited = exit.to_string();
        if !failure.message.contains(&exited) {
            text += &format!("  {exited}\n");
        }
        if !exit.health.is_empty() {
            text += "  last health checks:\n";
            text.extend(exit.health.iter().map(|line| format!("    | {line}\n")));
        }
        text += if exit.log.is_empty() {
            "  no log output\n"
        } else {
            "  last log lines:\n"
        };
        text.extend(exit.log.iter().map(|line| format!("    | {line}\n")));
    }
    if !output.is_empty() {
        text += "  last lines of output:\n";
        text.extend(output.iter().map(|line| format!("    | {line}\n")));
    }
    text.extend(hints.iter().map(|hint| format!("  = help: {hint}\n")));
    // All of it comes from outside: a color could hide what follows.
    printable(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_contain_no_command_to_a_terminal() {
        let failure = Failure {
            output: vec!["\u{1b}[8mhidden".to_owned()],
            ..Failure::fatal("\u{1b}[2J").hint("try\u{9b}31m")
        };
        let failed = FailedTask {
            instance: "n\u{1b}[8m\nx".to_owned(),
            operation: "start".to_owned(),
            failure,
            ignored: false,
            tried_again: false,
        };
        assert_eq!(
            failure_text(&failed),
            "n\\u{1b}[8m / x.start failed: \\u{1b}[2J\n  last lines of output:\n    | \\u{1b}[8mhidden\n  = help: try\\u{9b}31m\n"
        );
    }
}
