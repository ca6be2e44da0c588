//! An engine in memory, for tests of the kernel: it fails, dies and forgets on command.

mod container;

use super::{Backend, Places};
use crate::{
    engine::Kind,
    model::{Deployment, Planned},
    plugins::docker,
    seam::{
        Call, Failure, Object, ObjectState, Observed, Outputs, Owner, ProgressSink, Step, Traits,
    },
};
use container::Made;
use serde::{Deserialize, Serialize};
use serde_json::{Map as JsonMap, Value as Json, json};
use std::{cell::RefCell, collections::HashMap, fmt};

/// Name of the plugin whose operations only tests carry out. It is no plugin that blueprints of
/// users can have.
pub(super) const PLUGIN: &str = "dockctl-simulated";

/// An operation that only tests carry out.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Operation {
    /// `interface.operation`, of a relationship as `side/interface.operation`.
    pub name: String,
    /// Its inputs.
    pub inputs: JsonMap<String, Json>,
}

impl Operation {
    /// The step that carries it out.
    pub(super) fn step(&self) -> Step {
        Step {
            plugin: PLUGIN.to_owned(),
            traits: Traits {
                title: self.to_string(),
                ..Traits::default()
            },
            payload: json!(self),
            ..Step::default()
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "simulate {}", self.name)
    }
}

