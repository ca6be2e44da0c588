//! `dockctl completions`, `dockctl man`, and what shells ask for while somebody types.

use super::{
    Outcome,
    args::{Cli, Shell},
    error::{CliError, Kind},
};
use crate::{journal::StateDir, record::Record};
use clap::CommandFactory as _;
use clap_complete::{
    CompletionCandidate,
    env::{CompleteEnv, Shells},
};
use serde_json::json;
use std::{
    env,
    ffi::{OsStr, OsString},
    fs,
    path::Path,
};

/// The variable by which a shell's script asks for words.
const ASKED: &str = "DOCKCTL_COMPLETE";

/// Answers a shell that asks for words; whether one did.
pub(crate) fn complete(arguments: &[OsString]) -> bool {
    if env::var_os(ASKED).is_none() {
        return false;
    }
    let here = env::current_dir().ok();
    let command = || {
        if wants_flag() {
            Cli::command()
        } else {
            without_flags(Cli::command())
        }
    };
    CompleteEnv::with_factory(command)
        .var(ASKED)
        .try_complete(arguments, here.as_deref())
        .unwrap_or(true)
}

/// Whether the word that is typed begins a flag.
fn wants_flag() -> bool {
    let words: Vec<String> = env::args()
        .skip_while(|word| word != "--")
        .skip(1)
        .collect();
    let at = env::var("_CLAP_COMPLETE_INDEX")
        .ok()
        .and_then(|at| at.parse::<usize>().ok())
        .unwrap_or(words.len().saturating_sub(1));
    words.get(at).is_some_and(|word| word.starts_with('-'))
}

/// Flags that are hidden are only offered where there is nothing else.
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

/// The script that makes a shell ask.
pub(crate) fn completions(shell: Shell) -> Result<Outcome, CliError> {
    let shells = Shells::builtins();
    let completer = shells
        .completer(shell.as_str())
        .ok_or_else(|| CliError::usage("this shell is not known"))?;
    let mut script = Vec::new();
    let written = completer.write_registration(ASKED, "dockctl", "dockctl", "dockctl", &mut script);
    written.map_err(|error| {
        CliError::new(
            Kind::Failed,
            format!("the script cannot be written: {error}"),
        )
    })?;
    let text = String::from_utf8_lossy(&script).into_owned();
    Ok(Outcome::new(json!({ "script": text }), text))
}

/// The manual: the page of dockctl, or all pages into a folder.
pub(crate) fn man(out: Option<&Path>) -> Result<Outcome, CliError> {
    let cannot = |error: std::io::Error| {
        CliError::new(
            Kind::Failed,
            format!("the manual cannot be written: {error}"),
        )
    };
    let command = Cli::command();
    if let Some(folder) = out {
        fs::create_dir_all(folder).map_err(cannot)?;
        clap_mangen::generate_to(command, folder).map_err(cannot)?;
        for page in fs::read_dir(folder)
            .map_err(cannot)?
            .flatten()
            .filter(|page| page.path().extension().is_some_and(|it| it == "1"))
        {
            let text = fs::read_to_string(page.path()).map_err(cannot)?;
            fs::write(page.path(), titled(&text)).map_err(cannot)?;
        }
        let text = format!(
            "the pages are in {}; man -l shows one of them\n",
            folder.display()
        );
        Ok(Outcome::new(json!({ "folder": folder }), text))
    } else {
        let mut page = Vec::new();
        clap_mangen::Man::new(command)
            .render(&mut page)
            .map_err(cannot)?;
        let text = titled(&String::from_utf8_lossy(&page));
        Ok(Outcome::new(json!({ "page": text }), text))
    }
}

/// What stands after the help has a title that says what it is.
fn titled(page: &str) -> String {
    let title = if page.contains("Exit codes: ") {
        ".SH \"EXIT STATUS\""
    } else {
        ".SH EXAMPLES"
    };
    page.replace(".SH EXTRA", title)
        .replace("\nExamples:\n", "\n")
        .replace("\nExample:\n", "\n")
}

/// Names of the deployments that there are.
pub(crate) fn deployments(typed: &OsStr) -> Vec<CompletionCandidate> {
    offered(
        typed,
        state()
            .and_then(|state| state.names().ok())
            .unwrap_or_default(),
    )
}

/// Nodes and scaling groups of the deployment that is named, or that is meant here.
pub(crate) fn nodes(typed: &OsStr) -> Vec<CompletionCandidate> {
    let names = record().and_then(|record| record.deployment);
    let names = names.map(|it| {
        it.nodes
            .into_keys()
            .chain(it.structure.groups.into_keys())
            .collect()
    });
    offered(typed, names.unwrap_or_default())
}

/// Nodes and instances of the deployment that is named, or that is meant here.
pub(crate) fn instances(typed: &OsStr) -> Vec<CompletionCandidate> {
    let names = record()
        .and_then(|record| record.deployment)
        .map(|deployment| {
            let nodes: indexmap::IndexSet<String> = deployment
                .instances
                .iter()
                .map(|it| it.node.clone())
                .collect();
            nodes
                .into_iter()
                .chain(deployment.instances.iter().map(|it| it.id.clone()))
                .collect::<Vec<_>>()
        });
    offered(typed, names.unwrap_or_default())
}

/// Ids of executions, newest first.
pub(crate) fn executions(typed: &OsStr) -> Vec<CompletionCandidate> {
    let ids = record().map(|record| {
        record
            .executions
            .iter()
            .rev()
            .map(|execution| execution.id.clone())
            .collect::<Vec<_>>()
    });
    offered(typed, ids.unwrap_or_default())
}

fn offered(typed: &OsStr, names: Vec<String>) -> Vec<CompletionCandidate> {
    let typed = typed.to_string_lossy();
    names
        .into_iter()
        .filter(|name| name.starts_with(&*typed))
        .map(CompletionCandidate::new)
        .collect()
}

/// What is typed so far; there is nobody to tell faults to.
fn state() -> Option<StateDir> {
    let given = flag(&["--state-dir"]).or_else(|| env::var("DOCKCTL_STATE_DIR").ok());
    given
        .map(Into::into)
        .or_else(super::workspace::default_state_dir)
        .map(StateDir::new)
}

fn record() -> Option<Record> {
    let given = flag(&["-d", "--deployment"]).or_else(|| env::var("DOCKCTL_DEPLOYMENT").ok());
    let state = state()?;
    let only = || match &state.names().ok()?[..] {
        [only] => Some(only.clone()),
        _ => None,
    };
    let name = given
        .or_else(|| {
            super::blueprint::find(None)
                .ok()
                .map(|path| super::blueprint::default_name(&path))
                .filter(|name| state.read(name).is_ok_and(|it| it.is_some()))
        })
        .or_else(only)?;
    state.read(&name).ok().flatten()
}

/// The value of a flag among the words that are typed.
fn flag(names: &[&str]) -> Option<String> {
    let words: Vec<String> = env::args().collect();
    let after = words
        .windows(2)
        .find(|pair| names.contains(&pair[0].as_str()))
        .map(|pair| pair[1].clone());
    after.or_else(|| {
        words.iter().find_map(|word| {
            names
                .iter()
                .find_map(|name| Some(word.strip_prefix(name)?.strip_prefix('=')?.to_owned()))
        })
    })
}
