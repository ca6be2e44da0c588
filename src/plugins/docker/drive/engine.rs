//! Runs steps on one Docker engine.

use crate::{
    author::Author,
    digest::keyed_digest,
    engine::{Client, Kind, failure},
    instance_record::ForeignObject,
    model::{Definition, Deployment, Instance},
    plugins::{
        NoteSink, ObjectPlaces, ObserveContext,
        docker::{
            declare::{
                action::{Action, Attachment},
                compare::{DeclaredImage, Inspection, compare_object},
                container::{Container, is_valid_name, without_slash},
                declared::{declaration, declared_name, image as declared_image},
                drift::{drift, lost_namespace, namespaces, shared_namespaces, stale_namespace},
                image::image_name,
                infrakit,
                json::{list, pairs, strings, text},
                label::{self, names_deployment},
                operation::kind,
            },
            drive::{
                containers::{WARNINGS, docker_config, recorded_id},
                images::{ImageRequest, ProvidedImage, matches_source},
                networks::NetworkLocks,
                watch::EventWatch,
            },
        },
    },
    record::FunctionContext,
    seam::{
        Call, Comparison, Failure, HeldAddress, LogLevel, LogLine, Object, ObjectState, Outputs,
        Owner, ProgressSink, StepNote,
    },
};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::{Map as JsonMap, Value as Json, json};
use std::{
    cell::RefCell,
    collections::{HashMap, HashSet},
    path::Path,
    rc::Rc,
};

/// Number of objects to inspect at once.
pub(crate) const CONCURRENT_INSPECTIONS: usize = 8;

/// One Docker engine.
pub(crate) struct Engine {
    pub(crate) client: Rc<Client>,
    author: Author,
    pub(crate) watch: EventWatch,
    /// IDs of the images that were provided since the connection was opened, by requested image.
    pub(crate) provided_images: RefCell<HashMap<String, ProvidedImage>>,
    /// Registries are asked for newer images.
    pub(crate) asks_registry: bool,
    /// Names of the volumes that were requested since the connection was opened.
    pub(crate) requested_volumes: RefCell<HashSet<String>>,
    /// Labels of images of containers, by image ID.
    pub(crate) image_labels: RefCell<HashMap<String, Json>>,
    /// The engine's information about itself, once it has been read.
    cached_info: RefCell<Option<Json>>,
    /// Objects of others that the user took over.
    pub(crate) taken_over: TakenOver,
    /// Locks of the networks that are being created, by name.
    pub(crate) network_locks: NetworkLocks,
}

/// Objects that users took over, shared by all engines of a run.
pub(crate) type TakenOver = Rc<RefCell<TakenOverObjects>>;

/// Objects that users took over.
#[derive(Default)]
pub(crate) struct TakenOverObjects {
    /// IDs of objects of other state directories.
    pub ids: HashSet<String>,
    /// Objects that no dockctl created, by ID.
    pub foreign: HashMap<String, ForeignObject>,
}

impl Engine {
    /// Creates an engine from an open connection. The digests in labels use the author's key.
    pub(crate) fn new(
        client: Rc<Client>,
        (author, asks_registry): (&Author, bool),
        taken_over: &TakenOver,
    ) -> Self {
        Self {
            client,
            author: author.clone(),
            watch: EventWatch::default(),
            provided_images: RefCell::default(),
            asks_registry,
            requested_volumes: RefCell::default(),
            image_labels: RefCell::default(),
            cached_info: RefCell::default(),
            taken_over: taken_over.clone(),
            network_locks: NetworkLocks::default(),
        }
    }

    pub(crate) fn digest(&self, text: &str) -> String {
        keyed_digest(&self.author.key, text)
    }

    /// Inspects a container. Returns `None` if it does not exist.
    pub(crate) async fn inspect(&self, id: &str) -> Result<Option<Container>, Failure> {
        if !is_valid_name(id) {
            return Ok(None);
        }
        let found = self
            .client
            .object(Kind::Container, id)
            .await
            .map_err(|error| failure(&error, "inspecting the container"))?;
        let mut found = found.map(Container::new);
        if let Some(container) = &mut found {
            self.mark_restart(container).await;
        }
        Ok(found)
    }

    /// Shows that a container is about to restart, if the engine does not show that itself.
    async fn mark_restart(&self, container: &mut Container) {
        let is_due = self.client.tells_stops_only_on_request()
            && container.is_restart_due(self.client.now());
        if is_due && !self.client.was_stopped_by_user(&container.id()).await {
            container.set_restarting();
        }
    }

