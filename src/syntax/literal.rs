//! Values that are always data: functions in them are never evaluated.
//!
//! A blueprint marks such a value with `{dockctl.literal: VALUE}`; a front end can mark it too. In
//! JSON, which has no places, the mark wraps every mapping that looks like a function call.

use super::FUNCTIONS;
use serde_json::{Map as JsonMap, Value as Json};

/// Key of the mapping that marks a value as data. It must be the only key. A property of the type
/// with this name is always data.
pub const LITERAL: &str = "dockctl.literal";

/// Returns the marked value, if a JSON value is a mark.
#[must_use]
pub fn literal(json: &Json) -> Option<&Json> {
    let object = json.as_object().filter(|object| object.len() == 1)?;
    object.get(LITERAL)
}

/// Wraps a mapping in a mark if it looks like a function call or a mark.
#[must_use]
pub(super) fn marked(object: JsonMap<String, Json>) -> Json {
    let is_like_a_call = object.len() <= 2 && object.keys().any(|key| is_reserved_key(key));
    let json = Json::Object(object);
    if is_like_a_call {
        [(LITERAL.to_owned(), json)].into_iter().collect()
    } else {
        json
    }
}

/// Returns true if a key can have a special meaning in a small mapping.
fn is_reserved_key(key: &str) -> bool {
    FUNCTIONS.contains(&key) || key.starts_with("dockctl.")
}

/// Returns a JSON value as data: mappings that look like a function call or a mark are marked.
#[must_use]
pub fn as_literal(json: &Json) -> Json {
    match json {
        Json::Array(items) => items.iter().map(as_literal).collect(),
        Json::Object(object) => marked(map_values(object, as_literal)),
        other => other.clone(),
    }
}

/// Returns the value without marks, in the form that the target system expects. Use it only after
/// evaluation.
#[must_use]
pub fn without_marks(json: &Json) -> Json {
    match literal(json).unwrap_or(json) {
        Json::Array(items) => items.iter().map(without_marks).collect(),
        Json::Object(object) => Json::Object(map_values(object, without_marks)),
        other => other.clone(),
    }
}

/// Returns an object with the same keys and changed values.
fn map_values(object: &JsonMap<String, Json>, change: fn(&Json) -> Json) -> JsonMap<String, Json> {
    let with = |(key, value): (&String, &Json)| (key.clone(), change(value));
    object.iter().map(with).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        diagnostic::{Diagnostics, FileId, Sources, Span},
        syntax::{Value, parse},
    };
    use serde_json::json;

    const SPAN: Span = Span {
        file: FileId(0),
        start: 0,
        end: 0,
    };

    fn read(json: &Json) -> Value {
        let mut sources = Sources::default();
        let file = sources.add_text("blueprint.yaml", json.to_string());
        parse(&sources, file, &mut Diagnostics::default()).unwrap()
    }

    #[test]
    fn marked_data_is_read_back_unchanged() {
        for data in [
            json!({ "get_secret": "x" }),
            json!({ "type": "string", "get_input": { "concat": ["a", { "get_secret": "b" }] } }),
            json!({ "dockctl.literal": { "dockctl.literal": 1 } }),
            json!([{ "dockctl.withheld": "digest" }, { "a": 1, "get_input": 2, "b": 3 }, "text"]),
        ] {
            let value = Value::from_json(&as_literal(&data), SPAN);
            let marked = value.to_json();
            assert_eq!(without_marks(&marked), data, "{marked}");
            assert_eq!(Value::from_json(&marked, SPAN).to_json(), marked);
            assert_eq!(read(&marked).to_json(), marked, "as written in a blueprint");
            assert!(!crate::model::function::contains_call(&marked), "{marked}");
        }
    }
}
