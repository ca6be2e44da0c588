//! `dockctl heal --watch`.

use super::{Outcome, complain, error::CliError, runtime};
use crate::operate::{
    execute::Order,
    watch::{self, Patience},
};
use std::io::IsTerminal as _;

/// Watches and repairs a deployment until Ctrl-C.
pub(crate) fn watch(
    order: &Order<'_>,
    instances: &[String],
    patience: Patience,
) -> Result<Outcome, CliError> {
    runtime()?.block_on(watch::watch(order, instances, patience))?;
    // End the line with the ^C that a terminal shows.
    if std::io::stderr().is_terminal() {
        complain("\n");
    }
    Ok(Outcome::silent())
}
