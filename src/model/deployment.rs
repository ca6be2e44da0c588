//! Deployments: blueprints with inputs applied and instances counted.

use super::function::{WITHHELD, is_call};
use super::{
    Blueprint, InputType, Instance, Operations, RelationshipKind, Retry, Structure, expand,
    implementation::RUN_SCRIPT, instances::check_relationships, modify,
};
use crate::{
    diagnostic::{Diagnostics, Sources, Span},
    document::Document,
    model::Positions,
    printable::on_one_line,
    syntax::{Data, Value, ast::Schema, call},
};
use indexmap::IndexMap;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map as JsonMap, Value as Json, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

/// An evaluated blueprint with its instances. Workflows are planned from it.
///
/// Its values contain only run-time functions, as data.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Deployment {
    /// Name of the deployment.
    pub name: String,
    /// ID that distinguishes deployments of the same name. Created with the first definition; empty
    /// in journals of older versions.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// Absolute path of the blueprint.
    pub blueprint: PathBuf,
    /// The document of another kind that it was created from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document: Option<Document>,
    /// Inputs, including defaults.
    pub inputs: JsonMap<String, Json>,
    /// Inputs that the user set; the others have their defaults.
    pub given: JsonMap<String, Json>,
    /// Nodes by name, in document order. The deployments of one run share most of them.
    pub nodes: IndexMap<String, Arc<Definition>>,
    /// Instances. Containers precede their contents.
    pub instances: Vec<Instance>,
    /// Values of the outputs, including run-time functions.
    pub outputs: JsonMap<String, Json>,
    /// Values of the capabilities, including run-time functions.
    pub capabilities: JsonMap<String, Json>,
    /// Values of the labels, by key.
    #[serde(default)]
    pub labels: JsonMap<String, Json>,
    /// Declared instance counts and scaling groups.
    #[serde(default)]
    pub structure: Structure,
    /// Nodes that are protected from accidental deletion: `metadata.dockctl.protect`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub protected: Vec<String>,
    /// Workflows that the blueprint declares.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub workflows: IndexMap<String, DeclaredWorkflow>,
    /// True if it was rebuilt from labels on engines, which do not contain everything.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub recovered: bool,
    /// Positions of the instances by ID.
    #[serde(skip)]
    pub positions: Positions,
}

/// Everything that a deployment is created from, besides its blueprint.
pub struct DeploymentSource<'a> {
    /// Name of the deployment.
    pub name: &'a str,
    /// Absolute path of the blueprint.
    pub path: &'a Path,
    /// Inputs that the user set.
    pub given: JsonMap<String, Json>,
    /// The present deployment. Its instances keep their IDs. The number of instances of a node
    /// changes only if its declared number changes.
    pub previous: Option<&'a Deployment>,
    /// Planned instances. New instances get their IDs.
    pub planned: &'a [Instance],
    /// IDs of the instances that are removed first if a number is smaller than before.
    pub removed_first: BTreeSet<String>,
    /// Source files.
    pub sources: &'a Sources,
}

/// Evaluated declaration of a node.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Definition {
    /// Names of its types, ancestors first.
    pub hierarchy: Vec<String>,
    /// Properties.
    pub properties: JsonMap<String, Json>,
    /// Operations that do something, by `interface.operation`.
    pub operations: IndexMap<String, OperationDefinition>,
    /// Relationships, in the order of the template.
    #[serde(rename = "ties")]
    pub relationships: Vec<RelationshipDefinition>,
    /// Keyed digests of the secrets that its operations use, by name. A new value counts as a
    /// change.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secrets: BTreeMap<String, String>,
    /// Location of the node.
    pub place: SourceLocation,
    /// Locations of its properties, by name.
    pub property_places: IndexMap<String, SourceLocation>,
}

/// An operation of a deployment.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct OperationDefinition {
    /// Name of the plugin as the blueprint declares it.
    pub plugin: String,
    /// Name of the operation in the plugin.
    pub operation: String,
    /// Inputs.
    pub inputs: JsonMap<String, Json>,
    /// Types that values of inputs must have when the operation runs, by input. They are no part of
    /// the operation itself: other types alone are no change.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub inputs_types: BTreeMap<String, String>,
    /// Executor of a script. Other plugins decide themselves where their operations run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub executor: Option<String>,
    /// Retry rules from the blueprint.
    pub retry: Retry,
    /// Location of the definition.
    pub place: SourceLocation,
}

