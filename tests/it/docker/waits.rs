//! `wait_for`: conditions that a container must meet before its instance counts as started.

use crate::support::{Run, Test};
use std::time::Instant;

fn blueprint(test: &Test, params: &str, wait: &str) {
    test.blueprint(&format!(
        "
node_templates:
  web:
    type: cloudify.docker.Container
    properties: {{name: PREFIX-web, image: {{src: TARBALL, repository: dockctl-demo}}}}
    interfaces:
      cloudify.interfaces.lifecycle:
        create: {{inputs: {{params: {{{params}}}}}}}
        start: {{inputs: {{wait_for: {wait}}}}}
        stop: {{inputs: {{params: {{timeout: 0}}}}}}
"
    ));
}

#[track_caller]
fn assert_installs(name: &str, params: &str, wait: &str) {
    let test = Test::new(name);
    blueprint(&test, params, wait);
    test.run(&["install"]).exits_with(0);
    test.run(&["plan", "--exit-code"]).exits_with(0);
    test.run(&["status", "--exit-code"]).exits_with(0);
    test.run(&["uninstall"]).exits_with(0);
    assert!(test.containers().is_empty());
}

#[track_caller]
fn assert_fails(name: &str, params: &str, wait: &str) -> Run {
    let test = Test::new(name);
    blueprint(&test, params, wait);
    let start = Instant::now();
    let run = test.run(&["install"]).exits_with(1);
    // The failure ends the wait: the default timeout of a condition is five minutes.
    assert!(start.elapsed().as_secs() < 60, "{:?}", start.elapsed());
    run
}

#[test]
fn install_waits_until_the_container_is_healthy() {
    let params = "command: 'sh -c \"sleep 1; touch /tmp/ok; sleep 1000\"', healthcheck: {test: 'test -e /tmp/ok', interval: 200ms, retries: 50}";
    assert_installs("healthy", params, "{healthy: true, interval: 0.1}");
}

#[test]
fn install_waits_until_the_container_exits() {
    assert_installs(
        "exited",
        "command: 'sh -c \"sleep 0.3; exit 3\"'",
        "{exited: 3, interval: 0.1}",
    );
}

#[test]
fn install_waits_until_a_port_is_open() {
    let params = "command: 'sh -c \"sleep 1; httpd -f -p 8080\"'";
    assert_installs("port", params, "{port: 8080, interval: 0.1}");
    assert_installs(
        "published",
        &format!("{params}, host_config: {{port_bindings: {{8080: null}}}}"),
        "[{port: 8080, interval: 0.1}]",
    );
}

#[test]
fn install_waits_for_a_log_line() {
    let params =
        "command: 'sh -c \"echo starting; sleep 0.5; echo server ready on 80; sleep 1000\"'";
    assert_installs(
        "log",
        params,
        "{log: '^server ready on \\d+$', interval: 0.1, timeout: 1m}",
    );
    assert_installs(
        "tty",
        &format!("{params}, tty: true"),
        "{log: 'ready on \\d+$', interval: 0.1}",
    );
}

#[test]
fn exited_container_ends_the_wait_with_its_cause() {
    let params = "command: 'sh -c \"echo about to fail; exit 7\"'";
    assert_fails("dies", params, "healthy")
        .stderr_contains(&["the container has no health check, so it never becomes healthy"]);
    let checked = format!("{params}, healthcheck: {{test: 'true'}}");
    assert_fails("dies", &checked, "healthy").stderr_contains(&[
        "exited with code 7 while waiting for the health check",
        "| about to fail",
    ]);
    assert_fails("dies", params, "{exited: 0}").stderr_contains(&[
        "the container exited with code 7, but code 0 was expected",
        "| about to fail",
    ]);
    assert_fails("dies", params, "{port: 80}")
        .stderr_contains(&["exited with code 7 while waiting for port 80"]);
    assert_fails("dies", params, "{log: never}")
        .stderr_contains(&["exited with code 7 while waiting for a log line that matches `never`"]);
    let unhealthy = "command: sleep 1000, healthcheck: {test: 'echo no disk; exit 1', interval: 100ms, retries: 2}";
    assert_fails("sick", unhealthy, "{healthy: true, interval: 0.1}")
        .stderr_contains(&["the container is unhealthy: exit code 1: no disk"]);
}

#[test]
fn wait_times_out() {
    let run = assert_fails(
        "late",
        "command: sleep 1000",
        "{log: never, timeout: 0.5, interval: 0.1}",
    );
    run.stderr_contains(&[
        "timed out after 0.5 s waiting for a log line that matches `never`",
        "increase `timeout` in `wait_for`",
    ]);
}

#[test]
fn impossible_conditions_are_reported_by_validate() {
    let test = Test::new("never");
    let validate = |params: &str, wait: &str| {
        blueprint(&test, params, wait);
        test.run(&["validate"])
    };
    validate("healthcheck: {test: [NONE]}", "healthy")
        .exits_with(3)
        .stderr_contains(&["error[D0118]", "its health check is disabled"]);
    validate("host_config: {network_mode: none}", "{port: 80}")
        .exits_with(3)
        .stderr_contains(&["`network_mode` is none"]);
    validate("host_config: {restart_policy: always}", "{exited: 0}")
        .exits_with(3)
        .stderr_contains(&["its restart policy is always"]);
    validate("command: x", "healthy")
        .exits_with(0)
        .stderr_contains(&["warning[D0118]", "its image must have one"]);
    validate("command: x", "{prot: 80}")
        .exits_with(3)
        .stderr_contains(&["did you mean `port`?", "blueprint.yaml:13:37"]);
    validate("command: x", "[healthy, {log: '('}]")
        .exits_with(3)
        .stderr_contains(&["`wait_for.1.log` is not a valid regular expression"]);
    validate("command: x", "{port: 80, exited: 1}")
        .exits_with(3)
        .stderr_contains(&["write several conditions as a list"]);
}

#[test]
fn exit_is_detected_within_a_long_interval() {
    let start = Instant::now();
    assert_fails(
        "dead",
        "command: 'sh -c \"sleep 1; exit 9\"'",
        "{port: 80, interval: 50}",
    )
    .stderr_contains(&["exited with code 9"]);
    assert!(start.elapsed().as_secs() < 40, "{:?}", start.elapsed());
}

#[test]
fn wait_continues_while_the_engine_restarts_the_container() {
    let params = "command: 'sh -c \"if [ -e /tmp/again ]; then httpd -f -p 80; else touch /tmp/again; exit 1; fi\"', host_config: {restart_policy: always}";
    assert_installs("again", params, "{port: 80, interval: 0.1}");
    let dying =
        "command: 'sh -c \"echo last words; exit 6\"', host_config: {restart_policy: always}";
    assert_fails("dying", dying, "{port: 80, interval: 0.2}").stderr_contains(&[
        "exited with code 6 while waiting for port 80",
        "| last words",
    ]);
}

/// Podman shows a container as exited until it restarts it.
#[test]
fn container_between_two_restarts_has_not_ended() {
    let command = "[ -e /begun ] && { echo ready; exec sleep 1000; }; touch /begun; exit 3";
    let params = format!(
        "command: ['sh', '-c', '{command}'], host_config: {{restart_policy: {{Name: always}}}}"
    );
    assert_installs("restarts", &params, "{log: ^ready, interval: 0.02}");
}
