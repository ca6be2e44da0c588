//! One journal, opened for reading or writing.

use crate::{
    event::{Entry, Event, LogEntry},
    journal::{
        Journal, JournalError, database,
        rows::{self, RowError},
    },
    record::Record,
};
use rusqlite::{Connection, OptionalExtension as _};

use std::{
    fs::File,
    path::{Path, PathBuf},
};

/// Format of the database. A newer format is refused. An older one is migrated when the journal is
/// next opened for writing.
///
/// 1: events. 2: a snapshot that replaces pruned events, and requests to the run that holds the
/// lock. 3: steps are data with traits, and rows written since are parsed strictly. Rows are never
/// rewritten.
pub(super) const FORMAT: i64 = 3;
/// Statements that migrate a database from each older format to the next.
const MIGRATIONS: [&str; 3] = [
    "CREATE TABLE IF NOT EXISTS event (seq INTEGER PRIMARY KEY, at INTEGER NOT NULL, entry TEXT NOT NULL) STRICT;",
    "CREATE TABLE snapshot (seq INTEGER NOT NULL, record TEXT NOT NULL) STRICT;
     CREATE TABLE request (at INTEGER NOT NULL, force INTEGER NOT NULL) STRICT;",
    "DROP TABLE IF EXISTS strict;
     CREATE TABLE strict (after INTEGER NOT NULL) STRICT;
     INSERT INTO strict SELECT coalesce(max(seq), 0)
       FROM (SELECT seq FROM event UNION ALL SELECT seq FROM snapshot);",
];
/// Creates the table of log lines. This needs no new format: journals without the table stay valid,
/// and a dockctl that does not know the table ignores it.
const LOG_TABLE: &str = "CREATE TABLE IF NOT EXISTS log (seq INTEGER PRIMARY KEY, execution TEXT NOT NULL, line TEXT NOT NULL) STRICT;";
/// Bytes of free pages from which compacting the database is worthwhile.
const VACUUM_THRESHOLD: i64 = 1 << 20;

/// A deployment whose lock this process holds.
pub struct HeldDeployment {
    /// Its journal.
    pub store: Store,
    /// The record, as replayed from the journal.
    pub record: Record,
    /// The lock, held while this file is open.
    pub lock: File,
}

/// An open journal.
pub struct Store {
    connection: Connection,
    path: PathBuf,
    /// Format in which the database was found.
    pub(super) format: i64,
}

impl Store {
    /// Opens a journal for writing and migrates it.
    pub(super) fn open(path: &Path) -> Result<Self, JournalError> {
        Ok(Self {
            connection: database::open(path, &MIGRATIONS)?,
            path: path.to_owned(),
            format: FORMAT,
        })
    }

    pub(super) fn connect(path: &Path) -> Result<Connection, JournalError> {
        database::connect(path)
    }

    /// Opens a journal for reading, even in a read-only directory.
    pub(super) fn open_read_only(path: &Path) -> Result<Self, JournalError> {
        let is_writable =
            |path: &Path| rustix::fs::access(path, rustix::fs::Access::WRITE_OK).is_ok();
        let writable = is_writable(path) && path.parent().is_some_and(is_writable);
        let connection = if writable {
            database::connect(path)?
        } else {
            database::connect_read_only(path)?
        };
        let format = database::format_of(&connection, path, FORMAT)?;
        Ok(Self {
            connection,
            path: path.to_owned(),
            format,
        })
    }

    fn sqlite(&self, source: rusqlite::Error) -> JournalError {
        JournalError::Sqlite {
            path: self.path.clone(),
            source,
        }
    }

