//! A simulated engine at the seam. It carries out the steps of the docker plugin in memory and
//! fails as a test specifies.

mod container;

use container::ContainerSpec;
use dockctl::secrets::Secrets;
use dockctl::{
    model::Deployment,
    plugins::{
        Driver, DriverFuture, Drivers, ObjectPlaces, ObserveContext, Plugins, StepContext,
        StepShell,
        docker::declare::{action::Action, declared::declaration},
    },
    seam::{
        Call, Comparison, Drift, DriftKind, Failure, FailureKind, Namespace, Object, ObjectState,
        Observed, Outputs, Owner, Settled, SharedNamespace, Target, Unseen,
    },
};
use serde_json::{Map as JsonMap, Value as Json};
use std::{cell::RefCell, collections::HashMap, iter::successors};

/// Returns the drivers of a run on a simulated engine.
pub(crate) fn drivers(driver: &dyn Driver) -> Drivers<'_> {
    Drivers::new(Plugins::default(), vec![("docker", driver)])
}

/// Returns tools that ignore notes.
pub(crate) fn no_tools(secrets: &Secrets) -> StepContext<'_> {
    StepContext {
        notes: &|_| Box::pin(async {}),
        inside: None,
        secrets,
    }
}

/// The result of one request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum RequestOutcome {
    /// The engine carries out the request.
    Done,
    /// The engine refuses the request permanently.
    Refused,
    /// The engine refuses the request; a retry succeeds.
    RefusedOnce,
    /// The engine ignores the request and never responds.
    IgnoredForever,
    /// The engine carries out the request and never responds.
    DoneWithoutResponse,
    /// The connection breaks before the engine receives the request.
    DisconnectedBefore,
    /// The connection breaks after the engine has carried out the request.
    DisconnectedAfter,
}

impl RequestOutcome {
    /// All faults of one request.
    pub(crate) const FAULTS: [Self; 6] = [
        Self::Refused,
        Self::RefusedOnce,
        Self::IgnoredForever,
        Self::DoneWithoutResponse,
        Self::DisconnectedBefore,
        Self::DisconnectedAfter,
    ];
}

/// A change of a container by a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Change {
    Created,
    Started,
    Stopped,
    Removed,
}

/// A simulated engine.
///
/// A container does not start if its command contains `missing`, and exits a moment after its start
/// if its command contains `exit`. A container that uses another one (`network_mode:
/// container:NAME`, links and the like) starts only if that one is running. Only one running
/// container can use a fixed port.
#[derive(Default)]
pub(crate) struct SimulatedEngine {
    /// Containers that exist.
    pub(crate) containers: RefCell<Vec<Object>>,
    /// Networks and volumes that exist.
    pub(crate) networks_and_volumes: RefCell<Vec<Object>>,
    /// Requests in order: instance and step.
    pub(crate) requests: RefCell<Vec<(String, String)>>,
    /// Changes in order: instance and change. A request that finds its work done changes nothing.
    pub(crate) changes: RefCell<Vec<(String, Change)>>,
    /// IDs of the containers that were started, in order.
    starts: RefCell<Vec<String>>,
    outcomes: RefCell<Vec<(usize, RequestOutcome)>>,
    /// Prefixes of instance IDs and of the steps that are refused for them.
    refused: RefCell<Vec<(String, String)>>,
    /// Prefix of the IDs of instances whose engine does not respond.
    silent: RefCell<Option<String>>,
    /// Definitions of containers by container ID, including removed containers.
    specs: RefCell<HashMap<String, ContainerSpec>>,
}

impl SimulatedEngine {
    /// Sets the result of the `n`th request, counted from 0.
    #[must_use]
    pub(crate) fn with_outcome(self, n: usize, fate: RequestOutcome) -> Self {
        self.set_outcome(n, fate);
        self
    }

    /// Sets the result of the request that will be at index `n` of `requests`.
    pub(crate) fn set_outcome(&self, n: usize, fate: RequestOutcome) {
        self.outcomes.borrow_mut().push((n, fate));
    }

