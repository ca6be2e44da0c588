//! State of the in-memory engine.

use super::{canned::CannedResponses, response::ErrorResponse};
use indexmap::IndexMap;
use jiff::Timestamp;
use serde_json::{Map as JsonMap, Value as Json, json};
use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard},
};
use tokio::sync::Notify;

/// The state of an engine, and the notification of its changes.
pub(super) struct Daemon {
    state: Mutex<State>,
    changed: Notify,
    pub canned: CannedResponses,
    /// Method and path of each request of dockctl.
    pub requests: Mutex<Vec<String>>,
    pub directory: PathBuf,
}

#[derive(Default)]
pub(super) struct State {
    pub containers: IndexMap<String, Container>,
    pub images: IndexMap<String, Image>,
    pub networks: IndexMap<String, Network>,
    pub volumes: IndexMap<String, Volume>,
    pub execs: IndexMap<String, Exec>,
    /// All events since the engine started.
    pub events: Vec<Json>,
    /// Number of addresses assigned so far.
    pub addresses: u32,
}

pub(super) struct Container {
    pub id: String,
    pub name: String,
    pub created: Timestamp,
    pub config: Json,
    pub host: Json,
    pub image: String,
    pub status: Status,
    pub exit_code: i64,
    pub error: String,
    pub started: Option<Timestamp>,
    pub finished: Option<Timestamp>,
    pub health: Option<Health>,
    pub restarts: u64,
    /// Set when a client stopped the container; disables its restart policy.
    pub stopped: bool,
    /// Process groups; the first is that of the container's command.
    pub groups: Vec<i32>,
    /// Endpoints by network name.
    pub endpoints: IndexMap<String, Endpoint>,
    pub mounts: Vec<Json>,
    /// Host ports by container port; empty unless the container is running.
    pub ports: JsonMap<String, Json>,
    pub log: Vec<LogLine>,
    /// Number of starts. Tells events of an earlier start from those of the current one.
    pub run: u64,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Status {
    Created,
    Running,
    Paused,
    Restarting,
    Exited,
}

impl Status {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Restarting => "restarting",
            Self::Exited => "exited",
        }
    }

    pub(super) fn is_running(self) -> bool {
        matches!(self, Self::Running | Self::Paused | Self::Restarting)
    }
}

pub(super) struct Health {
    pub status: &'static str,
    pub failing: u64,
    pub log: Vec<Json>,
}

/// A line of a container's output.
#[derive(Clone)]
pub(super) struct LogLine {
    pub at: Timestamp,
    pub is_error: bool,
    pub bytes: Vec<u8>,
}

#[derive(Clone, Default)]
pub(super) struct Endpoint {
    pub address: Option<String>,
    pub aliases: Json,
    pub ipam: Json,
    pub links: Json,
    pub id: String,
}

pub(super) struct Image {
    pub id: String,
    pub tags: Vec<String>,
    pub created: Timestamp,
    pub config: Json,
    pub layers: Vec<String>,
    pub size: u64,
}

pub(super) struct Network {
    pub id: String,
    pub name: String,
    pub created: Timestamp,
    pub config: Json,
    pub subnet: String,
}

pub(super) struct Volume {
    pub name: String,
    pub created: Timestamp,
    pub labels: Json,
    pub options: Json,
    pub driver: String,
    pub is_anonymous: bool,
}

pub(super) struct Exec {
    pub container: String,
    pub config: Json,
    pub exit_code: Option<i64>,
    pub is_running: bool,
}

impl Daemon {
    pub(super) fn new(directory: &Path) -> Self {
        let mut state = State::default();
        for name in ["bridge", "host", "none"] {
            let driver = if name == "none" { "null" } else { name };
            let network = Network {
                id: random_id(),
                name: name.to_owned(),
                created: Timestamp::now(),
                config: json!({ "Driver": driver }),
                subnet: if name == "bridge" { "172.17" } else { "" }.to_owned(),
            };
            state.networks.insert(network.id.clone(), network);
        }
        Self {
            state: Mutex::new(state),
            changed: Notify::new(),
            canned: CannedResponses::default(),
            requests: Mutex::default(),
            directory: directory.to_owned(),
        }
    }

