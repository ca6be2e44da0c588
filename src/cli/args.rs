//! Definition of the command line.
#![allow(
    clippy::doc_markdown,
    rustdoc::bare_urls,
    reason = "these comments are the help text"
)]

use super::{
    completions::{deployments, executions, instances, nodes},
    error::CliError,
    group_args::GroupArgs,
    infrakit_args::InfrakitCommand,
};
use crate::{engine::RESPONSE_TIMEOUT, operate::settings::RunOptions, stage::parameters::Update};
use clap::{Args, Parser, Subcommand, ValueEnum, builder::FalseyValueParser};
use clap_complete::ArgValueCompleter;
use std::{path::PathBuf, time::Duration};

/// Install and manage Cloudify blueprints on Docker engines.
#[derive(Debug, Parser)]
#[command(
    name = "dockctl",
    version,
    max_term_width = 100,
    after_help = "Exit codes: 0 success, 1 failure, 2 usage error, 3 invalid blueprint or inputs,\n  4 engine unreachable, 5 deployment in use, 6 differences found, 130 interrupted"
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

/// Global flags. Each has an environment variable.
#[expect(clippy::struct_excessive_bools, reason = "switches")]
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// Engine: unix:///PATH, tcp://HOST:PORT or ssh://USER@HOST [default: same as the docker command]
    #[arg(long, global = true, env = "DOCKCTL_HOST", value_name = "ADDRESS")]
    pub host: Option<String>,
    /// Docker context to use
    #[arg(long, global = true, env = "DOCKCTL_CONTEXT", value_name = "NAME")]
    pub context: Option<String>,
    /// Directory in which dockctl stores deployments [default: $XDG_STATE_HOME/dockctl]
    #[arg(long, global = true, env = "DOCKCTL_STATE_DIR", value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// Maximum number of steps that run at once
    #[arg(long, global = true, env = "DOCKCTL_PARALLEL", value_name = "N", default_value = "10", value_parser = positive_integer::<u16>)]
    pub parallel: u16,
    /// Number of retries of a step after a temporary failure; -1 retries indefinitely
    #[arg(long, global = true, env = "DOCKCTL_TASK_RETRIES", value_name = "N", default_value = "5", allow_negative_numbers = true, value_parser = retries)]
    pub task_retries: i32,
    /// Seconds before the first retry; each later pause is longer, up to one minute
    #[arg(long, global = true, env = "DOCKCTL_TASK_RETRY_INTERVAL", value_name = "SECONDS", default_value = "3", allow_negative_numbers = true, value_parser = non_negative_seconds)]
    pub task_retry_interval: f64,
    /// Longest wait for one engine response, in seconds
    #[arg(long, global = true, env = "DOCKCTL_ENGINE_TIMEOUT", value_name = "SECONDS", default_value_t = RESPONSE_TIMEOUT, value_parser = positive_integer::<u64>)]
    pub engine_timeout: u64,
    /// Number of executions to keep for each deployment
    #[arg(long, global = true, env = "DOCKCTL_KEEP_HISTORY", value_name = "N", default_value = "20", value_parser = positive_integer::<u16>)]
    pub keep_history: u16,
    /// Set no guard on the engine: another machine may change the deployment at the same time
    #[arg(long, global = true, env = "DOCKCTL_NO_GUARD", value_parser = FalseyValueParser::new())]
    pub no_guard: bool,
    /// Format of the result on standard output
    #[arg(
        long,
        global = true,
        env = "DOCKCTL_OUTPUT",
        value_name = "FORMAT",
        default_value = "text"
    )]
    pub output: Output,
    /// Format of progress on standard error
    #[arg(
        long,
        global = true,
        env = "DOCKCTL_PROGRESS",
        value_name = "FORMAT",
        default_value = "auto"
    )]
    pub progress: ProgressMode,
    /// Treat warnings as errors
    #[arg(long, global = true, env = "DOCKCTL_STRICT", value_parser = FalseyValueParser::new())]
    pub strict: bool,
    /// Do not download imports; use only files, bundled types and the cache
    #[arg(long, global = true, env = "DOCKCTL_OFFLINE", value_parser = FalseyValueParser::new())]
    pub offline: bool,
    /// In imports that start with PREFIX, first try REPLACEMENT in place of PREFIX (repeatable)
    #[arg(long = "import-rule", global = true, env = "DOCKCTL_IMPORT_RULE", value_delimiter = '\n', value_name = "PREFIX=REPLACEMENT", value_parser = import_rule)]
    pub import_rules: Vec<(String, String)>,
    /// Directory for downloaded imports [default: $XDG_CACHE_HOME/dockctl]
    #[arg(long, global = true, env = "DOCKCTL_CACHE_DIR", value_name = "DIR")]
    pub cache_dir: Option<PathBuf>,
    /// Secrets file, or directory with one file per secret; environment variables take precedence
    /// (repeatable)
    #[arg(long, global = true, env = "DOCKCTL_SECRETS", value_name = "PATH")]
    pub secrets: Vec<PathBuf>,
    /// Seed for reproducible instance IDs
    #[arg(long, global = true, env = "DOCKCTL_SEED", value_name = "N", value_parser = non_negative_integer::<u64>)]
    pub seed: Option<u64>,
    /// Log calls to the engine; repeat the flag for more detail
    #[arg(short, long, global = true, env = "DOCKCTL_VERBOSE", action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// When to use color
    #[arg(
        long,
        global = true,
        env = "DOCKCTL_COLOR",
        value_name = "WHEN",
        default_value = "auto"
    )]
    pub color: Color,
    /// Do not ask for confirmation of destructive changes
    #[arg(short, long, global = true, env = "DOCKCTL_YES", value_parser = FalseyValueParser::new())]
    pub yes: bool,
}

