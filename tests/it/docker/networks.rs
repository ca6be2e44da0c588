//! Networks and volumes as nodes, and their relationships with containers.

use crate::{docker::install::SLEEPER, support::Test};

pub(crate) const HEAD: &str = "tosca_definitions_version: cloudify_dsl_1_3
imports:
  - cloudify/types/types.yaml
  - plugin:cloudify-docker-plugin?version=1.3.2
  - plugin:dockctl
node_templates:
";

fn container(name: &str, command: &str, relationships: &str) -> String {
    format!(
        "  {name}:
    type: cloudify.docker.Container
    properties: {{name: PREFIX-{name}, image: {{src: TARBALL, repository: dockctl-demo}}}}
    interfaces:
      cloudify.interfaces.lifecycle:
        create: {{inputs: {{params: {{command: '{command}'}}}}}}
        stop: {{inputs: {{params: {{timeout: 0}}}}}}
    relationships: [{relationships}]
"
    )
}

fn network(name: &str, more: &str) -> String {
    format!(
        "  {name}: {{type: dockctl.nodes.Network, properties: {{name: PREFIX-{name}{more}}}}}\n"
    )
}

fn write(test: &Test, nodes: &[String]) {
    test.write("blueprint.yaml", &format!("{HEAD}{}", nodes.concat()));
}

fn attached_to(network: &str, properties: &str) -> String {
    format!(
        "{{type: dockctl.relationships.attached_to_network, target: {network}, properties: {{{properties}}}}}"
    )
}

#[test]
fn containers_reach_each_other_on_declared_networks() {
    let test = Test::new("net");
    let octet = fastrand::u8(..);
    let subnet = format!("10.213.{octet}.0/24");
    let web = [
        attached_to("front", "aliases: [page]"),
        attached_to("back", &format!("ipv4_address: 10.213.{octet}.9")),
    ]
    .join(", ");
    write(
        &test,
        &[
            container("web", "httpd -f -p 80 -h /etc", &web),
            container("asker", "sleep 1000", &attached_to("front", "")),
            network(
                "front",
                ", options: {com.docker.network.driver.mtu: 1400}, labels: {team: a}",
            ),
            network("back", &format!(", internal: true, subnet: '{subnet}'")),
        ],
    );
    test.run(&["install"]).exits_with(0);
    let of = |name: &str, format: &str| {
        test.docker(&["network", "inspect", "--format", format, &test.name(name)])
    };
    assert_eq!(
        of(
            "front",
            "{{.Labels.team}} {{index .Options \"com.docker.network.driver.mtu\"}}"
        ),
        "a 1400"
    );
    assert_eq!(
        of("back", "{{.Internal}} {{(index .IPAM.Config 0).Subnet}}"),
        format!("true {subnet}")
    );
    let back = format!(
        "{{{{(index .NetworkSettings.Networks \"{}\").IPAddress}}}}",
        test.name("back")
    );
    assert_eq!(test.inspect("web", &back), format!("10.213.{octet}.9"));
    let page = test.docker(&[
        "exec",
        &test.name("asker"),
        "wget",
        "-qO-",
        "http://page/passwd",
    ]);
    assert!(page.contains("root"), "{page}");
    test.run(&["plan", "--exit-code"]).exits_with(0);
    test.run(&["status", "--exit-code"]).exits_with(0);
    // A recreated container is connected to its networks again.
    test.docker(&["rm", "-f", &test.name("web")]);
    test.run(&["install"]).exits_with(0);
    assert_eq!(test.inspect("web", &back), format!("10.213.{octet}.9"));
    test.run(&["uninstall"]).exits_with(0);
    assert_eq!(
        test.docker(&[
            "network",
            "ls",
            "-q",
            "--filter",
            &format!("name={}", test.prefix)
        ]),
        ""
    );
}

#[test]
fn existing_network_is_adopted_only_if_declared_external() {
    let test = Test::new("adopted");
    test.docker(&["network", "create", &test.name("front")]);
    let web = container("web", "sleep 1000", &attached_to("front", ""));
    write(&test, &[web.clone(), network("front", "")]);
    test.run(&["install"]).exits_with(1).stderr_contains(&[
        "is taken by a network that was not created by dockctl",
        "use_external_resource",
    ]);
    test.run(&["uninstall"]).exits_with(0);
    write(
        &test,
        &[web, network("front", ", use_external_resource: true")],
    );
    test.run(&["install"]).exits_with(0);
    assert_eq!(test.containers(), ["PREFIX-web running"]);
    test.run(&["plan", "--exit-code"]).exits_with(0);
    test.run(&["uninstall"]).exits_with(0);
    assert_eq!(
        test.docker(&[
            "network",
            "ls",
            "--format",
            "{{.Name}}",
            "--filter",
            &format!("name={}", test.prefix)
        ]),
        test.name("front")
    );
}

