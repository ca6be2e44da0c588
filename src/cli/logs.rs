//! `dockctl logs`.

use super::{
    Outcome,
    args::{Global, LogsArgs},
    error::CliError,
    print_result, runtime, selection,
    terminal::Terminal,
};
use crate::{
    operate::{
        Workspace,
        target::{InstanceObject, require_object, targets},
    },
    seam::LogOptions,
    secrets::Secrets,
};
use futures_util::{StreamExt as _, stream::SelectAll};
use serde_json::{Value as Json, json};
use std::time::SystemTime;

/// Colors of instance IDs, from the palette of 256: readable on light and dark backgrounds, and
/// unlike the color of errors.
const COLORS: [u8; 6] = [33, 166, 35, 133, 37, 99];

/// Length in bytes above which an unfinished line is shown in parts.
const MAX_HELD_LINE: usize = 64 << 10;

/// Shows container logs.
pub(crate) fn logs(global: &Global, args: &LogsArgs) -> Result<Outcome, CliError> {
    let terminal = Terminal::new(global);
    let workspace = terminal.workspace()?;
    let name = selection::name_to_read(&workspace, args.instances.deployment.as_deref())?;
    workspace.supply_inputs(&args.inputs.inputs)?;
    let record = workspace.record(&name)?;
    let targets = targets(&workspace, &record, &args.instances.instances)?;
    record
        .deployment
        .iter()
        .for_each(|deployment| workspace.secrets.register_all(&json!(deployment)));
    if workspace.secrets.lacks_secrets() {
        let how = "pass them with -i NAME=VALUE or --secrets PATH";
        super::warn(&format!(
            "this command cannot redact sensitive values that it does not know; {how}"
        ));
    }
    let since = args.since.as_deref().map(since).transpose()?;
    let excerpt = LogOptions {
        follow: args.follow,
        since,
        tail: args.tail,
        timestamps: args.timestamps,
    };
    runtime()?.block_on(async {
        let signals = workspace.caller.stop_requests()?;
        tokio::select! {
            // Once there is output, `show` handles the request to stop, and completes it.
            biased;
            shown = show(global, (&workspace, &name), &targets, (excerpt, args.no_prefix)) => shown,
            // Before that, the command ends at once.
            () = signals.wait_for_stop() => Ok(Outcome::silent()),
        }
    })
}

/// Parses an age such as `10m`, or a time such as 2026-01-31T12:00:00Z.
fn since(text: &str) -> Result<i32, CliError> {
    let ago = humantime::parse_duration(text)
        .ok()
        .and_then(|ago| SystemTime::now().checked_sub(ago));
    let at = ago.or_else(|| humantime::parse_rfc3339_weak(text).ok());
    let seconds = at
        .and_then(|at| at.duration_since(SystemTime::UNIX_EPOCH).ok())
        .and_then(|since| i32::try_from(since.as_secs()).ok());
    seconds.ok_or_else(|| {
        CliError::usage(format!("`{text}` is not a valid time"))
            .hint("use 10m, 2h, or a time such as 2026-01-31T12:00:00Z")
    })
}

