//! `dockctl install`.

use super::{
    Outcome,
    args::{BlueprintArgs, Global},
    blueprint::{self, Loaded},
    claims, color, complain,
    confirm::{confirm, protected},
    error::{CliError, Kind},
    given,
    plan::{not_compared, unseen_lines},
    plan_file::PlanFile,
    recover,
    run::closing,
    session::{How, Job, Session},
    workspace::Workspace,
};
use crate::{
    cli::session::expect_known,
    diagnostic::Diagnostics,
    digest::keyed,
    event::{Entry, Event},
    model::{Deployment, Difference, Instance, inputs::Missing},
    plan::{self, Known, Proposal, Reading, Unsupported},
    plugins::{Drivers, Plugins, Scene},
    printable::printable,
    record::Record,
    seam::{Object, Observed, Step},
    stage::{Parameters, Stage, Task, Workflow, parameters::Update},
    told::Told,
};
use indexmap::IndexSet;
use serde_json::{Map as JsonMap, json};
use std::{
    io::{IsTerminal as _, stdin},
    path::{Path, PathBuf},
};

/// What is asked for of a blueprint.
pub(crate) struct Ask {
    /// Of `install` or `update`.
    pub parameters: Parameters,
    pub skip_unsupported: bool,
    pub how: How,
    /// A plan to keep to.
    pub plan: Option<PathBuf>,
}

/// Brings a deployment to what its blueprint says: creates it, goes on with an unfinished one,
/// changes it, or says why not.
pub(crate) fn converge(
    global: &Global,
    args: &BlueprintArgs,
    ask: &Ask,
) -> Result<Outcome, CliError> {
    let workspace = Workspace::new(global)?;
    let path = blueprint::find(args.blueprint.as_deref())?;
    let name = blueprint::deployment_name(args, &path)?;
    let plan = ask.plan.as_deref().map(PlanFile::read).transpose()?;
    let install = Install {
        workspace: &workspace,
        args,
        path: &path,
        name: &name,
        ask,
        plan,
    };
    Workspace::runtime()?.block_on(install.run())
}

struct Install<'a> {
    workspace: &'a Workspace<'a>,
    args: &'a BlueprintArgs,
    path: &'a Path,
    name: &'a str,
    ask: &'a Ask,
    plan: Option<PlanFile>,
}

