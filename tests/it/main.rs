//! All integration tests in one binary.
#![allow(
    clippy::unwrap_used,
    clippy::similar_names,
    reason = "a failed test panics"
)]
#![allow(
    clippy::print_stdout,
    reason = "the sweeps print how many points they tried"
)]

mod cli;
mod docker;
mod failures;
mod kernel;
mod language;
mod script;
mod simulated;
#[path = "../support/mod.rs"]
mod support;
