//! Advice about scripts: `dockctl validate --scripts`. Reads the scripts, and runs nothing.

use super::{
    action::{PATH, PROCESS, SOURCE},
    language::{Language, dedent, python_2_mark},
    operation::is_script,
    shell::{self, Line},
};
use crate::{
    diagnostic::{Code, Diagnostics, Sources, Span},
    model::{Blueprint, Node, Operation},
    syntax::Value,
};
use std::{collections::BTreeSet, fs, path::PathBuf};

const START: &str = "cloudify.interfaces.lifecycle.start";
const STOP: &str = "cloudify.interfaces.lifecycle.stop";
/// Largest script that is read, in bytes.
const MAX_SIZE: u64 = 16 << 20;
/// Commands that practically always succeed.
const HARMLESS: [&str; 5] = ["echo", "printf", "true", ":", "export"];
/// Words that begin a line and run no command.
const GRAMMAR: [&str; 9] = ["fi", "done", "esac", "}", ")", "case", "for", "set", "trap"];
/// Words that show that a line fetches an address.
const FETCHERS: [&str; 8] = [
    "curl",
    "wget",
    "git clone",
    "pip install",
    "urlopen",
    "urlretrieve",
    "requests.get",
    "fetch ",
];

/// Something to know about a script. Its line is 0 if it is about the whole script.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Finding {
    code: Code,
    line: usize,
    message: String,
}

impl Finding {
    fn of_whole(code: Code, message: impl Into<String>) -> Self {
        let message = message.into();
        Self {
            code,
            line: 0,
            message,
        }
    }
}

/// The scripts of a blueprint, as far as they can be read.
struct Scripts<'a> {
    directories: Vec<PathBuf>,
    seen: BTreeSet<(String, Code, usize)>,
    d: &'a mut Diagnostics,
}

/// Reports findings in all scripts of a blueprint, each once.
pub(crate) fn lint(blueprint: &Blueprint, sources: &Sources, d: &mut Diagnostics) {
    let mut scripts = Scripts {
        directories: sources.directories(),
        seen: BTreeSet::new(),
        d,
    };
    for node in blueprint.nodes.values() {
        let relationships = node
            .relationships
            .iter()
            .flat_map(crate::model::Relationship::operations);
        for (_, operation) in node.operations.iter().chain(relationships) {
            if is_script(&operation.plugin, &operation.operation) {
                scripts.operation(operation);
            }
        }
        scripts.start_without_stop(node);
    }
}

impl Scripts<'_> {
    fn operation(&mut self, operation: &Operation) {
        let text = |name: &str| {
            let value = operation.inputs.get(name)?;
            value.as_str().map(|text| (text.to_owned(), value.span))
        };
        let process = operation.inputs.get(PROCESS);
        let process = process.map(Value::to_json).unwrap_or_default();
        let is_python = process["eval_python"].as_bool();
        let prefix = process["command_prefix"].as_str().unwrap_or_default();
        if calls_sudo(prefix, Language::Shell) {
            let message = "`process.command_prefix` needs sudo";
            let finding = Finding::of_whole(Code::ScriptNeedsSudo, message);
            self.report(prefix, operation.span, finding);
        }
        match (text(PATH), text(SOURCE)) {
            (Some((path, span)), _) => self.file(&path, span, is_python),
            (None, Some((source, span))) => self.inline(&dedent(&source), span, is_python),
            (None, None) => {}
        }
    }

    fn file(&mut self, path: &str, span: Span, is_python: Option<bool>) {
        if path.contains("://") {
            let message = format!("the script is fetched from {path}");
            self.report(path, span, Finding::of_whole(Code::ScriptFetches, message));
        }
        if let Some(content) = self.read(path) {
            let language = Language::of_file(path, is_python);
            self.findings(path, span, findings(&content, language));
        }
    }

    fn inline(&mut self, source: &str, span: Span, is_python: Option<bool>) {
        let language = Language::of_text(source, is_python);
        if language == Language::Undecided {
            let message = "this inline text may be shell or Python";
            self.report(
                source,
                span,
                Finding::of_whole(Code::ScriptLanguage, message),
            );
        }
        self.findings("the inline script", span, findings(source, language));
    }

    fn findings(&mut self, name: &str, span: Span, findings: Vec<Finding>) {
        for finding in findings {
            self.report(name, span, finding);
        }
    }

    fn report(&mut self, name: &str, span: Span, finding: Finding) {
        let Finding {
            code,
            line,
            message,
        } = finding;
        if !self.seen.insert((name.to_owned(), code, line)) {
            return;
        }
        let message = match line {
            0 => message,
            line => format!("{name}:{line}: {message}"),
        };
        self.d.push(span.warning(code, message).hint(advice(code)));
    }

    fn start_without_stop(&mut self, node: &Node) {
        let script = |name: &str| {
            let found = node.operations.get(name);
            found.filter(|it| is_script(&it.plugin, &it.operation))
        };
        let has_stop = node.operations.get(STOP).is_some_and(|it| !it.is_empty());
        let Some(start) = script(START).filter(|_| !has_stop) else {
            return;
        };
        let message = format!(
            "node `{}` has a script for `start` and no operation `stop`",
            node.name.node
        );
        let warning = start.span.warning(Code::ScriptStartsOnly, message);
        self.d.push(warning.hint(advice(Code::ScriptStartsOnly)));
    }

    /// Returns the text of a script next to the blueprint or its imports.
    fn read(&self, path: &str) -> Option<String> {
        let mut candidates = self
            .directories
            .iter()
            .map(|directory| directory.join(path));
        let found = candidates.find(|candidate| candidate.is_file())?;
        let is_small = fs::metadata(&found).is_ok_and(|data| data.len() <= MAX_SIZE);
        let content = fs::read(found).ok().filter(|_| is_small)?;
        Some(String::from_utf8_lossy(&content).into_owned())
    }
}

