//! The command line as it is typed.
#![allow(
    clippy::doc_markdown,
    rustdoc::bare_urls,
    reason = "these comments are the help text"
)]

use super::{
    completions::{deployments, executions, instances, nodes},
    error::CliError,
};
use crate::{engine::ANSWER, operate::settings::RunOptions, stage::parameters::Update};
use clap::{Args, Parser, Subcommand, ValueEnum, builder::FalseyValueParser};
use clap_complete::ArgValueCompleter;
use std::{path::PathBuf, time::Duration};

/// Installs Cloudify blueprints on a Docker engine, and takes them down again.
#[derive(Debug, Parser)]
#[command(
    name = "dockctl",
    version,
    max_term_width = 100,
    after_help = "Exit codes: 0 done, 1 failed, 2 usage, 3 invalid blueprint or inputs, 4 no engine, 5 busy, 6 differences, 130 interrupted"
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

/// Flags of every command. Each can be set by an environment variable too.
#[expect(clippy::struct_excessive_bools, reason = "switches")]
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// Engine to use, such as unix:///var/run/docker.sock or tcp://HOST:2375 [default: as the
    /// docker command]
    #[arg(long, global = true, env = "DOCKCTL_HOST", value_name = "ADDRESS")]
    pub host: Option<String>,
    /// Docker context to use
    #[arg(long, global = true, env = "DOCKCTL_CONTEXT", value_name = "NAME")]
    pub context: Option<String>,
    /// Folder with everything that dockctl remembers [default: $XDG_STATE_HOME/dockctl]
    #[arg(long, global = true, env = "DOCKCTL_STATE_DIR", value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// Steps that run at once
    #[arg(long, global = true, env = "DOCKCTL_PARALLEL", value_name = "N", default_value = "10", value_parser = at_least_one::<u16>)]
    pub parallel: u16,
    /// How often a failed operation is repeated; -1 for ever
    #[arg(long, global = true, env = "DOCKCTL_TASK_RETRIES", value_name = "N", default_value = "5", allow_negative_numbers = true, value_parser = retries)]
    pub task_retries: i32,
    /// Seconds before the first repetition; later pauses grow up to a minute
    #[arg(long, global = true, env = "DOCKCTL_TASK_RETRY_INTERVAL", value_name = "SECONDS", default_value = "3", allow_negative_numbers = true, value_parser = seconds)]
    pub task_retry_interval: f64,
    /// Longest wait for one answer of the engine, in seconds
    #[arg(long, global = true, env = "DOCKCTL_ENGINE_TIMEOUT", value_name = "SECONDS", default_value_t = ANSWER, value_parser = at_least_one::<u64>)]
    pub engine_timeout: u64,
    /// Executions of a deployment that are remembered
    #[arg(long, global = true, env = "DOCKCTL_KEEP_HISTORY", value_name = "N", default_value = "20", value_parser = at_least_one::<u16>)]
    pub keep_history: u16,
    /// Do without the guard on the engine that keeps other machines from working on the deployment
    #[arg(long, global = true, env = "DOCKCTL_NO_GUARD", value_parser = FalseyValueParser::new())]
    pub no_guard: bool,
    /// Form of the result on standard output
    #[arg(
        long,
        global = true,
        env = "DOCKCTL_OUTPUT",
        value_name = "FORMAT",
        default_value = "text"
    )]
    pub output: Output,
    /// How progress is shown on standard error
    #[arg(
        long,
        global = true,
        env = "DOCKCTL_PROGRESS",
        value_name = "HOW",
        default_value = "auto"
    )]
    pub progress: ProgressMode,
    /// Treat warnings as errors
    #[arg(long, global = true, env = "DOCKCTL_STRICT", value_parser = FalseyValueParser::new())]
    pub strict: bool,
    /// Never ask the network for imports: only files, bundled types and the cache
    #[arg(long, global = true, env = "DOCKCTL_OFFLINE", value_parser = FalseyValueParser::new())]
    pub offline: bool,
    /// Try imports that start with PREFIX with REPLACEMENT in its place first (repeatable)
    #[arg(long = "import-rule", global = true, env = "DOCKCTL_IMPORT_RULE", value_delimiter = '\n', value_name = "PREFIX=REPLACEMENT", value_parser = import_rule)]
    pub import_rules: Vec<(String, String)>,
    /// Folder where imports from the network are kept [default: $XDG_CACHE_HOME/dockctl]
    #[arg(long, global = true, env = "DOCKCTL_CACHE_DIR", value_name = "DIR")]
    pub cache_dir: Option<PathBuf>,
    /// File of secrets, or folder with a file a secret (repeatable); the environment goes first
    #[arg(long, global = true, env = "DOCKCTL_SECRETS", value_name = "PATH")]
    pub secrets: Vec<PathBuf>,
    /// Make the ids of instances reproducible
    #[arg(long, global = true, env = "DOCKCTL_SEED", value_name = "N", value_parser = whole::<u64>)]
    pub seed: Option<u64>,
    /// Show what the engine is asked; twice for more
    #[arg(short, long, global = true, env = "DOCKCTL_VERBOSE", action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// When to use colours
    #[arg(
        long,
        global = true,
        env = "DOCKCTL_COLOR",
        value_name = "WHEN",
        default_value = "auto"
    )]
    pub color: Color,
    /// Do not ask before destructive work
    #[arg(short, long, global = true, env = "DOCKCTL_YES", value_parser = FalseyValueParser::new())]
    pub yes: bool,
}

