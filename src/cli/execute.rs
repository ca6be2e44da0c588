//! `dockctl execute`, and the commands for single workflows: `execute-operation`, `start`, `stop`, `restart`, `reinstall`, `heal`.

use super::{
    Outcome,
    args::{Global, OperationArgs, SelectionArgs},
    error::{CliError, Kind},
    given, recover,
    run::closing,
    session::{How, Job, Session},
    workspace::Workspace,
};
use crate::{
    backend::{docker::Engines, places},
    diagnostic::{Diagnostics, nearest},
    model::{DeclaredWorkflow, Deployment, Instance},
    plan::{self, Known, Parameters, Selection, Workflow, operation},
    state::Record,
    syntax::Sources,
};
use serde_json::{Map as JsonMap, Value as Json, json};

/// What is asked of a deployment that exists.
pub(crate) struct Order<'a> {
    pub global: &'a Global,
    pub deployment: Option<&'a str>,
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
            let parameters = read_parameters(given)?;
            let parameters = match declared {
                Some(declared) => with_defaults(name, declared, parameters)?,
                None => parameters,
            };
            let parameters = Parameters::read(workflow, typed(parameters)?).map_err(CliError::usage)?;
            Ok((workflow, parameters))
        })
    }

    /// Runs one operation.
    pub(crate) fn execute_operation(&self, args: &OperationArgs) -> Result<Outcome, CliError> {
        self.run(|record| {
            let mut parameters = Parameters {
                operation: args.operation.clone(),
                operation_kwargs: read_parameters(&args.kwargs)?,
                allow_kwargs_override: Some(args.allow_override),
                run_by_dependency_order: Some(args.in_order),
                selection: selected(&args.selection, record)?,
                ..Parameters::default()
            };
            known_operation(&mut parameters, record)?;
            Ok((Workflow::ExecuteOperation, parameters))
        })
    }

    /// Starts, stops or restarts instances, and keeps in mind that they were.
    pub(crate) fn halt(&self, workflow: Workflow, instances: &[String]) -> Result<Outcome, CliError> {
        self.run(|record| {
            let selection = named(instances, record)?;
            Ok((workflow, Parameters { is_recorded: true, selection, ..Parameters::default() }))
        })
    }

    /// Takes instances down and installs them anew.
    pub(crate) fn reinstall(&self, instances: &[String], ignore_failure: bool) -> Result<Outcome, CliError> {
        self.run(|record| {
            Ok((Workflow::Reinstall, Parameters { selection: named(instances, record)?, ignore_failure, ..Parameters::default() }))
        })
    }

    /// Mends what is ill.
    pub(crate) fn heal(&self, instances: &[String]) -> Result<Outcome, CliError> {
        self.run(|record| {
            Ok((Workflow::Heal, Parameters { selection: named(instances, record)?, ignore_failure: true, ..Parameters::default() }))
        })
    }

    fn run(&self, decide: impl Fn(&Record) -> Result<(Workflow, Parameters), CliError>) -> Result<Outcome, CliError> {
        let workspace = Workspace::new(self.global)?;
        let name = Workspace::name(self.deployment)?;
        Workspace::runtime()?.block_on(async {
            recover::mend(&workspace, &name).await?;
            // What is typed wrong is told before anything is held.
            let (workflow, _) = decide(&workspace.record(&name)?)?;
            let engines = workspace.engines()?;
            let mut session = Session::begin(&workspace, &engines, &name, workflow.as_str())?;
            let done = self.run_held(&workspace, &engines, &mut session, &name, &decide).await;
            let record = session.end().await;
            Ok(if done? { closing(&record) } else { nothing_to_do(&name, workflow, &record) })
        })
    }

    /// Whether there was anything to do.
    async fn run_held(
        &self,
        workspace: &Workspace<'_>,
        engines: &Engines,
        session: &mut Session<'_>,
        name: &str,
        decide: &impl Fn(&Record) -> Result<(Workflow, Parameters), CliError>,
    ) -> Result<bool, CliError> {
        let Some(deployment) = session.record.deployment.clone() else { return Ok(false) };
        let places = places(&deployment, &session.record, &workspace.secrets).map_err(|message| CliError::new(Kind::Engine, message))?;
        let (workflow, parameters) = decide(&session.record)?;
        session.settle(name, &places, workflow.as_str()).await?;
        operation::check(workflow, &parameters, &deployment).map_err(|message| CliError::new(Kind::Invalid, message))?;
        let observed = session.observe().await?;
        let proposal = plan::first(workflow, &parameters, &Known { deployment: &deployment, record: &session.record, observed: &observed });
        super::install::refuse_unsupported(&proposal.unsupported, false)?;
        super::install::refuse_too_old(&super::install::too_old(engines, &proposal.stage).await?)?;
        if proposal.stage.is_empty() && workflow != Workflow::Rollback {
            return Ok(false);
        }
        let words = self.words.iter().cloned().chain(["-d".to_owned(), name.to_owned()]).chain(self.how.flags());
        let words: Vec<String> = words.collect();
        let again: Vec<&str> = words.iter().map(String::as_str).collect();
        let again = workspace.again(&again);
        let job = Job { workflow, parameters, of: None, stage: proposal.stage, before: Vec::new(), how: self.how, again };
        session.carry_out(job).await.map(|()| true)
    }
}

fn nothing_to_do(name: &str, workflow: Workflow, record: &Record) -> Outcome {
    let fields = json!({ "deployment": name, "execution": null, "instances": super::status::known_instances(record) });
    let why = match workflow {
        Workflow::Heal => "all is well",
        Workflow::Stop => "nothing of it runs",
        _ => "no instance that is meant has such an operation",
    };
    Outcome::new(fields, format!("`{name}`: nothing to do, {why}\n"))
}

