//! The language of a script.

use std::path::Path;

/// The language of a script, as far as its name and its first line show.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Language {
    /// A process that the shell starts.
    Shell,
    /// Python that dockctl evaluates.
    Python,
    /// Inline text: Python if it can be parsed as Python, else shell.
    Undecided,
}

impl Language {
    /// Returns the language of a file.
    pub(crate) fn of_file(path: &str, is_python: Option<bool>) -> Self {
        let extension = Path::new(path).extension();
        let named = extension.is_some_and(|it| it.eq_ignore_ascii_case("py"));
        if is_python.unwrap_or(named) {
            Self::Python
        } else {
            Self::Shell
        }
    }

    /// Returns the language of inline text. A `#!` line decides; Cloudify ignores it.
    pub(crate) fn of_text(text: &str, is_python: Option<bool>) -> Self {
        let first = text.lines().next().unwrap_or_default();
        match (is_python, first.strip_prefix("#!")) {
            (Some(true), _) => Self::Python,
            (None, Some(interpreter)) if interpreter.contains("python") => Self::Python,
            (Some(false), _) | (None, Some(_)) => Self::Shell,
            (None, None) => Self::Undecided,
        }
    }
}

/// Returns the text with the indentation removed that all its lines share, like `textwrap.dedent`.
#[must_use]
pub(crate) fn dedent(text: &str) -> String {
    let is_blank = |line: &&str| line.trim().is_empty();
    let margin = |line: &str| -> String {
        line.chars()
            .take_while(|c| matches!(c, ' ' | '\t'))
            .collect()
    };
    let mut lines = text.split('\n').filter(|line| !is_blank(line));
    let first = lines.next().map(margin).unwrap_or_default();
    let common = lines.fold(first, |common, line| {
        let shared = common.chars().zip(line.chars());
        shared.take_while(|(a, b)| a == b).map(|(a, _)| a).collect()
    });
    let cut = |line: &str| {
        if line.trim().is_empty() {
            String::new()
        } else {
            line.strip_prefix(&common).unwrap_or(line).to_owned()
        }
    };
    text.split('\n').map(cut).collect::<Vec<_>>().join("\n")
}

/// Words that show that a file handles both versions of Python.
const GUARDS: [&str; 7] = [
    "hasattr(",
    "version_info",
    "NameError",
    "ImportError",
    "AttributeError",
    "PY2",
    "PY3",
];
/// Names that exist only in Python 2, with the character that must follow.
const NAMES: [&str; 9] = [
    "basestring",
    "unicode(",
    "xrange(",
    "raw_input(",
    "urllib.urlretrieve(",
    "urllib.urlopen(",
    "pip.main(",
    ".iteritems(",
    ".has_key(",
];
/// Modules that exist only in Python 2.
const MODULES: [&str; 6] = [
    "urllib2",
    "ConfigParser",
    "Queue",
    "StringIO",
    "httplib",
    "urlparse",
];

/// Returns the first mark that shows that a Python file needs Python 2: line and text.
#[must_use]
pub(crate) fn python_2_mark(text: &str) -> Option<(usize, String)> {
    let first = text.lines().next().unwrap_or_default();
    if first.starts_with("#!") && first.contains("python2") {
        return Some((1, first.to_owned()));
    }
    let guarded = GUARDS.iter().any(|word| text.contains(word));
    let mut quoted = None;
    for (at, line) in text.lines().enumerate() {
        let code = code_of(line, &mut quoted);
        let code = code.trim();
        let is_mark = has_old_syntax(code) || (!guarded && has_old_name(code, text));
        if is_mark {
            return Some((at + 1, line.trim().to_owned()));
        }
    }
    None
}

/// Returns the code of a line: without comments, and with empty strings. `quoted` is the quote of a
/// string that begins in an earlier line.
fn code_of(line: &str, quoted: &mut Option<&'static str>) -> String {
    let (mut code, mut rest) = (String::new(), line);
    while !rest.is_empty() {
        if let Some(quote) = *quoted {
            let Some(end) = end_of_string(rest, quote) else {
                if quote.len() == 1 && !rest.ends_with('\\') {
                    *quoted = None;
                }
                return code;
            };
            (*quoted, rest) = (None, &rest[end..]);
            code.push_str("''");
            continue;
        }
        let marks = ["\"\"\"", "'''", "\"", "'"];
        match marks.into_iter().find(|quote| rest.starts_with(quote)) {
            Some(quote) => (*quoted, rest) = (Some(quote), &rest[quote.len()..]),
            None if rest.starts_with('#') => return code,
            None => {
                let next = rest.chars().next().unwrap_or_default();
                code.push(next);
                rest = &rest[next.len_utf8()..];
            }
        }
    }
    code
}

fn end_of_string(text: &str, quote: &str) -> Option<usize> {
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        if rest.starts_with(quote) {
            return Some(at + quote.len());
        }
        let mut chars = rest.chars();
        let first = chars.next().map_or(1, char::len_utf8);
        let escaped = if rest.starts_with('\\') {
            chars.next().map_or(0, char::len_utf8)
        } else {
            0
        };
        at += first + escaped;
    }
    None
}

