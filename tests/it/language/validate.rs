//! Invalid blueprints: the output of `dockctl validate`.

use crate::support::{Run, Test};
use serde_json::json;
use std::process::Command;

/// Returns the errors of a blueprint as `dockctl validate` shows them.
fn validation_errors(name: &str, parameters: &str) -> String {
    let test = Test::in_memory(name);
    test.blueprint(parameters);
    test.run(&["validate"]).exits_with(3).stderr
}

#[test]
fn all_errors_of_a_blueprint_are_shown_in_one_run() {
    let text = validation_errors(
        "many",
        "
node_templates:
  db:
    type: cloudify.docker.Contaner
  web:
    type: cloudify.docker.Container
    properties:
      nmae: hello
      image: {repositry: busybox}
    interfaces:
      cloudify.interfaces.lifecycle:
        create:
          inputs:
            params:
              comand: httpd
              mem_limit: 10x
        start:
          inputs:
            params: {port_bindings: {80: [true]}}
            processes_to_wait: [httpd]
            retry_interval: soon
    relationships:
      - {type: cloudify.relationships.connected_to, target: dbb}
      - {type: cloudify.relationships.connectd_to, target: db}
outputs:
  url: {value: {get_attribute: [webb, ip]}}
  port: {value: {get_input: port}}
",
    );
    insta::assert_snapshot!("all_faults_at_once", text);
}

#[test]
fn cycles_are_shown_with_their_members() {
    let text = validation_errors(
        "circles",
        "
node_types:
  a: {derived_from: b}
  b: {derived_from: a}
node_templates:
  x: {type: cloudify.nodes.Root, relationships: [{type: cloudify.relationships.depends_on, target: y}]}
  y: {type: cloudify.nodes.Root, relationships: [{type: cloudify.relationships.depends_on, target: z}]}
  z: {type: cloudify.nodes.Root, relationships: [{type: cloudify.relationships.depends_on, target: x}]}
  w:
    type: cloudify.nodes.WebServer
    properties: {port: {get_property: [v, port]}}
  v:
    type: cloudify.nodes.WebServer
    properties: {port: {get_property: [w, port]}}
",
    );
    insta::assert_snapshot!("circles", text);
}

#[test]
fn duplicate_and_invalid_container_names_are_errors() {
    let container = |node: &str, name: &str| {
        format!(
            "  {node}:\n    type: cloudify.docker.Container\n    properties: {{name: {name}, image: {{repository: busybox}}}}\n"
        )
    };
    let text = validation_errors(
        "names",
        &format!(
            "node_templates:\n{}{}{}",
            container("a", "web"),
            container("b", "web"),
            container("c", "'no spaces'")
        ),
    );
    insta::assert_snapshot!("names_of_containers", text);
}

#[test]
fn invalid_documents_are_reported() {
    let test = Test::in_memory("text");
    for (text, expected) in [
        ("a: [1\n", "error[D0002]: invalid YAML"),
        ("a: 1\n\tb: 2\n", "error[D0006]"),
        (
            "- just\n- a list\n",
            "the blueprint must be a mapping, not a list",
        ),
        ("", "`tosca_definitions_version` is missing"),
        (
            "tosca_definitions_version: cloudify_dsl_9_9\n",
            "there is no version `cloudify_dsl_9_9` of the DSL",
        ),
        (
            "tosca_definitions_version: cloudify_dsl_1_2\nnode_template: {}\n",
            "did you mean `node_templates`?",
        ),
        (
            "tosca_definitions_version: cloudify_dsl_1_2\nimports: [nowhere.yaml]\n",
            "the import `nowhere.yaml` cannot be found",
        ),
        (
            "tosca_definitions_version: cloudify_dsl_1_2\nimports: [http://example.org/types.yaml]\n",
            "the import `http://example.org/types.yaml` cannot be found",
        ),
        (
            "tosca_definitions_version: cloudify_dsl_1_1\nimports: [http://www.getcloudify.org/spec/cloudify/3.3.1/types.yaml]\n",
            "requires `cloudify_dsl_1_2`, but the blueprint declares `cloudify_dsl_1_1`",
        ),
    ] {
        test.write("blueprint.yaml", text);
        let run = test.run(&["validate"]).exits_with(3);
        assert!(
            run.stderr.contains(expected),
            "`{expected}` is not in:\n{}",
            run.stderr
        );
        assert!(
            run.stderr.contains("blueprint.yaml"),
            "no location in:\n{}",
            run.stderr
        );
    }
}

