//! `dockctl validate`.

use crate::support::Test;
use serde_json::json;

/// Writes a blueprint with errors in its own file and in an imported file.
fn write_invalid_blueprint(test: &Test) {
    test.write(
        "types.yaml",
        "node_types:
  app:
    derived_from: cloudify.nodes.Rot
    properties:
      port: {type: integer, default: eighty}
      tls: {type: tls, required: false}
data_types:
  tls:
    properties:
      key: {type: string}
      inner: {type: tls}
plugins:
  shell: {executor: local, install: false}
",
    );
    test.write(
        "blueprint.yaml",
        "tosca_definitions_version: cloudify_dsl_1_3
imports:
  - cloudify/types/types.yaml
  - types.yaml
inputs:
  count: {type: integer, default: 3, constraints: [{less_than: 3}, {in_rage: [1, 2]}]}
  kind: {type: node_id}
node_types:
  app: {}
node_templates:
  web:
    type: app
    instances: {deploy: 2}
    capabilities: {scalable: {properties: {default_instances: 2}}}
    interfaces:
      lifecycle: {create: {implementation: shel.run, max_retries: -3}}
groups:
  web: {members: [web, wbe]}
policies:
  scale: {type: cloudify.policies.scaling, targets: [wob]}
outputs:
  name: {value: {concat: {get_property: [web, nme]}}}
  parts: {value: {string_split: [a]}}
",
    );
}

#[test]
fn errors_in_several_files_are_shown_with_their_locations() {
    let test = Test::in_memory("several");
    write_invalid_blueprint(&test);
    insta::assert_snapshot!(
        "faults_in_several_files",
        test.run(&["validate", "--offline"]).exits_with(3).stderr
    );
}

#[test]
fn errors_are_written_as_github_annotations() {
    let test = Test::in_memory("github");
    write_invalid_blueprint(&test);
    let run = test
        .run(&["validate", "--offline", "--output", "github"])
        .exits_with(3);
    insta::assert_snapshot!("annotations_for_github", run.stdout);
    assert!(
        run.stdout
            .lines()
            .all(|line| line.starts_with("::error file=") && line.contains(",title=D")),
        "one annotation per line"
    );
}

#[test]
fn errors_are_written_as_sarif() {
    let test = Test::in_memory("sarif");
    write_invalid_blueprint(&test);
    let log = test
        .run(&["validate", "--offline", "--output", "sarif"])
        .exits_with(3)
        .json();
    assert_eq!(log["version"], "2.1.0");
    let results = log["runs"][0]["results"].as_array().unwrap();
    let rules: Vec<_> = log["runs"][0]["tool"]["driver"]["rules"]
        .as_array()
        .unwrap()
        .iter()
        .map(|rule| &rule["id"])
        .collect();
    assert!(
        results
            .iter()
            .all(|result| rules.contains(&&result["ruleId"])),
        "each result has a rule"
    );
    let name_conflict = results
        .iter()
        .find(|result| result["ruleId"] == "D0013")
        .unwrap();
    assert_eq!(
        name_conflict["locations"][0]["physicalLocation"]["artifactLocation"]["uri"],
        "blueprint.yaml"
    );
    assert_eq!(
        name_conflict["relatedLocations"][0]["physicalLocation"]["artifactLocation"]["uri"],
        "types.yaml"
    );
    let valid = Test::in_memory("valid");
    valid.write(
        "blueprint.yaml",
        "tosca_definitions_version: cloudify_dsl_1_3\n",
    );
    assert_eq!(
        valid
            .run(&["validate", "--output", "sarif"])
            .exits_with(0)
            .json()["runs"][0]["results"],
        json!([])
    );
}

