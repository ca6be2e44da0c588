//! Two state directories that manage one deployment in turn: objects that `recover` takes over stay
//! in the record.

use crate::{
    docker::install::SLEEPER,
    support::{Run, Test},
};
use std::fs;

const NETWORK_AND_VOLUME: &str =
    "  net: {type: dockctl.nodes.Network, properties: {name: PREFIX-net}}
  data: {type: dockctl.nodes.Volume, properties: {name: PREFIX-data}}
";

/// Runs dockctl with another user's state directory.
fn elsewhere(test: &Test, arguments: &[&str]) -> Run {
    let state = test.path("elsewhere").display().to_string();
    test.run(&[arguments, &["--state-dir", &state]].concat())
}

fn write(test: &Test, nodes: &str) {
    test.blueprint(nodes);
    let text = fs::read_to_string(test.path("blueprint.yaml"))
        .unwrap()
        .replacen("imports:\n", "imports:\n  - plugin:dockctl\n", 1);
    fs::write(test.path("blueprint.yaml"), text).unwrap();
}

fn edited(nodes: &str) -> String {
    nodes.replace("sleep 1000", "sleep 2000")
}

fn volumes(test: &Test) -> String {
    test.docker(&[
        "volume",
        "ls",
        "--quiet",
        "--filter",
        &format!("name={}", test.prefix),
    ])
}

/// One state directory installs, another takes over and updates: the first neither reports the
/// container as deleted nor changes anything.
#[test]
fn what_another_state_directory_made_since_is_told_and_can_be_taken_over() {
    for takes_over in [true, false] {
        let test = Test::fake("since");
        test.blueprint(SLEEPER);
        test.run(&["install"]).exits(0);
        elsewhere(&test, &["recover", &test.prefix]).exits(0);
        test.blueprint(&edited(SLEEPER));
        elsewhere(&test, &["update", "--yes"]).exits(0);
        let id = test.inspect("web", "{{.Id}}");
        let deployment = test.inspect("web", "{{index .Config.Labels \"dockctl.deployment-id\"}}");
        let hints = [
            format!("dockctl recover {}", test.prefix),
            format!("--from-labels {deployment}"),
        ];
        let said: Vec<&str> = ["another state directory created", "nothing was done"]
            .into_iter()
            .chain(hints.iter().map(String::as_str))
            .collect();
        for arguments in [&["uninstall", "--yes"][..], &["update", "--yes"], &["plan"]] {
            test.run(arguments).exits(1).says(&said);
        }
        assert_eq!(
            test.inspect("web", "{{.Id}}"),
            id,
            "the container was not touched"
        );
        if takes_over {
            test.run(&["recover", &test.prefix]).exits(0);
            test.run(&["update", "--yes"]).exits(0);
            assert!(
                test.run(&["update", "--yes"])
                    .exits(0)
                    .stdout
                    .contains("up to date")
            );
            assert_eq!(
                test.inspect("web", "{{.Id}}"),
                id,
                "the container already matches the blueprint"
            );
            test.run(&["uninstall"]).exits(0);
        } else {
            test.run(&["uninstall", "--from-labels", "another"])
                .exits(2);
            test.run(&["uninstall", "--from-labels", &deployment])
                .exits(0);
        }
        assert!(test.containers().is_empty());
    }
}

/// The journal is lost, the key is not: the objects that another state directory created belong to
/// the same deployment, but this state directory does not own them.
#[test]
fn a_lost_journal_does_not_make_ours_what_another_made() {
    let test = Test::fake("lost-shared");
    test.blueprint(SLEEPER);
    test.run(&["install"]).exits(0);
    elsewhere(&test, &["recover", &test.prefix]).exits(0);
    test.blueprint(
        &(edited(SLEEPER)
            + &SLEEPER
                .replace("\nnode_templates:\n", "")
                .replace("web", "db")),
    );
    elsewhere(&test, &["update", "--yes"]).exits(0);
    fs::remove_dir_all(test.path("state/deployments")).unwrap();
    test.run(&["uninstall", "--yes"])
        .exits(1)
        .says(&["nothing was done"]);
    assert_eq!(test.containers().len(), 2);
    test.run(&["recover", &test.prefix]).exits(0);
    test.run(&["uninstall"]).exits(0);
    assert!(test.containers().is_empty());
}

