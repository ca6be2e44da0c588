//! `dockctl resume`.

use crate::{
    cli::{executions, session::signal, waiting},
    support::{Run, Test, eventually},
};

/// Writes the blueprint of a job that logs one line per run and exits with `code` after a second.
/// Returns the path of the log.
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
fn a_resumed_run_goes_on_with_what_it_began_whatever_the_blueprint_says_now() {
    let test = Test::fake("resume");
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
    test.write("blueprint.yaml", "this is not a blueprint");
    test.run(&["resume", "--timeout", "1"]).exits(1).says(&[
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
            "install (resumes {})",
            all[1]["id"].as_str().unwrap()
        )),
        "{text}"
    );
    test.run(&["uninstall"]).exits(0);
}

#[test]
fn a_job_whose_run_was_killed_is_not_run_twice_and_tells_no_secret() {
    let test = Test::fake("job");
    let log = job(&test, 3);
    let mut child = test
        .command(&["install"])
        .env("DOCKCTL_SECRET_PW", "hunter2secretXYZ")
        .spawn()
        .unwrap();
    eventually("the job", || log.exists().then_some(()));
    signal(child.id(), "KILL");
    child.wait().unwrap();
    eventually("the end of the job", || {
        (test.containers() == ["PREFIX-job exited"]).then_some(())
    });
    // The secret is not shown, whether or not this run has it.
    let with = |secret: Option<&str>| {
        let mut command = test.command(&["resume", "--output", "json"]);
        if let Some(secret) = secret {
            command.env("DOCKCTL_SECRET_PW", secret);
        }
        Run::of(&command.output().unwrap())
    };
    let resumed = with(None).exits(1).says(&[
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
