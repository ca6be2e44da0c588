//! Templates in documents of InfraKit: `{{ var "NAME" }}`, `{{ env "NAME" }}`, quoted text and
//! comments. Other functions of Go's templates are errors.

use crate::{
    diagnostic::{Code, Diagnostic, FileId, Span},
    front::Options,
};

/// A text whose templates are expanded, and the place of each part in the original text.
pub(crate) struct Expanded {
    pub text: String,
    parts: Vec<Part>,
}

/// A part of the expanded text.
struct Part {
    /// First byte in the expanded text.
    at: usize,
    /// First byte, and one past the last byte, in the original text.
    from: usize,
    to: usize,
    /// It is copied; otherwise it is the result of an action.
    is_copied: bool,
}

impl Expanded {
    /// Returns the place in the original text.
    pub(crate) fn place(&self, span: Span, file: FileId) -> Span {
        let start = self.original(span.start, |part| part.from);
        let end = self.original(span.end, |part| part.to);
        Span {
            file,
            start,
            end: end.max(start),
        }
    }

    fn original(&self, at: usize, of_result: fn(&Part) -> usize) -> usize {
        let after = self.parts.partition_point(|part| part.at <= at);
        match after.checked_sub(1).map(|last| &self.parts[last]) {
            None => at,
            Some(part) if part.is_copied => (part.from + at - part.at).min(part.to),
            Some(part) => of_result(part),
        }
    }
}

/// Expands the templates in a text.
///
/// # Errors
///
/// The first action that is unknown, unfinished or has no value.
pub(crate) fn expand(text: &str, file: FileId, options: &Options) -> Result<Expanded, Diagnostic> {
    let mut expansion = Expansion {
        text,
        file,
        options,
        result: Expanded {
            text: String::with_capacity(text.len()),
            parts: Vec::new(),
        },
    };
    expansion.run()?;
    Ok(expansion.result)
}

struct Expansion<'a> {
    text: &'a str,
    file: FileId,
    options: &'a Options,
    result: Expanded,
}

impl Expansion<'_> {
    fn run(&mut self) -> Result<(), Diagnostic> {
        let (mut at, mut trims) = (0, false);
        while let Some(found) = self.text[at..].find("{{") {
            let open = at + found;
            let end = self.end_of_action(open)?;
            let inside = &self.text[open + 2..end - 2];
            let (trims_before, trims_after) = (begins_trim(inside), ends_trim(inside));
            self.copy(at, open, (trims, trims_before));
            let result = self.action(inside, open, end)?;
            self.add(&result, (open, end), false);
            (at, trims) = (end, trims_after);
        }
        self.copy(at, self.text.len(), (trims, false));
        Ok(())
    }

    /// Returns the end of an action. Braces inside quotes do not count.
    fn end_of_action(&self, open: usize) -> Result<usize, Diagnostic> {
        let bytes = self.text.as_bytes();
        let (mut at, mut quote) = (open + 2, None);
        while at < bytes.len() {
            match (quote, bytes[at]) {
                (None, b'}') if bytes.get(at + 1) == Some(&b'}') => return Ok(at + 2),
                (None, b'"' | b'`') => quote = Some(bytes[at]),
                (None, b'/') if bytes.get(at + 1) == Some(&b'*') => {
                    let rest = &self.text[at + 2..];
                    at += 2 + rest.find("*/").ok_or_else(|| self.unfinished(open))?;
                }
                (Some(b'"'), b'\\') => at += 1,
                (Some(mark), byte) if mark == byte => quote = None,
                _ => {}
            }
            at += 1;
        }
        Err(self.unfinished(open))
    }

    fn unfinished(&self, open: usize) -> Diagnostic {
        self.error(
            (open, open + 2),
            "this action of a template does not end: `}}` is missing",
        )
    }

    fn error(&self, (start, end): (usize, usize), message: impl Into<String>) -> Diagnostic {
        let file = self.file;
        Span { file, start, end }.error(Code::Template, message)
    }

    /// Copies a part of the text, without the white space that a neighboring action trims.
    fn copy(&mut self, from: usize, to: usize, (trims_start, trims_end): (bool, bool)) {
        let mut part = &self.text[from..to];
        let mut start = from;
        if trims_start {
            let trimmed = part.trim_start();
            start += part.len() - trimmed.len();
            part = trimmed;
        }
        if trims_end {
            part = part.trim_end();
        }
        let part = part.to_owned();
        self.add(&part, (start, start + part.len()), true);
    }

    fn add(&mut self, text: &str, (from, to): (usize, usize), is_copied: bool) {
        if text.is_empty() {
            return;
        }
        self.result.parts.push(Part {
            at: self.result.text.len(),
            from,
            to,
            is_copied,
        });
        self.result.text.push_str(text);
    }

    fn action(&self, inside: &str, open: usize, end: usize) -> Result<String, Diagnostic> {
        let action = without_trims(inside).trim();
        if action.starts_with("/*") && action.ends_with("*/") {
            return Ok(String::new());
        }
        let (function, rest) =
            match action.find(|c: char| c.is_whitespace() || c == '"' || c == '`') {
                Some(at) => (&action[..at], action[at..].trim()),
                None => (action, ""),
            };
        let place = (open, end);
        match (function, literal(rest)) {
            ("", Some(text)) => Ok(text),
            ("var", Some(name)) => self.variable(&name, place),
            ("env", Some(name)) => self.environment(&name, place),
            ("var" | "env", None) => {
                let message =
                    format!("`{function}` takes the name in quotes: {{{{ {function} \"NAME\" }}}}");
                Err(self.error(place, message))
            }
            _ => {
                let message =
                    format!("dockctl does not know this action of a template: `{action}`");
                let hint = r#"known: {{ var "NAME" }}, {{ env "NAME" }}, {{ "text" }} and {{/* a comment */}}"#;
                Err(self.error(place, message).hint(hint))
            }
        }
    }

    fn variable(&self, name: &str, place: (usize, usize)) -> Result<String, Diagnostic> {
        let value = self.options.variables.get(name).cloned();
        value.ok_or_else(|| {
            let message = format!("the variable `{name}` has no value");
            self.error(place, message)
                .hint(format!("pass one: --var {name}=VALUE"))
        })
    }

    fn environment(&self, name: &str, place: (usize, usize)) -> Result<String, Diagnostic> {
        let mut all = self.options.environment.iter();
        let value = all
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.to_str());
        match value {
            Some(Some(text)) => Ok(text.to_owned()),
            Some(None) => Err(self.error(
                place,
                format!("the value of `{name}` in the environment is not UTF-8"),
            )),
            None => Err(self.error(place, format!("`{name}` is not set in the environment"))),
        }
    }
}

