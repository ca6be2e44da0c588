//! `dockctl graph`.

use super::{
    Outcome,
    args::{Global, GraphArgs, GraphFormat},
    error::{CliError, Kind},
    runtime, selection,
    settings::stateless,
    terminal::Terminal,
    unseen,
};
use crate::{
    graph::{Arrow, Condition, Graph, Vertex, dot, mermaid, svg},
    model::{Blueprint, Deployment, InstanceState, inputs::MissingInputs},
    operate::blueprint,
    plugins::Plugins,
    record::Record,
    seam::{Observed, Unseen},
};
use serde_json::json;
use std::{collections::HashMap, fs};

/// Draws a blueprint or, with `--live`, the instances of a deployment.
pub(crate) fn graph(global: &Global, args: &GraphArgs) -> Result<Outcome, CliError> {
    let (whole, unseen) = if args.live {
        draw_deployment(global, args)?
    } else {
        (draw_blueprint(global, args)?, Vec::new())
    };
    let graph = match &args.focus {
        None => whole,
        Some(name) => {
            let is_it = |vertex: &Vertex| {
                vertex.name == *name
                    || vertex
                        .name
                        .rsplit_once('_')
                        .is_some_and(|(node, _)| node == name)
                    || vertex.name.starts_with(&format!("{name} ×"))
            };
            let focused = whole.focused(is_it);
            if focused.vertices.is_empty() {
                return Err(CliError::usage(format!("there is no node `{name}`")));
            }
            focused
        }
    };
    let text = match args.format {
        GraphFormat::Dot => dot(&graph),
        GraphFormat::Mermaid => mermaid(&graph),
        GraphFormat::Svg => svg(&graph),
    };
    let fields = json!({ "nodes": graph.vertices.len(), "relationships": graph.arrows.len(), "graph": text });
    let Some(out) = &args.out else {
        return unseen::complete(Outcome::exact(fields, text), &unseen);
    };
    fs::write(out, text).map_err(|error| {
        CliError::new(
            Kind::Failed,
            format!("cannot write {}: {error}", out.display()),
        )
    })?;
    let text = format!("graph written to {}\n", out.display());
    unseen::complete(Outcome::new(fields, text), &unseen)
}

fn draw_blueprint(global: &Global, args: &GraphArgs) -> Result<Graph, CliError> {
    let origin = selection::origin(args.blueprint.blueprint.as_deref())?;
    let loaded = blueprint::load(
        &origin,
        &args.blueprint.inputs.inputs,
        None,
        MissingInputs::Allow,
        &stateless(global),
    )?;
    if !loaded.is_valid() {
        return Err(loaded.to_error().into());
    }
    Ok(blueprint_graph(&loaded.blueprint))
}

fn blueprint_graph(blueprint: &Blueprint) -> Graph {
    let places: HashMap<&str, usize> = blueprint
        .nodes
        .keys()
        .enumerate()
        .map(|(at, name)| (name.as_str(), at))
        .collect();
    let vertices = blueprint.nodes.iter().map(|(name, node)| {
        let times = node
            .instance_counts
            .initial()
            .filter(|number| *number != 1)
            .map(|number| format!(" ×{number}"))
            .unwrap_or_default();
        let below = node
            .hierarchy
            .last()
            .map(|name| short_type_name(name))
            .unwrap_or_default();
        Vertex {
            name: format!("{name}{times}"),
            caption: below,
            condition: Condition::Unknown,
        }
    });
    let arrows = blueprint
        .nodes
        .iter()
        .enumerate()
        .flat_map(|(from, (_, node))| {
            let places = &places;
            node.relationships.iter().filter_map(move |it| {
                Some(Arrow {
                    from,
                    to: *places.get(it.target.node.as_str())?,
                    kind: it.kind?,
                })
            })
        });
    Graph {
        vertices: vertices.collect(),
        arrows: arrows.collect(),
    }
}

/// Returns the last two parts of the name of a type.
fn short_type_name(name: &str) -> String {
    let parts: Vec<&str> = name.split('.').collect();
    parts[parts.len().saturating_sub(2)..].join(".")
}

fn draw_deployment(global: &Global, args: &GraphArgs) -> Result<(Graph, Vec<Unseen>), CliError> {
    let terminal = Terminal::new(global);
    let workspace = terminal.workspace()?;
    let given = args.blueprint.deployment.as_deref();
    let named = args
        .blueprint
        .blueprint
        .as_deref()
        .map(|path| selection::origin(Some(path)))
        .transpose()?;
    let name = match (given, named) {
        (None, Some(path)) => blueprint::deployment_name(given, &path, &workspace.settings)?,
        _ => selection::name_to_read(&workspace, given)?,
    };
    let record = workspace.record(&name)?;
    let Some(deployment) = &record.deployment else {
        return Err(CliError::usage(format!("there is no deployment `{name}`")));
    };
    let observed = runtime()?.block_on(async {
        workspace
            .observe(&workspace.connect()?.drivers(), deployment, &record)
            .await
    })?;
    let graph = deployment_graph(deployment, &record, &observed);
    Ok((graph, observed.unseen))
}

fn deployment_graph(deployment: &Deployment, record: &Record, observed: &Observed) -> Graph {
    let places: HashMap<&str, usize> = deployment
        .instances
        .iter()
        .enumerate()
        .map(|(at, it)| (it.id.as_str(), at))
        .collect();
    let vertices = deployment.instances.iter().map(|instance| {
        let node = deployment.node(instance);
        let state = record.state(&instance.id);
        let node = node.map(|node| record.object_definition(instance, node));
        let object = node
            .and_then(|node| Plugins::default().object_of(node, instance, observed))
            .filter(|_| !state.is_gone());
        let has_object = node.is_some_and(|node| Plugins::default().is_observed(node));
        let is_healthy = match (node, object) {
            (Some(node), Some(object)) => {
                Plugins::default().object_is_in_desired_state(node, object)
                    && object.health.as_deref() != Some("unhealthy")
                    && object.drift.is_empty()
            }
            _ => !has_object,
        };
        let is_unseen = observed.is_unseen(&instance.id);
        let condition = match state {
            _ if is_unseen => Condition::Unknown,
            InstanceState::Started if is_healthy => Condition::Healthy,
            InstanceState::Started => Condition::Unhealthy,
            InstanceState::Stopped | InstanceState::Deleted | InstanceState::Uninitialized => {
                Condition::Stopped
            }
            _ => Condition::Pending,
        };
        let below = match (object, has_object && state == InstanceState::Started) {
            _ if is_unseen => "unseen".to_owned(),
            (Some(object), _) => object
                .health
                .clone()
                .unwrap_or_else(|| object.state.as_str().to_owned()),
            (None, true) => "missing".to_owned(),
            (None, false) => state.to_string(),
        };
        Vertex {
            name: instance.id.clone(),
            caption: below,
            condition,
        }
    });
    let arrows = deployment
        .instances
        .iter()
        .enumerate()
        .flat_map(|(from, instance)| {
            let places = &places;
            instance
                .relationships
                .iter()
                .filter_map(move |relationship| {
                    Some(Arrow {
                        from,
                        to: *places.get(relationship.target.as_str())?,
                        kind: relationship.kind,
                    })
                })
        });
    Graph {
        vertices: vertices.collect(),
        arrows: arrows.collect(),
    }
}
