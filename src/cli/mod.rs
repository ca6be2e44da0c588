//! The command line, with one file per command. Only this module and `report` print.

mod adopt;
mod args;
mod cancel;
mod claims;
mod completions;
mod config;
mod confirm;
mod environment;
mod error;
mod exec;
mod execute;
mod executions;
mod explain;
mod graph;
mod group;
mod group_args;
mod group_daemon;
mod helper;
mod infrakit;
mod infrakit_args;

mod inspect;
mod install;
mod list;
mod logs;
mod outputs;
mod plan;
mod recover;
mod relink;
mod resume;
mod run;
mod schema;
mod secrets;
mod selection;
mod settings;
mod status;
mod suggestions;
mod terminal;
mod uninstall;
mod unlock;
mod unseen;
mod validate;
mod watch;

use crate::report::{self, charset::Charset, table::Screen};
use crate::{
    event::{now, timestamp},
    operate::{
        execute::Request,
        settings::RunOptions,
        watch::{CHECK_INTERVAL, RepairLimit},
    },
    plan::Unsupported,
    printable::{printable, printable_json, printable_lines},
    stage::{Parameters, Workflow},
};
use args::{
    Cli, Color, Command, Global, InstancesArgs, Output, ProgressMode, RunArgs, SensitiveArgs,
};
use clap::{CommandFactory as _, FromArgMatches as _, parser::ValueSource};
use error::{CliError, Kind, exit_code};
use infrakit_args::{InfrakitCommand, LogFormat};
use serde_json::{Value as Json, json};
use std::{
    collections::BTreeSet,
    ffi::OsString,
    io::{IsTerminal as _, Write as _},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tracing::Level;
use tracing_subscriber::{
    Layer as _, filter::Targets, fmt, layer::SubscriberExt as _, util::SubscriberInitExt as _,
};

/// Version of the JSON documents; increases only when a field changes its meaning.
const FORMAT: u32 = 1;

/// The result of a command.
pub(crate) struct Outcome {
    /// Fields of the JSON document.
    pub fields: Json,
    /// Result as text.
    pub text: String,
    /// Exit code; not 0 if the result itself is bad news, such as drift.
    pub exit: u8,
    /// The command has already written its output.
    pub is_written: bool,
    /// Who the text is for.
    pub style: Style,
}

/// Who a text is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Style {
    /// For people. Everything in it may come from outside.
    Plain,
    /// For people. It has colors, and everything from outside in it is escaped.
    Colored,
    /// For programs, which need it unchanged.
    Exact,
}

impl Outcome {
    pub(crate) fn new(fields: Json, text: impl Into<String>) -> Self {
        Self {
            fields,
            text: text.into(),
            exit: 0,
            is_written: false,
            style: Style::Plain,
        }
    }

    /// Returns a result for programs, which need the text unchanged.
    pub(crate) fn exact(fields: Json, text: impl Into<String>) -> Self {
        Self {
            style: Style::Exact,
            ..Self::new(fields, text)
        }
    }

    /// Returns the result of a command that has written its own output.
    pub(crate) fn silent() -> Self {
        Self {
            is_written: true,
            ..Self::new(json!({}), "")
        }
    }
}

/// Returns a runtime on this thread. Calls to the engine run concurrently on it.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime, CliError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime
        .map_err(|error| CliError::new(Kind::Failed, format!("cannot start the runtime: {error}")))
}

/// Returns a paragraph for each operation that dockctl cannot run.
pub(crate) fn unsupported_lines(unsupported: &[Unsupported]) -> String {
    let line = |one: &Unsupported| {
        let why = if one.is_elsewhere {
            "runs on another host, which dockctl does not support".to_owned()
        } else {
            format!(
                "uses the plugin `{}`, which dockctl does not support",
                one.plugin
            )
        };
        format!(
            "node `{}`: operation `{}` {why}\n  --> {}\n",
            one.node, one.operation, one.place
        )
    };
    unsupported.iter().map(line).collect()
}

