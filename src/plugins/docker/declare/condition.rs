//! What is waited for after a start.

use crate::{
    diagnostic::Fault,
    model::function::{holds_call, python_text},
    plugins::docker::declare::params::nanoseconds,
};
use fancy_regex::Regex;

use serde_json::Value as Json;

use std::time::Duration;

/// Seconds that a condition is waited for where nothing is said.
const TIMEOUT: f64 = 300.0;

/// Seconds between two looks where nothing is said.
const INTERVAL: f64 = 1.0;

/// How much of a line is looked at, in bytes.
pub(crate) const LINE: usize = 64 << 10;

/// Keys of a condition.
const KEYS: [&str; 6] = ["healthy", "exited", "port", "log", "timeout", "interval"];

/// What is waited for.
#[derive(Clone, Debug)]
pub(crate) enum Condition {
    /// The health check says that it is well.
    Healthy,
    /// It ended with this code.
    Exited(i64),
    /// Something in it takes TCP connections.
    Port(u16),
    /// It wrote a line that fits.
    Log(Box<Regex>),
}

/// A condition, and how long and how often it is looked at.
#[derive(Clone, Debug)]
pub(crate) struct WaitFor {
    pub condition: Condition,
    pub(crate) timeout: Duration,
    pub(crate) interval: Duration,
}

impl WaitFor {
    /// Reads `healthy`, or a mapping with one of the conditions, and perhaps `timeout` and
    /// `interval`: seconds, or `30s`.
    ///
    /// # Errors
    ///
    /// What of it cannot be used.
    pub(crate) fn read(given: &Json) -> Result<Self, Fault> {
        let entries = match given {
            Json::String(name) if name == "healthy" => {
                return Ok(Self::new(Condition::Healthy, TIMEOUT, INTERVAL));
            }
            Json::Object(entries) => entries,
            _ => {
                return Err(Fault::new(
                    "this must be `healthy`, or a mapping with `exited`, `port` or `log`",
                ));
            }
        };
        if let Some(key) = entries.keys().find(|key| !KEYS.contains(&key.as_str())) {
            return Err(Fault::unknown_among(key, &KEYS));
        }
        let seconds = |key: &str, default: f64| match entries.get(key) {
            None | Some(Json::Null) => Ok(default),
            Some(value) => seconds(value).ok_or_else(|| {
                Fault::new("this must be a number of seconds, or text such as 30s")
                    .within(&[key.to_owned()])
            }),
        };
        let (timeout, interval) = (seconds("timeout", TIMEOUT)?, seconds("interval", INTERVAL)?);
        let mut conditions = entries
            .iter()
            .filter(|(key, _)| !matches!(key.as_str(), "timeout" | "interval"));
        match (conditions.next(), conditions.next()) {
            (Some((key, value)), None) => {
                let condition = condition(key, value)
                    .map_err(|fault| fault.within(std::slice::from_ref(key)))?;
                Ok(Self::new(condition, timeout, interval))
            }
            (None, _) => Err(Fault::new("it says not what to wait for")
                .hint("`healthy`, or a mapping with `exited`, `port` or `log`")),
            _ => Err(
                Fault::new("one condition holds one of healthy, exited, port and log")
                    .hint("several conditions are a list"),
            ),
        }
    }

    fn new(condition: Condition, timeout: f64, interval: f64) -> Self {
        let duration =
            |seconds: f64, least: f64| Duration::from_secs_f64(seconds.clamp(least, 1e8));
        Self {
            condition,
            timeout: duration(timeout, 0.0),
            interval: duration(interval, 0.02),
        }
    }

    /// Whether the container must have a health check.
    pub(crate) fn needs_check(&self) -> bool {
        matches!(self.condition, Condition::Healthy)
    }

