//! `dockctl infrakit serve --groups`: the group plugin and the flavor plugin over their sockets, and
//! `dockctl group` as a client.

use super::{
    Served, command,
    groups::{group, members, sized, spec, write},
};
use crate::support::{Test, eventually};
use serde_json::{Value as Json, json};
use std::{
    thread::sleep,
    time::{Duration, Instant},
};

/// Starts the daemon, and returns it with the socket of its group plugin.
pub(super) fn serve(test: &Test, arguments: &[&str]) -> Served {
    let named = [
        "serve",
        "--name",
        &test.prefix,
        "--groups",
        "--poll-interval",
        "1s",
    ];
    let command = command(test, &[&named, arguments].concat());
    let mut served = Served::start_command(test, command);
    served.socket = test.path("plugins").join("group");
    served
}

impl Served {
    /// Commits a specification and returns what the commit does.
    pub(super) fn commit(&self, spec: &Json) -> String {
        let params = json!({ "Spec": spec, "Pretend": false });
        let result = self.call("Group.CommitGroup", &params);
        assert_eq!(result["ID"], spec["ID"]);
        result["Details"].as_str().unwrap().to_owned()
    }

    /// Waits until a group matches its specification.
    pub(super) fn converged(&self, id: &str) {
        let begun = Instant::now();
        while begun.elapsed().as_secs() < 30 {
            let described = self.call("Group.DescribeGroup", &json!({ "ID": id }));
            if described["Description"]["Converged"] == true {
                return;
            }
            sleep(Duration::from_millis(200));
        }
        panic!("the group does not match its specification: {}", self.log());
    }
}

#[test]
fn groups_are_committed_scaled_updated_and_destroyed_over_the_socket() {
    let test = Test::new("ikd-life");
    test.import_image();
    let served = serve(&test, &[]);
    let id = json!({ "ID": test.prefix });
    let error = served.error("Group.DescribeGroup", &id);
    assert_eq!(
        error,
        format!("Group '{}' is not being watched", test.prefix)
    );
    let inspected = served.call("Group.InspectGroups", &json!({ "ID": "" }));
    assert_eq!(inspected, json!({ "ID": "", "Groups": null }));
    let first = sized(&test, 1, 1000);
    let pretended = served.call(
        "Group.CommitGroup",
        &json!({ "Spec": first, "Pretend": true }),
    );
    assert_eq!(pretended["Details"], "Managing 1 instances");
    assert_eq!(members(&test), [""; 0]);
    assert_eq!(served.commit(&first), "Managing 1 instances");
    served.converged(&test.prefix);
    assert_eq!(members(&test), ["PREFIX-1 sleep 1000 running"]);
    let described = served.call("Group.DescribeGroup", &id);
    let instance = &described["Description"]["Instances"][0];
    assert_eq!(instance["LogicalID"], test.name("1"));
    assert_eq!(instance["Tags"]["infrakit.group"], *test.prefix);
    assert_eq!(instance["Tags"].as_object().unwrap().len(), 3, "{instance}");
    let details = served.commit(&sized(&test, 2, 1001));
    assert_eq!(
        details,
        "Performing a rolling update on 1 instances, then adding 1 instances to increase the group size to 2"
    );
    served.converged(&test.prefix);
    let both = ["PREFIX-1 sleep 1001 running", "PREFIX-2 sleep 1001 running"];
    assert_eq!(members(&test), both);
    let inspected = served.call("Group.InspectGroups", &json!({}));
    let allocation = &inspected["Groups"][0]["Properties"]["Allocation"];
    assert_eq!(*allocation, json!({ "Size": 2, "LogicalIDs": null }));
    served.call("Group.SetSize", &json!({ "ID": test.prefix, "Size": 3 }));
    assert_eq!(served.call("Group.Size", &id)["Size"], 3);
    served.converged(&test.prefix);
    let removed = json!({ "ID": test.prefix, "Instances": [test.name("2")] });
    served.call("Group.DestroyInstances", &removed);
    served.converged(&test.prefix);
    let left = ["PREFIX-1 sleep 1001 running", "PREFIX-3 sleep 1001 running"];
    assert_eq!(members(&test), left);
    for (params, message) in [
        (
            json!({ "ID": test.prefix, "Size": 0 }),
            "Allocation must not be blank",
        ),
        (
            json!({ "ID": test.prefix, "Size": -1 }),
            "size cannot be negative",
        ),
        (json!({ "ID": "none", "Size": 1 }), "group none not found"),
    ] {
        assert_eq!(served.error("Group.SetSize", &params), message);
    }
    served.call("Group.DestroyGroup", &id);
    eventually("the group is gone", || {
        members(&test).is_empty().then_some(())
    });
    eventually("the group is forgotten", || {
        let inspected = served.call("Group.InspectGroups", &json!({}));
        inspected["Groups"].is_null().then_some(())
    });
}

