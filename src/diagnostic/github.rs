//! Diagnostics as annotations of GitHub Actions: `::error file=…,line=…::message`.

use super::{Diagnostic, Severity, places};
use crate::diagnostic::Sources;

/// Returns one annotation per line.
#[must_use]
pub fn annotations(diagnostics: &[Diagnostic], sources: &Sources) -> String {
    diagnostics
        .iter()
        .map(|diagnostic| annotation(diagnostic, sources))
        .collect()
}

fn annotation(diagnostic: &Diagnostic, sources: &Sources) -> String {
    let span = sources.own_place(diagnostic.span);
    let (line, column) = sources.line_column(span.file, span.start);
    let (end_line, end_column) = sources.line_column(span.file, span.end);
    let kind = match diagnostic.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    let mut message = diagnostic.message.clone();
    for (place, text) in &places::related_to_import(diagnostic, span) {
        let (line, column) = sources.line_column(place.file, place.start);
        message += &format!("\n{text}: {}:{line}:{column}", sources.name(place.file));
    }
    for hint in &diagnostic.hints {
        message += &format!("\n{hint}");
    }
    let file = escape_property(sources.name(span.file));
    // GitHub accepts columns only for a single line.
    let columns = if line == end_line {
        format!(",col={column},endColumn={}", end_column.max(column + 1))
    } else {
        String::new()
    };
    format!(
        "::{kind} file={file},line={line},endLine={end_line}{columns},title={}::{}\n",
        diagnostic.code.as_str(),
        escape_data(&message)
    )
}

/// Escapes line ends and percent signs.
fn escape_data(text: &str) -> String {
    text.replace('%', "%25")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

/// Escapes the separators of properties as well.
fn escape_property(text: &str) -> String {
    escape_data(text).replace(':', "%3A").replace(',', "%2C")
}