/// A relationship of a deployment.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct RelationshipDefinition {
    /// Its type.
    pub type_name: String,
    /// Base type of the relationship.
    pub kind: RelationshipKind,
    /// Names of its types, ancestors first.
    #[serde(default)]
    pub hierarchy: Vec<String>,
    /// Properties.
    #[serde(default)]
    pub properties: JsonMap<String, Json>,
    /// Target node.
    pub target: String,
    /// Operations that do something, by `side/interface.operation`.
    pub operations: IndexMap<String, OperationDefinition>,
}

/// Relationship type whose source waits only for one operation of its target.
pub const AWAITS_OPERATION: &str = "cloudify.relationships.depends_on_lifecycle_operation";

impl RelationshipDefinition {
    /// Returns the lifecycle operation of the target that the source waits for; none if it waits
    /// for the whole target. As in Cloudify, derived types do not count.
    #[must_use]
    pub fn awaited_operation(&self) -> Option<&str> {
        let operation = self.properties.get("operation")?.as_str();
        operation.filter(|_| self.type_name == AWAITS_OPERATION)
    }
}

/// A workflow that a blueprint declares.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct DeclaredWorkflow {
    /// Name of the plugin as the blueprint declares it.
    pub plugin: String,
    /// Name of the operation in the plugin.
    pub operation: String,
    /// Parameters by name, with their defaults.
    pub parameters: IndexMap<String, DeclaredParameter>,
}

/// A parameter of a workflow that a blueprint declares.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct DeclaredParameter {
    /// Default value. Null is a value.
    #[serde(
        default,
        deserialize_with = "deserialize_present",
        skip_serializing_if = "Option::is_none"
    )]
    pub default: Option<Json>,
    /// True if the user must set it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub required: bool,
    /// Its type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub type_name: Option<String>,
}

fn deserialize_present<'d, D: Deserializer<'d>>(deserializer: D) -> Result<Option<Json>, D::Error> {
    Json::deserialize(deserializer).map(Some)
}

/// A location in a blueprint, for messages at run time. Lines and columns count from 1.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct SourceLocation {
    /// Path of the file, as given.
    pub file: String,
    /// Line.
    pub line: usize,
    /// Column in characters.
    pub column: usize,
}

impl SourceLocation {
    fn of(span: Span, sources: &Sources) -> Self {
        let (line, column) = sources.line_column(span.file, span.start);
        Self {
            file: sources.name(span.file).to_owned(),
            line,
            column,
        }
    }
}

impl fmt::Display for SourceLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

impl Deployment {
    /// Creates a deployment from an evaluated blueprint.
    #[must_use]
    pub fn new(
        origin: &DeploymentSource<'_>,
        blueprint: &Blueprint,
        inputs: &IndexMap<String, Value>,
        random: &mut fastrand::Rng,
        d: &mut Diagnostics,
    ) -> Self {
        let sources = origin.sources;
        Self {
            name: origin.name.to_owned(),
            id: origin
                .previous
                .map(|before| before.id.clone())
                .unwrap_or_default(),
            blueprint: origin.path.to_owned(),
            document: blueprint.document.clone(),
            inputs: to_json(inputs),
            given: origin.given.clone(),
            nodes: blueprint
                .nodes
                .iter()
                .map(|(name, node)| (name.clone(), Arc::new(Definition::of(node, sources))))
                .collect(),
            instances: match origin.previous {
                Some(before) => {
                    check_relationships(blueprint, d);
                    modify(
                        blueprint,
                        &before.skeleton(),
                        &before.instances,
                        &before.changed_counts(blueprint, &origin.removed_first),
                        random,
                        d,
                    )
                    .instances
                }
                None => expand(blueprint, origin.planned, random, d),
            },
            structure: Structure {
                emptied: Some(
                    origin
                        .previous
                        .map(|before| before.still_scaled_to_zero(blueprint))
                        .unwrap_or_default(),
                ),
                ..Structure::of(blueprint)
            },
            outputs: blueprint
                .outputs
                .iter()
                .map(|(name, output)| (name.clone(), output.body.value.to_json()))
                .collect(),
            capabilities: blueprint
                .capabilities
                .iter()
                .map(|(name, output)| (name.clone(), output.body.value.to_json()))
                .collect(),
            labels: blueprint
                .labels
                .iter()
                .map(|(name, label)| {
                    (
                        name.clone(),
                        label.body.values.iter().map(Value::to_json).collect(),
                    )
                })
                .collect(),
            protected: blueprint.dockctl_metadata.protect.clone(),
            workflows: blueprint
                .workflows
                .iter()
                .map(|(name, workflow)| (name.clone(), declared_workflow(workflow)))
                .collect(),
            recovered: false,
            positions: Positions::default(),
        }
    }