/// Reads a rule: what an address starts with, and what is put in its place.
fn import_rule(text: &str) -> Result<(String, String), String> {
    let (prefix, replacement) = text
        .split_once('=')
        .filter(|(prefix, _)| !prefix.is_empty())
        .ok_or("it is PREFIX=REPLACEMENT")?;
    Ok((prefix.to_owned(), replacement.to_owned()))
}

/// Reads a number from 0 up.
fn whole<T: TryFrom<u64>>(text: &str) -> Result<T, String> {
    let number = text
        .parse()
        .map_err(|_| "it must be a whole number from 0 up".to_owned())?;
    T::try_from(number).map_err(|_| "it is too large".to_owned())
}

/// Reads a number from 1 up.
fn at_least_one<T: TryFrom<u64>>(text: &str) -> Result<T, String> {
    match text {
        "0" => Err("it must be 1 at least".to_owned()),
        _ => whole(text).map_err(|why| why.replace("from 0 up", "from 1 up")),
    }
}

/// Reads how often something is repeated.
fn retries(text: &str) -> Result<i32, String> {
    text.parse()
        .ok()
        .filter(|number| *number >= -1)
        .ok_or_else(|| "it must be a whole number from 0 up, or -1".to_owned())
}

/// Reads seconds: a number from 0 up.
fn seconds(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|seconds: &f64| seconds.is_finite() && *seconds >= 0.0)
        .ok_or_else(|| "it must be a number from 0 up".to_owned())
}

