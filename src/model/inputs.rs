//! Inputs: given values, otherwise declared defaults.

use super::{Blueprint, constraints, resolve::check_items, types};
use crate::{
    diagnostic::{Code, Diagnostics},
    syntax::{
        Data, Value,
        ast::{Definition, Schema},
    },
};
use indexmap::IndexMap;
use serde_json::Value as Json;

/// A value that the user set for an input.
#[derive(Clone, Debug)]
pub struct GivenInput {
    /// The value, with its location on the command line or in a file.
    pub value: Value,
    /// True if it was written as `K=V`. Such text is converted to the declared type.
    pub bare: bool,
}

impl GivenInput {
    /// Returns all possible readings: bare text may also be a number or a boolean.
    #[must_use]
    pub fn possible_values(&self) -> Vec<Json> {
        let mut all = vec![self.value.to_json()];
        if let Some(text) = self.value.as_str().filter(|_| self.bare) {
            let types = [Data::Int(0), Data::Float(0.0), Data::Bool(true)];
            all.extend(
                types
                    .iter()
                    .filter_map(|data| parse_as(data, text))
                    .map(|data| Value::new(self.value.span, data).to_json()),
            );
        }
        all
    }
}

/// Parses bare text as the same kind of data as `kind`, if possible.
fn parse_as(kind: &Data, text: &str) -> Option<Data> {
    match (kind, text) {
        (Data::Int(_), _) => text.trim().parse().ok().map(Data::Int),
        (Data::Float(_), _) => text.trim().parse().ok().map(Data::Float),
        (Data::Bool(_), "true") => Some(Data::Bool(true)),
        (Data::Bool(_), "false") => Some(Data::Bool(false)),
        _ => None,
    }
}

/// How to treat inputs without a value.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum MissingInputs {
    /// Report an error: a deployment cannot be created without them.
    Reject,
    /// Accept them: only the blueprint is checked, and calls that depend on them are kept.
    Allow,
}

/// Returns the values of all inputs that have one.
#[must_use]
pub fn input_values(
    blueprint: &Blueprint,
    given: &IndexMap<String, GivenInput>,
    missing: MissingInputs,
    d: &mut Diagnostics,
) -> IndexMap<String, Value> {
    let mut values = IndexMap::new();
    for (name, input) in &blueprint.inputs {
        let value = match given.get(name) {
            Some(given) => Some(check_value(
                name,
                &convert(given, &input.body),
                input,
                blueprint,
                d,
            )),
            None => default_value(name, input, blueprint, d),
        };
        match value {
            Some(value) => {
                values.insert(name.clone(), value);
            }
            None if !input.body.is_required() => {
                values.insert(name.clone(), Value::new(input.name, Data::Null));
            }
            None if missing == MissingInputs::Reject => {
                let fault = input.name.error(
                    Code::MissingInput,
                    format!("input `{name}` has no value and no default"),
                );
                d.push(
                    fault
                        .label("declared here")
                        .hint(format!("set it: -i {name}=VALUE")),
                );
            }
            None => {}
        }
    }
    for (name, given) in given
        .iter()
        .filter(|(name, _)| !blueprint.inputs.contains_key(*name))
    {
        let fault = given.value.span.error(
            Code::UndeclaredInput,
            format!("the blueprint declares no input `{name}`"),
        );
        d.push(fault.did_you_mean(name, blueprint.inputs.keys().map(String::as_str)));
    }
    values
}

/// Checks a given value against its declaration and completes it.
fn check_value(
    name: &str,
    value: &Value,
    input: &Definition<Schema>,
    blueprint: &Blueprint,
    d: &mut Diagnostics,
) -> Value {
    constraints::check(name, value, &input.body, value.span, d);
    check_items(name, value, &input.body, d);
    // A given value replaces the default as a whole.
    complete_value(
        name,
        value,
        &Schema {
            default: None,
            ..input.body.clone()
        },
        blueprint,
        d,
    )
}

/// Returns the default, completed. Its type was checked with the blueprint; only missing properties
/// of data types are reported here. A data type with defaults for all properties is its own
/// default.
fn default_value(
    name: &str,
    input: &Definition<Schema>,
    blueprint: &Blueprint,
    d: &mut Diagnostics,
) -> Option<Value> {
    let schema = &input.body;
    let is_custom = schema
        .type_of()
        .is_some_and(|name| blueprint.data_types.contains_key(name));
    match schema.default.as_ref().filter(|default| !default.is_null()) {
        Some(default) if is_custom => Some(complete_value(name, default, schema, blueprint, d)),
        Some(default) => Some(default.clone()),
        None if is_custom => {
            let mut faults = Diagnostics::default();
            let empty = Value::new(input.name, Data::Map(std::sync::Arc::default()));
            let value = complete_value(name, &empty, schema, blueprint, &mut faults);
            let full =
                faults.is_empty() && value.as_map().is_some_and(|map| !map.entries.is_empty());
            full.then_some(value)
        }
        None => None,
    }
}

/// Completes a value of an input. All its errors get the same code, regardless of the violated
/// rule.
fn complete_value(
    name: &str,
    value: &Value,
    schema: &Schema,
    blueprint: &Blueprint,
    d: &mut Diagnostics,
) -> Value {
    let before = d.len();
    let place = types::CompletedValue {
        what: &format!("input `{name}`"),
        reports_missing: true,
    };
    let value = types::complete(value, schema, &place, &blueprint.data_types, d);
    for fault in &mut d[before..] {
        fault.code = Code::InputType;
        if matches!(schema.type_of(), Some("list" | "dict")) {
            fault.hints.push(format!("set it as YAML: -i '{name}:=…'"));
        }
    }
    value
}

/// Converts bare text to the declared type if possible. Otherwise it stays a string and fails the
/// type check.
fn convert(given: &GivenInput, schema: &Schema) -> Value {
    let text = given.value.as_str().filter(|_| given.bare);
    let (Some(text), Some(type_name)) = (text, schema.type_of()) else {
        return given.value.clone();
    };
    let data = match type_name {
        "integer" => parse_as(&Data::Int(0), text),
        "float" => parse_as(&Data::Float(0.0), text),
        "boolean" => parse_as(&Data::Bool(true), text),
        _ => None,
    };
    data.map_or_else(
        || given.value.clone(),
        |data| Value::new(given.value.span, data),
    )
}