/// `recover` records a volume by its ID: it stays known after its node was dropped.
#[test]
fn a_volume_that_was_taken_over_goes_after_its_node_was_dropped() {
    let test = Test::fake("dropped");
    write(&test, &(SLEEPER.to_owned() + NETWORK_AND_VOLUME));
    test.run(&["install"]).exits(0);
    elsewhere(&test, &["recover", &test.prefix]).exits(0);
    write(&test, SLEEPER);
    elsewhere(&test, &["update", "--yes"]).exits(0);
    assert!(!volumes(&test).is_empty(), "the volume is kept");
    // A runner without state does not report the kept volume as a change.
    let runner = test.path("runner").display().to_string();
    let runner = |arguments: &[&str]| test.run(&[arguments, &["--state-dir", &runner]].concat());
    runner(&["recover", &test.prefix]).exits(0);
    runner(&["plan", "--exit-code"]).exits(0);
    elsewhere(&test, &["uninstall", "--volumes", "--yes"]).exits(0);
    assert_eq!(volumes(&test), "");
}

#[test]
fn a_kept_volume_stays_known_to_who_took_it_over() {
    let test = Test::fake("kept");
    write(&test, &(SLEEPER.to_owned() + NETWORK_AND_VOLUME));
    test.run(&["install"]).exits(0);
    test.run(&["uninstall"]).exits(0);
    elsewhere(&test, &["install"])
        .exits(1)
        .says(&["has no record of"]);
    elsewhere(&test, &["recover", &test.prefix]).exits(0);
    for _ in 0..2 {
        elsewhere(&test, &["install"]).exits(0);
        elsewhere(&test, &["uninstall", "--yes"]).exits(0);
        assert!(!volumes(&test).is_empty(), "the volume is kept");
    }
    elsewhere(&test, &["uninstall", "--volumes", "--yes"]).exits(0);
    assert_eq!(volumes(&test), "");
}

/// A CI runner may check out the blueprint anywhere: a state directory that recovered a deployment
/// accepts a blueprint at another path.
#[test]
fn what_was_taken_over_can_be_made_from_another_folder() {
    let test = Test::fake("checkout");
    test.blueprint(SLEEPER);
    test.run(&["install"]).exits(0);
    let id = test.inspect("web", "{{.Id}}");
    fs::create_dir(test.path("checkout")).unwrap();
    fs::copy(
        test.path("blueprint.yaml"),
        test.path("checkout/blueprint.yaml"),
    )
    .unwrap();
    let there = test.path("checkout/blueprint.yaml").display().to_string();
    let update = ["update", &there, "-d", &test.prefix, "--yes"];
    test.run(&update).exits(2).says(&["was installed from"]);
    elsewhere(&test, &["recover", &test.prefix]).exits(0);
    elsewhere(&test, &update).exits(0);
    assert_eq!(test.inspect("web", "{{.Id}}"), id);
    elsewhere(&test, &["uninstall", &test.prefix]).exits(0);
}

/// An anonymous volume that a container took over from its predecessor is removed with it, by every
/// state directory.
#[test]
fn volumes_without_a_name_go_with_the_last_container() {
    let test = Test::fake("nameless");
    let nodes = SLEEPER.replace(
        "command: sleep 1000",
        "command: sleep 1000, volumes: [/data]",
    );
    for is_lost in [true, false] {
        test.blueprint(&nodes);
        test.run(&["install"]).exits(0);
        let name = test.inspect("web", "{{(index .Mounts 0).Name}}");
        test.blueprint(&edited(&nodes));
        test.run(&["update", "--yes"]).exits(0);
        assert_eq!(
            test.inspect("web", "{{(index .Mounts 0).Name}}"),
            name,
            "the new container uses the old volume"
        );
        if is_lost {
            fs::remove_dir_all(test.path("state/deployments")).unwrap();
            test.run(&["uninstall"]).exits(0);
        } else {
            elsewhere(&test, &["recover", &test.prefix]).exits(0);
            elsewhere(&test, &["uninstall"]).exits(0);
            fs::remove_dir_all(test.path("state")).unwrap();
        }
        assert_eq!(
            test.docker(&[
                "volume",
                "ls",
                "--quiet",
                "--filter",
                &format!("name={name}")
            ]),
            ""
        );
    }
}

