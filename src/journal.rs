//! The store: one SQLite database per deployment, appended to before anything is done or told.
//!
//! A row is an [`Entry`] as JSON. What is known is always [`replay`](Store::replay) of all rows. WAL and
//! `synchronous=FULL`: once [`Journal::append`] returns, the entry survives loss of power. One exclusive
//! run per deployment is held by a lock of the operating system, which dies with its process.

use crate::{
    event::Entry,
    state::{IllegalEvent, Record},
};
use rusqlite::{Connection, OpenFlags};
use serde::{Deserialize, Serialize};
use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, Read as _, Seek as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};
use thiserror::Error;

/// Format of the database. A newer one is refused.
const FORMAT: i64 = 1;

/// Bytes in the key of the digests.
const KEY: usize = 32;
/// How often a lock is tried: a command that only reads may have it for a moment.
const TRIES: u32 = 10;

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
    /// Another run holds the deployment.
    #[error("the deployment is in use{}", holder.as_ref().map(|holder| format!(" by {holder}")).unwrap_or_default())]
    Busy {
        /// Who; none if they did not say in time.
        holder: Option<Holder>,
    },
}

/// Who holds a deployment.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Holder {
    /// Process id.
    pub pid: u32,
    /// What it does.
    pub command: String,
    /// Since when, as RFC 3339.
    pub since: String,
}

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "`dockctl {}` (process {}, since {})", self.command, self.pid, self.since)
    }
}

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

/// The folder with everything that dockctl remembers.
#[derive(Clone, Debug)]
pub struct StateDir {
    path: PathBuf,
}

impl StateDir {
    /// Names the folder; it is made when it is first needed.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self { path }
    }

    fn deployments(&self) -> PathBuf {
        self.path.join("deployments")
    }

    fn database(&self, deployment: &str) -> PathBuf {
        self.deployments().join(format!("{deployment}.db"))
    }

    /// Names of the deployments that have a journal, sorted.
    ///
    /// # Errors
    ///
    /// If the folder cannot be read; one that is not there holds none.
    pub fn names(&self) -> Result<Vec<String>, JournalError> {
        let path = self.deployments();
        let entries = match fs::read_dir(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.map_err(|source| JournalError::Io { path: path.clone(), source })?,
        };
        let names = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.strip_suffix(".db").map(str::to_owned));
        let mut names: Vec<String> = names.collect();
        names.sort();
        Ok(names)
    }

    /// The key of the digests in labels; made once, readable by its owner only.
    ///
    /// # Errors
    ///
    /// If it cannot be read or made.
    pub fn key(&self) -> Result<Vec<u8>, JournalError> {
        let path = self.path.join("key");
        let io = |source| JournalError::Io { path: path.clone(), source };
        make_folder(&self.path)?;
        if !path.exists() {
            make_key(&path).map_err(io)?;
        }
        let key = fs::read(&path).map_err(io)?;
        // Another key would make every container look changed.
        if key.len() < KEY { Err(io(io::Error::new(io::ErrorKind::InvalidData, "the key is damaged"))) } else { Ok(key) }
    }

    /// Replays a deployment's journal without holding the deployment; none if there is no journal.
    ///
    /// # Errors
    ///
    /// If it cannot be read or tells no possible story.
    pub fn read(&self, deployment: &str) -> Result<Option<Record>, JournalError> {
        let path = self.database(deployment);
        if !path.exists() {
            return Ok(None);
        }
        Store::open(&path)?.replay().map(Some)
    }

    /// Every entry of a deployment's journal, oldest first.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub fn entries(&self, deployment: &str) -> Result<Vec<Entry>, JournalError> {
        let path = self.database(deployment);
        if path.exists() { Store::open(&path)?.entries() } else { Ok(Vec::new()) }
    }

    /// Who holds a deployment right now; none if nobody does.
    ///
    /// # Errors
    ///
    /// If the lock cannot be looked at.
    pub fn holder(&self, deployment: &str) -> Result<Option<Holder>, JournalError> {
        let path = self.deployments().join(format!("{deployment}.lock"));
        let Ok(mut file) = File::open(&path) else { return Ok(None) };
        match file.try_lock_shared() {
            Ok(()) => Ok(None),
            Err(TryLockError::WouldBlock) => Ok(read_holder(&mut file)),
            Err(TryLockError::Error(source)) => Err(JournalError::Io { path, source }),
        }
    }

    /// Holds a deployment for one run, and opens its journal.
    ///
    /// # Errors
    ///
    /// If another run holds it, or the journal cannot be used.
    pub fn hold(&self, deployment: &str, command: &str) -> Result<Held, JournalError> {
        make_folder(&self.path)?;
        make_folder(&self.deployments())?;
        let path = self.deployments().join(format!("{deployment}.lock"));
        let io = |source| JournalError::Io { path: path.clone(), source };
        let mut lock = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path).map_err(io)?;
        take(&lock).map_err(|error| match error {
            TryLockError::WouldBlock => JournalError::Busy { holder: read_holder(&mut lock) },
            TryLockError::Error(source) => io(source),
        })?;
        let holder = Holder {
            pid: std::process::id(),
            command: command.to_owned(),
            since: humantime::format_rfc3339_seconds(std::time::SystemTime::now()).to_string(),
        };
        write_holder(&mut lock, &holder).map_err(io)?;
        let store = Store::open(&self.database(deployment))?;
        let record = store.replay()?;
        Ok(Held { store, record, _lock: lock })
    }
}

