//! The object `ctx` that a script talks to, and the answers to its calls. The words and the errors
//! are those of Cloudify, whose scripts depend on them.

mod attribute;
mod function;
mod logging;
mod verdict;

pub(crate) use verdict::{Stop, Verdict};

use super::path;
use crate::{
    model::{
        Definition, InstanceRelationship, RelationshipEnd,
        function::{contains_concealed, python_text, reserved_key, secret_names},
    },
    seam::{Call, Edit, LogLevel, LogLine, Participant, Subject},
};
use attribute::Attribute;
use serde_json::{Map as JsonMap, Value as Json, json};
use std::{fmt, sync::Arc};

/// Methods of Python's `dict`. Cloudify takes these words for calls of the methods.
const RESERVED_KEYS: [&str; 11] = [
    "get",
    "items",
    "keys",
    "values",
    "pop",
    "popitem",
    "update",
    "setdefault",
    "clear",
    "copy",
    "has_key",
];

/// An error answer to a call: the name of its class, and a message.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct ContextError {
    /// Name of the class of the exception.
    pub class: String,
    /// Message.
    pub message: String,
}

impl ContextError {
    pub(crate) fn new(class: &str, message: impl Into<String>) -> Self {
        Self {
            class: class.to_owned(),
            message: message.into(),
        }
    }

    pub(crate) fn runtime(message: impl Into<String>) -> Self {
        Self::new("RuntimeError", message)
    }

    pub(crate) fn type_error(message: impl Into<String>) -> Self {
        Self::new("TypeError", message)
    }

    pub(crate) fn final_error(message: impl Into<String>) -> Self {
        Self::new("NonRecoverableError", message)
    }
}

impl fmt::Display for ContextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.class, self.message)
    }
}

/// The instance that a part of `ctx` is about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Side {
    /// The instance of an operation of a node.
    Own,
    /// The source of a relationship.
    Source,
    /// The target of a relationship.
    Target,
}

/// The answer to a call.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Answer {
    /// A value.
    Value(Json),
    /// A runtime property changed. The answer is null once the change is stored.
    Write(Side, Edit),
    /// A line is logged. The answer is null.
    Log(LogLine),
    /// The content of a file of the blueprint, or the path of a copy.
    Resource(Resource),
    /// The verdict of the operation changed. The answer is this value.
    Returned(Json),
    /// The operation is to stop with this message.
    Stop(String),
}

/// A file of the blueprint that a script asks for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Resource {
    /// Path in the blueprint's directory.
    pub path: String,
    /// What to do with its content.
    pub delivery: Delivery,
    /// Variables for a template; none if it is not rendered.
    pub variables: Option<JsonMap<String, Json>>,
}

/// What happens with the content of a resource.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Delivery {
    /// It is the answer.
    Text,
    /// It is written to this path, or to a temporary file; the answer is the path.
    File(Option<String>),
}

/// One instance with its node, as a script sees it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Subtree {
    pub participant: Option<Participant>,
    /// Number of instances of the node.
    pub count: usize,
    /// Address of the host. None if there is no host.
    pub host_ip: Option<Json>,
}

/// The context of one operation. Changes that the script makes show in it at once.
#[derive(Clone, Debug)]
pub(crate) struct Context {
    /// The instance of an operation of a node.
    pub own: Subtree,
    /// The source of a relationship.
    pub source: Subtree,
    /// The target of a relationship.
    pub target: Subtree,
    /// The end that the operation belongs to; none in an operation of a node.
    pub end: Option<RelationshipEnd>,
    /// Related instances, by ID.
    pub related: Vec<Participant>,
    /// Name of the operation, as `interface.operation`.
    pub operation: String,
    /// Name of the plugin.
    pub plugin: String,
    /// Number of the attempt, from 0.
    pub retry_number: u32,
    /// Maximum number of retries; negative: unlimited.
    pub max_retries: f64,
    /// Name of the deployment.
    pub deployment: String,
    /// Name of the workflow.
    pub workflow: String,
    /// ID of the execution.
    pub execution: String,
    /// Errors of a second verdict end the operation, unless the script is Python.
    pub is_python: bool,
    /// What the script wants the operation to end with.
    pub verdict: Verdict,
    /// The retry that `operation retry` asked for. It happens if the script succeeds otherwise.
    pub requested_retry: Option<Stop>,
    /// Lines to log beside the answers.
    pub hints: Vec<LogLine>,
}

