//! YAML text to [`Value`]s: events from the parser, meaning from [`super::scalar`].
//!
//! Iterative throughout: hostile nesting costs memory, never stack.

use super::{Data, Map, Sources, Value, scalar};
use crate::diagnostic::{Code, Diagnostic, FileId, Span};
use granit_parser::{Event, Parser, ScalarStyle, ScanError, Tag, options};
use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
};

/// Deepest nesting; also bounds every recursive walk over a value.
const DEPTH: usize = 200;
/// Most nodes a file may stand for after its aliases are followed.
const NODES: usize = 2_000_000;

/// Parses one file. An empty one is an empty mapping.
///
/// # Errors
///
/// The first fault of grammar, or a limit that was exceeded. Warnings go to `diagnostics`.
pub fn parse(sources: &Sources, file: FileId, diagnostics: &mut Vec<Diagnostic>) -> Result<Value, Diagnostic> {
    let text = sources.text(file);
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let offset = sources.text(file).len() - text.len();
    let options = options! { emit_unresolved_aliases: true, emit_comments: false };
    let mut builder =
        Builder { file, offset, text_len: text.len(), stack: Vec::new(), anchors: HashMap::new(), root: None, produced: 0, diagnostics };
    for event in Parser::new_from_str_with_options(text, options) {
        let (event, span) = event.map_err(|error| builder.scan_error(&error))?;
        let span = builder.span(&span);
        builder.event(event, span)?;
    }
    Ok(builder.root.unwrap_or_else(|| Value::new(sources.start(file), Data::Map(Arc::default()))))
}

/// A list or mapping that is not closed yet.
enum Open {
    List { items: Vec<Value>, start: Span, anchor: usize, before: usize },
    Map { map: OpenMap, start: Span, anchor: usize, before: usize },
}

/// A mapping under construction: the key that waits for its value, merges to be applied at the end.
#[derive(Default)]
struct OpenMap {
    entries: Vec<(Value, Value)>,
    places: HashMap<Key, usize>,
    key: Option<Value>,
    merges: Vec<Value>,
}

/// A key as the original's host language compares keys: `1` and `true` are the same, `1` and `"1"` are not.
#[derive(Eq, Hash, PartialEq)]
enum Key {
    Null,
    Int(i64),
    Float(u64),
    Str(Arc<str>),
}

impl Key {
    fn of(value: &Value) -> Option<Self> {
        Some(match &value.data {
            Data::Null => Self::Null,
            Data::Bool(value) => Self::Int((*value).into()),
            Data::Int(value) => Self::Int(*value),
            Data::Float(value) => Self::Float(value.to_bits()),
            Data::Str(text) => Self::Str(text.clone()),
            Data::List(_) | Data::Map(_) => return None,
        })
    }
}

/// What an anchor stands for. `None` while its list or mapping is still open.
struct Anchor {
    value: Option<Value>,
    size: usize,
}

struct Builder<'a> {
    file: FileId,
    offset: usize,
    text_len: usize,
    stack: Vec<Open>,
    anchors: HashMap<usize, Anchor>,
    root: Option<Value>,
    produced: usize,
    diagnostics: &'a mut Vec<Diagnostic>,
}

