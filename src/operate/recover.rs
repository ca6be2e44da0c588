//! Recovers deployments from labels on engines, on request or because the journal is damaged.

use super::{
    caller::Notice,
    claims,
    error::{Error, Kind},
    session::{HeldSession, Session},
    workspace::Workspace,
};
use crate::{
    discovery::{Claim, Discovery, RecoveredDeployment},
    event::{Entry, Event},
    journal::Holder,
    model::{Deployment, Instance},
    plugins::ObjectPlaces,
    record::Record,
};
use std::sync::Arc;

/// The result of a recovery.
#[derive(Debug)]
pub(crate) struct Recovery {
    /// The deployment after the recovery.
    pub record: Record,
    /// The deployment in the labels; `None` if a damaged journal was replaced before.
    pub found: Option<RecoveredDeployment>,
}

/// Rebuilds the record of a deployment from labels on the engine. Returns `None` if there is
/// nothing to recover. The request confirms that the user owns the objects.
///
/// # Errors
///
/// If no labels name the deployment, several deployments claim the name, or the run does not
/// succeed.
pub(crate) async fn recover(
    workspace: &Workspace<'_>,
    (name, id): (&str, Option<&str>),
) -> Result<Option<Recovery>, Error> {
    let is_replaced = replace_damaged_journal(workspace, name).await?;
    let systems = workspace.connect()?;
    let drivers = systems.drivers();
    let discovery = workspace.discover(&drivers, name).await?;
    match workspace.state.read(name)?.filter(Record::is_installed) {
        Some(record) if created_elsewhere(&discovery, &record).is_none() => {
            let found = None;
            return Ok(is_replaced.then_some(Recovery { record, found }));
        }
        None if claims::select(&discovery, name, id, "--id")?.is_none() => {
            let error = Error::usage(format!(
                "no object on the engine has the label of deployment `{name}`"
            ));
            return Err(error.hint("list the deployments on the engine: dockctl list --all"));
        }
        _ => {}
    }
    let mut session = Session::new(workspace, &drivers, name);
    let mut held = session.hold("recover")?;
    let choose = |discovery: &Discovery| claims::select(discovery, name, id, "--id");
    let recorded = record_taken_over(&mut held, name, choose).await;
    held.release().await;
    Ok(Some(Recovery {
        record: session.record,
        found: recorded?,
    }))
}

/// Returns the objects of an installed deployment that another state directory created, if any.
pub(crate) fn created_elsewhere(
    discovery: &Discovery,
    record: &Record,
) -> Option<RecoveredDeployment> {
    discovery.created_elsewhere(&record.deployment.as_ref()?.id, &record.object_ids())
}

/// Refuses to change a deployment if another state directory created objects for it.
pub(crate) fn refuse_created_elsewhere(
    discovery: &Discovery,
    record: &Record,
    name: &str,
) -> Result<(), Error> {
    if created_elsewhere(discovery, record).is_none() {
        return Ok(());
    }
    Err(claims::created_elsewhere(
        name,
        &claims_of(discovery, record),
    ))
}

/// Returns the claims with the ID of an installed deployment.
pub(crate) fn claims_of(discovery: &Discovery, record: &Record) -> Vec<Claim> {
    let id = record
        .deployment
        .as_ref()
        .map(|deployment| deployment.id.as_str())
        .unwrap_or_default();
    discovery
        .claims()
        .into_iter()
        .filter(|claim| claim.id == id)
        .collect()
}

/// Records the objects that the user takes over, after settling the last run.
async fn record_taken_over(
    held: &mut HeldSession<'_, '_>,
    name: &str,
    choose: impl Fn(&Discovery) -> Result<Option<RecoveredDeployment>, Error>,
) -> Result<Option<RecoveredDeployment>, Error> {
    held.guard_and_settle(name, Some(&ObjectPlaces::new()), "recover")
        .await?;
    let discovery = held.discover(name).await?;
    let is_installed = held.record().is_installed();
    let recovered = if is_installed {
        created_elsewhere(&discovery, held.record())
    } else {
        choose(&discovery)?
    };
    held.record_events(
        recovered
            .iter()
            .map(|recovered| taken_over_event(held.record(), recovered))
            .collect(),
    )?;
    Ok(recovered)
}

