//! The operations of the plugins that are carried out here.

use crate::{engine::Kind, model::Definition};

/// An operation of a plugin.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Operation {
    /// Docker plugin 1.x, `create_container`: the image, then the container.
    Create,
    /// `start`: the container, then its processes.
    Start,
    /// `stop`.
    Stop,
    /// `remove_container`.
    Remove,
    /// Docker plugin 2.x, `create_container`: the image, the container, its start, and its end
    /// unless it is detached.
    Run,
    /// `stop_container`.
    StopRun,
    /// `remove_container`.
    RemoveRun,
    /// `build_image`: built, or pulled.
    Build,
    /// `remove_image`.
    RemoveImage,
    /// dockctl's own.
    CreateNetwork,
    /// dockctl's own.
    RemoveNetwork,
    /// dockctl's own.
    CreateVolume,
    /// dockctl's own.
    RemoveVolume,
}

impl Operation {
    /// The operation that a blueprint means.
    #[must_use]
    pub(crate) fn of(plugin: &str, operation: &str) -> Option<Self> {
        Some(match (own_name(plugin), operation) {
            ("docker", "docker_plugin.tasks.create_container") => Self::Create,
            ("docker", "docker_plugin.tasks.start") => Self::Start,
            ("docker", "docker_plugin.tasks.stop") => Self::Stop,
            ("docker", "docker_plugin.tasks.remove_container") => Self::Remove,
            ("docker", "cloudify_docker.tasks.create_container") => Self::Run,
            ("docker", "cloudify_docker.tasks.stop_container") => Self::StopRun,
            ("docker", "cloudify_docker.tasks.remove_container") => Self::RemoveRun,
            ("docker", "cloudify_docker.tasks.build_image") => Self::Build,
            ("docker", "cloudify_docker.tasks.remove_image") => Self::RemoveImage,
            ("dockctl", "network.create") => Self::CreateNetwork,
            ("dockctl", "network.remove") => Self::RemoveNetwork,
            ("dockctl", "volume.create") => Self::CreateVolume,
            ("dockctl", "volume.remove") => Self::RemoveVolume,
            _ => return None,
        })
    }

    /// What the operation makes, if it makes anything.
    #[must_use]
    pub(crate) fn makes(self) -> Option<Kind> {
        match self {
            Self::Create | Self::Run => Some(Kind::Container),
            Self::Build => Some(Kind::Image),
            Self::CreateNetwork => Some(Kind::Network),
            Self::CreateVolume => Some(Kind::Volume),
            _ => None,
        }
    }
}

/// Whether a plugin of this name is carried out here.
#[must_use]
pub(crate) fn provides(plugin: &str) -> bool {
    matches!(own_name(plugin), "docker" | "dockctl")
}

/// The name without the namespace that the plugin was imported under.
fn own_name(plugin: &str) -> &str {
    plugin.rsplit("--").next().unwrap_or(plugin)
}

fn operations(node: &Definition) -> impl Iterator<Item = Operation> {
    node.operations
        .values()
        .filter_map(|operation| Operation::of(&operation.plugin, &operation.operation))
}

/// What a node is on an engine, whatever its type is called.
#[must_use]
pub(crate) fn kind(node: &Definition) -> Option<Kind> {
    operations(node)
        .find_map(Operation::makes)
        .filter(|_| !is_idle(node))
}

/// A container of the plugin 2.x that names no image: nothing is done for it.
fn is_idle(node: &Definition) -> bool {
    let tag = node
        .properties
        .get("resource_config")
        .map(|config| &config["image_tag"]);
    is_run(node) && tag.is_none_or(|tag| tag.is_null() || tag == "")
}

/// Whether a node's container is made as the plugin 2.x makes it: by one operation.
pub(crate) fn is_run(node: &Definition) -> bool {
    operations(node).any(|operation| operation == Operation::Run)
}

/// Whether anything starts the container of a node: a type of the blueprint's own may leave that
/// out.
pub(crate) fn is_started(node: &Definition) -> bool {
    operations(node).any(|operation| matches!(operation, Operation::Start | Operation::Run))
}
