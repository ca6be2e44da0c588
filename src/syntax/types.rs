//! Data types, node types, relationship types, and the plugins that implement their operations.

use super::{
    Data, Map, Value, Version,
    ast::Named,
    fields::{Fields, Owner, Reader},
    schema::{self, Schema},
};
use crate::diagnostic::{Code, Span, Spanned};
use std::sync::Arc;

/// `plugins.NAME`.
#[derive(Clone, Debug)]
pub struct Plugin {
    /// The executor that runs its operations.
    pub executor: String,
    /// True if the plugin must be installed before use.
    pub install: bool,
    /// The other keys as written: source, package, platform.
    pub package: Vec<(&'static str, Value)>,
    /// Properties, each with its declaration and an optional value.
    pub properties: Arc<Map>,
    /// The types in these declarations.
    pub property_types: Vec<Spanned<String>>,
}

/// `data_types.NAME`.
#[derive(Clone, Debug)]
pub struct DataType {
    /// Parent type.
    pub derived_from: Option<Spanned<String>>,
    /// Fields.
    pub properties: Named<Schema>,
    /// Version, informative only.
    pub version: Option<Value>,
    /// Description for people.
    pub description: Option<String>,
}

/// `node_types.NAME`.
#[derive(Clone, Debug)]
pub struct NodeType {
    /// Parent type.
    pub derived_from: Option<Spanned<String>>,
    /// Properties.
    pub properties: Named<Schema>,
    /// Operations.
    pub interfaces: Interfaces<Named<Schema>>,
}

/// `relationships.NAME`.
#[derive(Clone, Debug)]
pub struct RelationshipType {
    /// Parent type.
    pub derived_from: Option<Spanned<String>>,
    /// Properties.
    pub properties: Named<Schema>,
    /// Operations run for the source.
    pub source_interfaces: Interfaces<Named<Schema>>,
    /// Operations run for the target.
    pub target_interfaces: Interfaces<Named<Schema>>,
}

/// Interfaces by name, each with its operations by name.
///
/// A type declares inputs as [`Schema`]s; a template sets them in a mapping of values.
pub type Interfaces<I> = Named<Named<Operation<I>>>;

/// One operation.
#[derive(Clone, Debug)]
pub struct Operation<I> {
    /// Place of the whole definition.
    pub span: Span,
    /// Plugin function or script; `None` for an operation that does nothing.
    pub implementation: Option<Spanned<Arc<str>>>,
    /// Inputs.
    pub inputs: I,
    /// Executor, retries and timeout, as far as they are given.
    pub policy: ExecutionRules,
}

/// Executor, retries and timeout of an operation.
#[derive(Clone, Debug, Default)]
pub struct ExecutionRules {
    /// Executor, if it differs from the plugin's.
    pub executor: Option<Arc<str>>,
    /// Maximum number of retries after a failure; -1 retries indefinitely. An integer, or a boolean
    /// that counts as 1 or 0.
    pub max_retries: Option<Value>,
    /// Seconds between retries.
    pub retry_interval: Option<Value>,
    /// Time limit in seconds.
    pub timeout: Option<Value>,
    /// True if the operation is retried after a timeout.
    pub timeout_recoverable: Option<bool>,
}

impl ExecutionRules {
    /// Returns these rules, with missing ones taken from `other`.
    #[must_use]
    pub fn or(&self, other: &Self) -> Self {
        Self {
            executor: self.executor.clone().or_else(|| other.executor.clone()),
            max_retries: self
                .max_retries
                .clone()
                .or_else(|| other.max_retries.clone()),
            retry_interval: self
                .retry_interval
                .clone()
                .or_else(|| other.retry_interval.clone()),
            timeout: self.timeout.clone().or_else(|| other.timeout.clone()),
            timeout_recoverable: self.timeout_recoverable.or(other.timeout_recoverable),
        }
    }

    fn is_empty(&self) -> bool {
        self.executor.is_none()
            && self.max_retries.is_none()
            && self.retry_interval.is_none()
            && self.timeout.is_none()
            && self.timeout_recoverable.is_none()
    }
}

impl Operation<Arc<Map>> {
    /// Returns true if nothing is given: the operation does nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.implementation.is_none() && self.inputs.entries.is_empty() && self.policy.is_empty()
    }
}

/// All executors.
const EXECUTORS: [&str; 2] = ["central_deployment_agent", "host_agent"];

