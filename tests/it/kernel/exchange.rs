//! Instances that hand something on to each other in one update, on the simulated engine.

use super::{
    restore::{Sweep, TestDeployment, blueprint, install},
    run::deployment_of,
};
use crate::simulated::Change;
use dockctl::{
    event::Outcome,
    plan::restore,
    plugins::Plugins,
    stage::{Stage, Workflow},
};

const AFTER_A: &str = "{type: cloudify.relationships.connected_to, target: a}";
const AFTER_B: &str = "{type: cloudify.relationships.connected_to, target: b}";

/// Step between the points that CI tries: these sweeps have many. It has no common factor with the
/// numbers of disturbances and workflows.
const FEW: usize = 43;

/// A container with a command and a fixed host port.
fn port(command: &str, port: u16) -> String {
    format!("command: {command}, host_config: {{port_bindings: {{80: {port}}}}}")
}

/// Returns a blueprint of containers with these ports. `relationship` is that of the second one.
fn ports(command: &str, relationship: &str, all: &[(&str, u16)]) -> String {
    let params: Vec<String> = all.iter().map(|(_, it)| port(command, *it)).collect();
    let relationships = (0..all.len()).map(|at| if at == 1 { relationship } else { "" });
    let nodes = all.iter().zip(&params).zip(relationships);
    let nodes: Vec<(&str, &str, &str, &str)> = nodes
        .map(|(((name, _), params), relationship)| (*name, params.as_str(), "", relationship))
        .collect();
    blueprint(&nodes)
}

/// Returns a blueprint of nodes with other names of containers.
fn names(command: &str, all: &[(&str, &str)]) -> String {
    let params = format!("command: {command}");
    let nodes: Vec<(&str, &str, &str, &str)> = all
        .iter()
        .map(|(node, _)| (*node, &*params, "", ""))
        .collect();
    all.iter().fold(blueprint(&nodes), |text, (node, name)| {
        text.replace(&format!("{{name: {node},"), &format!("{{name: the-{name},"))
    })
}

/// The first stage of an update from one blueprint to another.
fn stage(before: &str, after: &str) -> Stage {
    let before = deployment_of(before, None);
    let life = install(&before);
    life.plan(&deployment_of(after, Some(&before)), Workflow::Update)
}

/// Updates from one blueprint to another with several limits, and returns the end of each.
fn updates(before: &str, after: &str) -> Vec<(Outcome, TestDeployment)> {
    let update = |parallel: usize| {
        let before = deployment_of(before, None);
        let mut life = install(&before);
        life.policy.parallel = parallel;
        let after = deployment_of(after, Some(&before));
        let outcome = life.run(&after, Workflow::Update).unwrap();
        assert!(life.plan(&after, Workflow::Update).is_empty());
        (outcome, life)
    };
    [1, 2, 10].map(update).into()
}

fn assert_updates(before: &str, after: &str, expected: &[&str]) {
    for (outcome, life) in updates(before, after) {
        assert_eq!(
            outcome,
            Outcome::Terminated,
            "{:?}",
            life.container_states()
        );
        assert_eq!(life.container_states(), expected);
    }
}

#[test]
fn ports_are_swapped_and_rotated() {
    let two = ["a running", "b running"];
    for relationship in ["", AFTER_A] {
        let before = ports("sleep 1", relationship, &[("a", 1), ("b", 2)]);
        let after = ports("sleep 1", relationship, &[("a", 2), ("b", 1)]);
        assert_updates(&before, &after, &two);
    }
    let before = ports("sleep 1", AFTER_A, &[("a", 1), ("b", 2), ("c", 3)]);
    let after = ports("sleep 1", AFTER_A, &[("a", 2), ("b", 3), ("c", 1)]);
    assert_updates(&before, &after, &["a running", "b running", "c running"]);
}

#[test]
fn port_goes_on_to_another_node() {
    let [one, two] = [
        ports("sleep 1", "", &[("a", 1)]),
        ports("sleep 1", "", &[("b", 1)]),
    ];
    // From a removed node to a new one.
    assert_updates(&one, &two, &["b running"]);
    // From a removed node to an existing one.
    let both = ports("sleep 1", "", &[("a", 1), ("b", 2)]);
    assert_updates(&both, &two, &["b running"]);
    // From an existing node to a new one.
    let both = ports("sleep 1", "", &[("a", 2), ("b", 1)]);
    assert_updates(&one, &both, &["a running", "b running"]);
    // From a node to one that it depends on.
    let before = ports("sleep 1", AFTER_A, &[("a", 1), ("b", 2)]);
    let after = ports("sleep 1", AFTER_A, &[("a", 2), ("b", 3)]);
    assert_updates(&before, &after, &["a running", "b running"]);
}