/// Runs the command line and returns the exit code.
#[must_use]
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> u8 {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    if let Some(exit) = helper::run(&arguments) {
        return exit;
    }
    let arguments = infrakit::as_plugin(&arguments).unwrap_or(arguments);
    if completions::complete(&arguments) {
        return 0;
    }
    // The command line is not parsed yet, and its defaults may be invalid.
    let wants_json = wants_json(&arguments, "--progress", "DOCKCTL_PROGRESS");
    JSON_MESSAGES.store(wants_json, Ordering::Relaxed);
    let cli = match parse(&arguments) {
        Ok(cli) => cli,
        Err(exit) => return exit,
    };
    let is_json = cli.global.progress == ProgressMode::Json;
    JSON_MESSAGES.store(is_json, Ordering::Relaxed);
    log(&cli);
    environment::warn_about_ignored(&Cli::command());
    let kind = command_name(&cli.command);
    let result = check_output(&cli).and_then(|()| dispatch(&cli));
    finish(kind, &cli.global, result)
}

/// Parses the command line, with defaults from configuration files. An invalid file does not stop
/// `--help`, `--version`, `completions` and `man`.
fn parse(arguments: &[OsString]) -> Result<Cli, u8> {
    let command = match config::with_file_defaults(Cli::command()) {
        Ok(command) => command,
        Err(error) => match read(config::without_file_defaults(Cli::command()), arguments) {
            Ok(cli)
                if matches!(
                    cli.command,
                    Command::Completions { .. } | Command::Man { .. }
                ) =>
            {
                return Ok(cli);
            }
            Err(help) if help.exit_code() == 0 => return Err(usage(help, arguments)),
            _ => {
                report_error(&named_command(arguments), &error, false);
                return Err(error.exit_code());
            }
        },
    };
    read(command, arguments).map_err(|error| usage(error, arguments))
}

fn read(command: clap::Command, arguments: &[OsString]) -> Result<Cli, clap::Error> {
    let matches = command.try_get_matches_from(arguments)?;
    let mut cli = Cli::from_arg_matches(&matches)?;
    // A context from the command line or environment overrides a host from a file.
    let is_given = |name| {
        matches!(
            matches.value_source(name),
            Some(ValueSource::CommandLine | ValueSource::EnvVariable)
        )
    };
    if is_given("context") && !is_given("host") {
        cli.global.host = None;
    }
    Ok(cli)
}

/// Rejects output formats that the command does not support.
fn check_output(cli: &Cli) -> Result<(), CliError> {
    let (form, command) = match (cli.global.output, &cli.command) {
        (Output::Text | Output::Json, _)
        | (Output::Github | Output::Sarif, Command::Validate { .. })
        | (Output::Markdown, Command::Explain { .. } | Command::Plan { .. })
        | (Output::Junit, Command::Executions { .. }) => return Ok(()),
        (Output::Github, _) => ("github", "validate"),
        (Output::Sarif, _) => ("sarif", "validate"),
        (Output::Markdown, _) => ("markdown", "plan"),
        (Output::Junit, _) => ("junit", "executions"),
    };
    Err(CliError::usage(format!(
        "this command does not support `--output {form}`; `dockctl {command}` does"
    ))
    .hint("use --output text or --output json"))
}

