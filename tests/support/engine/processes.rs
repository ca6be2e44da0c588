//! Processes of containers: busybox commands on this machine.

use super::daemon::{LogLine, SharedDaemon, State};
use crate::support::project_root;
use jiff::Timestamp;
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::Value as Json;
use std::{
    fs,
    io::{BufRead as _, BufReader, Read},
    os::unix::process::{CommandExt as _, ExitStatusExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::OnceLock,
    thread,
};

/// Returns a directory with a link to busybox for each of its commands.
fn command_directory() -> &'static Path {
    static COMMANDS: OnceLock<tempfile::TempDir> = OnceLock::new();
    let made = COMMANDS.get_or_init(|| {
        let directory = tempfile::tempdir().expect("create a temporary directory");
        let installed = Command::new(busybox())
            .args(["--install", "-s"])
            .arg(directory.path())
            .status();
        assert!(
            installed.is_ok_and(|status| status.success()),
            "busybox --install failed; scripts/demo-image fetches busybox"
        );
        directory
    });
    made.path()
}

fn busybox() -> PathBuf {
    project_root().join("target/busybox")
}

/// Returns the path of a program.
fn program(argument: &str) -> Option<PathBuf> {
    let name = Path::new(argument).file_name()?;
    let path = command_directory().join(name);
    path.exists().then_some(path)
}

/// A command to run.
pub(super) struct Task {
    pub arguments: Vec<String>,
    pub environment: Vec<String>,
    /// Paths in the container, each with the path on this machine.
    pub mounts: Vec<(String, String)>,
    pub directory: PathBuf,
    pub has_input: bool,
}

impl Task {
    /// Returns a task that runs a command in a container.
    pub(super) fn in_container(
        state: &State,
        id: &str,
        directory: &Path,
        words: Vec<String>,
    ) -> Self {
        let container = &state.containers[id];
        let texts = |list: &Json| {
            let all = list.as_array().into_iter().flatten();
            all.filter_map(|it| Some(it.as_str()?.to_owned()))
                .collect::<Vec<_>>()
        };
        let mut environment = texts(&container.config["Env"]);
        environment.push(format!(
            "HOSTNAME={}",
            container.config["Hostname"].as_str().unwrap_or_default()
        ));
        let mount = |mount: &Json| {
            let text = |name: &str| mount[name].as_str().unwrap_or_default().to_owned();
            (text("Destination"), text("Source"))
        };
        Self {
            arguments: words,
            environment,
            mounts: container.mounts.iter().map(mount).collect(),
            directory: directory.join("containers").join(id),
            has_input: false,
        }
    }

    /// Starts the command in its own process group.
    ///
    /// # Errors
    ///
    /// Returns the name of the program if it does not exist.
    pub(super) fn start(&self) -> Result<Child, String> {
        let argument = self.arguments.first().cloned().unwrap_or_default();
        let program = program(&argument).ok_or_else(|| argument.clone())?;
        fs::create_dir_all(&self.directory).map_err(|error| error.to_string())?;
        let on_host = |argument: &String| {
            let mut argument = argument.clone();
            for (inside, outside) in &self.mounts {
                argument = argument.replace(inside.as_str(), outside);
            }
            argument
        };
        let mut command = Command::new(program);
        command
            .arg0(Path::new(&argument).file_name().unwrap_or_default())
            .args(self.arguments[1..].iter().map(on_host))
            .env_clear()
            .env("PATH", command_directory())
            .env("HOME", "/root")
            .envs(self.environment.iter().filter_map(|it| it.split_once('=')))
            .current_dir(&self.directory)
            .process_group(0)
            .stdin(if self.has_input {
                Stdio::piped()
            } else {
                Stdio::null()
            })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command.spawn().map_err(|error| error.to_string())
    }
}

/// Returns the process group that a process leads.
pub(super) fn group(child: &Child) -> i32 {
    i32::try_from(child.id()).unwrap_or_default()
}

/// Waits for a process and returns its exit code as Docker reports it: 128 + signal if killed.
fn exit_code(child: &mut Child) -> i64 {
    let status = child.wait().ok();
    let killed = |by: i32| 128 + by;
    let code = status.and_then(|status| status.code().or_else(|| status.signal().map(killed)));
    code.unwrap_or(255).into()
}

