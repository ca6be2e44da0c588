//! Parses YAML text to [`Value`]s, with [`super::scalar`] resolving plain scalars.
//!
//! The code is iterative: hostile nesting costs memory but cannot overflow the stack.

use super::{Data, LITERAL, Map, Value, scalar};
use crate::diagnostic::{Code, Diagnostic, Diagnostics, FileId, Sources, Span};
use base64::Engine as _;
use granit_parser::{ErrorKind, Event, Parser, ScalarStyle, ScanError, Tag, options};
use std::{
    borrow::Cow,
    collections::HashMap,
    sync::{Arc, mpsc},
    thread,
};

/// Maximum nesting depth. It also bounds every recursive walk over a value.
const MAX_DEPTH: usize = 200;
/// Maximum number of values in a file after alias expansion.
const MAX_VALUES: usize = 1_000_000;

/// Parses one file. An empty file is an empty mapping.
///
/// # Errors
///
/// The first syntax error, or an exceeded limit. Warnings go to `diagnostics`.
pub fn parse(
    sources: &Sources,
    file: FileId,
    diagnostics: &mut Diagnostics,
) -> Result<Value, Diagnostic> {
    let whole = sources.text(file);
    let text = whole.strip_prefix('\u{feff}').unwrap_or(whole);
    let mut repaired = RepairedText {
        text: text.into(),
        inserted: Vec::new(),
        bom: whole.len() - text.len(),
    };
    loop {
        let before = diagnostics.len();
        match build(&repaired, file, diagnostics) {
            Ok(root) => {
                check_tabs(&repaired, file)?;
                let root = root
                    .unwrap_or_else(|| Value::new(sources.start(file), Data::Map(Arc::default())));
                return Ok(if text.contains(LITERAL) {
                    root.with_literals()
                } else {
                    root
                });
            }
            Err(ParseStop::Scan(error)) if repaired.repair(&error) => diagnostics.truncate(before),
            Err(ParseStop::Scan(error)) => return Err(repaired.scan_error(&error, file)),
            Err(ParseStop::Fault(fault)) => return Err(*fault),
        }
    }
}

/// The reason why parsing stopped.
enum ParseStop {
    /// The parser rejected the text.
    Scan(ScanError),
    /// The text is valid YAML but not allowed here.
    Fault(Box<Diagnostic>),
}

impl From<Diagnostic> for ParseStop {
    fn from(fault: Diagnostic) -> Self {
        Self::Fault(Box::new(fault))
    }
}

fn build(
    repaired: &RepairedText<'_>,
    file: FileId,
    diagnostics: &mut Diagnostics,
) -> Result<Option<Value>, ParseStop> {
    let options =
        options! { emit_unresolved_aliases: true, emit_comments: false, emit_anchor_events: true };
    let events = Parser::new_from_str_with_options(&repaired.text, options);
    let (anchors, names) = (HashMap::new(), HashMap::new());
    let mut builder = Builder {
        file,
        repaired,
        stack: Vec::new(),
        anchors,
        names,
        root: None,
        value_count: 0,
        diagnostics,
    };
    if repaired.text.len() < PARALLEL_SIZE {
        builder.take(events)?;
        return Ok(builder.root);
    }
    // Parse and build on two threads.
    thread::scope(|scope| {
        let (sender, receiver) = mpsc::sync_channel(4);
        scope.spawn(move || batches(events, &sender));
        receiver
            .into_iter()
            .try_for_each(|batch| builder.take(batch))
    })?;
    Ok(builder.root)
}

/// Minimum size of a text that is parsed on its own thread, in bytes.
const PARALLEL_SIZE: usize = 128 << 10;
/// Number of events sent in one batch.
const BATCH_SIZE: usize = 4096;

type Parsed<'t> = Result<(Event<'t>, granit_parser::Span), ScanError>;

/// Sends events in batches until the parser ends or the receiver is dropped.
fn batches<'t>(
    events: impl Iterator<Item = Parsed<'t>>,
    sender: &mpsc::SyncSender<Vec<Parsed<'t>>>,
) {
    let mut batch = Vec::with_capacity(BATCH_SIZE);
    for event in events {
        batch.push(event);
        if batch.len() == BATCH_SIZE
            && sender
                .send(std::mem::replace(
                    &mut batch,
                    Vec::with_capacity(BATCH_SIZE),
                ))
                .is_err()
        {
            return;
        }
    }
    let _ = sender.send(batch); // The receiver is gone if an earlier event was invalid.
}

