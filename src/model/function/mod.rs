//! Intrinsic functions: checked when a blueprint is read; evaluated when a deployment is created or
//! just before an operation runs.
//!
//! | evaluated | functions |
//! |---|---|
//! | when a deployment is created | `get_input`, `get_property`, `concat`, `merge`, `string_*` |
//! | at run time | `get_attribute*`, `get_secret`, `get_label` |
//! | at run time | `get_sys`, `get_consumers`, capabilities |
//!
//! A function of the first kind is evaluated at run time if one of its arguments is.

mod apply;
mod bind;
mod check;
mod conceal;
mod evaluate;
mod limits;
mod python;
mod shape;

pub use apply::{apply, is_pure};
pub use bind::{
    EvaluationContext, WITHHELD, attribute_targets, bind, call_of, contains_call,
    contains_late_call, is_call, lookup, reads_attributes, replace_secrets, secret_names,
    withheld_digests,
};
pub(super) use check::check;
pub use conceal::{concealed, contains_concealed, mask, reserved_key, reveal};
pub use evaluate::evaluate;
pub use python::python_text;

use crate::syntax::Value;

/// Maximum nesting depth of a value with functions. Lists, mappings and calls all count. The limit
/// is the one of Cloudify.
const MAX_DEPTH: usize = 50;

/// Returns the values inside a value.
pub(super) fn parts(value: &Value) -> impl Iterator<Item = &Value> {
    let items = value.as_list().into_iter().flatten();
    let entries = value.as_map().into_iter().flat_map(|map| &map.entries);
    items.chain(entries.map(|(_, value)| value))
}

/// Converts an index to a position in a list; negative indexes count from the end.
fn index(at: i64, length: usize) -> Option<usize> {
    usize::try_from(if at < 0 {
        at + i64::try_from(length).ok()?
    } else {
        at
    })
    .ok()
    .filter(|at| *at < length)
}
