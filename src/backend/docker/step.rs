//! What a container engine is asked: one engine operation, and the engine it is for.

use super::{
    build, images,
    params::{self, Fault, Gate},
    wait_for,
};
use crate::{
    backend::{EngineRef, Need, ObjectKind, Touch},
    model::function::{holds_call, is_call},
};
use serde::{Deserialize, Serialize};
use serde_json::{Map as JsonMap, Value as Json, json};
use std::{fmt, path::Path};

/// One engine operation. Fields of type [`Json`] may hold functions until the step is bound.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Step {
    /// Where.
    #[serde(default)]
    pub engine: EngineRef,
    /// What.
    #[serde(flatten)]
    pub action: Action,
}

/// What is done.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum Action {
    /// Sees to it that the image is there, and remembers its id.
    Image {
        /// The node's `image`.
        image: Json,
        /// Folder of the blueprint, for a tarball beside it.
        folder: String,
        /// Repository of an imported image that is given none.
        fallback: String,
    },
    /// Creates the container.
    Create(Creation),
    /// Creates the container anew if what start adds differs from what create knew. It never ran.
    Recreate(Creation),
    /// Creates the container that is to take the place of the instance's, under another name for
    /// the time being.
    CreateSuccessor(Creation),
    /// Lets the old container step aside, and gives its name to the new one.
    Swap {
        /// The name.
        name: Json,
        /// The old one was there before the deployment, and stays.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        keeps: bool,
    },
    /// Removes the container whose place another took, and one that was made for a place that is
    /// not needed.
    Discard {
        /// Parameters of `stop`, if it runs still.
        stop: Json,
        /// The old one was there before the deployment, and stays.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        keeps: bool,
    },
    /// Removes the new container, and gives the old one its name again.
    StepBack {
        /// The name; null if it is the one that the old one has without what the replacement added
        /// to it.
        name: Json,
    },
    /// Starts the old container again.
    PutBack,
    /// Changes limits and the restart policy of the container as it stands.
    Adjust {
        /// What is changed, as the engine takes it.
        body: Json,
        /// What the container is declared to be from then on.
        declaration: String,
    },
    /// Gives the container its name again.
    Rename {
        /// The name.
        name: Json,
    },
    /// Starts the container if it does not run.
    Start {
        /// The container was there before the deployment.
        adopted: bool,
    },
    /// Waits until the processes run.
    Wait {
        /// Names, each a part of a command line.
        processes: Json,
        /// Seconds between two looks.
        interval: Json,
    },
    /// Stops the container.
    Stop {
        /// Parameters of `stop`.
        params: Json,
    },
    /// Removes the container.
    Remove {
        /// Parameters of `remove_container`.
        params: Json,
    },
    /// Waits for one condition.
    WaitFor {
        /// `healthy`, or a mapping with `exited`, `port` or `log`.
        condition: Json,
    },
    /// Waits until the container ends, and keeps what it wrote.
    Follow,
    /// Sees that the container does not end as soon as it is started.
    Endure,
    /// Runs a command in the container, before it is stopped.
    Execute {
        /// The command line.
        command: Json,
    },
    /// Attaches the container to a network.
    Connect {
        /// Its name.
        network: Json,
        /// Aliases, addresses and the like.
        endpoint: Json,
    },
    /// Builds an image, or sees to it that one is there.
    Build {
        /// The node's `resource_config`.
        image: Json,
        /// Folder of the blueprint.
        folder: String,
    },
    /// Removes an image that was built or pulled for the instance.
    RemoveImage,
    /// Creates a network.
    CreateNetwork(Making),
    /// Removes the network.
    RemoveNetwork,
    /// Creates a volume.
    CreateVolume(Making),
    /// Removes the volume, unless it is to be kept.
    RemoveVolume {
        /// The node's `keep`.
        keep: Json,
        /// Only if one of these executions made it; then it is not kept.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        made_by: Option<Vec<String>>,
    },
    /// Finds an object that exists already, and remembers how it was found.
    Adopt {
        /// What it is.
        #[serde(default)]
        kind: ObjectKind,
        /// Its exact name, or its id.
        name: Json,
    },
    /// Puts an adopted container back into the state it was found in.
    Restore {
        /// Parameters of `stop`.
        params: Json,
    },
    /// Forgets an adopted container.
    Release,
}

