//! Arguments of `dockctl infrakit`.
#![allow(
    clippy::doc_markdown,
    rustdoc::bare_urls,
    reason = "these comments are the help text"
)]

use clap::{Args, Subcommand, ValueEnum};
use std::{path::PathBuf, time::Duration};

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum InfrakitCommand {
    /// Serve as InfraKit's Docker instance plugin, until SIGTERM or SIGINT
    #[command(
        after_help = "Examples:\n  dockctl infrakit serve\n  dockctl infrakit serve --name docker-prod --namespace-tags stage=prod --log-format json\n  dockctl infrakit serve --listen tcp://127.0.0.1:9000\n\nWhoever can connect to the plugin can start containers."
    )]
    Serve(Box<ServeArgs>),
    /// Call an InfraKit instance plugin
    Instance(Box<InstanceArgs>),
}

/// Directory of plugins.
#[derive(Args, Clone, Debug)]
pub(crate) struct DirectoryArgs {
    /// Directory of InfraKit's plugins [default: $INFRAKIT_HOME/plugins, or ~/.infrakit/plugins]
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        env = "INFRAKIT_PLUGINS_DIR",
        hide_env_values = true
    )]
    pub plugins_dir: Option<PathBuf>,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct ServeArgs {
    /// Name of the plugin: the name of its socket in the directory of plugins
    #[arg(long, value_name = "NAME", default_value = "instance-docker")]
    pub name: String,
    #[command(flatten)]
    pub directory: DirectoryArgs,
    /// Engine: unix:///PATH, tcp://HOST:PORT or ssh://USER@HOST [default: same as --host]
    #[arg(long, value_name = "ADDRESS")]
    pub url: Option<String>,
    /// Engine of a subtype: clients call it as PLUGIN/NAME (repeatable)
    #[arg(long = "subtype", value_name = "NAME=ADDRESS", value_parser = subtype)]
    pub subtypes: Vec<(String, String)>,
    /// Tags of all instances; only instances with these tags are listed
    #[arg(long, value_name = "KEY=VALUE,...", value_delimiter = ',', env = "INFRAKIT_DOCKER_NAMESPACE_TAGS", hide_env_values = true, value_parser = tag)]
    pub namespace_tags: Vec<(String, String)>,
    /// Longest time for the script of an instance, such as 90s or 10m
    #[arg(long, value_name = "DURATION", default_value = "300s", value_parser = duration)]
    pub init_timeout: Duration,
    /// Listen on TCP in place of a socket: on this machine, or anywhere with TLS
    #[arg(long, value_name = "tcp://HOST:PORT")]
    pub listen: Option<String>,
    /// Certificate of the plugin, with its chain (PEM)
    #[arg(long, value_name = "FILE", requires_all = ["tls_key", "tls_client_ca"])]
    pub tls_cert: Option<PathBuf>,
    /// Key of the plugin (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// Certificates that sign those of clients (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_client_ca: Option<PathBuf>,
    /// Serve groups too: a group plugin and the vanilla flavor plugin
    #[arg(long)]
    pub groups: bool,
    /// Name of the group plugin
    #[arg(
        long,
        value_name = "NAME",
        default_value = "group",
        requires = "groups"
    )]
    pub group_name: String,
    /// Name of the flavor plugin
    #[arg(
        long,
        value_name = "NAME",
        default_value = "flavor-vanilla",
        requires = "groups"
    )]
    pub flavor_name: String,
    /// Time between two checks of a group; events of the engine are handled at once
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = duration, requires = "groups")]
    pub poll_interval: Duration,
    /// Take over containers that dockctl did not create and that have the tag of a group
    #[arg(long, requires = "groups")]
    pub take_over: bool,
    /// What to log: 0 to 2 errors, 3 warnings, 4 requests that change something, 5 all requests
    #[arg(long, value_name = "LEVEL", default_value = "4", value_parser = clap::value_parser!(u8).range(0..=5))]
    pub log: u8,
    /// Format of the log on standard error
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub log_format: LogFormat,
    /// Accepted as in the original plugin: dockctl negotiates the version of the engine's API
    #[arg(long = "version", value_name = "VERSION", hide_short_help = true)]
    pub api_version: Option<String>,
    /// Accepted as in the original plugin, which does not use it either
    #[arg(long, value_name = "N", hide_short_help = true)]
    pub retries: Option<u32>,
}

