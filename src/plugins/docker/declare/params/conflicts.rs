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

/// The source of a mount in memory, in messages.
pub(super) const TMPFS: &str = "a tmpfs";
/// The source of a mount that names none, in messages.
const NEW_VOLUME: &str = "a new volume";

/// Returns the faults of a `HostConfig`. `raw` has the fields that were written with the engine's
/// names.
pub(super) fn conflicts(host: &JsonMap<String, Json>, raw: &[&'static str]) -> Vec<Fault> {
    let found = [
        ports_on_host_network(host, raw),
        unusable_mount(host),
        repeated_mount(host),
    ];
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

/// Returns the fault of a mount that engines refuse: its path in the container, or the name of its
/// volume.
fn unusable_mount(host: &JsonMap<String, Json>) -> Option<Fault> {
    let mut targets = mounts(host).into_iter().map(|(target, _)| target);
    let is_local = host.get("VolumeDriver").is_none_or(is_empty);
    let null = &Json::Null;
    let mut binds = strings(host.get("Binds").unwrap_or(null)).filter(|_| is_local);
    targets
        .find_map(|target| unusable_target(&target))
        .or_else(|| binds.find_map(unusable_source))
}

/// Returns the fault of a path in the container at which nothing can be mounted.
pub(crate) fn unusable_target(target: &str) -> Option<Fault> {
    if normal_target(target) == "/" {
        return Some(Fault::new("nothing can be mounted at `/` in the container"));
    }
    (!target.starts_with('/')).then(|| {
        let message = format!("`{target}` is not an absolute path in the container");
        Fault::new(message).hint("begin the path in the container with `/`")
    })
}

/// Returns the fault of a bind whose source is neither a path nor the name of a volume. The rule is
/// that of the engines for local volumes.
fn unusable_source(bind: &str) -> Option<Fault> {
    let (source, rest) = bind.split_once(':')?;
    if source.is_empty() {
        let message = format!("`{bind}` names nothing to mount");
        return Some(
            Fault::new(message).hint("write SOURCE:PATH, or only the path for a new volume"),
        );
    }
    let modes = rest.split_once(':').map(|(_, modes)| modes);
    // A source of one letter is a drive of Windows: names of volumes are longer.
    if let Some(fault) = modes.filter(|_| source.len() > 1).and_then(unknown_mode) {
        return Some(fault);
    }
    let is_path = source.starts_with(['/', '.', '\\']);
    (source.contains('/') && !is_path).then(|| {
        let message = format!("`{source}` is neither an absolute path nor the name of a volume");
        let hint =
            format!("write an absolute path, or ./{source} for one relative to the blueprint");
        Fault::new(message).hint(hint)
    })
}

/// The modes of binds of Docker and Podman.
const MODES: [&str; 29] = [
    "ro",
    "rw",
    "z",
    "Z",
    "U",
    "O",
    "shared",
    "rshared",
    "slave",
    "rslave",
    "private",
    "rprivate",
    "unbindable",
    "runbindable",
    "bind",
    "rbind",
    "copy",
    "nocopy",
    "cached",
    "delegated",
    "consistent",
    "dev",
    "nodev",
    "exec",
    "noexec",
    "suid",
    "nosuid",
    "noatime",
    "idmap",
];

/// Modes of which a bind has one at most.
const RIVAL_MODES: [&[&str]; 4] = [
    &["ro", "rw"],
    &["z", "Z"],
    &[
        "shared", "rshared", "slave", "rslave", "private", "rprivate",
    ],
    &["copy", "nocopy"],
];

/// Returns the fault of the modes of a bind: one that no engine knows, or several of a kind.
fn unknown_mode(modes: &str) -> Option<Fault> {
    // Podman has modes with values, such as `upperdir=PATH`.
    let is_known = |mode: &&str| mode.contains('=') || MODES.contains(mode);
    let unknown = modes.split(',').find(|mode| !is_known(mode));
    let is_given_twice = |rivals: &&[&str]| {
        let given = modes.split(',').filter(|mode| rivals.contains(mode));
        given.count() > 1
    };
    let message = match (unknown, RIVAL_MODES.iter().find(|it| is_given_twice(it))) {
        (Some(mode), _) => format!("`{mode}` is not a mode of a bind"),
        (None, Some(rivals)) => {
            format!("a bind has one of the modes {}", rivals.join(", "))
        }
        (None, None) => return None,
    };
    Some(Fault::new(message).hint("write, for example, `ro` or `rw,z`"))
}

/// Returns the fault of a path that is mounted twice.
fn repeated_mount(host: &JsonMap<String, Json>) -> Option<Fault> {
    let mut seen: HashMap<String, &str> = HashMap::new();
    mounts(host).into_iter().find_map(|(target, source)| {
        let before = seen.insert(target.clone(), source)?;
        Some(mounted_twice(&target, [before, source]))
    })
}

/// Returns the fault of a path that is mounted twice, from these sources.
pub(crate) fn mounted_twice(target: &str, [one, other]: [&str; 2]) -> Fault {
    let message = format!("`{target}` in the container is mounted twice: {one} and {other}");
    Fault::new(message).hint("keep one of the two mounts, or use another path in the container")
}

/// Returns the targets and sources of the mounts.
pub(crate) fn mounts(host: &JsonMap<String, Json>) -> Vec<(String, &str)> {
    let null = &Json::Null;
    let field = |name: &str| host.get(name).unwrap_or(null);
    let binds = strings(field("Binds")).map(|bind| {
        let (source, rest) = bind.split_once(':').unwrap_or((NEW_VOLUME, bind));
        (rest.split(':').next().unwrap_or(rest), source)
    });
    let given = list(field("Mounts")).map(|it| (text(&it["Target"]), source_of_mount(it)));
    let tmpfs = keys(field("Tmpfs")).map(|path| (path.as_str(), TMPFS));
    let all = binds.chain(given).chain(tmpfs);
    let all = all.map(|(target, source)| (normal_target(target), source));
    all.filter(|(target, _)| !target.is_empty()).collect()
}

/// Returns the source of a mount in the engine's format, for messages.
fn source_of_mount(mount: &Json) -> &str {
    match (text(&mount["Type"]), text(&mount["Source"])) {
        ("tmpfs", _) => TMPFS,
        (_, "") => NEW_VOLUME,
        (_, source) => source,
    }
}

/// Returns the path of a mount without `.`, `..` and needless slashes, as engines compare it.
pub(crate) fn normal_target(target: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    let root = if target.starts_with('/') { "/" } else { "" };
    format!("{root}{}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn paths_mounted_twice_are_found() {
        let found = |host: Json| repeated_mount(host.as_object().unwrap()).map(|it| it.message);
        assert_eq!(
            found(json!({ "Binds": ["/a:/x", "v:/y/../x/./:ro"] })).as_deref(),
            Some("`/x` in the container is mounted twice: /a and v")
        );
        let given = |bind: &str| unusable_source(bind).is_none();
        assert!(
            ["/a:/b", "v:/b:ro,z", "/a:/b:idmap=x", "/b", "c:\\a:/b"]
                .into_iter()
                .all(given)
        );
        assert!(
            ![":/b", "/a:/b:bogus", "/a:/b:/c", "a/b:/c"]
                .into_iter()
                .any(given)
        );
        let rivals = ["/a:/b:ro,rw", "/a:/b:z,z", "/a:/b:ro,"];
        assert!(!rivals.into_iter().any(given));
        let mount = json!({ "Target": "/x", "Source": "v", "Type": "volume" });
        assert!(found(json!({ "Binds": ["/a:/x"], "Mounts": [mount] })).is_some());
        let nameless = json!({ "Target": "/x/", "Type": "volume" });
        assert_eq!(
            found(json!({ "Mounts": [nameless], "Tmpfs": { "/x": "" } })).as_deref(),
            Some("`/x` in the container is mounted twice: a new volume and a tmpfs")
        );
        assert_eq!(
            found(json!({ "Binds": ["/a:/x", "/a:/y"], "Mounts": [] })),
            None
        );
    }
}
