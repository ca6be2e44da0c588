//! Selects objects that can run commands and write logs.

use super::{
    error::{Error, Kind},
    execute::select_instances,
    workspace::Workspace,
};
use crate::{
    model::Instance,
    plugins::{ObjectPlaces, ObserveContext, Plugins, Shell},
    record::Record,
    seam::{Failure, ObjectRef},
};

/// An instance with its object.
pub(crate) struct InstanceObject {
    pub instance: String,
    pub reached: ObjectRef,
}

/// Returns the objects of the named instances, or of all if there are no names. Skips instances
/// without an object.
pub(crate) fn targets(
    workspace: &Workspace<'_>,
    record: &Record,
    names: &[String],
) -> Result<Vec<InstanceObject>, Error> {
    let selection = select_instances(names, record)?;
    let Some(deployment) = &record.deployment else {
        return Ok(Vec::new());
    };
    let plugins = Plugins::default();
    let places = plugins.places(ObserveContext {
        deployment,
        record,
        secrets: &workspace.secrets,
    });
    let places = places.map_err(|message| Error::new(Kind::Engine, message))?;
    let is_selected = |instance: &&Instance| {
        let node = deployment.node(instance);
        selection.contains(deployment, instance) && node.is_some_and(|node| plugins.has_shell(node))
    };
    let chosen = deployment.instances.iter().filter(is_selected);
    let found: Vec<InstanceObject> = chosen
        .filter_map(|it| instance_object(&places, &it.id))
        .collect();
    if found.is_empty() {
        return Err(no_container(&deployment.name));
    }
    Ok(found)
}

fn instance_object(places: &ObjectPlaces, instance: &str) -> Option<InstanceObject> {
    let place = places.get(instance)?;
    Some(InstanceObject {
        instance: instance.to_owned(),
        reached: ObjectRef {
            plugin: place.plugin.clone(),
            target: place.target.clone(),
            object: place.object.clone()?,
        },
    })
}

fn no_container(deployment: &str) -> Error {
    let message = format!("no container found for `{deployment}`");
    let error = Error::new(Kind::Failed, message);
    error.hint(format!("check its state: dockctl status -d {deployment}"))
}

/// Returns an error if an object no longer exists.
pub(crate) async fn require_object(
    shell: &dyn Shell,
    target: &InstanceObject,
    deployment: &str,
) -> Result<(), Error> {
    if shell.presence(&target.reached).await?.is_some() {
        return Ok(());
    }
    let failure = no_object(&target.instance, &target.reached, deployment);
    let error = Error::new(Kind::Failed, failure.message);
    Err(failure.hints.into_iter().fold(error, Error::hint))
}

/// Returns the failure of an object that no longer exists.
pub(crate) fn no_object(instance: &str, object: &ObjectRef, deployment: &str) -> Failure {
    let short: String = object.object.chars().take(12).collect();
    let message = format!("container {short} of {instance} no longer exists");
    Failure::fatal(message).hint(format!("recreate it: dockctl heal -d {deployment}"))
}
