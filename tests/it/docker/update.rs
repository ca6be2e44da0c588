//! `update`, plans and plan files. Effects on an engine are tested on a real one.

use crate::support::{Test, eventually, free_port};
use serde_json::{Value as Json, json};
use std::fs;

/// Blueprint with three instances of `web` that depend on `db`. `db` is on a network and has an
/// anonymous volume; `aside` is independent.
const BLUEPRINT: &str = "  - plugin:dockctl
inputs:
  port: {default: '80'}
  memory: {default: 67108864}
  key: {default: k1}
metadata: {dockctl: {sensitive: [key]}}
dsl_definitions:
  image: &image {src: TARBALL, repository: dockctl-demo}
node_templates:
  net: {type: dockctl.nodes.Network, properties: {name: PREFIX-net}}
  db:
    type: cloudify.docker.Container
    properties: {name: PREFIX-db, image: *image}
    interfaces:
      cloudify.interfaces.lifecycle:
        create: {inputs: {params: {command: sleep 1000, stop_timeout: 0, volumes: [/data], host_config: {mem_limit: {get_input: memory}}}}}
    relationships: [{type: dockctl.relationships.attached_to_network, target: net}]
  web:
    type: cloudify.docker.Container
    instances: {deploy: 3}
    properties: {name: PREFIX-web, image: *image}
    interfaces:
      cloudify.interfaces.lifecycle:
        create: {inputs: {params: {command: COMMAND, stop_timeout: 0, environment: {PORT: {get_input: port}, KEY: {get_input: key}}}}}
        start: {inputs: {processes_to_wait_for: [sleep], retry_interval: 0.05}}
    relationships: [{type: cloudify.relationships.connected_to, target: db}]
  aside:
    type: cloudify.docker.Container
    properties: {name: PREFIX-aside, image: *image}
    interfaces:
      cloudify.interfaces.lifecycle:
        create: {inputs: {params: {command: sleep 1000, stop_timeout: 0}}}
outputs: {port: {value: {get_input: port}}}
";

fn blueprint(test: &Test, change: impl Fn(String) -> String) {
    let head = "tosca_definitions_version: cloudify_dsl_1_3\nimports:\n  - http://www.getcloudify.org/spec/cloudify/4.5/types.yaml\n  - http://www.getcloudify.org/spec/docker-plugin/1.3.2/plugin.yaml\n";
    let text = change(BLUEPRINT.replace("COMMAND", "sleep 1000"));
    test.write("blueprint.yaml", &format!("{head}{text}"));
}

fn installed(name: &str) -> Test {
    installed_on(Test::in_memory(name))
}

fn installed_on(test: Test) -> Test {
    blueprint(&test, |text| text);
    test.run(&["install"]).exits_with(0);
    test
}

fn ids(test: &Test, names: &[&str]) -> Vec<String> {
    names
        .iter()
        .map(|name| test.inspect(name, "{{.Id}}"))
        .collect()
}

const WEBS: [&str; 3] = ["web", "web-1", "web-2"];

#[test]
fn update_replaces_only_changed_containers() {
    let test = installed_on(Test::new("replaced"));
    let (webs, others) = (ids(&test, &WEBS), ids(&test, &["db", "aside"]));
    let plan = test.run(&["plan", "-i", "port=81"]).exits_with(0).stdout;
    assert_eq!(
        plan.matches("recreate: its definition changed").count(),
        3,
        "{plan}"
    );
    assert!(
        plan.contains("params.environment.PORT: \"80\" → \"81\"") && plan.contains("3 unchanged"),
        "{plan}"
    );
    test.run(&["install", "-i", "port=81"])
        .exits_with(6)
        .stderr_contains(&["to apply them, run: dockctl update"]);
    let run = test
        .run(&["update", "-i", "port=81", "--progress", "plain"])
        .exits_with(0);
    assert!(
        WEBS.iter()
            .all(|name| test.inspect(name, "{{.Config.Env}}").contains("PORT=81"))
    );
    assert!(ids(&test, &WEBS).iter().all(|id| !webs.contains(id)));
    assert_eq!(
        ids(&test, &["db", "aside"]),
        others,
        "containers that do not use the input are not touched"
    );
    assert_eq!(test.containers().len(), 5, "{:?}", test.containers());
    // One after the other: at most one instance is down at a time.
    let at = |text: &str| {
        run.stderr
            .match_indices(text)
            .map(|(at, _)| at)
            .collect::<Vec<_>>()
    };
    let (stops, ends) = (
        at(".stop] stop container"),
        at(".clean] remove old container"),
    );
    assert_eq!((stops.len(), ends.len()), (3, 3));
    assert!(stops[1] > ends[0] && stops[2] > ends[1], "{}", run.stderr);
    test.run(&["plan", "--exit-code"]).exits_with(0);
    assert_eq!(test.run(&["outputs"]).exits_with(0).stdout, "port: 81\n");
    test.run(&["uninstall"]).exits_with(0);
    assert!(test.containers().is_empty());
}

