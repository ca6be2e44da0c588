//! `dockctl cancel`.

use super::{
    Outcome,
    args::{ExecutionArgs, Global},
    error::CliError,
    print_error, selection,
    terminal::Terminal,
};
use crate::{event, journal::Holder, operate::Workspace};
use serde_json::json;
use std::{thread::sleep, time::Duration};

/// Interval between checks that the run has stopped.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// Cancels the running execution of a deployment, and waits until it has stopped.
pub(crate) fn cancel(
    global: &Global,
    args: &ExecutionArgs,
    force: bool,
    wait: bool,
) -> Result<Outcome, CliError> {
    let terminal = Terminal::new(global);
    let workspace = terminal.workspace()?;
    let (name, id) = selection::execution(&workspace, args)?;
    let Some(holder) = workspace.state.holder(&name)? else {
        return nothing_to_cancel(&workspace, &name, id.as_deref());
    };
    if let Some(id) = id.filter(|id| *id != holder.execution) {
        return Err(CliError::usage(format!(
            "execution {id} is not running; `{name}` is in use by {holder}"
        )));
    }
    workspace.state.request_stop(&name, force)?;
    if !wait {
        let fields = json!({ "deployment": name, "execution": holder.execution, "outcome": null, "forced": force });
        return Ok(Outcome::new(fields, format!("asked {holder} to stop\n")));
    }
    print_error(&format!(
        "asked {holder} to stop; waiting for it to end (Ctrl-C stops waiting)\n"
    ));
    while workspace
        .state
        .holder(&name)?
        .is_some_and(|now| now.execution == holder.execution)
    {
        sleep(POLL_INTERVAL);
    }
    cancelled_outcome(&workspace, &name, &holder, force)
}

fn cancelled_outcome(
    workspace: &Workspace<'_>,
    name: &str,
    holder: &Holder,
    force: bool,
) -> Result<Outcome, CliError> {
    let record = workspace.state.read(name)?.unwrap_or_default();
    let outcome = record
        .executions
        .iter()
        .find(|it| it.id == holder.execution)
        .and_then(|it| it.outcome);
    let text = match outcome {
        Some(outcome) => format!(
            "outcome of execution {}: {}\n",
            holder.execution,
            outcome.as_str()
        ),
        None => format!("{holder} stopped before its execution began\n"),
    };
    Ok(Outcome::new(
        json!({ "deployment": name, "execution": holder.execution, "outcome": outcome, "forced": force }),
        text,
    ))
}

/// Returns the result if no process holds the deployment.
fn nothing_to_cancel(
    workspace: &Workspace<'_>,
    name: &str,
    id: Option<&str>,
) -> Result<Outcome, CliError> {
    let record = workspace.record(name)?;
    if let Some(id) = id.filter(|id| !record.executions.iter().any(|it| it.id == *id)) {
        return Err(CliError::usage(format!("`{name}` has no execution `{id}`"))
            .hint(format!("list the executions: dockctl executions -d {name}")));
    }
    let text = match record
        .running()
        .filter(|running| id.is_none_or(|id| id == running.id))
    {
        Some(dead) => {
            format!(
                "nothing to cancel: the process of execution {} died; to resume it, run: dockctl resume -d {name}\n",
                dead.id
            )
        }
        None => format!("nothing to cancel: no execution of `{name}` is running\n"),
    };
    let outcome = record.running().map(|_| event::Outcome::Interrupted);
    Ok(Outcome::new(
        json!({ "deployment": name, "execution": null, "outcome": outcome, "forced": false }),
        text,
    ))
}
