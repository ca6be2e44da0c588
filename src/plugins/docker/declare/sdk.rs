//! The structures of the Docker SDK in documents of InfraKit: `container.Config`,
//! `container.HostConfig` and `types.NetworkResource`, with the fields of API 1.51.

use crate::{
    diagnostic::Fault,
    plugins::docker::declare::{
        json::pairs,
        params::{
            ApiRange, Gate, gates,
            shape::{
                MOUNT, RATE, RESTART_POLICY,
                Shape::{self, Any, Fields, Flag, Integer, List, Map, Set, Text, Words},
                WEIGHT, apply_shape,
            },
        },
    },
};
use serde_json::{Map as JsonMap, Value as Json};

const TEXTS: Shape = List(&Text);
const TEXT_MAP: Shape = Map(&Text);

const HEALTHCHECK: Shape = Fields(&[
    ("Test", TEXTS),
    ("Interval", Integer),
    ("Timeout", Integer),
    ("StartPeriod", Integer),
    ("StartInterval", Integer),
    ("Retries", Integer),
]);
const LOG_CONFIG: Shape = Fields(&[("Type", Text), ("Config", TEXT_MAP)]);
const BINDING: Shape = Fields(&[("HostIp", Text), ("HostPort", Text)]);
const ULIMIT: Shape = Fields(&[("Name", Text), ("Soft", Integer), ("Hard", Integer)]);
const DEVICE: Shape = Fields(&[
    ("PathOnHost", Text),
    ("PathInContainer", Text),
    ("CgroupPermissions", Text),
]);
const DEVICE_REQUEST: Shape = Fields(&[
    ("Driver", Text),
    ("Count", Integer),
    ("DeviceIDs", TEXTS),
    ("Capabilities", List(&TEXTS)),
    ("Options", TEXT_MAP),
]);

/// `container.Config`.
const CONFIG: Shape = Fields(&[
    ("Hostname", Text),
    ("Domainname", Text),
    ("User", Text),
    ("AttachStdin", Flag),
    ("AttachStdout", Flag),
    ("AttachStderr", Flag),
    ("ExposedPorts", Set),
    ("Tty", Flag),
    ("OpenStdin", Flag),
    ("StdinOnce", Flag),
    ("Env", TEXTS),
    ("Cmd", Words),
    ("Healthcheck", HEALTHCHECK),
    ("ArgsEscaped", Flag),
    ("Image", Text),
    ("Volumes", Set),
    ("WorkingDir", Text),
    ("Entrypoint", Words),
    ("NetworkDisabled", Flag),
    ("MacAddress", Text),
    ("OnBuild", TEXTS),
    ("Labels", TEXT_MAP),
    ("StopSignal", Text),
    ("StopTimeout", Integer),
    ("Shell", Words),
]);

/// `container.HostConfig`.
const HOST_CONFIG: Shape = Fields(&[
    ("Binds", TEXTS),
    ("ContainerIDFile", Text),
    ("LogConfig", LOG_CONFIG),
    ("NetworkMode", Text),
    ("PortBindings", Map(&List(&BINDING))),
    ("RestartPolicy", RESTART_POLICY),
    ("AutoRemove", Flag),
    ("VolumeDriver", Text),
    ("VolumesFrom", TEXTS),
    ("ConsoleSize", List(&Integer)),
    ("Annotations", TEXT_MAP),
    ("CapAdd", Words),
    ("CapDrop", Words),
    ("CgroupnsMode", Text),
    ("Dns", TEXTS),
    ("DnsOptions", TEXTS),
    ("DnsSearch", TEXTS),
    ("ExtraHosts", TEXTS),
    ("GroupAdd", TEXTS),
    ("IpcMode", Text),
    ("Cgroup", Text),
    ("Links", TEXTS),
    ("OomScoreAdj", Integer),
    ("PidMode", Text),
    ("Privileged", Flag),
    ("PublishAllPorts", Flag),
    ("ReadonlyRootfs", Flag),
    ("SecurityOpt", TEXTS),
    ("StorageOpt", TEXT_MAP),
    ("Tmpfs", TEXT_MAP),
    ("UTSMode", Text),
    ("UsernsMode", Text),
    ("ShmSize", Integer),
    ("Sysctls", TEXT_MAP),
    ("Runtime", Text),
    ("Isolation", Text),
    ("CpuShares", Integer),
    ("Memory", Integer),
    ("NanoCpus", Integer),
    ("CgroupParent", Text),
    ("BlkioWeight", Integer),
    ("BlkioWeightDevice", List(&WEIGHT)),
    ("BlkioDeviceReadBps", List(&RATE)),
    ("BlkioDeviceWriteBps", List(&RATE)),
    ("BlkioDeviceReadIOps", List(&RATE)),
    ("BlkioDeviceWriteIOps", List(&RATE)),
    ("CpuPeriod", Integer),
    ("CpuQuota", Integer),
    ("CpuRealtimePeriod", Integer),
    ("CpuRealtimeRuntime", Integer),
    ("CpusetCpus", Text),
    ("CpusetMems", Text),
    ("Devices", List(&DEVICE)),
    ("DeviceCgroupRules", TEXTS),
    ("DeviceRequests", List(&DEVICE_REQUEST)),
    ("DiskQuota", Integer),
    ("KernelMemory", Integer),
    ("KernelMemoryTCP", Integer),
    ("MemoryReservation", Integer),
    ("MemorySwap", Integer),
    ("MemorySwappiness", Integer),
    ("OomKillDisable", Flag),
    ("PidsLimit", Integer),
    ("Ulimits", List(&ULIMIT)),
    ("CpuCount", Integer),
    ("CpuPercent", Integer),
    ("IOMaximumIOps", Integer),
    ("IOMaximumBandwidth", Integer),
    ("Mounts", List(&MOUNT)),
    ("MaskedPaths", TEXTS),
    ("ReadonlyPaths", TEXTS),
    ("Init", Flag),
]);

