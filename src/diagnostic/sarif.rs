//! Diagnostics as a SARIF 2.1.0 log, for code scanning.

use super::{Code, Diagnostic, Severity, Span, places};
use crate::diagnostic::Sources;
use serde_json::{Value as Json, json};
use std::collections::BTreeSet;

/// Returns a log with one run.
#[must_use]
pub fn log(results: &[Json], codes: &BTreeSet<Code>) -> Json {
    let rules: Vec<Json> = codes.iter().map(|code| rule(*code)).collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": { "name": "dockctl", "version": env!("CARGO_PKG_VERSION"), "rules": rules } },
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

fn rule(code: Code) -> Json {
    json!({ "id": code.as_str(), "shortDescription": { "text": code.rule() }, "help": { "text": code.advice() } })
}

/// Returns one diagnostic as a SARIF result.
#[must_use]
pub fn result(diagnostic: &Diagnostic, sources: &Sources) -> Json {
    let level = match diagnostic.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    let text = std::iter::once(&diagnostic.message)
        .chain(&diagnostic.hints)
        .cloned()
        .collect::<Vec<_>>()
        .join("\n");
    let own = sources.own_place(diagnostic.span);
    let related: Vec<Json> = places::related_to_import(diagnostic, own)
        .iter()
        .enumerate()
        .map(|(id, (span, text))| {
            let mut location = location(*span, sources);
            location["id"] = id.into();
            location["message"] = json!({ "text": text });
            location
        })
        .collect();
    json!({
        "ruleId": diagnostic.code.as_str(),
        "level": level,
        "message": { "text": text },
        "locations": [location(own, sources)],
        "relatedLocations": related,
    })
}

fn location(span: Span, sources: &Sources) -> Json {
    let (line, column) = sources.line_column(span.file, span.start);
    let (end_line, end_column) = sources.line_column(span.file, span.end);
    json!({ "physicalLocation": {
        "artifactLocation": { "uri": uri(sources.name(span.file)) },
        "region": { "startLine": line, "startColumn": column, "endLine": end_line, "endColumn": end_column },
    } })
}

/// Returns a path as a URI reference, with special characters escaped.
fn uri(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-~:".contains(&byte);
    let escaped: String = name
        .bytes()
        .map(|byte| {
            if plain(byte) {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        })
        .collect();
    if name.starts_with('/') {
        format!("file://{escaped}")
    } else {
        escaped
    }
}
