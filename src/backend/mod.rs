//! The seam to what containers (and later services, resources and scripts) run on.
//!
//! Operations are chosen by (plugin, operation), never by the type of the node: [`lower`] turns one
//! into the [`Step`]s its back-end needs. [`Backend`] carries steps out and says what exists. A new
//! back-end adds a variant to [`Step`] and an arm to the functions here; nothing else changes.

pub mod docker;
pub mod simulated;

use crate::{
    diagnostic::Diagnostics,
    model::{Blueprint, Definition, Deployment, Instance, Place, Planned, function},
    plan::{InstanceState, Side, Stage, TaskId},
    printable::printable,
    secrets::{HIDDEN, Secrets},
    state::{Around, InstanceRecord, Record},
};
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::{Map as JsonMap, Value as Json};
use std::{collections::HashMap, fmt, future::Future, path::PathBuf};
use tokio_util::sync::CancellationToken;

/// One engine operation. Fields of type [`Json`] may hold functions until the step is bound.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "backend", rename_all = "snake_case")]
pub enum Step {
    /// Nothing happens outside the record: the instance only changes its state.
    Nothing,
    /// It cannot be done: it fails with these words.
    Refused {
        /// Why.
        why: String,
    },
    /// An operation of the engine in memory.
    Simulated(simulated::Operation),
    /// A container engine is asked.
    Docker(docker::Step),
}

