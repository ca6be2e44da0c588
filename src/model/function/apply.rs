//! Pure functions: their result depends only on their arguments.

use super::{index, python_text};
use crate::diagnostic::Code;
use serde_json::{Map, Value as Json};

/// Returns the result of `concat`, `merge` or one of `string_*`; `None` for any other function.
///
/// # Errors
///
/// Returns the code of the violated rule and a message if the arguments are invalid.
#[must_use]
pub fn apply(name: &str, arguments: &Json) -> Option<Result<Json, (Code, String)>> {
    Some(match name {
        "concat" => items(name, arguments).and_then(concat),
        "merge" => items(name, arguments).and_then(merge),
        "string_find" => items(name, arguments).and_then(find),
        "string_replace" => items(name, arguments).and_then(replace),
        "string_split" => items(name, arguments).and_then(split),
        "string_lower" => single_string(name, arguments).map(|text| text.to_lowercase().into()),
        "string_upper" => single_string(name, arguments).map(|text| text.to_uppercase().into()),
        _ => return None,
    })
}

/// Returns true if the result of a function depends only on its arguments.
#[must_use]
pub fn is_pure(name: &str) -> bool {
    PURE_FUNCTIONS.contains(&name)
}

const PURE_FUNCTIONS: [&str; 7] = [
    "concat",
    "merge",
    "string_find",
    "string_replace",
    "string_split",
    "string_lower",
    "string_upper",
];

type FunctionResult<T> = Result<T, (Code, String)>;

fn evaluation_error<T>(message: String) -> FunctionResult<T> {
    Err((Code::FunctionEvaluation, message))
}

/// Returns the error for a wrong number or kind of arguments.
fn shape_error<T>(message: String) -> FunctionResult<T> {
    Err((Code::FunctionValidation, message))
}

/// Returns the message for an argument of the wrong type.
fn type_message(name: &str, wanted: &str, given: &Json) -> String {
    format!("`{name}` requires {wanted}, not {}", python_text(given))
}

fn items<'j>(name: &str, arguments: &'j Json) -> FunctionResult<&'j [Json]> {
    let items = arguments.as_array().map(Vec::as_slice);
    items.map_or_else(|| shape_error(type_message(name, "a list", arguments)), Ok)
}

fn text<'j>(name: &str, value: &'j Json) -> FunctionResult<&'j str> {
    let text = value.as_str();
    text.map_or_else(
        || evaluation_error(type_message(name, "a string", value)),
        Ok,
    )
}

/// Returns the only argument of a function. If it is not a string, the function has a wrong shape.
fn single_string<'j>(name: &str, value: &'j Json) -> FunctionResult<&'j str> {
    text(name, value).map_err(|(_, message)| (Code::FunctionValidation, message))
}

fn merge(items: &[Json]) -> FunctionResult<Json> {
    let mut merged = Map::new();
    for item in items {
        let object = item.as_object().ok_or_else(|| merge_error(item))?;
        merged.extend(object.clone());
    }
    Ok(Json::Object(merged))
}

fn merge_error(item: &Json) -> (Code, String) {
    // Cloudify iterates over strings and lists before it fails, and its error differs then.
    let code = match item {
        Json::String(_) | Json::Array(_) => Code::FunctionResult,
        _ => Code::WrongType,
    };
    let message = format!("`merge` requires mappings, not {}", python_text(item));
    (code, message)
}

/// Maximum length of a string that a function returns, in bytes.
const MAX_RESULT_BYTES: usize = 4 << 20;

fn too_long_error<T>(name: &str) -> FunctionResult<T> {
    Err((
        Code::Limit,
        format!("the result of `{name}` is longer than {MAX_RESULT_BYTES} bytes"),
    ))
}

fn concat(items: &[Json]) -> FunctionResult<Json> {
    let mut text = String::new();
    for item in items {
        text += &python_text(item);
        if text.len() > MAX_RESULT_BYTES {
            return too_long_error("concat");
        }
    }
    Ok(text.into())
}

