//! A private `dockerd` for one test.

use super::{Test, docker, eventually, project_root, tarball};
use std::{
    fs::File,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
};

/// A `dockerd` with its own data directory. It is stopped when this is dropped.
pub(crate) struct PrivateEngine {
    daemon: Arc<Daemon>,
    /// Bridge of the engine, if it uses this machine's network.
    bridge: Option<String>,
    pub(crate) socket: String,
}

/// The command line of the engine and its process.
struct Daemon {
    /// Program and arguments.
    arguments: Vec<String>,
    log: PathBuf,
    socket: String,
    process: Mutex<Option<Child>>,
}

impl Daemon {
    fn start(&self) {
        let log = File::options()
            .create(true)
            .append(true)
            .open(&self.log)
            .expect("open the log");
        let command = Command::new(&self.arguments[0])
            .args(&self.arguments[1..])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        *self.process.lock().unwrap() =
            Some(command.expect("start dockerd; scripts/engine installs it"));
        eventually("the private engine", || {
            let version = Command::new("docker")
                .args(["-H", &self.socket, "version"])
                .output()
                .ok()?;
            version.status.success().then_some(())
        });
    }

    /// Stops the engine with SIGTERM: a regular exit also stops its containerd.
    fn stop(&self) {
        if let Some(mut process) = self.process.lock().unwrap().take() {
            let _ = Command::new("kill").arg(process.id().to_string()).status();
            let _ = process.wait();
        }
    }
}

impl PrivateEngine {
    /// Starts an engine on this machine's network, where its published ports are reachable.
    pub(crate) fn start(test: &Test, arguments: &[String]) -> Self {
        // An engine removes the bridge that it shares with another engine, and the networks of two
        // engines must not overlap.
        let bridge = format!("dt{}", test.prefix.rsplit('-').next().unwrap_or_default());
        ip(&["link", "add", "name", &bridge, "type", "bridge"]);
        ip(&[
            "addr",
            "add",
            &format!("198.51.100.{}/29", 1 + 8 * fastrand::u8(..31)),
            "dev",
            &bridge,
        ]);
        let pool = format!("base=10.{}.0.0/16,size=24", fastrand::u8(200..250));
        let options = ["--bridge", &bridge, "--default-address-pool", &pool].map(str::to_owned);
        Self::launch(test, &[], &[&options, arguments].concat(), Some(bridge))
    }

    /// Starts an engine in its own network namespace, where it can be restarted. On this machine's
    /// network, a restart would remove the bridge of the machine's engine.
    #[allow(dead_code, reason = "only the fault sweep restarts engines")]
    pub(crate) fn isolated(test: &Test) -> Self {
        Self::launch(test, &["unshare", "--net"], &[], None)
    }

    fn launch(test: &Test, before: &[&str], arguments: &[String], bridge: Option<String>) -> Self {
        let at = |name: &str| test.path(name).display().to_string();
        let socket = format!("unix://{}", at("engine.sock"));
        let options = [
            ["--data-root", &at("data")],
            ["--exec-root", &at("exec")],
            ["--pidfile", &at("engine.pid")],
            ["-H", &socket],
        ];
        let fixed = ["--iptables=false", "--ip-forward=false"];
        let command = before
            .iter()
            .copied()
            .chain(["dockerd"])
            .chain(options.concat())
            .chain(fixed)
            .map(str::to_owned);
        let daemon = Daemon {
            arguments: command.chain(arguments.iter().cloned()).collect(),
            log: test.path("engine.log"),
            socket: socket.clone(),
            process: Mutex::default(),
        };
        daemon.start();
        let engine = Self {
            daemon: Arc::new(daemon),
            bridge,
            socket,
        };
        engine.docker(&[
            "import",
            &tarball().display().to_string(),
            "dockctl-demo:latest",
        ]);
        engine
    }

    pub(crate) fn docker(&self, arguments: &[&str]) -> String {
        docker(&[&["-H", &self.socket], arguments].concat())
    }

    /// Returns a function that stops the engine and its containers, and starts it again.
    #[allow(dead_code, reason = "only the fault sweep restarts engines")]
    pub(crate) fn restart(&self) -> impl Fn() + Send + use<> {
        let daemon = self.daemon.clone();
        move || {
            daemon.stop();
            daemon.start();
        }
    }
}

impl Drop for PrivateEngine {
    fn drop(&mut self) {
        let ids = Command::new("docker")
            .args(["-H", &self.socket, "ps", "-aq"])
            .output()
            .map(|output| output.stdout);
        for id in String::from_utf8_lossy(&ids.unwrap_or_default()).lines() {
            let _ = Command::new("docker")
                .args(["-H", &self.socket, "rm", "-f", id])
                .output();
        }
        let networks = Command::new("docker")
            .args([
                "-H",
                &self.socket,
                "network",
                "ls",
                "-q",
                "--filter",
                "type=custom",
            ])
            .output();
        for id in String::from_utf8_lossy(&networks.map(|output| output.stdout).unwrap_or_default())
            .lines()
        {
            let _ = Command::new("docker")
                .args(["-H", &self.socket, "network", "rm", id])
                .output();
        }
        self.daemon.stop();
        if let Some(bridge) = &self.bridge {
            ip(&["link", "del", bridge]);
        }
    }
}

fn ip(arguments: &[&str]) {
    let output = Command::new(project_root().join("target/busybox"))
        .arg("ip")
        .args(arguments)
        .output();
    let output = output.expect("start target/busybox; scripts/demo-image fetches it");
    assert!(
        output.status.success(),
        "ip {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}
