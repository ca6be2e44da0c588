//! `dockctl infrakit`: the plugin, and a client of plugins.

use super::{
    Outcome,
    args::Global,
    config::path_variable,
    error::{CliError, Kind},
    infrakit_args::{DirectoryArgs, InfrakitCommand, InstanceArgs, InstanceCommand, ServeArgs},
    runtime,
    settings::settings,
    terminal::Terminal,
};
use crate::{
    diagnostic::{Diagnostics, Sources, nearest},
    engine::Host,
    operate::Workspace,
    printable::{on_one_line, printable},
    seam::Failure,
    serve::infrakit::{
        self, Description, GroupOptions, Options, Tags, TlsFiles,
        client::{Client, ClientError, ClientTls},
        directory::{self, Address},
    },
    syntax,
};
use serde_json::{Value as Json, json};
use std::{
    collections::BTreeSet,
    env,
    ffi::{OsStr, OsString},
    fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
};
use tokio::task::LocalSet;

/// Name under which the binary is the plugin.
const PLUGIN: &str = "infrakit-instance-docker";
/// Keys of a specification.
const SPEC_KEYS: [&str; 5] = ["Properties", "Tags", "Init", "LogicalID", "Attachments"];
/// Largest file with a specification, in bytes.
const MAX_FILE: u64 = 8 << 20;

/// Returns the arguments of `dockctl infrakit serve`, if dockctl was called by the name of the
/// original plugin.
pub(crate) fn as_plugin(arguments: &[OsString]) -> Option<Vec<OsString>> {
    let (program, rest) = arguments.split_first()?;
    (Path::new(program).file_name()? == PLUGIN).then_some(())?;
    let words: &[&str] = match rest.first().and_then(|first| first.to_str()) {
        Some("version") => return Some(["dockctl", "--version"].map(OsString::from).to_vec()),
        _ => &["dockctl", "infrakit", "serve"],
    };
    Some(
        words
            .iter()
            .map(OsString::from)
            .chain(rest.iter().cloned())
            .collect(),
    )
}

/// Runs a command.
pub(crate) fn infrakit(global: &Global, command: &InfrakitCommand) -> Result<Outcome, CliError> {
    match command {
        InfrakitCommand::Serve(args) => serve(global, args),
        InfrakitCommand::Instance(args) => instance(args),
    }
}

pub(crate) fn plugins_dir(args: &DirectoryArgs) -> Result<PathBuf, CliError> {
    let (infrakit, home) = (path_variable("INFRAKIT_HOME"), path_variable("HOME"));
    directory::path(args.plugins_dir.clone(), infrakit, home).ok_or_else(|| {
        CliError::usage("no directory of plugins: HOME is not set")
            .hint("set it with --plugins-dir DIR")
    })
}

fn serve(global: &Global, args: &ServeArgs) -> Result<Outcome, CliError> {
    let terminal = Terminal::new(global);
    let mut settings = settings(global)?;
    if let Some(url) = &args.url {
        let host = Host::find(Some(url), None);
        let host = host.map(|host| host.with_timeout(global.engine_timeout));
        settings.engine.host = host.map_err(Failure::from);
    }
    let workspace = Workspace::new(settings, &terminal);
    unique("--namespace-tags", &args.namespace_tags)?;
    unique("--subtype", &args.subtypes)?;
    let files = args
        .tls_cert
        .clone()
        .zip(args.tls_key.clone())
        .zip(args.tls_client_ca.clone());
    let options = Options {
        name: args.name.clone(),
        directory: plugins_dir(&args.directory)?,
        listen: args.listen.clone(),
        tls: files.map(|((certificate, key), client_ca)| TlsFiles {
            certificate,
            key,
            client_ca,
        }),
        url: args.url.clone(),
        subtypes: args.subtypes.clone(),
        namespace: args.namespace_tags.iter().cloned().collect(),
        init_timeout: args.init_timeout,
        groups: args.groups.then(|| GroupOptions {
            group_name: args.group_name.clone(),
            flavor_name: args.flavor_name.clone(),
            poll_interval: args.poll_interval,
            takes_over: args.take_over,
        }),
        notify_socket: env::var_os("NOTIFY_SOCKET"),
    };
    runtime()?.block_on(infrakit::serve(&workspace, &options))?;
    Ok(Outcome::silent())
}

