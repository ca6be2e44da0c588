//! Nodes of the type `dockctl.nodes.infrakit.Instance`: containers that are declared in the
//! structures of the Docker SDK, as in documents of InfraKit. All values are literal.

use crate::{
    diagnostic::Fault,
    model::{Definition, Instance},
    plugins::docker::declare::{
        container::is_valid_name,
        json::{list, text},
        params, rules, sdk,
    },
    seam::labeling::RESERVED_LABELS,
    syntax::{as_literal, without_marks},
};
use fancy_regex::Regex;
use serde::{Deserialize, Serialize};
use serde_json::{Map as JsonMap, Value as Json, json};
use std::{sync::LazyLock, time::Duration};

/// Label with the attachments of an instance, as JSON.
pub(crate) const ATTACHMENTS: &str = "infrakit.attachments";
/// Labels with the hash of the configuration that a controller of InfraKit created a container
/// from, by its generation.
const CONFIG_TAGS: [&str; 2] = ["infrakit.config_sha", "infrakit.config.hash"];
/// Value of these labels on a container that was created before its group, and counts as matching.
const BOOTSTRAP: &str = "bootstrap";
/// Longest time for the script of an instance, in seconds, unless the node sets another.
const INIT_TIMEOUT: f64 = 300.0;

/// A script that runs once in a new container.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Init {
    /// Text of the script.
    pub script: Json,
    /// Longest time that it may take, in seconds.
    pub timeout: f64,
}

/// Name of an image, as the engine reads it: domain, path, tag and digest.
static IMAGE: LazyLock<Regex> = LazyLock::new(|| {
    let word = "[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*";
    let domain = r"(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:]+\])(?::[0-9]+)?/";
    let ends = r"(?::[\w][\w.-]{0,127})?(?:@[A-Za-z][\w+.-]*:[0-9a-fA-F]{32,})?";
    Regex::new(&format!("^(?:{domain})?{word}(?:/{word})*{ends}$")).expect("a constant expression")
});

impl Init {
    /// Returns the script of a node; none if it has none.
    pub(crate) fn of(node: &Definition) -> Option<Self> {
        let script = property(node, "init");
        (!text(&script).is_empty()).then(|| Self {
            script,
            timeout: property(node, "init_timeout")
                .as_f64()
                .unwrap_or(INIT_TIMEOUT),
        })
    }

    pub(crate) fn limit(&self) -> Duration {
        Duration::try_from_secs_f64(self.timeout).unwrap_or(Duration::MAX)
    }
}

fn property(node: &Definition, name: &str) -> Json {
    value(&node.properties, name)
}

fn value(properties: &JsonMap<String, Json>, name: &str) -> Json {
    without_marks(properties.get(name).unwrap_or(&Json::Null))
}

/// Returns the name of the container of the first instance: its logical ID or its name, if given.
pub(crate) fn declared_name(node: &Definition) -> &Json {
    const NULL: &Json = &Json::Null;
    let given = |name| {
        node.properties
            .get(name)
            .filter(|it| **it != "" && !it.is_null())
    };
    given("logical_id")
        .or_else(|| given("name"))
        .unwrap_or(NULL)
}

/// Returns the properties that a container is created from. The label of an instance is its logical
/// ID.
pub(crate) fn declaration(instance: &Instance, properties: &JsonMap<String, Json>) -> Json {
    let mut declared = properties_of_container(properties);
    if let Some(label) = &instance.label {
        declared["logical_id"] = label.clone().into();
    }
    declared
}

fn properties_of_container(properties: &JsonMap<String, Json>) -> Json {
    let names = ["logical_id", "config", "host_config", "tags", "attachments"];
    let given = |name: &str| {
        let value = properties.get(name).unwrap_or(&Json::Null);
        (name.to_owned(), value.clone())
    };
    names
        .into_iter()
        .map(given)
        .collect::<JsonMap<_, _>>()
        .into()
}

