//! `dockctl logs`.

use super::{
    Outcome,
    args::{Global, LogsArgs},
    error::{CliError, Kind},
    print_bytes, print_result, runtime, selection,
    terminal::Terminal,
    unseen,
};
use crate::{
    operate::{
        Workspace,
        instance_log::{LogReader, OpenLogs},
        target::{InstanceObject, targets},
    },
    plugins::Drivers,
    printable::{on_one_line, printable_json, printable_lines, printable_output},
    seam::{Failure, FailureKind, LogOptions, Unseen},
    secrets::Secrets,
};
use futures_util::{StreamExt as _, stream::SelectAll};
use serde_json::{Value as Json, json};
use std::{
    borrow::Cow,
    io::{IsTerminal as _, stdout},
    time::{Duration, SystemTime},
};

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
    let options = LogOptions {
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
            shown = show(global, (&workspace, &name), &targets, (options, args)) => shown,
            // Before that, the command ends at once.
            () = signals.wait_for_stop() => Ok(Outcome::silent()),
        }
    })
}

/// Parses an age such as `10m`, or a time such as 2026-01-31T12:00:00Z.
fn since(text: &str) -> Result<Duration, CliError> {
    let ago = humantime::parse_duration(text)
        .ok()
        .and_then(|ago| SystemTime::now().checked_sub(ago));
    let at = ago.or_else(|| humantime::parse_rfc3339_weak(text).ok());
    let since = at.and_then(|at| at.duration_since(SystemTime::UNIX_EPOCH).ok());
    since.ok_or_else(|| {
        CliError::usage(format!("`{text}` is not a valid time"))
            .hint("use 10m, 2h, or a time such as 2026-01-31T12:00:00Z")
    })
}

async fn show(
    global: &Global,
    (workspace, name): (&Workspace<'_>, &str),
    targets: &[InstanceObject],
    (options, args): (LogOptions, &LogsArgs),
) -> Result<Outcome, CliError> {
    let systems = workspace.connect()?;
    let drivers = systems.drivers();
    let is_bare = args.no_prefix || targets.len() == 1;
    let (mut sources, mut missing) = (Vec::new(), Missing::default());
    let (mut all, open) = (SelectAll::new(), OpenLogs::default());
    for (at, target) in targets.iter().enumerate() {
        let place = Place::of(&drivers, target)?;
        if missing.is_silent(&place) {
            continue;
        }
        let reader = LogReader {
            workspace,
            drivers: &drivers,
            deployment: name,
            instance: target.instance.clone(),
            open: open.clone(),
        };
        match reader.open(target.reached.clone(), options).await {
            Ok(pieces) => {
                let source = sources.len();
                all.push(pieces.map(move |piece| (source, piece)));
                sources.push(Source {
                    prefix: if is_bare {
                        String::new()
                    } else {
                        prefix(global, at, &target.instance, width(targets))
                    },
                    place,
                    pending: Vec::new(),
                });
            }
            Err(failure) => missing.add(&place, failure),
        }
    }
    if let (true, Some((_, failure))) = (sources.is_empty(), missing.failures.first()) {
        return Err(only_failure(failure));
    }
    let signals = workspace.caller.stop_requests()?;
    let mut shown = LogWriter::new(global, workspace, sources, args.raw);
    loop {
        let piece = tokio::select! {
            piece = all.next() => piece,
            () = signals.wait_for_stop() => None,
        };
        let Some((at, piece)) = piece else { break };
        match piece {
            Ok(piece) if !shown.receive(at, &piece.bytes) => break,
            Ok(_) => {}
            Err(failure) => missing.add(&shown.sources[at].place, failure),
        }
    }
    Ok(shown.finish(&missing, targets.len()))
}

/// Returns the error if no log can be shown.
fn only_failure(failure: &Failure) -> CliError {
    let mut error = CliError::from(failure.clone());
    if !is_silent(failure) {
        error.error.kind = Kind::Failed;
    }
    error
}

/// Returns true if a failure means that the engine does not respond.
fn is_silent(failure: &Failure) -> bool {
    failure.kind == FailureKind::Unreachable || failure.is_lost()
}

/// Returns the length of the longest instance ID.
fn width(targets: &[InstanceObject]) -> usize {
    let shown = targets.iter().map(|target| shown_name(&target.instance));
    let lengths = shown.map(|name| name.chars().count());
    lengths.max().unwrap_or_default()
}

/// An instance, and its engine.
struct Place {
    instance: String,
    engine: String,
}

impl Place {
    fn of(drivers: &Drivers<'_>, target: &InstanceObject) -> Result<Self, CliError> {
        Ok(Self {
            instance: target.instance.clone(),
            engine: drivers.shell(&target.reached)?.engine_name(&target.reached),
        })
    }
}

/// Instances whose logs cannot be shown, or not to the end.
#[derive(Default)]
struct Missing {
    /// The failures, by instance.
    failures: Vec<(String, Failure)>,
    /// Engines that did not respond.
    unseen: Vec<Unseen>,
}

impl Missing {
    fn add(&mut self, place: &Place, failure: Failure) {
        if is_silent(&failure) && !self.is_silent(place) {
            self.unseen.push(Unseen {
                engine: place.engine.clone(),
                instances: vec![place.instance.clone()],
                reason: failure.clone(),
            });
        }
        self.failures.push((place.instance.clone(), failure));
    }

    /// Returns true if the engine of an instance did not respond, and notes the instance.
    fn is_silent(&mut self, place: &Place) -> bool {
        let mut all = self.unseen.iter_mut();
        let Some(unseen) = all.find(|it| it.engine == place.engine) else {
            return false;
        };
        if !unseen.instances.contains(&place.instance) {
            unseen.instances.push(place.instance.clone());
            let failure = unseen.reason.clone();
            self.failures.push((place.instance.clone(), failure));
        }
        true
    }

    /// Returns the failures on engines that responded.
    fn others(&self) -> impl Iterator<Item = &(String, Failure)> {
        let is_unseen = |id: &String| self.unseen.iter().any(|it| it.instances.contains(id));
        self.failures.iter().filter(move |(id, _)| !is_unseen(id))
    }

    /// Returns the error: of an engine that did not respond, or if none of `number` logs could be
    /// read.
    fn error(&self, number: usize) -> Option<CliError> {
        match &self.failures[..] {
            [] => None,
            [(_, first), ..] if self.failures.len() == number => Some(only_failure(first)),
            _ if self.unseen.is_empty() => None,
            _ => Some(unseen::error(&self.unseen)),
        }
    }

    /// Returns a line for each instance that is missing.
    fn notes(&self) -> String {
        let other = |(id, failure): &(String, Failure)| {
            let reason = on_one_line(&failure.message);
            format!("note: the log of {id} is missing: {reason}\n")
        };
        let unseen = self.unseen.iter().map(unseen::unseen_line);
        unseen.chain(self.others().map(other)).collect()
    }
}

/// How lines are written.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Form {
    Json,
    /// For a terminal: colors, and no other control character.
    Screen,
    /// All bytes as they are, except secrets.
    Bytes,
}

