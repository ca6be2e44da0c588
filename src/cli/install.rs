//! `dockctl install` and `dockctl update`.

use super::{
    Outcome,
    args::{BlueprintArgs, Global},
    error::CliError,
    run::closing,
    runtime, selection,
    status::{known_instances, known_table},
    terminal::Terminal,
};
use crate::{
    model::Difference,
    operate::{
        blueprint,
        converge::{Converged, Request, converge},
        plan_file::PlanFile,
        settings::RunOptions,
    },
    record::Record,
    stage::Parameters,
};
use serde_json::{Value as Json, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

/// Options of `install` and `update`.
pub(crate) struct Arguments<'a> {
    /// Parameters of the workflow.
    pub parameters: Parameters,
    pub skip_unsupported: bool,
    /// Registries are asked for newer images.
    pub pull: bool,
    pub options: RunOptions,
    /// Saved plan to follow exactly.
    pub plan: Option<&'a Path>,
}

/// Installs or updates a deployment to match its blueprint.
pub(crate) fn install(
    global: &Global,
    args: &BlueprintArgs,
    arguments: Arguments<'_>,
) -> Result<Outcome, CliError> {
    let terminal = Terminal::new(global);
    let mut workspace = terminal.workspace()?;
    workspace.settings.asks_registry = arguments.pull;
    let blueprint = selection::origin(args.blueprint.as_deref())?;
    let request = Request {
        deployment: blueprint::deployment_name(
            args.deployment.as_deref(),
            &blueprint,
            &workspace.settings,
        )?,
        blueprint,
        inputs: args.inputs.inputs.clone(),
        parameters: arguments.parameters,
        skip_unsupported: arguments.skip_unsupported,
        removed_first: BTreeSet::new(),
        repeat: None,
        options: arguments.options,
        plan: arguments.plan.map(PlanFile::read).transpose()?,
    };
    let converged = runtime()?.block_on(converge(&workspace, &request))?;
    Ok(match converged {
        Converged::Ran(record) => closing(&record),
        Converged::UpToDate { record, moved } => up_to_date(&record, &moved),
    })
}

fn up_to_date(record: &Record, moved: &BTreeMap<String, Vec<Difference>>) -> Outcome {
    let name = record
        .deployment
        .as_ref()
        .map(|deployment| deployment.name.clone())
        .unwrap_or_default();
    let differences: BTreeMap<&String, Vec<Json>> = moved
        .iter()
        .map(|(id, moved)| (id, moved.iter().map(Difference::to_json).collect()))
        .collect();
    let fields = json!({ "deployment": name, "up_to_date": true, "execution": null, "instances": known_instances(record), "moved": differences });
    let newer = if moved.is_empty() {
        String::new()
    } else {
        let names: Vec<&str> = moved.keys().map(String::as_str).collect();
        let names = names.join(", ");
        format!("; the image of {names} has changed, `dockctl update` would use the new one")
    };
    let table = known_table(record);
    let text = format!("{table}`{name}` is up to date: nothing to do{newer}\n");
    Outcome::new(fields, text)
}
