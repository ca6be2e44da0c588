//! Completes the request that creates a container.

use crate::{
    engine::Version,
    plugins::docker::declare::{
        json::{keys, list, strings, text},
        params,
    },
};

use serde_json::{Value as Json, json};

/// First API version that accepts the MAC address per network, and several networks at creation.
pub(crate) const SEVERAL_ENDPOINTS: Version = Version(1, 44);

/// API versions that show the MAC address of the first network as that of the container, if it was
/// requested. 1.44 also shows a generated one, and newer versions show none.
pub(crate) const SHOWN_MAC_ADDRESS: std::ops::RangeInclusive<Version> =
    Version(1, 45)..=Version(1, 51);

/// First API version that accepts settings of the kernel per network.
const SYSCTLS_OF_ENDPOINT: Version = Version(1, 46);

/// Option of an endpoint with its settings of the kernel, separated by commas.
const ENDPOINT_SYSCTLS: &str = "com.docker.network.endpoint.sysctls";

/// Proxies in the docker command's configuration, and the variables that they set.
const PROXIES: [(&str, &str); 4] = [
    ("httpProxy", "http_proxy"),
    ("httpsProxy", "https_proxy"),
    ("ftpProxy", "ftp_proxy"),
    ("noProxy", "no_proxy"),
];

/// Further data for the body of a request.
pub(crate) struct RequestContext<'a> {
    /// Host name, unless the declaration sets one.
    pub host_name: Option<&'a str>,
    /// Version of the engine's API, if known.
    pub version: Option<Version>,
    /// Configuration of the docker command, which names proxies.
    pub proxies: &'a Json,
}

/// Returns the body of the request that creates a container, without image, labels and carried-over
/// volumes.
pub(crate) fn complete_body(converted: params::Creation, new: &RequestContext<'_>) -> Json {
    let mut body = Json::Object(converted.body);
    if let Some(name) = new.host_name {
        set_host_name(&mut body, name);
    }
    expose_bound_ports(&mut body);
    publish_without_host_port(&mut body);
    let supports = |feature| new.version.is_some_and(|version| version >= feature);
    if supports(SEVERAL_ENDPOINTS) {
        move_mac_address(&mut body);
    }
    if supports(SYSCTLS_OF_ENDPOINT) {
        move_sysctls(&mut body);
    }
    if converted.proxies {
        add_proxies(&mut body, new.proxies);
    }
    body
}

/// Exposes all ports with bindings: engines publish only exposed ports and silently ignore other
/// bindings.
fn expose_bound_ports(body: &mut Json) {
    let bound = keys(&body["HostConfig"]["PortBindings"]);
    for port in bound.cloned().collect::<Vec<_>>() {
        if body["ExposedPorts"].get(&port).is_none() {
            body["ExposedPorts"][port] = json!({});
        }
    }
}

/// Replaces empty lists of bindings by a binding to any port. Engines do this too, but will stop.
fn publish_without_host_port(body: &mut Json) {
    let bindings = body["HostConfig"].get_mut("PortBindings");
    let bindings = bindings.and_then(Json::as_object_mut);
    let empty = bindings
        .into_iter()
        .flat_map(|all| all.values_mut())
        .filter(|it| it.is_null() || it.as_array().is_some_and(Vec::is_empty));
    empty.for_each(|it| *it = json!([{ "HostIp": "", "HostPort": "" }]));
}

/// Moves the MAC address to the network: since API 1.44 it belongs there, and the old field is
/// deprecated.
fn move_mac_address(body: &mut Json) {
    let fields = body.as_object_mut();
    let Some(address) = fields.and_then(|fields| fields.shift_remove("MacAddress")) else {
        return;
    };
    let network = first_network(body);
    body["NetworkingConfig"]["EndpointsConfig"][&network]["MacAddress"] = address;
}