impl Step {
    /// The property of the node that the step is about, if it is about one.
    #[must_use]
    pub fn property(&self) -> Option<&'static str> {
        match self {
            Self::Docker(step) => step.action.property(),
            _ => None,
        }
    }

    /// Whether the step brings an image: pulls it, or imports it.
    #[must_use]
    pub fn is_about_image(&self) -> bool {
        matches!(
            self,
            Self::Docker(docker::Step {
                action: docker::Action::Image { .. },
                ..
            })
        )
    }

    /// Whether the step brings or builds an image, which can fail before anything is touched that
    /// works.
    #[must_use]
    pub fn brings(&self) -> bool {
        self.is_about_image()
            || matches!(
                self,
                Self::Docker(docker::Step {
                    action: docker::Action::Build { .. },
                    ..
                })
            )
    }

    /// Whether the step has nothing to do for an object that ran: it only makes what never did.
    #[must_use]
    pub fn is_done_by_running(&self, object: Option<&Object>) -> bool {
        let ran = object.is_some_and(|object| object.state != ObjectState::Created);
        ran && matches!(
            self,
            Self::Docker(docker::Step {
                action: docker::Action::Recreate(_),
                ..
            })
        )
    }

    /// Whether the step removes an image that was built or pulled for its instance.
    #[must_use]
    pub fn removes_image(&self) -> bool {
        matches!(
            self,
            Self::Docker(docker::Step {
                action: docker::Action::RemoveImage,
                ..
            })
        )
    }

    /// Whether the step ends something that works.
    #[must_use]
    pub fn halts(&self) -> bool {
        matches!(self.touch(), Touch::Stops | Touch::Removes)
    }

    /// What the step needs that no engine has.
    #[must_use]
    pub fn needs(&self) -> Vec<Need> {
        let json = serde_json::to_value(self.without_record()).unwrap_or_default();
        let secrets = function::secret_names(&json).into_iter().map(Need::Secret);
        let withheld = function::withheld_digests(&json)
            .into_iter()
            .map(Need::Withheld);
        let files = match self {
            Self::Docker(step) => step.action.files(),
            _ => Vec::new(),
        };
        secrets.chain(withheld).chain(files).collect()
    }

    /// Whether the step reads attributes, which other steps may still set.
    #[must_use]
    pub fn reads_attributes(&self) -> bool {
        serde_json::to_value(self.without_record())
            .is_ok_and(|json| function::reads_attributes(&json))
    }

    /// The step without what goes into labels as it is.
    fn without_record(&self) -> Self {
        match self {
            Self::Docker(step) => Self::Docker(step.without_record()),
            other => other.clone(),
        }
    }

    /// What tells apart the images that steps bring; equal keys mean the same image.
    #[must_use]
    pub fn image_key(&self) -> Option<String> {
        match self {
            Self::Docker(step) => step.image_key(),
            _ => None,
        }
    }

    /// Makes a step that removes go no further than taking back what executions made, and not spare
    /// it.
    pub(crate) fn take_back(&mut self, executions: &[String]) {
        if let Self::Docker(docker::Step {
            action: docker::Action::RemoveVolume { made_by, .. },
            ..
        }) = self
        {
            *made_by = Some(executions.to_vec());
        }
    }

    /// Makes a step that puts an adopted container back stop it.
    pub(crate) fn halting(mut self) -> Self {
        if let Self::Docker(docker::Step {
            action: action @ docker::Action::Restore { .. },
            ..
        }) = &mut self
        {
            *action = action.halting();
        }
        self
    }

    /// Whether the step holds a function that is evaluated only when it is carried out.
    #[must_use]
    pub fn is_late(&self) -> bool {
        serde_json::to_value(self).is_ok_and(|json| function::holds_late_call(&json))
    }

    /// The name that a new object is to have, where it is known.
    #[must_use]
    pub fn created_name(&self) -> Option<&str> {
        match self {
            Self::Docker(step) => step.action.created_name(),
            _ => None,
        }
    }

    /// What the step does to the object of its instance.
    #[must_use]
    pub fn touch(&self) -> Touch {
        match self {
            Self::Docker(step) => step.action.touch(),
            Self::Refused { .. } => Touch::Refuses,
            Self::Nothing | Self::Simulated(_) => Touch::Nothing,
        }
    }

    /// Whether the step deletes an object for good.
    #[must_use]
    pub fn deletes(&self) -> bool {
        match self {
            Self::Docker(step) => step.action.deletes(),
            _ => false,
        }
    }

    /// What the step says of the declaration that the object is made from.
    #[must_use]
    pub fn declares(&self) -> Option<Declares> {
        match self {
            Self::Docker(step) => step.action.declares(),
            _ => None,
        }
    }

    /// The step that makes what takes the place of an object, if this one would make the object.
    #[must_use]
    pub fn successor(&self) -> Option<Self> {
        let Self::Docker(step) = self else {
            return None;
        };
        step.successor().map(Self::Docker)
    }

    /// Evaluates only which engine the step is for.
    ///
    /// # Errors
    ///
    /// If that cannot be evaluated.
    pub fn bind_engine(&self, around: &Around<'_>) -> Result<Self, String> {
        match self {
            Self::Docker(step) => Ok(Self::Docker(docker::Step {
                engine: step.engine.bind(around)?,
                action: step.action.clone(),
            })),
            other => Ok(other.clone()),
        }
    }

    /// What is done with the step when its outcome was lost.
    #[must_use]
    pub fn settling(&self) -> Settling {
        match self {
            Self::Docker(docker::Step {
                action: docker::Action::Execute { .. },
                ..
            }) => Settling::AtLeastOnce,
            _ => Settling::ByLooking,
        }
    }

    /// Evaluates the functions in the step.
    ///
    /// # Errors
    ///
    /// If one of them cannot be evaluated.
    pub fn bind(&self, around: &Around<'_>) -> Result<Self, String> {
        // The record goes into a label, where anyone can read it: it keeps its functions, which may
        // ask for secrets.
        let json =
            serde_json::to_value(self.without_record()).map_err(|error| error.to_string())?;
        let mut bound: Self = serde_json::from_value(function::bind(&json, around)?)
            .map_err(|error| error.to_string())?;
        if let (Self::Docker(mine), Self::Docker(step)) = (self, &mut bound) {
            if let EngineRef::Client(client) = &step.engine {
                mine.engine.check_bound(client)?;
            }
            step.keep_record(mine);
        }
        Ok(bound)
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("nothing to do"),
            Self::Refused { why } => write!(f, "refuse: {why}"),
            Self::Simulated(operation) => operation.fmt(f),
            Self::Docker(step) => step.fmt(f),
        }
    }
}

