//! One line an event, with a time stamp: for logs and pipelines.

use super::{Reporter, charset::Charset, lines::line};
use crate::{
    event::{Entry, timestamp},
    record::Record,
};
use std::io::Write;

/// Writes lines to `out`.
pub struct Plain<W> {
    /// Where the lines go.
    pub out: W,
    /// Characters that `out` can show.
    pub charset: Charset,
}

impl<W: Write> Reporter for Plain<W> {
    fn report(&mut self, record: &Record, entry: &Entry) {
        if let Some(line) = line(record, &entry.event) {
            // A reader that went away is no reason to stop a run.
            let _ = writeln!(
                self.out,
                "{} {}",
                timestamp(entry.at),
                self.charset.show(&line)
            );
        }
    }
}
