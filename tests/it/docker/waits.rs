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
fn installs(name: &str, params: &str, wait: &str) {
    let test = Test::new(name);
    blueprint(&test, params, wait);
    test.run(&["install"]).exits(0);
    test.run(&["plan", "--exit-code"]).exits(0);
    test.run(&["status", "--exit-code"]).exits(0);
    test.run(&["uninstall"]).exits(0);
    assert!(test.containers().is_empty());
}

#[track_caller]
fn fails(name: &str, params: &str, wait: &str) -> Run {
    let test = Test::new(name);
    blueprint(&test, params, wait);
    let begin = Instant::now();
    let run = test.run(&["install"]).exits(1);
    // The failure ends the wait: the default timeout of a condition is five minutes.
    assert!(begin.elapsed().as_secs() < 60, "{:?}", begin.elapsed());
    run
}

#[test]
fn a_container_becomes_healthy() {
    let params = "command: 'sh -c \"sleep 1; touch /tmp/ok; sleep 1000\"', healthcheck: {test: 'test -e /tmp/ok', interval: 200ms, retries: 50}";
    installs("healthy", params, "{healthy: true, interval: 0.1}");
}

#[test]
fn a_container_that_runs_to_its_end_is_done() {
    installs(
        "exited",
        "command: 'sh -c \"sleep 0.3; exit 3\"'",
        "{exited: 3, interval: 0.1}",
    );
}

#[test]
fn a_port_is_waited_for_until_something_listens() {
    let params = "command: 'sh -c \"sleep 1; httpd -f -p 8080\"'";
    installs("port", params, "{port: 8080, interval: 0.1}");
    installs(
        "published",
        &format!("{params}, host_config: {{port_bindings: {{8080: null}}}}"),
        "[{port: 8080, interval: 0.1}]",
    );
}

#[test]
fn a_line_of_the_log_is_waited_for() {
    let params =
        "command: 'sh -c \"echo starting; sleep 0.5; echo server ready on 80; sleep 1000\"'";
    installs(
        "log",
        params,
        "{log: '^server ready on \\d+$', interval: 0.1, timeout: 1m}",
    );
    installs(
        "tty",
        &format!("{params}, tty: true"),
        "{log: 'ready on \\d+$', interval: 0.1}",
    );
}

#[test]
fn a_container_that_dies_ends_the_wait_at_once_with_all_that_is_known() {
    let params = "command: 'sh -c \"echo about to fail; exit 7\"'";
    fails("dies", params, "healthy")
        .says(&["the container has no health check, so it never becomes healthy"]);
    let checked = format!("{params}, healthcheck: {{test: 'true'}}");
    fails("dies", &checked, "healthy").says(&[
        "the container exited with code 7 while waiting for `healthy`",
        "| about to fail",
    ]);
    fails("dies", params, "{exited: 0}").says(&[
        "the container exited with code 7, but code 0 was expected",
        "| about to fail",
    ]);
    fails("dies", params, "{port: 80}")
        .says(&["the container exited with code 7 while waiting for `port 80`"]);
    fails("dies", params, "{log: never}")
        .says(&["the container exited with code 7 while waiting for `log never`"]);
    let sick = "command: sleep 1000, healthcheck: {test: 'echo no disk; exit 1', interval: 100ms, retries: 2}";
    fails("sick", sick, "{healthy: true, interval: 0.1}")
        .says(&["the container is unhealthy: exit code 1: no disk"]);
}

#[test]
fn a_wait_is_over_when_its_time_is() {
    let said = fails(
        "late",
        "command: sleep 1000",
        "{log: never, timeout: 0.5, interval: 0.1}",
    );
    said.says(&[
        "timed out after 0.5 s waiting for `log never`",
        "increase `timeout` of the condition",
    ]);
}

#[test]
fn what_can_never_be_is_told_before_anything_is_done() {
    let test = Test::new("never");
    let validate = |params: &str, wait: &str| {
        blueprint(&test, params, wait);
        test.run(&["validate"])
    };
    validate("healthcheck: {test: [NONE]}", "healthy")
        .exits(3)
        .says(&["error[D0118]", "its health check is disabled"]);
    validate("host_config: {network_mode: none}", "{port: 80}")
        .exits(3)
        .says(&["`network_mode` is none"]);
    validate("host_config: {restart_policy: always}", "{exited: 0}")
        .exits(3)
        .says(&["its restart policy is always"]);
    validate("command: x", "healthy")
        .exits(0)
        .says(&["warning[D0118]", "its image must have one"]);
    validate("command: x", "{prot: 80}")
        .exits(3)
        .says(&["did you mean `port`?", "blueprint.yaml:13:37"]);
    validate("command: x", "[healthy, {log: '('}]")
        .exits(3)
        .says(&["`wait_for.1.log` is not a valid regular expression"]);
    validate("command: x", "{port: 80, exited: 1}")
        .exits(3)
        .says(&["write several conditions as a list"]);
}

#[test]
fn a_long_interval_does_not_hide_that_the_container_is_dead() {
    let begin = Instant::now();
    fails(
        "dead",
        "command: 'sh -c \"sleep 1; exit 9\"'",
        "{port: 80, interval: 50}",
    )
    .says(&["exited with code 9"]);
    assert!(begin.elapsed().as_secs() < 40, "{:?}", begin.elapsed());
}

#[test]
fn a_container_that_comes_up_at_the_second_try_is_waited_for() {
    let params = "command: 'sh -c \"if [ -e /tmp/again ]; then httpd -f -p 80; else touch /tmp/again; exit 1; fi\"', host_config: {restart_policy: always}";
    installs("again", params, "{port: 80, interval: 0.1}");
    let dying =
        "command: 'sh -c \"echo last words; exit 6\"', host_config: {restart_policy: always}";
    fails("dying", dying, "{port: 80, interval: 0.2}").says(&[
        "exited with code 6 while waiting for `port 80`",
        "| last words",
    ]);
}
