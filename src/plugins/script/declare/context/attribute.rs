//! The attributes of `ctx`: what a script can reach by their names.

use super::{Context, ContextError, Side, available, function::Function};
use crate::{
    model::RelationshipEnd, plugins::script::declare::python_json::is_truthy, seam::LogLevel,
};
use serde_json::{Map as JsonMap, Value as Json};

/// Name of the task that runs scripts.
pub(super) const TASK_NAME: &str = "script_runner.tasks.run";

/// A part of `ctx`.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Attribute {
    Root,
    Source,
    Target,
    Node(Side),
    Instance(Side),
    RuntimeProperties(Side),
    /// A mapping that a script must not change.
    Map(JsonMap<String, Json>),
    Logger,
    Operation,
    Deployment,
    Plugin,
    Capabilities,
    /// Settings of a manager, which dockctl does not have.
    Bootstrap,
    Relationships,
    Function(Function),
    Value(Json),
}

impl Attribute {
    /// Returns the part with this name; `-` and `_` are the same. None if there is none.
    ///
    /// # Errors
    ///
    /// If the part exists only in operations of the other kind.
    pub(super) fn inner(
        &self,
        context: &Context,
        name: &Json,
    ) -> Result<Option<Self>, ContextError> {
        let Some(name) = name.as_str() else {
            return Ok(None);
        };
        let name = name.replace('-', "_");
        match self {
            Self::Root => root(context, &name),
            Self::Source => end(context, Side::Source, &name),
            Self::Target => end(context, Side::Target, &name),
            Self::Node(side) => node(context, *side, &name),
            Self::Instance(side) => instance(context, *side, &name),
            Self::Logger => {
                Ok(LogLevel::of(&name).map(|level| Self::Function(Function::Log(level))))
            }
            Self::Operation => Ok(operation(context, &name)),
            Self::Deployment => Ok(deployment(context, &name)),
            Self::Plugin => Ok((name == "name").then(|| Self::text(&context.plugin))),
            Self::Bootstrap => Ok(Some(Self::Bootstrap)),
            Self::Capabilities => {
                Ok((name == "get_all").then_some(Self::Function(Function::Capabilities)))
            }
            Self::RuntimeProperties(_)
            | Self::Map(_)
            | Self::Relationships
            | Self::Function(_)
            | Self::Value(_) => Ok(None),
        }
    }

    /// Returns the part as a value.
    ///
    /// # Errors
    ///
    /// If it is an object of Cloudify's that JSON cannot hold.
    pub(super) fn value(self, context: &Context) -> Result<Json, ContextError> {
        let class = match self {
            Self::Value(value) => return Ok(value),
            Self::Map(map) => return Ok(map.into()),
            Self::Bootstrap => return Ok(Json::Null),
            Self::RuntimeProperties(side) => {
                let properties = Json::from(context.properties(side)?.clone());
                available(&properties)?;
                return Ok(properties);
            }
            Self::Root => "CloudifyContext",
            Self::Source | Self::Target => "RelationshipSubjectContext",
            Self::Node(_) => "NodeContext",
            Self::Instance(_) => "NodeInstanceContext",
            Self::Logger => "Logger",
            Self::Operation => "OperationContext",
            Self::Deployment => "DeploymentContext",
            Self::Plugin => "PluginContext",
            Self::Capabilities => "ContextCapabilities",
            Self::Relationships => "RelationshipContext",
            Self::Function(_) => "function",
        };
        Err(ContextError::type_error(format!(
            "Object of type {class} is not JSON serializable"
        )))
    }

    fn text(text: &str) -> Self {
        Self::Value(text.into())
    }
}

