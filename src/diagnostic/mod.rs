//! Errors and warnings about user input, each with its place in a file.
//!
//! Main types: [`Diagnostic`], and the collection [`Diagnostics`]. A diagnostic can only be created
//! from a [`Span`], so it always has a place. This module does not depend on YAML or blueprints.
//! [`render`] formats diagnostics for people; [`json`], [`github`] and [`sarif`] for programs.

mod code;
mod diagnostics;
pub(crate) mod fault;
pub mod github;
pub mod json;
mod places;
pub mod render;
pub mod sarif;
mod source;

pub use code::{Code, Reference};
pub use diagnostics::Diagnostics;
pub use fault::Fault;
pub use source::{SourceError, Sources};

use std::{
    ops::Range,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

/// A file that was read, as an index into [`Sources`].
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct FileId(pub u32);

/// A range of bytes in one file.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Span {
    /// The file.
    pub file: FileId,
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

impl Span {
    /// Span of values that were not read from a file.
    pub const NOWHERE: Self = Self {
        file: FileId(0),
        start: 0,
        end: 0,
    };

    /// Returns the span as a range of bytes.
    #[must_use]
    pub fn range(self) -> Range<usize> {
        self.start..self.end
    }

    /// Creates an error at this place.
    #[must_use]
    pub fn error(self, code: Code, message: impl Into<String>) -> Diagnostic {
        Diagnostic::new(self, Severity::Error, code, message.into())
    }

    /// Creates a warning at this place.
    #[must_use]
    pub fn warning(self, code: Code, message: impl Into<String>) -> Diagnostic {
        Diagnostic::new(self, Severity::Warning, code, message.into())
    }
}

/// A value together with its place in a file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Spanned<T> {
    /// The value.
    pub node: T,
    /// Its place.
    pub span: Span,
}

/// Severity of a diagnostic.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Severity {
    /// The blueprint cannot be used.
    Error,
    /// The blueprint can be used, but probably does not do what its author intended.
    Warning,
}

impl Severity {
    /// Returns the word shown to people and programs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// An error or warning: its message, its place, and hints.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Diagnostic {
    /// Severity.
    pub severity: Severity,
    /// The violated rule; stable.
    pub code: Code,
    /// The problem, as a lower-case sentence without a period.
    pub message: String,
    /// Its place.
    pub span: Span,
    /// Short text next to the caret.
    pub label: Option<String>,
    /// Instructions for the user.
    pub hints: Vec<String>,
    /// Related places, each with its role ("first defined here").
    pub related: Vec<(Span, String)>,
}

impl Diagnostic {
    /// Applies `scrub` to every text of the diagnostic.
    pub fn scrub(&mut self, scrub: impl Fn(&str) -> String) {
        let texts = [&mut self.message]
            .into_iter()
            .chain(&mut self.label)
            .chain(&mut self.hints);
        for text in texts.chain(self.related.iter_mut().map(|(_, text)| text)) {
            *text = scrub(text);
        }
    }

    /// Returns the diagnostic with other places.
    #[must_use]
    pub(crate) fn map_places(mut self, place: impl Fn(Span) -> Span) -> Self {
        self.span = place(self.span);
        for (span, _) in &mut self.related {
            *span = place(*span);
        }
        self
    }

    fn new(span: Span, severity: Severity, code: Code, message: String) -> Self {
        let message = if message.len() > MAX_MESSAGE_BYTES {
            shortened(&message)
        } else {
            message
        };
        Self {
            severity,
            code,
            message,
            span,
            label: None,
            hints: Vec::new(),
            related: Vec::new(),
        }
    }