/// Something that a step needs and that no engine has.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Need {
    /// The secret of this name.
    Secret(String),
    /// The text that was withheld under this digest: of a sensitive input, or what the blueprint
    /// says itself.
    Withheld(String),
    /// A file.
    File(PathBuf),
    /// A folder.
    Folder(PathBuf),
}

/// What a step does to the object of its instance.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Touch {
    Nothing,
    Starts,
    Stops,
    Adjusts,
    Creates,
    Adopts,
    Removes,
    Replaces,
    Refuses,
}

/// What a step says of the declaration that an object is made from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Declares {
    /// The object is new: its labels say it.
    Anew,
    /// The object was changed to this one; its labels still say what it was before.
    Adjusted(String),
}

/// What it takes to make an instance what another definition says.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// Nothing: what changed is only known here.
    Nothing,
    /// The object is changed as it stands.
    Adjust(Box<Step>),
    /// Another object takes its place, and it stays until that works.
    Replace,
    /// It is taken down and made anew.
    Remake,
    /// It cannot be done, for this reason.
    Refused(String),
}

/// How a step is settled whose outcome was lost.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Settling {
    /// The engine shows whether it is done.
    ByLooking,
    /// Nothing shows whether it is done: it is carried out again.
    AtLeastOnce,
}

/// A step that is about to be carried out, with everything that it may need to know.
#[derive(Clone, Debug)]
pub struct Call {
    /// Name of the deployment.
    pub deployment: String,
    /// Its id; empty if it was defined by an older version.
    pub deployment_id: String,
    /// Id of the execution.
    pub execution: String,
    /// Id of the instance.
    pub instance: String,
    /// Its node.
    pub node: String,
    /// The step, bound.
    pub step: Step,
    /// Runtime properties of the instance.
    pub properties: JsonMap<String, Json>,
    /// Of an operation of a relationship: which.
    pub side: Option<Side>,
    /// Cancelled when the user asks to stop: a step that only waits gives up, others go on.
    pub stop: CancellationToken,
}

/// What a step changed in the runtime properties of its instance.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Outputs {
    /// Properties that have a new value.
    #[serde(default, skip_serializing_if = "JsonMap::is_empty")]
    pub set: JsonMap<String, Json>,
    /// Properties that are gone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unset: Vec<String>,
}

impl Outputs {
    /// Without what containers wrote, and what engines tell of them in full.
    #[must_use]
    pub(crate) fn without_hearsay(mut self) -> Self {
        for (_, value) in self
            .set
            .iter_mut()
            .filter(|(name, _)| docker::HEARSAY.contains(&name.as_str()))
        {
            *value = HIDDEN.into();
        }
        self
    }
}

/// Why a step failed, in words that its user understands.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Failure {
    /// What went wrong.
    pub message: String,
    /// What to do next.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hints: Vec<String>,
    /// Trying again may help.
    #[serde(default)]
    pub recoverable: bool,
    /// The step was given up because the run is being cancelled.
    #[serde(default)]
    pub cancelled: bool,
    /// Nobody knows whether the engine did it: no answer came.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub lost: bool,
    /// How the container that failed ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit: Option<Exit>,
    /// Place in the blueprint that asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
}

impl Failure {
    /// A failure that trying again does not mend.
    #[must_use]
    pub fn fatal(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            ..Self::default()
        }
    }

    /// Without what containers wrote.
    #[must_use]
    pub(crate) fn without_hearsay(mut self) -> Self {
        if let Some(exit) = &mut self.exit {
            exit.log =
                vec!["(not shown: it may hold a secret that this run was not given)".to_owned()];
            exit.health = Vec::new();
        }
        self
    }

    /// With nothing in its words that a terminal would act on: engines and labels have a part in
    /// them.
    #[must_use]
    pub(crate) fn printable(mut self) -> Self {
        self.message = printable(&self.message);
        self.hints
            .iter_mut()
            .for_each(|hint| *hint = printable(hint));
        self
    }

    /// Adds advice.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }
}

