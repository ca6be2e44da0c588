//! What of a deployment must not be kept.

use super::{SHORTEST, Secrets, Sensitive};
use crate::{
    digest::keyed,
    model::{Deployment, texts},
};
use serde_json::Value as Json;
use std::sync::Arc;

impl Deployment {
    /// Puts keyed digests in the place of what must not be kept: values of inputs that are
    /// sensitive, and what registries are told. `secrets` has the values as long as this run goes
    /// on.
    pub fn withhold(&mut self, sensitive: &Sensitive, key: &[u8], secrets: &Secrets) {
        sensitive
            .inputs
            .values()
            .for_each(|value| secrets.hide_value(value));
        let inputs = sensitive
            .inputs
            .values()
            .filter_map(Json::as_str)
            .filter(|text| text.len() >= SHORTEST)
            .map(str::to_owned);
        let images = || {
            self.nodes
                .values()
                .filter_map(|node| node.properties.get("image"))
        };
        // An address with somebody's name in it is a secret as a whole.
        let named = |src: &&Json| {
            src.as_str()
                .and_then(|src| src.split_once("://"))
                .is_some_and(|(_, rest)| rest.split('/').next().unwrap_or(rest).contains('@'))
        };
        let addresses = images()
            .map(|image| &image["src"])
            .filter(named)
            .flat_map(texts);
        let told = images()
            .map(|image| &image["auth_config"])
            .flat_map(|auth| {
                ["password", "auth", "identitytoken", "registrytoken"].map(|field| &auth[field])
            })
            .flat_map(texts);
        let all: Vec<String> = inputs
            .chain(told)
            .chain(addresses)
            .filter(|text| !text.is_empty())
            .collect();
        if all.is_empty() && sensitive.inputs.is_empty() {
            return;
        }
        for text in &all {
            secrets.withhold_text(keyed(key, text), text);
        }
        for values in self.values_mut() {
            let withheld =
                |value: Json| secrets.without_withheld(sensitive.withheld(value, key, secrets));
            *values = std::mem::take(values)
                .into_iter()
                .map(|(name, value)| (name, withheld(value)))
                .collect();
        }
    }

    /// Notes digests of the secrets that are used, so that a new value behind an old name is seen.
    /// One that cannot be had now counts as what it was `before`.
    pub fn note_secrets(&mut self, key: &[u8], secrets: &Secrets, before: Option<&Self>) {
        for (name, node) in &mut self.nodes {
            let known = before.and_then(|before| before.nodes.get(name));
            let digest = |secret: String| {
                let now = secrets.get(&secret).ok().map(|text| keyed(key, &text));
                let digest = now.or_else(|| known?.secrets.get(&secret).cloned())?;
                Some((secret, digest))
            };
            let node = Arc::make_mut(node);
            node.secrets = node.secret_names().into_iter().filter_map(digest).collect();
        }
    }
}
