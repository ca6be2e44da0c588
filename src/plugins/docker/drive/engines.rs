//! All engines of a deployment: each is connected to once, when it is first needed.

use crate::{
    engine::{ConnectError, Host},
    plugins::{
        Answer, Driver, Inside, Places, Scene, Shell, Tools,
        docker::{
            declare::{action::Action, author::Author},
            drive::{
                engine::{Engine, TakenOver},
                guard::{Guard, GuardHolder, Unguarded},
            },
        },
    },
    record::Record,
    seam::{
        Call, Command, Failure, Note, Object, Observed, Outputs, Reached, Settled, Step, Streams,
        Target,
    },
};
use std::{
    cell::RefCell,
    collections::{BTreeMap, HashMap},
    rc::Rc,
};
use tokio::sync::OnceCell;

/// The default engine, and those that operations name themselves.
pub struct Engines {
    default: Host,
    author: Author,
    open: RefCell<HashMap<String, Rc<OnceCell<Rc<Engine>>>>>,
    taken_over: TakenOver,
}

impl Engines {
    /// Nothing is connected to yet. The author's key makes the digests that go into labels.
    #[must_use]
    pub fn new(default: Host, author: Author) -> Self {
        Self {
            default,
            author,
            open: RefCell::default(),
            taken_over: TakenOver::default(),
        }
    }

    /// From here on, what the user took over is as good as sealed: the ids are those of the record.
    pub fn trust(&self, record: &Record) {
        self.taken_over
            .borrow_mut()
            .extend(record.taken_over.iter().cloned());
    }

    /// The first contact with every engine that is known by now, so that one which does not answer
    /// is told before anything begins.
    ///
    /// # Errors
    ///
    /// Of the first engine that cannot be used.
    pub async fn connect(&self, places: &Places) -> Result<(), ConnectError> {
        for place in places.values() {
            self.get(&place.target).await?;
        }
        Ok(())
    }

    /// The engine that the command line and the environment name.
    ///
    /// # Errors
    ///
    /// If it does not answer.
    pub async fn default_engine(&self) -> Result<Rc<Engine>, ConnectError> {
        self.get(&Target::Default).await
    }

    /// Whether a connection to an engine was lost since this was last asked: it may have been
    /// restarted.
    pub fn was_cut(&self) -> bool {
        let open: Vec<Rc<Engine>> = self
            .open
            .borrow()
            .values()
            .filter_map(|place| place.get().cloned())
            .collect();
        open.iter()
            .filter(|engine| engine.client.was_cut() | engine.watch.was_cut())
            .count()
            > 0
    }

    /// Guards a deployment on every engine that is known by now.
    ///
    /// # Errors
    ///
    /// If somebody else does, or an engine cannot be used.
    pub async fn guard(
        &self,
        deployment: &str,
        places: &Places,
        me: GuardHolder,
    ) -> Result<Guard, Unguarded> {
        let refused = |error: ConnectError| Unguarded::Refused(unreachable(&error));
        let mut hosts: BTreeMap<String, Rc<Engine>> = BTreeMap::new();
        for engine in places
            .values()
            .map(|place| &place.target)
            .chain([&Target::Default].into_iter().filter(|_| places.is_empty()))
        {
            let name = self.host(engine).map_err(refused)?.address;
            hosts.insert(name, self.get(engine).await.map_err(refused)?);
        }
        Guard::take(hosts.into_values().collect(), deployment, me).await
    }

    /// Whether an engine takes a new connection. One that is being shut down does not, though it
    /// goes on telling those that listen already how it ends its containers.
    pub(crate) async fn accepts(&self, engine: &Target) -> bool {
        match self.host(engine) {
            Ok(host) => Engine::connect(&host, &self.author, &self.taken_over)
                .await
                .is_ok(),
            Err(_) => false,
        }
    }

    /// Connects, unless that was done. Two that ask at once share one connection.
    pub(crate) async fn get(&self, engine: &Target) -> Result<Rc<Engine>, ConnectError> {
        let host = self.host(engine)?;
        let place = self
            .open
            .borrow_mut()
            .entry(format!("{host:?}"))
            .or_default()
            .clone();
        let connected = place
            .get_or_try_init(async || {
                Engine::connect(&host, &self.author, &self.taken_over)
                    .await
                    .map(Rc::new)
            })
            .await;
        connected.cloned()
    }

