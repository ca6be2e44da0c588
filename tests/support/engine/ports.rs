//! Published ports of containers. Nothing listens on them.

use super::{daemon::State, response::ErrorResponse};
use serde_json::{Map as JsonMap, Value as Json, json};
use std::net::TcpListener;

/// Prefix of Docker's error message for a port that cannot be published.
const PUBLISH_FAILED: &str = "driver failed programming external connectivity";

/// Returns the host ports of a container, by container port.
pub(super) fn published(state: &State, id: &str) -> Result<JsonMap<String, Json>, ErrorResponse> {
    let it = &state.containers[id];
    let exposed = it.config["ExposedPorts"].as_object().into_iter().flatten();
    let mut ports: JsonMap<String, Json> = exposed
        .map(|(port, _)| (port.clone(), Json::Null))
        .collect();
    for (port, wanted) in it.host["PortBindings"].as_object().into_iter().flatten() {
        let wanted = wanted.as_array().into_iter().flatten();
        let all: Result<Vec<Json>, ErrorResponse> = wanted
            .map(|binding| bind_port(state, &it.name, binding))
            .collect();
        ports.insert(port.clone(), all?.into());
    }
    Ok(ports)
}

fn bind_port(state: &State, name: &str, binding: &Json) -> Result<Json, ErrorResponse> {
    let wanted = binding["HostPort"].as_str().unwrap_or_default();
    let address = binding["HostIp"].as_str().filter(|it| !it.is_empty());
    let address = address.unwrap_or("0.0.0.0");
    let port = match wanted.split_once('-') {
        _ if wanted.is_empty() || wanted == "0" => free_port().to_string(),
        Some((first, last)) => port_in_range(state, first, last)?,
        None => fixed_port(state, (name, address), wanted)?,
    };
    Ok(json!({ "HostIp": address, "HostPort": port }))
}

fn port_in_range(state: &State, first: &str, last: &str) -> Result<String, ErrorResponse> {
    let (first, last) = (first.parse().unwrap_or(1), last.parse().unwrap_or(1));
    let mut range = (first..=last).map(|port: u16| port.to_string());
    let free = range.find(|port| !is_published(state, port) && !is_busy(port));
    free.ok_or_else(|| ErrorResponse(500, format!("{PUBLISH_FAILED}: all ports are allocated")))
}

fn fixed_port(
    state: &State,
    (name, address): (&str, &str),
    port: &str,
) -> Result<String, ErrorResponse> {
    let at = format!("{address}:{port}");
    let why = match () {
        () if is_published(state, port) => {
            format!("Bind for {at} failed: port is already allocated")
        }
        () if is_busy(port) => {
            format!("Error starting userland proxy: listen tcp4 {at}: bind: address already in use")
        }
        () => return Ok(port.to_owned()),
    };
    Err(ErrorResponse(
        500,
        format!("{PUBLISH_FAILED} on endpoint {name}: {why}"),
    ))
}

/// Returns true if a running container publishes the port.
fn is_published(state: &State, port: &str) -> bool {
    let mut running = state
        .containers
        .values()
        .filter(|it| it.status.is_running());
    let has = |bindings: &Json| {
        let mut all = bindings.as_array().into_iter().flatten();
        all.any(|it| it["HostPort"] == port)
    };
    running.any(|it| it.ports.values().any(has))
}

/// Returns true if another program listens on the port.
fn is_busy(port: &str) -> bool {
    TcpListener::bind(format!("0.0.0.0:{port}")).is_err()
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("0.0.0.0:0").and_then(|it| it.local_addr());
    listener.map(|it| it.port()).unwrap_or_default()
}