/// Reads seconds between two looks.
fn pause(text: &str) -> Result<f64, String> {
    Some(seconds(text)?)
        .filter(|pause| *pause >= 0.1)
        .ok_or_else(|| "it must be 0.1 at least".to_owned())
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Output {
    /// For people
    Text,
    /// One JSON document
    Json,
    /// Annotations for GitHub workflows (validate)
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
    /// For people
    Text,
    /// NAME=VALUE, one a line
    Env,
    /// Commands that set variables of a shell
    Shell,
    /// One JSON object
    Json,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum GraphFormat {
    /// A picture that needs no other program
    Svg,
    /// For Graphviz
    Dot,
    /// For Markdown
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
    /// A live view on a terminal, else plain lines
    Auto,
    /// A live view
    Tty,
    /// A line an event
    Plain,
    /// A JSON object an event
    Json,
    /// Nothing
    Quiet,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Color {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    Always,
    Never,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Create a deployment and start everything in it (goes on with an unfinished one)
    #[command(
        after_help = "Examples:\n  dockctl install blueprint.yaml\n  dockctl install blueprints/hello -i port=8081 -d hello-2"
    )]
    Install {
        #[command(flatten)]
        blueprint: BlueprintArgs,
        /// Go on without the operations that nothing here can run
        #[arg(long, value_parser = FalseyValueParser::new())]
        skip_unsupported: bool,
        /// If it fails, take back what it created
        #[arg(long, value_parser = FalseyValueParser::new())]
        rollback_on_failure: bool,
        /// Do exactly what this plan says, or nothing
        #[arg(long, value_name = "FILE")]
        plan: Option<PathBuf>,
        #[command(flatten)]
        run: RunArgs,
    },
    /// Change a running deployment to match its edited blueprint or other inputs
    #[command(
        after_help = "What can be changed as it runs is (limits, restart policy); else a new container takes the place of the old one, which goes on if the new one does not work.\n\nExamples:\n  dockctl update\n  dockctl update blueprints/hello -i port=8082 --start-first\n  dockctl update --max-unavailable 2 --yes"
    )]
    Update {
        #[command(flatten)]
        blueprint: BlueprintArgs,
        /// Go on without the operations that nothing here can run
        #[arg(long, value_parser = FalseyValueParser::new())]
        skip_unsupported: bool,
        /// Do exactly what this plan says, or nothing
        #[arg(long, value_name = "FILE")]
        plan: Option<PathBuf>,
        #[command(flatten)]
        rolling: RollingArgs,
        #[command(flatten)]
        run: RunArgs,
    },
    /// Take a deployment down, in reverse order
    #[command(
        after_help = "Examples:\n  dockctl uninstall hello\n  dockctl uninstall --yes\n  dockctl uninstall hello --volumes --yes\n  dockctl uninstall hello --from-labels 4k2j9x0q7b1m"
    )]
    Uninstall {
        #[command(flatten)]
        deployment: DeploymentArgs,
        /// Take down what only labels on the engine name; an id tells deployments of one name apart
        #[arg(long, value_name = "ID", num_args = 0..=1, default_missing_value = "")]
        from_labels: Option<String>,
        /// Remove the volumes of the deployment too, with everything in them
        #[arg(long, value_parser = FalseyValueParser::new())]
        volumes: bool,
        /// Note operations that fail and go on, without repeating them
        #[arg(long, value_parser = FalseyValueParser::new())]
        ignore_failure: bool,
        #[command(flatten)]
        inputs: SensitiveArgs,
        #[command(flatten)]
        run: RunArgs,
    },
    /// Run a workflow on a deployment: one that the blueprint declares, or one that is built in
    #[command(
        after_help = "Built in: install, uninstall, start, stop, restart, pull, reinstall, heal, rollback, execute_operation, check_status, check_drift.\n\nExamples:\n  dockctl execute restart -d hello\n  dockctl execute reinstall -p node_ids=web\n  dockctl execute heal -p node_instance_id=web_k3j9x0 -p allow_reinstall=false"
    )]
    Execute {
        /// Name of the workflow
        #[arg(value_name = "WORKFLOW")]
        workflow: String,
        /// Parameter of the workflow: KEY=VALUE, KEY:=YAML, or a file (repeatable)
        #[arg(short, long = "parameter", value_name = "PARAMETER")]
        parameters: Vec<String>,
        /// Deployment [default: named after the blueprint here]
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
    /// Start instances that are stopped, each after those it needs
    #[command(after_help = "Examples:\n  dockctl start -d hello\n  dockctl start web db")]
    Start {
        #[command(flatten)]
        instances: InstancesArgs,
        #[command(flatten)]
        inputs: SensitiveArgs,
        #[command(flatten)]
        run: RunArgs,
    },
    /// Stop instances, those that need others first; heal leaves them alone until they are started
    /// again
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
    /// Take instances down and install them anew
    #[command(
        after_help = "Examples:\n  dockctl reinstall web\n  dockctl reinstall -d hello --yes"
    )]
    Reinstall {
        #[command(flatten)]
        instances: InstancesArgs,
        /// Note operations that fail while taking down and go on, without repeating them
        #[arg(long, value_parser = FalseyValueParser::new())]
        ignore_failure: bool,
        #[command(flatten)]
        inputs: SensitiveArgs,
        #[command(flatten)]
        run: RunArgs,
    },
    /// Add or remove instances of a node or a scaling group
    #[command(
        after_help = "Where instances go, those with the highest numbers go first.\n\nExamples:\n  dockctl scale web --to 3\n  dockctl scale web --delta -1 --keep web_k3j9x0\n  dockctl scale tier --delta +2 -d hello"
    )]
    Scale {
        #[command(flatten)]
        scale: ScaleArgs,
        #[command(flatten)]
        inputs: SensitiveArgs,
        #[command(flatten)]
        run: RunArgs,
    },
    /// Start what died, and make anew what is missing or unhealthy
    #[command(
        after_help = "What `dockctl stop` stopped is left alone. With --watch, so is what somebody stops or kills by hand, until it is started again.\n\nExamples:\n  dockctl heal -d hello\n  dockctl heal web --once\n  dockctl heal -d hello --watch --budget 3 --cool-down 30"
    )]
    Heal {
        #[command(flatten)]
        instances: InstancesArgs,
        /// Keep doing it, until Ctrl-C
        #[arg(short, long, value_parser = FalseyValueParser::new())]
        watch: bool,
        /// Do it once; that is the default
        #[arg(long, value_parser = FalseyValueParser::new(), conflicts_with = "watch")]
        once: bool,
        /// With --watch: how often an instance is mended within an hour
        #[arg(long, value_name = "N", default_value = "5", value_parser = at_least_one::<usize>, requires = "watch")]
        budget: usize,
        /// With --watch: least seconds between two mends of an instance
        #[arg(long, value_name = "SECONDS", default_value = "10", allow_negative_numbers = true, value_parser = seconds, requires = "watch")]
        cool_down: f64,
        #[command(flatten)]
        inputs: SensitiveArgs,
        #[command(flatten)]
        run: RunArgs,
    },
    /// Draw who needs whom
    #[command(
        after_help = "Examples:\n  dockctl graph --format svg --out graph.svg\n  dockctl graph blueprints/nodecellar --format mermaid\n  dockctl graph --live -d hello --focus web --format dot | dot -Tpng > hello.png"
    )]
    Graph {
        #[command(flatten)]
        graph: GraphArgs,
    },
    /// Show what containers write
    #[command(
        after_help = "Examples:\n  dockctl logs web --follow\n  dockctl logs -d hello --since 10m --tail 100"
    )]
    Logs {
        #[command(flatten)]
        logs: LogsArgs,
    },
    /// Run a command in the container of an instance; its exit code is dockctl's (125 for a fault
    /// of dockctl)
    #[command(
        after_help = "Examples:\n  dockctl exec web sh\n  dockctl exec web -- cat /etc/hosts\n  echo hello | dockctl exec -i web cat"
    )]
    Exec {
        #[command(flatten)]
        exec: ExecArgs,
    },
    /// Go on with an execution that failed, was cancelled, or whose process died
    #[command(after_help = "Examples:\n  dockctl resume -d hello\n  dockctl resume k3j9x0ab")]
    Resume {
        #[command(flatten)]
        execution: ExecutionArgs,
        #[command(flatten)]
        inputs: SensitiveArgs,
        /// If an install fails again, take back what it created
        #[arg(long, value_parser = FalseyValueParser::new())]
        rollback_on_failure: bool,
        /// Note operations of an uninstall that fail and go on, without repeating them
        #[arg(long, value_parser = FalseyValueParser::new())]
        ignore_failure: bool,
        #[command(flatten)]
        run: RunArgs,
    },
    /// Ask the run that works on a deployment to stop: nothing new starts, running steps finish
    #[command(
        after_help = "Examples:\n  dockctl cancel -d hello\n  dockctl cancel k3j9x0ab --force"
    )]
    Cancel {
        #[command(flatten)]
        execution: ExecutionArgs,
        /// Drop running steps at once; the next run settles what came of them
        #[arg(long, value_parser = FalseyValueParser::new())]
        force: bool,
        /// Do not wait until it has stopped
        #[arg(long, value_parser = FalseyValueParser::new())]
        no_wait: bool,
    },
    /// Rebuild what is known of a deployment from the labels on the engine
    #[command(
        after_help = "Examples:\n  dockctl recover hello\n  dockctl recover hello --id 4k2j9x0q7b1m"
    )]
    Recover {
        #[command(flatten)]
        deployment: DeploymentArgs,
        /// Id of the deployment, if several have the name
        #[arg(long, value_name = "ID")]
        id: Option<String>,
    },
    /// Remove the guard that a dead run left on the engine
    #[command(after_help = "Examples:\n  dockctl unlock hello")]
    Unlock {
        #[command(flatten)]
        deployment: DeploymentArgs,
        /// Remove it even if its run may be at work
        #[arg(long, value_parser = FalseyValueParser::new())]
        force: bool,
    },
    /// Find all faults of blueprints, without any engine
    #[command(
        after_help = "Examples:\n  dockctl validate\n  dockctl validate blueprints/*/blueprint.yaml --output json"
    )]
    Validate {
        /// Blueprints, or folders with one [default: blueprint.yaml]
        #[arg(value_name = "BLUEPRINT")]
        blueprints: Vec<PathBuf>,
        #[command(flatten)]
        inputs: InputArgs,
    },
    /// Show what was understood of a blueprint: types flattened, defaults filled in, references
    /// resolved
    #[command(
        after_help = "Examples:\n  dockctl inspect\n  dockctl inspect --deploy -i port=8081 --seed 1 --output json"
    )]
    Inspect {
        /// Blueprint, or a folder with one [default: blueprint.yaml]
        #[arg(value_name = "BLUEPRINT")]
        blueprint: Option<PathBuf>,
        /// Apply inputs and show the instances
        #[arg(long, value_parser = FalseyValueParser::new())]
        deploy: bool,
        #[command(flatten)]
        inputs: InputArgs,
    },
    /// Explain a code such as D0033, or `params`; without either, list all codes
    #[command(
        after_help = "Examples:\n  dockctl explain D0033\n  dockctl explain params\n  dockctl explain --output markdown > errors.md"
    )]
    Explain {
        /// Code of a diagnostic, or `params`: all arguments of the docker plugin
        #[arg(value_name = "CODE")]
        code: Option<String>,
    },
    /// Print a JSON Schema of blueprints, for editors
    #[command(after_help = "Example:\n  dockctl schema > blueprint.schema.json")]
    Schema,
    /// Print the script that completes words in a shell: commands, flags, names of deployments and
    /// instances
    #[command(
        after_help = "Examples:\n  source <(dockctl completions bash)\n  dockctl completions zsh > ~/.zfunc/_dockctl\n  dockctl completions fish > ~/.config/fish/completions/dockctl.fish"
    )]
    Completions {
        /// The shell
        #[arg(value_name = "SHELL")]
        shell: Shell,
    },
    /// Print the manual
    #[command(
        after_help = "Examples:\n  dockctl man | man -l -\n  dockctl man --out /usr/local/share/man/man1"
    )]
    Man {
        /// Write a page for each command into a folder
        #[arg(long, value_name = "FOLDER")]
        out: Option<PathBuf>,
    },
    /// Show what install or update would do and why, against the live engine; changes nothing
    #[command(
        after_help = "Examples:\n  dockctl plan blueprints/nodecellar\n  dockctl plan --exit-code && echo nothing to do\n  dockctl plan --out plan.json && dockctl install --plan plan.json\n  dockctl plan --output markdown > comment.md"
    )]
    Plan {
        #[command(flatten)]
        blueprint: BlueprintArgs,
        #[command(flatten)]
        plan: PlanArgs,
    },
    /// Write a blueprint for containers that exist; they are only looked at
    #[command(
        after_help = "Examples:\n  dockctl adopt web db --out blueprint.yaml\n  dockctl adopt --all --filter label=team=web"
    )]
    Adopt {
        /// Names or ids of containers
        #[arg(value_name = "CONTAINER")]
        names: Vec<String>,
        /// All containers that the filters let through
        #[arg(short, long, value_parser = FalseyValueParser::new())]
        all: bool,
        /// With --all: those that fit, such as label=team=web or status=running (repeatable)
        #[arg(short, long = "filter", value_name = "KEY=VALUE", requires = "all")]
        filters: Vec<String>,
        /// Write the blueprint to a file
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Show the instances of a deployment, their states and their drift (ps, too)
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
        /// With those that are taken down, and those that only the engine's labels tell of
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
        /// How they are written
        #[arg(long, value_name = "FORMAT", default_value = "text")]
        format: OutputsFormat,
    },
    /// Show what happened to a deployment; with an id, everything that happened in one execution
    #[command(
        after_help = "Examples:\n  dockctl executions -d hello\n  dockctl executions k3j9x0ab -d hello\n  dockctl executions k3j9x0ab --output junit > report.xml"
    )]
    Executions {
        /// Id of an execution
        #[arg(value_name = "ID", add = ArgValueCompleter::new(executions))]
        id: Option<String>,
        /// Deployment [default: named after the blueprint here]
        #[arg(short, long, value_name = "NAME", env = "DOCKCTL_DEPLOYMENT", add = ArgValueCompleter::new(deployments))]
        deployment: Option<String>,
    },
}

