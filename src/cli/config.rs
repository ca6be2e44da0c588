//! `dockctl.toml`: what flags are where nothing else is said.
//!
//! One of the user, and one of the project: the nearest in the current folder or above it. A flag beats its variable, a variable the
//! project's file, that the user's.

use super::error::CliError;
use crate::diagnostic::nearest;
use clap::{Arg, ArgAction, Command};
use std::{
    env, fs,
    path::{Path, PathBuf},
};
use toml::{Table, Value};

const NAME: &str = "dockctl.toml";
/// Flags whose values are paths: they are seen from the file.
const PATHS: [&str; 3] = ["state-dir", "cache-dir", "secrets"];

/// The command line with the defaults of the files that there are.
///
/// # Errors
///
/// If a file cannot be read, or sets what there is no flag for.
pub(crate) fn configured(command: Command) -> Result<Command, CliError> {
    let mut command = without_empty_variables(command);
    for path in files() {
        let text = fs::read_to_string(&path).map_err(|error| cannot(&path, &error.to_string()))?;
        let table: Table = text.parse().map_err(|error: toml::de::Error| cannot(&path, &error.to_string()))?;
        command = apply(command, &table, &path)?;
    }
    Ok(command)
}

/// A variable that is empty says nothing.
fn without_empty_variables(command: Command) -> Command {
    let is_empty = |argument: &Arg| argument.get_env().is_some_and(|name| env::var_os(name).is_some_and(|value| value.is_empty()));
    let silent = |argument: Arg| if is_empty(&argument) { argument.env(None::<&'static str>) } else { argument };
    command.mut_args(silent).mut_subcommands(without_empty_variables)
}

/// The user's, then the project's: what comes later wins.
fn files() -> Vec<PathBuf> {
    let variable = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let base = variable("XDG_CONFIG_HOME").filter(|path| path.is_absolute()).or_else(|| Some(variable("HOME")?.join(".config")));
    let user = base.map(|base| base.join("dockctl").join(NAME));
    let here = env::current_dir().unwrap_or_default();
    let project = here.ancestors().map(|folder| folder.join(NAME)).find(|path| path.is_file());
    user.into_iter().filter(|path| path.is_file()).chain(project).collect()
}

fn cannot(path: &Path, why: &str) -> CliError {
    CliError::usage(format!("{} cannot be used: {}", path.display(), why.trim_end()))
}

/// Values at the top are for every command, tables for one each.
fn apply(mut command: Command, table: &Table, path: &Path) -> Result<Command, CliError> {
    for (key, value) in table {
        command = match value {
            Value::Table(flags) => {
                let names: Vec<String> = command.get_subcommands().map(|it| it.get_name().to_owned()).collect();
                if !names.contains(key) {
                    return Err(unknown(path, "command", key, &names));
                }
                flags.iter().try_fold(command, |command, (flag, value)| {
                    let mut set = Ok(());
                    let command = command.mut_subcommand(key, |sub| match with_default(sub.clone(), flag, value, path) {
                        Ok(sub) => sub,
                        Err(error) => {
                            set = Err(error);
                            sub
                        }
                    });
                    set.map(|()| command)
                })?
            }
            value => with_default(command, key, value, path)?,
        };
    }
    Ok(command)
}

fn unknown(path: &Path, what: &str, name: &str, known: &[String]) -> CliError {
    let error = cannot(path, &format!("there is no {what} `{name}`"));
    match nearest(name, known.iter().map(String::as_str)) {
        Some(near) => error.hint(format!("did you mean `{near}`?")),
        None => error.hint(format!("there are: {}", known.join(", "))),
    }
}

fn with_default(command: Command, flag: &str, value: &Value, path: &Path) -> Result<Command, CliError> {
    let long = |argument: &Arg| argument.get_long().map(str::to_owned);
    let Some(id) = command.get_arguments().find(|it| long(it).as_deref() == Some(flag)).map(|it| it.get_id().clone()) else {
        let known: Vec<String> = command.get_arguments().filter_map(long).collect();
        return Err(unknown(path, "flag", flag, &known));
    };
    let texts = texts(value).ok_or_else(|| cannot(path, &format!("`{flag}` must be a text, a number, true, false, or a list of texts")))?;
    let from_here = |text: String| {
        if PATHS.contains(&flag) { path.parent().unwrap_or(Path::new(".")).join(text).display().to_string() } else { text }
    };
    let texts: Vec<String> = texts.into_iter().map(from_here).collect();
    check(command.get_arguments().find(|it| *it.get_id() == id), &texts).map_err(|why| cannot(path, &format!("`{flag}`: {why}")))?;
    Ok(command.mut_arg(id, |argument| match argument.get_action() {
        ArgAction::Append => argument.default_values(texts),
        _ => argument.default_value(texts.concat()),
    }))
}

/// Whether a flag takes these values.
fn check(argument: Option<&Arg>, values: &[String]) -> Result<(), String> {
    let Some(argument) = argument else { return Ok(()) };
    if matches!(argument.get_action(), ArgAction::SetTrue) {
        let is_switch = |value: &String| matches!(value.as_str(), "true" | "false");
        return if values.iter().all(is_switch) { Ok(()) } else { Err("it is true or false".to_owned()) };
    }
    let id = argument.get_id().as_str().to_owned();
    let alone =
        Arg::new(id.clone()).long(id.clone()).num_args(1).action(ArgAction::Append).value_parser(argument.get_value_parser().clone());
    let words = values.iter().map(|value| format!("--{id}={value}"));
    let tried = Command::new("dockctl").arg(alone).try_get_matches_from(["dockctl".to_owned()].into_iter().chain(words));
    tried.map(drop).map_err(|error| first_line(&error))
}

/// What clap says, without what it says of the command line.
fn first_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let why = text.split("\n\nFor more").next().unwrap_or_default().trim_start_matches("error: ");
    why.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn texts(value: &Value) -> Option<Vec<String>> {
    Some(match value {
        Value::String(text) => vec![text.clone()],
        Value::Integer(number) => vec![number.to_string()],
        Value::Float(number) => vec![number.to_string()],
        Value::Boolean(yes) => vec![yes.to_string()],
        Value::Array(items) => items.iter().map(|item| item.as_str().map(str::to_owned)).collect::<Option<_>>()?,
        Value::Datetime(_) | Value::Table(_) => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::Cli;
    use clap::{CommandFactory as _, FromArgMatches as _};

    fn read(text: &str, words: &[&str]) -> Result<Cli, String> {
        let command = apply(Cli::command(), &text.parse().unwrap(), Path::new("/project/dockctl.toml")).map_err(|error| error.message)?;
        let matches = command.try_get_matches_from(words).map_err(|error| error.to_string())?;
        Cli::from_arg_matches(&matches).map_err(|error| error.to_string())
    }

    #[test]
    fn files_give_defaults_and_flags_beat_them() {
        let text = "parallel = 3\nstate-dir = 'state'\nsecrets = ['a.yaml', '/b']\n[list]\nall = true\n";
        let cli = read(text, &["dockctl", "list"]).unwrap();
        assert_eq!((cli.global.parallel, cli.global.state_dir.as_deref()), (3, Some(Path::new("/project/state"))));
        assert_eq!(cli.global.secrets, [Path::new("/project/a.yaml"), Path::new("/b")]);
        assert!(matches!(cli.command, crate::cli::args::Command::List { all: true }));
        assert_eq!(read(text, &["dockctl", "list", "--parallel", "5"]).unwrap().global.parallel, 5);
    }

    #[test]
    fn what_there_is_no_flag_for_is_told() {
        assert_eq!(
            read("paralel = 3", &["dockctl", "list"]).unwrap_err(),
            "/project/dockctl.toml cannot be used: there is no flag `paralel`"
        );
        assert!(read("[instal]\n", &["dockctl", "list"]).unwrap_err().contains("no command `instal`"));
        assert!(read("parallel = {a = 1}", &["dockctl", "list"]).unwrap_err().contains("no command `parallel`"));
        assert!(read("parallel = 1979-05-27", &["dockctl", "list"]).unwrap_err().contains("must be a text"));
        assert_eq!(
            read("parallel = 0", &["dockctl", "list"]).unwrap_err(),
            "/project/dockctl.toml cannot be used: `parallel`: invalid value '0' for '--parallel <parallel>': it must be 1 at least"
        );
        assert!(read("output = 'jsn'", &["dockctl", "list"]).unwrap_err().contains("dockctl.toml cannot be used: `output`"));
        assert!(read("[list]\nall = 3", &["dockctl", "list"]).unwrap_err().ends_with("`all`: it is true or false"));
    }
}
