//! Observes a deployment: its record and the present state of its engines. Changes nothing.

use super::{claims, error::Error, recover, workspace::Workspace};
use crate::{
    discovery::{Claim, Discovery, RecoveredDeployment},
    plugins::Drivers,
    record::Record,
    seam::{Object, Observed},
};

/// The record of a deployment, with the present state of its engines.
pub(crate) struct Observation {
    /// The deployment.
    pub record: Record,
    /// The deployment recovered from labels, if there is no journal.
    pub recovered: Option<RecoveredDeployment>,
    /// The deployment was freed: its objects stay, but it is not managed.
    pub is_freed: bool,
    /// Unproven objects that claim to belong to the deployment.
    pub claims: Vec<Claim>,
    /// The present state of the engines.
    pub observed: Observed,
}

/// Returns the record of a deployment and the present state of its engines. Without a journal, the
/// record is recovered from labels.
///
/// # Errors
///
/// If the deployment is unknown, or an engine does not respond.
pub(crate) async fn observe(workspace: &Workspace<'_>, name: &str) -> Result<Observation, Error> {
    let systems = workspace.connect()?;
    let drivers = systems.drivers();
    let known = match workspace.state.read(name) {
        Err(error) if error.is_damaged() => {
            workspace.warn(error.to_string());
            None
        }
        known => known?.filter(|record| record.deployment.is_some()),
    };
    let installed = known.as_ref().is_some_and(Record::is_installed);
    let is_freed = known.as_ref().is_some_and(Record::is_freed);
    let discovery = if installed {
        Discovery::default()
    } else {
        workspace.discover(&drivers, name).await?
    };
    let recovered = discovery.unique();
    let record = match (&recovered, known) {
        (Some(recovered), _) => recover::record(recovered),
        (None, Some(known)) => known,
        (None, None) if !discovery.claims().is_empty() => Record::default(),
        (None, None) => workspace.record(name)?,
    };
    let Some(deployment) = record.deployment.clone() else {
        let error = claims::select(&discovery, name, None, "--id")
            .err()
            .unwrap_or_else(|| Workspace::unknown_deployment(name));
        return Err(error);
    };
    let observed = workspace.observe(&drivers, &deployment, &record).await?;
    let claims = if installed {
        claims_of_installed(workspace, &drivers, name, &observed).await?
    } else {
        discovery.claims()
    };
    Ok(Observation {
        record,
        recovered,
        is_freed,
        claims,
        observed,
    })
}

/// Returns the claims on observed objects that name an installed deployment.
async fn claims_of_installed(
    workspace: &Workspace<'_>,
    drivers: &Drivers<'_>,
    name: &str,
    observed: &Observed,
) -> Result<Vec<Claim>, Error> {
    if !observed.objects().iter().any(|object| object.is_claimed) {
        return Ok(Vec::new());
    }
    let is_claimed = |claim: &Claim| {
        let names = |object: &&Object| {
            object.is_claimed
                && claim
                    .objects
                    .contains(&format!("{} {}", object.kind, object.name))
        };
        observed.objects().iter().any(|object| names(&object))
    };
    Ok(workspace
        .discover(drivers, name)
        .await?
        .claims()
        .into_iter()
        .filter(is_claimed)
        .collect())
}