/// Maximum number of repaired places in one file.
const MAX_REPAIRS: usize = 100;
/// Maximum amount of text that is parsed again for repairs, in bytes.
const MAX_REPARSED_BYTES: usize = 4 << 20;

/// The text to parse, with repairs.
///
/// Cloudify accepts two forms that the parser rejects: `{a:[1]}` without a space, and quoted text
/// that continues on an unindented line. Spaces inserted there do not change any value. Reported
/// places do not count them.
struct RepairedText<'t> {
    text: Cow<'t, str>,
    /// Positions of inserted spaces in the parsed text, and their number.
    inserted: Vec<(usize, usize)>,
    /// Length of the byte order mark before the text, in bytes.
    bom: usize,
}

impl RepairedText<'_> {
    /// Inserts spaces if that can fix the error. Returns true if it inserted any.
    fn repair(&mut self, error: &ScanError) -> bool {
        let Some(at) = error
            .marker()
            .byte_offset()
            .filter(|at| *at <= self.text.len())
        else {
            return false;
        };
        let (at, count) = match error.kind() {
            ErrorKind::FlowMappingValueAdjacentCollection if self.text[at..].starts_with(':') => {
                (at + 1, 1)
            }
            ErrorKind::InvalidQuotedScalarIndent => (
                self.text[..at].rfind('\n').map_or(0, |end| end + 1),
                MAX_DEPTH,
            ),
            _ => return false,
        };
        let repaired = self.inserted.len();
        let too_many = repaired >= MAX_REPAIRS || repaired * self.text.len() > MAX_REPARSED_BYTES;
        if too_many || self.inserted.iter().any(|(other, _)| *other == at) {
            return false;
        }
        self.text.to_mut().insert_str(at, &" ".repeat(count));
        for (other, _) in self.inserted.iter_mut().filter(|(other, _)| *other >= at) {
            *other += count;
        }
        self.inserted.push((at, count));
        true
    }

    /// Converts a position in the parsed text to a position in the file.
    fn original(&self, at: usize) -> usize {
        let before: usize = self
            .inserted
            .iter()
            .map(|(from, count)| at.saturating_sub(*from).min(*count))
            .sum();
        at - before + self.bom
    }

    fn scan_error(&self, error: &ScanError, file: FileId) -> Diagnostic {
        let at = self.original(
            error
                .marker()
                .byte_offset()
                .unwrap_or(self.text.len())
                .min(self.text.len()),
        );
        let span = Span {
            file,
            start: at,
            end: at,
        };
        if matches!(error.kind(), ErrorKind::RecursionLimitExceeded) {
            return too_deep(span);
        }
        let code = if is_token_order_error(error.kind()) {
            Code::Syntax
        } else {
            Code::MalformedToken
        };
        let diagnostic = span.error(code, format!("invalid YAML: {}", error.info()));
        if error.info().contains("tab") {
            diagnostic.hint(NO_TABS)
        } else {
            diagnostic
        }
    }
}

fn too_deep(span: Span) -> Diagnostic {
    span.error(
        Code::Limit,
        format!("lists and mappings are nested more than {MAX_DEPTH} levels deep"),
    )
}

const NO_TABS: &str =
    "use spaces: tabs are only allowed in quoted text, block scalars and comments";

/// Rejects tabs between tokens, as Cloudify does. The parser accepts some of them.
fn check_tabs(repaired: &RepairedText<'_>, file: FileId) -> Result<(), Diagnostic> {
    if !repaired.text.contains('\t') {
        return Ok(());
    }
    let mut free: Vec<(usize, usize)> = Vec::new();
    for event in Parser::new_from_str_with_options(
        &repaired.text,
        options! { emit_unresolved_aliases: true },
    ) {
        let Ok((event, span)) = event else {
            return Ok(());
        };
        if matches!(event, Event::Comment(..))
            || matches!(event, Event::Scalar(_, style, ..) if style != ScalarStyle::Plain)
        {
            free.extend(span.byte_range().map(|range| (range.start, range.end)));
        }
    }
    let mut tabs = repaired.text.match_indices('\t').map(|(at, _)| at);
    free.sort_unstable();
    let outside = tabs.find(|at| {
        let before = free.partition_point(|(start, _)| start <= at);
        before.checked_sub(1).is_none_or(|last| free[last].1 <= *at)
    });
    match outside.map(|at| repaired.original(at)) {
        None => Ok(()),
        Some(at) => Err(Span {
            file,
            start: at,
            end: at + 1,
        }
        .error(Code::MalformedToken, "a tab is not allowed here")
        .hint(NO_TABS)),
    }
}

