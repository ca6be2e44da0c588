//! Parts of a request that only some versions of the engine's API support: they take effect, or are
//! refused before anything begins.

use crate::support::{Run, Test, api_minor, docker, is_podman};
use serde_json::Value as Json;

/// Writes a blueprint with a container, and networks that it is attached to.
fn blueprint(test: &Test, params: &str, networks: &[(&str, &str)]) {
    let attached = networks.iter().map(|(name, properties)| {
        format!("{{type: dockctl.relationships.attached_to_network, target: {name}, properties: {{{properties}}}}}")
    });
    let attached: Vec<String> = attached.collect();
    let declared = networks.iter().map(|(name, _)| {
        format!("  {name}: {{type: dockctl.nodes.Network, properties: {{name: PREFIX-{name}}}}}\n")
    });
    test.write(
        "blueprint.yaml",
        &format!(
            "tosca_definitions_version: cloudify_dsl_1_3
imports:
  - cloudify/types/types.yaml
  - plugin:cloudify-docker-plugin?version=1.3.2
  - plugin:dockctl
node_templates:
  web:
    type: cloudify.docker.Container
    properties: {{name: PREFIX-web, image: {{src: TARBALL, repository: PREFIX, tag: '1'}}}}
    interfaces:
      cloudify.interfaces.lifecycle:
        create: {{inputs: {{params: {{command: sleep 1000, {params}}}}}}}
        stop: {{inputs: {{params: {{timeout: 0}}}}}}
    relationships: [{}]
{}outputs:
  address: {{value: {{get_attribute: [web, network_settings, IPAddress]}}}}
",
            attached.join(", "),
            declared.collect::<String>()
        ),
    );
}

/// Asserts that nothing began, and that plan and install give the reason.
#[track_caller]
fn assert_refused(test: &Test, reason: &str) {
    test.run(&["plan"]).stdout_or_stderr_contains(reason);
    test.run(&["install"])
        .exits_with(3)
        .stderr_contains(&[reason]);
    assert!(test.containers().is_empty());
}

impl Run {
    #[track_caller]
    fn stdout_or_stderr_contains(self, text: &str) {
        let all = format!("{}{}", self.stdout, self.stderr);
        assert!(all.contains(text), "`{text}` is not in:\n{all}");
    }
}

#[track_caller]
fn assert_installs(test: &Test) -> Run {
    let run = test.run(&["install"]).exits_with(0);
    test.run(&["plan", "--exit-code"]).exits_with(0);
    run
}

fn supports(minor: u32) -> bool {
    api_minor() >= minor
}

#[test]
fn kernel_memory_is_refused_where_it_has_no_effect() {
    let test = Test::new("kernel");
    blueprint(&test, "host_config: {kernel_memory: 64m}", &[]);
    if supports(42) {
        assert_refused(
            &test,
            "`host_config.kernel_memory` has no effect since engine API 1.42",
        );
    } else {
        assert_installs(&test);
        assert_eq!(
            test.inspect("web", "{{.HostConfig.KernelMemory}}"),
            "67108864"
        );
    }
}

#[test]
fn mac_address_on_a_second_network_takes_effect() {
    let test = Test::new("mac");
    let networks = [("front", ""), ("back", "mac_address: '02:42:ac:11:22:33'")];
    blueprint(&test, "", &networks);
    if !supports(44) {
        assert_refused(&test, "`mac_address` requires engine API 1.44");
        return;
    }
    assert_installs(&test);
    let address = |network: &str| {
        let networks = "(index .NetworkSettings.Networks";
        test.inspect(
            "web",
            &format!("{{{{{networks} \"{}\").MacAddress}}}}", test.name(network)),
        )
    };
    assert_eq!(address("back"), "02:42:ac:11:22:33");
    assert_ne!(address("front"), "02:42:ac:11:22:33");
    // Engines before API 1.54 ignore the address when they connect a container.
    docker(&[
        "network",
        "disconnect",
        &test.name("back"),
        &test.name("web"),
    ]);
    let connected = test.run(&["install"]);
    if is_podman() {
        connected.exits_with(0);
    } else {
        connected
            .exits_with(1)
            .stderr_contains(&["the engine would ignore `mac_address`", "dockctl heal"]);
        docker(&["rm", "-f", &test.name("web")]);
        test.run(&["heal"]).exits_with(0);
    }
    assert_eq!(address("back"), "02:42:ac:11:22:33");
}

/// Engines attach a container only to the networks in the request, if it has any.
#[test]
fn network_of_the_mode_stays_beside_that_of_a_relationship() {
    let test = Test::new("modes");
    let params = "host_config: {network_mode: bridge}, mac_address: '02:42:ac:11:44:55'";
    blueprint(&test, params, &[("back", "")]);
    assert_installs(&test);
    let networks = test.inspect("web", "{{json .NetworkSettings.Networks}}");
    let networks: Json = serde_json::from_str(&networks).unwrap();
    assert_eq!(networks.as_object().unwrap().len(), 2, "{networks}");
    let back = networks[test.name("back")]["MacAddress"].to_string();
    let others = networks.to_string().matches("02:42:ac:11:44:55").count();
    assert_eq!((back.contains("44:55"), others), (false, 1), "{networks}");
}

