//! Whom the labels of a new object name.

use serde::{Deserialize, Serialize};

/// Label with the server that an object was created for. Such an object belongs to no deployment.
pub const SERVER: &str = "dockctl.infrakit";
/// Label with the request that an object was created for.
pub const SERVER_REQUEST: &str = "dockctl.infrakit.request";
/// Label with the group of InfraKit that an object belongs to.
pub const GROUP: &str = "infrakit.group";
/// Label with the name of the deployment that an object belongs to.
pub const DEPLOYMENT: &str = "dockctl.deployment";
/// Beginning of the labels that only dockctl sets.
pub const RESERVED_LABELS: &str = "dockctl.";

/// Returns true if a label is for people and other programs. The other labels of dockctl describe the
/// deployment of an object, and are long.
pub(crate) fn is_public(label: &str) -> bool {
    !label.starts_with(RESERVED_LABELS) || label.starts_with(SERVER)
}

/// Returns true if labels name a group of InfraKit, or a server that serves InfraKit.
pub(crate) fn names_infrakit(has: impl Fn(&str) -> bool) -> bool {
    has(GROUP) || has(SERVER)
}

/// Whom the labels of an object name. They decide who finds, changes and removes the object.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Labeling {
    /// The deployment of its instance.
    #[default]
    Deployment,
    /// A server. The deployment that the steps were lowered from is never stored.
    Server {
        /// Name of the server.
        server: String,
        /// ID of the request that the object is created for.
        request: String,
    },
}

impl Labeling {
    #[expect(missing_docs, reason = "the name is self-explanatory")]
    #[must_use]
    pub fn is_deployment(&self) -> bool {
        *self == Self::Deployment
    }
}
