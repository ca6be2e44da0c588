//! Calls of `ctx` in a script: each is a process that asks the running dockctl.

#![allow(missing_docs, reason = "macros create public items")]

use criterion::{Criterion, criterion_group, criterion_main};
use std::{fs, path::Path, process::Command, time::Duration};

const BLUEPRINT: &str = "tosca_definitions_version: cloudify_dsl_1_3
imports: [cloudify/types/types.yaml]
node_templates:
  n:
    type: cloudify.nodes.Root
    interfaces: {cloudify.interfaces.lifecycle: {create: create.sh}}
";

/// Installs a blueprint whose script makes a call `times` times. Returns the time that all calls
/// took, as the script measured it.
fn calls(directory: &Path, call: &str, times: u64) -> Duration {
    let script = format!(
        "#!/bin/bash
begin=$(date +%s%N)
for ((i = 0; i < {times}; i++)); do {call} >/dev/null || exit 1; done
end=$(date +%s%N)
ctx returns @$((end - begin))
"
    );
    fs::write(directory.join("blueprint.yaml"), BLUEPRINT).expect("write the blueprint");
    fs::write(directory.join("create.sh"), script).expect("write the script");
    let dockctl = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dockctl"));
        let output = command
            .args(arguments)
            .args(["-d", "bench", "--progress", "json"])
            .current_dir(directory)
            .env("DOCKCTL_STATE_DIR", directory.join("state"))
            .output()
            .expect("run dockctl");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let lines = dockctl(&["install", "blueprint.yaml"]);
    dockctl(&["uninstall", "-y"]);
    let result = lines
        .split_once("\"result\":")
        .expect("the script returns a value")
        .1;
    let digits: String = result.chars().take_while(char::is_ascii_digit).collect();
    Duration::from_nanos(digits.parse().expect("the value is a number"))
}

/// One operation may call `ctx` 10,000 times.
fn measured(directory: &Path, call: &str, times: u64) -> Duration {
    const MAX: u64 = 5_000;
    let mut left = times;
    let mut total = Duration::ZERO;
    while left > 0 {
        let now = left.min(MAX);
        total += calls(directory, call, now);
        left -= now;
    }
    total
}

fn ctx(c: &mut Criterion) {
    let directory = tempfile::tempdir().expect("create a directory");
    let mut group = c.benchmark_group("ctx");
    group
        .sample_size(10)
        .measurement_time(Duration::from_secs(5));
    for (name, call) in [
        ("start of a process", "/bin/true"),
        ("read", "ctx instance id"),
        ("write", "ctx instance runtime-properties a.b 1"),
    ] {
        group.bench_function(name, |bench| {
            bench.iter_custom(|times| measured(directory.path(), call, times));
        });
    }
    group.finish();
}

criterion_group!(benches, ctx);
criterion_main!(benches);
