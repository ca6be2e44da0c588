//! Computes the declared objects of a deployment: their engines, names, contents and references.

use crate::{
    diagnostic::Fault,
    engine::Kind,
    model::{
        Definition, Deployment, Instance, OperationDefinition, RelationshipDefinition,
        function::{contains_call, is_call},
    },
    plugins::{
        InstanceRef, Name,
        docker::declare::{
            action::{Attachment, Creation, Dialect},
            image, infrakit,
            json::{list, strings, text},
            operation::{is_infrakit, is_run, kind},
            params,
        },
    },
    seam::{Labeling, Target},
};
use serde_json::{Map as JsonMap, Value as Json, json};

pub(crate) const LIFECYCLE: &str = "cloudify.interfaces.lifecycle";
const ATTACHED_TO_NETWORK: &str = "dockctl.relationships.attached_to_network";
const MOUNTS: &str = "dockctl.relationships.mounts";

const NULL: &Json = &Json::Null;

/// Returns an input of a lifecycle operation; null if it is not given.
pub(crate) fn input<'n>(node: &'n Definition, operation: &str, input: &str) -> &'n Json {
    node.operations
        .get(&format!("{LIFECYCLE}.{operation}"))
        .and_then(|operation| operation.inputs.get(input))
        .unwrap_or(NULL)
}

pub(crate) fn property<'n>(node: &'n Definition, name: &str) -> &'n Json {
    node.properties.get(name).unwrap_or(NULL)
}

fn is_given(value: &Json) -> bool {
    !value.is_null() && value != ""
}

/// Returns the engine in the `daemon_client` of an operation.
pub(crate) fn client_engine(operation: &OperationDefinition) -> Option<Target> {
    let client = operation.inputs.get("daemon_client")?;
    client
        .as_object()
        .filter(|client| !client.is_empty())
        .map(|client| engine_at(client.clone().into()))
}

/// Returns the engine for arguments of docker-py's client.
fn engine_at(client: Json) -> Target {
    let shown = match &client["base_url"] {
        Json::Null => "the default engine",
        Json::String(address) => address,
        _ => "an engine known after install",
    };
    Target::At {
        shown: shown.to_owned(),
        arguments: client,
    }
}

/// Returns the engine of a node's object: the one on which it is created. If only another operation
/// names an engine, that one applies, as in Cloudify's plugin.
pub(crate) fn engine(node: &Definition) -> Target {
    let named = |name: &str| client_engine(node.operations.get(&format!("{LIFECYCLE}.{name}"))?);
    let of_operations = ["create", "start", "stop", "delete"]
        .into_iter()
        .find_map(named);
    of_operations
        .or_else(|| client_config(property(node, "client_config")))
        .unwrap_or_default()
}

/// Reads `client_config` of the plugin 2.x: host and port, otherwise a socket; none for the default
/// engine.
fn client_config(config: &Json) -> Option<Target> {
    let [host, port, socket] =
        ["docker_host", "docker_rest_port", "docker_sock_file"].map(|name| &config[name]);
    let address = match (is_given(host) && is_given(port), is_given(socket)) {
        (true, _) => json!({ "concat": ["tcp://", host, ":", port] }),
        (false, true) => json!({ "concat": ["unix://", socket] }),
        (false, false) => return None,
    };
    let plain = address["concat"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|part| {
            part.as_str()
                .map(str::to_owned)
                .or(part.as_i64().map(|it| it.to_string()))
        });
    let address = plain
        .collect::<Option<String>>()
        .map_or(address, Json::from);
    Some(engine_at(json!({ "base_url": address })))
}

/// Returns the engine of an instance's object; none if the node has no object.
pub(crate) fn instance_engine(deployment: &Deployment, instance: &Instance) -> Option<Target> {
    deployment
        .node(instance)
        .filter(|node| kind(node).is_some())
        .map(engine)
}

