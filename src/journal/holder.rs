//! The holder of a deployment's lock.

use serde::{Deserialize, Serialize};
use std::{
    fs::{File, TryLockError},
    io::{self, Read as _, Seek as _, Write as _},
};

/// Number of attempts to acquire a lock: a command that only reads may hold it briefly.
pub(super) const ATTEMPTS: u32 = 10;

/// The process that holds a deployment's lock.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Holder {
    /// Process ID.
    pub pid: u32,
    /// Its command.
    pub command: String,
    /// Time when it acquired the lock, as RFC 3339.
    pub since: String,
    /// ID of its execution.
    #[serde(default)]
    pub execution: String,
}

impl Holder {
    /// Describes this process as the holder from now on.
    #[must_use]
    pub fn this_process(command: &str, execution: &str) -> Self {
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
        let Self {
            command,
            pid,
            since,
            execution,
        } = self;
        write!(f, "`dockctl {command}` (process {pid}, since {since}")?;
        // `recover` has no execution.
        if !execution.is_empty() {
            write!(f, ", execution {execution}")?;
        }
        write!(f, ")")
    }
}

pub(super) fn acquire(lock: &File) -> Result<(), TryLockError> {
    for _ in 1..ATTEMPTS {
        match lock.try_lock() {
            Err(TryLockError::WouldBlock) => {
                std::thread::sleep(std::time::Duration::from_millis(20))
            }
            other => return other,
        }
    }
    lock.try_lock()
}

pub(super) fn read_holder(file: &mut File) -> Option<Holder> {
    let mut text = String::new();
    file.rewind().ok()?;
    file.read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

/// Writes the holder to its lock file.
pub(crate) fn write_holder(file: &mut File, holder: &Holder) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(&serde_json::to_vec(holder)?)
}
