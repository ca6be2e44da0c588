//! Shell scripts as lines of commands, as far as advice needs them.

/// Words of the shell's grammar that stand before a command or alone.
const KEYWORDS: [&str; 13] = [
    "then", "do", "else", "if", "elif", "while", "until", "exec", "env", "!", "time", "nohup", "{",
];

/// A command line and the number of its first line.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Line {
    pub number: usize,
    pub text: String,
}

/// Returns the command lines of a script: without comments, empty lines and here-documents, and with
/// continued lines joined.
pub(super) fn lines(text: &str) -> Vec<Line> {
    let mut all: Vec<Line> = Vec::new();
    let mut delimiters: Vec<(String, bool)> = Vec::new();
    let mut is_continued = false;
    for (at, line) in text.lines().enumerate() {
        if let Some((delimiter, has_tabs)) = delimiters.first() {
            let line = if *has_tabs {
                line.trim_start_matches('\t')
            } else {
                line
            };
            if line == delimiter {
                delimiters.remove(0);
            }
            continue;
        }
        let code = without_comment(line);
        let (code, continues) = match code.strip_suffix('\\') {
            Some(code) => (code.trim(), true),
            None => (code, false),
        };
        match all.last_mut().filter(|_| is_continued) {
            Some(last) => last.text = format!("{} {code}", last.text),
            None if code.is_empty() => {}
            None => all.push(Line {
                number: at + 1,
                text: code.to_owned(),
            }),
        }
        is_continued = continues;
        delimiters = here_documents(code);
    }
    all
}

/// Returns a line without its comment: a `#` at the beginning of a word, outside of quotes.
pub(super) fn without_comment(line: &str) -> &str {
    let mut quote = None;
    let mut before = ' ';
    for (at, c) in line.char_indices() {
        match quote {
            None if c == '#' && before.is_whitespace() => return line[..at].trim(),
            None if matches!(c, '\'' | '"') && before != '\\' => quote = Some(c),
            Some(open) if open == c && before != '\\' => quote = None,
            _ => {}
        }
        before = c;
    }
    line.trim()
}

/// Returns the delimiters of the here-documents that a line begins. The flag is true if tabs before
/// the delimiter do not count.
fn here_documents(code: &str) -> Vec<(String, bool)> {
    let parts = code.split("<<").skip(1);
    // `<<<` is a text, and `1 << 2` a number.
    let parts = parts.filter(|part| !part.starts_with('<') && !code.contains("(("));
    let delimiters = parts.map(|part| {
        let has_tabs = part.starts_with('-');
        let word = part.trim_start_matches('-').trim_start();
        let word = word
            .split(|c: char| c.is_whitespace() || ";|&<>()".contains(c))
            .next();
        let word = word.unwrap_or_default();
        (word.replace(['\'', '"', '\\'], ""), has_tabs)
    });
    delimiters.filter(|(word, _)| !word.is_empty()).collect()
}

/// Returns the words of each command of a line, without keywords and assignments before them.
pub(super) fn commands(line: &str) -> impl Iterator<Item = Vec<&str>> {
    let commands = line.split([';', '|', '&', '(', '`', '{']);
    commands.map(|command| {
        let words = command.split_whitespace();
        let before = |word: &&str| KEYWORDS.contains(word) || is_assignment(word);
        words.skip_while(before).collect()
    })
}

/// Returns true for a word such as `NAME=value`.
fn is_assignment(word: &str) -> bool {
    let name = word.split_once('=').map_or("", |(name, _)| name);
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    !name.is_empty() && name.chars().all(is_part)
}

/// Returns true if a script ends at the first failure of a command.
pub(super) fn is_strict(text: &str, lines: &[Line]) -> bool {
    let first = text.lines().next().unwrap_or_default();
    let is_option = |word: &str| {
        word == "errexit" || word.starts_with('-') && !word.starts_with("--") && word.contains('e')
    };
    let is_interpreter = first.starts_with("#!") && first.split_whitespace().skip(1).any(is_option);
    let sets = |line: &Line| {
        let mut words = line.text.split(';').map(str::split_whitespace);
        words.any(|mut words| words.next() == Some("set") && words.any(is_option))
    };
    is_interpreter || lines.iter().any(sets)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<(usize, String)> {
        let lines = lines(text).into_iter();
        lines.map(|line| (line.number, line.text)).collect()
    }

    #[test]
    fn comments_and_here_documents_are_left_out() {
        let text = "#!/bin/sh\n\ncat <<-'EOF' >f # note\nsudo x\n\tEOF\necho '# no comment' a#b\n";
        let expected = [
            (3, "cat <<-'EOF' >f".to_owned()),
            (6, "echo '# no comment' a#b".to_owned()),
        ];
        assert_eq!(texts(text), expected);
        let text = "cat <<A <<\"B\"\n1\nA\n2\nB\ncat <<<x\necho $((1 << 2))\nlast\n";
        let found: Vec<usize> = texts(text).into_iter().map(|(number, _)| number).collect();
        assert_eq!(found, [1, 6, 7, 8]);
    }

    #[test]
    fn continued_lines_are_joined() {
        let expected = [(1, "make -j 2".to_owned()), (3, "x".to_owned())];
        assert_eq!(texts("make \\\n  -j 2\nx\n"), expected);
    }

    #[test]
    fn commands_are_found_after_keywords_and_assignments() {
        for (line, first) in [
            ("if ! A=1 sudo x", "sudo"),
            ("exec env B=2 sudo -n y", "sudo"),
            ("x=1", ""),
            ("a.b=1 c", "a.b=1"),
        ] {
            let words = commands(line).next().unwrap();
            assert_eq!(words.first().copied().unwrap_or_default(), first, "{line}");
        }
        assert_eq!(
            commands("a | b && c")
                .filter(|words| !words.is_empty())
                .count(),
            3
        );
    }

    #[test]
    fn every_form_of_errexit_is_strict() {
        let strict = |text: &str| is_strict(text, &lines(text));
        for text in [
            "#!/bin/bash -xe\n",
            "#!/bin/sh -e\n",
            "set -eu\n",
            "a; set -o errexit\n",
        ] {
            assert!(strict(text), "{text}");
        }
        for text in [
            "#!/usr/bin/env bash\n",
            "#!/bin/bash --posix\n",
            "(set -e; make)\n",
            "cat <<E\nset -e\nE\n",
            "# set -e\n",
        ] {
            assert!(!strict(text), "{text}");
        }
    }
}
