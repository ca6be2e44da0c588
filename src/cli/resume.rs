//! `dockctl resume`.

use super::{
    Outcome,
    args::{ExecutionArgs, Global},
    error::{CliError, Kind},
    recover,
    run::closing,
    session::{How, Job, Session},
    workspace::Workspace,
};
use crate::{
    event,
    model::Deployment,
    plan::{self, Known, Proposal, install, rollback},
    plugins::{Plugins, Scene},
    record::{Execution, Record},
    stage::Parameters,
};
use serde_json::json;

/// Goes on with an execution from what it was to do when it began; a blueprint that was edited
/// since is not read.
pub(crate) fn resume(
    global: &Global,
    args: &ExecutionArgs,
    inputs: &[String],
    how: How,
) -> Result<Outcome, CliError> {
    let workspace = Workspace::new(global)?;
    let (name, id) = workspace.execution(args)?;
    workspace.supply(inputs)?;
    Workspace::runtime()?.block_on(async {
        recover::mend(&workspace, &name).await?;
        let record = workspace.record(&name).map_err(|error| match error.kind {
            Kind::Usage => error.hint(format!("if the state was lost: dockctl recover {name}")),
            _ => error,
        })?;
        if let Some(nothing) = nothing_to_do(&name, id.as_deref(), &record)? {
            return Ok(nothing);
        }
        let systems = workspace.connect()?;
        let drivers = systems.drivers();
        let mut session = Session::begin(&workspace, &drivers, &name, "resume")?;
        let done = go_on(&workspace, &mut session, &name, id.as_deref(), how).await;
        let record = session.end().await;
        done.map(|nothing| nothing.unwrap_or_else(|| closing(&record)))
    })
}

/// Says so if there is nothing to go on with.
fn nothing_to_do(
    name: &str,
    id: Option<&str>,
    record: &Record,
) -> Result<Option<Outcome>, CliError> {
    let last = record.executions.last();
    if let Some(id) = id
        && last.is_none_or(|last| last.id != id)
    {
        let error = CliError::usage(format!(
            "`{id}` is not the last execution of `{name}`: only that can be resumed"
        ));
        return Err(error.hint(format!(
            "dockctl executions -d {name} shows those there are"
        )));
    }
    let done = last.is_none_or(|last| last.outcome == Some(event::Outcome::Terminated));
    let text = match last {
        Some(_) => format!("the last execution of `{name}` is done: there is nothing to resume\n"),
        None => format!(
            "what was begun for `{name}` is not known here: dockctl install, or dockctl uninstall {name}, go on from what is there\n"
        ),
    };
    Ok(done
        .then(|| Outcome::new(json!({ "deployment": name, "execution": null, "instances": super::status::known_instances(record) }), text)))
}

async fn go_on(
    workspace: &Workspace<'_>,
    session: &mut Session<'_>,
    name: &str,
    id: Option<&str>,
    how: How,
) -> Result<Option<Outcome>, CliError> {
    // Another run may have ended since the first look.
    if let Some(nothing) = nothing_to_do(name, id, &session.record)? {
        return Ok(Some(nothing));
    }
    let (Some(last), Some(deployment)) = (
        session.record.executions.last().cloned(),
        session.record.deployment.clone(),
    ) else {
        return Ok(None);
    };
    let places = Plugins::default()
        .places(Scene {
            deployment: &deployment,
            record: &session.record,
            secrets: &workspace.secrets,
        })
        .map_err(|message| CliError::new(Kind::Engine, message))?;
    session.settle(name, &places, "resume").await?;
    let observed = session.observe().await?;
    let (proposal, of) = propose(&last, &deployment, &session.record, &observed);
    let planned = last.clone();
    let words: Vec<String> = ["resume", "-d", name]
        .map(str::to_owned)
        .into_iter()
        .chain(how.flags())
        .collect();
    let command: Vec<&str> = words.iter().map(String::as_str).collect();
    let job = Job {
        parameters: *last.parameters.clone(),
        of: Some(of),
        stage: proposal.stage,
        before: Vec::new(),
        how,
        again: workspace.again(&command),
        replan: Some(Box::new(move |known| {
            propose(&planned, &deployment, known.record, known.observed)
                .0
                .stage
        })),
    };
    session.carry_out(job).await.map(|()| None)
}

/// What is left of an execution, and which one it is that the new one goes on with, or takes back.
fn propose(
    last: &Execution,
    deployment: &Deployment,
    record: &Record,
    observed: &crate::seam::Observed,
) -> (Proposal, String) {
    let known = Known::new(deployment, record, observed);
    let next = match (&*last.parameters, &last.of) {
        (Parameters::Install(said), _) if said.selection.is_all() => {
            install::next(deployment, record, observed)
        }
        (Parameters::Rollback(_), Some(failed)) => {
            let proposal = rollback::next(deployment, record, observed, failed);
            return (proposal, failed.clone());
        }
        (parameters, _) => plan::first(parameters, &known),
    };
    (next, last.id.clone())
}