#[test]
fn unknown_names_neither_hide_nor_cause_other_errors() {
    let test = Test::in_memory("unknown");
    let head = "tosca_definitions_version: cloudify_dsl_1_3\nimports: [cloudify/types/types.yaml]\nplugins: {p: {executor: host_agent, install: false}}\n";
    let node = "properties: {x: {get_input: nope}}, capabilities: {scalable: {properties: {min_instances: 5}}}";
    test.write(
        "blueprint.yaml",
        &format!("{head}node_templates: {{a: {{type: Tt, {node}, relationships: [{{type: zz, target: nobody}}]}}}}\n"),
    );
    let codes = |run: &crate::support::Run| {
        run.stderr
            .lines()
            .filter_map(|line| {
                line.strip_prefix("error[")?
                    .split(']')
                    .next()
                    .map(str::to_owned)
            })
            .collect::<Vec<_>>()
    };
    let run = test.run(&["validate"]).exits_with(3);
    assert_eq!(
        codes(&run),
        ["D0030", "D0071", "D0060", "D0052", "D0051"],
        "{}",
        run.stderr
    );
    let types = "node_types:\n  mine: {derived_from: cloudify.nodes.Comput}\n  app: {interfaces: {i: {o: p.x}}}\n";
    let vm = "  vm: {type: mine, properties: {ip: 1}}\n";
    let app = "  app: {type: app, relationships: [{type: cloudify.relationships.contained_in, target: vm}]}\n";
    let output =
        "outputs: {o: {value: {get_property: [vm, ip]}}, q: {value: {get_property: [vm, name]}}}\n";
    test.write(
        "blueprint.yaml",
        &format!("{head}{types}node_templates:\n{vm}{app}{output}"),
    );
    let run = test
        .run(&["validate"])
        .exits_with(3)
        .stderr_contains(&["did you mean `cloudify.nodes.Compute`?"]);
    assert_eq!(codes(&run), ["D0031"], "{}", run.stderr);
}

#[test]
fn basic_types_are_suggested_only_if_not_imported() {
    let test = Test::in_memory("basic");
    let parents = "relationships:\n  a: {derived_from: cloudify.relationships.connectd_to}\n  b: {derived_from: cloudify.relationships.connectd_to}\n";
    let head = "tosca_definitions_version: cloudify_dsl_1_3\n";
    test.write(
        "blueprint.yaml",
        &format!("{head}imports: [cloudify/types/types.yaml]\n{parents}"),
    );
    let run = test.run(&["validate"]).exits_with(3).stderr_contains(&[
        "did you mean `cloudify.relationships.connected_to`?",
        "error: 2 errors",
    ]);
    assert!(
        !run.stderr.contains("import the basic types"),
        "{}",
        run.stderr
    );
    test.write("blueprint.yaml", &format!("{head}{parents}"));
    test.run(&["validate"])
        .exits_with(3)
        .stderr_contains(&["import the basic types", "error: 1 error"]);
}

#[test]
fn errors_in_libraries_are_reported_at_the_import() {
    let test = Test::in_memory("library");
    test.write(
        "blueprint.yaml",
        "tosca_definitions_version: cloudify_dsl_1_3\nimports: [plugin:cloudify-docker-plugin]\n",
    );
    let run = test.run(&["validate"]).exits_with(3).stderr_contains(&[
        "imported here",
        "import the basic types",
        "error: 1 error",
    ]);
    assert!(run.stderr.contains("blueprint.yaml:2:11"), "{}", run.stderr);
    let run = test.run(&["validate", "--output", "github"]).exits_with(3);
    assert!(
        run.stdout
            .starts_with("::error file=blueprint.yaml,line=2,"),
        "{}",
        run.stdout
    );
    test.write(
        "blueprint.yaml",
        "tosca_definitions_version: cloudify_dsl_1_0\nimports: [http://getcloudify.org/spec/cloudify/7.0.0/types.yaml]\n",
    );
    let run = test
        .run(&["validate", "--offline"])
        .exits_with(3)
        .stderr_contains(&["error[D0015]", "blueprint.yaml:2:11", "error: 1 error"]);
    assert!(!run.stderr.contains("D0022"), "{}", run.stderr);
}

