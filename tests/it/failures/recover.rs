//! Journals that are lost, damaged, older or newer, and recovery from labels on the engine.

use crate::{
    docker::install::SLEEPER,
    support::{Run, Test},
};
use rusqlite::Connection;
use std::{fs, path::PathBuf};

/// Writes a blueprint with two containers, `web` and `db`, and an adopted one. `web` depends on the
/// others.
fn blueprint(test: &Test) {
    let db = SLEEPER
        .replace("\nnode_templates:\n", "")
        .replace("web", "db");
    let legacy = "  legacy:\n    type: cloudify.docker.Container\n    properties: {name: PREFIX-legacy, use_external_resource: true}\n";
    let needs = "    relationships:\n      - {type: cloudify.relationships.connected_to, target: db}\n      - {type: cloudify.relationships.connected_to, target: legacy}\n";
    test.create_foreign("legacy", &["sleep", "1000"]);
    test.blueprint(&(SLEEPER.to_owned() + needs + &db + legacy));
}

fn run_elsewhere(test: &Test, arguments: &[&str]) -> Run {
    let state = test.path("elsewhere").display().to_string();
    test.run(&[arguments, &["--state-dir", &state]].concat())
}

fn database(test: &Test) -> PathBuf {
    test.path("state/deployments")
        .join(format!("{}.db", test.prefix))
}

/// Returns the ID of the deployment from its entry in `list --all` on another machine.
fn id_listed_elsewhere(test: &Test) -> String {
    let listed = run_elsewhere(test, &["list", "--all", "--output", "json"])
        .exits_with(0)
        .json();
    let entry = listed["deployments"]
        .as_array()
        .unwrap()
        .iter()
        .find(|it| it["deployment"] == test.prefix.as_str())
        .unwrap();
    assert_eq!(
        (&entry["state"], &entry["instances"]),
        (&"claimed".into(), &2.into())
    );
    entry["id"].as_str().unwrap().to_owned()
}

fn expect_status_elsewhere(test: &Test) {
    let status = run_elsewhere(test, &["status", "--output", "json"])
        .exits_with(0)
        .json();
    assert_eq!(status["recovered"], true);
    assert!(
        status["not_recovered"][0]["reason"]
            .as_str()
            .unwrap()
            .contains("adopted"),
        "{status:#}"
    );
    let states: Vec<&str> = status["instances"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["objects"][0]["state"].as_str().unwrap())
        .collect();
    assert_eq!(states, ["running", "running"]);
}

#[test]
fn another_machine_can_list_and_uninstall_from_labels() {
    let test = Test::in_memory("labels-only");
    blueprint(&test);
    test.run(&["install"]).exits_with(0);
    let id = id_listed_elsewhere(&test);
    expect_status_elsewhere(&test);
    let uninstall_command = format!("dockctl uninstall {} --from-labels {id}", test.prefix);
    run_elsewhere(&test, &["install"])
        .exits_with(1)
        .stderr_contains(&[
            "has no record of",
            &format!("dockctl recover {}", test.prefix),
            "use another name: -d NAME",
            &uninstall_command,
        ]);
    for arguments in [&["uninstall"][..], &["uninstall", "--yes", "--volumes"]] {
        let blueprint = test.path("blueprint.yaml").display().to_string();
        let refused = run_elsewhere(&test, arguments)
            .exits_with(1)
            .stderr_contains(&[
                "nothing was done",
                &blueprint,
                "created by",
                "created:",
                &uninstall_command,
            ]);
        assert!(refused.stdout.is_empty(), "{}", refused.stdout);
    }
    run_elsewhere(&test, &["uninstall", "--from-labels", "another"])
        .exits_with(2)
        .stderr_contains(&["with ID `another`"]);
    assert_eq!(test.containers().len(), 3, "no container was touched");
    let uninstalled = run_elsewhere(
        &test,
        &["uninstall", "--from-labels", &id, "--progress", "plain"],
    )
    .exits_with(0)
    .stderr_contains(&["not recovered: legacy_", "it is adopted"]);
    let position = |text: &str| {
        uninstalled
            .stderr
            .find(text)
            .unwrap_or_else(|| panic!("{text} is not in:\n{}", uninstalled.stderr))
    };
    assert!(
        position("[web_") < position("[db_"),
        "dependents are removed first:\n{}",
        uninstalled.stderr
    );
    assert_eq!(test.containers(), ["PREFIX-legacy running"]);
    assert!(
        run_elsewhere(&test, &["uninstall"])
            .exits_with(0)
            .stdout
            .contains("nothing to do")
    );
    // The containers in the record of this state directory are gone: uninstall accepts that.
    test.run(&["uninstall"]).exits_with(0);
    assert_eq!(test.containers(), ["PREFIX-legacy exited"]);
}

