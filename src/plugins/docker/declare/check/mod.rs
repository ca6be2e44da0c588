//! Finds faults of a blueprint that only this plugin can detect: arguments, names, images.

mod addresses;
mod attributes;
mod misplaced;
mod objects;
mod request;

pub(crate) use misplaced::advise;

use self::request::Request;
use crate::{
    diagnostic::{Code, Diagnostic, Diagnostics, Fault, Span, nearest},
    engine::{self, Kind},
    model::{Blueprint, Node, Operation as ModelOperation, function},
    plugins::docker::declare::{
        container::{first_name, is_valid_name},
        image::{self, Image},
        operation::Operation,
        params,
    },
    syntax::{Value, call},
};
use std::{collections::HashMap, path::Path};

/// Checks all nodes of a blueprint that declare objects on an engine.
pub(crate) fn check(blueprint: &Blueprint, d: &mut Diagnostics) {
    for node in blueprint.nodes.values() {
        match operation(node, Operation::Create) {
            Some(create) => check_container(node, create, &blueprint.dockctl_metadata.adopted, d),
            None => objects::check(node, d),
        }
        objects::check_relationships(blueprint, node, d);
        addresses::check(blueprint, node, d);
        check_instance_names(node, d);
    }
    check_names_differ(blueprint, d);
    addresses::check_subnets(blueprint, d);
    attributes::check(blueprint, d);
}

fn check_container(
    node: &Node,
    create: &ModelOperation,
    is_generated: &[String],
    d: &mut Diagnostics,
) {
    if is_adopted(node) {
        check_adopted(node, create, is_generated.contains(&node.name.node), d);
    } else {
        check_image(node, d);
        check_name(node, create, d);
    }
    check_is_started(node, d);
    check_params(node, create, d);
    for operation in node.operations.values() {
        check_inputs(operation, d);
    }
}

/// Warns of a container that no operation starts although its type has one that does.
fn check_is_started(node: &Node, d: &mut Diagnostics) {
    const TYPE: &str = "cloudify.docker.Container";
    let has_start = node.hierarchy.iter().any(|name| **name == *TYPE);
    if has_start && operation(node, Operation::Start).is_none() {
        let name = &node.name;
        let message = format!(
            "node `{}`: the container is created and never started, because `start` does nothing",
            name.node
        );
        let warning = name.span.warning(Code::NeverStarted, message);
        d.push(warning.hint(
            "leave out `start`, or add its implementation: docker.docker_plugin.tasks.start",
        ));
    }
}

fn operation(node: &Node, wanted: Operation) -> Option<&ModelOperation> {
    node.operations
        .values()
        .map(AsRef::as_ref)
        .find(|operation| Operation::of(&operation.plugin, &operation.operation) == Some(wanted))
}

fn is_adopted(node: &Node) -> bool {
    node.properties
        .get("use_external_resource")
        .is_some_and(|value| value.to_json() == true)
}

/// Returns the name in `params` or in the property `name`, if it is already known.
fn given_name<'n>(node: &'n Node, create: &'n ModelOperation) -> Option<&'n Value> {
    let in_params = create
        .inputs
        .get("params")
        .and_then(|params| params.get("name"));
    in_params
        .or_else(|| node.properties.get("name"))
        .filter(|name| !name.is_null() && name.as_str() != Some("") && call(name).is_none())
}

fn check_adopted(node: &Node, create: &ModelOperation, is_generated: bool, d: &mut Diagnostics) {
    let named = ["name", "resource_id"]
        .iter()
        .filter_map(|key| node.properties.get(*key))
        .any(|name| !name.is_null() && name.as_str() != Some(""));
    if !named {
        let fault = node.name.span.error(
            Code::ObjectName,
            format!(
                "node `{}` adopts a container but does not name it",
                node.name.node
            ),
        );
        d.push(fault.hint("set the exact name of the container: name: NAME"));
    }
    let count = &node.instance_counts.default;
    if node.instance_counts.initial() != Some(1) && call(count).is_none() {
        let fault = count.span.error(
            Code::InstanceNumbers,
            "a node that adopts a container must have exactly one instance",
        );
        d.push(fault.hint("declare a separate node for each container"));
    }
    let start = operation(node, Operation::Start).filter(|_| !is_generated);
    for params in [Some(create).filter(|_| !is_generated), start]
        .into_iter()
        .flatten()
        .filter_map(|operation| operation.inputs.get("params"))
    {
        let entries = params
            .as_map()
            .map(|map| &map.entries[..])
            .unwrap_or_default();
        for (key, _) in entries
            .iter()
            .filter(|(key, _)| key.as_str() != Some("processes_to_wait_for"))
        {
            d.push(key.span.warning(
                Code::NoEffect,
                format!(
                    "`{}` has no effect: an adopted container is never changed",
                    key.to_key()
                ),
            ));
        }
    }
}

