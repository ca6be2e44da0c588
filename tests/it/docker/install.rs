//! Install and uninstall in various initial states of the engine.

use crate::support::{Test, free_port};
use serde_json::json;

/// Blueprint with one container that sleeps.
pub(crate) const SLEEPER: &str = "
node_templates:
  web:
    type: cloudify.docker.Container
    properties:
      name: PREFIX-web
      image: {src: TARBALL, repository: dockctl-demo}
    interfaces:
      cloudify.interfaces.lifecycle:
        create: {inputs: {params: {command: sleep 1000}}}
        start: {inputs: {processes_to_wait_for: [sleep]}}
        stop: {inputs: {params: {timeout: 0}}}
";

/// Blueprint with a container `web` that sets parameters in both create and start.
const MERGED: &str = "
node_templates:
  data:
    type: cloudify.docker.Container
    properties: {name: PREFIX-data, image: {src: TARBALL, repository: dockctl-demo}}
    interfaces:
      cloudify.interfaces.lifecycle:
        create: {inputs: {params: {command: sleep 1000, volumes: [/data]}}}
        stop: {inputs: {params: {timeout: 0}}}
  web:
    type: cloudify.docker.Container
    properties: {name: PREFIX-web, image: {src: TARBALL, repository: dockctl-demo}}
    interfaces:
      cloudify.interfaces.lifecycle:
        create:
          inputs:
            params:
              command: sleep 1000
              ports: [[53, udp]]
              environment: {PORT: 80, DEBUG: yes, NONE: null}
              mem_limit: 64m
        start:
          inputs:
            params:
              port_bindings: {80: [127.0.0.1, null]}
              binds: {/tmp: {bind: /host, ro: true}}
              links: {PREFIX-data: store}
              volumes_from: [PREFIX-data]
              restart_policy: {Name: on-failure, MaximumRetryCount: 2}
              processes_to_wait_for: [sleep]
        stop: {inputs: {params: {timeout: 0}}}
";

#[test]
fn start_time_configuration_is_merged_into_create() {
    let test = Test::new("merge");
    test.blueprint(MERGED);
    let installed = test.run(&["install"]).exits_with(0);
    // No relationship declares the order: it follows from the container names that `web` uses.
    let line = |text: &str| {
        installed
            .stderr
            .find(text)
            .unwrap_or_else(|| panic!("`{text}` is not in {}", installed.stderr))
    };
    let (data, web) = (test.name("data"), test.name("web"));
    assert!(
        line(&format!("done: create container {data}")) < line(&format!("create container {web}"))
    );
    let host: serde_json::Value =
        serde_json::from_str(&test.inspect("web", "{{json .HostConfig}}")).unwrap();
    assert_eq!(
        host["PortBindings"],
        json!({ "80/tcp": [{ "HostIp": "127.0.0.1", "HostPort": "" }] })
    );
    assert_eq!(host["Binds"], json!(["/tmp:/host:ro"]));
    assert_eq!(host["VolumesFrom"], json!([data]));
    assert_eq!(
        host["RestartPolicy"],
        json!({ "Name": "on-failure", "MaximumRetryCount": 2 })
    );
    assert_eq!(host["Memory"], 64 << 20);
    assert!(
        host["Links"][0]
            .as_str()
            .unwrap()
            .ends_with(&format!("/{web}/store")),
        "{}",
        host["Links"]
    );
    let config: serde_json::Value =
        serde_json::from_str(&test.inspect("web", "{{json .Config}}")).unwrap();
    assert_eq!(
        config["Env"].as_array().unwrap()[..2],
        [json!("PORT=80"), json!("DEBUG=True")]
    );
    assert_eq!(
        config["ExposedPorts"],
        json!({ "80/tcp": {}, "53/udp": {} })
    );
    assert_eq!(config["Hostname"], web);
    test.run(&["uninstall"]).exits_with(0);
    assert!(test.containers().is_empty());
}

