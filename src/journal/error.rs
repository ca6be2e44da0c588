//! A journal that cannot be used.

use super::{Holder, store::FORMAT};
use crate::record::IllegalEvent;
use rusqlite::ErrorCode;
use std::{io, path::PathBuf};
use thiserror::Error;

/// Bytes that must be free where the journal is, or nothing is begun.
pub(super) const ROOM: u64 = 1 << 20;

/// A journal that cannot be used.
#[derive(Debug, Error)]
pub enum JournalError {
    /// The operating system refused.
    #[error("cannot use {}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The database refused.
    #[error("cannot use the journal {}: {source}", path.display())]
    Sqlite {
        /// The database.
        path: PathBuf,
        /// The cause.
        source: rusqlite::Error,
    },
    /// The database was written by a newer dockctl.
    #[error("the journal {} has format {found}, and this dockctl knows {FORMAT}", path.display())]
    Format {
        /// The database.
        path: PathBuf,
        /// Its format.
        found: i64,
    },
    /// A row is not an event.
    #[error("row {row} of the journal {} is not an event: {source}", path.display())]
    Row {
        /// The database.
        path: PathBuf,
        /// The row, from 1.
        row: i64,
        /// The cause.
        source: serde_json::Error,
    },
    /// A row says something that this dockctl does not know.
    #[error(
        "row {row} of the journal {} holds what this dockctl does not know: {what}{}",
        path.display(),
        version.as_ref().map(|version| format!("; dockctl {version} wrote it")).unwrap_or_default()
    )]
    Unknown {
        /// The database.
        path: PathBuf,
        /// The row, from 1.
        row: i64,
        /// What, in words.
        what: String,
        /// The version of dockctl that wrote it, where that is known.
        version: Option<String>,
    },
    /// The rows contradict each other.
    #[error("row {row} of the journal {} contradicts those before it: {source}", path.display())]
    Illegal {
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
        /// What is wrong with it.
        reason: String,
    },
    /// There is hardly any room left where the journal is.
    #[error("there is no room for a journal in {}: {free} bytes are free, and {ROOM} are wanted", path.display())]
    NoRoom {
        /// The folder.
        path: PathBuf,
        /// Bytes that are free there.
        free: u64,
    },
    /// Somebody else could have put anything into the folder, or a link in the place of a file.
    #[error("nothing is written to {}: {why}", path.display())]
    Distrusted {
        /// The folder or file.
        path: PathBuf,
        /// Why.
        why: &'static str,
    },
    /// Another run holds the deployment.
    #[error("the deployment is in use{}", holder.as_ref().map(|holder| format!(" by {holder}")).unwrap_or_default())]
    Busy {
        /// Who; none if they did not say in time.
        holder: Option<Holder>,
    },
}

impl JournalError {
    /// Whether the file itself is at fault: it can be set aside, and what the engine's labels tell
    /// put in its place.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Damaged { .. } | Self::Row { .. } | Self::Illegal { .. } => true,
            Self::Sqlite { source, .. } => is_damage(source),
            _ => false,
        }
    }

    /// Whether the disk is full.
    #[must_use]
    pub fn is_full(&self) -> bool {
        match self {
            Self::NoRoom { .. } => true,
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