#[derive(Args, Clone, Debug)]
pub(crate) struct BlueprintArgs {
    /// Blueprint, or a folder with one [default: blueprint.yaml]
    pub blueprint: Option<PathBuf>,
    /// Name of the deployment [default: named after the blueprint]
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
    /// Exit with 6 if there is anything to do
    #[arg(long, value_parser = FalseyValueParser::new())]
    pub exit_code: bool,
    /// Write the plan to a file, for `install --plan` or `update --plan`
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
    /// Exit with 6 if anything has drifted
    #[arg(long, value_parser = FalseyValueParser::new())]
    pub exit_code: bool,
    /// Look again every so many seconds, until Ctrl-C [default: 2]
    #[arg(short, long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "2", require_equals = true, value_parser = pause)]
    pub watch: Option<f64>,
}

/// How an update goes about.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct RollingArgs {
    /// How many instances of a node an update may have out of service at once [default: 1]
    #[arg(long, value_name = "N", value_parser = at_least_one::<usize>)]
    pub max_unavailable: Option<usize>,
    /// Let an update start the new container before the old one is stopped, unless it has a fixed
    /// port
    #[arg(long, value_parser = FalseyValueParser::new())]
    pub start_first: bool,
}

impl RollingArgs {
    pub(crate) fn parameters(&self) -> Update {
        Update {
            max_unavailable: self.max_unavailable,
            start_first: self.start_first,
        }
    }
}

