//! dockctl as InfraKit's Docker instance plugin, and as its group and flavor plugins.
//!
//! [`serve`] runs the plugins. [`presence`] puts them into the [`directory`] of plugins, `plugin` is
//! their HTTP service, `instances` and `groups` do the work, [`client`] calls plugins.

mod api;
pub mod client;
mod daemon;
pub mod directory;
mod ended;
mod flavor;
mod group_api;
mod groups;
mod info;
mod instances;
mod metadata;
mod plugin;
pub mod presence;
mod settle;
mod steps;
mod supervisor;
mod template;
mod turns;

use crate::{
    document::DocumentKind,
    engine::Connections,
    executor::StopRequests,
    journal::{Holder, JournalError},
    operate::{self, Workspace, error::Kind},
    seam::{Target, labeling},
    serve::{http, listener::Listener, service_manager::ServiceManager, tls::Acceptor},
};
use directory::Address;
use futures_util::future::{join, join_all};
use groups::{GroupSettings, Groups};
use indexmap::IndexMap;
use instances::{Engine, Instances, Parts};
use plugin::{Handler, Plugin};
use presence::{Claim, Presence, PresenceError};
use serde_json::json;
use std::{
    collections::BTreeMap, ffi::OsString, net::ToSocketAddrs as _, path::PathBuf, rc::Rc,
    time::Duration,
};
use template::Template;
use tokio::{net::TcpListener, task::LocalSet, time::timeout};
use tokio_util::sync::CancellationToken;

pub use crate::serve::tls::TlsFiles;
pub use api::{Description, Tags};

/// Longest time for running requests to finish after a request to stop.
const GRACE: Duration = Duration::from_secs(10);

/// Time to tell clients that their requests are interrupted.
const INTERRUPT_NOTICE: Duration = Duration::from_millis(500);

/// Settings of the group plugin and the flavor plugin.
#[derive(Clone, Debug)]
pub struct GroupOptions {
    /// Name of the group plugin.
    pub group_name: String,
    /// Name of the flavor plugin.
    pub flavor_name: String,
    /// Time between two checks of a group.
    pub poll_interval: Duration,
    /// Take over containers of others without a question.
    pub takes_over: bool,
}

/// Settings of the plugin.
#[derive(Clone, Debug)]
pub struct Options {
    /// Name of the plugin.
    pub name: String,
    /// Directory of plugins.
    pub directory: PathBuf,
    /// Address to listen on; a unix socket in the directory if there is none.
    pub listen: Option<String>,
    /// Files for TLS.
    pub tls: Option<TlsFiles>,
    /// Address of the engine; the default engine if there is none.
    pub url: Option<String>,
    /// Engines of further subtypes, by name.
    pub subtypes: Vec<(String, String)>,
    /// Tags of all instances.
    pub namespace: BTreeMap<String, String>,
    /// Longest time for the script of an instance.
    pub init_timeout: Duration,
    /// Serve groups too.
    pub groups: Option<GroupOptions>,
    /// Socket of the service manager.
    pub notify_socket: Option<OsString>,
}

/// Serves the plugin until the caller requests a stop.
///
/// # Errors
///
/// If the plugin cannot start: its name is in use, or an address, a file or the state directory is
/// unusable.
pub async fn serve(workspace: &Workspace<'_>, options: &Options) -> Result<(), operate::Error> {
    check(options)?;
    let stop = CancellationToken::new();
    let manager = ServiceManager::at(options.notify_socket.as_deref());
    let manager = manager.map_err(|error| failed(format!("cannot use NOTIFY_SOCKET: {error}")))?;
    let instances = Rc::new(instances(workspace, options)?);
    let signals = workspace.caller.stop_requests()?;
    let groups = groups(workspace, options, signals)?;
    let abort = CancellationToken::new();
    let present = present(options, (&instances, groups.as_ref()), (&stop, &abort)).await?;
    let names: Vec<&str> = present.iter().map(|it| it.presence.name()).collect();
    tracing::info!(name = names.join(", "), directory = %options.directory.display(), "listening");
    manager.tell("READY=1");
    let served = LocalSet::new();
    let settled = instances.clone();
    served.spawn_local(async move { settled.settle_all().await });
    served
        .run_until(async {
            groups.as_ref().map_or(Ok(()), Groups::start)?;
            let serving = present
                .iter()
                .map(|it| http::serve(&it.listener, &it.plugin, &stop));
            let serving = join_all(serving);
            tokio::pin!(serving);
            tokio::select! {
                _ = &mut serving => return Ok(()),
                () = signals.wait_for_stop() => {}
            }
            tracing::info!("stopping; running requests finish");
            manager.tell("STOPPING=1");
            for it in &present {
                it.presence.withdraw();
            }
            stop.cancel();
            let ended = async {
                if let Some(groups) = &groups {
                    groups.ended().await;
                }
            };
            if timeout(GRACE, join(&mut serving, ended)).await.is_err() {
                tracing::warn!("running requests are interrupted; the next start settles them");
                abort.cancel();
                let _ = timeout(INTERRUPT_NOTICE, serving).await;
            }
            Ok(())
        })
        .await
}

