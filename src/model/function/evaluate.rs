//! Evaluates calls when a deployment is created: inputs, properties, and functions of them.

use super::{
    apply,
    bind::contains_call,
    check::{child, missing_step_error},
    index,
    limits::{Cost, LookupPath},
    parts,
    shape::shape_error_in_input,
};
use crate::{
    diagnostic::{Code, Diagnostic, Diagnostics, Span},
    model::{Blueprint, Operation, Operations, Values, scaling::InstanceCounts},
    syntax::ast::Settings,
    syntax::{Call, Data, Map, PRIMITIVES, Value, call, matches_type, without_marks},
};
use indexmap::IndexMap;
use std::{cell::RefCell, collections::HashSet, sync::Arc};

/// Evaluates all calls whose results depend only on inputs and properties. Calls of inputs without a
/// value are kept. Calls inside the values of inputs are evaluated in place if the input is read.
#[must_use]
pub fn evaluate(
    mut blueprint: Blueprint,
    inputs: &mut IndexMap<String, Value>,
    d: &mut Diagnostics,
) -> Blueprint {
    // Collect all changes before applying them: evaluation reads properties and inputs as they were
    // written.
    let evaluator = Evaluator {
        blueprint: &blueprint,
        inputs,
        cost: Cost::default(),
        rewritten: RefCell::default(),
        reported_cycles: RefCell::default(),
    };
    let changes = evaluator.changes(d);
    for (name, path, part) in evaluator.rewritten.into_inner() {
        inputs
            .entry(name)
            .and_modify(|value| replace(value, &path, part));
    }
    for change in changes {
        change.apply(&mut blueprint);
    }
    blueprint
}

/// A value of a blueprint and its evaluated replacement.
enum Change {
    Property {
        node: usize,
        property: usize,
        value: Value,
    },
    Numbers {
        node: usize,
        numbers: InstanceCounts,
    },
    Operations {
        node: usize,
        operations: Arc<Operations>,
    },
    Relationship {
        node: usize,
        tie: usize,
        source: Arc<Operations>,
        target: Arc<Operations>,
    },
    Output {
        output: usize,
        value: Value,
    },
    Capability {
        capability: usize,
        value: Value,
    },
    Label {
        label: usize,
        values: Vec<Value>,
    },
    Policy {
        policy: usize,
        numbers: InstanceCounts,
    },
    Settings(Settings),
}

impl Change {
    fn apply(self, blueprint: &mut Blueprint) {
        match self {
            Self::Property {
                node,
                property,
                value,
            } => blueprint.nodes[node].properties[property] = value,
            Self::Numbers { node, numbers } => blueprint.nodes[node].instance_counts = numbers,
            Self::Operations { node, operations } => blueprint.nodes[node].operations = operations,
            Self::Relationship {
                node,
                tie: relationship,
                source,
                target,
            } => {
                let relationship = &mut blueprint.nodes[node].relationships[relationship];
                (
                    relationship.source_operations,
                    relationship.target_operations,
                ) = (source, target);
            }
            Self::Output { output, value } => blueprint.outputs[output].body.value = value,
            Self::Capability { capability, value } => {
                blueprint.capabilities[capability].body.value = value
            }
            Self::Label { label, values } => blueprint.labels[label].body.values = values,
            Self::Policy { policy, numbers } => {
                let targets = blueprint.policies[policy].targets.clone();
                for target in targets {
                    if let Some(group) = blueprint.scaling_groups.get_mut(&target) {
                        group.instance_counts = numbers.clone();
                    }
                }
                blueprint.policies[policy].instance_counts = numbers;
            }
            Self::Settings(settings) => blueprint.settings = Some(settings),
        }
    }
}

struct Evaluator<'a> {
    blueprint: &'a Blueprint,
    inputs: &'a IndexMap<String, Value>,
    cost: Cost,
    /// Parts of inputs that were changed by evaluation: the input, the path to the part, and the
    /// result.
    rewritten: RefCell<Vec<(String, Vec<Value>, Value)>>,
    /// Cycles that were already reported.
    reported_cycles: RefCell<HashSet<Vec<String>>>,
}

