//! Containers: create, inspect, list, rename, update and remove.

use super::{
    daemon::{Container, Daemon, Endpoint, SharedDaemon, State, Status, random_id},
    images, inspection, lifecycle, mounts, networks, processes,
    response::{ErrorResponse, HandlerResult, json_response, no_content, ok},
    routes::{ParsedRequest, has_labels},
    volumes,
};
use indexmap::IndexMap;
use jiff::Timestamp;
use serde_json::{Map as JsonMap, Value as Json, json};
use std::{collections::HashMap, time::Duration};

pub(super) fn create(world: &Daemon, asked: &ParsedRequest) -> HandlerResult {
    let wanted = asked.json()?;
    let mut state = world.state();
    let id = random_id();
    let name = match asked.query("name").filter(|name| !name.is_empty()) {
        Some(name) => name.trim_start_matches('/').to_owned(),
        None => format!("fake_{}", &id[..8]),
    };
    require_free_name(&state, &name)?;
    let image = images::id_of(&state, wanted["Image"].as_str().unwrap_or_default())?;
    let config = inspection::config(&wanted, &state.images[&image], &id);
    let host = inspection::host(&wanted["HostConfig"]);
    let container = Container {
        id: id.clone(),
        name,
        created: Timestamp::now(),
        mounts: mounts::mounts_of(&mut state, &world.directory, (&config, &host))?,
        endpoints: endpoints(&state, &wanted, &host),
        config,
        host,
        image,
        status: Status::Created,
        exit_code: 0,
        error: String::new(),
        started: None,
        finished: None,
        health: None,
        restarts: 0,
        stopped: false,
        groups: Vec::new(),
        ports: JsonMap::new(),
        log: Vec::new(),
        run: 0,
    };
    state.containers.insert(id.clone(), container);
    state.record_container_event(&id, "create", &json!({}));
    Ok(json_response(201, &json!({ "Id": id, "Warnings": [] })))
}

fn require_free_name(state: &State, name: &str) -> Result<(), ErrorResponse> {
    let mut all = state.containers.values();
    let Some(other) = all.find(|it| it.name == name) else {
        return Ok(());
    };
    Err(ErrorResponse::conflict(format!(
        "Conflict. The container name \"/{name}\" is already in use by container \"{}\". You have to remove (or rename) that container to be able to reuse that name.",
        other.id
    )))
}

/// Returns the requested endpoints of a container.
fn endpoints(state: &State, wanted: &Json, host: &Json) -> IndexMap<String, Endpoint> {
    let mode = host["NetworkMode"].as_str().unwrap_or_default();
    let mut endpoints = IndexMap::new();
    if mode.starts_with("container:") {
        return endpoints;
    }
    let given = wanted["NetworkingConfig"]["EndpointsConfig"].as_object();
    let name = if mode == "default" { "bridge" } else { mode };
    let whole = networks::id_of(state, name).map(|id| state.networks[&id].name.clone());
    let of_mode = given.and_then(|all| all.get(mode)).cloned();
    endpoints.insert(
        whole.unwrap_or_else(|_| name.to_owned()),
        networks::endpoint(&of_mode.unwrap_or_default()),
    );
    let others = given
        .into_iter()
        .flatten()
        .filter(|(name, _)| *name != mode);
    endpoints.extend(others.map(|(name, it)| (name.clone(), networks::endpoint(it))));
    endpoints
}

pub(super) fn inspect(world: &Daemon, name: &str) -> HandlerResult {
    let state = world.state();
    let id = state.container_id(name)?;
    ok(&inspection::full(&state, &state.containers[&id]))
}

pub(super) fn list(world: &Daemon, asked: &ParsedRequest) -> HandlerResult {
    let (state, filters) = (world.state(), asked.filters());
    let is_all = asked.is_set("all") || filters.contains_key("status");
    let mut found: Vec<&Container> = state
        .containers
        .values()
        .filter(|it| is_all || it.status.is_running())
        .filter(|it| matches_filters(&state, it, &filters))
        .collect();
    // Docker lists the newest container first.
    found.reverse();
    let all: Vec<Json> = found
        .into_iter()
        .map(|it| inspection::summary(&state, it))
        .collect();
    ok(&Json::from(all))
}

