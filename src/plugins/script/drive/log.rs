//! The log of one operation: output of its processes, and lines that it logs.

use crate::{
    plugins::{NoteSink, script::declare::environment::Process},
    seam::{LogLevel, LogLine, StepNote},
    secrets::Secrets,
};
use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    future::Future,
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _},
    time::timeout,
};

/// Size of the first part of a log that is kept, in bytes. The last part has the same size.
const HALF: usize = 512 << 10;
/// Longest line, in bytes. A longer one is split.
const MAX_LINE: usize = 64 << 10;
/// Size of a read, in bytes.
const CHUNK: usize = 64 << 10;
/// Lines of output in an error.
const SHOWN_LINES: usize = 20;
/// Characters of a line in an error.
const SHOWN_CHARACTERS: usize = 400;
/// Longest wait for the end of output after a script has ended.
const OUTPUT_GRACE: Duration = Duration::from_secs(10);

/// The log of one operation. At most its first and its last part are kept.
pub(super) struct OperationLog<'a> {
    notes: NoteSink<'a>,
    secrets: &'a Secrets,
    written: Cell<usize>,
    /// Lines after the first part.
    tail: RefCell<VecDeque<LogLine>>,
    tail_size: Cell<usize>,
    omitted: Cell<usize>,
    /// Last lines of output, for an error.
    last: RefCell<VecDeque<String>>,
}

/// A stream of a process.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum OutputKind {
    Out,
    Error,
}

impl OutputKind {
    fn prefix(self) -> &'static str {
        match self {
            Self::Out => "<out> ",
            Self::Error => "<err> ",
        }
    }
}

impl<'a> OperationLog<'a> {
    pub(super) fn new(notes: NoteSink<'a>, secrets: &'a Secrets) -> Self {
        Self {
            notes,
            secrets,
            written: Cell::default(),
            tail: RefCell::default(),
            tail_size: Cell::default(),
            omitted: Cell::default(),
            last: RefCell::default(),
        }
    }

    /// Logs lines.
    pub(super) async fn write(&self, lines: Vec<LogLine>) {
        let mut now = Vec::new();
        for line in lines {
            let size = line.text.len();
            if self.written.get() + size <= HALF && self.tail.borrow().is_empty() {
                self.written.set(self.written.get() + size);
                now.push(line);
            } else {
                self.keep_for_later(line);
            }
        }
        self.send(now).await;
    }

    async fn send(&self, lines: Vec<LogLine>) {
        if !lines.is_empty() {
            (self.notes)(StepNote::Log(lines)).await;
        }
    }

    fn keep_for_later(&self, line: LogLine) {
        let mut tail = self.tail.borrow_mut();
        let mut size = self.tail_size.get() + line.text.len();
        tail.push_back(line);
        while size > HALF {
            let Some(dropped) = tail.pop_front() else {
                break;
            };
            size -= dropped.text.len();
            self.omitted.set(self.omitted.get() + 1);
        }
        self.tail_size.set(size);
    }

    /// Logs the last part.
    pub(super) async fn finish(&self) {
        let mut lines: Vec<LogLine> = self.tail.take().into();
        self.tail_size.set(0);
        if self.omitted.get() > 0 {
            let text = format!("({} lines are left out here)", self.omitted.get());
            lines.insert(0, LogLine::new(LogLevel::Info, text));
        }
        self.send(lines).await;
    }

    /// Logs both streams of a process until their ends.
    pub(super) async fn follow(
        &self,
        process: &Process,
        out: Option<impl AsyncRead + Unpin>,
        error: Option<impl AsyncRead + Unpin>,
    ) {
        tokio::join!(
            self.follow_stream(out, (OutputKind::Out, process.logs_output)),
            self.follow_stream(error, (OutputKind::Error, process.logs_errors)),
        );
    }

    /// Waits for the end of output after its script has ended. A process that the script left can
    /// keep it open.
    pub(super) async fn await_end(&self, output: impl Future) {
        if timeout(OUTPUT_GRACE, output).await.is_err() {
            let text = "a background process keeps the output open; dockctl no longer reads it";
            self.write(vec![LogLine::new(LogLevel::Warning, text)])
                .await;
        }
    }

    /// Logs a stream until its end. If `is_shown` is false, only errors show its last lines.
    async fn follow_stream(
        &self,
        stream: Option<impl AsyncRead + Unpin>,
        (kind, is_shown): (OutputKind, bool),
    ) {
        let Some(mut stream) = stream else {
            return;
        };
        let (mut buffer, mut rest) = (vec![0; CHUNK], Vec::new());
        loop {
            let read = stream.read(&mut buffer).await.unwrap_or_default();
            rest.extend_from_slice(&buffer[..read]);
            let lines = split_lines(&mut rest, read == 0, self.secrets);
            let lines: Vec<String> = lines.iter().map(|line| text_of(line)).collect();
            self.remember(&lines);
            if is_shown {
                let line = |text: &String| {
                    LogLine::new(LogLevel::Info, format!("{}{text}", kind.prefix()))
                };
                self.write(lines.iter().map(line).collect()).await;
            }
            if read == 0 {
                return;
            }
        }
    }

