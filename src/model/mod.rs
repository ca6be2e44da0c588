//! Semantics of a blueprint: flattened types, resolved references, applied inputs, node instances.
//!
//! Does not depend on any engine. [`resolve()`] converts an [`Ast`](crate::syntax::ast::Ast) to a
//! [`Blueprint`], [`inputs`] applies inputs, [`evaluate`] evaluates the functions that are known by
//! then. The result is a [`Deployment`], which is planned, executed and stored.

mod constraints;
mod deployment;
pub mod function;
mod groups;
mod implementation;
pub mod inputs;
mod instances;
mod lifecycle;
mod metadata;
mod modification;
pub mod normal;
mod numbering;
mod positions;
mod precedence;
mod relationship_changes;
mod resolve;
mod scaling;
mod structure;
mod types;

pub use deployment::{
    AWAITS_OPERATION, DeclaredParameter, DeclaredWorkflow, Definition, Deployment,
    DeploymentSource, Difference, OperationDefinition, RelationshipDefinition, SourceLocation,
    strings_in,
};
pub use function::evaluate;
pub(crate) use instances::random_id;
pub use instances::{GroupInstance, Instance, InstanceRelationship, Instances, expand};
pub use lifecycle::{InstanceState, RelationshipEnd, RelationshipSide};
pub use metadata::DockctlMetadata;
pub use modification::{AffectedInstance, DesiredCount, Modification, modify};
pub use numbering::Numbering;
pub use positions::Positions;
pub use precedence::Precedence;
pub use relationship_changes::{DefinedRelationship, RelationshipChange, defined_relationships};
pub use resolve::{IsBuiltIn, resolve};
pub use scaling::InstanceCounts;
pub use structure::{ScalingError, ScalingRequest, ScalingResult, Structure};
pub use types::{DataTypes, DeclaredOperations, Fields, FlatType};

use crate::{
    diagnostic::{Span, Spanned},
    document::Document,
    syntax::{
        Data, Value, Version,
        ast::{ExecutionRules, Label, Named, Output, Plugin, Schema, Settings},
    },
};
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeSet, sync::Arc};

/// A resolved blueprint. Every name in it refers to something that exists.
///
/// Before inputs are applied, its values may contain any functions; afterwards, only functions that
/// are evaluated at run time.
#[derive(Clone, Debug)]
pub struct Blueprint {
    /// Declared version of the DSL.
    pub version: Version,
    /// The document of another kind that it was made from.
    pub document: Option<Document>,
    /// Description for users.
    pub description: Option<String>,
    /// Free-form data.
    pub metadata: Option<Value>,
    /// Settings for dockctl in `metadata`.
    pub dockctl_metadata: DockctlMetadata,
    /// Declared inputs.
    pub inputs: Named<Schema>,
    /// Declared data types.
    pub data_types: DataTypes,
    /// Declared plugins.
    pub plugins: Named<Plugin>,
    /// Declared relationship types, inheritance applied.
    pub relationship_types: IndexMap<String, Arc<FlatType>>,
    /// Nodes in document order.
    pub nodes: IndexMap<String, Node>,
    /// Groups of nodes.
    pub groups: IndexMap<String, Group>,
    /// Scaling policies.
    pub policies: IndexMap<String, ScalingPolicy>,
    /// Groups that are targets of a scaling policy.
    pub scaling_groups: IndexMap<String, ScalingGroup>,
    /// Declared types of the policies of groups.
    pub policy_types: Named<crate::syntax::ast::PolicyType>,
    /// Declared triggers of the policies of groups.
    pub policy_triggers: Named<crate::syntax::ast::PolicyType>,
    /// Workflows.
    pub workflows: IndexMap<String, Workflow>,
    /// Outputs.
    pub outputs: Named<Output>,
    /// Capabilities.
    pub capabilities: Named<Output>,
    /// Labels of deployments.
    pub labels: Named<Label>,
    /// Labels of the blueprint.
    pub blueprint_labels: Named<Label>,
    /// Settings of deployments.
    pub settings: Option<Settings>,
    /// Tags for all created resources.
    pub resource_tags: Option<Value>,
    /// Secrets and capabilities that must exist when a deployment is created.
    pub requirements: Requirements,
}