/// A list or mapping that is still open.
enum Open {
    List {
        items: Vec<Value>,
        start: Span,
        anchor: usize,
        before: usize,
    },
    Map {
        map: OpenMap,
        start: Span,
        anchor: usize,
        before: usize,
    },
}

/// A mapping under construction: the key without a value yet, and merges to apply at the end.
#[derive(Default)]
struct OpenMap {
    entries: Vec<(Value, Value)>,
    /// Index of each key; only for mappings with more than [`LINEAR_SEARCH_LIMIT`] entries.
    places: Option<HashMap<Key, usize>>,
    key: Option<Value>,
    /// `key` is a plain `<<`.
    merging: bool,
    merges: Vec<Value>,
}

/// Maximum number of entries of a mapping that is searched linearly.
const LINEAR_SEARCH_LIMIT: usize = 12;

/// A key, compared as in Python: `1` and `true` are equal, `1` and `"1"` are not.
#[derive(Eq, Hash, PartialEq)]
enum Key {
    Null,
    Int(i64),
    Float(u64),
    Str(Arc<str>),
    Bytes(Arc<[u8]>),
}

impl Key {
    fn of(value: &Value) -> Option<Self> {
        Some(match &value.data {
            Data::Null => Self::Null,
            Data::Bool(value) => Self::Int((*value).into()),
            Data::Int(value) => Self::Int(*value),
            Data::Float(value) => Self::Float(value.to_bits()),
            Data::Str(text) | Data::Date(text) => Self::Str(text.clone()),
            Data::Bytes(bytes) => Self::Bytes(bytes.clone()),
            Data::List(_) | Data::Map(_) => return None,
        })
    }

    fn is(&self, value: &Value) -> bool {
        match (self, &value.data) {
            (Self::Str(one), Data::Str(other)) => one == other,
            (Self::Str(_), Data::Null | Data::Bool(_) | Data::Int(_) | Data::Float(_)) => false,
            _ => Self::of(value).as_ref() == Some(self),
        }
    }
}

/// The anchored value; `None` while its list or mapping is still open.
struct Anchor {
    value: Option<Value>,
    size: usize,
}

struct Builder<'a> {
    file: FileId,
    repaired: &'a RepairedText<'a>,
    stack: Vec<Open>,
    anchors: HashMap<usize, Anchor>,
    /// Place of each anchor name.
    names: HashMap<String, Span>,
    root: Option<Value>,
    value_count: usize,
    diagnostics: &'a mut Diagnostics,
}

