//! Settings of the application, from the command line and the environment. The application reads
//! neither the environment nor the home directory: both are read here, once.

use super::{
    args::{Cli, Global},
    config::path_variable,
    environment,
    error::CliError,
};
use crate::{
    catalog,
    engine::{Host, config_error},
    front,
    operate::{Settings, settings::DefaultEngine},
    seam::Failure,
    secrets::SecretSources,
};
use clap::CommandFactory as _;
use std::{env, path::PathBuf};

/// Returns the settings of a command that uses the state directory.
///
/// # Errors
///
/// If no state directory can be determined.
pub(crate) fn settings(global: &Global) -> Result<Settings, CliError> {
    let path = global.state_dir.clone().or_else(default_state_dir);
    let path = path.ok_or_else(|| {
        CliError::usage("no state directory: HOME is not set")
            .hint("set the directory with --state-dir or DOCKCTL_STATE_DIR")
    })?;
    Ok(build(global, path))
}

/// Returns the settings of a command that does not use the state directory.
pub(crate) fn stateless(global: &Global) -> Settings {
    build(global, PathBuf::new())
}

fn build(global: &Global, state_dir: PathBuf) -> Settings {
    Settings {
        state_dir,
        engine: engine(global),
        user: user(),
        max_parallel: global.parallel,
        task_retries: global.task_retries,
        task_retry_interval: global.task_retry_interval,
        keep_history: global.keep_history,
        guarded: !global.no_guard,
        seed: global.seed,
        imports: imports(global),
        secrets: SecretSources {
            variables: environment::secrets(),
            paths: global.secrets.clone(),
        },
        inputs: environment::inputs(),
        strict: global.strict,
        environment: environment::for_scripts(&Cli::command()),
        program: env::current_exe().unwrap_or_else(|_| PathBuf::from("dockctl")),
        asks_registry: false,
    }
}

fn engine(global: &Global) -> DefaultEngine {
    let host = Host::find(global.host.as_deref(), global.context.as_deref());
    DefaultEngine {
        host: host
            .map(|host| host.with_timeout(global.engine_timeout))
            .map_err(Failure::from),
        config_error: config_error(),
    }
}

fn user() -> String {
    let named = ["USER", "LOGNAME"]
        .into_iter()
        .find_map(|name| env::var(name).ok().filter(|user| !user.is_empty()));
    named.unwrap_or_else(|| format!("uid {}", rustix::process::getuid().as_raw()))
}

fn imports(global: &Global) -> catalog::Options {
    let cache = global.cache_dir.clone().or_else(default_cache_dir);
    catalog::Options {
        network: catalog::Network {
            offline: global.offline,
            cache: cache.map(|directory| directory.join("imports")),
        },
        import_rules: global.import_rules.clone(),
        documents: front::Options {
            environment: environment::for_scripts(&Cli::command()),
            offline: global.offline,
            ..front::Options::default()
        },
    }
}

fn default_cache_dir() -> Option<PathBuf> {
    let base = path_variable("XDG_CACHE_HOME");
    let base = base.or_else(|| Some(path_variable("HOME")?.join(".cache")))?;
    Some(base.join("dockctl"))
}

pub(crate) fn default_state_dir() -> Option<PathBuf> {
    let variable = |name: &str| {
        env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    let base = variable("XDG_STATE_HOME")
        .filter(|path| path.is_absolute())
        .or_else(|| Some(variable("HOME")?.join(".local/state")));
    base.map(|base| base.join("dockctl"))
}