#[test]
fn failure_to_write_the_result_exits_with_1() {
    let test = Test::in_memory("full");
    let full = std::fs::File::options()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let status = Command::new(env!("CARGO_BIN_EXE_dockctl"))
        .arg("schema")
        .current_dir(test.path("."))
        .stdout(full)
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(1));
}

#[test]
fn unreadable_files_are_reported() {
    let test = Test::in_memory("files");
    test.run(&["validate", "nowhere.yaml"])
        .exits_with(3)
        .stderr_contains(&["error[D0001]: cannot read nowhere.yaml"]);
    test.run(&["validate", "."])
        .exits_with(3)
        .stderr_contains(&["error[D0001]: there is no blueprint.yaml in ."]);
    std::fs::write(test.path("latin.yaml"), [b'a', b':', b' ', 0xe9]).unwrap();
    test.run(&["validate", "latin.yaml"])
        .exits_with(3)
        .stderr_contains(&["latin.yaml is not UTF-8 text (at byte 3)"]);
    std::fs::write(test.path("wide.yaml"), [0xff, 0xfe, b'a', 0]).unwrap();
    test.run(&["validate", "wide.yaml"])
        .exits_with(3)
        .stderr_contains(&["but UTF-16: save it as UTF-8"]);
    assert!(
        Command::new("mkfifo")
            .arg(test.path("fifo.yaml"))
            .status()
            .unwrap()
            .success()
    );
    test.run(&["validate", "fifo.yaml"])
        .exits_with(3)
        .stderr_contains(&["fifo.yaml is not a regular file"]);
}

#[test]
fn diagnostics_are_written_as_json() {
    let test = Test::in_memory("data");
    test.blueprint("node_templates:\n  é:\n    type: cloudify.nodes.Rot\n");
    let json = test
        .run(&["validate", "--output", "json"])
        .exits_with(3)
        .json();
    assert_eq!(
        json["diagnostics"],
        json!([{
            "code": "D0030", "severity": "error", "message": "there is no node type `cloudify.nodes.Rot`", "file": "blueprint.yaml",
            "line": 7, "column": 11, "end_line": 7, "end_column": 29, "hints": ["did you mean `cloudify.nodes.Root`?"], "related": [],
            "reference": { "class": "DSLParsingLogicException", "code": 7 },
        }])
    );
    assert_eq!(
        (&json["valid"], &json["error"]["code"]),
        (&json!(false), &json!("invalid"))
    );
}

#[test]
fn duplicate_key_is_a_warning() {
    let test = Test::in_memory("shrug");
    test.blueprint(
        "node_templates:\n  a:\n    type: cloudify.nodes.Root\n    type: cloudify.nodes.Tier\n",
    );
    test.run(&["validate"])
        .exits_with(0)
        .stderr_contains(&["warning[D0005]: duplicate key `type`", "first defined here"]);
    test.run(&["validate", "--strict"]).exits_with(3);
}

#[test]
fn blueprint_can_be_split_into_files() {
    let test = Test::in_memory("split");
    test.write("types.yaml", "node_types:\n  my.Web:\n    derived_from: cloudify.docker.Container\n    properties:\n      image: {default: {repository: busybox}}\n");
    let import = |parameters: &str| {
        let path = test.blueprint(parameters);
        let text = std::fs::read_to_string(&path)
            .unwrap()
            .replace("imports:\n", "imports:\n  - types.yaml\n");
        std::fs::write(path, text).unwrap();
    };
    import("node_templates:\n  web: {type: my.Web}\n");
    test.run(&["validate", "--strict"]).exits_with(0);
    // An error in an imported file is shown there, from any working directory.
    test.write(
        "types.yaml",
        "node_types:\n  my.Web: {derived_from: cloudify.docker.Containr}\n",
    );
    let path = test.path("blueprint.yaml").display().to_string();
    let run = test
        .command(&["validate", &path])
        .current_dir("/")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&run.stderr);
    assert!(
        text.contains("types.yaml:2:26")
            && text.contains("did you mean `cloudify.docker.Container`?"),
        "{text}"
    );
}

#[test]
fn a_billion_instances_are_refused() {
    let test = Test::in_memory("billion");
    test.blueprint(
        "node_templates:\n  a: {type: cloudify.nodes.Root, instances: {deploy: 1000000000}}\n",
    );
    let run = test
        .command(&["plan", "--host", "unix:///nowhere"])
        .output()
        .unwrap();
    assert_eq!(
        run.status.code(),
        Some(3),
        "{}",
        String::from_utf8_lossy(&run.stderr)
    );
    assert!(String::from_utf8_lossy(&run.stderr).contains("D0004"));
}

