//! Guards: markers on a system that keep other machines from changing the same deployment.

use super::DriverFuture;
use crate::{
    journal::Holder,
    seam::{Failure, Target},
};
use futures_util::future::select_all;
use serde::{Deserialize, Serialize};
use std::{fmt, fs, future::Future, os::unix::fs::MetadataExt as _, pin::Pin};

/// The holder of a guard: a run and its machine.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct GuardHolder {
    /// The run.
    #[serde(flatten)]
    pub run: Holder,
    /// Host name of its machine.
    pub host: String,
    /// Unique ID of the guard.
    token: String,
    /// Boot ID and PID namespace. Processes with equal values can see each other.
    boot: String,
    processes: String,
    /// Start time of its process, as counted by the kernel.
    started: String,
    /// Device and inode of its lock file.
    lock: String,
}

impl GuardHolder {
    /// Describes this process as the holder; it has locked `lock`.
    #[must_use]
    pub fn this_process(run: Holder, lock: &fs::File) -> Self {
        let read = |path: &str| {
            fs::read_to_string(path)
                .unwrap_or_default()
                .trim()
                .to_owned()
        };
        Self {
            host: rustix::system::uname()
                .nodename()
                .to_string_lossy()
                .into_owned(),
            token: std::iter::repeat_with(fastrand::alphanumeric)
                .take(16)
                .collect(),
            boot: read("/proc/sys/kernel/random/boot_id"),
            processes: fs::read_link("/proc/self/ns/pid")
                .map(|link| link.display().to_string())
                .unwrap_or_default(),
            started: start_time(run.pid).unwrap_or_default(),
            lock: lock
                .metadata()
                .map(|data| format!("{}:{}", data.dev(), data.ino()))
                .unwrap_or_default(),
            run,
        }
    }

    /// Returns true if both are the same run.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self.token == other.token
    }

    /// Returns true if `me` can tell that this holder is dead: its process is gone, or `me` now has
    /// its lock.
    #[must_use]
    pub fn is_dead(&self, me: &Self) -> bool {
        let same_kernel = !self.boot.is_empty() && self.boot == me.boot;
        let visible = !self.processes.is_empty()
            && self.processes == me.processes
            && !self.started.is_empty();
        let removed = visible && start_time(self.run.pid).as_ref() != Some(&self.started);
        same_kernel && (removed || (!self.lock.is_empty() && self.lock == me.lock))
    }
}

impl fmt::Display for GuardHolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.is_empty() {
            return f.write_str("a run that has since ended");
        }
        write!(f, "{} on {}", self.run, self.host)
    }
}

/// Returns the start time of a process, if the process exists.
fn start_time(pid: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The program name in parentheses can contain any character.
    stat.rsplit_once(')')?
        .1
        .split_whitespace()
        .nth(19)
        .map(str::to_owned)
}

/// The reason why a deployment cannot be guarded.
#[derive(Debug)]
pub enum GuardError {
    /// Another run holds the guard; with the minimum number of seconds until it expires.
    Busy(Box<GuardHolder>, u64),
    /// The system returned an error.
    Refused(Failure),
}

/// A guard found on a system, and whether its holder may be at work.
pub struct FoundGuard {
    /// The holder of the guard.
    pub holder: GuardHolder,
    /// Seconds until it expires; 0 if expired.
    pub expires_in: u64,
}

/// The future result of acquiring a guard.
pub type GuardFuture<'a> =
    Pin<Box<dyn Future<Output = Result<Box<dyn HeldGuard>, GuardError>> + 'a>>;

/// Acquires guards on the systems of a plugin.
pub trait Guard {
    /// Acquires the guard of a deployment on all of these systems that respond, or on none if
    /// another run holds it. The others count as not responding for the driver from now on: no run
    /// may change a system that it did not guard.
    ///
    /// # Errors
    ///
    /// If another run holds a guard, or no system responds.
    fn acquire<'a>(
        &'a self,
        deployment: &'a str,
        targets: &'a [Target],
        me: &'a GuardHolder,
    ) -> GuardFuture<'a>;

    /// Returns the guards of a deployment on the default system.
    fn list<'a>(
        &'a self,
        deployment: &'a str,
        me: &'a GuardHolder,
    ) -> DriverFuture<'a, Vec<FoundGuard>>;

    /// Removes the guards of a deployment on the default system.
    fn remove<'a>(&'a self, deployment: &'a str) -> DriverFuture<'a, ()>;
}

/// A guard that this run holds.
pub trait HeldGuard {
    /// Renews the guard while it is held. Returns only when another run has taken it over, with the
    /// new holder.
    fn wait_until_lost<'a>(&'a mut self) -> Pin<Box<dyn Future<Output = GuardHolder> + 'a>>;

    /// Releases the deployment. A guard that cannot be removed expires.
    fn release(self: Box<Self>) -> Pin<Box<dyn Future<Output = ()>>>;
}

/// The guards of a deployment, of all plugins.
#[derive(Default)]
pub struct Guards(Vec<Box<dyn HeldGuard>>);

impl Guards {
    pub(super) fn add(&mut self, held: Box<dyn HeldGuard>) {
        self.0.push(held);
    }

    /// Renews all guards while they are held. Returns only when another run has taken one over,
    /// with the new holder.
    pub async fn lost(&mut self) -> GuardHolder {
        if self.0.is_empty() {
            return std::future::pending().await;
        }
        select_all(self.0.iter_mut().map(|held| held.wait_until_lost()))
            .await
            .0
    }

    /// Releases the deployment.
    pub async fn release(self) {
        for held in self.0 {
            held.release().await;
        }
    }
}
