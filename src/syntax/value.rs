//! A value of a blueprint together with its place.

use super::literal::{LITERAL, literal, marked};
use crate::{
    diagnostic::{Code, Span, Spanned, fault::plain},
    digest::hex,
};
use serde_json::Value as Json;
use std::sync::Arc;

/// A value and where it was written.
///
/// Lists and mappings are shared: an alias costs nothing however large its target is. The limit on
/// produced nodes, checked while parsing, keeps every walk over a value bounded.
#[derive(Clone, Debug)]
pub struct Value {
    /// Where it was written; for an alias, where its anchor stands.
    pub span: Span,
    /// What it is.
    pub data: Data,
}

/// The kinds of values, as the original loader tells them apart.
#[derive(Clone, Debug)]
pub enum Data {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number with a fraction.
    Float(f64),
    /// Text.
    Str(Arc<str>),
    /// A date, or a date and a time, as ISO 8601 spells it.
    Date(Arc<str>),
    /// Bytes that are no text.
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
    /// It is data, even if it looks like the call of a function.
    pub literal: bool,
}

impl Map {
    /// A mapping that may be the call of a function.
    #[must_use]
    pub fn new(entries: Vec<(Value, Value)>) -> Self {
        Self {
            entries,
            literal: false,
        }
    }

    /// The mapping without places, each value as `json` says; what is data and looks like a call
    /// is marked.
    fn to_object(&self, json: impl Fn(&Value) -> Json) -> Json {
        let named = |(key, value): &(Value, Value)| (key.to_key(), json(value));
        let object = self.entries.iter().map(named).collect();
        if self.literal {
            marked(object)
        } else {
            Json::Object(object)
        }
    }

    /// The value under a text key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.entry(key).map(|(_, value)| value)
    }

    /// The mapping as [`Value::to_plan`] writes it.
    #[must_use]
    pub fn to_plan(&self) -> Json {
        self.to_object(Value::to_plan)
    }

    /// Key and value under a text key.
    #[must_use]
    pub fn entry(&self, key: &str) -> Option<&(Value, Value)> {
        self.entries.iter().find(|(k, _)| k.as_str() == Some(key))
    }

    /// The entry that a step of a path names. Keys may be written in snake case or in any case where
    /// the step has the name of a field.
    fn step(&self, step: &str) -> Option<&(Value, Value)> {
        let mut entries = self.entries.iter();
        let exact = self.entries.iter().find(|(key, _)| key.to_key() == step);
        exact.or_else(|| entries.find(|(key, _)| plain(&key.to_key()) == plain(step)))
    }

    /// The same keys with other values.
    fn with_values(&self, change: fn(&Value) -> Value, literal: bool) -> Self {
        let changed = |(key, value): &(Value, Value)| (key.clone(), change(value));
        let entries = self.entries.iter().map(changed).collect();
        Self { entries, literal }
    }
}

impl Value {
    /// Makes a value.
    #[must_use]
    pub fn new(span: Span, data: Data) -> Self {
        Self { span, data }
    }

    /// How many values it is, itself and those of mappings and lists counted; what is shared counts
    /// each time.
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

    /// Makes a text value.
    #[must_use]
    pub fn text(span: Span, text: &str) -> Self {
        Self::new(span, Data::Str(text.into()))
    }

    /// The same value at another place.
    #[must_use]
    pub fn at(&self, span: Span) -> Self {
        Self::new(span, self.data.clone())
    }

    /// The text, if it is text.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        if let Data::Str(text) = &self.data {
            Some(text)
        } else {
            None
        }
    }

    /// The mapping, if it is one.
    #[must_use]
    pub fn as_map(&self) -> Option<&Map> {
        if let Data::Map(map) = &self.data {
            Some(map)
        } else {
            None
        }
    }

    /// The list, if it is one.
    #[must_use]
    pub fn as_list(&self) -> Option<&[Value]> {
        if let Data::List(list) = &self.data {
            Some(list)
        } else {
            None
        }
    }

    /// Whether it is `null`.
    #[must_use]
    pub fn is_null(&self) -> bool {
        matches!(self.data, Data::Null)
    }

    /// The value under a text key, if this is a mapping.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.as_map()?.get(key)
    }

    /// The place of the deepest part of `path` that exists.
    #[must_use]
    pub fn place(&self, path: &[String]) -> Span {
        let Some((step, rest)) = path.split_first() else {
            return self.span;
        };
        self.child(step)
            .map_or(self.span, |(_, value)| value.place(rest))
    }

    /// The place of the key that the last step of `path` names, or of the deepest part that exists.
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
            Data::Map(map) => map.step(step).map(|(key, value)| (key.span, value)),
            Data::List(list) => {
                let item = list.get(step.parse::<usize>().ok()?)?;
                Some((item.span, item))
            }
            _ => None,
        }
    }

    /// The code of a fault that says that another kind of value must stand here.
    pub(crate) fn shape_code(&self) -> Code {
        match self.data {
            Data::Date(_) | Data::Bytes(_) => Code::Foreign,
            _ => Code::Format,
        }
    }

    /// What people call this kind of value.
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

    /// The value as a key of a JSON object; numbers and booleans are spelt as the original's host
    /// language does.
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

    /// The value without places.
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

    /// The value without places, and with dates and bytes kept apart from text: `{"__date__": …}`,
    /// `{"__bytes__": HEX}`.
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

    /// The same value as data: no mapping in it is the call of a function.
    #[must_use]
    pub fn as_literal(&self) -> Self {
        let data = match &self.data {
            Data::List(list) => Data::List(Arc::new(list.iter().map(Self::as_literal).collect())),
            Data::Map(map) => Data::Map(Arc::new(map.with_values(Self::as_literal, true))),
            other => other.clone(),
        };
        Self::new(self.span, data)
    }

    /// The value with the marks of literals taken for what they mean. What is marked is data, and
    /// so is what is in it, where another mark can stand.
    #[must_use]
    pub fn with_literals(&self) -> Self {
        if let Some([(key, inner)]) = self.as_map().map(|map| &map.entries[..])
            && key.as_str() == Some(LITERAL)
        {
            return inner.with_literals_inside().as_literal();
        }
        self.with_literals_inside()
    }

    fn with_literals_inside(&self) -> Self {
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

    /// A value that was computed or came from outside the blueprint, at a given place.
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

/// Spells a float as Python's `str()` does: `1.5`, `2.0`, `1e+20`, `inf`.
#[must_use]
pub fn python_float(value: f64) -> String {
    if !value.is_finite() {
        return value.to_string().to_lowercase();
    }
    match scientific(value) {
        (_, -4..16) => with_point(value),
        (digits, exponent) => format!("{digits}e{exponent:+03}"),
    }
}

/// A number without an exponent; a whole one gets a fraction.
fn with_point(value: f64) -> String {
    let digits = value.to_string();
    if digits.contains('.') {
        digits
    } else {
        format!("{digits}.0")
    }
}

fn scientific(value: f64) -> (String, i32) {
    let text = format!("{value:e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    (digits.to_owned(), exponent.parse().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::python_float;

    #[test]
    fn floats_are_spelt_as_in_python() {
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