/// Returns true if the labels of a container name the configuration that a node declares. Without
/// a declared one, any container counts.
pub(crate) fn is_declared(node: &Definition, labels: &Json) -> bool {
    let tags = property(node, "tags");
    let declared = CONFIG_TAGS.iter().find_map(|tag| tags[*tag].as_str());
    let mut of_container = CONFIG_TAGS.iter().filter_map(|tag| labels[*tag].as_str());
    declared.is_none_or(|declared| of_container.any(|hash| hash == declared || hash == BOOTSTRAP))
}

/// Returns the networks that an instance is attached to, besides that of `host_config`.
pub(crate) fn networks(node: &Definition) -> Vec<Json> {
    list(&property(node, "networks")).map(as_literal).collect()
}

/// Returns the image of a container; null if it is missing.
pub(crate) fn image(node: &Definition) -> Json {
    let config = sdk::config(&property(node, "config")).unwrap_or_default();
    json!({ "repository": config.get("Image") })
}

/// Returns true if the declaration sets the host name: it is that of the container, so that the
/// engine's DNS finds it.
pub(crate) fn names_host(declared: &Json) -> bool {
    !text(&declared["logical_id"]).is_empty()
}

/// Converts a [`declaration`] into a request.
///
/// # Errors
///
/// All invalid properties.
pub(crate) fn creation(declared: &Json) -> Result<params::Creation, Vec<Fault>> {
    let declared = without_marks(declared);
    let mut faults = Vec::new();
    let config = checked(required_config(&declared["config"]), &mut faults);
    let host = checked(host_config(&declared["host_config"]), &mut faults);
    let tags = checked(tags(&declared["tags"]), &mut faults);
    let attachments = checked(attachments(&declared["attachments"]), &mut faults);
    checked(
        checked_name(&declared["logical_id"], "logical_id"),
        &mut faults,
    );
    if !faults.is_empty() {
        return Err(faults);
    }
    let mut body = config;
    let mut labels = body
        .get("Labels")
        .and_then(Json::as_object)
        .cloned()
        .unwrap_or_default();
    labels.extend(tags);
    labels.extend(attachments);
    body.insert("Labels".to_owned(), labels.into());
    body.insert("HostConfig".to_owned(), host.into());
    let faults = rules::faults(&Json::Object(body.clone()));
    if !faults.is_empty() {
        return Err(faults);
    }
    Ok(params::Creation {
        gates: sdk::limited_fields(&body),
        body,
        detach: true,
        ..params::Creation::default()
    })
}

fn checked<T: Default>(result: Result<T, Fault>, faults: &mut Vec<Fault>) -> T {
    result.unwrap_or_else(|fault| {
        faults.push(fault);
        T::default()
    })
}

/// Returns the fault of the name of a container, if the engine refuses it.
pub(crate) fn name_fault(name: &Json) -> Option<Fault> {
    checked_name(name, "name").err()
}

/// Returns the faults of the properties of a node, except its name: that of a container can have a
/// number. Paths begin with the name of a property.
pub(crate) fn faults(properties: &JsonMap<String, Json>) -> Vec<Fault> {
    let mut faults = creation(&properties_of_container(properties))
        .err()
        .unwrap_or_default();
    let networks = value(properties, "networks");
    if !networks.is_null() && !networks.is_array() {
        faults.push(Fault::new("this must be a list").at_key("networks"));
    }
    for (at, given) in list(&networks).enumerate() {
        let nested = |fault: Fault| fault.at_key(at.to_string()).at_key("networks");
        faults.extend(network_request(given).err().map(|fault| {
            // The message of the original names no place.
            if fault == unnamed_network() {
                fault
            } else {
                nested(fault)
            }
        }));
    }
    if faults.is_empty() {
        let host = host_config(&value(properties, "host_config")).unwrap_or_default();
        let requests: Vec<Json> = list(&networks).map(canonical_network).collect();
        faults.extend(rules::network_faults(&Json::Object(host), &requests));
    }
    faults.extend(init_fault(&value(properties, "init")));
    let timeout = value(properties, "init_timeout");
    if !timeout.is_null() && timeout.as_f64().is_none_or(|seconds| seconds <= 0.0) {
        faults.push(Fault::new("this must be a positive number").at_key("init_timeout"));
    }
    faults
}