/// What a container is created from.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Creation {
    /// Its name.
    pub name: Json,
    /// Parameters of `create_container`.
    pub create: Json,
    /// Parameters of `start`, which engines want at creation.
    pub start: Json,
    /// The container is waited for to be healthy: it must have a health check.
    #[serde(default)]
    pub needs_check: bool,
    /// How the parameters are written.
    #[serde(default)]
    pub dialect: Dialect,
    /// Networks from relationships.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub networks: Vec<Attachment>,
    /// Volumes from relationships, as the engine takes mounts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mounts: Vec<Json>,
    /// What the declaration comes to before it is bound; its digest is the container's
    /// `dockctl.spec`.
    pub declaration: String,
    /// What an uninstall needs when everything else is lost; goes into a label.
    pub record: Json,
}

/// How the parameters of a container are written.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Dialect {
    /// `params` of the docker plugin 1.x.
    #[default]
    Params,
    /// `container_args` of the docker plugin 2.x.
    ContainerArgs,
}

/// A network that a container is attached to.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Attachment {
    /// Its name.
    pub network: Json,
    /// Aliases, addresses and the like.
    pub endpoint: Json,
}

/// What a network or a volume is made from.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Making {
    /// Its name.
    pub name: Json,
    /// The node's properties.
    pub properties: Json,
    /// What the declaration comes to before it is bound.
    pub declaration: String,
    /// What an uninstall needs when everything else is lost; goes into a label.
    pub record: Json,
}

impl Action {
    /// Whether it deletes an object. What another takes the place of is not deleted but replaced.
    pub(in crate::backend) fn deletes(&self) -> bool {
        match self {
            Self::Remove { .. } | Self::RemoveNetwork | Self::RemoveImage => true,
            Self::RemoveVolume { keep, made_by } => *keep == false || made_by.is_some(),
            _ => false,
        }
    }

    pub(in crate::backend) fn touch(&self) -> Touch {
        match self {
            Self::Create(_)
            | Self::CreateNetwork(_)
            | Self::CreateVolume(_)
            | Self::Build { .. } => Touch::Creates,
            Self::Adopt { .. } => Touch::Adopts,
            Self::CreateSuccessor(_)
            | Self::Swap { .. }
            | Self::StepBack { .. }
            | Self::PutBack => Touch::Replaces,
            Self::Start { .. }
            | Self::Wait { .. }
            | Self::WaitFor { .. }
            | Self::Follow
            | Self::Endure => Touch::Starts,
            Self::Stop { .. } | Self::Restore { .. } => Touch::Stops,
            Self::Adjust { .. }
            | Self::Rename { .. }
            | Self::Connect { .. }
            | Self::Discard { .. } => Touch::Adjusts,
            Self::Remove { .. }
            | Self::RemoveNetwork
            | Self::RemoveVolume { .. }
            | Self::RemoveImage
            | Self::Release => Touch::Removes,
            Self::Image { .. } | Self::Recreate(_) | Self::Execute { .. } => Touch::Nothing,
        }
    }

    /// The action that stops what this one would put back.
    pub(crate) fn halting(&self) -> Self {
        match self {
            Self::Restore { params } => Self::Stop {
                params: params.clone(),
            },
            other => other.clone(),
        }
    }
}

impl Creation {
    /// The request that the declaration comes to, as far as it is known.
    pub(in crate::backend) fn converted(&self) -> Result<params::Creation, Vec<Fault>> {
        let mut converted = match self.dialect {
            Dialect::Params => params::creation(&self.create, &self.start)?,
            Dialect::ContainerArgs => params::container_args(&self.create)?,
        };
        self.add_mounts(&mut converted);
        for attachment in self.at_once(&converted) {
            attachment
                .add_to(&mut converted.body)
                .map_err(|fault| vec![fault])?;
        }
        converted.gates.extend(params::late_parts(&converted.body));
        if self
            .networks
            .iter()
            .any(|attachment| attachment.endpoint.get("mac_address").is_some())
        {
            let path = ["create", "params", "mac_address"]
                .map(str::to_owned)
                .to_vec();
            converted.gates.push(Gate { path, since: 44 });
        }
        Ok(converted)
    }

    /// Attachments that go into the request: to networks that the parameters name, else the first.
    /// Older engines take no more there.
    fn at_once(&self, converted: &params::Creation) -> Vec<Attachment> {
        let first = self
            .networks
            .first()
            .filter(|_| !converted.names_network())
            .map(|it| &it.network);
        let is_now = |it: &&Attachment| {
            Some(&it.network) == first
                || it
                    .network
                    .as_str()
                    .is_some_and(|name| converted.is_on(name))
        };
        self.networks.iter().filter(is_now).cloned().collect()
    }