#[test]
fn container_is_recreated_for_values_known_only_at_start() {
    let bind = |attribute: &str| {
        SLEEPER.replace(
            "start: {inputs: {",
            &format!("start: {{inputs: {{params: {{binds: [{{concat: ['/tmp:/', {{get_attribute: [SELF, {attribute}]}}]}}]}}, "),
        )
    };
    // The value is known at create: the container is created once.
    let test = Test::in_memory("known");
    test.blueprint(&bind("node_instance_id"));
    let installed = test
        .run(&["install", "--output", "json"])
        .exits_with(0)
        .json();
    let instance = &installed["instances"][0];
    assert_eq!(
        test.inspect("web", "{{.HostConfig.Binds}}"),
        format!("[/tmp:/{}]", instance["id"].as_str().unwrap())
    );

    let test = Test::in_memory("late");
    test.blueprint(&bind("container_id"));
    let installed = test.run(&["install"]).exits_with(0);
    assert!(
        installed.stderr.contains("if start adds other parameters"),
        "{}",
        installed.stderr
    );
    let binds = test.inspect("web", "{{.HostConfig.Binds}}");
    assert_eq!(binds.len(), "[/tmp:/]".len() + 64, "{binds}");
    test.run(&["uninstall"]).exits_with(0);
    assert!(test.containers().is_empty());
}

#[test]
fn second_install_reports_nothing_to_do() {
    let test = Test::in_memory("again");
    test.blueprint(SLEEPER);
    test.run(&["install"]).exits_with(0);
    let id = test.inspect("web", "{{.Id}} {{.State.StartedAt}}");
    let again = test
        .run(&["install", "--output", "json"])
        .exits_with(0)
        .json();
    assert_eq!(
        (&again["ok"], &again["up_to_date"]),
        (&json!(true), &json!(true))
    );
    assert_eq!(test.inspect("web", "{{.Id}} {{.State.StartedAt}}"), id);
    let plan = test.run(&["plan", "--exit-code"]).exits_with(0);
    assert!(plan.stdout.contains("nothing to do"), "{}", plan.stdout);
}

#[test]
fn install_refuses_a_changed_blueprint() {
    let test = Test::in_memory("changed");
    test.blueprint(SLEEPER);
    test.run(&["install"]).exits_with(0);
    let id = test.inspect("web", "{{.Id}}");
    test.blueprint(&SLEEPER.replace("sleep 1000", "sleep 2000"));
    let refused = test
        .run(&["install", "--output", "json"])
        .exits_with(6)
        .stderr_contains(&["\"sleep 1000\" → \"sleep 2000\"", "update"]);
    assert_eq!(refused.json()["differences"][0]["after"], "sleep 2000");
    test.run(&["plan", "--exit-code"]).exits_with(6);
    assert_eq!(test.inspect("web", "{{.Id}}"), id);
    // Moved lines are not a change.
    test.blueprint(&format!("\n# a comment\n{SLEEPER}"));
    test.run(&["install"]).exits_with(0);
    test.run(&["uninstall"]).exits_with(0);
}

#[test]
fn failed_install_resumes_with_a_fixed_blueprint() {
    let test = Test::in_memory("fixed");
    let two = |command: &str, wait: &str| {
        SLEEPER.to_owned()
            + &format!(
                "  app:
    type: cloudify.docker.Container
    properties: {{name: PREFIX-app, image: {{src: TARBALL, repository: dockctl-demo}}}}
    interfaces:
      cloudify.interfaces.lifecycle:
        create: {{inputs: {{params: {{command: {command}}}}}}}
        start: {{inputs: {{processes_to_wait_for: [{wait}]}}}}
        stop: {{inputs: {{params: {{timeout: 0}}}}}}
    relationships: [{{type: cloudify.relationships.connected_to, target: web}}]
"
            )
    };
    test.blueprint(&two("sh -c 'exit 7'", "sleep"));
    test.run(&["install"])
        .exits_with(1)
        .stderr_contains(&["exited with code 7", "dockctl install"]);
    let before = test.inspect("web", "{{.Id}} {{.State.StartedAt}}");
    test.blueprint(&two("sleep 3000", "sleep"));
    test.run(&["install"]).exits_with(0);
    assert_eq!(test.inspect("web", "{{.Id}} {{.State.StartedAt}}"), before);
    assert_eq!(test.inspect("app", "{{.Config.Cmd}}"), "[sleep 3000]");
    // Uninstall accepts a container that was removed outside dockctl.
    test.docker(&["rm", "-f", &test.name("web")]);
    test.run(&["uninstall"]).exits_with(0);
    assert!(test.containers().is_empty());
}

