//! Declarations of properties and inputs, and constraints on inputs.

use super::{
    Data, Map, Value, Version,
    fields::{Fields, Owner, Reader},
};
use crate::diagnostic::{Code, Diagnostic, Span, Spanned};
use fancy_regex::Regex;
use std::sync::Arc;

/// Declaration of a property, an input of a blueprint or operation, or a workflow parameter.
#[derive(Clone, Debug, Default)]
pub struct Schema {
    /// Name of a primitive type or data type; `None` accepts any value.
    pub type_name: Option<Spanned<String>>,
    /// Value used if none is given. `null` counts as a default.
    pub default: Option<Value>,
    /// True if a value is required; `None` means true.
    pub required: Option<bool>,
    /// Description for people.
    pub description: Option<String>,
    /// Type of the items of a list.
    pub item_type: Option<Spanned<String>>,
    /// Rules that values must satisfy.
    pub constraints: Vec<Constraint>,
    /// The constraints as written.
    pub raw_constraints: Option<Value>,
    /// Label shown to people instead of the name.
    pub display_label: Option<String>,
    /// True if it is not shown to people.
    pub hidden: Option<bool>,
    /// Display settings.
    pub display: Option<Value>,
    /// Keys that are `null`. They have no meaning but appear in the plan.
    pub null_keys: Vec<Arc<str>>,
}

impl Schema {
    /// Returns true if a value is required.
    #[must_use]
    pub fn is_required(&self) -> bool {
        self.required.unwrap_or(true)
    }

    /// Returns the name of the type, if given.
    #[must_use]
    pub fn type_of(&self) -> Option<&str> {
        self.type_name.as_ref().map(|name| name.node.as_str())
    }
}

/// Types that exist in every blueprint.
pub const PRIMITIVES: [&str; 17] = [
    "string",
    "integer",
    "float",
    "boolean",
    "list",
    "dict",
    "regex",
    "textarea",
    "blueprint_id",
    "deployment_id",
    "capability_value",
    "scaling_group",
    "node_id",
    "node_type",
    "node_instance",
    "secret_key",
    "operation_name",
];

/// A rule for the values of an input.
#[derive(Clone, Debug)]
pub struct Constraint {
    /// Its place.
    pub span: Span,
    /// The rule.
    pub operator: Operator,
    /// Message to report instead of the rule.
    pub error_message: Option<String>,
}

/// The rule of a constraint.
#[derive(Clone, Debug)]
pub enum Operator {
    /// Compares with a number.
    Compare(Comparison, f64),
    /// Between two numbers, both included.
    InRange(f64, f64),
    /// One of these values.
    ValidValues(Vec<Value>),
    /// Compares the number of characters, items or keys.
    Length(Comparison, f64),
    /// Matches a regular expression from the start of the text.
    Pattern(Arc<Regex>),
    /// Needs a Cloudify Manager to check; without one, no value satisfies it.
    NeedsManager(&'static str),
    /// Has a function as its argument, which is never evaluated, or was not checked when the
    /// blueprint was read. No value satisfies it.
    Unevaluated(String),
}

/// A comparison of numbers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Comparison {
    /// `==`
    Equal,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
}

impl Comparison {
    /// Returns true if the comparison of `left` with `right` holds.
    #[must_use]
    #[expect(clippy::float_cmp, reason = "Cloudify compares numbers exactly")]
    pub fn holds(self, left: f64, right: f64) -> bool {
        match self {
            Self::Equal => left == right,
            Self::Greater => left > right,
            Self::GreaterOrEqual => left >= right,
            Self::Less => left < right,
            Self::LessOrEqual => left <= right,
        }
    }
}

/// Names of the operators.
pub const OPERATORS: [&str; 15] = [
    "equal",
    "greater_than",
    "greater_or_equal",
    "less_than",
    "less_or_equal",
    "in_range",
    "valid_values",
    "length",
    "min_length",
    "max_length",
    "pattern",
    "name_pattern",
    "labels",
    "tenants",
    "filter_id",
];
/// Another operator, which has the name of a type.
const DEPLOYMENT_ID: &str = "deployment_id";

/// Kind of declaration, which decides the allowed keys.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(super) enum Kind {
    Property,
    Parameter,
    Input,
}

