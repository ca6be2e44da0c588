//! `dockctl outputs`.

use crate::cli::installed_pair;
use serde_json::json;

#[test]
fn outputs_have_formats_for_shells() {
    let test = installed_pair("shells");
    assert_eq!(
        test.run(&["outputs", "--format", "env"])
            .exits_with(0)
            .stdout,
        "web_url=it's here\n"
    );
    assert_eq!(
        test.run(&["outputs", "--format", "shell"])
            .exits_with(0)
            .stdout,
        "export web_url='it'\\''s here'\n"
    );
    assert_eq!(
        test.run(&["outputs", "--format", "json"])
            .exits_with(0)
            .json(),
        json!({ "web-url": "it's here" })
    );
}
