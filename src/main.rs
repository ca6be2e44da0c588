//! The dockctl command.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(dockctl::cli::run(std::env::args_os()))
}
