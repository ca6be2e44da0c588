//! The process of a script, from the inputs of its operation.

use super::{
    action::{CERTIFICATE, PATH, PROCESS, SOURCE},
    python_json::variable_text,
};
use crate::{model::function::python_text, seam::Failure};
use serde_json::{Map as JsonMap, Value as Json};

/// Inputs that are settings of the runner and no variables.
const RESERVED: [&str; 4] = [PATH, SOURCE, PROCESS, CERTIFICATE];

/// Settings of the process, from the input `process`.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "the settings of Cloudify")]
pub(crate) struct Process {
    /// Variables. They win over inputs with the same name.
    pub env: Vec<(String, String)>,
    /// Working directory.
    pub cwd: Option<String>,
    /// Arguments of the script, as a part of a shell command.
    pub args: String,
    /// Text before the script's path in the shell command.
    pub prefix: String,
    /// Whether the script is Python that dockctl evaluates; none if its name decides.
    pub is_python: Option<bool>,
    /// Whether the script gets `ctx`.
    pub has_ctx: bool,
    /// Writes errors to the standard output.
    pub merges_errors: bool,
    /// Logs the standard output.
    pub logs_output: bool,
    /// Logs the standard error.
    pub logs_errors: bool,
}

impl Process {
    /// Reads the settings.
    ///
    /// # Errors
    ///
    /// If a setting has an invalid value. The failures and their kinds are those of Cloudify.
    pub(crate) fn read(inputs: &JsonMap<String, Json>) -> Result<Self, Failure> {
        let settings = inputs.get(PROCESS).unwrap_or(&Json::Null);
        if !settings.is_object() && !settings.is_null() {
            return Err(Failure::fatal("the input `process` is not a mapping"));
        }
        if !settings["env"].is_object() && !settings["env"].is_null() {
            return Err(Failure::fatal("`process.env` is not a mapping"));
        }
        let flag = |name: &str| settings[name].as_bool();
        let text = |name: &str| match &settings[name] {
            Json::Null => None,
            value => Some(python_text(value)).filter(|text| !text.is_empty()),
        };
        Ok(Self {
            env: variables(settings["env"].as_object()),
            cwd: text("cwd"),
            args: arguments(&settings["args"])?,
            prefix: text("command_prefix").unwrap_or_default(),
            is_python: flag("eval_python"),
            has_ctx: has_ctx(&settings["ctx_proxy_type"])?,
            merges_errors: flag("stderr_to_stdout").unwrap_or(false),
            logs_output: flag("log_stdout").unwrap_or(true),
            logs_errors: flag("log_stderr").unwrap_or(true),
        })
    }

    /// Returns the variables of the process: inputs, then `process.env`.
    pub(crate) fn variables(&self, inputs: &JsonMap<String, Json>) -> Vec<(String, String)> {
        let mut own = inputs.clone();
        own.retain(|name, _| !RESERVED.contains(&name.as_str()));
        let mut all = variables(Some(&own));
        all.extend(self.env.clone());
        all
    }

    /// Returns the shell command that runs a script.
    pub(crate) fn command(&self, script: &str) -> String {
        let script = shell_word(script);
        let parts = [&*self.prefix, &*script, &*self.args];
        let parts = parts.into_iter().filter(|part| !part.is_empty());
        parts.collect::<Vec<_>>().join(" ")
    }
}

/// Quotes a word for the shell if that is necessary.
pub(crate) fn shell_word(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@%,=".contains(c);
    if text.chars().all(is_plain) && !text.is_empty() {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

fn variables(values: Option<&JsonMap<String, Json>>) -> Vec<(String, String)> {
    let values = values.into_iter().flatten();
    values
        .map(|(name, value)| (name.clone(), variable_text(value)))
        .collect()
}

/// Returns the arguments as a part of a shell command. As in Cloudify they are not quoted, so that
/// `$((1 + 1))` and quotes inside them are evaluated.
fn arguments(value: &Json) -> Result<String, Failure> {
    let items = match value {
        Json::Null => return Ok(String::new()),
        Json::Array(items) => items,
        _ => return Err(Failure::fatal("`process.args` is not a list").temporary()),
    };
    let other = items.iter().find(|item| !item.is_string());
    if let Some(item) = other {
        let message = format!("TypeError: an item of `process.args` is not a string: {item}");
        return Err(Failure::fatal(message).temporary());
    }
    let texts: Vec<&str> = items.iter().filter_map(Json::as_str).collect();
    Ok(texts.join(" "))
}

fn has_ctx(kind: &Json) -> Result<bool, Failure> {
    match kind {
        Json::Null => Ok(true),
        Json::String(name) => match name.as_str() {
            "" | "auto" | "http" => Ok(true),
            "none" => Ok(false),
            other => Err(unsupported_proxy(other)),
        },
        other => Err(unsupported_proxy(&python_text(other))),
    }
}

fn unsupported_proxy(name: &str) -> Failure {
    Failure::fatal(format!("Unsupported proxy type: {name}"))
        .hint("set `process.ctx_proxy_type` to `auto`, `http` or `none`")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[expect(clippy::needless_pass_by_value, reason = "tests are shorter")]
    fn read(inputs: Json) -> Result<Process, Failure> {
        Process::read(inputs.as_object().unwrap())
    }

    #[test]
    fn variables_of_the_process_win_over_inputs() {
        let inputs = json!({
            "script_path": "s.sh", "ssl_cert_content": "x", "a": "input", "b": 1,
            "process": { "env": { "a": "process", "c": null } }
        });
        let inputs = inputs.as_object().unwrap();
        let variables = Process::read(inputs).unwrap().variables(inputs);
        let text: Vec<String> = variables
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        assert_eq!(text, ["a=input", "b=1", "a=process", "c=None"]);
    }

    #[test]
    fn prefix_and_arguments_surround_the_script() {
        let process =
            json!({ "process": { "args": ["one", "\"two words\""], "command_prefix": "sh -e" } });
        assert_eq!(
            read(process).unwrap().command("/x/s.sh"),
            "sh -e /x/s.sh one \"two words\""
        );
        assert_eq!(read(json!({})).unwrap().command("/x/s.sh"), "/x/s.sh");
        let odd = read(json!({})).unwrap().command("/it's here/s.sh");
        assert_eq!(odd, r"'/it'\''s here/s.sh'");
    }

    #[test]
    fn invalid_settings_fail_as_in_cloudify() {
        let failed = read(json!({ "process": { "ctx_proxy_type": "smoke" } })).unwrap_err();
        assert_eq!(failed.message, "Unsupported proxy type: smoke");
        assert!(!failed.is_recoverable());
        assert!(
            read(json!({ "process": { "args": ["a", 1] } }))
                .unwrap_err()
                .is_recoverable()
        );
        assert!(
            !read(json!({ "process": { "ctx_proxy_type": "none" } }))
                .unwrap()
                .has_ctx
        );
    }
}