#[test]
fn max_unavailable_and_start_first_change_the_order() {
    let test = installed_on(Test::new("rolling"));
    let run = test
        .run(&[
            "update",
            "-i",
            "port=81",
            "--max-unavailable",
            "3",
            "--progress",
            "plain",
        ])
        .exits_with(0);
    let last = |text: &str| run.stderr.rfind(text).unwrap();
    assert!(
        last(".stop] stop container") < run.stderr.find(".clean] remove old container").unwrap(),
        "{}",
        run.stderr
    );
    let run = test
        .run(&[
            "update",
            "-i",
            "port=82",
            "--start-first",
            "--progress",
            "plain",
        ])
        .exits_with(0);
    assert!(
        !run.stderr.contains(".stop] stop container"),
        "the old container runs until the new one works:\n{}",
        run.stderr
    );
    assert!(WEBS.iter().all(|name| {
        test.inspect(name, "{{.Config.Env}} {{.Config.Hostname}}")
            .contains(&"PORT=82 KEY=k1".to_string())
            || test.inspect(name, "{{.Config.Env}}").contains("PORT=82")
    }));
    assert_eq!(test.containers().len(), 5);
}

#[test]
fn limits_are_updated_in_place() {
    let test = installed_on(Test::new("limits"));
    let before = test.inspect("db", "{{.Id}} {{.State.StartedAt}}");
    let plan = test
        .run(&["plan", "-i", "memory:=100000000", "--output", "json"])
        .exits_with(0)
        .json();
    let db = plan["instances"]
        .as_array()
        .unwrap()
        .iter()
        .find(|it| it["node"] == "db")
        .unwrap();
    assert_eq!(
        (&plan["workflow"], &db["effect"]),
        (&json!("update"), &json!("update"))
    );
    assert_eq!(
        db["fields"],
        json!([{ "field": "params.host_config.mem_limit", "before": 67_108_864, "after": 100_000_000 }])
    );
    test.run(&["update", "-i", "memory:=100000000"])
        .exits_with(0);
    assert_eq!(test.inspect("db", "{{.Id}} {{.State.StartedAt}}"), before);
    assert_eq!(test.inspect("db", "{{.HostConfig.Memory}}"), "100000000");
    test.run(&["plan", "--exit-code"]).exits_with(0);
    // And back: the labels still contain the original limit, which must not count.
    test.run(&["update", "-i", "memory:=67108864"])
        .exits_with(0);
    assert_eq!(
        test.inspect("db", "{{.HostConfig.Memory}} {{.Id}} {{.State.StartedAt}}"),
        format!("67108864 {before}")
    );
}

#[test]
fn anonymous_volumes_move_to_the_successor_and_are_removed_with_the_last() {
    let test = installed_on(Test::new("carried"));
    test.docker(&["exec", &test.name("db"), "sh", "-c", "echo kept > /data/x"]);
    let volume = test.inspect("db", "{{range .Mounts}}{{.Name}}{{end}}");
    for seconds in ["2000", "3000"] {
        blueprint(&test, |text| {
            text.replacen("sleep 1000", &format!("sleep {seconds}"), 1)
        });
        test.run(&["update"]).exits_with(0);
        assert_eq!(
            test.docker(&["exec", &test.name("db"), "cat", "/data/x"]),
            "kept"
        );
    }
    assert_eq!(
        test.inspect("db", "{{range .Mounts}}{{.Name}}{{end}}"),
        volume
    );
    test.run(&["uninstall"]).exits_with(0);
    assert_eq!(
        test.docker(&["volume", "ls", "-q", "--filter", &format!("name={volume}")]),
        ""
    );
}

#[test]
fn failed_replacement_is_restored() {
    let test = installed_on(Test::new("back"));
    let before = ids(&test, &WEBS);
    blueprint(&test, |text| {
        text.replacen(
            "command: sleep 1000, stop_timeout: 0, environment",
            "command: 'false', stop_timeout: 0, environment",
            1,
        )
    });
    let run = test
        .run(&["update"])
        .exits_with(1)
        .stderr_contains(&["exited with code 1", "restore old container"]);
    assert!(run.stdout.contains("update failed"), "{}", run.stdout);
    assert_eq!(ids(&test, &WEBS), before);
    assert_eq!(
        test.containers()
            .iter()
            .filter(|line| line.ends_with("running"))
            .count(),
        5,
        "{:?}",
        test.containers()
    );
    let status = test.run(&["status", "--exit-code"]).exits_with(6).stdout;
    assert!(status.contains("outdated"), "{status}");
    assert!(
        test.run(&["plan"])
            .exits_with(0)
            .stdout
            .contains("3 to recreate")
    );
    test.run(&["install"]).exits_with(6);
    // The original blueprint requires no changes.
    blueprint(&test, |text| text);
    test.run(&["update"]).exits_with(0);
    test.run(&["plan", "--exit-code"]).exits_with(0);
    assert_eq!(ids(&test, &WEBS), before);
}

#[test]
fn update_adds_and_removes_nodes_and_instances() {
    let test = installed("nodes");
    let db = test.inspect("db", "{{.Id}}");
    blueprint(&test, |text| {
        text.replace("  aside:\n", "  other:\n")
            .replace("PREFIX-aside", "PREFIX-other")
            .replace("deploy: 3", "deploy: 2")
    });
    let plan = test.run(&["plan"]).exits_with(0).stdout;
    assert!(
        plan.contains("- aside_")
            && plan.contains("+ other_")
            && plan.contains("1 to create, 2 to remove"),
        "{plan}"
    );
    test.run(&["update"]).exits_with(0);
    assert_eq!(
        test.containers(),
        [
            "PREFIX-db running",
            "PREFIX-other running",
            "PREFIX-web running",
            "PREFIX-web-1 running"
        ]
    );
    assert_eq!(test.inspect("db", "{{.Id}}"), db);
}

