//! The examples: each one is installed, used and uninstalled as its README describes.

use crate::support::{Test, eventually, fetch, free_port, project_root};
use serde_json::json;
use std::fs;

fn example(name: &str) -> String {
    project_root()
        .join("blueprints")
        .join(name)
        .display()
        .to_string()
}

#[test]
fn every_example_is_valid_and_has_a_readme() {
    let test = Test::new("valid");
    let mut seen = Vec::new();
    for entry in fs::read_dir(project_root().join("blueprints"))
        .unwrap()
        .flatten()
        .filter(|entry| entry.path().join("blueprint.yaml").exists())
    {
        let name = entry.file_name().into_string().unwrap();
        test.run(&["validate", "--strict", &example(&name)])
            .exits_with(0);
        assert!(
            entry.path().join("README.md").exists(),
            "{name} has no README.md"
        );
        seen.push(name);
    }
    seen.sort();
    assert_eq!(seen, ["adopt", "hello", "nodecellar", "scripts"]);
}

#[test]
fn scripts_serves_the_page_that_a_script_wrote() {
    let test = Test::new("scripts");
    let directory = test.path("scripts");
    let copied = std::process::Command::new("cp")
        .arg("-r")
        .arg(example("scripts"))
        .arg(&directory)
        .status();
    assert!(copied.unwrap().success());
    let blueprint = directory.join("blueprint.yaml");
    let text = fs::read_to_string(&blueprint).unwrap();
    let text = text.replace("scripts-web", &test.name("web"));
    let text = text.replace(
        "../demo-image.tar",
        &crate::support::tarball().display().to_string(),
    );
    fs::write(&blueprint, text).unwrap();
    let port = format!("port={}", free_port());
    test.run(&["install", blueprint.to_str().unwrap(), "-i", &port])
        .exits_with(0);
    let outputs = test.run(&["outputs", "--output", "json"]).json();
    let page = fetch(outputs["outputs"]["url"].as_str().unwrap());
    assert!(
        page.contains("<h1>A page that a script wrote</h1>"),
        "{page}"
    );
    let pages = outputs["outputs"]["pages"]["page"].as_str().unwrap();
    assert_eq!(pages, format!("page.html, {} bytes", page.len()));
    test.run(&["uninstall"]).exits_with(0);
}

#[test]
fn hello_serves_its_page() {
    let test = Test::new("hello");
    let (port, name) = (
        format!("port={}", free_port()),
        format!("name={}", test.name("web")),
    );
    test.run(&["install", &example("hello"), "-i", &port, "-i", &name])
        .exits_with(0);
    test.run(&["plan", &example("hello"), "--exit-code"])
        .exits_with(0);
    let outputs = test
        .run(&["outputs", "--output", "json"])
        .exits_with(0)
        .json();
    assert!(fetch(outputs["outputs"]["url"].as_str().unwrap()).contains("Hello from a blueprint"));
    assert_eq!(
        outputs["outputs"]["address"],
        test.inspect("web", "{{.NetworkSettings.IPAddress}}")
    );
    test.run(&["uninstall"]).exits_with(0);
    assert!(test.containers().is_empty());
}

