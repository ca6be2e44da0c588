//! Static checks of calls: their shape, and the names in them.

use super::{index, parts, shape::shape_error};
use crate::{
    diagnostic::{Code, Diagnostic, Diagnostics},
    model::Blueprint,
    syntax::{
        Call, Data, Map, Value,
        ast::{Named, NodeTemplate, Schema},
        call,
    },
};

/// Location of a call. It determines which of SELF, SOURCE and TARGET are allowed.
#[derive(Clone, Copy)]
enum Scope<'a> {
    Node(&'a str),
    Relationship {
        source: &'a str,
        target: &'a str,
    },
    Outputs,
    /// Capabilities, labels, policies, settings.
    Elsewhere,
}

/// Checks the shape and the names of all calls in a blueprint. `templates` also contains the nodes
/// that could not be resolved; their errors have been reported.
pub(in crate::model) fn check(
    blueprint: &Blueprint,
    templates: &Named<NodeTemplate>,
    d: &mut Diagnostics,
) {
    let mut checker = Checker {
        blueprint,
        templates,
        d,
    };
    for (name, node) in &blueprint.nodes {
        let scope = Scope::Node(name);
        let inputs = node
            .operations
            .values()
            .flat_map(|operation| operation.inputs.values());
        node.properties
            .values()
            .chain(node.instance_counts.values())
            .chain(inputs)
            .for_each(|value| checker.value(value, scope));
        for relationship in &node.relationships {
            let scope = Scope::Relationship {
                source: name,
                target: &relationship.target.node,
            };
            let inputs = relationship
                .operations()
                .flat_map(|(_, operation)| operation.inputs.values());
            inputs.for_each(|value| checker.value(value, scope));
        }
    }
    blueprint
        .outputs
        .values()
        .for_each(|output| checker.value(&output.body.value, Scope::Outputs));
    let capabilities = blueprint
        .capabilities
        .values()
        .map(|capability| &capability.body.value);
    let labels = blueprint
        .labels
        .values()
        .flat_map(|label| &label.body.values);
    let policies = blueprint.policies.values();
    let policies = policies.flat_map(|policy| policy.instance_counts.values());
    let settings = blueprint.settings.iter().flat_map(|settings| {
        settings.display_name.iter().chain(
            settings
                .default_schedules
                .entries
                .iter()
                .map(|(_, schedule)| schedule),
        )
    });
    capabilities
        .chain(labels)
        .chain(policies)
        .chain(settings)
        .for_each(|value| checker.value(value, Scope::Elsewhere));
}

struct Checker<'a> {
    blueprint: &'a Blueprint,
    templates: &'a Named<NodeTemplate>,
    d: &'a mut Diagnostics,
}

impl Checker<'_> {
    fn value(&mut self, value: &Value, scope: Scope<'_>) {
        if let Some(call) = call(value) {
            self.call(call, scope);
        }
        parts(value).for_each(|part| self.value(part, scope));
    }

    fn call(&mut self, call: Call<'_>, scope: Scope<'_>) {
        match shape_error(call, self.blueprint.version) {
            Some(fault) => self.d.push(fault),
            None => self.names(call, scope),
        }
    }

    /// Checks the names in a call that has the right shape.
    fn names(&mut self, call: Call<'_>, scope: Scope<'_>) {
        match call.name {
            "get_input" => self.input(call),
            "get_property" => self.property(call, scope),
            "get_attribute" | "get_attributes_list" | "get_attributes_dict" => {
                self.node(call, scope);
            }
            _ => {}
        }
    }

    fn input(&mut self, call: Call<'_>) {
        let list = call.arguments.as_list();
        let first = list.map_or(call.arguments, |list| &list[0]);
        let inputs = &self.blueprint.inputs;
        // A number or a boolean is not the name of an input.
        let is_known = first.as_str().is_some_and(|name| inputs.contains_key(name));
        if self::call(first).is_none() && !is_known {
            self.d.push(undeclared_input_error(first, inputs));
        }
    }

    /// Returns the node that the first argument of a call names, if it is known here.
    fn node<'s>(&mut self, call: Call<'s>, scope: Scope<'s>) -> Option<&'s str> {
        let target = &call.arguments.as_list()?[0];
        if matches!(target.data, Data::Int(_) | Data::Bool(_)) {
            self.d.push(target.span.error(
                Code::UnknownFunctionNode,
                format!("there is no node `{}`", target.to_key()),
            ));
        }
        match (target.as_str()?, scope) {
            ("SELF", Scope::Node(name)) => Some(name),
            ("SOURCE", Scope::Relationship { source, .. }) => Some(source),
            ("TARGET", Scope::Relationship { target, .. }) => Some(target),
            (word @ ("SELF" | "SOURCE" | "TARGET"), _) => {
                let place = if word == "SELF" {
                    "nodes"
                } else {
                    "the operations of relationships"
                };
                let attribute_elsewhere =
                    matches!(scope, Scope::Elsewhere) && call.name.starts_with("get_attribute");
                let code = if attribute_elsewhere {
                    Code::AttributeScope
                } else {
                    Code::FunctionScope
                };
                self.d.push(
                    target
                        .span
                        .error(code, format!("`{word}` can only be used in {place}")),
                );
                None
            }
            (name, _) if !self.templates.contains_key(name) => {
                let fault = target
                    .span
                    .error(
                        Code::UnknownFunctionNode,
                        format!("there is no node `{name}`"),
                    )
                    .label("not defined");
                self.d
                    .push(fault.did_you_mean(name, self.templates.keys().map(String::as_str)));
                None
            }
            (name, _) => Some(name),
        }
    }

    /// Checks that the property and the path of a `get_property` call exist.
    fn property(&mut self, call: Call<'_>, scope: Scope<'_>) {
        let Some(node) = self.node(call, scope) else {
            return;
        };
        let path = &call.arguments.as_list().unwrap_or_default()[1..];
        if path.iter().any(|step| self::call(step).is_some()) {
            return;
        }
        let Some(properties) = self
            .blueprint
            .nodes
            .get(node)
            .filter(|node| !node.has_unknown_type)
            .map(|node| &node.properties)
        else {
            return;
        };
        let Some(property) = path[0].as_str().and_then(|name| properties.get(name)) else {
            let name = path[0].to_key();
            let fault = path[0].span.error(
                Code::FunctionEvaluation,
                format!("node `{node}` has no property `{name}`"),
            );
            self.d
                .push(fault.did_you_mean(&name, properties.keys().map(AsRef::as_ref)));
            return;
        };
        self.d
            .extend(check_path(property, &path[1..], call.name, node));
    }
}

