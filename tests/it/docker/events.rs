//! Requests during a wait: dockctl subscribes to engine events instead of polling.

use crate::{
    proxy::{Fault, Proxy},
    support::Test,
};

/// Number of containers; each becomes healthy after about two seconds.
const WAITERS: usize = 4;

fn blueprint(test: &Test) {
    let node = |n: usize| {
        format!(
            "  web{n}:
    type: cloudify.docker.Container
    properties: {{name: PREFIX-{n}, image: {{src: TARBALL, repository: dockctl-demo}}}}
    interfaces:
      cloudify.interfaces.lifecycle:
        create: {{inputs: {{params: {{command: 'sh -c \"sleep 2; touch /tmp/ok; sleep 1000\"', stop_timeout: 0, healthcheck: {{test: 'test -e /tmp/ok', interval: 1s, retries: 50}}}}}}}}
        start: {{inputs: {{wait_for: {{healthy: true, interval: 0.05}}}}}}
"
        )
    };
    test.blueprint(&("node_templates:\n".to_owned() + &(0..WAITERS).map(node).collect::<String>()));
}

/// Installs and uninstalls through the proxy. Returns a function that counts the requests of the
/// install that contain a text in their first line.
fn count_requests(
    test: &Test,
    proxy: &Proxy,
    fault: Option<(usize, Fault)>,
) -> impl Fn(&str) -> usize + use<> {
    proxy.arm(fault);
    test.run(&["install", "--host", &proxy.address()])
        .exits_with(0);
    let log = proxy.log();
    test.run(&["uninstall"]).exits_with(0);
    move |text| log.iter().filter(|(line, _)| line.contains(text)).count()
}

#[test]
fn waits_use_one_event_subscription() {
    let test = Test::in_memory("watch");
    blueprint(&test);
    let proxy = Proxy::start(&test.path("proxy.sock"), test.engine().socket());
    let count = count_requests(&test, &proxy, None);
    assert_eq!(
        count("/events"),
        1,
        "one event subscription for all containers"
    );
    // dockctl inspects a container at its start, at the beginning of the wait, and at each change
    // of its health. Polling every 50 ms for two seconds would inspect each one forty times.
    let inspections = count("GET /v1.41/containers/") - count("GET /v1.41/containers/json");
    assert!(
        inspections <= WAITERS * 8,
        "{inspections} requests for {WAITERS} containers"
    );
}

#[test]
fn waits_poll_an_engine_without_events() {
    let test = Test::in_memory("poll");
    blueprint(&test);
    let proxy = Proxy::start(&test.path("proxy.sock"), test.engine().socket());
    proxy.refuse("/events");
    let count = count_requests(&test, &proxy, None);
    let inspections = count("GET /v1.41/containers/") - count("GET /v1.41/containers/json");
    assert!(
        inspections > WAITERS * 8,
        "{inspections} requests for {WAITERS} containers"
    );
}
