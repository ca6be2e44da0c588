//! `dockctl relink`.

use super::{Outcome, args::Global, error::CliError, runtime, selection, terminal::Terminal};
use crate::operate::relink;
use serde_json::json;
use std::path::Path;

/// Records that the blueprint of a deployment was moved.
pub(crate) fn relink(
    global: &Global,
    blueprint: Option<&Path>,
    deployment: &str,
) -> Result<Outcome, CliError> {
    let terminal = Terminal::new(global);
    let workspace = terminal.workspace()?;
    let name = selection::name(&workspace, Some(deployment))?;
    let origin = selection::origin(blueprint)?;
    if origin.text.is_some() {
        return Err(CliError::usage("name the file of the blueprint"));
    }
    let relinked = runtime()?.block_on(relink::relink(&workspace, &name, &origin))?;
    let (from, to) = (relinked.from.display(), relinked.to.display());
    Ok(Outcome::new(
        json!({ "deployment": relinked.deployment, "from": from.to_string(), "to": to.to_string() }),
        format!("`{name}` now uses {to}; it was installed from {from}\n"),
    ))
}
