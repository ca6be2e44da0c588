//! Adoption of existing containers.

use crate::support::Test;
use serde_json::{Value as Json, json};
use std::{fs, os::unix::fs::PermissionsExt as _};

const ADOPTED: &str = "
node_templates:
  db:
    type: cloudify.docker.Container
    properties: {name: PREFIX-db, use_external_resource: true}
    interfaces:
      cloudify.interfaces.lifecycle:
        stop: {inputs: {params: {timeout: 0}}}
";

#[test]
fn running_adopted_container_is_never_changed() {
    let test = Test::new("running");
    test.create_foreign("db", &["sleep", "1000"]);
    test.docker(&["start", &test.name("db")]);
    let before = test.inspect(
        "db",
        "{{.Id}} {{.State.StartedAt}} {{.HostConfig}} {{.Config}}",
    );
    test.blueprint(ADOPTED);
    test.run(&["install"]).exits_with(0);
    let status = test
        .run(&["status", "--output", "json"])
        .exits_with(0)
        .json();
    assert_eq!(
        (
            &status["instances"][0]["adopted"],
            &status["instances"][0]["objects"][0]["state"]
        ),
        (&json!(true), &json!("running"))
    );
    test.run(&["uninstall"]).exits_with(0);
    assert_eq!(
        test.inspect(
            "db",
            "{{.Id}} {{.State.StartedAt}} {{.HostConfig}} {{.Config}}"
        ),
        before
    );
    assert_eq!(test.containers(), ["PREFIX-db running"]);
}

#[test]
fn stopped_adopted_container_is_started_and_stopped_on_uninstall() {
    let test = Test::new("stopped");
    test.create_foreign("db", &["sleep", "1000"]);
    // A leading slash, as in engine responses, is optional.
    test.blueprint(&ADOPTED.replace("name: PREFIX-db", "name: /PREFIX-db"));
    test.run(&["install"]).exits_with(0);
    assert_eq!(test.containers(), ["PREFIX-db running"]);
    // A second install preserves the recorded original state, even after a user stopped the
    // container.
    test.docker(&["stop", "-t", "0", &test.name("db")]);
    test.run(&["install"]).exits_with(0);
    assert_eq!(test.containers(), ["PREFIX-db running"]);
    test.run(&["uninstall"]).exits_with(0);
    assert_eq!(test.containers(), ["PREFIX-db exited"]);
}

#[test]
fn paused_adopted_container_is_paused_on_uninstall() {
    let test = Test::new("paused");
    test.create_foreign("db", &["sleep", "1000"]);
    test.docker(&["start", &test.name("db")]);
    test.docker(&["pause", &test.name("db")]);
    test.blueprint(ADOPTED);
    test.run(&["install"]).exits_with(0);
    assert_eq!(test.containers(), ["PREFIX-db running"]);
    test.run(&["uninstall"]).exits_with(0);
    assert_eq!(test.containers(), ["PREFIX-db paused"]);
    test.docker(&["unpause", &test.name("db")]);
}

#[test]
fn only_the_exact_name_is_adopted() {
    let test = Test::in_memory("exact");
    test.create_foreign("db-2", &["sleep", "1000"]);
    test.blueprint(ADOPTED);
    let failed = test.run(&["install"]).exits_with(1);
    failed.stderr_contains(&[
        "cannot adopt container",
        "it does not exist",
        "blueprint.yaml:9:24",
    ]);
    assert_eq!(test.containers(), ["PREFIX-db-2 created"]);
    test.run(&["uninstall"]).exits_with(0);
    assert_eq!(test.containers(), ["PREFIX-db-2 created"]);
}

#[test]
fn uninstall_accepts_an_adopted_container_that_was_removed() {
    let test = Test::in_memory("removed");
    test.create_foreign("db", &["sleep", "1000"]);
    test.blueprint(ADOPTED);
    test.run(&["install"]).exits_with(0);
    test.docker(&["rm", "-f", &test.name("db")]);
    test.run(&["uninstall"]).exits_with(0);
    assert!(test.containers().is_empty());
}

#[test]
fn parameters_of_an_adopted_container_cause_a_warning() {
    let test = Test::in_memory("warned");
    test.blueprint(&ADOPTED.replace(
        "        stop:",
        "        create: {inputs: {params: {command: sleep 1}}}\n        stop:",
    ));
    test.run(&["validate"])
        .exits_with(0)
        .stderr_contains(&["`command` has no effect: an adopted container is never changed"]);
    test.run(&["validate", "--strict"]).exits_with(3);
}

#[test]
fn container_can_be_adopted_by_id() {
    let test = Test::in_memory("id");
    let id = test.create_foreign("db", &["sleep", "1000"]);
    test.blueprint(&ADOPTED.replace("name: PREFIX-db", &format!("name: {id}")));
    test.run(&["install"]).exits_with(0);
    test.run(&["status", "--exit-code"]).exits_with(0);
    test.run(&["plan", "--exit-code"]).exits_with(0);
    test.run(&["uninstall"]).exits_with(0);
    assert_eq!(test.containers(), ["PREFIX-db exited"]);
}