impl Install<'_> {
    /// Looks first, and holds the deployment only if there is something to do.
    async fn run(&self) -> Result<Outcome, CliError> {
        recover::mend(self.workspace, self.name).await?;
        let wish = self.wish()?;
        let systems = self.workspace.connect()?;
        let drivers = systems.drivers();
        let Some(proposal) = self.settle(&wish, &drivers, true).await? else {
            return Ok(up_to_date(&wish.record.unwrap_or_default()));
        };
        self.confirm(&wish, &proposal)?;
        let command = self.ask.parameters.workflow().as_str();
        let mut session = Session::begin(self.workspace, &drivers, self.name, command)?;
        let done = Box::pin(self.run_held(&mut session, &drivers, &wish)).await;
        let record = session.end().await;
        Ok(if done? {
            closing(&record)
        } else {
            up_to_date(&record)
        })
    }

    /// What deletes or replaces is asked for on a terminal.
    fn confirm(&self, wish: &Wish, proposal: &Proposal) -> Result<(), CliError> {
        let danger = protected(&wish.deployment, wish.before(), &proposal.stage);
        let observed = Observed::default();
        let known = Known::new(&wish.deployment, &wish.known, &observed);
        let touched = super::plan::summary(&known, &proposal.stage)
            .filter(|_| self.ask.parameters.workflow() == Workflow::Update);
        match (touched, danger) {
            (None, None) => Ok(()),
            (words, danger) => {
                let words = words.map(|words| format!(": {words}")).unwrap_or_default();
                if stdin().is_terminal() && !self.workspace.global.yes {
                    complain(&super::plan::told(&known, &proposal.stage));
                }
                confirm(
                    self.workspace.global,
                    &format!(
                        "{} `{}`{words}?",
                        self.ask.parameters.workflow().capitalized(),
                        self.name
                    ),
                    danger.as_deref(),
                )
            }
        }
    }

    /// Whether there was anything to do. Others may have worked on the deployment since the first
    /// look.
    async fn run_held(
        &self,
        session: &mut Session<'_>,
        drivers: &Drivers<'_>,
        first: &Wish,
    ) -> Result<bool, CliError> {
        let places = Plugins::default()
            .places(Scene {
                deployment: &first.deployment,
                record: &first.known,
                secrets: &self.workspace.secrets,
            })
            .map_err(|message| CliError::new(Kind::Engine, message))?;
        session
            .settle(self.name, &places, self.ask.parameters.workflow().as_str())
            .await?;
        let wish = self.wish()?;
        let Some(proposal) = self.settle(&wish, drivers, false).await? else {
            return Ok(false);
        };
        let job = Job {
            parameters: self.parameters(),
            of: unfinished(&session.record, self.ask.parameters.workflow()),
            stage: proposal.stage,
            before: wish.definition(&session.record),
            how: self.ask.how,
            again: self.again(),
            replan: None,
        };
        session.carry_out(job).await.map(|()| true)
    }

    /// The command that does it again.
    fn again(&self) -> String {
        let path = self.path.display().to_string();
        let skip = self
            .ask
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
            self.ask.parameters.workflow().as_str(),
            &path,
            "-d",
            self.name,
        ]
        .map(str::to_owned)
        .into_iter();
        let words: Vec<String> = words
            .chain(skip)
            .chain(most)
            .chain(first)
            .chain(self.ask.how.flags())
            .collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        self.workspace.again(&words)
    }

    /// A plan says how an update goes about, too.
    fn parameters(&self) -> Parameters {
        let asked = &self.ask.parameters;
        let planned = self.plan.iter().map(|plan| &plan.parameters);
        let mut planned = planned.filter(|it| it.workflow() == asked.workflow());
        planned.next().unwrap_or(asked).clone()
    }

    fn wish(&self) -> Result<Wish, CliError> {
        let read = Wish::read(
            self.workspace,
            self.args,
            self.path,
            self.name,
            self.plan.as_ref(),
        );
        let given: String = given::named(&self.args.inputs.inputs)
            .iter()
            .map(|word| format!(" {word}"))
            .collect();
        read.map_err(|error| error.repeated(&format!("{}{given}", self.again())))
    }

    /// There is nothing to update, as far as this state directory knows.
    fn not_installed(&self, told: &Told) -> CliError {
        let name = self.name;
        let error = CliError::usage(format!(
            "`{name}` is not installed: there is nothing to update"
        ));
        let is_labelled = told.ours().is_some() || !told.claims().is_empty();
        if is_labelled {
            let error = error.hint(format!(
                "labels on the engine name `{name}`, and this state directory does not know it"
            ));
            return error.hint(format!("take it over first: dockctl recover {name}"));
        }
        error.hint(format!(
            "install it first: {}",
            self.again().replacen("update", "install", 1)
        ))
    }

    /// What is to be done; none if all is well. Everything that can be refused is refused here,
    /// before any write.
    async fn settle(
        &self,
        wish: &Wish,
        drivers: &Drivers<'_>,
        first: bool,
    ) -> Result<Option<Proposal>, CliError> {
        let is_update = self.ask.parameters.workflow() == Workflow::Update;
        if is_update && !wish.record.as_ref().is_some_and(Record::is_installed) {
            return Err(self.not_installed(&self.workspace.told(drivers, self.name).await?));
        }
        let observed = self
            .workspace
            .observe(drivers, &wish.deployment, &wish.known)
            .await?;
        if first {
            complain(&unseen_lines(&not_compared(&observed)).concat());
        }
        let proposal = wish.propose(&self.parameters(), &observed);
        if let Some(plan) = &self.plan {
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
                return Err(different(&wish.deployment.name, &differences));
            }
            _ => {}
        }
        wish.refuse_strangers(self.workspace, drivers, &observed)
            .await?;
        refuse_unsupported(&proposal.unsupported, self.ask.skip_unsupported)?;
        refuse_refused(&proposal.stage)?;
        refuse_too_old(&too_old(drivers, &proposal.stage).await?)?;
        wish.check_files(&proposal, self.workspace.global)?;
        Ok(Some(proposal))
    }
}