/// Follows a path up to the first call. Returns an error if a step does not exist.
fn check_path(property: &Value, path: &[Value], function: &str, node: &str) -> Option<Diagnostic> {
    let mut value = property;
    for step in path {
        if call(value).is_some() {
            return None;
        }
        let Some(next) = child(value, step) else {
            let of = format!("node `{node}`");
            return Some(missing_step_error(function, &of, value, step));
        };
        value = next;
    }
    None
}

/// Returns the part of a value that a key or an index selects.
pub(super) fn child<'v>(value: &'v Value, step: &Value) -> Option<&'v Value> {
    match (&value.data, &step.data) {
        (Data::Map(map), Data::Str(key)) => map.get(key),
        (Data::Map(map), _) => scalar_key_value(map, step),
        (Data::List(list), Data::Int(at)) => index(*at, list.len()).map(|at| &list[at]),
        (Data::List(list), Data::Bool(at)) => list.get(usize::from(*at)),
        _ => None,
    }
}

/// Returns the value of a key that is not a string but is written like `step`.
fn scalar_key_value<'m>(map: &'m Map, step: &Value) -> Option<&'m Value> {
    let is_it = |key: &Value| key.as_str().is_none() && key.to_key() == step.to_key();
    let entry = map.entries.iter().find(|(key, _)| is_it(key));
    entry.map(|(_, value)| value)
}

fn undeclared_input_error(name: &Value, inputs: &Named<Schema>) -> Diagnostic {
    let text = name.to_key();
    let message = format!("there is no input `{text}`");
    let fault = name.span.error(Code::UnknownInput, message);
    let declared = inputs.keys().map(String::as_str);
    let fault = fault.label("not declared").did_you_mean(&text, declared);
    let short = text.rsplit("--").next().unwrap_or(&text);
    fault.hint(format!("declare it under `inputs`: {short}: {{}}"))
}

/// Returns the error for a step that does not exist in `value`, which is a part of `of`.
pub(super) fn missing_step_error(
    function: &str,
    of: &str,
    value: &Value,
    step: &Value,
) -> Diagnostic {
    let key = step.to_key();
    let why = missing_step_reason(value, step, &key);
    let message = format!("`{function}` found no value in {of}: {why}");
    let fault = step.span.error(Code::FunctionEvaluation, message);
    let entries = value.as_map().into_iter().flat_map(|map| &map.entries);
    fault.did_you_mean(&key, entries.filter_map(|(key, _)| key.as_str()))
}

fn missing_step_reason(value: &Value, step: &Value, key: &str) -> String {
    match &value.data {
        Data::Map(_) => format!("there is no key `{key}`"),
        Data::List(list) if matches!(step.data, Data::Int(_)) => {
            format!("index {key} is out of range (list length {})", list.len())
        }
        Data::List(_) => format!("a list has no key `{key}`"),
        _ => format!("`{key}` cannot be looked up in {}", value.kind()),
    }
}