#[test]
fn volume_and_its_data_are_kept_until_volumes_are_removed() {
    let test = Test::new("vol");
    let mounts = |more: &str| {
        format!(
            "{{type: dockctl.relationships.mounts, target: data, properties: {{target: /data{more}}}}}"
        )
    };
    let volume = "  data: {type: dockctl.nodes.Volume, properties: {name: PREFIX-data, labels: {team: a}}}\n".to_owned();
    let writer = container(
        "writer",
        "sh -c \"date >>/data/log; sleep 1000\"",
        &mounts(""),
    );
    let reader = container("reader", "sleep 1000", &mounts(", read_only: true"));
    write(&test, &[writer, reader, volume]);
    test.run(&["install"]).exits_with(0);
    assert_eq!(
        test.inspect(
            "reader",
            "{{(index .Mounts 0).Name}} {{(index .Mounts 0).RW}}"
        ),
        format!("{} false", test.name("data"))
    );
    test.run(&["plan", "--exit-code"]).exits_with(0);
    let plain = test
        .run(&["uninstall", "--progress", "plain"])
        .exits_with(0);
    plain.stderr_contains(&["keep volume"]);
    // The next install uses the volume again, although its instances have new IDs.
    test.run(&["install"]).exits_with(0);
    let lines = test.docker(&["exec", &test.name("reader"), "cat", "/data/log"]);
    assert_eq!(lines.lines().count(), 2, "{lines}");
    test.run(&["uninstall", "--volumes"])
        .exits_with(2)
        .stderr_contains(&["--yes"]);
    test.run(&["uninstall", "--volumes", "--yes"]).exits_with(0);
    assert_eq!(
        test.docker(&[
            "volume",
            "ls",
            "-q",
            "--filter",
            &format!("name={}", test.prefix)
        ]),
        ""
    );
}

/// A volume that an update kept after its node was dropped still belongs to the deployment:
/// `uninstall --volumes` removes it together with the others.
#[test]
fn volumes_of_dropped_nodes_are_removed_with_the_deployment() {
    let test = Test::new("dropped");
    let volume = |node: &str, name: &str| {
        format!("  {node}: {{type: dockctl.nodes.Volume, properties: {{name: PREFIX-{name}}}}}\n")
    };
    let volumes = || {
        test.docker(&[
            "volume",
            "ls",
            "--quiet",
            "--filter",
            &format!("name={}", test.prefix),
        ])
    };
    write(&test, &[volume("data", "data"), volume("cache", "cache")]);
    test.run(&["install"]).exits_with(0);
    write(&test, &[volume("data", "data")]);
    test.run(&["update", "--yes"]).exits_with(0);
    assert_eq!(
        volumes().lines().count(),
        2,
        "the volume of the dropped node is kept"
    );
    // A new node with the name of the dropped one, but of another type.
    write(&test, &[volume("data", "data"), network("cache", "")]);
    test.run(&["update", "--yes"]).exits_with(0);
    test.run(&["uninstall", "--volumes", "--yes"]).exits_with(0);
    assert_eq!(volumes(), "");
    assert!(
        test.run(&["uninstall", "--volumes", "--yes"])
            .exits_with(0)
            .stdout
            .contains("nothing to do")
    );
    // Without `--volumes`, they are kept.
    write(&test, &[volume("data", "data"), volume("cache", "cache")]);
    test.run(&["install"]).exits_with(0);
    write(&test, &[volume("data", "data")]);
    test.run(&["update", "--yes"]).exits_with(0);
    test.run(&["uninstall"]).exits_with(0);
    assert_eq!(volumes().lines().count(), 2);
    test.run(&["uninstall", "--volumes", "--yes"]).exits_with(0);
    assert_eq!(volumes(), "");
}