#[test]
fn replaced_container_is_adopted_again() {
    let test = Test::in_memory("replaced");
    test.create_foreign("db", &["sleep", "1000"]);
    test.docker(&["start", &test.name("db")]);
    test.blueprint(ADOPTED);
    test.run(&["install"]).exits_with(0);
    test.docker(&["rm", "-f", &test.name("db")]);
    let id = test.create_foreign("db", &["sleep", "2000"]);
    let status = test
        .run(&["status", "--exit-code", "--output", "json"])
        .exits_with(6)
        .json();
    assert_eq!(
        status["instances"][0]["drift"],
        json!(["stopped", "replaced"])
    );
    let installed = test
        .run(&["install", "--output", "json"])
        .exits_with(0)
        .json();
    assert_eq!(
        installed["instances"][0]["runtime_properties"]["container_id"],
        id
    );
    test.run(&["uninstall"]).exits_with(0);
    assert_eq!(test.containers(), ["PREFIX-db exited"]);
}

#[test]
fn uninstall_unpauses_a_container_that_was_running_at_adoption() {
    let test = Test::new("resumed");
    test.create_foreign("db", &["sleep", "1000"]);
    test.docker(&["start", &test.name("db")]);
    test.blueprint(ADOPTED);
    test.run(&["install"]).exits_with(0);
    test.docker(&["pause", &test.name("db")]);
    test.run(&["uninstall"]).exits_with(0);
    assert_eq!(test.containers(), ["PREFIX-db running"]);
}

#[test]
fn adopted_container_must_have_one_instance() {
    let test = Test::in_memory("one");
    test.blueprint(&(ADOPTED.to_owned() + "    instances: {deploy: 2}\n"));
    test.run(&["validate"])
        .exits_with(3)
        .stderr_contains(&["a node that adopts a container must have exactly one instance"]);
}

