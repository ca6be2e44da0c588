//! Resources that only one container can have at a time. They decide whether an old container and
//! its replacement can run at once.

use crate::{
    diagnostic::fault::normalized_key,
    engine::Kind,
    model::{Definition, Deployment, Instance},
    plugins::{
        ExclusiveResource, JoinedNetwork, ResourceKind, Scope,
        docker::declare::{
            action::Creation,
            declared::{creation, object_name},
            json::{keys, list, pairs, strings, text},
            network,
            operation::kind,
        },
    },
};
use ipnet::IpNet;
use serde_json::{Map as JsonMap, Value as Json, json};
use std::net::IpAddr;

/// Returns true if the container of an instance shares the network, the IPC namespace or the
/// processes of another container, or may do so because the mode is only known at run time.
pub(crate) fn shares_namespaces(
    deployment: &Deployment,
    instance: &Instance,
    node: &Definition,
) -> bool {
    let creation = creation(deployment, instance, node);
    let body = request(&creation).unwrap_or_default();
    let modes = ["NetworkMode", "IpcMode", "PidMode"];
    let is_shared = |mode: &str| text(&body["HostConfig"][mode]).starts_with("container:");
    modes.into_iter().any(is_shared)
        || [&creation.create, &creation.start].map(has_late_mode) != [false; 2]
}

/// Returns true if some mode of a namespace in these parameters is only known at run time.
fn has_late_mode(params: &Json) -> bool {
    pairs(params).any(|(key, value)| match &*normalized_key(key) {
        "networkmode" | "ipcmode" | "pidmode" => value.is_object(),
        "hostconfig" => has_late_mode(value),
        _ => false,
    })
}

/// Returns the resources that the container of an instance needs exclusively, as far as they are
/// known before its definition is bound.
pub(crate) fn exclusive(
    deployment: &Deployment,
    instance: &Instance,
    node: &Definition,
) -> Vec<ExclusiveResource> {
    let name = object_name(&deployment.name, instance, node);
    match kind(node) {
        Some(Kind::Container) => {
            let creation = creation(deployment, instance, node);
            let needed = request(&creation).map(|body| exclusive_resources(&creation, &body));
            let name = name.as_str().map(name_resource);
            needed.into_iter().flatten().chain(name).collect()
        }
        Some(Kind::Network) if !node.is_adopted() => {
            let request = network::request(&json!(node.properties)).unwrap_or_default();
            let subnets = network::subnets(&request).into_iter().map(subnet_resource);
            let name = name.as_str().map(|it| fixed_name("network", it));
            name.into_iter().chain(subnets).collect()
        }
        Some(Kind::Volume) if !node.is_adopted() => {
            let name = name.as_str().map(|it| fixed_name("volume", it));
            name.into_iter().collect()
        }
        _ => Vec::new(),
    }
}

/// Returns the request that creates a container, without late values; none if it is invalid.
fn request(creation: &Creation) -> Option<Json> {
    let converted = creation.converted().ok()?;
    Some(Json::Object(converted.body))
}

/// Returns the exclusive resources of a container with this request, including its addresses on
/// networks that it joins later.
fn exclusive_resources(creation: &Creation, body: &Json) -> Vec<ExclusiveResource> {
    let later = creation.later_networks();
    let now = pairs(&body["NetworkingConfig"]["EndpointsConfig"]);
    let now = now.map(|(_, endpoint)| endpoint);
    let endpoints = now.chain(later.iter().map(|it| &it.endpoint));
    let addresses = endpoints.flat_map(fixed_addresses).map(normal_address);
    let addresses = addresses.collect();
    host_resources(&body["HostConfig"], addresses, body.get("Volumes"))
}

