//! Checks the requirements of a stage before it starts. A run that stops a container and then lacks
//! a value or a file could not start the container again.

use crate::{
    model::{Deployment, function::withheld_digests},
    plugins::Plugins,
    seam::{Need, Step},
    secrets::Secrets,
    stage::{Stage, Task, TaskId},
};
use std::{collections::BTreeSet, fs, io, path::Path};

/// A missing requirement of a task.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct MissingRequirement {
    /// The first task that needs it.
    pub task: TaskId,
    /// Message that describes the missing value or file.
    pub reason: String,
    /// Names of the inputs that the user must pass again.
    pub inputs: Vec<String>,
}

/// Returns the missing requirements of a stage, each once per instance. Reads the environment and
/// files; changes nothing.
#[must_use]
pub fn missing_requirements(
    stage: &Stage,
    deployment: Option<&Deployment>,
    (plugins, secrets): (Plugins, &Secrets),
) -> Vec<MissingRequirement> {
    let mut seen: BTreeSet<(&str, Need)> = BTreeSet::new();
    let mut all = Vec::new();
    let after_creators = after_secret_creators(stage);
    for task in stage.ids() {
        let Task { instance, step, .. } = stage.task(task);
        for need in requirements(step, plugins) {
            if after_creators[task.0] && matches!(need, Need::Secret(_)) {
                continue;
            }
            if seen.insert((instance, need.clone())) {
                all.extend(missing_requirement(task, &need, deployment, secrets));
            }
        }
    }
    all
}

/// Returns, for each task, whether it runs after one that may create its secrets.
fn after_secret_creators(stage: &Stage) -> Vec<bool> {
    let mut after = vec![false; stage.tasks().len()];
    for id in stage.ids() {
        let creates = |need: &TaskId| stage.task(*need).step.traits.creates_secrets;
        let needs = &stage.task(id).needs;
        after[id.0] = needs.iter().any(|need| after[need.0] || creates(need));
    }
    after
}

/// Returns the secrets, withheld values and local files that a step needs.
fn requirements(step: &Step, plugins: Plugins) -> Vec<Need> {
    let secrets = step.secret_names().into_iter().map(Need::Secret);
    let withheld = step.withheld_digests().into_iter().map(Need::Withheld);
    secrets.chain(withheld).chain(plugins.files(step)).collect()
}

fn missing_requirement(
    task: TaskId,
    need: &Need,
    deployment: Option<&Deployment>,
    secrets: &Secrets,
) -> Option<MissingRequirement> {
    let other = |why: String| MissingRequirement {
        task,
        reason: why,
        inputs: Vec::new(),
    };
    match need {
        Need::Secret(name) => secrets.get(name).err().map(other),
        Need::Withheld(digest) => secrets
            .withheld(digest)
            .err()
            .map(|_| missing_value(task, digest, deployment)),
        Need::File(path) => unreadable(path, fs::File::open(path)).map(other),
        Need::Directory(path) => unreadable(path, fs::read_dir(path)).map(other),
    }
}

fn unreadable<T>(path: &Path, opened: io::Result<T>) -> Option<String> {
    match opened.err()?.kind() {
        io::ErrorKind::NotFound => Some(format!("{} does not exist", path.display())),
        kind => Some(format!("cannot read {}: {kind}", path.display())),
    }
}

/// Returns the missing requirement for a sensitive value that is not stored. The user must pass a
/// sensitive input again; an update reads a sensitive value of the blueprint again.
fn missing_value(
    task: TaskId,
    digest: &str,
    deployment: Option<&Deployment>,
) -> MissingRequirement {
    let inputs = deployment
        .into_iter()
        .flat_map(|deployment| &deployment.inputs);
    let inputs: Vec<String> = inputs
        .filter(|(_, value)| withheld_digests(value).iter().any(|it| it == digest))
        .map(|(name, _)| name.clone())
        .collect();
    let why = match &inputs[..] {
        [] => {
            let path = deployment
                .map(|deployment| deployment.blueprint.display().to_string())
                .unwrap_or_default();
            format!("a sensitive value in {path} is not stored; `dockctl update` reads it again")
        }
        [name] => format!(
            "the value of the sensitive input `{name}` is missing or differs from the installed value"
        ),
        names => format!(
            "the values of the sensitive inputs {} are missing or differ from the installed values",
            names.join(", ")
        ),
    };
    MissingRequirement {
        task,
        reason: why,
        inputs,
    }
}

/// Returns a stage with a refusal for each missing requirement.
#[must_use]
pub fn refused_stage(stage: &Stage, missing: &[MissingRequirement]) -> Stage {
    let mut refused = Stage::default();
    for one in missing {
        let why = format!("{}; no step was started", one.reason);
        refused.push(Task {
            step: Step::refused(why),
            needs: Vec::new(),
            state_during: None,
            state_after: None,
            ..stage.task(one.task).clone()
        });
    }
    refused
}
