//! `dockctl cancel`.

use crate::{
    cli::{executions, start_waiting_install},
    support::{Test, eventually},
};

#[test]
fn run_is_cancelled_from_another_process() {
    let test = Test::in_memory("cancel");
    let child = start_waiting_install(&test);
    let cancelled = test.run(&["cancel", "--output", "json"]).exits_with(0);
    assert_eq!(cancelled.json()["outcome"], "cancelled");
    Test::wait(child).exits_with(130).stderr_contains(&[
        "cancelling: no new steps start",
        "interrupted: wait for process",
    ]);
    let id = executions(&test)[0]["id"].as_str().unwrap().to_owned();
    assert!(
        test.run(&["cancel"])
            .exits_with(0)
            .stdout
            .contains("no execution of")
    );
    test.run(&["cancel", "nosuchid"])
        .exits_with(2)
        .stderr_contains(&["has no execution `nosuchid`"]);
    assert!(
        test.run(&["cancel", &id])
            .exits_with(0)
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
    let requests = test.engine().request_count("/top");
    eventually("the wait", || {
        (test.engine().request_count("/top") > requests).then_some(())
    });
    let cancelled = test
        .run(&["cancel", "--force", "--output", "json"])
        .exits_with(0)
        .json();
    assert_eq!(
        (&cancelled["outcome"], &cancelled["forced"]),
        (&"cancelled".into(), &true.into())
    );
    Test::wait(child).exits_with(130);
    let all = executions(&test);
    assert_eq!(
        (&all[1]["of"], &all[1]["stopped"]),
        (&id.into(), &"asked".into())
    );
    test.run(&["uninstall"]).exits_with(0);
}
