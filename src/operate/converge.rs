//! `install` and `update`: changes a deployment to match its blueprint.

use super::{
    blueprint::Origin,
    caller::{Notice, Question, QuestionSubject},
    desired::{self, Decision, Desired, DesiredRequest},
    error::{Error, Kind},
    input_args,
    plan_file::PlanFile,
    recover,
    session::{HeldSession, Job, Session},
    settings::RunOptions,
    workspace::Workspace,
};
use crate::{
    discovery::Discovery,
    event,
    model::Difference,
    plan::{PlanInput, Proposal, effect, protected},
    plugins::{Drivers, ObserveContext, Plugins},
    record::Record,
    seam::Observed,
    stage::{Parameters, Workflow, parameters::Update},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

/// A request to change a deployment to match a blueprint.
pub(crate) struct Request {
    /// The blueprint.
    pub blueprint: Origin,
    /// Name of the deployment.
    pub deployment: String,
    /// Inputs as passed to `-i`.
    pub inputs: Vec<String>,
    /// Parameters of `install` or `update`.
    pub parameters: Parameters,
    /// Skip the operations that no plugin can run.
    pub skip_unsupported: bool,
    /// IDs of the instances that are removed first if a number is smaller than before.
    pub removed_first: BTreeSet<String>,
    /// Command line that repeats the request; by default it is made from the workflow.
    pub repeat: Option<String>,
    /// Options of the run.
    pub options: RunOptions,
    /// The plan that the run must match.
    pub plan: Option<PlanFile>,
}

/// The result of a request.
#[derive(Debug)]
pub(crate) enum Converged {
    /// A run succeeded; the deployment after it.
    Ran(Box<Record>),
    /// The deployment already matches the blueprint.
    UpToDate {
        /// The deployment.
        record: Box<Record>,
        /// By instance: references that name something else now. An update would follow them.
        moved: BTreeMap<String, Vec<Difference>>,
    },
}

/// What a request has to do.
enum Planned {
    Work(Box<(Proposal, Observed)>),
    /// Nothing, but some references name something else now.
    Nothing(BTreeMap<String, Vec<Difference>>),
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
    Box::pin(ConvergeRun { workspace, request }.run()).await
}

struct ConvergeRun<'a> {
    workspace: &'a Workspace<'a>,
    request: &'a Request,
}

