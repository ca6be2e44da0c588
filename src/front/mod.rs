//! Documents of other kinds. Each is turned into the values of a blueprint before its imports are
//! followed; the places of these values are those of the document. So one model and one set of
//! workflows serve all kinds.

pub mod infrakit;

pub use crate::document::{Document, DocumentKind as Kind};

use crate::{
    diagnostic::{Code, Diagnostic, Diagnostics, FileId, Sources, Span},
    syntax::{self, Data, Map, Value},
    web,
};
use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs,
    io::Read as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

/// Settings for reading documents.
#[derive(Clone, Debug)]
pub struct Options {
    /// Kind of the main file, if the caller knows it.
    pub kind: Option<Kind>,
    /// Variables of templates.
    pub variables: BTreeMap<String, String>,
    /// Environment of templates.
    pub environment: Vec<(OsString, OsString)>,
    /// Names of further instance plugins that are this dockctl.
    pub instance_plugins: Vec<String>,
    /// Names of further flavor plugins that are this dockctl.
    pub flavor_plugins: Vec<String>,
    /// Time between two checks of a group.
    pub poll_interval: Duration,
    /// Text of the script that the document refers to, if it is known.
    pub script: Option<String>,
    /// Forbids downloads.
    pub offline: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            kind: None,
            variables: BTreeMap::new(),
            environment: Vec::new(),
            instance_plugins: Vec::new(),
            flavor_plugins: Vec::new(),
            poll_interval: Duration::from_secs(10),
            script: None,
            offline: false,
        }
    }
}

/// A document as a blueprint.
pub(crate) struct Translated {
    /// The main mapping of the blueprint.
    pub blueprint: Value,
    /// The document; `None` if it is invalid.
    pub document: Option<Document>,
}

/// Returns the kind of a document; `None` for a blueprint.
#[must_use]
pub fn kind_of(text: &str) -> Option<Kind> {
    let lower = text.to_lowercase();
    let has = |word: &&str| lower.contains(*word);
    let is_blueprint = has(&"tosca_definitions_version");
    let is_group = ["\"id\"", "id:"].iter().any(has)
        && ["properties", "allocation", "instance", "flavor"]
            .iter()
            .all(has);
    (is_group && !is_blueprint).then_some(Kind::InfrakitGroup)
}

/// Returns the name that a document gives its deployment, if it is readable.
#[must_use]
pub fn name_of(text: &str, options: &Options) -> Option<String> {
    let kind = options.kind.or_else(|| kind_of(text))?;
    let (mut sources, mut d) = (Sources::default(), Diagnostics::default());
    let file = sources.add_text("", text);
    let root = read(kind, (file, None), &sources, options, &mut d);
    let Document { content, .. } = root.ok()?.document?;
    content["ID"].as_str().map(str::to_owned)
}

/// Turns a document into a blueprint. Its problems go to `d`. `directory` is that of the document.
///
/// # Errors
///
/// If the document cannot be parsed.
pub(crate) fn read(
    kind: Kind,
    (file, directory): (FileId, Option<PathBuf>),
    sources: &Sources,
    options: &Options,
    d: &mut Diagnostics,
) -> Result<Translated, Diagnostic> {
    match kind {
        Kind::InfrakitGroup => {
            let root = parse_expanded(file, sources, options, d)?;
            Ok(infrakit::translate(&root, directory.as_deref(), options, d))
        }
    }
}

/// Expands the templates in a file and parses the result. Places are those in the file.
fn parse_expanded(
    file: FileId,
    sources: &Sources,
    options: &Options,
    d: &mut Diagnostics,
) -> Result<Value, Diagnostic> {
    let text = sources.text(file);
    let expanded = infrakit::template::expand(text, file, options)?;
    let mut inner = Sources::default();
    let inner_file = inner.add_text(sources.name(file), expanded.text.as_str());
    let mut faults = Diagnostics::default();
    let parsed = parse(&inner, inner_file, &mut faults);
    let place = |span: Span| expanded.place(span, file);
    let moved = |fault: Diagnostic| fault.map_places(place);
    d.extend(faults.iter().cloned().map(moved));
    Ok(with_places(&parsed.map_err(moved)?, &place))
}

/// Parses JSON or YAML.
fn parse(sources: &Sources, file: FileId, d: &mut Diagnostics) -> Result<Value, Diagnostic> {
    if !sources.text(file).trim_start().starts_with('{') {
        return syntax::parse(sources, file, d);
    }
    // A mapping in braces can also be YAML.
    syntax::parse_json(sources, file).or_else(|fault| {
        let mut ignored = Diagnostics::default();
        syntax::parse(sources, file, &mut ignored).map_err(|_| fault)
    })
}

/// Returns a value with other places.
fn with_places(value: &Value, place: &impl Fn(Span) -> Span) -> Value {
    let data = match &value.data {
        Data::List(items) => {
            let items = items.iter().map(|item| with_places(item, place));
            Data::List(Arc::new(items.collect()))
        }
        Data::Map(map) => {
            let both = |(key, value): &(Value, Value)| {
                (with_places(key, place), with_places(value, place))
            };
            let entries = map.entries.iter().map(both).collect();
            let literal = map.literal;
            Data::Map(Arc::new(Map { entries, literal }))
        }
        other => other.clone(),
    };
    Value::new(place(value.span), data)
}

/// Largest text that documents come from or refer to, in bytes.
const MAX_TEXT: u64 = 8 << 20;
/// Longest time to download it.
const DOWNLOAD_TIMEOUT: Duration = Duration::from_secs(10);

/// Returns true if a document or a part of it is at an http(s) address.
pub(crate) fn is_address(text: &str) -> bool {
    text.starts_with("http://") || text.starts_with("https://")
}

/// Downloads a document or a text that it refers to.
///
/// # Errors
///
/// If the download fails or is forbidden.
pub(crate) fn download(address: &str, options: &Options) -> Result<String, String> {
    if options.offline {
        return Err("downloads are disabled with --offline".to_owned());
    }
    let config = ureq::Agent::config_builder()
        .timeout_global(Some(DOWNLOAD_TIMEOUT))
        .max_redirects(0)
        .build();
    let bytes = web::download(&config, address, MAX_TEXT)?;
    String::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())
}

/// Reads a file.
///
/// # Errors
///
/// If it cannot be read, or is too large.
pub(crate) fn read_file(path: &Path) -> Result<String, String> {
    let file = fs::File::open(path).map_err(|error| error.to_string())?;
    let mut text = String::new();
    let read = file.take(MAX_TEXT + 1).read_to_string(&mut text);
    read.map_err(|error| error.to_string())?;
    if text.len() as u64 > MAX_TEXT {
        return Err(format!("it is larger than {} MiB", MAX_TEXT >> 20));
    }
    Ok(text)
}

/// Returns an error about a document.
fn fault(span: Span, message: impl Into<String>) -> Diagnostic {
    span.error(Code::Document, message)
}
