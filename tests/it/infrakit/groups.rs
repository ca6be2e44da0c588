//! `dockctl group` without a daemon.

use crate::support::{Run, Test};
use serde_json::{Value as Json, json};
use std::{
    io::Write as _,
    process::{Command, Stdio},
};

/// Returns the specification of a group of the test: containers that sleep and leave a line behind.
pub(super) fn spec(test: &Test, allocation: &Json, seconds: u32) -> Json {
    let config = json!({ "Image": test.prefix, "Cmd": ["sleep", seconds.to_string()], "StopSignal": "SIGKILL" });
    json!({
        "ID": test.prefix,
        "Properties": {
            "Allocation": allocation,
            "Instance": {
                "Plugin": "instance-docker",
                "Properties": { "Config": config, "HostConfig": { "AutoRemove": true }, "Tags": { "Name": "example" } },
            },
            "Flavor": { "Plugin": "flavor-vanilla", "Properties": { "Init": ["sh -c \"echo 'Hello, World!' > /hello\""] } },
        },
    })
}

/// Returns the specification of a group with this size.
pub(super) fn sized(test: &Test, size: u32, seconds: u32) -> Json {
    spec(test, &json!({ "Size": size }), seconds)
}

/// Runs `dockctl group` to its end.
pub(super) fn group(test: &Test, words: &[&str]) -> Run {
    Run::from_output(&group_command(test, words).output().unwrap())
}

fn group_command(test: &Test, words: &[&str]) -> Command {
    let mut command = test.command(&[&["group"], words].concat());
    command.env("INFRAKIT_PLUGINS_DIR", test.path("plugins"));
    command.env_remove("INFRAKIT_HOME");
    command
}

/// Writes a specification and returns its path.
pub(super) fn write(test: &Test, spec: &Json) -> String {
    let path = test.write("group.json", &spec.to_string());
    path.display().to_string()
}

/// Commits a specification and returns what the command printed.
pub(super) fn commit(test: &Test, spec: &Json) -> String {
    let path = write(test, spec);
    group(test, &["commit", &path]).exits_with(0).stdout
}

/// Returns the instances of the group: name, and how long it sleeps.
pub(super) fn members(test: &Test) -> Vec<String> {
    let format = "{{.Names}} {{.Command}} {{.State}}";
    let label = format!("label=infrakit.group={}", test.prefix);
    let listed = test.docker(&["ps", "-a", "--filter", &label, "--format", format]);
    let mut members: Vec<String> = listed
        .lines()
        .map(|line| line.replace(&test.prefix, "PREFIX").replace('"', ""))
        .collect();
    members.sort();
    members
}

fn details(test: &Test, text: &str) -> String {
    format!("Committed {}: {text}\n", test.prefix)
}

#[test]
fn example_of_the_documentation_works() {
    let test = Test::new("ik-group");
    test.import_image();
    let spec = sized(&test, 1, 1000);
    let path = write(&test, &spec);
    let pretended = group(&test, &["commit", "--pretend", &path]).exits_with(0);
    assert_eq!(
        pretended.stdout,
        format!(
            "Committing {} would involve: Managing 1 instances\n",
            test.prefix
        )
    );
    assert_eq!(group(&test, &["ls"]).exits_with(0).stdout, "ID\n");
    let committed = group(&test, &["commit", &path]).exits_with(0);
    assert_eq!(committed.stdout, details(&test, "Managing 1 instances"));
    let committed = committed.stderr_contains(&["note: nobody heals `", "infrakit serve --groups"]);
    drop(committed);
    let described = group(&test, &["describe", &test.prefix])
        .exits_with(0)
        .stdout;
    let lines: Vec<&str> = described.lines().collect();
    let (id, name) = (&lines[1][..12], test.name("1"));
    let hash = lines[1].split("infrakit.config_sha=").nth(1).unwrap();
    let hash = hash.split(',').next().unwrap();
    assert_eq!(hash.len(), 32);
    let expected = format!(
        "{id:<30}\t{name:<30}\tName=example,infrakit.config_sha={hash},infrakit.group={}",
        test.prefix
    );
    assert_eq!(
        lines,
        [&format!("{:<30}\t{:<30}\tTAGS", "ID", "LOGICAL"), &expected]
    );
    assert_eq!(
        test.docker(&["exec", &name, "cat", "/hello"]),
        "Hello, World!"
    );
    let listed = group(&test, &["ls", "-q"]).exits_with(0).stdout;
    assert_eq!(listed, format!("{}\n", test.prefix));
    let status = test
        .run(&["status", "-d", &test.prefix])
        .exits_with(0)
        .stdout;
    assert!(
        status.contains(&name) && status.contains("running"),
        "{status}"
    );
    let destroyed = group(&test, &["destroy", &test.prefix])
        .exits_with(0)
        .stdout;
    assert_eq!(destroyed, format!("Destroy {} initiated\n", test.prefix));
    assert_eq!(members(&test), [""; 0]);
}

