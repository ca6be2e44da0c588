//! `dockctl status`, and the table that ends every run.

use super::{
    Outcome,
    args::Global,
    error::{CliError, Kind},
    recover,
    workspace::Workspace,
};
use crate::{
    backend::docker::Recovered,
    backend::{self, Object, ObjectKind, ObjectState, Observed},
    model::{Definition, Deployment, Instance},
    plan::InstanceState,
    report::table::table,
    state::Record,
};
use serde_json::{Value as Json, json};

/// Shows instances, their states, and where the engine differs from what is known.
pub(crate) fn status(global: &Global, given: Option<&str>, exit_code: bool) -> Result<Outcome, CliError> {
    let workspace = Workspace::new(global)?;
    let name = workspace.name_to_read(given)?;
    let (record, recovered, observed) = Workspace::runtime()?.block_on(known_and_there(&workspace, &name))?;
    let Some(deployment) = &record.deployment else { return Err(CliError::usage(format!("there is no deployment `{name}`"))) };
    let views: Vec<View<'_>> = deployment.instances.iter().map(|instance| View::new(deployment, instance, &record, &observed)).collect();
    let drifted = views.iter().any(|view| !view.drift.is_empty());
    let holder = workspace.state.holder(&name)?;
    let fields = json!({
        "deployment": name,
        "blueprint": deployment.blueprint,
        "installed": record.is_installed(),
        "recovered": recovered.is_some(),
        "not_recovered": recovered.iter().flat_map(|it| &it.left_out).map(|(name, why)| json!({ "name": name, "reason": why })).collect::<Vec<_>>(),
        "busy": holder,
        "dropped": record.dropped.iter().map(|(instance, _)| instance.id.as_str()).collect::<Vec<_>>(),
        "instances": views.iter().map(View::to_json).collect::<Vec<Json>>(),
    });
    let mut text = table(&["INSTANCE", "STATE", "CONTAINER", "IS", "PORTS", "DRIFT"], views.iter().map(View::row));
    text += &dropped_line(&record);
    if let Some(recovered) = &recovered {
        text +=
            &format!("this state folder does not know `{name}`: this is what the engine's labels tell\n{}", recover::left_out(recovered));
    }
    if let Some(holder) = holder {
        text += &format!("in use by {holder}\n");
    } else if record.running().is_some() {
        text += "the last execution was interrupted; resume goes on with it, install and uninstall plan anew\n";
    }
    Ok(Outcome { fields, text, exit: if exit_code && drifted { Kind::Different.exit_code() } else { 0 } })
}

/// What is known of a deployment, by labels if nothing else tells, and what the engines say.
async fn known_and_there(workspace: &Workspace<'_>, name: &str) -> Result<(Record, Option<Recovered>, Observed), CliError> {
    let engines = workspace.engines()?;
    let known = match workspace.state.read(name) {
        Err(error) if error.is_damage() => {
            super::complain(&format!("warning: {error}\n"));
            None
        }
        known => known?.filter(|record| record.deployment.is_some()),
    };
    let installed = known.as_ref().is_some_and(Record::is_installed);
    let recovered = if installed { None } else { engines.default_engine().await?.recover(name).await? };
    let record = match (&recovered, known) {
        (Some(recovered), _) => recover::record(recovered),
        (None, Some(known)) => known,
        (None, None) => workspace.record(name)?,
    };
    let deployment = record.deployment.clone().ok_or_else(|| CliError::usage(format!("there is no deployment `{name}`")))?;
    let observed = workspace.observe(&engines, &deployment, &record).await?;
    Ok((record, recovered, observed))
}

/// An instance beside what stands for it on an engine.
struct View<'a> {
    instance: &'a Instance,
    state: InstanceState,
    adopted: bool,
    object: Option<&'a Object>,
    drift: Vec<String>,
    properties: Json,
}

impl<'a> View<'a> {
    fn new(deployment: &'a Deployment, instance: &'a Instance, record: &Record, observed: &'a Observed) -> Self {
        let node = deployment.node(instance);
        let adopted = node.is_some_and(crate::model::Definition::is_adopted);
        let state = record.state(&instance.id);
        // A container of that name is only ours to show once it was adopted or created.
        let object = backend::object_of(deployment, instance, observed).filter(|_| !state.is_gone());
        let expected =
            state == InstanceState::Started && node.and_then(backend::docker::kind).is_some_and(|kind| kind != ObjectKind::Image);
        let properties = record.properties(&instance.id).cloned().unwrap_or_default().into();
        let mut drift = drift(expected, node, object);
        let known = node.and_then(|node| backend::docker::known_id(record, instance, node));
        if expected && object.is_some_and(|object| known != Some(&object.id)) {
            drift.push("replaced".to_owned());
        }
        Self { instance, state, adopted, object, drift, properties }
    }

