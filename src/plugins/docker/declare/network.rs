//! Requests that create networks.

use crate::{
    diagnostic::{Fault, fault::normalized_key},
    plugins::docker::declare::json::{keys, list, map_of, pairs, text},
    seam::Outputs,
    syntax::literal,
};
use ipnet::IpNet;
use serde_json::{Map as JsonMap, Value as Json, json};
use std::net::{IpAddr, Ipv4Addr};

/// Boolean properties, and the fields of the request that they set.
const FLAGS: [(&str, &str); 3] = [
    ("internal", "Internal"),
    ("attachable", "Attachable"),
    ("enable_ipv6", "EnableIPv6"),
];

/// Keys of docker-py's `IPAMPool`, in lower case without underscores, and the corresponding fields
/// of the request.
const POOL: [(&str, &str); 4] = [
    ("subnet", "Subnet"),
    ("iprange", "IPRange"),
    ("gateway", "Gateway"),
    ("auxaddresses", "AuxiliaryAddresses"),
];

/// Returns the request that creates a network from the properties of its node.
///
/// # Errors
///
/// The first invalid property.
pub(crate) fn request(properties: &Json) -> Result<Json, Fault> {
    let mut body = flags(properties);
    set_driver(&mut body, properties);
    body["Options"] = string_map_property(properties, "options")?;
    body["Labels"] = string_map_property(properties, "labels")?;
    if let Some(ipam) = ipam(properties)? {
        body["IPAM"] = ipam;
    }
    Ok(body)
}

/// Returns a request with only the flags that are true.
fn flags(properties: &Json) -> Json {
    let mut body = json!({ "CheckDuplicate": true });
    for (_, field) in FLAGS.iter().filter(|(name, _)| properties[*name] == true) {
        body[*field] = true.into();
    }
    body
}

/// Sets the driver, if the properties name one.
pub(crate) fn set_driver(body: &mut Json, properties: &Json) {
    let driver = text(&properties["driver"]);
    if !driver.is_empty() {
        body["Driver"] = driver.into();
    }
}

/// Returns a property that is a mapping of strings.
pub(crate) fn string_map_property(properties: &Json, name: &str) -> Result<Json, Fault> {
    let fault = || Fault::new("this must be a mapping of strings").at_key(name);
    string_map(&properties[name]).ok_or_else(fault)
}

/// Converts a mapping of scalars to a mapping of strings; null becomes an empty mapping.
pub(crate) fn string_map(value: &Json) -> Option<Json> {
    let entries = match literal(value).unwrap_or(value) {
        Json::Null => return Some(json!({})),
        Json::Object(entries) => entries,
        _ => return None,
    };
    let entry = |(key, value): (&String, &Json)| Some((key.clone(), scalar_text(value)?));
    let entries: Option<JsonMap<String, Json>> = entries.iter().map(entry).collect();
    entries.map(Json::Object)
}

/// Converts a scalar to a string; none for a list or mapping.
fn scalar_text(value: &Json) -> Option<Json> {
    match value {
        Json::Null => Some("".into()),
        Json::String(_) => Some(value.clone()),
        Json::Number(_) | Json::Bool(_) => Some(value.to_string().into()),
        _ => None,
    }
}