    async fn object(
        &self,
        container: &Container,
        scene: ObserveContext<'_>,
        places: &ObjectPlaces,
        engine: &str,
    ) -> Result<Object, Failure> {
        let deployment = scene.deployment;
        let names_deployment_id =
            names_deployment(container.labels(), &deployment.name, &deployment.id);
        let foreign = places
            .iter()
            .find(|(instance, _)| is_recorded(places, instance, &container.id()))
            .filter(|_| self.is_foreign(container));
        let instance = container
            .label(label::INSTANCE)
            .filter(|_| names_deployment_id)
            .or(foreign.map(|(instance, _)| instance.as_str()));
        // Labels can be copied and names changed, so ownership requires a recorded ID or a matching
        // seal.
        let is_mine = match instance {
            Some(instance) if has_recorded(places, instance) => {
                is_recorded(places, instance, &container.id())
            }
            Some(_) => self.is_proven(container).await?,
            None => false,
        };
        let owner = instance.filter(|_| is_mine).map(|instance| Owner {
            instance: instance.to_owned(),
            as_declared: if foreign.is_some() {
                is_declared_foreign(deployment, instance, container.labels())
            } else {
                self.is_as_declared(deployment, instance, container.labels())
            },
        });
        let shown = match &owner {
            Some(owner) if self.has_foreign_key(container.labels()) => Some(
                self.comparison_data(container, deployment, &owner.instance)
                    .await?,
            ),
            _ => None,
        };
        let has_deployment_label = container.label(label::DEPLOYMENT) == Some(&deployment.name);
        let is_claimed =
            owner.is_none() && has_deployment_label && self.is_claim(container).await?;
        let mut object = Object {
            kind: Kind::Container.as_str(),
            id: container.id(),
            name: container.name(),
            image: container
                .text("/Config/Image")
                .unwrap_or_default()
                .to_owned(),
            image_id: container.text("/Image").unwrap_or_default().to_owned(),
            state: container.state(),
            health: container
                .text("/State/Health/Status")
                .filter(|status| !status.is_empty() && *status != "none")
                .map(str::to_owned),
            started_at: container.started_at().map(str::to_owned),
            exit_code: container
                .started_at()
                .filter(|_| !container.flag("/State/Running"))
                .and_then(|_| container.json.pointer("/State/ExitCode")?.as_i64()),
            ports: container.published_ports(),
            properties: container.network_properties(),
            is_claimed,
            drift: owner
                .as_ref()
                .map(|owner| drift(deployment, &owner.instance, container))
                .unwrap_or_default(),
            owner,
            engine: engine.to_owned(),
            comparison: Comparison::default(),
            foreign_users: Vec::new(),
            stopped_users: Vec::new(),
            held_addresses: Vec::new(),
            namespaces: Vec::new(),
        };
        if let Some(shown) = shown {
            compare_foreign(&mut object, &shown, scene);
        }
        Ok(object)
    }

    /// Returns the engine's information about itself. It is read once.
    pub(crate) async fn info_of_engine(&self) -> Result<Json, Failure> {
        let known = self.cached_info.borrow().clone();
        if let Some(known) = known {
            return Ok(known);
        }
        let info = self.client.mapping("/info", &[]).await;
        let info = info.map_err(|error| failure(&error, "reading the engine information"))?;
        *self.cached_info.borrow_mut() = Some(info.clone());
        Ok(info)
    }

