//! Intrinsic functions: how they are written, checked, and evaluated at deployment and at run time.

use super::{Blueprint, Node};
use crate::{
    diagnostic::{Code, Diagnostic, Span},
    syntax::{Data, Map, Value, ast::Ast, python_float},
};
use indexmap::IndexMap;
use serde_json::Value as Json;
use std::sync::Arc;

/// Every function of the DSL. A mapping with one key that is not among them is plain data.
const NAMES: [&str; 19] = [
    "get_input",
    "get_property",
    "get_attribute",
    "concat",
    "merge",
    "string_find",
    "string_replace",
    "string_split",
    "string_lower",
    "string_upper",
    "get_attributes_list",
    "get_attributes_dict",
    "get_secret",
    "get_capability",
    "get_group_capability",
    "get_environment_capability",
    "get_label",
    "get_sys",
    "get_consumers",
];

/// Deepest nesting of calls that refer to each other.
const DEPTH: usize = 50;

/// A function call: a mapping of the function's name to its arguments.
#[derive(Clone, Copy)]
pub struct Call<'v> {
    /// Name of the function.
    pub name: &'v str,
    /// Its arguments.
    pub arguments: &'v Value,
    /// The whole call.
    pub span: Span,
}

/// The call that a value is, if it is one. A second key `type` is allowed.
#[must_use]
pub fn call(value: &Value) -> Option<Call<'_>> {
    let entries = &value.as_map()?.entries;
    let function = entries.iter().find(|(key, _)| key.as_str().is_some_and(|key| NAMES.contains(&key)))?;
    let fits = entries.len() == 1 || (entries.len() == 2 && value.get("type").is_some());
    fits.then_some(Call { name: function.0.as_str()?, arguments: &function.1, span: function.0.span })
}

/// Whether a value without places is or holds a call.
#[must_use]
pub fn holds_call(json: &Json) -> bool {
    match json {
        Json::Array(items) => items.iter().any(holds_call),
        Json::Object(object) => json_call(json).is_some() || object.values().any(holds_call),
        _ => false,
    }
}

/// Whether a value without places is itself a call.
#[must_use]
pub fn is_call(json: &Json) -> bool {
    json_call(json).is_some()
}

fn json_call(json: &Json) -> Option<(&str, &Json)> {
    let object = json.as_object()?;
    let (name, arguments) = object.iter().find(|(key, _)| NAMES.contains(&key.as_str()))?;
    (object.len() == 1 || (object.len() == 2 && object.contains_key("type"))).then_some((name, arguments))
}

/// Where a call stands; that decides which of SELF, SOURCE and TARGET it may use.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Scope {
    Node,
    Relationship,
    Outputs,
}

/// Checks the shape and the names of every call in a blueprint.
pub(super) fn check(blueprint: &Blueprint, ast: &Ast, d: &mut Vec<Diagnostic>) {
    let mut checker = Checker { ast, d };
    for node in blueprint.nodes.values() {
        node.properties.values().chain([&node.deploy]).for_each(|value| checker.value(value, Scope::Node));
        node.operations.values().flat_map(|operation| operation.inputs.values()).for_each(|value| checker.value(value, Scope::Node));
        let ties = node.relationships.iter().flat_map(|relationship| relationship.operations.values());
        ties.flat_map(|operation| operation.inputs.values()).for_each(|value| checker.value(value, Scope::Relationship));
    }
    for output in blueprint.outputs.values().chain(blueprint.capabilities.values()) {
        checker.value(&output.body.value, Scope::Outputs);
    }
}

struct Checker<'a> {
    ast: &'a Ast,
    d: &'a mut Vec<Diagnostic>,
}