    /// Returns all values that come from the blueprint: inputs, properties, inputs of operations,
    /// outputs, capabilities and labels.
    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = &mut JsonMap<String, Json>> {
        let nodes = self.nodes.values_mut().flat_map(|node| {
            let node = Arc::make_mut(node);
            let relationships = node
                .relationships
                .iter_mut()
                .flat_map(|relationship| relationship.operations.values_mut());
            let operations = node
                .operations
                .values_mut()
                .chain(relationships)
                .map(|operation| &mut operation.inputs);
            [&mut node.properties].into_iter().chain(operations)
        });
        [
            &mut self.inputs,
            &mut self.given,
            &mut self.outputs,
            &mut self.capabilities,
            &mut self.labels,
        ]
        .into_iter()
        .chain(nodes)
    }

    /// Changes the ID of an instance, also in relationships that point to it.
    pub fn replace_instance_id(&mut self, at: usize, id: &str) {
        let former = std::mem::replace(&mut self.instances[at].id, id.to_owned());
        let relationships = self
            .instances
            .iter_mut()
            .flat_map(|instance| &mut instance.relationships);
        relationships
            .filter(|relationship| relationship.target == former)
            .for_each(|relationship| id.clone_into(&mut relationship.target));
    }

    /// Returns the instance with an ID.
    #[must_use]
    pub fn instance(&self, id: &str) -> Option<&Instance> {
        self.positions
            .find(&self.instances, id, |instance| Some(&instance.id))
    }

    /// Returns the node of an instance.
    #[must_use]
    pub fn node(&self, instance: &Instance) -> Option<&Definition> {
        self.nodes.get(&instance.node).map(Arc::as_ref)
    }

    /// Returns the differences to `newer`, field by field. Locations are ignored: moved lines
    /// change nothing. Returns nothing for a recovered deployment, whose definition is incomplete.
    #[must_use]
    pub fn differences(&self, newer: &Self) -> Vec<Difference> {
        let mut all = Vec::new();
        if self.recovered {
            return all;
        }
        compare(
            String::new(),
            &self.comparable(),
            &newer.comparable(),
            &mut all,
        );
        for (name, node) in &self.nodes {
            let Some(newer) = newer.nodes.get(name) else {
                continue;
            };
            compare(
                format!("nodes.{name}.secrets"),
                &node.withheld_secrets(),
                &newer.withheld_secrets(),
                &mut all,
            );
        }
        all
    }

    /// Returns everything that affects execution: without locations, without values that are
    /// generated per installation, and with secrets by name only.
    #[must_use]
    pub fn comparable_content(&self) -> Json {
        self.comparable()
    }

    fn comparable(&self) -> Json {
        let nodes: JsonMap<String, Json> = self
            .nodes
            .iter()
            .map(|(name, node)| (name.clone(), node.comparable(self.instances_of(name))))
            .collect();
        json!({ "nodes": nodes, "outputs": self.outputs, "capabilities": self.capabilities })
    }

    fn instances_of(&self, node: &str) -> usize {
        self.instances
            .iter()
            .filter(|instance| instance.node == node)
            .count()
    }
}

impl Definition {
    fn comparable(&self, instances: usize) -> Json {
        let operations: JsonMap<String, Json> = self
            .operations
            .iter()
            .map(|(name, operation)| (name.clone(), operation.comparable()))
            .collect();
        json!({
            "type": self.hierarchy.last(),
            "properties": self.properties,
            "operations": operations,
            "relationships": self.comparable_relationships(),
            "instances": instances,
        })
    }

