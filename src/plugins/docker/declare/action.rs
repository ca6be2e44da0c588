//! Actions on an engine, and their conversion to steps and back.

use crate::{
    diagnostic::Fault,
    engine::Kind,
    model::function::{contains_call, is_call},
    plugins::docker::declare::{
        build_config, condition, image,
        infrakit::{self, Init},
        params::{self, ApiRange, Gate},
    },
    seam::{Effect, Failure, Labeling, Material, Need, Settling, Step, Target, Traits},
};
use serde::{Deserialize, Serialize};
use serde_json::{Map as JsonMap, Value as Json, json};
use std::{fmt, path::Path};

/// ID of the plugin in steps.
pub(crate) const ID: &str = "docker";

/// Properties of networks that only some versions of the API support.
const ENDPOINT_VERSIONS: [(&str, ApiRange); 2] = [
    ("mac_address", ApiRange::since(44)),
    ("gw_priority", ApiRange::since(48)),
];

/// Format version of a step's payload.
const VERSION: u32 = 1;

/// Payload of a step of this plugin.
#[derive(Deserialize, Serialize)]
struct Payload {
    version: u32,
    #[serde(flatten)]
    action: Action,
}

/// One action on an engine. Fields of type [`Json`] may contain function calls until the step is
/// bound.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum Action {
    /// Ensures that the image exists on the engine, and stores its ID.
    Image {
        /// The node's `image`.
        image: Json,
        /// Directory of the blueprint, for a tarball next to it.
        folder: String,
        /// Repository of an imported image that the blueprint does not name.
        fallback: String,
    },
    /// Creates the container.
    Create(Creation),
    /// Recreates a container that never ran, if `start` adds parameters that `create` did not know.
    Recreate(Creation),
    /// Creates the successor of the instance's container, under a temporary name.
    CreateSuccessor(Creation),
    /// Renames the old container, so that the container of another instance can have its name.
    StepAside {
        /// Name of the new container.
        name: Json,
        /// The old container existed before the deployment and is kept.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        keeps: bool,
    },
    /// Renames the old container and gives its name to the new one.
    Swap {
        /// Name of the container.
        name: Json,
        /// The old container existed before the deployment and is kept.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        keeps: bool,
    },
    /// Removes the predecessor after a replacement, or a successor that is not needed.
    Discard {
        /// Parameters of `stop`, for a container that still runs.
        stop: Json,
        /// The old container existed before the deployment and is kept.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        keeps: bool,
    },
    /// Removes the successor.
    Withdraw,
    /// Removes the successor and gives the predecessor its name back.
    #[serde(rename = "step_back")]
    RestorePredecessor {
        /// Name of the container; null: the predecessor's current name without the suffix that the
        /// replacement added.
        name: Json,
    },
    /// Restarts the predecessor.
    #[serde(rename = "put_back")]
    RestartPredecessor,
    /// Updates limits and the restart policy of the container in place.
    Adjust {
        /// Body of the engine's update request.
        body: Json,
        /// Declaration of the container after the change.
        declaration: String,
    },
    /// Renames the container to its declared name.
    Rename {
        /// Name of the container.
        name: Json,
    },
    /// Starts the container if it is not running.
    Start {
        /// The container existed before the deployment.
        adopted: bool,
    },
    /// Stops the container and starts it again.
    Restart {
        /// Parameters of `stop`.
        params: Json,
    },
    /// Waits until the processes run.
    Wait {
        /// Names of processes; each must occur in a command line.
        processes: Json,
        /// Seconds between two checks.
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
        /// Whom the labels of the container must name.
        #[serde(default, skip_serializing_if = "Labeling::is_deployment")]
        labeling: Labeling,
    },
    /// Attaches the container to a network, which is created if it is missing.
    JoinNetwork {
        /// The network, as in the Docker SDK.
        network: Json,
        /// Whom the labels of a new network name.
        #[serde(default, skip_serializing_if = "Labeling::is_deployment")]
        labeling: Labeling,
    },
    /// Runs the script of a new container, once.
    Init {
        /// The script.
        init: Init,
        /// Creates the container again if a run interrupted its script.
        creation: Box<Creation>,
        /// Networks of the container, as in the Docker SDK.
        networks: Vec<Json>,
    },
    /// Waits for one condition.
    WaitFor {
        /// `healthy`, or a mapping with `exited`, `port` or `log`.
        condition: Json,
    },
    /// Waits until the container exits, and stores its output.
    Follow,
    /// Checks that the container does not exit right after its start.
    #[serde(rename = "endure")]
    CheckUp,
    /// Runs a command in the container, before it is stopped.
    Execute {
        /// The command line.
        command: Json,
    },
    /// Attaches the container to a network.
    Connect {
        /// Name of the network.
        network: Json,
        /// Aliases, addresses and other endpoint settings.
        endpoint: Json,
    },
    /// Builds an image, or ensures that it exists.
    Build {
        /// The node's `resource_config`.
        image: Json,
        /// Directory of the blueprint.
        folder: String,
    },
    /// Removes an image that was built or pulled for the instance.
    RemoveImage,
    /// Creates a network.
    CreateNetwork(ObjectCreation),
    /// Removes the network.
    RemoveNetwork,
    /// Creates a volume.
    CreateVolume(ObjectCreation),
    /// Removes the volume, unless `keep` protects it.
    RemoveVolume {
        /// The node's `keep`.
        keep: Json,
        /// If given, removes the volume only if one of these executions created it, and ignores
        /// `keep`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        made_by: Option<Vec<String>>,
    },
    /// Finds an existing object and stores its original state.
    Adopt {
        /// Kind of the object.
        #[serde(default)]
        kind: Kind,
        /// Exact name or ID of the object.
        name: Json,
    },
    /// Restores the original state of an adopted container: running or stopped.
    Restore {
        /// Parameters of `stop`.
        params: Json,
    },
    /// Forgets an adopted object.
    Release,
}

