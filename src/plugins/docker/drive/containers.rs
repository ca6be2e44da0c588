//! Creating, starting, stopping, removing and adopting containers.

use crate::{
    diagnostic::Fault,
    engine::{
        EngineError, Kind, KnownMessage, Lines, Version, config_dir, failure, read_json, status,
    },
    plugins::docker::{
        declare::{
            action::{Creation, Dialect},
            binds::{not_local, relative_sources, resolve_sources},
            change::{CARRIED_VOLUMES, PREDECESSOR, PREDECESSOR_POLICY, SUCCESSOR},
            container::{Container, is_valid_name, mount_carried_volumes, without_slash},
            drift::shared_namespaces,
            json::{list, pairs, text},
            label::{
                self, label_with_carried_volumes, names_deployment, names_instance, names_owner,
            },
            params::{self, Removal},
            platform::Platform,
            request::{RequestContext, SEVERAL_ENDPOINTS, complete_body},
            status::ADOPTED_STATE,
        },
        drive::{
            engine::Engine,
            images::{IMAGE_NAME, IMAGE_PLATFORM, ImageRequest},
            init::PENDING,
            wait_for,
        },
    },
    printable::printable,
    seam::{Call, Exit, Failure, Labeling, ObjectState, Outputs, ProgressSink, labeling},
};
use futures_util::StreamExt as _;
use serde_json::{Map as JsonMap, Value as Json, json};
use std::{
    collections::{BTreeSet, VecDeque},
    time::Duration,
};

/// Most log lines of a container shown with a failure.
const MAX_LOG_LINES: usize = 20;
/// Longest of these lines, in characters.
const MAX_LOG_LINE_CHARS: usize = 400;
/// Longest time to read these lines.
const LOG_TIMEOUT: Duration = Duration::from_secs(10);
/// Default stop timeout, in seconds; the same as in docker-py 1.x.
const STOP_TIMEOUT: i64 = 10;

/// Longest wait for the engine to remove a stopped container with `AutoRemove`.
const REMOVAL_TIMEOUT: Duration = Duration::from_secs(20);
/// Longest wait for a container whose name is taken to appear.
const CREATION_TIMEOUT: Duration = Duration::from_secs(2);
/// Pause between checks for the removal or the creation.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// Runtime properties that are removed with the container.
const CONTAINER_PROPERTIES: [&str; 15] = [
    "container_id",
    "image_id",
    IMAGE_NAME,
    IMAGE_PLATFORM,
    WARNINGS,
    "network_settings",
    "ports",
    "container",
    "container_args",
    "container_info",
    "run_result",
    SUCCESSOR,
    PREDECESSOR,
    CARRIED_VOLUMES,
    PREDECESSOR_POLICY,
];

/// Runtime property with the engine's warnings about the creation.
pub(crate) const WARNINGS: &str = "engine_warnings";

/// First API version that creates a container from the image for a platform.
const PLATFORM_OF_CREATION: Version = Version(1, 41);

/// Refusal of links, which Podman does not support.
const NO_LINKS: &str = "Podman does not support `links`: connect both containers to a network, with `aliases` (dockctl.relationships.attached_to_network)";

/// Removal of a container that never ran.
const UNUSED: Removal = Removal {
    volumes: true,
    force: false,
    link: false,
};

/// Complete request to create a container.
#[derive(Clone)]
struct Request {
    name: String,
    platform: Option<String>,
    /// The platforms that the parameters and the image request. The image must be for each.
    expected: Vec<String>,
    /// Names the image by its declared name, if it has one.
    body: Json,
    /// ID of the image, or its name if no earlier step provided it.
    image_id: String,
    digest: String,
    labeling: Labeling,
}

impl Request {
    /// Returns true if the body names the image, and does not contain its ID.
    fn names_image(&self) -> bool {
        self.body["Image"] != self.image_id.as_str()
    }

    fn by_image_id(&self) -> Self {
        let mut request = self.clone();
        request.body["Image"] = self.image_id.as_str().into();
        request
    }

    fn is_from_image(&self, found: &Container) -> bool {
        let plain = |id: &str| id.strip_prefix("sha256:").unwrap_or(id).to_owned();
        plain(found.text("/Image").unwrap_or_default()) == plain(&self.image_id)
    }
}

impl Engine {
    /// Creates the container of an instance. If a run that died has already created it from the
    /// same request, uses that container.
    pub(crate) async fn create(
        &self,
        call: &Call,
        creation: &Creation,
        progress: ProgressSink<'_>,
    ) -> Result<Outputs, Failure> {
        let name = creation.name.as_str().unwrap_or_default();
        self.create_as(call, creation, name, progress).await
    }