/// Returns the name of an instance's object: the label of the instance, if it has one. Otherwise,
/// with a given name, instance 0 has `name`, instance n has `name-n`. Without one, a container has the ID of the instance; networks and volumes, which
/// may outlive the instance, have the names of deployment and node.
pub(crate) fn object_name(deployment: &str, instance: &Instance, node: &Definition) -> Json {
    if let Some(label) = &instance.label {
        return label.clone().into();
    }
    let given = match kind(node) {
        _ if is_run(node) => &property(node, "resource_config")["container_args"]["name"],
        _ if is_infrakit(node) => infrakit::declared_name(node),
        Some(Kind::Container) => Some(&input(node, "create", "params")["name"])
            .filter(|name| is_given(name))
            .unwrap_or_else(|| property(node, "name")),
        _ => property(node, "name"),
    };
    let suffixed = |name: &str| {
        if instance.index == 0 {
            name.to_owned()
        } else {
            format!("{name}-{}", instance.index)
        }
    };
    match given {
        Json::String(name) if is_given(given) => {
            suffixed(name.strip_prefix('/').unwrap_or(name)).into()
        }
        name if is_given(name) && instance.index == 0 => name.clone(),
        name if is_given(name) => json!({ "concat": [name, format!("-{}", instance.index)] }),
        _ if kind(node) == Some(Kind::Container) => instance.id.clone().into(),
        _ => suffixed(&format!("{deployment}_{}", instance.node)).into(),
    }
}

/// Returns the name of an adopted object without a leading `/`, or its ID; none if the node does
/// not adopt an object.
pub(crate) fn adopted_name(node: &Definition) -> Option<String> {
    let name = adopted_reference(node);
    let name = name
        .as_str()
        .filter(|_| node.is_adopted() && kind(node).is_some())?;
    Some(name.strip_prefix('/').unwrap_or(name).to_owned())
}

/// Returns the reference to an adopted object: `name`, otherwise `resource_id`.
pub(crate) fn adopted_reference(node: &Definition) -> Json {
    Some(property(node, "name"))
        .filter(|name| is_given(name))
        .unwrap_or_else(|| property(node, "resource_id"))
        .clone()
}

/// Returns the name of an instance's object, if it is already known.
pub(crate) fn declared_name(deployment: &Deployment, instance: &Instance) -> Option<String> {
    let node = deployment
        .node(instance)
        .filter(|node| kind(node).is_some())?;
    adopted_name(node).or_else(|| {
        object_name(&deployment.name, instance, node)
            .as_str()
            .map(str::to_owned)
    })
}

/// Returns the image of a container.
pub(crate) fn image(node: &Definition) -> Json {
    if is_run(node) {
        return json!({ "repository": property(node, "resource_config")["image_tag"] });
    }
    if is_infrakit(node) {
        return infrakit::image(node);
    }
    // `params.image` overrides the property, as in Cloudify's plugin.
    let of_params = &input(node, "create", "params")["image"];
    if is_given(of_params) {
        json!({ "repository": of_params })
    } else {
        property(node, "image").clone()
    }
}

/// Returns the contents of a container, without the declaration and the record, which only steps
/// need.
pub(crate) fn creation(
    deployment: &Deployment,
    instance: &Instance,
    node: &Definition,
) -> Creation {
    let dialect = dialect(node);
    let (create, start) = match dialect {
        Dialect::ContainerArgs => (
            property(node, "resource_config")["container_args"].clone(),
            NULL,
        ),
        Dialect::Sdk => (infrakit::declaration(instance, &node.properties), NULL),
        Dialect::Params => (
            input(node, "create", "params").clone(),
            input(node, "start", "params"),
        ),
    };
    Creation {
        name: object_name(&deployment.name, instance, node),
        needs_check: conditions(node)
            .iter()
            .any(|condition| *condition == "healthy" || condition.get("healthy").is_some()),
        dialect,
        create,
        start: start.clone(),
        networks: attachments(deployment, instance, node),
        mounts: mounts(deployment, instance, node),
        declaration: String::new(),
        record: Json::Null,
        labeling: Labeling::Deployment,
        pulls_image: false,
    }
}

/// Returns the faults of the values that a container is created from, as far as they are known.
pub(crate) fn faults(part: InstanceRef<'_>) -> Vec<Fault> {
    let InstanceRef {
        deployment,
        instance,
        node,
    } = part;
    match kind(node) {
        Some(Kind::Container) if is_infrakit(node) => {
            let mut faults = infrakit::faults(&node.properties);
            faults.extend(infrakit::name_fault(&object_name(
                &deployment.name,
                instance,
                node,
            )));
            faults
        }
        Some(Kind::Container) if !node.is_adopted() => creation(deployment, instance, node)
            .converted()
            .err()
            .unwrap_or_default(),
        _ => Vec::new(),
    }
}

