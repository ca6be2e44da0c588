//! `dockctl outputs`.

use super::{
    Outcome,
    args::{Global, OutputsFormat},
    complain,
    error::CliError,
    named, runtime,
    terminal::Terminal,
};
use crate::{
    model::{
        Deployment,
        function::{self, Surroundings},
    },
    plugins::Plugins,
    record::{Around, Record},
    seam::Observed,
    secrets::{HIDDEN, Secrets},
    syntax::plain,
};
use serde_json::{Map as JsonMap, Value as Json, json};
use std::sync::Arc;

/// Shows outputs and capabilities, evaluated with the present state of the engine.
pub(crate) fn outputs(
    global: &Global,
    given: Option<&str>,
    format: OutputsFormat,
) -> Result<Outcome, CliError> {
    let terminal = Terminal::new(global);
    let workspace = terminal.workspace()?;
    let name = named::name_to_read(&workspace, given)?;
    let mut record = workspace.record(&name)?;
    if !record.is_installed() {
        complain(&format!(
            "`{name}` is not installed: its outputs refer to removed objects\n"
        ));
    }
    let Some(deployment) = record.deployment.clone() else {
        return Err(CliError::usage(format!("there is no deployment `{name}`")));
    };
    let observed = runtime()?.block_on(async {
        workspace
            .observe(&workspace.connect()?.drivers(), &deployment, &record)
            .await
    })?;
    refresh(&mut record, &deployment, &observed);
    hide_properties(&mut record);
    let (outputs, capabilities) = (
        evaluate(&deployment.outputs, &record, &workspace.secrets),
        evaluate(&deployment.capabilities, &record, &workspace.secrets),
    );
    let text = match format {
        OutputsFormat::Text => lines(outputs.iter().chain(&capabilities), |name, value| {
            format!("{name}: {}\n", shown(value))
        }),
        OutputsFormat::Env => lines(&outputs, |name, value| {
            format!("{}={}\n", variable(name), one_line(&shown(value)))
        }),
        OutputsFormat::Shell => lines(&outputs, |name, value| {
            format!("export {}={}\n", variable(name), quoted(&shown(value)))
        }),
        OutputsFormat::Json => format!("{:#}\n", Json::from(outputs.clone())),
    };
    let text = if text.is_empty() && format == OutputsFormat::Text {
        "the blueprint declares no outputs\n".to_owned()
    } else {
        text
    };
    Ok(Outcome::new(
        json!({ "deployment": name, "installed": record.is_installed(), "outputs": outputs, "capabilities": capabilities }),
        text,
    ))
}

/// Updates recorded properties with observed ones: addresses change when a container restarts.
fn refresh(record: &mut Record, deployment: &Deployment, observed: &Observed) {
    for instance in &deployment.instances {
        let node = deployment
            .node(instance)
            .map(|node| record.made_from(instance, node));
        let Some(object) =
            node.and_then(|node| Plugins::default().object_of(node, instance, observed))
        else {
            continue;
        };
        if let Some(known) = record
            .instances
            .get_mut(&instance.id)
            .filter(|known| !known.state.is_gone())
        {
            known.properties.extend(object.properties.clone());
        }
    }
}

/// Redacts sensitive values in properties, because attributes can show properties.
fn hide_properties(record: &mut Record) {
    let nodes = record
        .deployment
        .iter_mut()
        .flat_map(|deployment| deployment.nodes.values_mut());
    for value in nodes
        .flat_map(|node| Arc::make_mut(node).properties.values_mut())
        .filter(|value| !function::withheld_digests(value).is_empty())
    {
        *value = function::without_secrets(value, &|_| HIDDEN.into());
    }
}

/// Evaluates outputs. As in Cloudify, an error replaces the value of its output, and the others are
/// still evaluated.
fn evaluate(
    outputs: &JsonMap<String, Json>,
    record: &Record,
    secrets: &Secrets,
) -> JsonMap<String, Json> {
    let around = Shown(Around {
        record,
        me: None,
        ends: None,
        secrets,
    });
    // The secret is loaded nevertheless: an attribute may contain it, and must then be redacted.
    let hide = |arguments: &Json| {
        let _ = arguments
            .as_str()
            .or_else(|| arguments[0].as_str())
            .map(|name| secrets.get(name));
        Json::from(HIDDEN)
    };
    let value = |value: &Json| {
        let hidden = function::without_secrets(value, &hide);
        let bound = function::bind(&hidden, &around);
        bound.map_or_else(
            |message| format!("<ERROR: {message}>").into(),
            |bound| plain(&bound),
        )
    };
    let all: JsonMap<String, Json> = outputs
        .iter()
        .map(|(name, output)| (name.clone(), value(output)))
        .collect();
    // Redact last, when all secrets are known: an output may contain a secret of another one.
    all.into_iter()
        .map(|(name, value)| (name, secrets.scrub_json(value)))
        .collect()
}

/// Surroundings for values in which secrets are already redacted.
struct Shown<'a>(Around<'a>);

impl Surroundings for Shown<'_> {
    fn withheld(&self, digest: &str) -> Result<Json, String> {
        self.0.withheld(digest)
    }

    fn attribute(&self, target: &str, path: &[Json]) -> Result<Json, String> {
        self.0.attribute(target, path)
    }

    fn attributes(&self, node: &str, path: &[Json]) -> Result<Vec<(String, Json)>, String> {
        self.0.attributes(node, path)
    }

    fn secret(&self, name: &str) -> Result<String, String> {
        self.0.secret(name)
    }

    fn deployment(&self, call: &str, arguments: &Json) -> Result<Json, String> {
        self.0.deployment(call, arguments)
    }

    fn hidden_text(&self) -> Option<&str> {
        Some(HIDDEN)
    }
}

fn lines<'o>(
    outputs: impl IntoIterator<Item = (&'o String, &'o Json)>,
    line: impl Fn(&str, &Json) -> String,
) -> String {
    outputs
        .into_iter()
        .map(|(name, value)| line(name, value))
        .collect()
}

/// Returns a name that shells accept: `web-url` becomes `web_url`.
fn variable(name: &str) -> String {
    let plain: String = name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
        .collect();
    if plain.starts_with(|c: char| c.is_ascii_digit()) {
        format!("_{plain}")
    } else {
        plain
    }
}

/// Escapes line breaks, because a file of variables has one variable per line.
fn one_line(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('\n', "\\n")
        .replace('\r', "\\r")
}

/// Quotes text for a shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

fn shown(value: &Json) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_values_are_such_as_shells_take() {
        assert_eq!(
            (variable("web-url"), variable("2nd"), variable("ok_1")),
            ("web_url".to_owned(), "_2nd".to_owned(), "ok_1".to_owned())
        );
        assert_eq!(quoted("it's $HOME"), "'it'\\''s $HOME'");
        assert_eq!(one_line("a\nb\\n"), "a\\nb\\\\n");
    }
}