/// Parses an import rule: the prefix of an address and its replacement.
fn import_rule(text: &str) -> Result<(String, String), String> {
    let (prefix, replacement) = text
        .split_once('=')
        .filter(|(prefix, _)| !prefix.is_empty())
        .ok_or("must be PREFIX=REPLACEMENT")?;
    Ok((prefix.to_owned(), replacement.to_owned()))
}

/// Parses a non-negative integer.
fn non_negative_integer<T: TryFrom<u64>>(text: &str) -> Result<T, String> {
    let number = text
        .parse()
        .map_err(|_| "must be a non-negative integer".to_owned())?;
    T::try_from(number).map_err(|_| "too large".to_owned())
}

/// Parses a positive integer.
pub(crate) fn positive_integer<T: TryFrom<u64>>(text: &str) -> Result<T, String> {
    match text {
        "0" => Err("must be at least 1".to_owned()),
        _ => non_negative_integer(text).map_err(|why| why.replace("non-negative", "positive")),
    }
}

/// Parses a number of retries; -1 means no limit.
fn retries(text: &str) -> Result<i32, String> {
    text.parse()
        .ok()
        .filter(|number| *number >= -1)
        .ok_or_else(|| "must be a non-negative integer, or -1".to_owned())
}

/// Parses a non-negative number of seconds.
fn non_negative_seconds(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|seconds: &f64| seconds.is_finite() && *seconds >= 0.0)
        .ok_or_else(|| "must be a non-negative number".to_owned())
}

