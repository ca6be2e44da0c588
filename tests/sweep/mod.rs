//! Shared parts of the crash and fault sweeps: a blueprint, its expected state on an engine, and a
//! proxy in front of the engine.

#[allow(dead_code, reason = "not every sweep uses it")]
pub(crate) mod next_command;
#[allow(dead_code, reason = "each sweep uses other faults")]
pub(crate) mod proxy;

use crate::support::{Run, Test, eventually};
use proxy::{Fault, Proxy};
use serde_json::{Value as Json, json};
use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// A diamond of four containers on a network with a volume, a container that depends on its top,
/// and a job that exits. The job writes a line each time it runs.
const BLUEPRINT: &str = "tosca_definitions_version: cloudify_dsl_1_2
imports:
  - http://www.getcloudify.org/spec/cloudify/3.3.1/types.yaml
  - http://www.getcloudify.org/spec/docker-plugin/1.3.2/plugin.yaml
  - plugin:dockctl
dsl_definitions:
  image: &image {src: TARBALL}
  sleep: &sleep
    cloudify.interfaces.lifecycle:
      create: {inputs: {params: {command: [sleep, '100000'], stop_timeout: 0}}}
node_templates:
  net:
    type: dockctl.nodes.Network
    properties: {name: PREFIX-net}
  data:
    type: dockctl.nodes.Volume
    properties: {name: PREFIX-data, keep: false}
  base:
    type: cloudify.docker.Container
    properties: {name: PREFIX-base, image: *image}
    interfaces: *sleep
    relationships:
      - {type: dockctl.relationships.attached_to_network, target: net, properties: {aliases: [base]}}
      - {type: dockctl.relationships.mounts, target: data, properties: {target: /data}}
  left:
    type: cloudify.docker.Container
    properties: {name: PREFIX-left, image: *image}
    interfaces: *sleep
    relationships: [{type: cloudify.relationships.connected_to, target: base}]
  right:
    type: cloudify.docker.Container
    properties: {name: PREFIX-right, image: *image}
    interfaces:
      cloudify.interfaces.lifecycle:
        create: {inputs: {params: {command: [sleep, '100000'], stop_timeout: 0}}}
        start: {inputs: {processes_to_wait_for: [sleep], retry_interval: 0.1}}
    relationships: [{type: cloudify.relationships.connected_to, target: base}]
  top:
    type: cloudify.docker.Container
    properties: {name: PREFIX-top, image: *image}
    interfaces: *sleep
    relationships:
      - {type: cloudify.relationships.connected_to, target: left}
      - {type: cloudify.relationships.connected_to, target: right}
  tail:
    type: cloudify.docker.Container
    properties: {name: PREFIX-tail, image: *image}
    interfaces: *sleep
    relationships: [{type: cloudify.relationships.connected_to, target: top}]
  job:
    type: cloudify.docker.Container
    properties: {name: PREFIX-job, image: *image}
    interfaces:
      cloudify.interfaces.lifecycle:
        create: {inputs: {params: {command: [sh, -c, 'echo ran >> /out/log'], volumes: [/out]}}}
        start: {inputs: {params: {binds: {DIRECTORY: {bind: /out, mode: rw}}}, wait_for: {exited: 0, interval: 0.1}}}
";

/// Socket of the machine's engine.
const MACHINE_SOCKET: &str = "/var/run/docker.sock";

/// Number of containers in the blueprint.
pub(crate) const CONTAINERS: usize = 6;

/// An engine, the blueprint, and the results of an install without faults.
pub(crate) struct Sweep {
    pub(crate) test: Test,
    pub(crate) proxy: Proxy,
    engine: PathBuf,
    /// Objects on the engine and state of the instances after an install without faults.
    expected: Json,
    /// Number of requests of an install and of an uninstall without faults.
    pub(crate) install: usize,
    pub(crate) uninstall: usize,
}

/// A command on the installed deployment, with its preparation.
pub(crate) struct Scenario {
    pub(crate) command: &'static [&'static str],
    /// Prepares the installed deployment for the command.
    pub(crate) prepare: fn(&Sweep),
    /// Reverts the deployment to its state after the install.
    pub(crate) revert: fn(&Sweep),
}

/// The results of a command without faults.
pub(crate) struct Baseline {
    pub(crate) requests: usize,
    #[allow(dead_code, reason = "with a fault, a container can be created twice")]
    pub(crate) created: usize,
    pub(crate) expected: Json,
}

