//! Output of a run: its progress and its result.

use super::{
    Outcome,
    args::{Global, ProgressMode},
    charset, color_stderr, is_dumb,
    status::{closing_table, known_instances},
};
use crate::{
    event,
    operate::error::FailedRun,
    record::{Execution, Record},
    report::{self, JsonLines, Live, Plain, Quiet, Reporter},
};
use serde_json::{Value as Json, json};
use std::io::{IsTerminal as _, stderr};

/// Returns the reporter of the progress.
pub(crate) fn reporter(global: &Global) -> Box<dyn Reporter> {
    let is_live = stderr().is_terminal() && !is_dumb();
    match global.progress {
        // Log lines would break a live view.
        ProgressMode::Auto if is_live && global.verbose == 0 => {
            Box::new(Live::new(color_stderr(global), charset()))
        }
        ProgressMode::Tty if is_live => Box::new(Live::new(color_stderr(global), charset())),
        ProgressMode::Auto | ProgressMode::Tty | ProgressMode::Plain => Box::new(Plain {
            out: stderr(),
            charset: charset(),
        }),
        ProgressMode::Json => Box::new(JsonLines { out: stderr() }),
        ProgressMode::Quiet => Box::new(Quiet),
    }
}

/// Returns each failure in full.
pub(crate) fn failures(execution: Option<&Execution>, ignored: bool) -> String {
    let failed = execution
        .into_iter()
        .flat_map(|execution| &execution.failed)
        .filter(|failed| failed.ignored == ignored && failed.is_unresolved());
    failed
        .map(|failed| report::failure_text(failed) + "\n")
        .collect()
}

/// Returns the result of a finished run as fields of the JSON document.
pub(crate) fn execution_fields(record: &Record) -> Json {
    let execution = record.executions.last().map(execution_json);
    let name = record
        .deployment
        .as_ref()
        .map(|deployment| deployment.name.clone());
    json!({ "deployment": name, "execution": execution, "instances": known_instances(record) })
}

/// Returns an execution as JSON.
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

/// Returns the result of a finished run, and prints the failures that it ignored.
pub(crate) fn closing(record: &Record) -> Outcome {
    super::print_error(&ignored(record));
    Outcome::new(execution_fields(record), closing_text(record))
}

/// Returns the failures that a run ignored, with a warning; empty without such failures.
pub(crate) fn ignored(record: &Record) -> String {
    let ignored = failures(record.executions.last(), true);
    if ignored.is_empty() {
        return ignored;
    }
    format!(
        "{ignored}warning: these failures were ignored; objects that remain on an engine still have their labels\n"
    )
}

/// Returns the closing table and the closing line.
pub(crate) fn closing_text(record: &Record) -> String {
    format!(
        "{}{}\n",
        closing_table(record),
        report::closing_line(record)
    )
}

/// Returns the result of an unsuccessful run as fields of the JSON document.
pub(crate) fn ended_fields(ended: &FailedRun) -> Json {
    let mut fields = execution_fields(&ended.record);
    fields["skipped"] = json!(ended.skipped);
    if let Some(record) = &ended.rollback {
        fields["rollback"] = record.executions.last().map(execution_json).into();
        fields["instances"] = known_instances(record).into();
    }
    fields
}
