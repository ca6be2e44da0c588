//! `dockctl execute`, and the commands for single workflows: `execute-operation`, `start`, `stop`,
//! `restart`, `reinstall`, `heal`.

use super::{
    Outcome,
    args::{Global, OperationArgs, SelectionArgs},
    confirm::{confirm, protected},
    error::{CliError, Kind},
    given::{self, Hidden},
    recover,
    run::closing,
    scale,
    session::{How, Job, Session},
    workspace::Workspace,
};
use crate::{
    diagnostic::{Diagnostics, Sources, nearest},
    event::{Entry, Event},
    model::{DeclaredWorkflow, Deployment, Instance},
    plan::{self, Known, operation, restore},
    plugins::{Part, Plugins, Scene},
    record::Record,
    seam::{Effect, Observed},
    stage::{
        Chosen, Parameters, Selection, Stage, Task, Workflow, parameter_names,
        parameters::{self, ExecuteOperation, OneOperation},
    },
};
use indexmap::IndexSet;
use serde_json::{Map as JsonMap, Value as Json, json};
use std::io::IsTerminal as _;

/// What is asked of a deployment that exists.
pub(crate) struct Order<'a> {
    pub global: &'a Global,
    pub deployment: Option<&'a str>,
    /// Sensitive inputs, which are not kept.
    pub inputs: &'a [String],
    pub how: How,
    /// The command as it was typed, without what every command takes.
    pub words: Vec<String>,
}

