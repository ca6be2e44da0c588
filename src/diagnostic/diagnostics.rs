use super::{Code, Diagnostic, Severity};
use std::ops::{Deref, DerefMut};

/// Diagnostics in the order in which they were found.
///
/// A small file can have a million of them. Beyond [`Diagnostics::MAX_STORED`] errors, and as many
/// warnings, diagnostics are counted but not stored.
#[derive(Clone, Debug, Default)]
pub struct Diagnostics {
    stored: Vec<Diagnostic>,
    errors: usize,
    omitted: usize,
}

impl Diagnostics {
    /// Maximum number of stored errors, and of stored warnings.
    pub const MAX_STORED: usize = 10_000;

    /// Adds a diagnostic.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        let same = if diagnostic.is_error() {
            self.errors
        } else {
            self.stored.len() - self.errors
        };
        if same >= Self::MAX_STORED {
            self.omitted += 1;
            return;
        }
        self.errors += usize::from(diagnostic.is_error());
        self.stored.push(diagnostic);
    }

    /// Adds all diagnostics of `others`, including its count of omitted ones.
    pub fn append(&mut self, others: Self) {
        self.omitted += others.omitted;
        self.extend(others.stored);
    }

    /// Returns the number of diagnostics that were counted but not stored.
    #[must_use]
    pub fn omitted(&self) -> usize {
        self.omitted
    }

    /// Removes all but the first `length` stored diagnostics.
    pub fn truncate(&mut self, length: usize) {
        self.stored.truncate(length);
        self.count();
    }

    /// Removes the diagnostics for which `keep` returns false.
    pub fn retain(&mut self, keep: impl FnMut(&Diagnostic) -> bool) {
        self.stored.retain(keep);
        self.count();
    }

    /// Sorts by place, removes duplicates, and turns warnings into errors if `strict` is set.
    pub fn finish(&mut self, strict: bool) {
        for diagnostic in self.stored.iter_mut().filter(|_| strict) {
            diagnostic.severity = Severity::Error;
        }
        self.stored
            .sort_by(|a, b| (a.span, a.code, &a.message).cmp(&(b.span, b.code, &b.message)));
        // A default of the wrong type is reported for every node that uses it.
        let same = |a: &Diagnostic, b: &Diagnostic| {
            (a.span, a.code) == (b.span, b.code)
                && matches!(a.code, Code::TypeMismatch | Code::UndefinedProperty)
        };
        self.stored.dedup_by(|a, b| a == b || same(a, b));
        self.count();
    }

    fn count(&mut self) {
        self.errors = self
            .stored
            .iter()
            .filter(|diagnostic| diagnostic.is_error())
            .count();
    }
}

impl Deref for Diagnostics {
    type Target = [Diagnostic];

    fn deref(&self) -> &[Diagnostic] {
        &self.stored
    }
}

impl DerefMut for Diagnostics {
    fn deref_mut(&mut self) -> &mut [Diagnostic] {
        &mut self.stored
    }
}

impl Extend<Diagnostic> for Diagnostics {
    fn extend<T: IntoIterator<Item = Diagnostic>>(&mut self, more: T) {
        more.into_iter()
            .for_each(|diagnostic| self.push(diagnostic));
    }
}

impl FromIterator<Diagnostic> for Diagnostics {
    fn from_iter<T: IntoIterator<Item = Diagnostic>>(all: T) -> Self {
        let mut collected = Self::default();
        collected.extend(all);
        collected
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::{FileId, Span};

    #[test]
    fn many_warnings_do_not_hide_errors() {
        let span = |start| Span {
            file: FileId(0),
            start,
            end: start,
        };
        let mut all: Diagnostics = (0..Diagnostics::MAX_STORED + 5)
            .map(|at| span(at).warning(Code::DuplicateKey, "w"))
            .collect();
        all.push(span(0).error(Code::Format, "e"));
        assert_eq!((all.len(), all.omitted()), (Diagnostics::MAX_STORED + 1, 5));
        assert!(all.iter().any(Diagnostic::is_error));
    }
}
