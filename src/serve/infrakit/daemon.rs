//! The daemon as the caller of the application: nobody answers questions, and everything goes to
//! the log.

use crate::{
    event::{Entry, Event},
    executor::StopRequests,
    operate::{
        Caller, Error,
        caller::{Notice, Question},
    },
    printable::on_one_line,
    record::Record,
    report::{Reporter, event_line},
};

/// The caller of the work on one group.
pub(crate) struct Daemon {
    group: String,
    stop: StopRequests,
}

impl Daemon {
    pub(crate) fn new(group: &str, stop: StopRequests) -> Self {
        Self {
            group: group.to_owned(),
            stop,
        }
    }
}

impl Caller for Daemon {
    fn reporter(&self) -> Box<dyn Reporter> {
        Box::new(Log {
            group: self.group.clone(),
        })
    }

    fn notify(&self, notice: &Notice<'_>) {
        let group = self.group.as_str();
        match notice {
            Notice::Warning(text) => tracing::warn!(group, "{}", on_one_line(text)),
            Notice::Note(text) => tracing::info!(group, "{}", on_one_line(text)),
            Notice::Watch { message, .. } => tracing::info!(group, "{}", on_one_line(message)),
            Notice::RepairFailed(error) => {
                tracing::error!(group, error = %on_one_line(&error.message), "a repair failed");
            }
            Notice::JournalRenamed {
                damage, new_path, ..
            } => {
                let path = new_path.display();
                tracing::warn!(group, %path, damage = %on_one_line(damage), "a damaged journal was renamed");
            }
            Notice::IgnoredFailures(_)
            | Notice::Labels { .. }
            | Notice::NotCompared(_)
            | Notice::Diagnostics(..) => {}
        }
    }

    fn is_interactive(&self) -> bool {
        false
    }

    fn ask(&self, question: &Question<'_>) -> Result<(), Error> {
        Err(Error::usage(format!(
            "nobody can answer: {}",
            question.text
        )))
    }

    /// A client asked for the change.
    fn confirm(&self, _question: &Question<'_>) -> Result<(), Error> {
        Ok(())
    }

    fn command_line(&self, arguments: &[&str]) -> String {
        format!("dockctl {}", arguments.join(" "))
    }

    fn stop_requests(&self) -> Result<&StopRequests, Error> {
        Ok(&self.stop)
    }
}

/// Writes the events of a run to the log.
struct Log {
    group: String,
}

impl Reporter for Log {
    fn report(&mut self, record: &Record, entry: &Entry) {
        // People at a terminal read how to stop at once.
        let is_stop = matches!(entry.event, Event::CancelRequested { .. });
        if let Some(line) = event_line(record, &entry.event).filter(|_| !is_stop) {
            tracing::info!(group = self.group, "{}", on_one_line(&line));
        }
    }
}