    /// Why a container that is made with these parameters can never come to it; none if it can.
    pub(crate) fn impossible(&self, body: &serde_json::Map<String, Json>) -> Option<String> {
        let host = body.get("HostConfig").cloned().unwrap_or_default();
        let check = body.get("Healthcheck").cloned().unwrap_or_default();
        let policy = host["RestartPolicy"]["Name"].as_str().unwrap_or_default();
        match &self.condition {
            Condition::Healthy if check["Test"][0] == "NONE" => {
                Some("it is never healthy: its health check is turned off".to_owned())
            }
            Condition::Port(_) if host["NetworkMode"] == "none" => {
                Some("no port of it can be reached: it is on no network".to_owned())
            }
            Condition::Exited(_) if host["AutoRemove"] == true => {
                Some("how it ended cannot be seen: it is removed when it ends".to_owned())
            }
            Condition::Exited(_) if matches!(policy, "always" | "unless-stopped") => Some(format!(
                "it never stays ended: its restart policy is {policy}"
            )),
            _ => None,
        }
    }
}

fn condition(key: &str, value: &Json) -> Result<Condition, Fault> {
    match (key, value) {
        ("healthy", Json::Bool(true) | Json::Null) => Ok(Condition::Healthy),
        ("exited", _) => value
            .as_i64()
            .map(Condition::Exited)
            .ok_or_else(|| Fault::new("this must be an exit code")),
        ("port", _) => {
            let port = value
                .as_u64()
                .or_else(|| value.as_str()?.trim_end_matches("/tcp").parse().ok())
                .and_then(|port| u16::try_from(port).ok());
            port.filter(|port| *port > 0)
                .map(Condition::Port)
                .ok_or_else(|| Fault::new("this must be a TCP port of the container"))
        }
        ("log", Json::String(pattern)) => {
            let compiled = Regex::new(pattern)
                .map_err(|error| Fault::new(format!("this is no regular expression: {error}")))?;
            Ok(Condition::Log(Box::new(compiled)))
        }
        _ => Err(Fault::new(format!(
            "`{}` cannot be the value of `{key}`",
            python_text(value)
        ))),
    }
}

fn seconds(value: &Json) -> Option<f64> {
    let of_text = |text: &str| {
        text.parse::<f64>().ok().or_else(|| {
            nanoseconds(text).map(|nanos| Duration::from_nanos(nanos.unsigned_abs()).as_secs_f64())
        })
    };
    value
        .as_f64()
        .or_else(|| of_text(value.as_str()?))
        .filter(|seconds| seconds.is_finite() && *seconds >= 0.0)
}

/// A condition as a plan shows it.
pub(crate) fn shown(given: &Json) -> String {
    match given {
        _ if holds_call(given) => "(known after install)".to_owned(),
        Json::String(name) => name.clone(),
        given => {
            let condition = given
                .as_object()
                .into_iter()
                .flatten()
                .find(|(key, _)| !matches!(key.as_str(), "timeout" | "interval"));
            condition.map_or_else(
                || given.to_string(),
                |(key, value)| format!("{key} {}", python_text(value)),
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn conditions_are_read() {
        for (given, text) in [
            (json!("healthy"), "healthy"),
            (json!({ "exited": 0 }), "exited 0"),
            (
                json!({ "port": "80/tcp", "timeout": "1m30s", "interval": 0.1 }),
                "port 80/tcp",
            ),
            (json!({ "log": "^ready .*", "timeout": 5 }), "log ^ready .*"),
        ] {
            assert!(WaitFor::read(&given).is_ok(), "{given}");
            assert_eq!(shown(&given), text);
        }
        let wait =
            WaitFor::read(&json!({ "port": 80, "timeout": "1m30s", "interval": 0.1 })).unwrap();
        assert_eq!(
            (wait.timeout.as_secs(), wait.interval.as_millis()),
            (90, 100)
        );
    }

    #[test]
    fn what_is_no_condition_is_a_fault_with_its_place() {
        for (given, path) in [
            (json!("helthy"), ""),
            (json!({ "exitd": 0 }), "exitd"),
            (json!({ "exited": "x" }), "exited"),
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
    fn what_can_never_be_is_known_beforehand() {
        let why = |given: Json, body: Json| {
            WaitFor::read(&given)
                .unwrap()
                .impossible(body.as_object().unwrap())
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
