//! `uninstall`: removes a deployment.

use super::{
    caller::{Notice, Question, QuestionSubject},
    claims,
    error::{Error, Kind},
    recover,
    run_error::with_unseen,
    session::{HeldSession, Job, Session},
    settings::RunOptions,
    workspace::Workspace,
};
use crate::{
    discovery::{Claim, RecoveredDeployment},
    event::Event,
    model::{Definition, Deployment},
    plan::{self, PlanInput},
    plugins::{Drivers, ObjectPlace, ObjectPlaces, ObserveContext, Plugins},
    printable::printable,
    record::Record,
    report::count,
    seam::{Observed, Target, Unseen},
    stage::{Parameters, Workflow, parameters},
};

/// A request to uninstall a deployment.
pub(crate) struct Request {
    /// Name of the deployment.
    pub deployment: String,
    /// Uninstall a deployment known only from labels: the one with this ID, or the only one if the
    /// ID is empty.
    pub from_labels: Option<String>,
    /// Remove volumes too.
    pub volumes: bool,
    /// Sensitive inputs as passed to `-i`.
    pub inputs: Vec<String>,
    /// Options of the run.
    pub options: RunOptions,
}

/// Uninstalls a deployment. Returns its record afterwards with the engines that did not respond, or
/// `None` if it was not installed.
/// Objects that this state directory sealed are found by their labels and removed without a further
/// question; other labeled objects are removed only if the user confirms it.
///
/// # Errors
///
/// If the request is refused, or its run does not succeed.
pub(crate) async fn uninstall(
    workspace: &Workspace<'_>,
    request: &Request,
) -> Result<Option<(Record, Vec<Unseen>)>, Error> {
    let name = request.deployment.as_str();
    workspace.supply_inputs(&request.inputs)?;
    recover::replace_damaged_journal(workspace, name).await?;
    let systems = workspace.connect()?;
    let drivers = systems.drivers();
    let known = workspace
        .state
        .read(name)?
        .filter(|record| record.is_installed() || record.running().is_some());
    let labeled = match &known {
        Some(record) => created_elsewhere(workspace, &drivers, (name, record), request).await?,
        None => find_labeled(workspace, &drivers, name, request).await?,
    };
    if known.is_none() && labeled.is_none() {
        warn_of_unknown(workspace, name)?;
        return Ok(None);
    }
    let discovery = labeled.as_ref().map(|it| it.recovered.deployment.clone());
    let deployment = known.and_then(|record| record.deployment).or(discovery);
    if !labeled.as_ref().is_some_and(|it| it.is_confirmed) || request.volumes {
        confirm(workspace, (name, request.volumes), deployment.as_ref())?;
    }
    let mut session = Session::new(workspace, &drivers, name);
    let mut held = session.hold("uninstall")?;
    let done = Box::pin(run_held(workspace, &mut held, labeled, request)).await;
    held.release().await;
    Ok(done?.map(|unseen| (session.record, unseen)))
}

/// Returns true if an error means that the default engine does not respond, and the deployment has
/// objects on other engines.
fn is_silent(error: &Error, places: &ObjectPlaces) -> bool {
    let is_elsewhere = |place: &ObjectPlace| place.target != Target::Default;
    error.kind == Kind::Engine && places.values().any(is_elsewhere)
}

/// Returns the event that adds leftover objects to the deployment: objects that it created but that
/// the record no longer contains, such as volumes of nodes that an update dropped.
async fn leftover_event(
    held: &HeldSession<'_, '_>,
    places: &ObjectPlaces,
    volumes: bool,
) -> Result<Option<Event>, Error> {
    let Some(deployment) = held
        .record()
        .deployment
        .as_ref()
        .filter(|_| held.record().is_installed())
    else {
        return Ok(None);
    };
    let discovery = match held.discover(&deployment.name).await {
        Err(error) if is_silent(&error, places) => return Ok(None),
        discovery => discovery?,
    };
    let left = discovery.leftovers(&deployment.id, &held.record().object_ids(), volumes);
    let merged = left.and_then(|left| recover::with_leftovers(held.record(), &left.deployment));
    let merged = merged.filter(|merged| merged.instances.len() > deployment.instances.len());
    Ok(merged.map(|merged| Event::Defined {
        deployment: Box::new(merged),
    }))
}

/// A deployment to uninstall, recovered from labels.
struct Labeled {
    recovered: RecoveredDeployment,
    /// The user has already confirmed.
    is_confirmed: bool,
    /// The user requested to remove the objects, whoever created them.
    by_consent: bool,
}

