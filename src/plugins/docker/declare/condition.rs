//! Wait conditions (`wait_for`), checked after a start.

use crate::{
    diagnostic::Fault,
    model::function::{contains_call, python_text},
    plugins::docker::declare::{json::pairs, params::nanoseconds},
};
use fancy_regex::Regex;

use serde_json::{Map as JsonMap, Value as Json};

use std::time::Duration;

/// Default timeout of a condition, in seconds.
const TIMEOUT: f64 = 300.0;

/// Default interval between two checks, in seconds.
const INTERVAL: f64 = 1.0;

/// Longest part of a log line that is matched, in bytes.
pub(crate) const MAX_LINE: usize = 64 << 10;

/// Keys of a condition.
const KEYS: [&str; 7] = [
    "healthy",
    "works_for",
    "exited",
    "port",
    "log",
    "timeout",
    "interval",
];

const SECONDS: &str = "this must be a number of seconds, or a duration such as 30s";

/// Syntax of a condition, for messages.
const SYNTAX: &str = "`healthy`, or a mapping with `works_for`, `exited`, `port` or `log`";

/// The event that a wait expects.
#[derive(Clone, Debug)]
pub(crate) enum Condition {
    /// The health check reports healthy.
    Healthy,
    /// The container has been running for this time without a restart, and its health check, if it
    /// has one, has reported healthy all the time.
    WorksFor(Duration),
    /// The container exited with this code.
    Exited(i64),
    /// The container accepts TCP connections on this port.
    Port(u16),
    /// The container wrote a log line that matches.
    Log(Box<Regex>),
}

/// A condition with its timeout and check interval.
#[derive(Clone, Debug)]
pub(crate) struct WaitFor {
    pub condition: Condition,
    pub(crate) timeout: Duration,
    pub(crate) interval: Duration,
}

impl WaitFor {
    /// Reads `healthy`, or a mapping with one of the conditions and optionally `timeout` and
    /// `interval`: seconds, or a duration such as `30s`.
    ///
    /// # Errors
    ///
    /// The first invalid key or value.
    pub(crate) fn read(given: &Json) -> Result<Self, Fault> {
        match given {
            Json::String(name) if name == "healthy" => {
                Ok(Self::new(Condition::Healthy, TIMEOUT, INTERVAL))
            }
            Json::Object(entries) => Self::from_entries(entries),
            _ => Err(Fault::new(format!("this must be {SYNTAX}"))),
        }
    }

    fn from_entries(entries: &JsonMap<String, Json>) -> Result<Self, Fault> {
        if let Some(key) = entries.keys().find(|key| !KEYS.contains(&key.as_str())) {
            return Err(Fault::unknown_among(key, &KEYS));
        }
        let timeout = seconds_or_default(entries, "timeout", TIMEOUT)?;
        let interval = seconds_or_default(entries, "interval", INTERVAL)?;
        let (key, value) = single_condition(entries)?;
        let condition = condition(key, value).map_err(|fault| fault.at_key(key))?;
        Ok(Self::new(condition, timeout, interval))
    }

    /// The time in which a container must work is added to the timeout.
    fn new(condition: Condition, timeout: f64, interval: f64) -> Self {
        let duration =
            |seconds: f64, least: f64| Duration::from_secs_f64(seconds.clamp(least, 1e8));
        let more = match condition {
            Condition::WorksFor(time) => time,
            _ => Duration::ZERO,
        };
        Self {
            condition,
            timeout: duration(timeout, 0.0) + more,
            interval: duration(interval, 0.02),
        }
    }

    /// Returns true if the container must have a health check.
    pub(crate) fn needs_healthcheck(&self) -> bool {
        matches!(self.condition, Condition::Healthy)
    }

    /// Returns why a container with these parameters can never meet the condition; none if it can.
    pub(crate) fn why_impossible(&self, body: &JsonMap<String, Json>) -> Option<String> {
        let host = body.get("HostConfig").cloned().unwrap_or_default();
        let check = body.get("Healthcheck").cloned().unwrap_or_default();
        let policy = host["RestartPolicy"]["Name"].as_str().unwrap_or_default();
        match &self.condition {
            Condition::Healthy if check["Test"][0] == "NONE" => {
                Some("it cannot become healthy: its health check is disabled".to_owned())
            }
            Condition::Port(_) if host["NetworkMode"] == "none" => {
                Some("its ports cannot be reached: `network_mode` is none".to_owned())
            }
            Condition::Exited(_) if host["AutoRemove"] == true => Some(
                "its exit code cannot be read: `auto_remove` removes it when it exits".to_owned(),
            ),
            Condition::Exited(_) if matches!(policy, "always" | "unless-stopped") => Some(format!(
                "it does not stay exited: its restart policy is {policy}"
            )),
            _ => None,
        }
    }
}

/// Returns true if a key names a condition, not its timeout or interval.
fn is_condition(key: &str) -> bool {
    !matches!(key, "timeout" | "interval")
}

fn single_condition(entries: &JsonMap<String, Json>) -> Result<(&String, &Json), Fault> {
    const SEVERAL: &str =
        "a condition must have exactly one of healthy, works_for, exited, port and log";
    let mut conditions = entries.iter().filter(|(key, _)| is_condition(key));
    match (conditions.next(), conditions.next()) {
        (Some(only), None) => Ok(only),
        (None, _) => Err(Fault::new("the condition does not say what to wait for").hint(SYNTAX)),
        _ => Err(Fault::new(SEVERAL).hint("write several conditions as a list")),
    }
}