impl Context {
    /// Returns the context of a call.
    pub(crate) fn of(call: &Call, operation: &str, plugin: &str) -> Self {
        let subtree = |participant: &Participant| Subtree {
            count: instance_count(call, &participant.instance.node),
            host_ip: host_ip(call, participant),
            participant: Some(participant.clone()),
        };
        let (own, source, target, end) = match &call.subject {
            Subject::Instance(own) => (subtree(own), Subtree::default(), Subtree::default(), None),
            Subject::Relationship {
                source,
                target,
                end,
            } => (
                Subtree::default(),
                subtree(source),
                subtree(target),
                Some(*end),
            ),
        };
        Self {
            own,
            source,
            target,
            end,
            related: call.related.clone(),
            operation: operation.to_owned(),
            plugin: plugin.to_owned(),
            retry_number: call.attempt.saturating_sub(1),
            max_retries: call.max_retries,
            deployment: call.deployment.name.clone(),
            workflow: call.workflow.clone(),
            execution: call.execution.clone(),
            is_python: false,
            verdict: Verdict::default(),
            requested_retry: None,
            hints: Vec::new(),
        }
    }

    /// Answers a call of `ctx`.
    ///
    /// # Errors
    ///
    /// If the arguments mean nothing, or the operation must not change this.
    pub(crate) fn answer(&mut self, arguments: &[Json]) -> Result<Answer, ContextError> {
        let mut current = Attribute::Root;
        for (at, argument) in arguments.iter().enumerate() {
            if let Some(next) = current.inner(self, argument)? {
                current = next;
                continue;
            }
            return match current {
                Attribute::RuntimeProperties(side) => {
                    self.runtime_properties(side, &arguments[at..])
                }
                Attribute::Map(map) => read_only(&map, &arguments[at..]),
                Attribute::Function(function) => self.invoke(function, &arguments[at..]),
                _ => Err(ContextError::runtime(format!(
                    "{} cannot be processed in {}",
                    python_text(argument),
                    python_text(&arguments.into())
                ))),
            };
        }
        match current {
            Attribute::Function(function) => self.invoke(function, &[]),
            other => other.value(self).map(Answer::Value),
        }
    }

    /// Reads a runtime property by path, or writes it.
    fn runtime_properties(
        &mut self,
        side: Side,
        arguments: &[Json],
    ) -> Result<Answer, ContextError> {
        let key = python_text(&arguments[0]);
        if RESERVED_KEYS.contains(&key.as_str()) {
            self.hints.push(LogLine::new(LogLevel::Warning, format!(
                "`{key}` is an ordinary key of the runtime properties; Cloudify takes it for a method of Python's dict"
            )));
        }
        match arguments {
            [_] => {
                let value = path::read(self.properties(side)?, &key)?;
                Ok(Answer::Value(available(value)?.clone()))
            }
            [_, value] => {
                refuse_reserved_keys(value)?;
                let properties = self.properties_mut(side)?;
                let edit = path::write(properties, &key, value.clone())?;
                Ok(Answer::Write(side, edit))
            }
            _ => Err(ContextError::runtime(
                "Illegal argument while accessing dict",
            )),
        }
    }

    /// Returns the subtree of a side.
    pub(crate) fn subtree(&self, side: Side) -> &Subtree {
        match side {
            Side::Own => &self.own,
            Side::Source => &self.source,
            Side::Target => &self.target,
        }
    }

