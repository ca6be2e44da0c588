//! Runs that are resumed, cancelled, limited, rolled back, and kept apart.

use crate::{
    cli::interrupt::{endless, signal, waits},
    docker::install::SLEEPER,
    support::{Run, Test, docker, eventually},
};
use std::{
    process::Child,
    time::{Duration, Instant},
};

/// A run that waits for a process which never comes; it has got as far as that.
fn waiting(test: &Test) -> Child {
    test.blueprint(&endless());
    let child = test.start(&["install"]);
    eventually("the container", || waits(test));
    child
}

fn executions(test: &Test) -> Vec<serde_json::Value> {
    test.run(&["executions", "--output", "json"])
        .exits(0)
        .json()["executions"]
        .as_array()
        .unwrap()
        .clone()
}

#[test]
fn a_run_is_cancelled_from_another_terminal() {
    let test = Test::new("cancel");
    let child = waiting(&test);
    let cancelled = test.run(&["cancel", "--output", "json"]).exits(0);
    assert_eq!(cancelled.json()["outcome"], "cancelled");
    Test::end(child).exits(130).says(&[
        "stopping: nothing new starts",
        "given up: wait for processes",
    ]);
    let id = executions(&test)[0]["id"].as_str().unwrap().to_owned();
    assert!(
        test.run(&["cancel"])
            .exits(0)
            .stdout
            .contains("nothing works on")
    );
    test.run(&["cancel", "nosuchid"])
        .exits(2)
        .says(&["no execution `nosuchid`"]);
    assert!(
        test.run(&["cancel", &id])
            .exits(0)
            .stdout
            .contains("nothing works on")
    );
    // Resumed by its id alone, and cancelled by force.
    let child = test.start(&["resume", &id]);
    eventually("the resumed run", || {
        test.run(&["status", "--output", "json"]).json()["busy"]["execution"]
            .as_str()
            .map(str::to_owned)
    });
    std::thread::sleep(Duration::from_millis(500));
    let cancelled = test
        .run(&["cancel", "--force", "--output", "json"])
        .exits(0)
        .json();
    assert_eq!(
        (&cancelled["outcome"], &cancelled["forced"]),
        (&"cancelled".into(), &true.into())
    );
    Test::end(child).exits(130);
    let all = executions(&test);
    assert_eq!(
        (&all[1]["of"], &all[1]["stopped"]),
        (&id.into(), &"asked".into())
    );
    test.run(&["uninstall"]).exits(0);
}

#[test]
fn a_resumed_run_goes_on_with_what_it_began_whatever_the_blueprint_says_now() {
    let test = Test::new("resume");
    let mut child = waiting(&test);
    signal(child.id(), "KILL");
    child.wait().unwrap();
    let id = test.inspect("web", "{{.Id}}");
    assert!(
        test.run(&["cancel"])
            .exits(0)
            .stdout
            .contains("dockctl resume")
    );
    test.write("blueprint.yaml", "this is no blueprint");
    test.run(&["resume", "--timeout", "1"]).exits(1).says(&[
        "the time is over (--timeout)",
        "took longer than --timeout",
        "dockctl resume",
    ]);
    assert_eq!(test.inspect("web", "{{.Id}}"), id);
    // The process that is waited for comes after all.
    docker(&[
        "exec",
        "-d",
        &test.name("web"),
        "sh",
        "-c",
        "sleep 1000; true never",
    ]);
    test.run(&["resume"]).exits(0);
    assert!(
        test.run(&["resume"])
            .exits(0)
            .stdout
            .contains("nothing to resume")
    );
    let all = executions(&test);
    assert_eq!(
        all.iter()
            .map(|it| it["outcome"].as_str().unwrap())
            .collect::<Vec<_>>(),
        ["interrupted", "failed", "terminated"]
    );
    assert_eq!(all[2]["of"], all[1]["id"]);
    test.run(&["resume", all[0]["id"].as_str().unwrap()])
        .exits(2)
        .says(&["not the last execution"]);
    let text = test.run(&["executions"]).exits(0).stdout;
    assert!(
        text.contains(&format!(
            "install (goes on with {})",
            all[1]["id"].as_str().unwrap()
        )),
        "{text}"
    );
    test.run(&["uninstall"]).exits(0);
}

