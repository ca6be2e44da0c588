//! Updates of containers that are easily lost, with a fault at a request, followed by any command.
//! A working container of each node must remain.

use super::{
    MACHINE_SOCKET, Sweep,
    proxy::{Fault, Proxy},
    tries_all_points,
};
use crate::support::{Run, Test, free_port};
use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Commands to run after an interrupted update.
const COMMANDS: [&str; 4] = ["install", "update", "heal", "resume"];
/// Containers: `taken` is adopted and then replaced by an owned one, `auto` is removed when it
/// stops, `sharer` uses the network of `owner`, and `steady` has no wait. In each round, `one` and
/// `two` swap their ports, and another node gets the name `named`.
const NAMES: [&str; 8] = [
    "taken", "auto", "owner", "sharer", "steady", "one", "two", "named",
];
/// A command that exits at the first stop signal.
const PROMPT_EXIT: &str = "trap 'exit 0' TERM; sleep 100000 & wait";

/// Whether the containers work after the update.
#[derive(Clone, Copy, Debug)]
enum UpdateOutcome {
    Works,
    Fails,
}

/// The containers on an engine, and a proxy in front of it.
pub(crate) struct NextCommandSweep {
    test: Test,
    proxy: Proxy,
    engine: PathBuf,
    ports: [u16; 2],
}

impl NextCommandSweep {
    pub(crate) fn new(name: &str) -> Self {
        let is_long = tries_all_points();
        let test = if is_long {
            Test::new(name)
        } else {
            Test::in_memory(name)
        };
        let engine = if is_long {
            Path::new(MACHINE_SOCKET)
        } else {
            test.engine().socket()
        };
        let engine = engine.to_owned();
        let proxy = Proxy::start(&test.path("proxy.sock"), &engine);
        Self {
            test,
            proxy,
            engine,
            ports: [free_port(), free_port()],
        }
    }

    /// Tries a sample of the points, or all. Returns the number of points.
    pub(crate) fn sweep(&self, fault: Fault, sample: usize) -> usize {
        self.install();
        self.write("", UpdateOutcome::Works, 2);
        self.proxy.arm(None);
        self.run(&["update"], true).exits_with(0);
        let requests = self.proxy.requests();
        self.uninstall("without faults");
        let points = Sweep::points(requests, sample, fault);
        for (n, at) in points.iter().enumerate() {
            let after = if n % 3 == 2 {
                UpdateOutcome::Works
            } else {
                UpdateOutcome::Fails
            };
            self.try_point(*at, fault, COMMANDS[n % COMMANDS.len()], after);
        }
        points.len()
    }

    fn try_point(&self, at: usize, fault: Fault, next: &str, after: UpdateOutcome) {
        let point = format!("{fault:?} at request {at} of an update ({after:?}), then {next}");
        println!("{point}");
        self.install();
        self.write("", after, 2);
        self.proxy.arm(Some((at, fault)));
        let first = self.run(&["update"], true);
        self.proxy.disarm();
        let second = self.run(&[next], false);
        let context = format!("{point}:\n{}\n{}", first.stderr, second.stderr);
        assert!([0, 1, 6].contains(&second.code), "{context}");
        self.expect_working(&context);
        self.write("", UpdateOutcome::Works, 3);
        let third = self.run(&["update"], false);
        assert_eq!(third.code, 0, "{context}\n{}", third.stderr);
        self.expect_working(&context);
        let left: Vec<String> = self
            .test
            .containers()
            .into_iter()
            .filter(|line| line.contains(".dockctl-"))
            .collect();
        assert!(left.is_empty(), "{context}\n{left:?}");
        self.uninstall(&context);
    }

    /// Installs the containers as before any update.
    fn install(&self) {
        let image = format!("{}:latest", self.test.prefix);
        if self.test.docker(&["images", "-q", &image]).is_empty() {
            self.test.import_image();
        }
        self.test.docker(&[
            "run",
            "-d",
            "--name",
            &self.test.name("taken"),
            &image,
            "sh",
            "-c",
            PROMPT_EXIT,
        ]);
        self.write(", use_external_resource: true", UpdateOutcome::Works, 1);
        self.run(&["install"], false).exits_with(0);
    }