/// Moves the kernel's settings of the interface `eth0` to the first network: the name of an
/// interface is not known before the start, and engines stopped doing this in API 1.48.
fn move_sysctls(body: &mut Json) {
    let Some(all) = body["HostConfig"]
        .get_mut("Sysctls")
        .and_then(Json::as_object_mut)
    else {
        return;
    };
    let (of_interface, rest): (Vec<_>, Vec<_>) = std::mem::take(all)
        .into_iter()
        .partition(|(name, _)| is_of_first_interface(name));
    all.extend(rest);
    if of_interface.is_empty() {
        return;
    }
    let moved = of_interface.iter().map(|(name, value)| {
        let name = name.replacen(".eth0.", ".IFNAME.", 1);
        format!("{name}={}", text(value))
    });
    let network = first_network(body);
    let options = &mut body["NetworkingConfig"]["EndpointsConfig"][&network]["DriverOpts"];
    let given = text(&options[ENDPOINT_SYSCTLS]).to_owned();
    let given = Some(given).filter(|given| !given.is_empty());
    options[ENDPOINT_SYSCTLS] = given
        .into_iter()
        .chain(moved)
        .collect::<Vec<_>>()
        .join(",")
        .into();
}

/// Returns true for settings such as `net.ipv4.conf.eth0.rp_filter`.
fn is_of_first_interface(setting: &str) -> bool {
    let parts: Vec<&str> = setting.splitn(5, '.').collect();
    matches!(parts[..], ["net", "ipv4" | "ipv6" | "mpls", _, "eth0", _])
}

/// Returns the network to which the container is attached when it starts.
pub(crate) fn first_network(body: &Json) -> String {
    let mode = text(&body["HostConfig"]["NetworkMode"]);
    let endpoint = keys(&body["NetworkingConfig"]["EndpointsConfig"]).next();
    let first = match endpoint {
        _ if params::names_network(mode) => mode,
        Some(endpoint) => endpoint,
        None if mode.is_empty() => "default",
        None => mode,
    };
    first.to_owned()
}

/// Adds the proxies from the docker command's configuration, in lower and upper case. Variables in
/// the blueprint take precedence.
fn add_proxies(body: &mut Json, config: &Json) {
    let given = &body["Env"];
    let added = proxies(&config["proxies"]["default"])
        .filter(|(name, _)| !has_variable(given, name))
        .map(|(name, value)| Json::from(format!("{name}={value}")));
    let environment: Vec<Json> = list(given).cloned().chain(added).collect();
    if !environment.is_empty() {
        body["Env"] = environment.into();
    }
}

/// Returns the variables for the configured proxies.
fn proxies(config: &Json) -> impl Iterator<Item = (String, &str)> {
    let given = PROXIES.into_iter().filter_map(move |(field, name)| {
        let value = config[field].as_str()?;
        Some([(name.to_owned(), value), (name.to_uppercase(), value)])
    });
    given.flatten()
}

fn has_variable(environment: &Json, name: &str) -> bool {
    strings(environment).any(|entry| entry.split('=').next() == Some(name))
}

fn is_unset(value: &Json) -> bool {
    value.is_null() || value == ""
}