#[test]
fn an_operation_has_as_long_as_its_timeout_says() {
    let test = Test::new("timeout");
    let with =
        |rules: &str| endless().replace("start: {inputs:", &format!("start: {{{rules}, inputs:"));
    test.blueprint(&with("timeout: 0.5"));
    let head = |text: String| text.replace("cloudify_dsl_1_2", "cloudify_dsl_1_5");
    let write = |rules: &str| {
        test.blueprint(&with(rules));
        let path = test.path("blueprint.yaml");
        std::fs::write(&path, head(std::fs::read_to_string(&path).unwrap())).unwrap();
    };
    write("timeout: 0.5");
    let begin = Instant::now();
    let failed = test
        .run(&["install"])
        .exits(1)
        .says(&["not done within 0.5 s, the `timeout` of the operation"]);
    assert!(
        begin.elapsed() < Duration::from_secs(20),
        "it is not tried again: {}",
        failed.stderr
    );
    assert!(!failed.stderr.contains("(try 2)"), "{}", failed.stderr);
    write("timeout: 0.5, timeout_recoverable: true, max_retries: 2, retry_interval: 0.1");
    test.run(&["install", "--progress", "plain"])
        .exits(1)
        .says(&["trying again in 0.1 s", "(try 3)"]);
    test.run(&["uninstall"]).exits(0);
}

/// Two branches: one that fails at once, one that takes a while, and what needs each of them.
fn branches() -> String {
    let node = |name: &str, image: &str, start: &str, needs: &str| {
        format!(
            "  {name}:
    type: cloudify.docker.Container
    properties: {{name: PREFIX-{name}, image: {image}}}
    interfaces:
      cloudify.interfaces.lifecycle:
        create: {{inputs: {{params: {{command: sleep 1000, stop_timeout: 0}}}}}}
        start: {{inputs: {{retry_interval: 1{start}}}}}
{needs}"
        )
    };
    let needs = |target: &str| {
        format!(
            "    relationships: [{{type: cloudify.relationships.connected_to, target: {target}}}]\n"
        )
    };
    let (good, bad) = (
        "{src: TARBALL, repository: dockctl-demo}",
        "{repository: PREFIX-absent, pull_policy: never}",
    );
    let slow = ", wait_for: {log: nothing, timeout: 3, interval: 0.1}";
    [
        "node_templates:\n".to_owned(),
        node("base", good, "", ""),
        node("bad", bad, "", &needs("base")),
    ]
    .concat()
        + &node("after", good, "", &needs("bad"))
        + &node("slow", good, slow, "")
        + &node("later", good, "", "")
}

#[test]
fn what_does_not_need_a_failure_is_finished_unless_all_is_to_end_with_it() {
    let test = Test::new("branches");
    test.blueprint(&branches());
    let failed = test.run(&["install", "--output", "json"]).exits(1);
    assert!(
        test.containers()
            .contains(&"PREFIX-later running".to_owned()),
        "{:?}\n{}",
        test.containers(),
        failed.stderr
    );
    let json = failed.json();
    let causes: Vec<&str> = json["execution"]["failed"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["failure"]["message"].as_str().unwrap())
        .collect();
    assert_eq!(
        causes.len(),
        2,
        "each failed instance with its cause: {causes:?}"
    );
    assert!(
        json["skipped"][0].as_str().unwrap().starts_with("after_"),
        "{json:#}"
    );
    failed.says(&[
        "bad_",
        "slow_",
        "pull_policy: never",
        "did not come to log nothing",
        "of after_",
    ]);
    test.run(&["uninstall"]).exits(0);
    let begin = Instant::now();
    test.run(&["install", "--fail-fast", "--progress", "plain"])
        .exits(1)
        .says(&["stopping after a failure (--fail-fast)"]);
    assert!(
        test.containers().is_empty(),
        "the failure came first: {:?}",
        test.containers()
    );
    assert!(begin.elapsed() < Duration::from_secs(30));
    assert_eq!(executions(&test)[2]["stopped"], "failure");
    test.run(&["uninstall"]).exits(0);
    assert!(test.containers().is_empty());
}

