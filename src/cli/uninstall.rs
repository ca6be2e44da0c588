//! `dockctl uninstall`.

use super::{
    Outcome,
    args::Global,
    claims, complain,
    confirm::{ask, confirm, is_asked},
    error::{CliError, Kind},
    recover,
    run::closing,
    session::{How, Job, Session},
    workspace::Workspace,
};
use crate::{
    backend::{
        docker::{Engines, Recovered, Told, give_up_volumes, known_ids},
        places,
    },
    event::Event,
    model::Deployment,
    plan::{Parameters, Workflow, uninstall as workflow},
    report::count,
    state::Record,
};
use serde_json::json;

/// The deployment with what it made and the record does not name any more, such as the volumes of nodes that an update dropped; none if
/// there is nothing of that.
async fn left_behind(session: &Session<'_>, volumes: bool) -> Result<Option<Event>, CliError> {
    let Some(deployment) = session.record.deployment.as_ref().filter(|_| session.record.is_installed()) else { return Ok(None) };
    let told = session.told(&deployment.name).await?;
    let left = told.left_of(&deployment.id, &known_ids(&session.record), volumes);
    let is_known = |id: &str| session.record.dropped.iter().any(|(dropped, _)| dropped.id == id) || deployment.instance(id).is_some();
    let mut whole = deployment.clone();
    for mut instance in left.iter().flat_map(|left| &left.deployment.instances).filter(|it| !is_known(&it.id)).cloned() {
        let Some(node) = left.as_ref().and_then(|left| left.deployment.node(&instance)) else { continue };
        // A node of today can have the name of one that was dropped.
        if whole.nodes.contains_key(&instance.node) {
            instance.node = format!("{}.{}", instance.node, instance.id);
        }
        whole.nodes.insert(instance.node.clone(), node.clone());
        whole.instances.push(instance);
    }
    let is_more = whole.instances.len() > deployment.instances.len();
    Ok(is_more.then(|| Event::Defined { deployment: Box::new(whole) }))
}

/// How a deployment is taken down.
pub(crate) struct Ask<'a> {
    /// Takes down what only labels name: the deployment with this id, or the only one if the id is empty.
    pub from_labels: Option<&'a str>,
    pub volumes: bool,
    pub inputs: &'a [String],
    pub how: How,
}

/// Takes a deployment down. One that is not there is no fault. What this state directory sealed is taken from labels without a
/// question; what others made only if the user says so.
pub(crate) fn uninstall(global: &Global, given: Option<&str>, ask: &Ask<'_>) -> Result<Outcome, CliError> {
    let workspace = Workspace::new(global)?;
    let name = workspace.name(given)?;
    workspace.supply(ask.inputs)?;
    Workspace::runtime()?.block_on(async {
        recover::mend(&workspace, &name).await?;
        let engines = workspace.engines()?;
        let known = workspace.state.read(&name)?.filter(|record| record.is_installed() || record.running().is_some());
        let labelled = match &known {
            Some(_) => known_here(&name, ask.from_labels)?,
            None => labelled(&engines, &name, ask).await?,
        };
        if known.is_none() && labelled.is_none() {
            tell_others(&workspace, &name)?;
            return Ok(nothing(&name));
        }
        let deployment = known.and_then(|record| record.deployment);
        if !labelled.as_ref().is_some_and(|it| it.is_confirmed) || ask.volumes {
            confirmed(global, &name, ask.volumes, deployment.as_ref())?;
        }
        let mut session = Session::begin(&workspace, &engines, &name, "uninstall")?;
        let before = labelled.map(|it| recover::event(it.recovered)).into_iter().collect();
        let done = Box::pin(take_down(&workspace, &mut session, before, ask.volumes, ask.how)).await;
        let record = session.end().await;
        Ok(if done? { closing(&record) } else { nothing(&name) })
    })
}

/// What labels tell of a deployment that is to be taken down.
struct Labelled {
    recovered: Recovered,
    /// The user was asked.
    is_confirmed: bool,
}

/// Labels are not asked for what the journal knows.
fn known_here(name: &str, from_labels: Option<&str>) -> Result<Option<Labelled>, CliError> {
    let Some(id) = from_labels else { return Ok(None) };
    let error = CliError::usage(format!("`{name}` is installed from this state directory; --from-labels is for what only labels name"));
    let id = if id.is_empty() { "ID" } else { id };
    Err(error.hint(format!("for another deployment of that name: dockctl uninstall {name} --from-labels {id} --state-dir EMPTY_DIR")))
}

/// What only labels tell of a deployment, if it is ours or the user says that it is to be taken down; none if nothing is there.
async fn labelled(engines: &Engines, name: &str, ask: &Ask<'_>) -> Result<Option<Labelled>, CliError> {
    let told = engines.default_engine().await?.told(name).await?;
    let claims = told.claims();
    let (recovered, is_confirmed) = match (ask.from_labels, told.ours()) {
        (Some(id), _) => (claims::chosen(&told, name, Some(id).filter(|id| !id.is_empty()), "--from-labels")?, false),
        (None, Some(ours)) => (Some(ours), false),
        (None, None) if claims.is_empty() => (None, false),
        (None, None) => (agreed(name, &told)?, true),
    };
    if let Some(recovered) = &recovered {
        let told = recover::words(recovered);
        complain(&format!("this state folder does not know `{name}`; this is what the engine's labels tell:\n{told}"));
    }
    Ok(recovered.map(|recovered| Labelled { recovered, is_confirmed }))
}

/// Asks on a terminal; `--yes` does not answer, for it was not said of this.
fn agreed(name: &str, told: &Told) -> Result<Option<Recovered>, CliError> {
    let claims = told.claims();
    let unproven = || claims::unproven(name, &claims);
    let meant = told.meant().filter(|_| is_asked()).ok_or_else(unproven)?;
    complain(&format!("only labels on the engine name `{name}`:\n{}", claims::lines(&claims)));
    ask(&format!("Take down `{name}`, with everything that these labels name?"))?;
    Ok(Some(meant))
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
    let left = if before.is_empty() { left_behind(session, volumes).await? } else { None };
    session.note(before.into_iter().chain(left).collect())?;
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

fn confirmed(global: &Global, name: &str, volumes: bool, deployment: Option<&Deployment>) -> Result<(), CliError> {
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
