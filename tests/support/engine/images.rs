//! Images: names and configuration. Their content is ignored, because busybox runs every container.

use super::{
    daemon::{Daemon, Image, State, format_time, random_id},
    response::{ErrorResponse, HandlerResult, json_line, json_response, ok, stream_response},
    routes::{ParsedRequest, has_labels},
};
use bytes::Bytes;
use futures_util::stream as streams;
use hyper::Response;
use jiff::Timestamp;
use serde_json::{Value as Json, json};
use sha2::{Digest as _, Sha256};

/// Returns the short form of an image name, with a tag.
fn normalized_name(name: &str) -> String {
    let name = name.strip_prefix("docker.io/").unwrap_or(name);
    let name = name.strip_prefix("library/").unwrap_or(name);
    let last = name.rsplit('/').next().unwrap_or_default();
    if last.contains(':') || name.contains('@') {
        name.to_owned()
    } else {
        format!("{name}:latest")
    }
}

/// Returns the ID of an image. `name` is its name, its ID or a prefix of the ID.
pub(super) fn id_of(state: &State, name: &str) -> Result<String, ErrorResponse> {
    let tag = normalized_name(name);
    let short = name.trim_start_matches("sha256:");
    let is_named = |image: &&Image| image.tags.contains(&tag);
    let is_start = |image: &&Image| {
        let id = image.id.trim_start_matches("sha256:");
        short.len() >= 4 && id.starts_with(short)
    };
    let by_name = state.images.values().find(is_named);
    let found = by_name.or_else(|| state.images.values().find(is_start));
    found
        .map(|image| image.id.clone())
        .ok_or_else(|| ErrorResponse::not_found("image", &tag))
}

fn inspect_json(image: &Image) -> Json {
    json!({
        "Id": image.id,
        "RepoTags": image.tags,
        "RepoDigests": [],
        "Parent": "",
        "Comment": "Imported from -",
        "Created": format_time(Some(image.created)),
        "Container": "",
        "DockerVersion": "20.10.24",
        "Author": "",
        "Config": image.config,
        "Architecture": if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" },
        "Os": "linux",
        "Size": image.size,
        "VirtualSize": image.size,
        "RootFS": { "Type": "layers", "Layers": image.layers },
        "Metadata": { "LastTagTime": format_time(Some(image.created)) },
    })
}

pub(super) fn inspect(world: &Daemon, name: &str) -> HandlerResult {
    let state = world.state();
    let id = id_of(&state, name)?;
    ok(&inspect_json(&state.images[&id]))
}

pub(super) fn list(world: &Daemon, asked: &ParsedRequest) -> HandlerResult {
    let (state, filters) = (world.state(), asked.filters());
    let is_selected = |image: &&Image| {
        let is_of = |name: &String| {
            let is_tag =
                |tag: &String| *tag == normalized_name(name) || tag.split(':').next() == Some(name);
            image.tags.iter().any(is_tag)
        };
        has_labels(&image.config["Labels"], filters.get("label"))
            && filters
                .get("reference")
                .is_none_or(|all| all.iter().any(is_of))
            && filters
                .get("dangling")
                .is_none_or(|all| all.iter().any(|it| (it == "true") == image.tags.is_empty()))
    };
    let one = |image: &Image| {
        json!({
            "Id": image.id,
            "ParentId": "",
            "RepoTags": image.tags,
            "RepoDigests": null,
            "Labels": image.config["Labels"],
            "Created": image.created.as_second(),
            "Size": image.size,
            "VirtualSize": image.size,
            "SharedSize": -1,
            "Containers": -1,
        })
    };
    let all: Vec<Json> = state.images.values().filter(is_selected).map(one).collect();
    ok(&Json::from(all))
}

/// Imports a file system. Pulling fails, because there is no registry.
pub(super) fn create(world: &Daemon, asked: &ParsedRequest) -> HandlerResult {
    if asked.query("fromImage").is_some() {
        let address = "https://registry-1.docker.io/v2/";
        let message =
            format!("Get \"{address}\": dial tcp: lookup registry-1.docker.io: no such host");
        return Err(ErrorResponse(500, message));
    }
    let id = format!("sha256:{}", random_id());
    let image = Image {
        id: id.clone(),
        tags: Vec::new(),
        created: Timestamp::now(),
        config: config(asked),
        layers: vec![format!("sha256:{}", digest(&asked.body))],
        size: asked.body.len() as u64,
    };
    let mut state = world.state();
    state.images.insert(id.clone(), image);
    let repository = asked.query("repo").unwrap_or_default();
    if !repository.is_empty() {
        let tag = asked.query("tag").filter(|tag| !tag.is_empty());
        let name = tag.map_or_else(
            || normalized_name(repository),
            |tag| format!("{repository}:{tag}"),
        );
        add_tag(&mut state, &id, &name);
    }
    state.record_event("image", "import", &id, &json!({ "name": id }));
    let progress = [json_line(&json!({ "status": id }))];
    Ok(stream_response(
        200,
        "application/json",
        streams::iter(progress),
    ))
}

