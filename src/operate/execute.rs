//! Runs workflows and operations on an existing deployment.

use super::{
    caller::{Question, QuestionSubject},
    desired,
    error::{Error, Kind},
    group,
    input_args::{self, HiddenInputs},
    recover,
    run_error::with_unseen,
    scale,
    session::{HeldSession, Job, Session},
    settings::RunOptions,
    workspace::Workspace,
};
use crate::{
    diagnostic::{Diagnostics, Sources, nearest},
    event::{Entry, Event},
    model::{DeclaredWorkflow, Deployment, Instance},
    plan::{
        self, AbsenceReason, AbsentReference, PlanInput, Proposal, Unsupported, effect, operation,
        protected, restore,
    },
    plugins::{InstanceRef, ObjectPlaces, ObserveContext, Plugins},
    record::Record,
    seam::{Effect, Observed, Unseen},
    secrets::Secrets,
    stage::{
        Criteria, Parameters, Selection, Stage, Task, Workflow, parameter_names,
        parameters::{self, ExecuteOperation, OneOperation},
    },
};
use indexmap::IndexSet;
use serde_json::{Map as JsonMap, Value as Json};
use std::collections::BTreeSet;

/// The context of a request to a deployment, and the options of its run.
pub(crate) struct RequestContext<'a> {
    /// The state directory.
    pub workspace: &'a Workspace<'a>,
    /// Name of the deployment.
    pub deployment: String,
    /// Sensitive inputs as passed to `-i`. They are not stored.
    pub inputs: Vec<String>,
    /// Options of the run.
    pub options: RunOptions,
    /// The command and its arguments without global flags, for hints.
    pub arguments: Vec<String>,
}

/// A request to a deployment. Instances are named by ID, node or object.
#[derive(Clone, Debug)]
pub(crate) enum Request {
    /// A workflow: built in or declared by the blueprint.
    Workflow {
        /// Its name.
        name: String,
        /// Its parameters.
        parameters: JsonMap<String, Json>,
    },
    /// One operation.
    Operation(Operation),
    /// `start`; the new state is recorded.
    Start(Vec<String>),
    /// `stop`; the new state is recorded.
    Stop(Vec<String>),
    /// `restart`; the new state is recorded.
    Restart(Vec<String>),
    /// Uninstall and install instances.
    Reinstall {
        /// The instances; empty means all.
        instances: Vec<String>,
        /// Continue after failed operations.
        ignore_failure: bool,
    },
    /// Repair instances; empty means all.
    Heal(Vec<String>),
    /// Repair exactly these instances.
    HealOnly(Selection),
    /// Add or remove instances.
    Scale(scale::Scaling),
}

/// One operation of some instances.
#[derive(Clone, Debug)]
pub(crate) struct Operation {
    /// Full name of the operation, or its last part if that is unique.
    pub name: String,
    /// Additional inputs of the operation.
    pub kwargs: JsonMap<String, Json>,
    /// Whether `kwargs` may override inputs of the blueprint.
    pub allow_override: bool,
    /// Whether to run in dependency order.
    pub in_order: bool,
    /// Only instances of these nodes.
    pub nodes: Vec<String>,
    /// Only these instances.
    pub instances: Vec<String>,
    /// Only instances of these types.
    pub types: Vec<String>,
}

/// The result of a request.
#[derive(Debug)]
pub(crate) struct Executed {
    /// The run, or why there was none.
    pub work: Work,
    /// The deployment afterwards.
    pub record: Record,
    /// The engines that did not respond. Their instances were left out.
    pub unseen: Vec<Unseen>,
}

/// The work of a request.
#[derive(Debug)]
pub(crate) enum Work {
    /// A run succeeded.
    Ran,
    /// There was nothing to do; the parameters of the request.
    Nothing(Parameters),
}

