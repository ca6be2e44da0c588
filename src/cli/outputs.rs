//! `dockctl outputs`.

use super::{
    Outcome,
    args::{Global, OutputsFormat},
    error::CliError,
    print_error, runtime, selection,
    terminal::Terminal,
    unseen,
};
use crate::{
    model::{
        Deployment,
        function::{self, EvaluationContext},
    },
    plugins::Plugins,
    printable::printable_json,
    record::{FunctionContext, Record},
    seam::Observed,
    secrets::{PLACEHOLDER, Secrets},
    syntax::without_marks,
};
use serde_json::{Map as JsonMap, Value as Json, json};
use std::{collections::BTreeMap, sync::Arc};

/// Shows outputs and capabilities, evaluated with the present state of the engine.
pub(crate) fn outputs(
    global: &Global,
    given: Option<&str>,
    (format, prefix): (OutputsFormat, &str),
) -> Result<Outcome, CliError> {
    let terminal = Terminal::new(global);
    let workspace = terminal.workspace()?;
    let name = selection::name_to_read(&workspace, given)?;
    let mut record = workspace.record(&name)?;
    if !record.is_installed() {
        print_error(&format!(
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
            format!("{name}: {}\n", text(value))
        }),
        OutputsFormat::Env => lines(&outputs, |name, value| {
            let name = variable_name(&format!("{prefix}{name}"));
            format!("{name}={}\n", escaped_line(&text(value)))
        }),
        OutputsFormat::Shell => {
            refuse_special(&outputs, prefix)?;
            refuse_same(&outputs, prefix)?;
            lines(&outputs, |name, value| {
                let name = variable_name(&format!("{prefix}{name}"));
                format!("export {name}={}\n", quoted(&text(value)))
            })
        }
        OutputsFormat::Json => printable_json(format!("{:#}\n", Json::from(outputs.clone()))),
    };
    let text = if text.is_empty() && format == OutputsFormat::Text {
        "the blueprint declares no outputs\n".to_owned()
    } else {
        text
    };
    let fields = json!({ "deployment": name, "installed": record.is_installed(), "outputs": outputs, "capabilities": capabilities });
    let outcome = match format {
        OutputsFormat::Text => Outcome::new(fields, text),
        OutputsFormat::Env | OutputsFormat::Shell | OutputsFormat::Json => {
            Outcome::exact(fields, text)
        }
    };
    unseen::complete(outcome, &observed.unseen)
}

/// Updates recorded properties with observed ones: addresses change when a container restarts.
fn refresh(record: &mut Record, deployment: &Deployment, observed: &Observed) {
    for instance in &deployment.instances {
        let node = deployment
            .node(instance)
            .map(|node| record.object_definition(instance, node));
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
        *value = function::replace_secrets(value, &|_| PLACEHOLDER.into());
    }
}

/// Evaluates outputs. As in Cloudify, an error replaces the value of its output, and the others are
/// still evaluated.
fn evaluate(
    outputs: &JsonMap<String, Json>,
    record: &Record,
    secrets: &Secrets,
) -> JsonMap<String, Json> {
    let context = Redacted(FunctionContext {
        record,
        self_id: None,
        ends: None,
        secrets,
    });
    // The secret is loaded nevertheless: an attribute may contain it, and must then be redacted.
    let hide = |arguments: &Json| {
        let _ = arguments
            .as_str()
            .or_else(|| arguments[0].as_str())
            .map(|name| secrets.get(name));
        Json::from(PLACEHOLDER)
    };
    let value = |value: &Json| {
        let hidden = function::replace_secrets(value, &hide);
        let bound = function::bind(&hidden, &context);
        bound.map_or_else(
            |message| format!("<ERROR: {message}>").into(),
            |bound| without_marks(&bound),
        )
    };
    let all: JsonMap<String, Json> = outputs
        .iter()
        .map(|(name, output)| (name.clone(), value(output)))
        .collect();
    // Redact last, when all secrets are known: an output may contain a secret of another one.
    all.into_iter()
        .map(|(name, value)| (name, secrets.redact_json(value)))
        .collect()
}

/// Surroundings for values in which secrets are already redacted.
struct Redacted<'a>(FunctionContext<'a>);

