//! `dockctl graph`.

use crate::cli::installed;

#[test]
fn a_deployment_is_drawn_as_it_is() {
    let test = installed("drawn");
    test.docker(&["kill", &test.name("web")]);
    let live = test
        .run(&["graph", "--live", "--format", "mermaid"])
        .exits(0)
        .stdout;
    assert!(
        live.contains(":::healthy") && live.contains(":::unhealthy") && live.contains("-->"),
        "{live}"
    );
    let out = test.path("g.svg").display().to_string();
    test.run(&["graph", "--out", &out]).exits(0);
    assert!(
        std::fs::read_to_string(&out)
            .unwrap()
            .contains(">web</text>")
    );
    test.run(&["graph", "--focus", "nope"])
        .exits(2)
        .says(&["there is no node `nope`"]);
}