#[test]
fn nodecellar_serves_a_request_through_three_containers() {
    let test = Test::new("cellar");
    let (port, prefix) = (
        format!("port={}", free_port()),
        format!("prefix={}", test.prefix),
    );
    let arguments = [
        example("nodecellar"),
        "-i".into(),
        port.clone(),
        "-i".into(),
        prefix.clone(),
    ];
    let arguments: Vec<&str> = ["install"]
        .into_iter()
        .chain(arguments.iter().map(String::as_str))
        .collect();
    let installed = test.run(&arguments).exits_with(0);
    test.run(&["plan", &example("nodecellar"), "--exit-code"])
        .exits_with(0);
    let done = |container: &str| {
        installed
            .stderr
            .find(&format!(
                "done: create container {}-{container}",
                test.prefix
            ))
            .unwrap()
    };
    let ready = |container: &str| {
        installed
            .stderr
            .find(&format!("done: wait for process {container}"))
            .unwrap()
    };
    assert!(
        ready("nc") < done("app") && ready("httpd -f -p 8080") < done("proxy"),
        "{}",
        installed.stderr
    );

    let outputs = test
        .run(&["outputs", "--output", "json"])
        .exits_with(0)
        .json();
    assert!(fetch(outputs["outputs"]["url"].as_str().unwrap()).contains("Romanee-Conti 1945"));
    assert_eq!(
        outputs["outputs"]["ports"]["80/tcp"][0]["HostPort"],
        port.trim_start_matches("port=")
    );
    let status = test
        .run(&["status", "--output", "json"])
        .exits_with(0)
        .json();
    assert!(
        status["instances"]
            .as_array()
            .unwrap()
            .iter()
            .all(|instance| instance["state"] == "started" && instance["drift"] == json!([]))
    );

    let removed = test.run(&["uninstall"]).exits_with(0);
    let gone = |node: &str| removed.stderr.find(&format!("[{node}_")).unwrap();
    assert!(
        gone("proxy") < gone("application")
            && gone("application") < gone("database")
            && gone("database") < gone("host")
    );
    assert!(test.containers().is_empty());
}

#[test]
fn adopt_connects_to_an_existing_container_and_restores_its_state() {
    let test = Test::new("join");
    let id = test.create_foreign(
        "legacy",
        &[
            "nc",
            "-ll",
            "-p",
            "27017",
            "-e",
            "cat",
            "/nodecellar/db/wines",
        ],
    );
    let (existing, name) = (
        format!("existing={}", test.name("legacy")),
        format!("name={}", test.name("client")),
    );
    test.run(&["install", &example("adopt"), "-i", &existing, "-i", &name])
        .exits_with(0);
    test.run(&["plan", &example("adopt"), "--exit-code"])
        .exits_with(0);
    let wines = test.docker(&[
        "exec",
        &test.name("client"),
        "sh",
        "-c",
        "nc $DB_HOST 27017 </dev/null",
    ]);
    assert!(wines.contains("Penfolds Grange 1951"), "{wines}");
    assert!(
        test.run(&["status"])
            .exits_with(0)
            .stdout
            .contains("legacy (adopted)")
    );
    test.run(&["uninstall"]).exits_with(0);
    assert_eq!(test.containers(), ["PREFIX-legacy exited"]);
    assert_eq!(test.inspect("legacy", "{{.Id}}"), id);
}

/// Returns a specification of the example `infrakit` with the names and the image of the test.
fn specification(test: &Test, name: &str) -> String {
    let path = project_root().join("blueprints/infrakit").join(name);
    let text = fs::read_to_string(path).unwrap();
    let text = text
        .replace("dockctl-demo", &test.prefix)
        .replace("docker-example", &test.prefix)
        .replace("quorum-", &format!("{}-", test.prefix));
    test.write(name, &text).display().to_string()
}

#[test]
fn infrakit_leaves_a_line_and_its_quorum_finds_all_members() {
    let test = Test::new("infrakit");
    test.import_image();
    let group = |words: &[&str]| test.run(&[&["group"], words].concat()).exits_with(0).stdout;
    let committed = group(&["commit", &specification(&test, "docker-vanilla.json")]);
    let id = &test.prefix;
    assert_eq!(committed, format!("Committed {id}: Managing 1 instances\n"));
    let hello = test.docker(&["exec", &test.name("1"), "cat", "/hello"]);
    assert_eq!(hello, "Hello, World!");
    group(&["destroy", id]);
    group(&["commit", &specification(&test, "quorum.yaml")]);
    let all = [1, 2, 3].map(|n| test.name(&n.to_string())).join("\n");
    for member in ["1", "3"] {
        eventually("all members", || {
            let found = test.docker(&["exec", &test.name(member), "cat", "/tmp/peers"]);
            (found == all).then_some(())
        });
    }
    group(&["destroy", &test.name("example")]);
    assert_eq!(test.containers(), [""; 0]);
}
