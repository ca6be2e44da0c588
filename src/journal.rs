//! The store: one SQLite database per deployment, appended to before anything is done or told.
//!
//! A row is an [`Entry`] as JSON. What is known is always [`replay`](Store::replay) of all rows, on
//! top of the snapshot that stands for rows which were pruned. WAL and `synchronous=FULL`: once
//! [`Journal::append`] returns, the entry survives loss of power. One exclusive run per deployment
//! is held by a lock of the operating system, which dies with its process. What others ask of that
//! run stands in a table that it watches.

use crate::{
    event::{Entry, Event, now},
    record::{IllegalEvent, Record},
};
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension as _};
use serde::{Deserialize, Serialize};
use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, Read as _, Seek as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};
use thiserror::Error;

/// Format of the database. A newer one is refused, an older one is migrated when it is next
/// written.
///
/// 1: events. 2: a snapshot in the place of pruned events, and requests to the run that holds the
/// deployment.
const FORMAT: i64 = 2;
/// What brings a database to the present format, from each older one.
const MIGRATIONS: [&str; 2] = [
    "CREATE TABLE IF NOT EXISTS event (seq INTEGER PRIMARY KEY, at INTEGER NOT NULL, entry TEXT NOT NULL) STRICT;",
    "CREATE TABLE snapshot (seq INTEGER NOT NULL, record TEXT NOT NULL) STRICT;
     CREATE TABLE request (at INTEGER NOT NULL, force INTEGER NOT NULL) STRICT;",
];
/// Bytes that must be free where the journal is, or nothing is begun.
const ROOM: u64 = 1 << 20;
/// Bytes of free pages in a database that are worth giving back.
const SLACK: i64 = 1 << 20;

/// Bytes in the key of the digests.
const KEY: usize = 32;
/// No key has more.
const MOST_KEY: u64 = 4096;
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

/// Who holds a deployment.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Holder {
    /// Process id.
    pub pid: u32,
    /// What it does.
    pub command: String,
    /// Since when, as RFC 3339.
    pub since: String,
    /// Id of its execution.
    #[serde(default)]
    pub execution: String,
}