/// The old container cannot return to a network whose subnet no longer has its address.
#[test]
fn plan_names_fixed_addresses_that_a_replaced_network_loses() {
    let test = Test::in_memory("subnets");
    let define = |subnet: &str, address: &str, command: &str| {
        let attached = attached_to("net", &format!("ipv4_address: {address}"));
        let net = network("net", &format!(", subnet: {subnet}"));
        write(&test, &[net, container("web", command, &attached)]);
    };
    define("10.213.1.0/24", "10.213.1.9", "sleep 1000");
    test.run(&["install"]).exits_with(0);
    define("10.213.2.0/24", "10.213.2.9", "sleep 1001");
    test.run(&["plan"]).exits_with(0).stdout_contains(&[
        "no rollback: network `",
        "is replaced, where the old container has the address 10.213.1.9",
    ]);
    define("10.213.1.0/24", "10.213.1.9", "sleep 1001");
    let plan = test.run(&["plan"]).exits_with(0);
    assert!(!plan.stdout.contains("no rollback"), "{}", plan.stdout);
}

/// A container that is created without its volume gets one that the engine creates, and that belongs
/// to nobody.
#[test]
fn container_is_not_created_without_its_volume() {
    let test = Test::new("without");
    let mounts = "{type: dockctl.relationships.mounts, target: data, properties: {target: /data}}";
    let volume =
        "  data: {type: dockctl.nodes.Volume, properties: {name: PREFIX-data}}\n".to_owned();
    write(&test, &[container("web", "sleep 1000", mounts), volume]);
    test.run(&["install"]).exits_with(0);
    let volumes = || {
        let filter = format!("name={}", test.prefix);
        test.docker(&["volume", "ls", "--quiet", "--filter", &filter])
    };
    test.docker(&["rm", "--force", &test.name("web")]);
    test.docker(&["volume", "rm", &test.name("data")]);
    let node_ids = "node_ids=[web]";
    let commands: [&[&str]; 6] = [
        &["heal", "web"],
        &["start", "web"],
        &["restart", "web"],
        &["execute", "reinstall", "-p", node_ids],
        &["execute", "install", "-p", node_ids],
        &["scale", "web", "--to", "2"],
    ];
    for command in commands {
        test.run(command).exits_with(3).stderr_contains(&[
            "needs data_",
            "which is missing",
            "dockctl heal -d",
        ]);
        assert_eq!(volumes(), "", "{command:?}");
    }
    test.run(&["heal"]).exits_with(0);
    test.run(&["uninstall", "--volumes", "--yes"]).exits_with(0);
    assert_eq!(volumes(), "");
}

#[test]
fn foreign_volume_is_not_used() {
    let test = Test::new("foreign");
    test.docker(&["volume", "create", &test.name("data")]);
    write(
        &test,
        &[
            "  data: {type: dockctl.nodes.Volume, properties: {name: PREFIX-data, keep: false}}\n"
                .to_owned(),
        ],
    );
    test.run(&["install"])
        .exits_with(1)
        .stderr_contains(&["is taken by a volume that was not created by dockctl"]);
    test.run(&["uninstall"]).exits_with(0);
    assert_eq!(
        test.docker(&[
            "volume",
            "ls",
            "-q",
            "--filter",
            &format!("name={}", test.prefix)
        ]),
        test.name("data")
    );
}

#[test]
fn invalid_relationships_are_reported() {
    let test = Test::new("related");
    let validate = |relationship: &str| {
        let data = "  data: {type: dockctl.nodes.Volume}\n".to_owned();
        write(
            &test,
            &[
                container("web", "x", relationship),
                network("front", ""),
                data,
            ],
        );
        test.run(&["validate"])
    };
    validate(&attached_to("data", ""))
        .exits_with(3)
        .stderr_contains(&["must be a network, and `data` is not one"]);
    validate("{type: dockctl.relationships.mounts, target: data}").exits_with(3);
    validate("{type: dockctl.relationships.mounts, target: data, properties: {target: data}}")
        .exits_with(3)
        .stderr_contains(&["an absolute path in the container"]);
    validate(&attached_to("front", "aliases: {get_input: x}")).exits_with(3);
    validate(&attached_to("front", "link_local_ips: {a: b}"))
        .exits_with(3)
        .stderr_contains(&["error[D0119]"]);
    validate(&attached_to("front", "aliases: [a]")).exits_with(0);
}

