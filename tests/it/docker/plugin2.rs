//! Container and image types of the Docker plugin 2.x.

use crate::support::Test;
use std::fs;

const HEAD: &str = "tosca_definitions_version: cloudify_dsl_1_3
imports:
  - cloudify/types/types.yaml
  - plugin:cloudify-docker-plugin
node_templates:
";

fn write(test: &Test, nodes: &str) {
    test.import_image();
    test.write("blueprint.yaml", &format!("{HEAD}{nodes}"));
}

#[test]
fn detached_container_keeps_running_and_a_job_is_awaited() {
    let test = Test::new("run");
    write(
        &test,
        "  web:
    type: cloudify.nodes.docker.container
    properties:
      resource_config:
        image_tag: 'PREFIX:latest'
        container_args:
          name: PREFIX-web
          command: sleep 1000
          detach: true
          environment: {A: 1}
          host_config: {restart_policy: {Name: 'no'}}
          volumes: [/data]
          volumes_mapping: [/tmp]
    interfaces:
      cloudify.interfaces.lifecycle:
        stop: {inputs: {stop_command: sh -c 'echo stopped >/data/PREFIX'}}
  job:
    type: cloudify.nodes.docker.container
    properties:
      resource_config:
        image_tag: 'PREFIX:latest'
        container_args: {name: PREFIX-job, command: \"sh -c 'echo result; exit 4'\"}
outputs:
  result: {value: {get_attribute: [job, run_result]}}
  code: {value: {get_attribute: [job, exit_code]}}
  id: {value: {get_attribute: [web, container]}}
",
    );
    test.run(&["install"]).exits_with(0);
    assert_eq!(
        test.containers(),
        ["PREFIX-job exited", "PREFIX-web running"]
    );
    assert_eq!(
        test.inspect("web", "{{json .HostConfig.Binds}} {{index .Config.Env 0}}"),
        r#"["/tmp:/data"] A=1"#
    );
    let outputs = test
        .run(&["outputs", "--output", "json"])
        .exits_with(0)
        .json();
    assert_eq!(
        (
            outputs["outputs"]["result"].as_str(),
            outputs["outputs"]["code"].as_i64()
        ),
        (Some("result\n"), Some(4))
    );
    assert_eq!(outputs["outputs"]["id"], test.inspect("web", "{{.Id}}"));
    // A job that ended is not drift, and a second install has nothing to do.
    test.run(&["plan", "--exit-code"]).exits_with(0);
    test.run(&["status", "--exit-code"]).exits_with(0);
    test.docker(&["stop", "-t", "0", &test.name("web")]);
    test.run(&["status", "--exit-code"]).exits_with(6);
    test.run(&["install"]).exits_with(0);
    assert_eq!(
        test.containers(),
        ["PREFIX-job exited", "PREFIX-web running"]
    );
    test.run(&["uninstall"]).exits_with(0);
    assert!(test.containers().is_empty());
    let written = fs::read_to_string(format!("/tmp/{}", test.prefix)).unwrap();
    assert_eq!(written, "stopped\n");
    fs::remove_file(format!("/tmp/{}", test.prefix)).unwrap();
}

#[test]
fn image_is_built_from_text_a_file_or_a_directory() {
    let test = Test::new("build");
    fs::create_dir(test.path("app")).unwrap();
    fs::write(test.path("app/page"), "hello").unwrap();
    fs::write(test.path("app/secret.log"), "x").unwrap();
    fs::write(test.path("app/.dockerignore"), "*.log\n").unwrap();
    test.write(
        "app/Dockerfile",
        "FROM PREFIX:latest\nARG WORD\nCOPY . /app\nRUN echo $WORD >/word\n",
    );
    test.write("Plain", "FROM PREFIX:latest\nENV KIND=file\n");
    let image = |name: &str, more: &str| {
        format!(
            "  {name}:\n    type: cloudify.nodes.docker.image\n    properties: {{resource_config: {{tag: 'PREFIX-{name}:1', {more}}}}}\n"
        )
    };
    let nodes = [
        image("text", "image_content: 'FROM PREFIX:latest\\nENV KIND=text'"),
        image("file", "image_content: Plain"),
        image("directory", "context: app, build_args: {WORD: well}"),
        "  web:
    type: cloudify.nodes.docker.container
    properties:
      resource_config: {image_tag: 'PREFIX-directory:1', container_args: {name: PREFIX-web, command: cat /app/page /word}}
    relationships: [{type: cloudify.relationships.depends_on, target: directory}]
outputs: {result: {value: {get_attribute: [web, run_result]}}}
"
        .to_owned(),
    ];
    write(&test, &nodes.concat());
    test.run(&["install"]).exits_with(0);
    let env = |name: &str| {
        test.docker(&[
            "inspect",
            "--format",
            "{{json .Config.Env}}",
            &format!("{}-{name}:1", test.prefix),
        ])
    };
    assert!(env("text").contains("KIND=text") && env("file").contains("KIND=file"));
    let outputs = test
        .run(&["outputs", "--output", "json"])
        .exits_with(0)
        .json();
    assert_eq!(outputs["outputs"]["result"], "hellowell\n");
    test.run(&["plan", "--exit-code"]).exits_with(0);
    test.run(&["uninstall"]).exits_with(0);
    let remaining = test.docker(&[
        "images",
        "--format",
        "{{.Repository}}",
        "--filter",
        &format!("reference={}*", test.prefix),
    ]);
    assert_eq!(
        remaining, test.prefix,
        "the image that existed before is kept"
    );
    test.docker(&[
        "image",
        "prune",
        "-f",
        "--filter",
        &format!("label=dockctl.built-for={}", test.prefix),
    ]);
}

#[test]
fn failed_build_shows_its_last_lines() {
    let test = Test::new("broken");
    let node = "  bad:\n    type: cloudify.nodes.docker.image\n    properties: {resource_config: {tag: 'PREFIX-bad', image_content: \"FROM PREFIX:latest\\nRUN echo compiling && false\"}}\n";
    write(&test, node);
    test.run(&["install"]).exits_with(1).stderr_contains(&[
        "cannot build image",
        "| compiling",
        "returned a non-zero code",
    ]);
    test.run(&["uninstall"]).exits_with(0);
    write(
        &test,
        &node.replace(
            "\"FROM PREFIX:latest\\nRUN echo compiling && false\"",
            "Dockerfile.absent",
        ),
    );
    test.run(&["install"])
        .exits_with(3)
        .stderr_contains(&["/Dockerfile.absent does not exist", "nothing was done"]);
    test.docker(&[
        "image",
        "prune",
        "-f",
        "--filter",
        &format!("label=dockctl.built-for={}", test.prefix),
    ]);
}

#[test]
fn unknown_arguments_are_reported() {
    let test = Test::new("args");
    let validate = |config: &str| {
        test.write(
            "blueprint.yaml",
            &format!("{HEAD}  web: {{type: cloudify.nodes.docker.container, properties: {{resource_config: {{{config}}}}}}}\n"),
        );
        test.run(&["validate"])
    };
    validate("image_tag: x, container_args: {remove: true}")
        .exits_with(3)
        .stderr_contains(&["unknown argument `remove`"]);
    validate("image_tag: x, container_args: {enviroment: {}}")
        .exits_with(3)
        .stderr_contains(&["did you mean `environment`?"]);
    validate("image_tag: x, container_args: {host_config: {PortBindings: {}}}")
        .exits_with(3)
        .stderr_contains(&["unknown argument `PortBindings`"]);
    validate("image_tag: x, container_args: {volumes: [/a]}")
        .exits_with(0)
        .stderr_contains(&["`volumes` has no effect without `volumes_mapping`"]);
    validate("image_tag: x, container_args: {host_config: {port_bindings: {80: 8080}, binds: ['/a:/b']}}")
        .exits_with(0);
    validate("image_tag: x, container_args: {host_config: {port_bindings: {80: 99999}}}")
        .exits_with(3)
        .stderr_contains(&["must be a port from 0 to 65535"]);
    validate("container_args: {}")
        .exits_with(0)
        .stderr_contains(&["it has no `image_tag`"]);
}

#[test]
fn stop_command_of_an_ended_job_runs_in_a_separate_container() {
    let test = Test::new("undo");
    fs::create_dir(test.path("v")).unwrap();
    let directory = test.path("v").display().to_string();
    let node = format!(
        "  job:
    type: cloudify.nodes.docker.container
    properties:
      resource_config:
        image_tag: 'PREFIX:latest'
        container_args: {{name: PREFIX-job, command: 'true', host_config: {{volumes: ['{directory}:/v']}}}}
    interfaces:
      cloudify.interfaces.lifecycle:
        stop: {{inputs: {{stop_command: sh -c 'echo undone >/v/flag'}}}}
"
    );
    write(&test, &node);
    test.run(&["install"]).exits_with(0);
    test.run(&["uninstall"]).exits_with(0);
    assert_eq!(fs::read_to_string(test.path("v/flag")).unwrap(), "undone\n");
    assert!(test.containers().is_empty());
    // A command that cannot be started is reported, and leaves no container behind.
    write(
        &test,
        &node.replace("sh -c 'echo undone >/v/flag'", "no-such-command"),
    );
    test.run(&["install"]).exits_with(0);
    test.run(&["uninstall"]).exits_with(1).stderr_contains(&[
        "running the stop command in a separate container",
        "no-such-command",
    ]);
    assert_eq!(test.containers(), ["PREFIX-job exited"]);
    write(&test, &node);
    test.docker(&["rm", "-f", &test.name("job")]);
    test.run(&["uninstall"]).exits_with(0);
    // A node without `image_tag` has nothing to do, in later commands as well.
    test.write(
        "blueprint.yaml",
        &format!("{HEAD}  web: {{type: cloudify.nodes.docker.container, properties: {{resource_config: {{container_args: {{}}}}}}}}\n"),
    );
    test.run(&["install"]).exits_with(0);
    test.run(&["plan", "--exit-code"]).exits_with(0);
    test.run(&["uninstall"]).exits_with(0);
}
