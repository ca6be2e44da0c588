//! Arguments of docker-py on a real engine: each container gets the requested configuration.

use crate::support::{Test, docker, project_root, tarball};
use serde_json::{Map, Value as Json, json};
use std::fs;

/// Head of a blueprint with a type that only creates its container. Not every configuration can
/// run on this machine.
const HEAD: &str = "tosca_definitions_version: cloudify_dsl_1_3
imports:
  - cloudify/types/types.yaml
  - plugin:cloudify-docker-plugin?version=1.3.2
node_types:
  made:
    derived_from: cloudify.nodes.Root
    properties: {name: {default: ''}, image: {default: {}}, start: {default: {}}}
    interfaces:
      cloudify.interfaces.lifecycle:
        create: {implementation: docker.docker_plugin.tasks.create_container, inputs: {params: {default: {}}}}
        delete: {implementation: docker.docker_plugin.tasks.remove_container, inputs: {params: {default: {v: true}}}}
node_templates:
";
/// Cases that the engine rejects: their memory limit is below the minimum.
const REJECTED: [&str; 3] = ["hc-mem-kb", "hc-mem-bare", "hc-mem-int"];
/// Other containers that the cases refer to.
const OTHER_CONTAINERS: [&str; 7] = ["db1", "redis1", "c1", "c2", "data", "data1", "mongod"];

struct Case {
    id: String,
    create: Json,
    engine: Json,
}

/// Returns the recorded cases that result in a container. Moves parameters of start to create,
/// because dockctl merges them there.
fn cases(test: &Test) -> Vec<Case> {
    let text = fs::read_to_string(project_root().join("tests/data/params.jsonl")).unwrap();
    // Another user's volume could have the recorded name.
    let own = text
        .replace("vol1:", &format!("{}:", test.name("vol1")))
        .replace("\"vol1\"", &format!("\"{}\"", test.name("vol1")));
    let all = own
        .lines()
        .map(|line| serde_json::from_str::<Json>(line).unwrap());
    all.filter(|case| case.get("reject").is_none())
        .filter_map(|case| {
            let params = &case["params"];
            let host = |create: &Json, start: &Json| {
                let mut create = create.clone();
                for (name, value) in start
                    .as_object()
                    .into_iter()
                    .flatten()
                    .filter(|(name, _)| *name != "processes_to_wait_for")
                {
                    create["host_config"][name] = value.clone();
                }
                create
            };
            let create = match case["kind"].as_str().unwrap() {
                "create" => params.clone(),
                "start" => host(&json!({}), params),
                "create+start" => host(&params["create"], &params["start"]),
                _ => return None,
            };
            let id = case["id"].as_str().unwrap().to_owned();
            (!REJECTED.contains(&id.as_str())).then(|| Case {
                id,
                create: replace_names(test, "", &create),
                engine: replace_names(test, "", &case["engine"]),
            })
        })
        .collect()
}

/// Replaces the names of other containers with the names of the test's containers.
fn replace_names(test: &Test, under: &str, value: &Json) -> Json {
    let name = |text: &str| {
        OTHER_CONTAINERS
            .iter()
            .find(|other| text.split(':').next() == Some(other))
            .map_or_else(|| text.to_owned(), |_| test.name(text))
    };
    let named = matches!(under, "links" | "Links" | "volumes_from" | "VolumesFrom");
    match value {
        Json::String(text) if named => text
            .split(',')
            .map(name)
            .collect::<Vec<_>>()
            .join(",")
            .into(),
        Json::Array(pair) if under == "pair" => json!([name(pair[0].as_str().unwrap()), pair[1]]),
        Json::Array(items) => items
            .iter()
            .map(|item| {
                replace_names(
                    test,
                    if named && item.is_array() {
                        "pair"
                    } else {
                        under
                    },
                    item,
                )
            })
            .collect(),
        Json::Object(entries) => {
            let key = |key: &String| if named { name(key) } else { key.clone() };
            entries
                .iter()
                .map(|(k, value)| {
                    (
                        key(k),
                        replace_names(test, if named { "" } else { k }, value),
                    )
                })
                .collect::<Map<_, _>>()
                .into()
        }
        _ => value.clone(),
    }
}

fn blueprint(test: &Test, cases: &[Case]) {
    let mut nodes = Map::new();
    for case in cases {
        let mut params = case.create.clone();
        // Another user's container could have the recorded name.
        params.as_object_mut().unwrap().shift_remove("name");
        let node = json!({
            "type": "made",
            "properties": { "name": test.name(&case.id), "image": { "src": tarball(), "repository": test.name("img"), "changes": ["CMD sleep 1000"] } },
            "interfaces": { "cloudify.interfaces.lifecycle": { "create": { "inputs": { "params": params } } } },
        });
        nodes.insert(case.id.clone(), node);
    }
    // JSON is valid YAML.
    let text: String = nodes
        .iter()
        .map(|(name, node)| format!("  {}: {node}\n", json!(name)))
        .collect();
    test.write("blueprint.yaml", &format!("{HEAD}{text}"));
}