/// Returns the position of the first match in characters, or -1.
fn find(items: &[Json]) -> FunctionResult<Json> {
    let [haystack, needle] = items else {
        return shape_error("`string_find` requires a string and the text to find".into());
    };
    let (haystack, needle) = (text("string_find", haystack)?, text("string_find", needle)?);
    Ok(haystack
        .find(needle)
        .map_or(Json::from(-1), |at| haystack[..at].chars().count().into()))
}

fn replace(items: &[Json]) -> FunctionResult<Json> {
    let (source, old, new, count) = match items {
        [source, old, new] => (source, old, new, None),
        [source, old, new, count] => (source, old, new, Some(integer("string_replace", count)?)),
        _ => {
            return shape_error(
                "`string_replace` requires a string, the text to replace and its replacement"
                    .into(),
            );
        }
    };
    let (source, old, new) = (
        text("string_replace", source)?,
        text("string_replace", old)?,
        text("string_replace", new)?,
    );
    let places = source.matches(old).count().min(
        count
            .and_then(|count| usize::try_from(count).ok())
            .unwrap_or(usize::MAX),
    );
    if places
        .saturating_mul(new.len())
        .saturating_add(source.len())
        > MAX_RESULT_BYTES
    {
        return too_long_error("string_replace");
    }
    Ok(match count.and_then(|count| usize::try_from(count).ok()) {
        Some(count) => source.replacen(old, new, count).into(),
        None => source.replace(old, new).into(),
    })
}

fn split(items: &[Json]) -> FunctionResult<Json> {
    let (source, separator, place) = match items {
        [source, separator] => (source, separator, None),
        [source, separator, place] => (source, separator, Some(integer("string_split", place)?)),
        _ => return shape_error("`string_split` requires a string and a separator".into()),
    };
    let (source, separator) = (
        text("string_split", source)?,
        text("string_split", separator)?,
    );
    if separator.is_empty() {
        return Err((
            Code::FunctionResult,
            "the separator of `string_split` must not be empty".into(),
        ));
    }
    let parts: Vec<Json> = source.split(separator).map(Json::from).collect();
    let Some(place) = place else {
        return Ok(parts.into());
    };
    index(place, parts.len())
        .map(|at| parts[at].clone())
        .ok_or_else(|| {
            (
                Code::SplitIndex,
                format!(
                    "`string_split` has no part {place}: number of parts: {}",
                    parts.len()
                ),
            )
        })
}

fn integer(name: &str, value: &Json) -> FunctionResult<i64> {
    let number = value.as_i64();
    let number = number.or_else(|| value.as_bool().map(i64::from));
    number.map_or_else(
        || evaluation_error(type_message(name, "an integer as its last argument", value)),
        Ok,
    )
}

#[cfg(test)]
mod tests {
    use super::apply;
    use serde_json::{Value as Json, json};

    fn result(name: &str, arguments: &Json) -> Result<Json, &'static str> {
        apply(name, arguments)
            .unwrap()
            .map_err(|(code, _)| code.as_str())
    }

    #[test]
    fn string_functions_match_python() {
        assert_eq!(
            result("concat", &json!(["a", 1, true, null, 1.5])),
            Ok(json!("a1TrueNone1.5"))
        );
        assert_eq!(result("string_find", &json!(["héllo", "l"])), Ok(json!(2)));
        assert_eq!(result("string_find", &json!(["hello", "z"])), Ok(json!(-1)));
        assert_eq!(
            result("string_replace", &json!(["aXbXc", "X", "-", 1])),
            Ok(json!("a-bXc"))
        );
        assert_eq!(
            result("string_replace", &json!(["aXbXc", "X", "-", -1])),
            Ok(json!("a-b-c"))
        );
        assert_eq!(
            result("string_split", &json!(["a,b,c", ",", -1])),
            Ok(json!("c"))
        );
        assert_eq!(
            result("string_split", &json!(["a,b,c", ",", 7])),
            Err("D0077")
        );
        assert_eq!(result("string_lower", &json!(5)), Err("D0075"));
        assert_eq!(
            result("merge", &json!([{"a": 1}, {"a": 2, "b": 3}])),
            Ok(json!({"a": 2, "b": 3}))
        );
        assert_eq!(result("merge", &json!(["a"])), Err("D0113"));
        assert_eq!(result("merge", &json!([1])), Err("D0116"));
        assert!(apply("get_input", &json!("x")).is_none());
    }
}