#[test]
fn names_are_swapped_and_handed_on() {
    let before = names("sleep 1", &[("a", "x"), ("b", "y")]);
    let after = names("sleep 1", &[("a", "y"), ("b", "x")]);
    assert_updates(&before, &after, &["the-x running", "the-y running"]);
    let after = names("sleep 1", &[("a", "y"), ("b", "z")]);
    assert_updates(&before, &after, &["the-y running", "the-z running"]);
    let after = names("sleep 1", &[("c", "x"), ("b", "y")]);
    assert_updates(&before, &after, &["the-x running", "the-y running"]);
}

#[test]
fn exchange_names_who_is_down_and_what_is_handed_on() {
    let before = ports("sleep 1", "", &[("a", 1), ("b", 2), ("c", 3)]);
    let after = ports("sleep 1", "", &[("a", 2), ("b", 1), ("c", 4)]);
    let stage = stage(&before, &after);
    let [exchange] = &stage.exchanges[..] else {
        panic!("{:?}", stage.exchanges)
    };
    let starts = |ids: &[String], nodes: [&str; 2]| {
        ids.len() == 2 && ids.iter().zip(nodes).all(|(id, node)| id.starts_with(node))
    };
    assert!(starts(&exchange.holders, ["a_", "b_"]), "{exchange:?}");
    assert!(starts(&exchange.takers, ["a_", "b_"]), "{exchange:?}");
    let handed_on = exchange.handed_on.iter();
    let handed_on: Vec<String> = handed_on
        .map(|it| format!("{} {} {}", it.resource, &it.from[..1], &it.to[..1]))
        .collect();
    assert_eq!(handed_on, ["host port 2 b a", "host port 1 a b"]);
}

#[test]
fn port_that_a_node_keeps_is_no_exchange() {
    let before = ports("sleep 1", "", &[("a", 1), ("b", 2)]);
    for after in [
        ports("sleep 2", "", &[("a", 1), ("b", 1)]),
        ports("sleep 2", "", &[("a", 3), ("b", 4)]),
    ] {
        assert!(stage(&before, &after).exchanges.is_empty());
    }
    // Another address of the host, or another protocol.
    let at = |port: &str| {
        let params = format!("command: sleep 1, host_config: {{port_bindings: {{{port}}}}}");
        blueprint(&[("a", &params, "", "")])
    };
    let other = |port: &str| {
        at(port)
            .replace("  a:\n", "  b:\n")
            .replace("name: a,", "name: b,")
    };
    let address = "80: ['127.0.0.1', 7]";
    let exchanges = |before: &str, after: &str| stage(&at(before), &other(after)).exchanges.len();
    assert_eq!(exchanges(address, "80: ['127.0.0.2', 7]"), 0);
    assert_eq!(exchanges(address, "80: ['127.0.0.1', 7]"), 1);
    assert_eq!(exchanges(address, "80: 7"), 1);
    assert_eq!(exchanges("80/udp: 7", "80/tcp: 7"), 0);
    assert_eq!(exchanges("80: 7-9", "80: 7-9"), 0);
}

#[test]
fn nothing_stops_before_all_successors_are_there() {
    let before = ports("sleep 1", AFTER_A, &[("a", 1), ("b", 2)]);
    let after = ports("sleep 1", AFTER_A, &[("a", 2), ("b", 1)]);
    let before = deployment_of(&before, None);
    let mut life = install(&before);
    life.run(&deployment_of(&after, Some(&before)), Workflow::Update);
    let requests = life.world.requests.borrow();
    let position = |instance: &str, step: &str| {
        let is_it =
            |(id, title): &(String, String)| id.starts_with(instance) && title.starts_with(step);
        let found = requests.iter().position(is_it);
        found.unwrap_or_else(|| panic!("{instance} {step}: {requests:?}"))
    };
    let order = [
        position("b_", "create container").max(position("a_", "create container")),
        position("a_", "stop").min(position("b_", "stop")),
        position("a_", "make the old").max(position("b_", "make the old")),
        position("a_", "give the new"),
        position("b_", "give the new"),
        position("b_", "start"),
        position("a_", "remove old").min(position("b_", "remove old")),
    ];
    assert!(order.is_sorted(), "{order:?} {requests:?}");
}