impl Holder {
    /// This process, from now on.
    #[must_use]
    pub fn this(command: &str, execution: &str) -> Self {
        let since = humantime::format_rfc3339_seconds(std::time::SystemTime::now()).to_string();
        Self {
            pid: std::process::id(),
            command: command.to_owned(),
            since,
            execution: execution.to_owned(),
        }
    }
}

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "`dockctl {}` (process {}, since {}, execution {})",
            self.command, self.pid, self.since, self.execution
        )
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

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn deployments(&self) -> PathBuf {
        self.path.join("deployments")
    }

    fn database(&self, deployment: &str) -> PathBuf {
        self.deployments().join(format!("{deployment}.db"))
    }

    /// The folder without any link on the way to it: files in it are opened without following
    /// links.
    fn resolved(&self) -> Self {
        self.path
            .canonicalize()
            .map_or_else(|_| self.clone(), |path| Self { path })
    }

    /// Why what is in the folder may be somebody else's words, and nothing should be written there;
    /// none if only its owner can write to it, and that is who this process is.
    #[must_use]
    pub fn distrusted(&self) -> Option<JournalError> {
        let me = rustix::process::geteuid();
        let why = |path: &Path| {
            let data = fs::symlink_metadata(path).ok()?;
            let is_mine = me.is_root() || data.uid() == me.as_raw();
            match () {
                () if data.is_symlink() => Some("it is a link"),
                () if !is_mine => Some("it belongs to another user"),
                () if data.mode() & 0o002 != 0 => Some("everybody can write to it"),
                () => None,
            }
        };
        let resolved = self.resolved();
        let folders = [resolved.path.clone(), resolved.deployments()];
        folders
            .into_iter()
            .find_map(|path| why(&path).map(|why| JournalError::Distrusted { path, why }))
    }

    /// Makes the folder, if it is not there, and gives it without links on the way. Whatever writes
    /// calls this first.
    fn ready(&self) -> Result<Self, JournalError> {
        make_folder(&self.path)?;
        let resolved = self.resolved();
        match self.distrusted() {
            Some(error) => Err(error),
            None => Ok(resolved),
        }
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
            other => other.map_err(|source| JournalError::Io {
                path: path.clone(),
                source,
            })?,
        };
        let names = entries.flatten().filter_map(|entry| {
            entry
                .file_name()
                .to_str()?
                .strip_suffix(".db")
                .map(str::to_owned)
        });
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
        let mut path = self.resolved().path.join("key");
        let io = |path: &Path, source| JournalError::Io {
            path: path.to_owned(),
            source,
        };
        if !path.exists() {
            path = match self.ready() {
                // Whoever only reads has sealed nothing; whoever writes is refused later.
                Err(JournalError::Distrusted { .. }) => {
                    return new_key().map(Vec::from).map_err(|error| io(&path, error));
                }
                ready => ready?.path.join("key"),
            };
            make_key(&path).map_err(|error| io(&path, error))?;
        }
        let mut key = Vec::new();
        let opened = open_no_link(&path, OpenOptions::new().read(true));
        opened
            .and_then(|file| file.take(MOST_KEY).read_to_end(&mut key))
            .map_err(|error| io(&path, error))?;
        // Another key would make every container look changed.
        let damaged = || {
            io(
                &path,
                io::Error::new(io::ErrorKind::InvalidData, "the key is damaged"),
            )
        };
        if key.len() < KEY {
            Err(damaged())
        } else {
            Ok(key)
        }
    }

    /// Replays a deployment's journal without holding the deployment; none if there is no journal.
    ///
    /// # Errors
    ///
    /// If it cannot be read or tells no possible story.
    pub fn read(&self, deployment: &str) -> Result<Option<Record>, JournalError> {
        let path = self.resolved().database(deployment);
        if !path.exists() {
            return Ok(None);
        }
        Store::look(&path)?.replay().map(Some)
    }

    /// What is known from before the oldest entry that is kept, and every entry since, oldest
    /// first.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub fn entries(&self, deployment: &str) -> Result<(Record, Vec<Entry>), JournalError> {
        let path = self.resolved().database(deployment);
        if !path.exists() {
            return Ok((Record::default(), Vec::new()));
        }
        let store = Store::look(&path)?;
        Ok((store.snapshot()?.1, store.entries()?))
    }

    /// Keeps a damaged journal under another name, out of the way; gives that name.
    ///
    /// # Errors
    ///
    /// If it cannot be renamed.
    pub fn set_aside(&self, deployment: &str) -> Result<PathBuf, JournalError> {
        let state = self.ready()?;
        let path = state.database(deployment);
        let stamp = humantime::format_rfc3339_seconds(std::time::SystemTime::now())
            .to_string()
            .replace(':', "");
        let free = |n: u32| {
            state.deployments().join(format!(
                "{deployment}.damaged-{stamp}{}",
                if n == 0 {
                    String::new()
                } else {
                    format!("-{n}")
                }
            ))
        };
        let kept = (0..1000)
            .map(free)
            .find(|path| !path.exists())
            .unwrap_or_else(|| free(0));
        for ending in ["", "-wal", "-shm"] {
            let with = |path: &Path| PathBuf::from(format!("{}{ending}", path.display()));
            match fs::rename(with(&path), with(&kept)) {
                Err(source) if source.kind() != io::ErrorKind::NotFound => {
                    return Err(JournalError::Io { path, source });
                }
                _ => {}
            }
        }
        Ok(kept)
    }

    /// Asks the run that holds a deployment to stop; by force, at once.
    ///
    /// # Errors
    ///
    /// If the journal cannot be written.
    pub fn ask_to_stop(&self, deployment: &str, force: bool) -> Result<(), JournalError> {
        let path = self.ready()?.database(deployment);
        // A run that has only just begun makes it in a moment.
        for _ in 0..TRIES {
            if Store::look(&path).is_ok_and(|store| store.format == FORMAT) {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        let connection = Store::connect(&path)?;
        let asked = connection.execute(
            "INSERT INTO request (at, force) VALUES (?1, ?2)",
            (i64::try_from(now()).unwrap_or(i64::MAX), force),
        );
        asked
            .map(drop)
            .map_err(|source| JournalError::Sqlite { path, source })
    }

    /// Who holds a deployment right now; none if nobody does.
    ///
    /// # Errors
    ///
    /// If the lock cannot be looked at.
    pub fn holder(&self, deployment: &str) -> Result<Option<Holder>, JournalError> {
        let path = self
            .resolved()
            .deployments()
            .join(format!("{deployment}.lock"));
        let Ok(mut file) = open_no_link(&path, OpenOptions::new().read(true)) else {
            return Ok(None);
        };
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
    /// If another run holds it, there is no room, or the journal cannot be used.
    pub fn hold(&self, deployment: &str, holder: &Holder) -> Result<Held, JournalError> {
        let since = now();
        let lock = self.lock(deployment, holder)?;
        let store = Store::open(&self.resolved().database(deployment))?;
        // What was asked of an earlier run; what is asked of this one already is heeded.
        store.clear_requests(since)?;
        let record = store.replay()?;
        Ok(Held {
            store,
            record,
            lock,
        })
    }

    /// Holds a deployment, for as long as the file is open.
    ///
    /// # Errors
    ///
    /// If another run holds it, or there is no room.
    pub fn lock(&self, deployment: &str, holder: &Holder) -> Result<File, JournalError> {
        let deployments = self.ready()?.deployments();
        make_folder(&deployments)?;
        let path = deployments.join(format!("{deployment}.lock"));
        let io = |source| JournalError::Io {
            path: path.clone(),
            source,
        };
        let mut lock = open_no_link(
            &path,
            OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false),
        )
        .map_err(io)?;
        take(&lock).map_err(|error| match error {
            TryLockError::WouldBlock => JournalError::Busy {
                holder: read_holder(&mut lock),
            },
            TryLockError::Error(source) => io(source),
        })?;
        expect_room(&deployments)?;
        write_holder(&mut lock, holder).map_err(io)?;
        Ok(lock)
    }
}

/// Opens a file that nobody but its user may read, if it is made; a link, or what is no regular
/// file, is an error.
fn open_no_link(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    let no_link = i32::try_from(rustix::fs::OFlags::NOFOLLOW.bits()).unwrap_or_default();
    let at_once = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or_default();
    let file = options
        .mode(0o600)
        .custom_flags(no_link | at_once)
        .open(path)?;
    // A pipe would be waited for.
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "it is not a regular file",
        ))
    }
}

