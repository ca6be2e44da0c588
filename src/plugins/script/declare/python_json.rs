//! JSON as Python's `json.dumps` writes it.

use crate::{model::function::python_text, syntax::python_float};
use serde_json::Value as Json;

/// Formats a value like `json.dumps(value)`: with one blank after `:` and `,`, and with all other
/// characters than ASCII escaped.
#[must_use]
pub(crate) fn dumps(value: &Json) -> String {
    match value {
        Json::Array(items) => format!("[{}]", joined(items.iter().map(dumps))),
        Json::Object(object) => {
            let entry =
                |(key, value): (&String, &Json)| format!("{}: {}", quoted(key), dumps(value));
            format!("{{{}}}", joined(object.iter().map(entry)))
        }
        Json::String(text) => quoted(text),
        Json::Number(number) if number.is_f64() => {
            python_float(number.as_f64().unwrap_or(f64::NAN))
        }
        other => other.to_string(),
    }
}

/// Formats an input as the value of an environment variable, as Cloudify's script plugin does: text
/// as it is, mappings, lists and booleans as JSON, other values as Python's `str` formats them.
#[must_use]
pub(crate) fn variable_text(value: &Json) -> String {
    match value {
        Json::Array(_) | Json::Object(_) | Json::Bool(_) => dumps(value),
        other => python_text(other),
    }
}

/// Returns true if Python treats the value as true.
#[must_use]
pub(crate) fn is_truthy(value: &Json) -> bool {
    match value {
        Json::Null => false,
        Json::Bool(value) => *value,
        Json::Number(number) => number.as_f64() != Some(0.0),
        Json::String(text) => !text.is_empty(),
        Json::Array(items) => !items.is_empty(),
        Json::Object(object) => !object.is_empty(),
    }
}

fn joined(parts: impl Iterator<Item = String>) -> String {
    parts.collect::<Vec<_>>().join(", ")
}

fn quoted(text: &str) -> String {
    let quoted = Json::from(text).to_string();
    let mut escaped = String::with_capacity(quoted.len());
    for c in quoted.chars() {
        if c.is_ascii() {
            escaped.push(c);
            continue;
        }
        let mut units = [0; 2];
        for unit in c.encode_utf16(&mut units) {
            escaped += &format!("\\u{unit:04x}");
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_are_formatted_as_in_python() {
        let value = json!({ "a": [1, "two", null, true, 1.0], "ü": "é\n\"😀" });
        assert_eq!(
            dumps(&value),
            r#"{"a": [1, "two", null, true, 1.0], "\u00fc": "\u00e9\n\"\ud83d\ude00"}"#
        );
    }

    #[test]
    fn variables_have_the_text_that_the_script_plugin_writes() {
        for (value, text) in [
            (json!("it's"), "it's"),
            (json!(7), "7"),
            (json!(1.5), "1.5"),
            (json!(true), "true"),
            (json!(null), "None"),
            (json!([1, "two", null]), r#"[1, "two", null]"#),
            (json!({ "k": "v" }), r#"{"k": "v"}"#),
        ] {
            assert_eq!(variable_text(&value), text);
        }
    }
}
