//! Escapes untrusted text for terminals.

/// Longest text of an engine or a label to show, in characters.
#[allow(dead_code)]
pub(crate) const MAX_SHOWN: usize = 2000;

/// Escapes control characters and characters that change the writing direction, as Rust writes
/// them. Line breaks and tabs remain.
pub(crate) fn printable(text: &str) -> String {
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

fn is_harmless(c: char) -> bool {
    let changes_direction = matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c == '\n' || c == '\t' || !(c.is_control() || changes_direction)
}

/// Like [`printable`], for a line of a program's output on a terminal: colors remain, and so does
/// nothing that moves the cursor.
pub(crate) fn printable_output(line: &str) -> String {
    let line = line.trim_end_matches('\r');
    let mut shown = String::new();
    let mut rest = line;
    while let Some(at) = rest.find('\u{1b}') {
        let (before, sequence) = rest.split_at(at);
        shown += &one_line(before);
        let length = color_length(sequence);
        let (sequence, after) = sequence.split_at(length.max(1));
        shown += &(if length > 0 {
            sequence.to_owned()
        } else {
            printable(sequence)
        });
        rest = after;
    }
    shown + &one_line(rest)
}

/// Like [`printable_output`], for each line of a text. No line begins with a command to a pipeline,
/// as GitHub's runners read them from output: `::` and `##[`.
#[allow(dead_code)]
pub(crate) fn printable_lines(text: &str) -> String {
    let line = |line: &str| {
        let shown = printable_output(line).replace("##[", "## [");
        // Diagnostics refer to other places with `:::`, which is no command.
        let start = shown.trim_start();
        if start.starts_with("::") && !start.starts_with("::: ") {
            format!("| {shown}")
        } else {
            shown
        }
    };
    let lines: Vec<String> = text.split('\n').map(line).collect();
    lines.join("\n")
}

/// Escapes the control characters of a line, which has no line breaks.
fn one_line(text: &str) -> String {
    printable(text).replace('\n', "\\n")
}

/// Returns the length of the color sequence that a text begins with; 0 without one.
fn color_length(text: &str) -> usize {
    let Some(arguments) = text.strip_prefix("\u{1b}[") else {
        return 0;
    };
    let is_argument = |c: char| c.is_ascii_digit() || c == ';' || c == ':';
    match arguments.find(|c| !is_argument(c)) {
        Some(end) if arguments[end..].starts_with('m') => "\u{1b}[".len() + end + 1,
        _ => 0,
    }
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

/// Escapes in a JSON document what a terminal or a pipeline could take for a command. The document
/// has the same meaning.
#[allow(dead_code)]
pub(crate) fn printable_json(document: String) -> String {
    if document.chars().all(is_harmless) && !document.contains("##[") {
        return document;
    }
    let mut shown = String::with_capacity(document.len());
    for c in document.chars() {
        if is_harmless(c) {
            shown.push(c);
        } else {
            shown += &format!("\\u{:04x}", u32::from(c));
        }
    }
    shown.replace("##[", "##\\u005b")
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
    fn json_is_escaped_and_keeps_its_meaning() {
        let text = "a\u{9b}31m\u{202e}##[error] Größe";
        let shown = printable_json(format!("{:#}\n", serde_json::json!({ "a": text })));
        assert!(
            shown.contains("a\\u009b31m\\u202e##\\u005berror] Größe"),
            "{shown}"
        );
        let parsed: serde_json::Value = serde_json::from_str(&shown).unwrap();
        assert_eq!(parsed["a"], text);
    }

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
    fn output_keeps_colors_and_nothing_that_moves_the_cursor() {
        assert_eq!(
            printable_output("a\u{1b}[1;31mred\u{1b}[0m\tb\r"),
            "a\u{1b}[1;31mred\u{1b}[0m\tb"
        );
        assert_eq!(
            printable_output("\u{1b}[2Jx\u{1b}]0;title\u{7}\ry\u{1b}"),
            "\\u{1b}[2Jx\\u{1b}]0;title\\u{7}\\ry\\u{1b}"
        );
    }

    #[test]
    fn no_line_is_a_command_to_a_pipeline() {
        assert_eq!(
            printable_lines("a\n ::set-env x\n##[group]\n\u{1b}[31mb\u{1b}[K\n"),
            "a\n|  ::set-env x\n## [group]\n\u{1b}[31mb\\u{1b}[K\n"
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