    /// Permanently refuses steps that start with `step` for instances whose IDs start with
    /// `instance`.
    pub(crate) fn refuse(&self, instance: &str, step: &str) {
        self.refused
            .borrow_mut()
            .push((instance.to_owned(), step.to_owned()));
    }

    /// From now on, the engine of the instances whose IDs start with `instance` does not respond.
    pub(crate) fn silence(&self, instance: &str) {
        *self.silent.borrow_mut() = Some(instance.to_owned());
    }

    /// Removes all faults from later requests.
    pub(crate) fn clear_faults(&self) {
        self.outcomes.borrow_mut().clear();
        self.refused.borrow_mut().clear();
    }

    fn is_refused(&self, call: &Call, step: &str) -> bool {
        self.refused
            .borrow()
            .iter()
            .any(|(id, words)| call.instance().starts_with(id) && step.starts_with(words))
    }

    /// Creates a running container that belongs to no deployment.
    pub(crate) fn add_foreign(&self, name: &str) {
        let object = object(format!("id-{name}"), name, None, ObjectState::Running);
        self.containers.borrow_mut().push(object);
    }

    fn outcome_of(&self, n: usize) -> RequestOutcome {
        self.outcomes
            .borrow()
            .iter()
            .find(|(at, _)| *at == n)
            .map_or(RequestOutcome::Done, |(_, fate)| *fate)
    }

    fn log_change(&self, call: &Call, change: Change) {
        self.changes
            .borrow_mut()
            .push((call.instance().to_owned(), change));
    }

    /// Adds an object that existed before the test began, owned by `instance` if given.
    pub(crate) fn add_object(
        &self,
        kind: &'static str,
        id: &str,
        name: &str,
        instance: Option<&str>,
    ) {
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
            _ => self.networks_and_volumes.borrow_mut().push(object),
        }
    }

    /// Returns the objects as a deployment observes them.
    pub(crate) fn observed(&self, deployment: &Deployment, places: &ObjectPlaces) -> Observed {
        let silent = self.silent.borrow().clone();
        let is_silent = |id: &str| silent.as_ref().is_some_and(|it| id.starts_with(it));
        let mut objects = self.observed_objects(deployment, places);
        objects.retain(|it| !it.owner.as_ref().is_some_and(|it| is_silent(&it.instance)));
        let mut observed = Observed::new(objects, HashMap::new());
        let instances = places.keys().filter(|id| is_silent(id));
        let instances: Vec<String> = instances.cloned().collect();
        observed
            .unseen
            .extend((!instances.is_empty()).then(|| Unseen {
                engine: "silent".to_owned(),
                instances,
                reason: connection_lost(),
            }));
        observed
    }

    /// Returns all objects with their owners. An instance owns the container in its record or,
    /// without one, all containers created for it.
    fn observed_objects(&self, deployment: &Deployment, places: &ObjectPlaces) -> Vec<Object> {
        let mut all = self.containers.borrow().clone();
        all.extend(self.networks_and_volumes.borrow().iter().cloned());
        let made = self.specs.borrow();
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
                as_declared: matches_declaration(deployment, &owner.instance, made.get(&object.id)),
                ..owner
            });
            object.namespaces = shared_namespaces(&made, &object.id);
            object.drift = self.stale_namespaces(object);
        }
        all
    }

    /// Returns the names of the running containers that started before one whose namespaces they
    /// share.
    pub(crate) fn stale_sharers(&self) -> Vec<String> {
        let made = self.specs.borrow();
        let mut all = self.containers.borrow().clone();
        all.retain_mut(|object| {
            object.namespaces = shared_namespaces(&made, &object.id);
            !self.stale_namespaces(object).is_empty()
        });
        all.into_iter().map(|object| object.name).collect()
    }

    /// Returns the drift of a running container that started before one whose namespaces it shares.
    fn stale_namespaces(&self, object: &Object) -> Vec<Drift> {
        let starts = self.starts.borrow();
        let last_start = |id: &str| starts.iter().rposition(|started| started == id);
        let is_later = |owner: &&String| last_start(owner) > last_start(&object.id);
        let mut shared = object.namespaces.iter();
        let later = shared.find(|it| is_later(&&it.owner));
        let later = later.filter(|it| self.runs(&it.owner) && object.state == ObjectState::Running);
        let drift = later.map(|it| Drift {
            field: "network_mode".to_owned(),
            declared: it.owner.as_str().into(),
            present: "of its start before".into(),
            repair: it.again.clone(),
            kind: DriftKind::StaleStart,
        });
        drift.into_iter().collect()
    }
}

