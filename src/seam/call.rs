//! A step that is about to be carried out, and what it shows meanwhile.

use super::{Failure, Outputs, Reached, Step};
use crate::{
    model::{Definition, Deployment, End, Instance},
    printable::printable,
    secrets::Secrets,
};
use serde_json::{Map as JsonMap, Value as Json};
use std::{rc::Rc, sync::Arc};
use tokio_util::sync::CancellationToken;

/// A step that is about to be carried out, with everything that it may need to know. What others
/// change meanwhile does not show in it.
#[derive(Clone, Debug)]
pub struct Call {
    /// The deployment. Its id is empty if it was defined by an older version.
    pub deployment: Rc<Deployment>,
    /// Id of the execution.
    pub execution: String,
    /// The instance or relationship that the step works on.
    pub subject: Subject,
    /// The instances that those of the subject have relationships to.
    pub related: Vec<Party>,
    /// The step, bound.
    pub step: Step,
    /// Counts the tries of this run from 1.
    pub attempt: u32,
    /// The object that the step is carried out in, if it is carried out in one.
    pub inside: Option<Reached>,
    /// Cancelled when the user asks to stop: a step that only waits gives up, others go on.
    pub stop: CancellationToken,
}

/// The instance or relationship that a call works on.
#[derive(Clone, Debug)]
pub enum Subject {
    /// An instance.
    Instance(Party),
    /// A relationship.
    Relationship {
        /// The instance that has it.
        source: Party,
        /// The instance that it leads to.
        target: Party,
        /// The end whose operation it is.
        end: End,
    },
}

/// An instance, as it is when a call begins.
#[derive(Clone, Debug)]
pub struct Party {
    /// The instance.
    pub instance: Instance,
    /// The definition that its object was created from.
    pub node: Arc<Definition>,
    /// Its runtime properties.
    pub properties: JsonMap<String, Json>,
}

impl Call {
    /// The instance whose step it is.
    #[must_use]
    pub fn own(&self) -> &Party {
        match &self.subject {
            Subject::Instance(own) => own,
            Subject::Relationship {
                source,
                end: End::Source,
                ..
            } => source,
            Subject::Relationship { target, .. } => target,
        }
    }

    /// Id of the instance whose step it is.
    #[must_use]
    pub fn instance(&self) -> &str {
        &self.own().instance.id
    }

    /// Its node.
    #[must_use]
    pub fn node(&self) -> &str {
        &self.own().instance.node
    }

    /// Its runtime properties.
    #[must_use]
    pub fn properties(&self) -> &JsonMap<String, Json> {
        &self.own().properties
    }

    /// The same call of an instance with other runtime properties.
    #[must_use]
    pub fn with_properties(&self, properties: JsonMap<String, Json>) -> Self {
        let own = Party {
            properties,
            ..self.own().clone()
        };
        Self {
            subject: Subject::Instance(own),
            ..self.clone()
        }
    }
}

/// Something to show while a step runs; never kept.
#[derive(Clone, Debug, PartialEq)]
pub enum Progress {
    /// Bytes moved so far, and in all if that is known.
    Bytes {
        /// So far.
        done: u64,
        /// In all; 0 if not known.
        total: u64,
    },
    /// What the step is doing now.
    Note(String),
}

impl Progress {
    /// Without the secrets that are known, and fit for a terminal.
    #[must_use]
    pub fn scrubbed(self, secrets: &Secrets) -> Self {
        match self {
            Self::Note(note) => Self::Note(printable(&secrets.scrub(&note))),
            bytes @ Self::Bytes { .. } => bytes,
        }
    }
}

/// What a step says while it runs.
#[derive(Clone, Debug, PartialEq)]
pub enum Note {
    /// Something to show.
    Progress(Progress),
    /// What it changed already: it stays changed if the step fails later.
    Outputs(Outputs),
}

/// What looking came to, for a step whose outcome was lost.
#[derive(Clone, Debug, PartialEq)]
pub enum Settled {
    /// It is done, and changed this.
    Done(Outputs),
    /// It failed.
    Failed(Failure),
    /// It is not done, or looks itself when it is carried out again.
    NotDone,
    /// Nobody knows.
    Unknown,
}

/// Takes what a step has to show.
pub type ProgressSink<'a> = &'a dyn Fn(Progress);