/// Everything that a container is created from.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Creation {
    /// Name of the container.
    pub name: Json,
    /// Parameters of `create_container`.
    pub create: Json,
    /// Parameters of `start`; engines accept them only at creation.
    pub start: Json,
    /// A wait condition requires the container to become healthy, so it must have a health check.
    #[serde(default)]
    pub needs_check: bool,
    /// Dialect of the parameters.
    #[serde(default)]
    pub dialect: Dialect,
    /// Networks from relationships.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub networks: Vec<Attachment>,
    /// Volumes from relationships, in the engine's format for mounts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mounts: Vec<Json>,
    /// The declaration before it is bound; the label `dockctl.spec` contains its digest.
    pub declaration: String,
    /// Data for an uninstall if the state directory is lost; stored in a label. Steps store it
    /// outside the payload.
    #[serde(skip)]
    pub record: Json,
    /// Whom the labels of the container name.
    #[serde(default, skip_serializing_if = "Labeling::is_deployment")]
    pub labeling: Labeling,
    /// The creation pulls the image if it is missing. Otherwise an earlier step provides it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pulls_image: bool,
}

/// The format that the parameters of a container use.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Dialect {
    /// `params` of the docker plugin 1.x.
    #[default]
    Params,
    /// `container_args` of the docker plugin 2.x.
    ContainerArgs,
    /// The structures of the Docker SDK, as in documents of InfraKit.
    Sdk,
}

/// A network that a container is attached to.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Attachment {
    /// Name of the network.
    pub network: Json,
    /// Aliases, addresses and other endpoint settings.
    pub endpoint: Json,
}

/// Everything that a network or a volume is created from.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct ObjectCreation {
    /// Name of the network or volume.
    pub name: Json,
    /// The node's properties.
    pub properties: Json,
    /// The declaration before it is bound.
    pub declaration: String,
    /// Data for an uninstall if the state directory is lost; stored in a label. Steps store it
    /// outside the payload.
    #[serde(skip)]
    pub record: Json,
}

