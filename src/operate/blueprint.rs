//! Reads blueprints: from a path to a deployment, or to diagnostics.

use super::{
    caller::Notice,
    error::{Error, Kind},
    input_args::{self, HiddenInputs},
    reference_cycle,
    settings::Settings,
    single_holder,
    workspace::Workspace,
};
use crate::{
    catalog,
    diagnostic::{self, Code, Diagnostic, Diagnostics, Sources},
    front,
    model::{
        self, Blueprint, Definition, Deployment, DeploymentSource, Instance, function, inputs,
    },
    plugins::Plugins,
    secrets::{Secrets, SensitiveInputs},
    syntax::Value,
};
use indexmap::IndexMap;
use serde_json::{Map as JsonMap, Value as Json};
use std::{
    collections::BTreeSet,
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
};

/// File names to look for if only a directory is given.
pub(crate) const DEFAULT_NAMES: [&str; 2] = ["blueprint.yaml", "blueprint.yml"];

/// Where a blueprint comes from.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    /// Path of its file.
    pub path: PathBuf,
    /// Its text, if it is not read from the file.
    pub text: Option<String>,
}

impl From<&Path> for Origin {
    fn from(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            text: None,
        }
    }
}

/// The result of reading a blueprint, valid or not.
pub(crate) struct LoadedBlueprint {
    pub sources: Sources,
    pub diagnostics: Diagnostics,
    /// The blueprint with inputs applied and functions evaluated as far as possible.
    pub blueprint: Blueprint,
    pub inputs: IndexMap<String, Value>,
    /// Inputs passed now or when the deployment was installed.
    pub given: JsonMap<String, Json>,
    /// Inputs that must not be stored or shown.
    pub sensitive: SensitiveInputs,
    /// The blueprint with the values of sensitive inputs, if there are any. Used only for checks.
    with_sensitive: Option<Blueprint>,
}

impl LoadedBlueprint {
    fn new(mut sources: Sources, diagnostics: Diagnostics, blueprint: Blueprint) -> Self {
        sensitive_defaults(&blueprint).for_each(|value| sources.withhold(value.span));
        let (inputs, given, sensitive) =
            (IndexMap::new(), JsonMap::new(), SensitiveInputs::default());
        let mut loaded = Self {
            sources,
            diagnostics,
            blueprint,
            inputs,
            given,
            sensitive,
            with_sensitive: None,
        };
        loaded.redact();
        loaded
    }

    /// Redacts sensitive values in diagnostics, by the location of the value and by its text.
    fn redact(&mut self) {
        let secrets = self.secrets();
        for fault in self.diagnostics.iter_mut() {
            if self.sources.is_withheld(fault.span) {
                redact(fault);
            }
            let related = &mut fault.related;
            related.retain(|(span, _)| !self.sources.is_withheld(*span));
            fault.scrub(|text| secrets.redact(text));
        }
    }

    /// Returns the values of sensitive inputs, including defaults.
    pub(crate) fn secrets(&self) -> Secrets {
        let secrets = Secrets::default();
        let defaults = sensitive_defaults(&self.blueprint).map(Value::to_json);
        let values = defaults.chain(self.sensitive.inputs.values().cloned());
        values.for_each(|value| secrets.register_value(&value));
        secrets
    }

    /// Returns the error for a request that requires a valid blueprint.
    pub(crate) fn to_error(&self) -> Error {
        Error::invalid(self.diagnostics.clone(), self.sources.clone())
    }

    /// Returns true if operations may create secrets that do not exist yet.
    fn creates_secrets(&self) -> bool {
        let mut nodes = self.blueprint.nodes.values();
        nodes.any(|node| Plugins::default().creates_secrets(&Definition::of(node, &self.sources)))
    }

    pub(crate) fn is_valid(&self) -> bool {
        !self.diagnostics.iter().any(Diagnostic::is_error)
    }
}

/// Returns the default values of sensitive inputs.
fn sensitive_defaults(blueprint: &Blueprint) -> impl Iterator<Item = &Value> {
    let names = blueprint.dockctl_metadata.sensitive.iter();
    names.filter_map(move |name| blueprint.inputs.get(name)?.body.default.as_ref())
}

