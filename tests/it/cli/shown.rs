//! What people and other programs see of a blueprint: faults across files, annotations, the tree of
//! `inspect`, explanations.

use crate::support::Test;
use serde_json::json;

/// A blueprint with faults in itself and in what it imports.
fn faulty(test: &Test) {
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
fn faults_in_several_files_are_shown_with_their_places() {
    let test = Test::new("several");
    faulty(&test);
    insta::assert_snapshot!(
        "faults_in_several_files",
        test.run(&["validate", "--offline"]).exits(3).stderr
    );
}

#[test]
fn faults_are_annotations_for_github() {
    let test = Test::new("github");
    faulty(&test);
    let run = test
        .run(&["validate", "--offline", "--output", "github"])
        .exits(3);
    insta::assert_snapshot!("annotations_for_github", run.stdout);
    assert!(
        run.stdout
            .lines()
            .all(|line| line.starts_with("::error file=") && line.contains(",title=D")),
        "one line each"
    );
}

#[test]
fn faults_are_a_sarif_log() {
    let test = Test::new("sarif");
    faulty(&test);
    let log = test
        .run(&["validate", "--offline", "--output", "sarif"])
        .exits(3)
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
        "each result has its rule"
    );
    let twice = results
        .iter()
        .find(|result| result["ruleId"] == "D0013")
        .unwrap();
    assert_eq!(
        twice["locations"][0]["physicalLocation"]["artifactLocation"]["uri"],
        "blueprint.yaml"
    );
    assert_eq!(
        twice["relatedLocations"][0]["physicalLocation"]["artifactLocation"]["uri"],
        "types.yaml"
    );
    let valid = Test::new("valid");
    valid.write(
        "blueprint.yaml",
        "tosca_definitions_version: cloudify_dsl_1_3\n",
    );
    assert_eq!(
        valid
            .run(&["validate", "--output", "sarif"])
            .exits(0)
            .json()["runs"][0]["results"],
        json!([])
    );
}

#[test]
fn what_was_understood_is_a_tree() {
    let test = Test::new("tree");
    test.blueprint(
        "
inputs: {tag: {default: latest, description: tag of the image}}
node_templates:
  db:
    type: cloudify.docker.Container
    instances: {deploy: 2}
    properties: {name: db, image: {repository: busybox, tag: {get_input: tag}}}
  web:
    type: cloudify.docker.Container
    properties: {image: {repository: busybox}}
    interfaces:
      cloudify.interfaces.lifecycle:
        create: {inputs: {params: {command: httpd -f, links: {db: db}}}}
    relationships: [{type: cloudify.relationships.connected_to, target: db}]
outputs:
  where: {value: {get_attribute: [web, ip]}}
",
    );
    insta::assert_snapshot!("tree", test.run(&["inspect"]).exits(0).stdout);
    let deployed = ["inspect", "--deploy", "--seed", "1", "-i", "tag=v2"];
    insta::assert_snapshot!("tree_of_a_deployment", test.run(&deployed).exits(0).stdout);
    assert_eq!(
        test.run(&deployed).stdout,
        test.run(&deployed).stdout,
        "a seed makes ids reproducible"
    );
    test.run(&["inspect", "--deploy", "-i", "tga=v2"])
        .exits(3)
        .says(&["error[D0081]", "did you mean `tag`?"]);
}

#[test]
fn codes_are_explained() {
    let test = Test::new("explain");
    insta::assert_snapshot!(
        "explanation",
        test.run(&["explain", "d0035"]).exits(0).stdout
    );
    let all = test.run(&["explain"]).exits(0).stdout;
    assert!(
        all.lines().count() > 100 && all.lines().all(|line| line.starts_with('D')),
        "{all}"
    );
    let one = test
        .run(&["explain", "D0033", "--output", "json"])
        .exits(0)
        .json();
    assert_eq!(
        one["codes"][0]["reference"],
        json!({ "class": "DSLParsingLogicException", "code": 105 })
    );
    test.run(&["explain", "D9999"])
        .exits(2)
        .says(&["there is no code `D9999`"]);
    test.run(&["list", "--output", "sarif"])
        .exits(2)
        .says(&["goes with `dockctl validate`"]);
}

#[test]
fn what_only_a_deployment_shows_is_a_warning_until_there_are_inputs() {
    let test = Test::new("soft");
    let text = "tosca_definitions_version: cloudify_dsl_1_3
inputs: {names: {default: 'a,b'}}
outputs: {third: {value: {string_split: [{get_input: names}, ',', 2]}}}
";
    test.write("blueprint.yaml", text);
    test.run(&["validate"]).exits(0).says(&[
        "warning[D0077]",
        "a deployment with these inputs would be refused",
    ]);
    test.run(&["validate", "--strict"]).exits(3);
    test.run(&["validate", "-i", "names=a"])
        .exits(3)
        .says(&["error[D0077]"]);
    test.run(&["validate", "-i", "names=a,b,c"]).exits(0);
}