/// The execution that is gone on with.
fn unfinished(record: &Record, workflow: Workflow) -> Option<String> {
    let last = record.executions.last()?;
    let goes_on = last.workflow() == workflow
        && last.outcome != Some(crate::event::Outcome::Terminated)
        && record.is_installed();
    goes_on.then(|| last.id.clone())
}

/// What the user wants, beside what is known.
pub(crate) struct Wish {
    pub deployment: Deployment,
    pub record: Option<Record>,
    /// What the record will say once the wish is put down: instances that it drops are to be
    /// removed.
    pub known: Record,
    loaded: Loaded,
}

/// What is known once a deployment is defined.
fn defined(record: Option<Record>, deployment: &Deployment) -> Record {
    let mut record = record.unwrap_or_default();
    let deployment = Box::new(deployment.clone());
    let applied = record.apply(&Entry::now(Event::Defined { deployment }));
    applied.expect("a definition can always follow");
    record
}

/// What comes of a wish.
pub(crate) enum Decision {
    UpToDate,
    Different(Vec<Difference>),
    Work,
}

impl Wish {
    /// Reads the blueprint. Instances that there are not yet get the ids that a plan gives them.
    pub(crate) fn read(
        workspace: &Workspace<'_>,
        args: &BlueprintArgs,
        path: &Path,
        name: &str,
        plan: Option<&PlanFile>,
    ) -> Result<Self, CliError> {
        let record = workspace.state.read(name)?;
        record.as_ref().map_or(Ok(()), expect_known)?;
        let before = record
            .as_ref()
            .filter(|record| record.is_installed())
            .and_then(|record| record.deployment.as_ref());
        refuse_other_blueprint(
            before.filter(|_| !record.as_ref().is_some_and(Record::is_taken_over)),
            path,
        )?;
        let mut loaded = blueprint::load(
            path,
            &args.inputs.inputs,
            before,
            Missing::Fault,
            workspace.global,
        )?;
        let planned = plan.map(|plan| plan.instances.clone()).unwrap_or_default();
        let random = workspace.random(name, record.as_ref())?;
        let mut deployment = blueprint::deploy(
            &mut loaded,
            name,
            path,
            (before, &planned),
            random,
            workspace.global,
        )?;
        let known = record
            .as_ref()
            .and_then(|record| record.deployment.as_ref())
            .map(|known| known.id.clone());
        let key = workspace.state.key()?;
        deployment.id = known
            .filter(|id| !id.is_empty())
            .unwrap_or_else(|| first_id(&key, name));
        deployment.withhold(&loaded.sensitive, &key, &workspace.secrets);
        deployment.note_secrets(&key, &workspace.secrets, before);
        refuse_unpopulated(&deployment)?;
        refuse_early(&deployment)?;
        Ok(Self {
            known: defined(record.clone(), &deployment),
            deployment,
            record,
            loaded,
        })
    }

    /// What `install` or `update` would do.
    pub(crate) fn propose(&self, parameters: &Parameters, observed: &Observed) -> Proposal {
        plan::first(
            parameters,
            &Known::new(&self.deployment, &self.known, observed),
        )
    }

    /// What is installed.
    pub(crate) fn before(&self) -> Option<&Deployment> {
        self.record
            .as_ref()
            .filter(|record| record.is_installed())
            .and_then(|record| record.deployment.as_ref())
    }

    /// What is not as it was. Of what was read from labels only the engines tell that.
    pub(crate) fn differences(&self, observed: &Observed) -> Vec<Difference> {
        if self.is_recovered() {
            return self.other_than_made(observed);
        }
        self.before()
            .map(|before| before.differences(&self.deployment))
            .unwrap_or_default()
    }

