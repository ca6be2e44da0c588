//! Fields of the engine's JSON objects. They permit keys in snake case or any case, and detect
//! unknown keys, which the engine would silently drop.

use crate::{
    diagnostic::fault::{Fault, nearest_key, normalized_key},
    model::function::is_call,
    plugins::docker::declare::params::convert::expected_type,
};
use serde_json::{Map as JsonMap, Value as Json};

/// Structure of a JSON value of the engine.
pub(crate) enum Shape {
    /// Any value.
    Any,
    /// A string.
    Text,
    /// True or false.
    Flag,
    /// An integer.
    Integer,
    /// A string, or a list of strings.
    Words,
    /// A mapping whose keys are a set: every value is empty.
    Set,
    /// A list of values with this shape.
    List(&'static Shape),
    /// A mapping with free keys and values of this shape.
    Map(&'static Shape),
    /// An object with these fields.
    Fields(&'static [(&'static str, Shape)]),
}

use Shape::{Any, Fields, Flag, Integer, List, Map, Set, Text, Words};

pub(crate) const RESTART_POLICY: Shape = Fields(&[("Name", Text), ("MaximumRetryCount", Integer)]);
pub(crate) const LOG_CONFIG: Shape = Fields(&[("Type", Any), ("Config", Any)]);
pub(crate) const ULIMIT: Shape = Fields(&[("Name", Any), ("Soft", Any), ("Hard", Any)]);
pub(crate) const DEVICE: Shape = Fields(&[
    ("PathOnHost", Any),
    ("PathInContainer", Any),
    ("CgroupPermissions", Any),
]);
pub(crate) const DEVICE_REQUEST: Shape = Fields(&[
    ("Driver", Any),
    ("Count", Any),
    ("DeviceIDs", Any),
    ("Capabilities", Any),
    ("Options", Any),
]);
pub(crate) const WEIGHT: Shape = Fields(&[("Path", Text), ("Weight", Integer)]);
pub(crate) const RATE: Shape = Fields(&[("Path", Text), ("Rate", Integer)]);
pub(crate) const BINDING: Shape = Fields(&[("HostIp", Any), ("HostPort", Any)]);
pub(crate) const HEALTHCHECK: Shape = Fields(&[
    ("Test", Any),
    ("Interval", Any),
    ("Timeout", Any),
    ("StartPeriod", Any),
    ("StartInterval", Any),
    ("Retries", Any),
]);
pub(crate) const MOUNT: Shape = Fields(&[
    ("Type", Text),
    ("Source", Text),
    ("Target", Text),
    ("ReadOnly", Flag),
    ("Consistency", Text),
    (
        "BindOptions",
        Fields(&[
            ("Propagation", Text),
            ("NonRecursive", Flag),
            ("CreateMountpoint", Flag),
            ("ReadOnlyNonRecursive", Flag),
            ("ReadOnlyForceRecursive", Flag),
        ]),
    ),
    (
        "VolumeOptions",
        Fields(&[
            ("NoCopy", Flag),
            ("Labels", Map(&Text)),
            (
                "DriverConfig",
                Fields(&[("Name", Text), ("Options", Map(&Text))]),
            ),
            ("Subpath", Text),
        ]),
    ),
    (
        "TmpfsOptions",
        Fields(&[
            ("SizeBytes", Integer),
            ("Mode", Integer),
            ("Options", List(&Words)),
        ]),
    ),
    ("ImageOptions", Fields(&[("Subpath", Text)])),
    ("ClusterOptions", Fields(&[])),
]);
pub(crate) const IPAM: Shape = Fields(&[
    ("IPv4Address", Any),
    ("IPv6Address", Any),
    ("LinkLocalIPs", Any),
]);
/// An endpoint, including fields that only an inspection shows, because users may copy one.
pub(crate) const ENDPOINT: Shape = Fields(&[
    ("Aliases", Any),
    ("Links", Any),
    ("IPAMConfig", Any),
    ("DriverOpts", Any),
    ("MacAddress", Any),
    ("GwPriority", Any),
    ("NetworkID", Any),
    ("EndpointID", Any),
    ("Gateway", Any),
    ("IPAddress", Any),
    ("IPPrefixLen", Any),
    ("IPv6Gateway", Any),
    ("GlobalIPv6Address", Any),
    ("GlobalIPv6PrefixLen", Any),
    ("DNSNames", Any),
]);
pub(crate) const NETWORKING: Shape = Fields(&[("EndpointsConfig", Any)]);

/// Returns the shape of a field of `HostConfig`.
pub(crate) fn host_field_shape(field: &str) -> &'static Shape {
    const ANY: &Shape = &Any;
    match field {
        "RestartPolicy" => &RESTART_POLICY,
        "LogConfig" => &LOG_CONFIG,
        "Ulimits" => &List(&ULIMIT),
        "Devices" => &List(&DEVICE),
        "DeviceRequests" => &List(&DEVICE_REQUEST),
        "Mounts" => &List(&MOUNT),
        "PortBindings" => &Map(&List(&BINDING)),
        "BlkioWeightDevice" => &List(&WEIGHT),
        "BlkioDeviceReadBps"
        | "BlkioDeviceWriteBps"
        | "BlkioDeviceReadIOps"
        | "BlkioDeviceWriteIOps" => &List(&RATE),
        _ => ANY,
    }
}

