//! Requests and results of the plugin interfaces of InfraKit. Unknown fields are ignored and keys
//! are accepted in any case, as in Go's decoder.

use super::group_api::{FlavorRequest, GroupMethod, flavor_request, group_method};
use crate::serve::json_rpc::RpcError;
use serde_json::{Map as JsonMap, Value as Json, json};
use std::collections::BTreeMap;

/// Labels by key.
pub type Tags = BTreeMap<String, String>;

/// A request to the plugin.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Request {
    /// Lists interfaces, for controllers of 2017.
    Implements,
    /// Lists interfaces with the names of their objects, for controllers of 2017.
    Types,
    /// Lists interfaces with the names of their objects, for controllers of 2018.
    Hello,
    /// A request about instances.
    Instance(InstanceRequest),
    /// A request about groups.
    Group(GroupMethod),
    /// A request to a flavor.
    Flavor(FlavorRequest),
    /// Lists the names below a path.
    MetadataList(Vec<String>),
    /// Returns the value at a path.
    MetadataGet(Vec<String>),
}

/// A request to a subtype of the plugin about instances.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct InstanceRequest {
    /// Name of the subtype; empty for the default one.
    pub subtype: String,
    /// The request.
    pub method: InstanceMethod,
}

/// A method of the interface `Instance`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum InstanceMethod {
    /// Checks properties.
    Validate(Json),
    /// Creates an instance.
    Provision(Spec),
    /// Sets labels of an instance.
    Label(String, Tags),
    /// Removes an instance, for this reason.
    Destroy(String, String),
    /// Lists the instances with these tags.
    Describe(Tags),
}

/// The specification of an instance.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Spec {
    /// Properties of the plugin; null if missing.
    pub properties: Json,
    /// Tags.
    pub tags: Tags,
    /// Script of the instance; empty if it has none.
    pub init: String,
    /// Logical ID.
    pub logical_id: Option<String>,
    /// Attachments, as they were written; null if there are none.
    pub attachments: Json,
}

/// A listed instance.
#[derive(Clone, Debug, PartialEq)]
pub struct Description {
    /// ID of the instance.
    pub id: String,
    /// Its logical ID, if it has one.
    pub logical_id: Option<String>,
    /// Its labels.
    pub tags: Tags,
}

impl Description {
    /// Reads the description that a plugin returns.
    #[must_use]
    pub(crate) fn from_json(given: &Json) -> Self {
        let text = |name| get(given, name).and_then(Json::as_str).map(str::to_owned);
        let tags = get(given, "Tags").and_then(Json::as_object);
        let tag = |(key, value): (&String, &Json)| {
            (key.clone(), value.as_str().unwrap_or_default().to_owned())
        };
        Self {
            id: text("ID").unwrap_or_default(),
            logical_id: text("LogicalID"),
            tags: tags.into_iter().flatten().map(tag).collect(),
        }
    }
}

/// An interface that the plugin implements. Versions must match exactly.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Interface {
    pub name: &'static str,
    pub version: &'static str,
}

const fn interface(name: &'static str, version: &'static str) -> Interface {
    Interface { name, version }
}

/// What a plugin serves.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Role {
    /// Instances, and metadata about them.
    Instances,
    /// Groups.
    Groups,
    /// A flavor.
    Flavor,
}

impl Role {
    /// Returns the interfaces for controllers of 2017.
    pub(crate) fn interfaces(self) -> &'static [Interface] {
        match self {
            Self::Instances => &INTERFACES,
            Self::Groups => const { &[interface("Group", "0.1.0")] },
            Self::Flavor => const { &[interface("Flavor", "0.1.0")] },
        }
    }

    /// Returns the interfaces for controllers of 2018.
    pub(crate) fn newer_interfaces(self) -> &'static [Interface] {
        match self {
            Self::Instances => &NEWER_INTERFACES,
            Self::Groups => const { &[interface("Group", "0.1.1")] },
            Self::Flavor => const { &[interface("Flavor", "0.1.1")] },
        }
    }

    fn has(self, service: &str) -> bool {
        service == "Handshake" || self.interfaces().iter().any(|it| it.name == service)
    }
}

