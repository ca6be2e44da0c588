//! Withholds the sensitive values of a deployment.

use super::{MIN_LENGTH, Secrets, SensitiveInputs};
use crate::{
    digest::keyed_digest,
    model::{Deployment, strings_in},
};
use serde_json::Value as Json;
use std::sync::Arc;

impl Deployment {
    /// Replaces values that must not be stored by keyed digests: sensitive inputs and credentials
    /// for registries. `secrets` has the values for the rest of this run.
    pub fn withhold(&mut self, sensitive: &SensitiveInputs, key: &[u8], secrets: &Secrets) {
        sensitive
            .inputs
            .values()
            .for_each(|value| secrets.register_value(value));
        let inputs = sensitive
            .inputs
            .values()
            .filter_map(Json::as_str)
            .filter(|text| text.len() >= MIN_LENGTH)
            .map(str::to_owned);
        let images = || {
            self.nodes
                .values()
                .filter_map(|node| node.properties.get("image"))
        };
        // A URL with user information is withheld as a whole.
        let named = |src: &&Json| {
            src.as_str()
                .and_then(|src| src.split_once("://"))
                .is_some_and(|(_, rest)| rest.split('/').next().unwrap_or(rest).contains('@'))
        };
        let addresses = images()
            .map(|image| &image["src"])
            .filter(named)
            .flat_map(strings_in);
        let from_images = images()
            .map(|image| &image["auth_config"])
            .flat_map(|auth| {
                ["password", "auth", "identitytoken", "registrytoken"].map(|field| &auth[field])
            })
            .flat_map(strings_in);
        let all: Vec<String> = inputs
            .chain(from_images)
            .chain(addresses)
            .filter(|text| !text.is_empty())
            .collect();
        if all.is_empty() && sensitive.inputs.is_empty() {
            return;
        }
        for text in &all {
            secrets.withhold_text(keyed_digest(key, text), text);
        }
        for values in self.values_mut() {
            let withheld =
                |value: Json| secrets.replace_withheld(sensitive.withheld(value, key, secrets));
            *values = std::mem::take(values)
                .into_iter()
                .map(|(name, value)| (name, withheld(value)))
                .collect();
        }
    }

    /// Records the digests of the secrets in use, to detect changed values. A secret that cannot be
    /// read now has the same digest as in `before`.
    pub fn record_secret_digests(&mut self, key: &[u8], secrets: &Secrets, before: Option<&Self>) {
        for (name, node) in &mut self.nodes {
            let known = before.and_then(|before| before.nodes.get(name));
            let digest = |secret: String| {
                let now = secrets
                    .get(&secret)
                    .ok()
                    .map(|text| keyed_digest(key, &text));
                let digest = now.or_else(|| known?.secrets.get(&secret).cloned())?;
                Some((secret, digest))
            };
            let node = Arc::make_mut(node);
            node.secrets = node.secret_names().into_iter().filter_map(digest).collect();
        }
    }
}