/// Returns the format in which a node declares its container.
fn dialect(node: &Definition) -> Dialect {
    match () {
        () if is_run(node) => Dialect::ContainerArgs,
        () if is_infrakit(node) => Dialect::Sdk,
        () => Dialect::Params,
    }
}

/// Returns everything that determines the object, as one string.
#[must_use]
pub fn declaration(deployment: &Deployment, instance: &Instance, node: &Definition) -> String {
    let name = object_name(&deployment.name, instance, node);
    if kind(node) != Some(Kind::Container) {
        let mut properties = node.properties.clone();
        // `keep` does not affect the object itself.
        properties.shift_remove("keep");
        properties.sort_keys();
        return json!({ "name": name, "properties": properties }).to_string();
    }
    let mut declared = if is_run(node) {
        let mut arguments = property(node, "resource_config")["container_args"]
            .as_object()
            .cloned()
            .unwrap_or_default();
        arguments.sort_keys();
        json!({ "image": image(node), "name": name, "container_args": arguments })
    } else if is_infrakit(node) {
        let mut properties = node.properties.clone();
        properties.shift_remove("init_timeout");
        properties.sort_keys();
        json!({ "name": name, "properties": properties })
    } else {
        let [create, start] =
            ["create", "start"].map(|operation| without_waits(input(node, operation, "params")));
        json!({ "image": property(node, "image"), "name": name, "create": create, "start": start })
    };
    let (networks, mounts) = (
        attachments(deployment, instance, node),
        mounts(deployment, instance, node),
    );
    for (key, value) in [("networks", json!(networks)), ("mounts", json!(mounts))] {
        if value.as_array().is_some_and(|list| !list.is_empty()) {
            declared[key] = value;
        }
    }
    declared.to_string()
}

/// Returns the parameters without waits, which do not affect the container itself.
fn without_waits(params: &Json) -> Json {
    let mut params: JsonMap<String, Json> = params.as_object().cloned().unwrap_or_default();
    params.shift_remove("processes_to_wait_for");
    params.sort_keys();
    Json::Object(params)
}

/// Returns the relationships of a type, each with its target instance.
fn relationships_of_type<'d>(
    deployment: &'d Deployment,
    instance: &'d Instance,
    node: &'d Definition,
    type_name: &'static str,
) -> impl Iterator<Item = (&'d RelationshipDefinition, &'d Instance, &'d Definition)> {
    let of_type = move |relationship: &&RelationshipDefinition| {
        relationship.type_name == type_name
            || relationship.hierarchy.iter().any(|name| name == type_name)
    };
    node.relationships
        .iter()
        .filter(of_type)
        .flat_map(move |relationship| {
            let targets = instance
                .relationships
                .iter()
                .filter_map(|to| deployment.instance(&to.target));
            targets
                .filter(|target| target.node == relationship.target)
                .filter_map(move |target| Some((relationship, target, deployment.node(target)?)))
        })
}

fn reference_name(deployment: &Deployment, instance: &Instance, node: &Definition) -> Json {
    if node.is_adopted() {
        adopted_reference(node)
    } else {
        object_name(&deployment.name, instance, node)
    }
}

/// Returns the networks to which relationships attach the container.
pub(crate) fn attachments(
    deployment: &Deployment,
    instance: &Instance,
    node: &Definition,
) -> Vec<Attachment> {
    let of =
        |(relationship, target, network): (&RelationshipDefinition, &Instance, &Definition)| {
            let given = |value: &Json| {
                !value.is_null()
                    && value != ""
                    && *value != 0
                    && *value != json!([])
                    && *value != json!({})
            };
            let endpoint = relationship
                .properties
                .iter()
                .filter(|(name, value)| params::ENDPOINT.contains(&name.as_str()) && given(value))
                .map(|(name, value)| (name.clone(), value.clone()));
            Attachment {
                network: reference_name(deployment, target, network),
                endpoint: Json::Object(endpoint.collect()),
            }
        };
    relationships_of_type(deployment, instance, node, ATTACHED_TO_NETWORK)
        .map(of)
        .collect()
}

