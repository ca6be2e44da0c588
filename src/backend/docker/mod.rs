//! Containers on a Docker engine: the operations of the original docker plugin 1.x.
//!
//! Pure here: which operation becomes which steps, what a container is called, what its standing is.
//! [`Engine`] carries the steps out.

pub mod check;
mod connect;
mod container;
mod containers;
mod engine;
mod engines;
mod images;
pub mod params;
mod step;
mod wait;

pub use connect::{ConnectError, Host};
pub use engine::Engine;
pub use engines::Engines;
pub use step::{Action, Creation, Step};

use super::{EngineRef, ObjectState, Observed, Standing};
use crate::{
    model::{
        Definition, Deployment, Instance, Planned,
        function::{attribute_targets, holds_call, is_call},
    },
    plan::InstanceState,
    state::Record,
};
use serde_json::{Map as JsonMap, Value as Json, json};
use std::{collections::HashMap, path::Path};

/// The operations of the plugin.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Operation {
    /// `create_container`: the image, then the container.
    Create,
    /// `start`: the container, then its processes.
    Start,
    /// `stop`.
    Stop,
    /// `remove_container`.
    Remove,
}

impl Operation {
    /// The operation that a blueprint means.
    #[must_use]
    pub fn of(plugin: &str, operation: &str) -> Option<Self> {
        match operation {
            _ if !provides(plugin) => None,
            "docker_plugin.tasks.create_container" => Some(Self::Create),
            "docker_plugin.tasks.start" => Some(Self::Start),
            "docker_plugin.tasks.stop" => Some(Self::Stop),
            "docker_plugin.tasks.remove_container" => Some(Self::Remove),
            _ => None,
        }
    }
}

/// Whether a plugin of this name is carried out here. One that was imported under a namespace has a prefix.
#[must_use]
pub fn provides(plugin: &str) -> bool {
    plugin.rsplit("--").next() == Some("docker")
}

/// Whether a node is a container of this back-end, whatever its type is called.
#[must_use]
pub fn is_container(node: &Definition) -> bool {
    node.operations.values().any(|operation| Operation::of(&operation.plugin, &operation.operation) == Some(Operation::Create))
}

/// Runtime property that says how an adopted container was found.
const ADOPTED_STATE: &str = "adopted_state";

const LIFECYCLE: &str = "cloudify.interfaces.lifecycle";

fn input<'n>(node: &'n Definition, operation: &str, input: &str) -> &'n Json {
    const NULL: &Json = &Json::Null;
    node.operations.get(&format!("{LIFECYCLE}.{operation}")).and_then(|operation| operation.inputs.get(input)).unwrap_or(NULL)
}

/// The steps of an operation; none if it is not one of the plugin's.
pub(super) fn lower(deployment: &Deployment, instance: &Instance, node: &Definition, name: &str, operation: &Planned) -> Option<Vec<Step>> {
    let params = operation.inputs.get("params").cloned().unwrap_or_default();
    let wait = || {
        waits(node)
            .map(|processes| Action::Wait { processes, interval: operation.inputs.get("retry_interval").cloned().unwrap_or_default() })
    };
    let on_lifecycle = name.starts_with(LIFECYCLE);
    let actions = match (Operation::of(&operation.plugin, &operation.operation)?, node.is_adopted()) {
        (Operation::Create, false) if on_lifecycle => {
            vec![image(deployment, instance, node), Action::Create(creation(deployment, instance, node))]
        }
        (Operation::Create, true) => vec![Action::Adopt { name: adopted(node) }],
        (Operation::Start, false) => {
            let late = holds_call(input(node, "start", "params"));
            let recreate = late.then(|| Action::Recreate(creation(deployment, instance, node)));
            recreate.into_iter().chain([Action::Start { adopted: false }]).chain(wait()).collect()
        }
        (Operation::Start, true) => [Action::Start { adopted: true }].into_iter().chain(wait()).collect(),
        (Operation::Stop, false) => vec![Action::Stop { params: stop_params(node, params) }],
        (Operation::Stop, true) => vec![Action::Restore { params }],
        (Operation::Remove, false) => vec![Action::Remove { params }],
        (Operation::Remove, true) => vec![Action::Release],
        (Operation::Create, false) => return None,
    };
    let engine = client_of(operation).unwrap_or_else(|| engine(node));
    Some(actions.into_iter().map(|action| Step { engine: engine.clone(), action }).collect())
}

/// Where nothing is said, a container's own `stop_timeout` counts, not the default of the original.
fn stop_params(node: &Definition, mut params: Json) -> Json {
    let own = &input(node, "create", "params")["stop_timeout"];
    if !own.is_null() && params["timeout"].is_null() && !is_call(&params) {
        params = if params.is_object() { params } else { json!({}) };
        params["timeout"] = own.clone();
    }
    params
}

