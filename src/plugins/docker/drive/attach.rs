//! Logs of a container, and commands in it.

use crate::{
    engine::{failure, status},
    plugins::{
        DriverFuture, Shell,
        docker::drive::{engine::Engine, engines::Engines},
    },
    seam::{Command, CommandInput, Failure, Log, LogOptions, ObjectRef, Presence, Streams},
};
use futures_util::{StreamExt as _, TryStreamExt as _};
use serde_json::json;
use std::{
    pin::Pin,
    time::{Duration, Instant},
};
use tokio::io::{AsyncWrite, AsyncWriteExt as _};

/// Longest time for a command to exit after its output has ended.
const EXIT_TIMEOUT: Duration = Duration::from_secs(5);

impl Shell for Engines {
    fn presence<'a>(&'a self, place: &'a ObjectRef) -> DriverFuture<'a, Option<Presence>> {
        Box::pin(async move {
            let engine = self.get(&place.target).await?;
            let found = engine.inspect(&place.object).await?;
            Ok(found.map(|container| container.presence()))
        })
    }

    fn engine_name(&self, place: &ObjectRef) -> String {
        self.engine_of(&place.target)
    }

    fn run<'a>(
        &'a self,
        place: &'a ObjectRef,
        command: &'a Command,
        streams: &'a mut dyn Streams,
    ) -> DriverFuture<'a, Option<i64>> {
        Box::pin(async move {
            let engine = self.get(&place.target).await?;
            let attached = engine.attach(&place.object, command).await?;
            let id = attached.id.clone();
            if engine.forward(attached, command, streams).await? {
                engine.exit_code(&id).await.map(Some)
            } else {
                Ok(None)
            }
        })
    }

    fn log<'a>(&'a self, place: &'a ObjectRef, excerpt: LogOptions) -> DriverFuture<'a, Log> {
        Box::pin(async move {
            let engine = self.get(&place.target).await?;
            engine.excerpt(&place.object, excerpt).await
        })
    }
}

/// Running command.
pub(super) struct AttachedCommand {
    pub(super) id: String,
    /// Its output.
    pub(super) output: Log,
    /// Its input.
    input: Pin<Box<dyn AsyncWrite + Send>>,
}

/// Returns a time as the API wants it: seconds with a fraction.
fn seconds(time: Duration) -> String {
    format!("{}.{:09}", time.as_secs(), time.subsec_nanos())
}

impl Engine {
    /// Returns a part of the log of a container.
    async fn excerpt(&self, id: &str, excerpt: LogOptions) -> Result<Log, Failure> {
        let query = [
            ("since", seconds(excerpt.since.unwrap_or_default())),
            (
                "tail",
                excerpt
                    .tail
                    .map_or_else(|| "all".to_owned(), |lines| lines.to_string()),
            ),
            ("timestamps", excerpt.timestamps.to_string()),
        ];
        let container = self
            .inspect(id)
            .await?
            .ok_or_else(|| Failure::fatal(format!("container {id} no longer exists")))?;
        let pieces = self
            .client
            .logs(id, &query, (container.has_terminal(), excerpt.follow));
        Ok(pieces
            .map_err(|error| {
                let failure = failure(&error, "reading the log");
                // The engine answered: a log driver may not support reading.
                if status(&error).is_some() {
                    Failure::fatal(failure.message)
                } else {
                    failure
                }
            })
            .boxed())
    }

    /// Starts a command in a container.
    pub(super) async fn attach(
        &self,
        id: &str,
        command: &Command,
    ) -> Result<AttachedCommand, Failure> {
        let config = json!({
            "Cmd": command.arguments,
            "Env": command.environment,
            "User": command.user.clone().unwrap_or_default(),
            "WorkingDir": command.working_dir.clone().unwrap_or_default(),
            "Tty": command.terminal,
            "AttachStdin": command.has_input,
            "AttachStdout": true,
            "AttachStderr": true,
        });
        let cannot = |error| failure(&error, "starting the command");
        let made = self
            .client
            .create(&format!("/containers/{id}/exec"), &[], &config)
            .await
            .map_err(cannot)?;
        let (output, input) = self
            .client
            .attach(&made, command.terminal)
            .await
            .map_err(cannot)?;
        let output = output
            .map_err(|error| failure(&error, "reading the output of the command"))
            .boxed();
        Ok(AttachedCommand {
            id: made,
            output,
            input,
        })
    }

    /// Sets the terminal size of a command.
    async fn resize(&self, attached: &str, rows: u16, columns: u16) {
        // Ignores the error: the command may have exited meanwhile.
        let size = [("h", rows.to_string()), ("w", columns.to_string())];
        let _ = self
            .client
            .send(&format!("/exec/{attached}/resize"), &size)
            .await;
    }

    /// Returns the exit code of a command whose output has ended.
    async fn exit_code(&self, attached: &str) -> Result<i64, Failure> {
        let cannot = |error| failure(&error, "reading the exit code of the command");
        let start = Instant::now();
        loop {
            let found = self
                .client
                .mapping(&format!("/exec/{attached}/json"), &[])
                .await
                .map_err(cannot)?;
            match found["ExitCode"]
                .as_i64()
                .filter(|_| found["Running"] != true)
            {
                Some(code) => return Ok(code),
                // The output may end a moment before the command exits.
                None if start.elapsed() < EXIT_TIMEOUT => {
                    tokio::time::sleep(Duration::from_millis(50)).await
                }
                None => {
                    return Err(Failure::fatal(
                        "the output of the command has ended, but the command does not exit",
                    ));
                }
            }
        }
    }

    /// Forwards the output and input of a command until the output ends. Returns false if the
    /// output has no reader any more.
    async fn forward(
        &self,
        mut attached: AttachedCommand,
        command: &Command,
        streams: &mut dyn Streams,
    ) -> Result<bool, Failure> {
        let (mut has_input, terminal) = (command.has_input, command.terminal);
        loop {
            let wants_input = has_input || terminal;
            tokio::select! {
                piece = attached.output.next() => match piece.transpose()? {
                    Some(piece) if !streams.write_output(&piece.bytes, piece.is_error) => return Ok(false),
                    Some(_) => {}
                    None => return Ok(true),
                },
                typed = streams.next_input(), if wants_input => match typed {
                    CommandInput::Bytes(bytes) => attached.write_input(&bytes).await,
                    CommandInput::End => {
                        attached.close().await;
                        has_input = false;
                    }
                    CommandInput::Size { rows, columns } => self.resize(&attached.id, rows, columns).await,
                },
            }
        }
    }
}

impl AttachedCommand {
    /// Ignores errors: a command that stops reading exits by itself.
    pub(super) async fn write_input(&mut self, bytes: &[u8]) {
        let _ = self.input.write_all(bytes).await;
        let _ = self.input.flush().await;
    }

    async fn close(&mut self) {
        let _ = self.input.shutdown().await;
    }
}