/// Reads `subnet` and `gateway`, or `ipam` with the keys of docker-py's `IPAMConfig` in any case.
fn ipam(properties: &Json) -> Result<Option<Json>, Fault> {
    let text = |name: &str| properties[name].as_str().filter(|text| !text.is_empty());
    let at =
        |name: &str, message: &str| Fault::new(message.to_owned()).nested_in(&[name.to_owned()]);
    let given = properties["ipam"]
        .as_object()
        .filter(|ipam| !ipam.is_empty());
    match (text("subnet"), text("gateway"), given) {
        (None, None, None) if properties["ipam"].is_object() || properties["ipam"].is_null() => {
            Ok(None)
        }
        (None, None, None) => Err(at(
            "ipam",
            "this must be a mapping with the keys driver, config and options",
        )),
        (None, Some(_), None) => Err(at("gateway", "`gateway` requires `subnet`")),
        (Some(subnet), gateway, None) => {
            let mut pool = json!({ "Subnet": subnet });
            let invalid = |field| move |message: String| at(field, &message);
            checked_subnet(subnet).map_err(invalid("subnet"))?;
            if let Some(gateway) = gateway {
                checked_address(gateway).map_err(invalid("gateway"))?;
                pool["Gateway"] = gateway.into();
            }
            check_inside(&pool, "Gateway").map_err(invalid("gateway"))?;
            Ok(Some(json!({ "Driver": "default", "Config": [pool] })))
        }
        (None, None, Some(ipam)) => raw_ipam(ipam).map(Some),
        _ => Err(at(
            "ipam",
            "`ipam` cannot be combined with `subnet` or `gateway`",
        )),
    }
}

fn raw_ipam(given: &JsonMap<String, Json>) -> Result<Json, Fault> {
    let mut ipam = json!({ "Driver": "default" });
    for (key, value) in given.iter().filter(|(_, value)| !value.is_null()) {
        let entry = ipam_entry(key, value).map_err(|fault| fault.at_key("ipam"));
        let (field, value) = entry?;
        ipam[field] = value;
    }
    Ok(ipam)
}

fn ipam_entry(key: &str, value: &Json) -> Result<(&'static str, Json), Fault> {
    let pool = |(at, given): (usize, &Json)| {
        pool(given).map_err(|fault| fault.nested_in(&[key.to_owned(), at.to_string()]))
    };
    let pools = || {
        list(value)
            .enumerate()
            .map(pool)
            .collect::<Result<Json, Fault>>()
    };
    match normalized_key(key).as_str() {
        "driver" => Ok(("Driver", value.clone())),
        "options" => Ok(("Options", value.clone())),
        "config" | "poolconfigs" => Ok(("Config", pools()?)),
        _ => Err(Fault::unknown_among(key, &["driver", "config", "options"])),
    }
}

/// Converts an address pool to the engine's format.
fn pool(given: &Json) -> Result<Json, Fault> {
    let mut pool = json!({});
    for (key, value) in pairs(given).filter(|(_, value)| !value.is_null()) {
        let field = pool_field(key)?;
        checked_pool(field, value).map_err(|message| Fault::new(message).at_key(key))?;
        pool[field] = value.clone();
    }
    for (key, field) in [("gateway", "Gateway"), ("iprange", "IPRange")] {
        check_inside(&pool, field).map_err(|message| Fault::new(message).at_key(key))?;
    }
    Ok(pool)
}

/// Checks that the gateway or the range of a pool lies in its subnet.
fn check_inside(pool: &Json, field: &str) -> Result<(), String> {
    let (subnet, given) = (text(&pool["Subnet"]), text(&pool[field]));
    let address = given.split('/').next().unwrap_or(given).parse();
    match address {
        Ok(address) if !subnet.is_empty() && !is_in_subnet(subnet, address) => {
            Err(format!("`{given}` is not in the subnet {subnet}"))
        }
        _ => Ok(()),
    }
}

/// Returns why no container can have an address on a network with this request, as far as the
/// request tells. The engine chooses the subnet of a network that declares none.
pub(crate) fn why_impossible(request: &Json, address: IpAddr) -> Option<String> {
    let is_same_family = |pool: &&Json| {
        let subnet = text(&pool["Subnet"]).parse::<IpNet>();
        subnet.is_ok_and(|subnet| subnet.addr().is_ipv4() == address.is_ipv4())
    };
    let pools: Vec<&Json> = list(&request["IPAM"]["Config"])
        .filter(is_same_family)
        .collect();
    let subnets: Vec<&str> = pools.iter().map(|pool| text(&pool["Subnet"])).collect();
    let (first, _) = subnets.split_first()?;
    let Some(pool) = pools
        .iter()
        .find(|pool| is_in_subnet(text(&pool["Subnet"]), address))
    else {
        return Some(match subnets.len() {
            1 => format!("it is not in the subnet {first}"),
            _ => format!("it is in none of the subnets {}", subnets.join(", ")),
        });
    };
    if is_at_end(text(&pool["Subnet"]), address) {
        return Some("it is the first or the last address of the subnet".to_owned());
    }
    let is_address = |it: &str| it.parse() == Ok(address);
    if is_address(&gateway(request, pool)) {
        return Some("it is the address of the gateway".to_owned());
    }
    let mut reserved = pairs(&pool["AuxiliaryAddresses"]).map(|(_, it)| text(it));
    reserved
        .any(is_address)
        .then(|| "`aux_addresses` reserves it".to_owned())
}

