//! What a network is made from.

use crate::{diagnostic::Fault, seam::Outputs, syntax::literal};
use serde_json::{Map as JsonMap, Value as Json, json};

/// A request to create a network, from the properties of its node.
///
/// # Errors
///
/// The first property that cannot be used.
pub(crate) fn request(properties: &Json) -> Result<Json, Fault> {
    let fault = |name: &str, what: &str| {
        Fault::new(format!("this must be {what}")).within(&[name.to_owned()])
    };
    let mut body = json!({ "CheckDuplicate": true });
    for (name, field) in [
        ("internal", "Internal"),
        ("attachable", "Attachable"),
        ("enable_ipv6", "EnableIPv6"),
    ] {
        if properties[name] == true {
            body[field] = true.into();
        }
    }
    if let Some(driver) = properties["driver"]
        .as_str()
        .filter(|driver| !driver.is_empty())
    {
        body["Driver"] = driver.into();
    }
    body["Options"] =
        texts(&properties["options"]).ok_or_else(|| fault("options", "a mapping to texts"))?;
    body["Labels"] =
        texts(&properties["labels"]).ok_or_else(|| fault("labels", "a mapping to texts"))?;
    if let Some(ipam) = ipam(properties)? {
        body["IPAM"] = ipam;
    }
    Ok(body)
}

/// A mapping to texts; numbers and the like are spelt out. Nothing is an empty one.
pub(crate) fn texts(value: &Json) -> Option<Json> {
    let entries = match literal(value).unwrap_or(value) {
        Json::Null => return Some(json!({})),
        Json::Object(entries) => entries,
        _ => return None,
    };
    let text = |value: &Json| match value {
        Json::Null => Some(String::new()),
        Json::String(text) => Some(text.clone()),
        Json::Number(_) | Json::Bool(_) => Some(value.to_string()),
        _ => None,
    };
    entries
        .iter()
        .map(|(key, value)| Some((key.clone(), Json::from(text(value)?))))
        .collect::<Option<JsonMap<_, _>>>()
        .map(Json::Object)
}

/// `subnet` and `gateway`, or `ipam` as docker-py's `IPAMConfig` has it, in either case.
fn ipam(properties: &Json) -> Result<Option<Json>, Fault> {
    let text = |name: &str| properties[name].as_str().filter(|text| !text.is_empty());
    let at = |name: &str, message: &str| Fault::new(message.to_owned()).within(&[name.to_owned()]);
    let given = properties["ipam"]
        .as_object()
        .filter(|ipam| !ipam.is_empty());
    match (text("subnet"), text("gateway"), given) {
        (None, None, None) if properties["ipam"].is_object() || properties["ipam"].is_null() => {
            Ok(None)
        }
        (None, None, None) => Err(at(
            "ipam",
            "this must be a mapping of driver, config and options",
        )),
        (None, Some(_), None) => Err(at("gateway", "`gateway` goes with `subnet`")),
        (Some(subnet), gateway, None) => {
            let mut pool = json!({ "Subnet": subnet });
            if let Some(gateway) = gateway {
                pool["Gateway"] = gateway.into();
            }
            Ok(Some(json!({ "Driver": "default", "Config": [pool] })))
        }
        (None, None, Some(ipam)) => raw_ipam(ipam).map(Some),
        _ => Err(at("ipam", "`ipam` excludes `subnet` and `gateway`")),
    }
}

fn raw_ipam(given: &JsonMap<String, Json>) -> Result<Json, Fault> {
    const POOL: [(&str, &str); 4] = [
        ("subnet", "Subnet"),
        ("iprange", "IPRange"),
        ("gateway", "Gateway"),
        ("auxaddresses", "AuxiliaryAddresses"),
    ];
    let plain = |key: &str| key.replace('_', "").to_lowercase();
    let under = |fault: Fault, path: &[&str]| {
        fault.within(
            &path
                .iter()
                .map(|part| (*part).to_owned())
                .collect::<Vec<_>>(),
        )
    };
    let mut ipam = json!({ "Driver": "default" });
    for (key, value) in given.iter().filter(|(_, value)| !value.is_null()) {
        match plain(key).as_str() {
            "driver" => ipam["Driver"] = value.clone(),
            "options" => ipam["Options"] = value.clone(),
            "config" | "poolconfigs" => {
                let mut pools = Vec::new();
                for pool in value.as_array().into_iter().flatten() {
                    let mut converted = json!({});
                    for (key, value) in pool
                        .as_object()
                        .into_iter()
                        .flatten()
                        .filter(|(_, value)| !value.is_null())
                    {
                        let found = POOL.iter().find(|(name, field)| {
                            *name == plain(key) || field.to_lowercase() == plain(key)
                        });
                        let (_, field) = found.ok_or_else(|| {
                            under(
                                Fault::unknown_among(
                                    key,
                                    &["subnet", "iprange", "gateway", "aux_addresses"],
                                ),
                                &["ipam", "config"],
                            )
                        })?;
                        converted[*field] = value.clone();
                    }
                    pools.push(converted);
                }
                ipam["Config"] = pools.into();
            }
            _ => {
                return Err(under(
                    Fault::unknown_among(key, &["driver", "config", "options"]),
                    &["ipam"],
                ));
            }
        }
    }
    Ok(ipam)
}

/// What is remembered of a network.
pub(crate) fn known(network: &Json) -> Outputs {
    let mut shown = network.clone();
    // Who is on it changes with every start.
    if let Some(fields) = shown.as_object_mut() {
        fields.shift_remove("Containers");
    }
    let set = [
        ("network_id", network["Id"].clone()),
        ("network_name", network["Name"].clone()),
        ("network", shown),
    ];
    Outputs {
        set: set
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect(),
        unset: Vec::new(),
        ..Outputs::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_become_a_request() {
        let properties = json!({ "driver": "bridge", "internal": true, "options": { "mtu": 1400 }, "subnet": "10.5.0.0/24", "gateway": "10.5.0.1" });
        let body = request(&properties).unwrap();
        assert_eq!(
            (&body["Driver"], &body["Internal"], &body["Options"]),
            (&json!("bridge"), &json!(true), &json!({ "mtu": "1400" }))
        );
        assert_eq!(
            body["IPAM"]["Config"],
            json!([{ "Subnet": "10.5.0.0/24", "Gateway": "10.5.0.1" }])
        );
        let raw = json!({ "ipam": { "driver": "default", "config": [{ "subnet": "10.6.0.0/24", "aux_addresses": { "x": "10.6.0.9" } }] } });
        assert_eq!(
            request(&raw).unwrap()["IPAM"]["Config"],
            json!([{ "Subnet": "10.6.0.0/24", "AuxiliaryAddresses": { "x": "10.6.0.9" } }])
        );
    }

    #[test]
    fn what_cannot_be_is_a_fault() {
        for (properties, path) in [
            (json!({ "gateway": "10.5.0.1" }), "gateway"),
            (json!({ "options": ["a"] }), "options"),
            (json!({ "ipam": { "confg": [] } }), "ipam.confg"),
            (
                json!({ "subnet": "10.5.0.0/24", "ipam": { "driver": "x" } }),
                "ipam",
            ),
        ] {
            assert_eq!(request(&properties).unwrap_err().path.join("."), path);
        }
    }
}
