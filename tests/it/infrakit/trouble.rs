//! Bad input, slow and lost clients, many requests at once, and engines that go away.

use super::{Served, post, read_response, spec};
use crate::support::{
    Test,
    engine::{CannedResponse, Engine},
    eventually,
};
use serde_json::{Value as Json, json};
use std::{
    collections::BTreeSet,
    io::{BufReader, Write as _},
    os::unix::net::UnixStream,
    time::{Duration, Instant},
};

#[test]
fn invalid_bodies_leave_the_connection_usable() {
    let test = Test::in_memory("ik-bad");
    let served = Served::start(&test, &[]);
    let mut stream = UnixStream::connect(&served.socket).unwrap();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let deep = format!(
        "{{\"jsonrpc\":\"2.0\",\"method\":\"A.B\",\"params\":{}",
        "[".repeat(200_000)
    );
    let large = format!("{{\"x\":\"{}\"}}", "y".repeat(9 << 20));
    for (body, message) in [
        ("{bad", "invalid JSON"),
        ("", "invalid JSON"),
        ("[1,2]", "the request must be an object"),
        ("\"text\"", "the request must be an object"),
        (&deep, "invalid JSON"),
        (&large, "the request is larger than 8 MiB"),
        (
            r#"{"jsonrpc":"2.0","method":"Instance.Provision","params":{"Spec":5},"id":1}"#,
            "`Spec` must be an object",
        ),
    ] {
        stream.write_all(&post(body)).unwrap();
        let response = read_response(&mut reader);
        assert!(
            response.head.starts_with("HTTP/1.1 200"),
            "{}",
            response.head
        );
        assert!(
            response.body.contains(message),
            "{message}: {}",
            response.body
        );
    }
    stream
        .write_all(&post(
            r#"{"jsonrpc":"2.0","method":"Handshake.Types","id":"x"}"#,
        ))
        .unwrap();
    assert!(read_response(&mut reader).body.ends_with("\"id\":\"x\"}\n"));
}

#[test]
fn clients_that_wait_or_leave_disturb_nobody() {
    let test = Test::in_memory("ik-slow");
    test.import_image();
    let served = Served::start(&test, &[]);
    let mut idle = Vec::new();
    for start in [
        "",
        "POST / HTTP/1.1\r\n",
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\n{",
    ] {
        for _ in 0..30 {
            let mut stream = UnixStream::connect(&served.socket).unwrap();
            stream.write_all(start.as_bytes()).unwrap();
            idle.push(stream);
        }
    }
    served.describe(&json!(null));
    // A client that gives up does not stop its request.
    let call = json!({ "jsonrpc": "2.0", "method": "Instance.Provision", "params": { "Spec": spec(&test, &json!({ "Init": "sleep 1" })) }, "id": 1 });
    let mut stream = UnixStream::connect(&served.socket).unwrap();
    stream.write_all(&post(&call.to_string())).unwrap();
    eventually("the container", || {
        (!served.describe(&json!(null)).is_empty()).then_some(())
    });
    drop(stream);
    served.await_log("provisioned");
    assert_eq!(served.describe(&json!(null)).len(), 1);
}

#[test]
fn two_hundred_instances_at_once_are_created_once_each() {
    let test = Test::in_memory("ik-many");
    test.import_image();
    let served = Served::start(&test, &[]);
    let network = json!({ "Properties": { "NetworkAttachments": [{ "Name": test.name("net") }] }, "Tags": { "infrakit.group": "g" } });
    let spec = spec(&test, &network);
    let params = json!({ "Spec": spec });
    let ids: BTreeSet<String> = std::thread::scope(|scope| {
        let one = |_| {
            scope.spawn(|| {
                served.call("Instance.Provision", &params)["ID"]
                    .as_str()
                    .unwrap()
                    .to_owned()
            })
        };
        let all: Vec<_> = (0..200).map(one).collect();
        all.into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    assert_eq!(ids.len(), 200);
    let described = served.describe(&json!({ "infrakit.group": "g" }));
    let listed: BTreeSet<String> = described
        .iter()
        .map(|it| it["ID"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(listed, ids);
    let networks = test.docker(&[
        "network",
        "ls",
        "-q",
        "--filter",
        &format!("name={}", test.name("net")),
    ]);
    assert_eq!(networks.lines().count(), 1);
}

#[test]
fn calls_fail_with_the_reason_while_the_engine_is_away() {
    let test = Test::in_memory("ik-away");
    let engine = Engine::start(&test.path("own"));
    let address = engine.address();
    let served = Served::start(&test, &["--url", &address]);
    assert_eq!(served.describe(&json!(null)), Vec::<Json>::new());
    let socket = engine.socket().to_owned();
    drop(engine);
    let begun = Instant::now();
    for (method, params) in [
        ("Instance.DescribeInstances", json!({})),
        (
            "Instance.Provision",
            json!({ "Spec": spec(&test, &json!({})) }),
        ),
        ("Instance.Destroy", json!({ "Instance": "0123456789ab" })),
        (
            "Instance.Label",
            json!({ "Instance": "0123456789ab", "Labels": {} }),
        ),
        (
            "Instance.Validate",
            json!({ "Properties": super::properties(&test) }),
        ),
        ("Metadata.Get", json!({ "Path": "containers/0123456789ab" })),
        ("Metadata.Keys", json!({ "Path": "containers" })),
    ] {
        let error = served.error(method, &params);
        assert!(error.contains("reaching the engine"), "{method}: {error}");
    }
    assert!(
        begun.elapsed() < Duration::from_secs(10),
        "the calls fail at once"
    );
    served.call("Handshake.Types", &json!({}));
    for name in ["engine.sock", "hostile.sock"] {
        let _ = std::fs::remove_file(socket.with_file_name(name));
    }
    let _engine = Engine::start(&test.path("own"));
    assert_eq!(served.describe(&json!(null)), Vec::<Json>::new());
}

#[test]
fn failed_engine_at_the_start_is_no_reason_to_end() {
    let test = Test::in_memory("ik-later");
    let missing = format!("unix://{}", test.path("none.sock").display());
    let served = Served::start(&test, &["--url", &missing]);
    let error = served.error("Instance.DescribeInstances", &json!({}));
    assert!(error.contains("none.sock"), "{error}");
    std::os::unix::fs::symlink(test.engine().socket(), test.path("none.sock")).unwrap();
    assert_eq!(served.describe(&json!(null)), Vec::<Json>::new());
}

/// Returns a list of containers as an engine sends it.
fn containers(count: usize) -> Json {
    let labels = json!({ "infrakit.group": "g", "dockctl.infrakit": "x", "a": "b", "c": "d" });
    let one = |n: usize| json!({ "Id": format!("{n:064x}"), "Names": [format!("/c{n}")], "Image": "i", "State": "running", "Status": "Up", "Labels": labels });
    (0..count).map(one).collect()
}

#[test]
fn thousand_instances_are_described_with_two_requests() {
    let test = Test::in_memory("ik-thousand");
    let served = Served::start(&test, &[]);
    served.await_log("the engine can be used");
    test.engine().respond_with(
        "GET",
        "/containers/json",
        CannedResponse::Json(200, containers(1000)),
    );
    let before = test.engine().request_count("");
    assert_eq!(
        served.describe(&json!({ "infrakit.group": "g" })).len(),
        1000
    );
    assert_eq!(
        test.engine().request_count("") - before,
        2,
        "a check and a list"
    );
}