    fn rows(&self) -> Result<Vec<(i64, Entry)>, JournalError> {
        // A run created the database and died before it created the tables.
        if self.format == 0 {
            return Ok(Vec::new());
        }
        let mut statement = self
            .connection
            .prepare("SELECT seq, entry FROM event ORDER BY seq")
            .map_err(|error| self.sqlite(error))?;
        let rows = statement
            .query_map([], |row| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?))
            })
            .map_err(|error| self.sqlite(error))?;
        let rows: rusqlite::Result<Vec<(i64, String)>> = rows.collect();
        let rows = rows.map_err(|error| self.sqlite(error))?;
        let strict = self.strict_after()?;
        let entry = |(at, (row, json)): (usize, &(i64, String))| {
            let entry = rows::read(json, *row > strict);
            let version = || rows::version_of(rows.iter().map(|(_, json)| &json[..]), at);
            let entry = entry.map_err(|unread| self.row_error(*row, unread, version()))?;
            Ok((*row, entry))
        };
        rows.iter().enumerate().map(entry).collect()
    }

    /// Returns the last row that was written before format 3.
    fn strict_after(&self) -> Result<i64, JournalError> {
        if self.format < 3 {
            return Ok(i64::MAX);
        }
        self.connection
            .query_row("SELECT after FROM strict", [], |row| row.get(0))
            .map_err(|error| self.sqlite(error))
    }

    fn row_error(&self, row: i64, unread: RowError, version: Option<String>) -> JournalError {
        let path = self.path.clone();
        match unread {
            RowError::Damaged(source) => JournalError::Row { path, row, source },
            RowError::Unknown(what) => JournalError::Unknown {
                path,
                row,
                what,
                version,
            },
        }
    }

    /// Returns all entries, oldest first.
    ///
    /// # Errors
    ///
    /// If a row cannot be read.
    pub fn entries(&self) -> Result<Vec<Entry>, JournalError> {
        Ok(self.rows()?.into_iter().map(|(_, entry)| entry).collect())
    }

    /// Returns the snapshot that replaces the pruned entries, and the number of the last pruned
    /// row.
    pub(super) fn snapshot(&self) -> Result<(i64, Record), JournalError> {
        if self.format < 2 {
            return Ok((0, Record::default()));
        }
        let found = self
            .connection
            .query_row("SELECT seq, record FROM snapshot", [], |row| {
                Ok((row.get(0)?, row.get::<_, String>(1)?))
            });
        let Some((row, json)) = found.optional().map_err(|error| self.sqlite(error))? else {
            return Ok((0, Record::default()));
        };
        let (version, json) = rows::split_version(&json);
        let record = rows::read(&json, version.is_some());
        let record = record.map_err(|unread| self.row_error(row, unread, version))?;
        Ok((row, record))
    }

    /// Computes the record from the snapshot and all rows.
    ///
    /// # Errors
    ///
    /// If a row cannot be read or contradicts earlier rows.
    pub fn replay(&self) -> Result<Record, JournalError> {
        let (_, mut record) = self.snapshot()?;
        for (row, entry) in self.rows()? {
            self.apply(&mut record, row, &entry)?;
        }
        Ok(record)
    }

    fn apply(&self, record: &mut Record, row: i64, entry: &Entry) -> Result<(), JournalError> {
        record
            .apply(entry)
            .map_err(|source| JournalError::Contradiction {
                path: self.path.clone(),
                row,
                source,
            })
    }

    /// Prunes all executions but the last `keep`. A snapshot replaces their entries and all earlier
    /// ones.
    ///
    /// # Errors
    ///
    /// If the journal cannot be read or written; then nothing is pruned.
    pub fn prune(&mut self, keep: usize) -> Result<(), JournalError> {
        let (mut last, mut record) = self.snapshot()?;
        let rows = self.rows()?;
        let begins =
            |(_, entry): &&(i64, Entry)| matches!(entry.event, Event::ExecutionStarted { .. });
        let mut forgotten = rows
            .iter()
            .filter(begins)
            .count()
            .saturating_sub(keep.max(1));
        if forgotten == 0 {
            return Ok(());
        }
        for (row, entry) in &rows {
            if matches!(entry.event, Event::ExecutionStarted { .. }) {
                if forgotten == 0 {
                    break;
                }
                forgotten -= 1;
            }
            self.apply(&mut record, *row, entry)?;
            last = *row;
        }
        record.drop_executions();
        let started = |(_, entry): &(i64, Entry)| match &entry.event {
            Event::ExecutionStarted { execution, .. } => Some(execution.clone()),
            _ => None,
        };
        let kept: Vec<String> = rows
            .iter()
            .filter(|(row, _)| *row > last)
            .filter_map(started)
            .collect();
        self.prune_log(&kept)
            .and_then(|()| self.replace(last, &record))
            .map_err(|error| self.sqlite(error))
    }

    fn insert_log(&mut self, lines: &[LogEntry]) -> rusqlite::Result<()> {
        let transaction = self.connection.transaction()?;
        transaction.execute_batch(LOG_TABLE)?;
        for line in lines {
            let json = serde_json::to_string(line)
                .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
            let insert = "INSERT INTO log (execution, line) VALUES (?1, ?2)";
            transaction.execute(insert, (&line.execution, json))?;
        }
        transaction.commit()
    }

    fn replace(&mut self, last: i64, record: &Record) -> rusqlite::Result<()> {
        let json = rows::with_version(record)
            .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
        let transaction = self.connection.transaction()?;
        transaction.execute("DELETE FROM snapshot", [])?;
        transaction.execute(
            "INSERT INTO snapshot (seq, record) VALUES (?1, ?2)",
            (last, json),
        )?;
        transaction.execute("DELETE FROM event WHERE seq <= ?1", [last])?;
        transaction.commit()?;
        let pragma = |name| {
            self.connection
                .pragma_query_value(None, name, |row| row.get::<_, i64>(0))
        };
        if pragma("freelist_count")? * pragma("page_size")? > VACUUM_THRESHOLD {
            self.connection.execute_batch("VACUUM")?;
        }
        Ok(())
    }

    /// Returns the log of an execution, oldest line first.
    ///
    /// # Errors
    ///
    /// If a line cannot be read.
    pub fn log(&self, execution: &str) -> Result<Vec<LogEntry>, JournalError> {
        if !self.has_log().map_err(|error| self.sqlite(error))? {
            return Ok(Vec::new());
        }
        let query = "SELECT seq, line FROM log WHERE execution = ?1 ORDER BY seq";
        let rows = self.connection.prepare(query).and_then(|mut query| {
            let rows = query.query_map([execution], |row| Ok((row.get(0)?, row.get(1)?)))?;
            rows.collect::<rusqlite::Result<Vec<(i64, String)>>>()
        });
        let read = |(row, json): (i64, String)| {
            let path = self.path.clone();
            serde_json::from_str(&json).map_err(|source| JournalError::Row { path, row, source })
        };
        let rows = rows.map_err(|error| self.sqlite(error))?;
        rows.into_iter().map(read).collect()
    }

    fn has_log(&self) -> rusqlite::Result<bool> {
        let query = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'log'";
        self.connection.query_row(query, [], |row| row.get(0))
    }

    /// Deletes the log of every execution but these.
    fn prune_log(&self, kept: &[String]) -> rusqlite::Result<()> {
        if !self.has_log()? {
            return Ok(());
        }
        let kept = serde_json::Value::from(kept).to_string();
        let query = "DELETE FROM log WHERE execution NOT IN (SELECT value FROM json_each(?1))";
        self.connection.execute(query, [kept]).map(drop)
    }

    pub(super) fn clear_requests(&self, before: u64) -> Result<(), JournalError> {
        let before = i64::try_from(before).unwrap_or(i64::MAX);
        self.connection
            .execute("DELETE FROM request WHERE at < ?1", [before])
            .map(drop)
            .map_err(|error| self.sqlite(error))
    }

    /// Returns a watch for requests to the run that holds the lock.
    ///
    /// # Errors
    ///
    /// If the journal cannot be opened again.
    pub fn requests(&self) -> Result<Requests, JournalError> {
        Self::connect(&self.path).map(|connection| Requests { connection })
    }
}

