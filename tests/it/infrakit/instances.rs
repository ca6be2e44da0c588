//! Labels and names of instances; which containers are listed and touched.

use super::{Served, blueprint, run, spec};
use crate::support::{Test, engine::CannedResponse};
use serde_json::{Value as Json, json};

fn labels(test: &Test, name: &str) -> Json {
    serde_json::from_str(&test.docker(&["inspect", "--format", "{{json .Config.Labels}}", name]))
        .unwrap()
}

#[test]
fn instance_has_its_labels_and_belongs_to_no_deployment() {
    let test = Test::in_memory("ik-labels");
    test.import_image();
    let served = Served::start(&test, &["--namespace-tags", "scope=a,stage=prod"]);
    let more = json!({
        "Properties": { "Config": { "Labels": { "own": "1", "infrakit.group": "mine" } }, "Tags": { "ik": "1", "infrakit.group": "other" } },
        "Tags": { "ik": "2", "infrakit.group": "g", "infrakit.config_sha": "s" },
        "LogicalID": test.name("a"), "Attachments": [{ "ID": "v1", "Type": "ebs" }],
    });
    served.provision(&spec(&test, &more));
    let labels = labels(&test, &test.name("a"));
    for (key, value) in [
        ("own", "1"),
        ("ik", "1"),
        ("infrakit.group", "g"),
        ("infrakit.config_sha", "s"),
        ("scope", "a"),
        ("stage", "prod"),
        ("infrakit.attachments", r#"[{"ID":"v1","Type":"ebs"}]"#),
        ("dockctl.infrakit", &test.prefix),
    ] {
        assert_eq!(labels[key], value, "{key} in {labels}");
    }
    assert_eq!(
        labels["dockctl.infrakit.request"].as_str().unwrap().len(),
        36
    );
    assert_eq!(labels.get("dockctl.deployment"), None);
    let listed = run_dockctl(&test, &["list", "--all"]);
    assert_eq!(listed, "no deployments\n");
    let uninstalled = run_dockctl(&test, &["uninstall", "instance", "--yes"]);
    assert!(uninstalled.contains("nothing to do"), "{uninstalled}");
    assert_eq!(served.describe(&json!({ "infrakit.group": "g" })).len(), 1);
}

fn run_dockctl(test: &Test, words: &[&str]) -> String {
    test.run(words).exits_with(0).stdout
}

#[test]
fn logical_id_is_the_name_and_the_host_name() {
    let test = Test::in_memory("ik-name");
    test.import_image();
    let served = Served::start(&test, &[]);
    let host = |name: &str| test.docker(&["inspect", "--format", "{{.Config.Hostname}}", name]);
    let id = served.provision(&spec(&test, &json!({ "LogicalID": test.name("n1") })));
    assert_eq!(host(&test.name("n1")), test.name("n1"));
    let described = served.describe(&json!({}));
    assert_eq!(
        (
            described[0]["ID"].as_str(),
            described[0]["LogicalID"].as_str()
        ),
        (Some(&*id), Some(&*test.name("n1")))
    );
    let named =
        json!({ "LogicalID": test.name("n2"), "Properties": { "Config": { "Hostname": "own" } } });
    served.provision(&spec(&test, &named));
    assert_eq!(host(&test.name("n2")), "own");
    // Without a logical ID, dockctl chooses the name, and the engine the host name.
    let id = served.provision(&spec(&test, &json!({})));
    assert_eq!(host(&id), id);
    let name = test.docker(&["inspect", "--format", "{{.Name}}", &id]);
    assert!(name.starts_with(&format!("/{}-", test.prefix)), "{name}");
}

#[test]
fn name_that_is_taken_is_reported_and_nothing_is_touched() {
    let test = Test::in_memory("ik-conflict");
    let taken = test.create_foreign("a", &["sleep", "1000"]);
    let served = Served::start(&test, &[]);
    let error = served.provision_error(&spec(&test, &json!({ "LogicalID": test.name("a") })));
    assert!(
        error.contains(&format!("is taken by container {}", &taken[..12]))
            && error.contains("it was not touched"),
        "{error}"
    );
    assert_eq!(test.containers(), ["PREFIX-a created"]);
}

#[test]
fn only_instances_are_listed_destroyed_and_labeled() {
    let test = Test::in_memory("ik-touch");
    let image = test.import_image();
    let served = Served::start(&test, &[]);
    let create = |name: &str, label: &str| {
        let name = test.name(name);
        test.docker(&[
            "run", "-d", "--name", &name, "--label", label, &image, "sleep", "1000",
        ])
    };
    let foreign = create("foreign", "tier=web");
    let grouped = create("grouped", "infrakit.group=g");
    let ids = |tags: Json| -> Vec<String> {
        served
            .describe(&tags)
            .iter()
            .map(|it| it["ID"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(ids(json!(null)), [&grouped[..12]]);
    assert_eq!(
        ids(json!({ "tier": "web" })),
        [&foreign[..12]],
        "whoever made it"
    );
    assert_eq!(
        ids(json!({ "infrakit.group": "g", "tier": "web" })),
        Vec::<String>::new()
    );
    for id in [&foreign[..12], &test.name("foreign")] {
        for (method, params) in [
            ("Instance.Destroy", json!({ "Instance": id })),
            (
                "Instance.Label",
                json!({ "Instance": id, "Labels": { "a": "b" } }),
            ),
        ] {
            let error = served.error(method, &params);
            assert!(
                error.ends_with("is not an instance of this plugin; it was not touched"),
                "{error}"
            );
        }
    }
    let part = served.error("Instance.Destroy", &json!({ "Instance": &foreign[..6] }));
    assert!(
        part.contains("is a part of an ID; give at least 12 characters"),
        "{part}"
    );
    let empty = served.error("Instance.Destroy", &json!({ "Instance": "" }));
    assert_eq!(empty, "`Instance` must be set");
    assert!(
        test.containers()
            .contains(&"PREFIX-foreign running".to_owned()),
        "a part of an ID is no ID"
    );
    served.destroy(&test.name("grouped"));
    assert_eq!(test.containers(), ["PREFIX-foreign running"]);
}

#[test]
fn namespaces_are_separate() {
    let test = Test::in_memory("ik-spaces");
    test.import_image();
    let one = Served::start(&test, &["--namespace-tags", "scope=one"]);
    let id = one.provision(&spec(&test, &json!({ "Tags": { "infrakit.group": "g" } })));
    assert_eq!(one.describe(&json!({ "infrakit.group": "g" })).len(), 1);
    assert_eq!(one.describe(&json!({ "scope": "two" })).len(), 0);
    assert!(
        one.error(
            "Instance.Label",
            &json!({ "Instance": id, "Labels": { "scope": "two" } })
        )
        .contains("belongs to the namespace")
    );
    assert_eq!(one.stop(), 0);
    let two = Served::start(&test, &["--namespace-tags", "scope=two"]);
    assert_eq!(two.describe(&json!({ "infrakit.group": "g" })).len(), 0);
    assert!(
        two.error("Instance.Destroy", &json!({ "Instance": id }))
            .contains("not an instance of this plugin")
    );
}

#[test]
fn reserved_labels_are_refused() {
    let test = Test::in_memory("ik-reserved");
    test.import_image();
    let served = Served::start(&test, &[]);
    let id = served.provision(&spec(&test, &json!({})));
    let label = json!({ "Instance": id, "Labels": { "dockctl.deployment": "x" } });
    assert_eq!(
        served.error("Instance.Label", &label),
        "the label `dockctl.deployment` is reserved for dockctl"
    );
    let error = served.provision_error(&spec(
        &test,
        &json!({ "Tags": { "dockctl.deployment": "x" } }),
    ));
    assert!(
        error.contains("the label `dockctl.deployment` is reserved for dockctl"),
        "{error}"
    );
}

#[test]
fn node_type_works_in_blueprints() {
    let test = Test::in_memory("ik-node");
    test.import_image();
    let text = blueprint(
        "networks: [{Name: PREFIX-net}]
      init: exit 0
      tags: {infrakit.group: g, get_secret: none}",
    );
    test.blueprint(&text);
    test.run(&["install"]).exits_with(0);
    assert_eq!(labels(&test, &test.name("web"))["infrakit.group"], "g");
    assert_eq!(
        labels(&test, &test.name("web"))["get_secret"],
        "none",
        "all values are data"
    );
    assert_eq!(
        labels(&test, &test.name("web"))["dockctl.deployment"],
        test.prefix.clone()
    );
    test.run(&["plan"]).exits_with(0);
    let status = test
        .run(&["status", "--output", "json"])
        .exits_with(0)
        .json();
    assert_eq!(status["instances"][0]["state"], "started", "{status}");
    test.blueprint(&text.replace("'1000'", "'2000'"));
    test.run(&["update"]).exits_with(0);
    assert_eq!(test.inspect("web", "{{index .Config.Cmd 1}}"), "2000");
    test.blueprint(&text.replace("Cmd:", "Cmnd:"));
    test.run(&["validate"])
        .exits_with(3)
        .stderr_contains(&["unknown key `Cmnd`", "did you mean `Cmd`?"]);
    test.run(&["uninstall", "--yes"]).exits_with(0);
    assert_eq!(test.containers(), Vec::<String>::new());
    run(&test, &["serve", "--help"]).exits_with(0);
}

#[test]
fn id_wins_over_an_equal_name() {
    let test = Test::in_memory("ik-both");
    test.import_image();
    let served = Served::start(&test, &[]);
    let first = served.provision(&spec(&test, &json!({})));
    let second = served.provision(&spec(&test, &json!({ "LogicalID": first })));
    served.destroy(&first);
    let left = served.describe(&json!(null));
    assert_eq!((left.len(), left[0]["ID"].as_str()), (1, Some(&*second)));
    served.destroy(&first);
    assert_eq!(
        served.describe(&json!(null)).len(),
        0,
        "now it is only a name"
    );
}

#[test]
fn one_of_several_requests_gets_a_name() {
    let test = Test::new("ik-race");
    test.import_image();
    let served = Served::start(&test, &[]);
    let params = json!({ "Spec": spec(&test, &json!({ "LogicalID": test.name("a") })) });
    let replies: Vec<Json> = std::thread::scope(|scope| {
        let one = |_| scope.spawn(|| served.reply("Instance.Provision", &params));
        let all: Vec<_> = (0..4).map(one).collect();
        all.into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    let (won, lost): (Vec<_>, Vec<_>) = replies
        .iter()
        .partition(|reply| reply["result"]["ID"].is_string());
    assert_eq!(won.len(), 1, "{replies:?}");
    for reply in lost {
        let message = reply["error"]["message"].as_str().unwrap();
        assert!(message.contains("is taken by container"), "{message}");
    }
    assert_eq!(test.containers(), ["PREFIX-a running"]);
}

#[test]
fn warnings_of_the_engine_are_logged() {
    let test = Test::in_memory("ik-warn");
    test.import_image();
    let served = Served::start(&test, &[]);
    let created = CannedResponse::Json(
        201,
        json!({ "Id": "c".repeat(64), "Warnings": ["it was discarded"] }),
    );
    test.engine()
        .respond_with("POST", "/containers/create", created);
    served.provision_error(&spec(&test, &json!({})));
    served.await_log("the engine warns: it was discarded");
}

#[test]
fn node_of_the_type_is_recovered_and_its_script_does_not_run_again() {
    let test = Test::in_memory("ik-recover");
    test.import_image();
    let runs = test.path("runs");
    test.blueprint(&blueprint(&format!("init: echo run >> {}", runs.display())));
    test.run(&["install"]).exits_with(0);
    std::fs::rename(test.path("state/deployments"), test.path("lost")).unwrap();
    test.run(&["recover"]).exits_with(0);
    let status = test
        .run(&["status", "--output", "json"])
        .exits_with(0)
        .json();
    assert_eq!(status["instances"][0]["drift"], json!([]), "{status}");
    test.run(&["stop"]).exits_with(0);
    test.run(&["start"]).exits_with(0);
    assert_eq!(std::fs::read_to_string(&runs).unwrap(), "run\n");
    test.run(&["uninstall", "--yes"]).exits_with(0);
    assert_eq!(test.containers(), Vec::<String>::new());
}

#[test]
fn several_instances_of_the_type_are_scaled_and_repaired() {
    let test = Test::in_memory("ik-scale");
    test.import_image();
    test.blueprint(&blueprint(
        "networks: [{Name: PREFIX-net}]
      init: exit 0",
    ));
    test.run(&["install"]).exits_with(0);
    test.run(&["scale", "web", "--to", "2"]).exits_with(0);
    assert_eq!(
        test.containers(),
        ["PREFIX-web running", "PREFIX-web-1 running"]
    );
    test.docker(&[
        "network",
        "disconnect",
        &test.name("net"),
        &test.name("web"),
    ]);
    test.docker(&["rm", "-f", &test.name("web-1")]);
    test.run(&["heal"]).exits_with(0);
    assert_eq!(
        test.containers(),
        ["PREFIX-web running", "PREFIX-web-1 running"]
    );
    for name in ["web", "web-1"] {
        assert!(
            test.inspect(name, "{{json .NetworkSettings.Networks}}")
                .contains(&test.name("net")),
            "{name}"
        );
    }
    test.run(&["uninstall", "--yes"]).exits_with(0);
}

#[test]
fn subtype_is_another_engine() {
    let test = Test::in_memory("ik-two");
    test.import_image();
    let other = crate::support::engine::Engine::start(&test.path("second"));
    let gpu = format!("gpu={}", other.address());
    let served = Served::start(&test, &["--subtype", &gpu]);
    served.provision(&spec(&test, &json!({ "Tags": { "infrakit.group": "g" } })));
    let on = |subtype: &str| {
        let found = served.call(
            "Instance.DescribeInstances",
            &json!({ "Type": subtype, "Tags": { "infrakit.group": "g" } }),
        );
        assert_eq!(found["Type"], subtype);
        found["Descriptions"].as_array().unwrap().len()
    };
    assert_eq!((on(""), on("gpu")), (1, 0));
}
