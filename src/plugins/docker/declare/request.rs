//! The request that creates a container.

use crate::{engine::Version, plugins::docker::declare::params};

use serde_json::{Value as Json, json};

/// First version of the API that takes the hardware address with the network.
pub(crate) const MAC_ADDRESS_OF_ENDPOINT: Version = Version(1, 44);

/// What else the body of a request depends on.
pub(crate) struct NewContainer<'a> {
    pub name: &'a str,
    /// Of the engine's API, if it is known.
    pub version: Option<Version>,
    /// Configuration of the docker command, which names proxies.
    pub proxies: &'a Json,
}

/// The body of the request that creates a container, but for the image, labels and volumes that are
/// carried over.
pub(crate) fn assembled(converted: params::Creation, new: &NewContainer<'_>) -> Json {
    let mut body = Json::Object(converted.body);
    set_host_name(&mut body, new.name);
    expose_bound_ports(&mut body);
    if new
        .version
        .is_some_and(|version| version >= MAC_ADDRESS_OF_ENDPOINT)
    {
        move_mac_address(&mut body);
    }
    if converted.proxies {
        add_proxies(&mut body, new.proxies);
    }
    body
}

/// Engines publish only what is exposed, and say nothing of a binding that leads nowhere.
fn expose_bound_ports(body: &mut Json) {
    let bound: Vec<String> = body["HostConfig"]["PortBindings"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(port, _)| port.clone())
        .collect();
    for port in bound {
        if body["ExposedPorts"].get(&port).is_none() {
            body["ExposedPorts"][port] = json!({});
        }
    }
}

/// From API 1.44 on the address belongs to the network, and the old place is not looked at for long
/// any more.
fn move_mac_address(body: &mut Json) {
    let Some(address) = body
        .as_object_mut()
        .and_then(|body| body.shift_remove("MacAddress"))
    else {
        return;
    };
    let first = body["NetworkingConfig"]["EndpointsConfig"]
        .as_object()
        .and_then(|networks| networks.keys().next().cloned());
    let mode = body["HostConfig"]["NetworkMode"]
        .as_str()
        .map(str::to_owned);
    let network = first.or(mode).unwrap_or_else(|| "default".to_owned());
    if body["NetworkingConfig"]["EndpointsConfig"][&network].is_null() {
        body["NetworkingConfig"]["EndpointsConfig"][&network] = json!({});
    }
    body["NetworkingConfig"]["EndpointsConfig"][&network]["MacAddress"] = address;
}

/// Proxies of the docker command's configuration, in both spellings; what the blueprint says wins.
fn add_proxies(body: &mut Json, config: &Json) {
    let proxies = &config["proxies"]["default"];
    let mut environment: Vec<Json> = body["Env"].as_array().cloned().unwrap_or_default();
    for (field, name) in [
        ("httpProxy", "http_proxy"),
        ("httpsProxy", "https_proxy"),
        ("ftpProxy", "ftp_proxy"),
        ("noProxy", "no_proxy"),
    ] {
        let Some(value) = proxies[field].as_str() else {
            continue;
        };
        for name in [name.to_owned(), name.to_uppercase()] {
            let given = environment
                .iter()
                .filter_map(Json::as_str)
                .any(|entry| entry.split('=').next() == Some(&name));
            if !given {
                environment.push(format!("{name}={value}").into());
            }
        }
    }
    if !environment.is_empty() {
        body["Env"] = environment.into();
    }
}

/// The name is the host name too, unless the blueprint or the network says otherwise, or it is too
/// long for one.
fn set_host_name(body: &mut Json, name: &str) {
    let host = &body["HostConfig"];
    let shared = host["NetworkMode"]
        .as_str()
        .is_some_and(|mode| mode.starts_with("container:"))
        || host["UTSMode"].as_str() == Some("host");
    if !shared && name.len() <= 63 && body.get("Hostname").is_none_or(Json::is_null) {
        body["Hostname"] = json!(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hardware_address_goes_to_the_network() {
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
    }

    #[test]
    fn proxies_are_added_unless_the_blueprint_says_otherwise() {
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