impl Order<'_> {
    /// Runs a workflow that is built in or declared by the blueprint.
    pub(crate) fn execute(&self, name: &str, given: &[String]) -> Result<Outcome, CliError> {
        self.run(|record| {
            let deployment = record.deployment.as_ref();
            let declared = deployment.and_then(|deployment| deployment.workflows.get(name));
            let workflow = workflow(name, declared, deployment)?;
            let mut parameters = read_parameters(given)?;
            // What older editions of the library call it.
            if let Some(node) = parameters
                .shift_remove("node_id")
                .filter(|_| workflow == Workflow::Scale)
            {
                parameters.insert("scalable_entity_name".to_owned(), node);
            }
            let parameters = match declared {
                Some(declared) => {
                    with_defaults(name, declared, parameters, &parameter_names(workflow))?
                }
                None => parameters,
            };
            Parameters::read(workflow, typed(parameters)?).map_err(CliError::usage)
        })
    }

    /// Runs one operation.
    pub(crate) fn execute_operation(&self, args: &OperationArgs) -> Result<Outcome, CliError> {
        self.run(|record| {
            let operation_kwargs = read_parameters(&args.kwargs)?;
            let selection = selected(&args.selection, record)?;
            Ok(Parameters::ExecuteOperation(ExecuteOperation {
                operation: known_operation(&args.operation, record)?,
                operation_kwargs,
                allow_kwargs_override: Some(args.allow_override),
                run_by_dependency_order: Some(args.in_order),
                selection,
            }))
        })
    }

    /// Starts, stops or restarts instances, and keeps in mind that they were.
    pub(crate) fn halt(
        &self,
        parameters: fn(Selection) -> Parameters,
        instances: &[String],
    ) -> Result<Outcome, CliError> {
        self.run(|record| named(instances, record).map(parameters))
    }

    /// Takes instances down and installs them anew.
    pub(crate) fn reinstall(
        &self,
        instances: &[String],
        ignore_failure: bool,
    ) -> Result<Outcome, CliError> {
        self.run(|record| {
            Ok(Parameters::Reinstall(parameters::Reinstall {
                selection: named(instances, record)?,
                ignore_failure,
            }))
        })
    }

    /// Mends what is ill.
    pub(crate) fn heal(&self, instances: &[String]) -> Result<Outcome, CliError> {
        self.run(|record| {
            let selection = named(instances, record)?;
            Ok(Parameters::Heal(super::heal::forgiving(selection)))
        })
    }

    pub(super) fn run(
        &self,
        decide: impl Fn(&Record) -> Result<Parameters, CliError>,
    ) -> Result<Outcome, CliError> {
        let workspace = Workspace::new(self.global)?;
        let name = workspace.name(self.deployment)?;
        Workspace::runtime()?.block_on(self.run_in(&workspace, &name, &decide))
    }

    /// Holds the deployment, and does what is decided from what is known of it.
    pub(crate) async fn run_in(
        &self,
        workspace: &Workspace<'_>,
        name: &str,
        decide: &impl Fn(&Record) -> Result<Parameters, CliError>,
    ) -> Result<Outcome, CliError> {
        recover::mend(workspace, name).await?;
        // What is typed wrong is told before anything is held.
        let known = workspace.record(name)?;
        let parameters = decide(&known)?;
        let workflow = parameters.workflow();
        require_installed(name, workflow, &known)?;
        let ill: Vec<String> = parameters
            .named_ill()
            .map(str::to_owned)
            .into_iter()
            .collect();
        named(&ill, &known)?;
        workspace.supply(self.inputs)?;
        let systems = workspace.connect()?;
        let drivers = systems.drivers();
        let mut session = Session::begin(workspace, &drivers, name, workflow.as_str())?;
        let done = Box::pin(self.run_held(workspace, &mut session, name, decide)).await;
        let record = session.end().await;
        Ok(if done? {
            closing(&record)
        } else {
            nothing_to_do(name, &parameters, &record)
        })
    }

    /// Asks before instances are deleted.
    fn confirm(&self, asked: &Asked, stage: &Stage) -> Result<(), CliError> {
        let (observed, workflow) = (Observed::default(), asked.parameters.workflow());
        let known = Known::new(&asked.deployment, &asked.record, &observed);
        let deletes = stage.tasks().iter().any(|task| task.step.traits.deletes);
        let words =
            super::plan::summary(&known, stage).filter(|_| deletes && workflow != Workflow::Heal);
        let Some(words) = words else { return Ok(()) };
        if std::io::stdin().is_terminal() && !self.global.yes {
            super::complain(&super::plan::told(&known, stage));
        }
        let (workflow, name) = (workflow.capitalized(), &asked.deployment.name);
        let danger = protected(&asked.deployment, None, stage);
        confirm(
            self.global,
            &format!("{workflow} `{name}`: {words}?"),
            danger.as_deref(),
        )
    }

    /// Whether there was anything to do.
    async fn run_held(
        &self,
        workspace: &Workspace<'_>,
        session: &mut Session<'_>,
        name: &str,
        decide: &impl Fn(&Record) -> Result<Parameters, CliError>,
    ) -> Result<bool, CliError> {
        let Some(deployment) = session.record.deployment.clone() else {
            return Ok(false);
        };
        let parameters = self
            .settled(workspace, session, &deployment, decide)
            .await?;
        let asked = Asked::of(parameters, deployment, workspace, &session.record)?;
        asked.check()?;
        let observed = session.observe().await?;
        if observed.objects().iter().any(|object| object.is_claimed) {
            let told = session.told(name).await?;
            recover::refuse_elsewhere(&told, &session.record, name)?;
        }
        let stage = self.planned(&asked, &observed)?;
        if stage.is_empty() && asked.is_settled() {
            return Ok(false);
        }
        let job = Job {
            parameters: asked.parameters,
            of: None,
            stage,
            before: asked.before,
            how: self.how,
            again: self.again(workspace, name),
            replan: None,
        };
        session.carry_out(job).await.map(|()| true)
    }

    /// Settles the last run, then returns the requested parameters.
    async fn settled(
        &self,
        workspace: &Workspace<'_>,
        session: &mut Session<'_>,
        deployment: &Deployment,
        decide: &impl Fn(&Record) -> Result<Parameters, CliError>,
    ) -> Result<Parameters, CliError> {
        let scene = Scene {
            deployment,
            record: &session.record,
            secrets: &workspace.secrets,
        };
        let places = Plugins::default().places(scene);
        let places = places.map_err(|message| CliError::new(Kind::Engine, message))?;
        let parameters = decide(&session.record)?;
        let command = parameters.workflow().as_str();
        session.settle(&deployment.name, &places, command).await?;
        Ok(parameters)
    }

    /// The first stage, if nothing speaks against it.
    fn planned(&self, asked: &Asked, observed: &Observed) -> Result<Stage, CliError> {
        let known = Known::new(&asked.deployment, &asked.record, observed);
        let proposal = plan::first(&asked.parameters, &known);
        refuse_hearsay(&asked.deployment, &proposal.stage)?;
        self.confirm(asked, &proposal.stage)?;
        super::install::refuse_unsupported(&proposal.unsupported, false)?;
        Ok(proposal.stage)
    }

    /// The command that does it again.
    fn again(&self, workspace: &Workspace<'_>, name: &str) -> String {
        let words = self.words.iter().cloned();
        let words = words.chain(["-d".to_owned(), name.to_owned()]);
        let words = words.chain(self.how.flags());
        let words: Vec<String> = words.chain(given::named(self.inputs)).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        workspace.again(&words)
    }
}