/// Returns the differences between the requested and the inspected configuration. Ignores fields
/// that were not requested.
fn differences(case: &Case, inspected: &Json) -> Vec<String> {
    let mut mismatches = Vec::new();
    for (field, value) in case.engine.as_object().into_iter().flatten() {
        match field.as_str() {
            "HostConfig" => {
                for (field, value) in value.as_object().unwrap() {
                    if field == "Links" {
                        let found = inspected["HostConfig"]["Links"]
                            .as_array()
                            .map_or(0, Vec::len);
                        compare(
                            "number of links",
                            &json!(value.as_array().unwrap().len()),
                            &json!(found),
                            &mut mismatches,
                        );
                        continue;
                    }
                    compare(
                        &format!("HostConfig.{field}"),
                        value,
                        &inspected["HostConfig"][field],
                        &mut mismatches,
                    );
                }
            }
            "NetworkingConfig" => {
                for (name, endpoint) in value["EndpointsConfig"].as_object().into_iter().flatten() {
                    compare(
                        &format!("network {name}"),
                        endpoint,
                        &inspected["NetworkSettings"]["Networks"][name],
                        &mut mismatches,
                    );
                }
            }
            "@query" | "Labels" => {}
            field => compare(field, value, &inspected["Config"][field], &mut mismatches),
        }
    }
    for (label, value) in case.engine["Labels"].as_object().into_iter().flatten() {
        compare(
            label,
            value,
            &inspected["Config"]["Labels"][label],
            &mut mismatches,
        );
    }
    mismatches
}

/// Adds a difference to `wrong` unless `found` contains the requested value. Engines may add
/// defaults to it.
fn compare(what: &str, requested: &Json, found: &Json, mismatches: &mut Vec<String>) {
    let is_default = |value: &Json| {
        matches!(value, Json::Null | Json::Bool(false))
            || *value == json!([])
            || *value == json!({})
            || *value == json!("")
            || *value == json!(0)
    };
    match (requested, found) {
        (Json::Object(requested), Json::Object(found)) => {
            for (key, value) in requested {
                compare(
                    &format!("{what}.{key}"),
                    value,
                    found.get(key).unwrap_or(&Json::Null),
                    mismatches,
                );
            }
        }
        (Json::Array(items), Json::Array(found_items)) => {
            let has = |item: &Json| {
                found_items.iter().any(|found| {
                    let mut differences = Vec::new();
                    compare(what, item, found, &mut differences);
                    differences.is_empty()
                })
            };
            mismatches.extend(
                items
                    .iter()
                    .filter(|item| !has(item))
                    .map(|item| format!("{what}: requested {item}, found {found}")),
            );
        }
        _ if requested == found || (is_default(requested) && is_default(found)) => {}
        _ => mismatches.push(format!("{what}: requested {requested}, found {found}")),
    }
}

#[test]
fn requested_arguments_match_the_inspected_container() {
    let test = Test::new("params");
    let image = test.import_image();
    for name in OTHER_CONTAINERS {
        test.docker(&[
            "run",
            "-d",
            "--name",
            &test.name(name),
            &image,
            "sleep",
            "1000",
        ]);
    }
    let cases = cases(&test);
    assert_eq!(cases.len(), 76);
    blueprint(&test, &cases);
    test.run(&["install"]).exits_with(0);
    let names: Vec<String> = cases.iter().map(|case| test.name(&case.id)).collect();
    let inspected: Json = serde_json::from_str(&docker(&names.iter().fold(
        vec!["inspect"],
        |mut all, name| {
            all.push(name);
            all
        },
    )))
    .unwrap();
    let mut mismatches = Vec::new();
    for (at, case) in cases.iter().enumerate() {
        mismatches.extend(
            differences(case, &inspected[at])
                .into_iter()
                .map(|difference| format!("{}: {difference}", case.id)),
        );
    }
    assert!(mismatches.is_empty(), "{}", mismatches.join("\n"));
    // A second install has nothing to do, for any argument.
    test.run(&["plan", "--exit-code"]).exits_with(0);
    let again = test.run(&["install"]).exits_with(0);
    assert!(
        again.stdout.contains("is up to date: nothing to do"),
        "{}",
        again.stdout
    );
    test.run(&["uninstall"]).exits_with(0);
    assert_eq!(test.containers().len(), OTHER_CONTAINERS.len());
}

