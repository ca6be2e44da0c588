//! Blueprints with the recorded results of Cloudify's own parser: verdict, error, plan, instances.
//!
//! `tests/data/dsl/*.jsonl` contains one case per line, by rule; `measured.jsonl` was added later.
//! In a blueprint, `%TYPES%` is replaced by the text of `types.yaml`. In a plan, `{"$": n}` is
//! replaced by entry n of `fragments.json`.

use dockctl::{
    catalog,
    diagnostic::{Code, Diagnostic, Diagnostics, Sources},
    model::{
        self, Blueprint, Instance,
        inputs::{GivenInput, MissingInputs, input_values},
        normal::{self, PlanPhase},
    },
    plugins::Plugins,
    syntax::Value,
};
use indexmap::IndexMap;
use serde_json::{Value as Json, json};
use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
};

/// Recorded error of blueprints on which Cloudify's parser hangs. dockctl reports a function cycle.
const REFERENCE_HANG: &str = "ReferenceHang";

#[test]
fn recorded_blueprints_match_the_reference() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/dsl");
    let read = |name: &str| fs::read_to_string(directory.join(name)).unwrap();
    let fragments: Vec<Json> = serde_json::from_str(&read("fragments.json")).unwrap();
    let types = read("types.yaml");
    let mut files: Vec<_> = fs::read_dir(&directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.retain(|path| path.extension().is_some_and(|end| end == "jsonl"));
    files.sort();
    let (mut count, mut failures) = (0, Vec::new());
    for line in files.iter().flat_map(|path| {
        fs::read_to_string(path)
            .unwrap()
            .lines()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    }) {
        let case: Json = serde_json::from_str(&line).unwrap();
        count += 1;
        if let Err(difference) = run_case(&case, &types, &fragments) {
            failures.push(format!(
                "{} {}: {difference}",
                case["kind"].as_str().unwrap(),
                case["rule"].as_str().unwrap()
            ));
        }
    }
    assert_eq!(count, 1479);
    assert!(
        failures.is_empty(),
        "{} of {count} differ:\n{}",
        failures.len(),
        failures.join("\n")
    );
}

/// Runs one case. Returns an error that lists the differences from the recorded result.
fn run_case(case: &Json, types: &str, fragments: &[Json]) -> Result<(), String> {
    let directory = tempfile::tempdir().unwrap();
    let main = write_files(case, types, directory.path());
    let (mut sources, mut faults) = (Sources::default(), Diagnostics::default());
    let blueprint = resolve(&main, &mut sources, &mut faults);
    let deploy = case["kind"] == "deploy" && !faults.iter().any(Diagnostic::is_error);
    let (blueprint, inputs) = if deploy {
        apply_inputs(case, blueprint, &mut sources, &mut faults)
    } else {
        (blueprint, IndexMap::new())
    };
    let instances = if deploy {
        model::expand(
            &blueprint,
            &[],
            &mut fastrand::Rng::with_seed(7),
            &mut faults,
        )
    } else {
        Vec::new()
    };
    faults.retain(Diagnostic::is_error);

    if let Some(error) = case["error"].as_array() {
        return expect_error(error, &faults);
    }
    expect_no_errors(&faults)?;
    let stage = if deploy {
        PlanPhase::Deployed { inputs: &inputs }
    } else {
        PlanPhase::Parsed
    };
    expect_equal(
        "plan",
        &with_fragments(&case["plan"], fragments),
        &normal::plan(&blueprint, stage),
    )?;
    if deploy {
        expect_deployment(case, fragments, &blueprint, &instances)?;
    }
    Ok(())
}

/// Writes the files of a case. Returns the path of its blueprint.
fn write_files(case: &Json, types: &str, directory: &Path) -> PathBuf {
    let write = |name: &str, text: &str| {
        let path = directory.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    };
    for (name, text) in case["files"].as_object().into_iter().flatten() {
        write(name, text.as_str().unwrap());
    }
    let text = case["blueprint"]
        .as_str()
        .unwrap()
        .replace("%TYPES%", types);
    write(case["main"].as_str().unwrap_or("blueprint.yaml"), &text)
}

fn resolve(main: &Path, sources: &mut Sources, faults: &mut Diagnostics) -> Blueprint {
    let options = catalog::Options {
        network: catalog::Network {
            offline: true,
            cache: None,
        },
        ..catalog::Options::default()
    };
    let ast = catalog::load(main, &options, sources, faults).unwrap();
    model::resolve(
        ast,
        sources,
        |plugin| Plugins::default().provides(plugin),
        faults,
    )
}

fn apply_inputs(
    case: &Json,
    blueprint: Blueprint,
    sources: &mut Sources,
    faults: &mut Diagnostics,
) -> (Blueprint, IndexMap<String, Value>) {
    let file = sources.add_text("<inputs>", "");
    let given = case["inputs"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, value)| {
            (
                name.clone(),
                GivenInput {
                    value: Value::from_json(value, sources.start(file)),
                    bare: case["bare"] == true,
                },
            )
        });
    let mut inputs = input_values(&blueprint, &given.collect(), MissingInputs::Reject, faults);
    (model::evaluate(blueprint, &mut inputs, faults), inputs)
}

