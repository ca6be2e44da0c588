//! Detects drift of containers. Compares only the fields that an engine can change after creation;
//! a label contains the digest of the rest.

use crate::{
    model::{Definition, Deployment, function::contains_call},
    plugins::docker::declare::{
        action::{Action, Attachment, Creation},
        change::{ADJUSTABLE, add_swap},
        container::Container,
        declared::{
            creation, declaration, declared_name, engine, expected_exit, input, stop_params,
        },
        infrakit,
        json::text,
        operation::is_infrakit,
    },
    seam::{self, Drift, DriftKind, Labeling, Namespace, ObjectState, Step},
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
            kind: DriftKind::Setting,
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
            kind: DriftKind::Setting,
        });
    }
    let networks = found.json["NetworkSettings"]["Networks"]
        .as_object()
        .cloned()
        .unwrap_or_default();
    let only = only_network(found, &creation).filter(|_| networks.is_empty());
    for attachment in creation.networks.iter().chain(&only) {
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
            kind: DriftKind::Setting,
        });
    }
    all.extend(left_networks(node, &networks));
    all
}

/// Returns the network that a container was created on, if no relationship declares one.
fn only_network(found: &Container, creation: &Creation) -> Option<Attachment> {
    if !creation.networks.is_empty() {
        return None;
    }
    let body = creation.converted().ok()?.body;
    // Podman shows `bridge` for any network.
    let declared = body
        .get("HostConfig")
        .map_or("", |host| text(&host["NetworkMode"]));
    let mode = Some(declared).filter(|mode| !mode.is_empty());
    let name = match mode.or_else(|| found.text("/HostConfig/NetworkMode"))? {
        "default" => "bridge",
        "none" | "host" | "" => return None,
        // `container:` and the like; Podman has modes without a network of the engine.
        mode if mode.contains(':') || ["pasta", "slirp4netns", "private"].contains(&mode) => {
            return None;
        }
        name => name,
    };
    let endpoints = body.get("NetworkingConfig");
    let endpoint = endpoints.map(|it| it["EndpointsConfig"][name].clone());
    Some(Attachment {
        network: name.into(),
        endpoint: endpoint.unwrap_or_default(),
    })
}

/// Returns the drift of a container that shares a namespace of the start before of another container:
/// it has no network any more, or it ended with the processes of that start.
pub(crate) fn stale_namespace<'c>(
    (instance, node): (&str, &Definition),
    found: &'c Container,
    by_id: &ById<'_, 'c>,
) -> Option<Drift> {
    let is_affected = |it: &SharedNamespace<'_>| match it.namespace {
        Namespace::Processes => {
            found.state() == ObjectState::Exited && expected_exit(node).is_none()
        }
        Namespace::Network | Namespace::Ipc => found.state() == ObjectState::Running,
    };
    let mut affected = shared_namespaces(found).filter(is_affected);
    affected.find_map(|shared| stale_start((instance, node), found, &shared, by_id))
}

fn stale_start<'c>(
    (instance, node): (&str, &Definition),
    found: &Container,
    shared: &SharedNamespace<'c>,
    by_id: &ById<'_, 'c>,
) -> Option<Drift> {
    let path = path_of(shared, by_id);
    let owner = path.last().and_then(|id| by_id(id))?;
    let of_owner = owner.started_ms()?;
    // One that joined a stale namespace has a stale namespace, too.
    let between = path.iter().filter_map(|id| by_id(id));
    let mut joined = [found].into_iter().chain(between);
    let is_stale = owner.state() == ObjectState::Running
        && !node.is_adopted()
        && joined.any(|it| it.started_ms().is_some_and(|mine| mine < of_owner));
    is_stale.then(|| Drift {
        field: shared.argument.to_owned(),
        declared: format!(
            "of {}, since {}",
            owner.name(),
            owner.started_at().unwrap_or_default()
        )
        .into(),
        present: format!(
            "of its start before; {instance} was started at {}",
            found.started_at().unwrap_or_default()
        )
        .into(),
        repair: again(node, shared),
        kind: DriftKind::StaleStart,
    })
}

/// Finds a container by its ID.
pub(crate) type ById<'f, 'c> = dyn Fn(&str) -> Option<&'c Container> + 'f;

/// Returns the ID of the container whose namespace it is. The named container may share it itself:
/// its own starts do not change the namespace then.
pub(crate) fn root_owner<'c>(shared: &SharedNamespace<'c>, by_id: &ById<'_, 'c>) -> &'c str {
    let path = path_of(shared, by_id);
    path.last().copied().unwrap_or(shared.owner)
}

/// Returns the IDs of the named container and of those through which it shares the namespace. The
/// last one is the owner; it may be gone.
fn path_of<'c>(shared: &SharedNamespace<'c>, by_id: &ById<'_, 'c>) -> Vec<&'c str> {
    let mut path = vec![shared.owner];
    while let Some(owner) = path.last().and_then(|id| by_id(id)) {
        let mut above = shared_namespaces(owner).filter(|it| it.namespace == shared.namespace);
        match above.next() {
            Some(above) if !path.contains(&above.owner) => path.push(above.owner),
            _ => break,
        }
    }
    path
}