/// Returns the objects that another state directory created for an installed deployment, if the
/// user agrees to remove them too.
async fn created_elsewhere(
    workspace: &Workspace<'_>,
    drivers: &Drivers<'_>,
    (name, record): (&str, &Record),
    request: &Request,
) -> Result<Option<Labeled>, Error> {
    let deployment = record.deployment.as_ref();
    let places = deployment
        .map(|deployment| {
            Plugins::default().places(ObserveContext {
                deployment,
                record,
                secrets: &workspace.secrets,
            })
        })
        .transpose();
    let places = places
        .map_err(|message| Error::new(Kind::Engine, message))?
        .unwrap_or_default();
    let is_requested = request.from_labels.is_some();
    // Labels are read on the default engine. Skip this if the deployment does not use it.
    if !is_requested
        && !places.is_empty()
        && places.values().all(|place| place.target != Target::Default)
    {
        return Ok(None);
    }
    let discovery = match workspace.discover(drivers, name).await {
        // The other engines may still respond.
        Err(error) if !is_requested && is_silent(&error, &places) => return Ok(None),
        discovery => discovery?,
    };
    let own_id = deployment
        .map(|deployment| deployment.id.as_str())
        .unwrap_or_default();
    match (
        request.from_labels.as_deref(),
        recover::created_elsewhere(&discovery, record),
    ) {
        (None, None) => Ok(None),
        (Some(id), Some(recovered)) if id.is_empty() || id == own_id => {
            Ok(Some(report_labeled(workspace, recovered, false)))
        }
        (Some(id), _) => Err(has_journal_error(name, id)),
        (None, Some(recovered)) => {
            let claims = recover::claims_of(&discovery, record);
            ask(
                workspace,
                (name, &claims),
                claims::created_elsewhere(name, &claims),
            )?;
            Ok(Some(report_labeled(workspace, recovered, true)))
        }
    }
}

fn report_labeled(
    workspace: &Workspace<'_>,
    recovered: RecoveredDeployment,
    is_confirmed: bool,
) -> Labeled {
    workspace.caller.notify(&Notice::Labels {
        reason: "objects created by another state directory, from labels on the engine".to_owned(),
        found: &recovered,
    });
    Labeled {
        recovered,
        is_confirmed,
        by_consent: true,
    }
}

/// Returns the error for `--from-labels` with a deployment that has a journal.
fn has_journal_error(name: &str, id: &str) -> Error {
    let error = Error::usage(format!(
        "`{name}` is installed from this state directory; --from-labels is only for deployments known from labels"
    ));
    let id = if id.is_empty() { "ID" } else { id };
    error.hint(format!("for another deployment with this name: dockctl uninstall {name} --from-labels {id} --state-dir EMPTY_DIR"))
}

/// Returns a deployment known only from labels, if it is ours or the user agrees to uninstall it.
/// Returns `None` if there are no such objects.
async fn find_labeled(
    workspace: &Workspace<'_>,
    drivers: &Drivers<'_>,
    name: &str,
    request: &Request,
) -> Result<Option<Labeled>, Error> {
    let discovery = workspace.discover(drivers, name).await?;
    let claims = discovery.claims();
    let ours = discovery.own();
    // Other state directories may have added objects to our deployment.
    let is_shared = ours
        .as_ref()
        .is_some_and(|ours| claims.iter().any(|claim| claim.id == ours.deployment.id));
    let (recovered, is_confirmed) = match (request.from_labels.as_deref(), ours) {
        (Some(id), _) => (
            claims::select(
                &discovery,
                name,
                Some(id).filter(|id| !id.is_empty()),
                "--from-labels",
            )?,
            false,
        ),
        (None, Some(ours)) if !is_shared => (Some(ours), false),
        (None, None) if claims.is_empty() => (None, false),
        (None, _) => {
            let unproven = || claims::unproven(name, &claims);
            let found = discovery.unique().ok_or_else(unproven)?;
            ask(workspace, (name, &claims), unproven())?;
            (Some(found), true)
        }
    };
    if let Some(recovered) = &recovered {
        workspace.caller.notify(&Notice::Labels {
            reason: format!(
                "this state directory has no record of `{name}`; from labels on the engine"
            ),
            found: recovered,
        });
    }
    let by_consent = is_confirmed || request.from_labels.is_some();
    Ok(recovered.map(|recovered| Labeled {
        recovered,
        is_confirmed,
        by_consent,
    }))
}

