//! `dockctl heal --watch`.

use super::{Outcome, complain, error::CliError, runtime};
use crate::operate::{
    execute::Order,
    watch::{self, Patience},
};
use std::io::IsTerminal as _;

/// Watches until Ctrl-C.
pub(crate) fn watch(
    order: &Order<'_>,
    instances: &[String],
    patience: Patience,
) -> Result<Outcome, CliError> {
    runtime()?.block_on(watch::watch(order, instances, patience))?;
    // After the ^C of a terminal, a line of its own.
    if std::io::stderr().is_terminal() {
        complain("\n");
    }
    Ok(Outcome::silent())
}