/// The operation, if it is of the plugin.
pub(super) fn lower(name: &str, planned: &Planned) -> Option<Operation> {
    (planned.plugin == PLUGIN).then(|| Operation {
        name: name.to_owned(),
        inputs: planned.inputs.clone(),
    })
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
    pub const FAULTS: [Self; 6] = [
        Self::Refused,
        Self::RefusedOnce,
        Self::LostBefore,
        Self::LostAfter,
        Self::CutBefore,
        Self::CutAfter,
    ];
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
///
/// A container whose command says `missing` does not start, one whose command says `exit` ends a
/// moment after its start. One that shares something with another one (`network_mode:
/// container:NAME`, links and the like) needs that one to run; fixed ports can be had once.
#[derive(Default)]
pub struct Simulated {
    /// Containers that exist.
    pub containers: RefCell<Vec<Object>>,
    /// Requests in order: instance and step.
    pub requests: RefCell<Vec<(String, String)>>,
    /// What requests changed, in order: instance, and what was done. What finds its work done
    /// changes nothing.
    pub changes: RefCell<Vec<(String, Change)>>,
    fates: RefCell<Vec<(usize, Fate)>>,
    /// Starts of the ids of instances and of steps that are refused for them.
    refused: RefCell<Vec<(String, String)>>,
    /// What containers were made from, by id; those that are gone included.
    made: RefCell<HashMap<String, Made>>,
}

impl Simulated {
    /// Decides the fate of the `n`th request, counted from 0.
    #[must_use]
    pub fn fate(self, n: usize, fate: Fate) -> Self {
        self.doom(n, fate);
        self
    }

    /// Decides the fate of the `n`th request of an engine that was asked before, counted from 0.
    pub fn doom(&self, n: usize, fate: Fate) {
        self.fates.borrow_mut().push((n, fate));
    }

    /// Refuses for good what begins with these words, for instances whose ids begin so.
    pub fn refuse(&self, instance: &str, step: &str) {
        self.refused
            .borrow_mut()
            .push((instance.to_owned(), step.to_owned()));
    }

    /// Lets every later request succeed.
    pub fn calm(&self) {
        self.fates.borrow_mut().clear();
        self.refused.borrow_mut().clear();
    }

    fn is_refused(&self, call: &Call, step: &str) -> bool {
        self.refused
            .borrow()
            .iter()
            .any(|(id, words)| call.instance.starts_with(id) && step.starts_with(words))
    }

    /// Makes a container that no deployment made. It runs.
    pub fn foreign(&self, name: &str) {
        let object = object(format!("id-{name}"), name, None, ObjectState::Running);
        self.containers.borrow_mut().push(object);
    }

    fn fate_of(&self, n: usize) -> Fate {
        self.fates
            .borrow()
            .iter()
            .find(|(at, _)| *at == n)
            .map_or(Fate::Done, |(_, fate)| *fate)
    }

    fn note(&self, call: &Call, change: Change) {
        self.changes
            .borrow_mut()
            .push((call.instance.clone(), change));
    }

    /// The containers as a deployment sees them: the one that the record knows is an instance's,
    /// else all that were made for it.
    fn seen(&self, deployment: &Deployment, places: &Places) -> Vec<Object> {
        let mut all = self.containers.borrow().clone();
        let made = self.made.borrow();
        for object in &mut all {
            let known = |instance: &str| {
                places
                    .get(instance)
                    .and_then(|place| place.object.as_deref())
            };
            let mine = object
                .owner
                .take()
                .filter(|owner| known(&owner.instance).is_none_or(|id| id == object.id));
            object.owner = mine.map(|owner| Owner {
                as_declared: is_as_declared(deployment, &owner.instance, made.get(&object.id)),
                ..owner
            });
        }
        all
    }
}

/// Whether a container was made from what a deployment declares for an instance.
fn is_as_declared(deployment: &Deployment, instance: &str, made: Option<&Made>) -> bool {
    let instance = deployment.instance(instance);
    let declared =
        instance.and_then(|it| Some(docker::declaration_of(deployment, it, deployment.node(it)?)));
    declared.is_none_or(|declared| made.is_none_or(|made| made.declaration == declared))
}

/// The connection broke: nobody knows whether the engine did it.
fn cut() -> Failure {
    Failure {
        recoverable: true,
        lost: true,
        ..Failure::fatal("the connection was lost")
    }
}

fn object(id: String, name: &str, instance: Option<&str>, state: ObjectState) -> Object {
    Object {
        kind: Kind::Container,
        id,
        name: name.to_owned(),
        image: String::new(),
        state,
        health: None,
        started_at: None,
        exit_code: None,
        ports: Vec::new(),
        properties: JsonMap::new(),
        is_claimed: false,
        owner: instance.map(|instance| Owner {
            instance: instance.to_owned(),
            as_declared: true,
        }),
        engine: Object::DEFAULT_ENGINE.to_owned(),
        drift: Vec::new(),
        shown: None,
        comparison: crate::plugins::docker::declare::compare::Comparison::default(),
    }
}

impl Backend for Simulated {
    async fn perform(&self, call: &Call, _progress: ProgressSink<'_>) -> Result<Outputs, Failure> {
        if call.step.plugin != docker::ID {
            return Ok(Outputs::default());
        }
        let (step, action) = (&call.step, docker::Action::of(&call.step)?);
        let n = self.requests.borrow().len();
        self.requests
            .borrow_mut()
            .push((call.instance.clone(), step.to_string()));
        tokio::task::yield_now().await;
        let is_refused = self.is_refused(call, &step.to_string());
        match self.fate_of(n) {
            _ if is_refused => Err(Failure::fatal("refused")),
            Fate::Done => self.carry_out(call, &action),
            Fate::Refused => Err(Failure::fatal("refused")),
            Fate::RefusedOnce => Err(Failure {
                recoverable: true,
                ..Failure::fatal("refused once")
            }),
            Fate::CutBefore => Err(cut()),
            Fate::CutAfter => {
                self.carry_out(call, &action).ok();
                Err(cut())
            }
            Fate::LostBefore => std::future::pending().await,
            Fate::LostAfter => {
                self.carry_out(call, &action).ok();
                std::future::pending().await
            }
        }
    }

    async fn settle(&self, call: &Call, _since: u64) -> Result<Option<Outputs>, Failure> {
        if call.step.plugin != docker::ID {
            return Ok(Some(Outputs::default()));
        }
        let action = docker::Action::of(&call.step)?;
        Ok(self.look(call, &action))
    }

    async fn observe(&self, deployment: &Deployment, places: &Places) -> Result<Observed, Failure> {
        Ok(Observed {
            objects: self.seen(deployment, places),
            ..Observed::default()
        })
    }
}
