//! The daemon that serves the groups of a state directory. While it runs, `dockctl group` is its
//! client.

use super::{
    error::{CliError, Kind},
    infrakit::failed,
    runtime,
};
use crate::{
    operate::Workspace,
    serve::infrakit::{
        client::{Client, ClientError, ClientTls},
        directory::{self, Address},
        group_daemon,
    },
};
use serde_json::Value as Json;
use std::{fs, path::Path, time::Duration};

/// Longest time to wait for an answer. Giving up a group waits for its running steps.
const TIMEOUT: Duration = Duration::from_mins(2);

/// Returns the client of the daemon, if one serves the groups of the state directory.
///
/// # Errors
///
/// If the daemon runs, but its plugin is not in the directory.
pub(crate) fn find(workspace: &Workspace<'_>, plugins: &Path) -> Result<Option<Client>, CliError> {
    let Some(pid) = group_daemon(workspace)? else {
        return Ok(None);
    };
    let names = directory::names(plugins).into_iter();
    for name in names.filter(|name| is_of_process(plugins, name, pid)) {
        let client = directory::find(plugins, &name).map(client);
        if let Ok(client) = client
            && runtime()?.block_on(client.check("Group")).is_ok()
        {
            return Ok(Some(client));
        }
    }
    let message = format!(
        "process {pid} serves the groups of this state directory, but its plugin is not in {}",
        plugins.display()
    );
    let error = CliError::new(Kind::Busy, message);
    Err(error.hint("name the directory of its plugins: --plugins-dir DIR, or INFRAKIT_PLUGINS_DIR"))
}

fn is_of_process(plugins: &Path, name: &str, pid: u32) -> bool {
    let found = fs::read_to_string(plugins.join(format!("{name}.pid")));
    found.is_ok_and(|found| found == pid.to_string())
}

fn client(address: Address) -> Client {
    Client {
        address,
        subtype: String::new(),
        timeout: TIMEOUT,
        tls: ClientTls::default(),
    }
}

/// Calls a method of the daemon.
///
/// # Errors
///
/// If the daemon refuses the request or cannot be reached.
pub(crate) fn call(client: &Client, method: &str, params: Json) -> Result<Json, CliError> {
    let called = runtime()?.block_on(client.call(&format!("Group.{method}"), params));
    called.map_err(|error| match &error {
        ClientError::Refused(message) if is_about_unknown(message) => {
            let error = CliError::usage(message.clone());
            error.hint("to list the groups, run: dockctl group ls")
        }
        _ => failed(client, &error),
    })
}

fn is_about_unknown(message: &str) -> bool {
    message.ends_with("is not being watched") || message.ends_with(" not found")
}