impl Builder<'_> {
    fn take<'t>(&mut self, events: impl IntoIterator<Item = Parsed<'t>>) -> Result<(), ParseStop> {
        for event in events {
            let (event, span) = event.map_err(ParseStop::Scan)?;
            let span = self.span(&span);
            self.event(event, span)?;
        }
        Ok(())
    }

    fn span(&self, span: &granit_parser::Span) -> Span {
        let range = span.byte_range().unwrap_or(0..0);
        Span {
            file: self.file,
            start: self.repaired.original(range.start),
            end: self.repaired.original(range.end),
        }
    }

    fn event(&mut self, event: Event<'_>, span: Span) -> Result<(), Diagnostic> {
        match event {
            Event::Scalar(text, ScalarStyle::Plain, anchor, None) => {
                self.plain(&text, anchor, span)
            }
            Event::Scalar(text, style, anchor, tag) => {
                let data = resolve_tagged(&text, style, tag.as_deref(), span)?;
                self.finish(Value::new(span, data), anchor, self.value_count)
            }
            Event::Anchor(_, name) => self.name(&name, span),
            Event::SequenceStart(_, anchor, tag) => {
                Self::check_tag(tag.as_deref(), "seq", span)?;
                self.open(
                    Open::List {
                        items: Vec::new(),
                        start: span,
                        anchor,
                        before: self.value_count,
                    },
                    anchor,
                    span,
                )
            }
            Event::MappingStart(_, anchor, tag) => {
                Self::check_tag(tag.as_deref(), "map", span)?;
                self.open(
                    Open::Map {
                        map: OpenMap::default(),
                        start: span,
                        anchor,
                        before: self.value_count,
                    },
                    anchor,
                    span,
                )
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(span),
            Event::Alias(anchor) => self.alias(anchor, span),
            Event::UnresolvedAlias(name) => Err(span.error(
                Code::YamlDocument,
                format!(
                    "undefined alias `*{name}`: its anchor must be defined earlier in the file"
                ),
            )),
            Event::DocumentStart(..) if self.root.is_some() => Err(span
                .error(Code::YamlDocument, "a second document starts here")
                .hint("remove the `---`: a blueprint is exactly one YAML document")),
            _ => Ok(()),
        }
    }

    /// Adds a scalar without quotes and tag. `=` and `<<` are only allowed as keys.
    fn plain(&mut self, text: &str, anchor: usize, span: Span) -> Result<(), Diagnostic> {
        let is_key = matches!(self.stack.last(), Some(Open::Map { map, .. }) if map.key.is_none());
        let data = match text {
            "=" | "<<" if !is_key => {
                let fault = span.error(
                    Code::MeaninglessValue,
                    format!("an unquoted `{text}` has no meaning here"),
                );
                return Err(fault.hint(format!("quote it: '{text}'")));
            }
            "=" | "<<" => Data::Str(text.into()),
            _ => resolve_plain(text, span)?,
        };
        self.finish(Value::new(span, data), anchor, self.value_count)?;
        if let Some(Open::Map { map, .. }) = self.stack.last_mut() {
            map.merging = is_key && text == "<<";
        }
        Ok(())
    }

    /// Records the name of an anchor. It must be unique, as in Cloudify; in other YAML the last one
    /// would win.
    fn name(&mut self, name: &str, span: Span) -> Result<(), Diagnostic> {
        match self.names.insert(name.to_owned(), span) {
            None => Ok(()),
            Some(first) => Err(span
                .error(
                    Code::YamlDocument,
                    format!("the anchor `&{name}` is defined twice"),
                )
                .related(first, "first defined here")),
        }
    }

    fn check_tag(tag: Option<&Tag>, allowed: &str, span: Span) -> Result<(), Diagnostic> {
        match tag {
            Some(tag) if tag.core_suffix() != Some(allowed) => Err(unknown_tag(tag, span)),
            _ => Ok(()),
        }
    }

    fn open(&mut self, open: Open, anchor: usize, span: Span) -> Result<(), Diagnostic> {
        if self.stack.len() >= MAX_DEPTH {
            return Err(too_deep(span));
        }
        if anchor > 0 {
            self.anchors.insert(
                anchor,
                Anchor {
                    value: None,
                    size: 0,
                },
            );
        }
        self.stack.push(open);
        Ok(())
    }

    fn close(&mut self, end: Span) -> Result<(), Diagnostic> {
        match self.stack.pop() {
            Some(Open::List {
                items,
                start,
                anchor,
                before,
            }) => {
                let span = Span {
                    end: collection_end(end, items.last().map(|item| item.span.end)).max(start.end),
                    ..start
                };
                self.finish(
                    Value::new(span, Data::List(Arc::new(items))),
                    anchor,
                    before,
                )
            }
            Some(Open::Map {
                map,
                start,
                anchor,
                before,
            }) => {
                let entries = self.merge(map)?;
                let last = entries.iter().map(|(_, value)| value.span.end).max();
                let span = Span {
                    end: collection_end(end, last).max(start.end),
                    ..start
                };
                self.finish(
                    Value::new(span, Data::Map(Arc::new(Map::new(entries)))),
                    anchor,
                    before,
                )
            }
            None => Ok(()),
        }
    }

    fn alias(&mut self, anchor: usize, span: Span) -> Result<(), Diagnostic> {
        let Some(Anchor {
            value: Some(value),
            size,
        }) = self.anchors.get(&anchor)
        else {
            return Err(span
                .error(
                    Code::MeaninglessValue,
                    "the alias refers to the value that contains it",
                )
                .hint("a value cannot contain itself"));
        };
        let (value, size) = (value.clone(), *size);
        self.count_values(size, span)?;
        self.add(value, span)
    }

    /// Counts values. Aliased values count each time.
    fn count_values(&mut self, nodes: usize, span: Span) -> Result<(), Diagnostic> {
        self.value_count += nodes;
        if self.value_count > MAX_VALUES {
            return Err(span.error(
                Code::Limit,
                format!("the file has more than {MAX_VALUES} values after alias expansion"),
            ));
        }
        Ok(())
    }

    fn finish(&mut self, value: Value, anchor: usize, before: usize) -> Result<(), Diagnostic> {
        self.count_values(1, value.span)?;
        if anchor > 0 {
            self.anchors.insert(
                anchor,
                Anchor {
                    value: Some(value.clone()),
                    size: self.value_count - before,
                },
            );
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
                Some(_) if std::mem::take(&mut map.merging) => map.merges.push(value),
                Some(key) => self.diagnostics.extend(map.insert(key, value)),
            },
        }
        Ok(())
    }

    /// Applies `<<`. Keys of the mapping itself win, then earlier sources in a list. A mapping can
    /// have several `<<`; the last one wins.
    fn merge(&mut self, mut open: OpenMap) -> Result<Vec<(Value, Value)>, Diagnostic> {
        for merge in std::mem::take(&mut open.merges).into_iter().rev() {
            let sources = merge
                .as_list()
                .map_or_else(|| vec![merge.clone()], <[Value]>::to_vec);
            for source in sources {
                let Some(map) = source.as_map() else {
                    return Err(source.span.error(
                        Code::MeaninglessValue,
                        format!("`<<` can only merge mappings, not {}", source.kind()),
                    ));
                };
                self.count_values(map.entries.len(), source.span)?;
                open.merge(map);
            }
        }
        Ok(open.entries)
    }
}

