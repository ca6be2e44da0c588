//! Asking before something is done that cannot be undone.

use super::{
    args::Global,
    complain,
    error::{CliError, Kind},
};
use crate::{model::Deployment, stage::Stage};
use std::io::{IsTerminal as _, Write as _};

/// Asks on a terminal. Off a terminal there is nobody to ask: what is dangerous needs `--yes`
/// there.
pub(crate) fn confirm(
    global: &Global,
    question: &str,
    danger: Option<&str>,
) -> Result<(), CliError> {
    if global.yes {
        return Ok(());
    }
    if !is_asked() {
        return danger.map_or(Ok(()), |danger| {
            Err(CliError::usage(danger).hint("--yes says that this is meant"))
        });
    }
    let danger = danger
        .map(|danger| format!("{danger}\n"))
        .unwrap_or_default();
    ask(&format!("{danger}{question}"))
}

/// Whether somebody can be asked.
pub(crate) fn is_asked() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// Asks, and is an error unless the answer is yes.
pub(crate) fn ask(question: &str) -> Result<(), CliError> {
    match answer(question) {
        Ok(answer) if is_yes(&answer) => return Ok(()),
        // The input ended before a line was typed.
        Ok(answer) if answer.is_empty() => complain("\n"),
        _ => {}
    }
    Err(CliError::new(Kind::Interrupted, "nothing was done"))
}

/// The line that is typed as an answer; empty at the end of the input.
fn answer(question: &str) -> std::io::Result<String> {
    complain(&format!("{question} [y/N] "));
    let _ = std::io::stderr().flush();
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(answer)
}

fn is_yes(answer: &str) -> bool {
    matches!(answer.trim().to_lowercase().as_str(), "y" | "yes")
}

/// Nodes under `metadata.dockctl.protect`, now or in the definition before, that a stage deletes
/// something of, by name.
pub(crate) fn protected_nodes(
    deployment: &Deployment,
    before: Option<&Deployment>,
    stage: &Stage,
) -> Vec<String> {
    let is_protected = |node: &String| {
        deployment.protected.contains(node)
            || before.is_some_and(|before| before.protected.contains(node))
    };

    let deleted = stage
        .tasks()
        .iter()
        .filter(|task| task.step.traits.deletes)
        .map(|task| task.node.clone());
    let mut nodes: Vec<String> = deleted.filter(is_protected).collect();
    nodes.sort_unstable();
    nodes.dedup();
    nodes
}

/// The same in words; none if it deletes none of them.
pub(crate) fn protected(
    deployment: &Deployment,
    before: Option<&Deployment>,
    stage: &Stage,
) -> Option<String> {
    let nodes = protected_nodes(deployment, before, stage);
    let told = || {
        format!(
            "this deletes what the blueprint protects: {}",
            nodes.join(", ")
        )
    };
    (!nodes.is_empty()).then(told)
}
