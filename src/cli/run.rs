//! What is said of a run: while it goes on, and at its end.

use super::{
    Outcome,
    args::{Global, ProgressMode},
    color,
    error::{CliError, Kind},
    is_dumb,
};
use crate::{
    event::{self, Why},
    model::InstanceState,
    record::{Execution, Record, TaskState},
    report::{self, JsonLines, Live, Plain, Quiet, Reporter},
    stage::{Parameters, Workflow},
};
use indexmap::IndexSet;
use serde_json::{Value as Json, json};
use std::io::{IsTerminal as _, stderr};

/// Instances that a message names; of more it says how many.
const NAMED: usize = 8;

/// Who tells how the run gets on.
pub(crate) fn reporter(global: &Global) -> Box<dyn Reporter> {
    let is_live = stderr().is_terminal() && !is_dumb();
    match global.progress {
        // Logs and a live view would tear each other.
        ProgressMode::Auto if is_live && global.verbose == 0 => Box::new(Live::new(color(global))),
        ProgressMode::Tty if is_live => Box::new(Live::new(color(global))),
        ProgressMode::Auto | ProgressMode::Tty | ProgressMode::Plain => {
            Box::new(Plain { out: stderr() })
        }
        ProgressMode::Json => Box::new(JsonLines { out: stderr() }),
        ProgressMode::Quiet => Box::new(Quiet),
    }
}

/// Why an execution did not do what it was to do, and how to go on.
pub(crate) fn ended_badly(record: &Record, outcome: event::Outcome, again: &str) -> CliError {
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
    let mut error = CliError::new(kind, words).hint(format!("go on with: {again}"));
    if let Some(names) = standing_still(record) {
        error = error.hint(format!("until then these do not run: {names}"));
    }
    error.preamble = failures(execution, false);
    error.fields = execution_fields(record);
    error.fields["skipped"] = json!(skipped(record));
    error.execution = Some(id);
    error.result = format!(
        "{}{}\n",
        super::status::known_table(record),
        report::outcome(record)
    );
    error
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

/// Each failure in full.
fn failures(execution: Option<&Execution>, ignored: bool) -> String {
    let failed = execution
        .into_iter()
        .flat_map(|execution| &execution.failed)
        .filter(|failed| failed.ignored == ignored && failed.is_open());
    failed
        .map(|failed| report::failure(failed) + "\n")
        .collect()
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

/// Adds to what is said of a failed install how taking it back ended.
pub(crate) fn tell_rollback(
    error: &mut CliError,
    record: &Record,
    outcome: event::Outcome,
    again: &str,
) {
    let undone = outcome == event::Outcome::Terminated;
    error.message += match outcome {
        event::Outcome::Terminated => "; what it created was taken back",
        event::Outcome::Cancelled => "; taking back what it created was stopped before it was done",
        _ => "; taking back what it created failed too",
    };
    if outcome == event::Outcome::Cancelled {
        error.kind = Kind::Interrupted;
    }
    error.preamble += &failures(record.executions.last(), false);
    if undone {
        error.hints = error
            .hints
            .iter()
            .map(|hint| format!("{hint}, with the inputs that were given"))
            .collect();
    } else {
        error.hints = vec![format!("go on taking it back with: {again}")];
    }
    error.fields["rollback"] = record.executions.last().map(execution_json).into();
    error.fields["instances"] = super::status::known_instances(record).into();
    error.result = format!(
        "{}{}\n",
        super::status::known_table(record),
        report::outcome(record)
    );
}

/// What a finished run has to say, as fields of the JSON document.
pub(crate) fn execution_fields(record: &Record) -> Json {
    let execution = record.executions.last().map(execution_json);
    let name = record
        .deployment
        .as_ref()
        .map(|deployment| deployment.name.clone());
    json!({ "deployment": name, "execution": execution, "instances": super::status::known_instances(record) })
}

/// An execution as JSON.
pub(crate) fn execution_json(execution: &Execution) -> Json {
    let failed: Vec<Json> = execution
        .failed
        .iter()
        .map(|failed| json!({ "instance": failed.instance, "operation": failed.operation, "failure": failed.failure, "ignored": failed.ignored }))
        .collect();
    json!({
        "id": execution.id,
        "workflow": execution.workflow(),
        "of": execution.of,
        "started": event::timestamp(execution.started),
        "ended": execution.ended.map(event::timestamp),
        "outcome": execution.outcome,
        "stopped": execution.stopped,
        "steps": execution.tasks,
        "done": execution.done,
        "failed": failed,
    })
}

/// What a finished run has to say to people: a closing table.
pub(crate) fn closing(record: &Record) -> Outcome {
    let ignored = failures(record.executions.last(), true);
    if !ignored.is_empty() {
        super::complain(&format!(
            "{ignored}warning: these failures were ignored; what is left of it on an engine still carries its labels\n"
        ));
    }
    let text = format!(
        "{}{}\n",
        super::status::known_table(record),
        report::outcome(record)
    );
    Outcome::new(execution_fields(record), text)
}
