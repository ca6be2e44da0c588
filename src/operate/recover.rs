//! Recovers deployments from labels on engines, on request or because the journal is damaged.

use super::{
    caller::Notice,
    claims,
    error::{Error, Kind},
    session::{Held, Session},
    workspace::Workspace,
};
use crate::{
    event::{Entry, Event},
    journal::Holder,
    model::{Deployment, Instance},
    plugins::Places,
    record::Record,
    told::{Claim, Recovered, Told},
};
use std::sync::Arc;

/// The result of a recovery.
#[derive(Debug)]
pub(crate) struct Recovery {
    /// The deployment after the recovery.
    pub record: Record,
    /// The deployment in the labels; `None` if a damaged journal was replaced before.
    pub found: Option<Recovered>,
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
    let is_replaced = mend(workspace, name).await?;
    let systems = workspace.connect()?;
    let drivers = systems.drivers();
    let told = workspace.told(&drivers, name).await?;
    match workspace.state.read(name)?.filter(Record::is_installed) {
        Some(record) if elsewhere(&told, &record).is_none() => {
            let found = None;
            return Ok(is_replaced.then_some(Recovery { record, found }));
        }
        None if claims::chosen(&told, name, id, "--id")?.is_none() => {
            let error = Error::usage(format!(
                "no object on the engine is labeled with deployment `{name}`"
            ));
            return Err(error.hint("list the deployments on the engine: dockctl list --all"));
        }
        _ => {}
    }
    let mut session = Session::new(workspace, &drivers, name);
    let mut held = session.hold("recover")?;
    let choose = |told: &Told| claims::chosen(told, name, id, "--id");
    let noted = put_down(&mut held, name, choose).await;
    held.release().await;
    Ok(Some(Recovery {
        record: session.record,
        found: noted?,
    }))
}

/// Returns the objects of an installed deployment that another state directory created, if any.
pub(crate) fn elsewhere(told: &Told, record: &Record) -> Option<Recovered> {
    told.made_elsewhere(&record.deployment.as_ref()?.id, &record.object_ids())
}

/// Refuses to change a deployment if another state directory created objects for it.
pub(crate) fn refuse_elsewhere(told: &Told, record: &Record, name: &str) -> Result<(), Error> {
    if elsewhere(told, record).is_none() {
        return Ok(());
    }
    Err(claims::elsewhere(name, &of_deployment(told, record)))
}

/// Returns the claims with the ID of an installed deployment.
pub(crate) fn of_deployment(told: &Told, record: &Record) -> Vec<Claim> {
    let id = record
        .deployment
        .as_ref()
        .map(|deployment| deployment.id.as_str())
        .unwrap_or_default();
    told.claims()
        .into_iter()
        .filter(|claim| claim.id == id)
        .collect()
}

/// Records the objects that the user takes over, after settling the last run.
async fn put_down(
    held: &mut Held<'_, '_>,
    name: &str,
    choose: impl Fn(&Told) -> Result<Option<Recovered>, Error>,
) -> Result<Option<Recovered>, Error> {
    held.settle(name, &Places::new(), "recover").await?;
    let told = held.told(name).await?;
    let is_installed = held.record().is_installed();
    let recovered = if is_installed {
        elsewhere(&told, held.record())
    } else {
        choose(&told)?
    };
    held.note(
        recovered
            .iter()
            .map(|recovered| taken_over(held.record(), recovered))
            .collect(),
    )?;
    Ok(recovered)
}

