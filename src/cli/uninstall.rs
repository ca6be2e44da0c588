//! `dockctl uninstall`.

use super::{
    Outcome,
    args::Global,
    error::{CliError, Kind},
    run::{Job, carry_out, closing},
    workspace::Workspace,
};
use crate::{
    backend::docker::give_up_volumes,
    plan::{Workflow, uninstall as workflow},
};
use serde_json::json;
use std::io::{IsTerminal as _, Write as _};

/// Takes a deployment down. One that is not there is no fault.
pub(crate) fn uninstall(global: &Global, given: Option<&str>, volumes: bool) -> Result<Outcome, CliError> {
    let workspace = Workspace::new(global)?;
    let name = Workspace::name(given)?;
    Workspace::runtime()?.block_on(async {
        let engines = workspace.engines()?;
        if !workspace.state.read(&name)?.is_some_and(|record| record.is_installed()) {
            return refuse_strangers(&name, &engines.made_for(&name).await?).map(|()| nothing(&name));
        }
        confirm(global, &name, volumes)?;
        let held = workspace.state.hold(&name, "uninstall")?;
        let Some(mut deployment) = held.record.deployment.clone().filter(|_| held.record.is_installed()) else { return Ok(nothing(&name)) };
        if volumes {
            give_up_volumes(&mut deployment);
        }
        let observed = workspace.observe(&engines, &deployment, &held.record).await?;
        let proposal = workflow::next(&deployment, &held.record, &observed);
        let job = Job {
            workspace: &workspace,
            engines: &engines,
            workflow: Workflow::Uninstall,
            stage: proposal.stage,
            again: workspace.again(&["uninstall", &name]),
        };
        carry_out(job, held, Vec::new()).await.map(|record| closing(&record))
    })
}

/// Containers of a deployment of this name that another state folder knows: to say that nothing is there would be wrong.
fn refuse_strangers(name: &str, containers: &[String]) -> Result<(), CliError> {
    if containers.is_empty() {
        return Ok(());
    }
    let message = format!("this state folder does not know `{name}`, but the engine has containers of it: {}", containers.join(", "));
    let error = CliError::new(Kind::Failed, message);
    Err(error.hint("name the state folder that it was installed from: --state-dir").hint("or remove them: docker rm -f -v CONTAINER…"))
}

fn nothing(name: &str) -> Outcome {
    Outcome::new(json!({ "deployment": name, "execution": null, "instances": [] }), format!("`{name}` is not installed: nothing to do\n"))
}

/// Asks on a terminal; off a terminal there is nobody to ask, and what is in volumes is lost for good.
fn confirm(global: &Global, name: &str, volumes: bool) -> Result<(), CliError> {
    let nobody = !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal();
    match (global.yes, nobody, volumes) {
        (true, _, _) | (_, true, false) => return Ok(()),
        (false, true, true) => {
            return Err(CliError::usage("--volumes removes what cannot be made again").hint("--yes says that this is meant"));
        }
        (false, false, _) => {}
    }
    let what = if volumes { "all its containers and everything in its volumes" } else { "all its containers" };
    super::complain(&format!("Take down `{name}`, with {what}? [y/N] "));
    let _ = std::io::stderr().flush();
    let mut answer = String::new();
    let read = std::io::stdin().read_line(&mut answer);
    match (read, answer.trim().to_lowercase().as_str()) {
        (Ok(_), "y" | "yes") => Ok(()),
        (read, _) => {
            if read.is_ok_and(|bytes| bytes == 0) {
                super::complain("\n");
            }
            Err(CliError::new(Kind::Interrupted, "nothing was done").hint("--yes does not ask"))
        }
    }
}