fn check_image(node: &Node, d: &mut Diagnostics) {
    let Some(image) = node.properties.get("image") else {
        d.push(node.name.span.error(
            Code::Image,
            format!("node `{}` has no `image`", node.name.node),
        ));
        return;
    };
    if call(image).is_some() {
        return;
    }
    let json = image.to_json();
    for fault in Image::read(&json).err().unwrap_or_default() {
        d.push(image_fault(&fault, image, node));
    }
    if json["insecure_registry"] == true {
        let place = image.key_place(&["insecure_registry".to_owned()]);
        let warning = format!(
            "node `{}`: `insecure_registry` has no effect: it is a setting of the engine",
            node.name.node
        );
        d.push(place.warning(Code::NoEffect, warning).hint(
            "add the registry to `insecure-registries` in the engine's /etc/docker/daemon.json",
        ));
    }
}

/// Locates a fault of an image. A default value is defined in a catalog that the author cannot
/// change: then the location is the node.
fn image_fault(fault: &Fault, image: &Value, node: &Node) -> Diagnostic {
    let written = image.as_map().is_some_and(|map| !map.entries.is_empty());
    let span = match (written || image.as_map().is_none(), fault.unknown) {
        (false, _) => node.name.span,
        (true, true) => image.key_place(&fault.path),
        (true, false) => image.place_of(&fault.path),
    };
    let what = match fault.message.strip_prefix("this ") {
        Some(rest) => format!("`{}` {rest}", fault.path.join(".")),
        None if fault.unknown => format!("`image` has no key `{}`", fault.path.join(".")),
        None => fault.message.clone(),
    };
    let diagnostic = span.error(Code::Image, format!("node `{}`: {what}", node.name.node));
    fault.hint.iter().fold(diagnostic, Diagnostic::hint)
}

fn check_name(node: &Node, create: &ModelOperation, d: &mut Diagnostics) {
    let Some(name) = given_name(node, create) else {
        return;
    };
    // Engines show names with a leading slash, and users copy them.
    let is_valid = |name: &str| {
        let base = name.strip_prefix('/').unwrap_or(name);
        first_name(base, &node.numbering).is_none_or(|name| is_valid_name(&name))
    };
    if !name.as_str().is_some_and(is_valid) {
        let fault = name.span.error(
            Code::ObjectName,
            format!("`{}` is not a valid container name", name.to_key()),
        );
        d.push(fault.hint(
            "use two or more of the characters [a-zA-Z0-9_.-], and start with a letter or digit",
        ));
    }
}

