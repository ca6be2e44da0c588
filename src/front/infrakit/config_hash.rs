//! The configuration hash of a group: it decides which instances are outdated.
//!
//! InfraKit computes it from the JSON of the sections `Instance` and `Flavor`, as its Go program
//! writes them. Instances of other controllers carry the same hash.

use data_encoding::BASE32_NOPAD;
use serde_json::{Map as JsonMap, Value as Json, json};
use sha1::{Digest as _, Sha1};
use std::fmt::Write as _;

/// Indentation of every line after the first.
const PREFIX: &str = "  ";

/// Returns the hash of the sections `Instance` and `Flavor`, each with the keys `Plugin` and
/// `Properties`.
pub(crate) fn config_hash(instance: &Json, flavor: &Json) -> String {
    let text = [instance, flavor].map(|section| {
        let canonical = json!({ "Plugin": section["Plugin"], "Properties": section["Properties"] });
        Encoder::hashed().encode(&canonical)
    });
    let digest = Sha1::digest(text.concat());
    BASE32_NOPAD.encode(&digest).to_lowercase()
}

/// Returns JSON with each value on its own line, without indentation, as InfraKit's command line
/// prints it.
pub(crate) fn lines(json: &Json) -> String {
    let encoder = Encoder {
        indent: "",
        prefix: "",
        is_sorted: false,
    };
    encoder.encode(json)
}

/// Writes JSON as the Go program does.
struct Encoder {
    indent: &'static str,
    prefix: &'static str,
    is_sorted: bool,
}

impl Encoder {
    fn hashed() -> Self {
        Self {
            indent: "  ",
            prefix: PREFIX,
            is_sorted: true,
        }
    }

    fn encode(&self, json: &Json) -> String {
        let mut text = String::new();
        self.write(json, 0, &mut text);
        text
    }

    fn write(&self, json: &Json, depth: usize, text: &mut String) {
        match json {
            Json::Null => text.push_str("null"),
            Json::Bool(flag) => text.push_str(if *flag { "true" } else { "false" }),
            Json::Number(number) => text.push_str(&number_text(number.as_f64().unwrap_or(0.0))),
            Json::String(string) => write_string(string, text),
            Json::Array(items) if items.is_empty() => text.push_str("[]"),
            Json::Object(fields) if fields.is_empty() => text.push_str("{}"),
            Json::Array(items) => {
                let parts = items.iter().map(|item| (None, item));
                self.write_parts(parts, ('[', ']'), depth, text);
            }
            Json::Object(fields) => {
                let parts = self.ordered(fields);
                let parts = parts.into_iter().map(|(key, value)| (Some(key), value));
                self.write_parts(parts, ('{', '}'), depth, text);
            }
        }
    }

    fn ordered<'j>(&self, fields: &'j JsonMap<String, Json>) -> Vec<(&'j String, &'j Json)> {
        let mut fields: Vec<_> = fields.iter().collect();
        if self.is_sorted {
            fields.sort_by_key(|(key, _)| *key);
        }
        fields
    }

    fn write_parts<'j>(
        &self,
        parts: impl Iterator<Item = (Option<&'j String>, &'j Json)>,
        (open, close): (char, char),
        depth: usize,
        text: &mut String,
    ) {
        text.push(open);
        for (at, (key, value)) in parts.enumerate() {
            text.push_str(if at == 0 { "" } else { "," });
            self.begin_line(depth + 1, text);
            if let Some(key) = key {
                write_string(key, text);
                text.push_str(": ");
            }
            self.write(value, depth + 1, text);
        }
        self.begin_line(depth, text);
        text.push(close);
    }

    fn begin_line(&self, depth: usize, text: &mut String) {
        text.push('\n');
        text.push_str(self.prefix);
        text.push_str(&self.indent.repeat(depth));
    }
}

/// Writes a string; characters that matter in HTML and JavaScript are escaped.
fn write_string(string: &str, text: &mut String) {
    let quoted = Json::from(string).to_string();
    for c in quoted.chars() {
        match c {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                let _ = write!(text, "\\u{:04x}", u32::from(c));
            }
            _ => text.push(c),
        }
    }
}

/// Returns a number as Go writes a float64: with an exponent only if it is very large or small.
fn number_text(number: f64) -> String {
    let size = number.abs();
    if number == 0.0 || (1e-6..1e21).contains(&size) {
        return number.to_string();
    }
    let text = format!("{number:e}");
    match text.split_once('e') {
        Some((digits, exponent)) if !exponent.starts_with('-') => format!("{digits}e+{exponent}"),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_the_original() {
        let text = include_str!("../../../tests/data/infrakit-hashes.jsonl");
        for line in text.lines() {
            let case: Json = serde_json::from_str(line).unwrap();
            let hash = config_hash(&case["Instance"], &case["Flavor"]);
            assert_eq!(case["hash"], hash, "{}", case["about"]);
        }
        assert!(text.lines().count() >= 7);
    }

    #[test]
    fn numbers_have_the_format_of_go() {
        for (number, text) in [
            (0.0, "0"),
            (1000.0, "1000"),
            (12_345_678_901.0, "12345678901"),
            (0.5, "0.5"),
            (-1.25, "-1.25"),
            (1e-7, "1e-7"),
            (1.5e21, "1.5e+21"),
            (1e20, "100000000000000000000"),
            (0.000_001, "0.000001"),
        ] {
            assert_eq!(number_text(number), text);
        }
    }

    #[test]
    fn lines_are_not_indented() {
        let json = json!({ "b": { "x": ["<&>", {}] }, "a": [] });
        assert_eq!(
            lines(&json),
            "{\n\"b\": {\n\"x\": [\n\"\\u003c\\u0026\\u003e\",\n{}\n]\n},\n\"a\": []\n}"
        );
    }
}