/// How a run is carried out.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct RunArgs {
    /// Start nothing new once something failed
    #[arg(long, value_parser = FalseyValueParser::new())]
    pub fail_fast: bool,
    /// How often instances that failed are taken down and tried anew
    #[arg(long, value_name = "N", default_value = "0", allow_negative_numbers = true, value_parser = whole::<u16>)]
    pub subgraph_retries: u16,
    /// Give up when the run takes longer, in seconds
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true, value_parser = seconds)]
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
    /// Ids of instances, names of nodes, or names of containers [default: all]
    #[arg(value_name = "INSTANCE", add = ArgValueCompleter::new(instances))]
    pub instances: Vec<String>,
    /// Deployment [default: named after the blueprint here]
    #[arg(short, long, value_name = "NAME", env = "DOCKCTL_DEPLOYMENT", add = ArgValueCompleter::new(deployments))]
    pub deployment: Option<String>,
}

#[derive(Args, Clone, Debug)]
#[command(group = clap::ArgGroup::new("number").required(true))]
pub(crate) struct ScaleArgs {
    /// Node or scaling group
    #[arg(value_name = "NODE", add = ArgValueCompleter::new(nodes))]
    pub entity: String,
    /// How many there are to be, for each instance of what contains them
    #[arg(long, value_name = "N", allow_negative_numbers = true, group = "number", value_parser = whole::<u32>)]
    pub to: Option<u32>,
    /// How many more; fewer, if it is negative
    #[arg(long, value_name = "±N", allow_negative_numbers = true, group = "number", value_parser = delta)]
    pub delta: Option<i64>,
    /// Instance to remove first (repeatable)
    #[arg(long, value_name = "INSTANCE")]
    pub remove: Vec<String>,
    /// Instance to keep (repeatable)
    #[arg(long, value_name = "INSTANCE")]
    pub keep: Vec<String>,
    /// If something fails, leave what was added as it is
    #[arg(long, value_parser = FalseyValueParser::new())]
    pub no_rollback: bool,
    /// Note operations that fail while taking down and go on, without repeating them
    #[arg(long, value_parser = FalseyValueParser::new())]
    pub ignore_failure: bool,
    /// Deployment [default: named after the blueprint here]
    #[arg(short, long, value_name = "NAME", env = "DOCKCTL_DEPLOYMENT", add = ArgValueCompleter::new(deployments))]
    pub deployment: Option<String>,
}

