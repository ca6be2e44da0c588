//! Containers: create, inspect, list, rename, update and remove.

use super::{
    body::{Answered, Refused, done, json_of, ok},
    images, life, mounts, networks, processes,
    routes::{Asked, has_labels},
    shown, volumes,
    world::{Container, Endpoint, Shared, State, Status, World, random_id},
};
use indexmap::IndexMap;
use jiff::Timestamp;
use serde_json::{Map as JsonMap, Value as Json, json};
use std::{collections::HashMap, time::Duration};

pub(super) fn create(world: &World, asked: &Asked) -> Answered {
    let wanted = asked.json()?;
    let mut state = world.state();
    let id = random_id();
    let name = match asked.query("name").filter(|name| !name.is_empty()) {
        Some(name) => name.trim_start_matches('/').to_owned(),
        None => format!("fake_{}", &id[..8]),
    };
    refuse_taken(&state, &name)?;
    let image = images::id_of(&state, wanted["Image"].as_str().unwrap_or_default())?;
    let config = shown::config(&wanted, &state.images[&image], &id);
    let host = shown::host(&wanted["HostConfig"]);
    let container = Container {
        id: id.clone(),
        name,
        created: Timestamp::now(),
        mounts: mounts::all(&mut state, &world.directory, (&config, &host))?,
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
    state.tell_of(&id, "create", &json!({}));
    Ok(json_of(201, &json!({ "Id": id, "Warnings": [] })))
}

fn refuse_taken(state: &State, name: &str) -> Result<(), Refused> {
    let mut all = state.containers.values();
    let Some(other) = all.find(|it| it.name == name) else {
        return Ok(());
    };
    Err(Refused::conflict(format!(
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

pub(super) fn inspect(world: &World, name: &str) -> Answered {
    let state = world.state();
    let id = state.container_id(name)?;
    ok(&shown::whole(&state, &state.containers[&id]))
}

pub(super) fn list(world: &World, asked: &Asked) -> Answered {
    let (state, filters) = (world.state(), asked.filters());
    let is_all = asked.is_set("all") || filters.contains_key("status");
    let mut found: Vec<&Container> = state
        .containers
        .values()
        .filter(|it| is_all || it.status.is_running())
        .filter(|it| is_meant(&state, it, &filters))
        .collect();
    // Docker lists the newest container first.
    found.reverse();
    let all: Vec<Json> = found
        .into_iter()
        .map(|it| shown::brief(&state, it))
        .collect();
    ok(&Json::from(all))
}

fn is_meant(state: &State, it: &Container, filters: &HashMap<String, Vec<String>>) -> bool {
    let matches = |name: &str, test: &dyn Fn(&str) -> bool| {
        let wanted = filters.get(name);
        wanted.is_none_or(|all| all.iter().any(|it| test(it)))
    };
    let is_named = |pattern: &str| {
        let pattern = fancy_regex::Regex::new(pattern).expect("a valid pattern");
        let fits = |name: &str| pattern.is_match(name).unwrap_or_default();
        fits(&it.name) || fits(&format!("/{}", it.name))
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

pub(super) fn rename(world: &World, name: &str, asked: &Asked) -> Answered {
    let mut state = world.state();
    let id = state.container_id(name)?;
    let new = asked
        .query("name")
        .unwrap_or_default()
        .trim_start_matches('/')
        .to_owned();
    refuse_taken(&state, &new)?;
    let old = std::mem::replace(&mut state.containers[&id].name, new);
    state.tell_of(&id, "rename", &json!({ "oldName": format!("/{old}") }));
    done()
}

pub(super) fn update(world: &World, name: &str, asked: &Asked) -> Answered {
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
    state.tell_of(&id, "update", &json!({}));
    ok(&json!({ "Warnings": null }))
}

pub(super) async fn remove(world: &Shared, name: &str, asked: &Asked) -> Answered {
    let id = {
        let state = world.state();
        let id = state.container_id(name)?;
        let it = &state.containers[&id];
        if it.status.is_running() && !asked.is_set("force") {
            return Err(Refused::conflict(format!(
                "You cannot remove a {} container {id}. Stop the container before attempting removal or force remove",
                it.status.as_str()
            )));
        }
        id
    };
    life::halt(world, &id, 9, Duration::from_secs(10)).await;
    let mut state = world.state();
    if state.containers.contains_key(&id) {
        destroy(&mut state, world, &id, asked.is_set("v"));
    }
    done()
}

/// Deletes a container. With `volumes`, deletes its anonymous volumes that no other container uses.
pub(super) fn destroy(state: &mut State, world: &World, id: &str, volumes: bool) {
    state.tell_of(id, "destroy", &json!({}));
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
            volumes::drop_volume(state, &world.directory, name);
        }
    }
}

pub(super) fn top(world: &World, name: &str) -> Answered {
    let state = world.state();
    let id = state.container_id(name)?;
    let it = &state.containers[&id];
    if !it.status.is_running() {
        return Err(Refused::conflict(format!("Container {id} is not running")));
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
    let all: Vec<Json> = processes::running(&it.groups)
        .into_iter()
        .map(row)
        .collect();
    let titles = ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"];
    ok(&json!({ "Titles": titles, "Processes": all }))
}