#[test]
fn changed_network_is_recreated_with_its_containers() {
    let test = installed_on(Test::new("network"));
    let (db, web) = (
        test.inspect("db", "{{.Id}}"),
        test.inspect("web", "{{.Id}}"),
    );
    blueprint(&test, |text| {
        text.replace("{name: PREFIX-net}", "{name: PREFIX-net, internal: true}")
    });
    test.run(&["update"]).exits_with(0);
    assert_eq!(
        test.docker(&[
            "network",
            "inspect",
            "-f",
            "{{.Internal}}",
            &test.name("net")
        ]),
        "true"
    );
    assert_ne!(test.inspect("db", "{{.Id}}"), db);
    assert!(
        test.inspect("db", "{{json .NetworkSettings.Networks}}")
            .contains(&test.name("net"))
    );
    assert_eq!(test.inspect("web", "{{.Id}}"), web);
    test.run(&["plan", "--exit-code"]).exits_with(0);
}

#[test]
fn adopted_container_is_replaced_and_kept_under_another_name() {
    let test = Test::in_memory("over");
    let old = test.create_foreign("web", &["sleep", "1000"]);
    let node = |external: &str| {
        format!(
            "node_templates:\n  web:\n    type: cloudify.docker.Container\n    properties: {{name: PREFIX-web{external}, image: {{src: TARBALL, repository: dockctl-demo}}}}\n    interfaces:\n      cloudify.interfaces.lifecycle:\n        create: {{inputs: {{params: {{command: sleep 1000, stop_timeout: 0}}}}}}\n"
        )
    };
    test.blueprint(&node(", use_external_resource: true"));
    test.run(&["install"]).exits_with(0);
    test.blueprint(&node(""));
    test.run(&["update"]).exits_with(0);
    assert_eq!(
        test.containers(),
        ["PREFIX-web running", "PREFIX-web.before-dockctl exited"]
    );
    assert_eq!(test.inspect("web.before-dockctl", "{{.Id}}"), old);
    test.run(&["uninstall"]).exits_with(0);
    assert_eq!(test.containers(), ["PREFIX-web.before-dockctl exited"]);
}

#[test]
fn plan_file_is_applied_exactly_or_refused() {
    let test = installed("planned");
    let refused = |arguments: &[&str]| {
        test.run(arguments)
            .exits_with(6)
            .stderr_contains(&["the plan is out of date"])
    };
    let file = test.path("plan.json").display().to_string();
    test.run(&["plan", "-i", "port=81", "--out", &file])
        .exits_with(0);
    let plan: Json = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    assert_eq!(
        (&plan["format"], &plan["kind"], &plan["workflow"]),
        (&json!(2), &json!("dockctl.plan"), &json!("update"))
    );
    let older = test.write(
        "older.json",
        &plan.to_string().replacen("\"format\":2", "\"format\":1", 1),
    );
    test.run(&[
        "update",
        "-i",
        "port=81",
        "--plan",
        &older.display().to_string(),
    ])
    .exits_with(2)
    .stderr_contains(&["written by an older dockctl", "create a new plan"]);
    assert!(
        !plan.to_string().contains("\"k1\""),
        "the plan contains no sensitive value"
    );
    refused(&["update", "-i", "port=82", "--plan", &file])
        .stderr_contains(&["the inputs", "pass the same -i"]);
    test.docker(&["kill", &test.name("aside")]);
    refused(&["update", "-i", "port=81", "--plan", &file])
        .stderr_contains(&["the objects on the engine"]);
    test.docker(&["start", &test.name("aside")]);
    test.run(&["install", "-i", "port=81", "--plan", &file])
        .exits_with(6)
        .stderr_contains(&["the plan is for update", "dockctl update --plan"]);
    test.run(&["update", "-i", "port=81", "--plan", &file])
        .exits_with(0);
    refused(&["install", "-i", "port=81", "--plan", &file]);
    test.write("plan.json", "{\"kind\": \"something\"}");
    test.run(&["update", "--plan", &file])
        .exits_with(2)
        .stderr_contains(&["not a plan"]);
}

#[test]
fn change_without_effect_on_containers_is_only_stored() {
    let test = installed("remembered");
    let before = ids(&test, &["web", "db", "aside"]);
    let related =
        "    relationships: [{type: cloudify.relationships.depends_on, target: db}]\noutputs:";
    blueprint(&test, |text| text.replace("outputs:", related));
    let plan = test.run(&["plan", "--exit-code"]).exits_with(6);
    assert!(
        plan.stdout
            .contains("nodes.aside.relationships.depends_on to db: added"),
        "{}",
        plan.stdout
    );
    assert!(
        plan.stdout
            .ends_with("no instance changes; only the stored deployment is updated\n"),
        "{}",
        plan.stdout
    );
    test.run(&["install"]).exits_with(6);
    test.run(&["update"]).exits_with(0);
    assert_eq!(ids(&test, &["web", "db", "aside"]), before);
    test.run(&["status", "--exit-code"]).exits_with(0);
    test.run(&["plan", "--exit-code"]).exits_with(0);
}