    /// Returns the instance of a side.
    ///
    /// # Errors
    ///
    /// If the operation has no such instance.
    pub(crate) fn participant(&self, side: Side) -> Result<&Participant, ContextError> {
        let found = self.subtree(side).participant.as_ref();
        found.ok_or_else(|| self.wrong_context(side))
    }

    pub(crate) fn properties(&self, side: Side) -> Result<&JsonMap<String, Json>, ContextError> {
        Ok(&self.participant(side)?.properties)
    }

    fn properties_mut(&mut self, side: Side) -> Result<&mut JsonMap<String, Json>, ContextError> {
        let error = self.wrong_context(side);
        let subtree = match side {
            Side::Own => &mut self.own,
            Side::Source => &mut self.source,
            Side::Target => &mut self.target,
        };
        let participant = subtree.participant.as_mut();
        participant
            .map(|participant| &mut participant.properties)
            .ok_or(error)
    }

    /// Applies a change that a script made to a copy of the properties.
    ///
    /// # Errors
    ///
    /// If the operation has no such instance.
    pub(crate) fn apply(&mut self, side: Side, edit: &Edit) -> Result<(), ContextError> {
        edit.value.as_ref().map_or(Ok(()), refuse_reserved_keys)?;
        edit.apply(self.properties_mut(side)?);
        Ok(())
    }

    /// Returns `node-instance` or `relationship-instance`.
    pub(crate) fn kind(&self) -> &'static str {
        match self.end {
            None => "node-instance",
            Some(_) => "relationship-instance",
        }
    }

    fn wrong_context(&self, side: Side) -> ContextError {
        let (names, right) = match side {
            Side::Own => ("ctx.node/ctx.instance", "node-instance"),
            Side::Source | Side::Target => ("ctx.source/ctx.target", "relationship-instance"),
        };
        ContextError::final_error(format!(
            "{names} can only be used in a {right} context but used in a {} context.",
            self.kind()
        ))
    }

    /// Returns the whole context as JSON, for templates and Python scripts.
    pub(crate) fn to_json(&self) -> Json {
        let mut all = json!({
            "type": self.kind(),
            "deployment": { "id": self.deployment },
            "blueprint": { "id": self.deployment },
            "workflow_id": self.workflow,
            "execution_id": self.execution,
            "task_name": attribute::TASK_NAME,
            "plugin": { "name": self.plugin },
            "tenant_name": "default_tenant",
            "operation": {
                "name": self.operation,
                "retry_number": self.retry_number,
                "max_retries": attribute::number(self.max_retries),
                "relationship": self.end.map(attribute::end_name),
            },
        });
        for (name, side) in [("source", Side::Source), ("target", Side::Target)] {
            if let Some(subtree) = self.subtree_json(side) {
                all[name] = subtree;
            }
        }
        if let Some(Json::Object(own)) = self.subtree_json(Side::Own) {
            for (name, value) in own {
                all[name] = value;
            }
        }
        all
    }

    fn subtree_json(&self, side: Side) -> Option<Json> {
        let subtree = self.subtree(side);
        let participant = subtree.participant.as_ref()?;
        let mut json = participant_json(participant);
        json["node"]["number_of_instances"] = subtree.count.into();
        if let Some(address) = &subtree.host_ip {
            json["instance"]["host_ip"] = address.clone();
        }
        json["instance"]["has_host"] = subtree.host_ip.is_some().into();
        json["instance"]["relationships"] = self.relationships(participant, &mut Vec::new());
        Some(json)
    }

    /// Returns the relationships of an instance, with their targets and the relationships of these.
    fn relationships(&self, from: &Participant, path: &mut Vec<String>) -> Json {
        path.push(from.instance.id.clone());
        let relationships = &from.instance.relationships;
        let all = relationships.iter().filter_map(|relationship| {
            let mut related = self.related.iter();
            let target = related.find(|it| it.instance.id == relationship.target)?;
            let mut json = participant_json(target);
            // Blueprints can have cycles of relationships.
            if !path.contains(&target.instance.id) {
                json["instance"]["relationships"] = self.relationships(target, path);
            }
            let (kind, hierarchy) = relationship_type(&from.node, relationship, target);
            Some(json!({ "type": kind, "type_hierarchy": hierarchy, "target": json }))
        });
        let all: Vec<Json> = all.collect();
        path.pop();
        all.into()
    }
}

