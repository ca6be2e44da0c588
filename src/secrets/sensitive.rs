//! Sensitive inputs: neither their values nor values derived from them are stored or shown.
//!
//! A blueprint is evaluated twice. The first evaluation has all inputs: it finds errors and counts
//! instances. The second one lacks the sensitive inputs: their calls, and the functions around
//! them, stay calls. The deployment is created from the second one. Sensitive values are therefore
//! recognized by their origin, not by their content.

use crate::{
    digest::keyed_digest,
    model::{
        Blueprint, Operations, Values,
        function::{WITHHELD, apply, call_of, is_call, lookup, withheld_digests},
    },
    secrets::{PLACEHOLDER, Secrets},
    syntax::Value,
};
use indexmap::IndexMap;
use serde_json::{Map as JsonMap, Value as Json, json};
use std::sync::Arc;

/// Reserved name of an input, which a blueprint cannot declare. It represents values that can no
/// longer be expressed as calls of inputs.
const DERIVED: &str = "\u{0}rest";

/// The sensitive inputs of a blueprint with inputs applied.
#[derive(Clone, Debug, Default)]
pub struct SensitiveInputs {
    /// Values by name.
    pub inputs: IndexMap<String, Json>,
    /// Derived values that cannot stay calls.
    derived: Vec<Json>,
}

impl SensitiveInputs {
    /// Creates a set of sensitive inputs with their values.
    #[must_use]
    pub fn new(inputs: IndexMap<String, Json>) -> Self {
        Self {
            inputs,
            derived: Vec::new(),
        }
    }

    /// Copies the instance counts of `whole`, which was evaluated with all inputs, to `open`, which
    /// was evaluated without the sensitive inputs. Withholds the derived values that cannot stay
    /// calls.
    pub fn merge_evaluations(&mut self, open: &mut Blueprint, whole: &Blueprint) {
        for (name, node) in &mut open.nodes {
            let Some(known) = whole.nodes.get(name) else {
                continue;
            };
            node.instance_counts = known.instance_counts.clone();
            self.merge_values(&mut node.properties, &known.properties);
            self.merge_operations(&mut node.operations, &known.operations);
            for (relationship, known) in node.relationships.iter_mut().zip(&known.relationships) {
                self.merge_operations(
                    &mut relationship.source_operations,
                    &known.source_operations,
                );
                self.merge_operations(
                    &mut relationship.target_operations,
                    &known.target_operations,
                );
            }
        }
        for (name, policy) in &mut open.policies {
            policy.instance_counts = whole.policies.get(name).map_or_else(
                || policy.instance_counts.clone(),
                |known| known.instance_counts.clone(),
            );
        }
        for (name, group) in &mut open.scaling_groups {
            group.instance_counts = whole.scaling_groups.get(name).map_or_else(
                || group.instance_counts.clone(),
                |known| known.instance_counts.clone(),
            );
        }
        let outputs = open
            .outputs
            .iter_mut()
            .zip(&whole.outputs)
            .chain(open.capabilities.iter_mut().zip(&whole.capabilities));
        for ((_, output), (_, known)) in outputs {
            self.merge_value(&mut output.body.value, &known.body.value);
        }
        for ((_, label), (_, known)) in open.labels.iter_mut().zip(&whole.labels) {
            label
                .body
                .values
                .iter_mut()
                .zip(&known.body.values)
                .for_each(|(value, known)| self.merge_value(value, known));
        }
    }

    /// Replaces `open` by all inputs of a deployment, with a call for each sensitive one.
    pub fn merge_inputs(
        &mut self,
        open: &mut IndexMap<String, Value>,
        whole: &IndexMap<String, Value>,
    ) {
        let mut all = whole.clone();
        for (name, value) in &mut all {
            match open.get_mut(name) {
                Some(open) => {
                    self.merge_value(open, value);
                    *value = open.clone();
                }
                None => *value = Value::from_json(&json!({ "get_input": name }), value.span),
            }
        }
        *open = all;
    }

    fn merge_values(&mut self, open: &mut Values, whole: &Values) {
        for (name, value) in open {
            if let Some(known) = whole.get(name) {
                self.merge_value(value, known);
            }
        }
    }

    fn merge_operations(&mut self, open: &mut Arc<Operations>, whole: &Arc<Operations>) {
        if Arc::ptr_eq(open, whole) {
            return;
        }
        for (name, operation) in Arc::make_mut(open) {
            let Some(known) = whole
                .get(name)
                .filter(|known| !Arc::ptr_eq(operation, known))
            else {
                continue;
            };
            self.merge_values(&mut Arc::make_mut(operation).inputs, &known.inputs);
        }
    }

