//! Failures: each message names the error, its location and a fix, and every change is recorded.

use crate::{docker::install::SLEEPER, support::Test};
use serde_json::json;
use std::{fs, net::TcpListener, os::unix::fs::PermissionsExt as _};

#[test]
fn container_with_the_declared_name_is_never_touched() {
    let test = Test::in_memory("taken");
    let id = test.create_foreign("web", &["sleep", "1000"]);
    test.blueprint(SLEEPER);
    let plan = test.run(&["plan"]).exits_with(0);
    assert!(
        plan.stdout
            .contains("is taken by a container outside this deployment"),
        "{}",
        plan.stdout
    );
    test.run(&["install"]).exits_with(1).stderr_contains(&[
        &format!(
            "the name `{}` is taken by container {}",
            test.name("web"),
            &id[..12]
        ),
        "add `use_external_resource: true`",
        "give the node another `name`",
        "docker rm -f",
    ]);
    assert_eq!(
        test.inspect("web", "{{.Id}} {{.State.Status}}"),
        format!("{id} created")
    );
    test.run(&["uninstall"]).exits_with(0);
    assert_eq!(test.containers(), ["PREFIX-web created"]);
}

#[test]
fn unreachable_engine_is_reported_with_its_address_and_origin() {
    let test = Test::in_memory("silent");
    test.blueprint(SLEEPER);
    let socket = format!("unix://{}", test.path("no.sock").display());
    for command in ["install", "plan"] {
        test.run(&[command, "--host", &socket])
            .exits_with(4)
            .stderr_contains(&[
                "cannot connect to the engine at",
                &socket,
                "from --host or DOCKCTL_HOST",
                "DOCKER_HOST",
            ]);
    }
    assert!(
        !test.path("state/deployments").exists(),
        "a run that never began was recorded"
    );
    let refused = test
        .run(&["install", "--host", "tcp://127.0.0.1:1", "--output", "json"])
        .exits_with(4)
        .json();
    assert_eq!(
        (&refused["ok"], &refused["error"]["code"], &refused["kind"]),
        (&json!(false), &json!("engine"), &json!("install"))
    );
    // This server accepts connections and never responds.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("tcp://{}", silent.local_addr().unwrap());
    let mut command = test.command(&["plan"]);
    let run = command.env("DOCKER_HOST", &address).output().unwrap();
    assert_eq!(run.status.code(), Some(4));
    assert!(String::from_utf8_lossy(&run.stderr).contains("no response within 2.5 seconds"));
    test.run(&["plan", "--host", "ftp://x"])
        .exits_with(4)
        .stderr_contains(&["use unix://, tcp:// or ssh://"]);
}

#[test]
fn context_selects_the_engine_like_the_docker_cli() {
    let test = Test::in_memory("context");
    test.blueprint(SLEEPER);
    let plan = |arguments: &[&str]| {
        let mut command = test.command(&[&["plan"], arguments].concat());
        let run = command
            .env("DOCKER_CONFIG", test.path("docker"))
            .env_remove("DOCKER_HOST")
            .output()
            .unwrap();
        (
            run.status.code().unwrap(),
            String::from_utf8_lossy(&run.stderr).into_owned(),
        )
    };
    let (code, text) = plan(&["--context", "nowhere"]);
    assert!(
        code == 4
            && text.contains(
                "docker context `nowhere` (from --context or DOCKCTL_CONTEXT) does not exist"
            ),
        "{text}"
    );
    // The directory of a context is named after the digest of the context's name.
    let directory = test.path(
        "docker/contexts/meta/fcec91509759ad995c2cd14bcb26b2720993faf61c29d379b270d442d92290eb",
    );
    fs::create_dir_all(&directory).unwrap();
    let socket = format!("unix://{}", test.path("engine.sock").display());
    fs::write(
        directory.join("meta.json"),
        json!({ "Name": "here", "Endpoints": { "docker": { "Host": socket } } }).to_string(),
    )
    .unwrap();
    let (code, text) = plan(&["--context", "here"]);
    assert!(
        code == 4
            && text.contains(&socket)
            && text.contains("from --context or DOCKCTL_CONTEXT `here`"),
        "{text}"
    );
    fs::write(
        test.path("docker/config.json"),
        json!({ "currentContext": "here" }).to_string(),
    )
    .unwrap();
    let (code, text) = plan(&[]);
    assert!(
        code == 4 && text.contains("from current docker context `here`"),
        "{text}"
    );
}