impl Checker<'_> {
    fn value(&mut self, value: &Value, scope: Scope) {
        if let Some(call) = call(value) {
            self.call(call, scope);
        }
        match &value.data {
            Data::List(list) => list.iter().for_each(|item| self.value(item, scope)),
            Data::Map(map) => map.entries.iter().for_each(|(_, value)| self.value(value, scope)),
            _ => {}
        }
    }

    fn call(&mut self, call: Call<'_>, scope: Scope) {
        match call.name {
            "get_input" => self.get_input(call),
            "get_property" | "get_attribute" => self.of_node(call, scope),
            "concat" if call.arguments.as_list().is_none() => self.shape(call, "a list"),
            "concat" => {}
            name => self.d.push(call.span.error(Code::NotYet, format!("the function `{name}` is not carried out by this version"))),
        }
    }

    fn shape(&mut self, call: Call<'_>, wanted: &str) {
        let fault = call
            .arguments
            .span
            .error(Code::FunctionArguments, format!("`{}` takes {wanted}, and this is {}", call.name, call.arguments.kind()));
        self.d.push(fault);
    }

    fn get_input(&mut self, call: Call<'_>) {
        let first = call.arguments.as_list().map_or(Some(call.arguments), |list| list.first());
        match first {
            Some(name) if name.as_str().is_some_and(|name| !self.ast.inputs.contains_key(name)) => {
                let text = name.as_str().unwrap_or_default();
                let fault = name.span.error(Code::UnknownInput, format!("there is no input `{text}`")).label("not declared");
                let fault = fault.did_you_mean(text, self.ast.inputs.keys().map(String::as_str));
                self.d.push(fault.hint(format!("declare it under `inputs`: {text}: {{}}")));
            }
            Some(name) if name.as_str().is_some() || self::call(name).is_some() => {}
            _ => self.shape(call, "the name of an input, or a list that starts with one"),
        }
    }

    fn of_node(&mut self, call: Call<'_>, scope: Scope) {
        let Some([target, _, ..]) = call.arguments.as_list() else {
            return self.shape(call, "a list: [SELF or the name of a node, a name, …]");
        };
        match (target.as_str(), scope) {
            (Some("SELF"), Scope::Node) | (Some("SOURCE" | "TARGET"), Scope::Relationship) | (None, _) => {}
            (Some(word @ ("SELF" | "SOURCE" | "TARGET")), _) => {
                let place = if word == "SELF" { "nodes" } else { "the operations of relationships" };
                self.d.push(target.span.error(Code::FunctionArguments, format!("`{word}` can only be used in {place}")));
            }
            (Some(name), _) if !self.ast.node_templates.contains_key(name) => {
                let fault = target.span.error(Code::UnknownFunctionNode, format!("there is no node `{name}`")).label("not defined");
                self.d.push(fault.did_you_mean(name, self.ast.node_templates.keys().map(String::as_str)));
            }
            _ => {}
        }
    }
}

/// Evaluates what can be known when a deployment is created: inputs, properties, and what is made of them.
pub struct Evaluator<'a> {
    /// The blueprint as resolved.
    pub blueprint: &'a Blueprint,
    /// Inputs, defaults filled in. Calls of inputs that are not here stay.
    pub inputs: &'a IndexMap<String, Value>,
}

/// Whose operation inputs or properties are evaluated, and what led here.
struct Trail<'a> {
    source: Option<&'a str>,
    target: Option<&'a str>,
    me: Option<&'a str>,
    steps: Vec<String>,
}

