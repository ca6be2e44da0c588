//! Containers that share namespaces of another container, after that one was started again.

use crate::{
    docker::exchange::{self, container},
    support::{Test, free_port},
};

fn write(test: &Test, command: &str) {
    let node = |name: &str, params: &str| container(name, name, params, "");
    let shared = "host_config: {network_mode: 'container:PREFIX-owner'}";
    let nodes = [
        node("owner", &format!("command: {command}")),
        node("sharer", &format!("command: sleep 1000, {shared}")),
        node("aside", "command: sleep 1000"),
    ];
    exchange::write(test, &nodes);
}

/// Returns true if the container has the network of its owner.
fn has_network(test: &Test) -> bool {
    let sharer = test.name("sharer");
    let shown = test.docker(&["exec", &sharer, "cat", "/proc/net/dev"]);
    shown.contains("eth0")
}

#[test]
fn sharers_of_a_network_are_restarted_with_their_owner() {
    let test = Test::new("followers");
    write(&test, "sleep 1000");
    test.run(&["install"]).exits_with(0);
    let aside = test.inspect("aside", "{{.State.StartedAt}}");
    let check = |what: &str| {
        assert!(has_network(&test), "{what}");
        test.run(&["status", "--exit-code"]).exits_with(0);
        test.run(&["plan", "--exit-code"]).exits_with(0);
    };
    check("after install");
    test.run(&["restart", "owner"]).exits_with(0);
    check("after restart");
    // A failed update restores the owner, which was stopped meanwhile.
    let sharer = test.inspect("sharer", "{{.Id}}");
    write(&test, "no-such-command");
    test.run(&["update", "--yes"]).exits_with(1);
    assert!(has_network(&test), "after a failed update");
    assert_eq!(test.inspect("sharer", "{{.Id}}"), sharer, "it is kept");
    write(&test, "sleep 1000");
    test.run(&["update", "--yes"]).exits_with(0);
    check("after a corrected update");
    test.docker(&["kill", &test.name("owner")]);
    test.run(&["plan"])
        .exits_with(0)
        .stdout_contains(&["then started again: sharer_"]);
    test.run(&["heal"]).exits_with(0);
    check("after heal");
    test.run(&["stop", "owner"]).exits_with(0);
    let status = test.run(&["status", "--exit-code"]).exits_with(6);
    status.stdout_contains(&["no network", "run: dockctl start owner_"]);
    test.run(&["start", "owner"]).exits_with(0);
    check("after a stop and a start");
    // The restart policy, or a user, started the owner: that is drift.
    test.docker(&["restart", "-t", "0", &test.name("owner")]);
    assert!(!has_network(&test));
    let status = test.run(&["status", "--exit-code"]);
    assert!(
        status.code != 0 && status.stdout.contains("network_mode"),
        "{}",
        status.stdout
    );
    test.run(&["heal"]).exits_with(0);
    check("after a restart by a user");
    assert_eq!(test.inspect("aside", "{{.State.StartedAt}}"), aside);
    test.run(&["uninstall"]).exits_with(0);
}

fn write_sharer_of_processes(test: &Test) {
    let params = "command: sleep 1000, host_config: {pid_mode: 'container:PREFIX-owner'}";
    let nodes = [
        container("owner", "owner", "command: sleep 1000", ""),
        container("sharer", "sharer", params, ""),
    ];
    exchange::write(test, &nodes);
}

#[test]
fn sharer_of_processes_is_started_again_and_foreign_sharers_are_named() {
    let test = Test::new("pids");
    write_sharer_of_processes(&test);
    test.run(&["install"]).exits_with(0);
    let guest = test.name("guest");
    let of_owner = format!("container:{}", test.name("owner"));
    let label = format!("dockctl-test={}", test.prefix);
    test.docker(&[
        "run",
        "-d",
        "--name",
        &guest,
        "--label",
        &label,
        "--network",
        &of_owner,
        "dockctl-demo",
        "sleep",
        "1000",
    ]);
    let watcher = test.name("watcher");
    let run = ["run", "-d", "--name", &watcher, "--label", &label];
    let share = ["--pid", &of_owner, "dockctl-demo", "sleep", "1000"];
    test.docker(&[&run[..], &share].concat());
    let ends = format!("`{watcher}`, outside this deployment, shares the processes of owner_");
    let runs = |node: &str| test.inspect(node, "{{.State.Running}}");
    let named = format!("`{guest}`, outside this deployment, shares the network of owner_");
    test.run(&["restart", "owner"])
        .exits_with(0)
        .stderr_contains(&[&named, &format!("run: docker restart {guest}")])
        .stderr_contains(&[&ends, &format!("docker start {watcher}")]);
    assert_eq!(runs("sharer"), "true", "after a restart of its owner");
    let restarted = test.docker(&["inspect", "-f", "{{.State.StartedAt}}", &guest]);
    test.docker(&["restart", "-t", "0", &test.name("owner")]);
    assert_eq!(runs("sharer"), "false");
    test.run(&["status"])
        .exits_with(0)
        .stdout_contains(&["pid_mode", "stopped"]);
    test.run(&["heal"]).exits_with(0);
    assert_eq!(runs("sharer"), "true", "after heal");
    test.run(&["status", "--exit-code"]).exits_with(0);
    assert_eq!(
        test.docker(&["inspect", "-f", "{{.State.StartedAt}}", &guest]),
        restarted,
        "a foreign container is not touched"
    );
    test.docker(&["rm", "-f", &guest, &watcher]);
    test.run(&["uninstall"]).exits_with(0);
}