/// Returns the gateway of a pool: the declared one, or the first address. Other drivers than the
/// engine's default can do without a gateway.
fn gateway(request: &Json, pool: &Json) -> String {
    let declared = text(&pool["Gateway"]);
    let has_mode = || keys(&request["Options"]).any(|option| option.contains("gateway_mode"));
    if !declared.is_empty() || !is_bridge(request) || has_mode() {
        return declared.to_owned();
    }
    first_address(text(&pool["Subnet"])).unwrap_or_default()
}

/// Returns true for the address of an IPv4 subnet itself and for its broadcast address.
fn is_at_end(subnet: &str, address: IpAddr) -> bool {
    let (Ok(IpNet::V4(subnet)), IpAddr::V4(address)) = (subnet.parse(), address) else {
        return false;
    };
    let is_end = address == subnet.network() || address == subnet.broadcast();
    subnet.prefix_len() < 31 && is_end
}

fn checked_pool(field: &str, value: &Json) -> Result<(), String> {
    match (field, value.as_str()) {
        ("Subnet", Some(subnet)) => checked_subnet(subnet),
        ("IPRange", Some(range)) => match range.parse::<IpNet>() {
            Ok(_) => Ok(()),
            Err(_) => Err(not_a_subnet(range)),
        },
        ("Gateway", Some(address)) => checked_address(address),
        _ => Ok(()),
    }
}

/// Returns the first address of a subnet, which engines give to the gateway.
pub(crate) fn first_address(subnet: &str) -> Option<String> {
    let IpNet::V4(subnet) = subnet.parse().ok()? else {
        return None;
    };
    let first = subnet.network().to_bits().checked_add(1)?;
    Some(Ipv4Addr::from_bits(first).to_string())
}

/// Returns true if a subnet contains an address.
pub(crate) fn is_in_subnet(subnet: &str, address: IpAddr) -> bool {
    let subnet = subnet.parse::<IpNet>();
    subnet.is_ok_and(|subnet| subnet.contains(&address))
}

/// Returns the subnets of a network with this request that no other network can have. Only those of
/// bridges are known to exclude each other with all engines.
pub(crate) fn subnets(request: &Json) -> Vec<IpNet> {
    if !is_bridge(request) {
        return Vec::new();
    }
    let pools = list(&request["IPAM"]["Config"]);
    let subnets = pools.filter_map(|pool| text(&pool["Subnet"]).parse().ok());
    subnets.collect()
}

fn is_bridge(request: &Json) -> bool {
    matches!(text(&request["Driver"]), "" | "bridge")
}

/// Checks an address with the length of its prefix, such as `10.7.0.0/24`.
fn checked_subnet(subnet: &str) -> Result<(), String> {
    let address = subnet.split('/').next().unwrap_or_default();
    match subnet.parse::<IpNet>() {
        // Engines refuse numbers that begin with 0.
        Ok(_) if address.parse::<IpAddr>().is_err() => Err(not_a_subnet(subnet)),
        Ok(parsed) if parsed.prefix_len() == parsed.max_prefix_len() => Err(format!(
            "the subnet `{subnet}` has only one address, and none is left for a container"
        )),
        Ok(_) => Ok(()),
        Err(_) => Err(not_a_subnet(subnet)),
    }
}

fn not_a_subnet(given: &str) -> String {
    format!("`{given}` is not a subnet such as 10.7.0.0/24")
}

