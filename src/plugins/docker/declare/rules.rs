//! Values in the structures of the Docker SDK that no engine accepts, so that they are reported
//! before a container is created.

use crate::{
    diagnostic::Fault,
    plugins::docker::declare::json::{keys, list, pairs, text},
};
use serde_json::Value as Json;
use std::net::IpAddr;

/// Networks of the engine that containers cannot join besides another one.
const SPECIAL_NETWORKS: [&str; 3] = ["host", "none", "default"];
const PROTOCOLS: [&str; 3] = ["tcp", "udp", "sctp"];
const MOUNT_TYPES: [&str; 7] = ["", "bind", "volume", "tmpfs", "image", "cluster", "npipe"];
const RESTART_POLICIES: [&str; 5] = ["", "no", "always", "on-failure", "unless-stopped"];
const HEALTH_TESTS: [&str; 4] = ["", "NONE", "CMD", "CMD-SHELL"];

/// Returns the faults of a request, with `HostConfig` inside. Paths begin with the names of the
/// properties `config` and `host_config`.
pub(crate) fn faults(body: &Json) -> Vec<Fault> {
    let host = &body["HostConfig"];
    let of_config = ports(&body["ExposedPorts"], "ExposedPorts")
        .chain(health_check(&body["Healthcheck"]))
        .chain(too_large(&without_host(body), &mut Vec::new()));
    let of_host = ports(&host["PortBindings"], "PortBindings")
        .chain(bindings(&host["PortBindings"]))
        .chain(mounts(&host["Mounts"]))
        .chain(restart_policy(host))
        .chain(too_large(host, &mut Vec::new()));
    let of_config = of_config.map(|fault| fault.at_key("config"));
    let of_host = of_host.map(|fault| fault.at_key("host_config"));
    of_config.chain(of_host).collect()
}

/// Returns the faults of the networks of a container, besides those of their fields.
pub(crate) fn network_faults(host: &Json, networks: &[Json]) -> Vec<Fault> {
    let mode = text(&host["NetworkMode"]);
    let is_shared = mode == "host" || mode == "none" || mode.starts_with("container:");
    if is_shared && !networks.is_empty() {
        let message = format!("a container with the network mode `{mode}` cannot join networks");
        return vec![Fault::new(message).at_key("networks")];
    }
    let fault = |(at, network): (usize, &Json)| {
        let name = text(&network["Name"]);
        let special = SPECIAL_NETWORKS.contains(&name).then(|| {
            let message = format!("`{name}` cannot be joined: it is a network mode");
            Fault::new(message)
                .hint("set `HostConfig.NetworkMode`")
                .at_key("Name")
        });
        let fault = special.or_else(|| subnets(&network["IPAM"]));
        fault.map(|fault| fault.at_key(at.to_string()).at_key("networks"))
    };
    networks.iter().enumerate().filter_map(fault).collect()
}

fn without_host(body: &Json) -> Json {
    let fields = pairs(body).filter(|(name, _)| *name != "HostConfig");
    let fields = fields.map(|(name, value)| (name.clone(), value.clone()));
    Json::Object(fields.collect())
}

/// Returns true for `80`, `80/tcp` and `80-90/udp`.
fn is_port(key: &str) -> bool {
    let (numbers, protocol) = key.split_once('/').unwrap_or((key, "tcp"));
    is_range(numbers) && PROTOCOLS.contains(&protocol.to_lowercase().as_str())
}

fn is_range(numbers: &str) -> bool {
    let (first, last) = numbers.split_once('-').unwrap_or((numbers, numbers));
    match (first.parse::<u16>(), last.parse::<u16>()) {
        (Ok(first), Ok(last)) => first <= last,
        _ => false,
    }
}

fn ports(given: &Json, field: &'static str) -> impl Iterator<Item = Fault> {
    let wrong = keys(given).filter(|key| !is_port(key));
    wrong.map(move |key| {
        let fault = Fault::new("this is not a port such as 80/tcp");
        fault.at_key(key.clone()).at_key(field)
    })
}

fn bindings(given: &Json) -> impl Iterator<Item = Fault> {
    let hosts = pairs(given)
        .flat_map(|(key, all)| list(all).enumerate().map(move |(at, it)| (key, at, it)));
    let wrong = hosts.filter(|(_, _, it)| {
        let port = text(&it["HostPort"]);
        !port.is_empty() && !is_range(port)
    });
    wrong.map(|(key, at, _)| {
        let path = ["PortBindings", key, &at.to_string(), "HostPort"].map(str::to_owned);
        Fault::new("this is not a port").nested_in(&path)
    })
}

fn mounts(given: &Json) -> impl Iterator<Item = Fault> {
    let wrong = list(given)
        .enumerate()
        .filter(|(_, it)| !MOUNT_TYPES.contains(&text(&it["Type"])));
    wrong.map(|(at, _)| one_of(&MOUNT_TYPES, ["Mounts", &at.to_string(), "Type"]))
}