impl OpenMap {
    fn place(&self, key: &Key) -> Option<usize> {
        match &self.places {
            Some(places) => places.get(key).copied(),
            None => self.entries.iter().position(|(other, _)| key.is(other)),
        }
    }

    fn add(&mut self, key: Key, entry: (Value, Value)) {
        if let Some(places) = &mut self.places {
            places.insert(key, self.entries.len());
        } else if self.entries.len() == LINEAR_SEARCH_LIMIT {
            let mut places: HashMap<Key, usize> = self
                .entries
                .iter()
                .enumerate()
                .filter_map(|(at, (key, _))| Some((Key::of(key)?, at)))
                .collect();
            places.insert(key, self.entries.len());
            self.places = Some(places);
        }
        self.entries.push(entry);
    }

    /// Adds an entry. The last of two equal keys wins, as in Cloudify, and causes a warning.
    fn insert(&mut self, key: Value, value: Value) -> Option<Diagnostic> {
        let name = Key::of(&key)?;
        let Some(place) = self.place(&name) else {
            self.add(name, (key, value));
            return None;
        };
        let (first, old) = &mut self.entries[place];
        let warning = key.span.warning(
            Code::DuplicateKey,
            format!("duplicate key `{}`: this one wins", key.to_key()),
        );
        let warning = warning.related(first.span, "first defined here");
        (*first, *old) = (key, value);
        Some(warning)
    }

    fn merge(&mut self, source: &Map) {
        for (key, value) in &source.entries {
            if let Some(name) = Key::of(key).filter(|name| self.place(name).is_none()) {
                self.add(name, (key.clone(), value.clone()));
            }
        }
    }
}