#[test]
fn recovered_deployment_is_installed_and_unchanged() {
    let test = Test::in_memory("recover");
    blueprint(&test);
    test.run(&["install"]).exits_with(0);
    let ids = ["web", "db"].map(|name| test.inspect(name, "{{.Id}}"));
    fs::remove_dir_all(test.path("state")).unwrap();
    let recovered = test.run(&["recover", &test.prefix]).exits_with(0);
    assert!(
        recovered.stdout.contains("not recovered: legacy_"),
        "{}",
        recovered.stdout
    );
    assert!(
        test.run(&["recover", &test.prefix])
            .exits_with(0)
            .stdout
            .contains("nothing to recover")
    );
    assert!(
        test.run(&["list"])
            .exits_with(0)
            .stdout
            .contains("installed")
    );
    test.run(&["install"]).exits_with(0);
    assert_eq!(
        ids,
        ["web", "db"].map(|name| test.inspect(name, "{{.Id}}")),
        "containers are kept"
    );
    assert!(
        test.run(&["install"])
            .exits_with(0)
            .stdout
            .contains("up to date")
    );
    test.run(&["uninstall"]).exits_with(0);
    assert_eq!(
        test.containers(),
        ["PREFIX-legacy running"],
        "the container was running when it was adopted again"
    );
    test.run(&["recover", &test.prefix])
        .exits_with(2)
        .stderr_contains(&["no object on the engine"]);
}

#[test]
fn damaged_journal_is_kept_and_rebuilt_from_labels() {
    for command in ["install", "uninstall", "recover"] {
        let test = Test::in_memory("damaged");
        test.blueprint(SLEEPER);
        test.run(&["install"]).exits_with(0);
        let id = test.inspect("web", "{{.Id}}");
        let bytes = fs::read(database(&test)).unwrap();
        let cut = [&bytes[..bytes.len() / 2], &vec![7; 3000][..]].concat();
        fs::write(database(&test), &cut).unwrap();
        let status = test
            .run(&["status"])
            .exits_with(0)
            .stderr_contains(&["damaged"]);
        assert!(status.stdout.contains("running"), "{}", status.stdout);
        let arguments = if command == "recover" {
            vec!["recover", &test.prefix]
        } else {
            vec![command]
        };
        test.run(&arguments)
            .exits_with(0)
            .stderr_contains(&["journal was kept as", "recovered: 1 instance"]);
        let kept = fs::read_dir(test.path("state/deployments"))
            .unwrap()
            .flatten()
            .find(|file| file.path().display().to_string().contains(".damaged-"));
        assert_eq!(
            fs::read(kept.unwrap().path()).unwrap(),
            cut,
            "the damaged file is kept unchanged"
        );
        match command {
            "uninstall" => assert!(test.containers().is_empty()),
            _ => assert_eq!(
                test.inspect("web", "{{.Id}}"),
                id,
                "{command} keeps the container"
            ),
        }
        assert_eq!(
            test.run(&["list"])
                .exits_with(0)
                .stdout
                .contains(&test.prefix),
            command != "uninstall"
        );
    }
}

#[test]
fn newer_journal_is_refused_and_older_one_is_migrated() {
    let test = Test::in_memory("formats");
    test.blueprint(SLEEPER);
    test.run(&["install"]).exits_with(0);
    let open = || Connection::open(database(&test)).unwrap();
    open().execute_batch("PRAGMA user_version=99").unwrap();
    for command in ["status", "install", "uninstall"] {
        test.run(&[command])
            .exits_with(1)
            .stderr_contains(&["has format 99", "use the dockctl version that wrote it"]);
    }
    // The format before tables for snapshots and requests.
    open()
        .execute_batch("DROP TABLE snapshot; DROP TABLE request; PRAGMA user_version=1")
        .unwrap();
    test.run(&["status"]).exits_with(0);
    assert!(
        test.run(&["install"])
            .exits_with(0)
            .stdout
            .contains("up to date")
    );
    test.run(&["uninstall"]).exits_with(0);
    let format: i64 = open()
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .unwrap();
    assert_eq!(format, 3);
}

