//! Objects that belong to a deployment only according to their labels. dockctl shows them, and
//! takes them over only if the user confirms it.

use super::error::{Claimed, Detail, Error, Kind};
use crate::{
    discovery::{Claim, Discovery, RecoveredDeployment},
    printable::printable,
};

fn claims_detail(name: &str, claims: &[Claim]) -> Detail {
    Detail::Claims(Claimed {
        deployment: name.to_owned(),
        objects: None,
        claims: claims.to_vec(),
    })
}

/// Returns the deployment with a name, and an ID if given. Returns `None` if no object has the
/// name.
///
/// # Errors
///
/// If no object has the ID, or several deployments claim the name and no ID is given.
pub(crate) fn select(
    discovery: &Discovery,
    name: &str,
    id: Option<&str>,
    flag: &str,
) -> Result<Option<RecoveredDeployment>, Error> {
    let claims = discovery.claims();
    let ids = || {
        claims
            .iter()
            .map(|claim| format!("{flag} {}", printable(&claim.id)))
            .collect::<Vec<_>>()
            .join(", or ")
    };
    let chosen = match id {
        Some(id) => discovery.by_id(id),
        None => discovery.unique(),
    };
    let error = match (&chosen, id) {
        (None, Some(id)) => Error::usage(format!(
            "no object on the engine has the label of deployment `{name}` with ID `{id}`"
        )),
        (None, None) if !claims.is_empty() => Error::usage(format!(
            "{} deployments on the engine claim the name `{name}`",
            claims.len()
        )),
        _ => return Ok(chosen),
    };
    let error = if claims.is_empty() {
        error
    } else {
        error.hint(format!("select one: {}", ids()))
    };
    Err(error.with(claims_detail(name, &claims)))
}

/// Returns the error for uninstalling objects that are not proven to be ours.
pub(crate) fn unproven(name: &str, claims: &[Claim]) -> Error {
    let message = format!(
        "`{name}` is known only from labels on the engine, not from this state directory; nothing was done"
    );
    let error = Error::new(Kind::Failed, message).with(claims_detail(name, claims));
    with_hints(
        error.hint("use the state directory that installed it: --state-dir DIR"),
        name,
        claims,
    )
}

/// Returns the error for a deployment that another state directory created objects for.
pub(crate) fn created_elsewhere(name: &str, claims: &[Claim]) -> Error {
    let message = format!(
        "another state directory created objects of `{name}` that this one has no record of; nothing was done"
    );
    let error = Error::new(Kind::Failed, message).with(claims_detail(name, claims));
    with_hints(error, name, claims)
}

/// Adds hints for taking over or uninstalling the claimed deployments.
pub(crate) fn with_hints(error: Error, name: &str, claims: &[Claim]) -> Error {
    let ids = claims.iter().map(|claim| printable(&claim.id));
    let with_hint = |error: Error, id: String| {
        let which = if claims.len() > 1 {
            format!(" --id {id}")
        } else {
            String::new()
        };
        let error = error.hint(format!(
            "to take it over, run: dockctl recover {name}{which}"
        ));
        error.hint(format!(
            "to uninstall it, run: dockctl uninstall {name} --from-labels {id}"
        ))
    };
    ids.fold(error, with_hint)
}
