//! Secrets inside of runtime properties: a secret that a script wrote is stored as an expression.
//!
//! Only expressions with the mark of dockctl are evaluated. Everything else that a script wrote is
//! data, also if it looks like a function.

use super::{EvaluationContext, WITHHELD, bind};
use serde_json::{Value as Json, json};

/// Key of a mapping that contains an expression of dockctl.
const CONCEALED: &str = "dockctl.evaluate";
/// Keys that scripts must not write.
const RESERVED: [&str; 3] = [CONCEALED, WITHHELD, "dockctl.literal"];

/// Returns a value that stands for the result of an expression.
#[must_use]
pub fn concealed(expression: &Json) -> Json {
    json!({ CONCEALED: expression })
}

fn expression(value: &Json) -> Option<&Json> {
    let object = value.as_object().filter(|object| object.len() == 1)?;
    object.get(CONCEALED)
}

/// Returns true if a value contains an expression of dockctl.
#[must_use]
pub fn contains_concealed(value: &Json) -> bool {
    expression(value).is_some()
        || match value {
            Json::Array(items) => items.iter().any(contains_concealed),
            Json::Object(object) => object.values().any(contains_concealed),
            _ => false,
        }
}

/// Returns the first key in a value that only dockctl may write.
#[must_use]
pub fn reserved_key(value: &Json) -> Option<&str> {
    match value {
        Json::Array(items) => items.iter().find_map(reserved_key),
        Json::Object(object) => {
            let mut keys = object.keys().map(String::as_str);
            let own = keys.find(|key| RESERVED.contains(key));
            own.or_else(|| object.values().find_map(reserved_key))
        }
        _ => None,
    }
}

/// Evaluates the expressions of dockctl in a value.
///
/// # Errors
///
/// If a secret is not available.
pub fn reveal(value: &Json, context: &dyn EvaluationContext) -> Result<Json, String> {
    if let Some(expression) = expression(value) {
        return bind(expression, context);
    }
    match value {
        Json::Array(items) => items.iter().map(|item| reveal(item, context)).collect(),
        Json::Object(object) => {
            let entries = object.iter();
            let revealed = entries.map(|(key, value)| Ok((key.clone(), reveal(value, context)?)));
            Ok(Json::Object(revealed.collect::<Result<_, String>>()?))
        }
        other => Ok(other.clone()),
    }
}

/// Replaces the secrets in the expressions of dockctl by a placeholder, for output.
#[must_use]
pub fn mask(value: &Json, placeholder: &str) -> Json {
    if let Some(expression) = expression(value) {
        return masked_expression(expression, placeholder);
    }
    match value {
        Json::Array(items) => items.iter().map(|item| mask(item, placeholder)).collect(),
        Json::Object(object) => {
            let entries = object.iter();
            let masked = entries.map(|(key, value)| (key.clone(), mask(value, placeholder)));
            Json::Object(masked.collect())
        }
        other => other.clone(),
    }
}

fn masked_expression(expression: &Json, placeholder: &str) -> Json {
    let parts = expression["concat"].as_array().into_iter().flatten();
    let text: String = parts
        .map(|part| part.as_str().unwrap_or(placeholder))
        .collect();
    if text.is_empty() {
        placeholder.into()
    } else {
        text.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_marked_expressions_are_masked() {
        let token = concealed(&json!({ "concat": ["a-", { "get_secret": "t" }] }));
        let value = json!({ "l": [token, concealed(&json!({ "get_secret": "t" }))], "d": { "get_secret": "t" } });
        assert!(contains_concealed(&value));
        assert_eq!(
            mask(&value, "***"),
            json!({ "l": ["a-***", "***"], "d": { "get_secret": "t" } })
        );
        assert!(!contains_concealed(
            &json!({ "get_secret": "t", CONCEALED: 1 })
        ));
    }

    #[test]
    fn keys_of_dockctl_are_found_at_any_depth() {
        assert_eq!(
            reserved_key(&json!([{ "a": { CONCEALED: 1 } }])),
            Some(CONCEALED)
        );
        assert_eq!(
            reserved_key(&json!({ "get_secret": "dockctl.evaluate" })),
            None
        );
    }
}