#[test]
fn plan_contains_no_sensitive_values() {
    let test = installed("hidden");
    for form in ["text", "json", "markdown"] {
        let run = test
            .run(&["plan", "-i", "key=k2-very-secret", "--output", form])
            .exits_with(0);
        assert!(
            !run.stdout.contains("k2-very-secret") && !run.stdout.contains("\"k1\""),
            "{}",
            run.stdout
        );
        assert!(
            form == "json" || run.stdout.contains("(sensitive)"),
            "{}",
            run.stdout
        );
    }
    let markdown = test
        .run(&[
            "plan", "-i", "key=k1", "-i", "port=81", "--output", "markdown",
        ])
        .exits_with(0)
        .stdout;
    assert!(
        markdown.contains("```diff\n- web_") && markdown.contains("= \"81\""),
        "{markdown}"
    );
}

#[test]
fn update_refuses_a_deployment_that_is_not_installed() {
    let test = Test::in_memory("none");
    blueprint(&test, |text| text);
    test.run(&["update"])
        .exits_with(2)
        .stderr_contains(&["it is not installed", "dockctl install"]);
}

#[test]
fn update_replaces_a_killed_update() {
    let test = installed("another");
    let moments = [
        "done: create container",
        "give the new container the name",
        "done: give the new",
        "] start container",
        "done: start container",
        "] remove old",
    ];
    for (n, moment) in moments.into_iter().enumerate() {
        let port = format!("port={}", 100 + 2 * n);
        test.kill_at(moment, &["update", "-i", &port, "--start-first"]);
        let port = format!("port={}", 101 + 2 * n);
        test.run(&["update", "-i", &port]).exits_with(0);
        test.run(&["plan", "--exit-code"]).exits_with(0);
        assert_eq!(
            test.containers().len(),
            5,
            "killed at `{moment}`: {:?}",
            test.containers()
        );
        assert!(
            test.inspect("web", "{{.Config.Env}}")
                .contains(&port.to_uppercase())
        );
    }
    test.run(&["uninstall"]).exits_with(0);
    assert!(test.containers().is_empty());
}

#[test]
fn working_container_is_kept_until_its_successor_works() {
    let test = installed("kept");
    let waits = "\n        start: {inputs: {processes_to_wait_for: [sleep], retry_interval: 0.05}}\n    relationships: [{type: dockctl.relationships.attached_to_network";
    let broken = |text: String| {
        text.replacen("command: sleep 1000", "command: 'false'", 1)
            .replacen(
                "\n    relationships: [{type: dockctl.relationships.attached_to_network",
                waits,
                1,
            )
    };
    test.docker(&["exec", &test.name("db"), "sh", "-c", "echo kept > /data/x"]);
    let db = test.inspect("db", "{{.Id}}");
    blueprint(&test, broken);
    let is_kept = || {
        assert_eq!(
            test.inspect("db", "{{.Id}} {{.State.Running}}"),
            format!("{db} true")
        );
        assert_eq!(
            test.docker(&["exec", &test.name("db"), "cat", "/data/x"]),
            "kept"
        );
        assert_eq!(test.containers().len(), 5, "{:?}", test.containers());
    };
    test.run(&["update"])
        .exits_with(1)
        .stderr_contains(&["exited with code 1"]);
    is_kept();
    // Only another update replaces an outdated container: `heal` does not stop it, and restarts it
    // unchanged.
    let healed = test.run(&["heal"]).exits_with(0);
    assert!(
        healed.stdout.contains("no instance needs repair"),
        "{}",
        healed.stdout
    );
    test.run(&["status", "--exit-code"]).exits_with(6);
    test.docker(&["kill", &test.name("db")]);
    test.run(&["heal"]).exits_with(0);
    is_kept();
    // Install does not replace it either while another instance is stopped or missing.
    test.run(&["stop", "aside"]).exits_with(0);
    test.run(&["install"]).exits_with(6);
    is_kept();
    test.docker(&["rm", "-f", &test.name("aside")]);
    test.run(&["start", "aside"]).exits_with(0);
    blueprint(&test, |text| text);
    test.run(&["update"]).exits_with(0);
    is_kept();
    test.run(&["plan", "--exit-code"]).exits_with(0);
}

/// Writes a blueprint in which `user` reads the container ID of `used`. The ID changes when `used`
/// is recreated.
fn write_dependent(test: &Test, command: &str, tail: &str) {
    let image = "{src: TARBALL, repository: dockctl-demo}";
    let create = |inputs: &str| {
        format!(
            "    interfaces: {{cloudify.interfaces.lifecycle: {{create: {{inputs: {{params: {{{inputs}}}}}}}}}}}\n"
        )
    };
    let used = create(&format!("command: {command}, stop_timeout: 0"));
    let user = create(&format!(
        "command: sleep 1000, stop_timeout: 0, environment: {{AT: {{get_attribute: [used, container_id]}}{tail}}}"
    ));
    let text = format!(
        "node_templates:\n  used:\n    type: cloudify.docker.Container\n    properties: {{name: PREFIX-used, image: {image}}}\n{used}  user:\n    type: cloudify.docker.Container\n    properties: {{name: PREFIX-user, image: {image}}}\n{user}    relationships: [{{type: cloudify.relationships.connected_to, target: used}}]\n"
    );
    test.blueprint(&text);
}

