//! `install` and `update`: changes a deployment to match its blueprint.

use super::{
    caller::{About, Notice, Question},
    error::{Error, Kind},
    given,
    plan_file::PlanFile,
    recover,
    session::{Held, Job, Session},
    settings::RunOptions,
    wish::{self, Decision, Wish},
    workspace::Workspace,
};
use crate::{
    event,
    plan::{Known, Proposal, effect, protected},
    plugins::{Drivers, Plugins, Scene},
    record::Record,
    seam::Observed,
    stage::{Parameters, Workflow, parameters::Update},
    told::Told,
};
use std::path::{Path, PathBuf};

/// A request to change a deployment to match a blueprint.
pub(crate) struct Request {
    /// Path of the blueprint.
    pub blueprint: PathBuf,
    /// Name of the deployment.
    pub deployment: String,
    /// Inputs as passed to `-i`.
    pub inputs: Vec<String>,
    /// Parameters of `install` or `update`.
    pub parameters: Parameters,
    /// Skip the operations that no plugin can run.
    pub skip_unsupported: bool,
    /// Options of the run.
    pub options: RunOptions,
    /// The plan that the run must match.
    pub plan: Option<PlanFile>,
}

/// The result of a request.
#[derive(Debug)]
pub(crate) enum Converged {
    /// A run succeeded; the deployment after it.
    Ran(Record),
    /// The deployment already matches the blueprint.
    UpToDate(Record),
}

/// Creates a deployment, resumes an unfinished one, or changes it.
///
/// # Errors
///
/// If the request is refused, or its run does not succeed.
pub(crate) async fn converge(
    workspace: &Workspace<'_>,
    request: &Request,
) -> Result<Converged, Error> {
    Box::pin(Converge { workspace, request }.run()).await
}

struct Converge<'a> {
    workspace: &'a Workspace<'a>,
    request: &'a Request,
}