#[test]
fn commits_scale_and_update_and_names_stay() {
    let test = Test::new("ik-scale");
    test.import_image();
    commit(&test, &sized(&test, 1, 1000));
    assert_eq!(
        commit(&test, &sized(&test, 3, 1000)),
        details(&test, "Adding 2 instances to increase the group size to 3")
    );
    assert_eq!(
        members(&test),
        [
            "PREFIX-1 sleep 1000 running",
            "PREFIX-2 sleep 1000 running",
            "PREFIX-3 sleep 1000 running"
        ]
    );
    assert_eq!(
        commit(&test, &sized(&test, 3, 1000)),
        details(&test, "Noop")
    );
    assert_eq!(
        commit(&test, &sized(&test, 2, 1001)),
        details(
            &test,
            "Terminating 1 instances to reduce the group size to 2, then performing a rolling update on 2 instances"
        )
    );
    assert_eq!(
        members(&test),
        ["PREFIX-1 sleep 1001 running", "PREFIX-2 sleep 1001 running"]
    );
    let hello = test.docker(&["exec", &test.name("2"), "cat", "/hello"]);
    assert_eq!(
        hello, "Hello, World!",
        "the script ran in the new container"
    );
    let scale = |size: &str| group(&test, &["scale", &test.prefix, size]);
    assert_eq!(
        scale("3").exits_with(0).stdout,
        format!("Group {} at 2 instances, scale to 3\n", test.prefix)
    );
    let size = group(&test, &["scale", &test.prefix]).exits_with(0).stdout;
    assert_eq!(size, format!("Group {} at 3 instances\n", test.prefix));
    for (size, message) in [
        ("0", "Allocation must not be blank"),
        ("-1", "size cannot be negative"),
    ] {
        scale(size).exits_with(2).stderr_contains(&[message]);
    }
    let removed = test.name("2");
    let words = ["destroy-instances", &test.prefix, &removed];
    assert_eq!(group(&test, &words).exits_with(0).stdout, "Initiated.\n");
    assert_eq!(
        members(&test),
        ["PREFIX-1 sleep 1001 running", "PREFIX-3 sleep 1001 running"]
    );
    let unknown = group(&test, &words).exits_with(2);
    drop(unknown.stderr_contains(&["is not an instance of group", "nothing was done"]));
}

#[test]
fn pretended_commit_changes_nothing() {
    let test = Test::in_memory("ik-pretend");
    test.import_image();
    commit(&test, &sized(&test, 2, 1000));
    let state = || {
        let record = test.run(&["executions", "-d", &test.prefix]).exits_with(0);
        (record.stdout, test.docker(&["ps", "-aq", "--no-trunc"]))
    };
    let before = state();
    let path = write(&test, &sized(&test, 3, 1001));
    let pretended = group(&test, &["commit", "--pretend", &path]).exits_with(0);
    assert_eq!(
        pretended.stdout,
        format!(
            "Committing {} would involve: Performing a rolling update on 2 instances, then adding 1 instances to increase the group size to 3\n",
            test.prefix
        )
    );
    assert_eq!(state(), before);
}

#[test]
fn logical_ids_are_names_and_host_names_and_cannot_change() {
    let test = Test::in_memory("ik-quorum");
    test.import_image();
    let ids = |names: &[&str]| {
        let names: Vec<String> = names.iter().map(|name| test.name(name)).collect();
        json!({ "LogicalIDs": names })
    };
    commit(&test, &spec(&test, &ids(&["n1", "n2"]), 1000));
    assert_eq!(
        members(&test),
        [
            "PREFIX-n1 sleep 1000 running",
            "PREFIX-n2 sleep 1000 running"
        ]
    );
    assert_eq!(test.inspect("n2", "{{.Config.Hostname}}"), test.name("n2"));
    let other = write(&test, &spec(&test, &ids(&["n1", "n3"]), 1000));
    let refused = group(&test, &["commit", &other]).exits_with(2);
    drop(refused.stderr_contains(&["Logical ID changes to a quorum is not currently supported"]));
    let scaled = group(&test, &["scale", &test.prefix, "3"]).exits_with(2);
    drop(scaled.stderr_contains(&["cannot set size if logic ids are explicitly set"]));
    let scaled = test.run(&["scale", "instance", "+1", "-d", &test.prefix]);
    assert_ne!(scaled.code, 0, "{}", scaled.stdout);
    assert_eq!(
        commit(&test, &spec(&test, &ids(&["n2", "n1"]), 1001)),
        details(&test, "Performing a rolling update on 2 instances")
    );
    assert_eq!(
        members(&test),
        [
            "PREFIX-n1 sleep 1001 running",
            "PREFIX-n2 sleep 1001 running"
        ]
    );
}

