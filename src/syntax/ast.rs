//! The sections of one blueprint file, spanned, and perhaps invalid.

use super::{
    Data, Value,
    fields::{Fields, expect_list, expect_text, missing, named},
};
use crate::diagnostic::{Code, Diagnostic, FileId, Span, Spanned};
use indexmap::IndexMap;

/// Definitions by name, in document order.
pub type Named<T> = IndexMap<String, Definition<T>>;

/// A definition and the place of its name.
#[derive(Clone, Debug)]
pub struct Definition<T> {
    /// Place of the name.
    pub name: Span,
    /// What is defined.
    pub body: T,
}

/// One file.
#[derive(Clone, Debug)]
pub struct Ast {
    /// The file.
    pub file: FileId,
    /// `tosca_definitions_version`.
    pub version: Option<Spanned<String>>,
    /// `imports`, as written.
    pub imports: Vec<Spanned<String>>,
    /// `inputs`.
    pub inputs: Named<Schema>,
    /// `plugins`.
    pub plugins: Named<Plugin>,
    /// `data_types`.
    pub data_types: Named<DataType>,
    /// `node_types`.
    pub node_types: Named<NodeType>,
    /// `relationships`.
    pub relationships: Named<RelationshipType>,
    /// `node_templates`.
    pub node_templates: Named<NodeTemplate>,
    /// `outputs`.
    pub outputs: Named<Output>,
    /// `capabilities`, which have the shape of outputs.
    pub capabilities: Named<Output>,
    /// Names of sections that are legal and whose content is not read.
    pub unread: Vec<Spanned<String>>,
}

/// Declares a property, an input of the blueprint or an input of an operation.
#[derive(Clone, Debug)]
pub struct Schema {
    /// Name of a primitive or of a data type; none accepts anything.
    pub type_name: Option<Spanned<String>>,
    /// Value where none is given.
    pub default: Option<Value>,
    /// Whether there must be a value.
    pub required: bool,
    /// For people.
    pub description: Option<String>,
}

/// `plugins.NAME`.
#[derive(Clone, Debug)]
pub struct Plugin {
    /// Where its operations run.
    pub executor: Option<Spanned<String>>,
}

/// `data_types.NAME`.
#[derive(Clone, Debug)]
pub struct DataType {
    /// Parent type.
    pub derived_from: Option<Spanned<String>>,
    /// Fields.
    pub properties: Named<Schema>,
}

/// `node_types.NAME`.
#[derive(Clone, Debug)]
pub struct NodeType {
    /// Parent type.
    pub derived_from: Option<Spanned<String>>,
    /// Properties.
    pub properties: Named<Schema>,
    /// Operations.
    pub interfaces: Interfaces<Schema>,
}

/// `relationships.NAME`.
#[derive(Clone, Debug)]
pub struct RelationshipType {
    /// Parent type.
    pub derived_from: Option<Spanned<String>>,
    /// Properties.
    pub properties: Named<Schema>,
    /// Operations run for the source.
    pub source_interfaces: Interfaces<Schema>,
    /// Operations run for the target.
    pub target_interfaces: Interfaces<Schema>,
}

/// Interfaces by name, their operations by name.
///
/// A type declares inputs by [`Schema`]; a template gives them by [`Value`].
pub type Interfaces<I> = Named<Named<Operation<I>>>;

/// One operation.
#[derive(Clone, Debug)]
pub struct Operation<I> {
    /// Its whole definition.
    pub span: Span,
    /// What carries it out; none for an operation that does nothing.
    pub implementation: Option<Spanned<String>>,
    /// Inputs.
    pub inputs: Named<I>,
    /// Where it runs, if not where its plugin runs.
    pub executor: Option<Spanned<String>>,
    /// How often it is repeated after a failure; -1 for ever.
    pub max_retries: Option<f64>,
    /// Seconds between repetitions.
    pub retry_interval: Option<f64>,
}

/// `node_templates.NAME`.
#[derive(Clone, Debug)]
pub struct NodeTemplate {
    /// Its type.
    pub type_name: Option<Spanned<String>>,
    /// Given properties.
    pub properties: Named<Value>,
    /// `instances.deploy`.
    pub deploy: Option<Value>,
    /// `capabilities.scalable.properties`.
    pub scalable: Option<Value>,
    /// Given operations.
    pub interfaces: Interfaces<Value>,
    /// Relationships in order.
    pub relationships: Vec<Relationship>,
}

