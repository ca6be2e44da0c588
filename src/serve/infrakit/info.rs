//! The documents that describe the plugin to people and to dynamic command lines.

use super::api::{INTERFACES, Interface, NEWER_INTERFACES};
use crate::event::now;
use serde_json::{Value as Json, json};

/// Returns `/info/api.json`: every interface with examples of its requests and responses.
pub(crate) fn api() -> Json {
    let all = || INTERFACES.iter().chain(&NEWER_INTERFACES);
    let named = |it: &Interface| json!({ "Name": it.name, "Version": it.version });
    let described = |it: &Interface| {
        let methods = if it.name == "Instance" {
            instance_methods(it)
        } else {
            metadata_methods(it)
        };
        let methods: Json = methods.into_iter().map(|one| example(it, one)).collect();
        json!({ "Name": it.name, "Sub": "", "Version": it.version, "Methods": methods })
    };
    json!({
        "Vendor": { "Name": "dockctl", "Version": env!("CARGO_PKG_VERSION"), "URL": env!("CARGO_PKG_REPOSITORY") },
        "Implements": all().map(named).collect::<Json>(),
        "Interfaces": all().map(described).collect::<Json>(),
    })
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

fn instance_methods(interface: &Interface) -> Vec<Method> {
    let ok = || json!({ "Type": "", "OK": true });
    let properties = json!({ "Config": { "Image": "" }, "HostConfig": {}, "NetworkAttachments": [], "Tags": {} });
    let spec = json!({ "Properties": properties, "Tags": {}, "Init": "", "LogicalID": null, "Attachments": null });
    let described = json!([{ "ID": "", "LogicalID": null, "Tags": {} }]);
    let mut destroy = json!({ "Type": "", "Instance": "" });
    if interface.version != "0.5.0" {
        destroy["Context"] = json!({ "Reason": "" });
    }
    vec![
        (
            "DescribeInstances",
            json!({ "Type": "", "Tags": {}, "Properties": false }),
            json!({ "Type": "", "Descriptions": described }),
        ),
        ("Destroy", destroy, ok()),
        (
            "Label",
            json!({ "Type": "", "Instance": "", "Labels": {} }),
            ok(),
        ),
        (
            "Provision",
            json!({ "Type": "", "Spec": spec }),
            json!({ "Type": "", "ID": "" }),
        ),
        (
            "Validate",
            json!({ "Type": "", "Properties": properties }),
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
        let api = api();
        let names = |list: &Json| -> Vec<String> {
            let name = |it: &Json| format!("{} {}", it["Name"], it["Version"]);
            list.as_array().unwrap().iter().map(name).collect()
        };
        assert_eq!(names(&api["Implements"]), names(&api["Interfaces"]));
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
