//! `uninstall`: removes a deployment.

use super::{
    caller::{About, Notice, Question},
    claims,
    error::{Error, Kind},
    recover,
    session::{Held, Job, Session},
    settings::RunOptions,
    workspace::Workspace,
};
use crate::{
    event::Event,
    model::{Definition, Deployment},
    plan::{self, Known},
    plugins::{Drivers, Plugins, Scene},
    printable::printable,
    record::Record,
    report::count,
    seam::Target,
    stage::{Parameters, parameters},
    told::{Claim, Recovered},
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

/// Uninstalls a deployment. Returns its record afterwards, or `None` if it was not installed.
/// Objects that this state directory sealed are found by their labels and removed without a further
/// question; other labeled objects are removed only if the user confirms it.
///
/// # Errors
///
/// If the request is refused, or its run does not succeed.
pub(crate) async fn uninstall(
    workspace: &Workspace<'_>,
    request: &Request,
) -> Result<Option<Record>, Error> {
    let name = request.deployment.as_str();
    workspace.supply(&request.inputs)?;
    recover::mend(workspace, name).await?;
    let systems = workspace.connect()?;
    let drivers = systems.drivers();
    let known = workspace
        .state
        .read(name)?
        .filter(|record| record.is_installed() || record.running().is_some());
    let labelled = match &known {
        Some(record) => beside(workspace, &drivers, (name, record), request).await?,
        None => labelled(workspace, &drivers, name, request).await?,
    };
    if known.is_none() && labelled.is_none() {
        tell_others(workspace, name)?;
        return Ok(None);
    }
    let told = labelled.as_ref().map(|it| it.recovered.deployment.clone());
    let deployment = known.and_then(|record| record.deployment).or(told);
    if !labelled.as_ref().is_some_and(|it| it.is_confirmed) || request.volumes {
        confirmed(workspace, (name, request.volumes), deployment.as_ref())?;
    }
    let mut session = Session::new(workspace, &drivers, name);
    let mut held = session.hold("uninstall")?;
    let done = Box::pin(take_down(workspace, &mut held, labelled, request)).await;
    held.release().await;
    Ok(done?.then_some(session.record))
}

/// Returns the event that adds leftover objects to the deployment: objects that it created but that
/// the record no longer contains, such as volumes of nodes that an update dropped.
async fn left_behind(held: &Held<'_, '_>, volumes: bool) -> Result<Option<Event>, Error> {
    let Some(deployment) = held
        .record()
        .deployment
        .as_ref()
        .filter(|_| held.record().is_installed())
    else {
        return Ok(None);
    };
    let told = held.told(&deployment.name).await?;
    let left = told.left_of(&deployment.id, &held.record().object_ids(), volumes);
    let whole = left.and_then(|left| recover::with_more(held.record(), &left.deployment));
    let whole = whole.filter(|whole| whole.instances.len() > deployment.instances.len());
    Ok(whole.map(|whole| Event::Defined {
        deployment: Box::new(whole),
    }))
}

/// A deployment to uninstall, recovered from labels.
struct Labelled {
    recovered: Recovered,
    /// The user has already confirmed.
    is_confirmed: bool,
    /// The user requested to remove the objects, whoever created them.
    by_consent: bool,
}

/// Returns the objects that another state directory created for an installed deployment, if the
/// user agrees to remove them too.
async fn beside(
    workspace: &Workspace<'_>,
    drivers: &Drivers<'_>,
    (name, record): (&str, &Record),
    request: &Request,
) -> Result<Option<Labelled>, Error> {
    let deployment = record.deployment.as_ref();
    let places = deployment
        .map(|deployment| {
            Plugins::default().places(Scene {
                deployment,
                record,
                secrets: &workspace.secrets,
            })
        })
        .transpose();
    let places = places
        .map_err(|message| Error::new(Kind::Engine, message))?
        .unwrap_or_default();
    let is_asked = request.from_labels.is_some();
    // Labels are read on the default engine. Skip this if the deployment does not use it.
    if !is_asked
        && !places.is_empty()
        && places.values().all(|place| place.target != Target::Default)
    {
        return Ok(None);
    }
    let told = workspace.told(drivers, name).await?;
    let own_id = deployment
        .map(|deployment| deployment.id.as_str())
        .unwrap_or_default();
    match (
        request.from_labels.as_deref(),
        recover::elsewhere(&told, record),
    ) {
        (None, None) => Ok(None),
        (Some(id), Some(recovered)) if id.is_empty() || id == own_id => {
            Ok(Some(consented(workspace, recovered, false)))
        }
        (Some(id), _) => Err(known_here(name, id)),
        (None, Some(recovered)) => {
            let claims = recover::of_deployment(&told, record);
            agreed(workspace, (name, &claims), claims::elsewhere(name, &claims))?;
            Ok(Some(consented(workspace, recovered, true)))
        }
    }
}

fn consented(workspace: &Workspace<'_>, recovered: Recovered, is_confirmed: bool) -> Labelled {
    workspace.caller.say(&Notice::Labels {
        why: "objects created by another state directory, from labels on the engine".to_owned(),
        found: &recovered,
    });
    Labelled {
        recovered,
        is_confirmed,
        by_consent: true,
    }
}

/// Returns the error for `--from-labels` with a deployment that has a journal.
fn known_here(name: &str, id: &str) -> Error {
    let error = Error::usage(format!(
        "`{name}` is installed from this state directory; --from-labels is only for deployments known from labels"
    ));
    let id = if id.is_empty() { "ID" } else { id };
    error.hint(format!("for another deployment with this name: dockctl uninstall {name} --from-labels {id} --state-dir EMPTY_DIR"))
}

/// Returns a deployment known only from labels, if it is ours or the user agrees to uninstall it.
/// Returns `None` if there are no such objects.
async fn labelled(
    workspace: &Workspace<'_>,
    drivers: &Drivers<'_>,
    name: &str,
    request: &Request,
) -> Result<Option<Labelled>, Error> {
    let told = workspace.told(drivers, name).await?;
    let claims = told.claims();
    let ours = told.ours();
    // Other state directories may have added objects to our deployment.
    let is_shared = ours
        .as_ref()
        .is_some_and(|ours| claims.iter().any(|claim| claim.id == ours.deployment.id));
    let (recovered, is_confirmed) = match (request.from_labels.as_deref(), ours) {
        (Some(id), _) => (
            claims::chosen(
                &told,
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
            let meant = told.meant().ok_or_else(unproven)?;
            agreed(workspace, (name, &claims), unproven())?;
            (Some(meant), true)
        }
    };
    if let Some(recovered) = &recovered {
        workspace.caller.say(&Notice::Labels {
            why: format!(
                "this state directory has no record of `{name}`; from labels on the engine"
            ),
            found: recovered,
        });
    }
    let by_consent = is_confirmed || request.from_labels.is_some();
    Ok(recovered.map(|recovered| Labelled {
        recovered,
        is_confirmed,
        by_consent,
    }))
}

/// Asks on a terminal, even with `--yes`: the flag does not cover objects of others. Without a
/// terminal, returns the error `otherwise`.
fn agreed(
    workspace: &Workspace<'_>,
    (name, claims): (&str, &[Claim]),
    otherwise: Error,
) -> Result<(), Error> {
    if !workspace.caller.is_attended() {
        return Err(otherwise);
    }
    workspace.caller.ask(&Question {
        words: format!("Uninstall `{name}` and remove all objects with these labels?"),
        danger: None,
        about: About::Claims {
            deployment: name,
            claims,
        },
    })
}

/// Returns the event to record before the uninstall, or `None` if another run has changed the
/// deployment since the first check.
fn known_first(record: &Record, labelled: &Labelled) -> Option<Event> {
    let is_same = record
        .deployment
        .as_ref()
        .is_some_and(|known| known.id == labelled.recovered.deployment.id);
    match (labelled.by_consent, record.is_installed()) {
        (true, true) if !is_same => None,
        (true, _) => Some(recover::taken_over(record, &labelled.recovered)),
        (false, true) => None,
        (false, false) => Some(recover::event(labelled.recovered.clone())),
    }
}

/// Uninstalls a held deployment. Returns false if it was not installed.
async fn take_down(
    workspace: &Workspace<'_>,
    held: &mut Held<'_, '_>,
    labelled: Option<Labelled>,
    request: &Request,
) -> Result<bool, Error> {
    let known = labelled.and_then(|labelled| known_first(held.record(), &labelled));
    let Some(deployment) = described(known.as_ref(), held.record()) else {
        return Ok(false);
    };
    settle(workspace, held, &deployment).await?;
    held.note(known.into_iter().collect())?;
    let left = left_behind(held, request.volumes).await?;
    held.note(left.into_iter().collect())?;
    let installed = held.record().is_installed();
    let Some(deployment) = held.record().deployment.clone().filter(|_| installed) else {
        return Ok(false);
    };
    let job = job(workspace, held, &deployment, request).await?;
    held.carry_out(job).await?;
    tell_staying(workspace, held, request.volumes).await?;
    Ok(true)
}

/// Returns the deployment in the event to record first, if there is one, else the recorded one.
fn described(known: Option<&Event>, record: &Record) -> Option<Deployment> {
    match known {
        Some(Event::Recovered { deployment, .. }) => Some((**deployment).clone()),
        _ => record.deployment.clone(),
    }
}

/// Acquires the guard on the engines, and settles the steps that an earlier run left open.
async fn settle(
    workspace: &Workspace<'_>,
    held: &mut Held<'_, '_>,
    deployment: &Deployment,
) -> Result<(), Error> {
    let record = Some(held.record()).filter(|record| record.is_installed());
    let record = record.cloned().unwrap_or_default();
    let places = Plugins::default().places(Scene {
        deployment,
        record: &record,
        secrets: &workspace.secrets,
    });
    let places = places.map_err(|message| Error::new(Kind::Engine, message))?;
    held.settle(&deployment.name, &places, "uninstall").await
}

/// Plans the uninstall of a held deployment.
async fn job<'j>(
    workspace: &Workspace<'_>,
    held: &Held<'_, '_>,
    deployment: &Deployment,
    request: &Request,
) -> Result<Job<'j>, Error> {
    let parameters = Parameters::Uninstall(parameters::Uninstall {
        volumes: request.volumes,
        ..parameters::Uninstall::default()
    });
    let observed = held.observe().await?;
    let known = Known::new(deployment, held.record(), &observed);
    Ok(Job {
        stage: plan::first(&parameters, &known).stage,
        parameters,
        of: None,
        before: Vec::new(),
        how: request.options,
        again: again(workspace, &deployment.name, request),
        replan: None,
    })
}