/// Uses the container's name as host name, unless the blueprint sets one, the container shares the
/// network or UTS namespace of the machine or of another container, or the name is too long.
fn set_host_name(body: &mut Json, name: &str) {
    let host = &body["HostConfig"];
    let shared = host["NetworkMode"]
        .as_str()
        .is_some_and(|mode| mode == "host" || mode.starts_with("container:"))
        || host["UTSMode"].as_str() == Some("host");
    if !shared && name.len() <= 63 && body.get("Hostname").is_none_or(is_unset) {
        body["Hostname"] = json!(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mac_address_moves_to_the_network() {
        let moved = |body: Json| {
            let mut body = body;
            move_mac_address(&mut body);
            body
        };
        let endpoint = |name: &str| json!({ "EndpointsConfig": { name: { "MacAddress": "m" } } });
        assert_eq!(
            moved(json!({ "MacAddress": "m" })),
            json!({ "NetworkingConfig": endpoint("default") })
        );
        let with_mode = json!({ "MacAddress": "m", "HostConfig": { "NetworkMode": "back" } });
        assert_eq!(moved(with_mode)["NetworkingConfig"], endpoint("back"));
        let with_endpoint = json!({ "MacAddress": "m", "NetworkingConfig": { "EndpointsConfig": { "front": {} } } });
        assert_eq!(moved(with_endpoint)["NetworkingConfig"], endpoint("front"));
        let two = json!({ "a": {}, "main": {} });
        let with_both = json!({ "MacAddress": "m", "HostConfig": { "NetworkMode": "main" }, "NetworkingConfig": { "EndpointsConfig": two } });
        let endpoints = &moved(with_both)["NetworkingConfig"]["EndpointsConfig"];
        assert_eq!(
            *endpoints,
            json!({ "a": {}, "main": { "MacAddress": "m" } })
        );
    }

    #[test]
    fn settings_of_the_first_interface_move_to_its_network() {
        let moved = |sysctls: Json, mode: &str, networking: Json| {
            let mut body = json!({ "HostConfig": { "Sysctls": sysctls, "NetworkMode": mode }, "NetworkingConfig": networking });
            move_sysctls(&mut body);
            (
                body["HostConfig"]["Sysctls"].clone(),
                body["NetworkingConfig"].clone(),
            )
        };
        let endpoint = |name: &str, options: &str| json!({ "EndpointsConfig": { name: { "DriverOpts": { ENDPOINT_SYSCTLS: options } } } });
        let given = json!({ "net.ipv4.conf.eth0.rp_filter": "0", "net.core.somaxconn": "9", "net.ipv6.conf.eth0.a.b": "1" });
        assert_eq!(
            moved(given, "back", Json::Null),
            (
                json!({ "net.core.somaxconn": "9" }),
                endpoint(
                    "back",
                    "net.ipv4.conf.IFNAME.rp_filter=0,net.ipv6.conf.IFNAME.a.b=1"
                )
            )
        );
        assert_eq!(
            moved(
                json!({ "net.ipv4.conf.eth0.x": "1" }),
                "front",
                endpoint("front", "net.ipv4.conf.IFNAME.y=2")
            )
            .1,
            endpoint("front", "net.ipv4.conf.IFNAME.y=2,net.ipv4.conf.IFNAME.x=1")
        );
        let other = json!({ "net.ipv4.conf.eth1.x": "1", "net.ipv4.conf.all.eth0": "1" });
        assert_eq!(
            moved(other.clone(), "back", Json::Null),
            (other, Json::Null)
        );
    }

    #[test]
    fn port_without_bindings_is_published_on_any_port() {
        let one = json!([{ "HostIp": "", "HostPort": "80" }]);
        let mut body = json!({ "HostConfig": { "PortBindings": { "1/tcp": [], "2/tcp": one, "3/tcp": null } } });
        publish_without_host_port(&mut body);
        let any = json!([{ "HostIp": "", "HostPort": "" }]);
        assert_eq!(
            body["HostConfig"]["PortBindings"],
            json!({ "1/tcp": any, "2/tcp": one, "3/tcp": any })
        );
        let mut without = json!({});
        publish_without_host_port(&mut without);
        assert!(without["HostConfig"].is_null());
    }

    #[test]
    fn host_name_is_the_name_unless_a_namespace_is_shared() {
        let name = |host: Json| {
            let mut body = json!({ "HostConfig": host });
            set_host_name(&mut body, "web");
            body["Hostname"].clone()
        };
        assert_eq!(name(json!({})), "web");
        assert_eq!(name(json!({ "NetworkMode": "back" })), "web");
        for shared in [
            json!({ "NetworkMode": "host" }),
            json!({ "NetworkMode": "container:x" }),
            json!({ "UTSMode": "host" }),
        ] {
            assert_eq!(name(shared), Json::Null);
        }
    }

    #[test]
    fn proxies_are_added_unless_the_blueprint_sets_them() {
        let mut body = json!({ "Env": ["http_proxy=mine"] });
        add_proxies(
            &mut body,
            &json!({ "proxies": { "default": { "httpProxy": "http://p:1", "noProxy": "localhost" } } }),
        );
        assert_eq!(
            body["Env"],
            json!([
                "http_proxy=mine",
                "HTTP_PROXY=http://p:1",
                "no_proxy=localhost",
                "NO_PROXY=localhost"
            ])
        );
    }
}
