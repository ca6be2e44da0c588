//! Reads the engine's inspection of a container.

use crate::{
    model::Numbering,
    plugins::docker::declare::json::{keys, list, map_of, pairs, strings, text},
    printable::truncated,
    seam::ObjectState,
};
use serde_json::{Map as JsonMap, Value as Json, json};
use std::collections::BTreeMap;

/// Longest output of a health check that is shown, in characters.
const MAX_HEALTH_OUTPUT: usize = 400;

/// The complete inspection of a container, as JSON: typed structs would drop unknown fields.
pub(crate) struct Container {
    pub json: Json,
}

impl Container {
    pub(crate) fn text(&self, pointer: &str) -> Option<&str> {
        self.json.pointer(pointer)?.as_str()
    }

    pub(crate) fn flag(&self, pointer: &str) -> bool {
        self.json
            .pointer(pointer)
            .and_then(Json::as_bool)
            .unwrap_or(false)
    }

    pub(crate) fn id(&self) -> String {
        self.text("/Id").unwrap_or_default().to_owned()
    }

    pub(crate) fn name(&self) -> String {
        without_slash(self.text("/Name").unwrap_or_default())
    }

    /// Returns all labels, including those of the image; null without labels.
    pub(crate) fn labels(&self) -> &Json {
        &self.json["Config"]["Labels"]
    }

    /// Returns all labels as text.
    pub(crate) fn tags(&self) -> BTreeMap<String, String> {
        let labels = self.labels().as_object().into_iter().flatten();
        let tag = |(key, value): (&String, &Json)| {
            (key.clone(), value.as_str().unwrap_or_default().to_owned())
        };
        labels.map(tag).collect()
    }

    pub(crate) fn label(&self, name: &str) -> Option<&str> {
        self.labels()[name].as_str()
    }

    /// Returns the time of the last start; none if the container never ran.
    pub(crate) fn started_at(&self) -> Option<&str> {
        self.text("/State/StartedAt")
            .filter(|at| !at.is_empty() && !at.starts_with("0001"))
    }

    /// Returns the time of the last start in milliseconds since 1970 UTC, by the engine's clock.
    pub(crate) fn started_ms(&self) -> Option<u64> {
        self.started_at().and_then(parse_milliseconds)
    }

    pub(crate) fn state(&self) -> ObjectState {
        state_named(self.text("/State/Status").unwrap_or_default())
    }

    /// Returns true if the container has a terminal, and therefore a single output stream.
    pub(crate) fn has_terminal(&self) -> bool {
        self.flag("/Config/Tty")
    }

    /// Returns the results of the health check, oldest first, one shortened line each.
    pub(crate) fn health_log(&self) -> Vec<String> {
        let log = list(&self.json["State"]["Health"]["Log"]);
        log.map(health_line).collect()
    }

    /// Returns the published ports in the form `8080→80/tcp`.
    pub(crate) fn published_ports(&self) -> Vec<String> {
        let ports = pairs(&self.json["NetworkSettings"]["Ports"]);
        let shown = ports.flat_map(|(inner, bindings)| {
            host_ports(bindings).map(move |outer| format!("{outer}→{inner}"))
        });
        let mut all: Vec<String> = shown.collect();
        all.sort();
        all.dedup();
        all
    }

    /// Returns the runtime properties of Cloudify's docker plugin: `network_settings`, and its
    /// `ports`.
    pub(crate) fn network_properties(&self) -> JsonMap<String, Json> {
        let settings = &self.json["NetworkSettings"];
        map_of([
            ("network_settings", settings.clone()),
            ("ports", settings["Ports"].clone()),
        ])
    }
}

/// Formats one result of a health check as a line.
fn health_line(check: &Json) -> String {
    let output = text(&check["Output"]).trim().replace('\n', " ");
    let output = truncated(&output, MAX_HEALTH_OUTPUT);
    let separator = if output.is_empty() { "" } else { ": " };
    format!("exit code {}{separator}{output}", check["ExitCode"])
}

/// Returns the host ports in the bindings of one container port.
pub(crate) fn host_ports(bindings: &Json) -> impl Iterator<Item = &str> {
    list(bindings).filter_map(|binding| binding["HostPort"].as_str())
}

/// Converts an engine's timestamp to milliseconds since 1970 UTC.
pub(crate) fn parse_milliseconds(time: &str) -> Option<u64> {
    let time: jiff::Timestamp = time.parse().ok()?;
    u64::try_from(time.as_millisecond()).ok()
}

/// Removes the leading `/` that engines write before names.
pub(crate) fn without_slash(name: &str) -> String {
    name.strip_prefix('/').unwrap_or(name).to_owned()
}

/// Returns true if the engine generated the name of a volume.
pub(crate) fn is_anonymous(name: &str) -> bool {
    name.len() == 64 && name.chars().all(|c| c.is_ascii_hexdigit())
}

/// Returns the state with this name in the engine's responses.
pub(crate) fn state_named(name: &str) -> ObjectState {
    match name {
        "running" => ObjectState::Running,
        "restarting" => ObjectState::Restarting,
        "paused" => ObjectState::Paused,
        "exited" | "stopped" => ObjectState::Exited,
        "created" | "configured" | "" => ObjectState::Created,
        _ => ObjectState::Dead,
    }
}

/// Returns the name of the first container of a node; `None` if each instance has its own name.
pub(crate) fn first_name(base: &str, numbering: &Numbering) -> Option<String> {
    match numbering.first {
        _ if !numbering.names.is_empty() => None,
        0 => Some(base.to_owned()),
        first => Some(format!("{base}-{first}")),
    }
}

/// Returns true if the engine accepts the name. Names are put into request paths unescaped, so any
/// other name could address another path.
pub(crate) fn is_valid_name(name: &str) -> bool {
    let mut chars = name.chars();
    let rest = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    chars.next().is_some_and(|c| c.is_ascii_alphanumeric()) && name.len() > 1 && chars.all(rest)
}

/// Returns the anonymous volumes of a container, by mount path.
pub(crate) fn anonymous_volumes(before: &Container) -> JsonMap<String, Json> {
    let is_nameless =
        |mount: &&Json| mount["Type"] == "volume" && is_anonymous(text(&mount["Name"]));
    let mounts = list(&before.json["Mounts"]).filter(is_nameless);
    let places = mounts.filter_map(|mount| {
        let path = mount["Destination"].as_str()?;
        Some((path.to_owned(), mount["Name"].clone()))
    });
    places.collect()
}

/// Adds mounts for carried-over volumes, except where the request mounts something else.
pub(crate) fn mount_carried_volumes(body: &mut Json, carried: &JsonMap<String, Json>) {
    let host = &body["HostConfig"];
    let mut free = carried.clone();
    mounted_paths(host).for_each(|path| drop(free.shift_remove(path)));
    let mounts = free.iter().map(|(path, name)| volume_mount(path, name));
    if !free.is_empty() {
        let all: Vec<Json> = list(&host["Mounts"]).cloned().chain(mounts).collect();
        body["HostConfig"]["Mounts"] = all.into();
    }
}

/// Returns the paths at which something is mounted.
fn mounted_paths(host: &Json) -> impl Iterator<Item = &str> {
    let binds = strings(&host["Binds"]).filter_map(|bind| bind.split(':').nth(1));
    let mounts = list(&host["Mounts"]).filter_map(|mount| mount["Target"].as_str());
    let temporary = keys(&host["Tmpfs"]).map(String::as_str);
    binds.chain(mounts).chain(temporary)
}

fn volume_mount(path: &str, name: &Json) -> Json {
    json!({ "Type": "volume", "Source": name, "Target": path })
}
