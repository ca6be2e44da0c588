//! Test environment: a temporary state directory, a unique name prefix for each test, a busybox
//! image, and an engine.
//!
//! The engine is either an in-memory engine or the Docker engine of this machine. At the end of the
//! test, its objects are removed from the machine's engine.

pub(crate) mod engine;
#[allow(dead_code, reason = "the sweeps use no images")]
pub(crate) mod oci;
pub(crate) mod private_engine;

use engine::Engine;
use serde_json::Value as Json;
use std::{
    fs,
    io::{BufRead as _, BufReader},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::OnceLock,
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// Longest wait for one condition in a test.
const PATIENCE: Duration = Duration::from_mins(1);

/// Returns the root directory of the project.
pub(crate) fn project_root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Returns the tarball of the demo image. Builds it if it does not exist.
pub(crate) fn tarball() -> &'static Path {
    static TARBALL: OnceLock<PathBuf> = OnceLock::new();
    TARBALL.get_or_init(|| {
        let path = project_root().join("blueprints/demo-image.tar");
        if !path.exists() {
            let built = Command::new(project_root().join("scripts/demo-image"))
                .output()
                .expect("start scripts/demo-image");
            assert!(
                built.status.success(),
                "scripts/demo-image failed: {}",
                String::from_utf8_lossy(&built.stderr)
            );
        }
        path
    })
}

/// Runs the docker command on the default engine and returns its output. Panics if it fails.
pub(crate) fn docker(arguments: &[&str]) -> String {
    let output = Command::new("docker")
        .args(arguments)
        .output()
        .expect("start docker; scripts/engine installs it");
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    assert!(
        output.status.success(),
        "docker {arguments:?}: {}\nto start an engine, run: scripts/engine",
        String::from_utf8_lossy(&output.stderr)
    );
    text
}

/// Returns the minor version of the newest API of the machine's engine: 41 for 1.41.
pub(crate) fn api_minor() -> u32 {
    static MINOR: OnceLock<u32> = OnceLock::new();
    *MINOR.get_or_init(|| {
        let version = docker(&["version", "--format", "{{.Server.APIVersion}}"]);
        let minor = version.strip_prefix("1.").and_then(|it| it.parse().ok());
        minor.unwrap_or_else(|| panic!("unexpected API version {version}"))
    })
}

/// Returns true if the machine's engine is Podman.
pub(crate) fn is_podman() -> bool {
    static PODMAN: OnceLock<bool> = OnceLock::new();
    *PODMAN.get_or_init(|| docker(&["version"]).contains("Podman"))
}

/// Returns a free TCP port.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .expect("find a free port")
        .port()
}

