//! The state directory.

use super::{
    HeldDeployment, Holder, JournalError, ServerStore, Store,
    files::{
        KEY_BYTES, check_free_space, create_dir, create_key, generate_key, open_without_links,
    },
    holder::{ATTEMPTS, acquire, read_holder, write_holder},
    store::FORMAT,
};
use crate::{
    event::{Entry, LogEntry, now},
    record::Record,
};
use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

/// Upper limit for reading a key file, in bytes.
const MAX_KEY_BYTES: u64 = 4096;

/// The directory with everything that dockctl stores.
#[derive(Clone, Debug)]
pub struct StateDir {
    path: PathBuf,
}

impl StateDir {
    /// Names the directory. It is created when first needed.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// Returns the path of the directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn deployments(&self) -> PathBuf {
        self.path.join("deployments")
    }

    /// Returns the directory with the databases of servers for InfraKit.
    fn servers(&self) -> PathBuf {
        self.path.join("infrakit")
    }

    /// Returns the file with the secrets that scripts of a deployment created.
    #[must_use]
    pub fn secrets(&self, deployment: &str) -> PathBuf {
        let secrets = self.resolved().path.join("secrets");
        secrets.join(format!("{deployment}.json"))
    }

    fn database(&self, deployment: &str) -> PathBuf {
        self.deployments().join(format!("{deployment}.db"))
    }

    /// Returns the directory with all links in its path resolved, because its files are opened
    /// without following links.
    pub(super) fn resolved(&self) -> Self {
        self.path
            .canonicalize()
            .map_or_else(|_| self.clone(), |path| Self { path })
    }

    /// Returns the reason why the content cannot be trusted and nothing may be written; none if the
    /// directory belongs to this user and no other user can write to it.
    #[must_use]
    pub fn untrusted(&self) -> Option<JournalError> {
        let me = rustix::process::geteuid();
        let why = |path: &Path| {
            let data = fs::symlink_metadata(path).ok()?;
            let is_own = me.is_root() || data.uid() == me.as_raw();
            match () {
                () if data.is_symlink() => Some("it is a symbolic link"),
                () if !is_own => Some("it belongs to another user"),
                () if data.mode() & 0o002 != 0 => Some("it is world-writable"),
                () => None,
            }
        };
        let resolved = self.resolved();
        let directories = [
            resolved.path.clone(),
            resolved.deployments(),
            resolved.servers(),
        ];
        directories
            .into_iter()
            .find_map(|path| why(&path).map(|why| JournalError::Untrusted { path, why }))
    }

    /// Creates the directory if needed and returns it with links resolved. Every method that writes
    /// calls this first.
    pub(super) fn prepare(&self) -> Result<Self, JournalError> {
        create_dir(&self.path)?;
        let resolved = self.resolved();
        match self.untrusted() {
            Some(error) => Err(error),
            None => Ok(resolved),
        }
    }

    /// Returns the names of the deployments that have a journal, sorted.
    ///
    /// # Errors
    ///
    /// If the directory cannot be read. A missing directory is not an error.
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

    /// Returns the key of seals and digests. It is created once and is readable only by its
    /// owner.
    ///
    /// # Errors
    ///
    /// If it cannot be read or created.
    pub fn key(&self) -> Result<Vec<u8>, JournalError> {
        let mut path = self.resolved().path.join("key");
        let io = |path: &Path, source| JournalError::Io {
            path: path.to_owned(),
            source,
        };
        if !path.exists() {
            path = match self.prepare() {
                // A command that only reads has sealed nothing, and one that writes is refused
                // later.
                Err(JournalError::Untrusted { .. }) => {
                    return generate_key()
                        .map(Vec::from)
                        .map_err(|error| io(&path, error));
                }
                ready => ready?.path.join("key"),
            };
            create_key(&path).map_err(|error| io(&path, error))?;
        }
        let mut key = Vec::new();
        let opened = open_without_links(&path, OpenOptions::new().read(true));
        opened
            .and_then(|file| file.take(MAX_KEY_BYTES).read_to_end(&mut key))
            .map_err(|error| io(&path, error))?;
        // With another key, every container would look changed.
        let damaged = || {
            io(
                &path,
                io::Error::new(io::ErrorKind::InvalidData, "the key is damaged"),
            )
        };
        if key.len() < KEY_BYTES {
            Err(damaged())
        } else {
            Ok(key)
        }
    }

    /// Replays a deployment's journal without holding its lock; none if there is no journal.
    ///
    /// # Errors
    ///
    /// If the journal cannot be read or its rows contradict each other.
    pub fn read(&self, deployment: &str) -> Result<Option<Record>, JournalError> {
        let path = self.resolved().database(deployment);
        if !path.exists() {
            return Ok(None);
        }
        Store::open_read_only(&path)?.replay().map(Some)
    }

    /// Returns the damage of a journal without any content, or of a link to no file. A run writes into
    /// its journal at once, so such a file was cut.
    #[must_use]
    pub fn without_content(&self, deployment: &str) -> Option<JournalError> {
        let path = self.resolved().database(deployment);
        let reason = match (path.metadata(), path.symlink_metadata()) {
            (Ok(metadata), _) if metadata.len() == 0 => "it is empty",
            (Err(_), Ok(_)) => "it is a link to a file that cannot be read",
            _ => return None,
        };
        Some(JournalError::Damaged {
            path,
            reason: reason.to_owned(),
        })
    }

    /// Returns the snapshot and every entry since, oldest first.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub fn entries(&self, deployment: &str) -> Result<(Record, Vec<Entry>), JournalError> {
        let path = self.resolved().database(deployment);
        if !path.exists() {
            return Ok((Record::default(), Vec::new()));
        }
        let store = Store::open_read_only(&path)?;
        Ok((store.snapshot()?.1, store.entries()?))
    }

    /// Returns the log of an execution, oldest line first.
    ///
    /// # Errors
    ///
    /// If the journal cannot be read.
    pub fn log(&self, deployment: &str, execution: &str) -> Result<Vec<LogEntry>, JournalError> {
        let path = self.resolved().database(deployment);
        if !path.exists() {
            return Ok(Vec::new());
        }
        Store::open_read_only(&path)?.log(execution)
    }

    /// Renames a damaged journal to keep it, and returns its new path.
    ///
    /// # Errors
    ///
    /// If it cannot be renamed.
    pub fn set_aside(&self, deployment: &str) -> Result<PathBuf, JournalError> {
        let state = self.prepare()?;
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

    /// Asks the run that holds a deployment to stop. With `force`, it stops immediately.
    ///
    /// # Errors
    ///
    /// If the journal cannot be written.
    pub fn request_stop(&self, deployment: &str, force: bool) -> Result<(), JournalError> {
        let path = self.prepare()?.database(deployment);
        // A run that has just started creates the database within moments.
        for _ in 0..ATTEMPTS {
            if Store::open_read_only(&path).is_ok_and(|store| store.format == FORMAT) {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        let connection = Store::connect(&path)?;
        let inserted = connection.execute(
            "INSERT INTO request (at, force) VALUES (?1, ?2)",
            (i64::try_from(now()).unwrap_or(i64::MAX), force),
        );
        inserted
            .map(drop)
            .map_err(|source| JournalError::Sqlite { path, source })
    }

    /// Returns the holder of a deployment's lock, if the lock is held.
    ///
    /// # Errors
    ///
    /// If the lock cannot be checked.
    pub fn holder(&self, deployment: &str) -> Result<Option<Holder>, JournalError> {
        holder_of(
            self.resolved()
                .deployments()
                .join(format!("{deployment}.lock")),
        )
    }

    /// Acquires the lock of a deployment for one run and opens its journal.
    ///
    /// # Errors
    ///
    /// If another run holds the lock, the disk is nearly full, or the journal cannot be used.
    pub fn hold(&self, deployment: &str, holder: &Holder) -> Result<HeldDeployment, JournalError> {
        let since = now();
        let lock = self.lock(deployment, holder)?;
        let store = Store::open(&self.resolved().database(deployment))?;
        // Drops requests to earlier runs. Requests made since this run started stay.
        store.clear_requests(since)?;
        let record = store.replay()?;
        Ok(HeldDeployment {
            store,
            record,
            lock,
        })
    }

    /// Acquires the lock of a deployment. It is held while the file is open.
    ///
    /// # Errors
    ///
    /// If another run holds the lock, or the disk is nearly full.
    pub fn lock(&self, deployment: &str, holder: &Holder) -> Result<File, JournalError> {
        lock_in(&self.prepare()?.deployments(), deployment, holder)
    }

    /// Returns the process that holds the lock of a server, if the lock is held.
    ///
    /// # Errors
    ///
    /// If the lock cannot be checked.
    pub fn server_holder(&self, name: &str) -> Result<Option<Holder>, JournalError> {
        holder_of(self.resolved().servers().join(format!("{name}.lock")))
    }

    /// Acquires the lock of a server and opens its database.
    ///
    /// # Errors
    ///
    /// If another process holds the lock, the disk is nearly full, or the database cannot be used.
    pub fn server(&self, name: &str, holder: &Holder) -> Result<ServerStore, JournalError> {
        let servers = self.prepare()?.servers();
        let lock = lock_in(&servers, name, holder)?;
        ServerStore::open(&servers.join(format!("{name}.db")), lock)
    }
}

/// Returns the holder of a lock, if the lock is held.
fn holder_of(path: PathBuf) -> Result<Option<Holder>, JournalError> {
    let Ok(mut file) = open_without_links(&path, OpenOptions::new().read(true)) else {
        return Ok(None);
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(None),
        Err(TryLockError::WouldBlock) => Ok(read_holder(&mut file)),
        Err(TryLockError::Error(source)) => Err(JournalError::Io { path, source }),
    }
}

/// Acquires the lock `NAME.lock` in a directory of the state directory.
fn lock_in(directory: &Path, name: &str, holder: &Holder) -> Result<File, JournalError> {
    create_dir(directory)?;
    let path = directory.join(format!("{name}.lock"));
    let io = |source| JournalError::Io {
        path: path.clone(),
        source,
    };
    let mut lock = open_without_links(
        &path,
        OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false),
    )
    .map_err(io)?;
    acquire(&lock).map_err(|error| match error {
        TryLockError::WouldBlock => JournalError::Locked {
            holder: read_holder(&mut lock),
        },
        TryLockError::Error(source) => io(source),
    })?;
    check_free_space(directory)?;
    write_holder(&mut lock, holder).map_err(io)?;
    Ok(lock)
}