#[test]
fn instances_are_healed_after_events_and_stops() {
    let test = Test::new("ikd-heal");
    test.import_image();
    let served = serve(&test, &[]);
    let mut spec = sized(&test, 2, 1000);
    spec["Properties"]["Instance"]["Properties"]["HostConfig"] = json!({});
    served.commit(&spec);
    served.converged(&test.prefix);
    let both = ["PREFIX-1 sleep 1000 running", "PREFIX-2 sleep 1000 running"];
    let losses = [&["rm", "-f"][..], &["stop"], &["kill"]];
    for (repairs, words) in losses.into_iter().enumerate() {
        let name = test.name("2");
        test.docker(&[words, &[&name]].concat());
        // The engine may list a container as running for a moment after it stopped.
        eventually("the instance is healed", || {
            let is_repaired = served.log().matches("repaired:").count() > repairs;
            (is_repaired && members(&test) == both).then_some(())
        });
    }
    assert_eq!(served.stop(), 0);
    assert_eq!(members(&test), both, "instances outlive the daemon");
}

#[test]
fn commits_are_refused_with_the_texts_of_the_original() {
    let test = Test::in_memory("ikd-refuse");
    test.import_image();
    let served = serve(&test, &[]);
    let error = |spec: Json| {
        served.error(
            "Group.CommitGroup",
            &json!({ "Spec": spec, "Pretend": false }),
        )
    };
    let mut blank = sized(&test, 1, 1000);
    blank["ID"] = "".into();
    assert_eq!(error(blank), "Group ID must not be blank");
    let mut unknown = sized(&test, 1, 1000);
    unknown["Properties"]["Instance"]["Plugin"] = "aws".into();
    let message = "Failed to find Instance plugin 'aws':plugin not found:aws";
    assert_eq!(error(unknown), message);
    let mut empty = sized(&test, 1, 1000);
    empty["Properties"]["Instance"]["Properties"] = json!({});
    assert_eq!(error(empty), "Config should be set");
    let mut own = sized(&test, 1, 1000);
    own["Properties"]["Instance"]["Plugin"] = test.prefix.as_str().into();
    assert_eq!(
        served.commit(&own),
        "Managing 1 instances",
        "the name of the plugin"
    );
    served.converged(&test.prefix);
    let ids = json!({ "LogicalIDs": [test.name("a")] });
    let message = "Logical ID changes to a quorum is not currently supported";
    assert_eq!(error(spec(&test, &ids, 1000)), message);
    let unknown = served.error("Instance.Validate", &json!({}));
    assert_eq!(unknown, "rpc: can't find service \"Instance.Validate\"");
}

