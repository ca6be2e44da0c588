//! The dockctl command.

use std::process::ExitCode;

// A blueprint consists of many small values: this allocator reads a large one in two thirds of the
// time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    ExitCode::from(dockctl::cli::run(std::env::args_os()))
}