#[test]
fn freed_instances_stay_and_are_taken_back_as_they_are() {
    let test = Test::new("ik-free");
    test.import_image();
    commit(&test, &sized(&test, 2, 1000));
    let tag = format!("label=infrakit.group={}", test.prefix);
    let ids = || test.docker(&["ps", "-aq", "--no-trunc", "--filter", &tag]);
    let before = ids();
    let freed = group(&test, &["free", &test.prefix]).exits_with(0).stdout;
    assert_eq!(freed, format!("Freed {}\n", test.prefix));
    assert_eq!(ids(), before);
    assert_eq!(group(&test, &["ls", "-q"]).exits_with(0).stdout, "");
    let listed = test.run(&["list"]).exits_with(0).stdout;
    assert!(listed.contains("freed"), "{listed}");
    let described = group(&test, &["describe", &test.prefix]).exits_with(2);
    let message = format!("Group '{}' is not being watched", test.prefix);
    drop(described.stderr_contains(&[&message]));
    let changed = sized(&test, 2, 1001);
    assert_eq!(
        commit(&test, &changed),
        details(&test, "Managing 2 instances")
    );
    assert_eq!(ids(), before, "they are taken back as they are");
    assert_eq!(
        commit(&test, &changed),
        details(&test, "Performing a rolling update on 2 instances")
    );
    assert_eq!(
        members(&test),
        ["PREFIX-1 sleep 1001 running", "PREFIX-2 sleep 1001 running"]
    );
}

#[test]
fn instances_are_taken_back_after_the_journal_was_lost() {
    let test = Test::in_memory("ik-lost");
    test.import_image();
    let ids = json!({ "LogicalIDs": [test.name("n1"), test.name("n2")] });
    let spec = spec(&test, &ids, 1000);
    commit(&test, &spec);
    let before = test.docker(&["ps", "-aq", "--no-trunc"]);
    std::fs::remove_dir_all(test.path("state").join("deployments")).unwrap();
    assert_eq!(commit(&test, &spec), details(&test, "Managing 2 instances"));
    assert_eq!(commit(&test, &spec), details(&test, "Noop"));
    std::fs::remove_dir_all(test.path("state").join("deployments")).unwrap();
    test.run(&["recover", &test.prefix]).exits_with(0);
    assert_eq!(
        commit(&test, &spec),
        details(&test, "Managing 2 instances"),
        "labels do not have the specification"
    );
    assert_eq!(test.docker(&["ps", "-aq", "--no-trunc"]), before);
    assert_eq!(
        members(&test),
        [
            "PREFIX-n1 sleep 1000 running",
            "PREFIX-n2 sleep 1000 running"
        ]
    );
}

/// Starts a container as a real controller of InfraKit does.
fn start_foreign(test: &Test, name: &str, labels: &[&str]) {
    let (name, group) = (test.name(name), format!("infrakit.group={}", test.prefix));
    let mut words = vec!["run", "-d", "--name", &name, "--label", &group];
    words.extend(labels.iter().flat_map(|label| ["--label", *label]));
    words.extend([test.prefix.as_str(), "sleep", "900"]);
    test.docker(&words);
}

