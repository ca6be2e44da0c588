//! The environment in which functions such as `get_attribute` are evaluated at run time.

use super::Record;
use crate::{
    model::{
        Deployment, Instance,
        function::{EvaluationContext, bind, contains_concealed, mask, reveal, withheld_digests},
    },
    secrets::Secrets,
};
use serde_json::Value as Json;

/// The environment of a function at run time: record, instance and secrets.
#[derive(Clone, Copy)]
pub struct FunctionContext<'a> {
    /// The record of the deployment.
    pub record: &'a Record,
    /// The instance that SELF refers to; none in outputs.
    pub self_id: Option<&'a str>,
    /// The instances that SOURCE and TARGET refer to, in an operation of a relationship.
    pub ends: Option<[&'a str; 2]>,
    /// The source of secrets.
    pub secrets: &'a Secrets,
}

impl<'a> FunctionContext<'a> {
    /// Returns the environment for the functions of an instance.
    #[must_use]
    pub fn of(record: &'a Record, me: &'a str, secrets: &'a Secrets) -> Self {
        Self {
            record,
            self_id: Some(me),
            ends: None,
            secrets,
        }
    }

    /// Returns an attribute for output: secrets that a script wrote are replaced by `placeholder`.
    ///
    /// # Errors
    ///
    /// Same as [`EvaluationContext::attribute`].
    pub fn masked_attribute(
        &self,
        target: &str,
        path: &[Json],
        placeholder: &str,
    ) -> Result<Json, String> {
        let found = self.stored_attribute(target, path)?;
        if contains_concealed(&found) {
            Ok(mask(&found, placeholder))
        } else {
            self.attribute(target, path)
        }
    }

    /// Returns an attribute as stored, with sensitive parts still withheld.
    fn stored_attribute(&self, target: &str, path: &[Json]) -> Result<Json, String> {
        match (self.ends, target) {
            (Some([source, _]), "SOURCE") => self.record.attribute(Some(source), "SELF", path),
            (Some([_, end]), "TARGET") => self.record.attribute(Some(end), "SELF", path),
            (Some(_), "SELF") => Err("SELF is not defined here".to_owned()),
            _ => self.record.attribute(self.self_id, target, path),
        }
    }
}

impl EvaluationContext for FunctionContext<'_> {
    fn withheld(&self, digest: &str) -> Result<Json, String> {
        self.secrets.withheld(digest)
    }

    fn attribute(&self, target: &str, path: &[Json]) -> Result<Json, String> {
        let found = self.stored_attribute(target, path)?;
        if contains_concealed(&found) {
            return reveal(&found, self);
        }
        // A property can contain withheld values.
        if withheld_digests(&found).is_empty() {
            Ok(found)
        } else {
            bind(&found, self)
        }
    }

    fn attributes(&self, node: &str, path: &[Json]) -> Result<Vec<(String, Json)>, String> {
        let known = self.record.deployment.as_ref();
        let deployment = known.filter(|deployment| deployment.nodes.contains_key(node));
        let deployment = deployment.ok_or_else(|| format!("node `{node}` does not exist"))?;
        let instances = deployment.instances.iter();
        let mine = instances.filter(|instance| instance.node == node);
        let attribute = |it: &Instance| (it.id.clone(), self.record.attribute_of(it, path));
        Ok(mine.map(attribute).collect())
    }

    fn secret(&self, name: &str) -> Result<String, String> {
        self.secrets.get(name)
    }

    fn deployment(&self, call: &str, arguments: &Json) -> Result<Json, String> {
        let known = self.record.deployment.as_ref();
        let deployment = known.ok_or("the deployment does not exist yet")?;
        match (call, &strings_in(arguments)[..]) {
            ("get_sys", ["deployment", "id" | "name"]) => Ok(deployment.name.clone().into()),
            ("get_sys", ["deployment", "blueprint"]) => {
                Ok(deployment.blueprint.display().to_string().into())
            }
            ("get_sys", ["deployment", "owner"]) => {
                Ok(std::env::var("USER").unwrap_or_default().into())
            }
            ("get_sys", ["tenant", "name"]) => Ok("default_tenant".into()),
            ("get_consumers", ["count"]) => Ok(0.into()),
            ("get_consumers", _) => Ok(Json::Array(Vec::new())),
            ("get_label", [name, ..]) => label(deployment, name, arguments.get(1)),
            _ => Err(format!("`{call}` cannot be evaluated here")),
        }
    }
}

/// Returns all values of a label, or the one at the given position.
fn label(deployment: &Deployment, name: &str, at: Option<&Json>) -> Result<Json, String> {
    let values = deployment.labels.get(name).cloned();
    let values = values.ok_or_else(|| format!("the deployment has no label `{name}`"))?;
    let Some(at) = at else { return Ok(values) };
    let at = at.as_u64().or_else(|| at.as_str()?.parse().ok());
    let value = at.and_then(|at| values.get(usize::try_from(at).ok()?).cloned());
    value.ok_or_else(|| format!("label `{name}` has no value at this index"))
}

/// Returns the strings in a list of arguments, or the only argument.
fn strings_in(arguments: &Json) -> Vec<&str> {
    match arguments {
        Json::Array(list) => list.iter().filter_map(Json::as_str).collect(),
        other => vec![other.as_str().unwrap_or_default()],
    }
}
