//! Concurrent runs, many consecutive runs, and disks that are full or read-only.

use crate::{
    cli::session::{is_waiting, never_ready, send_signal},
    docker::install::SLEEPER,
    support::{Run, Test, eventually, project_root},
};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Number of concurrent runs.
const CONCURRENT_RUNS: usize = 20;

#[test]
fn one_of_twenty_concurrent_installs_works_and_the_others_report_it() {
    let test = Test::in_memory("crowd");
    test.blueprint(&never_ready());
    let all: Vec<_> = (0..CONCURRENT_RUNS)
        .map(|_| test.start(&["install"]))
        .collect();
    eventually("the container", || is_waiting(&test));
    let holder = eventually("the holder", || {
        test.run(&["status", "--output", "json"]).json()["busy"]["pid"].as_u64()
    });
    // The run that works holds the lock until the others have tried.
    let (works, others): (Vec<_>, Vec<_>) = all
        .into_iter()
        .partition(|child| u64::from(child.id()) == holder);
    assert_eq!((works.len(), others.len()), (1, CONCURRENT_RUNS - 1));
    for child in others {
        Test::wait(child).exits_with(5).stderr_contains(&[
            "in use by `dockctl install`",
            &format!("process {holder}"),
            "since 20",
            "execution ",
        ]);
    }
    for child in works {
        send_signal(child.id(), "INT");
        Test::wait(child).exits_with(130);
    }
    test.run(&["uninstall"]).exits_with(0);
}

#[test]
fn objects_of_a_run_that_just_began_are_not_taken_for_those_of_a_lost_journal() {
    let test = Test::in_memory("late");
    test.blueprint(&never_ready());
    let works = test.start(&["install"]);
    eventually("the container", || is_waiting(&test));
    // The next command reads no record, as if the run began only afterwards; the seed gives it
    // other instances than those of the run.
    for suffix in ["", "-wal", "-shm"] {
        let file = format!("state/deployments/{}.db{suffix}", test.prefix);
        fs::remove_file(test.path(&file)).unwrap();
    }
    let install = || test.run(&["install", "--seed", "7"]);
    let refused = install().exits_with(5);
    drop(refused.stderr_contains(&["in use by `dockctl install`"]));
    send_signal(works.id(), "KILL");
    drop(Test::wait(works));
    drop(
        install()
            .exits_with(1)
            .stderr_contains(&["has no record of"]),
    );
}

#[test]
fn twenty_deployments_install_concurrently() {
    let test = Test::in_memory("many");
    test.blueprint(
        &SLEEPER
            .replace(
                "name: PREFIX-web",
                "name: {concat: [PREFIX-, {get_input: n}]}",
            )
            .replace("node_templates:", "inputs: {n: {}}\nnode_templates:"),
    );
    let names: Vec<String> = (0..CONCURRENT_RUNS)
        .map(|n| format!("{}-{n}", test.prefix))
        .collect();
    let each = |command: &[&str]| {
        let started: Vec<_> = names
            .iter()
            .enumerate()
            .map(|(n, name)| {
                let input = format!("n={n}");
                let inputs: &[&str] = if command[0] == "install" {
                    &["-i", &input]
                } else {
                    &[]
                };
                test.start(&[command, &["-d", name], inputs].concat())
            })
            .collect();
        for child in started {
            Test::wait(child).exits_with(0);
        }
    };
    each(&["install"]);
    assert_eq!(
        test.containers()
            .iter()
            .filter(|it| it.ends_with("running"))
            .count(),
        CONCURRENT_RUNS
    );
    each(&["uninstall"]);
    assert!(test.containers().is_empty());
}

/// Returns the maximum resident set size of a run, in KiB.
fn peak_memory(test: &Test, arguments: &[&str]) -> u64 {
    let mut command = Command::new(project_root().join("target/busybox"));
    let inner = test.command(arguments);
    command
        .args(["time", "-v"])
        .arg(inner.get_program())
        .args(inner.get_args())
        .current_dir(test.directory.path());
    for (name, value) in inner.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let run = Run::from_output(&command.output().unwrap()).exits_with(0);
    let line = run
        .stderr
        .lines()
        .find(|line| line.contains("Maximum resident set size"))
        .expect("busybox reports the size")
        .to_owned();
    line.rsplit(' ')
        .next()
        .and_then(|size| size.parse().ok())
        .expect("the size is a number")
}

fn directory_size(directory: &Path) -> (usize, u64) {
    let files: Vec<_> = fs::read_dir(directory).unwrap().flatten().collect();
    (
        files.len(),
        files
            .iter()
            .map(|file| file.metadata().map_or(0, |data| data.len()))
            .sum(),
    )
}

/// Returns the numbers of containers, networks and volumes of this test. Others may belong to
/// concurrent tests.
fn remaining_objects(test: &Test) -> [usize; 3] {
    let count = |arguments: &[&str]| test.docker(arguments).lines().count();
    let name = format!("name={}", test.prefix);
    [
        count(&["ps", "-aq", "--filter", &name]),
        count(&["network", "ls", "-q", "--filter", &name]),
        count(&["volume", "ls", "-q", "--filter", &name]),
    ]
}