fn canonical_network(given: &Json) -> Json {
    network_request(given).unwrap_or_default().into()
}

fn init_fault(init: &Json) -> Option<Fault> {
    let message = match init {
        Json::Null => return None,
        Json::String(script) if !script.contains('\0') => return None,
        Json::String(_) => "this must not contain a NUL character",
        _ => "this must be a string",
    };
    Some(Fault::new(message).at_key("init"))
}

fn required_config(given: &Json) -> Result<JsonMap<String, Json>, Fault> {
    if given.is_null() {
        return Err(Fault::new("Config should be set"));
    }
    let config = sdk::config(given).map_err(|fault| fault.at_key("config"))?;
    let image = config.get("Image").map(text).unwrap_or_default();
    if image.is_empty() {
        return Err(Fault::new("A Docker image should be specified"));
    }
    if !IMAGE.is_match(image).unwrap_or(false) {
        let fault = Fault::new(format!("`{image}` is not a valid image name"));
        return Err(fault.at_key("Image").at_key("config"));
    }
    check_labels(&config).map_err(|fault| fault.at_key("Labels").at_key("config"))?;
    Ok(config)
}

fn check_labels(config: &JsonMap<String, Json>) -> Result<(), Fault> {
    let labels = config.get("Labels").and_then(Json::as_object);
    labels.map_or(Ok(()), |labels| {
        labels.keys().try_for_each(|key| check_label(key))
    })
}

fn check_label(key: &str) -> Result<(), Fault> {
    if key.starts_with(RESERVED_LABELS) {
        let fault = Fault::new(format!("the label `{key}` is reserved for dockctl"));
        return Err(fault.hint("use another name for the label").at_key(key));
    }
    Ok(())
}

fn host_config(given: &Json) -> Result<JsonMap<String, Json>, Fault> {
    if given.is_null() {
        return Ok(JsonMap::new());
    }
    sdk::host_config(given).map_err(|fault| fault.at_key("host_config"))
}

fn tags(given: &Json) -> Result<JsonMap<String, Json>, Fault> {
    let fault = |fault: Fault| fault.at_key("tags");
    let tags = match given {
        Json::Null => return Ok(JsonMap::new()),
        Json::Object(tags) => tags,
        _ => return Err(fault(Fault::new("this must be a mapping of strings"))),
    };
    for (key, value) in tags {
        check_label(key).map_err(fault)?;
        if !value.is_string() {
            return Err(fault(Fault::new("this must be a string").at_key(key)));
        }
    }
    Ok(tags.clone())
}

/// Returns the label with the attachments, if there are any.
fn attachments(given: &Json) -> Result<JsonMap<String, Json>, Fault> {
    let attachments = sdk::attachments(given).map_err(|fault| fault.at_key("attachments"))?;
    if attachments.is_empty() {
        return Ok(JsonMap::new());
    }
    let label = Json::Array(attachments).to_string();
    Ok(JsonMap::from_iter([(ATTACHMENTS.to_owned(), label.into())]))
}

fn checked_name(given: &Json, property: &str) -> Result<(), Fault> {
    match given {
        Json::Null => Ok(()),
        Json::String(name) if name.is_empty() || is_valid_name(name) => Ok(()),
        other => Err(Fault::new(format!("`{}` is not a valid container name", text(other)))
            .hint("use two or more of the characters [a-zA-Z0-9_.-], and start with a letter or digit")
            .at_key(property)),
    }
}

/// Returns the name of a network; empty if it is missing.
pub(crate) fn network_name(given: &Json) -> String {
    let name = network_request(&without_marks(given)).ok();
    let name = name.and_then(|request| request["Name"].as_str().map(str::to_owned));
    name.unwrap_or_default()
}

fn unnamed_network() -> Fault {
    Fault::new("NetworkAttachment should have a name")
}

