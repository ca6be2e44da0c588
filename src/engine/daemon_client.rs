//! `daemon_client`: arguments of docker-py's client, which select the engine of an operation.

use crate::{
    diagnostic::Fault,
    engine::{
        address::Address,
        tls::{Tls, Verify},
    },
    model::function::{contains_call, is_call, python_text},
};
use serde_json::Value as Json;
use std::path::PathBuf;

/// Arguments of a `daemon_client` whose values are known.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct DaemonClient {
    pub base_url: Option<String>,
    pub tls: Option<Tls>,
    /// Longest wait for the head of a response, in seconds.
    pub timeout: Option<u64>,
    pub version: Option<String>,
}

/// Names of all arguments, including those without effect in dockctl.
const KNOWN: [&str; 9] = [
    "base_url",
    "version",
    "timeout",
    "tls",
    "user_agent",
    "num_pools",
    "credstore_env",
    "use_ssh_client",
    "max_pool_size",
];

/// Returns the faults of a `daemon_client`. Ignores values that are computed later.
pub(crate) fn check(client: &Json) -> Vec<Fault> {
    DaemonClient::read(client).err().unwrap_or_default()
}

impl DaemonClient {
    /// Reads the arguments.
    ///
    /// # Errors
    ///
    /// Returns a fault for each unknown or invalid argument. Paths are relative to the mapping.
    pub(crate) fn read(client: &Json) -> Result<Self, Vec<Fault>> {
        let mut read = Self::default();
        let Some(arguments) = client.as_object().filter(|_| !is_call(client)) else {
            let is_unset = client.is_null() || contains_call(client);
            return if is_unset {
                Ok(read)
            } else {
                Err(vec![Fault::new("`daemon_client` must be a mapping")])
            };
        };
        let known = |value: &Json| !value.is_null() && !contains_call(value);
        let each = arguments.iter().map(|(name, value)| match name.as_str() {
            name if !KNOWN.contains(&name) => Err(Fault::unknown_among(name, &KNOWN)),
            name if known(value) => read
                .argument(name, value)
                .map_err(|fault| fault.nested_in(&[name.to_owned()])),
            _ => Ok(()),
        });
        let faults: Vec<Fault> = each.filter_map(Result::err).collect();
        if faults.is_empty() {
            Ok(read)
        } else {
            Err(faults)
        }
    }

    fn argument(&mut self, name: &str, value: &Json) -> Result<(), Fault> {
        match name {
            "base_url" => self.base_url = address(value)?,
            "timeout" => {
                self.timeout =
                    Some(value.as_u64().ok_or_else(|| {
                        Fault::new("this must be a non-negative integer, in seconds")
                    })?)
            }
            "tls" => self.tls = tls(value)?,
            "version" => self.version = version(value)?,
            _ => {}
        }
        Ok(())
    }
}

fn address(value: &Json) -> Result<Option<String>, Fault> {
    let text = value
        .as_str()
        .ok_or_else(|| Fault::new("this must be a string: the address of an engine"))?;
    if text.is_empty() {
        return Ok(None);
    }
    // docker-py always treats the path of a socket as absolute.
    let address = match text
        .strip_prefix("unix://")
        .filter(|path| !path.is_empty() && !path.starts_with('/'))
    {
        Some(path) => format!("unix:///{path}"),
        None => text.to_owned(),
    };
    match Address::parse(&address) {
        Ok(_) => Ok(Some(address)),
        Err(reason) => Err(Fault::new(format!("invalid engine address: {reason}"))
            .hint("use an address such as unix:///var/run/docker.sock, tcp://10.0.0.5:2375 or ssh://user@host")),
    }
}

/// Rejects numbers, like the original plugin: `1.40` would be `1.4`.
fn version(value: &Json) -> Result<Option<String>, Fault> {
    match value.as_str() {
        Some("auto" | "") => Ok(None),
        Some(text) if super::Version::parse(text).is_some() => Ok(Some(text.to_owned())),
        _ => Err(
            Fault::new(format!("`{}` is not an API version", python_text(value)))
                .hint("use `auto` or a quoted string such as '1.41'"),
        ),
    }
}

