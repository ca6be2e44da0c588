//! Flattens types along their hierarchy; fills in and checks their values.

use super::Values;
use crate::{
    catalog::NAMESPACE_DELIMITER,
    diagnostic::{Code, Diagnostic, Diagnostics, Span, Spanned},
    syntax::{
        Data, LITERAL, Map, PRIMITIVES, Value,
        ast::{
            Ast, DataType, Definition, Interfaces, Named, NodeType, Operation, RelationshipType,
            Schema,
        },
        call, matches_type,
    },
};
use indexmap::{IndexMap, IndexSet};
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

/// Declarations by name, including inherited ones.
pub type Fields = IndexMap<Arc<str>, Definition<Arc<Schema>>>;

/// Data types by name.
pub type DataTypes = IndexMap<String, FlatType>;

/// Declared operations by interface, then by name. A type shares unchanged interfaces with its
/// parent.
pub type DeclaredOperations =
    IndexMap<Arc<str>, Arc<IndexMap<Arc<str>, Definition<Arc<Operation<Named<Schema>>>>>>>;

/// A type with all inherited members.
#[derive(Clone, Debug, Default)]
pub struct FlatType {
    /// Names of the type and its ancestors, ancestors first.
    pub hierarchy: Arc<Vec<Arc<str>>>,
    /// Properties.
    pub properties: Arc<Fields>,
    /// Operations; for a relationship type, those of the source side.
    pub interfaces: Arc<DeclaredOperations>,
    /// Operations of the target side.
    pub target_interfaces: Arc<DeclaredOperations>,
    /// Parent type.
    pub parent: Option<String>,
    /// Description; only for data types.
    pub description: Option<String>,
    /// Version; only for data types.
    pub version: Option<Value>,
    /// Number of values in one value of the type, itself included; only for data types.
    pub size: usize,
    /// True if an ancestor type is unknown. The unknown type was reported, so missing members are
    /// not errors.
    pub has_unknown_ancestor: bool,
}

impl FlatType {
    /// Returns the maximum number of values that data types add to its properties.
    pub(super) fn max_filled_values(&self, data: &DataTypes) -> usize {
        let inner = |field: &Definition<Arc<Schema>>| {
            field
                .body
                .type_of()
                .and_then(|name| data.get(name))
                .map_or(0, |flat| flat.size)
        };
        self.properties.values().map(inner).sum()
    }
}

/// Common behavior of node types, relationship types and data types.
trait Derived {
    fn parent(&self) -> Option<&Spanned<String>>;
    fn overlay(&self, flat: &mut FlatType, data: &Named<DataType>);
}

impl Derived for NodeType {
    fn parent(&self) -> Option<&Spanned<String>> {
        self.derived_from.as_ref()
    }

    fn overlay(&self, flat: &mut FlatType, data: &Named<DataType>) {
        overlay_properties(&mut flat.properties, &self.properties, data);
        overlay_interfaces(&mut flat.interfaces, &self.interfaces);
    }
}

impl Derived for RelationshipType {
    fn parent(&self) -> Option<&Spanned<String>> {
        self.derived_from.as_ref()
    }

    fn overlay(&self, flat: &mut FlatType, data: &Named<DataType>) {
        overlay_properties(&mut flat.properties, &self.properties, data);
        overlay_interfaces(&mut flat.interfaces, &self.source_interfaces);
        overlay_interfaces(&mut flat.target_interfaces, &self.target_interfaces);
    }
}

impl Derived for DataType {
    fn parent(&self) -> Option<&Spanned<String>> {
        self.derived_from.as_ref()
    }

    fn overlay(&self, flat: &mut FlatType, data: &Named<DataType>) {
        overlay_properties(&mut flat.properties, &self.properties, data);
        flat.description.clone_from(&self.description);
        flat.version.clone_from(&self.version);
    }
}

/// Adds the properties of a child. They replace those of the parent, but two defaults of the same
/// data type are merged.
fn overlay_properties(parent: &mut Arc<Fields>, child: &Named<Schema>, data: &Named<DataType>) {
    if child.is_empty() {
        return;
    }
    let parent = Arc::make_mut(parent);
    for (name, definition) in child {
        let mut schema = definition.body.clone();
        if let Some(inherited) = parent.get(name.as_str()).map(|inherited| &inherited.body) {
            let same = schema
                .type_of()
                .is_some_and(|name| data.contains_key(name) && inherited.type_of() == Some(name));
            if let Some(default) = inherited.default.as_ref().filter(|_| same) {
                schema.default = Some(
                    schema
                        .default
                        .map_or_else(|| default.clone(), |own| deep_merge(default, &own)),
                );
            }
        }
        parent.insert(
            name.as_str().into(),
            Definition {
                name: definition.name,
                body: Arc::new(schema),
            },
        );
    }
}

