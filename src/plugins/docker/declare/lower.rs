//! Translates a lifecycle operation into actions.

use crate::{
    model::{Definition, Deployment, Instance, Planned, function::holds_call},
    plugins::{
        Part,
        docker::declare::{
            action::{Action, Attachment, Creation, Making},
            declared::{
                LIFECYCLE, adopted, adopted_name, client_of, conditions, creation, declaration,
                engine, image, input, object_name, processes, property, stop_params,
            },
            label::record,
            operation::Operation,
        },
    },
    seam::{Purpose, Step},
};
use serde_json::Value as Json;
use std::path::Path;

/// Returns the steps of an operation; none if this plugin does not implement it.
pub(crate) fn lower(
    part: Part<'_>,
    name: &str,
    operation: &Planned,
    purpose: &Purpose<'_>,
) -> Option<Vec<Step>> {
    let Part {
        deployment,
        instance,
        node,
    } = part;
    let lowering = Lowering {
        deployment,
        instance,
        node,
        planned: operation,
    };
    let operation = Operation::of(&operation.plugin, &operation.operation)?;
    let actions = if node.is_adopted() {
        lowering.adopted(operation)
    } else {
        lowering.own(operation, name.starts_with(LIFECYCLE))?
    };
    let engine = client_of(lowering.planned).unwrap_or_else(|| engine(node));
    let actions = actions.into_iter().map(|action| serving(action, purpose));
    Some(actions.map(|action| action.at(engine.clone())).collect())
}

/// Adapts an action to the purpose of its step.
fn serving(action: Action, purpose: &Purpose<'_>) -> Action {
    match (purpose, action) {
        (Purpose::Successor, Action::Create(creation)) => Action::CreateSuccessor(creation),
        // An adopted container is stopped and not restored to its original state: it is replaced,
        // or the deployment is halted.
        (Purpose::Halt, Action::Restore { params }) => Action::Stop { params },
        (Purpose::GiveUp, Action::RemoveVolume { made_by, .. }) => Action::RemoveVolume {
            keep: false.into(),
            made_by,
        },
        (Purpose::TakeBack { made_by }, Action::RemoveVolume { keep, .. }) => {
            Action::RemoveVolume {
                keep,
                made_by: Some(made_by.to_vec()),
            }
        }
        (_, action) => action,
    }
}

struct Lowering<'a> {
    deployment: &'a Deployment,
    instance: &'a Instance,
    node: &'a Definition,
    planned: &'a Planned,
}

impl Lowering<'_> {
    fn own(&self, operation: Operation, on_lifecycle: bool) -> Option<Vec<Action>> {
        let params = || {
            self.planned
                .inputs
                .get("params")
                .cloned()
                .unwrap_or_default()
        };
        Some(match operation {
            Operation::Create | Operation::Run if !on_lifecycle => return None,
            Operation::Create => [vec![self.image()], self.made(Action::Create)].concat(),
            Operation::Start => [
                self.recreation(),
                vec![Action::Start { adopted: false }],
                self.waits(),
            ]
            .concat(),
            Operation::Stop => vec![Action::Stop {
                params: stop_params(self.node, params()),
            }],
            Operation::Remove => vec![Action::Remove { params: params() }],
            Operation::Run => self.run(),
            Operation::StopRun => self.stop_run(),
            Operation::RemoveRun => vec![Action::Remove {
                params: serde_json::json!({ "v": false }),
            }],
            Operation::Build => vec![Action::Build {
                image: property(self.node, "resource_config").clone(),
                folder: self.folder(),
            }],
            Operation::RemoveImage => vec![Action::RemoveImage],
            Operation::CreateNetwork => vec![Action::CreateNetwork(self.making())],
            Operation::RemoveNetwork => vec![Action::RemoveNetwork],
            Operation::CreateVolume => vec![Action::CreateVolume(self.making())],
            Operation::RemoveVolume => vec![Action::RemoveVolume {
                keep: property(self.node, "keep").clone(),
                made_by: None,
            }],
        })
    }

    /// Returns the actions for an adopted object: it is found, started if it is a container, and
    /// restored to its original state. It is never created or changed.
    fn adopted(&self, operation: Operation) -> Vec<Action> {
        let params = self
            .planned
            .inputs
            .get("params")
            .cloned()
            .unwrap_or_default();
        match operation {
            Operation::Start => [vec![Action::Start { adopted: true }], self.waits()].concat(),
            Operation::Stop | Operation::StopRun => vec![Action::Restore { params }],
            _ => match operation.makes() {
                Some(kind) => vec![Action::Adopt {
                    name: adopted(self.node),
                    kind,
                }],
                None => vec![Action::Release],
            },
        }
    }

    fn folder(&self) -> String {
        self.deployment
            .blueprint
            .parent()
            .unwrap_or(Path::new("."))
            .display()
            .to_string()
    }

    fn image(&self) -> Action {
        Action::Image {
            image: image(self.node),
            folder: self.folder(),
            fallback: self.instance.id.clone(),
        }
    }

    /// Returns the actions that create the container. The request contains only the first network,
    /// because older engines accept no more.
    fn made(&self, make: fn(Creation) -> Action) -> Vec<Action> {
        let creation = Creation {
            declaration: declaration(self.deployment, self.instance, self.node),
            record: record(self.deployment, self.instance, self.node),
            ..creation(self.deployment, self.instance, self.node)
        };
        let connect = |attachment: Attachment| Action::Connect {
            network: attachment.network,
            endpoint: attachment.endpoint,
        };
        let later = creation.later_networks().into_iter().map(connect);
        let later: Vec<Action> = later.collect();
        [vec![make(creation)], later].concat()
    }

    fn recreation(&self) -> Vec<Action> {
        if holds_call(input(self.node, "start", "params")) {
            self.made(Action::Recreate)
        } else {
            Vec::new()
        }
    }

    fn waits(&self) -> Vec<Action> {
        let interval = || {
            self.planned
                .inputs
                .get("retry_interval")
                .cloned()
                .unwrap_or_default()
        };
        let processes = processes(self.node).map(|processes| Action::Wait {
            processes,
            interval: interval(),
        });
        processes
            .into_iter()
            .chain(
                conditions(self.node)
                    .into_iter()
                    .map(|condition| Action::WaitFor { condition }),
            )
            .collect()
    }

    /// Returns the actions of `create_container` of the plugin 2.x; none for a node without an
    /// image.
    fn run(&self) -> Vec<Action> {
        let config = property(self.node, "resource_config");
        if config["image_tag"].is_null() || config["image_tag"] == "" {
            return Vec::new();
        }
        let follow = (config["container_args"]["detach"] != true).then_some(Action::Follow);
        let made = [self.image()].into_iter().chain(self.made(Action::Create));
        let started = made.chain([Action::Start { adopted: false }]);
        started.chain(follow).collect()
    }

    fn stop_run(&self) -> Vec<Action> {
        let command = self
            .planned
            .inputs
            .get("stop_command")
            .cloned()
            .unwrap_or_default();
        let asked = (!command.is_null() && command != "").then_some(Action::Execute { command });
        asked
            .into_iter()
            .chain([Action::Stop { params: Json::Null }])
            .collect()
    }

    fn making(&self) -> Making {
        Making {
            name: adopted_name(self.node).map_or_else(
                || object_name(&self.deployment.name, self.instance, self.node),
                Json::from,
            ),
            properties: Json::Object(self.node.properties.clone()),
            declaration: declaration(self.deployment, self.instance, self.node),
            record: record(self.deployment, self.instance, self.node),
        }
    }
}
