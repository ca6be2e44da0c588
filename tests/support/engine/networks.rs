//! Networks: names and addresses without traffic.

use super::{
    daemon::{Daemon, Endpoint, Network, State, format_time, random_id},
    response::{ErrorResponse, HandlerResult, full_body, json_response, no_content, ok},
    routes::{ParsedRequest, has_labels},
};
use hyper::Response;
use jiff::Timestamp;
use serde_json::{Map as JsonMap, Value as Json, json};

/// Returns the ID of a network. `name` is its name, its ID or a prefix of the ID.
pub(super) fn id_of(state: &State, name: &str) -> Result<String, ErrorResponse> {
    let mut all = state.networks.values();
    let by_name = all.find(|it| it.name == name || it.id == name);
    let by_id = || state.networks.values().find(|it| it.id.starts_with(name));
    let found = by_name.or_else(by_id).filter(|_| !name.is_empty());
    found
        .map(|it| it.id.clone())
        .ok_or_else(|| ErrorResponse(404, format!("network {name} not found")))
}

fn inspect_json(state: &State, network: &Network) -> Json {
    let mut containers = JsonMap::new();
    for it in state
        .containers
        .values()
        .filter(|it| it.status.is_running())
    {
        let endpoint = it.endpoints.get(&network.name);
        if let Some(Endpoint {
            address: Some(address),
            id,
            ..
        }) = endpoint
        {
            let endpoint = json!({
                "Name": it.name,
                "EndpointID": id,
                "MacAddress": "02:42:ac:11:00:02",
                "IPv4Address": format!("{address}/16"),
                "IPv6Address": "",
            });
            containers.insert(it.id.clone(), endpoint);
        }
    }
    let wanted = &network.config;
    let or = |name: &str, otherwise: Json| {
        let given = &wanted[name];
        if given.is_null() {
            otherwise
        } else {
            given.clone()
        }
    };
    json!({
        "Name": network.name,
        "Id": network.id,
        "Created": format_time(Some(network.created)),
        "Scope": "local",
        "Driver": or("Driver", "bridge".into()),
        "EnableIPv6": or("EnableIPv6", false.into()),
        "IPAM": ipam(network),
        "Internal": or("Internal", false.into()),
        "Attachable": or("Attachable", false.into()),
        "Ingress": false,
        "ConfigFrom": { "Network": "" },
        "ConfigOnly": false,
        "Containers": containers,
        "Options": or("Options", json!({})),
        "Labels": or("Labels", json!({})),
    })
}

fn ipam(network: &Network) -> Json {
    let mut ipam = network.config["IPAM"].clone();
    if !ipam.is_object() {
        ipam = json!({ "Driver": "default", "Options": {}, "Config": [] });
    }
    let is_open = ipam["Config"].as_array().is_none_or(Vec::is_empty);
    if is_open && !network.subnet.is_empty() {
        let subnet = &network.subnet;
        ipam["Config"] =
            json!([{ "Subnet": format!("{subnet}.0.0/16"), "Gateway": format!("{subnet}.0.1") }]);
    }
    ipam
}

pub(super) fn create(world: &Daemon, asked: &ParsedRequest) -> HandlerResult {
    let wanted = asked.json()?;
    let name = wanted["Name"].as_str().unwrap_or_default().to_owned();
    let mut state = world.state();
    let is_taken = state.networks.values().any(|it| it.name == name);
    if is_taken && wanted["CheckDuplicate"] == true {
        let message = format!("network with name {name} already exists");
        return Err(ErrorResponse::conflict(message));
    }
    let given = wanted
        .pointer("/IPAM/Config/0/Subnet")
        .and_then(Json::as_str);
    let subnet = match given {
        Some(subnet) => subnet.split('.').take(2).collect::<Vec<_>>().join("."),
        None => format!("172.{}", 18 + state.networks.len()),
    };
    let network = Network {
        id: random_id(),
        name,
        created: Timestamp::now(),
        config: wanted,
        subnet,
    };
    let id = network.id.clone();
    let attributes = json!({ "name": network.name, "type": "bridge" });
    state.networks.insert(id.clone(), network);
    state.record_event("network", "create", &id, &attributes);
    Ok(json_response(201, &json!({ "Id": id, "Warning": "" })))
}

pub(super) fn inspect(world: &Daemon, name: &str) -> HandlerResult {
    let state = world.state();
    let id = id_of(&state, name)?;
    ok(&inspect_json(&state, &state.networks[&id]))
}

pub(super) fn list(world: &Daemon, asked: &ParsedRequest) -> HandlerResult {
    let (state, filters) = (world.state(), asked.filters());
    let is_selected = |network: &&Network| {
        let matches = |name: &str, test: &dyn Fn(&str) -> bool| {
            let wanted = filters.get(name);
            wanted.is_none_or(|all| all.iter().any(|it| test(it)))
        };
        let is_own = !["bridge", "host", "none"].contains(&network.name.as_str());
        matches("name", &|it| {
            network.name.contains(it.trim_matches(['^', '$']))
        }) && matches("id", &|it| network.id.starts_with(it))
            && matches("type", &|it| (it == "custom") == is_own)
            && has_labels(&network.config["Labels"], filters.get("label"))
    };
    let all = state.networks.values().filter(is_selected);
    let all: Vec<Json> = all.map(|network| inspect_json(&state, network)).collect();
    ok(&Json::from(all))
}