const IPAM_POOL: Shape = Fields(&[
    ("Subnet", Text),
    ("IPRange", Text),
    ("Gateway", Text),
    ("AuxiliaryAddresses", TEXT_MAP),
]);
const IPAM: Shape = Fields(&[
    ("Driver", Text),
    ("Options", TEXT_MAP),
    ("Config", List(&IPAM_POOL)),
]);

/// Attachments of an instance, which InfraKit defines.
const ATTACHMENTS: Shape = List(&Fields(&[("ID", Text), ("Type", Text)]));

/// `types.NetworkResource`.
const NETWORK: Shape = Fields(&[
    ("Name", Text),
    ("Id", Any),
    ("Created", Any),
    ("Scope", Text),
    ("Driver", Text),
    ("EnableIPv4", Flag),
    ("EnableIPv6", Flag),
    ("IPAM", IPAM),
    ("Internal", Flag),
    ("Attachable", Flag),
    ("Ingress", Flag),
    ("ConfigFrom", Fields(&[("Network", Text)])),
    ("ConfigOnly", Flag),
    ("Containers", Any),
    ("Options", TEXT_MAP),
    ("Labels", TEXT_MAP),
    ("Peers", Any),
    ("Services", Any),
]);
/// Fields of a network that only the engine sets.
const OBSERVED: [&str; 5] = ["Id", "Created", "Containers", "Peers", "Services"];

/// Fields that engines on Linux silently drop.
const WINDOWS: [&str; 5] = [
    "CpuCount",
    "CpuPercent",
    "DiskQuota",
    "IOMaximumBandwidth",
    "IOMaximumIOps",
];

/// Fields that some versions of the API silently drop, with the versions that support them.
const LIMITED: &[(&str, ApiRange)] = &[
    ("HostConfig.ConsoleSize", ApiRange::since(42)),
    ("HostConfig.DeviceRequests", ApiRange::since(40)),
    ("HostConfig.KernelMemory", ApiRange::until(41)),
    ("HostConfig.CgroupnsMode", ApiRange::since(41)),
];

/// Returns a `Config` with the engine's field names.
///
/// # Errors
///
/// The first invalid field.
pub(crate) fn config(given: &Json) -> Result<JsonMap<String, Json>, Fault> {
    object(&CONFIG, given)
}

/// Returns a `HostConfig` with the engine's field names.
///
/// # Errors
///
/// The first invalid field.
pub(crate) fn host_config(given: &Json) -> Result<JsonMap<String, Json>, Fault> {
    let mut host = object(&HOST_CONFIG, given)?;
    reject(
        &mut host,
        &WINDOWS,
        "this has no effect: only engines on Windows support it",
    )?;
    Ok(host)
}

/// Returns the attachments of an instance.
///
/// # Errors
///
/// The first invalid field.
pub(crate) fn attachments(given: &Json) -> Result<Vec<Json>, Fault> {
    if given.is_null() {
        return Ok(Vec::new());
    }
    let mut unknown = Vec::new();
    let attachments = apply_shape(&ATTACHMENTS, given, &mut unknown)?;
    match unknown.pop() {
        Some(fault) => Err(unknown_field(fault)),
        None => Ok(attachments.as_array().cloned().unwrap_or_default()),
    }
}

/// Returns the request that creates a network, with its name.
///
/// # Errors
///
/// The first invalid field, or one that only the engine sets.
pub(crate) fn network(given: &Json) -> Result<JsonMap<String, Json>, Fault> {
    let mut request = object(&NETWORK, given)?;
    reject(
        &mut request,
        &OBSERVED,
        "this cannot be set: the engine sets it",
    )?;
    Ok(request)
}

