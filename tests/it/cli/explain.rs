//! `dockctl explain`.

use crate::support::Test;
use serde_json::json;

#[test]
fn codes_are_explained() {
    let test = Test::in_memory("explain");
    insta::assert_snapshot!(
        "explanation",
        test.run(&["explain", "d0035"]).exits_with(0).stdout
    );
    let all = test.run(&["explain"]).exits_with(0).stdout;
    assert!(
        all.lines().count() > 100 && all.lines().all(|line| line.starts_with('D')),
        "{all}"
    );
    let one = test
        .run(&["explain", "D0033", "--output", "json"])
        .exits_with(0)
        .json();
    assert_eq!(
        one["codes"][0]["reference"],
        json!({ "class": "DSLParsingLogicException", "code": 105 })
    );
    test.run(&["explain", "D9999"])
        .exits_with(2)
        .stderr_contains(&["there is no diagnostic code `D9999`"]);
    test.run(&["list", "--output", "sarif"])
        .exits_with(2)
        .stderr_contains(&["`dockctl validate` does"]);
}