/// Returns the networks that the container of an instance joins.
pub(crate) fn joined_networks(
    deployment: &Deployment,
    instance: &Instance,
    node: &Definition,
) -> Vec<JoinedNetwork> {
    if kind(node) != Some(Kind::Container) {
        return Vec::new();
    }
    let creation = creation(deployment, instance, node);
    let body = request(&creation).unwrap_or_default();
    let later = creation.later_networks();
    let now = pairs(&body["NetworkingConfig"]["EndpointsConfig"]);
    let now = now.map(|(network, endpoint)| (network.as_str(), endpoint));
    let later = later.iter().map(|it| (text(&it.network), &it.endpoint));
    let joined = |(network, endpoint): (&str, &Json)| JoinedNetwork {
        network: network.to_owned(),
        address: fixed_addresses(endpoint)
            .into_iter()
            .next()
            .map(normal_address),
        is_reserved: false,
    };
    let mut all: Vec<JoinedNetwork> = now.chain(later).map(joined).collect();
    let mode = text(&body["HostConfig"]["NetworkMode"]);
    if all.is_empty() && !mode.is_empty() {
        all.push(joined((mode, &Json::Null)));
    }
    all.retain(|it| !it.network.is_empty());
    for joined in &mut all {
        joined.is_reserved = is_reserved(deployment, joined);
    }
    all
}

/// Returns true if a network of the deployment gives away only addresses of a range that does not
/// contain the fixed address.
fn is_reserved(deployment: &Deployment, joined: &JoinedNetwork) -> bool {
    let address = joined.address.as_ref().and_then(|it| it.parse().ok());
    let Some(address): Option<IpAddr> = address else {
        return false;
    };
    let has_name = |instance: &&Instance| {
        let node = deployment.node(instance);
        let node = node.filter(|node| kind(node) == Some(Kind::Network));
        node.is_some_and(|node| object_name(&deployment.name, instance, node) == joined.network)
    };
    let network = deployment.instances.iter().find(has_name);
    let node = network.and_then(|it| deployment.node(it));
    let body = node.and_then(|node| network::request(&json!(node.properties)).ok());
    let Some(body) = body else { return false };
    let ranges: Vec<&str> = list(&body["IPAM"]["Config"])
        .map(|pool| text(&pool["IPRange"]))
        .filter(|range| !range.is_empty())
        .collect();
    !ranges.is_empty()
        && !ranges
            .iter()
            .any(|range| network::is_in_subnet(range, address))
}

fn host_resources(
    host: &Json,
    addresses: Vec<String>,
    volumes: Option<&Json>,
) -> Vec<ExclusiveResource> {
    let ports = ports(host).into_iter();
    let ports = ports.map(|port| port_resource(&port));
    let addresses = addresses.into_iter().map(ExclusiveResource::address);
    let mounts = mounts(host, volumes).into_iter();
    let mounts = mounts.map(|(name, is_written)| mount_resource(name, is_written == true));
    let all = ports.chain(addresses).chain([network_resource(host)]);
    all.chain(mounts).collect()
}

fn port_resource(port: &HostPort<'_>) -> ExclusiveResource {
    let HostPort {
        address,
        port,
        protocol,
    } = port;
    ExclusiveResource {
        kind: ResourceKind::Port,
        key: format!("{port}/{protocol}"),
        scope: address.parse().map_or(Scope::Everywhere, Scope::At),
        shown: match (*address, *protocol) {
            ("" | "0.0.0.0" | "::", "tcp") => format!("host port {port}"),
            ("" | "0.0.0.0" | "::", other) => format!("host port {port}/{other}"),
            (address, "tcp") => format!("host port {address}:{port}"),
            (address, other) => format!("host port {address}:{port}/{other}"),
        },
        is_shared: false,
    }
}

fn name_resource(name: &str) -> ExclusiveResource {
    ExclusiveResource {
        kind: ResourceKind::Name,
        key: name.to_owned(),
        scope: Scope::default(),
        shown: format!("name `{name}`"),
        is_shared: false,
    }
}

/// Networks and volumes cannot be renamed.
fn fixed_name(kind: &str, name: &str) -> ExclusiveResource {
    let key = format!("{kind} {name}");
    ExclusiveResource {
        kind: ResourceKind::FixedName,
        shown: format!("name `{name}`"),
        key,
        scope: Scope::default(),
        is_shared: false,
    }
}

