//! Values of a blueprint, with their places.

use super::literal::{LITERAL, literal, marked};
use crate::{
    diagnostic::{Code, Span, Spanned, fault::normalized_key},
    digest::hex,
};
use serde_json::Value as Json;
use std::sync::Arc;

/// A value and its place in a file.
///
/// Lists and mappings are shared, so an alias is cheap even if its target is large. The parser
/// limits the number of values after alias expansion, which bounds every walk over a value.
#[derive(Clone, Debug)]
pub struct Value {
    /// Its place; for an alias, the place of the anchored value.
    pub span: Span,
    /// The data.
    pub data: Data,
}

/// The kinds of values that Cloudify's loader distinguishes.
#[derive(Clone, Debug)]
pub enum Data {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A floating-point number.
    Float(f64),
    /// Text.
    Str(Arc<str>),
    /// A date, or a date with a time, in ISO 8601 format.
    Date(Arc<str>),
    /// Binary data.
    Bytes(Arc<[u8]>),
    /// A list.
    List(Arc<Vec<Value>>),
    /// A mapping.
    Map(Arc<Map>),
}

/// A mapping in document order. Keys can be any scalar.
#[derive(Clone, Debug, Default)]
pub struct Map {
    /// Keys and values, each key once.
    pub entries: Vec<(Value, Value)>,
    /// The mapping is data, even if it looks like a function call.
    pub literal: bool,
}

impl Map {
    /// Creates a mapping that may be a function call.
    #[must_use]
    pub fn new(entries: Vec<(Value, Value)>) -> Self {
        Self {
            entries,
            literal: false,
        }
    }

    /// Returns the mapping without places, with each value converted by `json`. Data that looks
    /// like a function call is marked.
    fn to_object(&self, json: impl Fn(&Value) -> Json) -> Json {
        let named = |(key, value): &(Value, Value)| (key.to_key(), json(value));
        let object = self.entries.iter().map(named).collect();
        if self.literal {
            marked(object)
        } else {
            Json::Object(object)
        }
    }

    /// Returns the value of a text key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.entry(key).map(|(_, value)| value)
    }

    /// Returns the mapping in the form of [`Value::to_plan`].
    #[must_use]
    pub fn to_plan(&self) -> Json {
        self.to_object(Value::to_plan)
    }

    /// Returns a text key and its value.
    #[must_use]
    pub fn entry(&self, key: &str) -> Option<&(Value, Value)> {
        self.entries.iter().find(|(k, _)| k.as_str() == Some(key))
    }

    /// Returns the entry for a step of a path. A key that differs only in case and underscores also
    /// matches.
    fn entry_for_step(&self, step: &str) -> Option<&(Value, Value)> {
        let mut entries = self.entries.iter();
        let exact = self.entries.iter().find(|(key, _)| key.to_key() == step);
        exact.or_else(|| {
            entries.find(|(key, _)| normalized_key(&key.to_key()) == normalized_key(step))
        })
    }

    /// Returns a mapping with the same keys and changed values.
    fn with_values(&self, change: fn(&Value) -> Value, literal: bool) -> Self {
        let changed = |(key, value): &(Value, Value)| (key.clone(), change(value));
        let entries = self.entries.iter().map(changed).collect();
        Self { entries, literal }
    }
}

impl Value {
    /// Creates a value.
    #[must_use]
    pub fn new(span: Span, data: Data) -> Self {
        Self { span, data }
    }

    /// Returns the number of values in it, including itself. Shared values count each time.
    #[must_use]
    pub fn count(&self) -> usize {
        match &self.data {
            Data::List(list) => 1 + list.iter().map(Self::count).sum::<usize>(),
            Data::Map(map) => {
                let values = map.entries.iter().map(|(_, value)| value.count());
                1 + values.sum::<usize>()
            }
            _ => 1,
        }
    }

    /// Creates a text value.
    #[must_use]
    pub fn text(span: Span, text: &str) -> Self {
        Self::new(span, Data::Str(text.into()))
    }

    /// Returns the same value at another place.
    #[must_use]
    pub fn at(&self, span: Span) -> Self {
        Self::new(span, self.data.clone())
    }

