//! Mounts of containers: host directories and volumes.

use super::{daemon::State, response::ErrorResponse, volumes};
use serde_json::{Value as Json, json};
use std::path::Path;

/// Returns the mounts of a container. Creates missing volumes.
pub(super) fn mounts_of(
    state: &mut State,
    directory: &Path,
    (config, host): (&Json, &Json),
) -> Result<Vec<Json>, ErrorResponse> {
    let mut mounts: Vec<Json> = Vec::new();
    for spec in strings(&host["Binds"]) {
        mounts.push(parse_bind(state, directory, &spec)?);
    }
    for wanted in host["Mounts"].as_array().into_iter().flatten() {
        mounts.push(parse_mount(state, directory, wanted));
    }
    for from in strings(&host["VolumesFrom"]) {
        let other = state.container_id(from.split(':').next().unwrap_or_default())?;
        mounts.extend(state.containers[&other].mounts.iter().cloned());
    }
    let declared = config["Volumes"].as_object().into_iter().flatten();
    for (to, _) in declared {
        if !mounts.iter().any(|it| it["Destination"] == to.as_str()) {
            mounts.push(volume(state, directory, None, (to, &json!({}))));
        }
    }
    Ok(mounts)
}

/// Returns the mount of a bind in the format `FROM:TO` or `SOURCE_URL:TO:MODE`.
fn parse_bind(state: &mut State, directory: &Path, spec: &str) -> Result<Json, ErrorResponse> {
    let parts: Vec<&str> = spec.split(':').collect();
    let mode = parts.get(2).copied().unwrap_or_default();
    match parts[..] {
        [from, to, ..] if from.starts_with('/') => {
            let _ = std::fs::create_dir_all(from);
            Ok(bind(from, to, mode))
        }
        [name, to, ..] => Ok(volume(state, directory, Some(name), (to, &json!({})))),
        _ => Err(ErrorResponse(
            400,
            format!("invalid volume specification: '{spec}'"),
        )),
    }
}

/// Returns the mount of an object with type, source and target.
fn parse_mount(state: &mut State, directory: &Path, wanted: &Json) -> Json {
    let text = |name: &str| wanted[name].as_str().unwrap_or_default();
    let (from, to) = (text("Source"), text("Target"));
    match text("Type") {
        "bind" => bind(from, to, ""),
        "tmpfs" => json!({ "Type": "tmpfs", "Destination": to, "RW": true, "Source": "" }),
        _ => {
            let name = Some(from).filter(|name| !name.is_empty());
            volume(state, directory, name, (to, &wanted["VolumeOptions"]))
        }
    }
}

fn bind(from: &str, to: &str, mode: &str) -> Json {
    json!({
        "Type": "bind", "Source": from, "Destination": to, "Mode": mode,
        "RW": !mode.split(',').any(|it| it == "ro"), "Propagation": "rprivate",
    })
}

fn volume(
    state: &mut State,
    directory: &Path,
    name: Option<&str>,
    (to, wanted): (&str, &Json),
) -> Json {
    let name = volumes::ensure(state, directory, name, wanted);
    json!({
        "Type": "volume", "Name": name, "Source": volumes::data_directory(directory, &name),
        "Destination": to, "Driver": "local", "Mode": "z", "RW": true, "Propagation": "",
    })
}

fn strings(list: &Json) -> Vec<String> {
    let all = list.as_array().into_iter().flatten();
    all.filter_map(|it| Some(it.as_str()?.to_owned())).collect()
}
