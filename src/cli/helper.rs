//! dockctl under the name of a helper program, such as `ctx` in scripts.

use crate::plugins::{HelperCall, Plugins};
use std::{
    env,
    ffi::OsString,
    io::{self, Write as _},
    path::Path,
};

/// Runs the helper program that the first argument names, and returns its exit code; none if it
/// names no helper.
pub(crate) fn run(arguments: &[OsString]) -> Option<u8> {
    let (program, arguments) = arguments.split_first()?;
    let name = Path::new(program).file_name()?.to_str()?;
    let printed = Plugins::default().run_helper(&HelperCall {
        name,
        arguments,
        variable: &|name| env::var_os(name),
        working_dir: env::current_dir().ok(),
    })?;
    // A script may have closed the output: the exit code still shows the result.
    let _ = io::stdout().write_all(printed.out.as_bytes());
    let _ = io::stderr().write_all(printed.err.as_bytes());
    Some(printed.code)
}
