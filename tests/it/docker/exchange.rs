//! Containers that hand something on to each other in one update, on a real engine.

use crate::{
    docker::networks::HEAD,
    support::{Run, Test, free_port},
};

/// Returns a container with a name, parameters of `create`, and relationships.
pub(super) fn container(node: &str, name: &str, params: &str, relationships: &str) -> String {
    format!(
        "  {node}:
    type: cloudify.docker.Container
    properties: {{name: PREFIX-{name}, image: {{src: TARBALL, repository: dockctl-demo}}}}
    interfaces:
      cloudify.interfaces.lifecycle:
        create: {{inputs: {{params: {{stop_timeout: 0, {params}}}}}}}
    relationships: [{relationships}]
"
    )
}

/// Returns a container with a fixed host port.
fn with_port(node: &str, port: u16, command: &str, relationships: &str) -> String {
    let params = format!("command: {command}, host_config: {{port_bindings: {{80: {port}}}}}");
    container(node, node, &params, relationships)
}

pub(super) fn write(test: &Test, nodes: &[String]) {
    test.write("blueprint.yaml", &format!("{HEAD}{}", nodes.concat()));
}

const AFTER_A: &str = "{type: cloudify.relationships.connected_to, target: a}";

fn assert_up_to_date(test: &Test) {
    test.run(&["plan", "--exit-code"]).exits_with(0);
    test.run(&["status", "--exit-code"]).exits_with(0);
}

fn ports(test: &Test, node: &str) -> String {
    let format =
        "{{range $port, $bound := .NetworkSettings.Ports}}{{(index $bound 0).HostPort}}{{end}}";
    test.inspect(node, format)
}

#[test]
fn ports_are_swapped() {
    let test = Test::new("swap");
    let [one, two] = [free_port(), free_port()];
    let both = |command: &str, a: u16, b: u16, relationship: &str| {
        let nodes = [
            with_port("a", a, "sleep 1000", ""),
            with_port("b", b, command, relationship),
        ];
        write(&test, &nodes);
    };
    for (relationship, parallel) in [("", "1"), (AFTER_A, "10")] {
        both("sleep 1000", one, two, relationship);
        test.run(&["install"]).exits_with(0);
        both("sleep 1000", two, one, relationship);
        let plan = test.run(&["plan"]).exits_with(0).stdout;
        assert!(plan.contains("are down at the same time"), "{plan}");
        assert!(plan.contains(&format!("host port {one}: a_")), "{plan}");
        test.run(&["update", "--yes", "--parallel", parallel])
            .exits_with(0);
        assert_eq!(ports(&test, "a"), two.to_string());
        assert_eq!(ports(&test, "b"), one.to_string());
        assert_up_to_date(&test);
        // A taker that does not work: all are restored.
        let before = ["a", "b"].map(|name| test.inspect(name, "{{.Id}}"));
        both("no-such-command", one, two, relationship);
        test.run(&["update", "--yes", "--parallel", parallel])
            .exits_with(1);
        for (name, id) in ["a", "b"].iter().zip(before) {
            let now = test.inspect(name, "{{.Id}} {{.State.Running}}");
            assert_eq!(now, format!("{id} true"));
        }
        assert_eq!(test.containers().len(), 2, "{:?}", test.containers());
        test.run(&["uninstall"]).exits_with(0);
    }
}

#[test]
fn name_and_port_of_a_removed_node_go_to_a_new_one() {
    let test = Test::new("handon");
    let port = free_port();
    let node = |node: &str, command: &str| {
        let params = format!("command: {command}, host_config: {{port_bindings: {{80: {port}}}}}");
        write(&test, &[container(node, "web", &params, "")]);
    };
    node("old", "sleep 1000");
    test.run(&["install"]).exits_with(0);
    let id = test.inspect("web", "{{.Id}}");
    // The new one does not start: the old one is back.
    node("new", "no-such-command");
    test.run(&["update", "--yes"]).exits_with(1);
    let now = || test.inspect("web", "{{.Id}} {{.State.Running}}");
    assert_eq!(now(), format!("{id} true"));
    assert_eq!(test.containers().len(), 1, "{:?}", test.containers());
    // A run that dies is undone, and a later one completes.
    node("new", "sleep 2000");
    test.kill_at("make the old container", &["update", "--yes"]);
    test.run(&["update", "--yes"]).exits_with(0);
    assert!(!now().contains(&id) && now().ends_with("true"), "{}", now());
    assert_eq!(ports(&test, "web"), port.to_string());
    assert_eq!(test.containers().len(), 1, "{:?}", test.containers());
    assert_up_to_date(&test);
    test.run(&["uninstall"]).exits_with(0);
}

