//! `dockctl logs`.

use crate::{
    cli::{installed_pair, instance_id},
    support::{Test, eventually},
};
use serde_json::json;

#[test]
fn log_lines_are_prefixed_with_instance_ids() {
    let test = installed_pair("logs");
    let (db, web) = (instance_id(&test, "db"), instance_id(&test, "web"));
    let all = eventually("the logs", || {
        let all = test.run(&["logs"]).exits_with(0).stdout;
        (all.lines().count() == 3).then_some(all)
    });
    assert!(
        all.contains(&format!("{db}  | db says hello\n"))
            || all.contains(&format!("{db} | db says hello\n")),
        "{all}"
    );
    assert!(all.contains(&format!("{web} | web says hello\n")), "{all}");
    assert_eq!(
        test.run(&["logs", "web"]).exits_with(0).stdout,
        "web says hello\n",
        "a single instance has no prefix"
    );
    assert_eq!(
        test.run(&["logs", "db", "--tail", "1"])
            .exits_with(0)
            .stdout
            .lines()
            .count(),
        1
    );
    assert_eq!(
        test.run(&["logs", "--since", "2000-01-01T00:00:00Z", "--no-prefix"])
            .exits_with(0)
            .stdout
            .lines()
            .count(),
        3
    );
    let json = test
        .run(&["logs", "web", "--output", "json"])
        .exits_with(0)
        .json();
    assert_eq!(
        json["lines"],
        json!([{ "instance": web, "line": "web says hello" }])
    );
    assert!(
        test.run(&["logs", "--color", "always"])
            .exits_with(0)
            .stdout
            .contains("\x1b[38;5;33m")
    );
    test.run(&["logs", "--since", "soon"])
        .exits_with(2)
        .stderr_contains(&["`soon` is not a valid time"]);
    let mut follow = test.start(&["logs", "web", "--follow"]);
    let mut first = [0; 15];
    std::io::Read::read_exact(follow.stdout.as_mut().unwrap(), &mut first).unwrap();
    assert_eq!(&first, b"web says hello\n");
    test.docker(&["rm", "-f", &test.name("web")]);
    Test::wait(follow).exits_with(0);
    test.run(&["logs"]).exits_with(1).stderr_contains(&[
        "container ",
        &format!(" of {web} no longer exists"),
        "dockctl heal -d",
    ]);
}
