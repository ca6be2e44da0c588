//! Diagnostics for people: message, place, source line, caret, advice.

use super::{Diagnostic, Severity, Span};
use crate::syntax::Sources;
use annotate_snippets::{Annotation, AnnotationKind, Group, Level, Origin, Renderer, Snippet};

/// Draws all `diagnostics`, with a blank line after each.
#[must_use]
pub fn render(diagnostics: &[Diagnostic], sources: &Sources, color: bool) -> String {
    let renderer = if color { Renderer::styled() } else { Renderer::plain() };
    let mut text: String = diagnostics.iter().take(SHOWN).map(|diagnostic| one(diagnostic, sources, &renderer) + "\n\n").collect();
    if let Some(more) = diagnostics.len().checked_sub(SHOWN).filter(|more| *more > 0) {
        text += &format!("… and {more} more; `--output json` shows all\n\n");
    }
    text
}

/// Most that a person is shown in one run: nobody reads further, and excerpts take time.
const SHOWN: usize = 2_000;

/// Says how many errors and warnings there are, for the last line of a run.
#[must_use]
pub fn summary(diagnostics: &[Diagnostic]) -> String {
    let errors = diagnostics.iter().filter(|diagnostic| diagnostic.is_error()).count();
    let warnings = diagnostics.len() - errors;
    let count = |n: usize, word: &str| format!("{n} {word}{}", if n == 1 { "" } else { "s" });
    match (errors, warnings) {
        (0, n) => count(n, "warning"),
        (n, 0) => count(n, "error"),
        (n, m) => format!("{}, {}", count(n, "error"), count(m, "warning")),
    }
}

fn one(diagnostic: &Diagnostic, sources: &Sources, renderer: &Renderer) -> String {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let title = level.primary_title(diagnostic.message.as_str()).id(diagnostic.code.as_str());
    let primary = (diagnostic.span, diagnostic.label.as_deref(), AnnotationKind::Primary);
    let related = diagnostic.related.iter().map(|(span, message)| (*span, Some(message.as_str()), AnnotationKind::Context));
    let (here, elsewhere): (Vec<Mark<'_>>, Vec<Mark<'_>>) = related.partition(|(span, ..)| span.file == diagnostic.span.file);
    // A file that could not be read has no line to show.
    let mut group = match sources.text(diagnostic.span.file) {
        "" => title.element(Origin::path(sources.name(diagnostic.span.file))),
        _ => title.element(excerpt(&[&[primary], &here[..]].concat(), sources)),
    };
    for mark in elsewhere {
        group = group.element(excerpt(&[mark], sources));
    }
    let hints = diagnostic.hints.iter().map(|hint| Level::HELP.message(hint.as_str()));
    let report: [Group<'_>; 1] = [group.elements(hints)];
    renderer.render(&report)
}

/// A place, what is said of it, and whether it is the fault itself.
type Mark<'a> = (Span, Option<&'a str>, AnnotationKind);

/// Some places of one file. Only the lines from the first to the last of them are handed on: the
/// drawing takes time in proportion to its text, and a file can have thousands of faults.
fn excerpt<'a>(marks: &[Mark<'a>], sources: &'a Sources) -> Snippet<'a, Annotation<'a>> {
    let file = marks[0].0.file;
    let text = sources.text(file);
    let first = marks.iter().map(|(span, ..)| span.start.min(text.len())).min().unwrap_or(0);
    let last = marks.iter().map(|(span, ..)| span.start.min(text.len())).max().unwrap_or(0);
    let start = text[..first].rfind('\n').map_or(0, |at| at + 1);
    let end = text[last..].find('\n').map_or(text.len(), |at| last + at);
    let annotations = marks.iter().map(|(span, label, kind)| {
        // The first line of a span only: the rest of a mapping of forty lines says nothing more.
        let from = span.start.min(text.len());
        let line_end = text[from..].find('\n').map_or(text.len(), |at| from + at);
        kind.span(from - start..span.end.clamp(from, line_end) - start).label(*label)
    });
    let (line, _) = sources.line_column(file, first);
    Snippet::source(&text[start..end]).line_start(line).path(sources.name(file)).fold(true).annotations(annotations)
}
