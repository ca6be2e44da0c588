//! The characters that a terminal can show.

use std::borrow::Cow;

/// The characters of tables and progress.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Charset {
    /// All characters.
    #[default]
    Unicode,
    /// ASCII only.
    Ascii,
}

impl Charset {
    /// Returns the charset of a POSIX locale such as `C`, `en_US.UTF-8` or `de_DE@euro`. A locale
    /// without a charset gets Unicode, because current systems use UTF-8 by default.
    #[must_use]
    pub fn of_locale(locale: &str) -> Self {
        let (name, charset) = locale.split_once('.').unwrap_or((locale, ""));
        let charset = charset.split('@').next().unwrap_or_default();
        let is_utf_8 = matches!(charset.to_ascii_lowercase().as_str(), "utf-8" | "utf8");
        match (name, charset) {
            ("C" | "POSIX", "") => Self::Ascii,
            (_, "") => Self::Unicode,
            _ if is_utf_8 => Self::Unicode,
            _ => Self::Ascii,
        }
    }

    /// Replaces the signs that dockctl itself prints. Other characters, such as those of a
    /// blueprint, stay.
    #[must_use]
    pub fn show(self, text: &str) -> Cow<'_, str> {
        if self == Self::Unicode || text.is_ascii() {
            return text.into();
        }
        let replacement = |sign: char| SIGNS.iter().find(|(it, _)| *it == sign);
        let mut shown = String::with_capacity(text.len());
        for sign in text.chars() {
            match replacement(sign) {
                Some((_, ascii)) => shown += ascii,
                None => shown.push(sign),
            }
        }
        shown.into()
    }
}

/// The signs that dockctl prints, with their ASCII form. Only arrows, `≤` and ellipses change their
/// width.
const SIGNS: [(char, &str); 11] = [
    ('→', "->"),
    ('←', "<-"),
    ('…', "..."),
    ('±', "*"),
    ('×', "x"),
    ('✓', "+"),
    ('✗', "!"),
    ('•', "*"),
    ('≤', "<="),
    ('–', "-"),
    ('·', "-"),
];

#[cfg(test)]
mod tests {
    use super::Charset;

    #[test]
    fn only_locales_with_another_charset_get_ascii() {
        for locale in ["C", "POSIX", "en_US.ISO-8859-1", "ja_JP.eucJP@x"] {
            assert_eq!(Charset::of_locale(locale), Charset::Ascii, "{locale}");
        }
        for locale in [
            "",
            "C.UTF-8",
            "C.utf8",
            "en_US.UTF-8",
            "en_US",
            "de_DE@euro",
        ] {
            assert_eq!(Charset::of_locale(locale), Charset::Unicode, "{locale}");
        }
    }

    #[test]
    fn signs_change_and_other_characters_stay() {
        let text = "± web  8080→80/tcp … Größe";
        assert_eq!(Charset::Unicode.show(text), text);
        assert_eq!(Charset::Ascii.show(text), "* web  8080->80/tcp ... Größe");
    }
}