/// Returns the nodes that a plan recreates or updates, and the fields that it could not compare.
fn planned_changes(plan: &Json) -> (Vec<String>, Map<String, Json>) {
    let recreated = plan["instances"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|it| it["effect"] == "recreate" || it["effect"] == "update");
    let mut nodes: Vec<String> = recreated
        .map(|it| it["node"].as_str().unwrap().to_owned())
        .collect();
    nodes.sort();
    (nodes, plan["not_compared"].as_object().unwrap().clone())
}

/// After `recover`, a plan compares the blueprint with the objects on the engine: fields that it
/// declares, and fields that it no longer declares.
#[test]
fn plan_compares_declarations_with_inspected_containers() {
    let test = Test::new("compare");
    let image = test.import_image();
    for name in OTHER_CONTAINERS {
        test.docker(&[
            "run",
            "-d",
            "--name",
            &test.name(name),
            &image,
            "sleep",
            "1000",
        ]);
    }
    let mut cases = cases(&test);
    blueprint(&test, &cases);
    test.run(&["install"]).exits_with(0);
    let state = test.path("elsewhere").display().to_string();
    let elsewhere = |arguments: &[&str]| test.run(&[arguments, &["--state-dir", &state]].concat());
    elsewhere(&["recover", &test.prefix]).exits_with(0);
    let plan = elsewhere(&["plan", "--output", "json"])
        .exits_with(0)
        .json();
    assert_eq!(plan["changes"], false, "{:#}", plan["instances"]);
    assert_eq!(plan["not_compared"], json!({}));
    // Without its arguments, each container has a different definition.
    let is_nonempty = |engine: &Json| {
        engine
            .as_object()
            .unwrap()
            .iter()
            .any(|(field, value)| field != "@query" && !is_empty(value))
    };
    let mut declared: Vec<String> = cases
        .iter()
        .filter(|case| is_nonempty(&case.engine))
        .map(|case| case.id.clone())
        .collect();
    declared.sort();
    for case in &mut cases {
        case.create = json!({});
    }
    blueprint(&test, &cases);
    let plan = elsewhere(&["plan", "--output", "json"])
        .exits_with(0)
        .json();
    let (changed, not_compared) = planned_changes(&plan);
    let missed: Vec<&String> = declared.iter().filter(|id| !changed.contains(id)).collect();
    // The engine does not report the default size of shared memory: the plan lists the field.
    assert_eq!(missed, ["hc-shm-str"]);
    assert_eq!(
        not_compared.values().collect::<Vec<_>>(),
        [&json!(["HostConfig.ShmSize"])]
    );
}

fn is_empty(value: &Json) -> bool {
    match value {
        Json::Null | Json::Bool(false) => true,
        Json::Array(items) => items.iter().all(is_empty),
        Json::Object(entries) => entries.values().all(is_empty),
        other => *other == json!("") || *other == json!(0),
    }
}

#[test]
fn relative_binds_are_resolved_against_the_blueprint() {
    let test = Test::new("relbind");
    std::fs::create_dir(test.path("data")).unwrap();
    let blueprint = |address: &str| {
        let client = if address.is_empty() {
            String::new()
        } else {
            format!("daemon_client: {{base_url: '{address}'}}, ")
        };
        test.blueprint(&format!(
            "node_templates:\n  web:\n    type: cloudify.docker.Container\n    properties: {{name: PREFIX-web, image: {{src: TARBALL, repository: dockctl-demo}}}}\n    interfaces:\n      cloudify.interfaces.lifecycle:\n        create: {{inputs: {{{client}params: {{command: sleep 1000, stop_signal: SIGKILL, host_config: {{binds: ['./data:/data:ro']}}}}}}}}\n"
        ));
    };
    blueprint("");
    test.run(&["install"]).exits_with(0);
    let mount = test.inspect(
        "web",
        "{{(index .Mounts 0).Source}} {{(index .Mounts 0).RW}}",
    );
    let directory = test.path("data").canonicalize().unwrap();
    assert_eq!(mount, format!("{} false", directory.display()));
    test.run(&["plan", "--exit-code"]).exits_with(0);
    test.run(&["uninstall"]).exits_with(0);
    let forwarder = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("tcp://{}", forwarder.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut client in forwarder.incoming().flatten() {
            let mut engine =
                std::os::unix::net::UnixStream::connect("/var/run/docker.sock").unwrap();
            let (mut from, mut to) = (client.try_clone().unwrap(), engine.try_clone().unwrap());
            std::thread::spawn(move || std::io::copy(&mut from, &mut to));
            std::thread::spawn(move || std::io::copy(&mut engine, &mut client));
        }
    });
    blueprint(&address);
    test.run(&["install"]).exits_with(3).stderr_contains(&[
        "the host path `./data` is relative to the blueprint",
        "absolute path",
    ]);
}
