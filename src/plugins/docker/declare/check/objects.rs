//! Checks of containers of the plugin 2.x, images, networks, volumes, relationships and waits.

use crate::{
    diagnostic::{Code, Diagnostic, Diagnostics, Fault},
    model::{Blueprint, Node, Relationship, function::contains_call},
    plugins::docker::declare::{
        build_config,
        check::{check_inputs, diagnostic, input_fault, operation, request::Request},
        condition::WaitFor,
        container::{first_name, is_valid_name},
        infrakit, network,
        operation::Operation,
        params, volume,
    },
    syntax::{Value, call},
};
use serde_json::{Map as JsonMap, Value as Json};

const ATTACHED: &str = "dockctl.relationships.attached_to_network";
const MOUNTS: &str = "dockctl.relationships.mounts";

/// Checks a node that is not a container of the plugin 1.x.
pub(crate) fn check(node: &Node, d: &mut Diagnostics) {
    let has = |wanted| operation(node, wanted).is_some();
    if has(Operation::Run) {
        check_run(node, d);
    } else if has(Operation::Build) {
        check_property(
            node,
            "resource_config",
            |config| build_config::BuildConfig::read(config).map(drop),
            d,
        );
    } else if has(Operation::CreateInstance) {
        let mut faults = infrakit::faults(&properties(node).collect());
        faults.extend(infrakit_name(node).and_then(|name| infrakit::name_fault(&name)));
        d.extend(faults.into_iter().map(|fault| located(node, fault)));
    } else if has(Operation::CreateNetwork) {
        check_properties(node, network::request, d);
    } else if has(Operation::CreateVolume) {
        check_properties(node, volume::request, d);
    } else if let Some(start) = operation(node, Operation::Start) {
        let warning = format!(
            "node `{}` starts a container but does not create one",
            node.name.node
        );
        d.push(start.span.warning(Code::NoEffect, warning).hint(
            "to adopt an existing container, keep `create` and set `use_external_resource: true`",
        ));
    }
    if has(Operation::CreateNetwork) || has(Operation::CreateVolume) {
        node.operations
            .values()
            .for_each(|operation| check_inputs(operation, d));
        check_name(node, node.properties.get("name"), d);
    }
}

/// Returns the name of a container of the plugin 2.x, if it is already known.
pub(crate) fn run_name(node: &Node) -> Option<&Value> {
    let name = node
        .properties
        .get("resource_config")?
        .get("container_args")?
        .get("name")?;
    Some(name).filter(|name| !name.is_null() && name.as_str() != Some("") && call(name).is_none())
}

fn check_run(node: &Node, d: &mut Diagnostics) {
    let Some(config) = node.properties.get("resource_config") else {
        return;
    };
    let arguments = config.get("container_args");
    check_name(node, run_name(node), d);
    let json = arguments.map(Value::to_json).unwrap_or_default();
    let report = |fault: &Fault, is_warning: bool, d: &mut Diagnostics| {
        let (span, name) = (node.name.span, &node.name.node);
        d.push(diagnostic(fault, arguments, span, name, is_warning));
    };
    match params::container_args(&json) {
        Ok(creation) => {
            let warnings = creation.warnings.iter();
            warnings.for_each(|fault| report(fault, true, d));
            let request = Request {
                node,
                own: run_name(node).and_then(Value::as_str),
                body: &creation.body,
                given: arguments,
                path: ["create", "container_args"],
            };
            request.check(d);
        }
        Err(faults) => faults.iter().for_each(|fault| report(fault, false, d)),
    }
    if config
        .get("image_tag")
        .is_none_or(|tag| tag.is_null() || tag.as_str() == Some(""))
        && call(config).is_none()
    {
        let warning = format!(
            "node `{}` has no effect: it has no `image_tag`",
            node.name.node
        );
        d.push(config.span.warning(Code::NoEffect, warning));
    }
}

fn check_name(node: &Node, name: Option<&Value>, d: &mut Diagnostics) {
    let Some(name) =
        name.filter(|name| !name.is_null() && name.as_str() != Some("") && call(name).is_none())
    else {
        return;
    };
    if !name
        .as_str()
        .is_some_and(|name| is_valid_name(name.strip_prefix('/').unwrap_or(name)))
    {
        let fault = name.span.error(
            Code::ObjectName,
            format!(
                "node `{}`: `{}` is not a valid name",
                node.name.node,
                name.to_key()
            ),
        );
        d.push(fault.hint(
            "use two or more of the characters [a-zA-Z0-9_.-], and start with a letter or digit",
        ));
    }
}

fn check_property(
    node: &Node,
    name: &str,
    read: impl Fn(&Json) -> Result<(), Fault>,
    d: &mut Diagnostics,
) {
    let Some(value) = node
        .properties
        .get(name)
        .filter(|value| call(value).is_none())
    else {
        return;
    };
    if let Err(fault) = read(&value.to_json()) {
        d.push(input_fault(&fault, value, name));
    }
}