#[test]
fn a_failed_install_takes_back_what_it_created_and_nothing_else() {
    let test = Test::new("rollback");
    let own = "  - plugin:dockctl\nnode_templates:\n  net: {type: dockctl.nodes.Network, properties: {name: PREFIX-net}}\n  data: {type: dockctl.nodes.Volume, properties: {name: PREFIX-data}}\n";
    test.blueprint(&branches().replace("node_templates:\n", own));
    let failed = test
        .run(&["install", "--rollback-on-failure", "--output", "json"])
        .exits(1);
    let json = failed.json();
    assert_eq!(
        (&json["rollback"]["workflow"], &json["rollback"]["outcome"]),
        (&"rollback".into(), &"terminated".into())
    );
    failed.says(&[
        "rollback started",
        "takes back",
        "what it created was taken back",
    ]);
    assert!(test.containers().is_empty());
    for what in ["network", "volume"] {
        assert_eq!(
            docker(&[
                what,
                "ls",
                "-q",
                "--filter",
                &format!("name={}", test.prefix)
            ]),
            "",
            "{what}s are left"
        );
    }
    let all = executions(&test);
    assert_eq!(
        (&all[1]["workflow"], &all[1]["of"]),
        (&"rollback".into(), &all[0]["id"])
    );
    // What an earlier run made is no business of a rollback.
    test.run(&["install"]).exits(1);
    let before = test.containers();
    assert!(before.contains(&"PREFIX-base running".to_owned()));
    let more =
        branches().replace("node_templates:\n", own) + &SLEEPER.replace("\nnode_templates:\n", "");
    test.blueprint(&more);
    test.run(&["install", "--rollback-on-failure", "--fail-fast"])
        .exits(1);
    assert_eq!(
        test.containers()
            .iter()
            .filter(|it| it.contains("web"))
            .count(),
        0
    );
    assert!(
        test.containers()
            .contains(&"PREFIX-base running".to_owned()),
        "{:?}",
        test.containers()
    );
    assert_ne!(
        docker(&[
            "volume",
            "ls",
            "-q",
            "--filter",
            &format!("name={}", test.prefix)
        ]),
        ""
    );
    test.run(&["uninstall", "--volumes", "--yes"]).exits(0);
}

#[test]
fn failures_of_an_uninstall_can_be_ignored() {
    let test = Test::new("ignore");
    test.blueprint(SLEEPER);
    test.run(&["install"]).exits(0);
    // A network that somebody else uses cannot be removed; nor can a container be stopped with such
    // a signal.
    let text = std::fs::read_to_string(test.path("blueprint.yaml")).unwrap();
    let own = text.replace(
        "node_templates:",
        "  - plugin:dockctl\nnode_templates:\n  net: {type: dockctl.nodes.Network, properties: {name: PREFIX-net}}",
    );
    test.run(&["uninstall"]).exits(0);
    test.write("blueprint.yaml", &own);
    test.run(&["install"]).exits(0);
    test.foreign("guest", &["sleep", "1000"]);
    docker(&["network", "connect", &test.name("net"), &test.name("guest")]);
    docker(&["start", &test.name("guest")]);
    test.run(&["uninstall", "--task-retries", "0"])
        .exits(1)
        .says(&["not of this deployment is on it"]);
    let ignored = test
        .run(&["uninstall", "--ignore-failure", "--output", "json"])
        .exits(0);
    assert_eq!(ignored.json()["execution"]["failed"][0]["ignored"], true);
    ignored.says(&["failed, ignored", "still carries its labels"]);
    assert_eq!(
        test.run(&["status", "--output", "json"]).exits(0).json()["recovered"],
        true,
        "labels still tell"
    );
    docker(&["rm", "-f", &test.name("guest")]);
    test.run(&["uninstall"]).exits(0);
    assert_eq!(
        docker(&[
            "network",
            "ls",
            "-q",
            "--filter",
            &format!("name={}", test.prefix)
        ]),
        ""
    );
}