/// Returns true for errors in the order of tokens. Cloudify reports them with another error class
/// than errors inside a token.
fn is_token_order_error(kind: &ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::UnexpectedEofFlowSequence
            | ErrorKind::UnexpectedEofFlowMapping
            | ErrorKind::UnexpectedEofImplicitFlowMapping
            | ErrorKind::UnexpectedEofBlockSequence
            | ErrorKind::UnexpectedEofBlockMapping
            | ErrorKind::UnexpectedEof
            | ErrorKind::DuplicateVersionDirective
            | ErrorKind::UnsupportedYamlMajorVersion
            | ErrorKind::DuplicateTagDirective
            | ErrorKind::ExpectedDocumentStart
            | ErrorKind::ExpectedNodeContent
            | ErrorKind::ExpectedBlockMappingKey
            | ErrorKind::ExpectedFlowMappingSeparator
            | ErrorKind::ExpectedFlowSequenceSeparator
            | ErrorKind::ExpectedBlockSequenceEntry
            | ErrorKind::UndeclaredTagHandle
            | ErrorKind::InvalidIndentation
            | ErrorKind::MisplacedFlowCollectionEnd
            | ErrorKind::MismatchedFlowCollectionEnd { .. }
            | ErrorKind::UnclosedFlowCollection { .. }
    )
}

/// Returns the end of a list or mapping: its bracket, or the end of its last part.
fn collection_end(end: Span, last: Option<usize>) -> usize {
    if end.start < end.end {
        end.end
    } else {
        last.unwrap_or(end.end)
    }
}

fn checked_key(key: Value) -> Result<Value, Diagnostic> {
    match key.data {
        Data::List(_) | Data::Map(_) => {
            let fault = key
                .span
                .error(Code::WrongType, format!("{} cannot be a key", key.kind()));
            Err(fault.hint("quote it if it is a template such as \"{{ name }}\""))
        }
        _ => Ok(key),
    }
}

/// Resolves an unquoted text.
fn resolve_plain(text: &str, span: Span) -> Result<Data, Diagnostic> {
    scalar::resolve(text).map_err(|scalar::InvalidDate| {
        span.error(
            Code::ValueNotAllowed,
            format!("`{text}` looks like a date, but that date does not exist"),
        )
        .hint(format!("quote it: '{text}'"))
    })
}

fn resolve_tagged(
    text: &str,
    style: ScalarStyle,
    tag: Option<&Tag>,
    span: Span,
) -> Result<Data, Diagnostic> {
    let Some(tag) = tag else {
        return if style == ScalarStyle::Plain {
            resolve_plain(text, span)
        } else {
            Ok(Data::Str(text.into()))
        };
    };
    let name = tag.suffix_in_namespace("tag:yaml.org,2002:");
    match (
        name.as_deref(),
        name.as_ref().map(|_| resolve_plain(text, span)),
    ) {
        (Some("str"), _) => Ok(Data::Str(text.into())),
        (Some("null"), _) => Ok(Data::Null),
        (Some("binary"), _) => binary(text, span),
        (Some("bool"), Some(Ok(data @ Data::Bool(_))))
        | (Some("int"), Some(Ok(data @ Data::Int(_))))
        | (Some("float"), Some(Ok(data @ Data::Float(_))))
        | (Some("timestamp"), Some(Ok(data @ Data::Date(_)))) => Ok(data),
        #[expect(clippy::cast_precision_loss, reason = "the tag requests a float")]
        (Some("float"), Some(Ok(Data::Int(number)))) => Ok(Data::Float(number as f64)),
        (Some("timestamp"), Some(Err(fault))) => Err(fault),
        (Some(name @ ("bool" | "int" | "float" | "timestamp")), _) => Err(span.error(
            Code::ValueNotAllowed,
            format!("`{text}` does not match its tag `!!{name}`"),
        )),
        _ => Err(unknown_tag(tag, span)),
    }
}

/// Decodes base64. Characters outside its alphabet are ignored, as in Cloudify.
fn binary(text: &str, span: Span) -> Result<Data, Diagnostic> {
    let clean: String = text
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || "+/=".contains(*c))
        .collect();
    let bytes = base64::engine::general_purpose::STANDARD.decode(clean);
    bytes
        .map(|bytes| Data::Bytes(bytes.into()))
        .map_err(|error| span.error(Code::MeaninglessValue, format!("invalid base64: {error}")))
}

