//! Checks the fixed addresses of containers on the networks of the same blueprint.

use crate::{
    diagnostic::{Code, Diagnostics},
    model::{Blueprint, Node},
    plugins::docker::declare::{
        check::{
            is_adopted,
            objects::{engine_key, is_attachment, known_properties},
            operation,
        },
        exclusive::fixed_addresses,
        network,
        operation::Operation,
    },
    syntax::Value,
};
use ipnet::IpNet;
use serde_json::Value as Json;

/// An address that a node sets on a network.
struct FixedAddress<'a> {
    network: &'a Node,
    address: String,
    value: &'a Value,
}

/// Reports addresses that no container can have on their network.
pub(crate) fn check(blueprint: &Blueprint, node: &Node, d: &mut Diagnostics) {
    let attached = attached_addresses(blueprint, node);
    for fixed in attached
        .into_iter()
        .chain(listed_addresses(blueprint, node))
    {
        let network = &fixed.network.name.node;
        let why = fixed
            .address
            .parse()
            .ok()
            .and_then(|address| network::why_impossible(&request(fixed.network)?, address));
        if let Some(why) = why {
            let message = format!(
                "node `{}` cannot have the address {} on network `{network}`: {why}",
                node.name.node, fixed.address
            );
            let fault = fixed.value.span.error(Code::ArgumentValue, message);
            d.push(fault.related(fixed.network.name.span, "the network"));
        }
    }
}

/// Reports networks of one engine whose subnets overlap.
pub(crate) fn check_subnets(blueprint: &Blueprint, d: &mut Diagnostics) {
    let mut seen: Vec<(&Node, String, IpNet)> = Vec::new();
    for network in blueprint.nodes.values() {
        let engine = engine_key(network);
        for subnet in network::subnets(&request(network).unwrap_or_default()) {
            let rival = seen.iter().find(|(_, there, it)| {
                *there == engine && (it.contains(&subnet) || subnet.contains(it))
            });
            if let Some((other, _, it)) = rival {
                let (one, two) = (&network.name.node, &other.name.node);
                let message = if one == two {
                    format!("the subnets {it} and {subnet} of network `{one}` overlap")
                } else {
                    format!(
                        "the subnet {subnet} of network `{one}` overlaps with {it} of network `{two}`"
                    )
                };
                let fault = network.name.span.error(Code::ArgumentValue, message);
                d.push(fault.related(other.name.span, "the other network"));
            }
            seen.push((network, engine.clone(), subnet));
        }
    }
}

/// Returns the request that creates the network of a node, as far as it is known; none if the
/// network exists already.
fn request(network: &Node) -> Option<Json> {
    let is_created = operation(network, Operation::CreateNetwork).is_some();
    let properties = || Json::Object(known_properties(network).collect());
    (is_created && !is_adopted(network))
        .then(|| network::request(&properties()).ok())
        .flatten()
}

/// Returns the addresses in relationships to networks.
fn attached_addresses<'a>(blueprint: &'a Blueprint, node: &'a Node) -> Vec<FixedAddress<'a>> {
    let attachments = node.relationships.iter().filter(|it| is_attachment(it));
    let addresses = attachments.flat_map(|relationship| {
        let network = blueprint.nodes.get(&relationship.target.node);
        let values = ["ipv4_address", "ipv6_address"].map(|key| relationship.properties.get(key));
        let given = values.into_iter().flatten();
        given.filter_map(move |value| {
            Some(FixedAddress {
                network: network?,
                address: value.as_str()?.to_owned(),
                value,
            })
        })
    });
    addresses.collect()
}

/// Returns the addresses in `networking_config`, on networks that the blueprint names.
fn listed_addresses<'a>(blueprint: &'a Blueprint, node: &'a Node) -> Vec<FixedAddress<'a>> {
    let Some(endpoints) = endpoints(node).and_then(Value::as_map) else {
        return Vec::new();
    };
    let addresses = endpoints.entries.iter().flat_map(|(name, endpoint)| {
        let network = name
            .as_str()
            .and_then(|name| network_named(blueprint, name));
        let found = fixed_addresses(&endpoint.to_json()).into_iter();
        found.filter_map(move |address| {
            Some(FixedAddress {
                network: network?,
                value: part_with_text(endpoint, &address).unwrap_or(endpoint),
                address,
            })
        })
    });
    addresses.collect()
}

/// Returns the endpoints in the parameters of a container of the plugin 1.x or 2.x.
fn endpoints(node: &Node) -> Option<&Value> {
    let create = operation(node, Operation::Create).and_then(|it| it.inputs.get("params"));
    let arguments = || {
        node.properties
            .get("resource_config")?
            .get("container_args")
    };
    let networking = create.or_else(arguments)?.get("networking_config")?;
    networking
        .get("EndpointsConfig")
        .or_else(|| networking.get("endpoints_config"))
}

fn network_named<'a>(blueprint: &'a Blueprint, name: &str) -> Option<&'a Node> {
    let has_name = |node: &&Node| {
        let given = node.properties.get("name").and_then(Value::as_str);
        given == Some(name) && operation(node, Operation::CreateNetwork).is_some()
    };
    blueprint.nodes.values().find(has_name)
}

/// Returns the part of a value that is a text.
fn part_with_text<'a>(value: &'a Value, wanted: &str) -> Option<&'a Value> {
    if value.as_str() == Some(wanted) {
        return Some(value);
    }
    let entries = value.as_map().into_iter().flat_map(|map| &map.entries);
    entries
        .map(|(_, part)| part)
        .find_map(|part| part_with_text(part, wanted))
}