/// The engine that an operation names with its `daemon_client`.
fn client_of(operation: &Planned) -> Option<EngineRef> {
    let client = operation.inputs.get("daemon_client")?;
    client.as_object().filter(|client| !client.is_empty()).map(|_| EngineRef::Client(client.clone()))
}

/// The engine that a node's container is on: the one that it is created on. Where only another
/// operation names one, it is that: the original would have looked there.
fn engine(node: &Definition) -> EngineRef {
    let named = |name: &str| client_of(node.operations.get(&format!("{LIFECYCLE}.{name}"))?);
    ["create", "start", "stop", "delete"].into_iter().find_map(named).unwrap_or_default()
}

/// The engine that the objects of an instance are on; none if it has no objects.
pub(super) fn engine_of(deployment: &Deployment, instance: &Instance) -> Option<EngineRef> {
    deployment.node(instance).filter(|node| is_container(node)).map(engine)
}

fn image(deployment: &Deployment, instance: &Instance, node: &Definition) -> Action {
    let folder = deployment.blueprint.parent().unwrap_or(Path::new(".")).display().to_string();
    // `params.image` beats the property, as it does in the call that the original made.
    let of_params = input(node, "create", "params").get("image").filter(|image| !image.is_null() && *image != "");
    let property = || node.properties.get("image").cloned().unwrap_or_default();
    let image = of_params.map_or_else(property, |image| json!({ "repository": image }));
    Action::Image { image, folder, fallback: instance.id.clone() }
}

fn creation(deployment: &Deployment, instance: &Instance, node: &Definition) -> Creation {
    let (create, start) = (input(node, "create", "params"), input(node, "start", "params"));
    let needs: Vec<&str> = instance.ties.iter().map(|tie| tie.target.as_str()).collect();
    Creation {
        name: container_name(instance, node),
        create: create.clone(),
        start: start.clone(),
        declaration: declaration(instance, node),
        record: json!({
            "node": instance.node,
            "index": instance.index,
            "blueprint": deployment.blueprint,
            "needs": needs,
            "stop": input(node, "stop", "params"),
            "delete": input(node, "delete", "params"),
        }),
    }
}

/// Everything that decides what the container is like, in one text.
fn declaration(instance: &Instance, node: &Definition) -> String {
    let image = node.properties.get("image").cloned().unwrap_or_default();
    let [create, start] = ["create", "start"].map(|operation| without_waits(input(node, operation, "params")));
    json!({ "image": image, "name": container_name(instance, node), "create": create, "start": start }).to_string()
}

/// Waits decide when the container is ready, not what it is like.
fn without_waits(params: &Json) -> Json {
    let mut params: JsonMap<String, Json> = params.as_object().cloned().unwrap_or_default();
    params.shift_remove("processes_to_wait_for");
    params.sort_keys();
    Json::Object(params)
}

/// `params.name`, else the `name` property, else the id of the instance. Instance 0 keeps a given
/// name, instance n gets `name-n`.
fn container_name(instance: &Instance, node: &Definition) -> Json {
    let given = input(node, "create", "params").get("name").or_else(|| node.properties.get("name"));
    match given.filter(|name| !name.is_null() && name.as_str() != Some("")) {
        None => Json::from(instance.id.as_str()),
        Some(Json::String(name)) => {
            let name = name.strip_prefix('/').unwrap_or(name);
            if instance.index == 0 { name.into() } else { format!("{name}-{}", instance.index).into() }
        }
        Some(name) if instance.index == 0 => name.clone(),
        Some(name) => json!({ "concat": [name, format!("-{}", instance.index)] }),
    }
}

/// What an adopted container is found by: its name, else `resource_id`.
fn adopted(node: &Definition) -> Json {
    let name = node.properties.get("name").filter(|name| !name.is_null() && name.as_str() != Some(""));
    name.or_else(|| node.properties.get("resource_id")).cloned().unwrap_or_default()
}

/// The name of an adopted container without a leading `/`; none if the node adopts nothing.
pub(super) fn adopted_name(node: &Definition) -> Option<String> {
    let name = adopted(node);
    let name = name.as_str().filter(|_| node.is_adopted() && is_container(node))?;
    Some(name.strip_prefix('/').unwrap_or(name).to_owned())
}

