//! Generates a blueprint that adopts existing containers.

use crate::{
    model::function::is_call,
    plugins::docker::declare::{
        label,
        params::{argument_of, is_empty},
    },
};
use serde_json::{Map as JsonMap, Value as Json, json};

/// An existing container and its image.
#[derive(Clone, Debug)]
pub(crate) struct ExistingContainer {
    /// Inspection of the container.
    pub container: Json,
    /// Inspection of its image; null if the image was removed.
    pub image: Json,
}

/// Networks that every engine has; containers are on them without an attachment.
const BUILT_IN_NETWORKS: [&str; 3] = [DEFAULT_BRIDGE, "host", "none"];
/// Network of containers that declare none.
const DEFAULT_BRIDGE: &str = "bridge";

/// Fields of `HostConfig` that the engine sets for every container and that users do not.
const ENGINE_SET_FIELDS: [&str; 7] = [
    "ContainerIDFile",
    "ConsoleSize",
    "MaskedPaths",
    "ReadonlyPaths",
    "Isolation",
    "NetworkMode",
    "IOMaximumIOps",
];

impl ExistingContainer {
    /// Returns the name of the container, which becomes the name of the node.
    #[must_use]
    pub(crate) fn name(&self) -> String {
        self.text("/Name").trim_start_matches('/').to_owned()
    }

    /// Returns true if the container is running; install starts a stopped one.
    #[must_use]
    pub(crate) fn is_running(&self) -> bool {
        self.container["State"]["Running"] == true
    }

    /// Returns the deployment that created the container, if any.
    #[must_use]
    pub(crate) fn owner(&self) -> Option<&str> {
        self.container["Config"]["Labels"][label::DEPLOYMENT].as_str()
    }

    fn text(&self, pointer: &str) -> &str {
        self.container
            .pointer(pointer)
            .and_then(Json::as_str)
            .unwrap_or_default()
    }

    /// Returns the image for the node: by the name it was requested with if that is still the same
    /// image, otherwise by another name of it, otherwise by its ID.
    fn image(&self) -> Json {
        let requested = self.text("/Config/Image");
        let id = self.text("/Image");
        let names = |field: &str| {
            self.image[field]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Json::as_str)
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        let tagged = if requested
            .rsplit('/')
            .next()
            .is_some_and(|last| last.contains([':', '@']))
        {
            requested.to_owned()
        } else {
            format!("{requested}:latest")
        };
        let all = [names("RepoTags"), names("RepoDigests")].concat();
        match all.iter().find(|name| **name == tagged).or(all.first()) {
            Some(name) if name.contains('@') => json!({ "repository": name }),
            Some(name) => name.rsplit_once(':').map_or_else(
                || json!({ "repository": name }),
                |(name, tag)| json!({ "repository": name, "tag": tag }),
            ),
            None => json!({ "repository": id, "pull_policy": "never" }),
        }
    }

    /// Returns the arguments that create an equal container. `info` is the engine's `/info`.
    #[must_use]
    pub(crate) fn params(&self, info: &Json) -> JsonMap<String, Json> {
        let (config, of_image) = (&self.container["Config"], &self.image["Config"]);
        let mut params = JsonMap::new();
        let mut put = |name: &str, value: Json| drop(params.insert(name.to_owned(), value));
        let differs = |field: &str| !is_empty(&config[field]) && config[field] != of_image[field];
        // The image's command does not apply if the entry point was changed.
        let other_entry = config["Entrypoint"] != of_image["Entrypoint"];
        if differs("Cmd") || (other_entry && !is_empty(&config["Cmd"])) {
            put("command", config["Cmd"].clone());
        }
        for (field, name) in [
            ("Entrypoint", "entrypoint"),
            ("Domainname", "domainname"),
            ("User", "user"),
            ("WorkingDir", "working_dir"),
            ("StopSignal", "stop_signal"),
            ("StopTimeout", "stop_timeout"),
            ("Healthcheck", "healthcheck"),
            ("MacAddress", "mac_address"),
        ] {
            if differs(field) {
                put(name, config[field].clone());
            }
        }
        // The container was created without the image's entry point.
        if is_empty(&config["Entrypoint"]) && !is_empty(&of_image["Entrypoint"]) {
            put("entrypoint", json!([]));
        }
        for (field, name) in [
            ("Tty", "tty"),
            ("OpenStdin", "stdin_open"),
            ("NetworkDisabled", "network_disabled"),
        ] {
            if config[field] == true {
                put(name, true.into());
            }
        }
        if config["AttachStdout"] == false {
            put("detach", true.into());
        }
        if let Some(name) = self.host_name(info) {
            put("hostname", name);
        }
        let lists = [
            ("environment", environment(config, of_image)),
            ("ports", self.ports()),
            (
                "volumes",
                additional_keys(&config["Volumes"], &of_image["Volumes"]),
            ),
        ];
        let mut own_labels = labels(config, of_image);
        own_labels.retain(|name, _| !is_function(name));
        let labels = ("labels", Json::Object(own_labels));
        for (name, value) in lists
            .into_iter()
            .chain([labels])
            .filter(|(_, value)| !is_empty(value))
        {
            put(name, value);
        }
        let host = self.host_config(info);
        if !host.is_empty() {
            put("host_config", host.into());
        }
        params
    }

