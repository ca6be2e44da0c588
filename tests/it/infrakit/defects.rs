//! The defects of the original, by their numbers in its description: each is done better.

use super::{Served, properties, spec};
use crate::support::{Test, docker, eventually};
use serde_json::{Value as Json, json};
use std::collections::BTreeSet;

/// Provisions many instances at once. Returns the replies.
fn provision_all(served: &Served, specs: &[Json]) -> Vec<Json> {
    std::thread::scope(|scope| {
        let one = |spec| {
            scope.spawn(move || served.reply("Instance.Provision", &json!({ "Spec": spec })))
        };
        let all: Vec<_> = specs.iter().map(one).collect();
        all.into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    })
}

fn ids(replies: &[Json]) -> BTreeSet<String> {
    let id = |reply: &Json| {
        reply["result"]["ID"]
            .as_str()
            .unwrap_or_else(|| panic!("{reply}"))
            .to_owned()
    };
    replies.iter().map(id).collect()
}

#[test]
fn n1_parallel_instances_run_their_own_scripts() {
    let test = Test::new("ik-own");
    test.import_image();
    let served = Served::start(&test, &[]);
    let one = |n: usize| {
        let more = json!({ "LogicalID": test.name(&format!("i{n}")), "Init": format!("echo {n} > /tmp/n; sleep 0.2") });
        spec(&test, &more)
    };
    let specs: Vec<Json> = (0..6).map(one).collect();
    assert_eq!(ids(&provision_all(&served, &specs)).len(), 6);
    for n in 0..6 {
        let name = test.name(&format!("i{n}"));
        assert_eq!(docker(&["exec", &name, "cat", "/tmp/n"]), n.to_string());
    }
}

#[test]
fn n2_parallel_instances_share_one_new_network() {
    let test = Test::new("ik-net");
    test.import_image();
    let served = Served::start(&test, &[]);
    let network = test.name("net");
    let more = json!({ "Properties": { "NetworkAttachments": [{ "Name": network, "Driver": "bridge" }] } });
    let specs = vec![spec(&test, &more); 6];
    let created = ids(&provision_all(&served, &specs));
    let found = docker(&[
        "network",
        "ls",
        "--format",
        "{{.Name}}",
        "--filter",
        &format!("name={network}"),
    ]);
    assert_eq!(found, network);
    for id in created {
        let networks = docker(&[
            "inspect",
            "--format",
            "{{range $name, $_ := .NetworkSettings.Networks}}{{$name}} {{end}}",
            &id,
        ]);
        assert_eq!(networks, format!("bridge {network}"));
    }
}

#[test]
fn n3_network_with_a_longer_name_is_not_joined() {
    let test = Test::in_memory("ik-exact");
    test.import_image();
    let served = Served::start(&test, &[]);
    test.docker(&["network", "create", &test.name("net10")]);
    let more = json!({ "LogicalID": test.name("a"), "Properties": { "NetworkAttachments": [{ "Name": test.name("net1") }] } });
    served.provision(&spec(&test, &more));
    let joined = test.inspect("a", "{{json .NetworkSettings.Networks}}");
    assert!(
        joined.contains(&format!("{}\"", test.name("net1"))) && !joined.contains("net10"),
        "{joined}"
    );
    // Another driver is another network.
    let other = json!({ "Properties": { "NetworkAttachments": [{ "Name": test.name("net1"), "Driver": "macvlan" }] } });
    let error = served.provision_error(&spec(&test, &other));
    assert!(
        error.contains("has \"bridge\" as `Driver`, but \"macvlan\" is requested"),
        "{error}"
    );
}

#[test]
fn n4_image_needs_no_certain_directory_and_no_shell_without_a_script() {
    let test = Test::new("ik-bare");
    let image = test.import_image();
    let has_directory = docker(&[
        "run",
        "--rm",
        &image,
        "sh",
        "-c",
        "ls -d /var/lib || echo none",
    ]);
    assert!(has_directory.ends_with("none"), "{has_directory}");
    let served = Served::start(&test, &[]);
    served.provision(&spec(
        &test,
        &json!({ "Init": "true", "Properties": { "HostConfig": { "ReadonlyRootfs": true } } }),
    ));
    // An image with one program.
    let bare = format!("{}-bare:latest", test.prefix);
    let files = test.path("files");
    std::fs::create_dir_all(&files).unwrap();
    let busybox = crate::support::project_root().join("target/busybox");
    std::fs::copy(busybox, files.join("sleep")).unwrap();
    let tar = test.path("bare.tar");
    let made = std::process::Command::new("tar")
        .args([
            "-C",
            files.to_str().unwrap(),
            "-cf",
            tar.to_str().unwrap(),
            "sleep",
        ])
        .status();
    assert!(made.unwrap().success());
    docker(&["import", tar.to_str().unwrap(), &bare]);
    let config =
        json!({ "Properties": { "Config": { "Image": bare, "Cmd": ["/sleep", "1000"] } } });
    served.provision(&spec(&test, &config));
    let mut with_script = spec(&test, &config);
    with_script["Init"] = "true".into();
    let error = served.provision_error(&with_script);
    assert!(error.contains("/bin/sh"), "{error}");
}

