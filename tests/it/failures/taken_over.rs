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
fn run_elsewhere(test: &Test, arguments: &[&str]) -> Run {
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

fn with_changed_command(nodes: &str) -> String {
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
fn objects_of_another_state_directory_are_reported_and_can_be_taken_over() {
    for recovers in [true, false] {
        let test = Test::in_memory("since");
        test.blueprint(SLEEPER);
        test.run(&["install"]).exits_with(0);
        run_elsewhere(&test, &["recover", &test.prefix]).exits_with(0);
        test.blueprint(&with_changed_command(SLEEPER));
        run_elsewhere(&test, &["update", "--yes"]).exits_with(0);
        let id = test.inspect("web", "{{.Id}}");
        let deployment = test.inspect("web", "{{index .Config.Labels \"dockctl.deployment-id\"}}");
        let hints = [
            format!("dockctl recover {}", test.prefix),
            format!("--from-labels {deployment}"),
        ];
        let expected: Vec<&str> = ["another state directory created", "nothing was done"]
            .into_iter()
            .chain(hints.iter().map(String::as_str))
            .collect();
        for arguments in [&["uninstall", "--yes"][..], &["update", "--yes"], &["plan"]] {
            test.run(arguments).exits_with(1).stderr_contains(&expected);
        }
        assert_eq!(
            test.inspect("web", "{{.Id}}"),
            id,
            "the container was not touched"
        );
        if recovers {
            test.run(&["recover", &test.prefix]).exits_with(0);
            test.run(&["update", "--yes"]).exits_with(0);
            assert!(
                test.run(&["update", "--yes"])
                    .exits_with(0)
                    .stdout
                    .contains("up to date")
            );
            assert_eq!(
                test.inspect("web", "{{.Id}}"),
                id,
                "the container already matches the blueprint"
            );
            test.run(&["uninstall"]).exits_with(0);
        } else {
            test.run(&["uninstall", "--from-labels", "another"])
                .exits_with(2);
            test.run(&["uninstall", "--from-labels", &deployment])
                .exits_with(0);
        }
        assert!(test.containers().is_empty());
    }
}

/// The journal is lost, the key is not: the objects that another state directory created belong to
/// the same deployment, but this state directory does not own them.
#[test]
fn lost_journal_does_not_transfer_ownership() {
    let test = Test::in_memory("lost-shared");
    test.blueprint(SLEEPER);
    test.run(&["install"]).exits_with(0);
    run_elsewhere(&test, &["recover", &test.prefix]).exits_with(0);
    test.blueprint(
        &(with_changed_command(SLEEPER)
            + &SLEEPER
                .replace("\nnode_templates:\n", "")
                .replace("web", "db")),
    );
    run_elsewhere(&test, &["update", "--yes"]).exits_with(0);
    fs::remove_dir_all(test.path("state/deployments")).unwrap();
    test.run(&["uninstall", "--yes"])
        .exits_with(1)
        .stderr_contains(&["nothing was done"]);
    assert_eq!(test.containers().len(), 2);
    test.run(&["recover", &test.prefix]).exits_with(0);
    test.run(&["uninstall"]).exits_with(0);
    assert!(test.containers().is_empty());
}

/// `recover` records a volume by its ID: it stays known after its node was dropped.
#[test]
fn recovered_volume_can_be_removed_after_its_node_was_dropped() {
    let test = Test::in_memory("dropped");
    write(&test, &(SLEEPER.to_owned() + NETWORK_AND_VOLUME));
    test.run(&["install"]).exits_with(0);
    run_elsewhere(&test, &["recover", &test.prefix]).exits_with(0);
    write(&test, SLEEPER);
    run_elsewhere(&test, &["update", "--yes"]).exits_with(0);
    assert!(!volumes(&test).is_empty(), "the volume is kept");
    // A runner without state does not report the kept volume as a change.
    let runner = test.path("runner").display().to_string();
    let runner = |arguments: &[&str]| test.run(&[arguments, &["--state-dir", &runner]].concat());
    runner(&["recover", &test.prefix]).exits_with(0);
    runner(&["plan", "--exit-code"]).exits_with(0);
    run_elsewhere(&test, &["uninstall", "--volumes", "--yes"]).exits_with(0);
    assert_eq!(volumes(&test), "");
}

#[test]
fn kept_volume_stays_in_the_record_after_recover() {
    let test = Test::in_memory("kept");
    write(&test, &(SLEEPER.to_owned() + NETWORK_AND_VOLUME));
    test.run(&["install"]).exits_with(0);
    test.run(&["uninstall"]).exits_with(0);
    run_elsewhere(&test, &["install"])
        .exits_with(1)
        .stderr_contains(&["has no record of"]);
    run_elsewhere(&test, &["recover", &test.prefix]).exits_with(0);
    for _ in 0..2 {
        run_elsewhere(&test, &["install"]).exits_with(0);
        run_elsewhere(&test, &["uninstall", "--yes"]).exits_with(0);
        assert!(!volumes(&test).is_empty(), "the volume is kept");
    }
    run_elsewhere(&test, &["uninstall", "--volumes", "--yes"]).exits_with(0);
    assert_eq!(volumes(&test), "");
}

/// A CI runner may check out the blueprint anywhere: a state directory that recovered a deployment
/// accepts a blueprint at another path.
#[test]
fn recovered_deployment_accepts_another_blueprint_path() {
    let test = Test::in_memory("checkout");
    test.blueprint(SLEEPER);
    test.run(&["install"]).exits_with(0);
    let id = test.inspect("web", "{{.Id}}");
    fs::create_dir(test.path("checkout")).unwrap();
    fs::copy(
        test.path("blueprint.yaml"),
        test.path("checkout/blueprint.yaml"),
    )
    .unwrap();
    let checkout = test.path("checkout/blueprint.yaml").display().to_string();
    let update = ["update", &checkout, "-d", &test.prefix, "--yes"];
    test.run(&update)
        .exits_with(2)
        .stderr_contains(&["was installed from"]);
    run_elsewhere(&test, &["recover", &test.prefix]).exits_with(0);
    run_elsewhere(&test, &update).exits_with(0);
    assert_eq!(test.inspect("web", "{{.Id}}"), id);
    run_elsewhere(&test, &["uninstall", &test.prefix]).exits_with(0);
}

/// An anonymous volume that a container took over from its predecessor is removed with it, by every
/// state directory.
#[test]
fn anonymous_volumes_are_removed_with_the_last_container() {
    let test = Test::in_memory("nameless");
    let nodes = SLEEPER.replace(
        "command: sleep 1000",
        "command: sleep 1000, volumes: [/data]",
    );
    for is_lost in [true, false] {
        test.blueprint(&nodes);
        test.run(&["install"]).exits_with(0);
        let name = test.inspect("web", "{{(index .Mounts 0).Name}}");
        test.blueprint(&with_changed_command(&nodes));
        test.run(&["update", "--yes"]).exits_with(0);
        assert_eq!(
            test.inspect("web", "{{(index .Mounts 0).Name}}"),
            name,
            "the new container uses the old volume"
        );
        if is_lost {
            fs::remove_dir_all(test.path("state/deployments")).unwrap();
            test.run(&["uninstall"]).exits_with(0);
        } else {
            run_elsewhere(&test, &["recover", &test.prefix]).exits_with(0);
            run_elsewhere(&test, &["uninstall"]).exits_with(0);
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
fn containers_under_temporary_names_are_recovered_and_removed() {
    for (names, has_plain_name) in [
        (&["dockctl-next"][..], true),
        (&["dockctl-former"], true),
        (&["dockctl-next", "dockctl-former"], false),
    ] {
        for is_owner in [true, false] {
            let test = Test::in_memory("between");
            test.blueprint(SLEEPER);
            let elsewhere = |arguments: &[&str]| {
                if is_owner {
                    test.run(arguments)
                } else {
                    run_elsewhere(&test, arguments)
                }
            };
            // Simulate an update that dies between two steps.
            for ending in names {
                test.run(&["install"]).exits_with(0);
                test.docker(&[
                    "rename",
                    &test.name("web"),
                    &test.name(&format!("web.{ending}")),
                ]);
                fs::remove_dir_all(test.path("state/deployments")).unwrap();
            }
            if has_plain_name {
                let next = test.name(&format!("web.{}", names[0]));
                test.docker(&["rename", &next, &test.name("aside")]);
                test.run(&["install"]).exits_with(0);
                test.docker(&["rename", &test.name("aside"), &next]);
                fs::remove_dir_all(test.path("state/deployments")).unwrap();
            }
            assert!(
                elsewhere(&["list", "--all"])
                    .exits_with(0)
                    .stdout
                    .contains(&test.prefix)
            );
            assert!(elsewhere(&["status"]).stdout.contains("web"), "{names:?}");
            elsewhere(&["recover", &test.prefix]).exits_with(0);
            elsewhere(&["update", "--yes"]).exits_with(0);
            assert_eq!(
                test.containers(),
                ["PREFIX-web running"],
                "{names:?} {is_owner}"
            );
            assert!(
                elsewhere(&["update", "--yes"])
                    .exits_with(0)
                    .stdout
                    .contains("up to date")
            );
            elsewhere(&["uninstall", "--yes"]).exits_with(0);
            assert!(
                test.containers().is_empty(),
                "{names:?} {is_owner}: {:?}",
                test.containers()
            );
        }
    }
}

fn web_instances(number: usize, more: &str) -> String {
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
    let test = Test::in_memory("counted");
    test.blueprint(&web_instances(2, ""));
    test.run(&["install"]).exits_with(0);
    run_elsewhere(&test, &["recover", &test.prefix]).exits_with(0);
    test.blueprint(&web_instances(3, ""));
    run_elsewhere(&test, &["update", "--yes"]).exits_with(0);
    let three = ids(&test);
    assert_eq!(three.len(), 3);
    let recovered = test.run(&["recover", &test.prefix]).exits_with(0);
    assert!(
        !recovered.stdout.contains("not recovered"),
        "{}",
        recovered.stdout
    );
    test.run(&["plan", "--exit-code"]).exits_with(0);
    test.run(&["update", "--yes"]).exits_with(0);
    assert_eq!(ids(&test), three);
    // Everything was recreated with new instance IDs; the journal here contains only the old ones.
    run_elsewhere(&test, &["recover", &test.prefix]);
    run_elsewhere(&test, &["uninstall", "--yes"]).exits_with(0);
    run_elsewhere(&test, &["install"]).exits_with(0);
    let again = ids(&test);
    test.run(&["plan"])
        .exits_with(1)
        .stderr_contains(&["dockctl recover"]);
    test.run(&["recover", &test.prefix]).exits_with(0);
    test.run(&["update", "--yes"]).exits_with(0);
    assert_eq!(ids(&test), again);
    test.run(&["uninstall"]).exits_with(0);
    assert!(test.containers().is_empty());
}

/// Every workflow that changes something refuses to work on another state directory's objects.
#[test]
fn workflows_refuse_objects_of_another_state_directory() {
    let test = Test::in_memory("workflows-refused");
    test.blueprint(&web_instances(1, ""));
    test.run(&["install"]).exits_with(0);
    run_elsewhere(&test, &["recover", &test.prefix]).exits_with(0);
    test.blueprint(&web_instances(1, "").replace("sleep 1000", "sleep 2000"));
    run_elsewhere(&test, &["update", "--yes"]).exits_with(0);
    let id = ids(&test);
    for arguments in [
        &["heal"][..],
        &["restart"],
        &["reinstall", "--yes"],
        &["scale", "web", "--to", "2"],
        &["stop"],
    ] {
        test.run(arguments)
            .exits_with(1)
            .stderr_contains(&["another state directory created", "dockctl recover"]);
    }
    assert_eq!(ids(&test), id);
    run_elsewhere(&test, &["uninstall", "--yes"]).exits_with(0);
}

/// Runners without state preserve a scaled number of instances until the blueprint declares another
/// number.
#[test]
fn scaled_number_of_instances_is_recovered() {
    let test = Test::new("scaled-over");
    test.blueprint(&web_instances(1, ""));
    test.run(&["install"]).exits_with(0);
    test.run(&["scale", "web", "--to", "3"]).exits_with(0);
    let three = ids(&test);
    run_elsewhere(&test, &["recover", &test.prefix]).exits_with(0);
    run_elsewhere(&test, &["update", "--yes"]).exits_with(0);
    assert_eq!(ids(&test), three, "the blueprint did not change");
    run_elsewhere(&test, &["scale", "web", "--to", "2", "--yes"]).exits_with(0);
    assert_eq!(ids(&test).len(), 2);
    fs::remove_dir_all(test.path("elsewhere")).unwrap();
    run_elsewhere(&test, &["recover", &test.prefix]).exits_with(0);
    run_elsewhere(&test, &["scale", "web", "--to", "1", "--yes"]).exits_with(0);
    assert_eq!(ids(&test).len(), 1, "scale works before any update");
    test.blueprint(&web_instances(2, ""));
    run_elsewhere(&test, &["update", "--yes"]).exits_with(0);
    assert_eq!(ids(&test).len(), 2, "the blueprint now declares two");
    run_elsewhere(&test, &["uninstall", "--yes"]).exits_with(0);
}

/// A plan that creates instances is valid in every state directory that recovered the deployment.
#[test]
fn plan_of_one_runner_can_be_applied_by_another() {
    let test = Test::in_memory("two-jobs");
    test.blueprint(&web_instances(1, ""));
    test.run(&["install"]).exits_with(0);
    let job = |name: &str, arguments: &[&str]| {
        let state = test.path(name).display().to_string();
        test.run(&[arguments, &["--state-dir", &state]].concat())
    };
    test.blueprint(&web_instances(2, "").replace("sleep 1000", "sleep 2000"));
    job("plans", &["recover", &test.prefix]).exits_with(0);
    job("plans", &["update", "--plan", "plan.json"]).exits_with(2);
    job("plans", &["plan", "--out", "plan.json"]).exits_with(0);
    job("applies", &["recover", &test.prefix]).exits_with(0);
    job("applies", &["update", "--plan", "plan.json"]).exits_with(0);
    assert_eq!(ids(&test).len(), 2);
    job("applies", &["uninstall"]).exits_with(0);
}

/// Labels record which nodes the blueprint protects. Kept volumes are reported.
#[test]
fn protection_is_recovered_and_kept_volumes_are_reported() {
    let test = Test::in_memory("protected");
    write(
        &test,
        &("\nmetadata: {dockctl: {protect: [web]}}".to_owned()
            + &web_instances(1, NETWORK_AND_VOLUME)),
    );
    test.run(&["install"]).exits_with(0);
    let volume = format!("volume `{}` is kept", test.name("data"));
    run_elsewhere(&test, &["uninstall", "--from-labels"])
        .exits_with(2)
        .stderr_contains(&["protected nodes: web"]);
    run_elsewhere(&test, &["uninstall", "--from-labels", "--yes"])
        .exits_with(0)
        .stderr_contains(&[&volume, "--volumes"]);
    run_elsewhere(&test, &["uninstall", "--yes"]).exits_with(0);
    test.run(&["uninstall", "--yes"])
        .exits_with(0)
        .stderr_contains(&[&volume]);
    test.run(&["uninstall", "--volumes", "--yes"]).exits_with(0);
    assert_eq!(volumes(&test), "");
}
