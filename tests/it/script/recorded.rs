//! Runs of Cloudify's script plugin, recorded in `tests/data/scripts.jsonl`, against runs of
//! dockctl.
//!
//! Runtime properties, returned values, kinds of failures, output and log lines must be the same.
//! Rows with `expect_difference` are those in which dockctl does what users need instead; their
//! expectations are in [`corrected`].

use crate::support::{Run, Test, project_root};
use serde_json::{Map as JsonMap, Value as Json, json};
use std::{collections::BTreeMap, fs, path::Path};

/// Rows whose workflow is a script, which dockctl refuses.
const SCRIPT_WORKFLOWS: [&str; 2] = ["wf_script", "wf_script_shell"];

/// What a run did, in a form that does not depend on IDs, paths and the order of streams.
#[derive(Debug, Default, PartialEq)]
struct Observed {
    is_success: bool,
    /// Runtime properties by node.
    properties: BTreeMap<String, Json>,
    /// Returned values, sorted.
    returned: Vec<String>,
    /// Failures: whether they are retried, and the message.
    failures: Vec<(bool, String)>,
    /// Lines of the log, sorted.
    log: Vec<String>,
}

fn rows() -> Vec<Json> {
    let text = fs::read_to_string(project_root().join("tests/data/scripts.jsonl")).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Returns the rows with the names that begin with one of these.
fn rows_of(prefixes: &[&str]) -> Vec<Json> {
    let is_chosen = |row: &Json| {
        let name = row["name"].as_str().unwrap();
        prefixes.iter().any(|prefix| name.starts_with(prefix)) && !SCRIPT_WORKFLOWS.contains(&name)
    };
    rows().into_iter().filter(is_chosen).collect()
}

/// Runs a row, and compares its effects with the recorded ones.
fn compare(row: &Json) {
    let name = row["name"].as_str().unwrap();
    let mut expected = expected(row);
    corrected(name, &mut expected);
    assert_eq!(observed(row), expected, "{name}: {}", row["about"]);
}

/// Writes the files of a row.
fn prepared(row: &Json) -> Test {
    let test = Test::new("script");
    let blueprint = test.path("blueprint.yaml");
    fs::write(&blueprint, row["blueprint"].as_str().unwrap()).unwrap();
    for (path, text) in row["files"].as_object().unwrap() {
        let path = test.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text.as_str().unwrap()).unwrap();
    }
    test
}

/// Writes the files of a row and runs its workflows.
fn observed(row: &Json) -> Observed {
    let test = prepared(row);
    let mut observed = Observed::default();
    for (workflow, parameters) in workflows(row) {
        let run = run(&test, row, (&workflow, &parameters));
        observed.add(&run, &test);
    }
    let status = test.run(&["status", "-d", "dep", "--output", "json"]);
    if status.code == 0 {
        observed.properties = properties(&status.json()["instances"], &test);
    }
    observed
}

/// Returns the workflows of a row with their parameters.
fn workflows(row: &Json) -> Vec<(String, JsonMap<String, Json>)> {
    let of = |step: &Json| {
        let workflow = step["workflow"].as_str().unwrap_or("install").to_owned();
        (
            workflow,
            step["parameters"].as_object().cloned().unwrap_or_default(),
        )
    };
    match row["workflows"].as_array() {
        Some(steps) => steps.iter().map(of).collect(),
        None => vec![of(row)],
    }
}