#[test]
fn n5_script_is_awaited_without_a_busy_loop() {
    let test = Test::in_memory("ik-poll");
    test.import_image();
    let served = Served::start(&test, &[]);
    let before = test.engine().request_count("GET /exec");
    served.provision(&spec(&test, &json!({ "Init": "sleep 2" })));
    let checks = test.engine().request_count("GET /exec") - before;
    assert!(checks <= 12, "{checks} checks in 2 s");
}

#[test]
fn n6_script_runs_as_the_user_of_the_container() {
    let test = Test::new("ik-user");
    test.import_image();
    let served = Served::start(&test, &[]);
    let config = json!({ "Config": { "User": "1000" } });
    let script = "grep ^Uid: /proc/self/status; exit 3";
    let error = served.provision_error(&spec(
        &test,
        &json!({ "Init": script, "Properties": config }),
    ));
    assert!(error.contains("Uid:\t1000\t1000"), "{error}");
    served.provision(&spec(
        &test,
        &json!({ "Init": "exit 0", "Properties": config }),
    ));
}

#[test]
fn n7_paused_containers_stay_and_exited_ones_make_room() {
    let test = Test::in_memory("ik-states");
    test.import_image();
    let served = Served::start(&test, &[]);
    let group = json!({ "infrakit.group": test.prefix });
    let one = |name: &str| {
        spec(
            &test,
            &json!({ "LogicalID": test.name(name), "Tags": group }),
        )
    };
    let (a, b) = (served.provision(&one("a")), served.provision(&one("b")));
    test.docker(&["pause", &a]);
    assert_eq!(served.describe(&group).len(), 2);
    test.docker(&["unpause", &a]);
    test.docker(&["stop", "-t", "0", &b]);
    assert_eq!(served.describe(&group).len(), 1);
    assert_eq!(served.describe(&json!(null)).len(), 1);
    // Its name is needed.
    let again = served.provision(&one("b"));
    assert_ne!(again, b);
    served.await_log("removing a container that has exited");
    // It belongs to the group of a new instance.
    test.docker(&["stop", "-t", "0", &again]);
    served.provision(&one("c"));
    assert_eq!(test.containers(), ["PREFIX-a running", "PREFIX-c running"]);
    // A container that exited and is not ours stays.
    let image = format!("{}:latest", test.prefix);
    test.docker(&[
        "run",
        "-d",
        "--name",
        &test.name("d"),
        "--label",
        &format!("infrakit.group={}", test.prefix),
        &image,
        "true",
    ]);
    let error = served.provision_error(&one("d"));
    assert!(error.contains("is taken by container"), "{error}");
}

#[test]
fn n8_labels_change_and_survive_a_restart() {
    let test = Test::in_memory("ik-overlay");
    test.import_image();
    let served = Served::start(&test, &[]);
    let id = served.provision(&spec(
        &test,
        &json!({ "Tags": { "infrakit.group": "g", "infrakit.config_sha": "bootstrap" } }),
    ));
    let labels = json!({ "infrakit.config_sha": "real", "new": "<&>" });
    let labeled = served.call(
        "Instance.Label",
        &json!({ "Type": "", "Instance": id, "Labels": labels }),
    );
    assert_eq!(labeled, json!({ "Type": "", "OK": true }));
    let check = |served: &Served| {
        let found =
            served.describe(&json!({ "infrakit.config_sha": "real", "infrakit.group": "g" }));
        assert_eq!((found.len(), &found[0]["Tags"]["new"]), (1, &json!("<&>")));
        assert_eq!(
            served
                .describe(&json!({ "infrakit.config_sha": "bootstrap" }))
                .len(),
            0
        );
    };
    check(&served);
    assert_eq!(served.stop(), 0);
    let served = Served::start(&test, &[]);
    check(&served);
    served.destroy(&id);
    assert_eq!(served.describe(&json!({ "new": "<&>" })).len(), 0);
}

#[test]
fn n9_labels_of_the_config_stay_and_tags_of_infrakit_win() {
    let test = Test::in_memory("ik-merge");
    test.import_image();
    let served = Served::start(&test, &[]);
    let more = json!({ "Properties": { "Config": { "Labels": { "lost": "yes" } }, "Tags": { "infrakit.group": "orphan", "ik": "1" } },
        "Tags": { "infrakit.group": "g", "ik": "2" } });
    served.provision(&spec(&test, &more));
    let found = served.describe(&json!({ "infrakit.group": "g", "lost": "yes", "ik": "1" }));
    assert_eq!(found.len(), 1);
}

#[test]
fn n10_namespace_tags_are_applied() {
    let test = Test::in_memory("ik-space");
    test.import_image();
    let served = Served::start(&test, &["--namespace-tags", "scope=prod"]);
    served.provision(&spec(&test, &json!({ "Tags": { "infrakit.group": "g" } })));
    let found = served.describe(&json!({ "infrakit.group": "g" }));
    assert_eq!(
        (found.len(), &found[0]["Tags"]["scope"]),
        (1, &json!("prod"))
    );
}