    /// Like [`create`](Self::create), under another, temporary name.
    pub(crate) async fn create_as(
        &self,
        call: &Call,
        creation: &Creation,
        name: &str,
        progress: ProgressSink<'_>,
    ) -> Result<Outputs, Failure> {
        let request = Request {
            name: name.to_owned(),
            ..self.request(call, creation)?
        };
        if creation.needs_check && request.body.get("Healthcheck").is_none() {
            self.expect_health_check(call).await?;
        }
        let mut posted = self.post_create(&request).await;
        if creation.pulls_image
            && posted
                .as_ref()
                .is_err_and(|error| status(error) == Some(404))
        {
            self.pull_for(call, &request, progress).await?;
            posted = self.post_create(&request).await;
        }
        let mut created = match posted {
            Ok(created) => self.with_requested_image(created, &request).await?,
            Err(error) if is_name_conflict(&error) => {
                self.reuse_or_recreate(call, &request).await?
            }
            Err(error) => return Err(create_failure(&error, &request.name)),
        };
        if creation.dialect == Dialect::Sdk {
            let id = created.set.get("container_id").cloned().unwrap_or_default();
            created.set.insert(PENDING.to_owned(), id);
        }
        // Blueprints of the plugin 2.x read these properties.
        if creation.dialect == Dialect::ContainerArgs {
            let id = created.set.get("container_id").cloned().unwrap_or_default();
            created.set.extend([
                ("container".to_owned(), id),
                ("container_args".to_owned(), creation.create.clone()),
            ]);
        }
        Ok(created)
    }