fn deep_merge(base: &Value, over: &Value) -> Value {
    let (Some(low), Some(high)) = (base.as_map(), over.as_map()) else {
        return over.clone();
    };
    let mut entries = low.entries.clone();
    for (key, value) in &high.entries {
        match entries
            .iter_mut()
            .find(|(other, _)| other.to_key() == key.to_key())
        {
            Some((_, old)) => *old = deep_merge(old, value),
            None => entries.push((key.clone(), value.clone())),
        }
    }
    let literal = high.literal;
    Value::new(over.span, Data::Map(Arc::new(Map { entries, literal })))
}

/// Adds the operations of a child. They replace those of the parent one by one.
fn overlay_interfaces(parent: &mut Arc<DeclaredOperations>, child: &Interfaces<Named<Schema>>) {
    if child.is_empty() {
        return;
    }
    let parent = Arc::make_mut(parent);
    for (name, interface) in child {
        let mine = Arc::make_mut(parent.entry(name.as_str().into()).or_default());
        for (name, operation) in &interface.body {
            mine.insert(
                name.as_str().into(),
                Definition {
                    name: operation.name,
                    body: Arc::new(operation.body.clone()),
                },
            );
        }
    }
}

/// The types of a blueprint, with all inherited members.
pub(super) struct Types {
    pub nodes: IndexMap<String, Arc<FlatType>>,
    pub relationships: IndexMap<String, Arc<FlatType>>,
    pub data: DataTypes,
}

impl Types {
    pub(super) fn new(ast: &Ast, d: &mut Diagnostics) -> Self {
        check_names(&ast.data_types, d);
        let mut data = flatten(&ast.data_types, "data type", &ast.data_types, d);
        check_data_cycles(&mut data, d);
        let shared = |types: IndexMap<String, FlatType>| {
            types
                .into_iter()
                .map(|(name, flat)| (name, Arc::new(flat)))
                .collect()
        };
        let types = Self {
            nodes: shared(flatten(&ast.node_types, "node type", &ast.data_types, d)),
            relationships: shared(flatten(
                &ast.relationships,
                "relationship type",
                &ast.data_types,
                d,
            )),
            data,
        };
        types.check_schemas(ast, d);
        types
    }

    fn check_schemas(&self, ast: &Ast, d: &mut Diagnostics) {
        let of_interfaces = |interfaces: &'_ Interfaces<Named<Schema>>, d: &mut Diagnostics| {
            for operation in interfaces
                .values()
                .flat_map(|interface| interface.body.values())
            {
                self.check_all(&operation.body.inputs, d);
            }
        };
        for data in ast.data_types.values() {
            self.check_all(&data.body.properties, d);
        }
        for node in ast.node_types.values() {
            self.check_all(&node.body.properties, d);
            of_interfaces(&node.body.interfaces, d);
        }
        for relationship in ast.relationships.values() {
            self.check_all(&relationship.body.properties, d);
            of_interfaces(&relationship.body.source_interfaces, d);
            of_interfaces(&relationship.body.target_interfaces, d);
        }
        for policy in ast
            .policy_types
            .values()
            .chain(ast.policy_triggers.values())
        {
            self.check_all(&policy.body.properties, d);
        }
        for workflow in ast.workflows.values() {
            self.check_all(&workflow.body.parameters, d);
        }
        self.check_all(&ast.inputs, d);
        for type_name in ast
            .plugins
            .values()
            .flat_map(|plugin| &plugin.body.property_types)
        {
            self.check_exists(type_name, d);
        }
    }

    /// Returns true if the data type exists; reports an error otherwise.
    fn check_exists(&self, type_name: &Spanned<String>, d: &mut Diagnostics) -> bool {
        let exists = PRIMITIVES.contains(&type_name.node.as_str())
            || type_name.node == LITERAL
            || self.data.contains_key(&type_name.node);
        if !exists {
            let fault = type_name.span.error(
                Code::UnknownType,
                format!("there is no data type `{}`", type_name.node),
            );
            d.push(
                fault.did_you_mean(
                    &type_name.node,
                    PRIMITIVES
                        .iter()
                        .copied()
                        .chain(self.data.keys().map(String::as_str)),
                ),
            );
        }
        exists
    }

    /// Checks that types exist and that defaults match them.
    fn check_all(&self, schemas: &Named<Schema>, d: &mut Diagnostics) {
        for (name, schema) in schemas {
            if schema
                .body
                .type_name
                .as_ref()
                .is_some_and(|type_name| !self.check_exists(type_name, d))
            {
                continue;
            }
            let foreign = |value: &Value| matches!(value.data, Data::Date(_) | Data::Bytes(_));
            if let Some(default) = schema
                .body
                .default
                .as_ref()
                .filter(|default| !default.is_null() && !foreign(default))
            {
                complete(
                    default,
                    &schema.body,
                    &CompletedValue {
                        what: &format!("the default of `{name}`"),
                        reports_missing: false,
                    },
                    &self.data,
                    d,
                );
            }
        }
    }
}

