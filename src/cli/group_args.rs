//! Arguments of `dockctl group`.
#![allow(
    clippy::doc_markdown,
    rustdoc::bare_urls,
    reason = "these comments are the help text"
)]

use super::{
    args::RunArgs,
    completions::deployments,
    infrakit_args::{DirectoryArgs, duration, tag},
};
use clap::{Args, Subcommand, builder::FalseyValueParser};
use clap_complete::ArgValueCompleter;
use std::{path::PathBuf, time::Duration};

#[derive(Args, Clone, Debug)]
pub(crate) struct GroupArgs {
    #[command(flatten)]
    pub directory: DirectoryArgs,
    #[command(subcommand)]
    pub command: GroupCommand,
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum GroupCommand {
    /// Create a group from its specification, or change it
    #[command(
        after_help = "Examples:\n  dockctl group commit web.json\n  dockctl group commit --pretend web.yaml --var size=3\n  curl -s https://example.com/web.json | dockctl group commit -"
    )]
    Commit(Box<CommitArgs>),
    /// List the instances of a group
    #[command(
        after_help = "Examples:\n  dockctl group describe web\n  dockctl group describe web -r"
    )]
    Describe {
        #[command(flatten)]
        group: GroupArg,
        /// Print no header
        #[arg(short, long)]
        quiet: bool,
        #[command(flatten)]
        raw: RawArgs,
        #[command(flatten)]
        yes: LongYesArg,
    },
    /// Print the specification of a group
    #[command(after_help = "Example:\n  dockctl group inspect web -y")]
    Inspect {
        #[command(flatten)]
        group: GroupArg,
        #[command(flatten)]
        raw: RawArgs,
        #[command(flatten)]
        yes: LongYesArg,
    },
    /// List the groups
    #[command(after_help = "Example:\n  dockctl group ls -q")]
    Ls {
        /// Print no header
        #[arg(short, long)]
        quiet: bool,
    },
    /// Give up a group; its instances stay
    #[command(
        after_help = "Example:\n  dockctl group free web\n\nA later commit takes the instances back."
    )]
    Free {
        #[command(flatten)]
        group: GroupArg,
    },
    /// Remove a group and its instances
    #[command(after_help = "Example:\n  dockctl group destroy web --yes")]
    Destroy {
        #[command(flatten)]
        group: GroupArg,
        #[command(flatten)]
        run: RunArgs,
    },
    /// Show or change the number of instances of a group
    #[command(after_help = "Examples:\n  dockctl group scale web\n  dockctl group scale web 5")]
    Scale {
        #[command(flatten)]
        group: GroupArg,
        /// New number of instances
        #[arg(value_name = "SIZE", allow_negative_numbers = true)]
        size: Option<i64>,
        #[command(flatten)]
        run: RunArgs,
    },
    /// Remove instances of a group, and reduce its size by their number
    #[command(after_help = "Example:\n  dockctl group destroy-instances web 5ebb24d53ee8")]
    DestroyInstances {
        #[command(flatten)]
        group: GroupArg,
        /// IDs or names of the instances
        #[arg(value_name = "INSTANCE", required = true)]
        instances: Vec<String>,
        #[command(flatten)]
        run: RunArgs,
    },
}

/// `--yes` without its short form: `-y` stands for YAML, as in the original. The global argument of
/// this name is not added to a command that has its own.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct LongYesArg {
    /// Answer yes to all questions
    #[arg(long, value_parser = FalseyValueParser::new())]
    pub yes: bool,
}

/// A group.
#[derive(Args, Clone, Debug)]
pub(crate) struct GroupArg {
    /// ID of the group
    #[arg(value_name = "ID", add = ArgValueCompleter::new(deployments))]
    pub id: String,
}

/// Output as data.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct RawArgs {
    /// Print JSON
    #[arg(short, long)]
    pub raw: bool,
    /// Print YAML
    #[arg(short, long)]
    pub yaml: bool,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct CommitArgs {
    /// Specification in JSON or YAML: a file, an http(s) address, or - for standard input
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Accepted as in the original: dockctl recognizes YAML
    #[arg(short, long)]
    pub yaml: bool,
    /// Variable of the templates in the specification (repeatable)
    #[arg(long = "var", value_name = "KEY=VALUE", value_parser = tag)]
    pub variables: Vec<(String, String)>,
    /// Show what the commit would do; change nothing
    #[arg(long)]
    pub pretend: bool,
    /// Take over containers that dockctl did not create and that have the tag of the group
    #[arg(long)]
    pub take_over: bool,
    /// Maximum number of instances that an update may take out of service at once [default: 1]
    #[arg(long, value_name = "N", value_parser = super::args::positive_integer::<usize>)]
    pub max_unavailable: Option<usize>,
    /// Time to wait before an update replaces the next instance, such as 10s
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub pause: Option<Duration>,
    /// Time between two checks: what `Count` of the specification counts
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = duration)]
    pub poll_interval: Duration,
    #[command(flatten)]
    pub run: RunArgs,
    #[command(flatten)]
    pub yes: LongYesArg,
}