#[test]
fn container_with_inherited_labels_is_not_removed() {
    let test = Test::in_memory("inherited");
    test.blueprint(SLEEPER);
    test.run(&["install"]).exits_with(0);
    test.docker(&[
        "commit",
        &test.name("web"),
        &format!("{}-copy:latest", test.prefix),
    ]);
    test.docker(&[
        "create",
        "--name",
        &test.name("mine"),
        &format!("{}-copy:latest", test.prefix),
    ]);
    run_elsewhere(&test, &["uninstall", "--from-labels"])
        .exits_with(0)
        .stderr_contains(&["labels that were not written for it"]);
    assert_eq!(test.containers(), ["PREFIX-mine created"]);
}

/// An image committed from a container inherits its labels, including the seal. A container that a
/// user creates from it with the same name is still foreign.
#[test]
fn container_with_labels_of_its_image_is_foreign() {
    let test = Test::in_memory("image-labels");
    test.blueprint(SLEEPER);
    test.run(&["install"]).exits_with(0);
    test.docker(&[
        "commit",
        &test.name("web"),
        &format!("{}-copy:latest", test.prefix),
    ]);
    test.run(&["uninstall"]).exits_with(0);
    test.docker(&[
        "create",
        "--name",
        &test.name("web"),
        &format!("{}-copy:latest", test.prefix),
    ]);
    for state in ["state", "elsewhere"] {
        let state = test.path(state).display().to_string();
        let run = |arguments: &[&str]| test.run(&[arguments, &["--state-dir", &state]].concat());
        assert!(
            run(&["uninstall"])
                .exits_with(0)
                .stdout
                .contains("nothing to do")
        );
        let all = run(&["list", "--all", "--output", "json"])
            .exits_with(0)
            .json();
        let entry = all["deployments"]
            .as_array()
            .unwrap()
            .iter()
            .find(|it| it["deployment"] == test.prefix.as_str());
        assert!(
            entry.is_none_or(|it| it["state"] == "uninstalled"),
            "{all:#}"
        );
        run(&["recover", &test.prefix])
            .exits_with(2)
            .stderr_contains(&["no object on the engine"]);
        // Nothing claims the name of the deployment, but the name of the container is taken.
        run(&["install"])
            .exits_with(1)
            .stderr_contains(&["is taken by container"]);
    }
    assert_eq!(test.containers(), ["PREFIX-web created"]);
}

/// Two users with two state directories and two blueprints, and one name for both deployments.
#[test]
fn deployment_of_another_user_with_the_same_name_is_not_touched() {
    let test = Test::in_memory("two");
    test.blueprint(SLEEPER);
    test.run(&["install"]).exits_with(0);
    fs::create_dir(test.path("b")).unwrap();
    let text = fs::read_to_string(test.path("blueprint.yaml")).unwrap();
    let path = test.write(
        "b/blueprint.yaml",
        &text.replace(&test.name("web"), &test.name("other")),
    );
    let path = path.display().to_string();
    run_elsewhere(&test, &["install", &path])
        .exits_with(1)
        .stderr_contains(&["has no record of", "use another name: -d NAME"]);
    let other_name = format!("{}-b", test.prefix);
    run_elsewhere(&test, &["install", &path, "-d", &other_name]).exits_with(0);
    run_elsewhere(&test, &["uninstall"]).exits_with(1);
    test.run(&["uninstall", &other_name]).exits_with(1);
    assert_eq!(test.containers().len(), 2);
    test.run(&["uninstall"]).exits_with(0);
    run_elsewhere(&test, &["uninstall", &other_name]).exits_with(0);
    assert!(test.containers().is_empty());
}

