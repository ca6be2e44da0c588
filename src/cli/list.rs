//! `dockctl list`.

use super::{Outcome, args::Global, complain, error::CliError, workspace::Workspace};
use crate::{event, plan::InstanceState, report::table::table, state::Record};
use serde_json::{Value as Json, json};

/// Lists deployments; those that are taken down only if asked for.
pub(crate) fn list(global: &Global, all: bool) -> Result<Outcome, CliError> {
    let workspace = Workspace::new(global)?;
    let mut found = Vec::new();
    for name in workspace.state.names()? {
        match workspace.state.read(&name) {
            Ok(Some(record)) if record.deployment.is_some() && (all || record.is_installed()) => found.push((name, record)),
            Ok(_) => {}
            Err(error) => complain(&format!("warning: {error}\n")),
        }
    }
    let fields = json!({ "deployments": found.iter().map(|(name, record)| to_json(name, record)).collect::<Vec<Json>>() });
    let text = table(&["DEPLOYMENT", "STATE", "STARTED", "LAST", "BLUEPRINT"], found.iter().map(|(name, record)| row(name, record)));
    Ok(Outcome::new(fields, if found.is_empty() { "there are no deployments\n".to_owned() } else { text }))
}

/// One word for a whole deployment.
fn state(record: &Record) -> &'static str {
    match (record.is_installed(), record.is_complete()) {
        (false, _) => "uninstalled",
        (true, true) => "installed",
        (true, false) => "unfinished",
    }
}

fn started(record: &Record) -> (usize, usize) {
    let instances = record.deployment.as_ref().map(|deployment| &deployment.instances[..]).unwrap_or_default();
    (instances.iter().filter(|instance| record.state(&instance.id) == InstanceState::Started).count(), instances.len())
}

fn blueprint(record: &Record) -> String {
    record.deployment.as_ref().map(|deployment| deployment.blueprint.display().to_string()).unwrap_or_default()
}

fn row(name: &str, record: &Record) -> Vec<String> {
    let (up, all) = started(record);
    let last = record.executions.last().map(|execution| format!("{} {}", execution.workflow, event::timestamp(execution.started)));
    vec![name.to_owned(), state(record).to_owned(), format!("{up}/{all}"), last.unwrap_or_default(), blueprint(record)]
}

fn to_json(name: &str, record: &Record) -> Json {
    let (up, all) = started(record);
    let last = record.executions.last().map(super::run::execution_json);
    json!({ "deployment": name, "state": state(record), "started": up, "instances": all, "last_execution": last, "blueprint": blueprint(record) })
}