async fn show(
    global: &Global,
    (workspace, name): (&Workspace<'_>, &str),
    targets: &[InstanceObject],
    (excerpt, bare): (LogOptions, bool),
) -> Result<Outcome, CliError> {
    let systems = workspace.connect()?;
    let width = targets
        .iter()
        .map(|target| target.instance.len())
        .max()
        .unwrap_or_default();
    let mut sources: Vec<Source> = Vec::new();
    let mut all = SelectAll::new();
    for (at, target) in targets.iter().enumerate() {
        let prefix = if bare || targets.len() == 1 {
            String::new()
        } else {
            prefix(global, at, &target.instance, width)
        };
        sources.push(Source {
            prefix,
            instance: target.instance.clone(),
            pending: Vec::new(),
        });
        let shell = systems.drivers().shell(&target.reached)?;
        require_object(shell, target, name).await?;
        let pieces = shell.log(&target.reached, excerpt).await?;
        all.push(pieces.map(move |piece| (at, piece)).boxed());
    }
    let signals = workspace.caller.stop_requests()?;
    let mut shown = LogWriter::new(global, workspace, sources);
    let mut failed = None;
    loop {
        let piece = tokio::select! {
            piece = all.next() => piece,
            () = signals.wait_for_stop() => None,
        };
        let Some((at, piece)) = piece else { break };
        let is_read = match piece {
            Ok(piece) => shown.receive(at, &piece.bytes),
            Err(failure) => {
                failed = Some(CliError::from(failure));
                break;
            }
        };
        if !is_read {
            break;
        }
    }
    Ok(shown.finish(failed))
}

/// A container, and the unfinished part of its current line.
struct Source {
    prefix: String,
    instance: String,
    pending: Vec<u8>,
}

/// Writes log lines as they arrive, including parts of unfinished lines.
struct LogWriter<'a> {
    global: &'a Global,
    workspace: &'a Workspace<'a>,
    sources: Vec<Source>,
    /// Source whose current line is partly written.
    open_source: Option<usize>,
    /// Number of bytes to hold back, because they may be the start of a secret.
    held_back: usize,
    is_json: bool,
    is_first: bool,
}

impl<'a> LogWriter<'a> {
    fn new(global: &'a Global, workspace: &'a Workspace<'a>, sources: Vec<Source>) -> Self {
        let is_json = global.output == super::args::Output::Json;
        if is_json {
            print_result(&format!(
                "{{\"format\": {}, \"kind\": \"logs\", \"lines\": [",
                super::FORMAT
            ));
        }
        let back = workspace.secrets.longest_length().saturating_sub(1);
        Self {
            global,
            workspace,
            sources,
            open_source: None,
            held_back: back,
            is_json,
            is_first: true,
        }
    }

    /// Writes complete lines, and parts of long ones. Returns false if the reader is gone.
    fn receive(&mut self, at: usize, bytes: &[u8]) -> bool {
        let source = &mut self.sources[at];
        let before = source.pending.len();
        source.pending.extend_from_slice(bytes);
        let end = bytes
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map(|end| before + end + 1);
        let is_read = match end {
            Some(end) => {
                let complete: Vec<u8> = source.pending.drain(..end).collect();
                self.write(at, &String::from_utf8_lossy(&complete))
            }
            None => true,
        };
        is_read && (self.sources[at].pending.len() <= MAX_HELD_LINE || self.receive_part(at))
    }

    /// Writes a part of an unfinished line.
    fn receive_part(&mut self, at: usize) -> bool {
        let rest = std::mem::take(&mut self.sources[at].pending);
        let (text, kept) = split_unfinished(&rest, &self.workspace.secrets, self.held_back);
        self.sources[at].pending = kept;
        self.write_part(at, &text)
    }

    fn write(&mut self, at: usize, text: &str) -> bool {
        let text = self.workspace.secrets.redact(text);
        text.lines()
            .map(|line| line.trim_end_matches('\r'))
            .all(|line| self.write_line(at, line))
    }

    /// Writes a line, or the rest of a partly written line.
    fn write_line(&mut self, at: usize, line: &str) -> bool {
        if self.is_json {
            return self
                .write_entry(&json!({ "instance": self.sources[at].instance, "line": line }));
        }
        let begin = self.line_start(at);
        self.open_source = None;
        print_result(&format!("{begin}{line}\n"))
    }

    fn write_part(&mut self, at: usize, text: &str) -> bool {
        if self.is_json {
            return self.write_entry(
                &json!({ "instance": self.sources[at].instance, "line": text, "continues": true }),
            );
        }
        let begin = self.line_start(at);
        self.open_source = Some(at);
        print_result(&format!("{begin}{text}"))
    }