fn subnet_resource(subnet: IpNet) -> ExclusiveResource {
    ExclusiveResource {
        kind: ResourceKind::Subnet,
        key: String::new(),
        shown: format!("the subnet {subnet}"),
        scope: Scope::In(subnet),
        is_shared: false,
    }
}

/// A container on the host network may need any port of the host.
fn network_resource(host: &Json) -> ExclusiveResource {
    ExclusiveResource {
        kind: ResourceKind::HostNetwork,
        key: String::new(),
        scope: Scope::default(),
        shown: "the host network".to_owned(),
        is_shared: host["NetworkMode"] != "host",
    }
}

fn mount_resource(name: String, is_written: bool) -> ExclusiveResource {
    ExclusiveResource {
        kind: ResourceKind::Mount,
        key: name.clone(),
        scope: Scope::default(),
        shown: name,
        is_shared: !is_written,
    }
}

/// Returns true if the engine removes the container of a node when it stops (`auto_remove`).
pub(crate) fn is_removed_when_stopped(
    deployment: &Deployment,
    instance: &Instance,
    node: &Definition,
) -> bool {
    let request = request(&creation(deployment, instance, node));
    let is_removed = request.is_some_and(|body| body["HostConfig"]["AutoRemove"] == true);
    is_removed && !node.is_adopted()
}

/// A fixed host port.
struct HostPort<'a> {
    /// Address of the host; empty for all.
    address: &'a str,
    port: &'a str,
    protocol: &'a str,
}

/// Returns the fixed host ports; with a range of several ports, the engine chooses one.
fn ports(host: &Json) -> Vec<HostPort<'_>> {
    let is_fixed = |it: &HostPort<'_>| !matches!(it.port, "" | "0") && !it.port.contains('-');
    let all = pairs(&host["PortBindings"]).flat_map(|(inner, bindings)| {
        let protocol = inner.split('/').nth(1).unwrap_or("tcp");
        list(bindings).map(move |binding| HostPort {
            address: text(&binding["HostIp"]),
            port: only_port(text(&binding["HostPort"])),
            protocol,
        })
    });
    all.filter(is_fixed).collect()
}

/// Returns the port of a range with one port; other ranges as they are.
fn only_port(range: &str) -> &str {
    match range.split_once('-') {
        Some((first, last)) if first == last => first,
        _ => range,
    }
}

/// Returns the addresses of an endpoint, in the engine's or docker-py's format.
pub(crate) fn fixed_addresses(endpoint: &Json) -> Vec<String> {
    let of_engine = ["IPv4Address", "IPv6Address"].map(|it| text(&endpoint["IPAMConfig"][it]));
    let of_docker_py = ["ipv4_address", "ipv6_address"].map(|it| text(&endpoint[it]));
    let all = of_engine.into_iter().chain(of_docker_py);
    let given = all.filter(|address| !address.is_empty());
    given.map(str::to_owned).collect()
}

/// Returns an address as engines write it: `fd00::1` for `FD00:0::1`.
fn normal_address(address: String) -> String {
    let parsed = address.parse::<IpAddr>();
    parsed.map_or(address, |it| it.to_string())
}

/// Returns descriptions of the container's mounts, and whether they are writable. Anonymous volumes
/// count: they move to the new container.
fn mounts(host: &Json, volumes: Option<&Json>) -> JsonMap<String, Json> {
    let anonymous = |path: &String| (format!("volume at {path}"), Json::from(true));
    let mut all: JsonMap<_, _> = volumes.into_iter().flat_map(keys).map(anonymous).collect();
    for (name, is_written) in sources(host) {
        let before = all.get(&name).is_some_and(|it| *it == true);
        all.insert(name, (before || is_written).into());
    }
    all.extend(strings(&host["VolumesFrom"]).map(inherited_volumes));
    all
}

