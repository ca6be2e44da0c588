//! Decides how to apply a changed definition to an object, and plans the replacement of a
//! container.

use crate::{
    engine::Kind,
    model::{
        Definition, Deployment, Instance,
        function::{contains_call, is_call},
    },
    plugins::{
        InstanceRef, Replacement,
        docker::declare::{
            action::{Action, Creation},
            declared::{
                adopted_name, conditions, creation, declaration, engine, expected_exit, input,
                object_name, processes, stop_params,
            },
            operation::{is_started, kind},
            status::matches_declaration,
        },
    },
    record::Record,
    seam::{Change, Declares, Object, Observed, Step},
};
use serde_json::{Map as JsonMap, Value as Json, json};

/// Suffix of the name of a successor.
pub const SUCCESSOR_SUFFIX: &str = ".dockctl-next";

/// Suffix of the name of a predecessor.
pub(crate) const PREDECESSOR_SUFFIX: &str = ".dockctl-former";

/// Suffix of the name of a predecessor that existed before the deployment and is kept.
pub(crate) const KEPT_SUFFIX: &str = ".before-dockctl";

pub(crate) use crate::instance_record::{PREDECESSOR, SUCCESSOR};

/// Runtime property with the original restart policy of an adopted container during its
/// replacement. Until it is restored, the container must not restart by itself.
pub(crate) const PREDECESSOR_POLICY: &str = "predecessor_restart_policy";

/// Runtime property with the anonymous volumes of the predecessor, by mount path.
pub(crate) const CARRIED_VOLUMES: &str = "carried_volumes";

/// Fields of `HostConfig` that engines can change on a running container.
pub(crate) const ADJUSTABLE: [&str; 14] = [
    "BlkioWeight",
    "CpuPeriod",
    "CpuQuota",
    "CpuRealtimePeriod",
    "CpuRealtimeRuntime",
    "CpuShares",
    "CpusetCpus",
    "CpusetMems",
    "Memory",
    "MemoryReservation",
    "MemorySwap",
    "NanoCpus",
    "PidsLimit",
    "RestartPolicy",
];

/// Returns the name without the suffix that a replacement added.
#[must_use]
pub fn base_name(name: &str) -> &str {
    [SUCCESSOR_SUFFIX, PREDECESSOR_SUFFIX, KEPT_SUFFIX]
        .iter()
        .find_map(|end| name.strip_suffix(end))
        .unwrap_or(name)
}

impl Action {
    pub(crate) fn declares(&self) -> Option<Declares> {
        match self {
            Self::Create(_)
            | Self::CreateNetwork(_)
            | Self::CreateVolume(_)
            | Self::Swap { .. } => Some(Declares::New),
            Self::Adjust { declaration, .. } => Some(Declares::Adjusted(declaration.clone())),
            _ => None,
        }
    }
}

