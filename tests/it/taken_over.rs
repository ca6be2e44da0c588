//! A deployment that two state directories work on, one after the other: what `recover` takes over stays known.

use crate::{
    install::SLEEPER,
    support::{Run, Test, docker},
};
use std::fs;

const NETWORK_AND_VOLUME: &str = "  net: {type: dockctl.nodes.Network, properties: {name: PREFIX-net}}
  data: {type: dockctl.nodes.Volume, properties: {name: PREFIX-data}}
";

/// A run with the state directory of another person.
fn elsewhere(test: &Test, arguments: &[&str]) -> Run {
    let state = test.path("elsewhere").display().to_string();
    test.run(&[arguments, &["--state-dir", &state]].concat())
}

fn write(test: &Test, nodes: &str) {
    test.blueprint(nodes);
    let text = fs::read_to_string(test.path("blueprint.yaml")).unwrap().replacen("imports:\n", "imports:\n  - plugin:dockctl\n", 1);
    fs::write(test.path("blueprint.yaml"), text).unwrap();
}

fn edited(nodes: &str) -> String {
    nodes.replace("sleep 1000", "sleep 2000")
}

fn volumes(test: &Test) -> String {
    docker(&["volume", "ls", "--quiet", "--filter", &format!("name={}", test.prefix)])
}

/// One installs, another takes over and changes it: the first one neither calls it deleted nor works beside it.
#[test]
fn what_another_state_directory_made_since_is_told_and_can_be_taken_over() {
    for takes_over in [true, false] {
        let test = Test::new("since");
        test.blueprint(SLEEPER);
        test.run(&["install"]).exits(0);
        elsewhere(&test, &["recover", &test.prefix]).exits(0);
        test.blueprint(&edited(SLEEPER));
        elsewhere(&test, &["update", "--yes"]).exits(0);
        let id = test.inspect("web", "{{.Id}}");
        let deployment = test.inspect("web", "{{index .Config.Labels \"dockctl.deployment-id\"}}");
        let hints = [format!("dockctl recover {}", test.prefix), format!("--from-labels {deployment}")];
        let said: Vec<&str> =
            ["another state directory made", "nothing was done"].into_iter().chain(hints.iter().map(String::as_str)).collect();
        for arguments in [&["uninstall", "--yes"][..], &["update", "--yes"], &["plan"]] {
            test.run(arguments).exits(1).says(&said);
        }
        assert_eq!(test.inspect("web", "{{.Id}}"), id, "nothing was touched");
        if takes_over {
            test.run(&["recover", &test.prefix]).exits(0);
            test.run(&["update", "--yes"]).exits(0);
            assert!(test.run(&["update", "--yes"]).exits(0).stdout.contains("up to date"));
            assert_eq!(test.inspect("web", "{{.Id}}"), id, "it is what is wanted");
            test.run(&["uninstall"]).exits(0);
        } else {
            test.run(&["uninstall", "--from-labels", "another"]).exits(2);
            test.run(&["uninstall", "--from-labels", &deployment]).exits(0);
        }
        assert!(test.containers().is_empty());
    }
}

/// A lost journal whose key is left: what another state directory made is of the same deployment, and still not ours.
#[test]
fn a_lost_journal_does_not_make_ours_what_another_made() {
    let test = Test::new("lost-shared");
    test.blueprint(SLEEPER);
    test.run(&["install"]).exits(0);
    elsewhere(&test, &["recover", &test.prefix]).exits(0);
    test.blueprint(&(edited(SLEEPER) + &SLEEPER.replace("\nnode_templates:\n", "").replace("web", "db")));
    elsewhere(&test, &["update", "--yes"]).exits(0);
    fs::remove_dir_all(test.path("state/deployments")).unwrap();
    test.run(&["uninstall", "--yes"]).exits(1).says(&["nothing was done"]);
    assert_eq!(test.containers().len(), 2);
    test.run(&["recover", &test.prefix]).exits(0);
    test.run(&["uninstall"]).exits(0);
    assert!(test.containers().is_empty());
}