#[test]
fn failed_network_connection_is_made_by_the_next_install() {
    let test = Test::new("joined");
    let web = |more: &str| {
        container(
            "web",
            "sleep 1000",
            &[attached_to("front", ""), attached_to("back", more)].join(", "),
        )
    };
    let networks = [network("front", ""), network("back", "")].concat();
    // Engines assign a static address only in a configured subnet. A second install reports the
    // error again.
    write(&test, &[web("ipv4_address: 10.9.9.9"), networks.clone()]);
    for _ in 0..2 {
        test.run(&["install"])
            .exits_with(1)
            .stderr_contains(&["[web_", "] failed: ", " failed: "]);
    }
    write(&test, &[web(""), networks]);
    test.run(&["install"]).exits_with(0);
    let joined = test.inspect("web", "{{len .NetworkSettings.Networks}}");
    assert_eq!(joined, "2");
    test.run(&["uninstall"]).exits_with(0);
}

#[test]
fn copied_labels_do_not_make_a_network_or_volume_owned() {
    let test = Test::new("copied");
    let deployment = format!("dockctl.deployment={}", test.prefix);
    test.docker(&[
        "volume",
        "create",
        "--label",
        &deployment,
        "--label",
        "dockctl.node=data",
        &test.name("data"),
    ]);
    let volume =
        "  data: {type: dockctl.nodes.Volume, properties: {name: PREFIX-data, keep: false}}\n"
            .to_owned();
    write(&test, &[volume, network("front", "")]);
    test.run(&["install"])
        .exits_with(1)
        .stderr_contains(&["is taken by a volume"]);
    test.run(&["uninstall"]).exits_with(0);
    write(&test, &[network("front", "")]);
    test.run(&["install"]).exits_with(0);
    let labels: serde_json::Value = serde_json::from_str(&test.docker(&[
        "network",
        "inspect",
        "--format",
        "{{json .Labels}}",
        &test.name("front"),
    ]))
    .unwrap();
    let copied: Vec<String> = labels
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, value)| format!("--label={name}={}", value.as_str().unwrap()))
        .collect();
    let copy = test.name("a-copy");
    test.docker(
        &["network", "create"]
            .into_iter()
            .chain(copied.iter().map(String::as_str))
            .chain([copy.as_str()])
            .collect::<Vec<_>>(),
    );
    test.run(&["plan", "--exit-code"]).exits_with(0);
    test.run(&["uninstall"]).exits_with(0);
    let names = |what: &str| {
        test.docker(&[
            what,
            "ls",
            "--format",
            "{{.Name}}",
            "--filter",
            &format!("name={}", test.prefix),
        ])
    };
    assert_eq!(
        (names("network"), names("volume")),
        (copy, test.name("data"))
    );
}

#[test]
fn changed_network_is_recreated_and_a_lost_one_is_found_by_labels() {
    let test = Test::new("left");
    let nodes = |labels: &str, command: &str| {
        let web = container("web", "sleep 1000", &attached_to("front", ""));
        [
            web,
            container("bad", command, ""),
            network("front", &format!(", labels: {labels}")),
        ]
    };
    write(&test, &nodes("{a: 1}", "no-such-command"));
    test.run(&["install"]).exits_with(1);
    write(&test, &nodes("{a: 2}", "sleep 1000"));
    test.run(&["install"]).exits_with(0);
    assert_eq!(
        test.docker(&[
            "network",
            "inspect",
            "--format",
            "{{.Labels.a}} {{len .Containers}}",
            &test.name("front")
        ]),
        "2 1"
    );
    // Simulate a run that died before it recorded the ID.
    let labels: serde_json::Value = serde_json::from_str(&test.docker(&[
        "network",
        "inspect",
        "--format",
        "{{json .Labels}}",
        &test.name("front"),
    ]))
    .unwrap();
    let own: Vec<String> = labels
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, value)| format!("--label={name}={}", value.as_str().unwrap()))
        .collect();
    test.docker(&["rm", "-f", &test.name("web"), &test.name("bad")]);
    test.docker(&["network", "rm", &test.name("front")]);
    let name = test.name("front");
    test.docker(
        &["network", "create"]
            .into_iter()
            .chain(own.iter().map(String::as_str))
            .chain([name.as_str()])
            .collect::<Vec<_>>(),
    );
    test.run(&["uninstall"]).exits_with(0);
    assert_eq!(
        test.docker(&[
            "network",
            "ls",
            "-q",
            "--filter",
            &format!("name={}", test.prefix)
        ]),
        ""
    );
}