#[test]
fn setting_of_the_first_interface_takes_effect() {
    let test = Test::new("sysctl");
    let params =
        "host_config: {sysctls: {net.ipv4.conf.eth0.log_martians: '1', net.ipv4.ip_forward: '0'}}";
    blueprint(&test, params, &[("front", "")]);
    assert_installs(&test);
    let read = |path: &str| docker(&["exec", &test.name("web"), "cat", path]);
    assert_eq!(read("/proc/sys/net/ipv4/conf/eth0/log_martians"), "1");
    assert_eq!(read("/proc/sys/net/ipv4/ip_forward"), "0");
}

#[test]
fn gateway_priority_takes_effect() {
    let test = Test::new("gateway");
    let networks = [("aaa", ""), ("zzz", "gw_priority: 5")];
    blueprint(&test, "", &networks);
    if !supports(48) || is_podman() {
        assert_refused(&test, "`gw_priority` requires engine API 1.48");
        return;
    }
    assert_installs(&test);
    let gateway = docker(&[
        "network",
        "inspect",
        "--format",
        "{{(index .IPAM.Config 0).Gateway}}",
        &test.name("zzz"),
    ]);
    // The route is in hexadecimal digits, lowest byte first.
    let hex: String = gateway
        .split('.')
        .rev()
        .map(|it| format!("{:02X}", it.parse::<u8>().unwrap()))
        .collect();
    let routes = docker(&["exec", &test.name("web"), "cat", "/proc/net/route"]);
    assert!(
        routes.contains(&format!("00000000\t{hex}")),
        "{hex}:\n{routes}"
    );
}

#[test]
fn image_is_mounted() {
    let test = Test::new("mounted");
    let image = test.import_image();
    let mount = format!(
        "{{type: image, source: '{image}', target: /mounted, ImageOptions: {{Subpath: bin}}}}"
    );
    blueprint(&test, &format!("host_config: {{mounts: [{mount}]}}"), &[]);
    if !supports(48) {
        assert_refused(
            &test,
            "`HostConfig.Mounts.ImageOptions` requires engine API 1.48",
        );
        return;
    }
    assert_installs(&test);
    docker(&["exec", &test.name("web"), "test", "-e", "/mounted/busybox"]);
}

#[test]
fn name_of_the_image_is_shown_and_its_id_is_in_a_label() {
    let test = Test::new("named");
    blueprint(&test, "", &[]);
    assert_installs(&test);
    let name = format!("{}:1", test.prefix);
    let shown = |format: &str| {
        let filter = format!("name=^{}$", test.name("web"));
        docker(&["ps", "--filter", &filter, "--format", format])
    };
    let full = shown("{{.Image}}");
    assert!(full.ends_with(&name), "{full}");
    let id = docker(&["image", "inspect", "--format", "{{.Id}}", &name]);
    assert_eq!(
        test.inspect("web", "{{index .Config.Labels \"dockctl.image\"}}"),
        id
    );
    // Another image with the name is no reason to replace the container.
    test.import_image();
    docker(&["tag", &format!("{}:latest", test.prefix), &name]);
    test.run(&["plan", "--exit-code"]).exits_with(0);
    docker(&["rmi", "-f", &name]);
}

#[test]
fn address_of_the_container_is_an_attribute() {
    let test = Test::new("address");
    blueprint(&test, "", &[]);
    assert_installs(&test);
    let outputs: Json = test
        .run(&["outputs", "--format", "json"])
        .exits_with(0)
        .json();
    let address = outputs["address"].as_str().unwrap_or_default();
    assert!(address.parse::<std::net::IpAddr>().is_ok(), "{outputs}");
}

#[test]
fn adopted_container_on_the_network_of_the_machine_keeps_its_host_name() {
    let test = Test::new("hostnet");
    let image = test.import_image();
    let name = test.name("web");
    docker(&[
        "run",
        "-d",
        "--name",
        &name,
        "--network",
        "host",
        &image,
        "sleep",
        "1000",
    ]);
    let host_name = || docker(&["exec", &test.name("web"), "hostname"]);
    let before = host_name();
    let adopted = test.run(&["adopt", &name]).exits_with(0);
    // The deployment takes the container over, and replaces it.
    let owned = adopted.stdout.replace(
        "use_external_resource: true",
        "use_external_resource: false",
    );
    std::fs::write(test.path("blueprint.yaml"), owned).unwrap();
    docker(&["rm", "-f", &name]);
    test.run(&["install"]).exits_with(0);
    assert_eq!(host_name(), before);
    assert_ne!(before, name);
}
