//! What a blueprint means: types flattened, references resolved, inputs applied, instances counted.
//!
//! Knows meaning and no engine. [`resolve()`] makes a [`Blueprint`] of an
//! [`Ast`](crate::syntax::ast::Ast), [`inputs`] applies inputs, [`evaluate`] the functions that are
//! known then, [`Deployment`] is the result that is planned, carried out and remembered.

mod constraints;
mod deployment;
pub mod function;
mod groups;
mod implementation;
pub mod inputs;
mod instances;
mod lifecycle;
mod loose;
mod modification;
pub mod normal;
mod notes;
mod positions;
mod precedence;
mod resolve;
mod scaling;
mod structure;
mod types;

pub use deployment::{
    DeclaredParameter, DeclaredWorkflow, Definition, Deployment, Difference, Origin, Place,
    Planned, Tie, texts,
};
pub use function::evaluate;
pub use instances::{Expanded, GroupInstance, Instance, InstanceTie, expand};
pub use lifecycle::{End, InstanceState, Side};
pub use loose::{Link, LooseEnd, links};
pub use modification::{Modification, Touched, Wanted, modify};
pub use notes::Notes;
pub use positions::Positions;
pub use precedence::Precedence;
pub use resolve::{Provided, resolve};
pub use scaling::Numbers;
pub use structure::{Scaled, Scaling, Structure, Unscalable};
pub use types::{DataTypes, Declared, Fields, Flat};

use crate::{
    diagnostic::{Span, Spanned},
    syntax::{
        Data, Value, Version,
        ast::{Label, Named, Output, Plugin, Rules, Schema, Settings},
    },
};
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeSet, sync::Arc};

/// A resolved blueprint: every name in it refers to something that exists.
///
/// Before inputs are applied its values may hold functions of any kind, after that only those that
/// are evaluated at run time.
#[derive(Clone, Debug)]
pub struct Blueprint {
    /// The declared version of the DSL.
    pub version: Version,
    /// For people.
    pub description: Option<String>,
    /// Free data.
    pub metadata: Option<Value>,
    /// What `metadata` says to dockctl.
    pub notes: Notes,
    /// Declared inputs.
    pub inputs: Named<Schema>,
    /// Declared data types.
    pub data_types: DataTypes,
    /// Declared plugins.
    pub plugins: Named<Plugin>,
    /// Declared relationship types, inheritance applied.
    pub relationship_types: IndexMap<String, Arc<Flat>>,
    /// Nodes in document order.
    pub nodes: IndexMap<String, Node>,
    /// Groups of nodes.
    pub groups: IndexMap<String, Group>,
    /// Scaling policies.
    pub policies: IndexMap<String, ScalingPolicy>,
    /// Groups that a scaling policy names.
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
    /// Tags for everything that is created.
    pub resource_tags: Option<Value>,
    /// What functions name that must be there when a deployment is made.
    pub requirements: Requirements,
}

/// What functions name that must be there when a deployment is made.
#[derive(Clone, Debug, Default)]
pub struct Requirements {
    /// Arguments of every call that reads a secret.
    pub secrets: Vec<serde_json::Value>,
    /// Capabilities of the parent deployment with keys into them, one for every call that reads
    /// one.
    pub parent_capabilities: Vec<serde_json::Value>,
}

impl Default for Blueprint {
    fn default() -> Self {
        Self {
            version: Version::LATEST,
            description: None,
            metadata: None,
            notes: Notes::default(),
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
    /// Takes declared types out of the inputs of operations: the original writes them there, and
    /// plugins do not want them.
    pub fn strip_input_types(&mut self) {
        for node in self.nodes.values_mut() {
            strip(&mut node.operations);
            for relationship in &mut node.relationships {
                strip(&mut relationship.source_operations);
                strip(&mut relationship.target_operations);
            }
        }
    }
}

fn strip(operations: &mut Arc<Operations>) {
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
        let operation = Arc::make_mut(operation);
        for (name, type_name) in std::mem::take(&mut operation.input_types) {
            if let Some(value) = operation.inputs.get_mut(&name) {
                *value = without_type(value, &type_name);
            }
        }
    }
}

fn without_type(value: &Value, type_name: &str) -> Value {
    let Some(map) = value
        .as_map()
        .filter(|map| map.get("type").and_then(Value::as_str) == Some(type_name))
    else {
        return value.clone();
    };
    let mut map = map.clone();
    map.entries.retain(|(key, _)| key.as_str() != Some("type"));
    Value::new(value.span, Data::Map(Arc::new(map)))
}

/// Values by name, in document order.
pub type Values = IndexMap<Arc<str>, Value>;

/// Operations by `interface.operation`. Those that do nothing are there too.
pub type Operations = IndexMap<Arc<str>, Arc<Operation>>;

/// A node template with its type flattened into it.
#[derive(Clone, Debug)]
pub struct Node {
    /// Its name.
    pub name: Spanned<String>,
    /// Names of its types, ancestors first.
    pub hierarchy: Arc<Vec<Arc<str>>>,
    /// Properties, defaults filled in.
    pub properties: Values,
    /// Operations by `interface.operation`; shared with the type where the template adds nothing.
    pub operations: Arc<Operations>,
    /// Relationships in order.
    pub relationships: Vec<Relationship>,
    /// Its type, or an ancestor of that, is unknown, which has been told: what it lacks says
    /// nothing.
    pub is_open: bool,
    /// `instances.deploy`, where given.
    pub deploy: Option<Value>,
    /// How many instances each instance of its container gets.
    pub numbers: Numbers,
    /// The host that it is on: itself, or the one that it is contained in.
    pub host: Option<String>,
}

impl Node {
    /// Whether one of its types is a host. The original looks for this text anywhere in their
    /// names.
    #[must_use]
    pub fn is_host(&self) -> bool {
        self.hierarchy
            .iter()
            .any(|name| name.contains("cloudify.nodes.Compute"))
    }

