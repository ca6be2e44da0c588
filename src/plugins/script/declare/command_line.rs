//! The command line of `ctx`: arguments to requests, and replies to output and exit codes.

use super::{
    python_json::{dumps, is_truthy},
    request::Reply,
};
use crate::model::function::python_text;
use serde_json::Value as Json;

/// Seconds after which `ctx` gives up waiting for a reply.
const TIMEOUT: f64 = 30.0;
const USAGE: &str = "usage: ctx [-h] [-t TIMEOUT] [--socket-url SOCKET_URL]
           [--json-arg-prefix JSON_ARG_PREFIX] [-j]
           [args ...]
";
const HELP: &str = "
positional arguments:
  args                  node properties, instance runtime-properties, logger, returns, ...

options:
  -h, --help            show this help message and exit
  -t TIMEOUT, --timeout TIMEOUT
                        seconds to wait for the reply
  --socket-url SOCKET_URL
                        address of the context (default: CTX_SOCKET_URL)
  --json-arg-prefix JSON_ARG_PREFIX
                        arguments with this prefix are JSON (default: @)
  -j, --json-output     print the result as JSON
";

/// A call of `ctx`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Invocation {
    /// Arguments.
    pub arguments: Vec<Json>,
    /// Prints the result as JSON.
    pub is_json: bool,
    /// Seconds to wait for the reply.
    pub timeout: f64,
    /// Address of the context.
    pub socket_url: Option<String>,
}

/// What a command prints, and how it exits.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Printed {
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
    /// Exit code: 0 for success, 1 for an error, 2 for an incorrect command line.
    pub code: u8,
}

impl Printed {
    fn error(text: &str) -> Self {
        Self {
            err: format!("ctx: {text}\n"),
            code: 1,
            ..Self::default()
        }
    }

    fn usage(message: &str) -> Self {
        Self {
            err: format!("{USAGE}ctx: error: {message}\n"),
            code: 2,
            ..Self::default()
        }
    }

    /// Returns the output for an error of `ctx` itself.
    pub(crate) fn failed(class: &str, message: &str) -> Self {
        Self::error(&format!("{class}: {message}"))
    }
}

/// Parses the arguments of `ctx`.
///
/// # Errors
///
/// With what to print, if there is nothing to ask for.
pub(crate) fn parse(arguments: &[String]) -> Result<Invocation, Printed> {
    let mut options = Options::default();
    options.read(arguments)?;
    let Options {
        words,
        prefix,
        unknown,
        ..
    } = &options;
    if !unknown.is_empty() {
        let message = format!("unrecognized arguments: {}", unknown.join(" "));
        return Err(Printed::usage(&message));
    }
    if words.is_empty() {
        return Err(Printed {
            err: USAGE.to_owned(),
            code: 1,
            ..Printed::default()
        });
    }
    let value = |word: &String| match word.strip_prefix(prefix.as_str()) {
        Some(json) => parse_json(json),
        None => Ok(Json::from(word.as_str())),
    };
    let arguments: Result<Vec<Json>, Printed> = words.iter().map(value).collect();
    Ok(Invocation {
        arguments: arguments?,
        is_json: options.is_json,
        timeout: options.timeout,
        socket_url: options.socket_url,
    })
}

/// Parses an argument as JSON. The message for a text without any value is Python's.
fn parse_json(text: &str) -> Result<Json, Printed> {
    serde_json::from_str(text).map_err(|error| {
        let message = if begins_a_value(text) {
            error.to_string()
        } else {
            "Expecting value: line 1 column 1 (char 0)".to_owned()
        };
        Printed::failed("JSONDecodeError", &message)
    })
}

fn begins_a_value(text: &str) -> bool {
    let text = text.trim_start();
    text.starts_with(|c: char| c.is_ascii_digit() || "{[\"-".contains(c))
        || ["true", "false", "null"]
            .iter()
            .any(|word| text.starts_with(word))
}

struct Options {
    words: Vec<String>,
    unknown: Vec<String>,
    prefix: String,
    is_json: bool,
    timeout: f64,
    socket_url: Option<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            words: Vec::new(),
            unknown: Vec::new(),
            prefix: "@".to_owned(),
            is_json: false,
            timeout: TIMEOUT,
            socket_url: None,
        }
    }
}

impl Options {
    fn read(&mut self, arguments: &[String]) -> Result<(), Printed> {
        let mut rest = arguments.iter();
        while let Some(word) = rest.next() {
            let (name, value) = option(word);
            let mut value = || {
                let next = value.clone().or_else(|| rest.next().cloned());
                let missing = || format!("argument {name}: expected one argument");
                next.ok_or_else(|| Printed::usage(&missing()))
            };
            match name {
                "--" => self.words.extend(rest.by_ref().cloned()),
                "-h" | "--help" => {
                    let out = format!("{USAGE}{HELP}");
                    return Err(Printed {
                        out,
                        ..Printed::default()
                    });
                }
                "-j" | "--json-output" => self.is_json = true,
                "-t" | "--timeout" => self.timeout = seconds(&value()?)?,
                "--socket-url" => self.socket_url = Some(value()?),
                "--json-arg-prefix" => self.prefix = value()?,
                _ if is_option(word) => self.unknown.push(word.clone()),
                _ => self.words.push(word.clone()),
            }
        }
        Ok(())
    }
}