/// Processes to wait for, wherever they are given: old blueprints write them inside `params`.
fn waits(node: &Definition) -> Option<Json> {
    let places = [
        input(node, "start", "processes_to_wait_for"),
        &input(node, "start", "params")["processes_to_wait_for"],
        &input(node, "create", "params")["processes_to_wait_for"],
    ];
    let given: Vec<&Json> = places.into_iter().filter(|processes| !processes.is_null()).collect();
    if let [late] = given[..]
        && holds_call(late)
    {
        return Some(late.clone());
    }
    let mut names: Vec<Json> = Vec::new();
    for processes in given {
        let list = processes.as_array().cloned().unwrap_or_else(|| vec![processes.clone()]);
        names.extend(list.into_iter().filter(|name| !name.is_null() && name.as_str() != Some("")));
    }
    names.dedup();
    (!names.is_empty()).then_some(Json::Array(names))
}

/// For each instance the ids of those whose containers its own names: links, volumes, a shared network.
pub(super) fn uses(deployment: &Deployment) -> HashMap<String, Vec<String>> {
    let place = |instance: &Instance| engine_of(deployment, instance).unwrap_or_default().to_string();
    let entry = |it: &Instance| Some(((place(it), wanted_name(deployment, it)?), it.id.clone()));
    let names: HashMap<(String, String), String> = deployment.instances.iter().filter_map(entry).collect();
    let ids = |instance: &Instance| {
        let used = names_used(deployment, instance).into_iter().filter_map(|name| names.get(&(place(instance), name)).cloned());
        used.filter(|id| *id != instance.id).collect()
    };
    deployment.instances.iter().map(|instance| (instance.id.clone(), ids(instance))).collect()
}

/// The name of the container that stands for an instance, where it is known by now.
fn wanted_name(deployment: &Deployment, instance: &Instance) -> Option<String> {
    let node = deployment.node(instance).filter(|node| is_container(node))?;
    adopted_name(node).or_else(|| container_name(instance, node).as_str().map(str::to_owned))
}

fn names_used(deployment: &Deployment, instance: &Instance) -> Vec<String> {
    let Some(node) = deployment.node(instance).filter(|node| is_container(node) && !node.is_adopted()) else { return Vec::new() };
    let Ok(creation) = params::creation(input(node, "create", "params"), input(node, "start", "params")) else { return Vec::new() };
    let Some(host) = creation.body.get("HostConfig") else { return Vec::new() };
    let listed = ["Links", "VolumesFrom"].into_iter().flat_map(|field| host[field].as_array().into_iter().flatten());
    let shared = ["NetworkMode", "PidMode", "IpcMode"].into_iter().filter_map(|field| host[field].as_str()?.strip_prefix("container:"));
    let names = listed.filter_map(Json::as_str).chain(shared);
    names.filter_map(|name| Some(name.split(':').next()?.trim_start_matches('/').to_owned())).collect()
}

/// Ids of instances whose attributes went into this container.
pub(super) fn reads(deployment: &Deployment, instance: &Instance) -> Vec<String> {
    let Some(node) = deployment.node(instance).filter(|node| is_container(node) && !node.is_adopted()) else { return Vec::new() };
    let mut targets = attribute_targets(input(node, "create", "params"));
    targets.extend(attribute_targets(input(node, "start", "params")));
    targets.extend(node.properties.values().flat_map(attribute_targets));
    if targets.is_empty() {
        return targets;
    }
    let others = deployment.instances.iter().filter(|other| other.id != instance.id && targets.contains(&other.node));
    others.map(|other| other.id.clone()).collect()
}

/// How far a container is from being installed.
pub(super) fn standing(instance: &Instance, node: &Definition, record: &Record, observed: &Observed) -> Standing {
    let started = record.state(&instance.id) == InstanceState::Started;
    let object = match adopted_name(node) {
        Some(_) if record.state(&instance.id).is_gone() => return Standing::Absent,
        Some(name) => observed.named(&instance.id, &name),
        None => observed.of(&instance.id),
    };
    match object {
        None => Standing::Absent,
        Some(object) if object.owner.as_ref().is_some_and(|owner| !node.is_adopted() && !owner.as_declared) => Standing::Outdated,
        Some(object) if known_id(record, instance) != Some(&object.id) => Standing::Absent,
        Some(object) if object.state == ObjectState::Running && started => Standing::UpToDate,
        Some(object) if matches!(object.state, ObjectState::Running | ObjectState::Restarting) => Standing::NotReady,
        Some(_) => Standing::Stopped,
    }
}

/// Id of the container that the record knows. If it knows none, creating it finds the one that an
/// interrupted run left behind; if it knows another, an adopted container was replaced.
fn known_id<'r>(record: &'r Record, instance: &Instance) -> Option<&'r str> {
    record.properties(&instance.id)?.get("container_id")?.as_str()
}
