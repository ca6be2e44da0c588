//! The application's counterpart: it hears what happens, answers questions and asks to stop.

use super::error::Error;
use crate::{
    diagnostic::{Diagnostics, Sources},
    executor::StopRequests,
    plan::effect::Prospect,
    record::Record,
    report::Reporter,
    told::{Claim, Recovered},
};
use std::{collections::BTreeMap, path::Path};

/// Whoever makes requests: a command line, or a daemon.
pub trait Caller {
    /// Returns the reporter of one run.
    fn reporter(&self) -> Box<dyn Reporter>;

    /// Takes news besides the events of a run and its result.
    fn say(&self, notice: &Notice<'_>);

    /// Whether a person can answer questions.
    fn is_attended(&self) -> bool;

    /// Asks a person. Consent that was given beforehand does not answer.
    ///
    /// # Errors
    ///
    /// If the answer is no.
    fn ask(&self, question: &Question<'_>) -> Result<(), Error>;

    /// Asks a person, if one can answer and did not consent beforehand.
    ///
    /// # Errors
    ///
    /// If the answer is no, or if what is dangerous needs an answer and nobody can give it.
    fn confirm(&self, question: &Question<'_>) -> Result<(), Error>;

    /// Returns the command line that makes a request again, for advice. `words` are the command and
    /// its arguments.
    fn command_line(&self, words: &[&str]) -> String;

    /// Returns the requests to stop. The first call comes once a deployment is held, before anything
    /// is asked of a system: until then, a process can simply end.
    ///
    /// # Errors
    ///
    /// If they cannot be received.
    fn stop_requests(&self) -> Result<&StopRequests, Error>;
}

/// News besides the events of a run.
#[derive(Debug)]
pub enum Notice<'n> {
    /// Something may be wrong.
    Warning(String),
    /// A fact.
    Note(String),
    /// Faults of a blueprint that can be used nevertheless, with its text.
    Faults(&'n Diagnostics, &'n Sources),
    /// Fields that engines do not show, by the instance that another state directory made.
    NotCompared(&'n BTreeMap<String, Vec<String>>),
    /// A deployment that is known from labels only.
    Labels {
        /// How that came about.
        why: String,
        /// The deployment.
        found: &'n Recovered,
    },
    /// A damaged journal was kept under another name.
    SetAside {
        /// Name of the deployment.
        deployment: &'n str,
        /// The fault.
        damage: String,
        /// Path of the damaged journal.
        kept: &'n Path,
        /// What labels say in its place.
        found: Option<&'n Recovered>,
    },
    /// Failures of the last run that were ignored.
    Ignored(&'n Record),
    /// News of a watch.
    Watch {
        /// Name of the deployment.
        deployment: &'n str,
        /// The news.
        news: String,
    },
    /// A repair of a watch failed; the watch continues.
    RepairFailed(&'n Error),
}

/// A question that is answered by yes or no.
#[derive(Debug)]
pub struct Question<'q> {
    /// The question.
    pub words: String,
    /// Why a yes is dangerous.
    pub danger: Option<String>,
    /// What the answer is about.
    pub about: About<'q>,
}

/// What a question is about.
#[derive(Debug)]
pub enum About<'q> {
    /// The question says it all.
    Nothing,
    /// The effects of a stage.
    Plan(Vec<Prospect>),
    /// Objects that only labels connect to a deployment.
    Claims {
        /// Name of the deployment.
        deployment: &'q str,
        /// The objects.
        claims: &'q [Claim],
    },
}
