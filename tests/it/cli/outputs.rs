//! `dockctl outputs`.

use crate::{cli::installed_pair, support::Test};
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

#[test]
fn outputs_that_would_set_one_variable_are_refused() {
    let test = Test::in_memory("samevar");
    let of = |outputs: &str| {
        let (nodes, _) = crate::cli::PAIR.split_once("outputs:").unwrap();
        test.blueprint(&format!("{nodes}outputs: {{{outputs}}}\n"));
    };
    of("a-b: {value: 1}, a_b: {value: 2}");
    test.run(&["install"]).exits_with(0);
    let shell = ["outputs", "--format", "shell"];
    test.run(&shell)
        .exits_with(2)
        .stderr_contains(&["the outputs `a-b` and `a_b` would both set the variable `a_b`"]);
    for special in ["TMPDIR", "LC_ALL", "GLIBC_TUNABLES", "precmd_functions"] {
        of(&format!("{special}: {{value: 1}}"));
        test.run(&["update", "--yes"]).exits_with(0);
        test.run(&shell)
            .exits_with(2)
            .stderr_contains(&["--prefix OUT_"]);
    }
}
