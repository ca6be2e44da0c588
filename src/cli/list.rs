//! `dockctl list`.

use super::{
    Outcome,
    args::Global,
    error::{CliError, Shown},
    runtime,
    terminal::Terminal,
};
use crate::{
    event,
    model::InstanceState,
    operate::{Workspace, recover},
    plugins::Plugins,
    record::Record,
    report::table::table_to_fit,
};
use serde_json::{Value as Json, json};

/// Lists installed deployments; with `all`, also uninstalled ones and those known only from labels.
pub(crate) fn list(global: &Global, all: bool) -> Result<Outcome, CliError> {
    let terminal = Terminal::new(global);
    let workspace = terminal.workspace()?;
    let mut found = Vec::new();
    for name in workspace.state.names()? {
        let read = workspace.state.read(&name);
        match workspace.state.without_content(&name).map_or(read, Err) {
            Ok(Some(record))
                if record.deployment.is_some()
                    && (all || record.is_installed() || record.is_freed()) =>
            {
                found.push(Row {
                    name,
                    record,
                    source: Source::Journal,
                })
            }
            Ok(_) => {}
            Err(error) => {
                super::warn(&error.to_string());
                found.push(Row {
                    name,
                    record: Record::default(),
                    source: Source::Unreadable {
                        is_damaged: error.is_damaged(),
                        why: error.to_string(),
                    },
                });
            }
        }
    }
    let mut unlisted = None;
    if all {
        match runtime()?.block_on(known_from_labels(&workspace, &found)) {
            Ok(labeled) => {
                let is_replaced = |row: &Row| {
                    labeled
                        .iter()
                        .any(|other| other.source == Source::Seal && other.name == row.name)
                        && !row.is_of_another_version()
                };
                found.retain(|row| !is_replaced(row));
                found.extend(labeled);
            }
            Err(error) => {
                unlisted = Some(error);
            }
        }
        found.sort_by(|a, b| a.name.cmp(&b.name));
    }
    let mut fields =
        json!({ "deployments": found.iter().map(Row::to_json).collect::<Vec<Json>>() });
    if let Some(error) = &unlisted {
        fields["not_listed"] = error.error.message.clone().into();
    }
    let rows: Vec<Vec<String>> = found.iter().map(Row::cells).collect();
    let text = table_to_fit(
        &[
            "DEPLOYMENT",
            "STATE",
            "STARTED",
            "LAST EXECUTION",
            "BLUEPRINT",
        ],
        &rows,
        super::table_screen(),
        &[3],
    );
    let text = match (found.is_empty(), &unlisted) {
        (false, _) => text,
        (true, None) => "no deployments\n".to_owned(),
        (true, Some(_)) => {
            "no deployments in this state directory; those on the engine are unknown\n".to_owned()
        }
    };
    match unlisted {
        None => Ok(Outcome::new(fields, text)),
        Some(error) => Err(incomplete(error, fields, text)),
    }
}

/// Returns the error of a list that lacks the deployments on an engine.
fn incomplete(mut error: CliError, fields: Json, result: String) -> CliError {
    error.error.message = format!(
        "deployments known only from engine labels are not listed: {}",
        error.error.message
    );
    error.shown = Some(Shown {
        fields,
        result,
        ..Shown::default()
    });
    error
}

