//! Evaluates calls at run time: just before an operation starts, or when outputs are read.

use super::{apply, index, is_pure, python_text};
use crate::syntax::{FUNCTIONS, as_literal, literal, without_marks};
use serde_json::{Map, Value as Json};

/// Call that replaces a withheld value; its argument is the digest of the value. A blueprint cannot
/// contain it: it is inserted when a deployment is created.
pub const WITHHELD: &str = "dockctl.withheld";

/// Context of calls at run time: the values that they read.
pub trait EvaluationContext {
    /// Returns the value that was withheld under a digest.
    ///
    /// # Errors
    ///
    /// If this run does not have the value.
    fn withheld(&self, digest: &str) -> Result<Json, String>;

    /// Returns an attribute of SELF, SOURCE, TARGET or a node.
    ///
    /// # Errors
    ///
    /// If the target is not a single, known instance.
    fn attribute(&self, target: &str, path: &[Json]) -> Result<Json, String>;

    /// Returns an attribute of each instance of a node, by ID.
    ///
    /// # Errors
    ///
    /// If there is no such node.
    fn attributes(&self, node: &str, path: &[Json]) -> Result<Vec<(String, Json)>, String>;

    /// Returns the text of a secret.
    ///
    /// # Errors
    ///
    /// If there is no such secret.
    fn secret(&self, name: &str) -> Result<String, String>;

    /// Returns data of the deployment itself: its values of a label, its name.
    ///
    /// # Errors
    ///
    /// If the deployment does not have this data.
    fn deployment(&self, call: &str, arguments: &Json) -> Result<Json, String>;

    /// Receives the result of a function that has a withheld argument.
    fn register_derived(&self, _: &Json) {}

    /// Returns the placeholder for hidden values, if values are hidden. Results of functions with
    /// hidden arguments are hidden too.
    fn placeholder(&self) -> Option<&str> {
        None
    }
}

/// Returns true if a JSON value is or contains a call.
#[must_use]
pub fn contains_call(json: &Json) -> bool {
    find_call(json).is_some() || parts(json).any(contains_call)
}

/// Returns true if a JSON value contains a call that depends on run time. Withheld values do not:
/// they are known from the beginning.
#[must_use]
pub fn contains_late_call(json: &Json) -> bool {
    find_call(json).is_some_and(|(name, _)| name != WITHHELD && !is_pure(name))
        || parts(json).any(contains_late_call)
}

/// Returns the values inside a value, but none inside literal data.
fn parts(json: &Json) -> impl Iterator<Item = &Json> {
    let json = literal(json).map_or(json, |_| &Json::Null);
    let items = json.as_array().into_iter().flatten();
    items.chain(json.as_object().into_iter().flat_map(Map::values))
}

/// Returns the name and the arguments of a JSON value that is a call.
#[must_use]
pub fn call_of(json: &Json) -> Option<(&str, &Json)> {
    find_call(json)
}

/// Returns true if a JSON value is a call.
#[must_use]
pub fn is_call(json: &Json) -> bool {
    find_call(json).is_some()
}

/// Recognizes a call by the rule of [`call`](crate::syntax::call).
fn find_call(json: &Json) -> Option<(&str, &Json)> {
    let object = json.as_object().filter(|object| object.len() <= 2)?;
    let is_function = |key: &str| FUNCTIONS.contains(&key) || key == WITHHELD;
    let (name, arguments) = object.iter().rev().find(|(key, _)| is_function(key))?;
    object
        .keys()
        .all(|key| key == "type" || is_function(key))
        .then_some((name, arguments))
}

/// Returns the first argument of each call that reads attributes.
#[must_use]
pub fn attribute_targets(json: &Json) -> Vec<String> {
    match find_call(json) {
        Some(("get_attribute" | "get_attributes_list" | "get_attributes_dict", arguments)) => {
            let target = arguments[0].as_str().map(str::to_owned);
            target.into_iter().collect()
        }
        _ => parts(json).flat_map(attribute_targets).collect(),
    }
}