impl Builder<'_> {
    fn span(&self, span: &granit_parser::Span) -> Span {
        let range = span.byte_range().unwrap_or(0..0);
        Span { file: self.file, start: range.start + self.offset, end: range.end + self.offset }
    }

    fn scan_error(&self, error: &ScanError) -> Diagnostic {
        let at = error.marker().byte_offset().unwrap_or(self.text_len).min(self.text_len) + self.offset;
        let span = Span { file: self.file, start: at, end: at };
        let diagnostic = span.error(Code::Syntax, format!("the text is not YAML: {}", error.info()));
        if error.info().contains("tab") { diagnostic.hint("indent with spaces: YAML forbids tabs there") } else { diagnostic }
    }

    fn event(&mut self, event: Event<'_>, span: Span) -> Result<(), Diagnostic> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let data = tagged(&text, style, tag.as_deref(), span)?;
                self.finish(Value::new(span, data), anchor, self.produced)
            }
            Event::SequenceStart(_, anchor, tag) => {
                Self::check_tag(tag.as_deref(), "seq", span)?;
                self.open(Open::List { items: Vec::new(), start: span, anchor, before: self.produced }, anchor, span)
            }
            Event::MappingStart(_, anchor, tag) => {
                Self::check_tag(tag.as_deref(), "map", span)?;
                self.open(Open::Map { map: OpenMap::default(), start: span, anchor, before: self.produced }, anchor, span)
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(span),
            Event::Alias(anchor) => self.alias(anchor, span),
            Event::UnresolvedAlias(name) => {
                Err(span.error(Code::Yaml, format!("the alias `*{name}` refers to an anchor that is not defined before it")))
            }
            Event::DocumentStart(..) if self.root.is_some() => Err(span
                .error(Code::Yaml, "a second document starts here")
                .hint("a blueprint is exactly one YAML document: remove the `---`")),
            _ => Ok(()),
        }
    }

    fn check_tag(tag: Option<&Tag>, allowed: &str, span: Span) -> Result<(), Diagnostic> {
        match tag {
            Some(tag) if tag.core_suffix() != Some(allowed) => Err(unknown_tag(tag, span)),
            _ => Ok(()),
        }
    }

    fn open(&mut self, open: Open, anchor: usize, span: Span) -> Result<(), Diagnostic> {
        if self.stack.len() >= DEPTH {
            return Err(span.error(Code::Limit, format!("lists and mappings are nested more than {DEPTH} deep")));
        }
        if anchor > 0 {
            self.anchors.insert(anchor, Anchor { value: None, size: 0 });
        }
        self.stack.push(open);
        Ok(())
    }

    fn close(&mut self, end: Span) -> Result<(), Diagnostic> {
        match self.stack.pop() {
            Some(Open::List { items, start, anchor, before }) => {
                let span = Span { end: items.last().map_or(end.end, |item| item.span.end).max(start.end), ..start };
                self.finish(Value::new(span, Data::List(Arc::new(items))), anchor, before)
            }
            Some(Open::Map { map, start, anchor, before }) => {
                let entries = self.merge(map)?;
                let last = entries.iter().map(|(_, value)| value.span.end).max();
                let span = Span { end: last.unwrap_or(end.end).max(start.end), ..start };
                self.finish(Value::new(span, Data::Map(Arc::new(Map { entries }))), anchor, before)
            }
            None => Ok(()),
        }
    }

    fn alias(&mut self, anchor: usize, span: Span) -> Result<(), Diagnostic> {
        let Some(Anchor { value: Some(value), size }) = self.anchors.get(&anchor) else {
            return Err(span.error(Code::Yaml, "the alias refers to the value that contains it").hint("a blueprint cannot contain itself"));
        };
        let (value, size) = (value.clone(), *size);
        self.produce(size, span)?;
        self.add(value, span)
    }

    /// Counts nodes: what aliases stand for counts each time.
    fn produce(&mut self, nodes: usize, span: Span) -> Result<(), Diagnostic> {
        self.produced += nodes;
        if self.produced > NODES {
            return Err(span.error(Code::Limit, format!("the file stands for more than {NODES} values once its aliases are followed")));
        }
        Ok(())
    }

    fn finish(&mut self, value: Value, anchor: usize, before: usize) -> Result<(), Diagnostic> {
        self.produce(1, value.span)?;
        if anchor > 0 {
            self.anchors.insert(anchor, Anchor { value: Some(value.clone()), size: self.produced - before });
        }
        let span = value.span;
        self.add(value, span)
    }

    fn add(&mut self, value: Value, used: Span) -> Result<(), Diagnostic> {
        match self.stack.last_mut() {
            None => self.root = Some(value),
            Some(Open::List { items, .. }) => items.push(value),
            Some(Open::Map { map, .. }) => match map.key.take() {
                None => map.key = Some(checked_key(value.at(used))?),
                Some(key) if key.as_str() == Some("<<") => map.merges.push(value),
                Some(key) => self.diagnostics.extend(map.insert(key, value)),
            },
        }
        Ok(())
    }

    /// Applies `<<`: own keys win, then earlier sources. Several `<<` in one mapping are legal.
    fn merge(&mut self, mut open: OpenMap) -> Result<Vec<(Value, Value)>, Diagnostic> {
        for merge in std::mem::take(&mut open.merges) {
            let sources = merge.as_list().map_or_else(|| vec![merge.clone()], <[Value]>::to_vec);
            for source in sources {
                let Some(map) = source.as_map() else {
                    return Err(source.span.error(Code::Yaml, format!("`<<` merges mappings, and this is {}", source.kind())));
                };
                self.produce(map.entries.len(), source.span)?;
                open.merge(map);
            }
        }
        Ok(open.entries)
    }
}

impl OpenMap {
    /// The last of two equal keys holds, as in the original loader; the first is worth a warning.
    fn insert(&mut self, key: Value, value: Value) -> Option<Diagnostic> {
        match self.places.entry(Key::of(&key)?) {
            Entry::Vacant(place) => {
                place.insert(self.entries.len());
                self.entries.push((key, value));
                None
            }
            Entry::Occupied(place) => {
                let (first, old) = &mut self.entries[*place.get()];
                let warning = key.span.warning(Code::DuplicateKey, format!("the key `{}` is given twice; this one holds", key.to_key()));
                let warning = warning.related(first.span, "first given here");
                (*first, *old) = (key, value);
                Some(warning)
            }
        }
    }

