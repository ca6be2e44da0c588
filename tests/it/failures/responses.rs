//! Engine responses that are invalid, endless or late. An object in an unknown state is never
//! reported as deleted.

use crate::{
    docker::install::SLEEPER,
    support::{Test, engine::CannedResponse},
};
use serde_json::json;
use std::time::{Duration, Instant};

#[test]
fn invalid_response_is_an_error_and_not_a_deletion() {
    let test = Test::in_memory("wrong");
    test.blueprint(SLEEPER);
    test.run_limited(&["install"]).exits_with(0);
    for path in ["/containers/json", "/containers/*/json"] {
        for response in [
            json!({ "a": 1 }),
            json!(null),
            json!("x"),
            json!([{ "Names": ["/x"] }]),
            json!([7]),
        ] {
            test.engine()
                .respond_with("GET", path, CannedResponse::Json(200, response.clone()));
            for command in [&["status"][..], &["uninstall", "--task-retries", "0"]] {
                let run = test.run_limited(command);
                assert!(
                    run.code == 4 || run.code == 1,
                    "{path} {response} {command:?}: {}\n{}{}",
                    run.code,
                    run.stdout,
                    run.stderr
                );
                assert!(
                    run.stderr.contains("invalid engine response"),
                    "{path} {response} {command:?}:\n{}",
                    run.stderr
                );
                assert!(
                    !run.stdout.contains("deleted"),
                    "{path} {response}: {}",
                    run.stdout
                );
            }
            assert_eq!(
                test.containers(),
                ["PREFIX-web running"],
                "{path} {response}"
            );
            test.engine().clear_responses();
        }
    }
    for path in ["/containers/json", "/networks", "/volumes"] {
        for response in [json!(null), json!({ "a": 1 })] {
            test.engine()
                .respond_with("GET", path, CannedResponse::Json(200, response.clone()));
            let listed = test
                .run_limited(&["list", "--all"])
                .exits_with(4)
                .stderr_contains(&["are not listed", "invalid engine response"]);
            assert!(listed.stdout.contains(&test.prefix), "{path} {response}");
            test.run_limited(&["list", "--all", "--progress", "json"])
                .exits_with(4)
                .stderr_contains(&["\"event\":\"error\""]);
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
                .exits_with(4)
                .json();
            assert_eq!(
                (&listed["ok"], listed["not_listed"].is_string()),
                (&json!(false), true),
                "{listed}"
            );
            test.engine().clear_responses();
        }
    }
    test.engine().respond_with(
        "GET",
        "/version",
        CannedResponse::Json(200, json!({ "a": 1 })),
    );
    test.run_limited(&["status"])
        .exits_with(4)
        .stderr_contains(&["is not a Docker engine"]);
    test.engine().clear_responses();
    test.run_limited(&["uninstall"]).exits_with(0);
    assert!(test.containers().is_empty());
}

/// A command fails if the engine's response does not confirm it.
#[test]
fn invalid_response_to_a_command_is_a_failure() {
    let test = Test::in_memory("not-done");
    test.blueprint(SLEEPER);
    test.engine().respond_with(
        "POST",
        "/containers/*/start",
        CannedResponse::Json(200, json!({ "a": 1 })),
    );
    test.run_limited(&["install", "--task-retries", "0"])
        .exits_with(1)
        .stderr_contains(&["the engine did not confirm the operation"]);
    test.engine().clear_responses();
    test.run_limited(&["install"]).exits_with(0);
    for (method, path, command) in [
        ("DELETE", "/containers/*", "uninstall"),
        ("POST", "/containers/*/stop", "stop"),
    ] {
        for response in [
            json!({ "a": 1 }),
            json!("x"),
            json!([null]),
            json!([{ "Id": "1", "Err": "it is in use" }]),
        ] {
            test.engine()
                .respond_with(method, path, CannedResponse::Json(200, response.clone()));
            let run = test
                .run_limited(&[command, "--task-retries", "0"])
                .exits_with(1);
            assert!(
                !run.stdout.contains("deleted") && !run.stdout.contains("stopped "),
                "{response}: {}",
                run.stdout
            );
            test.engine().clear_responses();
        }
        test.run_limited(&["install"]).exits_with(0);
    }
    test.run_limited(&["uninstall"]).exits_with(0);
    assert!(test.containers().is_empty());
}