#[test]
fn invalid_container_parameters_are_found_without_an_engine() {
    let test = Test::in_memory("early");
    let container = |node: &str, image: &str, start: &str| {
        format!(
            "  {node}:\n    type: cloudify.docker.Container\n    properties: {{image: {image}}}\n    interfaces:\n      \
             cloudify.interfaces.lifecycle:\n        start: {{inputs: {{params: {{{start}}}}}}}\n"
        )
    };
    test.blueprint(&format!(
        "node_templates:\n{}{}{}{}{}",
        container("a", "{repository: busybox}", "port_bindings: {80: 99999}"),
        container("b", "{repository: Bad Name}", ""),
        container("c", "{repository: busybox, tag: a b}", ""),
        container("d", "busybox", ""),
        container("e", "{repository: busybox}", "port_bindings: {abc: 80}"),
    ));
    test.run(&["validate"]).exits_with(3).stderr_contains(&[
        "`port_bindings.80` must be a port from 0 to 65535",
        "`abc/tcp` is not a valid port",
        "`Bad Name` is not a valid image name",
        "`a b` is not a valid image tag",
        "node `d`: `image` must be a mapping, not a string",
    ]);
}

/// Returns the errors of a blueprint with one container, whose `create` has these parameters.
fn container_errors(params: &str) -> Run {
    let test = Test::in_memory("params");
    test.blueprint(&format!(
        "node_templates:
  web:
    type: cloudify.docker.Container
    properties: {{name: web, image: {{repository: i}}}}
    interfaces: {{cloudify.interfaces.lifecycle: {{create: {{inputs: {{params: {{{params}}}}}}}}}}}
"
    ));
    test.run(&["validate"])
}

#[test]
fn parameters_that_engines_refuse_are_found_without_an_engine() {
    for (params, message) in [
        ("stop_signal: SIGTREM", "did you mean SIGTERM?"),
        ("stop_signal: 99", "`99` is not a signal"),
        ("working_dir: app", "`app` must be an absolute path"),
        (
            "healthcheck: {test: x, interval: 30}",
            "for seconds, write 30s",
        ),
        (
            "host_config: {binds: ['/a:/b', '/c:/b/']}",
            "`/b` in the container is mounted twice: /a and /c",
        ),
        (
            "host_config: {binds: {/a: {bind: /b}}, tmpfs: [/b]}",
            "mounted twice",
        ),
        (
            "host_config: {binds: ['/a:b']}",
            "`b` is not an absolute path in the container",
        ),
        (
            "host_config: {tmpfs: [/]}",
            "nothing can be mounted at `/` in the container",
        ),
        (
            "host_config: {binds: ['a/b:/b']}",
            "write an absolute path, or ./a/b for one relative to the blueprint",
        ),
        (
            "healthcheck: {test: x, interval: -5}",
            "a duration cannot be negative: `-5`",
        ),
        (
            "healthcheck: {test: x, retries: -3}",
            "the number of retries cannot be negative: `-3`",
        ),
        (
            "networking_config: {EndpointsConfig: {n: {links: [web]}}}",
            "container `web` cannot use itself in `links`",
        ),
        (
            "host_config: {links: {web: alias}}",
            "container `web` cannot use itself in `links`",
        ),
        (
            "host_config: {network_mode: 'container:web'}",
            "cannot use itself in `network_mode`",
        ),
        (
            "host_config: {port_bindings: {80-82: 8080-8081}}",
            "3 container ports cannot be bound to `8080-8081`",
        ),
        (
            "host_config: {port_bindings: {80-82: 8080}}",
            "use a range of 3 host ports",
        ),
        (
            "host_config: {port_bindings: {80: 90-80}}",
            "must be a port from 0 to 65535, or a range",
        ),
        (
            "host_config: {cpu_shares: 2k}",
            "`host_config.cpu_shares` must be an integer",
        ),
    ] {
        container_errors(params)
            .exits_with(3)
            .stderr_contains(&["blueprint.yaml:", message]);
    }
    for params in [
        "host_config: {mounts: [{Type: image, Source: x, Target: /x}]}",
        "stop_signal: SIGRTMIN+3, working_dir: /app, healthcheck: {test: x, interval: 0}",
        "stop_signal: 9, healthcheck: {test: x, interval: 30s, timeout: 1000000}",
        "volumes: [/b], host_config: {binds: ['/c:/b']}",
        "host_config: {port_bindings: {80-82: 8080-8082, 90: 9000-9009, 100-101: null}}",
        "host_config: {links: {other: web}}",
    ] {
        container_errors(params).exits_with(0);
    }
}