fn take(lock: &File) -> Result<(), TryLockError> {
    for _ in 1..TRIES {
        match lock.try_lock() {
            Err(TryLockError::WouldBlock) => std::thread::sleep(std::time::Duration::from_millis(20)),
            other => return other,
        }
    }
    lock.try_lock()
}

fn read_holder(file: &mut File) -> Option<Holder> {
    let mut text = String::new();
    file.rewind().ok()?;
    file.read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

fn write_holder(file: &mut File, holder: &Holder) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(&serde_json::to_vec(holder)?)
}

fn make_folder(path: &Path) -> Result<(), JournalError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|source| JournalError::Io { path: path.to_owned(), source })
}

/// Written aside and linked into place: of two processes that start at once, one wins whole.
fn make_key(path: &Path) -> io::Result<()> {
    let mut key = [0; KEY];
    File::open("/dev/urandom")?.read_exact(&mut key)?;
    let aside = path.with_extension(std::process::id().to_string());
    write_private(&aside, &key)?;
    let linked = fs::hard_link(&aside, path);
    fs::remove_file(&aside)?;
    linked.or_else(|error| if error.kind() == io::ErrorKind::AlreadyExists { Ok(()) } else { Err(error) })
}

fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// A deployment that this process holds.
pub struct Held {
    /// Its journal.
    pub store: Store,
    /// What the journal says.
    pub record: Record,
    _lock: File,
}

/// An open journal.
pub struct Store {
    connection: Connection,
    path: PathBuf,
}

impl Store {
    fn open(path: &Path) -> Result<Self, JournalError> {
        let sqlite = |source| JournalError::Sqlite { path: path.to_owned(), source };
        // Made by hand first: SQLite gives its side files the mode of the database.
        let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path);
        file.map_err(|source| JournalError::Io { path: path.to_owned(), source })?;
        let connection =
            Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX).map_err(sqlite)?;
        connection.busy_timeout(std::time::Duration::from_secs(5)).map_err(sqlite)?;
        let found: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(sqlite)?;
        if found > FORMAT {
            return Err(JournalError::Format { path: path.to_owned(), found });
        }
        connection.execute_batch("PRAGMA synchronous=FULL;").map_err(sqlite)?;
        if found < FORMAT {
            let schema = "CREATE TABLE IF NOT EXISTS event (seq INTEGER PRIMARY KEY, at INTEGER NOT NULL, entry TEXT NOT NULL) STRICT;";
            connection.execute_batch(&format!("PRAGMA journal_mode=WAL; {schema} PRAGMA user_version={FORMAT};")).map_err(sqlite)?;
        }
        Ok(Self { connection, path: path.to_owned() })
    }

    fn sqlite(&self, source: rusqlite::Error) -> JournalError {
        JournalError::Sqlite { path: self.path.clone(), source }
    }

    fn rows(&self) -> Result<Vec<(i64, Entry)>, JournalError> {
        let mut statement = self.connection.prepare("SELECT seq, entry FROM event ORDER BY seq").map_err(|error| self.sqlite(error))?;
        let rows =
            statement.query_map([], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?))).map_err(|error| self.sqlite(error))?;
        rows.map(|row| {
            let (row, json) = row.map_err(|error| self.sqlite(error))?;
            let entry = serde_json::from_str(&json).map_err(|source| JournalError::Row { path: self.path.clone(), row, source })?;
            Ok((row, entry))
        })
        .collect()
    }

    /// Every entry, oldest first.
    ///
    /// # Errors
    ///
    /// If a row cannot be read.
    pub fn entries(&self) -> Result<Vec<Entry>, JournalError> {
        Ok(self.rows()?.into_iter().map(|(_, entry)| entry).collect())
    }

    /// What all rows together say.
    ///
    /// # Errors
    ///
    /// If a row cannot be read or contradicts those before it.
    pub fn replay(&self) -> Result<Record, JournalError> {
        let mut record = Record::default();
        for (row, entry) in self.rows()? {
            record.apply(&entry).map_err(|source| JournalError::Illegal { path: self.path.clone(), row, source })?;
        }
        Ok(record)
    }
}

impl Journal for Store {
    fn append(&mut self, entry: &Entry) -> Result<(), JournalError> {
        let json = serde_json::to_string(entry).map_err(|source| JournalError::Row { path: self.path.clone(), row: 0, source })?;
        let at = i64::try_from(entry.at).unwrap_or(i64::MAX);
        let inserted = self.connection.execute("INSERT INTO event (at, entry) VALUES (?1, ?2)", (at, json));
        inserted.map(|_| ()).map_err(|error| self.sqlite(error))
    }
}