/// Returns the object with the engine's field names and without nulls. An unknown field in the
/// engine's spelling may be that of a newer engine: it is passed through with a warning.
///
/// # Errors
///
/// The first unknown key.
pub(crate) fn apply_shape(
    shape: &Shape,
    value: &Json,
    warnings: &mut Vec<Fault>,
) -> Result<Json, Fault> {
    match (shape, value) {
        (Fields(fields), Json::Object(entries)) => {
            let mut object = JsonMap::new();
            for (key, value) in entries.iter().filter(|(_, value)| !value.is_null()) {
                let (name, inner) = field(fields, key, warnings)?;
                let mut inside = Vec::new();
                let value =
                    apply_shape(inner, value, &mut inside).map_err(|fault| fault.at_key(key))?;
                warnings.extend(inside.into_iter().map(|fault| fault.at_key(key)));
                if object.insert(name.to_owned(), value).is_some() {
                    let twice = format!("`{name}` is given twice");
                    return Err(Fault::new(twice).at_key(key));
                }
            }
            Ok(Json::Object(object))
        }
        (Fields(_), _) => Err(expected_type("a mapping", value)),
        (List(inner), Json::Array(items)) => {
            let each = |(at, item)| {
                let mut inside = Vec::new();
                let item = apply_shape(inner, item, &mut inside);
                warnings.extend(
                    inside
                        .into_iter()
                        .map(|fault| fault.at_key(usize::to_string(&at))),
                );
                item.map_err(|fault| fault.at_key(at.to_string()))
            };
            items.iter().enumerate().map(each).collect()
        }
        (Map(inner), Json::Object(entries)) => {
            let mut object = JsonMap::new();
            for (key, value) in entries {
                let mut inside = Vec::new();
                let value = match (value, inner) {
                    (Json::Null, Text) => "".into(),
                    (Json::Null, _) => continue,
                    _ => apply_shape(inner, value, &mut inside).map_err(|it| it.at_key(key))?,
                };
                warnings.extend(inside.into_iter().map(|fault| fault.at_key(key)));
                object.insert(key.clone(), value);
            }
            Ok(Json::Object(object))
        }
        (Words, Json::Array(items)) => match items.iter().position(|item| !item.is_string()) {
            Some(at) => Err(expected_type("a string", &items[at]).at_key(at.to_string())),
            None => Ok(value.clone()),
        },
        (Set, Json::Object(entries)) => match entries.iter().find(|(_, value)| !is_empty(value)) {
            Some((key, value)) => Err(expected_type("an empty mapping", value).at_key(key)),
            None => Ok(value.clone()),
        },
        (List(_), _) if !is_call(value) => Err(expected_type("a list", value)),
        (Map(_), _) if !is_call(value) => Err(expected_type("a mapping", value)),
        (leaf, _) => match leaf.expectation(value) {
            Some(what) if !is_call(value) => Err(expected_type(what, value)),
            _ => Ok(value.clone()),
        },
    }
}

impl Shape {
    /// Returns the values that are permitted here, if this one is not.
    fn expectation(&self, value: &Json) -> Option<&'static str> {
        let (what, fits) = match self {
            Text => ("a string", value.is_string()),
            Flag => ("true or false", value.is_boolean()),
            Integer => ("an integer", value.is_i64() || value.is_u64()),
            Words => ("a string or a list of strings", value.is_string()),
            Set => ("a mapping", false),
            Any | List(_) | Map(_) | Fields(_) => return None,
        };
        (!fits).then_some(what)
    }
}

fn is_empty(value: &Json) -> bool {
    value.is_null() || value.as_object().is_some_and(JsonMap::is_empty)
}

fn field<'k>(
    fields: &'static [(&'static str, Shape)],
    key: &'k str,
    warnings: &mut Vec<Fault>,
) -> Result<(&'k str, &'static Shape), Fault> {
    if let Some((name, shape)) = fields
        .iter()
        .find(|(name, _)| normalized_key(name) == normalized_key(key))
    {
        return Ok((name, shape));
    }
    let names: Vec<&str> = fields.iter().map(|(name, _)| *name).collect();
    let hint = match nearest_key(key, &names) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("known keys: {}", names.join(", ")),
    };
    if key.starts_with(|c: char| c.is_ascii_uppercase()) {
        warnings.push(
            Fault::new(format!("unknown field `{key}`; it is sent unchanged"))
                .hint(hint)
                .at_key(key),
        );
        return Ok((key, &Any));
    }
    Err(Fault::new(format!("unknown key `{key}`"))
        .hint(hint)
        .unknown()
        .at_key(key))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn fields_get_engine_names_and_unknown_keys_are_reported() {
        let mut warnings = Vec::new();
        let mount = json!([{ "type": "bind", "target": "/a", "read_only": true, "BindOptions": { "propagation": "rshared", "NewThing": 1 }, "source": null }]);
        let shaped_mount = apply_shape(&List(&MOUNT), &mount, &mut warnings).unwrap();
        let expected = json!([{ "Type": "bind", "Target": "/a", "ReadOnly": true, "BindOptions": { "Propagation": "rshared", "NewThing": 1 } }]);
        assert_eq!(shaped_mount, expected);
        assert_eq!(warnings.len(), 1);
        assert_eq!(warnings[0].path, ["0", "BindOptions", "NewThing"]);
        let fault = apply_shape(&MOUNT, &json!({ "raed_only": true }), &mut warnings).unwrap_err();
        assert_eq!(fault.hint.as_deref(), Some("did you mean `ReadOnly`?"));
    }
}