/// Parses the seconds between two refreshes.
fn refresh_interval(text: &str) -> Result<f64, String> {
    Some(non_negative_seconds(text)?)
        .filter(|pause| *pause >= 0.1)
        .ok_or_else(|| "must be at least 0.1".to_owned())
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Output {
    /// Human-readable text
    Text,
    /// One JSON document
    Json,
    /// Annotations for GitHub Actions (validate)
    Github,
    /// SARIF 2.1.0 for code scanning (validate)
    Sarif,
    /// Markdown (explain, plan)
    Markdown,
    /// JUnit XML (executions ID)
    Junit,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum OutputsFormat {
    /// Human-readable text
    Text,
    /// NAME=VALUE, one per line
    Env,
    /// Shell commands that export the variables
    Shell,
    /// One JSON object
    Json,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum GraphFormat {
    /// SVG image; no other program needed
    Svg,
    /// Graphviz DOT
    Dot,
    /// Mermaid, for Markdown
    Mermaid,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Shell {
    Bash,
    Zsh,
    Fish,
}

impl Shell {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Bash => "bash",
            Self::Zsh => "zsh",
            Self::Fish => "fish",
        }
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum ProgressMode {
    /// Live view on a terminal, plain lines elsewhere
    Auto,
    /// Live view
    Tty,
    /// One line per event
    Plain,
    /// One JSON object per event
    Json,
    /// No progress
    Quiet,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Color {
    /// Only on a terminal, and only if NO_COLOR is not set
    Auto,
    Always,
    Never,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Create and start a deployment, or resume an unfinished install
    #[command(
        after_help = "Examples:\n  dockctl install blueprint.yaml\n  dockctl install blueprints/hello -i port=8081 -d hello-2"
    )]
    Install {
        #[command(flatten)]
        blueprint: BlueprintArgs,
        /// Skip operations that dockctl cannot run
        #[arg(long, value_parser = FalseyValueParser::new())]
        skip_unsupported: bool,
        /// If the install fails, remove everything that it created
        #[arg(long, value_parser = FalseyValueParser::new())]
        rollback_on_failure: bool,
        /// Ask the registry for newer images, and pull every image
        #[arg(long, value_parser = FalseyValueParser::new())]
        pull: bool,
        /// Saved plan to run; the command fails if the plan is out of date
        #[arg(long, value_name = "FILE")]
        plan: Option<PathBuf>,
        #[command(flatten)]
        run: RunArgs,
    },
    /// Change a running deployment to match its edited blueprint or new inputs
    #[command(
        after_help = "Resource limits and the restart policy are updated in place. For other changes, the container is replaced; if the new one fails, the old one is restored.\n\nExamples:\n  dockctl update\n  dockctl update blueprints/hello -i port=8082 --start-first\n  dockctl update --max-unavailable 2 --yes"
    )]
    Update {
        #[command(flatten)]
        blueprint: BlueprintArgs,
        /// Skip operations that dockctl cannot run
        #[arg(long, value_parser = FalseyValueParser::new())]
        skip_unsupported: bool,
        /// Ask the registry for newer images, and pull every image
        #[arg(long, value_parser = FalseyValueParser::new())]
        pull: bool,
        /// Saved plan to run; the command fails if the plan is out of date
        #[arg(long, value_name = "FILE")]
        plan: Option<PathBuf>,
        #[command(flatten)]
        rolling: RollingArgs,
        #[command(flatten)]
        run: RunArgs,
    },
    /// Stop and remove a deployment, dependents first
    #[command(
        after_help = "Examples:\n  dockctl uninstall hello\n  dockctl uninstall --yes\n  dockctl uninstall hello --volumes --yes\n  dockctl uninstall hello --from-labels 4k2j9x0q7b1m"
    )]
    Uninstall {
        #[command(flatten)]
        deployment: DeploymentArgs,
        /// Uninstall a deployment known only from labels; if several share the name, ID selects one
        #[arg(long, value_name = "ID", num_args = 0..=1, default_missing_value = "")]
        from_labels: Option<String>,
        /// Remove the volumes of the deployment too, including their data
        #[arg(long, value_parser = FalseyValueParser::new())]
        volumes: bool,
        /// Continue after failed operations, without retries
        #[arg(long, value_parser = FalseyValueParser::new())]
        ignore_failure: bool,
        #[command(flatten)]
        inputs: SensitiveArgs,
        #[command(flatten)]
        run: RunArgs,
    },
    /// Run a built-in workflow, or one that the blueprint declares
    #[command(
        after_help = "Built-in workflows: install, uninstall, start, stop, restart, pull, reinstall, heal, rollback, execute_operation, check_status, check_drift.\n\nExamples:\n  dockctl execute restart -d hello\n  dockctl execute reinstall -p node_ids=web\n  dockctl execute heal -p node_instance_id=web_k3j9x0 -p allow_reinstall=false"
    )]
    Execute {
        /// Name of the workflow
        #[arg(value_name = "WORKFLOW")]
        workflow: String,
        /// Parameter of the workflow: KEY=TEXT, KEY:=YAML, or a file (repeatable)
        #[arg(short, long = "parameter", value_name = "PARAMETER")]
        parameters: Vec<String>,
        /// Name of the deployment [default: derived from the blueprint in this directory]
        #[arg(short, long, value_name = "NAME", env = "DOCKCTL_DEPLOYMENT", add = ArgValueCompleter::new(deployments))]
        deployment: Option<String>,
        #[command(flatten)]
        inputs: SensitiveArgs,
        #[command(flatten)]
        run: RunArgs,
    },
    /// Run one operation on instances
    #[command(
        after_help = "Examples:\n  dockctl execute-operation cloudify.interfaces.lifecycle.start --node web\n  dockctl execute-operation stop --instance web_k3j9x0 --kwarg params:='{timeout: 1}' --allow-override"
    )]
    ExecuteOperation {
        #[command(flatten)]
        operation: OperationArgs,
        #[command(flatten)]
        inputs: SensitiveArgs,
        #[command(flatten)]
        run: RunArgs,
    },
    /// Start stopped instances, dependencies first
    #[command(after_help = "Examples:\n  dockctl start -d hello\n  dockctl start web db")]
    Start {
        #[command(flatten)]
        instances: InstancesArgs,
        #[command(flatten)]
        inputs: SensitiveArgs,
        #[command(flatten)]
        run: RunArgs,
    },
    /// Stop instances, dependents first; heal leaves them stopped
    #[command(after_help = "Examples:\n  dockctl stop -d hello\n  dockctl stop web")]
    Stop {
        #[command(flatten)]
        instances: InstancesArgs,
        #[command(flatten)]
        inputs: SensitiveArgs,
        #[command(flatten)]
        run: RunArgs,
    },
    /// Stop instances, then start them
    #[command(after_help = "Examples:\n  dockctl restart web\n  dockctl restart -d hello")]
    Restart {
        #[command(flatten)]
        instances: InstancesArgs,
        #[command(flatten)]
        inputs: SensitiveArgs,
        #[command(flatten)]
        run: RunArgs,
    },
    /// Uninstall instances and install them again
    #[command(
        after_help = "Examples:\n  dockctl reinstall web\n  dockctl reinstall -d hello --yes"
    )]
    Reinstall {
        #[command(flatten)]
        instances: InstancesArgs,
        /// Continue after failed operations during removal, without retries
        #[arg(long, value_parser = FalseyValueParser::new())]
        ignore_failure: bool,
        #[command(flatten)]
        inputs: SensitiveArgs,
        #[command(flatten)]
        run: RunArgs,
    },
    /// Add or remove instances of a node or a scaling group
    #[command(
        after_help = "Instances with the highest index are removed first.\n\nExamples:\n  dockctl scale web --to 3\n  dockctl scale web --delta -1 --keep web_k3j9x0\n  dockctl scale tier --delta +2 -d hello"
    )]
    Scale {
        #[command(flatten)]
        scale: ScaleArgs,
        #[command(flatten)]
        inputs: SensitiveArgs,
        #[command(flatten)]
        run: RunArgs,
    },
    /// Repair failed, missing and unhealthy instances
    #[command(
        after_help = "Failed containers are restarted; missing and unhealthy ones are recreated. Instances that `dockctl stop` stopped are ignored. --watch also ignores containers that were stopped or killed by hand, until they are started again.\n\nExamples:\n  dockctl heal -d hello\n  dockctl heal web --once\n  dockctl heal -d hello --watch --budget 3 --cool-down 30"
    )]
    Heal {
        #[command(flatten)]
        instances: InstancesArgs,
        /// Watch and repair continuously, until Ctrl-C
        #[arg(short, long, value_parser = FalseyValueParser::new())]
        watch: bool,
        /// Repair once (the default)
        #[arg(long, value_parser = FalseyValueParser::new(), conflicts_with = "watch")]
        once: bool,
        /// With --watch: maximum number of repairs of one instance per hour
        #[arg(long, value_name = "N", default_value = "5", value_parser = positive_integer::<usize>, requires = "watch")]
        budget: usize,
        /// With --watch: minimum pause between two repairs of one instance, in seconds
        #[arg(long, value_name = "SECONDS", default_value = "10", allow_negative_numbers = true, value_parser = non_negative_seconds, requires = "watch")]
        cool_down: f64,
        #[command(flatten)]
        inputs: SensitiveArgs,
        #[command(flatten)]
        run: RunArgs,
    },
    /// Draw the dependency graph of a blueprint or deployment
    #[command(
        after_help = "Examples:\n  dockctl graph --format svg --out graph.svg\n  dockctl graph blueprints/nodecellar --format mermaid\n  dockctl graph --live -d hello --focus web --format dot | dot -Tpng > hello.png"
    )]
    Graph {
        #[command(flatten)]
        graph: GraphArgs,
    },
    /// Show container logs
    #[command(
        after_help = "Examples:\n  dockctl logs web --follow\n  dockctl logs -d hello --since 10m --tail 100"
    )]
    Logs {
        #[command(flatten)]
        logs: LogsArgs,
    },
    /// Run a command in the container of an instance
    #[command(
        after_help = "Exit code: that of the command, or 125 if dockctl itself fails.\n\nExamples:\n  dockctl exec web sh\n  dockctl exec web -- cat /etc/hosts\n  echo hello | dockctl exec -i web cat"
    )]
    Exec {
        #[command(flatten)]
        exec: ExecArgs,
    },
    /// Resume a failed, cancelled or interrupted execution
    #[command(after_help = "Examples:\n  dockctl resume -d hello\n  dockctl resume k3j9x0ab")]
    Resume {
        #[command(flatten)]
        execution: ExecutionArgs,
        #[command(flatten)]
        inputs: SensitiveArgs,
        /// If an install fails again, remove everything that it created
        #[arg(long, value_parser = FalseyValueParser::new())]
        rollback_on_failure: bool,
        /// When resuming an uninstall, continue after failed operations, without retries
        #[arg(long, value_parser = FalseyValueParser::new())]
        ignore_failure: bool,
        #[command(flatten)]
        run: RunArgs,
    },
    /// Cancel the running execution of a deployment; running steps finish
    #[command(
        after_help = "Examples:\n  dockctl cancel -d hello\n  dockctl cancel k3j9x0ab --force"
    )]
    Cancel {
        #[command(flatten)]
        execution: ExecutionArgs,
        /// Abort running steps at once; the next execution checks whether they took effect
        #[arg(long, value_parser = FalseyValueParser::new())]
        force: bool,
        /// Do not wait until the execution has stopped
        #[arg(long, value_parser = FalseyValueParser::new())]
        no_wait: bool,
    },
    /// Rebuild the record of a deployment from labels on the engine
    #[command(
        after_help = "Examples:\n  dockctl recover hello\n  dockctl recover hello --id 4k2j9x0q7b1m"
    )]
    Recover {
        #[command(flatten)]
        deployment: DeploymentArgs,
        /// ID of the deployment, if several deployments have the same name
        #[arg(long, value_name = "ID")]
        id: Option<String>,
    },
    /// Record that the blueprint of a deployment was moved
    #[command(after_help = "Examples:\n  dockctl relink blueprints/hello -d hello")]
    Relink {
        /// Blueprint file, or a directory with blueprint.yaml [default: the current directory]
        #[arg(value_name = "BLUEPRINT")]
        blueprint: Option<PathBuf>,
        /// Name of the deployment
        #[arg(short, long, value_name = "NAME", env = "DOCKCTL_DEPLOYMENT", add = ArgValueCompleter::new(deployments))]
        deployment: String,
    },
    /// Remove the guard that a dead process left on the engine
    #[command(after_help = "Examples:\n  dockctl unlock hello")]
    Unlock {
        #[command(flatten)]
        deployment: DeploymentArgs,
        /// Remove the guard even if its process may still be running
        #[arg(long, value_parser = FalseyValueParser::new())]
        force: bool,
    },
    /// Report all errors in blueprints, without an engine
    #[command(
        after_help = "Examples:\n  dockctl validate\n  dockctl validate blueprints/*/blueprint.yaml --output json"
    )]
    Validate {
        /// Blueprint files, or directories that contain one [default: blueprint.yaml]
        #[arg(value_name = "BLUEPRINT")]
        blueprints: Vec<PathBuf>,
        /// Also warn about problems in the scripts that the blueprints use; runs nothing
        #[arg(long, value_parser = FalseyValueParser::new())]
        scripts: bool,
        #[command(flatten)]
        inputs: InputArgs,
    },
    /// Show a blueprint with types, defaults and references resolved
    #[command(
        after_help = "Examples:\n  dockctl inspect\n  dockctl inspect --deploy -i port=8081 --seed 1 --output json"
    )]
    Inspect {
        /// Blueprint file, or directory that contains one [default: blueprint.yaml]
        #[arg(value_name = "BLUEPRINT")]
        blueprint: Option<PathBuf>,
        /// Apply inputs and show the instances
        #[arg(long, value_parser = FalseyValueParser::new())]
        deploy: bool,
        #[command(flatten)]
        inputs: InputArgs,
    },
    /// Explain a diagnostic code or the plugin arguments, or list all codes
    #[command(
        after_help = "Examples:\n  dockctl explain D0033\n  dockctl explain params\n  dockctl explain --output markdown > errors.md"
    )]
    Explain {
        /// Diagnostic code such as D0033, or `params` for all arguments of the Docker plugin
        #[arg(value_name = "CODE")]
        code: Option<String>,
    },
    /// Print a JSON Schema for blueprints, for use in editors
    #[command(after_help = "Example:\n  dockctl schema > blueprint.schema.json")]
    Schema,
    /// Print a shell completion script
    #[command(
        after_help = "Examples:\n  source <(dockctl completions bash)\n  dockctl completions zsh > ~/.zfunc/_dockctl\n  dockctl completions fish > ~/.config/fish/completions/dockctl.fish"
    )]
    Completions {
        /// Shell to print the script for
        #[arg(value_name = "SHELL")]
        shell: Shell,
    },
    /// Print the manual page of dockctl, or write one page per command
    #[command(
        after_help = "Examples:\n  dockctl man | man -l -\n  dockctl man --out /usr/local/share/man/man1"
    )]
    Man {
        /// Directory for the manual pages, one per command
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
    },
    /// Show the changes that install or update would make, and why
    #[command(
        after_help = "Compares the blueprint with the live engine, and changes nothing.\n\nExamples:\n  dockctl plan blueprints/nodecellar\n  dockctl plan --exit-code && echo nothing to do\n  dockctl plan --out plan.json && dockctl install --plan plan.json\n  dockctl plan --output markdown > comment.md"
    )]
    Plan {
        #[command(flatten)]
        blueprint: BlueprintArgs,
        #[command(flatten)]
        plan: PlanArgs,
    },
    /// Generate a blueprint from existing containers, without changing them
    #[command(
        after_help = "Examples:\n  dockctl adopt web db --out blueprint.yaml\n  dockctl adopt --all --filter label=team=web"
    )]
    Adopt {
        /// Names or IDs of containers
        #[arg(value_name = "CONTAINER")]
        names: Vec<String>,
        /// Include all containers that match the filters
        #[arg(short, long, value_parser = FalseyValueParser::new())]
        all: bool,
        /// With --all: filter such as label=team=web or status=running (repeatable)
        #[arg(short, long = "filter", value_name = "KEY=VALUE", requires = "all")]
        filters: Vec<String>,
        /// File to write the blueprint to
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Show the instances of a deployment, their states and drift (alias: ps)
    #[command(
        alias = "ps",
        after_help = "Examples:\n  dockctl status\n  dockctl status hello --output json\n  dockctl status --watch\n  dockctl status --exit-code || dockctl heal"
    )]
    Status {
        #[command(flatten)]
        deployment: DeploymentArgs,
        #[command(flatten)]
        status: StatusArgs,
    },
    /// List deployments
    #[command(after_help = "Examples:\n  dockctl list\n  dockctl list --all --output json")]
    List {
        /// Include uninstalled deployments and those known only from engine labels
        #[arg(short, long, value_parser = FalseyValueParser::new())]
        all: bool,
    },
    /// Show the outputs of a deployment
    #[command(
        after_help = "Examples:\n  dockctl outputs hello\n  dockctl outputs --output json\n  eval \"$(dockctl outputs hello --format shell)\"\n  dockctl outputs hello --format env >> \"$GITHUB_OUTPUT\""
    )]
    Outputs {
        #[command(flatten)]
        deployment: DeploymentArgs,
        /// Format of the outputs
        #[arg(long, value_name = "FORMAT", default_value = "text")]
        format: OutputsFormat,
        /// Text before the name of each variable, with the formats env and shell
        #[arg(long, value_name = "TEXT", default_value = "")]
        prefix: String,
    },
    /// List or delete the secrets that scripts of a deployment created
    #[command(
        after_help = "Examples:\n  dockctl secrets list hello\n  dockctl secrets delete token -d hello"
    )]
    Secrets {
        #[command(subcommand)]
        command: SecretsCommand,
    },
    /// Serve as InfraKit's Docker instance plugin, or call such a plugin
    #[command(
        after_help = "Examples:\n  dockctl infrakit serve --namespace-tags stage=prod\n  dockctl infrakit instance describe --tags infrakit.group=web\n  dockctl infrakit instance provision spec.yaml"
    )]
    Infrakit {
        #[command(subcommand)]
        command: InfrakitCommand,
    },
    /// Manage groups of equal instances, as InfraKit does
    #[command(
        after_help = "Examples:\n  dockctl group commit blueprints/infrakit/docker-vanilla.json\n  dockctl group describe docker-example\n  dockctl group scale docker-example 3"
    )]
    Group(Box<GroupArgs>),
    /// List the executions of a deployment, or show all events of one execution
    #[command(
        after_help = "Examples:\n  dockctl executions -d hello\n  dockctl executions k3j9x0ab -d hello\n  dockctl executions k3j9x0ab --output junit > report.xml"
    )]
    Executions {
        /// ID of the execution to show
        #[arg(value_name = "ID", add = ArgValueCompleter::new(executions))]
        id: Option<String>,
        /// Name of the deployment [default: derived from the blueprint in this directory]
        #[arg(short, long, value_name = "NAME", env = "DOCKCTL_DEPLOYMENT", add = ArgValueCompleter::new(deployments))]
        deployment: Option<String>,
        /// Show what the scripts of the execution wrote and logged, instead of its events
        #[arg(long, requires = "id")]
        log: bool,
    },
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum SecretsCommand {
    /// List the names of the secrets
    #[command(after_help = "Examples:\n  dockctl secrets list hello")]
    List {
        #[command(flatten)]
        deployment: DeploymentArgs,
    },
    /// Delete a secret
    #[command(after_help = "Examples:\n  dockctl secrets delete token -d hello")]
    Delete {
        /// Name of the secret
        #[arg(value_name = "SECRET")]
        secret: String,
        /// Name of the deployment [default: derived from the blueprint in this directory]
        #[arg(short, long, value_name = "NAME", env = "DOCKCTL_DEPLOYMENT", add = ArgValueCompleter::new(deployments))]
        deployment: Option<String>,
    },
}