/// An update that replaces one container, changes one in place, removes one and adds one.
pub(crate) const UPDATE: Scenario = Scenario {
    command: &["update"],
    prepare: |sweep| sweep.write(&updated_blueprint()),
    revert: revert_update,
};

fn updated_blueprint() -> String {
    let left = "PREFIX-left, image: *image}\n    interfaces: *sleep";
    let other = left.replace(
        "*sleep",
        "\n      cloudify.interfaces.lifecycle:\n        create: {inputs: {params: {command: [sleep, '200000'], stop_timeout: 0}}}",
    );
    let right = "        create: {inputs: {params: {command: [sleep, '100000'], stop_timeout: 0}}}\n        start: {inputs: {processes";
    let limited = right.replace(
        "stop_timeout: 0",
        "stop_timeout: 0, host_config: {mem_limit: 100000000}",
    );
    assert!(BLUEPRINT.contains(left) && BLUEPRINT.contains(right));
    BLUEPRINT
        .replace(left, &other)
        .replace(right, &limited)
        .replace("  tail:\n", "  more:\n")
        .replace("PREFIX-tail", "PREFIX-more")
}

fn revert_update(sweep: &Sweep) {
    sweep.write(BLUEPRINT);
    sweep.run_directly(&["update"]).exits_with(0);
}

/// Adds two instances of one container.
pub(crate) const SCALE_OUT: Scenario = Scenario {
    command: &["scale", "left", "--to", "3"],
    prepare: |_| {},
    revert: |sweep| {
        drop(
            sweep
                .run_directly(&["scale", "left", "--to", "1"])
                .exits_with(0),
        )
    },
};

/// Removes two instances of one container.
pub(crate) const SCALE_IN: Scenario = Scenario {
    command: &["scale", "left", "--to", "1"],
    prepare: |sweep| {
        drop(
            sweep
                .run_directly(&["scale", "left", "--to", "3"])
                .exits_with(0),
        )
    },
    revert: |_| {},
};

/// Repairs one container that was removed and one that was killed.
pub(crate) const HEAL: Scenario = Scenario {
    command: &["heal"],
    prepare: |sweep| {
        sweep.docker(&["rm", "-f", &sweep.test.name("left")]);
        sweep.docker(&["kill", &sweep.test.name("tail")]);
    },
    revert: |_| {},
};

impl Sweep {
    fn write(&self, blueprint: &str) {
        let directory = self.test.path("out");
        self.test.write(
            "blueprint.yaml",
            &blueprint.replace("DIRECTORY", &directory.display().to_string()),
        );
    }

    /// Runs the command once without faults and reverts it.
    pub(crate) fn measure(&self, scenario: &Scenario) -> Baseline {
        (scenario.prepare)(self);
        self.proxy.arm(None);
        self.run_through_proxy(scenario.command).exits_with(0);
        let (requests, created) = (self.proxy.requests(), self.created_containers());
        let expected = self.observed_state();
        (scenario.revert)(self);
        Baseline {
            requests,
            created,
            expected,
        }
    }

    /// Runs the command with a fault at a request, and again if it fails. Asserts that the final
    /// state is the same as without the fault. Returns whether the first run failed, and the number
    /// of created containers.
    pub(crate) fn run_with_fault(
        &self,
        scenario: &Scenario,
        measured: &Baseline,
        at: usize,
        fault: Fault,
    ) -> (bool, usize) {
        let point = format!("{:?} with {fault:?} at request {at}", scenario.command);
        (scenario.prepare)(self);
        self.proxy.arm(Some((at, fault)));
        let first = self.run_through_proxy(scenario.command);
        self.proxy.disarm();
        if first.code != 0 {
            let again = self.run_through_proxy(scenario.command);
            assert_eq!(
                again.code, 0,
                "{point}, second run:\n{}\n{}",
                first.stderr, again.stderr
            );
        }
        if fault == Fault::Restart {
            // The restart also stopped containers that the command does not touch.
            self.wait_for_engine();
            self.run_directly(&["heal"]).exits_with(0);
        }
        let (present, created) = (self.observed_state(), self.created_containers());
        assert_eq!(
            present, measured.expected,
            "{point}: the final state differs\n{}\n{present:#}\n{:#}",
            first.stderr, measured.expected
        );
        (scenario.revert)(self);
        (first.code != 0, created)
    }