fn matches_filters(state: &State, it: &Container, filters: &HashMap<String, Vec<String>>) -> bool {
    let matches = |name: &str, test: &dyn Fn(&str) -> bool| {
        let wanted = filters.get(name);
        wanted.is_none_or(|all| all.iter().any(|it| test(it)))
    };
    let is_named = |pattern: &str| {
        let pattern = fancy_regex::Regex::new(pattern).expect("a valid pattern");
        let matches_name = |name: &str| pattern.is_match(name).unwrap_or_default();
        matches_name(&it.name) || matches_name(&format!("/{}", it.name))
    };
    let is_on = |network: &str| {
        let name = networks::id_of(state, network).map(|id| state.networks[&id].name.clone());
        name.is_ok_and(|name| it.endpoints.contains_key(&name))
    };
    matches("name", &is_named)
        && matches("id", &|id| it.id.starts_with(id))
        && matches("status", &|status| it.status.as_str() == status)
        && matches("network", &is_on)
        && matches("volume", &|volume| {
            it.mounts
                .iter()
                .any(|it| it["Name"] == volume || it["Destination"] == volume)
        })
        && matches("ancestor", &|image| {
            images::id_of(state, image).is_ok_and(|id| id == it.image)
        })
        && has_labels(&it.config["Labels"], filters.get("label"))
}

pub(super) fn rename(world: &Daemon, name: &str, asked: &ParsedRequest) -> HandlerResult {
    let mut state = world.state();
    let id = state.container_id(name)?;
    let new = asked
        .query("name")
        .unwrap_or_default()
        .trim_start_matches('/')
        .to_owned();
    require_free_name(&state, &new)?;
    let old = std::mem::replace(&mut state.containers[&id].name, new);
    state.record_container_event(&id, "rename", &json!({ "oldName": format!("/{old}") }));
    no_content()
}

pub(super) fn update(world: &Daemon, name: &str, asked: &ParsedRequest) -> HandlerResult {
    let wanted = asked.json()?;
    let mut state = world.state();
    let id = state.container_id(name)?;
    let it = &mut state.containers[&id];
    for (field, value) in wanted.as_object().into_iter().flatten() {
        // 0 leaves a field unchanged.
        if !value.is_null() && *value != 0 {
            it.host[field] = value.clone();
        }
    }
    state.record_container_event(&id, "update", &json!({}));
    ok(&json!({ "Warnings": null }))
}

pub(super) async fn remove(
    world: &SharedDaemon,
    name: &str,
    asked: &ParsedRequest,
) -> HandlerResult {
    let id = {
        let state = world.state();
        let id = state.container_id(name)?;
        let it = &state.containers[&id];
        if it.status.is_running() && !asked.is_set("force") {
            return Err(ErrorResponse::conflict(format!(
                "You cannot remove a {} container {id}. Stop the container before attempting removal or force remove",
                it.status.as_str()
            )));
        }
        id
    };
    lifecycle::stop_process(world, &id, 9, Duration::from_secs(10)).await;
    let mut state = world.state();
    if state.containers.contains_key(&id) {
        delete(&mut state, world, &id, asked.is_set("v"));
    }
    no_content()
}

/// Deletes a container. With `volumes`, deletes its anonymous volumes that no other container uses.
pub(super) fn delete(state: &mut State, world: &Daemon, id: &str, volumes: bool) {
    state.record_container_event(id, "destroy", &json!({}));
    let Some(it) = state.containers.shift_remove(id) else {
        return;
    };
    let _ = std::fs::remove_dir_all(world.directory.join("containers").join(id));
    for name in it.mounts.iter().filter_map(|it| it["Name"].as_str()) {
        let is_free = state.volumes.get(name).is_some_and(|it| it.is_anonymous)
            && !state
                .containers
                .values()
                .any(|it| it.mounts.iter().any(|it| it["Name"] == name));
        if volumes && is_free {
            volumes::delete(state, &world.directory, name);
        }
    }
}

pub(super) fn top(world: &Daemon, name: &str) -> HandlerResult {
    let state = world.state();
    let id = state.container_id(name)?;
    let it = &state.containers[&id];
    if !it.status.is_running() {
        return Err(ErrorResponse::conflict(format!(
            "Container {id} is not running"
        )));
    }
    let row = |(number, command): (i32, String)| {
        json!([
            "root",
            number.to_string(),
            "1",
            "0",
            "00:00",
            "?",
            "00:00:00",
            command
        ])
    };
    let all: Vec<Json> = processes::processes_in(&it.groups)
        .into_iter()
        .map(row)
        .collect();
    let titles = ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"];
    ok(&json!({ "Titles": titles, "Processes": all }))
}
