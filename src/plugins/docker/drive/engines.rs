//! All engines of a deployment. Each is connected once, on first use.

use crate::{
    author::Author,
    discovery::Discovery,
    engine::{Connections, Host},
    model::{Difference, Instance},
    plugins::{
        Adopter, Driver, DriverFuture, DriverSettings, FoundGuard, Guard, GuardError, GuardFuture,
        GuardHolder, ObjectEvents, ObjectIndex, ObjectPlaces, ObserveContext, Shell, StepContext,
        StepShell, Watch,
        docker::{
            declare::action::Action,
            drive::{
                engine::{Engine, TakenOver},
                guard::VolumeGuard,
            },
        },
        drivers::merge_until_one_ends,
    },
    record::Record,
    seam::{
        Call, Failure, ForeignSharers, Object, Observed, Outputs, Settled, Step, Target, Unseen,
    },
};
use futures_util::StreamExt as _;
use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet, HashMap},
    future::Future,
    pin::Pin,
    rc::Rc,
};

/// Engines of a deployment's steps and objects.
pub(crate) struct Engines {
    connections: Rc<Connections>,
    author: Author,
    asks_registry: bool,
    open: RefCell<HashMap<String, Rc<Engine>>>,
    /// Engines that did not respond when the deployment was guarded, with the reason.
    silent: RefCell<HashMap<String, Failure>>,
    taken_over: TakenOver,
}

impl Engines {
    /// Creates the set without opening a connection.
    pub(crate) fn new(settings: &DriverSettings) -> Self {
        Self {
            connections: settings.connections.clone(),
            author: settings.author.clone(),
            asks_registry: settings.asks_registry,
            open: RefCell::default(),
            silent: RefCell::default(),
            taken_over: TakenOver::default(),
        }
    }

    /// Returns the engine that the command line and the environment select.
    pub(crate) async fn default_engine(&self) -> Result<Rc<Engine>, Failure> {
        self.get(&Target::Default).await
    }

    /// Returns an engine and connects to it if needed.
    pub(crate) async fn get(&self, target: &Target) -> Result<Rc<Engine>, Failure> {
        let host = self.connections.host(target)?;
        if let Some(reason) = self.silent.borrow().get(&host.key()) {
            return Err(reason.clone());
        }
        let client = self.connections.get(&host).await?;
        let mut open = self.open.borrow_mut();
        let made = || {
            let options = (&self.author, self.asks_registry);
            Rc::new(Engine::new(client, options, &self.taken_over))
        };
        Ok(open.entry(host.key()).or_insert_with(made).clone())
    }

    fn name(&self, host: &Host) -> String {
        if self.connections.is_default(host) {
            Object::DEFAULT_ENGINE.to_owned()
        } else {
            host.address.clone()
        }
    }

    /// Returns the name of a target's engine.
    pub(super) fn engine_of(&self, target: &Target) -> String {
        let host = self.connections.host(target);
        host.map_or_else(|_| target.to_string(), |host| self.name(&host))
    }

    /// Returns each engine that responds once, even if targets name it in different ways, and the
    /// reasons why others do not, by the key of their host.
    ///
    /// # Errors
    ///
    /// If none responds.
    async fn distinct(
        &self,
        targets: &[Target],
    ) -> Result<(Vec<Rc<Engine>>, HashMap<String, Failure>), Failure> {
        let mut engines: BTreeMap<String, Rc<Engine>> = BTreeMap::new();
        let mut silent = HashMap::new();
        for target in targets {
            let host = self.connections.host(target)?;
            match self.get(target).await {
                Ok(engine) => drop(engines.insert(host.address, engine)),
                Err(reason) => drop(silent.insert(host.key(), reason)),
            }
        }
        match silent.values().next() {
            Some(reason) if engines.is_empty() => Err(reason.clone()),
            _ => Ok((engines.into_values().collect(), silent)),
        }
    }
}

