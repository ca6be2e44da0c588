//! Reads the engine's inspection of a container.

use crate::{
    model::Numbering,
    plugins::docker::declare::json::{keys, list, map_of, pairs, strings, text},
    printable::truncated,
    seam::{ObjectState, Presence},
};
use serde_json::{Map as JsonMap, Value as Json, json};
use std::{collections::BTreeMap, time::UNIX_EPOCH};

/// Longest time between the end of a container and its restart, in milliseconds: an engine that has
/// not restarted it by then does not.
const MAX_RESTART_GAP: u64 = 10_000;

/// Longest output of a health check that is shown, in characters.
const MAX_HEALTH_OUTPUT: usize = 400;

/// The complete inspection of a container, as JSON: typed structs would drop unknown fields.
pub(crate) struct Container {
    pub json: Json,
}

/// Network whose endpoint older engines also show at the top of `NetworkSettings`.
const DEFAULT_NETWORK: &str = "bridge";

impl Container {
    /// Reads an inspection. Adds the fields of `NetworkSettings` that engines no longer show since
    /// API 1.52, because blueprints read them.
    pub(crate) fn new(mut json: Json) -> Self {
        if let Some(settings) = json
            .get_mut("NetworkSettings")
            .and_then(Json::as_object_mut)
        {
            let endpoint = settings
                .get("Networks")
                .map(|all| all[DEFAULT_NETWORK].clone());
            for (field, value) in former_network_fields(&endpoint.unwrap_or_default()) {
                settings.entry(field).or_insert(value);
            }
        }
        Self { json }
    }

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

    /// Returns its networks with its settings on them.
    pub(crate) fn endpoints(&self) -> impl Iterator<Item = (&str, &Json)> {
        let networks = pairs(&self.json["NetworkSettings"]["Networks"]);
        networks.map(|(network, endpoint)| (network.as_str(), endpoint))
    }

    /// Returns its presence.
    pub(crate) fn presence(&self) -> Presence {
        let start = self.started_at().map(humantime::parse_rfc3339);
        let start = start.and_then(Result::ok);
        Presence {
            state: self.state(),
            started_at: start.and_then(|at| at.duration_since(UNIX_EPOCH).ok()),
        }
    }

    /// Returns the time of the last start in milliseconds since 1970 UTC, by the engine's clock.
    pub(crate) fn started_ms(&self) -> Option<u64> {
        self.started_at().and_then(parse_milliseconds)
    }

    pub(crate) fn state(&self) -> ObjectState {
        state_named(self.text("/State/Status").unwrap_or_default())
    }

    /// Returns true if the container has just ended, and its restart policy lets the engine start it
    /// again. `now` is the time on the engine's clock, in milliseconds since 1970 UTC.
    pub(crate) fn is_restart_due(&self, now: u64) -> bool {
        let ended = self.text("/State/FinishedAt").and_then(parse_milliseconds);
        let is_recent = ended.is_some_and(|ended| now.saturating_sub(ended) < MAX_RESTART_GAP);
        self.state() == ObjectState::Exited && is_recent && self.is_restarted_after_exit()
    }

    /// Returns true if the restart policy lets the engine start the container again.
    pub(crate) fn is_restarted_after_exit(&self) -> bool {
        let number = |pointer: &str| {
            self.json
                .pointer(pointer)
                .and_then(Json::as_i64)
                .unwrap_or(0)
        };
        let most = number("/HostConfig/RestartPolicy/MaximumRetryCount");
        match self.text("/HostConfig/RestartPolicy/Name") {
            Some("always" | "unless-stopped") => true,
            Some("on-failure") => {
                number("/State/ExitCode") != 0 && (most == 0 || number("/RestartCount") < most)
            }
            _ => false,
        }
    }

