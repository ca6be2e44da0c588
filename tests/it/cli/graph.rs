//! `dockctl graph`.

use crate::cli::installed_pair;

#[test]
fn live_graph_shows_the_present_state() {
    let test = installed_pair("drawn");
    test.docker(&["kill", &test.name("web")]);
    let live = test
        .run(&["graph", "--live", "--format", "mermaid"])
        .exits_with(0)
        .stdout;
    assert!(
        live.contains(":::healthy") && live.contains(":::unhealthy") && live.contains("-->"),
        "{live}"
    );
    let out = test.path("g.svg").display().to_string();
    test.run(&["graph", "--out", &out]).exits_with(0);
    assert!(
        std::fs::read_to_string(&out)
            .unwrap()
            .contains(">web</text>")
    );
    test.run(&["graph", "--focus", "nope"])
        .exits_with(2)
        .stderr_contains(&["there is no node `nope`"]);
}