/// Returns the request that creates a network if it is missing.
///
/// # Errors
///
/// The first invalid field.
pub(crate) fn network_request(given: &Json) -> Result<JsonMap<String, Json>, Fault> {
    let mut request = sdk::network(given)?;
    if request.get("Name").map(text).unwrap_or_default().is_empty() {
        return Err(unnamed_network());
    }
    let no_labels = JsonMap::new();
    let labels = request
        .get("Labels")
        .and_then(Json::as_object)
        .unwrap_or(&no_labels);
    labels
        .keys()
        .try_for_each(|key| check_label(key))
        .map_err(|fault| fault.at_key("Labels"))?;
    request.insert("CheckDuplicate".to_owned(), true.into());
    Ok(request)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(properties: &Json) -> JsonMap<String, Json> {
        properties.as_object().cloned().unwrap()
    }

    fn messages(properties: &Json) -> Vec<String> {
        let faults = faults(&node(properties));
        let name = name_fault(&properties["name"]);
        faults
            .iter()
            .chain(&name)
            .map(|it| format!("{}: {}", it.path.join("."), it.message))
            .collect()
    }

    #[test]
    fn labels_are_merged_and_tags_win_over_labels_of_the_config() {
        let node = node(&json!({
            "config": { "image": "a", "labels": { "own": "1", "both": "config" } },
            "tags": { "both": "tag" }, "attachments": [{ "id": "v1", "TYPE": "ebs" }],
        }));
        let labels = &creation(&properties_of_container(&node)).unwrap().body["Labels"];
        let attachments = r#"[{"ID":"v1","Type":"ebs"}]"#;
        assert_eq!(
            *labels,
            json!({ "own": "1", "both": "tag", "infrakit.attachments": attachments })
        );
    }

    #[test]
    fn values_that_look_like_functions_are_data() {
        let call = json!({ "dockctl.literal": { "get_secret": "x" } });
        let node = node(&json!({ "config": { "Image": "a", "Labels": call } }));
        let labels = &creation(&properties_of_container(&node)).unwrap().body["Labels"];
        assert_eq!(*labels, json!({ "get_secret": "x" }));
    }

    #[test]
    fn every_property_is_checked() {
        assert_eq!(messages(&json!({})), [": Config should be set"]);
        assert_eq!(
            messages(&json!({ "config": {} })),
            [": A Docker image should be specified"]
        );
        let all = json!({
            "config": { "Image": "a", "Labels": { "dockctl.node": "x" } },
            "host_config": { "Bindz": [] },
            "networks": [{ "Name": "n" }, {}, { "Name": "n", "IPAM": { "Confg": [] } }],
            "tags": { "dockctl.deployment": "x" }, "attachments": [{ "Idd": "v" }], "init": 5, "logical_id": "a/b",
        });
        assert_eq!(
            messages(&all),
            [
                "config.Labels.dockctl.node: the label `dockctl.node` is reserved for dockctl",
                "host_config.Bindz: unknown key `Bindz`",
                "tags.dockctl.deployment: the label `dockctl.deployment` is reserved for dockctl",
                "attachments.0.Idd: unknown key `Idd`",
                "logical_id: `a/b` is not a valid container name",
                ": NetworkAttachment should have a name",
                "networks.2.IPAM.Confg: unknown key `Confg`",
                "init: this must be a string",
            ]
        );
    }

    #[test]
    fn names_of_images_are_checked() {
        let is_valid = |image: &str| messages(&json!({ "config": { "Image": image } })).is_empty();
        let digest = "sha256:".to_owned() + &"a".repeat(64);
        let named = format!("a@{digest}");
        for image in [
            "busybox",
            "a/b:1.2",
            "Host/a",
            "[::1]:5000/a:x",
            "localhost:5000/a_b/c__d-e",
            &digest,
            &named,
        ] {
            assert!(is_valid(image), "{image}");
        }
        for image in ["UPPER", "a b", "a::b", "a:", "/a", "a//b", "a@x", "-a"] {
            assert!(!is_valid(image), "{image}");
        }
    }
}
