//! Reading a mapping whose keys are known.

use super::{Map, Value, ast::Named};
use crate::diagnostic::{Code, Diagnostic, Span, Spanned};
use crate::syntax::ast::Definition;

static EMPTY: Map = Map { entries: Vec::new() };

/// A mapping that is read key by key; what nobody asked for is a fault.
pub(super) struct Fields<'v> {
    owner: String,
    map: &'v Map,
    asked: Vec<&'static str>,
}

impl<'v> Fields<'v> {
    /// Opens a mapping.
    pub(super) fn open(value: &'v Value, owner: impl Into<String>, diagnostics: &mut Vec<Diagnostic>) -> Option<Self> {
        let owner = owner.into();
        let map = expect_map(value, &owner, diagnostics)?;
        Some(Self { owner, map, asked: Vec::new() })
    }

    /// Opens a mapping of which everything can be left out, so that `null` is an empty one.
    pub(super) fn open_or_null(value: &'v Value, owner: impl Into<String>, diagnostics: &mut Vec<Diagnostic>) -> Option<Self> {
        if value.is_null() {
            return Some(Self { owner: owner.into(), map: &EMPTY, asked: Vec::new() });
        }
        Self::open(value, owner, diagnostics)
    }

    /// Opens a mapping; what is none is reported and read as an empty one.
    pub(super) fn open_or_empty(value: &'v Value, owner: &str, diagnostics: &mut Vec<Diagnostic>) -> Self {
        let map = expect_map(value, owner, diagnostics).unwrap_or(&EMPTY);
        Self { owner: owner.to_owned(), map, asked: Vec::new() }
    }

    /// The value under `key`, if given.
    pub(super) fn take(&mut self, key: &'static str) -> Option<&'v Value> {
        self.asked.push(key);
        self.map.get(key)
    }

    /// The text under `key`, if given.
    pub(super) fn text(&mut self, key: &'static str, diagnostics: &mut Vec<Diagnostic>) -> Option<Spanned<String>> {
        let value = self.take(key).filter(|value| !value.is_null())?;
        expect_text(value, &format!("`{key}` of {}", self.owner), diagnostics)
    }

    /// The boolean under `key`, if given.
    pub(super) fn boolean(&mut self, key: &'static str, diagnostics: &mut Vec<Diagnostic>) -> Option<bool> {
        let value = self.take(key)?;
        if let super::Data::Bool(given) = value.data {
            return Some(given);
        }
        diagnostics.push(wrong_shape(value, &format!("`{key}` of {}", self.owner), "a boolean"));
        None
    }

    /// The number under `key`, if given and at least `least`.
    pub(super) fn number(&mut self, key: &'static str, least: f64, diagnostics: &mut Vec<Diagnostic>) -> Option<f64> {
        let value = self.take(key).filter(|value| !value.is_null())?;
        let number = value.to_json().as_f64().filter(|number| *number >= least);
        if number.is_none() {
            diagnostics.push(wrong_shape(value, &format!("`{key}` of {}", self.owner), &format!("a number of at least {least}")));
        }
        number
    }

    /// Reads every entry under `key` with `read`.
    pub(super) fn named<T>(
        &mut self,
        key: &'static str,
        diagnostics: &mut Vec<Diagnostic>,
        read: impl FnMut(&'v Value, &str, &mut Vec<Diagnostic>) -> Option<T>,
    ) -> Named<T> {
        match self.take(key).filter(|value| !value.is_null()) {
            Some(value) => named(value, &format!("`{key}` of {}", self.owner), diagnostics, read),
            None => Named::default(),
        }
    }

    /// Reports what nobody asked for.
    pub(super) fn close(self, diagnostics: &mut Vec<Diagnostic>) {
        for (key, _) in &self.map.entries {
            if !key.as_str().is_some_and(|name| self.asked.contains(&name)) {
                let name = key.to_key();
                let fault = key.span.error(Code::Format, format!("{} has no key `{name}`", self.owner));
                diagnostics
                    .push(fault.did_you_mean(&name, self.asked.iter().copied()).hint(format!("known keys: {}", self.asked.join(", "))));
            }
        }
    }
}

/// Reads a mapping from names to definitions.
pub(super) fn named<'v, T>(
    value: &'v Value,
    owner: &str,
    diagnostics: &mut Vec<Diagnostic>,
    mut read: impl FnMut(&'v Value, &str, &mut Vec<Diagnostic>) -> Option<T>,
) -> Named<T> {
    let mut all = Named::default();
    for (key, value) in expect_map(value, owner, diagnostics).into_iter().flat_map(|map| &map.entries) {
        match key.as_str() {
            Some(name) => {
                if let Some(body) = read(value, name, diagnostics) {
                    all.insert(name.to_owned(), Definition { name: key.span, body });
                }
            }
            None => {
                diagnostics.push(key.span.error(Code::Format, format!("a name in {owner} must be a string, and this is {}", key.kind())))
            }
        }
    }
    all
}

/// The mapping, or a fault.
pub(super) fn expect_map<'v>(value: &'v Value, owner: &str, diagnostics: &mut Vec<Diagnostic>) -> Option<&'v Map> {
    let map = value.as_map();
    if map.is_none() {
        diagnostics.push(wrong_shape(value, owner, "a mapping"));
    }
    map
}

/// The text, or a fault.
pub(super) fn expect_text(value: &Value, owner: &str, diagnostics: &mut Vec<Diagnostic>) -> Option<Spanned<String>> {
    let text = value.as_str().map(|text| Spanned { node: text.to_owned(), span: value.span });
    if text.is_none() {
        diagnostics.push(wrong_shape(value, owner, "a string"));
    }
    text
}

/// The list, or a fault.
pub(super) fn expect_list<'v>(value: &'v Value, owner: &str, diagnostics: &mut Vec<Diagnostic>) -> &'v [Value] {
    value.as_list().unwrap_or_else(|| {
        diagnostics.push(wrong_shape(value, owner, "a list"));
        &[]
    })
}

/// A required key is missing.
pub(super) fn missing(span: Span, owner: &str, key: &str) -> Diagnostic {
    span.error(Code::Format, format!("{owner} needs a `{key}`"))
}

fn wrong_shape(value: &Value, owner: &str, wanted: &str) -> Diagnostic {
    value.span.error(Code::Format, format!("{owner} must be {wanted}, and this is {}", value.kind()))
}