/// Secrets and capabilities that must exist when a deployment is created.
#[derive(Clone, Debug, Default)]
pub struct Requirements {
    /// Arguments of each call of `get_secret`.
    pub secrets: Vec<serde_json::Value>,
    /// Arguments of each call of `get_environment_capability`: a capability of the parent
    /// deployment, then keys into its value.
    pub parent_capabilities: Vec<serde_json::Value>,
}

impl Default for Blueprint {
    fn default() -> Self {
        Self {
            version: Version::LATEST,
            document: None,
            description: None,
            metadata: None,
            dockctl_metadata: DockctlMetadata::default(),
            inputs: Named::default(),
            data_types: DataTypes::default(),
            plugins: Named::default(),
            relationship_types: IndexMap::new(),
            nodes: IndexMap::new(),
            groups: IndexMap::new(),
            policies: IndexMap::new(),
            scaling_groups: IndexMap::new(),
            policy_types: Named::default(),
            policy_triggers: Named::default(),
            workflows: IndexMap::new(),
            outputs: Named::default(),
            capabilities: Named::default(),
            labels: Named::default(),
            blueprint_labels: Named::default(),
            settings: None,
            resource_tags: None,
            requirements: Requirements::default(),
        }
    }
}

impl Blueprint {
    /// Removes declared types from the inputs of operations. Cloudify adds them there; plugins do
    /// not expect them.
    pub fn strip_input_types(&mut self) {
        for node in self.nodes.values_mut() {
            strip_operations(&mut node.operations);
            for relationship in &mut node.relationships {
                strip_operations(&mut relationship.source_operations);
                strip_operations(&mut relationship.target_operations);
            }
        }
    }
}

fn strip_operations(operations: &mut Arc<Operations>) {
    if operations
        .values()
        .all(|operation| operation.input_types.is_empty())
    {
        return;
    }
    for operation in Arc::make_mut(operations)
        .values_mut()
        .filter(|operation| !operation.input_types.is_empty())
    {
        let Operation {
            inputs,
            input_types,
            ..
        } = Arc::make_mut(operation);
        for declared in input_types.iter().filter(|it| it.is_declared) {
            if let Some(value) = inputs.get_mut(&declared.input) {
                *value = without_type(value, declared.type_name.as_str());
            }
        }
    }
}

fn without_type(value: &Value, type_name: Option<&str>) -> Value {
    let Some(map) = value
        .as_map()
        .filter(|map| map.get("type").and_then(Value::as_str) == type_name)
    else {
        return value.clone();
    };
    let mut map = map.clone();
    map.entries.retain(|(key, _)| key.as_str() != Some("type"));
    Value::new(value.span, Data::Map(Arc::new(map)))
}

/// Values by name, in document order.
pub type Values = IndexMap<Arc<str>, Value>;

/// Operations by `interface.operation`, including those that do nothing.
pub type Operations = IndexMap<Arc<str>, Arc<Operation>>;

/// A node template with its type flattened into it.
#[derive(Clone, Debug)]
pub struct Node {
    /// Name of the node.
    pub name: Spanned<String>,
    /// Names of its types, ancestors first.
    pub hierarchy: Arc<Vec<Arc<str>>>,
    /// Properties, including defaults.
    pub properties: Values,
    /// Operations by `interface.operation`. Shared with the type if the template adds none.
    pub operations: Arc<Operations>,
    /// Relationships, in the order of the template.
    pub relationships: Vec<Relationship>,
    /// True if its type or an ancestor type is unknown. The unknown type was reported, so missing
    /// members are not errors.
    pub has_unknown_type: bool,
    /// `instances.deploy`, if given.
    pub deploy: Option<Value>,
    /// Names and numbers of the instances.
    pub numbering: Numbering,
    /// Number of instances per instance of its container.
    pub instance_counts: InstanceCounts,
    /// Host node: the node itself or the host that contains it.
    pub host: Option<String>,
}

impl Node {
    /// Returns true if one of its types is a host type. Cloudify searches for this text anywhere in
    /// the type names.
    #[must_use]
    pub fn is_host(&self) -> bool {
        self.hierarchy
            .iter()
            .any(|name| name.contains("cloudify.nodes.Compute"))
    }