#[test]
fn node_dropped_from_a_fixed_blueprint_is_removed() {
    let test = Test::in_memory("dropped");
    let broken = SLEEPER.replace("web", "old")
        + &SLEEPER
            .replace("\nnode_templates:\n", "")
            .replace("[sleep]", "[nothing]")
            .replace("sleep 1000", "'false'");
    test.blueprint(&broken);
    test.run(&["install"]).exits_with(1);
    assert!(test.containers().contains(&"PREFIX-old running".to_owned()));
    test.blueprint(SLEEPER);
    test.run(&["install"]).exits_with(0);
    assert_eq!(test.containers(), ["PREFIX-web running"]);
    test.run(&["uninstall"]).exits_with(0);
}

#[test]
fn install_restores_missing_stopped_and_paused_containers() {
    let test = Test::new("back");
    test.blueprint(SLEEPER);
    test.run(&["install"]).exits_with(0);
    test.docker(&["rm", "-f", &test.name("web")]);
    assert_eq!(
        test.run(&["status", "--exit-code", "--output", "json"])
            .exits_with(6)
            .json()["instances"][0]["drift"],
        json!(["missing"])
    );
    test.run(&["plan", "--exit-code"]).exits_with(6);
    test.run(&["install"]).exits_with(0);
    test.docker(&["stop", "-t", "0", &test.name("web")]);
    let id = test.inspect("web", "{{.Id}}");
    assert_eq!(
        test.run(&["status", "--output", "json"])
            .exits_with(0)
            .json()["instances"][0]["drift"],
        json!(["stopped"])
    );
    test.run(&["install"]).exits_with(0);
    assert_eq!(
        test.inspect("web", "{{.Id}} {{.State.Running}}"),
        format!("{id} true")
    );
    test.docker(&["pause", &test.name("web")]);
    assert_eq!(
        test.run(&["status", "--output", "json"])
            .exits_with(0)
            .json()["instances"][0]["drift"],
        json!(["paused"])
    );
    test.run(&["install"]).exits_with(0);
    assert_eq!(
        test.inspect("web", "{{.Id}} {{.State.Paused}}"),
        format!("{id} false")
    );
}

#[test]
fn several_instances_get_unique_container_names() {
    let test = Test::new("many");
    let hosted = "    relationships: [{type: cloudify.relationships.contained_in, target: host}]\n    instances: {deploy: 2}\n";
    test.blueprint(
        &(SLEEPER.to_owned()
            + hosted
            + "  host:\n    type: cloudify.nodes.Compute\n    properties: {install_agent: false}\n    instances: {deploy: 2}\n"),
    );
    test.run(&["install"]).exits_with(0);
    assert_eq!(
        test.containers(),
        [
            "PREFIX-web running",
            "PREFIX-web-1 running",
            "PREFIX-web-2 running",
            "PREFIX-web-3 running"
        ]
    );
    let status = test
        .run(&["status", "--output", "json"])
        .exits_with(0)
        .json();
    assert_eq!(status["instances"].as_array().unwrap().len(), 6);
    test.run(&["uninstall"]).exits_with(0);
    assert!(test.containers().is_empty());
}

#[test]
fn uninstall_leaves_only_images_and_can_be_repeated() {
    let test = Test::new("gone");
    test.blueprint(&SLEEPER.replace(
        "command: sleep 1000",
        "command: sleep 1000, volumes: [/data]",
    ));
    test.run(&["install"]).exits_with(0);
    let volume = test.inspect("web", "{{range .Mounts}}{{.Name}}{{end}}");
    test.run(&["uninstall"]).exits_with(0);
    assert!(test.containers().is_empty());
    assert!(
        !test.docker(&["volume", "ls", "-q"]).contains(&volume),
        "the anonymous volume still exists"
    );
    assert!(
        test.docker(&["images", "-q", "dockctl-demo"])
            .lines()
            .next()
            .is_some(),
        "the image was removed"
    );
    let again = test.run(&["uninstall"]).exits_with(0);
    assert!(again.stdout.contains("not installed"), "{}", again.stdout);
    let not_installed = test.run(&["uninstall", "-d", "never-there"]).exits_with(0);
    assert!(
        not_installed
            .stdout
            .contains("`never-there` is not installed"),
        "{}",
        not_installed.stdout
    );
}

