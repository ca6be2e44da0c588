//! `dockctl start`, `stop` and `restart`.

use crate::{
    cli::{PAIR, drift, installed_pair},
    support::Test,
};

#[test]
fn stopped_instances_stay_stopped_until_started() {
    let test = installed_pair("stopped");
    let run = test.run(&["stop", "--progress", "plain"]).exits_with(0);
    assert!(
        run.stderr.find("[web_").unwrap() < run.stderr.find("[db_").unwrap(),
        "dependents stop first:\n{}",
        run.stderr
    );
    assert_eq!(test.containers(), ["PREFIX-db exited", "PREFIX-web exited"]);
    assert_eq!(drift(&test), ["[]", "[]"], "a requested stop is not drift");
    assert!(
        test.run(&["heal"])
            .exits_with(0)
            .stdout
            .contains("no instance needs repair")
    );
    assert!(
        test.run(&["stop"])
            .exits_with(0)
            .stdout
            .contains("no owned container is running")
    );
    test.run(&["start", "db"]).exits_with(0);
    assert_eq!(
        test.containers(),
        ["PREFIX-db running", "PREFIX-web exited"]
    );
    let run = test.run(&["start", "--progress", "plain"]).exits_with(0);
    assert!(!run.stderr.contains("create"), "{}", run.stderr);
    let container_state = test.inspect("db", "{{.State.StartedAt}}");
    test.run(&["restart", &test.name("db")]).exits_with(0);
    assert_ne!(test.inspect("db", "{{.State.StartedAt}}"), container_state);
    test.run(&["stop", "wbe"])
        .exits_with(2)
        .stderr_contains(&["there is no instance or node `wbe`", "did you mean `web`?"]);
    test.run(&["uninstall"]).exits_with(0);
    assert!(test.containers().is_empty());
}

#[test]
fn adopted_containers_are_stopped_only_if_named() {
    let test = Test::in_memory("named");
    test.create_foreign("old", &["sleep", "1000"]);
    test.blueprint(
        "node_templates:\n  old: {type: cloudify.docker.Container, properties: {name: PREFIX-old, use_external_resource: true}}\n",
    );
    test.run(&["install"]).exits_with(0);
    test.run(&["stop"]).exits_with(0);
    assert_eq!(test.containers(), ["PREFIX-old running"]);
    test.run(&["stop", "old"]).exits_with(0);
    assert_eq!(test.containers(), ["PREFIX-old exited"]);
    test.run(&["scale", "old", "--to", "2"])
        .exits_with(2)
        .stderr_contains(&["it is adopted"]);
}

#[test]
fn nothing_is_stopped_if_it_cannot_be_recreated() {
    let test = Test::in_memory("atonce");
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
        crate::support::Run::from_output(
            &command
                .env("DOCKCTL_SECRET_DB_PASSWORD", "very-secret-indeed")
                .output()
                .unwrap(),
        )
    };
    with_secret(&["install", "-i", "key=very-much-so"]).exits_with(0);
    let container_state = || test.inspect("db", "{{.Id}} {{.State.StartedAt}} {{.State.Running}}");
    let before = container_state();
    let hint = |arguments: &str| {
        format!(
            "then run: dockctl {arguments} -d {} --state-dir {} -i key=VALUE",
            test.prefix,
            test.path("state").display()
        )
    };
    test.run(&["reinstall", "db", "--yes"])
        .exits_with(3)
        .stderr_contains(&[
            "there is no secret `db_password`",
            "sensitive input `key`",
            &hint("reinstall db"),
        ]);
    with_secret(&["reinstall", "db", "--yes", "-i", "key=another"])
        .exits_with(3)
        .stderr_contains(&["differs from the installed value"]);
    assert_eq!(container_state(), before);
    // Commands that recreate nothing need neither the input nor the secret.
    test.run(&["restart", "db"]).exits_with(0);
    test.run(&["stop", "web"]).exits_with(0);
    test.run(&["start", "web"]).exits_with(0);
    // Without its tarball the image cannot be loaded again.
    std::fs::rename(&tarball, test.path("elsewhere.tar")).unwrap();
    let before = container_state();
    let missing = format!("{} does not exist", tarball.display());
    with_secret(&["reinstall", "db", "--yes", "-i", "key=very-much-so"])
        .exits_with(3)
        .stderr_contains(&[&missing]);
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
    with_secret(&heal)
        .exits_with(3)
        .stderr_contains(&[&missing]);
    assert_eq!(container_state(), before);
    std::fs::rename(test.path("elsewhere.tar"), &tarball).unwrap();
    with_secret(&["reinstall", "db", "--yes", "-i", "key=very-much-so"]).exits_with(0);
    assert_ne!(container_state(), before);
    test.run(&["uninstall"]).exits_with(0);
}