/// Checks the properties that become a request; late values are left out.
fn check_properties(
    node: &Node,
    request: impl Fn(&Json) -> Result<Json, Fault>,
    d: &mut Diagnostics,
) {
    let known = known_properties(node);
    if let Err(fault) = request(&Json::Object(known.collect::<JsonMap<_, _>>())) {
        d.push(located(node, fault));
    }
}

/// Returns the properties of a node without those that are known late.
pub(crate) fn known_properties(node: &Node) -> impl Iterator<Item = (String, Json)> {
    properties(node).filter(|(_, value)| !contains_call(value))
}

fn properties(node: &Node) -> impl Iterator<Item = (String, Json)> {
    let all = node.properties.iter();
    all.map(|(name, value)| (name.to_string(), value.to_json()))
}

/// Locates a fault whose path begins with the name of a property.
fn located(node: &Node, fault: Fault) -> Diagnostic {
    let named = fault.path.split_first().and_then(|(name, rest)| {
        let value = node.properties.get(name.as_str())?;
        Some((name.clone(), rest.to_vec(), value))
    });
    match named {
        Some((name, path, value)) => input_fault(&Fault { path, ..fault }, value, &name),
        None => node.name.span.error(
            Code::ArgumentValue,
            format!("node `{}`: {}", node.name.node, fault.message),
        ),
    }
}

/// Checks dockctl's relationship types, with their sources and targets.
pub(crate) fn check_relationships(blueprint: &Blueprint, node: &Node, d: &mut Diagnostics) {
    for relationship in &node.relationships {
        if is_attachment(relationship) {
            check_relationship(blueprint, node, relationship, Operation::CreateNetwork, d);
            check_endpoint(node, relationship, d);
        } else if is_mount(relationship) {
            check_relationship(blueprint, node, relationship, Operation::CreateVolume, d);
            check_target(relationship, d);
        }
    }
}

/// Returns true if a relationship attaches a container to a network.
pub(crate) fn is_attachment(relationship: &Relationship) -> bool {
    has_type(relationship, ATTACHED)
}

/// Returns true if a relationship mounts a volume in a container.
pub(crate) fn is_mount(relationship: &Relationship) -> bool {
    has_type(relationship, MOUNTS)
}

fn has_type(relationship: &Relationship, name: &str) -> bool {
    let types = &relationship.relationship_type.hierarchy;
    types.iter().any(|it| **it == *name)
}

fn check_relationship(
    blueprint: &Blueprint,
    node: &Node,
    relationship: &Relationship,
    wanted: Operation,
    d: &mut Diagnostics,
) {
    let place = relationship.type_name.span;
    let is_container =
        operation(node, Operation::Create).is_some() || operation(node, Operation::Run).is_some();
    let what = if wanted == Operation::CreateNetwork {
        "a network"
    } else {
        "a volume"
    };
    let target = blueprint.nodes.get(&relationship.target.node);
    if target.is_some_and(|target| operation(target, wanted).is_none()) {
        let message = format!(
            "the target of `{}` must be {what}, and `{}` is not one",
            relationship.type_name.node, relationship.target.node
        );
        d.push(
            relationship
                .target
                .span
                .error(Code::InvalidAttachment, message),
        );
    }
    // `client_config` can describe the same engine in another way: no comparison is possible.
    let by_client = |node: &Node| node.properties.get("client_config").is_none();
    if target.is_some_and(|target| {
        by_client(node) && by_client(target) && engine_key(target) != engine_key(node)
    }) {
        let message = format!(
            "`{}` and `{}` are on different engines",
            node.name.node, relationship.target.node
        );
        d.push(
            relationship
                .target
                .span
                .error(Code::InvalidAttachment, message)
                .hint("set the same `daemon_client` on both nodes"),
        );
    }
    if !is_container {
        d.push(place.error(
            Code::InvalidAttachment,
            format!(
                "only a container can be the source of `{}`",
                relationship.type_name.node
            ),
        ));
    } else if crate::plugins::docker::declare::check::is_adopted(node)
        && !blueprint.dockctl_metadata.adopted.contains(&node.name.node)
    {
        d.push(place.warning(
            Code::NoEffect,
            "the relationship has no effect: an adopted container is never changed",
        ));
    }
    for (name, value) in &relationship.properties {
        if contains_call(&value.to_json()) {
            let message = format!(
                "`{name}` contains a function: functions in relationship properties are not evaluated"
            );
            d.push(value.span.error(Code::InvalidAttachment, message));
        }
    }
}

/// Returns the engine on which a node creates its object, as text; empty for the default engine.
pub(crate) fn engine_key(node: &Node) -> String {
    let given = |value: &Value| {
        value
            .to_json()
            .as_object()
            .is_some_and(|entries| !entries.is_empty())
    };
    let create = node.operations.values().find(|it| {
        Operation::of(&it.plugin, &it.operation)
            .is_some_and(|operation| operation.creates().is_some())
    });
    let client = create
        .and_then(|create| create.inputs.get("daemon_client"))
        .filter(|client| given(client));
    let client = client.or_else(|| {
        node.properties
            .get("client_config")
            .filter(|config| given(config))
    });
    client
        .map(|client| client.to_json().to_string())
        .unwrap_or_default()
}

