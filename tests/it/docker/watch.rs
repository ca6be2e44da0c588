//! Requests during a wait: dockctl subscribes to engine events instead of polling.

#[path = "../../sweep/proxy.rs"]
#[allow(dead_code, reason = "the sweeps use the rest")]
pub(crate) mod proxy;

use crate::support::Test;
use proxy::{Fault, Proxy};

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
fn asked(
    test: &Test,
    proxy: &Proxy,
    fault: Option<(usize, Fault)>,
) -> impl Fn(&str) -> usize + use<> {
    proxy.arm(fault);
    test.run(&["install", "--host", &proxy.address()]).exits(0);
    let log = proxy.log();
    test.run(&["uninstall"]).exits(0);
    move |text| log.iter().filter(|(line, _)| line.contains(text)).count()
}

#[test]
fn while_the_engine_tells_nobody_asks() {
    let test = Test::fake("watch");
    blueprint(&test);
    let proxy = Proxy::start(&test.path("proxy.sock"), test.engine().socket());
    let asked_for = asked(&test, &proxy, None);
    assert_eq!(
        asked_for("/events"),
        1,
        "one event subscription for all containers"
    );
    // dockctl inspects a container at its start, at the beginning of the wait, and at each change
    // of its health. Polling every 50 ms for two seconds would inspect each one forty times.
    let looks = asked_for("GET /v1.41/containers/") - asked_for("GET /v1.41/containers/json");
    assert!(
        looks <= WAITERS * 8,
        "{looks} requests for {WAITERS} containers"
    );
}

#[test]
fn an_engine_that_does_not_tell_is_asked() {
    let test = Test::fake("poll");
    blueprint(&test);
    let proxy = Proxy::start(&test.path("proxy.sock"), test.engine().socket());
    proxy.refuse("/events");
    let asked_for = asked(&test, &proxy, None);
    let looks = asked_for("GET /v1.41/containers/") - asked_for("GET /v1.41/containers/json");
    assert!(
        looks > WAITERS * 8,
        "{looks} requests for {WAITERS} containers"
    );
}
