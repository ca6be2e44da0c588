//! Changes that a step makes to runtime properties.

use crate::secrets::{PLACEHOLDER, Secrets};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map as JsonMap, Value as Json};
use std::collections::BTreeMap;

/// Changes to the runtime properties of a step's instance and of others.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Outputs {
    /// Properties with a new value.
    #[serde(default, skip_serializing_if = "JsonMap::is_empty")]
    pub set: JsonMap<String, Json>,
    /// Removed properties.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unset: Vec<String>,
    /// Changes inside properties, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub edits: Vec<Edit>,
    /// Changes to properties of other instances, by ID; used for the other end of a relationship.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub others: BTreeMap<String, Vec<Edit>>,
    /// The value that the operation returned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Json>,
}

/// A change inside runtime properties.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Edit {
    /// Keys, from the property inward. Missing mappings are created.
    pub path: Vec<String>,
    /// The new value; none removes the entry. Null is a value.
    #[serde(
        default,
        deserialize_with = "deserialize_present",
        skip_serializing_if = "Option::is_none"
    )]
    pub value: Option<Json>,
}

fn deserialize_present<'d, D: Deserializer<'d>>(deserializer: D) -> Result<Option<Json>, D::Error> {
    Json::deserialize(deserializer).map(Some)
}

impl Outputs {
    /// Redacts the properties in `untrusted`, which may repeat text from containers or scripts.
    #[must_use]
    pub(crate) fn redact(mut self, untrusted: &[&str]) -> Self {
        let is_untrusted = |name: &str| untrusted.contains(&name);
        for (_, value) in self.set.iter_mut().filter(|(name, _)| is_untrusted(name)) {
            *value = PLACEHOLDER.into();
        }
        let edits = self.edits.iter_mut();
        for edit in edits.chain(self.others.values_mut().flatten()) {
            let is_hidden = edit.path.first().is_some_and(|name| is_untrusted(name));
            if is_hidden && edit.value.is_some() {
                edit.value = Some(PLACEHOLDER.into());
            }
        }
        self
    }

    /// Replaces secrets by expressions that return them.
    #[must_use]
    pub(crate) fn conceal(mut self, secrets: &Secrets) -> Self {
        for value in self.set.values_mut() {
            *value = secrets.conceal(value.take());
        }
        let edits = self.edits.iter_mut();
        let values = edits.chain(self.others.values_mut().flatten());
        for value in values.filter_map(|edit| edit.value.as_mut()) {
            *value = secrets.conceal(value.take());
        }
        self
    }

    /// Applies the changes for the step's own instance.
    pub fn apply(&self, properties: &mut JsonMap<String, Json>) {
        for name in &self.unset {
            properties.shift_remove(name);
        }
        properties.extend(self.set.clone());
        self.edits.iter().for_each(|edit| edit.apply(properties));
    }
}

impl Edit {
    /// Applies the change.
    pub fn apply(&self, properties: &mut JsonMap<String, Json>) {
        let Some((last, way)) = self.path.split_last() else {
            return;
        };
        let mut inside = properties;
        for step in way {
            let next = inside.entry(step).or_insert_with(|| JsonMap::new().into());
            if !next.is_object() {
                *next = JsonMap::new().into();
            }
            let Some(next) = next.as_object_mut() else {
                return;
            };
            inside = next;
        }
        match &self.value {
            Some(value) => drop(inside.insert(last.clone(), value.clone())),
            None => drop(inside.shift_remove(last)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn null_is_a_value_and_no_removal() {
        let edit = Edit {
            path: vec!["a".to_owned()],
            value: Some(Json::Null),
        };
        let read: Edit = serde_json::from_value(json!(edit)).unwrap();
        assert_eq!(read, edit);
        let removal: Edit = serde_json::from_value(json!({ "path": ["a"] })).unwrap();
        assert_eq!(removal.value, None);
    }

    #[test]
    fn edits_change_properties_by_path() {
        let edit = |path: &[&str], value: Option<Json>| Edit {
            path: path.iter().map(|step| (*step).to_owned()).collect(),
            value,
        };
        let outputs = Outputs {
            set: json!({ "whole": 1 }).as_object().cloned().unwrap(),
            unset: vec!["gone".to_owned()],
            edits: vec![
                edit(&["a", "b"], Some(json!([1]))),
                edit(&["whole", "c"], Some(Json::Null)),
                edit(&["d", "e"], None),
                edit(&[], Some(json!(1))),
            ],
            ..Outputs::default()
        };
        let mut properties = json!({ "gone": 1, "d": { "e": 1, "f": 2 } });
        let properties = properties.as_object_mut().unwrap();
        outputs.apply(properties);
        assert_eq!(
            *properties,
            *json!({ "d": { "f": 2 }, "whole": { "c": null }, "a": { "b": [1] } })
                .as_object()
                .unwrap()
        );
        let read: Edit = serde_json::from_value(json!(outputs.edits[2])).unwrap();
        assert_eq!(read, outputs.edits[2]);
        let hidden = outputs.redact(&["a"]);
        assert_eq!(hidden.edits[0].value, Some(PLACEHOLDER.into()));
    }
}