fn check_names(types: &Named<DataType>, d: &mut Diagnostics) {
    for (name, data) in types
        .iter()
        .filter(|(name, _)| PRIMITIVES.contains(&name.as_str()))
    {
        d.push(
            data.name
                .error(
                    Code::PrimitiveRedefined,
                    format!("`{name}` is a primitive type"),
                )
                .hint("rename the data type"),
        );
    }
}

/// Maximum number of values in one value of a data type, nested values included.
const MAX_DATA_SIZE: usize = 100_000;
/// Maximum nesting depth of data types.
const MAX_DATA_DEPTH: usize = 100;
/// Maximum number of ancestors of a type.
const MAX_ANCESTORS: usize = 2000;
/// Maximum number of properties of all types together. Inherited properties count for each type.
const MAX_PROPERTIES: usize = 1_000_000;

/// Returns the size of a data type and its fields, without nested data types.
fn own_size(at: usize, data: &DataTypes) -> usize {
    data[at].properties.len() + 1
}

/// Reports data types that contain themselves or exceed the limits. The invalid field loses its
/// type, to ensure that filling in terminates.
fn check_data_cycles(data: &mut DataTypes, d: &mut Diagnostics) {
    let mut sizes: Vec<Option<usize>> = vec![None; data.len()];
    for start in 0..data.len() {
        // Each frame: a data type, the position of its next field, its size up to there.
        let mut path: Vec<(usize, usize, usize)> = if sizes[start].is_some() {
            Vec::new()
        } else {
            vec![(start, 0, own_size(start, data))]
        };
        while let Some((at, next, size)) = path.last().copied() {
            let Some((_, field)) = data[at].properties.get_index(next) else {
                sizes[at] = Some(size);
                data[at].size = size;
                path.pop();
                continue;
            };
            let inner = field
                .body
                .type_of()
                .and_then(|name| data.get_index_of(name));
            let fault = match inner.map(|inner| (inner, sizes[inner])) {
                None => None,
                Some((inner, None)) if path.iter().any(|(other, ..)| *other == inner) => {
                    let from = path
                        .iter()
                        .position(|(other, ..)| *other == inner)
                        .unwrap_or(0);
                    let names = path[from..]
                        .iter()
                        .map(|(at, ..)| *at)
                        .chain([inner])
                        .filter_map(|at| data.get_index(at));
                    let names: Vec<&str> = names.map(|(name, _)| name.as_str()).collect();
                    Some(field.name.error(
                        Code::Cycle,
                        format!(
                            "data types contain each other in a cycle: {}",
                            names.join(" → ")
                        ),
                    ))
                }
                Some((_, None)) if path.len() >= MAX_DATA_DEPTH => Some(field.name.error(
                    Code::Limit,
                    format!("data types are nested more than {MAX_DATA_DEPTH} levels deep"),
                )),
                Some((inner, None)) => {
                    path.push((inner, 0, own_size(inner, data)));
                    continue;
                }
                Some((_, Some(inner))) if size + inner > MAX_DATA_SIZE => Some(field.name.error(
                    Code::Limit,
                    format!("a data type expands to more than {MAX_DATA_SIZE} values"),
                )),
                Some((_, Some(inner))) => {
                    path.last_mut().expect("checked above").2 += inner;
                    None
                }
            };
            if let Some(fault) = fault {
                d.push(fault);
                Arc::make_mut(&mut Arc::make_mut(&mut data[at].properties)[next].body).type_name =
                    None;
            }
            path.last_mut().expect("checked above").1 += 1;
        }
    }
}

