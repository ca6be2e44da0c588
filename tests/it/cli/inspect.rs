//! `dockctl inspect`.

use crate::support::Test;

#[test]
fn resolved_blueprint_is_shown_as_a_tree() {
    let test = Test::in_memory("tree");
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
    insta::assert_snapshot!("tree", test.run(&["inspect"]).exits_with(0).stdout);
    let deployed = ["inspect", "--deploy", "--seed", "1", "-i", "tag=v2"];
    insta::assert_snapshot!(
        "tree_of_a_deployment",
        test.run(&deployed).exits_with(0).stdout
    );
    assert_eq!(
        test.run(&deployed).stdout,
        test.run(&deployed).stdout,
        "a seed makes IDs reproducible"
    );
    test.run(&["inspect", "--deploy", "-i", "tga=v2"])
        .exits_with(3)
        .stderr_contains(&["error[D0081]", "did you mean `tag`?"]);
}
