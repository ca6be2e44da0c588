//! A problem with an argument, and its place in the argument.

use crate::diagnostic::nearest;

/// The reason why a value cannot be converted, and the place of the problem in it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Fault {
    /// Keys and indexes that lead to the problem.
    pub path: Vec<String>,
    /// The problem.
    pub message: String,
    /// Instruction for the user.
    pub hint: Option<String>,
    /// The problem is an unknown name.
    pub unknown: bool,
}

impl Fault {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            ..Self::default()
        }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub(crate) fn unknown(mut self) -> Self {
        self.unknown = true;
        self
    }

    /// Creates a fault for a name that is not in `known`.
    pub(crate) fn unknown_among(name: &str, known: &[&str]) -> Self {
        let fault = Self::new(format!("there is no argument `{name}` here"))
            .unknown()
            .nested_in(&[name.to_owned()]);
        match nearest_key(name, known) {
            Some(near) => fault.hint(format!("did you mean `{near}`?")),
            None => fault.hint(format!("known arguments: {}", known.join(", "))),
        }
    }

    pub(crate) fn nested_in(mut self, outer: &[String]) -> Self {
        self.path.splice(0..0, outer.iter().cloned());
        self
    }

    pub(crate) fn at_key(self, key: impl Into<String>) -> Self {
        self.nested_in(&[key.into()])
    }
}

/// Returns the known name closest to `name`. One that differs only in case and underscores wins.
pub(crate) fn nearest_key<'k>(name: &str, known: &[&'k str]) -> Option<&'k str> {
    let same = |known: &&&'k str| normalized_key(known) == normalized_key(name);
    known
        .iter()
        .find(same)
        .copied()
        .or_else(|| nearest(name, known.iter().copied()))
}

/// Returns a key without underscores and case, so that snake case equals camel case.
pub(crate) fn normalized_key(key: &str) -> String {
    key.replace('_', "").to_lowercase()
}