fn run(test: &Test, row: &Json, (workflow, parameters): (&str, &JsonMap<String, Json>)) -> Run {
    let retries = row["task_retries"].as_i64().unwrap_or(0).to_string();
    let options = [
        "-d",
        "dep",
        "--task-retries",
        &retries,
        "--task-retry-interval",
        "0",
        "--progress",
        "json",
        "--output",
        "json",
        "-y",
    ];
    let own: Vec<String> = match workflow {
        "install" => vec!["install".to_owned(), "blueprint.yaml".to_owned()],
        "uninstall" if parameters.get("ignore_failure") == Some(&json!(true)) => {
            vec!["uninstall".to_owned(), "--ignore-failure".to_owned()]
        }
        "uninstall" => vec!["uninstall".to_owned()],
        other => {
            // Cloudify executes workflows of deployments that are not installed.
            test.run(&[&["install", "blueprint.yaml"], &options[..]].concat());
            let given = parameters.iter().flat_map(|(name, value)| {
                let value = value
                    .as_str()
                    .map_or_else(|| value.to_string(), str::to_owned);
                ["-p".to_owned(), format!("{name}={value}")]
            });
            ["execute".to_owned(), other.to_owned()]
                .into_iter()
                .chain(given)
                .collect()
        }
    };
    let own: Vec<&str> = own.iter().map(String::as_str).collect();
    let mut command = test.command(&[&own[..], &options[..]].concat());
    for (name, value) in row["environ"].as_object().into_iter().flatten() {
        command.env(name, value.as_str().unwrap());
    }
    Run::from_output(&command.output().unwrap())
}

impl Observed {
    /// Adds what a run reported.
    fn add(&mut self, run: &Run, test: &Test) {
        self.is_success = run.code == 0;
        let events = run
            .stderr
            .lines()
            .filter_map(|line| serde_json::from_str::<Json>(line).ok());
        for event in events {
            match event["event"].as_str() {
                Some("log") => {
                    let level = event["level"].as_str().unwrap();
                    let text = event["text"].as_str().unwrap();
                    self.log
                        .push(plain(&format!("{level} {text}"), test.directory.path()));
                }
                Some("task_failed") => {
                    let failure = &event["failure"];
                    let message =
                        plain(failure["message"].as_str().unwrap(), test.directory.path());
                    self.failures
                        .push((failure["recoverable"] == true, message));
                }
                Some("task_succeeded") if event["step"].as_str().unwrap().starts_with("run ") => {
                    self.returned.push(event["outputs"]["result"].to_string());
                }
                _ => {}
            }
        }
        self.log.sort();
        self.returned.sort();
    }
}

fn properties(instances: &Json, test: &Test) -> BTreeMap<String, Json> {
    let instances = instances.as_array().unwrap().iter();
    instances
        .map(|it| {
            let text = plain(&it["runtime_properties"].to_string(), test.directory.path());
            let properties = serde_json::from_str(&text).unwrap();
            (it["node"].as_str().unwrap().to_owned(), properties)
        })
        .collect()
}

/// Replaces what differs between runs: directories, and the IDs of instances.
fn plain(text: &str, directory: &Path) -> String {
    let text = text.replace(&format!("{}/", directory.display()), "<DIRECTORY>/");
    let text = match text.split_once("<DIRECTORY>/state/runs/") {
        Some((before, after)) => {
            let rest = after.split_once("/script/").map_or(after, |(_, rest)| rest);
            format!("{before}<TMP>/{rest}")
        }
        None => text,
    };
    let text = text.replace("x".repeat(60_000).as_str(), "<x*60000>");
    let text = without_process_id(&text);
    match text.find("[n_").filter(|_| text.contains("instance id=")) {
        Some(at) => format!("{}[n_ID0{}", &text[..at], &text[at + 9..]),
        None => text,
    }
}

/// Replaces the process ID in lines about processes.
fn without_process_id(text: &str) -> String {
    for mark in ["Process created, PID: ", "Execution done (PID="] {
        if let Some((before, after)) = text.split_once(mark) {
            let rest = after.trim_start_matches(|c: char| c.is_ascii_digit());
            return format!("{before}{mark}<PID>{rest}");
        }
    }
    text.to_owned()
}

