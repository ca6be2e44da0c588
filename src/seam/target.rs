//! Targets: the systems that steps run on and that objects exist on.

use crate::model::function::{EvaluationContext, bind, contains_call, is_call};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use std::fmt;

/// An engine, a cluster or a host.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// The system that the command line and the environment select.
    #[default]
    Default,
    /// The system that an operation selects.
    At {
        /// Name used in output.
        shown: String,
        /// Connection arguments for the plugin. Can contain functions until the target is bound.
        arguments: Json,
    },
}

impl PartialEq for Target {
    fn eq(&self, other: &Self) -> bool {
        self.arguments() == other.arguments()
    }
}

impl Target {
    /// Returns true if the command line and the environment select the system.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::Default
    }

    /// Returns the connection arguments; none for the default system.
    #[must_use]
    pub fn arguments(&self) -> Option<&Json> {
        match self {
            Self::Default => None,
            Self::At { arguments, .. } => Some(arguments),
        }
    }

    /// Returns true if it contains a late value.
    #[must_use]
    pub fn is_late(&self) -> bool {
        self.arguments().is_some_and(contains_call)
    }

    /// Evaluates the functions in the arguments. A function that evaluates to nothing is an error:
    /// it must not select the default system.
    ///
    /// # Errors
    ///
    /// If a function cannot be evaluated or evaluates to nothing.
    pub fn bind(&self, around: &dyn EvaluationContext) -> Result<Self, String> {
        let Self::At { shown, arguments } = self else {
            return Ok(Self::Default);
        };
        let bound = bind(arguments, around)
            .map_err(|message| format!("its engine is unknown: {message}"))?;
        match first_missing(arguments, &bound) {
            Some(name) => Err(format!(
                "its engine is not known yet: `{name}` has no value"
            )),
            None => Ok(Self::At {
                shown: shown.clone(),
                arguments: bound,
            }),
        }
    }
}

/// Returns the name of the first argument whose function evaluated to nothing.
fn first_missing(arguments: &Json, bound: &Json) -> Option<String> {
    if is_call(arguments) {
        let entries = bound.as_object().filter(|entries| !entries.is_empty());
        let Some(entries) = entries else {
            return Some("client".to_owned());
        };
        let mut nothing = entries.iter().filter(|(_, value)| is_nothing(value));
        return nothing.next().map(|(name, _)| name.clone());
    }
    let is_lost = |(name, value): &(&String, &Json)| match &bound[name.as_str()] {
        now if is_nothing(now) => contains_call(value),
        now if now.is_object() => first_missing(value, now).is_some(),
        _ => false,
    };
    let mut all = arguments.as_object().into_iter().flatten();
    all.find(is_lost).map(|(name, _)| name.clone())
}

fn is_nothing(value: &Json) -> bool {
    value.is_null() || value == ""
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("the default engine"),
            Self::At { shown, .. } => f.write_str(shown),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Knows one attribute, `there`; every other one is null.
    struct TestContext;

    impl EvaluationContext for TestContext {
        fn attribute(&self, _: &str, path: &[Json]) -> Result<Json, String> {
            Ok(match path.first().and_then(Json::as_str) {
                Some("there") => "tcp://h:1".into(),
                Some("whole") => json!({ "base_url": "tcp://h:1" }),
                Some("hollow") => json!({ "base_url": null, "timeout": 5 }),
                Some("empty") => json!({}),
                Some("blank") => "".into(),
                _ => Json::Null,
            })
        }

        fn attributes(&self, _: &str, _: &[Json]) -> Result<Vec<(String, Json)>, String> {
            Ok(Vec::new())
        }

        fn secret(&self, _: &str) -> Result<String, String> {
            Ok(String::new())
        }

        fn withheld(&self, _: &str) -> Result<Json, String> {
            Ok(Json::Null)
        }

        fn deployment(&self, _: &str, _: &Json) -> Result<Json, String> {
            Ok(Json::Null)
        }
    }

    #[test]
    fn missing_value_never_selects_the_default_engine() {
        let attribute = |name: &str| json!({ "get_attribute": ["n", name] });
        let of = |arguments: Json| {
            let target = Target::At {
                shown: "an engine".to_owned(),
                arguments,
            };
            target
                .bind(&TestContext)
                .map(|bound| bound.arguments().cloned())
        };
        for there in [
            json!({ "base_url": attribute("there") }),
            attribute("whole"),
            json!({ "base_url": "tcp://h:1", "tls": null }),
        ] {
            let bound = of(there.clone());
            assert!(bound.is_ok(), "{there}: {bound:?}");
        }
        for nothing in [
            attribute("nothing"),
            attribute("empty"),
            attribute("hollow"),
            json!({ "base_url": attribute("nothing") }),
            json!({ "base_url": attribute("blank") }),
            json!({ "base_url": { "get_secret": "w" } }),
            json!({ "base_url": { "concat": ["", { "get_secret": "w" }] } }),
            json!({ "base_url": "tcp://h:1", "tls": { "ca_cert": attribute("nothing") } }),
        ] {
            let refused = of(nothing.clone());
            assert!(refused.is_err(), "{nothing}: {refused:?}");
        }
    }
}
