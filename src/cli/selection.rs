//! Finds the blueprint, deployment or execution that a command refers to.

use super::{
    args::ExecutionArgs,
    error::{CliError, Kind, Shown},
};
use crate::operate::{
    Error, Workspace,
    blueprint::{DEFAULT_NAMES, Origin, absolute, check_name, default_name},
};
use crate::printable::printable;
use serde_json::json;
use std::{
    io::Read as _,
    path::{Path, PathBuf},
};

/// Finds the blueprint: the given file, or the one in the given or current directory.
pub(crate) fn find(given: Option<&Path>) -> Result<PathBuf, CliError> {
    let directory = match given {
        Some(path) if !path.is_dir() => return Ok(path.to_owned()),
        Some(directory) => directory,
        None => Path::new(""),
    };
    let mut paths = DEFAULT_NAMES.iter().map(|name| directory.join(name));
    let found = paths.find(|path| path.exists());
    found.ok_or_else(|| no_blueprint_in(given))
}

/// Largest blueprint on standard input, in bytes.
const MAX_INPUT: u64 = 16 << 20;

/// Returns the blueprint: the given file, the one in the given or current directory, or standard
/// input for `-`.
pub(crate) fn origin(given: Option<&Path>) -> Result<Origin, CliError> {
    if given == Some(Path::new("-")) {
        return standard_input();
    }
    let path = find(given)?;
    // Diagnostics, records and labels are text.
    let whole = absolute(&path);
    if whole.to_str().is_none() {
        let message = format!(
            "the path {} is not UTF-8",
            printable(&whole.to_string_lossy())
        );
        let error = CliError::new(Kind::Invalid, message);
        return Err(error.hint("rename the file or its directories"));
    }
    Ok(path.as_path().into())
}

fn standard_input() -> Result<Origin, CliError> {
    let mut bytes = Vec::new();
    let read = std::io::stdin().take(MAX_INPUT + 1).read_to_end(&mut bytes);
    let invalid = |message: String| CliError::new(Kind::Invalid, message);
    read.map_err(|error| {
        invalid(format!(
            "cannot read the blueprint from standard input: {error}"
        ))
    })?;
    if bytes.len() as u64 > MAX_INPUT {
        let message = format!(
            "the blueprint on standard input is larger than {} MiB",
            MAX_INPUT >> 20
        );
        return Err(invalid(message));
    }
    let text = String::from_utf8(bytes);
    let text = text.map_err(|_| invalid("the blueprint on standard input is not UTF-8".to_owned()));
    Ok(Origin {
        path: PathBuf::from("-"),
        text: Some(text?),
    })
}

/// Returns the error of a directory without a blueprint.
fn no_blueprint_in(directory: Option<&Path>) -> CliError {
    let place = match directory {
        Some(directory) => directory.display().to_string(),
        None => "the current directory".to_owned(),
    };
    let message = format!("there is no blueprint.yaml in {place}");
    let mut error = CliError::new(Kind::Invalid, message);
    error.shown = Some(Shown {
        fields: json!({ "valid": false, "diagnostics": [] }),
        ..Shown::default()
    });
    error.hint("name the blueprint: dockctl COMMAND BLUEPRINT")
}

/// Returns the given deployment, or the one named after the blueprint in the current directory.
///
/// # Errors
///
/// If there is no such blueprint, or if it is only installed under other names: the user must then
/// select a deployment.
pub(crate) fn name(workspace: &Workspace<'_>, given: Option<&str>) -> Result<String, Error> {
    if let Some(name) = given {
        return check_name(name);
    }
    let path = find(None).map_err(|_| {
        Error::usage("no deployment given, and no blueprint in the current directory")
            .hint("name a deployment with -d NAME; to list them, run: dockctl list")
    })?;
    let name = default_name(&path);
    let others = if is_known(workspace, &name) {
        Vec::new()
    } else {
        deployments_of(workspace, &path)?
    };
    if others.is_empty() {
        return Ok(name);
    }
    let error = Error::usage(format!(
        "there is no deployment `{name}`, but other deployments use {}",
        path.display()
    ));
    Err(error.hint(format!("select one: -d {}", others.join(", or -d "))))
}

/// Like [`name`], for commands that only read: without a blueprint in the current directory,
/// returns the only installed deployment.
pub(crate) fn name_to_read(
    workspace: &Workspace<'_>,
    given: Option<&str>,
) -> Result<String, Error> {
    if given.is_some() || find(None).is_ok() {
        return name(workspace, given);
    }
    match &workspace.installed()?[..] {
        [only] => Ok(only.clone()),
        _ => name(workspace, given),
    }
}

fn is_known(workspace: &Workspace<'_>, name: &str) -> bool {
    workspace
        .state
        .read(name)
        .is_ok_and(|record| record.is_some())
}

/// Returns the installed deployments of a blueprint.
fn deployments_of(workspace: &Workspace<'_>, path: &Path) -> Result<Vec<String>, Error> {
    let path = absolute(path);
    let is_from = |name: &String| {
        let record = workspace.state.read(name).ok().flatten();
        record
            .and_then(|record| record.deployment)
            .is_some_and(|deployment| deployment.blueprint == path)
    };
    Ok(workspace.installed()?.into_iter().filter(is_from).collect())
}

/// Returns the deployment, and the execution ID if one is given. An ID alone is searched in all
/// deployments.
pub(crate) fn execution(
    workspace: &Workspace<'_>,
    args: &ExecutionArgs,
) -> Result<(String, Option<String>), Error> {
    let (given, deployment) = (args.execution.as_deref(), args.deployment.as_deref());
    let Some(id) = given else {
        return name(workspace, deployment).map(|name| (name, None));
    };
    let has = |name: &String| {
        let known = workspace
            .state
            .read(name)
            .ok()
            .flatten()
            .is_some_and(|record| record.executions.iter().any(|it| it.id == id));
        known
            || workspace
                .state
                .holder(name)
                .is_ok_and(|holder| holder.is_some_and(|holder| holder.execution == id))
    };
    match deployment {
        Some(name) => Ok((check_name(name)?, Some(id.to_owned()))),
        None => match workspace.state.names()?.into_iter().find(has) {
            Some(name) => Ok((name, Some(id.to_owned()))),
            None if workspace.state.names()?.iter().any(|name| name == id) => {
                Ok((id.to_owned(), None))
            }
            None => Err(
                Error::usage(format!("there is no execution or deployment `{id}`"))
                    .hint("list the executions: dockctl executions"),
            ),
        },
    }
}