/// Reads `true`, or a mapping of the arguments of docker-py's `TLSConfig`. YAML cannot express that
/// object.
fn tls(value: &Json) -> Result<Option<Tls>, Fault> {
    const NAMES: [&str; 5] = [
        "client_cert",
        "ca_cert",
        "verify",
        "assert_hostname",
        "ssl_version",
    ];
    let arguments = match value {
        Json::Bool(yes) => return Ok(yes.then(Tls::default)),
        Json::Object(arguments) => arguments,
        _ => {
            return Err(Fault::new(
                "this must be true, false, or a mapping of client_cert, ca_cert, verify and assert_hostname",
            ));
        }
    };
    let mut tls = Tls::default();
    for (name, value) in arguments.iter().filter(|(_, value)| !value.is_null()) {
        let at_argument = |fault: Fault| fault.nested_in(std::slice::from_ref(name));
        match (name.as_str(), value) {
            ("client_cert", Json::Array(pair)) => match &pair[..] {
                [Json::String(certificate), Json::String(key)] => {
                    tls.client = Some((certificate.into(), key.into()))
                }
                _ => return Err(at_argument(Fault::new("this must be [CERTIFICATE, KEY]"))),
            },
            // As in docker-py, `verify` can be a file of trusted certificates.
            ("ca_cert" | "verify", Json::String(path)) => tls.ca = Some(PathBuf::from(path)),
            ("verify", Json::Bool(false)) => tls.verify = Verify::Nothing,
            ("assert_hostname", Json::Bool(false)) if tls.verify == Verify::Full => {
                tls.verify = Verify::Signature
            }
            ("verify" | "assert_hostname", Json::Bool(_)) | ("ssl_version", _) => {}
            (name, _) if NAMES.contains(&name) => {
                return Err(at_argument(Fault::new(format!(
                    "this is not a valid `{name}`"
                ))));
            }
            (name, _) => return Err(Fault::unknown_among(name, &NAMES)),
        }
    }
    Ok(Some(tls))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn all_arguments_of_docker_py_are_read() {
        let client = json!({
            "base_url": "unix://var/run/docker.sock", "timeout": 30, "version": "1.18", "num_pools": 3, "user_agent": "x",
            "tls": { "client_cert": ["/c.pem", "/k.pem"], "ca_cert": "/ca.pem", "assert_hostname": false },
        });
        let read = DaemonClient::read(&client).unwrap();
        assert_eq!(
            (read.base_url.as_deref(), read.timeout),
            (Some("unix:///var/run/docker.sock"), Some(30))
        );
        let tls = read.tls.unwrap();
        assert_eq!(
            (tls.client, tls.verify),
            (Some(("/c.pem".into(), "/k.pem".into())), Verify::Signature)
        );
        assert_eq!(DaemonClient::read(&json!({})), Ok(DaemonClient::default()));
        assert_eq!(
            DaemonClient::read(&json!({ "base_url": { "get_secret": "x" } })),
            Ok(DaemonClient::default())
        );
        assert_eq!(
            DaemonClient::read(&json!({ "tls": false })).unwrap().tls,
            None
        );
    }

    #[test]
    fn invalid_arguments_are_reported_with_their_path() {
        for (client, path, message) in [
            (
                json!({ "base_ulr": "x" }),
                vec!["base_ulr"],
                "there is no argument `base_ulr` here",
            ),
            (
                json!({ "base_url": "tcp://h" }),
                vec!["base_url"],
                "invalid engine address: missing port",
            ),
            (
                json!({ "version": 1.4 }),
                vec!["version"],
                "`1.4` is not an API version",
            ),
            (
                json!({ "timeout": "x" }),
                vec!["timeout"],
                "this must be a non-negative integer, in seconds",
            ),
            (
                json!({ "tls": { "client_cert": "x" } }),
                vec!["tls", "client_cert"],
                "this is not a valid `client_cert`",
            ),
        ] {
            let faults = DaemonClient::read(&client).unwrap_err();
            assert_eq!(
                (faults[0].path.clone(), faults[0].message.as_str()),
                (strings(&path), message)
            );
        }
        assert_eq!(
            DaemonClient::read(&json!({ "base_ulr": "x" })).unwrap_err()[0]
                .hint
                .as_deref(),
            Some("did you mean `base_url`?")
        );
    }

    fn strings(path: &[&str]) -> Vec<String> {
        path.iter().map(|part| (*part).to_owned()).collect()
    }
}