/// Reads a declaration. `null` accepts any value.
pub(super) fn schema(
    value: &Value,
    owner: Owner<'_>,
    kind: Kind,
    r: &mut Reader<'_>,
) -> Option<Schema> {
    let mut fields = Fields::open(value, owner, r)?;
    let part = |key| owner.part(key);
    let mut schema = Schema {
        required: fields.since("required", Version::V1_2, r).map_or_else(
            || null_required(value),
            |value| r.boolean(value, &part("required")),
        ),
        default: fields.take("default").cloned(),
        description: fields.text("description", r).map(|text| text.node),
        // An empty name counts as no type, as in Cloudify.
        type_name: fields.text("type", r).filter(|name| !name.node.is_empty()),
        null_keys: value.as_map().map(nulls).unwrap_or_default(),
        ..Schema::default()
    };
    if kind != Kind::Property {
        schema.item_type = fields.text_since("item_type", Version::V1_4, r);
        schema.raw_constraints = fields.take("constraints").cloned();
    }
    if kind == Kind::Input {
        schema.display_label = fields
            .text_since("display_label", Version::V1_3, r)
            .map(|text| text.node);
        schema.hidden = fields
            .since("hidden", Version::V1_3, r)
            .and_then(|value| r.boolean(value, &part("hidden")));
        schema.display = fields
            .take("display")
            .filter(|value| !value.is_null())
            .cloned();
    }
    fields.report_unknown(r);
    check(&mut schema, value, &owner, kind, r);
    Some(schema)
}

/// `required: null` means false, as in Cloudify.
fn null_required(schema: &Value) -> Option<bool> {
    schema.get("required").map(|_| false)
}

pub(super) fn property(value: &Value, name: &str, r: &mut Reader<'_>) -> Option<Schema> {
    schema(value, Owner::new("property", name), Kind::Property, r)
}

pub(super) fn operation_input(value: &Value, name: &str, r: &mut Reader<'_>) -> Option<Schema> {
    schema(value, Owner::new("input", name), Kind::Input, r)
}

pub(super) fn input(value: &Value, name: &str, r: &mut Reader<'_>) -> Option<Schema> {
    schema(value, Owner::new("input", name), Kind::Input, r)
}

pub(super) fn parameter(value: &Value, name: &str, r: &mut Reader<'_>) -> Option<Schema> {
    schema(value, Owner::new("parameter", name), Kind::Parameter, r)
}

fn nulls(map: &Map) -> Vec<Arc<str>> {
    map.entries
        .iter()
        .filter(|(_, value)| value.is_null())
        .filter_map(|(key, _)| key.as_str().map(Into::into))
        .collect()
}

fn check(schema: &mut Schema, value: &Value, owner: &Owner<'_>, kind: Kind, r: &mut Reader<'_>) {
    if let Some(name) = &schema.type_name {
        check_since(name, r);
    }
    if let Some(Data::Date(_) | Data::Bytes(_)) =
        schema.default.as_ref().map(|default| &default.data)
    {
        let default = schema.default.as_ref().expect("just looked at");
        r.push(
            default
                .span
                .error(
                    Code::ValueNotAllowed,
                    format!("the default of {owner} cannot be {}", default.kind()),
                )
                .hint("quote it"),
        );
    }
    if let Some(item_type) = &schema.item_type {
        check_item_type(schema, item_type, owner, r);
    }
    if schema.hidden == Some(true) && schema.is_required() && schema.default.is_none() {
        let fault = value.span.error(
            Code::HiddenRequired,
            format!("{owner} is hidden and required but has no default"),
        );
        r.push(fault.hint("declare a default or `required: false`"));
    }
    if let Some(display) = &schema.display {
        check_display(schema, display, owner, r);
    }
    if let Some(given) = schema.raw_constraints.clone() {
        // Cloudify ignores `constraints: null` unless there is a default to check.
        if !given.is_null() || schema.default.is_some() {
            schema.constraints = constraints(&given, &owner.part("constraints"), kind, r);
        }
    }
}

fn check_since(name: &Spanned<String>, r: &mut Reader<'_>) {
    let Some(place) = PRIMITIVES.iter().position(|known| *known == name.node) else {
        return;
    };
    let since = match PRIMITIVES[place] {
        "operation_name" => Version::V1_5,
        _ if place >= 8 => Version::V1_4,
        _ => return,
    };
    r.require_version(name.span, &format!("the type `{}`", name.node), since);
}