impl Driver for Engines {
    fn perform<'a>(&'a self, call: &'a Call, tools: StepContext<'a>) -> DriverFuture<'a, Outputs> {
        Box::pin(async move {
            let action = Action::from_step(&call.step)?;
            let engine = self.get(&call.step.target).await?;
            engine.perform(&action, call, tools.notes).await
        })
    }

    fn settle<'a>(
        &'a self,
        call: &'a Call,
        since: u64,
        _: Option<StepShell<'a>>,
    ) -> DriverFuture<'a, Settled> {
        Box::pin(async move {
            let action = Action::from_step(&call.step)?;
            let engine = self.get(&call.step.target).await?;
            let found = engine.settle(&action, call, since).await?;
            Ok(found.map_or(Settled::NotDone, Settled::Done))
        })
    }

    fn observe<'a>(
        &'a self,
        scene: ObserveContext<'a>,
        places: &'a ObjectPlaces,
    ) -> DriverFuture<'a, Observed> {
        Box::pin(self.observe_all(scene, places))
    }

    fn moved<'a>(
        &'a self,
        scene: ObserveContext<'a>,
        places: &'a ObjectPlaces,
        observed: &'a Observed,
    ) -> DriverFuture<'a, BTreeMap<String, Vec<Difference>>> {
        Box::pin(self.all_moved(scene, places, observed))
    }

    fn foreign_sharers<'a>(
        &'a self,
        scene: ObserveContext<'a>,
        places: &'a ObjectPlaces,
        instances: &'a BTreeSet<String>,
    ) -> DriverFuture<'a, Vec<ForeignSharers>> {
        Box::pin(self.all_foreign_sharers(scene, places, instances))
    }

    /// Skips engines that are known only later: they are checked when their step runs.
    fn unsupported_features<'a>(
        &'a self,
        steps: &'a [&'a Step],
    ) -> DriverFuture<'a, Vec<Vec<String>>> {
        Box::pin(async move {
            let mut all = Vec::new();
            for step in steps {
                all.push(self.refusals_of(step).await?);
            }
            Ok(all)
        })
    }

    fn version_warnings(&self) -> BTreeSet<String> {
        let open = self.open.borrow();
        let warnings = open.values().filter_map(|it| it.client.version_warning());
        warnings.map(str::to_owned).collect()
    }

    fn trust_taken_over(&self, record: &Record) {
        let mut taken_over = self.taken_over.borrow_mut();
        taken_over.ids.extend(record.taken_over.iter().cloned());
        let foreign = record.foreign_objects();
        let foreign = foreign.map(|it| (it.id.clone(), it.clone()));
        taken_over.foreign.extend(foreign);
    }

    fn add_claims<'a>(&'a self, discovery: &'a mut Discovery) -> DriverFuture<'a, ()> {
        Box::pin(async move { self.default_engine().await?.add_claims(discovery).await })
    }

    fn deployments(&self) -> DriverFuture<'_, BTreeMap<String, usize>> {
        Box::pin(async move { self.default_engine().await?.deployments().await })
    }

    fn lost_connection(&self) -> bool {
        let open = self.open.borrow();
        // Calls every engine, because the call resets its flag.
        let cut = open
            .values()
            .filter(|engine| engine.client.was_disconnected() | engine.watch.lost_connection());
        cut.count() > 0
    }

    fn as_shell(&self) -> Option<&dyn Shell> {
        Some(self)
    }

    fn as_watch(&self) -> Option<&dyn Watch> {
        Some(self)
    }

    fn as_guard(&self) -> Option<&dyn Guard> {
        Some(self)
    }

    fn as_index(&self) -> Option<&dyn ObjectIndex> {
        Some(self)
    }

    fn as_adopter(&self) -> Option<&dyn Adopter> {
        Some(self)
    }
}

impl Watch for Engines {
    fn events<'a>(
        &'a self,
        deployment: &'a str,
        targets: &'a [Target],
    ) -> DriverFuture<'a, ObjectEvents> {
        Box::pin(async move {
            let (engines, _) = self.distinct(targets).await?;
            let stream = |engine: &Rc<Engine>| engine.events(deployment).boxed_local();
            Ok(merge_until_one_ends(engines.iter().map(stream).collect()))
        })
    }

    fn accepts_connections<'a>(
        &'a self,
        target: &'a Target,
    ) -> Pin<Box<dyn Future<Output = bool> + 'a>> {
        Box::pin(async move {
            match self.connections.host(target) {
                Ok(host) => self.connections.accepts(&host).await,
                Err(_) => false,
            }
        })
    }
}