    /// Returns the relationships by type and target. If several share both, the last one applies.
    fn comparable_relationships(&self) -> JsonMap<String, Json> {
        let name = |relationship: &RelationshipDefinition| {
            format!(
                "{} to {}",
                relationship
                    .type_name
                    .trim_start_matches("cloudify.relationships."),
                relationship.target
            )
        };
        self.relationships
            .iter()
            .map(|relationship| (name(relationship), relationship.comparable()))
            .collect()
    }

    /// Returns the differences to `newer`, field by field, each with a short path: `params.command`
    /// of `create`, `start.params.links`.
    #[must_use]
    pub fn differences(&self, newer: &Self) -> Vec<Difference> {
        let mut all = Vec::new();
        compare(
            String::new(),
            &self.comparable(0),
            &newer.comparable(0),
            &mut all,
        );
        compare(
            "secrets".to_owned(),
            &self.withheld_secrets(),
            &newer.withheld_secrets(),
            &mut all,
        );
        all.into_iter()
            .map(|difference| Difference {
                field: short_path(&difference.field),
                ..difference
            })
            .collect()
    }

    /// Returns true if both definitions are the same. Locations are ignored.
    #[must_use]
    pub fn is_equivalent(&self, other: &Self) -> bool {
        self.creates_same_object(other)
            && self.comparable_relationships() == other.comparable_relationships()
    }

    /// Returns true if both definitions create the same object. Relationships may differ, except
    /// the one to the container.
    #[must_use]
    pub fn creates_same_object(&self, other: &Self) -> bool {
        let like = |(name, operation): (&String, &OperationDefinition)| {
            other
                .operations
                .get(name)
                .is_some_and(|other| operation.comparable() == other.comparable())
        };
        self.hierarchy.last() == other.hierarchy.last()
            && self.properties == other.properties
            && self.operations.len() == other.operations.len()
            && self.operations.iter().all(like)
            && self.container() == other.container()
            && self.secrets == other.secrets
    }

    /// Returns the digests of secrets as withheld values, which are not shown.
    fn withheld_secrets(&self) -> Json {
        self.secrets
            .iter()
            .map(|(name, digest)| (name.clone(), json!({ WITHHELD: digest })))
            .collect::<JsonMap<_, _>>()
            .into()
    }

    /// Returns the names of the secrets that the node uses, except in `image`: registry credentials
    /// do not affect the created object.
    pub(crate) fn secret_names(&self) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        let properties = self
            .properties
            .iter()
            .filter(|(name, _)| *name != "image")
            .map(|(_, value)| value);
        let inputs = self
            .operations
            .values()
            .flat_map(|operation| operation.inputs.values());
        properties
            .chain(inputs)
            .for_each(|value| secrets_in(value, &mut names));
        names
    }

    /// Returns the node that contains this one.
    fn container(&self) -> Option<&str> {
        self.relationships
            .iter()
            .find(|relationship| relationship.kind == RelationshipKind::ContainedIn)
            .map(|relationship| relationship.target.as_str())
    }

    /// Returns true if the node adopts an existing object.
    #[must_use]
    pub fn is_adopted(&self) -> bool {
        self.properties
            .get("use_external_resource")
            .and_then(Json::as_bool)
            .unwrap_or(false)
    }
}

impl OperationDefinition {
    fn comparable(&self) -> Json {
        json!({ "plugin": self.plugin, "operation": self.operation, "inputs": self.inputs, "retry": self.retry })
    }
}

impl RelationshipDefinition {
    fn comparable(&self) -> Json {
        let operations: JsonMap<String, Json> = self
            .operations
            .iter()
            .map(|(name, operation)| (name.clone(), operation.comparable()))
            .collect();
        json!({ "properties": self.properties, "operations": operations })
    }
}

/// A field whose value differs between two deployments.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// Dotted path of the field.
    pub field: String,
    /// Value before; `None` if the field was added.
    pub before: Option<Json>,
    /// Value after; `None` if the field was removed.
    pub after: Option<Json>,
}

/// Removes common prefixes from a path into a definition.
fn short_path(field: &str) -> String {
    let field = field
        .strip_prefix("operations.cloudify.interfaces.")
        .unwrap_or(field);
    let field = field.strip_prefix("lifecycle.").unwrap_or(field);
    let field = field.replacen(".inputs.", ".", 1);
    field
        .strip_prefix("create.")
        .map_or_else(|| field.clone(), str::to_owned)
}