#[test]
fn missing_tarball_is_reported_before_any_change() {
    let test = Test::in_memory("missing");
    test.blueprint(&SLEEPER.replace("TARBALL", "nope.tar"));
    test.run(&["install"]).exits_with(3).stderr_contains(&[
        "error[D0104]: node `web`: file",
        "nope.tar",
        "blueprint.yaml:11:20",
        "^^^^",
    ]);
    assert!(test.containers().is_empty());
    assert!(
        test.run(&["list"])
            .exits_with(0)
            .stdout
            .contains("no deployments")
    );
    // `validate` only warns: the file may be created before install.
    test.run(&["validate"])
        .exits_with(0)
        .stderr_contains(&["warning[D0104]"]);
}

#[test]
fn tarball_without_an_image_is_reported_with_its_node() {
    let test = Test::in_memory("noimage");
    test.write("text.tar", "this is not a tarball");
    test.blueprint(&SLEEPER.replace("TARBALL", "text.tar"));
    test.run(&["install"]).exits_with(1).stderr_contains(&[
        "text.tar is not an image",
        "blueprint.yaml:11:14",
        "docker save",
        "then run: dockctl install",
    ]);
    assert!(test.containers().is_empty());
    assert_eq!(
        test.run(&["list", "--output", "json"]).exits_with(0).json()["deployments"][0]["state"],
        "unfinished"
    );
    test.run(&["uninstall"]).exits_with(0);
}

#[test]
fn failed_pull_is_reported_with_its_node() {
    let test = Test::in_memory("nopull");
    test.blueprint(&SLEEPER.replace(
        "{src: TARBALL, repository: dockctl-demo}",
        "{repository: '127.0.0.1:1/no/such', tag: v1}",
    ));
    test.run(&["install"]).exits_with(1).stderr_contains(&[
        "cannot pull image 127.0.0.1:1/no/such:v1",
        "blueprint.yaml:11:14",
        "check the name and the tag of the image",
    ]);
    test.blueprint(&SLEEPER.replace(
        "{src: TARBALL, repository: dockctl-demo}",
        "{repository: PREFIX-none, pull_policy: never}",
    ));
    test.run(&["install"])
        .exits_with(1)
        .stderr_contains(&["`pull_policy: never` forbids pulling it"]);
}

#[test]
fn container_that_exits_during_a_wait_shows_its_last_log_lines() {
    let test = Test::in_memory("dies");
    test.blueprint(
        &SLEEPER
            .replace(
                "command: sleep 1000",
                "command: \"sh -c 'echo begun; sleep 1; echo no more >&2; exit 3'\"",
            )
            .replace("[sleep]", "[httpd]"),
    );
    let failed = test.run(&["install", "--output", "json"]).exits_with(1);
    let failure = failed.json()["execution"]["failed"][0]["failure"].clone();
    assert_eq!(
        (&failure["exit"]["code"], &failure["exit"]["oom_killed"]),
        (&json!(3), &json!(false))
    );
    assert_eq!(
        failed.json()["error"]["execution"],
        failed.json()["execution"]["id"]
    );
    failed.stderr_contains(&[
        "exited with code 3 while waiting for process httpd",
        "    | begun",
        "    | no more",
        "blueprint.yaml:15:16",
        "then run: dockctl install",
    ]);
    let executions = test.run(&["executions"]).exits_with(0).stdout;
    assert!(
        executions.contains("failed") && executions.contains("exited with code 3"),
        "{executions}"
    );
}

#[test]
fn missing_command_is_reported() {
    let test = Test::in_memory("nocmd");
    test.blueprint(&SLEEPER.replace("sleep 1000", "no-such-program"));
    test.run(&["install"])
        .exits_with(1)
        .stderr_contains(&["no-such-program", "executable file not found"]);
    test.run(&["uninstall"]).exits_with(0);
    assert!(test.containers().is_empty());
}

#[test]
fn occupied_port_is_reported() {
    let test = Test::in_memory("port");
    let listener = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    test.blueprint(&SLEEPER.replace(
        "start: {inputs: {",
        &format!("start: {{inputs: {{params: {{port_bindings: {{80: {port}}}}}, "),
    ));
    test.run(&["install"]).exits_with(1).stderr_contains(&[
        "address already in use",
        "publish a different port, or stop the program or container",
    ]);
}

