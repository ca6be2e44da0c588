//! What people want of a container that runs: what it writes, and a command in it.

use crate::{
    engine::{Piece, failure},
    plugins::docker::drive::engine::Engine,
    seam::{Command, Failure, Streams},
};
use futures_util::{Stream, StreamExt as _, TryStreamExt as _};
use serde_json::json;
use std::{
    pin::Pin,
    time::{Duration, Instant},
};
use tokio::io::{AsyncWrite, AsyncWriteExt as _};

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

/// A command that runs.
pub struct Attached {
    id: String,
    /// What it writes.
    pub output: Pin<Box<dyn Stream<Item = Result<Piece, Failure>> + Send>>,
    /// What it reads.
    pub input: Pin<Box<dyn AsyncWrite + Send>>,
}

impl Engine {
    /// What a container wrote, in the pieces in which it comes.
    ///
    /// # Errors
    ///
    /// If there is no such container, or the engine does not say.
    pub async fn excerpt(
        &self,
        id: &str,
        excerpt: Excerpt,
    ) -> Result<impl Stream<Item = Result<Piece, Failure>> + Send + use<>, Failure> {
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
            .ok_or_else(|| Failure::fatal(format!("the container {id} is gone")))?;
        let pieces = self
            .client
            .logs(id, &query, (container.is_terminal(), excerpt.follow));
        Ok(pieces.map_err(|error| failure(&error, "reading the log")))
    }

    /// Whether there is a container.
    ///
    /// # Errors
    ///
    /// If the engine does not say.
    pub async fn has_container(&self, id: &str) -> Result<bool, Failure> {
        self.inspect(id).await.map(|found| found.is_some())
    }

    /// Starts a command in a container.
    ///
    /// # Errors
    ///
    /// If the engine refuses.
    pub async fn attach(&self, id: &str, command: &Command) -> Result<Attached, Failure> {
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
            .map_err(|error| failure(&error, "reading what the command writes"))
            .boxed();
        Ok(Attached {
            id: made,
            output,
            input,
        })
    }

    /// Tells a command how large its terminal is.
    pub async fn resize(&self, attached: &str, rows: u16, columns: u16) {
        // A command that ended meanwhile needs no size.
        let size = [("h", rows.to_string()), ("w", columns.to_string())];
        let _ = self
            .client
            .send(&format!("/exec/{attached}/resize"), &size)
            .await;
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
                // What it writes may come to its end a moment before it does.
                None if asked.elapsed() < ENDING => {
                    tokio::time::sleep(Duration::from_millis(50)).await
                }
                None => {
                    return Err(Failure::fatal(
                        "the command writes no more, and does not end",
                    ));
                }
            }
        }
    }
}

impl Attached {
    /// Passes on what the command writes, and what it is to read, until it writes no more.
    ///
    /// # Errors
    ///
    /// If the connection breaks.
    pub(crate) async fn pass_on(
        mut self,
        reads: bool,
        streams: &mut dyn Streams,
    ) -> Result<(), Failure> {
        let mut reads = reads;
        loop {
            let typed = async {
                if reads {
                    streams.typed().await
                } else {
                    std::future::pending().await
                }
            };
            tokio::select! {
                piece = self.output.next() => match piece {
                    Some(piece) => {
                        let piece = piece?;
                        streams.written(&piece.bytes, piece.is_error);
                    }
                    None => return Ok(()),
                },
                bytes = typed => {
                    reads = bytes.is_some();
                    // A command that reads no more ends by itself.
                    let _ = match bytes {
                        Some(bytes) => self.input.write_all(&bytes).await,
                        None => self.input.shutdown().await,
                    };
                    let _ = self.input.flush().await;
                }
            }
        }
    }

    /// What the engine calls it.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }
}
