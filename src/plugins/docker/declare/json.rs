//! Helpers that read JSON values, treating missing ones as empty, and build mappings.

use serde_json::{Map as JsonMap, Value as Json};

/// Returns the string; empty if the value is not a string.
pub(crate) fn text(value: &Json) -> &str {
    value.as_str().unwrap_or_default()
}

/// Returns the items of a list.
pub(crate) fn list(value: &Json) -> impl Iterator<Item = &Json> {
    value.as_array().into_iter().flatten()
}

/// Returns the strings in a list.
pub(crate) fn strings(value: &Json) -> impl Iterator<Item = &str> {
    list(value).filter_map(Json::as_str)
}

/// Returns the entries of a mapping.
pub(crate) fn pairs(value: &Json) -> impl Iterator<Item = (&String, &Json)> {
    value.as_object().into_iter().flatten()
}

/// Returns the keys of a mapping.
pub(crate) fn keys(value: &Json) -> impl Iterator<Item = &String> {
    pairs(value).map(|(key, _)| key)
}

/// Returns a mapping with these entries.
pub(crate) fn map_of<const N: usize>(entries: [(&str, Json); N]) -> JsonMap<String, Json> {
    let entries = entries.into_iter();
    entries
        .map(|(key, value)| (key.to_owned(), value))
        .collect()
}
