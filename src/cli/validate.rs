//! `dockctl validate`.

use super::{
    Outcome,
    args::{Global, Output},
    color, complain,
    error::{CliError, Kind, Shown},
    named,
    settings::stateless,
};
use crate::{
    diagnostic::{self, Code, Diagnostics, Severity},
    model::inputs::Missing,
    operate::blueprint::{self, Loaded},
    plugins::Plugins,
    report::count,
    stage::runs,
};
use serde_json::{Value as Json, json};
use std::path::{Path, PathBuf};

/// Reports all errors in blueprints. Missing inputs are not errors: they belong to a deployment.
pub(crate) fn validate(
    global: &Global,
    blueprints: &[PathBuf],
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
        let (path, mut loaded) = match (named::find(path), path) {
            (Ok(path), _) => (
                path.clone(),
                blueprint::load(&path, inputs, None, Missing::Open, &settings)?,
            ),
            (Err(error), Some(folder)) => (
                folder.to_owned(),
                blueprint::unreadable(folder, &error.error.message),
            ),
            (Err(error), None) => return Err(error),
        };
        warn_of_what_would_be_refused(&mut loaded, &path, global.strict);
        all.push((path, loaded));
    }
    let valid = all.iter().all(|(_, loaded)| loaded.is_valid());
    let mut fields = json!({ "valid": valid, "diagnostics": all.iter().flat_map(|(_, loaded)| shown(loaded)).collect::<Vec<Json>>() });
    let mut faults = Diagnostics::default();
    for (_, loaded) in &all {
        faults.append(loaded.diagnostics.clone());
    }
    diagnostic::json::omitted(&faults, &mut fields);
    let drawn: String = all
        .iter()
        .map(|(_, loaded)| {
            diagnostic::render::render(&loaded.diagnostics, &loaded.sources, color(global))
        })
        .collect();
    let for_machines = for_machines(global.output, &all);
    if valid {
        complain(&drawn);
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
        preamble: drawn,
        result: for_machines.unwrap_or_default(),
    });
    Err(error)
}

/// Returns the diagnostics as GitHub annotations or SARIF, if requested.
fn for_machines(output: Output, all: &[(PathBuf, Loaded)]) -> Option<String> {
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

fn shown(loaded: &Loaded) -> impl Iterator<Item = Json> + '_ {
    loaded
        .diagnostics
        .iter()
        .map(|one| diagnostic::json::diagnostic(one, &loaded.sources))
}

fn verdict(path: &Path, loaded: &Loaded) -> String {
    format!(
        "{}: valid ({})\n",
        path.display(),
        count(loaded.blueprint.nodes.len(), "node")
    )
}

/// Adds the diagnostics from expanding the blueprint into instances.
fn expand(loaded: &Loaded, d: &mut Diagnostics) {
    if loaded.is_valid() {
        let before = d.len();
        let _ = crate::model::expand(&loaded.blueprint, &[], &mut fastrand::Rng::with_seed(0), d);
        d[before..].iter_mut().for_each(blueprint::soften);
    }
}

/// Adds warnings about reasons for install to fail. The blueprint is valid nevertheless: a tarball
/// may be created later, a plugin may be available elsewhere.
fn warn_of_what_would_be_refused(loaded: &mut Loaded, path: &Path, strict: bool) {
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
    for node in loaded.blueprint.nodes.values() {
        let of_node = node.operations.iter().filter(|(name, _)| runs(name));
        let of_ties = node
            .relationships
            .iter()
            .flat_map(crate::model::Relationship::operations);
        let runs = of_node
            .chain(of_ties.filter(|(name, _)| runs(name)))
            .filter(|(_, operation)| !operation.is_empty());
        for (name, operation) in runs.filter(|(_, operation)| {
            !Plugins::default().supports(&operation.plugin, &operation.operation)
        }) {
            let message = format!(
                "node `{}`: operation `{name}` uses the plugin `{}`, which dockctl does not support",
                node.name.node, operation.plugin
            );
            d.push(
                operation
                    .span
                    .warning(Code::UnsupportedOperation, message)
                    .hint("install fails unless you add --skip-unsupported"),
            );
        }
    }
    loaded.diagnostics.append(d);
    loaded.diagnostics.settle(strict);
}
