//! `dockctl secrets`.

use super::{
    Outcome,
    args::{Global, SecretsCommand},
    error::{CliError, Kind},
    selection,
    terminal::Terminal,
};
use crate::{journal::Holder, operate::Workspace, printable::printable, secrets::OwnSecrets};
use serde_json::json;

/// Lists or deletes the secrets that scripts of a deployment created.
pub(crate) fn secrets(global: &Global, command: &SecretsCommand) -> Result<Outcome, CliError> {
    let terminal = Terminal::new(global);
    let workspace = terminal.workspace()?;
    match command {
        SecretsCommand::List { deployment } => {
            let name = selection::name_to_read(&workspace, deployment.given()?)?;
            list(&workspace, &name)
        }
        SecretsCommand::Delete { secret, deployment } => {
            let name = selection::name(&workspace, deployment.as_deref())?;
            delete(&workspace, &name, secret)
        }
    }
}

fn read(workspace: &Workspace<'_>, name: &str) -> Result<OwnSecrets, CliError> {
    workspace.record(name)?;
    let own = OwnSecrets::read(workspace.state.secrets(name));
    own.map_err(|message| CliError::new(Kind::Failed, message))
}

fn list(workspace: &Workspace<'_>, name: &str) -> Result<Outcome, CliError> {
    let names = read(workspace, name)?.names();
    let text: String = names
        .iter()
        .map(|name| format!("{}\n", printable(name)))
        .collect();
    let text = if text.is_empty() {
        format!("no script of `{name}` created a secret\n")
    } else {
        text
    };
    Ok(Outcome::new(
        json!({ "deployment": name, "secrets": names }),
        text,
    ))
}

fn delete(workspace: &Workspace<'_>, name: &str, secret: &str) -> Result<Outcome, CliError> {
    read(workspace, name)?;
    // A run must not lose a secret that it is about to use.
    let _lock = workspace
        .state
        .lock(name, &Holder::this_process("secrets", ""))?;
    let deleted = read(workspace, name)?.delete(secret);
    let deleted = deleted.map_err(|message| CliError::new(Kind::Failed, message))?;
    if !deleted {
        let message = format!(
            "no script of `{name}` created a secret `{}`",
            printable(secret)
        );
        return Err(
            CliError::usage(message).hint(format!("list the secrets: dockctl secrets list {name}"))
        );
    }
    Ok(Outcome::new(
        json!({ "deployment": name, "deleted": [secret] }),
        format!("deleted the secret `{}` of `{name}`\n", printable(secret)),
    ))
}
