//! Podman as the engine, through its Docker-compatible socket.

use crate::{
    docker::watch::assert_watches,
    support::{Run, Test, eventually},
};
use std::{
    fs,
    os::unix::process::CommandExt as _,
    process::{Child, Command, Stdio},
};

/// A Podman service for one test, with its own directories and network namespace, isolated from
/// the rest of this machine.
struct Podman {
    process: Child,
    socket: String,
    global: Vec<String>,
}

impl Podman {
    fn start(test: &Test) -> Self {
        let at = |name: &str| test.path(name).display().to_string();
        // Some test environments do not permit raising resource limits.
        let config = test.write(
            "containers.conf",
            "[containers]\ndefault_ulimits = [\"nofile=1024:1024\", \"nproc=4096:4096\"]\n",
        );
        let socket = format!("unix://{}", at("podman.sock"));
        let directories = [
            ("--root", at("root")),
            ("--runroot", at("run")),
            ("--tmpdir", at("tmp")),
            ("--network-config-dir", at("networks")),
        ];
        let mut global: Vec<String> = directories
            .into_iter()
            .flat_map(|(flag, directory)| [flag.to_owned(), directory])
            .collect();
        global.extend(
            [
                "--storage-driver",
                "vfs",
                "--cgroup-manager",
                "cgroupfs",
                "--events-backend",
                "file",
            ]
            .map(str::to_owned),
        );
        let log = fs::File::create(test.path("podman.log")).unwrap();
        let process = Command::new("unshare")
            .args(["--net", "podman"])
            .args(&global)
            .args(["system", "service", "--time=0", &socket])
            .env("CONTAINERS_CONF", config)
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("start podman; scripts/podman installs it");
        let podman = Self {
            process,
            socket,
            global,
        };
        eventually("podman", || {
            let version = Command::new("docker")
                .args(["-H", &podman.socket, "version"])
                .output()
                .ok()?;
            version.status.success().then_some(())
        });
        podman
    }

    fn docker(&self, arguments: &[&str]) -> String {
        crate::support::docker(&[&["-H", &self.socket], arguments].concat())
    }