/// Returns the default deployment name of a blueprint.
pub(crate) fn default_name(path: &Path) -> String {
    let path = absolute(path);
    let name = sanitize(&base_name(&path).unwrap_or_default().to_string_lossy());
    if name.is_empty() {
        "deployment".to_owned()
    } else {
        name
    }
}

/// Returns the name of the file, or of its directory if the file has a usual name.
fn base_name(path: &Path) -> Option<&OsStr> {
    if DEFAULT_NAMES.iter().any(|name| path.ends_with(name)) {
        path.parent()?.file_name()
    } else {
        path.file_stem()
    }
}

/// Converts to lower case, replaces other characters than `[a-z0-9_.-]` with `-`, and removes
/// leading `.`, `-` and `_`.
fn sanitize(name: &str) -> String {
    let mut clean = String::new();
    for c in name.to_lowercase().chars() {
        let is_clean = matches!(c, 'a'..='z' | '0'..='9' | '_' | '.' | '-');
        if is_clean || !clean.ends_with('-') {
            clean.push(if is_clean { c } else { '-' });
        }
    }
    clean.trim_start_matches(['.', '-', '_']).to_owned()
}

/// Returns the given name if it is a valid deployment name.
pub(crate) fn check_name(name: &str) -> Result<String, Error> {
    if !name.is_empty() && sanitize(name) == name {
        return Ok(name.to_owned());
    }
    Err(
        Error::usage(format!("`{name}` is not a valid deployment name"))
            .hint("use only the characters [a-z0-9_.-], and start with a letter or digit"),
    )
}

/// Returns the given name, or the default name of the blueprint. The name of a document of another
/// kind cannot be chosen.
pub(crate) fn deployment_name(
    given: Option<&str>,
    origin: &Origin,
    settings: &Settings,
) -> Result<String, Error> {
    let path = &origin.path;
    let read = || fs::read_to_string(path).unwrap_or_default();
    let text = origin.text.clone().unwrap_or_else(read);
    let own = front::name_of(&text, &settings.imports.documents);
    match (given, own) {
        (None, None) if path == Path::new("-") => {
            let error = Error::usage("a blueprint on standard input has no name");
            Err(error.hint("name the deployment: -d NAME"))
        }
        (None, None) => Ok(default_name(path)),
        (Some(given), None) => check_name(given),
        (Some(given), Some(own)) if given != own => {
            let message = format!("the deployment of this document is named `{own}`");
            Err(Error::usage(message).hint("leave out the name"))
        }
        (_, Some(own)) => check_name(&own),
    }
}

pub(crate) fn absolute(path: &Path) -> PathBuf {
    path.canonicalize()
        .or_else(|_| std::path::absolute(path))
        .unwrap_or_else(|_| path.to_owned())
}

/// Reads a blueprint with its imports, and collects the diagnostics that do not depend on inputs.
pub(crate) fn resolve(origin: &Origin, settings: &Settings) -> LoadedBlueprint {
    let (mut sources, mut d) = (Sources::default(), Diagnostics::default());
    let (path, imports) = (&origin.path, &settings.imports);
    let read = match &origin.text {
        Some(text) => Ok(sources.add_text(path.display().to_string(), text.as_str())),
        None => sources.read(path),
    };
    let ast = match read {
        Ok(main) => catalog::load_source(main, imports, &mut sources, &mut d),
        Err(error) => return unreadable_blueprint(path, &error.to_string()),
    };
    let provides = |plugin: &str| Plugins::default().provides(plugin);
    let blueprint = model::resolve(ast, &sources, provides, &mut d);
    LoadedBlueprint::new(sources, d, blueprint)
}

