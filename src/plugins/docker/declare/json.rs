//! Reads JSON values, where what is missing is empty, and makes them.

use serde_json::{Map as JsonMap, Value as Json};

/// The text; an empty one where there is none.
pub(crate) fn text(value: &Json) -> &str {
    value.as_str().unwrap_or_default()
}

/// The items of a list.
pub(crate) fn list(value: &Json) -> impl Iterator<Item = &Json> {
    value.as_array().into_iter().flatten()
}

/// The texts in a list.
pub(crate) fn texts(value: &Json) -> impl Iterator<Item = &str> {
    list(value).filter_map(Json::as_str)
}

/// The entries of a mapping.
pub(crate) fn pairs(value: &Json) -> impl Iterator<Item = (&String, &Json)> {
    value.as_object().into_iter().flatten()
}

/// The keys of a mapping.
pub(crate) fn keys(value: &Json) -> impl Iterator<Item = &String> {
    pairs(value).map(|(key, _)| key)
}

/// A mapping with these entries.
pub(crate) fn map_of<const N: usize>(entries: [(&str, Json); N]) -> JsonMap<String, Json> {
    let entries = entries.into_iter();
    entries
        .map(|(key, value)| (key.to_owned(), value))
        .collect()
}