/// A run that can write nothing down had better not begin.
fn expect_room(path: &Path) -> Result<(), JournalError> {
    let Ok(disk) = rustix::fs::statvfs(path) else {
        return Ok(());
    };
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    if free < ROOM {
        Err(JournalError::NoRoom {
            path: path.to_owned(),
            free,
        })
    } else {
        Ok(())
    }
}

/// SQLite looks at the database alone: what it writes beside it must be no link either.
fn expect_no_links(path: &Path) -> Result<(), JournalError> {
    let beside = ["", "-wal", "-shm", "-journal"]
        .map(|ending| PathBuf::from(format!("{}{ending}", path.display())));
    let is_other = |path: &PathBuf| fs::symlink_metadata(path).is_ok_and(|data| !data.is_file());
    match beside.into_iter().find(is_other) {
        Some(path) => Err(JournalError::Distrusted {
            path,
            why: "it is a link, or not a regular file",
        }),
        None => Ok(()),
    }
}

fn take(lock: &File) -> Result<(), TryLockError> {
    for _ in 1..TRIES {
        match lock.try_lock() {
            Err(TryLockError::WouldBlock) => {
                std::thread::sleep(std::time::Duration::from_millis(20))
            }
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

/// Says who holds a deployment whose lock this is.
pub(crate) fn write_holder(file: &mut File, holder: &Holder) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(&serde_json::to_vec(holder)?)
}

fn make_folder(path: &Path) -> Result<(), JournalError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|source| JournalError::Io {
        path: path.to_owned(),
        source,
    })
}

