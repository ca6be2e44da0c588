//! `dockctl exec`.

use super::{
    Outcome,
    args::{ExecArgs, Global},
    error::{CliError, Kind},
    runtime, selection,
    terminal::Terminal,
};
use crate::{
    operate::target::{require_object, targets},
    seam::{Command, CommandInput, Streams},
};
use rustix::termios::{OptionalActions, Termios, isatty, tcgetattr, tcgetwinsize, tcsetattr};
use serde_json::json;
use std::{
    future::Future,
    io::{Write as _, stderr, stdin, stdout},
    pin::Pin,
};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::mpsc::{self, Receiver},
};

/// Exit code if dockctl itself fails, as in the docker command.
pub(crate) const DOCKCTL_FAILED: u8 = 125;
/// Exit code if the output has no reader: that of a program killed by SIGPIPE.
const OUTPUT_CLOSED: u8 = 141;

/// Runs a command in the container of an instance, and exits with its exit code.
pub(crate) fn exec(global: &Global, args: &ExecArgs) -> Result<Outcome, CliError> {
    let terminal = Terminal::new(global);
    let workspace = terminal.workspace()?;
    let name = selection::name(&workspace, args.deployment.as_deref())?;
    let record = workspace.record(&name)?;
    let found = targets(&workspace, &record, std::slice::from_ref(&args.instance))?;
    let [target] = &found[..] else {
        let ids: Vec<&str> = found
            .iter()
            .map(|target| target.instance.as_str())
            .collect();
        let error = CliError::usage(format!("`{}` has several instances", args.instance));
        return Err(error.hint(format!("name one of them: {}", ids.join(", "))));
    };
    let terminal = args.tty || (!args.no_tty && isatty(stdin()) && isatty(stdout()));
    let forwards_input = args.interactive || (terminal && isatty(stdin()));
    let command = Command {
        arguments: args.command.clone(),
        environment: args
            .environment
            .iter()
            .filter_map(|variable| environment_entry(variable))
            .collect(),
        user: args.user.clone(),
        working_dir: args.workdir.clone(),
        terminal,
        has_input: forwards_input,
    };
    let code = runtime()?.block_on(async {
        let systems = workspace.connect()?;
        let shell = systems.drivers().shell(&target.reached)?;
        require_object(shell, target, &name).await?;
        let mut here = LocalStreams::new(&command)?;
        Ok::<_, CliError>(shell.run(&target.reached, &command, &mut here).await?)
    })?;
    let exit = match code {
        // The output has no reader. The command keeps running in its container.
        None => OUTPUT_CLOSED,
        Some(code) => u8::try_from(code)
            .map_err(|_| CliError::new(Kind::Failed, format!("invalid exit code {code}")))?,
    };
    Ok(Outcome {
        is_written: true,
        exit,
        ..Outcome::new(json!({}), "")
    })
}

/// Returns a variable as `NAME=VALUE`. A name alone is looked up in the environment of dockctl.
fn environment_entry(variable: &str) -> Option<String> {
    match std::env::var(variable) {
        _ if variable.contains('=') => Some(variable.to_owned()),
        Ok(value) => Some(format!("{variable}={value}")),
        Err(_) => None,
    }
}

/// Standard input and output of this process, and the size of its terminal.
struct LocalStreams {
    typed: Option<Receiver<Vec<u8>>>,
    resized: Signal,
    /// The command has a terminal, and needs its size.
    terminal: bool,
    is_size_sent: bool,
    _raw: Option<Raw>,
}

impl LocalStreams {
    fn new(command: &Command) -> Result<Self, CliError> {
        let resized = signal(SignalKind::window_change()).map_err(|error| {
            CliError::new(Kind::Failed, format!("cannot listen for signals: {error}"))
        })?;
        Ok(Self {
            typed: command.has_input.then(read_stdin),
            resized,
            terminal: command.terminal,
            is_size_sent: false,
            _raw: command.terminal.then(Raw::new).flatten(),
        })
    }

    async fn next(&mut self) -> CommandInput {
        if self.terminal
            && !std::mem::replace(&mut self.is_size_sent, true)
            && let Some(size) = size()
        {
            return size;
        }
        loop {
            tokio::select! {
                bytes = next_input(&mut self.typed) => return self.read(bytes),
                _ = self.resized.recv() => if let Some(size) = size().filter(|_| self.terminal) {
                    return size;
                },
            }
        }
    }

    fn read(&mut self, bytes: Option<Vec<u8>>) -> CommandInput {
        if bytes.is_none() {
            self.typed = None;
        }
        match bytes {
            Some(bytes) => CommandInput::Bytes(bytes),
            // A terminal has no end of input: send Ctrl-D.
            None if self.terminal => CommandInput::Bytes(b"\x04".to_vec()),
            None => CommandInput::End,
        }
    }
}

impl Streams for LocalStreams {
    fn write_output(&mut self, bytes: &[u8], is_error: bool) -> bool {
        let written = if is_error {
            stderr().write_all(bytes).and_then(|()| stderr().flush())
        } else {
            stdout().write_all(bytes).and_then(|()| stdout().flush())
        };
        written.is_ok()
    }

    fn next_input<'a>(&'a mut self) -> Pin<Box<dyn Future<Output = CommandInput> + 'a>> {
        Box::pin(self.next())
    }
}

fn size() -> Option<CommandInput> {
    let size = tcgetwinsize(stdout()).ok()?;
    Some(CommandInput::Size {
        rows: size.ws_row,
        columns: size.ws_col,
    })
}

/// Returns standard input, read by a separate thread: a blocking read cannot be cancelled.
fn read_stdin() -> Receiver<Vec<u8>> {
    let (send, receive) = mpsc::channel(8);
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(read) = std::io::Read::read(&mut stdin(), &mut buffer) {
            if read == 0 || send.blocking_send(buffer[..read].to_vec()).is_err() {
                return;
            }
        }
    });
    receive
}

/// Returns the next bytes of input; `None` at its end. Does not return if input is not read.
async fn next_input(typed: &mut Option<Receiver<Vec<u8>>>) -> Option<Vec<u8>> {
    match typed {
        Some(typed) => typed.recv().await,
        None => std::future::pending().await,
    }
}

/// Raw mode of the terminal on standard input. Dropping it restores the previous mode.
struct Raw(Termios);

impl Raw {
    fn new() -> Option<Self> {
        let before = tcgetattr(stdin()).ok()?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(stdin(), OptionalActions::Now, &raw).ok()?;
        Some(Self(before))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        let _ = tcsetattr(stdin(), OptionalActions::Now, &self.0);
    }
}
