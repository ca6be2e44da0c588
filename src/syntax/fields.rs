//! Reads mappings with known keys. Checks the DSL version and collects diagnostics.

use super::{
    Data, Map, Value, Version,
    ast::{Definition, Named},
};
use crate::diagnostic::{Code, Diagnostic, Diagnostics, Span, Spanned};
use std::{fmt, sync::Arc};

static EMPTY: Map = Map {
    entries: Vec::new(),
    literal: false,
};

/// The context of all readers: the declared version, and the diagnostics found so far.
pub(super) struct Reader<'d> {
    pub(super) version: Version,
    pub(super) diagnostics: &'d mut Diagnostics,
}

/// The owner of a value, for messages: "`inputs` of operation `create`".
#[derive(Clone, Copy)]
pub(super) struct Owner<'a> {
    what: &'a str,
    name: &'a str,
    of: Option<&'a Self>,
}

impl<'a> Owner<'a> {
    /// Creates an owner with a name: "node template `web`".
    pub(super) fn new(what: &'a str, name: &'a str) -> Self {
        Self {
            what,
            name,
            of: None,
        }
    }

    /// Creates an owner that is the only one of its kind: "the blueprint".
    pub(super) fn singleton(what: &'a str) -> Self {
        Self::new(what, "")
    }

    /// Creates a part of this owner: "`image` of …".
    pub(super) fn part<'b>(&'b self, name: &'b str) -> Owner<'b>
    where
        'a: 'b,
    {
        Owner {
            what: "",
            name,
            of: Some(self),
        }
    }
}

impl fmt::Display for Owner<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.what, self.name) {
            (what, "") => f.write_str(what)?,
            ("", name) => write!(f, "`{name}`")?,
            (what, name) => write!(f, "{what} `{name}`")?,
        }
        self.of.map_or(Ok(()), |owner| write!(f, " of {owner}"))
    }
}

impl Reader<'_> {
    pub(super) fn push(&mut self, fault: Diagnostic) {
        self.diagnostics.push(fault);
    }

    /// Reports a feature that is newer than the declared version.
    pub(super) fn require_version(&mut self, span: Span, feature: &str, since: Version) {
        let declared = self.version;
        if declared < since {
            let message =
                format!("{feature} requires {since}, but the blueprint declares {declared}");
            let fault = span.error(Code::FeatureTooNew, message);
            self.push(fault.hint(format!("declare `tosca_definitions_version: {since}`")));
        }
    }

    /// Returns the mapping, or reports an error.
    pub(super) fn map<'v>(&mut self, value: &'v Value, owner: &Owner<'_>) -> Option<&'v Map> {
        let map = value.as_map();
        if map.is_none() {
            self.wrong_shape(value, owner, "a mapping");
        }
        map
    }

    /// Returns the shared mapping. `null` is an empty one.
    pub(super) fn any_map(&mut self, value: Option<&Value>, owner: &Owner<'_>) -> Arc<Map> {
        match value {
            Some(value) if !value.is_null() => self.shared_map(value, owner),
            _ => Arc::default(),
        }
    }

    fn shared_map(&mut self, value: &Value, owner: &Owner<'_>) -> Arc<Map> {
        let Data::Map(map) = &value.data else {
            self.wrong_shape(value, owner, "a mapping");
            return Arc::default();
        };
        for (key, _) in map.entries.iter().filter(|(key, _)| key.as_str().is_none()) {
            self.invalid_name(key, owner);
        }
        map.clone()
    }

    /// Returns the text, or reports an error.
    pub(super) fn text(&mut self, value: &Value, owner: &Owner<'_>) -> Option<Spanned<String>> {
        let text = value.as_str().map(|text| Spanned {
            node: text.to_owned(),
            span: value.span,
        });
        if text.is_none() {
            self.wrong_shape(value, owner, "a string");
        }
        text
    }

    /// Returns the boolean, or reports an error.
    pub(super) fn boolean(&mut self, value: &Value, owner: &Owner<'_>) -> Option<bool> {
        if let Data::Bool(given) = value.data {
            return Some(given);
        }
        self.wrong_shape(value, owner, "a boolean");
        None
    }

    /// Returns the list, or reports an error.
    pub(super) fn list<'v>(&mut self, value: &'v Value, owner: &Owner<'_>) -> &'v [Value] {
        value.as_list().unwrap_or_else(|| {
            self.wrong_shape(value, owner, "a list");
            &[]
        })
    }

    /// Reads a mapping from names to definitions, if given.
    pub(super) fn named<'v, T>(
        &mut self,
        value: Option<&'v Value>,
        owner: &Owner<'_>,
        mut read: impl FnMut(&'v Value, &str, &mut Self) -> Option<T>,
    ) -> Named<T> {
        let map = value.and_then(|value| self.map(value, owner));
        let entries = map.map_or(&[][..], |map| &map.entries);
        let mut all = Named::with_capacity(entries.len());
        for (key, value) in entries {
            match key.as_str() {
                Some(name) => {
                    if let Some(body) = read(value, name, self) {
                        all.insert(
                            name.to_owned(),
                            Definition {
                                name: key.span,
                                body,
                            },
                        );
                    }
                }
                None => self.invalid_name(key, owner),
            }
        }
        all
    }

    /// Reports a missing required key.
    pub(super) fn missing(&mut self, span: Span, owner: &Owner<'_>, key: &str) {
        self.push(span.error(Code::Format, format!("{owner} requires `{key}`")));
    }

    /// Reports a name that is not text. Cloudify has its own error for some kinds of names only and
    /// fails with a plain Python error on the others, hence two codes.
    fn invalid_name(&mut self, key: &Value, owner: &Owner<'_>) {
        let code = match key.data {
            Data::Null | Data::Date(_) | Data::Bytes(_) => Code::ValueNotAllowed,
            _ => Code::Format,
        };
        let kind = key.kind();
        let message = format!("a name in {owner} must be a string, not {kind}");
        let fault = key.span.error(code, message);
        self.push(fault.hint(format!("quote it: \"{}\"", self::quoted_form(key))));
    }

    /// Reports a value of the wrong kind.
    pub(super) fn wrong_shape(&mut self, value: &Value, owner: &Owner<'_>, wanted: &str) {
        let message = format!("{owner} must be {wanted}, not {}", value.kind());
        self.push(value.span.error(value.shape_code(), message));
    }
}

