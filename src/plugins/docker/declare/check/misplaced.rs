//! Advice about properties that are arguments of operations.

use super::operation;
use crate::{
    diagnostic::{Code, Diagnostics},
    model::Blueprint,
    plugins::docker::declare::{operation::Operation, params},
};

/// Adds the place of arguments that a blueprint declares as properties of containers.
pub(crate) fn advise(blueprint: &Blueprint, d: &mut Diagnostics) {
    for fault in d.iter_mut().filter(|it| it.code == Code::UndefinedProperty) {
        let quoted: Vec<&str> = fault.message.split('`').collect();
        let [_, node, _, property, _] = quoted[..] else {
            continue;
        };
        let node = blueprint.nodes.get(node);
        let has = |wanted| node.is_some_and(|it| operation(it, wanted).is_some());
        let advice = if has(Operation::Create) {
            advice(property)
        } else if has(Operation::Run) {
            advice_for_run(property)
        } else {
            None
        };
        if let Some(advice) = advice {
            fault.hints.insert(0, advice);
        }
    }
}

/// Returns the place of an argument of a container of the plugin 2.x.
fn advice_for_run(property: &str) -> Option<String> {
    let place = match property {
        "params" | "container_args" => "container_args: {…}".to_owned(),
        other if params::is_argument(other) => format!("container_args: {{{other}: …}}"),
        _ => return None,
    };
    Some(format!(
        "`{property}` belongs in the resource configuration: properties: {{resource_config: {{{place}}}}}"
    ))
}

fn advice(property: &str) -> Option<String> {
    let inputs = match property {
        "params" => "create: {inputs: {params: {…}}}".to_owned(),
        "processes_to_wait_for" | "retry_interval" | "wait_for" => {
            format!("start: {{inputs: {{{property}: …}}}}")
        }
        "daemon_client" => "create: {inputs: {daemon_client: {…}}}".to_owned(),
        other => params::inputs_with(other)?,
    };
    Some(format!(
        "`{property}` is an input of an operation: interfaces: {{cloudify.interfaces.lifecycle: {{{inputs}}}}}"
    ))
}
