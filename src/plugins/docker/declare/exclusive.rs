//! Resources that only one container can have at a time. They decide whether an old container and
//! its replacement can run at once.

use crate::{
    model::{Definition, Deployment, Instance},
    plugins::{Exclusive, PORT, docker::declare::declared::creation},
};
use serde_json::{Map as JsonMap, Value as Json};

/// What the container of an instance needs for itself, as far as it is known before its definition
/// is bound. Names do not count: an old container is renamed while it runs.
pub(crate) fn exclusive(
    deployment: &Deployment,
    instance: &Instance,
    node: &Definition,
) -> Vec<Exclusive> {
    let creation = creation(deployment, instance, node);
    let Ok(converted) = creation.converted() else {
        return Vec::new();
    };
    let body = converted.body;
    let host = body.get("HostConfig").cloned().unwrap_or_default();
    let now = body
        .get("NetworkingConfig")
        .and_then(|config| config["EndpointsConfig"].as_object());
    let later = creation.later_networks();
    let endpoints = now
        .into_iter()
        .flat_map(JsonMap::values)
        .chain(later.iter().map(|attachment| &attachment.endpoint));
    held(
        &host,
        endpoints.flat_map(addresses).collect(),
        body.get("Volumes"),
    )
}

fn held(host: &Json, addresses: Vec<String>, volumes: Option<&Json>) -> Vec<Exclusive> {
    let ports = ports(host).into_iter().map(|(port, protocol)| Exclusive {
        kind: PORT,
        key: format!("{port}/{protocol}"),
        shown: format!("port {port} of the host"),
        is_shared: false,
    });
    let addresses = addresses.into_iter().map(|address| Exclusive {
        kind: "address",
        shown: format!("the address {address}"),
        key: address,
        is_shared: false,
    });
    // Whoever is on it may need any port of it.
    let network = Exclusive {
        kind: "network",
        key: String::new(),
        shown: "the network of the host".to_owned(),
        is_shared: host["NetworkMode"] != "host",
    };
    let mounts = mounts(host, volumes)
        .into_iter()
        .map(|(name, is_written)| Exclusive {
            kind: "mount",
            key: name.clone(),
            shown: name,
            is_shared: is_written != true,
        });
    ports
        .chain(addresses)
        .chain([network])
        .chain(mounts)
        .collect()
}

/// Returns true if the engine removes the container of a node as soon as it stops.
pub(crate) fn is_removed_when_stopped(
    deployment: &Deployment,
    instance: &Instance,
    node: &Definition,
) -> bool {
    let converted = creation(deployment, instance, node).converted();
    !node.is_adopted()
        && converted.is_ok_and(|it| {
            it.body
                .get("HostConfig")
                .is_some_and(|host| host["AutoRemove"] == true)
        })
}

/// Fixed ports of the host; a range lets the engine choose.
fn ports(host: &Json) -> Vec<(String, String)> {
    let fixed = |port: &&str| !port.is_empty() && *port != "0" && !port.contains('-');
    let of = |(inner, bindings): (&String, &Json)| {
        let protocol = inner.split('/').nth(1).unwrap_or("tcp").to_owned();
        let ports = bindings
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|binding| binding["HostPort"].as_str())
            .filter(fixed);
        ports
            .map(|port| (port.to_owned(), protocol.clone()))
            .collect::<Vec<_>>()
    };
    host["PortBindings"]
        .as_object()
        .into_iter()
        .flatten()
        .flat_map(of)
        .collect()
}

/// Addresses in an endpoint, as the engine has it and as docker-py writes it.
fn addresses(endpoint: &Json) -> Vec<String> {
    let fields = [
        &endpoint["IPAMConfig"]["IPv4Address"],
        &endpoint["IPAMConfig"]["IPv6Address"],
        &endpoint["ipv4_address"],
        &endpoint["ipv6_address"],
    ];
    fields
        .into_iter()
        .filter_map(Json::as_str)
        .filter(|address| !address.is_empty())
        .map(str::to_owned)
        .collect()
}

/// Returns what a container mounts, in words, and whether it can write to it. Anonymous volumes
/// move to the new container.
fn mounts(host: &Json, volumes: Option<&Json>) -> JsonMap<String, Json> {
    let list = |field: &str| host[field].as_array().cloned().unwrap_or_default();
    let bind = |bind: &Json| {
        let mut parts = bind.as_str()?.split(':');
        let (source, _, mode) = (
            parts.next()?,
            parts.next(),
            parts.next().unwrap_or_default(),
        );
        Some((
            source.to_owned(),
            !mode.split(',').any(|option| option == "ro"),
        ))
    };
    let mount = |mount: &Json| {
        let is_lasting = mount["Type"] == "volume" || mount["Type"] == "bind";
        Some((
            mount["Source"]
                .as_str()
                .filter(|source| is_lasting && !source.is_empty())?
                .to_owned(),
            mount["ReadOnly"] != true,
        ))
    };
    let from = |from: &Json| {
        from.as_str().map(|from| {
            (
                from.trim_end_matches(":ro").to_owned(),
                !from.ends_with(":ro"),
            )
        })
    };
    let named = list("Binds")
        .iter()
        .filter_map(bind)
        .chain(list("Mounts").iter().filter_map(mount))
        .collect::<Vec<_>>();
    let anonymous = volumes
        .and_then(Json::as_object)
        .into_iter()
        .flatten()
        .map(|(path, _)| (format!("the volume at {path}"), true.into()));
    let mut all: JsonMap<String, Json> = anonymous.collect();
    for (source, is_written) in named {
        let name = if source.starts_with('/') {
            format!("the directory {source}")
        } else {
            format!("the volume {source}")
        };
        let before = all.get(&name).is_some_and(|it| *it == true);
        all.insert(name, (before || is_written).into());
    }
    all.extend(
        list("VolumesFrom")
            .iter()
            .filter_map(from)
            .map(|(name, written)| (format!("the volumes of {name}"), written.into())),
    );
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugins::clash;
    use serde_json::json;

    #[test]
    fn two_containers_cannot_share_what_only_one_can_have() {
        let shared = |old: Json, new: Json| {
            let [old, new] = [old, new].map(|host| held(&host, Vec::new(), None));
            clash(&old, &new).map(|it| it.shown.clone())
        };
        let port = |host: &str, inner: &str| json!({ "PortBindings": { inner: [{ "HostIp": "", "HostPort": host }] } });
        assert_eq!(
            shared(port("80", "8080/tcp"), port("80", "9090/tcp")).as_deref(),
            Some("port 80 of the host")
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
            Some("the network of the host")
        );
        let binds = |bind: &str| json!({ "Binds": [bind] });
        assert_eq!(
            shared(binds("/srv:/data"), binds("/srv:/other:rw")).as_deref(),
            Some("the directory /srv")
        );
        assert_eq!(
            shared(binds("data:/data:ro"), binds("data:/data")).as_deref(),
            Some("the volume data")
        );
        assert_eq!(
            shared(binds("/srv:/data:ro"), binds("/srv:/data:z,ro")),
            None
        );
        let mount = |kind: &str, read_only: bool| json!({ "Mounts": [{ "Type": kind, "Source": "data", "ReadOnly": read_only }] });
        assert_eq!(
            shared(mount("volume", false), binds("data:/data:ro")).as_deref(),
            Some("the volume data")
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
    fn addresses_are_found_in_both_spellings() {
        assert_eq!(
            addresses(
                &json!({ "IPAMConfig": { "IPv4Address": "10.0.0.5" }, "ipv6_address": "fd00::5" })
            ),
            ["10.0.0.5", "fd00::5"]
        );
    }
}
