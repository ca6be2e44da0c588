//! Diagnostics for people: message, place, source line, caret, advice.

use super::{Diagnostic, Severity, Span};
use crate::syntax::Sources;
use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};

/// Draws all `diagnostics`, with a blank line after each.
#[must_use]
pub fn render(diagnostics: &[Diagnostic], sources: &Sources, color: bool) -> String {
    let renderer = if color { Renderer::styled() } else { Renderer::plain() };
    diagnostics.iter().map(|diagnostic| one(diagnostic, sources, &renderer) + "\n\n").collect()
}

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
    // A file that could not be read has no line to show.
    let mut group = match sources.text(diagnostic.span.file) {
        "" => title.element(Origin::path(sources.name(diagnostic.span.file))),
        _ => title.element(excerpt(diagnostic, sources)),
    };
    for (file_span, message) in diagnostic.related.iter().filter(|(span, _)| span.file != diagnostic.span.file) {
        group = group
            .element(snippet(*file_span, sources).annotation(mark(*file_span, sources, AnnotationKind::Context).label(message.as_str())));
    }
    let hints = diagnostic.hints.iter().map(|hint| Level::HELP.message(hint.as_str()));
    let report: [Group<'_>; 1] = [group.elements(hints)];
    renderer.render(&report)
}

fn excerpt<'a>(diagnostic: &'a Diagnostic, sources: &'a Sources) -> Snippet<'a, annotate_snippets::Annotation<'a>> {
    let primary = mark(diagnostic.span, sources, AnnotationKind::Primary).label(diagnostic.label.as_deref());
    let related = diagnostic.related.iter().filter(|(span, _)| span.file == diagnostic.span.file);
    snippet(diagnostic.span, sources)
        .annotation(primary)
        .annotations(related.map(|(span, message)| mark(*span, sources, AnnotationKind::Context).label(message.as_str())))
}

fn snippet(span: Span, sources: &Sources) -> Snippet<'_, annotate_snippets::Annotation<'_>> {
    Snippet::source(sources.text(span.file)).path(sources.name(span.file)).fold(true)
}

/// Marks the first line of a span only: the rest of a mapping of forty lines says nothing more.
fn mark<'a>(span: Span, sources: &Sources, kind: AnnotationKind) -> annotate_snippets::Annotation<'a> {
    let text = sources.text(span.file);
    let start = span.start.min(text.len());
    let end = span.end.clamp(start, text.len());
    let line_end = text[start..end].find('\n').map_or(end, |at| start + at);
    kind.span(start..line_end)
}
