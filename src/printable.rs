//! Escapes untrusted text for terminals.

/// Longest text of an engine or a label to show, in characters.
#[allow(dead_code)]
pub(crate) const MAX_SHOWN: usize = 2000;

/// Escapes control characters and characters that change the writing direction, as Rust writes
/// them. Line breaks and tabs remain.
pub(crate) fn printable(text: &str) -> String {
    let changes_direction = |c: char| matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let is_harmless = |c: char| !(c.is_control() || changes_direction(c)) || c == '\n' || c == '\t';
    if text.chars().all(is_harmless) {
        return text.to_owned();
    }
    text.chars()
        .map(|c| {
            if is_harmless(c) {
                c.to_string()
            } else {
                c.escape_default().to_string()
            }
        })
        .collect()
}

/// Like [`printable`], but on one line: text inside a message cannot start a line that looks like
/// another message.
pub(crate) fn on_one_line(text: &str) -> String {
    let lines: Vec<&str> = text
        .lines()
        .map(str::trim_end)
        .filter(|line| !line.is_empty())
        .collect();
    printable(&lines.join(" / "))
}

/// Like [`printable`], but cut after `most` characters, with a note of how many bytes are missing.
pub(crate) fn truncated(text: &str, limit: usize) -> String {
    let Some((end, _)) = text.char_indices().nth(limit) else {
        return printable(text);
    };
    format!(
        "{} … ({} more bytes)",
        printable(&text[..end]),
        text.len() - end
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped() {
        assert_eq!(
            printable("a\u{1b}[2Jb\tc\nd\u{9b}1m"),
            "a\\u{1b}[2Jb\tc\nd\\u{9b}1m"
        );
        assert_eq!(printable("Größe"), "Größe");
        assert_eq!(printable("a\u{202e}b\u{2066}"), "a\\u{202e}b\\u{2066}");
        assert_eq!(
            on_one_line("it failed\r\n\nerror: x\u{1b}\n"),
            "it failed / error: x\\u{1b}"
        );
    }

    #[test]
    fn long_text_is_cut_between_characters() {
        assert_eq!(truncated("äöü", 3), "äöü");
        assert_eq!(truncated("äöü", 2), "äö … (2 more bytes)");
        assert_eq!(
            truncated(&"x".repeat(5_000_000), MAX_SHOWN).len(),
            MAX_SHOWN + " … (4998000 more bytes)".len()
        );
    }
}
