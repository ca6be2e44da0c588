//! Progress output on standard error, for people and programs.
//!
//! A reporter receives every event after it is journaled, and progress that is never stored. It
//! cannot fail and must not delay the execution. Results go to standard output, not through a
//! reporter.

pub mod charset;
mod json;
mod junit;
mod lines;
mod plain;
mod progress;
pub mod table;
pub mod yaml;

pub use json::{JsonLines, VERSION as JSON_VERSION};
pub use junit::Junit;
pub use lines::{closing_line, failure_text};
pub use plain::Plain;
pub use progress::Live;

use crate::{
    event::{Entry, Event},
    record::Record,
    seam::{LogLine, Progress},
    stage::TaskId,
};

/// Returns a number with its noun: `1 step`, `2 steps`.
#[must_use]
pub fn count(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

/// Returns an event as one line of text; `None` for events that do not matter to people.
#[must_use]
pub fn event_line(record: &Record, event: &Event) -> Option<String> {
    lines::line(record, event)
}

/// Receives the events of an execution.
pub trait Reporter {
    /// Shows one event.
    fn report(&mut self, record: &Record, entry: &Entry);

    /// Shows the progress of a task.
    fn progress(&mut self, _record: &Record, _task: TaskId, _progress: &Progress) {}

    /// Shows a line of the log of a task. Its secrets are redacted.
    fn log(&mut self, _record: &Record, _task: TaskId, _line: &LogLine) {}
}

/// Shows nothing.
pub struct Quiet;

impl Reporter for Quiet {
    fn report(&mut self, _record: &Record, _entry: &Entry) {}
}
