//! Processes on this machine.

use super::{log::OperationLog, run_directory::RunDirectory};
use crate::{
    plugins::script::declare::environment::Process,
    seam::{Failure, LogLine},
};
use std::{
    collections::BTreeMap,
    ffi::OsString,
    future::Future,
    io,
    os::unix::process::ExitStatusExt as _,
    path::Path,
    process::{ExitStatus, Stdio},
    time::Duration,
};
use tokio::{
    process::{Child, Command},
    time::{Instant, interval_at},
};

/// Runs a command in a process group that ends with dockctl, and stores its exit code.
pub(super) const WRAPPER: &str = include_str!("wrapper.sh");
/// Interval of log lines about a process that runs for long.
const NOTICE_INTERVAL: Duration = Duration::from_secs(20);
/// Added to the number of a signal, as shells do.
const SIGNAL_BASE: i32 = 128;

/// A process to start.
pub(super) struct Start<'a> {
    pub run_directory: &'a RunDirectory,
    pub process: &'a Process,
    /// Shell command.
    pub command: String,
    /// Logs the start and the end of the process.
    pub is_logged: bool,
    /// The whole environment.
    pub environment: BTreeMap<OsString, OsString>,
}

impl Start<'_> {
    /// Runs the process to its end while `serving` serves its requests. Returns its exit code.
    ///
    /// # Errors
    ///
    /// If it cannot be started.
    pub(super) async fn run(
        self,
        log: &OperationLog<'_>,
        serving: impl Future<Output = ()>,
    ) -> Result<i32, Failure> {
        let mut child = self.spawn()?;
        // While this end of the pipe is open, the process group may run.
        let watch = child.stdin.take();
        let process = child.id().unwrap_or_default();
        self.announce(log, format!("Process created, PID: {process}"))
            .await;
        let mut waits = interval_at(Instant::now() + NOTICE_INTERVAL, NOTICE_INTERVAL);
        let output = log.follow(self.process, child.stdout.take(), child.stderr.take());
        let mut output = std::pin::pin!(output);
        let mut is_output_complete = false;
        let mut serving = Box::pin(serving);
        let status = loop {
            tokio::select! {
                status = child.wait() => break status,
                () = &mut output, if !is_output_complete => is_output_complete = true,
                () = &mut serving => {}
                _ = waits.tick() => {
                    self.announce(log, format!("Waiting for process {process} to end...")).await;
                }
            }
        };
        // Calls of processes that the script left are refused.
        drop((watch, serving));
        if !is_output_complete {
            log.await_end(output).await;
        }
        let lost =
            |error: io::Error| Failure::fatal(format!("cannot wait for the script: {error}"));
        let code = exit_code(status.map_err(lost)?);
        let command = &self.command;
        let ended = format!("Execution done (PID={process}, return_code={code}): {command}");
        self.announce(log, ended).await;
        Ok(code)
    }

    async fn announce(&self, log: &OperationLog<'_>, text: String) {
        if self.is_logged {
            log.write(vec![LogLine::quiet(text)]).await;
        }
    }

    fn spawn(&self) -> Result<Child, Failure> {
        if let Some(cwd) = &self.process.cwd {
            std::fs::read_dir(cwd).map_err(|error| missing_directory(cwd, &error))?;
        }
        let merge = if self.process.merges_errors {
            "merge"
        } else {
            ""
        };
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", WRAPPER, "dockctl"])
            .arg(self.run_directory.path())
            .args([&*self.command, merge])
            .env_clear()
            .envs(&self.environment)
            .current_dir(
                self.process
                    .cwd
                    .as_deref()
                    .map_or(Path::new("."), Path::new),
            )
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        command.spawn().map_err(|error| {
            let failure = Failure::fatal(format!("cannot start the script: {error}"));
            match error.kind() {
                // The kernel has this name for arguments and variables that are too long.
                io::ErrorKind::ArgumentListTooLong => {
                    failure.hint("shorten the inputs: they are variables of its environment")
                }
                _ => failure.temporary(),
            }
        })
    }
}

fn missing_directory(path: &str, error: &io::Error) -> Failure {
    let message = match error.kind() {
        io::ErrorKind::NotFound => {
            format!("FileNotFoundError: [Errno 2] No such file or directory: '{path}'")
        }
        _ => format!("cannot use the directory {path}: {error}"),
    };
    Failure::fatal(message)
        .temporary()
        .hint("`process.cwd` sets the working directory of the script")
}

fn exit_code(status: ExitStatus) -> i32 {
    let signal = status.signal().map(|signal| SIGNAL_BASE + signal);
    status.code().or(signal).unwrap_or(1)
}