/// Returns the name of an option, and its value if it is in the same word.
fn option(word: &str) -> (&str, Option<String>) {
    if let Some((name, value)) = word.split_once('=').filter(|_| word.starts_with("--")) {
        return (name, Some(value.to_owned()));
    }
    match word.strip_prefix("-t").filter(|value| !value.is_empty()) {
        Some(value) => ("-t", Some(value.to_owned())),
        None => (word, None),
    }
}

/// Returns true if a word is an option. Like for Python's `argparse`, a negative number is none.
fn is_option(word: &str) -> bool {
    let is_number = word.parse::<f64>().is_ok();
    word.len() > 1 && word.starts_with('-') && !is_number && !word.contains(' ')
}

fn seconds(text: &str) -> Result<f64, Printed> {
    let parsed = text
        .parse()
        .ok()
        .filter(|it: &f64| it.is_finite() && *it >= 0.0);
    parsed.ok_or_else(|| {
        Printed::usage(&format!(
            "argument -t/--timeout: invalid int value: '{text}'"
        ))
    })
}

/// Returns what `ctx` prints for a reply.
#[must_use]
pub(crate) fn print(reply: Reply, is_json: bool) -> Printed {
    match reply {
        Reply::Result(value) => Printed {
            out: match value {
                value if is_json => dumps(&value),
                value if is_truthy(&value) => python_text(&value),
                _ => String::new(),
            },
            ..Printed::default()
        },
        Reply::Error { class, message, .. } => Printed::failed(&class, &message),
        Reply::StopOperation { message } => Printed {
            err: format!("{message}\n"),
            code: 1,
            ..Printed::default()
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn parsed(words: &[&str]) -> Result<Invocation, Printed> {
        let words: Vec<String> = words.iter().map(ToString::to_string).collect();
        parse(&words)
    }

    #[test]
    fn arguments_are_text_or_json() {
        for (words, expected) in [
            (&["a", "42", "true"][..], json!(["a", "42", "true"])),
            (
                &["a", "@42", "@null", "@\"@home\""],
                json!(["a", 42, null, "@home"]),
            ),
            (
                &["--json-arg-prefix", "%", "a", "@raw", "%[1]"],
                json!(["a", "@raw", [1]]),
            ),
            (&["--json-arg-prefix=%", "%1"], json!([1])),
            (&["a", "--", "-v"], json!(["a", "-v"])),
            (&["--", "a", "-v", "--"], json!(["a", "-v", "--"])),
            (&["a", "-1", "-"], json!(["a", "-1", "-"])),
            (&["a", "- item"], json!(["a", "- item"])),
        ] {
            assert_eq!(
                json!(parsed(words).unwrap().arguments),
                expected,
                "{words:?}"
            );
        }
    }

    #[test]
    fn options_are_accepted_in_any_place() {
        for words in [
            &["-j", "node", "id"][..],
            &["node", "-j", "id"],
            &["node", "id", "-j"],
        ] {
            assert!(parsed(words).unwrap().is_json);
        }
        let all = parsed(&["-t", "5", "--socket-url=http://x", "a"]).unwrap();
        assert_eq!(
            (all.timeout, all.socket_url.as_deref()),
            (5.0, Some("http://x"))
        );
    }

    #[test]
    fn errors_have_the_exit_codes_of_the_original() {
        let failed = |words: &[&str]| parsed(words).unwrap_err();
        let unknown = failed(&["a", "-v"]);
        assert_eq!(unknown.code, 2);
        assert!(
            unknown
                .err
                .ends_with("ctx: error: unrecognized arguments: -v\n"),
            "{}",
            unknown.err
        );
        assert_eq!(failed(&["--socket-url"]).code, 2);
        assert_eq!(failed(&["-t", "x", "a"]).code, 2);
        assert_eq!((failed(&[]).code, failed(&["-h"]).code), (1, 0));
        assert_eq!(
            failed(&["a", "@notjson"]).err,
            "ctx: JSONDecodeError: Expecting value: line 1 column 1 (char 0)\n"
        );
    }

    #[test]
    fn false_values_print_nothing_unless_as_json() {
        for (value, text, json) in [
            (json!(null), "", "null"),
            (json!(0), "", "0"),
            (json!([]), "", "[]"),
            (json!("str"), "str", "\"str\""),
            (json!(true), "True", "true"),
            (json!({ "k": [null] }), "{'k': [None]}", "{\"k\": [null]}"),
        ] {
            assert_eq!(print(Reply::Result(value.clone()), false).out, text);
            assert_eq!(print(Reply::Result(value), true).out, json);
        }
        let stopped = print(
            Reply::StopOperation {
                message: "no".to_owned(),
            },
            true,
        );
        assert_eq!((stopped.err.as_str(), stopped.code), ("no\n", 1));
    }
}
