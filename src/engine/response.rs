//! Validation of engine responses: the kind of a response, and object IDs. A response that is not a
//! list must not count as an empty list, or running objects would appear to be gone. All other
//! fields may be null or absent: older engines and Podman return fewer fields.

use crate::engine::{
    Kind,
    error::{EngineError, Result},
};
use serde_json::{Map as JsonMap, Value as Json};

/// Returns the path that lists the objects of a kind.
pub(crate) fn list_path(kind: Kind) -> &'static str {
    match kind {
        Kind::Container => "/containers/json",
        Kind::Image => "/images/json",
        Kind::Network => "/networks",
        Kind::Volume => "/volumes",
    }
}

/// Returns the path of one object.
pub(crate) fn object_path(kind: Kind, name: &str) -> String {
    match kind {
        Kind::Container => format!("/containers/{name}/json"),
        Kind::Image => format!("/images/{name}/json"),
        Kind::Network => format!("/networks/{name}"),
        Kind::Volume => format!("/volumes/{name}"),
    }
}

/// Returns the objects of a list. Each must have an ID.
pub(crate) fn list(answer: Json, kind: Kind) -> Result<Vec<Json>> {
    let wrong = || EngineError::Unexpected(format!("expected a list of {}s", kind.as_str()));
    let items = items(answer, kind).ok_or_else(wrong)?;
    items.into_iter().map(|item| object(item, kind)).collect()
}

/// Returns the items of a list, or `None` if the response is not a list.
fn items(answer: Json, kind: Kind) -> Option<Vec<Json>> {
    match answer {
        Json::Object(fields) if kind == Kind::Volume => volumes(fields),
        Json::Array(items) if kind != Kind::Volume => Some(items),
        _ => None,
    }
}

fn volumes(mut fields: JsonMap<String, Json>) -> Option<Vec<Json>> {
    match fields.shift_remove("Volumes")? {
        // Some engines return null if there are no volumes.
        Json::Null => Some(Vec::new()),
        Json::Array(items) => Some(items),
        _ => None,
    }
}

/// Returns one object. It must have an ID.
pub(crate) fn object(answer: Json, kind: Kind) -> Result<Json> {
    let field = if kind == Kind::Volume { "Name" } else { "Id" };
    let has_id = answer.is_object() && answer[field].as_str().is_some_and(|id| !id.is_empty());
    let what = kind.as_str();
    validated(answer, has_id, || {
        format!("expected one {what} with field `{field}`")
    })
}

/// Checks that an object requested by its full ID is that object.
pub(crate) fn verify_id(answer: Json, name: &str) -> Result<Json> {
    let wanted = bare_id(name);
    let is_id = wanted.len() == 64 && wanted.bytes().all(|c| c.is_ascii_hexdigit());
    let found = answer["Id"].as_str().map(bare_id);
    let is_other = is_id && found.is_some_and(|found| found != wanted);
    validated(answer, !is_other, || {
        format!("expected {name}, but got another object")
    })
}

/// Strips the digest algorithm from an ID.
fn bare_id(id: &str) -> &str {
    id.strip_prefix("sha256:").unwrap_or(id)
}

/// Returns the response if it is valid, otherwise an error with the reason.
fn validated(answer: Json, fits: bool, why: impl FnOnce() -> String) -> Result<Json> {
    if fits {
        Ok(answer)
    } else {
        Err(EngineError::Unexpected(why()))
    }
}

/// Checks that the engine confirms success: the response is empty or names the affected objects.
/// Podman also reports an error for each object.
pub(crate) fn confirm_success(answer: Json) -> Result<()> {
    let items = entries(answer);
    match items.iter().find_map(error_of) {
        Some(error) => Err(EngineError::Reported(error.to_owned())),
        None if items.iter().all(names_affected_object) => Ok(()),
        None => Err(EngineError::Unexpected(
            "the engine did not confirm the operation".to_owned(),
        )),
    }
}

/// Returns the entry of each affected object.
fn entries(answer: Json) -> Vec<Json> {
    match answer {
        Json::Null => Vec::new(),
        Json::Array(items) => items,
        item => vec![item],
    }
}

fn error_of(item: &Json) -> Option<&str> {
    item["Err"].as_str().filter(|error| !error.is_empty())
}

fn names_affected_object(item: &Json) -> bool {
    let known = ["Id", "ID", "Untagged", "Deleted", "Warnings"];
    item.as_object()
        .is_some_and(|fields| known.iter().any(|field| fields.contains_key(*field)))
}

/// Checks that a response is a JSON object.
pub(crate) fn mapping(answer: Json) -> Result<Json> {
    let is_mapping = answer.is_object();
    validated(answer, is_mapping, || "expected a JSON object".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn list_contains_objects_with_ids() {
        let count = |answer: Json, kind| list(answer, kind).map(|all| all.len()).ok();
        assert_eq!(
            count(
                json!([{ "Id": "1" }, { "Id": "2", "Names": null }]),
                Kind::Container
            ),
            Some(2)
        );
        assert_eq!(count(json!([]), Kind::Network), Some(0));
        assert_eq!(count(json!({ "Volumes": null }), Kind::Volume), Some(0));
        assert_eq!(
            count(json!({ "Volumes": [{ "Name": "a" }] }), Kind::Volume),
            Some(1)
        );
        for wrong in [
            json!(null),
            json!({ "a": 1 }),
            json!("x"),
            json!([null]),
            json!([{ "a": 1 }]),
            json!([{ "Id": "" }]),
            json!([{ "Id": 7 }]),
        ] {
            for kind in [Kind::Container, Kind::Image, Kind::Network, Kind::Volume] {
                assert_eq!(count(wrong.clone(), kind), None, "{wrong} {kind:?}");
            }
        }
        assert_eq!(count(json!([]), Kind::Volume), None);
        assert_eq!(count(json!({ "Volumes": {} }), Kind::Volume), None);
    }

    #[test]
    fn success_is_empty_or_names_affected_objects() {
        for right in [
            json!(null),
            json!([]),
            json!([{ "Id": "1", "Err": null }]),
            json!([{ "Deleted": "sha256:1" }]),
            json!({ "Warnings": null }),
        ] {
            assert!(confirm_success(right.clone()).is_ok(), "{right}");
        }
        for wrong in [
            json!({ "a": 1 }),
            json!([null]),
            json!("x"),
            json!(true),
            json!([{ "Id": "1", "Err": "in use" }]),
        ] {
            assert!(confirm_success(wrong.clone()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn object_has_the_requested_id() {
        let (one, other) = ("1".repeat(64), "2".repeat(64));
        assert!(verify_id(json!({ "Id": one }), &one).is_ok());
        assert!(verify_id(json!({ "Id": other }), &one).is_err());
        assert!(verify_id(json!({ "Id": format!("sha256:{one}") }), &one).is_ok());
        assert!(
            verify_id(json!({ "Id": other }), "web").is_ok(),
            "a name does not determine the ID"
        );
        assert!(object(json!({ "a": 1 }), Kind::Image).is_err());
        assert!((mapping(json!(null)).is_err(), mapping(json!({})).is_ok()) == (true, true));
    }
}
