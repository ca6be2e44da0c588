//! The guard on the engine, and `dockctl unlock`.

use crate::{
    cli::{session::signal, waiting},
    docker::install::SLEEPER,
    support::{Run, Test},
};

/// Runs dockctl with another state directory, as on another machine.
fn elsewhere(test: &Test, arguments: &[&str]) -> Run {
    let state = test.path("elsewhere").display().to_string();
    test.run(&[arguments, &["--state-dir", &state]].concat())
}

/// Creates the guard of a run on another machine. It expires in `seconds`.
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
    test.docker(&[&["volume", "create"], &flags[..], &[&name]].concat());
}

#[test]
fn two_state_folders_do_not_work_on_one_deployment_at_once() {
    let test = Test::fake("guard");
    let mut child = waiting(&test);
    let process = format!("process {}", child.id());
    elsewhere(&test, &["install"])
        .exits(1)
        .says(&["has no record of"]);
    elsewhere(&test, &["uninstall"])
        .exits(1)
        .says(&["known only from labels on the engine"]);
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
        .says(&[&process, "its guard expires in"]);
    signal(child.id(), "KILL");
    child.wait().unwrap();
    // `--force` is not needed: the holder ran on this machine and its process is dead.
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
            .contains("has no guard")
    );
    elsewhere(&test, &["uninstall", "--from-labels"]).exits(0);
    assert!(test.containers().is_empty());
    assert_eq!(
        test.docker(&[
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
fn a_guard_of_another_machine_holds_until_it_ends() {
    let test = Test::fake("lease");
    test.blueprint(SLEEPER);
    foreign_guard(&test, 40);
    let busy = test.run(&["install"]).exits(5).says(&[
        "in use on the engine by `dockctl install`",
        "since 2026-01-01",
        "execution faraway1",
        "on buildbox",
    ]);
    assert!(
        busy.stderr.contains("its guard expires in"),
        "{}",
        busy.stderr
    );
    assert!(test.containers().is_empty());
    test.run(&["unlock"]).exits(5).says(&["--force"]);
    // `--no-guard` ignores the guard.
    test.run(&["install", "--no-guard"]).exits(0);
    test.run(&["unlock", "--force"]).exits(0);
    foreign_guard(&test, -1);
    test.run(&["uninstall"]).exits(0);
    assert_eq!(
        test.docker(&[
            "volume",
            "ls",
            "-q",
            "--filter",
            &format!("name={}", test.prefix)
        ]),
        "",
        "all guards are removed"
    );
}

#[test]
fn a_run_whose_guard_was_taken_stops() {
    let test = Test::fake("taken");
    let child = waiting(&test);
    test.docker(&["volume", "rm", &format!("dockctl-guard.{}.1", test.prefix)]);
    Test::end(child).exits(5).says(&[
        "was taken over on the engine",
        "another run took over the deployment",
    ]);
    test.run(&["uninstall"]).exits(0);
    assert_eq!(
        test.docker(&[
            "volume",
            "ls",
            "-q",
            "--filter",
            &format!("name={}", test.prefix)
        ]),
        ""
    );
}