#[test]
fn repeated_installs_do_not_accumulate_state() {
    let long = std::env::var("DOCKCTL_SWEEP").is_ok_and(|value| value == "all");
    let rounds = if long { 300 } else { 8 };
    let test = Test::in_memory("soak");
    let nodes = "  - plugin:dockctl\nnode_templates:\n  net: {type: dockctl.nodes.Network, properties: {name: PREFIX-net}}\n  data: {type: dockctl.nodes.Volume, properties: {name: PREFIX-data, keep: false}}";
    test.blueprint(&SLEEPER.replace("node_templates:", nodes));
    let keep = ["--keep-history", "4"];
    let mut sizes = Vec::new();
    for round in 0..rounds {
        let up = peak_memory(&test, &[&["install"], &keep[..]].concat());
        let down = peak_memory(&test, &[&["uninstall"], &keep[..]].concat());
        assert_eq!(remaining_objects(&test), [0, 0, 0], "round {round}");
        sizes.push((
            up.max(down),
            directory_size(&test.path("state/deployments")),
        ));
    }
    // Memory use is bounded: once the history is full, it stays about the same to the end.
    let early = sizes[4..]
        .iter()
        .take(3)
        .map(|(memory, _)| *memory)
        .max()
        .unwrap_or_default();
    let (memory, (files, bytes)) = sizes[rounds - 1];
    println!(
        "{rounds} rounds: {early} KiB early, {memory} KiB at the end; {files} files, {bytes} bytes of state"
    );
    assert!(memory < early + early / 4, "memory grows: {sizes:?}");
    assert_eq!(files, 2, "the journal and its lock");
    assert!(bytes < 1 << 20, "{bytes} bytes of state");
}

/// A small disk for one test.
struct Disk(PathBuf);

impl Disk {
    fn new(test: &Test, kib: u32) -> Self {
        let path = test.path("disk");
        fs::create_dir(&path).unwrap();
        let disk = Self(path);
        disk.mount(&["-t", "tmpfs", "-o", &format!("size={kib}k"), "none"]);
        disk
    }

    fn mount(&self, arguments: &[&str]) {
        let done = Command::new("mount")
            .args(arguments)
            .arg(&self.0)
            .output()
            .unwrap();
        assert!(
            done.status.success(),
            "mount {arguments:?}: {}",
            String::from_utf8_lossy(&done.stderr)
        );
    }

    /// Fills the disk except for the given number of KiB.
    fn fill(&self, free_kib: u64) {
        let free = rustix::fs::statvfs(&self.0)
            .map(|disk| disk.f_bavail * disk.f_frsize)
            .unwrap();
        let filler = vec![0; usize::try_from(free.saturating_sub(free_kib * 1024)).unwrap()];
        match fs::write(self.0.join("filler"), filler) {
            // The file system needs some of the space itself.
            Err(error) if error.kind() == std::io::ErrorKind::StorageFull => {}
            written => written.unwrap(),
        }
    }

    fn remove_filler(&self) {
        fs::remove_file(self.0.join("filler")).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").args(["-l"]).arg(&self.0).status();
    }
}

#[test]
fn full_disk_prevents_a_start_and_loses_no_record() {
    let test = Test::in_memory("full");
    let disk = Disk::new(&test, 4096);
    let state = disk.0.join("state").display().to_string();
    let run = |arguments: &[&str]| test.run(&[arguments, &["--state-dir", &state]].concat());
    test.blueprint(&never_ready());
    disk.fill(100);
    run(&["install"])
        .exits_with(1)
        .stderr_contains(&["not enough disk space for the journal", "free disk space"]);
    assert!(test.containers().is_empty());
    disk.remove_filler();
    // The disk fills up during the run.
    let mut command = test.command(&["install", "--state-dir", &state]);
    let child = command
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    eventually("the container", || is_waiting(&test));
    disk.fill(0);
    send_signal(child.id(), "INT");
    Test::wait(child).exits_with(1).stderr_contains(&[
        "full",
        "free disk space",
        "running steps were allowed to finish",
        "dockctl install",
    ]);
    let id = test.inspect("web", "{{.Id}}");
    disk.remove_filler();
    test.blueprint(SLEEPER);
    run(&["install"]).exits_with(0);
    assert_eq!(
        test.inspect("web", "{{.Id}}"),
        id,
        "the journal and the engine agree"
    );
    run(&["uninstall"]).exits_with(0);
    assert!(test.containers().is_empty());
}

#[test]
fn read_only_disk_allows_only_read_commands() {
    let test = Test::in_memory("read-only");
    let disk = Disk::new(&test, 8192);
    let state = disk.0.join("state").display().to_string();
    let run = |arguments: &[&str]| test.run(&[arguments, &["--state-dir", &state]].concat());
    test.blueprint(SLEEPER);
    disk.mount(&["-o", "remount,ro"]);
    run(&["install"])
        .exits_with(1)
        .stderr_contains(&["Read-only file system", "--state-dir"]);
    assert!(test.containers().is_empty());
    disk.mount(&["-o", "remount,rw"]);
    run(&["install"]).exits_with(0);
    disk.mount(&["-o", "remount,ro"]);
    assert!(run(&["status"]).exits_with(0).stdout.contains("running"));
    assert!(
        run(&["executions"])
            .exits_with(0)
            .stdout
            .contains("completed")
    );
    assert!(run(&["list"]).exits_with(0).stdout.contains("installed"));
    run(&["uninstall"])
        .exits_with(1)
        .stderr_contains(&["Read-only file system"]);
    assert_eq!(test.containers(), ["PREFIX-web running"]);
    disk.mount(&["-o", "remount,rw"]);
    run(&["uninstall"]).exits_with(0);
}