#[test]
fn created_containers_have_labels_of_their_deployment() {
    let test = Test::new("labels");
    test.blueprint(SLEEPER);
    test.run(&["install"]).exits_with(0);
    let labels: serde_json::Value =
        serde_json::from_str(&test.inspect("web", "{{json .Config.Labels}}")).unwrap();
    assert_eq!(
        (&labels["dockctl.deployment"], &labels["dockctl.node"]),
        (&json!(test.prefix), &json!("web"))
    );
    let record: serde_json::Value =
        serde_json::from_str(labels["dockctl.record"].as_str().unwrap()).unwrap();
    assert_eq!(record["name"], test.name("web").as_str());
    assert_eq!(
        record["operations"]["cloudify.interfaces.lifecycle.stop"][2]["params"],
        json!({ "timeout": 0 })
    );
    for name in [
        "dockctl.instance",
        "dockctl.generation",
        "dockctl.execution",
        "dockctl.spec",
    ] {
        assert!(
            labels[name].as_str().is_some_and(|value| !value.is_empty()),
            "{name}: {labels}"
        );
    }
}

#[test]
fn saved_image_is_loaded_and_tagged() {
    let test = Test::new("load");
    let image = test.import_image();
    test.docker(&[
        "save",
        "-o",
        &test.path("saved.tar").display().to_string(),
        &image,
    ]);
    test.docker(&["rmi", "-f", &image]);
    test.blueprint(&SLEEPER.replace(
        "{src: TARBALL, repository: dockctl-demo}",
        "{src: saved.tar, repository: PREFIX-loaded, tag: v2}",
    ));
    test.run(&["install"]).exits_with(0);
    assert!(
        test.docker(&["images", "-q", &format!("{}-loaded:v2", test.prefix)])
            .lines()
            .next()
            .is_some()
    );
    test.run(&["uninstall"]).exits_with(0);
}

#[test]
fn deployment_name_with_another_blueprint_path_is_refused() {
    let test = Test::in_memory("path");
    test.blueprint(SLEEPER);
    test.run(&["install"]).exits_with(0);
    std::fs::create_dir(test.path("other")).unwrap();
    std::fs::copy(
        test.path("blueprint.yaml"),
        test.path("other/blueprint.yaml"),
    )
    .unwrap();
    test.run(&["install", "other"])
        .exits_with(2)
        .stderr_contains(&["was installed from", "-d NAME"]);
}

#[test]
fn inputs_are_stored_and_can_be_read_from_files() {
    let test = Test::in_memory("inputs");
    let inputs = "
inputs:
  seconds: {type: integer}
  list: {default: []}
  note: {default: none}
outputs:
  all: {value: [{get_input: seconds}, {get_input: [list, 0]}, {get_input: note}]}
";
    test.blueprint(
        &(inputs.to_owned()
            + &SLEEPER.replace("sleep 1000", "{concat: ['sleep ', {get_input: seconds}]}")),
    );
    test.write("more.yaml", "note: from a file\nseconds: 5\n");
    test.run(&["install"]).exits_with(3).stderr_contains(&[
        "input `seconds` has no value and no default",
        "-i seconds=VALUE",
    ]);
    test.run(&["install", "-i", "seconds=ten"])
        .exits_with(3)
        .stderr_contains(&["must be of type integer"]);
    test.run(&[
        "install",
        "-i",
        "more.yaml",
        "-i",
        "seconds=1000",
        "-i",
        "list:=[a, b]",
    ])
    .exits_with(0);
    assert_eq!(test.inspect("web", "{{.Config.Cmd}}"), "[sleep 1000]");
    let outputs = test
        .run(&["outputs", "--output", "json"])
        .exits_with(0)
        .json();
    assert_eq!(outputs["outputs"]["all"], json!([1000, "a", "from a file"]));
    // A second install uses the stored inputs.
    test.run(&["install"]).exits_with(0);
    test.run(&["install", "-i", "seconds=7"]).exits_with(6);
    test.run(&["install", "-i", "secnds=7"])
        .exits_with(3)
        .stderr_contains(&["did you mean `seconds`?"]);
}