/// `recover` takes over networks and volumes like containers, by their IDs.
#[test]
fn networks_and_volumes_are_taken_over_and_removed() {
    let test = Test::in_memory("rest");
    test.blueprint(&(SLEEPER.to_owned() + "  net: {type: dockctl.nodes.Network, properties: {name: PREFIX-net}}\n  data: {type: dockctl.nodes.Volume, properties: {name: PREFIX-data}}\n"));
    let text = fs::read_to_string(test.path("blueprint.yaml"))
        .unwrap()
        .replacen("imports:\n", "imports:\n  - plugin:dockctl\n", 1);
    fs::write(test.path("blueprint.yaml"), text).unwrap();
    test.run(&["install"]).exits_with(0);
    let id = test.docker(&[
        "network",
        "inspect",
        "--format",
        "{{.Id}}",
        &test.name("net"),
    ]);
    run_elsewhere(&test, &["uninstall"])
        .exits_with(1)
        .stderr_contains(&["network ", "volume "]);
    let recovered = run_elsewhere(&test, &["recover", &test.prefix, "--output", "json"])
        .exits_with(0)
        .json();
    let net = recovered["instances"]
        .as_array()
        .unwrap()
        .iter()
        .find(|it| it["node"] == "net")
        .unwrap();
    assert_eq!(net["runtime_properties"]["network_id"], id.as_str());
    run_elsewhere(&test, &["uninstall", "--volumes", "--yes"]).exits_with(0);
    let left = |kind: &str| {
        test.docker(&[
            kind,
            "ls",
            "--quiet",
            "--filter",
            &format!("name={}", test.prefix),
        ])
    };
    assert_eq!(
        (left("network"), left("volume")),
        (String::new(), String::new())
    );
    assert!(test.containers().is_empty());
}

#[test]
fn deleted_history_does_not_change_the_state() {
    let test = Test::in_memory("history");
    test.blueprint(SLEEPER);
    for _ in 0..4 {
        test.run(&["install", "--keep-history", "3"]).exits_with(0);
        test.run(&["uninstall", "--keep-history", "3"])
            .exits_with(0);
    }
    test.run(&["install", "--keep-history", "3"]).exits_with(0);
    let executions = test
        .run(&["executions", "--output", "json"])
        .exits_with(0)
        .json();
    let executions = executions["executions"].as_array().unwrap();
    assert_eq!(
        executions
            .iter()
            .map(|it| it["workflow"].as_str().unwrap())
            .collect::<Vec<_>>(),
        ["install", "uninstall", "install"]
    );
    let oldest = executions[0]["id"].as_str().unwrap();
    assert!(
        test.run(&["executions", oldest])
            .exits_with(0)
            .stdout
            .contains("create container")
    );
    assert!(
        test.run(&["install"])
            .exits_with(0)
            .stdout
            .contains("up to date")
    );
}

#[test]
fn damage_in_a_journal_row_is_detected() {
    let test = Test::in_memory("row");
    test.blueprint(SLEEPER);
    test.run(&["install"]).exits_with(0);
    let open = || Connection::open(database(&test)).unwrap();
    for damage in [
        "UPDATE event SET entry = CAST(x'ff80fe' AS TEXT) WHERE seq = 3",
        "DROP TABLE event",
    ] {
        open().execute_batch(damage).unwrap();
        test.run(&["recover", &test.prefix])
            .exits_with(0)
            .stderr_contains(&["journal was kept as", "recovered: 1 instance"]);
        assert!(
            test.run(&["install"])
                .exits_with(0)
                .stdout
                .contains("completed"),
            "install records data that labels do not contain"
        );
    }
    test.run(&["uninstall"]).exits_with(0);
}

#[test]
fn lost_journal_is_detected_before_duplicates_are_created() {
    let test = Test::in_memory("lost");
    test.blueprint(SLEEPER);
    test.run(&["install"]).exits_with(0);
    test.run(&["uninstall"]).exits_with(0);
    test.run(&["install"]).exits_with(0);
    let id = test.inspect("web", "{{.Id}}");
    fs::write(database(&test), "").unwrap();
    for ending in ["-wal", "-shm"] {
        let _ = fs::remove_file(format!("{}{ending}", database(&test).display()));
    }
    test.run(&["install"])
        .exits_with(1)
        .stderr_contains(&["has no record of", "dockctl recover"]);
    test.run(&["resume"])
        .exits_with(2)
        .stderr_contains(&["dockctl recover"]);
    test.run(&["recover"]).exits_with(0);
    test.run(&["install"]).exits_with(0);
    assert_eq!(test.inspect("web", "{{.Id}}"), id);
    test.run(&["uninstall"]).exits_with(0);
}

