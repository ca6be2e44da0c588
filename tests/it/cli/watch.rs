//! `heal --watch` and `status --watch`: signals end them, engine errors do not.

use crate::{
    cli::session::send_signal,
    docker::install::SLEEPER,
    support::{Test, engine::CannedResponse, eventually},
};
use serde_json::json;
use std::{
    fs::File,
    process::{Child, Command},
    time::{Duration, Instant},
};

/// Longest time that a watch may take to exit, with a margin for a busy machine.
const EXIT_TIMEOUT: Duration = Duration::from_secs(5);

const WATCH_COMMANDS: [&[&str]; 2] = [
    &["heal", "--watch", "--cool-down", "0"],
    &["status", "--watch=0.1"],
];

/// A watch process with its output in files; killed on drop.
struct Watch<'t> {
    test: &'t Test,
    child: Child,
}

impl<'t> Watch<'t> {
    /// Starts a watch and waits for its first observation or subscription.
    fn start_observing(test: &'t Test, arguments: &[&str]) -> Self {
        let request = if arguments[0] == "heal" {
            "GET /events"
        } else {
            "GET /containers"
        };
        let before = test.engine().request_count(request);
        let watch = Self::start(test, test.command(arguments));
        eventually("a request", || {
            (test.engine().request_count(request) > before).then_some(())
        });
        watch
    }

    fn start(test: &'t Test, mut command: Command) -> Self {
        let file = |name: &str| File::create(test.path(name)).unwrap();
        let child = command
            .stdout(file("watch.out"))
            .stderr(file("watch.err"))
            .spawn()
            .unwrap();
        Self { test, child }
    }

    fn output(&self) -> String {
        let read = |name: &str| std::fs::read_to_string(self.test.path(name)).unwrap();
        read("watch.out") + &read("watch.err")
    }

    fn wait_for_output(&self, text: &str) {
        eventually(text, || self.output().contains(text).then_some(()));
    }

    /// Sends a signal and asserts that the watch exits in time, with code 0.
    fn ends_at_signal(mut self, name: &str) {
        let start = Instant::now();
        send_signal(self.child.id(), name);
        let status = eventually("the end of the watch", || self.child.try_wait().unwrap());
        assert_eq!(status.code(), Some(0), "{name}: {}", self.output());
        assert!(
            start.elapsed() < EXIT_TIMEOUT,
            "{name}: {:?}",
            start.elapsed()
        );
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn installed_sleeper(name: &str) -> Test {
    let test = Test::in_memory(name);
    test.blueprint(SLEEPER);
    test.run(&["install"]).exits_with(0);
    test
}

#[test]
fn watch_ends_at_sigint_and_sigterm() {
    let test = installed_sleeper("watch-ends");
    for arguments in WATCH_COMMANDS {
        for name in ["INT", "TERM"] {
            let watch = Watch::start_observing(&test, arguments);
            watch.wait_for_output(&test.prefix);
            watch.ends_at_signal(name);
        }
    }
}

#[test]
fn watch_ends_after_a_repair() {
    let test = installed_sleeper("watch-repaired");
    for name in ["TERM", "INT"] {
        let watch = Watch::start_observing(&test, WATCH_COMMANDS[0]);
        test.docker(&["rm", "-f", &test.name("web")]);
        watch.wait_for_output("repaired:");
        watch.ends_at_signal(name);
    }
}

#[test]
fn watch_ends_while_the_engine_hangs() {
    let test = installed_sleeper("watch-hangs");
    for arguments in WATCH_COMMANDS {
        test.engine()
            .respond_with("GET", "/containers/json", CannedResponse::NoBody);
        test.engine()
            .respond_with("GET", "/containers/*/json", CannedResponse::NoBody);
        let before = test.engine().request_count("GET /containers");
        let watch = Watch::start(&test, test.command(arguments));
        eventually("a request", || {
            (test.engine().request_count("GET /containers") > before).then_some(())
        });
        watch.ends_at_signal("TERM");
    }
}

#[test]
fn failed_observation_is_reported_and_retried() {
    let test = installed_sleeper("watch-again");
    for arguments in WATCH_COMMANDS {
        let error_response = || CannedResponse::Json(500, json!({ "message": "disk I/O error" }));
        test.engine()
            .respond_with("GET", "/containers/json", error_response());
        test.engine()
            .respond_with("GET", "/containers/*/json", error_response());
        let watch = Watch::start(&test, test.command(arguments));
        watch.wait_for_output("disk I/O error");
        test.engine().clear_responses();
        test.docker(&["rm", "-f", &test.name("web")]);
        watch.wait_for_output(if arguments[0] == "heal" {
            "repaired:"
        } else {
            "missing"
        });
        watch.ends_at_signal("INT");
        test.run(&["heal"]).exits_with(0);
    }
}

#[test]
fn interrupted_repair_ends_like_any_run() {
    let test = Test::in_memory("watch-repair");
    // Only the first container runs the process that dockctl waits for.
    let directory = test.path("").display().to_string();
    let command =
        "[sh, -c, 'if mkdir /shared/once; then exec sleep 1000; else exec tail -f /dev/null; fi']";
    let params = format!("command: {command}, host_config: {{binds: ['{directory}:/shared']}}");
    test.blueprint(&SLEEPER.replace("command: sleep 1000", &params));
    test.run(&["install"]).exits_with(0);
    for name in ["INT", "TERM"] {
        let mut watch = Watch::start_observing(&test, WATCH_COMMANDS[0]);
        test.docker(&["rm", "-f", &test.name("web")]);
        watch.wait_for_output("needs repair");
        watch.wait_for_output("wait for process");
        send_signal(watch.child.id(), name);
        let status = eventually("the end of the run", || watch.child.try_wait().unwrap());
        assert_eq!(status.code(), Some(130), "{name}: {}", watch.output());
        assert!(
            watch.output().contains("interrupted: "),
            "{}",
            watch.output()
        );
    }
}

#[test]
fn watch_and_follow_end_without_a_reader() {
    let test = Test::in_memory("watch-unread");
    let command = "command: [sh, -c, 'while true; do echo more; sleep 0.1; done'], ";
    test.blueprint(
        &SLEEPER
            .replace("command: sleep 1000", command)
            .replace("[sleep]", "[sh]"),
    );
    test.run(&["install"]).exits_with(0);
    for arguments in [
        &["status", "--watch=0.1"][..],
        &["status", "--watch=0.1", "--output", "json"],
        &["logs", "--follow"],
        &["logs", "--follow", "--output", "json"],
    ] {
        let mut child = test.start(arguments);
        let mut output = child.stdout.take().unwrap();
        let first_bytes = std::io::Read::read_exact(&mut output, &mut [0; 4]);
        assert!(first_bytes.is_ok(), "{arguments:?}");
        drop(output);
        let status = eventually("the end", || child.try_wait().unwrap());
        assert_eq!(status.code(), Some(0), "{arguments:?}");
    }
}