/// Reads a mapping by path that a script must not change.
fn read_only(map: &JsonMap<String, Json>, arguments: &[Json]) -> Result<Answer, ContextError> {
    match arguments {
        [key] => Ok(Answer::Value(path::read(map, &python_text(key))?.clone())),
        [_, _] => Err(ContextError::final_error(
            "Cannot override read only properties",
        )),
        _ => Err(ContextError::runtime(
            "Illegal argument while accessing dict",
        )),
    }
}

/// Refuses keys that only dockctl may write, at any depth.
fn refuse_reserved_keys(value: &Json) -> Result<(), ContextError> {
    match reserved_key(value) {
        Some(key) => Err(ContextError::new(
            "ValueError",
            format!("the key `{key}` is reserved"),
        )),
        None => Ok(()),
    }
}

/// Refuses a value with a secret that is not available now.
pub(super) fn available(value: &Json) -> Result<&Json, ContextError> {
    if contains_concealed(value) {
        let names = secret_names(value).join("`, `");
        Err(ContextError::final_error(format!(
            "this runtime property contains a secret that is not available: `{names}`; set it, or pass --secrets PATH",
        )))
    } else {
        Ok(value)
    }
}

/// Returns the type and the type hierarchy of a relationship.
fn relationship_type(
    node: &Arc<Definition>,
    relationship: &InstanceRelationship,
    target: &Participant,
) -> (String, Vec<String>) {
    let mut definitions = node.relationships.iter();
    let found = definitions
        .find(|it| it.target == target.instance.node && it.type_name == relationship.type_name);
    let hierarchy = found.map(|it| it.hierarchy.clone()).unwrap_or_default();
    (relationship.type_name.clone(), hierarchy)
}

/// Returns a node and its instance.
fn participant_json(participant: &Participant) -> Json {
    let Participant {
        instance,
        node,
        properties,
    } = participant;
    // A Python script must not take a placeholder for a value.
    let mut properties = properties.clone();
    properties.retain(|_, value| !contains_concealed(value));
    json!({
        "node": {
            "id": instance.node,
            "name": instance.node,
            "type": node.hierarchy.last(),
            "type_hierarchy": node.hierarchy,
            "properties": node.properties,
        },
        "instance": {
            "id": instance.id,
            "index": instance.index,
            "runtime_properties": properties,
            "relationships": [],
        },
    })
}

fn instance_count(call: &Call, node: &str) -> usize {
    let instances = call.deployment.instances.iter();
    instances.filter(|instance| instance.node == node).count()
}

/// Returns the address of an instance's host: its runtime property `ip`, else its property `ip`.
/// None if the instance has no host.
fn host_ip(call: &Call, participant: &Participant) -> Option<Json> {
    let id = participant.instance.host.as_deref()?;
    let mut known = call.related.iter().chain([participant]);
    let host = known.find(|it| it.instance.id == id);
    let runtime = host.and_then(|host| host.properties.get("ip"));
    let declared = || {
        let instance = call.deployment.instance(id)?;
        call.deployment.node(instance)?.properties.get("ip")
    };
    let is_set = |value: &&Json| super::python_json::is_truthy(value);
    let found = runtime.filter(is_set).or_else(|| declared().filter(is_set));
    Some(found.cloned().unwrap_or_default())
}

#[cfg(test)]
mod tests;
