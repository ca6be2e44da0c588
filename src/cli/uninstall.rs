//! `dockctl uninstall`.

use super::{
    Outcome,
    args::Global,
    claims, complain,
    confirm::{ask as question, confirm, is_asked},
    error::CliError,
    recover,
    run::closing,
    session::{How, Job, Session},
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
use serde_json::json;

/// The deployment with what it made and the record does not name any more, such as the volumes of
/// nodes that an update dropped; none if there is nothing of that.
async fn left_behind(session: &Session<'_>, volumes: bool) -> Result<Option<Event>, CliError> {
    let Some(deployment) = session
        .record
        .deployment
        .as_ref()
        .filter(|_| session.record.is_installed())
    else {
        return Ok(None);
    };
    let told = session.told(&deployment.name).await?;
    let left = told.left_of(&deployment.id, &session.record.object_ids(), volumes);
    let whole = left.and_then(|left| recover::with_more(&session.record, &left.deployment));
    let whole = whole.filter(|whole| whole.instances.len() > deployment.instances.len());
    Ok(whole.map(|whole| Event::Defined {
        deployment: Box::new(whole),
    }))
}

/// How a deployment is taken down.
pub(crate) struct Ask<'a> {
    /// Takes down what only labels name: the deployment with this id, or the only one if the id is
    /// empty.
    pub from_labels: Option<&'a str>,
    pub volumes: bool,
    pub inputs: &'a [String],
    pub how: How,
}

/// Takes a deployment down. One that is not there is no fault. What this state directory sealed is
/// taken from labels without a question; what others made only if the user says so.
pub(crate) fn uninstall(
    global: &Global,
    given: Option<&str>,
    ask: &Ask<'_>,
) -> Result<Outcome, CliError> {
    let workspace = Workspace::new(global)?;
    let name = workspace.name(given)?;
    workspace.supply(ask.inputs)?;
    Workspace::runtime()?.block_on(async {
        recover::mend(&workspace, &name).await?;
        let systems = workspace.connect()?;
        let drivers = systems.drivers();
        let known = workspace
            .state
            .read(&name)?
            .filter(|record| record.is_installed() || record.running().is_some());
        let labelled = match &known {
            Some(record) => beside(&workspace, &drivers, (&name, record), ask).await?,
            None => labelled(&workspace, &drivers, &name, ask).await?,
        };
        if known.is_none() && labelled.is_none() {
            tell_others(&workspace, &name)?;
            return Ok(nothing(&name));
        }
        let told = labelled.as_ref().map(|it| it.recovered.deployment.clone());
        let deployment = known.and_then(|record| record.deployment).or(told);
        if !labelled.as_ref().is_some_and(|it| it.is_confirmed) || ask.volumes {
            confirmed(global, &name, ask.volumes, deployment.as_ref())?;
        }
        let mut session = Session::begin(&workspace, &drivers, &name, "uninstall")?;
        let done = Box::pin(take_down(&workspace, &mut session, labelled, ask)).await;
        let record = session.end().await;
        Ok(if done? {
            closing(&record)
        } else {
            nothing(&name)
        })
    })
}

/// What labels tell of a deployment that is to be taken down.
struct Labelled {
    recovered: Recovered,
    /// The user was asked.
    is_confirmed: bool,
    /// The user said that it is to be taken down, whoever made it.
    by_consent: bool,
}

/// What another state directory made for a deployment that is installed here, if the user says that
/// it is to be taken down too.
async fn beside(
    workspace: &Workspace<'_>,
    drivers: &Drivers<'_>,
    (name, record): (&str, &Record),
    ask: &Ask<'_>,
) -> Result<Option<Labelled>, CliError> {
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
        .map_err(|message| CliError::new(super::error::Kind::Engine, message))?
        .unwrap_or_default();
    let is_asked = ask.from_labels.is_some();
    // Labels are read on the default engine, which a deployment need not use.
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
    match (ask.from_labels, recover::elsewhere(&told, record)) {
        (None, None) => Ok(None),
        (Some(id), Some(recovered)) if id.is_empty() || id == own_id => {
            Ok(Some(consented(recovered, false)))
        }
        (Some(id), _) => Err(known_here(name, id)),
        (None, Some(recovered)) => {
            let claims = recover::of_deployment(&told, record);
            agreed(name, &claims, claims::elsewhere(name, &claims))?;
            Ok(Some(consented(recovered, true)))
        }
    }
}

fn consented(recovered: Recovered, is_confirmed: bool) -> Labelled {
    complain(&format!(
        "the engine's labels tell what another state directory made:\n{}",
        recover::words(&recovered)
    ));
    Labelled {
        recovered,
        is_confirmed,
        by_consent: true,
    }
}

/// Labels are not asked for what the journal knows.
fn known_here(name: &str, id: &str) -> CliError {
    let error = CliError::usage(format!(
        "`{name}` is installed from this state directory; --from-labels is for what only labels name"
    ));
    let id = if id.is_empty() { "ID" } else { id };
    error.hint(format!("for another deployment of that name: dockctl uninstall {name} --from-labels {id} --state-dir EMPTY_DIR"))
}

/// What only labels tell of a deployment, if it is ours or the user says that it is to be taken
/// down; none if nothing is there.
async fn labelled(
    workspace: &Workspace<'_>,
    drivers: &Drivers<'_>,
    name: &str,
    ask: &Ask<'_>,
) -> Result<Option<Labelled>, CliError> {
    let told = workspace.told(drivers, name).await?;
    let claims = told.claims();
    let ours = told.ours();
    // A part of what is ours can be of others by now.
    let is_shared = ours
        .as_ref()
        .is_some_and(|ours| claims.iter().any(|claim| claim.id == ours.deployment.id));
    let (recovered, is_confirmed) = match (ask.from_labels, ours) {
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
            agreed(name, &claims, unproven())?;
            (Some(meant), true)
        }
    };
    if let Some(recovered) = &recovered {
        let told = recover::words(recovered);
        complain(&format!(
            "this state folder does not know `{name}`; this is what the engine's labels tell:\n{told}"
        ));
    }
    let by_consent = is_confirmed || ask.from_labels.is_some();
    Ok(recovered.map(|recovered| Labelled {
        recovered,
        is_confirmed,
        by_consent,
    }))
}