/// An entry of a node's `relationships`.
#[derive(Clone, Debug)]
pub struct Relationship {
    /// Its type.
    pub type_name: Spanned<String>,
    /// The node it points to.
    pub target: Spanned<String>,
    /// Given properties.
    pub properties: Named<Value>,
    /// Operations run for the source.
    pub source_interfaces: Interfaces<Value>,
    /// Operations run for the target.
    pub target_interfaces: Interfaces<Value>,
}

/// `outputs.NAME` or `capabilities.NAME`.
#[derive(Clone, Debug)]
pub struct Output {
    /// For people.
    pub description: Option<String>,
    /// The value, usually a function.
    pub value: Value,
}

/// Sections that are legal and not read here. `dsl_definitions` only holds anchors.
const SILENT: [&str; 4] = ["description", "dsl_definitions", "metadata", "namespaces_mapping"];
const UNREAD: [&str; 10] = [
    "policy_types",
    "policy_triggers",
    "groups",
    "policies",
    "workflows",
    "labels",
    "blueprint_labels",
    "deployment_settings",
    "resource_tags",
    "imported_blueprints",
];

impl Ast {
    /// Reads the sections of one parsed file.
    #[must_use]
    pub fn read(file: FileId, root: &Value, diagnostics: &mut Vec<Diagnostic>) -> Self {
        let d = diagnostics;
        let mut fields = Fields::open_or_empty(root, "the blueprint", d);
        let ast = Self {
            file,
            version: fields.text("tosca_definitions_version", d),
            imports: fields.take("imports").map_or_else(Vec::new, |value| imports(value, d)),
            inputs: fields.named("inputs", d, input),
            plugins: fields.named("plugins", d, plugin),
            data_types: fields.named("data_types", d, data_type),
            node_types: fields.named("node_types", d, node_type),
            relationships: fields.named("relationships", d, relationship_type),
            node_templates: fields.named("node_templates", d, node_template),
            outputs: fields.named("outputs", d, output),
            capabilities: fields.named("capabilities", d, output),
            unread: UNREAD.iter().filter_map(|name| unread(&mut fields, name, root)).collect(),
        };
        for section in SILENT {
            fields.take(section);
        }
        fields.close(d);
        ast
    }
}

fn unread(fields: &mut Fields<'_>, name: &'static str, root: &Value) -> Option<Spanned<String>> {
    fields.take(name)?;
    let (key, _) = root.as_map()?.entry(name)?;
    Some(Spanned { node: name.to_owned(), span: key.span })
}

fn imports(value: &Value, d: &mut Vec<Diagnostic>) -> Vec<Spanned<String>> {
    let mut all: Vec<Spanned<String>> = Vec::new();
    for item in expect_list(value, "`imports`", d) {
        let Some(import) = expect_text(item, "an import", d) else { continue };
        match all.iter().find(|other| other.node == import.node) {
            Some(first) => {
                d.push(
                    import
                        .span
                        .error(Code::ImportTwice, format!("`{}` is imported twice", import.node))
                        .related(first.span, "first imported here"),
                );
            }
            None => all.push(import),
        }
    }
    all
}