#[test]
fn nodes_that_need_the_same_host_port_are_named() {
    let test = Test::in_memory("rivals");
    let validate = |ports: [&str; 2]| {
        let node = |name: &str, ports: &str| {
            format!(
                "  {name}: {{type: cloudify.docker.Container, properties: {{name: the-{name}, image: {{repository: i}}}}, interfaces: {{cloudify.interfaces.lifecycle: {{create: {{inputs: {{params: {{host_config: {{port_bindings: {{{ports}}}}}}}}}}}}}}}}}\n"
            )
        };
        let [one, two] = ports;
        test.blueprint(&format!(
            "node_templates:\n{}{}",
            node("a", one),
            node("b", two)
        ));
        test.run(&["validate"]).exits_with(0)
    };
    validate(["80: 8080", "90: 8080"]).stderr_contains(&[
        "warning[D0109]: nodes `a` and `b` need host port 8080 at the same time",
        "unless one ends before the other starts",
    ]);
    for others in [
        ["80: 8080", "80: 8081"],
        ["80: 8080", "80/udp: 8080"],
        ["80: [127.0.0.1, 8080]", "80: [127.0.0.2, 8080]"],
        ["80: 8080-8089", "80: 8080-8089"],
    ] {
        let run = validate(others);
        assert!(!run.stderr.contains("D0109"), "{}", run.stderr);
    }
}

#[test]
fn volumes_of_relationships_are_mounted_once() {
    let test = Test::in_memory("mounts");
    let validate = |params: &str, targets: [&str; 2]| {
        let mounts = targets.map(|target| {
            format!("{{type: dockctl.relationships.mounts, target: v, properties: {{target: {target}}}}}")
        });
        test.blueprint(&format!(
            "  - plugin:dockctl
node_templates:
  v: {{type: dockctl.nodes.Volume, properties: {{name: data}}}}
  web:
    type: cloudify.docker.Container
    properties: {{name: web, image: {{repository: i}}}}
    interfaces: {{cloudify.interfaces.lifecycle: {{create: {{inputs: {{params: {{{params}}}}}}}}}}}
    relationships: [{}]
",
            mounts.join(", ")
        ));
        test.run(&["validate"])
    };
    validate("", ["/a", "/b"]).exits_with(0);
    validate("host_config: {binds: ['/x:/c']}", ["/a", "/b"]).exits_with(0);
    validate("", ["/a", "/a/"])
        .exits_with(3)
        .stderr_contains(&["`/a` in the container is mounted twice: v and v"]);
    validate("host_config: {binds: ['/x:/b']}", ["/a", "/b"])
        .exits_with(3)
        .stderr_contains(&["`/b` in the container is mounted twice: /x and v"]);
    validate("", ["/", "b"]).exits_with(3).stderr_contains(&[
        "nothing can be mounted at `/` in the container",
        "`b` is not an absolute path in the container",
    ]);
}

#[test]
fn paths_relative_to_the_blueprint_need_a_local_engine() {
    let test = Test::in_memory("relative");
    let validate = |address: &str| {
        test.blueprint(&format!(
            "node_templates:
  web:
    type: cloudify.docker.Container
    properties: {{name: web, image: {{repository: i}}}}
    interfaces:
      cloudify.interfaces.lifecycle:
        create:
          inputs:
            daemon_client: {{base_url: '{address}'}}
            params: {{host_config: {{binds: ['./a:/b']}}}}
"
        ));
        test.run(&["validate"])
    };
    validate("unix:///run/x.sock").exits_with(0);
    validate("tcp://engine:2376")
        .exits_with(3)
        .stderr_contains(&["the host path `./a` is relative to the blueprint"]);
}