#[test]
fn stopped_owner_fails_a_start_at_once_and_can_be_uninstalled() {
    let test = Test::new("stoppedowner");
    write_sharer_of_processes(&test);
    test.run(&["install"]).exits_with(0);
    test.docker(&["kill", &test.name("owner")]);
    let owner = test.name("owner");
    let why = format!("container `{owner}`, which `pid_mode` names, does not run");
    for command in ["start", "restart"] {
        let refused = test.run(&[command, "sharer"]).exits_with(3);
        refused.stderr_contains(&["needs owner_", "dockctl start owner_"]);
    }
    let start = "operation=cloudify.interfaces.lifecycle.start";
    let only = "node_ids=[sharer]";
    let failed = test.run(&["execute", "execute_operation", "-p", start, "-p", only]);
    let failed = failed.exits_with(1);
    assert!(!failed.stderr.contains("retrying"), "{}", failed.stderr);
    failed.stderr_contains(&[&why, "start that container first"]);
    test.run(&["heal"]).exits_with(0);
    let label = format!("dockctl-test={}", test.prefix);
    let guest = test.name("guest");
    let run = ["run", "-d", "--name", &guest, "--label", &label];
    let share = ["--pid", &format!("container:{owner}"), "dockctl-demo"];
    test.docker(&[&run[..], &share, &["sleep", "1000"]].concat());
    let uninstalled = test.run(&["uninstall"]).exits_with(0);
    let ends = format!("`{guest}`, outside this deployment, shares the processes of owner_");
    uninstalled.stderr_contains(&[&ends]);
    test.docker(&["rm", "-f", &guest]);
}

#[test]
fn sharer_that_never_started_is_created_again_with_its_owner() {
    let test = Test::new("neverstarted");
    let port = free_port();
    let holder = test.docker(&[
        "run",
        "-d",
        "--label",
        &format!("dockctl-test={}", test.prefix),
        "-p",
        &format!("{port}:80"),
        "dockctl-demo",
        "sleep",
        "1000",
    ]);
    let shared = format!(
        "host_config: {{pid_mode: 'container:PREFIX-owner', port_bindings: {{80: {port}}}}}"
    );
    let params = format!("command: sleep 1000, {shared}");
    let relationship = "{type: cloudify.relationships.depends_on, target: owner}";
    let nodes = [
        container("owner", "owner", "command: sleep 1000", ""),
        container("sharer", "sharer", &params, relationship),
    ];
    exchange::write(&test, &nodes);
    test.run(&["install"]).exits_with(1);
    assert_eq!(test.inspect("sharer", "{{.State.Status}}"), "created");
    test.docker(&["rm", "-f", &holder]);
    test.docker(&["rm", "-f", &test.name("owner")]);
    test.run(&["install"]).exits_with(0);
    test.run(&["status", "--exit-code"]).exits_with(0);
    test.run(&["uninstall"]).exits_with(0);
}

#[test]
fn sharer_of_a_foreign_container_drifts_with_it() {
    let test = Test::new("foreignowner");
    let owner = test.create_foreign("owner", &["sleep", "1000"]);
    test.docker(&["start", &owner]);
    let shared = "host_config: {network_mode: 'container:PREFIX-owner'}";
    let sharer = container(
        "sharer",
        "sharer",
        &format!("command: sleep 1000, {shared}"),
        "",
    );
    exchange::write(&test, &[sharer]);
    test.run(&["install"]).exits_with(0);
    test.docker(&["restart", "-t", "0", &owner]);
    test.run(&["status", "--exit-code"]).exits_with(6);
    test.run(&["heal"]).exits_with(0);
    assert!(has_network(&test));
    test.run(&["status", "--exit-code"]).exits_with(0);
    test.run(&["uninstall"]).exits_with(0);
}