/// A plugin with its socket and its files.
struct Present {
    plugin: Rc<Plugin>,
    listener: Listener,
    presence: Presence,
}

/// Puts all plugins into the directory.
async fn present(
    options: &Options,
    (instances, groups): (&Rc<Instances>, Option<&Rc<Groups>>),
    (stop, abort): (&CancellationToken, &CancellationToken),
) -> Result<Vec<Present>, operate::Error> {
    let plugin = |handler| {
        Rc::new(Plugin {
            handler,
            stop: stop.clone(),
            abort: abort.clone(),
        })
    };
    let (presence, listener) = listen(options).await?;
    let mut all = vec![Present {
        plugin: plugin(Handler::Instances(instances.clone())),
        listener,
        presence,
    }];
    let Some((groups, given)) = groups.zip(options.groups.as_ref()) else {
        return Ok(all);
    };
    let documents = groups.documents().clone();
    for (name, handler) in [
        (&given.flavor_name, Handler::Flavor(documents)),
        (&given.group_name, Handler::Groups(groups.clone())),
    ] {
        let claim = Claim::of(&options.directory, name).and_then(Claim::with_socket);
        let (presence, listener) = claim.map_err(|error| absent(&error))?;
        all.push(Present {
            plugin: plugin(handler),
            listener,
            presence,
        });
    }
    Ok(all)
}

/// Name of the database with the requests about groups. No plugin can have it.
const GROUPS_STORE: &str = ".groups";

/// Returns the process of the daemon that serves the groups of a state directory, if one runs.
///
/// # Errors
///
/// If the state directory cannot be read.
pub fn group_daemon(workspace: &Workspace<'_>) -> Result<Option<u32>, operate::Error> {
    let holder = workspace.state.server_holder(GROUPS_STORE)?;
    Ok(holder.map(|holder| holder.pid))
}

/// Opens the groups of the state directory, if they are served.
fn groups(
    workspace: &Workspace<'_>,
    options: &Options,
    signals: &StopRequests,
) -> Result<Option<Rc<Groups>>, operate::Error> {
    let Some(given) = &options.groups else {
        return Ok(None);
    };
    let holder = Holder::this_process("infrakit serve --groups", "");
    let store = workspace.state.server(GROUPS_STORE, &holder);
    let store = store.map_err(|error| in_use("the groups of this state directory are", error))?;
    let mut settings = workspace.settings.clone();
    let documents = &mut settings.imports.documents;
    documents.kind = Some(DocumentKind::InfrakitGroup);
    documents.instance_plugins = vec![options.name.clone()];
    documents.flavor_plugins = vec![given.flavor_name.clone()];
    documents.poll_interval = given.poll_interval;
    let settings = GroupSettings {
        settings,
        takes_over: given.takes_over,
        poll_interval: given.poll_interval,
    };
    Groups::new(settings, store, signals.child()).map(Some)
}

/// Tags that InfraKit itself sets: as a namespace they would hide every instance.
const SYSTEM_TAGS: [&str; 4] = [
    "infrakit.group",
    "infrakit.config_sha",
    "infrakit.config.hash",
    "infrakit.logical_id",
];

fn check(options: &Options) -> Result<(), operate::Error> {
    let usage = |message: String| Err(operate::Error::usage(message));
    let groups = options.groups.iter();
    let more = groups.flat_map(|groups| [&groups.group_name, &groups.flavor_name]);
    let names: Vec<&String> = [&options.name].into_iter().chain(more).collect();
    for (at, name) in names.iter().enumerate() {
        if !directory::is_valid_name(name) {
            let message = format!("`{name}` is not a valid name of a plugin");
            return usage(message).map_err(|error| {
                error.hint("use the characters [a-zA-Z0-9_.-], and start with a letter or digit")
            });
        }
        if names[..at].contains(name) {
            return usage(format!("two plugins cannot have the name `{name}`"));
        }
    }
    if options.tls.is_some() && options.listen.is_none() {
        return usage("TLS requires an address: --listen tcp://HOST:PORT".to_owned());
    }
    let is_taken = |key: &&String| {
        SYSTEM_TAGS.contains(&&key[..]) || key.starts_with(labeling::RESERVED_LABELS)
    };
    if let Some(key) = options.namespace.keys().find(is_taken) {
        return usage(format!(
            "`{key}` cannot be a namespace tag: its value is not yours"
        ));
    }
    Ok(())
}