/// Requests from other processes to the run that holds the lock.
pub struct Requests {
    connection: Connection,
}

impl Requests {
    /// Returns whether a stop was requested and, if so, whether by force. If the journal cannot be
    /// read now, the next call tries again.
    #[must_use]
    pub fn stop(&self) -> Option<bool> {
        self.connection
            .query_row("SELECT max(force) FROM request", [], |row| row.get(0))
            .ok()
            .flatten()
    }
}

impl Journal for Store {
    fn append(&mut self, entry: &Entry) -> Result<(), JournalError> {
        let json = serde_json::to_string(entry).map_err(|source| JournalError::Row {
            path: self.path.clone(),
            row: 0,
            source,
        })?;
        let at = i64::try_from(entry.at).unwrap_or(i64::MAX);
        let inserted = self
            .connection
            .execute("INSERT INTO event (at, entry) VALUES (?1, ?2)", (at, json));
        inserted.map(|_| ()).map_err(|error| self.sqlite(error))
    }

    fn append_log(&mut self, lines: &[LogEntry]) -> Result<(), JournalError> {
        self.insert_log(lines).map_err(|error| self.sqlite(error))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Holder, StateDir, files::create_dir};
    use super::*;
    use crate::{event::Outcome, stage::Workflow};
    use std::fs;

    fn entries(executions: usize) -> Vec<Entry> {
        let started = |n| Event::ExecutionStarted {
            execution: format!("x{n}"),
            dockctl: "0.1.0".to_owned(),
            parameters: Box::new(Workflow::Install.into()),
            of: None,
            rolls_back: false,
            rollback_scope: crate::instance_record::RollbackScope::default(),
        };
        let both = |n| {
            [
                started(n),
                Event::ExecutionFinished {
                    outcome: Outcome::Terminated,
                },
            ]
        };
        (0..executions)
            .flat_map(both)
            .map(|event| Entry { at: 7, event })
            .collect()
    }

    fn hold(state: &StateDir) -> HeldDeployment {
        state.hold("d", &Holder::this_process("test", "x")).unwrap()
    }