#[test]
fn independent_branches_complete_after_a_failure() {
    let test = Test::in_memory("branch");
    let other = SLEEPER
        .replace("\nnode_templates:\n", "")
        .replace("web", "other");
    let broken = SLEEPER
        .replace("\nnode_templates:\n", "")
        .replace("web", "bad")
        .replace("sleep 1000", "'false'");
    let after = SLEEPER
        .replace("\nnode_templates:\n", "")
        .replace("web", "after")
        + "    relationships: [{type: cloudify.relationships.depends_on, target: bad}]\n";
    test.blueprint(&format!("\nnode_templates:\n{other}{broken}{after}"));
    let failed = test
        .run(&["install", "--output", "json"])
        .exits_with(1)
        .json();
    assert_eq!(
        failed["execution"]["failed"].as_array().unwrap().len(),
        1,
        "dependents of a failure are not reported as failures"
    );
    let state = |node: &str| {
        failed["instances"]
            .as_array()
            .unwrap()
            .iter()
            .find(|instance| instance["node"] == node)
            .unwrap()["state"]
            .clone()
    };
    assert_eq!(
        (state("other"), state("bad"), state("after")),
        (json!("started"), json!("starting"), json!("initializing"))
    );
    assert!(
        !test
            .containers()
            .iter()
            .any(|container| container.contains("after"))
    );
    test.run(&["uninstall"]).exits_with(0);
    assert!(test.containers().is_empty());
}

#[test]
fn unsupported_operations_stop_install_before_any_change() {
    let test = Test::in_memory("script");
    let puppet = "  tool:\n    type: cloudify.nodes.SoftwareComponent\n    interfaces:\n      cloudify.interfaces.lifecycle:\n        configure: puppet.tasks.apply\nplugins:\n  puppet: {executor: central_deployment_agent, install: false}\n";
    test.blueprint(&(SLEEPER.to_owned() + puppet));
    test.run(&["validate"])
        .exits_with(0)
        .stderr_contains(&["warning[D0110]", "plugin `puppet`"]);
    test.run(&["plan"]).exits_with(0).stderr_contains(&[
        "operation `cloudify.interfaces.lifecycle.configure` uses the plugin `puppet`",
    ]);
    let refused = test
        .run(&["install", "--output", "json"])
        .exits_with(3)
        .stderr_contains(&["node `tool`", "--skip-unsupported"]);
    assert_eq!(refused.json()["unsupported"][0]["plugin"], "puppet");
    assert!(
        test.containers().is_empty() && !test.path("state/deployments").exists(),
        "install wrote something"
    );
    test.run(&["install", "--skip-unsupported"]).exits_with(0);
    assert_eq!(test.containers(), ["PREFIX-web running"]);
}

#[test]
fn state_files_are_private_and_a_broken_journal_is_reported() {
    let test = Test::in_memory("private");
    test.blueprint(SLEEPER);
    test.run(&["install"]).exits_with(0);
    for name in [
        "key",
        &format!("deployments/{}.db", test.prefix),
        &format!("deployments/{}.lock", test.prefix),
    ] {
        let mode = fs::metadata(test.path("state").join(name))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    let database = test
        .path("state/deployments")
        .join(format!("{}.db", test.prefix));
    fs::write(
        &database,
        "this is not a database, but is long enough to be parsed like one.",
    )
    .unwrap();
    for side in ["-wal", "-shm"] {
        let _ = fs::remove_file(format!("{}{side}", database.display()));
    }
    test.run(&["list"])
        .exits_with(0)
        .stderr_contains(&["cannot use the journal", &database.display().to_string()]);
    assert!(
        test.docker(&[
            "ps",
            "-q",
            "--filter",
            &format!("name={}", test.name("web"))
        ])
        .lines()
        .next()
        .is_some()
    );
}

#[test]
fn other_http_server_is_not_accepted_as_an_engine() {
    let test = Test::in_memory("other");
    test.blueprint(SLEEPER);
    let port = crate::support::free_port();
    let server = std::process::Command::new(crate::support::project_root().join("target/busybox"))
        .args(["httpd", "-f", "-p", &format!("127.0.0.1:{port}")])
        .spawn();
    let mut server = server.unwrap();
    crate::support::eventually("the server", || {
        std::net::TcpStream::connect(("127.0.0.1", port)).ok()
    });
    let run = test.run(&["plan", "--host", &format!("tcp://127.0.0.1:{port}")]);
    let _ = server.kill();
    let _ = server.wait();
    run.exits_with(4)
        .stderr_contains(&["the server at this address is not a Docker engine (HTTP 404)"]);
}