#[allow(clippy::too_many_lines, reason = "a flat match is clearest")]
fn dispatch(cli: &Cli) -> Result<Outcome, CliError> {
    let global = &cli.global;
    match &cli.command {
        Command::Install {
            blueprint,
            skip_unsupported,
            pull,
            rollback_on_failure,
            plan,
            run,
        } => {
            let options = RunOptions {
                rollback: *rollback_on_failure,
                ..run.options()
            };
            let arguments = install::Arguments {
                parameters: Workflow::Install.into(),
                skip_unsupported: *skip_unsupported,
                pull: *pull,
                options,
                plan: plan.as_deref(),
            };
            install::install(global, blueprint, arguments)
        }
        Command::Update {
            blueprint,
            skip_unsupported,
            pull,
            plan,
            rolling,
            run,
        } => {
            let arguments = install::Arguments {
                parameters: Parameters::Update(rolling.parameters()),
                skip_unsupported: *skip_unsupported,
                pull: *pull,
                options: run.options(),
                plan: plan.as_deref(),
            };
            install::install(global, blueprint, arguments)
        }
        Command::Uninstall {
            deployment,
            from_labels,
            volumes,
            ignore_failure,
            inputs,
            run,
        } => {
            let options = RunOptions {
                ignore_failures: *ignore_failure,
                ..run.options()
            };
            let arguments = uninstall::Arguments {
                from_labels: from_labels.as_deref(),
                volumes: *volumes,
                inputs: &inputs.inputs,
                options,
            };
            uninstall::uninstall(global, deployment.given()?, &arguments)
        }
        Command::Execute {
            workflow,
            parameters,
            deployment,
            inputs,
            run,
        } => {
            let given = parameters
                .iter()
                .flat_map(|it| ["-p".to_owned(), it.clone()]);
            let words = ["execute".to_owned(), workflow.clone()].into_iter();
            let words = words.chain(given).collect();
            workflow_command(global, deployment.as_deref(), inputs, *run, words)
                .execute(&execute::workflow(workflow, parameters)?)
        }
        Command::ExecuteOperation {
            operation,
            inputs,
            run,
        } => {
            let deployment = operation.deployment.as_deref();
            workflow_command(global, deployment, inputs, *run, operation.words())
                .execute(&execute::operation(operation)?)
        }
        Command::Start {
            instances,
            inputs,
            run,
        } => instance_command("start", global, instances, inputs, *run)
            .execute(&Request::Start(instances.instances.clone())),
        Command::Stop {
            instances,
            inputs,
            run,
        } => instance_command("stop", global, instances, inputs, *run)
            .execute(&Request::Stop(instances.instances.clone())),
        Command::Restart {
            instances,
            inputs,
            run,
        } => instance_command("restart", global, instances, inputs, *run)
            .execute(&Request::Restart(instances.instances.clone())),
        Command::Reinstall {
            instances,
            ignore_failure,
            inputs,
            run,
        } => instance_command("reinstall", global, instances, inputs, *run).execute(
            &Request::Reinstall {
                instances: instances.instances.clone(),
                ignore_failure: *ignore_failure,
            },
        ),
        Command::Scale { scale, inputs, run } => {
            let deployment = scale.deployment.as_deref();
            workflow_command(global, deployment, inputs, *run, scale.words())
                .execute(&execute::scale(scale))
        }
        Command::Heal {
            instances,
            watch,
            once: _,
            budget,
            cool_down,
            inputs,
            run,
        } => {
            let order = instance_command("heal", global, instances, inputs, *run);
            let patience = RepairLimit {
                budget: *budget,
                cool_down: Duration::try_from_secs_f64(*cool_down).unwrap_or(Duration::MAX),
                check_interval: CHECK_INTERVAL,
                heals_stopped: false,
            };
            if *watch {
                order.watch(&instances.instances, patience)
            } else {
                order.execute(&Request::Heal(instances.instances.clone()))
            }
        }
        Command::Graph { graph } => graph::graph(global, graph),
        Command::Logs { logs } => logs::logs(global, logs),
        Command::Exec { exec } => exec::exec(global, exec),
        Command::Resume {
            execution,
            inputs,
            rollback_on_failure,
            ignore_failure,
            run,
        } => {
            let options = RunOptions {
                rollback: *rollback_on_failure,
                ignore_failures: *ignore_failure,
                ..run.options()
            };
            resume::resume(global, execution, &inputs.inputs, options)
        }
        Command::Cancel {
            execution,
            force,
            no_wait,
        } => cancel::cancel(global, execution, *force, !*no_wait),
        Command::Recover { deployment, id } => {
            recover::recover(global, deployment.given()?, id.as_deref())
        }
        Command::Relink {
            blueprint,
            deployment,
        } => relink::relink(global, blueprint.as_deref(), deployment),
        Command::Unlock { deployment, force } => {
            unlock::unlock(global, deployment.given()?, *force)
        }
        Command::Validate {
            blueprints,
            scripts,
            inputs,
        } => validate::validate(global, (blueprints, *scripts), &inputs.inputs),
        Command::Inspect {
            blueprint,
            deploy,
            inputs,
        } => inspect::inspect(global, blueprint.as_deref(), *deploy, &inputs.inputs),
        Command::Explain { code } => explain::explain(global, code.as_deref()),
        Command::Schema => Ok(schema::schema()),
        Command::Completions { shell } => completions::completions(*shell),
        Command::Man { out } => completions::man(out.as_deref()),
        Command::Plan { blueprint, plan } => plan::plan(global, blueprint, plan),
        Command::Adopt {
            names,
            all,
            filters,
            out,
        } => adopt::adopt(global, names, *all, filters, out.as_deref()),
        Command::Status { deployment, status } => {
            status::status(global, deployment.given()?, status)
        }
        Command::List { all } => list::list(global, *all),
        Command::Outputs {
            deployment,
            format,
            prefix,
        } => outputs::outputs(global, deployment.given()?, (*format, prefix)),
        Command::Secrets { command } => secrets::secrets(global, command),
        Command::Infrakit { command } => infrakit::infrakit(global, command),
        Command::Group(args) => group::group(global, args),
        Command::Executions {
            id,
            deployment,
            log,
        } => executions::executions(global, (id.as_deref(), *log), deployment.as_deref()),
    }
}