fn begins_trim(inside: &str) -> bool {
    let rest = inside.strip_prefix('-');
    rest.is_some_and(|rest| rest.starts_with(char::is_whitespace))
}

fn ends_trim(inside: &str) -> bool {
    let rest = inside.strip_suffix('-');
    rest.is_some_and(|rest| rest.ends_with(char::is_whitespace))
}

fn without_trims(inside: &str) -> &str {
    let inside = if begins_trim(inside) {
        &inside[1..]
    } else {
        inside
    };
    match inside.strip_suffix('-') {
        Some(rest) if rest.ends_with(char::is_whitespace) => rest,
        _ => inside,
    }
}

/// Reads a quoted text, which must be everything.
fn literal(text: &str) -> Option<String> {
    let raw = text
        .strip_prefix('`')
        .and_then(|rest| rest.strip_suffix('`'));
    if let Some(raw) = raw.filter(|raw| !raw.contains('`')) {
        return Some(raw.to_owned());
    }
    // Go and JSON write the escapes that occur in practice alike.
    serde_json::from_str::<String>(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(text: &str) -> Result<Expanded, Diagnostic> {
        let options = Options {
            variables: [("size", "3"), ("quote", "a}}b")]
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into(),
            environment: vec![("STAGE".into(), "prod".into())],
            ..Options::default()
        };
        expand(text, FileId(0), &options)
    }

    #[test]
    fn actions_are_expanded() {
        for (text, result) in [
            ("no action", "no action"),
            (r#"{"Size": {{ var "size" }}}"#, r#"{"Size": 3}"#),
            (r#"{{env "STAGE"}}-{{ var `size` }}"#, "prod-3"),
            (r#"a {{ "{{ x }}" }} b"#, "a {{ x }} b"),
            ("a{{/* a comment with }} in it */}}b", "ab"),
            ("a  {{- /* trims */ -}}  b", "ab"),
            (r#"{{ "\"q\"" }}"#, "\"q\""),
        ] {
            assert_eq!(expanded(text).map(|it| it.text).unwrap(), result, "{text}");
        }
    }

    #[test]
    fn other_actions_are_errors_with_their_place() {
        for (text, start, message) in [
            (
                "ab {{ var \"none\" }}",
                3,
                "the variable `none` has no value",
            ),
            (
                "{{ env \"NONE\" }}",
                0,
                "`NONE` is not set in the environment",
            ),
            (
                "{{ var none }}",
                0,
                "`var` takes the name in quotes: {{ var \"NAME\" }}",
            ),
            (
                "x {{ if true }}",
                2,
                "dockctl does not know this action of a template: `if true`",
            ),
            (
                "x {{ source \"http://a\" }}",
                2,
                "dockctl does not know this action of a template: `source \"http://a\"`",
            ),
            (
                "x {{ var \"size\" | upper }}",
                2,
                "`var` takes the name in quotes: {{ var \"NAME\" }}",
            ),
            (
                "abc {{ var \"size\"",
                4,
                "this action of a template does not end: `}}` is missing",
            ),
        ] {
            let fault = expanded(text).err().unwrap();
            assert_eq!((fault.span.start, fault.message.as_str()), (start, message));
        }
    }

    #[test]
    fn places_lead_to_the_original_text() {
        let text = r#"a {{ env "STAGE" }} bcd"#;
        let result = expanded(text).unwrap();
        assert_eq!(result.text, "a prod bcd");
        let place = |start, end| {
            let file = FileId(0);
            let span = result.place(Span { file, start, end }, file);
            &text[span.range()]
        };
        assert_eq!(place(7, 10), "bcd");
        assert_eq!(place(2, 6), r#"{{ env "STAGE" }}"#);
        assert_eq!(place(3, 5), r#"{{ env "STAGE" }}"#);
        assert_eq!(place(0, 1), "a");
    }
}
