use super::{Code, Diagnostic, Severity};
use std::ops::{Deref, DerefMut};

/// Diagnostics in the order in which they were found.
///
/// A small file can have a million of them. Beyond [`Diagnostics::MOST`] errors, and as many
/// warnings, diagnostics are counted but not stored.
#[derive(Clone, Debug, Default)]
pub struct Diagnostics {
    all: Vec<Diagnostic>,
    errors: usize,
    omitted: usize,
}

impl Diagnostics {
    /// Maximum number of stored errors, and of stored warnings.
    pub const MOST: usize = 10_000;

    /// Adds a diagnostic.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        let same = if diagnostic.is_error() {
            self.errors
        } else {
            self.all.len() - self.errors
        };
        if same >= Self::MOST {
            self.omitted += 1;
            return;
        }
        self.errors += usize::from(diagnostic.is_error());
        self.all.push(diagnostic);
    }

    /// Adds all diagnostics of `others`, including its count of omitted ones.
    pub fn append(&mut self, others: Self) {
        self.omitted += others.omitted;
        self.extend(others.all);
    }

    /// Returns the number of diagnostics that were counted but not stored.
    #[must_use]
    pub fn omitted(&self) -> usize {
        self.omitted
    }

    /// Removes all but the first `length` stored diagnostics.
    pub fn truncate(&mut self, length: usize) {
        self.all.truncate(length);
        self.count();
    }

    /// Removes the diagnostics for which `keep` returns false.
    pub fn retain(&mut self, keep: impl FnMut(&Diagnostic) -> bool) {
        self.all.retain(keep);
        self.count();
    }

    /// Sorts by place, removes duplicates, and turns warnings into errors if `strict` is set.
    pub fn settle(&mut self, strict: bool) {
        for diagnostic in self.all.iter_mut().filter(|_| strict) {
            diagnostic.severity = Severity::Error;
        }
        self.all
            .sort_by(|a, b| (a.span, a.code, &a.message).cmp(&(b.span, b.code, &b.message)));
        // A default of the wrong type is reported for every node that uses it.
        let same = |a: &Diagnostic, b: &Diagnostic| {
            (a.span, a.code) == (b.span, b.code)
                && matches!(a.code, Code::TypeMismatch | Code::UndefinedProperty)
        };
        self.all.dedup_by(|a, b| a == b || same(a, b));
        self.count();
    }

    fn count(&mut self) {
        self.errors = self
            .all
            .iter()
            .filter(|diagnostic| diagnostic.is_error())
            .count();
    }
}

impl Deref for Diagnostics {
    type Target = [Diagnostic];

    fn deref(&self) -> &[Diagnostic] {
        &self.all
    }
}

impl DerefMut for Diagnostics {
    fn deref_mut(&mut self) -> &mut [Diagnostic] {
        &mut self.all
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
    fn a_flood_of_warnings_hides_no_error() {
        let span = |start| Span {
            file: FileId(0),
            start,
            end: start,
        };
        let mut all: Diagnostics = (0..Diagnostics::MOST + 5)
            .map(|at| span(at).warning(Code::DuplicateKey, "w"))
            .collect();
        all.push(span(0).error(Code::Format, "e"));
        assert_eq!((all.len(), all.omitted()), (Diagnostics::MOST + 1, 5));
        assert!(all.iter().any(Diagnostic::is_error));
    }
}