    fn expect_working(&self, context: &str) {
        let running = self.test.docker(&[
            "ps",
            "--filter",
            &format!("name=^{}", self.test.prefix),
            "--format",
            "{{.Names}}",
        ]);
        for name in NAMES {
            assert!(
                running.lines().any(|line| line == self.test.name(name)),
                "no working {name}: {running}\n{context}"
            );
        }
    }

    /// Uninstalls, and asserts that only the adopted container is left.
    fn uninstall(&self, context: &str) {
        self.run(&["uninstall"], false).exits_with(0);
        let left = self.test.containers();
        assert!(
            left.len() == 1 && left[0].starts_with("PREFIX-taken"),
            "{context}\n{left:?}"
        );
        let name = left[0]
            .split(' ')
            .next()
            .unwrap_or_default()
            .replace("PREFIX", &self.test.prefix);
        self.test.docker(&["rm", "-f", &name]);
    }

    fn write(&self, external: &str, after: UpdateOutcome, round: u32) {
        let works = format!("sleep {}", 100_000 + round);
        let command = |failing: &str| match after {
            UpdateOutcome::Works => works.clone(),
            UpdateOutcome::Fails => failing.to_owned(),
        };
        let named = |name: &str, container: &str, params: &str, rest: &str| {
            format!(
                "  {name}:\n    type: cloudify.docker.Container\n    properties: {{name: PREFIX-{container}, image: {{src: TARBALL, repository: dockctl-demo}}{rest}}}\n    interfaces: {{cloudify.interfaces.lifecycle: {{create: {{inputs: {{params: {{{params}}}}}}}}}}}\n"
            )
        };
        let node = |name: &str, params: &str, rest: &str| named(name, name, params, rest);
        let [mut one, mut two] = self.ports;
        if round.is_multiple_of(2) {
            std::mem::swap(&mut one, &mut two);
        }
        let with_port = |port: u16| format!(", host_config: {{port_bindings: {{80: {port}}}}}");
        let params_of = |failing: &str, rest: &str| {
            format!("command: {}, stop_timeout: 0{rest}", command(failing))
        };
        let taken_params = if external.is_empty() {
            params_of("no-such-command", "")
        } else {
            String::new()
        };
        let nodes = [
            node("taken", &taken_params, external),
            node(
                "auto",
                &params_of("'false'", ", host_config: {auto_remove: true}"),
                "",
            ),
            node("owner", &format!("command: {works}, stop_timeout: 0"), ""),
            node(
                "sharer",
                &params_of(
                    "'false'",
                    ", host_config: {network_mode: 'container:PREFIX-owner'}",
                ),
                "",
            ),
            node(
                "steady",
                &params_of("[sh, -c, 'sleep 0.3; exit 1']", ""),
                "",
            ),
            node("one", &params_of("'false'", &with_port(one)), ""),
            node("two", &params_of("'false'", &with_port(two)), ""),
            named(
                &format!("named{round}"),
                "named",
                &params_of("'false'", ""),
                "",
            ),
        ];
        self.test
            .blueprint(&format!("node_templates:\n{}", nodes.concat()));
    }

    fn run(&self, arguments: &[&str], through_proxy: bool) -> Run {
        let host = if through_proxy {
            self.proxy.address()
        } else {
            format!("unix://{}", self.engine.display())
        };
        let mut command: Command = self.test.command(arguments);
        command.args([
            "--host",
            &host,
            "--seed",
            "7",
            "--engine-timeout",
            "4",
            "--progress",
            "plain",
        ]);
        let child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        if through_proxy {
            self.proxy.set_kill_target(child.id());
        }
        Run::from_output(&child.wait_with_output().unwrap())
    }
}
