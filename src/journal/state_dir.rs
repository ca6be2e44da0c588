//! The folder with everything that dockctl remembers.

use super::{
    Held, Holder, JournalError, Store,
    files::{KEY, expect_room, make_folder, make_key, new_key, open_no_link},
    holder::{TRIES, read_holder, take, write_holder},
    store::FORMAT,
};
use crate::{
    event::{Entry, now},
    record::Record,
};
use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

/// No key has more.
const MOST_KEY: u64 = 4096;

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

    pub(super) fn deployments(&self) -> PathBuf {
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