fn flatten<T: Derived>(
    all: &Named<T>,
    what: &str,
    data: &Named<DataType>,
    d: &mut Diagnostics,
) -> IndexMap<String, FlatType> {
    let mut flat: HashMap<String, FlatType> = HashMap::new();
    let (mut properties, mut reported) = (0, HashSet::new());
    for name in all.keys() {
        for step in unflattened_ancestors(name, all, &flat, what, &mut reported, d) {
            let definition = &all[step];
            let parent = definition.body.parent();
            let inherited = parent.and_then(|parent| flat.get(&parent.node));
            if inherited.is_some_and(|inherited| inherited.hierarchy.len() >= MAX_ANCESTORS) {
                d.push(definition.name.error(
                    Code::Limit,
                    format!("the {what} `{step}` has more than {MAX_ANCESTORS} ancestors"),
                ));
                return IndexMap::new();
            }
            let mut mine = inherited.cloned().unwrap_or_default();
            mine.has_unknown_ancestor |= parent.is_some() && inherited.is_none();
            Arc::make_mut(&mut mine.hierarchy).push(step.into());
            mine.parent = parent.map(|parent| parent.node.clone());
            definition.body.overlay(&mut mine, data);
            properties += mine.properties.len();
            if properties > MAX_PROPERTIES {
                d.push(definition.name.error(
                    Code::Limit,
                    format!(
                        "the types have more than {MAX_PROPERTIES} properties, including inherited ones"
                    ),
                ));
                return IndexMap::new();
            }
            flat.insert(step.to_owned(), mine);
        }
    }
    all.keys()
        .filter_map(|name| flat.remove_entry(name))
        .collect()
}

/// Hint for unknown names of basic types.
pub(super) const BASIC_TYPES_HINT: &str =
    "import the basic types: `imports: [cloudify/types/types.yaml]`";

/// Root types of the basic node types and relationship types.
pub(super) const ROOT_TYPES: [&str; 2] =
    ["cloudify.nodes.Root", "cloudify.relationships.depends_on"];

/// Returns true if a name belongs to a basic type.
pub(super) fn is_basic(name: &str) -> bool {
    name.starts_with("cloudify.nodes.") || name.starts_with("cloudify.relationships.")
}

fn unknown_parent_error<T>(parent: &Spanned<String>, all: &Named<T>, what: &str) -> Diagnostic {
    let fault = parent.span.error(
        Code::UnknownType,
        format!("there is no {what} `{}`", parent.node),
    );
    fault.did_you_mean(&parent.node, all.keys().map(String::as_str))
}

/// Returns an error if the parent exists only under the namespace of the type. Parents of data
/// types are looked up without a namespace, as in Cloudify.
fn namespaced_parent_error<T>(
    name: &str,
    parent: &Spanned<String>,
    all: &Named<T>,
    what: &str,
) -> Option<Diagnostic> {
    let (namespace, _) = name.rsplit_once(NAMESPACE_DELIMITER)?;
    let sibling = format!("{namespace}{NAMESPACE_DELIMITER}{}", parent.node);
    let fault = || {
        parent.span.error(
            Code::NamespacedParent,
            format!(
                "the parent of the {what} `{name}` is `{sibling}`, but is looked up as `{}`",
                parent.node
            ),
        )
    };
    all.contains_key(&sibling).then(|| {
        fault().hint("import this file without a namespace: parents of data types do not get one")
    })
}

