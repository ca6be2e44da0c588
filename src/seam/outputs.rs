//! What a step changed.

use crate::secrets::HIDDEN;
use serde::{Deserialize, Serialize};
use serde_json::{Map as JsonMap, Value as Json};

/// What a step changed in the runtime properties of its instance.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Outputs {
    /// Properties that have a new value.
    #[serde(default, skip_serializing_if = "JsonMap::is_empty")]
    pub set: JsonMap<String, Json>,
    /// Properties that are gone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unset: Vec<String>,
}

impl Outputs {
    /// Hides properties that may repeat what somebody else wrote.
    #[must_use]
    pub(crate) fn without(mut self, untrusted: &[&str]) -> Self {
        for (_, value) in self
            .set
            .iter_mut()
            .filter(|(name, _)| untrusted.contains(&name.as_str()))
        {
            *value = HIDDEN.into();
        }
        self
    }
}
