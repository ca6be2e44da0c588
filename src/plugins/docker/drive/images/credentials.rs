//! Registry credentials from the configuration of the docker CLI.

use crate::engine::{config_dir, read_json};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Value as Json, json};
use std::{
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};

/// Key of the public registry in the configuration of the docker CLI.
const DOCKER_HUB: &str = "https://index.docker.io/v1/";

/// Returns the registry of a repository, as the key of its credentials.
pub(crate) fn registry_of(repository: &str) -> &str {
    match repository.split_once('/') {
        Some((host, _)) if host.contains(['.', ':']) || host == "localhost" => match host {
            "docker.io" | "index.docker.io" => DOCKER_HUB,
            host => host,
        },
        _ => DOCKER_HUB,
    }
}

/// Returns the credentials of a registry from the docker CLI's configuration, or `None` if there
/// are none.
///
/// # Errors
///
/// Returns an error if a configured credential helper fails.
pub(crate) fn of_registry(registry: &str) -> Result<Option<Json>, String> {
    let Some(dir) = config_dir() else {
        return Ok(None);
    };
    let config = read_json(&dir.join("config.json")).unwrap_or_default();
    let helper = config["credHelpers"][registry]
        .as_str()
        .or_else(|| config["credsStore"].as_str());
    let answer = match helper.filter(|name| !name.is_empty()) {
        Some(name) => query_helper(name, registry)?,
        None => None,
    };
    Ok(answer
        .or_else(|| from_auths(&config["auths"], registry))
        .or_else(|| from_dockercfg(&dir, registry)))
}

/// Reads `auths`, whose keys can be URLs.
fn from_auths(auths: &Json, registry: &str) -> Option<Json> {
    let entries = auths.as_object()?;
    let entry = entries.get(registry).or_else(|| {
        entries
            .iter()
            .find(|(key, _)| host(key) == host(registry))
            .map(|(_, entry)| entry)
    })?;
    let mut credentials = json!({ "serveraddress": registry });
    for field in [
        "username",
        "password",
        "email",
        "identitytoken",
        "registrytoken",
    ] {
        if let Some(text) = entry[field].as_str().filter(|text| !text.is_empty()) {
            credentials[field] = text.into();
        }
    }
    if let Some((username, password)) = entry["auth"].as_str().and_then(decode_auth) {
        credentials["username"] = username.into();
        credentials["password"] = password.into();
    }
    let has_credentials = ["username", "identitytoken", "registrytoken"]
        .iter()
        .any(|field| credentials.get(field).is_some());
    has_credentials.then_some(credentials)
}

fn host(key: &str) -> &str {
    let rest = key.split_once("://").map_or(key, |(_, rest)| rest);
    rest.split('/').next().unwrap_or(rest)
}

/// Decodes `user:password` in base64.
fn decode_auth(auth: &str) -> Option<(String, String)> {
    let text = String::from_utf8(BASE64_STANDARD.decode(auth.trim()).ok()?).ok()?;
    let (username, password) = text.split_once(':')?;
    Some((
        username.to_owned(),
        password.trim_end_matches('\0').to_owned(),
    ))
}

/// Reads `~/.dockercfg`, the predecessor of `config.json`: it contains only `auths`.
fn from_dockercfg(dir: &Path, registry: &str) -> Option<Json> {
    from_auths(&read_json(&dir.parent()?.join(".dockercfg"))?, registry)
}

/// Queries a credential helper like the docker CLI. Returns `None` if the helper has no
/// credentials.
fn query_helper(helper: &str, registry: &str) -> Result<Option<Json>, String> {
    let program = format!("docker-credential-{helper}");
    let failed = |why: &str| format!("credential helper {program} failed for {registry}: {why}");
    if helper.contains('/') {
        return Err(failed("its name contains a slash"));
    }
    let started = Command::new(&program)
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = started.map_err(|error| failed(&error.to_string()))?;
    if let Some(mut input) = child.stdin.take() {
        // A helper that does not read its input reports that itself.
        let _ = input.write_all(registry.as_bytes());
    }
    let output = child
        .wait_with_output()
        .map_err(|error| failed(&error.to_string()))?;
    let stdout = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        let unknown = stdout.contains("credentials not found")
            || stdout.contains("no credentials server URL");
        return if unknown {
            Ok(None)
        } else {
            Err(failed(stdout.trim()))
        };
    }
    let answer: Json =
        serde_json::from_str(&stdout).map_err(|_| failed("its output is not JSON"))?;
    let (username, secret) = (
        answer["Username"].as_str().unwrap_or_default(),
        answer["Secret"].as_str().unwrap_or_default(),
    );
    Ok(Some(match username {
        "<token>" => json!({ "serveraddress": registry, "identitytoken": secret }),
        username => json!({ "serveraddress": registry, "username": username, "password": secret }),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registry_is_first_part_of_repository_if_it_is_a_host() {
        for (repository, registry) in [
            ("busybox", DOCKER_HUB),
            ("team/app", DOCKER_HUB),
            ("docker.io/team/app", DOCKER_HUB),
            ("localhost/app", "localhost"),
            ("reg.test/team/app", "reg.test"),
            ("127.0.0.1:5000/app", "127.0.0.1:5000"),
        ] {
            assert_eq!(registry_of(repository), registry, "{repository}");
        }
    }

    #[test]
    fn stored_credentials_are_found_by_any_form_of_address() {
        let auths = json!({
            "https://reg.test/v1/": { "auth": "dTpwOnE=" },
            "empty.test": {},
            "token.test": { "auth": "", "identitytoken": "t" },
        });
        assert_eq!(
            from_auths(&auths, "reg.test").unwrap(),
            json!({ "serveraddress": "reg.test", "username": "u", "password": "p:q" })
        );
        assert_eq!(
            from_auths(&auths, "token.test").unwrap(),
            json!({ "serveraddress": "token.test", "identitytoken": "t" })
        );
        assert_eq!(
            (
                from_auths(&auths, "empty.test"),
                from_auths(&auths, "other.test")
            ),
            (None, None)
        );
    }
}