impl ConvergeRun<'_> {
    /// Plans first, and holds the deployment only if there is something to do.
    async fn run(&self) -> Result<Converged, Error> {
        recover::replace_damaged_journal(self.workspace, self.name()).await?;
        let desired = self.read_desired()?;
        let systems = self.workspace.connect()?;
        let drivers = systems.drivers();
        let work = match self.plan_work(&desired, &drivers, true).await? {
            Planned::Work(work) => work,
            Planned::Nothing(moved) => {
                // Files may have changed although the deployment is up to date.
                if let Err(error) = self.keep_resources(&desired) {
                    self.workspace.warn(error.message);
                }
                let record = Box::new(desired.record.unwrap_or_default());
                return Ok(Converged::UpToDate { record, moved });
            }
        };
        let (proposal, observed) = *work;
        self.confirm(&desired, (&proposal, &observed))?;
        let mut session = Session::new(self.workspace, &drivers, self.name());
        let mut held = session.hold(self.request.parameters.workflow().as_str())?;
        let done = Box::pin(self.run_held(&mut held, &drivers, &desired)).await;
        held.release().await;
        let record = Box::new(session.record);
        Ok(if done? {
            Converged::Ran(record)
        } else {
            Converged::UpToDate {
                record,
                moved: BTreeMap::new(),
            }
        })
    }

    fn name(&self) -> &str {
        &self.request.deployment
    }

    /// Keeps the files of the blueprint, for operations that read them later.
    fn keep_resources(&self, desired: &Desired) -> Result<(), Error> {
        let state = &self.workspace.state;
        match desired.inventory(state.path()) {
            Some(inventory) => Ok(state.keep_resources(self.name(), &inventory)?),
            None => Ok(()),
        }
    }

    fn path(&self) -> &Path {
        &self.request.blueprint.path
    }

    /// Asks before deleting or replacing anything.
    fn confirm(
        &self,
        desired: &Desired,
        (proposal, observed): (&Proposal, &Observed),
    ) -> Result<(), Error> {
        let danger = protected::warning(&desired.deployment, desired.before(), &proposal.stage);
        let known = PlanInput::new(&desired.deployment, &desired.updated_record, observed);
        let workflow = self.request.parameters.workflow();
        let changes =
            effect::summary(&known, &proposal.stage).filter(|_| workflow == Workflow::Update);
        if changes.is_none() && danger.is_none() {
            return Ok(());
        }
        let changes = changes
            .map(|changes| format!(": {changes}"))
            .unwrap_or_default();
        self.workspace.caller.confirm(&Question {
            text: format!("{} `{}`{changes}?", workflow.capitalized(), self.name()),
            danger,
            subject: QuestionSubject::Plan {
                effects: effect::instance_effects(&known, &proposal.stage),
                exchanges: &proposal.stage.exchanges,
            },
        })
    }

    /// Runs the workflow on the held deployment. Returns false if there was nothing to do: another
    /// run may have changed the deployment since the first plan.
    async fn run_held(
        &self,
        held: &mut HeldSession<'_, '_>,
        drivers: &Drivers<'_>,
        first: &Desired,
    ) -> Result<bool, Error> {
        let places = Plugins::default()
            .places(ObserveContext {
                deployment: &first.deployment,
                record: &first.updated_record,
                secrets: &self.workspace.secrets,
            })
            .map_err(|message| Error::new(Kind::Engine, message))?;
        held.guard_and_settle(
            self.name(),
            Plugins::default()
                .has_objects(&first.deployment, &first.updated_record)
                .then_some(&places),
            self.request.parameters.workflow().as_str(),
        )
        .await?;
        let desired = self.read_desired()?;
        let Planned::Work(work) = self.plan_work(&desired, drivers, false).await? else {
            return Ok(false);
        };
        let (proposal, _) = *work;
        self.keep_resources(&desired)?;
        let job = Job {
            parameters: self.parameters(),
            previous: unfinished(held.record(), self.request.parameters.workflow()),
            stage: proposal.stage,
            first_events: desired.definition_event(held.record()),
            options: self.request.options,
            resume_command: self.repeat_command(),
            replan: None,
        };
        held.execute_job(job).await.map(|()| true)
    }

    /// Returns the command line that repeats this request.
    fn repeat_command(&self) -> String {
        if let Some(command) = &self.request.repeat {
            return command.clone();
        }
        let path = self.path().display().to_string();
        let skip = self
            .request
            .skip_unsupported
            .then(|| "--skip-unsupported".to_owned());
        let rolling = match self.parameters() {
            Parameters::Update(update) => update,
            _ => Update::default(),
        };
        let most = rolling.max_unavailable;
        let most = most.map(|most| format!("--max-unavailable={most}"));
        let first = rolling.start_first.then(|| "--start-first".to_owned());
        let pause = rolling.pause.map(|pause| format!("--pause={pause}s"));
        let asks = self.workspace.settings.asks_registry;
        let pull = asks.then(|| "--pull".to_owned());
        let arguments = [
            self.request.parameters.workflow().as_str(),
            &path,
            "-d",
            self.name(),
        ]
        .map(str::to_owned)
        .into_iter();
        let arguments: Vec<String> = arguments
            .chain(skip)
            .chain(most)
            .chain(first)
            .chain(pause)
            .chain(pull)
            .chain(self.request.options.flags())
            .collect();
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        self.workspace.caller.command_line(&arguments)
    }

    /// Adds hints for previewing and applying the changes.
    fn with_next_commands(&self, error: Error) -> Error {
        let path = self.path().display().to_string();
        let line = |command: &str| {
            let arguments = [command, path.as_str(), "-d", self.name()];
            self.workspace.caller.command_line(&arguments)
        };
        error
            .hint(format!("to preview the changes, run: {}", line("plan")))
            .hint(format!("to apply them, run: {}", line("update")))
    }

    /// Returns the parameters of the plan file if there is one, else those of the request.
    fn parameters(&self) -> Parameters {
        let requested = &self.request.parameters;
        let planned = self.request.plan.iter().map(|plan| &plan.parameters);
        let mut planned = planned.filter(|it| it.workflow() == requested.workflow());
        planned.next().unwrap_or(requested).clone()
    }

    fn read_desired(&self) -> Result<Desired, Error> {
        let read = Desired::read(
            self.workspace,
            &DesiredRequest {
                origin: &self.request.blueprint,
                name: self.name(),
                inputs: &self.request.inputs,
                plan: self.request.plan.as_ref(),
                removed_first: &self.request.removed_first,
            },
        );
        let given: String = input_args::redacted_args(&self.request.inputs)
            .iter()
            .map(|word| format!(" {word}"))
            .collect();
        read.map_err(|error| error.with_repeat_hint(&format!("{}{given}", self.repeat_command())))
    }

    /// Returns the error for updating a deployment that this state directory has no record of.
    fn not_installed(&self, discovery: &Discovery) -> Error {
        let name = self.name();
        let error = Error::usage(format!("cannot update `{name}`: it is not installed"));
        let is_labeled = discovery.own().is_some() || !discovery.claims().is_empty();
        if is_labeled {
            let error = error.hint(format!(
                "labels on the engine name `{name}`, but this state directory has no record of it"
            ));
            return error.hint(format!("take it over first: dockctl recover {name}"));
        }
        error.hint(format!(
            "install it first: {}",
            self.repeat_command().replacen("update", "install", 1)
        ))
    }

    /// Returns the work to do. Checks everything that
    /// can be refused, before any write.
    async fn plan_work(
        &self,
        desired: &Desired,
        drivers: &Drivers<'_>,
        first: bool,
    ) -> Result<Planned, Error> {
        let is_update = self.request.parameters.workflow() == Workflow::Update;
        if is_update && !desired.record.as_ref().is_some_and(Record::is_installed) {
            return Err(self.not_installed(&self.workspace.discover(drivers, self.name()).await?));
        }
        let observed = self
            .workspace
            .observe_with_moved(drivers, &desired.deployment, &desired.updated_record)
            .await?
            .complete()?;
        if first {
            let not_compared = desired::unobservable_fields(&observed);
            self.workspace
                .caller
                .notify(&Notice::NotCompared(&not_compared));
        }
        let mut proposal = desired.propose(&self.parameters(), &observed);
        if first {
            let known = desired.plan_input(&observed);
            self.workspace
                .add_foreign_sharers(drivers, &known, &mut proposal)
                .await;
            let warnings = proposal.warnings().into_iter();
            warnings.for_each(|it| self.workspace.warn(it));
        }
        if let Some(plan) = &self.request.plan {
            plan.check(&PlanFile::new(
                &self.parameters(),
                &desired.deployment,
                &observed,
                &proposal.stage,
            ))?;
        }
        match desired.decide(&proposal, &observed) {
            Decision::UpToDate => return Ok(Planned::Nothing(observed.moved)),
            Decision::Different(differences) if !is_update => {
                let error = desired::differs_error(self.name(), &differences);
                return Err(self.with_next_commands(error));
            }
            _ => {}
        }
        desired
            .refuse_unknown_objects(self.workspace, drivers, &observed)
            .await?;
        if !self.request.skip_unsupported {
            desired::refuse_unsupported(&proposal.unsupported).map_err(|error| {
                error.hint("to install everything else, pass --skip-unsupported")
            })?;
        }
        desired::refuse_impossible_steps(&proposal.stage)?;
        desired::refuse_unmet_requirements(
            &desired::unmet_requirements(drivers, &proposal.stage).await?,
        )?;
        desired.check_files(&proposal)?;
        Ok(Planned::Work(Box::new((proposal, observed))))
    }
}

/// Returns the ID of the unfinished execution that this run resumes, if any.
fn unfinished(record: &Record, workflow: Workflow) -> Option<String> {
    let last = record.executions.last()?;
    let is_unfinished = last.workflow() == workflow
        && last.outcome != Some(event::Outcome::Terminated)
        && record.is_installed();
    is_unfinished.then(|| last.id.clone())
}
