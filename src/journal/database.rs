//! SQLite databases of the state directory: opened without following links, with a format number.

use super::{
    JournalError,
    files::{check_no_links, open_without_links},
};
use rusqlite::{Connection, OpenFlags};
use std::{fs::OpenOptions, path::Path, time::Duration};

/// Opens a database for writing. `migrations` has one text of statements for each format: those
/// that are missing are applied. Once a statement has returned, its effect survives a power failure.
///
/// # Errors
///
/// If the database is damaged or has a newer format.
pub(super) fn open(path: &Path, migrations: &[&str]) -> Result<Connection, JournalError> {
    let sqlite = |source| JournalError::Sqlite {
        path: path.to_owned(),
        source,
    };
    // Create the file before SQLite does: SQLite gives its other files the same mode.
    let file = open_without_links(path, OpenOptions::new().append(true).create(true));
    file.map_err(|source| JournalError::Io {
        path: path.to_owned(),
        source,
    })?;
    let connection = connect(path)?;
    let newest = i64::try_from(migrations.len()).unwrap_or(i64::MAX);
    let found = format_of(&connection, path, newest)?;
    check(&connection, path)?;
    let settings = "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;";
    connection.execute_batch(settings).map_err(sqlite)?;
    let known = usize::try_from(found).unwrap_or_default();
    let missing = migrations.get(known..).unwrap_or_default().concat();
    if !missing.is_empty() {
        let migration = format!("BEGIN IMMEDIATE; {missing} PRAGMA user_version={newest}; COMMIT;");
        connection.execute_batch(&migration).map_err(sqlite)?;
    }
    Ok(connection)
}

fn check(connection: &Connection, path: &Path) -> Result<(), JournalError> {
    let check = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0));
    let check: String = check.map_err(|source| JournalError::Sqlite {
        path: path.to_owned(),
        source,
    })?;
    if check == "ok" {
        return Ok(());
    }
    Err(JournalError::Damaged {
        path: path.to_owned(),
        reason: check,
    })
}

pub(super) fn connect(path: &Path) -> Result<Connection, JournalError> {
    let sqlite = |source| JournalError::Sqlite {
        path: path.to_owned(),
        source,
    };
    check_no_links(path)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let connection = Connection::open_with_flags(path, flags).map_err(sqlite)?;
    let limit = Duration::from_secs(5);
    connection.busy_timeout(limit).map_err(sqlite)?;
    Ok(connection)
}

/// Opens a database that cannot be written. Without writers, SQLite needs no WAL files.
pub(super) fn connect_read_only(path: &Path) -> Result<Connection, JournalError> {
    check_no_links(path)?;
    let escaped = path
        .display()
        .to_string()
        .replace('%', "%25")
        .replace('?', "%3f")
        .replace('#', "%23");
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_URI;
    let opened = Connection::open_with_flags(format!("file:{escaped}?immutable=1"), flags);
    opened.map_err(|source| JournalError::Sqlite {
        path: path.to_owned(),
        source,
    })
}

/// Returns the format of a database; 0 if it is empty.
///
/// # Errors
///
/// If the format is newer than `newest`.
pub(super) fn format_of(
    connection: &Connection,
    path: &Path,
    newest: i64,
) -> Result<i64, JournalError> {
    let found = connection.pragma_query_value(None, "user_version", |row| row.get(0));
    let found: i64 = found.map_err(|source| JournalError::Sqlite {
        path: path.to_owned(),
        source,
    })?;
    if found > newest {
        Err(JournalError::Format {
            path: path.to_owned(),
            found,
            newest,
        })
    } else {
        Ok(found)
    }
}