impl Action {
    /// Returns true if the action deletes an object. Replacing an object does not count.
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
            | Self::Withdraw
            | Self::RestorePredecessor { .. }
            | Self::RestartPredecessor => Effect::Replaces,
            Self::Start { .. }
            | Self::Restart { .. }
            | Self::Wait { .. }
            | Self::WaitFor { .. }
            | Self::Follow
            | Self::Init { .. }
            | Self::CheckUp => Effect::Starts,
            Self::Stop { .. } | Self::Restore { .. } => Effect::Stops,
            Self::Adjust { .. }
            | Self::Rename { .. }
            | Self::Connect { .. }
            | Self::JoinNetwork { .. }
            | Self::StepAside { .. }
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
    /// Converts the declaration into a request; late values are left out.
    ///
    /// # Errors
    ///
    /// The parameters that are invalid.
    pub fn converted(&self) -> Result<params::Creation, Vec<Fault>> {
        let mut converted = match self.dialect {
            Dialect::Params => params::creation(&self.create, &self.start)?,
            Dialect::ContainerArgs => params::container_args(&self.create)?,
            Dialect::Sdk => infrakit::creation(&self.create)?,
        };
        self.add_mounts(&mut converted);
        for attachment in self.initial_networks(&converted) {
            attachment
                .add_to(&mut converted.body)
                .map_err(|fault| vec![fault])?;
        }
        converted
            .gates
            .extend(params::limited_parts(&converted.body));
        converted.gates.extend(self.gates_of_networks());
        Ok(converted)
    }

    /// Returns the properties of networks that only some versions of the API support.
    fn gates_of_networks(&self) -> impl Iterator<Item = Gate> {
        let is_given = |name: &str| {
            let mut endpoints = self.networks.iter().map(|it| &it.endpoint);
            endpoints.any(|endpoint| endpoint.get(name).is_some())
        };
        let given = ENDPOINT_VERSIONS
            .iter()
            .filter(move |(name, _)| is_given(name));
        given.map(|(name, versions)| Gate {
            path: ["create", "params", name].map(str::to_owned).to_vec(),
            versions: *versions,
        })
    }

    /// Adds the networks that are not in the request. Engines that accept several networks at
    /// creation drop some settings of an endpoint when they connect a container later.
    ///
    /// # Errors
    ///
    /// The first invalid property.
    pub(crate) fn add_later_networks(&self, converted: &mut params::Creation) -> Result<(), Fault> {
        let later = self.later_networks();
        if !later.is_empty() {
            converted.add_endpoint_of_mode();
        }
        let mut later = later.into_iter();
        later.try_for_each(|attachment| attachment.add_to(&mut converted.body))
    }

    /// Returns the host name of the container, unless its parameters set one: its name. A container
    /// of InfraKit whose name dockctl chose has the host name that the engine chooses.
    pub(crate) fn host_name(&self) -> Option<&str> {
        let is_named = self.dialect != Dialect::Sdk || infrakit::names_host(&self.create);
        self.name.as_str().filter(|_| is_named)
    }