fn workflow_command<'a>(
    global: &'a Global,
    deployment: Option<&'a str>,
    inputs: &'a SensitiveArgs,
    run: RunArgs,
    words: Vec<String>,
) -> execute::Command<'a> {
    execute::Command {
        global,
        deployment,
        inputs: &inputs.inputs,
        run,
        arguments: words,
    }
}

/// Returns a command whose arguments are instances.
fn instance_command<'a>(
    command: &str,
    global: &'a Global,
    args: &'a InstancesArgs,
    inputs: &'a SensitiveArgs,
    run: RunArgs,
) -> execute::Command<'a> {
    let words = [command.to_owned()].into_iter();
    let words = words.chain(args.instances.iter().cloned()).collect();
    workflow_command(global, args.deployment.as_deref(), inputs, run, words)
}

fn command_name(command: &Command) -> &'static str {
    match command {
        Command::Update { .. } => "update",
        Command::Execute { .. } => "execute",
        Command::ExecuteOperation { .. } => "execute-operation",
        Command::Start { .. } => "start",
        Command::Stop { .. } => "stop",
        Command::Restart { .. } => "restart",
        Command::Reinstall { .. } => "reinstall",
        Command::Graph { .. } => "graph",
        Command::Logs { .. } => "logs",
        Command::Exec { .. } => "exec",
        Command::Scale { .. } => "scale",
        Command::Heal { .. } => "heal",
        Command::Install { .. } => "install",
        Command::Uninstall { .. } => "uninstall",
        Command::Resume { .. } => "resume",
        Command::Cancel { .. } => "cancel",
        Command::Recover { .. } => "recover",
        Command::Relink { .. } => "relink",
        Command::Unlock { .. } => "unlock",
        Command::Validate { .. } => "validate",
        Command::Inspect { .. } => "inspect",
        Command::Explain { .. } => "explain",
        Command::Schema => "schema",
        Command::Completions { .. } => "completions",
        Command::Man { .. } => "man",
        Command::Adopt { .. } => "adopt",
        Command::Plan { .. } => "plan",
        Command::Status { .. } => "status",
        Command::List { .. } => "list",
        Command::Outputs { .. } => "outputs",
        Command::Secrets { .. } => "secrets",
        Command::Infrakit { .. } => "infrakit",
        Command::Group(_) => "group",
        Command::Executions { .. } => "executions",
    }
}

fn finish(kind: &str, global: &Global, result: Result<Outcome, CliError>) -> u8 {
    let json = global.output == Output::Json;
    match result {
        Ok(outcome) if outcome.is_written => outcome.exit,
        Ok(outcome) => {
            let document = || {
                let document = document(kind, outcome.exit == 0, &outcome.fields, None);
                printable_json(format!("{document:#}\n"))
            };
            let written = if json {
                print_all(&document())
            } else {
                print_all(&result_text(global, outcome.text, outcome.style))
            };
            if written {
                outcome.exit
            } else {
                exit_code(Kind::Failed)
            }
        }
        Err(error) => {
            // The error goes last, where readers look first.
            let document = || {
                let document = document(kind, false, &error.fields(), Some(error.to_json()));
                printable_json(format!("{document:#}\n"))
            };
            let _ = print_result(&if json {
                document()
            } else {
                result_text(global, error.result(), Style::Colored)
            });
            report_error(kind, &error, color_stderr(global));
            if kind == "exec" {
                exec::DOCKCTL_FAILED
            } else {
                error.exit_code()
            }
        }
    }
}

/// Writes an error to standard error.
fn report_error(kind: &str, error: &CliError, has_color: bool) {
    if JSON_MESSAGES.load(Ordering::Relaxed) {
        let mut fields = error.fields();
        fields["kind"] = kind.into();
        fields["exit"] = error.exit_code().into();
        fields["error"] = error.to_json();
        let _ = std::io::stderr().write_all(message_line("error", &fields).as_bytes());
    } else {
        print_error(&error.to_text(has_color));
    }
}