/// Returns the configuration of a container, without values that the engine chooses each time.
fn configuration(test: &Test, name: &str) -> Json {
    let all: Json = serde_json::from_str(&test.docker(&["inspect", &test.name(name)])).unwrap();
    let mut it = all[0].clone();
    let id: String = it["Id"].as_str().unwrap().chars().take(12).collect();
    let mut networks = json!({});
    for (network_name, network) in it["NetworkSettings"]["Networks"].as_object().unwrap() {
        // The engine adds the ID and the host name, which dockctl sets to the container name.
        let unadopted = |alias: &&Json| **alias != json!(id) && **alias != json!(test.name(name));
        let aliases: Vec<&Json> = network["Aliases"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(unadopted)
            .collect();
        networks[network_name] =
            json!({ "Aliases": aliases, "IPAMConfig": network["IPAMConfig"]["IPv4Address"] });
    }
    let shares_network = it["HostConfig"]["NetworkMode"]
        .as_str()
        .unwrap()
        .starts_with("container:");
    let (config, host) = (&mut it["Config"], json!(null));
    config["Labels"]
        .as_object_mut()
        .unwrap()
        .retain(|label, _| !label.starts_with("dockctl."));
    let hostname = config["Hostname"].as_str().unwrap().to_owned();
    // By default, the Docker CLI leaves the host name to the engine and dockctl uses the container
    // name. In a shared network, it is the host name of the other container.
    if shares_network || hostname == id || hostname == test.name(name) {
        config["Hostname"] = host;
    }
    // Both tools also expose the published ports.
    let mut exposed: Vec<String> = config["ExposedPorts"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(port, _)| port.clone())
        .collect();
    exposed.sort();
    let config = json!({
        "Env": config["Env"], "Cmd": config["Cmd"], "Entrypoint": config["Entrypoint"].as_array().cloned().unwrap_or_default(), "Labels": config["Labels"], "Hostname": config["Hostname"],
        "User": config["User"], "WorkingDir": config["WorkingDir"], "Volumes": config["Volumes"], "Tty": config["Tty"], "OpenStdin": config["OpenStdin"],
        "Healthcheck": config["Healthcheck"], "StopSignal": config["StopSignal"], "StopTimeout": config["StopTimeout"], "Exposed": exposed,
    });
    let mut host = it["HostConfig"].clone();
    // The Docker CLI sends `no` where other clients send nothing.
    if host["RestartPolicy"]["Name"] == "no" {
        host["RestartPolicy"]["Name"] = "".into();
    }
    let nothing = |value: &Json| {
        value.is_null() || *value == json!([]) || *value == json!({}) || *value == json!("")
    };
    host.as_object_mut()
        .unwrap()
        .retain(|field, value| !nothing(value) && field != "ConsoleSize" && field != "NetworkMode");
    json!({ "image": it["Image"], "config": config, "host": host, "networks": networks })
}

fn split_words(text: &str) -> Vec<&str> {
    text.split(' ').collect()
}

/// Runs a container that clears the entrypoint and a variable of its image.
fn run_without_entrypoint(test: &Test) {
    let (rich, bare, tarball) = (
        test.name("rich"),
        test.name("bare"),
        crate::support::tarball().display().to_string(),
    );
    test.docker(&[
        "import",
        "-c",
        "ENTRYPOINT [\"sleep\"]",
        "-c",
        "ENV GONE=1",
        &tarball,
        &rich,
    ]);
    test.docker(&[
        "run",
        "-d",
        "--name",
        &bare,
        "--entrypoint",
        "",
        "-e",
        "GONE",
        &rich,
        "sleep",
        "1000",
    ]);
}

const SLEEP: [&str; 2] = ["sleep", "1000"];

/// Names and `docker run` options of sleeping containers.
const SLEEPERS: [(&str, &str); 8] = [
    (
        "limits",
        "-m 64m --cpus 0.5 --pids-limit 50 --ulimit nofile=100:200 --shm-size 8m \
         --oom-score-adj 10",
    ),
    ("ports", "-p 127.0.0.1::80 -p 81/udp --expose 90"),
    (
        "mounts",
        "-v PREFIX-vol:/named -v /tmp:/host:ro -v /anonymous --tmpfs /run:size=1m \
         --mount type=bind,src=/tmp,dst=/m,readonly",
    ),
    (
        "health",
        "--health-cmd true --health-interval 1h --restart on-failure:3 --stop-timeout 1 \
         --stop-signal KILL --init",
    ),
    (
        "caps",
        "--cap-add NET_ADMIN --cap-drop CHOWN --security-opt no-new-privileges \
         --sysctl net.ipv4.ip_forward=1 --add-host x:1.2.3.4 \
         --dns 1.1.1.1 --log-opt max-size=1m --read-only",
    ),
    ("net", "--network PREFIX-back --network-alias db"),
    ("shared", "--network container:PREFIX-plain -it"),
    ("linked", "--link PREFIX-plain:other"),
];

/// Creates containers with the Docker CLI and returns their names.
fn create_containers(test: &Test) -> Vec<&'static str> {
    let image = test.import_image();
    test.docker(&["network", "create", &test.name("back")]);
    let run = |name: &str, options: &[&str], command: &[&str]| {
        let name = test.name(name);
        test.docker(&[&["run", "-d", "--name", &name], options, &[&image], command].concat());
    };
    let run_sleeper = |name: &str, options: &str| {
        let options = options.replace("PREFIX", &test.prefix);
        run(name, &split_words(&options), &SLEEP);
    };
    run("plain", &[], &SLEEP);
    run(
        "env",
        &[
            "-e",
            "A=yes",
            "-e",
            "B=22:22 'x' \"y\" #",
            "-l",
            "team=a",
            "-w",
            "/tmp",
            "-u",
            "0:0",
            "-h",
            "special",
        ],
        &["sh", "-c", "sleep 1000 # $A"],
    );
    for (name, options) in SLEEPERS {
        run_sleeper(name, options);
    }
    run("entry", &["--entrypoint", "sleep"], &["1000"]);
    run_without_entrypoint(test);
    run_sleeper(
        "volumes",
        "--volumes-from PREFIX-mounts --ipc host --group-add 99",
    );
    vec![
        "plain", "env", "limits", "ports", "mounts", "health", "caps", "net", "shared", "linked",
        "entry", "bare", "volumes",
    ]
}