/// How a container ended.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Exit {
    /// Its name.
    pub container: String,
    /// Exit code.
    pub code: i64,
    /// Whether the kernel killed it for want of memory.
    pub oom_killed: bool,
    /// What its health check said last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub health: Vec<String>,
    /// The last lines that it wrote.
    pub log: Vec<String>,
}

/// Something to show while a step runs; never kept.
#[derive(Clone, Debug, PartialEq)]
pub enum Progress {
    /// Bytes moved so far, and in all if that is known.
    Bytes {
        /// So far.
        done: u64,
        /// In all; 0 if not known.
        total: u64,
    },
    /// What the step is doing now.
    Note(String),
}

impl Progress {
    /// Without the secrets that are known, and fit for a terminal.
    #[must_use]
    pub fn scrubbed(self, secrets: &Secrets) -> Self {
        match self {
            Self::Note(note) => Self::Note(printable(&secrets.scrub(&note))),
            bytes @ Self::Bytes { .. } => bytes,
        }
    }
}

/// Takes what a step has to show.
pub type ProgressSink<'a> = &'a dyn Fn(Progress);

/// Carries out steps and says what exists.
pub trait Backend {
    /// Carries out one step. What was done already counts as done: after a crash a step can be
    /// asked for twice.
    fn perform(
        &self,
        call: &Call,
        progress: ProgressSink<'_>,
    ) -> impl Future<Output = Result<Outputs, Failure>>;

    /// Looks whether a step is done whose outcome was lost: what it changed if it is; none if it is
    /// not, or if it looks itself when it is carried out again. Changes nothing. Of the call's step
    /// only the engine is bound. `since` is when it was asked for, in milliseconds since 1970 UTC.
    fn settle(
        &self,
        call: &Call,
        since: u64,
    ) -> impl Future<Output = Result<Option<Outputs>, Failure>>;

    /// The tasks of a stage that ask for what their engine is too old for, in words. Changes
    /// nothing.
    fn too_old_for(
        &self,
        _stage: &Stage,
    ) -> impl Future<Output = Result<Vec<(TaskId, String)>, Failure>> {
        std::future::ready(Ok(Vec::new()))
    }

    /// Says what exists of a deployment, and what stands where it wants to be. Changes nothing.
    fn observe(
        &self,
        deployment: &Deployment,
        places: &Places,
    ) -> impl Future<Output = Result<Observed, Failure>>;
}

/// The engine that an object lives on.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EngineRef {
    /// The one that the command line and the environment name.
    #[default]
    Default,
    /// The one that arguments of docker-py's client name; they may hold functions until they are
    /// bound.
    Client(Json),
}

impl EngineRef {
    /// Evaluates the functions in it.
    fn bind(&self, around: &Around<'_>) -> Result<Self, String> {
        let Self::Client(client) = self else {
            return Ok(Self::Default);
        };
        let bound = function::bind(client, around)
            .map_err(|message| format!("its engine is not known: {message}"))?;
        self.check_bound(&bound)?;
        Ok(Self::Client(bound))
    }

    /// An address that comes to nothing must not lead to the default engine.
    fn check_bound(&self, bound: &Json) -> Result<(), String> {
        let Self::Client(client) = self else {
            return Ok(());
        };
        let lost = function::holds_call(client)
            && !client["base_url"].is_null()
            && bound["base_url"].is_null();
        if lost {
            Err("its engine is not known yet: `base_url` came to nothing".to_owned())
        } else {
            Ok(())
        }
    }
}

impl fmt::Display for EngineRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("the default engine"),
            Self::Client(client) => match &client["base_url"] {
                Json::Null => f.write_str("the default engine"),
                Json::String(address) => f.write_str(address),
                _ => f.write_str("an engine known after install"),
            },
        }
    }
}