    /// Returns the text, if it is text.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        if let Data::Str(text) = &self.data {
            Some(text)
        } else {
            None
        }
    }

    /// Returns the mapping, if it is one.
    #[must_use]
    pub fn as_map(&self) -> Option<&Map> {
        if let Data::Map(map) = &self.data {
            Some(map)
        } else {
            None
        }
    }

    /// Returns the list, if it is one.
    #[must_use]
    pub fn as_list(&self) -> Option<&[Value]> {
        if let Data::List(list) = &self.data {
            Some(list)
        } else {
            None
        }
    }

    /// Returns true if it is `null`.
    #[must_use]
    pub fn is_null(&self) -> bool {
        matches!(self.data, Data::Null)
    }

    /// Returns the value of a text key, if this is a mapping.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.as_map()?.get(key)
    }

    /// Returns the place of the deepest part of `path` that exists.
    #[must_use]
    pub fn place_of(&self, path: &[String]) -> Span {
        let Some((step, rest)) = path.split_first() else {
            return self.span;
        };
        self.child(step)
            .map_or(self.span, |(_, value)| value.place_of(rest))
    }

    /// Returns the place of the key at the end of `path`, or of the deepest part that exists.
    #[must_use]
    pub fn key_place(&self, path: &[String]) -> Span {
        match path {
            [] => self.span,
            [step] => self.child(step).map_or(self.span, |(key, _)| key),
            [step, rest @ ..] => self
                .child(step)
                .map_or(self.span, |(_, value)| value.key_place(rest)),
        }
    }

    fn child(&self, step: &str) -> Option<(Span, &Value)> {
        match &self.data {
            Data::Map(map) => map
                .entry_for_step(step)
                .map(|(key, value)| (key.span, value)),
            Data::List(list) => {
                let item = list.get(step.parse::<usize>().ok()?)?;
                Some((item.span, item))
            }
            _ => None,
        }
    }

    /// Returns the code to report if this kind of value is not allowed.
    pub(crate) fn shape_code(&self) -> Code {
        match self.data {
            Data::Date(_) | Data::Bytes(_) => Code::ValueNotAllowed,
            _ => Code::Format,
        }
    }

    /// Returns the name of this kind of value, for messages.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self.data {
            Data::Null => "null",
            Data::Bool(_) => "a boolean",
            Data::Int(_) => "an integer",
            Data::Float(_) => "a float",
            Data::Str(_) => "a string",
            Data::Date(_) => "a date",
            Data::Bytes(_) => "binary data",
            Data::List(_) => "a list",
            Data::Map(_) => "a mapping",
        }
    }

    /// Returns the value as a key of a JSON object. Numbers and booleans are spelled as in Python,
    /// the language of Cloudify.
    #[must_use]
    pub fn to_key(&self) -> String {
        match &self.data {
            Data::Null => "None".to_owned(),
            Data::Bool(value) => if *value { "True" } else { "False" }.to_owned(),
            Data::Int(value) => value.to_string(),
            Data::Float(value) => python_float(*value),
            Data::Str(text) | Data::Date(text) => text.to_string(),
            Data::List(_) | Data::Map(_) | Data::Bytes(_) => self.to_json().to_string(),
        }
    }

    /// Returns the value without places.
    #[must_use]
    pub fn to_json(&self) -> Json {
        match &self.data {
            Data::Null => Json::Null,
            Data::Bool(value) => (*value).into(),
            Data::Int(value) => (*value).into(),
            Data::Float(value) => serde_json::Number::from_f64(*value)
                .map_or_else(|| Json::String(python_float(*value)), Json::Number),
            Data::Str(text) | Data::Date(text) => Json::String(text.to_string()),
            Data::Bytes(bytes) => Json::String(String::from_utf8_lossy(bytes).into_owned()),
            Data::List(list) => list.iter().map(Self::to_json).collect(),
            Data::Map(map) => map.to_object(Self::to_json),
        }
    }

    /// Returns the value without places. Dates and bytes are distinguished from text:
    /// `{"__date__": …}`, `{"__bytes__": HEX}`.
    #[must_use]
    pub fn to_plan(&self) -> Json {
        match &self.data {
            Data::Date(text) => serde_json::json!({ "__date__": text.as_ref() }),
            Data::Bytes(bytes) => serde_json::json!({ "__bytes__": hex(bytes) }),
            Data::List(list) => list.iter().map(Self::to_plan).collect(),
            Data::Map(map) => map.to_plan(),
            _ => self.to_json(),
        }
    }

    /// Returns the same value as data: no mapping in it is a function call.
    #[must_use]
    pub fn as_literal(&self) -> Self {
        let data = match &self.data {
            Data::List(list) => Data::List(Arc::new(list.iter().map(Self::as_literal).collect())),
            Data::Map(map) => Data::Map(Arc::new(map.with_values(Self::as_literal, true))),
            other => other.clone(),
        };
        Self::new(self.span, data)
    }

    /// Returns the value with the marks of literals applied and removed. A marked value is data,
    /// including everything in it, which may contain further marks.
    #[must_use]
    pub fn with_literals(&self) -> Self {
        if let Some([(key, inner)]) = self.as_map().map(|map| &map.entries[..])
            && key.as_str() == Some(LITERAL)
        {
            return inner.with_inner_literals().as_literal();
        }
        self.with_inner_literals()
    }

    fn with_inner_literals(&self) -> Self {
        let data = match &self.data {
            Data::List(list) => {
                Data::List(Arc::new(list.iter().map(Self::with_literals).collect()))
            }
            Data::Map(map) => {
                Data::Map(Arc::new(map.with_values(Self::with_literals, map.literal)))
            }
            other => other.clone(),
        };
        Self::new(self.span, data)
    }

    /// Creates a value that was computed or came from outside the blueprint, at a given place.
    #[must_use]
    pub fn from_json(json: &Json, span: Span) -> Self {
        match literal(json) {
            Some(inner) => Self::parts_from_json(inner, span).as_literal(),
            None => Self::parts_from_json(json, span),
        }
    }

    fn parts_from_json(json: &Json, span: Span) -> Self {
        let data = match json {
            Json::Null => Data::Null,
            Json::Bool(value) => Data::Bool(*value),
            Json::Number(number) => number.as_i64().map_or_else(
                || Data::Float(number.as_f64().unwrap_or(f64::NAN)),
                Data::Int,
            ),
            Json::String(text) => Data::Str(text.as_str().into()),
            Json::Array(items) => {
                let items = items.iter().map(|item| Self::from_json(item, span));
                Data::List(Arc::new(items.collect()))
            }
            Json::Object(object) => {
                let entries = object
                    .iter()
                    .map(|(key, value)| (Self::text(span, key), Self::from_json(value, span)));
                Data::Map(Arc::new(Map::new(entries.collect())))
            }
        };
        Self { span, data }
    }
}