fn check_endpoint(node: &Node, relationship: &Relationship, d: &mut Diagnostics) {
    let given =
        |value: &Value| !matches!(value.to_json(), Json::Null) && value.as_str() != Some("");
    let entries = relationship
        .properties
        .iter()
        .filter(|(name, value)| params::ENDPOINT.contains(&&***name) && given(value))
        .map(|(name, value)| (name.to_string(), value.to_json()));
    if let Err(fault) = params::endpoint(&Json::Object(entries.collect())) {
        let value = fault
            .path
            .first()
            .and_then(|name| relationship.properties.get(name.as_str()));
        let span = value.map_or(relationship.type_name.span, |value| value.span);
        d.push(span.error(
            Code::InvalidAttachment,
            format!("`{}`: {}", fault.path.join("."), fault.message),
        ));
    }
    let create = operation(node, Operation::Create)
        .and_then(|create| create.inputs.get("params"))
        .map(Value::to_json)
        .unwrap_or_default();
    let start = operation(node, Operation::Start)
        .and_then(|start| start.inputs.get("params"))
        .map(Value::to_json)
        .unwrap_or_default();
    let mode = params::creation(&create, &start).ok().and_then(|creation| {
        creation.body.get("HostConfig")?["NetworkMode"]
            .as_str()
            .map(str::to_owned)
    });
    if let Some(mode) = mode
        .filter(|mode| matches!(mode.as_str(), "host" | "none") || mode.starts_with("container:"))
    {
        let message = format!("`network_mode: {mode}` does not allow attaching networks");
        d.push(
            relationship
                .type_name
                .span
                .error(Code::InvalidAttachment, message)
                .hint("remove `network_mode`"),
        );
    }
}

fn check_target(relationship: &Relationship, d: &mut Diagnostics) {
    let target = relationship.properties.get("target");
    let path = target.and_then(Value::as_str);
    let span = target.map_or(relationship.type_name.span, |target| target.span);
    if let Some(fault) = path.and_then(params::unusable_target) {
        d.push(span.error(Code::InvalidAttachment, fault.message));
    } else if path.is_none() {
        d.push(
            span.error(
                Code::InvalidAttachment,
                "`mounts` needs a `target`: an absolute path in the container",
            )
            .hint("properties: {target: /var/lib/data}"),
        );
    }
}

/// Checks one condition or a list of conditions.
pub(crate) fn check_conditions(value: &Value, d: &mut Diagnostics) {
    for (path, condition) in conditions(value) {
        if let Err(fault) = WaitFor::read(&condition.to_json()) {
            let fault = fault.nested_in(&path);
            d.push(input_fault(&fault, value, "wait_for"));
        }
    }
}

/// Returns the conditions with their paths; late ones are left out.
fn conditions(value: &Value) -> Vec<(Vec<String>, &Value)> {
    let all = match value.as_list() {
        Some(list) => list
            .iter()
            .enumerate()
            .map(|(at, item)| (vec![at.to_string()], item))
            .collect(),
        None if value.is_null() => Vec::new(),
        None => vec![(Vec::new(), value)],
    };
    all.into_iter()
        .filter(|(_, condition)| !contains_call(&condition.to_json()))
        .collect()
}

/// Finds conditions that can never be met with these parameters.
pub(crate) fn check_waits(
    node: &Node,
    waits: Option<&Value>,
    body: &JsonMap<String, Json>,
    d: &mut Diagnostics,
) {
    for (_, condition) in waits.into_iter().flat_map(conditions) {
        let Ok(wait) = WaitFor::read(&condition.to_json()) else {
            continue;
        };
        if let Some(why) = wait.why_impossible(body) {
            d.push(condition.span.error(
                Code::UnmeetableWait,
                format!("node `{}`: {why}", node.name.node),
            ));
        } else if wait.needs_healthcheck()
            && body.get("Healthcheck").is_none()
            && !crate::plugins::docker::declare::check::is_adopted(node)
        {
            d.push(missing_healthcheck(node, condition));
        }
    }
}

fn missing_healthcheck(node: &Node, condition: &Value) -> Diagnostic {
    let message = format!(
        "node `{}` waits to become healthy but declares no health check: its image must have one",
        node.name.node
    );
    condition
        .span
        .warning(Code::UnmeetableWait, message)
        .hint("params: {healthcheck: {test: …, interval: 5s}}")
}

/// Returns the name of the first container of an InfraKit node, if the node declares one.
fn infrakit_name(node: &Node) -> Option<Json> {
    let given = node.properties.get("name").map(Value::to_json)?;
    match &given {
        Json::String(base) if !base.is_empty() => first_name(base, &node.numbering).map(Json::from),
        _ => Some(given),
    }
}