/// Returns the error for a value that is not a mapping, where Cloudify fails with a Python error.
pub(super) fn not_a_mapping(value: &Value, owner: &Owner<'_>) -> Diagnostic {
    let message = format!("{owner} must be a mapping, not {}", value.kind());
    value.span.error(Code::ValueNotAllowed, message)
}

fn quoted_form(key: &Value) -> String {
    match key.data {
        Data::Null => "null".into(),
        Data::Bool(true) => "yes".into(),
        Data::Bool(false) => "no".into(),
        _ => key.to_key(),
    }
}

/// A mapping that is read key by key. Keys that were not read are reported as unknown.
pub(super) struct Fields<'v, 'o> {
    owner: Owner<'o>,
    span: Span,
    map: &'v Map,
    read_keys: ReadKeys,
}

/// The keys that were read. A fixed array is enough and avoids an allocation.
#[derive(Default)]
struct ReadKeys {
    keys: [&'static str; 24],
    count: usize,
}

impl ReadKeys {
    fn add(&mut self, key: &'static str) {
        self.keys[self.count] = key;
        self.count += 1;
    }

    fn keys(&self) -> &[&'static str] {
        &self.keys[..self.count]
    }
}

impl<'v, 'o> Fields<'v, 'o> {
    /// Opens a mapping. `null` counts as an empty one.
    pub(super) fn open(value: &'v Value, owner: Owner<'o>, r: &mut Reader<'_>) -> Option<Self> {
        let map = if value.is_null() {
            &EMPTY
        } else {
            r.map(value, &owner)?
        };
        Some(Self::new(owner, value.span, map))
    }

    /// Opens a mapping. Anything else is reported and read as an empty one.
    pub(super) fn open_or_empty(value: &'v Value, owner: Owner<'o>, r: &mut Reader<'_>) -> Self {
        let map = r.map(value, &owner).unwrap_or(&EMPTY);
        Self::new(owner, value.span, map)
    }

    fn new(owner: Owner<'o>, span: Span, map: &'v Map) -> Self {
        Self {
            owner,
            span,
            map,
            read_keys: ReadKeys::default(),
        }
    }

    /// Opens a mapping, reads it with `read`, and reports the keys that `read` left over.
    pub(super) fn read<T>(
        value: &'v Value,
        owner: Owner<'o>,
        r: &mut Reader<'_>,
        read: impl FnOnce(&mut Self, &mut Reader<'_>) -> T,
    ) -> Option<T> {
        let mut fields = Self::open(value, owner, r)?;
        let result = read(&mut fields, r);
        fields.report_unknown(r);
        Some(result)
    }

    /// Returns the owner of the mapping.
    pub(super) fn owner(&self) -> &Owner<'o> {
        &self.owner
    }

