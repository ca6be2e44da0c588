//! Specifications of groups of InfraKit.
//!
//! A group is a deployment with one node, whose instances are those of the group. [`spec`] reads
//! the document, `blueprint` turns it into the values of a blueprint, `config_hash` computes the
//! hash that identifies a configuration, [`changes`] describes what a commit does.

mod blueprint;
pub mod changes;
mod config_hash;
pub(crate) mod flavor;
mod reader;
pub mod spec;
pub(super) mod template;

pub(crate) use config_hash::lines;
pub use spec::{Allocation, GroupSpec, Updating};

use super::{Document, Kind, Options, Translated};
use crate::{diagnostic::Diagnostics, syntax::Value};
use std::path::Path;

/// Most instances of a group.
pub const MAX_SIZE: usize = 10_000;
/// Name of the only node of a group.
pub const NODE: &str = "instance";
/// Tag with the ID of the group.
pub const GROUP_TAG: &str = "infrakit.group";
/// Tags with the configuration hash: the one that dockctl writes, and that of later controllers.
pub const HASH_TAGS: [&str; 2] = ["infrakit.config_sha", "infrakit.config.hash"];
/// Value of these tags on an instance that was created before its group, and counts as matching.
pub const BOOTSTRAP: &str = "bootstrap";

/// Turns the specification of a group into a blueprint.
pub(super) fn translate(
    root: &Value,
    directory: Option<&Path>,
    options: &Options,
    d: &mut Diagnostics,
) -> Translated {
    let before = d.iter().filter(|fault| fault.is_error()).count();
    let spec = spec::read(root, options, d);
    let (blueprint, script) = blueprint::of(&spec, directory, options, d);
    let is_valid = d.iter().filter(|fault| fault.is_error()).count() == before;
    Translated {
        blueprint,
        document: is_valid.then(|| Document {
            kind: Kind::InfrakitGroup,
            content: spec.group.to_json(),
            script,
        }),
    }
}
