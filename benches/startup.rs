//! Benchmarks of startup and of reading a large blueprint. Run with `cargo bench --bench startup`.
//!
//! Measures whole processes, because pipelines pay for each start. Runs each command many times and
//! prints the median.
#![allow(
    clippy::print_stdout,
    missing_docs,
    reason = "a benchmark prints its results"
)]

use std::{
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

const RUNS: usize = 50;

fn main() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let large = directory.path().join("large.yaml");
    std::fs::write(&large, blueprint(1000)).expect("write the blueprint");
    show("dockctl --version", &["--version"]);
    show("dockctl --help", &["--help"]);
    show(
        "dockctl validate, 1000 containers",
        &["validate", path(&large)],
    );
}

fn path(path: &Path) -> &str {
    path.to_str().expect("the path is UTF-8")
}

fn show(name: &str, arguments: &[&str]) {
    let mut times: Vec<Duration> = (0..RUNS).map(|_| time(arguments)).collect();
    times.sort();
    println!(
        "{name:<40} median {:>9.3?}  fastest {:>9.3?}",
        times[RUNS / 2],
        times[0]
    );
}

fn time(arguments: &[&str]) -> Duration {
    let start = Instant::now();
    let status = Command::new(env!("CARGO_BIN_EXE_dockctl"))
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    assert!(
        status.is_ok_and(|status| status.success()),
        "dockctl {arguments:?} failed"
    );
    start.elapsed()
}

/// Returns a blueprint of containers in chains of ten.
fn blueprint(nodes: usize) -> String {
    let mut text = "tosca_definitions_version: cloudify_dsl_1_2
imports:
  - http://www.getcloudify.org/spec/cloudify/3.3.1/types.yaml
  - http://www.getcloudify.org/spec/docker-plugin/1.3.2/plugin.yaml
node_templates:
"
    .to_owned();
    for n in 0..nodes {
        text += &format!(
            "  n{n}:\n    type: cloudify.docker.Container\n    properties: {{name: c-{n}, image: {{repository: busybox}}}}\n"
        );
        text += "    interfaces:\n      cloudify.interfaces.lifecycle:\n        create: {inputs: {params: {command: sleep 1, ports: [80]}}}\n";
        if n % 10 > 0 {
            text += &format!(
                "    relationships: [{{type: cloudify.relationships.connected_to, target: n{}}}]\n",
                n - 1
            );
        }
    }
    text
}
