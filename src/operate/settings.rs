//! The settings of the application.

use crate::{catalog, engine::Host, executor::Policy, seam::Failure, secrets::SecretSources};
use std::{collections::BTreeMap, ffi::OsString, path::PathBuf, time::Duration};
use tokio::time::Instant;

/// The settings of the application. It does not read the environment, the home directory or the
/// command line itself.
#[derive(Clone)]
pub struct Settings {
    /// State directory.
    pub state_dir: PathBuf,
    /// Default engine.
    pub engine: DefaultEngine,
    /// User name for locks and labels.
    pub user: String,
    /// Maximum number of steps that run in parallel.
    pub max_parallel: u16,
    /// Maximum number of retries of a failed operation; -1 retries indefinitely.
    pub task_retries: i32,
    /// Pause before the first retry, in seconds; later pauses are longer.
    pub task_retry_interval: f64,
    /// Number of executions to keep per deployment.
    pub keep_history: u16,
    /// Whether to guard deployments on their engines.
    pub guarded: bool,
    /// Seed for the IDs of new instances; by default derived from the state directory.
    pub seed: Option<u64>,
    /// Options for imports.
    pub imports: catalog::Options,
    /// Sources of secrets.
    pub secrets: SecretSources,
    /// Variables `DOCKCTL_INPUT_<NAME>`, by full name.
    pub inputs: BTreeMap<String, OsString>,
    /// Whether to treat warnings as errors.
    pub strict: bool,
    /// Environment of scripts: that of dockctl, without its own settings.
    pub environment: Vec<(OsString, OsString)>,
    /// Path of the running dockctl.
    pub program: PathBuf,
    /// Registries are asked for newer images.
    pub asks_registry: bool,
}

impl Settings {
    /// Returns settings in which the text of the script that a document refers to is known.
    pub(crate) fn with_script(&self, script: Option<String>) -> Self {
        let mut settings = self.clone();
        settings.imports.documents.script = script;
        settings
    }
}

/// The engine of nodes that do not specify one.
#[derive(Clone, Debug)]
pub struct DefaultEngine {
    /// Address of the engine, or the reason why it is unknown.
    pub host: Result<Host, Failure>,
    /// Error in the configuration of the Docker CLI, which is ignored then.
    pub config_error: Option<String>,
}

/// The options of one run.
#[derive(Clone, Copy, Debug, Default)]
pub struct RunOptions {
    /// Start no new steps after a failure.
    pub fail_fast: bool,
    /// Maximum number of retries of all steps of an instance.
    pub subgraph_retries: u16,
    /// Maximum duration of the run.
    pub timeout: Option<Duration>,
    /// Roll back a failed install.
    pub rollback: bool,
    /// Continue after failed operations.
    pub ignore_failures: bool,
}

impl RunOptions {
    /// Returns the flags that select the same options.
    pub(crate) fn flags(&self) -> impl Iterator<Item = String> + use<> {
        let switches = [
            (self.rollback, "--rollback-on-failure"),
            (self.ignore_failures, "--ignore-failure"),
            (self.fail_fast, "--fail-fast"),
        ];
        let given = switches.into_iter().filter(|(given, _)| *given);
        given.map(|(_, flag)| flag.to_owned())
    }

    /// Returns the policy of a run that starts now.
    pub(crate) fn policy(&self, settings: &Settings) -> Policy {
        Policy {
            parallel: settings.max_parallel.into(),
            retries: settings.task_retries.into(),
            retry_interval: settings.task_retry_interval,
            subgraph_retries: self.subgraph_retries.into(),
            fail_fast: self.fail_fast,
            ignore_failures: self.ignore_failures,
            roll_back: self.rollback,
            deadline: self.timeout.map(|time| Instant::now() + time),
        }
    }
}