/// Where the object of an instance is, and which it is, as far as is known.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Whereabouts {
    /// Its engine.
    pub engine: EngineRef,
    /// Its id, as the record has it.
    pub object: Option<String>,
}

/// For each instance that has an object where that is.
pub type Places = IndexMap<String, Whereabouts>;

/// On which engine the objects of each instance are. One that cannot be told yet is left out:
/// nothing of the instance exists.
///
/// # Errors
///
/// If it cannot be told of an instance whose object exists.
pub fn places(
    deployment: &Deployment,
    record: &Record,
    secrets: &Secrets,
) -> Result<Places, String> {
    let mut places = Places::new();
    for instance in &deployment.instances {
        let Some(engine) = docker::engine_of(deployment, instance) else {
            continue;
        };
        let object = deployment
            .node(instance)
            .and_then(|node| docker::known_id(record, instance, node))
            .map(str::to_owned);
        match engine.bind(&Around {
            record,
            me: Some(&instance.id),
            secrets,
        }) {
            Ok(engine) => drop(places.insert(instance.id.clone(), Whereabouts { engine, object })),
            Err(message) if object.is_some() => {
                return Err(format!("`{}`: {message}", instance.id));
            }
            Err(_) => {}
        }
    }
    Ok(places)
}

/// Says what exists of a deployment and what stands where it wants to be, and whether it is as
/// declared. Changes nothing.
///
/// # Errors
///
/// If an engine does not answer, or it cannot be told which one an object is on.
pub async fn look<B: Backend>(
    backend: &B,
    deployment: &Deployment,
    record: &Record,
    secrets: &Secrets,
) -> Result<Observed, Failure> {
    let places = places(deployment, record, secrets).map_err(Failure::fatal)?;
    let mut observed = backend.observe(deployment, &places).await?;
    for object in &mut observed.objects {
        let me = object.owner.as_ref().map(|owner| owner.instance.clone());
        docker::judge(
            object,
            deployment,
            &Around {
                record,
                me: me.as_deref(),
                secrets,
            },
        );
    }
    Ok(observed)
}

/// What engines say now.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observed {
    /// Every object that belongs to the deployment or has a name that it wants.
    pub objects: Vec<Object>,
    /// Names of the engines that the instances are on, the default one's left out.
    pub engines: HashMap<String, String>,
}

impl Observed {
    /// The object that was created for an instance.
    #[must_use]
    pub fn of(&self, instance: &str) -> Option<&Object> {
        self.objects.iter().find(|object| {
            object
                .owner
                .as_ref()
                .is_some_and(|owner| owner.instance == instance)
        })
    }

    /// The object of this name, or with this id, on the engine of an instance, whoever made it.
    #[must_use]
    pub fn named(&self, instance: &str, name: &str) -> Option<&Object> {
        let engine = self
            .engines
            .get(instance)
            .map_or(Object::DEFAULT_ENGINE, String::as_str);
        self.objects
            .iter()
            .find(|object| object.engine == engine && (object.name == name || object.id == name))
    }
}

/// What something on an engine is.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ObjectKind {
    /// A container.
    #[default]
    Container,
    /// An image.
    Image,
    /// A network.
    Network,
    /// A volume.
    Volume,
}

impl ObjectKind {
    /// The name as shown.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Container => "container",
            Self::Image => "image",
            Self::Network => "network",
            Self::Volume => "volume",
        }
    }
}

