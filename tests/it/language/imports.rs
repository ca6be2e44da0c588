//! Imports: from the network, the cache and the bundled catalogs, and by import rules.

use crate::support::Test;
use std::{
    collections::HashMap,
    io::{Read as _, Write as _},
    net::TcpListener,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

/// HTTP server for a few files that counts its requests.
struct Server {
    address: String,
    requests: Arc<AtomicUsize>,
    files: Arc<Mutex<HashMap<String, (u16, String)>>>,
}

impl Server {
    fn new(files: &[(&str, u16, &str)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let files = files
            .iter()
            .map(|(path, status, text)| ((*path).to_owned(), (*status, (*text).to_owned())))
            .collect();
        let server = Self {
            address,
            requests: Arc::default(),
            files: Arc::new(Mutex::new(files)),
        };
        let (asked, files) = (server.requests.clone(), server.files.clone());
        thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let mut request = [0; 4096];
                let read = stream.read(&mut request).unwrap_or(0);
                let request = String::from_utf8_lossy(&request[..read]).into_owned();
                let path = request.split(' ').nth(1).unwrap_or_default();
                asked.fetch_add(1, Ordering::SeqCst);
                let (status, text) = files
                    .lock()
                    .unwrap()
                    .get(path)
                    .cloned()
                    .unwrap_or((404, String::new()));
                let _ = write!(
                    stream,
                    "HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{text}",
                    text.len()
                );
            }
        });
        server
    }

    fn request_count(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

fn blueprint_importing(import: &str) -> String {
    format!(
        "tosca_definitions_version: cloudify_dsl_1_4\nimports:\n  - {import}\nnode_templates: {{a: {{type: t}}}}\n"
    )
}

#[test]
fn url_is_fetched_once_and_cached() {
    let server = Server::new(&[
        ("/deep/types.yaml", 200, "imports: [more.yaml]\n"),
        ("/deep/more.yaml", 200, "node_types: {t: {}}\n"),
    ]);
    let test = Test::in_memory("fetch");
    test.write(
        "blueprint.yaml",
        &blueprint_importing(&format!("{}/deep/types.yaml", server.address)),
    );
    let cache = test.path("cache");
    let cache = ["--cache-dir", cache.to_str().unwrap()];
    test.run(&["validate", cache[0], cache[1], "--offline"])
        .exits_with(3)
        .stderr_contains(&["error[D0014]", "--offline"]);
    assert_eq!(server.request_count(), 0, "--offline sends no request");
    test.run(&["validate", cache[0], cache[1]]).exits_with(0);
    assert_eq!(
        server.request_count(),
        2,
        "the file, and the one that it imports by relative path"
    );
    test.run(&["validate", cache[0], cache[1]]).exits_with(0);
    test.run(&["validate", cache[0], cache[1], "--offline"])
        .exits_with(0);
    assert_eq!(server.request_count(), 2, "both files are in the cache");
}

#[test]
fn stale_copy_is_used_if_the_download_fails() {
    let server = Server::new(&[("/types.yaml", 200, "node_types: {t: {}}\n")]);
    let test = Test::in_memory("stale");
    test.write(
        "blueprint.yaml",
        &blueprint_importing(&format!("{}/types.yaml", server.address)),
    );
    let cache = test.path("cache");
    let cache = ["--cache-dir", cache.to_str().unwrap()];
    test.run(&["validate", cache[0], cache[1]]).exits_with(0);
    for entry in std::fs::read_dir(test.path("cache/imports")).unwrap() {
        let file = std::fs::File::options()
            .write(true)
            .open(entry.unwrap().path())
            .unwrap();
        file.set_modified(std::time::SystemTime::UNIX_EPOCH)
            .unwrap();
    }
    server.files.lock().unwrap().clear();
    test.run(&["validate", cache[0], cache[1]])
        .exits_with(0)
        .stderr_contains(&["warning[D0014]", "an old copy of", "404"]);
}

#[test]
fn failed_downloads_are_reported() {
    let server = Server::new(&[
        ("/broken.yaml", 200, "node_types: {t: {\n"),
        ("/gone.yaml", 410, ""),
        ("/login.yaml", 200, "<html>"),
    ]);
    let test = Test::in_memory("refuse");
    for (file, expected) in [
        ("none.yaml", "404"),
        ("gone.yaml", "410"),
        ("broken.yaml", "invalid YAML"),
        ("login.yaml", "the response is a web page"),
    ] {
        test.write(
            "blueprint.yaml",
            &blueprint_importing(&format!("{}/{file}", server.address)),
        );
        test.run(&[
            "validate",
            "--cache-dir",
            test.path("cache").to_str().unwrap(),
        ])
        .exits_with(3)
        .stderr_contains(&[expected]);
    }
    assert_eq!(
        std::fs::read_dir(test.path("cache/imports"))
            .unwrap()
            .count(),
        1,
        "only broken.yaml is cached: errors and web pages are not"
    );
}

#[test]
fn import_rules_take_precedence() {
    let test = Test::in_memory("rules");
    std::fs::create_dir(test.path("mirror")).unwrap();
    test.write("mirror/types.yaml", "node_types: {t: {}}\n");
    test.write(
        "blueprint.yaml",
        &blueprint_importing("https://intranet.invalid/types.yaml"),
    );
    let rule = format!(
        "https://intranet.invalid/={}/",
        test.path("mirror").display()
    );
    test.run(&[
        "validate",
        "--offline",
        "--import-rule",
        "http://elsewhere/=/nowhere/",
        "--import-rule",
        &rule,
    ])
    .exits_with(0);
    test.run(&["validate", "--offline", "--import-rule", "no rule"])
        .exits_with(2);
    test.write("blueprint.yaml", &blueprint_importing("plugin:my-plugin"));
    let rule = format!(
        "plugin:my-plugin={}",
        test.path("mirror/types.yaml").display()
    );
    test.run(&["validate", "--import-rule", &rule])
        .exits_with(0);
    test.run(&["validate"]).exits_with(3).stderr_contains(&[
        "no such plugin is bundled",
        "--import-rule plugin:NAME=PATH",
    ]);
    let missing_target = [
        "validate",
        "--import-rule",
        "plugin:my-plugin=/nowhere.yaml",
    ];
    test.run(&missing_target)
        .exits_with(3)
        .stderr_contains(&["an import rule failed: cannot read /nowhere.yaml"]);
    test.write(
        "blueprint.yaml",
        &blueprint_importing("plugin:my-plugin?version=2"),
    );
    test.run(&["validate", "--import-rule", &rule])
        .exits_with(0);
}

#[test]
fn every_bundled_edition_can_be_imported() {
    let test = Test::in_memory("bundled");
    let directory = crate::support::project_root().join("src/catalog");
    let mut addresses = vec![
        "cloudify/types/types.yaml".to_owned(),
        "cloudify/types/types_1_3.yaml".to_owned(),
    ];
    for (family, product) in [
        ("types", "cloudify"),
        ("docker", "docker-plugin"),
        ("swarm", "swarm-plugin"),
        ("kubernetes", "kubernetes-plugin"),
        ("script", "script-plugin"),
    ] {
        for entry in std::fs::read_dir(directory.join(family)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let edition = name.trim_end_matches(".yaml");
            let file = if family == "types" {
                "types.yaml"
            } else {
                "plugin.yaml"
            };
            if edition.starts_with(|c: char| c.is_ascii_digit()) {
                addresses.push(format!(
                    "http://www.getcloudify.org/spec/{product}/{edition}/{file}"
                ));
            }
        }
    }
    assert!(addresses.len() > 24, "{addresses:?}");
    for address in &addresses {
        // Plugins need the basic types, except the script plugin, which those types include.
        let types = if address.contains("plugin") && !address.contains("script") {
            "  - cloudify/types/types.yaml\n"
        } else {
            ""
        };
        test.write(
            "blueprint.yaml",
            &format!(
                "tosca_definitions_version: cloudify_dsl_1_5\nimports:\n{types}  - {address}\n"
            ),
        );
        let run = test.run(&["validate", "--offline"]).exits_with(0);
        assert!(run.stderr.is_empty(), "{address}: {}", run.stderr);
    }
}

#[test]
fn namespaces_separate_two_imports_of_a_file() {
    let test = Test::in_memory("names");
    let library = "inputs: {tag: {default: latest}}\nnode_types: {app: {properties: {tag: {default: {get_input: tag}}}}}\nnode_templates: {one: {type: app}}\n";
    test.write("library.yaml", library);
    let text = "tosca_definitions_version: cloudify_dsl_1_4
imports: [left--library.yaml, right--library.yaml]
outputs: {tag: {value: {get_property: [right--one, tag]}}}
";
    test.write("blueprint.yaml", text);
    let run = test
        .run(&[
            "inspect",
            "--deploy",
            "-i",
            "right--tag=v2",
            "--output",
            "json",
        ])
        .exits_with(0)
        .json();
    assert_eq!(run["plan"]["outputs"]["tag"]["value"], "v2");
    assert_eq!(
        run["plan"]["nodes"]["left--one"]["properties"]["tag"],
        "latest"
    );
}