/// The nodes that SELF, SOURCE and TARGET refer to.
#[derive(Clone, Copy, Default)]
struct CallScope<'a> {
    this: Option<&'a str>,
    source: Option<&'a str>,
    target: Option<&'a str>,
}

/// Result of an evaluation; `None` if the value is unchanged.
type Evaluated = Result<Option<Value>, Box<Diagnostic>>;

/// Result of a lookup.
type Lookup = Result<Value, Box<Diagnostic>>;

impl Evaluator<'_> {
    fn changes(&self, d: &mut Diagnostics) -> Vec<Change> {
        let mut changes = Vec::new();
        for (at, (name, node)) in self.blueprint.nodes.iter().enumerate() {
            let scope = CallScope {
                this: Some(name),
                ..CallScope::default()
            };
            for (property, value) in node.properties.values().enumerate() {
                changes.extend(self.change(value, scope, d).map(|value| Change::Property {
                    node: at,
                    property,
                    value,
                }));
            }
            changes.extend(
                self.numbers(&node.instance_counts, scope, d)
                    .map(|numbers| Change::Numbers { node: at, numbers }),
            );
            changes.extend(
                self.operations(&node.operations, scope, d)
                    .map(|operations| Change::Operations {
                        node: at,
                        operations,
                    }),
            );
            for (tie, relationship) in node.relationships.iter().enumerate() {
                let scope = CallScope {
                    this: None,
                    source: Some(name),
                    target: Some(&relationship.target.node),
                };
                let source = self.operations(&relationship.source_operations, scope, d);
                let target = self.operations(&relationship.target_operations, scope, d);
                if source.is_some() || target.is_some() {
                    let source = source.unwrap_or_else(|| relationship.source_operations.clone());
                    let target = target.unwrap_or_else(|| relationship.target_operations.clone());
                    changes.push(Change::Relationship {
                        node: at,
                        tie,
                        source,
                        target,
                    });
                }
            }
        }
        self.changes_outside_nodes(&mut changes, d);
        changes
    }

    /// Evaluates the values outside of nodes.
    fn changes_outside_nodes(&self, changes: &mut Vec<Change>, d: &mut Diagnostics) {
        let no_scope = CallScope::default();
        for (output, one) in self.blueprint.outputs.values().enumerate() {
            changes.extend(
                self.change(&one.body.value, no_scope, d)
                    .map(|value| Change::Output { output, value }),
            );
        }
        for (capability, one) in self.blueprint.capabilities.values().enumerate() {
            changes.extend(
                self.change(&one.body.value, no_scope, d)
                    .map(|value| Change::Capability { capability, value }),
            );
        }
        for (label, one) in self.blueprint.labels.values().enumerate() {
            let values = one
                .body
                .values
                .iter()
                .map(|value| {
                    self.change(value, no_scope, d)
                        .unwrap_or_else(|| value.clone())
                })
                .collect();
            changes.push(Change::Label { label, values });
        }
        for (policy, one) in self.blueprint.policies.values().enumerate() {
            changes.extend(
                self.numbers(&one.instance_counts, no_scope, d)
                    .map(|numbers| Change::Policy { policy, numbers }),
            );
        }
        changes.extend(
            self.blueprint
                .settings
                .as_ref()
                .map(|settings| Change::Settings(self.settings(settings, d))),
        );
    }

    fn change(&self, value: &Value, scope: CallScope<'_>, d: &mut Diagnostics) -> Option<Value> {
        if self.cost.is_reported.get() {
            return None;
        }
        let mut trail = LookupPath::default();
        let evaluated = self.value(value, scope, &mut trail);
        let report = |fault: Box<Diagnostic>| self.report(*fault, trail.cycle, d);
        evaluated.map_err(report).ok().flatten()
    }

    /// Reports an error. A cycle is reported once, not for each of its members.
    fn report(&self, fault: Diagnostic, cycle: Option<Vec<String>>, d: &mut Diagnostics) {
        self.cost.is_reported.set(fault.code == Code::Limit);
        if cycle.is_none_or(|cycle| self.reported_cycles.borrow_mut().insert(cycle)) {
            d.push(fault);
        }
    }

    fn settings(&self, settings: &Settings, d: &mut Diagnostics) -> Settings {
        let mut evaluated = settings.clone();
        let schedules = evaluated.default_schedules.entries.iter_mut();
        let groups = &mut evaluated.default_groups;
        let texts = evaluated.display_name.iter_mut().chain(groups);
        for value in texts.chain(schedules.map(|(_, schedule)| schedule)) {
            self.change_in_place(value, d);
        }
        evaluated
    }

    fn change_in_place(&self, value: &mut Value, d: &mut Diagnostics) {
        if let Some(result) = self.change(value, CallScope::default(), d) {
            *value = result;
        }
    }

    fn numbers(
        &self,
        numbers: &InstanceCounts,
        scope: CallScope<'_>,
        d: &mut Diagnostics,
    ) -> Option<InstanceCounts> {
        let values = numbers.values();
        let [min, max, default] = values.map(|value| self.change(value, scope, d));
        d.extend(default_instances_error(
            default.as_ref().unwrap_or(&numbers.default),
        ));
        if min.is_none() && max.is_none() && default.is_none() {
            return None;
        }
        Some(InstanceCounts {
            min: min.unwrap_or_else(|| numbers.min.clone()),
            max: max.unwrap_or_else(|| numbers.max.clone()),
            default: default.unwrap_or_else(|| numbers.default.clone()),
        })
    }

    fn operations(
        &self,
        operations: &Arc<Operations>,
        scope: CallScope<'_>,
        d: &mut Diagnostics,
    ) -> Option<Arc<Operations>> {
        let mut changed: Option<Operations> = None;
        for (at, operation) in operations.values().enumerate() {
            if let Some(inputs) = self.values(&operation.inputs, scope, d) {
                let operation = Operation {
                    inputs,
                    ..Operation::clone(operation)
                };
                changed.get_or_insert_with(|| Operations::clone(operations))[at] =
                    Arc::new(operation);
            }
        }
        changed.map(Arc::new)
    }

    fn values(&self, values: &Values, scope: CallScope<'_>, d: &mut Diagnostics) -> Option<Values> {
        let mut changed: Option<Values> = None;
        for (at, value) in values.values().enumerate() {
            if let Some(value) = self.change(value, scope, d) {
                changed.get_or_insert_with(|| values.clone())[at] = value;
            }
        }
        changed
    }

    fn value(&self, value: &Value, scope: CallScope<'_>, trail: &mut LookupPath) -> Evaluated {
        trail.check_depth(value.span)?;
        if let Some(call) = call(value) {
            return self.call(value, call, scope, trail);
        }
        if trail.is_nested() {
            self.cost.add_visit(value.span)?;
        }
        match &value.data {
            Data::List(list) => {
                let mut changed: Option<Vec<Value>> = None;
                for (at, item) in list.iter().enumerate() {
                    if let Some(item) = trail.nested(|trail| self.value(item, scope, trail))? {
                        changed.get_or_insert_with(|| list.to_vec())[at] = item;
                    }
                }
                self.cost
                    .add_values(changed.as_ref().map_or(0, Vec::len), value.span)?;
                Ok(changed.map(|list| Value::new(value.span, Data::List(Arc::new(list)))))
            }
            Data::Map(map) => {
                let mut changed: Option<Map> = None;
                for (at, (_, item)) in map.entries.iter().enumerate() {
                    if let Some(item) = trail.nested(|trail| self.value(item, scope, trail))? {
                        changed.get_or_insert_with(|| Map::clone(map)).entries[at].1 = item;
                    }
                }
                self.cost.add_values(
                    changed.as_ref().map_or(0, |map| map.entries.len()),
                    value.span,
                )?;
                Ok(changed.map(|map| Value::new(value.span, Data::Map(Arc::new(map)))))
            }
            _ => Ok(None),
        }
    }

    fn call(
        &self,
        value: &Value,
        call: Call<'_>,
        scope: CallScope<'_>,
        trail: &mut LookupPath,
    ) -> Evaluated {
        self.cost.add_call(call.span)?;
        // Calls in inputs are only checked here, because an unused input may contain anything.
        if let Some(fault) = shape_error_in_input(call) {
            return Err(Box::new(fault));
        }
        let arguments = trail.nested(|trail| self.value(call.arguments, scope, trail))?;
        let current = arguments.as_ref().unwrap_or(call.arguments);
        reject_late_arguments(call.name, current)?;
        let result = match call.name {
            "get_input" => self.input(call, current, scope, trail)?,
            "get_property" => self.property(call, current, scope, trail)?,
            name => self.apply_within_limits(name, current, value)?,
        };
        // A call that cannot be evaluated yet is kept, with its arguments evaluated as far as
        // possible.
        Ok(result
            .or_else(|| arguments.map(|arguments| with_arguments(value, call, &arguments)))
            .map(|result| result.at(value.span)))
    }

    fn apply_within_limits(&self, name: &str, arguments: &Value, value: &Value) -> Evaluated {
        let result = apply_pure(name, arguments, value)?;
        let made = result.as_ref().map_or(0, |made| parts(made).count());
        self.cost.add_values(made, value.span)?;
        let text = result.as_ref().map_or(0, text_length);
        self.cost.add_text(text, value.span)?;
        Ok(result)
    }

    fn input(
        &self,
        call: Call<'_>,
        arguments: &Value,
        scope: CallScope<'_>,
        trail: &mut LookupPath,
    ) -> Evaluated {
        let (name, path) = match arguments.as_list() {
            Some([name, path @ ..]) => (name, path),
            _ => (arguments, [].as_slice()),
        };
        let Some(text) = name
            .as_str()
            .filter(|_| path.iter().all(|step| self::call(step).is_none()))
        else {
            return Ok(None);
        };
        let Some(value) = self.inputs.get(text) else {
            let known = self.blueprint.inputs.contains_key(text);
            let fault = || {
                Box::new(
                    name.span
                        .error(Code::UnknownInput, format!("there is no input `{text}`")),
                )
            };
            return if known { Ok(None) } else { Err(fault()) };
        };
        let found = walk_input(text, value, path, call)?;
        if refers_to_itself(&found, call) {
            return Ok(None); // An input that only refers to itself is kept, as in Cloudify.
        }
        let result = trail.follow(format!("input {text}"), call, |trail| {
            self.evaluate_input_part(text, path, found, scope, trail)
        })?;
        check_type(call, text, &result)?;
        Ok(Some(result))
    }

    /// Returns the evaluated part of an input. The inputs of the deployment also show the result,
    /// except for a part that is itself a call: it is kept there with its arguments evaluated, as
    /// in Cloudify.
    fn evaluate_input_part(
        &self,
        name: &str,
        path: &[Value],
        found: Value,
        scope: CallScope<'_>,
        trail: &mut LookupPath,
    ) -> Lookup {
        let (shown, result) = match call(&found) {
            None => {
                let result = self.value(&found, scope, trail)?;
                (result.clone(), result)
            }
            Some(call) => {
                let arguments = trail.nested(|trail| self.value(call.arguments, scope, trail))?;
                let shown = arguments.map(|arguments| with_arguments(&found, call, &arguments));
                let result = self.value(shown.as_ref().unwrap_or(&found), scope, trail)?;
                (shown, result)
            }
        };
        self.rewritten.borrow_mut().extend(
            shown
                .iter()
                .map(|shown| (name.to_owned(), path.to_vec(), shown.clone())),
        );
        Ok(result.or(shown).unwrap_or(found))
    }

    fn property(
        &self,
        call: Call<'_>,
        arguments: &Value,
        scope: CallScope<'_>,
        trail: &mut LookupPath,
    ) -> Evaluated {
        let Some([target, path @ ..]) = arguments.as_list() else {
            return Ok(None);
        };
        let misplaced = || Box::new(scope_error(target));
        let node = match target.as_str() {
            Some("SELF") => Some(scope.this.ok_or_else(misplaced)?),
            Some("SOURCE") => Some(scope.source.ok_or_else(misplaced)?),
            Some("TARGET") => Some(scope.target.ok_or_else(misplaced)?),
            other => other,
        };
        let Some(node) = node.filter(|_| path.iter().all(|step| self::call(step).is_none())) else {
            return Ok(None);
        };
        let Some((node, definition)) = self.blueprint.nodes.get_key_value(node) else {
            return Err(Box::new(target.span.error(
                Code::UnknownFunctionNode,
                format!("there is no node `{node}`"),
            )));
        };
        let [name, rest @ ..] = path else {
            return Ok(None);
        };
        if definition.has_unknown_type {
            return Ok(None);
        }
        let Some(property) = definition.properties.get(name.to_key().as_str()) else {
            let fault = name.span.error(
                Code::FunctionEvaluation,
                format!("node `{node}` has no property `{}`", name.to_key()),
            );
            return Err(Box::new(fault.did_you_mean(
                &name.to_key(),
                definition.properties.keys().map(AsRef::as_ref),
            )));
        };
        let step = format!(
            "{node}.{}",
            path.iter().map(Value::to_key).collect::<Vec<_>>().join(".")
        );
        let from_itself = trail
            .last()
            .map_or(scope.this == Some(node), |last| last == step);
        if from_itself && refers_to_itself(property, call) {
            return Ok(None); // A property that only refers to itself is kept, as in Cloudify.
        }
        let scope = CallScope {
            this: Some(node),
            ..CallScope::default()
        };
        trail.follow(step, call, |trail| {
            self.walk_property(property, rest, call, scope, trail)
        })
    }

    /// Follows a path into a property, and evaluates calls on the way.
    fn walk_property(
        &self,
        property: &Value,
        path: &[Value],
        call: Call<'_>,
        scope: CallScope<'_>,
        trail: &mut LookupPath,
    ) -> Evaluated {
        let mut value = property.clone();
        for step in path {
            if self::call(&value).is_some() {
                match self.value(&value, scope, trail)? {
                    Some(result) if self::call(&result).is_none() => value = result,
                    _ => return Ok(None),
                }
            }
            let of = format!("node `{}`", scope.this.unwrap_or_default());
            value = child(&value, step)
                .cloned()
                .ok_or_else(|| Box::new(missing_step_error(call.name, &of, &value, step)))?;
        }
        Ok(Some(self.value(&value, scope, trail)?.unwrap_or(value)))
    }
}