/// Something that exists on an engine.
#[derive(Clone, Debug, PartialEq)]
pub struct Object {
    /// What it is.
    pub kind: ObjectKind,
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Reference of its image.
    pub image: String,
    /// What it does.
    pub state: ObjectState,
    /// What its health check says, where it has one.
    pub health: Option<String>,
    /// When it was started, as the engine spells it.
    pub started_at: Option<String>,
    /// How it ended, if it did.
    pub exit_code: Option<i64>,
    /// Published ports, as `8080→80/tcp`.
    pub ports: Vec<String>,
    /// Runtime properties as they are now.
    pub properties: JsonMap<String, Json>,
    /// For whom it was created; none if not by this deployment.
    pub owner: Option<Owner>,
    /// Its labels say that it was made for a deployment of this name, and nothing proves it.
    pub is_claimed: bool,
    /// Name of the engine that it is on.
    pub engine: String,
    /// Where it is not any more what was declared when it was made.
    pub drift: Vec<Drift>,
    /// What the engine shows of it, if no digest says whether it is as declared: until [`look`]
    /// compares that.
    pub shown: Option<Box<docker::Shown>>,
    /// What came of that.
    pub comparison: docker::Comparison,
}

/// Something that was declared and that an object has no more: somebody changed it.
#[derive(Clone, Debug, PartialEq)]
pub struct Drift {
    /// What, as the engine calls it.
    pub field: String,
    /// What was declared.
    pub declared: Json,
    /// What is there.
    pub found: Json,
    /// What puts it right.
    pub repair: Step,
}

impl fmt::Display for Drift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} → {}", self.field, self.declared, self.found)
    }
}

impl Object {
    /// Name of the engine that the command line and the environment name. Others are called by
    /// their address.
    pub const DEFAULT_ENGINE: &str = "default";
}

/// For whom an object was created.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Owner {
    /// Id of the instance.
    pub instance: String,
    /// It was made from what the deployment declares now.
    pub as_declared: bool,
}

/// What an object does.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ObjectState {
    /// Made and never started.
    Created,
    /// Running.
    Running,
    /// Ended, and about to be started again by the engine.
    Restarting,
    /// Running and frozen.
    Paused,
    /// Not running any more.
    Exited,
    /// Being removed, or beyond use.
    Dead,
    /// There, and nothing that runs: a network, a volume.
    Available,
}

impl ObjectState {
    /// The name as shown.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Running => "running",
            Self::Restarting => "restarting",
            Self::Paused => "paused",
            Self::Exited => "exited",
            Self::Dead => "dead",
            Self::Available => "available",
        }
    }
}

/// How far an instance is from being installed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Standing {
    /// It is there as wanted.
    UpToDate,
    /// Nothing of it is there.
    Absent,
    /// It is there, and creating it came to no end.
    Unfinished,
    /// It is there and does not run.
    Stopped,
    /// It runs, and nobody knows yet whether it is ready.
    NotReady,
    /// It is there, and somebody changed it.
    Changed,
    /// It was made from another definition.
    Outdated,
    /// It holds on to an object that is made anew: an address, an id, a link.
    Bound,
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UpToDate => "it is up to date",
            Self::Absent => "it is missing",
            Self::Unfinished => "creating it was not finished",
            Self::Stopped => "it is not running",
            Self::NotReady => "it is not known to be ready",
            Self::Changed => "somebody changed it",
            Self::Outdated => "its definition changed",
            Self::Bound => "what it is bound to is made anew",
        })
    }
}

/// The steps of an operation; none if nothing here can run it.
#[must_use]
pub fn lower(
    deployment: &Deployment,
    instance: &Instance,
    node: &Definition,
    name: &str,
    operation: &Planned,
) -> Option<Vec<Step>> {
    if let Some(simulated) = simulated::lower(name, operation) {
        return Some(vec![Step::Simulated(simulated)]);
    }
    let steps = docker::lower(deployment, instance, node, name, operation)?;
    Some(steps.into_iter().map(Step::Docker).collect())
}

/// The steps of an operation of a relationship, called `side/interface.operation`; none if nothing
/// here can run it.
#[must_use]
pub fn lower_tie(name: &str, operation: &Planned) -> Option<Vec<Step>> {
    simulated::lower(name, operation).map(|simulated| vec![Step::Simulated(simulated)])
}

/// Whether something here can run an operation.
#[must_use]
pub fn supports(plugin: &str, operation: &str) -> bool {
    docker::Operation::of(plugin, operation).is_some()
}

