//! Engine responses that are invalid, endless or late. An object in an unknown state is never
//! reported as deleted.

use crate::{
    docker::install::SLEEPER,
    support::{Test, engine::Answer},
};
use serde_json::json;
use std::time::{Duration, Instant};

#[test]
fn a_wrong_answer_is_an_error_and_not_the_end_of_anything() {
    let test = Test::fake("wrong");
    test.blueprint(SLEEPER);
    test.run_limited(&["install"]).exits(0);
    for path in ["/containers/json", "/containers/*/json"] {
        for wrong in [
            json!({ "a": 1 }),
            json!(null),
            json!("x"),
            json!([{ "Names": ["/x"] }]),
            json!([7]),
        ] {
            test.engine()
                .lies("GET", path, Answer::Json(200, wrong.clone()));
            for command in [&["status"][..], &["uninstall", "--task-retries", "0"]] {
                let run = test.run_limited(command);
                assert!(
                    run.code == 4 || run.code == 1,
                    "{path} {wrong} {command:?}: {}\n{}{}",
                    run.code,
                    run.stdout,
                    run.stderr
                );
                assert!(
                    run.stderr.contains("invalid engine response"),
                    "{path} {wrong} {command:?}:\n{}",
                    run.stderr
                );
                assert!(
                    !run.stdout.contains("deleted"),
                    "{path} {wrong}: {}",
                    run.stdout
                );
            }
            assert_eq!(test.containers(), ["PREFIX-web running"], "{path} {wrong}");
            test.engine().repents();
        }
    }
    for path in ["/containers/json", "/networks", "/volumes"] {
        for wrong in [json!(null), json!({ "a": 1 })] {
            test.engine()
                .lies("GET", path, Answer::Json(200, wrong.clone()));
            let listed = test
                .run_limited(&["list", "--all"])
                .exits(4)
                .says(&["are not listed", "invalid engine response"]);
            assert!(listed.stdout.contains(&test.prefix), "{path} {wrong}");
            let elsewhere = test.path("elsewhere").display().to_string();
            let listed = test
                .run_limited(&[
                    "list",
                    "--all",
                    "--output",
                    "json",
                    "--state-dir",
                    &elsewhere,
                ])
                .exits(4)
                .json();
            assert_eq!(
                (&listed["ok"], listed["not_listed"].is_string()),
                (&json!(false), true),
                "{listed}"
            );
            test.engine().repents();
        }
    }
    test.engine()
        .lies("GET", "/version", Answer::Json(200, json!({ "a": 1 })));
    test.run_limited(&["status"])
        .exits(4)
        .says(&["is not a Docker engine"]);
    test.engine().repents();
    test.run_limited(&["uninstall"]).exits(0);
    assert!(test.containers().is_empty());
}

/// A command fails if the engine's response does not confirm it.
#[test]
fn a_wrong_answer_to_a_command_is_not_its_success() {
    let test = Test::fake("not-done");
    test.blueprint(SLEEPER);
    test.engine().lies(
        "POST",
        "/containers/*/start",
        Answer::Json(200, json!({ "a": 1 })),
    );
    test.run_limited(&["install", "--task-retries", "0"])
        .exits(1)
        .says(&["the engine did not confirm the operation"]);
    test.engine().repents();
    test.run_limited(&["install"]).exits(0);
    for (method, path, command) in [
        ("DELETE", "/containers/*", "uninstall"),
        ("POST", "/containers/*/stop", "stop"),
    ] {
        for wrong in [
            json!({ "a": 1 }),
            json!("x"),
            json!([null]),
            json!([{ "Id": "1", "Err": "it is in use" }]),
        ] {
            test.engine()
                .lies(method, path, Answer::Json(200, wrong.clone()));
            let run = test.run_limited(&[command, "--task-retries", "0"]).exits(1);
            assert!(
                !run.stdout.contains("deleted") && !run.stdout.contains("stopped "),
                "{wrong}: {}",
                run.stdout
            );
            test.engine().repents();
        }
        test.run_limited(&["install"]).exits(0);
    }
    test.run_limited(&["uninstall"]).exits(0);
    assert!(test.containers().is_empty());
}