    /// Sets the short text next to the caret.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// Adds a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Adds a "did you mean" hint if one of `known` is close to `word`.
    #[must_use]
    pub fn did_you_mean<'a>(self, word: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        match nearest(word, known) {
            Some(name) => self.hint(format!("did you mean `{}`?", without_namespace(word, name))),
            None => self,
        }
    }

    /// Adds a hint that lists `known`, shortened to the first 20 names.
    #[must_use]
    pub fn list_hint<'a>(self, heading: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        const MAX_NAMES: usize = 20;
        let mut known = known.into_iter();
        let names: Vec<&str> = known.by_ref().take(MAX_NAMES).collect();
        if names.is_empty() {
            return self;
        }
        let rest = rest_suffix(known.count());
        self.hint(format!("{heading}: {}{rest}", names.join(", ")))
    }

    /// Adds a related place.
    #[must_use]
    pub fn related(mut self, span: Span, message: impl Into<String>) -> Self {
        self.related.push((span, message.into()));
        self
    }

    /// Returns true if the blueprint cannot be used because of it.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

/// Returns the end of a shortened list.
fn rest_suffix(left_out: usize) -> String {
    match left_out {
        0 => String::new(),
        more => format!(" and {more} more"),
    }
}

/// Maximum length of a message, in bytes. Messages can quote long input.
const MAX_MESSAGE_BYTES: usize = 1_000;

/// Returns the beginning and the end of a message.
fn shortened(message: &str) -> String {
    let (start, end) = (
        message.floor_char_boundary(MAX_MESSAGE_BYTES / 2),
        message.ceil_char_boundary(message.len() - MAX_MESSAGE_BYTES / 2),
    );
    format!("{} … {}", &message[..start], &message[end..])
}

/// Maximum number of name comparisons in one run. With thousands of errors and thousands of names,
/// suggestions would take longer than everything else.
const MAX_COMPARISONS: usize = 200_000;
static COMPARISONS_DONE: AtomicUsize = AtomicUsize::new(0);

/// Returns a name as a file under a namespace writes it: without the namespace of `word`.
fn without_namespace<'a>(word: &str, name: &'a str) -> &'a str {
    let namespace = word.rfind("--").map(|at| &word[..at + 2]);
    namespace
        .and_then(|namespace| name.strip_prefix(namespace))
        .unwrap_or(name)
}

/// Returns the known name closest to `word`, if `word` could be a typo of it.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // A single letter is equally far from every other letter.
    if COMPARISONS_DONE.load(Relaxed) > MAX_COMPARISONS || word.chars().count() < 2 {
        return None;
    }
    let limit = (word.chars().count() / 3).clamp(1, 4);
    let lower = word.to_lowercase();
    let mut compared = 0;
    let best = known
        .into_iter()
        .inspect(|_| compared += 1)
        .filter(|name| name.len().abs_diff(word.len()) <= 4 * limit && *name != word)
        .map(|name| (strsim::osa_distance(&lower, &name.to_lowercase()), name))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, name)| name);
    COMPARISONS_DONE.fetch_add(compared, Relaxed);
    best
}

#[cfg(test)]
mod tests {
    use super::{Code, FileId, Span, nearest};

    #[test]
    fn long_messages_and_lists_are_shortened() {
        let span = Span {
            file: FileId(0),
            start: 0,
            end: 0,
        };
        let fault = span
            .error(Code::Format, "x".repeat(10_000))
            .list_hint("known", vec!["name"; 500]);
        assert!(
            fault.message.len() < 1_100 && fault.hints[0].ends_with("name and 480 more"),
            "{fault:?}"
        );
    }

    #[test]
    fn suggestions_omit_the_shared_namespace() {
        let span = Span {
            file: FileId(0),
            start: 0,
            end: 0,
        };
        let fault = span
            .error(Code::UnknownInput, "m")
            .did_you_mean("ns--prot", ["ns--port"]);
        assert_eq!(fault.hints, ["did you mean `port`?"]);
    }

    #[test]
    fn typos_are_recognized_and_different_words_are_not() {
        let known = ["port_bindings", "binds", "links"];
        assert_eq!(nearest("port_binding", known), Some("port_bindings"));
        assert_eq!(nearest("lniks", known), Some("links"));
        assert_eq!(nearest("volumes", known), None);
        assert_eq!(
            nearest("links", known),
            None,
            "the word itself is not a suggestion"
        );
        assert_eq!(nearest("l", ["k"]), None);
    }
}
