//! Translates an operation into a step.

use super::{
    action::{Action, PATH, PROCESS},
    language::Language,
    operation::is_script,
    placement::runs_here,
};
use crate::{
    model::{Instance, OperationDefinition, RelationshipEnd},
    plugins::{InstanceRef, Plugins, RelationshipRef},
    seam::Step,
};
use serde_json::Value as Json;
use std::path::Path;

/// The name of the container that a script runs in, as `process.container` refers to it.
enum Container<'a> {
    Own,
    Target,
    Node(&'a str),
}

/// Returns the steps of an operation; none if this plugin does not implement it, or if it would run
/// on another machine.
#[must_use]
pub(crate) fn lower(
    part: InstanceRef<'_>,
    name: &str,
    planned: &OperationDefinition,
) -> Option<Vec<Step>> {
    of_script(planned, || match container(planned) {
        None if runs_here(part, planned) => Some(vec![step(part, (name, planned), None)]),
        None => None,
        Some(Container::Own) => Some(vec![step(part, (name, planned), Some(&part.instance.id))]),
        Some(Container::Target) => Some(vec![Step::refused("TARGET exists only in relationships")]),
        Some(Container::Node(node)) => Some(vec![in_node(part, node, name, planned)]),
    })
}

/// Returns the steps of an operation of a relationship, as [`lower`] does.
#[must_use]
pub(crate) fn lower_relationship(
    ends: RelationshipRef<'_>,
    name: &str,
    planned: &OperationDefinition,
) -> Option<Vec<Step>> {
    of_script(planned, || relationship_steps(ends, name, planned))
}

fn relationship_steps(
    ends: RelationshipRef<'_>,
    name: &str,
    planned: &OperationDefinition,
) -> Option<Vec<Step>> {
    let own = match ends.end {
        RelationshipEnd::Source => Some(ends.source),
        RelationshipEnd::Target => ends.target,
    };
    let name = name.split_once('/').map_or(name, |(_, name)| name);
    let inside = match container(planned) {
        None => {
            let here = own.is_none_or(|own| runs_here(own, planned));
            return here.then(|| vec![step(ends.source, (name, planned), None)]);
        }
        Some(Container::Own) => own.map(|own| own.instance.id.as_str()),
        Some(Container::Target) => ends.target.map(|target| target.instance.id.as_str()),
        Some(Container::Node(node)) => {
            let mut both = [ends.target, Some(ends.source)].into_iter().flatten();
            match both.find(|end| end.instance.node == node) {
                Some(end) => Some(end.instance.id.as_str()),
                None => return Some(vec![in_node(ends.source, node, name, planned)]),
            }
        }
    };
    Some(vec![match inside {
        Some(inside) => step(ends.source, (name, planned), Some(inside)),
        None => Step::refused("the target of the relationship no longer exists"),
    }])
}

/// Returns `steps` if the operation is a script, or a step that refuses an invalid setting.
fn of_script(
    planned: &OperationDefinition,
    steps: impl FnOnce() -> Option<Vec<Step>>,
) -> Option<Vec<Step>> {
    if !is_script(&planned.plugin, &planned.operation) {
        return None;
    }
    match invalid_setting(planned) {
        Some(why) => Some(vec![Step::refused(why)]),
        None => steps(),
    }
}

/// Returns true if a script runs in a container.
#[must_use]
pub(crate) fn has_container(planned: &OperationDefinition) -> bool {
    container(planned).is_some()
}

fn container(planned: &OperationDefinition) -> Option<Container<'_>> {
    match planned.inputs.get(PROCESS)?.get("container")? {
        Json::String(name) if name == "SELF" => Some(Container::Own),
        Json::String(name) if name == "TARGET" => Some(Container::Target),
        Json::String(name) => Some(Container::Node(name)),
        _ => None,
    }
}