#[test]
fn generated_blueprint_adopts_and_recreates_equal_containers() {
    let test = Test::new("hand");
    let names = create_containers(&test);
    let before: Vec<Json> = names
        .iter()
        .map(|name| configuration(&test, name))
        .collect();
    let names_on_engine: Vec<String> = names.iter().map(|name| test.name(name)).collect();
    let mut arguments: Vec<&str> = vec!["adopt", "--out", "blueprint.yaml"];
    arguments.extend(names_on_engine.iter().map(String::as_str));
    let run = test.run(&arguments).exits_with(0);
    assert!(
        run.stdout.contains(
            "13 containers written to blueprint.yaml\nto adopt them, run: dockctl install blueprint.yaml"
        ),
        "{}",
        run.stdout
    );
    let path = test.path("blueprint.yaml");
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
    test.run(&arguments).exits_with(2).stderr_contains(&[
        "blueprint.yaml already exists",
        "to overwrite it, add --yes",
    ]);

    // Adoption changes nothing, and does not warn about parameters that match the container.
    test.run(&["validate", "--strict"]).exits_with(0);
    test.run(&["install"]).exits_with(0);
    test.run(&["plan", "--exit-code"]).exits_with(0);
    test.run(&["uninstall"]).exits_with(0);
    let after: Vec<Json> = names
        .iter()
        .map(|name| configuration(&test, name))
        .collect();
    assert_eq!(before, after);

    // Without `use_external_resource`, the same blueprint creates equal containers.
    for name in names_on_engine.iter().rev() {
        test.docker(&["rm", "-fv", name]);
    }
    let text = fs::read_to_string(&path).unwrap();
    let (head, networks) = text
        .split_once(&format!(
            "  {}:\n    type: dockctl.nodes.Network",
            test.name("back")
        ))
        .unwrap();
    let unadopted = head.replace("      use_external_resource: true\n", "");
    fs::write(
        &path,
        format!(
            "{unadopted}  {}:\n    type: dockctl.nodes.Network{networks}",
            test.name("back")
        ),
    )
    .unwrap();
    test.run(&["install"]).exits_with(0);
    for (name, before) in names.iter().zip(&before) {
        assert_eq!(&configuration(&test, name), before, "{name}:\n{text}");
    }
    test.run(&["plan", "--exit-code"]).exits_with(0);
    test.run(&["uninstall"]).exits_with(0);
}

#[test]
fn adopt_filters_containers_and_skips_owned_ones() {
    let test = Test::in_memory("filter");
    let image = test.import_image();
    let label = format!("team={}", test.prefix);
    for name in ["a", "b"] {
        test.docker(&[
            "create",
            "--name",
            &test.name(name),
            "-l",
            &label,
            &image,
            "sleep",
            "1",
        ]);
    }
    test.docker(&[
        "create",
        "--name",
        &test.name("c"),
        "-l",
        &label,
        "-l",
        "dockctl.deployment=other",
        &image,
        "sleep",
        "1",
    ]);
    let filter = format!("label={label}");
    let run = test
        .run(&["adopt", "--all", "--filter", &filter, "--output", "json"])
        .exits_with(0);
    let mut nodes: Vec<String> = run.json()["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|name| name.as_str().unwrap().to_owned())
        .collect();
    nodes.sort();
    assert_eq!(nodes, [test.name("a"), test.name("b")]);
    run.stderr_contains(&[
        "belongs to the deployment `other`",
        "-a` is not running; install will start it",
    ]);
    test.run(&["adopt", &test.name("absent")])
        .exits_with(1)
        .stderr_contains(&["does not exist", "docker ps -a"]);
    test.run(&["adopt"])
        .exits_with(2)
        .stderr_contains(&["no container given"]);
    test.run(&["adopt", "--all", "--filter", "nonsense"])
        .exits_with(2)
        .stderr_contains(&["use KEY=VALUE"]);
}

#[test]
fn adoption_keeps_every_network_and_names_the_labels_that_it_leaves_out() {
    let test = Test::new("second");
    let back = test.name("back");
    test.docker(&["network", "create", &back]);
    let name = test.name("web");
    let image = test.import_image();
    test.docker(&[
        "create",
        "--name",
        &name,
        "--network",
        &back,
        "--label",
        "get_secret=x",
        "--label",
        "team=a",
        &image,
        "sleep",
        "1000",
    ]);
    test.docker(&["network", "connect", "bridge", &name]);
    let adopt = test.run(&[
        "adopt",
        &name,
        "--out",
        "blueprint.yaml",
        "--output",
        "json",
    ]);
    let adopt = adopt
        .exits_with(0)
        .stderr_contains(&["note: the label `get_secret`"]);
    let left_out = adopt.json()["left_out"][0].to_string();
    assert!(left_out.contains("the label `get_secret`"), "{left_out}");
    let text = fs::read_to_string(test.path("blueprint.yaml")).unwrap();
    assert!(
        text.contains("# the label `get_secret`") && text.contains("team: a"),
        "{text}"
    );
    test.run(&["install"]).exits_with(0);
    test.run(&["plan", "--exit-code"]).exits_with(0);
    test.run(&["uninstall"]).exits_with(0);
    // The same blueprint creates a container on both networks.
    test.docker(&["rm", "-f", &name]);
    let own = text.replacen("      use_external_resource: true\n", "", 1);
    fs::write(test.path("blueprint.yaml"), own).unwrap();
    test.run(&["install"]).exits_with(0);
    let networks = test.inspect(
        "web",
        "{{range $name, $_ := .NetworkSettings.Networks}}{{$name}} {{end}}",
    );
    let mut networks: Vec<&str> = networks.split_whitespace().collect();
    networks.sort_unstable();
    assert_eq!(networks, ["bridge", &back]);
    test.run(&["plan", "--exit-code"]).exits_with(0);
    test.run(&["uninstall"]).exits_with(0);
    test.docker(&["network", "rm", &back]);
}
