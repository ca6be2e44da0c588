//! Scripts that run inside of a container, over its engine.

mod relay;

use super::{local::WRAPPER, log::OperationLog, server::Handler};
use crate::{
    plugins::{
        StepShell,
        script::declare::environment::{Process, shell_word},
    },
    seam::{Command, CommandInput, Failure, Streams},
};
use bytes::Bytes;
use futures_util::Stream;
use relay::Relay;
use std::{future::Future, io, pin::Pin, time::Duration};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_util::io::StreamReader;

const PREPARE: &str = include_str!("prepare.sh");
const RELAY: &str = include_str!("relay.sh");
const SETTLE: &str = include_str!("settle.sh");
const CTX: &str = include_str!("ctx");
/// Directory in containers for the directories of runs.
const DIRECTORY: &str = "/tmp";
/// Longest wait for the processes of an earlier run to end.
const END_TIMEOUT: Duration = Duration::from_secs(10);
const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// A run inside of a container.
pub(super) struct ContainerRun<'a> {
    shell: StepShell<'a>,
    /// Directory in the container.
    path: String,
}

impl<'a> ContainerRun<'a> {
    /// `id` names the run; a later process finds it by this name.
    pub(super) fn new(shell: StepShell<'a>, id: &str) -> Self {
        Self {
            shell,
            path: format!("{DIRECTORY}/dockctl-{id}"),
        }
    }

    /// Creates the directory and copies the script into it. Returns its path.
    ///
    /// # Errors
    ///
    /// If the image lacks a program, or the container cannot be used.
    pub(super) async fn prepare(
        &self,
        (name, content): (&str, &[u8]),
        ctx_sh: &str,
    ) -> Result<String, Failure> {
        self.remove().await;
        let done = self
            .call(PREPARE, &[&self.path, name, CTX, ctx_sh], content)
            .await?;
        let error = done.error.trim();
        match done.code {
            Some(0) => Ok(format!("{}/script/{name}", self.path)),
            Some(3) => Err(Failure::fatal(format!(
                "the script cannot run in its container: {error}"
            ))
            .hint("use an image with these programs, or remove `process.container`")),
            _ => Err(Failure::fatal(format!(
                "the script cannot be copied into its container: {error}"
            ))
            .temporary()),
        }
    }

    /// Runs a command and serves its `ctx`. Returns its exit code.
    pub(super) async fn run(
        &self,
        (process, command): (&Process, &str),
        variables: Vec<(String, String)>,
        (log, handler): (&OperationLog<'_>, &dyn Handler),
    ) -> Result<i32, Failure> {
        let command = self.command((process, command), variables);
        let (mut streams, out, error) = OutputStreams::open();
        let relay = Relay::new(&self.shell, &self.path, RELAY, handler);
        let output = log.follow(process, Some(out), Some(error));
        let script = async {
            let ran = self
                .shell
                .shell
                .run(self.shell.place, &command, &mut streams)
                .await;
            drop(streams);
            ran
        };
        let all = async { tokio::join!(script, output).0 };
        let mut all = std::pin::pin!(all);
        let code = tokio::select! {
            ended = relay.serve() => ended?,
            ran = &mut all => return ran.map(exit_code),
        };
        log.await_end(all).await;
        Ok(code)
    }

    /// Returns the command that the engine runs: the wrapper with the command of the script.
    fn command(
        &self,
        (process, command): (&Process, &str),
        variables: Vec<(String, String)>,
    ) -> Command {
        let bin = format!("{}/bin", self.path);
        let cwd = process
            .cwd
            .iter()
            .map(|cwd| format!("cd {} && ", shell_word(cwd)));
        let cwd: String = cwd.collect();
        // The engine searches the shell itself in the PATH of the environment.
        let (path, variables): (Vec<_>, Vec<_>) =
            variables.into_iter().partition(|(name, _)| name == "PATH");
        let path = path
            .last()
            .map_or_else(|| "$PATH".to_owned(), |(_, path)| shell_word(path));
        let command = format!(
            "PATH={}:{path}; export PATH; {cwd}{command}",
            shell_word(&bin)
        );
        let merge = if process.merges_errors { "merge" } else { "" };
        let arguments = ["sh", "-c", WRAPPER, "dockctl", &self.path, &command, merge];
        Command {
            arguments: arguments.map(str::to_owned).to_vec(),
            environment: variables
                .iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect(),
            has_input: true,
            ..Command::default()
        }
    }

    /// Writes a copy of a resource in the container, and returns its path.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub(super) async fn write_copy(
        &self,
        name: &str,
        content: &[u8],
        target: Option<&str>,
    ) -> Result<String, String> {
        let unique: String = std::iter::repeat_with(fastrand::alphanumeric)
            .take(8)
            .collect();
        let path = target.map_or_else(|| format!("{DIRECTORY}/{unique}-{name}"), str::to_owned);
        let done = self.call("cat >\"$1\"", &[&path], content).await;
        let done = done.map_err(|failure| failure.message)?;
        match done.code {
            Some(0) => Ok(path),
            _ => Err(done.error.trim().to_owned()),
        }
    }