fn restart_policy(host: &Json) -> impl Iterator<Item = Fault> + use<> {
    let name = text(&host["RestartPolicy"]["Name"]);
    let restarts = !matches!(name, "" | "no");
    let fault = if !RESTART_POLICIES.contains(&name) {
        Some(one_of(&RESTART_POLICIES, ["RestartPolicy", "Name"]))
    } else if restarts && host["AutoRemove"] == true {
        Some(Fault::new("this cannot be combined with `AutoRemove`").at_key("RestartPolicy"))
    } else {
        None
    };
    fault.into_iter()
}

fn health_check(check: &Json) -> impl Iterator<Item = Fault> + use<> {
    let is_wrong = !HEALTH_TESTS.contains(&text(&check["Test"][0]));
    is_wrong
        .then(|| one_of(&HEALTH_TESTS, ["Healthcheck", "Test", "0"]))
        .into_iter()
}

fn one_of<const N: usize>(known: &[&str], path: [&str; N]) -> Fault {
    let named: Vec<&str> = known
        .iter()
        .copied()
        .filter(|name| !name.is_empty())
        .collect();
    let fault = Fault::new(format!("this must be one of {}", named.join(", ")));
    fault.nested_in(&path.map(str::to_owned))
}

/// Returns the faults of numbers that do not fit into the engine's 64 bits with a sign.
fn too_large(value: &Json, path: &mut Vec<String>) -> Vec<Fault> {
    let mut inner = |key: String, value: &Json| {
        path.push(key);
        let faults = too_large(value, path);
        path.pop();
        faults
    };
    match value {
        Json::Object(fields) => fields
            .iter()
            .flat_map(|(key, it)| inner(key.clone(), it))
            .collect(),
        Json::Array(items) => items
            .iter()
            .enumerate()
            .flat_map(|(at, it)| inner(at.to_string(), it))
            .collect(),
        Json::Number(number) if !number.is_i64() => {
            vec![Fault::new("this number is too large").nested_in(path)]
        }
        _ => Vec::new(),
    }
}

fn subnets(ipam: &Json) -> Option<Fault> {
    let wrong = list(&ipam["Config"]).position(|pool| {
        let subnet = text(&pool["Subnet"]);
        !subnet.is_empty() && !is_subnet(subnet)
    })?;
    let path = ["IPAM", "Config", &wrong.to_string(), "Subnet"].map(str::to_owned);
    Some(Fault::new("this is not a subnet such as 10.1.0.0/16").nested_in(&path))
}

fn is_subnet(text: &str) -> bool {
    let Some((address, bits)) = text.split_once('/') else {
        return false;
    };
    match (address.parse::<IpAddr>(), bits.parse::<u8>()) {
        (Ok(IpAddr::V4(_)), Ok(bits)) => bits <= 32,
        (Ok(IpAddr::V6(_)), Ok(bits)) => bits <= 128,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn places(faults: &[Fault]) -> Vec<String> {
        faults.iter().map(|fault| fault.path.join(".")).collect()
    }

    #[test]
    fn values_that_no_engine_accepts_are_found() {
        let body = json!({
            "ExposedPorts": { "80/tcp": {}, "90": {}, "x/tcp": {}, "80/abc": {}, "99999": {} },
            "Healthcheck": { "Test": ["BOGUS"], "Interval": 18_446_744_073_709_551_615_u64 },
            "HostConfig": {
                "PortBindings": { "80/tcp": [{ "HostPort": "8080-8090" }, { "HostPort": "99999" }] },
                "Mounts": [{ "Type": "bind" }, { "Type": "bogus" }],
                "RestartPolicy": { "Name": "bogus" }, "Memory": 9_223_372_036_854_775_808_u64,
            },
        });
        assert_eq!(
            places(&faults(&body)),
            [
                "config.ExposedPorts.x/tcp",
                "config.ExposedPorts.80/abc",
                "config.ExposedPorts.99999",
                "config.Healthcheck.Test.0",
                "config.Healthcheck.Interval",
                "host_config.PortBindings.80/tcp.1.HostPort",
                "host_config.Mounts.1.Type",
                "host_config.RestartPolicy.Name",
                "host_config.Memory",
            ]
        );
        let both =
            json!({ "HostConfig": { "AutoRemove": true, "RestartPolicy": { "Name": "always" } } });
        assert_eq!(places(&faults(&both)), ["host_config.RestartPolicy"]);
        let fine = json!({ "Healthcheck": { "Test": ["CMD", "x"] }, "HostConfig": { "AutoRemove": true, "RestartPolicy": { "Name": "no" } } });
        assert_eq!(faults(&fine), []);
    }

    #[test]
    fn networks_that_cannot_be_joined_are_found() {
        let networks = [
            json!({ "Name": "a" }),
            json!({ "Name": "host" }),
            json!({ "Name": "b", "IPAM": { "Config": [{ "Subnet": "x" }] } }),
        ];
        let found = network_faults(&json!({}), &networks);
        assert_eq!(
            places(&found),
            ["networks.1.Name", "networks.2.IPAM.Config.0.Subnet"]
        );
        for mode in ["host", "none", "container:x"] {
            let host = json!({ "NetworkMode": mode });
            assert_eq!(
                places(&network_faults(&host, &networks)),
                ["networks"],
                "{mode}"
            );
            assert_eq!(network_faults(&host, &[]), []);
        }
    }
}