impl Request {
    /// Returns the workflow with its parameters for the present record.
    fn parameters(&self, record: &Record) -> Result<Parameters, Error> {
        Ok(match self {
            Self::Workflow { name, parameters } => {
                workflow_parameters(name, parameters.clone(), record)?
            }
            Self::Operation(operation) => Parameters::ExecuteOperation(ExecuteOperation {
                operation_kwargs: operation.kwargs.clone(),
                selection: select_for_operation(operation, record)?,
                operation: resolve_operation(&operation.name, record)?,
                allow_kwargs_override: Some(operation.allow_override),
                run_by_dependency_order: Some(operation.in_order),
            }),
            Self::Start(names) => {
                Parameters::Start(recorded_operation(select_instances(names, record)?))
            }
            Self::Stop(names) => {
                Parameters::Stop(recorded_operation(select_instances(names, record)?))
            }
            Self::Restart(names) => Parameters::Restart(parameters::Restart {
                selection: select_instances(names, record)?,
                is_recorded: true,
                ..parameters::Restart::default()
            }),
            Self::Reinstall {
                instances,
                ignore_failure,
            } => Parameters::Reinstall(parameters::Reinstall {
                selection: select_instances(instances, record)?,
                ignore_failure: *ignore_failure,
            }),
            Self::Heal(names) => {
                Parameters::Heal(heal_parameters(select_instances(names, record)?, record))
            }
            Self::HealOnly(selection) => {
                Parameters::Heal(heal_parameters(selection.clone(), record))
            }
            Self::Scale(scaling) => {
                group::refuse_scaling(record)?;
                Parameters::Scale(scaling.parameters(record)?)
            }
        })
    }
}

fn workflow_parameters(
    name: &str,
    mut parameters: JsonMap<String, Json>,
    record: &Record,
) -> Result<Parameters, Error> {
    let deployment = record.deployment.as_ref();
    let declared = deployment.and_then(|deployment| deployment.workflows.get(name));
    let workflow = workflow(name, declared, deployment)?;
    if workflow == Workflow::Scale {
        group::refuse_scaling(record)?;
    }
    // Older versions of the library call the entity `node_id`.
    if let Some(node) = parameters
        .shift_remove("node_id")
        .filter(|_| workflow == Workflow::Scale)
    {
        parameters.insert("scalable_entity_name".to_owned(), node);
    }
    let parameters = match declared {
        Some(declared) => with_defaults(name, declared, parameters, &parameter_names(workflow))?,
        None => parameters,
    };
    let parameters =
        Parameters::read(workflow, parse_parameters(parameters)?).map_err(Error::usage)?;
    if let (Selection::Only(chosen), Some(deployment)) = (parameters.selection(), deployment) {
        expect_known(chosen, deployment)?;
    }
    Ok(parameters)
}

/// Refuses unknown names in the filters of a workflow: they would select nothing.
fn expect_known(chosen: &Criteria, deployment: &Deployment) -> Result<(), Error> {
    let nodes: Vec<&str> = deployment.nodes.keys().map(String::as_str).collect();
    let instances = deployment.instances.iter().map(|it| it.id.as_str());
    let types = deployment.nodes.values().flat_map(|node| &node.hierarchy);
    for (what, given, known) in [
        ("node", &chosen.node_ids, nodes),
        ("instance", &chosen.node_instance_ids, instances.collect()),
        (
            "node type",
            &chosen.type_names,
            types.map(String::as_str).collect(),
        ),
    ] {
        if let Some(name) = given.iter().find(|name| !known.contains(&name.as_str())) {
            return Err(unknown_name(what, name, &known));
        }
    }
    Ok(())
}

/// Returns the engines of a deployment's objects.
///
/// # Errors
///
/// If an engine is unknown.
pub(crate) fn places(
    deployment: &Deployment,
    record: &Record,
    secrets: &Secrets,
) -> Result<ObjectPlaces, Error> {
    let places = Plugins::default().places(ObserveContext {
        deployment,
        record,
        secrets,
    });
    places.map_err(|message| Error::new(Kind::Engine, message))
}