/// Fails if a name is given twice.
fn unique(option: &str, pairs: &[(String, String)]) -> Result<(), CliError> {
    let mut names = BTreeSet::new();
    match pairs.iter().find(|(name, _)| !names.insert(name)) {
        Some((name, _)) => Err(CliError::usage(format!("{option} has `{name}` twice"))),
        None => Ok(()),
    }
}

fn instance(args: &InstanceArgs) -> Result<Outcome, CliError> {
    let client = client(args)?;
    let called = async {
        client
            .check("Instance")
            .await
            .map_err(|error| failed(&client, &error))?;
        call(&client, &args.command).await
    };
    runtime()?.block_on(LocalSet::new().run_until(called))
}

/// Returns the client of the plugin that the arguments name.
fn client(args: &InstanceArgs) -> Result<Client, CliError> {
    let given = Address::read(&args.name).map(|address| (address, ""));
    let (address, subtype) = given.map_or_else(|| find(args), Ok)?;
    Ok(Client {
        address,
        subtype: subtype.to_owned(),
        timeout: args.timeout,
        tls: ClientTls {
            ca: args.tls_ca.clone(),
            client: args.tls_cert.clone().zip(args.tls_key.clone()),
        },
    })
}

/// Finds the plugin in the directory. Returns its address and the subtype.
fn find(args: &InstanceArgs) -> Result<(Address, &str), CliError> {
    let (name, subtype) = args.name.split_once('/').unwrap_or((&args.name, ""));
    let directory = plugins_dir(&args.directory)?;
    let found = directory::find(&directory, name);
    let unknown = |why| CliError::usage(why).hint(known_plugins(&directory));
    Ok((found.map_err(unknown)?, subtype))
}

fn known_plugins(directory: &Path) -> String {
    match directory::names(directory) {
        names if names.is_empty() => "start one: dockctl infrakit serve".to_owned(),
        names => format!("plugins in the directory: {}", names.join(", ")),
    }
}

/// Returns the error of a call. A message of dockctl's plugin ends with its advice.
pub(crate) fn failed(client: &Client, error: &ClientError) -> CliError {
    let (message, hints) = match error {
        ClientError::Unreachable(why) => {
            let message = format!("the plugin at {} cannot be reached: {why}", client.address);
            (message, vec!["check that the plugin runs"])
        }
        ClientError::TimedOut(_) => (
            error.to_string(),
            vec!["to wait longer: --timeout DURATION"],
        ),
        _ => (error.to_string(), Vec::new()),
    };
    let mut parts = message.split("\n  = help: ");
    let first = parts.next().unwrap_or_default().to_owned();
    let failed = CliError::new(Kind::Failed, first);
    parts.chain(hints).fold(failed, CliError::hint)
}

async fn call(client: &Client, command: &InstanceCommand) -> Result<Outcome, CliError> {
    let failed = |error: ClientError| failed(client, &error);
    match command {
        InstanceCommand::Describe { tags, quiet } => {
            let all = client.describe(&tags_of(tags)).await.map_err(failed)?;
            Ok(Outcome::new(
                json!({ "instances": documents(&all) }),
                table(&all, *quiet),
            ))
        }
        InstanceCommand::Provision { file } => {
            let spec = read(file)?;
            check_keys(&spec)?;
            let id = client.provision(&spec).await.map_err(failed)?;
            Ok(Outcome::new(
                json!({ "id": id }),
                format!("{}\n", printable(&id)),
            ))
        }
        InstanceCommand::Destroy { instances } => {
            for instance in instances {
                client.destroy(instance).await.map_err(failed)?;
            }
            let text = instances
                .iter()
                .map(|id| format!("destroyed {}\n", printable(id)));
            Ok(Outcome::new(
                json!({ "destroyed": instances }),
                text.collect::<String>(),
            ))
        }
        InstanceCommand::Validate { file } => {
            client.validate(&read(file)?).await.map_err(failed)?;
            Ok(Outcome::new(json!({ "valid": true }), "validate:ok\n"))
        }
        InstanceCommand::Label { instance, labels } => {
            client
                .label(instance, &tags_of(labels))
                .await
                .map_err(failed)?;
            let text = format!("labeled {}\n", printable(instance));
            Ok(Outcome::new(json!({ "labeled": instance }), text))
        }
    }
}