#[test]
fn relationship_adds_aliases_to_the_network_of_the_parameters() {
    let test = Test::new("adds");
    let web = container(
        "web",
        "sleep 1000",
        &[
            attached_to("front", "aliases: [one]"),
            attached_to("front", "aliases: [two]"),
        ]
        .join(", "),
    );
    let web = web.replacen(
        "params: {",
        "params: {host_config: {network_mode: PREFIX-front}, ",
        1,
    );
    write(&test, &[web, network("front", "")]);
    test.run(&["install"]).exits_with(0);
    let aliases = test.inspect(
        "web",
        &format!(
            "{{{{json (index .NetworkSettings.Networks \"{}\").Aliases}}}}",
            test.name("front")
        ),
    );
    assert!(aliases.contains("\"two\""), "{aliases}");
    test.run(&["uninstall"]).exits_with(0);
}

#[test]
fn field_that_the_engine_would_ignore_is_refused() {
    let test = Test::in_memory("ignored");
    let mounts = "{type: dockctl.relationships.mounts, target: data, properties: {target: /data, subpath: x}}";
    write(
        &test,
        &[
            container("web", "x", mounts),
            "  data: {type: dockctl.nodes.Volume}\n".to_owned(),
        ],
    );
    test.run(&["install"])
        .exits_with(3)
        .stderr_contains(&["`HostConfig.Mounts.VolumeOptions.Subpath` requires engine API 1.45"]);
}

#[test]
fn two_networks_of_one_name_are_refused() {
    let test = Test::in_memory("twice");
    write(
        &test,
        &[
            network("front", ""),
            network("front", "").replace("front:", "other:"),
        ],
    );
    test.run(&["validate"])
        .exits_with(3)
        .stderr_contains(&["two nodes declare a network named"]);
}

/// Engines before API 1.44 create two networks with the same name if both requests arrive at once.
#[test]
fn duplicate_network_of_a_repeated_call_is_removed() {
    let test = Test::in_memory("duplicate");
    let nodes = SLEEPER.replace(
        "\nnode_templates:\n",
        "  - plugin:dockctl\nnode_templates:\n  net: {type: dockctl.nodes.Network, properties: {name: PREFIX-net}}\n",
    );
    test.blueprint(&nodes);
    test.run(&["install", "--seed", "3"]).exits_with(0);
    let labels: serde_json::Value = serde_json::from_str(&test.docker(&[
        "network",
        "inspect",
        "--format",
        "{{json .Labels}}",
        &test.name("net"),
    ]))
    .unwrap();
    // The record is lost, and a repeated request has created a duplicate of the network.
    let body = serde_json::json!({ "Name": test.name("net"), "Labels": labels }).to_string();
    create_duplicate_network(test.engine().socket(), &body);
    let count = || {
        test.docker(&[
            "network",
            "ls",
            "-q",
            "--filter",
            &format!("name={}", test.name("net")),
        ])
        .lines()
        .count()
    };
    assert_eq!(count(), 2);
    std::fs::remove_file(
        test.path("state/deployments")
            .join(format!("{}.db", test.prefix)),
    )
    .unwrap();
    test.run(&["install", "--seed", "3"]).exits_with(0);
    assert_eq!(count(), 1);
    test.run(&["uninstall"]).exits_with(0);
    assert_eq!(count(), 0);
}

