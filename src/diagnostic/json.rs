//! Diagnostics as JSON. The field names are a public contract, see `docs/cli.md`.

use super::{Diagnostic, Diagnostics, Span, places};
use crate::diagnostic::Sources;
use serde_json::{Value as Json, json};

/// Returns one diagnostic. Lines and columns count from 1, columns in characters.
#[must_use]
pub fn diagnostic(diagnostic: &Diagnostic, sources: &Sources) -> Json {
    let (start, end) = ends(diagnostic.span, sources);
    let related: Vec<Json> = places::with_import(diagnostic, sources)
        .iter()
        .map(|(span, message)| related(*span, message, sources))
        .collect();
    let mut object = json!({
        "code": diagnostic.code.as_str(),
        "severity": diagnostic.severity.as_str(),
        "message": diagnostic.message,
        "file": sources.name(diagnostic.span.file),
        "line": start.0,
        "column": start.1,
        "end_line": end.0,
        "end_column": end.1,
        "hints": diagnostic.hints,
        "related": related,
    });
    if let Some(reference) = diagnostic.code.reference() {
        object["reference"] = json!({ "class": reference.class, "code": reference.code });
    }
    object
}

/// Adds the number of omitted diagnostics, if there are any.
pub fn omitted(diagnostics: &Diagnostics, fields: &mut Json) {
    if diagnostics.omitted() > 0 {
        fields["omitted"] = diagnostics.omitted().into();
    }
}

fn related(span: Span, message: &str, sources: &Sources) -> Json {
    let ((line, column), _) = ends(span, sources);
    json!({ "message": message, "file": sources.name(span.file), "line": line, "column": column })
}

fn ends(span: Span, sources: &Sources) -> ((usize, usize), (usize, usize)) {
    (
        sources.line_column(span.file, span.start),
        sources.line_column(span.file, span.end),
    )
}