/// Asks on a terminal, even with `--yes`: the flag does not cover objects of others. Without a
/// terminal, returns the error `otherwise`.
fn ask(
    workspace: &Workspace<'_>,
    (name, claims): (&str, &[Claim]),
    otherwise: Error,
) -> Result<(), Error> {
    if !workspace.caller.is_interactive() {
        return Err(otherwise);
    }
    workspace.caller.ask(&Question {
        text: format!("Uninstall `{name}` and remove all objects with these labels?"),
        danger: None,
        subject: QuestionSubject::Claims {
            deployment: name,
            claims,
        },
    })
}

/// Returns the event to record before the uninstall, or `None` if another run has changed the
/// deployment since the first check.
fn first_event(record: &Record, labeled: &Labeled) -> Option<Event> {
    let is_same = record
        .deployment
        .as_ref()
        .is_some_and(|known| known.id == labeled.recovered.deployment.id);
    match (labeled.by_consent, record.is_installed()) {
        (true, true) if !is_same => None,
        (true, _) => Some(recover::taken_over_event(record, &labeled.recovered)),
        (false, true) => None,
        (false, false) => Some(recover::recovered_event(labeled.recovered.clone())),
    }
}

/// Uninstalls a held deployment. Returns the engines that did not respond, or `None` if it was not
/// installed.
async fn run_held(
    workspace: &Workspace<'_>,
    held: &mut HeldSession<'_, '_>,
    labeled: Option<Labeled>,
    request: &Request,
) -> Result<Option<Vec<Unseen>>, Error> {
    let known = labeled.and_then(|labeled| first_event(held.record(), &labeled));
    let Some(deployment) = deployment_of(known.as_ref(), held.record()) else {
        return Ok(None);
    };
    let places = settle(workspace, held, &deployment).await?;
    held.record_events(known.into_iter().collect())?;
    let left = leftover_event(held, &places, request.volumes).await?;
    held.record_events(left.into_iter().collect())?;
    let installed = held.record().is_installed();
    let Some(deployment) = held.record().deployment.clone().filter(|_| installed) else {
        return Ok(None);
    };
    let observed = held.observe(Workflow::Uninstall).await?;
    let job = job(workspace, held, (&deployment, &observed), request).await?;
    let done = held.execute_job(job).await;
    done.map_err(|error| with_unseen(error, &observed.unseen))?;
    report_needed(workspace, held.record(), &observed.unseen);
    report_kept(workspace, held, request.volumes).await?;
    Ok(Some(observed.unseen))
}

/// Returns the deployment in the event to record first, if there is one, else the recorded one.
fn deployment_of(known: Option<&Event>, record: &Record) -> Option<Deployment> {
    match known {
        Some(Event::Recovered { deployment, .. }) => Some((**deployment).clone()),
        _ => record.deployment.clone(),
    }
}

/// Acquires the guard on the engines, and settles the steps that an earlier run left open. Returns
/// the places of objects.
async fn settle(
    workspace: &Workspace<'_>,
    held: &mut HeldSession<'_, '_>,
    deployment: &Deployment,
) -> Result<ObjectPlaces, Error> {
    let record = Some(held.record()).filter(|record| record.is_installed());
    let record = record.cloned().unwrap_or_default();
    let places = Plugins::default().places(ObserveContext {
        deployment,
        record: &record,
        secrets: &workspace.secrets,
    });
    let places = places.map_err(|message| Error::new(Kind::Engine, message))?;
    let guarded = Plugins::default()
        .has_objects(deployment, &record)
        .then_some(&places);
    held.guard_and_settle(&deployment.name, guarded, "uninstall")
        .await?;
    Ok(places)
}

/// Plans the uninstall of a held deployment.
async fn job<'j>(
    workspace: &Workspace<'_>,
    held: &HeldSession<'_, '_>,
    (deployment, observed): (&Deployment, &Observed),
    request: &Request,
) -> Result<Job<'j>, Error> {
    let parameters = Parameters::Uninstall(parameters::Uninstall {
        volumes: request.volumes,
        ..parameters::Uninstall::default()
    });
    let known = PlanInput::new(deployment, held.record(), observed);
    let mut proposal = plan::first(&parameters, &known);
    held.add_foreign_sharers(&known, &mut proposal).await?;
    let warnings = proposal.warnings().into_iter();
    warnings.for_each(|it| workspace.warn(it));
    Ok(Job {
        stage: proposal.stage,
        parameters,
        previous: None,
        first_events: Vec::new(),
        options: request.options,
        resume_command: repeat_command(workspace, &deployment.name, request),
        replan: None,
    })
}

