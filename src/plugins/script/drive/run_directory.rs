//! The directory of one run of a script. It shows the outcome to a later process.

use super::container::{ContainerRun, Settlement};
use crate::{
    digest::sha256,
    model::RelationshipEnd,
    plugins::script::{
        declare::{
            context::{Stop, Verdict},
            outcome::Ended,
            request::Raised,
        },
        socket::CUT_MARK,
    },
    seam::{Call, Failure, Settled, Subject},
};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use std::{
    fs::{self, DirBuilder},
    io,
    os::unix::fs::{DirBuilderExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    time::Duration,
};

/// File with the exit code, once the script has ended.
pub(super) const CODE: &str = "code";
/// File with the process group.
pub(super) const GROUP: &str = "group";
/// File with what the script told dockctl.
const VERDICT: &str = "verdict";
/// Longest wait for the processes of an earlier run to end.
const END_TIMEOUT: Duration = Duration::from_secs(10);
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// The directory of one run.
pub(super) struct RunDirectory {
    path: PathBuf,
}

/// What a script told dockctl about its outcome.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(super) struct Told {
    pub command: String,
    pub verdict: Verdict,
    #[serde(default)]
    pub requested_retry: Option<Stop>,
    pub raised: Option<Raised>,
}

/// Returns the directory of the runs of a deployment.
fn directory_of(state_dir: &Path, deployment: &str) -> PathBuf {
    let resolved = state_dir.canonicalize();
    let resolved = resolved.unwrap_or_else(|_| state_dir.to_owned());
    resolved.join("runs").join(deployment)
}

/// Removes the directories of all runs of a deployment, none of which is open.
pub(super) fn clean_up(state_dir: &Path, deployment: &str) {
    // A directory that cannot be removed does no harm.
    let _ = fs::remove_dir_all(directory_of(state_dir, deployment));
}

impl RunDirectory {
    /// Returns the directory of an operation. The same operation of an execution has the same directory,
    /// so that a later process finds it.
    pub(super) fn of(state_dir: &Path, call: &Call, operation: &str) -> Self {
        let subject = match &call.subject {
            Subject::Instance(own) => own.instance.id.clone(),
            Subject::Relationship {
                source,
                target,
                end,
            } => {
                let end = match end {
                    RelationshipEnd::Source => "source",
                    RelationshipEnd::Target => "target",
                };
                format!("{} {} {end}", source.instance.id, target.instance.id)
            }
        };
        let digest = sha256(&format!("{} {subject} {operation}", call.execution));
        Self {
            path: directory_of(state_dir, &call.deployment.name).join(&digest[..16]),
        }
    }

    /// Returns the name of the directory.
    pub(super) fn id(&self) -> &str {
        let name = self.path.file_name().and_then(|name| name.to_str());
        name.unwrap_or_default()
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Creates the directory. A directory that an earlier attempt left is removed first: its outcome is
    /// known or lost, and its processes have ended.
    pub(super) fn create(&self) -> io::Result<()> {
        self.remove();
        let parent = self.path.parent().unwrap_or(Path::new("/"));
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(parent)?;
        // Fails if the directory exists: nobody else's files are used.
        DirBuilder::new().mode(0o700).create(&self.path)
    }

    /// Writes a file with this mode.
    pub(super) fn write(&self, name: &str, content: &[u8], mode: u32) -> io::Result<PathBuf> {
        let path = self.path.join(name);
        if let Some(parent) = path.parent().filter(|parent| *parent != self.path) {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(parent)?;
        }
        fs::write(&path, content)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(mode))?;
        Ok(path)
    }

    /// Stores what the script told (see [`Told`]), so that a later process knows it too.
    pub(super) fn store(&self, told: &Json) -> io::Result<()> {
        let json = serde_json::to_vec(told)?;
        let temporary = self.write("verdict.new", &json, 0o600)?;
        fs::rename(temporary, self.path.join(VERDICT))
    }

