//! Containers, images, networks and volumes on Docker engines: the operations of the original
//! docker plugin, and dockctl's own.
//!
//! Pure here: which operation ([`Operation`]) becomes which actions ([`Action`]), what objects are
//! called and what goes into them, what the standing of each is. [`Engine`] carries steps out on
//! one engine, [`Engines`] on all.

pub mod adopt;
mod attach;
mod build;
pub mod check;
mod compare;
mod connect;
mod container;
mod containers;
mod declared;
mod drift;
mod engine;
mod engines;
mod exclusive;
mod guard;
mod happen;
mod images;
mod lower;
mod networks;
mod operation;
mod ownership;
pub mod params;
mod recover;
mod replace;
mod run;
mod settle;
mod step;
mod volumes;
mod wait;
mod wait_for;
mod watch;

pub use attach::{Attached, Command, Excerpt};
pub use compare::{Comparison, Shown};
pub(crate) use connect::ANSWER;
pub use connect::{ConnectError, Host, Piece, broken_config};
pub use engine::Engine;
pub use engines::Engines;
pub use guard::{Guard, GuardHolder, Unguarded};
pub use happen::{Happening, What};
use operation::is_started;
pub use operation::{Operation, kind, provides};
pub use ownership::{Author, AuthorName};
pub use recover::{Claim, Recovered, Told};
pub(in crate::backend) use step::ID;
pub use step::{Action, Attachment, Creation, Dialect, Making};

pub(super) use compare::judge;
pub(super) use declared::declaration as declaration_of;
pub(super) use declared::{adopted_name, engine_of, uses};
pub(super) use exclusive::{both_need, fixed_port, is_removed_when_stopped};
pub(super) use lower::lower;
pub(super) use replace::{
    NEXT, PREDECESSOR, SUCCESSOR, change, discarding, enduring, is_being_replaced,
    is_predecessor_gone, is_put_back, is_replaced, lasting_name, put_back, starting_old, stopping,
    swap,
};

use crate::{
    known::InstanceRecord,
    model::{Definition, Deployment, Instance, InstanceState},
    record::Record,
    seam::{Object, ObjectKind, ObjectState, Observed, Standing},
    stage::{Stage, Task},
};
use declared::{ExpectedExit, declaration, expected_exit, wanted_name};
use serde_json::Value as Json;
use std::collections::HashSet;

/// Runtime properties that hold what a container wrote, or what the engine tells of it in full.
pub(crate) const HEARSAY: [&str; 4] = [
    "container_info",
    "container_args",
    "run_result",
    "build_result",
];

/// Runtime property that says how an adopted container was found.
const ADOPTED_STATE: &str = "adopted_state";

/// How far an object is from being installed.
pub(super) fn standing(
    instance: &Instance,
    node: &Definition,
    record: &Record,
    observed: &Observed,
) -> Standing {
    let started = record.state(&instance.id) == InstanceState::Started;
    let object = match adopted_name(node) {
        Some(_) if record.state(&instance.id).is_gone() => return Standing::Absent,
        Some(name) => observed.named(&instance.id, &name),
        None => observed.of(&instance.id),
    };
    match object {
        None => Standing::Absent,
        Some(object) if !node.is_adopted() && !is_as_declared(object, instance, node, record) => {
            Standing::Outdated
        }
        Some(object) if known_id(record, instance, node) != Some(&object.id) => Standing::Absent,
        // What comes after making the object, such as networks, may be missing.
        Some(_)
            if matches!(
                record.state(&instance.id),
                InstanceState::Initializing | InstanceState::Creating
            ) =>
        {
            Standing::Unfinished
        }
        Some(object) if started && !object.drift.is_empty() => Standing::Changed,
        Some(object) if is_done(node, object) && started => Standing::UpToDate,
        Some(object)
            if matches!(
                object.state,
                ObjectState::Running | ObjectState::Restarting | ObjectState::Available
            ) =>
        {
            Standing::NotReady
        }
        Some(_) => Standing::Stopped,
    }
}

/// Whether an object was made from, or changed to, what is declared now.
fn is_as_declared(
    object: &Object,
    instance: &Instance,
    node: &Definition,
    record: &Record,
) -> bool {
    let adjusted = record
        .instances
        .get(&instance.id)
        .and_then(|known| known.adjusted.as_deref());
    match (adjusted, &record.deployment) {
        (Some(adjusted), Some(deployment)) => adjusted == declaration(deployment, instance, node),
        _ => object.owner.as_ref().is_none_or(|owner| owner.as_declared),
    }
}

