//! The journal: one SQLite database per deployment. Events are appended before dockctl acts on them
//! or reports them.
//!
//! A row is an [`Entry`] as JSON. [`replay`](Store::replay) computes the record from the snapshot,
//! which replaces pruned rows, and all later rows. The database uses WAL and `synchronous=FULL`:
//! once [`Journal::append`] returns, the entry survives a power failure. A lock of the operating
//! system admits one run per deployment and is released when its process ends. Requests to that run
//! are rows of a table that it watches.

mod database;
mod error;
mod files;
mod format2;
mod holder;
mod resources;
mod rows;
mod server_store;
mod state_dir;
mod store;

pub use error::JournalError;
pub use holder::Holder;
pub(crate) use holder::write_holder;
pub use resources::Inventory;
pub use server_store::{Intent, Overlay, RequestOutcome, ServerStore};
pub use state_dir::StateDir;
pub use store::{HeldDeployment, Requests, Store};

use crate::event::{Entry, LogEntry};

/// Storage for events.
pub trait Journal {
    /// Appends an entry. It is on disk when this returns.
    ///
    /// # Errors
    ///
    /// If the entry cannot be stored.
    fn append(&mut self, entry: &Entry) -> Result<(), JournalError>;

    /// Appends lines of the log of an execution. They are on disk when this returns.
    ///
    /// # Errors
    ///
    /// If the lines cannot be stored.
    fn append_log(&mut self, _lines: &[LogEntry]) -> Result<(), JournalError> {
        Ok(())
    }
}

/// A journal in memory, for tests and dry runs.
impl Journal for Vec<Entry> {
    fn append(&mut self, entry: &Entry) -> Result<(), JournalError> {
        self.push(entry.clone());
        Ok(())
    }
}