/// Missing labels in a response do not prove that a container is foreign: it is neither touched nor
/// reported as deleted.
#[test]
fn container_without_labels_in_the_response_is_not_reported_as_deleted() {
    let test = Test::in_memory("no-labels");
    test.blueprint(SLEEPER);
    test.run_limited(&["install"]).exits_with(0);
    let id = test.inspect("web", "{{.Id}}");
    let state = json!({ "Running": true, "Status": "running" });
    for config in [
        json!(null),
        json!({ "Labels": null }),
        json!({ "Labels": [1] }),
    ] {
        let answer = json!({ "Id": id, "Name": "/x", "State": state, "Config": config });
        test.engine().respond_with(
            "GET",
            &format!("/containers/{id}/json"),
            CannedResponse::Json(200, answer),
        );
        let run = test
            .run_limited(&["uninstall", "--task-retries", "0"])
            .exits_with(1)
            .stderr_contains(&["it was not touched"]);
        assert!(!run.stdout.contains("deleted "), "{}", run.stdout);
        test.engine().clear_responses();
        assert_eq!(test.containers(), ["PREFIX-web running"], "{config}");
    }
    test.engine().respond_with(
        "GET",
        &format!("/containers/{id}/json"),
        CannedResponse::Json(404, json!({ "message": "page not found" })),
    );
    test.run_limited(&["uninstall", "--task-retries", "0"])
        .exits_with(4);
    test.engine().clear_responses();
    test.run_limited(&["uninstall"]).exits_with(0);
    assert!(test.containers().is_empty());
}

#[test]
fn optional_response_fields_may_be_missing() {
    let test = Test::in_memory("sparse");
    test.blueprint(SLEEPER);
    test.engine()
        .respond_with("GET", "/networks", CannedResponse::Json(200, json!([])));
    test.engine().respond_with(
        "GET",
        "/volumes",
        CannedResponse::Json(200, json!({ "Volumes": null, "Warnings": null })),
    );
    test.engine().respond_with(
        "GET",
        "/containers/json",
        CannedResponse::Json(
            200,
            json!([{ "Id": "1".repeat(64), "Names": null, "Labels": null }]),
        ),
    );
    test.engine().respond_with(
        "GET",
        &format!("/containers/{}/json", "1".repeat(64)),
        CannedResponse::Json(200, json!({ "Id": "1".repeat(64) })),
    );
    test.run_limited(&["plan", "--exit-code"]).exits_with(6);
    test.run_limited(&["list", "--all"]).exits_with(0);
}

#[test]
fn large_responses_do_not_exhaust_memory() {
    let test = Test::in_memory("endless");
    test.blueprint(SLEEPER);
    test.run_limited(&["install"]).exits_with(0);
    // One TiB: more than fits in memory.
    let endless = |status| CannedResponse::Bytes(status, vec![b' '; 1 << 20], 1 << 20);
    for path in ["/containers/json", "/containers/*/json"] {
        test.engine().respond_with("GET", path, endless(200));
        test.run_limited(&["status", "--engine-timeout", "60"])
            .exits_with(4)
            .stderr_contains(&["larger than 64 MiB"]);
        test.engine().respond_with("GET", path, endless(500));
        test.run_limited(&["status", "--engine-timeout", "60"])
            .exits_with(4);
        test.engine().clear_responses();
    }
    // A response below the size limit can contain too many values.
    for part in [b"0,", &b"{},"[..]] {
        let body = [b"[", &part.repeat(10 << 20)[..], b"0]"].concat();
        test.engine().respond_with(
            "GET",
            "/containers/json",
            CannedResponse::Bytes(200, body, 1),
        );
        test.run_limited(&["status"])
            .exits_with(4)
            .stderr_contains(&["invalid engine response: more than"]);
    }
    test.engine().respond_with("GET", "/version", endless(200));
    test.run_limited(&["status"]).exits_with(4);
    test.engine().clear_responses();
    let message = json!({ "message": format!("\u{1b}[31m{}", "no ".repeat(1 << 21)) });
    test.engine().respond_with(
        "POST",
        "/containers/*/stop",
        CannedResponse::Json(409, message),
    );
    let run = test
        .run_limited(&["uninstall", "--task-retries", "0"])
        .exits_with(1)
        .stderr_contains(&["\\u{1b}[31mno no", "more bytes"]);
    assert!(run.stderr.len() < 20_000, "{}", run.stderr.len());
    test.engine().clear_responses();
    test.run_limited(&["uninstall"]).exits_with(0);
}

