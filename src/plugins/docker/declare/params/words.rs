//! Splits a command line like Python's `shlex.split`, which docker-py uses.
//!
//! Existing crates follow a shell instead: they drop text after `#` and treat a backslash inside
//! double quotes differently.

use thiserror::Error;

/// A command line that cannot be split.
#[derive(Debug, Error, Eq, PartialEq)]
pub(crate) enum SplitError {
    #[error("the command line has an unclosed quote")]
    OpenQuote,
    #[error("the command line ends with a backslash")]
    TrailingBackslash,
}

pub(crate) fn split(line: &str) -> Result<Vec<String>, SplitError> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match c {
            ' ' | '\t' | '\r' | '\n' => words.extend(word.take()),
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next().ok_or(SplitError::OpenQuote)? {
                        '\'' => break,
                        c => word.push(c),
                    }
                }
            }
            '"' => double_quoted(&mut chars, word.get_or_insert_default())?,
            '\\' => word
                .get_or_insert_default()
                .push(chars.next().ok_or(SplitError::TrailingBackslash)?),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    Ok(words)
}

/// Inside double quotes a backslash escapes only a double quote and itself.
fn double_quoted(chars: &mut std::str::Chars<'_>, word: &mut String) -> Result<(), SplitError> {
    loop {
        match chars.next().ok_or(SplitError::OpenQuote)? {
            '"' => return Ok(()),
            '\\' => match chars.next().ok_or(SplitError::OpenQuote)? {
                c @ ('"' | '\\') => word.push(c),
                c => word.extend(['\\', c]),
            },
            c => word.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{SplitError, split};

    #[test]
    fn command_lines_are_split_like_python() {
        for (line, words) in [
            ("nodejs server.js", vec!["nodejs", "server.js"]),
            (
                "sh -c 'echo \"a  b\" # no comment'",
                vec!["sh", "-c", "echo \"a  b\" # no comment"],
            ),
            ("a # b", vec!["a", "#", "b"]),
            (r#""\$HOME" "\"\\""#, vec![r"\$HOME", r#""\"#]),
            (r"a\ b\'c", vec!["a b'c"]),
            ("a\\\nb", vec!["a\nb"]),
            (r#"x"" "" y"#, vec!["x", "", "y"]),
            ("  ", vec![]),
        ] {
            assert_eq!(split(line).unwrap(), words, "{line}");
        }
        assert_eq!(split("'a"), Err(SplitError::OpenQuote));
        assert_eq!(split("\"a\\"), Err(SplitError::OpenQuote));
        assert_eq!(split("a\\"), Err(SplitError::TrailingBackslash));
    }
}
