//! `dockctl logs`.

use crate::{
    cli::{installed_pair, instance_id},
    support::{Test, eventually},
};
use serde_json::json;

#[test]
fn log_lines_are_prefixed_with_instance_ids() {
    let test = installed_pair("logs");
    let (db, web) = (instance_id(&test, "db"), instance_id(&test, "web"));
    let all = eventually("the logs", || {
        let all = test.run(&["logs"]).exits_with(0).stdout;
        (all.lines().count() == 3).then_some(all)
    });
    assert!(
        all.contains(&format!("{db}  | db says hello\n"))
            || all.contains(&format!("{db} | db says hello\n")),
        "{all}"
    );
    assert!(all.contains(&format!("{web} | web says hello\n")), "{all}");
    assert_eq!(
        test.run(&["logs", "web"]).exits_with(0).stdout,
        "web says hello\n",
        "a single instance has no prefix"
    );
    assert_eq!(
        test.run(&["logs", "db", "--tail", "1"])
            .exits_with(0)
            .stdout
            .lines()
            .count(),
        1
    );
    assert_eq!(
        test.run(&["logs", "--since", "2000-01-01T00:00:00Z", "--no-prefix"])
            .exits_with(0)
            .stdout
            .lines()
            .count(),
        3
    );
    let json = test
        .run(&["logs", "web", "--output", "json"])
        .exits_with(0)
        .json();
    assert_eq!(
        json["lines"],
        json!([{ "instance": web, "line": "web says hello" }])
    );
    assert!(
        test.run(&["logs", "--color", "always"])
            .exits_with(0)
            .stdout
            .contains("\x1b[38;5;33m")
    );
    test.run(&["logs", "--since", "soon"])
        .exits_with(2)
        .stderr_contains(&["`soon` is not a valid time"]);
    let mut follow = test.start(&["logs", "web", "--follow"]);
    let mut first = [0; 15];
    std::io::Read::read_exact(follow.stdout.as_mut().unwrap(), &mut first).unwrap();
    assert_eq!(&first, b"web says hello\n");
    test.docker(&["rm", "-f", &test.name("web")]);
    Test::wait(follow).exits_with(0);
    test.run(&["logs"]).exits_with(0).stderr_contains(&[
        &format!("note: the log of {web} is missing: container "),
        &format!(" of {web} no longer exists"),
    ]);
    test.run(&["logs", "web"]).exits_with(1).stderr_contains(&[
        "container ",
        &format!(" of {web} no longer exists"),
        "dockctl heal -d",
    ]);
}

/// Reads lines of a process until one equals `line`, and returns all of them.
fn read_until(process: &mut std::process::Child, line: &str) -> Vec<String> {
    let (sender, lines) = std::sync::mpsc::channel();
    let output = process.stdout.take().unwrap();
    std::thread::spawn(move || {
        for line in std::io::BufRead::lines(std::io::BufReader::new(output)) {
            if sender.send(line.unwrap_or_default()).is_err() {
                break;
            }
        }
    });
    let mut all = Vec::new();
    while all.last().is_none_or(|last| last != line) {
        let next = lines.recv_timeout(std::time::Duration::from_mins(1));
        all.push(next.unwrap_or_else(|_| panic!("no line `{line}` after {all:?}")));
    }
    all
}

#[test]
fn follow_continues_across_restarts_and_replacements() {
    let test = Test::new("follow");
    let blueprint = |text: &str| {
        test.blueprint(&format!(
            "node_templates:\n  web:\n    type: cloudify.docker.Container\n    properties: {{name: PREFIX-web, image: {{src: TARBALL, repository: dockctl-demo}}}}\n    interfaces:\n      cloudify.interfaces.lifecycle:\n        create: {{inputs: {{params: {{command: [sh, -c, 'echo {text}; exec sleep 1000'], stop_signal: SIGKILL}}}}}}\n"
        ));
    };
    blueprint("first");
    test.run(&["install"]).exits_with(0);
    let mut follow = test.start(&["logs", "--follow"]);
    let sender = {
        let name = test.name("web");
        move || {
            std::process::Command::new("docker")
                .args(["restart", "-t", "0", &name])
                .output()
        }
    };
    eventually("the first line", || {
        test.run(&["logs"]).stdout.contains("first").then_some(())
    });
    sender().unwrap();
    eventually("the second start", || {
        (test.run(&["logs"]).stdout.lines().count() == 2).then_some(())
    });
    test.run(&["restart"]).exits_with(0);
    blueprint("replaced");
    test.run(&["update", "--yes"]).exits_with(0);
    let lines = read_until(&mut follow, "replaced");
    assert_eq!(lines, ["first", "first", "first", "replaced"]);
    // A container that is missing at the start is followed as soon as it exists again.
    test.docker(&["rm", "-f", &test.name("web")]);
    let mut late = test.start(&["logs", "--follow"]);
    test.run(&["heal"]).exits_with(0);
    assert_eq!(read_until(&mut late, "replaced"), ["replaced"]);
    test.run(&["uninstall"]).exits_with(0);
    Test::wait(follow).exits_with(0);
    Test::wait(late).exits_with(0);
}

#[test]
fn one_log_that_cannot_be_read_does_not_hide_the_others() {
    let test = Test::new("unread");
    let node = |name: &str, config: &str| {
        format!(
            "  {name}:\n    type: cloudify.docker.Container\n    properties: {{name: PREFIX-{name}, image: {{src: TARBALL, repository: dockctl-demo}}}}\n    interfaces:\n      cloudify.interfaces.lifecycle:\n        create: {{inputs: {{params: {{command: [sh, -c, 'printf \"a\\\\377\\\\033[2Jb\\\\r\\\\n\"; exec sleep 1000'], stop_signal: SIGKILL, host_config: {{{config}}}}}}}}}\n"
        )
    };
    let silent = "log_config: {type: none}";
    test.blueprint(&format!(
        "node_templates:\n{}{}{}",
        node("loud", ""),
        node("mute", silent),
        node("gone", "")
    ));
    test.run(&["install"]).exits_with(0);
    test.docker(&["rm", "-f", &test.name("gone")]);
    let loud = instance_id(&test, "loud");
    let (mute, gone) = (instance_id(&test, "mute"), instance_id(&test, "gone"));
    let logs = eventually("the log", || {
        let logs = test.run(&["logs", "--output", "json"]).exits_with(0).json();
        (logs["lines"].as_array().unwrap().len() == 1).then_some(logs)
    });
    assert_eq!(logs["lines"][0]["instance"], loud);
    let missing: Vec<_> = logs["unavailable"].as_array().unwrap().iter().collect();
    let of =
        |id: &str| missing.iter().find(|it| it["instance"] == id).unwrap()["reason"].to_string();
    assert!(of(&gone).contains("no longer exists"), "{missing:?}");
    let reason = of(&mute);
    assert!(
        reason.contains("logging driver") || reason.contains("log driver"),
        "{reason}"
    );
    test.run(&["logs"]).exits_with(0).stderr_contains(&[
        &format!("note: the log of {gone} is missing: "),
        &format!("note: the log of {mute} is missing: "),
    ]);
    test.run(&["logs", "mute"]).exits_with(1);

    // Outside a terminal, bytes are unchanged. The log driver of Docker replaces those that are not
    // text.
    let raw = test.command(&["logs", "loud"]).output().unwrap().stdout;
    let expected = ["a\u{fffd}\u{1b}[2Jb\r\n".as_bytes(), b"a\xff\x1b[2Jb\r\n"];
    assert!(expected.contains(&&*raw), "{raw:?}");
}
