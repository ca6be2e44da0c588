//! One line per event, with a timestamp: for logs and pipelines.

use super::{Reporter, charset::Charset, lines::line};
use crate::{
    event::{Entry, timestamp},
    record::Record,
};
use std::io::Write;

/// Writes lines to `out`.
pub struct Plain<W> {
    /// The destination of the lines.
    pub out: W,
    /// Characters that `out` can show.
    pub charset: Charset,
}

impl<W: Write> Reporter for Plain<W> {
    fn report(&mut self, record: &Record, entry: &Entry) {
        if let Some(line) = line(record, &entry.event) {
            // A closed pipe must not stop the execution.
            let _ = writeln!(
                self.out,
                "{} {}",
                timestamp(entry.at),
                self.charset.show(&line)
            );
        }
    }
}
