//! Calls that are left for run time, bound just before an operation begins or when outputs are
//! asked for.

use super::{apply, index, is_pure, python_text};
use crate::syntax::{FUNCTIONS, as_literal, literal, plain};
use serde_json::{Map, Value as Json};

/// The call that stands for a value which must not be kept; its argument is a digest of it. No
/// blueprint can write it: it is put there when a deployment is made.
pub const WITHHELD: &str = "dockctl.withheld";

/// What calls at run time refer to.
pub trait Surroundings {
    /// The value that was withheld under a digest.
    ///
    /// # Errors
    ///
    /// If this run was not given it.
    fn withheld(&self, digest: &str) -> Result<Json, String>;

    /// An attribute of SELF, SOURCE, TARGET or a node.
    ///
    /// # Errors
    ///
    /// If it is not clear whose.
    fn attribute(&self, target: &str, path: &[Json]) -> Result<Json, String>;

    /// An attribute of every instance of a node, by id.
    ///
    /// # Errors
    ///
    /// If there is no such node.
    fn attributes(&self, node: &str, path: &[Json]) -> Result<Vec<(String, Json)>, String>;

    /// The text of a secret.
    ///
    /// # Errors
    ///
    /// If there is no such secret.
    fn secret(&self, name: &str) -> Result<String, String>;

    /// What the deployment says of itself: its values of a label, its name.
    ///
    /// # Errors
    ///
    /// If it does not say that.
    fn deployment(&self, call: &str, arguments: &Json) -> Result<Json, String>;

    /// Is told what a function makes of something that was withheld.
    fn note_derived(&self, _: &Json) {}

    /// The text that stands for what is not shown, where something is not: what a function makes of
    /// it is not shown either.
    fn hidden_text(&self) -> Option<&str> {
        None
    }
}

/// Whether a value without places is or holds a call.
#[must_use]
pub fn holds_call(json: &Json) -> bool {
    json_call(json).is_some() || parts(json).any(holds_call)
}

/// Whether a value holds a call whose result is not there from the beginning: what is withheld is.
#[must_use]
pub fn holds_late_call(json: &Json) -> bool {
    json_call(json).is_some_and(|(name, _)| name != WITHHELD && !is_pure(name))
        || parts(json).any(holds_late_call)
}

/// Values inside a value, but not those of what is marked as data.
fn parts(json: &Json) -> impl Iterator<Item = &Json> {
    let json = literal(json).map_or(json, |_| &Json::Null);
    let items = json.as_array().into_iter().flatten();
    items.chain(json.as_object().into_iter().flat_map(Map::values))
}

/// The name and the arguments of the call that a value without places is, if it is one.
#[must_use]
pub fn call_of(json: &Json) -> Option<(&str, &Json)> {
    json_call(json)
}

/// Whether a value without places is itself a call.
#[must_use]
pub fn is_call(json: &Json) -> bool {
    json_call(json).is_some()
}

/// The same rule as for [`call`](crate::syntax::call).
fn json_call(json: &Json) -> Option<(&str, &Json)> {
    let object = json.as_object().filter(|object| object.len() <= 2)?;
    let is_function = |key: &str| FUNCTIONS.contains(&key) || key == WITHHELD;
    let (name, arguments) = object.iter().rev().find(|(key, _)| is_function(key))?;
    object
        .keys()
        .all(|key| key == "type" || is_function(key))
        .then_some((name, arguments))
}

/// First arguments of every `get_attribute` inside a value.
#[must_use]
pub fn attribute_targets(json: &Json) -> Vec<String> {
    match json_call(json) {
        Some(("get_attribute" | "get_attributes_list" | "get_attributes_dict", arguments)) => {
            let target = arguments[0].as_str().map(str::to_owned);
            target.into_iter().collect()
        }
        _ => parts(json).flat_map(attribute_targets).collect(),
    }
}

/// Names of the secrets that a value asks for, where they are known before it is bound.
#[must_use]
pub fn secret_names(json: &Json) -> Vec<String> {
    arguments_of("get_secret", json)
        .into_iter()
        .filter_map(|it| it.as_str().or_else(|| it[0].as_str()).map(str::to_owned))
        .collect()
}

/// Digests of the texts that were withheld from a value.
#[must_use]
pub fn withheld_digests(json: &Json) -> Vec<String> {
    arguments_of(WITHHELD, json)
        .into_iter()
        .filter_map(|it| it.as_str().map(str::to_owned))
        .collect()
}

/// Arguments of every call of a function.
fn arguments_of<'j>(function: &str, json: &'j Json) -> Vec<&'j Json> {
    match json_call(json) {
        Some((name, arguments)) if name == function => vec![arguments],
        _ => parts(json)
            .flat_map(|part| arguments_of(function, part))
            .collect(),
    }
}

