//! The store: one SQLite database per deployment, appended to before anything is done or told.
//!
//! A row is an [`Entry`] as JSON. What is known is always [`replay`](Store::replay) of all rows, on
//! top of the snapshot that stands for rows which were pruned. WAL and `synchronous=FULL`: once
//! [`Journal::append`] returns, the entry survives loss of power. One exclusive run per deployment
//! is held by a lock of the operating system, which dies with its process. What others ask of that
//! run stands in a table that it watches.

mod error;
mod files;
mod format2;
mod holder;
mod rows;
mod state_dir;
mod store;

pub use error::JournalError;
pub use holder::Holder;
pub(crate) use holder::write_holder;
pub use state_dir::StateDir;
pub use store::{Held, Requests, Store};

use crate::event::Entry;

/// Where events are kept.
pub trait Journal {
    /// Returns once the entry is safe.
    ///
    /// # Errors
    ///
    /// If it is not.
    fn append(&mut self, entry: &Entry) -> Result<(), JournalError>;
}

/// A journal in memory, for tests and rehearsals.
impl Journal for Vec<Entry> {
    fn append(&mut self, entry: &Entry) -> Result<(), JournalError> {
        self.push(entry.clone());
        Ok(())
    }
}
