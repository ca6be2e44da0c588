//! Advice about scripts: `dockctl validate --scripts`. Reads the scripts, and runs nothing.

use super::{
    action::{PATH, PROCESS, SOURCE},
    language::{Language, dedent, python_2_mark},
    operation::is_script,
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
const HARMLESS: [&str; 5] = ["echo", "printf", "true", ":", "ctx"];
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

/// Something to know about a script: line and description.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Finding {
    code: Code,
    line: usize,
    message: String,
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
            let message = "`process.command_prefix` needs sudo".to_owned();
            let finding = Finding {
                code: Code::ScriptNeedsSudo,
                line: 0,
                message,
            };
            self.report(prefix, operation.span, finding);
        }
        if let Some((path, span)) = text(PATH) {
            if path.contains("://") {
                let message = format!("the script is fetched from {path}");
                self.report(
                    &path,
                    span,
                    Finding {
                        code: Code::ScriptFetches,
                        line: 0,
                        message,
                    },
                );
            }
            let Some(content) = self.read(&path) else {
                return;
            };
            let language = Language::of_file(&path, is_python);
            self.findings(&path, span, findings(&content, language));
        } else if let Some((source, span)) = text(SOURCE) {
            let source = dedent(&source);
            let language = Language::of_text(&source, is_python);
            if language == Language::Undecided {
                let message = "this inline text may be shell or Python".to_owned();
                self.report(
                    &source,
                    span,
                    Finding {
                        code: Code::ScriptLanguage,
                        line: 0,
                        message,
                    },
                );
            }
            self.findings("the inline script", span, findings(&source, language));
        }
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
    for (at, line) in text.lines().enumerate() {
        let code = line.split(" #").next().unwrap_or_default().trim();
        if code.starts_with('#') {
            continue;
        }
        if calls_sudo(code, language) {
            let message = "this command needs sudo".to_owned();
            all.push(Finding {
                code: Code::ScriptNeedsSudo,
                line: at + 1,
                message,
            });
        }
        all.extend(fetched(code).map(|address| Finding {
            code: Code::ScriptFetches,
            line: at + 1,
            message: format!("this line fetches {address}"),
        }));
    }
    all
}

/// Returns true if a line runs sudo. In shell scripts it is the first word of a command; in Python
/// it is the first word of a text.
fn calls_sudo(line: &str, language: Language) -> bool {
    if language == Language::Python {
        let mut texts = line.split(['\'', '"']).skip(1);
        return texts.any(|text| text == "sudo" || text.starts_with("sudo "));
    }
    let before = [
        "then", "do", "else", "if", "exec", "env", "!", "time", "nohup",
    ];
    line.split([';', '|', '&', '(', '`', '{']).any(|command| {
        let mut words = command
            .split_whitespace()
            .skip_while(|word| before.contains(word));
        words.next() == Some("sudo")
    })
}

/// Returns the address that a line fetches.
fn fetched(line: &str) -> Option<&str> {
    let start = line.find("http://").or_else(|| line.find("https://"))?;
    let is_fetched = FETCHERS.iter().any(|fetcher| line.contains(fetcher));
    let end = line[start..].find(|c: char| c.is_whitespace() || "'\")`;|>".contains(c));
    let address = &line[start..end.map_or(line.len(), |end| start + end)];
    is_fetched.then_some(address)
}

/// Returns the last command of a shell script if it succeeds whatever happened before it.
fn hidden_failure(text: &str) -> Option<Finding> {
    let first = text.lines().next().unwrap_or_default();
    let has_option = |line: &str| {
        let mut words = line.split_whitespace();
        let is_set = words.next() == Some("set");
        is_set
            && words.any(|word| word == "errexit" || (word.starts_with('-') && word.contains('e')))
    };
    let is_strict =
        first.starts_with("#!") && first.split_whitespace().any(|word| word.starts_with("-e"));
    let stops = |line: &str| has_option(line.trim()) || line.trim() == ". ctx-sh";
    if is_strict || text.lines().any(stops) {
        return None;
    }
    let is_command = |(_, line): &(usize, &str)| {
        let line = line.trim();
        !line.is_empty() && !line.starts_with('#')
    };
    let commands: Vec<(usize, &str)> = text.lines().enumerate().filter(is_command).collect();
    let (at, last) = commands.last().filter(|_| commands.len() > 1)?;
    let last = last.trim();
    let word = last.split_whitespace().next().unwrap_or_default();
    let is_harmless = HARMLESS.contains(&word)
        || last == "exit 0"
        || last.ends_with("|| true")
        || last.ends_with("|| :");
    is_harmless.then(|| Finding {
        code: Code::ScriptHidesFailure,
        line: at + 1,
        message: format!("the last command, `{last}`, hides failures of the commands before it"),
    })
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
        assert_eq!(fetched("curl https://a.b/c)"), Some("https://a.b/c"));
        assert_eq!(
            codes("x = 1\nprint x\n", Language::Python),
            [(Code::ScriptNeedsPython2, 2)]
        );
    }
}