/// Whether a value reads an attribute.
#[must_use]
pub fn reads_attributes(json: &Json) -> bool {
    [
        "get_attribute",
        "get_attributes_list",
        "get_attributes_dict",
    ]
    .iter()
    .any(|function| !arguments_of(function, json).is_empty())
}

/// The value with something else in the place of every secret.
#[must_use]
pub fn without_secrets(json: &Json, hide: &dyn Fn(&Json) -> Json) -> Json {
    let entry = |(key, value): (&String, &Json)| (key.clone(), without_secrets(value, hide));
    match (json_call(json), json) {
        (Some(("get_secret" | WITHHELD, arguments)), _) => hide(arguments),
        _ if literal(json).is_some() => json.clone(),
        (_, Json::Array(items)) => items.iter().map(|it| without_secrets(it, hide)).collect(),
        (_, Json::Object(object)) => object.iter().map(entry).collect(),
        _ => json.clone(),
    }
}

/// Evaluates the calls inside a value. What is marked as data stays as it is, with its mark: a
/// value may be bound again.
///
/// # Errors
///
/// What the surroundings say, and calls that cannot be carried out here.
pub fn bind(json: &Json, around: &dyn Surroundings) -> Result<Json, String> {
    if let Some((name, arguments)) = json_call(json) {
        let bound = bind(arguments, around)?;
        // What is joined can be told apart: the rest of it is shown.
        if let Some(hidden) = around
            .hidden_text()
            .filter(|hidden| is_pure(name) && name != "concat" && holds_text(&bound, hidden))
        {
            return Ok(hidden.into());
        }
        let data = plain(&bound);
        let result = match apply(name, &data) {
            Some(result) => result
                .map(|it| if data == bound { it } else { as_literal(&it) })
                .map_err(|(_, message)| message)?,
            None => return call(name, &bound, around),
        };
        if !withheld_digests(arguments).is_empty() {
            around.note_derived(&result);
        }
        return Ok(result);
    }
    match json {
        _ if literal(json).is_some() => Ok(json.clone()),
        Json::Array(items) => items.iter().map(|item| bind(item, around)).collect(),
        Json::Object(object) => {
            let entries = object
                .iter()
                .map(|(key, value)| Ok((key.clone(), bind(value, around)?)));
            Ok(Json::Object(entries.collect::<Result<_, String>>()?))
        }
        _ => Ok(json.clone()),
    }
}

fn holds_text(json: &Json, text: &str) -> bool {
    match json {
        Json::String(found) => found.contains(text),
        Json::Array(items) => items.iter().any(|item| holds_text(item, text)),
        Json::Object(object) => object
            .iter()
            .any(|(key, value)| key.contains(text) || holds_text(value, text)),
        _ => false,
    }
}

fn call(name: &str, arguments: &Json, around: &dyn Surroundings) -> Result<Json, String> {
    match (name, arguments.as_array().map(Vec::as_slice)) {
        ("get_attribute", Some([Json::String(target), path @ ..])) => {
            around.attribute(target, path)
        }
        ("get_attributes_list", Some([Json::String(node), path @ ..])) => Ok(around
            .attributes(node, path)?
            .into_iter()
            .map(|(_, value)| value)
            .collect()),
        ("get_attributes_dict", Some([Json::String(node), paths @ ..])) => {
            attributes_dict(node, paths, around)
        }
        ("get_secret", None) => around
            .secret(arguments.as_str().unwrap_or_default())
            .map(Json::String),
        ("get_secret", Some([Json::String(name), path @ ..])) => secret_part(name, path, around),
        (WITHHELD, None) => around.withheld(arguments.as_str().unwrap_or_default()),
        ("get_label" | "get_sys" | "get_consumers", _) => around.deployment(name, arguments),
        _ => Err(format!("`{name}` cannot be evaluated here")),
    }
}

fn attributes_dict(node: &str, paths: &[Json], around: &dyn Surroundings) -> Result<Json, String> {
    let mut instances = Json::Object(Map::new());
    for path in paths {
        let key = dotted(path);
        for (id, value) in around.attributes(node, steps(path))? {
            instances[id][key.as_str()] = value;
        }
    }
    Ok(instances)
}

fn dotted(path: &Json) -> String {
    let steps: Vec<String> = steps(path).iter().map(python_text).collect();
    steps.join(".")
}

/// The steps of a path: a list of them, or the only one.
fn steps(path: &Json) -> &[Json] {
    path.as_array()
        .map_or(std::slice::from_ref(path), Vec::as_slice)
}

