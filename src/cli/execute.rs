//! `dockctl execute`, and the commands for single workflows: `execute-operation`, `start`, `stop`,
//! `restart`, `reinstall`, `heal`.

use super::{
    Outcome,
    args::{Global, OperationArgs, ScaleArgs, SelectionArgs},
    confirm::{confirm, protected},
    error::{CliError, Kind},
    given::{self, Hidden},
    recover,
    run::closing,
    session::{How, Job, Session},
    workspace::Workspace,
};
use crate::{
    diagnostic::{Diagnostics, Sources, nearest},
    event::{self, Entry, Event},
    model::{DeclaredWorkflow, Deployment, Instance, Scaling, Structure, Unscalable},
    plan::{self, Known, operation, restore},
    plugins::{PORT, Part, Plugins, Scene},
    record::Record,
    seam::{Effect, Observed},
    stage::{Chosen, Parameters, Selection, Stage, Task, Workflow, parameter_names},
};
use serde_json::{Map as JsonMap, Value as Json, json};
use std::{collections::BTreeSet, io::IsTerminal as _};

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
            let parameters =
                Parameters::read(workflow, typed(parameters)?).map_err(CliError::usage)?;
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
    pub(crate) fn halt(
        &self,
        workflow: Workflow,
        instances: &[String],
    ) -> Result<Outcome, CliError> {
        self.run(|record| {
            let selection = named(instances, record)?;
            Ok((
                workflow,
                Parameters {
                    is_recorded: true,
                    selection,
                    ..Parameters::default()
                },
            ))
        })
    }

    /// Takes instances down and installs them anew.
    pub(crate) fn reinstall(
        &self,
        instances: &[String],
        ignore_failure: bool,
    ) -> Result<Outcome, CliError> {
        self.run(|record| {
            Ok((
                Workflow::Reinstall,
                Parameters {
                    selection: named(instances, record)?,
                    ignore_failure,
                    ..Parameters::default()
                },
            ))
        })
    }

    /// Mends what is ill.
    pub(crate) fn heal(&self, instances: &[String]) -> Result<Outcome, CliError> {
        self.run(|record| {
            Ok((
                Workflow::Heal,
                Parameters {
                    selection: named(instances, record)?,
                    ignore_failure: true,
                    ..Parameters::default()
                },
            ))
        })
    }

    fn run(
        &self,
        decide: impl Fn(&Record) -> Result<(Workflow, Parameters), CliError>,
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
        decide: &impl Fn(&Record) -> Result<(Workflow, Parameters), CliError>,
    ) -> Result<Outcome, CliError> {
        recover::mend(workspace, name).await?;
        // What is typed wrong is told before anything is held.
        let known = workspace.record(name)?;
        let (workflow, parameters) = decide(&known)?;
        require_installed(name, workflow, &known)?;
        let ill = parameters
            .node_instance_id
            .iter()
            .cloned()
            .collect::<Vec<_>>();
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
            nothing_to_do(name, workflow, &parameters, &record)
        })
    }

    /// Asks before instances are deleted.
    fn confirm(
        &self,
        workflow: Workflow,
        deployment: &Deployment,
        record: &Record,
        stage: &Stage,
    ) -> Result<(), CliError> {
        let observed = Observed::default();
        let known = Known::new(deployment, record, &observed);
        let deletes = stage.tasks().iter().any(|task| task.step.traits.deletes);
        let words =
            super::plan::summary(&known, stage).filter(|_| deletes && workflow != Workflow::Heal);
        let Some(words) = words else { return Ok(()) };
        if std::io::stdin().is_terminal() && !self.global.yes {
            super::complain(&super::plan::told(&known, stage));
        }
        let question = format!("{} `{}`: {words}?", workflow.capitalized(), deployment.name);
        confirm(
            self.global,
            &question,
            protected(deployment, None, stage).as_deref(),
        )
    }

    /// Adds or removes instances: `to` so many, or `delta` more.
    pub(crate) fn scale(&self, args: &ScaleArgs) -> Result<Outcome, CliError> {
        self.run(|record| {
            let Some(deployment) = &record.deployment else {
                return Err(CliError::usage("there is nothing to scale"));
            };
            let known: Vec<&str> = deployment
                .nodes
                .keys()
                .chain(deployment.structure.groups.keys())
                .map(String::as_str)
                .collect();
            let current = deployment
                .number(&args.entity)
                .ok_or_else(|| unknown("node or scaling group", &args.entity, &known))?;
            let to = args
                .to
                .map(|to| i64::from(to) - i64::try_from(current).unwrap_or(i64::MAX));
            let ids = |names: &[String]| {
                named(names, record).map(|selection| selection.instances().to_vec())
            };
            let parameters = Parameters {
                scalable_entity_name: args.entity.clone(),
                delta: to.or(args.delta).unwrap_or_default(),
                include_instances: ids(&args.remove)?,
                exclude_instances: ids(&args.keep)?,
                ignore_failure: args.ignore_failure,
                rollback_if_failed: !args.no_rollback,
                ..Parameters::default()
            };
            Ok((Workflow::Scale, parameters))
        })
    }

    /// Whether there was anything to do.
    async fn run_held(
        &self,
        workspace: &Workspace<'_>,
        session: &mut Session<'_>,
        name: &str,
        decide: &impl Fn(&Record) -> Result<(Workflow, Parameters), CliError>,
    ) -> Result<bool, CliError> {
        let Some(mut deployment) = session.record.deployment.clone() else {
            return Ok(false);
        };
        let places = Plugins::default()
            .places(Scene {
                deployment: &deployment,
                record: &session.record,
                secrets: &workspace.secrets,
            })
            .map_err(|message| CliError::new(Kind::Engine, message))?;
        let (workflow, mut parameters) = decide(&session.record)?;
        session.settle(name, &places, workflow.as_str()).await?;
        let mut before = Vec::new();
        if workflow == Workflow::Scale {
            let mut random = workspace.random(name, Some(&session.record))?;
            match begun(&session.record, &parameters) {
                Some(begun) => (parameters.added, parameters.removed) = begun,
                None => {
                    deployment = scaled(&deployment, &mut parameters, &session.record, &mut random)?
                }
            }
            before.push(Event::Defined {
                deployment: Box::new(deployment.clone()),
            });
        }
        super::install::warn_of_early(&deployment);
        super::install::refuse_unpopulated(&deployment.without(&parameters.removed))?;
        operation::check(workflow, &parameters, &deployment)
            .map_err(|message| CliError::new(Kind::Invalid, message))?;
        let observed = session.observe().await?;
        if observed.objects.iter().any(|object| object.is_claimed) {
            let told = session.told(name).await?;
            recover::refuse_elsewhere(&told, &session.record, name)?;
        }
        let mut record = session.record.clone();
        for event in &before {
            record
                .apply(&Entry::now(event.clone()))
                .expect("a definition can always follow");
        }
        let proposal = plan::first(
            workflow,
            &parameters,
            &Known::new(&deployment, &record, &observed),
        );
        refuse_hearsay(&deployment, &proposal.stage)?;
        self.confirm(workflow, &deployment, &record, &proposal.stage)?;
        super::install::refuse_unsupported(&proposal.unsupported, false)?;
        let is_settled = parameters.removed.is_empty() && workflow != Workflow::Rollback;
        if proposal.stage.is_empty()
            && is_settled
            && !restore::comes_first(&session.record, Plugins::default(), workflow, &parameters)
        {
            return Ok(false);
        }
        let words = self
            .words
            .iter()
            .cloned()
            .chain(["-d".to_owned(), name.to_owned()])
            .chain(self.how.flags());
        let words = words.chain(given::named(self.inputs));
        let words: Vec<String> = words.collect();
        let again: Vec<&str> = words.iter().map(String::as_str).collect();
        let again = workspace.again(&again);
        let job = Job {
            workflow,
            parameters,
            of: None,
            stage: proposal.stage,
            before,
            how: self.how,
            again,
            replan: None,
        };
        session.carry_out(job).await.map(|()| true)
    }
}

