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
    operate::{
        blueprint,
        converge::{Converged, Request, converge},
        plan_file::PlanFile,
        settings::RunOptions,
    },
    record::Record,
    stage::Parameters,
};
use serde_json::json;
use std::{collections::BTreeSet, path::Path};

/// Options of `install` and `update`.
pub(crate) struct Arguments<'a> {
    /// Parameters of the workflow.
    pub parameters: Parameters,
    pub skip_unsupported: bool,
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
    let workspace = terminal.workspace()?;
    let blueprint = selection::find(args.blueprint.as_deref())?;
    let request = Request {
        deployment: blueprint::deployment_name(
            args.deployment.as_deref(),
            &blueprint,
            &workspace.settings,
        )?,
        blueprint: blueprint.as_path().into(),
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
        Converged::UpToDate(record) => up_to_date(&record),
    })
}

fn up_to_date(record: &Record) -> Outcome {
    let name = record
        .deployment
        .as_ref()
        .map(|deployment| deployment.name.clone())
        .unwrap_or_default();
    let fields = json!({ "deployment": name, "up_to_date": true, "execution": null, "instances": known_instances(record) });
    Outcome::new(
        fields,
        format!(
            "{}`{name}` is up to date: nothing to do\n",
            known_table(record)
        ),
    )
}