#[test]
fn swapped_ports_survive_every_fault() {
    for (relationship, command) in [("", "sleep 1"), (AFTER_A, "sleep 1"), (AFTER_A, "exit")] {
        let of = |command: &str, a: u16, b: u16| {
            let sleeps = port("sleep 1", a);
            let other = port(command, b);
            blueprint(&[("a", &sleeps, "", ""), ("b", &other, "", relationship)])
        };
        let sweep = Sweep {
            foreign: &[],
            before: of("sleep 1", 1, 2),
            after: of(command, 2, 1),
            corrected: of("sleep 3", 1, 2),
            always_working: &["a", "b"],
            sample: FEW,
        };
        assert!(sweep.run() >= 8);
    }
}

#[test]
fn name_that_is_handed_on_survives_every_fault() {
    for command in ["sleep 2", "exit", "missing"] {
        let sweep = Sweep {
            foreign: &[],
            before: names("sleep 1", &[("a", "x"), ("b", "y")]),
            after: names(command, &[("c", "x"), ("b", "y")]),
            corrected: names("sleep 3", &[("a", "x"), ("b", "y")]),
            always_working: &["the-x", "the-y"],
            sample: FEW,
        };
        assert!(sweep.run() >= 8);
    }
}

#[test]
fn owner_of_a_namespace_hands_its_port_to_its_sharer() {
    let both = |command: &str, a: u16| {
        let owner = port("sleep 1", a);
        let sharer = format!("command: {command}, host_config: {{network_mode: 'container:a'}}");
        let third = port("sleep 1", 3 - a);
        blueprint(&[
            ("a", &owner, "", ""),
            ("b", &sharer, "", AFTER_A),
            ("c", &third, "", AFTER_B),
        ])
    };
    for command in ["sleep 2", "exit"] {
        let sweep = Sweep {
            foreign: &[],
            before: both("sleep 1", 1),
            after: both(command, 2),
            corrected: both("sleep 3", 1),
            always_working: &["a", "b", "c"],
            sample: FEW,
        };
        assert!(sweep.run() >= 8);
    }
}

#[test]
fn removed_nodes_that_depend_on_each_other_hand_on_their_ports() {
    let of = |command: &str, [first, second]: [&str; 2]| {
        let after = format!("{{type: cloudify.relationships.connected_to, target: {first}}}");
        let [params, other] = [port("sleep 1", 1), port(command, 2)];
        blueprint(&[(first, &params, "", ""), (second, &other, "", &after)])
    };
    let before = of("sleep 1", ["a", "b"]);
    assert_updates(
        &before,
        &of("sleep 1", ["c", "d"]),
        &["c running", "d running"],
    );
    assert_eq!(
        stage(&before, &of("sleep 1", ["c", "d"])).exchanges.len(),
        1
    );
    // All are restored: both old ones work.
    let deployment = deployment_of(&before, None);
    let mut life = install(&deployment);
    let after = deployment_of(&of("exit", ["c", "d"]), Some(&deployment));
    assert_eq!(life.run(&after, Workflow::Update), Some(Outcome::Failed));
    assert_eq!(life.container_states(), ["a running", "b running"]);
}

#[test]
fn removed_node_whose_data_a_new_node_uses_is_gone_first() {
    let data = "command: sleep 1, host_config: {binds: ['/srv:/data']}";
    let of = |[web, db]: [&str; 2]| {
        let after = format!("{{type: cloudify.relationships.connected_to, target: {db}}}");
        let web_params = port("sleep 1", 1);
        blueprint(&[(db, data, "", ""), (web, &web_params, "", &after)])
    };
    let before = deployment_of(&of(["web", "db"]), None);
    let mut life = install(&before);
    life.policy.parallel = 10;
    life.world.changes.borrow_mut().clear();
    let after = deployment_of(&of(["web2", "db2"]), Some(&before));
    assert_eq!(
        life.run(&after, Workflow::Update),
        Some(Outcome::Terminated)
    );
    let changes = life.world.changes.borrow();
    let at = |node: &str, change: Change| {
        let is_it = |(id, it): &(String, Change)| id.starts_with(node) && *it == change;
        changes.iter().position(is_it).unwrap()
    };
    assert!(
        at("db_", Change::Stopped) < at("db2_", Change::Started),
        "{changes:?}"
    );
}

