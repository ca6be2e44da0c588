//! `dockctl inspect`.

use super::{
    Outcome, args::Global, color_stderr, error::CliError, print_error, selection,
    settings::stateless,
};
use crate::{
    diagnostic,
    model::{
        self, Instance,
        inputs::MissingInputs,
        normal::{self, PlanPhase},
    },
    operate::blueprint::{self, LoadedBlueprint},
    secrets::{PLACEHOLDER, Secrets},
};
use serde_json::{Value as Json, json};
use std::path::Path;

/// Shows the resolved blueprint; with `deploy`, as a deployment with inputs and instances.
pub(crate) fn inspect(
    global: &Global,
    path: Option<&Path>,
    deploy: bool,
    inputs: &[String],
) -> Result<Outcome, CliError> {
    let origin = selection::origin(path)?;
    if !deploy && !inputs.is_empty() {
        print_error("warning: inputs have no effect without --deploy\n\n");
    }
    let settings = stateless(global);
    let mut loaded = blueprint::resolve(&origin, &settings);
    let mut instances = Vec::new();
    if deploy && loaded.is_valid() {
        let given = (inputs, &settings.inputs);
        blueprint::apply_inputs(&mut loaded, given, None, MissingInputs::Reject)?;
        let secrets = Secrets::new(settings.secrets.clone());
        blueprint::check_secrets(&loaded.blueprint, &secrets, &mut loaded.diagnostics);
        let mut random = global
            .seed
            .map_or_else(fastrand::Rng::new, fastrand::Rng::with_seed);
        instances = model::expand(&loaded.blueprint, &[], &mut random, &mut loaded.diagnostics);
    }
    loaded.diagnostics.finish(global.strict);
    if !loaded.is_valid() {
        return Err(loaded.to_error().into());
    }
    print_error(&diagnostic::render::render(
        &loaded.diagnostics,
        &loaded.sources,
        color_stderr(global),
    ));
    Ok(outcome(&loaded, deploy, &instances))
}

/// Redacts values in the normal form: of inputs that `metadata.dockctl.sensitive` lists, given or
/// by default, and of functions that use them.
fn redacted(loaded: &LoadedBlueprint, mut plan: Json) -> Json {
    let secrets = Secrets::default();
    loaded
        .sensitive
        .inputs
        .values()
        .for_each(|value| secrets.register_value(value));
    for name in &loaded.blueprint.dockctl_metadata.sensitive {
        let default = loaded
            .blueprint
            .inputs
            .get(name)
            .and_then(|input| input.body.default.as_ref());
        if let Some(value) = default {
            secrets.register_value(&value.to_json());
        }
        if let Some(declared) = plan["inputs"]
            .get_mut(name)
            .and_then(|input| input.get_mut("default"))
        {
            *declared = PLACEHOLDER.into();
        }
    }
    secrets.redact_json(loaded.sensitive.redacted(plan))
}

fn outcome(loaded: &LoadedBlueprint, deploy: bool, instances: &[Instance]) -> Outcome {
    let stage = if deploy {
        PlanPhase::Deployed {
            inputs: &loaded.inputs,
        }
    } else {
        PlanPhase::Parsed
    };
    let plan = redacted(loaded, normal::plan(&loaded.blueprint, stage));
    let mut fields = json!({ "valid": true, "plan": plan });
    if deploy {
        fields["instances"] = normal::instances(instances);
        fields["shape"] = normal::instance_summary(instances);
        fields["inter_deployment_functions"] =
            normal::inter_deployment_functions(&loaded.blueprint).into();
    }
    let diagnostics: Vec<Json> = loaded
        .diagnostics
        .iter()
        .map(|one| diagnostic::json::diagnostic(one, &loaded.sources))
        .collect();
    fields["diagnostics"] = diagnostics.into();
    diagnostic::json::omitted(&loaded.diagnostics, &mut fields);
    let text = tree(&fields);
    Outcome::new(fields, super::charset().show(&text))
}

