//! `dockctl explain`.

use crate::support::Test;
use serde_json::json;

#[test]
fn codes_are_explained() {
    let test = Test::fake("explain");
    insta::assert_snapshot!(
        "explanation",
        test.run(&["explain", "d0035"]).exits(0).stdout
    );
    let all = test.run(&["explain"]).exits(0).stdout;
    assert!(
        all.lines().count() > 100 && all.lines().all(|line| line.starts_with('D')),
        "{all}"
    );
    let one = test
        .run(&["explain", "D0033", "--output", "json"])
        .exits(0)
        .json();
    assert_eq!(
        one["codes"][0]["reference"],
        json!({ "class": "DSLParsingLogicException", "code": 105 })
    );
    test.run(&["explain", "D9999"])
        .exits(2)
        .says(&["there is no code `D9999`"]);
    test.run(&["list", "--output", "sarif"])
        .exits(2)
        .says(&["`dockctl validate` does"]);
}
