//! Creating, starting, stopping and removing containers, and adopting those that exist.

use crate::{
    diagnostic::Fault,
    engine::{EngineError, Kind, Lines, Says, Version, config_folder, failure, read_json, status},
    plugins::docker::{
        declare::{
            action::{Creation, Dialect},
            change::{CARRIED, POLICY, PREDECESSOR, SUCCESSOR},
            container::{Container, is_name, mount_carried, plain_name},
            label::{self, names_instance, with_carried},
            params::{self, Gate, Removal},
            request::{NewContainer, assembled},
            standing::ADOPTED_STATE,
        },
        drive::{engine::Engine, wait_for},
    },
    printable::printable,
    seam::{Call, Exit, Failure, ObjectState, Outputs},
};
use futures_util::StreamExt as _;
use serde_json::{Map as JsonMap, Value as Json, json};
use std::{
    collections::{BTreeSet, VecDeque},
    time::Duration,
};

/// Lines of a container's log that a failure shows.
const LOG_LINES: usize = 20;
/// Longest of them, in characters.
const LOG_LINE: usize = 400;
/// How long it may take to read them.
const LOG_TIME: Duration = Duration::from_secs(10);
/// Seconds that the engine waits after the signal where nothing is said; docker-py 1.x sends them.
const STOP_TIMEOUT: i64 = 10;

/// How long the engine has to remove a container with `AutoRemove` that was stopped.
const REMOVAL: Duration = Duration::from_secs(20);
/// Pause between two looks whether it did.
const LOOK: Duration = Duration::from_millis(100);

/// Runtime properties that go with the container.
const FORGOTTEN: [&str; 12] = [
    "container_id",
    "image_id",
    "network_settings",
    "ports",
    "container",
    "container_args",
    "container_info",
    "run_result",
    SUCCESSOR,
    PREDECESSOR,
    CARRIED,
    POLICY,
];

/// A request to create a container, complete.
struct Request {
    name: String,
    platform: Option<String>,
    body: Json,
    digest: String,
}

impl Engine {
    /// Creates the container of an instance. If one of this name is there already and was made for
    /// the instance from the same request, by a run that died, it is the container.
    pub(crate) async fn create(
        &self,
        call: &Call,
        creation: &Creation,
    ) -> Result<Outputs, Failure> {
        self.create_as(call, creation, creation.name.as_str().unwrap_or_default())
            .await
    }

    /// As [`create`](Self::create), under another name for the time being.
    pub(crate) async fn create_as(
        &self,
        call: &Call,
        creation: &Creation,
        name: &str,
    ) -> Result<Outputs, Failure> {
        let request = Request {
            name: name.to_owned(),
            ..self.request(call, creation)?
        };
        if creation.needs_check && request.body.get("Healthcheck").is_none() {
            self.expect_check(call).await?;
        }
        let mut created = match self.post_create(&request).await {
            Ok(id) => container_id(id),
            Err(error) if is_name_conflict(&error) => self.take_up(call, &request).await?,
            Err(error) => return Err(cannot_create(&error, &request.name)),
        };
        // What blueprints of the plugin 2.x read.
        if creation.dialect == Dialect::ContainerArgs {
            let id = created.set.get("container_id").cloned().unwrap_or_default();
            created.set.extend([
                ("container".to_owned(), id),
                ("container_args".to_owned(), creation.create.clone()),
            ]);
        }
        Ok(created)
    }

    /// A container that will be waited for to be healthy has a health check from somewhere, or is
    /// not even made.
    async fn expect_check(&self, call: &Call) -> Result<(), Failure> {
        let image = call
            .properties()
            .get("image_id")
            .and_then(Json::as_str)
            .unwrap_or_default();
        let check = self
            .image(image)
            .await?
            .map(|image| image["Config"]["Healthcheck"]["Test"].clone())
            .unwrap_or_default();
        if check[0].is_null() || check[0] == "NONE" {
            Err(wait_for::no_check())
        } else {
            Ok(())
        }
    }

    async fn post_create(&self, request: &Request) -> Result<String, EngineError> {
        let platform = request
            .platform
            .clone()
            .map(|platform| ("platform", platform));
        let query: Vec<_> = [("name", request.name.clone())]
            .into_iter()
            .chain(platform)
            .collect();
        self.client
            .create("/containers/create", &query, &request.body)
            .await
    }