/// Removes fields that are not set. One that is set is a fault.
fn reject(object: &mut JsonMap<String, Json>, fields: &[&str], why: &str) -> Result<(), Fault> {
    for field in fields {
        if object
            .shift_remove(*field)
            .is_some_and(|value| !is_zero(&value))
        {
            return Err(Fault::new(why).hint("remove it").at_key(*field));
        }
    }
    Ok(())
}

/// Returns the fields of a request that some versions of the API silently drop.
pub(crate) fn limited_fields(body: &JsonMap<String, Json>) -> Vec<Gate> {
    gates(body, LIMITED)
}

fn object(shape: &Shape, given: &Json) -> Result<JsonMap<String, Json>, Fault> {
    let mut unknown = Vec::new();
    let object = apply_shape(shape, given, &mut unknown)?;
    match unknown.pop() {
        // Elsewhere such a field is sent with a warning; a server has nobody to warn.
        Some(fault) => Err(unknown_field(fault)),
        None => Ok(pairs(&object)
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect()),
    }
}

fn unknown_field(warning: Fault) -> Fault {
    let key = warning.path.last().cloned().unwrap_or_default();
    Fault {
        message: format!("unknown key `{key}`"),
        unknown: true,
        ..warning
    }
}

/// Returns true for the values that Go writes for fields that were not set.
fn is_zero(value: &Json) -> bool {
    match value {
        Json::Null => true,
        Json::String(text) => text.is_empty() || text.starts_with("0001-01-01T00:00:00"),
        Json::Array(items) => items.is_empty(),
        Json::Object(entries) => entries.is_empty(),
        Json::Number(number) => number.as_f64() == Some(0.0),
        Json::Bool(flag) => !flag,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn fault(result: Result<JsonMap<String, Json>, Fault>) -> (String, String, Option<String>) {
        let fault = result.unwrap_err();
        (fault.path.join("."), fault.message, fault.hint)
    }

    #[test]
    fn keys_are_accepted_in_any_case_and_values_stay() {
        let given = json!({ "image": "a", "CMD": "run", "env": ["A=1"], "exposedports": { "80/tcp": null },
            "Labels": { "Image": "x" }, "healthCheck": { "test": ["NONE"], "interval": 5 }, "user": null });
        let expected = json!({ "Image": "a", "Cmd": "run", "Env": ["A=1"], "ExposedPorts": { "80/tcp": null },
            "Labels": { "Image": "x" }, "Healthcheck": { "Test": ["NONE"], "Interval": 5 } });
        assert_eq!(Json::Object(config(&given).unwrap()), expected);
    }

    #[test]
    fn unknown_keys_and_wrong_types_are_faults_at_any_depth() {
        let (path, message, hint) = fault(config(&json!({ "Imgae": "a" })));
        assert_eq!(
            (path.as_str(), message.as_str()),
            ("Imgae", "unknown key `Imgae`")
        );
        assert_eq!(hint.as_deref(), Some("did you mean `Image`?"));
        let (path, ..) = fault(host_config(&json!({ "Mounts": [{ "Typ": "bind" }] })));
        assert_eq!(path, "Mounts.0.Typ");
        for (given, place) in [
            (json!({ "Binds": "/a:/b" }), "Binds"),
            (json!({ "Memory": "1g" }), "Memory"),
            (json!({ "Memory": 1.5 }), "Memory"),
            (json!({ "Privileged": "yes" }), "Privileged"),
            (json!({ "Tmpfs": { "/run": 1 } }), "Tmpfs./run"),
            (
                json!({ "PortBindings": { "80/tcp": { "HostPort": "1" } } }),
                "PortBindings.80/tcp",
            ),
            (
                json!({ "PortBindings": { "80/tcp": [{ "HostPort": 1 }] } }),
                "PortBindings.80/tcp.0.HostPort",
            ),
            (
                json!({ "DeviceRequests": [{ "Capabilities": ["gpu"] }] }),
                "DeviceRequests.0.Capabilities.0",
            ),
        ] {
            assert_eq!(fault(host_config(&given)).0, place, "{given}");
        }
        assert_eq!(
            fault(config(&json!({ "image": "a", "Image": "b" }))).0,
            "Image"
        );
    }

    #[test]
    fn networks_have_no_field_that_only_the_engine_sets() {
        let zero = json!({ "Name": "n", "Id": "", "Created": "0001-01-01T00:00:00Z", "Containers": null, "IPAM": { "Config": [{ "Subnet": "10.1.0.0/16" }] } });
        let request = network(&zero).unwrap();
        assert_eq!(request.keys().collect::<Vec<_>>(), ["Name", "IPAM"]);
        assert_eq!(fault(network(&json!({ "Name": "n", "Id": "abc" }))).0, "Id");
    }
}
