//! What it takes to change a container, and the steps that replace one.

use crate::{
    engine::Kind,
    model::{Definition, Deployment, Instance, function::holds_call},
    plugins::{
        Part, Replacement,
        docker::declare::{
            action::{Action, Creation},
            declared::{
                adopted_name, conditions, creation, declaration, engine, expected_exit, input,
                object_name, processes, stop_params,
            },
            operation::{is_started, kind},
            standing::is_as_declared,
        },
    },
    record::Record,
    seam::{Change, Declares, Observed, Step},
};
use serde_json::{Map as JsonMap, Value as Json, json};

/// What the name of a container ends with that is to take the place of another.
pub const NEXT: &str = ".dockctl-next";

/// What the name of a container ends with whose place another took.
pub(crate) const FORMER: &str = ".dockctl-former";

/// The same, of one that was there before the deployment and is kept.
pub(crate) const BEFORE: &str = ".before-dockctl";

pub(crate) use crate::known::{PREDECESSOR, SUCCESSOR};

/// The restart policy of an adopted container that stepped aside: until it is put back it must not
/// start by itself.
pub(crate) const POLICY: &str = "predecessor_restart_policy";

/// Anonymous volumes of the container before, by where they are mounted.
pub(crate) const CARRIED: &str = "carried_volumes";

/// Fields of `HostConfig` that engines change while a container runs.
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

/// The name without what a change in progress put behind it.
#[must_use]
pub fn lasting_name(name: &str) -> &str {
    [NEXT, FORMER, BEFORE]
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
            | Self::Swap { .. } => Some(Declares::Anew),
            Self::Adjust { declaration, .. } => Some(Declares::Adjusted(declaration.clone())),
            _ => None,
        }
    }
}

/// What it takes to make an instance what its node says now.
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
            Change::Remake
        };
    };
    let Some(deployment) = &record.deployment else {
        return Change::Remake;
    };
    let Some(former) = former else {
        return match kind {
            Kind::Container if !node.is_adopted() => Change::Replace,
            Kind::Volume if !node.is_adopted() => volume_stays(instance, observed),
            _ => Change::Remake,
        };
    };
    let before = Instance {
        ties: known
            .map(|known| known.former_ties.clone())
            .unwrap_or_default(),
        ..instance.clone()
    };
    if engine(node) != engine(former) {
        let why = "it is to move to another engine; take it down first: remove the node, update, put it back, and update again";
        return Change::Refused(why.to_owned());
    }
    match (former.is_adopted(), node.is_adopted()) {
        (true, true) if adopted_name(former) == adopted_name(node) => return Change::Nothing,
        (false, true) => {
            let why = "it was made for the deployment and is to be adopted from now on; uninstall takes it down, and cannot leave it";
            return Change::Refused(why.to_owned());
        }
        (true, false) if kind == Kind::Container => return Change::Replace,
        (true, false)
            if adopted_name(former).as_deref()
                == object_name(&deployment.name, instance, node).as_str() =>
        {
            return Change::Refused(cannot_make_way(kind));
        }
        (false, false)
            if declaration(deployment, &before, former)
                == declaration(deployment, instance, node) =>
        {
            // What other secrets go into, or what was attached that is gone, cannot be changed as
            // it stands; of networks and volumes nobody would notice.
            let as_declared = observed
                .of(&instance.id)
                .is_none_or(|object| is_as_declared(object, instance, node, record));
            let is_other =
                kind == Kind::Container && (former.secrets != node.secrets || !as_declared);
            return if is_other {
                Change::Replace
            } else {
                Change::Nothing
            };
        }
        (false, false) => {}
        _ => return Change::Remake,
    }
    match kind {
        Kind::Volume => volume_stays(instance, observed),
        Kind::Container if former.secrets != node.secrets => Change::Replace,
        Kind::Container => adjustment(deployment, (&before, former), (instance, node))
            .map_or(Change::Replace, |step| Change::Adjust(Box::new(step))),
        Kind::Network | Kind::Image => Change::Remake,
    }
}

fn volume_stays(instance: &Instance, observed: &Observed) -> Change {
    let name = observed
        .of(&instance.id)
        .map_or(instance.node.as_str(), |object| object.name.as_str());
    Change::Refused(format!(
        "volumes cannot be changed; what is in `{name}` would be lost: declare the new one as another node, with another name"
    ))
}

/// Engines rename containers only: what else was adopted cannot give its name to another one.
fn cannot_make_way(kind: Kind) -> String {
    let kind = kind.as_str();
    format!(
        "the adopted {kind} has the name that the new one is to have, and engines cannot rename {kind}s: give the node another `name`, or leave it adopted"
    )
}

