//! `dockctl uninstall`.

use super::{
    Outcome, args::Global, error::CliError, named, run::closing, runtime, terminal::Terminal,
};
use crate::operate::{
    settings::RunOptions,
    uninstall::{self, Request},
};
use serde_json::json;

/// Options of `uninstall`.
pub(crate) struct Ask<'a> {
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
    ask: &Ask<'_>,
) -> Result<Outcome, CliError> {
    let terminal = Terminal::new(global);
    let workspace = terminal.workspace()?;
    let request = Request {
        deployment: named::name(&workspace, given)?,
        from_labels: ask.from_labels.map(str::to_owned),
        volumes: ask.volumes,
        inputs: ask.inputs.to_vec(),
        options: ask.options,
    };
    let removed = runtime()?.block_on(uninstall::uninstall(&workspace, &request))?;
    Ok(match removed {
        Some(record) => closing(&record),
        None => nothing(&request.deployment),
    })
}

fn nothing(name: &str) -> Outcome {
    Outcome::new(
        json!({ "deployment": name, "execution": null, "instances": [] }),
        format!("`{name}` is not installed: nothing to do\n"),
    )
}
