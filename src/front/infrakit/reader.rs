//! Reads mappings of InfraKit's documents: keys in any case, unknown keys with the nearest one.

use crate::{
    diagnostic::{Diagnostics, Span, fault::nearest_key},
    front::fault,
    syntax::{Data, Map, Value},
};
use std::sync::LazyLock;

/// A mapping of which the known keys are read.
pub(super) struct Section<'v> {
    /// Name of the section, for messages.
    name: &'static str,
    map: &'v Map,
    pub span: Span,
}

static EMPTY: LazyLock<Map> = LazyLock::new(Map::default);

impl<'v> Section<'v> {
    /// Opens a section. Null counts as empty; anything else that is not a mapping is reported.
    pub(super) fn open(
        value: Option<&'v Value>,
        (name, span): (&'static str, Span),
        known: &[&str],
        d: &mut Diagnostics,
    ) -> Self {
        let span = value.map_or(span, |value| value.span);
        let map = match value.map(|value| &value.data) {
            None | Some(Data::Null) => &*EMPTY,
            Some(Data::Map(map)) => map,
            Some(_) => {
                let kind = value.map_or("", Value::kind);
                d.push(fault(
                    span,
                    format!("{}`{name}` must be a mapping, not {kind}", prefix(name)),
                ));
                &*EMPTY
            }
        };
        let section = Self { name, map, span };
        section.check_keys(known, d);
        section
    }

    fn check_keys(&self, known: &[&str], d: &mut Diagnostics) {
        for (at, (key, _)) in self.map.entries.iter().enumerate() {
            let text = key.to_key();
            let is_same = |other: &str| other.eq_ignore_ascii_case(&text);
            let mut earlier = self.map.entries[..at].iter();
            if !known.iter().any(|it| is_same(it)) {
                let (name, prefix) = (self.name, prefix(self.name));
                let found = fault(key.span, format!("{prefix}`{name}` has no key `{text}`"));
                d.push(match nearest_key(&text, known) {
                    Some(near) => found.hint(format!("did you mean `{near}`?")),
                    None => found.hint(format!("known keys: {}", known.join(", "))),
                });
            } else if let Some((first, _)) = earlier.find(|(other, _)| is_same(&other.to_key())) {
                let twice = fault(key.span, format!("`{text}` is given twice"));
                d.push(twice.related(first.span, "the first one is here"));
            }
        }
    }

    /// Returns the value of a key, if it is given and not null.
    pub(super) fn get(&self, name: &str) -> Option<&'v Value> {
        let entries = self.map.entries.iter();
        let mut found = entries.filter(|(key, _)| key.to_key().eq_ignore_ascii_case(name));
        let value = found.next().map(|(_, value)| value);
        value.filter(|value| !value.is_null())
    }

    /// Returns the text of a key; empty if it is missing.
    pub(super) fn text(&self, name: &str, d: &mut Diagnostics) -> (String, Span) {
        match self.get(name) {
            None => (String::new(), self.span),
            Some(value) => (self.text_of(value, name, d), value.span),
        }
    }

    fn text_of(&self, value: &Value, name: &str, d: &mut Diagnostics) -> String {
        value.as_str().map_or_else(
            || {
                self.wrong(value, name, "a string", d);
                String::new()
            },
            str::to_owned,
        )
    }

    /// Returns the number of a key; `None` if it is missing or wrong.
    pub(super) fn number(&self, name: &str, d: &mut Diagnostics) -> Option<usize> {
        let value = self.get(name)?;
        let number = match value.data {
            Data::Int(number) => usize::try_from(number).ok(),
            Data::Float(number) if number.fract() == 0.0 && (0.0..1e9).contains(&number) => {
                format!("{number}").parse().ok()
            }
            _ => None,
        };
        if number.is_none() {
            self.wrong(value, name, "an integer of at least 0", d);
        }
        number
    }

    /// Returns the texts of a list.
    pub(super) fn texts(&self, name: &str, d: &mut Diagnostics) -> Vec<(String, Span)> {
        let Some(value) = self.get(name) else {
            return Vec::new();
        };
        let Some(items) = value.as_list() else {
            self.wrong(value, name, "a list of strings", d);
            return Vec::new();
        };
        let texts = items
            .iter()
            .map(|item| (self.text_of(item, name, d), item.span));
        texts.collect()
    }

    /// Returns the texts of a mapping.
    pub(super) fn tags(&self, name: &str, d: &mut Diagnostics) -> Vec<(String, &'v Value)> {
        let Some(value) = self.get(name) else {
            return Vec::new();
        };
        let Some(map) = value.as_map() else {
            self.wrong(value, name, "a mapping of strings", d);
            return Vec::new();
        };
        for (_, tag) in map.entries.iter().filter(|(_, tag)| tag.as_str().is_none()) {
            self.wrong(tag, name, "a mapping of strings", d);
        }
        let texts = map.entries.iter().filter(|(_, tag)| tag.as_str().is_some());
        texts.map(|(key, tag)| (key.to_key(), tag)).collect()
    }

    fn wrong(&self, value: &Value, name: &str, wanted: &str, d: &mut Diagnostics) {
        let message = format!("{}`{name}` must be {wanted}", prefix(self.name));
        d.push(fault(value.span, message));
    }
}

/// Returns the beginning of messages about the types of a section, as in the original.
fn prefix(section: &str) -> &'static str {
    if section == "group" {
        ""
    } else {
        "Invalid properties: "
    }
}
