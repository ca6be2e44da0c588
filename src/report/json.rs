//! One JSON object per event: for programs that watch an execution.

use super::Reporter;
use crate::{
    event::{Entry, Event, timestamp},
    printable::printable_json,
    record::Record,
    seam::{LogLine, Progress},
    stage::TaskId,
};
use serde_json::{Value as Json, json};
use std::io::Write;

/// Version of the line format.
pub const VERSION: u32 = 1;

/// Writes objects to `out`, one per line.
pub struct JsonLines<W> {
    /// The destination of the lines.
    pub out: W,
}

impl<W: Write> JsonLines<W> {
    fn write(&mut self, line: &Json) {
        // A closed pipe must not stop the execution.
        let _ = writeln!(self.out, "{}", printable_json(line.to_string()));
    }
}

impl<W: Write> Reporter for JsonLines<W> {
    fn report(&mut self, record: &Record, entry: &Entry) {
        let mut line = json!({ "version": VERSION, "at": timestamp(entry.at) });
        // The definition is long and may be private; the other events contain its effects.
        let event = match &entry.event {
            Event::Defined { deployment } => {
                json!({ "event": "defined", "deployment": deployment.name })
            }
            Event::Recovered {
                deployment,
                instances,
                ..
            } => {
                json!({ "event": "recovered", "deployment": deployment.name, "instances": instances.keys().collect::<Vec<_>>() })
            }
            Event::StageStarted { stage } => {
                json!({ "event": "stage_adopted", "tasks": stage.tasks().len() })
            }
            Event::StageExtended { tasks } => {
                json!({ "event": "stage_extended", "tasks": tasks.len() })
            }
            other => serde_json::to_value(other).unwrap_or_default(),
        };
        merge(&mut line, &event);
        if let Some(task) = event["task"].as_u64() {
            merge(
                &mut line,
                &subject(record, TaskId(usize::try_from(task).unwrap_or_default())),
            );
        }
        self.write(&line);
    }

    fn progress(&mut self, record: &Record, task: TaskId, progress: &Progress) {
        let mut line = json!({ "version": VERSION, "event": "progress", "task": task });
        merge(&mut line, &subject(record, task));
        match progress {
            Progress::Bytes { done, total } => {
                merge(&mut line, &json!({ "bytes": done, "total": total }))
            }
            Progress::Note(note) => merge(&mut line, &json!({ "note": note })),
        }
        self.write(&line);
    }

    fn log(&mut self, record: &Record, task: TaskId, log: &LogLine) {
        let mut line = json!({
            "version": VERSION,
            "event": "log",
            "task": task,
            "level": log.level,
            "text": log.text,
        });
        merge(&mut line, &subject(record, task));
        self.write(&line);
    }
}

fn subject(record: &Record, task: TaskId) -> Json {
    let task = record.stage().task(task);
    json!({ "instance": task.instance, "operation": task.operation, "step": task.step.to_string() })
}

fn merge(line: &mut Json, more: &Json) {
    for (key, value) in more.as_object().into_iter().flatten() {
        line[key] = value.clone();
    }
}
