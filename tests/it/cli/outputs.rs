//! `dockctl outputs`.

use crate::cli::installed;
use serde_json::json;

#[test]
fn outputs_are_written_for_shells() {
    let test = installed("shells");
    assert_eq!(
        test.run(&["outputs", "--format", "env"]).exits(0).stdout,
        "web_url=it's here\n"
    );
    assert_eq!(
        test.run(&["outputs", "--format", "shell"]).exits(0).stdout,
        "export web_url='it'\\''s here'\n"
    );
    assert_eq!(
        test.run(&["outputs", "--format", "json"]).exits(0).json(),
        json!({ "web-url": "it's here" })
    );
}
