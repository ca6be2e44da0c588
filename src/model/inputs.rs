//! Inputs: given values over declared defaults.

use super::{Blueprint, types};
use crate::{
    diagnostic::{Code, Diagnostic},
    syntax::{Data, Value, ast::Schema},
};
use indexmap::IndexMap;

/// A value given from outside, and whether it came as bare text.
#[derive(Clone, Debug)]
pub struct Given {
    /// The value, with its place on the command line or in a file.
    pub value: Value,
    /// It was written `K=V`: text that is converted to a declared type that is not text.
    pub bare: bool,
}

/// Whether inputs that lack a value are a fault.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Missing {
    /// A deployment cannot be made without them.
    Fault,
    /// Only the blueprint is looked at; what depends on them stays open.
    Open,
}

/// The value of every input that has one.
#[must_use]
pub fn supply(
    blueprint: &Blueprint,
    given: &IndexMap<String, Given>,
    missing: Missing,
    d: &mut Vec<Diagnostic>,
) -> IndexMap<String, Value> {
    let mut values = IndexMap::new();
    for (name, input) in &blueprint.inputs {
        let default = input.body.default.as_ref().filter(|default| !default.is_null());
        let value = match given.get(name) {
            Some(given) => Some(convert(given, &input.body)),
            None => default.cloned(),
        };
        match value {
            Some(value) => {
                // A default was checked with the blueprint; its faults are not told twice.
                let mut told = Vec::new();
                let faults = if given.contains_key(name) { &mut *d } else { &mut told };
                let value = types::complete(&value, &input.body, &format!("input `{name}`"), &blueprint.data_types, faults);
                values.insert(name.clone(), value);
            }
            None if !input.body.required => {
                values.insert(name.clone(), Value::new(input.name, Data::Null));
            }
            None if missing == Missing::Fault => {
                let fault = input.name.error(Code::MissingInput, format!("the input `{name}` has no default and was not given"));
                d.push(fault.label("declared here").hint(format!("give it: -i {name}=VALUE")));
            }
            None => {}
        }
    }
    for (name, given) in given.iter().filter(|(name, _)| !blueprint.inputs.contains_key(*name)) {
        let fault = given.value.span.error(Code::UndeclaredInput, format!("the blueprint declares no input `{name}`"));
        d.push(fault.did_you_mean(name, blueprint.inputs.keys().map(String::as_str)));
    }
    values
}

/// Bare text becomes the declared type if it reads as one; else it stays text and fails the type check.
fn convert(given: &Given, schema: &Schema) -> Value {
    let text = given.value.as_str().filter(|_| given.bare);
    let (Some(text), Some(type_name)) = (text, &schema.type_name) else { return given.value.clone() };
    let data = match type_name.node.as_str() {
        "integer" => text.parse().ok().map(Data::Int),
        "float" => text.parse().ok().map(Data::Float),
        "boolean" => match text.to_lowercase().as_str() {
            "true" | "yes" | "on" => Some(Data::Bool(true)),
            "false" | "no" | "off" => Some(Data::Bool(false)),
            _ => None,
        },
        _ => None,
    };
    data.map_or_else(|| given.value.clone(), |data| Value::new(given.value.span, data))
}
