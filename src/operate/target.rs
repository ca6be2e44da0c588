//! Selects objects that can run commands and write logs.

use super::{
    error::{Error, Kind},
    execute::named,
    workspace::Workspace,
};
use crate::{
    model::Instance,
    plugins::{Places, Plugins, Scene, Shell},
    record::Record,
    seam::Reached,
};

/// An instance with its object.
pub(crate) struct Running {
    pub instance: String,
    pub place: Reached,
}

/// Returns the objects of the named instances, or of all if there are no names. Skips instances
/// without an object.
pub(crate) fn targets(
    workspace: &Workspace<'_>,
    record: &Record,
    names: &[String],
) -> Result<Vec<Running>, Error> {
    let selection = named(names, record)?;
    let Some(deployment) = &record.deployment else {
        return Ok(Vec::new());
    };
    let plugins = Plugins::default();
    let places = plugins.places(Scene {
        deployment,
        record,
        secrets: &workspace.secrets,
    });
    let places = places.map_err(|message| Error::new(Kind::Engine, message))?;
    let is_meant = |instance: &&Instance| {
        let node = deployment.node(instance);
        selection.has(deployment, instance) && node.is_some_and(|node| plugins.has_shell(node))
    };
    let chosen = deployment.instances.iter().filter(is_meant);
    let found: Vec<Running> = chosen.filter_map(|it| running(&places, &it.id)).collect();
    if found.is_empty() {
        return Err(none_there(&deployment.name));
    }
    Ok(found)
}

fn running(places: &Places, instance: &str) -> Option<Running> {
    let place = places.get(instance)?;
    Some(Running {
        instance: instance.to_owned(),
        place: Reached {
            plugin: place.plugin.clone(),
            target: place.target.clone(),
            object: place.object.clone()?,
        },
    })
}

fn none_there(deployment: &str) -> Error {
    let message = format!("no container found for `{deployment}`");
    let error = Error::new(Kind::Failed, message);
    error.hint(format!("check its state: dockctl status -d {deployment}"))
}

/// Returns an error if an object no longer exists.
pub(crate) async fn require(
    shell: &dyn Shell,
    target: &Running,
    deployment: &str,
) -> Result<(), Error> {
    if shell.has(&target.place).await? {
        return Ok(());
    }
    let short: String = target.place.object.chars().take(12).collect();
    let message = format!("container {short} of {} no longer exists", target.instance);
    let error = Error::new(Kind::Failed, message);
    Err(error.hint(format!("recreate it: dockctl heal -d {deployment}")))
}