    /// Returns the value of `key`, if given.
    pub(super) fn take(&mut self, key: &'static str) -> Option<&'v Value> {
        self.entry(key).map(|(_, value)| value)
    }

    /// Returns the value of `key`, if given and not `null`.
    pub(super) fn non_null(&mut self, key: &'static str) -> Option<&'v Value> {
        self.take(key).filter(|value| !value.is_null())
    }

    /// Returns the value of `key`; reports an error if it is missing.
    pub(super) fn required(&mut self, key: &'static str, r: &mut Reader<'_>) -> Option<&'v Value> {
        let value = self.non_null(key);
        if value.is_none() {
            r.missing(self.span, &self.owner, key);
        }
        value
    }

    /// Returns the items of the list at `key`, if given.
    pub(super) fn items(&mut self, key: &'static str, r: &mut Reader<'_>) -> &'v [Value] {
        let value = self.non_null(key);
        value.map_or(&[][..], |value| r.list(value, &self.owner.part(key)))
    }

    /// Returns the key and its value, if given.
    pub(super) fn entry(&mut self, key: &'static str) -> Option<&'v (Value, Value)> {
        self.read_keys.add(key);
        self.map.entry(key)
    }

    /// Returns the value of `key`, if given and not `null`. The key exists since a DSL version.
    pub(super) fn since(
        &mut self,
        key: &'static str,
        since: Version,
        r: &mut Reader<'_>,
    ) -> Option<&'v Value> {
        let (name, value) = self.entry(key).filter(|(_, value)| !value.is_null())?;
        r.require_version(name.span, &format!("`{key}` of {}", self.owner), since);
        Some(value)
    }

    /// Returns the text at `key`, if given.
    pub(super) fn text(
        &mut self,
        key: &'static str,
        r: &mut Reader<'_>,
    ) -> Option<Spanned<String>> {
        let value = self.non_null(key)?;
        r.text(value, &self.owner.part(key))
    }

    /// Returns the text at `key`; reports an error if it is missing.
    pub(super) fn required_text(
        &mut self,
        key: &'static str,
        r: &mut Reader<'_>,
    ) -> Option<Spanned<String>> {
        let value = self.required(key, r)?;
        r.text(value, &self.owner.part(key))
    }

    /// Returns the text at `key`, if given. The key exists since a DSL version.
    pub(super) fn text_since(
        &mut self,
        key: &'static str,
        since: Version,
        r: &mut Reader<'_>,
    ) -> Option<Spanned<String>> {
        let value = self.since(key, since, r)?;
        r.text(value, &self.owner.part(key))
    }

    /// Returns the boolean at `key`, if given.
    pub(super) fn boolean(&mut self, key: &'static str, r: &mut Reader<'_>) -> Option<bool> {
        let value = self.non_null(key)?;
        r.boolean(value, &self.owner.part(key))
    }

    /// Reads each entry of the mapping at `key` with `read`.
    pub(super) fn named<T>(
        &mut self,
        key: &'static str,
        r: &mut Reader<'_>,
        read: impl FnMut(&'v Value, &str, &mut Reader<'_>) -> Option<T>,
    ) -> Named<T> {
        let value = self.non_null(key);
        r.named(value, &self.owner.part(key), read)
    }

    /// Returns the mapping at `key`, which may have any content.
    pub(super) fn free_map(&mut self, key: &'static str, r: &mut Reader<'_>) -> Arc<Map> {
        let value = self.take(key);
        r.any_map(value, &self.owner.part(key))
    }

    /// Reports the keys that were not read.
    pub(super) fn report_unknown(self, r: &mut Reader<'_>) {
        for (key, _) in &self.map.entries {
            match key.as_str() {
                Some(name) if self.read_keys.keys().contains(&name) => {}
                Some(name) => r.push(self.unknown_key(key.span, name)),
                None => r.invalid_name(key, &self.owner),
            }
        }
    }

    fn unknown_key(&self, span: Span, name: &str) -> Diagnostic {
        let known = self.read_keys.keys();
        let fault = span.error(Code::Format, format!("{} has no key `{name}`", self.owner));
        let fault = fault.did_you_mean(name, known.iter().copied());
        fault.hint(format!("known keys: {}", known.join(", ")))
    }
}