/// Returns what the recorded run did.
fn expected(row: &Json) -> Observed {
    let result = &row["result"];
    let list = |name: &str| result[name].as_array().cloned().unwrap_or_default();
    let mut expected = Observed {
        is_success: result["error"].is_null(),
        ..Observed::default()
    };
    for (_, instance) in result["instances"].as_object().into_iter().flatten() {
        let node = instance["node"].as_str().unwrap().to_owned();
        let properties = instance["runtime_properties"].clone();
        expected.properties.insert(node, properties);
    }
    for operation in list("ops") {
        match operation["raises"].as_object() {
            Some(raised) => expected.failures.push(recorded_failure(raised)),
            None => expected.returned.push(operation["returns"].to_string()),
        }
    }
    for line in list("log") {
        let (level, text) = (line[0].as_str().unwrap(), line[3].as_str().unwrap());
        expected
            .log
            .push(format!("{level} {}", recorded_line(text)));
    }
    expected.log.sort();
    expected.returned.sort();
    expected
}

/// Returns a recorded failure as dockctl words it: without the output, which it shows apart, and
/// with the class of exceptions that are not Cloudify's.
fn recorded_failure(raised: &JsonMap<String, Json>) -> (bool, String) {
    let message = raised["message"].as_str().unwrap();
    let text = match raised["class"].as_str().unwrap() {
        "NonRecoverableError" | "RecoverableError" | "OperationRetry" => message.to_owned(),
        "ProcessException" => message.split(", std").next().unwrap().to_owned(),
        class => format!("{class}: {message}"),
    };
    let classes = raised["mro"].as_array().unwrap();
    let is_final = classes.iter().any(|class| class == "NonRecoverableError");
    (!is_final, text.replace("<BLUEPRINT>/", "<DIRECTORY>/"))
}

/// Returns a recorded line as dockctl words it: one line for an error of `ctx`.
fn recorded_line(text: &str) -> String {
    let text = text.replace("<SCRATCH>", "/tmp/dockctl-case");
    for mark in ["<ctx error> ", "<traceback> "] {
        if let Some((before, error)) = text.split_once(mark) {
            let error = error.strip_prefix("json.decoder.").unwrap_or(error);
            return format!("{before}ctx: {error}");
        }
    }
    for (recorded, own) in [
        ("<out> urllib.error.URLError: ", "<out> ctx: URLError: "),
        ("<out> RuntimeError: ", "<out> ctx: RuntimeError: "),
    ] {
        if let Some(rest) = text.strip_prefix(recorded) {
            return format!("{own}{rest}");
        }
    }
    text
}

/// Changes what a row expects where dockctl does something else, on purpose.
fn corrected(name: &str, expected: &mut Observed) {
    let ordinary = |key: &str| {
        format!(
            "warning `{key}` is an ordinary key of the runtime properties; Cloudify takes it for a method of Python's dict"
        )
    };
    let set = |expected: &mut Observed, properties: Json, log: &[&str], keys: &[&str]| {
        expected.properties.insert("n".to_owned(), properties);
        let is_process = |line: &String| line.contains("PID");
        expected.log.retain(is_process);
        expected.log.extend(log.iter().map(ToString::to_string));
        expected.log.extend(keys.iter().map(|key| ordinary(key)));
        expected.log.sort();
    };
    match name {
        "rp_key_named_get" => set(
            expected,
            json!({ "get": "x" }),
            &["info <out> rc=0"],
            &["get"],
        ),
        "rp_key_named_items" => {
            let missing = ["items", "keys"]
                .map(|key| format!("info <err> ctx: RuntimeError: illegal path: {key}"));
            let log = [
                &missing[0],
                &missing[1],
                "info <out> rc=1",
                "info <out> rc=1",
            ];
            set(expected, json!({}), &log, &["items", "keys"]);
        }
        "rp_update_method" => {
            set(
                expected,
                json!({ "update": { "a": 1, "b": 2 } }),
                &["info <out> rc=0"],
                &["update"],
            );
        }
        "rp_pop_method" => {
            set(
                expected,
                json!({ "a": "1", "b": "2", "pop": "a" }),
                &["info <out> popped="],
                &["pop"],
            );
        }
        "rp_nested_lost_update" => {
            expected
                .properties
                .insert("n".to_owned(), json!({ "a": { "b": "second" } }));
        }
        "fail_then_success" => {
            let both = json!({ "attempts": { "a0": "seen", "a1": "seen" } });
            expected.properties.insert("n".to_owned(), both);
        }
        "no_args" => {
            let usage = [
                "info <err> usage: ctx [-h] [-t TIMEOUT] [--socket-url SOCKET_URL]",
                "info <err>            [--json-arg-prefix JSON_ARG_PREFIX] [-j]",
                "info <err>            [args ...]",
                "info <out> rc=1",
            ];
            set(expected, json!({}), &usage, &[]);
        }
        "get_resource" => {
            let text = [
                "info <out> plain text",
                "info <out> ",
                "info <out> [\"plain text\\n\"]",
            ];
            set(expected, json!({}), &text, &[]);
        }
        "proc_no_log_stderr_fail" => {
            expected.failures = vec![(true, "command: <TMP>/s.sh, exit_code: 2".to_owned())];
        }
        "py_print" => expected.log = vec!["info <out> to nowhere".to_owned()],
        // The words of another HTTP client.
        "map_http_url_refused" => {
            let message = "ConnectionError: cannot download http://127.0.0.1:1/x.sh: io: Connection refused (os error 111)";
            expected.failures = vec![(true, message.to_owned())];
        }
        // dockctl defines nothing that it refuses; Cloudify refuses it when it parses, too.
        _ => {}
    }
}