/// Returns the command line that repeats this request.
fn again(workspace: &Workspace<'_>, name: &str, request: &Request) -> String {
    let volumes = request.volumes.then(|| "--volumes".to_owned());
    let words = ["uninstall", name].map(str::to_owned).into_iter();
    let words: Vec<String> = words
        .chain(volumes)
        .chain(request.options.flags())
        .collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    workspace.caller.command_line(&words)
}

/// Reports the remaining objects: kept volumes, and objects of nodes without a `delete` operation.
/// Their instances are deleted anyway, as in Cloudify.
async fn tell_staying(
    workspace: &Workspace<'_>,
    held: &Held<'_, '_>,
    volumes: bool,
) -> Result<(), Error> {
    const DELETE: &str = "cloudify.interfaces.lifecycle.delete";
    let Some(deployment) = &held.record().deployment else {
        return Ok(());
    };
    let plugins = Plugins::default();
    let stays = |node: &Definition| match plugins.kind(node) {
        Some(_) if node.is_adopted() || !plugins.has_object(node) => false,
        Some("volume") => !volumes,
        Some(_) => !node.operations.contains_key(DELETE),
        None => false,
    };
    let staying = |id: &str| {
        deployment
            .instance(id)
            .and_then(|instance| deployment.node(instance))
            .is_some_and(stays)
    };
    if !deployment.nodes.values().any(|node| stays(node)) {
        return Ok(());
    }
    for object in held.observe().await?.objects() {
        let Some(owner) = object
            .owner
            .as_ref()
            .filter(|owner| staying(&owner.instance))
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
        workspace.caller.say(&Notice::Note(note));
    }
    Ok(())
}

fn confirmed(
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
            "this deletes nodes that the blueprint protects: {nodes}"
        )),
        None => volumes.then(|| "--volumes deletes data that cannot be recreated".to_owned()),
    };
    workspace.caller.confirm(&Question {
        words: format!("Uninstall `{name}`{instances} and remove {what}?"),
        danger,
        about: About::Nothing,
    })
}

/// Lists the installed deployments if a name was never used: it may be mistyped.
fn tell_others(workspace: &Workspace<'_>, name: &str) -> Result<(), Error> {
    let installed = workspace.installed()?;
    if workspace.state.read(name)?.is_none() && !installed.is_empty() {
        workspace.warn(format!(
            "deployment `{name}` never existed in this state directory; installed: {}",
            installed.join(", ")
        ));
    }
    Ok(())
}