#[test]
fn addresses_that_no_container_can_have_are_refused() {
    let test = Test::in_memory("addresses");
    let validate = |params: &str, address: &str| {
        test.blueprint(&format!(
            "  - plugin:dockctl
node_templates:
  net: {{type: dockctl.nodes.Network, properties: {{name: net, subnet: 10.7.0.0/24}}}}
  web:
    type: cloudify.docker.Container
    properties: {{name: web, image: {{repository: i}}}}
    interfaces: {{cloudify.interfaces.lifecycle: {{create: {{inputs: {{params: {{{params}}}}}}}}}}}
    relationships: [{{type: dockctl.relationships.attached_to_network, target: net, properties: {{{address}}}}}]
"
        ));
        test.run(&["validate"])
    };
    let refused = |params: &str, address: &str, message: &str| {
        validate(params, address)
            .exits_with(3)
            .stderr_contains(&[message]);
    };
    refused(
        "",
        "ipv4_address: 10.7.0.300",
        "`10.7.0.300` is not an IPv4 address",
    );
    refused(
        "",
        "ipv6_address: 10.7.0.3",
        "`10.7.0.3` is not an IPv6 address",
    );
    let itself = "container `web` cannot use itself in `links`";
    refused("", "links: ['web:x']", itself);
    let outside = "node `web` cannot have the address 10.8.0.3 on network `net`: it is not in the subnet 10.7.0.0/24";
    refused("", "ipv4_address: 10.8.0.3", outside);
    refused(
        "",
        "ipv4_address: 10.7.0.1",
        "it is the address of the gateway",
    );
    refused(
        "",
        "ipv4_address: 10.7.0.255",
        "the last address of the subnet",
    );
    let listed =
        "networking_config: {EndpointsConfig: {net: {IPAMConfig: {IPv4Address: 10.8.0.3}}}}";
    refused(listed, "", outside);
    let elsewhere = "networking_config: {EndpointsConfig: {other: {ipv4_address: 10.8.0.3}}}";
    validate(elsewhere, "ipv4_address: 10.7.0.3").exits_with(0);
}

#[test]
fn nodes_with_a_fixed_port_or_address_have_one_instance() {
    let test = Test::in_memory("single");
    let validate = |count: u32, params: &str, address: &str| {
        test.blueprint(&format!(
            "  - plugin:dockctl
inputs: {{count: {{default: {count}}}}}
node_templates:
  net: {{type: dockctl.nodes.Network, properties: {{name: net, subnet: 10.7.0.0/24}}}}
  web:
    type: cloudify.docker.Container
    instances: {{deploy: {count}}}
    properties: {{name: web, image: {{repository: i}}}}
    interfaces: {{cloudify.interfaces.lifecycle: {{create: {{inputs: {{params: {{{params}}}}}}}}}}}
    relationships: [{{type: dockctl.relationships.attached_to_network, target: net, properties: {{{address}}}}}]
"
        ));
        test.run(&["validate"])
    };
    let port = "host_config: {port_bindings: {80: 8080}}";
    let message = "node `web` has 2 instances, but only one object can have";
    validate(2, port, "")
        .exits_with(3)
        .stderr_contains(&["D0109", message, "host port 8080"]);
    // The same before anything begins.
    test.run(&["plan"])
        .exits_with(3)
        .stderr_contains(&[message]);
    test.run(&["install"])
        .exits_with(3)
        .stderr_contains(&[message]);
    validate(2, "", "ipv4_address: 10.7.0.9")
        .exits_with(3)
        .stderr_contains(&[message, "address 10.7.0.9"]);
    validate(1, port, "ipv4_address: 10.7.0.9").exits_with(0);
    validate(2, "host_config: {port_bindings: {80: 8080-8089}}", "").exits_with(0);
    validate(2, "host_config: {port_bindings: {80: 8080-8080}}", "").exits_with(3);
}