#[test]
fn containers_of_others_are_taken_over_only_by_a_daemon_that_may() {
    let test = Test::in_memory("ikd-take");
    test.import_image();
    let (name, label) = (test.name("old"), format!("infrakit.group={}", test.prefix));
    test.docker(&[
        "run",
        "-d",
        "--name",
        &name,
        "--label",
        &label,
        &test.prefix,
        "sleep",
        "900",
    ]);
    let spec = sized(&test, 1, 1000);
    let served = serve(&test, &[]);
    let error = served.error("Group.CommitGroup", &json!({ "Spec": spec }));
    assert!(
        error.contains(&name) && error.ends_with("if it is started with --take-over"),
        "{error}"
    );
    assert_eq!(served.stop(), 0);
    let served = serve(&test, &["--take-over"]);
    assert_eq!(served.commit(&spec), "Managing 1 instances");
    served.converged_count(&test, 1);
    served.await_log("watching 1 container");
    std::thread::sleep(std::time::Duration::from_secs(2));
    assert_eq!(
        members(&test),
        ["PREFIX-old sleep 900 running"],
        "it stays as it is: {}",
        served.log()
    );
    let details = served.commit(&spec);
    assert_eq!(details, "Performing a rolling update on 1 instances");
    served.converged(&test.prefix);
    assert_eq!(members(&test), ["PREFIX-old sleep 1000 running"]);
}

impl Served {
    /// Waits until a group has this number of instances.
    fn converged_count(&self, test: &Test, count: usize) {
        eventually("the instances", || {
            let described = self.call("Group.DescribeGroup", &json!({ "ID": test.prefix }));
            let instances = described["Description"]["Instances"].as_array().unwrap();
            (instances.len() == count).then_some(())
        });
    }
}

#[test]
fn newer_commit_replaces_a_running_one() {
    let test = Test::in_memory("ikd-newer");
    test.import_image();
    let served = serve(&test, &[]);
    served.commit(&sized(&test, 3, 1000));
    let details = served.commit(&sized(&test, 2, 1001));
    assert!(
        details.contains("to reduce the group size to 2"),
        "{details}"
    );
    let described = served.call("Group.Size", &json!({ "ID": test.prefix }));
    assert_eq!(described["Size"], 2);
    served.converged(&test.prefix);
    let both = ["PREFIX-1 sleep 1001 running", "PREFIX-2 sleep 1001 running"];
    assert_eq!(members(&test), both);
    served.call("Group.FreeGroup", &json!({ "ID": test.prefix }));
    assert_eq!(members(&test), both);
    let error = served.error("Group.FreeGroup", &json!({ "ID": test.prefix }));
    assert_eq!(
        error,
        format!("Group '{}' is not being watched", test.prefix)
    );
}

#[test]
fn daemon_continues_after_a_restart_in_every_phase() {
    let test = Test::in_memory("ikd-restart");
    test.import_image();
    let phases = [
        "create container",
        "start container",
        "run the script",
        "remove old container",
    ];
    for (at, phase) in (1000..).zip(phases) {
        let served = serve(&test, &[]);
        served.commit(&sized(&test, 2, at));
        let finished = "the group matches its specification";
        eventually(phase, || {
            let log = served.log();
            (log.contains(phase) || log.contains(finished)).then_some(())
        });
        assert_eq!(served.stop(), 0);
        let served = serve(&test, &[]);
        served.converged(&test.prefix);
        let both = [1, 2].map(|n| format!("PREFIX-{n} sleep {at} running"));
        assert_eq!(members(&test), both, "{phase}: {}", served.log());
        assert_eq!(served.stop(), 0);
    }
}