/// A type without a delete operation: `uninstall --from-labels` removes its container and does not
/// just report it as deleted.
#[test]
fn uninstall_from_labels_removes_containers_without_a_delete_operation() {
    let test = Test::in_memory("no-delete");
    let types = "node_types:
  made:
    derived_from: cloudify.nodes.Root
    properties: {name: {default: ''}, image: {default: {}}}
    interfaces:
      cloudify.interfaces.lifecycle:
        create: {implementation: docker.docker_plugin.tasks.create_container, inputs: {params: {default: {command: sleep 1000}}}}
        start: {implementation: docker.docker_plugin.tasks.start, inputs: {}}
node_templates:
  web: {type: made, properties: {name: PREFIX-web, image: {src: TARBALL, repository: PREFIX-img}}}
";
    test.blueprint(types);
    test.run(&["install"]).exits_with(0);
    // A blueprint may intend to keep the container: uninstall reports it.
    test.run(&["uninstall"]).exits_with(0).stderr_contains(&[
        "no operation of web_",
        "container `PREFIX-web` is kept"
            .replace("PREFIX", &test.prefix)
            .as_str(),
    ]);
    assert_eq!(test.containers().len(), 1);
    test.docker(&["rm", "--force", &test.name("web")]);
    test.run(&["install"]).exits_with(0);
    run_elsewhere(&test, &["uninstall"]).exits_with(1);
    let uninstalled = run_elsewhere(&test, &["uninstall", "--from-labels"]).exits_with(0);
    assert!(
        uninstalled.stdout.contains("deleted"),
        "{}",
        uninstalled.stdout
    );
    assert!(test.containers().is_empty());
}

/// Blueprint with declarations that the tests edit later, a secret and a sensitive input.
const SHOP: &str = "
metadata: {dockctl: {sensitive: [password]}}
inputs:
  password: {}
node_templates:
  net: {type: dockctl.nodes.Network, properties: {name: PREFIX-net}}
  data: {type: dockctl.nodes.Volume, properties: {name: PREFIX-data}}
  web:
    type: cloudify.docker.Container
    properties: {name: PREFIX-web, image: {src: TARBALL, repository: PREFIX-img}}
    interfaces:
      cloudify.interfaces.lifecycle:
        create:
          inputs:
            params:
              command: sleep 1000
              user: '0'
              environment: {MODE: calm, TOKEN: {get_secret: token}, PASSWORD: {get_input: password}}
              labels: {team: red}
              host_config: {restart_policy: {Name: on-failure}, mem_limit: 64m, dns: [10.0.0.1]}
        stop: {inputs: {params: {timeout: 0}}}
    relationships:
      - {type: dockctl.relationships.attached_to_network, target: net, properties: {aliases: [shop]}}
      - {type: dockctl.relationships.mounts, target: data, properties: {target: /data}}
";

/// A CI runner without state: each job can start with a new state directory.
struct Runner<'t> {
    test: &'t Test,
    runs: std::cell::Cell<u32>,
    secret: std::cell::Cell<&'static str>,
}

impl Runner<'_> {
    fn write(&self, text: &str) {
        self.test.blueprint(text);
        let text = fs::read_to_string(self.test.path("blueprint.yaml")).unwrap();
        let text = text.replacen("imports:\n", "imports:\n  - plugin:dockctl\n", 1);
        fs::write(
            self.test.path("blueprint.yaml"),
            text.replace("cloudify_dsl_1_2", "cloudify_dsl_1_3"),
        )
        .unwrap();
    }

    fn new_state(&self) {
        self.runs.set(self.runs.get() + 1);
    }

    fn run(&self, arguments: &[&str]) -> Run {
        let state = self
            .test
            .path(&format!("runner{}", self.runs.get()))
            .display()
            .to_string();
        let mut command = self
            .test
            .command(&[arguments, &["--state-dir", &state]].concat());
        Run::from_output(
            &command
                .env("DOCKCTL_SECRET_TOKEN", self.secret.get())
                .output()
                .expect("start dockctl"),
        )
    }

    /// Recovers, plans and updates like a CI pipeline. Returns the number of changed instances.
    fn converge(&self) -> u64 {
        self.new_state();
        self.run(&["recover", &self.test.prefix]).exits_with(0);
        let input = ["-i", "password=paper-boat"];
        let plan = self
            .run(
                &[
                    &["plan", "--out", "plan.json", "--output", "json"],
                    &input[..],
                ]
                .concat(),
            )
            .exits_with(0)
            .json();
        assert_eq!(plan["not_compared"], serde_json::json!({}), "{plan:#}");
        self.run(&[&["update", "--plan", "plan.json", "--yes"], &input[..]].concat())
            .exits_with(0);
        plan["instances"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|it| it["effect"] != "none")
            .count() as u64
    }
}

