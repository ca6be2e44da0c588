//! An engine in memory, for tests of the kernel: it fails, dies and forgets on command.

use super::{Backend, Call, Failure, Object, ObjectKind, ObjectState, Observed, Outputs, Owner, Places, ProgressSink, Step, docker};
use crate::model::{Deployment, Planned};
use serde::{Deserialize, Serialize};
use serde_json::{Map as JsonMap, Value as Json};
use std::{cell::RefCell, fmt};

/// Name of the plugin whose operations only tests carry out. It is no plugin that blueprints of users can have.
const PLUGIN: &str = "dockctl-simulated";

/// An operation that only tests carry out.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Operation {
    /// `interface.operation`, of a relationship as `side/interface.operation`.
    pub name: String,
    /// Its inputs.
    pub inputs: JsonMap<String, Json>,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "simulate {}", self.name)
    }
}

/// The operation, if it is of the plugin.
pub(super) fn lower(name: &str, planned: &Planned) -> Option<Operation> {
    (planned.plugin == PLUGIN).then(|| Operation { name: name.to_owned(), inputs: planned.inputs.clone() })
}

/// What happens to one request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fate {
    /// The engine does what it is asked.
    Done,
    /// The engine refuses for good.
    Refused,
    /// The engine refuses once and does it the next time.
    RefusedOnce,
    /// The engine never answers, and does nothing.
    LostBefore,
    /// The engine does it, and the answer never comes.
    LostAfter,
    /// The connection breaks before the engine hears of it.
    CutBefore,
    /// The connection breaks after the engine did it.
    CutAfter,
}

impl Fate {
    /// All that can go wrong with one request.
    pub const FAULTS: [Self; 6] = [Self::Refused, Self::RefusedOnce, Self::LostBefore, Self::LostAfter, Self::CutBefore, Self::CutAfter];
}

/// What a request can change.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Change {
    Created,
    Started,
    Stopped,
    Removed,
}

/// An engine in memory.
#[derive(Default)]
pub struct Simulated {
    /// Containers that exist.
    pub containers: RefCell<Vec<Object>>,
    /// Requests in order: instance and step.
    pub requests: RefCell<Vec<(String, String)>>,
    /// What requests changed, in order: instance, and what was done. What finds its work done changes nothing.
    pub changes: RefCell<Vec<(String, Change)>>,
    fates: RefCell<Vec<(usize, Fate)>>,
}

impl Simulated {
    /// Decides the fate of the `n`th request, counted from 0.
    #[must_use]
    pub fn fate(self, n: usize, fate: Fate) -> Self {
        self.fates.borrow_mut().push((n, fate));
        self
    }

    /// Lets every later request succeed.
    pub fn calm(&self) {
        self.fates.borrow_mut().clear();
    }

    fn fate_of(&self, n: usize) -> Fate {
        self.fates.borrow().iter().find(|(at, _)| *at == n).map_or(Fate::Done, |(_, fate)| *fate)
    }

    fn note(&self, call: &Call, change: Change) {
        self.changes.borrow_mut().push((call.instance.clone(), change));
    }

    fn carry_out(&self, call: &Call, action: &docker::Action) -> Outputs {
        let mut containers = self.containers.borrow_mut();
        let mine = |object: &Object| object.owner.as_ref().is_some_and(|owner| owner.instance == call.instance);
        let mut outputs = Outputs::default();
        match action {
            docker::Action::Create(creation) => {
                if !containers.iter().any(mine) {
                    containers.push(created(call, creation));
                    self.note(call, Change::Created);
                }
                outputs = made(&call.instance);
            }
            docker::Action::Start { .. } => {
                for object in containers.iter_mut().filter(|object| mine(object) && object.state != ObjectState::Running) {
                    object.state = ObjectState::Running;
                    self.note(call, Change::Started);
                }
            }
            docker::Action::Stop { .. } => {
                for object in containers.iter_mut().filter(|object| mine(object) && object.state == ObjectState::Running) {
                    object.state = ObjectState::Exited;
                    self.note(call, Change::Stopped);
                }
            }
            docker::Action::Remove { .. } => {
                if containers.iter().any(mine) {
                    containers.retain(|object| !mine(object));
                    self.note(call, Change::Removed);
                }
                outputs = gone();
            }
            docker::Action::Image { .. } => outputs.set = JsonMap::from_iter([("image_id".to_owned(), "sha256:simulated".into())]),
            _ => {}
        }
        outputs
    }
}

fn made(instance: &str) -> Outputs {
    Outputs { set: JsonMap::from_iter([("container_id".to_owned(), format!("id-{instance}").into())]), unset: Vec::new() }
}

fn gone() -> Outputs {
    Outputs { unset: vec!["container_id".into(), "image_id".into()], ..Outputs::default() }
}

/// The connection broke: nobody knows whether the engine did it.
fn cut() -> Failure {
    Failure { recoverable: true, lost: true, ..Failure::fatal("the connection was lost") }
}

fn created(call: &Call, creation: &docker::Creation) -> Object {
    Object {
        kind: ObjectKind::Container,
        id: format!("id-{}", call.instance),
        name: creation.name.as_str().unwrap_or_default().to_owned(),
        image: String::new(),
        state: ObjectState::Created,
        health: None,
        started_at: None,
        exit_code: None,
        ports: Vec::new(),
        properties: JsonMap::new(),
        is_claimed: false,
        owner: Some(Owner { instance: call.instance.clone(), as_declared: true }),
        engine: Object::DEFAULT_ENGINE.to_owned(),
        drift: Vec::new(),
    }
}

impl Backend for Simulated {
    async fn perform(&self, call: &Call, _progress: ProgressSink<'_>) -> Result<Outputs, Failure> {
        let Step::Docker(step) = &call.step else { return Ok(Outputs::default()) };
        let n = self.requests.borrow().len();
        self.requests.borrow_mut().push((call.instance.clone(), step.to_string()));
        tokio::task::yield_now().await;
        match self.fate_of(n) {
            Fate::Done => Ok(self.carry_out(call, &step.action)),
            Fate::Refused => Err(Failure::fatal("refused")),
            Fate::RefusedOnce => Err(Failure { recoverable: true, ..Failure::fatal("refused once") }),
            Fate::CutBefore => Err(cut()),
            Fate::CutAfter => {
                self.carry_out(call, &step.action);
                Err(cut())
            }
            Fate::LostBefore => std::future::pending().await,
            Fate::LostAfter => {
                self.carry_out(call, &step.action);
                std::future::pending().await
            }
        }
    }

    async fn settle(&self, call: &Call, _since: u64) -> Result<Option<Outputs>, Failure> {
        let Step::Docker(step) = &call.step else { return Ok(Some(Outputs::default())) };
        let containers = self.containers.borrow();
        let mine = containers.iter().find(|object| object.owner.as_ref().is_some_and(|owner| owner.instance == call.instance));
        let runs = mine.is_some_and(|object| object.state == ObjectState::Running);
        Ok(match step.action {
            docker::Action::Create(_) => mine.map(|_| made(&call.instance)),
            docker::Action::Start { .. } => runs.then(Outputs::default),
            docker::Action::Stop { .. } => (!runs).then(Outputs::default),
            docker::Action::Remove { .. } => mine.is_none().then(gone),
            _ => None,
        })
    }

    async fn observe(&self, _deployment: &Deployment, _places: &Places) -> Result<Observed, Failure> {
        Ok(Observed { objects: self.containers.borrow().clone(), ..Observed::default() })
    }
}
