//! Recognizes calls of intrinsic functions: mappings from the function's name to its arguments.

use super::Value;
use crate::diagnostic::Span;

/// All functions of the DSL. A mapping with any other single key is plain data.
pub const FUNCTIONS: [&str; 19] = [
    "get_input",
    "get_property",
    "get_attribute",
    "concat",
    "merge",
    "string_find",
    "string_replace",
    "string_split",
    "string_lower",
    "string_upper",
    "get_attributes_list",
    "get_attributes_dict",
    "get_secret",
    "get_capability",
    "get_group_capability",
    "get_environment_capability",
    "get_label",
    "get_sys",
    "get_consumers",
];

/// A function call.
#[derive(Clone, Copy)]
pub struct Call<'v> {
    /// Name of the function.
    pub name: &'v str,
    /// Its arguments.
    pub arguments: &'v Value,
    /// Place of the name.
    pub span: Span,
    /// Required type of the result, from a second key `type`.
    pub result_type: Option<&'v Value>,
}

/// Returns the function call that a value represents, if any.
///
/// A call has a function as its only key, or a second key that is `type` or also a function. Of two
/// functions the last one is called, as in Cloudify.
#[must_use]
pub fn call(value: &Value) -> Option<Call<'_>> {
    let entries = &value.as_map().filter(|map| !map.literal)?.entries;
    let is_function = |key: &Value| key.as_str().is_some_and(|key| FUNCTIONS.contains(&key));
    let (first, last) = match entries.as_slice() {
        [only] => (None, only),
        [first, last] if is_function(&last.0) => (Some(first), last),
        [last, first] => (Some(first), last),
        _ => return None,
    };
    let is_type = |key: &Value| key.as_str() == Some("type");
    let fits =
        is_function(&last.0) && first.is_none_or(|(key, _)| is_type(key) || is_function(key));
    let result_type = first
        .filter(|(key, value)| is_type(key) && !value.is_null())
        .map(|(_, value)| value);
    fits.then_some(Call {
        name: last.0.as_str()?,
        arguments: &last.1,
        span: last.0.span,
        result_type,
    })
}