/// Calls `poll` until it returns a value. Panics after [`PATIENCE`].
pub(crate) fn eventually<T>(kind: &str, mut poll: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        match poll() {
            Some(answer) => return answer,
            None if start.elapsed() > PATIENCE => {
                panic!("{kind}: timed out after {PATIENCE:?}")
            }
            None => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

/// Returns the body of an HTTP response.
pub(crate) fn fetch(url: &str) -> String {
    let fetched = Command::new(project_root().join("target/busybox"))
        .args(["wget", "-qO-", url])
        .output()
        .expect("start target/busybox");
    assert!(
        fetched.status.success(),
        "{url}: {}",
        String::from_utf8_lossy(&fetched.stderr)
    );
    String::from_utf8_lossy(&fetched.stdout).into_owned()
}

/// The environment of one test: its directory, state and engine.
pub(crate) struct Test {
    /// In-memory engine; `None` for the machine's engine.
    engine: Option<Engine>,
    pub(crate) directory: TempDir,
    /// Prefix of all names that the test uses on the engine.
    pub(crate) prefix: String,
}

/// Output and exit code of a dockctl process.
pub(crate) struct Run {
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) code: i32,
}

impl Run {
    pub(crate) fn from_output(output: &Output) -> Self {
        Self {
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            code: output.status.code().unwrap_or(-1),
        }
    }

    /// Asserts the exit code.
    #[track_caller]
    pub(crate) fn exits_with(self, code: i32) -> Self {
        assert_eq!(
            self.code, code,
            "stdout:\n{}\nstderr:\n{}",
            self.stdout, self.stderr
        );
        self
    }

    /// Returns the JSON document on standard output.
    #[track_caller]
    pub(crate) fn json(&self) -> Json {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{error}:\n{}", self.stdout))
    }

    /// Asserts that standard output contains each of these texts.
    #[track_caller]
    #[allow(dead_code, reason = "only some test binaries use it")]
    pub(crate) fn stdout_contains(self, texts: &[&str]) -> Self {
        for text in texts {
            assert!(
                self.stdout.contains(text),
                "`{text}` is not in:\n{}",
                self.stdout
            );
        }
        self
    }

    /// Asserts that standard error contains each of these texts.
    #[track_caller]
    pub(crate) fn stderr_contains(self, texts: &[&str]) -> Self {
        for text in texts {
            assert!(
                self.stderr.contains(text),
                "`{text}` is not in:\n{}",
                self.stderr
            );
        }
        self
    }
}

impl Test {
    /// Returns a test on an in-memory engine: the default, unless only a real engine shows the
    /// tested behavior.
    pub(crate) fn in_memory(name: &str) -> Self {
        let mut test = Self::new(name);
        test.engine = Some(Engine::start(&test.path("engine")));
        test
    }

    /// Returns a test on the machine's engine.
    pub(crate) fn new(name: &str) -> Self {
        let directory = tempfile::Builder::new()
            .prefix("dockctl-test-")
            .tempdir()
            .expect("create a temporary directory");
        let unique: String = std::iter::repeat_with(fastrand::alphanumeric)
            .map(|c| c.to_ascii_lowercase())
            .take(5)
            .collect();
        Self {
            engine: None,
            directory,
            prefix: format!("t-{name}-{unique}"),
        }
    }

    /// Returns the in-memory engine. Panics if the test uses the machine's engine.
    pub(crate) fn engine(&self) -> &Engine {
        self.engine
            .as_ref()
            .expect("the test uses an in-memory engine")
    }

    /// Returns the address of the test's engine.
    pub(crate) fn host(&self) -> String {
        let own = self.engine.as_ref().map(Engine::address);
        own.unwrap_or_else(|| "unix:///var/run/docker.sock".to_owned())
    }

    /// Runs the docker command on the test's engine and returns its output. Panics if it fails.
    pub(crate) fn docker(&self, arguments: &[&str]) -> String {
        match &self.engine {
            None => docker(arguments),
            Some(engine) => docker(&[&["--host", &engine.address()], arguments].concat()),
        }
    }

    /// Adds the prefix of the test to a name.
    pub(crate) fn name(&self, name: &str) -> String {
        format!("{}-{name}", self.prefix)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes a file to the test's directory. Replaces `PREFIX` with the prefix of the test and
    /// `TARBALL` with the path of the demo image.
    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        let text = text
            .replace("PREFIX", &self.prefix)
            .replace("TARBALL", &tarball().display().to_string());
        fs::write(&path, text).expect("write the file");
        path
    }

    /// Writes a blueprint that imports the types of Cloudify 3.3.1 and its Docker plugin, followed
    /// by `rest`.
    pub(crate) fn blueprint(&self, rest: &str) -> PathBuf {
        let head = "tosca_definitions_version: cloudify_dsl_1_2\n\
                    imports:\n  \
                    - http://www.getcloudify.org/spec/cloudify/3.3.1/types.yaml\n  \
                    - http://www.getcloudify.org/spec/docker-plugin/1.3.2/plugin.yaml\n";
        self.write("blueprint.yaml", &format!("{head}{rest}"))
    }

    /// Returns a dockctl command in the test's directory, with its deployment and state directory.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dockctl"));
        command
            .args(arguments)
            .current_dir(self.directory.path())
            .stdin(Stdio::null());
        command
            .env("DOCKCTL_STATE_DIR", self.path("state"))
            .env("DOCKCTL_TASK_RETRY_INTERVAL", "0.1");
        if let Some(engine) = &self.engine {
            command.env("DOCKER_HOST", engine.dockctl_address());
        }
        for variable in [
            "DOCKCTL_DEPLOYMENT",
            "DOCKCTL_OUTPUT",
            "DOCKCTL_PROGRESS",
            "DOCKCTL_SWEEP",
            "DOCKER_CONTEXT",
            "LANG",
            "LC_ALL",
            "LC_CTYPE",
            "NO_COLOR",
        ] {
            command.env_remove(variable);
        }
        let without_deployment = [
            "validate",
            "inspect",
            "explain",
            "schema",
            "adopt",
            "list",
            "--version",
            "--help",
        ];
        let is_named =
            |name: &&&str| !without_deployment.contains(*name) && !arguments.contains(&"-d");
        if arguments.first().as_ref().is_some_and(is_named) {
            command.env("DOCKCTL_DEPLOYMENT", &self.prefix);
        }
        command
    }

    /// Runs dockctl and waits for it to exit.
    pub(crate) fn run(&self, arguments: &[&str]) -> Run {
        Run::from_output(&self.command(arguments).output().expect("start dockctl"))
    }

    /// Runs dockctl with 2 GB of address space: too little to buffer an endless response.
    pub(crate) fn run_limited(&self, arguments: &[&str]) -> Run {
        let command = self.command(arguments);
        let mut limited = Command::new("bash");
        limited
            .args(["-c", "ulimit -v 2000000; exec \"$@\"", "bash"])
            .arg(command.get_program())
            .args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => limited.env(name, value),
                None => limited.env_remove(name),
            };
        }
        limited
            .stdin(Stdio::null())
            .current_dir(self.directory.path());
        Run::from_output(&limited.output().expect("start bash"))
    }

    /// Starts dockctl in the background.
    pub(crate) fn start(&self, arguments: &[&str]) -> Child {
        self.command(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("start dockctl")
    }

    /// Runs dockctl and kills it when a progress line contains `text`.
    pub(crate) fn kill_at(&self, text: &str, arguments: &[&str]) {
        let mut child = self.start(&[arguments, &["--progress", "plain"]].concat());
        let lines = BufReader::new(child.stderr.take().expect("stderr is piped")).lines();
        let seen = lines.map_while(Result::ok).any(|line| line.contains(text));
        child.kill().expect("kill dockctl");
        child.wait().expect("wait for dockctl");
        assert!(seen, "no progress line contains `{text}`");
    }

    /// Waits for a background dockctl to exit.
    pub(crate) fn wait(child: Child) -> Run {
        Run::from_output(&child.wait_with_output().expect("wait for dockctl"))
    }

    /// Returns the names and states of the test's containers on the engine, sorted.
    pub(crate) fn containers(&self) -> Vec<String> {
        let text = self.docker(&[
            "ps",
            "-a",
            "--filter",
            &format!("name=^{}", self.prefix),
            "--format",
            "{{.Names}} {{.State}}",
        ]);
        let mut lines: Vec<String> = text
            .lines()
            .map(|line| line.replace(&self.prefix, "PREFIX"))
            .collect();
        lines.sort();
        lines
    }

    /// Returns a field of a container on the engine.
    pub(crate) fn inspect(&self, name: &str, format: &str) -> String {
        self.docker(&["inspect", "--format", format, &self.name(name)])
    }

    /// Creates a container outside dockctl and returns its ID.
    pub(crate) fn create_foreign(&self, name: &str, command: &[&str]) -> String {
        let image = self.import_image();
        let name = self.name(name);
        let arguments: Vec<&str> = ["create", "--name", &name, &image]
            .into_iter()
            .chain(command.iter().copied())
            .collect();
        self.docker(&arguments)
    }

    /// Imports the demo image under the test's name and returns the name.
    pub(crate) fn import_image(&self) -> String {
        let image = format!("{}:latest", self.prefix);
        self.docker(&["import", &tarball().display().to_string(), &image]);
        image
    }
}

impl Drop for Test {
    fn drop(&mut self) {
        if self.engine.is_some() {
            return;
        }
        let names = format!("name=^{}", self.prefix);
        let label = format!("label=dockctl.deployment={}", self.prefix);
        for filter in [names, label] {
            let ids = docker(&["ps", "-aq", "--filter", &filter]);
            for id in ids.lines() {
                let _ = Command::new("docker").args(["rm", "-fv", id]).output();
            }
        }
        for kind in ["network", "volume"] {
            for name in docker(&[
                kind,
                "ls",
                "-q",
                "--filter",
                &format!("name={}", self.prefix),
            ])
            .lines()
            {
                let _ = Command::new("docker").args([kind, "rm", name]).output();
            }
        }
        let images = docker(&[
            "images",
            "-q",
            "--filter",
            &format!("reference={}*", self.prefix),
        ]);
        for id in images.lines() {
            let _ = Command::new("docker").args(["rmi", "-f", id]).output();
        }
    }
}
