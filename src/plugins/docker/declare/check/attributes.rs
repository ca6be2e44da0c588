//! Attributes that operations read from other nodes. They are available after those nodes have
//! started.

use crate::{
    diagnostic::{Code, Diagnostic, Diagnostics, Span},
    engine::Kind,
    model::{Blueprint, Node, Operation as ModelOperation, Precedence},
    plugins::docker::declare::{
        check::{Operation, given_name, operation, params},
        declared::references_in_host,
    },
    stage::is_install_operation,
    syntax::{Value, call},
};
use std::collections::{BTreeSet, HashMap};

/// An attribute of another node that an operation reads during install.
struct AttributeRead<'b> {
    reader: &'b str,
    operation: &'b str,
    target: &'b str,
    attribute: String,
    span: Span,
    /// The operation creates or starts a container.
    creates_or_starts: bool,
}

/// Finds attributes of nodes that start later, and of nodes that no relationship puts first.
pub(crate) fn check(blueprint: &Blueprint, d: &mut Diagnostics) {
    let mut readings: Vec<AttributeRead<'_>> = blueprint
        .nodes
        .values()
        .flat_map(|node| of_node(blueprint, node))
        .collect();
    if readings.is_empty() {
        return;
    }
    // If two orders conflict, operations that create or start containers take precedence, as in the
    // plan.
    readings.sort_by_key(|reading| !reading.creates_or_starts);
    let declared = declared(blueprint);
    let mut order = declared.clone();
    let mut reported = BTreeSet::new();
    for reading in readings
        .iter()
        .filter(|reading| !declared.comes_after(reading.reader, reading.target))
    {
        let fits = order.prefer(reading.reader, reading.target);
        if reported.insert((reading.reader, reading.operation, reading.target)) {
            d.push(if fits {
                unordered(reading)
            } else {
                read_too_early(reading)
            });
        }
    }
}

fn unordered(reading: &AttributeRead<'_>) -> Diagnostic {
    let AttributeRead {
        reader,
        target,
        attribute,
        span,
        ..
    } = reading;
    let name = short(reading.operation);
    let message = format!(
        "node `{reader}`, {name}: reads {attribute} of `{target}`, but no relationship starts `{target}` first"
    );
    span.warning(Code::UnorderedAttribute, message).hint(format!(
        "dockctl starts `{target}` first; to declare this order, add a relationship from `{reader}` to `{target}`, such as cloudify.relationships.depends_on"
    ))
}

fn read_too_early(reading: &AttributeRead<'_>) -> Diagnostic {
    let AttributeRead {
        reader,
        target,
        attribute,
        span,
        ..
    } = reading;
    let name = short(reading.operation);
    let message = format!(
        "node `{reader}`, {name}: reads {attribute} of `{target}`, which starts after `{reader}`: the value is null at that time"
    );
    let fault = if reading.creates_or_starts {
        span.error(Code::AttributeReadEarly, message)
    } else {
        span.warning(Code::AttributeReadEarly, message)
    };
    fault.hint(format!("remove the dependency of `{target}` on `{reader}`, or read the attribute in an operation that runs after both have started"))
}

fn short(operation: &str) -> &str {
    operation.rsplit('.').next().unwrap_or(operation)
}

/// Returns the order declared by relationships and by references to container names.
fn declared(blueprint: &Blueprint) -> Precedence<'_> {
    let mut order = Precedence::default();
    let create = |node| operation(node, Operation::Create);
    let name = |node| {
        given_name(node, create(node)?)?
            .as_str()
            .map(|name| name.trim_start_matches('/'))
    };
    let named: HashMap<&str, &str> = blueprint
        .nodes
        .values()
        .filter_map(|node| Some((name(node)?, node.name.node.as_str())))
        .collect();
    for (name, node) in &blueprint.nodes {
        node.relationships
            .iter()
            .for_each(|relationship| order.require(name, &relationship.target.node));
        for used in create(node)
            .map(|create| names_used(node, create))
            .unwrap_or_default()
        {
            named
                .get(used.as_str())
                .into_iter()
                .for_each(|target| order.require(name, target));
        }
    }
    order
}

/// Returns the names of the containers that a container uses.
fn names_used(node: &Node, create: &ModelOperation) -> Vec<String> {
    let start = operation(node, Operation::Start);
    let params = |operation: Option<&ModelOperation>| {
        operation
            .and_then(|it| it.inputs.get("params"))
            .map(Value::to_json)
            .unwrap_or_default()
    };
    let converted = params::creation(&params(Some(create)), &params(start));
    let host = converted
        .ok()
        .and_then(|mut it| it.body.remove("HostConfig"));
    let references = references_in_host(&host.unwrap_or_default()).into_iter();
    let containers = references.filter(|(kind, _)| *kind == Kind::Container);
    containers.map(|(_, name)| name).collect()
}

fn of_node<'b>(blueprint: &'b Blueprint, node: &'b Node) -> Vec<AttributeRead<'b>> {
    let own = node
        .operations
        .iter()
        .map(|(name, operation)| (name.as_ref(), operation.as_ref()));
    let of_relationships = node
        .relationships
        .iter()
        .flat_map(crate::model::Relationship::operations);
    let of_relationships =
        of_relationships.map(|(name, operation)| (name.as_ref(), operation.as_ref()));
    let all = own
        .chain(of_relationships)
        .filter(|(name, _)| is_install_operation(name));
    all.flat_map(|(name, operation)| of_operation(blueprint, node, name, operation))
        .collect()
}

fn of_operation<'b>(
    blueprint: &'b Blueprint,
    node: &'b Node,
    name: &'b str,
    operation: &'b ModelOperation,
) -> Vec<AttributeRead<'b>> {
    let operation_kind = Operation::of(&operation.plugin, &operation.operation);
    let makes = matches!(
        operation_kind,
        Some(Operation::Create | Operation::Run | Operation::Start)
    );
    let properties = node
        .properties
        .values()
        .filter(|_| makes || operation_kind.and_then(Operation::creates).is_some());
    let mut found = Vec::new();
    operation
        .inputs
        .values()
        .chain(properties)
        .for_each(|value| collect_reads(value, &mut found));
    let reading = |(target, attribute, span): (&'b str, String, Span)| {
        let is_other = target != node.name.node && blueprint.nodes.contains_key(target);
        is_other.then(|| AttributeRead {
            reader: &node.name.node,
            operation: name,
            target,
            attribute,
            span,
            creates_or_starts: makes,
        })
    };
    found.into_iter().filter_map(reading).collect()
}

/// Collects the attributes read in a value: node, attribute and location.
fn collect_reads<'v>(value: &'v Value, found: &mut Vec<(&'v str, String, Span)>) {
    if let Some(it) = call(value).filter(|it| {
        matches!(
            it.name,
            "get_attribute" | "get_attributes_list" | "get_attributes_dict"
        )
    }) {
        let arguments = it.arguments.as_list().unwrap_or_default();
        if let Some(target) = arguments.first().and_then(Value::as_str) {
            let path: Vec<String> = arguments[1..].iter().map(Value::to_key).collect();
            found.push((target, format!("`{}`", path.join(".")), it.span));
        }
    }
    for item in value.as_list().into_iter().flatten() {
        collect_reads(item, found);
    }
    for (_, entry) in value.as_map().into_iter().flat_map(|map| &map.entries) {
        collect_reads(entry, found);
    }
}
