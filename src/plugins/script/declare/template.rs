//! Templates, rendered as Jinja2 does with its default settings.

use super::{context::ContextError, python_json::dumps};
use crate::model::function::python_text;
use minijinja::{
    AutoEscape, Environment, Error, ErrorKind, Output, State, UndefinedBehavior, Value,
    value::{Kwargs, Serde, ValueKind},
};
use minijinja_contrib::pycompat::unknown_method_callback;
use serde_json::{Map as JsonMap, Value as Json};
use std::io;

/// Maximum size of a rendered text, in bytes.
const MAX_OUTPUT: usize = 16 << 20;
/// Maximum number of instructions of a template.
const MAX_INSTRUCTIONS: u64 = 5_000_000;

/// Renders a text with these variables. A text without any mark of a template stays as it is.
///
/// # Errors
///
/// If the template is invalid or exceeds a limit.
pub(crate) fn render(
    text: &str,
    variables: &JsonMap<String, Json>,
) -> Result<String, ContextError> {
    let is_template = ["{{", "{%", "{#"].iter().any(|mark| text.contains(mark));
    if !is_template {
        return Ok(text.to_owned());
    }
    // Jinja2 reads all kinds of line ends, and writes one.
    let text = &text.replace("\r\n", "\n");
    let environment = environment();
    let mut out = LimitedText::default();
    let template = environment
        .template_from_str(text)
        .map_err(|failed| error(&failed))?;
    let rendered = template.render_captured_to(Value::from(Serde(variables)), &mut out);
    match (rendered, out.is_full) {
        (_, true) => Err(ContextError::runtime(format!(
            "the rendered text is longer than {} MiB",
            MAX_OUTPUT >> 20
        ))),
        (Err(failed), false) => Err(error(&failed)),
        (Ok(_), false) => Ok(String::from_utf8_lossy(&out.text).into_owned()),
    }
}

fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    minijinja_contrib::add_to_environment(&mut environment);
    environment.set_undefined_behavior(UndefinedBehavior::Lenient);
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.set_fuel(Some(MAX_INSTRUCTIONS));
    environment.set_formatter(write_value);
    environment.set_unknown_method_callback(unknown_method_callback);
    environment.add_filter("string", |value: Value| text_of(&value));
    environment.add_filter("tojson", to_json);
    environment.add_filter("join", join);
    environment.add_filter("wordcount", |text: String| words(&text));
    environment.add_filter("center", center);
    for name in ["e", "escape", "forceescape"] {
        environment.add_filter(name, |value: Value| escaped(&text_of(&value)));
    }
    environment
}

/// Writes a value as Python's `str` formats it.
fn write_value(out: &mut Output<'_>, _: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
    out.write_str(&text_of(value)).map_err(Error::from)
}

fn text_of(value: &Value) -> String {
    match value.kind() {
        ValueKind::Undefined => String::new(),
        ValueKind::String => value.to_string(),
        _ => serde_json::to_value(value).map_or_else(|_| value.to_string(), |it| python_text(&it)),
    }
}

/// Formats a value as JSON that is safe in HTML, as Jinja2 does.
#[expect(clippy::needless_pass_by_value, reason = "required by filters")]
fn to_json(value: Value, options: Kwargs) -> Result<String, Error> {
    let indent: Option<usize> = options.get("indent")?;
    options.assert_all_used()?;
    let json = serde_json::to_value(value);
    let json = json.map_err(|error| Error::new(ErrorKind::BadSerialization, error.to_string()))?;
    let text = match indent {
        Some(width) => indented(&json, &" ".repeat(width.min(16)), "\n"),
        None => dumps(&json),
    };
    let escaped = text
        .replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('&', "\\u0026");
    Ok(escaped.replace('\'', "\\u0027"))
}

/// Formats a value like `json.dumps(value, indent=…)`.
fn indented(json: &Json, indent: &str, line: &str) -> String {
    let inner = format!("{line}{indent}");
    let lines = |open: char, items: Vec<String>, close: char| {
        if items.is_empty() {
            format!("{open}{close}")
        } else {
            format!(
                "{open}{inner}{}{line}{close}",
                items.join(&format!(",{inner}"))
            )
        }
    };
    match json {
        Json::Array(items) => {
            let items = items.iter().map(|item| indented(item, indent, &inner));
            lines('[', items.collect(), ']')
        }
        Json::Object(object) => {
            let entry = |(key, value): (&String, &Json)| {
                let key = dumps(&key.as_str().into());
                format!("{key}: {}", indented(value, indent, &inner))
            };
            lines('{', object.iter().map(entry).collect(), '}')
        }
        other => dumps(other),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "required by filters")]
fn join(items: Value, separator: Option<String>, options: Kwargs) -> Result<String, Error> {
    let attribute: Option<String> = options.get("attribute")?;
    options.assert_all_used()?;
    let item = |item: Value| match &attribute {
        Some(name) => Ok(text_of(&item.get_attr(name)?)),
        None => Ok(text_of(&item)),
    };
    let texts: Result<Vec<String>, Error> = items.try_iter()?.map(item).collect();
    Ok(texts?.join(&separator.unwrap_or_default()))
}

