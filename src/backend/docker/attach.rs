//! What people want of a container that runs: what it writes, and a command in it.

use super::{connect::failure, engine::Engine};
use crate::backend::Failure;
use bollard::{
    container::LogOutput,
    errors::Error,
    exec::{ResizeExecOptions, StartExecOptions, StartExecResults},
    models::ExecConfig,
    query_parameters::LogsOptions,
};
use futures_util::{Stream, StreamExt as _};
use std::{
    pin::Pin,
    time::{Duration, Instant},
};
use tokio::io::AsyncWrite;

/// How long a command may take to end once it writes no more.
const ENDING: Duration = Duration::from_secs(5);

/// Which part of a log.
#[derive(Clone, Copy, Debug, Default)]
pub struct Excerpt {
    /// What comes from now on, too.
    pub follow: bool,
    /// Nothing older, in seconds since 1970 UTC.
    pub since: Option<i32>,
    /// Only so many lines from the end.
    pub tail: Option<u32>,
    /// With the time of each line.
    pub timestamps: bool,
}

/// A command in a container.
#[derive(Clone, Debug, Default)]
pub struct Command {
    /// The words.
    pub words: Vec<String>,
    /// Variables, as `NAME=VALUE`.
    pub environment: Vec<String>,
    /// Who runs it.
    pub user: Option<String>,
    /// Where.
    pub folder: Option<String>,
    /// On a terminal of its own.
    pub terminal: bool,
    /// It reads what is written to it.
    pub input: bool,
}

/// A command that runs.
pub struct Attached {
    id: String,
    /// What it writes.
    pub output: Pin<Box<dyn Stream<Item = Result<LogOutput, Error>> + Send>>,
    /// What it reads.
    pub input: Pin<Box<dyn AsyncWrite + Send>>,
}

impl Engine {
    /// What a container wrote, in the pieces in which it comes.
    pub fn excerpt(&self, id: &str, excerpt: Excerpt) -> impl Stream<Item = Result<LogOutput, Failure>> + use<> {
        let options = LogsOptions {
            stdout: true,
            stderr: true,
            follow: excerpt.follow,
            since: excerpt.since.unwrap_or_default(),
            tail: excerpt.tail.map_or_else(|| "all".to_owned(), |lines| lines.to_string()),
            timestamps: excerpt.timestamps,
            ..Default::default()
        };
        let docker = self.client.docker().clone();
        let id = id.to_owned();
        futures_util::stream::once(async move { docker.logs(&id, Some(options)) })
            .flatten()
            .map(|piece| piece.map_err(|error| failure(&error, "reading the log")))
    }

    /// Whether there is a container.
    ///
    /// # Errors
    ///
    /// If the engine does not say.
    pub async fn has_container(&self, id: &str) -> Result<bool, Failure> {
        match self.client.docker().inspect_container(id, None).await {
            Ok(_) => Ok(true),
            Err(Error::DockerResponseServerError { status_code: 404, .. }) => Ok(false),
            Err(error) => Err(failure(&error, "looking at the container")),
        }
    }

    /// Starts a command in a container.
    ///
    /// # Errors
    ///
    /// If the engine refuses.
    pub async fn attach(&self, id: &str, command: &Command) -> Result<Attached, Failure> {
        let config = ExecConfig {
            cmd: Some(command.words.clone()),
            env: Some(command.environment.clone()),
            user: command.user.clone(),
            working_dir: command.folder.clone(),
            tty: Some(command.terminal),
            attach_stdin: Some(command.input),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            ..Default::default()
        };
        let cannot = |error| failure(&error, "starting the command");
        let made = self.client.docker().create_exec(id, config).await.map_err(cannot)?;
        let options = StartExecOptions { tty: command.terminal, ..Default::default() };
        match self.client.docker().start_exec(&made.id, Some(options)).await.map_err(cannot)? {
            StartExecResults::Attached { output, input } => Ok(Attached { id: made.id, output, input }),
            StartExecResults::Detached => Err(Failure::fatal("the engine did not attach to the command")),
        }
    }

    /// Tells a command how large its terminal is.
    pub async fn resize(&self, attached: &str, rows: u16, columns: u16) {
        // A command that ended meanwhile needs no size.
        let _ = self.client.docker().resize_exec(attached, ResizeExecOptions { height: rows, width: columns }).await;
    }

    /// The exit code of a command that ended.
    ///
    /// # Errors
    ///
    /// If the engine does not say.
    pub async fn exit_code(&self, attached: &str) -> Result<i64, Failure> {
        let cannot = |error| failure(&error, "asking how the command ended");
        let asked = Instant::now();
        loop {
            let found = self.client.docker().inspect_exec(attached).await.map_err(cannot)?;
            match found.exit_code {
                Some(code) => return Ok(code),
                // What it writes may come to its end a moment before it does.
                None if asked.elapsed() < ENDING => tokio::time::sleep(Duration::from_millis(50)).await,
                None => return Err(Failure::fatal("the command writes no more, and does not end")),
            }
        }
    }
}

impl Attached {
    /// What the engine calls it.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }
}
