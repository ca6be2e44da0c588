//! `heal --watch` and `status --watch`: signals end them, engine errors do not.

use crate::{
    cli::session::signal,
    docker::install::SLEEPER,
    support::{Test, engine::Answer, eventually},
};
use serde_json::json;
use std::{
    fs::File,
    process::{Child, Command},
    time::{Duration, Instant},
};

/// Longest time that a watch may take to exit, with a margin for a busy machine.
const SOON: Duration = Duration::from_secs(5);

const WATCHES: [&[&str]; 2] = [
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
    fn begun(test: &'t Test, arguments: &[&str]) -> Self {
        let looks = if arguments[0] == "heal" {
            "GET /events"
        } else {
            "GET /containers"
        };
        let before = test.engine().asked(looks);
        let watch = Self::start(test, test.command(arguments));
        eventually("a request", || {
            (test.engine().asked(looks) > before).then_some(())
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

    fn said(&self) -> String {
        let read = |name: &str| std::fs::read_to_string(self.test.path(name)).unwrap();
        read("watch.out") + &read("watch.err")
    }

    fn says(&self, text: &str) {
        eventually(text, || self.said().contains(text).then_some(()));
    }

    /// Sends a signal and asserts that the watch exits in time, with code 0.
    fn ends_at(mut self, name: &str) {
        let asked = Instant::now();
        signal(self.child.id(), name);
        let status = eventually("the end of the watch", || self.child.try_wait().unwrap());
        assert_eq!(status.code(), Some(0), "{name}: {}", self.said());
        assert!(asked.elapsed() < SOON, "{name}: {:?}", asked.elapsed());
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn installed(name: &str) -> Test {
    let test = Test::fake(name);
    test.blueprint(SLEEPER);
    test.run(&["install"]).exits(0);
    test
}

#[test]
fn a_watch_ends_at_any_signal_that_asks_to() {
    let test = installed("watch-ends");
    for arguments in WATCHES {
        for name in ["INT", "TERM"] {
            let watch = Watch::begun(&test, arguments);
            watch.says(&test.prefix);
            watch.ends_at(name);
        }
    }
}

#[test]
fn a_watch_ends_after_it_mended_something() {
    let test = installed("watch-repaired");
    for name in ["TERM", "INT"] {
        let watch = Watch::begun(&test, WATCHES[0]);
        test.docker(&["rm", "-f", &test.name("web")]);
        watch.says("repaired:");
        watch.ends_at(name);
    }
}

#[test]
fn a_watch_ends_while_the_engine_hangs() {
    let test = installed("watch-hangs");
    for arguments in WATCHES {
        test.engine()
            .lies("GET", "/containers/json", Answer::Silence);
        test.engine()
            .lies("GET", "/containers/*/json", Answer::Silence);
        let before = test.engine().asked("GET /containers");
        let watch = Watch::start(&test, test.command(arguments));
        eventually("a request", || {
            (test.engine().asked("GET /containers") > before).then_some(())
        });
        watch.ends_at("TERM");
    }
}

#[test]
fn an_observation_that_fails_is_told_and_made_again() {
    let test = installed("watch-again");
    for arguments in WATCHES {
        let refused = || Answer::Json(500, json!({ "message": "disk I/O error" }));
        test.engine().lies("GET", "/containers/json", refused());
        test.engine().lies("GET", "/containers/*/json", refused());
        let watch = Watch::start(&test, test.command(arguments));
        watch.says("disk I/O error");
        test.engine().repents();
        test.docker(&["rm", "-f", &test.name("web")]);
        watch.says(if arguments[0] == "heal" {
            "repaired:"
        } else {
            "missing"
        });
        watch.ends_at("INT");
        test.run(&["heal"]).exits(0);
    }
}

#[test]
fn a_repair_ends_as_any_run_does() {
    let test = Test::fake("watch-repair");
    // Only the first container runs the process that dockctl waits for.
    let folder = test.path("").display().to_string();
    let command =
        "[sh, -c, 'if mkdir /shared/once; then exec sleep 1000; else exec tail -f /dev/null; fi']";
    let params = format!("command: {command}, host_config: {{binds: ['{folder}:/shared']}}");
    test.blueprint(&SLEEPER.replace("command: sleep 1000", &params));
    test.run(&["install"]).exits(0);
    for name in ["INT", "TERM"] {
        let mut watch = Watch::begun(&test, WATCHES[0]);
        test.docker(&["rm", "-f", &test.name("web")]);
        watch.says("needs repair");
        watch.says("wait for process");
        signal(watch.child.id(), name);
        let status = eventually("the end of the run", || watch.child.try_wait().unwrap());
        assert_eq!(status.code(), Some(130), "{name}: {}", watch.said());
        assert!(watch.said().contains("interrupted: "), "{}", watch.said());
    }
}

#[test]
fn what_nobody_reads_ends() {
    let test = Test::fake("watch-unread");
    let talks = "command: [sh, -c, 'while true; do echo more; sleep 0.1; done'], ";
    test.blueprint(
        &SLEEPER
            .replace("command: sleep 1000", talks)
            .replace("[sleep]", "[sh]"),
    );
    test.run(&["install"]).exits(0);
    for arguments in [
        &["status", "--watch=0.1"][..],
        &["status", "--watch=0.1", "--output", "json"],
        &["logs", "--follow"],
        &["logs", "--follow", "--output", "json"],
    ] {
        let mut child = test.start(arguments);
        let mut output = child.stdout.take().unwrap();
        let begun = std::io::Read::read_exact(&mut output, &mut [0; 4]);
        assert!(begun.is_ok(), "{arguments:?}");
        drop(output);
        let status = eventually("the end", || child.try_wait().unwrap());
        assert_eq!(status.code(), Some(0), "{arguments:?}");
    }
}