fn assert_each_edit_is_applied_once(runner: &Runner<'_>) {
    let test = runner.test;
    for (before, after, shows) in [
        ("MODE: calm", "MODE: wild", "{{.Config.Env}}"),
        (
            "command: sleep 1000",
            "command: sleep 1001",
            "{{.Config.Cmd}}",
        ),
        ("user: '0'", "user: '7'", "{{.Config.User}}"),
        ("team: red", "team: blue", "{{.Config.Labels.team}}"),
        ("dns: [10.0.0.1]", "dns: [10.0.0.2]", "{{.HostConfig.Dns}}"),
        (
            "target: /data}",
            "target: /other}",
            "{{.HostConfig.Mounts}}",
        ),
        (
            "aliases: [shop]",
            "aliases: [store]",
            "{{json .NetworkSettings.Networks}}",
        ),
        ("mem_limit: 64m", "mem_limit: 96m", "{{.HostConfig.Memory}}"),
    ] {
        let old_value = test.inspect("web", shows);
        runner.write(&SHOP.replace(before, after));
        assert_eq!(runner.converge(), 1, "{after}");
        assert_ne!(test.inspect("web", shows), old_value, "{after}");
        runner.write(SHOP);
        assert_eq!(runner.converge(), 1, "{after} is undone");
    }
    assert_eq!(runner.converge(), 0, "all edits are undone");
}

fn assert_other_changes_are_detected(runner: &Runner<'_>) {
    let test = runner.test;
    // A new value of a secret and a changed network under the container are also detected.
    runner.secret.set("paper-horse");
    assert_eq!(runner.converge(), 1);
    assert!(
        test.inspect("web", "{{.Config.Env}}")
            .contains("TOKEN=paper-horse")
    );
    let network = || {
        test.docker(&[
            "network",
            "inspect",
            "--format",
            "{{.Id}} {{.Internal}}",
            &test.name("net"),
        ])
    };
    let old_value = network();
    runner.write(&SHOP.replace("name: PREFIX-net", "name: PREFIX-net, internal: true"));
    assert_eq!(runner.converge(), 2);
    assert!(network().ends_with("true") && network() != old_value);
    assert_eq!(runner.converge(), 0);
    // A volume is never recreated, because its data would be lost.
    runner.write(
        &SHOP
            .replace("name: PREFIX-data", "name: PREFIX-data, labels: {a: b}")
            .replace("name: PREFIX-net", "name: PREFIX-net, internal: true"),
    );
    runner.new_state();
    runner.run(&["recover", &test.prefix]).exits_with(0);
    runner
        .run(&["update", "--yes", "-i", "password=paper-boat"])
        .exits_with(3)
        .stderr_contains(&["volumes cannot be changed"]);
}

#[test]
fn runner_without_state_changes_only_edited_nodes() {
    let test = Test::new("runner");
    let runner = Runner {
        test: &test,
        runs: std::cell::Cell::new(0),
        secret: std::cell::Cell::new("glass-horse"),
    };
    runner.write(SHOP);
    runner
        .run(&["install", "-i", "password=paper-boat"])
        .exits_with(0);
    let id = || test.inspect("web", "{{.Id}}");
    let first = id();
    for _ in 0..2 {
        assert_eq!(runner.converge(), 0, "nothing was edited");
        assert_eq!(id(), first);
    }
    assert_each_edit_is_applied_once(&runner);
    assert_other_changes_are_detected(&runner);
    // The last job starts in a new state directory, too.
    runner.new_state();
    runner
        .run(&["update", "--plan", "plan.json", "-i", "password=paper-boat"])
        .exits_with(2)
        .stderr_contains(&["dockctl recover"]);
    runner
        .run(&["uninstall", "--volumes", "--yes"])
        .exits_with(1)
        .stderr_contains(&["--from-labels"]);
    runner.run(&["recover", &test.prefix]).exits_with(0);
    runner
        .run(&["uninstall", "--volumes", "--yes"])
        .exits_with(0);
    assert!(test.containers().is_empty());
    assert_eq!(
        test.docker(&[
            "volume",
            "ls",
            "-q",
            "--filter",
            &format!("name={}", test.prefix)
        ]),
        ""
    );
}
