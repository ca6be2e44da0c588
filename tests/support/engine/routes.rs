//! Routing of requests to their handlers.

use super::{
    containers,
    daemon::{Daemon, SharedDaemon},
    execs, images, lifecycle, logs, networks,
    response::{Body, ErrorResponse, HandlerResult, json_line, ok, stream_response, text_response},
    volumes,
};
use bytes::Bytes;
use futures_util::stream as streams;
use http_body_util::BodyExt as _;
use hyper::{Request, Response, body::Incoming};
use serde_json::{Value as Json, json};
use std::collections::HashMap;

/// A parsed request.
pub(super) struct ParsedRequest {
    pub query: Vec<(String, String)>,
    pub body: Bytes,
}

impl ParsedRequest {
    /// Returns the first value of a query parameter.
    pub(super) fn query(&self, name: &str) -> Option<&str> {
        let mut all = self.query.iter();
        all.find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    pub(super) fn is_set(&self, name: &str) -> bool {
        matches!(self.query(name), Some("1" | "true" | "True"))
    }

    pub(super) fn json(&self) -> Result<Json, ErrorResponse> {
        if self.body.is_empty() {
            return Ok(json!({}));
        }
        serde_json::from_slice(&self.body).map_err(|error| ErrorResponse(400, error.to_string()))
    }

    /// Returns the values of each filter.
    pub(super) fn filters(&self) -> HashMap<String, Vec<String>> {
        let written = self.query("filters").unwrap_or("{}");
        let filters: Json = serde_json::from_str(written).unwrap_or_default();
        let values = |values: &Json| match values {
            Json::Array(all) => all
                .iter()
                .filter_map(|it| Some(it.as_str()?.to_owned()))
                .collect(),
            Json::Object(all) => all.keys().cloned().collect(),
            _ => Vec::new(),
        };
        let all = filters.as_object().into_iter().flatten();
        all.map(|(name, all)| (name.clone(), values(all))).collect()
    }
}

/// Returns true if the labels match all `name` and `name=value` filters.
pub(super) fn has_labels(labels: &Json, wanted: Option<&Vec<String>>) -> bool {
    let has = |wanted: &String| match wanted.split_once('=') {
        Some((name, value)) => labels[name] == value,
        None => labels.get(wanted).is_some(),
    };
    wanted.into_iter().flatten().all(has)
}

/// Returns the response to a request.
pub(super) async fn respond(
    world: &SharedDaemon,
    request: Request<Incoming>,
    is_hostile: bool,
) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().to_owned();
    let all: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let is_version = |part: &str| {
        let rest = part.strip_prefix('v').unwrap_or_default();
        rest.starts_with(|c: char| c.is_ascii_digit())
    };
    let has_version = all.first().is_some_and(|part| is_version(part));
    let path: Vec<String> = all[usize::from(has_version)..]
        .iter()
        .map(|part| percent_decoded(part))
        .collect();
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    let method = parts.method.as_str().to_owned();
    if is_hostile {
        let line = format!("{method} /{}", path.join("/"));
        world
            .requests
            .lock()
            .expect("the lock is not poisoned")
            .push(line);
    }
    let canned = world.canned.response(&method, &path).filter(|_| is_hostile);
    if let Some(canned) = canned {
        return canned;
    }
    let query = parts.uri.query().unwrap_or_default().split('&');
    let query = query.filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (
            percent_decoded(name),
            percent_decoded(&value.replace('+', " ")),
        )
    });
    let query = query.collect();
    if let ("POST", ["exec", id, "start"]) = (method.as_str(), path.as_slice()) {
        let id = (*id).to_owned();
        let request = Request::from_parts(parts, body);
        return into_response(execs::start(world, &id, request).await);
    }
    let Ok(body) = body.collect().await else {
        return ErrorResponse(400, "incomplete request body".to_owned()).response();
    };
    let parsed = ParsedRequest {
        query,
        body: body.to_bytes(),
    };
    into_response(route(world, &method, &path, &parsed).await)
}

fn into_response(answered: HandlerResult) -> Response<Body> {
    answered.unwrap_or_else(|refused| refused.response())
}

