//! An input of an operation whose value must have a type when the operation runs.

use crate::{
    diagnostic::Span,
    model::{
        OperationDefinition,
        function::{self, EvaluationContext},
    },
    syntax::{PRIMITIVES, Value, matches_type, without_marks},
};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

/// An input of an operation with the type of its value.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct TypedInput {
    /// Name of the input.
    pub name: String,
    /// The type: a basic type of Cloudify, or a data type.
    pub type_name: String,
    /// The value; it can contain functions.
    pub value: Json,
}

impl TypedInput {
    /// Returns the typed inputs of an operation.
    #[must_use]
    pub fn all_of(operation: &OperationDefinition) -> Vec<Self> {
        let typed = |(name, type_name): (&String, &String)| {
            Some(Self {
                name: name.clone(),
                type_name: type_name.clone(),
                value: operation.inputs.get(name)?.clone(),
            })
        };
        operation.inputs_types.iter().filter_map(typed).collect()
    }

    /// Checks the value by Cloudify's rules. The value of a data type must be a mapping; its
    /// properties are not checked.
    ///
    /// # Errors
    ///
    /// If a function cannot be evaluated, or the value has another type. The message does not contain
    /// the value, which may be secret.
    pub fn check(&self, context: &dyn EvaluationContext) -> Result<(), String> {
        let bound = without_marks(&function::bind(&self.value, context)?);
        let value = Value::from_json(&bound, Span::NOWHERE);
        let is_basic = PRIMITIVES.contains(&self.type_name.as_str());
        let expected = if is_basic { &self.type_name } else { "dict" };
        if matches_type(&value, expected) {
            return Ok(());
        }
        Err(format!(
            "the value of input `{}` must be of type {}, not {}",
            self.name,
            self.type_name,
            value.kind()
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Every attribute has the value that its name spells.
    struct Spelled;

    impl EvaluationContext for Spelled {
        fn withheld(&self, digest: &str) -> Result<Json, String> {
            Err(digest.to_owned())
        }

        fn attribute(&self, _: &str, path: &[Json]) -> Result<Json, String> {
            let text = path[0].as_str().unwrap_or_default();
            serde_json::from_str(text).map_err(|_| format!("there is no `{text}`"))
        }

        fn attributes(&self, _: &str, _: &[Json]) -> Result<Vec<(String, Json)>, String> {
            Ok(Vec::new())
        }

        fn secret(&self, name: &str) -> Result<String, String> {
            Ok(name.to_owned())
        }

        fn deployment(&self, call: &str, _: &Json) -> Result<Json, String> {
            Err(call.to_owned())
        }
    }

    fn checked(type_name: &str, value: Json) -> Result<(), String> {
        let input = TypedInput {
            name: "port".into(),
            type_name: type_name.into(),
            value,
        };
        input.check(&Spelled)
    }

    #[test]
    fn late_values_are_checked_against_their_types() {
        let late = |text: &str| json!({ "get_attribute": ["db", text] });
        for (type_name, value) in [
            ("integer", "8080"),
            ("float", "1.5"),
            ("boolean", "true"),
            ("list", "[1]"),
            ("dict", "{}"),
            ("settings", "{}"),
            ("string", "8080"),
            ("regex", "\"a+\""),
            ("node_id", "\"db\""),
        ] {
            assert_eq!(checked(type_name, late(value)), Ok(()), "{type_name}");
        }
        for (type_name, value, kind) in [
            ("integer", "\"8080\"", "a string"),
            ("integer", "true", "a boolean"),
            ("float", "null", "null"),
            ("boolean", "\"yes\"", "a string"),
            ("list", "{}", "a mapping"),
            ("dict", "[]", "a list"),
            ("settings", "1", "an integer"),
            ("regex", "\"(\"", "a string"),
        ] {
            let expected =
                format!("the value of input `port` must be of type {type_name}, not {kind}");
            assert_eq!(checked(type_name, late(value)), Err(expected));
        }
    }

    #[test]
    fn secrets_are_text_and_do_not_appear_in_the_message() {
        let why = checked("integer", json!({ "get_secret": "5432" })).unwrap_err();
        assert!(why.ends_with("must be of type integer, not a string") && !why.contains("5432"));
        assert_eq!(
            checked("integer", json!({ "get_attribute": ["db", "nothing"] })),
            Err("there is no `nothing`".into())
        );
    }
}