fn check_item_type(
    schema: &Schema,
    item_type: &Spanned<String>,
    owner: &Owner<'_>,
    r: &mut Reader<'_>,
) {
    if schema.type_of() != Some("list") {
        let declared = schema.type_of().unwrap_or("any");
        let fault = item_type.span.error(
            Code::ItemTypeWithoutList,
            format!("{owner} has an `item_type` but is of type {declared}"),
        );
        r.push(fault.hint("declare `type: list`"));
    } else if !PRIMITIVES.contains(&item_type.node.as_str()) {
        let fault = item_type.span.error(
            Code::ItemType,
            format!("items cannot be of type `{}`", item_type.node),
        );
        r.push(
            fault
                .did_you_mean(&item_type.node, PRIMITIVES)
                .hint("use a primitive type for the items"),
        );
    }
}

fn check_display(schema: &Schema, display: &Value, owner: &Owner<'_>, r: &mut Reader<'_>) {
    if schema.type_of() != Some("textarea") {
        r.push(display.span.error(
            Code::Display,
            format!("{owner} has a `display`, which requires `type: textarea`"),
        ));
    }
    let part = owner.part("display");
    if let Some(mut fields) = Fields::open(display, part, r) {
        if let Some(rows) = fields
            .take("rows")
            .filter(|rows| !matches!(rows.data, Data::Int(_) | Data::Bool(_) | Data::Null))
        {
            r.wrong_shape(rows, &part.part("rows"), "an integer");
        }
        fields.report_unknown(r);
    }
}

fn constraints(
    value: &Value,
    owner: &Owner<'_>,
    kind: Kind,
    r: &mut Reader<'_>,
) -> Vec<Constraint> {
    if let Some(null) = [value]
        .into_iter()
        .chain(value.as_list().unwrap_or_default())
        .find(|value| value.is_null())
    {
        let expected = if value.is_null() {
            "a list"
        } else {
            "mappings"
        };
        r.push(null.span.error(
            Code::WrongType,
            format!("{owner} must be {expected}, not null"),
        ));
        return Vec::new();
    }
    r.list(value, owner)
        .iter()
        .filter_map(|item| constraint(item, owner, kind, r))
        .collect()
}

/// Reads a constraint. Of several operators, the first is checked and the last one counts, as in
/// Cloudify. Older DSL versions allow only one key.
fn constraint(
    value: &Value,
    owner: &Owner<'_>,
    kind: Kind,
    r: &mut Reader<'_>,
) -> Option<Constraint> {
    let map = r.map(value, owner)?;
    if kind == Kind::Parameter && map.entries.len() > 1 {
        let fault = value.span.error(
            Code::ConstraintOperator,
            format!("each item of {owner} must have exactly one key"),
        );
        r.push(fault.hint("write one list item for each operator"));
        return None;
    }
    let mut error_message = None;
    if let Some((key, message)) = map.entry("error_message") {
        r.require_version(key.span, "`error_message`", Version::V1_5);
        error_message = Some(
            message
                .as_str()
                .map_or_else(|| message.to_key(), str::to_owned),
        );
    }
    let operators: Vec<&(Value, Value)> = map
        .entries
        .iter()
        .filter(|(key, _)| key.as_str() != Some("error_message"))
        .collect();
    if let Some((second, _)) = operators.get(1) {
        r.require_version(second.span, "a second key in a constraint", Version::V1_5);
    }
    let Some(((first, argument), (last, last_argument))) = operators.first().zip(operators.last())
    else {
        let fault = value
            .span
            .error(Code::ConstraintOperator, "the constraint has no operator");
        r.push(fault.hint(format!("operators: {}", OPERATORS.join(", "))));
        return None;
    };
    if let Err(fault) = operator(first, argument) {
        r.push(*fault);
        return None;
    }
    let operator =
        operator(last, last_argument).unwrap_or_else(|_| Operator::Unevaluated(last.to_key()));
    Some(Constraint {
        span: last.span,
        operator,
        error_message,
    })
}