/// `start` that is kept in mind.
pub(super) fn started(selection: Selection) -> Parameters {
    Parameters::Start(recorded(selection))
}

/// `stop` that is kept in mind.
pub(super) fn stopped(selection: Selection) -> Parameters {
    Parameters::Stop(recorded(selection))
}

/// `restart` that is kept in mind.
pub(super) fn restarted(selection: Selection) -> Parameters {
    Parameters::Restart(parameters::Restart {
        selection,
        is_recorded: true,
        ..parameters::Restart::default()
    })
}

fn recorded(selection: Selection) -> OneOperation {
    OneOperation {
        selection,
        is_recorded: true,
        ..OneOperation::default()
    }
}

/// A requested workflow with the deployment and the record that it is planned from.
struct Asked {
    parameters: Parameters,
    deployment: Deployment,
    /// The record with the events of `before` applied.
    record: Record,
    /// Events that belong to the run and are put down first.
    before: Vec<Event>,
}

impl Asked {
    fn of(
        mut parameters: Parameters,
        mut deployment: Deployment,
        workspace: &Workspace<'_>,
        record: &Record,
    ) -> Result<Self, CliError> {
        let (mut before, mut record) = (Vec::new(), record.clone());
        if let Parameters::Scale(asked) = &mut parameters {
            let mut random = workspace.random(&deployment.name, Some(&record))?;
            deployment = scale::begin(deployment, asked, &record, &mut random)?;
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
            before,
        })
    }

    /// Refuses a request that the blueprint does not allow.
    fn check(&self) -> Result<(), CliError> {
        super::install::warn_of_early(&self.deployment);
        super::install::refuse_unpopulated(&self.deployment.without(self.removed()))?;
        if let Parameters::ExecuteOperation(asked) = &self.parameters {
            operation::check(asked, &self.deployment)
                .map_err(|message| CliError::new(Kind::Invalid, message))?;
        }
        Ok(())
    }

    /// Ids of the instances that scaling removes.
    fn removed(&self) -> &[String] {
        match &self.parameters {
            Parameters::Scale(asked) => &asked.removed,
            _ => &[],
        }
    }

    /// Whether an empty stage means that there is nothing to do at all.
    fn is_settled(&self) -> bool {
        let may_be =
            self.removed().is_empty() && !matches!(self.parameters, Parameters::Rollback(_));
        may_be && !restore::comes_first(&self.record, Plugins::default(), &self.parameters)
    }
}

