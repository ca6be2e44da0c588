//! `dockctl validate`.

use super::{
    Outcome,
    args::{Global, Output},
    color_stderr,
    error::{CliError, Kind, Shown},
    print_error, selection,
    settings::stateless,
};
use crate::{
    diagnostic::{self, Code, Diagnostics, Severity},
    model::{Definition, Node, Relationship, inputs::MissingInputs},
    operate::blueprint::{self, LoadedBlueprint},
    plugins::Plugins,
    report::count,
    stage::is_lifecycle_operation,
};
use serde_json::{Value as Json, json};
use std::path::{Path, PathBuf};

/// Reports all errors in blueprints. Missing inputs are not errors: they belong to a deployment.
pub(crate) fn validate(
    global: &Global,
    (blueprints, checks_scripts): (&[PathBuf], bool),
    inputs: &[String],
) -> Result<Outcome, CliError> {
    let given: Vec<Option<&Path>> = if blueprints.is_empty() {
        vec![None]
    } else {
        blueprints.iter().map(|path| Some(path.as_path())).collect()
    };
    let settings = stateless(global);
    let mut all = Vec::new();
    for path in given {
        // A directory without a blueprint is an error like any other; the others are still
        // validated.
        let (path, mut loaded) = match (selection::origin(path), path) {
            (Ok(origin), _) => (
                origin.path.clone(),
                blueprint::load(&origin, inputs, None, MissingInputs::Allow, &settings)?,
            ),
            (Err(error), Some(directory)) => (
                directory.to_owned(),
                blueprint::unreadable_blueprint(directory, &error.error.message),
            ),
            (Err(error), None) => return Err(error),
        };
        warn_about_install_failures(&mut loaded, &path, global.strict);
        if checks_scripts && loaded.is_valid() {
            lint_scripts(&mut loaded, global.strict);
        }
        all.push((path, loaded));
    }
    let valid = all.iter().all(|(_, loaded)| loaded.is_valid());
    let mut fields = json!({ "valid": valid, "diagnostics": all.iter().flat_map(|(_, loaded)| diagnostics_json(loaded)).collect::<Vec<Json>>() });
    let mut faults = Diagnostics::default();
    for (_, loaded) in &all {
        faults.append(loaded.diagnostics.clone());
    }
    diagnostic::json::omitted(&faults, &mut fields);
    let rendered: String = all
        .iter()
        .map(|(_, loaded)| {
            diagnostic::render::render(&loaded.diagnostics, &loaded.sources, color_stderr(global))
        })
        .collect();
    let for_machines = machine_output(global.output, &all);
    if valid {
        print_error(&rendered);
        let text = for_machines.unwrap_or_else(|| {
            all.iter()
                .map(|(path, loaded)| verdict(path, loaded))
                .collect()
        });
        return Ok(Outcome::new(fields, text));
    }
    let mut error = CliError::new(Kind::Invalid, diagnostic::render::summary(&faults));
    error.shown = Some(Shown {
        fields,
        preamble: rendered,
        result: for_machines.unwrap_or_default(),
    });
    Err(error)
}

/// Adds warnings about the scripts of a blueprint.
fn lint_scripts(loaded: &mut LoadedBlueprint, strict: bool) {
    let mut d = Diagnostics::default();
    Plugins::default().lint_scripts(&loaded.blueprint, &loaded.sources, &mut d);
    loaded.diagnostics.append(d);
    loaded.diagnostics.finish(strict);
}

/// Returns the diagnostics as GitHub annotations or SARIF, if requested.
fn machine_output(output: Output, all: &[(PathBuf, LoadedBlueprint)]) -> Option<String> {
    match output {
        Output::Github => Some(
            all.iter()
                .map(|(_, loaded)| {
                    diagnostic::github::annotations(&loaded.diagnostics, &loaded.sources)
                })
                .collect(),
        ),
        Output::Sarif => {
            let each = || {
                all.iter().flat_map(|(_, loaded)| {
                    loaded
                        .diagnostics
                        .iter()
                        .map(move |one| (one, &loaded.sources))
                })
            };
            let results: Vec<Json> = each()
                .map(|(one, sources)| diagnostic::sarif::result(one, sources))
                .collect();
            let log = diagnostic::sarif::log(&results, &each().map(|(one, _)| one.code).collect());
            Some(format!("{log:#}\n"))
        }
        _ => None,
    }
}

fn diagnostics_json(loaded: &LoadedBlueprint) -> impl Iterator<Item = Json> + '_ {
    loaded
        .diagnostics
        .iter()
        .map(|one| diagnostic::json::diagnostic(one, &loaded.sources))
}

fn verdict(path: &Path, loaded: &LoadedBlueprint) -> String {
    format!(
        "{}: valid ({})\n",
        path.display(),
        count(loaded.blueprint.nodes.len(), "node")
    )
}

/// Adds the diagnostics from expanding the blueprint into instances.
fn expand(loaded: &LoadedBlueprint, d: &mut Diagnostics) {
    if loaded.is_valid() {
        let before = d.len();
        let _ = crate::model::expand(&loaded.blueprint, &[], &mut fastrand::Rng::with_seed(0), d);
        d[before..].iter_mut().for_each(blueprint::downgrade);
    }
}

/// Adds warnings about reasons for install to fail. The blueprint is valid nevertheless: a tarball
/// may be created later, a plugin may be available elsewhere.
fn warn_about_install_failures(loaded: &mut LoadedBlueprint, path: &Path, strict: bool) {
    let absolute = blueprint::absolute(path);
    let mut d = Diagnostics::default();
    Plugins::default().check_files(
        &loaded.blueprint,
        absolute.parent().unwrap_or(Path::new(".")),
        &mut d,
    );
    for diagnostic in d.iter_mut() {
        diagnostic.severity = Severity::Warning;
    }
    expand(loaded, &mut d);
    if loaded.is_valid() {
        blueprint::check_deployment(loaded, &absolute, &mut d);
    }
    for node in loaded.blueprint.nodes.values() {
        warn_about_unsupported(loaded, node, &mut d);
    }
    loaded.diagnostics.append(d);
    loaded.diagnostics.finish(strict);
}

/// Adds a warning for each lifecycle operation of a node that install cannot run.
fn warn_about_unsupported(loaded: &LoadedBlueprint, node: &Node, d: &mut Diagnostics) {
    let plugins = Plugins::default();
    let definition = |node| Definition::of(node, &loaded.sources);
    let host = node
        .host
        .as_ref()
        .and_then(|host| loaded.blueprint.nodes.get(host));
    let (host, planned) = (host.map(definition), definition(node));
    let runs_elsewhere = |name: &str| {
        let operation = planned.operations.get(name);
        operation.is_some_and(|it| plugins.runs_elsewhere(it, host.as_ref()))
    };
    let relationships = node.relationships.iter().flat_map(Relationship::operations);
    let operations = node.operations.iter().chain(relationships);
    let operations = operations.filter(|(name, it)| is_lifecycle_operation(name) && !it.is_empty());
    for (name, operation) in operations {
        let why = if !plugins.supports(&operation.plugin, &operation.operation) {
            format!(
                "uses the plugin `{}`, which dockctl does not support",
                operation.plugin
            )
        } else if runs_elsewhere(name) {
            "runs on another host, which dockctl does not support".to_owned()
        } else {
            continue;
        };
        let message = format!("node `{}`: operation `{name}` {why}", node.name.node);
        let warning = operation.span.warning(Code::UnsupportedOperation, message);
        d.push(warning.hint("install fails unless you add --skip-unsupported"));
    }
}