fn seconds_or_default(
    entries: &JsonMap<String, Json>,
    key: &str,
    default: f64,
) -> Result<f64, Fault> {
    match entries.get(key) {
        None | Some(Json::Null) => Ok(default),
        Some(value) => seconds(value).ok_or_else(|| Fault::new(SECONDS).at_key(key)),
    }
}

fn condition(key: &str, value: &Json) -> Result<Condition, Fault> {
    match (key, value) {
        ("healthy", Json::Bool(true) | Json::Null) => Ok(Condition::Healthy),
        ("works_for", _) => seconds(value)
            .map(|seconds| Condition::WorksFor(Duration::from_secs_f64(seconds.min(1e8))))
            .ok_or_else(|| Fault::new(SECONDS)),
        ("exited", _) => value
            .as_i64()
            .map(Condition::Exited)
            .ok_or_else(|| Fault::new("this must be an exit code")),
        ("port", _) => port(value)
            .map(Condition::Port)
            .ok_or_else(|| Fault::new("this must be a TCP port of the container")),
        ("log", Json::String(pattern)) => {
            let compiled = Regex::new(pattern).map_err(|error| {
                Fault::new(format!("this is not a valid regular expression: {error}"))
            })?;
            Ok(Condition::Log(Box::new(compiled)))
        }
        _ => Err(Fault::new(format!(
            "`{}` is not a valid value of `{key}`",
            python_text(value)
        ))),
    }
}

fn seconds(value: &Json) -> Option<f64> {
    let seconds = value.as_f64().or_else(|| parse_seconds(value.as_str()?))?;
    (seconds.is_finite() && seconds >= 0.0).then_some(seconds)
}

/// Parses a number of seconds, or a duration such as `30s`, into seconds.
fn parse_seconds(text: &str) -> Option<f64> {
    let duration = |nanos: i64| Duration::from_nanos(nanos.unsigned_abs()).as_secs_f64();
    let number = text.parse::<f64>().ok();
    number.or_else(|| nanoseconds(text).map(duration))
}

fn port(value: &Json) -> Option<u16> {
    let of_text = || value.as_str()?.trim_end_matches("/tcp").parse::<u64>().ok();
    let port = value.as_u64().or_else(of_text)?;
    u16::try_from(port).ok().filter(|port| *port > 0)
}

/// Formats a condition as a phrase that completes "wait for".
pub(crate) fn display_condition(given: &Json) -> String {
    if contains_call(given) {
        return "(known after install)".to_owned();
    }
    if *given == "healthy" {
        return "the health check".to_owned();
    }
    let condition = pairs(given).find(|(key, _)| is_condition(key));
    let condition = condition.map(|(key, value)| (key.as_str(), python_text(value)));
    match condition {
        Some(("healthy", _)) => "the health check".to_owned(),
        Some(("exited", code)) => format!("exit code {code}"),
        Some(("works_for", _)) => {
            let time = seconds(&given["works_for"]).unwrap_or_default();
            format!("the container to work for {time} s")
        }
        Some(("log", pattern)) => format!("a log line that matches `{pattern}`"),
        Some((key, value)) => format!("{key} {value}"),
        None => given.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn conditions_are_read() {
        for (given, text) in [
            (json!("healthy"), "the health check"),
            (json!({ "exited": 0 }), "exit code 0"),
            (
                json!({ "works_for": "1m30s" }),
                "the container to work for 90 s",
            ),
            (
                json!({ "port": "80/tcp", "timeout": "1m30s", "interval": 0.1 }),
                "port 80/tcp",
            ),
            (
                json!({ "log": "^ready .*", "timeout": 5 }),
                "a log line that matches `^ready .*`",
            ),
        ] {
            assert!(WaitFor::read(&given).is_ok(), "{given}");
            assert_eq!(display_condition(&given), text);
        }
        let wait =
            WaitFor::read(&json!({ "port": 80, "timeout": "1m30s", "interval": 0.1 })).unwrap();
        assert_eq!(
            (wait.timeout.as_secs(), wait.interval.as_millis()),
            (90, 100)
        );
    }

    #[test]
    fn invalid_conditions_are_faults_with_a_path() {
        for (given, path) in [
            (json!("helthy"), ""),
            (json!({ "exitd": 0 }), "exitd"),
            (json!({ "exited": "x" }), "exited"),
            (json!({ "works_for": "soon" }), "works_for"),
            (json!({ "works_for": -1 }), "works_for"),
            (json!({ "port": 99999 }), "port"),
            (json!({ "log": "(" }), "log"),
            (json!({ "timeout": 5 }), ""),
            (json!({ "port": 80, "log": "x" }), ""),
            (json!({ "port": 80, "timeout": "soon" }), "timeout"),
        ] {
            assert_eq!(
                WaitFor::read(&given).unwrap_err().path.join("."),
                path,
                "{given}"
            );
        }
    }

    #[test]
    fn impossible_conditions_are_detected() {
        let why = |given: Json, body: Json| {
            WaitFor::read(&given)
                .unwrap()
                .why_impossible(body.as_object().unwrap())
        };
        assert!(
            why(
                json!("healthy"),
                json!({ "Healthcheck": { "Test": ["NONE"] } })
            )
            .is_some()
        );
        assert!(
            why(
                json!({ "exited": 0 }),
                json!({ "HostConfig": { "RestartPolicy": { "Name": "always" } } })
            )
            .is_some()
        );
        assert!(
            why(
                json!({ "port": 80 }),
                json!({ "HostConfig": { "NetworkMode": "none" } })
            )
            .is_some()
        );
        assert!(why(json!("healthy"), json!({})).is_none());
    }
}
