//! Asking before something is done that cannot be undone.

use super::{args::Global, complain};
use crate::operate::{Error, error::Kind};
use std::io::{IsTerminal as _, Write as _};

/// Asks on a terminal. Off a terminal there is nobody to ask: what is dangerous needs `--yes`
/// there.
pub(crate) fn confirm(global: &Global, question: &str, danger: Option<&str>) -> Result<(), Error> {
    if global.yes {
        return Ok(());
    }
    if !is_asked() {
        return danger.map_or(Ok(()), |danger| {
            Err(Error::usage(danger).hint("--yes says that this is meant"))
        });
    }
    let danger = danger
        .map(|danger| format!("{danger}\n"))
        .unwrap_or_default();
    ask(&format!("{danger}{question}"))
}

/// Whether standard input is typed.
pub(crate) fn is_typed() -> bool {
    std::io::stdin().is_terminal()
}

/// Whether somebody can be asked.
pub(crate) fn is_asked() -> bool {
    is_typed() && std::io::stderr().is_terminal()
}

/// Asks, and is an error unless the answer is yes.
pub(crate) fn ask(question: &str) -> Result<(), Error> {
    match answer(question) {
        Ok(answer) if is_yes(&answer) => return Ok(()),
        // The input ended before a line was typed.
        Ok(answer) if answer.is_empty() => complain("\n"),
        _ => {}
    }
    Err(Error::new(Kind::Interrupted, "nothing was done"))
}

/// The line that is typed as an answer; empty at the end of the input.
fn answer(question: &str) -> std::io::Result<String> {
    complain(&format!("{question} [y/N] "));
    let _ = std::io::stderr().flush();
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(answer)
}

fn is_yes(answer: &str) -> bool {
    matches!(answer.trim().to_lowercase().as_str(), "y" | "yes")
}
