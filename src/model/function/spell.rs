//! Values spelt as Python's `str()` does, which is what `concat` and environment variables are made
//! with.

use crate::syntax::python_float;
use serde_json::Value as Json;

/// Spells a value.
#[must_use]
pub fn python_text(json: &Json) -> String {
    match json {
        Json::String(text) => text.clone(),
        other => python_repr(other),
    }
}

fn python_repr(json: &Json) -> String {
    match json {
        Json::Null => "None".into(),
        Json::Bool(value) => if *value { "True" } else { "False" }.into(),
        Json::Number(number) if number.is_f64() => {
            python_float(number.as_f64().unwrap_or(f64::NAN))
        }
        Json::Number(number) => number.to_string(),
        Json::String(text) => quoted(text),
        Json::Array(items) => format!(
            "[{}]",
            items.iter().map(python_repr).collect::<Vec<_>>().join(", ")
        ),
        Json::Object(object) => {
            let entries: Vec<String> = object
                .iter()
                .map(|(key, value)| format!("{}: {}", quoted(key), python_repr(value)))
                .collect();
            format!("{{{}}}", entries.join(", "))
        }
    }
}

fn quoted(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') {
        '"'
    } else {
        '\''
    };
    let escaped = text
        .replace('\\', "\\\\")
        .replace('\n', "\\n")
        .replace('\t', "\\t")
        .replace('\r', "\\r");
    let escaped = if quote == '\'' {
        escaped.replace('\'', "\\'")
    } else {
        escaped
    };
    format!("{quote}{escaped}{quote}")
}

#[cfg(test)]
mod tests {
    use super::python_text;
    use serde_json::json;

    #[test]
    fn values_are_spelt_as_in_python() {
        assert_eq!(
            python_text(&json!({"a": [true, null, 1.5, "it's"]})),
            r#"{'a': [True, None, 1.5, "it's"]}"#
        );
        assert_eq!(python_text(&json!("plain")), "plain");
    }
}
