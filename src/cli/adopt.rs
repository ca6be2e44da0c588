//! `dockctl adopt`.

use super::{
    Outcome,
    args::Global,
    complain,
    error::{CliError, Kind},
    runtime,
    terminal::Terminal,
};
use crate::{
    plugins::{Adoptable, Candidate},
    report::{count, yaml::yaml},
};
use serde_json::json;
use std::{fs::OpenOptions, io::Write as _, os::unix::fs::OpenOptionsExt as _, path::Path};

/// Generates a blueprint from existing containers, without changing them.
pub(crate) fn adopt(
    global: &Global,
    names: &[String],
    all: bool,
    filters: &[String],
    out: Option<&Path>,
) -> Result<Outcome, CliError> {
    if names.is_empty() && !all {
        return Err(CliError::usage("no container is named")
            .hint("name some, or take all: dockctl adopt --all --filter label=team=web"));
    }
    let filters = if all {
        Some(read_filters(filters)?)
    } else {
        None
    };
    let terminal = Terminal::new(global);
    let workspace = terminal.workspace()?;
    let Adoptable { found, blueprint } = runtime()?.block_on(async {
        let systems = workspace.connect()?;
        let looked = systems.drivers().adoptable(names, filters.as_deref()).await;
        looked.map_err(|failure| {
            let error = CliError::new(Kind::Failed, failure.message);
            failure.hints.iter().fold(error, CliError::hint)
        })
    })?;
    let found = without_owned(found);
    if found.is_empty() {
        return Err(CliError::usage("there is no container to adopt")
            .hint("docker ps -a lists those there are"));
    }
    for it in found.iter().filter(|it| !it.runs) {
        complain(&format!(
            "note: `{}` does not run; install will start it, and uninstall put it back\n",
            it.name
        ));
    }
    let text = format!("{}{}", head(found.len()), yaml(&blueprint));
    let nodes: Vec<String> = found.iter().map(|it| it.name.clone()).collect();
    let fields = json!({ "nodes": nodes, "file": out, "blueprint": blueprint });
    match out {
        None => Ok(Outcome::new(fields, text)),
        Some(path) => {
            write(path, &text, global.yes)?;
            let next = format!("dockctl install {}", path.display());
            Ok(Outcome::new(
                fields,
                format!(
                    "{} written to {}\nadopt with: {next}\n",
                    count(found.len(), "container"),
                    path.display()
                ),
            ))
        }
    }
}

/// Parses filters `KEY=VALUE`, as in the docker command.
fn read_filters(filters: &[String]) -> Result<Vec<(String, String)>, CliError> {
    let read = |filter: &String| {
        let pair = filter.split_once('=');
        let pair = pair.filter(|(key, value)| !key.is_empty() && !value.is_empty());
        let (key, value) = pair.ok_or_else(|| {
            CliError::usage(format!("`{filter}` is no filter"))
                .hint("it is KEY=VALUE, such as label=team=web")
        })?;
        Ok((key.to_owned(), value.to_owned()))
    };
    filters.iter().map(read).collect()
}

/// Drops the containers that a deployment owns from the list, and prints a message for each.
fn without_owned(found: Vec<Candidate>) -> Vec<Candidate> {
    let (owned, free): (Vec<_>, Vec<_>) = found.into_iter().partition(|it| it.owner.is_some());
    for it in &owned {
        complain(&format!(
            "left out: `{}` belongs to the deployment `{}`\n",
            it.name,
            it.owner.as_deref().unwrap_or_default()
        ));
    }
    free
}

fn head(containers: usize) -> String {
    format!(
        "# {} as they are, without what their images and the engine filled in.\n\
         # As long as `use_external_resource` is true they are only adopted: started if they stand still, never changed or removed.\n\
         # Values of environment variables stand here as they are: passwords belong into `get_secret`.\n",
        count(containers, "container")
    )
}

/// Writes a file that only its owner can read: environment variables may contain passwords.
fn write(path: &Path, text: &str, over: bool) -> Result<(), CliError> {
    let cannot = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => {
            CliError::usage(format!("{} is there already", path.display()))
                .hint("--yes writes over it")
        }
        _ => CliError::usage(format!("{} cannot be written: {error}", path.display())),
    };
    let mut options = OpenOptions::new();
    options.write(true).mode(0o600);
    if over {
        options.create(true).truncate(true)
    } else {
        options.create_new(true)
    };
    let mut file = options.open(path).map_err(cannot)?;
    file.write_all(text.as_bytes()).map_err(cannot)
}