#[derive(Args, Clone, Debug)]
pub(crate) struct BlueprintArgs {
    /// Blueprint file, or directory that contains one [default: blueprint.yaml]
    pub blueprint: Option<PathBuf>,
    /// Name of the deployment [default: derived from the path of the blueprint]
    #[arg(short, long, value_name = "NAME", env = "DOCKCTL_DEPLOYMENT", add = ArgValueCompleter::new(deployments))]
    pub deployment: Option<String>,
    #[command(flatten)]
    pub inputs: InputArgs,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct PlanArgs {
    /// Show every step
    #[arg(long, value_parser = FalseyValueParser::new())]
    pub steps: bool,
    /// Exit with 6 if there are changes to make
    #[arg(long, value_parser = FalseyValueParser::new())]
    pub exit_code: bool,
    /// Ask the registry for newer images
    #[arg(long, value_parser = FalseyValueParser::new())]
    pub pull: bool,
    /// File to save the plan to, for `install --plan` or `update --plan`
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    #[command(flatten)]
    pub rolling: RollingArgs,
}

impl PlanArgs {
    pub(crate) fn parameters(&self) -> Update {
        self.rolling.parameters()
    }
}

#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct StatusArgs {
    /// Exit with 6 if any instance has drifted
    #[arg(long, value_parser = FalseyValueParser::new())]
    pub exit_code: bool,
    /// Refresh every SECONDS, until Ctrl-C [default: 2]
    #[arg(short, long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "2", require_equals = true, value_parser = refresh_interval)]
    pub watch: Option<f64>,
    /// Show the runtime properties too; passwords, tokens, secrets and keys are masked
    #[arg(long, value_parser = FalseyValueParser::new())]
    pub properties: bool,
}

