//! `dockctl status` and the tables.

use crate::{
    cli::{PAIR, installed, session::signal},
    docker::watch::proxy::Proxy,
    support::Test,
};
use std::io::{BufRead as _, BufReader};

/// A text without what differs from run to run: ids, times, names.
fn settled(test: &Test, text: &str) -> String {
    let ages = |word: &str| {
        let is_age = word.len() > 1
            && word.ends_with(['s', 'm', 'h'])
            && word[..word.len() - 1].chars().all(|c| c.is_ascii_digit());
        if is_age {
            "AGE".to_owned()
        } else {
            word.to_owned()
        }
    };
    let word = |word: &str| match word {
        _ if word.len() == 12 && word.chars().all(|c| c.is_ascii_hexdigit()) => {
            "CONTAINERID".to_owned()
        }
        _ if word.len() == 20 && word.ends_with('Z') => "TIME".to_owned(),
        _ if word.starts_with('/') => "PATH".to_owned(),
        _ => ages(word),
    };
    let text = text.replace(&test.prefix, "PREFIX");
    let line = |line: &str| {
        line.split_whitespace()
            .map(word)
            .collect::<Vec<_>>()
            .join("  ")
    };
    text.lines().map(|text| line(text) + "\n").collect()
}

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
fn tables_are_as_people_know_them() {
    let test = Test::fake("tables");
    test.blueprint(PAIR);
    let run = |arguments: &[&str]| {
        let run = test.run(&[arguments, &["--seed", "7", "--progress", "quiet"]].concat());
        settled(&test, &run.stdout)
    };
    let plan = run(&["plan", "--steps"]);
    let installed = run(&["install"]);
    let installed = installed
        .split(" after ")
        .next()
        .unwrap()
        .trim_end()
        .to_owned();
    test.docker(&["kill", &test.name("web")]);
    let list = run(&["list"]);
    let listed: Vec<&str> = list
        .lines()
        .filter(|line| line.starts_with("DEPLOYMENT") || line.starts_with("PREFIX"))
        .collect();
    let executions = test
        .run(&["executions", "--output", "json"])
        .exits(0)
        .json();
    let id = executions["executions"][0]["id"].as_str().unwrap();
    let history = run(&["executions"]).replace(id, "EXECUTION");
    let all = [
        plan,
        installed,
        run(&["status"]),
        run(&["plan"]),
        listed.join("\n"),
        history,
        run(&["outputs"]),
    ];
    insta::assert_snapshot!("tables", all.join("\n---\n"));
}

#[test]
fn what_labels_tell_is_no_drift() {
    let test = installed("told");
    test.run(&["scale", "web", "--to", "2"]).exits(0);
    std::fs::rename(test.path("state"), test.path("lost")).unwrap();
    test.run(&["plan"])
        .exits(1)
        .says(&["this state folder does not know", "dockctl recover"]);
    test.run(&["status", "--exit-code"]).exits(0);
    test.run(&["recover"]).exits(0);
    test.run(&["status", "--exit-code"]).exits(0);
    assert!(test.run(&["heal"]).exits(0).stdout.contains("all is well"));
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