    /// Whether a container was made from the request that a creation comes to.
    pub(crate) fn is_made_from(
        &self,
        found: &Container,
        call: &Call,
        creation: &Creation,
    ) -> Result<bool, Failure> {
        Ok(found.label(label::REQUEST) == Some(&self.request(call, creation)?.digest))
    }

    /// A name that another container has cannot be given to one that takes a place.
    pub(crate) async fn expect_free(&self, call: &Call, name: &str) -> Result<(), Failure> {
        match self.inspect(name).await? {
            Some(found) if found.name() == name => {
                Err(name_taken(name, &found, call, self.is_claim(&found).await?))
            }
            _ => Ok(()),
        }
    }

    async fn take_up(&self, call: &Call, request: &Request) -> Result<Outputs, Failure> {
        let Some(found) = self.inspect(&request.name).await? else {
            return Err(Failure::fatal(format!(
                "a container named `{}` was there and is gone",
                request.name
            ))
            .may_pass());
        };
        if !names_instance(found.labels(), call) || !self.is_proven(&found).await? {
            return Err(name_taken(
                &request.name,
                &found,
                call,
                self.is_claim(&found).await?,
            ));
        }
        if found.label(label::REQUEST) == Some(&request.digest)
            || found.state() != ObjectState::Created
        {
            return Ok(container_id(found.id()));
        }
        // Made from other parameters and never started: nothing is lost with it.
        self.delete(
            &request.name,
            Removal {
                volumes: true,
                ..Removal::default()
            },
        )
        .await?;
        let created = self.post_create(request).await;
        created
            .map(container_id)
            .map_err(|error| cannot_create(&error, &request.name))
    }

    /// Creates the container anew if what start adds differs from what create knew, as long as it
    /// never ran.
    pub(crate) async fn recreate(
        &self,
        call: &Call,
        creation: &Creation,
    ) -> Result<Outputs, Failure> {
        let request = self.request(call, creation)?;
        match self.inspect(&request.name).await? {
            None => self.create(call, creation).await,
            Some(_) => self.take_up(call, &request).await,
        }
    }

    fn request(&self, call: &Call, creation: &Creation) -> Result<Request, Failure> {
        let converted = creation.converted().map_err(|faults| refused(&faults))?;
        if let Some(gate) = converted
            .gates
            .iter()
            .find(|gate| self.client.version() < Version(1, gate.since))
        {
            return Err(Failure::fatal(self.too_old(gate)));
        }
        let name = creation.name.as_str().unwrap_or_default().to_owned();
        check_name(&name)?;
        let image = call
            .properties()
            .get("image_id")
            .and_then(Json::as_str)
            .map(str::to_owned);
        let image =
            image.ok_or_else(|| Failure::fatal("the image of the container is not known"))?;
        let platform = converted.platform.clone();
        let new = NewContainer {
            name: &name,
            version: Some(self.client.version()),
            proxies: &docker_config(),
        };
        let mut body = assembled(converted, &new);
        body["Image"] = image.into();
        if let Some(carried) = call.properties().get(CARRIED).and_then(Json::as_object) {
            mount_carried(&mut body, carried);
        }
        let digest = self.digest(&body.to_string());
        self.set_labels(&mut body, call, creation, &digest);
        Ok(Request {
            name,
            platform,
            body,
            digest,
        })
    }

    /// What of a creation this engine is too old for, in words.
    pub(crate) fn too_old_for(&self, creation: &Creation) -> Vec<String> {
        let gates = creation
            .converted()
            .map(|converted| converted.gates)
            .unwrap_or_default();
        gates
            .iter()
            .filter(|gate| self.client.version() < Version(1, gate.since))
            .map(|gate| self.too_old(gate))
            .collect()
    }

    fn too_old(&self, gate: &Gate) -> String {
        let argument = gate.path.get(2..).unwrap_or_default().join(".");
        format!(
            "`{argument}` needs an engine with API 1.{} or newer, and this one speaks {}",
            gate.since,
            self.client.version()
        )
    }

    fn set_labels(&self, body: &mut Json, call: &Call, creation: &Creation, digest: &str) {
        let record = with_carried(&creation.record, call.properties().get(CARRIED));
        self.add_labels(
            body,
            call,
            &creation.declaration,
            (&record, creation.name.as_str().unwrap_or_default()),
        );
        body["Labels"][label::REQUEST] = digest.into();
        self.add_seal(
            body,
            Kind::Container,
            creation.name.as_str().unwrap_or_default(),
        );
    }