fn operator(key: &Value, argument: &Value) -> Result<Operator, Box<Diagnostic>> {
    let name = key.to_key();
    let wrong = |expected: &str| {
        Box::new(argument.span.error(
            Code::ConstraintArgument,
            format!(
                "`{name}` takes {expected}; the argument is {}",
                argument.kind()
            ),
        ))
    };
    let known = OPERATORS.contains(&name.as_str()) || name == DEPLOYMENT_ID;
    if known && super::call::call(argument).is_some() {
        return Ok(Operator::Unevaluated(name));
    }
    let a_number = || number(argument).ok_or_else(|| wrong("a number"));
    Ok(match name.as_str() {
        "equal" => Operator::Compare(Comparison::Equal, a_number()?),
        "greater_than" => Operator::Compare(Comparison::Greater, a_number()?),
        "greater_or_equal" => Operator::Compare(Comparison::GreaterOrEqual, a_number()?),
        "less_than" => Operator::Compare(Comparison::Less, a_number()?),
        "less_or_equal" => Operator::Compare(Comparison::LessOrEqual, a_number()?),
        "length" => Operator::Length(Comparison::Equal, a_number()?),
        "min_length" => Operator::Length(Comparison::GreaterOrEqual, a_number()?),
        "max_length" => Operator::Length(Comparison::LessOrEqual, a_number()?),
        "in_range" => match argument.as_list() {
            Some([low, high]) => Operator::InRange(
                number(low).ok_or_else(|| wrong("a list of two numbers"))?,
                number(high).ok_or_else(|| wrong("a list of two numbers"))?,
            ),
            _ => return Err(wrong("a list of two numbers")),
        },
        "valid_values" => {
            Operator::ValidValues(argument.as_list().ok_or_else(|| wrong("a list"))?.to_vec())
        }
        "pattern" => {
            let text = argument
                .as_str()
                .ok_or_else(|| wrong("a regular expression"))?;
            Operator::Pattern(Arc::new(regex(text).map_err(|error| {
                Box::new(argument.span.error(
                    Code::ConstraintArgument,
                    format!("the pattern is not a valid regular expression: {error}"),
                ))
            })?))
        }
        "name_pattern" if argument.as_map().is_some() => Operator::NeedsManager("name_pattern"),
        "name_pattern" => return Err(wrong("a mapping")),
        "labels" if argument.as_list().is_some() => Operator::NeedsManager("labels"),
        "tenants" if argument.as_list().is_some() => Operator::NeedsManager("tenants"),
        "labels" | "tenants" => return Err(wrong("a list")),
        "filter_id" if argument.as_str().is_some() => Operator::NeedsManager("filter_id"),
        DEPLOYMENT_ID if argument.as_str().is_some() => Operator::NeedsManager(DEPLOYMENT_ID),
        "filter_id" | DEPLOYMENT_ID => return Err(wrong("a string")),
        _ => {
            let fault = key.span.error(
                Code::ConstraintOperator,
                format!("there is no constraint `{name}`"),
            );
            return Err(Box::new(
                fault
                    .did_you_mean(&name, OPERATORS)
                    .hint(format!("operators: {}", OPERATORS.join(", "))),
            ));
        }
    })
}

/// Compiles a regular expression that matches from the start of the text.
///
/// # Errors
///
/// If the expression is invalid.
pub fn regex(text: &str) -> Result<Regex, Box<fancy_regex::Error>> {
    Regex::new(&format!(r"\A(?:{text})")).map_err(Box::new)
}

/// Returns true if a value has a type, by Cloudify's rules: `string` and the object types accept
/// anything, and booleans are not integers.
#[must_use]
pub fn matches_type(value: &Value, type_name: &str) -> bool {
    match type_name {
        "integer" => matches!(value.data, Data::Int(_)),
        "float" => matches!(value.data, Data::Int(_) | Data::Float(_)),
        "boolean" => matches!(value.data, Data::Bool(_)),
        "list" => matches!(value.data, Data::List(_)),
        "dict" => matches!(value.data, Data::Map(_)),
        "regex" => value.as_str().is_some_and(|text| regex(text).is_ok()),
        _ => true,
    }
}

/// Returns the value as a number. Booleans are not numbers.
#[expect(
    clippy::cast_precision_loss,
    reason = "numbers beyond 2^53 are compared as the nearest float"
)]
fn number(value: &Value) -> Option<f64> {
    match value.data {
        Data::Int(value) => Some(value as f64),
        Data::Float(value) => Some(value),
        _ => None,
    }
}
