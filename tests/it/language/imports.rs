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
    asked: Arc<AtomicUsize>,
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
            asked: Arc::default(),
            files: Arc::new(Mutex::new(files)),
        };
        let (asked, files) = (server.asked.clone(), server.files.clone());
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

    fn count(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

fn importing(what: &str) -> String {
    format!(
        "tosca_definitions_version: cloudify_dsl_1_4\nimports:\n  - {what}\nnode_templates: {{a: {{type: t}}}}\n"
    )
}

#[test]
fn an_address_is_fetched_once_and_kept() {
    let server = Server::new(&[
        ("/deep/types.yaml", 200, "imports: [more.yaml]\n"),
        ("/deep/more.yaml", 200, "node_types: {t: {}}\n"),
    ]);
    let test = Test::fake("fetch");
    test.write(
        "blueprint.yaml",
        &importing(&format!("{}/deep/types.yaml", server.address)),
    );
    let cache = test.path("cache");
    let cache = ["--cache-dir", cache.to_str().unwrap()];
    test.run(&["validate", cache[0], cache[1], "--offline"])
        .exits(3)
        .says(&["error[D0014]", "--offline"]);
    assert_eq!(server.count(), 0, "--offline sends no request");
    test.run(&["validate", cache[0], cache[1]]).exits(0);
    assert_eq!(
        server.count(),
        2,
        "the file, and the one that it imports by relative path"
    );
    test.run(&["validate", cache[0], cache[1]]).exits(0);
    test.run(&["validate", cache[0], cache[1], "--offline"])
        .exits(0);
    assert_eq!(server.count(), 2, "both files are in the cache");
}

#[test]
fn an_old_copy_is_better_than_none() {
    let server = Server::new(&[("/types.yaml", 200, "node_types: {t: {}}\n")]);
    let test = Test::fake("stale");
    test.write(
        "blueprint.yaml",
        &importing(&format!("{}/types.yaml", server.address)),
    );
    let cache = test.path("cache");
    let cache = ["--cache-dir", cache.to_str().unwrap()];
    test.run(&["validate", cache[0], cache[1]]).exits(0);
    for entry in std::fs::read_dir(test.path("cache/imports")).unwrap() {
        let file = std::fs::File::options()
            .write(true)
            .open(entry.unwrap().path())
            .unwrap();
        file.set_modified(std::time::SystemTime::UNIX_EPOCH)
            .unwrap();
    }
    server.files.lock().unwrap().clear();
    test.run(&["validate", cache[0], cache[1]]).exits(0).says(&[
        "warning[D0014]",
        "an old copy of",
        "404",
    ]);
}

#[test]
fn what_a_server_refuses_is_told() {
    let server = Server::new(&[
        ("/broken.yaml", 200, "node_types: {t: {\n"),
        ("/gone.yaml", 410, ""),
        ("/login.yaml", 200, "<html>"),
    ]);
    let test = Test::fake("refuse");
    for (file, says) in [
        ("none.yaml", "404"),
        ("gone.yaml", "410"),
        ("broken.yaml", "invalid YAML"),
        ("login.yaml", "the response is a web page"),
    ] {
        test.write(
            "blueprint.yaml",
            &importing(&format!("{}/{file}", server.address)),
        );
        test.run(&[
            "validate",
            "--cache-dir",
            test.path("cache").to_str().unwrap(),
        ])
        .exits(3)
        .says(&[says]);
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
fn rules_put_other_places_first() {
    let test = Test::fake("rules");
    std::fs::create_dir(test.path("mirror")).unwrap();
    test.write("mirror/types.yaml", "node_types: {t: {}}\n");
    test.write(
        "blueprint.yaml",
        &importing("https://intranet.invalid/types.yaml"),
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
    .exits(0);
    test.run(&["validate", "--offline", "--import-rule", "no rule"])
        .exits(2);
    test.write("blueprint.yaml", &importing("plugin:my-plugin"));
    let rule = format!(
        "plugin:my-plugin={}",
        test.path("mirror/types.yaml").display()
    );
    test.run(&["validate", "--import-rule", &rule]).exits(0);
    test.run(&["validate"]).exits(3).says(&[
        "no such plugin is bundled",
        "--import-rule plugin:NAME=PATH",
    ]);
    let wrong = [
        "validate",
        "--import-rule",
        "plugin:my-plugin=/nowhere.yaml",
    ];
    test.run(&wrong)
        .exits(3)
        .says(&["an import rule failed: cannot read /nowhere.yaml"]);
    test.write("blueprint.yaml", &importing("plugin:my-plugin?version=2"));
    test.run(&["validate", "--import-rule", &rule]).exits(0);
}

#[test]
fn every_bundled_edition_can_be_imported() {
    let test = Test::fake("bundled");
    let folder = crate::support::project().join("src/catalog");
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
        for entry in std::fs::read_dir(folder.join(family)).unwrap() {
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
        let run = test.run(&["validate", "--offline"]).exits(0);
        assert!(run.stderr.is_empty(), "{address}: {}", run.stderr);
    }
}

#[test]
fn a_namespace_keeps_two_files_apart() {
    let test = Test::fake("names");
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
        .exits(0)
        .json();
    assert_eq!(run["plan"]["outputs"]["tag"]["value"], "v2");
    assert_eq!(
        run["plan"]["nodes"]["left--one"]["properties"]["tag"],
        "latest"
    );
}