impl Evaluator<'_> {
    /// The blueprint with every static call replaced by its result.
    #[must_use]
    pub fn blueprint(&self, d: &mut Vec<Diagnostic>) -> Blueprint {
        let mut result = self.blueprint.clone();
        for (name, node) in &mut result.nodes {
            self.node(name, node, d);
        }
        for output in result.outputs.values_mut().chain(result.capabilities.values_mut()) {
            self.replace(&mut output.body.value, None, None, None, d);
        }
        result
    }

    fn node(&self, name: &str, node: &mut Node, d: &mut Vec<Diagnostic>) {
        let inputs = node.operations.values_mut().flat_map(|operation| operation.inputs.values_mut());
        for value in node.properties.values_mut().chain([&mut node.deploy]).chain(inputs) {
            self.replace(value, Some(name), None, None, d);
        }
        for relationship in &mut node.relationships {
            for value in relationship.operations.values_mut().flat_map(|operation| operation.inputs.values_mut()) {
                self.replace(value, None, Some(name), Some(&relationship.target.node), d);
            }
        }
    }

    fn replace(&self, value: &mut Value, me: Option<&str>, source: Option<&str>, target: Option<&str>, d: &mut Vec<Diagnostic>) {
        match self.evaluate(value, &mut Trail { source, target, me, steps: Vec::new() }) {
            Ok(result) => *value = result,
            Err(fault) => d.push(fault),
        }
    }

    fn evaluate(&self, value: &Value, trail: &mut Trail<'_>) -> Result<Value, Diagnostic> {
        if let Some(call) = call(value) {
            return self.call(value, call, trail);
        }
        let data = match &value.data {
            Data::List(list) => Data::List(Arc::new(list.iter().map(|item| self.evaluate(item, trail)).collect::<Result<_, _>>()?)),
            Data::Map(map) => {
                let entries = map.entries.iter().map(|(key, value)| Ok((key.clone(), self.evaluate(value, trail)?)));
                Data::Map(Arc::new(Map { entries: entries.collect::<Result<_, _>>()? }))
            }
            _ => return Ok(value.clone()),
        };
        Ok(Value::new(value.span, data))
    }

    fn call(&self, value: &Value, call: Call<'_>, trail: &mut Trail<'_>) -> Result<Value, Diagnostic> {
        let arguments = self.evaluate(call.arguments, trail)?;
        let call_of = |arguments: Value| {
            let entries = vec![(Value::text(call.span, call.name), arguments)];
            Value::new(value.span, Data::Map(Arc::new(Map { entries })))
        };
        match call.name {
            "get_input" => Ok(self.get_input(call, &arguments)?.unwrap_or_else(|| call_of(arguments))),
            "get_property" => self.get_property(call, &arguments, trail),
            "concat" => Ok(concat(&arguments, value.span).unwrap_or_else(|| call_of(arguments))),
            _ => Ok(call_of(arguments)),
        }
    }

    fn get_input(&self, call: Call<'_>, arguments: &Value) -> Result<Option<Value>, Diagnostic> {
        let (name, path) = match arguments.as_list() {
            Some([name, path @ ..]) => (name, path),
            _ => (arguments, [].as_slice()),
        };
        match name.as_str().and_then(|name| self.inputs.get(name)) {
            Some(value) => walk(value, path, call).map(Some),
            None => Ok(None),
        }
    }

    fn get_property(&self, call: Call<'_>, arguments: &Value, trail: &mut Trail<'_>) -> Result<Value, Diagnostic> {
        let Some([target, name, path @ ..]) = arguments.as_list() else { return Ok(arguments.clone()) };
        let node = match target.as_str() {
            Some("SELF") => trail.me,
            Some("SOURCE") => trail.source,
            Some("TARGET") => trail.target,
            other => other,
        };
        let (Some(node), Some(name)) = (node, name.as_str()) else {
            return Err(call.span.error(Code::FunctionArguments, "`get_property` takes the names of a node and of a property"));
        };
        let node_name = node.to_owned();
        let property = self.blueprint.nodes.get(node).and_then(|node| node.properties.get(name));
        let Some(property) = property else {
            let known = self.blueprint.nodes.get(node).into_iter().flat_map(|node| node.properties.keys().map(String::as_str));
            return Err(call
                .span
                .error(Code::FunctionEvaluation, format!("node `{node}` has no property `{name}`"))
                .did_you_mean(name, known));
        };
        Self::enter(call, format!("{node_name}.{name}"), trail)?;
        let found = walk(property, path, call)?;
        let mut inner = Trail { source: None, target: None, me: Some(&node_name), steps: std::mem::take(&mut trail.steps) };
        let result = self.evaluate(&found, &mut inner);
        trail.steps = inner.steps;
        trail.steps.pop();
        Ok(result?.at(call.span))
    }

    fn enter(call: Call<'_>, step: String, trail: &mut Trail<'_>) -> Result<(), Diagnostic> {
        if trail.steps.contains(&step) || trail.steps.len() >= DEPTH {
            let circle = trail.steps.iter().skip_while(|other| **other != step).chain([&step]);
            let circle: Vec<&str> = circle.map(String::as_str).collect();
            return Err(call
                .span
                .error(Code::FunctionCycle, format!("properties refer to each other in a circle: {}", circle.join(" → "))));
        }
        trail.steps.push(step);
        Ok(())
    }
}

/// Follows keys and indexes into a value. Negative indexes count from the end.
fn walk(value: &Value, path: &[Value], call: Call<'_>) -> Result<Value, Diagnostic> {
    let mut value = value.clone();
    for step in path {
        let next = match (&value.data, &step.data) {
            (Data::Map(_), Data::Str(key)) => value.get(key).cloned(),
            (Data::List(list), Data::Int(at)) => index(*at, list.len()).and_then(|at| list.get(at).cloned()),
            _ => None,
        };
        value = next
            .ok_or_else(|| step.span.error(Code::FunctionEvaluation, format!("`{}` finds nothing under `{}`", call.name, step.to_key())))?;
    }
    Ok(value.at(call.span))
}

/// A position in a list; negative ones count from the end.
fn index(at: i64, length: usize) -> Option<usize> {
    usize::try_from(if at < 0 { at + i64::try_from(length).ok()? } else { at }).ok()
}

/// Joins the items, unless one is a call whose result is not known yet.
fn concat(arguments: &Value, span: Span) -> Option<Value> {
    let items = arguments.as_list()?;
    let texts: Option<String> =
        items.iter().map(|item| if call(item).is_some() { None } else { Some(python_text(&item.to_json())) }).collect();
    texts.map(|text| Value::text(span, &text))
}

