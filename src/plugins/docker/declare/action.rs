//! What a container engine is asked, and how that becomes a step and is read from one.

use crate::{
    diagnostic::Fault,
    engine::Kind,
    model::function::{holds_call, is_call},
    plugins::docker::declare::{
        condition, image,
        params::{self, Gate},
        recipe,
    },
    seam::{Effect, Failure, Material, Need, Settling, Step, Target, Traits},
};
use serde::{Deserialize, Serialize};
use serde_json::{Map as JsonMap, Value as Json, json};
use std::{fmt, path::Path};

/// The plugin whose steps these are.
pub(crate) const ID: &str = "docker";

/// Version of what a step holds for this plugin.
const VERSION: u32 = 1;

/// What a step holds for this plugin.
#[derive(Deserialize, Serialize)]
struct Payload {
    version: u32,
    #[serde(flatten)]
    action: Action,
}

/// What an engine is asked. Fields of type [`Json`] may hold functions until the step is bound.
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
        kind: Kind,
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
    /// What an uninstall needs when everything else is lost; goes into a label. Steps keep it apart.
    #[serde(skip)]
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
    /// What an uninstall needs when everything else is lost; goes into a label. Steps keep it apart.
    #[serde(skip)]
    pub record: Json,
}

impl Action {
    /// Whether it deletes an object. What another takes the place of is not deleted but replaced.
    fn deletes(&self) -> bool {
        match self {
            Self::Remove { .. } | Self::RemoveNetwork | Self::RemoveImage => true,
            Self::RemoveVolume { keep, made_by } => *keep == false || made_by.is_some(),
            _ => false,
        }
    }

    fn effect(&self) -> Effect {
        match self {
            Self::Create(_)
            | Self::CreateNetwork(_)
            | Self::CreateVolume(_)
            | Self::Build { .. } => Effect::Creates,
            Self::Adopt { .. } => Effect::Adopts,
            Self::CreateSuccessor(_)
            | Self::Swap { .. }
            | Self::StepBack { .. }
            | Self::PutBack => Effect::Replaces,
            Self::Start { .. }
            | Self::Wait { .. }
            | Self::WaitFor { .. }
            | Self::Follow
            | Self::Endure => Effect::Starts,
            Self::Stop { .. } | Self::Restore { .. } => Effect::Stops,
            Self::Adjust { .. }
            | Self::Rename { .. }
            | Self::Connect { .. }
            | Self::Discard { .. } => Effect::Adjusts,
            Self::Remove { .. }
            | Self::RemoveNetwork
            | Self::RemoveVolume { .. }
            | Self::RemoveImage
            | Self::Release => Effect::Removes,
            Self::Image { .. } | Self::Recreate(_) | Self::Execute { .. } => Effect::Nothing,
        }
    }
}

impl Creation {
    /// The request that the declaration comes to, as far as it is known.
    ///
    /// # Errors
    ///
    /// What of the parameters cannot be used.
    pub fn converted(&self) -> Result<params::Creation, Vec<Fault>> {
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
    pub(crate) fn later_networks(&self) -> Vec<Attachment> {
        if self.networks.is_empty() {
            return Vec::new();
        }
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
    pub(crate) fn converted(&self) -> Result<Json, Fault> {
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
    pub(crate) fn files(&self) -> Vec<Need> {
        match self {
            Self::Image { image, folder, .. } => image::file_of(image, Path::new(folder))
                .map(Need::File)
                .into_iter()
                .collect(),
            Self::Build { image, folder } => recipe::files_of(image, Path::new(folder)),
            _ => Vec::new(),
        }
    }

    /// The property of the node that the action is about, if it is about one.
    fn property(&self) -> Option<&'static str> {
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
    fn created_name(&self) -> Option<&str> {
        match self {
            Self::Create(creation) => creation.name.as_str(),
            _ => None,
        }
    }
}

impl Action {
    /// The step that asks this of an engine.
    #[must_use]
    pub fn at(mut self, target: Target) -> Step {
        let traits = self.traits(&target);
        let kept = self.record().map(std::mem::take).unwrap_or_default();
        let payload = Payload {
            version: VERSION,
            action: self,
        };
        Step {
            plugin: ID.to_owned(),
            target,
            inside: None,
            traits,
            payload: json!(payload),
            kept,
        }
    }

    /// What a step asks of an engine; the only place where a payload is read.
    ///
    /// # Errors
    ///
    /// If another version of dockctl wrote it, in a way that this one does not know.
    pub fn of(step: &Step) -> Result<Self, Failure> {
        let unknown = |why: String| {
            Failure::fatal(format!("this dockctl does not know how to {step}: {why}"))
                .hint("use the version of dockctl that planned it")
        };
        let version = &step.payload["version"];
        if *version != VERSION {
            return Err(unknown(format!("it is of version {version}")));
        }
        let Payload { mut action, .. } =
            Payload::deserialize(&step.payload).map_err(|error| unknown(error.to_string()))?;
        if let Some(record) = action.record() {
            record.clone_from(&step.kept);
        }
        Ok(action)
    }

    fn record(&mut self) -> Option<&mut Json> {
        match self {
            Self::Create(creation) | Self::Recreate(creation) | Self::CreateSuccessor(creation) => {
                Some(&mut creation.record)
            }
            Self::CreateNetwork(making) | Self::CreateVolume(making) => Some(&mut making.record),
            _ => None,
        }
    }

    fn traits(&self, target: &Target) -> Traits {
        Traits {
            title: match target {
                Target::Default => self.to_string(),
                Target::At { .. } => format!("{self} on {target}"),
            },
            effect: self.effect(),
            settling: match self {
                Self::Execute { .. } => Settling::AtLeastOnce,
                _ => Settling::ByLooking,
            },
            deletes: self.deletes(),
            declares: self.declares(),
            makes_successor: matches!(self, Self::CreateSuccessor(_)),
            optional: false,
            material: self.material(),
            property: self.property().map(str::to_owned),
            creates: self.created_name().map(str::to_owned),
            shared: self.shared(target),
        }
    }

    fn material(&self) -> Option<Material> {
        match self {
            Self::Image { .. } => Some(Material::Brings),
            Self::Build { .. } => Some(Material::Makes),
            Self::RemoveImage => Some(Material::Removes),
            _ => None,
        }
    }

    /// Two steps that bring the same image to the same engine have the same key.
    fn shared(&self, target: &Target) -> Option<String> {
        match self {
            Self::Image { image, .. } => Some(format!("{target} {}", image::key_of(image)?)),
            _ => None,
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Image { image, .. } => write!(f, "bring image {}", image::shown(image)),
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
            Self::WaitFor { condition } => write!(f, "wait for {}", condition::shown(condition)),
            Self::Follow => f.write_str("wait until the container ends"),
            // Nothing shows afterwards whether it ran.
            Self::Execute { command } => {
                write!(f, "run {} in the container (at least once)", shown(command))
            }
            Self::Connect { network, .. } => {
                write!(f, "attach container to network {}", shown(network))
            }
            Self::Build { image, .. } => f.write_str(&recipe::shown(image)),
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
pub(crate) fn is_late(map: &Json, names: &[&str]) -> bool {
    is_call(map) || names.iter().any(|name| holds_call(&map[name]))
}

/// A value as a plan shows it: text bare, late values as such.
pub(crate) fn shown(value: &Json) -> String {
    match value {
        _ if holds_call(value) => "(known after install)".to_owned(),
        Json::String(text) => text.clone(),
        other => other.to_string(),
    }
}