/// Returns the most important sections as a tree, without empty operations and values.
fn tree(fields: &Json) -> String {
    let plan = &fields["plan"];
    let mut text = format!("{}\n", leaf(&plan["version"]));
    for section in [
        "description",
        "inputs",
        "nodes",
        "groups",
        "scaling_groups",
        "workflows",
        "outputs",
        "capabilities",
        "labels",
    ] {
        match &plan[section] {
            Json::Null => {}
            Json::Object(entries) if section == "nodes" => {
                text += "nodes\n";
                for (name, node) in entries {
                    text += &format!("  {}: {}\n", key(name), leaf(&node["type"]));
                    branch(&mut text, 4, &brief(node));
                }
            }
            Json::Object(entries) if section == "workflows" => {
                text += "workflows\n";
                for (name, workflow) in entries {
                    text += &format!("  {}: {}\n", key(name), key(&implementation(workflow)));
                }
            }
            value => {
                text += &format!("{section}{}", if value.is_object() { "\n" } else { ": " });
                match value {
                    Json::Object(_) => branch(&mut text, 2, value),
                    other => text += &format!("{}\n", leaf(other)),
                }
            }
        }
    }
    if let Some(instances) = fields["instances"].as_array() {
        text += "instances\n";
        for instance in instances {
            let targets = instance["relationships"]
                .as_array()
                .into_iter()
                .flatten()
                .map(|relationship| leaf(&relationship["target_id"]));
            let targets: Vec<String> = targets.collect();
            let arrow = if targets.is_empty() {
                String::new()
            } else {
                format!(" → {}", targets.join(", "))
            };
            text += &format!("  {}{arrow}\n", leaf(&instance["id"]));
        }
    }
    text
}

/// Returns the plugin and the function that implement an operation or a workflow.
fn implementation(operation: &Json) -> String {
    let part = |key: &str| operation[key].as_str().unwrap_or_default();
    format!("{}.{}", part("plugin"), part("operation"))
}

/// Returns the parts of a node to show.
fn brief(node: &Json) -> Json {
    let mut brief = json!({});
    let is_shown = |name: &str, operation: &Json| {
        name.contains('.')
            && operation["plugin"]
                .as_str()
                .is_some_and(|plugin| !plugin.is_empty())
    };
    if let Some(hierarchy) = node["type_hierarchy"]
        .as_array()
        .filter(|hierarchy| hierarchy.len() > 1)
    {
        let parents: Vec<&str> = hierarchy[..hierarchy.len() - 1]
            .iter()
            .rev()
            .filter_map(Json::as_str)
            .collect();
        brief["derived from"] = parents.join(" ← ").into();
    }
    if node["scalable"]["default_instances"] != 1 {
        brief["instances"] = node["scalable"]["default_instances"].clone();
    }
    if let Some(host) = node["host_id"].as_str() {
        brief["host"] = host.into();
    }
    brief["properties"] = node["properties"].clone();
    let operations = node["operations"]
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(name, operation)| is_shown(name, operation));
    let operation = |(name, operation): (&String, &Json)| {
        (
            name.clone(),
            json!({ "runs": implementation(operation), "inputs": operation["inputs"] }),
        )
    };
    brief["operations"] = Json::Object(operations.map(operation).collect());
    let ties = node["relationships"].as_array().into_iter().flatten();
    let relationship = |relationship: &Json| {
        format!(
            "{} → {}",
            relationship["type"].as_str().unwrap_or_default(),
            relationship["target"].as_str().unwrap_or_default()
        )
    };
    brief["relationships"] = ties.map(relationship).collect();
    brief
}

/// Returns true for null, an empty string or list, and a mapping with empty values only.
fn is_empty(value: &Json) -> bool {
    match value {
        Json::Null => true,
        Json::String(text) => text.is_empty(),
        Json::Array(items) => items.is_empty(),
        Json::Object(object) => object.values().all(is_empty),
        _ => false,
    }
}

fn branch(text: &mut String, indent: usize, value: &Json) {
    for (name, value) in value
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(_, value)| !is_empty(value))
    {
        let name = key(name);
        match value {
            Json::Object(_) => {
                *text += &format!("{:indent$}{name}\n", "");
                branch(text, indent + 2, value);
            }
            other => *text += &format!("{:indent$}{name}: {}\n", "", leaf(other)),
        }
    }
}

/// Returns a name as a key. One that could be read as something else is quoted, like a value.
fn key(name: &str) -> String {
    leaf(&name.into())
}

fn leaf(value: &Json) -> String {
    match value {
        Json::String(text) if is_plain(text) => text.clone(),
        Json::Array(items) => format!(
            "[{}]",
            items.iter().map(item).collect::<Vec<_>>().join(", ")
        ),
        other => other.to_string(),
    }
}

/// Returns an item of a list. Text with a comma or bracket is quoted, because lists use them.
fn item(value: &Json) -> String {
    match value {
        Json::String(text) if text.contains([',', '[', ']']) => value.to_string(),
        other => leaf(other),
    }
}

/// Returns true if text needs no quotes: it does not look like a number or list, and has one line.
fn is_plain(text: &str) -> bool {
    let other = matches!(text, "" | "null" | "true" | "false" | "~") || text.parse::<f64>().is_ok();
    !other
        && !text.starts_with(['[', '{', '"', ' '])
        && !text.ends_with(' ')
        && !text.contains(char::is_control)
}
