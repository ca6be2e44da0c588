//! Failures: each message names the error, its location and a fix, and every change is recorded.

use crate::{docker::install::SLEEPER, support::Test};
use serde_json::json;
use std::{fs, net::TcpListener, os::unix::fs::PermissionsExt as _};

#[test]
fn a_taken_name_is_never_touched() {
    let test = Test::fake("taken");
    let id = test.foreign("web", &["sleep", "1000"]);
    test.blueprint(SLEEPER);
    let plan = test.run(&["plan"]).exits(0);
    assert!(
        plan.stdout
            .contains("is taken by a container outside this deployment"),
        "{}",
        plan.stdout
    );
    test.run(&["install"]).exits(1).says(&[
        &format!(
            "the name `{}` is taken by container {}",
            test.name("web"),
            &id[..12]
        ),
        "add `use_external_resource: true`",
        "give the node another `name`",
        "remove it first",
    ]);
    assert_eq!(
        test.inspect("web", "{{.Id}} {{.State.Status}}"),
        format!("{id} created")
    );
    test.run(&["uninstall"]).exits(0);
    assert_eq!(test.containers(), ["PREFIX-web created"]);
}

#[test]
fn an_engine_that_is_not_there_is_named_with_what_was_tried() {
    let test = Test::fake("silent");
    test.blueprint(SLEEPER);
    let socket = format!("unix://{}", test.path("no.sock").display());
    for command in ["install", "plan"] {
        test.run(&[command, "--host", &socket]).exits(4).says(&[
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
        .exits(4)
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
        .exits(4)
        .says(&["use unix://, tcp:// or ssh://"]);
}

#[test]
fn a_context_names_the_engine_as_it_does_for_docker() {
    let test = Test::fake("context");
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
    let folder = test.path(
        "docker/contexts/meta/fcec91509759ad995c2cd14bcb26b2720993faf61c29d379b270d442d92290eb",
    );
    fs::create_dir_all(&folder).unwrap();
    let socket = format!("unix://{}", test.path("engine.sock").display());
    fs::write(
        folder.join("meta.json"),
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
fn a_missing_tarball_is_found_before_anything_is_written() {
    let test = Test::fake("missing");
    test.blueprint(&SLEEPER.replace("TARBALL", "nope.tar"));
    test.run(&["install"]).exits(3).says(&[
        "error[D0104]: node `web`: file",
        "nope.tar",
        "blueprint.yaml:11:20",
        "^^^^",
    ]);
    assert!(test.containers().is_empty());
    assert!(
        test.run(&["list"])
            .exits(0)
            .stdout
            .contains("no deployments")
    );
    // `validate` only warns: the file may be created before install.
    test.run(&["validate"]).exits(0).says(&["warning[D0104]"]);
}

#[test]
fn a_tarball_that_is_no_image_is_named_with_its_node() {
    let test = Test::fake("noimage");
    test.write("text.tar", "this is not a tarball");
    test.blueprint(&SLEEPER.replace("TARBALL", "text.tar"));
    test.run(&["install"]).exits(1).says(&[
        "text.tar is not an image",
        "blueprint.yaml:11:14",
        "docker save",
        "then run: dockctl install",
    ]);
    assert!(test.containers().is_empty());
    assert_eq!(
        test.run(&["list", "--output", "json"]).exits(0).json()["deployments"][0]["state"],
        "unfinished"
    );
    test.run(&["uninstall"]).exits(0);
}

#[test]
fn an_image_that_cannot_be_pulled_is_named_with_its_node() {
    let test = Test::fake("nopull");
    test.blueprint(&SLEEPER.replace(
        "{src: TARBALL, repository: dockctl-demo}",
        "{repository: '127.0.0.1:1/no/such', tag: v1}",
    ));
    test.run(&["install"]).exits(1).says(&[
        "cannot pull image 127.0.0.1:1/no/such:v1",
        "blueprint.yaml:11:14",
        "check `repository` and `tag`",
    ]);
    test.blueprint(&SLEEPER.replace(
        "{src: TARBALL, repository: dockctl-demo}",
        "{repository: PREFIX-none, pull_policy: never}",
    ));
    test.run(&["install"])
        .exits(1)
        .says(&["`pull_policy: never` forbids pulling it"]);
}

#[test]
fn a_container_that_ends_while_it_is_waited_for_shows_its_last_words() {
    let test = Test::fake("dies");
    test.blueprint(
        &SLEEPER
            .replace(
                "command: sleep 1000",
                "command: \"sh -c 'echo begun; sleep 1; echo no more >&2; exit 3'\"",
            )
            .replace("[sleep]", "[httpd]"),
    );
    let failed = test.run(&["install", "--output", "json"]).exits(1);
    let failure = failed.json()["execution"]["failed"][0]["failure"].clone();
    assert_eq!(
        (&failure["exit"]["code"], &failure["exit"]["oom_killed"]),
        (&json!(3), &json!(false))
    );
    assert_eq!(
        failed.json()["error"]["execution"],
        failed.json()["execution"]["id"]
    );
    failed.says(&[
        "exited with code 3 while waiting for `httpd`",
        "    | begun",
        "    | no more",
        "blueprint.yaml:15:16",
        "then run: dockctl install",
    ]);
    let executions = test.run(&["executions"]).exits(0).stdout;
    assert!(
        executions.contains("failed") && executions.contains("exited with code 3"),
        "{executions}"
    );
}

#[test]
fn a_command_that_is_not_there_is_no_mystery() {
    let test = Test::fake("nocmd");
    test.blueprint(&SLEEPER.replace("sleep 1000", "no-such-program"));
    test.run(&["install"])
        .exits(1)
        .says(&["no-such-program", "executable file not found"]);
    test.run(&["uninstall"]).exits(0);
    assert!(test.containers().is_empty());
}

#[test]
fn a_port_that_is_taken_says_so_at_once() {
    let test = Test::fake("port");
    let holder = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = holder.local_addr().unwrap().port();
    test.blueprint(&SLEEPER.replace(
        "start: {inputs: {",
        &format!("start: {{inputs: {{params: {{port_bindings: {{80: {port}}}}}, "),
    ));
    test.run(&["install"]).exits(1).says(&[
        "address already in use",
        "publish a different port, or stop the program or container",
    ]);
}

#[test]
fn branches_that_do_not_depend_on_a_failure_are_finished() {
    let test = Test::fake("branch");
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
    let failed = test.run(&["install", "--output", "json"]).exits(1).json();
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
    test.run(&["uninstall"]).exits(0);
    assert!(test.containers().is_empty());
}

#[test]
fn operations_that_nothing_here_can_run_stop_install_before_any_write() {
    let test = Test::fake("script");
    test.write("setup.sh", "true\n");
    let script = "  tool:\n    type: cloudify.nodes.SoftwareComponent\n    interfaces:\n      cloudify.interfaces.lifecycle:\n        configure: setup.sh\n";
    test.blueprint(&(SLEEPER.to_owned() + script));
    test.run(&["validate"])
        .exits(0)
        .says(&["warning[D0110]", "plugin `script`"]);
    test.run(&["plan"])
        .exits(0)
        .says(&["operation `cloudify.interfaces.lifecycle.configure` uses the plugin `script`"]);
    let refused = test
        .run(&["install", "--output", "json"])
        .exits(3)
        .says(&["node `tool`", "--skip-unsupported"]);
    assert_eq!(refused.json()["unsupported"][0]["plugin"], "script");
    assert!(
        test.containers().is_empty() && !test.path("state/deployments").exists(),
        "install wrote something"
    );
    test.run(&["install", "--skip-unsupported"]).exits(0);
    assert_eq!(test.containers(), ["PREFIX-web running"]);
}

#[test]
fn state_is_private_and_a_broken_journal_is_named() {
    let test = Test::fake("private");
    test.blueprint(SLEEPER);
    test.run(&["install"]).exits(0);
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
        .exits(0)
        .says(&["cannot use the journal", &database.display().to_string()]);
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
fn something_else_that_answers_is_no_engine() {
    let test = Test::fake("other");
    test.blueprint(SLEEPER);
    let port = crate::support::free_port();
    let server = std::process::Command::new(crate::support::project().join("target/busybox"))
        .args(["httpd", "-f", "-p", &format!("127.0.0.1:{port}")])
        .spawn();
    let mut server = server.unwrap();
    crate::support::eventually("the server", || {
        std::net::TcpStream::connect(("127.0.0.1", port)).ok()
    });
    let run = test.run(&["plan", "--host", &format!("tcp://127.0.0.1:{port}")]);
    let _ = server.kill();
    let _ = server.wait();
    run.exits(4)
        .says(&["the server at this address is not a Docker engine (HTTP 404)"]);
}