/// Returns a type and its ancestors that are not flattened yet, oldest first. Stops at a cycle or
/// an unknown parent.
fn unflattened_ancestors<'a, T: Derived>(
    name: &'a str,
    all: &'a Named<T>,
    flat: &HashMap<String, FlatType>,
    what: &str,
    reported: &mut HashSet<String>,
    d: &mut Diagnostics,
) -> Vec<&'a str> {
    let mut line: IndexSet<&str> = IndexSet::new();
    let mut current = (!flat.contains_key(name)).then(|| (name, &all[name]));
    while let Some((name, definition)) = current {
        line.insert(name);
        let Some(parent) = definition.body.parent() else {
            break;
        };
        let lost = namespaced_parent_error(name, parent, all, what);
        if lost.is_some() || flat.contains_key(&parent.node) {
            d.extend(lost);
            break;
        }
        current = all
            .get_key_value(&parent.node)
            .map(|(name, definition)| (name.as_str(), definition));
        if line.len() >= MAX_ANCESTORS {
            d.push(parent.span.error(
                Code::Limit,
                format!("a {what} has more than {MAX_ANCESTORS} ancestors"),
            ));
            break;
        }
        match current {
            // Without the basic types, each library causes many errors of this kind: report each
            // name once.
            None if is_basic(&parent.node)
                && !ROOT_TYPES.iter().any(|base| all.contains_key(*base)) =>
            {
                if reported.insert(parent.node.clone()) {
                    d.push(unknown_parent_error(parent, all, what).hint(BASIC_TYPES_HINT));
                }
            }
            None => d.push(unknown_parent_error(parent, all, what)),
            Some((again, _)) if line.contains(again) => {
                let cycle: Vec<&str> = line
                    .iter()
                    .copied()
                    .skip_while(|step| *step != again)
                    .chain([again])
                    .collect();
                d.push(parent.span.error(
                    Code::Cycle,
                    format!("{what} is derived from itself: {}", cycle.join(" → ")),
                ));
                break;
            }
            Some(_) => {}
        }
    }
    line.into_iter().rev().collect()
}

const NUMBER_HINT: &str = "write numbers as 1000, 017, 0x1f, 1.5 or 1.0e+3 with at most 64 bits: anything else is a string";

/// The owner of the properties, for messages.
pub(super) struct Owner<'a> {
    pub what: &'a dyn std::fmt::Display,
    /// Location for errors about missing properties.
    pub span: Span,
}

/// Fills the properties of a template from the schema of its type.
///
/// Undeclared properties are kept, to find errors inside them too.
pub(super) fn fill(
    given: &Map,
    schema: &Fields,
    owner: &Owner<'_>,
    data: &DataTypes,
    d: &mut Diagnostics,
) -> Values {
    // Required properties may be missing if the node adopts an existing resource.
    let external = schema.get("use_external_resource").map(|declared| {
        given
            .get("use_external_resource")
            .or(declared.body.default.as_ref())
    });
    let external = external.flatten();
    if let Some(value) = external.filter(|value| call(value).is_some()) {
        d.push(value.span.error(
            Code::ExternalByFunction,
            "`use_external_resource` cannot be a function",
        ));
    }
    let is_adopted = external.is_some_and(|value| call(value).is_none() && truthy(value));
    let mut values = fill_with(
        given,
        schema,
        owner,
        ReportMissing {
            own: !is_adopted,
            nested: true,
        },
        data,
        d,
    );
    let undeclared = given
        .entries
        .iter()
        .filter_map(|(key, value)| Some((key.as_str()?, value)));
    values.extend(
        undeclared
            .filter(|(name, _)| !schema.contains_key(*name))
            .map(|(name, value)| (name.into(), value.clone())),
    );
    values
}

/// Whether missing properties are errors: those of the schema itself, and those of nested values.
#[derive(Clone, Copy)]
struct ReportMissing {
    own: bool,
    nested: bool,
}

fn fill_with(
    given: &Map,
    schema: &Fields,
    owner: &Owner<'_>,
    missing: ReportMissing,
    data: &DataTypes,
    d: &mut Diagnostics,
) -> Values {
    for (key, _) in &given.entries {
        if key.as_str().is_none_or(|name| !schema.contains_key(name)) {
            let name = key.to_key();
            let fault = key.span.error(
                Code::UndefinedProperty,
                format!("{} has no property `{name}`", owner.what),
            );
            let known: Vec<&str> = schema.keys().map(AsRef::as_ref).collect();
            d.push(
                fault
                    .did_you_mean(&name, known.iter().copied())
                    .list_hint("declared properties", known),
            );
        }
    }
    let mut values = Values::with_capacity(schema.len());
    for (name, property) in schema {
        let value = given.get(name).or(property
            .body
            .default
            .as_ref()
            .filter(|default| !default.is_null() || !is_data_type(&property.body, data)));
        match value
            .cloned()
            .or_else(|| empty_data_type(&property.body, owner.span, data))
        {
            Some(value) => {
                let value = if property.body.type_of() == Some(LITERAL) {
                    value.as_literal()
                } else if property.body.type_name.is_some() {
                    let what = Property {
                        name,
                        owner: owner.what,
                    };
                    complete(
                        &value,
                        &property.body,
                        &CompletedValue {
                            what: &what,
                            reports_missing: missing.nested,
                        },
                        data,
                        d,
                    )
                } else {
                    value
                };
                values.insert(name.clone(), value);
            }
            None if missing.own && property.body.is_required() => {
                let fault = owner.span.error(
                    Code::MissingProperty,
                    format!("{} lacks the required property `{name}`", owner.what),
                );
                d.push(fault.related(property.name, "declared here"));
            }
            None => {}
        }
    }
    values
}