    /// Locks the state for reading or writing. Dropping the guard wakes the tasks that wait in
    /// [`Self::when`].
    pub(super) fn state(&self) -> StateGuard<'_> {
        StateGuard {
            state: Some(self.state.lock().expect("the lock is not poisoned")),
            changed: &self.changed,
        }
    }

    /// Waits until `holds` returns a value.
    pub(super) async fn wait_for<T>(&self, mut holds: impl FnMut(&State) -> Option<T>) -> T {
        loop {
            let changed = self.changed.notified();
            if let Some(found) = holds(&self.state.lock().expect("the lock is not poisoned")) {
                return found;
            }
            changed.await;
        }
    }

    /// Kills all processes of all containers.
    pub(super) fn kill_all(&self) {
        let mut state = self.state();
        let groups = state
            .containers
            .values_mut()
            .flat_map(|it| it.groups.drain(..));
        groups.for_each(super::processes::kill_group);
    }
}

/// Guard of the locked state.
pub(super) struct StateGuard<'w> {
    state: Option<MutexGuard<'w, State>>,
    changed: &'w Notify,
}

impl std::ops::Deref for StateGuard<'_> {
    type Target = State;

    fn deref(&self) -> &State {
        self.state.as_ref().expect("the lock is held")
    }
}

impl std::ops::DerefMut for StateGuard<'_> {
    fn deref_mut(&mut self) -> &mut State {
        self.state.as_mut().expect("the lock is held")
    }
}

impl Drop for StateGuard<'_> {
    fn drop(&mut self) {
        self.state = None;
        self.changed.notify_waiters();
    }
}

impl State {
    /// Returns the ID of a container. `name` is its name, its ID or a prefix of the ID.
    pub(super) fn container_id(&self, name: &str) -> Result<String, ErrorResponse> {
        let name = name.trim_start_matches('/');
        let mut all = self.containers.values();
        let by_name = all.find(|it| it.name == name);
        let by_id = || self.containers.values().find(|it| it.id.starts_with(name));
        let found = by_name.or_else(by_id).filter(|_| !name.is_empty());
        found
            .map(|it| it.id.clone())
            .ok_or_else(|| ErrorResponse::not_found("container", name))
    }

    /// Records an event.
    pub(super) fn record_event(&mut self, kind: &str, action: &str, id: &str, attributes: &Json) {
        let now = Timestamp::now();
        let mut event = json!({
            "Type": kind,
            "Action": action,
            "Actor": { "ID": id, "Attributes": attributes },
            "scope": "local",
            "time": now.as_second(),
            "timeNano": i64::try_from(now.as_nanosecond()).unwrap_or(i64::MAX),
        });
        if kind == "container" {
            event["status"] = action.into();
            event["id"] = id.into();
            event["from"] = event["Actor"]["Attributes"]["image"].clone();
        }
        self.events.push(event);
    }

    /// Records an event of a container with additional attributes.
    pub(super) fn record_container_event(&mut self, id: &str, action: &str, more: &Json) {
        let Some(container) = self.containers.get(id) else {
            return;
        };
        let mut attributes = container.config["Labels"].clone();
        if !attributes.is_object() {
            attributes = json!({});
        }
        attributes["image"] = container.config["Image"].clone();
        attributes["name"] = container.name.clone().into();
        for (name, value) in more.as_object().into_iter().flatten() {
            attributes[name] = value.clone();
        }
        self.record_event("container", action, id, &attributes);
    }

    /// Assigns the next address of a subnet.
    pub(super) fn next_address(&mut self, subnet: &str) -> String {
        self.addresses += 1;
        format!(
            "{subnet}.{}.{}",
            self.addresses / 250,
            2 + self.addresses % 250
        )
    }
}

/// Returns a random ID of 64 hexadecimal digits.
pub(super) fn random_id() -> String {
    let digit = || char::from_digit(fastrand::u32(..16), 16).unwrap_or('0');
    std::iter::repeat_with(digit).take(64).collect()
}

/// Formats a time as Docker does, with year 1 for `None`.
pub(super) fn format_time(at: Option<Timestamp>) -> String {
    at.map_or_else(
        || "0001-01-01T00:00:00Z".to_owned(),
        |at| at.strftime("%Y-%m-%dT%H:%M:%S.%9fZ").to_string(),
    )
}

/// The state, shared between the tasks of the engine.
pub(super) type SharedDaemon = Arc<Daemon>;