#[test]
fn logs_are_streamed_and_time_out() {
    let test = Test::in_memory("logs-stream");
    test.blueprint(SLEEPER);
    test.run_limited(&["install"]).exits_with(0);
    // One line of 150 MiB in frames, without a line end.
    let frame = [&[1, 0, 0, 0, 0, 16, 0, 0][..], &vec![b'X'; 1 << 20]].concat();
    test.engine().respond_with(
        "GET",
        "/containers/*/logs",
        CannedResponse::Bytes(200, frame, 150),
    );
    for json in [false, true] {
        let start = Instant::now();
        let run = test
            .run_limited(if json {
                &["logs", "--output", "json"]
            } else {
                &["logs"]
            })
            .exits_with(0);
        assert_eq!(
            run.stdout.matches('X').count(),
            150 << 20,
            "every byte is printed"
        );
        assert!(
            start.elapsed() < Duration::from_mins(2),
            "{:?}",
            start.elapsed()
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
        .respond_with("GET", "/containers/*/logs", CannedResponse::NoBody);
    let run = test
        .run_limited(&["logs", "--engine-timeout", "1"])
        .exits_with(4)
        .stderr_contains(&["did not respond in time"]);
    assert!(run.stdout.is_empty());
    let json = test
        .run_limited(&["logs", "--engine-timeout", "1", "--output", "json"])
        .exits_with(4)
        .json();
    assert_eq!((&json["ok"], &json["lines"]), (&json!(false), &json!([])));
    test.engine().clear_responses();
    test.run_limited(&["uninstall"]).exits_with(0);
}

#[test]
fn last_log_lines_are_truncated() {
    let test = Test::in_memory("last-lines");
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
    test.engine().respond_with(
        "GET",
        "/containers/*/logs",
        CannedResponse::Bytes(200, line, 1000),
    );
    let run = test
        .run_limited(&["install", "--task-retries", "0"])
        .exits_with(1);
    let lines: Vec<&str> = run
        .stderr
        .lines()
        .filter(|line| line.contains("yyyy"))
        .collect();
    assert_eq!(lines.len() % 20, 0, "{}", lines.len());
    assert!((20..=60).contains(&lines.len()), "{}", lines.len());
    assert!(lines.iter().all(|line| line.matches('y').count() == 400));
    // dockctl does not read an endless log indefinitely.
    test.engine().respond_with(
        "GET",
        "/containers/*/logs",
        CannedResponse::Bytes(
            200,
            [&[2, 0, 0, 0, 0, 0, 0, 2][..], b"z\n"].concat(),
            1 << 40,
        ),
    );
    test.run_limited(&["install", "--task-retries", "0"])
        .exits_with(1)
        .stderr_contains(&["(incomplete: "]);
    test.engine().respond_with(
        "GET",
        "/containers/*/logs",
        CannedResponse::Json(500, json!({ "message": "no log" })),
    );
    test.run_limited(&["install", "--task-retries", "0"])
        .exits_with(1)
        .stderr_contains(&["cannot read the rest", "no log"]);
    test.engine().clear_responses();
    test.run_limited(&["uninstall"]).exits_with(0);
}

/// An engine can keep the endpoint of a container that is gone. Only a user can remove it.
#[test]
fn endpoint_without_a_container_is_reported_at_once() {
    let test = Test::in_memory("endpoint");
    let net = "  net: {type: dockctl.nodes.Network, properties: {name: PREFIX-net}}\n";
    test.write(
        "blueprint.yaml",
        &format!("{}{net}", crate::docker::networks::HEAD),
    );
    test.run_limited(&["install"]).exits_with(0);
    let status = test.run_limited(&["status", "--output", "json"]);
    let id = status.json()["instances"][0]["objects"][0]["id"].clone();
    let endpoints = json!({ "gone": { "Name": "ghost\u{1b}[2J" } });
    let network = json!({ "Id": id, "Name": test.name("net"), "Containers": endpoints });
    let used = json!({ "message": "error while removing network: network n has active endpoints" });
    let engine = test.engine();
    engine.respond_with("DELETE", "/networks/*", CannedResponse::Json(403, used));
    engine.respond_with("GET", "/networks/*", CannedResponse::Json(200, network));
    let run = test.run_limited(&["uninstall"]).exits_with(1);
    assert!(!run.stderr.contains("retrying"), "{}", run.stderr);
    run.stderr_contains(&[
        "the engine keeps its endpoint `ghost\\u{1b}[2J` without a container",
        "docker network disconnect -f",
    ]);
    engine.clear_responses();
    test.run_limited(&["uninstall"]).exits_with(0);
}