#[test]
fn dependents_of_a_recreated_container_are_recreated_after_a_killed_run() {
    let test = Test::in_memory("bound");
    write_dependent(&test, "sleep 1000", "");
    test.run(&["install"]).exits_with(0);
    let user = test.inspect("user", "{{.Id}}");
    write_dependent(&test, "sleep 2000", "");
    test.kill_at("[user_", &["update", "--parallel", "1"]);
    let reads_present_id = || {
        test.inspect("user", "{{json .Config.Env}}")
            .contains(&format!("AT={}", test.inspect("used", "{{.Id}}")))
    };
    test.run(&["update"]).exits_with(0);
    assert!(reads_present_id() && test.inspect("user", "{{.Id}}") != user);
    // An update that fails before it creates anything keeps `user` running, on every attempt.
    let user = test.inspect("user", "{{.Id}} {{.State.Running}}");
    test.run(&["scale", "used", "--to", "2"]).exits_with(0);
    write_dependent(&test, "sleep 1000", ", X: other");
    for _ in 0..2 {
        test.run(&["update"])
            .exits_with(1)
            .stderr_contains(&["node `used` has 2 instances"]);
        assert_eq!(test.inspect("user", "{{.Id}} {{.State.Running}}"), user);
    }
    test.run(&["scale", "used", "--to", "1"]).exits_with(0);
    test.run(&["update"]).exits_with(0);
    assert!(
        reads_present_id()
            && test
                .inspect("user", "{{json .Config.Env}}")
                .contains("X=other")
    );
    assert_eq!(
        test.containers(),
        ["PREFIX-used running", "PREFIX-user running"]
    );
    test.run(&["plan", "--exit-code"]).exits_with(0);
}

#[test]
fn network_relationships_can_change_alone() {
    let test = installed("detached");
    let attached =
        "    relationships: [{type: dockctl.relationships.attached_to_network, target: net}]\n";
    blueprint(&test, |text| text.replace(attached, ""));
    let plan = test.run(&["plan"]).exits_with(0);
    assert!(
        plan.stdout.contains("recreate: its definition changed")
            && plan.stdout.contains("attached_to_network to net: removed"),
        "{}",
        plan.stdout
    );
    test.run(&["update"]).exits_with(0);
    assert_eq!(
        test.inspect(
            "db",
            "{{range $k, $v := .NetworkSettings.Networks}}{{$k}} {{end}}"
        ),
        "bridge"
    );
    test.run(&["plan", "--exit-code"]).exits_with(0);
    blueprint(&test, |text| text);
    test.run(&["update"]).exits_with(0);
    assert_eq!(
        test.inspect(
            "db",
            "{{range $k, $v := .NetworkSettings.Networks}}{{$k}} {{end}}"
        ),
        test.name("net")
    );
    test.run(&["plan", "--exit-code"]).exits_with(0);
}

#[test]
fn leftover_successor_is_removed_if_no_replacement_is_needed() {
    let test = installed("leftover");
    test.kill_at("next to the old one", &["update", "-i", "port=81"]);
    test.run(&["update", "-i", "port=80"]).exits_with(0);
    assert_eq!(test.containers().len(), 5, "{:?}", test.containers());
    test.run(&["plan", "--exit-code", "-i", "port=80"])
        .exits_with(0);
}

#[test]
fn successor_that_exits_at_once_is_rolled_back() {
    let test = installed("ends");
    let aside = test.inspect("aside", "{{.Id}}");
    let other = |text: String| {
        text.replace("aside, image: *image}\n    interfaces:\n      cloudify.interfaces.lifecycle:\n        create: {inputs: {params: {command: sleep 1000", "aside, image: *image}\n    interfaces:\n      cloudify.interfaces.lifecycle:\n        create: {inputs: {params: {command: 'false'")
    };
    blueprint(&test, other);
    test.run(&["update"])
        .exits_with(1)
        .stderr_contains(&["exited with code 1 right after its start"]);
    assert_eq!(
        test.inspect("aside", "{{.Id}} {{.State.Running}}"),
        format!("{aside} true")
    );
    let status = test.run(&["status"]).exits_with(0).stdout;
    assert!(
        status.contains("outdated") && status.contains("the last update failed: aside_"),
        "{status}"
    );
}

#[test]
fn removed_limit_is_lifted() {
    let test = installed_on(Test::new("lifted"));
    test.run(&["update", "-i", "memory:=0"]).exits_with(0);
    assert_eq!(test.inspect("db", "{{.HostConfig.Memory}}"), "0");
    // A user raises the limits for memory and swap: heal restores both.
    test.run(&["update", "-i", "memory:=67108864"])
        .exits_with(0);
    test.docker(&[
        "update",
        "--memory",
        "80m",
        "--memory-swap",
        "-1",
        &test.name("db"),
    ]);
    test.docker(&["kill", &test.name("aside")]);
    test.run(&["heal"]).exits_with(0);
    assert_eq!(
        test.inspect("db", "{{.HostConfig.Memory}} {{.HostConfig.MemorySwap}}"),
        "67108864 134217728"
    );
    assert!(
        test.containers()
            .iter()
            .any(|it| it == "PREFIX-aside running")
    );
}