#[test]
fn dependents_that_use_a_recreated_container_are_recreated() {
    let test = Test::in_memory("bound");
    let container = |name: &str, params: &str, start: &str, needs: &str| {
        format!(
            "  {name}:
    type: cloudify.docker.Container
    properties: {{name: PREFIX-{name}, image: {{src: TARBALL, repository: dockctl-demo}}}}
    interfaces:
      cloudify.interfaces.lifecycle:
        create: {{inputs: {{params: {{command: sleep 1000{params}}}}}}}
        start: {{inputs: {{params: {{{start}}}}}}}
        stop: {{inputs: {{params: {{timeout: 0}}}}}}
    relationships: [{needs}]
"
        )
    };
    let needs =
        |name: &str| format!("{{type: cloudify.relationships.connected_to, target: {name}}}");
    let app = container(
        "app",
        ", environment: {DB: {get_attribute: [db, container_id]}}",
        "",
        &needs("db"),
    );
    let proxy = container("proxy", "", "links: {PREFIX-app: app}", &needs("app"));
    let aside = container("aside", "", "", &needs("db"));
    test.blueprint(&format!(
        "node_templates:\n{}{app}{proxy}{aside}",
        container("db", "", "", "")
    ));
    test.run(&["install"]).exits_with(0);
    let untouched = test.inspect("aside", "{{.Id}}");
    test.docker(&["rm", "-f", &test.name("db")]);
    let plan = test.run(&["plan"]).exits_with(0).stdout;
    assert_eq!(
        plan.matches("an object that it depends on is recreated")
            .count(),
        2,
        "{plan}"
    );
    test.run(&["install"]).exits_with(0);
    assert!(
        test.inspect("app", "{{.Config.Env}}")
            .contains(&test.inspect("db", "DB={{.Id}}"))
    );
    assert!(
        test.inspect("proxy", "{{.HostConfig.Links}}")
            .contains(&test.name("app"))
    );
    assert_eq!(
        test.inspect("aside", "{{.Id}}"),
        untouched,
        "a container with only an order dependency is not recreated"
    );
    test.run(&["plan", "--exit-code"]).exits_with(0);
    test.run(&["uninstall"]).exits_with(0);
    assert!(test.containers().is_empty());
}

#[test]
fn nodes_without_a_repository_share_the_image() {
    let test = Test::in_memory("share");
    let nameless = SLEEPER.replace(", repository: dockctl-demo", "");
    test.blueprint(
        &(nameless.clone()
            + &nameless
                .replace("\nnode_templates:\n", "")
                .replace("web", "other")),
    );
    test.run(&["install"]).exits_with(0);
    assert_eq!(
        test.inspect("web", "{{.Image}}"),
        test.inspect("other", "{{.Image}}")
    );
    test.run(&["uninstall"]).exits_with(0);
}

#[test]
fn unknown_host_config_fields_are_sent_with_a_warning() {
    let test = Test::new("raw");
    test.blueprint(
        &SLEEPER.replace(
            "command: sleep 1000",
            "command: sleep 1000, host_config: {restartpolicy: {Name: always}, FutureField: 1, dns: 1.1.1.1}",
        ),
    );
    test.run(&["install"])
        .exits_with(0)
        .stderr_contains(&["warning[D0105]", "unknown `HostConfig` field `FutureField`"]);
    assert_eq!(
        test.inspect(
            "web",
            "{{.HostConfig.RestartPolicy.Name}} {{.HostConfig.Dns}}"
        ),
        "always [1.1.1.1]"
    );
}

