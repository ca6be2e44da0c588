//! `dockctl cancel`.

use crate::{
    cli::{executions, waiting},
    support::{Test, eventually},
};

#[test]
fn a_run_is_cancelled_from_another_terminal() {
    let test = Test::fake("cancel");
    let child = waiting(&test);
    let cancelled = test.run(&["cancel", "--output", "json"]).exits(0);
    assert_eq!(cancelled.json()["outcome"], "cancelled");
    Test::end(child).exits(130).says(&[
        "cancelling: no new steps start",
        "interrupted: wait for process",
    ]);
    let id = executions(&test)[0]["id"].as_str().unwrap().to_owned();
    assert!(
        test.run(&["cancel"])
            .exits(0)
            .stdout
            .contains("no execution of")
    );
    test.run(&["cancel", "nosuchid"])
        .exits(2)
        .says(&["has no execution `nosuchid`"]);
    assert!(
        test.run(&["cancel", &id])
            .exits(0)
            .stdout
            .contains("no execution of")
    );
    // Resume by execution ID only, then cancel by force.
    let child = test.start(&["resume", &id]);
    eventually("the resumed run", || {
        test.run(&["status", "--output", "json"]).json()["busy"]["execution"]
            .as_str()
            .map(str::to_owned)
    });
    let asked = test.engine().asked("/top");
    eventually("the wait", || {
        (test.engine().asked("/top") > asked).then_some(())
    });
    let cancelled = test
        .run(&["cancel", "--force", "--output", "json"])
        .exits(0)
        .json();
    assert_eq!(
        (&cancelled["outcome"], &cancelled["forced"]),
        (&"cancelled".into(), &true.into())
    );
    Test::end(child).exits(130);
    let all = executions(&test);
    assert_eq!(
        (&all[1]["of"], &all[1]["stopped"]),
        (&id.into(), &"asked".into())
    );
    test.run(&["uninstall"]).exits(0);
}