    /// Fails if the image has no health check. Called before the creation of a container that must
    /// become healthy.
    async fn expect_health_check(&self, call: &Call) -> Result<(), Failure> {
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
            Err(wait_for::no_health_check())
        } else {
            Ok(())
        }
    }

    /// Pulls the image of a request, unless it exists after all.
    async fn pull_for(
        &self,
        call: &Call,
        request: &Request,
        progress: ProgressSink<'_>,
    ) -> Result<(), Failure> {
        let wanted = ImageRequest {
            image: &json!({ "repository": request.body["Image"] }),
            dir: "",
            default_repository: "",
        };
        self.ensure_image(&wanted, call, progress).await.map(drop)
    }

    /// Creates a container and returns its runtime properties, with the engine's warnings: it may
    /// have ignored parts of the request.
    async fn post(&self, request: &Request) -> Result<Outputs, EngineError> {
        let platform = request
            .platform
            .clone()
            .map(|platform| ("platform", platform));
        let query: Vec<_> = [("name", request.name.clone())]
            .into_iter()
            .chain(platform)
            .collect();
        let path = "/containers/create";
        let (id, warnings) = self
            .client
            .create_with_warnings(path, &query, &request.body)
            .await?;
        let mut created = container_id_outputs(id);
        if warnings.is_empty() {
            created.unset.push(WARNINGS.to_owned());
        } else {
            created.set.insert(WARNINGS.to_owned(), warnings.into());
        }
        Ok(created)
    }

    /// Creates a container from the image that an earlier step provided: by the name that the
    /// blueprint gives it, so that users see it, unless that is no longer the name of this image.
    async fn post_create(&self, request: &Request) -> Result<Outputs, EngineError> {
        match self.post(request).await {
            Err(error) if status(&error) == Some(404) && request.names_image() => {
                self.post(&request.by_image_id()).await
            }
            created => created,
        }
    }

    /// Checks that the engine created a container from the requested image. Creates it again if the
    /// name was given to another image meanwhile.
    ///
    /// # Errors
    ///
    /// Returns an error if the image is for another platform. The container is removed.
    async fn with_requested_image(
        &self,
        created: Outputs,
        request: &Request,
    ) -> Result<Outputs, Failure> {
        if !request.names_image() && request.expected.is_empty() {
            return Ok(created);
        }
        let id = created.set.get("container_id").and_then(Json::as_str);
        let id = id.unwrap_or_default();
        let Some(found) = self.inspect(id).await? else {
            return Ok(created);
        };
        if !request.names_image() || request.is_from_image(&found) {
            self.expect_platform(&found, request).await?;
            return Ok(created);
        }
        self.delete(id, UNUSED).await?;
        let request = request.by_image_id();
        let created = self.post(&request).await;
        let created = created.map_err(|error| create_failure(&error, &request.name))?;
        Box::pin(self.with_requested_image(created, &request)).await
    }

    /// Removes a new container if its image is not for the requested platform.
    async fn expect_platform(&self, found: &Container, request: &Request) -> Result<(), Failure> {
        if request.expected.is_empty() {
            return Ok(());
        }
        let Some(platform) = self.platform_of(found).await? else {
            return Ok(());
        };
        for requested in &request.expected {
            let requested = self.platform(requested).await?;
            if platform.satisfies(&requested) {
                continue;
            }
            self.delete(&found.id(), UNUSED).await?;
            return Err(Failure::fatal(format!(
                "the engine created the container from the image for {platform}, but {requested} is requested; it was removed again"
            )));
        }
        Ok(())
    }

    /// Returns the platform of the image of a container: of the variant that the container uses, or
    /// of the only one.
    async fn platform_of(&self, found: &Container) -> Result<Option<Platform>, Failure> {
        let shown = found.json.pointer("/ImageManifestDescriptor/platform");
        if let Some(shown) = shown.filter(|it| it.is_object()) {
            return Ok(Some(Platform::of_manifest(shown)));
        }
        if self.may_have_more_variants().await? {
            return Ok(None);
        }
        let image = self.image(found.text("/Image").unwrap_or_default()).await?;
        Ok(image.as_ref().map(Platform::of_image))
    }

    /// Returns true if a container is as if it was created from a creation now.
    pub(crate) async fn is_created_from(
        &self,
        found: &Container,
        call: &Call,
        creation: &Creation,
    ) -> Result<bool, Failure> {
        self.is_as_requested(found, &self.request(call, creation)?)
            .await
    }

    /// Returns true if a container was created from the same request, and the containers that the
    /// request names are still those whose namespaces it shares: engines store their IDs.
    async fn is_as_requested(&self, found: &Container, request: &Request) -> Result<bool, Failure> {
        if found.label(label::REQUEST) != Some(&request.digest) {
            return Ok(false);
        }
        for shared in shared_namespaces(found) {
            let named = request.body.pointer(shared.path).map_or("", text);
            let named = named.strip_prefix("container:").unwrap_or_default();
            let owner = self.inspect(named).await?;
            if owner.is_none_or(|owner| owner.id() != shared.owner) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Fails if another container has the name that a successor needs.
    pub(crate) async fn expect_name_free(&self, call: &Call, name: &str) -> Result<(), Failure> {
        match self.inspect(name).await? {
            Some(found) if found.name() == name => {
                Err(name_taken(name, &found, call, self.is_claim(&found).await?))
            }
            _ => Ok(()),
        }
    }

    /// Checks that the name of a successor is free, or that a container of the same deployment has
    /// it, which gives it up before the successor gets it.
    pub(crate) async fn expect_name_obtainable(
        &self,
        call: &Call,
        name: &str,
    ) -> Result<(), Failure> {
        let deployment = &call.deployment;
        let holder = self.inspect(name).await?;
        match holder.filter(|it| it.name() == name) {
            Some(holder)
                if names_deployment(holder.labels(), &deployment.name, &deployment.id)
                    && self.is_proven(&holder).await? =>
            {
                Ok(())
            }
            _ => self.expect_name_free(call, name).await,
        }
    }

    async fn reuse_or_recreate(&self, call: &Call, request: &Request) -> Result<Outputs, Failure> {
        let Some(found) = self.holder_of(&request.name).await? else {
            return Err(Failure::fatal(format!(
                "the container that had the name `{}` no longer exists",
                request.name
            ))
            .temporary());
        };
        if let Labeling::Server { request: mine, .. } = &request.labeling {
            return match found.label(labeling::SERVER_REQUEST) {
                Some(found_for) if found_for == mine => Ok(container_id_outputs(found.id())),
                _ => Err(name_taken_by(&request.name, &found)),
            };
        }
        if !names_instance(found.labels(), call) || !self.is_proven(&found).await? {
            return Err(name_taken(
                &request.name,
                &found,
                call,
                self.is_claim(&found).await?,
            ));
        }
        if found.state() != ObjectState::Created || self.is_as_requested(&found, request).await? {
            return Ok(container_id_outputs(found.id()));
        }
        // Created from other parameters and never started: nothing is lost.
        self.delete(&request.name, UNUSED).await?;
        let created = self.post_create(request).await;
        let created = created.map_err(|error| create_failure(&error, &request.name))?;
        self.with_requested_image(created, request).await
    }

    /// Returns the container with a name that is taken. While an engine creates a container, its
    /// name is taken before it can be inspected.
    async fn holder_of(&self, name: &str) -> Result<Option<Container>, Failure> {
        let end = tokio::time::Instant::now() + CREATION_TIMEOUT;
        loop {
            let found = self.inspect(name).await?;
            if found.is_some() || tokio::time::Instant::now() > end {
                return Ok(found);
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    /// Recreates the container if the inputs of `start` change its request, unless it has already
    /// run.
    pub(crate) async fn recreate(
        &self,
        call: &Call,
        creation: &Creation,
        progress: ProgressSink<'_>,
    ) -> Result<Outputs, Failure> {
        let request = self.request(call, creation)?;
        match self.inspect(&request.name).await? {
            None => self.create(call, creation, progress).await,
            Some(_) => self.reuse_or_recreate(call, &request).await,
        }
    }

    fn request(&self, call: &Call, creation: &Creation) -> Result<Request, Failure> {
        let mut converted = creation
            .converted()
            .map_err(|faults| invalid_arguments(&faults))?;
        if self.client.version() >= SEVERAL_ENDPOINTS {
            let added = creation.add_later_networks(&mut converted);
            added.map_err(|fault| invalid_arguments(&[fault]))?;
        }
        if let Some(refusal) = self.refusals(&converted).next() {
            return Err(Failure::fatal(refusal));
        }
        let name = creation.name.as_str().unwrap_or_default().to_owned();
        check_name(&name)?;
        let image_id = image_of(call, creation, &converted)?;
        let platform = self.platform_of_request(call, &converted);
        let of_image = text_property(call, IMAGE_PLATFORM).map(str::to_owned);
        let expected = converted.platform.clone().into_iter().chain(of_image);
        let expected = expected.collect();
        let new = RequestContext {
            host_name: creation.host_name(),
            version: Some(self.client.version()),
            proxies: &docker_config(),
        };
        let mut body = complete_body(converted, &new);
        if let Some(directory) = call.deployment.blueprint.parent() {
            resolve_sources(&mut body, directory);
        }
        body["Image"] = image_id.as_str().into();
        if let Some(carried) = call
            .properties()
            .get(CARRIED_VOLUMES)
            .and_then(Json::as_object)
        {
            mount_carried_volumes(&mut body, carried);
        }
        // The digest covers the ID of the image: its name may be given to another image.
        let digest = self.digest(&body.to_string());
        self.set_labels(&mut body, call, creation, &digest);
        if creation.dialect != Dialect::Sdk {
            body["Labels"][label::IMAGE] = image_id.as_str().into();
        }
        if let Some(name) = text_property(call, IMAGE_NAME) {
            body["Image"] = name.into();
        }
        Ok(Request {
            name,
            platform,
            expected,
            body,
            image_id,
            digest,
            labeling: creation.labeling.clone(),
        })
    }

    /// Returns the platform of the parameters, or of the image. Podman needs none for an image that
    /// it has.
    fn platform_of_request(&self, call: &Call, converted: &params::Creation) -> Option<String> {
        let accepts = self.client.version() >= PLATFORM_OF_CREATION && !self.client.is_podman();
        let of_image = text_property(call, IMAGE_PLATFORM).filter(|_| accepts);
        converted.platform.clone().or(of_image.map(str::to_owned))
    }

    /// Returns a message for each argument of a creation that the engine does not support.
    pub(crate) fn unsupported_in(&self, creation: &Creation) -> Vec<String> {
        let mut converted = creation.converted().ok();
        if let Some(converted) = &mut converted {
            // An invalid property is reported by the step itself.
            let _ = creation.add_later_networks(converted);
        }
        let refusals = converted.iter().flat_map(|it| self.refusals(it));
        refusals.collect()
    }

    fn refusals<'c>(
        &self,
        converted: &'c params::Creation,
    ) -> impl Iterator<Item = String> + use<'c> {
        let version = self.client.version();
        let gates = converted.gates.iter();
        let links = self.client.is_podman() && has_links(&converted.body);
        let refusals = gates.filter_map(move |gate| gate.refusal(version));
        let body = json!({ "HostConfig": converted.body.get("HostConfig") });
        let relative = if self.client.is_local_socket() {
            Vec::new()
        } else {
            relative_sources(&body)
        };
        let relative = relative.into_iter().map(|path| not_local(&path));
        let refusals = refusals.chain(links.then(|| NO_LINKS.to_owned()));
        refusals.chain(relative)
    }

    fn set_labels(&self, body: &mut Json, call: &Call, creation: &Creation, digest: &str) {
        if let Labeling::Server { server, request } = &creation.labeling {
            body["Labels"][labeling::SERVER] = server.as_str().into();
            body["Labels"][labeling::SERVER_REQUEST] = request.as_str().into();
            return;
        }
        let record =
            label_with_carried_volumes(&creation.record, call.properties().get(CARRIED_VOLUMES));
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

    /// Starts the container. One that runs already counts as started; a paused one is unpaused.
    pub(crate) async fn start(&self, call: &Call) -> Result<Outputs, Failure> {
        let id = recorded_id(call)?;
        // Subscribes before the first start: an engine that goes away stops containers, and dockctl
        // must notice that.
        drop(self.watch.subscribe(&self.client));
        if let Err(error) = self.start_once(call, &id).await {
            let found = self.inspect(&id).await?;
            if found.as_ref().map(Container::state) == Some(ObjectState::Paused) {
                let resumed = self
                    .client
                    .send(&format!("/containers/{id}/unpause"), &[])
                    .await;
                resumed.map_err(|error| failure(&error, "unpausing the container"))?;
                return self.network_outputs(call, &id).await;
            }
            return Err(Failure {
                exit: self.exit_info(&id).await,
                ..self.start_failure(found.as_ref(), &error).await
            });
        }
        self.network_outputs(call, &id).await
    }

    /// Returns the failure of a refused start, with its cause as far as dockctl can find it.
    async fn start_failure(&self, found: Option<&Container>, error: &EngineError) -> Failure {
        let action = "starting the container";
        let shared = found.into_iter().flat_map(shared_namespaces);
        for shared in shared.filter(|_| error.is_reported()) {
            if let Some(owner) = self.stopped_container(shared.owner).await {
                let argument = shared.argument;
                let message = format!(
                    "{action}: container `{owner}`, which `{argument}` names, does not run"
                );
                return Failure::fatal(message).hint("start that container first");
            }
        }
        let endpoints = found.into_iter().flat_map(Container::endpoints);
        let failure = failure(error, action);
        let failure = self.with_port_holder(failure, error, found).await;
        self.with_address_holder(failure, error, endpoints).await
    }

    /// Returns the name of a container if it does not run and the engine does not restart it.
    async fn stopped_container(&self, id: &str) -> Option<String> {
        let container = self.inspect(id).await.ok()??;
        let is_stopped = matches!(
            container.state(),
            ObjectState::Created | ObjectState::Exited | ObjectState::Dead
        );
        is_stopped.then(|| printable(&container.name()))
    }

    /// Stops the container and starts it again.
    pub(crate) async fn restart(&self, call: &Call, params: &Json) -> Result<Outputs, Failure> {
        let timeout = params::stop(params).map_err(|faults| invalid_arguments(&faults))?;
        self.stop_container(&recorded_id(call)?, timeout).await?;
        self.start(call).await
    }

    /// Returns the runtime properties that blueprints of the original plugin read.
    pub(crate) async fn network_outputs(&self, call: &Call, id: &str) -> Result<Outputs, Failure> {
        let Some(container) = self.inspect(id).await? else {
            return Err(Failure::fatal("the container disappeared during its start"));
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

    /// Stops the container. One that does not run or no longer exists counts as stopped.
    pub(crate) async fn stop(&self, call: &Call, params: &Json) -> Result<Outputs, Failure> {
        let timeout = params::stop(params).map_err(|faults| invalid_arguments(&faults))?;
        for id in self.containers_of(call).await? {
            if self.recorded_container(call, &id).await?.is_none() {
                continue;
            }
            self.stop_container(&id, timeout).await?;
            // Its name is free only after the removal.
            let is_going = |found: Container| {
                found.flag("/HostConfig/AutoRemove")
                    && matches!(found.state(), ObjectState::Exited | ObjectState::Dead)
            };
            if self.inspect(&id).await?.is_some_and(is_going) {
                self.await_removal(&id).await?;
            }
        }
        Ok(stopped_outputs())
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
            .send_with_extra_time(&format!("/containers/{id}/stop"), &within, longer)
            .await
        {
            Err(error) if status(&error) != Some(404) => {
                Err(failure(&error, "stopping the container"))
            }
            _ => Ok(()),
        }
    }

    /// Removes the container, by default with its anonymous volumes. One that no longer exists
    /// counts as removed.
    pub(crate) async fn remove(
        &self,
        call: &Call,
        params: &Json,
        labeling: &Labeling,
    ) -> Result<Outputs, Failure> {
        let removal = params::removal(params).map_err(|faults| invalid_arguments(&faults))?;
        if !labeling.is_deployment() {
            let id = recorded_id(call)?;
            self.remove_recorded(call, &id, removal, labeling).await?;
            return Ok(removed_outputs());
        }
        for id in self.containers_of(call).await? {
            if self
                .recorded_container(call, &id)
                .await?
                .is_some_and(|found| self.is_of_instance(&found, call))
            {
                self.delete(&id, removal).await?;
            }
        }
        if removal.volumes {
            self.remove_carried(call).await?;
        }
        if let Some(image) = call.properties().get("image_id").and_then(Json::as_str) {
            self.remove_unnamed_image(image).await?;
        }
        Ok(removed_outputs())
    }

    /// Removes a recorded container if its labels name its owner.
    async fn remove_recorded(
        &self,
        call: &Call,
        id: &str,
        removal: Removal,
        labeling: &Labeling,
    ) -> Result<(), Failure> {
        match self.inspect(id).await? {
            Some(found) if !names_owner(found.labels(), call, labeling) => {
                let name = found.name();
                let message = format!("container `{name}` is not an instance; it was not touched");
                Err(Failure::fatal(message))
            }
            Some(_) => self.delete(id, removal).await,
            None => Ok(()),
        }
    }

    /// Returns the container with a recorded ID, or `None` if it no longer exists.
    ///
    /// # Errors
    ///
    /// Returns an error if its labels do not name the instance and it is not adopted: it must not
    /// count as gone, and must not be touched.
    async fn recorded_container(
        &self,
        call: &Call,
        id: &str,
    ) -> Result<Option<Container>, Failure> {
        let Some(found) = self.inspect(id).await? else {
            return Ok(None);
        };
        if self.is_of_instance(&found, call) || call.properties().contains_key(ADOPTED_STATE) {
            return Ok(Some(found));
        }
        let name = found.name();
        let message = format!(
            "container `{name}` is in the journal, but its labels do not name `{}`; it was not touched",
            call.instance()
        );
        Err(Failure::fatal(message).hint(format!(
            "if you no longer need it, remove it and run the command again: docker rm -f {}",
            printable(id)
        )))
    }

    /// Removes a container that was created for the instance. Leaves any other container alone,
    /// even a recorded one: dockctl cannot recreate a container that it did not create.
    pub(crate) async fn delete_owned(
        &self,
        call: &Call,
        id: &str,
        removal: Removal,
    ) -> Result<(), Failure> {
        match self.inspect(id).await? {
            Some(found) if self.is_of_instance(&found, call) => self.delete(id, removal).await,
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
            Err(error)
                if status(&error) == Some(409)
                    && KnownMessage::InProgress.matches_error(&error) =>
            {
                self.await_removal(id).await
            }
            Err(error) if status(&error) != Some(404) => {
                Err(failure(&error, "removing the container"))
            }
            _ => Ok(()),
        }
    }

    /// Waits until the engine has removed a container.
    pub(crate) async fn await_removal(&self, id: &str) -> Result<(), Failure> {
        let end = tokio::time::Instant::now() + REMOVAL_TIMEOUT;
        while self.inspect(id).await?.is_some() {
            if tokio::time::Instant::now() > end {
                let message = format!(
                    "the engine did not remove container {id} within {} s",
                    REMOVAL_TIMEOUT.as_secs()
                );
                return Err(Failure::fatal(message).temporary());
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        Ok(())
    }

    /// Returns the IDs of the recorded container and of containers that a run created for the
    /// instance but did not record before it died. Labels alone prove nothing: anyone can write
    /// them.
    pub(crate) async fn containers_of(&self, call: &Call) -> Result<BTreeSet<String>, Failure> {
        let known = call
            .properties()
            .get("container_id")
            .and_then(Json::as_str)
            .map(str::to_owned);
        let mut all: BTreeSet<String> = known.into_iter().collect();
        for id in self
            .labeled(&call.deployment.name, Some(call.instance()))
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

    /// Returns the IDs of containers with the label of a deployment, and of an instance if one is
    /// given.
    pub(crate) async fn labeled(
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
            .map_err(|error| failure(&error, "listing containers"))?;
        Ok(found
            .iter()
            .filter_map(|found| found["Id"].as_str().map(str::to_owned))
            .collect())
    }

    /// Finds an existing object by its exact name or ID.
    pub(crate) async fn adopt(&self, kind: Kind, name: &Json) -> Result<Outputs, Failure> {
        let Some(name) = name
            .as_str()
            .map(without_slash)
            .filter(|name| !name.is_empty())
        else {
            return Err(Failure::fatal(format!(
                "`use_external_resource` requires the `name` of the {} to adopt",
                kind.as_str()
            )));
        };
        match kind {
            Kind::Container => self.adopt_container(&name).await,
            Kind::Network => self.adopt_network(&name).await,
            Kind::Volume => self.adopt_volume(&name).await,
            Kind::Image => Err(Failure::fatal(
                "images cannot be adopted: deployments share them anyway",
            )),
        }
    }

    /// Finds a container and stores its present state.
    async fn adopt_container(&self, name: &str) -> Result<Outputs, Failure> {
        let missing = || {
            Failure::fatal(format!("cannot adopt container `{name}`: it does not exist"))
                .hint("start the container first, or remove `use_external_resource` to let dockctl create it")
        };
        let found = self.inspect(name).await?.ok_or_else(missing)?;
        // The engine also matches a part of an ID. The blueprint must name the container exactly.
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

    /// Restores the state that an adopted container had before its adoption.
    pub(crate) async fn restore(&self, call: &Call, params: &Json) -> Result<Outputs, Failure> {
        let timeout = params::stop(params).map_err(|faults| invalid_arguments(&faults))?;
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
        let failed = |error: EngineError| {
            failure(
                &error,
                &format!("restoring the adopted container to state {found}"),
            )
        };
        let ask = async |what: &str| {
            self.client
                .send(&format!("/containers/{id}/{what}"), &[])
                .await
                .map(drop)
                .map_err(failed)
        };
        let runs = matches!(
            now,
            ObjectState::Running | ObjectState::Restarting | ObjectState::Paused
        );
        match found {
            // A container cannot return to `created`; stopping it is the closest state.
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

    /// Returns how a container exited, with its last log lines, or `None` if it runs or has never
    /// run.
    pub(crate) async fn exit_info(&self, id: &str) -> Option<Exit> {
        let container = self.inspect(id).await.ok()??;
        // `State.Running` is also true while a container waits for its restart, so test the status.
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
            log: self.last_log_lines(&container).await,
        })
    }

    /// Returns the last log lines of a container. Limits size and time itself, because an engine
    /// may ignore the requested number of lines.
    async fn last_log_lines(&self, container: &Container) -> Vec<String> {
        // A character has at most four bytes.
        let (mut last, mut lines) = (
            VecDeque::new(),
            Lines::with_max_length(4 * MAX_LOG_LINE_CHARS),
        );
        let read = self.read_last_lines(container, &mut last, &mut lines);
        let unread = match tokio::time::timeout(LOG_TIMEOUT, read).await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(format!(
                "(cannot read the rest: {})",
                failure(&error, "reading the log").message
            )),
            Err(_) => Some(format!(
                "(incomplete: the engine was still sending after {} s)",
                LOG_TIMEOUT.as_secs()
            )),
        };
        last.extend(lines.rest().map(|line| printable_line(&line)));
        last.drain(..last.len().saturating_sub(MAX_LOG_LINES));
        last.into_iter()
            .chain(unread.map(|why| printable_line(&why)))
            .collect()
    }

    async fn read_last_lines(
        &self,
        container: &Container,
        last: &mut VecDeque<String>,
        lines: &mut Lines,
    ) -> Result<(), EngineError> {
        let request = self.client.logs(
            &container.id(),
            &[("tail", MAX_LOG_LINES.to_string())],
            (container.has_terminal(), false),
        );
        let mut logs = std::pin::pin!(request);
        while let Some(piece) = logs.next().await {
            for line in lines.take(&piece?.bytes) {
                last.extend([printable_line(&line)]);
                last.drain(..last.len().saturating_sub(MAX_LOG_LINES));
            }
        }
        Ok(())
    }
}

fn printable_line(line: &str) -> String {
    printable(
        &line
            .trim_end()
            .chars()
            .take(MAX_LOG_LINE_CHARS)
            .collect::<String>(),
    )
}

/// Docker returns 409, Podman 500.
fn is_name_conflict(error: &EngineError) -> bool {
    status(error) == Some(409)
        || (status(error) == Some(500) && KnownMessage::NameTaken.matches_error(error))
}

fn create_failure(error: &EngineError, name: &str) -> Failure {
    failure(error, &format!("creating container `{name}`"))
}

/// Returns true if the request links the container to others.
fn has_links(body: &JsonMap<String, Json>) -> bool {
    let is_given = |value: &Json| list(value).next().is_some();
    let field = |name: &str| body.get(name).unwrap_or(&Json::Null);
    let endpoints = pairs(&field("NetworkingConfig")["EndpointsConfig"]);
    is_given(&field("HostConfig")["Links"])
        || endpoints
            .map(|(_, endpoint)| endpoint)
            .any(|endpoint| is_given(&endpoint["Links"]))
}

/// Returns the changes of runtime properties after a stop.
pub(crate) fn stopped_outputs() -> Outputs {
    Outputs {
        unset: vec!["network_settings".into(), "ports".into()],
        ..Outputs::default()
    }
}

/// Returns the changes of runtime properties after a removal.
pub(crate) fn removed_outputs() -> Outputs {
    Outputs {
        unset: CONTAINER_PROPERTIES.map(str::to_owned).to_vec(),
        ..Outputs::default()
    }
}

pub(crate) fn container_id_outputs(id: String) -> Outputs {
    Outputs {
        set: JsonMap::from_iter([("container_id".to_owned(), id.into())]),
        unset: Vec::new(),
        ..Outputs::default()
    }
}

pub(crate) fn recorded_id(call: &Call) -> Result<String, Failure> {
    let id = call.properties().get("container_id").and_then(Json::as_str);
    id.map(str::to_owned)
        .ok_or_else(|| Failure::fatal("the instance has no container: it was never created"))
}

pub(crate) fn invalid_arguments(faults: &[Fault]) -> Failure {
    let describe = |fault: &Fault| {
        format!(
            "`{}`: {}",
            fault.path.join("."),
            fault.message.trim_start_matches("this ")
        )
    };
    let all: Vec<String> = faults.iter().map(describe).collect();
    let failure = Failure::fatal(all.join("; "));
    faults
        .iter()
        .filter_map(|fault| fault.hint.as_deref())
        .fold(failure, Failure::hint)
}

/// Returns the image of a request: its ID, if a step provided it, otherwise the name that a
/// document of InfraKit gives.
fn image_of(
    call: &Call,
    creation: &Creation,
    converted: &params::Creation,
) -> Result<String, Failure> {
    let image = match creation.dialect {
        Dialect::Sdk => converted.body.get("Image"),
        Dialect::Params | Dialect::ContainerArgs => call.properties().get("image_id"),
    };
    let image = image.and_then(Json::as_str).map(str::to_owned);
    image.ok_or_else(|| Failure::fatal("the image of the container is unknown"))
}

fn text_property<'c>(call: &'c Call, name: &str) -> Option<&'c str> {
    call.properties().get(name).and_then(Json::as_str)
}

/// Returns the failure of a server for a name that another container has.
fn name_taken_by(name: &str, found: &Container) -> Failure {
    let id: String = found.id().chars().take(12).collect();
    let image = found.text("/Config/Image").unwrap_or_default();
    let state = found.state().as_str();
    let message = format!(
        "the name `{name}` is taken by container {id} (image {image}, {state}); it was not touched"
    );
    Failure::fatal(message).hint("use another logical ID, or remove the container")
}

/// Returns the failure for a name that another container has. Ignores labels that this container
/// inherited from its image.
fn name_taken(name: &str, found: &Container, call: &Call, is_claim: bool) -> Failure {
    let short = |text: &str| text.chars().take(12).collect::<String>();
    let instance = found.label(label::INSTANCE).unwrap_or_default();
    let owner = found.label(label::DEPLOYMENT).filter(|_| is_claim);
    let id = found.label(label::DEPLOYMENT_ID).unwrap_or_default();
    let is_own = owner == Some(&*call.deployment.name) && id == call.deployment.id;
    let ownership = match owner {
        None => "was not created by dockctl".to_owned(),
        Some(_) if is_own => format!("belongs to `{instance}` of this deployment"),
        Some(_) if names_instance(found.labels(), call) => {
            "another state directory created for the same instance".to_owned()
        }
        Some(owner) if owner == call.deployment.name => {
            format!("was created for `{instance}` of a deployment with the same name")
        }
        Some(owner) => format!("belongs to `{instance}` of deployment `{owner}`"),
    };
    let image = found.text("/Config/Image").unwrap_or_default();
    let image = image
        .strip_prefix("sha256:")
        .map_or_else(|| image.to_owned(), short);
    let id = short(&found.id());
    let failure = Failure::fatal(format!(
        "the name `{name}` is taken by container {id} (image {image}), which {ownership}; it was not touched"
    ));
    match owner {
        Some(owner) if names_instance(found.labels(), call) => {
            failure.hint(format!("to take it over, run: dockctl recover {owner}"))
        }
        Some(_) if is_own => failure.hint("an update hands the name on: run dockctl update"),
        Some(owner) => failure
            .hint("give one of the two nodes another `name`")
            .hint(format!(
                "or uninstall the other deployment first: dockctl uninstall {owner}"
            )),
        None => failure
            .hint("to adopt it, add `use_external_resource: true` to the node's properties")
            .hint("to keep both, give the node another `name`")
            .hint(format!("to replace it, first run: docker rm -f {name}")),
    }
}

fn check_name(name: &str) -> Result<(), Failure> {
    if is_valid_name(name) {
        return Ok(());
    }
    Err(
        Failure::fatal(format!("`{name}` is not a valid container name")).hint(
            "use two or more of the characters [a-zA-Z0-9_.-], and start with a letter or digit",
        ),
    )
}

/// Returns the configuration of the docker CLI, or null if there is no configuration.
pub(crate) fn docker_config() -> Json {
    read_json(&config_dir().unwrap_or_default().join("config.json")).unwrap_or_default()
}