    /// Returns the host name, unless it is a default: the start of the ID (engine), the name
    /// (dockctl), or that of the engine's machine, if the container uses its network. A container
    /// that shares the namespace of host names has none of its own.
    fn host_name(&self, info: &Json) -> Option<Json> {
        let (given, id) = (self.text("/Config/Hostname"), self.text("/Id"));
        let mode = self.text("/HostConfig/NetworkMode");
        let shares = mode.starts_with("container:") || self.text("/HostConfig/UTSMode") == "host";
        let is_default = match mode {
            "host" => info["Name"] == given,
            _ => id.starts_with(given) || given == self.name(),
        };
        (!given.is_empty() && !shares && !is_default).then(|| given.into())
    }

    /// Returns the exposed ports that neither the image exposes nor a published port implies.
    fn ports(&self) -> Json {
        let published = self.container["HostConfig"]["PortBindings"].as_object();
        let beyond = additional_keys(
            &self.container["Config"]["ExposedPorts"],
            &self.image["Config"]["ExposedPorts"],
        );
        let own = |port: &Json| {
            published
                .is_none_or(|published| !published.contains_key(port.as_str().unwrap_or_default()))
        };
        beyond
            .as_array()
            .into_iter()
            .flatten()
            .filter(|port| own(port))
            .cloned()
            .collect()
    }

    fn host_config(&self, info: &Json) -> JsonMap<String, Json> {
        let host = &self.container["HostConfig"];
        let mut given = JsonMap::new();
        for (field, value) in host.as_object().into_iter().flatten() {
            if ENGINE_SET_FIELDS.contains(&field.as_str())
                || is_empty(value)
                || is_default(field, value, host, info)
            {
                continue;
            }
            let value = if field == "Links" {
                links(value)
            } else {
                value.clone()
            };
            given.insert(argument_of(field).unwrap_or(field).to_owned(), value);
        }
        let mode = self.text("/HostConfig/NetworkMode");
        if !matches!(mode, "" | "default" | "bridge")
            && !self.networks().iter().any(|(name, _)| name == mode)
        {
            given.insert("network_mode".to_owned(), mode.into());
        }
        given
    }

    /// Returns the networks that the container was attached to, with their endpoint settings; the
    /// one of its `network_mode` first. A container gets the default bridge without a declaration,
    /// unless it is on another network too.
    #[must_use]
    pub(crate) fn networks(&self) -> Vec<(String, Json)> {
        let id = self.text("/Id");
        let all = self.container["NetworkSettings"]["Networks"].as_object();
        let is_only = all.is_some_and(|all| all.len() == 1);
        let is_implied =
            |name: &str| BUILT_IN_NETWORKS.contains(&name) && (is_only || name != DEFAULT_BRIDGE);
        let mut networks: Vec<(String, Json)> = all
            .into_iter()
            .flatten()
            .filter(|(name, _)| !is_implied(name))
            .map(|(name, network)| (name.clone(), endpoint(network, id)))
            .collect();
        let first = match self.text("/HostConfig/NetworkMode") {
            "default" => DEFAULT_BRIDGE,
            mode => mode,
        };
        networks.sort_by_key(|(name, _)| name != first);
        networks
    }

    /// Returns the labels that a blueprint cannot contain: a mapping of the label alone would be
    /// read as a call of a function.
    #[must_use]
    pub(crate) fn left_out_labels(&self) -> Vec<String> {
        let of_image = &self.image["Config"];
        let labels = labels(&self.container["Config"], of_image);
        let names = labels.into_iter().map(|(name, _)| name);
        names.filter(|name| is_function(name)).collect()
    }

