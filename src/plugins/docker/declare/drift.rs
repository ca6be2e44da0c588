//! Detects drift of containers. Compares only the fields that an engine can change after creation;
//! a label contains the digest of the rest.

use crate::{
    model::{Definition, Deployment, Instance, function::contains_call},
    plugins::docker::declare::{
        action::Action,
        change::{ADJUSTABLE, add_swap},
        container::Container,
        declared::{creation, declaration, declared_name, engine, input, stop_params},
        infrakit,
        operation::is_infrakit,
    },
    seam::{Drift, Labeling, ObjectState},
};
use serde_json::{Map as JsonMap, Value as Json, json};

/// Returns the differences between the declaration of an instance and its container.
pub(crate) fn drift(deployment: &Deployment, instance: &str, found: &Container) -> Vec<Drift> {
    let pair = deployment
        .instance(instance)
        .and_then(|it| Some((it, deployment.node(it)?)));
    let Some((instance, node)) = pair.filter(|(_, node)| !node.is_adopted()) else {
        return Vec::new();
    };
    let creation = creation(deployment, instance, node);
    let step = |action: Action| action.into_step(engine(node));
    let mut all = Vec::new();
    if let Some(name) = declared_name(deployment, instance)
        .filter(|name| *name != crate::plugins::docker::declare::change::base_name(&found.name()))
    {
        let repair = step(Action::Rename {
            name: name.clone().into(),
        });
        all.push(Drift {
            field: "name".to_owned(),
            declared: name.into(),
            present: found.name().into(),
            repair,
            is_stale_start: false,
        });
    }
    let host = creation
        .converted()
        .ok()
        .and_then(|converted| converted.body.get("HostConfig").cloned())
        .unwrap_or_default();
    let now = &found.json["HostConfig"];
    for field in ADJUSTABLE
        .into_iter()
        .filter(|field| differs(field, &host[*field], &now[*field]))
    {
        let declaration = declaration(deployment, instance, node);
        let mut body: JsonMap<String, Json> = [(field.to_owned(), host[field].clone())]
            .into_iter()
            .collect();
        add_swap(&mut body, host.get("MemorySwap"));
        let repair = step(Action::Adjust {
            body: body.into(),
            declaration,
        });
        all.push(Drift {
            field: field.to_owned(),
            declared: host[field].clone(),
            present: now[field].clone(),
            repair,
            is_stale_start: false,
        });
    }
    let networks = found.json["NetworkSettings"]["Networks"]
        .as_object()
        .cloned()
        .unwrap_or_default();
    for attachment in &creation.networks {
        let Some(name) = attachment
            .network
            .as_str()
            .filter(|name| !networks.contains_key(*name))
        else {
            continue;
        };
        let repair = step(Action::Connect {
            network: attachment.network.clone(),
            endpoint: attachment.endpoint.clone(),
        });
        let there: Vec<&String> = networks.keys().collect();
        all.push(Drift {
            field: "network".to_owned(),
            declared: name.into(),
            present: json!(there),
            repair,
            is_stale_start: false,
        });
    }
    all.extend(left_networks(node, &networks));
    all
}

/// Returns the drift of a container that started before the present start of the container whose
/// namespaces it shares: it still has those of the start before, which lead nowhere.
pub(crate) fn stale_namespace(
    (instance, node): (&Instance, &Definition),
    found: &Container,
    owner: &Container,
) -> Option<Drift> {
    let (field, _) = shared_namespace(found).filter(|(_, id)| *id == owner.id())?;
    let [mine, of_owner] = [found, owner].map(Container::started_ms);
    let runs = [found, owner]
        .iter()
        .all(|it| it.state() == ObjectState::Running);
    let is_stale = runs && !node.is_adopted() && mine? < of_owner?;
    let params = stop_params(node, input(node, "stop", "params").clone());
    is_stale.then(|| Drift {
        field: field.to_owned(),
        declared: format!(
            "of {}, since {}",
            owner.name(),
            owner.started_at().unwrap_or_default()
        )
        .into(),
        present: format!(
            "of its start before; {} runs since {}",
            instance.id,
            found.started_at().unwrap_or_default()
        )
        .into(),
        repair: Action::Restart { params }.into_step(engine(node)),
        is_stale_start: true,
    })
}

/// Returns the argument that makes a container share a network or an IPC namespace, and the ID of
/// the other container. One that shares processes ends with the other one.
pub(crate) fn shared_namespace(found: &Container) -> Option<(&'static str, &str)> {
    let modes = [
        ("network_mode", "/HostConfig/NetworkMode"),
        ("ipc_mode", "/HostConfig/IpcMode"),
    ];
    let shared = |(argument, path): (&'static str, &str)| {
        Some((argument, found.text(path)?.strip_prefix("container:")?))
    };
    modes.into_iter().find_map(shared)
}

/// Returns the networks of an instance of InfraKit that its container has left.
fn left_networks(node: &Definition, present: &JsonMap<String, Json>) -> Vec<Drift> {
    if !is_infrakit(node) {
        return Vec::new();
    }
    let joined = infrakit::networks(node).into_iter();
    let named = joined.map(|network| (infrakit::network_name(&network), network));
    let left = named.filter(|(name, _)| !present.contains_key(name));
    let drift = |(name, network): (String, Json)| Drift {
        field: "network".to_owned(),
        declared: name.into(),
        present: json!(present.keys().collect::<Vec<_>>()),
        repair: Action::JoinNetwork {
            network,
            labeling: Labeling::Deployment,
        }
        .into_step(engine(node)),
        is_stale_start: false,
    };
    left.map(drift).collect()
}

/// Returns true if a field is declared and the engine shows another value. An empty value does not
/// count: engines omit limits that they do not support.
fn differs(field: &str, declared: &Json, found: &Json) -> bool {
    if declared.is_null() || contains_call(declared) {
        return false;
    }
    let nothing = |value: &Json| {
        matches!(value, Json::Null)
            || *value == 0
            || *value == -1
            || *value == ""
            || *value == json!({ "Name": "" })
    };
    if field == "RestartPolicy" {
        let name = |value: &Json| {
            value["Name"]
                .as_str()
                .filter(|name| !name.is_empty())
                .unwrap_or("no")
                .to_owned()
        };
        let times = |value: &Json| value["MaximumRetryCount"].as_i64().unwrap_or(0);
        return name(declared) != name(found) || times(declared) != times(found);
    }
    declared != found && !nothing(declared) && !nothing(found)
}
