//! Types: inheritance, and filling a template's properties from a schema.

use super::function;
use crate::{
    diagnostic::{Code, Diagnostic, Span},
    syntax::{
        Data, Map, Value,
        ast::{Ast, Definition, Interfaces, Named, NodeType, Operation, RelationshipType, Schema},
    },
};
use indexmap::{IndexMap, IndexSet};
use std::{collections::HashMap, sync::Arc};

/// Data types with their fields, inheritance applied.
pub type DataTypes = IndexMap<String, Named<Schema>>;

const PRIMITIVES: [&str; 17] = [
    "string",
    "integer",
    "float",
    "boolean",
    "list",
    "dict",
    "regex",
    "textarea",
    "blueprint_id",
    "deployment_id",
    "capability_value",
    "scaling_group",
    "node_id",
    "node_type",
    "node_instance",
    "secret_key",
    "operation_name",
];

/// A node or relationship type with everything it inherits.
#[derive(Clone, Debug, Default)]
pub(super) struct Flat {
    /// Names, ancestors first.
    pub hierarchy: Vec<String>,
    pub properties: Named<Schema>,
    /// Operations; for a relationship type those of the source side.
    pub interfaces: Interfaces<Schema>,
    /// Operations of the target side.
    pub target_interfaces: Interfaces<Schema>,
}

/// What node types and relationship types have in common.
trait Derived {
    fn parent(&self) -> Option<&crate::diagnostic::Spanned<String>>;
    fn overlay(&self, flat: &mut Flat);
}

impl Derived for NodeType {
    fn parent(&self) -> Option<&crate::diagnostic::Spanned<String>> {
        self.derived_from.as_ref()
    }

    fn overlay(&self, flat: &mut Flat) {
        overlay(&mut flat.properties, &self.properties);
        overlay_interfaces(&mut flat.interfaces, &self.interfaces);
    }
}

impl Derived for RelationshipType {
    fn parent(&self) -> Option<&crate::diagnostic::Spanned<String>> {
        self.derived_from.as_ref()
    }

    fn overlay(&self, flat: &mut Flat) {
        overlay(&mut flat.properties, &self.properties);
        overlay_interfaces(&mut flat.interfaces, &self.source_interfaces);
        overlay_interfaces(&mut flat.target_interfaces, &self.target_interfaces);
    }
}

impl Derived for crate::syntax::ast::DataType {
    fn parent(&self) -> Option<&crate::diagnostic::Spanned<String>> {
        self.derived_from.as_ref()
    }

    fn overlay(&self, flat: &mut Flat) {
        overlay(&mut flat.properties, &self.properties);
    }
}

/// A child's definition replaces its parent's whole.
fn overlay<T: Clone>(parent: &mut Named<T>, child: &Named<T>) {
    parent.extend(child.iter().map(|(name, definition)| (name.clone(), definition.clone())));
}

/// Operations are replaced one by one; those that a child does not mention are kept.
fn overlay_interfaces(parent: &mut Interfaces<Schema>, child: &Interfaces<Schema>) {
    for (name, interface) in child {
        let mine = parent.entry(name.clone()).or_insert_with(|| Definition { name: interface.name, body: Named::default() });
        overlay(&mut mine.body, &interface.body);
    }
}

/// The types of a blueprint, each with everything it inherits.
pub(super) struct Types {
    pub nodes: HashMap<String, Flat>,
    pub relationships: HashMap<String, Flat>,
    pub data: DataTypes,
}

impl Types {
    pub(super) fn new(ast: &Ast, d: &mut Vec<Diagnostic>) -> Self {
        let data = flatten(&ast.data_types, "data type", d);
        let types = Self {
            nodes: flatten(&ast.node_types, "node type", d),
            relationships: flatten(&ast.relationships, "relationship type", d),
            data: ast.data_types.keys().filter_map(|name| Some((name.clone(), data.get(name)?.properties.clone()))).collect(),
        };
        types.check_schemas(ast, d);
        types
    }

    fn check_schemas(&self, ast: &Ast, d: &mut Vec<Diagnostic>) {
        let of_nodes = ast.node_types.values().flat_map(|node| node.body.properties.values().chain(inputs_of(&node.body.interfaces)));
        let of_relationships = ast.relationships.values().flat_map(|relationship| relationship.body.properties.values());
        let of_data = ast.data_types.values().flat_map(|data| data.body.properties.values());
        for schema in of_nodes.chain(of_relationships).chain(of_data).chain(ast.inputs.values()) {
            let Some(name) = &schema.body.type_name else { continue };
            if !PRIMITIVES.contains(&name.node.as_str()) && !self.data.contains_key(&name.node) {
                let fault = name.span.error(Code::UnknownType, format!("there is no data type `{}`", name.node));
                d.push(fault.did_you_mean(&name.node, PRIMITIVES.iter().copied().chain(self.data.keys().map(String::as_str))));
            }
        }
    }
}

fn inputs_of(interfaces: &Interfaces<Schema>) -> impl Iterator<Item = &Definition<Schema>> {
    interfaces.values().flat_map(|interface| interface.body.values()).flat_map(|operation| operation.body.inputs.values())
}