pub(super) fn remove(world: &Daemon, name: &str) -> HandlerResult {
    let mut state = world.state();
    let id = id_of(&state, name)?;
    let name = state.networks[&id].name.clone();
    if ["bridge", "host", "none"].contains(&name.as_str()) {
        let message = format!("{name} is a pre-defined network and cannot be removed");
        return Err(ErrorResponse(403, message));
    }
    let mut users = state.containers.values();
    let active = users.any(|it| {
        it.status.is_running()
            && it
                .endpoints
                .get(&name)
                .is_some_and(|it| it.address.is_some())
    });
    if active {
        return Err(ErrorResponse(
            403,
            format!("error while removing network: network {name} id {id} has active endpoints"),
        ));
    }
    state.networks.shift_remove(&id);
    state.record_event(
        "network",
        "destroy",
        &id,
        &json!({ "name": name, "type": "bridge" }),
    );
    no_content()
}

/// Returns an endpoint with the requested settings and without an address.
pub(super) fn endpoint(wanted: &Json) -> Endpoint {
    Endpoint {
        address: None,
        aliases: wanted["Aliases"].clone(),
        ipam: wanted["IPAMConfig"].clone(),
        links: wanted["Links"].clone(),
        id: String::new(),
    }
}

/// Assigns addresses to the endpoints of a container that starts.
pub(super) fn assign_addresses(state: &mut State, container: &str) -> Result<(), ErrorResponse> {
    let names: Vec<String> = state.containers[container]
        .endpoints
        .keys()
        .cloned()
        .collect();
    for name in names {
        let id = id_of(state, &name)?;
        let (subnet, name) = (
            state.networks[&id].subnet.clone(),
            state.networks[&id].name.clone(),
        );
        let fixed = state.containers[container].endpoints[&name].ipam["IPv4Address"].clone();
        let address = match fixed.as_str().filter(|fixed| !fixed.is_empty()) {
            Some(fixed) => fixed.to_owned(),
            None => state.next_address(&subnet),
        };
        let short: String = container.chars().take(12).collect();
        let endpoint = &mut state.containers[container].endpoints[&name];
        if endpoint.address.is_some() {
            continue;
        }
        (endpoint.address, endpoint.id) = (Some(address), random_id());
        let is_own = !["bridge", "host", "none"].contains(&name.as_str());
        if is_own {
            let mut aliases = endpoint.aliases.as_array().cloned().unwrap_or_default();
            if !aliases.contains(&short.clone().into()) {
                aliases.push(short.into());
            }
            endpoint.aliases = aliases.into();
        }
        let attributes = json!({ "container": container, "name": name, "type": "bridge" });
        state.record_event("network", "connect", &id, &attributes);
    }
    Ok(())
}

/// Releases the addresses of a container that exited.
pub(super) fn release_addresses(state: &mut State, container: &str) {
    let Some(it) = state.containers.get_mut(container) else {
        return;
    };
    it.endpoints.values_mut().for_each(|endpoint| {
        endpoint.address = None;
        endpoint.id = String::new();
    });
}

pub(super) fn connect(world: &Daemon, name: &str, asked: &ParsedRequest) -> HandlerResult {
    let wanted = asked.json()?;
    let mut state = world.state();
    let id = id_of(&state, name)?;
    let name = state.networks[&id].name.clone();
    let container = state.container_id(wanted["Container"].as_str().unwrap_or_default())?;
    let it = &mut state.containers[&container];
    let is_running = it.status.is_running();
    if is_running && it.endpoints.contains_key(&name) {
        let message = format!(
            "endpoint with name {} already exists in network {name}",
            it.name
        );
        return Err(ErrorResponse(403, message));
    }
    it.endpoints
        .insert(name.clone(), endpoint(&wanted["EndpointConfig"]));
    if is_running {
        assign_addresses(&mut state, &container)?;
    }
    Ok(Response::new(full_body("")))
}

pub(super) fn disconnect(world: &Daemon, name: &str, asked: &ParsedRequest) -> HandlerResult {
    let wanted = asked.json()?;
    let mut state = world.state();
    let id = id_of(&state, name)?;
    let name = state.networks[&id].name.clone();
    let container = state.container_id(wanted["Container"].as_str().unwrap_or_default())?;
    let it = &mut state.containers[&container];
    if it.endpoints.shift_remove(&name).is_none() {
        let message = format!("container {container} is not connected to network {name}");
        return Err(ErrorResponse(403, message));
    }
    let attributes = json!({ "container": container, "name": name, "type": "bridge" });
    state.record_event("network", "disconnect", &id, &attributes);
    Ok(Response::new(full_body("")))
}