    /// Returns the node that contains this one.
    #[must_use]
    pub fn container(&self) -> Option<&str> {
        self.relationships
            .iter()
            .find(|relationship| relationship.kind == Some(RelationshipKind::ContainedIn))
            .map(|relationship| relationship.target.node.as_str())
    }
}

/// An operation. Without a plugin it does nothing.
#[derive(Clone, Debug)]
pub struct Operation {
    /// Name of the plugin as the blueprint declares it.
    pub plugin: Arc<str>,
    /// Name of the operation in the plugin.
    pub operation: Arc<str>,
    /// Inputs, including defaults.
    pub inputs: Values,
    /// Types of inputs that are mappings.
    pub input_types: Vec<InputType>,
    /// Executor, retries and timeout.
    pub rules: ExecutionRules,
    /// Location of the definition.
    pub span: Span,
}

/// The `type` in the mapping that is the value of an input, in the blueprint as it was read.
#[derive(Clone, Debug)]
pub struct InputType {
    /// Name of the input.
    pub input: Arc<str>,
    /// The type: a name, unless the mapping is data with any value under `type`.
    pub type_name: Value,
    /// True if the type of the node declares it, which Cloudify writes into the mapping.
    pub is_declared: bool,
}

impl Operation {
    /// Returns true if the operation does nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.plugin.is_empty()
    }
}

/// Retry rules of an operation, as far as the blueprint declares them.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Retry {
    /// Maximum number of retries; a negative number retries indefinitely.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_retries: Option<f64>,
    /// Seconds between two attempts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<f64>,
    /// Time limit for one attempt with all its steps, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<f64>,
    /// True if a timed-out attempt is retried.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub timeout_recoverable: bool,
}

/// A relationship to another node.
#[derive(Clone, Debug)]
pub struct Relationship {
    /// Its type, including inherited members.
    pub relationship_type: Arc<FlatType>,
    /// Name of its type, with the location of its use.
    pub type_name: Spanned<String>,
    /// Base type that its type is derived from, if any.
    pub kind: Option<RelationshipKind>,
    /// Properties, including defaults. Functions in them are never evaluated.
    pub properties: Values,
    /// Target node.
    pub target: Spanned<String>,
    /// Operations of the source side.
    pub source_operations: Arc<Operations>,
    /// Operations of the target side.
    pub target_operations: Arc<Operations>,
}

impl Relationship {
    /// Returns the operations of both sides.
    pub fn operations(&self) -> impl Iterator<Item = (&Arc<str>, &Arc<Operation>)> {
        self.source_operations
            .iter()
            .chain(self.target_operations.iter())
    }
}

/// The base types of relationships.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RelationshipKind {
    /// The source is contained in the target.
    ContainedIn,
    /// The source is connected to the target.
    ConnectedTo,
    /// The source depends on the target.
    DependsOn,
}

/// A group of nodes and groups.
#[derive(Clone, Debug)]
pub struct Group {
    /// Location of the definition.
    pub span: Span,
    /// Member nodes and groups.
    pub members: BTreeSet<String>,
    /// Policies by name, including default properties.
    pub policies: IndexMap<String, GroupPolicy>,
}

/// A policy of a group.
#[derive(Clone, Debug)]
pub struct GroupPolicy {
    /// Its type.
    pub type_name: String,
    /// Properties, including defaults.
    pub properties: Values,
    /// Triggers by name: type and parameters.
    pub triggers: IndexMap<String, (String, Values)>,
}

/// A scaling policy.
#[derive(Clone, Debug)]
pub struct ScalingPolicy {
    /// Target groups.
    pub targets: Vec<String>,
    /// Number of instances of each target group.
    pub instance_counts: InstanceCounts,
}

/// A group whose members are scaled together.
#[derive(Clone, Debug)]
pub struct ScalingGroup {
    /// Members, except those that are contained in another member.
    pub members: BTreeSet<String>,
    /// Number of instances of the group.
    pub instance_counts: InstanceCounts,
}

/// A workflow.
#[derive(Clone, Debug)]
pub struct Workflow {
    /// Name of the plugin as the blueprint declares it.
    pub plugin: String,
    /// Name of the operation in the plugin.
    pub operation: String,
    /// Parameters.
    pub parameters: Named<Schema>,
    /// True if it also runs in sub-deployments.
    pub is_cascading: bool,
    /// Availability rules, as written.
    pub availability_rules: Option<Value>,
}