/// Returns the error if `default_instances` is not an integer.
fn default_instances_error(default: &Value) -> Option<Diagnostic> {
    let kind = match (&default.data, call(default)) {
        (Data::Int(_) | Data::Bool(_), _) => return None,
        (_, Some(_)) if needs_inputs(default) => return None,
        (_, Some(_)) => "only known at run time",
        (_, None) => default.kind(),
    };
    let message = format!("`default_instances` must evaluate to an integer, but is {kind}");
    Some(default.span.error(Code::WrongType, message))
}

/// Checks the result of a call with a second key `type`. No value matches a data type here, as in
/// Cloudify.
fn check_type(call: Call<'_>, input: &str, result: &Value) -> Result<(), Box<Diagnostic>> {
    let declared = call.result_type.filter(|_| self::call(result).is_none());
    match declared.filter(|declared| !is_of_type(result, declared)) {
        None => Ok(()),
        Some(declared) => Err(Box::new(type_error(call.span, input, declared, result))),
    }
}

fn is_of_type(value: &Value, declared: &Value) -> bool {
    let declared = declared.as_str();
    declared.is_some_and(|name| PRIMITIVES.contains(&name) && matches_type(value, name))
}

fn type_error(place: Span, input: &str, declared: &Value, result: &Value) -> Diagnostic {
    let wanted = declared.as_str().unwrap_or("(not a name)");
    let kind = result.kind();
    let message = format!("the value of input `{input}` must be of type {wanted} here, not {kind}");
    place.error(Code::InputEvaluation, message)
}

