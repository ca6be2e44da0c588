//! What is said of a run: while it goes on, and at its end.

use super::{
    Outcome,
    args::{Global, ProgressMode},
    charset, color, is_dumb,
    status::{known_instances, known_table},
};
use crate::{
    event,
    operate::error::Ended,
    record::{Execution, Record},
    report::{self, JsonLines, Live, Plain, Quiet, Reporter},
};
use serde_json::{Value as Json, json};
use std::io::{IsTerminal as _, stderr};

/// Who tells how the run gets on.
pub(crate) fn reporter(global: &Global) -> Box<dyn Reporter> {
    let is_live = stderr().is_terminal() && !is_dumb();
    match global.progress {
        // Logs and a live view would tear each other.
        ProgressMode::Auto if is_live && global.verbose == 0 => {
            Box::new(Live::new(color(global), charset()))
        }
        ProgressMode::Tty if is_live => Box::new(Live::new(color(global), charset())),
        ProgressMode::Auto | ProgressMode::Tty | ProgressMode::Plain => Box::new(Plain {
            out: stderr(),
            charset: charset(),
        }),
        ProgressMode::Json => Box::new(JsonLines { out: stderr() }),
        ProgressMode::Quiet => Box::new(Quiet),
    }
}

/// Each failure in full.
pub(crate) fn failures(execution: Option<&Execution>, ignored: bool) -> String {
    let failed = execution
        .into_iter()
        .flat_map(|execution| &execution.failed)
        .filter(|failed| failed.ignored == ignored && failed.is_open());
    failed
        .map(|failed| report::failure(failed) + "\n")
        .collect()
}

/// What a finished run has to say, as fields of the JSON document.
pub(crate) fn execution_fields(record: &Record) -> Json {
    let execution = record.executions.last().map(execution_json);
    let name = record
        .deployment
        .as_ref()
        .map(|deployment| deployment.name.clone());
    json!({ "deployment": name, "execution": execution, "instances": known_instances(record) })
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
    super::complain(&ignored(record));
    Outcome::new(execution_fields(record), closing_text(record))
}

/// The failures of a run that were ignored; nothing if there were none.
pub(crate) fn ignored(record: &Record) -> String {
    let ignored = failures(record.executions.last(), true);
    if ignored.is_empty() {
        return ignored;
    }
    format!(
        "{ignored}warning: these failures were ignored; what is left of it on an engine still carries its labels\n"
    )
}

/// The closing table.
pub(crate) fn closing_text(record: &Record) -> String {
    format!("{}{}\n", known_table(record), report::outcome(record))
}

/// What a run that did not succeed has to say, as fields of the JSON document.
pub(crate) fn ended_fields(ended: &Ended) -> Json {
    let mut fields = execution_fields(&ended.record);
    fields["skipped"] = json!(ended.skipped);
    if let Some(record) = &ended.rollback {
        fields["rollback"] = record.executions.last().map(execution_json).into();
        fields["instances"] = known_instances(record).into();
    }
    fields
}
