//! Asking before something is done that cannot be undone.

use super::{
    args::Global,
    complain,
    error::{CliError, Kind},
};
use crate::{model::Deployment, plan::Stage};
use std::io::{IsTerminal as _, Write as _};

/// Asks on a terminal. Off a terminal there is nobody to ask: what is dangerous needs `--yes` there.
pub(crate) fn confirm(global: &Global, question: &str, danger: Option<&str>) -> Result<(), CliError> {
    if global.yes {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        return danger.map_or(Ok(()), |danger| Err(CliError::usage(danger).hint("--yes says that this is meant")));
    }
    let danger = danger.map(|danger| format!("{danger}\n")).unwrap_or_default();
    complain(&format!("{danger}{question} [y/N] "));
    let _ = std::io::stderr().flush();
    let mut answer = String::new();
    let read = std::io::stdin().read_line(&mut answer);
    if read.is_ok() && matches!(answer.trim().to_lowercase().as_str(), "y" | "yes") {
        return Ok(());
    }
    if read.is_ok_and(|bytes| bytes == 0) {
        complain("\n");
    }
    Err(CliError::new(Kind::Interrupted, "nothing was done"))
}

/// Nodes under `metadata.dockctl.protect` that a stage deletes something of, in words; none if it deletes none of them.
pub(crate) fn protected(deployment: &Deployment, stage: &Stage) -> Option<String> {
    let mut nodes: Vec<&str> = stage.tasks().iter().filter(|task| task.step.deletes()).map(|task| task.node.as_str()).collect();
    nodes.retain(|node| deployment.protected.iter().any(|name| name == node));
    nodes.sort_unstable();
    nodes.dedup();
    (!nodes.is_empty()).then(|| format!("this deletes what the blueprint protects: {}", nodes.join(", ")))
}