/// Returns the length of a string, or of the strings in a list, in bytes.
fn text_length(value: &Value) -> usize {
    let items = value.as_list().unwrap_or(std::slice::from_ref(value));
    items.iter().filter_map(Value::as_str).map(str::len).sum()
}

fn refers_to_itself(property: &Value, this: Call<'_>) -> bool {
    call(property).is_some_and(|other| other.span == this.span)
}

/// Returns the error for SELF, SOURCE or TARGET in an input. In a blueprint, it is reported when
/// the blueprint is read.
fn scope_error(word: &Value) -> Diagnostic {
    word.span.error(
        Code::FunctionScope,
        format!(
            "`{}` has no meaning where this input is used",
            word.to_key()
        ),
    )
}

/// Replaces a part of a value.
fn replace(value: &mut Value, path: &[Value], part: Value) {
    let Some((step, rest)) = path.split_first() else {
        *value = part;
        return;
    };
    let child = match (&mut value.data, &step.data) {
        (Data::Map(map), _) => {
            let mut entries = Arc::make_mut(map).entries.iter_mut();
            entries
                .find(|(key, _)| key.as_str() == step.as_str() && key.to_key() == step.to_key())
                .map(|(_, child)| child)
        }
        (Data::List(list), Data::Int(at)) => {
            index(*at, list.len()).map(|at| &mut Arc::make_mut(list)[at])
        }
        _ => None,
    };
    if let Some(child) = child {
        replace(child, rest, part);
    }
}

