//! `dockctl.literal`: values that look like functions but are data.

use crate::support::Test;
use serde_json::json;

const BLUEPRINT: &str = "
tosca_definitions_version: cloudify_dsl_1_3
imports: [cloudify/types/types.yaml, 'plugin:cloudify-docker-plugin?version=1.3.2', plugin:dockctl]
node_templates:
  net:
    type: dockctl.nodes.Network
    properties: { name: PREFIX-net, labels: { dockctl.literal: { get_input: y } } }
  web:
    type: cloudify.docker.Container
    properties: { name: PREFIX-web, image: IMAGE }
    interfaces:
      cloudify.interfaces.lifecycle:
        create:
          inputs:
            params:
              command: sleep 1000
              environment: { dockctl.literal: { get_secret: x } }
              labels: { dockctl.literal: { dockctl.literal: z } }
        stop: { inputs: { params: { timeout: 0 } } }
outputs:
  data: { value: { dockctl.literal: { get_secret: { get_input: x }, type: a } } }
";

#[test]
fn literal_values_reach_the_engine_unchanged() {
    let test = Test::in_memory("literals");
    let image = format!("{{ repository: {} }}", test.import_image());
    test.write("blueprint.yaml", &BLUEPRINT.replace("IMAGE", &image));
    test.run(&["install"]).exits_with(0);
    let environment = test.inspect("web", "{{json .Config.Env}}");
    assert!(environment.contains("\"get_secret=x\""), "{environment}");
    let label = test.inspect("web", "{{index .Config.Labels \"dockctl.literal\"}}");
    assert_eq!(label, "z");
    let net = test.name("net");
    let label = test.docker(&["network", "inspect", &net, "-f", "{{.Labels.get_input}}"]);
    assert_eq!(label, "y");
    let outputs = test
        .run(&["outputs", "--output", "json"])
        .exits_with(0)
        .json();
    assert_eq!(
        outputs["outputs"]["data"],
        json!({ "get_secret": { "get_input": "x" }, "type": "a" })
    );
    // The journal returns the same values.
    let again = test.run(&["install"]).exits_with(0);
    assert!(again.stdout.contains("up to date"), "{}", again.stdout);
    test.run(&["uninstall", "--yes"]).exits_with(0);
}

#[test]
fn literals_shown_by_inspect_can_be_parsed_again() {
    let test = Test::in_memory("marked");
    let blueprint = test.write(
        "blueprint.yaml",
        &BLUEPRINT.replace("IMAGE", "{ repository: i }"),
    );
    let shown = test
        .run(&["inspect", "--output", "json"])
        .exits_with(0)
        .json();
    let data = &shown["plan"]["outputs"]["data"]["value"];
    assert_eq!(
        *data,
        json!({ "dockctl.literal": {
            "get_secret": { "dockctl.literal": { "get_input": "x" } }, "type": "a",
        } })
    );
    let text = std::fs::read_to_string(&blueprint).unwrap();
    let source_text = "{ dockctl.literal: { get_secret: { get_input: x }, type: a } }";
    assert!(text.contains(source_text));
    test.write(
        "blueprint.yaml",
        &text.replace(source_text, &data.to_string()),
    );
    let again = test
        .run(&["inspect", "--output", "json"])
        .exits_with(0)
        .json();
    assert_eq!(again["plan"]["outputs"]["data"]["value"], *data);
}

#[test]
fn simulated_plugin_is_refused_like_any_unknown_plugin() {
    let test = Test::in_memory("simulated");
    test.write(
        "blueprint.yaml",
        "
tosca_definitions_version: cloudify_dsl_1_3
imports: [cloudify/types/types.yaml]
plugins: { dockctl-simulated: { executor: central_deployment_agent, install: false } }
node_templates:
  a:
    type: cloudify.nodes.Root
    interfaces: { cloudify.interfaces.lifecycle: { create: dockctl-simulated.create } }
",
    );
    test.run(&["install"])
        .exits_with(3)
        .stderr_contains(&["uses the plugin `dockctl-simulated`, which dockctl does not support"]);
}