/// Calls the engine's API without `CheckDuplicate`: the engine creates a second network with the
/// same name.
fn create_duplicate_network(socket: &std::path::Path, body: &str) {
    use std::io::{Read as _, Write as _};
    let mut engine = std::os::unix::net::UnixStream::connect(socket).unwrap();
    let head = format!(
        "POST /v1.41/networks/create HTTP/1.1\r\nHost: docker\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    engine.write_all(head.as_bytes()).unwrap();
    engine.write_all(body.as_bytes()).unwrap();
    let mut answer = String::new();
    engine.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
}

#[test]
fn network_of_a_foreign_container_is_neither_changed_nor_removed() {
    let test = Test::new("foreignnet");
    let nodes = |subnet: u8| {
        let net = network("net", &format!(", subnet: 10.216.{subnet}.0/24"));
        [container("web", "sleep 1000", &attached_to("net", "")), net]
    };
    let octet = fastrand::u8(..254);
    write(&test, &nodes(octet));
    test.run(&["install"]).exits_with(0);
    let foreign = test.create_foreign("guest", &["sleep", "1000"]);
    let name = test.name("net");
    test.docker(&["network", "connect", &name, &foreign]);
    test.docker(&["start", &foreign]);
    let guest = test.name("guest");
    let message = format!("container `{guest}`, outside this deployment, uses the network");
    let endpoints = || test.inspect("web", "{{len .NetworkSettings.Networks}}");
    let before = endpoints();
    // Changed, and then removed from the blueprint.
    let changed = nodes(octet + 1).to_vec();
    let removed = vec![container("web", "sleep 1000", "")];
    for blueprint in [changed, removed] {
        write(&test, &blueprint);
        let plan = test.run(&["plan"]).exits_with(0).stdout;
        assert!(plan.contains(&message), "{plan}");
        test.run(&["update", "--yes"])
            .exits_with(3)
            .stderr_contains(&[&message]);
        assert_eq!(endpoints(), before);
    }
    write(&test, &nodes(octet));
    let uninstall = test.run(&["uninstall"]).exits_with(1);
    assert!(
        !uninstall.stderr.contains("retrying"),
        "{}",
        uninstall.stderr
    );
    uninstall.stderr_contains(&[&guest, "docker network disconnect"]);
    assert_eq!(test.containers().len(), 1, "{:?}", test.containers());
    // A stopped container does not prevent the removal, but cannot start after it.
    test.docker(&["stop", "-t", "0", &foreign]);
    test.run(&["install"]).exits_with(0);
    write(&test, &nodes(octet + 1));
    let warning =
        format!("`{guest}`, outside this deployment and stopped, uses the network of net_");
    let plan = test.run(&["plan"]).exits_with(0).stdout;
    assert!(plan.contains(&warning), "{plan}");
    test.run(&["update", "--yes"])
        .exits_with(0)
        .stderr_contains(&[&warning]);
    test.run(&["uninstall"]).exits_with(0);
}

#[test]
fn fixed_address_is_served_before_containers_that_get_any() {
    let test = Test::new("fixedfirst");
    let octet = fastrand::u8(..);
    let fixed = format!("10.217.{octet}.2");
    let net = network("net", &format!(", subnet: 10.217.{octet}.0/24"));
    let web = |more: &str| {
        let on_net = attached_to("net", &format!("ipv4_address: {fixed}"));
        container("web", "sleep 1000", &format!("{on_net}{more}"))
    };
    let others =
        (1..7).map(|n| container(&format!("any{n}"), "sleep 1000", &attached_to("net", "")));
    let others: Vec<String> = others.collect();
    // The engine gives away the lowest address first.
    write(&test, &[&others[..], &[web(""), net.clone()]].concat());
    let plan = test.run(&["plan", "--output", "json"]).exits_with(0).json();
    assert_eq!(plan["address_risks"], serde_json::json!([]));
    test.run(&["install"]).exits_with(0);
    let address = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
    assert_eq!(test.inspect("web", address), fixed);
    // The others keep running until it works: one of them would get its address.
    let starts = || ["any1", "any2"].map(|it| test.inspect(it, "{{.Id}} {{.State.StartedAt}}"));
    let before = starts();
    let changed = [&others[..], &[web("")]].concat();
    let changed = changed.iter().enumerate().map(|(at, node)| match at {
        6 => node.replace("sleep 1000", "no-such-command"),
        _ => node.replace("sleep 1000", "sleep 1001"),
    });
    write(&test, &changed.chain([net.clone()]).collect::<Vec<_>>());
    test.run(&["update", "--yes"]).exits_with(1);
    assert_eq!(test.inspect("web", address), fixed);
    assert_eq!(starts(), before);
    test.run(&["uninstall"]).exits_with(0);

    // An order that the blueprint requires comes first.
    let after = ", {type: cloudify.relationships.depends_on, target: any1}";
    write(&test, &[&others[..1], &[web(after), net.clone()]].concat());
    let risk = format!(
        "which may get its address {fixed} on network `{}` first",
        test.name("net")
    );
    test.run(&["plan"])
        .exits_with(0)
        .stdout_contains(&["warning: web_", &risk]);
    test.run(&["install"]).exits_with(1).stderr_contains(&[
        &risk,
        &format!(
            "container `{}` has the address {fixed} on network",
            test.name("any1")
        ),
    ]);
    test.run(&["uninstall"]).exits_with(0);

    // The engine gives the others addresses of another range.
    let ranged = network(
        "net",
        &format!(
            ", ipam: {{config: [{{subnet: 10.217.{octet}.0/24, iprange: 10.217.{octet}.128/25}}]}}"
        ),
    );
    write(&test, &[&others[..1], &[web(after), ranged]].concat());
    let plan = test.run(&["plan", "--output", "json"]).exits_with(0).json();
    assert_eq!(plan["address_risks"], serde_json::json!([]));
    test.run(&["install"]).exits_with(0);
    assert_eq!(test.inspect("web", address), fixed);
    test.run(&["uninstall"]).exits_with(0);
}

#[test]
fn container_without_its_only_network_has_drifted() {
    let test = Test::new("onlynet");
    let octet = fastrand::u8(..);
    let external = test.name("external");
    test.docker(&[
        "network",
        "create",
        "--subnet",
        &format!("10.218.{octet}.0/24"),
        &external,
    ]);
    let params = |network: &str| format!("command: sleep 1000{network}");
    let node = |name: &str, network: &str| {
        crate::docker::exchange::container(name, name, &params(network), "")
    };
    let on_external = format!(
        ", networking_config: {{EndpointsConfig: {{{external}: {{ipv4_address: 10.218.{octet}.9}}}}}}, host_config: {{network_mode: {external}}}"
    );
    write(
        &test,
        &[
            node("plain", ""),
            node("named", &on_external),
            node("none", ", host_config: {network_mode: none}"),
        ],
    );
    test.run(&["install"]).exits_with(0);
    test.run(&["status", "--exit-code"]).exits_with(0);
    test.docker(&["network", "disconnect", "bridge", &test.name("plain")]);
    test.docker(&["network", "disconnect", &external, &test.name("named")]);
    let status = test.run(&["status", "--exit-code"]).exits_with(6);
    assert_eq!(
        status.stdout.matches("network: ").count(),
        2,
        "{}",
        status.stdout
    );
    test.run(&["heal"]).exits_with(0);
    test.run(&["status", "--exit-code"]).exits_with(0);
    let address = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
    assert_eq!(test.inspect("named", address), format!("10.218.{octet}.9"));
    test.run(&["uninstall"]).exits_with(0);
    test.docker(&["network", "rm", &external]);
}

#[test]
fn restart_keeps_containers_on_networks_and_serves_fixed_addresses_first() {
    let test = Test::new("restartnet");
    let octet = fastrand::u8(..);
    let net = network("net", &format!(", subnet: 10.216.{octet}.0/29"));
    let fixed = attached_to("net", &format!("ipv4_address: 10.216.{octet}.2"));
    let any = attached_to("net", "");
    let nodes = [
        net,
        container("any1", "sleep 1000", &any),
        container("any2", "sleep 1000", &any),
        container("fixed", "sleep 1000", &fixed),
    ];
    write(&test, &nodes);
    test.run(&["install"]).exits_with(0);
    let ids = || ["any1", "any2", "fixed"].map(|name| test.inspect(name, "{{.Id}}"));
    let before = ids();
    test.run(&["restart"]).exits_with(0);
    assert_eq!(ids(), before);
    test.run(&["stop"]).exits_with(0);
    test.run(&["start"]).exits_with(0);
    assert_eq!(ids(), before);
    test.run(&["status", "--exit-code"]).exits_with(0);
    test.run(&["uninstall"]).exits_with(0);
}

#[test]
fn heal_of_a_lost_volume_says_that_its_data_is_gone() {
    let test = Test::new("lostvol");
    let volume =
        "  data: {type: dockctl.nodes.Volume, properties: {name: PREFIX-data}}\n".to_owned();
    write(&test, &[volume]);
    test.run(&["install"]).exits_with(0);
    test.docker(&["volume", "rm", &test.name("data")]);
    let words = "and its data with it; it is created again, empty";
    test.run(&["plan"])
        .exits_with(0)
        .stdout_contains(&["warning: data_", words]);
    test.run(&["heal"])
        .exits_with(0)
        .stderr_contains(&["warning: data_", words]);
    test.run(&["uninstall", "--volumes", "--yes"]).exits_with(0);
}

#[test]
fn impossible_addresses_fail_at_once_and_name_the_gateway() {
    let test = Test::new("noaddress");
    let octet = fastrand::u8(..);
    // dockctl does not know the subnets of a network that exists already.
    let external = test.name("external");
    let subnet = format!("10.219.{octet}.0/28");
    test.docker(&["network", "create", "--subnet", &subnet, &external]);
    let net = format!(
        "  net: {{type: dockctl.nodes.Network, properties: {{name: {external}, use_external_resource: true}}}}\n"
    );
    for (host, words) in [(1, "the gateway has the address"), (40, "subnet")] {
        let address = format!("10.219.{octet}.{host}");
        let on_net = attached_to("net", &format!("ipv4_address: {address}"));
        write(
            &test,
            &[container("web", "sleep 1000", &on_net), net.clone()],
        );
        let run = test.run(&["install"]).exits_with(1);
        assert!(!run.stderr.contains("retrying"), "{}", run.stderr);
        run.stderr_contains(&[words, &address]);
        test.run(&["uninstall"]).exits_with(0);
    }
    test.docker(&["network", "rm", &external]);
}

/// Networks and volumes that the blueprint no longer declares are removed after the containers that
/// use them were replaced.
#[test]
fn removed_networks_and_volumes_go_after_their_users() {
    let test = Test::new("removedlast");
    let used = "{type: dockctl.relationships.mounts, target: data, properties: {target: /data}}";
    let on_net = attached_to("net", "");
    let data = |node: &str, keep: bool| {
        format!(
            "  {node}: {{type: dockctl.nodes.Volume, properties: {{name: PREFIX-data, keep: {keep}}}}}\n"
        )
    };
    let web = |command: &str, relationships: &str| container("web", command, relationships);
    let both = [
        web("sleep 1000", &format!("{used}, {on_net}")),
        data("data", false),
        network("net", ""),
    ];
    write(&test, &both);
    test.run(&["install"]).exits_with(0);
    let networks = || {
        test.inspect(
            "web",
            "{{range $name, $_ := .NetworkSettings.Networks}}{{$name}}{{end}}",
        )
    };
    // A failed update restores the old container with its network and its volume.
    write(&test, &[web("no-such-command", "")]);
    test.run(&["update", "--yes"]).exits_with(1);
    assert_eq!(networks(), test.name("net"));
    write(&test, &[web("sleep 1000", "")]);
    test.run(&["update", "--yes"]).exits_with(0);
    assert_eq!(networks(), "bridge");
    test.run(&["uninstall"]).exits_with(0);

    // An uninstall after such a failure removes all of them.
    write(&test, &both);
    test.run(&["install"]).exits_with(0);
    write(&test, &[web("no-such-command", "")]);
    test.run(&["update", "--yes"]).exits_with(1);
    test.run(&["uninstall", "--volumes", "--yes"]).exits_with(0);

    // The data of a removed volume is not handed on with its name.
    write(&test, &both);
    test.run(&["install"]).exits_with(0);
    let other = used.replace("target: data", "target: other");
    for keep in [false, true] {
        write(&test, &[web("sleep 1000", &other), data("other", keep)]);
        let refusal = "belongs to the data of the removed node `data`";
        test.run(&["plan"])
            .exits_with(0)
            .stdout_contains(&[refusal]);
        test.run(&["update", "--yes"])
            .exits_with(3)
            .stderr_contains(&[refusal]);
    }
    // The name of a network is, but the old container cannot be restored on it.
    let renamed = network("net", "").replacen("  net:", "  other:", 1);
    write(
        &test,
        &[web("sleep 1000", &attached_to("other", "")), renamed],
    );
    test.run(&["plan"]).exits_with(0).stdout_contains(&[
        "no rollback: `",
        "which the old container uses, is removed first",
    ]);
    test.run(&["update", "--yes"]).exits_with(0);
    assert_eq!(networks(), test.name("net"));
    test.run(&["uninstall"]).exits_with(0);
}

#[test]
fn volume_of_a_foreign_container_stays_and_its_user_is_named() {
    let test = Test::new("foreignvol");
    let data =
        "  data: {type: dockctl.nodes.Volume, properties: {name: PREFIX-data, keep: false}}\n";
    let web = "{type: dockctl.relationships.mounts, target: data, properties: {target: /data}}";
    write(
        &test,
        &[container("web", "sleep 1000", web), data.to_owned()],
    );
    test.run(&["install"]).exits_with(0);
    let (guest, label) = (test.name("guest"), format!("dockctl-test={}", test.prefix));
    let mount = format!("{}:/data", test.name("data"));
    test.docker(&[
        "create",
        "--name",
        &guest,
        "--label",
        &label,
        "-v",
        &mount,
        "dockctl-demo",
        "sleep",
        "9",
    ]);
    let named = format!("container `{guest}` uses it");
    test.run(&["uninstall"])
        .exits_with(1)
        .stderr_contains(&[&named]);
    test.docker(&["rm", &guest]);
    test.run(&["uninstall"]).exits_with(0);
}