/// The workflow of a name: the blueprint's goes first.
fn workflow(name: &str, declared: Option<&DeclaredWorkflow>, deployment: Option<&Deployment>) -> Result<Workflow, CliError> {
    let Some(declared) = declared else {
        return Workflow::named(name).ok_or_else(|| {
            let own = deployment.into_iter().flat_map(|deployment| deployment.workflows.keys().map(String::as_str));
            let names: Vec<&str> = Workflow::ALL.iter().map(|workflow| workflow.as_str()).chain(own).collect();
            unknown("workflow", name, &names)
        });
    };
    Workflow::of_mapping(&declared.operation).ok_or_else(|| {
        let message =
            format!("the workflow `{name}` is `{}` of the plugin `{}`, which dockctl does not have", declared.operation, declared.plugin);
        CliError::new(Kind::Invalid, message).hint("dockctl runs the workflows of cloudify.plugins.workflows")
    })
}

/// Something that does not exist, with those that do.
fn unknown(what: &str, name: &str, known: &[&str]) -> CliError {
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
    let read = given::read(given, &mut sources, &mut d)?;
    match d.iter().next() {
        Some(fault) => Err(CliError::usage(format!("a parameter cannot be read: {}", fault.message))),
        None => Ok(read.into_iter().map(|(name, given)| (name, given.value.to_json())).collect()),
    }
}

/// What is declared to be there where nothing is given; what has to be given is asked for.
fn with_defaults(name: &str, declared: &DeclaredWorkflow, given: JsonMap<String, Json>) -> Result<JsonMap<String, Json>, CliError> {
    let known: Vec<&str> = declared.parameters.keys().map(String::as_str).collect();
    if let Some(other) = given.keys().find(|key| !known.contains(&key.as_str())) {
        return Err(unknown(&format!("parameter of the workflow `{name}` called"), other, &known));
    }
    let mut all = JsonMap::new();
    for (parameter, schema) in &declared.parameters {
        match given.get(parameter).or(schema.default.as_ref()) {
            Some(value) => drop(all.insert(parameter.clone(), value.clone())),
            None if schema.required => {
                return Err(CliError::usage(format!("the workflow `{name}` needs the parameter `{parameter}`: -p {parameter}=VALUE")));
            }
            None => {}
        }
    }
    Ok(all)
}

/// Parameters that are texts stay so, others are read as YAML: `-p ignore_failure=true`.
fn typed(given: JsonMap<String, Json>) -> Result<JsonMap<String, Json>, CliError> {
    const TEXTS: [&str; 6] = ["operation", "node_instance_id", "diagnose_value", "node_ids", "node_instance_ids", "type_names"];
    let read = |(name, value): (String, Json)| match value {
        Json::String(text) if !TEXTS.contains(&name.as_str()) => {
            let arguments = [format!("{name}:={text}")];
            Ok((name.clone(), read_parameters(&arguments)?.remove(&name).unwrap_or_default()))
        }
        value => Ok((name, value)),
    };
    given.into_iter().map(read).collect()
}

/// Instances by their ids, their nodes, or the names of their containers.
pub(crate) fn named(names: &[String], record: &Record) -> Result<Selection, CliError> {
    let Some(deployment) = &record.deployment else { return Ok(Selection::default()) };
    let mut ids: Vec<String> = Vec::new();
    for name in names {
        let found: Vec<String> =
            deployment.instances.iter().filter(|it| is_called(it, name, deployment, record)).map(|it| it.id.clone()).collect();
        if found.is_empty() {
            let known: Vec<&str> = deployment.instances.iter().flat_map(|it| [it.node.as_str(), it.id.as_str()]).collect();
            return Err(unknown("instance or node", name, &known));
        }
        ids.extend(found.into_iter().filter(|id| !ids.contains(id)).collect::<Vec<_>>());
    }
    Ok(if ids.is_empty() { Selection::default() } else { Selection::of_instances(ids) })
}

fn is_called(instance: &Instance, name: &str, deployment: &Deployment, record: &Record) -> bool {
    let container = || {
        let properties = record.properties(&instance.id)?;
        Some(properties.get("container_id")?.as_str()?.to_owned())
    };
    instance.id == name
        || instance.node == name
        || crate::backend::docker::wanted(deployment, instance).as_deref() == Some(name)
        || (name.len() >= 12 && container().is_some_and(|id| id.starts_with(name)))
}

fn selected(args: &SelectionArgs, record: &Record) -> Result<Selection, CliError> {
    let instances = named(&args.instances, record)?;
    Ok(Selection { node_ids: args.nodes.clone(), type_names: args.types.clone(), ..instances })
}

/// The full name of the operation; a last part that only one operation has stands for it.
fn known_operation(parameters: &mut Parameters, record: &Record) -> Result<(), CliError> {
    let Some(deployment) = &record.deployment else { return Ok(()) };
    let all: indexmap::IndexSet<&str> = deployment.nodes.values().flat_map(|node| node.operations.keys().map(String::as_str)).collect();
    let asked = parameters.operation.clone();
    let matching: Vec<&str> = all.iter().copied().filter(|name| *name == asked || name.ends_with(&format!(".{asked}"))).collect();
    match &matching[..] {
        [only] => {
            (*only).clone_into(&mut parameters.operation);
            Ok(())
        }
        [] => Err(unknown("operation", &asked, &all.iter().copied().collect::<Vec<_>>())),
        several => {
            Err(CliError::usage(format!("`{asked}` stands for several operations")).hint(format!("say which: {}", several.join(", "))))
        }
    }
}
