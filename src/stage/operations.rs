//! The lifecycle operations that `install` and `uninstall` run, in order. The names are Cloudify's.

/// Operations that create an instance.
pub const CREATE: [&str; 4] = [
    "cloudify.interfaces.validation.creation",
    "cloudify.interfaces.validation.create",
    "cloudify.interfaces.lifecycle.precreate",
    "cloudify.interfaces.lifecycle.create",
];
/// Operations that configure an instance.
pub const CONFIGURE: [&str; 1] = ["cloudify.interfaces.lifecycle.configure"];
/// Operations that start an instance.
pub const START: [&str; 4] = [
    "cloudify.interfaces.lifecycle.start",
    "cloudify.interfaces.host.get_state",
    "cloudify.interfaces.lifecycle.poststart",
    "cloudify.interfaces.monitoring.start",
];
/// Operations that stop an instance.
pub const STOP: [&str; 5] = [
    "cloudify.interfaces.validation.deletion",
    "cloudify.interfaces.validation.delete",
    "cloudify.interfaces.monitoring.stop",
    "cloudify.interfaces.lifecycle.prestop",
    "cloudify.interfaces.lifecycle.stop",
];
/// Operations that delete an instance.
pub const DELETE: [&str; 2] = [
    "cloudify.interfaces.lifecycle.delete",
    "cloudify.interfaces.lifecycle.postdelete",
];

const OF_RELATIONSHIPS: [&str; 4] = ["preconfigure", "postconfigure", "establish", "unlink"];

/// Returns true if `install` or `uninstall` runs an operation. Its name is `interface.operation`,
/// or `side/interface.operation` for a relationship.
#[must_use]
pub fn is_lifecycle_operation(operation: &str) -> bool {
    match operation.split_once("/cloudify.interfaces.relationship_lifecycle.") {
        Some((_, name)) => OF_RELATIONSHIPS.contains(&name),
        None => is_node_install_operation(operation) || is_uninstall_operation(operation),
    }
}

/// Returns true if `install` runs an operation of a node or of a relationship.
#[must_use]
pub fn is_install_operation(operation: &str) -> bool {
    is_node_install_operation(operation)
        || (operation.contains('/')
            && is_lifecycle_operation(operation)
            && !operation.ends_with(".unlink"))
}

/// Returns true if an operation of a node stops or deletes it.
#[must_use]
pub fn is_uninstall_operation(operation: &str) -> bool {
    STOP.contains(&operation) || DELETE.contains(&operation)
}

fn is_node_install_operation(operation: &str) -> bool {
    CREATE.contains(&operation) || CONFIGURE.contains(&operation) || START.contains(&operation)
}
