//! Logs of a container, and commands in it.

use crate::{
    engine::failure,
    plugins::{
        Answer, Shell,
        docker::drive::{engine::Engine, engines::Engines},
    },
    seam::{Command, Excerpt, Failure, Log, Reached, Streams, Typed},
};
use futures_util::{StreamExt as _, TryStreamExt as _};
use serde_json::json;
use std::{
    pin::Pin,
    time::{Duration, Instant},
};
use tokio::io::{AsyncWrite, AsyncWriteExt as _};

/// Longest time for a command to exit after its output has ended.
const ENDING: Duration = Duration::from_secs(5);

impl Shell for Engines {
    fn has<'a>(&'a self, place: &'a Reached) -> Answer<'a, bool> {
        Box::pin(async move {
            let engine = self.get(&place.target).await?;
            Ok(engine.inspect(&place.object).await?.is_some())
        })
    }

    fn run<'a>(
        &'a self,
        place: &'a Reached,
        command: &'a Command,
        streams: &'a mut dyn Streams,
    ) -> Answer<'a, Option<i64>> {
        Box::pin(async move {
            let engine = self.get(&place.target).await?;
            let attached = engine.attach(&place.object, command).await?;
            let id = attached.id.clone();
            if engine.pass_on(attached, command, streams).await? {
                engine.exit_code(&id).await.map(Some)
            } else {
                Ok(None)
            }
        })
    }

    fn log<'a>(&'a self, place: &'a Reached, excerpt: Excerpt) -> Answer<'a, Log> {
        Box::pin(async move {
            let engine = self.get(&place.target).await?;
            engine.excerpt(&place.object, excerpt).await
        })
    }
}

/// Running command.
struct Attached {
    id: String,
    /// Its output.
    output: Log,
    /// Its input.
    input: Pin<Box<dyn AsyncWrite + Send>>,
}

impl Engine {
    /// Returns a part of the log of a container.
    async fn excerpt(&self, id: &str, excerpt: Excerpt) -> Result<Log, Failure> {
        let query = [
            ("since", excerpt.since.unwrap_or_default().to_string()),
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
            .logs(id, &query, (container.is_terminal(), excerpt.follow));
        Ok(pieces
            .map_err(|error| failure(&error, "reading the log"))
            .boxed())
    }

    /// Starts a command in a container.
    async fn attach(&self, id: &str, command: &Command) -> Result<Attached, Failure> {
        let config = json!({
            "Cmd": command.words,
            "Env": command.environment,
            "User": command.user.clone().unwrap_or_default(),
            "WorkingDir": command.folder.clone().unwrap_or_default(),
            "Tty": command.terminal,
            "AttachStdin": command.input,
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
        Ok(Attached {
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
        let asked = Instant::now();
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
                None if asked.elapsed() < ENDING => {
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
    async fn pass_on(
        &self,
        mut attached: Attached,
        command: &Command,
        streams: &mut dyn Streams,
    ) -> Result<bool, Failure> {
        let (mut reads, terminal) = (command.input, command.terminal);
        loop {
            let asks = reads || terminal;
            tokio::select! {
                piece = attached.output.next() => match piece.transpose()? {
                    Some(piece) if !streams.written(&piece.bytes, piece.is_error) => return Ok(false),
                    Some(_) => {}
                    None => return Ok(true),
                },
                typed = streams.typed(), if asks => match typed {
                    Typed::Bytes(bytes) => attached.feed(&bytes).await,
                    Typed::End => {
                        attached.close().await;
                        reads = false;
                    }
                    Typed::Size { rows, columns } => self.resize(&attached.id, rows, columns).await,
                },
            }
        }
    }
}

impl Attached {
    /// Ignores errors: a command that stops reading exits by itself.
    async fn feed(&mut self, bytes: &[u8]) {
        let _ = self.input.write_all(bytes).await;
        let _ = self.input.flush().await;
    }

    async fn close(&mut self) {
        let _ = self.input.shutdown().await;
    }
}