    /// Returns the names of the containers that this one depends on.
    #[must_use]
    pub(crate) fn dependencies(&self) -> Vec<String> {
        let host = &self.container["HostConfig"];
        let list = |field: &str| {
            host[field]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Json::as_str)
                .collect::<Vec<_>>()
        };
        let first = |text: &str| {
            text.trim_start_matches('/')
                .split(':')
                .next()
                .unwrap_or_default()
                .to_owned()
        };
        let shared = ["NetworkMode", "PidMode", "IpcMode"]
            .into_iter()
            .filter_map(|field| host[field].as_str()?.strip_prefix("container:"));
        let mut all: Vec<String> = list("Links")
            .into_iter()
            .chain(list("VolumesFrom"))
            .map(first)
            .chain(shared.map(str::to_owned))
            .collect();
        all.sort();
        all.dedup();
        all
    }
}

/// Returns comments about what the blueprint of some containers leaves out.
#[must_use]
pub(crate) fn left_out(found: &[ExistingContainer]) -> Vec<String> {
    let of_container = |it: &ExistingContainer| {
        let name = it.name();
        let labels = it.left_out_labels().into_iter();
        let line = move |label: String| {
            format!(
                "the label `{label}` of `{name}` is left out: a blueprint would read it as a function"
            )
        };
        labels.map(line).collect::<Vec<_>>()
    };
    found.iter().flat_map(of_container).collect()
}

/// Returns the blueprint for some containers, with its keys in a readable order.
#[must_use]
pub(crate) fn blueprint(found: &[ExistingContainer], info: &Json) -> Json {
    let id_or_name = |reference: &str| {
        found
            .iter()
            .find(|it| it.name() == reference || it.text("/Id") == reference)
            .map(ExistingContainer::name)
    };
    let mut nodes = JsonMap::new();
    let mut networks = JsonMap::new();
    for it in found {
        let mut relationships: Vec<Json> = it
            .dependencies()
            .iter()
            .filter_map(|name| id_or_name(name))
            .map(|target| json!({ "type": "cloudify.relationships.depends_on", "target": target }))
            .collect();
        for (network, endpoint) in it.networks() {
            let node = network_node(&network, found);
            relationships.push(json!({ "type": "dockctl.relationships.attached_to_network", "target": node, "properties": endpoint }));
            networks
                .insert(node, json!({ "type": "dockctl.nodes.Network", "properties": { "name": network, "use_external_resource": true } }));
        }
        for relationship in &mut relationships {
            if let Some(fields) = relationship
                .as_object_mut()
                .filter(|fields| fields.get("properties").is_some_and(is_empty))
            {
                fields.shift_remove("properties");
            }
        }
        nodes.insert(
            it.name(),
            replace_ids_by_names(&node(it, info, relationships), found),
        );
    }
    let names: Vec<String> = nodes.keys().cloned().collect();
    let mut imports = vec![
        "cloudify/types/types.yaml",
        "plugin:cloudify-docker-plugin?version=1.3.2",
    ];
    imports.extend((!networks.is_empty()).then_some("plugin:dockctl"));
    nodes.extend(networks);
    json!({
        "tosca_definitions_version": "cloudify_dsl_1_3",
        "imports": imports,
        "metadata": { "dockctl": { "adopted": names } },
        "node_templates": nodes,
    })
}

/// Replaces IDs in `container:ID` by names: engines record the ID of the container whose namespace
/// is shared, which changes when that container is recreated.
fn replace_ids_by_names(value: &Json, found: &[ExistingContainer]) -> Json {
    let named = |text: &String| {
        let id = text.strip_prefix("container:")?;
        found
            .iter()
            .find(|it| it.text("/Id") == id)
            .map(|it| format!("container:{}", it.name()).into())
    };
    match value {
        Json::String(text) => named(text).unwrap_or_else(|| value.clone()),
        Json::Array(items) => items
            .iter()
            .map(|item| replace_ids_by_names(item, found))
            .collect(),
        Json::Object(object) => object
            .iter()
            .map(|(key, value)| (key.clone(), replace_ids_by_names(value, found)))
            .collect(),
        _ => value.clone(),
    }
}

/// Returns a name for the node of a network. A container and a network can have the same name, two
/// nodes cannot.
fn network_node(network: &str, found: &[ExistingContainer]) -> String {
    let mut name = network.to_owned();
    while found.iter().any(|it| it.name() == name) {
        name += "-network";
    }
    name
}

fn node(it: &ExistingContainer, info: &Json, relationships: Vec<Json>) -> Json {
    let mut node = json!({
        "type": "cloudify.docker.Container",
        "properties": { "name": it.name(), "use_external_resource": true, "image": it.image() },
    });
    let params = it.params(info);
    if !params.is_empty() {
        node["interfaces"]["cloudify.interfaces.lifecycle"]["create"]["inputs"]["params"] =
            params.into();
    }
    if !relationships.is_empty() {
        node["relationships"] = relationships.into();
    }
    node
}