fn shared_namespaces(made: &HashMap<String, ContainerSpec>, id: &str) -> Vec<SharedNamespace> {
    let joined_by = |id: &str, namespace: Namespace| {
        let mut shares = made.get(id)?.shares.iter();
        shares.find(|(it, _)| *it == namespace).map(|(_, id)| id)
    };
    let shared = |(namespace, joined): &(Namespace, String)| {
        let above = successors(Some(joined), |id| joined_by(id, *namespace));
        SharedNamespace {
            namespace: *namespace,
            joined: joined.clone(),
            owner: above.last().unwrap_or(joined).clone(),
            again: Action::Restart { params: Json::Null }.into_step(Target::default()),
        }
    };
    let shares = made.get(id).into_iter().flat_map(|it| &it.shares);
    shares.map(shared).collect()
}

/// Returns true if a container matches the declaration of its instance.
fn matches_declaration(
    deployment: &Deployment,
    instance: &str,
    made: Option<&ContainerSpec>,
) -> bool {
    let instance = deployment.instance(instance);
    let declared = instance.and_then(|it| Some(declaration(deployment, it, deployment.node(it)?)));
    declared.is_none_or(|declared| made.is_none_or(|made| made.declaration == declared))
}

/// Returns the failure of a broken connection: the outcome is unknown.
fn connection_lost() -> Failure {
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
        foreign_users: Vec::new(),
        stopped_users: Vec::new(),
        held_addresses: Vec::new(),
        namespaces: Vec::new(),
        image_id: String::new(),
    }
}

impl Driver for SimulatedEngine {
    fn perform<'a>(&'a self, call: &'a Call, _: StepContext<'a>) -> DriverFuture<'a, Outputs> {
        Box::pin(async move {
            let (n, step) = (self.requests.borrow().len(), call.step.to_string());
            let action = Action::from_step(&call.step)?;
            self.requests
                .borrow_mut()
                .push((call.instance().to_owned(), step.clone()));
            tokio::task::yield_now().await;
            let is_refused = self.is_refused(call, &step);
            match self.outcome_of(n) {
                _ if is_refused => Err(Failure::fatal("refused")),
                RequestOutcome::Done => self.carry_out(call, &action),
                RequestOutcome::Refused => Err(Failure::fatal("refused")),
                RequestOutcome::RefusedOnce => Err(Failure::fatal("refused once").temporary()),
                RequestOutcome::DisconnectedBefore => Err(connection_lost()),
                RequestOutcome::DisconnectedAfter => {
                    self.carry_out(call, &action).ok();
                    Err(connection_lost())
                }
                RequestOutcome::IgnoredForever => std::future::pending().await,
                RequestOutcome::DoneWithoutResponse => {
                    self.carry_out(call, &action).ok();
                    std::future::pending().await
                }
            }
        })
    }

    fn settle<'a>(
        &'a self,
        call: &'a Call,
        _: u64,
        _: Option<StepShell<'a>>,
    ) -> DriverFuture<'a, Settled> {
        Box::pin(async move {
            let found = self.settled_outputs(call, &Action::from_step(&call.step)?);
            Ok(found.map_or(Settled::NotDone, Settled::Done))
        })
    }

    fn observe<'a>(
        &'a self,
        scene: ObserveContext<'a>,
        places: &'a ObjectPlaces,
    ) -> DriverFuture<'a, Observed> {
        Box::pin(async move { Ok(self.observed(scene.deployment, places)) })
    }
}
