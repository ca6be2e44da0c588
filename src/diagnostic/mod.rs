//! Faults in what the user wrote, each tied to the place where it stands.
//!
//! Main types: [`Diagnostic`], and [`Diagnostics`] for many. It can only be made from a [`Span`],
//! so no fault lacks a place. This module knows nothing of YAML or of blueprints; [`render`] draws;
//! [`json`], [`github`] and [`sarif`] write for programs.

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

/// One of the files that were read, as an index into [`Sources`].
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
    /// The span as a range of bytes.
    #[must_use]
    pub fn range(self) -> Range<usize> {
        self.start..self.end
    }

    /// Makes an error at this place.
    #[must_use]
    pub fn error(self, code: Code, message: impl Into<String>) -> Diagnostic {
        Diagnostic::new(self, Severity::Error, code, message.into())
    }

    /// Makes a warning at this place.
    #[must_use]
    pub fn warning(self, code: Code, message: impl Into<String>) -> Diagnostic {
        Diagnostic::new(self, Severity::Warning, code, message.into())
    }
}

/// Something together with the place where it was written.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Spanned<T> {
    /// The thing.
    pub node: T,
    /// Its place.
    pub span: Span,
}

/// How bad a fault is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Severity {
    /// The blueprint cannot be used.
    Error,
    /// The blueprint can be used, but probably does not say what its author meant.
    Warning,
}

impl Severity {
    /// The word that people and programs see.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// One fault: what, where, and what to do next.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// Which rule is broken; stable.
    pub code: Code,
    /// What is wrong, as a lower-case sentence without a full stop.
    pub message: String,
    /// Where.
    pub span: Span,
    /// Short text beside the caret.
    pub label: Option<String>,
    /// What to do next.
    pub hints: Vec<String>,
    /// Other places that matter, each with its role ("first defined here").
    pub related: Vec<(Span, String)>,
}

impl Diagnostic {
    /// Puts all that it says through something.
    pub fn scrub(&mut self, scrub: impl Fn(&str) -> String) {
        let said = [&mut self.message]
            .into_iter()
            .chain(&mut self.label)
            .chain(&mut self.hints);
        for text in said.chain(self.related.iter_mut().map(|(_, text)| text)) {
            *text = scrub(text);
        }
    }

    fn new(span: Span, severity: Severity, code: Code, message: String) -> Self {
        let message = if message.len() > LONGEST {
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

    /// Puts a short text beside the caret.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// Adds advice.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Adds "did you mean" if one of `known` is close to `word`.
    #[must_use]
    pub fn did_you_mean<'a>(self, word: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        match nearest(word, known) {
            Some(name) => self.hint(format!("did you mean `{}`?", as_written(word, name))),
            None => self,
        }
    }

    /// Adds advice that names what there is; not all of it, if that is a lot.
    #[must_use]
    pub fn list<'a>(self, what: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        const NAMED: usize = 20;
        let mut known = known.into_iter();
        let names: Vec<&str> = known.by_ref().take(NAMED).collect();
        if names.is_empty() {
            return self;
        }
        let rest = and_more(known.count());
        self.hint(format!("{what}: {}{rest}", names.join(", ")))
    }

    /// Adds another place that matters.
    #[must_use]
    pub fn related(mut self, span: Span, message: impl Into<String>) -> Self {
        self.related.push((span, message.into()));
        self
    }

    /// Whether this fault makes the blueprint unusable.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

/// What stands behind a list that leaves some out.
fn and_more(left_out: usize) -> String {
    match left_out {
        0 => String::new(),
        more => format!(" and {more} more"),
    }
}

/// Longest message, in bytes: it can quote what is written.
const LONGEST: usize = 1_000;

/// The beginning and the end of a message.
fn shortened(message: &str) -> String {
    let (start, end) = (
        message.floor_char_boundary(LONGEST / 2),
        message.ceil_char_boundary(message.len() - LONGEST / 2),
    );
    format!("{} … {}", &message[..start], &message[end..])
}

/// Most names that are compared in one run: with thousands of faults and thousands of names,
/// looking for what was meant would take longer than everything else.
const COMPARISONS: usize = 200_000;
static COMPARED: AtomicUsize = AtomicUsize::new(0);

/// A name as a file under a namespace says it: the namespace that both have is not written there.
fn as_written<'a>(word: &str, name: &'a str) -> &'a str {
    let namespace = word.rfind("--").map(|at| &word[..at + 2]);
    namespace
        .and_then(|namespace| name.strip_prefix(namespace))
        .unwrap_or(name)
}

/// The known name closest to `word`, if it is close enough to be a slip of the pen.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // One letter is as far from any other as it can be.
    if COMPARED.load(Relaxed) > COMPARISONS || word.chars().count() < 2 {
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
    COMPARED.fetch_add(compared, Relaxed);
    best
}

#[cfg(test)]
mod tests {
    use super::{Code, FileId, Span, nearest};

    #[test]
    fn what_is_long_is_cut() {
        let span = Span {
            file: FileId(0),
            start: 0,
            end: 0,
        };
        let fault = span
            .error(Code::Format, "x".repeat(10_000))
            .list("known", vec!["name"; 500]);
        assert!(
            fault.message.len() < 1_100 && fault.hints[0].ends_with("name and 480 more"),
            "{fault:?}"
        );
    }

    #[test]
    fn a_namespace_that_both_have_is_not_told() {
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
    fn a_slip_of_the_pen_is_recognised_and_a_different_word_is_not() {
        let known = ["port_bindings", "binds", "links"];
        assert_eq!(nearest("port_binding", known), Some("port_bindings"));
        assert_eq!(nearest("lniks", known), Some("links"));
        assert_eq!(nearest("volumes", known), None);
        assert_eq!(
            nearest("links", known),
            None,
            "the word itself is no advice"
        );
        assert_eq!(nearest("l", ["k"]), None);
    }
}