/// Returns true for a statement that Python 3 cannot parse: `print x`, `exec x`, `raise E, x`,
/// `except E, x`.
fn has_old_syntax(code: &str) -> bool {
    let statement = |word: &str| {
        let rest = code
            .strip_prefix(word)
            .and_then(|rest| rest.strip_prefix(' '));
        let rest = rest.map(str::trim_start).unwrap_or_default();
        let begins = rest.starts_with(|c: char| c.is_alphanumeric() || "'_\"".contains(c));
        let is_operator = ["in ", "is ", "and ", "or ", "if "]
            .iter()
            .any(|word| rest.starts_with(word));
        begins && !is_operator
    };
    let old_except = code
        .strip_prefix("except ")
        .and_then(|rest| rest.strip_suffix(':'))
        .is_some_and(|rest| rest.contains(',') && !rest.contains('(') && !rest.contains(" as "));
    let old_raise = code
        .strip_prefix("raise ")
        .and_then(|rest| rest.split_once(','))
        .is_some_and(|(class, _)| {
            class
                .chars()
                .all(|c| c.is_alphanumeric() || "._".contains(c))
        });
    let is_part = |c: char| c.is_alphanumeric() || "._".contains(c);
    let old_number = code.split(|c: char| !is_part(c)).any(is_old_number);
    let old_text = ["ur''", "uR''", "Ur''", "UR''"]
        .iter()
        .any(|mark| code.contains(mark));
    statement("print")
        || statement("exec")
        || code.starts_with("print >>")
        || code.contains("<>")
        || code.matches('`').count() > 1
        || old_except
        || old_raise
        || old_number
        || old_text
}

/// Returns true for `0777` and `10L`.
fn is_old_number(word: &str) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
    let octal = word.strip_prefix('0').filter(|rest| is_number(rest));
    let long = word.strip_suffix(['L', 'l']).is_some_and(is_number);
    long || octal.is_some_and(|rest| rest.chars().any(|c| c != '0'))
}

/// Returns true if a line uses a name of Python 2 that the whole text does not define itself.
fn has_old_name(code: &str, whole: &str) -> bool {
    let defines = |name: &str| {
        let name = name.trim_start_matches('.').trim_end_matches('(');
        let first = name.split('.').next().unwrap_or(name);
        let forms = [
            format!("def {name}("),
            format!("class {first}"),
            format!("{first} ="),
            format!("as {first}"),
        ];
        forms.iter().any(|form| whole.contains(form.as_str()))
    };
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let contains = |name: &&str| {
        code.match_indices(*name).any(|(at, _)| {
            let before = code[..at].chars().next_back();
            let after = code[at + name.len()..].chars().next();
            let starts = name.starts_with('.') || !before.is_some_and(|c| is_word(c) || c == '.');
            let ends = name.ends_with('(') || !after.is_some_and(is_word);
            starts && ends
        })
    };
    let module = code
        .strip_prefix("import ")
        .or_else(|| code.strip_prefix("from "))
        .and_then(|rest| rest.split([' ', ',', '.']).next());
    let uses = |name: &&str| contains(name) && !defines(name);
    NAMES.iter().any(uses) || module.is_some_and(|it| MODULES.contains(&it))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_line_and_name_decide_the_language() {
        assert_eq!(Language::of_file("a/B.PY", None), Language::Python);
        assert_eq!(Language::of_file("a.py", Some(false)), Language::Shell);
        assert_eq!(Language::of_file("a", Some(true)), Language::Python);
        assert_eq!(Language::of_text("#!/bin/sh\nls\n", None), Language::Shell);
        let python = "#!/usr/bin/env python3\nx = 1\n";
        assert_eq!(Language::of_text(python, None), Language::Python);
        assert_eq!(Language::of_text("ls\npwd\n", None), Language::Undecided);
    }

    #[test]
    fn common_indentation_is_removed() {
        assert_eq!(dedent("  a\n    b\n\n  c\n"), "a\n  b\n\nc\n");
        assert_eq!(dedent("a\n  b"), "a\n  b");
        assert_eq!(dedent("\ta\n  b"), "\ta\n  b");
        assert_eq!(dedent("    a\n   \n    b\n"), "a\n\nb\n");
    }

    #[test]
    fn marks_of_python_2_are_found() {
        for (text, mark) in [
            ("#!/usr/bin/python2.7\nx = 1\n", Some(1)),
            ("x = 1\nprint x\n", Some(2)),
            ("print 'x'\n", Some(1)),
            ("print >>sys.stderr, 'x'\n", Some(1)),
            ("try:\n  pass\nexcept ValueError, e:\n  pass\n", Some(3)),
            ("raise ValueError, 'x'\n", Some(1)),
            ("if isinstance(x, basestring):\n  pass\n", Some(1)),
            ("import urllib2\n", Some(1)),
            ("for k, v in d.iteritems():\n  pass\n", Some(1)),
            ("x = 0777\n", Some(1)),
            ("x = 10L\n", Some(1)),
            ("if a <> b:\n", Some(1)),
            ("x = `1`\n", Some(1)),
            ("x = ur'a'\n", Some(1)),
            ("x = 0\ny = 00\nz = 0.5\nv = 0x10\nw = 1_0\n", None),
            (
                "class A:\n  def has_key(self, k):\n    return 1\nA().has_key(1)\n",
                None,
            ),
            ("xrange = range\nfor i in xrange(3):\n  pass\n", None),
            ("if hasattr(pip, 'main'):\n  pip.main(x)\n", None),
            ("print('x')\nprint (x)\n", None),
            ("'''\nprint x\n'''\n", None),
            ("# print x\ns = 'print x'  # basestring\n", None),
            (
                "try:\n  basestring\nexcept NameError:\n  basestring = str\n",
                None,
            ),
            (
                "except_ = 1, 2\nraise ValueError('a, b')\nexcept (A, B):\n",
                None,
            ),
            ("my_basestring = 1\nx.unicode(1)\n", None),
            ("s = \"it's\"\nprint = 3\nprinted in x\n", None),
        ] {
            assert_eq!(python_2_mark(text).map(|(line, _)| line), mark, "{text}");
        }
    }
}
