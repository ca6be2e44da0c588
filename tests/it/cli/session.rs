//! Runs that are interrupted, killed, or blocked by another run.

use crate::{
    docker::install::SLEEPER,
    support::{Test, eventually},
};
use std::{
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
};

pub(crate) fn send_signal(process: u32, name: &str) {
    assert!(
        Command::new("kill")
            .args([&format!("-{name}"), &process.to_string()])
            .status()
            .unwrap()
            .success()
    );
}

/// Returns a blueprint that waits for a process that never starts.
pub(crate) fn never_ready() -> String {
    SLEEPER.replace("[sleep]", "[never]")
}

pub(crate) fn is_waiting(test: &Test) -> Option<()> {
    (test.containers() == ["PREFIX-web running"]).then_some(())
}

#[test]
fn interrupt_cancels_a_wait_and_the_same_command_resumes() {
    let test = Test::in_memory("ctrl-c");
    test.blueprint(&never_ready());
    let child = test.start(&["install"]);
    eventually("the container", || is_waiting(&test));
    send_signal(child.id(), "INT");
    Test::wait(child).exits_with(130).stderr_contains(&[
        "no new steps start",
        "interrupted: wait for process",
        "to resume it, run: dockctl install",
    ]);
    let id = test.inspect("web", "{{.Id}}");
    test.blueprint(SLEEPER);
    test.run(&["install"]).exits_with(0);
    assert_eq!(test.inspect("web", "{{.Id}}"), id);
}

#[test]
fn second_run_reports_the_holder() {
    let test = Test::in_memory("busy");
    test.blueprint(&never_ready());
    let child = test.start(&["install"]);
    eventually("the container", || is_waiting(&test));
    let process = format!("process {}", child.id());
    test.run(&["uninstall"]).exits_with(5).stderr_contains(&[
        "`dockctl install`",
        &process,
        "since 20",
    ]);
    test.run(&["install"]).exits_with(5);
    assert!(
        test.run(&["status"])
            .exits_with(0)
            .stdout
            .contains(&process)
    );
    send_signal(child.id(), "KILL");
    Test::wait(child);
    // The lock of a dead process is released.
    assert!(
        test.run(&["executions"])
            .exits_with(0)
            .stdout
            .contains("interrupted")
    );
    test.run(&["uninstall"]).exits_with(0);
    assert!(test.containers().is_empty());
}

/// Kills dockctl after `n` lines of progress. Returns false if it exited earlier.
fn kill_after(test: &Test, arguments: &[&str], n: usize) -> bool {
    let mut child = test
        .command(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap())
        .lines()
        .take(n)
        .count();
    let _ = child.kill();
    child.wait().unwrap();
    lines == n
}

#[test]
fn killed_run_is_resumed_without_repeating_steps() {
    let test = Test::in_memory("kill");
    let app = SLEEPER
        .replace("\nnode_templates:\n", "")
        .replace("web", "app")
        + "    relationships: [{type: cloudify.relationships.connected_to, target: web}]\n";
    test.blueprint(&(SLEEPER.to_owned() + &app));
    let mut kill_points = 0;
    for n in 1.. {
        let since = test.docker(&["info", "--format", "{{.SystemTime}}"]);
        if !kill_after(&test, &["install", "--progress", "plain"], n) {
            break;
        }
        test.run(&["install"]).exits_with(0);
        assert_eq!(
            test.containers(),
            ["PREFIX-app running", "PREFIX-web running"],
            "killed after {n} lines"
        );
        let label = format!("label=dockctl.deployment={}", test.prefix);
        let until = test.docker(&["info", "--format", "{{.SystemTime}}"]);
        let created = test.docker(&[
            "events",
            "--since",
            &since,
            "--until",
            &until,
            "--filter",
            "event=create",
            "--filter",
            &label,
            "--format",
            "{{.ID}}",
        ]);
        assert_eq!(created.lines().count(), 2, "killed after {n} lines");
        kill_after(&test, &["uninstall", "--progress", "plain"], n);
        test.run(&["uninstall"]).exits_with(0);
        assert!(test.containers().is_empty(), "killed after {n} lines");
        kill_points += 1;
    }
    assert!(kill_points >= 10, "only {kill_points} kill points");
}