/// Returns deployments on the engine that are not installed in this state directory, and claims.
async fn known_from_labels(workspace: &Workspace<'_>, known: &[Row]) -> Result<Vec<Row>, CliError> {
    let systems = workspace.connect()?;
    let drivers = systems.drivers();
    let mut found = Vec::new();
    for name in drivers.deployments().await?.into_keys() {
        let installed = known
            .iter()
            .find(|row| row.name == name && (row.record.is_installed() || row.record.is_freed()));
        let labels = workspace.discover(&drivers, &name).await?;
        let other_version = |row: &Row| row.name == name && row.is_of_another_version();
        let is_known = installed.is_some() || known.iter().any(other_version);
        let owned = labels.own().filter(|_| !is_known);
        found.extend(owned.map(|owned| Row {
            name: name.clone(),
            record: recover::record(&owned),
            source: Source::Seal,
        }));
        let id = installed
            .and_then(|row| row.record.deployment.as_ref())
            .map(|deployment| deployment.id.clone());
        let claims = labels
            .claims()
            .into_iter()
            .map(|claim| claim.id)
            .filter(|claim| Some(claim) != id.as_ref());
        found.extend(claims.filter_map(|id| {
            let record = recover::record(&labels.by_id(&id)?);
            Some(Row {
                name: name.clone(),
                record,
                source: Source::Claim(id),
            })
        }));
    }
    Ok(found)
}

/// The source of a row.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Source {
    Journal,
    /// Labels on objects, sealed by this state directory.
    Seal,
    /// A journal that this dockctl cannot read.
    Unreadable {
        /// The journal is damaged; otherwise another version of dockctl wrote it.
        is_damaged: bool,
        why: String,
    },
    /// Unproven labels with this deployment ID.
    Claim(String),
}

/// A deployment in the list.
struct Row {
    name: String,
    record: Record,
    source: Source,
}

impl Row {
    /// Returns the state of the whole deployment.
    fn state(&self) -> &'static str {
        match (
            &self.source,
            self.record.is_installed(),
            self.record.is_deployment_complete(),
        ) {
            (Source::Seal, ..) => "recoverable",
            (Source::Claim(_), ..) => "claimed",
            (Source::Unreadable { .. }, ..) => "unreadable",
            (Source::Journal, false, _) if self.record.is_freed() => "freed",
            (Source::Journal, false, _) => "uninstalled",
            (Source::Journal, true, true) => "installed",
            (Source::Journal, true, false) => "unfinished",
        }
    }

    /// Returns true if another version of dockctl wrote the journal: labels do not replace it.
    fn is_of_another_version(&self) -> bool {
        matches!(
            self.source,
            Source::Unreadable {
                is_damaged: false,
                ..
            }
        )
    }

    fn why(&self) -> Option<&str> {
        match &self.source {
            Source::Unreadable { why, .. } => Some(why),
            _ => None,
        }
    }

    fn started(&self) -> (usize, usize) {
        let instances = self
            .record
            .deployment
            .as_ref()
            .map(|deployment| &deployment.instances[..])
            .unwrap_or_default();
        (
            instances
                .iter()
                .filter(|instance| {
                    let state = Plugins::default().shown_state(&self.record, &instance.id);
                    state == InstanceState::Started
                })
                .count(),
            instances.len(),
        )
    }

    fn blueprint(&self) -> String {
        self.record
            .deployment
            .as_ref()
            .map(|deployment| deployment.blueprint.display().to_string())
            .unwrap_or_default()
    }

    fn cells(&self) -> Vec<String> {
        let (up, all) = self.started();
        let last = self.record.executions.last().map(|execution| {
            format!(
                "{} {}",
                execution.workflow(),
                event::timestamp(execution.started)
            )
        });
        vec![
            self.name.clone(),
            self.state().to_owned(),
            format!("{up}/{all}"),
            last.unwrap_or_default(),
            self.blueprint(),
        ]
    }

    fn to_json(&self) -> Json {
        let (up, all) = self.started();
        let last = self
            .record
            .executions
            .last()
            .map(super::run::execution_json);
        let id = match &self.source {
            Source::Claim(id) => Some(id),
            _ => self
                .record
                .deployment
                .as_ref()
                .map(|deployment| &deployment.id)
                .filter(|id| !id.is_empty()),
        };
        let mut row = json!({
            "deployment": self.name,
            "id": id,
            "state": self.state(),
            "started": up,
            "instances": all,
            "last_execution": last,
            "blueprint": self.blueprint(),
        });
        if let Some(why) = self.why() {
            row["why"] = why.into();
        }
        row
    }
}