#[test]
fn refused_update_changes_nothing() {
    let test = Test::in_memory("refused");
    let volume = |labels: &str| {
        format!(
            "  data: {{type: dockctl.nodes.Volume, properties: {{name: PREFIX-data, keep: false, labels: {labels}}}}}\n"
        )
    };
    let all = |labels: &str, rest: &str| {
        format!(
            "  - plugin:dockctl\nnode_templates:\n{}{rest}",
            volume(labels)
        )
    };
    test.blueprint(&all(
        "{a: b}",
        "  other: {type: dockctl.nodes.Network, properties: {name: PREFIX-net}}\n",
    ));
    test.run(&["install"]).exits_with(0);
    test.blueprint(&all("{a: c}", ""));
    test.run(&["update"])
        .exits_with(3)
        .stderr_contains(&["would be lost", "nothing was done"]);
    test.run(&["status", "--exit-code"]).exits_with(0);
}

/// Command that exits on SIGTERM. By default, the first process of a container ignores this signal.
const EXIT_ON_SIGTERM: &str = "trap 'exit 0' TERM; sleep 1000 & wait";

/// Writes a blueprint with one container, its parameters of create and additional properties.
fn write_single(test: &Test, name: &str, params: &str, properties: &str) {
    let node = format!(
        "  {name}:\n    type: cloudify.docker.Container\n    properties: {{name: PREFIX-{name}, image: {{src: TARBALL, repository: dockctl-demo}}{properties}}}\n    interfaces: {{cloudify.interfaces.lifecycle: {{create: {{inputs: {{params: {{{params}}}}}}}}}}}\n"
    );
    test.blueprint(&format!("node_templates:\n{node}"));
}

#[test]
fn adopted_predecessor_is_restored_if_the_successor_fails() {
    let test = Test::new("way");
    let (port, image) = (free_port().to_string(), test.import_image());
    let publish = format!("127.0.0.1:{port}:80");
    let name = test.name("to");
    let old = test.docker(&[
        "run",
        "-d",
        "--name",
        &name,
        "--restart",
        "always",
        "-p",
        &publish,
        &image,
        "sh",
        "-c",
        EXIT_ON_SIGTERM,
    ]);
    let bindings =
        format!("stop_timeout: 0, host_config: {{port_bindings: {{80: ['127.0.0.1', {port}]}}}}");
    let adopt = || write_single(&test, "to", "", ", use_external_resource: true");
    adopt();
    test.run(&["install"]).exits_with(0);
    write_single(
        &test,
        "to",
        &format!("command: no-such-command, {bindings}"),
        "",
    );
    for _ in 0..2 {
        test.run(&["update"])
            .exits_with(1)
            .stderr_contains(&["no-such-command"]);
        assert_eq!(test.containers(), ["PREFIX-to running"]);
        assert_eq!(
            test.inspect("to", "{{.Id}} {{.HostConfig.RestartPolicy.Name}}"),
            format!("{old} always")
        );
    }
    write_single(&test, "to", &format!("command: sleep 1000, {bindings}"), "");
    test.run(&["update"]).exits_with(0);
    assert_eq!(
        test.containers(),
        ["PREFIX-to running", "PREFIX-to.before-dockctl exited"]
    );
    assert_eq!(
        test.inspect(
            "to.before-dockctl",
            "{{.Id}} {{.HostConfig.RestartPolicy.Name}}"
        ),
        format!("{old} no")
    );
    test.run(&["plan", "--exit-code"]).exits_with(0);
    test.run(&["uninstall"]).exits_with(0);
    assert_eq!(test.containers(), ["PREFIX-to.before-dockctl exited"]);
}

#[test]
fn uninstall_restores_an_adopted_predecessor_of_an_unfinished_update() {
    let test = Test::in_memory("stays");
    let old = test.create_foreign("to", &["sh", "-c", EXIT_ON_SIGTERM]);
    test.docker(&["start", &old]);
    write_single(&test, "to", "", ", use_external_resource: true");
    test.run(&["install"]).exits_with(0);
    write_single(&test, "to", "command: no-such-command", "");
    // The first update is killed before the new container is proven; the second one fails.
    test.kill_at("done: give the new container the name", &["update"]);
    test.run(&["uninstall"]).exits_with(0);
    assert_eq!(test.containers(), ["PREFIX-to running"]);
    write_single(&test, "to", "", ", use_external_resource: true");
    test.run(&["install"]).exits_with(0);
    write_single(&test, "to", "command: no-such-command", "");
    test.run(&["update"]).exits_with(1);
    test.run(&["uninstall"]).exits_with(0);
    assert_eq!(
        (test.containers(), test.inspect("to", "{{.Id}}")),
        (vec!["PREFIX-to running".to_owned()], old)
    );
}