/// Whether dockctl itself carries out what a blueprint's plugin of this name does.
#[must_use]
pub fn provides(plugin: &str) -> bool {
    docker::provides(plugin)
}

/// For each instance the ids of those whose objects its own name, such as by links.
#[must_use]
pub fn uses(deployment: &Deployment) -> HashMap<String, Vec<String>> {
    docker::uses(deployment)
}

/// Whether an operation makes or starts a container.
#[must_use]
pub fn makes_or_starts(operation: &Planned) -> bool {
    use docker::Operation::{Create, Run, Start};
    matches!(
        docker::Operation::of(&operation.plugin, &operation.operation),
        Some(Create | Run | Start)
    )
}

/// Whether an operation makes an object from the properties of its node.
#[must_use]
pub fn reads_properties(operation: &Planned) -> bool {
    docker::Operation::of(&operation.plugin, &operation.operation)
        .and_then(docker::Operation::makes)
        .is_some()
}

/// Whether the object of a node stays when its deployment is taken down: a volume that is kept.
#[must_use]
pub fn outlives_deployment(node: &Definition) -> bool {
    docker::kind(node) == Some(ObjectKind::Volume)
        && node
            .properties
            .get("keep")
            .is_none_or(|keep| *keep != false)
}

/// How far an instance is from being installed.
#[must_use]
pub fn standing(
    instance: &Instance,
    node: &Definition,
    record: &Record,
    observed: &Observed,
) -> Standing {
    // Images are looked at when they are used.
    if has_object(node) {
        return docker::standing(instance, node, record, observed);
    }
    match record.state(&instance.id) {
        InstanceState::Started => Standing::UpToDate,
        _ => Standing::Absent,
    }
}

/// Whether the object of an instance is as it should be: it runs, is there, or ended as it was to
/// end.
#[must_use]
pub fn is_done(instance: &Instance, node: &Definition, observed: &Observed) -> bool {
    object_of(node, instance, observed).is_some_and(|object| docker::is_done(node, object))
}

/// Whether another object can take the place of a node's.
#[must_use]
pub fn is_replaceable(node: &Definition) -> bool {
    docker::kind(node) == Some(ObjectKind::Container) && !node.is_adopted()
}

/// Why an old object of an instance and the one that takes its place cannot be there at once, in
/// words; none if they can.
#[must_use]
pub fn both_need(
    deployment: &Deployment,
    instance: &Instance,
    former: &Definition,
    node: &Definition,
) -> Option<String> {
    docker::both_need(deployment, instance, former, node)
}

/// Whether the object of an instance is gone for good as soon as it is stopped.
#[must_use]
pub fn is_removed_when_stopped(
    deployment: &Deployment,
    instance: &Instance,
    node: &Definition,
) -> bool {
    docker::is_removed_when_stopped(deployment, instance, node)
}

/// A port of the host that a node's object must have, so that there can be only one.
#[must_use]
pub fn fixed_port(node: &Definition) -> Option<String> {
    docker::fixed_port(node)
}

/// What it takes to make an instance what its node says now.
#[must_use]
pub fn change(
    instance: &Instance,
    node: &Definition,
    record: &Record,
    observed: &Observed,
) -> Change {
    docker::change(instance, node, record, observed)
}

/// The step that puts what was made in the place of an object there.
#[must_use]
pub fn swap(deployment: &Deployment, instance: &Instance, node: &Definition, keeps: bool) -> Step {
    Step::Docker(docker::swap(deployment, instance, node, keeps))
}

/// Whether another object is about to take the place of an instance's, or took it a moment ago.
#[must_use]
pub fn is_being_replaced(known: &InstanceRecord) -> bool {
    docker::is_being_replaced(&known.properties)
}

/// Whether another object has the place of an instance's, and the old one is there still.
#[must_use]
pub fn is_replaced(known: &InstanceRecord) -> bool {
    docker::is_replaced(&known.properties)
}

