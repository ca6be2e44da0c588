//! Telling people and programs what happens, on standard error.
//!
//! A reporter gets every event after it is in the journal, and ticks that are never kept. It cannot
//! fail and must not slow the run down. Results go to standard output, which is not its business.

pub mod charset;
mod json;
mod junit;
mod lines;
mod plain;
mod progress;
pub mod table;
pub mod yaml;

pub use json::JsonLines;
pub use junit::Junit;
pub use lines::{failure, outcome};
pub use plain::Plain;
pub use progress::Live;

use crate::{event::Entry, record::Record, seam::Progress, stage::TaskId};

/// A number and what it counts: `1 step`, `2 steps`.
#[must_use]
pub fn count(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

/// Receives what happens.
pub trait Reporter {
    /// Shows one event.
    fn report(&mut self, record: &Record, entry: &Entry);

    /// Shows how a task gets on.
    fn progress(&mut self, _record: &Record, _task: TaskId, _progress: &Progress) {}
}

/// Shows nothing.
pub struct Quiet;

impl Reporter for Quiet {
    fn report(&mut self, _record: &Record, _entry: &Entry) {}
}
