//! Shape of calls: number and types of the arguments of each function.

use crate::{
    diagnostic::{Code, Diagnostic},
    syntax::{Call, Data, Value, Version, call},
};
use std::collections::HashSet;

/// Returns the error in the shape of a call, regardless of its context.
pub(super) fn shape_error(call: Call<'_>, version: Version) -> Option<Diagnostic> {
    let (code, message) = shape(call).or_else(|| version_error(call.name, version))?;
    Some(call.arguments.span.error(code, message))
}

/// Returns the error in the shape of a call inside an input. Names of `get_sys`, nodes of
/// `get_attributes_dict` and the arguments of `merge` and of string functions are only checked in
/// blueprints, as in Cloudify.
pub(super) fn shape_error_in_input(call: Call<'_>) -> Option<Diagnostic> {
    let (code, message) = shape(call)?;
    let fault = || call.arguments.span.error(code, message);
    (!is_only_in_blueprints(call.name, code)).then(fault)
}

fn is_only_in_blueprints(name: &str, code: Code) -> bool {
    match code {
        Code::FunctionValidation => MULTI_ARGUMENT.contains(&name),
        Code::FunctionArguments => name == "get_attributes_dict",
        Code::SysEntity | Code::SysProperty => true,
        _ => false,
    }
}

/// `merge` and the string functions with several arguments.
const MULTI_ARGUMENT: [&str; 4] = ["merge", "string_find", "string_replace", "string_split"];

/// The violated rule and a message.
type Violation = (Code, String);

/// Reports functions that are newer than the declared version of the DSL.
fn version_error(name: &str, declared: Version) -> Option<Violation> {
    let since = match name {
        "concat" => Version::V1_1,
        "merge" => Version::V1_3,
        _ => return None,
    };
    let why = || format!("`{name}` requires {since}, but the blueprint declares {declared}");
    (declared < since).then(|| (Code::FunctionValidation, why()))
}

/// Returns the error if a function does not accept the shape of its arguments.
#[allow(clippy::too_many_lines, reason = "a flat match is clearest")]
fn shape(call: Call<'_>) -> Option<Violation> {
    let Call {
        name, arguments, ..
    } = call;
    let list = arguments.as_list();
    let is_call = |value: &Value| self::call(value).is_some();
    let is_text = |value: &Value| value.as_str().is_some() || is_call(value);
    let is_step =
        |value: &Value| is_text(value) || matches!(value.data, Data::Int(_) | Data::Bool(_));
    let given = || {
        list.map_or_else(
            || arguments.kind().to_owned(),
            |list| format!("a list of length {}", list.len()),
        )
    };
    let wrong = |code: Code, wanted: &str| {
        Some((code, format!("`{name}` requires {wanted}, not {}", given())))
    };
    let unless =
        |fits: bool, code: Code, wanted: &str| if fits { None } else { wrong(code, wanted) };
    let path =
        |least: usize| list.is_some_and(|list| list.len() >= least && list.iter().all(is_step));
    match name {
        "get_input" => {
            let fits = is_text(arguments)
                || list.is_some_and(|list| !list.is_empty() && list.iter().all(is_step));
            unless(
                fits,
                Code::FunctionArguments,
                "the name of an input, or a list: [input name, key, …]",
            )
        }
        "get_property" | "get_attribute" => unless(
            path(2),
            Code::FunctionArguments,
            "a list: [SELF or node name, name, …]",
        ),
        "get_attributes_list" => unless(
            path(2),
            Code::FunctionArguments,
            "a list: [node name, attribute name, …]",
        ),
        "get_attributes_dict" => {
            attributes_dict(list).map(|(code, why)| (code, format!("`{name}` {why}")))
        }
        "concat" => unless(list.is_some(), Code::FunctionArguments, "a list"),
        "merge" => {
            let mapping = |value: &Value| value.as_map().is_some();
            let code = if list.is_some() {
                Code::FunctionValidation
            } else {
                Code::FunctionArguments
            };
            unless(
                list.is_some_and(|list| list.iter().all(mapping)),
                code,
                "a list of mappings",
            )
        }
        "string_find" => {
            let fits = list.is_some_and(|list| list.len() == 2 && list.iter().all(is_text));
            unless(
                fits,
                Code::FunctionValidation,
                "a list of two strings: [string, text to find]",
            )
        }
        "string_replace" => {
            let fits = list.is_some_and(|list| {
                matches!(list.len(), 3 | 4)
                    && list[..3].iter().all(is_text)
                    && list[3..].iter().all(is_number)
            });
            unless(
                fits,
                Code::FunctionValidation,
                "a list: [string, text to replace, replacement, optional count]",
            )
        }
        "string_split" => {
            let fits = list.is_some_and(|list| {
                matches!(list.len(), 2 | 3)
                    && list[..2].iter().all(is_text)
                    && list[2..].iter().all(is_number)
            });
            unless(
                fits,
                Code::FunctionValidation,
                "a list: [string, separator, optional index]",
            )
        }
        "string_lower" | "string_upper" => {
            unless(is_text(arguments), Code::FunctionValidation, "a string")
        }
        "get_secret" => {
            let fits = is_text(arguments) || list.is_some_and(|list| list.len() >= 2);
            unless(
                fits,
                Code::FunctionValidation,
                "the name of a secret, or a list: [secret name, key, …]",
            )
        }
        "get_label" => {
            let fits = is_text(arguments)
                || list.is_some_and(|list| {
                    list.len() == 2 && is_text(&list[0]) && is_position(&list[1])
                });
            unless(
                fits,
                Code::FunctionValidation,
                "the name of a label, or a list: [label name, index]",
            )
        }
        "get_group_capability" => {
            // Only the second argument can be a list: of several capabilities.
            let fits = |(at, value): (usize, &Value)| {
                is_step(value) || (at == 1 && value.as_list().is_some())
            };
            let fits =
                list.is_some_and(|list| list.len() >= 2 && list.iter().enumerate().all(fits));
            unless(
                fits,
                Code::FunctionArguments,
                "a list: [group, capability or list of capabilities, key, …]",
            )
        }
        "get_capability" => unless(
            path(2),
            Code::FunctionArguments,
            "a list: [deployment, capability, …]",
        ),
        "get_environment_capability" => {
            let fits = arguments.as_str().is_some() || path(2);
            unless(
                fits,
                Code::FunctionValidation,
                "the name of a capability, or a list: [capability name, key, …]",
            )
        }
        "get_sys" => get_sys(call),
        "get_consumers" => {
            let fits = matches!(arguments.as_str(), Some("ids" | "names" | "count"));
            unless(fits, Code::FunctionArguments, "one of ids, names, count")
        }
        _ => None,
    }
}