fn secrets_in(value: &Json, names: &mut BTreeSet<String>) {
    match value {
        Json::Array(items) => items.iter().for_each(|item| secrets_in(item, names)),
        Json::Object(object) => {
            let called = object.get("get_secret").filter(|_| is_call(value));
            names.extend(
                called
                    .and_then(|arguments| arguments.as_str().or_else(|| arguments[0].as_str()))
                    .map(str::to_owned),
            );
            object.values().for_each(|value| secrets_in(value, names));
        }
        _ => {}
    }
}

/// Formats a value for display, without sensitive parts. A digest needs no quotes.
fn redacted_text(value: &Json) -> String {
    match value.as_str().and_then(|text| text.strip_prefix("sha256:")) {
        Some(digits) if digits.bytes().all(|it| it.is_ascii_hexdigit()) => {
            format!("sha256:{digits}")
        }
        _ => redacted(value).to_string(),
    }
}

fn redacted(value: &Json) -> Json {
    match value {
        Json::Object(object) if object.contains_key(WITHHELD) => "(sensitive)".into(),
        Json::Object(object) => object
            .iter()
            .map(|(key, value)| (key.clone(), redacted(value)))
            .collect(),
        Json::Array(items) => items.iter().map(redacted).collect(),
        other => other.clone(),
    }
}

impl Difference {
    /// Returns the difference as JSON, without sensitive values.
    #[must_use]
    pub fn to_json(&self) -> Json {
        json!({ "field": self.field, "before": self.before.as_ref().map(redacted), "after": self.after.as_ref().map(redacted) })
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let field = on_one_line(&self.field);
        match (&self.before, &self.after) {
            (Some(before), Some(after)) if redacted_text(before) == redacted_text(after) => {
                write!(f, "{field}: changed (sensitive)")
            }
            (Some(before), Some(after)) => {
                write!(
                    f,
                    "{field}: {} → {}",
                    redacted_text(before),
                    redacted_text(after)
                )
            }
            (None, Some(Json::Object(_))) => write!(f, "{field}: added"),
            (None, Some(after)) => write!(f, "{field}: added {}", redacted_text(after)),
            (Some(_), None) => write!(f, "{field}: removed"),
            (None, None) => f.write_str(&field),
        }
    }
}

fn compare(field: String, before: &Json, after: &Json, all: &mut Vec<Difference>) {
    let objects = match (before, after) {
        // A call is compared as a whole.
        (Json::Object(old), Json::Object(new)) if !is_call(before) && !is_call(after) => {
            Some((old, new))
        }
        _ => None,
    };
    let Some((old, new)) = objects else {
        if before != after {
            all.push(Difference {
                field,
                before: Some(before.clone()),
                after: Some(after.clone()),
            });
        }
        return;
    };
    let join = |key: &str| {
        if field.is_empty() {
            key.to_owned()
        } else {
            format!("{field}.{key}")
        }
    };
    for (key, before) in old {
        match new.get(key) {
            Some(after) => compare(join(key), before, after, all),
            None => all.push(Difference {
                field: join(key),
                before: Some(before.clone()),
                after: None,
            }),
        }
    }
    for (key, after) in new.iter().filter(|(key, _)| !old.contains_key(*key)) {
        all.push(Difference {
            field: join(key),
            before: None,
            after: Some(after.clone()),
        });
    }
}

/// Returns the strings in a value, except those inside calls.
#[must_use]
pub fn strings_in(value: &Json) -> Vec<String> {
    match value {
        Json::String(text) => vec![text.clone()],
        Json::Array(items) => items.iter().flat_map(strings_in).collect(),
        Json::Object(object) if !is_call(value) => object.values().flat_map(strings_in).collect(),
        _ => Vec::new(),
    }
}

fn to_json<'v, K: AsRef<str> + 'v>(
    values: impl IntoIterator<Item = (&'v K, &'v Value)>,
) -> JsonMap<String, Json> {
    values
        .into_iter()
        .map(|(name, value)| (name.as_ref().to_owned(), value.to_json()))
        .collect()
}

