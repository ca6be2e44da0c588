//! Splits a command line like Python's `shlex.split`, which docker-py uses.
//!
//! Existing crates follow a shell instead: they drop text after `#` and treat a backslash inside
//! double quotes differently.

use thiserror::Error;

/// A command line that cannot be split.
#[derive(Debug, Error, Eq, PartialEq)]
pub(crate) enum WordsError {
    #[error("the command line has an unclosed quote")]
    OpenQuote,
    #[error("the command line ends with a backslash")]
    TrailingBackslash,
}

pub(crate) fn split(line: &str) -> Result<Vec<String>, WordsError> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match c {
            ' ' | '\t' | '\r' | '\n' => words.extend(word.take()),
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next().ok_or(WordsError::OpenQuote)? {
                        '\'' => break,
                        c => word.push(c),
                    }
                }
            }
            '"' => double_quoted(&mut chars, word.get_or_insert_default())?,
            '\\' => word
                .get_or_insert_default()
                .push(chars.next().ok_or(WordsError::TrailingBackslash)?),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    Ok(words)
}

/// Inside double quotes a backslash escapes only a double quote and itself.
fn double_quoted(chars: &mut std::str::Chars<'_>, word: &mut String) -> Result<(), WordsError> {
    loop {
        match chars.next().ok_or(WordsError::OpenQuote)? {
            '"' => return Ok(()),
            '\\' => match chars.next().ok_or(WordsError::OpenQuote)? {
                c @ ('"' | '\\') => word.push(c),
                c => word.extend(['\\', c]),
            },
            c => word.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{WordsError, split};

    #[test]
    fn lines_are_split_as_python_splits_them() {
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
        assert_eq!(split("'a"), Err(WordsError::OpenQuote));
        assert_eq!(split("\"a\\"), Err(WordsError::OpenQuote));
        assert_eq!(split("a\\"), Err(WordsError::TrailingBackslash));
    }
}
