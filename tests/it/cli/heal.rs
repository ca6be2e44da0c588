//! `dockctl heal`, once and with `--watch`.

use crate::{
    cli::{drift, installed},
    support::{Test, eventually, private::Private},
};
use std::{
    process::{Command, Stdio},
    time::Duration,
};

/// A watch process with its log file; killed on drop.
struct Watch {
    process: std::process::Child,
    log: std::path::PathBuf,
}

impl Watch {
    fn start(test: &Test, engine: &Private) -> Self {
        let listeners = || engine.docker(&["info", "--format", "{{.NEventsListener}}"]);
        let before = listeners();
        let log = test.path("watch.log");
        let mut command = test.command(&[
            "heal",
            "--watch",
            "--cool-down",
            "0.1",
            "--budget",
            "9",
            "--host",
            &engine.socket,
        ]);
        let process = command
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let watch = Self { process, log };
        watch.says("watching");
        eventually("the subscription", || (listeners() != before).then_some(()));
        watch
    }

    fn text(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    fn says(&self, text: &str) {
        eventually(text, || self.text().contains(text).then_some(()));
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn what_died_is_started_and_what_is_gone_is_made() {
    let test = installed("heals");
    test.docker(&["rm", "-f", &test.name("db")]);
    test.docker(&["kill", &test.name("web")]);
    assert_eq!(drift(&test), ["[\"missing\"]", "[\"stopped\"]"]);
    let web = test.inspect("web", "{{.Id}}");
    test.run(&["status", "--exit-code"]).exits(6);
    test.run(&["heal", "--once"]).exits(0);
    assert_eq!(
        test.containers(),
        ["PREFIX-db running", "PREFIX-web running"]
    );
    assert_eq!(
        test.inspect("web", "{{.Id}}"),
        web,
        "the dependent container is not recreated"
    );
    test.run(&["status", "--exit-code"]).exits(0);
}

#[test]
fn what_somebody_changed_is_told_and_put_right() {
    let test = installed("changed");
    test.docker(&["update", "--restart", "always", &test.name("db")]);
    test.docker(&["rename", &test.name("web"), &test.name("other")]);
    let status = test.run(&["status"]).exits(0).stdout;
    assert!(
        status.contains("RestartPolicy: {\"Name\":\"no\"} → {\"Name\":\"always\""),
        "{status}"
    );
    assert!(
        status.contains(&format!(
            "name: \"{}\" → \"{}\"",
            test.name("web"),
            test.name("other")
        )),
        "{status}"
    );
    let plan = test.run(&["plan", "--exit-code"]).exits(6).stdout;
    assert!(plan.contains("update in place: it drifted"), "{plan}");
    test.run(&["install"]).exits(0);
    assert_eq!(
        test.inspect("db", "{{.HostConfig.RestartPolicy.Name}}"),
        "no"
    );
    assert_eq!(
        test.containers(),
        ["PREFIX-db running", "PREFIX-web running"]
    );
    test.run(&["plan", "--exit-code"]).exits(0);
}

#[test]
fn the_watch_mends_what_dies_and_leaves_alone_what_is_stopped() {
    let test = installed("watched");
    let mut watch = test.command(&["heal", "--watch", "--cool-down", "0.1", "--budget", "2"]);
    let log = test.path("watch.log");
    let mut watch = watch
        .stderr(std::fs::File::create(&log).unwrap())
        .spawn()
        .unwrap();
    let said = |text: &str| {
        std::fs::read_to_string(&log)
            .unwrap()
            .contains(text)
            .then_some(())
    };
    eventually("the watch", || said("watching 2 containers"));
    eventually("the subscription", || {
        (test.engine().asked("GET /events") > 0).then_some(())
    });
    let crash = || {
        let pid = test.inspect("web", "{{.State.Pid}}");
        assert!(
            Command::new("kill")
                .args(["-KILL", &pid])
                .status()
                .unwrap()
                .success()
        );
    };
    let runs_again = |than: &str| {
        eventually("web", || {
            (test.inspect("web", "{{.State.Running}} {{.State.StartedAt}}") != than
                && test.inspect("web", "{{.State.Running}}") == "true")
                .then_some(())
        })
    };
    for times in 1..=2 {
        let before = test.inspect("web", "{{.State.Running}} {{.State.StartedAt}}");
        crash();
        runs_again(&before);
        let mended = || {
            std::fs::read_to_string(&log)
                .unwrap()
                .matches("repaired: ")
                .count()
        };
        eventually("the repair", || (mended() == times).then_some(()));
    }
    crash();
    eventually("the end of the budget", || {
        said("repair budget is exhausted (per hour: 2)")
    });
    assert_eq!(test.inspect("web", "{{.State.Running}}"), "false");
    test.docker(&["stop", "-t", "0", &test.name("db")]);
    eventually("the stop", || said("was stopped by a user"));
    std::thread::sleep(Duration::from_millis(700));
    assert_eq!(test.inspect("db", "{{.State.Running}}"), "false");
    // The lock is held only during a repair.
    test.run(&["start", "db"]).exits(0);
    Command::new("kill")
        .args(["-INT", &watch.id().to_string()])
        .status()
        .unwrap();
    assert!(watch.wait().unwrap().success());
}

#[test]
fn what_an_engine_ends_with_itself_is_started_again_and_what_a_person_stopped_is_not() {
    let test = Test::fake("reboot");
    let engine = Private::isolated(&test);
    // `quick` exits at SIGTERM, `deaf` runs until SIGKILL, and a user stops `stopped` beforehand.
    let node = |name: &str, command: &str| {
        format!(
            "  {name}:\n    type: cloudify.docker.Container\n    properties: {{name: PREFIX-{name}, image: {{repository: dockctl-demo}}}}\n    interfaces: {{cloudify.interfaces.lifecycle: {{create: {{inputs: {{params: {{command: {command}, stop_timeout: 2, host_config: {{network_mode: none}}}}}}}}}}}}\n"
        )
    };
    let prompt = "[sh, -c, \"trap 'exit 0' TERM; sleep 1000 & wait\"]";
    test.blueprint(&format!(
        "node_templates:\n{}{}{}",
        node("quick", prompt),
        node("deaf", "sleep 1000"),
        node("stopped", prompt)
    ));
    test.run(&["install", "--host", &engine.socket]).exits(0);
    let watch = Watch::start(&test, &engine);
    let runs = |name: &str| {
        engine.docker(&["inspect", "-f", "{{.State.Running}}", &test.name(name)]) == "true"
    };
    engine.docker(&["stop", &test.name("stopped")]);
    watch.says("was stopped by a user");
    engine.restart()();
    eventually("the others", || {
        (runs("quick") && runs("deaf")).then_some(())
    });
    std::thread::sleep(Duration::from_millis(700));
    assert!(!runs("stopped"), "{}", watch.text());
    assert_eq!(
        watch.text().matches("was stopped by a user").count(),
        1,
        "{}",
        watch.text()
    );
}