/// Interfaces for controllers of 2017: of release 0.5, and of its successor.
pub(crate) const INTERFACES: [Interface; 3] = [
    interface("Instance", "0.5.0"),
    interface("Instance", "0.6.0"),
    interface("Metadata", "0.1.0"),
];
/// Interfaces for controllers of 2018.
pub(crate) const NEWER_INTERFACES: [Interface; 2] = [
    interface("Instance", "0.6.1"),
    interface("Metadata", "0.1.1"),
];

/// Name of the subtype without a name.
const DEFAULT_SUBTYPE: &str = ".";

impl Request {
    /// Reads a request.
    ///
    /// # Errors
    ///
    /// If the method is unknown, or a parameter has the wrong type.
    pub(crate) fn read(role: Role, method: &str, params: &Json) -> Result<Self, RpcError> {
        let mut words = method.split('.');
        let (Some(service), Some(name), None) = (words.next(), words.next(), words.next()) else {
            return Err(RpcError::new(format!(
                "rpc: service/method request ill-formed: {}",
                json!(method)
            )));
        };
        if !role.has(service) {
            let unknown = format!("rpc: can't find service {}", json!(method));
            return Err(RpcError::new(unknown));
        }
        let fields = Fields::of(params);
        let request = match (service, name) {
            ("Handshake", "Implements") => Self::Implements,
            ("Handshake", "Types") => Self::Types,
            ("Handshake", "Hello") => Self::Hello,
            ("Metadata", "List" | "Keys") => Self::MetadataList(fields.path("Path")?),
            ("Metadata", "Get") => Self::MetadataGet(fields.path("Path")?),
            ("Instance", _) => return fields.instance_request(method, name),
            ("Group", _) => Self::Group(group_method(&fields, (method, name))?),
            ("Flavor", _) => Self::Flavor(flavor_request(&fields, (method, name))?),
            _ => return Err(unknown_method(method)),
        };
        Ok(request)
    }
}

pub(super) fn unknown_method(method: &str) -> RpcError {
    RpcError::new(format!("rpc: can't find method {}", json!(method)))
}

/// The parameters of a request, or an object in them.
pub(super) struct Fields<'p> {
    params: &'p Json,
    object: &'p Json,
}

impl<'p> Fields<'p> {
    fn of(params: &'p Json) -> Self {
        Self {
            params,
            object: params,
        }
    }

    fn instance_request(&self, whole: &str, name: &str) -> Result<Request, RpcError> {
        let method = match name {
            "Validate" => InstanceMethod::Validate(self.get("Properties").clone()),
            "Provision" => InstanceMethod::Provision(self.inside("Spec")?.spec()?),
            "Label" => InstanceMethod::Label(self.text("Instance")?, self.tags("Labels")?),
            "Destroy" => {
                let reason = self.inside("Context")?.text("Reason")?;
                InstanceMethod::Destroy(self.text("Instance")?, reason)
            }
            "DescribeInstances" => {
                self.flag("Properties")?;
                InstanceMethod::Describe(self.tags("Tags")?)
            }
            _ => return Err(unknown_method(whole)),
        };
        Ok(Request::Instance(InstanceRequest {
            subtype: self.subtype()?,
            method,
        }))
    }

    /// Returns the subtype that a request is for; empty for the default one.
    pub(super) fn subtype(&self) -> Result<String, RpcError> {
        let subtype = self.text("Type")?;
        Ok(Some(subtype)
            .filter(|it| it != DEFAULT_SUBTYPE)
            .unwrap_or_default())
    }

    pub(super) fn spec(&self) -> Result<Spec, RpcError> {
        Ok(Spec {
            properties: self.get("Properties").clone(),
            tags: self.tags("Tags")?,
            init: self.text("Init")?,
            logical_id: Some(self.text("LogicalID")?).filter(|id| !id.is_empty()),
            attachments: self.get("Attachments").clone(),
        })
    }