/// Returns the IDs of other instances in whose containers scripts of an instance run.
#[must_use]
pub(crate) fn runs_inside(part: InstanceRef<'_>) -> Vec<String> {
    let scripts = part.node.operations.values();
    let scripts = scripts.filter(|it| is_script(&it.plugin, &it.operation));
    let nodes = scripts.filter_map(|it| match container(it) {
        Some(Container::Node(node)) => chosen_instance(part, node),
        _ => None,
    });
    let others = nodes.filter(|instance| instance.id != part.instance.id);
    others.map(|instance| instance.id.clone()).collect()
}

/// Returns the instance of a node that a script runs in: the one that its own instance is related
/// to, else the first.
fn chosen_instance<'a>(part: InstanceRef<'a>, node: &str) -> Option<&'a Instance> {
    if part.instance.node == node {
        return Some(part.instance);
    }
    let instances = &part.deployment.instances;
    let of_node = || instances.iter().filter(|instance| instance.node == node);
    let related = part.instance.relationships.iter().find_map(|relationship| {
        let mut candidates = of_node();
        candidates.find(|instance| instance.id == relationship.target)
    });
    related.or_else(|| of_node().next())
}

/// Returns the step that runs in the container of a node.
fn in_node(part: InstanceRef<'_>, node: &str, name: &str, planned: &OperationDefinition) -> Step {
    match chosen_instance(part, node) {
        Some(instance) => step(part, (name, planned), Some(&instance.id)),
        None => Step::refused(format!(
            "`process.container` names `{node}`, and the blueprint has no such node with instances"
        )),
    }
}

/// Returns why a script cannot run in the object of an instance.
fn impossible_inside(
    part: InstanceRef<'_>,
    id: &str,
    planned: &OperationDefinition,
) -> Option<String> {
    let instance = part.deployment.instance(id);
    // An instance that the deployment no longer has was a container.
    let node = instance.and_then(|instance| part.deployment.node(instance));
    if node.is_some_and(|node| !Plugins::default().has_shell(node)) {
        let name = instance
            .map(|instance| instance.node.as_str())
            .unwrap_or_default();
        return Some(format!(
            "`process.container`: the node `{name}` is no container"
        ));
    }
    let path = planned.inputs.get(PATH).and_then(Json::as_str)?;
    let is_python = planned.inputs[PROCESS]["eval_python"].as_bool();
    (Language::of_file(path, is_python) == Language::Python).then(|| {
        "Python that dockctl evaluates cannot run in a container; set `process.eval_python` to false and begin the file with a `#!` line".to_owned()
    })
}

/// Returns why the settings of a script make no sense, as far as they are known by now.
fn invalid_setting(planned: &OperationDefinition) -> Option<String> {
    let process = planned.inputs.get(PROCESS)?;
    if !process.is_object() && !process.is_null() {
        return Some(format!("`process` is not a mapping: {process}"));
    }
    let container = &process["container"];
    let is_name = container.is_null() || container.is_string();
    if !is_name {
        return Some(format!(
            "`process.container` is not the name of a node: {container}"
        ));
    }
    match &process["on_unknown"] {
        Json::Null => None,
        Json::String(rule) if matches!(rule.as_str(), "rerun" | "fail") => None,
        other => Some(format!(
            "`process.on_unknown` is `rerun` or `fail`, not {other}"
        )),
    }
}

/// Returns the step that runs the script of an operation of an instance.
fn step(
    part: InstanceRef<'_>,
    (name, planned): (&str, &OperationDefinition),
    inside: Option<&str>,
) -> Step {
    if let Some(why) = inside.and_then(|id| impossible_inside(part, id, planned)) {
        return Step::refused(why);
    }
    let directory = part.deployment.blueprint.parent().unwrap_or(Path::new("."));
    let run = Action::Run {
        operation: name.to_owned(),
        plugin: planned.plugin.clone(),
        directory: directory.display().to_string(),
        inputs: planned.inputs.clone(),
    };
    run.into_step(inside.map(str::to_owned))
}
