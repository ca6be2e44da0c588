//! All integration tests in one binary.
#![allow(
    clippy::unwrap_used,
    clippy::similar_names,
    reason = "a test that cannot go on says so by panicking"
)]
#![allow(
    clippy::print_stdout,
    reason = "how many points were tried is the result"
)]

mod cli;
mod docker;
mod kernel;
mod language;
mod simulated;
#[path = "../support/mod.rs"]
mod support;
mod trouble;
