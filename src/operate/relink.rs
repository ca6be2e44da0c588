//! `relink`: follows a blueprint that was moved.

use super::{
    blueprint::{self, Origin},
    error::Error,
    session::Session,
    workspace::Workspace,
};
use crate::{
    event::Event,
    model::{Deployment, inputs::MissingInputs},
};
use std::{collections::BTreeSet, path::PathBuf};

/// The paths of a blueprint before and after it was moved.
pub(crate) struct Relinked {
    /// Name of the deployment.
    pub deployment: String,
    /// The path before.
    pub from: PathBuf,
    /// The path from now on.
    pub to: PathBuf,
}

/// Records that the blueprint of a deployment is at another path. Changes nothing else: a later
/// `update` follows changes of the blueprint.
///
/// # Errors
///
/// If the deployment is not installed, or the file is not its blueprint.
pub(crate) async fn relink(
    workspace: &Workspace<'_>,
    name: &str,
    origin: &Origin,
) -> Result<Relinked, Error> {
    let known = workspace.record(name)?;
    let Some(deployment) = known.deployment.as_ref().filter(|_| known.is_installed()) else {
        return Err(Error::usage(format!("`{name}` is not installed")));
    };
    check(deployment, origin, workspace)?;
    let to = blueprint::absolute(&origin.path);
    let systems = workspace.connect()?;
    let drivers = systems.drivers();
    let mut session = Session::new(workspace, &drivers, name);
    let mut held = session.hold("relink")?;
    let moved = held.record().deployment.clone().map(|deployment| {
        let from = deployment.blueprint.clone();
        let deployment = Box::new(Deployment {
            blueprint: to.clone(),
            ..deployment
        });
        (from, Event::Defined { deployment })
    });
    let (from, event) = moved.unzip();
    let recorded = held.record_events(event.into_iter().collect());
    held.release().await;
    recorded?;
    Ok(Relinked {
        deployment: name.to_owned(),
        from: from.unwrap_or_default(),
        to,
    })
}

/// Refuses a file that cannot be the blueprint of a deployment: it is invalid, or has none of its
/// nodes.
fn check(deployment: &Deployment, origin: &Origin, workspace: &Workspace<'_>) -> Result<(), Error> {
    let loaded = blueprint::load(
        origin,
        &[],
        Some(deployment),
        MissingInputs::Allow,
        &workspace.settings,
    )?;
    if !loaded.is_valid() {
        return Err(loaded.to_error());
    }
    let declared: BTreeSet<&str> = loaded.blueprint.nodes.keys().map(|it| &**it).collect();
    let mut nodes = deployment.nodes.keys();
    if nodes.len() > 0 && !nodes.any(|name| declared.contains(name.as_str())) {
        let message = format!(
            "{} is another blueprint: it declares no node of `{}`",
            origin.path.display(),
            deployment.name
        );
        return Err(Error::usage(message));
    }
    Ok(())
}