/// An interrupted update leaves containers under temporary names. Every state directory assigns
/// them to their instance.
#[test]
fn containers_between_two_names_are_taken_over_and_removed() {
    for (names, plain) in [
        (&["dockctl-next"][..], true),
        (&["dockctl-former"], true),
        (&["dockctl-next", "dockctl-former"], false),
    ] {
        for is_ours in [true, false] {
            let test = Test::fake("between");
            test.blueprint(SLEEPER);
            let elsewhere = |arguments: &[&str]| {
                if is_ours {
                    test.run(arguments)
                } else {
                    elsewhere(&test, arguments)
                }
            };
            // Simulate an update that dies between two steps.
            for ending in names {
                test.run(&["install"]).exits(0);
                test.docker(&[
                    "rename",
                    &test.name("web"),
                    &test.name(&format!("web.{ending}")),
                ]);
                fs::remove_dir_all(test.path("state/deployments")).unwrap();
            }
            if plain {
                let next = test.name(&format!("web.{}", names[0]));
                test.docker(&["rename", &next, &test.name("aside")]);
                test.run(&["install"]).exits(0);
                test.docker(&["rename", &test.name("aside"), &next]);
                fs::remove_dir_all(test.path("state/deployments")).unwrap();
            }
            assert!(
                elsewhere(&["list", "--all"])
                    .exits(0)
                    .stdout
                    .contains(&test.prefix)
            );
            assert!(elsewhere(&["status"]).stdout.contains("web"), "{names:?}");
            elsewhere(&["recover", &test.prefix]).exits(0);
            elsewhere(&["update", "--yes"]).exits(0);
            assert_eq!(
                test.containers(),
                ["PREFIX-web running"],
                "{names:?} {is_ours}"
            );
            assert!(
                elsewhere(&["update", "--yes"])
                    .exits(0)
                    .stdout
                    .contains("up to date")
            );
            elsewhere(&["uninstall", "--yes"]).exits(0);
            assert!(
                test.containers().is_empty(),
                "{names:?} {is_ours}: {:?}",
                test.containers()
            );
        }
    }
}

fn several(number: usize, more: &str) -> String {
    let stop = "        stop: {inputs: {params: {timeout: 0}}}\n";
    format!("{SLEEPER}{stop}    instances: {{deploy: {number}}}\n{more}")
}

fn ids(test: &Test) -> Vec<String> {
    let listed = test.docker(&[
        "ps",
        "--quiet",
        "--no-trunc",
        "--filter",
        &format!("name={}-web", test.prefix),
    ]);
    let mut ids: Vec<String> = listed.lines().map(str::to_owned).collect();
    ids.sort();
    ids
}

/// `recover` adds instances that another state directory created to the known ones: nothing is
/// created twice or removed.
#[test]
fn instances_of_two_state_directories_are_counted_once() {
    let test = Test::fake("counted");
    test.blueprint(&several(2, ""));
    test.run(&["install"]).exits(0);
    elsewhere(&test, &["recover", &test.prefix]).exits(0);
    test.blueprint(&several(3, ""));
    elsewhere(&test, &["update", "--yes"]).exits(0);
    let three = ids(&test);
    assert_eq!(three.len(), 3);
    let recovered = test.run(&["recover", &test.prefix]).exits(0);
    assert!(
        !recovered.stdout.contains("not recovered"),
        "{}",
        recovered.stdout
    );
    test.run(&["plan", "--exit-code"]).exits(0);
    test.run(&["update", "--yes"]).exits(0);
    assert_eq!(ids(&test), three);
    // Everything was recreated with new instance IDs; the journal here contains only the old ones.
    elsewhere(&test, &["recover", &test.prefix]);
    elsewhere(&test, &["uninstall", "--yes"]).exits(0);
    elsewhere(&test, &["install"]).exits(0);
    let again = ids(&test);
    test.run(&["plan"]).exits(1).says(&["dockctl recover"]);
    test.run(&["recover", &test.prefix]).exits(0);
    test.run(&["update", "--yes"]).exits(0);
    assert_eq!(ids(&test), again);
    test.run(&["uninstall"]).exits(0);
    assert!(test.containers().is_empty());
}

