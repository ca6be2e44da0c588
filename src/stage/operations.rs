//! The lifecycle operations that `install` and `uninstall` run, in their order; the names are the
//! original's.

/// What makes an instance.
pub const CREATE: [&str; 4] = [
    "cloudify.interfaces.validation.creation",
    "cloudify.interfaces.validation.create",
    "cloudify.interfaces.lifecycle.precreate",
    "cloudify.interfaces.lifecycle.create",
];
/// What configures it.
pub const CONFIGURE: [&str; 1] = ["cloudify.interfaces.lifecycle.configure"];
/// What starts it.
pub const START: [&str; 4] = [
    "cloudify.interfaces.lifecycle.start",
    "cloudify.interfaces.host.get_state",
    "cloudify.interfaces.lifecycle.poststart",
    "cloudify.interfaces.monitoring.start",
];
/// What stops it.
pub const STOP: [&str; 5] = [
    "cloudify.interfaces.validation.deletion",
    "cloudify.interfaces.validation.delete",
    "cloudify.interfaces.monitoring.stop",
    "cloudify.interfaces.lifecycle.prestop",
    "cloudify.interfaces.lifecycle.stop",
];
/// What deletes it.
pub const DELETE: [&str; 2] = [
    "cloudify.interfaces.lifecycle.delete",
    "cloudify.interfaces.lifecycle.postdelete",
];

const OF_RELATIONSHIPS: [&str; 4] = ["preconfigure", "postconfigure", "establish", "unlink"];

/// Whether `install` or `uninstall` run an operation, given as `interface.operation`, of a
/// relationship as `side/interface.operation`.
#[must_use]
pub fn runs(operation: &str) -> bool {
    match operation.split_once("/cloudify.interfaces.relationship_lifecycle.") {
        Some((_, name)) => OF_RELATIONSHIPS.contains(&name),
        None => installs(operation) || takes_down(operation),
    }
}

/// Whether an operation, of a node or of a relationship, runs on the way to a started instance.
#[must_use]
pub fn brings_up(operation: &str) -> bool {
    installs(operation)
        || (operation.contains('/') && runs(operation) && !operation.ends_with(".unlink"))
}

/// Whether an operation of a node is one of those that take it down.
#[must_use]
pub fn takes_down(operation: &str) -> bool {
    STOP.contains(&operation) || DELETE.contains(&operation)
}

fn installs(operation: &str) -> bool {
    CREATE.contains(&operation) || CONFIGURE.contains(&operation) || START.contains(&operation)
}