pub(crate) fn document(kind: &str, ok: bool, fields: &Json, error: Option<Json>) -> Json {
    let mut document = json!({ "format": FORMAT, "kind": kind, "ok": ok });
    if let Some(error) = error {
        document["error"] = error;
    }
    for (key, value) in fields.as_object().into_iter().flatten() {
        document[key] = value.clone();
    }
    document
}

/// Writes a result. Returns false if that failed, for example because the reader is gone.
pub(crate) fn print_result(text: &str) -> bool {
    write(text.as_bytes()).is_ok()
}

/// Like [`print_result`], for output that may not be text.
pub(crate) fn print_bytes(bytes: &[u8]) -> bool {
    write(bytes).is_ok()
}

/// Writes a whole result. Returns true on success, and if the reader closed the pipe early.
fn print_all(text: &str) -> bool {
    write(text.as_bytes()).map_or_else(|error| is_broken_pipe(&error), |()| true)
}

fn write(bytes: &[u8]) -> std::io::Result<()> {
    let mut output = std::io::stdout();
    let written = output.write_all(bytes).and_then(|()| output.flush());
    if let Err(error) = written.as_ref()
        && !is_broken_pipe(error)
    {
        print_error(&format!("error: cannot write the result: {error}\n"));
    }
    written
}

fn is_broken_pipe(error: &std::io::Error) -> bool {
    error.kind() == std::io::ErrorKind::BrokenPipe
}

/// Prints a warning, once per process.
pub(crate) fn warn(what: &str) {
    print_error_once(&format!("warning: {what}\n"));
}

/// Writes text to standard error, once per process.
pub(crate) fn print_error_once(text: &str) {
    static PRINTED: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    let mut printed = PRINTED.lock().unwrap_or_else(PoisonError::into_inner);
    if printed.insert(text.to_owned()) {
        print_error(text);
    }
}

/// Messages are written as JSON (`--progress json`).
static JSON_MESSAGES: AtomicBool = AtomicBool::new(false);

/// Writes to standard error, with text from outside escaped. Failures are ignored: there is nowhere
/// to report them.
pub(crate) fn print_error(text: &str) {
    if text.is_empty() {
        return;
    }
    let shown = if JSON_MESSAGES.load(Ordering::Relaxed) {
        message_line("message", &json!({ "text": text.trim_end() }))
    } else {
        charset().show(&printable_lines(text)).into_owned()
    };
    let _ = std::io::stderr().write_all(shown.as_bytes());
}

/// Returns a line for programs that read the progress.
fn message_line(event: &str, fields: &Json) -> String {
    let mut line =
        json!({ "version": report::JSON_VERSION, "at": timestamp(now()), "event": event });
    for (key, value) in fields.as_object().into_iter().flatten() {
        line[key] = value.clone();
    }
    printable_json(format!("{line}\n"))
}

/// Returns a result as text for its reader: a terminal or a pipeline must not take text from outside
/// for commands.
fn result_text(global: &Global, text: String, style: Style) -> String {
    let is_terminal = std::io::stdout().is_terminal();
    let is_pipeline = std::env::var_os("GITHUB_ACTIONS").is_some_and(|value| !value.is_empty());
    match style {
        _ if global.output == Output::Github => text,
        _ if !is_terminal && (style == Style::Exact || !is_pipeline) => text,
        Style::Colored => printable_lines(&text),
        Style::Plain | Style::Exact => printable_lines(&printable(&text)),
    }
}

/// Returns true if a flag, or the variable for it, asks for JSON. For arguments that are not parsed.
fn wants_json(arguments: &[OsString], flag: &str, variable: &str) -> bool {
    let own = arguments.iter().position(|argument| argument == "--");
    let own = &arguments[..own.unwrap_or(arguments.len())];
    let joined = format!("{flag}=");
    let after = own.windows(2).filter(|pair| pair[0] == flag);
    let after = after.filter_map(|pair| pair[1].to_str());
    let within = own
        .iter()
        .filter_map(|it| it.to_str()?.strip_prefix(&joined));
    match after.chain(within).last() {
        Some(given) => given == "json",
        None => std::env::var_os(variable).is_some_and(|value| value == "json"),
    }
}

/// Returns the command that arguments name, without parsing them.
fn named_command(arguments: &[OsString]) -> String {
    let commands = Cli::command();
    let is_command = |name: &&str| commands.find_subcommand(name).is_some();
    let mut all = arguments.iter().filter_map(|it| it.to_str());
    all.find(is_command).unwrap_or("usage").to_owned()
}