impl RequestContext<'_> {
    /// Executes a request.
    ///
    /// # Errors
    ///
    /// If the request is refused, or its run does not succeed.
    pub(crate) async fn execute(&self, request: &Request) -> Result<Executed, Error> {
        let (workspace, name) = (self.workspace, self.deployment.as_str());
        recover::replace_damaged_journal(workspace, name).await?;
        // Report mistyped arguments before acquiring the lock.
        let known = workspace.record(name)?;
        let parameters = request.parameters(&known)?;
        let workflow = parameters.workflow();
        require_installed(name, workflow, &known)?;
        let named_ids: Vec<String> = parameters
            .unhealthy_instance()
            .map(str::to_owned)
            .into_iter()
            .collect();
        select_instances(&named_ids, &known)?;
        workspace.supply_inputs(&self.inputs)?;
        let systems = workspace.connect()?;
        let drivers = systems.drivers();
        let mut session = Session::new(workspace, &drivers, name);
        let mut held = session.hold(workflow.as_str())?;
        let done = Box::pin(self.run_held(&mut held, request)).await;
        held.release().await;
        let (has_run, unseen) = done?;
        Ok(Executed {
            work: if has_run {
                Work::Ran
            } else {
                Work::Nothing(parameters)
            },
            record: session.record,
            unseen,
        })
    }

    /// Asks before deleting instances.
    fn confirm(&self, request: &PreparedRun, stage: &Stage) -> Result<(), Error> {
        let (observed, workflow) = (Observed::default(), request.parameters.workflow());
        let known = PlanInput::new(&request.deployment, &request.record, &observed);
        let deletes = stage.tasks().iter().any(|task| task.step.traits.deletes);
        let words =
            effect::summary(&known, stage).filter(|_| deletes && workflow != Workflow::Heal);
        let Some(words) = words else { return Ok(()) };
        let (workflow, name) = (workflow.capitalized(), &request.deployment.name);
        self.workspace.caller.confirm(&Question {
            text: format!("{workflow} `{name}`: {words}?"),
            danger: protected::warning(&request.deployment, None, stage),
            subject: QuestionSubject::Plan {
                effects: effect::instance_effects(&known, stage),
                exchanges: &stage.exchanges,
            },
        })
    }

    /// Runs the request on the held deployment. Returns false if there was nothing to do, with the
    /// engines that did not respond.
    async fn run_held(
        &self,
        held: &mut HeldSession<'_, '_>,
        request: &Request,
    ) -> Result<(bool, Vec<Unseen>), Error> {
        let Some(deployment) = held.record().deployment.clone() else {
            return Ok((false, Vec::new()));
        };
        let parameters = self.settle_and_read(held, &deployment, request).await?;
        let settled = PreparedRun::new(parameters, deployment, self.workspace, held.record())?;
        settled.check(self.workspace)?;
        let observed = held.observe(settled.parameters.workflow()).await?;
        if observed.objects().iter().any(|object| object.is_claimed) {
            let discovery = held.discover(&self.deployment).await?;
            recover::refuse_created_elsewhere(&discovery, held.record(), &self.deployment)?;
        }
        let stage = self.plan_stage(held, &settled, &observed).await?;
        if stage.is_empty() && settled.is_up_to_date() {
            return Ok((false, observed.unseen));
        }
        let job = Job {
            parameters: settled.parameters,
            previous: None,
            stage,
            first_events: settled.first_events,
            options: self.options,
            resume_command: self.repeat_command(),
            replan: None,
        };
        let done = held.execute_job(job).await;
        done.map_err(|error| with_unseen(error, &observed.unseen))?;
        Ok((true, observed.unseen))
    }

    /// Settles the last run, then returns the requested parameters.
    async fn settle_and_read(
        &self,
        held: &mut HeldSession<'_, '_>,
        deployment: &Deployment,
        request: &Request,
    ) -> Result<Parameters, Error> {
        let places = places(deployment, held.record(), &self.workspace.secrets)?;
        let parameters = request.parameters(held.record())?;
        let command = parameters.workflow().as_str();
        let places = Plugins::default()
            .has_objects(deployment, held.record())
            .then_some(&places);
        held.guard_and_settle(&deployment.name, places, command)
            .await?;
        Ok(parameters)
    }

    /// Returns the first stage after all checks and the confirmation.
    async fn plan_stage(
        &self,
        held: &HeldSession<'_, '_>,
        settled: &PreparedRun,
        observed: &Observed,
    ) -> Result<Stage, Error> {
        let known = PlanInput::new(&settled.deployment, &settled.record, observed);
        let mut proposal = plan::first(&settled.parameters, &known);
        held.add_foreign_sharers(&known, &mut proposal).await?;
        refuse_unknown_definitions(&settled.deployment, &proposal.stage)?;
        desired::refuse_removals(&proposal.stage)?;
        self.refuse_absent(settled, &proposal.absent)?;
        let warnings = proposal.warnings().into_iter();
        warnings.for_each(|it| self.workspace.warn(it));
        self.confirm(settled, &proposal.stage)?;
        desired::refuse_unsupported(&newly_unsupported(&proposal, &known))?;
        Ok(proposal.stage)
    }

    /// Refuses a stage whose instances need objects that it does not provide. The repair of a whole
    /// deployment does the rest.
    fn refuse_absent(
        &self,
        settled: &PreparedRun,
        absent: &[AbsentReference],
    ) -> Result<(), Error> {
        let is_whole = *settled.parameters.selection() == Selection::All;
        if is_whole && settled.parameters.workflow() == Workflow::Heal {
            return Ok(());
        }
        let repair = self.repair_command(&settled.deployment, absent);
        desired::refuse_absent(absent, &repair)
    }

    /// Returns the command line that provides absent objects; the one for the first reason, if there
    /// are several.
    fn repair_command(&self, deployment: &Deployment, absent: &[AbsentReference]) -> String {
        let Some(reason) = absent.iter().map(|it| it.reason).min() else {
            return String::new();
        };
        let of_reason = absent.iter().filter(|it| it.reason == reason);
        let others: BTreeSet<&str> = of_reason.map(|it| it.other.as_str()).collect();
        let blueprint = deployment.blueprint.display().to_string();
        let mut words = match reason {
            AbsenceReason::NotInstalled => vec!["install", &blueprint],
            AbsenceReason::AwaitsUpdate => vec!["update", &blueprint],
            AbsenceReason::Missing => vec!["heal"],
            AbsenceReason::Stopped => ["start"].into_iter().chain(others).collect(),
        };
        words.extend(["-d", &self.deployment]);
        self.workspace.caller.command_line(&words)
    }

    /// Returns the command line that repeats this request.
    fn repeat_command(&self) -> String {
        let words = self.arguments.iter().cloned();
        let words = words.chain(["-d".to_owned(), self.deployment.clone()]);
        let words = words.chain(self.options.flags());
        let words: Vec<String> = words
            .chain(input_args::redacted_args(&self.inputs))
            .collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        self.workspace.caller.command_line(&words)
    }
}