    pub(crate) fn decide(&self, proposal: &Proposal, observed: &Observed) -> Decision {
        let complete = self.record.as_ref().is_some_and(Record::is_complete);
        let unfinished = self
            .record
            .as_ref()
            .is_some_and(|record| record.running().is_some());
        let differences = self.differences(observed);
        let is_former = self.record.as_ref().is_some_and(Record::has_former);
        match (complete, differences.is_empty() && !is_former) {
            (true, false) => Decision::Different(differences),
            // What labels did not tell is put down.
            (true, true) if proposal.stage.is_empty() && !self.is_recovered() && !unfinished => {
                Decision::UpToDate
            }
            _ => Decision::Work,
        }
    }

    /// Whether something is installed and is to become something else.
    pub(crate) fn is_changed(&self, observed: &Observed) -> bool {
        let is_former = self
            .record
            .as_ref()
            .is_some_and(|record| record.is_installed() && record.has_former());
        is_former || !self.differences(observed).is_empty()
    }

    fn is_recovered(&self) -> bool {
        self.record
            .as_ref()
            .and_then(|record| record.deployment.as_ref())
            .is_some_and(|before| before.recovered)
    }

    /// Nodes that have objects which are not as declared, or that the blueprint does not have any
    /// more.
    fn other_than_made(&self, observed: &Observed) -> Vec<Difference> {
        let is_other = |object: &&Object| {
            object
                .owner
                .as_ref()
                .is_some_and(|owner| !owner.as_declared)
                || !object.drift.is_empty()
        };
        let owners = observed
            .objects()
            .iter()
            .filter(is_other)
            .filter_map(|object| object.owner.as_ref());
        let other =
            owners.filter_map(|owner| Some(&self.deployment.instance(&owner.instance)?.node));
        let stays = |instance: &Instance| {
            self.before()?
                .node(instance)
                .filter(|_| self.is_recovered())
                .map(|node| Plugins::default().outlives(node))
        };
        let is_gone = |instance: &&Instance| {
            self.deployment.instance(&instance.id).is_none() && stays(instance) != Some(true)
        };
        let before = self
            .before()
            .map(|before| &before.instances[..])
            .unwrap_or_default();
        let nodes: IndexSet<&String> = other
            .chain(before.iter().filter(is_gone).map(|instance| &instance.node))
            .collect();
        nodes
            .into_iter()
            .map(|node| Difference {
                field: format!("nodes.{node}"),
                before: None,
                after: None,
            })
            .collect()
    }

    /// Objects that labels, and nothing else, name as of this deployment: they would stand in the
    /// way.
    pub(crate) async fn refuse_strangers(
        &self,
        workspace: &Workspace<'_>,
        drivers: &Drivers<'_>,
        observed: &Observed,
    ) -> Result<(), CliError> {
        // Of another state folder, or of a journal that this one has lost.
        let unknown = |instance: &str| self.deployment.instance(instance).is_none();
        let is_strange = |object: &&Object| {
            object.is_claimed
                || object
                    .owner
                    .as_ref()
                    .is_some_and(|owner| unknown(&owner.instance))
        };
        let strangers: Vec<String> = observed
            .objects()
            .iter()
            .filter(is_strange)
            .map(|object| printable(&object.name))
            .collect();
        if strangers.is_empty() {
            return Ok(());
        }
        let name = &self.deployment.name;
        let told = workspace.told(drivers, name).await?;
        if let Some(record) = self.record.as_ref().filter(|record| record.is_installed()) {
            return recover::refuse_elsewhere(&told, record, name);
        }
        let message = format!(
            "this state folder does not know `{name}`, but the engine has objects of it: {}",
            strangers.join(", ")
        );
        let mut error = CliError::new(Kind::Failed, message);
        error.preamble = claims::lines(&told.claims());
        error.fields = json!({ "deployment": name, "objects": strangers, "claims": claims::fields(&told.claims()) });
        error = if told.ours().is_some() {
            error.hint(format!(
                "dockctl recover {name} takes them over; dockctl uninstall {name} takes them down"
            ))
        } else {
            claims::proceed(error, name, &told.claims())
        };
        Err(error.hint("to install another one beside it: -d OTHER, or name the state folder that it was installed from: --state-dir"))
    }

