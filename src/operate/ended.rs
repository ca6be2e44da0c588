//! The errors of runs: why a run did not begin, did not go on or did not succeed.

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

/// Instances that a message names; of more it says how many.
const NAMED: usize = 8;

/// Why an execution did not do what it was to do, and how to go on.
pub(crate) fn ended_badly(record: &Record, outcome: event::Outcome, again: &str) -> Error {
    let execution = record.executions.last();
    let id = execution
        .map(|execution| execution.id.clone())
        .unwrap_or_default();
    let (kind, message) = match (outcome, execution.and_then(|execution| execution.stopped)) {
        (event::Outcome::Failed, Some(Why::GuardLost)) => (
            Kind::Busy,
            format!("execution {id} was ended: another run took the deployment over"),
        ),
        (event::Outcome::Failed, Some(Why::Timeout)) => (
            Kind::Failed,
            format!("execution {id} was given up: it took longer than --timeout allows"),
        ),
        (event::Outcome::Failed, _) => (Kind::Failed, format!("execution {id} failed")),
        _ => (
            Kind::Interrupted,
            format!("execution {id} was stopped before it was done"),
        ),
    };
    let words = format!(
        "{message}{}{}{}",
        left(execution),
        skipped_words(record),
        taken_down_again(record)
    );
    let mut error = Error::new(kind, words).hint(format!("go on with: {again}"));
    if let Some(names) = standing_still(record) {
        error = error.hint(format!("until then these do not run: {names}"));
    }
    error.execution = Some(id);
    error.with(Detail::Ended(Box::new(Ended {
        record: record.clone(),
        rollback: None,
        skipped: skipped(record).into_iter().collect(),
    })))
}

/// What scaling added in vain is taken down again.
fn taken_down_again(record: &Record) -> &'static str {
    let last = record.executions.last();
    let added = match last.map(|execution| &*execution.parameters) {
        Some(Parameters::Scale(said)) => &said.added[..],
        _ => &[],
    };
    let is_gone = |id: &String| record.state(id).is_gone();
    if !added.is_empty() && added.iter().all(is_gone) {
        "; what was added was taken down again"
    } else {
        ""
    }
}

/// Instances that were stopped on the way to something else, in words.
fn standing_still(record: &Record) -> Option<String> {
    let execution = record
        .executions
        .last()
        .filter(|it| !matches!(it.workflow(), Workflow::Stop | Workflow::Uninstall))?;
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
    (!names.is_empty()).then(|| names.join(", "))
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
        format!("; not carried out: {}", report::count(left, "step"))
    }
}

/// Instances whose steps were not begun, because they need what failed or was not begun either.
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
        format!(" of {}{more}", named.join(", "))
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
        event::Outcome::Terminated => "; what it created was taken back",
        event::Outcome::Cancelled => "; taking back what it created was stopped before it was done",
        _ => "; taking back what it created failed too",
    };
    if outcome == event::Outcome::Cancelled {
        error.kind = Kind::Interrupted;
    }
    if outcome == event::Outcome::Terminated {
        let hints = error.hints.iter();
        let hints = hints.map(|hint| format!("{hint}, with the inputs that were given"));
        error.hints = hints.collect();
    } else {
        error.hints = vec![format!("go on taking it back with: {again}")];
    }
    if let Detail::Ended(ended) = &mut error.detail {
        ended.rollback = Some(record.clone());
    }
    error
}

pub(crate) fn unguarded(unguarded: Unguarded) -> Error {
    match unguarded {
        Unguarded::Refused(failure) => Error::from(failure)
            .hint("--no-guard does without it, if nobody else works on the deployment"),
        Unguarded::Busy(holder, left) => {
            let error = Error::new(
                Kind::Busy,
                format!("the deployment is in use on the engine by {holder}"),
            );
            error
                .hint(format!("wait until it is done; if it died, it holds the deployment for {left} more seconds"))
                .hint("dockctl unlock shows it, and removes what is dead")
        }
    }
}

/// Names the missing values, and the whole command to repeat.
pub(crate) fn lacking(lacks: &[Lack], stage: &Stage, job: &Job<'_>) -> Error {
    let message = format!(
        "{} cannot begin: values or files are missing; nothing was done",
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
        .hint(format!("then run: {}{inputs}", job.again))
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

/// The engine was restarted when everything was done. The execution stays open: the next run goes
/// on with it.
pub(crate) fn went_away(execution: &str, again: &str) -> Error {
    let mut error = Error::new(
        Kind::Failed,
        format!(
            "the engine went away at the end of execution {execution}, and took with it what ran there"
        ),
    );
    error.execution = Some(execution.to_owned());
    error.hint(format!("go on with: {again}"))
}

/// The run cannot go on. The execution stays open.
pub(crate) fn stuck(error: Unsettled, execution: &str, again: &str) -> Error {
    match error {
        Unsettled::Journal(error) => cannot_go_on(error, again),
        Unsettled::Engine(failure) => {
            let mut error = Error::from(failure);
            error.execution = Some(execution.to_owned());
            error.hint(format!("go on with: {again}"))
        }
    }
}

/// The journal cannot be written: what was under way has ended, and what came of it is settled
/// later.
pub(crate) fn cannot_go_on(error: JournalError, again: &str) -> Error {
    let full = error.is_full();
    let mut told = Error::from(error);
    told.hints.clear();
    let told = if full {
        told.hint("free some room where the state is kept")
    } else {
        told
    };
    told.hint(format!("nothing new was started; what was under way was let end, and is looked at by the next run: {again}"))
}
