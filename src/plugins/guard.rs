//! Keeping other machines off a deployment: each system has a way of its own for that.

use super::Answer;
use crate::{
    journal::Holder,
    seam::{Failure, Target},
};
use futures_util::future::select_all;
use serde::{Deserialize, Serialize};
use std::{fmt, fs, future::Future, os::unix::fs::MetadataExt as _, pin::Pin};

/// Who guards a deployment: a run, and where it runs.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct GuardHolder {
    /// The run.
    #[serde(flatten)]
    pub run: Holder,
    /// Name of its machine.
    pub host: String,
    /// Tells guards apart.
    token: String,
    /// Its start of the machine's kernel, and its view of processes: those with the same can see
    /// each other.
    boot: String,
    processes: String,
    /// When its process started, as the kernel counts.
    started: String,
    /// Device and inode of the file that it has locked.
    lock: String,
}

impl GuardHolder {
    /// This process, which holds a lock on a file.
    #[must_use]
    pub fn this(run: Holder, lock: &fs::File) -> Self {
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
            started: start_of(run.pid).unwrap_or_default(),
            lock: lock
                .metadata()
                .map(|data| format!("{}:{}", data.dev(), data.ino()))
                .unwrap_or_default(),
            run,
        }
    }

    /// Whether it is the same run.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        self.token == other.token
    }

    /// Whether this holder is known to be dead by `me`: its process is gone, or I have the lock
    /// that it had.
    #[must_use]
    pub fn is_dead(&self, me: &Self) -> bool {
        let same_kernel = !self.boot.is_empty() && self.boot == me.boot;
        let visible = !self.processes.is_empty()
            && self.processes == me.processes
            && !self.started.is_empty();
        let gone = visible && start_of(self.run.pid).as_ref() != Some(&self.started);
        same_kernel && (gone || (!self.lock.is_empty() && self.lock == me.lock))
    }
}

impl fmt::Display for GuardHolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.is_empty() {
            return f.write_str("a run that has ended since");
        }
        write!(f, "{} on {}", self.run, self.host)
    }
}

/// When a process started; none if there is none.
fn start_of(pid: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name of the program, in parentheses, can hold anything.
    stat.rsplit_once(')')?
        .1
        .split_whitespace()
        .nth(19)
        .map(str::to_owned)
}

/// Why a deployment cannot be guarded.
#[derive(Debug)]
pub enum Unguarded {
    /// Somebody else does; for how many seconds more at least.
    Busy(Box<GuardHolder>, u64),
    /// The system refuses.
    Refused(Failure),
}

/// A guard that was found, and whether its holder may be at work.
pub struct Guarding {
    /// Who made it.
    pub holder: GuardHolder,
    /// Seconds for which it holds still; 0 if it holds no more.
    pub left: u64,
}

/// What comes of guarding, sooner or later.
pub type Guarded<'a> = Pin<Box<dyn Future<Output = Result<Box<dyn Held>, Unguarded>> + 'a>>;

/// Guards deployments on systems of a plugin.
pub trait Guard {
    /// Guards a deployment on all of these systems, or on none.
    fn take<'a>(
        &'a self,
        deployment: &'a str,
        targets: &'a [Target],
        me: &'a GuardHolder,
    ) -> Guarded<'a>;

    /// Guards of a deployment on the default system.
    fn standing<'a>(
        &'a self,
        deployment: &'a str,
        me: &'a GuardHolder,
    ) -> Answer<'a, Vec<Guarding>>;

    /// Removes them.
    fn remove<'a>(&'a self, deployment: &'a str) -> Answer<'a, ()>;
}

/// A guard that is held.
pub trait Held {
    /// Renews it for as long as it is held. Comes only when another run has taken it over: who.
    fn lost<'a>(&'a mut self) -> Pin<Box<dyn Future<Output = GuardHolder> + 'a>>;

    /// Gives the deployment free. A guard that cannot be removed ends by itself.
    fn release(self: Box<Self>) -> Pin<Box<dyn Future<Output = ()>>>;
}

/// The guards of a deployment, of all plugins.
#[derive(Default)]
pub struct Guards(Vec<Box<dyn Held>>);

impl Guards {
    pub(super) fn add(&mut self, held: Box<dyn Held>) {
        self.0.push(held);
    }

    /// Renews them for as long as all are held. Comes only when another run has taken one over: who.
    pub async fn lost(&mut self) -> GuardHolder {
        if self.0.is_empty() {
            return std::future::pending().await;
        }
        select_all(self.0.iter_mut().map(|held| held.lost()))
            .await
            .0
    }

    /// Gives the deployment free.
    pub async fn release(self) {
        for held in self.0 {
            held.release().await;
        }
    }
}