#[test]
fn n11_properties_are_validated() {
    let test = Test::in_memory("ik-validate");
    let served = Served::start(&test, &[]);
    let validate =
        |properties: Json| served.reply("Instance.Validate", &json!({ "Properties": properties }));
    assert_eq!(
        validate(properties(&test))["result"],
        json!({ "Type": "", "OK": true })
    );
    let policy = json!({ "RestartPolicy": { "Name": "bogus" } });
    for (properties, message) in [
        (
            json!({ "Config": { "Image": "a" }, "HostConfig": policy }),
            "invalid input formatting: `HostConfig.RestartPolicy.Name` must be one of no, always, on-failure, unless-stopped",
        ),
        (json!(null), "Properties must be set"),
        (
            json!({ "Config": { "Image": "a" }, "HostConfig": { "CapAdd": 5 } }),
            "invalid input formatting: `HostConfig.CapAdd` must be a string or a list of strings, but is an integer",
        ),
        (
            json!({ "Config": { "Image": "a::b" } }),
            "invalid input formatting: `Config.Image`: `a::b` is not a valid image name",
        ),
        (
            json!({ "Config": { "Image": "a" }, "NetworkAttachments": [{ "Name": "n", "Id": "x" }] }),
            "invalid input formatting: `NetworkAttachments.0.Id` cannot be set: the engine sets it; remove it",
        ),
    ] {
        assert_eq!(validate(properties)["error"]["message"], message);
    }
    // This engine is too old for it, and would drop it silently.
    let newer =
        json!({ "Config": { "Image": "a" }, "HostConfig": { "Annotations": { "a": "b" } } });
    let message = validate(newer)["error"]["message"].clone();
    assert!(
        message
            .as_str()
            .unwrap()
            .contains("requires engine API 1.43 or newer"),
        "{message}"
    );
}

#[test]
fn n12_image_is_pulled_only_when_it_is_missing() {
    let test = Test::in_memory("ik-pull");
    test.import_image();
    let served = Served::start(&test, &[]);
    served.provision(&spec(&test, &json!({})));
    assert_eq!(test.engine().request_count("/images/create"), 0);
    let missing = json!({ "LogicalID": test.name("a"), "Properties": { "Config": { "Image": "no-such-image:1" } } });
    let error = served.provision_error(&spec(&test, &missing));
    assert!(
        error.starts_with("cannot pull image no-such-image:1"),
        "{error}"
    );
    assert_eq!(test.engine().request_count("/images/create"), 1);
    assert_eq!(
        test.containers()
            .iter()
            .filter(|it| it.starts_with("PREFIX-a "))
            .count(),
        0
    );
}

#[test]
fn n13_destroying_twice_is_no_error() {
    let test = Test::in_memory("ik-twice");
    test.import_image();
    let served = Served::start(&test, &[]);
    let id = served.provision(&spec(&test, &json!({})));
    served.destroy(&id);
    served.destroy(&id);
    served.destroy("never-existed");
    assert_eq!(test.containers(), Vec::<String>::new());
}

#[test]
fn n14_script_leaves_nothing_and_its_output_is_in_the_error() {
    let test = Test::new("ik-output");
    test.import_image();
    let served = Served::start(&test, &[]);
    let script = "echo begin; echo 'no \u{1b}[31mspace' >&2; exit 7";
    let error = served.provision_error(&spec(&test, &json!({ "Init": script })));
    // The engine does not keep the order of the two streams.
    let mut lines: Vec<&str> = error.lines().collect();
    assert!(
        lines[0].starts_with("init script failed with code 7 for container "),
        "{error}"
    );
    lines[1..].sort_unstable();
    assert_eq!(lines[1..], ["begin", "no \\u{1b}[31mspace"]);
    assert_eq!(
        test.containers(),
        Vec::<String>::new(),
        "the container is removed"
    );
    let id = served.provision(&spec(
        &test,
        &json!({ "Init": "echo MARK-OF-SCRIPT >/dev/null" }),
    ));
    let changed = docker(&["diff", &id]);
    assert!(
        !changed.contains("init") && !changed.contains("/var"),
        "{changed}"
    );
}

#[test]
fn n15_second_copy_leaves_the_first_alone() {
    let test = Test::in_memory("ik-copy");
    let served = Served::start(&test, &[]);
    let mut second = super::command(&test, &["serve", "--name", &test.prefix]);
    second.env("DOCKCTL_STATE_DIR", test.path("other"));
    assert_eq!(second.output().unwrap().status.code(), Some(5));
    served.describe(&json!(null));
}

#[test]
fn instances_are_visible_before_they_have_started() {
    let test = Test::new("ik-visible");
    test.import_image();
    let served = Served::start(&test, &[]);
    let tags = json!({ "test": test.prefix });
    let specs = vec![spec(&test, &json!({ "Init": "sleep 2" })); 5];
    std::thread::scope(|scope| {
        let created = scope.spawn(|| provision_all(&served, &specs));
        eventually("all instances", || {
            (served.describe(&tags).len() == 5).then_some(())
        });
        assert!(!created.is_finished(), "their scripts still run");
        assert_eq!(ids(&created.join().unwrap()).len(), 5);
    });
}