    /// Starts the container; one that runs already is started, one that is paused goes on.
    pub(crate) async fn start(&self, call: &Call) -> Result<Outputs, Failure> {
        let id = known_id(call)?;
        // From the first start on an engine that goes away takes something with it: that is to be
        // noticed.
        drop(self.watch.subscribe(&self.client));
        if let Err(error) = self.start_once(call, &id).await {
            let found = self.inspect(&id).await?;
            if found.as_ref().map(Container::state) == Some(ObjectState::Paused) {
                let resumed = self
                    .client
                    .send(&format!("/containers/{id}/unpause"), &[])
                    .await;
                resumed.map_err(|error| failure(&error, "letting the paused container go on"))?;
                return self.network(call, &id).await;
            }
            return Err(Failure {
                exit: self.exit(&id).await,
                ..failure(&error, "starting the container")
            });
        }
        self.network(call, &id).await
    }

    /// The properties that the original's blueprints read.
    pub(crate) async fn network(&self, call: &Call, id: &str) -> Result<Outputs, Failure> {
        let Some(container) = self.inspect(id).await? else {
            return Err(Failure::fatal(
                "the container disappeared while it was started",
            ));
        };
        let mut set = container.network_properties();
        if call.properties().contains_key("container_args") {
            set.insert("container_info".to_owned(), container.json);
        }
        Ok(Outputs {
            set,
            unset: Vec::new(),
            ..Outputs::default()
        })
    }

    /// Stops the container; one that does not run, or is gone, is stopped.
    pub(crate) async fn stop(&self, call: &Call, params: &Json) -> Result<Outputs, Failure> {
        let timeout = params::stop(params).map_err(|faults| refused(&faults))?;
        for id in self.containers_of(call).await? {
            if self.expected(call, &id).await?.is_none() {
                continue;
            }
            self.stop_container(&id, timeout).await?;
            // Its name is free once it is gone.
            let is_going = |found: Container| {
                found.flag("/HostConfig/AutoRemove")
                    && matches!(found.state(), ObjectState::Exited | ObjectState::Dead)
            };
            if self.inspect(&id).await?.is_some_and(is_going) {
                self.await_removal(&id).await?;
            }
        }
        Ok(stopped())
    }

    pub(crate) async fn stop_container(
        &self,
        id: &str,
        timeout: Option<i64>,
    ) -> Result<(), Failure> {
        let seconds = timeout.unwrap_or(STOP_TIMEOUT);
        let within = [("t", seconds.min(i32::MAX.into()).to_string())];
        let longer = u64::try_from(seconds).unwrap_or(0);
        match self
            .client
            .send_patiently(&format!("/containers/{id}/stop"), &within, longer)
            .await
        {
            Err(error) if status(&error) != Some(404) => {
                Err(failure(&error, "stopping the container"))
            }
            _ => Ok(()),
        }
    }

    /// Removes the container, with its anonymous volumes unless told otherwise; one that is gone is
    /// removed.
    pub(crate) async fn remove(&self, call: &Call, params: &Json) -> Result<Outputs, Failure> {
        let removal = params::removal(params).map_err(|faults| refused(&faults))?;
        for id in self.containers_of(call).await? {
            if self
                .expected(call, &id)
                .await?
                .is_some_and(|found| names_instance(found.labels(), call))
            {
                self.delete(&id, removal).await?;
            }
        }
        if removal.volumes {
            self.remove_carried(call).await?;
        }
        if let Some(image) = call.properties().get("image_id").and_then(Json::as_str) {
            self.drop_image(image).await?;
        }
        Ok(forgotten())
    }

    /// The container with an id that the record knows; none if it is gone.
    ///
    /// # Errors
    ///
    /// If its labels do not name the instance, and it is not adopted: it must not count as gone,
    /// and is not to be touched.
    async fn expected(&self, call: &Call, id: &str) -> Result<Option<Container>, Failure> {
        let Some(found) = self.inspect(id).await? else {
            return Ok(None);
        };
        if names_instance(found.labels(), call) || call.properties().contains_key(ADOPTED_STATE) {
            return Ok(Some(found));
        }
        let name = found.name();
        let message = format!(
            "the journal names container `{name}`, whose labels are not those of `{}`; it was not touched",
            call.instance()
        );
        Err(Failure::fatal(message).hint(format!(
            "if it is not wanted any more, remove it and try again: docker rm -f {}",
            printable(id)
        )))
    }