    /// Sets the state to `restarting`.
    pub(crate) fn set_restarting(&mut self) {
        self.json["State"]["Status"] = "restarting".into();
        self.json["State"]["Restarting"] = true.into();
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

/// Returns the fields at the top of `NetworkSettings` that older engines show: those of the endpoint
/// on the default network, and some that are always empty.
fn former_network_fields(endpoint: &Json) -> impl Iterator<Item = (&'static str, Json)> {
    let of_endpoint = [
        ("EndpointID", json!("")),
        ("Gateway", json!("")),
        ("GlobalIPv6Address", json!("")),
        ("GlobalIPv6PrefixLen", json!(0)),
        ("IPAddress", json!("")),
        ("IPPrefixLen", json!(0)),
        ("IPv6Gateway", json!("")),
        ("MacAddress", json!("")),
    ];
    let always_empty = [
        ("Bridge", json!("")),
        ("HairpinMode", json!(false)),
        ("LinkLocalIPv6Address", json!("")),
        ("LinkLocalIPv6PrefixLen", json!(0)),
        ("SecondaryIPAddresses", Json::Null),
        ("SecondaryIPv6Addresses", Json::Null),
    ];
    let shown = |(field, empty)| (field, endpoint.get(field).cloned().unwrap_or(empty));
    of_endpoint.map(shown).into_iter().chain(always_empty)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(networks: &Json, more: &Json) -> Json {
        let mut settings = more.clone();
        settings["Networks"] = networks.clone();
        let found = Container::new(json!({ "NetworkSettings": settings }));
        found.network_properties()["network_settings"].clone()
    }

    #[test]
    fn address_on_the_default_network_is_shown_as_by_older_engines() {
        let endpoint = json!({ "IPAddress": "172.17.0.2", "IPPrefixLen": 16, "Gateway": "172.17.0.1", "MacAddress": "m" });
        let shown = settings(&json!({ "back": {}, "bridge": endpoint }), &json!({}));
        assert_eq!(shown["IPAddress"], "172.17.0.2");
        assert_eq!(shown["IPPrefixLen"], 16);
        assert_eq!(shown["Gateway"], "172.17.0.1");
        assert_eq!(shown["MacAddress"], "m");
        assert_eq!(shown["GlobalIPv6Address"], "");
        assert_eq!(shown["Bridge"], "");
    }

    #[test]
    fn container_without_the_default_network_has_empty_fields() {
        let networks = json!({ "back": { "IPAddress": "10.0.0.2" } });
        let shown = settings(&networks, &json!({}));
        assert_eq!(
            (&shown["IPAddress"], &shown["IPPrefixLen"]),
            (&json!(""), &json!(0))
        );
    }

    #[test]
    fn restart_is_due_soon_after_the_end_if_the_policy_demands_it() {
        let due = |policy: &Json, code: i64, count: i64, at: &str| {
            let state = json!({ "Status": "exited", "ExitCode": code, "FinishedAt": "2026-01-01T00:00:00Z" });
            let host = json!({ "RestartPolicy": policy });
            let found = Container::new(
                json!({ "State": state, "HostConfig": host, "RestartCount": count }),
            );
            found.is_restart_due(parse_milliseconds(at).unwrap())
        };
        let (soon, later) = ("2026-01-01T00:00:02Z", "2026-01-01T00:00:11Z");
        let [always, no, failure] =
            ["always", "no", "on-failure"].map(|name| json!({ "Name": name }));
        assert!(due(&always, 0, 9, soon));
        assert!(!due(&always, 0, 9, later));
        assert!(!due(&no, 1, 0, soon));
        assert!(due(&failure, 1, 9, soon));
        assert!(!due(&failure, 0, 0, soon));
        let limited = json!({ "Name": "on-failure", "MaximumRetryCount": 2 });
        assert!(due(&limited, 1, 1, soon));
        assert!(!due(&limited, 1, 2, soon));
    }

    #[test]
    fn fields_of_the_engine_stay() {
        let older = json!({ "IPAddress": "1.2.3.4", "Bridge": "b" });
        let shown = settings(&json!({ "bridge": { "IPAddress": "5.6.7.8" } }), &older);
        assert_eq!(
            (&shown["IPAddress"], &shown["Bridge"]),
            (&json!("1.2.3.4"), &json!("b"))
        );
    }
}
