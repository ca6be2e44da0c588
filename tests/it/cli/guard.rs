//! The guard on the engine, and `dockctl unlock`.

use crate::{
    cli::{session::send_signal, start_waiting_install},
    docker::install::SLEEPER,
    support::{Run, Test},
};

/// Runs dockctl with another state directory, as on another machine.
fn run_elsewhere(test: &Test, arguments: &[&str]) -> Run {
    let state = test.path("elsewhere").display().to_string();
    test.run(&[arguments, &["--state-dir", &state]].concat())
}

/// Creates the guard of a run on another machine. It expires in `seconds`.
fn create_foreign_guard(test: &Test, seconds: i64) {
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
fn guard_excludes_a_second_state_directory() {
    let test = Test::in_memory("guard");
    let mut child = start_waiting_install(&test);
    let process = format!("process {}", child.id());
    run_elsewhere(&test, &["install"])
        .exits_with(1)
        .stderr_contains(&["has no record of"]);
    run_elsewhere(&test, &["uninstall"])
        .exits_with(1)
        .stderr_contains(&["known only from labels on the engine"]);
    run_elsewhere(&test, &["uninstall", "--from-labels"])
        .exits_with(5)
        .stderr_contains(&[
            "in use on the engine by `dockctl install`",
            &process,
            "execution",
            " on ",
        ]);
    run_elsewhere(&test, &["unlock"])
        .exits_with(5)
        .stderr_contains(&[&process, "its guard expires in"]);
    send_signal(child.id(), "KILL");
    child.wait().unwrap();
    // `--force` is not needed: the holder ran on this machine and its process is dead.
    assert!(
        run_elsewhere(&test, &["unlock"])
            .exits_with(0)
            .stdout
            .contains(&process)
    );
    assert!(
        run_elsewhere(&test, &["unlock"])
            .exits_with(0)
            .stdout
            .contains("has no guard")
    );
    run_elsewhere(&test, &["uninstall", "--from-labels"]).exits_with(0);
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
fn guard_of_another_machine_is_respected_until_it_expires() {
    let test = Test::in_memory("lease");
    test.blueprint(SLEEPER);
    create_foreign_guard(&test, 40);
    let refused = test.run(&["install"]).exits_with(5).stderr_contains(&[
        "in use on the engine by `dockctl install`",
        "since 2026-01-01",
        "execution faraway1",
        "on buildbox",
    ]);
    assert!(
        refused.stderr.contains("its guard expires in"),
        "{}",
        refused.stderr
    );
    assert!(test.containers().is_empty());
    test.run(&["unlock"])
        .exits_with(5)
        .stderr_contains(&["--force"]);
    // `--no-guard` ignores the guard.
    test.run(&["install", "--no-guard"]).exits_with(0);
    test.run(&["unlock", "--force"]).exits_with(0);
    create_foreign_guard(&test, -1);
    test.run(&["uninstall"]).exits_with(0);
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
fn run_stops_when_it_loses_its_guard() {
    let test = Test::in_memory("taken");
    let child = start_waiting_install(&test);
    test.docker(&["volume", "rm", &format!("dockctl-guard.{}.1", test.prefix)]);
    Test::wait(child).exits_with(5).stderr_contains(&[
        "was taken over on the engine",
        "another run took over the deployment",
    ]);
    test.run(&["uninstall"]).exits_with(0);
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
