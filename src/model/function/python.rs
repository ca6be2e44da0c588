//! Formats values like `str()` in Python, for `concat` and environment variables.

use crate::syntax::python_float;
use serde_json::{Number, Value as Json};

/// Formats a value like `str()` in Python.
#[must_use]
pub fn python_text(json: &Json) -> String {
    match json {
        Json::String(text) => text.clone(),
        other => python_repr(other),
    }
}

fn python_repr(json: &Json) -> String {
    match json {
        Json::Null => "None".into(),
        Json::Bool(value) => if *value { "True" } else { "False" }.into(),
        Json::Number(number) => number_repr(number),
        Json::String(text) => quoted(text),
        Json::Array(items) => format!("[{}]", joined(items.iter().map(python_repr))),
        Json::Object(object) => format!("{{{}}}", joined(object.iter().map(entry_repr))),
    }
}

fn number_repr(number: &Number) -> String {
    if number.is_f64() {
        python_float(number.as_f64().unwrap_or(f64::NAN))
    } else {
        number.to_string()
    }
}

fn entry_repr((key, value): (&String, &Json)) -> String {
    format!("{}: {}", quoted(key), python_repr(value))
}

fn joined(parts: impl Iterator<Item = String>) -> String {
    parts.collect::<Vec<_>>().join(", ")
}

fn quoted(text: &str) -> String {
    let escaped = escaped(text);
    if text.contains('\'') && !text.contains('"') {
        format!("\"{escaped}\"")
    } else {
        format!("'{}'", escaped.replace('\'', "\\'"))
    }
}

/// Escapes backslashes and characters that cannot be printed, but not quotes.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => escaped += "\\\\",
            '\n' => escaped += "\\n",
            '\t' => escaped += "\\t",
            '\r' => escaped += "\\r",
            c if is_printable(c) => escaped.push(c),
            c if u32::from(c) < 0x100 => escaped += &format!("\\x{:02x}", u32::from(c)),
            c if u32::from(c) < 0x1_0000 => escaped += &format!("\\u{:04x}", u32::from(c)),
            c => escaped += &format!("\\U{:08x}", u32::from(c)),
        }
    }
    escaped
}

/// Returns false for control characters, other blanks than the usual one, and formatting marks.
fn is_printable(c: char) -> bool {
    let is_mark = matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e000}'..='\u{f8ff}');
    c == ' ' || !(c.is_control() || c.is_whitespace() || is_mark)
}

#[cfg(test)]
mod tests {
    use super::python_text;
    use serde_json::json;

    #[test]
    fn values_are_formatted_as_in_python() {
        assert_eq!(
            python_text(&json!({"a": [true, null, 1.5, "it's"]})),
            r#"{'a': [True, None, 1.5, "it's"]}"#
        );
        assert_eq!(python_text(&json!("plain")), "plain");
        let odd = json!(["\u{1}\u{7f}\u{a0}\u{200b}\u{2028}é\\"]);
        assert_eq!(python_text(&odd), r"['\x01\x7f\xa0\u200b\u2028é\\']");
    }
}