    fn host(&self, engine: &Target) -> Result<Host, ConnectError> {
        match engine {
            Target::Default => Ok(self.default.clone()),
            Target::At { arguments, .. } => Host::of_client(arguments, &self.default),
        }
    }

    fn name(&self, host: &Host) -> String {
        if host.address == self.default.address {
            Object::DEFAULT_ENGINE.to_owned()
        } else {
            host.address.clone()
        }
    }
}

impl Driver for Engines {
    fn perform<'a>(&'a self, call: &'a Call, tools: Tools<'a>) -> Answer<'a, Outputs> {
        Box::pin(async move {
            let action = Action::of(&call.step)?;
            let engine = self.of(&call.step).await?;
            // What is only shown need not be waited for.
            let progress = |progress| drop((tools.notes)(Note::Progress(progress)));
            engine.perform(&action, call, &progress).await
        })
    }

    fn settle<'a>(
        &'a self,
        call: &'a Call,
        since: u64,
        _: Option<Inside<'a>>,
    ) -> Answer<'a, Settled> {
        Box::pin(async move {
            let action = Action::of(&call.step)?;
            let engine = self.of(&call.step).await?;
            let found = engine.settle(&action, call, since).await?;
            Ok(found.map_or(Settled::NotDone, Settled::Done))
        })
    }

    fn observe<'a>(&'a self, scene: Scene<'a>, places: &'a Places) -> Answer<'a, Observed> {
        Box::pin(self.seen(scene, places))
    }

    /// Engines that are known only later are asked then.
    fn refusals<'a>(&'a self, steps: &'a [&'a Step]) -> Answer<'a, Vec<Vec<String>>> {
        Box::pin(async move {
            let mut all = Vec::new();
            for step in steps {
                all.push(self.refused(step).await?);
            }
            Ok(all)
        })
    }

    fn as_shell(&self) -> Option<&dyn Shell> {
        Some(self)
    }
}

impl Shell for Engines {
    fn run<'a>(
        &'a self,
        place: &'a Reached,
        command: &'a Command,
        streams: &'a mut dyn Streams,
    ) -> Answer<'a, i64> {
        Box::pin(async move {
            let engine = self
                .get(&place.target)
                .await
                .map_err(|error| unreachable(&error))?;
            let attached = engine.attach(&place.object, command).await?;
            let id = attached.id().to_owned();
            attached.pass_on(command.input, streams).await?;
            engine.exit_code(&id).await
        })
    }
}

impl Engines {
    async fn of(&self, step: &Step) -> Result<Rc<Engine>, Failure> {
        self.get(&step.target)
            .await
            .map_err(|error| unreachable(&error))
    }

    async fn refused(&self, step: &Step) -> Result<Vec<String>, Failure> {
        if step.target.is_late() || !step.declares_anew() && !step.traits.makes_successor {
            return Ok(Vec::new());
        }
        let (Action::Create(creation) | Action::CreateSuccessor(creation)) = Action::of(step)?
        else {
            return Ok(Vec::new());
        };
        Ok(self.of(step).await?.too_old_for(&creation))
    }

    async fn seen(&self, scene: Scene<'_>, places: &Places) -> Result<Observed, Failure> {
        let mut observed = Observed::default();
        let mut engines: BTreeMap<String, &Target> = BTreeMap::new();
        for (instance, place) in places {
            let host = self
                .host(&place.target)
                .map_err(|error| unreachable(&error))?;
            let name = self.name(&host);
            observed.engines.insert(instance.clone(), name.clone());
            engines.entry(name).or_insert(&place.target);
        }
        for (name, target) in engines {
            let engine = self
                .get(target)
                .await
                .map_err(|error| unreachable(&error))?;
            let objects = Box::pin(engine.objects(scene, places, &name)).await?;
            observed.objects.extend(objects);
        }
        Ok(observed)
    }
}

/// No engine: that was true a moment ago, or will be for good. Trying again is what a person
/// decides.
fn unreachable(error: &ConnectError) -> Failure {
    Failure::fatal(error.to_string()).hint("is the engine running, and may you use it?")
}
