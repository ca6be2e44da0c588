//! `dockctl executions`.

use crate::cli::installed_pair;

#[test]
fn execution_is_replayed_in_every_format() {
    let test = installed_pair("again");
    test.docker(&["rm", "-f", &test.name("web")]);
    test.create_foreign("web", &["true"]);
    let failed = test.run(&["heal", "--output", "json"]).exits_with(1).json();
    let id = failed["error"]["execution"].as_str().unwrap();
    let text = test.run(&["executions", id]).exits_with(0).stdout;
    assert!(
        text.contains("heal failed") && text.contains("  --> blueprint.yaml:"),
        "{text}"
    );
    let lines = test
        .run(&["executions", id, "--progress", "json"])
        .exits_with(0)
        .stdout;
    assert!(
        lines
            .lines()
            .all(|line| line.starts_with("{\"version\":1,")),
        "{lines}"
    );
    let junit = test
        .run(&["executions", id, "--output", "junit"])
        .exits_with(0)
        .stdout;
    assert!(
        junit.contains("<testsuites name=\"heal ")
            && junit.contains("<failure message=\"the name")
            && junit.contains("<skipped/>"),
        "{junit}"
    );
    test.run(&["executions", "--output", "junit"])
        .exits_with(2)
        .stderr_contains(&["needs the ID"]);
}
