//! Confirmation of deletions.

use crate::{cli::PAIR, support::Test};

#[test]
fn protected_nodes_are_not_deleted_without_confirmation() {
    let test = Test::in_memory("protect");
    test.blueprint(&format!("metadata: {{dockctl: {{protect: [db]}}}}\n{PAIR}"));
    test.run(&["install"]).exits_with(0);
    for command in [
        &["uninstall"][..],
        &["reinstall"],
        &["scale", "db", "--to", "0"],
    ] {
        test.run(command).exits_with(2).stderr_contains(&[
            "this deletes containers or data of protected nodes: db",
            "--yes",
        ]);
    }
    assert_eq!(
        test.containers(),
        ["PREFIX-db running", "PREFIX-web running"]
    );
    test.run(&["reinstall", "web"]).exits_with(0);
    // A network cannot be updated in place: it is deleted and recreated.
    let net = "node_templates:\n  net: {type: dockctl.nodes.Network, properties: {name: PREFIX-net, internal: INTERNAL}}\n";
    let protected = format!(
        "  - plugin:dockctl\nmetadata: {{dockctl: {{protect: [net]}}}}\n{}",
        PAIR.replacen("node_templates:\n", net, 1)
    );
    test.blueprint(&protected.replace("INTERNAL", "false"));
    test.run(&["update"]).exits_with(0);
    test.blueprint(&protected.replace("INTERNAL", "true"));
    let plan = test.run(&["plan"]).exits_with(0);
    assert!(
        plan.stdout
            .contains("protected: this deletes containers or data of net"),
        "{}",
        plan.stdout
    );
    test.run(&["uninstall", "--yes"]).exits_with(0);
    assert!(test.containers().is_empty());
}