fn root(context: &Context, name: &str) -> Result<Option<Attribute>, ContextError> {
    let function = |function| Ok(Some(Attribute::Function(function)));
    let text = |text: &str| Ok(Some(Attribute::text(text)));
    match name {
        "node" => context
            .participant(Side::Own)
            .map(|_| Some(Attribute::Node(Side::Own))),
        "instance" => context
            .participant(Side::Own)
            .map(|_| Some(Attribute::Instance(Side::Own))),
        "source" => context
            .participant(Side::Source)
            .map(|_| Some(Attribute::Source)),
        "target" => context
            .participant(Side::Target)
            .map(|_| Some(Attribute::Target)),
        "logger" => Ok(Some(Attribute::Logger)),
        "operation" => Ok(Some(Attribute::Operation)),
        "deployment" | "blueprint" => Ok(Some(Attribute::Deployment)),
        "plugin" => Ok(Some(Attribute::Plugin)),
        "capabilities" => Ok(Some(Attribute::Capabilities)),
        "bootstrap_context" => Ok(Some(Attribute::Bootstrap)),
        "workflow_id" => text(&context.workflow),
        "execution_id" | "task_id" => text(&context.execution),
        "task_name" => text(TASK_NAME),
        "tenant_name" => text("default_tenant"),
        "type" => text(context.kind()),
        "returns" => function(Function::Returns),
        "abort_operation" => function(Function::Abort),
        "retry_operation" => function(Function::Retry),
        "download_resource" => function(Function::Download),
        "download_resource_and_render" => function(Function::DownloadAndRender),
        "get_resource" => function(Function::GetResource),
        "get_resource_and_render" => function(Function::GetResourceAndRender),
        "send_event" => function(Function::SendEvent),
        "get_operation" => function(Function::GetOperation),
        "update_operation" => function(Function::UpdateOperation),
        _ => Ok(None),
    }
}

fn end(context: &Context, side: Side, name: &str) -> Result<Option<Attribute>, ContextError> {
    context.participant(side)?;
    Ok(match name {
        "node" => Some(Attribute::Node(side)),
        "instance" => Some(Attribute::Instance(side)),
        _ => None,
    })
}

fn node(context: &Context, side: Side, name: &str) -> Result<Option<Attribute>, ContextError> {
    let participant = context.participant(side)?;
    let node = &participant.node;
    Ok(Some(match name {
        "id" | "name" => Attribute::text(&participant.instance.node),
        "type" => Attribute::Value(node.hierarchy.last().cloned().into()),
        "type_hierarchy" => Attribute::Value(node.hierarchy.clone().into()),
        "properties" => Attribute::Map(node.properties.clone()),
        "number_of_instances" => Attribute::Value(context.subtree(side).count.into()),
        _ => return Ok(None),
    }))
}

fn instance(context: &Context, side: Side, name: &str) -> Result<Option<Attribute>, ContextError> {
    let instance = &context.participant(side)?.instance;
    Ok(Some(match name {
        "id" => Attribute::text(&instance.id),
        "index" => Attribute::Value(instance.index.into()),
        "runtime_properties" => Attribute::RuntimeProperties(side),
        // Only an empty list has a form in JSON.
        "relationships" if instance.relationships.is_empty() => {
            Attribute::Value(Json::Array(Vec::new()))
        }
        "relationships" => Attribute::Relationships,
        "host_ip" => Attribute::Value(host_ip(context, side)?),
        // Every change is stored at once, and shows at once.
        "update" | "refresh" => Attribute::Function(Function::Update),
        _ => return Ok(None),
    }))
}

fn host_ip(context: &Context, side: Side) -> Result<Json, ContextError> {
    let found = context.subtree(side).host_ip.clone();
    let address = found.ok_or_else(|| ContextError::final_error("host_id missing"))?;
    Ok(if is_truthy(&address) {
        address
    } else {
        Json::Null
    })
}

fn operation(context: &Context, name: &str) -> Option<Attribute> {
    Some(match name {
        "name" => Attribute::text(&context.operation),
        "retry_number" => Attribute::Value(context.retry_number.into()),
        "max_retries" => Attribute::Value(number(context.max_retries)),
        "relationship" => Attribute::Value(context.end.map(end_name).into()),
        "retry" => Attribute::Function(Function::OperationRetry),
        _ => return None,
    })
}

fn deployment(context: &Context, name: &str) -> Option<Attribute> {
    matches!(name, "id" | "name").then(|| Attribute::text(&context.deployment))
}

/// Returns the name of an end of a relationship.
pub(super) fn end_name(end: RelationshipEnd) -> &'static str {
    match end {
        RelationshipEnd::Source => "source",
        RelationshipEnd::Target => "target",
    }
}

/// Returns a count as an integer.
#[expect(
    clippy::cast_possible_truncation,
    reason = "counts are whole numbers below 2^53"
)]
pub(super) fn number(count: f64) -> Json {
    (count as i64).into()
}
