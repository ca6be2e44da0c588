//! The documents that describe the plugin to people and to dynamic command lines.

use super::api::{INTERFACES, Interface, NEWER_INTERFACES};
use crate::event::now;
use serde_json::{Value as Json, json};

/// Returns `/info/api.json`: every interface with examples of its requests and responses, and with
/// the names of its objects.
pub(crate) fn api(subtypes: &[String]) -> Json {
    let all = || INTERFACES.iter().chain(&NEWER_INTERFACES);
    let named = |it: &Interface| json!({ "Name": it.name, "Version": it.version });
    let unnamed = all().map(|it| described(it, ""));
    let instances = || all().filter(|it| it.name == "Instance");
    let others = subtypes
        .iter()
        .flat_map(|name| instances().map(move |it| described(it, name)));
    json!({
        "Vendor": { "Name": "dockctl", "Version": env!("CARGO_PKG_VERSION"), "URL": env!("CARGO_PKG_REPOSITORY") },
        "Implements": all().map(named).collect::<Json>(),
        "Interfaces": unnamed.chain(others).collect::<Json>(),
    })
}

fn described(interface: &Interface, subtype: &str) -> Json {
    let methods = match interface.name {
        "Instance" => instance_methods(interface, subtype),
        _ => metadata_methods(interface),
    };
    let methods: Json = methods
        .into_iter()
        .map(|one| example(interface, one))
        .collect();
    json!({ "Name": interface.name, "Sub": subtype, "Version": interface.version, "Methods": methods })
}

/// Returns `/info/functions.json`: the plugin has no template functions.
pub(crate) fn functions() -> Json {
    json!({})
}

/// Name, parameters and result of a method.
type Method = (&'static str, Json, Json);

fn example(interface: &Interface, (name, params, result): Method) -> Json {
    let id = (now() / 1000).to_string();
    json!({
        "Request": { "jsonrpc": "2.0", "method": format!("{}.{name}", interface.name), "params": params, "id": id },
        "Response": { "result": result, "id": id },
    })
}

fn instance_methods(interface: &Interface, subtype: &str) -> Vec<Method> {
    let ok = || json!({ "Type": subtype, "OK": true });
    let properties = json!({ "Config": { "Image": "" }, "HostConfig": {}, "NetworkAttachments": [], "Tags": {} });
    let spec = json!({ "Properties": properties, "Tags": {}, "Init": "", "LogicalID": null, "Attachments": null });
    let described = json!([{ "ID": "", "LogicalID": null, "Tags": {} }]);
    let mut destroy = json!({ "Type": subtype, "Instance": "" });
    if interface.version != "0.5.0" {
        destroy["Context"] = json!({ "Reason": "" });
    }
    vec![
        (
            "DescribeInstances",
            json!({ "Type": subtype, "Tags": {}, "Properties": false }),
            json!({ "Type": subtype, "Descriptions": described }),
        ),
        ("Destroy", destroy, ok()),
        (
            "Label",
            json!({ "Type": subtype, "Instance": "", "Labels": {} }),
            ok(),
        ),
        (
            "Provision",
            json!({ "Type": subtype, "Spec": spec }),
            json!({ "Type": subtype, "ID": "" }),
        ),
        (
            "Validate",
            json!({ "Type": subtype, "Properties": properties }),
            ok(),
        ),
    ]
}

fn metadata_methods(interface: &Interface) -> Vec<Method> {
    let list = if interface.version == "0.1.0" {
        "List"
    } else {
        "Keys"
    };
    vec![
        ("Get", json!({ "Path": "." }), json!({ "Value": null })),
        (list, json!({ "Path": "." }), json!({ "Nodes": null })),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_interface_is_described() {
        let api = api(&["gpu".to_owned()]);
        let names = |list: &Json| -> Vec<String> {
            let name = |it: &Json| format!("{} {}", it["Name"], it["Version"]);
            list.as_array().unwrap().iter().map(name).collect()
        };
        assert_eq!(names(&api["Implements"]), names(&api["Interfaces"])[..5]);
        let subtype = &api["Interfaces"][5];
        assert_eq!(
            (&subtype["Sub"], &subtype["Name"]),
            (&json!("gpu"), &json!("Instance"))
        );
        assert_eq!(subtype["Methods"][1]["Request"]["params"]["Type"], "gpu");
        assert_eq!(names(&api["Implements"]).len(), 5);
        let request = &api["Interfaces"][1]["Methods"][3]["Request"];
        assert_eq!(request["method"], "Instance.Provision");
        assert_eq!(request["params"]["Spec"]["LogicalID"], Json::Null);
        assert!(
            api["Interfaces"][0]["Methods"][1]["Request"]["params"]
                .get("Context")
                .is_none()
        );
        assert_eq!(
            api["Interfaces"][4]["Methods"][1]["Request"]["method"],
            "Metadata.Keys"
        );
    }
}