    fn remember(&self, lines: &[String]) {
        let mut last = self.last.borrow_mut();
        for line in &lines[lines.len().saturating_sub(SHOWN_LINES)..] {
            if last.len() == SHOWN_LINES {
                last.pop_front();
            }
            last.push_back(line.clone());
        }
    }

    /// Returns the last lines of output, for an error.
    pub(super) fn last_lines(&self) -> Vec<String> {
        let cut = |line: &String| match line.char_indices().nth(SHOWN_CHARACTERS) {
            Some((at, _)) => format!("{}…", &line[..at]),
            None => line.clone(),
        };
        self.last.borrow().iter().map(cut).collect()
    }
}

/// Removes the complete lines from a buffer, or everything at the end of a stream.
fn split_lines(rest: &mut Vec<u8>, is_end: bool, secrets: &Secrets) -> Vec<Vec<u8>> {
    let mut lines = Vec::new();
    while let Some(length) = rest.iter().position(|byte| *byte == b'\n') {
        let mut line: Vec<u8> = rest.drain(..=length).take(length).collect();
        while line.len() > MAX_LINE {
            lines.push(line.drain(..cut_position(&line, secrets)).collect());
        }
        lines.push(line);
    }
    // A secret must not be cut: its end may still follow.
    while rest.len() > MAX_LINE + secrets.longest_length() {
        lines.push(rest.drain(..cut_position(rest, secrets)).collect());
    }
    while is_end && !rest.is_empty() {
        lines.push(rest.drain(..cut_position(rest, secrets)).collect());
    }
    lines
}

/// Returns the length of the first piece of a line that is too long.
fn cut_position(line: &[u8], secrets: &Secrets) -> usize {
    if line.len() <= MAX_LINE {
        return line.len();
    }
    let end = line.len().min(MAX_LINE + secrets.longest_length());
    let text = String::from_utf8_lossy(&line[..end]);
    let is_same = text.len() == end;
    let start = secrets
        .start_of_secret_across(&text, MAX_LINE)
        .filter(|_| is_same);
    start.filter(|start| *start > 0).unwrap_or(MAX_LINE)
}

/// Returns a line as text, without the characters that end it.
fn text_of(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    text.trim_end_matches(['\r', '\n']).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_is_split_into_lines() {
        let secrets = Secrets::default();
        let mut rest = b"one\ntwo\r\n\n  padded  \nno newline".to_vec();
        let mut texts = |is_end| {
            let lines = split_lines(&mut rest, is_end, &secrets);
            lines.iter().map(|line| text_of(line)).collect::<Vec<_>>()
        };
        assert_eq!(texts(false), ["one", "two", "", "  padded  "]);
        assert_eq!(texts(true), ["no newline"]);
        let mut long = vec![b'x'; MAX_LINE * 2 + 1];
        assert_eq!(split_lines(&mut long, false, &secrets).len(), 2);
        assert_eq!(long.len(), 1);
        assert_eq!(text_of(b"\xff\0"), "\u{fffd}\0");
    }

    #[test]
    fn a_secret_is_never_cut() {
        let secrets = Secrets::default();
        secrets.register("sw0rdfish");
        for before in MAX_LINE - 12..MAX_LINE + 3 {
            for after in ["", "\n", "xxx"] {
                let mut rest = vec![b'p'; before];
                rest.extend_from_slice(b"sw0rdfish");
                rest.extend_from_slice(after.as_bytes());
                let mut lines = split_lines(&mut rest, false, &secrets);
                lines.extend(split_lines(&mut rest, true, &secrets));
                let whole = lines
                    .iter()
                    .filter(|line| text_of(line).contains("sw0rdfish"));
                assert_eq!(whole.count(), 1, "{before} {after:?}");
            }
        }
    }

    #[tokio::test]
    async fn first_and_last_part_of_a_long_log_are_kept() {
        let seen = RefCell::new(Vec::new());
        let notes = |note| -> crate::plugins::Processed {
            let StepNote::Log(lines) = note else {
                unreachable!("only lines are logged")
            };
            seen.borrow_mut().extend(lines);
            Box::pin(async {})
        };
        let secrets = Secrets::default();
        let log = OperationLog::new(&notes, &secrets);
        let text: String = (0..40_000)
            .map(|n| format!("line number {n:>40}\n"))
            .collect();
        log.follow_stream(Some(text.as_bytes()), (OutputKind::Out, true))
            .await;
        log.finish().await;
        let seen = seen.borrow();
        let size: usize = seen.iter().map(|line| line.text.len()).sum();
        assert!(size < 2 * HALF + 100 && size > 2 * HALF - 1000, "{size}");
        assert!(seen[0].text.ends_with(" 0"));
        assert!(seen.last().unwrap().text.ends_with(" 39999"));
        assert!(
            seen.iter()
                .any(|line| line.text.ends_with("lines are left out here)"))
        );
        assert_eq!(log.last_lines().len(), SHOWN_LINES);
    }
}