impl From<Spanned<String>> for Value {
    fn from(text: Spanned<String>) -> Self {
        Self::new(text.span, Data::Str(text.node.into()))
    }
}

/// Formats a float like Python's `str()`: `1.5`, `2.0`, `1e+20`, `inf`.
#[must_use]
pub fn python_float(value: f64) -> String {
    if !value.is_finite() {
        return value.to_string().to_lowercase();
    }
    match scientific_parts(value) {
        (_, -4..16) => fixed_notation(value),
        (digits, exponent) => format!("{digits}e{exponent:+03}"),
    }
}

/// Formats a number without an exponent, with a `.0` if it is an integer.
fn fixed_notation(value: f64) -> String {
    let digits = value.to_string();
    if digits.contains('.') {
        digits
    } else {
        format!("{digits}.0")
    }
}

fn scientific_parts(value: f64) -> (String, i32) {
    let text = format!("{value:e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    (digits.to_owned(), exponent.parse().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::python_float;

    #[test]
    fn floats_are_formatted_as_in_python() {
        for (value, text) in [
            (1.5, "1.5"),
            (2.0, "2.0"),
            (1e20, "1e+20"),
            (1.5e-7, "1.5e-07"),
            (1e15, "1000000000000000.0"),
            (f64::INFINITY, "inf"),
        ] {
            assert_eq!(python_float(value), text);
        }
    }
}
