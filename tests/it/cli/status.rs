//! `dockctl status`.

use crate::{
    cli::{installed_pair, session::send_signal},
    proxy::Proxy,
    support::Test,
};
use std::io::{BufRead as _, BufReader};

#[test]
fn status_watch_refreshes() {
    let test = installed_pair("again-status");
    let mut child = test.start(&["status", "--watch=0.1"]);
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut headers = lines
        .map_while(Result::ok)
        .filter(|mask_line| mask_line.starts_with("INSTANCE"));
    assert_eq!(headers.by_ref().take(3).count(), 3);
    send_signal(child.id(), "INT");
    Test::wait(child).exits_with(0);
}

#[test]
fn recovered_deployment_has_no_drift() {
    let test = installed_pair("recovered");
    test.run(&["scale", "web", "--to", "2"]).exits_with(0);
    std::fs::rename(test.path("state"), test.path("lost")).unwrap();
    test.run(&["plan"])
        .exits_with(1)
        .stderr_contains(&["this state directory has no record of", "dockctl recover"]);
    test.run(&["status", "--exit-code"]).exits_with(0);
    test.run(&["recover"]).exits_with(0);
    test.run(&["status", "--exit-code"]).exits_with(0);
    assert!(
        test.run(&["heal"])
            .exits_with(0)
            .stdout
            .contains("no instance needs repair")
    );
    assert_eq!(
        test.containers(),
        [
            "PREFIX-db running",
            "PREFIX-web running",
            "PREFIX-web-1 running"
        ]
    );
}

#[test]
fn read_only_commands_send_only_get_requests() {
    let test = installed_pair("reads");
    let proxy = Proxy::start(&test.path("proxy.sock"), test.engine().socket());
    test.docker(&["kill", &test.name("web")]);
    let host = proxy.address();
    let file = test.path("plan.json").display().to_string();
    let commands: [&[&str]; 8] = [
        &["plan"],
        &["plan", "--out", &file],
        &["plan", "--output", "markdown"],
        &["status"],
        &["list", "--all"],
        &["outputs"],
        &["logs"],
        &["graph", "--live"],
    ];
    for command in commands {
        proxy.arm(None);
        test.run(&[command, &["--host", &host]].concat())
            .exits_with(0);
        let log = proxy.log();
        assert!(!log.is_empty(), "{command:?}");
        assert!(
            log.iter()
                .all(|(mask_line, _)| mask_line.starts_with("GET ")
                    || mask_line.starts_with("HEAD ")),
            "{command:?}: {log:?}"
        );
    }
}

#[test]
fn deleted_instances_of_a_partial_uninstall_are_not_missing() {
    let test = installed_pair("partial");
    test.run(&["execute", "uninstall", "-p", "node_ids=[web]"])
        .exits_with(0);
    let status = test
        .run(&["status", "--exit-code", "--output", "json"])
        .exits_with(0)
        .json();
    let web = &status["instances"]
        .as_array()
        .unwrap()
        .iter()
        .find(|it| it["node"] == "web")
        .unwrap()
        .clone();
    assert_eq!(
        (&web["state"], &web["drift"]),
        (&"deleted".into(), &serde_json::json!([]))
    );
    test.run(&["uninstall"]).exits_with(0);
}

/// `status` and an install without work list each kind of object once, and inspect only the
/// containers of the deployment.
#[test]
fn reading_commands_ask_for_one_list_of_each_kind() {
    let test = installed_pair("requests");
    let foreign = test.create_foreign("guest", &["sleep", "1000"]);
    let proxy = Proxy::start(&test.path("proxy.sock"), test.engine().socket());
    let host = proxy.address();
    for command in ["status", "install"] {
        proxy.arm(None);
        test.run(&[command, "--host", &host]).exits_with(0);
        let log: Vec<String> = proxy.log().into_iter().map(|(line, _)| line).collect();
        let count = |text: &str| log.iter().filter(|line| line.contains(text)).count();
        assert_eq!(count("/containers/json"), 1, "{command}: {log:?}");
        assert_eq!(count("/containers/") - 1, 2, "{command}: {log:?}");
        assert_eq!(count(&foreign), 0, "{command}: {log:?}");
        assert!(log.len() <= 5, "{command}: {log:?}");
    }
}