impl ScaleArgs {
    /// The command as it was typed.
    pub(crate) fn words(&self) -> Vec<String> {
        let mut words = vec!["scale".to_owned(), self.entity.clone()];
        words.extend(self.number());
        words.extend(repeated("remove", &self.remove));
        words.extend(repeated("keep", &self.keep));
        words.extend(switch(self.no_rollback, "--no-rollback"));
        words.extend(switch(self.ignore_failure, "--ignore-failure"));
        words
    }

    /// The number to scale to or by, as a word.
    fn number(&self) -> Option<String> {
        let more = || self.delta.map(|delta| format!("--delta={delta}"));
        self.to.map(|to| format!("--to={to}")).or_else(more)
    }
}

/// A flag once for each of its values.
fn repeated(flag: &str, values: &[String]) -> Vec<String> {
    let word = |value: &String| format!("--{flag}={value}");
    values.iter().map(word).collect()
}

/// A flag without a value, if it is given.
fn switch(is_given: bool, flag: &str) -> Option<String> {
    is_given.then(|| flag.to_owned())
}

/// Reads a difference: a whole number, with or without a sign.
fn delta(text: &str) -> Result<i64, String> {
    text.parse()
        .map_err(|_| "it must be a whole number, such as +1 or -2".to_owned())
}

