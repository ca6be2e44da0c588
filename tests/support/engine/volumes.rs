//! Volumes: directories below the engine's directory.

use super::{
    daemon::{Daemon, SharedDaemon, State, Volume, format_time, random_id},
    response::{ErrorResponse, HandlerResult, json_response, no_content, ok},
    routes::{ParsedRequest, has_labels},
};
use jiff::Timestamp;
use serde_json::{Value as Json, json};
use std::path::{Path, PathBuf};

pub(super) fn data_directory(directory: &Path, name: &str) -> PathBuf {
    directory.join("volumes").join(name).join("_data")
}

fn inspect_json(volume: &Volume, directory: &Path) -> Json {
    json!({
        "CreatedAt": format_time(Some(volume.created)),
        "Driver": volume.driver,
        "Labels": volume.labels,
        "Mountpoint": data_directory(directory, &volume.name),
        "Name": volume.name,
        "Options": volume.options,
        "Scope": "local",
    })
}

/// Creates a volume if it does not exist, and returns its name. Without a name it is anonymous.
pub(super) fn ensure(
    state: &mut State,
    directory: &Path,
    name: Option<&str>,
    wanted: &Json,
) -> String {
    let is_anonymous = name.is_none();
    let name = name.map_or_else(random_id, str::to_owned);
    if state.volumes.contains_key(&name) {
        return name;
    }
    std::fs::create_dir_all(data_directory(directory, &name)).expect("create the directory");
    let volume = Volume {
        name: name.clone(),
        created: Timestamp::now(),
        labels: wanted["Labels"].clone(),
        options: wanted["DriverOpts"].clone(),
        driver: wanted["Driver"].as_str().unwrap_or("local").to_owned(),
        is_anonymous,
    };
    let attributes = json!({ "driver": volume.driver });
    state.volumes.insert(name.clone(), volume);
    state.record_event("volume", "create", &name, &attributes);
    name
}

pub(super) fn create(world: &Daemon, asked: &ParsedRequest) -> HandlerResult {
    let wanted = asked.json()?;
    let name = wanted["Name"].as_str().filter(|name| !name.is_empty());
    let mut state = world.state();
    let name = ensure(&mut state, &world.directory, name, &wanted);
    Ok(json_response(
        201,
        &inspect_json(&state.volumes[&name], &world.directory),
    ))
}

pub(super) fn inspect(world: &Daemon, name: &str) -> HandlerResult {
    let state = world.state();
    let missing = || ErrorResponse(404, format!("get {name}: no such volume"));
    let volume = state.volumes.get(name).ok_or_else(missing)?;
    ok(&inspect_json(volume, &world.directory))
}

pub(super) fn list(world: &Daemon, asked: &ParsedRequest) -> HandlerResult {
    let (state, filters) = (world.state(), asked.filters());
    let is_selected = |volume: &&Volume| {
        let names = filters.get("name");
        names.is_none_or(|all| all.iter().any(|it| volume.name.contains(it.as_str())))
            && has_labels(&volume.labels, filters.get("label"))
            && filters.get("dangling").is_none_or(|all| {
                let is_free = users(&state, &volume.name).is_empty();
                all.iter().any(|it| (it == "true" || it == "1") == is_free)
            })
    };
    let all = state.volumes.values().filter(is_selected);
    let all: Vec<Json> = all
        .map(|volume| inspect_json(volume, &world.directory))
        .collect();
    ok(&json!({ "Volumes": all, "Warnings": null }))
}

/// Returns the IDs of the containers that mount a volume.
fn users(state: &State, name: &str) -> Vec<String> {
    let has = |mounts: &[Json]| mounts.iter().any(|mount| mount["Name"] == name);
    let all = state.containers.values().filter(|it| has(&it.mounts));
    all.map(|it| it.id.clone()).collect()
}

pub(super) fn remove(world: &SharedDaemon, name: &str, asked: &ParsedRequest) -> HandlerResult {
    let mut state = world.state();
    if !state.volumes.contains_key(name) {
        if asked.is_set("force") {
            return no_content();
        }
        return Err(ErrorResponse(404, format!("get {name}: no such volume")));
    }
    let users = users(&state, name);
    if !users.is_empty() {
        let users = users.join(", ");
        return Err(ErrorResponse::conflict(format!(
            "remove {name}: volume is in use - [{users}]"
        )));
    }
    delete(&mut state, &world.directory, name);
    no_content()
}

pub(super) fn delete(state: &mut State, directory: &Path, name: &str) {
    let Some(volume) = state.volumes.shift_remove(name) else {
        return;
    };
    let _ = std::fs::remove_dir_all(directory.join("volumes").join(name));
    state.record_event(
        "volume",
        "destroy",
        name,
        &json!({ "driver": volume.driver }),
    );
}

/// Returns the disk usage: each volume with its size and the number of containers that use it.
pub(super) fn usage(world: &Daemon) -> Json {
    let state = world.state();
    let size = |name: &str| {
        let files = std::fs::read_dir(data_directory(&world.directory, name));
        files.map_or(0, |files| files.flatten().count() * 1024)
    };
    let one = |volume: &Volume| {
        let mut shown = inspect_json(volume, &world.directory);
        let users = users(&state, &volume.name).len();
        shown["UsageData"] = json!({ "RefCount": users, "Size": size(&volume.name) });
        shown
    };
    let volumes: Vec<Json> = state.volumes.values().map(one).collect();
    json!({ "LayersSize": 0, "Images": [], "Containers": [], "Volumes": volumes, "BuildCache": [] })
}
