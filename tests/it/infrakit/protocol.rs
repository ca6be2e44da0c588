//! The wire protocol: recorded requests and their responses, HTTP, handshakes, documents.

use super::{Served, post, read_response};
use crate::support::Test;
use serde_json::{Value as Json, json};
use std::{
    io::{BufReader, Write as _},
    os::unix::net::UnixStream,
};

/// Recorded exchanges of the original with controllers and by hand, one per line. A line with
/// `ours` has a request that dockctl answers differently on purpose.
const RECORDED: &str = include_str!("../../data/infrakit.jsonl");

/// Replaces what differs from run to run.
fn normalized(reply: &Json, test: &Test) -> Json {
    let text = reply
        .to_string()
        .replace(&format!("{}:latest", test.prefix), "IMAGE");
    let mut reply: Json = serde_json::from_str(&text).unwrap();
    if let Some(id) = reply.pointer_mut("/result/ID") {
        assert_eq!(id.as_str().unwrap().len(), 12);
        *id = "ID".into();
    }
    if let Some(message) = reply.pointer_mut("/error/message") {
        let words = message.as_str().unwrap().split(' ');
        let is_id = |word: &str| word.len() == 12 && word.chars().all(|c| c.is_ascii_hexdigit());
        let shown = words.map(|word| if is_id(word) { "ID" } else { word });
        *message = shown.collect::<Vec<_>>().join(" ").into();
    }
    reply
}

#[test]
fn recorded_requests_get_the_recorded_responses() {
    let test = Test::in_memory("ik-recorded");
    test.import_image();
    let served = Served::start(&test, &[]);
    let mut count = 0;
    for line in RECORDED.lines() {
        let row: Json = serde_json::from_str(line).unwrap();
        let body = row["request"]
            .to_string()
            .replace("IMAGE", &format!("{}:latest", test.prefix));
        let response = served.post(&body);
        let expected = row.get("ours").unwrap_or(&row["response"]);
        if expected.is_null() {
            assert_eq!(response.body, "", "{body}");
        } else {
            let reply: Json = serde_json::from_str(&response.body).expect(&body);
            assert_eq!(normalized(&reply, &test), *expected, "{body}");
        }
        assert!(
            response.head.starts_with("HTTP/1.1 200 OK"),
            "{}",
            response.head
        );
        for instance in served.describe(&json!(null)) {
            served.destroy(instance["ID"].as_str().unwrap());
        }
        count += 1;
    }
    assert_eq!(count, 28);
}

#[test]
fn other_paths_methods_and_types_are_refused() {
    let test = Test::in_memory("ik-http");
    let served = Served::start(&test, &[]);
    let call = r#"{"jsonrpc":"2.0","method":"Handshake.Implements","id":1}"#;
    let with = |head: &str| {
        let length = call.len();
        served.send(format!("{head}Host: h\r\nContent-Length: {length}\r\n\r\n{call}").as_bytes())
    };
    for (head, status, body) in [
        (
            "GET / HTTP/1.1\r\n",
            "405",
            "rpc: POST method required, received GET",
        ),
        (
            "PUT / HTTP/1.1\r\n",
            "405",
            "rpc: POST method required, received PUT",
        ),
        ("GET /other HTTP/1.1\r\n", "404", "404 page not found\n"),
        ("POST /rpc HTTP/1.1\r\n", "404", "404 page not found\n"),
        (
            "POST / HTTP/1.1\r\nContent-Type: text/plain\r\n",
            "415",
            "rpc: unrecognized Content-Type: text/plain",
        ),
        (
            "POST / HTTP/1.1\r\nOrigin: http://evil\r\n",
            "403",
            "requests of web pages are refused\n",
        ),
    ] {
        let response = with(head);
        assert!(
            response.head.starts_with(&format!("HTTP/1.1 {status}")),
            "{head}: {}",
            response.head
        );
        assert_eq!(response.body, body, "{head}");
    }
    for head in [
        "POST / HTTP/1.1\r\n",
        "POST / HTTP/1.1\r\nContent-Type: application/json; charset=utf-8\r\n",
        "POST / HTTP/1.1\r\ncontent-type: Application/JSON\r\n",
    ] {
        assert!(with(head).body.contains("\"APIs\""), "{head}");
    }
}

#[test]
fn handshakes_of_three_generations_are_answered() {
    let test = Test::in_memory("ik-hello");
    let served = Served::start(&test, &["--subtype", "gpu=unix:///nowhere.sock"]);
    let implemented = served.call("Handshake.Implements", &json!({}))["APIs"].clone();
    for version in ["0.5.0", "0.6.0"] {
        let interface = json!({ "Name": "Instance", "Version": version });
        assert!(
            implemented.as_array().unwrap().contains(&interface),
            "{implemented}"
        );
    }
    let types = served.call("Handshake.Types", &json!({}));
    assert_eq!(types["Types"]["Instance/0.6.0"], json!([".", "gpu"]));
    let hello = served.call("Handshake.Hello", &json!({}));
    let names = json!([{ "Name": ".", "ProxyFor": "" }, { "Name": "gpu", "ProxyFor": "" }]);
    assert_eq!(hello["Objects"]["Instance/0.6.1"], names);
    // The engine of the subtype is away, that of the default one is not.
    let away = served.error("Instance.DescribeInstances", &json!({ "Type": "gpu" }));
    assert!(away.contains("/nowhere.sock"), "{away}");
    assert_eq!(served.describe(&json!(null)), Vec::<Json>::new());
    assert_eq!(
        served.error("Instance.Destroy", &json!({ "Type": "x" })),
        "no-plugin:x"
    );
}

#[test]
fn documents_describe_the_plugin() {
    let test = Test::in_memory("ik-info");
    let served = Served::start(&test, &[]);
    let get =
        |path: &str| served.send(format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n").as_bytes());
    let api: Json = serde_json::from_str(&get("/info/api.json").body).unwrap();
    assert_eq!(api["Vendor"]["Name"], "dockctl");
    assert!(
        api["Interfaces"]
            .as_array()
            .unwrap()
            .iter()
            .any(|it| it["Name"] == "Instance")
    );
    let functions: Json = serde_json::from_str(&get("/info/functions.json").body).unwrap();
    assert_eq!(functions, json!({}));
}

#[test]
fn events_are_an_open_stream_that_ends_with_the_daemon() {
    let test = Test::in_memory("ik-events");
    let served = Served::start(&test, &[]);
    let mut stream = UnixStream::connect(&served.socket).unwrap();
    stream
        .write_all(b"GET /events HTTP/1.1\r\nHost: h\r\n\r\n")
        .unwrap();
    let mut lines = std::io::BufRead::lines(BufReader::new(stream));
    let head: Vec<String> = lines
        .by_ref()
        .map_while(Result::ok)
        .take_while(|line| !line.is_empty())
        .collect();
    assert!(
        head.contains(&"content-type: text/event-stream".to_owned()),
        "{head:?}"
    );
    assert_eq!(served.stop(), 0);
}

#[test]
fn connection_serves_several_requests() {
    let test = Test::in_memory("ik-alive");
    let served = Served::start(&test, &[]);
    let mut stream = UnixStream::connect(&served.socket).unwrap();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    for id in ["1", "9223372036854775807", "\"a\""] {
        let call = format!(r#"{{"jsonrpc":"2.0","method":"Handshake.Types","id":{id}}}"#);
        stream.write_all(&post(&call)).unwrap();
        let response = read_response(&mut reader);
        assert!(
            response.body.ends_with(&format!("\"id\":{id}}}\n")),
            "{}",
            response.body
        );
    }
}
