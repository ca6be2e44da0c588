//! Errors of the journal.

use super::Holder;
use crate::record::IllegalEvent;
use rusqlite::ErrorCode;
use std::{io, path::PathBuf};
use thiserror::Error;

/// Free bytes that the state directory needs before a run starts.
pub(super) const MIN_FREE_BYTES: u64 = 1 << 20;

/// An error of the journal.
#[derive(Debug, Error)]
pub enum JournalError {
    /// The operating system returned an error.
    #[error("cannot use {}: {source}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// SQLite returned an error.
    #[error("cannot use the journal {}: {source}", path.display())]
    Sqlite {
        /// The database.
        path: PathBuf,
        /// The cause.
        source: rusqlite::Error,
    },
    /// A newer dockctl wrote the database.
    #[error("the journal {} has format {found}, but this dockctl supports formats up to {newest}", path.display())]
    Format {
        /// The database.
        path: PathBuf,
        /// Its format.
        found: i64,
        /// The newest format that this dockctl supports.
        newest: i64,
    },
    /// A row is not an event.
    #[error("row {row} of the journal {} is not a valid event: {source}", path.display())]
    Row {
        /// The database.
        path: PathBuf,
        /// The row, from 1.
        row: i64,
        /// The cause.
        source: serde_json::Error,
    },
    /// A row contains data that this dockctl does not know.
    #[error(
        "row {row} of the journal {} contains data that this dockctl does not support: {what}{}",
        path.display(),
        version.as_ref().map(|version| format!("; written by dockctl {version}")).unwrap_or_default()
    )]
    Unknown {
        /// The database.
        path: PathBuf,
        /// The row, from 1.
        row: i64,
        /// Description of the unknown data.
        what: String,
        /// The version of dockctl that wrote the row, if known.
        version: Option<String>,
    },
    /// A row contradicts earlier rows.
    #[error("row {row} of the journal {} contradicts earlier rows: {source}", path.display())]
    Contradiction {
        /// The database.
        path: PathBuf,
        /// The row, from 1.
        row: i64,
        /// The cause.
        source: IllegalEvent,
    },
    /// The database is damaged.
    #[error("the journal {} is damaged: {reason}", path.display())]
    Damaged {
        /// The database.
        path: PathBuf,
        /// Description of the damage.
        reason: String,
    },
    /// The disk of the state directory is nearly full.
    #[error("not enough disk space for the journal in {}: {free} bytes free, {MIN_FREE_BYTES} required", path.display())]
    DiskFull {
        /// The directory.
        path: PathBuf,
        /// Free bytes on its disk.
        free: u64,
    },
    /// Another user could have written to the directory or replaced a file with a link.
    #[error("refusing to write to {}: {why}", path.display())]
    Untrusted {
        /// The directory or file.
        path: PathBuf,
        /// The reason.
        why: &'static str,
    },
    /// Another run holds the lock.
    #[error("the deployment is in use{}", holder.as_ref().map(|holder| format!(" by {holder}")).unwrap_or_default())]
    Locked {
        /// The holder of the lock; none if it has not written its details yet.
        holder: Option<Holder>,
    },
}

impl JournalError {
    /// Returns true if the file itself is damaged: it can be set aside, and the record rebuilt from
    /// labels on the engine.
    #[must_use]
    pub fn is_damaged(&self) -> bool {
        match self {
            Self::Damaged { .. } | Self::Row { .. } | Self::Contradiction { .. } => true,
            Self::Sqlite { source, .. } => is_damage(source),
            _ => false,
        }
    }

    /// Returns true if the disk is full.
    #[must_use]
    pub fn is_disk_full(&self) -> bool {
        match self {
            Self::DiskFull { .. } => true,
            Self::Sqlite { source, .. } => source.sqlite_error_code() == Some(ErrorCode::DiskFull),
            Self::Io { source, .. } => source.kind() == io::ErrorKind::StorageFull,
            _ => false,
        }
    }
}

fn is_damage(error: &rusqlite::Error) -> bool {
    use rusqlite::Error;
    match error {
        Error::Utf8Error(..)
        | Error::FromSqlConversionFailure(..)
        | Error::InvalidColumnType(..)
        | Error::IntegralValueOutOfRange(..) => true,
        Error::SqliteFailure(_, Some(message))
            if message.contains("no such table") || message.contains("no such column") =>
        {
            true
        }
        error => matches!(
            error.sqlite_error_code(),
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
        ),
    }
}