#[test]
fn dropped_nodes_are_removed_in_reverse_order_with_their_attributes() {
    let test = Test::in_memory("reverse");
    let node = |name: &str, stop: &str, needs: &str| {
        SLEEPER
            .replace("\nnode_templates:\n", "")
            .replace("web", name)
            .replace("timeout: 0", stop)
            + &format!("    relationships: [{needs}]\n")
    };
    let needs =
        |name: &str| format!("{{type: cloudify.relationships.connected_to, target: {name}}}");
    let late = "timeout: {get_attribute: [SELF, node_instance_index]}";
    let bad = node("bad", "timeout: 0", &needs("app")).replace("sleep 1000", "'false'");
    test.blueprint(&format!(
        "node_templates:\n{}{}{bad}",
        node("db", late, ""),
        node(
            "app",
            "timeout: {get_attribute: [db, node_instance_index]}",
            &needs("db")
        )
    ));
    test.run(&["install"]).exits_with(1);
    test.blueprint(&format!(
        "node_templates:\n{}",
        node("other", "timeout: 0", "")
    ));
    let status = test.run(&["status"]).exits_with(0).stdout;
    assert!(!status.contains("no longer in the blueprint"), "{status}");
    let run = test.run(&["install"]).exits_with(0);
    let removed_at = |name: &str| run.stderr.find(&format!("[{name}_")).unwrap();
    assert!(
        removed_at("bad") < removed_at("app") && removed_at("app") < removed_at("db"),
        "{}",
        run.stderr
    );
    assert_eq!(test.containers(), ["PREFIX-other running"]);
    test.run(&["uninstall"]).exits_with(0);
    assert!(test.containers().is_empty());
}

#[test]
fn uninstall_finds_a_container_by_labels_if_its_recorded_id_is_stale() {
    let test = Test::in_memory("stale");
    test.blueprint(SLEEPER);
    test.run(&["install"]).exits_with(0);
    let labels = label_flags(&test, "web");
    test.docker(&["rm", "-f", &test.name("web")]);
    create_with_labels(&test, "web", &labels);
    test.run(&["uninstall"]).exits_with(0);
    assert!(test.containers().is_empty());
}

/// Returns the labels of a container as flags of the Docker CLI.
fn label_flags(test: &Test, name: &str) -> Vec<String> {
    let labels: serde_json::Value =
        serde_json::from_str(&test.inspect(name, "{{json .Config.Labels}}")).unwrap();
    labels
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, value)| format!("--label={name}={}", value.as_str().unwrap()))
        .collect()
}

fn create_with_labels(test: &Test, name: &str, labels: &[String]) {
    let (name, image) = (test.name(name), test.import_image());
    let labels = labels.iter().map(String::as_str);
    test.docker(
        &["create", "--name", &name]
            .into_iter()
            .chain(labels)
            .chain([image.as_str(), "sleep", "1000"])
            .collect::<Vec<_>>(),
    );
}

#[test]
fn copied_labels_do_not_make_a_container_owned() {
    let test = Test::in_memory("spoofed");
    test.blueprint(SLEEPER);
    test.run(&["install"]).exits_with(0);
    create_with_labels(&test, "copy", &label_flags(&test, "web"));
    test.run(&["plan", "--exit-code"]).exits_with(0);
    test.run(&["uninstall"]).exits_with(0);
    assert_eq!(test.containers(), ["PREFIX-copy created"]);
    // It is also not mistaken for a container that a node declares under its name.
    test.blueprint(&SLEEPER.replace("name: PREFIX-web", "name: PREFIX-copy"));
    test.run(&["install"])
        .exits_with(1)
        .stderr_contains(&["is taken by container"]);
    test.run(&["uninstall"]).exits_with(0);
    assert_eq!(test.containers(), ["PREFIX-copy created"]);
}

#[test]
fn foreign_holder_of_a_port_is_named() {
    let test = Test::new("portholder");
    let port = free_port();
    let guest = test.name("guest");
    let label = format!("dockctl-test={}", test.prefix);
    let publish = format!("127.0.0.1:{port}:80");
    let run = ["run", "-d", "--name", &guest, "--label", &label];
    test.docker(&[&run[..], &["-p", &publish, "dockctl-demo", "sleep", "1000"]].concat());
    test.blueprint(&SLEEPER.replace(
        "command: sleep 1000",
        &format!(
            "command: sleep 1000, ports: [80], host_config: {{port_bindings: {{80: {port}}}}}"
        ),
    ));
    let failed = test.run(&["install"]).exits_with(1);
    assert!(!failed.stderr.contains("retrying"), "{}", failed.stderr);
    failed.stderr_contains(&[&format!("container `{guest}` publishes {port}/tcp")]);
    test.run(&["uninstall"]).exits_with(0);
    test.docker(&["rm", "-f", &guest]);
}
