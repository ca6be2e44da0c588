//! `dockctl.toml`: default values of flags.
//!
//! The user has one file, and a project has one: the nearest in the current directory or its
//! parents. Precedence, highest first: flag, environment variable, project file, user file. A
//! cloned project is not trusted: its file can set how a run proceeds, but not the engine, files,
//! or confirmations.

use super::{error::CliError, print_error};
use crate::{diagnostic::nearest, printable::printable};
use clap::{Arg, ArgAction, Command};
use std::{
    env, fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};
use toml::{Table, Value};

const NAME: &str = "dockctl.toml";
/// Flags whose values are paths, relative to the directory of the file.
const PATHS: [&str; 3] = ["state-dir", "cache-dir", "secrets"];

/// Flags that a project file may set.
const PROJECT_FLAGS: [&str; 18] = [
    "parallel",
    "task-retries",
    "task-retry-interval",
    "engine-timeout",
    "keep-history",
    "output",
    "progress",
    "color",
    "verbose",
    "strict",
    "offline",
    "timeout",
    "fail-fast",
    "max-unavailable",
    "start-first",
    "pause",
    "budget",
    "cool-down",
];

/// A configuration file of the user or of a project.
#[derive(Clone, Debug)]
struct File {
    path: PathBuf,
    is_project: bool,
}

impl File {
    /// Returns the reason to ignore the file; `None` if there is none.
    fn distrust_reason(&self) -> io::Result<Option<&'static str>> {
        if self.is_project && links_outside(&self.path) {
            return Ok(Some("it is a link to a file outside its directory"));
        }
        distrust_reason(&self.path)
    }

    /// Returns true if the file can be used; otherwise prints the reason.
    fn is_trusted(&self) -> Result<bool, CliError> {
        let why = self.distrust_reason();
        let why = why.map_err(|error| unusable(&self.path, &error.to_string()))?;
        if let Some(why) = why {
            let path = self.path.display();
            print_error(&format!("note: {path} is ignored: {why}\n"));
        }
        Ok(why.is_none())
    }

    /// Returns the contents.
    fn table(&self) -> Result<Table, CliError> {
        let text = fs::read_to_string(&self.path);
        let text = text.map_err(|error| unusable(&self.path, &error.to_string()))?;
        parsed(&text).map_err(|why| unusable(&self.path, &why))
    }
}

/// Returns the command line with the defaults from all files.
///
/// # Errors
///
/// If a file cannot be read, sets an unknown flag, or sets a flag that a project must not set.
pub(crate) fn with_file_defaults(command: Command) -> Result<Command, CliError> {
    let mut command = without_file_defaults(command);
    for file in config_files() {
        if file.is_trusted()? {
            command = apply(command, &file.table()?, &file)?;
        }
    }
    Ok(command)
}

/// Returns the command line without defaults from files.
pub(crate) fn without_file_defaults(command: Command) -> Command {
    without_empty_variables(command)
}

fn parsed(text: &str) -> Result<Table, String> {
    let table = text.parse();
    table.map_err(|error: toml::de::Error| error_text(&error, text))
}

/// Returns the error with its line, without an excerpt of the file.
fn error_text(error: &toml::de::Error, text: &str) -> String {
    let line = error
        .span()
        .and_then(|span| text.get(..span.start))
        .map_or(1, |before| before.matches('\n').count() + 1);
    format!("line {line}: {}", printable(error.message()))
}

/// Returns true if the file is not part of the project: a link may point to a private file of the
/// user.
fn links_outside(path: &Path) -> bool {
    let directory = path
        .parent()
        .and_then(|directory| directory.canonicalize().ok());
    path.canonicalize()
        .ok()
        .is_none_or(|file| directory.is_none_or(|directory| !file.starts_with(directory)))
}

/// Returns the reason why another user may have written a file; `None` if only the user or root
/// can.
fn distrust_reason(path: &Path) -> io::Result<Option<&'static str>> {
    let (file, me) = (fs::metadata(path)?, rustix::process::geteuid().as_raw());
    let is_replaceable = is_replaceable(path)?;
    Ok(match () {
        () if file.uid() != me && file.uid() != 0 => Some("it belongs to another user"),
        () if file.mode() & 0o002 != 0 => Some("it is writable by all users"),
        () if is_replaceable => Some("all users can replace it: its directory is world-writable"),
        () => None,
    })
}

/// Returns true if all users can replace the file.
fn is_replaceable(path: &Path) -> io::Result<bool> {
    let resolved = path.canonicalize()?;
    let directories = [path.parent(), resolved.parent()].into_iter().flatten();
    let directories = directories
        .map(fs::metadata)
        .collect::<io::Result<Vec<_>>>()?;
    let is_open = |directory: &fs::Metadata| directory.mode() & 0o1002 == 0o002;
    Ok(directories.iter().any(is_open))
}