/// Applies inputs, and collects the diagnostics that depend on them. Inputs stored in `before`
/// apply unless they are passed again.
pub(crate) fn apply_inputs(
    loaded: &mut LoadedBlueprint,
    (arguments, variables): (&[String], &input_args::Variables),
    before: Option<&Deployment>,
    missing: inputs::MissingInputs,
) -> Result<(), Error> {
    let sensitive = loaded.blueprint.dockctl_metadata.sensitive.clone();
    // The inputs of an unreadable blueprint are unknown.
    let is_unknown = !loaded.is_valid() && loaded.blueprint.inputs.is_empty();
    let hidden = if is_unknown {
        HiddenInputs::All
    } else {
        HiddenInputs::Named(&sensitive)
    };
    let mut given = input_args::read(
        arguments,
        hidden,
        &mut loaded.sources,
        &mut loaded.diagnostics,
    )?;
    input_args::add_variables(
        &mut given,
        (&loaded.blueprint.inputs, variables),
        hidden,
        (&mut loaded.sources, &mut loaded.diagnostics),
    )?;
    add_stored_inputs(before, &loaded.blueprint, &mut given, &mut loaded.sources)?;
    let mut input_diagnostics = Diagnostics::default();
    loaded.inputs =
        inputs::input_values(&loaded.blueprint, &given, missing, &mut input_diagnostics);
    input_diagnostics.append(evaluate(loaded));
    if missing == inputs::MissingInputs::Allow && given.is_empty() {
        input_diagnostics.iter_mut().for_each(downgrade);
    }
    // Do not repeat errors of the blueprint itself.
    let is_reported = |fault: &Diagnostic| {
        loaded
            .diagnostics
            .iter()
            .any(|other| other.is_error() && other.span == fault.span)
    };
    input_diagnostics.retain(|fault| {
        !is_reported(fault) && (fault.code != Code::UndeclaredInput || !is_unknown)
    });
    loaded.diagnostics.append(input_diagnostics);
    loaded.redact();
    loaded.given = given
        .keys()
        .filter_map(|name| Some((name.clone(), loaded.inputs.get(name)?.to_json())))
        .collect();
    Ok(())
}

/// Evaluates a blueprint with its inputs, and returns the diagnostics. Sensitive inputs are not
/// inserted: their `get_input` calls remain.
fn evaluate(loaded: &mut LoadedBlueprint) -> Diagnostics {
    let mut faults = Diagnostics::default();
    let blueprint = std::mem::take(&mut loaded.blueprint);
    let is_sensitive = |name: &String| blueprint.dockctl_metadata.sensitive.contains(name);
    let values = loaded
        .inputs
        .iter()
        .filter(|(name, value)| is_sensitive(name) && !value.is_null());
    loaded.sensitive = SensitiveInputs::new(
        values
            .map(|(name, value)| (name.clone(), value.to_json()))
            .collect(),
    );
    if loaded.sensitive.inputs.is_empty() {
        loaded.blueprint = model::evaluate(blueprint, &mut loaded.inputs, &mut faults);
        return faults;
    }
    let mut inputs_without_sensitive = loaded.inputs.clone();
    inputs_without_sensitive.retain(|name, _| !loaded.sensitive.inputs.contains_key(name));
    let mut faults_without_sensitive = Diagnostics::default();
    let with_sensitive = model::evaluate(blueprint.clone(), &mut loaded.inputs, &mut faults);
    let mut without_sensitive = model::evaluate(
        blueprint,
        &mut inputs_without_sensitive,
        &mut faults_without_sensitive,
    );
    loaded
        .sensitive
        .merge_evaluations(&mut without_sensitive, &with_sensitive);
    loaded
        .sensitive
        .merge_inputs(&mut inputs_without_sensitive, &loaded.inputs);
    redact_sensitive(&mut faults, &faults_without_sensitive);
    (loaded.blueprint, loaded.with_sensitive, loaded.inputs) = (
        without_sensitive,
        Some(with_sensitive),
        inputs_without_sensitive,
    );
    faults
}

/// Redacts the diagnostics that occur only with the values of sensitive inputs.
fn redact_sensitive(faults: &mut Diagnostics, without: &Diagnostics) {
    for fault in faults.iter_mut().filter(|fault| !without.contains(fault)) {
        redact(fault);
    }
}

/// Removes all details except code and location.
fn redact(fault: &mut Diagnostic) {
    fault.message = format!(
        "the value of a sensitive input is invalid: {}",
        fault.code.rule()
    );
    fault.label = None;
    fault.hints.clear();
    fault.related.clear();
}