/// Returns true if the value is the engine's default.
fn is_default(field: &str, value: &Json, host: &Json, info: &Json) -> bool {
    match field {
        "RestartPolicy" => matches!(value["Name"].as_str(), None | Some("" | "no")),
        "LogConfig" => {
            is_empty(&value["Config"])
                && (value["Type"] == info["LoggingDriver"] || value["Type"] == "json-file")
        }
        // Podman shows the defaults of all namespaces.
        "IpcMode" | "PidMode" | "UTSMode" => value == "private",
        "CgroupnsMode" => {
            value
                == if info["CgroupVersion"] == "2" {
                    "private"
                } else {
                    "host"
                }
        }
        "ShmSize" => *value == 64 << 20,
        "Runtime" => *value == info["DefaultRuntime"],
        // Twice the memory if only memory is limited, or unlimited.
        "MemorySwap" => {
            value.as_i64() == host["Memory"].as_i64().map(|memory| 2 * memory)
                || (*value == -1 && is_empty(&host["Memory"]))
        }
        "MemorySwappiness" | "PidsLimit" => *value == -1,
        // The engine records this for privileged containers.
        "SecurityOpt" => host["Privileged"] == true && *value == json!(["label=disable"]),
        _ => false,
    }
}

/// Converts links from the engine's format `/other:/this/alias`.
fn links(value: &Json) -> Json {
    let link = |link: &str| {
        let (other, own) = link.split_once(':').unwrap_or((link, link));
        format!(
            "{}:{}",
            other.trim_start_matches('/'),
            own.rsplit('/').next().unwrap_or(own)
        )
    };
    value
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Json::as_str)
        .map(link)
        .collect()
}

/// Returns the requested settings of an endpoint, without the values that the engine chose.
fn endpoint(network: &Json, id: &str) -> Json {
    let mut endpoint = json!({});
    let aliases: Vec<&Json> = network["Aliases"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|alias| !id.starts_with(alias.as_str().unwrap_or_default()))
        .collect();
    if !aliases.is_empty() {
        endpoint["aliases"] = json!(aliases);
    }
    for (field, name) in [
        ("IPv4Address", "ipv4_address"),
        ("IPv6Address", "ipv6_address"),
        ("LinkLocalIPs", "link_local_ips"),
    ] {
        if !is_empty(&network["IPAMConfig"][field]) {
            endpoint[name] = network["IPAMConfig"][field].clone();
        }
    }
    for (field, name) in [
        ("Links", "links"),
        ("DriverOpts", "driver_opt"),
        ("GwPriority", "gw_priority"),
    ] {
        if !is_empty(&network[field]) {
            endpoint[name] = network[field].clone();
        }
    }
    endpoint
}

/// Returns the variables that differ from the image; a variable that the container lacks is null.
fn environment(config: &Json, image: &Json) -> Json {
    let of = |config: &Json| -> Vec<String> {
        config["Env"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|it| it.as_str().map(str::to_owned))
            .collect()
    };
    let (own, filled) = (of(config), of(image));
    // A name without a value removes the image's variable.
    let pair = |entry: &String| {
        entry.split_once('=').map_or_else(
            || (entry.clone(), Json::Null),
            |(name, value)| (name.to_owned(), value.into()),
        )
    };
    let name = |entry: &String| entry.split('=').next().unwrap_or_default().to_owned();
    let gone = filled
        .iter()
        .map(name)
        .filter(|lost| !own.iter().any(|entry| name(entry) == *lost))
        .map(|name| (name, Json::Null));
    let beyond = || own.iter().filter(|entry| !filled.contains(entry));
    let all: JsonMap<String, Json> = beyond().map(pair).chain(gone).collect();
    // A list can express removed variables, and cannot be mistaken for a function call if the name
    // of a variable is that of a function.
    if all.values().any(Json::is_null) || is_call(&Json::Object(all.clone())) {
        let entry = |(name, value): (&String, &Json)| {
            value
                .as_str()
                .map_or_else(|| name.clone(), |value| format!("{name}={value}"))
        };
        return all.iter().map(entry).collect();
    }
    all.into()
}

/// Returns the labels that come from neither the image nor dockctl.
fn labels(config: &Json, image: &Json) -> JsonMap<String, Json> {
    let own = config["Labels"].as_object().into_iter().flatten();
    let kept = own.filter(|(name, value)| {
        image["Labels"].get(name) != Some(value) && !name.starts_with("dockctl.")
    });
    let kept = kept.map(|(name, value)| (name.clone(), value.clone()));
    kept.collect()
}