fn checked_address(address: &str) -> Result<(), String> {
    match address.parse::<IpAddr>() {
        Ok(_) => Ok(()),
        Err(_) => Err(format!("`{address}` is not an address such as 10.7.0.1")),
    }
}

fn pool_field(key: &str) -> Result<&'static str, Fault> {
    let known = ["subnet", "iprange", "gateway", "aux_addresses"];
    let fault = || Fault::unknown_among(key, &known);
    let key = normalized_key(key);
    let is_selected = |name: &str, field: &str| name == key || field.to_lowercase() == key;
    let found = POOL.iter().find(|(name, field)| is_selected(name, field));
    found.map(|(_, field)| *field).ok_or_else(fault)
}

/// Returns the runtime properties of a network.
pub(crate) fn runtime_properties(network: &Json) -> Outputs {
    property_outputs([
        ("network_id", network["Id"].clone()),
        ("network_name", network["Name"].clone()),
        ("network", without_containers(network)),
    ])
}

/// Returns the network without its containers, which change with every start.
fn without_containers(network: &Json) -> Json {
    let mut shown = network.clone();
    if let Some(fields) = shown.as_object_mut() {
        fields.shift_remove("Containers");
    }
    shown
}

/// Returns outputs that set these runtime properties.
pub(crate) fn property_outputs<const N: usize>(properties: [(&str, Json); N]) -> Outputs {
    Outputs {
        set: map_of(properties),
        ..Outputs::default()
    }
}

/// Fields of a network that a request must share with an existing one.
const COMPARED: [&str; 10] = [
    "Scope",
    "Driver",
    "EnableIPv4",
    "EnableIPv6",
    "Internal",
    "Attachable",
    "Ingress",
    "ConfigOnly",
    "Options",
    "IPAM",
];

/// Returns the first field in which an existing network differs from a request, with the existing
/// and the requested value. Parts that are not requested are not compared, and labels never.
pub(crate) fn difference(
    found: &Json,
    request: &JsonMap<String, Json>,
) -> Option<(&'static str, Json, Json)> {
    let requested = COMPARED
        .into_iter()
        .filter_map(|field| Some((field, request.get(field)?)));
    let mut differing = requested.filter(|(field, value)| !contains(&found[*field], value));
    let (field, value) = differing.next()?;
    Some((field, found[field].clone(), value.clone()))
}