#[test]
fn adopted_container_stays_adopted_after_a_failed_update() {
    let test = Test::in_memory("still");
    let old = test.create_foreign("to", &["sh", "-c", EXIT_ON_SIGTERM]);
    test.docker(&["start", &old]);
    write_single(&test, "to", "", ", use_external_resource: true");
    test.run(&["install"]).exits_with(0);
    write_single(&test, "to", "command: no-such-command", "");
    test.run(&["update"]).exits_with(1);
    let started = || test.inspect("to", "{{.Id}} {{.State.Running}} {{.State.StartedAt}}");
    let before = started();
    let status = test
        .run(&["status", "--output", "json"])
        .exits_with(0)
        .json();
    assert_eq!(
        (
            &status["instances"][0]["drift"],
            &status["instances"][0]["adopted"]
        ),
        (&json!(["outdated"]), &json!(true))
    );
    for command in ["heal", "restart", "reinstall", "stop"] {
        test.run(&[command, "--yes"]).exits_with(0);
        assert_eq!(started(), before, "{command}");
    }
    test.docker(&["stop", &old]);
    test.run(&["heal"]).exits_with(0);
    assert!(started().starts_with(&format!("{old} true")));
    test.run(&["restart", "to"]).exits_with(0);
    write_single(&test, "to", "command: sleep 1000, stop_timeout: 0", "");
    test.docker(&[
        "create",
        "--name",
        &test.name("to.before-dockctl"),
        &test.import_image(),
        "true",
    ]);
    let before = started();
    test.run(&["update"])
        .exits_with(1)
        .stderr_contains(&["to.before-dockctl` is taken"]);
    assert_eq!(started(), before, "the container was not stopped");
    test.docker(&["rm", &test.name("to.before-dockctl")]);
    test.run(&["uninstall"]).exits_with(0);
    assert_eq!(test.containers(), ["PREFIX-to running"]);
}

#[test]
fn adopted_networks_and_volumes_cannot_be_replaced() {
    let test = Test::new("rename");
    let (net, data) = (test.name("net"), test.name("data"));
    test.docker(&["network", "create", &net]);
    test.docker(&["volume", "create", &data]);
    let both = |suffix: &str, external: &str| {
        test.blueprint(&format!(
            "  - plugin:dockctl\nnode_templates:\n  net: {{type: dockctl.nodes.Network, properties: {{name: PREFIX-net{suffix}{external}}}}}\n  data: {{type: dockctl.nodes.Volume, properties: {{name: PREFIX-data{suffix}{external}, keep: false}}}}\n"
        ));
    };
    let count = |what: &str| {
        test.docker(&[
            what,
            "ls",
            "-q",
            "--filter",
            &format!("name={}", test.prefix),
        ])
        .lines()
        .count()
    };
    both("", ", use_external_resource: true");
    test.run(&["install"]).exits_with(0);
    both("", "");
    let plan = test.run(&["plan"]).exits_with(0).stdout;
    assert!(
        plan.contains("! net_")
            && plan.contains("! data_")
            && plan.contains("engines cannot rename volumes"),
        "{plan}"
    );
    test.run(&["update"]).exits_with(3).stderr_contains(&[
        "engines cannot rename networks",
        "another `name`, or leave it adopted",
    ]);
    test.run(&["uninstall"]).exits_with(0);
    assert_eq!(
        (count("network"), count("volume")),
        (1, 1),
        "adopted objects are kept"
    );
    both("", ", use_external_resource: true");
    test.run(&["install"]).exits_with(0);
    both("-2", "");
    test.run(&["update"]).exits_with(0);
    assert_eq!((count("network"), count("volume")), (2, 2));
    test.run(&["plan", "--exit-code"]).exits_with(0);
    // Created objects cannot be exchanged for adopted ones: nothing would remove them.
    both("", ", use_external_resource: true");
    test.run(&["update"])
        .exits_with(3)
        .stderr_contains(&["cannot be set for an object that this deployment created"]);
    test.run(&["uninstall"]).exits_with(0);
    assert_eq!((count("network"), count("volume")), (1, 1));
}

#[test]
fn next_workflow_repeats_an_interrupted_check() {
    let test = Test::in_memory("again");
    write_single(&test, "a", "command: sleep 1000, stop_timeout: 0", "");
    test.run(&["install"]).exits_with(0);
    let old = test.inspect("a", "{{.Id}}");
    for next in ["update", "heal", "resume", "install", "restart"] {
        write_single(
            &test,
            "a",
            "command: [sh, -c, 'sleep 0.3; exit 1'], stop_timeout: 0",
            "",
        );
        test.kill_at("check that the container stays up", &["update"]);
        let status = || test.inspect("a", "{{.State.Status}}");
        eventually("the end of the container", || {
            (status() == "exited").then_some(())
        });
        test.run(&[next]).exits_with(i32::from(next != "restart"));
        assert_eq!(
            (test.containers(), test.inspect("a", "{{.Id}}")),
            (vec!["PREFIX-a running".to_owned()], old.clone()),
            "{next}"
        );
    }
}