    fn add_mounts(&self, converted: &mut params::Creation) {
        if self.mounts.is_empty() {
            return;
        }
        let host = converted
            .body
            .entry("HostConfig")
            .or_insert_with(|| json!({}));
        let mut mounts = host["Mounts"].as_array().cloned().unwrap_or_default();
        mounts.extend(self.mounts.iter().cloned());
        host["Mounts"] = mounts.into();
    }

    /// Networks that do not go into the request, each once.
    pub(super) fn later_networks(&self) -> Vec<Attachment> {
        let converted = match self.dialect {
            Dialect::Params => params::creation(&self.create, &self.start),
            Dialect::ContainerArgs => params::container_args(&self.create),
        };
        let now = converted
            .map(|converted| self.at_once(&converted))
            .unwrap_or_default();
        let mut later: Vec<Attachment> = Vec::new();
        for attachment in self.networks.iter().filter(|it| !now.contains(it)) {
            match later.iter_mut().find(|it| it.network == attachment.network) {
                Some(same) => same.endpoint = merged(&same.endpoint, &attachment.endpoint),
                None => later.push(attachment.clone()),
            }
        }
        later
    }
}

/// Both together: lists one after the other, else what comes later holds.
fn merged(one: &Json, other: &Json) -> Json {
    match (one, other) {
        (Json::Object(one), Json::Object(other)) => {
            let mut all = one.clone();
            for (key, value) in other {
                let value = all
                    .get(key)
                    .map_or_else(|| value.clone(), |before| merged(before, value));
                all.insert(key.clone(), value);
            }
            all.into()
        }
        (Json::Array(one), Json::Array(other)) => one.iter().chain(other).cloned().collect(),
        _ => other.clone(),
    }
}

impl Attachment {
    /// The endpoint as the engine takes it.
    pub(super) fn converted(&self) -> Result<Json, Fault> {
        params::endpoint(&self.endpoint)
    }

    fn add_to(&self, body: &mut JsonMap<String, Json>) -> Result<(), Fault> {
        let Some(name) = self.network.as_str() else {
            return Ok(());
        };
        let config = body
            .entry("NetworkingConfig")
            .or_insert_with(|| json!({ "EndpointsConfig": {} }));
        config["EndpointsConfig"][name] =
            merged(&config["EndpointsConfig"][name], &self.converted()?);
        let host = body.entry("HostConfig").or_insert_with(|| json!({}));
        if matches!(host["NetworkMode"].as_str(), None | Some("" | "default")) {
            host["NetworkMode"] = name.into();
        }
        Ok(())
    }
}

impl Action {
    /// Files that the action reads, as far as they are known by now.
    pub(in crate::backend) fn files(&self) -> Vec<Need> {
        match self {
            Self::Image { image, folder, .. } => images::file_of(image, Path::new(folder))
                .map(Need::File)
                .into_iter()
                .collect(),
            Self::Build { image, folder } => build::files_of(image, Path::new(folder)),
            _ => Vec::new(),
        }
    }

    /// The property of the node that the action is about, if it is about one.
    pub(in crate::backend) fn property(&self) -> Option<&'static str> {
        match self {
            Self::Image { .. } => Some("image"),
            Self::Create(_)
            | Self::CreateSuccessor(_)
            | Self::Recreate(_)
            | Self::Adopt { .. }
            | Self::CreateNetwork(_)
            | Self::CreateVolume(_) => Some("name"),
            Self::Build { .. } => Some("resource_config"),
            _ => None,
        }
    }

    /// The name that a new object is to have, where it is known.
    pub(in crate::backend) fn created_name(&self) -> Option<&str> {
        match self {
            Self::Create(creation) => creation.name.as_str(),
            _ => None,
        }
    }
}

impl Step {
    /// Takes the record that goes into a label as it was before functions in it were evaluated.
    pub(in crate::backend) fn keep_record(&mut self, unbound: &Self) {
        let kept = match &unbound.action {
            Action::Create(creation)
            | Action::Recreate(creation)
            | Action::CreateSuccessor(creation) => creation.record.clone(),
            Action::CreateNetwork(making) | Action::CreateVolume(making) => making.record.clone(),
            _ => return,
        };
        match &mut self.action {
            Action::Create(creation)
            | Action::Recreate(creation)
            | Action::CreateSuccessor(creation) => creation.record = kept,
            Action::CreateNetwork(making) | Action::CreateVolume(making) => making.record = kept,
            _ => {}
        }
    }

