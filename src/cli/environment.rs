//! Environment variables of dockctl, and warnings about those that it ignores.

use super::warn;
use crate::{diagnostic::nearest, operate::input_args, secrets};
use clap::{Arg, Command};
use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    ffi::OsString,
};

/// Prefixes of the variables for secrets and inputs.
const PREFIXES: [&str; 2] = [secrets::VARIABLE_PREFIX, input_args::VARIABLE_PREFIX];

/// Warns about `DOCKCTL_*` variables that dockctl ignores: misspelled ones, and those for flags
/// without a variable.
pub(crate) fn warn_about_ignored(command: &Command) {
    let set = env::vars_os().filter(|(_, value)| !value.is_empty());
    let mut names: Vec<String> = set
        .filter_map(|(name, _)| name.into_string().ok())
        .collect();
    names.sort_unstable();
    let known = known_variables(command);
    for name in names.iter().filter(|name| is_ignored(name, &known)) {
        warn(&format!(
            "variable {name} is ignored: {}",
            advice(name, command, &known)
        ));
    }
}

/// Returns the variables of all flags.
fn known_variables(command: &Command) -> BTreeSet<String> {
    let own = arguments(command).filter_map(Arg::get_env);
    let mut names: BTreeSet<String> = own
        .filter_map(|name| name.to_str().map(str::to_owned))
        .collect();
    names.insert(super::completions::COMPLETE_VARIABLE.to_owned());
    names
}

fn arguments(command: &Command) -> impl Iterator<Item = &Arg> {
    let below = command.get_subcommands().flat_map(Command::get_arguments);
    command.get_arguments().chain(below)
}

fn is_ignored(name: &str, known: &BTreeSet<String>) -> bool {
    let has_prefix = PREFIXES
        .iter()
        .any(|open| name.len() > open.len() && name.starts_with(open));
    name.starts_with("DOCKCTL_") && !has_prefix && !known.contains(name)
}

/// Returns the hint for an unread variable.
fn advice(name: &str, command: &Command, known: &BTreeSet<String>) -> String {
    match name {
        "DOCKCTL_INPUT" => return "to set one input, use DOCKCTL_INPUT_<NAME>".to_owned(),
        "DOCKCTL_PARAMETER" => return "pass parameters as -p NAME=VALUE".to_owned(),
        _ => {}
    }
    let flag = name
        .trim_start_matches("DOCKCTL_")
        .to_lowercase()
        .replace('_', "-");
    let is_flag = |it: &Arg| it.get_long() == Some(&flag) && it.get_env().is_none();
    if arguments(command).any(is_flag) {
        return format!("only global options have variables; use --{flag}");
    }
    match nearest(name, known.iter().map(String::as_str)) {
        Some(near) => format!("did you mean {near}?"),
        None => "list the known variables: dockctl --help".to_owned(),
    }
}

/// Returns the environment for scripts: without the variables that dockctl reads, which contain
/// secrets and inputs.
pub(crate) fn for_scripts(command: &Command) -> Vec<(OsString, OsString)> {
    let known = known_variables(command);
    let is_own =
        |name: &str| known.contains(name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix));
    env::vars_os()
        .filter(|(name, _)| !name.to_str().is_some_and(is_own))
        .collect()
}

/// Returns the variables of inputs that are not empty.
pub(crate) fn inputs() -> BTreeMap<String, OsString> {
    let set = variables_with_prefix(input_args::VARIABLE_PREFIX);
    set.filter(|(_, value)| !value.is_empty()).collect()
}

/// Returns the variables of secrets whose values are UTF-8.
pub(crate) fn secrets() -> BTreeMap<String, String> {
    let set = variables_with_prefix(secrets::VARIABLE_PREFIX);
    set.filter_map(|(name, value)| Some((name, value.into_string().ok()?)))
        .collect()
}

/// Returns the variables whose names start with the prefix, and are longer.
fn variables_with_prefix(prefix: &str) -> impl Iterator<Item = (String, OsString)> {
    let named = env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value)));
    named.filter(move |(name, _)| name.len() > prefix.len() && name.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::Cli;
    use clap::CommandFactory as _;

    fn warning(name: &str) -> Option<String> {
        let command = Cli::command();
        let known = known_variables(&command);
        is_ignored(name, &known).then(|| advice(name, &command, &known))
    }

    #[test]
    fn only_ignored_variables_cause_warnings_with_hints() {
        for read in [
            "DOCKCTL_OUTPUT",
            "DOCKCTL_DEPLOYMENT",
            "DOCKCTL_INPUT_x",
            "DOCKCTL_SECRET_X",
            "DOCKCTL_COMPLETE",
            "HOME",
        ] {
            assert_eq!(warning(read), None, "{read}");
        }
        for (name, advice) in [
            (
                "DOCKCTL_OUT",
                "only global options have variables; use --out",
            ),
            (
                "DOCKCTL_WATCH",
                "only global options have variables; use --watch",
            ),
            ("DOCKCTL_OUTPT", "did you mean DOCKCTL_OUTPUT?"),
            (
                "DOCKCTL_INPUT",
                "to set one input, use DOCKCTL_INPUT_<NAME>",
            ),
            ("DOCKCTL_INPUT_", "did you mean"),
            ("DOCKCTL_outPUT", "did you mean DOCKCTL_OUTPUT?"),
            ("DOCKCTL_PARAMETER", "pass parameters as -p NAME=VALUE"),
            (
                "DOCKCTL_ZZZZZZZZ",
                "list the known variables: dockctl --help",
            ),
        ] {
            let text = warning(name).unwrap();
            assert!(text.starts_with(advice), "{name}: {text}");
        }
    }

    #[test]
    fn only_global_flags_and_the_deployment_have_variables() {
        let command = Cli::command();
        let with = |it: &&Arg| it.get_env().is_some() && !it.is_global_set();
        let names: BTreeSet<_> = arguments(&command).filter(with).map(Arg::get_id).collect();
        let names: Vec<&str> = names.into_iter().map(clap::Id::as_str).collect();
        assert_eq!(names, ["deployment"]);
    }
}