/// Options of a rolling update.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct RollingArgs {
    /// Maximum number of instances of a node that may be out of service at once [default: 1]
    #[arg(long, value_name = "N", value_parser = positive_integer::<usize>)]
    pub max_unavailable: Option<usize>,
    /// Start the new container before stopping the old one, unless they need the same resource
    #[arg(long, value_parser = FalseyValueParser::new())]
    pub start_first: bool,
    /// Time to wait before the next instance of a node is replaced, such as 10s
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub pause: Option<Duration>,
}

impl RollingArgs {
    pub(crate) fn parameters(&self) -> Update {
        Update {
            max_unavailable: self.max_unavailable,
            start_first: self.start_first,
            pause: self.pause.map(|pause| pause.as_secs_f64()),
            keep_outdated: false,
        }
    }
}

/// Options of a run.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct RunArgs {
    /// Start no new steps after a failure
    #[arg(long, value_parser = FalseyValueParser::new())]
    pub fail_fast: bool,
    /// Number of times to reinstall failed instances
    #[arg(long, value_name = "N", default_value = "0", allow_negative_numbers = true, value_parser = non_negative_integer::<u16>)]
    pub subgraph_retries: u16,
    /// Longest duration of the run, in seconds
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true, value_parser = non_negative_seconds)]
    pub timeout: Option<f64>,
}