/// Returns the change that makes the object of an instance match the present definition.
pub(crate) fn change(
    instance: &Instance,
    node: &Definition,
    record: &Record,
    observed: &Observed,
) -> Change {
    let known = record.instances.get(&instance.id);
    let former = known.and_then(|known| known.former.as_deref());
    let Some(kind) = kind(node) else {
        let does_nothing =
            node.operations.is_empty() && former.is_none_or(|former| former.operations.is_empty());
        return if does_nothing {
            Change::Nothing
        } else {
            Change::Recreate
        };
    };
    let Some(deployment) = &record.deployment else {
        return Change::Recreate;
    };
    let Some(former) = former else {
        return match kind {
            Kind::Container if !node.is_adopted() => Change::Replace,
            Kind::Volume if !node.is_adopted() => refuse_volume_change(instance, observed),
            _ => Change::Recreate,
        };
    };
    let before = Instance {
        relationships: known
            .map(|known| known.former_relationships.clone())
            .unwrap_or_default(),
        ..instance.clone()
    };
    if engine(node) != engine(former) {
        let why = "it cannot move to another engine: remove the node, update, add the node again, and update again";
        return Change::Refused(why.to_owned());
    }
    match (former.is_adopted(), node.is_adopted()) {
        (true, true) if adopted_name(former) == adopted_name(node) => return Change::Nothing,
        (false, true) => {
            let why = "`use_external_resource: true` cannot be set for an object that this deployment created: uninstall would delete it";
            return Change::Refused(why.to_owned());
        }
        (true, false) if kind == Kind::Container => return Change::Replace,
        (true, false)
            if adopted_name(former).as_deref()
                == object_name(&deployment.name, instance, node).as_str() =>
        {
            return Change::Refused(refuse_name_conflict(kind));
        }
        (false, false)
            if declaration(deployment, &before, former)
                == declaration(deployment, instance, node) =>
        {
            // A container must be replaced if its secrets changed or if it does not match its
            // unchanged declaration. Neither matters for networks and volumes.
            let as_declared = observed
                .of_instance(&instance.id)
                .is_none_or(|object| matches_declaration(object, instance, node, record));
            let needs_replacement =
                kind == Kind::Container && (former.secrets != node.secrets || !as_declared);
            return if needs_replacement {
                Change::Replace
            } else {
                Change::Nothing
            };
        }
        (false, false) => {}
        _ => return Change::Recreate,
    }
    match kind {
        Kind::Volume => refuse_volume_change(instance, observed),
        Kind::Container if former.secrets != node.secrets => Change::Replace,
        Kind::Container => in_place_update(deployment, (&before, former), (instance, node))
            .map_or(Change::Replace, |step| Change::Adjust(Box::new(step))),
        Kind::Network => match observed.of_instance(&instance.id).and_then(used_by_others) {
            Some(why) => Change::Refused(why),
            None => Change::Recreate,
        },
        Kind::Image => Change::Recreate,
    }
}

/// Returns the reason why a network cannot be removed: containers outside the deployment use it.
pub(crate) fn used_by_others(network: &Object) -> Option<String> {
    if network.kind != Kind::Network.as_str() {
        return None;
    }
    let Object {
        name,
        foreign_users,
        ..
    } = network;
    let first = foreign_users.first()?;
    let others = match foreign_users.len() {
        1 => String::new(),
        count => format!(" and {} more", count - 1),
    };
    Some(format!(
        "container `{first}`{others}, outside this deployment, uses the network: remove it, or run: docker network disconnect {name} {first}"
    ))
}

fn refuse_volume_change(instance: &Instance, observed: &Observed) -> Change {
    let name = observed
        .of_instance(&instance.id)
        .map_or(instance.node.as_str(), |object| object.name.as_str());
    Change::Refused(format!(
        "volumes cannot be changed, because the data in `{name}` would be lost: declare the new volume as another node with another name"
    ))
}

/// Returns the reason for refusing the change: engines can rename only containers, so an adopted
/// object of another kind cannot release its name.
fn refuse_name_conflict(kind: Kind) -> String {
    let kind = kind.as_str();
    format!(
        "the adopted {kind} already has the name of the new one, and engines cannot rename {kind}s: give the node another `name`, or leave it adopted"
    )
}

/// Returns the step that updates the container in place, if that is sufficient.
fn in_place_update(
    deployment: &Deployment,
    (before, former): (&Instance, &Definition),
    (instance, node): (&Instance, &Definition),
) -> Option<Step> {
    let wanted = creation(deployment, instance, node);
    let (old_rest, old) = split_adjustable(
        &creation(deployment, before, former),
        deployment,
        before,
        former,
    )?;
    let (new_rest, new) = split_adjustable(&wanted, deployment, instance, node)?;
    let mut body = JsonMap::new();
    for (field, value) in new
        .iter()
        .filter(|(field, value)| old.get(*field) != Some(value))
    {
        // Engines read 0 and "" as "no change".
        (*value != 0 && *value != "").then(|| body.insert(field.clone(), value.clone()))?;
    }
    for field in old.keys().filter(|field| !new.contains_key(*field)) {
        // Only the restart policy has an explicit value for "not declared".
        (field == "RestartPolicy").then(|| body.insert(field.clone(), json!({ "Name": "no" })))?;
    }
    add_swap(&mut body, new.get("MemorySwap"));
    let body = Json::Object(body);
    let is_all = !body.as_object().is_none_or(JsonMap::is_empty)
        && old_rest == new_rest
        && !contains_call(&body);
    if !is_all {
        return None;
    }
    let action = Action::Adjust {
        body,
        declaration: declaration(deployment, instance, node),
    };
    Some(action.into_step(engine(node)))
}