/// Runs with another state folder, as on another machine.
fn elsewhere(test: &Test, arguments: &[&str]) -> Run {
    let state = test.path("elsewhere").display().to_string();
    test.run(&[arguments, &["--state-dir", &state]].concat())
}

#[test]
fn two_state_folders_do_not_work_on_one_deployment_at_once() {
    let test = Test::new("guard");
    let mut child = waiting(&test);
    let process = format!("process {}", child.id());
    elsewhere(&test, &["install"])
        .exits(1)
        .says(&["does not know"]);
    elsewhere(&test, &["uninstall"])
        .exits(1)
        .says(&["only labels on the engine name it"]);
    elsewhere(&test, &["uninstall", "--from-labels"])
        .exits(5)
        .says(&[
            "in use on the engine by `dockctl install`",
            &process,
            "execution",
            " on ",
        ]);
    elsewhere(&test, &["unlock"])
        .exits(5)
        .says(&[&process, "its guard ends by itself"]);
    signal(child.id(), "KILL");
    child.wait().unwrap();
    // Its process is gone, and that can be seen from here.
    assert!(
        elsewhere(&test, &["unlock"])
            .exits(0)
            .stdout
            .contains(&process)
    );
    assert!(
        elsewhere(&test, &["unlock"])
            .exits(0)
            .stdout
            .contains("nothing guards it")
    );
    elsewhere(&test, &["uninstall", "--from-labels"]).exits(0);
    assert!(test.containers().is_empty());
    assert_eq!(
        docker(&[
            "volume",
            "ls",
            "-q",
            "--filter",
            &format!("name={}", test.prefix)
        ]),
        ""
    );
}

/// A guard as a run on another machine would have made it, that ends in so many seconds.
fn foreign_guard(test: &Test, seconds: i64) {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_millis();
    let expires = i64::try_from(now).unwrap() + seconds * 1000;
    let holder = r#"{"pid":7,"command":"install","since":"2026-01-01T00:00:00Z","execution":"faraway1","host":"buildbox","token":"x","boot":"other","processes":"","started":"","lock":""}"#;
    let labels = [
        format!("dockctl.guard={}", test.prefix),
        format!("dockctl.guard.holder={holder}"),
        format!("dockctl.guard.expires={expires}"),
        "dockctl.guard.generation=4".to_owned(),
    ];
    let flags: Vec<&str> = labels
        .iter()
        .flat_map(|label| ["--label", label.as_str()])
        .collect();
    let name = format!("dockctl-guard.{}.4", test.prefix);
    docker(&[&["volume", "create"], &flags[..], &[&name]].concat());
}

#[test]
fn a_guard_of_another_machine_holds_until_it_ends() {
    let test = Test::new("lease");
    test.blueprint(SLEEPER);
    foreign_guard(&test, 40);
    let busy = test.run(&["install"]).exits(5).says(&[
        "in use on the engine by `dockctl install`",
        "since 2026-01-01",
        "execution faraway1",
        "on buildbox",
    ]);
    assert!(busy.stderr.contains("more seconds"), "{}", busy.stderr);
    assert!(test.containers().is_empty());
    test.run(&["unlock"]).exits(5).says(&["--force"]);
    // Who is sure that nobody works on it can do without.
    test.run(&["install", "--no-guard"]).exits(0);
    test.run(&["unlock", "--force"]).exits(0);
    foreign_guard(&test, -1);
    test.run(&["uninstall"]).exits(0);
    assert_eq!(
        docker(&[
            "volume",
            "ls",
            "-q",
            "--filter",
            &format!("name={}", test.prefix)
        ]),
        "",
        "guards are gone"
    );
}

