//! The action of this plugin, and its conversion to steps and back.

use super::language::{Language, dedent};
use crate::seam::{Failure, Settling, Step, Traits};
use serde::{Deserialize, Serialize};
use serde_json::{Map as JsonMap, Value as Json, json};

/// ID of the plugin in steps.
pub(crate) const ID: &str = "script";

/// Format version of a step's payload.
const VERSION: u32 = 1;

/// Input with the path of a script.
pub(crate) const PATH: &str = "script_path";
/// Input with the text of a script.
pub(crate) const SOURCE: &str = "script_source";
/// Input with the settings of the process.
pub(crate) const PROCESS: &str = "process";
/// Input with a certificate for the download of a script.
pub(crate) const CERTIFICATE: &str = "ssl_cert_content";

/// Returns true if a script with these inputs may be Python. Only Python scripts can create
/// secrets.
#[must_use]
pub(crate) fn may_be_python(inputs: &JsonMap<String, Json>) -> bool {
    let process = inputs.get(PROCESS);
    let is_python = process.and_then(|process| process["eval_python"].as_bool());
    let language = match (inputs.get(PATH), inputs.get(SOURCE)) {
        (Some(Json::String(path)), _) => Language::of_file(path, is_python),
        (_, Some(Json::String(text))) => Language::of_text(&dedent(text), is_python),
        _ => Language::Undecided,
    };
    language != Language::Shell
}

/// Payload of a step of this plugin.
#[derive(Deserialize, Serialize)]
struct Payload {
    version: u32,
    #[serde(flatten)]
    action: Action,
}

/// An action of this plugin. The inputs may contain function calls until the step is bound.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub(crate) enum Action {
    /// Runs a script.
    Run {
        /// Name of the operation, as `interface.operation`.
        operation: String,
        /// Name of the plugin in the blueprint.
        plugin: String,
        /// Directory of the blueprint.
        directory: String,
        /// All inputs of the operation.
        inputs: JsonMap<String, Json>,
    },
}

impl Action {
    /// Returns the action of a step.
    ///
    /// # Errors
    ///
    /// If another version of dockctl wrote the step.
    pub(crate) fn from_step(step: &Step) -> Result<Self, Failure> {
        let newer = |what: String| {
            Failure::fatal(format!("this dockctl cannot run the step `{step}`: {what}"))
                .hint("use the dockctl version that planned it, or a newer one")
        };
        match serde_json::from_value::<Payload>(step.payload.clone()) {
            Ok(payload) if payload.version == VERSION => Ok(payload.action),
            Ok(payload) => Err(newer(format!("its version is {}", payload.version))),
            Err(error) => Err(newer(error.to_string())),
        }
    }

    /// Returns the step. It runs in the object of the instance `inside`, if there is one.
    #[must_use]
    pub(crate) fn into_step(self, inside: Option<String>) -> Step {
        let traits = Traits {
            title: self.title(),
            settling: self.settling(),
            creates_secrets: self.may_create_secrets(),
            ..Traits::default()
        };
        let payload = Payload {
            version: VERSION,
            action: self,
        };
        Step {
            plugin: ID.to_owned(),
            inside,
            traits,
            payload: json!(payload),
            ..Step::default()
        }
    }

    fn title(&self) -> String {
        let Self::Run { inputs, .. } = self;
        let what = match (inputs.get(PATH), inputs.get(SOURCE)) {
            (Some(Json::String(path)), _) => format!("run {path}"),
            (None, Some(_)) => "run inline script".to_owned(),
            _ => "run script".to_owned(),
        };
        let once = self.settling() == Settling::AskUser;
        let rule = if once {
            "not repeated without asking"
        } else {
            "at least once"
        };
        format!("{what} ({rule})")
    }

    fn may_create_secrets(&self) -> bool {
        let Self::Run { inputs, .. } = self;
        may_be_python(inputs)
    }

    /// A script whose outcome is unknown runs again, unless its blueprint forbids it.
    fn settling(&self) -> Settling {
        let Self::Run { inputs, .. } = self;
        match inputs.get(PROCESS).map(|process| &process["on_unknown"]) {
            Some(Json::String(rule)) if rule == "fail" => Settling::AskUser,
            _ => Settling::AtLeastOnce,
        }
    }
}
