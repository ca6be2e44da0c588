//! The operations that this plugin implements.

use crate::{engine::Kind, model::Definition, stage::operations::START};

/// An operation of a plugin.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Operation {
    /// Docker plugin 1.x, `create_container`: provides the image and creates the container.
    Create,
    /// `start`: starts the container and waits for its processes.
    Start,
    /// `stop`.
    Stop,
    /// `remove_container`.
    Remove,
    /// Docker plugin 2.x, `create_container`: provides the image, creates and starts the container,
    /// and waits for its exit unless it is detached.
    Run,
    /// `stop_container`.
    StopRun,
    /// `remove_container`.
    RemoveRun,
    /// `build_image`: builds or pulls an image.
    Build,
    /// `remove_image`.
    RemoveImage,
    /// `network.create` of dockctl.
    CreateNetwork,
    /// `network.remove` of dockctl.
    RemoveNetwork,
    /// `volume.create` of dockctl.
    CreateVolume,
    /// `volume.remove` of dockctl.
    RemoveVolume,
    /// `infrakit.create` of dockctl: creates the container of an instance of InfraKit.
    CreateInstance,
    /// `infrakit.start` of dockctl: starts the container and runs its script.
    StartInstance,
    /// `infrakit.stop` of dockctl.
    StopInstance,
    /// `infrakit.remove` of dockctl.
    RemoveInstance,
}

impl Operation {
    /// Returns the operation with these names of plugin and operation in a blueprint.
    #[must_use]
    pub(crate) fn of(plugin: &str, operation: &str) -> Option<Self> {
        Some(match (plugin_name(plugin), operation) {
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
            ("dockctl", "infrakit.create") => Self::CreateInstance,
            ("dockctl", "infrakit.start") => Self::StartInstance,
            ("dockctl", "infrakit.stop") => Self::StopInstance,
            ("dockctl", "infrakit.remove") => Self::RemoveInstance,
            _ => return None,
        })
    }

    /// Returns the kind of object that the operation creates, if any.
    #[must_use]
    pub(crate) fn creates(self) -> Option<Kind> {
        match self {
            Self::Create | Self::Run | Self::CreateInstance => Some(Kind::Container),
            Self::Build => Some(Kind::Image),
            Self::CreateNetwork => Some(Kind::Network),
            Self::CreateVolume => Some(Kind::Volume),
            _ => None,
        }
    }
}

/// Returns true if this plugin implements the Cloudify plugin of this name.
#[must_use]
pub(crate) fn provides(plugin: &str) -> bool {
    matches!(plugin_name(plugin), "docker" | "dockctl")
}

/// Returns the name without the namespace under which the plugin was imported.
fn plugin_name(plugin: &str) -> &str {
    plugin.rsplit("--").next().unwrap_or(plugin)
}

fn operations(node: &Definition) -> impl Iterator<Item = Operation> {
    node.operations
        .values()
        .filter_map(|operation| Operation::of(&operation.plugin, &operation.operation))
}

/// Returns the kind of object of a node, from its operations and not from its type.
#[must_use]
pub(crate) fn kind(node: &Definition) -> Option<Kind> {
    operations(node)
        .find_map(Operation::creates)
        .filter(|_| !is_idle(node))
}

/// Returns true for a container of the plugin 2.x without an image, for which nothing is done.
fn is_idle(node: &Definition) -> bool {
    let tag = node
        .properties
        .get("resource_config")
        .map(|config| &config["image_tag"]);
    is_run(node) && tag.is_none_or(|tag| tag.is_null() || tag == "")
}

/// Returns true if one operation creates and starts the node's container, as in the plugin 2.x.
pub(crate) fn is_run(node: &Definition) -> bool {
    operations(node).any(|operation| operation == Operation::Run)
}

/// Returns true if the node's container is declared as an instance of InfraKit.
#[must_use]
pub(crate) fn is_infrakit(node: &Definition) -> bool {
    operations(node).any(|operation| operation == Operation::CreateInstance)
}

/// Returns true for a container that dockctl creates, and whose `start` does nothing.
pub(crate) fn is_never_started(node: &Definition) -> bool {
    let runs = |name: &&str| {
        let operation = node.operations.get(*name);
        operation.is_some_and(|operation| !operation.operation.is_empty())
    };
    let is_created = kind(node) == Some(Kind::Container) && !node.is_adopted();
    is_created && !is_started(node) && !START.iter().any(runs)
}

/// Returns true if an operation starts the node's container; types defined in a blueprint may have
/// none.
pub(crate) fn is_started(node: &Definition) -> bool {
    operations(node).any(|operation| {
        matches!(
            operation,
            Operation::Start | Operation::Run | Operation::StartInstance
        )
    })
}