    /// Returns the text before the next output of a source: empty if its own line is partly
    /// written, starting with a line break if the line of another source is.
    fn line_start(&self, at: usize) -> String {
        match self.open_source {
            Some(open) if open == at => String::new(),
            Some(_) => format!("\n{}", self.sources[at].prefix),
            None => self.sources[at].prefix.clone(),
        }
    }

    fn write_entry(&mut self, entry: &Json) -> bool {
        let between = if std::mem::take(&mut self.is_first) {
            "\n"
        } else {
            ",\n"
        };
        print_result(&format!("{between}{entry}"))
    }

    /// Writes the rest of unfinished lines, and the result.
    fn finish(mut self, failed: Option<CliError>) -> Outcome {
        for at in 0..self.sources.len() {
            let rest = std::mem::take(&mut self.sources[at].pending);
            if !rest.is_empty() || self.open_source == Some(at) {
                let text = String::from_utf8_lossy(&rest).into_owned();
                self.write(at, if text.is_empty() { "\n" } else { &text });
            }
        }
        if self.is_json {
            let error = failed
                .as_ref()
                .map(|error| format!(", \"error\": {}", error.to_json()))
                .unwrap_or_default();
            print_result(&format!("\n], \"ok\": {}{error}}}\n", failed.is_none()));
        }
        let exit = failed.map_or(0, |error| {
            super::print_error(&error.to_text(super::color_stderr(self.global)));
            error.exit_code()
        });
        Outcome {
            is_written: true,
            exit,
            ..Outcome::new(json!({}), "")
        }
    }
}

/// Splits an unfinished line into text to show and bytes to hold back: the `back` last ones, which
/// may be the start of a secret, and an incomplete character.
fn split_unfinished(rest: &[u8], secrets: &Secrets, back: usize) -> (String, Vec<u8>) {
    let whole = match std::str::from_utf8(rest) {
        // An incomplete character at the end is not an error.
        Err(error) if error.error_len().is_none() => error.valid_up_to(),
        _ => rest.len(),
    };
    let mut text = secrets.redact(&String::from_utf8_lossy(&rest[..whole]));
    let end = text.floor_char_boundary(text.len().saturating_sub(back));
    let kept = text.split_off(end);
    (text, [kept.as_bytes(), &rest[whole..]].concat())
}

fn prefix(global: &Global, at: usize, instance: &str, width: usize) -> String {
    let name = format!("{instance:<width$} | ");
    if super::color_stdout(global) {
        format!("\x1b[38;5;{}m{name}\x1b[0m", COLORS[at % COLORS.len()])
    } else {
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Wherever a line is cut, secrets are redacted and characters stay complete.
    #[test]
    fn secrets_are_redacted_wherever_a_line_is_cut() {
        let secrets = Secrets::default();
        secrets.register("glass-horse");
        let line = "aä glass-horse öö glass-horse.";
        for at in 1..line.len() {
            let (mut rest, mut shown) = (Vec::new(), String::new());
            for piece in line.as_bytes().chunks(at) {
                rest.extend_from_slice(piece);
                let (text, kept) = split_unfinished(&rest, &secrets, secrets.longest_length() - 1);
                shown += &text;
                rest = kept;
            }
            shown += &secrets.redact(std::str::from_utf8(&rest).unwrap());
            assert_eq!(shown, "aä ******** öö ********.", "{at}");
        }
    }

    #[test]
    fn since_accepts_ages_and_times() {
        let now = i32::try_from(
            SystemTime::now()
                .duration_since(SystemTime::UNIX_EPOCH)
                .unwrap()
                .as_secs(),
        )
        .unwrap();
        let ago = since("10m").unwrap();
        assert!((now - 600 - ago).abs() <= 1, "{ago}");
        assert_eq!(since("1970-01-01T00:01:00Z").unwrap(), 60);
        assert_eq!(
            since("yesterday").unwrap_err().error.message,
            "`yesterday` is not a valid time"
        );
    }
}
