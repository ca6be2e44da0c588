//! The documents that describe the plugin to people and to dynamic command lines.

use super::api::{Interface, Role};
use crate::event::now;
use serde_json::{Value as Json, json};

/// Returns `/info/api.json`: every interface with examples of its requests and responses, and with
/// the names of its objects.
pub(crate) fn api(role: Role, subtypes: &[String]) -> Json {
    let all = || role.interfaces().iter().chain(role.newer_interfaces());
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
        "Group" => group_methods(),
        "Flavor" => flavor_methods(),
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

fn group_methods() -> Vec<Method> {
    let section = || json!({ "Plugin": "", "Properties": {} });
    let properties = json!({
        "Allocation": { "Size": 0, "LogicalIDs": null },
        "Instance": section(),
        "Flavor": section(),
    });
    let spec = json!({ "ID": "", "Properties": properties });
    let instance = json!({ "ID": "", "LogicalID": null, "Tags": {} });
    let description = json!({ "Instances": [instance], "Converged": true });
    let id = || json!({ "ID": "" });
    vec![
        (
            "CommitGroup",
            json!({ "Spec": spec, "Pretend": false }),
            json!({ "ID": "", "Details": "" }),
        ),
        (
            "DescribeGroup",
            id(),
            json!({ "ID": "", "Description": description }),
        ),
        ("DestroyGroup", id(), id()),
        (
            "DestroyInstances",
            json!({ "ID": "", "Instances": [""] }),
            id(),
        ),
        ("FreeGroup", id(), id()),
        ("InspectGroups", id(), json!({ "ID": "", "Groups": [spec] })),
        ("SetSize", json!({ "ID": "", "Size": 0 }), id()),
        ("Size", id(), json!({ "ID": "", "Size": 0 })),
    ]
}

fn flavor_methods() -> Vec<Method> {
    let properties =
        json!({ "Init": [""], "InitScriptTemplateURL": "", "Tags": {}, "Attachments": [] });
    let allocation = json!({ "Size": 0, "LogicalIDs": null });
    let with = |more: Json| {
        let mut params = json!({ "Type": "", "Properties": properties });
        if let (Some(params), Json::Object(more)) = (params.as_object_mut(), more) {
            params.extend(more);
        }
        params
    };
    let spec =
        json!({ "Properties": {}, "Tags": {}, "Init": "", "LogicalID": null, "Attachments": null });
    let instance = json!({ "Instance": { "ID": "", "LogicalID": null, "Tags": {} } });
    let ok = || json!({ "Type": "", "OK": true });
    vec![
        ("Drain", with(instance.clone()), ok()),
        (
            "Healthy",
            with(instance),
            json!({ "Type": "", "Health": 1 }),
        ),
        (
            "Prepare",
            with(json!({
                "Spec": spec,
                "Allocation": allocation,
                "Index": { "Group": "", "Sequence": 0 },
            })),
            json!({ "Type": "", "Spec": spec }),
        ),
        ("Validate", with(json!({ "Allocation": allocation })), ok()),
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
        let api = api(Role::Instances, &["gpu".to_owned()]);
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
