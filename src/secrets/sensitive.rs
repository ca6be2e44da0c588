//! Inputs that must not be kept or shown, whatever they are and whatever functions make of them.
//!
//! A blueprint is evaluated twice: with everything, which tells what is wrong and how many
//! instances there are, and without the sensitive inputs, whose calls stay calls then, as do the
//! functions around them. The second is what a deployment is made of. So a value is known by its
//! origin: how it looks does not matter.

use crate::{
    digest::keyed,
    model::{
        Blueprint, Operations, Values,
        function::{WITHHELD, apply, call_of, is_call, lookup, withheld_digests},
    },
    secrets::{HIDDEN, Secrets},
    syntax::Value,
};
use indexmap::IndexMap;
use serde_json::{Map as JsonMap, Value as Json, json};
use std::sync::Arc;

/// Name of an input that no blueprint can declare: values that no call of an input stands for any
/// more.
const REST: &str = "\u{0}rest";

/// The sensitive inputs of a blueprint that has its inputs.
#[derive(Clone, Debug, Default)]
pub struct Sensitive {
    /// Their values.
    pub inputs: IndexMap<String, Json>,
    /// Values that were made of them in a way that cannot stay a call.
    rest: Vec<Json>,
}

impl Sensitive {
    /// Sensitive inputs with their values.
    #[must_use]
    pub fn new(inputs: IndexMap<String, Json>) -> Self {
        Self {
            inputs,
            rest: Vec::new(),
        }
    }

    /// Puts the structure of a blueprint that was evaluated with everything into one that was
    /// evaluated without the sensitive inputs.
    pub fn cover(&mut self, open: &mut Blueprint, whole: &Blueprint) {
        for (name, node) in &mut open.nodes {
            let Some(known) = whole.nodes.get(name) else {
                continue;
            };
            node.numbers = known.numbers.clone();
            self.values(&mut node.properties, &known.properties);
            self.operations(&mut node.operations, &known.operations);
            for (tie, known) in node.relationships.iter_mut().zip(&known.relationships) {
                self.operations(&mut tie.source_operations, &known.source_operations);
                self.operations(&mut tie.target_operations, &known.target_operations);
            }
        }
        for (name, policy) in &mut open.policies {
            policy.numbers = whole
                .policies
                .get(name)
                .map_or_else(|| policy.numbers.clone(), |known| known.numbers.clone());
        }
        for (name, group) in &mut open.scaling_groups {
            group.numbers = whole
                .scaling_groups
                .get(name)
                .map_or_else(|| group.numbers.clone(), |known| known.numbers.clone());
        }
        let outputs = open
            .outputs
            .iter_mut()
            .zip(&whole.outputs)
            .chain(open.capabilities.iter_mut().zip(&whole.capabilities));
        for ((_, output), (_, known)) in outputs {
            self.value(&mut output.body.value, &known.body.value);
        }
        for ((_, label), (_, known)) in open.labels.iter_mut().zip(&whole.labels) {
            label
                .body
                .values
                .iter_mut()
                .zip(&known.body.values)
                .for_each(|(value, known)| self.value(value, known));
        }
    }

    /// The inputs of a deployment: a call in the place of each that is sensitive.
    pub fn cover_inputs(
        &mut self,
        open: &mut IndexMap<String, Value>,
        whole: &IndexMap<String, Value>,
    ) {
        let mut all = whole.clone();
        for (name, value) in &mut all {
            match open.get_mut(name) {
                Some(open) => {
                    self.value(open, value);
                    *value = open.clone();
                }
                None => *value = Value::from_json(&json!({ "get_input": name }), value.span),
            }
        }
        *open = all;
    }

    fn values(&mut self, open: &mut Values, whole: &Values) {
        for (name, value) in open {
            if let Some(known) = whole.get(name) {
                self.value(value, known);
            }
        }
    }

