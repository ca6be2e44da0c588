//! Instance counts of nodes and scaling groups.

use crate::{
    diagnostic::{Code, Diagnostic, Diagnostics, Span},
    syntax::{Data, Value, ast::Scalable, call},
};

/// Number of instances of a node or scaling group, per instance of its container.
#[derive(Clone, Debug)]
pub struct InstanceCounts {
    /// Minimum: an integer, or a function until it is evaluated.
    pub min: Value,
    /// Maximum; -1 for no limit.
    pub max: Value,
    /// Initial number.
    pub default: Value,
}

/// No limit.
const UNBOUNDED: i64 = -1;

impl InstanceCounts {
    /// Reads the declared numbers. `deploy` is the older name of the default.
    pub(super) fn new(
        given: &Scalable,
        deploy: Option<&Value>,
        place: Span,
        d: &mut Diagnostics,
    ) -> Self {
        let span = given.span.unwrap_or(place);
        let integer = |number| Value::new(span, Data::Int(number));
        let numbers = Self {
            min: given.min.clone().unwrap_or_else(|| integer(0)),
            max: given
                .max
                .clone()
                .map_or_else(|| integer(UNBOUNDED), parse_unbounded),
            default: deploy
                .or(given.default.as_ref())
                .cloned()
                .unwrap_or_else(|| integer(1)),
        };
        numbers.check(d);
        numbers
    }

    /// Returns all three numbers.
    pub(super) fn values(&self) -> [&Value; 3] {
        [&self.min, &self.max, &self.default]
    }

    /// Checks the known numbers, and that they are consistent.
    fn check(&self, d: &mut Diagnostics) {
        let shapes = [
            ("min_instances", &self.min),
            ("max_instances", &self.max),
            ("default_instances", &self.default),
        ];
        let faults: Vec<Diagnostic> = shapes
            .iter()
            .filter_map(|(name, value)| shape_error(name, value))
            .collect();
        if !faults.is_empty() {
            d.extend(faults);
            return;
        }
        let (min, max, default) = (count(&self.min), count(&self.max), count(&self.default));
        let below = |name: &str, value: &Value, least: i64| {
            value.span.error(
                Code::InstanceNumbers,
                format!("`{name}` must be at least {least}"),
            )
        };
        if min.is_some_and(|min| min < 0) {
            d.push(below("min_instances", &self.min, 0));
        }
        if default.is_some_and(|default| default < 0) {
            d.push(below("default_instances", &self.default, 0));
        }
        if max.is_some_and(|max| max < 1 && max != UNBOUNDED) {
            d.push(below("max_instances", &self.max, 1).hint("use -1 or UNBOUNDED for no limit"));
        }
        let bound = max.filter(|max| *max != UNBOUNDED);
        for (low, high, first, second, value) in [
            (
                min,
                default,
                "min_instances",
                "default_instances",
                &self.default,
            ),
            (
                default,
                bound,
                "default_instances",
                "max_instances",
                &self.max,
            ),
            (min, bound, "min_instances", "max_instances", &self.max),
        ] {
            if let (Some(low), Some(high)) = (low, high)
                && low > high
            {
                let message =
                    format!("`{first}` ({low}) must not be greater than `{second}` ({high})");
                d.push(
                    value
                        .span
                        .error(Code::InstanceNumbers, message)
                        .hint("min_instances ≤ default_instances ≤ max_instances"),
                );
            }
        }
    }

    /// Returns the initial number if it is known. A negative result of a function counts as 0, as
    /// in Cloudify.
    #[must_use]
    pub fn initial(&self) -> Option<usize> {
        count(&self.default).map(|count| usize::try_from(count).unwrap_or(0))
    }
}

fn parse_unbounded(value: Value) -> Value {
    if value.as_str() == Some("UNBOUNDED") {
        Value::new(value.span, Data::Int(UNBOUNDED))
    } else {
        value
    }
}

/// Returns a value as an integer; booleans count as 1 and 0.
fn count(value: &Value) -> Option<i64> {
    match value.data {
        Data::Int(number) => Some(number),
        Data::Bool(yes) => Some(yes.into()),
        _ => None,
    }
}

fn shape_error(name: &str, value: &Value) -> Option<Diagnostic> {
    match &value.data {
        Data::Int(_) | Data::Bool(_) => None,
        Data::Map(_) if call(value).is_some() => None,
        Data::Map(_) => Some(value.span.error(
            Code::InstanceFunction,
            format!("`{name}` is a mapping but not a function"),
        )),
        Data::Str(_) if name == "max_instances" => {
            let fault = value.span.error(
                Code::InstanceLiteral,
                format!("`{name}` must not be a string"),
            );
            Some(fault.hint("use an integer or UNBOUNDED"))
        }
        Data::Date(_) | Data::Bytes(_) => Some(value.span.error(
            Code::ValueNotAllowed,
            format!("`{name}` cannot be {}", value.kind()),
        )),
        _ => Some(value.span.error(
            Code::Format,
            format!("`{name}` must be an integer, not {}", value.kind()),
        )),
    }
}