    /// Returns the attachments that the request contains: those to networks that the parameters
    /// name, otherwise the first one. Older engines accept only one network at creation.
    fn initial_networks(&self, converted: &params::Creation) -> Vec<Attachment> {
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
                    .is_some_and(|name| converted.is_attached_to(name))
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

    /// Returns the attachments that are not in the request, one per network.
    pub(crate) fn later_networks(&self) -> Vec<Attachment> {
        if self.networks.is_empty() {
            return Vec::new();
        }
        let converted = match self.dialect {
            Dialect::Params => params::creation(&self.create, &self.start),
            Dialect::ContainerArgs => params::container_args(&self.create),
            Dialect::Sdk => infrakit::creation(&self.create),
        };
        let now = converted
            .map(|converted| self.initial_networks(&converted))
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

/// Merges two values: concatenates lists, merges mappings, otherwise the second value wins.
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
    /// Returns the endpoint in the engine's format.
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
    /// Returns the files that the action reads, as far as they are already known.
    pub(crate) fn files(&self) -> Vec<Need> {
        match self {
            Self::Image {
                image,
                folder: directory,
                ..
            } => image::local_file(image, Path::new(directory))
                .map(Need::File)
                .into_iter()
                .collect(),
            Self::Build {
                image,
                folder: directory,
            } => build_config::local_files(image, Path::new(directory)),
            _ => Vec::new(),
        }
    }

    /// Returns the node property to show as the location of an error of the action.
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

    /// Returns the name of the container that the action creates, if it is known.
    fn creates_name(&self) -> Option<&str> {
        match self {
            Self::Create(creation) | Self::CreateSuccessor(creation) => creation.name.as_str(),
            _ => None,
        }
    }
}

impl Action {
    /// Returns the step that executes the action on an engine.
    #[must_use]
    pub fn into_step(mut self, target: Target) -> Step {
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
            label_declaration: kept,
            typed_inputs: Vec::new(),
        }
    }

    /// Returns the action of a step. Payloads are read only here.
    ///
    /// # Errors
    ///
    /// The payload has a format that this version of dockctl does not know.
    pub fn from_step(step: &Step) -> Result<Self, Failure> {
        let unknown = |why: String| {
            Failure::fatal(format!(
                "this version of dockctl cannot run the step `{step}`: {why}"
            ))
            .hint("use the version of dockctl that planned the step")
        };
        let version = &step.payload["version"];
        if *version != VERSION {
            return Err(unknown(format!("its format version is {version}")));
        }
        let Payload { mut action, .. } =
            Payload::deserialize(&step.payload).map_err(|error| unknown(error.to_string()))?;
        if let Some(record) = action.record() {
            record.clone_from(&step.label_declaration);
        }
        Ok(action)
    }

    fn record(&mut self) -> Option<&mut Json> {
        match self {
            Self::Create(creation) | Self::Recreate(creation) | Self::CreateSuccessor(creation) => {
                Some(&mut creation.record)
            }
            Self::Init { creation, .. } => Some(&mut creation.record),
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
                Self::Execute { .. } | Self::Init { .. } => Settling::AtLeastOnce,
                _ => Settling::ByObserving,
            },
            deletes: self.deletes(),
            declares: self.declares(),
            makes_successor: matches!(self, Self::CreateSuccessor(_)),
            optional: false,
            material: self.material(),
            property: self.property().map(str::to_owned),
            new_name: self.creates_name().map(str::to_owned),
            creates_secrets: false,
            shared: self.shared_key(target),
        }
    }

    fn material(&self) -> Option<Material> {
        match self {
            Self::Image { .. } => Some(Material::Provides),
            Self::Build { .. } => Some(Material::Builds),
            Self::RemoveImage => Some(Material::Removes),
            _ => None,
        }
    }