/// Returns the drift of a container that uses a namespace of a container that is gone, and runs or
/// should run.
pub(crate) fn lost_namespace<'c>(
    node: &Definition,
    found: &'c Container,
    by_id: &ById<'_, 'c>,
) -> Option<Drift> {
    let is_affected = match found.state() {
        ObjectState::Running => true,
        ObjectState::Exited => expected_exit(node).is_none(),
        _ => false,
    };
    let is_lost = |it: &SharedNamespace<'c>| by_id(root_owner(it, by_id)).is_none();
    let mut lost = shared_namespaces(found).filter(|it| !it.owner.is_empty() && is_lost(it));
    let lost = lost.next().filter(|_| is_affected && !node.is_adopted())?;
    Some(Drift {
        field: lost.argument.to_owned(),
        declared: "of a container that exists".into(),
        present: "of a container that is gone".into(),
        repair: again(node, &lost),
        kind: DriftKind::CutOff,
    })
}

/// Returns the step that starts a container again after the one whose namespace it shares.
fn again(node: &Definition, shared: &SharedNamespace<'_>) -> Step {
    let params = || stop_params(node, input(node, "stop", "params").clone());
    let action = match shared.namespace {
        Namespace::Processes => Action::Start { adopted: false },
        Namespace::Network | Namespace::Ipc => Action::Restart { params: params() },
    };
    action.into_step(engine(node))
}

/// Returns the namespaces of other containers that the container of a node shares, for the kernel.
pub(crate) fn namespaces<'c>(
    node: &Definition,
    found: &'c Container,
    by_id: &ById<'_, 'c>,
) -> Vec<seam::SharedNamespace> {
    let of = |shared: SharedNamespace<'c>| seam::SharedNamespace {
        namespace: shared.namespace,
        joined: shared.owner.to_owned(),
        owner: root_owner(&shared, by_id).to_owned(),
        again: again(node, &shared),
    };
    shared_namespaces(found).map(of).collect()
}

/// The namespace that a container shares with another one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SharedNamespace<'c> {
    /// The namespace.
    pub namespace: Namespace,
    /// The argument that declares it.
    pub argument: &'static str,
    /// Path of its field in the request and in the container.
    pub path: &'static str,
    /// ID of the other container.
    pub owner: &'c str,
}

/// Returns the namespaces that a container shares with other ones.
pub(crate) fn shared_namespaces(found: &Container) -> impl Iterator<Item = SharedNamespace<'_>> {
    let modes = [
        ("pid_mode", "/HostConfig/PidMode", Namespace::Processes),
        (
            "network_mode",
            "/HostConfig/NetworkMode",
            Namespace::Network,
        ),
        ("ipc_mode", "/HostConfig/IpcMode", Namespace::Ipc),
    ];
    modes.into_iter().filter_map(|(argument, path, namespace)| {
        let owner = found.text(path)?.strip_prefix("container:")?;
        Some(SharedNamespace {
            namespace,
            argument,
            path,
            owner,
        })
    })
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
        kind: DriftKind::Setting,
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns a running container that shares the network of another one.
    fn container(id: &str, owner: &str, started: u32) -> Container {
        let mode = match owner {
            "" => "bridge".to_owned(),
            owner => format!("container:{owner}"),
        };
        Container::new(json!({
            "Id": id,
            "Name": format!("/{id}"),
            "State": { "Status": "running", "StartedAt": format!("2030-01-01T00:00:{started:02}Z") },
            "HostConfig": { "NetworkMode": mode },
        }))
    }

    /// Returns the drift of `c`, which shares the network of `b`, which shares that of `a`.
    fn drift_of_c(containers: &[Container]) -> Option<DriftKind> {
        let by_id = |id: &str| containers.iter().find(|it| it.id() == id);
        let c = by_id("c").unwrap();
        let node = Definition::default();
        let lost = lost_namespace(&node, c, &by_id);
        let drift = lost.or_else(|| stale_namespace(("c", &node), c, &by_id));
        drift.map(|it| it.kind)
    }

    #[test]
    fn starts_of_the_owner_of_a_namespace_count() {
        let chain = |a: u32, b: u32, c: u32| {
            let all = [
                container("a", "", a),
                container("b", "a", b),
                container("c", "b", c),
            ];
            drift_of_c(&all)
        };
        assert_eq!(chain(1, 2, 3), None);
        // `b` has joined the namespace of `a` again.
        assert_eq!(chain(1, 4, 3), None);
        assert_eq!(chain(5, 2, 3), Some(DriftKind::StaleStart));
        assert_eq!(chain(5, 6, 3), Some(DriftKind::StaleStart));
        // `c` has joined `b`, which has the namespace of an earlier start of `a`.
        assert_eq!(chain(5, 2, 6), Some(DriftKind::StaleStart));
    }

    #[test]
    fn namespace_of_a_container_that_is_gone_is_lost() {
        let chain = [container("b", "a", 2), container("c", "b", 3)];
        assert_eq!(drift_of_c(&chain), Some(DriftKind::CutOff));
    }
}
