//! Writes YAML that parsers of YAML 1.1 and 1.2 read as the same values.
//!
//! Existing libraries quote for one version only: `22:22` is a number in the other.

use serde_json::Value as Json;

/// Returns a value as a document in block style. Empty lists and mappings, and short lists of
/// scalars, are written on one line.
#[must_use]
pub fn yaml(value: &Json) -> String {
    let mut text = String::new();
    write(value, 0, &mut text);
    text
}

fn write(value: &Json, depth: usize, text: &mut String) {
    let indent = "  ".repeat(depth);
    match value {
        Json::Object(entries) if !entries.is_empty() => {
            for (key, value) in entries {
                *text += &format!("{indent}{}:", scalar(key));
                nested(value, depth + 1, text);
            }
        }
        Json::Array(items) if !items.is_empty() => {
            for item in items {
                let mut inner = String::new();
                write(item, depth + 1, &mut inner);
                // The first line of a nested value follows the dash.
                *text += &format!(
                    "{indent}- {}",
                    inner
                        .strip_prefix(&"  ".repeat(depth + 1))
                        .unwrap_or(&inner)
                );
            }
        }
        _ => *text += &format!("{indent}{}\n", inline(value)),
    }
}

fn nested(value: &Json, depth: usize, text: &mut String) {
    let is_block = match value {
        Json::Object(entries) => !entries.is_empty(),
        Json::Array(items) => {
            items.iter().any(|item| item.is_object() || item.is_array()) || inline(value).len() > 80
        }
        _ => false,
    };
    if is_block {
        *text += "\n";
        write(value, depth, text);
    } else {
        *text += &format!(" {}\n", inline(value));
    }
}

fn inline(value: &Json) -> String {
    match value {
        Json::String(text) => scalar(text),
        Json::Array(items) => format!(
            "[{}]",
            items.iter().map(inline).collect::<Vec<_>>().join(", ")
        ),
        Json::Object(entries) => {
            let entries: Vec<String> = entries
                .iter()
                .map(|(key, value)| format!("{}: {}", scalar(key), inline(value)))
                .collect();
            format!("{{{}}}", entries.join(", "))
        }
        other => other.to_string(),
    }
}

/// Returns text unquoted if every parser reads it as this text; otherwise quoted as in JSON, which
/// YAML accepts.
fn scalar(text: &str) -> String {
    const RESERVED: [&str; 13] = [
        "y", "n", "yes", "no", "on", "off", "true", "false", "null", "none", "inf", "nan", "nil",
    ];
    let starts = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/' || c == '_');
    let plain = |c: char| c.is_ascii_alphanumeric() || "_/.-".contains(c);
    if starts && text.chars().all(plain) && !RESERVED.contains(&text.to_lowercase().as_str()) {
        text.to_owned()
    } else {
        Json::from(text).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        diagnostic::{Diagnostics, Sources},
        syntax::parse,
    };
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn ambiguous_scalars_are_quoted() {
        let value = json!({ "a": ["yes", "22:22", "1e3", "010", "/bin/sh", "-c", ""], "b": { "c": null, "80": [{ "x": 1, "y": [] }] }, "d": "#", "e": {} });
        let text = "a: [\"yes\", \"22:22\", \"1e3\", \"010\", /bin/sh, \"-c\", \"\"]\nb:\n  c: null\n  \"80\":\n    - x: 1\n      \"y\": []\nd: \"#\"\ne: {}\n";
        assert_eq!(yaml(&value), text);
    }

    fn value() -> impl Strategy<Value = Json> {
        let leaf = prop_oneof![
            any::<i32>().prop_map(Json::from),
            any::<bool>().prop_map(Json::from),
            "\\PC{0,12}".prop_map(Json::from),
            Just(Json::Null)
        ];
        leaf.prop_recursive(4, 30, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Json::from),
                prop::collection::hash_map("\\PC{1,8}", inner, 0..5)
                    .prop_map(|map| map.into_iter().collect::<serde_json::Map<_, _>>().into()),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_value_reads_back_unchanged(entries in prop::collection::hash_map("[a-z]{1,8}", value(), 1..5)) {
            let value: Json = entries.into_iter().collect::<serde_json::Map<_, _>>().into();
            let text = yaml(&value);
            let mut sources = Sources::default();
            let file = sources.add_text("x", text.clone());
            let read = parse(&sources, file, &mut Diagnostics::default()).map_err(|_| TestCaseError::fail(text.clone()))?;
            prop_assert_eq!(read.to_json(), value, "{}", text);
        }
    }
}
