//! `dockctl heal`, once and with `--watch`.

use crate::{
    cli::{drift, installed_pair},
    support::{Test, eventually, private_engine::PrivateEngine},
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
    fn start(test: &Test, engine: &PrivateEngine) -> Self {
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
        watch.wait_for_output("watching");
        eventually("the subscription", || (listeners() != before).then_some(()));
        watch
    }

    fn output(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    fn wait_for_output(&self, text: &str) {
        eventually(text, || self.output().contains(text).then_some(()));
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn heal_starts_dead_containers_and_recreates_missing_ones() {
    let test = installed_pair("heals");
    test.docker(&["rm", "-f", &test.name("db")]);
    test.docker(&["kill", &test.name("web")]);
    assert_eq!(drift(&test), ["[\"missing\"]", "[\"stopped\"]"]);
    let web = test.inspect("web", "{{.Id}}");
    test.run(&["status", "--exit-code"]).exits_with(6);
    test.run(&["heal", "--once"]).exits_with(0);
    assert_eq!(
        test.containers(),
        ["PREFIX-db running", "PREFIX-web running"]
    );
    assert_eq!(
        test.inspect("web", "{{.Id}}"),
        web,
        "the dependent container is not recreated"
    );
    test.run(&["status", "--exit-code"]).exits_with(0);
}

#[test]
fn changes_outside_dockctl_are_reported_and_repaired() {
    let test = installed_pair("changed");
    test.docker(&["update", "--restart", "always", &test.name("db")]);
    test.docker(&["rename", &test.name("web"), &test.name("other")]);
    let status = test.run(&["status"]).exits_with(0).stdout;
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
    let plan = test.run(&["plan", "--exit-code"]).exits_with(6).stdout;
    assert!(plan.contains("update in place: it drifted"), "{plan}");
    test.run(&["install"]).exits_with(0);
    assert_eq!(
        test.inspect("db", "{{.HostConfig.RestartPolicy.Name}}"),
        "no"
    );
    assert_eq!(
        test.containers(),
        ["PREFIX-db running", "PREFIX-web running"]
    );
    test.run(&["plan", "--exit-code"]).exits_with(0);
}

#[test]
fn watch_repairs_dead_containers_and_ignores_stopped_ones() {
    let test = installed_pair("watched");
    let mut watch = test.command(&["heal", "--watch", "--cool-down", "0.1", "--budget", "2"]);
    let log = test.path("watch.log");
    let mut watch = watch
        .stderr(std::fs::File::create(&log).unwrap())
        .spawn()
        .unwrap();
    let logged = |text: &str| {
        std::fs::read_to_string(&log)
            .unwrap()
            .contains(text)
            .then_some(())
    };
    eventually("the watch", || logged("watching 2 containers"));
    eventually("the subscription", || {
        (test.engine().request_count("GET /events") > 0).then_some(())
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
    let runs_again = |before: &str| {
        eventually("web", || {
            (test.inspect("web", "{{.State.Running}} {{.State.StartedAt}}") != before
                && test.inspect("web", "{{.State.Running}}") == "true")
                .then_some(())
        })
    };
    for count in 1..=2 {
        let before = test.inspect("web", "{{.State.Running}} {{.State.StartedAt}}");
        crash();
        runs_again(&before);
        let repairs = || {
            std::fs::read_to_string(&log)
                .unwrap()
                .matches("repaired: ")
                .count()
        };
        eventually("the repair", || (repairs() == count).then_some(()));
    }
    crash();
    eventually("the end of the budget", || {
        logged("repair budget is exhausted (per hour: 2)")
    });
    assert_eq!(test.inspect("web", "{{.State.Running}}"), "false");
    test.docker(&["stop", "-t", "0", &test.name("db")]);
    eventually("the stop", || logged("was stopped by a user"));
    std::thread::sleep(Duration::from_millis(700));
    assert_eq!(test.inspect("db", "{{.State.Running}}"), "false");
    // The lock is held only during a repair.
    test.run(&["start", "db"]).exits_with(0);
    Command::new("kill")
        .args(["-INT", &watch.id().to_string()])
        .status()
        .unwrap();
    assert!(watch.wait().unwrap().success());
}

#[test]
fn watch_after_an_engine_restart_starts_only_containers_that_no_user_stopped() {
    let test = Test::in_memory("reboot");
    let engine = PrivateEngine::isolated(&test);
    // `quick` exits at SIGTERM, `deaf` runs until SIGKILL, and a user stops `stopped` beforehand.
    let node = |name: &str, command: &str| {
        format!(
            "  {name}:\n    type: cloudify.docker.Container\n    properties: {{name: PREFIX-{name}, image: {{repository: dockctl-demo}}}}\n    interfaces: {{cloudify.interfaces.lifecycle: {{create: {{inputs: {{params: {{command: {command}, stop_timeout: 2, host_config: {{network_mode: none}}}}}}}}}}}}\n"
        )
    };
    let exits_at_sigterm = "[sh, -c, \"trap 'exit 0' TERM; sleep 1000 & wait\"]";
    test.blueprint(&format!(
        "node_templates:\n{}{}{}",
        node("quick", exits_at_sigterm),
        node("deaf", "sleep 1000"),
        node("stopped", exits_at_sigterm)
    ));
    test.run(&["install", "--host", &engine.socket])
        .exits_with(0);
    let watch = Watch::start(&test, &engine);
    let runs = |name: &str| {
        engine.docker(&["inspect", "-f", "{{.State.Running}}", &test.name(name)]) == "true"
    };
    engine.docker(&["stop", &test.name("stopped")]);
    watch.wait_for_output("was stopped by a user");
    engine.restart()();
    eventually("the others", || {
        (runs("quick") && runs("deaf")).then_some(())
    });
    std::thread::sleep(Duration::from_millis(700));
    assert!(!runs("stopped"), "{}", watch.output());
    assert_eq!(
        watch.output().matches("was stopped by a user").count(),
        1,
        "{}",
        watch.output()
    );
}