/// The step that changes a running container, if that is all it takes.
fn adjustment(
    deployment: &Deployment,
    (before, former): (&Instance, &Definition),
    (instance, node): (&Instance, &Definition),
) -> Option<Step> {
    let wanted = creation(deployment, instance, node);
    let (old_rest, old) = split(
        &creation(deployment, before, former),
        deployment,
        before,
        former,
    )?;
    let (new_rest, new) = split(&wanted, deployment, instance, node)?;
    let mut body = JsonMap::new();
    for (field, value) in new
        .iter()
        .filter(|(field, value)| old.get(*field) != Some(value))
    {
        // Engines take nothing for: as it is.
        (*value != 0 && *value != "").then(|| body.insert(field.clone(), value.clone()))?;
    }
    for field in old.keys().filter(|field| !new.contains_key(*field)) {
        // Of what is left out only this one has a value that says so.
        (field == "RestartPolicy").then(|| body.insert(field.clone(), json!({ "Name": "no" })))?;
    }
    add_swap(&mut body, new.get("MemorySwap"));
    let body = Json::Object(body);
    let is_all = !body.as_object().is_none_or(JsonMap::is_empty)
        && old_rest == new_rest
        && !holds_call(&body);
    if !is_all {
        return None;
    }
    let action = Action::Adjust {
        body,
        declaration: declaration(deployment, instance, node),
    };
    Some(action.at(engine(node)))
}

/// Engines take memory and swap together, and make the second twice the first where a container is
/// created with one alone.
pub(crate) fn add_swap(body: &mut JsonMap<String, Json>, declared: Option<&Json>) {
    if let Some(memory) = body.get("Memory").and_then(Json::as_i64) {
        body.insert(
            "MemorySwap".to_owned(),
            declared.cloned().unwrap_or_else(|| (memory * 2).into()),
        );
    }
}

/// What a container is made from: what can only be given when it is made, and what can be changed
/// later.
fn split(
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
        // What is empty says nothing.
        if host.is_empty() {
            body.shift_remove("HostConfig");
        }
    }
    for arguments in ["create", "start", "container_args"] {
        let given = declared
            .as_object_mut()?
            .shift_remove(arguments)
            .unwrap_or_default();
        // What is only known later is not in the body: it has to be the same as it is written.
        if holds_call(&given) {
            declared[arguments] = without_limits(given);
        }
    }
    body.sort_keys();
    Some((json!([declared, body]), adjustable))
}

/// Arguments without those that say nothing but limits, as far as these are known by now.
fn without_limits(mut arguments: Json) -> Json {
    let known = arguments
        .get("host_config")
        .is_none_or(|host| !holds_call(host));
    if let Some(arguments) = arguments.as_object_mut().filter(|_| known) {
        arguments.shift_remove("host_config");
    }
    arguments
}

/// How another container takes the place of the one that was made from `former`. One that was
/// adopted and is not any more is kept.
pub(crate) fn replacement(part: Part<'_>, former: &Definition) -> Option<Replacement> {
    let Part {
        deployment,
        instance,
        node,
    } = part;
    (kind(node) == Some(Kind::Container)).then(|| {
        let keeps = former.is_adopted() && !node.is_adopted();
        let stop = |node| stop_params(node, input(node, "stop", "params").clone());
        let name = object_name(&deployment.name, instance, node);
        // An adopted one has the name that it is adopted by, unless that is an id.
        let former_name = adopted_name(former).filter(|name| !is_id(name));
        let [new, old] = [engine(node), engine(former)];
        Replacement {
            stop: Action::Stop {
                params: stop(former),
            }
            .at(old.clone()),
            swap: Action::Swap { name, keeps }.at(new.clone()),
            prove: proof(node).map(|action| action.at(new.clone())),
            discard: Action::Discard {
                stop: stop(node),
                keeps,
            }
            .at(new),
            step_back: Action::StepBack {
                name: former_name.into(),
            }
            .at(old.clone()),
            put_back: Action::PutBack.at(old),
        }
    })
}

/// Sees whether a container stays up; none if something else shows that it works, or it is to end.
fn proof(node: &Definition) -> Option<Action> {
    let is_shown =
        processes(node).is_some() || !conditions(node).is_empty() || expected_exit(node).is_some();
    (is_started(node) && !is_shown).then_some(Action::Endure)
}

/// Whether a name can be an id, whole or in part.
fn is_id(name: &str) -> bool {
    name.len() >= 12 && name.chars().all(|c| c.is_ascii_hexdigit())
}
