//! Where a step is carried out, and an object is.

use crate::model::function::{Surroundings, bind, holds_call};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use std::fmt;

/// An engine, a cluster or a host.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// The one that the command line and the environment name.
    #[default]
    Default,
    /// The one that an operation names.
    At {
        /// What people read.
        shown: String,
        /// What the plugin finds it by. They may hold functions until they are bound.
        arguments: Json,
    },
}

impl PartialEq for Target {
    fn eq(&self, other: &Self) -> bool {
        self.arguments() == other.arguments()
    }
}

impl Target {
    /// Whether it is the one that the command line and the environment name.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::Default
    }

    /// What the plugin finds it by; none for the default.
    #[must_use]
    pub fn arguments(&self) -> Option<&Json> {
        match self {
            Self::Default => None,
            Self::At { arguments, .. } => Some(arguments),
        }
    }

    /// Whether it is known only later.
    #[must_use]
    pub fn is_late(&self) -> bool {
        self.arguments().is_some_and(holds_call)
    }

    /// Evaluates the functions in it. What comes to nothing must not lead to the default.
    ///
    /// # Errors
    ///
    /// If one of them cannot be evaluated, or comes to nothing.
    pub fn bind(&self, around: &dyn Surroundings) -> Result<Self, String> {
        let Self::At { shown, arguments } = self else {
            return Ok(Self::Default);
        };
        let bound = bind(arguments, around)
            .map_err(|message| format!("its engine is not known: {message}"))?;
        match lost(arguments, &bound) {
            Some(name) => Err(format!(
                "its engine is not known yet: `{name}` came to nothing"
            )),
            None => Ok(Self::At {
                shown: shown.clone(),
                arguments: bound,
            }),
        }
    }
}

/// An argument that was to be evaluated and is nothing.
fn lost<'a>(arguments: &'a Json, bound: &Json) -> Option<&'a str> {
    let is_lost =
        |(name, value): &(&String, &Json)| holds_call(value) && bound[name.as_str()].is_null();
    let all = arguments.as_object().into_iter().flatten();
    all.into_iter().find(is_lost).map(|(name, _)| name.as_str())
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("the default engine"),
            Self::At { shown, .. } => f.write_str(shown),
        }
    }
}
