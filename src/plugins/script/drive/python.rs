//! Python: the interpreter, and the package `cloudify` that scripts import.

use super::run_directory::RunDirectory;
use std::{
    ffi::{OsStr, OsString},
    io,
    process::Stdio,
};
use tokio::{io::AsyncWriteExt as _, process::Command};

/// The files of the package, and the program that runs a script.
const FILES: [(&str, &str); 9] = [
    ("run.py", include_str!("../python/run.py")),
    (
        "cloudify/__init__.py",
        include_str!("../python/cloudify/__init__.py"),
    ),
    (
        "cloudify/context.py",
        include_str!("../python/cloudify/context.py"),
    ),
    (
        "cloudify/decorators.py",
        include_str!("../python/cloudify/decorators.py"),
    ),
    (
        "cloudify/exceptions.py",
        include_str!("../python/cloudify/exceptions.py"),
    ),
    (
        "cloudify/manager.py",
        include_str!("../python/cloudify/manager.py"),
    ),
    (
        "cloudify/state.py",
        include_str!("../python/cloudify/state.py"),
    ),
    (
        "cloudify/utils.py",
        include_str!("../python/cloudify/utils.py"),
    ),
    (
        "cloudify_rest_client/exceptions.py",
        include_str!("../python/cloudify_rest_client/exceptions.py"),
    ),
];
/// Exits with 0 if its standard input is Python, and with 1 if not.
const PARSE: &str = "import ast, sys
try:
    ast.parse(sys.stdin.buffer.read())
except (SyntaxError, ValueError, RecursionError, MemoryError):
    sys.exit(1)
";

/// Writes the package into the directory of a run. Returns the path of the program that runs a script.
pub(super) fn install(run_directory: &RunDirectory) -> io::Result<String> {
    for (name, text) in FILES {
        run_directory.write(&format!("python/{name}"), text.as_bytes(), 0o600)?;
    }
    run_directory.write("python/cloudify_rest_client/__init__.py", b"", 0o600)?;
    Ok(run_directory
        .path()
        .join("python/run.py")
        .display()
        .to_string())
}

/// Returns true if an interpreter with this name can be run.
pub(super) async fn runs(name: &str, environment: &[(OsString, OsString)]) -> bool {
    let mut command = command(name, environment);
    let status = command.args(["-c", ""]).stdin(Stdio::null()).status().await;
    status.is_ok_and(|status| status.success())
}

/// Returns true if a text is Python; none if there is no interpreter to decide it.
pub(super) async fn parses(text: &str, environment: &[(OsString, OsString)]) -> Option<bool> {
    let mut command = command("python3", environment);
    command.args(["-I", "-c", PARSE]).stdin(Stdio::piped());
    let mut child = command.spawn().ok()?;
    if let Some(mut input) = child.stdin.take() {
        // An interpreter that does not read fails on its own.
        let _ = input.write_all(text.as_bytes()).await;
    }
    match child.wait().await.ok()?.code() {
        Some(0) => Some(true),
        Some(1) => Some(false),
        _ => None,
    }
}

fn command(name: &str, environment: &[(OsString, OsString)]) -> Command {
    let mut command = Command::new(found(name, environment).unwrap_or_else(|| name.into()));
    command
        .env_clear()
        .envs(environment.iter().cloned())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    command
}

/// Returns the path of a program in the PATH of an environment.
fn found(name: &str, environment: &[(OsString, OsString)]) -> Option<OsString> {
    let path = environment
        .iter()
        .find(|(variable, _)| variable == OsStr::new("PATH"));
    let directories = path
        .into_iter()
        .flat_map(|(_, path)| std::env::split_paths(path));
    let mut candidates = directories.map(|directory| directory.join(name));
    candidates
        .find(|candidate| candidate.is_file())
        .map(OsString::from)
}