impl Guard for Engines {
    fn acquire<'a>(
        &'a self,
        deployment: &'a str,
        targets: &'a [Target],
        me: &'a GuardHolder,
    ) -> GuardFuture<'a> {
        Box::pin(async move {
            let found = self.distinct(targets).await;
            let (engines, silent) = found.map_err(GuardError::Refused)?;
            self.silent.borrow_mut().extend(silent);
            let guard = VolumeGuard::take(engines, deployment, me.clone()).await?;
            Ok(Box::new(guard) as _)
        })
    }

    fn list<'a>(
        &'a self,
        deployment: &'a str,
        me: &'a GuardHolder,
    ) -> DriverFuture<'a, Vec<FoundGuard>> {
        Box::pin(async move { self.default_engine().await?.guards(deployment, me).await })
    }

    fn remove<'a>(&'a self, deployment: &'a str) -> DriverFuture<'a, ()> {
        Box::pin(async move { self.default_engine().await?.remove_guards(deployment).await })
    }
}

impl Engines {
    async fn refusals_of(&self, step: &Step) -> Result<Vec<String>, Failure> {
        if step.target.is_late() || !step.creates_object() && !step.traits.makes_successor {
            return Ok(Vec::new());
        }
        let (Action::Create(creation) | Action::CreateSuccessor(creation)) =
            Action::from_step(step)?
        else {
            return Ok(Vec::new());
        };
        Ok(self.get(&step.target).await?.unsupported_in(&creation))
    }

    async fn all_moved(
        &self,
        scene: ObserveContext<'_>,
        places: &ObjectPlaces,
        observed: &Observed,
    ) -> Result<BTreeMap<String, Vec<Difference>>, Failure> {
        let mut by_engine: BTreeMap<String, (&Target, Vec<&Instance>)> = BTreeMap::new();
        for (id, place) in places.iter().filter(|(id, _)| !observed.is_unseen(id)) {
            let key = self.connections.host(&place.target)?.key();
            let (_, instances) = by_engine.entry(key).or_insert((&place.target, Vec::new()));
            instances.extend(scene.deployment.instance(id));
        }
        let mut moved = BTreeMap::new();
        for (target, instances) in by_engine.values() {
            let engine = self.get(target).await?;
            moved.extend(engine.moved_images(scene, instances, observed).await?);
        }
        Ok(moved)
    }

    async fn all_foreign_sharers(
        &self,
        scene: ObserveContext<'_>,
        places: &ObjectPlaces,
        instances: &BTreeSet<String>,
    ) -> Result<Vec<ForeignSharers>, Failure> {
        let mut engines: BTreeMap<String, &Target> = BTreeMap::new();
        for (_, place) in places.iter().filter(|(id, _)| instances.contains(*id)) {
            let key = self.connections.host(&place.target)?.key();
            engines.entry(key).or_insert(&place.target);
        }
        let mut sharers = Vec::new();
        for target in engines.into_values() {
            let engine = self.get(target).await?;
            sharers.extend(
                engine
                    .foreign_sharers((scene.record, places), instances)
                    .await?,
            );
        }
        Ok(sharers)
    }

    async fn observe_all(
        &self,
        scene: ObserveContext<'_>,
        places: &ObjectPlaces,
    ) -> Result<Observed, Failure> {
        let (mut objects, mut hosts) = (Vec::new(), HashMap::new());
        let mut engines: BTreeMap<String, &Target> = BTreeMap::new();
        for (instance, place) in places {
            let host = self.connections.host(&place.target)?;
            let name = self.name(&host);
            hosts.insert(instance.clone(), name.clone());
            engines.entry(name).or_insert(&place.target);
        }
        let mut unseen = Vec::new();
        for (name, target) in engines {
            let seen = async {
                let engine = self.get(target).await?;
                Box::pin(engine.objects(scene, places, &name)).await
            };
            match seen.await {
                Ok(seen) => objects.extend(seen),
                Err(reason) => unseen.push((name, reason)),
            }
        }
        let unseen = unseen.into_iter();
        let unseen = unseen.map(|(name, reason)| unseen_engine(name, &hosts, reason));
        let unseen: Vec<Unseen> = unseen.collect();
        let mut observed = Observed::new(objects, hosts);
        observed.unseen = unseen;
        Ok(observed)
    }
}

/// Describes an engine that does not respond. `engines` has the name of the engine of each instance.
fn unseen_engine(engine: String, engines: &HashMap<String, String>, reason: Failure) -> Unseen {
    let there = engines.iter().filter(|(_, name)| **name == engine);
    let mut instances: Vec<String> = there.map(|(id, _)| id.clone()).collect();
    instances.sort();
    Unseen {
        engine,
        instances,
        reason,
    }
}
