//! Living with a deployment: start, stop, restart, scale, heal, execute, status, logs, exec, graph,
//! and what reads only.

use crate::{
    docker::watching::proxy::Proxy,
    private::Private,
    support::{Test, docker, eventually},
};
use serde_json::{Value as Json, json};
use std::{
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

/// `web` needs `db`.
const PAIR: &str = "node_templates:
  db:
    type: cloudify.docker.Container
    properties: {name: PREFIX-db, image: {src: TARBALL, repository: dockctl-demo}}
    interfaces:
      cloudify.interfaces.lifecycle:
        create: {inputs: {params: {command: sh -c 'echo db says hello; echo db complains >&2; sleep 1000', stop_timeout: 0, host_config: {restart_policy: {Name: 'no'}}}}}
  web:
    type: cloudify.docker.Container
    properties: {name: PREFIX-web, image: {src: TARBALL, repository: dockctl-demo}}
    interfaces:
      cloudify.interfaces.lifecycle:
        create: {inputs: {params: {command: sh -c 'echo web says hello; sleep 1000', stop_timeout: 0}}}
    relationships: [{type: cloudify.relationships.connected_to, target: db}]
outputs:
  web-url: {value: \"it's here\"}
";

fn installed(name: &str) -> Test {
    let test = Test::new(name);
    test.blueprint(PAIR);
    test.run(&["install"]).exits(0);
    test
}

fn instance(test: &Test, node: &str) -> String {
    let status = test.run(&["status", "--output", "json"]).exits(0).json();
    let found = status["instances"]
        .as_array()
        .unwrap()
        .iter()
        .find(|it| it["node"] == node)
        .unwrap()["id"]
        .clone();
    found.as_str().unwrap().to_owned()
}

fn drift(test: &Test) -> Vec<String> {
    let status = test.run(&["status", "--output", "json"]).exits(0).json();
    status["instances"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["drift"].to_string())
        .collect()
}

#[test]
fn what_is_stopped_rests_until_it_is_started() {
    let test = installed("rests");
    let run = test.run(&["stop", "--progress", "plain"]).exits(0);
    assert!(
        run.stderr.find("[web_").unwrap() < run.stderr.find("[db_").unwrap(),
        "who needs others stops first:\n{}",
        run.stderr
    );
    assert_eq!(test.containers(), ["PREFIX-db exited", "PREFIX-web exited"]);
    assert_eq!(drift(&test), ["[]", "[]"], "that is as it should be");
    assert!(test.run(&["heal"]).exits(0).stdout.contains("all is well"));
    assert!(
        test.run(&["stop"])
            .exits(0)
            .stdout
            .contains("nothing of it runs")
    );
    test.run(&["start", "db"]).exits(0);
    assert_eq!(
        test.containers(),
        ["PREFIX-db running", "PREFIX-web exited"]
    );
    let run = test.run(&["start", "--progress", "plain"]).exits(0);
    assert!(!run.stderr.contains("create"), "{}", run.stderr);
    let started = test.inspect("db", "{{.State.StartedAt}}");
    test.run(&["restart", &test.name("db")]).exits(0);
    assert_ne!(test.inspect("db", "{{.State.StartedAt}}"), started);
    test.run(&["stop", "wbe"])
        .exits(2)
        .says(&["there is no instance or node `wbe`", "did you mean `web`?"]);
    test.run(&["uninstall"]).exits(0);
    assert!(test.containers().is_empty());
}

#[test]
fn adopted_containers_are_stopped_only_by_name() {
    let test = Test::new("named");
    test.foreign("old", &["sleep", "1000"]);
    test.blueprint(
        "node_templates:\n  old: {type: cloudify.docker.Container, properties: {name: PREFIX-old, use_external_resource: true}}\n",
    );
    test.run(&["install"]).exits(0);
    test.run(&["stop"]).exits(0);
    assert_eq!(test.containers(), ["PREFIX-old running"]);
    test.run(&["stop", "old"]).exits(0);
    assert_eq!(test.containers(), ["PREFIX-old exited"]);
    test.run(&["scale", "old", "--to", "2"])
        .exits(2)
        .says(&["was adopted"]);
}

#[test]
fn nodes_are_scaled_and_stay_so() {
    let test = installed("scaled");
    test.run(&["scale", "web", "--to", "3"]).exits(0);
    assert_eq!(
        test.containers(),
        [
            "PREFIX-db running",
            "PREFIX-web running",
            "PREFIX-web-1 running",
            "PREFIX-web-2 running"
        ]
    );
    assert!(
        test.run(&["install"])
            .exits(0)
            .stdout
            .contains("up to date"),
        "what was scaled is no change of the blueprint"
    );
    let first = instance(&test, "web");
    test.run(&["scale", "web", "--delta", "-1"]).exits(0);
    assert_eq!(
        test.containers(),
        [
            "PREFIX-db running",
            "PREFIX-web running",
            "PREFIX-web-1 running"
        ],
        "the highest goes first"
    );
    test.run(&["scale", "web", "--to", "1", "--remove", &first])
        .exits(0);
    assert_eq!(
        test.containers(),
        ["PREFIX-db running", "PREFIX-web-1 running"]
    );
    test.run(&["scale", "web", "--to", "1"]).exits(0);
    test.run(&[
        "execute",
        "scale",
        "-p",
        "scalable_entity_name=web",
        "-p",
        "delta=1",
    ])
    .exits(0);
    assert_eq!(test.containers().len(), 3);
    test.run(&["scale", "nope", "--to", "1"])
        .exits(2)
        .says(&["no node or scaling group `nope`"]);
    test.run(&["scale", "web", "--delta", "-9"])
        .exits(2)
        .says(&["-9 would make -7"]);
    test.run(&["scale", "web", "--to", "9", "--keep", &first])
        .exits(2)
        .says(&["there is no instance or node"]);
    test.run(&["uninstall"]).exits(0);
    assert!(test.containers().is_empty());
}

#[test]
fn what_cannot_be_scaled_out_is_taken_back() {
    let test = Test::new("backs");
    test.blueprint(
        &PAIR
            .replace(
                "command: sh -c 'echo web says hello; sleep 1000'",
                "command: sh -c 'test $HOSTNAME = PREFIX-web || exit 3; sleep 1000'",
            )
            .replace(
                "stop_timeout: 0}}}\n    relationships",
                "stop_timeout: 0}}}\n        start: {inputs: {processes_to_wait_for: [sleep], retry_interval: 0.05}}\n    relationships",
            ),
    );
    test.run(&["install"]).exits(0);
    test.run(&["scale", "web", "--to", "2"])
        .exits(1)
        .says(&["ended with exit code 3"]);
    assert_eq!(
        test.containers(),
        ["PREFIX-db running", "PREFIX-web running"]
    );
    assert!(
        test.run(&["install"])
            .exits(0)
            .stdout
            .contains("up to date"),
        "the deployment is what it was"
    );
    let port = PAIR.replace(
        "command: sh -c 'echo web",
        "ports: [80], host_config: {port_bindings: {80: 18980}}, command: sh -c 'echo web",
    );
    let test = Test::new("port");
    test.blueprint(&port);
    test.run(&["install"]).exits(0);
    test.run(&["scale", "web", "--to", "2"])
        .exits(3)
        .says(&["publishes port 18980 of the host", "a range of ports"]);
}

#[test]
fn what_died_is_started_and_what_is_gone_is_made() {
    let test = installed("heals");
    docker(&["rm", "-f", &test.name("db")]);
    docker(&["kill", &test.name("web")]);
    assert_eq!(drift(&test), ["[\"missing\"]", "[\"stopped\"]"]);
    let web = test.inspect("web", "{{.Id}}");
    test.run(&["status", "--exit-code"]).exits(6);
    test.run(&["heal", "--once"]).exits(0);
    assert_eq!(
        test.containers(),
        ["PREFIX-db running", "PREFIX-web running"]
    );
    assert_eq!(
        test.inspect("web", "{{.Id}}"),
        web,
        "who needs it is not made anew"
    );
    test.run(&["status", "--exit-code"]).exits(0);
}

#[test]
fn what_somebody_changed_is_told_and_put_right() {
    let test = installed("changed");
    docker(&["update", "--restart", "always", &test.name("db")]);
    docker(&["rename", &test.name("web"), &test.name("other")]);
    let status = test.run(&["status"]).exits(0).stdout;
    assert!(
        status.contains("RestartPolicy: {\"Name\":\"no\"} → {\"Name\":\"always\""),
        "{status}"
    );
    assert!(
        status.contains(&format!(
            "name: \"{}\" → \"{}\"",
            test.name("web"),
            test.name("other")
        )),
        "{status}"
    );
    let plan = test.run(&["plan", "--exit-code"]).exits(6).stdout;
    assert!(
        plan.contains("update in place: somebody changed it"),
        "{plan}"
    );
    test.run(&["install"]).exits(0);
    assert_eq!(
        test.inspect("db", "{{.HostConfig.RestartPolicy.Name}}"),
        "no"
    );
    assert_eq!(
        test.containers(),
        ["PREFIX-db running", "PREFIX-web running"]
    );
    test.run(&["plan", "--exit-code"]).exits(0);
}

#[test]
fn the_watch_mends_what_dies_and_leaves_alone_what_is_stopped() {
    let test = installed("watched");
    let mut watch = test.command(&["heal", "--watch", "--cool-down", "0.1", "--budget", "2"]);
    let log = test.path("watch.log");
    let mut watch = watch
        .stderr(std::fs::File::create(&log).unwrap())
        .spawn()
        .unwrap();
    let said = |text: &str| {
        std::fs::read_to_string(&log)
            .unwrap()
            .contains(text)
            .then_some(())
    };
    eventually("the watch", || said("watching 2 containers"));
    std::thread::sleep(Duration::from_millis(500));
    let crash = || {
        let pid = test.inspect("web", "{{.State.Pid}}");
        assert!(
            Command::new("kill")
                .args(["-KILL", &pid])
                .status()
                .unwrap()
                .success()
        );
    };
    let runs_again = |than: &str| {
        eventually("web", || {
            (test.inspect("web", "{{.State.Running}} {{.State.StartedAt}}") != than
                && test.inspect("web", "{{.State.Running}}") == "true")
                .then_some(())
        })
    };
    for _ in 0..2 {
        let before = test.inspect("web", "{{.State.Running}} {{.State.StartedAt}}");
        crash();
        runs_again(&before);
        std::thread::sleep(Duration::from_millis(300));
    }
    crash();
    eventually("the end of the budget", || {
        said("was mended 2 times within an hour")
    });
    assert_eq!(test.inspect("web", "{{.State.Running}}"), "false");
    docker(&["stop", "-t", "0", &test.name("db")]);
    eventually("the stop", || said("was stopped on purpose"));
    std::thread::sleep(Duration::from_millis(700));
    assert_eq!(test.inspect("db", "{{.State.Running}}"), "false");
    // It is held only while something is mended.
    test.run(&["start", "db"]).exits(0);
    Command::new("kill")
        .args(["-INT", &watch.id().to_string()])
        .status()
        .unwrap();
    assert!(watch.wait().unwrap().success());
}

/// A watch with what it says, until the test is over.
struct Watch {
    process: std::process::Child,
    log: std::path::PathBuf,
}

impl Watch {
    fn start(test: &Test, host: &str) -> Self {
        let log = test.path("watch.log");
        let mut command = test.command(&[
            "heal",
            "--watch",
            "--cool-down",
            "0.1",
            "--budget",
            "9",
            "--host",
            host,
        ]);
        let process = command
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let watch = Self { process, log };
        watch.says("watching");
        // The subscription follows.
        std::thread::sleep(Duration::from_millis(700));
        watch
    }

    fn text(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    fn says(&self, text: &str) {
        eventually(text, || self.text().contains(text).then_some(()));
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn what_an_engine_ends_with_itself_is_started_again_and_what_a_person_stopped_is_not() {
    let test = Test::new("reboot");
    let engine = Private::isolated(&test);
    // One ends at the first signal to stop, one is deaf until it is killed, one is stopped by a
    // person just before.
    let node = |name: &str, command: &str| {
        format!(
            "  {name}:\n    type: cloudify.docker.Container\n    properties: {{name: PREFIX-{name}, image: {{repository: dockctl-demo}}}}\n    interfaces: {{cloudify.interfaces.lifecycle: {{create: {{inputs: {{params: {{command: {command}, stop_timeout: 2, host_config: {{network_mode: none}}}}}}}}}}}}\n"
        )
    };
    let prompt = "[sh, -c, \"trap 'exit 0' TERM; sleep 1000 & wait\"]";
    test.blueprint(&format!(
        "node_templates:\n{}{}{}",
        node("quick", prompt),
        node("deaf", "sleep 1000"),
        node("rests", prompt)
    ));
    test.run(&["install", "--host", &engine.socket]).exits(0);
    let watch = Watch::start(&test, &engine.socket);
    let runs = |name: &str| {
        engine.docker(&["inspect", "-f", "{{.State.Running}}", &test.name(name)]) == "true"
    };
    engine.docker(&["stop", &test.name("rests")]);
    watch.says("was stopped on purpose");
    engine.restart()();
    eventually("the others", || {
        (runs("quick") && runs("deaf")).then_some(())
    });
    std::thread::sleep(Duration::from_millis(700));
    assert!(!runs("rests"), "{}", watch.text());
    assert_eq!(
        watch.text().matches("was stopped on purpose").count(),
        1,
        "{}",
        watch.text()
    );
}

#[test]
fn workflows_and_operations_are_executed() {
    let test = installed("execute");
    let started = test.inspect("db", "{{.State.StartedAt}}");
    test.run(&["execute", "restart", "-p", "node_ids=db"])
        .exits(0);
    assert_ne!(test.inspect("db", "{{.State.StartedAt}}"), started);
    let id = test.inspect("web", "{{.Id}}");
    test.run(&["execute", "reinstall", "-p", "node_ids:=[web]"])
        .exits(0);
    assert_ne!(test.inspect("web", "{{.Id}}"), id);
    test.run(&[
        "execute-operation",
        "cloudify.interfaces.lifecycle.stop",
        "--node",
        "web",
    ])
    .exits(0);
    assert_eq!(
        test.containers(),
        ["PREFIX-db running", "PREFIX-web exited"]
    );
    assert_eq!(
        drift(&test)[1],
        "[\"stopped\"]",
        "only dockctl stop is remembered"
    );
    test.run(&["heal"]).exits(0);
    test.run(&["execute", "check_status"]).exits(0);
    test.run(&["execute", "check_drift"]).exits(0);
    docker(&["kill", &test.name("web")]);
    docker(&["update", "--restart", "always", &test.name("db")]);
    test.run(&["execute", "check_status"])
        .exits(1)
        .says(&["check_status failed: it is exited"]);
    test.run(&["execute", "check_drift"])
        .exits(1)
        .says(&["check_drift failed: somebody changed it: RestartPolicy"]);
    test.run(&["heal"]).exits(0);
    test.run(&["execute", "restrat"])
        .exits(2)
        .says(&["there is no workflow `restrat`", "did you mean `restart`?"]);
    test.run(&["execute", "restart", "-p", "nodes=db"])
        .exits(2)
        .says(&["takes no parameter `nodes`; it takes: "]);
    test.run(&["execute-operation", "strat"])
        .exits(2)
        .says(&["there is no operation `strat`"]);
    test.run(&["execute-operation", "lifecycle.stop", "--node", "wbe"])
        .exits(2)
        .says(&["there is no node `wbe`", "did you mean `web`?"]);
    test.run(&["execute-operation", "lifecycle.stop", "--type", "nope"])
        .exits(2)
        .says(&["there is no type of a node `nope`"]);
    test.run(&[
        "execute-operation",
        "lifecycle.stop",
        "--kwarg",
        "params:={timeout: 0}",
    ])
    .exits(3)
    .says(&["allow_kwargs_override"]);
}

#[test]
fn a_workflow_of_the_blueprint_brings_its_parameters() {
    let test = Test::new("declared");
    let workflows = "workflows:\n  bounce: {mapping: default_workflows.cloudify.plugins.workflows.restart, parameters: {node_ids: {default: [web]}}}\n  own: {mapping: default_workflows.my.module.run, parameters: {x: {}}}\n  asks: {mapping: default_workflows.cloudify.plugins.workflows.start, parameters: {size: {}}}\n";
    test.blueprint(&format!("{PAIR}{workflows}"));
    test.run(&["install"]).exits(0);
    let (db, web) = (
        test.inspect("db", "{{.State.StartedAt}}"),
        test.inspect("web", "{{.State.StartedAt}}"),
    );
    test.run(&["execute", "bounce"]).exits(0);
    assert_eq!(test.inspect("db", "{{.State.StartedAt}}"), db);
    assert_ne!(test.inspect("web", "{{.State.StartedAt}}"), web);
    test.run(&["execute", "own"])
        .exits(3)
        .says(&["`my.module.run` of the plugin `default_workflows`, which dockctl does not have"]);
    test.run(&["execute", "asks"])
        .exits(2)
        .says(&["needs the parameter `size`"]);
}

#[test]
fn every_workflow_can_be_executed() {
    let test = installed("every");
    let outcome = |words: &[&str]| {
        let run = test
            .run(&[&["execute", "--output", "json"], words].concat())
            .exits(0);
        run.json()["execution"]["outcome"].clone()
    };
    assert_eq!(outcome(&["install"]), Json::Null, "nothing to do");
    assert_eq!(outcome(&["update"]), Json::Null, "nothing to do");
    assert_eq!(
        outcome(&["scale", "-p", "scalable_entity_name=web", "-p", "delta=1"]),
        "terminated"
    );
    assert_eq!(
        test.containers(),
        [
            "PREFIX-db running",
            "PREFIX-web running",
            "PREFIX-web-1 running"
        ]
    );
    assert_eq!(
        outcome(&["scale", "-p", "node_id=web", "-p", "delta=-1"]),
        "terminated"
    );
    assert_eq!(outcome(&["stop", "-p", "node_ids=web"]), "terminated");
    assert_eq!(
        test.containers(),
        ["PREFIX-db running", "PREFIX-web exited"]
    );
    assert_eq!(outcome(&["start", "-p", "node_ids=web"]), "terminated");
    assert_eq!(outcome(&["rollback"]), "terminated", "nothing is half made");
    assert_eq!(
        test.containers(),
        ["PREFIX-db running", "PREFIX-web running"]
    );
    assert_eq!(
        outcome(&[
            "heal",
            "-p",
            &format!("node_instance_id={}", instance(&test, "web"))
        ]),
        Json::Null,
        "it is well"
    );
    test.run(&["execute", "heal", "-p", "node_instance_id=wbe"])
        .exits(2)
        .says(&["there is no instance or node `wbe`"]);
    let nothing = test
        .run(&["execute", "restart", "-p", "node_ids=nope"])
        .exits(0);
    assert!(
        nothing
            .stdout
            .contains("nothing to do, the filters match no instance"),
        "{}",
        nothing.stdout
    );
    assert_eq!(outcome(&["uninstall"]), "terminated");
    assert!(test.containers().is_empty());
    assert_eq!(outcome(&["uninstall"]), Json::Null, "nothing is there");
    assert_eq!(outcome(&["install"]), "terminated");
}

#[test]
fn what_is_protected_is_not_deleted_without_a_word() {
    let test = Test::new("protect");
    test.blueprint(&format!("metadata: {{dockctl: {{protect: [db]}}}}\n{PAIR}"));
    test.run(&["install"]).exits(0);
    for command in [
        &["uninstall"][..],
        &["reinstall"],
        &["scale", "db", "--to", "0"],
    ] {
        test.run(command)
            .exits(2)
            .says(&["this deletes what the blueprint protects: db", "--yes"]);
    }
    assert_eq!(
        test.containers(),
        ["PREFIX-db running", "PREFIX-web running"]
    );
    test.run(&["reinstall", "web"]).exits(0);
    // A network cannot be changed but by taking it down first.
    let net = "node_templates:\n  net: {type: dockctl.nodes.Network, properties: {name: PREFIX-net, internal: INTERNAL}}\n";
    let protected = format!(
        "  - plugin:dockctl\nmetadata: {{dockctl: {{protect: [net]}}}}\n{}",
        PAIR.replacen("node_templates:\n", net, 1)
    );
    test.blueprint(&protected.replace("INTERNAL", "false"));
    test.run(&["update"]).exits(0);
    test.blueprint(&protected.replace("INTERNAL", "true"));
    let plan = test.run(&["plan"]).exits(0);
    assert!(
        plan.stdout
            .contains("protected: this deletes containers or data of net"),
        "{}",
        plan.stdout
    );
    test.run(&["uninstall", "--yes"]).exits(0);
    assert!(test.containers().is_empty());
}

#[test]
fn what_only_reads_sends_nothing_but_get() {
    let test = installed("reads");
    let proxy = Proxy::start(&test.path("proxy.sock"), Path::new("/var/run/docker.sock"));
    docker(&["kill", &test.name("web")]);
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

#[test]
fn logs_have_names_before_them() {
    let test = installed("logs");
    let (db, web) = (instance(&test, "db"), instance(&test, "web"));
    let all = eventually("the logs", || {
        let all = test.run(&["logs"]).exits(0).stdout;
        (all.lines().count() == 3).then_some(all)
    });
    assert!(
        all.contains(&format!("{db}  | db says hello\n"))
            || all.contains(&format!("{db} | db says hello\n")),
        "{all}"
    );
    assert!(all.contains(&format!("{web} | web says hello\n")), "{all}");
    assert_eq!(
        test.run(&["logs", "web"]).exits(0).stdout,
        "web says hello\n",
        "one alone needs no name"
    );
    assert_eq!(
        test.run(&["logs", "db", "--tail", "1"])
            .exits(0)
            .stdout
            .lines()
            .count(),
        1
    );
    assert_eq!(
        test.run(&["logs", "--since", "2000-01-01T00:00:00Z", "--no-prefix"])
            .exits(0)
            .stdout
            .lines()
            .count(),
        3
    );
    let json = test
        .run(&["logs", "web", "--output", "json"])
        .exits(0)
        .json();
    assert_eq!(
        json["lines"],
        json!([{ "instance": web, "line": "web says hello" }])
    );
    assert!(
        test.run(&["logs", "--color", "always"])
            .exits(0)
            .stdout
            .contains("\x1b[38;5;33m")
    );
    test.run(&["logs", "--since", "soon"])
        .exits(2)
        .says(&["`soon` is no time"]);
    let mut follow = test.start(&["logs", "web", "--follow"]);
    let mut first = [0; 15];
    std::io::Read::read_exact(follow.stdout.as_mut().unwrap(), &mut first).unwrap();
    assert_eq!(&first, b"web says hello\n");
    docker(&["rm", "-f", &test.name("web")]);
    Test::end(follow).exits(0);
    test.run(&["logs"]).exits(1).says(&[
        "the container ",
        &format!(" of {web} is gone"),
        "dockctl heal -d",
    ]);
}

#[test]
fn commands_in_containers_end_as_they_end() {
    let test = installed("exec");
    let run = test
        .run(&[
            "exec",
            "db",
            "--",
            "sh",
            "-c",
            "echo out; echo err >&2; exit 7",
        ])
        .exits(7);
    assert_eq!(
        (run.stdout.as_str(), run.stderr.as_str()),
        ("out\n", "err\n")
    );
    let mut piped = test.command(&["exec", "-i", "web", "cat"]);
    let mut child = piped
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), b"through and back").unwrap();
    assert_eq!(
        String::from_utf8_lossy(&child.wait_with_output().unwrap().stdout),
        "through and back"
    );
    assert_eq!(
        test.run(&[
            "exec",
            "-e",
            "X=1",
            "-w",
            "/tmp",
            "db",
            "sh",
            "-c",
            "echo $X $PWD"
        ])
        .exits(0)
        .stdout,
        "1 /tmp\n"
    );
    // It ends once nobody reads, however much is still to come.
    let endless = "dockctl=$1; shift; \"$dockctl\" exec db -- sh -c 'while :; do echo more; done' | head -1; echo ${PIPESTATUS[0]}";
    let command = test.command(&[]);
    let mut shell = Command::new("timeout");
    shell.args(["20", "bash", "-c", endless, "bash"]);
    shell.arg(command.get_program()).current_dir(test.path(""));
    shell.envs(
        command
            .get_envs()
            .filter_map(|(name, value)| Some((name, value?))),
    );
    shell.env("DOCKCTL_DEPLOYMENT", &test.prefix);
    let said = String::from_utf8(shell.output().unwrap().stdout).unwrap();
    assert_eq!(said, "more\n141\n");
    test.run(&["exec", "nope", "true"])
        .exits(125)
        .says(&["there is no instance or node `nope`"]);
    test.run(&["scale", "web", "--to", "2"]).exits(0);
    test.run(&["exec", "web", "true"])
        .exits(125)
        .says(&["several instances", "name one of them"]);
}

#[test]
fn outputs_are_written_for_shells() {
    let test = installed("shells");
    assert_eq!(
        test.run(&["outputs", "--format", "env"]).exits(0).stdout,
        "web_url=it's here\n"
    );
    assert_eq!(
        test.run(&["outputs", "--format", "shell"]).exits(0).stdout,
        "export web_url='it'\\''s here'\n"
    );
    assert_eq!(
        test.run(&["outputs", "--format", "json"]).exits(0).json(),
        json!({ "web-url": "it's here" })
    );
}

#[test]
fn an_execution_is_told_again_in_every_form() {
    let test = installed("again");
    docker(&["rm", "-f", &test.name("web")]);
    test.foreign("web", &["true"]);
    let failed = test.run(&["heal", "--output", "json"]).exits(1).json();
    let id = failed["error"]["execution"].as_str().unwrap();
    let told = test.run(&["executions", id]).exits(0).stdout;
    assert!(
        told.contains("heal failed") && told.contains("  --> blueprint.yaml:"),
        "{told}"
    );
    let lines = test
        .run(&["executions", id, "--progress", "json"])
        .exits(0)
        .stdout;
    assert!(
        lines
            .lines()
            .all(|line| line.starts_with("{\"version\":1,")),
        "{lines}"
    );
    let junit = test
        .run(&["executions", id, "--output", "junit"])
        .exits(0)
        .stdout;
    assert!(
        junit.contains("<testsuites name=\"heal ")
            && junit.contains("<failure message=\"the name")
            && junit.contains("<skipped/>"),
        "{junit}"
    );
    test.run(&["executions", "--output", "junit"])
        .exits(2)
        .says(&["needs the id"]);
}

#[test]
fn a_deployment_is_drawn_as_it_is() {
    let test = installed("drawn");
    docker(&["kill", &test.name("web")]);
    let live = test
        .run(&["graph", "--live", "--format", "mermaid"])
        .exits(0)
        .stdout;
    assert!(
        live.contains(":::well") && live.contains(":::ill") && live.contains("-->"),
        "{live}"
    );
    let out = test.path("g.svg").display().to_string();
    test.run(&["graph", "--out", &out]).exits(0);
    assert!(
        std::fs::read_to_string(&out)
            .unwrap()
            .contains(">web</text>")
    );
    test.run(&["graph", "--focus", "nope"])
        .exits(2)
        .says(&["there is no node `nope`"]);
}

#[test]
fn status_is_shown_again_and_again() {
    let test = installed("again-status");
    let child = test.start(&["status", "--watch=0.1"]);
    std::thread::sleep(Duration::from_secs(1));
    Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .unwrap();
    let run = Test::end(child).exits(0);
    assert!(
        run.stdout.matches("INSTANCE").count() >= 2,
        "{}",
        run.stdout
    );
}

#[test]
fn words_are_completed_from_what_there_is() {
    let test = installed("complete");
    let complete = |words: &[&str]| {
        let mut command = test.command(&[&["--", "dockctl"], words].concat());
        command
            .env("DOCKCTL_COMPLETE", "bash")
            .env("_CLAP_COMPLETE_INDEX", (words.len()).to_string())
            .env("_CLAP_IFS", "\n")
            .env("_CLAP_COMPLETE_COMP_TYPE", "9");
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    };
    assert!(complete(&["inst"]).lines().any(|line| line == "install"));
    assert!(
        complete(&["status", "t-"])
            .lines()
            .any(|line| line == test.prefix)
    );
    assert!(
        complete(&["stop", "-d", &test.prefix, "w"])
            .lines()
            .any(|line| line == "web")
    );
    for shell in ["bash", "zsh", "fish"] {
        assert!(
            test.run(&["completions", shell])
                .exits(0)
                .stdout
                .contains("DOCKCTL_COMPLETE"),
            "{shell}"
        );
    }
}

#[test]
fn the_manual_has_a_page_for_each_command() {
    let test = Test::new("man");
    let folder = test.path("man").display().to_string();
    test.run(&["man", "--out", &folder]).exits(0);
    let pages = std::fs::read_dir(&folder).unwrap().count();
    assert!(pages > 25, "{pages}");
    assert!(
        std::fs::read_to_string(test.path("man/dockctl-update.1"))
            .unwrap()
            .contains("start\\-first")
    );
    assert!(test.run(&["man"]).exits(0).stdout.starts_with(".ie"));
}

#[test]
fn a_file_sets_what_flags_are() {
    let test = Test::new("config");
    test.write(
        "dockctl.toml",
        "output = \"json\"\n[install]\ntimeout = 60\n",
    );
    assert_eq!(test.run(&["list"]).exits(0).json()["kind"], "list");
    assert!(
        !test
            .run(&["list", "--output", "text"])
            .exits(0)
            .stdout
            .starts_with('{'),
        "a flag beats the file"
    );
    test.write("dockctl.toml", "ouput = \"json\"\n");
    test.run(&["list"]).exits(2).says(&[
        "dockctl.toml cannot be used: there is no flag `ouput`",
        "did you mean `output`?",
    ]);
}

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
fn tables_are_as_people_know_them() {
    let test = Test::new("tables");
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
    docker(&["kill", &test.name("web")]);
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
fn every_command_helps_with_examples() {
    let test = Test::new("help");
    // Help shows what variables are set to.
    let help_of = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dockctl"));
        command
            .args(arguments)
            .current_dir(test.folder.path())
            .env_clear();
        crate::support::Run::of(&command.output().unwrap())
            .exits(0)
            .stdout
    };
    let overview = help_of(&["--help"]);
    let commands = overview
        .split("Commands:")
        .nth(1)
        .unwrap()
        .split("\n\n")
        .next()
        .unwrap();
    let names: Vec<&str> = commands
        .lines()
        .filter_map(|line| line.strip_prefix("  ")?.split(' ').next())
        .filter(|name| !name.is_empty())
        .collect();
    let mut all = overview.clone();
    for name in names.iter().filter(|name| **name != "help") {
        let help = help_of(&[name, "--help"]);
        assert!(help.contains("Example"), "{name} has no examples");
        all += &format!(
            "\n=== {name}\n\n{}",
            help.split("\nGlobal options:").next().unwrap()
        );
    }
    assert!(names.len() > 28, "{names:?}");
    insta::assert_snapshot!("help", all);
}

#[test]
fn scaling_that_died_is_gone_on_with_and_not_done_twice() {
    let test = installed("halfway");
    test.killed_at("] create container", &["scale", "web", "--delta", "2"]);
    test.run(&["scale", "web", "--delta", "2"]).exits(0);
    assert_eq!(
        test.containers(),
        [
            "PREFIX-db running",
            "PREFIX-web running",
            "PREFIX-web-1 running",
            "PREFIX-web-2 running"
        ]
    );
    // Of what a dead run took down as much comes back as is to stay.
    test.killed_at(
        "done: remove container",
        &["scale", "web", "--to", "1", "--parallel", "1"],
    );
    test.run(&["scale", "web", "--to", "2"]).exits(0);
    assert_eq!(
        test.containers()
            .iter()
            .filter(|it| it.contains("-web") && it.ends_with("running"))
            .count(),
        2,
        "{:?}",
        test.containers()
    );
    assert_eq!(test.containers().len(), 3);
    test.run(&["status", "--exit-code"]).exits(0);
    test.run(&["plan", "--exit-code"]).exits(0);
}

#[test]
fn what_is_not_installed_is_not_half_installed() {
    let test = installed("gone");
    test.run(&["uninstall"]).exits(0);
    for command in [
        &["heal"][..],
        &["start"],
        &["restart"],
        &["reinstall"],
        &["scale", "web", "--to", "2"],
    ] {
        test.run(command)
            .exits(2)
            .says(&["is not installed", "install it first: dockctl install"]);
    }
    assert!(test.containers().is_empty());
    test.run(&["uninstall", "nobody"]).exits(0);
}

#[test]
fn sensitive_inputs_are_given_again() {
    let test = Test::new("again-given");
    let inputs = "metadata: {dockctl: {sensitive: [key]}}\ninputs: {key: {}}\n";
    test.blueprint(&format!(
        "{inputs}{}",
        PAIR.replacen(
            "stop_timeout: 0",
            "environment: {KEY: {get_input: key}}, stop_timeout: 0",
            1
        )
    ));
    test.run(&["install", "-i", "key=very-much-so"]).exits(0);
    docker(&["rm", "-f", &test.name("db")]);
    let again = format!(
        "then run: dockctl heal -d {} --state-dir {} -i key=VALUE",
        test.prefix,
        test.path("state").display()
    );
    test.run(&["heal"]).exits(3).says(&[
        "sensitive input `key` was not given",
        "nothing was done",
        &again,
    ]);
    test.run(&["heal", "-i", "key=very-much-so"]).exits(0);
    assert!(
        test.inspect("db", "{{json .Config.Env}}")
            .contains("KEY=very-much-so")
    );
    let shown = test
        .run(&["inspect", "--deploy", "-i", "key=very-much-so"])
        .exits(0)
        .stdout;
    assert!(!shown.contains("very-much-so"), "{shown}");
}

#[test]
fn nothing_is_stopped_that_could_not_be_made_again() {
    let test = Test::new("atonce");
    let tarball = test.path("image.tar");
    std::fs::copy(crate::support::tarball(), &tarball).unwrap();
    let env = "environment: {KEY: {get_input: key}, PASSWORD: {get_secret: db_password}}, stop_timeout: 0";
    let text =
        PAIR.replacen("stop_timeout: 0", env, 1)
            .replacen("src: TARBALL", "src: image.tar", 1);
    test.blueprint(&format!(
        "metadata: {{dockctl: {{sensitive: [key]}}}}\ninputs: {{key: {{}}}}\n{text}"
    ));
    let with_secret = |arguments: &[&str]| {
        let mut command = test.command(arguments);
        crate::support::Run::of(
            &command
                .env("DOCKCTL_SECRET_DB_PASSWORD", "very-secret-indeed")
                .output()
                .unwrap(),
        )
    };
    with_secret(&["install", "-i", "key=very-much-so"]).exits(0);
    let started = || test.inspect("db", "{{.Id}} {{.State.StartedAt}} {{.State.Running}}");
    let before = started();
    let again = |words: &str| {
        format!(
            "then run: dockctl {words} -d {} --state-dir {} -i key=VALUE",
            test.prefix,
            test.path("state").display()
        )
    };
    test.run(&["reinstall", "db", "--yes"]).exits(3).says(&[
        "there is no secret `db_password`",
        "sensitive input `key`",
        &again("reinstall db"),
    ]);
    with_secret(&["reinstall", "db", "--yes", "-i", "key=another"])
        .exits(3)
        .says(&["differs from the installed one"]);
    assert_eq!(started(), before);
    // What needs none of it runs without.
    test.run(&["restart", "db"]).exits(0);
    test.run(&["stop", "web"]).exits(0);
    test.run(&["start", "web"]).exits(0);
    // Without its tarball the image cannot be had a second time.
    std::fs::rename(&tarball, test.path("elsewhere.tar")).unwrap();
    let before = started();
    let missing = format!("there is no {}", tarball.display());
    with_secret(&["reinstall", "db", "--yes", "-i", "key=very-much-so"])
        .exits(3)
        .says(&[&missing]);
    let id = format!(
        "node_instance_id={}",
        test.inspect("db", "{{index .Config.Labels \"dockctl.instance\"}}")
    );
    let heal = [
        "execute",
        "heal",
        "-p",
        &id,
        "-p",
        "force_reinstall=true",
        "-i",
        "key=very-much-so",
    ];
    with_secret(&heal).exits(3).says(&[&missing]);
    assert_eq!(started(), before);
    std::fs::rename(test.path("elsewhere.tar"), &tarball).unwrap();
    with_secret(&["reinstall", "db", "--yes", "-i", "key=very-much-so"]).exits(0);
    assert_ne!(started(), before);
    test.run(&["uninstall"]).exits(0);
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