/// Turns an error into a warning if other inputs may avoid it. Cyclic properties and exceeded
/// limits remain errors.
pub(crate) fn downgrade(fault: &mut Diagnostic) {
    if !matches!(fault.code, Code::FunctionCycle | Code::Limit) {
        fault.severity = diagnostic::Severity::Warning;
        fault
            .hints
            .push("dockctl would refuse to install this with these inputs".to_owned());
    }
}

/// Reads a blueprint, applies inputs, and collects all diagnostics, including those of plugins.
pub(crate) fn load(
    origin: &Origin,
    arguments: &[String],
    before: Option<&Deployment>,
    missing: inputs::MissingInputs,
    settings: &Settings,
) -> Result<LoadedBlueprint, Error> {
    let mut loaded = resolve(origin, settings);
    apply_inputs(&mut loaded, (arguments, &settings.inputs), before, missing)?;
    loaded.blueprint.strip_input_types();
    let mut faults = Diagnostics::default();
    Plugins::default().check(&loaded.blueprint, &loaded.sources, &mut faults);
    if let Some(mut with_sensitive) = loaded.with_sensitive.take() {
        with_sensitive.strip_input_types();
        let mut more = Diagnostics::default();
        Plugins::default().check(&with_sensitive, &loaded.sources, &mut more);
        more.retain(|fault| !faults.contains(fault));
        more.iter_mut().for_each(redact);
        faults.append(more);
    }
    if loaded.blueprint.document.is_some() {
        faults.iter_mut().for_each(forget_node);
    }
    Plugins::default().advise(&loaded.blueprint, &mut loaded.diagnostics);
    loaded.diagnostics.append(faults);
    loaded.redact();
    if missing == inputs::MissingInputs::Reject && !loaded.creates_secrets() {
        check_secrets(
            &loaded.blueprint,
            &Secrets::new(settings.secrets.clone()),
            &mut loaded.diagnostics,
        );
    }
    loaded.diagnostics.finish(settings.strict);
    Ok(loaded)
}

/// Removes the name of the node from a diagnostic: a document of another kind has no nodes.
fn forget_node(fault: &mut Diagnostic) {
    let rest = fault.message.strip_prefix("node `");
    let rest = rest.and_then(|rest| rest.split_once("`: "));
    if let Some((_, message)) = rest {
        fault.message = message.to_owned();
    }
}

/// Reports missing secrets. Secrets with literal names must exist before a run starts.
pub(crate) fn check_secrets(blueprint: &Blueprint, secrets: &Secrets, d: &mut Diagnostics) {
    for (name, span) in model::normal::secrets(blueprint) {
        if let Err(why) = secrets.get(&name) {
            d.push(span.error(Code::UnknownSecret, why));
        }
    }
}

/// Adds stored inputs that are not passed again. Withheld values must be passed again.
fn add_stored_inputs(
    before: Option<&Deployment>,
    blueprint: &Blueprint,
    given: &mut IndexMap<String, inputs::GivenInput>,
    sources: &mut Sources,
) -> Result<(), Error> {
    let known = before.into_iter().flat_map(|before| &before.given);
    let without_sensitive: Vec<_> = known
        .filter(|(name, _)| blueprint.inputs.contains_key(*name) && !given.contains_key(*name))
        .collect();
    let is_withheld = |value: &serde_json::Value| !function::withheld_digests(value).is_empty();
    let missing: Vec<&String> = without_sensitive
        .iter()
        .filter(|(_, value)| is_withheld(value))
        .map(|(name, _)| *name)
        .collect();
    if !missing.is_empty() {
        return Err(missing_inputs(&missing));
    }
    for (name, value) in without_sensitive {
        let file = sources.add_text("<stored inputs>", format!("{name}: {value}"));
        given.insert(
            name.clone(),
            inputs::GivenInput {
                value: Value::from_json(value, sources.start(file)),
                bare: false,
            },
        );
    }
    Ok(())
}

/// Returns the error for sensitive inputs that must be passed again. The caller adds the command.
fn missing_inputs(names: &[&String]) -> Error {
    let mut error = Error::new(Kind::Invalid, not_stored_message(names));
    let again = names.iter().map(|name| format!(" -i {name}=VALUE"));
    error.missing_args = again.collect();
    error
}

