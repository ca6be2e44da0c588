//! `dockctl adopt`.

use super::{
    Outcome,
    args::Global,
    error::{CliError, Kind},
    print_error, runtime,
    terminal::Terminal,
};
use crate::{
    plugins::{Adoptable, Candidate},
    printable::on_one_line,
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
        return Err(CliError::usage("no container given")
            .hint("name containers, or adopt all: dockctl adopt --all --filter label=team=web"));
    }
    let filters = if all {
        Some(read_filters(filters)?)
    } else {
        None
    };
    let terminal = Terminal::new(global);
    let workspace = terminal.workspace()?;
    let Adoptable {
        found,
        blueprint,
        left_out,
    } = runtime()?.block_on(async {
        let systems = workspace.connect()?;
        let looked = systems.drivers().adoptable(names, filters.as_deref()).await;
        looked.map_err(|failure| {
            let error = CliError::new(Kind::Failed, failure.message);
            failure.hints.iter().fold(error, CliError::hint)
        })
    })?;
    let found = drop_owned(found);
    if found.is_empty() {
        return Err(
            CliError::usage("no container to adopt").hint("list all containers: docker ps -a")
        );
    }
    for it in found.iter().filter(|it| !it.is_running) {
        print_error(&format!(
            "note: `{}` is not running; install will start it, and uninstall will stop it again\n",
            it.name
        ));
    }
    let messages = left_out.iter().map(|line| format!("note: {line}\n"));
    print_error(&messages.collect::<String>());
    let comments = left_out
        .iter()
        .map(|line| format!("# {}\n", on_one_line(line)));
    let comments: String = comments.collect();
    let text = format!(
        "{}{comments}{}",
        header_comment(found.len()),
        yaml(&blueprint)
    );
    let nodes: Vec<String> = found.iter().map(|it| it.name.clone()).collect();
    let fields = json!({ "nodes": nodes, "file": out.map(|path| path.display().to_string()), "blueprint": blueprint, "left_out": left_out });
    match out {
        None => Ok(Outcome::new(fields, text)),
        Some(path) => {
            write_private(path, &text, global.yes)?;
            let next = format!("dockctl install {}", path.display());
            Ok(Outcome::new(
                fields,
                format!(
                    "{} written to {}\nto adopt them, run: {next}\n",
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
            CliError::usage(format!("`{filter}` is not a valid filter"))
                .hint("use KEY=VALUE, such as label=team=web")
        })?;
        Ok((key.to_owned(), value.to_owned()))
    };
    filters.iter().map(read).collect()
}

/// Drops the containers that a deployment owns from the list, and prints a message for each.
fn drop_owned(found: Vec<Candidate>) -> Vec<Candidate> {
    let (owned, free): (Vec<_>, Vec<_>) = found.into_iter().partition(|it| it.owner.is_some());
    for it in &owned {
        print_error(&format!(
            "skipped: `{}` belongs to the deployment `{}`\n",
            it.name,
            it.owner.as_deref().unwrap_or_default()
        ));
    }
    free
}

fn header_comment(containers: usize) -> String {
    format!(
        "# {}, without values that come from their images or from engine defaults.\n\
         # While `use_external_resource` is true, dockctl starts these containers if needed, but never changes or removes them.\n\
         # Environment variables appear in plain text: replace passwords with `get_secret`.\n",
        count(containers, "container")
    )
}

/// Writes a file that only its owner can read: environment variables may contain passwords.
fn write_private(path: &Path, text: &str, over: bool) -> Result<(), CliError> {
    let cannot = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => {
            CliError::usage(format!("{} already exists", path.display()))
                .hint("to overwrite it, add --yes")
        }
        _ => CliError::usage(format!("cannot write {}: {error}", path.display())),
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
