//! Diagnostics for people: message, place, source line, caret, hints.

use super::{Diagnostic, Diagnostics, Severity, Span, places};
use crate::diagnostic::Sources;
use annotate_snippets::{AnnotationKind, Element, Group, Level, Origin, Renderer, Snippet};
use std::ops::Range;

/// Formats all `diagnostics`, with a blank line after each.
#[must_use]
pub fn render(diagnostics: &Diagnostics, sources: &Sources, color: bool) -> String {
    let renderer = if color {
        Renderer::styled()
    } else {
        Renderer::plain()
    };
    let mut text: String = diagnostics
        .iter()
        .take(SHOWN)
        .map(|diagnostic| render_one(diagnostic, sources, &renderer) + "\n\n")
        .collect();
    let more = (diagnostics.len() + diagnostics.omitted()).saturating_sub(SHOWN);
    if more > 0 {
        text += &format!(
            "… and {more} more; `--output json` shows {} of them\n\n",
            diagnostics.len().saturating_sub(SHOWN)
        );
    }
    text
}

/// Maximum number of diagnostics shown to a person. More help no reader, and excerpts take time.
const SHOWN: usize = 2_000;

/// Returns the numbers of errors and warnings, for the last line of a run.
#[must_use]
pub fn summary(diagnostics: &Diagnostics) -> String {
    let errors = diagnostics
        .iter()
        .filter(|diagnostic| diagnostic.is_error())
        .count();
    let warnings = diagnostics.len() - errors;
    let count = |n: usize, word: &str| format!("{n} {word}{}", if n == 1 { "" } else { "s" });
    let kept = match (errors, warnings) {
        (0, n) => count(n, "warning"),
        (n, 0) => count(n, "error"),
        (n, m) => format!("{}, {}", count(n, "error"), count(m, "warning")),
    };
    match diagnostics.omitted() {
        0 => kept,
        more => format!("{kept}, and {more} more"),
    }
}

fn render_one(diagnostic: &Diagnostic, sources: &Sources, renderer: &Renderer) -> String {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let title = level
        .primary_title(diagnostic.message.as_str())
        .id(diagnostic.code.as_str());
    let primary = (
        diagnostic.span,
        diagnostic.label.as_deref(),
        AnnotationKind::Primary,
    );
    let related = places::with_import(diagnostic, sources);
    let related = related
        .iter()
        .map(|(span, message)| (*span, Some(message.as_str()), AnnotationKind::Context));
    let (here, elsewhere): (Vec<Mark<'_>>, Vec<Mark<'_>>) =
        related.partition(|(span, ..)| span.file == diagnostic.span.file);
    // An unreadable file has no line to show.
    let mut elements = match sources.text(diagnostic.span.file) {
        "" => vec![Origin::path(sources.name(diagnostic.span.file)).into()],
        _ => excerpts(&[&[primary], &here[..]].concat(), sources),
    };
    elements.extend(
        elsewhere
            .into_iter()
            .flat_map(|mark| excerpt(&[mark], sources)),
    );
    let group = title.elements(elements);
    let hints = diagnostic
        .hints
        .iter()
        .map(|hint| Level::HELP.message(hint.as_str()));
    let report: [Group<'_>; 1] = [group.elements(hints)];
    without_empty_origins(renderer.render(&report))
}

/// Removes the empty place line that the renderer adds to an excerpt that already has a place.
fn without_empty_origins(drawn: String) -> String {
    let is_empty =
        |line: &&str| line.trim_end_matches("\u{1b}[0m").ends_with("::: ") && !line.contains('|');
    if drawn.contains("::: ") {
        drawn
            .lines()
            .filter(|line| !is_empty(line))
            .collect::<Vec<_>>()
            .join("\n")
    } else {
        drawn
    }
}

/// A place, its text, and whether it is the primary place or a related one.
type Mark<'a> = (Span, Option<&'a str>, AnnotationKind);

/// Maximum length of an excerpt, in bytes. Rendering time grows with it, and a file can have
/// thousands of errors.
const MAX_EXCERPT_BYTES: usize = 4_000;

/// Returns the excerpts of some places in one file: a single one if the places are close together.
fn excerpts<'a>(marks: &[Mark<'a>], sources: &'a Sources) -> Vec<Element<'a>> {
    let starts = || marks.iter().map(|(span, ..)| span.start);
    let distance = starts().max().unwrap_or(0) - starts().min().unwrap_or(0);
    if distance > MAX_EXCERPT_BYTES {
        marks
            .iter()
            .flat_map(|mark| excerpt(&[*mark], sources))
            .collect()
    } else {
        excerpt(marks, sources)
    }
}

/// Returns the lines from the first to the last place. Of very long lines, returns only the part
/// around the places.
fn excerpt<'a>(marks: &[Mark<'a>], sources: &'a Sources) -> Vec<Element<'a>> {
    let file = marks[0].0.file;
    let text = sources.text(file);
    let first = marks
        .iter()
        .map(|(span, ..)| span.start.min(text.len()))
        .min()
        .unwrap_or(0);
    let last = marks
        .iter()
        .map(|(span, ..)| span.start.min(text.len()))
        .max()
        .unwrap_or(0);
    let line_start = text[..first].rfind('\n').map_or(0, |at| at + 1);
    let line_end = text[last..].find('\n').map_or(text.len(), |at| last + at);
    if !sources.is_quoted(Span {
        file,
        start: line_start,
        end: line_end,
    }) {
        let (line, column) = sources.line_column(file, first);
        return vec![
            Origin::path(sources.name(file))
                .line(line)
                .char_column(column)
                .into(),
        ];
    }
    let is_long = line_end - line_start > 2 * MAX_EXCERPT_BYTES;
    let (start, end) = if is_long {
        excerpt_range(text, first, last, line_start..line_end)
    } else {
        (line_start, line_end)
    };
    let annotations = marks.iter().map(|(span, label, kind)| {
        // Mark only the first line of a span: marking all lines of a long mapping does not help.
        let from = span.start.min(text.len());
        let line_end = text[from..end].find('\n').map_or(end, |at| from + at);
        kind.span(from - start..span.end.clamp(from, line_end) - start)
            .label(*label)
    });
    let (line, column) = sources.line_column(file, first);
    let snippet = Snippet::source(&text[start..end])
        .line_start(line)
        .fold(true)
        .annotations(annotations);
    if is_long {
        vec![
            Origin::path(sources.name(file))
                .line(line)
                .char_column(column)
                .into(),
            snippet.into(),
        ]
    } else {
        vec![snippet.path(sources.name(file)).into()]
    }
}

/// Returns the part of a very long line to show.
fn excerpt_range(text: &str, first: usize, last: usize, line: Range<usize>) -> (usize, usize) {
    const SHOWN: usize = 40;
    let start = text
        .floor_char_boundary(first.saturating_sub(SHOWN))
        .max(line.start);
    (
        start,
        text.ceil_char_boundary(last + 2 * SHOWN).min(line.end),
    )
}