fn flatten<T: Derived>(all: &Named<T>, what: &str, d: &mut Vec<Diagnostic>) -> HashMap<String, Flat> {
    let mut flat: HashMap<String, Flat> = HashMap::new();
    for name in all.keys() {
        for step in lineage(name, all, &flat, what, d) {
            let definition = &all[step];
            let mut mine = definition.body.parent().and_then(|parent| flat.get(&parent.node)).cloned().unwrap_or_default();
            mine.hierarchy.push(step.to_owned());
            definition.body.overlay(&mut mine);
            flat.insert(step.to_owned(), mine);
        }
    }
    flat
}

/// A type and those of its ancestors that are not flat yet, oldest first. A circle or an unknown parent ends it.
fn lineage<'a, T: Derived>(
    name: &'a str,
    all: &'a Named<T>,
    flat: &HashMap<String, Flat>,
    what: &str,
    d: &mut Vec<Diagnostic>,
) -> Vec<&'a str> {
    let mut line: IndexSet<&str> = IndexSet::new();
    let mut current = (!flat.contains_key(name)).then(|| (name, &all[name]));
    while let Some((name, definition)) = current {
        line.insert(name);
        let Some(parent) = definition.body.parent().filter(|parent| !flat.contains_key(&parent.node)) else { break };
        current = all.get_key_value(&parent.node).map(|(name, definition)| (name.as_str(), definition));
        match current {
            None => {
                let fault = parent.span.error(Code::UnknownType, format!("there is no {what} `{}`", parent.node));
                d.push(fault.did_you_mean(&parent.node, all.keys().map(String::as_str)));
            }
            Some((again, _)) if line.contains(again) => {
                let circle: Vec<&str> = line.iter().copied().skip_while(|step| *step != again).chain([again]).collect();
                d.push(parent.span.error(Code::Cycle, format!("{what} is derived from itself: {}", circle.join(" → "))));
                break;
            }
            Some(_) => {}
        }
    }
    line.into_iter().rev().collect()
}

/// Who is being filled, for messages.
pub(super) struct Owner<'a> {
    pub what: &'a str,
    /// Where a missing property is reported.
    pub span: Span,
}

/// Fills the properties of a template from the schema of its type.
pub(super) fn fill(
    given: &Named<Value>,
    schema: &Named<Schema>,
    owner: &Owner<'_>,
    data: &DataTypes,
    d: &mut Vec<Diagnostic>,
) -> IndexMap<String, Value> {
    let external = given
        .get("use_external_resource")
        .map(|property| &property.body)
        .or_else(|| schema.get("use_external_resource")?.body.default.as_ref());
    let waived = schema.contains_key("use_external_resource") && external.is_some_and(truthy);
    for (name, property) in given.iter().filter(|(name, _)| !schema.contains_key(*name)) {
        let fault = property.name.error(Code::UndefinedProperty, format!("{} has no property `{name}`", owner.what));
        let known: Vec<&str> = schema.keys().map(String::as_str).collect();
        d.push(fault.did_you_mean(name, known.iter().copied()).hint(format!("its type declares: {}", known.join(", "))));
    }
    let values = schema.iter().filter_map(|(name, property)| {
        let value = given.get(name).map(|given| given.body.clone()).or_else(|| property.body.default.clone());
        let Some(value) = value.or_else(|| empty_of_custom_type(&property.body, owner.span, data)) else {
            if property.body.required && !waived {
                let fault = owner.span.error(Code::MissingProperty, format!("{} lacks the required property `{name}`", owner.what));
                d.push(fault.related(property.name, "declared here"));
            }
            return None;
        };
        Some((name.clone(), complete(&value, &property.body, &format!("property `{name}` of {}", owner.what), data, d)))
    });
    values.collect()
}

fn truthy(value: &Value) -> bool {
    match &value.data {
        Data::Null => false,
        Data::Bool(value) => *value,
        Data::Int(value) => *value != 0,
        Data::Float(value) => *value != 0.0,
        Data::Str(text) => !text.is_empty(),
        Data::List(list) => !list.is_empty(),
        Data::Map(map) => !map.entries.is_empty(),
    }
}

/// A property of a data type is never missing: it starts as what the type's own defaults give.
fn empty_of_custom_type(schema: &Schema, span: Span, data: &DataTypes) -> Option<Value> {
    let custom = schema.type_name.as_ref().is_some_and(|name| data.contains_key(&name.node));
    custom.then(|| Value::new(span, Data::Map(Arc::default())))
}

/// Checks a value against its declared type and fills in what a data type adds.
pub(super) fn complete(value: &Value, schema: &Schema, owner: &str, data: &DataTypes, d: &mut Vec<Diagnostic>) -> Value {
    let Some(type_name) = &schema.type_name else { return value.clone() };
    if function::call(value).is_some() {
        return value.clone();
    }
    if let Some(fields) = data.get(&type_name.node) {
        return complete_custom(value, schema, fields, owner, data, d);
    }
    if !fits(value, &type_name.node) {
        let fault =
            value.span.error(Code::TypeMismatch, format!("{owner} must be of type {}, and this is {}", type_name.node, value.kind()));
        d.push(fault.related(type_name.span, "declared here"));
    }
    value.clone()
}