fn recorded_operation(selection: Selection) -> OneOperation {
    OneOperation {
        selection,
        is_recorded: true,
        ..OneOperation::default()
    }
}

/// A requested workflow, with the deployment and the record to plan it from.
struct PreparedRun {
    parameters: Parameters,
    deployment: Deployment,
    /// The record with the events of `before` applied.
    record: Record,
    /// Events that belong to the run and are journaled first.
    first_events: Vec<Event>,
}

impl PreparedRun {
    fn new(
        mut parameters: Parameters,
        mut deployment: Deployment,
        workspace: &Workspace<'_>,
        record: &Record,
    ) -> Result<Self, Error> {
        let (mut before, mut record) = (Vec::new(), record.clone());
        if let Parameters::Scale(request) = &mut parameters {
            let mut random = workspace.id_generator(&deployment.name, Some(&record))?;
            deployment = scale::apply(deployment, request, &record, &mut random)?;
            before.push(Event::Defined {
                deployment: Box::new(deployment.clone()),
            });
        }
        for event in &before {
            let applied = record.apply(&Entry::now(event.clone()));
            applied.expect("a definition can always follow");
        }
        Ok(Self {
            parameters,
            deployment,
            record,
            first_events: before,
        })
    }

    /// Refuses a request that the blueprint does not allow.
    fn check(&self, workspace: &Workspace<'_>) -> Result<(), Error> {
        desired::warn_of_early_reads(workspace, &self.deployment);
        desired::refuse_unpopulated(&self.deployment.without(self.removed()))?;
        if let Parameters::ExecuteOperation(request) = &self.parameters {
            operation::check_inputs(request, &self.deployment)
                .map_err(|message| Error::new(Kind::Invalid, message))?;
        }
        Ok(())
    }

