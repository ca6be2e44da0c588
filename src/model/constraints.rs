//! Constraints on the values of inputs.

use crate::{
    diagnostic::{Code, Diagnostic, Diagnostics, Span},
    syntax::{
        Data, Operator, Value,
        ast::{Constraint, Schema},
        call,
    },
};

/// Checks the value of an input against its constraints. With `item_type`, checks each item of a
/// list.
pub(super) fn check(name: &str, value: &Value, schema: &Schema, place: Span, d: &mut Diagnostics) {
    if schema.constraints.is_empty() {
        // Cloudify checks types such as `deployment_id` on its server; dockctl has no such server.
        return;
    }
    if call(value).is_some() {
        let fault = place.error(
            Code::ConstraintFunction,
            format!("input `{name}` has constraints, and its value cannot be a function"),
        );
        d.push(fault.related(schema.constraints[0].span, "the constraint"));
        return;
    }
    let items = if schema.item_type.is_some() {
        value.as_list()
    } else {
        None
    };
    for value in items.unwrap_or(std::slice::from_ref(value)) {
        d.extend(
            schema
                .constraints
                .iter()
                .find(|constraint| !is_satisfied(&constraint.operator, value))
                .map(|broken| violation(name, value, broken, place)),
        );
    }
}

fn violation(name: &str, value: &Value, broken: &Constraint, place: Span) -> Diagnostic {
    let shown = super::function::python_text(&value.to_json());
    let message = match &broken.error_message {
        Some(message) => format!("invalid value {shown} for input `{name}`: {message}"),
        None => format!(
            "invalid value {shown} for input `{name}`: {}",
            requirement(&broken.operator)
        ),
    };
    place
        .error(Code::Constraint, message)
        .related(broken.span, "the constraint")
}

fn requirement(operator: &Operator) -> String {
    use crate::syntax::Comparison as C;
    let word = |comparison: &C| match comparison {
        C::Equal => "equal to",
        C::Greater => "greater than",
        C::GreaterOrEqual => "at least",
        C::Less => "less than",
        C::LessOrEqual => "at most",
    };
    match operator {
        Operator::Compare(comparison, number) => {
            format!("must be {} {number}", word(comparison))
        }
        Operator::Length(comparison, number) => {
            format!("length must be {} {number}", word(comparison))
        }
        Operator::InRange(low, high) => format!("must be between {low} and {high}"),
        Operator::ValidValues(values) => {
            let values: Vec<String> = values.iter().map(Value::to_key).collect();
            format!("must be one of: {}", values.join(", "))
        }
        Operator::Pattern(_) => "must be a string that matches the pattern".to_owned(),
        Operator::NeedsManager(name) => {
            format!("the constraint `{name}` can only be checked on a Cloudify server")
        }
        Operator::Unevaluated(name) => {
            format!("the argument of `{name}` is a function, which is not evaluated in constraints")
        }
    }
}

fn is_satisfied(operator: &Operator, value: &Value) -> bool {
    match operator {
        Operator::Compare(comparison, number) => {
            as_number(value).is_some_and(|value| comparison.holds(value, *number))
        }
        Operator::Length(comparison, number) => {
            length(value).is_some_and(|value| comparison.holds(value, *number))
        }
        Operator::InRange(low, high) => {
            as_number(value).is_some_and(|value| *low <= value && value <= *high)
        }
        Operator::ValidValues(values) => {
            values.iter().any(|other| equal_as_in_python(value, other))
        }
        Operator::Pattern(regex) => value
            .as_str()
            .is_some_and(|text| regex.is_match(text).unwrap_or(false)),
        Operator::NeedsManager(_) | Operator::Unevaluated(_) => false,
    }
}

/// Returns a value as a number; booleans count as 1 and 0.
#[expect(
    clippy::cast_precision_loss,
    reason = "numbers beyond 2^53 are compared as the nearest float"
)]
fn as_number(value: &Value) -> Option<f64> {
    match value.data {
        Data::Int(number) => Some(number as f64),
        Data::Float(number) => Some(number),
        Data::Bool(yes) => Some(u8::from(yes).into()),
        _ => None,
    }
}

#[expect(clippy::cast_precision_loss, reason = "no value is that long")]
fn length(value: &Value) -> Option<f64> {
    match &value.data {
        Data::Str(text) => Some(text.chars().count() as f64),
        Data::List(list) => Some(list.len() as f64),
        Data::Map(map) => Some(map.entries.len() as f64),
        Data::Bytes(bytes) => Some(bytes.len() as f64),
        _ => None,
    }
}

/// Compares two values as Python does: `1`, `1.0` and `true` are equal.
fn equal_as_in_python(one: &Value, other: &Value) -> bool {
    match (&one.data, &other.data) {
        (Data::Null, Data::Null) => true,
        (Data::Str(one), Data::Str(other)) | (Data::Date(one), Data::Date(other)) => one == other,
        (Data::Bytes(one), Data::Bytes(other)) => one == other,
        (Data::List(one), Data::List(other)) => {
            one.len() == other.len()
                && one
                    .iter()
                    .zip(other.iter())
                    .all(|(one, other)| equal_as_in_python(one, other))
        }
        (Data::Map(one), Data::Map(other)) => {
            one.entries.len() == other.entries.len()
                && one.entries.iter().all(|(key, value)| {
                    other.entries.iter().any(|(other_key, other)| {
                        equal_as_in_python(key, other_key) && equal_as_in_python(value, other)
                    })
                })
        }
        _ => {
            matches!((as_number(one), as_number(other)), (Some(one), Some(other)) if one.total_cmp(&other).is_eq())
        }
    }
}