    /// The node that it is contained in.
    #[must_use]
    pub fn container(&self) -> Option<&str> {
        self.relationships
            .iter()
            .find(|relationship| relationship.kind == Some(RelationshipKind::ContainedIn))
            .map(|relationship| relationship.target.node.as_str())
    }
}

/// Something a plugin is to do. One without a plugin does nothing.
#[derive(Clone, Debug)]
pub struct Operation {
    /// Name of the plugin as the blueprint declares it.
    pub plugin: Arc<str>,
    /// What the plugin calls it.
    pub operation: Arc<str>,
    /// Inputs, defaults filled in.
    pub inputs: Values,
    /// Declared types of inputs whose value is a mapping. The original writes them into the
    /// mapping, under `type`.
    pub input_types: Vec<(Arc<str>, String)>,
    /// Where it runs and how it is repeated.
    pub rules: Rules,
    /// Where it is defined.
    pub span: Span,
}

impl Operation {
    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.plugin.is_empty()
    }
}

/// How a failed operation is repeated, as far as the blueprint says.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Retry {
    /// How often; negative for ever.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_retries: Option<f64>,
    /// Seconds between two tries.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<f64>,
    /// Seconds that one try may take, all its steps together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<f64>,
    /// Whether running out of time is worth another try.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub timeout_recoverable: bool,
}

/// A relationship to another node.
#[derive(Clone, Debug)]
pub struct Relationship {
    /// Its type, with everything that it inherits.
    pub relationship_type: Arc<Flat>,
    /// Name of its type, and where it is used.
    pub type_name: Spanned<String>,
    /// Which of the base types it is derived from; none if from none.
    pub kind: Option<RelationshipKind>,
    /// Properties, defaults filled in. Functions in them are never evaluated.
    pub properties: Values,
    /// The node it points to.
    pub target: Spanned<String>,
    /// Operations of the source side.
    pub source_operations: Arc<Operations>,
    /// Operations of the target side.
    pub target_operations: Arc<Operations>,
}

impl Relationship {
    /// Operations of both sides.
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
    /// The source lives inside the target.
    ContainedIn,
    /// The source talks to the target.
    ConnectedTo,
    /// The source needs the target.
    DependsOn,
}

/// A group of nodes and groups.
#[derive(Clone, Debug)]
pub struct Group {
    /// Where it is defined.
    pub span: Span,
    /// Nodes and groups.
    pub members: BTreeSet<String>,
    /// Policies by name, defaults filled in.
    pub policies: IndexMap<String, GroupPolicy>,
}

/// A policy of a group.
#[derive(Clone, Debug)]
pub struct GroupPolicy {
    /// Its type.
    pub type_name: String,
    /// Properties, defaults filled in.
    pub properties: Values,
    /// Triggers: type and parameters.
    pub triggers: IndexMap<String, (String, Values)>,
}

/// A policy that scales groups.
#[derive(Clone, Debug)]
pub struct ScalingPolicy {
    /// The groups.
    pub targets: Vec<String>,
    /// How many instances each of them gets.
    pub numbers: Numbers,
}

/// A group whose members are scaled together.
#[derive(Clone, Debug)]
pub struct ScalingGroup {
    /// Members, without those that are contained in another member.
    pub members: BTreeSet<String>,
    /// How many instances it gets.
    pub numbers: Numbers,
}

/// A workflow.
#[derive(Clone, Debug)]
pub struct Workflow {
    /// Name of the plugin as the blueprint declares it.
    pub plugin: String,
    /// What the plugin calls it.
    pub operation: String,
    /// Parameters.
    pub parameters: Named<Schema>,
    /// Whether it runs in the deployments below, too.
    pub is_cascading: bool,
    /// When it may run, as written.
    pub availability_rules: Option<Value>,
}
