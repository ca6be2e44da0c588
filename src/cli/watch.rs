//! `dockctl heal --watch`.

use super::{Outcome, error::CliError, print_error, runtime};
use crate::operate::{
    execute::RequestContext,
    watch::{self, RepairLimit},
};
use std::io::IsTerminal as _;

/// Watches and repairs a deployment until Ctrl-C.
pub(crate) fn watch(
    order: &RequestContext<'_>,
    instances: &[String],
    patience: RepairLimit,
) -> Result<Outcome, CliError> {
    runtime()?.block_on(watch::watch(order, instances, patience))?;
    // End the line with the ^C that a terminal shows.
    if std::io::stderr().is_terminal() {
        print_error("\n");
    }
    Ok(Outcome::silent())
}
