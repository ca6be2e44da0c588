//! The in-memory engine responds like a real one to the requests that the tests use.

use crate::support::{Test, api_minor, is_podman};
use serde_json::Value as Json;
use std::{collections::BTreeMap, process::Command};

/// Runs the Docker CLI. Returns its exit code, output and errors, without the parts that differ
/// between runs.
fn docker_output(test: &Test, arguments: &[&str]) -> String {
    let arguments: Vec<String> = arguments
        .iter()
        .map(|it| it.replace("PREFIX", &test.prefix))
        .collect();
    let output = Command::new("docker")
        .args(["--host", &test.host()])
        .args(&arguments)
        .output()
        .unwrap();
    let text = |bytes: &[u8]| without_ids(&String::from_utf8_lossy(bytes), test);
    let code = output.status.code().unwrap_or(-1);
    format!("{code} {}{}", text(&output.stdout), text(&output.stderr))
}

/// Replaces long and short IDs with `ID`, and the prefix of the test with `PREFIX`.
fn without_ids(text: &str, test: &Test) -> String {
    let id = fancy_regex::Regex::new(r"\b([0-9a-f]{64}|[0-9a-f]{12})\b").unwrap();
    let text = text.replace(&test.prefix, "PREFIX");
    id.replace_all(&text, "ID").into_owned()
}

/// Docker commands that run on both engines, in this order.
const COMMANDS: [&[&str]; 39] = [
    &[
        "create",
        "--name",
        "PREFIX-a",
        "-v",
        "PREFIX-data:/data",
        "--label",
        "a=b",
        "PREFIX",
        "sleep",
        "1000",
    ],
    &[
        "ps",
        "-a",
        "--filter",
        "name=^/PREFIX",
        "--format",
        "{{.Names}} {{.State}} {{.Status}}",
    ],
    &["create", "--name", "PREFIX-a", "PREFIX", "true"],
    &["start", "PREFIX-a"],
    &["start", "PREFIX-a"],
    &["start", "PREFIX-none"],
    &[
        "ps",
        "--filter",
        "label=a=b",
        "--filter",
        "name=PREFIX",
        "--format",
        "{{.Names}} {{.State}} {{.Command}}",
    ],
    &[
        "ps",
        "-q",
        "--filter",
        "name=PREFIX",
        "--filter",
        "label=a=c",
    ],
    &["rm", "PREFIX-a"],
    &[
        "exec",
        "PREFIX-a",
        "sh",
        "-c",
        "echo out; echo err >&2; exit 3",
    ],
    &["exec", "-i", "PREFIX-a", "cat"],
    &["network", "create", "--label", "a=b", "PREFIX-net"],
    &["network", "create", "PREFIX-net"],
    &[
        "network",
        "connect",
        "--alias",
        "web",
        "PREFIX-net",
        "PREFIX-a",
    ],
    &["network", "connect", "PREFIX-net", "PREFIX-a"],
    &["network", "rm", "PREFIX-net"],
    &[
        "network",
        "ls",
        "--filter",
        "label=a=b",
        "--filter",
        "name=PREFIX",
        "--format",
        "{{.Name}} {{.Driver}}",
    ],
    &["volume", "rm", "PREFIX-data"],
    &[
        "volume",
        "ls",
        "--filter",
        "name=PREFIX",
        "--format",
        "{{.Name}} {{.Driver}}",
    ],
    &["rename", "PREFIX-a", "PREFIX-b"],
    &[
        "inspect",
        "-f",
        "{{.Name}} {{.State.Status}} {{.State.ExitCode}}",
        "PREFIX-a",
    ],
    &[
        "inspect",
        "-f",
        "{{.Name}} {{.State.Status}} {{.State.ExitCode}}",
        "PREFIX-b",
    ],
    &["pause", "PREFIX-b"],
    &[
        "inspect",
        "-f",
        "{{.State.Status}} {{.State.Running}} {{.State.Paused}}",
        "PREFIX-b",
    ],
    &["unpause", "PREFIX-b"],
    &["unpause", "PREFIX-b"],
    &["restart", "-t", "0", "PREFIX-b"],
    &["kill", "PREFIX-b"],
    &["kill", "PREFIX-b"],
    &[
        "inspect",
        "-f",
        "{{.State.Status}} {{.State.ExitCode}}",
        "PREFIX-b",
    ],
    &["exec", "PREFIX-b", "true"],
    &["stop", "PREFIX-b"],
    &["network", "disconnect", "PREFIX-net", "PREFIX-b"],
    &["network", "rm", "PREFIX-net"],
    &["network", "inspect", "PREFIX-net"],
    &["rm", "PREFIX-b"],
    &["rm", "PREFIX-b"],
    &["volume", "rm", "PREFIX-data"],
    &["volume", "inspect", "PREFIX-data"],
];