fn schema(value: &Value, owner: &str, more: &[&'static str], d: &mut Vec<Diagnostic>) -> Option<Schema> {
    if value.is_null() {
        return Some(Schema { type_name: None, default: None, required: true, description: None });
    }
    let mut fields = Fields::open(value, owner, d)?;
    let schema = Schema {
        type_name: fields.text("type", d),
        default: fields.take("default").cloned(),
        required: fields.boolean("required", d).unwrap_or(true),
        description: fields.take("description").and_then(Value::as_str).map(str::to_owned),
    };
    for key in more {
        fields.take(key);
    }
    fields.close(d);
    Some(schema)
}

fn property(value: &Value, name: &str, d: &mut Vec<Diagnostic>) -> Option<Schema> {
    schema(value, &format!("property `{name}`"), &["constraints"], d)
}

fn input(value: &Value, name: &str, d: &mut Vec<Diagnostic>) -> Option<Schema> {
    schema(value, &format!("input `{name}`"), &["constraints", "item_type", "display_label", "hidden", "display"], d)
}

fn plugin(value: &Value, name: &str, d: &mut Vec<Diagnostic>) -> Option<Plugin> {
    let owner = format!("plugin `{name}`");
    let mut fields = Fields::open(value, &owner, d)?;
    let executor = fields.text("executor", d);
    let install = fields.boolean("install", d).unwrap_or(true);
    let source = [fields.take("source"), fields.take("package_name")];
    for key in [
        "install_arguments",
        "package_version",
        "supported_platform",
        "distribution",
        "distribution_version",
        "distribution_release",
        "properties",
        "properties_description",
    ] {
        fields.take(key);
    }
    fields.close(d);
    match &executor {
        None => d.push(missing(value.span, &owner, "executor")),
        Some(executor) => check_executor(executor, d),
    }
    if install && source.iter().all(Option::is_none) {
        d.push(value.span.error(Code::PluginSource, format!("{owner} is to be installed and has neither `source` nor `package_name`")));
    }
    Some(Plugin { executor })
}

fn check_executor(executor: &Spanned<String>, d: &mut Vec<Diagnostic>) {
    const KNOWN: [&str; 2] = ["central_deployment_agent", "host_agent"];
    if !KNOWN.contains(&executor.node.as_str()) {
        let fault = executor.span.error(Code::Executor, format!("there is no executor `{}`", executor.node));
        d.push(fault.hint(format!("known executors: {}", KNOWN.join(", "))));
    }
}

fn data_type(value: &Value, name: &str, d: &mut Vec<Diagnostic>) -> Option<DataType> {
    let mut fields = Fields::open(value, format!("data type `{name}`"), d)?;
    let data_type = DataType { derived_from: fields.text("derived_from", d), properties: fields.named("properties", d, property) };
    fields.take("version");
    fields.take("description");
    fields.close(d);
    Some(data_type)
}

fn node_type(value: &Value, name: &str, d: &mut Vec<Diagnostic>) -> Option<NodeType> {
    let mut fields = Fields::open_or_null(value, format!("node type `{name}`"), d)?;
    let node_type = NodeType {
        derived_from: fields.text("derived_from", d),
        properties: fields.named("properties", d, property),
        interfaces: fields.named("interfaces", d, |value, name, d| interface(value, name, property, d)),
    };
    fields.take("runtime_properties");
    fields.close(d);
    Some(node_type)
}

fn relationship_type(value: &Value, name: &str, d: &mut Vec<Diagnostic>) -> Option<RelationshipType> {
    let mut fields = Fields::open_or_null(value, format!("relationship type `{name}`"), d)?;
    let relationship = RelationshipType {
        derived_from: fields.text("derived_from", d),
        properties: fields.named("properties", d, property),
        source_interfaces: fields.named("source_interfaces", d, |value, name, d| interface(value, name, property, d)),
        target_interfaces: fields.named("target_interfaces", d, |value, name, d| interface(value, name, property, d)),
    };
    fields.close(d);
    Some(relationship)
}

/// Reads an input of an operation: a schema in a type, a value in a template.
type ReadInput<I> = fn(&Value, &str, &mut Vec<Diagnostic>) -> Option<I>;

fn given(value: &Value, _name: &str, _d: &mut Vec<Diagnostic>) -> Option<Value> {
    Some(value.clone())
}

fn interface<I>(value: &Value, name: &str, read: ReadInput<I>, d: &mut Vec<Diagnostic>) -> Option<Named<Operation<I>>> {
    if value.is_null() {
        return Some(Named::default());
    }
    Some(named(value, &format!("interface `{name}`"), d, |value, name, d| operation(value, name, read, d)))
}

fn operation<I>(value: &Value, name: &str, read: ReadInput<I>, d: &mut Vec<Diagnostic>) -> Option<Operation<I>> {
    let mut operation = Operation {
        span: value.span,
        implementation: None,
        inputs: Named::default(),
        executor: None,
        max_retries: None,
        retry_interval: None,
    };
    match &value.data {
        Data::Null => {}
        Data::Str(text) => operation.implementation = Some(Spanned { node: text.to_string(), span: value.span }),
        _ => {
            let mut fields = Fields::open(value, format!("operation `{name}`"), d)?;
            operation.implementation = fields.text("implementation", d);
            operation.inputs = fields.named("inputs", d, read);
            operation.executor = fields.text("executor", d).inspect(|executor| check_executor(executor, d));
            operation.max_retries = fields.number("max_retries", -1.0, d);
            operation.retry_interval = fields.number("retry_interval", 0.0, d);
            fields.number("timeout", 0.0, d);
            fields.boolean("timeout_recoverable", d);
            fields.close(d);
        }
    }
    operation.implementation = operation.implementation.filter(|text| !text.node.is_empty());
    Some(operation)
}

fn node_template(value: &Value, name: &str, d: &mut Vec<Diagnostic>) -> Option<NodeTemplate> {
    let owner = format!("node template `{name}`");
    let mut fields = Fields::open(value, &owner, d)?;
    let type_name = fields.text("type", d);
    if type_name.is_none() {
        d.push(missing(value.span, &owner, "type"));
    }
    let deploy = fields.take("instances");
    let scalable = fields.take("capabilities");
    if let (Some(one), Some(other)) = (deploy, scalable) {
        let fault = other.span.error(Code::TwoScalings, format!("{owner} gives both `instances` and `capabilities`"));
        d.push(fault.related(one.span, "`instances` is here"));
    }
    let template = NodeTemplate {
        type_name,
        properties: fields.named("properties", d, given),
        deploy: deploy.and_then(|value| only(value, "deploy", &format!("`instances` of {owner}"), d)),
        scalable: scalable
            .and_then(|value| only(value, "scalable", &format!("`capabilities` of {owner}"), d))
            .and_then(|value| only(&value, "properties", &format!("`scalable` of {owner}"), d)),
        interfaces: fields.named("interfaces", d, |value, name, d| interface(value, name, given, d)),
        relationships: relationships(fields.take("relationships"), &owner, d),
    };
    fields.close(d);
    Some(template)
}

/// The value under the only key that a mapping may have.
fn only(value: &Value, key: &'static str, owner: &str, d: &mut Vec<Diagnostic>) -> Option<Value> {
    let mut fields = Fields::open(value, owner, d)?;
    let inner = fields.take(key).cloned();
    fields.close(d);
    inner
}

fn relationships(value: Option<&Value>, owner: &str, d: &mut Vec<Diagnostic>) -> Vec<Relationship> {
    let Some(value) = value.filter(|value| !value.is_null()) else { return Vec::new() };
    let items = expect_list(value, &format!("`relationships` of {owner}"), d);
    items.iter().filter_map(|item| relationship(item, owner, d)).collect()
}

fn relationship(value: &Value, owner: &str, d: &mut Vec<Diagnostic>) -> Option<Relationship> {
    let owner = format!("a relationship of {owner}");
    let mut fields = Fields::open(value, &owner, d)?;
    let (type_name, target) = (fields.text("type", d), fields.text("target", d));
    let properties = fields.named("properties", d, given);
    let source_interfaces = fields.named("source_interfaces", d, |value, name, d| interface(value, name, given, d));
    let target_interfaces = fields.named("target_interfaces", d, |value, name, d| interface(value, name, given, d));
    fields.close(d);
    for (key, given) in [("type", &type_name), ("target", &target)] {
        if given.is_none() {
            d.push(missing(value.span, &owner, key));
        }
    }
    Some(Relationship { type_name: type_name?, target: target?, properties, source_interfaces, target_interfaces })
}

fn output(value: &Value, name: &str, d: &mut Vec<Diagnostic>) -> Option<Output> {
    let owner = format!("output `{name}`");
    let mut fields = Fields::open(value, &owner, d)?;
    let description = fields.text("description", d).map(|text| text.node);
    let given = fields.take("value").filter(|value| !value.is_null()).cloned();
    fields.close(d);
    if given.is_none() {
        d.push(missing(value.span, &owner, "value"));
    }
    Some(Output { description, value: given? })
}
