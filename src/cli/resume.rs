//! `dockctl resume`.

use super::{
    Outcome,
    args::{ExecutionArgs, Global},
    error::CliError,
    run::closing,
    runtime, selection,
    status::known_instances,
    terminal::Terminal,
    unseen,
};
use crate::{
    operate::{
        resume::{self, Resumed},
        settings::RunOptions,
    },
    record::Record,
};
use serde_json::json;

/// Resumes the last execution of a deployment.
pub(crate) fn resume(
    global: &Global,
    args: &ExecutionArgs,
    inputs: &[String],
    options: RunOptions,
) -> Result<Outcome, CliError> {
    let terminal = Terminal::new(global);
    let workspace = terminal.workspace()?;
    let (name, id) = selection::execution(&workspace, args)?;
    workspace.supply_inputs(inputs)?;
    let resumed = resume::resume(&workspace, (&name, id.as_deref()), options);
    Ok(match runtime()?.block_on(resumed)? {
        Resumed::Ran(record, unseen) => unseen::complete(closing(&record), &unseen)?,
        Resumed::Complete(record) => nothing_to_resume(
            &name,
            &record,
            format!("nothing to resume: the last execution of `{name}` completed\n"),
        ),
        Resumed::Unknown(record) => nothing_to_resume(
            &name,
            &record,
            format!(
                "no execution of `{name}` is recorded; to continue from its present state, run: dockctl install or dockctl uninstall {name}\n"
            ),
        ),
    })
}

fn nothing_to_resume(name: &str, record: &Record, text: String) -> Outcome {
    let instances = known_instances(record);
    Outcome::new(
        json!({ "deployment": name, "execution": null, "instances": instances }),
        text,
    )
}
