//! How calls of intrinsic functions are written: a mapping of the function's name to its arguments.

use super::Value;
use crate::diagnostic::Span;

/// Every function of the DSL. A mapping with one key that is not among them is plain data.
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
    /// The type that the result must have, where a second key says so.
    pub type_name: Option<&'v str>,
}

/// The call that a value is, if it is one. A second key `type` is allowed.
#[must_use]
pub fn call(value: &Value) -> Option<Call<'_>> {
    let entries = &value.as_map()?.entries;
    if entries.len() > 2 {
        return None;
    }
    let (name, arguments) = entries.iter().find(|(key, _)| key.as_str().is_some_and(|key| FUNCTIONS.contains(&key)))?;
    let typed = entries.iter().find(|(key, _)| key.as_str() == Some("type"));
    let type_name = typed.and_then(|(_, value)| value.as_str());
    (entries.len() == 1 || typed.is_some()).then_some(Call { name: name.as_str()?, arguments, span: name.span, type_name })
}
