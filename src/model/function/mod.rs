//! Intrinsic functions: checked when a blueprint is read, evaluated when a deployment is made, or
//! when an operation is about to run.
//!
//! | evaluated | functions |
//! |---|---|
//! | when a deployment is made | `get_input`, `get_property`, `concat`, `merge`, `string_*` |
//! | at run time | `get_attribute*`, `get_secret`, `get_label`, `get_sys`, `get_consumers`, capabilities |
//!
//! A function of the first kind that is given the result of one of the second waits for it.

mod apply;
mod bind;
mod check;
mod evaluate;
mod shape;
mod spell;
mod trail;

pub use apply::{apply, is_pure};
pub use bind::{
    Surroundings, WITHHELD, attribute_targets, bind, call_of, holds_call, holds_late_call, is_call,
    lookup, reads_attributes, secret_names, withheld_digests, without_secrets,
};
pub(super) use check::check;
pub use evaluate::evaluate;
pub use spell::python_text;

use crate::syntax::Value;

/// Deepest nesting of a value with functions in it: lists, mappings and calls count alike; the
/// original's limit.
const DEPTH: usize = 50;

/// Values inside a value.
pub(super) fn parts(value: &Value) -> impl Iterator<Item = &Value> {
    let items = value.as_list().into_iter().flatten();
    let entries = value.as_map().into_iter().flat_map(|map| &map.entries);
    items.chain(entries.map(|(_, value)| value))
}

/// A position in a list; negative ones count from the end.
fn index(at: i64, length: usize) -> Option<usize> {
    usize::try_from(if at < 0 {
        at + i64::try_from(length).ok()?
    } else {
        at
    })
    .ok()
    .filter(|at| *at < length)
}