/// Returns the names of the secrets that a value reads, as far as they are constant.
#[must_use]
pub fn secret_names(json: &Json) -> Vec<String> {
    arguments_of("get_secret", json)
        .into_iter()
        .filter_map(|it| it.as_str().or_else(|| it[0].as_str()).map(str::to_owned))
        .collect()
}

/// Returns the digests of the values that were withheld from a value.
#[must_use]
pub fn withheld_digests(json: &Json) -> Vec<String> {
    arguments_of(WITHHELD, json)
        .into_iter()
        .filter_map(|it| it.as_str().map(str::to_owned))
        .collect()
}

/// Returns the arguments of each call of a function.
fn arguments_of<'j>(function: &str, json: &'j Json) -> Vec<&'j Json> {
    match find_call(json) {
        Some((name, arguments)) if name == function => vec![arguments],
        _ => parts(json)
            .flat_map(|part| arguments_of(function, part))
            .collect(),
    }
}

/// Returns true if a value reads an attribute.
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

/// Replaces each secret and each withheld value inside a value by the result of `hide`.
#[must_use]
pub fn replace_secrets(json: &Json, hide: &dyn Fn(&Json) -> Json) -> Json {
    let entry = |(key, value): (&String, &Json)| (key.clone(), replace_secrets(value, hide));
    match (find_call(json), json) {
        (Some(("get_secret" | WITHHELD, arguments)), _) => hide(arguments),
        _ if literal(json).is_some() => json.clone(),
        (_, Json::Array(items)) => items.iter().map(|it| replace_secrets(it, hide)).collect(),
        (_, Json::Object(object)) => object.iter().map(entry).collect(),
        _ => json.clone(),
    }
}

/// Evaluates the calls inside a value. Literal data keeps its mark, because a value may be
/// evaluated again.
///
/// # Errors
///
/// If the context returns an error, or a call cannot be evaluated at run time.
pub fn bind(json: &Json, context: &dyn EvaluationContext) -> Result<Json, String> {
    if let Some((name, arguments)) = find_call(json) {
        let bound = bind(arguments, context)?;
        // `concat` is not hidden as a whole: only its hidden arguments are placeholders.
        if let Some(hidden) = context
            .placeholder()
            .filter(|hidden| is_pure(name) && name != "concat" && contains_text(&bound, hidden))
        {
            return Ok(hidden.into());
        }
        let data = without_marks(&bound);
        let result = match apply(name, &data) {
            Some(result) => result
                .map(|it| if data == bound { it } else { as_literal(&it) })
                .map_err(|(_, message)| message)?,
            None => return call(name, &bound, context),
        };
        if !withheld_digests(arguments).is_empty() {
            context.register_derived(&result);
        }
        return Ok(result);
    }
    match json {
        _ if literal(json).is_some() => Ok(json.clone()),
        Json::Array(items) => items.iter().map(|item| bind(item, context)).collect(),
        Json::Object(object) => {
            let entries = object
                .iter()
                .map(|(key, value)| Ok((key.clone(), bind(value, context)?)));
            Ok(Json::Object(entries.collect::<Result<_, String>>()?))
        }
        _ => Ok(json.clone()),
    }
}

fn contains_text(json: &Json, text: &str) -> bool {
    match json {
        Json::String(found) => found.contains(text),
        Json::Array(items) => items.iter().any(|item| contains_text(item, text)),
        Json::Object(object) => object
            .iter()
            .any(|(key, value)| key.contains(text) || contains_text(value, text)),
        _ => false,
    }
}

