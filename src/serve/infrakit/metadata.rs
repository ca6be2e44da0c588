//! The interface `Metadata`: what the engine says about the containers of instances, as a tree. It
//! is fetched on demand.

use super::{
    api::Tags,
    instances::{ID_LENGTH, Instances},
};
use crate::{
    printable::on_one_line,
    seam::{Target, labeling::GROUP},
    serve::json_rpc::RpcError,
};
use serde_json::{Value as Json, json};

/// The only name at the root.
const ROOT: &str = "containers";

/// Returns the result of `Metadata.List` and `Metadata.Keys`: the names below a path.
///
/// # Errors
///
/// If an engine cannot be asked.
pub(crate) async fn list(instances: &Instances, path: &[String]) -> Result<Json, RpcError> {
    let nodes = match path {
        [] => Some(vec![ROOT.to_owned()]),
        [root] if root == ROOT => {
            let found = containers(instances).await?;
            Some(found.into_iter().map(|(id, _)| id).collect())
        }
        _ => value(instances, path).await?.as_ref().and_then(names),
    };
    Ok(json!({ "Nodes": nodes }))
}

/// Returns the result of `Metadata.Get`: the value at a path; null if there is none.
///
/// # Errors
///
/// If an engine cannot be asked.
pub(crate) async fn get(instances: &Instances, path: &[String]) -> Result<Json, RpcError> {
    Ok(json!({ "Value": value(instances, path).await? }))
}

/// Returns the IDs of containers that belong to a group, with their engines. Engines of further
/// subtypes that are away are left out.
async fn containers(instances: &Instances) -> Result<Vec<(String, Target)>, RpcError> {
    let mut all = Vec::new();
    for subtype in instances.subtypes.keys() {
        let found = match of_engine(instances, subtype).await {
            Err(error) if !subtype.is_empty() => {
                tracing::warn!(subtype, error = %on_one_line(&error.message), "its containers are left out of the metadata");
                continue;
            }
            found => found?,
        };
        all.extend(found);
    }
    all.sort_by(|(one, _), (other, _)| one.cmp(other));
    all.dedup_by(|(one, _), (other, _)| one == other);
    Ok(all)
}

async fn of_engine(
    instances: &Instances,
    subtype: &str,
) -> Result<Vec<(String, Target)>, RpcError> {
    let target = instances.ready(subtype).await?;
    let found = instances.list(&target, &Tags::new()).await?;
    let grouped = found
        .into_iter()
        .filter(|found| found.labels.contains_key(GROUP));
    Ok(grouped.map(|found| (found.id, target.clone())).collect())
}

async fn value(instances: &Instances, path: &[String]) -> Result<Option<Json>, RpcError> {
    let [root, id, inner @ ..] = path else {
        return Ok(None);
    };
    if root != ROOT || id.len() < ID_LENGTH {
        return Ok(None);
    }
    let known = containers(instances).await?;
    let Some((id, target)) = known
        .into_iter()
        .find(|(known, _)| known.starts_with(&id[..]))
    else {
        return Ok(None);
    };
    let described = instances.with_index(async |index| index.describe(&target, &id).await);
    let document = described.await?.map(without_environment);
    Ok(document.and_then(|document| at(&document, inner)))
}

/// Removes the environment of a container, where secrets are.
fn without_environment(mut document: Json) -> Json {
    if let Some(config) = document.get_mut("Config").and_then(Json::as_object_mut) {
        config.shift_remove("Env");
    }
    document
}

fn at(value: &Json, path: &[String]) -> Option<Json> {
    let step = |value: &Json, step: &String| match value {
        Json::Object(fields) => fields.get(step).cloned(),
        Json::Array(items) => items.get(step.parse::<usize>().ok()?).cloned(),
        _ => None,
    };
    path.iter()
        .try_fold(value.clone(), |value, name| step(&value, name))
}

/// Returns the names below a value; none if it has no inside.
fn names(value: &Json) -> Option<Vec<String>> {
    match value {
        Json::Object(fields) => Some(fields.keys().cloned().collect()),
        Json::Array(items) => Some((0..items.len()).map(|at| at.to_string()).collect()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_by_keys_and_positions_and_the_environment_is_hidden() {
        let document = json!({ "Config": { "Env": ["SECRET=x"], "Cmd": ["a", "b"] }, "Id": "c" });
        let document = without_environment(document);
        let path = |path: &str| {
            path.split('/')
                .filter(|step| !step.is_empty())
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        assert_eq!(at(&document, &path("Config/Cmd/1")), Some(json!("b")));
        assert_eq!(
            at(&document, &path("Config")),
            Some(json!({ "Cmd": ["a", "b"] }))
        );
        assert_eq!(at(&document, &path("Config/Env")), None);
        assert_eq!(at(&document, &path("Id/x")), None);
        assert_eq!(
            names(&document),
            Some(vec!["Config".to_owned(), "Id".to_owned()])
        );
        assert_eq!(names(&json!(["x"])), Some(vec!["0".to_owned()]));
        assert_eq!(names(&json!("x")), None);
    }
}