    /// Returns the IDs of the instances that scaling removes.
    fn removed(&self) -> &[String] {
        match &self.parameters {
            Parameters::Scale(request) => &request.removed,
            _ => &[],
        }
    }

    /// Returns true if an empty stage means that there is nothing to do at all.
    fn is_up_to_date(&self) -> bool {
        let may_be =
            self.removed().is_empty() && !matches!(self.parameters, Parameters::Rollback(_));
        may_be && !restore::must_come_first(&self.record, Plugins::default(), &self.parameters)
    }
}

/// Refuses workflows that require an installed deployment.
fn require_installed(name: &str, workflow: Workflow, record: &Record) -> Result<(), Error> {
    let is_allowed = match workflow {
        Workflow::Install
        | Workflow::Uninstall
        | Workflow::Rollback
        | Workflow::ExecuteOperation
        | Workflow::Pull => true,
        Workflow::Reinstall
        | Workflow::Start
        | Workflow::Stop
        | Workflow::Restart
        | Workflow::Heal
        | Workflow::Scale
        | Workflow::Update
        | Workflow::CheckStatus
        | Workflow::CheckDrift => record.is_installed(),
    };
    let blueprint = record
        .deployment
        .as_ref()
        .map(|deployment| deployment.blueprint.display().to_string())
        .unwrap_or_default();
    let error = || {
        Error::usage(format!(
            "cannot {} `{name}`: it is not installed",
            verb(workflow)
        ))
    };
    if is_allowed {
        Ok(())
    } else {
        Err(error().hint(format!(
            "install it first: dockctl install {blueprint} -d {name}"
        )))
    }
}

fn verb(workflow: Workflow) -> &'static str {
    match workflow {
        Workflow::CheckStatus | Workflow::CheckDrift => "check",
        other => other.as_str(),
    }
}

/// Returns the workflow with a name. Workflows of the blueprint take precedence.
fn workflow(
    name: &str,
    declared: Option<&DeclaredWorkflow>,
    deployment: Option<&Deployment>,
) -> Result<Workflow, Error> {
    let Some(declared) = declared else {
        return Workflow::from_name(name).ok_or_else(|| {
            let own = deployment
                .into_iter()
                .flat_map(|deployment| deployment.workflows.keys().map(String::as_str));
            let names: Vec<&str> = Workflow::ALL
                .iter()
                .map(|workflow| workflow.as_str())
                .chain(own)
                .collect();
            unknown_name("workflow", name, &names)
        });
    };
    Workflow::from_mapping(&declared.operation).ok_or_else(|| {
        let message = format!(
            "the workflow `{name}` is implemented by `{}` of the plugin `{}`, which dockctl does not support",
            declared.operation, declared.plugin
        );
        Error::new(Kind::Invalid, message)
            .hint("dockctl supports the workflows of cloudify.plugins.workflows")
    })
}

/// Returns the operations that no plugin can run. Operations of nodes of which the user already left
/// some out at their installation are left out again.
fn newly_unsupported(proposal: &Proposal, known: &PlanInput<'_>) -> Vec<Unsupported> {
    let is_left_out = |node: &str| {
        let mut instances = known
            .deployment
            .instances
            .iter()
            .filter(|it| it.node == node);
        instances.any(|it| {
            let record = known.record.instances.get(&it.id);
            record.is_some_and(|record| !record.left_out.is_empty())
        })
    };
    let all = proposal.unsupported.iter();
    all.filter(|it| !is_left_out(&it.node)).cloned().collect()
}