/// Checks the parameters of create and start together, as they form one request.
fn check_params(node: &Node, create: &ModelOperation, d: &mut Diagnostics) {
    let start = operation(node, Operation::Start);
    let inputs = [Some(create), start]
        .map(|operation| operation.and_then(|operation| operation.inputs.get("params")));
    let [create_params, start_params] =
        inputs.map(|params| params.map(Value::to_json).unwrap_or_default());
    let report = |fault: &Fault, d: &mut Diagnostics, warning: bool| {
        let params = if fault.path.first().is_some_and(|first| first == "start") {
            inputs[1]
        } else {
            inputs[0]
        };
        d.push(diagnostic(
            fault,
            params,
            node.name.span,
            &node.name.node,
            warning,
        ));
    };
    match params::creation(&create_params, &start_params) {
        Ok(creation) => {
            creation
                .warnings
                .iter()
                .for_each(|fault| report(fault, d, true));
            objects::check_waits(
                node,
                start.and_then(|start| start.inputs.get("wait_for")),
                &creation.body,
                d,
            );
            let request = Request {
                node,
                own: given_name(node, create).and_then(Value::as_str),
                body: &creation.body,
                given: inputs[0],
                path: ["create", "params"],
            };
            request.check(d);
        }
        Err(faults) => faults.iter().for_each(|fault| report(fault, d, false)),
    }
    for (wanted, convert) in [
        (
            Operation::Stop,
            stop as fn(&serde_json::Value) -> Vec<Fault>,
        ),
        (Operation::Remove, removal),
    ] {
        let params = operation(node, wanted).and_then(|operation| operation.inputs.get("params"));
        for fault in params
            .map(|params| convert(&params.to_json()))
            .unwrap_or_default()
        {
            d.push(diagnostic(
                &fault,
                params,
                node.name.span,
                &node.name.node,
                false,
            ));
        }
    }
}

fn stop(params: &serde_json::Value) -> Vec<Fault> {
    params::stop(params).err().unwrap_or_default()
}

fn removal(params: &serde_json::Value) -> Vec<Fault> {
    params::removal(params).err().unwrap_or_default()
}

/// Converts a fault to a diagnostic. Its path is `operation.params.…`, its location is in the value
/// of `params`.
fn diagnostic(
    fault: &Fault,
    params: Option<&Value>,
    node_span: Span,
    node: &str,
    warning: bool,
) -> Diagnostic {
    let path = fault.path.get(2..).unwrap_or_default();
    let by_name = fault.unknown || warning;
    let span = params.map_or(node_span, |params| {
        if by_name {
            params.key_place(path)
        } else {
            params.place_of(path)
        }
    });
    let code = match (warning, fault.unknown) {
        (true, _) => Code::NoEffect,
        (false, true) => Code::UnknownArgument,
        (false, false) => Code::ArgumentValue,
    };
    let place = fault
        .path
        .first()
        .map_or(String::new(), |operation| format!(", {operation}"));
    // "This" refers to the value at the caret, which JSON output does not show: name the value.
    let what = match fault.message.strip_prefix("this ") {
        Some(rest) => format!("`{}` {rest}", path.join(".")),
        None => fault.message.clone(),
    };
    let message = format!("node `{node}`{place}: {what}");
    let diagnostic = if warning {
        span.warning(code, message)
    } else {
        span.error(code, message)
    };
    fault.hint.iter().fold(diagnostic, Diagnostic::hint)
}

/// Checks the names of the instances of a node, which are those of their containers.
fn check_instance_names(node: &Node, d: &mut Diagnostics) {
    let mut operations = node.operations.values();
    let is_container = operations.any(|it| {
        let operation = Operation::of(&it.plugin, &it.operation);
        operation.and_then(Operation::creates) == Some(Kind::Container)
    });
    let names = node.numbering.names.iter().filter(|_| is_container);
    for name in names.filter(|name| !is_valid_name(name)) {
        let span = node.instance_counts.default.span;
        let fault = span.error(
            Code::ObjectName,
            format!("`{name}` is not a valid container name"),
        );
        d.push(fault.hint(
            "use two or more of the characters [a-zA-Z0-9_.-], and start with a letter or digit",
        ));
    }
}