/// Kills a process group.
pub(super) fn kill_group(group: i32) {
    signal_group(group, Signal::KILL);
}

fn signal_group(group: i32, signal: Signal) {
    if let Some(group) = Pid::from_raw(group) {
        // Ignored: the group may have exited.
        let _ = kill_process_group(group, signal);
    }
}

/// Sends a signal to the first process of a container. Like PID 1 in a real container, it receives
/// only KILL, STOP, CONT and the signals that it handles.
pub(super) fn signal(group: i32, number: i32) {
    let Some(signal) = Signal::from_named_raw(number) else {
        return;
    };
    let always = [Signal::KILL, Signal::STOP, Signal::CONT];
    if always.contains(&signal) {
        signal_group(group, signal);
    } else if is_handled(group, number)
        && let Some(process) = Pid::from_raw(group)
    {
        let _ = rustix::process::kill_process(process, signal);
    }
}

fn is_handled(process: i32, number: i32) -> bool {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let handled = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    let mask = handled.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.unwrap_or_default() >> (number - 1) & 1 == 1
}

/// Returns the number of a signal, given its name or number.
pub(super) fn signal_number(name: &str) -> i32 {
    let plain = name.trim_start_matches("SIG");
    let known = [
        ("HUP", 1),
        ("INT", 2),
        ("QUIT", 3),
        ("KILL", 9),
        ("USR1", 10),
        ("USR2", 12),
        ("TERM", 15),
    ];
    let found = known.iter().find(|(known, _)| *known == plain);
    found.map_or_else(|| plain.parse().unwrap_or(15), |(_, number)| *number)
}

/// Returns the PIDs and command lines of the processes in some process groups.
pub(super) fn processes_in(groups: &[i32]) -> Vec<(i32, String)> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let numbers = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let mut found: Vec<(i32, String)> = numbers
        .filter(|number| group_of(*number).is_some_and(|group| groups.contains(&group)))
        .filter_map(|number| Some((number, command_line(number)?)))
        .collect();
    found.sort_unstable();
    found
}

fn group_of(process: i32) -> Option<i32> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let after = stat.rsplit(") ").next()?;
    after.split(' ').nth(2)?.parse().ok()
}

fn command_line(process: i32) -> Option<String> {
    let bytes = fs::read(format!("/proc/{process}/cmdline")).ok()?;
    let words = bytes.split(|byte| *byte == 0).map(String::from_utf8_lossy);
    let line = words.collect::<Vec<_>>().join(" ");
    Some(line.trim_end().to_owned()).filter(|line| !line.is_empty())
}

/// Waits for a process while two threads read its outputs. Returns the exit code after both outputs
/// have ended.
pub(super) fn wait_with_outputs(
    child: &mut Child,
    read: impl Fn(&mut dyn Read, bool) + Clone + Send + 'static,
) -> i64 {
    let outputs: [(Option<Box<dyn Read + Send>>, bool); 2] = [
        (child.stdout.take().map(|it| Box::new(it) as _), false),
        (child.stderr.take().map(|it| Box::new(it) as _), true),
    ];
    let readers = outputs.map(|(output, is_error)| {
        let read = read.clone();
        thread::spawn(move || output.map(|mut output| read(&mut *output, is_error)))
    });
    let code = exit_code(child);
    // Processes left in the background would keep the outputs open.
    kill_group(group(child));
    // Ignored: a reader that panicked.
    let _ = readers.map(thread::JoinHandle::join);
    code
}

/// Appends the output of a container to its log, line by line, until the output ends.
pub(super) fn append_log(world: &SharedDaemon, id: &str, output: &mut dyn Read, is_error: bool) {
    let mut output = BufReader::new(output);
    let mut bytes = Vec::new();
    while output
        .read_until(b'\n', &mut bytes)
        .is_ok_and(|read| read > 0)
    {
        let written = LogLine {
            at: Timestamp::now(),
            is_error,
            bytes: std::mem::take(&mut bytes),
        };
        if let Some(container) = world.state().containers.get_mut(id) {
            container.log.push(written);
        }
    }
}
