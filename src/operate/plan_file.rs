//! A plan that was written down, to carry out exactly that.

use super::error::{Detail, Error, Kind};
use crate::{
    digest::plain,
    model::{Deployment, Instance},
    seam::Observed,
    stage::{Parameters, Stage},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use std::{fs, path::Path};

/// Format of the file.
///
/// 2: steps are data with traits; how they are shown does not count.
const FORMAT: u32 = 2;

/// What `plan --out` writes. Its digests hold no secret: sensitive inputs are withheld from what
/// they are made of.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct PlanFile {
    pub format: u32,
    pub kind: String,
    pub deployment: String,
    #[serde(flatten)]
    pub parameters: Parameters,
    /// Digest of what the blueprint comes to.
    pub blueprint: String,
    /// Digest of the inputs.
    pub inputs: String,
    /// What was there.
    pub observed: Json,
    /// Instances that it speaks of.
    pub instances: Vec<Instance>,
    /// What is to be done.
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
            blueprint: plain(&deployment.content().to_string()),
            inputs: plain(&json!(deployment.inputs).to_string()),
            observed: objects.collect(),
            instances: deployment.instances.clone(),
            stages: vec![stage.clone()],
        }
    }

    /// Reads one.
    pub(crate) fn read(path: &Path) -> Result<Self, Error> {
        let cannot = |why: String| {
            Error::usage(format!("the plan {} cannot be used: {why}", path.display()))
        };
        let text = fs::read_to_string(path).map_err(|error| cannot(error.to_string()))?;
        let json: Json = serde_json::from_str(&text).map_err(|error| cannot(error.to_string()))?;
        if json["kind"] != "dockctl.plan" {
            return Err(cannot(
                "it is not a plan; `dockctl plan --out FILE` writes one".to_owned(),
            ));
        }
        match json["format"].as_u64() {
            Some(format) if format == u64::from(FORMAT) => {}
            Some(format) if format < FORMAT.into() => {
                let error = cannot("it was written by an older dockctl".to_owned());
                return Err(error.hint("plan again: dockctl plan --out FILE"));
            }
            _ => return Err(cannot("it was written by a newer dockctl".to_owned())),
        }
        serde_json::from_value(json).map_err(|error| cannot(error.to_string()))
    }

    /// Refuses to go on if anything moved since it was written.
    pub(crate) fn expect(&self, now: &Self) -> Result<(), Error> {
        let inputs = self.inputs != now.inputs;
        let mut moved: Vec<&'static str> = [
            ("the deployment", self.deployment != now.deployment),
            ("the inputs", inputs),
            // Other inputs make something else of the same blueprint.
            ("the blueprint", !inputs && self.blueprint != now.blueprint),
            ("what is on the engine", self.observed != now.observed),
        ]
        .into_iter()
        .filter_map(|(what, moved)| moved.then_some(what))
        .collect();
        // Nothing to do is nothing to do, by whatever name.
        let is_empty = |plan: &Self| plan.stages.iter().all(Stage::is_empty);
        let (planned, asked) = (self.parameters.workflow(), now.parameters.workflow());
        if moved.is_empty() && planned != asked && !(is_empty(self) && is_empty(now)) {
            let error = Error::new(
                Kind::Different,
                format!("this is the plan of an {planned}, not of an {asked}; nothing was done"),
            );
            return Err(error.hint(format!("dockctl {planned} --plan FILE carries it out")));
        }
        if moved.is_empty() && self.stages != now.stages {
            moved.push("what is to be done");
        }
        if moved.is_empty() {
            return Ok(());
        }
        let message = format!(
            "the plan is out of date, nothing was done: {} changed since",
            moved.join(" and ")
        );
        let mut error =
            Error::new(Kind::Different, message).hint("plan again, and look at what changed");
        if inputs {
            error = error.hint(
                "a plan is carried out with the inputs that it was made with: give the same -i",
            );
        }
        let deployment = now.deployment.clone();
        Err(error.with(Detail::Moved { deployment, moved }))
    }
}