/// Compares the results that only a deployment has: instances and inter-deployment functions.
fn expect_deployment(
    case: &Json,
    fragments: &[Json],
    blueprint: &Blueprint,
    instances: &[Instance],
) -> Result<(), String> {
    expect_equal(
        "shape",
        &with_fragments(&case["shape"], fragments),
        &normal::instance_summary(instances),
    )?;
    if !case["instances"].is_null() {
        expect_equal(
            "instances",
            &with_numbered_ids(&with_fragments(&case["instances"], fragments)),
            &with_numbered_ids(&normal::instances(instances)),
        )?;
    }
    let calls = case
        .get("inter_deployment_functions")
        .cloned()
        .unwrap_or_else(|| json!([]));
    expect_equal(
        "inter-deployment functions",
        &calls,
        &normal::inter_deployment_functions(blueprint).into(),
    )
}

fn expect_no_errors(faults: &[Diagnostic]) -> Result<(), String> {
    if faults.is_empty() {
        return Ok(());
    }
    Err(format!(
        "unexpected errors: {}",
        faults
            .iter()
            .map(|fault| fault.message.as_str())
            .collect::<Vec<_>>()
            .join("; ")
    ))
}

fn expect_error(error: &[Json], faults: &[Diagnostic]) -> Result<(), String> {
    let has_reference = |code: Code| {
        code.reference().is_some_and(|reference| {
            reference.class == error[0] && json!(reference.code) == error[1]
        })
    };
    let matches = |fault: &Diagnostic| {
        if error[0] == REFERENCE_HANG {
            fault.code == Code::FunctionCycle
        } else {
            has_reference(fault.code)
        }
    };
    if faults.iter().any(matches) {
        return Ok(());
    }
    let reported: Vec<String> = faults
        .iter()
        .map(|fault| format!("{} {}", fault.code.as_str(), fault.message))
        .collect();
    Err(format!("expected {error:?}, found {reported:?}"))
}

/// Returns a value with its fragments inserted.
fn with_fragments(value: &Json, fragments: &[Json]) -> Json {
    match value {
        Json::Object(object) => match object.get("$").and_then(Json::as_u64) {
            Some(at) => with_fragments(&fragments[usize::try_from(at).unwrap()], fragments),
            None => object
                .iter()
                .map(|(key, value)| (key.clone(), with_fragments(value, fragments)))
                .collect(),
        },
        Json::Array(items) => items
            .iter()
            .map(|item| with_fragments(item, fragments))
            .collect(),
        other => other.clone(),
    }
}

/// Returns instances with numbered IDs instead of random ones. Relationships lose the target's ID,
/// which depends on the random part; only the target node is compared.
fn with_numbered_ids(instances: &Json) -> Json {
    let mut names: HashMap<String, String> = HashMap::new();
    let mut counts: HashMap<String, usize> = HashMap::new();
    let mut name = |id: &Json, node: &Json| {
        let (id, node) = (
            id.as_str().unwrap().to_owned(),
            node.as_str().unwrap().to_owned(),
        );
        let count = counts.entry(node.clone()).or_default();
        names.entry(id).or_insert_with(|| {
            *count += 1;
            format!("{node}#{count}")
        });
    };
    for instance in instances.as_array().unwrap() {
        name(&instance["id"], &instance["node"]);
        for group in instance["scaling_groups"].as_array().into_iter().flatten() {
            name(&group["id"], &group["name"]);
        }
    }
    let mut result = instances.clone();
    for instance in result.as_array_mut().unwrap() {
        for key in ["id", "host_id"] {
            if let Some(id) = instance.get(key).and_then(Json::as_str) {
                instance[key] = names[id].clone().into();
            }
        }
        for group in instance["scaling_groups"]
            .as_array_mut()
            .into_iter()
            .flatten()
        {
            group["id"] = names[group["id"].as_str().unwrap()].clone().into();
        }
        for relationship in instance["relationships"]
            .as_array_mut()
            .into_iter()
            .flatten()
        {
            relationship.as_object_mut().unwrap().remove("target_id");
        }
    }
    result
}

fn expect_equal(what: &str, expected: &Json, actual: &Json) -> Result<(), String> {
    let mut differences = Vec::new();
    compare("", expected, actual, &mut differences);
    if differences.is_empty() {
        Ok(())
    } else {
        Err(format!("difference in {what}: {}", differences.join("; ")))
    }
}

fn compare(path: &str, expected: &Json, actual: &Json, differences: &mut Vec<String>) {
    match (expected, actual) {
        (Json::Object(expected_map), Json::Object(other)) => {
            for (key, value) in expected_map {
                match other.get(key) {
                    Some(actual) => compare(&format!("{path}.{key}"), value, actual, differences),
                    None => differences.push(format!("{path}.{key} is missing")),
                }
            }
            differences.extend(
                other
                    .keys()
                    .filter(|key| !expected_map.contains_key(*key))
                    .map(|key| format!("{path}.{key} is unexpected")),
            );
        }
        _ if expected != actual => {
            differences.push(format!("{path} is {actual}, expected {expected}"))
        }
        _ => {}
    }
}
