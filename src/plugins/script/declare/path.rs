//! Paths into mappings, as `ctx` uses them: `a.b.c` steps through mappings, `a[3]` into a list.

use super::context::ContextError;
use crate::seam::Edit;
use serde_json::{Map as JsonMap, Value as Json};

/// One segment of a path: a key, and the index of an element if its value is a list.
struct Segment<'p> {
    key: &'p str,
    index: Option<usize>,
}

fn segment(text: &str) -> Segment<'_> {
    let indexed = text.strip_suffix(']').and_then(|text| {
        let (key, index) = text.rsplit_once('[')?;
        Some((key, index.parse().ok()?)).filter(|(key, _)| !key.is_empty())
    });
    match indexed {
        Some((key, index)) => Segment {
            key,
            index: Some(index),
        },
        None => Segment {
            key: text,
            index: None,
        },
    }
}

fn illegal(path: &str) -> ContextError {
    ContextError::runtime(format!("illegal path: {path}"))
}

/// Returns the value at a path.
///
/// # Errors
///
/// If the path does not exist.
pub(crate) fn read<'v>(
    properties: &'v JsonMap<String, Json>,
    path: &str,
) -> Result<&'v Json, ContextError> {
    let mut segments = path.split('.').map(segment);
    let mut current = match segments.next() {
        Some(first) => element(properties.get(first.key), first.index, path)?,
        None => return Err(illegal(path)),
    };
    for Segment { key, index } in segments {
        current = element(current.get(key), index, path)?;
    }
    Ok(current)
}

fn element<'v>(
    found: Option<&'v Json>,
    index: Option<usize>,
    path: &str,
) -> Result<&'v Json, ContextError> {
    let found = found.ok_or_else(|| illegal(path))?;
    let Some(index) = index else {
        return Ok(found);
    };
    let items = found.as_array().ok_or_else(|| illegal(path))?;
    let out_of_range = || ContextError::new("IndexError", "list index out of range");
    items.get(index).ok_or_else(out_of_range)
}

/// Sets the value at a path, and returns the change. Missing mappings on the way are created; the
/// last segment is always a key.
///
/// # Errors
///
/// If a value on the way is neither a mapping nor an existing element of a list.
pub(crate) fn write(
    properties: &mut JsonMap<String, Json>,
    path: &str,
    value: Json,
) -> Result<Edit, ContextError> {
    let (way, key) = match path.rsplit_once('.') {
        Some((way, key)) => (Some(way), key),
        None => (None, path),
    };
    let segments = way.into_iter().flat_map(|way| way.split('.')).map(segment);
    // An edit has only keys: below a list, the whole list is the new value.
    let (mut keys, mut in_list) = (Vec::new(), false);
    let mut changed = properties.clone();
    let mut current = &mut changed;
    for Segment { key, index } in segments {
        if !in_list {
            keys.push(key.to_owned());
            in_list = index.is_some();
        }
        current = inner(current, (key, index), path)?;
    }
    if !in_list {
        keys.push(key.to_owned());
    }
    current.insert(key.to_owned(), value);
    let written = keys.iter().try_fold(None, |at: Option<&Json>, key| {
        at.map_or_else(|| changed.get(key), |at| at.get(key))
            .map(Some)
    });
    let value = written.flatten().cloned();
    *properties = changed;
    Ok(Edit { path: keys, value })
}

/// Returns the mapping at a key, which is created if it is missing.
fn inner<'v>(
    current: &'v mut JsonMap<String, Json>,
    (key, index): (&str, Option<usize>),
    path: &str,
) -> Result<&'v mut JsonMap<String, Json>, ContextError> {
    let found = match index {
        None => current.entry(key).or_insert_with(|| JsonMap::new().into()),
        Some(index) => {
            let items = current.get_mut(key).and_then(Json::as_array_mut);
            let out_of_range = || ContextError::new("IndexError", "list index out of range");
            let items = items.ok_or_else(|| illegal(path))?;
            items.get_mut(index).ok_or_else(out_of_range)?
        }
    };
    let message = match &*found {
        Json::Array(_) => "list indices must be integers or slices, not str".to_owned(),
        other => format!(
            "'{}' object does not support item assignment",
            type_name(other)
        ),
    };
    found
        .as_object_mut()
        .ok_or_else(|| ContextError::new("TypeError", message))
}

fn type_name(value: &Json) -> &'static str {
    match value {
        Json::Null => "NoneType",
        Json::Bool(_) => "bool",
        Json::Number(number) if number.is_f64() => "float",
        Json::Number(_) => "int",
        Json::String(_) => "str",
        Json::Array(_) => "list",
        Json::Object(_) => "dict",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[expect(clippy::needless_pass_by_value, reason = "tests are shorter")]
    fn map(value: Json) -> JsonMap<String, Json> {
        value.as_object().cloned().unwrap()
    }

    #[test]
    fn paths_step_through_mappings_and_lists() {
        let properties = map(json!({ "m": { "l": [10, { "z": "deep" }] }, "k": null }));
        let at = |path| read(&properties, path).map_err(|error| error.to_string());
        assert_eq!(at("m.l[1].z"), Ok(&json!("deep")));
        assert_eq!(at("k"), Ok(&Json::Null));
        for missing in ["", "nope", "m.nope.x", "k.x", "m[0]", "m.l[1].z.y"] {
            let expected = format!("RuntimeError: illegal path: {missing}");
            assert_eq!(at(missing), Err(expected));
        }
        let out_of_range = "IndexError: list index out of range".to_owned();
        assert_eq!(at("m.l[2]"), Err(out_of_range));
    }

    #[test]
    fn writes_create_mappings_and_change_elements_of_lists() {
        let mut properties = map(json!({ "l": [{ "k": 1 }, [2]], "t": "text" }));
        let edit = write(&mut properties, "a.b.c", json!(1)).unwrap();
        assert_eq!(
            (edit.path, edit.value),
            (vec!["a".into(), "b".into(), "c".into()], Some(json!(1)))
        );
        let mut other = map(json!({}));
        write(&mut other, ".x.", json!(1)).unwrap();
        assert_eq!(Json::from(other), json!({ "": { "x": { "": 1 } } }));
        let edit = write(&mut properties, "l[0].k", json!("new")).unwrap();
        assert_eq!(edit.value, Some(json!([{ "k": "new" }, [2]])));
        write(&mut properties, "l[0]", json!(9)).unwrap();
        let expected =
            json!({ "l": [{ "k": "new" }, [2]], "t": "text", "a": { "b": { "c": 1 } }, "l[0]": 9 });
        assert_eq!(Json::from(properties.clone()), expected);
        for (path, error) in [
            (
                "t.x",
                "TypeError: 'str' object does not support item assignment",
            ),
            (
                "l.x",
                "TypeError: list indices must be integers or slices, not str",
            ),
            ("l[7].x", "IndexError: list index out of range"),
            ("t[0].x", "RuntimeError: illegal path: t[0].x"),
        ] {
            let failed = write(&mut properties, path, json!(1)).unwrap_err();
            assert_eq!(failed.to_string(), error);
        }
        assert_eq!(
            Json::from(properties),
            expected,
            "a failed write changes nothing"
        );
    }
}
