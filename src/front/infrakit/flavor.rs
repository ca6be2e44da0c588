//! The vanilla flavor: a script, tags and attachments for every instance.

use super::{reader::Section, template};
use crate::{
    diagnostic::{Diagnostic, Diagnostics, FileId, Span},
    front::{Options, download, fault, is_address, read_file},
    syntax::Value,
};
use serde_json::Value as Json;
use std::path::Path;

/// Keys of its properties.
const KEYS: [&str; 4] = ["Init", "InitScriptTemplateURL", "Tags", "Attachments"];

/// What the flavor adds to an instance.
pub(crate) struct Vanilla<'v> {
    /// Text of the script with its place, if there is one.
    pub script: Option<(String, Span)>,
    /// The script is not in the properties: it was read from elsewhere.
    pub is_external: bool,
    /// Tags.
    pub tags: Vec<(String, &'v Value)>,
    /// Attachments, as they are written.
    pub attachments: Option<&'v Value>,
}

/// Where the properties of a flavor are, and how its script is read.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    /// Place of the section with the properties.
    pub section: Span,
    /// Directory at which relative paths begin.
    pub directory: Option<&'a Path>,
    pub options: &'a Options,
}

impl<'v> Vanilla<'v> {
    /// Reads the properties of the flavor. Its problems go to `d`.
    pub(crate) fn read(
        properties: Option<&'v Value>,
        place: Place<'_>,
        d: &mut Diagnostics,
    ) -> Self {
        let section = Section::open(properties, ("Properties", place.section), &KEYS, d);
        let (script, is_external) = script(&section, place, d);
        Self {
            script,
            is_external,
            tags: section.tags("Tags", d),
            attachments: section.get("Attachments"),
        }
    }
}

/// Returns the error of the properties of a flavor, if they are invalid.
///
/// # Errors
///
/// The first problem.
pub(crate) fn prepare(properties: &Json, options: &Options) -> Result<Prepared, String> {
    let section = Span {
        file: FileId(0),
        start: 0,
        end: 0,
    };
    let (value, mut d) = (
        Value::from_json(properties, section),
        Diagnostics::default(),
    );
    let place = Place {
        section,
        directory: None,
        options,
    };
    let vanilla = Vanilla::read(Some(&value), place, &mut d);
    if let Some(fault) = d.iter().find(|fault| fault.is_error()) {
        return Err(fault.message.clone());
    }
    let tags = vanilla.tags.iter();
    let tags =
        tags.map(|(key, value)| (key.clone(), value.as_str().unwrap_or_default().to_owned()));
    Ok(Prepared {
        tags: tags.collect(),
        attachments: vanilla.attachments.map(Value::to_json).unwrap_or_default(),
        script: vanilla.script.map(|(text, _)| text).unwrap_or_default(),
    })
}

/// What the flavor adds to an instance, without places.
pub(crate) struct Prepared {
    pub script: String,
    pub tags: Vec<(String, String)>,
    pub attachments: Json,
}

/// Returns the script of an instance with its place, and whether it comes from elsewhere.
fn script(
    section: &Section<'_>,
    place: Place<'_>,
    d: &mut Diagnostics,
) -> (Option<(String, Span)>, bool) {
    let lines = section.texts("Init", d);
    let (url, span) = section.text("InitScriptTemplateURL", d);
    if !url.is_empty() && !lines.is_empty() {
        let message = r#"Either "Init" or "InitScriptTemplateURL" can be specified but not both"#;
        d.push(fault(span, message));
        return (None, false);
    }
    if !url.is_empty() {
        let known = place.options.script.clone();
        let text = known.or_else(|| rendered((&url, span), place, d));
        return (text.map(|text| (text, span)), true);
    }
    let first = lines.first().map(|(_, span)| *span);
    let texts: Vec<String> = lines.into_iter().map(|(line, _)| line).collect();
    (first.map(|span| (texts.join("\n"), span)), false)
}

/// Reads and expands the template of a script.
fn rendered((url, span): (&str, Span), place: Place<'_>, d: &mut Diagnostics) -> Option<String> {
    let text = read(url, place).map_err(|why| {
        d.push(fault(span, format!("cannot read {url}: {why}")));
    });
    let expanded = template::expand(&text.ok()?, FileId(0), place.options);
    let expanded = expanded.map_err(|error| {
        let message = format!("the template {url} is invalid: {}", error.message);
        let found = fault(span, message);
        d.push(error.hints.into_iter().fold(found, Diagnostic::hint));
    });
    expanded.ok().map(|expanded| expanded.text)
}

/// Reads a file or an address.
fn read(url: &str, place: Place<'_>) -> Result<String, String> {
    if is_address(url) {
        return download(url, place.options);
    }
    let path = Path::new(url.strip_prefix("file://").unwrap_or(url));
    let directory = place.directory;
    read_file(&directory.map_or_else(|| path.to_owned(), |directory| directory.join(path)))
}