    /// Collects the data for comparing a container of another state directory with its definition.
    async fn comparison_data(
        &self,
        container: &Container,
        deployment: &Deployment,
        instance: &str,
    ) -> Result<Inspection, Failure> {
        let image = self
            .image(container.text("/Image").unwrap_or_default())
            .await?;
        let node = deployment
            .instance(instance)
            .and_then(|instance| deployment.node(instance));
        let declared = node.map(declared_image).unwrap_or_default();
        let directory = deployment.blueprint.parent().unwrap_or(Path::new("."));
        let is_made_of = match &image {
            Some(image) => matches_source(image, &declared, directory).await,
            None => None,
        };
        let wanted_image = match (is_made_of, image_name(&declared)) {
            (Some(is_same), _) => DeclaredImage::Tarball { is_same },
            (None, None) => DeclaredImage::Unnamed,
            (None, Some(name)) => match self.image(&name).await? {
                Some(found) => {
                    DeclaredImage::Id(found["Id"].as_str().unwrap_or_default().to_owned())
                }
                None => DeclaredImage::Absent,
            },
        };
        let mut peers = Vec::new();
        let modes = ["NetworkMode", "PidMode", "IpcMode"].map(|mode| {
            container.json["HostConfig"][mode]
                .as_str()
                .unwrap_or_default()
        });
        for id in modes
            .into_iter()
            .filter_map(|mode| mode.strip_prefix("container:"))
        {
            peers.extend(
                self.inspect(id)
                    .await?
                    .map(|peer| (id.to_owned(), peer.name())),
            );
        }
        let engine = self.info_of_engine().await?;
        Ok(Inspection {
            object: container.json.clone(),
            image: image
                .map(|image| image["Config"].clone())
                .unwrap_or_default(),
            declared_image: wanted_image,
            engine,
            is_podman: self.client.is_podman(),
            peers,
            version: Some(self.client.version()),
            config: docker_config(),
        })
    }

    /// Returns true if an object with these labels was created from the present definition of an
    /// instance. Digests of another state directory use another key: its objects count as matching
    /// until they are compared.
    fn is_as_declared(&self, deployment: &Deployment, instance: &str, labels: &Json) -> bool {
        self.has_foreign_key(labels)
            || self
                .declared_digest(deployment, instance)
                .is_none_or(|spec| labels[label::SPEC] == spec.as_str())
    }

    /// Returns true if labels were created with the key of another state directory.
    fn has_foreign_key(&self, labels: &Json) -> bool {
        labels[label::KEY]
            .as_str()
            .is_some_and(|key| key != self.key_id())
    }

    /// Returns the digest of an instance's definition, or `None` if the deployment does not contain
    /// the instance.
    fn declared_digest(&self, deployment: &Deployment, instance: &str) -> Option<String> {
        let instance = deployment.instance(instance)?;
        let node = deployment
            .node(instance)
            .filter(|node| kind(node).is_some())?;
        Some(self.digest(&declaration(deployment, instance, node)))
    }
}

impl Engine {
    /// Performs an action, and shows the warnings of the engine about a new container.
    pub(crate) async fn perform(
        &self,
        action: &Action,
        call: &Call,
        notes: NoteSink<'_>,
    ) -> Result<Outputs, Failure> {
        let outputs = self.perform_silently(action, call, notes).await?;
        let warnings = outputs.set.get(WARNINGS).unwrap_or(&Json::Null);
        let line = |warning: &Json| LogLine {
            level: LogLevel::Warning,
            text: format!("the engine warns: {}", text(warning)),
            is_quiet: false,
        };
        let lines: Vec<LogLine> = list(warnings).map(line).collect();
        if !lines.is_empty() {
            notes(StepNote::Log(lines)).await;
        }
        Ok(outputs)
    }

