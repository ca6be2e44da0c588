//! `dockctl executions`.

use crate::cli::installed;

#[test]
fn an_execution_is_told_again_in_every_form() {
    let test = installed("again");
    test.docker(&["rm", "-f", &test.name("web")]);
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
        .says(&["needs the ID"]);
}
