//! One line per event, with a timestamp: for logs and pipelines.

use super::{
    Reporter,
    charset::Charset,
    lines::{line, log_line},
};
use crate::{
    event::{Entry, now, timestamp},
    printable::printable_lines,
    record::Record,
    seam::LogLine,
    stage::TaskId,
};
use std::io::Write;

/// Writes lines to `out`.
pub struct Plain<W> {
    /// The destination of the lines.
    pub out: W,
    /// Characters that `out` can show.
    pub charset: Charset,
}

impl<W: Write> Plain<W> {
    fn print(&mut self, at: u64, line: Option<String>) {
        if let Some(line) = line {
            // A closed pipe must not stop the execution.
            let _ = writeln!(
                self.out,
                "{} {}",
                timestamp(at),
                self.charset.show(&printable_lines(&line))
            );
        }
    }
}

impl<W: Write> Reporter for Plain<W> {
    fn report(&mut self, record: &Record, entry: &Entry) {
        self.print(entry.at, line(record, &entry.event));
    }

    fn log(&mut self, record: &Record, task: TaskId, line: &LogLine) {
        self.print(now(), log_line(record, task, line));
    }
}
