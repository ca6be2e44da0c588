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
    let prefixed = ["outputs", "--format", "shell", "--prefix", "LD_"];
    test.run(&prefixed).exits_with(2).stderr_contains(&[
        "the output `web-url` would set the variable `LD_web_url`",
        "--prefix OUT_",
    ]);
    let prefixed = ["outputs", "--format", "shell", "--prefix", "SHOP_"];
    let shown = test.run(&prefixed).exits_with(0).stdout;
    assert_eq!(shown, "export SHOP_web_url='it'\\''s here'\n");
    assert_eq!(
        test.run(&["outputs", "--format", "json"])
            .exits_with(0)
            .json(),
        json!({ "web-url": "it's here" })
    );
}