    /// Returns a field; null if it is missing.
    pub(super) fn get(&self, name: &str) -> &'p Json {
        const NULL: &Json = &Json::Null;
        get(self.object, name).unwrap_or(NULL)
    }

    pub(super) fn wrong(&self, name: &str, what: &str) -> RpcError {
        RpcError::invalid(format!("`{name}` must be {what}"), self.params.clone())
    }

    pub(super) fn inside(&self, name: &str) -> Result<Self, RpcError> {
        match self.get(name) {
            object @ (Json::Null | Json::Object(_)) => Ok(Self {
                params: self.params,
                object,
            }),
            _ => Err(self.wrong(name, "an object")),
        }
    }

    pub(super) fn text(&self, name: &str) -> Result<String, RpcError> {
        match self.get(name) {
            Json::Null => Ok(String::new()),
            Json::String(text) => Ok(text.clone()),
            _ => Err(self.wrong(name, "a string")),
        }
    }

    pub(super) fn flag(&self, name: &str) -> Result<bool, RpcError> {
        match self.get(name) {
            Json::Null => Ok(false),
            Json::Bool(flag) => Ok(*flag),
            _ => Err(self.wrong(name, "true or false")),
        }
    }

    fn tags(&self, name: &str) -> Result<Tags, RpcError> {
        let wrong = || self.wrong(name, "an object whose values are strings");
        let entries = match self.get(name) {
            Json::Null => return Ok(Tags::new()),
            Json::Object(entries) => entries,
            _ => return Err(wrong()),
        };
        let tag = |(key, value): (&String, &Json)| Some((key.clone(), value.as_str()?.to_owned()));
        entries
            .iter()
            .map(tag)
            .collect::<Option<_>>()
            .ok_or_else(wrong)
    }

    /// Reads a path: a string with slashes, or a list of strings.
    fn path(&self, name: &str) -> Result<Vec<String>, RpcError> {
        let path = match self.get(name) {
            Json::Array(items) => items.iter().map(Json::as_str).collect::<Option<Vec<_>>>(),
            Json::String(path) => Some(path.split('/').collect()),
            Json::Null => Some(Vec::new()),
            _ => None,
        };
        let path = path.ok_or_else(|| self.wrong(name, "a string"))?;
        let is_step = |step: &&str| !step.is_empty() && *step != ".";
        Ok(path
            .into_iter()
            .filter(is_step)
            .map(str::to_owned)
            .collect())
    }
}

/// Returns a field of an object. A key in the usual case wins over others.
pub(crate) fn get<'j>(object: &'j Json, name: &str) -> Option<&'j Json> {
    let fields = object.as_object()?;
    let same = || {
        fields
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
    };
    fields.get(name).or_else(|| same().map(|(_, value)| value))
}

/// Returns the result of a handshake. `names` are the subtypes, without the default one.
pub(crate) fn handshake(role: Role, request: &Request, names: &[String]) -> Json {
    let names: Vec<&str> = [DEFAULT_SUBTYPE]
        .into_iter()
        .chain(names.iter().map(String::as_str))
        .collect();
    let key = |it: &Interface| format!("{}/{}", it.name, it.version);
    let objects_of = |it: &Interface| {
        if it.name == "Instance" {
            names.clone()
        } else {
            vec![DEFAULT_SUBTYPE]
        }
    };
    match request {
        Request::Types => {
            let types = role.interfaces().iter();
            let types = types.map(|it| (key(it), json!(objects_of(it))));
            json!({ "Types": types.collect::<JsonMap<_, _>>() })
        }
        Request::Hello => {
            let object = |name: &&str| json!({ "Name": name, "ProxyFor": "" });
            let objects = |it: &Interface| objects_of(it).iter().map(object).collect::<Json>();
            let all = role.newer_interfaces().iter();
            let all = all.map(|it| (key(it), objects(it)));
            json!({ "Objects": all.collect::<JsonMap<_, _>>() })
        }
        _ => {
            let api = |it: &Interface| json!({ "Name": it.name, "Version": it.version });
            json!({ "APIs": role.interfaces().iter().map(api).collect::<Json>() })
        }
    }
}

/// Returns the result of a request about instances that returns no data.
pub(crate) fn ok(subtype: &str) -> Json {
    json!({ "Type": subtype, "OK": true })
}

/// Returns the result of `Instance.Provision`.
pub(crate) fn provisioned(subtype: &str, id: &str) -> Json {
    json!({ "Type": subtype, "ID": id })
}

