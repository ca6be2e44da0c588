//! The script of an instance.

use super::{Served, blueprint, spec};
use crate::support::{Test, docker, eventually};
use serde_json::json;
use std::time::Instant;

#[test]
fn scripts_of_all_kinds_run_once() {
    let test = Test::new("ik-init");
    test.import_image();
    let served = Served::start(&test, &[]);
    let long = format!("# {}\n", "x".repeat(1000)).repeat(300);
    let script = format!(
        "{long}echo run >> /tmp/runs\ncat <<'END' > /tmp/text\na 'b' \"c\" \\d $e\nEND\ncat > /tmp/input\nsleep 1000 &\necho ünï > /tmp/unicode\n"
    );
    let begun = Instant::now();
    let id = served.provision(&spec(&test, &json!({ "Init": script })));
    assert!(
        begun.elapsed().as_secs() < 20,
        "a process that it leaves behind is not awaited"
    );
    let read = |path: &str| docker(&["exec", &id, "cat", path]);
    assert_eq!(read("/tmp/runs"), "run");
    assert_eq!(read("/tmp/text"), "a 'b' \"c\" \\d $e");
    assert_eq!(
        (&read("/tmp/input")[..], &read("/tmp/unicode")[..]),
        ("", "ünï")
    );
}

#[test]
fn script_that_does_not_end_is_ended() {
    let test = Test::in_memory("ik-endless");
    test.import_image();
    let served = Served::start(&test, &["--init-timeout", "1s"]);
    let script = json!({ "Init": "echo begin; sleep 1000" });
    let error = served.provision_error(&spec(&test, &script));
    assert!(
        error.starts_with("init script did not end within 1 s for container "),
        "{error}"
    );
    assert!(error.ends_with("\nbegin"), "{error}");
    assert_eq!(test.containers(), Vec::<String>::new());
    served.describe(&json!(null));
}

#[test]
fn container_that_exits_before_its_script_is_reported() {
    let test = Test::new("ik-early");
    test.import_image();
    let served = Served::start(&test, &[]);
    let more = json!({ "Init": "sleep 5", "Properties": { "Config": { "Cmd": ["sh", "-c", "echo broken; exit 9"] } } });
    let error = served.provision_error(&spec(&test, &more));
    let text = "exited with code 9 before the end of its init script; its last output:\nbroken";
    assert!(error.contains(text), "{error}");
    assert_eq!(test.containers(), Vec::<String>::new());
}

#[test]
fn interrupted_script_does_not_run_twice_in_one_container() {
    let test = Test::in_memory("ik-cut");
    test.import_image();
    let served = Served::start(&test, &[]);
    let runs = test.path("runs");
    let script = format!("echo run >> {}; sleep 1000", runs.display());
    let named = spec(
        &test,
        &json!({ "LogicalID": test.name("a"), "Init": script }),
    );
    std::thread::scope(|scope| {
        let lost = scope.spawn(|| {
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                served.reply("Instance.Provision", &json!({ "Spec": named }))
            }))
        });
        eventually("the script", || runs.exists().then_some(()));
        served.signal("KILL");
        assert!(lost.join().unwrap().is_err(), "the connection is lost");
    });
    drop(served);
    let served = Served::start(&test, &[]);
    assert_eq!(served.describe(&json!(null)).len(), 0, "it is removed");
    assert_eq!(test.containers(), Vec::<String>::new());
    assert_eq!(std::fs::read_to_string(&runs).unwrap(), "run\n");
}

#[test]
fn interrupted_script_of_a_deployment_gets_a_new_container() {
    let test = Test::in_memory("ik-resume");
    test.import_image();
    let (runs, go) = (test.path("runs"), test.path("go"));
    let script = format!(
        "echo run >> {}; until [ -e {} ]; do sleep 0.1; done",
        runs.display(),
        go.display()
    );
    test.blueprint(&blueprint(&format!("init: \"{script}\"")));
    let mut child = test.start(&["install"]);
    eventually("the script", || runs.exists().then_some(()));
    let first = test.inspect("web", "{{.Id}}");
    child.kill().unwrap();
    child.wait().unwrap();
    std::fs::write(&go, "").unwrap();
    test.run(&["install"]).exits_with(0);
    assert_ne!(test.inspect("web", "{{.Id}}"), first);
    assert_eq!(std::fs::read_to_string(&runs).unwrap(), "run\nrun\n");
    test.run(&["uninstall", "--yes"]).exits_with(0);
}

#[test]
fn instance_that_is_destroyed_while_its_script_runs_does_not_come_back() {
    for attempt in 0..3 {
        let test = Test::new("ik-gone");
        test.import_image();
        let served = Served::start(&test, &[]);
        let spec = spec(
            &test,
            &json!({ "LogicalID": test.name("a"), "Init": "sleep 1000" }),
        );
        std::thread::scope(|scope| {
            let lost = scope.spawn(|| served.provision_error(&spec));
            eventually("the script", || {
                let top = std::process::Command::new("docker")
                    .args(["top", &test.name("a")])
                    .output();
                String::from_utf8_lossy(&top.unwrap().stdout)
                    .contains("sleep 1000")
                    .then_some(())
            });
            served.destroy(&test.name("a"));
            let error = lost.join().unwrap();
            assert!(
                error.contains("before the end of") || error.contains("was removed"),
                "{error}"
            );
        });
        assert_eq!(test.containers(), Vec::<String>::new(), "attempt {attempt}");
    }
}