    /// Returns a sweep on an in-memory engine, or on the machine's engine if all points are tried.
    pub(crate) fn new(name: &str) -> Self {
        if tries_all_points() {
            return Self::on_machine(name);
        }
        let test = Test::in_memory(name);
        let engine = test.engine().socket().to_owned();
        Self::start(test, &engine)
    }

    /// Returns a sweep on the machine's engine.
    pub(crate) fn on_machine(name: &str) -> Self {
        Self::on(name, Path::new(MACHINE_SOCKET))
    }

    /// Returns a sweep on the engine behind a socket.
    pub(crate) fn on(name: &str, engine: &Path) -> Self {
        Self::start(Test::new(name), engine)
    }

    /// Installs and uninstalls once without faults, and records the results.
    fn start(test: Test, engine: &Path) -> Self {
        std::fs::create_dir(test.path("out")).unwrap();
        let proxy = Proxy::start(&test.path("proxy.sock"), engine);
        let mut sweep = Self {
            test,
            proxy,
            engine: engine.to_owned(),
            expected: Json::Null,
            install: 0,
            uninstall: 0,
        };
        sweep.write(BLUEPRINT);
        sweep.proxy.arm(None);
        sweep.run_through_proxy(&["install"]).exits_with(0);
        sweep.install = sweep.proxy.requests();
        sweep.expected = sweep.observed_state();
        assert_eq!(
            sweep.expected["containers"].as_array().map(Vec::len),
            Some(CONTAINERS),
            "{:#}",
            sweep.expected
        );
        sweep.proxy.arm(None);
        sweep.run_through_proxy(&["uninstall"]).exits_with(0);
        sweep.uninstall = sweep.proxy.requests();
        sweep.expect_uninstalled("uninstall without faults");
        sweep
    }

    /// Returns the points to try: all, the one in `DOCKCTL_SWEEP`, or an evenly spaced sample that
    /// differs between kinds of faults.
    pub(crate) fn points(requests: usize, sample: usize, fault: Fault) -> Vec<usize> {
        if let Some(only) = std::env::var("DOCKCTL_SWEEP")
            .ok()
            .and_then(|point| point.parse().ok())
        {
            return vec![only];
        }
        let stride = (requests / sample).max(1);
        let first = 1 + (format!("{fault:?}").bytes().map(usize::from).sum::<usize>()) % stride;
        // One point more than requests, because a run with a fault makes more of them.
        if tries_all_points() {
            (1..=requests + 1).collect()
        } else {
            (first..=requests).step_by(stride).collect()
        }
    }

    fn command(&self, arguments: &[&str], host: &str) -> Command {
        let mut command = self.test.command(arguments);
        command.args([
            "--host",
            host,
            "--seed",
            "7",
            "--engine-timeout",
            "4",
            "--progress",
            "plain",
        ]);
        command
    }

    /// Runs dockctl without the proxy.
    pub(crate) fn run_directly(&self, arguments: &[&str]) -> Run {
        Run::from_output(
            &self
                .command(arguments, &format!("unix://{}", self.engine.display()))
                .output()
                .unwrap(),
        )
    }

    /// Runs dockctl through the proxy, with the armed fault.
    pub(crate) fn run_through_proxy(&self, arguments: &[&str]) -> Run {
        let child = self
            .command(arguments, &self.proxy.address())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        self.proxy.set_kill_target(child.id());
        Run::from_output(&child.wait_with_output().unwrap())
    }

    /// Returns the number of containers created since the proxy was armed, according to the engine.
    pub(crate) fn created_containers(&self) -> usize {
        let created =
            |(line, status): &&(String, u16)| line.contains("/containers/create") && *status == 201;
        self.proxy.log().iter().filter(created).count()
    }

