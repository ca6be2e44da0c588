//! What a blueprint means: types flattened, references resolved, inputs applied, instances counted.
//!
//! Knows meaning and no engine. [`resolve()`] makes a [`Blueprint`] of an
//! [`Ast`](crate::syntax::ast::Ast), [`inputs`] applies inputs, [`Deployment`] is the result that is
//! planned, carried out and remembered.

mod deployment;
pub mod function;
pub mod inputs;
mod instances;
mod resolve;
mod types;

pub use deployment::{Definition, Deployment, Difference, Origin, Place, Planned, Tie, evaluate};
pub use instances::{Instance, InstanceTie};
pub use resolve::resolve;
pub use types::DataTypes;

use crate::{
    diagnostic::{Span, Spanned},
    syntax::{
        Value,
        ast::{Named, Output, Schema},
    },
};
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

/// A resolved blueprint: every name in it refers to something that exists.
///
/// Before inputs are applied its values may hold functions of any kind, after that only those that
/// are evaluated at run time.
#[derive(Clone, Debug)]
pub struct Blueprint {
    /// Declared inputs.
    pub inputs: Named<Schema>,
    /// Declared data types.
    pub data_types: DataTypes,
    /// Nodes in document order.
    pub nodes: IndexMap<String, Node>,
    /// Outputs.
    pub outputs: Named<Output>,
    /// Capabilities.
    pub capabilities: Named<Output>,
}

/// A node template with its type flattened into it.
#[derive(Clone, Debug)]
pub struct Node {
    /// Its name.
    pub name: Spanned<String>,
    /// Names of its types, ancestors first.
    pub hierarchy: Vec<String>,
    /// Properties, defaults filled in.
    pub properties: IndexMap<String, Value>,
    /// Operations that do something, by `interface.operation`.
    pub operations: IndexMap<String, Operation>,
    /// Relationships in order.
    pub relationships: Vec<Relationship>,
    /// How many instances each instance of its container gets.
    pub deploy: Value,
}

/// Something a plugin is to do.
#[derive(Clone, Debug)]
pub struct Operation {
    /// Name of the plugin as the blueprint declares it.
    pub plugin: String,
    /// What the plugin calls it.
    pub operation: String,
    /// Inputs, defaults filled in.
    pub inputs: IndexMap<String, Value>,
    /// Retry rule of the blueprint.
    pub retry: Retry,
    /// Where it is defined.
    pub span: Span,
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
}

/// A relationship to another node.
#[derive(Clone, Debug)]
pub struct Relationship {
    /// Its type.
    pub type_name: String,
    /// Which of the base types it is derived from.
    pub kind: RelationshipKind,
    /// Every source instance goes to one and the same target instance.
    pub all_to_one: bool,
    /// The node it points to.
    pub target: Spanned<String>,
    /// Operations that do something, source side first, by `side/interface.operation`.
    pub operations: IndexMap<String, Operation>,
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