/// Ignores empty environment variables.
fn without_empty_variables(command: Command) -> Command {
    command
        .mut_args(without_empty_variable)
        .mut_subcommands(without_empty_variables)
}

fn without_empty_variable(argument: Arg) -> Arg {
    let value = argument.get_env().and_then(env::var_os);
    if value.is_some_and(|value| value.is_empty()) {
        argument.env(None::<&'static str>)
    } else {
        argument
    }
}

/// Returns the user file, then the project file. The later one takes precedence.
fn config_files() -> Vec<File> {
    let user = user_file().filter(|path| path.is_file());
    let is_users = |path: &Path| user.as_ref().is_some_and(|user| is_same(user, path));
    let project = nearest_file().filter(|path| !is_users(path));
    let of = |is_project: bool| move |path: PathBuf| File { path, is_project };
    let files = [user.map(of(false)), project.map(of(true))];
    files.into_iter().flatten().collect()
}

/// Returns the nearest file in the current directory or its parents.
fn nearest_file() -> Option<PathBuf> {
    let here = env::current_dir().unwrap_or_default();
    let mut paths = here.ancestors().map(|directory| directory.join(NAME));
    paths.find(|path| path.is_file())
}

fn is_same(one: &Path, other: &Path) -> bool {
    one.canonicalize().ok() == other.canonicalize().ok()
}

/// Returns the path of the user file, even if it does not exist.
fn user_file() -> Option<PathBuf> {
    let base = path_variable("XDG_CONFIG_HOME").filter(|path| path.is_absolute());
    let base = base.or_else(|| Some(path_variable("HOME")?.join(".config")))?;
    Some(base.join("dockctl").join(NAME))
}

/// Returns the path in an environment variable; `None` if it is unset or empty.
pub(crate) fn path_variable(name: &str) -> Option<PathBuf> {
    let value = env::var_os(name).filter(|value| !value.is_empty())?;
    Some(value.into())
}

/// Returns true if a variable of the docker command selects an engine. It takes precedence over
/// files.
fn has_engine_variable() -> bool {
    ["DOCKER_HOST", "DOCKER_CONTEXT"]
        .iter()
        .any(|name| env::var_os(name).is_some_and(|value| !value.is_empty()))
}

fn unusable(path: &Path, why: &str) -> CliError {
    CliError::usage(format!(
        "{} cannot be used: {}",
        path.display(),
        why.trim_end()
    ))
}

/// Applies a file. Values at the top level are for every command, a table is for one command.
fn apply(mut command: Command, table: &Table, file: &File) -> Result<Command, CliError> {
    for (key, value) in table {
        command = match value {
            Value::Table(flags) => with_defaults(command, (key, flags), file)?,
            value => with_default(command, key, value, file)?,
        };
    }
    Ok(command)
}

/// Applies the values for one command.
fn with_defaults(
    command: Command,
    (name, flags): (&str, &Table),
    file: &File,
) -> Result<Command, CliError> {
    let names = command.get_subcommands().map(Command::get_name);
    let names: Vec<String> = names.map(str::to_owned).collect();
    if !names.iter().any(|it| it == name) {
        return Err(unknown(&file.path, "command", name, &names));
    }
    flags.iter().try_fold(command, |command, (flag, value)| {
        let mut set = Ok(());
        let command = command.mut_subcommand(name, |sub| {
            with_default(sub.clone(), flag, value, file).unwrap_or_else(|error| {
                set = Err(error);
                sub
            })
        });
        set.map(|()| command)
    })
}

fn not_a_project_flag(path: &Path, flag: &str) -> CliError {
    let own = user_file().map_or_else(
        || format!("dockctl/{NAME} in your configuration directory"),
        |path| path.display().to_string(),
    );
    unusable(path, &format!("a project file cannot set `{flag}`"))
        .hint(format!(
            "a project file can set {}",
            PROJECT_FLAGS.join(", ")
        ))
        .hint(format!("set all other options in your own file: {own}"))
}

fn unknown(path: &Path, what: &str, name: &str, known: &[String]) -> CliError {
    let error = unusable(path, &format!("there is no {what} `{name}`"));
    match nearest(name, known.iter().map(String::as_str)) {
        Some(near) => error.hint(format!("did you mean `{near}`?")),
        None => error.hint(format!("known {what}s: {}", known.join(", "))),
    }
}

fn with_default(
    command: Command,
    flag: &str,
    value: &Value,
    file: &File,
) -> Result<Command, CliError> {
    let path = &file.path;
    let long = |argument: &Arg| argument.get_long().map(str::to_owned);
    let Some(id) = command
        .get_arguments()
        .find(|it| long(it).as_deref() == Some(flag))
        .map(|it| it.get_id().clone())
    else {
        let known: Vec<String> = command.get_arguments().filter_map(long).collect();
        let has_it = |command: &&Command| {
            command
                .get_arguments()
                .any(|it| long(it).as_deref() == Some(flag))
        };
        let tables: Vec<String> = command
            .get_subcommands()
            .filter(has_it)
            .map(|it| format!("[{}]", it.get_name()))
            .collect();
        if tables.is_empty() {
            return Err(unknown(path, "option", flag, &known));
        }
        let error = unusable(path, &format!("`{flag}` is not a global option"));
        return Err(error.hint(format!(
            "set it in the table of a command: {}",
            tables.join(", ")
        )));
    };
    if file.is_project && !PROJECT_FLAGS.contains(&flag) {
        return Err(not_a_project_flag(path, flag));
    }
    if matches!(flag, "host" | "context") && has_engine_variable() {
        return Ok(command);
    }
    let texts = strings(value).ok_or_else(|| {
        unusable(
            path,
            &format!("`{flag}` must be a string, a number, true, false, or a list of strings"),
        )
    })?;
    let relative_to_file = |text: String| {
        if PATHS.contains(&flag) {
            path.parent()
                .unwrap_or(Path::new("."))
                .join(text)
                .display()
                .to_string()
        } else {
            text
        }
    };
    let texts: Vec<String> = texts.into_iter().map(relative_to_file).collect();
    check(
        command.get_arguments().find(|it| *it.get_id() == id),
        &texts,
    )
    .map_err(|why| unusable(path, &format!("`{flag}`: {why}")))?;
    Ok(command.mut_arg(id, |argument| match argument.get_action() {
        ArgAction::Append => argument.default_values(texts),
        _ => argument.default_value(texts.concat()),
    }))
}

/// Checks that a flag accepts these values.
fn check(argument: Option<&Arg>, values: &[String]) -> Result<(), String> {
    match argument {
        Some(argument) if matches!(argument.get_action(), ArgAction::SetTrue) => {
            check_switch(values)
        }
        Some(argument) => parse_alone(argument, values),
        None => Ok(()),
    }
}

fn check_switch(values: &[String]) -> Result<(), String> {
    let is_switch = |value: &String| matches!(value.as_str(), "true" | "false");
    if values.iter().all(is_switch) {
        Ok(())
    } else {
        Err("must be true or false".to_owned())
    }
}

/// Checks that a command line with only this flag accepts the values.
fn parse_alone(argument: &Arg, values: &[String]) -> Result<(), String> {
    let id = argument.get_id().as_str();
    let words = values.iter().map(|value| format!("--{id}={value}"));
    let words = ["dockctl".to_owned()].into_iter().chain(words);
    let command = Command::new("dockctl").arg(repeatable(argument));
    let tried = command.try_get_matches_from(words);
    tried.map(drop).map_err(|error| first_line(&error))
}

/// Returns a repeatable flag with the values of another flag.
fn repeatable(argument: &Arg) -> Arg {
    let id = argument.get_id().as_str().to_owned();
    Arg::new(id.clone())
        .long(id)
        .num_args(1)
        .action(ArgAction::Append)
        .value_parser(argument.get_value_parser().clone())
}

/// Returns clap's message without usage and help.
fn first_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let why = text
        .split("\n\nFor more")
        .next()
        .unwrap_or_default()
        .trim_start_matches("error: ");
    why.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn strings(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::String(text) => Some(vec![text.clone()]),
        Value::Integer(number) => Some(vec![number.to_string()]),
        Value::Float(number) => Some(vec![number.to_string()]),
        Value::Boolean(yes) => Some(vec![yes.to_string()]),
        Value::Array(items) => items.iter().map(as_string).collect(),
        Value::Datetime(_) | Value::Table(_) => None,
    }
}