/// Returns the engines by subtype. Fails for an address that cannot be used at any time.
fn engines(
    workspace: &Workspace<'_>,
    options: &Options,
) -> Result<IndexMap<String, Engine>, operate::Error> {
    let connections = Connections::new(workspace.settings.engine.host.clone()?);
    let engine = |(subtype, target): (String, Target)| {
        let host = connections.host(&target).map_err(|error| {
            let message = format!("{target} is not an address of an engine: {error}");
            operate::Error::usage(message)
                .hint("use unix:///PATH, tcp://HOST:PORT or ssh://USER@HOST")
        })?;
        let address = host.address;
        Ok((subtype, Engine { target, address }))
    };
    subtypes(options).into_iter().map(engine).collect()
}

fn failed(message: impl Into<String>) -> operate::Error {
    operate::Error::new(Kind::Failed, message)
}

fn instances(workspace: &Workspace<'_>, options: &Options) -> Result<Instances, operate::Error> {
    let holder = Holder::this_process("infrakit serve", "");
    let store = workspace
        .state
        .server(&options.name, &holder)
        .map_err(|error| in_use(&format!("the plugin `{}` is", options.name), error))?;
    let template =
        Template::new(options.namespace.clone(), options.init_timeout).map_err(failed)?;
    let parts = Parts {
        name: options.name.clone(),
        template,
        plugins: workspace.connect()?,
        store,
        subtypes: engines(workspace, options)?,
    };
    Ok(Instances::new(parts)?)
}

fn absent(error: &PresenceError) -> operate::Error {
    let kind = match error {
        PresenceError::Living { .. } => Kind::Busy,
        PresenceError::InTheWay(_) | PresenceError::TooLong(_) | PresenceError::Io { .. } => {
            Kind::Failed
        }
    };
    operate::Error::new(kind, error.to_string())
        .hint("use another name: --name NAME, or another directory: --plugins-dir DIR")
}

fn in_use(what: &str, error: JournalError) -> operate::Error {
    match error {
        JournalError::Locked { holder } => {
            let who = holder
                .map(|holder| format!(" by {holder}"))
                .unwrap_or_default();
            let message = format!("{what} in use{who}");
            operate::Error::new(Kind::Busy, message)
                .hint("use another state directory: --state-dir DIR, or another name for a plugin: --name NAME")
        }
        other => other.into(),
    }
}

fn subtypes(options: &Options) -> IndexMap<String, Target> {
    let engine = |url: &String| Target::At {
        shown: url.clone(),
        arguments: json!({ "base_url": url }),
    };
    let default = options.url.as_ref().map_or(Target::Default, engine);
    let others = options
        .subtypes
        .iter()
        .map(|(name, url)| (name.clone(), engine(url)));
    [(String::new(), default)]
        .into_iter()
        .chain(others)
        .collect()
}

async fn listen(options: &Options) -> Result<(Presence, Listener), operate::Error> {
    let Some(address) = &options.listen else {
        let claim = Claim::of(&options.directory, &options.name);
        let present = claim.and_then(Claim::with_socket);
        return present.map_err(|error| absent(&error));
    };
    let tls = options
        .tls
        .as_ref()
        .map(Acceptor::read)
        .transpose()
        .map_err(failed)?;
    let Some(Address::Tcp(host) | Address::Tls(host)) = Address::read(address) else {
        return Err(operate::Error::usage(format!(
            "`{address}` is not an address such as tcp://127.0.0.1:9000"
        )));
    };
    let cannot = |error: std::io::Error| failed(format!("cannot listen on {address}: {error}"));
    let addresses: Vec<_> = host.to_socket_addrs().map_err(cannot)?.collect();
    if tls.is_none() && !addresses.iter().all(|address| address.ip().is_loopback()) {
        let message = format!(
            "{address} is not only for this machine: whoever can connect can start containers"
        );
        return Err(operate::Error::usage(message).hint(
            "use TLS: --tls-cert FILE --tls-key FILE --tls-client-ca FILE, or an address of this machine: tcp://127.0.0.1:PORT",
        ));
    }
    let claim = Claim::of(&options.directory, &options.name).map_err(|error| absent(&error))?;
    let listener = TcpListener::bind(&addresses[..]).await.map_err(cannot)?;
    let scheme = if tls.is_some() { "https" } else { "tcp" };
    let announced = format!(
        "{scheme}://{}",
        with_port(&host, &listener).map_err(cannot)?
    );
    let present = claim.with_address(&announced);
    let present = present.map_err(|error| absent(&error))?;
    Ok((present, Listener::Tcp(listener, tls)))
}

/// Returns the host with the port of a listener: port 0 stands for any free one.
fn with_port(host: &str, listener: &TcpListener) -> std::io::Result<String> {
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    Ok(format!("{name}:{}", listener.local_addr()?.port()))
}
