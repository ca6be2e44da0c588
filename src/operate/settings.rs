//! The surroundings of the application.

use crate::{catalog, engine::Host, executor::Policy, seam::Failure, secrets::SecretSources};
use std::{collections::BTreeMap, ffi::OsString, path::PathBuf, time::Duration};
use tokio::time::Instant;

/// The surroundings of the application. It reads no environment, no home directory
/// and no command line itself.
#[derive(Clone)]
pub struct Settings {
    /// State directory.
    pub state_dir: PathBuf,
    /// Default engine, or the reason why none is known.
    pub engine: DefaultEngine,
    /// Name of the user, as locks and labels show it.
    pub user: String,
    /// Steps that run at once.
    pub parallel: u16,
    /// Retries of a failed operation; -1 retries indefinitely.
    pub task_retries: i32,
    /// Seconds before the first retry; later pauses grow.
    pub task_retry_interval: f64,
    /// Executions of a deployment that are kept.
    pub keep_history: u16,
    /// Whether deployments are locked on their engines too.
    pub guarded: bool,
    /// Seed of the ids of new instances; none derives one from the state directory.
    pub seed: Option<u64>,
    /// How imports are found.
    pub imports: catalog::Options,
    /// Sources of secrets.
    pub secrets: SecretSources,
    /// Variables `DOCKCTL_INPUT_<NAME>` that are set, by their whole names.
    pub inputs: BTreeMap<String, OsString>,
    /// Whether warnings are errors.
    pub strict: bool,
}

/// The engine of nodes that name none.
#[derive(Clone, Debug)]
pub struct DefaultEngine {
    /// Its address, or the reason why none is known.
    pub host: Result<Host, Failure>,
    /// Fault of the docker command's configuration, which is not used then.
    pub fault: Option<String>,
}

/// How one run is carried out.
#[derive(Clone, Copy, Debug, Default)]
pub struct RunOptions {
    /// Start nothing new after a failure.
    pub fail_fast: bool,
    /// Retries of an instance as a whole.
    pub subgraph_retries: u16,
    /// Longest time that the run takes.
    pub timeout: Option<Duration>,
    /// Remove what a failed install created.
    pub rollback: bool,
    /// Continue after failed operations.
    pub ignore_failures: bool,
}

impl RunOptions {
    /// The flags that ask for the same again.
    pub(crate) fn flags(&self) -> impl Iterator<Item = String> + use<> {
        let switches = [
            (self.rollback, "--rollback-on-failure"),
            (self.ignore_failures, "--ignore-failure"),
            (self.fail_fast, "--fail-fast"),
        ];
        let given = switches.into_iter().filter(|(given, _)| *given);
        given.map(|(_, flag)| flag.to_owned())
    }

    /// The policy of a run that begins now.
    pub(crate) fn policy(&self, settings: &Settings) -> Policy {
        Policy {
            parallel: settings.parallel.into(),
            retries: settings.task_retries.into(),
            interval: settings.task_retry_interval,
            subgraph_retries: self.subgraph_retries.into(),
            fail_fast: self.fail_fast,
            ignore_failures: self.ignore_failures,
            roll_back: self.rollback,
            deadline: self.timeout.map(|time| Instant::now() + time),
        }
    }
}