    /// Removes a container that was made for the instance, with its anonymous volumes. Any other
    /// one is left as it is, whatever the record says of it: what dockctl did not make it cannot
    /// make again.
    pub(crate) async fn delete_own(
        &self,
        call: &Call,
        id: &str,
        removal: Removal,
    ) -> Result<(), Failure> {
        match self.inspect(id).await? {
            Some(found) if names_instance(found.labels(), call) => self.delete(id, removal).await,
            _ => Ok(()),
        }
    }

    pub(crate) async fn delete(&self, id: &str, removal: Removal) -> Result<(), Failure> {
        let Removal {
            volumes,
            force,
            link,
        } = removal;
        let query = [("v", volumes), ("force", force), ("link", link)]
            .map(|(name, value)| (name, value.to_string()));
        match self
            .client
            .delete(&format!("/containers/{id}"), &query)
            .await
        {
            // The engine removes a container with `AutoRemove` by itself.
            Err(error) if status(&error) == Some(409) && Says::InProgress.is_said_by(&error) => {
                self.await_removal(id).await
            }
            Err(error) if status(&error) != Some(404) => {
                Err(failure(&error, "removing the container"))
            }
            _ => Ok(()),
        }
    }

    /// Waits until a container is gone that the engine is removing.
    pub(crate) async fn await_removal(&self, id: &str) -> Result<(), Failure> {
        let end = tokio::time::Instant::now() + REMOVAL;
        while self.inspect(id).await?.is_some() {
            if tokio::time::Instant::now() > end {
                let message = format!(
                    "the engine did not remove container {id} within {} s",
                    REMOVAL.as_secs()
                );
                return Err(Failure::fatal(message).may_pass());
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }

    /// The container that the record knows, and any that a run made for the instance and died
    /// before it could write that down. Labels alone prove nothing: anyone can write them.
    pub(crate) async fn containers_of(&self, call: &Call) -> Result<BTreeSet<String>, Failure> {
        let known = call
            .properties()
            .get("container_id")
            .and_then(Json::as_str)
            .map(str::to_owned);
        let mut all: BTreeSet<String> = known.into_iter().collect();
        for id in self
            .labelled(&call.deployment.name, Some(call.instance()))
            .await?
        {
            if all.contains(&id) {
                continue;
            }
            let Some(found) = self.inspect(&id).await? else {
                continue;
            };
            if names_instance(found.labels(), call) && self.is_proven(&found).await? {
                all.insert(id);
            }
        }
        Ok(all)
    }

    /// Ids of containers that carry the label of a deployment, and of an instance.
    pub(crate) async fn labelled(
        &self,
        deployment: &str,
        instance: Option<&str>,
    ) -> Result<Vec<String>, Failure> {
        let mut labels = vec![format!("{}={deployment}", label::DEPLOYMENT)];
        labels.extend(instance.map(|instance| format!("{}={instance}", label::INSTANCE)));
        let query = [
            ("all", "true".to_owned()),
            ("filters", json!({ "label": labels }).to_string()),
        ];
        let found = self
            .client
            .list(Kind::Container, &query)
            .await
            .map_err(|error| failure(&error, "looking for the container"))?;
        Ok(found
            .iter()
            .filter_map(|found| found["Id"].as_str().map(str::to_owned))
            .collect())
    }

    /// Finds an object that exists, by exact name or by id.
    pub(crate) async fn adopt(&self, kind: Kind, name: &Json) -> Result<Outputs, Failure> {
        let Some(name) = name
            .as_str()
            .map(plain_name)
            .filter(|name| !name.is_empty())
        else {
            return Err(Failure::fatal(format!(
                "`use_external_resource` needs the `name` of the {} to adopt",
                kind.as_str()
            )));
        };
        match kind {
            Kind::Container => self.adopt_container(&name).await,
            Kind::Network => self.adopt_network(&name).await,
            Kind::Volume => self.adopt_volume(&name).await,
            Kind::Image => Err(Failure::fatal(
                "images are not adopted: they are shared as they are",
            )),
        }
    }

    /// Finds a container, and remembers how it was found.
    async fn adopt_container(&self, name: &str) -> Result<Outputs, Failure> {
        let missing = || {
            Failure::fatal(format!("there is no container `{name}` to adopt"))
                .hint("start it first, or remove `use_external_resource` to have it created")
        };
        let found = self.inspect(name).await?.ok_or_else(missing)?;
        // The engine also finds by a part of an id; that is not what the blueprint said.
        let exact = found.name() == name || found.id() == name;
        if !exact {
            return Err(missing());
        }
        let set = JsonMap::from_iter([
            ("container_id".to_owned(), found.id().into()),
            (
                "image_id".to_owned(),
                found.text("/Image").unwrap_or_default().into(),
            ),
            (ADOPTED_STATE.to_owned(), found.state().as_str().into()),
        ]);
        Ok(Outputs {
            set,
            unset: Vec::new(),
            ..Outputs::default()
        })
    }

    /// Puts an adopted container back into the state it was found in.
    pub(crate) async fn restore(&self, call: &Call, params: &Json) -> Result<Outputs, Failure> {
        let timeout = params::stop(params).map_err(|faults| refused(&faults))?;
        let Some(id) = call.properties().get("container_id").and_then(Json::as_str) else {
            return Ok(Outputs::default());
        };
        let found = call
            .properties()
            .get(ADOPTED_STATE)
            .and_then(Json::as_str)
            .unwrap_or_default();
        let Some(now) = self.inspect(id).await?.as_ref().map(Container::state) else {
            return Ok(Outputs::default());
        };
        let put_back = |error: EngineError| {
            failure(
                &error,
                &format!("putting the adopted container back to {found}"),
            )
        };
        let ask = async |what: &str| {
            self.client
                .send(&format!("/containers/{id}/{what}"), &[])
                .await
                .map(drop)
                .map_err(put_back)
        };
        let runs = matches!(
            now,
            ObjectState::Running | ObjectState::Restarting | ObjectState::Paused
        );
        match found {
            // One that was never started cannot be so again: stopped is as near as it gets.
            "created" | "exited" | "dead" if runs => self.stop_container(id, timeout).await?,
            "running" | "restarting" if now == ObjectState::Paused => ask("unpause").await?,
            "running" | "restarting" if !runs => ask("start").await?,
            "paused" if now != ObjectState::Paused => {
                ask("start").await?;
                ask("pause").await?;
            }
            _ => {}
        }
        Ok(Outputs::default())
    }

    /// How a container ended, with its last words; none if it runs or never did.
    pub(crate) async fn exit(&self, id: &str) -> Option<Exit> {
        let container = self.inspect(id).await.ok()??;
        // One that is about to be restarted counts as running to the engine.
        if matches!(
            container.state(),
            ObjectState::Running | ObjectState::Paused
        ) || container.started_at().is_none()
        {
            return None;
        }
        Some(Exit {
            container: container.name(),
            code: container
                .json
                .pointer("/State/ExitCode")
                .and_then(Json::as_i64)
                .unwrap_or_default(),
            oom_killed: container.flag("/State/OOMKilled"),
            health: container.health_log(),
            log: self.last_lines(&container).await,
        })
    }

    /// What a container wrote last. An engine need not heed how much is asked for: there is an end
    /// to what is read of it.
    async fn last_lines(&self, container: &Container) -> Vec<String> {
        // A character has at most four bytes.
        let (mut last, mut lines) = (VecDeque::new(), Lines::of_at_most(4 * LOG_LINE));
        let read = self.add_last_lines(container, &mut last, &mut lines);
        let unread = match tokio::time::timeout(LOG_TIME, read).await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(format!(
                "(the rest cannot be read: {})",
                failure(&error, "reading its log").message
            )),
            Err(_) => Some(format!(
                "(this is not all: the engine went on for {} s)",
                LOG_TIME.as_secs()
            )),
        };
        last.extend(lines.rest().map(|line| last_line(&line)));
        last.drain(..last.len().saturating_sub(LOG_LINES));
        last.into_iter()
            .chain(unread.map(|why| last_line(&why)))
            .collect()
    }

    async fn add_last_lines(
        &self,
        container: &Container,
        last: &mut VecDeque<String>,
        lines: &mut Lines,
    ) -> Result<(), EngineError> {
        let asked = self.client.logs(
            &container.id(),
            &[("tail", LOG_LINES.to_string())],
            (container.is_terminal(), false),
        );
        let mut logs = std::pin::pin!(asked);
        while let Some(piece) = logs.next().await {
            for line in lines.take(&piece?.bytes) {
                last.extend([last_line(&line)]);
                last.drain(..last.len().saturating_sub(LOG_LINES));
            }
        }
        Ok(())
    }
}

fn last_line(line: &str) -> String {
    printable(&line.trim_end().chars().take(LOG_LINE).collect::<String>())
}

/// Docker answers 409, Podman 500.
fn is_name_conflict(error: &EngineError) -> bool {
    status(error) == Some(409) || (status(error) == Some(500) && Says::NameTaken.is_said_by(error))
}

fn cannot_create(error: &EngineError, name: &str) -> Failure {
    let failure = failure(error, &format!("creating container `{name}`"));
    if Says::NoLinks.is_said_by(error) {
        return failure.hint("this engine has no links: put both on a network, with `aliases` (dockctl.relationships.attached_to_network)");
    }
    failure
}

/// What a stop changes.
pub(crate) fn stopped() -> Outputs {
    Outputs {
        unset: vec!["network_settings".into(), "ports".into()],
        ..Outputs::default()
    }
}

/// What a removal changes.
pub(crate) fn forgotten() -> Outputs {
    Outputs {
        unset: FORGOTTEN.map(str::to_owned).to_vec(),
        ..Outputs::default()
    }
}

pub(crate) fn container_id(id: String) -> Outputs {
    Outputs {
        set: JsonMap::from_iter([("container_id".to_owned(), id.into())]),
        unset: Vec::new(),
        ..Outputs::default()
    }
}

pub(crate) fn known_id(call: &Call) -> Result<String, Failure> {
    let id = call.properties().get("container_id").and_then(Json::as_str);
    id.map(str::to_owned)
        .ok_or_else(|| Failure::fatal("the container is not known: it was never created"))
}

pub(crate) fn refused(faults: &[Fault]) -> Failure {
    let words = |fault: &Fault| {
        format!(
            "`{}`: {}",
            fault.path.join("."),
            fault.message.trim_start_matches("this ")
        )
    };
    let all: Vec<String> = faults.iter().map(words).collect();
    let failure = Failure::fatal(all.join("; "));
    faults
        .iter()
        .filter_map(|fault| fault.hint.as_deref())
        .fold(failure, Failure::hint)
}

/// A container of this name is there, and is not what is wanted. The labels of one that only has
/// them from its image say nothing.
fn name_taken(name: &str, found: &Container, call: &Call, is_claim: bool) -> Failure {
    let short = |text: &str| text.chars().take(12).collect::<String>();
    let instance = found.label(label::INSTANCE).unwrap_or_default();
    let owner = found.label(label::DEPLOYMENT).filter(|_| is_claim);
    let whose = match owner {
        None => "was not made by dockctl".to_owned(),
        Some(_) if names_instance(found.labels(), call) => {
            "another state directory made for the same instance".to_owned()
        }
        Some(owner) if owner == call.deployment.name => {
            format!("was made for `{instance}` of a deployment of this name")
        }
        Some(owner) => format!("belongs to `{instance}` of the deployment `{owner}`"),
    };
    let image = found.text("/Config/Image").unwrap_or_default();
    let image = image
        .strip_prefix("sha256:")
        .map_or_else(|| image.to_owned(), short);
    let id = short(&found.id());
    let failure = Failure::fatal(format!(
        "the name `{name}` is taken by container {id} (image {image}), which {whose}; it was not touched"
    ));
    match owner {
        Some(owner) if names_instance(found.labels(), call) => {
            failure.hint(format!("to take it over: dockctl recover {owner}"))
        }
        Some(owner) => failure
            .hint("give one of the two nodes another `name`")
            .hint(format!(
                "or take the other down first: dockctl uninstall {owner}"
            )),
        None => failure
            .hint("to adopt it, add `use_external_resource: true` to the node's properties")
            .hint("to keep both, give the node another `name`")
            .hint(format!(
                "to replace it, remove it first: docker rm -f {name}"
            )),
    }
}

fn check_name(name: &str) -> Result<(), Failure> {
    if is_name(name) {
        return Ok(());
    }
    Err(Failure::fatal(format!("`{name}` cannot be the name of a container"))
        .hint("names have two or more of the characters [a-zA-Z0-9_.-] and start with a letter or digit"))
}

/// Configuration of the docker command; null if there is none.
pub(crate) fn docker_config() -> Json {
    read_json(&config_folder().unwrap_or_default().join("config.json")).unwrap_or_default()
}
