//! Translates a lifecycle operation into actions.

use crate::{
    model::{Definition, Deployment, Instance, OperationDefinition, function::contains_call},
    plugins::{
        InstanceRef,
        docker::declare::{
            action::{Action, Attachment, Creation, ObjectCreation},
            declared::{
                LIFECYCLE, adopted_name, adopted_reference, client_engine, conditions, creation,
                declaration, engine, image, input, object_name, processes, property, stop_params,
            },
            infrakit::{self, Init},
            label::record,
            operation::Operation,
        },
    },
    seam::{Labeling, Purpose, Step},
};
use serde_json::{Value as Json, json};
use std::path::Path;

/// Returns the steps of an operation; none if this plugin does not implement it.
pub(crate) fn lower(
    part: InstanceRef<'_>,
    name: &str,
    operation: &OperationDefinition,
    purpose: &Purpose<'_>,
    labeling: &Labeling,
) -> Option<Vec<Step>> {
    let InstanceRef {
        deployment,
        instance,
        node,
    } = part;
    let lowering = Lowering {
        deployment,
        instance,
        node,
        planned: operation,
        labeling,
    };
    let operation = Operation::of(&operation.plugin, &operation.operation)?;
    let actions = if node.is_adopted() {
        lowering.adopted_actions(operation)
    } else {
        lowering.owned_actions(operation, name.starts_with(LIFECYCLE))?
    };
    let engine = client_engine(lowering.planned).unwrap_or_else(|| engine(node));
    let actions = actions
        .into_iter()
        .map(|action| adapt_to_purpose(action, purpose));
    Some(
        actions
            .map(|action| action.into_step(engine.clone()))
            .collect(),
    )
}

/// Adapts an action to the purpose of its step.
fn adapt_to_purpose(action: Action, purpose: &Purpose<'_>) -> Action {
    match (purpose, action) {
        (Purpose::Successor, Action::Create(creation)) => Action::CreateSuccessor(creation),
        // An adopted container is stopped and not restored to its original state: it is replaced,
        // or the deployment is halted.
        (Purpose::Halt, Action::Restore { params }) => Action::Stop { params },
        (
            Purpose::RemoveAll,
            Action::RemoveVolume {
                made_by: executions,
                ..
            },
        ) => Action::RemoveVolume {
            keep: false.into(),
            made_by: executions,
        },
        (Purpose::RollBack { executions }, Action::RemoveVolume { keep, .. }) => {
            Action::RemoveVolume {
                keep,
                made_by: Some(executions.to_vec()),
            }
        }
        (_, action) => action,
    }
}

struct Lowering<'a> {
    deployment: &'a Deployment,
    instance: &'a Instance,
    node: &'a Definition,
    planned: &'a OperationDefinition,
    labeling: &'a Labeling,
}