/// Missing labels in a response do not prove that a container is foreign: it is neither touched nor
/// reported as deleted.
#[test]
fn a_container_whose_labels_are_not_told_is_not_called_deleted() {
    let test = Test::fake("no-labels");
    test.blueprint(SLEEPER);
    test.run_limited(&["install"]).exits(0);
    let id = test.inspect("web", "{{.Id}}");
    let state = json!({ "Running": true, "Status": "running" });
    for config in [
        json!(null),
        json!({ "Labels": null }),
        json!({ "Labels": [1] }),
    ] {
        let answer = json!({ "Id": id, "Name": "/x", "State": state, "Config": config });
        test.engine().lies(
            "GET",
            &format!("/containers/{id}/json"),
            Answer::Json(200, answer),
        );
        let run = test
            .run_limited(&["uninstall", "--task-retries", "0"])
            .exits(1)
            .says(&["it was not touched"]);
        assert!(!run.stdout.contains("deleted "), "{}", run.stdout);
        test.engine().repents();
        assert_eq!(test.containers(), ["PREFIX-web running"], "{config}");
    }
    test.engine().lies(
        "GET",
        &format!("/containers/{id}/json"),
        Answer::Json(404, json!({ "message": "page not found" })),
    );
    test.run_limited(&["uninstall", "--task-retries", "0"])
        .exits(4);
    test.engine().repents();
    test.run_limited(&["uninstall"]).exits(0);
    assert!(test.containers().is_empty());
}

#[test]
fn what_an_engine_leaves_out_may_be_left_out() {
    let test = Test::fake("sparse");
    test.blueprint(SLEEPER);
    test.engine()
        .lies("GET", "/networks", Answer::Json(200, json!([])));
    test.engine().lies(
        "GET",
        "/volumes",
        Answer::Json(200, json!({ "Volumes": null, "Warnings": null })),
    );
    test.engine().lies(
        "GET",
        "/containers/json",
        Answer::Json(
            200,
            json!([{ "Id": "1".repeat(64), "Names": null, "Labels": null }]),
        ),
    );
    test.engine().lies(
        "GET",
        &format!("/containers/{}/json", "1".repeat(64)),
        Answer::Json(200, json!({ "Id": "1".repeat(64) })),
    );
    test.run_limited(&["plan", "--exit-code"]).exits(6);
    test.run_limited(&["list", "--all"]).exits(0);
}

#[test]
fn no_answer_is_too_large_for_the_memory() {
    let test = Test::fake("endless");
    test.blueprint(SLEEPER);
    test.run_limited(&["install"]).exits(0);
    // One TiB: more than fits in memory.
    let endless = |status| Answer::Bytes(status, vec![b' '; 1 << 20], 1 << 20);
    for path in ["/containers/json", "/containers/*/json"] {
        test.engine().lies("GET", path, endless(200));
        test.run_limited(&["status", "--engine-timeout", "60"])
            .exits(4)
            .says(&["larger than 64 MiB"]);
        test.engine().lies("GET", path, endless(500));
        test.run_limited(&["status", "--engine-timeout", "60"])
            .exits(4);
        test.engine().repents();
    }
    // A response below the size limit can contain too many values.
    for part in [b"0,", &b"{},"[..]] {
        let many = [b"[", &part.repeat(10 << 20)[..], b"0]"].concat();
        test.engine()
            .lies("GET", "/containers/json", Answer::Bytes(200, many, 1));
        test.run_limited(&["status"])
            .exits(4)
            .says(&["invalid engine response: more than"]);
    }
    test.engine().lies("GET", "/version", endless(200));
    test.run_limited(&["status"]).exits(4);
    test.engine().repents();
    let message = json!({ "message": format!("\u{1b}[31m{}", "no ".repeat(1 << 21)) });
    test.engine()
        .lies("POST", "/containers/*/stop", Answer::Json(409, message));
    let run = test
        .run_limited(&["uninstall", "--task-retries", "0"])
        .exits(1)
        .says(&["\\u{1b}[31mno no", "more bytes"]);
    assert!(run.stderr.len() < 20_000, "{}", run.stderr.len());
    test.engine().repents();
    test.run_limited(&["uninstall"]).exits(0);
}

