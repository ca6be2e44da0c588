//! Resumes the last execution of a deployment.

use super::{
    error::{Error, Kind},
    recover,
    session::{Held, Job, Session},
    settings::RunOptions,
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

/// The result of a request.
#[derive(Debug)]
pub(crate) enum Resumed {
    /// The run succeeded; the deployment after it.
    Ran(Record),
    /// The last execution is already complete; the deployment.
    Done(Record),
    /// No execution is known; the deployment.
    Unknown(Record),
}

/// Resumes an execution with its original definition. Ignores later changes of the blueprint file.
///
/// # Errors
///
/// If `id` is not the last execution, or the run does not succeed.
pub(crate) async fn resume(
    workspace: &Workspace<'_>,
    (name, id): (&str, Option<&str>),
    options: RunOptions,
) -> Result<Resumed, Error> {
    recover::mend(workspace, name).await?;
    let record = workspace.record(name).map_err(|error| match error.kind {
        Kind::Usage => error.hint(format!(
            "if the state directory was lost, run: dockctl recover {name}"
        )),
        _ => error,
    })?;
    if is_done(name, id, &record)? {
        return Ok(nothing(record));
    }
    let systems = workspace.connect()?;
    let drivers = systems.drivers();
    let mut session = Session::new(workspace, &drivers, name);
    let mut held = session.hold("resume")?;
    let done = Box::pin(go_on(workspace, &mut held, (name, id), options)).await;
    held.release().await;
    let record = session.record;
    Ok(if done? {
        Resumed::Ran(record)
    } else {
        nothing(record)
    })
}

fn nothing(record: Record) -> Resumed {
    if record.executions.is_empty() {
        Resumed::Unknown(record)
    } else {
        Resumed::Done(record)
    }
}

/// Returns true if there is nothing to resume.
fn is_done(name: &str, id: Option<&str>, record: &Record) -> Result<bool, Error> {
    let last = record.executions.last();
    if let Some(id) = id
        && last.is_none_or(|last| last.id != id)
    {
        let error = Error::usage(format!(
            "cannot resume `{id}`: it is not the last execution of `{name}`"
        ));
        return Err(error.hint(format!("list the executions: dockctl executions -d {name}")));
    }
    Ok(last.is_none_or(|last| last.outcome == Some(event::Outcome::Terminated)))
}

/// Resumes the execution of a held deployment. Returns false if there was nothing to resume.
async fn go_on(
    workspace: &Workspace<'_>,
    held: &mut Held<'_, '_>,
    (name, id): (&str, Option<&str>),
    options: RunOptions,
) -> Result<bool, Error> {
    // Another run may have completed since the first check.
    if is_done(name, id, held.record())? {
        return Ok(false);
    }
    let (Some(last), Some(deployment)) = (
        held.record().executions.last().cloned(),
        held.record().deployment.clone(),
    ) else {
        return Ok(false);
    };
    let places = Plugins::default()
        .places(Scene {
            deployment: &deployment,
            record: held.record(),
            secrets: &workspace.secrets,
        })
        .map_err(|message| Error::new(Kind::Engine, message))?;
    held.settle(name, &places, "resume").await?;
    let observed = held.observe().await?;
    let (proposal, of) = propose(&last, &deployment, held.record(), &observed);
    let planned = last.clone();
    let words: Vec<String> = ["resume", "-d", name]
        .map(str::to_owned)
        .into_iter()
        .chain(options.flags())
        .collect();
    let command: Vec<&str> = words.iter().map(String::as_str).collect();
    let job = Job {
        parameters: *last.parameters.clone(),
        of: Some(of),
        stage: proposal.stage,
        before: Vec::new(),
        how: options,
        again: workspace.caller.command_line(&command),
        replan: Some(Box::new(move |known| {
            propose(&planned, &deployment, known.record, known.observed)
                .0
                .stage
        })),
    };
    held.carry_out(job).await.map(|()| true)
}

/// Returns the rest of an execution, and the ID of the execution to resume or roll back.
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