    fn merge(&mut self, source: &Map) {
        for (key, value) in &source.entries {
            if let Some(Entry::Vacant(place)) = Key::of(key).map(|key| self.places.entry(key)) {
                place.insert(self.entries.len());
                self.entries.push((key.clone(), value.clone()));
            }
        }
    }
}

fn checked_key(key: Value) -> Result<Value, Diagnostic> {
    match key.data {
        Data::List(_) | Data::Map(_) => {
            let fault = key.span.error(Code::Yaml, format!("{} cannot be a key", key.kind()));
            Err(fault.hint("quote it if this is a template such as \"{{ name }}\""))
        }
        _ => Ok(key),
    }
}

fn tagged(text: &str, style: ScalarStyle, tag: Option<&Tag>, span: Span) -> Result<Data, Diagnostic> {
    let plain = style == ScalarStyle::Plain;
    match tag.map(|tag| tag.core_suffix().ok_or(tag)) {
        None if plain && text == "=" => Err(span.error(Code::Yaml, "a plain `=` has no meaning here").hint("quote it: '='")),
        None if plain => Ok(scalar::resolve(text)),
        None | Some(Ok("str")) => Ok(Data::Str(text.into())),
        Some(Ok("null")) => Ok(Data::Null),
        Some(Ok("bool" | "int" | "float")) => Ok(scalar::resolve(text)),
        Some(Ok(_)) => Err(unknown_tag(tag.expect("matched above"), span)),
        Some(Err(tag)) => Err(unknown_tag(tag, span)),
    }
}

fn unknown_tag(tag: &Tag, span: Span) -> Diagnostic {
    span.error(Code::Yaml, format!("the tag `{}` is not known", tag.original())).hint("blueprints use plain YAML without tags of their own")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Result<Value, Diagnostic>, Vec<Diagnostic>) {
        let mut sources = Sources::default();
        let file = sources.add_text("t.yaml", text);
        let mut warnings = Vec::new();
        (parse(&sources, file, &mut warnings), warnings)
    }

    fn json(text: &str) -> String {
        read(text).0.unwrap().to_json().to_string()
    }

    fn fault(text: &str) -> String {
        let fault = read(text).0.unwrap_err();
        format!("{} {}", fault.code.as_str(), fault.message)
    }

    #[test]
    fn merges_keep_own_keys_and_earlier_sources() {
        let text = "a: &a {x: 1, y: 1}\nb: &b {y: 2, z: 2}\nc:\n  <<: *a\n  <<: *b\n  x: 0\n";
        assert_eq!(json(text), r#"{"a":{"x":1,"y":1},"b":{"y":2,"z":2},"c":{"x":0,"y":1,"z":2}}"#);
    }

    #[test]
    fn the_last_of_two_keys_holds_and_both_places_are_named() {
        let (value, warnings) = read("a: 1\na: 2\n");
        assert_eq!(value.unwrap().to_json().to_string(), r#"{"a":2}"#);
        assert_eq!((warnings[0].span.start, warnings[0].related[0].0.start), (5, 0));
    }

    #[test]
    fn keys_can_be_any_scalar() {
        assert_eq!(json("{80: 80, '80': x, on: 1}"), r#"{"80":"x","True":1}"#);
    }

    #[test]
    fn spans_cover_keys_and_values_after_a_byte_order_mark() {
        let value = read("\u{feff}key: [one, two]\n").0.unwrap();
        let (key, list) = &value.as_map().unwrap().entries[0];
        assert_eq!((key.span.range(), list.as_list().unwrap()[1].span.range()), (3..6, 14..17));
    }

    #[test]
    fn hostile_text_is_refused() {
        let bomb: String = (1..30).map(|n| format!("a{n}: &a{n} [*a{m}, *a{m}, *a{m}, *a{m}]\n", m = n - 1)).collect();
        assert!(fault(&format!("a0: &a0 [x]\n{bomb}")).starts_with("D0004"));
        assert!(fault(&"[".repeat(100_000)).starts_with("D000"));
        assert!(fault(&"- ".repeat(20_000)).starts_with("D000"));
        assert!(fault("a: &a [*a]").starts_with("D0003"));
        assert!(fault("a: *b").starts_with("D0003"));
        assert!(fault("{{ x }}: 1").starts_with("D0003"));
        assert!(fault("a: !ruby/object x").starts_with("D0003"));
        assert!(fault("a: 1\n---\nb: 2\n").starts_with("D0003"));
        assert!(fault("a: [1\nb: 2").starts_with("D0002"));
    }

    #[test]
    fn nothing_at_all_is_an_empty_mapping() {
        assert_eq!(json(""), "{}");
        assert_eq!(json("# only a comment\n"), "{}");
    }
}