/// A job that writes a line each time it runs, after a while, and ends with a code.
fn job(test: &Test, code: i32) -> std::path::PathBuf {
    let folder = test.path("out");
    std::fs::create_dir_all(&folder).unwrap();
    let (out, command) = (
        folder.display(),
        format!("echo ran >> /out/log; sleep 1; echo the password is $PW; exit {code}"),
    );
    test.blueprint(&format!(
        "
node_templates:
  job:
    type: cloudify.docker.Container
    properties: {{name: PREFIX-job, image: {{src: TARBALL, repository: dockctl-demo}}}}
    interfaces:
      cloudify.interfaces.lifecycle:
        create: {{inputs: {{params: {{command: [sh, -c, '{command}'], volumes: [/out], environment: {{PW: {{get_secret: pw}}}}}}}}}}
        start: {{inputs: {{params: {{binds: {{'{out}': {{bind: /out, mode: rw}}}}}}, wait_for: {{exited: 0, interval: 0.1}}}}}}
"
    ));
    folder.join("log")
}

#[test]
fn a_job_whose_run_was_killed_is_not_run_twice_and_tells_no_secret() {
    let test = Test::new("job");
    let log = job(&test, 3);
    let mut child = test
        .command(&["install"])
        .env("DOCKCTL_SECRET_PW", "hunter2secretXYZ")
        .spawn()
        .unwrap();
    eventually("the job", || log.exists().then_some(()));
    signal(child.id(), "KILL");
    child.wait().unwrap();
    eventually("its end", || {
        (test.containers() == ["PREFIX-job exited"]).then_some(())
    });
    // Whether the secret is given now or not, it is not shown.
    let with = |secret: Option<&str>| {
        let mut command = test.command(&["resume", "--output", "json"]);
        if let Some(secret) = secret {
            command.env("DOCKCTL_SECRET_PW", secret);
        }
        Run::of(&command.output().unwrap())
    };
    let resumed = with(None).exits(1).says(&[
        "ended with exit code 3",
        "it may hold a secret that this run was not given",
    ]);
    assert_eq!(
        std::fs::read_to_string(&log).unwrap().lines().count(),
        1,
        "it ran once"
    );
    assert!(!format!("{}{}", resumed.stdout, resumed.stderr).contains("hunter2"));
    // Its failure is known now: who tries again means it.
    let again = with(Some("hunter2secretXYZ")).exits(1);
    assert_eq!(std::fs::read_to_string(&log).unwrap().lines().count(), 2);
    again.says(&["the password is ********"]);
    let database = test
        .path("state/deployments")
        .join(format!("{}.db", test.prefix));
    let kept = [
        std::fs::read(&database).unwrap(),
        std::fs::read(format!("{}-wal", database.display())).unwrap_or_default(),
    ]
    .concat();
    assert!(!String::from_utf8_lossy(&kept).contains("hunter2"));
}