/// The foreign owner of a namespace was replaced: only a new container can use the new one.
#[test]
fn sharer_of_a_replaced_foreign_container_is_recreated() {
    let test = Test::new("lostowner");
    let owner = test.name("owner");
    let label = format!("dockctl-test={}", test.prefix);
    let run = ["run", "-d", "--name", &owner, "--label", &label];
    let run = [&run[..], &["dockctl-demo", "sleep", "1000"]].concat();
    test.docker(&run);
    let params = "command: sleep 1000, host_config: {network_mode: 'container:PREFIX-owner'}";
    exchange::write(&test, &[container("sharer", "sharer", params, "")]);
    test.run(&["install"]).exits_with(0);
    test.docker(&["rm", "-f", &owner]);
    test.run(&["status"])
        .exits_with(0)
        .stdout_contains(&["network_mode", "of a container that is gone"]);
    let failed = test.run(&["heal"]).exits_with(1);
    assert!(!failed.stderr.contains("retrying"), "{}", failed.stderr);
    test.docker(&run);
    test.run(&["heal"]).exits_with(0);
    assert!(has_network(&test));
    test.run(&["status", "--exit-code"]).exits_with(0);
    test.run(&["uninstall"]).exits_with(0);
    test.docker(&["rm", "-f", &owner]);
}

/// A container outside the deployment shares the processes of a container that starts again only
/// because it shares the network of another one.
#[test]
fn foreign_sharers_of_followers_are_named() {
    let test = Test::new("foreignchain");
    write(&test, "sleep 1000");
    test.run(&["install"]).exits_with(0);
    let guest = test.name("guest");
    let label = format!("dockctl-test={}", test.prefix);
    let run = ["run", "-d", "--name", &guest, "--label", &label];
    let share = format!("container:{}", test.name("sharer"));
    let share = ["--pid", &share, "dockctl-demo", "sleep", "1000"];
    test.docker(&[&run[..], &share].concat());
    let named = format!("`{guest}`, outside this deployment, shares the processes of sharer_");
    test.run(&["restart", "owner"])
        .exits_with(0)
        .stderr_contains(&[&named]);
    test.docker(&["start", &guest]);
    test.docker(&["restart", "-t", "0", &test.name("owner")]);
    test.run(&["heal"]).exits_with(0).stderr_contains(&[&named]);
    test.docker(&["rm", "-f", &guest]);
    // One that shares the network through another one, also if the owner only stops.
    let run = |guest: &str, share: &str| {
        let run = ["run", "-d", "--name", guest, "--label", &label, "--network"];
        test.docker(&[&run[..], &[share, "dockctl-demo", "sleep", "1000"]].concat());
    };
    let other = test.name("other");
    run(&guest, &format!("container:{}", test.name("sharer")));
    run(&other, &format!("container:{guest}"));
    let named =
        format!("`{guest}`, `{other}`, outside this deployment, share the network of sharer_");
    test.run(&["stop", "owner"])
        .exits_with(0)
        .stderr_contains(&[&named]);
    test.docker(&["rm", "-f", &guest, &other]);
    test.run(&["uninstall"]).exits_with(0);

    // The network of a container that only shares the IPC stays.
    let shared = "command: sleep 1000, host_config: {ipc_mode: 'container:PREFIX-owner'}";
    let owner = "command: sleep 1000, host_config: {ipc_mode: shareable}";
    let nodes = [
        container("owner", "owner", owner, ""),
        container("sharer", "sharer", shared, ""),
    ];
    exchange::write(&test, &nodes);
    test.run(&["install"]).exits_with(0);
    run(&guest, &format!("container:{}", test.name("sharer")));
    let stopped = test.run(&["stop", "owner"]).exits_with(0);
    assert!(!stopped.stderr.contains(&guest), "{}", stopped.stderr);
    test.docker(&["rm", "-f", &guest]);
    test.run(&["uninstall"]).exits_with(0);
}

/// Only an attribute names the owner, so that the declaration refers to no other object.
#[test]
fn sharers_by_attribute_are_recreated_with_their_owner() {
    let test = Test::new("lateowner");
    let by_id = "{concat: ['container:', {get_attribute: [owner, container_id]}]}";
    let node = |name: &str, mode: &str| {
        let params = format!("command: sleep 1000, host_config: {{{mode}: {by_id}}}");
        container(name, name, &params, "")
    };
    let nodes = [
        container("owner", "owner", "command: sleep 1000", ""),
        node("sharer", "network_mode"),
        node("tracer", "pid_mode"),
    ];
    exchange::write(&test, &nodes);
    test.run(&["install"]).exits_with(0);
    let check = |what: &str| {
        assert!(has_network(&test), "{what}");
        let tracer = test.inspect("tracer", "{{.State.Running}}");
        assert_eq!(tracer, "true", "{what}");
        test.run(&["status", "--exit-code"]).exits_with(0);
    };
    for command in ["heal", "restart", "reinstall"] {
        test.docker(&["rm", "-f", &test.name("owner")]);
        test.run(&[command, "owner"]).exits_with(0);
        check(command);
    }
    test.run(&["uninstall"]).exits_with(0);
}