impl Form {
    fn of(global: &Global, raw: bool) -> Self {
        if global.output == super::args::Output::Json {
            Self::Json
        } else if !raw && stdout().is_terminal() {
            Self::Screen
        } else {
            Self::Bytes
        }
    }
}

/// A container, and the unfinished part of its current line.
struct Source {
    prefix: String,
    place: Place,
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
    form: Form,
    is_first: bool,
}

impl<'a> LogWriter<'a> {
    fn new(
        global: &'a Global,
        workspace: &'a Workspace<'a>,
        sources: Vec<Source>,
        raw: bool,
    ) -> Self {
        let form = Form::of(global, raw);
        if form == Form::Json {
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
            form,
            is_first: true,
        }
    }

    /// Writes complete lines, and parts of long ones. Returns false if the reader is gone.
    fn receive(&mut self, at: usize, bytes: &[u8]) -> bool {
        let source = &mut self.sources[at];
        let before = source.pending.len();
        source.pending.extend_from_slice(bytes);
        let end = bytes.iter().rposition(|byte| *byte == b'\n');
        let is_read = match end.map(|end| before + end + 1) {
            Some(end) => {
                let complete: Vec<u8> = source.pending.drain(..end).collect();
                self.write(at, &complete)
            }
            None => true,
        };
        is_read && (self.sources[at].pending.len() <= MAX_HELD_LINE || self.receive_part(at))
    }

    /// Writes a part of an unfinished line.
    fn receive_part(&mut self, at: usize) -> bool {
        let rest = std::mem::take(&mut self.sources[at].pending);
        let (part, kept) = split_unfinished(&rest, &self.workspace.secrets, self.held_back);
        self.sources[at].pending = kept;
        self.write_part(at, &part)
    }

    fn write(&mut self, at: usize, bytes: &[u8]) -> bool {
        let bytes = self.workspace.secrets.redact_bytes(bytes);
        let lines = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
        let mut lines = lines.split(|byte| *byte == b'\n');
        lines.all(|line| self.write_line(at, line))
    }

    /// Writes a line, or the rest of a partly written line.
    fn write_line(&mut self, at: usize, line: &[u8]) -> bool {
        if self.form == Form::Json {
            let text = String::from_utf8_lossy(line);
            let text = text.trim_end_matches('\r');
            let instance = &self.sources[at].place.instance;
            return self.write_entry(&json!({ "instance": instance, "line": text }));
        }
        let begin = self.line_start(at);
        self.open_source = None;
        let end = if self.form == Form::Screen && !self.sources[at].prefix.is_empty() {
            reset_after(line)
        } else {
            ""
        };
        let line = self.shown(line);
        print_bytes(&[begin.as_bytes(), &line, end.as_bytes(), b"\n"].concat())
    }

    fn write_part(&mut self, at: usize, part: &[u8]) -> bool {
        if self.form == Form::Json {
            let text = String::from_utf8_lossy(part);
            let instance = &self.sources[at].place.instance;
            let entry = json!({ "instance": instance, "line": text, "continues": true });
            return self.write_entry(&entry);
        }
        let begin = self.line_start(at);
        self.open_source = Some(at);
        print_bytes(&[begin.as_bytes(), &self.shown(part)].concat())
    }