#[test]
fn a_rollback_takes_back_what_the_same_install_made_before_it_was_killed_and_spares_what_was_there()
{
    let test = Test::new("chain");
    let nodes = SLEEPER.to_owned()
        + &endless()
            .replace("\nnode_templates:\n", "")
            .replace("web", "late")
            .replace("    interfaces:", "    relationships: [{type: cloudify.relationships.connected_to, target: web}]\n    interfaces:");
    test.blueprint(&nodes);
    let mut child = test.start(&["install", "--rollback-on-failure"]);
    eventually("both containers", || {
        (test.containers() == ["PREFIX-late running", "PREFIX-web running"]).then_some(())
    });
    signal(child.id(), "KILL");
    child.wait().unwrap();
    let failed = test
        .run(&["install", "--rollback-on-failure", "--timeout", "1"])
        .exits(1)
        .says(&["what it created was taken back"]);
    assert!(
        test.containers().is_empty(),
        "{:?}\n{}",
        test.containers(),
        failed.stderr
    );
    // What a failed run left on purpose is no part of the next, also if that makes it anew.
    test.run(&["install", "--timeout", "2"]).exits(1);
    test.blueprint(&nodes.replacen("command: sleep 1000", "command: sleep 2000", 1));
    test.run(&["install", "--rollback-on-failure", "--timeout", "3"])
        .exits(1);
    assert_eq!(
        test.inspect("web", "{{.State.Status}} {{.Config.Cmd}}"),
        "running [sleep 2000]"
    );
    test.run(&["uninstall"]).exits(0);
}

#[test]
fn a_failed_rollback_is_resumed_even_when_the_install_is_forgotten() {
    let test = Test::new("forgotten");
    let net = "  - plugin:dockctl\nnode_templates:\n  net: {type: dockctl.nodes.Network, properties: {name: PREFIX-net}}";
    test.blueprint(&endless().replace("node_templates:", net));
    let child = test.start(&[
        "install",
        "--rollback-on-failure",
        "--keep-history",
        "1",
        "--task-retries",
        "0",
        "--timeout",
        "3",
    ]);
    eventually("the container", || waits(&test));
    test.foreign("guest", &["sleep", "1000"]);
    docker(&["network", "connect", &test.name("net"), &test.name("guest")]);
    docker(&["start", &test.name("guest")]);
    Test::end(child)
        .exits(1)
        .says(&["taking back what it created failed too", "dockctl resume"]);
    docker(&["rm", "-f", &test.name("guest")]);
    test.run(&["resume", "--keep-history", "1"]).exits(0);
    assert_eq!(
        docker(&[
            "network",
            "ls",
            "-q",
            "--filter",
            &format!("name={}", test.prefix)
        ]),
        ""
    );
}

#[test]
fn a_run_whose_guard_was_taken_stops() {
    let test = Test::new("taken");
    let child = waiting(&test);
    docker(&["volume", "rm", &format!("dockctl-guard.{}.1", test.prefix)]);
    Test::end(child).exits(5).says(&[
        "was taken over on the engine",
        "another run took the deployment over",
    ]);
    test.run(&["uninstall"]).exits(0);
    assert_eq!(
        docker(&[
            "volume",
            "ls",
            "-q",
            "--filter",
            &format!("name={}", test.prefix)
        ]),
        ""
    );
}

#[test]
fn an_operation_does_not_pay_for_waiting_for_others() {
    let test = Test::new("patient");
    let slow = SLEEPER
        .replace(
            "command: sleep 1000",
            "command: [sh, -c, 'sleep 4; true late; sleep 1000']",
        )
        .replace("[sleep]", "[sleep 1000]");
    let slow = slow
        .replace(
            "processes_to_wait_for: [sleep 1000]",
            "wait_for: {log: ready, interval: 0.1}",
        )
        .replace("true late;", "echo ready;");
    let next = SLEEPER
        .replace("\nnode_templates:\n", "")
        .replace("web", "next")
        .replace("create: {inputs", "create: {timeout: 3, inputs")
        .replace("    interfaces:", "    relationships: [{type: cloudify.relationships.connected_to, target: web}]\n    interfaces:");
    test.blueprint(&(slow + &next));
    let path = test.path("blueprint.yaml");
    std::fs::write(
        &path,
        std::fs::read_to_string(&path)
            .unwrap()
            .replace("cloudify_dsl_1_2", "cloudify_dsl_1_5"),
    )
    .unwrap();
    test.run(&["install"]).exits(0);
    test.run(&["uninstall"]).exits(0);
}