/// Renames a damaged journal and rebuilds it from labels. Returns true if the journal was damaged.
pub(crate) async fn replace_damaged_journal(
    workspace: &Workspace<'_>,
    name: &str,
) -> Result<bool, Error> {
    let damage = match workspace.state.read(name) {
        Err(error) if error.is_damaged() => error,
        _ => return Ok(false),
    };
    let systems = workspace.connect()?;
    let drivers = systems.drivers();
    // Query the engine first: without it, the journal cannot be rebuilt.
    drivers.claims(name).await?;
    let lock = workspace
        .state
        .lock(name, &Holder::this_process("recover", ""))?;
    if !workspace
        .state
        .read(name)
        .is_err_and(|error| error.is_damaged())
    {
        return Ok(false);
    }
    let new_path = workspace.state.set_aside(name)?;
    drop(lock);
    let mut session = Session::new(workspace, &drivers, name);
    let mut held = session.hold("recover")?;
    let recorded = record_own(&mut held, name).await;
    held.release().await;
    let recovered = recorded.map_err(|error| {
        error.hint(format!(
            "the damaged journal was renamed to {}",
            new_path.display()
        ))
    })?;
    workspace.caller.notify(&Notice::JournalRenamed {
        deployment: name,
        damage: damage.to_string(),
        new_path: &new_path,
        found: recovered.as_ref(),
    });
    Ok(true)
}

/// Records the objects that this state directory sealed. The user did not confirm any others.
async fn record_own(
    held: &mut HeldSession<'_, '_>,
    name: &str,
) -> Result<Option<RecoveredDeployment>, Error> {
    held.guard_and_settle(name, Some(&ObjectPlaces::new()), "recover")
        .await?;
    if held.record().is_installed() {
        return Err(Error::new(
            Kind::Busy,
            format!("another run recorded `{name}` in the meantime"),
        ));
    }
    let recovered = held.discover(name).await?.own();
    held.record_events(recovered.clone().map(recovered_event).into_iter().collect())?;
    Ok(recovered)
}

/// Returns the event that records a deployment recovered from labels.
pub(crate) fn recovered_event(recovered: RecoveredDeployment) -> Event {
    Event::Recovered {
        deployment: Box::new(recovered.deployment),
        instances: recovered.instances,
        by_consent: false,
    }
}

/// Returns the event that records the objects that the user takes over. They are added to the
/// definition of an installed deployment.
pub(crate) fn taken_over_event(record: &Record, recovered: &RecoveredDeployment) -> Event {
    let known = record.deployment.as_ref().filter(|_| record.is_installed());
    let deployment = known.map_or_else(
        || recovered.deployment.clone(),
        |known| merge(known, record, recovered),
    );
    Event::Recovered {
        deployment: Box::new(deployment),
        instances: recovered.instances.clone(),
        by_consent: true,
    }
}

/// Returns the definition of an installed deployment with the instances of another state directory
/// added. If both have an instance of a node with the same index, the added one replaces an
/// instance without an object.
fn merge(known: &Deployment, record: &Record, recovered: &RecoveredDeployment) -> Deployment {
    // Not all existing objects were created from the definition known here.
    let (mut merged, discovery) = (
        Deployment {
            recovered: true,
            ..known.clone()
        },
        &recovered.deployment,
    );
    let has_object = |id: &str| {
        record.instances.get(id).is_some_and(|known| {
            known
                .object_ids()
                .iter()
                .any(|id| recovered.object_ids.contains(id))
        })
    };
    for instance in discovery
        .instances
        .iter()
        .filter(|it| known.instance(&it.id).is_none())
    {
        let is_replaceable = |it: &Instance| {
            it.node == instance.node && it.index == instance.index && !has_object(&it.id)
        };
        match merged.instances.iter().position(is_replaceable) {
            Some(at) => merged.replace_instance_id(at, &instance.id),
            None => merged.instances.push(instance.clone()),
        }
        if let Some(node) = discovery
            .node(instance)
            .filter(|_| !merged.nodes.contains_key(&instance.node))
        {
            merged
                .nodes
                .insert(instance.node.clone(), Arc::new(node.clone()));
        }
    }
    merged
}

/// Returns the definition of an installed deployment with the instances known only from labels
/// added, or `None` if it is not installed.
pub(crate) fn with_leftovers(record: &Record, labeled: &Deployment) -> Option<Deployment> {
    let mut merged = record
        .deployment
        .clone()
        .filter(|_| record.is_installed())?;
    let is_dropped = |id: &str| record.dropped.iter().any(|(dropped, _)| dropped.id == id);
    for mut instance in labeled
        .instances
        .iter()
        .filter(|it| !is_dropped(&it.id))
        .cloned()
    {
        let Some(node) = labeled
            .node(&instance)
            .filter(|_| merged.instance(&instance.id).is_none())
        else {
            continue;
        };
        // A present node can have the name of a dropped one.
        if merged.nodes.contains_key(&instance.node) {
            instance.node = format!("{}.{}", instance.node, instance.id);
        }
        merged
            .nodes
            .insert(instance.node.clone(), Arc::new(node.clone()));
        merged.instances.push(instance);
    }
    Some(merged)
}

/// Returns the record of a deployment known only from labels.
pub(crate) fn record(recovered: &RecoveredDeployment) -> Record {
    let mut record = Record::default();
    let entry = Entry::now(recovered_event(recovered.clone()));
    record.apply(&entry).expect("it can always be recovered");
    record
}