impl Lowering<'_> {
    fn owned_actions(&self, operation: Operation, on_lifecycle: bool) -> Option<Vec<Action>> {
        let params = || {
            self.planned
                .inputs
                .get("params")
                .cloned()
                .unwrap_or_default()
        };
        Some(match operation {
            Operation::Create | Operation::Run if !on_lifecycle => return None,
            Operation::Create => {
                [vec![self.image()], self.creation_actions(Action::Create)].concat()
            }
            Operation::Start => [
                self.recreation_actions(),
                vec![Action::Start { adopted: false }],
                self.waits(),
            ]
            .concat(),
            Operation::Stop => vec![Action::Stop {
                params: stop_params(self.node, params()),
            }],
            Operation::Remove => vec![self.removal(params())],
            Operation::Run => self.run_actions(),
            Operation::StopRun => self.stop_run_actions(),
            Operation::RemoveRun => vec![self.removal(json!({ "v": false }))],
            Operation::CreateInstance => self.instance_creation(),
            Operation::StartInstance => self.instance_start(),
            Operation::StopInstance => vec![Action::Stop { params: Json::Null }],
            Operation::RemoveInstance => vec![self.removal(json!({ "v": true, "force": true }))],
            Operation::Build => vec![Action::Build {
                image: property(self.node, "resource_config").clone(),
                folder: self.directory(),
            }],
            Operation::RemoveImage => vec![Action::RemoveImage],
            Operation::CreateNetwork => vec![Action::CreateNetwork(self.object_creation())],
            Operation::RemoveNetwork => vec![Action::RemoveNetwork],
            Operation::CreateVolume => vec![Action::CreateVolume(self.object_creation())],
            Operation::RemoveVolume => vec![Action::RemoveVolume {
                keep: property(self.node, "keep").clone(),
                made_by: None,
            }],
        })
    }

    /// Returns the actions for an adopted object: it is found, started if it is a container, and
    /// restored to its original state. It is never created or changed.
    fn adopted_actions(&self, operation: Operation) -> Vec<Action> {
        let params = self
            .planned
            .inputs
            .get("params")
            .cloned()
            .unwrap_or_default();
        match operation {
            Operation::Start => [vec![Action::Start { adopted: true }], self.waits()].concat(),
            Operation::Stop | Operation::StopRun => vec![Action::Restore { params }],
            _ => match operation.creates() {
                Some(kind) => vec![Action::Adopt {
                    name: adopted_reference(self.node),
                    kind,
                }],
                None => vec![Action::Release],
            },
        }
    }

    fn directory(&self) -> String {
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
            folder: self.directory(),
            fallback: self.instance.id.clone(),
        }
    }

    fn removal(&self, params: Json) -> Action {
        Action::Remove {
            params,
            labeling: self.labeling.clone(),
        }
    }

    fn creation(&self) -> Creation {
        Creation {
            declaration: declaration(self.deployment, self.instance, self.node),
            record: record(self.deployment, self.instance, self.node),
            labeling: self.labeling.clone(),
            ..creation(self.deployment, self.instance, self.node)
        }
    }

    /// Returns the actions that create the container of an instance of InfraKit. A server creates
    /// the container first, so that its clients see it at once: the creation itself pulls the
    /// image.
    fn instance_creation(&self) -> Vec<Action> {
        let pulls_image = !self.labeling.is_deployment();
        let image = (!pulls_image).then(|| self.image());
        let created = [Action::Create(Creation {
            pulls_image,
            ..self.creation()
        })];
        let joined = infrakit::networks(self.node).into_iter();
        let joined = joined.map(|network| Action::JoinNetwork {
            network,
            labeling: self.labeling.clone(),
        });
        image.into_iter().chain(created).chain(joined).collect()
    }

    fn instance_start(&self) -> Vec<Action> {
        let init = Init::of(self.node).map(|init| Action::Init {
            init,
            creation: Box::new(self.creation()),
            networks: infrakit::networks(self.node),
        });
        let started = [Action::Start { adopted: false }].into_iter();
        started.chain(init).chain(self.waits()).collect()
    }

    /// Returns the actions that create the container. Older engines accept only one network at
    /// creation: further ones are connected then.
    fn creation_actions(&self, make: fn(Creation) -> Action) -> Vec<Action> {
        let creation = self.creation();
        let connect = |attachment: Attachment| Action::Connect {
            network: attachment.network,
            endpoint: attachment.endpoint,
        };
        let later = creation.later_networks().into_iter().map(connect);
        let later: Vec<Action> = later.collect();
        [vec![make(creation)], later].concat()
    }

    fn recreation_actions(&self) -> Vec<Action> {
        if contains_call(input(self.node, "start", "params")) {
            self.creation_actions(Action::Recreate)
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
    fn run_actions(&self) -> Vec<Action> {
        let config = property(self.node, "resource_config");
        if config["image_tag"].is_null() || config["image_tag"] == "" {
            return Vec::new();
        }
        let follow = (config["container_args"]["detach"] != true).then_some(Action::Follow);
        let made = [self.image()]
            .into_iter()
            .chain(self.creation_actions(Action::Create));
        let started = made.chain([Action::Start { adopted: false }]);
        started.chain(follow).collect()
    }

    fn stop_run_actions(&self) -> Vec<Action> {
        let command = self
            .planned
            .inputs
            .get("stop_command")
            .cloned()
            .unwrap_or_default();
        let command_action =
            (!command.is_null() && command != "").then_some(Action::Execute { command });
        command_action
            .into_iter()
            .chain([Action::Stop { params: Json::Null }])
            .collect()
    }

    fn object_creation(&self) -> ObjectCreation {
        ObjectCreation {
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