impl RunArgs {
    pub(crate) fn options(self) -> RunOptions {
        let timeout = self.timeout;
        RunOptions {
            fail_fast: self.fail_fast,
            subgraph_retries: self.subgraph_retries,
            timeout: timeout.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()),
            ..RunOptions::default()
        }
    }
}

#[derive(Args, Clone, Debug)]
pub(crate) struct InstancesArgs {
    /// Instance IDs, node names, or container names [default: all]
    #[arg(value_name = "INSTANCE", add = ArgValueCompleter::new(instances))]
    pub instances: Vec<String>,
    /// Name of the deployment [default: derived from the blueprint in this directory]
    #[arg(short, long, value_name = "NAME", env = "DOCKCTL_DEPLOYMENT", add = ArgValueCompleter::new(deployments))]
    pub deployment: Option<String>,
}

#[derive(Args, Clone, Debug)]
#[command(group = clap::ArgGroup::new("number").required(true))]
pub(crate) struct ScaleArgs {
    /// Node or scaling group
    #[arg(value_name = "NODE", add = ArgValueCompleter::new(nodes))]
    pub entity: String,
    /// Number of instances, for each instance of the containing node or group
    #[arg(long, value_name = "N", allow_negative_numbers = true, group = "number", value_parser = non_negative_integer::<u32>)]
    pub to: Option<u32>,
    /// Number of instances to add, or to remove if negative
    #[arg(long, value_name = "±N", allow_negative_numbers = true, group = "number", value_parser = delta)]
    pub delta: Option<i64>,
    /// Instance to remove first (repeatable)
    #[arg(long, value_name = "INSTANCE")]
    pub remove: Vec<String>,
    /// Instance that must not be removed (repeatable)
    #[arg(long, value_name = "INSTANCE")]
    pub keep: Vec<String>,
    /// If the workflow fails, keep the instances that it added
    #[arg(long, value_parser = FalseyValueParser::new())]
    pub no_rollback: bool,
    /// Continue after failed operations during removal, without retries
    #[arg(long, value_parser = FalseyValueParser::new())]
    pub ignore_failure: bool,
    /// Name of the deployment [default: derived from the blueprint in this directory]
    #[arg(short, long, value_name = "NAME", env = "DOCKCTL_DEPLOYMENT", add = ArgValueCompleter::new(deployments))]
    pub deployment: Option<String>,
}