/// What needs something that is there.
fn require_installed(name: &str, workflow: Workflow, record: &Record) -> Result<(), CliError> {
    let makes_sense = match workflow {
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
        CliError::usage(format!(
            "`{name}` is not installed: there is nothing to {}",
            verb(workflow)
        ))
    };
    if makes_sense {
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

fn nothing_to_do(name: &str, parameters: &Parameters, record: &Record) -> Outcome {
    let fields = json!({ "deployment": name, "execution": null, "instances": super::status::known_instances(record) });
    let is_chosen = |deployment: &Deployment| {
        deployment
            .instances
            .iter()
            .any(|it| parameters.selection().has(deployment, it))
    };
    let why = match parameters.workflow() {
        _ if !record.deployment.as_ref().is_some_and(is_chosen) => "the filters match no instance",
        Workflow::Heal => "all is well",
        Workflow::Install | Workflow::Update => "all is as it is to be",
        Workflow::Uninstall | Workflow::Rollback => "there is nothing to take down",
        Workflow::Stop => "nothing of it runs",
        Workflow::Scale => "there are as many already",
        _ => "none of the chosen instances has an operation for it",
    };
    Outcome::new(fields, format!("`{name}`: nothing to do, {why}\n"))
}

/// The workflow of a name: the blueprint's goes first.
fn workflow(
    name: &str,
    declared: Option<&DeclaredWorkflow>,
    deployment: Option<&Deployment>,
) -> Result<Workflow, CliError> {
    let Some(declared) = declared else {
        return Workflow::named(name).ok_or_else(|| {
            let own = deployment
                .into_iter()
                .flat_map(|deployment| deployment.workflows.keys().map(String::as_str));
            let names: Vec<&str> = Workflow::ALL
                .iter()
                .map(|workflow| workflow.as_str())
                .chain(own)
                .collect();
            unknown("workflow", name, &names)
        });
    };
    Workflow::of_mapping(&declared.operation).ok_or_else(|| {
        let message = format!(
            "the workflow `{name}` is `{}` of the plugin `{}`, which dockctl does not have",
            declared.operation, declared.plugin
        );
        CliError::new(Kind::Invalid, message)
            .hint("dockctl runs the workflows of cloudify.plugins.workflows")
    })
}

/// Labels do not tell what an object is made from.
fn refuse_hearsay(deployment: &Deployment, stage: &Stage) -> Result<(), CliError> {
    let makes = |task: &Task| matches!(task.step.effect(), Effect::Creates | Effect::Replaces);
    let Some(task) = stage
        .tasks()
        .iter()
        .find(|task| deployment.recovered && makes(task))
    else {
        return Ok(());
    };
    let message = format!(
        "`{}` has to be created, and the labels that tell of it do not say from what",
        task.instance
    );
    let error = CliError::new(Kind::Failed, message);
    Err(error.hint(format!(
        "give the blueprint once: dockctl update BLUEPRINT -d {}",
        deployment.name
    )))
}

/// Something that does not exist, with those that do.
pub(super) fn unknown(what: &str, name: &str, known: &[&str]) -> CliError {
    let mut error = CliError::usage(format!("there is no {what} `{name}`"));
    if let Some(near) = nearest(name, known.iter().copied()) {
        error = error.hint(format!("did you mean `{near}`?"));
    }
    let mut known = known.to_vec();
    known.sort_unstable();
    known.dedup();
    error.hint(format!("there are: {}", known.join(", ")))
}

fn read_parameters(given: &[String]) -> Result<JsonMap<String, Json>, CliError> {
    let (mut sources, mut d) = (Sources::default(), Diagnostics::default());
    let read = given::read(given, Hidden::Named(&[]), &mut sources, &mut d)?;
    match d.iter().next() {
        Some(fault) => Err(CliError::usage(format!(
            "a parameter cannot be read: {}",
            fault.message
        ))),
        None => Ok(read
            .into_iter()
            .map(|(name, given)| (name, given.value.to_json()))
            .collect()),
    }
}

/// What is declared to be there where nothing is given; what has to be given is asked for.
fn with_defaults(
    name: &str,
    declared: &DeclaredWorkflow,
    given: JsonMap<String, Json>,
    built_in: &[&str],
) -> Result<JsonMap<String, Json>, CliError> {
    let known: Vec<&str> = declared
        .parameters
        .keys()
        .map(String::as_str)
        .chain(built_in.iter().copied())
        .collect();
    if let Some(other) = given.keys().find(|key| !known.contains(&key.as_str())) {
        return Err(unknown(
            &format!("parameter of the workflow `{name}` called"),
            other,
            &known,
        ));
    }
    // What libraries declare for other editions of the workflow says nothing here.
    let is_taken = |name: &&String| built_in.contains(&name.as_str());
    let mut all = given;
    for (parameter, schema) in &declared.parameters {
        match &schema.default {
            _ if all.contains_key(parameter) => {}
            Some(value) if is_taken(&parameter) => {
                drop(all.insert(parameter.clone(), value.clone()))
            }
            None if schema.required
                && !(parameter == "node_id" && all.contains_key("scalable_entity_name")) =>
            {
                return Err(CliError::usage(format!(
                    "the workflow `{name}` needs the parameter `{parameter}`: -p {parameter}=VALUE"
                )));
            }
            _ => {}
        }
    }
    Ok(all)
}

/// Parameters that are texts stay so, others are read as YAML: `-p ignore_failure=true`.
fn typed(given: JsonMap<String, Json>) -> Result<JsonMap<String, Json>, CliError> {
    const TEXTS: [&str; 7] = [
        "scalable_entity_name",
        "operation",
        "node_instance_id",
        "diagnose_value",
        "node_ids",
        "node_instance_ids",
        "type_names",
    ];
    let read = |(name, value): (String, Json)| match value {
        Json::String(text) if !TEXTS.contains(&name.as_str()) => {
            let arguments = [format!("{name}:={text}")];
            Ok((
                name.clone(),
                read_parameters(&arguments)?
                    .remove(&name)
                    .unwrap_or_default(),
            ))
        }
        value => Ok((name, value)),
    };
    given.into_iter().map(read).collect()
}

/// Instances by their ids, their nodes, or the names of their containers.
pub(crate) fn named(names: &[String], record: &Record) -> Result<Selection, CliError> {
    let Some(deployment) = &record.deployment else {
        return Ok(Selection::All);
    };
    let mut ids: Vec<String> = Vec::new();
    for name in names {
        let found: Vec<String> = deployment
            .instances
            .iter()
            .filter(|it| is_called(it, name, deployment, record))
            .map(|it| it.id.clone())
            .collect();
        if found.is_empty() {
            let known: Vec<&str> = deployment
                .instances
                .iter()
                .flat_map(|it| [it.node.as_str(), it.id.as_str()])
                .collect();
            return Err(unknown("instance or node", name, &known));
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

fn is_called(instance: &Instance, name: &str, deployment: &Deployment, record: &Record) -> bool {
    let object = || {
        let node = record.made_from(instance, deployment.node(instance)?);
        Plugins::default().known_id(record, instance, node)
    };
    instance.id == name
        || instance.node == name
        || Part::of(deployment, instance)
            .and_then(|part| Plugins::default().name(part))
            .as_deref()
            == Some(name)
        || (name.len() >= 12 && object().is_some_and(|id| id.starts_with(name)))
}

/// A filter that can match nothing was typed wrong.
fn selected(args: &SelectionArgs, record: &Record) -> Result<Selection, CliError> {
    let instances = named(&args.instances, record)?;
    let nodes = || {
        record
            .deployment
            .iter()
            .flat_map(|deployment| &deployment.nodes)
    };
    let names: Vec<&str> = nodes().map(|(name, _)| name.as_str()).collect();
    let types: Vec<&str> = nodes()
        .flat_map(|(_, node)| node.hierarchy.iter().map(String::as_str))
        .collect();
    for (what, given, known) in [
        ("node", &args.nodes, names),
        ("type of a node", &args.types, types),
    ] {
        if let Some(name) = given.iter().find(|name| !known.contains(&name.as_str())) {
            return Err(unknown(what, name, &known));
        }
    }
    let chosen = Chosen {
        node_ids: args.nodes.clone(),
        type_names: args.types.clone(),
        ..instances.into()
    };
    Ok(chosen.into())
}

/// The full name of an operation; a last part that only one operation has stands for it.
fn known_operation(asked: &str, record: &Record) -> Result<String, CliError> {
    let Some(deployment) = &record.deployment else {
        return Ok(asked.to_owned());
    };
    let operations = deployment
        .nodes
        .values()
        .flat_map(|node| node.operations.keys());
    let all: IndexSet<&str> = operations.map(String::as_str).collect();
    let last = format!(".{asked}");
    let is_meant = |name: &&str| *name == asked || name.ends_with(&last);
    let matching: Vec<&str> = all.iter().copied().filter(is_meant).collect();
    match &matching[..] {
        [only] => Ok((*only).to_owned()),
        [] => {
            let all: Vec<&str> = all.into_iter().collect();
            Err(unknown("operation", asked, &all))
        }
        several => Err(
            CliError::usage(format!("`{asked}` stands for several operations"))
                .hint(format!("say which: {}", several.join(", "))),
        ),
    }
}
