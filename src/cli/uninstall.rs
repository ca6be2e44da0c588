//! `dockctl uninstall`.

use super::{
    Outcome,
    args::Global,
    complain,
    confirm::confirm,
    error::{CliError, Kind},
    recover,
    run::closing,
    session::{How, Job, Session},
    workspace::Workspace,
};
use crate::{
    backend::{docker::give_up_volumes, places},
    event::Event,
    model::Deployment,
    plan::{Parameters, Workflow, uninstall as workflow},
    report::count,
    state::Record,
};
use serde_json::json;

/// Takes a deployment down. One that is not there is no fault; one that only labels tell of is taken from them.
pub(crate) fn uninstall(global: &Global, given: Option<&str>, volumes: bool, inputs: &[String], how: How) -> Result<Outcome, CliError> {
    let workspace = Workspace::new(global)?;
    let name = workspace.name(given)?;
    workspace.supply(inputs)?;
    Workspace::runtime()?.block_on(async {
        recover::mend(&workspace, &name).await?;
        let engines = workspace.engines()?;
        let known = workspace.state.read(&name)?.is_some_and(|record| record.is_installed() || record.running().is_some());
        let recovered = if known { None } else { engines.default_engine().await?.recover(&name).await? };
        if !known && recovered.is_none() {
            tell_others(&workspace, &name)?;
            return Ok(nothing(&name));
        }
        if let Some(recovered) = &recovered {
            complain(&format!(
                "this state folder does not know `{name}`; this is what the engine's labels tell:\n{}",
                recover::words(recovered)
            ));
        }
        let deployment = recovered.as_ref().map_or_else(|| workspace.state.read(&name).ok().flatten()?.deployment, |_| None);
        ask(global, &name, volumes, deployment.as_ref())?;
        let mut session = Session::begin(&workspace, &engines, &name, "uninstall")?;
        let before = recovered.map(recover::event).into_iter().collect();
        let done = Box::pin(take_down(&workspace, &mut session, before, volumes, how)).await;
        let record = session.end().await;
        Ok(if done? { closing(&record) } else { nothing(&name) })
    })
}

/// Whether there was anything to take down.
async fn take_down(
    workspace: &Workspace<'_>,
    session: &mut Session<'_>,
    before: Vec<Event>,
    volumes: bool,
    how: How,
) -> Result<bool, CliError> {
    // Another run may have ended since the first look.
    let before = if session.record.is_installed() { Vec::new() } else { before };
    let recovered = before.iter().find_map(|event| if let Event::Recovered { deployment, .. } = event { Some(deployment) } else { None });
    let Some(deployment) = recovered.map(|it| *it.clone()).or_else(|| session.record.deployment.clone()) else { return Ok(false) };
    let name = deployment.name.clone();
    let known = if before.is_empty() { session.record.clone() } else { Record::default() };
    let places = places(&deployment, &known, &workspace.secrets).map_err(|message| CliError::new(Kind::Engine, message))?;
    session.settle(&name, &places, "uninstall").await?;
    session.note(before)?;
    let Some(mut deployment) = session.record.deployment.clone().filter(|_| session.record.is_installed()) else { return Ok(false) };
    if volumes {
        give_up_volumes(&mut deployment, |_| true);
    }
    let proposal = workflow::next(&deployment, &session.record, &session.observe().await?);
    let volumes = volumes.then(|| "--volumes".to_owned());
    let words: Vec<String> = ["uninstall", &name].map(str::to_owned).into_iter().chain(volumes).chain(how.flags()).collect();
    let again: Vec<&str> = words.iter().map(String::as_str).collect();
    let job = Job {
        workflow: Workflow::Uninstall,
        parameters: Parameters::default(),
        of: None,
        stage: proposal.stage,
        before: Vec::new(),
        how,
        again: workspace.again(&again),
        replan: Some(Box::new(move |known| workflow::next(&deployment, known.record, known.observed).stage)),
    };
    session.carry_out(job).await.map(|()| true)
}

fn ask(global: &Global, name: &str, volumes: bool, deployment: Option<&Deployment>) -> Result<(), CliError> {
    let instances = deployment.map(|deployment| format!(" ({})", count(deployment.instances.len(), "instance"))).unwrap_or_default();
    let what = if volumes { "all its containers and everything in its volumes" } else { "all its containers" };
    let protected = deployment.map(|deployment| deployment.protected.join(", ")).filter(|names| !names.is_empty());
    let danger = match protected {
        Some(nodes) => Some(format!("this deletes what the blueprint protects: {nodes}")),
        None => volumes.then(|| "--volumes removes what cannot be made again".to_owned()),
    };
    confirm(global, &format!("Take down `{name}`{instances}, with {what}?"), danger.as_deref())
}

/// A name that was never heard of may be a slip.
fn tell_others(workspace: &Workspace<'_>, name: &str) -> Result<(), CliError> {
    let installed = workspace.installed()?;
    if workspace.state.read(name)?.is_none() && !installed.is_empty() {
        complain(&format!("warning: there never was a deployment `{name}` here; installed are: {}\n", installed.join(", ")));
    }
    Ok(())
}

fn nothing(name: &str) -> Outcome {
    Outcome::new(json!({ "deployment": name, "execution": null, "instances": [] }), format!("`{name}` is not installed: nothing to do\n"))
}