impl Converge<'_> {
    /// Plans first, and holds the deployment only if there is something to do.
    async fn run(&self) -> Result<Converged, Error> {
        recover::mend(self.workspace, self.name()).await?;
        let wish = self.wish()?;
        let systems = self.workspace.connect()?;
        let drivers = systems.drivers();
        let Some(proposal) = self.settle(&wish, &drivers, true).await? else {
            return Ok(Converged::UpToDate(wish.record.unwrap_or_default()));
        };
        self.confirm(&wish, &proposal)?;
        let mut session = Session::new(self.workspace, &drivers, self.name());
        let mut held = session.hold(self.request.parameters.workflow().as_str())?;
        let done = Box::pin(self.run_held(&mut held, &drivers, &wish)).await;
        held.release().await;
        Ok(if done? {
            Converged::Ran(session.record)
        } else {
            Converged::UpToDate(session.record)
        })
    }

    fn name(&self) -> &str {
        &self.request.deployment
    }

    fn path(&self) -> &Path {
        &self.request.blueprint
    }

    /// Asks before deleting or replacing anything.
    fn confirm(&self, wish: &Wish, proposal: &Proposal) -> Result<(), Error> {
        let danger = protected::words(&wish.deployment, wish.before(), &proposal.stage);
        let observed = Observed::default();
        let known = Known::new(&wish.deployment, &wish.known, &observed);
        let workflow = self.request.parameters.workflow();
        let touched =
            effect::summary(&known, &proposal.stage).filter(|_| workflow == Workflow::Update);
        if touched.is_none() && danger.is_none() {
            return Ok(());
        }
        let words = touched
            .map(|words| format!(": {words}"))
            .unwrap_or_default();
        self.workspace.caller.confirm(&Question {
            words: format!("{} `{}`{words}?", workflow.capitalized(), self.name()),
            danger,
            about: About::Plan(effect::prospects(&known, &proposal.stage)),
        })
    }

    /// Runs the workflow on the held deployment. Returns false if there was nothing to do: another
    /// run may have changed the deployment since the first plan.
    async fn run_held(
        &self,
        held: &mut Held<'_, '_>,
        drivers: &Drivers<'_>,
        first: &Wish,
    ) -> Result<bool, Error> {
        let places = Plugins::default()
            .places(Scene {
                deployment: &first.deployment,
                record: &first.known,
                secrets: &self.workspace.secrets,
            })
            .map_err(|message| Error::new(Kind::Engine, message))?;
        held.settle(
            self.name(),
            &places,
            self.request.parameters.workflow().as_str(),
        )
        .await?;
        let wish = self.wish()?;
        let Some(proposal) = self.settle(&wish, drivers, false).await? else {
            return Ok(false);
        };
        let job = Job {
            parameters: self.parameters(),
            of: unfinished(held.record(), self.request.parameters.workflow()),
            stage: proposal.stage,
            before: wish.definition(held.record()),
            how: self.request.options,
            again: self.again(),
            replan: None,
        };
        held.carry_out(job).await.map(|()| true)
    }

    /// Returns the command line that repeats this request.
    fn again(&self) -> String {
        let path = self.path().display().to_string();
        let skip = self
            .request
            .skip_unsupported
            .then(|| "--skip-unsupported".to_owned());
        let rolling = match self.parameters() {
            Parameters::Update(said) => said,
            _ => Update::default(),
        };
        let most = rolling.max_unavailable;
        let most = most.map(|most| format!("--max-unavailable={most}"));
        let first = rolling.start_first.then(|| "--start-first".to_owned());
        let words = [
            self.request.parameters.workflow().as_str(),
            &path,
            "-d",
            self.name(),
        ]
        .map(str::to_owned)
        .into_iter();
        let words: Vec<String> = words
            .chain(skip)
            .chain(most)
            .chain(first)
            .chain(self.request.options.flags())
            .collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        self.workspace.caller.command_line(&words)
    }

    /// Returns the parameters of the plan file if there is one, else those of the request.
    fn parameters(&self) -> Parameters {
        let asked = &self.request.parameters;
        let planned = self.request.plan.iter().map(|plan| &plan.parameters);
        let mut planned = planned.filter(|it| it.workflow() == asked.workflow());
        planned.next().unwrap_or(asked).clone()
    }

    fn wish(&self) -> Result<Wish, Error> {
        let read = Wish::read(
            self.workspace,
            (self.path(), self.name()),
            &self.request.inputs,
            self.request.plan.as_ref(),
        );
        let given: String = given::named(&self.request.inputs)
            .iter()
            .map(|word| format!(" {word}"))
            .collect();
        read.map_err(|error| error.repeated(&format!("{}{given}", self.again())))
    }

    /// Returns the error for updating a deployment that this state directory has no record of.
    fn not_installed(&self, told: &Told) -> Error {
        let name = self.name();
        let error = Error::usage(format!("cannot update `{name}`: it is not installed"));
        let is_labelled = told.ours().is_some() || !told.claims().is_empty();
        if is_labelled {
            let error = error.hint(format!(
                "labels on the engine name `{name}`, but this state directory has no record of it"
            ));
            return error.hint(format!("take it over first: dockctl recover {name}"));
        }
        error.hint(format!(
            "install it first: {}",
            self.again().replacen("update", "install", 1)
        ))
    }

    /// Returns the work to do, or `None` if the deployment is up to date. Checks everything that
    /// can be refused, before any write.
    async fn settle(
        &self,
        wish: &Wish,
        drivers: &Drivers<'_>,
        first: bool,
    ) -> Result<Option<Proposal>, Error> {
        let is_update = self.request.parameters.workflow() == Workflow::Update;
        if is_update && !wish.record.as_ref().is_some_and(Record::is_installed) {
            return Err(self.not_installed(&self.workspace.told(drivers, self.name()).await?));
        }
        let observed = self
            .workspace
            .observe(drivers, &wish.deployment, &wish.known)
            .await?;
        if first {
            let not_compared = wish::not_compared(&observed);
            self.workspace
                .caller
                .say(&Notice::NotCompared(&not_compared));
        }
        let proposal = wish.propose(&self.parameters(), &observed);
        if let Some(plan) = &self.request.plan {
            plan.expect(&PlanFile::new(
                &self.parameters(),
                &wish.deployment,
                &observed,
                &proposal.stage,
            ))?;
        }
        match wish.decide(&proposal, &observed) {
            Decision::UpToDate => return Ok(None),
            Decision::Different(differences) if !is_update => {
                return Err(wish::different(&wish.deployment.name, &differences));
            }
            _ => {}
        }
        wish.refuse_strangers(self.workspace, drivers, &observed)
            .await?;
        wish::refuse_unsupported(&proposal.unsupported, self.request.skip_unsupported)?;
        wish::refuse_refused(&proposal.stage)?;
        wish::refuse_too_old(&wish::too_old(drivers, &proposal.stage).await?)?;
        wish.check_files(&proposal)?;
        Ok(Some(proposal))
    }
}

/// Returns the ID of the unfinished execution that this run resumes, if any.
fn unfinished(record: &Record, workflow: Workflow) -> Option<String> {
    let last = record.executions.last()?;
    let goes_on = last.workflow() == workflow
        && last.outcome != Some(event::Outcome::Terminated)
        && record.is_installed();
    goes_on.then(|| last.id.clone())
}
