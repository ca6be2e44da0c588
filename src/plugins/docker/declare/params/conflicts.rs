//! Parts of a request for a container that the engine refuses together.

use crate::{
    diagnostic::fault::Fault,
    plugins::docker::declare::{
        json::{keys, list, strings, text},
        params::is_empty,
    },
};
use serde_json::{Map as JsonMap, Value as Json};
use std::collections::HashMap;

/// Returns the faults of a `HostConfig`. `raw` has the fields that were written with the engine's
/// names.
pub(super) fn conflicts(host: &JsonMap<String, Json>, raw: &[&'static str]) -> Vec<Fault> {
    let found = [ports_on_host_network(host, raw), repeated_mount(host)];
    found.into_iter().flatten().collect()
}

fn ports_on_host_network(host: &JsonMap<String, Json>, raw: &[&'static str]) -> Option<Fault> {
    let is_host = host.get("NetworkMode").and_then(Json::as_str) == Some("host");
    // Raw fields are passed through unchanged; the engine then ignores the ports.
    let is_raw = ["NetworkMode", "PortBindings"]
        .iter()
        .all(|it| raw.contains(it));
    let ports = host.get("PortBindings").filter(|it| !is_empty(it));
    ports.filter(|_| is_host && !is_raw).map(|_| {
        Fault::new("`network_mode: host` and `port_bindings` cannot be combined")
            .hint("remove `port_bindings`: on the host network, ports need no bindings")
    })
}

/// Returns the fault of a path that is mounted twice.
fn repeated_mount(host: &JsonMap<String, Json>) -> Option<Fault> {
    let mut seen: HashMap<&str, &str> = HashMap::new();
    mounts(host).into_iter().find_map(|(target, source)| {
        let target = match target.trim_end_matches('/') {
            "" => target,
            shorter => shorter,
        };
        let before = seen.insert(target, source)?;
        let both = [before, source].map(|it| if it.is_empty() { "a tmpfs" } else { it });
        Some(
            Fault::new(format!(
                "`{target}` in the container is mounted twice: {} and {}",
                both[0], both[1]
            ))
            .hint("keep one of the two mounts, or use another path in the container"),
        )
    })
}

/// Returns the targets and sources of the mounts.
fn mounts(host: &JsonMap<String, Json>) -> Vec<(&str, &str)> {
    let null = &Json::Null;
    let field = |name: &str| host.get(name).unwrap_or(null);
    let binds = strings(field("Binds")).filter_map(|bind| {
        let (source, rest) = bind.split_once(':')?;
        Some((rest.split(':').next().unwrap_or(rest), source))
    });
    let given = list(field("Mounts")).map(|it| (text(&it["Target"]), text(&it["Source"])));
    let tmpfs = keys(field("Tmpfs")).map(|path| (path.as_str(), ""));
    let all = binds.chain(given).chain(tmpfs);
    all.filter(|(target, _)| !target.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn paths_mounted_twice_are_found() {
        let found = |host: Json| repeated_mount(host.as_object().unwrap()).map(|it| it.message);
        assert_eq!(
            found(json!({ "Binds": ["/a:/x", "v:/x/:ro"] })).as_deref(),
            Some("`/x` in the container is mounted twice: /a and v")
        );
        let mount = json!({ "Target": "/x", "Source": "v", "Type": "volume" });
        assert!(found(json!({ "Binds": ["/a:/x"], "Mounts": [mount] })).is_some());
        assert!(found(json!({ "Mounts": [mount], "Tmpfs": { "/x": "" } })).is_some());
        assert_eq!(
            found(json!({ "Binds": ["/a:/x", "/a:/y"], "Mounts": [] })),
            None
        );
    }
}