fn tags_of(pairs: &[(String, String)]) -> Tags {
    pairs.iter().cloned().collect()
}

/// Reads a document in JSON or YAML.
fn read(file: &Path) -> Result<Json, CliError> {
    let cannot =
        |error: io::Error| CliError::usage(format!("cannot read {}: {error}", file.display()));
    let mut text = String::new();
    if file.as_os_str() == OsStr::new("-") {
        io::stdin()
            .take(MAX_FILE)
            .read_to_string(&mut text)
            .map_err(cannot)?;
    } else {
        let file = fs::File::open(file).map_err(cannot)?;
        file.take(MAX_FILE)
            .read_to_string(&mut text)
            .map_err(cannot)?;
    }
    match serde_json::from_str(&text) {
        Ok(json) => Ok(json),
        Err(_) => from_yaml(file, text),
    }
}

/// Fails for unknown keys of a specification, which plugins ignore.
fn check_keys(spec: &Json) -> Result<(), CliError> {
    let Some(fields) = spec.as_object() else {
        return Err(CliError::usage("the specification must be a mapping"));
    };
    let is_known = |key: &str| {
        SPEC_KEYS
            .iter()
            .any(|known| known.eq_ignore_ascii_case(key))
    };
    match fields.keys().find(|key| !is_known(key)) {
        None => Ok(()),
        Some(key) => {
            let error = CliError::usage(format!("a specification has no key `{key}`"));
            Err(match nearest(key, SPEC_KEYS) {
                Some(near) => error.hint(format!("did you mean `{near}`?")),
                None => error.hint(format!("known keys: {}", SPEC_KEYS.join(", "))),
            })
        }
    }
}

fn from_yaml(file: &Path, text: String) -> Result<Json, CliError> {
    let mut sources = Sources::default();
    let main = sources.add_text(file.display().to_string(), text);
    let mut faults = Diagnostics::default();
    let value = syntax::parse(&sources, main, &mut faults);
    match value {
        Ok(value) if !faults.iter().any(crate::diagnostic::Diagnostic::is_error) => {
            Ok(value.to_json())
        }
        Ok(_) => Err(invalid(faults, sources)),
        Err(fault) => {
            faults.push(fault);
            Err(invalid(faults, sources))
        }
    }
}

fn invalid(faults: Diagnostics, sources: Sources) -> CliError {
    let error = crate::operate::Error::invalid(faults, sources);
    crate::operate::Error {
        message: "the file is neither JSON nor YAML".to_owned(),
        ..error
    }
    .into()
}

fn documents(all: &[Description]) -> Json {
    let document =
        |it: &Description| json!({ "id": it.id, "logical_id": it.logical_id, "tags": it.tags });
    all.iter().map(document).collect()
}

/// Returns the table that InfraKit's own command line prints.
pub(crate) fn table(all: &[Description], quiet: bool) -> String {
    let row = |id: &str, logical: &str, tags: &str| {
        format!(
            "{}\n",
            format!("{id:<30}\t{logical:<30}\t{tags}").trim_end()
        )
    };
    let header = (!quiet).then(|| row("ID", "LOGICAL", "TAGS"));
    let rows = all.iter().map(|it| {
        let tags: Vec<String> = it
            .tags
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        let logical = it.logical_id.as_deref().unwrap_or("  -   ");
        row(
            &on_one_line(&it.id),
            &on_one_line(logical),
            &on_one_line(&tags.join(",")),
        )
    });
    header.into_iter().chain(rows).collect()
}