/// Follows a path into the value of an input.
fn walk_input(name: &str, value: &Value, path: &[Value], call: Call<'_>) -> Lookup {
    let mut value = value.clone();
    for step in path {
        let part = child(&value, step).cloned();
        value =
            part.ok_or_else(|| Box::new(missing_in_input_error(name, call.name, &value, step)))?;
    }
    Ok(value)
}

fn missing_in_input_error(name: &str, function: &str, value: &Value, step: &Value) -> Diagnostic {
    let mut fault = missing_step_error(function, &format!("input `{name}`"), value, step);
    // Cloudify reports different errors for values without parts and for missing parts.
    if matches!(value.data, Data::Map(_) | Data::List(_)) {
        fault.code = Code::InputEvaluation;
    }
    fault
}

/// Returns an error for an argument that is only known at run time, if the function is evaluated
/// only when the deployment is created.
fn reject_late_arguments(name: &str, arguments: &Value) -> Result<(), Box<Diagnostic>> {
    let is_early = name.starts_with("string_") || matches!(name, "get_input" | "get_property");
    let is_late = |item: &&Value| call(item).is_some() && !needs_inputs(item);
    let late = argument_items(arguments).iter().find(is_late);
    late.filter(|_| is_early).map_or(Ok(()), |late| {
        let message = format!("`{name}` cannot use a value that is only known at run time");
        Err(Box::new(late.span.error(Code::FunctionEvaluation, message)))
    })
}

