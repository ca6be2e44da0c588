//! Resumes the last execution of a deployment.

use super::{
    error::{Error, Kind},
    recover,
    run_error::with_unseen,
    session::{HeldSession, Job, Session},
    settings::RunOptions,
    workspace::Workspace,
};
use crate::{
    event,
    model::Deployment,
    plan::{self, PlanInput, Proposal, install, rollback},
    plugins::{ObserveContext, Plugins},
    record::{Execution, Record},
    seam::Unseen,
    stage::Parameters,
};

/// The result of a request.
#[derive(Debug)]
pub(crate) enum Resumed {
    /// The run succeeded; the deployment after it, and the engines that it left out.
    Ran(Record, Vec<Unseen>),
    /// The last execution is already complete; the deployment.
    Complete(Record),
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
    recover::replace_damaged_journal(workspace, name).await?;
    let record = workspace.record(name).map_err(|error| match error.kind {
        Kind::Usage => error.hint(format!(
            "if the state directory was lost, run: dockctl recover {name}"
        )),
        _ => error,
    })?;
    if is_complete(name, id, &record)? {
        return Ok(not_resumed(record));
    }
    let systems = workspace.connect()?;
    let drivers = systems.drivers();
    let mut session = Session::new(workspace, &drivers, name);
    let mut held = session.hold("resume")?;
    let done = Box::pin(run_held(workspace, &mut held, (name, id), options)).await;
    held.release().await;
    let record = session.record;
    Ok(match done? {
        Some(unseen) => Resumed::Ran(record, unseen),
        None => not_resumed(record),
    })
}

fn not_resumed(record: Record) -> Resumed {
    if record.executions.is_empty() {
        Resumed::Unknown(record)
    } else {
        Resumed::Complete(record)
    }
}

/// Returns true if there is nothing to resume.
fn is_complete(name: &str, id: Option<&str>, record: &Record) -> Result<bool, Error> {
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

/// Resumes the execution of a held deployment. Returns the engines that the run left out, or `None`
/// if there was nothing to resume.
async fn run_held(
    workspace: &Workspace<'_>,
    held: &mut HeldSession<'_, '_>,
    (name, id): (&str, Option<&str>),
    options: RunOptions,
) -> Result<Option<Vec<Unseen>>, Error> {
    // Another run may have completed since the first check.
    if is_complete(name, id, held.record())? {
        return Ok(None);
    }
    let (Some(last), Some(deployment)) = (
        held.record().executions.last().cloned(),
        held.record().deployment.clone(),
    ) else {
        return Ok(None);
    };
    let places = Plugins::default()
        .places(ObserveContext {
            deployment: &deployment,
            record: held.record(),
            secrets: &workspace.secrets,
        })
        .map_err(|message| Error::new(Kind::Engine, message))?;
    let places = Plugins::default()
        .has_objects(&deployment, held.record())
        .then_some(&places);
    held.guard_and_settle(name, places, "resume").await?;
    let observed = held.observe(last.workflow()).await?;
    let (proposal, of) = propose(&last, &deployment, held.record(), &observed);
    let planned = last.clone();
    let arguments: Vec<String> = ["resume", "-d", name]
        .map(str::to_owned)
        .into_iter()
        .chain(options.flags())
        .collect();
    let command: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let job = Job {
        parameters: *last.parameters.clone(),
        previous: Some(of),
        stage: proposal.stage,
        first_events: Vec::new(),
        options,
        resume_command: workspace.caller.command_line(&command),
        replan: Some(Box::new(move |known| {
            propose(&planned, &deployment, known.record, known.observed)
                .0
                .stage
        })),
    };
    let done = held.execute_job(job).await;
    done.map_err(|error| with_unseen(error, &observed.unseen))?;
    Ok(Some(observed.unseen))
}

/// Returns the rest of an execution, and the ID of the execution to resume or roll back.
fn propose(
    last: &Execution,
    deployment: &Deployment,
    record: &Record,
    observed: &crate::seam::Observed,
) -> (Proposal, String) {
    let known = PlanInput::new(deployment, record, observed);
    let rest = match (&*last.parameters, &last.of) {
        (Parameters::Install(requested), _) if requested.selection.is_all() => {
            install::next(deployment, record, observed)
        }
        (Parameters::Rollback(_), Some(failed)) => {
            let proposal = rollback::next(deployment, record, observed, failed);
            return (proposal, failed.clone());
        }
        (parameters, _) => plan::first(parameters, &known),
    };
    (rest, last.id.clone())
}