    /// The step without the record that goes into a label.
    pub(in crate::backend) fn without_record(&self) -> Self {
        let mut step = self.clone();
        match &mut step.action {
            Action::Create(creation)
            | Action::Recreate(creation)
            | Action::CreateSuccessor(creation) => creation.record = Json::Null,
            Action::CreateNetwork(making) | Action::CreateVolume(making) => {
                making.record = Json::Null
            }
            _ => {}
        }
        step
    }

    pub(in crate::backend) fn image_key(&self) -> Option<String> {
        match &self.action {
            Action::Image { image, .. } => {
                Some(format!("{} {}", self.engine, images::key_of(image)?))
            }
            _ => None,
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.engine {
            EngineRef::Default => self.action.fmt(f),
            engine @ EngineRef::Client(_) => write!(f, "{} on {engine}", self.action),
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Image { image, .. } => write!(f, "bring image {}", images::shown(image)),
            Self::Create(Creation { name, .. }) => write!(f, "create container {}", shown(name)),
            Self::Recreate(Creation { name, .. }) => write!(
                f,
                "create container {} anew if what start adds differs",
                shown(name)
            ),
            Self::CreateSuccessor(Creation { name, .. }) => write!(
                f,
                "create container {} anew, beside the old one",
                shown(name)
            ),
            Self::Swap { name, keeps: false } => {
                write!(f, "let the new container take the name {}", shown(name))
            }
            Self::Swap { name, keeps: true } => {
                write!(
                    f,
                    "let the new container take the name {0}; the old one stays as {0}.before-dockctl",
                    shown(name)
                )
            }
            Self::Discard { keeps: false, .. } => f.write_str("remove old container"),
            Self::Discard { keeps: true, .. } => f.write_str("leave the old container stopped"),
            Self::StepBack { .. } => f.write_str("put the old container back"),
            Self::PutBack => f.write_str("start the old container again"),
            Self::Rename { name } => write!(f, "give the container its name {} again", shown(name)),
            Self::Adjust { body, .. } => {
                let fields: Vec<&str> = body
                    .as_object()
                    .into_iter()
                    .flatten()
                    .map(|(field, _)| field.as_str())
                    .collect();
                write!(f, "change {} of the running container", fields.join(", "))
            }
            Self::Start { adopted: false, .. } => f.write_str("start container"),
            Self::Start { adopted: true, .. } => {
                f.write_str("start adopted container if it is stopped")
            }
            Self::Wait { processes, .. } => write!(f, "wait for processes {}", shown(processes)),
            Self::WaitFor { condition } => write!(f, "wait for {}", wait_for::shown(condition)),
            Self::Follow => f.write_str("wait until the container ends"),
            // Nothing shows afterwards whether it ran.
            Self::Execute { command } => {
                write!(f, "run {} in the container (at least once)", shown(command))
            }
            Self::Connect { network, .. } => {
                write!(f, "attach container to network {}", shown(network))
            }
            Self::Build { image, .. } => f.write_str(&build::shown(image)),
            Self::RemoveImage => f.write_str("remove image if it was brought for this"),
            Self::CreateNetwork(making) => write!(f, "create network {}", shown(&making.name)),
            Self::RemoveNetwork => f.write_str("remove network"),
            Self::CreateVolume(making) => write!(f, "create volume {}", shown(&making.name)),
            Self::RemoveVolume {
                made_by: Some(_), ..
            } => f.write_str("remove volume if this run made it"),
            Self::RemoveVolume { keep, .. } if *keep == false => f.write_str("remove volume"),
            Self::RemoveVolume { .. } => f.write_str("keep volume"),
            Self::Endure => f.write_str("see that it stays up"),
            Self::Stop { .. } => f.write_str("stop container"),
            Self::Remove { .. } => f.write_str("remove container"),
            Self::Adopt { name, kind } => write!(f, "adopt {} {}", kind.as_str(), shown(name)),
            Self::Restore { .. } => f.write_str("put adopted container back as it was found"),
            Self::Release => f.write_str("let go what was adopted"),
        }
    }
}

/// Whether one of these entries of a mapping, or the mapping itself, is computed later.
pub(super) fn is_late(map: &Json, names: &[&str]) -> bool {
    is_call(map) || names.iter().any(|name| holds_call(&map[name]))
}

/// A value as a plan shows it: text bare, late values as such.
pub(super) fn shown(value: &Json) -> String {
    match value {
        _ if holds_call(value) => "(known after install)".to_owned(),
        Json::String(text) => text.clone(),
        other => other.to_string(),
    }
}