fn call(name: &str, arguments: &Json, context: &dyn EvaluationContext) -> Result<Json, String> {
    match (name, arguments.as_array().map(Vec::as_slice)) {
        ("get_attribute", Some([Json::String(target), path @ ..])) => {
            context.attribute(target, path)
        }
        ("get_attributes_list", Some([Json::String(node), path @ ..])) => Ok(context
            .attributes(node, path)?
            .into_iter()
            .map(|(_, value)| value)
            .collect()),
        ("get_attributes_dict", Some([Json::String(node), paths @ ..])) => {
            attributes_dict(node, paths, context)
        }
        ("get_secret", None) => context
            .secret(arguments.as_str().unwrap_or_default())
            .map(Json::String),
        ("get_secret", Some([Json::String(name), path @ ..])) => secret_part(name, path, context),
        (WITHHELD, None) => context.withheld(arguments.as_str().unwrap_or_default()),
        ("get_label" | "get_sys" | "get_consumers", _) => context.deployment(name, arguments),
        _ => Err(format!("`{name}` cannot be evaluated at run time")),
    }
}

fn attributes_dict(
    node: &str,
    paths: &[Json],
    context: &dyn EvaluationContext,
) -> Result<Json, String> {
    let mut instances = Json::Object(Map::new());
    for path in paths {
        let key = dotted(path);
        for (id, value) in context.attributes(node, steps(path))? {
            instances[id][key.as_str()] = value;
        }
    }
    Ok(instances)
}

fn dotted(path: &Json) -> String {
    let steps: Vec<String> = steps(path).iter().map(python_text).collect();
    steps.join(".")
}

/// Returns the steps of a path: its items, or the only step.
fn steps(path: &Json) -> &[Json] {
    path.as_array()
        .map_or(std::slice::from_ref(path), Vec::as_slice)
}

/// Returns a part of a secret whose text is JSON.
fn secret_part(name: &str, path: &[Json], context: &dyn EvaluationContext) -> Result<Json, String> {
    let whole: Json = serde_json::from_str(&context.secret(name)?)
        .map_err(|_| format!("the secret `{name}` is not JSON and has no keys"))?;
    lookup(&whole, path)
        .cloned()
        .ok_or_else(|| format!("the secret `{name}` has no such key"))
}

/// Follows keys and indexes into a JSON value. Returns `None` if a step does not exist.
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

    impl EvaluationContext for Stub {
        fn withheld(&self, digest: &str) -> Result<Json, String> {
            Err(format!("unknown digest {digest}"))
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
    fn late_calls_are_evaluated_inside_out() {
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
    fn literal_data_is_never_evaluated() {
        let data = json!({"dockctl.literal": {"get_secret": "x"}});
        assert_eq!(bind(&data, &Stub).unwrap(), data);
        assert!(!contains_call(&data) && !contains_late_call(&data));
        assert!(secret_names(&json!([data])).is_empty());
        assert_eq!(replace_secrets(&data, &|_| Json::Null), data);
        let merged = json!({"merge": [{"a": 1}, data]});
        assert_eq!(
            bind(&merged, &Stub).unwrap(),
            json!({"dockctl.literal": {"a": 1, "get_secret": "x"}})
        );
        assert_eq!(lookup(&data, &[json!("get_secret")]), Some(&json!("x")));
    }

    #[test]
    fn attributes_of_all_instances_are_returned() {
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
    fn parts_of_json_secrets_can_be_read() {
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
    fn secrets_can_be_replaced() {
        let value = json!({"concat": ["--pin=", {"get_secret": "pin"}]});
        let hidden = replace_secrets(&value, &|name| {
            json!(format!("<{}>", name.as_str().unwrap_or_default()))
        });
        assert_eq!(bind(&hidden, &Stub).unwrap(), json!("--pin=<pin>"));
    }

    #[test]
    fn negative_indexes_count_from_the_end() {
        assert_eq!(
            lookup(&json!({"a": [1, 2]}), &[json!("a"), json!(-1)]),
            Some(&json!(2))
        );
        assert_eq!(lookup(&json!({"a": [1, 2]}), &[json!("a"), json!(2)]), None);
    }
}