fn unknown_tag(tag: &Tag, span: Span) -> Diagnostic {
    span.error(
        Code::MeaninglessValue,
        format!("unknown tag `{}`", tag.original()),
    )
    .hint("remove the tag: blueprints use only the standard YAML tags")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Result<Value, Diagnostic>, Diagnostics) {
        let mut sources = Sources::default();
        let file = sources.add_text("t.yaml", text);
        let mut warnings = Diagnostics::default();
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
    fn own_keys_win_over_merges_and_the_last_merge_wins() {
        let text = "a: &a {x: 1, y: 1}\nb: &b {y: 2, z: 2}\nc:\n  <<: *a\n  <<: *b\n  x: 0\n";
        assert_eq!(
            json(text),
            r#"{"a":{"x":1,"y":1},"b":{"y":2,"z":2},"c":{"x":0,"y":2,"z":2}}"#
        );
    }

    #[test]
    fn only_an_unquoted_key_merges() {
        assert_eq!(
            json("a: {'<<': {x: 1}, =: 2}"),
            r#"{"a":{"<<":{"x":1},"=":2}}"#
        );
    }

    #[test]
    fn last_duplicate_key_wins_and_both_places_are_reported() {
        let (value, warnings) = read("a: 1\na: 2\n");
        assert_eq!(value.unwrap().to_json().to_string(), r#"{"a":2}"#);
        assert_eq!(
            (warnings[0].span.start, warnings[0].related[0].0.start),
            (5, 0)
        );
    }

    #[test]
    fn keys_can_be_any_scalar() {
        assert_eq!(json("{80: 80, '80': x, on: 1}"), r#"{"80":"x","True":1}"#);
    }

    #[test]
    fn spans_cover_keys_and_values_after_a_byte_order_mark() {
        let value = read("\u{feff}key: [one, two]\n").0.unwrap();
        let (key, list) = &value.as_map().unwrap().entries[0];
        assert_eq!(
            (key.span.range(), list.as_list().unwrap()[1].span.range()),
            (3..6, 14..17)
        );
    }

    #[test]
    fn hostile_text_is_rejected() {
        let bomb: String = (1..30)
            .map(|n| format!("a{n}: &a{n} [*a{m}, *a{m}, *a{m}, *a{m}]\n", m = n - 1))
            .collect();
        assert!(fault(&format!("a0: &a0 [x]\n{bomb}")).starts_with("D0004"));
        assert!(fault(&"[".repeat(100_000)).starts_with("D000"));
        assert!(fault(&"- ".repeat(20_000)).starts_with("D000"));
        assert!(fault("a: &a [*a]").starts_with("D0007"));
        assert!(fault("a: &a 1\nb: &a 2").starts_with("D0003"));
        assert!(fault("a: 2020-13-01").starts_with("D0008"));
        assert!(fault("a: !!int x").starts_with("D0008"));
        assert!(fault("a: <<").starts_with("D0007"));
        assert!(fault("a: *b").starts_with("D0003"));
        assert!(fault("{{ x }}: 1").starts_with("D0116"));
        assert!(fault("a: !ruby/object x").starts_with("D0007"));
        assert!(fault("a: 1\n---\nb: 2\n").starts_with("D0003"));
        assert!(fault("a: [1\n").starts_with("D0002"));
    }

    #[test]
    fn forms_accepted_by_cloudify_are_accepted() {
        assert_eq!(
            json("a: {b:[1], c:{d: 2}}"),
            r#"{"a":{"b":[1],"c":{"d":2}}}"#
        );
        assert_eq!(
            json("a:\n  b: 'one\n  two'\nc: 1"),
            r#"{"a":{"b":"one two"},"c":1}"#
        );
        let value = read("{a:[1], b: 2}").0.unwrap();
        assert_eq!(
            value.get("b").unwrap().span.range(),
            11..12,
            "positions are those in the file"
        );
    }

    #[test]
    fn tabs_are_only_allowed_in_text_and_comments() {
        assert_eq!(
            json("a: \"x\ty\" #\tz\nb: |\n  x\ty\n"),
            r#"{"a":"x\ty","b":"x\ty\n"}"#
        );
        for text in ["a:\tb", "a: b\t", "a: x\ty", "\ta: 1"] {
            assert!(fault(text).starts_with("D0006"), "{text:?}");
        }
    }

    #[test]
    fn empty_text_is_an_empty_mapping() {
        assert_eq!(json(""), "{}");
        assert_eq!(json("# only a comment\n"), "{}");
    }
}