fn advice(code: Code) -> &'static str {
    match code {
        Code::ScriptHidesFailure => "add `set -e`, or end with the command whose result counts",
        Code::ScriptStartsOnly => {
            "add a script for `stop`, so that `uninstall` ends what `start` began"
        }
        Code::ScriptNeedsSudo => {
            "run dockctl as a user who needs no sudo, or allow it without a password"
        }
        Code::ScriptNeedsPython2 => "port the script to Python 3, or install python2",
        Code::ScriptFetches => "make sure that the address can be reached where the script runs",
        _ => "begin with a `#!` line, or set `process.eval_python`",
    }
}

/// Returns the findings in the text of a script.
fn findings(text: &str, language: Language) -> Vec<Finding> {
    let mut all = Vec::new();
    if language == Language::Shell {
        all.extend(hidden_failure(text));
    }
    let interpreter = text.lines().next().filter(|line| line.starts_with("#!"));
    if language == Language::Python || interpreter.is_some_and(|line| line.contains("python")) {
        let mark = python_2_mark(text);
        all.extend(mark.map(|(line, mark)| Finding {
            code: Code::ScriptNeedsPython2,
            line,
            message: format!("this is Python 2: `{mark}`"),
        }));
    }
    let lines = lines_of(text, language);
    let variables = fetched_variables(&lines, language);
    for line in &lines {
        if calls_sudo(&line.text, language) {
            let message = "this command needs sudo".to_owned();
            all.push(Finding {
                code: Code::ScriptNeedsSudo,
                line: line.number,
                message,
            });
        }
        all.extend(fetched(&line.text, &variables).map(|address| Finding {
            code: Code::ScriptFetches,
            line: line.number,
            message: format!("this line fetches {address}"),
        }));
    }
    all
}

fn lines_of(text: &str, language: Language) -> Vec<Line> {
    if language != Language::Python {
        return shell::lines(text);
    }
    let lines = text.lines().enumerate();
    let lines = lines.map(|(at, line)| Line {
        number: at + 1,
        text: shell::without_comment(line).to_owned(),
    });
    lines.collect()
}

/// Returns true if a line runs sudo. In shell scripts it is the first word of a command; in Python
/// it is the first word of a text.
fn calls_sudo(line: &str, language: Language) -> bool {
    if language == Language::Python {
        let mut texts = line.split(['\'', '"']).skip(1);
        return texts.any(|text| text == "sudo" || text.starts_with("sudo "));
    }
    shell::commands(line).any(|words| words.first() == Some(&"sudo"))
}

fn fetches(line: &str) -> bool {
    FETCHERS.iter().any(|fetcher| line.contains(fetcher))
}

/// Returns the names of the variables that lines fetch.
fn fetched_variables(lines: &[Line], language: Language) -> BTreeSet<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let names = |line: &Line| -> Vec<String> {
        let words: Vec<&str> = match language {
            Language::Python => line.text.split(|c| !is_part(c)).collect(),
            _ => line.text.split('$').skip(1).collect(),
        };
        let names = words.into_iter().map(|word| {
            let word = word.trim_start_matches('{');
            word.chars().take_while(|c| is_part(*c)).collect::<String>()
        });
        names.filter(|name| !name.is_empty()).collect()
    };
    lines
        .iter()
        .filter(|line| fetches(&line.text))
        .flat_map(names)
        .collect()
}

/// Returns the address that a line fetches, or stores in a variable that another line fetches.
fn fetched<'a>(line: &'a str, variables: &BTreeSet<String>) -> Option<&'a str> {
    let start = line.find("http://").or_else(|| line.find("https://"))?;
    let assigned = line[..start].split_once('=');
    let assigned = assigned.and_then(|(name, _)| name.split_whitespace().last());
    let is_fetched = fetches(line) || assigned.is_some_and(|name| variables.contains(name));
    let end = line[start..].find(|c: char| c.is_whitespace() || "'\")`;|>".contains(c));
    let address = &line[start..end.map_or(line.len(), |end| start + end)];
    is_fetched.then_some(address)
}

