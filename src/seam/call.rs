//! A call: a step that is about to run, with its context, and the notes that it sends.

use super::{Failure, LogLine, ObjectRef, Outputs, Step};
use crate::{
    model::{Definition, Deployment, Instance, RelationshipEnd},
    printable::printable,
    secrets::Secrets,
};
use serde_json::{Map as JsonMap, Value as Json};
use std::{rc::Rc, sync::Arc};
use tokio_util::sync::CancellationToken;

/// A step that is about to run, with its context. The context is a copy: later changes by other
/// steps do not show in it.
#[derive(Clone, Debug)]
pub struct Call {
    /// The deployment. Its ID is empty if an older version of dockctl defined it.
    pub deployment: Rc<Deployment>,
    /// ID of the execution.
    pub execution: String,
    /// Name of the workflow.
    pub workflow: String,
    /// The instance or relationship that the step works on.
    pub subject: Subject,
    /// The instances that are targets of the subject's relationships.
    pub related: Vec<Participant>,
    /// The step, with its functions evaluated.
    pub step: Step,
    /// Number of the attempt in this run, from 1.
    pub attempt: u32,
    /// Maximum number of retries; negative: unlimited.
    pub max_retries: f64,
    /// The object that the step runs in, if it runs in one.
    pub inside: Option<ObjectRef>,
    /// Cancelled when the user asks to stop: a step that only waits is abandoned, others continue.
    pub stop: CancellationToken,
}

/// The instance or relationship that a call works on.
#[derive(Clone, Debug)]
pub enum Subject {
    /// An instance.
    Instance(Participant),
    /// A relationship.
    Relationship {
        /// The source of the relationship.
        source: Participant,
        /// The target of the relationship.
        target: Participant,
        /// The end that the operation belongs to.
        end: RelationshipEnd,
    },
}

/// The state of an instance when a call begins.
#[derive(Clone, Debug)]
pub struct Participant {
    /// The instance.
    pub instance: Instance,
    /// The definition that its object was created from.
    pub node: Arc<Definition>,
    /// Its runtime properties.
    pub properties: JsonMap<String, Json>,
}

impl Call {
    /// Returns the instance that the step belongs to.
    #[must_use]
    pub fn own_instance(&self) -> &Participant {
        match &self.subject {
            Subject::Instance(own) => own,
            Subject::Relationship {
                source,
                end: RelationshipEnd::Source,
                ..
            } => source,
            Subject::Relationship { target, .. } => target,
        }
    }

    /// Returns the ID of the instance that the step belongs to.
    #[must_use]
    pub fn instance(&self) -> &str {
        &self.own_instance().instance.id
    }

    /// Returns the node of that instance.
    #[must_use]
    pub fn node(&self) -> &str {
        &self.own_instance().instance.node
    }

    /// Returns the runtime properties of that instance.
    #[must_use]
    pub fn properties(&self) -> &JsonMap<String, Json> {
        &self.own_instance().properties
    }

    /// Returns the call with other runtime properties and that instance as its subject.
    #[must_use]
    pub fn with_properties(&self, properties: JsonMap<String, Json>) -> Self {
        let own = Participant {
            properties,
            ..self.own_instance().clone()
        };
        Self {
            subject: Subject::Instance(own),
            ..self.clone()
        }
    }
}

/// Progress to show while a step runs; never stored.
#[derive(Clone, Debug, PartialEq)]
pub enum Progress {
    /// Transferred bytes.
    Bytes {
        /// Bytes so far.
        done: u64,
        /// Total; 0 if unknown.
        total: u64,
    },
    /// Description of the current activity.
    Note(String),
}

impl Progress {
    /// Returns the progress with known secrets redacted and control characters escaped.
    #[must_use]
    pub fn redacted(self, secrets: &Secrets) -> Self {
        match self {
            Self::Note(note) => Self::Note(printable(&secrets.redact(&note))),
            bytes @ Self::Bytes { .. } => bytes,
        }
    }
}

/// A message from a running step.
#[derive(Clone, Debug, PartialEq)]
pub enum StepNote {
    /// Progress to show.
    Progress(Progress),
    /// Changes to runtime properties. They stay if the step fails later.
    Outputs(Outputs),
    /// Lines of the log of the operation, in order.
    Log(Vec<LogLine>),
}

/// The result of settling a step whose outcome was lost.
#[derive(Clone, Debug, PartialEq)]
pub enum Settled {
    /// It succeeded, with these changes.
    Done(Outputs),
    /// It failed.
    Failed(Failure),
    /// It did not take effect, or the step itself checks that when it runs again.
    NotDone,
    /// The engine does not show the outcome.
    Unknown,
}

/// Receives the progress of a step.
pub type ProgressSink<'a> = &'a dyn Fn(Progress);