    /// Removes the directory.
    pub(super) fn remove(&self) {
        // What cannot be removed now is removed by the next attempt.
        let _ = fs::remove_dir_all(&self.path);
        if let Some(parent) = self.path.parent() {
            let _ = fs::remove_dir(parent);
        }
    }

    /// Returns the outcome of a run whose dockctl has gone.
    pub(super) async fn settle(&self) -> Result<Settled, Failure> {
        if !self.path.exists() {
            return Ok(Settled::NotDone);
        }
        self.wait_for_end().await?;
        Ok(self.known_outcome().map_or(Settled::Unknown, settled))
    }

    /// Returns the outcome of a run in a container whose dockctl has gone.
    pub(super) async fn settle_inside(&self, run: &ContainerRun<'_>) -> Result<Settled, Failure> {
        if !self.path.exists() {
            return Ok(Settled::NotDone);
        }
        Ok(match run.settle().await? {
            Settlement::NotBegun => Settled::NotDone,
            Settlement::Unknown => Settled::Unknown,
            Settlement::Ended(code) => settled(self.ended(code)),
        })
    }

    /// Returns the end of the script; none if it was cut off, or if its `ctx` got no answer.
    fn known_outcome(&self) -> Option<Ended> {
        if self.path.join(CUT_MARK).exists() {
            return None;
        }
        let code = fs::read_to_string(self.path.join(CODE)).ok()?;
        Some(self.ended(code.trim().parse().ok()?))
    }

    fn ended(&self, code: i32) -> Ended {
        let told = fs::read(self.path.join(VERDICT)).ok();
        let told = told.and_then(|json| serde_json::from_slice::<Told>(&json).ok());
        let Told {
            command,
            verdict,
            requested_retry,
            raised,
        } = told.unwrap_or_default();
        Ended {
            command,
            code,
            verdict,
            requested_retry,
            raised,
            output: Vec::new(),
        }
    }

    /// Waits until no process of the run is left: a second run must not start beside the first.
    async fn wait_for_end(&self) -> Result<(), Failure> {
        let deadline = tokio::time::Instant::now() + END_TIMEOUT;
        while let Some(group) = self.running_group() {
            if tokio::time::Instant::now() > deadline {
                let message = format!(
                    "the script of an earlier run is still running (process group {group})"
                );
                return Err(Failure::fatal(message)
                    .hint(format!("wait for it, or end it: kill -KILL -{group}")));
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        Ok(())
    }

    /// Returns the process group of the run if it still has processes and the script has not ended:
    /// processes that an ended script left may stay.
    fn running_group(&self) -> Option<i32> {
        if self.path.join(CODE).exists() {
            return None;
        }
        let written = fs::read_to_string(self.path.join(GROUP)).ok()?;
        let mut words = written.split_whitespace();
        let group: i32 = words.next()?.parse().ok()?;
        let started = words.next().unwrap_or_default();
        let leader = start_time(group);
        let is_reused = leader.is_some_and(|now| !started.is_empty() && now != started);
        (!is_reused && has_processes(group)).then_some(group)
    }
}

fn settled(ended: Ended) -> Settled {
    match ended.outcome() {
        Ok(outputs) => Settled::Done(outputs),
        Err(failure) => Settled::Failed(failure),
    }
}

/// Returns true if a process group has a process that has not ended. A process that only waits for
/// its parent to notice its end does not count.
fn has_processes(group: i32) -> bool {
    let group = group.to_string();
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let mut processes = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    processes.any(|process: i32| {
        let fields = stat(process).unwrap_or_default();
        let is_dead = fields
            .first()
            .is_none_or(|state| matches!(state.as_str(), "Z" | "X"));
        !is_dead && fields.get(2) == Some(&group)
    })
}

/// Returns the fields of a process after its name: state, parent, group, …
fn stat(process: i32) -> Option<Vec<String>> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let after_name = stat.rsplit_once(')')?.1;
    Some(after_name.split_whitespace().map(str::to_owned).collect())
}

/// Returns the start time of a process, which distinguishes it from a later one with the same ID.
pub(super) fn start_time(process: i32) -> Option<String> {
    stat(process)?.get(19).cloned()
}
