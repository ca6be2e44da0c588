//! `dockctl exec`.

use super::{
    Outcome,
    args::{ExecArgs, Global},
    error::{CliError, Kind},
    target::{engine, require, targets},
    workspace::Workspace,
};
use crate::{engine::Piece, plugins::docker::drive::engine::Engine, seam::Command};
use futures_util::StreamExt as _;
use rustix::termios::{OptionalActions, Termios, isatty, tcgetattr, tcgetwinsize, tcsetattr};
use serde_json::json;
use std::io::{Write as _, stderr, stdin, stdout};
use tokio::{
    io::AsyncWriteExt as _,
    signal::unix::{SignalKind, signal},
};

/// Exit code of a fault of dockctl's own, as the docker command has it.
pub(crate) const OWN_FAULT: u8 = 125;

/// Runs a command in the container of an instance, and ends as that ends.
pub(crate) fn exec(global: &Global, args: &ExecArgs) -> Result<Outcome, CliError> {
    let workspace = Workspace::new(global)?;
    let name = workspace.name(args.deployment.as_deref())?;
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
    let passes_on = args.interactive || (terminal && isatty(stdin()));
    let command = Command {
        words: args.command.clone(),
        environment: args
            .environment
            .iter()
            .filter_map(|variable| given(variable))
            .collect(),
        user: args.user.clone(),
        folder: args.workdir.clone(),
        terminal,
        input: passes_on,
    };
    let code = Workspace::runtime()?.block_on(async {
        let engines = workspace.engines()?;
        let engine = engine(&engines, target).await?;
        require(&engine, target, &name).await?;
        run(&engine, &target.container, &command).await
    })?;
    let exit = u8::try_from(code)
        .map_err(|_| CliError::new(Kind::Failed, format!("the command ended with {code}")))?;
    Ok(Outcome {
        silent: true,
        exit,
        ..Outcome::new(json!({}), "")
    })
}

/// A variable as it is passed on: one without a value has the one that it has here, if it has any.
fn given(variable: &str) -> Option<String> {
    match std::env::var(variable) {
        _ if variable.contains('=') => Some(variable.to_owned()),
        Ok(value) => Some(format!("{variable}={value}")),
        Err(_) => None,
    }
}

async fn run(engine: &Engine, container: &str, command: &Command) -> Result<i64, CliError> {
    let mut attached = engine.attach(container, command).await?;
    let raw = command.terminal.then(Raw::new).flatten();
    let id = attached.id().to_owned();
    if command.terminal {
        resize(engine, &id).await;
    }
    let cannot = |error: std::io::Error| {
        CliError::new(Kind::Failed, format!("cannot listen for signals: {error}"))
    };
    let mut resized = signal(SignalKind::window_change()).map_err(cannot)?;
    let mut typed = command.input.then(typed);
    loop {
        tokio::select! {
            piece = attached.output.next() => match piece {
                Some(Ok(piece)) => write(&piece),
                _ => break,
            },
            bytes = next(&mut typed) => {
                // A command that reads no more ends by itself.
                let _ = match &bytes {
                    Some(bytes) => attached.input.write_all(bytes).await,
                    // A terminal has no end: it is typed.
                    None if command.terminal => attached.input.write_all(b"\x04").await,
                    None => attached.input.shutdown().await,
                };
                let _ = attached.input.flush().await;
                typed = typed.filter(|_| bytes.is_some());
            },
            _ = resized.recv(), if command.terminal => resize(engine, &id).await,
        }
    }
    drop(raw);
    Ok(engine.exit_code(&id).await?)
}

fn write(piece: &Piece) {
    // A reader that went away is told by the next signal.
    let _ = if piece.is_error {
        stderr()
            .write_all(&piece.bytes)
            .and_then(|()| stderr().flush())
    } else {
        stdout()
            .write_all(&piece.bytes)
            .and_then(|()| stdout().flush())
    };
}

/// What is typed, from a thread of its own: reading a terminal cannot be given up.
fn typed() -> tokio::sync::mpsc::Receiver<Vec<u8>> {
    let (send, receive) = tokio::sync::mpsc::channel(8);
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

/// The next that is typed; none at its end; never, if nothing is read.
async fn next(typed: &mut Option<tokio::sync::mpsc::Receiver<Vec<u8>>>) -> Option<Vec<u8>> {
    match typed {
        Some(typed) => typed.recv().await,
        None => std::future::pending().await,
    }
}

async fn resize(engine: &Engine, id: &str) {
    if let Ok(size) = tcgetwinsize(stdout()) {
        engine.resize(id, size.ws_row, size.ws_col).await;
    }
}

/// A terminal that passes everything on as it is typed, until this is dropped.
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