impl Definition {
    /// Returns the definition of a node of an evaluated blueprint.
    #[must_use]
    pub fn of(node: &super::Node, sources: &Sources) -> Self {
        let relationships = node.relationships.iter();
        let properties = node.properties.iter();
        let placed = |(name, value): (&Arc<str>, &Value)| {
            (name.to_string(), SourceLocation::of(value.span, sources))
        };
        Self {
            hierarchy: node.hierarchy.iter().map(ToString::to_string).collect(),
            properties: to_json(&node.properties),
            operations: operation_definitions("", &node.operations, sources),
            relationships: relationships
                .map(|it| relationship_definition(it, sources))
                .collect(),
            secrets: BTreeMap::new(),
            place: SourceLocation::of(node.name.span, sources),
            property_places: properties.map(placed).collect(),
        }
    }
}

fn declared_workflow(workflow: &super::Workflow) -> DeclaredWorkflow {
    let parameter = |schema: &Schema| DeclaredParameter {
        default: schema.default.as_ref().map(Value::to_json),
        required: schema.is_required() && schema.default.is_none(),
        type_name: schema.type_name.as_ref().map(|name| name.node.clone()),
    };
    DeclaredWorkflow {
        plugin: workflow.plugin.clone(),
        operation: workflow.operation.clone(),
        parameters: workflow
            .parameters
            .iter()
            .map(|(name, schema)| (name.clone(), parameter(&schema.body)))
            .collect(),
    }
}

/// Returns the operations that do something, with `prefix` before their names.
fn operation_definitions<'o>(
    prefix: &'o str,
    operations: &'o Operations,
    sources: &Sources,
) -> IndexMap<String, OperationDefinition> {
    let planned = |(name, operation): (&std::sync::Arc<str>, &std::sync::Arc<super::Operation>)| {
        let planned = OperationDefinition {
            plugin: operation.plugin.to_string(),
            operation: operation.operation.to_string(),
            inputs: to_json(&operation.inputs),
            inputs_types: checked_types(operation),
            executor: operation
                .rules
                .executor
                .as_ref()
                .filter(|_| &*operation.operation == RUN_SCRIPT)
                .map(ToString::to_string),
            retry: Retry {
                max_retries: number(operation.rules.max_retries.as_ref()),
                interval: number(operation.rules.retry_interval.as_ref()),
                // 0 means no timeout, as in Cloudify.
                timeout: number(operation.rules.timeout.as_ref()).filter(|seconds| *seconds > 0.0),
                timeout_recoverable: operation.rules.timeout_recoverable.unwrap_or(false),
            },
            place: SourceLocation::of(operation.span, sources),
        };
        (format!("{prefix}{name}"), planned)
    };
    operations
        .iter()
        .filter(|(_, operation)| !operation.is_empty())
        .map(planned)
        .collect()
}

/// Returns the types that are checked when the operation runs: declared ones, and those beside a
/// call. In other mappings, `type` is data.
fn checked_types(operation: &super::Operation) -> BTreeMap<String, String> {
    let is_checked = |it: &&InputType| {
        it.is_declared
            || operation
                .inputs
                .get(&it.input)
                .is_some_and(|value| call(value).is_some())
    };
    let types = operation.input_types.iter().filter(is_checked);
    types
        .filter_map(|it| Some((it.input.to_string(), it.type_name.as_str()?.to_owned())))
        .collect()
}

#[expect(
    clippy::cast_precision_loss,
    reason = "retry counts and intervals stay below 2^53"
)]
fn number(value: Option<&Value>) -> Option<f64> {
    match value?.data {
        Data::Int(number) => Some(number as f64),
        Data::Float(number) => Some(number),
        Data::Bool(yes) => Some(u8::from(yes).into()),
        _ => None,
    }
}

fn relationship_definition(
    relationship: &super::Relationship,
    sources: &Sources,
) -> RelationshipDefinition {
    let mut operations = operation_definitions("source/", &relationship.source_operations, sources);
    operations.extend(operation_definitions(
        "target/",
        &relationship.target_operations,
        sources,
    ));
    RelationshipDefinition {
        type_name: relationship.type_name.node.clone(),
        kind: relationship.kind.unwrap_or(RelationshipKind::DependsOn),
        hierarchy: relationship
            .relationship_type
            .hierarchy
            .iter()
            .map(ToString::to_string)
            .collect(),
        properties: to_json(&relationship.properties),
        target: relationship.target.node.clone(),
        operations,
    }
}