/// Checks the inputs of an operation. The DSL permits other inputs, but they have no effect.
fn check_inputs(operation: &ModelOperation, d: &mut Diagnostics) {
    const KNOWN: [&str; 5] = [
        "params",
        "processes_to_wait_for",
        "retry_interval",
        "daemon_client",
        "wait_for",
    ];
    let Some(operation_kind) = Operation::of(&operation.plugin, &operation.operation) else {
        return;
    };
    for (name, value) in &operation.inputs {
        let json = value.to_json();
        match name.as_ref() {
            "daemon_client" => {
                for fault in engine::check_daemon_client(&json) {
                    d.push(input_fault(&fault, value, "daemon_client"));
                }
            }
            "retry_interval"
                if !function::contains_call(&json)
                    && json.as_f64().is_none_or(|seconds| seconds < 0.0) =>
            {
                d.push(value.span.error(
                    Code::ArgumentValue,
                    "`retry_interval` must be a number of seconds",
                ));
            }
            "processes_to_wait_for" if !function::contains_call(&json) => check_processes(value, d),
            "wait_for" if matches!(operation_kind, Operation::Start | Operation::StartInstance) => {
                objects::check_conditions(value, d);
            }
            name if !KNOWN.contains(&name) || name == "wait_for" => {
                let warning = value.span.warning(
                    Code::NoEffect,
                    format!("input `{name}` has no effect on this operation"),
                );
                d.push(match nearest(name, KNOWN).filter(|known| *known != name) {
                    Some(known) => warning.hint(format!("did you mean `{known}`?")),
                    None => warning,
                });
            }
            _ => {}
        }
    }
}

/// Returns the diagnostic for a fault inside an input or property.
fn input_fault(fault: &Fault, value: &Value, input: &str) -> Diagnostic {
    let span = if fault.unknown {
        value.key_place(&fault.path)
    } else {
        value.place_of(&fault.path)
    };
    let code = if fault.unknown {
        Code::UnknownArgument
    } else {
        Code::ArgumentValue
    };
    let at = [&[input.to_owned()], &fault.path[..]].concat().join(".");
    let diagnostic = match fault.message.strip_prefix("this ") {
        Some(rest) => span.error(code, format!("`{at}` {rest}")),
        None => span.error(code, format!("`{at}`: {}", fault.message)),
    };
    fault.hint.iter().fold(diagnostic, Diagnostic::hint)
}

fn check_processes(value: &Value, d: &mut Diagnostics) {
    let is_list_of_names = value.is_null()
        || value.as_str().is_some()
        || value
            .as_list()
            .is_some_and(|list| list.iter().all(|name| name.as_str().is_some()));
    if !is_list_of_names {
        d.push(value.span.error(
            Code::ArgumentValue,
            "`processes_to_wait_for` must be a list of process names",
        ));
    }
}

/// Checks that objects of the same kind on the same engine have different names.
fn check_names_differ(blueprint: &Blueprint, d: &mut Diagnostics) {
    let mut seen: HashMap<(Kind, String, &str), Span> = HashMap::new();
    for node in blueprint
        .nodes
        .values()
        .filter(|node| !is_adopted(node) || operation(node, Operation::Create).is_some())
    {
        let creation = node
            .operations
            .values()
            .find_map(|it| Some((Operation::of(&it.plugin, &it.operation)?.creates()?, it)));
        let Some((kind, create)) = creation else {
            continue;
        };
        let Some(name) = objects::run_name(node).or_else(|| given_name(node, create)) else {
            continue;
        };
        let Some(text) = name.as_str().map(|text| text.trim_start_matches('/')) else {
            continue;
        };
        if let Some(first) = seen.insert((kind, objects::engine_key(node), text), name.span) {
            let fault = name.span.error(
                Code::DuplicateName,
                format!("two nodes declare a {} named `{text}`", kind.as_str()),
            );
            d.push(fault.related(first, "also declared here"));
        }
    }
}

/// Finds tarballs that do not exist.
pub(crate) fn check_files(blueprint: &Blueprint, directory: &Path, d: &mut Diagnostics) {
    for node in blueprint
        .nodes
        .values()
        .filter(|node| operation(node, Operation::Create).is_some() && !is_adopted(node))
    {
        let Some(src) = node
            .properties
            .get("image")
            .and_then(|image| image.get("src"))
        else {
            continue;
        };
        let Some(text) = src
            .as_str()
            .filter(|text| !text.is_empty() && !image::is_url(text))
        else {
            continue;
        };
        let path = image::resolve_path(text, directory);
        if !path.exists() {
            let fault = src.span.error(
                Code::ImageFile,
                format!(
                    "node `{}`: file {} does not exist",
                    node.name.node,
                    path.display()
                ),
            );
            d.push(fault.hint(
                "set `src` to an absolute path, a path relative to the blueprint, or an http(s) URL",
            ));
        }
    }
}