    fn dockctl(&self, test: &Test, arguments: &[&str]) -> Run {
        let mut command = test.command(arguments);
        command.env("DOCKER_HOST", &self.socket);
        Run::from_output(&command.output().expect("start dockctl"))
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        let _ = Command::new("podman")
            .args(&self.global)
            .args(["rm", "-fa", "-t", "0"])
            .output();
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Writes a blueprint with one container that is not connected to a network.
fn blueprint(test: &Test, image: &str, params: &str, start: &str) {
    let params = format!("host_config: {{network_mode: none}}, {params}");
    blueprint_with(test, image, &params, start);
}

fn blueprint_with(test: &Test, image: &str, params: &str, start: &str) {
    test.blueprint(&format!(
        "
node_templates:
  web:
    type: cloudify.docker.Container
    properties: {{name: PREFIX-web, image: {image}}}
    interfaces:
      cloudify.interfaces.lifecycle:
        create: {{inputs: {{params: {{{params}}}}}}}
        start: {{inputs: {{{start}}}}}
        stop: {{inputs: {{params: {{timeout: 0}}}}}}
"
    ));
}

const DEMO: &str = "{src: TARBALL, repository: pod-demo}";

/// Installs the blueprint, recovers it in an empty state directory, and uninstalls it.
fn assert_lifecycle(podman: &Podman, test: &Test) {
    let run = |arguments: &[&str]| podman.dockctl(test, arguments);
    run(&["install"]).exits_with(0);
    run(&["install"]).exits_with(0);
    run(&["plan", "--exit-code"]).exits_with(0);
    run(&["status", "--exit-code"]).exits_with(0);
    // A runner without state compares the blueprint with the objects on this engine.
    let state = test.path("elsewhere").display().to_string();
    let elsewhere = |arguments: &[&str]| run(&[arguments, &["--state-dir", &state]].concat());
    elsewhere(&["recover", &test.prefix]).exits_with(0);
    elsewhere(&["plan", "--exit-code"]).exits_with(0);
    fs::remove_dir_all(&state).unwrap();
    run(&["uninstall"]).exits_with(0);
    assert_eq!(podman.docker(&["ps", "-aq"]), "");
}

#[test]
fn podman_works_like_docker() {
    let test = Test::new("podman");
    let podman = Podman::start(&test);
    let run = |arguments: &[&str]| podman.dockctl(&test, arguments);
    let assert_lifecycle = || assert_lifecycle(&podman, &test);
    blueprint(
        &test,
        DEMO,
        "command: sleep 1000, environment: {A: 1}, labels: {b: c}",
        "processes_to_wait_for: [sleep 1000]",
    );
    assert_lifecycle();
    blueprint(
        &test,
        DEMO,
        "command: 'sh -c \"echo done; exit 3\"'",
        "wait_for: [{exited: 3, interval: 0.1}, {log: ^done}]",
    );
    assert_lifecycle();
    blueprint(
        &test,
        DEMO,
        "command: sleep 1000, healthcheck: {test: 'true', interval: 1s}",
        "wait_for: {healthy: true, interval: 0.2, timeout: 60}",
    );
    assert_lifecycle();

    // Podman's error messages differ from Docker's; dockctl understands both.
    blueprint(
        &test,
        DEMO,
        "command: 'sh -c \"echo bad luck; exit 5\"'",
        "processes_to_wait_for: [httpd]",
    );
    run(&["install"]).exits_with(1).stderr_contains(&[
        "exited with code 5 while waiting for process httpd",
        "| bad luck",
    ]);
    run(&["uninstall"]).exits_with(0);
    podman.docker(&[
        "create",
        "--name",
        &test.name("web"),
        "pod-demo",
        "sleep",
        "1000",
    ]);
    blueprint(&test, DEMO, "command: sleep 1000", "");
    run(&["install"])
        .exits_with(1)
        .stderr_contains(&["is taken by container", "use_external_resource: true"]);
    run(&["uninstall"]).exits_with(0);
    podman.docker(&["rm", "-f", &test.name("web")]);

    // A saved image in a compression format that Podman does not load, under another name.
    let saved = test.path("saved.tar").display().to_string();
    podman.docker(&["save", "-o", &saved, "pod-demo"]);
    assert!(Command::new("gzip").arg(&saved).status().unwrap().success());
    blueprint(
        &test,
        "{src: saved.tar.gz, repository: pod-other, tag: '2'}",
        "command: sleep 1000",
        "",
    );
    assert_lifecycle();
}

#[test]
fn watch_on_podman_restarts_dead_containers_and_ignores_stopped_ones() {
    let test = Test::new("podwatch");
    let podman = Podman::start(&test);
    blueprint(&test, DEMO, "command: sleep 1000", "retry_interval: 0.1");
    podman.dockctl(&test, &["install"]).exits_with(0);
    let mut watch = test.command(&["heal", "--watch", "--cool-down", "0.1"]);
    watch.env("DOCKER_HOST", &podman.socket);
    assert_watches(&test, watch, &|arguments| podman.docker(arguments));
}

#[test]
fn plan_on_podman_refuses_links_before_anything_begins() {
    let test = Test::new("podlinks");
    let podman = Podman::start(&test);
    let params = "command: sleep 1000, host_config: {links: {other: alias}}";
    blueprint_with(&test, DEMO, params, "");
    let plan = podman.dockctl(&test, &["plan"]);
    let shown = format!("{}{}", plan.stdout, plan.stderr);
    assert!(shown.contains("Podman does not support `links`"), "{shown}");
    podman
        .dockctl(&test, &["install"])
        .exits_with(3)
        .stderr_contains(&["Podman does not support `links`", "nothing was done"]);
    assert_eq!(podman.docker(&["ps", "-aq"]), "");
}

#[test]
fn refusal_of_podman_is_final() {
    let test = Test::new("podfinal");
    let podman = Podman::start(&test);
    let params = "command: sleep 1000, host_config: {network_mode: none, cap_add: [NO_SUCH]}";
    blueprint_with(&test, DEMO, params, "");
    let run = podman.dockctl(&test, &["install"]).exits_with(1);
    assert!(!run.stderr.contains("retrying"), "{}", run.stderr);
    run.stderr_contains(&["creating container", "apability"]);
}