/// Spells a value as Python's `str()` does, which is what `concat` and environment variables are made with.
#[must_use]
pub fn python_text(json: &Json) -> String {
    match json {
        Json::String(text) => text.clone(),
        other => python_repr(other),
    }
}

fn python_repr(json: &Json) -> String {
    match json {
        Json::Null => "None".into(),
        Json::Bool(value) => if *value { "True" } else { "False" }.into(),
        Json::Number(number) if number.is_f64() => python_float(number.as_f64().unwrap_or(f64::NAN)),
        Json::Number(number) => number.to_string(),
        Json::String(text) => quoted(text),
        Json::Array(items) => format!("[{}]", items.iter().map(python_repr).collect::<Vec<_>>().join(", ")),
        Json::Object(object) => {
            let entries: Vec<String> = object.iter().map(|(key, value)| format!("{}: {}", quoted(key), python_repr(value))).collect();
            format!("{{{}}}", entries.join(", "))
        }
    }
}

fn quoted(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let escaped = text.replace('\\', "\\\\").replace('\n', "\\n").replace('\t', "\\t").replace('\r', "\\r");
    let escaped = if quote == '\'' { escaped.replace('\'', "\\'") } else { escaped };
    format!("{quote}{escaped}{quote}")
}

/// First arguments of every `get_attribute` inside a value.
#[must_use]
pub fn attribute_targets(json: &Json) -> Vec<String> {
    match (json_call(json), json) {
        (Some(("get_attribute", arguments)), _) => arguments[0].as_str().map(str::to_owned).into_iter().collect(),
        (_, Json::Array(items)) => items.iter().flat_map(attribute_targets).collect(),
        (_, Json::Object(object)) => object.values().flat_map(attribute_targets).collect(),
        _ => Vec::new(),
    }
}

/// Evaluates the run-time calls inside a value. `attribute` finds `get_attribute`'s results, given
/// its first argument and the rest of its arguments.
///
/// # Errors
///
/// What `attribute` says, and calls that this version does not carry out.
pub fn bind(json: &Json, attribute: &dyn Fn(&str, &[Json]) -> Result<Json, String>) -> Result<Json, String> {
    if let Some((name, arguments)) = json_call(json) {
        let arguments = bind(arguments, attribute)?;
        return match (name, arguments.as_array().map(Vec::as_slice)) {
            ("get_attribute", Some([Json::String(target), path @ ..])) => attribute(target, path),
            ("concat", Some(items)) => Ok(Json::String(items.iter().map(python_text).collect())),
            _ => Err(format!("`{name}` cannot be evaluated here")),
        };
    }
    match json {
        Json::Array(items) => items.iter().map(|item| bind(item, attribute)).collect(),
        Json::Object(object) => {
            let entries = object.iter().map(|(key, value)| Ok((key.clone(), bind(value, attribute)?)));
            Ok(Json::Object(entries.collect::<Result<_, String>>()?))
        }
        _ => Ok(json.clone()),
    }
}

/// Follows keys and indexes into a value without places; nothing where there is nothing.
#[must_use]
pub fn lookup<'j>(json: &'j Json, path: &[Json]) -> Option<&'j Json> {
    path.iter().try_fold(json, |json, step| match step {
        Json::String(key) => json.get(key),
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

    #[test]
    fn values_are_spelt_as_in_python() {
        assert_eq!(python_text(&json!({"a": [true, null, 1.5, "it's"]})), r#"{'a': [True, None, 1.5, "it's"]}"#);
        assert_eq!(python_text(&json!("plain")), "plain");
    }

    #[test]
    fn late_calls_are_bound_inside_out() {
        let attribute = |target: &str, path: &[Json]| Ok(json!(format!("{target}/{}", path[0].as_str().unwrap_or_default())));
        let value = json!({"command": {"concat": ["--db=", {"get_attribute": ["db", "ip"]}]}, "plain": {"get_nothing": 1}});
        assert_eq!(bind(&value, &attribute).unwrap(), json!({"command": "--db=db/ip", "plain": {"get_nothing": 1}}));
    }

    #[test]
    fn paths_count_from_the_end_too() {
        assert_eq!(lookup(&json!({"a": [1, 2]}), &[json!("a"), json!(-1)]), Some(&json!(2)));
        assert_eq!(lookup(&json!({"a": [1, 2]}), &[json!("a"), json!(2)]), None);
    }
}
