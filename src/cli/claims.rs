//! Objects whose labels claim to be of a deployment: shown, and taken over only when the user says
//! so.

use super::error::{CliError, Kind};
use crate::{
    printable::printable,
    told::{Claim, Recovered, Told},
};
use serde_json::{Value as Json, json};
use std::fmt::Write as _;

/// What the labels say, a paragraph for each deployment.
pub(crate) fn lines(claims: &[Claim]) -> String {
    claims.iter().map(paragraph).collect()
}

fn paragraph(claim: &Claim) -> String {
    let mut text = format!(
        "  {}: {}\n",
        printable(&claim.id),
        printable(&claim.objects.join(", "))
    );
    let made_by = claim
        .made_by
        .as_ref()
        .map_or_else(|| "the labels do not say".to_owned(), ToString::to_string);
    let _ = writeln!(
        text,
        "    blueprint: {}",
        printable(&claim.blueprint.display().to_string())
    );
    let _ = writeln!(text, "    made by:   {}", printable(&made_by));
    let _ = writeln!(text, "    since:     {}", printable(&claim.since));
    text
}

/// The same for programs.
pub(crate) fn fields(claims: &[Claim]) -> Json {
    json!(claims)
}

/// What a user means by a name, and by an id if there is one. None if nothing carries the name.
///
/// # Errors
///
/// If nothing carries the id, or several deployments claim the name and no id says which is meant.
pub(crate) fn chosen(
    told: &Told,
    name: &str,
    id: Option<&str>,
    flag: &str,
) -> Result<Option<Recovered>, CliError> {
    let claims = told.claims();
    let ids = || {
        claims
            .iter()
            .map(|claim| format!("{flag} {}", printable(&claim.id)))
            .collect::<Vec<_>>()
            .join(", or ")
    };
    let chosen = match id {
        Some(id) => told.identified(id),
        None => told.meant(),
    };
    let error = match (&chosen, id) {
        (None, Some(id)) => CliError::usage(format!(
            "nothing on the engine carries the labels of `{name}` with the id `{id}`"
        )),
        (None, None) if !claims.is_empty() => CliError::usage(format!(
            "{} deployments claim the name `{name}`",
            claims.len()
        )),
        _ => return Ok(chosen),
    };
    let mut error = if claims.is_empty() {
        error
    } else {
        error.hint(format!("name the one that is meant: {}", ids()))
    };
    error.preamble = lines(&claims);
    error.fields = json!({ "deployment": name, "claims": fields(&claims) });
    Err(error)
}

/// Nothing is taken down that nothing proves to be ours.
pub(crate) fn unproven(name: &str, claims: &[Claim]) -> CliError {
    let message = format!(
        "`{name}` is not installed from this state directory; only labels on the engine name it, and nothing was done"
    );
    let mut error = CliError::new(Kind::Failed, message);
    error.preamble = lines(claims);
    error.fields = json!({ "deployment": name, "claims": fields(claims) });
    proceed(
        error.hint("use the state directory that it was installed from: --state-dir DIR"),
        name,
        claims,
    )
}

/// Another state directory made a part of what is to be taken down.
pub(crate) fn elsewhere(name: &str, claims: &[Claim]) -> CliError {
    let message = format!(
        "another state directory made objects of `{name}` that this one does not know; nothing was done"
    );
    let mut error = CliError::new(Kind::Failed, message);
    error.preamble = lines(claims);
    error.fields = json!({ "deployment": name, "claims": fields(claims) });
    proceed(error, name, claims)
}

/// How to proceed with what somebody claims.
pub(crate) fn proceed(error: CliError, name: &str, claims: &[Claim]) -> CliError {
    let ids = claims.iter().map(|claim| printable(&claim.id));
    let taken = |error: CliError, id: String| {
        let which = if claims.len() > 1 {
            format!(" --id {id}")
        } else {
            String::new()
        };
        let error = error.hint(format!("to take it over: dockctl recover {name}{which}"));
        error.hint(format!(
            "to take it down: dockctl uninstall {name} --from-labels {id}"
        ))
    };
    ids.fold(error, taken)
}