fn not_stored_message(inputs: &[&String]) -> String {
    let names: Vec<String> = inputs.iter().map(|name| format!("`{name}`")).collect();
    let all = names.join(", ");
    if names.len() == 1 {
        format!("the value of the sensitive input {all} is not stored")
    } else {
        format!("the values of the sensitive inputs {all} are not stored")
    }
}

pub(crate) fn unreadable_blueprint(path: &Path, message: &str) -> LoadedBlueprint {
    let mut sources = Sources::default();
    let file = sources.add_text(path.display().to_string(), "");
    let diagnostics = [sources.start(file).error(Code::Unreadable, message)]
        .into_iter()
        .collect();
    LoadedBlueprint::new(sources, diagnostics, Blueprint::default())
}

/// Creates a deployment from a valid blueprint and shows warnings. Returns the diagnostics as an
/// error if the blueprint is invalid.
pub(crate) fn create_deployment(
    loaded: &mut LoadedBlueprint,
    name: &str,
    origin: &Origin,
    (before, planned): (Option<&Deployment>, &[Instance]),
    removed_first: &BTreeSet<String>,
    mut random: fastrand::Rng,
    workspace: &Workspace<'_>,
) -> Result<Deployment, Error> {
    // Files of a blueprint on standard input are relative to the current directory.
    let path = match &origin.text {
        Some(_) if origin.path != Path::new("-") => origin.path.clone(),
        _ => absolute(&origin.path),
    };
    let origin = DeploymentSource {
        name,
        path: &path,
        given: loaded.given.clone(),
        previous: before,
        planned,
        removed_first: removed_first.clone(),
        sources: &loaded.sources,
    };
    let mut d = Diagnostics::default();
    let (blueprint, inputs) = (&loaded.blueprint, &loaded.inputs);
    let deployment = loaded
        .is_valid()
        .then(|| Deployment::new(&origin, blueprint, inputs, &mut random, &mut d));
    if let Some(deployment) = &deployment {
        single_holder::check(deployment, blueprint, &mut d);
        reference_cycle::check(deployment, blueprint, &mut d);
    }
    loaded.diagnostics.append(d);
    loaded.diagnostics.finish(workspace.settings.strict);
    match deployment {
        Some(deployment) if loaded.is_valid() => {
            let caller = workspace.caller;
            caller.notify(&Notice::Diagnostics(&loaded.diagnostics, &loaded.sources));
            Ok(deployment)
        }
        _ => Err(loaded.to_error()),
    }
}

/// Adds the errors of the deployment that a valid blueprint would become, as far as its inputs are
/// known.
pub(crate) fn check_deployment(loaded: &LoadedBlueprint, path: &Path, d: &mut Diagnostics) {
    let origin = DeploymentSource {
        name: "deployment",
        path,
        given: loaded.given.clone(),
        previous: None,
        planned: &[],
        removed_first: BTreeSet::new(),
        sources: &loaded.sources,
    };
    let (mut random, mut scratch) = (fastrand::Rng::with_seed(0), Diagnostics::default());
    let (blueprint, inputs) = (&loaded.blueprint, &loaded.inputs);
    let deployment = Deployment::new(&origin, blueprint, inputs, &mut random, &mut scratch);
    if scratch.is_empty() {
        single_holder::check(&deployment, blueprint, d);
        reference_cycle::check(&deployment, blueprint, d);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_name_comes_from_the_blueprint_path() {
        for (path, name) in [
            ("/srv/My App/blueprint.yaml", "my-app"),
            ("/srv/x/web (2).yaml", "web-2-"),
            ("/srv/_hidden/blueprint.yml", "hidden"),
            ("/srv/ÄÖ/blueprint.yaml", "deployment"),
            ("/srv/x/nodecellar.v2.yaml", "nodecellar.v2"),
        ] {
            assert_eq!(default_name(Path::new(path)), name, "{path}");
        }
    }

    #[test]
    fn invalid_deployment_names_are_refused() {
        assert!(check_name("web-2").is_ok());
        assert!(check_name("../web").is_err());
        assert!(check_name("Web").is_err());
    }
}