async fn route(
    world: &SharedDaemon,
    method: &str,
    path: &[&str],
    parsed: &ParsedRequest,
) -> HandlerResult {
    match (method, path) {
        ("GET" | "HEAD", ["_ping"]) => Ok(ping()),
        ("GET", ["version"]) => ok(&version()),
        ("GET", ["info"]) => ok(&info(world)),
        ("GET", ["system", "df"]) => ok(&volumes::usage(world)),
        ("GET", ["events"]) => Ok(events(world, parsed)),
        ("GET", ["containers", "json"]) => containers::list(world, parsed),
        ("POST", ["containers", "create"]) => containers::create(world, parsed),
        ("GET", ["containers", id, "json"]) => containers::inspect(world, id),
        ("GET", ["containers", id, "logs"]) => logs::logs(world, id, parsed),
        ("GET", ["containers", id, "top"]) => containers::top(world, id),
        ("POST", ["containers", id, "start"]) => lifecycle::start(world, id),
        ("POST", ["containers", id, "stop"]) => lifecycle::stop(world, id, parsed).await,
        ("POST", ["containers", id, "restart"]) => lifecycle::restart(world, id, parsed).await,
        ("POST", ["containers", id, "kill"]) => lifecycle::kill(world, id, parsed).await,
        ("POST", ["containers", id, "pause"]) => lifecycle::pause(world, id, true),
        ("POST", ["containers", id, "unpause"]) => lifecycle::pause(world, id, false),
        ("POST", ["containers", id, "rename"]) => containers::rename(world, id, parsed),
        ("POST", ["containers", id, "update"]) => containers::update(world, id, parsed),
        ("POST", ["containers", id, "wait"]) => lifecycle::wait(world, id, parsed),
        ("POST", ["containers", id, "exec"]) => execs::create(world, id, parsed),
        ("DELETE", ["containers", id]) => containers::remove(world, id, parsed).await,
        ("GET", ["exec", id, "json"]) => execs::inspect(world, id),
        ("POST", ["exec", _, "resize"]) => ok(&json!({})),
        ("GET", ["images", "json"]) => images::list(world, parsed),
        ("POST", ["images", "create"]) => images::create(world, parsed),
        ("POST", ["commit"]) => images::commit(world, parsed),
        ("GET", ["images", .., "json"]) => {
            images::inspect(world, &path[1..path.len() - 1].join("/"))
        }
        ("POST", ["images", .., "tag"]) => {
            images::tag(world, &path[1..path.len() - 1].join("/"), parsed)
        }
        ("DELETE", ["images", ..]) => images::remove(world, &path[1..].join("/"), parsed),
        ("GET", ["networks"]) => networks::list(world, parsed),
        ("POST", ["networks", "create"]) => networks::create(world, parsed),
        ("GET", ["networks", id]) => networks::inspect(world, id),
        ("DELETE", ["networks", id]) => networks::remove(world, id),
        ("POST", ["networks", id, "connect"]) => networks::connect(world, id, parsed),
        ("POST", ["networks", id, "disconnect"]) => networks::disconnect(world, id, parsed),
        ("GET", ["volumes"]) => volumes::list(world, parsed),
        ("POST", ["volumes", "create"]) => volumes::create(world, parsed),
        ("GET", ["volumes", name]) => volumes::inspect(world, name),
        ("DELETE", ["volumes", name]) => volumes::remove(world, name, parsed),
        // Clients query these for details of a container.
        (
            "GET",
            [
                "swarm" | "nodes" | "services" | "tasks" | "secrets" | "configs",
                ..,
            ],
        ) => Err(ErrorResponse(
            503,
            "This node is not a swarm manager.".to_owned(),
        )),
        _ => Err(ErrorResponse(
            404,
            format!("page not found: {method} /{}", path.join("/")),
        )),
    }
}

fn ping() -> Response<Body> {
    let mut response = text_response(200, "OK");
    for (name, value) in [("api-version", "1.41"), ("ostype", "linux")] {
        response
            .headers_mut()
            .insert(name, value.parse().expect("a valid header value"));
    }
    response
}