#[test]
fn names_are_swapped() {
    let test = Test::new("names");
    let both = |a: &str, b: &str| {
        let params = "command: sleep 1000";
        write(
            &test,
            &[container("a", a, params, ""), container("b", b, params, "")],
        );
        let run: Run = test.run(&["update", "--yes"]);
        run.exits_with(0);
        assert_up_to_date(&test);
    };
    write(&test, &[container("a", "x", "command: sleep 1000", "")]);
    test.run(&["install"]).exits_with(0);
    both("x", "y");
    let node = |name: &str| test.inspect(name, "{{index .Config.Labels \"dockctl.instance\"}}");
    let before = [node("x"), node("y")];
    both("y", "x");
    assert_eq!([node("y"), node("x")], before);
    both("x", "z");
    assert_eq!(node("x"), before[0]);
    assert_eq!(test.containers().len(), 2, "{:?}", test.containers());
    test.run(&["uninstall"]).exits_with(0);
}

#[test]
fn fixed_addresses_are_swapped() {
    let test = Test::new("addresses");
    let octet = fastrand::u8(..);
    let subnet = format!("10.215.{octet}.0/24");
    let both = |a: u8, b: u8| {
        let at = |last: u8| {
            let address = format!("ipv4_address: 10.215.{octet}.{last}");
            format!(
                "{{type: dockctl.relationships.attached_to_network, target: net, properties: {{{address}}}}}"
            )
        };
        let params = "command: sleep 1000";
        let nodes = [
            container("a", "a", params, &at(a)),
            container("b", "b", params, &at(b)),
            format!(
                "  net: {{type: dockctl.nodes.Network, properties: {{name: PREFIX-net, subnet: '{subnet}'}}}}\n"
            ),
        ];
        write(&test, &nodes);
    };
    both(10, 11);
    test.run(&["install"]).exits_with(0);
    both(11, 10);
    test.run(&["update", "--yes"]).exits_with(0);
    let address = |name: &str| {
        test.inspect(
            name,
            "{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}",
        )
    };
    assert!(
        address("a").contains(&format!("10.215.{octet}.11")),
        "{}",
        address("a")
    );
    assert!(
        address("b").contains(&format!("10.215.{octet}.10")),
        "{}",
        address("b")
    );
    assert_up_to_date(&test);
    test.run(&["uninstall"]).exits_with(0);
}

#[test]
fn names_and_subnets_of_networks_are_swapped_and_handed_on() {
    let test = Test::new("subnets");
    let octet = fastrand::u8(..);
    let run = |command: &[&str], all: &[(&str, &str, u8)]| {
        let network = |(node, name, part): &(&str, &str, u8)| {
            let subnet = format!("10.214.{octet}.{}/28", part * 16);
            format!(
                "  {node}: {{type: dockctl.nodes.Network, properties: {{name: PREFIX-{name}, subnet: {subnet}}}}}\n"
            )
        };
        let networks: Vec<String> = all.iter().map(network).collect();
        write(&test, &networks);
        test.run(command).exits_with(0);
        assert_up_to_date(&test);
    };
    let update = |parallel: &str, all| run(&["update", "--yes", "--parallel", parallel], all);
    run(&["install"], &[("one", "a", 1), ("two", "b", 2)]);
    update("1", &[("one", "b", 2), ("two", "a", 1)]);
    update("10", &[("one", "c", 3), ("two", "a", 1), ("new", "b", 2)]);
    update("1", &[("one", "a", 2), ("two", "b", 3), ("new", "c", 1)]);
    test.run(&["uninstall"]).exits_with(0);
}

#[test]
fn address_that_the_engine_gave_is_handed_on() {
    let test = Test::new("given");
    let octet = fastrand::u8(..);
    let on_net = |properties: &str| {
        format!(
            "{{type: dockctl.relationships.attached_to_network, target: net, properties: {{{properties}}}}}"
        )
    };
    let net = format!(
        "  net: {{type: dockctl.nodes.Network, properties: {{name: PREFIX-net, subnet: '10.220.{octet}.0/24'}}}}\n"
    );
    let old = |command: &str| container("old", "old", &format!("command: {command}"), &on_net(""));
    write(&test, &[net.clone(), old("sleep 1000")]);
    test.run(&["install"]).exits_with(0);
    let address = |name: &str| {
        test.inspect(
            name,
            "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}",
        )
    };
    let given = address("old");
    let new = container(
        "new",
        "new",
        "command: sleep 1000",
        &on_net(&format!("ipv4_address: {given}")),
    );
    // One that keeps running keeps its address.
    write(&test, &[net.clone(), old("sleep 1000"), new.clone()]);
    let warning = format!(
        "needs the address {given} on network `{}`, which `{}` has",
        test.name("net"),
        test.name("old")
    );
    test.run(&["plan"])
        .exits_with(0)
        .stdout_contains(&["warning: new_", &warning]);
    let taken = test.run(&["plan", "--output", "json"]).exits_with(0).json();
    assert_eq!(taken["taken_addresses"][0]["address"], given);
    // One that is replaced gives it up first.
    write(&test, &[net, old("sleep 1001"), new]);
    let plan = test.run(&["plan"]).exits_with(0);
    plan.stdout_contains(&["exchange: old_", &format!("address {given}: old_")]);
    test.run(&["update", "--yes"]).exits_with(0);
    assert_eq!(address("new"), given);
    assert_up_to_date(&test);
    test.run(&["uninstall"]).exits_with(0);
}
