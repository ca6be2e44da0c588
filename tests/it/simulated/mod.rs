//! An engine in memory, on the seam: it fails, dies and forgets on command. It performs what steps of
//! the docker plugin hold.

mod container;

use container::Made;
use dockctl::{
    model::Deployment,
    plugins::{
        Answer, Driver, Drivers, Inside, Places, Plugins, Scene, Tools,
        docker::declare::{action::Action, declared::declaration},
    },
    seam::{
        Call, Comparison, Failure, FailureKind, Object, ObjectState, Observed, Outputs, Owner,
        Settled,
    },
};
use serde_json::Map as JsonMap;
use std::{cell::RefCell, collections::HashMap};

/// The drivers of a run on an engine in memory.
pub(crate) fn drivers(driver: &dyn Driver) -> Drivers<'_> {
    Drivers::new(Plugins::default(), vec![("docker", driver)])
}

/// Nobody listens.
pub(crate) fn no_tools() -> Tools<'static> {
    Tools {
        notes: &|_| Box::pin(async {}),
        inside: None,
    }
}

/// What happens to one request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Fate {
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
    pub(crate) const FAULTS: [Self; 6] = [
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
pub(crate) enum Change {
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
pub(crate) struct Simulated {
    /// Containers that exist.
    pub(crate) containers: RefCell<Vec<Object>>,
    /// Networks and volumes that exist.
    pub(crate) others: RefCell<Vec<Object>>,
    /// Requests in order: instance and step.
    pub(crate) requests: RefCell<Vec<(String, String)>>,
    /// What requests changed, in order: instance, and what was done. What finds its work done
    /// changes nothing.
    pub(crate) changes: RefCell<Vec<(String, Change)>>,
    fates: RefCell<Vec<(usize, Fate)>>,
    /// Starts of the ids of instances and of steps that are refused for them.
    refused: RefCell<Vec<(String, String)>>,
    /// What containers were made from, by id; those that are gone included.
    made: RefCell<HashMap<String, Made>>,
}

impl Simulated {
    /// Decides the fate of the `n`th request, counted from 0.
    #[must_use]
    pub(crate) fn fate(self, n: usize, fate: Fate) -> Self {
        self.doom(n, fate);
        self
    }

    /// Decides the fate of the `n`th request of an engine that was asked before, counted from 0.
    pub(crate) fn doom(&self, n: usize, fate: Fate) {
        self.fates.borrow_mut().push((n, fate));
    }

    /// Refuses for good what begins with these words, for instances whose ids begin so.
    pub(crate) fn refuse(&self, instance: &str, step: &str) {
        self.refused
            .borrow_mut()
            .push((instance.to_owned(), step.to_owned()));
    }

    /// Lets every later request succeed.
    pub(crate) fn calm(&self) {
        self.fates.borrow_mut().clear();
        self.refused.borrow_mut().clear();
    }

    fn is_refused(&self, call: &Call, step: &str) -> bool {
        self.refused
            .borrow()
            .iter()
            .any(|(id, words)| call.instance().starts_with(id) && step.starts_with(words))
    }

    /// Makes a container that no deployment made. It runs.
    pub(crate) fn foreign(&self, name: &str) {
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
            .push((call.instance().to_owned(), change));
    }

    /// An object that was made for an instance before the test began.
    pub(crate) fn has(&self, kind: &'static str, id: &str, name: &str, instance: Option<&str>) {
        let state = match kind {
            "container" => ObjectState::Running,
            _ => ObjectState::Available,
        };
        let object = Object {
            kind,
            ..object(id.to_owned(), name, instance, state)
        };
        match kind {
            "container" => self.containers.borrow_mut().push(object),
            _ => self.others.borrow_mut().push(object),
        }
    }

    /// What there is for a deployment.
    pub(crate) fn shows(&self, deployment: &Deployment, places: &Places) -> Observed {
        Observed::new(self.seen(deployment, places), HashMap::new())
    }

    /// The containers as a deployment sees them: the one that the record knows is an instance's,
    /// else all that were made for it.
    fn seen(&self, deployment: &Deployment, places: &Places) -> Vec<Object> {
        let mut all = self.containers.borrow().clone();
        all.extend(self.others.borrow().iter().cloned());
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
    let declared = instance.and_then(|it| Some(declaration(deployment, it, deployment.node(it)?)));
    declared.is_none_or(|declared| made.is_none_or(|made| made.declaration == declared))
}

/// The connection broke: nobody knows whether the engine did it.
fn cut() -> Failure {
    Failure {
        kind: FailureKind::of(true, true),
        ..Failure::fatal("the connection was lost")
    }
}

fn object(id: String, name: &str, instance: Option<&str>, state: ObjectState) -> Object {
    Object {
        kind: "container",
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
        comparison: Comparison::default(),
    }
}

impl Driver for Simulated {
    fn perform<'a>(&'a self, call: &'a Call, _: Tools<'a>) -> Answer<'a, Outputs> {
        Box::pin(async move {
            let (n, step) = (self.requests.borrow().len(), call.step.to_string());
            let action = Action::of(&call.step)?;
            self.requests
                .borrow_mut()
                .push((call.instance().to_owned(), step.clone()));
            tokio::task::yield_now().await;
            let is_refused = self.is_refused(call, &step);
            match self.fate_of(n) {
                _ if is_refused => Err(Failure::fatal("refused")),
                Fate::Done => self.carry_out(call, &action),
                Fate::Refused => Err(Failure::fatal("refused")),
                Fate::RefusedOnce => Err(Failure::fatal("refused once").may_pass()),
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
        })
    }

    fn settle<'a>(&'a self, call: &'a Call, _: u64, _: Option<Inside<'a>>) -> Answer<'a, Settled> {
        Box::pin(async move {
            let found = self.look(call, &Action::of(&call.step)?);
            Ok(found.map_or(Settled::NotDone, Settled::Done))
        })
    }

    fn observe<'a>(&'a self, scene: Scene<'a>, places: &'a Places) -> Answer<'a, Observed> {
        Box::pin(async move { Ok(self.shows(scene.deployment, places)) })
    }
}