/// Creates an image with the configuration of a container.
pub(super) fn commit(world: &Daemon, asked: &ParsedRequest) -> HandlerResult {
    let mut state = world.state();
    let container = state.container_id(asked.query("container").unwrap_or_default())?;
    let id = format!("sha256:{}", random_id());
    let image = Image {
        id: id.clone(),
        tags: Vec::new(),
        created: Timestamp::now(),
        config: state.containers[&container].config.clone(),
        layers: vec![format!("sha256:{}", random_id())],
        size: 0,
    };
    state.images.insert(id.clone(), image);
    let (name, tag) = (asked.query("repo").unwrap_or_default(), asked.query("tag"));
    let tag = tag.filter(|tag| !tag.is_empty()).unwrap_or("latest");
    add_tag(&mut state, &id, &format!("{name}:{tag}"));
    Ok(json_response(201, &json!({ "Id": id })))
}

fn digest(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn config(asked: &ParsedRequest) -> Json {
    let mut config = json!({ "Env": null, "Cmd": null, "Entrypoint": null, "Labels": null,
        "Volumes": null, "WorkingDir": "", "User": "", "ExposedPorts": null });
    let changes = asked.query.iter().filter(|(name, _)| name == "changes");
    for (_, change) in changes {
        let (word, rest) = change.split_once(' ').unwrap_or((change, ""));
        let list = || serde_json::from_str(rest).unwrap_or_else(|_| json!(["/bin/sh", "-c", rest]));
        match word {
            "LABEL" => {
                let (name, value) = rest.split_once('=').unwrap_or((rest, ""));
                config["Labels"][name.trim_matches('"')] = value.trim_matches('"').into();
            }
            "ENV" => {
                let mut all = config["Env"].as_array().cloned().unwrap_or_default();
                all.push(rest.into());
                config["Env"] = all.into();
            }
            "CMD" => config["Cmd"] = list(),
            "ENTRYPOINT" => config["Entrypoint"] = list(),
            "WORKDIR" => config["WorkingDir"] = rest.into(),
            "USER" => config["User"] = rest.into(),
            "EXPOSE" => config["ExposedPorts"][format!("{rest}/tcp")] = json!({}),
            "VOLUME" => config["Volumes"][rest] = json!({}),
            _ => {}
        }
    }
    config
}

/// Tags an image. Removes the tag from the image that had it.
fn add_tag(state: &mut State, id: &str, name: &str) {
    let name = normalized_name(name);
    for image in state.images.values_mut() {
        image.tags.retain(|tag| *tag != name);
    }
    state.images[id].tags.push(name);
}

pub(super) fn tag(world: &Daemon, name: &str, asked: &ParsedRequest) -> HandlerResult {
    let mut state = world.state();
    let id = id_of(&state, name)?;
    let repository = asked.query("repo").unwrap_or_default();
    let tag = asked
        .query("tag")
        .filter(|tag| !tag.is_empty())
        .unwrap_or("latest");
    add_tag(&mut state, &id, &format!("{repository}:{tag}"));
    Ok(Response::builder()
        .status(201)
        .body(super::response::full_body(Bytes::new()))
        .expect("a valid response"))
}

pub(super) fn remove(world: &Daemon, name: &str, asked: &ParsedRequest) -> HandlerResult {
    let mut state = world.state();
    let id = id_of(&state, name)?;
    let tag = normalized_name(name);
    let mut report = Vec::new();
    if state.images[&id].tags.contains(&tag) && state.images[&id].tags.len() > 1 {
        state.images[&id].tags.retain(|it| *it != tag);
        return ok(&json!([{ "Untagged": tag }]));
    }
    let user = state.containers.values().find(|it| it.image == id);
    if let Some(user) = user.filter(|it| !asked.is_set("force") || it.status.is_running()) {
        let short = |id: &str| {
            id.trim_start_matches("sha256:")
                .chars()
                .take(12)
                .collect::<String>()
        };
        return Err(ErrorResponse::conflict(format!(
            "conflict: unable to remove repository reference \"{name}\" (must force) - container {} is using its referenced image {}",
            short(&user.id),
            short(&id)
        )));
    }
    let image = state.images.shift_remove(&id).expect("the image exists");
    report.extend(image.tags.iter().map(|tag| json!({ "Untagged": tag })));
    report.push(json!({ "Deleted": id }));
    state.record_event("image", "delete", &id, &json!({ "name": id }));
    Ok(json_response(200, &Json::from(report)))
}