fn as_string(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::Cli;
    use clap::{CommandFactory as _, FromArgMatches as _};

    fn read(text: &str, words: &[&str]) -> Result<Cli, String> {
        read_from(text, words, false)
    }

    fn read_from(text: &str, words: &[&str], is_project: bool) -> Result<Cli, String> {
        let file = File {
            path: PathBuf::from("/project/dockctl.toml"),
            is_project,
        };
        let command = apply(Cli::command(), &text.parse().unwrap(), &file)
            .map_err(|error| error.error.message)?;
        let matches = command
            .try_get_matches_from(words)
            .map_err(|error| error.to_string())?;
        Cli::from_arg_matches(&matches).map_err(|error| error.to_string())
    }

    /// Flags outside the list are rejected, for every command.
    #[test]
    fn project_file_sets_only_allowed_flags() {
        let command = Cli::command();
        let flags = |command: &Command| {
            command
                .get_arguments()
                .filter_map(|it| it.get_long().map(str::to_owned))
                .collect::<Vec<_>>()
        };
        let mut seen = 0;
        let of_commands = command
            .get_subcommands()
            .map(|sub| (format!("[{}]\n", sub.get_name()), flags(sub)));
        for (table, flags) in of_commands.chain([(String::new(), flags(&command))]) {
            for flag in flags
                .iter()
                .filter(|flag| !matches!(flag.as_str(), "help" | "version"))
            {
                let refused =
                    read_from(&format!("{table}{flag} = 'x'"), &["dockctl", "list"], true);
                let why = format!("a project file cannot set `{flag}`");
                let is_refused = refused.is_err_and(|message| message.contains(&why));
                assert_eq!(
                    is_refused,
                    !PROJECT_FLAGS.contains(&flag.as_str()),
                    "{table}{flag}"
                );
                seen += 1;
            }
        }
        assert!(seen > 50, "{seen}");
        let cli = read_from(
            "parallel = 3\n[install]\ntimeout = 60\n",
            &["dockctl", "list"],
            true,
        )
        .unwrap();
        assert_eq!(cli.global.parallel, 3);
    }

    #[test]
    fn files_writable_by_others_are_not_trusted() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(NAME);
        fs::write(&path, "").unwrap();
        let with = |file: u32, of_directory: u32| {
            fs::set_permissions(&path, fs::Permissions::from_mode(file)).unwrap();
            fs::set_permissions(directory.path(), fs::Permissions::from_mode(of_directory))
                .unwrap();
            distrust_reason(&path).unwrap()
        };
        assert_eq!(with(0o644, 0o755), None);
        assert_eq!(
            with(0o644, 0o1777),
            None,
            "with the sticky bit only its owner can replace it"
        );
        assert_eq!(with(0o646, 0o755), Some("it is writable by all users"));
        assert!(with(0o644, 0o777).is_some_and(|why| why.starts_with("all users can replace it")));
        if rustix::process::geteuid().is_root() {
            std::os::unix::fs::chown(&path, Some(12345), None).unwrap();
            assert_eq!(with(0o644, 0o755), Some("it belongs to another user"));
        }
    }

    #[test]
    fn flags_override_defaults_from_files() {
        let text =
            "parallel = 3\nstate-dir = 'state'\nsecrets = ['a.yaml', '/b']\n[list]\nall = true\n";
        let cli = read(text, &["dockctl", "list"]).unwrap();
        assert_eq!(
            (cli.global.parallel, cli.global.state_dir.as_deref()),
            (3, Some(Path::new("/project/state")))
        );
        assert_eq!(
            cli.global.secrets,
            [Path::new("/project/a.yaml"), Path::new("/b")]
        );
        assert!(matches!(
            cli.command,
            crate::cli::args::Command::List { all: true }
        ));
        assert_eq!(
            read(text, &["dockctl", "list", "--parallel", "5"])
                .unwrap()
                .global
                .parallel,
            5
        );
    }

    #[test]
    fn unknown_flags_and_invalid_values_are_reported() {
        assert_eq!(
            read("paralel = 3", &["dockctl", "list"]).unwrap_err(),
            "/project/dockctl.toml cannot be used: there is no option `paralel`"
        );
        assert!(
            read("[instal]\n", &["dockctl", "list"])
                .unwrap_err()
                .contains("no command `instal`")
        );
        assert!(
            read("parallel = {a = 1}", &["dockctl", "list"])
                .unwrap_err()
                .contains("no command `parallel`")
        );
        assert!(
            read("parallel = 1979-05-27", &["dockctl", "list"])
                .unwrap_err()
                .contains("must be a string")
        );
        assert_eq!(
            read("parallel = 0", &["dockctl", "list"]).unwrap_err(),
            "/project/dockctl.toml cannot be used: `parallel`: invalid value '0' for '--parallel <parallel>': must be at least 1"
        );
        assert!(
            read("output = 'jsn'", &["dockctl", "list"])
                .unwrap_err()
                .contains("dockctl.toml cannot be used: `output`")
        );
        assert!(
            read("[list]\nall = 3", &["dockctl", "list"])
                .unwrap_err()
                .ends_with("`all`: must be true or false")
        );
    }
}