#[test]
fn containers_of_others_are_taken_over_only_with_consent() {
    let test = Test::new("ik-take");
    test.import_image();
    let spec = sized(&test, 2, 1000);
    let path = write(&test, &spec);
    commit(&test, &spec);
    let tags = test.inspect("1", "{{json .Config.Labels}}");
    let tags: Json = serde_json::from_str(&tags).unwrap();
    let hash = tags["infrakit.config_sha"].as_str().unwrap();
    group(&test, &["destroy", &test.prefix]).exits_with(0);
    start_foreign(&test, "old", &["infrakit.config_sha=other"]);
    start_foreign(&test, "same", &[&format!("infrakit.config.hash={hash}")]);
    let before = members(&test);
    let refused = group(&test, &["commit", &path]).exits_with(1);
    drop(refused.stderr_contains(&[
        "there are 2 containers that dockctl did not create, with the tag of group",
        &test.name("old"),
        "pass --take-over",
    ]));
    assert_eq!(members(&test), before);
    assert_eq!(group(&test, &["ls", "-q"]).exits_with(0).stdout, "");
    let committed = group(&test, &["commit", "--take-over", &path]).exits_with(0);
    assert_eq!(committed.stdout, details(&test, "Managing 2 instances"));
    assert_eq!(members(&test), before, "they are taken over as they are");
    assert_eq!(
        commit(&test, &spec),
        details(&test, "Performing a rolling update on 1 instances")
    );
    assert_eq!(
        members(&test),
        [
            "PREFIX-old sleep 1000 running",
            "PREFIX-same sleep 900 running"
        ],
        "only the outdated one is replaced, and keeps its name"
    );
    group(&test, &["free", &test.prefix]).exits_with(0);
    assert_eq!(
        commit(&test, &spec),
        details(&test, "Managing 2 instances"),
        "they are known from before"
    );
    group(&test, &["destroy", &test.prefix]).exits_with(0);
    assert_eq!(members(&test), [""; 0], "they are owned");
}

#[test]
fn surplus_containers_are_removed_when_they_are_taken_over() {
    let test = Test::in_memory("ik-surplus");
    test.import_image();
    for name in ["a", "b", "c"] {
        start_foreign(&test, name, &[]);
    }
    let path = write(&test, &sized(&test, 2, 1000));
    let surplus = "; 1 surplus container will be removed";
    let pretended = group(&test, &["commit", "--pretend", &path]).exits_with(0);
    drop(pretended.stderr_contains(&["the commit takes over 3 containers", surplus]));
    let refused = group(&test, &["commit", &path]).exits_with(1);
    drop(refused.stderr_contains(&[surplus]));
    group(&test, &["commit", "--take-over", &path]).exits_with(0);
    assert_eq!(members(&test).len(), 2);
    start_foreign(&test, "late", &[]);
    let path = write(&test, &sized(&test, 2, 1000));
    let warned = group(&test, &["commit", &path]).exits_with(0);
    let late = test.name("late");
    drop(warned.stderr_contains(&["that do not belong to it", &late]));
}