fn usage(error: clap::Error, arguments: &[OsString]) -> u8 {
    let error = &suggestions::closest_first(error);
    let _ = error.print();
    let exit = u8::try_from(error.exit_code()).unwrap_or(exit_code(Kind::Usage));
    if exit != 0 && wants_json(arguments, "--output", "DOCKCTL_OUTPUT") {
        let message = error.to_string();
        let first = message
            .lines()
            .next()
            .unwrap_or_default()
            .trim_start_matches("error: ");
        let _ = print_result(&format!(
            "{:#}\n",
            document(
                &named_command(arguments),
                false,
                &json!({}),
                Some(CliError::usage(first).to_json())
            )
        ));
    }
    exit
}

/// Returns true if standard error is written in color.
pub(crate) fn color_stderr(global: &Global) -> bool {
    match global.color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => allows_color() && std::io::stderr().is_terminal(),
    }
}

/// Returns true if standard output is written in color.
pub(crate) fn color_stdout(global: &Global) -> bool {
    match global.color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => allows_color() && std::io::stdout().is_terminal(),
    }
}

fn allows_color() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()) && !is_dumb()
}

/// Returns the rows and columns of the terminal on standard output; `None` without a terminal.
pub(crate) fn terminal_size() -> Option<(usize, usize)> {
    let size = rustix::termios::tcgetwinsize(std::io::stdout())
        .ok()
        .filter(|_| std::io::stdout().is_terminal() && !is_dumb())?;
    (size.ws_row > 0 && size.ws_col > 0).then(|| (size.ws_row.into(), size.ws_col.into()))
}

/// Returns the screen for tables on standard output.
pub(crate) fn table_screen() -> Screen {
    Screen {
        columns: terminal_size().map(|(_, columns)| columns),
        charset: charset(),
    }
}

/// Returns the charset of the locale in the environment. The first variable that is set and not
/// empty wins, as in POSIX.
pub(crate) fn charset() -> Charset {
    ["LC_ALL", "LC_CTYPE", "LANG"]
        .into_iter()
        .filter_map(std::env::var_os)
        .find(|locale| !locale.is_empty())
        .map_or_else(Charset::default, |locale| {
            Charset::of_locale(&locale.to_string_lossy())
        })
}

/// Returns true if the terminal has no cursor control.
pub(crate) fn is_dumb() -> bool {
    std::env::var_os("TERM").is_some_and(|value| value == "dumb")
}

fn log(cli: &Cli) {
    let (levels, is_json) = match &cli.command {
        Command::Infrakit {
            command: InfrakitCommand::Serve(args),
        } => (daemon_levels(args.log), args.log_format == LogFormat::Json),
        _ => (
            Targets::new().with_default(level(cli.global.verbose)),
            false,
        ),
    };
    let log = fmt::layer().with_writer(std::io::stderr).with_target(false);
    let log = if is_json {
        log.json().flatten_event(true).with_filter(levels).boxed()
    } else if JSON_MESSAGES.load(Ordering::Relaxed) {
        let log = log.with_writer(|| LogMessages).without_time();
        log.with_ansi(false).with_filter(levels).boxed()
    } else {
        log.with_ansi(color_stderr(&cli.global))
            .with_filter(levels)
            .boxed()
    };
    tracing_subscriber::registry().with(log).init();
}

/// Writes entries of the log as messages (`--progress json`).
struct LogMessages;

impl std::io::Write for LogMessages {
    fn write(&mut self, entry: &[u8]) -> std::io::Result<usize> {
        print_error(&String::from_utf8_lossy(entry));
        Ok(entry.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn level(verbose: u8) -> Level {
    match verbose {
        0 => Level::ERROR,
        1 => Level::INFO,
        _ => Level::DEBUG,
    }
}

/// Returns the levels of a daemon's log, in the numbers of InfraKit. The requests to engines are
/// logged only at the last one.
fn daemon_levels(number: u8) -> Targets {
    let (own, others) = match number {
        0..=2 => (Level::ERROR, Level::ERROR),
        3 => (Level::WARN, Level::WARN),
        4 => (Level::INFO, Level::WARN),
        _ => (Level::DEBUG, Level::DEBUG),
    };
    Targets::new()
        .with_default(others)
        .with_target("dockctl::serve", own)
}
