//! `dockctl status`.

use crate::{
    cli::{installed, session::signal},
    docker::watch::proxy::Proxy,
    support::Test,
};
use std::io::{BufRead as _, BufReader};

#[test]
fn status_is_shown_again_and_again() {
    let test = installed("again-status");
    let mut child = test.start(&["status", "--watch=0.1"]);
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut heads = lines
        .map_while(Result::ok)
        .filter(|line| line.starts_with("INSTANCE"));
    assert_eq!(heads.by_ref().take(3).count(), 3);
    signal(child.id(), "INT");
    Test::end(child).exits(0);
}

#[test]
fn what_labels_tell_is_no_drift() {
    let test = installed("recovered");
    test.run(&["scale", "web", "--to", "2"]).exits(0);
    std::fs::rename(test.path("state"), test.path("lost")).unwrap();
    test.run(&["plan"])
        .exits(1)
        .says(&["this state directory has no record of", "dockctl recover"]);
    test.run(&["status", "--exit-code"]).exits(0);
    test.run(&["recover"]).exits(0);
    test.run(&["status", "--exit-code"]).exits(0);
    assert!(
        test.run(&["heal"])
            .exits(0)
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
fn what_only_reads_sends_nothing_but_get() {
    let test = installed("reads");
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
        test.run(&[command, &["--host", &host]].concat()).exits(0);
        let log = proxy.log();
        assert!(!log.is_empty(), "{command:?}");
        assert!(
            log.iter()
                .all(|(line, _)| line.starts_with("GET ") || line.starts_with("HEAD ")),
            "{command:?}: {log:?}"
        );
    }
}