/// What `recover` listed is known by its id, also once no node names it any more.
#[test]
fn a_volume_that_was_taken_over_goes_after_its_node_was_dropped() {
    let test = Test::new("dropped");
    write(&test, &(SLEEPER.to_owned() + NETWORK_AND_VOLUME));
    test.run(&["install"]).exits(0);
    elsewhere(&test, &["recover", &test.prefix]).exits(0);
    write(&test, SLEEPER);
    elsewhere(&test, &["update", "--yes"]).exits(0);
    assert!(!volumes(&test).is_empty(), "it is kept");
    elsewhere(&test, &["uninstall", "--volumes", "--yes"]).exits(0);
    assert_eq!(volumes(&test), "");
}

#[test]
fn a_kept_volume_stays_known_to_who_took_it_over() {
    let test = Test::new("kept");
    write(&test, &(SLEEPER.to_owned() + NETWORK_AND_VOLUME));
    test.run(&["install"]).exits(0);
    test.run(&["uninstall"]).exits(0);
    elsewhere(&test, &["install"]).exits(1).says(&["does not know"]);
    elsewhere(&test, &["recover", &test.prefix]).exits(0);
    for _ in 0..2 {
        elsewhere(&test, &["install"]).exits(0);
        elsewhere(&test, &["uninstall", "--yes"]).exits(0);
        assert!(!volumes(&test).is_empty(), "it is kept");
    }
    elsewhere(&test, &["uninstall", "--volumes", "--yes"]).exits(0);
    assert_eq!(volumes(&test), "");
}

/// A runner checks the blueprint out where it likes: whoever took a deployment over says what it is made from.
#[test]
fn what_was_taken_over_can_be_made_from_another_folder() {
    let test = Test::new("folder");
    test.blueprint(SLEEPER);
    test.run(&["install"]).exits(0);
    let id = test.inspect("web", "{{.Id}}");
    fs::create_dir(test.path("checkout")).unwrap();
    fs::copy(test.path("blueprint.yaml"), test.path("checkout/blueprint.yaml")).unwrap();
    let there = test.path("checkout/blueprint.yaml").display().to_string();
    let update = ["update", &there, "-d", &test.prefix, "--yes"];
    test.run(&update).exits(2).says(&["was made from"]);
    elsewhere(&test, &["recover", &test.prefix]).exits(0);
    elsewhere(&test, &update).exits(0);
    assert_eq!(test.inspect("web", "{{.Id}}"), id);
    elsewhere(&test, &["uninstall", &test.prefix]).exits(0);
}

/// Volumes without a name that a container took over from an older one go with it, whoever takes it down.
#[test]
fn volumes_without_a_name_go_with_the_last_container() {
    let test = Test::new("nameless");
    let nodes = SLEEPER.replace("command: sleep 1000", "command: sleep 1000, volumes: [/data]");
    for is_lost in [true, false] {
        test.blueprint(&nodes);
        test.run(&["install"]).exits(0);
        let name = test.inspect("web", "{{(index .Mounts 0).Name}}");
        test.blueprint(&edited(&nodes));
        test.run(&["update", "--yes"]).exits(0);
        assert_eq!(test.inspect("web", "{{(index .Mounts 0).Name}}"), name, "it was taken over");
        if is_lost {
            fs::remove_dir_all(test.path("state/deployments")).unwrap();
            test.run(&["uninstall"]).exits(0);
        } else {
            elsewhere(&test, &["recover", &test.prefix]).exits(0);
            elsewhere(&test, &["uninstall"]).exits(0);
            fs::remove_dir_all(test.path("state")).unwrap();
        }
        assert_eq!(docker(&["volume", "ls", "--quiet", "--filter", &format!("name={name}")]), "");
    }
}
