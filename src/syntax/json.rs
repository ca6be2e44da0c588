//! Parses JSON text to [`Value`]s. YAML would read some numbers as text, and refuse tabs.

use super::{Data, Map, Value};
use crate::diagnostic::{Code, Diagnostic, FileId, Sources, Span};
use jsonc_parser::{CollectOptions, CommentCollectionStrategy, ParseOptions, ast, parse_to_ast};
use std::{collections::HashMap, sync::Arc};

const STRICT: ParseOptions = ParseOptions {
    allow_comments: false,
    allow_loose_object_property_names: false,
    allow_trailing_commas: false,
    allow_missing_commas: false,
    allow_single_quoted_strings: false,
    allow_hexadecimal_numbers: false,
    allow_unary_plus_numbers: false,
    allow_bare_decimal_point_numbers: false,
    allow_non_finite_numbers: false,
    allow_extended_string_escapes: false,
};

/// Parses one file. Of equal keys the last one counts.
///
/// # Errors
///
/// The first syntax error, also for values that are nested too deeply.
pub fn parse_json(sources: &Sources, file: FileId) -> Result<Value, Diagnostic> {
    let text = sources.text(file);
    let fault = |start: usize, end: usize, why: &str| {
        let span = Span { file, start, end };
        span.error(Code::Syntax, format!("this is not valid JSON: {why}"))
    };
    // It also limits the depth, which the parser with places does not.
    if let Err(error) = serde_json::from_str::<serde_json::Value>(text) {
        let at = offset(text, error.line(), error.column());
        let whole = error.to_string();
        let why = whole.split(" at line ").next().unwrap_or_default();
        return Err(fault(at, (at + 1).min(text.len()), why));
    }
    let options = CollectOptions {
        comments: CommentCollectionStrategy::Off,
        tokens: false,
    };
    let parsed = parse_to_ast(text, &options, &STRICT);
    let parsed = parsed.map_err(|error| {
        let range = error.range();
        fault(range.start, range.end, &error.kind().to_string())
    })?;
    let empty = || fault(0, text.len(), "the file is empty");
    parsed
        .value
        .map(|root| value(&root, file))
        .ok_or_else(empty)
}

/// Returns the position of a line and column of serde, which count bytes from 1.
fn offset(text: &str, line: usize, column: usize) -> usize {
    let before = text.split_inclusive('\n').take(line.saturating_sub(1));
    let start: usize = before.map(str::len).sum();
    let mut at = (start + column.saturating_sub(1)).min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

fn value(node: &ast::Value<'_>, file: FileId) -> Value {
    let (range, data) = match node {
        ast::Value::NullKeyword(it) => (&it.range, Data::Null),
        ast::Value::BooleanLit(it) => (&it.range, Data::Bool(it.value)),
        ast::Value::NumberLit(it) => (&it.range, number(it.value)),
        ast::Value::StringLit(it) => (&it.range, Data::Str(it.value.as_ref().into())),
        ast::Value::Array(it) => {
            let items = it.elements.iter().map(|item| value(item, file));
            (&it.range, Data::List(Arc::new(items.collect())))
        }
        ast::Value::Object(it) => (&it.range, Data::Map(Arc::new(map(it, file)))),
    };
    let span = Span {
        file,
        start: range.start,
        end: range.end,
    };
    Value::new(span, data)
}

fn map(object: &ast::Object<'_>, file: FileId) -> Map {
    let mut entries: Vec<(Value, Value)> = Vec::new();
    let mut positions: HashMap<String, usize> = HashMap::new();
    for property in &object.properties {
        let (name, range) = match &property.name {
            ast::ObjectPropName::String(it) => (it.value.as_ref(), it.range),
            ast::ObjectPropName::Word(it) => (it.value, it.range),
        };
        let span = Span {
            file,
            start: range.start,
            end: range.end,
        };
        let entry = (Value::text(span, name), value(&property.value, file));
        if let Some(at) = positions.get(name) {
            entries[*at] = entry;
        } else {
            positions.insert(name.to_owned(), entries.len());
            entries.push(entry);
        }
    }
    Map::new(entries)
}

fn number(text: &str) -> Data {
    let float = || Data::Float(text.parse().unwrap_or(f64::NAN));
    text.parse().map_or_else(|_| float(), Data::Int)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(text: &str) -> Result<Value, Diagnostic> {
        let mut sources = Sources::default();
        let file = sources.add_text("t.json", text);
        parse_json(&sources, file)
    }

    #[test]
    fn json_is_read_with_places() {
        let text = "{\n\t\"a\": [1e3, 1.5, \"\\ud83d\\ude00\", \"x\\/y\", true, null],\n\t\"b\": {\"c\": 1, \"c\": 2}\n}";
        let root = read(text).unwrap();
        let expected = json!({ "a": [1000.0, 1.5, "😀", "x/y", true, null], "b": { "c": 2 } });
        assert_eq!(root.to_json(), expected);
        let b = root.get("b").unwrap();
        assert_eq!(&text[b.span.range()], "{\"c\": 1, \"c\": 2}");
    }

    #[test]
    fn invalid_json_is_reported_with_its_place() {
        let place = |text: &str| {
            let fault = read(text).unwrap_err();
            (fault.span.start, fault.message)
        };
        let prefix = "this is not valid JSON: ";
        assert_eq!(
            place("{\n  \"a\": x\n}"),
            (9, format!("{prefix}expected value"))
        );
        assert!(place("{'a': 1}").1.starts_with(prefix));
        assert!(place("{\"a\": 1,}").1.starts_with(prefix));
        assert!(place("").1.starts_with(prefix));
        let deep = "[".repeat(100_000);
        assert!(place(&deep).1.contains("recursion limit"));
    }
}
