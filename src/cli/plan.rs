//! `dockctl plan`.

use super::{
    Outcome,
    args::{BlueprintArgs, Global},
    blueprint, complain,
    error::{CliError, Kind},
    install::{Decision, Wish, too_old, unsupported_lines},
    workspace::Workspace,
};
use crate::report::count;
use crate::{
    backend::Observed,
    model::{Deployment, Difference},
    plan::{Parameters, Stage, Task, Workflow},
};
use indexmap::IndexMap;
use serde_json::{Value as Json, json};

/// Shows what install would do. Reads only.
pub(crate) fn plan(global: &Global, args: &BlueprintArgs, exit_code: bool) -> Result<Outcome, CliError> {
    let workspace = Workspace::new(global)?;
    let path = blueprint::find(args.blueprint.as_deref())?;
    let name = blueprint::deployment_name(args, &path)?;
    let wish = Wish::read(&workspace, args, &path, &name)?;
    let (observed, proposal, too_old) = Workspace::runtime()?.block_on(async {
        let engines = workspace.engines()?;
        let observed = workspace.observe(&engines, &wish.deployment, &wish.known()).await?;
        let proposal = wish.propose(Workflow::Install, &Parameters::default(), &observed);
        let too_old = too_old(&engines, &proposal.stage).await?;
        Ok::<_, CliError>((observed, proposal, too_old))
    })?;
    complain(&too_old.concat());
    complain(&unsupported_lines(&proposal.unsupported));
    let decision = wish.decide(&proposal, &observed);
    let (differences, stage) = match decision {
        Decision::Different(differences) => (differences, Stage::default()),
        Decision::UpToDate => (Vec::new(), Stage::default()),
        Decision::Work => (wish.differences(), proposal.stage),
    };
    let conflicts = conflicts(&stage, &observed);
    let fields = json!({
        "deployment": name,
        "changes": !stage.is_empty() || !differences.is_empty(),
        "steps": steps(&stage),
        "differences": differences,
        "conflicts": conflicts,
        "unsupported": proposal.unsupported,
        "too_old": too_old,
    });
    let text = text(&wish.deployment, &stage, &differences, &conflicts);
    let changes = !stage.is_empty() || !differences.is_empty();
    Ok(Outcome { fields, text, exit: if exit_code && changes { Kind::Different.exit_code() } else { 0 } })
}

fn steps(stage: &Stage) -> Vec<Json> {
    let step = |(id, task): (usize, &Task)| {
        json!({
            "id": id,
            "instance": task.instance,
            "node": task.node,
            "operation": task.operation,
            "step": task.step.to_string(),
            "because": task.cause,
            "after": task.needs,
        })
    };
    stage.tasks().iter().enumerate().map(step).collect()
}

/// Names that are wanted for a new container and taken by one that is not ours.
fn conflicts(stage: &Stage, observed: &Observed) -> Vec<String> {
    let foreign = |task: &&Task| {
        task.step.created_name().and_then(|name| observed.named(&task.instance, name)).is_some_and(|object| object.owner.is_none())
    };
    stage.tasks().iter().filter(foreign).filter_map(|task| task.step.created_name().map(str::to_owned)).collect()
}

fn text(deployment: &Deployment, stage: &Stage, differences: &[Difference], conflicts: &[String]) -> String {
    let mut text = String::new();
    if stage.is_empty() && differences.is_empty() {
        return format!("`{}` is up to date: nothing to do\n", deployment.name);
    }
    if !differences.is_empty() {
        text += "changed since it was installed:\n";
        text.extend(differences.iter().map(|difference| format!("  {difference}\n")));
    }
    if stage.is_empty() {
        return text + "install would do nothing; `update` will change it in place\n";
    }
    text += &format!("install of `{}`:\n", deployment.name);
    let mut instances: IndexMap<&str, Vec<&Task>> = IndexMap::new();
    for task in stage.tasks() {
        instances.entry(&task.instance).or_default().push(task);
    }
    for (instance, tasks) in &instances {
        text += &format!("  {instance}: {}{}\n", tasks[0].cause, after(tasks, stage));
        text.extend(tasks.iter().map(|task| format!("    {:<9} {}\n", task.operation, task.step)));
    }
    text.extend(conflicts.iter().map(|name| {
        format!("conflict: the name `{name}` is taken by a container that is not of this deployment; install will fail there\n")
    }));
    text + &format!("{} on {}\n", count(stage.tasks().len(), "step"), count(instances.len(), "instance"))
}

/// Instances that have to be done first, those apart that only share an image.
fn after(tasks: &[&Task], stage: &Stage) -> String {
    let needs = tasks
        .iter()
        .filter(|task| !task.step.is_about_image())
        .flat_map(|task| &task.needs)
        .map(|need| stage.task(*need).instance.as_str());
    let names: indexmap::IndexSet<&str> = needs.filter(|instance| *instance != tasks[0].instance).collect();
    if names.is_empty() { String::new() } else { format!(", after {}", names.into_iter().collect::<Vec<_>>().join(", ")) }
}

/// What a stage comes to for instances that are there, in words; none if it only adds.
pub(crate) fn summary(stage: &Stage) -> Option<String> {
    let _ = stage;
    None
}
