//! Recovering a deployment from labels, and replacing a journal that is damaged.

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

/// A deployment that was recovered.
#[derive(Debug)]
pub(crate) struct Recovery {
    /// The deployment as it is known now.
    pub record: Record,
    /// What labels said; none if the journal was damaged, and replaced before.
    pub found: Option<Recovered>,
}

/// Rebuilds what is known of a deployment from the labels on the engine; none if it is known. The
/// user says by that that its objects are theirs.
///
/// # Errors
///
/// If no labels name it, several deployments claim the name, or the run does not succeed.
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
                "nothing on the engine carries the labels of a deployment `{name}`"
            ));
            return Err(error.hint("dockctl list --all shows those there are"));
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

/// What another state directory made for a deployment that is installed here.
pub(crate) fn elsewhere(told: &Told, record: &Record) -> Option<Recovered> {
    told.made_elsewhere(&record.deployment.as_ref()?.id, &record.object_ids())
}

/// Refuses to work beside objects that another state directory made for the same deployment.
pub(crate) fn refuse_elsewhere(told: &Told, record: &Record, name: &str) -> Result<(), Error> {
    if elsewhere(told, record).is_none() {
        return Ok(());
    }
    Err(claims::elsewhere(name, &of_deployment(told, record)))
}

/// The claims that bear the id of a deployment that is installed here.
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

/// Puts down what the user takes over, once nobody works on the deployment any more.
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

/// Sets a damaged journal aside, and puts what labels tell in its place; whether there was one.
pub(crate) async fn mend(workspace: &Workspace<'_>, name: &str) -> Result<bool, Error> {
    let damage = match workspace.state.read(name) {
        Err(error) if error.is_damage() => error,
        _ => return Ok(false),
    };
    let systems = workspace.connect()?;
    let drivers = systems.drivers();
    // Looked at before anything is touched: without an engine there is nothing to put in its place.
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
            "the damaged journal was kept as {}",
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

/// Puts down what this state directory sealed: nobody was asked for more.
async fn put_in_place(held: &mut Held<'_, '_>, name: &str) -> Result<Option<Recovered>, Error> {
    held.settle(name, &Places::new(), "recover").await?;
    if held.record().is_installed() {
        return Err(Error::new(
            Kind::Busy,
            format!("another run put down `{name}` in the meantime"),
        ));
    }
    let recovered = held.told(name).await?.ours();
    held.note(recovered.clone().map(event).into_iter().collect())?;
    Ok(recovered)
}

/// The event that puts down what labels tell.
pub(crate) fn event(recovered: Recovered) -> Event {
    Event::Recovered {
        deployment: Box::new(recovered.deployment),
        instances: recovered.instances,
        by_consent: false,
    }
}

/// The event that puts down what the user takes over: beside the definition, where there is one.
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

/// The definition of what is installed, with the instances that another state directory made. Where
/// both count instances of a node, theirs take the places of those that have no object here.
fn joined(known: &Deployment, record: &Record, recovered: &Recovered) -> Deployment {
    // What is there was not made from the definition that is known here, or not all of it.
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

/// The definition of what is installed, with the instances that only labels tell of; none if
/// nothing is installed.
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
        // A node of today can have the name of one that was dropped.
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

/// What is known if labels are all that tells.
pub(crate) fn record(recovered: &Recovered) -> Record {
    let mut record = Record::default();
    let told = Entry::now(event(recovered.clone()));
    record.apply(&told).expect("it can always be recovered");
    record
}