    fn docker(&self, arguments: &[&str]) -> String {
        let host = format!("unix://{}", self.engine.display());
        let output = Command::new("docker")
            .args(["--host", &host])
            .args(arguments)
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "docker {arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Waits until a restarted engine responds.
    #[allow(dead_code, reason = "only one of the sweeps restarts the engine")]
    pub(crate) fn wait_for_engine(&self) {
        let host = format!("unix://{}", self.engine.display());
        let answers = || {
            Command::new("docker")
                .args(["--host", &host, "version"])
                .output()
                .is_ok_and(|output| output.status.success())
        };
        eventually("the engine", || answers().then_some(()));
    }

    fn lines(&self, arguments: &[&str]) -> Vec<String> {
        let mut lines: Vec<String> = self.docker(arguments).lines().map(str::to_owned).collect();
        lines.sort();
        lines
    }

    fn container_ids(&self) -> Vec<String> {
        self.lines(&[
            "ps",
            "-aq",
            "--no-trunc",
            "--filter",
            &format!("name=^/{}", self.test.prefix),
        ])
    }

    /// Returns the objects on the engine and the state of the instances, without values that differ
    /// between runs.
    fn observed_state(&self) -> Json {
        let ids = self.container_ids();
        let inspected: Vec<Json> = if ids.is_empty() {
            Vec::new()
        } else {
            let arguments: Vec<&str> = ["inspect"]
                .into_iter()
                .chain(ids.iter().map(String::as_str))
                .collect();
            serde_json::from_str(&self.docker(&arguments)).unwrap()
        };
        let mut containers: Vec<Json> = inspected.iter().map(stable_values).collect();
        containers.sort_by_key(|container| container["name"].to_string());
        let status = self
            .run_directly(&["status", "--output", "json"])
            .exits_with(0)
            .json();
        let instance = |it: &Json| json!({ "id": it["id"], "state": it["state"], "drift": it["drift"], "object": it["objects"][0]["name"] });
        json!({
            "containers": containers,
            "networks": self.lines(&["network", "ls", "--format", "{{.Name}}", "--filter", &format!("name={}", self.test.prefix)]),
            "volumes": self.lines(&["volume", "ls", "-q", "--filter", &format!("name={}", self.test.prefix)]),
            "instances": status["instances"].as_array().unwrap().iter().map(instance).collect::<Vec<_>>(),
            "ran": std::fs::read_to_string(self.test.path("out/log")).unwrap_or_default().lines().count(),
        })
    }

    /// Asserts that the engine and the record are as after an install without faults, and that
    /// another install has nothing to do.
    pub(crate) fn expect_installed(&self, point: &str) {
        let present = self.observed_state();
        assert_eq!(
            present, self.expected,
            "{point}: the final state differs\n{present:#}\n{:#}",
            self.expected
        );
        let again = self.run_directly(&["install"]).exits_with(0);
        assert!(
            again.stdout.contains("up to date"),
            "{point}: {}",
            again.stdout
        );
    }

    /// Asserts that no object of the blueprint is left on the engine.
    pub(crate) fn expect_uninstalled(&self, point: &str) {
        let prefix = &self.test.prefix;
        assert_eq!(
            self.container_ids(),
            Vec::<String>::new(),
            "{point}: containers are left"
        );
        assert_eq!(
            self.lines(&["network", "ls", "-q", "--filter", &format!("name={prefix}")]),
            Vec::<String>::new(),
            "{point}: networks are left"
        );
        assert_eq!(
            self.lines(&["volume", "ls", "-q", "--filter", &format!("name={prefix}")]),
            Vec::<String>::new(),
            "{point}: volumes are left"
        );
        let _ = std::fs::remove_file(self.test.path("out/log"));
    }
}

/// Returns true if all points are tried instead of a sample.
fn tries_all_points() -> bool {
    std::env::var("DOCKCTL_SWEEP").is_ok_and(|value| value == "all")
}

/// Returns the values of a container that are the same after each install.
fn stable_values(container: &Json) -> Json {
    let mut labels = container["Config"]["Labels"].clone();
    for name in [
        "dockctl.execution",
        "dockctl.image",
        "dockctl.request",
        "dockctl.seal",
    ] {
        labels.as_object_mut().map(|labels| labels.remove(name));
    }
    let mounts: Vec<Json> = container["Mounts"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|mount| json!([mount["Type"], mount["Destination"]]))
        .collect();
    let networks: Vec<&String> = container["NetworkSettings"]["Networks"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, _)| name)
        .collect();
    json!({
        "name": container["Name"],
        "state": container["State"]["Status"],
        "exit code": container["State"]["ExitCode"],
        "command": container["Config"]["Cmd"],
        "labels": labels,
        "binds": container["HostConfig"]["Binds"],
        "mounts": mounts,
        "networks": networks,
    })
}