/// Asks on a terminal; `--yes` does not answer, for it was not said of this.
fn agreed(name: &str, claims: &[Claim], otherwise: CliError) -> Result<(), CliError> {
    if !is_asked() {
        return Err(otherwise);
    }
    complain(&format!(
        "only labels on the engine name `{name}`:\n{}",
        claims::lines(claims)
    ));
    question(&format!(
        "Take down `{name}`, with everything that these labels name?"
    ))
}

/// What there is to write before anything is taken down; nothing if another run ended since the
/// first look.
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

/// Whether there was anything to take down.
async fn take_down(
    workspace: &Workspace<'_>,
    session: &mut Session<'_>,
    labelled: Option<Labelled>,
    ask: &Ask<'_>,
) -> Result<bool, CliError> {
    let known = labelled.and_then(|labelled| known_first(&session.record, &labelled));
    let told = known.as_ref().and_then(|event| {
        if let Event::Recovered { deployment, .. } = event {
            Some(deployment)
        } else {
            None
        }
    });
    let Some(deployment) = told
        .map(|it| *it.clone())
        .or_else(|| session.record.deployment.clone())
    else {
        return Ok(false);
    };
    let name = deployment.name.clone();
    let record = if session.record.is_installed() {
        session.record.clone()
    } else {
        Record::default()
    };
    let places = Plugins::default()
        .places(Scene {
            deployment: &deployment,
            record: &record,
            secrets: &workspace.secrets,
        })
        .map_err(|message| CliError::new(super::error::Kind::Engine, message))?;
    session.settle(&name, &places, "uninstall").await?;
    session.note(known.into_iter().collect())?;
    let left = left_behind(session, ask.volumes).await?;
    session.note(left.into_iter().collect())?;
    let Some(deployment) = session
        .record
        .deployment
        .clone()
        .filter(|_| session.record.is_installed())
    else {
        return Ok(false);
    };
    let parameters = Parameters::Uninstall(parameters::Uninstall {
        volumes: ask.volumes,
        ..parameters::Uninstall::default()
    });
    let observed = session.observe().await?;
    let known = Known::new(&deployment, &session.record, &observed);
    let proposal = plan::first(&parameters, &known);
    let volumes = ask.volumes.then(|| "--volumes".to_owned());
    let words: Vec<String> = ["uninstall", &name]
        .map(str::to_owned)
        .into_iter()
        .chain(volumes)
        .chain(ask.how.flags())
        .collect();
    let again: Vec<&str> = words.iter().map(String::as_str).collect();
    let job = Job {
        parameters,
        of: None,
        stage: proposal.stage,
        before: Vec::new(),
        how: ask.how,
        again: workspace.again(&again),
        replan: None,
    };
    session.carry_out(job).await?;
    tell_staying(session, ask.volumes).await?;
    Ok(true)
}

/// Says which objects stay: volumes that are kept, and what no operation of its node removes. As in
/// the reference, their instances are deleted all the same.
async fn tell_staying(session: &Session<'_>, volumes: bool) -> Result<(), CliError> {
    const DELETE: &str = "cloudify.interfaces.lifecycle.delete";
    let Some(deployment) = &session.record.deployment else {
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
    for object in session.observe().await?.objects() {
        let Some(owner) = object
            .owner
            .as_ref()
            .filter(|owner| staying(&owner.instance))
        else {
            continue;
        };
        let what = format!("{} `{}`", object.kind, printable(&object.name));
        complain(&match object.kind {
            "volume" => format!(
                "note: {what} is kept; dockctl uninstall {} --volumes removes it\n",
                deployment.name
            ),
            _ => format!(
                "note: no operation of {} removes {what}, and it stays\n",
                owner.instance
            ),
        });
    }
    Ok(())
}

fn confirmed(
    global: &Global,
    name: &str,
    volumes: bool,
    deployment: Option<&Deployment>,
) -> Result<(), CliError> {
    let instances = deployment
        .map(|deployment| format!(" ({})", count(deployment.instances.len(), "instance")))
        .unwrap_or_default();
    let what = if volumes {
        "all its containers and everything in its volumes"
    } else {
        "all its containers"
    };
    let protected = deployment
        .map(|deployment| deployment.protected.join(", "))
        .filter(|names| !names.is_empty());
    let danger = match protected {
        Some(nodes) => Some(format!("this deletes what the blueprint protects: {nodes}")),
        None => volumes.then(|| "--volumes removes what cannot be made again".to_owned()),
    };
    confirm(
        global,
        &format!("Take down `{name}`{instances}, with {what}?"),
        danger.as_deref(),
    )
}

/// A name that was never heard of may be a slip.
fn tell_others(workspace: &Workspace<'_>, name: &str) -> Result<(), CliError> {
    let installed = workspace.installed()?;
    if workspace.state.read(name)?.is_none() && !installed.is_empty() {
        super::warn(&format!(
            "there never was a deployment `{name}` here; installed are: {}",
            installed.join(", ")
        ));
    }
    Ok(())
}

fn nothing(name: &str) -> Outcome {
    Outcome::new(
        json!({ "deployment": name, "execution": null, "instances": [] }),
        format!("`{name}` is not installed: nothing to do\n"),
    )
}
