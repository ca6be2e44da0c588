//! `dockctl completions`, `dockctl man`, and the completion candidates for shells.

use super::{
    Outcome,
    args::{Cli, Shell},
    error::{CliError, Kind},
    selection,
};
use crate::{journal::StateDir, model::Deployment, operate::blueprint, record::Record};
use clap::CommandFactory as _;
use clap_complete::{
    CompletionCandidate,
    env::{CompleteEnv, Shells},
};
use indexmap::IndexSet;
use serde_json::json;
use std::{
    env,
    ffi::{OsStr, OsString},
    fs, io,
    path::{Path, PathBuf},
};

/// Environment variable with which a completion script requests candidates.
pub(crate) const COMPLETE_VARIABLE: &str = "DOCKCTL_COMPLETE";

/// Prints completion candidates. Returns true if a completion script requested them.
pub(crate) fn complete(arguments: &[OsString]) -> bool {
    if env::var_os(COMPLETE_VARIABLE).is_none() {
        return false;
    }
    let here = env::current_dir().ok();
    let completer = CompleteEnv::with_factory(completable_command).var(COMPLETE_VARIABLE);
    let answered = completer.try_complete(arguments, here.as_deref());
    answered.unwrap_or(true)
}

/// Returns the command line; without flags, unless the user types one.
fn completable_command() -> clap::Command {
    if is_typing_flag() {
        Cli::command()
    } else {
        without_flags(Cli::command())
    }
}

/// Returns true if the current word is a flag.
fn is_typing_flag() -> bool {
    let words = env::args().skip_while(|word| word != "--");
    let words: Vec<String> = words.skip(1).collect();
    let at = env::var("_CLAP_COMPLETE_INDEX")
        .ok()
        .and_then(|at| at.parse::<usize>().ok())
        .unwrap_or(words.len().saturating_sub(1));
    words.get(at).is_some_and(|word| word.starts_with('-'))
}

/// Hides all flags. Shells then offer them only if there are no other candidates.
fn without_flags(command: clap::Command) -> clap::Command {
    let hidden = |argument: clap::Arg| {
        if argument.is_positional() {
            argument
        } else {
            argument.hide(true)
        }
    };
    command.mut_args(hidden).mut_subcommands(without_flags)
}

/// Prints the completion script of a shell.
pub(crate) fn completions(shell: Shell) -> Result<Outcome, CliError> {
    let shells = Shells::builtins();
    let completer = shells.completer(shell.as_str());
    let completer = completer.ok_or_else(|| CliError::usage("unknown shell"))?;
    let mut script = Vec::new();
    let written = completer.write_registration(
        COMPLETE_VARIABLE,
        "dockctl",
        "dockctl",
        "dockctl",
        &mut script,
    );
    written.map_err(|error| cannot_write("script", &error))?;
    let text = String::from_utf8_lossy(&script).into_owned();
    Ok(Outcome::exact(json!({ "script": text }), text))
}

fn cannot_write(what: &str, error: &io::Error) -> CliError {
    let message = format!("cannot write the {what}: {error}");
    CliError::new(Kind::Failed, message)
}

/// Prints the manual page of dockctl, or writes all pages to a directory.
pub(crate) fn man(out: Option<&Path>) -> Result<Outcome, CliError> {
    let written = match out {
        Some(directory) => write_pages(directory),
        None => print_page(),
    };
    written.map_err(|error| cannot_write("manual", &error))
}

/// Returns the page of dockctl.
fn print_page() -> io::Result<Outcome> {
    let mut page = Vec::new();
    clap_mangen::Man::new(Cli::command()).render(&mut page)?;
    let text = with_section_title(&String::from_utf8_lossy(&page));
    Ok(Outcome::exact(json!({ "page": text }), text))
}

/// Writes all pages to a directory.
fn write_pages(directory: &Path) -> io::Result<Outcome> {
    fs::create_dir_all(directory)?;
    if directory.to_str().is_none() {
        // The library panics there.
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!(
                "`{}` is not UTF-8: choose another directory",
                directory.display()
            ),
        ));
    }
    clap_mangen::generate_to(Cli::command(), directory)?;
    title_pages(directory)?;
    let shown = directory.display();
    let text = format!("manual pages written to {shown}; view one with: man -l FILE\n");
    Ok(Outcome::new(json!({ "folder": directory }), text))
}

