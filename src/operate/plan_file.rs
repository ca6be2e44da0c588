//! Plan files: a stored plan that a later run must match exactly.

use super::error::{Detail, Error, Kind};
use crate::{
    digest::sha256,
    model::{Deployment, Instance},
    seam::Observed,
    stage::{Parameters, Stage},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use std::{fs, path::Path};

/// Format of the file.
///
/// 2: steps are data with traits; their descriptions are not compared.
const FORMAT: u32 = 2;

/// The contents of a plan file (`plan --out`). Its digests contain no secrets: they are computed
/// without sensitive inputs.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct PlanFile {
    pub format: u32,
    pub kind: String,
    pub deployment: String,
    #[serde(flatten)]
    pub parameters: Parameters,
    /// Digest of the evaluated blueprint.
    pub blueprint: String,
    /// Digest of the inputs.
    pub inputs: String,
    /// Objects that existed.
    pub observed: Json,
    /// Instances of the deployment, with their IDs.
    pub instances: Vec<Instance>,
    /// Stages to run.
    pub stages: Vec<Stage>,
}

impl PlanFile {
    pub(crate) fn new(
        parameters: &Parameters,
        deployment: &Deployment,
        observed: &Observed,
        stage: &Stage,
    ) -> Self {
        let objects = observed.objects().iter().map(
            |it| json!({ "engine": it.engine, "kind": it.kind, "name": it.name, "id": it.id, "state": it.state, "health": it.health }),
        );
        Self {
            format: FORMAT,
            kind: "dockctl.plan".to_owned(),
            deployment: deployment.name.clone(),
            parameters: parameters.clone(),
            blueprint: sha256(&deployment.comparable_content().to_string()),
            inputs: sha256(&json!(deployment.inputs).to_string()),
            observed: objects.collect(),
            instances: deployment.instances.clone(),
            stages: vec![stage.clone()],
        }
    }

    /// Reads a plan file.
    pub(crate) fn read(path: &Path) -> Result<Self, Error> {
        let unusable = |why: String| {
            Error::usage(format!(
                "cannot use the plan file {}: {why}",
                path.display()
            ))
        };
        let text = fs::read_to_string(path).map_err(|error| unusable(error.to_string()))?;
        let json: Json =
            serde_json::from_str(&text).map_err(|error| unusable(error.to_string()))?;
        if json["kind"] != "dockctl.plan" {
            let error = unusable("not a plan".to_owned());
            return Err(error.hint("to create one, run: dockctl plan --out FILE"));
        }
        match json["format"].as_u64() {
            Some(format) if format == u64::from(FORMAT) => {}
            Some(format) if format < FORMAT.into() => {
                let error = unusable("written by an older dockctl".to_owned());
                return Err(error.hint("create a new plan: dockctl plan --out FILE"));
            }
            _ => return Err(unusable("written by a newer dockctl".to_owned())),
        }
        serde_json::from_value(json).map_err(|error| unusable(error.to_string()))
    }

    /// Returns an error if anything changed since the plan was created.
    pub(crate) fn check(&self, now: &Self) -> Result<(), Error> {
        let inputs = self.inputs != now.inputs;
        let mut changed: Vec<&'static str> = [
            ("the deployment", self.deployment != now.deployment),
            ("the inputs", inputs),
            // Other inputs change the evaluated blueprint too: report only the inputs.
            ("the blueprint", !inputs && self.blueprint != now.blueprint),
            ("what is on the engine", self.observed != now.observed),
        ]
        .into_iter()
        .filter_map(|(what, changed)| changed.then_some(what))
        .collect();
        // Empty plans of different workflows are equal.
        let is_empty = |plan: &Self| plan.stages.iter().all(Stage::is_empty);
        let (planned, requested) = (self.parameters.workflow(), now.parameters.workflow());
        if changed.is_empty() && planned != requested && !(is_empty(self) && is_empty(now)) {
            let error = Error::new(
                Kind::Different,
                format!("the plan is for {planned}, not for {requested}; nothing was done"),
            );
            return Err(error.hint(format!("run it with: dockctl {planned} --plan FILE")));
        }
        if changed.is_empty() && self.stages != now.stages {
            changed.push("what is to be done");
        }
        if changed.is_empty() {
            return Ok(());
        }
        let message = format!(
            "the plan is out of date: {} changed; nothing was done",
            changed
                .iter()
                .map(|what| moved_text(what))
                .collect::<Vec<_>>()
                .join(" and ")
        );
        let mut error =
            Error::new(Kind::Different, message).hint("create a new plan and review the changes");
        if inputs {
            error = error
                .hint("a plan must run with the inputs that it was created with: pass the same -i");
        }
        let deployment = now.deployment.clone();
        Err(error.with(Detail::OutOfDate {
            deployment,
            changed,
        }))
    }
}

/// Returns the text for a value of the JSON list `moved`.
fn moved_text(what: &str) -> &str {
    match what {
        "what is on the engine" => "the objects on the engine",
        "what is to be done" => "the steps",
        other => other,
    }
}