/// Returns the mounts of volumes from relationships, in the engine's format.
fn mounts(deployment: &Deployment, instance: &Instance, node: &Definition) -> Vec<Json> {
    let of = |(relationship, target, volume): (&RelationshipDefinition, &Instance, &Definition)| {
        let text = |name: &str| relationship.properties.get(name).unwrap_or(NULL);
        let mut mount = json!({ "Type": "volume", "Source": reference_name(deployment, target, volume), "Target": text("target") });
        if *text("read_only") == true {
            mount["ReadOnly"] = true.into();
        }
        if *text("no_copy") == true {
            mount["VolumeOptions"]["NoCopy"] = true.into();
        }
        if is_given(text("subpath")) {
            mount["VolumeOptions"]["Subpath"] = text("subpath").clone();
        }
        mount
    };
    relationships_of_type(deployment, instance, node, MOUNTS)
        .map(of)
        .collect()
}

/// Returns the processes to wait for. Old blueprints declare them inside `params`.
pub(crate) fn processes(node: &Definition) -> Option<Json> {
    let places = [
        input(node, "start", "processes_to_wait_for"),
        &input(node, "start", "params")["processes_to_wait_for"],
        &input(node, "create", "params")["processes_to_wait_for"],
    ];
    let given: Vec<&Json> = places
        .into_iter()
        .filter(|processes| !processes.is_null())
        .collect();
    if let [late] = given[..]
        && contains_call(late)
    {
        return Some(late.clone());
    }
    let mut names: Vec<Json> = Vec::new();
    for processes in given {
        let list = processes
            .as_array()
            .cloned()
            .unwrap_or_else(|| vec![processes.clone()]);
        names.extend(list.into_iter().filter(is_given));
    }
    names.dedup();
    (!names.is_empty()).then_some(Json::Array(names))
}

/// Returns the conditions to wait for: `wait_for`, an input of `start` that dockctl adds.
pub(crate) fn conditions(node: &Definition) -> Vec<Json> {
    match input(node, "start", "wait_for") {
        Json::Null => Vec::new(),
        Json::Array(all) => all.clone(),
        one => vec![one.clone()],
    }
}

/// Returns the exit that the definition expects of the container; none if it must keep running.
pub(crate) fn expected_exit(node: &Definition) -> Option<ExpectedExit> {
    let exited = conditions(node)
        .iter()
        .find_map(|condition| condition["exited"].as_i64());
    if let Some(code) = exited {
        return Some(ExpectedExit::Code(code));
    }
    let detached = property(node, "resource_config")["container_args"]["detach"] == true;
    (is_run(node) && !detached).then_some(ExpectedExit::Any)
}

/// Exit codes that count as success for a container that is expected to exit.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum ExpectedExit {
    /// Any code: the plugin 2.x ignores it.
    Any,
    /// This code only.
    Code(i64),
}

/// Returns the names by which other nodes refer to the object of an instance.
pub(crate) fn provided_names(part: InstanceRef<'_>) -> Vec<Name> {
    let InstanceRef {
        deployment,
        instance,
        node,
    } = part;
    let own = declared_name(deployment, instance).zip(kind(node));
    let own = own.map(|(name, kind)| object_name_of(node, kind, name));
    let built = built_image(deployment, instance).map(image_name);
    own.into_iter().chain(built).collect()
}

/// Returns the names to which the object of an instance refers: links, volumes, networks, its
/// image.
pub(crate) fn referenced_names(part: InstanceRef<'_>) -> Vec<Name> {
    let InstanceRef {
        deployment,
        instance,
        node,
    } = part;
    let used = container_references(deployment, instance).into_iter();
    let image = used_image(deployment, instance).map(image_name);
    used.map(|(kind, name)| object_name_of(node, kind, name))
        .chain(image)
        .collect()
}

/// Objects of different kinds can have the same name.
fn object_name_of(node: &Definition, kind: Kind, name: String) -> Name {
    Name {
        namespace: match kind {
            Kind::Container => "docker container",
            Kind::Image => "docker image object",
            Kind::Network => "docker network",
            Kind::Volume => "docker volume",
        },
        system: engine(node).to_string(),
        name,
    }
}

fn image_name(name: String) -> Name {
    Name {
        namespace: "docker image",
        system: String::new(),
        name,
    }
}

/// Returns the image that is built for an instance, if its name is already known.
fn built_image(deployment: &Deployment, instance: &Instance) -> Option<String> {
    let node = deployment
        .node(instance)
        .filter(|node| kind(node) == Some(Kind::Image))?;
    let tag = &property(node, "resource_config")["tag"];
    tag.as_str()
        .map(|tag| image::display_image(&json!({ "repository": tag })))
}

