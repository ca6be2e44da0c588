//! The command line as the caller of the application: prints, asks questions, receives signals.

use super::{
    args::Global,
    claims, color_stderr, confirm,
    error::{CliError, Kind, to_text},
    plan::{effect_lines, exchange_lines, uncompared_lines},
    print_error, print_error_once, run,
    settings::settings,
};
use crate::{
    diagnostic::render::render,
    event::{StopReason, now, timestamp},
    executor::StopRequests,
    operate::{
        Caller, Error, Workspace,
        caller::{Notice, Question, QuestionSubject},
    },
    printable::printable,
    report::Reporter,
};
use std::{cell::OnceCell, path::PathBuf};
use tokio::signal::unix::{SignalKind, signal};

/// The caller of one command.
pub(crate) struct Terminal<'g> {
    global: &'g Global,
    signals: OnceCell<StopRequests>,
}

impl<'g> Terminal<'g> {
    pub(crate) fn new(global: &'g Global) -> Self {
        Self {
            global,
            signals: OnceCell::new(),
        }
    }

    /// Opens the state directory that the command line selects.
    pub(crate) fn workspace(&self) -> Result<Workspace<'_>, CliError> {
        Ok(Workspace::new(settings(self.global)?, self))
    }
}

impl Caller for Terminal<'_> {
    fn reporter(&self) -> Box<dyn Reporter> {
        run::reporter(self.global)
    }

    fn notify(&self, notice: &Notice<'_>) {
        let words = notice_text(notice, color_stderr(self.global));
        match notice {
            Notice::Warning(_) | Notice::Diagnostics(..) => print_error_once(&words),
            _ => print_error(&words),
        }
    }

    fn is_interactive(&self) -> bool {
        confirm::can_ask()
    }

    fn ask(&self, question: &Question<'_>) -> Result<(), Error> {
        print_error(&printable(&subject_text(&question.subject)));
        confirm::ask(&question.text)
    }

    fn confirm(&self, question: &Question<'_>) -> Result<(), Error> {
        if confirm::is_stdin_terminal() && !self.global.yes {
            print_error(&printable(&subject_text(&question.subject)));
        }
        let danger = question.danger.as_deref();
        confirm::confirm(self.global, &question.text, danger)
    }

    fn command_line(&self, words: &[&str]) -> String {
        repeated_command(self.global, words)
    }

    /// The first call registers signal handlers, which stay until the process ends: a handler
    /// without a reader would swallow later signals.
    fn stop_requests(&self) -> Result<&StopRequests, Error> {
        if let Some(signals) = self.signals.get() {
            return Ok(signals);
        }
        let signals = StopRequests::default();
        listen_for_signals(signals.clone()).map_err(|error| {
            Error::new(Kind::Failed, format!("cannot listen for signals: {error}"))
        })?;
        Ok(self.signals.get_or_init(|| signals))
    }
}

/// Returns a notice as text.
fn notice_text(notice: &Notice<'_>, color: bool) -> String {
    match notice {
        Notice::Warning(text) => format!("warning: {text}\n"),
        Notice::Note(text) => format!("note: {text}\n"),
        Notice::Diagnostics(faults, sources) => render(faults, sources, color),
        Notice::NotCompared(fields) => uncompared_lines(fields).concat(),
        Notice::Labels { reason: why, found } => {
            format!("{why}:\n{}", claims::recovered_text(found))
        }
        Notice::JournalRenamed {
            deployment,
            damage,
            new_path: kept,
            found,
        } => {
            let nothing = || format!("  no object on the engine has labels of `{deployment}`\n");
            format!(
                "warning: {damage}\n  the damaged journal was kept as {}; from engine labels:\n{}",
                kept.display(),
                found.map_or_else(nothing, claims::recovered_text)
            )
        }
        Notice::IgnoredFailures(record) => run::ignored(record),
        Notice::Watch {
            deployment,
            message: news,
        } => {
            format!("{} `{deployment}`: {news}\n", timestamp(now()))
        }
        Notice::RepairFailed(error) => to_text(error, color),
    }
}

/// Returns the subject of a question as text.
fn subject_text(about: &QuestionSubject<'_>) -> String {
    match about {
        QuestionSubject::Nothing => String::new(),
        QuestionSubject::Plan { effects, exchanges } => {
            effect_lines(effects) + &exchange_lines(exchanges)
        }
        QuestionSubject::Claims { deployment, claims } => format!(
            "`{deployment}` is known only from engine labels:\n{}",
            claims::claims_text(claims)
        ),
    }
}

/// Returns a command line to copy, with the global flags that matter.
pub(crate) fn repeated_command(global: &Global, command: &[&str]) -> String {
    let shown = |path: &PathBuf| path.display().to_string();
    let once = [
        ("--state-dir", global.state_dir.as_ref().map(shown)),
        ("--host", global.host.clone()),
        ("--context", global.context.clone()),
    ];
    let once = once
        .into_iter()
        .filter_map(|(flag, value)| Some((flag, value?)));
    let secrets = global.secrets.iter().map(|path| ("--secrets", shown(path)));
    let rules = global
        .import_rules
        .iter()
        .map(|(prefix, with)| ("--import-rule", format!("{prefix}={with}")));
    let flags = once
        .chain(secrets)
        .chain(rules)
        .flat_map(|(flag, value)| [flag.to_owned(), value]);
    let switches = [
        (global.offline, "--offline"),
        (global.no_guard, "--no-guard"),
    ];
    let flags = flags.chain(
        switches
            .into_iter()
            .filter(|(given, _)| *given)
            .map(|(_, flag)| flag.to_owned()),
    );
    let words = ["dockctl".to_owned()]
        .into_iter()
        .chain(command.iter().map(|word| (*word).to_owned()))
        .chain(flags);
    words
        .map(|word| quoted(&word))
        .collect::<Vec<_>>()
        .join(" ")
}

/// Requests a stop at the first signal, and an abort at later ones.
fn listen_for_signals(requests: StopRequests) -> std::io::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::spawn(async move {
        for time in 0.. {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if time == 0 {
                requests.stop(StopReason::Asked);
            } else {
                requests.abort(StopReason::Asked);
            }
        }
    });
    Ok(())
}

/// Quotes a word for a shell.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:=@%+,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}
