//! Updates of containers that are easily lost, with a fault at a request, followed by any command.
//! A working container of each node must remain.

use super::{
    MACHINE, Sweep, is_long,
    proxy::{Fault, Proxy},
};
use crate::support::{Run, Test};
use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Commands to run after an interrupted update.
const NEXT: [&str; 4] = ["install", "update", "heal", "resume"];
/// Containers: `taken` is adopted and then replaced by an owned one, `auto` is removed when it
/// stops, `sharer` uses the network of `owner`, and `steady` has no wait.
const NAMES: [&str; 5] = ["taken", "auto", "owner", "sharer", "steady"];
/// A command that exits at the first stop signal.
const PROMPT: &str = "trap 'exit 0' TERM; sleep 100000 & wait";

/// Whether the containers work after the update.
#[derive(Clone, Copy, Debug)]
enum After {
    Works,
    Fails,
}

/// Five containers on an engine, and a proxy in front of it.
pub(crate) struct Next {
    test: Test,
    proxy: Proxy,
    engine: PathBuf,
}

impl Next {
    pub(crate) fn new(name: &str) -> Self {
        let is_long = is_long();
        let test = if is_long {
            Test::new(name)
        } else {
            Test::fake(name)
        };
        let engine = if is_long {
            Path::new(MACHINE)
        } else {
            test.engine().socket()
        };
        let engine = engine.to_owned();
        let proxy = Proxy::start(&test.path("proxy.sock"), &engine);
        Self {
            test,
            proxy,
            engine,
        }
    }

    /// Tries a sample of the points, or all. Returns the number of points.
    pub(crate) fn sweep(&self, fault: Fault, sample: usize) -> usize {
        self.installed();
        self.write("", After::Works, 2);
        self.proxy.arm(None);
        self.run(&["update"], true).exits(0);
        let requests = self.proxy.requests();
        self.end("without faults");
        let points = Sweep::points(requests, sample, fault);
        for (n, at) in points.iter().enumerate() {
            let after = if n % 3 == 2 {
                After::Works
            } else {
                After::Fails
            };
            self.point(*at, fault, NEXT[n % NEXT.len()], after);
        }
        points.len()
    }

    fn point(&self, at: usize, fault: Fault, next: &str, after: After) {
        let point = format!("{fault:?} at request {at} of an update ({after:?}), then {next}");
        println!("{point}");
        self.installed();
        self.write("", after, 2);
        self.proxy.arm(Some((at, fault)));
        let first = self.run(&["update"], true);
        self.proxy.disarm();
        let second = self.run(&[next], false);
        let said = format!("{point}:\n{}\n{}", first.stderr, second.stderr);
        assert!([0, 1, 6].contains(&second.code), "{said}");
        self.works(&said);
        self.write("", After::Works, 3);
        let third = self.run(&["update"], false);
        assert_eq!(third.code, 0, "{said}\n{}", third.stderr);
        self.works(&said);
        let left: Vec<String> = self
            .test
            .containers()
            .into_iter()
            .filter(|line| line.contains(".dockctl-"))
            .collect();
        assert!(left.is_empty(), "{said}\n{left:?}");
        self.end(&said);
    }

    /// Installs the five containers as before any update.
    fn installed(&self) {
        let image = format!("{}:latest", self.test.prefix);
        if self.test.docker(&["images", "-q", &image]).is_empty() {
            self.test.image();
        }
        self.test.docker(&[
            "run",
            "-d",
            "--name",
            &self.test.name("taken"),
            &image,
            "sh",
            "-c",
            PROMPT,
        ]);
        self.write(", use_external_resource: true", After::Works, 1);
        self.run(&["install"], false).exits(0);
    }

    fn works(&self, said: &str) {
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
                "no working {name}: {running}\n{said}"
            );
        }
    }

    /// Uninstalls, and asserts that only the adopted container is left.
    fn end(&self, said: &str) {
        self.run(&["uninstall"], false).exits(0);
        let left = self.test.containers();
        assert!(
            left.len() == 1 && left[0].starts_with("PREFIX-taken"),
            "{said}\n{left:?}"
        );
        let name = left[0]
            .split(' ')
            .next()
            .unwrap_or_default()
            .replace("PREFIX", &self.test.prefix);
        self.test.docker(&["rm", "-f", &name]);
    }

    fn write(&self, external: &str, after: After, round: u32) {
        let works = format!("sleep {}", 100_000 + round);
        let command = |failing: &str| match after {
            After::Works => works.clone(),
            After::Fails => failing.to_owned(),
        };
        let node = |name: &str, params: &str, rest: &str| {
            format!(
                "  {name}:\n    type: cloudify.docker.Container\n    properties: {{name: PREFIX-{name}, image: {{src: TARBALL, repository: dockctl-demo}}{rest}}}\n    interfaces: {{cloudify.interfaces.lifecycle: {{create: {{inputs: {{params: {{{params}}}}}}}}}}}\n"
            )
        };
        let made = |failing: &str, rest: &str| {
            format!("command: {}, stop_timeout: 0{rest}", command(failing))
        };
        let taken = if external.is_empty() {
            made("no-such-command", "")
        } else {
            String::new()
        };
        let nodes = [
            node("taken", &taken, external),
            node(
                "auto",
                &made("'false'", ", host_config: {auto_remove: true}"),
                "",
            ),
            node("owner", &format!("command: {works}, stop_timeout: 0"), ""),
            node(
                "sharer",
                &made(
                    "'false'",
                    ", host_config: {network_mode: 'container:PREFIX-owner'}",
                ),
                "",
            ),
            node("steady", &made("[sh, -c, 'sleep 0.3; exit 1']", ""), ""),
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
            self.proxy.set_victim(child.id());
        }
        Run::of(&child.wait_with_output().unwrap())
    }
}