/// Format of the log.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum LogFormat {
    /// One line of text per entry
    #[value(alias("term"), alias("logfmt"))]
    Text,
    /// One JSON object per line
    Json,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct InstanceArgs {
    /// The plugin: its name, NAME/SUBTYPE, or its address
    #[arg(
        long,
        global = true,
        value_name = "PLUGIN",
        default_value = "instance-docker"
    )]
    pub name: String,
    #[command(flatten)]
    pub directory: DirectoryArgs,
    /// Longest time to wait for the plugin, such as 15s or 1m30s
    #[arg(long, global = true, value_name = "DURATION", default_value = "15s", env = "INFRAKIT_CLIENT_TIMEOUT", hide_env_values = true, value_parser = duration)]
    pub timeout: Duration,
    /// Certificates that sign that of a plugin with TLS (PEM) [default: those of the system]
    #[arg(long, global = true, value_name = "FILE")]
    pub tls_ca: Option<PathBuf>,
    /// Certificate for a plugin with TLS (PEM)
    #[arg(long, global = true, value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// Key of the certificate (PEM)
    #[arg(long, global = true, value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    #[command(subcommand)]
    pub command: InstanceCommand,
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum InstanceCommand {
    /// List instances
    #[command(
        after_help = "Examples:\n  dockctl infrakit instance describe\n  dockctl infrakit instance describe --tags infrakit.group=web --output json"
    )]
    Describe {
        /// List only instances with these tags
        #[arg(long, value_name = "KEY=VALUE,...", value_delimiter = ',', value_parser = tag)]
        tags: Vec<(String, String)>,
        /// Print no header
        #[arg(short, long)]
        quiet: bool,
    },
    /// Create an instance and print its ID
    #[command(
        after_help = "Example:\n  echo '{Properties: {Config: {Image: nginx}}, LogicalID: web1}' | dockctl infrakit instance provision -"
    )]
    Provision {
        /// Specification of the instance, in JSON or YAML: Properties, Tags, Init, LogicalID,
        /// Attachments; - for standard input
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Remove instances
    #[command(after_help = "Example:\n  dockctl infrakit instance destroy 5ebb24d53ee8")]
    Destroy {
        /// IDs of the instances
        #[arg(value_name = "ID", required = true)]
        instances: Vec<String>,
    },
    /// Check the properties of an instance
    #[command(
        after_help = "Example:\n  echo '{Config: {Image: nginx}}' | dockctl infrakit instance validate -"
    )]
    Validate {
        /// Properties, in JSON or YAML; - for standard input
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Set labels of an instance
    #[command(
        after_help = "Example:\n  dockctl infrakit instance label 5ebb24d53ee8 tier=web stage=prod"
    )]
    Label {
        /// ID of the instance
        #[arg(value_name = "ID")]
        instance: String,
        /// Labels
        #[arg(value_name = "KEY=VALUE", required = true, value_parser = tag)]
        labels: Vec<(String, String)>,
    },
}

pub(crate) fn tag(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=').filter(|(key, _)| !key.is_empty());
    let (key, value) = pair.ok_or("must be KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

fn subtype(text: &str) -> Result<(String, String), String> {
    let is_plain = |name: &str| !name.is_empty() && name != "." && !name.contains('/');
    let pair = text
        .split_once('=')
        .filter(|(name, address)| is_plain(name) && !address.is_empty());
    let (name, address) = pair.ok_or("must be NAME=ADDRESS")?;
    Ok((name.to_owned(), address.to_owned()))
}

pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let duration = humantime::parse_duration(text).ok();
    let duration = duration.filter(|duration| !duration.is_zero());
    duration.ok_or_else(|| "must be a duration, such as 15s or 5m".to_owned())
}