impl ScaleArgs {
    /// Returns the command line that repeats this request, without the deployment.
    pub(crate) fn words(&self) -> Vec<String> {
        let mut words = vec!["scale".to_owned(), self.entity.clone()];
        words.extend(self.number_flag());
        words.extend(repeated_flag("remove", &self.remove));
        words.extend(repeated_flag("keep", &self.keep));
        words.extend(switch_flag(self.no_rollback, "--no-rollback"));
        words.extend(switch_flag(self.ignore_failure, "--ignore-failure"));
        words
    }

    /// Returns the flag with the number to scale to or by.
    fn number_flag(&self) -> Option<String> {
        let more = || self.delta.map(|delta| format!("--delta={delta}"));
        self.to.map(|to| format!("--to={to}")).or_else(more)
    }
}

/// Returns the flag once for each value.
fn repeated_flag(flag: &str, values: &[String]) -> Vec<String> {
    let word = |value: &String| format!("--{flag}={value}");
    values.iter().map(word).collect()
}

/// Returns a flag without a value, if it is set.
fn switch_flag(is_given: bool, flag: &str) -> Option<String> {
    is_given.then(|| flag.to_owned())
}

/// Parses an integer, with or without a sign.
fn delta(text: &str) -> Result<i64, String> {
    text.parse()
        .map_err(|_| "must be an integer, such as +1 or -2".to_owned())
}