fn version() -> Json {
    json!({
        "Platform": { "Name": "" },
        "Components": [],
        "Version": "20.10.24",
        "ApiVersion": "1.41",
        "MinAPIVersion": "1.12",
        "Os": "linux",
        "Arch": if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" },
        "KernelVersion": "6.1.0",
    })
}

fn info(world: &Daemon) -> Json {
    let state = world.state();
    json!({
        "ID": "FAKE",
        "Containers": state.containers.len(),
        "Images": state.images.len(),
        "Driver": "overlay2",
        "DefaultRuntime": "runc",
        "Runtimes": { "runc": { "path": "runc" } },
        "LoggingDriver": "json-file",
        "CgroupVersion": "2",
        "MemoryLimit": true,
        "SwapLimit": true,
        "OSType": "linux",
        "Architecture": "x86_64",
        "Name": "fake",
        "ServerVersion": "20.10.24",
        "Swarm": { "LocalNodeState": "inactive" },
        "IndexServerAddress": "https://index.docker.io/v1/",
        "SystemTime": super::daemon::format_time(Some(jiff::Timestamp::now())),
    })
}

/// Streams the events since a time, until another time or without end.
fn events(world: &SharedDaemon, parsed: &ParsedRequest) -> Response<Body> {
    let since = nanoseconds(parsed.query("since")).unwrap_or(i64::MAX);
    let until = nanoseconds(parsed.query("until"));
    let filters = parsed.filters();
    let first = {
        let state = world.state();
        let is_old = |event: &Json| event["timeNano"].as_i64().unwrap_or_default() < since;
        state
            .events
            .iter()
            .take_while(|event| is_old(event))
            .count()
    };
    let next = move |(world, at): (SharedDaemon, usize)| {
        let filters = filters.clone();
        async move {
            let found = match until {
                None => world.wait_for(|state| state.events.get(at).cloned()).await,
                Some(until) => {
                    let found = world.state().events.get(at).cloned()?;
                    found["timeNano"].as_i64().filter(|time| *time <= until)?;
                    found
                }
            };
            let bytes = if matches_filters(&found, &filters) {
                json_line(&found)
            } else {
                Bytes::new()
            };
            Some((bytes, (world.clone(), at + 1)))
        }
    };
    let all = streams::unfold((world.clone(), first), next);
    stream_response(200, "application/json", all)
}

/// Parses a time in seconds with an optional fraction.
fn nanoseconds(written: Option<&str>) -> Option<i64> {
    let (seconds, fraction) = written?.split_once('.').unwrap_or((written?, ""));
    let fraction: i64 = format!("{fraction:0<9}").parse().ok()?;
    Some(seconds.parse::<i64>().ok()? * 1_000_000_000 + fraction)
}

fn matches_filters(event: &Json, filters: &HashMap<String, Vec<String>>) -> bool {
    let is_one = |name: &str, value: &Json| {
        let wanted = filters.get(name);
        wanted.is_none_or(|all| all.iter().any(|it| value == it.as_str()))
    };
    // The filter names only the action, without the detail in `health_status: healthy`.
    let action = event["Action"].as_str().unwrap_or_default();
    let action = action.split(':').next().unwrap_or_default();
    let attributes = &event["Actor"]["Attributes"];
    let is_of = filters.get("container").is_none_or(|all| {
        let id = event["Actor"]["ID"].as_str().unwrap_or_default();
        all.iter()
            .any(|it| id.starts_with(it.as_str()) || attributes["name"] == it.as_str())
    });
    is_one("type", &event["Type"])
        && is_one("event", &action.into())
        && is_of
        && has_labels(attributes, filters.get("label"))
}

/// Decodes the percent escapes in a part of a URL.
fn percent_decoded(part: &str) -> String {
    let bytes = part.as_bytes();
    let (mut plain, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        let code = bytes.get(at + 1..at + 3).filter(|_| bytes[at] == b'%');
        let code = code.and_then(|two| std::str::from_utf8(two).ok());
        let byte = code.and_then(|two| u8::from_str_radix(two, 16).ok());
        plain.push(byte.unwrap_or(bytes[at]));
        at += if byte.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&plain).into_owned()
}