/// Whether an old object has its place back, and was not started there yet.
#[must_use]
pub fn is_put_back(known: &InstanceRecord) -> bool {
    docker::is_put_back(&known.properties)
}

/// Whether the object is gone that another one is to take the place of, or took it.
#[must_use]
pub fn is_predecessor_gone(known: &InstanceRecord, observed: &Observed) -> bool {
    docker::is_predecessor_gone(&known.properties, observed)
}

/// The step that removes what another object takes the place of; one that was adopted is kept.
#[must_use]
pub fn discarding(node: &Definition, keeps: bool) -> Step {
    Step::Docker(docker::discarding(node, keeps))
}

/// The step that sees whether what takes the place of an object stays up; none if something else
/// shows it.
#[must_use]
pub fn enduring(node: &Definition) -> Option<Step> {
    docker::enduring(node).map(Step::Docker)
}

/// The step that stops an object for another one, where its own definition has no operation for
/// that.
#[must_use]
pub fn stopping(node: &Definition) -> Step {
    Step::Docker(docker::stopping(node))
}

/// The step that gives the object back its place that was made from `former`, and removes what was
/// to take it.
#[must_use]
pub fn put_back(former: &Definition) -> Step {
    Step::Docker(docker::put_back(former))
}

/// The step that starts an object which has its place again.
#[must_use]
pub fn starting_old(former: &Definition) -> Step {
    Step::Docker(docker::starting_old(former))
}

/// Whether nothing of an instance can exist: its engine was never known, and no object of it is.
#[must_use]
pub fn is_out_of_reach(
    deployment: &Deployment,
    instance: &Instance,
    node: &Definition,
    record: &Record,
    observed: &Observed,
) -> bool {
    let late = matches!(docker::engine_of(deployment, instance), Some(EngineRef::Client(client)) if function::holds_call(&client));
    late && docker::known_id(record, instance, node).is_none() && !exists(instance, observed)
}

/// Whether an instance stands for an image that is made for the deployment.
#[must_use]
pub fn makes_image(deployment: &Deployment, instance: &str) -> bool {
    let node = deployment
        .instance(instance)
        .and_then(|instance| deployment.node(instance));
    node.and_then(docker::kind) == Some(ObjectKind::Image)
}

/// Whether what a step did, as the journal has it, still stands: then it need not be done again.
#[must_use]
pub fn still_done(
    step: &Step,
    instance: &Instance,
    node: &Definition,
    observed: &Observed,
) -> bool {
    match step {
        Step::Docker(step) => docker::still_done(&step.action, node, observed.of(&instance.id)),
        Step::Nothing | Step::Simulated(_) => true,
        Step::Refused { .. } => false,
    }
}

/// Whether an instance of a node is looked at on an engine, and not only in the record.
#[must_use]
pub fn has_object(node: &Definition) -> bool {
    docker::kind(node).is_some_and(|kind| kind != ObjectKind::Image)
}

/// Whether an object of the instance exists.
#[must_use]
pub fn exists(instance: &Instance, observed: &Observed) -> bool {
    observed.of(&instance.id).is_some()
}

/// The object that stands for an instance: created for it, or adopted by it.
#[must_use]
pub fn object_of<'o>(
    node: &Definition,
    instance: &Instance,
    observed: &'o Observed,
) -> Option<&'o Object> {
    let adopted =
        || docker::adopted_name(node).and_then(|name| observed.named(&instance.id, &name));
    observed.of(&instance.id).or_else(adopted)
}

/// The JSON Schema of blueprints, with what back-ends know of the types that they carry out.
#[must_use]
pub fn json_schema() -> Json {
    let mut schema = crate::syntax::json_schema();
    docker::params::extend_schema(&mut schema);
    schema
}

/// Finds the faults that only a back-end knows of: arguments, names, images.
pub fn check(blueprint: &Blueprint, d: &mut Diagnostics) {
    docker::check::check(blueprint, d);
}
