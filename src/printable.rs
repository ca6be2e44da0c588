//! Text from outside, made fit for a terminal.

/// Longest text of an engine or a label that is shown, in characters.
#[allow(dead_code)]
pub(crate) const SHOWN: usize = 2000;

/// Replaces control characters, which a terminal would act on, by what Rust writes for them. Ends of lines and tabs stay.
pub(crate) fn printable(text: &str) -> String {
    let is_harmless = |c: char| !c.is_control() || c == '\n' || c == '\t';
    if text.chars().all(is_harmless) {
        return text.to_owned();
    }
    text.chars().map(|c| if is_harmless(c) { c.to_string() } else { c.escape_default().to_string() }).collect()
}

/// As [`printable`], of at most so many characters, and says how many were left out.
pub(crate) fn shortened(text: &str, most: usize) -> String {
    let Some((end, _)) = text.char_indices().nth(most) else { return printable(text) };
    format!("{} … ({} more bytes)", printable(&text[..end]), text.len() - end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_spelled_out() {
        assert_eq!(printable("a\u{1b}[2Jb\tc\nd\u{9b}1m"), "a\\u{1b}[2Jb\tc\nd\\u{9b}1m");
        assert_eq!(printable("Größe"), "Größe");
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        assert_eq!(shortened("äöü", 3), "äöü");
        assert_eq!(shortened("äöü", 2), "äö … (2 more bytes)");
        assert_eq!(shortened(&"x".repeat(5_000_000), SHOWN).len(), SHOWN + " … (4998000 more bytes)".len());
    }
}