/// Refuses to create objects of a recovered deployment: labels do not contain their definitions.
fn refuse_unknown_definitions(deployment: &Deployment, stage: &Stage) -> Result<(), Error> {
    let creates_object =
        |task: &Task| matches!(task.step.effect(), Effect::Creates | Effect::Replaces);
    let Some(task) = stage
        .tasks()
        .iter()
        .find(|task| deployment.recovered && creates_object(task))
    else {
        return Ok(());
    };
    let message = format!(
        "cannot create `{}`: its deployment was recovered from labels, which do not contain its definition",
        task.instance
    );
    let error = Error::new(Kind::Failed, message);
    Err(error.hint(format!(
        "provide the blueprint once: dockctl update BLUEPRINT -d {}",
        deployment.name
    )))
}

/// Returns the error for an unknown name, with the available names.
pub(super) fn unknown_name(what: &str, name: &str, known: &[&str]) -> Error {
    let mut error = Error::usage(format!("there is no {what} `{name}`"));
    if let Some(near) = nearest(name, known.iter().copied()) {
        error = error.hint(format!("did you mean `{near}`?"));
    }
    let mut known = known.to_vec();
    known.sort_unstable();
    known.dedup();
    error.hint(format!("use one of: {}", known.join(", ")))
}

/// Reads parameters from arguments: `NAME=TEXT`, `NAME:=YAML` or a file.
///
/// # Errors
///
/// If an argument is invalid.
pub(crate) fn read_parameters(given: &[String]) -> Result<JsonMap<String, Json>, Error> {
    let (mut sources, mut d) = (Sources::default(), Diagnostics::default());
    let read = input_args::read(given, HiddenInputs::Named(&[]), &mut sources, &mut d)?;
    match d.iter().next() {
        Some(fault) => Err(Error::usage(format!(
            "cannot read a parameter: {}",
            fault.message
        ))),
        None => Ok(read
            .into_iter()
            .map(|(name, given)| (name, given.value.to_json()))
            .collect()),
    }
}

/// Adds the declared defaults of a workflow. Refuses unknown and missing parameters.
fn with_defaults(
    name: &str,
    declared: &DeclaredWorkflow,
    given: JsonMap<String, Json>,
    built_in: &[&str],
) -> Result<JsonMap<String, Json>, Error> {
    let known: Vec<&str> = declared
        .parameters
        .keys()
        .map(String::as_str)
        .chain(built_in.iter().copied())
        .collect();
    if let Some(other) = given.keys().find(|key| !known.contains(&key.as_str())) {
        return Err(unknown_name(
            &format!("parameter of the workflow `{name}` named"),
            other,
            &known,
        ));
    }
    // Libraries declare parameters of other versions of the workflow too: ignore their defaults.
    let is_built_in = |name: &&String| built_in.contains(&name.as_str());
    let mut all = given;
    for (parameter, schema) in &declared.parameters {
        match &schema.default {
            _ if all.contains_key(parameter) => {}
            Some(value) if is_built_in(&parameter) => {
                drop(all.insert(parameter.clone(), value.clone()))
            }
            None if schema.required
                && !(parameter == "node_id" && all.contains_key("scalable_entity_name")) =>
            {
                return Err(Error::usage(format!(
                    "the workflow `{name}` requires the parameter `{parameter}`: -p {parameter}=VALUE"
                )));
            }
            _ => {}
        }
    }
    Ok(all)
}