/// Renames a damaged journal and rebuilds it from labels. Returns true if the journal was damaged.
pub(crate) async fn mend(workspace: &Workspace<'_>, name: &str) -> Result<bool, Error> {
    let damage = match workspace.state.read(name) {
        Err(error) if error.is_damage() => error,
        _ => return Ok(false),
    };
    let systems = workspace.connect()?;
    let drivers = systems.drivers();
    // Query the engine first: without it, the journal cannot be rebuilt.
    drivers.told(name).await?;
    let lock = workspace.state.lock(name, &Holder::this("recover", ""))?;
    if !workspace
        .state
        .read(name)
        .is_err_and(|error| error.is_damage())
    {
        return Ok(false);
    }
    let kept = workspace.state.set_aside(name)?;
    drop(lock);
    let mut session = Session::new(workspace, &drivers, name);
    let mut held = session.hold("recover")?;
    let noted = put_in_place(&mut held, name).await;
    held.release().await;
    let recovered = noted.map_err(|error| {
        error.hint(format!(
            "the damaged journal was renamed to {}",
            kept.display()
        ))
    })?;
    workspace.caller.say(&Notice::SetAside {
        deployment: name,
        damage: damage.to_string(),
        kept: &kept,
        found: recovered.as_ref(),
    });
    Ok(true)
}

/// Records the objects that this state directory sealed. The user did not confirm any others.
async fn put_in_place(held: &mut Held<'_, '_>, name: &str) -> Result<Option<Recovered>, Error> {
    held.settle(name, &Places::new(), "recover").await?;
    if held.record().is_installed() {
        return Err(Error::new(
            Kind::Busy,
            format!("another run recorded `{name}` in the meantime"),
        ));
    }
    let recovered = held.told(name).await?.ours();
    held.note(recovered.clone().map(event).into_iter().collect())?;
    Ok(recovered)
}

/// Returns the event that records a deployment recovered from labels.
pub(crate) fn event(recovered: Recovered) -> Event {
    Event::Recovered {
        deployment: Box::new(recovered.deployment),
        instances: recovered.instances,
        by_consent: false,
    }
}

/// Returns the event that records the objects that the user takes over. They are added to the
/// definition of an installed deployment.
pub(crate) fn taken_over(record: &Record, recovered: &Recovered) -> Event {
    let known = record.deployment.as_ref().filter(|_| record.is_installed());
    let deployment = known.map_or_else(
        || recovered.deployment.clone(),
        |known| joined(known, record, recovered),
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
fn joined(known: &Deployment, record: &Record, recovered: &Recovered) -> Deployment {
    // Not all existing objects were created from the definition known here.
    let (mut whole, told) = (
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
                .any(|id| recovered.seen.contains(id))
        })
    };
    for instance in told
        .instances
        .iter()
        .filter(|it| known.instance(&it.id).is_none())
    {
        let has_place = |it: &Instance| {
            it.node == instance.node && it.index == instance.index && !has_object(&it.id)
        };
        match whole.instances.iter().position(has_place) {
            Some(at) => whole.exchange(at, &instance.id),
            None => whole.instances.push(instance.clone()),
        }
        if let Some(node) = told
            .node(instance)
            .filter(|_| !whole.nodes.contains_key(&instance.node))
        {
            whole
                .nodes
                .insert(instance.node.clone(), Arc::new(node.clone()));
        }
    }
    whole
}

/// Returns the definition of an installed deployment with the instances known only from labels
/// added, or `None` if it is not installed.
pub(crate) fn with_more(record: &Record, told: &Deployment) -> Option<Deployment> {
    let mut whole = record
        .deployment
        .clone()
        .filter(|_| record.is_installed())?;
    let is_dropped = |id: &str| record.dropped.iter().any(|(dropped, _)| dropped.id == id);
    for mut instance in told
        .instances
        .iter()
        .filter(|it| !is_dropped(&it.id))
        .cloned()
    {
        let Some(node) = told
            .node(&instance)
            .filter(|_| whole.instance(&instance.id).is_none())
        else {
            continue;
        };
        // A present node can have the name of a dropped one.
        if whole.nodes.contains_key(&instance.node) {
            instance.node = format!("{}.{}", instance.node, instance.id);
        }
        whole
            .nodes
            .insert(instance.node.clone(), Arc::new(node.clone()));
        whole.instances.push(instance);
    }
    Some(whole)
}

/// Returns the record of a deployment known only from labels.
pub(crate) fn record(recovered: &Recovered) -> Record {
    let mut record = Record::default();
    let told = Entry::now(event(recovered.clone()));
    record.apply(&told).expect("it can always be recovered");
    record
}
