//! The secrets that a script may use: those that its blueprint mentions, and those that scripts of
//! its deployment created.

use crate::{
    model::{Deployment, function::secret_names},
    plugins::script::declare::{
        context::ContextError,
        request::{Reply, SecretRequest},
    },
    secrets::Secrets,
};
use serde_json::{Value as Json, json};
use std::collections::BTreeSet;

/// Longest name of a secret, in bytes.
const MAX_NAME: usize = 256;

/// Answers requests about secrets.
pub(super) struct ScriptSecrets<'a> {
    secrets: &'a Secrets,
    deployment: &'a Deployment,
}

impl<'a> ScriptSecrets<'a> {
    pub(super) fn new(secrets: &'a Secrets, deployment: &'a Deployment) -> Self {
        Self {
            secrets,
            deployment,
        }
    }

    /// Returns the reply to a request.
    pub(super) fn reply(&self, request: &SecretRequest) -> Result<Reply, ContextError> {
        match request {
            SecretRequest::Get { key } => self.get(key),
            SecretRequest::List { key } => Ok(self.list(key.as_deref())),
            SecretRequest::Create {
                key,
                value,
                update_if_exists,
            } => {
                if self.exists(key) && !update_if_exists {
                    let message = format!("secret `{key}` already exists");
                    return Err(ContextError::new("Conflict", message));
                }
                self.set(key, value)
            }
            SecretRequest::Update { key, value } => {
                if self.exists(key) {
                    self.set(key, value)
                } else {
                    Err(not_found(key))
                }
            }
            SecretRequest::Delete { key } => {
                let deleted = self
                    .secrets
                    .delete_own(key)
                    .map_err(ContextError::runtime)?;
                if deleted {
                    Ok(Reply::Result(json!({ "key": key })))
                } else {
                    Err(not_found(key))
                }
            }
        }
    }

    fn get(&self, key: &str) -> Result<Reply, ContextError> {
        if !self.names().contains(key) {
            return Err(not_found(key));
        }
        let value = self.secrets.get(key);
        let value = value.map_err(|message| ContextError::new("NotFound", message))?;
        Ok(Reply::Result(json!({ "key": key, "value": value })))
    }

    fn list(&self, key: Option<&str>) -> Reply {
        let names = self.names().into_iter();
        let names = names.filter(|name| key.is_none_or(|key| key == name));
        let secrets: Vec<Json> = names
            .filter(|name| self.secrets.get(name).is_ok())
            .map(|name| json!({ "key": name }))
            .collect();
        Reply::Result(secrets.into())
    }

    fn set(&self, key: &str, value: &str) -> Result<Reply, ContextError> {
        if key.is_empty() || key.len() > MAX_NAME {
            let message = format!("the name of a secret has 1 to {MAX_NAME} bytes");
            return Err(ContextError::new("ValueError", message));
        }
        if self.secrets.is_provided(key) {
            let message = format!(
                "secret `{key}` comes from the environment or from --secrets, and cannot be changed"
            );
            return Err(ContextError::new("Conflict", message));
        }
        let stored = self.secrets.set_own(key, value);
        stored.map_err(ContextError::runtime)?;
        Ok(Reply::Result(json!({ "key": key })))
    }

    fn exists(&self, key: &str) -> bool {
        self.names().contains(key) && self.secrets.get(key).is_ok()
    }

    fn names(&self) -> BTreeSet<String> {
        let mentioned = secret_names(&json!(self.deployment)).into_iter();
        mentioned.chain(self.secrets.own_names()).collect()
    }
}

fn not_found(key: &str) -> ContextError {
    let message = format!(
        "secret `{key}` not found: the blueprint does not mention it, and no script of this deployment created it"
    );
    ContextError::new("NotFound", message)
}