    fn row(&self) -> Vec<String> {
        let container = self.object.map(|object| format!("{}{}", object.name, if self.adopted { " (adopted)" } else { "" }));
        vec![
            self.instance.id.clone(),
            self.state.to_string(),
            container.unwrap_or_else(|| if self.adopted { "(adopted)".to_owned() } else { "-".to_owned() }),
            self.object.map_or_else(|| "-".to_owned(), describe),
            self.object.map(|object| object.ports.join(" ")).filter(|ports| !ports.is_empty()).unwrap_or_else(|| "-".to_owned()),
            if self.drift.is_empty() { "-".to_owned() } else { self.drift.join(", ") },
        ]
    }

    fn to_json(&self) -> Json {
        let objects: Vec<Json> = self.object.into_iter().map(object_json).collect();
        json!({
            "id": self.instance.id,
            "node": self.instance.node,
            "index": self.instance.index,
            "state": self.state,
            "adopted": self.adopted,
            "objects": objects,
            "drift": self.drift,
            "runtime_properties": self.properties,
        })
    }
}

fn object_json(object: &Object) -> Json {
    json!({
        "kind": object.kind,
        "id": object.id,
        "name": object.name,
        "image": object.image,
        "state": object.state,
        "health": object.health,
        "exit_code": object.exit_code,
        "started_at": object.started_at,
        "ports": object.ports,
        "engine": object.engine,
    })
}

fn describe(object: &Object) -> String {
    match (&object.health, object.exit_code) {
        (Some(health), None) => format!("{} ({health})", object.state.as_str()),
        (_, Some(code)) if object.state == ObjectState::Exited => format!("exited ({code})"),
        _ => object.state.as_str().to_owned(),
    }
}

/// Where the engine differs from what is known of a started instance.
fn drift(expected: bool, node: Option<&Definition>, object: Option<&Object>) -> Vec<String> {
    match object {
        _ if !expected => Vec::new(),
        Some(object) if node.is_some_and(|node| backend::docker::is_done(node, object)) => Vec::new(),
        None => vec!["missing".to_owned()],
        Some(object) => match object.state {
            ObjectState::Paused | ObjectState::Restarting => vec![object.state.as_str().to_owned()],
            _ => vec!["stopped".to_owned()],
        },
    }
}

/// Instances as the record knows them, without asking an engine.
pub(crate) fn known_instances(record: &Record) -> Vec<Json> {
    let deployment = record.deployment.iter();
    deployment
        .flat_map(|deployment| {
            deployment.instances.iter().map(move |instance| {
                json!({
                    "id": instance.id,
                    "node": instance.node,
                    "index": instance.index,
                    "state": record.state(&instance.id),
                    "adopted": deployment.node(instance).is_some_and(crate::model::Definition::is_adopted),
                    "runtime_properties": record.properties(&instance.id),
                })
            })
        })
        .collect()
}

/// Instances that the blueprint does not have any more and that exist still.
fn dropped_line(record: &Record) -> String {
    let names: Vec<&str> = record.dropped.iter().map(|(instance, _)| instance.id.as_str()).collect();
    if names.is_empty() { String::new() } else { format!("no longer in the blueprint, and not taken down yet: {}\n", names.join(", ")) }
}

/// The closing table of a run, without asking the engine again.
pub(crate) fn known_table(record: &Record) -> String {
    let Some(deployment) = &record.deployment else { return String::new() };
    let row = |instance: &Instance| {
        let adopted = deployment.node(instance).is_some_and(crate::model::Definition::is_adopted);
        let id = record.properties(&instance.id).and_then(|properties| properties.get("container_id")?.as_str());
        let container = id.map_or_else(|| "-".to_owned(), |id| id.chars().take(12).collect());
        let failed = record.executions.last().is_some_and(|execution| execution.failed.iter().any(|failed| failed.instance == instance.id));
        let state = record.state(&instance.id).to_string();
        vec![
            instance.id.clone(),
            if failed { format!("{state} (failed)") } else { state },
            if adopted { format!("{container} (adopted)") } else { container },
        ]
    };
    table(&["INSTANCE", "STATE", "CONTAINER"], deployment.instances.iter().map(row)) + &dropped_line(record)
}