fn argument_items(arguments: &Value) -> &[Value] {
    arguments
        .as_list()
        .unwrap_or(std::slice::from_ref(arguments))
}

/// Evaluates a pure function once all its arguments are known.
fn apply_pure(name: &str, arguments: &Value, value: &Value) -> Evaluated {
    let open = |value: &Value| call(value).is_some();
    if argument_items(arguments).iter().any(open) {
        return Ok(None);
    }
    let json = arguments.to_json();
    let data = without_marks(&json);
    // Late calls can only be distinguished from literal data while the marks exist.
    if data != json && contains_call(&json) {
        return Ok(None);
    }
    match apply(name, &data) {
        None => Ok(None),
        Some(Ok(result)) => {
            let result = Value::from_json(&result, value.span);
            Ok(Some(if data == json {
                result
            } else {
                result.as_literal()
            }))
        }
        Some(Err((code, message))) => Err(Box::new(arguments.span.error(code, message))),
    }
}

/// Returns true if a value depends on inputs that have no value yet.
fn needs_inputs(value: &Value) -> bool {
    let needs = |call: Call<'_>| matches!(call.name, "get_input" | "get_property");
    call(value).is_some_and(needs) || parts(value).any(needs_inputs)
}

fn with_arguments(value: &Value, call: Call<'_>, arguments: &Value) -> Value {
    let mut map = value.as_map().cloned().unwrap_or_default();
    for (key, old) in &mut map.entries {
        if key.as_str() == Some(call.name) {
            *old = arguments.clone();
        }
    }
    Value::new(value.span, Data::Map(Arc::new(map)))
}
