//! Confirmation of changes that cannot be undone.

use super::{args::Global, print_error};
use crate::operate::{Error, error::Kind};
use std::io::{IsTerminal as _, Write as _};

/// Asks for confirmation on a terminal. Without a terminal, dangerous changes require `--yes`.
pub(crate) fn confirm(global: &Global, question: &str, danger: Option<&str>) -> Result<(), Error> {
    if global.yes {
        return Ok(());
    }
    if !can_ask() {
        return danger.map_or(Ok(()), |danger| {
            Err(Error::usage(danger).hint("to confirm, add --yes"))
        });
    }
    let danger = danger
        .map(|danger| format!("{danger}\n"))
        .unwrap_or_default();
    ask(&format!("{danger}{question}"))
}

/// Returns true if standard input is a terminal.
pub(crate) fn is_stdin_terminal() -> bool {
    std::io::stdin().is_terminal()
}

/// Returns true if a user can answer questions.
pub(crate) fn can_ask() -> bool {
    is_stdin_terminal() && std::io::stderr().is_terminal()
}

/// Asks a question. Returns an error unless the answer is yes.
pub(crate) fn ask(question: &str) -> Result<(), Error> {
    match answer(question) {
        Ok(answer) if is_yes(&answer) => return Ok(()),
        // End of input: end the line of the question.
        Ok(answer) if answer.is_empty() => print_error("\n"),
        _ => {}
    }
    Err(Error::new(Kind::Interrupted, "nothing was done"))
}

/// Returns the line that the user types; empty at the end of input.
fn answer(question: &str) -> std::io::Result<String> {
    print_error(&format!("{question} [y/N] "));
    let _ = std::io::stderr().flush();
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(answer)
}

fn is_yes(answer: &str) -> bool {
    matches!(answer.trim().to_lowercase().as_str(), "y" | "yes")
}
