//! The driver of the script plugin.

mod container;
mod delivery;
mod http;
mod local;
mod log;
mod operation;
mod python;
mod resources;
mod run_directory;
mod script;
mod secrets;
mod server;

use super::declare::{action::Action, language::python_2_mark};
use crate::{
    plugins::{Driver, DriverFuture, DriverSettings, StepContext, StepShell},
    seam::{Call, Failure, Outputs, Settled, Step},
};
use container::ContainerRun;
use operation::Operation;
use run_directory::RunDirectory;
use std::{ffi::OsString, future::Future, path::PathBuf, pin::Pin};

/// Runs scripts.
pub(super) struct Scripts {
    /// The state directory.
    state_dir: PathBuf,
    /// Environment of scripts.
    environment: Vec<(OsString, OsString)>,
    /// Path of dockctl, which is also `ctx`.
    program: PathBuf,
}

impl Scripts {
    pub(super) fn new(settings: &DriverSettings) -> Self {
        Self {
            state_dir: settings.state_dir.clone(),
            environment: settings.environment.clone(),
            program: settings.program.clone(),
        }
    }

    fn run_directory(&self, call: &Call) -> Result<RunDirectory, Failure> {
        let Action::Run { operation, .. } = Action::from_step(&call.step)?;
        Ok(RunDirectory::of(&self.state_dir, call, &operation))
    }

    /// Returns the requirements of a step that this machine does not meet.
    async fn unmet(&self, step: &Step) -> Vec<String> {
        let Ok(Action::Run {
            inputs, directory, ..
        }) = Action::from_step(step)
        else {
            return Vec::new();
        };
        let Some((name, text)) = resources::python_text(&inputs, &directory) else {
            return Vec::new();
        };
        let environment = &self.environment;
        match python_2_mark(&text) {
            Some((line, mark)) if !python::runs("python2", environment).await => {
                vec![format!(
                    "{name} needs Python 2, which is not installed: line {line} is `{mark}`"
                )]
            }
            None if !python::runs("python3", environment).await => {
                vec![format!("{name} needs python3, which is not installed")]
            }
            _ => Vec::new(),
        }
    }
}

impl Driver for Scripts {
    fn perform<'a>(
        &'a self,
        call: &'a Call,
        context: StepContext<'a>,
    ) -> DriverFuture<'a, Outputs> {
        Box::pin(async move { Operation::prepare(self, call, context)?.run().await })
    }

    fn abandon<'a>(
        &'a self,
        call: &'a Call,
        inside: Option<StepShell<'a>>,
    ) -> DriverFuture<'a, Settled> {
        Box::pin(async move {
            Ok(match self.settle(call, 0, inside).await? {
                // The watchdog of the script ended it.
                Settled::Unknown => Settled::NotDone,
                settled => settled,
            })
        })
    }

    fn clean_up(&self, deployment: &str) {
        run_directory::clean_up(&self.state_dir, deployment);
    }

    fn settle<'a>(
        &'a self,
        call: &'a Call,
        _since: u64,
        inside: Option<StepShell<'a>>,
    ) -> DriverFuture<'a, Settled> {
        Box::pin(async move {
            let run_directory = self.run_directory(call)?;
            match inside {
                Some(shell) => {
                    run_directory
                        .settle_inside(&ContainerRun::new(shell, run_directory.id()))
                        .await
                }
                None => run_directory.settle().await,
            }
        })
    }

    fn outcome_recorded<'a>(
        &'a self,
        call: &'a Call,
        inside: Option<StepShell<'a>>,
    ) -> Pin<Box<dyn Future<Output = ()> + 'a>> {
        Box::pin(async move {
            if let Ok(run_directory) = self.run_directory(call) {
                if let Some(shell) = inside {
                    ContainerRun::new(shell, run_directory.id()).remove().await;
                }
                run_directory.remove();
            }
        })
    }

    fn unsupported_features<'a>(
        &'a self,
        steps: &'a [&'a Step],
    ) -> DriverFuture<'a, Vec<Vec<String>>> {
        Box::pin(async move {
            let mut all = Vec::new();
            for step in steps {
                all.push(self.unmet(step).await);
            }
            Ok(all)
        })
    }
}
