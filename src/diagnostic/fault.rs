//! What is wrong with an argument, and where in it.

use crate::diagnostic::nearest;

/// Why a value cannot be converted, and where in it the fault lies.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Fault {
    /// Keys and indexes that lead to the fault.
    pub path: Vec<String>,
    /// What is wrong.
    pub message: String,
    /// What to do next.
    pub hint: Option<String>,
    /// The fault is a name that does not exist.
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

    /// A name that is none of these.
    pub(crate) fn unknown_among(name: &str, known: &[&str]) -> Self {
        let fault = Self::new(format!("there is no argument `{name}` here"))
            .unknown()
            .within(&[name.to_owned()]);
        match near(name, known) {
            Some(near) => fault.hint(format!("did you mean `{near}`?")),
            None => fault.hint(format!("known arguments: {}", known.join(", "))),
        }
    }

    pub(crate) fn within(mut self, outer: &[String]) -> Self {
        self.path.splice(0..0, outer.iter().cloned());
        self
    }

    pub(crate) fn under(self, key: impl Into<String>) -> Self {
        self.within(&[key.into()])
    }
}

/// The nearest name; case and underscores count less than letters.
pub(crate) fn near<'k>(name: &str, known: &[&'k str]) -> Option<&'k str> {
    let same = |known: &&&'k str| plain(known) == plain(name);
    known
        .iter()
        .find(same)
        .copied()
        .or_else(|| nearest(name, known.iter().copied()))
}

/// A key without what tells snake case from camel case.
pub(crate) fn plain(key: &str) -> String {
    key.replace('_', "").to_lowercase()
}