    async fn perform_silently(
        &self,
        action: &Action,
        call: &Call,
        notes: NoteSink<'_>,
    ) -> Result<Outputs, Failure> {
        // Progress is only shown: no need to wait for it.
        let progress: ProgressSink<'_> = &|progress| drop(notes(StepNote::Progress(progress)));
        match action {
            Action::Image {
                image,
                folder: directory,
                fallback,
            } => {
                self.ensure_image(
                    &ImageRequest {
                        image,
                        dir: directory,
                        default_repository: fallback,
                    },
                    call,
                    progress,
                )
                .await
            }
            Action::Build {
                image,
                folder: directory,
            } => self.build(call, image, directory, progress).await,
            Action::RemoveImage => self.remove_image(call).await,
            Action::Create(creation) => self.create(call, creation, progress).await,
            Action::Recreate(creation) => self.recreate(call, creation, progress).await,
            Action::CreateSuccessor(creation) => self.create_successor(call, creation).await,
            Action::StepAside { name, keeps } => self.step_aside(call, name, *keeps).await,
            Action::Swap { name, keeps } => self.swap(call, name, *keeps).await,
            Action::Withdraw => self.withdraw(call).await,
            Action::Discard { stop, keeps } => self.discard(call, stop, *keeps).await,
            Action::RestorePredecessor { name } => self.restore_predecessor(call, name).await,
            Action::RestartPredecessor => self.start_restored(call).await,
            Action::Adjust { body, .. } => self.adjust(call, body).await,
            Action::Rename { name } => {
                let renamed = self
                    .rename(&recorded_id(call)?, name.as_str().unwrap_or_default())
                    .await;
                renamed.map(|()| Outputs::default())
            }
            Action::Connect { network, endpoint } => {
                self.connect_network(
                    call,
                    &Attachment {
                        network: network.clone(),
                        endpoint: endpoint.clone(),
                    },
                )
                .await
            }
            Action::Restart { params } => self.restart(call, params).await,
            Action::Start { .. } => self.start(call).await,
            Action::Wait {
                processes,
                interval,
            } => self.wait(call, processes, interval, progress).await,
            Action::WaitFor { condition } => self.wait_for(call, condition, progress).await,
            Action::Follow => self.wait_for_exit(call, progress).await,
            Action::CheckUp => self.check_stays_up(call).await,
            Action::Execute { command } => self.execute(call, command, progress).await,
            Action::Stop { params } => self.stop(call, params).await,
            Action::Remove { params, labeling } => self.remove(call, params, labeling).await,
            Action::JoinNetwork { network, labeling } => {
                self.join_network(call, network, labeling).await
            }
            Action::Init {
                init,
                creation,
                networks,
            } => {
                self.initialize(call, init, (creation, networks), notes)
                    .await
            }
            Action::Adopt { kind, name } => self.adopt(*kind, name).await,
            Action::Restore { params } => self.restore(call, params).await,
            Action::Release => Ok(released_outputs()),
            Action::CreateNetwork(making) => self.create_network(call, making).await,
            Action::RemoveNetwork => self.remove_network(call).await,
            Action::CreateVolume(making) => self.create_volume(call, making).await,
            Action::RemoveVolume { keep, made_by } => {
                self.remove_volume(call, keep, made_by.as_deref()).await
            }
        }
    }

    /// Adds the labels that identify the instance of an object.
    pub(crate) fn add_labels(
        &self,
        body: &mut Json,
        call: &Call,
        declaration: &str,
        (record, name): (&Json, &str),
    ) {
        let mut labels: JsonMap<String, Json> =
            body["Labels"].as_object().cloned().unwrap_or_default();
        for (name, value) in [
            (label::DEPLOYMENT, call.deployment.name.as_str()),
            (label::DEPLOYMENT_ID, &call.deployment.id),
            (label::AUTHOR, &json!(self.author.name).to_string()),
            (label::NODE, call.node()),
            (label::INSTANCE, call.instance()),
            (label::GENERATION, "1"),
            (label::EXECUTION, &call.execution),
            (label::SPEC, &self.digest(declaration)),
            (label::RECORD, &label::label_value(record, name)),
            (label::KEY, &self.key_id()),
        ] {
            labels.insert(name.to_owned(), value.into());
        }
        labels.retain(|name, value| name != label::DEPLOYMENT_ID || value != "");
        body["Labels"] = Json::Object(labels);
    }

    /// Returns a short ID of this state directory's key.
    fn key_id(&self) -> String {
        self.digest("key").chars().take(8).collect()
    }

    /// Returns the deployment's objects on this engine, and foreign objects with names that the
    /// deployment needs.
    pub(crate) async fn objects(
        &self,
        scene: ObserveContext<'_>,
        places: &ObjectPlaces,
        engine: &str,
    ) -> Result<Vec<Object>, Failure> {
        let deployment = scene.deployment;
        let (mut objects, listed) = self.containers(scene, places, engine).await?;
        let removed = scene.record.dropped.iter().map(|(_, node)| node);
        let declared = deployment.nodes.values().map(|node| &**node);
        let nodes: Vec<&Definition> = declared.chain(removed).collect();
        let has = |wanted: Kind| nodes.iter().any(|node| kind(node) == Some(wanted));
        if has(Kind::Network) {
            let networks = self.simple_objects(scene, places, engine, Kind::Network);
            let mut networks = networks.await?;
            let foreign = foreign_containers(&listed, &objects, places);
            for network in &mut networks {
                let on_it = foreign.iter().filter(|it| is_on(it, &network.id));
                let (running, stopped) = on_it.partition(|it| runs(it));
                network.foreign_users = names(running);
                network.stopped_users = names(stopped);
                network.held_addresses = held_addresses(&network.id, &listed);
            }
            objects.extend(networks);
        }
        if has(Kind::Volume) {
            objects.extend(
                self.simple_objects(scene, places, engine, Kind::Volume)
                    .await?,
            );
        }
        objects.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(objects)
    }