impl EvaluationContext for Redacted<'_> {
    fn withheld(&self, digest: &str) -> Result<Json, String> {
        self.0.withheld(digest)
    }

    fn attribute(&self, target: &str, path: &[Json]) -> Result<Json, String> {
        self.0.masked_attribute(target, path, PLACEHOLDER)
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

    fn placeholder(&self) -> Option<&str> {
        Some(PLACEHOLDER)
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

/// Variables that change how a shell or the programs that it starts work.
const SPECIAL: [&str; 92] = [
    "PATH",
    "IFS",
    "ENV",
    "HOME",
    "SHELL",
    "SHELLOPTS",
    "BASHOPTS",
    "CDPATH",
    "GLOBIGNORE",
    "PROMPT_COMMAND",
    "PS0",
    "PS1",
    "PS2",
    "PS3",
    "PS4",
    "PROMPT",
    "OPTIND",
    "OPTARG",
    "PWD",
    "OLDPWD",
    "UID",
    "EUID",
    "PPID",
    "FPATH",
    "ZDOTDIR",
    "PERL5OPT",
    "RUBYOPT",
    "NODE_OPTIONS",
    "JAVA_TOOL_OPTIONS",
    "JDK_JAVA_OPTIONS",
    "_JAVA_OPTIONS",
    "POSIXLY_CORRECT",
    "TMOUT",
    "EXECIGNORE",
    "FIGNORE",
    "FUNCNEST",
    "INPUTRC",
    "HISTFILE",
    "GCONV_PATH",
    "LOCPATH",
    "EDITOR",
    "VISUAL",
    "PAGER",
    "GIT_SSH",
    "GIT_SSH_COMMAND",
    "GIT_ASKPASS",
    "GIT_EDITOR",
    "GIT_PAGER",
    "GIT_EXTERNAL_DIFF",
    "GIT_EXEC_PATH",
    "TMPDIR",
    "LANG",
    "LANGUAGE",
    "TERM",
    "TERMINFO",
    "TIMEFORMAT",
    "IGNOREEOF",
    "HOSTFILE",
    "GLIBC_TUNABLES",
    "LESSOPEN",
    "LESSCLOSE",
    "SSH_ASKPASS",
    "SUDO_ASKPASS",
    "EXINIT",
    "VIMINIT",
    "FCEDIT",
    "NULLCMD",
    "READNULLCMD",
    "RANDOM",
    "SECONDS",
    "LINENO",
    "_",
    // zsh ties these to the variables in upper case, or calls the functions in them.
    "path",
    "fpath",
    "cdpath",
    "fignore",
    "prompt",
    "status",
    "argv",
    "manpath",
    "module_path",
    "psvar",
    "watch",
    "histchars",
    "options",
    "functions",
    "aliases",
    "precmd_functions",
    "preexec_functions",
    "chpwd_functions",
    "periodic_functions",
    "zshexit_functions",
];
/// Beginnings of the names of such variables.
const SPECIAL_PREFIXES: [&str; 7] = [
    "LD_",
    "DYLD_",
    "BASH_",
    "PYTHON",
    "PERL5",
    "GIT_CONFIG",
    "LC_",
];

/// Refuses outputs whose variables would change how a shell works.
fn refuse_special(outputs: &JsonMap<String, Json>, prefix: &str) -> Result<(), CliError> {
    let variable = |name: &str| variable_name(&format!("{prefix}{name}"));
    let Some(name) = outputs.keys().find(|name| is_special(&variable(name))) else {
        return Ok(());
    };
    let message = format!(
        "the output `{name}` would set the variable `{}`, which changes how shells work",
        variable(name)
    );
    let hint = "add a text before each name, for example: --prefix OUT_";
    Err(CliError::usage(message).hint(hint))
}

/// Refuses outputs whose variables have the same name.
fn refuse_same(outputs: &JsonMap<String, Json>, prefix: &str) -> Result<(), CliError> {
    let mut seen: BTreeMap<String, &str> = BTreeMap::new();
    for name in outputs.keys() {
        let variable = variable_name(&format!("{prefix}{name}"));
        if let Some(other) = seen.insert(variable.clone(), name) {
            let message = format!(
                "the outputs `{other}` and `{name}` would both set the variable `{variable}`"
            );
            return Err(CliError::usage(message).hint("rename one of them, or use --output json"));
        }
    }
    Ok(())
}

fn is_special(variable: &str) -> bool {
    let mut prefixes = SPECIAL_PREFIXES.iter();
    SPECIAL.contains(&variable) || prefixes.any(|prefix| variable.starts_with(prefix))
}

/// Returns a name that shells accept: `web-url` becomes `web_url`.
fn variable_name(name: &str) -> String {
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
fn escaped_line(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('\n', "\\n")
        .replace('\r', "\\r")
}

/// Quotes text for a shell. A line of the text does not begin a line of the output, which another
/// program could take for its own: GitHub reads `::`.
fn quoted(text: &str) -> String {
    let quoted = text.replace('\'', "'\\''").replace('\n', "\n''");
    format!("'{quoted}'")
}

fn text(value: &Json) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_values_are_valid_in_shells() {
        assert_eq!(
            (
                variable_name("web-url"),
                variable_name("2nd"),
                variable_name("ok_1")
            ),
            ("web_url".to_owned(), "_2nd".to_owned(), "ok_1".to_owned())
        );
        assert_eq!(quoted("it's $HOME"), "'it'\\''s $HOME'");
        assert_eq!(quoted("a\n::b"), "'a\n''::b'");
        let special = [
            "PATH",
            "path",
            "LD_PRELOAD",
            "BASH_ENV",
            "PYTHONPATH",
            "TMOUT",
        ];
        assert!(special.iter().all(|name| is_special(name)));
        assert!(
            !["paths", "URL", "OUT_PATH", "GIT_COMMIT"]
                .iter()
                .any(|name| is_special(name))
        );
        assert_eq!(escaped_line("a\nb\\n"), "a\\nb\\\\n");
    }
}