    /// A missing tarball is found before anything is written.
    fn check_files(&self, proposal: &Proposal, global: &Global) -> Result<(), CliError> {
        if !proposal.stage.tasks().iter().any(|task| task.step.brings()) {
            return Ok(());
        }
        let mut d = Diagnostics::default();
        Plugins::default().check_files(
            &self.loaded.blueprint,
            self.deployment.blueprint.parent().unwrap_or(Path::new(".")),
            &mut d,
        );
        if d.is_empty() {
            Ok(())
        } else {
            Err(CliError::invalid(&d, &self.loaded.sources, color(global)))
        }
    }

    /// The event that puts the wish down, unless it says what is known.
    fn definition(&self, record: &Record) -> Vec<Event> {
        let known = record.is_installed() && record.deployment.as_ref() == Some(&self.deployment);
        if known {
            Vec::new()
        } else {
            vec![Event::Defined {
                deployment: Box::new(self.deployment.clone()),
            }]
        }
    }
}

/// The id that a deployment has from its first definition on. It follows from the key of the state
/// directory: if the journal is lost, the objects are still those of the same deployment.
fn first_id(key: &[u8], name: &str) -> String {
    keyed(key, &format!("deployment {name}"))
        .chars()
        .take(12)
        .collect()
}

fn refuse_other_blueprint(before: Option<&Deployment>, path: &Path) -> Result<(), CliError> {
    let path = blueprint::absolute(path);
    // A file that is not there is told so by whoever reads it.
    let Some(before) = before.filter(|before| before.blueprint != path && path.exists()) else {
        return Ok(());
    };
    let message = format!(
        "the deployment `{}` was made from {}, not from {}",
        before.name,
        before.blueprint.display(),
        path.display()
    );
    let error = CliError::usage(message).hint("give this one a name of its own: -d NAME");
    if before.blueprint.exists() {
        return Err(error);
    }
    Err(error.hint(format!(
        "if the blueprint was moved, move it back, or take it down first: dockctl uninstall {}",
        before.name
    )))
}

/// A node that nobody scaled to 0 has an instance: without one, a plan would remove what the node
/// has, and report success.
pub(crate) fn refuse_unpopulated(deployment: &Deployment) -> Result<(), CliError> {
    let nodes = deployment.unpopulated();
    if nodes.is_empty() {
        return Ok(());
    }
    let message = format!(
        "fault in dockctl: it counts no instance of {}, and nothing says 0; nothing was done",
        nodes.join(", ")
    );
    Err(CliError::new(Kind::Failed, message)
        .hint("report it with the blueprint: dockctl inspect --deploy shows what was counted"))
}

/// What a container is made from must be there by then. Most of it is found in the blueprint; this
/// also sees what only the names that inputs give make known.
fn refuse_early(deployment: &Deployment) -> Result<(), CliError> {
    let early: Vec<Reading> = plan::unordered(deployment, Plugins::default())
        .into_iter()
        .filter(|reading| reading.makes)
        .collect();
    if early.is_empty() {
        return Ok(());
    }
    let mut error = CliError::new(
        Kind::Invalid,
        "containers would be created from attributes that do not exist yet; nothing was done",
    );
    error.preamble = early
        .iter()
        .map(|reading| format!("{reading}, which is started later\n"))
        .collect();
    error.fields = json!({ "early": early });
    Err(error.hint("dockctl explain D0121 says more"))
}

/// A deployment that an older dockctl installed can hold what is refused now: its workflows run,
/// and say so.
pub(crate) fn warn_of_early(deployment: &Deployment) {
    for reading in plan::unordered(deployment, Plugins::default()) {
        super::warn(&format!(
            "{reading}, which is started later: it may be null or out of date"
        ));
    }
}