/// Parses the text of parameters that are not strings as YAML: `-p ignore_failure=true`, and lists:
/// `-p node_ids=[a, b]`.
fn parse_parameters(given: JsonMap<String, Json>) -> Result<JsonMap<String, Json>, Error> {
    const TEXTS: [&str; 7] = [
        "scalable_entity_name",
        "operation",
        "node_instance_id",
        "diagnose_value",
        "node_ids",
        "node_instance_ids",
        "type_names",
    ];
    let is_text = |name: &str, text: &str| TEXTS.contains(&name) && !text.starts_with('[');
    let read = |(name, value): (String, Json)| match value {
        Json::String(text) if !is_text(&name, &text) => {
            let arguments = [format!("{name}:={text}")];
            let mut read = read_parameters(&arguments)?;
            let value = read.remove(&name).unwrap_or_default();
            Ok((name, value))
        }
        value => Ok((name, value)),
    };
    given.into_iter().map(read).collect()
}

/// Returns the instances with the given IDs, nodes, container names or container IDs.
pub(crate) fn select_instances(names: &[String], record: &Record) -> Result<Selection, Error> {
    let Some(deployment) = &record.deployment else {
        return Ok(Selection::All);
    };
    let mut ids: Vec<String> = Vec::new();
    for name in names {
        let found: Vec<String> = deployment
            .instances
            .iter()
            .filter(|it| matches_name(it, name, deployment, record))
            .map(|it| it.id.clone())
            .collect();
        if found.is_empty() {
            let known: Vec<&str> = deployment
                .instances
                .iter()
                .flat_map(|it| [it.node.as_str(), it.id.as_str()])
                .collect();
            return Err(unknown_name("instance or node", name, &known));
        }
        ids.extend(
            found
                .into_iter()
                .filter(|id| !ids.contains(id))
                .collect::<Vec<_>>(),
        );
    }
    Ok(if names.is_empty() {
        Selection::All
    } else {
        Selection::of_instances(ids)
    })
}

fn matches_name(instance: &Instance, name: &str, deployment: &Deployment, record: &Record) -> bool {
    let object = || {
        let node = record.object_definition(instance, deployment.node(instance)?);
        Plugins::default().recorded_id(record, instance, node)
    };
    instance.id == name
        || instance.node == name
        || InstanceRef::of(deployment, instance)
            .and_then(|part| Plugins::default().name(part))
            .as_deref()
            == Some(name)
        || (name.len() >= 12 && object().is_some_and(|id| id.starts_with(name)))
}

/// Returns the instances that an operation selects. Refuses unknown names in its filters.
fn select_for_operation(args: &Operation, record: &Record) -> Result<Selection, Error> {
    let instances = select_instances(&args.instances, record)?;
    let chosen = Criteria {
        node_ids: args.nodes.clone(),
        type_names: args.types.clone(),
        ..instances.into()
    };
    if let Some(deployment) = &record.deployment {
        expect_known(&chosen, deployment)?;
    }
    Ok(chosen.into())
}

/// Returns the full name of an operation. Accepts its last part if that is unique.
fn resolve_operation(request: &str, record: &Record) -> Result<String, Error> {
    let Some(deployment) = &record.deployment else {
        return Ok(request.to_owned());
    };
    let operations = deployment
        .nodes
        .values()
        .flat_map(|node| node.operations.keys());
    let all: IndexSet<&str> = operations.map(String::as_str).collect();
    let last = format!(".{request}");
    let is_match = |name: &&str| *name == request || name.ends_with(&last);
    let matching: Vec<&str> = all.iter().copied().filter(is_match).collect();
    match &matching[..] {
        [only] => Ok((*only).to_owned()),
        [] => {
            let all: Vec<&str> = all.into_iter().collect();
            Err(unknown_name("operation", request, &all))
        }
        several => Err(
            Error::usage(format!("`{request}` matches several operations"))
                .hint(format!("use one of: {}", several.join(", "))),
        ),
    }
}

/// Returns the parameters of a repair that ignores failures while stopping and deleting. It keeps
/// outdated instances of a group: only a commit changes their configuration.
pub(crate) fn heal_parameters(selection: Selection, record: &Record) -> parameters::Heal {
    parameters::Heal {
        selection,
        ignore_failure: true,
        keep_outdated: group::is_group(record),
        ..parameters::Heal::default()
    }
}
