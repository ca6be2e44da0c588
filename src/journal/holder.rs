//! Who holds a deployment, and the lock that says so.

use serde::{Deserialize, Serialize};
use std::{
    fs::{File, TryLockError},
    io::{self, Read as _, Seek as _, Write as _},
};

/// How often a lock is tried: a command that only reads may have it for a moment.
pub(super) const TRIES: u32 = 10;

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

pub(super) fn take(lock: &File) -> Result<(), TryLockError> {
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

pub(super) fn read_holder(file: &mut File) -> Option<Holder> {
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