#[test]
fn port_that_is_narrowed_to_an_address_is_handed_on() {
    let at = |binding: &str| {
        format!("command: sleep 1, host_config: {{port_bindings: {{80: {binding}}}}}")
    };
    let before = blueprint(&[("a", &at("8080"), "", "")]);
    let [a, b] = ["['127.0.0.1', 8080]", "['192.168.1.5', 8080]"].map(at);
    let after = blueprint(&[("a", &a, "", ""), ("b", &b, "", "")]);
    let exchanges = stage(&before, &after).exchanges;
    assert_eq!(exchanges.len(), 1);
    assert!(
        exchanges[0]
            .handed_on
            .iter()
            .all(|it| it.to.starts_with("b_")),
        "{exchanges:?}"
    );
}

#[test]
fn port_of_a_removed_node_survives_every_fault() {
    for command in ["sleep 2", "exit"] {
        let of = |command: &str, node: &str| {
            let params = port(command, 1);
            blueprint(&[(node, &params, "", "")]).replace("name: b,", "name: a,")
        };
        let sweep = Sweep {
            foreign: &[],
            before: of("sleep 1", "a"),
            after: of(command, "b"),
            corrected: of("sleep 3", "a"),
            always_working: &["a"],
            sample: FEW,
        };
        assert!(sweep.run() >= 8);
    }
}

/// After a run died in an exchange, a plan shows the exchange that the next update makes, not the
/// half of it that is left.
#[test]
fn plan_after_a_dead_exchange_shows_the_whole_exchange() {
    let before = deployment_of(&ports("sleep 1", AFTER_A, &[("a", 1), ("b", 2)]), None);
    let after = ports("sleep 2", AFTER_A, &[("a", 2), ("b", 1)]);
    let after = deployment_of(&after, Some(&before));
    let planned = |life: &TestDeployment| {
        let stage = life.plan(&after, Workflow::Update);
        let tasks = stage.tasks().iter();
        let tasks = tasks.map(|it| (it.instance.clone(), it.operation.clone()));
        (tasks.collect::<Vec<_>>(), stage.exchanges)
    };
    let mut undisturbed = install(&before);
    let whole = planned(&undisturbed);
    assert_eq!(whole.1.len(), 1);
    let first = undisturbed.requests();
    undisturbed.run(&after, Workflow::Update);
    let requests = undisturbed.requests() - first;
    let mut open = 0;
    for n in 0..requests {
        let mut life = install(&before);
        life.abort_at(n);
        life.run(&after, Workflow::Update);
        let plugins = Plugins::default();
        if restore::must_come_first(&life.record(), plugins, &Workflow::Update.into()) {
            open += 1;
            assert_eq!(planned(&life), whole, "aborted at {n}");
        }
    }
    assert!(open > 5, "{open} of {requests}");
}

/// A new instance that took nothing yet would need what its former holder has again.
#[test]
fn heal_after_a_dead_exchange_leaves_no_new_instance() {
    let of = |node: &str| ports("sleep 1", "", &[(node, 1)]);
    let before = deployment_of(&of("a"), None);
    let after = deployment_of(&of("b"), Some(&before));
    let mut undisturbed = install(&before);
    let first = undisturbed.requests();
    undisturbed.run(&after, Workflow::Update);
    for n in 0..undisturbed.requests() - first {
        let mut life = install(&before);
        life.abort_at(n);
        life.run(&after, Workflow::Update);
        let is_complete = life.container_states().contains(&"b running".to_owned())
            && !restore::must_come_first(
                &life.record(),
                Plugins::default(),
                &Workflow::Heal.into(),
            );
        let healed = life.run(&after, Workflow::Heal);
        assert_ne!(healed, Some(Outcome::Failed), "aborted at {n}");
        let expected = if is_complete {
            "b running"
        } else {
            "a running"
        };
        let states = life.container_states();
        assert!(
            states.contains(&expected.to_owned()),
            "aborted at {n}: {states:?}"
        );
        assert!(
            is_complete || states.len() == 1,
            "aborted at {n}: {states:?}"
        );
    }
}

#[test]
fn an_address_is_the_same_in_every_spelling() {
    let at = |node: &str, address: &str| {
        let endpoints =
            format!("{{EndpointsConfig: {{net: {{IPAMConfig: {{IPv6Address: '{address}'}}}}}}}}");
        let params = format!("command: sleep 1, networking_config: {endpoints}");
        blueprint(&[(node, &params, "", "")])
    };
    let exchanges = |address: &str| {
        stage(&at("a", "fd00::7"), &at("b", address))
            .exchanges
            .len()
    };
    assert_eq!(exchanges("FD00:0:0::07"), 1);
    assert_eq!(exchanges("fd00::8"), 0);
}