    fn shown<'l>(&self, line: &'l [u8]) -> Cow<'l, [u8]> {
        match self.form {
            Form::Screen => {
                let text = String::from_utf8_lossy(line);
                Cow::Owned(printable_output(&text).into_bytes())
            }
            Form::Json | Form::Bytes => Cow::Borrowed(line),
        }
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
        print_result(&printable_json(format!("{between}{entry}")))
    }

    /// Writes the rest of unfinished lines, and the result. `number` is the number of requested
    /// logs.
    fn finish(mut self, missing: &Missing, number: usize) -> Outcome {
        for at in 0..self.sources.len() {
            let rest = std::mem::take(&mut self.sources[at].pending);
            if !rest.is_empty() || self.open_source == Some(at) {
                self.write(at, &rest);
            }
        }
        let error = missing.error(number);
        if self.form == Form::Json {
            print_result(&printable_json(json_end(missing, error.as_ref())));
        }
        let is_whole_error = missing.failures.len() == number;
        let notes = if is_whole_error {
            String::new()
        } else {
            missing.notes()
        };
        super::print_error(&notes);
        let exit = error.map_or(0, |error| {
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

/// Returns the end of the JSON document.
fn json_end(missing: &Missing, error: Option<&CliError>) -> String {
    let others = missing.others();
    let others = others.map(|(id, it)| json!({ "instance": id, "reason": it.message }));
    let (others, unseen) = (
        others.collect::<Json>(),
        unseen::unseen_json(&missing.unseen),
    );
    let is_ok = error.is_none();
    let error = error.map(|error| format!(", \"error\": {}", error.to_json()));
    let error = error.unwrap_or_default();
    format!("\n], \"unavailable\": {others}, \"unseen\": {unseen}, \"ok\": {is_ok}{error}}}\n")
}

/// Returns the sequence that ends the colors of a line, if it has any.
fn reset_after(line: &[u8]) -> &'static str {
    if line.contains(&b'\x1b') {
        "\u{1b}[0m"
    } else {
        ""
    }
}

/// Splits an unfinished line into a part to show and bytes to hold back: the `back` last ones, which
/// may be the start of a secret, and an incomplete character.
fn split_unfinished(rest: &[u8], secrets: &Secrets, back: usize) -> (Vec<u8>, Vec<u8>) {
    let whole = match std::str::from_utf8(rest) {
        // An incomplete character at the end is not an error.
        Err(error) if error.error_len().is_none() => error.valid_up_to(),
        _ => rest.len(),
    };
    let mut part = secrets.redact_bytes(&rest[..whole]);
    let mut end = part.len().saturating_sub(back);
    let is_inside_character = |byte: Option<&u8>| byte.is_some_and(|byte| byte & 0xc0 == 0x80);
    while end > 0 && is_inside_character(part.get(end)) {
        end -= 1;
    }
    let kept = part.split_off(end);
    (part, [&kept, &rest[whole..]].concat())
}

/// Returns the name of an instance before its lines, escaped for terminals and pipelines.
fn shown_name(instance: &str) -> String {
    printable_lines(&on_one_line(instance))
}

fn prefix(global: &Global, at: usize, instance: &str, width: usize) -> String {
    let name = format!("{:<width$} | ", shown_name(instance));
    if super::color_stdout(global) {
        format!("\x1b[38;5;{}m{name}\x1b[0m", COLORS[at % COLORS.len()])
    } else {
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_before_lines_are_no_commands() {
        let shown = shown_name("w\u{1b}[31m\n::error::x");
        assert_eq!(shown, "w\\u{1b}[31m / ::error::x");
        assert_eq!(shown_name("::error::x"), "| ::error::x");
    }

    /// Wherever a line is cut, secrets are redacted and characters stay complete.
    #[test]
    fn secrets_are_redacted_wherever_a_line_is_cut() {
        let secrets = Secrets::default();
        secrets.register("glass-horse");
        let line = "aä glass-horse öö glass-horse.";
        for at in 1..line.len() {
            let (mut rest, mut shown) = (Vec::new(), Vec::new());
            for piece in line.as_bytes().chunks(at) {
                rest.extend_from_slice(piece);
                let (part, kept) = split_unfinished(&rest, &secrets, secrets.longest_length() - 1);
                assert!(std::str::from_utf8(&part).is_ok(), "{at}");
                shown.extend(part);
                rest = kept;
            }
            shown.extend(secrets.redact_bytes(&rest));
            assert_eq!(shown, "aä ******** öö ********.".as_bytes(), "{at}");
        }
    }

    #[test]
    fn since_accepts_ages_and_times() {
        let now = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap();
        let ago = since("10m").unwrap();
        assert!(now.as_secs() - 600 - ago.as_secs() <= 1, "{ago:?}");
        assert_eq!(
            since("1970-01-01T00:01:00Z").unwrap(),
            Duration::from_mins(1)
        );
        assert_eq!(
            since("yesterday").unwrap_err().error.message,
            "`yesterday` is not a valid time"
        );
    }
}