    /// Returns the containers of the deployment, and the engine's list of all.
    async fn containers(
        &self,
        scene: ObserveContext<'_>,
        places: &ObjectPlaces,
        engine: &str,
    ) -> Result<(Vec<Object>, Vec<Json>), Failure> {
        let deployment = scene.deployment;
        let listed = self
            .client
            .list(Kind::Container, &[("all", "true".to_owned())])
            .await;
        let listed = listed.map_err(|error| failure(&error, "listing containers"))?;
        // The record may list an adopted container that the blueprint now calls by another name.
        let known = places.values().filter_map(|place| place.object.clone());
        let wanted = needed_names(deployment, Kind::Container)
            .into_iter()
            .chain(known)
            .collect();
        let relevant = listed
            .iter()
            .filter(|container| is_relevant(container, &deployment.name, &wanted))
            .filter_map(|container| container["Id"].as_str());
        let looks = stream::iter(relevant.map(|id| self.inspect(id)))
            .buffer_unordered(CONCURRENT_INSPECTIONS);
        let found: Vec<Option<Container>> = looks.try_collect().await?;
        let mut objects = Vec::new();
        for container in found.iter().flatten() {
            objects.push(self.object(container, scene, places, engine).await?);
        }
        let foreign_owners = self.foreign_owners(&found).await?;
        let all: Vec<&Container> = found.iter().flatten().chain(&foreign_owners).collect();
        add_stale_namespaces(&mut objects, &all, deployment);
        Ok((objects, listed))
    }

    /// Returns the containers whose namespaces others share and that are not among them, directly
    /// or through another one.
    async fn foreign_owners(&self, found: &[Option<Container>]) -> Result<Vec<Container>, Failure> {
        let owners = |it: &Container| {
            shared_namespaces(it)
                .map(|it| it.owner.to_owned())
                .collect()
        };
        let mut seen: HashSet<String> = found.iter().flatten().map(Container::id).collect();
        let mut open: Vec<String> = found
            .iter()
            .flatten()
            .flat_map::<Vec<_>, _>(owners)
            .collect();
        let mut foreign = Vec::new();
        while let Some(id) = open.pop() {
            if !seen.insert(id.clone()) {
                continue;
            }
            if let Some(owner) = self.inspect(&id).await? {
                open.extend::<Vec<_>>(owners(&owner));
                foreign.push(owner);
            }
        }
        Ok(foreign)
    }

    /// Returns the instance that owns a network or volume. A volume outlives its instance and the
    /// instance's journal: a sealed volume belongs to the instance that has its name now.
    fn simple_owner(
        &self,
        found: &Json,
        deployment: &Deployment,
        places: &ObjectPlaces,
        kind: Kind,
        id: &str,
    ) -> Option<String> {
        let labels = &found["Labels"];
        if labels[label::DEPLOYMENT] != deployment.name.as_str() {
            return None;
        }
        let names_deployment_id = names_deployment(labels, &deployment.name, &deployment.id);
        if let Some((instance, _)) = places
            .iter()
            .find(|(_, place)| names_deployment_id && place.object.as_deref() == Some(id))
        {
            return Some(instance.clone());
        }
        if !self.is_proven_as(found, kind) {
            return None;
        }
        let is_volume = |it: &Instance| {
            deployment
                .node(it)
                .and_then(crate::plugins::docker::declare::operation::kind)
                == Some(Kind::Volume)
        };
        let has_name =
            |it: &Instance| declared_name(deployment, it).as_deref() == found["Name"].as_str();
        let by_name = |it: &&Instance| {
            is_volume(it) && labels[label::NODE] == it.node.as_str() && has_name(it)
        };
        let instance = match kind {
            Kind::Volume => {
                let labeled = || {
                    deployment
                        .instances
                        .iter()
                        .find(|it| labels[label::INSTANCE] == it.id.as_str())
                };
                deployment
                    .instances
                    .iter()
                    .find(by_name)
                    .or_else(labeled)
                    .map(|it| it.id.clone())
            }
            _ => labels[label::INSTANCE]
                .as_str()
                .map(str::to_owned)
                .filter(|_| names_deployment_id),
        };
        instance.filter(|instance| !has_recorded(places, instance))
    }