fn is_number(value: &Value) -> bool {
    matches!(value.data, Data::Int(_) | Data::Bool(_)) || call(value).is_some()
}

/// Returns true for an index into the values of a label: a number, or a string of digits.
fn is_position(value: &Value) -> bool {
    match &value.data {
        Data::Int(_) | Data::Bool(_) => true,
        Data::Str(text) => !text.is_empty() && text.chars().all(|digit| digit.is_ascii_digit()),
        _ => false,
    }
}

fn attributes_dict(list: Option<&[Value]>) -> Option<Violation> {
    let Some([_, paths @ ..]) = list else {
        return Some((
            Code::FunctionArguments,
            "requires a list: [node name, attribute name or list of names, …]".to_owned(),
        ));
    };
    let mut seen: HashSet<String> = HashSet::new();
    for path in paths {
        let steps = path.as_list().unwrap_or(std::slice::from_ref(path));
        let Some(names) = steps.iter().map(Value::as_str).collect::<Option<Vec<_>>>() else {
            return Some((
                Code::WrongType,
                "accepts only names and lists of names".to_owned(),
            ));
        };
        let text = names.join(".");
        if !seen.insert(text.clone()) {
            return Some((Code::FunctionEvaluation, format!("contains `{text}` twice")));
        }
    }
    None
}

fn get_sys(call: Call<'_>) -> Option<Violation> {
    let is_plain = |value: &Value| {
        self::call(value).is_some()
            || !matches!(value.data, Data::Null | Data::List(_) | Data::Map(_))
    };
    let Some([entity, property]) = call
        .arguments
        .as_list()
        .filter(|list| list.iter().all(is_plain))
    else {
        return Some((
            Code::FunctionArguments,
            "`get_sys` requires a list: [tenant or deployment, property]".to_owned(),
        ));
    };
    if self::call(entity).is_some() {
        return None;
    }
    let known: &[&str] = match entity.as_str() {
        Some("tenant") => &["name"],
        Some("deployment") => &["id", "name", "blueprint", "owner"],
        _ => {
            return Some((
                Code::SysEntity,
                format!("`get_sys` does not support `{}`", entity.to_key()),
            ));
        }
    };
    let is_known = self::call(property).is_some()
        || property
            .as_str()
            .is_some_and(|property| known.contains(&property));
    let why = || {
        format!(
            "`get_sys` does not support the property `{}`, only {}",
            property.to_key(),
            known.join(", ")
        )
    };
    (!is_known).then(|| (Code::SysProperty, why()))
}
