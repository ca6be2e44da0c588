//! `dockctl recover`.

use super::{
    Outcome,
    args::Global,
    claims::recovered_text,
    error::CliError,
    runtime, selection,
    status::{known_instances, known_table},
    terminal::Terminal,
};
use crate::{
    discovery::RecoveredDeployment,
    operate::recover::{self, Recovery},
    record::Record,
};
use serde_json::json;

/// Rebuilds the record of a deployment from the labels on the engine.
pub(crate) fn recover(
    global: &Global,
    given: Option<&str>,
    id: Option<&str>,
) -> Result<Outcome, CliError> {
    let terminal = Terminal::new(global);
    let workspace = terminal.workspace()?;
    let name = selection::name(&workspace, given)?;
    let recovery = runtime()?.block_on(recover::recover(&workspace, (&name, id)))?;
    Ok(match recovery {
        Some(Recovery { record, found }) => recovered(&name, &record, found.as_ref()),
        None => Outcome {
            text: format!("`{name}` already has a record: nothing to recover\n"),
            ..record_outcome(&name, &Record::default(), false)
        },
    })
}

fn recovered(name: &str, record: &Record, found: Option<&RecoveredDeployment>) -> Outcome {
    let mut outcome = record_outcome(name, record, true);
    if let Some(found) = found {
        let left_out = found.not_recovered.iter();
        outcome.fields["not_recovered"] = left_out
            .map(|(name, why)| json!({ "name": name, "reason": why }))
            .collect();
        outcome.text += &recovered_text(found);
    }
    outcome
}

/// Returns the result with the instances of the record.
fn record_outcome(name: &str, record: &Record, recovered: bool) -> Outcome {
    let instances = known_instances(record);
    let fields = json!({ "deployment": name, "recovered": recovered, "instances": instances });
    Outcome::new(fields, known_table(record))
}
