//! `dockctl infrakit instance`.

use super::{Served, run};
use crate::support::Test;
use serde_json::json;
use std::{
    io::{Read as _, Write as _},
    os::unix::net::UnixListener,
};

#[test]
fn client_manages_instances() {
    let test = Test::in_memory("ik-client");
    test.import_image();
    let _served = Served::start(&test, &["--namespace-tags", "stage=prod"]);
    let call = |words: &[&str]| {
        run(
            &test,
            &[&["instance", "--name", &test.prefix], words].concat(),
        )
    };
    test.write("spec.yaml", "Properties: {Config: {Image: PREFIX, Cmd: [sleep, '1000']}}\nLogicalID: PREFIX-a\nTags: {tier: web}\n");
    test.write("properties.json", r#"{"Config": {"Image": "PREFIX"}}"#);
    test.write("wrong.yaml", "Config: {Imag: x}\n");
    assert_eq!(
        call(&["validate", "properties.json"]).exits_with(0).stdout,
        "validate:ok\n"
    );
    call(&["validate", "wrong.yaml"])
        .exits_with(1)
        .stderr_contains(&["`Config.Imag`: unknown key `Imag`; did you mean `Image`?"]);
    let id = call(&["provision", "spec.yaml"])
        .exits_with(0)
        .stdout
        .trim()
        .to_owned();
    assert_eq!(
        call(&["label", &id, "tier=db", "x=y"]).exits_with(0).stdout,
        format!("labeled {id}\n")
    );
    let row = call(&["describe", "--tags", "tier=db,x=y", "--quiet"])
        .exits_with(0)
        .stdout;
    let start = format!(
        "{id:<30}\t{:<30}\tdockctl.infrakit={}",
        test.name("a"),
        test.prefix
    );
    assert!(
        row.starts_with(&start) && row.contains("stage=prod,tier=db,x=y"),
        "{row}"
    );
    let header = call(&["describe", "--tags", "tier=web"])
        .exits_with(0)
        .stdout;
    assert_eq!(header, format!("{:<30}\t{:<30}\tTAGS\n", "ID", "LOGICAL"));
    let document = call(&["describe", "--output", "json"]).exits_with(0).json();
    assert_eq!(document["instances"][0]["id"], id);
    assert_eq!(document["instances"][0]["tags"]["tier"], "db");
    let destroyed = call(&["destroy", &id, "000000000000", "--output", "json"])
        .exits_with(0)
        .json();
    assert_eq!(destroyed["destroyed"], json!([id, "000000000000"]));
    call(&["provision", "none.yaml"])
        .exits_with(2)
        .stderr_contains(&["cannot read none.yaml"]);
    test.write("typo.yaml", "Propertes: {}\n");
    call(&["provision", "typo.yaml"])
        .exits_with(2)
        .stderr_contains(&["no key `Propertes`", "did you mean `Properties`?"]);
    test.write("bad.yaml", "a: [\n");
    call(&["provision", "bad.yaml"])
        .exits_with(3)
        .stderr_contains(&["bad.yaml"]);
    call(&["label", &id, "novalue"]).exits_with(2);
}

#[test]
fn plugins_that_cannot_be_called_are_reported() {
    let test = Test::in_memory("ik-none");
    let call = |name: &str| {
        run(
            &test,
            &["instance", "--name", name, "--timeout", "300ms", "describe"],
        )
    };
    call("x").exits_with(2).stderr_contains(&[
        "there is no plugin `x`",
        "start one: dockctl infrakit serve",
    ]);
    std::fs::create_dir(test.path("plugins")).unwrap();
    drop(UnixListener::bind(test.path("plugins/dead")).unwrap());
    call("dead")
        .exits_with(1)
        .stderr_contains(&["cannot be reached", "check that the plugin runs"]);
    let listener = UnixListener::bind(test.path("plugins/silent")).unwrap();
    call("silent")
        .exits_with(1)
        .stderr_contains(&["did not respond within 0.3 s", "--timeout"]);
    call("other")
        .exits_with(2)
        .stderr_contains(&["plugins in the directory: dead, silent"]);
    call("https://localhost:1").exits_with(1);
    drop(listener);
}

/// Answers each connection with the next body, and returns the requests.
fn scripted(test: &Test, name: &str, bodies: &[&str]) -> std::thread::JoinHandle<Vec<String>> {
    std::fs::create_dir_all(test.path("plugins")).unwrap();
    let listener = UnixListener::bind(test.path("plugins").join(name)).unwrap();
    let bodies: Vec<String> = bodies.iter().map(|body| (*body).to_owned()).collect();
    std::thread::spawn(move || {
        let answer = |body: String| {
            let (mut stream, _) = listener.accept().unwrap();
            let mut buffer = [0; 4096];
            let length = stream.read(&mut buffer).unwrap();
            let request = String::from_utf8_lossy(&buffer[..length]).into_owned();
            let id = request.split_once("\"id\":").unwrap().1;
            let body = body.replace("\"id\":1}", &format!("\"id\":{id}"));
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
            stream.write_all((head + &body).as_bytes()).unwrap();
            request
        };
        bodies.into_iter().map(answer).collect()
    })
}

#[test]
fn plugins_of_other_generations_are_called() {
    let test = Test::in_memory("ik-others");
    let describe = |name: &str| run(&test, &["instance", "--name", name, "describe", "--quiet"]);
    let no_method =
        r#"{"error":{"code":-32000,"message":"rpc: can't find method","data":null},"id":1}"#;
    let hello = r#"{"result":{"Objects":{"Instance/0.6.1":[{"Name":"."}]}},"id":1}"#;
    let found = r#"{"result":{"Descriptions":[{"ID":"i-1\u001b[31m","LogicalID":null,"Tags":null}]},"id":1}"#;
    let plugin = scripted(&test, "new", &[no_method, hello, found]);
    let shown = describe("new/sub").exits_with(0).stdout;
    assert!(
        shown.starts_with("i-1\\u{1b}[31m") && shown.ends_with("\t  -\n"),
        "{shown:?}"
    );
    assert!(plugin.join().unwrap()[2].contains(r#""Type":"sub""#));
    let group = r#"{"result":{"APIs":[{"Name":"Group","Version":"0.1.0"}]},"id":1}"#;
    let plugin = scripted(&test, "group", &[group]);
    describe("group")
        .exits_with(1)
        .stderr_contains(&["does not implement the interface Instance", "Group/0.1.0"]);
    plugin.join().unwrap();
    let plugin = scripted(&test, "web", &["<html>"]);
    describe("web")
        .exits_with(1)
        .stderr_contains(&["the response is not one of a plugin: <html>"]);
    plugin.join().unwrap();
}