/// Written aside and linked into place: of two processes that start at once, one wins whole.
fn new_key() -> io::Result<[u8; KEY]> {
    let mut key = [0; KEY];
    File::open("/dev/urandom")?.read_exact(&mut key)?;
    Ok(key)
}

fn make_key(path: &Path) -> io::Result<()> {
    let key = new_key()?;
    let aside = path.with_extension(std::process::id().to_string());
    write_private(&aside, &key)?;
    let linked = fs::hard_link(&aside, path);
    fs::remove_file(&aside)?;
    linked.or_else(|error| {
        if error.kind() == io::ErrorKind::AlreadyExists {
            Ok(())
        } else {
            Err(error)
        }
    })
}

fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = open_no_link(
        path,
        OpenOptions::new().write(true).create(true).truncate(true),
    )?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// A deployment that this process holds.
pub struct Held {
    /// Its journal.
    pub store: Store,
    /// What the journal says.
    pub record: Record,
    /// Locked for as long as it is open.
    pub lock: File,
}

/// An open journal.
pub struct Store {
    connection: Connection,
    path: PathBuf,
    /// Format that it was found in.
    format: i64,
}

impl Store {
    /// Opens a journal to write, and migrates it.
    fn open(path: &Path) -> Result<Self, JournalError> {
        let sqlite = |source| JournalError::Sqlite {
            path: path.to_owned(),
            source,
        };
        // Made by hand first: SQLite gives its side files the mode of the database.
        let file = open_no_link(path, OpenOptions::new().append(true).create(true));
        file.map_err(|source| JournalError::Io {
            path: path.to_owned(),
            source,
        })?;
        let connection = Self::connect(path)?;
        let found = format_of(&connection, path)?;
        let check: String = connection
            .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
            .map_err(sqlite)?;
        if check != "ok" {
            return Err(JournalError::Damaged {
                path: path.to_owned(),
                reason: check,
            });
        }
        connection
            .execute_batch("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;")
            .map_err(sqlite)?;
        let missing = MIGRATIONS
            .get(usize::try_from(found).unwrap_or_default()..)
            .unwrap_or_default()
            .concat();
        if !missing.is_empty() {
            connection
                .execute_batch(&format!(
                    "BEGIN IMMEDIATE; {missing} PRAGMA user_version={FORMAT}; COMMIT;"
                ))
                .map_err(sqlite)?;
        }
        Ok(Self {
            connection,
            path: path.to_owned(),
            format: FORMAT,
        })
    }

    fn connect(path: &Path) -> Result<Connection, JournalError> {
        let sqlite = |source| JournalError::Sqlite {
            path: path.to_owned(),
            source,
        };
        expect_no_links(path)?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX
            | OpenFlags::SQLITE_OPEN_NOFOLLOW;
        let connection = Connection::open_with_flags(path, flags).map_err(sqlite)?;
        connection
            .busy_timeout(std::time::Duration::from_secs(5))
            .map_err(sqlite)?;
        Ok(connection)
    }

    /// Opens a journal to read; also where nothing can be written.
    fn look(path: &Path) -> Result<Self, JournalError> {
        let is_writable =
            |path: &Path| rustix::fs::access(path, rustix::fs::Access::WRITE_OK).is_ok();
        let writable = is_writable(path) && path.parent().is_some_and(is_writable);
        let connection = if writable {
            Self::connect(path)?
        } else {
            Self::connect_unwritable(path)?
        };
        let format = format_of(&connection, path)?;
        Ok(Self {
            connection,
            path: path.to_owned(),
            format,
        })
    }