    /// Returns networks or volumes. A list response contains all their data.
    async fn simple_objects(
        &self,
        scene: ObserveContext<'_>,
        places: &ObjectPlaces,
        engine: &str,
        kind: Kind,
    ) -> Result<Vec<Object>, Failure> {
        let deployment = scene.deployment;
        let listed = self
            .client
            .list(kind, &[])
            .await
            .map_err(|error| failure(&error, &format!("listing {}s", kind.as_str())))?;
        let wanted = needed_names(deployment, kind);
        let relevant = |found: &&Json| {
            let is = |field: &str| {
                found[field]
                    .as_str()
                    .is_some_and(|text| wanted.contains(text))
            };
            found["Labels"][label::DEPLOYMENT] == deployment.name.as_str() || is("Name") || is("Id")
        };
        Ok(listed
            .iter()
            .filter(relevant)
            .map(|found| self.simple_object(found, scene, places, engine, kind))
            .collect())
    }

    fn simple_object(
        &self,
        found: &Json,
        scene: ObserveContext<'_>,
        places: &ObjectPlaces,
        engine: &str,
        kind: Kind,
    ) -> Object {
        let deployment = scene.deployment;
        let text = |field: &str| found[field].as_str().unwrap_or_default().to_owned();
        let id = if kind == Kind::Volume {
            text("Name")
        } else {
            text("Id")
        };
        let owner = self
            .simple_owner(found, deployment, places, kind, &id)
            .map(|instance| Owner {
                // A volume always counts as declared: its data is worth more than its definition.
                as_declared: kind == Kind::Volume
                    || self.is_as_declared(deployment, &instance, &found["Labels"]),
                instance,
            });
        let mut object = Object {
            kind: kind.as_str(),
            id,
            name: text("Name"),
            image: String::new(),
            image_id: String::new(),
            state: ObjectState::Available,
            health: None,
            started_at: None,
            exit_code: None,
            ports: Vec::new(),
            properties: JsonMap::new(),
            is_claimed: owner.is_none() && is_claim(found, &deployment.name),
            owner,
            engine: engine.to_owned(),
            drift: Vec::new(),
            comparison: Comparison::default(),
            foreign_users: Vec::new(),
            stopped_users: Vec::new(),
            held_addresses: Vec::new(),
            namespaces: Vec::new(),
        };
        if self.has_foreign_key(&found["Labels"]) {
            let shown = Inspection {
                object: found.clone(),
                ..Inspection::default()
            };
            compare_foreign(&mut object, &shown, scene);
        }
        object
    }
}

/// Compares an object of another state directory with its definition.
fn compare_foreign(object: &mut Object, shown: &Inspection, scene: ObserveContext<'_>) {
    let Some(me) = object.owner.as_ref().map(|owner| owner.instance.clone()) else {
        return;
    };
    let context = FunctionContext::of(scene.record, &me, scene.secrets);
    compare_object(object, shown, scene.deployment, &context);
}

/// Returns true if the labels of a network or volume claim that this very object was created for a
/// deployment of this name.
fn is_claim(found: &Json, deployment: &str) -> bool {
    let labels = &found["Labels"];
    let record = labels[label::RECORD].as_str().unwrap_or_default();
    labels[label::DEPLOYMENT] == deployment
        && label::is_for(record, found["Name"].as_str().unwrap_or_default())
}

/// Returns true if a container that dockctl did not create has the declared configuration: its tags
/// name it.
fn is_declared_foreign(deployment: &Deployment, instance: &str, labels: &Json) -> bool {
    let instance = deployment.instance(instance);
    let node = instance.and_then(|instance| deployment.node(instance));
    node.is_none_or(|node| infrakit::is_declared(node, labels))
}

/// Returns true if the record lists this ID as the object of an instance.
fn is_recorded(places: &ObjectPlaces, instance: &str, id: &str) -> bool {
    places
        .get(instance)
        .is_some_and(|place| place.object.as_deref() == Some(id))
}

/// Returns true if the record lists an object for an instance, so that no other object belongs to
/// it.
fn has_recorded(places: &ObjectPlaces, instance: &str) -> bool {
    places
        .get(instance)
        .is_some_and(|place| place.object.is_some())
}