pub(crate) fn refuse_unsupported(unsupported: &[Unsupported], skip: bool) -> Result<(), CliError> {
    if skip || unsupported.is_empty() {
        return Ok(());
    }
    let mut error = CliError::new(
        Kind::Invalid,
        "the blueprint has operations that nothing here can run; nothing was done",
    );
    error.preamble = unsupported_lines(unsupported);
    error.fields = json!({ "unsupported": unsupported });
    Err(error.hint("--skip-unsupported installs everything else"))
}

/// What is known to be refused is refused before anything is begun.
fn refuse_refused(stage: &Stage) -> Result<(), CliError> {
    let line = |task: &Task| {
        let why = task.step.refusal()?;
        Some(format!("{}: {why}\n  --> {}\n", task.instance, task.place))
    };
    let lines: Vec<String> = stage.tasks().iter().filter_map(line).collect();
    if lines.is_empty() {
        return Ok(());
    }
    let mut error = CliError::new(
        Kind::Invalid,
        "the blueprint asks for changes that cannot be made; nothing was done",
    );
    error.preamble = lines.concat();
    error.fields = json!({ "refused": lines });
    Err(error)
}

/// What asks for more than its engine has: place and words of each.
pub(crate) async fn too_old(drivers: &Drivers<'_>, stage: &Stage) -> Result<Vec<String>, CliError> {
    let steps: Vec<&Step> = stage.tasks().iter().map(|task| &task.step).collect();
    let refusals = drivers.refusals(&steps).await?;
    let lines = |(Task { node, place, .. }, reasons): (&Task, Vec<String>)| {
        let line = |why: String| format!("node `{node}`: {why}\n  --> {place}\n");
        reasons.into_iter().map(line).collect::<Vec<_>>()
    };
    let refused = stage.tasks().iter().zip(refusals);
    Ok(refused.flat_map(lines).collect())
}

pub(crate) fn refuse_too_old(lines: &[String]) -> Result<(), CliError> {
    if lines.is_empty() {
        return Ok(());
    }
    let mut error = CliError::new(
        Kind::Invalid,
        "the blueprint asks for more than its engine has; nothing was done",
    );
    error.preamble = lines.concat();
    error.fields = json!({ "too_old": lines });
    Err(error.hint("leave the argument out, or name a newer engine with --host"))
}

/// One line for each operation that nothing here can run.
pub(crate) fn unsupported_lines(unsupported: &[Unsupported]) -> String {
    let line = |one: &Unsupported| {
        format!(
            "node `{}`: {} belongs to the plugin `{}`, which dockctl does not have\n  --> {}\n",
            one.node, one.operation, one.plugin, one.place
        )
    };
    unsupported.iter().map(line).collect()
}

fn up_to_date(record: &Record) -> Outcome {
    let name = record
        .deployment
        .as_ref()
        .map(|deployment| deployment.name.clone())
        .unwrap_or_default();
    let fields = json!({ "deployment": name, "up_to_date": true, "execution": null, "instances": super::status::known_instances(record) });
    Outcome::new(
        fields,
        format!(
            "{}`{name}` is up to date: nothing to do\n",
            super::status::known_table(record)
        ),
    )
}

fn different(name: &str, differences: &[Difference]) -> CliError {
    let why = if differences.is_empty() {
        "an update of it came to no end"
    } else {
        "its blueprint or inputs changed since"
    };
    let mut error = CliError::new(
        Kind::Different,
        format!("`{name}` is installed and {why}; nothing was done"),
    );
    error.preamble = differences
        .iter()
        .map(|difference| format!("  {difference}\n"))
        .collect();
    let fields: JsonMap<_, _> = [
        ("deployment".to_owned(), json!(name)),
        ("differences".to_owned(), json!(differences)),
    ]
    .into_iter()
    .collect();
    error.fields = fields.into();
    error.hint("dockctl update changes it; dockctl plan shows how")
}