fn title_pages(directory: &Path) -> io::Result<()> {
    let is_page = |path: &PathBuf| path.extension().is_some_and(|it| it == "1");
    let paths = fs::read_dir(directory)?.flatten().map(|file| file.path());
    for page in paths.filter(is_page) {
        let text = fs::read_to_string(&page)?;
        fs::write(&page, with_section_title(&text))?;
    }
    Ok(())
}

/// Replaces the generic title of the section after the options.
fn with_section_title(page: &str) -> String {
    let title = if page.contains("Exit codes: ") {
        ".SH \"EXIT STATUS\""
    } else {
        ".SH EXAMPLES"
    };
    page.replace(".SH EXTRA", title)
        .replace("\nExamples:\n", "\n")
        .replace("\nExample:\n", "\n")
}

/// Completes names of deployments.
pub(crate) fn deployments(typed: &OsStr) -> Vec<CompletionCandidate> {
    candidates(
        typed,
        state()
            .and_then(|state| state.names().ok())
            .unwrap_or_default(),
    )
}

/// Completes nodes and scaling groups of the selected or default deployment.
pub(crate) fn nodes(typed: &OsStr) -> Vec<CompletionCandidate> {
    let names = deployment().map(|it| {
        it.nodes
            .into_keys()
            .chain(it.structure.groups.into_keys())
            .collect()
    });
    candidates(typed, names.unwrap_or_default())
}

/// Completes nodes and instances of the selected or default deployment.
pub(crate) fn instances(typed: &OsStr) -> Vec<CompletionCandidate> {
    let instances = deployment().map(|it| it.instances).unwrap_or_default();
    let nodes: IndexSet<String> = instances.iter().map(|it| it.node.clone()).collect();
    let ids = instances.into_iter().map(|it| it.id);
    candidates(typed, nodes.into_iter().chain(ids).collect())
}

/// Completes execution IDs, newest first.
pub(crate) fn executions(typed: &OsStr) -> Vec<CompletionCandidate> {
    let ids = record().map(|record| {
        let newest_first = record.executions.into_iter().rev();
        newest_first.map(|execution| execution.id).collect()
    });
    candidates(typed, ids.unwrap_or_default())
}

fn candidates(typed: &OsStr, names: Vec<String>) -> Vec<CompletionCandidate> {
    let typed = typed.to_string_lossy();
    names
        .into_iter()
        .filter(|name| name.starts_with(&*typed))
        .map(CompletionCandidate::new)
        .collect()
}

/// Returns the state directory from the words typed so far. Errors are ignored: a completion script
/// cannot show them.
fn state() -> Option<StateDir> {
    let given = flag(&["--state-dir"]).or_else(|| env::var("DOCKCTL_STATE_DIR").ok());
    given
        .map(Into::into)
        .or_else(super::settings::default_state_dir)
        .map(StateDir::new)
}

fn record() -> Option<Record> {
    let given = flag(&["-d", "--deployment"]).or_else(|| env::var("DOCKCTL_DEPLOYMENT").ok());
    let state = state()?;
    let selected = given.or_else(|| default_deployment(&state));
    let name = selected.or_else(|| only_deployment(&state))?;
    state.read(&name).ok().flatten()
}

fn deployment() -> Option<Deployment> {
    record()?.deployment
}

/// Returns the deployment named after the blueprint in the current directory, if it exists.
fn default_deployment(state: &StateDir) -> Option<String> {
    let name = blueprint::default_name(&selection::find(None).ok()?);
    state.read(&name).ok().flatten()?;
    Some(name)
}

/// Returns the deployment if there is exactly one.
fn only_deployment(state: &StateDir) -> Option<String> {
    match &state.names().ok()?[..] {
        [only] => Some(only.clone()),
        _ => None,
    }
}

/// Returns the value of a flag in the words typed so far.
fn flag(names: &[&str]) -> Option<String> {
    let words: Vec<String> = env::args().collect();
    let is_named = |pair: &&[String]| names.contains(&pair[0].as_str());
    let after = words.windows(2).find(is_named).map(|pair| pair[1].clone());
    let joined = |word: &String| names.iter().find_map(|name| joined_value(word, name));
    after.or_else(|| words.iter().find_map(joined))
}

/// Returns the value in a word such as `--flag=value`.
fn joined_value(word: &str, flag: &str) -> Option<String> {
    let value = word.strip_prefix(flag)?.strip_prefix('=')?;
    Some(value.to_owned())
}