/// Returns the result of `Instance.DescribeInstances`.
pub(crate) fn descriptions(subtype: &str, all: &[Description]) -> Json {
    let description =
        |it: &Description| json!({ "ID": it.id, "LogicalID": it.logical_id, "Tags": it.tags });
    json!({ "Type": subtype, "Descriptions": all.iter().map(description).collect::<Json>() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(method: &str, params: &Json) -> Result<Request, String> {
        Request::read(Role::Instances, method, params).map_err(|error| error.message)
    }

    #[test]
    fn requests_are_read_with_keys_in_any_case() {
        let spec = json!({ "type": "a", "SPEC": { "properties": { "Config": {} }, "Tags": { "k": "v" }, "init": "x",
            "logicalid": "n1", "Attachments": [{ "ID": "v", "Type": "ebs" }], "Unknown": 1 } });
        let expected = Request::Instance(InstanceRequest {
            subtype: "a".to_owned(),
            method: InstanceMethod::Provision(Spec {
                properties: json!({ "Config": {} }),
                tags: Tags::from([("k".to_owned(), "v".to_owned())]),
                init: "x".to_owned(),
                logical_id: Some("n1".to_owned()),
                attachments: json!([{ "ID": "v", "Type": "ebs" }]),
            }),
        });
        assert_eq!(read("Instance.Provision", &spec), Ok(expected));
        let empty = json!({ "Type": ".", "Spec": { "LogicalID": null, "Tags": null, "Attachments": null } });
        let expected = InstanceRequest {
            subtype: String::new(),
            method: InstanceMethod::Provision(Spec::default()),
        };
        assert_eq!(
            read("Instance.Provision", &empty),
            Ok(Request::Instance(expected))
        );
    }

    #[test]
    fn wrong_types_are_named() {
        for (method, params, message) in [
            (
                "Instance.DescribeInstances",
                json!({ "Tags": { "a": 1 } }),
                "`Tags` must be an object whose values are strings",
            ),
            (
                "Instance.DescribeInstances",
                json!({ "Properties": "yes" }),
                "`Properties` must be true or false",
            ),
            (
                "Instance.Destroy",
                json!({ "Instance": 5 }),
                "`Instance` must be a string",
            ),
            (
                "Instance.Destroy",
                json!({ "Context": 5 }),
                "`Context` must be an object",
            ),
            (
                "Instance.Provision",
                json!({ "Spec": [] }),
                "`Spec` must be an object",
            ),
            (
                "Instance.Provision",
                json!({ "Spec": { "Init": ["x"] } }),
                "`Init` must be a string",
            ),
            (
                "Metadata.Get",
                json!({ "Path": 1 }),
                "`Path` must be a string",
            ),
        ] {
            assert_eq!(read(method, &params), Err(message.to_owned()));
        }
    }

    #[test]
    fn unknown_names_have_the_messages_of_the_original() {
        for (method, message) in [
            ("Instance.Nope", r#"rpc: can't find method "Instance.Nope""#),
            (
                "Handshake.Nope",
                r#"rpc: can't find method "Handshake.Nope""#,
            ),
            ("Nope.Nope", r#"rpc: can't find service "Nope.Nope""#),
            (
                "nodot",
                r#"rpc: service/method request ill-formed: "nodot""#,
            ),
            (
                "a.b.c",
                r#"rpc: service/method request ill-formed: "a.b.c""#,
            ),
            ("", r#"rpc: service/method request ill-formed: """#),
        ] {
            assert_eq!(read(method, &json!({})), Err(message.to_owned()));
        }
    }

    #[test]
    fn paths_are_strings_or_lists() {
        for (path, steps) in [
            (json!("."), vec![]),
            (json!(""), vec![]),
            (json!(null), vec![]),
            (
                json!("/containers//abc/Config/"),
                vec!["containers", "abc", "Config"],
            ),
            (json!(["containers", "abc"]), vec!["containers", "abc"]),
        ] {
            let steps: Vec<String> = steps.into_iter().map(str::to_owned).collect();
            assert_eq!(
                read("Metadata.Keys", &json!({ "Path": path })),
                Ok(Request::MetadataList(steps))
            );
        }
    }

    #[test]
    fn handshakes_name_subtypes() {
        let names = ["gpu".to_owned()];
        assert_eq!(
            handshake(Role::Instances, &Request::Types, &names),
            json!({ "Types": { "Instance/0.5.0": [".", "gpu"], "Instance/0.6.0": [".", "gpu"], "Metadata/0.1.0": ["."] } })
        );
        assert_eq!(
            handshake(Role::Instances, &Request::Hello, &[]),
            json!({ "Objects": { "Instance/0.6.1": [{ "Name": ".", "ProxyFor": "" }], "Metadata/0.1.1": [{ "Name": ".", "ProxyFor": "" }] } })
        );
        assert_eq!(
            handshake(Role::Instances, &Request::Implements, &names)["APIs"][1],
            json!({ "Name": "Instance", "Version": "0.6.0" })
        );
    }
}