    fn operations(&mut self, open: &mut Arc<Operations>, whole: &Arc<Operations>) {
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
            self.values(&mut Arc::make_mut(operation).inputs, &known.inputs);
        }
    }

    /// A value that is the same without the sensitive inputs is not made of them. Where one is, it
    /// must be possible to evaluate it later; else it is withheld as a whole.
    fn value(&mut self, open: &mut Value, whole: &Value) {
        let (now, then) = (open.to_json(), whole.to_json());
        if now == then || self.stands_for(&now, &then) {
            return;
        }
        *open = Value::from_json(&json!({ "get_input": [REST, self.rest.len()] }), open.span);
        self.rest.push(then);
    }

    /// Whether the calls in a value can be evaluated when an operation begins.
    fn stands_for(&self, open: &Json, whole: &Json) -> bool {
        let is_late = |name: &str| !matches!(name, "get_input" | "get_property");
        match (call_of(open), open) {
            (Some(("get_input", arguments)), _) => self.part(arguments).is_some(),
            (Some((name, arguments)), _) => {
                is_late(name) && self.stands_for(arguments, &Json::Null)
            }
            (None, Json::Array(items)) => items
                .iter()
                .enumerate()
                .all(|(at, item)| self.stands_for(item, &whole[at])),
            (None, Json::Object(entries)) => entries
                .iter()
                .all(|(key, item)| self.stands_for(item, &whole[key])),
            _ => true,
        }
    }

    /// The part of a sensitive input that a call asks for.
    fn part(&self, arguments: &Json) -> Option<Json> {
        let (name, path) = match arguments.as_array().map(Vec::as_slice) {
            Some([name, path @ ..]) => (name, path),
            _ => (arguments, &[][..]),
        };
        match name.as_str()? {
            REST => self
                .rest
                .get(usize::try_from(path.first()?.as_u64()?).ok()?)
                .cloned(),
            name => lookup(self.inputs.get(name)?, path).cloned(),
        }
    }

    /// The value with a call in the place of everything that is sensitive, whose argument is a
    /// digest.
    #[must_use]
    pub fn withheld(&self, value: Json, key: &[u8], secrets: &Secrets) -> Json {
        if let Some(("get_input", arguments)) = call_of(&value)
            && let Some(part) = self.part(arguments)
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
        let as_before = secrets.without_withheld(plain);
        // Journals of older versions have the same in other words, which must not count as a
        // change.
        if withheld_digests(&as_before).len() == withheld_digests(&value).len() {
            as_before
        } else {
            value
        }
    }

    /// What a `concat` of texts and sensitive inputs comes to, if nothing else is in it.
    fn concatenated(&self, value: &Json) -> Option<Json> {
        let Some(("concat", Json::Array(items))) = call_of(value) else {
            return None;
        };
        let real = |item: &Json| match call_of(item) {
            Some(("get_input", arguments)) => self.part(arguments),
            Some(_) => None,
            None => Some(item.clone()),
        };
        let items = items.iter().map(real).collect::<Option<Vec<Json>>>()?;
        apply("concat", &items.into())?.ok()
    }

    /// The value with nothing in the place of everything that is sensitive: for people.
    #[must_use]
    pub fn hidden(&self, value: Json) -> Json {
        if is_call(&value) && self.is_in(&value) {
            return HIDDEN.into();
        }
        match value {
            Json::Array(items) => items.into_iter().map(|item| self.hidden(item)).collect(),
            Json::Object(entries) => entries
                .into_iter()
                .map(|(name, item)| (name, self.hidden(item)))
                .collect(),
            other => other,
        }
    }

    fn is_in(&self, value: &Json) -> bool {
        match (call_of(value), value) {
            (Some(("get_input", arguments)), _) if self.part(arguments).is_some() => true,
            (_, Json::Array(items)) => items.iter().any(|item| self.is_in(item)),
            (_, Json::Object(entries)) => entries.values().any(|item| self.is_in(item)),
            _ => false,
        }
    }
}

/// The digest that a withheld value is known by. Of texts it is that of the text itself, as it
/// always was.
#[must_use]
pub fn digest(key: &[u8], value: &Json) -> String {
    match value {
        Json::String(text) => keyed(key, text),
        other => keyed(key, &format!("json\n{}", sorted(other))),
    }
}

/// Every value in a value, itself included.
#[must_use]
pub fn parts(value: &Json) -> Vec<&Json> {
    let inner: Vec<&Json> = match value {
        Json::Array(items) => items.iter().flat_map(parts).collect(),
        Json::Object(entries) => entries.values().flat_map(parts).collect(),
        _ => Vec::new(),
    };
    [value].into_iter().chain(inner).collect()
}

fn sorted(value: &Json) -> Json {
    match value {
        Json::Array(items) => items.iter().map(sorted).collect(),
        Json::Object(entries) => {
            let mut entries: JsonMap<String, Json> = entries
                .iter()
                .map(|(key, value)| (key.clone(), sorted(value)))
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

    fn sensitive() -> Sensitive {
        let inputs = json!({ "pin": 7, "password": "glass-horse", "creds": { "user": "bo", "ports": [1, 2] } });
        Sensitive::new(inputs.as_object().unwrap().clone().into_iter().collect())
    }

    #[test]
    fn a_value_of_any_type_is_withheld_by_its_origin() {
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
            "the same value of another origin stays"
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
    fn a_text_with_a_sensitive_one_in_it_is_written_as_older_versions_did() {
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
    fn people_see_nothing_of_it() {
        let shown = sensitive().hidden(json!({ "a": { "concat": ["x", { "get_input": "pin" }] }, "b": { "get_attribute": ["n", "ip"] } }));
        assert_eq!(
            shown,
            json!({ "a": HIDDEN, "b": { "get_attribute": ["n", "ip"] } })
        );
    }

    #[test]
    fn what_cannot_stay_a_call_is_withheld_as_a_whole() {
        let mut all = sensitive();
        let at = crate::diagnostic::Span {
            file: crate::diagnostic::FileId(0),
            start: 0,
            end: 0,
        };
        let mut open = Value::from_json(&json!({ "get_property": ["db", "creds", "user"] }), at);
        all.value(&mut open, &Value::from_json(&json!("bo"), at));
        let secrets = Secrets::default();
        assert_eq!(
            all.withheld(open.to_json(), b"k", &secrets),
            json!({ WITHHELD: digest(b"k", &json!("bo")) })
        );
        let mut same = Value::from_json(&json!({ "get_attribute": ["db", "ip"] }), at);
        all.value(
            &mut same,
            &Value::from_json(&json!({ "get_attribute": ["db", "ip"] }), at),
        );
        assert_eq!(same.to_json(), json!({ "get_attribute": ["db", "ip"] }));
    }
}
