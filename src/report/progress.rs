//! The live view on a terminal: a line for each running instance and a bar for the stage. Completed
//! steps scroll up as plain lines.

use super::{
    Reporter,
    charset::Charset,
    lines::{line, log_line},
};
use crate::{
    event::{Entry, Event},
    printable::on_one_line,
    record::{Record, TaskState},
    seam::{LogLine, Progress},
    stage::TaskId,
};
use indicatif::{BinaryBytes, MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use rustix::{
    stdio::stderr,
    termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr},
};
use std::{collections::HashMap, time::Duration};

/// Maximum number of running instances to show.
const LINES: usize = 10;

/// The live view. Dropping it removes the bars; the plain lines stay.
pub struct Live {
    screen: MultiProgress,
    total: Option<ProgressBar>,
    /// One line for each running instance.
    lines: HashMap<String, ProgressBar>,
    color: bool,
    charset: Charset,
    /// Original settings of the terminal.
    terminal: Option<Termios>,
}

/// Prevents the terminal from writing `^C` into the live view. Returns the original settings.
fn disable_control_echo() -> Option<Termios> {
    let found = tcgetattr(stderr()).ok()?;
    let mut silent = found.clone();
    silent.local_modes.remove(LocalModes::ECHOCTL);
    tcsetattr(stderr(), OptionalActions::Now, &silent).ok()?;
    Some(found)
}

impl Live {
    /// Creates a live view on standard error.
    #[must_use]
    pub fn new(color: bool, charset: Charset) -> Self {
        let screen = MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(8));
        Self {
            screen,
            total: None,
            lines: HashMap::new(),
            color,
            charset,
            terminal: disable_control_echo(),
        }
    }

    fn style(&self, template: &str) -> ProgressStyle {
        let style =
            ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        match (self.charset, self.color) {
            (Charset::Unicode, true) => style.progress_chars("━╸─").tick_chars("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏ "),
            (Charset::Unicode, false) => style.progress_chars("━╸─").tick_chars("|/-\\ "),
            (Charset::Ascii, _) => style.progress_chars("=>-").tick_chars("|/-\\ "),
        }
    }

    fn start_stage(&mut self, tasks: usize) {
        if let Some(former) = self.total.take() {
            former.finish_and_clear();
        }
        let whole = self.screen.add(ProgressBar::new(tasks as u64));
        whole.set_style(self.style("{bar:30} {pos}/{len} steps  {elapsed_precise}"));
        whole.enable_steady_tick(Duration::from_millis(200));
        self.total = Some(whole);
    }

    fn begin(&mut self, record: &Record, task: TaskId, attempt: u32) {
        let task = record.stage().task(task);
        // Leave room for completed steps.
        if self.lines.len() >= LINES && !self.lines.contains_key(&task.instance) {
            return;
        }
        let bar = ProgressBar::new_spinner();
        let bar = match &self.total {
            Some(whole) => self.screen.insert_before(whole, bar),
            None => self.screen.add(bar),
        };
        bar.set_style(self.style("{spinner} {prefix}  {wide_msg} {elapsed:>5}"));
        let prefix = format!("{}.{}", task.instance, task.operation);
        bar.set_prefix(on_one_line(&prefix));
        let attempt_text = if attempt > 1 {
            format!(" (attempt {attempt})")
        } else {
            String::new()
        };
        bar.set_message(on_one_line(&format!("{}{attempt_text}", task.step)));
        bar.enable_steady_tick(Duration::from_millis(125));
        if let Some(old) = self.lines.insert(task.instance.clone(), bar) {
            old.finish_and_clear();
        }
    }

    fn end(&mut self, record: &Record, task: TaskId) {
        let task = record.stage().task(task);
        if let Some(bar) = self.lines.remove(&task.instance) {
            bar.finish_and_clear();
        }
        if let Some(whole) = &self.total {
            whole.set_position(record.ended_count() as u64);
        }
    }

    fn mark(&self, event: &Event) -> &'static str {
        match (event, self.color) {
            (Event::TaskSucceeded { .. }, true) => "\u{1b}[32m✓\u{1b}[0m",
            (Event::TaskSucceeded { .. }, false) => "✓",
            (Event::TaskFailed { .. }, true) => "\u{1b}[31m✗\u{1b}[0m",
            (Event::TaskFailed { .. }, false) => "✗",
            _ => "•",
        }
    }

    /// Prints one line per instance when all its steps are complete, or one line per step if the
    /// steps do not change its state.
    fn print_completed(&self, record: &Record, task: TaskId, event: &Event) {
        let id = &record.stage().task(task).instance;
        let mut own = record
            .stage()
            .ids()
            .filter(|it| record.stage().task(*it).instance == *id);
        if own
            .clone()
            .all(|it| record.stage().task(it).state_after.is_none())
        {
            return self.print_event(record, event);
        }
        if own.all(|it| {
            matches!(
                record.task_state(it),
                TaskState::Succeeded | TaskState::Ignored
            )
        }) {
            let line = on_one_line(&format!("{id} {}", record.state(id)));
            self.print(&format!("{} {line}", self.mark(event)));
        }
    }

    fn print_event(&self, record: &Record, event: &Event) {
        if let Some(line) = line(record, event) {
            let line = line.replacen("] done: ", "] ", 1);
            self.print(&format!("{} {line}", self.mark(event)));
        }
    }

    /// Prints a line. A terminal that was closed must not stop the execution.
    fn print(&self, line: &str) {
        let _ = self.screen.println(self.charset.show(line));
    }
}