/// Whether what an action did still stands. Waits look anyway, and are never left out.
pub(super) fn still_done(action: &Action, node: &Definition, object: Option<&Object>) -> bool {
    let state = object.map(|object| object.state);
    match action {
        Action::Image { .. }
        | Action::Create(_)
        | Action::Recreate(_)
        | Action::Connect { .. }
        | Action::Adopt { .. }
        | Action::CreateNetwork(_)
        | Action::CreateVolume(_) => object.is_some(),
        // One that is to end and ended otherwise is not run again unasked: what waits for it says
        // so.
        Action::Start { .. } => object.is_some_and(|object| match object.state {
            ObjectState::Exited => expected_exit(node).is_some(),
            ObjectState::Restarting => true,
            _ => is_done(node, object),
        }),
        Action::Execute { .. } => true,
        Action::Stop { .. } => !matches!(
            state,
            Some(ObjectState::Running | ObjectState::Restarting | ObjectState::Paused)
        ),
        Action::Remove { .. } | Action::RemoveNetwork => object.is_none(),
        Action::CreateSuccessor(_)
        | Action::Swap { .. }
        | Action::Discard { .. }
        | Action::StepBack { .. }
        | Action::PutBack
        | Action::Adjust { .. }
        | Action::Rename { .. }
        | Action::Wait { .. }
        | Action::WaitFor { .. }
        | Action::Follow
        | Action::Endure
        | Action::Build { .. }
        | Action::RemoveImage
        | Action::RemoveVolume { .. }
        | Action::Restore { .. }
        | Action::Release => false,
    }
}

/// Whether an object is as it should be: it runs, is there, or ended as it was to end.
#[must_use]
pub fn is_done(node: &Definition, object: &Object) -> bool {
    match object.state {
        ObjectState::Running | ObjectState::Available => true,
        ObjectState::Created => !is_started(node),
        ObjectState::Exited => match expected_exit(node) {
            Some(ExpectedExit::Any) => true,
            Some(ExpectedExit::Code(code)) => object.exit_code == Some(code),
            None => false,
        },
        _ => false,
    }
}

/// Id of the object that the record knows. If it knows none, creating it finds the one that an
/// interrupted run left behind; if it knows another, an adopted object was replaced.
#[must_use]
pub fn known_id<'r>(record: &'r Record, instance: &Instance, node: &Definition) -> Option<&'r str> {
    let property = match kind(node)? {
        ObjectKind::Container => "container_id",
        ObjectKind::Image => "image_id",
        ObjectKind::Network => "network_id",
        ObjectKind::Volume => "volume_name",
    };
    record.properties(&instance.id)?.get(property)?.as_str()
}

/// Ids of all objects that a record knows.
#[must_use]
pub fn known_ids(record: &Record) -> HashSet<String> {
    let ids = |known: &InstanceRecord| {
        let names = [
            "container_id",
            "network_id",
            "volume_name",
            SUCCESSOR,
            PREDECESSOR,
        ];
        names
            .iter()
            .filter_map(|name| known.properties.get(*name)?.as_str().map(str::to_owned))
            .collect::<Vec<_>>()
    };
    record.instances.values().flat_map(ids).collect()
}

/// The name of the object that stands for an instance, where it is known by now.
#[must_use]
pub fn wanted(deployment: &Deployment, instance: &Instance) -> Option<String> {
    wanted_name(deployment, instance)
}

/// Nodes whose volumes a stage was to remove.
#[must_use]
pub fn removed_volumes(stage: &Stage) -> Vec<String> {
    let removes = |task: &&Task| matches!(Action::of(&task.step), Ok(Action::RemoveVolume { keep, .. }) if keep == false);
    stage
        .tasks()
        .iter()
        .filter(removes)
        .map(|task| task.node.clone())
        .collect()
}

/// Makes volumes of chosen nodes go when the deployment is taken down, whatever the blueprint says.
pub fn give_up_volumes(deployment: &mut Deployment, chosen: impl Fn(&str) -> bool) {
    let volumes = deployment
        .nodes
        .iter_mut()
        .filter(|(name, node)| kind(node) == Some(ObjectKind::Volume) && chosen(name));
    for (_, node) in volumes {
        node.properties.insert("keep".to_owned(), Json::Bool(false));
    }
}