#[test]
fn errors_that_depend_on_inputs_are_warnings_without_inputs() {
    let test = Test::in_memory("soft");
    let text = "tosca_definitions_version: cloudify_dsl_1_3
inputs: {names: {default: 'a,b'}}
outputs: {third: {value: {string_split: [{get_input: names}, ',', 2]}}}
";
    test.write("blueprint.yaml", text);
    test.run(&["validate"]).exits_with(0).stderr_contains(&[
        "warning[D0077]",
        "dockctl would refuse to install this with these inputs",
    ]);
    test.run(&["validate", "--strict"]).exits_with(3);
    test.run(&["validate", "-i", "names=a"])
        .exits_with(3)
        .stderr_contains(&["error[D0077]"]);
    test.run(&["validate", "-i", "names=a,b,c"]).exits_with(0);
}

#[test]
fn start_that_does_nothing_and_misplaced_arguments_are_explained() {
    let test = Test::in_memory("nostart");
    let node = |more: &str| {
        format!(
            "node_templates:\n  web:\n    type: cloudify.docker.Container\n    properties: {{name: PREFIX-web, image: {{src: TARBALL, repository: dockctl-demo}}{more}}}\n    interfaces:\n      cloudify.interfaces.lifecycle:\n        create: {{inputs: {{params: {{command: sleep 1000}}}}}}\n"
        )
    };
    test.blueprint(&format!("{}        start: {{inputs: {{}}}}\n", node("")));
    test.run(&["validate"])
        .exits_with(0)
        .stderr_contains(&["D0127", "never started"]);
    let table = test.run(&["install"]).exits_with(0).stdout.clone();
    assert!(table.contains("  created  "), "{table}");
    let list = test.run(&["list", "--output", "json"]).exits_with(0).json();
    assert_eq!(list["deployments"][0]["started"], 0);
    let status = test
        .run(&["status", "--output", "json"])
        .exits_with(0)
        .json();
    assert_eq!(status["instances"][0]["state"], "created");
    assert_eq!(status["instances"][0]["objects"][0]["state"], "created");
    test.run(&["uninstall"]).exits_with(0);
    let pair = node("").replace("command: sleep 1000", "ports: ['8080:80']");
    test.blueprint(&pair);
    test.run(&["validate"]).exits_with(3).stderr_contains(&[
        "`8080:80` is not a port of a container",
        "port_bindings: {80: 8080}",
    ]);
    test.blueprint(&node(
        ", ports: ['80:80'], params: {}, binds: [], timeout: 3, daemon_client: {}",
    ));
    test.run(&["validate"]).exits_with(3).stderr_contains(&[
        "`ports` is an input of an operation",
        "create: {inputs: {params: {ports: …}}}",
        "`params` is an input of an operation",
        "create: {inputs: {params: {host_config: {binds: …}}}}",
        "stop: {inputs: {params: {timeout: …}}}",
        "create: {inputs: {daemon_client: {…}}}",
    ]);
}

#[test]
fn faults_of_containers_of_the_newer_plugin_are_located() {
    let test = Test::in_memory("newer-plugin");
    test.write("blueprint.yaml", "tosca_definitions_version: cloudify_dsl_1_3\nimports: [cloudify/types/types.yaml, plugin:cloudify-docker-plugin?version=2.0.0]\nnode_templates:\n  web:\n    type: cloudify.nodes.docker.container\n    properties:\n      ports: [80]\n      params: {}\n      resource_config:\n        image_tag: a:b\n        container_args:\n          name: two\n          links: {two: alias}\n");
    test.run(&["validate"]).exits_with(3).stderr_contains(&[
        "{resource_config: {container_args: {ports: …}}}",
        "`params` belongs in the resource configuration",
        "blueprint.yaml:13:18",
        "container `two` cannot use itself in `links`",
    ]);
}

#[test]
fn default_of_an_input_must_have_the_required_properties() {
    let test = Test::in_memory("defaults");
    test.write("blueprint.yaml", "tosca_definitions_version: cloudify_dsl_1_3\nimports: [cloudify/types/types.yaml]\ndata_types:\n  point: {properties: {x: {type: integer}, y: {type: integer, default: 2}}}\ninputs:\n  p: {type: point, default: {y: 1}}\n");
    test.run(&["validate"]).exits_with(3).stderr_contains(&[
        "D0035",
        "the default of input `p` lacks the required property `x`",
    ]);
}