    /// Returns how a run ended whose dockctl has gone: its exit code, if it is known.
    pub(super) async fn settle(&self) -> Result<Settlement, Failure> {
        let deadline = tokio::time::Instant::now() + END_TIMEOUT;
        loop {
            let done = self.call(SETTLE, &[&self.path], b"").await?;
            let shown = done.out.trim().to_owned();
            match shown.split_once(' ') {
                Some(("code", code)) => {
                    return Ok(code.parse().map_or(Settlement::Unknown, Settlement::Ended));
                }
                _ if shown == "none" => return Ok(Settlement::NotBegun),
                _ if shown != "running" => return Ok(Settlement::Unknown),
                _ if tokio::time::Instant::now() > deadline => {
                    return Err(Failure::fatal(
                        "the script of an earlier run is still running in its container",
                    )
                    .hint("wait for it, or end it"));
                }
                _ => tokio::time::sleep(POLL_INTERVAL).await,
            }
        }
    }

    /// Removes the directory.
    pub(super) async fn remove(&self) {
        // What cannot be removed now goes with the container.
        let _ = self.call("rm -rf \"$1\"", &[&self.path], b"").await;
    }

    /// Runs a shell script with this standard input.
    async fn call(
        &self,
        script: &str,
        arguments: &[&str],
        input: &[u8],
    ) -> Result<Called, Failure> {
        let words = ["sh", "-c", script, "dockctl"]
            .into_iter()
            .chain(arguments.iter().copied());
        let command = Command {
            arguments: words.map(str::to_owned).collect(),
            has_input: true,
            ..Command::default()
        };
        let mut streams = CallStreams {
            input: vec![CommandInput::End, CommandInput::Bytes(input.to_vec())],
            called: Called::default(),
        };
        let code = self
            .shell
            .shell
            .run(self.shell.place, &command, &mut streams)
            .await?;
        Ok(Called {
            code,
            ..streams.called
        })
    }
}

/// How a run ended whose dockctl has gone.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Settlement {
    NotBegun,
    Ended(i32),
    Unknown,
}

fn exit_code(code: Option<i64>) -> i32 {
    code.and_then(|code| i32::try_from(code).ok()).unwrap_or(1)
}

/// The result of a command.
#[derive(Default)]
struct Called {
    code: Option<i64>,
    out: String,
    error: String,
}

/// Longest output of a command of dockctl itself, in bytes.
const MAX_OUTPUT: usize = 64 << 10;

struct CallStreams {
    /// Inputs, the last first.
    input: Vec<CommandInput>,
    called: Called,
}

impl Streams for CallStreams {
    fn write_output(&mut self, bytes: &[u8], is_error: bool) -> bool {
        let text = if is_error {
            &mut self.called.error
        } else {
            &mut self.called.out
        };
        *text += &String::from_utf8_lossy(bytes);
        text.len() < MAX_OUTPUT
    }

    fn next_input<'a>(&'a mut self) -> Pin<Box<dyn Future<Output = CommandInput> + 'a>> {
        match self.input.pop() {
            Some(input) => Box::pin(std::future::ready(input)),
            None => Box::pin(std::future::pending()),
        }
    }
}

type Pieces = UnboundedSender<io::Result<Bytes>>;

/// Forwards the output of a script. Its input stays open, and is empty.
struct OutputStreams {
    out: Pieces,
    error: Pieces,
}

impl OutputStreams {
    fn open() -> (
        Self,
        impl tokio::io::AsyncRead + Unpin,
        impl tokio::io::AsyncRead + Unpin,
    ) {
        let (out, out_pieces) = unbounded_channel();
        let (error, error_pieces) = unbounded_channel();
        let streams = Self { out, error };
        (streams, reader(out_pieces), reader(error_pieces))
    }
}

fn reader(pieces: UnboundedReceiver<io::Result<Bytes>>) -> impl tokio::io::AsyncRead + Unpin {
    StreamReader::new(Box::pin(stream(pieces)))
}

fn stream(pieces: UnboundedReceiver<io::Result<Bytes>>) -> impl Stream<Item = io::Result<Bytes>> {
    futures_util::stream::unfold(pieces, |mut pieces| async move {
        pieces.recv().await.map(|piece| (piece, pieces))
    })
}

impl Streams for OutputStreams {
    fn write_output(&mut self, bytes: &[u8], is_error: bool) -> bool {
        let pieces = if is_error { &self.error } else { &self.out };
        pieces.send(Ok(Bytes::copy_from_slice(bytes))).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_that_the_image_lacks_are_named() {
        let directory = tempfile::tempdir().unwrap();
        for name in ["mkdir", "head", "wc", "cat", "chmod", "mv", "rm", "sleep"] {
            std::fs::write(directory.path().join(name), "").unwrap();
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
            std::fs::set_permissions(directory.path().join(name), mode).unwrap();
        }
        let run = directory.path().join("run");
        let prepared = std::process::Command::new("/bin/sh")
            .args([
                "-c",
                PREPARE,
                "dockctl",
                &run.display().to_string(),
                "s.sh",
                "",
                "",
            ])
            .env("PATH", directory.path())
            .output()
            .unwrap();
        assert_eq!(prepared.status.code(), Some(3));
        assert_eq!(
            String::from_utf8_lossy(&prepared.stderr),
            "the image lacks: mkfifo"
        );
    }
}
