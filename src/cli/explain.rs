//! `dockctl explain`.

use super::{
    Outcome,
    args::{Global, Output},
    error::CliError,
};
use crate::{
    diagnostic::{Code, nearest},
    plugins::Plugins,
    report::table::table_to_fit,
};
use serde_json::{Value as Json, json};

/// Explains a diagnostic code or the arguments of the docker plugin (`params`), or lists all codes.
pub(crate) fn explain(global: &Global, code: Option<&str>) -> Result<Outcome, CliError> {
    if code == Some("params") {
        let arguments = Plugins::default().arguments();
        let text = if global.output == Output::Markdown {
            arguments.clone()
        } else {
            markdown_to_text(&arguments)
        };
        return Ok(Outcome::new(json!({ "markdown": arguments }), text));
    }
    let codes = match code {
        None => Code::ALL.to_vec(),
        Some(text) => vec![Code::parse(text).ok_or_else(|| unknown(text))?],
    };
    let fields =
        json!({ "codes": codes.iter().map(|code| code_json(*code)).collect::<Vec<Json>>() });
    let text = match (global.output, code) {
        (Output::Markdown, _) => page(&codes),
        (_, Some(_)) => codes.iter().map(|code| code_text(*code)).collect(),
        (_, None) => codes
            .iter()
            .map(|code| format!("{}  {}\n", code.as_str(), code.rule()))
            .collect(),
    };
    Ok(Outcome::new(fields, text))
}

/// Returns Markdown with its tables laid out for a screen. A narrow screen omits the last column.
fn markdown_to_text(markdown: &str) -> String {
    let cells = |line: &str| -> Vec<String> {
        let cells = line.trim_matches('|').replace("\\|", "¦");
        cells
            .split('|')
            .map(|cell| cell.trim().replace('`', "").replace('¦', "|"))
            .collect()
    };
    let lines: Vec<&str> = markdown.lines().collect();
    let mut text = String::new();
    for part in lines.chunk_by(|a, b| a.starts_with('|') == b.starts_with('|')) {
        if !part[0].starts_with('|') {
            text.extend(part.iter().map(|line| {
                format!(
                    "{}\n",
                    line.trim_start_matches('#').trim_start().replace('`', "")
                )
            }));
            continue;
        }
        let header: Vec<String> = cells(part[0])
            .iter()
            .map(|cell| cell.to_uppercase())
            .collect();
        let header: Vec<&str> = header.iter().map(String::as_str).collect();
        let rows: Vec<Vec<String>> = part.iter().skip(2).map(|line| cells(line)).collect();
        text += &table_to_fit(&header, &rows, super::table_screen(), &[header.len() - 1]);
    }
    text
}

fn unknown(text: &str) -> CliError {
    let error = CliError::usage(format!("there is no diagnostic code `{text}`"));
    match nearest(text, Code::ALL.iter().map(|code| code.as_str())) {
        Some(code) => error.hint(format!("did you mean `{code}`?")),
        None => error.hint("list all codes: dockctl explain"),
    }
}

fn code_json(code: Code) -> Json {
    let reference = code
        .reference()
        .map(|reference| json!({ "class": reference.class, "code": reference.code }));
    json!({ "code": code.as_str(), "rule": code.rule(), "advice": code.advice(), "reference": reference })
}

fn code_text(code: Code) -> String {
    let reference = reference(code).map_or_else(String::new, |text| {
        format!("\nCloudify reports {text} for this.\n")
    });
    format!(
        "{}: {}\n\n{}\n{reference}",
        code.as_str(),
        code.rule(),
        code.advice()
    )
}

fn reference(code: Code) -> Option<String> {
    let reference = code.reference()?;
    Some(reference.code.map_or_else(
        || reference.class.to_owned(),
        |number| format!("{} {number}", reference.class),
    ))
}

/// Returns the page `docs/errors.md`.
pub(crate) fn page(codes: &[Code]) -> String {
    let mut text =
        "# Diagnostic codes\n\nLook up the code of an error or warning, such as `D0033`. `dockctl explain D0033` prints the same\n\
                    text. The meaning of a code never changes. The last column is the error that Cloudify's own\n\
                    parser reports for the same rule; `–` means that Cloudify has no such rule.\n\n\
                    | Code | Error | What to do | Cloudify |\n|---|---|---|---|\n"
            .to_owned();
    for code in codes {
        let cell = |text: &str| text.replace('|', "\\|");
        let reference = reference(*code).unwrap_or_else(|| "–".to_owned());
        text += &format!(
            "| {} | {} | {} | {reference} |\n",
            code.as_str(),
            cell(code.rule()),
            cell(&code.advice())
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::page;
    use crate::diagnostic::Code;

    #[test]
    fn the_page_of_codes_matches_the_source() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/errors.md");
        let page = page(Code::ALL);
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(path, &page).unwrap();
        }
        let written = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            written == page,
            "docs/errors.md is out of date: run UPDATE_DOCS=1 cargo test the_page_of_codes"
        );
    }
}