#[test]
fn command_is_a_client_while_the_daemon_runs() {
    let test = Test::in_memory("ikd-client");
    test.import_image();
    let served = serve(&test, &[]);
    let path = write(&test, &sized(&test, 2, 1000));
    let committed = group(&test, &["commit", &path]).exits_with(0);
    assert_eq!(
        committed.stdout,
        format!("Committed {}: Managing 2 instances\n", test.prefix)
    );
    assert_eq!(committed.stderr, "", "the daemon heals");
    served.converged(&test.prefix);
    let described = group(&test, &["describe", "-q", &test.prefix])
        .exits_with(0)
        .stdout;
    assert_eq!(described.lines().count(), 2, "{described}");
    let raw = group(&test, &["describe", "-r", &test.prefix])
        .exits_with(0)
        .stdout;
    let raw: Json = serde_json::from_str(&raw).unwrap();
    assert_eq!(raw["Converged"], true);
    let words = ["scale", &test.prefix, "1"];
    assert_eq!(
        group(&test, &words).exits_with(0).stdout,
        format!("Group {} at 2 instances, scale to 1\n", test.prefix)
    );
    let inspected = group(&test, &["inspect", &test.prefix])
        .exits_with(0)
        .stdout;
    assert!(inspected.contains("\n\"Size\": 1,\n"), "{inspected}");
    let unknown = group(&test, &["describe", "none"]).exits_with(2);
    drop(unknown.stderr_contains(&["Group 'none' is not being watched"]));
    served.converged(&test.prefix);
    group(&test, &["free", &test.prefix]).exits_with(0);
    assert_eq!(group(&test, &["ls", "-q"]).exits_with(0).stdout, "");
    let mut elsewhere = test.command(&["group", "ls"]);
    elsewhere.env("INFRAKIT_PLUGINS_DIR", test.path("elsewhere"));
    let refused = crate::support::Run::from_output(&elsewhere.output().unwrap()).exits_with(5);
    drop(refused.stderr_contains(&["serves the groups of this state directory", "--plugins-dir"]));
    assert_eq!(members(&test), ["PREFIX-1 sleep 1000 running"]);
    let second = [
        "serve",
        "--name",
        "other",
        "--groups",
        "--group-name",
        "g2",
        "--flavor-name",
        "f2",
    ];
    let second = super::run(&test, &second).exits_with(5);
    drop(second.stderr_contains(&["the groups of this state directory are in use"]));
}

#[test]
fn flavor_completes_specifications_of_other_controllers() {
    let test = Test::in_memory("ikd-flavor");
    let mut served = serve(&test, &[]);
    served.socket = test.path("plugins").join("flavor-vanilla");
    let hello = served.call("Handshake.Hello", &json!({}));
    assert_eq!(hello["Objects"]["Flavor/0.1.1"][0]["Name"], ".");
    let types = served.call("Handshake.Types", &json!({}));
    assert_eq!(types, json!({ "Types": { "Flavor/0.1.0": ["."] } }));
    let properties = json!({ "Init": ["a", "b"], "Tags": { "tier": "web" } });
    let spec = json!({ "Properties": { "x": 1 }, "Tags": { "infrakit.group": "g" }, "Init": "first", "LogicalID": "l" });
    let params = json!({ "Type": "", "Properties": properties, "Spec": spec, "Allocation": { "Size": 1 }, "Index": { "Group": "g", "Sequence": 1 } });
    let prepared = served.call("Flavor.Prepare", &params);
    assert_eq!(
        prepared["Spec"],
        json!({
            "Properties": { "x": 1 },
            "Tags": { "infrakit.group": "g", "tier": "web" },
            "Init": "first\na\nb",
            "LogicalID": "l",
            "Attachments": null,
        })
    );
    let with = |properties: Json| json!({ "Type": "", "Properties": properties });
    assert_eq!(
        served.call("Flavor.Validate", &with(properties.clone()))["OK"],
        true
    );
    assert_eq!(served.call("Flavor.Healthy", &with(json!({})))["Health"], 1);
    assert_eq!(served.call("Flavor.Drain", &with(json!({})))["OK"], true);
    let error = served.error("Flavor.Validate", &with(json!({ "Init": "a" })));
    assert_eq!(
        error,
        "Invalid properties: `Init` must be a list of strings"
    );
    let error = served.error("Flavor.Validate", &json!({ "Type": "swarm" }));
    assert_eq!(error, "no-plugin:swarm");
}
