//! What a stage needs is looked up before it begins: a run that stops something and cannot go on leaves less than there was.

use crate::{
    backend::{Need, Step},
    model::{Deployment, function::withheld_digests},
    plan::{Stage, Task, TaskId},
    secrets::Secrets,
};
use std::{collections::BTreeSet, fs, io, path::Path};

/// Something that a task needs and that is not at hand.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Lack {
    /// The first task that needs it.
    pub task: TaskId,
    /// What is missing, in words.
    pub why: String,
    /// Names of the inputs that have to be given again.
    pub inputs: Vec<String>,
}

/// Everything that is missing for a stage, each once for each instance. Reads the environment and files; changes nothing.
#[must_use]
pub fn lacks(stage: &Stage, deployment: Option<&Deployment>, secrets: &Secrets) -> Vec<Lack> {
    let mut seen: BTreeSet<(&str, Need)> = BTreeSet::new();
    let mut all = Vec::new();
    for task in stage.ids() {
        let Task { instance, step, .. } = stage.task(task);
        for need in step.needs() {
            if seen.insert((instance, need.clone())) {
                all.extend(lack(task, &need, deployment, secrets));
            }
        }
    }
    all
}

fn lack(task: TaskId, need: &Need, deployment: Option<&Deployment>, secrets: &Secrets) -> Option<Lack> {
    let other = |why: String| Lack { task, why, inputs: Vec::new() };
    match need {
        Need::Secret(name) => secrets.get(name).err().map(other),
        Need::Withheld(digest) => secrets.withheld(digest).err().map(|_| not_kept(task, digest, deployment)),
        Need::File(path) => unreadable(path, fs::File::open(path)).map(other),
        Need::Folder(path) => unreadable(path, fs::read_dir(path)).map(other),
    }
}

fn unreadable<T>(path: &Path, opened: io::Result<T>) -> Option<String> {
    match opened.err()?.kind() {
        io::ErrorKind::NotFound => Some(format!("there is no {}", path.display())),
        kind => Some(format!("{} cannot be read: {kind}", path.display())),
    }
}

/// Values of sensitive inputs are given again; what the blueprint itself says is read again by an update.
fn not_kept(task: TaskId, digest: &str, deployment: Option<&Deployment>) -> Lack {
    let inputs = deployment.into_iter().flat_map(|deployment| &deployment.inputs);
    let inputs: Vec<String> =
        inputs.filter(|(_, value)| withheld_digests(value).iter().any(|it| it == digest)).map(|(name, _)| name.clone()).collect();
    let why = match &inputs[..] {
        [] => {
            let path = deployment.map(|deployment| deployment.blueprint.display().to_string()).unwrap_or_default();
            format!("a sensitive value that {path} holds is not kept: dockctl update reads it again")
        }
        [name] => format!("the value of the sensitive input `{name}` is not kept, and was not given, or is another one"),
        names => format!("the value of the sensitive inputs {} is not kept, and was not given, or is another one", names.join(", ")),
    };
    Lack { task, why, inputs }
}

/// A stage that says what is missing, and does nothing else.
#[must_use]
pub fn refusal(stage: &Stage, lacks: &[Lack]) -> Stage {
    let mut refused = Stage::default();
    for lack in lacks {
        let why = format!("{}; nothing was begun", lack.why);
        refused.push(Task { step: Step::Refused { why }, needs: Vec::new(), enters: None, leaves: None, ..stage.task(lack.task).clone() });
    }
    refused
}