/// Returns the mounted directories and named volumes, and whether they are writable.
fn sources(host: &Json) -> impl Iterator<Item = (String, bool)> {
    let binds = strings(&host["Binds"]).map(bind);
    let all = binds.chain(list(&host["Mounts"]).filter_map(mount));
    all.map(|(source, is_written)| (describe_mount(source), is_written))
}

fn describe_mount(source: &str) -> String {
    let kind = if source.starts_with('/') {
        "directory"
    } else {
        "volume"
    };
    format!("{kind} {source}")
}

fn bind(bind: &str) -> (&str, bool) {
    let mut parts = bind.split(':');
    let source = parts.next().unwrap_or_default();
    let mode = parts.nth(1).unwrap_or_default();
    (source, !mode.split(',').any(|option| option == "ro"))
}

fn mount(mount: &Json) -> Option<(&str, bool)> {
    let is_lasting = mount["Type"] == "volume" || mount["Type"] == "bind";
    let source = mount["Source"].as_str();
    let source = source.filter(|source| is_lasting && !source.is_empty())?;
    Some((source, mount["ReadOnly"] != true))
}

/// Describes the volumes that `volumes_from` mounts, and whether they are writable.
fn inherited_volumes(from: &str) -> (String, Json) {
    let name = from.trim_end_matches(":ro");
    let is_written = !from.ends_with(":ro");
    (
        format!("the volumes of container {name}"),
        is_written.into(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugins::conflict;
    use serde_json::json;

    #[test]
    fn containers_clash_on_exclusive_resources() {
        let shared = |old: Json, new: Json| {
            let [old, new] = [old, new].map(|host| host_resources(&host, Vec::new(), None));
            conflict(&old, &new).map(|it| it.shown.clone())
        };
        let port = |host: &str, inner: &str| json!({ "PortBindings": { inner: [{ "HostIp": "", "HostPort": host }] } });
        assert_eq!(
            shared(port("80", "8080/tcp"), port("80", "9090/tcp")).as_deref(),
            Some("host port 80")
        );
        assert_eq!(
            shared(port("80", "8080/tcp"), port("80-80", "8080/tcp")).as_deref(),
            Some("host port 80")
        );
        for other in [
            port("81", "8080/tcp"),
            port("80", "8080/udp"),
            port("", "8080/tcp"),
            port("80-90", "8080/tcp"),
            json!({}),
        ] {
            assert_eq!(
                shared(port("80", "8080/tcp"), other.clone()),
                None,
                "{other}"
            );
        }
        assert_eq!(
            shared(json!({ "NetworkMode": "host" }), json!({})).as_deref(),
            Some("the host network")
        );
        let binds = |bind: &str| json!({ "Binds": [bind] });
        assert_eq!(
            shared(binds("/srv:/data"), binds("/srv:/other:rw")).as_deref(),
            Some("directory /srv")
        );
        assert_eq!(
            shared(binds("data:/data:ro"), binds("data:/data")).as_deref(),
            Some("volume data")
        );
        assert_eq!(
            shared(binds("/srv:/data:ro"), binds("/srv:/data:z,ro")),
            None
        );
        let mount = |kind: &str, read_only: bool| json!({ "Mounts": [{ "Type": kind, "Source": "data", "ReadOnly": read_only }] });
        assert_eq!(
            shared(mount("volume", false), binds("data:/data:ro")).as_deref(),
            Some("volume data")
        );
        assert_eq!(
            (
                shared(mount("volume", true), mount("volume", true)),
                shared(mount("tmpfs", false), mount("tmpfs", false))
            ),
            (None, None)
        );
    }

    #[test]
    fn addresses_are_found_in_both_formats() {
        assert_eq!(
            fixed_addresses(
                &json!({ "IPAMConfig": { "IPv4Address": "10.0.0.5" }, "ipv6_address": "fd00::5" })
            ),
            ["10.0.0.5", "fd00::5"]
        );
    }
}