#[test]
fn overlapping_subnets_and_cycles_of_references_are_refused() {
    let test = Test::in_memory("overlap");
    let networks = |one: &str, two: &str| {
        test.blueprint(&format!(
            "imports:
  - http://www.getcloudify.org/spec/cloudify/3.3.1/types.yaml
  - plugin:dockctl
node_templates:
  one: {{type: dockctl.nodes.Network, properties: {{name: one, {one}}}}}
  two: {{type: dockctl.nodes.Network, properties: {{name: two, {two}}}}}
"
        ));
        test.run(&["validate"])
    };
    networks("subnet: 10.7.0.0/24", "subnet: 10.7.0.128/25")
        .exits_with(3)
        .stderr_contains(&[
            "the subnet 10.7.0.128/25 of network `two` overlaps with 10.7.0.0/24 of network `one`",
        ]);
    networks("subnet: 10.7.0.0/24", "subnet: 10.7.1.0/24").exits_with(0);
    let containers = |a: &str, b: &str| {
        let node = |name: &str, host: &str| {
            format!(
                "  {name}: {{type: cloudify.docker.Container, properties: {{name: of-{name}, image: {{repository: i}}}}, interfaces: {{cloudify.interfaces.lifecycle: {{create: {{inputs: {{params: {{host_config: {{{host}}}}}}}}}}}}}}}\n"
            )
        };
        test.blueprint(&format!(
            "node_templates:\n{}{}",
            node("a", a),
            node("b", b)
        ));
        test.run(&["validate"])
    };
    containers("network_mode: 'container:of-b'", "links: ['of-a:x']")
        .exits_with(3)
        .stderr_contains(&["D0128", "nodes refer to each other in a cycle: a → b → a"]);
    containers("network_mode: 'container:of-b'", "").exits_with(0);
}

#[test]
fn instances_with_the_name_of_another_node_are_refused() {
    let test = Test::in_memory("numbered");
    let validate = |count: u32, name: &str| {
        test.blueprint(&format!(
            "node_templates:
  web: {{type: cloudify.docker.Container, instances: {{deploy: {count}}}, properties: {{name: web, image: {{repository: i}}}}}}
  other: {{type: cloudify.docker.Container, properties: {{name: {name}, image: {{repository: i}}}}}}
"
        ));
        test.run(&["validate"])
    };
    validate(2, "web-1").exits_with(3).stderr_contains(&[
        "D0106",
        "instance 1 of node `web` is called `web-1`, like node `other`",
    ]);
    validate(2, "web-2").exits_with(0);
    validate(1, "web-1").exits_with(0);
}

#[test]
fn subnets_and_gateways_are_checked() {
    for (network, message) in [
        ("subnet: 10.370.1.0/24", "`10.370.1.0/24` is not a subnet"),
        ("subnet: 10.3.1.0/33", "is not a subnet"),
        ("subnet: 10.3.1.0", "is not a subnet"),
        (
            "subnet: 10.3.1.0/24, gateway: 10.3.1",
            "`10.3.1` is not an address",
        ),
        (
            "ipam: {config: [{subnet: fd00::/129}]}",
            "`fd00::/129` is not a subnet",
        ),
    ] {
        let blueprint = format!(
            "  - plugin:dockctl\nnode_templates:\n  net: {{type: dockctl.nodes.Network, properties: {{name: net, {network}}}}}\n"
        );
        let test = Test::in_memory("subnets");
        test.blueprint(&blueprint);
        test.run(&["validate"])
            .exits_with(3)
            .stderr_contains(&["blueprint.yaml:", message]);
    }
}

#[test]
fn long_type_chains_and_many_errors_are_handled() {
    let test = Test::in_memory("long");
    let types: String = (1..2000)
        .map(|n| format!("  t{n}: {{derived_from: t{}}}\n", n - 1))
        .collect();
    let faults: String = (0..2000).map(|n| format!("      p{n}: 1\n")).collect();
    test.blueprint(&format!("node_types:\n  t0: {{}}\n{types}node_templates:\n  a:\n    type: t1999\n    properties:\n{faults}"));
    let run = test.run(&["validate"]).exits_with(3);
    assert_eq!(run.stderr.matches("error[D0034]").count(), 2000);
}

#[test]
fn older_catalog_editions_are_replaced_by_bundled_ones() {
    let test = Test::in_memory("older");
    let text = "tosca_definitions_version: cloudify_dsl_1_0
imports:
  - http://www.getcloudify.org/spec/cloudify/3.1/types.yaml
  - http://www.getcloudify.org/spec/docker-plugin/1.1/plugin.yaml
node_templates:
  web: {type: cloudify.docker.Container, properties: {image: {repository: busybox}}}
";
    test.write("blueprint.yaml", text);
    test.run(&["validate"]).exits_with(0).stderr_contains(&[
        "cloudify/3.1/types.yaml` is not bundled; edition 3.2.1 is used instead",
    ]);
}

