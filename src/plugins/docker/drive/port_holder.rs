//! Names the container that publishes a host port which the engine refuses to another one.

use crate::{
    engine::{EngineError, Kind, KnownMessage},
    plugins::docker::{
        declare::{
            container::Container,
            json::{list, pairs, text},
        },
        drive::engine::{Engine, listed_name},
    },
    printable::printable,
    seam::Failure,
};
use serde_json::Value as Json;

impl Engine {
    /// Adds the holder of a port to the failure of a start, if that is why the engine refused it and
    /// a container holds it.
    pub(crate) async fn with_port_holder(
        &self,
        failure: Failure,
        error: &EngineError,
        refused: Option<&Container>,
    ) -> Failure {
        if !KnownMessage::PortTaken.matches_error(error) {
            return failure;
        }
        let running = self.client.list(Kind::Container, &[]).await;
        let holder = refused.zip(running.ok());
        let Some(holder) = holder.and_then(|(refused, running)| port_holder(refused, &running))
        else {
            return failure;
        };
        let message = format!("{}: {holder}", failure.message);
        Failure { message, ..failure }
    }
}

/// Describes the running container that publishes a host port which `refused` requests.
fn port_holder(refused: &Container, running: &[Json]) -> Option<String> {
    let wanted = host_ports(&refused.json["HostConfig"]["PortBindings"]);
    let others = running
        .iter()
        .filter(|it| it["Id"] != refused.id().as_str());
    let published = others.flat_map(|it| list(&it["Ports"]).map(move |port| (it, port)));
    let is_wanted = |port: &Json| {
        let given = (port["PublicPort"].as_u64(), text(&port["Type"]));
        let is_it = |it: &HostPort<'_>| {
            given == (Some(it.port), it.protocol) && overlap(it.address, text(&port["IP"]))
        };
        wanted.iter().any(is_it)
    };
    let (holder, port) = published.into_iter().find(|(_, port)| is_wanted(port))?;
    let name = listed_name(holder)?;
    let (number, protocol) = (&port["PublicPort"], printable(text(&port["Type"])));
    Some(format!(
        "container `{}` publishes {number}/{protocol}",
        printable(&name)
    ))
}

/// A host port that a container requests.
struct HostPort<'b> {
    address: &'b str,
    port: u64,
    protocol: &'b str,
}

/// Returns true if ports on these addresses exclude each other.
fn overlap(one: &str, other: &str) -> bool {
    let is_any = |address: &str| matches!(address, "" | "0.0.0.0" | "::");
    one == other || is_any(one) || is_any(other)
}

/// Returns the host ports of port bindings.
fn host_ports(bindings: &Json) -> Vec<HostPort<'_>> {
    let mut ports = Vec::new();
    for (port, bindings) in pairs(bindings) {
        let protocol = port.split_once('/').map_or("tcp", |(_, protocol)| protocol);
        let one = |it: &'_ Json| text(&it["HostPort"]).parse().ok();
        for binding in list(bindings) {
            ports.extend(one(binding).map(|port| HostPort {
                address: text(&binding["HostIp"]),
                port,
                protocol,
            }));
        }
    }
    ports
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn holder_publishes_the_port_with_the_same_protocol() {
        let bindings = json!({ "53/udp": [{ "HostIp": "", "HostPort": "5353" }] });
        let refused = Container {
            json: json!({ "Id": "a", "HostConfig": { "PortBindings": bindings } }),
        };
        let running = |id: &str, protocol: &str| {
            let port =
                json!({ "IP": "0.0.0.0", "PrivatePort": 53, "PublicPort": 5353, "Type": protocol });
            json!({ "Id": id, "Names": ["/dns"], "Ports": [port] })
        };
        let holder = |it: Json| port_holder(&refused, &[it]);
        assert_eq!(
            holder(running("b", "udp")).as_deref(),
            Some("container `dns` publishes 5353/udp")
        );
        assert_eq!(holder(running("b", "tcp")), None);
        assert_eq!(holder(running("a", "udp")), None);
        let mut elsewhere = refused.json.clone();
        elsewhere["HostConfig"]["PortBindings"]["53/udp"][0]["HostIp"] = "127.0.0.1".into();
        let elsewhere = Container { json: elsewhere };
        let mut other = running("b", "udp");
        other["Ports"][0]["IP"] = "10.0.0.1".into();
        assert_eq!(port_holder(&elsewhere, &[other]), None);
    }
}
