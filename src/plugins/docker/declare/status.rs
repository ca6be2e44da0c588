//! Compares the state of an object with its declaration.

use crate::{
    engine::Kind,
    model::{Definition, Instance, InstanceState},
    plugins::docker::declare::{
        action::Action,
        declared::{ExpectedExit, adopted_name, declaration, expected_exit},
        operation::{is_started, kind},
    },
    record::Record,
    seam::{InstanceStatus, Object, ObjectState, Observed},
};

/// Runtime properties with output of a container or its full inspection, which are untrusted.
pub(crate) const UNTRUSTED: [&str; 4] = [
    "container_info",
    "container_args",
    "run_result",
    "build_result",
];

/// Runtime property with the original state of an adopted container.
pub(crate) const ADOPTED_STATE: &str = "adopted_state";

/// Returns the state of an instance's object compared with its definition.
pub(crate) fn status(
    instance: &Instance,
    node: &Definition,
    record: &Record,
    observed: &Observed,
) -> InstanceStatus {
    let started = record.state(&instance.id) == InstanceState::Started;
    let object = match adopted_name(node) {
        Some(_) if record.state(&instance.id).is_gone() => return InstanceStatus::Missing,
        Some(name) => observed.named(&instance.id, &name),
        None => observed.of_instance(&instance.id),
    };
    match object {
        None => InstanceStatus::Missing,
        Some(object)
            if !node.is_adopted() && !matches_declaration(object, instance, node, record) =>
        {
            InstanceStatus::Outdated
        }
        Some(object) if recorded_id(record, instance, node) != Some(&object.id) => {
            InstanceStatus::Missing
        }
        // The object was created, but later steps, such as attaching networks, may be missing.
        Some(_)
            if matches!(
                record.state(&instance.id),
                InstanceState::Initializing | InstanceState::Creating
            ) =>
        {
            InstanceStatus::Unfinished
        }
        Some(object) if started && !object.drift.is_empty() => InstanceStatus::Drifted,
        Some(object) if is_in_desired_state(node, object) && started => InstanceStatus::UpToDate,
        Some(object)
            if matches!(
                object.state,
                ObjectState::Running | ObjectState::Restarting | ObjectState::Available
            ) =>
        {
            InstanceStatus::NotReady
        }
        Some(_) => InstanceStatus::Stopped,
    }
}

/// Returns true if an object was created from, or updated to, the present declaration.
pub(crate) fn matches_declaration(
    object: &Object,
    instance: &Instance,
    node: &Definition,
    record: &Record,
) -> bool {
    let adjusted = record
        .instances
        .get(&instance.id)
        .and_then(|known| known.updated_declaration.as_deref());
    match (adjusted, &record.deployment) {
        (Some(adjusted), Some(deployment)) => adjusted == declaration(deployment, instance, node),
        _ => object.owner.as_ref().is_none_or(|owner| owner.as_declared),
    }
}

/// Returns true if the effect of an action still exists. Waits check the object themselves and are
/// never skipped.
pub(crate) fn effect_exists(action: &Action, node: &Definition, object: Option<&Object>) -> bool {
    let state = object.map(|object| object.state);
    match action {
        Action::Image { .. }
        | Action::Create(_)
        | Action::Recreate(_)
        | Action::Connect { .. }
        | Action::JoinNetwork { .. }
        | Action::Adopt { .. }
        | Action::CreateNetwork(_)
        | Action::CreateVolume(_) => object.is_some(),
        // A container that is expected to exit is not run again, even if it exited with another
        // code: its wait reports that.
        Action::Start { .. } => object.is_some_and(|object| match object.state {
            ObjectState::Exited => expected_exit(node).is_some(),
            ObjectState::Restarting => true,
            _ => is_in_desired_state(node, object),
        }),
        Action::Execute { .. } => true,
        Action::Stop { .. } => !matches!(
            state,
            Some(ObjectState::Running | ObjectState::Restarting | ObjectState::Paused)
        ),
        Action::Remove { .. } | Action::RemoveNetwork => object.is_none(),
        Action::CreateSuccessor(_)
        | Action::StepAside { .. }
        | Action::Swap { .. }
        | Action::Withdraw
        | Action::Discard { .. }
        | Action::RestorePredecessor { .. }
        | Action::RestartPredecessor
        | Action::Adjust { .. }
        | Action::Rename { .. }
        | Action::Restart { .. }
        | Action::Wait { .. }
        | Action::WaitFor { .. }
        | Action::Follow
        | Action::Init { .. }
        | Action::CheckUp
        | Action::Build { .. }
        | Action::RemoveImage
        | Action::RemoveVolume { .. }
        | Action::Restore { .. }
        | Action::Release => false,
    }
}

/// Returns true if an object is in its declared state: it runs, it exists, or it exited as
/// expected.
#[must_use]
pub(crate) fn is_in_desired_state(node: &Definition, object: &Object) -> bool {
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

/// Returns the ID of the object in the record. Without one, the create step finds an object that an
/// interrupted execution left behind; if it differs from the engine's, an adopted object was
/// replaced.
#[must_use]
pub(crate) fn recorded_id<'r>(
    record: &'r Record,
    instance: &Instance,
    node: &Definition,
) -> Option<&'r str> {
    let property = id_property(kind(node)?);
    record.properties(&instance.id)?.get(property)?.as_str()
}

/// Returns the runtime property that contains the ID of an object.
pub(crate) fn id_property(kind: Kind) -> &'static str {
    match kind {
        Kind::Container => "container_id",
        Kind::Image => "image_id",
        Kind::Network => "network_id",
        Kind::Volume => "volume_name",
    }
}

/// Returns true if the object of a node stays after an uninstall: a volume without `keep: false`.
pub(crate) fn survives_uninstall(node: &Definition) -> bool {
    kind(node) == Some(Kind::Volume)
        && node
            .properties
            .get("keep")
            .is_none_or(|keep| *keep != false)
}