/// Every workflow that changes something refuses to work on another state directory's objects.
#[test]
fn no_workflow_works_beside_another_state_directory() {
    let test = Test::fake("workflows-refused");
    test.blueprint(&several(1, ""));
    test.run(&["install"]).exits(0);
    elsewhere(&test, &["recover", &test.prefix]).exits(0);
    test.blueprint(&several(1, "").replace("sleep 1000", "sleep 2000"));
    elsewhere(&test, &["update", "--yes"]).exits(0);
    let id = ids(&test);
    for arguments in [
        &["heal"][..],
        &["restart"],
        &["reinstall", "--yes"],
        &["scale", "web", "--to", "2"],
        &["stop"],
    ] {
        test.run(arguments)
            .exits(1)
            .says(&["another state directory created", "dockctl recover"]);
    }
    assert_eq!(ids(&test), id);
    elsewhere(&test, &["uninstall", "--yes"]).exits(0);
}

/// Runners without state preserve a scaled number of instances until the blueprint declares another
/// number.
#[test]
fn a_number_that_was_scaled_is_taken_over() {
    let test = Test::new("scaled-over");
    test.blueprint(&several(1, ""));
    test.run(&["install"]).exits(0);
    test.run(&["scale", "web", "--to", "3"]).exits(0);
    let three = ids(&test);
    elsewhere(&test, &["recover", &test.prefix]).exits(0);
    elsewhere(&test, &["update", "--yes"]).exits(0);
    assert_eq!(ids(&test), three, "the blueprint did not change");
    elsewhere(&test, &["scale", "web", "--to", "2", "--yes"]).exits(0);
    assert_eq!(ids(&test).len(), 2);
    fs::remove_dir_all(test.path("elsewhere")).unwrap();
    elsewhere(&test, &["recover", &test.prefix]).exits(0);
    elsewhere(&test, &["scale", "web", "--to", "1", "--yes"]).exits(0);
    assert_eq!(ids(&test).len(), 1, "scale works before any update");
    test.blueprint(&several(2, ""));
    elsewhere(&test, &["update", "--yes"]).exits(0);
    assert_eq!(ids(&test).len(), 2, "the blueprint now declares two");
    elsewhere(&test, &["uninstall", "--yes"]).exits(0);
}

/// A plan that creates instances is valid in every state directory that recovered the deployment.
#[test]
fn a_plan_of_one_runner_is_carried_out_by_another() {
    let test = Test::fake("two-jobs");
    test.blueprint(&several(1, ""));
    test.run(&["install"]).exits(0);
    let job = |name: &str, arguments: &[&str]| {
        let state = test.path(name).display().to_string();
        test.run(&[arguments, &["--state-dir", &state]].concat())
    };
    test.blueprint(&several(2, "").replace("sleep 1000", "sleep 2000"));
    job("plans", &["recover", &test.prefix]).exits(0);
    job("plans", &["update", "--plan", "plan.json"]).exits(2);
    job("plans", &["plan", "--out", "plan.json"]).exits(0);
    job("applies", &["recover", &test.prefix]).exits(0);
    job("applies", &["update", "--plan", "plan.json"]).exits(0);
    assert_eq!(ids(&test).len(), 2);
    job("applies", &["uninstall"]).exits(0);
}

/// Labels record which nodes the blueprint protects. Kept volumes are reported.
#[test]
fn protection_is_taken_over_and_kept_volumes_are_named() {
    let test = Test::fake("protected");
    write(
        &test,
        &("\nmetadata: {dockctl: {protect: [web]}}".to_owned() + &several(1, NETWORK_AND_VOLUME)),
    );
    test.run(&["install"]).exits(0);
    let volume = format!("volume `{}` is kept", test.name("data"));
    elsewhere(&test, &["uninstall", "--from-labels"])
        .exits(2)
        .says(&["protects: web"]);
    elsewhere(&test, &["uninstall", "--from-labels", "--yes"])
        .exits(0)
        .says(&[&volume, "--volumes"]);
    elsewhere(&test, &["uninstall", "--yes"]).exits(0);
    test.run(&["uninstall", "--yes"]).exits(0).says(&[&volume]);
    test.run(&["uninstall", "--volumes", "--yes"]).exits(0);
    assert_eq!(volumes(&test), "");
}