fn complete_custom(
    value: &Value,
    schema: &Schema,
    fields: &Named<Schema>,
    owner: &str,
    data: &DataTypes,
    d: &mut Vec<Diagnostic>,
) -> Value {
    let given = if value.is_null() { Some(Map::default()) } else { value.as_map().cloned() };
    let Some(map) = given else {
        let name = schema.type_name.as_ref().map_or("", |name| &name.node);
        d.push(value.span.error(Code::TypeMismatch, format!("{owner} must be a mapping of type {name}, and this is {}", value.kind())));
        return value.clone();
    };
    let defaults = schema.default.as_ref().and_then(Value::as_map).map(|map| map.entries.clone()).unwrap_or_default();
    let mut given: Named<Value> = Named::default();
    for (key, value) in defaults.into_iter().chain(map.entries) {
        given.insert(key.to_key(), Definition { name: key.span, body: value });
    }
    let filled = fill(&given, fields, &Owner { what: owner, span: value.span }, data, d);
    let entries = filled.into_iter().map(|(name, value)| (Value::text(value.span, &name), value)).collect();
    Value::new(value.span, Data::Map(Arc::new(Map { entries })))
}

/// The original's type check: `string` and the object types take anything, booleans are no integers.
pub(super) fn fits(value: &Value, type_name: &str) -> bool {
    match type_name {
        "integer" => matches!(value.data, Data::Int(_)),
        "float" => matches!(value.data, Data::Int(_) | Data::Float(_)),
        "boolean" => matches!(value.data, Data::Bool(_)),
        "list" => matches!(value.data, Data::List(_)),
        "dict" => matches!(value.data, Data::Map(_)),
        "regex" => value.as_str().is_some(),
        _ => true,
    }
}

/// The operation of a template over that of its type.
pub(super) fn overlay_operation(
    mine: Option<&Operation<Value>>,
    declared: Option<&Operation<Schema>>,
    owner: &Owner<'_>,
    data: &DataTypes,
    d: &mut Vec<Diagnostic>,
) -> Option<Operation<Value>> {
    match (mine, declared) {
        (None, None) => None,
        (None, Some(declared)) => Some(with_inputs(declared, &Named::default(), owner, data, d)),
        (Some(mine), declared) => {
            let same = |declared: &&Operation<Schema>| {
                let implementation = mine.implementation.as_ref().map(|text| &text.node);
                declared.implementation.is_some()
                    && implementation.is_none_or(|text| declared.implementation.as_ref().is_some_and(|it| it.node == *text))
            };
            let empty = mine.implementation.is_none()
                && mine.inputs.is_empty()
                && mine.executor.is_none()
                && mine.max_retries.is_none()
                && mine.retry_interval.is_none();
            match declared.filter(same) {
                Some(declared) if !empty => {
                    let operation = with_inputs(declared, &mine.inputs, owner, data, d);
                    Some(Operation {
                        span: mine.span,
                        executor: mine.executor.clone().or(operation.executor),
                        max_retries: mine.max_retries.or(operation.max_retries),
                        retry_interval: mine.retry_interval.or(operation.retry_interval),
                        ..operation
                    })
                }
                _ => Some(mine.clone()),
            }
        }
    }
}

fn with_inputs(
    declared: &Operation<Schema>,
    given: &Named<Value>,
    owner: &Owner<'_>,
    data: &DataTypes,
    d: &mut Vec<Diagnostic>,
) -> Operation<Value> {
    let mut inputs: Named<Value> = Named::default();
    for (name, schema) in &declared.inputs {
        let value = given.get(name).map(|given| given.body.clone()).or_else(|| schema.body.default.clone());
        match value {
            Some(value) => {
                // Primitive types of operation inputs are checked only when the operation runs, as in the original.
                let custom = schema.body.type_name.as_ref().is_some_and(|name| data.contains_key(&name.node));
                let what = format!("input `{name}` of {}", owner.what);
                let body = if custom { complete(&value, &schema.body, &what, data, d) } else { value };
                inputs.insert(name.clone(), Definition { name: given.get(name).map_or(schema.name, |given| given.name), body });
            }
            None if schema.body.required => {
                let fault = owner.span.error(Code::MissingProperty, format!("{} lacks the input `{name}`", owner.what));
                d.push(fault.related(schema.name, "declared here"));
            }
            None => {}
        }
    }
    for (name, value) in given.iter().filter(|(name, _)| !declared.inputs.contains_key(*name)) {
        inputs.insert(name.clone(), value.clone());
    }
    Operation {
        span: declared.span,
        implementation: declared.implementation.clone(),
        inputs,
        executor: declared.executor.clone(),
        max_retries: declared.max_retries,
        retry_interval: declared.retry_interval,
    }
}