/// Runs a command at a terminal and answers its questions. Returns its exit code and the screen.
fn at_terminal(test: &Test, command: &Command, answers: &str) -> (Option<i32>, String) {
    let words = [command.get_program()]
        .into_iter()
        .chain(command.get_args());
    let line: Vec<_> = words.map(|word| word.to_string_lossy()).collect();
    let variables = command.get_envs();
    let mut child = Command::new("script")
        .args(["-qec", &line.join(" "), "/dev/null"])
        .current_dir(test.directory.path())
        .envs(variables.filter_map(|(name, value)| Some((name, value?))))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("start script; Debian always includes it");
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(answers.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    drop(stdin);
    let screen = String::from_utf8_lossy(&output.stdout).into_owned();
    (output.status.code(), screen)
}

#[test]
fn refused_changes_after_a_takeover_are_told_from_a_refused_takeover() {
    let test = Test::in_memory("ik-consent");
    test.import_image();
    for name in ["a", "b"] {
        start_foreign(&test, name, &[]);
    }
    let path = write(&test, &sized(&test, 1, 1000));
    let commit = group_command(&test, &["commit", &path]);
    let (code, screen) = at_terminal(&test, &commit, "n\n");
    assert_eq!(code, Some(130), "{screen}");
    assert!(screen.contains("nothing was done"), "{screen}");
    assert_eq!(group(&test, &["ls", "-q"]).exits_with(0).stdout, "");
    let (code, screen) = at_terminal(&test, &commit, "y\nn\n");
    assert_eq!(code, Some(130), "{screen}");
    assert!(screen.contains("nothing else was done"), "{screen}");
    assert_eq!(members(&test).len(), 2);
    let listed = group(&test, &["ls", "-q"]).exits_with(0).stdout;
    assert_eq!(listed.trim(), test.prefix);
}

#[test]
fn container_that_was_replaced_since_its_takeover_is_not_touched() {
    let test = Test::in_memory("ik-replaced");
    test.import_image();
    start_foreign(&test, "a", &["tier=web"]);
    let path = write(&test, &sized(&test, 1, 1000));
    group(&test, &["commit", "--take-over", &path]).exits_with(0);
    let name = test.name("a");
    test.docker(&["rm", "-f", &name]);
    test.docker(&["run", "-d", "--name", &name, &test.prefix, "sleep", "800"]);
    let healed = test.run(&["heal", "-d", &test.prefix]);
    assert_ne!(healed.code, 0);
    assert!(
        healed.stderr.contains("it was not touched"),
        "{}",
        healed.stderr
    );
    assert_eq!(test.containers(), ["PREFIX-a running"]);
}

#[test]
fn failed_update_keeps_the_old_instances() {
    let test = Test::in_memory("ik-broken");
    test.import_image();
    commit(&test, &sized(&test, 2, 1000));
    let mut broken = sized(&test, 2, 1001);
    broken["Properties"]["Flavor"]["Properties"]["Init"] = json!(["exit 3"]);
    let path = write(&test, &broken);
    let failed = group(&test, &["commit", &path]).exits_with(1);
    drop(failed.stderr_contains(&["init script failed with code 3", "keep running"]));
    assert_eq!(
        members(&test),
        ["PREFIX-1 sleep 1000 running", "PREFIX-2 sleep 1000 running"]
    );
    let again = commit(&test, &sized(&test, 2, 1000));
    assert_eq!(
        again,
        details(
            &test,
            "Adjusting the instance configuration, no restarts necessary"
        )
    );
}

#[test]
fn ids_that_cannot_be_used_are_refused() {
    let test = Test::in_memory("ik-ids");
    test.import_image();
    let blueprint = test.blueprint(&super::blueprint(""));
    test.run(&["install", &blueprint.display().to_string()])
        .exits_with(0);
    let refused = |spec: &Json, code: i32, text: &str| {
        let path = write(&test, spec);
        let run = group(&test, &["commit", &path]).exits_with(code);
        drop(run.stderr_contains(&[text]));
    };
    refused(
        &sized(&test, 1, 1000),
        2,
        "is a deployment that is no group; nothing was done",
    );
    let mut spec = sized(&test, 1, 1000);
    spec["ID"] = "Not/valid".into();
    refused(
        &spec,
        3,
        "the ID `Not/valid` of the group cannot be the name of a deployment",
    );
    let mut short = sized(&test, 1, 1000);
    short["ID"] = "x".into();
    let path = write(&test, &short);
    let pretended = group(&test, &["commit", "--pretend", &path]).exits_with(0);
    let would = "Committing x would involve: Managing 1 instances\n";
    assert_eq!(pretended.stdout, would, "its instance is `x-1`");
    let names = json!({ "LogicalIDs": ["a/b"] });
    let message = "`a/b` is not a valid container name";
    refused(&super::groups::spec(&test, &names, 1000), 3, message);
}

#[test]
fn specification_is_read_from_yaml_with_templates_and_standard_input() {
    let test = Test::in_memory("ik-yaml");
    test.import_image();
    let text = "ID: PREFIX
Properties:
  Allocation: {Size: {{ var \"size\" }}}
  Instance:
    Plugin: docker
    Properties:
      Config: {Image: PREFIX, Cmd: [sleep, '{{ env \"SECONDS\" }}'], Labels: {call: '{get_secret: x}'}}
      Tags: {get_input: data}
  Flavor: {Plugin: vanilla, Properties: {InitScriptTemplateURL: init.sh}}
";
    test.write("init.sh", "echo {{ var \"size\" }} > /size\n");
    let path = test.write("group.yaml", text).display().to_string();
    let commit = |words: &[&str]| {
        let words = [&["group", "commit", "-y", &path], words].concat();
        let mut command = test.command(&words);
        command.env("INFRAKIT_PLUGINS_DIR", test.path("plugins"));
        Run::from_output(&command.env("SECONDS", "1000").output().unwrap())
    };
    drop(commit(&[]).exits_with(3).stderr_contains(&[
        "the variable `size` has no value",
        "group.yaml:3:22",
        "--var size=VALUE",
    ]));
    let committed = commit(&["--var", "size=2"]).exits_with(0).stdout;
    assert_eq!(committed, details(&test, "Managing 2 instances"));
    assert_eq!(test.docker(&["exec", &test.name("1"), "cat", "/size"]), "2");
    assert_eq!(
        test.inspect("1", "{{index .Config.Labels \"get_input\"}}"),
        "data"
    );
    std::fs::remove_file(test.path("init.sh")).unwrap();
    let scaled = group(&test, &["scale", &test.prefix, "3"])
        .exits_with(0)
        .stdout;
    assert!(scaled.contains("scale to 3"), "{scaled}");
    assert_eq!(
        test.docker(&["exec", &test.name("3"), "cat", "/size"]),
        "2",
        "the script is kept with the group"
    );
    let inspected = group(&test, &["inspect", "-y", &test.prefix])
        .exits_with(0)
        .stdout;
    assert!(inspected.contains("Size: 3"), "{inspected}");
}

#[test]
fn plan_validate_and_graph_read_specifications() {
    let test = Test::in_memory("ik-plan");
    test.import_image();
    let path = write(&test, &sized(&test, 2, 1000));
    test.run(&["validate", &path]).exits_with(0);
    let planned = test.run(&["plan", &path]).exits_with(0).stdout;
    assert!(planned.contains('2'), "{planned}");
    commit(&test, &sized(&test, 2, 1000));
    let graph = test.run(&["graph", "--live", "-d", &test.prefix, "--format", "dot"]);
    assert!(
        graph.stdout.contains("instance"),
        "{}{}",
        graph.stdout,
        graph.stderr
    );
    let scaled = test.run(&["scale", "instance", "--to", "3", "-d", &test.prefix]);
    drop(
        scaled
            .exits_with(2)
            .stderr_contains(&["dockctl group scale"]),
    );
    for words in [&["executions"][..], &["logs"], &["plan"], &["plan", &path]] {
        let words = [words, &["-d", &test.prefix]].concat();
        test.run(&words).exits_with(0);
    }
    test.run(&["uninstall", &test.prefix, "--yes"])
        .exits_with(0);
    assert_eq!(members(&test), [""; 0]);
}

#[test]
fn messages_are_those_of_the_original() {
    let test = Test::in_memory("ik-messages");
    test.import_image();
    let properties = "/Properties";
    let allocation = "/Properties/Allocation";
    let instance = "/Properties/Instance";
    let flavor = "/Properties/Flavor";
    for (at, value, message) in [
        ("/ID", json!(""), "Group ID must not be blank"),
        (allocation, json!({}), "Allocation must not be blank"),
        (
            allocation,
            json!({ "Size": 0 }),
            "Allocation must not be blank",
        ),
        (
            allocation,
            json!({ "Size": -1 }),
            "Invalid properties: `Size` must be an integer of at least 0",
        ),
        (
            allocation,
            json!({ "Size": 1, "LogicalIDs": ["a"] }),
            "Only one Allocation method may be used",
        ),
        (
            allocation,
            json!({ "Sise": 1 }),
            "Invalid properties: `Allocation` has no key `Sise`",
        ),
        (
            properties,
            json!(5),
            "Invalid properties: `Properties` must be a mapping, not an integer",
        ),
        (
            flavor,
            json!({ "Plugin": "swarm" }),
            "Failed to find Flavor plugin 'swarm':plugin not found:swarm",
        ),
        (
            flavor,
            json!({ "Plugin": "vanilla", "Properties": { "Init": "x" } }),
            "Invalid properties: `Init` must be a list of strings",
        ),
        (
            flavor,
            json!({ "Plugin": "vanilla", "Properties": { "Init": ["x"], "InitScriptTemplateURL": "y" } }),
            "Either \"Init\" or \"InitScriptTemplateURL\" can be specified but not both",
        ),
        (
            instance,
            json!({ "Plugin": "aws" }),
            "Failed to find Instance plugin 'aws':plugin not found:aws",
        ),
        (
            instance,
            json!({ "Plugin": "docker" }),
            "Config should be set",
        ),
        (
            instance,
            json!({ "Plugin": "docker", "Properties": { "Config": {} } }),
            "A Docker image should be specified",
        ),
        (
            instance,
            json!({ "Plugin": "docker", "Properties": { "Conf": {} } }),
            "Invalid properties: `Properties` has no key `Conf`",
        ),
    ] {
        let mut spec = sized(&test, 1, 1000);
        *spec.pointer_mut(at).unwrap() = value;
        let path = write(&test, &spec);
        let refused = group(&test, &["commit", &path]).exits_with(3);
        drop(refused.stderr_contains(&[message, "group.json:1:"]));
    }
    let mut spec = sized(&test, 1, 1000);
    spec["Properties"]["Updating"] = json!({ "Duration": "10s", "Count": 2 });
    let path = write(&test, &spec);
    let refused = group(&test, &["commit", &path]).exits_with(3);
    drop(refused.stderr_contains(&["Only one Updating method may be used"]));
}