fn released_outputs() -> Outputs {
    let names = [
        "container_id",
        "ports",
        "network_settings",
        "network_id",
        "network_name",
        "network",
        "volume_name",
        "mountpoint",
        crate::plugins::docker::declare::status::ADOPTED_STATE,
    ];
    Outputs {
        unset: names.map(str::to_owned).to_vec(),
        ..Outputs::default()
    }
}

/// Returns the names that the deployment needs for objects of a kind, including adopted ones.
fn needed_names(deployment: &Deployment, wanted: Kind) -> HashSet<String> {
    let of_kind = |instance: &&Instance| deployment.node(instance).and_then(kind) == Some(wanted);
    deployment
        .instances
        .iter()
        .filter(of_kind)
        .filter_map(|instance| declared_name(deployment, instance))
        .collect()
}

fn is_relevant(container: &Json, deployment: &str, wanted: &HashSet<String>) -> bool {
    let names = || {
        container["Names"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Json::as_str)
    };
    let mine = container["Labels"][label::DEPLOYMENT] == deployment;
    let by_id = container["Id"]
        .as_str()
        .is_some_and(|id| wanted.contains(id));
    mine || by_id || names().any(|name| wanted.contains(&without_slash(name)))
}

/// Adds the drift of containers that share namespaces of the start before of another container.
fn add_stale_namespaces(objects: &mut [Object], found: &[&Container], deployment: &Deployment) {
    let all: HashMap<String, &Container> = found.iter().map(|it| (it.id(), *it)).collect();
    let by_id = |id: &str| all.get(id).copied();
    for object in objects {
        let instance = object
            .owner
            .as_ref()
            .and_then(|it| deployment.instance(&it.instance));
        let node = instance.and_then(|it| Some((it, deployment.node(it)?)));
        let (Some(node), Some(container)) = (node, by_id(&object.id)) else {
            continue;
        };
        let drift = stale_namespace((&node.0.id, node.1), container, &by_id);
        let lost = lost_namespace(node.1, container, &by_id);
        // A restart does not bring back a lost namespace.
        object.drift.extend(lost.or(drift));
        object.namespaces = namespaces(node.1, container, &by_id);
    }
}

/// Returns the containers that do not belong to the deployment. `listed` has all containers
/// of the engine, `objects` those of the deployment.
fn foreign_containers<'l>(
    listed: &'l [Json],
    objects: &[Object],
    places: &ObjectPlaces,
) -> Vec<&'l Json> {
    let is_own = |id: &str| {
        let is_it = |object: &Object| object.id == id && object.owner.is_some();
        let mut known = places.values().filter_map(|place| place.object.as_deref());
        objects.iter().any(is_it) || known.any(|known| known == id)
    };
    let foreign = listed.iter();
    foreign
        .filter(|container| !is_own(text(&container["Id"])))
        .collect()
}

fn runs(container: &Json) -> bool {
    let states = ["running", "paused", "restarting"];
    states.contains(&text(&container["State"]))
}

/// Returns true if a container of the engine's list is on the network with this ID.
fn is_on(container: &Json, network: &str) -> bool {
    let mut endpoints = pairs(&container["NetworkSettings"]["Networks"]);
    endpoints.any(|(_, endpoint)| endpoint["NetworkID"] == network)
}

/// Returns the addresses that containers of the engine's list have on the network with this ID.
fn held_addresses(network: &str, listed: &[Json]) -> Vec<HeldAddress> {
    let of_container = |container: &Json| -> Vec<HeldAddress> {
        let endpoints = pairs(&container["NetworkSettings"]["Networks"]);
        let on_it = endpoints.filter(|(_, endpoint)| endpoint["NetworkID"] == network);
        let addresses = on_it.flat_map(|(_, endpoint)| {
            ["IPAddress", "GlobalIPv6Address"].map(|field| text(&endpoint[field]))
        });
        let held = addresses.filter(|it| !it.is_empty()).map(|it| HeldAddress {
            address: it.to_owned(),
            object: text(&container["Id"]).to_owned(),
            name: listed_name(container).unwrap_or_default(),
        });
        held.collect()
    };
    listed.iter().flat_map(of_container).collect()
}

fn names(containers: Vec<&&Json>) -> Vec<String> {
    let all = containers.into_iter();
    all.filter_map(|it| listed_name(it)).collect()
}

/// Returns the name of a container in the engine's list.
pub(crate) fn listed_name(container: &Json) -> Option<String> {
    strings(&container["Names"]).next().map(without_slash)
}