    /// Nobody writes where nobody can: SQLite needs no side files then.
    fn connect_unwritable(path: &Path) -> Result<Connection, JournalError> {
        expect_no_links(path)?;
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

    fn sqlite(&self, source: rusqlite::Error) -> JournalError {
        JournalError::Sqlite {
            path: self.path.clone(),
            source,
        }
    }

    fn rows(&self) -> Result<Vec<(i64, Entry)>, JournalError> {
        // One that was made a moment ago, by a run that died before it could do anything with it.
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
        rows.map(|row| {
            let (row, json) = row.map_err(|error| self.sqlite(error))?;
            let entry = serde_json::from_str(&json).map_err(|source| JournalError::Row {
                path: self.path.clone(),
                row,
                source,
            })?;
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

    /// What stands for the entries that were pruned, and the last row of them.
    fn snapshot(&self) -> Result<(i64, Record), JournalError> {
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
        let record = serde_json::from_str(&json).map_err(|source| JournalError::Row {
            path: self.path.clone(),
            row,
            source,
        })?;
        Ok((row, record))
    }

    /// What all rows together say.
    ///
    /// # Errors
    ///
    /// If a row cannot be read or contradicts those before it.
    pub fn replay(&self) -> Result<Record, JournalError> {
        let (_, mut record) = self.snapshot()?;
        for (row, entry) in self.rows()? {
            self.apply(&mut record, row, &entry)?;
        }
        Ok(record)
    }

    fn apply(&self, record: &mut Record, row: i64, entry: &Entry) -> Result<(), JournalError> {
        record.apply(entry).map_err(|source| JournalError::Illegal {
            path: self.path.clone(),
            row,
            source,
        })
    }

    /// Forgets all executions but the last `keep`, and how it came to what was before them; a
    /// snapshot says what that was.
    ///
    /// # Errors
    ///
    /// If the journal cannot be read or written; then nothing is forgotten.
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
        record.forget_executions();
        self.replace(last, &record)
            .map_err(|error| self.sqlite(error))
    }

    fn replace(&mut self, last: i64, record: &Record) -> rusqlite::Result<()> {
        let json = serde_json::to_string(record)
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
        if pragma("freelist_count")? * pragma("page_size")? > SLACK {
            self.connection.execute_batch("VACUUM")?;
        }
        Ok(())
    }

    fn clear_requests(&self, before: u64) -> Result<(), JournalError> {
        let before = i64::try_from(before).unwrap_or(i64::MAX);
        self.connection
            .execute("DELETE FROM request WHERE at < ?1", [before])
            .map(drop)
            .map_err(|error| self.sqlite(error))
    }

    /// What watches for requests to the run that holds the deployment.
    ///
    /// # Errors
    ///
    /// If the journal cannot be opened once more.
    pub fn requests(&self) -> Result<Requests, JournalError> {
        Self::connect(&self.path).map(|connection| Requests { connection })
    }
}

/// What others ask of the run that holds a deployment.
pub struct Requests {
    connection: Connection,
}

impl Requests {
    /// Whether it was asked to stop, and if so, whether by force. A journal that cannot be read now
    /// is read later.
    #[must_use]
    pub fn stop(&self) -> Option<bool> {
        self.connection
            .query_row("SELECT max(force) FROM request", [], |row| row.get(0))
            .ok()
            .flatten()
    }
}

/// The format of a database; 0 if nothing is in it yet.
fn format_of(connection: &Connection, path: &Path) -> Result<i64, JournalError> {
    let found = connection.pragma_query_value(None, "user_version", |row| row.get(0));
    let found: i64 = found.map_err(|source| JournalError::Sqlite {
        path: path.to_owned(),
        source,
    })?;
    if found > FORMAT {
        Err(JournalError::Format {
            path: path.to_owned(),
            found,
        })
    } else {
        Ok(found)
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{event::Outcome, stage::Workflow};

    fn entries(executions: usize) -> Vec<Entry> {
        let started = |n| Event::ExecutionStarted {
            execution: format!("x{n}"),
            workflow: Workflow::Install,
            of: None,
            rolls_back: false,
            takes_back: crate::known::Taken::default(),
            parameters: Box::default(),
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

    fn hold(state: &StateDir) -> Held {
        state.hold("d", &Holder::this("test", "x")).unwrap()
    }

    /// Whatever is lost of the log of a database that lost its power, what is left is what came
    /// first.
    #[test]
    fn a_write_ahead_log_cut_anywhere_is_a_journal_cut_after_an_entry() {
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
        make_folder(&torn.deployments()).unwrap();
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
    fn what_others_can_write_to_is_read_and_not_written() {
        use std::os::unix::fs::{PermissionsExt as _, symlink};
        let folder = tempfile::tempdir().unwrap();
        // However the user gets there, the folder itself counts.
        symlink(folder.path(), folder.path().join("link")).unwrap();
        let state = StateDir::new(folder.path().join("link/state"));
        drop(hold(&state));
        assert!(state.distrusted().is_none());
        let mode = |path: &Path, mode| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap()
        };
        for path in [
            folder.path().join("state"),
            folder.path().join("state/deployments"),
        ] {
            mode(&path, 0o1777);
            let refused = state.hold("d", &Holder::this("test", "x")).err();
            assert!(
                matches!(refused, Some(JournalError::Distrusted { .. })),
                "{refused:?}"
            );
            assert!(matches!(
                state.ask_to_stop("d", false),
                Err(JournalError::Distrusted { .. })
            ));
            assert!(
                state.read("d").unwrap().is_some(),
                "it is read all the same"
            );
            mode(&path, 0o700);
        }
        drop(hold(&state));
    }

    #[test]
    fn a_link_in_the_place_of_a_file_is_not_followed() {
        use std::os::unix::fs::symlink;
        for name in [
            "deployments/d.lock",
            "deployments/d.db",
            "deployments/d.db-wal",
            "deployments/d.db-shm",
            "key",
        ] {
            let folder = tempfile::tempdir().unwrap();
            let state = StateDir::new(folder.path().join("state"));
            drop(hold(&state));
            let (victim, path) = (
                folder.path().join("victim"),
                folder.path().join("state").join(name),
            );
            let _ = fs::remove_file(&path);
            fs::write(&victim, "precious").unwrap();
            symlink(&victim, &path).unwrap();
            let failed = if name == "key" {
                state.key().is_err()
            } else {
                state.hold("d", &Holder::this("test", "x")).is_err()
            };
            assert!(failed, "{name}");
            assert_eq!(fs::read_to_string(&victim).unwrap(), "precious", "{name}");
        }
    }

    #[test]
    fn what_is_pruned_stays_in_the_snapshot() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateDir::new(folder.path().to_owned());
        let mut held = hold(&state);
        for entry in entries(9) {
            held.store.append(&entry).unwrap();
        }
        held.store.prune(3).unwrap();
        let record = held.store.replay().unwrap();
        assert_eq!((record.executions.len(), record.ran), (3, 9));
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
    fn a_request_is_for_the_run_that_holds_the_deployment() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateDir::new(folder.path().to_owned());
        let held = hold(&state);
        let requests = held.store.requests().unwrap();
        assert_eq!(requests.stop(), None);
        state.ask_to_stop("d", false).unwrap();
        assert_eq!(requests.stop(), Some(false));
        state.ask_to_stop("d", true).unwrap();
        assert_eq!(requests.stop(), Some(true));
        drop((held, requests));
        std::thread::sleep(std::time::Duration::from_millis(2));
        assert_eq!(
            hold(&state).store.requests().unwrap().stop(),
            None,
            "the next run is not meant"
        );
    }
}