/// What the last run was to add and to remove, if it was the same, came to no end, and was not
/// taken back: it is gone on with, and not done twice.
fn begun(record: &Record, parameters: &Parameters) -> Option<(Vec<String>, Vec<String>)> {
    let last = record.executions.last().filter(|last| {
        last.workflow == Workflow::Scale && last.outcome != Some(event::Outcome::Terminated)
    })?;
    let asked = |it: &Parameters| {
        (
            it.scalable_entity_name.clone(),
            it.delta,
            it.include_instances.clone(),
            it.exclude_instances.clone(),
            it.scale_compute,
        )
    };
    let Parameters { added, removed, .. } = &*last.parameters;
    let deployment = record.deployment.as_ref()?;
    let is_there = |id: &String| deployment.instance(id).is_some();
    let removed: Vec<String> = removed.iter().filter(|id| is_there(id)).cloned().collect();
    let goes_on = asked(&last.parameters) == asked(parameters)
        && added.iter().all(is_there)
        && !(added.is_empty() && removed.is_empty());
    goes_on.then(|| (added.clone(), removed))
}

/// The deployment with the instances that scaling adds; which are added and removed goes into the
/// parameters.
fn scaled(
    deployment: &Deployment,
    parameters: &mut Parameters,
    record: &Record,
    random: &mut fastrand::Rng,
) -> Result<Deployment, CliError> {
    let entity = entity(deployment, parameters)?;
    let is_adopted = |name: &str| {
        deployment
            .nodes
            .get(name)
            .is_some_and(crate::model::Definition::is_adopted)
    };
    let members = deployment
        .structure
        .groups
        .get(&entity)
        .cloned()
        .unwrap_or_default();
    if let Some(node) = members
        .iter()
        .chain([&entity])
        .find(|name| is_adopted(name))
    {
        return Err(CliError::usage(format!(
            "`{node}` was adopted: there is only the one that exists"
        )));
    }
    let set = |ids: &[String]| ids.iter().cloned().collect();
    let mut include: BTreeSet<String> = set(&parameters.include_instances);
    if include.is_empty() && parameters.delta < 0 {
        // What a run that died took down already goes before what works.
        let is_half_done = |it: &&Instance| {
            it.node == entity
                && plan::scale::is_half_done(record, &it.id)
                && !parameters.exclude_instances.contains(&it.id)
        };
        let most = usize::try_from(parameters.delta.unsigned_abs()).unwrap_or(usize::MAX);
        include.extend(
            deployment
                .instances
                .iter()
                .filter(is_half_done)
                .take(most)
                .map(|it| it.id.clone()),
        );
    }
    let scaling = Scaling {
        entity,
        delta: parameters.delta,
        include,
        exclude: set(&parameters.exclude_instances),
    };
    let scaled = deployment
        .scale(&scaling, random)
        .map_err(|error| match &error {
            Unscalable::Unknown(name) => {
                let known: Vec<&str> = deployment
                    .nodes
                    .keys()
                    .chain(deployment.structure.groups.keys())
                    .map(String::as_str)
                    .collect();
                unknown("node or scaling group", name, &known)
            }
            other => CliError::usage(other.to_string()),
        })?;
    let nodes: BTreeSet<&str> = scaled
        .instances
        .iter()
        .filter(|it| scaled.added.contains(&it.id))
        .map(|it| it.node.as_str())
        .collect();
    for name in nodes {
        if let Some(port) = fixed_port(deployment, name) {
            let message =
                format!("`{name}` publishes {port}, and only one container can have that");
            return Err(CliError::new(Kind::Invalid, message).hint(
                "give it a range of ports, such as 8080-8089, or leave the choice to the engine",
            ));
        }
    }
    (parameters.added, parameters.removed) = (scaled.added, scaled.removed);
    let structure = Structure {
        emptied: scaled.emptied,
        ..deployment.structure.clone()
    };
    Ok(Deployment {
        instances: scaled.instances,
        structure,
        ..deployment.clone()
    })
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

/// What is scaled: the node or group itself, or the host that the node is on.
fn entity(deployment: &Deployment, parameters: &Parameters) -> Result<String, CliError> {
    let name = parameters.scalable_entity_name.clone();
    if !parameters.scale_compute || deployment.structure.groups.contains_key(&name) {
        return Ok(name);
    }
    if !parameters.include_instances.is_empty() || !parameters.exclude_instances.is_empty() {
        return Err(CliError::usage(
            "instances to remove or to keep cannot be named together with scale_compute",
        ));
    }
    let host = deployment
        .instances
        .iter()
        .find(|it| it.node == name)
        .and_then(|it| deployment.instance(it.host.as_deref()?));
    Ok(host.map_or(name, |host| host.node.clone()))
}

fn nothing_to_do(
    name: &str,
    workflow: Workflow,
    parameters: &Parameters,
    record: &Record,
) -> Outcome {
    let fields = json!({ "deployment": name, "execution": null, "instances": super::status::known_instances(record) });
    let is_chosen = |deployment: &Deployment| {
        deployment
            .instances
            .iter()
            .any(|it| parameters.selection.has(deployment, it))
    };
    let why = match workflow {
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

/// Something that does not exist, with those that do.
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
    let container = || {
        let properties = record.properties(&instance.id)?;
        Some(properties.get("container_id")?.as_str()?.to_owned())
    };
    instance.id == name
        || instance.node == name
        || Part::of(deployment, instance)
            .and_then(|part| Plugins::default().name(part))
            .as_deref()
            == Some(name)
        || (name.len() >= 12 && container().is_some_and(|id| id.starts_with(name)))
}

/// A port of a host that every object of a node must have, in words.
fn fixed_port(deployment: &Deployment, node: &str) -> Option<String> {
    let mut instances = deployment.instances.iter();
    let part = Part::of(deployment, instances.find(|it| it.node == node)?)?;
    let needed = Plugins::default().exclusive(part);
    needed
        .into_iter()
        .find(|it| it.kind == PORT)
        .map(|it| it.shown)
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

/// The full name of the operation; a last part that only one operation has stands for it.
fn known_operation(parameters: &mut Parameters, record: &Record) -> Result<(), CliError> {
    let Some(deployment) = &record.deployment else {
        return Ok(());
    };
    let all: indexmap::IndexSet<&str> = deployment
        .nodes
        .values()
        .flat_map(|node| node.operations.keys().map(String::as_str))
        .collect();
    let asked = parameters.operation.clone();
    let matching: Vec<&str> = all
        .iter()
        .copied()
        .filter(|name| *name == asked || name.ends_with(&format!(".{asked}")))
        .collect();
    match &matching[..] {
        [only] => {
            (*only).clone_into(&mut parameters.operation);
            Ok(())
        }
        [] => Err(unknown(
            "operation",
            &asked,
            &all.iter().copied().collect::<Vec<_>>(),
        )),
        several => Err(
            CliError::usage(format!("`{asked}` stands for several operations"))
                .hint(format!("say which: {}", several.join(", "))),
        ),
    }
}