/// Returns a blueprint with containers `a` and `b`, given their operations and relationships.
fn two_containers(a: &str, b: &str, relationships_of_a: &str, ties_of_b: &str) -> String {
    let node = |name: &str, inputs: &str, relationships: &str| {
        format!(
            "  {name}:\n    type: cloudify.docker.Container\n    properties: {{name: n-{name}, image: {{repository: i}}}}\n    interfaces: {{cloudify.interfaces.lifecycle: {{{inputs}}}}}\n    relationships: [{relationships}]\n"
        )
    };
    format!(
        "node_templates:\n{}{}",
        node("b", b, ties_of_b),
        node("a", a, relationships_of_a)
    )
}

fn validate_two(test: &Test, a: &str, b: &str, relationships_of_a: &str, ties_of_b: &str) -> Run {
    test.blueprint(&two_containers(a, b, relationships_of_a, ties_of_b));
    test.run(&["validate"])
}

fn connected_to(target: &str) -> String {
    format!("{{type: cloudify.relationships.connected_to, target: {target}}}")
}

/// Returns a `create` operation with additional parameters.
fn create(parameters: &str) -> String {
    format!("create: {{inputs: {{params: {{command: x{parameters}}}}}}}")
}

#[test]
fn attributes_are_read_only_from_earlier_nodes() {
    let test = Test::in_memory("early");
    let validate = |a: &str, b: &str, relationships_of_a: &str, ties_of_b: &str| {
        validate_two(&test, a, b, relationships_of_a, ties_of_b)
    };
    let create_reading = |node: &str| {
        create(&format!(
            ", environment: {{A: {{concat: [x, {{get_attribute: [{node}, ip]}}]}}}}"
        ))
    };
    let plain = create("");
    // Cases: no order; a relationship orders them; the node that is read depends on its reader;
    // both read each other.
    let unordered = validate(&plain, &create_reading("a"), "", "").exits_with(0);
    assert!(
        unordered.stderr.contains("warning[D0122]: node `b`, create: reads `ip` of `a`, but no relationship starts `a` first"),
        "{}",
        unordered.stderr
    );
    assert_eq!(
        validate(&plain, &create_reading("a"), "", &connected_to("a"))
            .exits_with(0)
            .stderr,
        ""
    );
    let early = validate(&plain, &create_reading("a"), &connected_to("b"), "").exits_with(3);
    assert!(
        early
            .stderr
            .contains("error[D0121]: node `b`, create: reads `ip` of `a`, which starts after `b`"),
        "{}",
        early.stderr
    );
    validate(&create_reading("b"), &create_reading("a"), "", "")
        .exits_with(3)
        .stderr_contains(&["error[D0121]", "warning[D0122]"]);
    assert_eq!(
        validate(&create_reading("a"), &plain, "", "")
            .exits_with(0)
            .stderr,
        "",
        "a node reads its own attribute"
    );
    // References by container name order them too.
    let shares_network = create(", host_config: {network_mode: 'container:n-b'}");
    validate(&shares_network, &create_reading("a"), "", "")
        .exits_with(3)
        .stderr_contains(&["error[D0121]"]);
    expect_other_operations_checked(&test, &plain);
}

/// Asserts that `start` is checked like `create`, that `poststart` gets a warning, and that `stop`,
/// which runs after both nodes started, gets none.
fn expect_other_operations_checked(test: &Test, plain: &str) {
    let validate = |b: &str| validate_two(test, plain, b, &connected_to("b"), "");
    let reading_in = |operation: &str| {
        format!("{plain}, {operation}: {{inputs: {{params: {{x: {{get_attribute: [a, ip]}}}}}}}}")
    };
    validate(&reading_in("start").replace("x: {", "binds: {"))
        .exits_with(3)
        .stderr_contains(&["error[D0121]: node `b`, start"]);
    let later = format!(
        "{plain}, poststart: {{implementation: docker.docker_plugin.tasks.stop, inputs: {{params: {{timeout: {{get_attribute: [a, time]}}}}}}}}"
    );
    let warned = validate(&later).exits_with(0);
    assert!(
        warned
            .stderr
            .contains("warning[D0121]: node `b`, poststart"),
        "{}",
        warned.stderr
    );
    let stops =
        format!("{plain}, stop: {{inputs: {{params: {{timeout: {{get_attribute: [a, time]}}}}}}}}");
    assert_eq!(validate(&stops).exits_with(0).stderr, "");
}