#[derive(Args, Clone, Debug)]
pub(crate) struct GraphArgs {
    #[command(flatten)]
    pub blueprint: BlueprintArgs,
    /// The language of the picture
    #[arg(long, value_name = "FORMAT", default_value = "svg")]
    pub format: GraphFormat,
    /// Draw the instances of the deployment, coloured by how they are now
    #[arg(long, value_parser = FalseyValueParser::new())]
    pub live: bool,
    /// Only this node, what it needs, and what needs it
    #[arg(long, value_name = "NODE", add = ArgValueCompleter::new(nodes))]
    pub focus: Option<String>,
    /// Write the picture to a file
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct LogsArgs {
    #[command(flatten)]
    pub instances: InstancesArgs,
    /// Show what comes from now on, too, until Ctrl-C
    #[arg(short, long, value_parser = FalseyValueParser::new())]
    pub follow: bool,
    /// Nothing older: 10m, 2h, or a time such as 2026-01-31T12:00:00Z
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Only so many lines from the end of each log
    #[arg(short = 'n', long, value_name = "N", allow_negative_numbers = true, value_parser = whole::<u32>)]
    pub tail: Option<u32>,
    /// With the time of each line
    #[arg(short, long, value_parser = FalseyValueParser::new())]
    pub timestamps: bool,
    /// Without the name of the instance before each line
    #[arg(long, value_parser = FalseyValueParser::new())]
    pub no_prefix: bool,
    #[command(flatten)]
    pub inputs: SensitiveArgs,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct ExecArgs {
    /// Id of the instance, name of its node if that has one only, or name of its container
    #[arg(value_name = "INSTANCE", add = ArgValueCompleter::new(instances))]
    pub instance: String,
    /// The command
    #[arg(
        value_name = "COMMAND",
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    pub command: Vec<String>,
    /// Pass standard input on
    #[arg(short, long, value_parser = FalseyValueParser::new())]
    pub interactive: bool,
    /// Give the command a terminal, even if this is none
    #[arg(short, long, value_parser = FalseyValueParser::new())]
    pub tty: bool,
    /// Give the command no terminal, even if this is one
    #[arg(short = 'T', long, value_parser = FalseyValueParser::new(), conflicts_with = "tty")]
    pub no_tty: bool,
    /// Variable of the command: NAME=VALUE, or NAME for the value that it has here (repeatable)
    #[arg(short, long = "env", value_name = "NAME[=VALUE]")]
    pub environment: Vec<String>,
    /// Who runs the command
    #[arg(short, long, value_name = "USER")]
    pub user: Option<String>,
    /// Folder that the command runs in
    #[arg(short, long, value_name = "FOLDER")]
    pub workdir: Option<String>,
    /// Deployment [default: named after the blueprint here]
    #[arg(short, long, value_name = "NAME", env = "DOCKCTL_DEPLOYMENT", add = ArgValueCompleter::new(deployments))]
    pub deployment: Option<String>,
}

/// Which instances; what is given has to agree.
#[derive(Args, Clone, Debug)]
pub(crate) struct SelectionArgs {
    /// Only instances of this node (repeatable)
    #[arg(long = "node", value_name = "NODE")]
    pub nodes: Vec<String>,
    /// Only this instance, by its id or the name of its container (repeatable)
    #[arg(long = "instance", value_name = "INSTANCE")]
    pub instances: Vec<String>,
    /// Only instances of nodes of this type, or of one derived from it (repeatable)
    #[arg(long = "type", value_name = "TYPE")]
    pub types: Vec<String>,
}

impl SelectionArgs {
    /// The words that choose the same again.
    fn words(&self) -> Vec<String> {
        let mut words = repeated("node", &self.nodes);
        words.extend(repeated("instance", &self.instances));
        words.extend(repeated("type", &self.types));
        words
    }
}

#[derive(Args, Clone, Debug)]
pub(crate) struct OperationArgs {
    /// Operation, as interface.operation; the last part if that is clear
    #[arg(value_name = "OPERATION")]
    pub operation: String,
    /// Input of the operation: KEY=TEXT, KEY:=YAML, or a file (repeatable)
    #[arg(long = "kwarg", value_name = "INPUT")]
    pub kwargs: Vec<String>,
    /// Inputs may take the place of those that the blueprint gives
    #[arg(long, value_parser = FalseyValueParser::new())]
    pub allow_override: bool,
    /// Each instance after those it needs
    #[arg(long, value_parser = FalseyValueParser::new())]
    pub in_order: bool,
    #[command(flatten)]
    pub selection: SelectionArgs,
    /// Deployment [default: named after the blueprint here]
    #[arg(short, long, value_name = "NAME", env = "DOCKCTL_DEPLOYMENT", add = ArgValueCompleter::new(deployments))]
    pub deployment: Option<String>,
}

impl OperationArgs {
    /// The words that ask for it again, the deployment apart.
    pub(crate) fn words(&self) -> Vec<String> {
        let mut words = vec!["execute-operation".to_owned(), self.operation.clone()];
        words.extend(repeated("kwarg", &self.kwargs));
        words.extend(self.selection.words());
        words.extend(switch(self.allow_override, "--allow-override"));
        words.extend(switch(self.in_order, "--in-order"));
        words
    }
}

#[derive(Args, Clone, Debug)]
pub(crate) struct ExecutionArgs {
    /// Id of the execution, or name of its deployment [default: the last of the deployment here]
    #[arg(value_name = "EXECUTION", add = ArgValueCompleter::new(executions))]
    pub execution: Option<String>,
    /// Deployment [default: named after the blueprint here]
    #[arg(short, long, value_name = "NAME", env = "DOCKCTL_DEPLOYMENT", add = ArgValueCompleter::new(deployments))]
    pub deployment: Option<String>,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct InputArgs {
    /// Input: KEY=TEXT, KEY:=YAML, or a file, folder or pattern of YAML or JSON files (later ones
    /// win)
    #[arg(short, long = "input", value_name = "INPUT")]
    pub inputs: Vec<String>,
}

/// Inputs that are not kept.
#[derive(Args, Clone, Debug)]
pub(crate) struct SensitiveArgs {
    /// Value of a sensitive input, which is not kept: KEY=TEXT, KEY:=YAML, or a file (repeatable)
    #[arg(short, long = "input", value_name = "INPUT")]
    pub inputs: Vec<String>,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct DeploymentArgs {
    /// Deployment [default: named after the blueprint here]
    #[arg(value_name = "DEPLOYMENT", add = ArgValueCompleter::new(deployments))]
    pub name: Option<String>,
    /// Deployment, too
    #[arg(short, long, value_name = "NAME", env = "DOCKCTL_DEPLOYMENT", add = ArgValueCompleter::new(deployments))]
    pub deployment: Option<String>,
}

impl DeploymentArgs {
    /// The name, however it was given. One that is typed beats that of the environment.
    pub(crate) fn given(&self) -> Result<Option<&str>, CliError> {
        let from_environment = std::env::var("DOCKCTL_DEPLOYMENT").ok();
        let is_typed = |name: &str| from_environment.as_deref() != Some(name);
        match (self.name.as_deref(), self.deployment.as_deref()) {
            (Some(name), Some(other)) if name != other && is_typed(other) => {
                Err(two_deployments(name, other))
            }
            (name, other) => Ok(name.or(other)),
        }
    }
}

fn two_deployments(name: &str, other: &str) -> CliError {
    CliError::usage(format!("two deployments are named: `{name}` and `{other}`")).hint("name one")
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