#[test]
fn in_memory_engine_responds_like_a_real_one() {
    let (real, fake) = (Test::new("both"), Test::in_memory("both"));
    real.import_image();
    fake.import_image();
    let shown = |test: &Test, command| {
        let output = docker_output(test, command);
        if is_imitated() {
            output
        } else {
            without_reason(&output)
        }
    };
    let differences: Vec<_> = COMMANDS
        .iter()
        .map(|command| (command, shown(&fake, command), shown(&real, command)))
        .filter(|(_, fake, real)| fake != real)
        .collect();
    assert!(differences.is_empty(), "{differences:#?}");
}

/// Returns true if the machine's engine is of the version that the in-memory engine imitates.
fn is_imitated() -> bool {
    api_minor() == 41 && !is_podman()
}

/// Removes the reason of an error: its words differ between versions of the engine.
fn without_reason(output: &str) -> String {
    let error = "Error response from daemon";
    output.split_once(error).map_or_else(
        || output.to_owned(),
        |(before, _)| format!("{before}{error}"),
    )
}

#[test]
fn in_memory_engine_sends_the_same_events_in_the_same_order() {
    let events = |test: &Test| {
        test.import_image();
        let since = test.docker(&["info", "--format", "{{.SystemTime}}"]);
        let name = test.name("a");
        let image = test.prefix.clone();
        test.docker(&["create", "--name", &name, &image, "sleep", "1000"]);
        for command in [
            &["start"][..],
            &["restart", "-t", "0"],
            &["stop", "-t", "0"],
            &["start"],
            &["kill"],
            &["rm"],
        ] {
            test.docker(&[command, &[&name]].concat());
        }
        let until = test.docker(&["info", "--format", "{{.SystemTime}}"]);
        let attributes = "{{.Action}} {{.Actor.Attributes.signal}} {{.Actor.Attributes.exitCode}}";
        let filter = format!("container={name}");
        let events = ["events", "--since", &since, "--until", &until];
        let inspected = [
            "--filter",
            "type=container",
            "--filter",
            &filter,
            "--format",
            attributes,
        ];
        let seen = test.docker(&[&events[..], &inspected].concat());
        let mut seen: Vec<String> = seen.lines().map(str::to_owned).collect();
        // Newer engines report the end of a container before its stop.
        for at in 1..seen.len() {
            if seen[at - 1].starts_with("stop ") && seen[at].starts_with("die ") {
                seen.swap(at - 1, at);
            }
        }
        seen
    };
    assert_eq!(
        events(&Test::in_memory("events")),
        events(&Test::new("events"))
    );
}

/// Collects the JSON type of every value, by its path.
fn collect_types(value: &Json, path: &str, found: &mut BTreeMap<String, &'static str>) {
    let kind = match value {
        Json::Null => return,
        Json::Bool(_) => "boolean",
        Json::Number(_) => "number",
        Json::String(_) => "string",
        Json::Array(items) => {
            for it in items {
                collect_types(it, &format!("{path}[]"), found);
            }
            "array"
        }
        Json::Object(fields) => {
            for (name, it) in fields {
                collect_types(it, &format!("{path}/{name}"), found);
            }
            "object"
        }
    };
    found.insert(path.to_owned(), kind);
}

#[test]
fn in_memory_engine_inspects_with_fields_of_a_real_one() {
    let inspected = |test: &Test| {
        test.import_image();
        let (name, network, volume) = (test.name("a"), test.name("net"), test.name("data"));
        let mount = format!("{volume}:/data");
        test.docker(&["network", "create", "--label", "a=b", &network]);
        let options = [
            "--network",
            &network,
            "-v",
            &mount,
            "-p",
            "80",
            "-e",
            "A=1",
            "-l",
            "c=d",
        ];
        let before = ["run", "-d", "--name", &name];
        test.docker(&[&before[..], &options, &[&test.prefix, "sleep", "1000"]].concat());
        let mut found = BTreeMap::new();
        for what in [&name, &network, &volume, &test.prefix] {
            let text = without_ids(&test.docker(&["inspect", what]), test);
            collect_types(&serde_json::from_str(&text).unwrap(), "", &mut found);
        }
        found
    };
    let (fake, real) = (
        inspected(&Test::in_memory("shown")),
        inspected(&Test::new("shown")),
    );
    assert!(fake.len() > 150, "{}", fake.len());
    let is_removed = |path: &str| {
        let mut removed = REMOVED_FIELDS.iter();
        removed.any(|(field, since)| path.ends_with(field) && api_minor() >= *since)
    };
    let differences: Vec<_> = fake
        .iter()
        .filter(|(path, kind)| real.get(*path) != Some(kind) && !is_removed(path))
        .collect();
    assert!(differences.is_empty(), "{differences:#?}");
}

/// Fields that newer engines do not show, and the first minor version of their API.
const REMOVED_FIELDS: [(&str, u32); 8] = [
    ("]/Container", 45),
    ("]/ContainerConfig", 45),
    ("/HostConfig/KernelMemory", 42),
    ("/HostConfig/KernelMemoryTCP", 42),
    ("/PREFIX-net/Aliases", 45),
    ("/PREFIX-net/Aliases[]", 45),
    ("]/VirtualSize", 44),
    ("/NetworkSettings/Bridge", 52),
];