    /// Returns a key that is the same for all steps that provide the same image on the same engine.
    fn shared_key(&self, target: &Target) -> Option<String> {
        match self {
            Self::Image { image, .. } => Some(format!("{target} {}", image::source_key(image)?)),
            _ => None,
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Image { image, .. } if image["src"].is_null() => {
                write!(f, "pull image {}", image::display_image(image))
            }
            Self::Image { image, .. } => {
                write!(f, "load image from {}", image::display_image(image))
            }
            Self::Create(Creation { name, .. }) => {
                write!(f, "create container {}", display_value(name))
            }
            Self::Recreate(Creation { name, .. }) => write!(
                f,
                "recreate container {} if start adds other parameters",
                display_value(name)
            ),
            Self::CreateSuccessor(Creation { name, .. }) => {
                write!(
                    f,
                    "create container {} next to the old one",
                    display_value(name)
                )
            }
            Self::StepAside { .. } => f.write_str("make the old container give up its name"),
            Self::Withdraw => f.write_str("remove new container"),
            Self::Swap { name, keeps: false } => {
                write!(f, "give the new container the name {}", display_value(name))
            }
            Self::Swap { name, keeps: true } => {
                write!(
                    f,
                    "give the new container the name {0}; keep the old one as {0}.before-dockctl",
                    display_value(name)
                )
            }
            Self::Discard { keeps: false, .. } => f.write_str("remove old container"),
            Self::Discard { keeps: true, .. } => f.write_str("leave old container stopped"),
            Self::RestorePredecessor { .. } => f.write_str("restore old container"),
            Self::RestartPredecessor => f.write_str("restart old container"),
            Self::Rename { name } => write!(f, "rename container to {}", display_value(name)),
            Self::Adjust { body, .. } => {
                let fields: Vec<&str> = body
                    .as_object()
                    .into_iter()
                    .flatten()
                    .map(|(field, _)| field.as_str())
                    .collect();
                write!(f, "update {} of the running container", fields.join(", "))
            }
            Self::Start { adopted: false, .. } => f.write_str("start container"),
            Self::Start { adopted: true, .. } => {
                f.write_str("start adopted container if it is stopped")
            }
            Self::Restart { .. } => f.write_str("restart container"),
            Self::Wait { processes, .. } => write!(f, "wait for {}", display_processes(processes)),
            Self::WaitFor { condition } => {
                write!(f, "wait for {}", condition::display_condition(condition))
            }
            Self::Follow => f.write_str("wait until the container exits"),
            // The engine does not show afterwards whether the command ran.
            Self::Execute { command } => {
                write!(
                    f,
                    "run {} in the container (at least once)",
                    display_value(command)
                )
            }
            Self::JoinNetwork { network, .. } => write!(
                f,
                "attach container to network {}, and create it if it is missing",
                infrakit::network_name(network)
            ),
            Self::Init { .. } => f.write_str("run the script of the container"),
            Self::Connect { network, .. } => {
                write!(f, "attach container to network {}", display_value(network))
            }
            Self::Build { image, .. } => f.write_str(&build_config::display_build(image)),
            Self::RemoveImage => f.write_str("remove image if it was built or pulled for the node"),
            Self::CreateNetwork(creation) => {
                write!(f, "create network {}", display_value(&creation.name))
            }
            Self::RemoveNetwork => f.write_str("remove network"),
            Self::CreateVolume(creation) => {
                write!(f, "create volume {}", display_value(&creation.name))
            }
            Self::RemoveVolume {
                made_by: Some(_), ..
            } => f.write_str("remove volume if this execution created it"),
            Self::RemoveVolume { keep, .. } if *keep == false => f.write_str("remove volume"),
            Self::RemoveVolume { .. } => f.write_str("keep volume"),
            Self::CheckUp => f.write_str("check that the container stays up"),
            Self::Stop { .. } => f.write_str("stop container"),
            Self::Remove { .. } => f.write_str("remove container"),
            Self::Adopt { name, kind } => {
                write!(f, "adopt {} {}", kind.as_str(), display_value(name))
            }
            Self::Restore { .. } => f.write_str("restore adopted container to its original state"),
            Self::Release => f.write_str("release adopted object"),
        }
    }
}

/// Returns true if the mapping, or one of the named entries, contains a function call.
pub(crate) fn is_late(map: &Json, names: &[&str]) -> bool {
    is_call(map) || names.iter().any(|name| contains_call(&map[name]))
}

/// Formats the processes of a wait for a plan.
fn display_processes(processes: &Json) -> String {
    let names = processes.as_array().filter(|_| !contains_call(processes));
    let names: Vec<String> = names.into_iter().flatten().map(display_value).collect();
    if names.is_empty() {
        return format!("processes {}", display_value(processes));
    }
    processes_text(&names)
}

/// Formats names of processes: `process a`, `processes a, b`.
pub(crate) fn processes_text(names: &[String]) -> String {
    let noun = if names.len() == 1 {
        "process"
    } else {
        "processes"
    };
    format!("{noun} {}", names.join(", "))
}

/// Formats a value for a plan: strings without quotes, late values as `(known after install)`.
pub(crate) fn display_value(value: &Json) -> String {
    match value {
        _ if contains_call(value) => "(known after install)".to_owned(),
        Json::String(text) => text.clone(),
        other => other.to_string(),
    }
}