#[derive(Args, Clone, Debug)]
pub(crate) struct GraphArgs {
    #[command(flatten)]
    pub blueprint: BlueprintArgs,
    /// Format of the graph
    #[arg(long, value_name = "FORMAT", default_value = "svg")]
    pub format: GraphFormat,
    /// Draw the instances of the deployment, colored by their current state
    #[arg(long, value_parser = FalseyValueParser::new())]
    pub live: bool,
    /// Draw only this node, its dependencies and its dependents
    #[arg(long, value_name = "NODE", add = ArgValueCompleter::new(nodes))]
    pub focus: Option<String>,
    /// File to write the graph to
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

#[derive(Args, Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "flags of the command line")]
pub(crate) struct LogsArgs {
    #[command(flatten)]
    pub instances: InstancesArgs,
    /// Follow the logs, across restarts and replacements, until Ctrl-C or until all have ended
    #[arg(short, long, value_parser = FalseyValueParser::new())]
    pub follow: bool,
    /// Show only lines since TIME: an age such as 10m or 2h, or a time such as 2026-01-31T12:00:00Z
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Number of lines to show from the end of each log
    #[arg(short = 'n', long, value_name = "N", allow_negative_numbers = true, value_parser = non_negative_integer::<u32>)]
    pub tail: Option<u32>,
    /// Show the time of each line
    #[arg(short, long, value_parser = FalseyValueParser::new())]
    pub timestamps: bool,
    /// Pass every control character to the terminal; by default, it gets only colors
    #[arg(long, value_parser = FalseyValueParser::new())]
    pub raw: bool,
    /// Do not print the instance ID before each line
    #[arg(long, value_parser = FalseyValueParser::new())]
    pub no_prefix: bool,
    #[command(flatten)]
    pub inputs: SensitiveArgs,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct ExecArgs {
    /// Instance ID, container name, or name of a node with a single instance
    #[arg(value_name = "INSTANCE", add = ArgValueCompleter::new(instances))]
    pub instance: String,
    /// Command to run, with its arguments
    #[arg(
        value_name = "COMMAND",
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    pub command: Vec<String>,
    /// Forward standard input to the command
    #[arg(short, long, value_parser = FalseyValueParser::new())]
    pub interactive: bool,
    /// Allocate a terminal, even if dockctl is not running in one
    #[arg(short, long, value_parser = FalseyValueParser::new())]
    pub tty: bool,
    /// Do not allocate a terminal, even if dockctl is running in one
    #[arg(short = 'T', long, value_parser = FalseyValueParser::new(), conflicts_with = "tty")]
    pub no_tty: bool,
    /// Environment variable: NAME=VALUE, or NAME to pass its current value (repeatable)
    #[arg(short, long = "env", value_name = "NAME[=VALUE]")]
    pub environment: Vec<String>,
    /// User to run the command as
    #[arg(short, long, value_name = "USER")]
    pub user: Option<String>,
    /// Working directory of the command
    #[arg(short, long, value_name = "DIR")]
    pub workdir: Option<String>,
    /// Name of the deployment [default: derived from the blueprint in this directory]
    #[arg(short, long, value_name = "NAME", env = "DOCKCTL_DEPLOYMENT", add = ArgValueCompleter::new(deployments))]
    pub deployment: Option<String>,
}

/// Instance filters. An instance must match every kind of filter that is set.
#[derive(Args, Clone, Debug)]
pub(crate) struct SelectionArgs {
    /// Only instances of this node (repeatable)
    #[arg(long = "node", value_name = "NODE")]
    pub nodes: Vec<String>,
    /// Only this instance, by ID or container name (repeatable)
    #[arg(long = "instance", value_name = "INSTANCE")]
    pub instances: Vec<String>,
    /// Only instances of nodes of this type or a derived type (repeatable)
    #[arg(long = "type", value_name = "TYPE")]
    pub types: Vec<String>,
}

impl SelectionArgs {
    /// Returns the flags that select the same instances.
    fn words(&self) -> Vec<String> {
        let mut words = repeated_flag("node", &self.nodes);
        words.extend(repeated_flag("instance", &self.instances));
        words.extend(repeated_flag("type", &self.types));
        words
    }
}

#[derive(Args, Clone, Debug)]
pub(crate) struct OperationArgs {
    /// Operation as INTERFACE.OPERATION, or only OPERATION if that is unambiguous
    #[arg(value_name = "OPERATION")]
    pub operation: String,
    /// Input of the operation: KEY=TEXT, KEY:=YAML, or a file (repeatable)
    #[arg(long = "kwarg", value_name = "INPUT")]
    pub kwargs: Vec<String>,
    /// Allow --kwarg to override inputs from the blueprint
    #[arg(long, value_parser = FalseyValueParser::new())]
    pub allow_override: bool,
    /// Run on each instance after its dependencies
    #[arg(long, value_parser = FalseyValueParser::new())]
    pub in_order: bool,
    #[command(flatten)]
    pub selection: SelectionArgs,
    /// Name of the deployment [default: derived from the blueprint in this directory]
    #[arg(short, long, value_name = "NAME", env = "DOCKCTL_DEPLOYMENT", add = ArgValueCompleter::new(deployments))]
    pub deployment: Option<String>,
}

impl OperationArgs {
    /// Returns the command line that repeats this request, without the deployment.
    pub(crate) fn words(&self) -> Vec<String> {
        let mut words = vec!["execute-operation".to_owned(), self.operation.clone()];
        words.extend(repeated_flag("kwarg", &self.kwargs));
        words.extend(self.selection.words());
        words.extend(switch_flag(self.allow_override, "--allow-override"));
        words.extend(switch_flag(self.in_order, "--in-order"));
        words
    }
}

#[derive(Args, Clone, Debug)]
pub(crate) struct ExecutionArgs {
    /// ID of the execution, or name of its deployment [default: latest execution of the deployment]
    #[arg(value_name = "EXECUTION", add = ArgValueCompleter::new(executions))]
    pub execution: Option<String>,
    /// Name of the deployment [default: derived from the blueprint in this directory]
    #[arg(short, long, value_name = "NAME", env = "DOCKCTL_DEPLOYMENT", add = ArgValueCompleter::new(deployments))]
    pub deployment: Option<String>,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct InputArgs {
    /// Input: KEY=TEXT, KEY:=YAML, or a YAML/JSON file, directory or glob (repeatable; last wins)
    #[arg(short, long = "input", value_name = "INPUT")]
    pub inputs: Vec<String>,
}

/// Inputs that are not stored.
#[derive(Args, Clone, Debug)]
pub(crate) struct SensitiveArgs {
    /// Sensitive input to pass again: KEY=TEXT, KEY:=YAML, or a file (repeatable)
    #[arg(short, long = "input", value_name = "INPUT")]
    pub inputs: Vec<String>,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct DeploymentArgs {
    /// Name of the deployment [default: derived from the blueprint in this directory]
    #[arg(value_name = "DEPLOYMENT", add = ArgValueCompleter::new(deployments))]
    pub name: Option<String>,
    /// Same as the DEPLOYMENT argument
    #[arg(short, long, value_name = "NAME", env = "DOCKCTL_DEPLOYMENT", add = ArgValueCompleter::new(deployments))]
    pub deployment: Option<String>,
}

impl DeploymentArgs {
    /// Returns the name from the argument or the flag. A name on the command line overrides
    /// `DOCKCTL_DEPLOYMENT`.
    pub(crate) fn given(&self) -> Result<Option<&str>, CliError> {
        let from_environment = std::env::var("DOCKCTL_DEPLOYMENT").ok();
        let is_typed = |name: &str| from_environment.as_deref() != Some(name);
        match (self.name.as_deref(), self.deployment.as_deref()) {
            (Some(name), Some(other)) if name != other && is_typed(other) => {
                Err(conflicting_deployments(name, other))
            }
            (name, other) => Ok(name.or(other)),
        }
    }
}

fn conflicting_deployments(name: &str, other: &str) -> CliError {
    CliError::usage(format!(
        "the command line names two deployments: `{name}` and `{other}`"
    ))
    .hint("name only one")
}

#[cfg(test)]
mod tests {
    use super::Cli;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