#[test]
fn cancelled_update_restores_predecessors() {
    let test = Test::in_memory("early");
    let write = |command: &str| {
        blueprint(&test, |text| {
            text.replacen(
                "command: sleep 1000, stop_timeout: 0, environment",
                &format!("command: {command}, stop_timeout: 0, environment"),
                1,
            )
        });
    };
    write("sleep 1000");
    test.run(&["install"]).exits_with(0);
    let before = ids(&test, &WEBS);
    write("no-such-command");
    test.run(&["update", "--fail-fast"]).exits_with(1);
    let running = || {
        test.containers()
            .iter()
            .filter(|line| line.ends_with("running"))
            .count()
    };
    assert_eq!(
        (ids(&test, &WEBS), running(), test.containers().len()),
        (before.clone(), 5, 5),
        "{:?}",
        test.containers()
    );
    assert!(
        test.run(&["heal"])
            .exits_with(0)
            .stdout
            .contains("no instance needs repair")
    );
    // A wait for a process that never starts is ended by the time limit or by an interrupt.
    let waits = "start: {inputs: {processes_to_wait_for: [never], retry_interval: 0.05}}";
    blueprint(&test, |text| {
        text.replacen(
            "start: {inputs: {processes_to_wait_for: [sleep], retry_interval: 0.05}}",
            waits,
            1,
        )
        .replacen("PORT:", "POST:", 1)
    });
    test.run(&["update", "--timeout", "2"]).exits_with(1);
    assert_eq!(
        (ids(&test, &WEBS), running(), test.containers().len()),
        (before.clone(), 5, 5),
        "{:?}",
        test.containers()
    );
    let child = test.start(&["update", "--progress", "plain"]);
    eventually("the new container", || {
        test.containers()
            .iter()
            .any(|it| it.contains("former"))
            .then_some(())
    });
    let interrupted = std::process::Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status();
    assert!(interrupted.is_ok_and(|status| status.success()));
    Test::wait(child).exits_with(130);
    assert_eq!(
        (ids(&test, &WEBS), running(), test.containers().len()),
        (before, 5, 5),
        "{:?}",
        test.containers()
    );
}

#[test]
fn auto_remove_container_is_kept_until_its_successor_works() {
    let test = Test::new("auto");
    let params = |command: &str, rest: &str| {
        format!("command: {command}, stop_timeout: 0, host_config: {{auto_remove: true{rest}}}")
    };
    write_single(&test, "a", &params("sleep 1000", ""), "");
    test.run(&["install"]).exits_with(0);
    let old = test.inspect("a", "{{.Id}}");
    for command in ["no-such-command", "'false'"] {
        write_single(&test, "a", &params(command, ""), "");
        test.run(&["update"]).exits_with(1);
        assert_eq!(
            (test.containers(), test.inspect("a", "{{.Id}}")),
            (vec!["PREFIX-a running".to_owned()], old.clone())
        );
    }
    let port = format!(", port_bindings: {{80: ['127.0.0.1', {}]}}", free_port());
    write_single(&test, "a", &params("sleep 2000", &port), "");
    test.run(&["update"]).exits_with(0);
    write_single(&test, "a", &params("no-such-command", &port), "");
    let plan = test.run(&["plan"]).exits_with(0).stdout;
    assert!(
        plan.contains("no rollback: the engine removes the old container when it stops"),
        "{plan}"
    );
    test.run(&["update"]).exits_with(1);
    assert_eq!(
        (test.containers(), test.inspect("a", "{{.Config.Cmd}}")),
        (
            vec!["PREFIX-a running".to_owned()],
            "[sleep 2000]".to_owned()
        )
    );
    test.run(&["restart"]).exits_with(0);
    assert_eq!(test.containers(), ["PREFIX-a running"]);
}

#[test]
fn containers_that_share_a_network_work_after_both_are_replaced() {
    let test = Test::new("shared");
    let both = |command: &str| {
        let image = "image: {src: TARBALL, repository: dockctl-demo}";
        let create = |params: &str| {
            format!(
                "interfaces: {{cloudify.interfaces.lifecycle: {{create: {{inputs: {{params: {{{params}}}}}}}}}}}"
            )
        };
        let (a, b) = (
            create(&format!("command: sleep {command}, stop_timeout: 0")),
            create(&format!(
                "command: {command}, stop_timeout: 0, host_config: {{network_mode: 'container:PREFIX-a'}}"
            )),
        );
        let b = if command.parse::<u32>().is_ok() {
            b.replace("command: ", "command: sleep ")
        } else {
            b
        };
        let a = a.replace("sleep 'false'", "sleep 7777");
        test.blueprint(&format!(
            "node_templates:\n  a:\n    type: cloudify.docker.Container\n    properties: {{name: PREFIX-a, {image}}}\n    {a}\n  b:\n    type: cloudify.docker.Container\n    properties: {{name: PREFIX-b, {image}}}\n    {b}\n    relationships: [{{type: cloudify.relationships.connected_to, target: a}}]\n"
        ));
    };
    both("1000");
    test.run(&["install"]).exits_with(0);
    both("'false'");
    test.run(&["update"])
        .exits_with(1)
        .stderr_contains(&["exited with code 1"]);
    let shares_network = || {
        test.inspect("b", "{{.HostConfig.NetworkMode}} {{.State.Running}}")
            == format!("container:{} true", test.inspect("a", "{{.Id}}"))
    };
    assert!(
        shares_network() && test.inspect("b", "{{.Config.Cmd}}") == "[sleep 1000]",
        "{:?}",
        test.containers()
    );
    both("3000");
    test.run(&["update"]).exits_with(0);
    assert!(
        shares_network() && test.containers() == ["PREFIX-a running", "PREFIX-b running"],
        "{:?}",
        test.containers()
    );
}