    /// Compares a value in both evaluations. If they are equal, it does not depend on sensitive
    /// inputs. Otherwise it must be possible to evaluate it later; if not, it is withheld as a
    /// whole.
    fn merge_value(&mut self, open: &mut Value, whole: &Value) {
        let (now, then) = (open.to_json(), whole.to_json());
        if now == then || self.can_be_evaluated_later(&now, &then) {
            return;
        }
        *open = Value::from_json(
            &json!({ "get_input": [DERIVED, self.derived.len()] }),
            open.span,
        );
        self.derived.push(then);
    }

    /// Returns true if the calls in a value can be evaluated when an operation starts.
    fn can_be_evaluated_later(&self, open: &Json, whole: &Json) -> bool {
        let is_late = |name: &str| !matches!(name, "get_input" | "get_property");
        match (call_of(open), open) {
            (Some(("get_input", arguments)), _) => self.input_part(arguments).is_some(),
            (Some((name, arguments)), _) => {
                is_late(name) && self.can_be_evaluated_later(arguments, &Json::Null)
            }
            (None, Json::Array(items)) => items
                .iter()
                .enumerate()
                .all(|(at, item)| self.can_be_evaluated_later(item, &whole[at])),
            (None, Json::Object(entries)) => entries
                .iter()
                .all(|(key, item)| self.can_be_evaluated_later(item, &whole[key])),
            _ => true,
        }
    }

    /// Returns the part of a sensitive input that a call reads.
    fn input_part(&self, arguments: &Json) -> Option<Json> {
        let (name, path) = match arguments.as_array().map(Vec::as_slice) {
            Some([name, path @ ..]) => (name, path),
            _ => (arguments, &[][..]),
        };
        match name.as_str()? {
            DERIVED => self
                .derived
                .get(usize::try_from(path.first()?.as_u64()?).ok()?)
                .cloned(),
            name => lookup(self.inputs.get(name)?, path).cloned(),
        }
    }

    /// Replaces each sensitive part of a value by a call with its digest.
    #[must_use]
    pub fn withheld(&self, value: Json, key: &[u8], secrets: &Secrets) -> Json {
        if let Some(("get_input", arguments)) = call_of(&value)
            && let Some(part) = self.input_part(arguments)
        {
            let digest = digest(key, &part);
            secrets.withhold(digest.clone(), &part);
            return json!({ WITHHELD: digest });
        }
        let plain = self.concatenated(&value);
        let value = match value {
            Json::Array(items) => items
                .into_iter()
                .map(|item| self.withheld(item, key, secrets))
                .collect(),
            Json::Object(entries) => entries
                .into_iter()
                .map(|(name, item)| (name, self.withheld(item, key, secrets)))
                .collect(),
            other => other,
        };
        let Some(plain) = plain else { return value };
        let as_before = secrets.replace_withheld(plain);
        // Journals of older versions contain this form. The other one must not count as a change.
        if withheld_digests(&as_before).len() == withheld_digests(&value).len() {
            as_before
        } else {
            value
        }
    }

    /// Returns the result of a `concat` that contains only constants and sensitive inputs.
    fn concatenated(&self, value: &Json) -> Option<Json> {
        let Some(("concat", Json::Array(items))) = call_of(value) else {
            return None;
        };
        let real = |item: &Json| match call_of(item) {
            Some(("get_input", arguments)) => self.input_part(arguments),
            Some(_) => None,
            None => Some(item.clone()),
        };
        let items = items.iter().map(real).collect::<Option<Vec<Json>>>()?;
        apply("concat", &items.into())?.ok()
    }

    /// Replaces each sensitive part of a value by a placeholder, for display.
    #[must_use]
    pub fn redacted(&self, value: Json) -> Json {
        if is_call(&value) && self.is_read_by(&value) {
            return PLACEHOLDER.into();
        }
        match value {
            Json::Array(items) => items.into_iter().map(|item| self.redacted(item)).collect(),
            Json::Object(entries) => entries
                .into_iter()
                .map(|(name, item)| (name, self.redacted(item)))
                .collect(),
            other => other,
        }
    }

    fn is_read_by(&self, value: &Json) -> bool {
        match (call_of(value), value) {
            (Some(("get_input", arguments)), _) if self.input_part(arguments).is_some() => true,
            (_, Json::Array(items)) => items.iter().any(|item| self.is_read_by(item)),
            (_, Json::Object(entries)) => entries.values().any(|item| self.is_read_by(item)),
            _ => false,
        }
    }
}

/// Returns the digest of a withheld value. For a string, it is the digest of the text itself, as in
/// older versions.
#[must_use]
pub fn digest(key: &[u8], value: &Json) -> String {
    match value {
        Json::String(text) => keyed_digest(key, text),
        other => keyed_digest(key, &format!("json\n{}", with_sorted_keys(other))),
    }
}

