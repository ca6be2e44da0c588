//! What functions at run time refer to.

use super::Record;
use crate::{
    model::function::{Surroundings, bind, withheld_digests},
    secrets::Secrets,
};
use serde_json::Value as Json;

/// What functions at run time refer to: a record, an instance in it, the secrets.
#[derive(Clone, Copy)]
pub struct Around<'a> {
    /// What is known.
    pub record: &'a Record,
    /// Who SELF is; nobody in outputs.
    pub me: Option<&'a str>,
    /// In an operation of a relationship who SOURCE and TARGET are.
    pub ends: Option<[&'a str; 2]>,
    /// Where secrets come from.
    pub secrets: &'a Secrets,
}

impl<'a> Around<'a> {
    /// What an instance refers to.
    #[must_use]
    pub fn of(record: &'a Record, me: &'a str, secrets: &'a Secrets) -> Self {
        Self {
            record,
            me: Some(me),
            ends: None,
            secrets,
        }
    }
}

impl Surroundings for Around<'_> {
    fn withheld(&self, digest: &str) -> Result<Json, String> {
        self.secrets.withheld(digest)
    }

    fn attribute(&self, target: &str, path: &[Json]) -> Result<Json, String> {
        let end = self.ends.and_then(|[source, of_target]| match target {
            "SOURCE" => Some(source),
            "TARGET" => Some(of_target),
            _ => None,
        });
        if self.ends.is_some() && target == "SELF" {
            return Err("SELF stands for nothing here".to_owned());
        }
        let found = match end {
            Some(id) => self.record.attribute(Some(id), "SELF", path)?,
            None => self.record.attribute(self.me, target, path)?,
        };
        // A property can be sensitive.
        if withheld_digests(&found).is_empty() {
            Ok(found)
        } else {
            bind(&found, self)
        }
    }

    fn attributes(&self, node: &str, path: &[Json]) -> Result<Vec<(String, Json)>, String> {
        let deployment = self
            .record
            .deployment
            .as_ref()
            .filter(|deployment| deployment.nodes.contains_key(node));
        let deployment = deployment.ok_or_else(|| format!("there is no node `{node}`"))?;
        let mine = deployment
            .instances
            .iter()
            .filter(|instance| instance.node == node);
        Ok(mine
            .map(|instance| {
                (
                    instance.id.clone(),
                    self.record.attribute_of(instance, path),
                )
            })
            .collect())
    }

    fn secret(&self, name: &str) -> Result<String, String> {
        self.secrets.get(name)
    }

    fn deployment(&self, call: &str, arguments: &Json) -> Result<Json, String> {
        let deployment = self
            .record
            .deployment
            .as_ref()
            .ok_or("there is no deployment yet")?;
        let words: Vec<&str> = arguments.as_array().map_or_else(
            || vec![arguments.as_str().unwrap_or_default()],
            |list| list.iter().filter_map(Json::as_str).collect(),
        );
        match (call, &words[..]) {
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
            ("get_label", [name, ..]) => {
                let values = deployment
                    .labels
                    .get(*name)
                    .cloned()
                    .ok_or_else(|| format!("the deployment has no label `{name}`"))?;
                match arguments
                    .get(1)
                    .map(|at| at.as_u64().or_else(|| at.as_str()?.parse().ok()))
                {
                    None => Ok(values),
                    Some(at) => at
                        .and_then(|at| values.get(usize::try_from(at).ok()?).cloned())
                        .ok_or_else(|| format!("the label `{name}` has no such value")),
                }
            }
            _ => Err(format!("`{call}` cannot be evaluated here")),
        }
    }
}