#[test]
fn logs_come_as_they_are_written_and_are_given_up_in_silence() {
    let test = Test::fake("logs-stream");
    test.blueprint(SLEEPER);
    test.run_limited(&["install"]).exits(0);
    // One line of 150 MiB in frames, without a line end.
    let frame = [&[1, 0, 0, 0, 0, 16, 0, 0][..], &vec![b'X'; 1 << 20]].concat();
    test.engine()
        .lies("GET", "/containers/*/logs", Answer::Bytes(200, frame, 150));
    for json in [false, true] {
        let begun = Instant::now();
        let run = test
            .run_limited(if json {
                &["logs", "--output", "json"]
            } else {
                &["logs"]
            })
            .exits(0);
        assert_eq!(
            run.stdout.matches('X').count(),
            150 << 20,
            "every byte is printed"
        );
        assert!(
            begun.elapsed() < Duration::from_mins(2),
            "{:?}",
            begun.elapsed()
        );
        if json {
            let parts = run.json();
            assert_eq!(
                (&parts["ok"], &parts["kind"]),
                (&json!(true), &json!("logs"))
            );
            assert!(parts["lines"].as_array().unwrap().len() > 100);
        }
    }
    test.engine()
        .lies("GET", "/containers/*/logs", Answer::Silence);
    let run = test
        .run_limited(&["logs", "--engine-timeout", "1"])
        .exits(4)
        .says(&["did not respond in time"]);
    assert!(run.stdout.is_empty());
    let json = test
        .run_limited(&["logs", "--engine-timeout", "1", "--output", "json"])
        .exits(4)
        .json();
    assert_eq!((&json["ok"], &json["lines"]), (&json!(false), &json!([])));
    test.engine().repents();
    test.run_limited(&["uninstall"]).exits(0);
}

#[test]
fn the_last_words_of_a_container_are_cut() {
    let test = Test::fake("last-lines");
    test.blueprint(
        "
node_templates:
  web:
    type: cloudify.docker.Container
    properties: {name: PREFIX-web, image: {src: TARBALL, repository: PREFIX-img}}
    interfaces:
      cloudify.interfaces.lifecycle:
        create: {inputs: {params: {command: 'false'}}}
        start: {inputs: {processes_to_wait_for: [nothing], retry_interval: 0.1}}
",
    );
    let line = [
        &[2, 0, 0, 0, 0, 0, 0x27, 0x11][..],
        &vec![b'y'; 10_000],
        b"\n",
    ]
    .concat();
    test.engine()
        .lies("GET", "/containers/*/logs", Answer::Bytes(200, line, 1000));
    let run = test
        .run_limited(&["install", "--task-retries", "0"])
        .exits(1);
    let lines: Vec<&str> = run
        .stderr
        .lines()
        .filter(|line| line.contains("yyyy"))
        .collect();
    assert_eq!(lines.len() % 20, 0, "{}", lines.len());
    assert!((20..=60).contains(&lines.len()), "{}", lines.len());
    assert!(lines.iter().all(|line| line.matches('y').count() == 400));
    // dockctl does not read an endless log indefinitely.
    test.engine().lies(
        "GET",
        "/containers/*/logs",
        Answer::Bytes(
            200,
            [&[2, 0, 0, 0, 0, 0, 0, 2][..], b"z\n"].concat(),
            1 << 40,
        ),
    );
    test.run_limited(&["install", "--task-retries", "0"])
        .exits(1)
        .says(&["(incomplete: "]);
    test.engine().lies(
        "GET",
        "/containers/*/logs",
        Answer::Json(500, json!({ "message": "no log" })),
    );
    test.run_limited(&["install", "--task-retries", "0"])
        .exits(1)
        .says(&["cannot read the rest", "no log"]);
    test.engine().repents();
    test.run_limited(&["uninstall"]).exits(0);
}