pub(super) fn plugin(value: &Value, name: &str, r: &mut Reader<'_>) -> Option<Plugin> {
    let owner = Owner::new("plugin", name);
    if value.as_map().is_none() {
        r.push(value.span.error(
            Code::ValueNotAllowed,
            format!("{owner} must be a mapping, not {}", value.kind()),
        ));
        return None;
    }
    let mut fields = Fields::open(value, owner, r)?;
    let source = fields.text("source", r);
    let executor = fields.text("executor", r);
    let install = fields.boolean("install", r).unwrap_or(true);
    let mut package: Vec<(&'static str, Value)> = Vec::new();
    package.extend(
        source
            .as_ref()
            .map(|text| ("source", Value::text(text.span, &text.node))),
    );
    let optional = [
        ("install_arguments", Version::V1_1),
        ("package_name", Version::V1_2),
        ("package_version", Version::V1_2),
        ("supported_platform", Version::V1_2),
        ("distribution", Version::V1_2),
        ("distribution_version", Version::V1_2),
        ("distribution_release", Version::V1_2),
        ("properties_description", Version::V1_5),
    ];
    for (key, since) in optional {
        if let Some(text) = fields
            .text_since(key, since, r)
            .filter(|text| key != "package_name" || !text.node.is_empty())
        {
            package.push((key, Value::text(text.span, &text.node)));
        }
    }
    let properties = fields.since("properties", Version::V1_5, r);
    fields.report_unknown(r);
    let (properties, property_types) = plugin_properties(properties, &owner, r);
    match &executor {
        None => r.missing(value.span, &owner, "executor"),
        Some(executor) => check_executor(executor, Code::Executor, r),
    }
    if install
        && !package
            .iter()
            .any(|(key, _)| matches!(*key, "source" | "package_name"))
    {
        let fault = value.span.error(
            Code::PluginSource,
            format!("{owner} must be installed but has neither `source` nor `package_name`"),
        );
        r.push(fault.hint("set `install: false` if it is already installed"));
    }
    Some(Plugin {
        executor: executor.map_or_else(String::new, |text| text.node),
        install,
        package,
        properties,
        property_types,
    })
}

/// Reads the properties of a plugin. Cloudify fails with a plain Python error if one of them is not
/// a mapping, hence the code of these errors.
fn plugin_properties(
    given: Option<&Value>,
    owner: &Owner<'_>,
    r: &mut Reader<'_>,
) -> (Arc<Map>, Vec<Spanned<String>>) {
    let part = owner.part("properties");
    let Some(given) = given.filter(|given| !given.is_null()) else {
        return Default::default();
    };
    if given.as_map().is_none() {
        r.push(given.span.error(
            Code::ValueNotAllowed,
            format!("{part} must be a mapping, not {}", given.kind()),
        ));
        return Default::default();
    }
    let (properties, mut types) = (r.any_map(Some(given), &part), Vec::new());
    for (name, property) in &properties.entries {
        let name = name.to_key();
        let part = owner.part(&name);
        if property.as_map().is_none() {
            r.push(property.span.error(
                Code::ValueNotAllowed,
                format!("{part} must be a mapping, not {}", property.kind()),
            ));
        } else if let Some(mut fields) = Fields::open(property, part, r) {
            types.extend(fields.text("type", r));
            fields.text("description", r);
            fields.text("display_label", r);
            fields.take("value");
            fields.report_unknown(r);
        }
    }
    (properties, types)
}

fn check_executor(executor: &Spanned<String>, code: Code, r: &mut Reader<'_>) {
    if !EXECUTORS.contains(&executor.node.as_str()) {
        let fault = executor
            .span
            .error(code, format!("there is no executor `{}`", executor.node));
        r.push(
            fault
                .did_you_mean(&executor.node, EXECUTORS)
                .hint(format!("known executors: {}", EXECUTORS.join(", "))),
        );
    }
}

pub(super) fn data_type(value: &Value, name: &str, r: &mut Reader<'_>) -> Option<DataType> {
    let mut fields = Fields::open(value, Owner::new("data type", name), r)?;
    let data_type = DataType {
        derived_from: fields.text("derived_from", r),
        properties: fields.named("properties", r, schema::property),
        version: fields
            .text("version", r)
            .map(|text| Value::text(text.span, &text.node)),
        description: fields.text("description", r).map(|text| text.node),
    };
    fields.report_unknown(r);
    Some(data_type)
}

pub(super) fn node_type(value: &Value, name: &str, r: &mut Reader<'_>) -> Option<NodeType> {
    let mut fields = Fields::open(value, Owner::new("node type", name), r)?;
    let node_type = NodeType {
        derived_from: fields.text("derived_from", r),
        properties: fields.named("properties", r, schema::property),
        interfaces: fields.named("interfaces", r, declared_interface),
    };
    fields.named("runtime_properties", r, schema::property);
    fields.report_unknown(r);
    Some(node_type)
}

pub(super) fn relationship_type(
    value: &Value,
    name: &str,
    r: &mut Reader<'_>,
) -> Option<RelationshipType> {
    let mut fields = Fields::open(value, Owner::new("relationship type", name), r)?;
    let relationship = RelationshipType {
        derived_from: fields.text("derived_from", r),
        properties: fields.named("properties", r, schema::property),
        source_interfaces: fields.named("source_interfaces", r, declared_interface),
        target_interfaces: fields.named("target_interfaces", r, declared_interface),
    };
    fields.report_unknown(r);
    Some(relationship)
}

fn declared_interface(
    value: &Value,
    name: &str,
    r: &mut Reader<'_>,
) -> Option<Named<Operation<Named<Schema>>>> {
    interface(value, name, r, |fields, r| {
        fields.named("inputs", r, schema::operation_input)
    })
}

pub(super) fn given_interface(
    value: &Value,
    name: &str,
    r: &mut Reader<'_>,
) -> Option<Named<Operation<Arc<Map>>>> {
    interface(value, name, r, |fields, r| fields.free_map("inputs", r))
}

fn interface<I: Default>(
    value: &Value,
    name: &str,
    r: &mut Reader<'_>,
    inputs: fn(&mut Fields<'_, '_>, &mut Reader<'_>) -> I,
) -> Option<Named<Operation<I>>> {
    if value.is_null() {
        return Some(Named::default());
    }
    Some(r.named(
        Some(value),
        &Owner::new("interface", name),
        |value, name, r| operation(value, name, r, inputs),
    ))
}

fn operation<I: Default>(
    value: &Value,
    name: &str,
    r: &mut Reader<'_>,
    inputs: fn(&mut Fields<'_, '_>, &mut Reader<'_>) -> I,
) -> Option<Operation<I>> {
    let mut operation = Operation {
        span: value.span,
        implementation: None,
        inputs: I::default(),
        policy: ExecutionRules::default(),
    };
    match &value.data {
        Data::Str(text) => {
            operation.implementation = Some(Spanned {
                node: text.clone(),
                span: value.span,
            })
        }
        Data::Null => {}
        _ => {
            let mut fields = Fields::open(value, Owner::new("operation", name), r)?;
            operation.implementation = fields.text("implementation", r).map(|text| Spanned {
                node: text.node.into(),
                span: text.span,
            });
            operation.inputs = inputs(&mut fields, r);
            operation.policy = rules(&mut fields, r);
            fields.report_unknown(r);
        }
    }
    operation.implementation = operation
        .implementation
        .filter(|text| !text.node.is_empty());
    Some(operation)
}

fn rules(fields: &mut Fields<'_, '_>, r: &mut Reader<'_>) -> ExecutionRules {
    let executor = fields.text("executor", r);
    if let Some(executor) = &executor {
        check_executor(executor, Code::OperationExecutor, r);
    }
    let max_retries = fields.since("max_retries", Version::V1_1, r);
    let retry_interval = fields.since("retry_interval", Version::V1_1, r);
    let timeout = fields.take("timeout");
    ExecutionRules {
        executor: executor.map(|text| text.node.into()),
        max_retries: number(fields, "max_retries", max_retries, -1.0, r),
        retry_interval: number(fields, "retry_interval", retry_interval, 0.0, r),
        timeout: number(fields, "timeout", timeout, 0.0, r),
        timeout_recoverable: fields.boolean("timeout_recoverable", r),
    }
}

/// Reads a number that is at least `least`. Booleans count as 1 and 0; `max_retries` is an integer.
#[expect(clippy::cast_precision_loss, reason = "only compared with -1 and 0")]
fn number(
    fields: &Fields<'_, '_>,
    key: &str,
    value: Option<&Value>,
    least: f64,
    r: &mut Reader<'_>,
) -> Option<Value> {
    let value = value.filter(|value| !value.is_null())?;
    let whole = key == "max_retries";
    let number = match value.data {
        Data::Bool(yes) => f64::from(u8::from(yes)),
        Data::Int(number) => number as f64,
        Data::Float(number) if !whole => number,
        _ => {
            let (code, wanted) = if whole {
                (Code::Format, "an integer")
            } else {
                (Code::ValueNotAllowed, "a number")
            };
            r.push(value.span.error(
                code,
                format!(
                    "`{key}` of {} must be {wanted}, not {}",
                    fields.owner(),
                    value.kind()
                ),
            ));
            return None;
        }
    };
    if number < least {
        r.push(value.span.error(
            Code::ValueNotAllowed,
            format!("`{key}` of {} must be at least {least}", fields.owner()),
        ));
        return None;
    }
    Some(value.clone())
}