/// Formats as "property `x` of node `y`", only if a message needs it.
struct Property<'a> {
    name: &'a str,
    owner: &'a dyn std::fmt::Display,
}

impl std::fmt::Display for Property<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "property `{}` of {}", self.name, self.owner)
    }
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
        Data::Date(_) => true,
        Data::Bytes(bytes) => !bytes.is_empty(),
    }
}

fn is_data_type(schema: &Schema, data: &DataTypes) -> bool {
    schema.type_of().is_some_and(|name| data.contains_key(name))
}

/// Returns an empty mapping for a property of a data type. Such a property is never missing: the
/// defaults of the type fill it.
fn empty_data_type(schema: &Schema, span: Span, data: &DataTypes) -> Option<Value> {
    is_data_type(schema, data).then(|| Value::new(span, Data::Map(Arc::default())))
}

/// The value to complete, for messages, and whether missing properties in it are errors.
pub(super) struct CompletedValue<'a> {
    pub what: &'a dyn std::fmt::Display,
    pub reports_missing: bool,
}

/// Checks a value against its declared type and fills in the defaults of data types.
pub(super) fn complete(
    value: &Value,
    schema: &Schema,
    place: &CompletedValue<'_>,
    data: &DataTypes,
    d: &mut Diagnostics,
) -> Value {
    let Some(type_name) = &schema.type_name else {
        return value.clone();
    };
    if call(value).is_some() {
        return value.clone();
    }
    if let Some(custom) = data.get(&type_name.node) {
        return complete_custom(value, schema, &custom.properties, place, data, d);
    }
    if !matches_type(value, &type_name.node) {
        let message = format!(
            "{} must be of type {}, not {}",
            place.what,
            type_name.node,
            value.kind()
        );
        let fault = value
            .span
            .error(Code::TypeMismatch, message)
            .related(type_name.span, "declared here");
        let like_a_number = value.as_str().is_some_and(|text| {
            text.trim_start_matches(['-', '+', '.'])
                .starts_with(|c: char| c.is_ascii_digit())
        });
        d.push(
            if like_a_number && matches!(type_name.node.as_str(), "integer" | "float") {
                fault.hint(NUMBER_HINT)
            } else {
                fault
            },
        );
    }
    value.clone()
}

fn complete_custom(
    value: &Value,
    schema: &Schema,
    fields: &Fields,
    place: &CompletedValue<'_>,
    data: &DataTypes,
    d: &mut Diagnostics,
) -> Value {
    let Some(map) = value.as_map().cloned() else {
        let name = schema.type_of().unwrap_or_default();
        let message = format!(
            "{} must be a mapping of type {name}, not {}",
            place.what,
            value.kind()
        );
        d.push(value.span.error(Code::TypeMismatch, message));
        return value.clone();
    };
    let mut given = schema
        .default
        .as_ref()
        .and_then(Value::as_map)
        .cloned()
        .unwrap_or_default();
    for (key, value) in map.entries {
        match given
            .entries
            .iter_mut()
            .find(|(other, _)| other.to_key() == key.to_key())
        {
            Some(entry) => *entry = (key, deep_merge(&entry.1, &value)),
            None => given.entries.push((key, value)),
        }
    }
    let missing = ReportMissing {
        own: place.reports_missing,
        nested: place.reports_missing,
    };
    let filled = fill_with(
        &given,
        fields,
        &Owner {
            what: place.what,
            span: value.span,
        },
        missing,
        data,
        d,
    );
    let entries = filled
        .into_iter()
        .map(|(name, value)| (Value::new(value.span, Data::Str(name)), value))
        .collect();
    Value::new(value.span, Data::Map(Arc::new(Map::new(entries))))
}