/// Returns a value and all values inside it.
#[must_use]
pub fn parts(value: &Json) -> Vec<&Json> {
    let inner: Vec<&Json> = match value {
        Json::Array(items) => items.iter().flat_map(parts).collect(),
        Json::Object(entries) => entries.values().flat_map(parts).collect(),
        _ => Vec::new(),
    };
    [value].into_iter().chain(inner).collect()
}

fn with_sorted_keys(value: &Json) -> Json {
    match value {
        Json::Array(items) => items.iter().map(with_sorted_keys).collect(),
        Json::Object(entries) => {
            let mut entries: JsonMap<String, Json> = entries
                .iter()
                .map(|(key, value)| (key.clone(), with_sorted_keys(value)))
                .collect();
            entries.sort_keys();
            Json::Object(entries)
        }
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sensitive() -> SensitiveInputs {
        let inputs = json!({ "pin": 7, "password": "glass-horse", "creds": { "user": "bo", "ports": [1, 2] } });
        SensitiveInputs::new(inputs.as_object().unwrap().clone().into_iter().collect())
    }

    #[test]
    fn values_of_any_type_are_withheld_by_origin() {
        let (all, secrets) = (sensitive(), Secrets::default());
        let of = |value: Json| all.withheld(value, b"k", &secrets);
        let held = |part: &Json| json!({ WITHHELD: digest(b"k", part) });
        assert_eq!(of(json!({ "get_input": "pin" })), held(&json!(7)));
        assert_eq!(
            of(json!({ "get_input": ["creds", "ports", 1] })),
            held(&json!(2))
        );
        assert_eq!(
            of(json!({ "get_input": "creds" })),
            held(&all.inputs["creds"])
        );
        assert_eq!(
            of(json!([7, "glass-horse"])),
            json!([7, "glass-horse"]),
            "an equal value of another origin is not withheld"
        );
        let upper = of(json!({ "string_upper": { "get_input": "password" } }));
        assert_eq!(
            upper,
            json!({ "string_upper": held(&json!("glass-horse")) })
        );
        assert_eq!(secrets.withheld(&digest(b"k", &json!(2))), Ok(json!(2)));
        assert_eq!(
            digest(b"k", &json!({ "a": 1, "b": 2 })),
            digest(b"k", &json!({ "b": 2, "a": 1 }))
        );
        assert_ne!(digest(b"k", &json!(7)), digest(b"k", &json!("7")));
    }

    #[test]
    fn concat_of_a_sensitive_text_keeps_the_older_form() {
        let (all, secrets) = (sensitive(), Secrets::default());
        secrets.withhold_text(digest(b"k", &json!("glass-horse")), "glass-horse");
        let held = json!({ WITHHELD: digest(b"k", &json!("glass-horse")) });
        let of = |value: Json| all.withheld(value, b"k", &secrets);
        let call = json!({ "concat": ["a", "b=", { "get_input": "password" }, ";", "c"] });
        assert_eq!(of(call), json!({ "concat": ["ab=", held, ";c"] }));
        let with_pin = of(json!({ "concat": ["pin=", { "get_input": "pin" }] }));
        assert_eq!(
            with_pin,
            json!({ "concat": ["pin=", { WITHHELD: digest(b"k", &json!(7)) }] })
        );
    }

    #[test]
    fn sensitive_parts_are_not_displayed() {
        let shown = sensitive().redacted(json!({ "a": { "concat": ["x", { "get_input": "pin" }] }, "b": { "get_attribute": ["n", "ip"] } }));
        assert_eq!(
            shown,
            json!({ "a": PLACEHOLDER, "b": { "get_attribute": ["n", "ip"] } })
        );
    }

    #[test]
    fn value_that_cannot_stay_a_call_is_withheld_as_a_whole() {
        let mut all = sensitive();
        let at = crate::diagnostic::Span {
            file: crate::diagnostic::FileId(0),
            start: 0,
            end: 0,
        };
        let mut open = Value::from_json(&json!({ "get_property": ["db", "creds", "user"] }), at);
        all.merge_value(&mut open, &Value::from_json(&json!("bo"), at));
        let secrets = Secrets::default();
        assert_eq!(
            all.withheld(open.to_json(), b"k", &secrets),
            json!({ WITHHELD: digest(b"k", &json!("bo")) })
        );
        let mut same = Value::from_json(&json!({ "get_attribute": ["db", "ip"] }), at);
        all.merge_value(
            &mut same,
            &Value::from_json(&json!({ "get_attribute": ["db", "ip"] }), at),
        );
        assert_eq!(same.to_json(), json!({ "get_attribute": ["db", "ip"] }));
    }
}
