//! Results that leave out instances, because their engine does not respond.

use super::{
    Outcome,
    error::{CliError, Kind, Shown},
};
use crate::{printable::printable, report::count, seam::Unseen};
use serde_json::{Value as Json, json};

/// Returns a result with the engines that did not respond: as it is if all did, otherwise as the
/// result of an error.
pub(crate) fn complete(mut outcome: Outcome, unseen: &[Unseen]) -> Result<Outcome, CliError> {
    outcome.fields["unseen"] = unseen_json(unseen);
    if unseen.is_empty() {
        return Ok(outcome);
    }
    let mut error = error(unseen);
    error.shown = Some(Shown {
        fields: outcome.fields,
        preamble: unseen.iter().map(unseen_line).collect(),
        result: outcome.text,
    });
    Err(error)
}

/// Returns the error for engines that did not respond.
pub(crate) fn error(unseen: &[Unseen]) -> CliError {
    let message = format!(
        "{} did not respond; the result leaves out {}",
        count(unseen.len(), "engine"),
        count(unseen.iter().map(|it| it.instances.len()).sum(), "instance")
    );
    let mut hints: Vec<&String> = unseen.iter().flat_map(|it| &it.reason.hints).collect();
    hints.dedup();
    let error = CliError::new(Kind::Engine, message);
    hints.into_iter().fold(error, CliError::hint)
}

/// Returns engines that did not respond as JSON.
pub(crate) fn unseen_json(unseen: &[Unseen]) -> Json {
    let one = |it: &Unseen| json!({ "engine": it.engine, "instances": it.instances, "reason": it.reason.message });
    unseen.iter().map(one).collect()
}

/// Returns a line about an engine that did not respond.
pub(crate) fn unseen_line(unseen: &Unseen) -> String {
    let Unseen {
        engine,
        instances,
        reason,
    } = unseen;
    let names = instances.join(", ");
    let line = format!(
        "unseen: {names} on the engine `{engine}`: {}",
        reason.message
    );
    printable(&line) + "\n"
}
