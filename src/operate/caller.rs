//! The interface that a user interface implements: notices, questions and requests to stop.

use super::error::Error;
use crate::{
    diagnostic::{Diagnostics, Sources},
    discovery::{Claim, RecoveredDeployment},
    executor::StopRequests,
    plan::effect::InstanceEffect,
    record::Record,
    report::Reporter,
    stage::Exchange,
};
use std::{collections::BTreeMap, path::Path};

/// The user interface that sends requests: a command line or a daemon.
pub trait Caller {
    /// Returns the reporter of one run.
    fn reporter(&self) -> Box<dyn Reporter>;

    /// Shows a notice. Events of a run and its result are not notices.
    fn notify(&self, notice: &Notice<'_>);

    /// Returns true if a person can answer questions.
    fn is_interactive(&self) -> bool;

    /// Asks a person, even if they consented in advance (`--yes`).
    ///
    /// # Errors
    ///
    /// If the answer is no.
    fn ask(&self, question: &Question<'_>) -> Result<(), Error>;

    /// Asks a person, if one can answer and did not consent in advance.
    ///
    /// # Errors
    ///
    /// If the answer is no, or if a dangerous action requires an answer and no person can give it.
    fn confirm(&self, question: &Question<'_>) -> Result<(), Error>;

    /// Returns the command line that repeats a request, for hints. `words` are the command and its
    /// arguments.
    fn command_line(&self, arguments: &[&str]) -> String;

    /// Returns the requests to stop. The first call happens when a deployment is held, before any
    /// engine call. Until then the process can exit at any time.
    ///
    /// # Errors
    ///
    /// If they cannot be received.
    fn stop_requests(&self) -> Result<&StopRequests, Error>;
}

/// A notice outside the events of a run.
#[derive(Debug)]
pub enum Notice<'n> {
    /// A possible problem.
    Warning(String),
    /// Information.
    Note(String),
    /// Diagnostics of a valid blueprint, with its source text.
    Diagnostics(&'n Diagnostics, &'n Sources),
    /// Fields that engines do not report, by instance, for objects of another state directory.
    NotCompared(&'n BTreeMap<String, Vec<String>>),
    /// A deployment known only from labels.
    Labels {
        /// The reason for using labels.
        reason: String,
        /// The deployment.
        found: &'n RecoveredDeployment,
    },
    /// A damaged journal was renamed.
    JournalRenamed {
        /// Name of the deployment.
        deployment: &'n str,
        /// The damage.
        damage: String,
        /// New path of the damaged journal.
        new_path: &'n Path,
        /// The deployment recovered from labels instead.
        found: Option<&'n RecoveredDeployment>,
    },
    /// Ignored failures of the last run.
    IgnoredFailures(&'n Record),
    /// Progress of `heal --watch`.
    Watch {
        /// Name of the deployment.
        deployment: &'n str,
        /// The message.
        message: String,
    },
    /// A repair by `heal --watch` failed; watching continues.
    RepairFailed(&'n Error),
}

/// A yes-or-no question.
#[derive(Debug)]
pub struct Question<'q> {
    /// Text of the question.
    pub text: String,
    /// The danger of answering yes.
    pub danger: Option<String>,
    /// The subject of the question.
    pub subject: QuestionSubject<'q>,
}

/// The subject of a question, shown before it.
#[derive(Debug)]
pub enum QuestionSubject<'q> {
    /// No further details.
    Nothing,
    /// Effects of a stage, and its exchanges.
    Plan {
        /// The effects.
        effects: Vec<InstanceEffect>,
        /// Instances that hand something on to each other.
        exchanges: &'q [Exchange],
    },
    /// Objects that belong to a deployment only according to their labels.
    Claims {
        /// Name of the deployment.
        deployment: &'q str,
        /// The objects.
        claims: &'q [Claim],
    },
}
