//! `dockctl resume`.

use super::{
    Outcome,
    args::{ExecutionArgs, Global},
    error::CliError,
    named,
    run::closing,
    runtime,
    status::known_instances,
    terminal::Terminal,
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
    let (name, id) = named::execution(&workspace, args)?;
    workspace.supply(inputs)?;
    let resumed = resume::resume(&workspace, (&name, id.as_deref()), options);
    Ok(match runtime()?.block_on(resumed)? {
        Resumed::Ran(record) => closing(&record),
        Resumed::Done(record) => nothing(
            &name,
            &record,
            format!("the last execution of `{name}` is complete: nothing to resume\n"),
        ),
        Resumed::Unknown(record) => nothing(
            &name,
            &record,
            format!(
                "no execution of `{name}` is recorded; to continue from its present state, run: dockctl install or dockctl uninstall {name}\n"
            ),
        ),
    })
}

fn nothing(name: &str, record: &Record, text: String) -> Outcome {
    let instances = known_instances(record);
    Outcome::new(
        json!({ "deployment": name, "execution": null, "instances": instances }),
        text,
    )
}
