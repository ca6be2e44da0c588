//! Where a script runs.

use crate::{
    model::{Definition, OperationDefinition, function::contains_call},
    plugins::InstanceRef,
};
use serde_json::Value as Json;
use std::net::IpAddr;

/// Executor of operations that run where the manager runs.
const CENTRAL: &str = "central_deployment_agent";
/// Install method of hosts without an agent.
const NO_AGENT: &str = "none";

/// Returns true if a script of an instance runs on this machine: its executor is central, no host
/// contains the instance, or the host is this machine.
#[must_use]
pub(crate) fn runs_here(part: InstanceRef<'_>, operation: &OperationDefinition) -> bool {
    let host = part.instance.host.as_deref();
    let host = host.and_then(|id| part.deployment.instance(id));
    // The definition of the instance itself can be older than that of the deployment.
    let definition = host.and_then(|host| {
        if host.id == part.instance.id {
            Some(part.node)
        } else {
            part.deployment.node(host)
        }
    });
    is_here(operation, definition)
}

/// Returns true if a script runs on this machine, from the definition of its host.
#[must_use]
pub(crate) fn is_here(operation: &OperationDefinition, host: Option<&Definition>) -> bool {
    operation.executor.as_deref() == Some(CENTRAL) || host.is_none_or(is_this_machine)
}

/// Returns true if a host is this machine: it has no agent, no address, or a loopback address.
fn is_this_machine(host: &Definition) -> bool {
    let property = |name: &str| host.properties.get(name);
    let method = property("agent_config").and_then(|config| config["install_method"].as_str());
    method == Some(NO_AGENT)
        || property("install_agent") == Some(&Json::Bool(false))
        || property("ip").is_none_or(is_own_address)
}

fn is_own_address(address: &Json) -> bool {
    match address {
        Json::Null => true,
        Json::String(text) => is_loopback(text.trim()),
        other => !contains_call(other),
    }
}

fn is_loopback(text: &str) -> bool {
    let address: Option<IpAddr> = text.parse().ok();
    text.is_empty()
        || text.eq_ignore_ascii_case("localhost")
        || address.is_some_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn hosts_on_this_machine_are_recognized() {
        let is_here = |properties: Json| {
            is_this_machine(&Definition {
                properties: properties.as_object().cloned().unwrap(),
                ..Definition::default()
            })
        };
        let remote = json!({ "install_method": "remote" });
        for here in [
            json!({}),
            json!({ "ip": "" }),
            json!({ "ip": null }),
            json!({ "ip": "127.0.0.1", "agent_config": remote }),
            json!({ "ip": "::1" }),
            json!({ "ip": "localhost" }),
            json!({ "ip": "10.0.0.1", "agent_config": { "install_method": "none" } }),
            json!({ "ip": "10.0.0.1", "install_agent": false }),
        ] {
            assert!(is_here(here.clone()), "{here}");
        }
        for elsewhere in [
            json!({ "ip": "10.0.0.1", "agent_config": remote }),
            json!({ "ip": "host.example" }),
            json!({ "ip": { "get_attribute": ["vm", "ip"] }, "agent_config": remote }),
        ] {
            assert!(!is_here(elsewhere.clone()), "{elsewhere}");
        }
    }
}