    /// However much of the write-ahead log is lost in a power failure, the rest is a prefix of the
    /// entries.
    #[test]
    fn truncated_write_ahead_log_yields_a_prefix_of_the_entries() {
        let (whole, cut) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let state = StateDir::new(whole.path().to_owned());
        let mut held = hold(&state);
        let all = entries(6);
        for entry in &all {
            held.store.append(entry).unwrap();
        }
        let files = ["d.db", "d.db-wal"]
            .map(|name| fs::read(whole.path().join("deployments").join(name)).unwrap());
        let torn = StateDir::new(cut.path().to_owned());
        create_dir(&torn.deployments()).unwrap();
        let step = if std::env::var("DOCKCTL_SWEEP").is_ok_and(|value| value == "all") {
            1
        } else {
            211
        };
        let mut seen = std::collections::BTreeSet::new();
        for length in (0..=files[1].len()).step_by(step) {
            let at = |ending: &str| torn.deployments().join(format!("d.db{ending}"));
            let _ = fs::remove_file(at("-shm"));
            fs::write(at(""), &files[0]).unwrap();
            fs::write(at("-wal"), &files[1][..length]).unwrap();
            let (_, left) = torn.entries("d").unwrap();
            assert_eq!(left, all[..left.len()], "cut after {length} bytes");
            seen.insert(left.len());
        }
        assert!(
            seen.len() > 6 && seen.contains(&0),
            "of {} bytes: {seen:?}",
            files[1].len()
        );
    }

    #[test]
    fn world_writable_directory_is_read_but_not_written() {
        use std::os::unix::fs::{PermissionsExt as _, symlink};
        let directory = tempfile::tempdir().unwrap();
        // Access through a link is allowed: the permissions of the directory itself decide.
        symlink(directory.path(), directory.path().join("link")).unwrap();
        let state = StateDir::new(directory.path().join("link/state"));
        drop(hold(&state));
        assert!(state.untrusted().is_none());
        let mode = |path: &Path, mode| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap()
        };
        for path in [
            directory.path().join("state"),
            directory.path().join("state/deployments"),
        ] {
            mode(&path, 0o1777);
            let refused = state.hold("d", &Holder::this_process("test", "x")).err();
            assert!(
                matches!(refused, Some(JournalError::Untrusted { .. })),
                "{refused:?}"
            );
            assert!(matches!(
                state.request_stop("d", false),
                Err(JournalError::Untrusted { .. })
            ));
            assert!(state.read("d").unwrap().is_some(), "it can still be read");
            mode(&path, 0o700);
        }
        drop(hold(&state));
    }

    #[test]
    fn link_in_place_of_a_file_is_not_followed() {
        use std::os::unix::fs::symlink;
        for name in [
            "deployments/d.lock",
            "deployments/d.db",
            "deployments/d.db-wal",
            "deployments/d.db-shm",
            "key",
        ] {
            let directory = tempfile::tempdir().unwrap();
            let state = StateDir::new(directory.path().join("state"));
            drop(hold(&state));
            let (victim, path) = (
                directory.path().join("victim"),
                directory.path().join("state").join(name),
            );
            let _ = fs::remove_file(&path);
            fs::write(&victim, "precious").unwrap();
            symlink(&victim, &path).unwrap();
            let failed = if name == "key" {
                state.key().is_err()
            } else {
                state.hold("d", &Holder::this_process("test", "x")).is_err()
            };
            assert!(failed, "{name}");
            assert_eq!(fs::read_to_string(&victim).unwrap(), "precious", "{name}");
        }
    }

    #[test]
    fn pruned_entries_remain_in_the_snapshot() {
        let directory = tempfile::tempdir().unwrap();
        let state = StateDir::new(directory.path().to_owned());
        let mut held = hold(&state);
        for entry in entries(9) {
            held.store.append(&entry).unwrap();
        }
        held.store.prune(3).unwrap();
        let record = held.store.replay().unwrap();
        assert_eq!((record.executions.len(), record.execution_count), (3, 9));
        assert_eq!(record.executions[0].id, "x6");
        held.store.prune(3).unwrap();
        assert_eq!(
            held.store.replay().unwrap(),
            record,
            "pruning again changes nothing"
        );
        drop(held);
        assert_eq!(state.read("d").unwrap(), Some(record));
    }

    #[test]
    fn stop_request_reaches_only_the_run_that_holds_the_lock() {
        let directory = tempfile::tempdir().unwrap();
        let state = StateDir::new(directory.path().to_owned());
        let held = hold(&state);
        let requests = held.store.requests().unwrap();
        assert_eq!(requests.stop(), None);
        state.request_stop("d", false).unwrap();
        assert_eq!(requests.stop(), Some(false));
        state.request_stop("d", true).unwrap();
        assert_eq!(requests.stop(), Some(true));
        drop((held, requests));
        std::thread::sleep(std::time::Duration::from_millis(2));
        assert_eq!(
            hold(&state).store.requests().unwrap().stop(),
            None,
            "the request was for the earlier run"
        );
    }
}