/// A secret that is JSON, and a way into it.
fn secret_part(name: &str, path: &[Json], around: &dyn Surroundings) -> Result<Json, String> {
    let whole: Json = serde_json::from_str(&around.secret(name)?)
        .map_err(|_| format!("the secret `{name}` is no JSON, so it has no keys"))?;
    lookup(&whole, path)
        .cloned()
        .ok_or_else(|| format!("the secret `{name}` has no such key"))
}

/// Follows keys and indexes into a value without places; nothing where there is nothing.
#[must_use]
pub fn lookup<'j>(json: &'j Json, path: &[Json]) -> Option<&'j Json> {
    path.iter().try_fold(json, |json, step| match step {
        Json::String(key) => literal(json).unwrap_or(json).get(key),
        Json::Number(at) => {
            let list = json.as_array()?;
            list.get(index(at.as_i64()?, list.len())?)
        }
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    struct Stub;

    impl Surroundings for Stub {
        fn withheld(&self, digest: &str) -> Result<Json, String> {
            Err(format!("{digest} is not known"))
        }

        fn attribute(&self, target: &str, path: &[Json]) -> Result<Json, String> {
            Ok(json!(format!(
                "{target}/{}",
                path[0].as_str().unwrap_or_default()
            )))
        }

        fn attributes(&self, node: &str, path: &[Json]) -> Result<Vec<(String, Json)>, String> {
            Ok((1..=2)
                .map(|n| {
                    (
                        format!("{node}_{n}"),
                        json!(format!("{}{n}", path[0].as_str().unwrap_or_default())),
                    )
                })
                .collect())
        }

        fn secret(&self, name: &str) -> Result<String, String> {
            if name == "json" {
                Ok(r#"{"user": ["root"]}"#.into())
            } else {
                Err(format!("there is no secret `{name}`"))
            }
        }

        fn deployment(&self, call: &str, _: &Json) -> Result<Json, String> {
            Ok(json!(call))
        }
    }

    #[test]
    fn late_calls_are_bound_inside_out() {
        let value = json!({"command": {"concat": ["--db=", {"get_attribute": ["db", "ip"]}]}, "plain": {"get_nothing": 1}});
        assert_eq!(
            bind(&value, &Stub).unwrap(),
            json!({"command": "--db=db/ip", "plain": {"get_nothing": 1}})
        );
        assert_eq!(
            bind(
                &json!({"string_upper": {"get_attribute": ["db", "ip"]}}),
                &Stub
            )
            .unwrap(),
            json!("DB/IP")
        );
    }

    #[test]
    fn what_is_marked_as_data_is_never_evaluated() {
        let data = json!({"dockctl.literal": {"get_secret": "x"}});
        assert_eq!(bind(&data, &Stub).unwrap(), data);
        assert!(!holds_call(&data) && !holds_late_call(&data));
        assert!(secret_names(&json!([data])).is_empty());
        assert_eq!(without_secrets(&data, &|_| Json::Null), data);
        let merged = json!({"merge": [{"a": 1}, data]});
        assert_eq!(
            bind(&merged, &Stub).unwrap(),
            json!({"dockctl.literal": {"a": 1, "get_secret": "x"}})
        );
        assert_eq!(lookup(&data, &[json!("get_secret")]), Some(&json!("x")));
    }

    #[test]
    fn attributes_of_all_instances_are_found() {
        assert_eq!(
            bind(&json!({"get_attributes_list": ["web", "ip"]}), &Stub).unwrap(),
            json!(["ip1", "ip2"])
        );
        let dict = bind(
            &json!({"get_attributes_dict": ["web", "ip", ["net", "a"]]}),
            &Stub,
        )
        .unwrap();
        assert_eq!(
            dict,
            json!({"web_1": {"ip": "ip1", "net.a": "net1"}, "web_2": {"ip": "ip2", "net.a": "net2"}})
        );
    }

    #[test]
    fn secrets_can_be_looked_into() {
        assert_eq!(
            bind(&json!({"get_secret": ["json", "user", 0]}), &Stub).unwrap(),
            json!("root")
        );
        assert_eq!(
            bind(&json!({"get_secret": "other"}), &Stub).unwrap_err(),
            "there is no secret `other`"
        );
    }

    #[test]
    fn secrets_can_be_left_out() {
        let value = json!({"concat": ["--pin=", {"get_secret": "pin"}]});
        let hidden = without_secrets(&value, &|name| {
            json!(format!("<{}>", name.as_str().unwrap_or_default()))
        });
        assert_eq!(bind(&hidden, &Stub).unwrap(), json!("--pin=<pin>"));
    }

    #[test]
    fn paths_count_from_the_end_too() {
        assert_eq!(
            lookup(&json!({"a": [1, 2]}), &[json!("a"), json!(-1)]),
            Some(&json!(2))
        );
        assert_eq!(lookup(&json!({"a": [1, 2]}), &[json!("a"), json!(2)]), None);
    }
}