/// Adds `MemorySwap` to an update of `Memory`: engines require both together. Without a declared
/// value it is twice the memory, the engine's default when it creates a container.
pub(crate) fn add_swap(body: &mut JsonMap<String, Json>, declared: Option<&Json>) {
    if let Some(memory) = body.get("Memory").and_then(Json::as_i64) {
        body.insert(
            "MemorySwap".to_owned(),
            declared.cloned().unwrap_or_else(|| (memory * 2).into()),
        );
    }
}

/// Splits a definition of a container into the part that is fixed at creation and the fields that
/// can be changed later.
fn split_adjustable(
    creation: &Creation,
    deployment: &Deployment,
    instance: &Instance,
    node: &Definition,
) -> Option<(Json, JsonMap<String, Json>)> {
    let mut declared: Json = serde_json::from_str(&declaration(deployment, instance, node)).ok()?;
    let mut body = creation.converted().ok()?.body;
    let mut adjustable = JsonMap::new();
    if let Some(host) = body.get_mut("HostConfig").and_then(Json::as_object_mut) {
        for field in ADJUSTABLE {
            adjustable.extend(
                host.shift_remove(field)
                    .map(|value| (field.to_owned(), value)),
            );
        }
        // An empty mapping declares nothing.
        if host.is_empty() {
            body.shift_remove("HostConfig");
        }
    }
    for arguments in ["create", "start", "container_args"] {
        let given = declared
            .as_object_mut()?
            .shift_remove(arguments)
            .unwrap_or_default();
        // Late values are not in the body: compare them as they are written in the blueprint.
        if contains_call(&given) {
            declared[arguments] = late_arguments(given);
        }
    }
    body.sort_keys();
    Some((json!([declared, body]), adjustable))
}

/// Returns the arguments that contain late values. The others are in the body.
fn late_arguments(mut arguments: Json) -> Json {
    if is_call(&arguments) {
        return arguments;
    }
    if let Some(fields) = arguments.as_object_mut() {
        fields.retain(|_, value| contains_call(value));
        if let Some(host) = fields.get_mut("host_config") {
            *host = late_arguments(std::mem::take(host));
        }
    }
    arguments
}

/// Returns the steps that replace the container created from `former`. A container that is no
/// longer adopted is kept.
pub(crate) fn replacement(part: InstanceRef<'_>, former: &Definition) -> Option<Replacement> {
    let InstanceRef {
        deployment,
        instance,
        node,
    } = part;
    (kind(node) == Some(Kind::Container)).then(|| {
        let keeps = former.is_adopted() && !node.is_adopted();
        let stop = |node| stop_params(node, input(node, "stop", "params").clone());
        let name = object_name(&deployment.name, instance, node);
        // An adopted container has the name it was adopted by, unless that is an ID.
        let former_name = adopted_name(former).filter(|name| !is_id(name));
        let [new, old] = [engine(node), engine(former)];
        Replacement {
            stop: Action::Stop {
                params: stop(former),
            }
            .into_step(old.clone()),
            step_aside: Action::StepAside {
                name: name.clone(),
                keeps,
            }
            .into_step(old.clone()),
            swap: Action::Swap { name, keeps }.into_step(new.clone()),
            prove: stay_up_check(node).map(|action| action.into_step(new.clone())),
            discard: Action::Discard {
                stop: stop(node),
                keeps,
            }
            .into_step(new),
            withdraw: Action::Withdraw.into_step(old.clone()),
            step_back: Action::RestorePredecessor {
                name: former_name.into(),
            }
            .into_step(old.clone()),
            restart: Action::RestartPredecessor.into_step(old),
        }
    })
}

/// Returns the action that checks that the container stays up; none if waits prove the container or
/// if it is expected to exit.
fn stay_up_check(node: &Definition) -> Option<Action> {
    let is_shown =
        processes(node).is_some() || !conditions(node).is_empty() || expected_exit(node).is_some();
    (is_started(node) && !is_shown).then_some(Action::CheckUp)
}

/// Returns true if a name can be a full or abbreviated container ID.
fn is_id(name: &str) -> bool {
    name.len() >= 12 && name.chars().all(|c| c.is_ascii_hexdigit())
}