fn words(text: &str) -> usize {
    let parts = text.split(|c: char| !c.is_alphanumeric() && c != '_');
    parts.filter(|part| !part.is_empty()).count()
}

/// Puts a text in the middle of a line. Python puts an odd space to the left if the width is odd.
fn center(text: &str, width: Option<usize>) -> String {
    let width = width.unwrap_or(80).min(MAX_OUTPUT);
    let missing = width.saturating_sub(text.chars().count());
    let left = missing / 2 + (missing & width & 1);
    format!("{}{text}{}", " ".repeat(left), " ".repeat(missing - left))
}

fn escaped(text: &str) -> String {
    let text = text
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    text.replace('\'', "&#39;").replace('"', "&#34;")
}

fn error(error: &Error) -> ContextError {
    let class = match error.kind() {
        ErrorKind::SyntaxError => "TemplateSyntaxError",
        ErrorKind::UndefinedError => "UndefinedError",
        ErrorKind::TemplateNotFound => "TemplateNotFound",
        _ => "TemplateRuntimeError",
    };
    let line = error.line().map(|line| format!(" (line {line})"));
    let what = error
        .detail()
        .map_or_else(|| error.kind().to_string(), str::to_owned);
    ContextError::new(class, what + &line.unwrap_or_default())
}

/// A text with a maximum size.
#[derive(Default)]
struct LimitedText {
    text: Vec<u8>,
    is_full: bool,
}

impl io::Write for LimitedText {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.text.len() + bytes.len() > MAX_OUTPUT {
            self.is_full = true;
            return Err(io::ErrorKind::WriteZero.into());
        }
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[expect(clippy::needless_pass_by_value, reason = "tests are shorter")]
    fn rendered(text: &str, variables: Json) -> Result<String, String> {
        render(text, variables.as_object().unwrap()).map_err(|error| error.to_string())
    }

    #[test]
    fn values_are_written_as_in_jinja2() {
        let variables = json!({ "x": 1, "l": ["a", true, null], "d": { "k": "<&'>" }, "t": true });
        for (template, text) in [
            (
                "x={{ x }} l={{ l }} j={{ l | tojson }} u={{ x | string | upper }}",
                "x=1 l=['a', True, None] j=[\"a\", true, null] u=1",
            ),
            (
                "[{{ nothing }}] {{ t }} {{ d.k }} {{ d | tojson }}",
                "[] True <&'> {\"k\": \"\\u003c\\u0026\\u0027\\u003e\"}",
            ),
            (
                "{% for k, v in d.items() %}{{ loop.index }}:{{ k }}={{ v }}{% endfor %}\n",
                "1:k=<&'>",
            ),
            ("{{ l | join('-') }}{# comment #}", "a-True-None"),
            ("{{ [d] | join(', ', attribute='k') }}", "<&'>"),
            (
                "{{ {'a': [1], 'b': {}} | tojson(indent=2) }}",
                "{\n  \"a\": [\n    1\n  ],\n  \"b\": {}\n}",
            ),
            ("a\r\n{{ x }}", "a\n1"),
            (
                "{{ 'a b'.split() }} {{ d.get('no', 7) }} {{ 7 // 2 }} {{ 6 / 2 }}",
                "['a', 'b'] 7 3 3.0",
            ),
            (
                "{% if x is defined and y is not defined %}yes{% endif %}",
                "yes",
            ),
            (
                "{% macro m(a) %}<{{ a }}>{% endmacro %}{{ m(1) }}{% set z = 2 %}{{ z }}",
                "<1>2",
            ),
            (
                "{{ '<b>a</b>'|striptags }} {{ 2048|filesizeformat }} {{ '%03d'|format(7) }}",
                "a 2.0 kB 007",
            ),
            (
                "{{ 'a b-c'|wordcount }}[{{ 'a'|center(4) }}|{{ 'ab'|center(5) }}]{{ '\"‹é'|e }}",
                "3[ a  |  ab ]&#34;‹é",
            ),
        ] {
            assert_eq!(rendered(template, variables.clone()).unwrap(), text);
        }
    }

    #[test]
    fn only_templates_lose_their_last_newline() {
        assert_eq!(rendered("plain\n", json!({})).unwrap(), "plain\n");
        assert_eq!(rendered("{{ x }}\n", json!({ "x": 1 })).unwrap(), "1");
    }

    #[test]
    fn invalid_and_endless_templates_fail() {
        for (template, class) in [
            ("{{ x", "TemplateSyntaxError"),
            ("{{ nothing.more }}", "UndefinedError"),
            ("{% include 'x' %}", "TemplateNotFound"),
            (
                "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}",
                "TemplateRuntimeError",
            ),
            (
                "{% for a in range(9999) %}{{ 'x' * 99999 }}{% endfor %}",
                "RuntimeError",
            ),
        ] {
            let error = rendered(template, json!({})).unwrap_err();
            assert!(
                error.starts_with(&format!("{class}: ")),
                "{template}: {error}"
            );
        }
    }
}
