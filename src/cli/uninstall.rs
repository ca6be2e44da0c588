//! `dockctl uninstall`.

use super::{
    Outcome, args::Global, error::CliError, run::closing, runtime, selection, terminal::Terminal,
    unseen,
};
use crate::operate::{
    settings::RunOptions,
    uninstall::{self, Request},
};
use serde_json::json;

/// Options of `uninstall`.
pub(crate) struct Arguments<'a> {
    /// Uninstalls a deployment that is known only from labels: the one with this ID, or the only
    /// one if the ID is empty.
    pub from_labels: Option<&'a str>,
    pub volumes: bool,
    pub inputs: &'a [String],
    pub options: RunOptions,
}

/// Uninstalls a deployment.
pub(crate) fn uninstall(
    global: &Global,
    given: Option<&str>,
    arguments: &Arguments<'_>,
) -> Result<Outcome, CliError> {
    let terminal = Terminal::new(global);
    let workspace = terminal.workspace()?;
    let request = Request {
        deployment: selection::name(&workspace, given)?,
        from_labels: arguments.from_labels.map(str::to_owned),
        volumes: arguments.volumes,
        inputs: arguments.inputs.to_vec(),
        options: arguments.options,
    };
    let removed = runtime()?.block_on(uninstall::uninstall(&workspace, &request))?;
    match removed {
        Some((record, unseen)) => unseen::complete(closing(&record), &unseen),
        None => Ok(nothing_to_uninstall(&request.deployment)),
    }
}

fn nothing_to_uninstall(name: &str) -> Outcome {
    Outcome::new(
        json!({ "deployment": name, "execution": null, "instances": [] }),
        format!("`{name}` is not installed: nothing to do\n"),
    )
}
