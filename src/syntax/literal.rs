//! Values that are data, whatever they look like: functions in them are never evaluated.
//!
//! A front-end, or a blueprint with `{dockctl.literal: VALUE}`, says so. Without places, as JSON,
//! the same mark stands around every mapping that would be taken for a call; nothing else needs it.

use super::FUNCTIONS;
use serde_json::{Map as JsonMap, Value as Json};

/// The only key of the mapping that marks its value as data.
pub const LITERAL: &str = "dockctl.literal";

/// What is marked, if a value without places is a mark.
#[must_use]
pub fn literal(json: &Json) -> Option<&Json> {
    let object = json.as_object().filter(|object| object.len() == 1)?;
    object.get(LITERAL)
}

/// The mapping with a mark around it, if it would be taken for something else.
#[must_use]
pub(super) fn marked(object: JsonMap<String, Json>) -> Json {
    let is_like_a_call = object.len() <= 2 && object.keys().any(|key| is_special(key));
    let json = Json::Object(object);
    if is_like_a_call {
        [(LITERAL.to_owned(), json)].into_iter().collect()
    } else {
        json
    }
}

/// Whether a key means something where few others stand beside it.
fn is_special(key: &str) -> bool {
    FUNCTIONS.contains(&key) || key.starts_with("dockctl.")
}

/// A value without places as data, marked wherever it would be taken for something else.
#[must_use]
pub fn as_literal(json: &Json) -> Json {
    match json {
        Json::Array(items) => items.iter().map(as_literal).collect(),
        Json::Object(object) => marked(changed(object, as_literal)),
        other => other.clone(),
    }
}

/// The value without marks: for the system that it is meant for, once nothing is evaluated any
/// more.
#[must_use]
pub fn plain(json: &Json) -> Json {
    match literal(json).unwrap_or(json) {
        Json::Array(items) => items.iter().map(plain).collect(),
        Json::Object(object) => Json::Object(changed(object, plain)),
        other => other.clone(),
    }
}

/// The same keys with other values.
fn changed(object: &JsonMap<String, Json>, change: fn(&Json) -> Json) -> JsonMap<String, Json> {
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
    fn any_data_is_read_back_as_it_was_marked() {
        for data in [
            json!({ "get_secret": "x" }),
            json!({ "type": "string", "get_input": { "concat": ["a", { "get_secret": "b" }] } }),
            json!({ "dockctl.literal": { "dockctl.literal": 1 } }),
            json!([{ "dockctl.withheld": "digest" }, { "a": 1, "get_input": 2, "b": 3 }, "text"]),
        ] {
            let value = Value::from_json(&as_literal(&data), SPAN);
            let marked = value.to_json();
            assert_eq!(plain(&marked), data, "{marked}");
            assert_eq!(Value::from_json(&marked, SPAN).to_json(), marked);
            assert_eq!(read(&marked).to_json(), marked, "as a blueprint has it");
            assert!(!crate::model::function::holds_call(&marked), "{marked}");
        }
    }
}