/// Returns the last command of a shell script if it succeeds whatever happened before it.
fn hidden_failure(text: &str) -> Option<Finding> {
    let lines = shell::lines(text);
    if shell::is_strict(text, &lines) {
        return None;
    }
    let (last, before) = lines.split_last()?;
    // This file makes every failure of `ctx` end the script.
    let loads = |line: &Line| matches!(line.text.as_str(), ". ctx-sh" | "source ctx-sh");
    let ends_with_ctx = before.iter().any(loads);
    let may_fail = |line: &Line| !loads(line) && may_fail(&line.text, ends_with_ctx);
    let hides = before.iter().any(may_fail) && succeeds(&last.text);
    hides.then(|| Finding {
        code: Code::ScriptHidesFailure,
        line: last.number,
        message: format!(
            "the last command, `{}`, hides failures of the commands before it",
            last.text
        ),
    })
}

/// Returns true for a command that practically always succeeds.
fn succeeds(line: &str) -> bool {
    let word = line.split_whitespace().next().unwrap_or_default();
    (HARMLESS.contains(&word) || word == "ctx") && !line.contains("&&")
        || line == "exit 0"
        || line.ends_with("|| true")
        || line.ends_with("|| :")
}

/// Returns true for a line with a command whose failure the script does not handle.
fn may_fail(line: &str, ends_with_ctx: bool) -> bool {
    let is_handled = ["|| exit", "|| return", "|| {", "|| true", "|| :"];
    let mut commands = shell::commands(line);
    let is_grammar = |word: &str| {
        GRAMMAR.contains(&word) || HARMLESS.contains(&word) || ends_with_ctx && word == "ctx"
    };
    !is_handled.iter().any(|handling| line.contains(handling))
        && commands.any(|words| words.first().is_some_and(|word| !is_grammar(word)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(text: &str, language: Language) -> Vec<(Code, usize)> {
        let found = findings(text, language);
        found
            .into_iter()
            .map(|finding| (finding.code, finding.line))
            .collect()
    }

    #[test]
    fn shell_scripts_that_hide_failures_are_found() {
        for text in [
            "#!/bin/sh\nfalse\necho done\n",
            "false\nctx logger info x\n",
            "make\nrm x || true\n",
            ". ctx-sh\nmake\necho done\n",
            "cat <<E >f\nset -e\nE\nmake\nexit 0\n",
            "ctx instance runtime-properties a b\necho done\n",
        ] {
            let found = codes(text, Language::Shell);
            assert_eq!(found.len(), 1, "{text}: {found:?}");
            assert_eq!(found[0].0, Code::ScriptHidesFailure);
        }
        for text in [
            "#!/bin/sh -e\nfalse\necho done\n",
            "#!/bin/bash\nset -euo pipefail\nfalse\necho\n",
            "set -o errexit\nfalse\necho\n",
            ". ctx-sh\nctx x\necho\n",
            "#!/bin/sh\necho only\n",
            "echo one\necho two\n",
            "make || exit 1\necho done\n",
            "make\nmake test && echo done\n",
            "false\nmake\n",
        ] {
            assert_eq!(codes(text, Language::Shell), [], "{text}");
        }
    }

    #[test]
    fn sudo_python_2_and_addresses_are_found() {
        for (line, is_call) in [
            ("sudo yum install x", true),
            ("if x; then sudo y; fi", true),
            ("x=$(sudo cat y)", true),
            ("echo \"no sudo please\"", false),
            ("sudoers=1", false),
        ] {
            assert_eq!(calls_sudo(line, Language::Shell), is_call, "{line}");
        }
        assert!(calls_sudo(
            "subprocess.call(['sudo', 'x'])",
            Language::Python
        ));
        assert!(!calls_sudo("sudo = 1", Language::Python));
        let text = "set -e\n# sudo in a comment\nsudo yum install x\ncurl -o f 'https://example.org/f' | sh\necho https://example.org\n";
        let found = [(Code::ScriptNeedsSudo, 3), (Code::ScriptFetches, 4)];
        assert_eq!(codes(text, Language::Shell), found);
        let none = BTreeSet::new();
        assert_eq!(fetched("curl https://a.b/c)", &none), Some("https://a.b/c"));
        let variable = "set -e\nURL='https://a.b/c'\nOTHER=https://d.e\nwget -q \"${URL}\"\n";
        let found = [(Code::ScriptFetches, 2)];
        assert_eq!(codes(variable, Language::Shell), found);
        let variable = "url = 'https://a.b/c'\nurlopen(url)\n";
        assert_eq!(
            codes(variable, Language::Python),
            [(Code::ScriptFetches, 1)]
        );
        assert_eq!(
            codes("x = 1\nprint x\n", Language::Python),
            [(Code::ScriptNeedsPython2, 2)]
        );
    }
}
