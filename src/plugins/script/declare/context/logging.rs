//! Formats log messages with the `%` operator of Python.

use super::ContextError;
use crate::model::function::python_text;
use serde_json::Value as Json;

/// Returns a message with its arguments. Without arguments, `%` is an ordinary character.
///
/// # Errors
///
/// If the arguments do not fit the message.
pub(super) fn formatted(message: &str, arguments: &[Json]) -> Result<String, ContextError> {
    if arguments.is_empty() {
        return Ok(message.to_owned());
    }
    let (mut text, mut rest, mut values) = (String::new(), message, arguments.iter());
    while let Some((before, after)) = rest.split_once('%') {
        text += before;
        if let Some(after) = after.strip_prefix('%') {
            text.push('%');
            rest = after;
            continue;
        }
        let end = after.find(|c: char| c.is_ascii_alphabetic());
        let end = end.ok_or_else(|| ContextError::new("ValueError", "incomplete format"))?;
        let missing = || ContextError::type_error("not enough arguments for format string");
        let value = values.next().ok_or_else(missing)?;
        text += &converted(&after[..end], &after[end..=end], value)?;
        rest = &after[end + 1..];
    }
    match values.next() {
        None => Ok(text + rest),
        Some(_) => Err(ContextError::type_error(
            "not all arguments converted during string formatting",
        )),
    }
}

/// Formats one value. `flags` has the width and the precision.
fn converted(flags: &str, conversion: &str, value: &Json) -> Result<String, ContextError> {
    let number = || {
        value.as_f64().ok_or_else(|| {
            ContextError::type_error(format!(
                "%{conversion} format: a real number is required, not str"
            ))
        })
    };
    let text = match conversion {
        "s" => python_text(value),
        "r" | "a" => match value {
            Json::String(_) => {
                let listed = python_text(&Json::from(vec![value.clone()]));
                listed[1..listed.len() - 1].to_owned()
            }
            other => python_text(other),
        },
        "d" | "i" | "u" => format!("{:.0}", number()?.trunc()),
        "f" | "F" => {
            let precision = flags
                .split_once('.')
                .map_or(Ok(6), |(_, digits)| digits.parse());
            format!("{:.*}", precision.unwrap_or(6).min(64), number()?)
        }
        other => {
            let message = format!("unsupported format character '{other}'");
            return Err(ContextError::new("ValueError", message));
        }
    };
    Ok(padded(flags, &text))
}

fn padded(flags: &str, text: &str) -> String {
    let width = flags
        .trim_start_matches('-')
        .split('.')
        .next()
        .unwrap_or_default();
    let width = width.parse().unwrap_or(0).min(1000);
    if flags.starts_with('-') {
        format!("{text:<width$}")
    } else {
        format!("{text:>width$}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn messages_are_formatted_as_in_python() {
        let format = |message: &str, arguments: Json| {
            formatted(message, arguments.as_array().unwrap()).map_err(|error| error.message)
        };
        assert_eq!(format("100 %", json!([])).unwrap(), "100 %");
        assert_eq!(
            format("%s is %d%%", json!(["load", 7])).unwrap(),
            "load is 7%"
        );
        assert_eq!(
            format("%r %5s|%-4s|%.2f", json!(["a", "b", "c", 1.5])).unwrap(),
            "'a'     b|c   |1.50"
        );
        for (message, arguments, error) in [
            (
                "two",
                json!(["words"]),
                "not all arguments converted during string formatting",
            ),
            (
                "%s %s",
                json!(["a"]),
                "not enough arguments for format string",
            ),
            (
                "%d",
                json!(["a"]),
                "%d format: a real number is required, not str",
            ),
            ("%", json!(["a"]), "incomplete format"),
        ] {
            assert_eq!(format(message, arguments).unwrap_err(), error);
        }
    }
}
