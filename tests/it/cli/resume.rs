//! `dockctl resume`.

use crate::{
    cli::{executions, installed_pair, session::send_signal, start_waiting_install},
    support::{Run, Test, eventually},
};

/// Writes the blueprint of a job that logs one line per run and exits with `code` after a second.
/// Returns the path of the log.
fn write_job_blueprint(test: &Test, code: i32) -> std::path::PathBuf {
    let directory = test.path("out");
    std::fs::create_dir_all(&directory).unwrap();
    let (out, command) = (
        directory.display(),
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
    directory.join("log")
}

#[test]
fn resume_ignores_later_changes_of_the_blueprint() {
    let test = Test::in_memory("resume");
    let mut child = start_waiting_install(&test);
    send_signal(child.id(), "KILL");
    child.wait().unwrap();
    let id = test.inspect("web", "{{.Id}}");
    assert!(
        test.run(&["cancel"])
            .exits_with(0)
            .stdout
            .contains("dockctl resume")
    );
    test.write("blueprint.yaml", "this is not a blueprint");
    test.run(&["resume", "--timeout", "1"])
        .exits_with(1)
        .stderr_contains(&[
            "timed out (--timeout)",
            "exceeded --timeout",
            "dockctl resume",
        ]);
    assert_eq!(test.inspect("web", "{{.Id}}"), id);
    // Start the process that the install waits for.
    test.docker(&[
        "exec",
        "-d",
        &test.name("web"),
        "sh",
        "-c",
        "sleep 1000; true never",
    ]);
    test.run(&["resume"]).exits_with(0);
    assert!(
        test.run(&["resume"])
            .exits_with(0)
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
        .exits_with(2)
        .stderr_contains(&["not the last execution"]);
    let text = test.run(&["executions"]).exits_with(0).stdout;
    assert!(
        text.contains(&format!(
            "install (resumes {})",
            all[1]["id"].as_str().unwrap()
        )),
        "{text}"
    );
    test.run(&["uninstall"]).exits_with(0);
}

#[test]
fn job_of_a_killed_run_is_not_repeated_and_leaks_no_secret() {
    let test = Test::in_memory("job");
    let log = write_job_blueprint(&test, 3);
    let mut child = test
        .command(&["install"])
        .env("DOCKCTL_SECRET_PW", "hunter2secretXYZ")
        .spawn()
        .unwrap();
    eventually("the job", || log.exists().then_some(()));
    send_signal(child.id(), "KILL");
    child.wait().unwrap();
    eventually("the end of the job", || {
        (test.containers() == ["PREFIX-job exited"]).then_some(())
    });
    // The secret is not shown, whether or not this run has it.
    let resume_with_secret = |secret: Option<&str>| {
        let mut command = test.command(&["resume", "--output", "json"]);
        if let Some(secret) = secret {
            command.env("DOCKCTL_SECRET_PW", secret);
        }
        Run::from_output(&command.output().unwrap())
    };
    let resumed = resume_with_secret(None).exits_with(1).stderr_contains(&[
        "exited with code 3",
        "may contain a secret that this run does not know",
    ]);
    assert_eq!(
        std::fs::read_to_string(&log).unwrap().lines().count(),
        1,
        "the job ran once"
    );
    assert!(!format!("{}{}", resumed.stdout, resumed.stderr).contains("hunter2"));
    // The failure is recorded now, so another resume runs the job again.
    let retried = resume_with_secret(Some("hunter2secretXYZ")).exits_with(1);
    assert_eq!(std::fs::read_to_string(&log).unwrap().lines().count(), 2);
    retried.stderr_contains(&["the password is ********"]);
    let database = test
        .path("state/deployments")
        .join(format!("{}.db", test.prefix));
    let stored = [
        std::fs::read(&database).unwrap(),
        std::fs::read(format!("{}-wal", database.display())).unwrap_or_default(),
    ]
    .concat();
    assert!(!String::from_utf8_lossy(&stored).contains("hunter2"));
}

#[test]
fn relink_follows_a_blueprint_that_was_moved() {
    let test = installed_pair("relink");
    std::fs::create_dir(test.path("moved")).unwrap();
    std::fs::rename(
        test.path("blueprint.yaml"),
        test.path("moved/blueprint.yaml"),
    )
    .unwrap();
    test.run(&["plan", "moved"])
        .exits_with(2)
        .stderr_contains(&["was installed from", "dockctl relink"]);
    test.write("other.yaml", "tosca_definitions_version: cloudify_dsl_1_3\nimports: [cloudify/types/types.yaml]\nnode_templates: {x: {type: cloudify.nodes.Root}}\n");
    test.run(&["relink", "other.yaml"])
        .exits_with(2)
        .stderr_contains(&["is another blueprint"]);
    test.run(&["relink", "moved"]).exits_with(0);
    test.run(&["plan", "moved", "--exit-code"]).exits_with(0);
    test.run(&["update", "moved", "--yes"]).exits_with(0);
    test.run(&["uninstall"]).exits_with(0);
}