/// Every row is in one of the groups that the tests below run.
const GROUPS: [&[&str]; 4] = [
    &["rp_", "props_", "attr", "no_args", "logger_"],
    &[
        "ctx_",
        "get_",
        "download_",
        "render",
        "env_",
        "proc_",
        "exit_",
        "signal_",
        "out_",
    ],
    &[
        "returns_", "abort_", "retry_", "fail_", "timeout_", "socket_", "raw_", "map_", "wf_",
    ],
    &[
        "py_",
        "rel_",
        "host_",
        "bang_",
        "tmpdir",
        "script_",
        "execute_",
        "cluster_",
        "unquoted_",
        "nohup_",
        "parallel_",
        "large_",
        "uninstall_",
    ],
];

fn compare_group(group: &[&str]) {
    let rows = rows_of(group);
    assert!(!rows.is_empty());
    rows.iter().for_each(compare);
}

#[test]
fn every_row_is_in_one_group() {
    let all = rows();
    assert_eq!(all.len(), 130);
    for row in &all {
        let name = row["name"].as_str().unwrap();
        let groups = GROUPS.iter().flat_map(|group| group.iter());
        let fitting = groups.filter(|prefix| name.starts_with(**prefix)).count();
        assert!(fitting >= 1, "no group runs {name}");
    }
}

#[test]
fn properties_and_attributes_are_as_recorded() {
    compare_group(GROUPS[0]);
}

#[test]
fn resources_and_processes_are_as_recorded() {
    compare_group(GROUPS[1]);
}

#[test]
fn outcomes_and_mappings_are_as_recorded() {
    compare_group(GROUPS[2]);
}

#[test]
fn python_and_relationships_are_as_recorded() {
    compare_group(GROUPS[3]);
}

#[test]
fn workflows_that_are_scripts_are_refused_before_anything_runs() {
    let rows = rows();
    for name in SCRIPT_WORKFLOWS {
        let row = rows.iter().find(|row| row["name"] == name).unwrap();
        let test = prepared(row);
        test.run(&["install", "blueprint.yaml", "-d", "dep"])
            .exits_with(0);
        let refused = test.run(&["execute", "w", "-d", "dep"]).exits_with(3);
        refused.stderr_contains(&["the workflow `w` is implemented by", "does not support"]);
        let executions = test
            .run(&["executions", "-d", "dep", "--output", "json"])
            .json();
        assert_eq!(
            executions["executions"].as_array().unwrap().len(),
            1,
            "{name}"
        );
    }
}
