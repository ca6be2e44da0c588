//! Concurrent runs, many consecutive runs, and disks that are full or read-only.

use crate::{
    cli::session::{endless, signal, waits},
    docker::install::SLEEPER,
    support::{Run, Test, docker, eventually, project},
};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Number of concurrent runs.
const CROWD: usize = 20;

#[test]
fn of_twenty_installs_of_one_deployment_one_works_and_the_others_say_who() {
    let test = Test::fake("crowd");
    test.blueprint(&endless());
    let all: Vec<_> = (0..CROWD).map(|_| test.start(&["install"])).collect();
    eventually("the container", || waits(&test));
    let holder = eventually("the holder", || {
        test.run(&["status", "--output", "json"]).json()["busy"]["pid"].as_u64()
    });
    // The run that works holds the lock until the others have tried.
    let (works, others): (Vec<_>, Vec<_>) = all
        .into_iter()
        .partition(|child| u64::from(child.id()) == holder);
    assert_eq!((works.len(), others.len()), (1, CROWD - 1));
    for child in others {
        Test::end(child).exits(5).says(&[
            "in use by `dockctl install`",
            &format!("process {holder}"),
            "since 20",
            "execution ",
        ]);
    }
    for child in works {
        signal(child.id(), "INT");
        Test::end(child).exits(130);
    }
    test.run(&["uninstall"]).exits(0);
}

#[test]
fn twenty_deployments_are_installed_at_once() {
    let test = Test::fake("many");
    test.blueprint(
        &SLEEPER
            .replace(
                "name: PREFIX-web",
                "name: {concat: [PREFIX-, {get_input: n}]}",
            )
            .replace("node_templates:", "inputs: {n: {}}\nnode_templates:"),
    );
    let names: Vec<String> = (0..CROWD).map(|n| format!("{}-{n}", test.prefix)).collect();
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
            Test::end(child).exits(0);
        }
    };
    each(&["install"]);
    assert_eq!(
        test.containers()
            .iter()
            .filter(|it| it.ends_with("running"))
            .count(),
        CROWD
    );
    each(&["uninstall"]);
    assert!(test.containers().is_empty());
}

/// Returns the maximum resident set size of a run, in KiB.
fn memory(test: &Test, arguments: &[&str]) -> u64 {
    let mut command = Command::new(project().join("target/busybox"));
    let inner = test.command(arguments);
    command
        .args(["time", "-v"])
        .arg(inner.get_program())
        .args(inner.get_args())
        .current_dir(test.folder.path());
    for (name, value) in inner.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let run = Run::of(&command.output().unwrap()).exits(0);
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

fn size(folder: &Path) -> (usize, u64) {
    let files: Vec<_> = fs::read_dir(folder).unwrap().flatten().collect();
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
fn left(test: &Test) -> [usize; 3] {
    let count = |arguments: &[&str]| docker(arguments).lines().count();
    let name = format!("name={}", test.prefix);
    [
        count(&["ps", "-aq", "--filter", &name]),
        count(&["network", "ls", "-q", "--filter", &name]),
        count(&["volume", "ls", "-q", "--filter", &name]),
    ]
}

#[test]
fn round_after_round_nothing_grows() {
    let long = std::env::var("DOCKCTL_SWEEP").is_ok_and(|value| value == "all");
    let rounds = if long { 300 } else { 8 };
    let test = Test::fake("soak");
    let own = "  - plugin:dockctl\nnode_templates:\n  net: {type: dockctl.nodes.Network, properties: {name: PREFIX-net}}\n  data: {type: dockctl.nodes.Volume, properties: {name: PREFIX-data, keep: false}}";
    test.blueprint(&SLEEPER.replace("node_templates:", own));
    let keep = ["--keep-history", "4"];
    let mut sizes = Vec::new();
    for round in 0..rounds {
        let up = memory(&test, &[&["install"], &keep[..]].concat());
        let down = memory(&test, &[&["uninstall"], &keep[..]].concat());
        assert_eq!(left(&test), [0, 0, 0], "round {round}");
        sizes.push((up.max(down), size(&test.path("state/deployments"))));
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
    fn fill(&self, but: u64) {
        let free = rustix::fs::statvfs(&self.0)
            .map(|disk| disk.f_bavail * disk.f_frsize)
            .unwrap();
        fs::write(
            self.0.join("filler"),
            vec![0; usize::try_from(free.saturating_sub(but * 1024)).unwrap()],
        )
        .unwrap();
    }

    fn free(&self) {
        fs::remove_file(self.0.join("filler")).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").args(["-l"]).arg(&self.0).status();
    }
}

#[test]
fn on_a_full_disk_nothing_begins_and_what_was_begun_is_found_again() {
    let test = Test::fake("full");
    let disk = Disk::new(&test, 4096);
    let state = disk.0.join("state").display().to_string();
    let at = |arguments: &[&str]| test.run(&[arguments, &["--state-dir", &state]].concat());
    test.blueprint(&endless());
    disk.fill(100);
    at(&["install"])
        .exits(1)
        .says(&["not enough disk space for the journal", "free disk space"]);
    assert!(test.containers().is_empty());
    disk.free();
    // The disk fills up during the run.
    let mut command = test.command(&["install", "--state-dir", &state]);
    let child = command
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    eventually("the container", || waits(&test));
    disk.fill(0);
    signal(child.id(), "INT");
    Test::end(child).exits(1).says(&[
        "full",
        "free disk space",
        "running steps were allowed to finish",
        "dockctl install",
    ]);
    let id = test.inspect("web", "{{.Id}}");
    disk.free();
    test.blueprint(SLEEPER);
    at(&["install"]).exits(0);
    assert_eq!(
        test.inspect("web", "{{.Id}}"),
        id,
        "the journal and the engine agree"
    );
    at(&["uninstall"]).exits(0);
    assert!(test.containers().is_empty());
}

#[test]
fn where_nothing_can_be_written_nothing_begins_and_what_is_known_is_read() {
    let test = Test::fake("read-only");
    let disk = Disk::new(&test, 8192);
    let state = disk.0.join("state").display().to_string();
    let at = |arguments: &[&str]| test.run(&[arguments, &["--state-dir", &state]].concat());
    test.blueprint(SLEEPER);
    disk.mount(&["-o", "remount,ro"]);
    at(&["install"])
        .exits(1)
        .says(&["Read-only file system", "--state-dir"]);
    assert!(test.containers().is_empty());
    disk.mount(&["-o", "remount,rw"]);
    at(&["install"]).exits(0);
    disk.mount(&["-o", "remount,ro"]);
    assert!(at(&["status"]).exits(0).stdout.contains("running"));
    assert!(at(&["executions"]).exits(0).stdout.contains("completed"));
    assert!(at(&["list"]).exits(0).stdout.contains("installed"));
    at(&["uninstall"]).exits(1).says(&["Read-only file system"]);
    assert_eq!(test.containers(), ["PREFIX-web running"]);
    disk.mount(&["-o", "remount,rw"]);
    at(&["uninstall"]).exits(0);
}