/// Returns true if a value has all parts of another one. Empty values are parts of every value.
fn contains(found: &Json, part: &Json) -> bool {
    match part {
        Json::Object(fields) => fields
            .iter()
            .all(|(key, value)| contains(&found[key], value)),
        Json::Array(items) => items
            .iter()
            .all(|item| list(found).any(|found| contains(found, item))),
        Json::Null => true,
        Json::String(text) if text.is_empty() => true,
        Json::Bool(false) => found != &Json::Bool(true),
        other => found == other,
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
    fn invalid_properties_are_faults() {
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

    #[test]
    fn subnets_contain_addresses_and_have_a_first_one() {
        let is_in = |subnet: &str, address: &str| is_in_subnet(subnet, address.parse().unwrap());
        assert!(is_in("10.7.0.0/24", "10.7.0.9") && !is_in("10.7.0.0/24", "10.7.1.9"));
        assert!(is_in("0.0.0.0/0", "9.9.9.9") && is_in("fd00::/64", "fd00::5"));
        assert!(!is_in("10.7.0.0/24", "fd00::5") && !is_in("x", "10.7.0.9"));
        assert_eq!(
            first_address("10.7.0.128/25").as_deref(),
            Some("10.7.0.129")
        );
        assert_eq!(first_address("10.7.0.9/24").as_deref(), Some("10.7.0.1"));
    }

    #[test]
    fn subnets_that_engines_refuse_are_faults() {
        for subnet in [
            "10.370.1.0/24",
            "010.37.1.0/24",
            "10.37.1.0",
            "10.37.1.0/32",
            "fd00::1/128",
        ] {
            assert!(request(&json!({ "subnet": subnet })).is_err(), "{subnet}");
        }
        assert!(request(&json!({ "subnet": "10.37.1.0/31" })).is_ok());
    }

    #[test]
    fn gateway_and_range_lie_in_the_subnet() {
        for (properties, path) in [
            (
                json!({ "subnet": "10.5.0.0/24", "gateway": "10.6.0.1" }),
                "gateway",
            ),
            (
                json!({ "ipam": { "config": [{ "subnet": "10.5.0.0/24", "iprange": "10.6.0.0/28" }] } }),
                "ipam.config.0.iprange",
            ),
        ] {
            let fault = request(&properties).unwrap_err();
            assert_eq!(fault.path.join("."), path);
            assert!(fault.message.ends_with("is not in the subnet 10.5.0.0/24"));
        }
    }

    #[test]
    fn impossible_addresses_are_found() {
        let why = |properties: Json, address: &str| {
            why_impossible(&request(&properties).unwrap(), address.parse().unwrap())
        };
        let plain = || json!({ "driver": "bridge", "subnet": "10.5.0.0/24" });
        for possible in ["10.5.0.2", "10.5.0.254", "fd00::5"] {
            assert_eq!(why(plain(), possible), None);
        }
        for (address, reason) in [
            ("10.6.0.2", "it is not in the subnet 10.5.0.0/24"),
            (
                "10.5.0.0",
                "it is the first or the last address of the subnet",
            ),
            (
                "10.5.0.255",
                "it is the first or the last address of the subnet",
            ),
            ("10.5.0.1", "it is the address of the gateway"),
        ] {
            assert_eq!(why(plain(), address).as_deref(), Some(reason), "{address}");
        }
        let macvlan = json!({ "driver": "macvlan", "subnet": "10.5.0.0/24" });
        assert_eq!(why(macvlan, "10.5.0.1"), None);
        let two = json!({ "ipam": { "config": [
            { "subnet": "10.5.0.0/24", "gateway": "10.5.0.9", "aux_addresses": { "x": "10.5.0.7" } },
            { "subnet": "10.6.0.0/31" },
        ] } });
        let of_two = |address: &str| why(two.clone(), address).unwrap_or_default();
        assert_eq!(of_two("10.5.0.1"), "");
        assert_eq!(of_two("10.6.0.0"), "");
        assert_eq!(of_two("10.5.0.9"), "it is the address of the gateway");
        assert_eq!(of_two("10.5.0.7"), "`aux_addresses` reserves it");
        assert_eq!(
            of_two("10.7.0.7"),
            "it is in none of the subnets 10.5.0.0/24, 10.6.0.0/31"
        );
        assert_eq!(why(json!({ "driver": "bridge" }), "10.7.0.7"), None);
    }

    #[test]
    fn requested_parts_of_a_network_are_compared() {
        let found = json!({ "Driver": "bridge", "Internal": true, "Options": { "a": "1" },
            "IPAM": { "Driver": "default", "Config": [{ "Subnet": "10.1.0.0/16", "Gateway": "10.1.0.1" }] } });
        let differs = |request: Json| {
            difference(&found, request.as_object().unwrap()).map(|(field, ..)| field)
        };
        for request in [
            json!({}),
            json!({ "Driver": "" }),
            json!({ "Driver": "bridge", "Options": {}, "EnableIPv6": false, "Labels": { "x": "y" } }),
            json!({ "IPAM": { "Config": [{ "Subnet": "10.1.0.0/16" }] } }),
        ] {
            assert_eq!(differs(request), None);
        }
        assert_eq!(differs(json!({ "Internal": false })), Some("Internal"));
        assert_eq!(differs(json!({ "Driver": "macvlan" })), Some("Driver"));
        assert_eq!(differs(json!({ "Attachable": true })), Some("Attachable"));
        assert_eq!(differs(json!({ "Options": { "a": "2" } })), Some("Options"));
        assert_eq!(
            differs(json!({ "IPAM": { "Config": [{ "Subnet": "10.2.0.0/16" }] } })),
            Some("IPAM")
        );
    }
}