/// Returns the command line that repeats this request.
fn repeat_command(workspace: &Workspace<'_>, name: &str, request: &Request) -> String {
    let volumes = request.volumes.then(|| "--volumes".to_owned());
    let words = ["uninstall", name].map(str::to_owned).into_iter();
    let words: Vec<String> = words
        .chain(volumes)
        .chain(request.options.flags())
        .collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    workspace.caller.command_line(&words)
}

/// Reports the instances that stay because an instance that could not be seen may use them.
fn report_needed(workspace: &Workspace<'_>, record: &Record, unseen: &[Unseen]) {
    let unseen: Vec<&String> = unseen.iter().flat_map(|it| &it.instances).collect();
    let instances = record.deployment.iter().flat_map(|it| &it.instances);
    let is_kept = |id: &&str| !record.state(id).is_gone() && !unseen.iter().any(|it| it == id);
    let kept: Vec<&str> = instances.map(|it| it.id.as_str()).filter(is_kept).collect();
    if !unseen.is_empty() && !kept.is_empty() {
        let note = format!(
            "kept: {}, because an instance on an engine that does not respond may use it",
            kept.join(", ")
        );
        workspace.caller.notify(&Notice::Note(note));
    }
}

/// Reports the remaining objects: kept volumes, and objects of nodes without a `delete` operation.
/// Their instances are deleted anyway, as in Cloudify.
async fn report_kept(
    workspace: &Workspace<'_>,
    held: &HeldSession<'_, '_>,
    volumes: bool,
) -> Result<(), Error> {
    const DELETE: &str = "cloudify.interfaces.lifecycle.delete";
    let Some(deployment) = &held.record().deployment else {
        return Ok(());
    };
    let plugins = Plugins::default();
    let is_kept = |node: &Definition| match plugins.kind(node) {
        Some(_) if node.is_adopted() || !plugins.is_observed(node) => false,
        Some("volume") => !volumes,
        Some(_) => !node.operations.contains_key(DELETE),
        None => false,
    };
    let is_kept_instance = |id: &str| {
        deployment
            .instance(id)
            .and_then(|instance| deployment.node(instance))
            .is_some_and(is_kept)
    };
    if !deployment.nodes.values().any(|node| is_kept(node)) {
        return Ok(());
    }
    for object in held.observe(Workflow::Uninstall).await?.objects() {
        let Some(owner) = object
            .owner
            .as_ref()
            .filter(|owner| is_kept_instance(&owner.instance))
        else {
            continue;
        };
        let what = format!("{} `{}`", object.kind, printable(&object.name));
        let note = match object.kind {
            "volume" => format!(
                "{what} is kept; remove it with: dockctl uninstall {} --volumes",
                deployment.name
            ),
            _ => format!(
                "{what} is kept: no operation of {} removes it",
                owner.instance
            ),
        };
        workspace.caller.notify(&Notice::Note(note));
    }
    Ok(())
}

fn confirm(
    workspace: &Workspace<'_>,
    (name, volumes): (&str, bool),
    deployment: Option<&Deployment>,
) -> Result<(), Error> {
    let instances = deployment
        .map(|deployment| format!(" ({})", count(deployment.instances.len(), "instance")))
        .unwrap_or_default();
    let what = if volumes {
        "all its containers and the data in its volumes"
    } else {
        "all its containers"
    };
    let protected = deployment
        .map(|deployment| deployment.protected.join(", "))
        .filter(|names| !names.is_empty());
    let danger = match protected {
        Some(nodes) => Some(format!(
            "this deletes containers or data of protected nodes: {nodes}"
        )),
        None => volumes.then(|| "--volumes deletes data that cannot be recreated".to_owned()),
    };
    workspace.caller.confirm(&Question {
        text: format!("Uninstall `{name}`{instances} and remove {what}?"),
        danger,
        subject: QuestionSubject::Nothing,
    })
}

/// Lists the installed deployments if a name was never used: it may be mistyped.
fn warn_of_unknown(workspace: &Workspace<'_>, name: &str) -> Result<(), Error> {
    let installed = workspace.installed()?;
    if workspace.state.read(name)?.is_none() && !installed.is_empty() {
        workspace.warn(format!(
            "deployment `{name}` never existed in this state directory; installed: {}",
            installed.join(", ")
        ));
    }
    Ok(())
}
