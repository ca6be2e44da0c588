//! `dockctl list`.

use super::{Outcome, args::Global, complain, error::CliError, recover, workspace::Workspace};
use crate::{event, plan::InstanceState, report::table::fitted, state::Record};
use serde_json::{Value as Json, json};

/// Lists deployments; those that are taken down, and those that only labels tell of, only if asked for.
pub(crate) fn list(global: &Global, all: bool) -> Result<Outcome, CliError> {
    let workspace = Workspace::new(global)?;
    let mut found = Vec::new();
    for name in workspace.state.names()? {
        match workspace.state.read(&name) {
            Ok(Some(record)) if record.deployment.is_some() && (all || record.is_installed()) => {
                found.push(Row { name, record, by_labels: false })
            }
            Ok(_) => {}
            Err(error) => complain(&format!("warning: {error}\n")),
        }
    }
    if all {
        match Workspace::runtime()?.block_on(labelled(&workspace, &found)) {
            Ok(labelled) => {
                found.retain(|row| !labelled.iter().any(|other| other.name == row.name));
                found.extend(labelled);
            }
            Err(error) => complain(&format!("warning: what the engine's labels tell is not listed: {}\n", error.message)),
        }
        found.sort_by(|a, b| a.name.cmp(&b.name));
    }
    let fields = json!({ "deployments": found.iter().map(Row::to_json).collect::<Vec<Json>>() });
    let rows: Vec<Vec<String>> = found.iter().map(Row::cells).collect();
    let screen = super::screen().map(|(_, columns)| columns);
    let text = fitted(&["DEPLOYMENT", "STATE", "STARTED", "LAST", "BLUEPRINT"], &rows, screen, &[3]);
    Ok(Outcome::new(fields, if found.is_empty() { "there are no deployments\n".to_owned() } else { text }))
}

/// Deployments on the engine that are not installed as far as this state folder knows.
async fn labelled(workspace: &Workspace<'_>, known: &[Row]) -> Result<Vec<Row>, CliError> {
    let engine = workspace.engines()?.default_engine().await?;
    let mut found = Vec::new();
    for name in engine.deployments().await?.into_keys() {
        let installed = known.iter().any(|row| row.name == name && row.record.is_installed());
        if !installed && let Some(recovered) = engine.recover(&name).await? {
            found.push(Row { name, record: recover::record(&recovered), by_labels: true });
        }
    }
    Ok(found)
}

/// A deployment.
struct Row {
    name: String,
    record: Record,
    /// Only labels on the engine tell of it.
    by_labels: bool,
}

impl Row {
    /// One word for the whole.
    fn state(&self) -> &'static str {
        match (self.record.is_installed(), self.record.is_complete()) {
            _ if self.by_labels => "recoverable",
            (false, _) => "uninstalled",
            (true, true) => "installed",
            (true, false) => "unfinished",
        }
    }

    fn started(&self) -> (usize, usize) {
        let instances = self.record.deployment.as_ref().map(|deployment| &deployment.instances[..]).unwrap_or_default();
        (instances.iter().filter(|instance| self.record.state(&instance.id) == InstanceState::Started).count(), instances.len())
    }

    fn blueprint(&self) -> String {
        self.record.deployment.as_ref().map(|deployment| deployment.blueprint.display().to_string()).unwrap_or_default()
    }

    fn cells(&self) -> Vec<String> {
        let (up, all) = self.started();
        let last = self.record.executions.last().map(|execution| format!("{} {}", execution.workflow, event::timestamp(execution.started)));
        vec![self.name.clone(), self.state().to_owned(), format!("{up}/{all}"), last.unwrap_or_default(), self.blueprint()]
    }

    fn to_json(&self) -> Json {
        let (up, all) = self.started();
        let last = self.record.executions.last().map(super::run::execution_json);
        json!({
            "deployment": self.name,
            "state": self.state(),
            "started": up,
            "instances": all,
            "last_execution": last,
            "blueprint": self.blueprint(),
        })
    }
}