/// Returns the image that the container of an instance uses, unless it is imported.
fn used_image(deployment: &Deployment, instance: &Instance) -> Option<String> {
    let node = deployment
        .node(instance)
        .filter(|node| kind(node) == Some(Kind::Container) && !node.is_adopted())?;
    let image = image(node);
    (image["src"].is_null() && image["repository"].is_string())
        .then(|| image::display_image(&image))
}

/// Returns the kinds and names of the objects to which the container of an instance refers.
pub(crate) fn container_references(
    deployment: &Deployment,
    instance: &Instance,
) -> Vec<(Kind, String)> {
    let Some(node) = deployment
        .node(instance)
        .filter(|node| kind(node) == Some(Kind::Container) && !node.is_adopted())
    else {
        return Vec::new();
    };
    let creation = creation(deployment, instance, node);
    let networks = creation.networks.iter();
    let networks = networks.filter_map(|it| Some((Kind::Network, it.network.as_str()?)));
    let volumes = creation.mounts.iter().filter_map(mounted_volume);
    let related: Vec<(Kind, String)> = networks
        .chain(volumes)
        .map(|(kind, name)| (kind, name.to_owned()))
        .collect();
    let Ok(converted) = creation.converted() else {
        return related;
    };
    let null = Json::Null;
    let host = converted.body.get("HostConfig").unwrap_or(&null);
    related
        .into_iter()
        .chain(references_in_host(host))
        .chain(networks_in(&converted))
        .collect()
}

/// Returns the kinds and names of the objects to which a `HostConfig` refers. Paths of the host are
/// none.
pub(crate) fn references_in_host(host: &Json) -> Vec<(Kind, String)> {
    let first = |text: &str| {
        let name = text.split(':').next().unwrap_or_default();
        name.trim_start_matches('/').to_owned()
    };
    let containers = ["Links", "VolumesFrom"]
        .into_iter()
        .flat_map(|field| strings(&host[field]))
        .map(|text| (Kind::Container, first(text)));
    let binds = strings(&host["Binds"]).filter(|bind| !bind.starts_with(['/', '.', '~']));
    let binds = binds.map(|bind| (Kind::Volume, first(bind)));
    let mounts = list(&host["Mounts"]).filter_map(mounted_volume);
    let mounts = mounts.map(|(kind, name)| (kind, name.to_owned()));
    let shared = ["NetworkMode", "PidMode", "IpcMode"]
        .into_iter()
        .filter_map(|field| text(&host[field]).strip_prefix("container:"))
        .map(|name| (Kind::Container, name.trim_start_matches('/').to_owned()));
    let network = Some(text(&host["NetworkMode"])).filter(|mode| !mode.contains(':'));
    let network = network.map(|name| (Kind::Network, name.to_owned()));
    let all = containers.chain(binds).chain(mounts).chain(shared);
    all.chain(network)
        .filter(|(_, name)| !name.is_empty())
        .collect()
}

/// Returns the name of the volume of a mount in the engine's format.
fn mounted_volume(mount: &Json) -> Option<(Kind, &str)> {
    let name = mount["Source"].as_str()?;
    let is_volume = !matches!(text(&mount["Type"]), "bind" | "tmpfs" | "npipe");
    (is_volume && !name.starts_with('/')).then_some((Kind::Volume, name))
}

fn networks_in(creation: &params::Creation) -> Vec<(Kind, String)> {
    let networks = creation
        .body
        .get("NetworkingConfig")
        .and_then(|config| config["EndpointsConfig"].as_object());
    networks
        .into_iter()
        .flatten()
        .map(|(name, _)| (Kind::Network, name.clone()))
        .collect()
}

/// Returns the parameters of `stop`. Without a `timeout`, the container's `stop_timeout` applies,
/// not the default of Cloudify's plugin.
pub(crate) fn stop_params(node: &Definition, mut params: Json) -> Json {
    let own = &input(node, "create", "params")["stop_timeout"];
    if !own.is_null() && params["timeout"].is_null() && !is_call(&params) {
        params = if params.is_object() {
            params
        } else {
            json!({})
        };
        params["timeout"] = own.clone();
    }
    params
}