/// Returns true if the name of a label is that of a function.
fn is_function(label: &str) -> bool {
    is_call(&json!({ label: [] }))
}

fn additional_keys(own: &Json, image: &Json) -> Json {
    let names = own.as_object().into_iter().flatten().map(|(name, _)| name);
    names
        .filter(|name| image.get(name.as_str()).is_none())
        .map(|name| Json::from(name.as_str()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(config: &Json, host: &Json) -> ExistingContainer {
        let mut config = config.clone();
        config["Image"] = "busybox".into();
        let container = json!({
            "Id": "abcdef0123456789", "Name": "/web", "Image": "sha256:1", "Config": config, "HostConfig": host,
            "NetworkSettings": { "Networks": { "bridge": {}, "back": { "Aliases": ["db", "abcdef012345"], "IPAMConfig": { "IPv4Address": "10.0.0.5" } } } },
        });
        let image = json!({ "Id": "sha256:1", "RepoTags": ["busybox:latest"], "Config": { "Cmd": ["sh"], "Env": ["PATH=/bin", "A=1"], "ExposedPorts": { "1/tcp": {} } } });
        ExistingContainer { container, image }
    }

    #[test]
    fn host_name_on_the_network_of_the_machine_is_kept() {
        let name = |given: &str, host: &Json| {
            let it = found(&json!({ "Hostname": given }), host);
            it.params(&json!({ "Name": "machine" }))
                .get("hostname")
                .cloned()
        };
        let of_machine = json!({ "NetworkMode": "host" });
        assert_eq!(name("machine", &of_machine), None);
        assert_eq!(name("other", &of_machine), Some(json!("other")));
        assert_eq!(name("web", &of_machine), Some(json!("web")));
        assert_eq!(name("machine", &json!({ "UTSMode": "host" })), None);
        let of_podman =
            json!({ "NetworkMode": "host", "UTSMode": "private", "PidMode": "private" });
        let params = found(&json!({ "Hostname": "machine" }), &of_podman)
            .params(&json!({ "Name": "machine" }));
        assert_eq!(params["host_config"], json!({ "network_mode": "host" }));
        assert_eq!(name("x", &json!({ "NetworkMode": "container:a" })), None);
        assert_eq!(name("web", &json!({})), None, "the name of the container");
        assert_eq!(name("abcdef012345", &json!({})), None, "its ID");
        assert_eq!(name("machine", &json!({})), Some(json!("machine")));
    }

    #[test]
    fn generated_blueprint_contains_only_requested_settings() {
        let config = json!({
            "Cmd": ["sh"], "Env": ["PATH=/bin", "B=2"], "Hostname": "abcdef012345", "AttachStdout": true,
            "ExposedPorts": { "1/tcp": {}, "80/tcp": {}, "90/udp": {} }, "Labels": { "team": "a", "dockctl.node": "x" },
        });
        let host = json!({
            "NetworkMode": "back", "RestartPolicy": { "Name": "always", "MaximumRetryCount": 0 }, "ShmSize": 67_108_864, "Memory": 10, "MemorySwap": 20,
            "PortBindings": { "80/tcp": [{ "HostIp": "", "HostPort": "8080" }] }, "LogConfig": { "Type": "json-file", "Config": {} },
            "Links": ["/db:/web/database"], "CgroupnsMode": "host", "MaskedPaths": ["/x"], "Runtime": "runc",
        });
        let it = found(&config, &host);
        let params = Json::Object(it.params(&json!({ "DefaultRuntime": "runc" })));
        let expected = json!({
            "environment": ["B=2", "A"], "ports": ["90/udp"], "labels": { "team": "a" },
            "host_config": {
                "restart_policy": { "Name": "always", "MaximumRetryCount": 0 }, "mem_limit": 10,
                "port_bindings": { "80/tcp": [{ "HostIp": "", "HostPort": "8080" }] }, "links": ["db:database"],
            },
        });
        assert_eq!(params, expected);
        assert_eq!(
            it.networks(),
            [
                (
                    "back".to_owned(),
                    json!({ "aliases": ["db"], "ipv4_address": "10.0.0.5" })
                ),
                ("bridge".to_owned(), json!({}))
            ]
        );
        assert_eq!(
            (it.dependencies(), it.image()),
            (
                vec!["db".to_owned()],
                json!({ "repository": "busybox", "tag": "latest" })
            )
        );
    }
}
