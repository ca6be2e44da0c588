//! A container as the engine describes it.

use crate::{printable::shortened, seam::ObjectState};
use serde_json::{Map as JsonMap, Value as Json, json};

/// Longest word of a health check that is told, in characters.
const SAID: usize = 400;

/// What the engine says of a container, whole: types of a library would drop what they do not know.
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
        plain_name(self.text("/Name").unwrap_or_default())
    }

    /// All labels, those of the image included; null if there are none.
    pub(crate) fn labels(&self) -> &Json {
        &self.json["Config"]["Labels"]
    }

    pub(crate) fn label(&self, name: &str) -> Option<&str> {
        self.labels()[name].as_str()
    }

    /// When it was started, if it ever was.
    pub(crate) fn started_at(&self) -> Option<&str> {
        self.text("/State/StartedAt")
            .filter(|at| !at.is_empty() && !at.starts_with("0001"))
    }

    /// The same in milliseconds since 1970 UTC, by the engine's clock.
    pub(crate) fn started_ms(&self) -> Option<u64> {
        self.started_at().and_then(milliseconds)
    }

    pub(crate) fn state(&self) -> ObjectState {
        match self.text("/State/Status").unwrap_or_default() {
            "running" => ObjectState::Running,
            "restarting" => ObjectState::Restarting,
            "paused" => ObjectState::Paused,
            "exited" | "stopped" => ObjectState::Exited,
            "created" | "configured" | "" => ObjectState::Created,
            _ => ObjectState::Dead,
        }
    }

    /// Whether it has a terminal: then it writes one stream.
    pub(crate) fn is_terminal(&self) -> bool {
        self.flag("/Config/Tty")
    }

    /// What the health check said, oldest first: a line for each time, cut.
    pub(crate) fn health_log(&self) -> Vec<String> {
        let log = self
            .json
            .pointer("/State/Health/Log")
            .and_then(Json::as_array);
        let line = |check: &Json| {
            let said = shortened(
                &check["Output"]
                    .as_str()
                    .unwrap_or_default()
                    .trim()
                    .replace('\n', " "),
                SAID,
            );
            format!(
                "exit code {}{}{said}",
                check["ExitCode"],
                if said.is_empty() { "" } else { ": " }
            )
        };
        log.into_iter().flatten().map(line).collect()
    }

    /// Published ports, as `8080→80/tcp`.
    pub(crate) fn published(&self) -> Vec<String> {
        let ports = self
            .json
            .pointer("/NetworkSettings/Ports")
            .and_then(Json::as_object);
        let of = |(inner, bindings): (&String, &Json)| {
            let outer = bindings
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|binding| binding["HostPort"].as_str());
            outer
                .map(|outer| format!("{outer}→{inner}"))
                .collect::<Vec<_>>()
        };
        let mut all: Vec<String> = ports.into_iter().flatten().flat_map(of).collect();
        all.sort();
        all.dedup();
        all
    }

    /// The properties that blueprints of the original read: `network_settings`, and `ports` out of
    /// it.
    pub(crate) fn network_properties(&self) -> JsonMap<String, Json> {
        let settings = self
            .json
            .get("NetworkSettings")
            .cloned()
            .unwrap_or_default();
        let ports = settings.get("Ports").cloned().unwrap_or_default();
        JsonMap::from_iter([
            ("network_settings".to_owned(), settings),
            ("ports".to_owned(), ports),
        ])
    }
}

/// A time as engines write it, in milliseconds since 1970 UTC.
pub(crate) fn milliseconds(time: &str) -> Option<u64> {
    let time: jiff::Timestamp = time.parse().ok()?;
    u64::try_from(time.as_millisecond()).ok()
}

/// The engine writes names with a leading `/`.
pub(crate) fn plain_name(name: &str) -> String {
    name.strip_prefix('/').unwrap_or(name).to_owned()
}

/// The rule of the engine. Names go into paths as they are, so anything else could hit another
/// path.
pub(crate) fn is_name(name: &str) -> bool {
    let mut chars = name.chars();
    let rest = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    chars.next().is_some_and(|c| c.is_ascii_alphanumeric()) && name.len() > 1 && chars.all(rest)
}

/// Volumes of a container that have no name of their own, by where they are mounted.
pub(crate) fn nameless_volumes(before: &Container) -> JsonMap<String, Json> {
    let anonymous = |mount: &&Json| {
        let name = mount["Name"].as_str().unwrap_or_default();
        mount["Type"] == "volume" && name.len() == 64 && name.chars().all(|c| c.is_ascii_hexdigit())
    };
    let mounts = before.json["Mounts"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(anonymous);
    mounts
        .filter_map(|mount| {
            Some((
                mount["Destination"].as_str()?.to_owned(),
                mount["Name"].clone(),
            ))
        })
        .collect()
}

/// Mounts volumes that are carried over, unless something else is to be in their place.
pub(crate) fn mount_carried(body: &mut Json, carried: &JsonMap<String, Json>) {
    let bind = |bind: &Json| {
        bind.as_str()
            .and_then(|bind| bind.split(':').nth(1).map(str::to_owned))
    };
    let target = |mount: &Json| mount["Target"].as_str().map(str::to_owned);
    let host = &body["HostConfig"];
    let taken: Vec<String> = host["Binds"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(bind)
        .chain(
            host["Mounts"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(target),
        )
        .chain(
            host["Tmpfs"]
                .as_object()
                .into_iter()
                .flatten()
                .map(|(path, _)| path.clone()),
        )
        .collect();
    let free = carried.iter().filter(|(path, _)| !taken.contains(path));
    let mounts: Vec<Json> = free
        .map(|(path, name)| json!({ "Type": "volume", "Source": name, "Target": path }))
        .collect();
    if !mounts.is_empty() {
        let all = host["Mounts"]
            .as_array()
            .cloned()
            .unwrap_or_default()
            .into_iter()
            .chain(mounts)
            .collect::<Vec<_>>();
        body["HostConfig"]["Mounts"] = all.into();
    }
}