impl Reporter for Live {
    fn report(&mut self, record: &Record, entry: &Entry) {
        match &entry.event {
            Event::StageStarted { stage } => self.start_stage(stage.tasks().len()),
            Event::TaskStarted { task, attempt } => self.begin(record, *task, *attempt),
            Event::TaskSucceeded { task, .. } => {
                self.end(record, *task);
                self.print_completed(record, *task, &entry.event);
            }
            Event::TaskFailed { task, .. }
            | Event::TaskInterrupted { task }
            | Event::TaskSettled { task, .. } => {
                self.end(record, *task);
                self.print_event(record, &entry.event);
            }
            Event::ExecutionFinished { .. } => {
                if let Some(whole) = self.total.take() {
                    whole.finish_and_clear();
                }
            }
            Event::StageExtended { tasks } => {
                if let Some(whole) = &self.total {
                    whole.inc_length(tasks.len() as u64);
                }
                self.print_event(record, &entry.event);
            }
            Event::Defined { .. } | Event::TaskNoted { .. } => {}
            Event::ExecutionStarted { .. }
            | Event::CancelRequested { .. }
            | Event::Recovered { .. }
            | Event::Freed => self.print_event(record, &entry.event),
        }
    }

    fn progress(&mut self, record: &Record, task: TaskId, progress: &Progress) {
        let task = record.stage().task(task);
        let Some(bar) = self.lines.get(&task.instance) else {
            return;
        };
        let message = match progress {
            Progress::Bytes { done, total: 0 } => format!("{}  {}", task.step, BinaryBytes(*done)),
            Progress::Bytes { done, total } => format!(
                "{}  {} of {}",
                task.step,
                BinaryBytes(*done),
                BinaryBytes(*total)
            ),
            Progress::Note(note) => note.clone(),
        };
        bar.set_message(self.charset.show(&message).into_owned());
    }

    fn log(&mut self, record: &Record, task: TaskId, line: &LogLine) {
        if let Some(line) = log_line(record, task, line) {
            self.print(&line);
        }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.lines
            .drain()
            .for_each(|(_, bar)| bar.finish_and_clear());
        if let Some(whole) = self.total.take() {
            whole.finish_and_clear();
        }
        if let Some(found) = &self.terminal {
            // Ignore errors: the terminal may have been closed.
            let _ = tcsetattr(stderr(), OptionalActions::Now, found);
        }
    }
}
